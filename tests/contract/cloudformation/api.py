"""The CloudFormation API over HTTP: stacks, their events and their resources.

Sources: the API reference; "recorded" is a response recorded from AWS (localstack, tests/aws/services/cloudformation).
"""

import json
import re
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs
from uuid import uuid4
from xml.sax.saxutils import escape

from tests.contract.cloudformation import change_sets

PAGE_SIZE = 100
"""Events or resources. Assumed: documented is only that a page has at most 1 MB (DescribeStackEvents, NextToken)."""
DELETED_STACK_IS_SHOWN_FOR = 90 * 86_400
"""Seconds (DescribeStackResource; CFN UG, "View deleted stacks")."""
_STACK_NAME = "[a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/._+]*"
RESOURCE_TYPE, STACK_TYPE = "Custom::Resource", "AWS::CloudFormation::Stack"
_CALLER = "arn:aws:sts::123456789012:assumed-role/provider/provider"

Refusal = str
"""`does not exist`, or the code of an error."""
Answer = tuple[int, str]


@dataclass(frozen=True)
class StackEvent:
    """One event of DescribeStackEvents. `time`: epoch seconds. The stack's own events have its name as logical ID."""

    time: float
    logical_id: str
    status: str
    reason: str = ""
    physical_id: str = ""
    """Empty until CloudFormation knows it."""
    resource_type: str = RESOURCE_TYPE
    event_id: str = field(default_factory=lambda: str(uuid4()))


@dataclass
class _Refusal:
    kind: Refusal
    times: float
    after: int
    action: str
    status: int

    def applies(self, action: str) -> bool:
        """Count the call. Return True if it is to be refused."""
        if self.action not in ("", action) or self.times <= 0:
            return False
        self.after -= 1
        if self.after >= 0:
            return False
        self.times -= 1
        return True


class _Refusals:
    """Which of the next calls fail."""

    def __init__(self) -> None:
        self._refusals: list[_Refusal] = []

    def refuse(
        self, kind: Refusal, *, times: float = float("inf"), after: int = 0, action: str = "", status: int = 400
    ) -> None:
        """Make the next calls fail, or those of one action, after the first `after` of them.

        status: the HTTP status of an error without a message of its own.
        """
        self._refusals.append(_Refusal(kind, times, after, action, status))

    def allow(self) -> None:
        """End all refusals."""
        self._refusals.clear()

    def refusal(self, action: str) -> _Refusal | None:
        return next((one for one in list(self._refusals) if one.applies(action)), None)


