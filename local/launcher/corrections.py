"""Corrections of ministack 1.5.33 where its deviations from CloudFormation and Lambda would falsify test results.

Not corrected, because the CloudFormation simulator in tests/contract covers them: sequential resource operations, the
Delete after an Update that failed with another ID, the rollback Update that returns a new ID, and the cleanup after an
update, which has the status UPDATE_IN_PROGRESS and no DELETE_IN_PROGRESS and DELETE_COMPLETE events.
"""

import copy
import json
import secrets
import string
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from types import ModuleType
from typing import Any
from xml.sax.saxutils import escape

from ministack import app
from ministack.core import lambda_runtime
from ministack.core.responses import new_uuid
from ministack.services import cloudformation, lambda_svc
from ministack.services.cloudformation import (
    changesets,
    custom_resource,
    engine,
    handlers,
    helpers,
    provisioners,
    stacks,
)

RESPONSE_PATH = "/_ministack/cfn-response/"
BODY_LIMIT = 4096
"""Bytes, inclusive (CloudFormation user guide, "Custom resource response objects")."""
PHYSICAL_ID_LIMIT = 1024
"""Bytes (the same page)."""
NOT_UPDATABLE = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"}
"""Statuses in which a stack can't be updated (CloudFormation user guide, "Stack status codes")."""

KNOWN_AFTER_APPLY = "{{changeSet:KNOWN_AFTER_APPLY}}"
"""What a change set shows in place of a value that the deployment determines."""


class Responses:
    """The presigned URLs that wait for a response, by token."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[threading.Event, list[bytes]]] = {}

    def expect(self, token: str) -> None:
        """Start to accept a response to the URL."""
        self._waiting[token] = (threading.Event(), [])

    def receive(self, token: str, body: bytes) -> None:
        """Store a response. Only the first PUT to an open URL counts; S3 returns 200 for others too.

        ministack uses the last PUT before the function ends, and treats invalid JSON as an empty success.
        """
        if token in self._waiting:
            arrived, bodies = self._waiting[token]
            bodies.append(body)
            arrived.set()

    def wait(self, token: str, seconds: float) -> bytes | None:
        """Return the response, or None after the timeout; close the URL."""
        arrived, bodies = self._waiting[token]
        arrived.wait(seconds)
        del self._waiting[token]
        return bodies[0] if bodies else None


responses = Responses()


class ResourceFailedError(RuntimeError):
    """A failed request: the status reason that CloudFormation shows, and the physical ID of the response."""

    def __init__(self, reason: str, physical_id: str | None = None) -> None:
        super().__init__(reason)
        self.physical_id = physical_id


def read_response(body: bytes | None, event: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the physical ID and the attributes. Raises ResourceFailedError.

    ministack accepts invalid JSON, 10 kB, a missing ID and wrong IDs. Sources: CloudFormation user guide, "Custom
    resource response objects" (fields, 4096 bytes, IDs copied verbatim, 1 KB); aws-cdk issue 2825 ("Response object is
    too long."); remind101/empire issue 918 ("Invalid PhysicalResourceId" replaces the Reason).
    """
    if body is None:
        raise ResourceFailedError(
            "CloudFormation did not receive a response from your Custom Resource. "
            f"Please check your logs for requestId [{event['RequestId']}]."
        )
    if len(body) > BODY_LIMIT:
        raise ResourceFailedError("Response object is too long.")
    try:
        response = json.loads(body)
    except ValueError:
        response = None
    if not isinstance(response, dict):
        raise ResourceFailedError("Invalid response object: it is not a JSON object.")
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        if response.get(name) != event[name]:
            raise ResourceFailedError(f"Invalid {name}: it must be copied verbatim from the request.")
    physical_id = response.get("PhysicalResourceId")
    if not isinstance(physical_id, str) or not 0 < len(physical_id.encode()) <= PHYSICAL_ID_LIMIT:
        raise ResourceFailedError("Invalid PhysicalResourceId")
    if response.get("Status") != "SUCCESS":
        reason = (
            f"Received response status [{response.get('Status')}] from custom resource. "
            f"Message returned: {response.get('Reason', '')} (RequestId: {event['RequestId']})"
        )
        raise ResourceFailedError(reason, physical_id)
    return physical_id, attributes(response.get("Data") or {}, physical_id)


def attributes(data: Any, physical_id: str) -> dict[str, str]:
    """Return the Fn::GetAtt values as text. A boolean is `true`; ministack's Fn::Sub inserts Python's `True`.

    The error for a nested value is CloudFormation's (andrew-templeton/cfn-lambda issue 5).
    """
    if not isinstance(data, dict) or any(isinstance(value, dict | list) for value in data.values()):
        reason = "Value of property Data must be an object with String (or simple type) properties"
        raise ResourceFailedError(reason, physical_id)
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in data.items()}


