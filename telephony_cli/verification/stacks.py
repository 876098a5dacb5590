"""Experiments with CloudFormation: a change set that is never executed, and a stack with its own custom resources."""

import json
import secrets
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from telephony import clock
from telephony.aws import services
from telephony.cloudformation import request as requests
from telephony.data import data
from telephony.errors import HandlerError, HandlerErrorCode
from telephony.lifecycle.invocation import Backoff
from telephony.settings import settings
from telephony_cli.verification.experiment import Experiment, Finding, Run, experiment, require
from telephony_cli.verification.holdings import IN_OPERATION, REVIEW, stack_status

TYPE = "Custom::TelephonyVerify"
_SECRET, _MASK = "not-to-be-shown", "****"
OPERATION_PERIOD = 600
_HOLD = 15
"""Seconds for which the function waits before it responds to a Delete, so that the status of the stack can be read."""
_SHOWN_WITHIN = 10
LAMBDA_COST = Decimal("0.01")
"""In US dollars, for about ten invocations of less than 20 seconds with 128 MB.

Source: AWS Lambda pricing, 0.20 per million requests and 0.0000166667 per GB-second: 0.0004 in all.
"""
_FUNCTION = """
import json, time, urllib.parse, urllib.request

def handler(event, context):
    properties = event["ResourceProperties"]
    deleting = event["RequestType"] == "Delete"
    if deleting:
        time.sleep(int(properties.get("Hold", "0")))
    physical_id = event["PhysicalResourceId"] if deleting else properties["Id"]
    respond(event, physical_id, "first")
    try:
        respond(event, physical_id, "second")
    except OSError:
        pass

def respond(event, physical_id, response):
    names = ("StackId", "RequestId", "LogicalResourceId")
    data = {"Host": urllib.parse.urlsplit(event["ResponseURL"]).netloc, "Response": response}
    body = {name: event[name] for name in names}
    body |= {"Status": "SUCCESS", "PhysicalResourceId": physical_id, "Data": data}
    request = urllib.request.Request(
        event["ResponseURL"], json.dumps(body).encode(), {"Content-Type": ""}, method="PUT"
    )
    urllib.request.urlopen(request, timeout=10).close()
"""
_PARAMETERS = {"Country": {"Type": "String"}, "Secret": {"Type": "String", "NoEcho": True}}
_VALUES = {"Country": "US", "Secret": _SECRET}
_PROPERTIES = {"Country": {"Ref": "Country"}, "Secret": {"Ref": "Secret"}}


@experiment(6, 45)
def change_set(run: Run) -> Iterator[Finding]:
    """Creates a change set for a new stack with a custom resource, and does not execute it."""
    function = f"arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:{run.name}"
    token = {"ServiceToken": {"Fn::Sub": function}}
    template = {
        "Parameters": _PARAMETERS,
        "Resources": {"Example": {"Type": TYPE, "Properties": token | _PROPERTIES}},
    }
    stack_id, change_set_id = _create_change_set(run, f"{run.name}-change-set", template, "CREATE")
    changes, text = _changes(change_set_id)
    yield _shows_values({"after": _context(changes.get("Example", {}), "AfterContext")}, text)
    status = stack_status(stack_id)
    yield Finding(6, status == REVIEW, f"The status is {status}.")
    run.release(stack_id)