class KnownStack(_Refusals):
    """A stack as CloudFormation knows it. Everything can be changed at any time.

    `lag`: status, events and resources are shown as they were that many seconds ago. Of the resources, that is what
    they were when the status last changed or an event was added.
    """

    def __init__(
        self,
        stack_id: str,
        status: str = "CREATE_COMPLETE",
        *,
        root_id: str = "",
        parent_id: str = "",
        resources: dict[str, tuple[str, str]] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.stack_id = stack_id
        self.root_id = root_id
        self.parent_id = parent_id
        self.resources = resources or {}
        """(physical ID, status) by logical ID. A deleted stack shows its resources, another only those that exist
        (recorded: test_resources.py, test_describe_deleted_resource_on_update)."""
        self.events: list[StackEvent] = []
        self.outputs: dict[str, str] = {}
        self.parameters: dict[str, str] = {}
        """As shown: the value of a NoEcho parameter is `****` (recorded: test_stacks.py)."""
        self.template = ""
        self.change_sets: dict[str, dict[str, Any]] = {}
        """By name: what DescribeChangeSet returns besides the stack and the names."""
        self.lag = 0.0
        self.created_at = now()
        self._now = now
        self._history: list[tuple[float, str, dict[str, tuple[str, str]]]] = []
        self.status = status

    @property
    def name(self) -> str:
        return _name(self.stack_id)

    @property
    def status(self) -> str:
        return self._status

    @status.setter
    def status(self, status: str) -> None:
        self._status = status
        self._record()

    def change_set_id(self, name: str) -> str:
        """The ARN of a change set."""
        return f"{self.stack_id.replace(':stack/', ':changeSet/').split('/')[0]}/{name}/{self.stack_id.split('/')[-1]}"

    def move(self, status: str, *, reason: str = "", at: float | None = None) -> None:
        """Change the status and add the stack's own event.

        Its physical ID is the StackId (recorded: engine/test_deletion_policy.py).
        """
        self.status = status
        self.add(self.name, status, self.stack_id, reason=reason, at=at, resource_type=STACK_TYPE)

    def add(
        self,
        logical_id: str,
        status: str,
        physical_id: str = "",
        *,
        reason: str = "",
        at: float | None = None,
        resource_type: str = RESOURCE_TYPE,
    ) -> StackEvent:
        """Add an event; at: its time."""
        added = StackEvent(self._now() if at is None else at, logical_id, status, reason, physical_id, resource_type)
        self.events.append(added)
        self._record()
        return added

    def shown(self) -> tuple[str, dict[str, tuple[str, str]], list[StackEvent]]:
        """The status, the resources, and the events, newest first."""
        until = self._now() - self.lag
        events = sorted(self.events, key=lambda one: one.time)[::-1]
        if not self.lag:
            return self.status, dict(self.resources), events
        history = list(self._history)
        _, status, resources = next((past for past in reversed(history) if past[0] <= until), history[0])
        return status, resources, [one for one in events if one.time <= until]

    @property
    def deleted_at(self) -> float | None:
        """None if the stack is not shown as deleted."""
        if self.shown()[0] != "DELETE_COMPLETE":
            return None
        return next(at for at, status, _ in self._history if status == "DELETE_COMPLETE")

    @property
    def is_forgotten(self) -> bool:
        return self.deleted_at is not None and self._now() - self.deleted_at > DELETED_STACK_IS_SHOWN_FOR

    def _record(self) -> None:
        if self.status:
            self._history.append((self._now(), self.status, dict(self.resources)))


class StacksApi(_Refusals, ThreadingHTTPServer):
    """Serves `stacks`; use as a context manager.

    `default` is shown for a StackId that isn't in `stacks`. None: such a stack does not exist. `tls` is for HTTPS.
    """

    request_queue_size = 128

    def __init__(self, now: Callable[[], float] = time.time, *, tls: ssl.SSLContext | None = None) -> None:
        _Refusals.__init__(self)
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", 0), _Handler)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}"
        self._now = now
        self._tls = tls
        self.reset()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Run the TLS handshake in the connection's thread, so that a silent client doesn't block the others."""
        connection = self._tls.wrap_socket(request, server_side=True) if self._tls else request
        with connection:
            super().finish_request(connection, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing about a broken connection: tests kill and interrupt clients."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def reset(self) -> None:
        """Forget all stacks, calls and refusals."""
        self.allow()
        self.stacks: dict[str, KnownStack] = {}
        """By StackId."""
        self.default: KnownStack | None = KnownStack("", "UPDATE_IN_PROGRESS", now=self._now)
        self.page_size = PAGE_SIZE
        self.no_echo = "****"
        """The value of a NoEcho parameter in a change set (assumed). Empty: the value itself."""
        self.review_status = "REVIEW_IN_PROGRESS"
        """Of a stack whose first change set exists."""
        self.stops: Callable[[str], bool] = lambda _: False
        """Whether a Hook stops a change set, by its ID."""
        self.deletion_failures: list[str] = []
        """Why the next deletions fail."""
        self.creation_failures: dict[str, str] = {}
        """By logical ID: why a resource of a change set that is executed can't be created."""
        self.calls: list[str] = []
        """The action of each call."""

    def know(self, stack_id: str, status: str = "CREATE_COMPLETE", **attributes: Any) -> KnownStack:
        """Add or replace a stack."""
        stack = self.stacks[stack_id] = KnownStack(stack_id, status, now=self._now, **attributes)
        return stack

    def answer(self, asked: dict[str, str]) -> Answer:
        """Return the HTTP status and the body of the response."""
        action, name = asked["Action"], asked.get("StackName") or self._stack_of(asked.get("ChangeSetName", ""))
        self.calls.append(action)
        if action not in _ACTIONS:
            return _error("InvalidAction", f"Could not find operation {action} for version 2010-05-15")
        if action == "CreateChangeSet" and self._find(name) is None:
            self._review(name)
        all_stacks = action == "DescribeStacks" and not name
        if not all_stacks and not re.fullmatch(_STACK_NAME, name):
            # coreos-kubernetes issue 505; of DescribeStackResources: aws-cdk issue 16155
            problem = (
                f"Value '{name}' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression"
            )
            return _error("ValidationError", f"1 validation error detected: {problem} pattern: {_STACK_NAME}")
        stack = KnownStack("") if all_stacks else self._find(name)
        refusal = self.refusal(action) or (stack.refusal(action) if stack else None)
        if stack is None or (refusal and refusal.kind == "does not exist"):
            return _error("ValidationError", _NOT_FOUND[action].format(name))
        if refusal:
            status, code, message = _REFUSALS.get(refusal.kind, (refusal.status, refusal.kind, refusal.kind))
            return _error(code, message.format(action=action, name=name), status)
        result = _ACTIONS[action](self, stack, asked)
        if not isinstance(result, dict):
            return result if isinstance(result, tuple) else _error("ValidationError", result)
        more = _xml("ResponseMetadata", {"RequestId": str(uuid4())})
        return 200, _element(f"{action}Response", _xml(f"{action}Result", result) + more)

    def _review(self, name: str) -> None:
        """A change set for a stack that does not exist creates it in review (CreateChangeSet, ChangeSetType)."""
        self.know(f"arn:aws:cloudformation:us-east-1:123456789012:stack/{name}/{uuid4()}", "REVIEW_IN_PROGRESS")

    def _create_change_set(self, stack: KnownStack, asked: dict[str, str]) -> dict[str, Any]:
        """Create a change set. Each resource is new, and shows its properties, resolved."""
        template = json.loads(asked["TemplateBody"])
        members = (f"Parameters.member.{position}" for position in range(1, 100))
        given = {
            asked[f"{member}.ParameterKey"]: asked[f"{member}.ParameterValue"]
            for member in members
            if f"{member}.ParameterKey" in asked
        }
        hidden = [name for name, about in template.get("Parameters", {}).items() if about.get("NoEcho")]
        values = given | (dict.fromkeys(hidden, self.no_echo) if self.no_echo else {})
        changes = []
        for logical_id, resource in template["Resources"].items():
            properties = {
                name: values.get(value["Ref"], "") if isinstance(value, dict) and "Ref" in value else value
                for name, value in resource["Properties"].items()
            }
            changes.append(change_sets.add(logical_id, resource["Type"], properties))
        name = asked["ChangeSetName"]
        change_set_id = stack.change_set_id(name)
        status = "FAILED" if self.stops(change_set_id) else "CREATE_COMPLETE"
        stack.change_sets[name] = {"Status": status, "Changes": changes}
        if asked["ChangeSetType"] == "CREATE":
            stack.status, stack.template = self.review_status, asked["TemplateBody"]
        return {"Id": change_set_id, "StackId": stack.stack_id}

    def _execute_change_set(self, stack: KnownStack, asked: dict[str, str]) -> dict[str, Any]:
        """A new stack is complete, or has failed, at once."""
        del asked
        for logical_id, reason in self.creation_failures.items():
            if logical_id in json.loads(stack.template)["Resources"]:
                stack.add(logical_id, "CREATE_FAILED", reason=reason)
                stack.move("ROLLBACK_COMPLETE")
                return {}
        stack.move("CREATE_COMPLETE")
        return {}

    def _delete_stack(self, stack: KnownStack, asked: dict[str, str]) -> dict[str, Any]:
        """A stack without resources is deleted at once."""
        del asked
        if self.deletion_failures:
            stack.move("DELETE_FAILED", reason=self.deletion_failures.pop(0))
        else:
            stack.status = "DELETE_COMPLETE"
        return {}

    def _stack_of(self, change_set_id: str) -> str:
        """The ARN of a change set is enough to find it (DescribeChangeSet, StackName)."""
        known = (one for one in self.stacks.values() if change_set_id in map(one.change_set_id, one.change_sets))
        return next((one.stack_id for one in known), "")

    def _find(self, name: str) -> KnownStack | None:
        """A deleted stack is found only by its ID, for 90 days (DescribeStackEvents, StackName)."""
        if stack := self.stacks.get(name):
            return None if stack.is_forgotten else stack
        named = [one for one in self.stacks.values() if one.name == name and one.deleted_at is None]
        return named[0] if named else self.default

    def _describe_stacks(self, stack: KnownStack, asked: dict[str, str]) -> dict[str, Any]:
        """Without a name, all stacks that are not deleted (DescribeStacks, StackName)."""
        if "StackName" not in asked:
            known = [one for one in self.stacks.values() if one.deleted_at is None]
            return {"Stacks": [self._describe_stacks(one, {"StackName": one.stack_id})["Stacks"][0] for one in known]}
        status, _, _ = stack.shown()
        described: dict[str, Any] = _identity(stack, asked) | {
            "CreationTime": _timestamp(stack.created_at),
            "StackStatus": status,
        }
        if stack.deleted_at is not None:
            described["DeletionTime"] = _timestamp(stack.deleted_at)
        parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in stack.parameters.items()]
        outputs = [{"OutputKey": name, "OutputValue": value} for name, value in stack.outputs.items()]
        described |= {"Parameters": parameters} if parameters else {}
        described |= {"Outputs": outputs} if outputs else {}
        # Only a nested stack has them (data type Stack).
        described |= {"ParentId": stack.parent_id or stack.root_id, "RootId": stack.root_id} if stack.root_id else {}
        return {"Stacks": [described]}

    def _describe_stack_events(self, stack: KnownStack, asked: dict[str, str]) -> dict[str, Any]:
        """Newest first. A page begins where the one before ended, even if there are new events."""
        _, _, events = stack.shown()
        left = int(asked.get("NextToken", len(events)))
        page = events[len(events) - left :][: self.page_size]
        result: dict[str, Any] = {"StackEvents": [_event(stack, one, asked) for one in page]}
        if left > len(page):
            result["NextToken"] = str(left - len(page))
        return result

    def _describe_stack_resource(self, stack: KnownStack, asked: dict[str, str]) -> dict[str, Any] | str:
        logical_id = asked["LogicalResourceId"]
        resources = dict(_resources(stack, asked, "LastUpdatedTimestamp"))
        # Recorded: test_resources.py, test_describe_non_existent_resource.
        missing = f"Resource {logical_id} does not exist for stack {asked['StackName']}"
        return {"StackResourceDetail": resources[logical_id]} if logical_id in resources else missing

    def _describe_stack_resources(self, stack: KnownStack, asked: dict[str, str]) -> dict[str, Any]:
        wanted = asked.get("LogicalResourceId")
        resources = _resources(stack, asked, "Timestamp")
        return {"StackResources": [resource for name, resource in resources if wanted in (None, name)]}

    def _list_stack_resources(self, stack: KnownStack, asked: dict[str, str]) -> dict[str, Any]:
        """Oldest first. A summary has no stack, and a physical ID only if there is one."""
        summaries = [
            {name: value for name, value in resource.items() if value and name not in _identity(stack, asked)}
            for _, resource in _resources(stack, asked, "LastUpdatedTimestamp")
        ]
        start = int(asked.get("NextToken", 0))
        end = start + self.page_size
        more = {"NextToken": str(end)} if end < len(summaries) else {}
        return {"StackResourceSummaries": summaries[start:end]} | more

    def _get_template(self, stack: KnownStack, asked: dict[str, str]) -> dict[str, Any]:
        """The template as text. Both stages are the same without transforms."""
        del asked
        return {"TemplateBody": stack.template, "StagesAvailable": ["Original", "Processed"]}

    def _describe_change_set(self, stack: KnownStack, asked: dict[str, str]) -> dict[str, Any] | Answer:
        """One page of changes. Without IncludePropertyValues, the contexts and values are left out."""
        wanted = asked["ChangeSetName"]
        name = next((name for name in stack.change_sets if wanted in (name, stack.change_set_id(name))), None)
        if name is None:
            # Recorded: api/test_changesets.py, test_describe_changeset_after_delete
            return _error("ChangeSetNotFound", f"ChangeSet [{wanted}] does not exist", 404)
        known = stack.change_sets[name]
        changes = known.get("Changes", [])
        start = int(asked.get("NextToken", 0))
        end = start + self.page_size
        identity = _identity(stack, asked) | {"ChangeSetName": name, "ChangeSetId": stack.change_set_id(name)}
        page = changes[start:end]
        if asked.get("IncludePropertyValues") != "true":
            page = [_without_values(change) for change in page]
        created = {"CreationTime": _timestamp(stack.created_at)}
        more = {"NextToken": str(end)} if end < len(changes) else {}
        return identity | created | {**known, "Changes": page} | more