def invoke_custom_resource(  # noqa: PLR0917 - ministack's own signature
    request_type: str,
    logical_id: str,
    props: dict[str, Any],
    stack_name: str,
    stack_id: str,
    resource_type: str,
    physical_id: str | None = None,
    old_props: dict[str, Any] | None = None,
) -> tuple[str, dict[str, str]]:
    """Send one request and wait for its response. Replaces ministack's function of the same name.

    CloudFormation invokes the function asynchronously: Lambda retries a failed invocation and then sends the event to
    the on-failure destination (Lambda developer guide, "Using AWS Lambda with CloudFormation"). ServiceTimeout starts
    with the request (AWS::CloudFormation::CustomResource). ministack invokes the function synchronously, does not
    retry, and starts the timeout when the function ends. Retries follow after 1 and 2 s here, not after minutes.
    """
    record, config, _ = lambda_svc._get_func_record_for_ref(props.get("ServiceToken", ""))  # noqa: SLF001
    if record is None or config is None:
        raise ResourceFailedError(f"Invalid ServiceToken: {props.get('ServiceToken')}: function not found.")
    token = new_uuid()
    event = {
        "RequestType": request_type,
        "RequestId": new_uuid(),
        "StackId": stack_id,
        "ResponseURL": presigned_url(token),
        "ResourceType": resource_type,
        "LogicalResourceId": logical_id,
        "ServiceToken": props["ServiceToken"],
        "ResourceProperties": custom_resource._normalise_resource_properties(props),  # noqa: SLF001
    }
    if physical_id is not None:
        event["PhysicalResourceId"] = physical_id
    if old_props is not None:
        event["OldResourceProperties"] = custom_resource._normalise_resource_properties(old_props)  # noqa: SLF001

    responses.expect(token)
    lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(record, config), event)  # noqa: SLF001
    body = responses.wait(token, float(props.get("ServiceTimeout", 3600)))
    try:
        return read_response(body, event)
    except ResourceFailedError as failure:
        if request_type == "Create":
            remember_failed_create(failure, logical_id, props, stack_name, resource_type)
        raise


def presigned_url(token: str) -> str:
    """Return a ResponseURL that says when it was signed and for how long, which ministack's does not.

    Source: sst issue 3539, which shows a ResponseURL. The signature is not checked.
    """
    signed_at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    url = custom_resource._response_url(token)  # noqa: SLF001
    return f"{url}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={signed_at}&X-Amz-Expires=7200&X-Amz-Signature=none"


def remember_failed_create(
    failure: ResourceFailedError, logical_id: str, props: dict[str, Any], stack_name: str, resource_type: str
) -> None:
    """Keep the failed resource in the stack, so that the rollback or the stack's deletion sends a Delete.

    CloudFormation sends it with the ID of the FAILED response, or with a generated ID `stack-logical-random` if there
    is none (aws-cdk PR 5525, remind101/empire issue 918). ministack drops the resource.
    """
    suffix = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(12))
    cloudformation._stacks[stack_name]["_resources"][logical_id] = {  # noqa: SLF001
        "PhysicalResourceId": failure.physical_id or f"{stack_name}-{logical_id}-{suffix}",
        "ResourceType": resource_type,
        "ResourceStatus": "CREATE_FAILED",
        "ResourceStatusReason": str(failure),
        "LogicalResourceId": logical_id,
        "Properties": props,
        "Attributes": {},
        "Timestamp": stacks.now_iso(),
    }