@experiment(1, 4, 5, 21, 22, 35, 43, 45, cost=LAMBDA_COST)
def custom_resources(run: Run) -> Iterator[Finding]:
    """Creates, updates twice and deletes a stack with custom resources and a function of its own."""
    removed = custom_resource(Id="removed", Hold=_HOLD)
    first = stack_template(Replaced=custom_resource(Id="first"), Removed=removed)
    stack_id = create_stack(run, f"{run.name}-stack", first)
    outputs = {
        each["OutputKey"]: each["OutputValue"]
        for each in services.cloudformation().describe_stacks(StackName=stack_id)["Stacks"][0].get("Outputs", [])
    }
    used = outputs.get("Response", "")
    yield Finding(22, used == "first", f"Of two responses, CloudFormation used the {used}.")
    yield _response_host(stack_id, outputs.get("Host", ""))
    second = stack_template(Replaced=custom_resource(Id="second"))
    _, change_set_id = _create_change_set(run, stack_id, second, "UPDATE")
    changes, text = _changes(change_set_id)
    modified = changes.get("Replaced", {})
    contexts = {name: _context(modified, f"{name.title()}Context") for name in ("before", "after")}
    recreation = {detail.get("Target", {}).get("RequiresRecreation", "-") for detail in modified.get("Details", [])}
    yield _shows_values(
        contexts,
        text,
        f" Replacement {modified.get('Replacement', '-')}, RequiresRecreation {', '.join(sorted(recreation)) or '-'}.",
    )
    during_cleanup = _execute(stack_id, change_set_id).during_delete
    third = stack_template(Replaced=custom_resource(Id="first"), Recreated=removed)
    _, change_set_id = _create_change_set(run, stack_id, third, "UPDATE")
    status = _execute(stack_id, change_set_id).status
    text = f"After an Update and a Create with the IDs of deleted resources: {status}."
    yield Finding(43, status == "UPDATE_COMPLETE", text)
    before = stack_events(stack_id)
    services.cloudformation().delete_stack(StackName=stack_id)
    deletion = _watch(stack_id, status, before)
    seen = {*during_cleanup, *deletion.during_delete}
    text = f"In the cleanup of an update: {_names(during_cleanup)}; in a deletion: {_names(deletion.during_delete)}."
    yield Finding(4, all(each.endswith(IN_OPERATION) for each in seen) if seen else None, text)
    in_time = deletion.shown_after <= _SHOWN_WITHIN
    yield Finding(5, in_time, f"The deletion was shown after {deletion.shown_after:.0f} s.")
    events = stack_events(stack_id)
    skipped = [event for event in events if event["ResourceStatus"] == "DELETE_SKIPPED"]
    ids = {event["LogicalResourceId"]: event.get("PhysicalResourceId") for event in skipped}
    yield Finding(1, ids.get("Retained") == "retained", f"Events DELETE_SKIPPED: {ids or 'none'}.")
    listed = services.paginate(
        services.cloudformation().list_stack_resources, "StackResourceSummaries", StackName=stack_id
    )
    statuses = {each["LogicalResourceId"]: each["ResourceStatus"] for each in listed}
    deleted = {"DELETE_COMPLETE", "DELETE_SKIPPED"}
    text = f"The resources of the deleted stack: {', '.join(sorted({*statuses.values()})) or 'none'}."
    yield Finding(35, {*statuses.values()} <= deleted and "Retained" in statuses, text)
    if deletion.status == "DELETE_COMPLETE":
        run.forget(stack_id)


def custom_resource(**properties: Any) -> dict[str, Any]:
    """Return a custom resource of the function of its stack."""
    own = {"ServiceToken": {"Fn::GetAtt": "Function.Arn"}, "ServiceTimeout": 60}
    return {"Type": TYPE, "Properties": own | properties}