_ACTIONS: dict[str, Callable[[StacksApi, KnownStack, dict[str, str]], dict[str, Any] | str | Answer]] = {
    "DescribeStacks": StacksApi._describe_stacks,
    "DescribeStackEvents": StacksApi._describe_stack_events,
    "DescribeStackResource": StacksApi._describe_stack_resource,
    "DescribeStackResources": StacksApi._describe_stack_resources,
    "ListStackResources": StacksApi._list_stack_resources,
    "GetTemplate": StacksApi._get_template,
    "DescribeChangeSet": StacksApi._describe_change_set,
    "CreateChangeSet": StacksApi._create_change_set,
    "ExecuteChangeSet": StacksApi._execute_change_set,
    "DeleteStack": StacksApi._delete_stack,
}
_REFUSALS: dict[Refusal, tuple[int, str, str]] = {
    # sst issue 3006
    "AccessDenied": (
        403,
        "AccessDenied",
        (
            f"User: {_CALLER} is not authorized to perform: cloudformation:{{action}} on resource: {{name}} because no "
            "identity-based policy allows the cloudformation:{action} action"
        ),
    ),
    # crossplane-contrib/provider-aws issue 2272
    "OtherAccount": (
        400,
        "ValidationError",
        "Resource account (123456789012) doesn't match account (999999999999) parsed from ARN: {name}",
    ),
    # aws-cli issue 2948
    "Throttling": (400, "Throttling", "Rate exceeded"),
    # API reference, "Common errors"; the message is assumed
    "InternalFailure": (500, "InternalFailure", "Internal failure"),
}
_NOT_FOUND = {
    # Recorded: test_stacks.py, test_non_existing_stack_message
    "DescribeStacks": "Stack with id {} does not exist",
    # Recorded: test_stacks.py, test_describe_stack_events_errors
    "DescribeStackEvents": "Stack [{}] does not exist",
    # Recorded: test_resources.py, test_describe_non_existent_stack
    "DescribeStackResource": "Stack '{}' does not exist",
    # Assumed, as of DescribeStacks
    "DescribeStackResources": "Stack with id {} does not exist",
    # cloudquery/cq-provider-aws issue 824
    "ListStackResources": "Stack with id {} does not exist",
    # Assumed, as of DescribeStacks
    "GetTemplate": "Stack with id {} does not exist",
    # Recorded: api/test_changesets.py, test_describe_change_set_nonexisting
    "DescribeChangeSet": "Stack [{}] does not exist",
}