def roll_back_failed_create(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make `_roll_back_operation`, which deletes created resources, include the failed Create."""

    async def roll_back(
        stack_name: str, stack_id: str, stack: dict[str, Any], operation: dict[str, Any], *more: Any
    ) -> None:
        failed = operation.get("failed_logical_id")
        resource = stack.get("_resources", {}).get(failed)
        if resource and resource["ResourceStatus"] == "CREATE_FAILED" and not operation.get("failed_update"):
            operation["created"].append(failed)
        await original(stack_name, stack_id, stack, operation, *more)

    return roll_back


def reject_new_service_token(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make `_custom_named_replacement_error`, which validates an update, reject a new ServiceToken.

    "ServiceToken ... Updates are not supported" (AWS::CloudFormation::CustomResource); ministack sends the Update.
    """

    def rejected(resource_type: str, old: dict[str, Any], new: dict[str, Any], *more: Any) -> str | None:
        custom = resource_type.startswith("Custom::") or resource_type == "AWS::CloudFormation::CustomResource"
        if custom and old.get("ServiceToken") != new.get("ServiceToken"):
            return "Modifying service token is not allowed."
        reason: str | None = original(resource_type, old, new, *more)
        return reason

    return rejected


def reject_update_of_failed_stack(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make `CreateChangeSet`, which the SAM CLI uses, reject a stack that can't be updated.

    A remedy that starts with a stack update does not work for such a stack. ministack rejects only UpdateStack.
    """

    def create(parameters: dict[str, Any]) -> Any:
        kind = helpers._p(parameters, "ChangeSetType", "UPDATE")  # noqa: SLF001
        stack = handlers._resolve_stack(helpers._p(parameters, "StackName"))  # noqa: SLF001
        if kind == "UPDATE" and stack and stack["StackStatus"] in NOT_UPDATABLE:
            reason = f"Stack:{stack['StackId']} is in {stack['StackStatus']} state and can not be updated."
            return helpers._error("ValidationError", reason)  # noqa: SLF001
        return original(parameters)

    return create


def name_physical_id(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make `_add_event` name the physical ID of a resource that has one in UPDATE_IN_PROGRESS and *_FAILED events too.

    Sources: localstack, tests/aws/services/cloudformation/engine/test_replacement.snapshot.json, recorded from AWS;
    belodetek/cfn-generic-custom-resource PR 3 (a failed Create).
    """

    def add(  # noqa: PLR0917 - ministack's own signature
        stack_id: str,
        stack_name: str,
        logical_id: str,
        resource_type: str,
        status: str,
        reason: str = "",
        physical_id: str = "",
        detailed_status: str = "",
    ) -> None:
        resource = cloudformation._stacks.get(stack_name, {}).get("_resources", {}).get(logical_id, {})  # noqa: SLF001
        named = physical_id or resource.get("PhysicalResourceId", "")
        original(stack_id, stack_name, logical_id, resource_type, status, reason, named, detailed_status)

    return add


def keep_resources_of_deleted_stack(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make `_delete_stack_async` keep the resources of a deleted stack, with their last status.

    ListStackResources returns them for 90 days (CloudFormation API reference); ministack returns none.
    """

    async def delete(stack_name: str, stack_id: str, *more: Any, **options: Any) -> None:
        stack = cloudformation._stacks.get(stack_name, {})  # noqa: SLF001
        resources = dict(stack.get("_resources", {}))
        await original(stack_name, stack_id, *more, **options)
        if stack.get("StackStatus") == "DELETE_COMPLETE":
            events = cloudformation._stack_events[stack_id]  # noqa: SLF001
            last = {event["LogicalResourceId"]: event["ResourceStatus"] for event in events}
            stack["_resources"] = {
                name: resource | {"ResourceStatus": last[name]} for name, resource in resources.items()
            }

    return delete


def receive_raw_responses(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make `_handle_post_body_shortcuts`, which parses responses, store them unparsed."""

    async def shortcuts(method: str, path: str, headers: dict[str, str], body: bytes, *more: Any) -> Any:
        if method == "PUT" and path.startswith(RESPONSE_PATH):
            responses.receive(path.removeprefix(RESPONSE_PATH), body)
            return 200, {}, b""
        return await original(method, path, headers, body, *more)

    return shortcuts


class _KnownAfterApply(dict[str, str]):
    """The attributes of a resource that does not exist yet."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return KNOWN_AFTER_APPLY


def show_property_values(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make `DescribeChangeSet` show the contexts of each resource if IncludePropertyValues is true.

    Sources: API reference, ResourceChange; localstack, tests/aws/services/cloudformation/test_change_sets.py, recorded
    from AWS. Scalars are strings (CloudFormation user guide, "View a change set").
    """

    def describe(parameters: dict[str, Any]) -> Any:
        answer = original(parameters)
        _, found = changesets._find_change_set(  # noqa: SLF001
            helpers._p(parameters, "ChangeSetName"),  # noqa: SLF001
            helpers._p(parameters, "StackName"),  # noqa: SLF001
        )
        if found is None or helpers._p(parameters, "IncludePropertyValues") != "true":  # noqa: SLF001
            return answer
        status, headers, body = answer
        text = body.decode()
        for name, shown in contexts(found):
            element = f"<LogicalResourceId>{name}</LogicalResourceId>"
            members = "".join(f"<{context}>{escape(value)}</{context}>" for context, value in shown.items())
            text = text.replace(element, element + members)
        return status, headers, text.encode()

    return describe


def contexts(change_set: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the logical ID of each changed resource, and its contexts as JSON, by name."""
    stack = handlers._resolve_stack(change_set["StackName"]) or {}  # noqa: SLF001
    before, after = stack.get("_template", {}), change_set["_template"]
    existing = stack.get("_resources", {})
    new = {"PhysicalResourceId": KNOWN_AFTER_APPLY, "Attributes": _KnownAfterApply()}
    known = {name: existing.get(name, new) for name in after["Resources"]}
    for change in change_set["Changes"]:
        name = change["ResourceChange"]["LogicalResourceId"]
        shown = {}
        if name in existing:
            properties = _shown_properties(change_set, before, name, existing, stack["_resolved_params"])
            shown["BeforeContext"] = _context(before["Resources"][name], properties)
        if name in after["Resources"]:
            properties = _shown_properties(change_set, after, name, known, change_set["_resolved_params"])
            shown["AfterContext"] = _context(after["Resources"][name], properties)
        yield name, shown


def _shown_properties(
    change_set: dict[str, Any], template: dict[str, Any], name: str, known: dict[str, Any], given: dict[str, Any]
) -> dict[str, Any]:
    """Return the properties of a resource, resolved. Assumed: the value of a NoEcho parameter is `****`."""
    parameters = {key: value | ({"Value": "****"} if value["NoEcho"] else {}) for key, value in given.items()}
    resolved: dict[str, Any] = engine._resolve_refs(  # noqa: SLF001
        copy.deepcopy(template["Resources"][name].get("Properties", {})),
        known,
        parameters,
        engine._evaluate_conditions(template, given),  # noqa: SLF001
        template.get("Mappings", {}),
        change_set["StackName"],
        change_set["StackId"],
    )
    return resolved


def _context(resource: dict[str, Any], properties: dict[str, Any]) -> str:
    policies = {name: resource[name] for name in ("DeletionPolicy", "UpdateReplacePolicy") if name in resource}
    return json.dumps({"Properties": _strings(properties), **policies})


def _strings(value: Any) -> Any:
    match value:
        case dict():
            return {name: _strings(member) for name, member in value.items()}
        case list():
            return [_strings(member) for member in value]
        case bool():
            return str(value).lower()
    return str(value)


def accept_metric_math(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make `_cw_metric_alarm_record` accept an alarm on a metric math expression, which ministack rejects.

    Source: AWS::CloudWatch::Alarm, property Metrics. The alarm shows the first metric of the expression. It is never
    evaluated, because ministack has no metrics of functions and queues.
    """

    def record(name: str, properties: dict[str, Any]) -> Any:
        stats = [metric["MetricStat"] for metric in properties.get("Metrics", []) if "MetricStat" in metric]
        if stats:
            shown = {**stats[0]["Metric"], "Statistic": stats[0]["Stat"], "Period": stats[0]["Period"]}
            properties = {key: value for key, value in properties.items() if key != "Metrics"} | shown
        return original(name, properties)

    return record


def run_on(interpreter: str, original: Callable[..., tuple[str, str]]) -> Callable[..., tuple[str, str]]:
    """Run Python functions on another interpreter, so that they can't import ministack's packages."""

    def binary(runtime: str) -> tuple[str, str]:
        found, script = original(runtime)
        return (interpreter if runtime.startswith("python") else found), script

    return binary


def apply(interpreter: str) -> None:
    """Apply the corrections. They replace private names of ministack, so they are valid for one version only."""
    custom_resource.invoke_custom_resource = invoke_custom_resource
    correct("_roll_back_operation", roll_back_failed_create, stacks, handlers)
    correct("_add_event", name_physical_id, stacks, changesets, handlers)
    correct("_custom_named_replacement_error", reject_new_service_token, provisioners, stacks)
    handlers._ACTION_HANDLERS["CreateChangeSet"] = reject_update_of_failed_stack(  # noqa: SLF001
        handlers._ACTION_HANDLERS["CreateChangeSet"]  # noqa: SLF001
    )
    handlers._ACTION_HANDLERS["DescribeChangeSet"] = show_property_values(  # noqa: SLF001
        handlers._ACTION_HANDLERS["DescribeChangeSet"]  # noqa: SLF001
    )
    correct("_delete_stack_async", keep_resources_of_deleted_stack, stacks, handlers)
    correct("_cw_metric_alarm_record", accept_metric_math, provisioners)
    correct("_handle_post_body_shortcuts", receive_raw_responses, app)
    correct("_detect_runtime_binary", partial(run_on, interpreter), lambda_runtime)
    # A saved query has no effect. ministack does not know the type, and would reject the template.
    provisioners._RESOURCE_HANDLERS["AWS::Logs::QueryDefinition"] = {  # noqa: SLF001
        "create": lambda *_: (new_uuid(), {}),
        "update": lambda physical_id, *_: (physical_id, {}),
        "delete": lambda *_: None,
    }
    # With USE_SSL, ministack also binds 127.0.0.1:443 for Cognito if it can.
    app._port_is_bindable = lambda *_: False  # noqa: SLF001


def correct(name: str, correction: Callable[[Callable[..., Any]], Callable[..., Any]], *modules: ModuleType) -> None:
    """Replace the function `name` in every module that imports it."""
    corrected = correction(getattr(modules[0], name))
    for module in modules:
        assert hasattr(module, name)
        setattr(module, name, corrected)