def stack_template(**custom_resources: dict[str, Any]) -> dict[str, Any]:
    """Return a template with a function and custom resources. `Replaced` has the values of the parameters."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    function = {
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Role": {"Fn::GetAtt": "Role.Arn"},
        "Timeout": 30,
        "Code": {"ZipFile": _FUNCTION},
    }
    custom_resources["Replaced"]["Properties"] |= _PROPERTIES
    # Without permissions, it writes no logs that remain.
    document = {"Version": "2012-10-17", "Statement": [trust]}
    return {
        "Parameters": _PARAMETERS,
        "Resources": {
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": document}},
            "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
            "Retained": custom_resource(Id="retained") | {"DeletionPolicy": "Retain"},
            **custom_resources,
        },
        "Outputs": {name: {"Value": {"Fn::GetAtt": f"Replaced.{name}"}} for name in ("Host", "Response")},
    }


def create_stack(run: Run, name: str, template: Mapping[str, Any]) -> str:
    """Create a stack. Returns its ID. Raises HandlerError, with the first reason, if it fails."""
    stack_id, change_set_id = _create_change_set(run, name, template, "CREATE")
    status = _execute(stack_id, change_set_id).status
    if status != "CREATE_COMPLETE":
        reasons = [event.get("ResourceStatusReason", "-") for event in stack_events(stack_id) if _failed(event)]
        text = f"The stack is {status}: {next(reversed(reasons), '-')}"
        raise HandlerError(HandlerErrorCode.NOT_STABILIZED, text)
    return stack_id


def new_change_set(
    run: Run, stack: str, template: Mapping[str, Any], kind: str, name: str = "verify", **values: str
) -> dict[str, Any]:
    """Create a change set, and wait until it is complete or has failed. Returns it as described."""
    declared = template.get("Parameters", {})
    stack_id, change_set_id = run.create_change_set(
        StackName=stack,
        ChangeSetName=f"{name}-{secrets.token_hex(4)}",
        ChangeSetType=kind,
        TemplateBody=json.dumps(template),
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value}
            for key, value in (_VALUES | values).items()
            if key in declared
        ],
        Capabilities=["CAPABILITY_IAM"],
    )
    described: dict[str, Any] = {}

    def is_created() -> bool:
        described.update(services.cloudformation().describe_change_set(ChangeSetName=change_set_id))
        return not described["Status"].endswith(("_PENDING", IN_OPERATION))

    require(is_created, OPERATION_PERIOD, "The change set was not created within ten minutes.")
    return described | {"StackId": stack_id, "ChangeSetId": change_set_id}


def _create_change_set(run: Run, stack: str, template: Mapping[str, Any], kind: str) -> tuple[str, str]:
    """Create a change set. Returns the IDs of the stack and of the change set."""
    created = new_change_set(run, stack, template, kind)
    if created["Status"] != "CREATE_COMPLETE":
        cause = f"The change set is {created['Status']}: {created.get('StatusReason', '-')}"
        raise HandlerError(HandlerErrorCode.NOT_STABILIZED, cause)
    return created["StackId"], created["ChangeSetId"]


def _execute(stack_id: str, change_set_id: str) -> "_Operation":
    """Execute a change set, and wait until the operation ends."""
    status, before = stack_status(stack_id), stack_events(stack_id)
    services.cloudformation().execute_change_set(ChangeSetName=change_set_id)
    return _watch(stack_id, status, before)


def _changes(change_set_id: str) -> tuple[dict[str, Any], str]:
    """Return the changes by logical ID, with property values, and all of the response as text."""
    describe = services.cloudformation().describe_change_set
    pages = services.paginate(describe, "Changes", ChangeSetName=change_set_id, IncludePropertyValues=True)
    changes = [page["ResourceChange"] for page in pages]
    return {change["LogicalResourceId"]: change for change in changes}, json.dumps(changes)


def _context(change: Mapping[str, Any], name: str) -> dict[str, Any]:
    properties: dict[str, Any] = json.loads(change.get(name) or "{}").get("Properties", {})
    return properties


def _shows_values(contexts: Mapping[str, Mapping[str, Any]], text: str, more: str = "") -> Finding:
    """Return whether the contexts of a change show values, resolved, and nothing shows the value of Secret."""
    resolved = all(context.get("Country") == "US" for context in contexts.values())
    masked = all(context.get("Secret") == _MASK for context in contexts.values()) and _SECRET not in text
    shown = "; ".join(
        f"{name}: " + (", ".join(f"{key} {context.get(key, 'missing')}" for key in _PROPERTIES) if context else "none")
        for name, context in contexts.items()
    ).replace(_SECRET, "in clear text")
    leaked = " The response contains the value of a NoEcho parameter." if _SECRET in text else ""
    return Finding(45, resolved and masked, f"Properties {shown}.{leaked}{more}")


def _response_host(stack_id: str, host: str) -> Finding:
    """Return whether the provider would accept the host of the ResponseURL that the function received."""
    names = dict.fromkeys(("RequestId", "LogicalResourceId", "ResourceType"), "verify")
    event = {"RequestType": "Create", "StackId": stack_id, "ResponseURL": f"https://{host}/", **names}
    try:
        requests.parse(event, allowed_hosts=settings().allowed_response_hosts)
    except requests.ResponseHostRefusedError:
        return Finding(21, False, f"The provider refuses {host}.")
    return Finding(21, True, f"The provider accepts {host}.")


@data
class _Operation:
    """An operation that has ended."""

    status: str
    during_delete: list[str]
    """The statuses that were shown while a Delete was pending."""
    shown_after: float
    """Seconds until DescribeStacks showed it."""


def _watch(stack_id: str, former: str, before: list[Any]) -> _Operation:
    """Wait until an operation ends. former, before: the status and the events of the stack before it."""
    pending: dict[str, None] = {}
    started_at, shown_at, backoff = clock.now(), 0.0, Backoff()
    while clock.now() < started_at + OPERATION_PERIOD:
        was_pending = _is_delete_pending(stack_events(stack_id))
        status, events = stack_status(stack_id), stack_events(stack_id)
        if was_pending and _is_delete_pending(events):
            pending[status] = None
        if status != former and not shown_at:
            shown_at = clock.now()
        last = events[0] if len(events) > len(before) else {}
        has_ended = last.get("PhysicalResourceId") == stack_id and last["ResourceStatus"] == status
        if has_ended and not status.endswith(IN_OPERATION):
            return _Operation(status, [*pending], (shown_at or clock.now()) - started_at)
        clock.sleep(min(next(backoff), _HOLD / 5))
    raise HandlerError(HandlerErrorCode.NOT_STABILIZED, "An operation of the stack did not end within ten minutes.")


def _is_delete_pending(events: list[Any]) -> bool:
    """Return whether the newest event of a custom resource, with one ID, is the beginning of its deletion."""
    newest: dict[tuple[str, str], str] = {}
    for event in events:
        if event["ResourceType"] == TYPE:
            resource = event["LogicalResourceId"], event.get("PhysicalResourceId", "")
            newest.setdefault(resource, event["ResourceStatus"])
    return "DELETE_IN_PROGRESS" in newest.values()


def stack_events(stack_id: str) -> list[Any]:
    """Return the events of a stack, the newest first."""
    events = services.cloudformation().describe_stack_events
    return [*services.paginate(events, "StackEvents", StackName=stack_id)]


def _failed(event: Mapping[str, Any]) -> bool:
    return str(event["ResourceStatus"]).endswith("_FAILED")


def _names(statuses: list[str]) -> str:
    return ", ".join(statuses) or "no Delete was seen"


EXPERIMENTS: tuple[Experiment, ...] = (change_set, custom_resources)