class _Handler(BaseHTTPRequestHandler):
    server: StacksApi

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        status, answer = self.server.answer({name: values[0] for name, values in parse_qs(body).items()})
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        del format, args


def _name(stack_id: str) -> str:
    """Return the StackName in a StackId, or a StackName itself."""
    return stack_id.split("/")[1] if "/" in stack_id else stack_id


def _identity(stack: KnownStack, asked: dict[str, str]) -> dict[str, str]:
    stack_id = stack.stack_id or asked["StackName"]
    return {"StackId": stack_id, "StackName": _name(stack_id)}


def _event(stack: KnownStack, event: StackEvent, asked: dict[str, str]) -> dict[str, str]:
    described = _identity(stack, asked) | {
        "EventId": event.event_id,
        "LogicalResourceId": event.logical_id,
        "PhysicalResourceId": event.physical_id,
        "ResourceType": event.resource_type,
        "Timestamp": _timestamp(event.time),
        "ResourceStatus": event.status,
    }
    return described | ({"ResourceStatusReason": event.reason} if event.reason else {})


def _resources(stack: KnownStack, asked: dict[str, str], time_name: str) -> Iterator[tuple[str, dict[str, str]]]:
    _, resources, events = stack.shown()
    for logical_id, (physical_id, status) in resources.items():
        last = next((one for one in events if one.logical_id == logical_id), None)
        yield (
            logical_id,
            _identity(stack, asked)
            | {
                "LogicalResourceId": logical_id,
                "PhysicalResourceId": physical_id,
                "ResourceType": last.resource_type if last else RESOURCE_TYPE,
                time_name: _timestamp(last.time if last else stack.created_at),
                "ResourceStatus": status,
            },
        )


def _without_values(change: dict[str, Any]) -> dict[str, Any]:
    """IncludePropertyValues adds the contexts, and BeforeValue and AfterValue of each target (API reference)."""
    resource = {name: value for name, value in change["ResourceChange"].items() if not name.endswith("Context")}
    details = [
        detail | {"Target": {name: value for name, value in detail["Target"].items() if not name.endswith("Value")}}
        for detail in resource.get("Details", [])
    ]
    return change | {"ResourceChange": resource | {"Details": details}}


def _timestamp(at: float) -> str:
    """Milliseconds, as CloudFormation sends them since 2016 (AWS CLI reference, describe-stack-events, example)."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(code: str, message: str, status: int = 400) -> Answer:
    error = {"Type": "Sender" if status < 500 else "Receiver", "Code": code, "Message": message}
    return status, _element("ErrorResponse", _xml("Error", error) + _xml("RequestId", str(uuid4())))


def _element(name: str, content: str) -> str:
    return f'<{name} xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">{content}</{name}>'


def _xml(name: str, value: Any) -> str:
    if isinstance(value, dict):
        content = "".join(_xml(member, inner) for member, inner in value.items())
    elif isinstance(value, list):
        content = "".join(_xml("member", inner) for inner in value)
    else:
        content = escape(value)
    return f"<{name}>{content}</{name}>"
