"""What ministack 1.5.33 does otherwise than CloudFormation and Lambda, where that would make a result lie; no more.

Left as they are, because the CloudFormation simulator in tests/contract shows them: resources one after another, the
Delete for an Update that failed with another id, and the rollback Update that answers a new id.
"""

import json
import secrets
import string
import threading
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from ministack import app
from ministack.core import lambda_runtime
from ministack.core.responses import new_uuid
from ministack.services import cloudformation, lambda_svc
from ministack.services.cloudformation import custom_resource, handlers, helpers, provisioners, stacks

ANSWER_PATH = "/_ministack/cfn-response/"
BODY_LIMIT = 4096
"""Bytes, inclusive (CloudFormation user guide, "Custom resource response objects")."""
PHYSICAL_ID_LIMIT = 1024
"""Bytes (the same page)."""
BEYOND_UPDATES = {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"}
"""States of a stack (CloudFormation user guide, "Stack status codes"): all that is left is to delete it, or, in the
last one, to continue the rollback."""


class Answers:
    """The presigned URLs that wait for an answer, by token."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[threading.Event, list[bytes]]] = {}

    def expect(self, token: str) -> None:
        """Open a URL."""
        self._waiting[token] = (threading.Event(), [])

    def take(self, token: str, body: bytes) -> None:
        """The first PUT to an open URL counts. Any other goes nowhere, and its sender is not told (S3 says 200).

        ministack takes the last PUT before the function ends, and reads JSON that is none as an empty success.
        """
        if token in self._waiting:
            arrived, bodies = self._waiting[token]
            bodies.append(body)
            arrived.set()

    def wait(self, token: str, seconds: float) -> bytes | None:
        """The answer, or None when the time is up; closes the URL."""
        arrived, bodies = self._waiting[token]
        arrived.wait(seconds)
        del self._waiting[token]
        return bodies[0] if bodies else None


answers = Answers()


class ResourceFailedError(RuntimeError):
    """What CloudFormation shows as the resource's status reason, and the id that the failed request left behind."""

    def __init__(self, reason: str, physical_id: str | None = None) -> None:
        super().__init__(reason)
        self.physical_id = physical_id


def read_answer(body: bytes | None, event: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The physical id and the attributes, or ResourceFailedError.

    ministack accepts invalid JSON, 10 kB, a missing id and foreign ids. Sources: CloudFormation user guide, "Custom
    resource response objects" (fields, 4096 bytes, ids copied verbatim, 1 KB); aws-cdk issue 2825 ("Response object is
    too long."); remind101/empire issue 918 ("Invalid PhysicalResourceId" takes the place of the Reason).
    """
    if body is None:
        raise ResourceFailedError(
            "CloudFormation did not receive a response from your Custom Resource. "
            f"Please check your logs for requestId [{event['RequestId']}]."
        )
    if len(body) > BODY_LIMIT:
        raise ResourceFailedError("Response object is too long.")
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ResourceFailedError("Invalid response object: it is not a JSON object.")
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        if answer.get(name) != event[name]:
            raise ResourceFailedError(f"Invalid {name}: it must be copied verbatim from the request.")
    physical_id = answer.get("PhysicalResourceId")
    if not isinstance(physical_id, str) or not 0 < len(physical_id.encode()) <= PHYSICAL_ID_LIMIT:
        raise ResourceFailedError("Invalid PhysicalResourceId")
    if answer.get("Status") != "SUCCESS":
        reason = (
            f"Received response status [{answer.get('Status')}] from custom resource. "
            f"Message returned: {answer.get('Reason', '')} (RequestId: {event['RequestId']})"
        )
        raise ResourceFailedError(reason, physical_id)
    return physical_id, attributes(answer.get("Data") or {}, physical_id)


def attributes(data: Any, physical_id: str) -> dict[str, str]:
    """Fn::GetAtt values: text, so a boolean reads `true`, where ministack's Fn::Sub writes Python's `True`.

    A nested value is refused in CloudFormation's words (andrew-templeton/cfn-lambda issue 5).
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
    """Send one request and wait for its answer. Takes the place of ministack's function of the same name.

    The function is invoked asynchronously, so a failing one is run again and its event goes to the on-failure
    destination at last (Lambda developer guide, "Using AWS Lambda with CloudFormation"), and ServiceTimeout counts from
    the request (AWS::CloudFormation::CustomResource). ministack calls the function synchronously, never again, and
    starts the timer when it has ended. Only the time between the tries is shorter here: 1 and 2 s instead of minutes.
    """
    record, config, _ = lambda_svc._get_func_record_for_ref(props.get("ServiceToken", ""))  # noqa: SLF001
    if record is None or config is None:
        raise ResourceFailedError(f"Invalid ServiceToken: {props.get('ServiceToken')}: function not found.")
    token = new_uuid()
    event = {
        "RequestType": request_type,
        "RequestId": new_uuid(),
        "StackId": stack_id,
        "ResponseURL": custom_resource._response_url(token),  # noqa: SLF001
        "ResourceType": resource_type,
        "LogicalResourceId": logical_id,
        "ServiceToken": props["ServiceToken"],
        "ResourceProperties": custom_resource._normalise_resource_properties(props),  # noqa: SLF001
    }
    if physical_id is not None:
        event["PhysicalResourceId"] = physical_id
    if old_props is not None:
        event["OldResourceProperties"] = custom_resource._normalise_resource_properties(old_props)  # noqa: SLF001

    answers.expect(token)
    lambda_svc.invoke_async_with_retry(lambda_svc._execution_record_for_config(record, config), event)  # noqa: SLF001
    body = answers.wait(token, float(props.get("ServiceTimeout", 3600)))
    try:
        return read_answer(body, event)
    except ResourceFailedError as failure:
        if request_type == "Create":
            remember_failed_create(failure, logical_id, props, stack_name, resource_type)
        raise


def remember_failed_create(
    failure: ResourceFailedError, logical_id: str, props: dict[str, Any], stack_name: str, resource_type: str
) -> None:
    """Keep the failed resource in the stack, so that its rollback, or the stack's deletion, sends it a Delete.

    CloudFormation does, with the id of the FAILED answer, or with one it makes up as stack-logical-random when there is
    none (aws-cdk PR 5525, remind101/empire issue 918); ministack forgets the resource and whatever it holds.
    """
    made_up = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(12))
    cloudformation._stacks[stack_name]["_resources"][logical_id] = {  # noqa: SLF001
        "PhysicalResourceId": failure.physical_id or f"{stack_name}-{logical_id}-{made_up}",
        "ResourceType": resource_type,
        "ResourceStatus": "CREATE_FAILED",
        "ResourceStatusReason": str(failure),
        "LogicalResourceId": logical_id,
        "Properties": props,
        "Attributes": {},
        "Timestamp": stacks.now_iso(),
    }


def roll_back_failed_create(original: Callable[..., Any]) -> Callable[..., Any]:
    """`_roll_back_operation` deletes what the operation created; a failed create that is remembered is among that."""

    async def roll_back(
        stack_name: str, stack_id: str, stack: dict[str, Any], operation: dict[str, Any], *more: Any
    ) -> None:
        failed = operation.get("failed_logical_id")
        resource = stack.get("_resources", {}).get(failed)
        if resource and resource["ResourceStatus"] == "CREATE_FAILED" and not operation.get("failed_update"):
            operation["created"].append(failed)
        await original(stack_name, stack_id, stack, operation, *more)

    return roll_back


def refuse_new_service_token(original: Callable[..., Any]) -> Callable[..., Any]:
    """`_custom_named_replacement_error` tells what an update may not change, before any request is sent.

    "ServiceToken ... Updates are not supported" (AWS::CloudFormation::CustomResource); ministack sends the Update.
    """

    def refused(resource_type: str, old: dict[str, Any], new: dict[str, Any], *more: Any) -> str | None:
        custom = resource_type.startswith("Custom::") or resource_type == "AWS::CloudFormation::CustomResource"
        if custom and old.get("ServiceToken") != new.get("ServiceToken"):
            return "Modifying service token is not allowed."
        reason: str | None = original(resource_type, old, new, *more)
        return reason

    return refused


def refuse_to_update_a_failed_stack(original: Callable[..., Any]) -> Callable[..., Any]:
    """`CreateChangeSet`, which is how the SAM CLI updates, ends here for a stack that CloudFormation cannot update.

    So a cure that begins with "update the stack" is no cure there; ministack refuses UpdateStack alone.
    """

    def create(parameters: dict[str, Any]) -> Any:
        kind = helpers._p(parameters, "ChangeSetType", "UPDATE")  # noqa: SLF001
        stack = handlers._resolve_stack(helpers._p(parameters, "StackName"))  # noqa: SLF001
        if kind == "UPDATE" and stack and stack["StackStatus"] in BEYOND_UPDATES:
            reason = f"Stack:{stack['StackId']} is in {stack['StackStatus']} state and can not be updated."
            return helpers._error("ValidationError", reason)  # noqa: SLF001
        return original(parameters)

    return create


def take_raw_answers(original: Callable[..., Any]) -> Callable[..., Any]:
    """`_handle_post_body_shortcuts` parses an answer and drops its text; here it is taken as it came."""

    async def shortcuts(method: str, path: str, headers: dict[str, str], body: bytes, *more: Any) -> Any:
        if method == "PUT" and path.startswith(ANSWER_PATH):
            answers.take(path.removeprefix(ANSWER_PATH), body)
            return 200, {}, b""
        return await original(method, path, headers, body, *more)

    return shortcuts


def run_on(interpreter: str, original: Callable[..., tuple[str, str]]) -> Callable[..., tuple[str, str]]:
    """Python functions run on an interpreter of their own: ministack's packages would stand in for the layer's."""

    def binary(runtime: str) -> tuple[str, str]:
        found, script = original(runtime)
        return (interpreter if runtime.startswith("python") else found), script

    return binary


def apply(interpreter: str) -> None:
    """Put the corrections in their places, which are ministack's private names: hence the one version."""
    custom_resource.invoke_custom_resource = invoke_custom_resource
    correct("_roll_back_operation", roll_back_failed_create, stacks, handlers)
    correct("_custom_named_replacement_error", refuse_new_service_token, provisioners, stacks)
    handlers._ACTION_HANDLERS["CreateChangeSet"] = refuse_to_update_a_failed_stack(  # noqa: SLF001
        handlers._ACTION_HANDLERS["CreateChangeSet"]  # noqa: SLF001
    )
    correct("_handle_post_body_shortcuts", take_raw_answers, app)
    correct("_detect_runtime_binary", partial(run_on, interpreter), lambda_runtime)
    # With USE_SSL it also takes 127.0.0.1:443 where it may, for Cognito's sake.
    app._port_is_bindable = lambda *_: False  # noqa: SLF001


def correct(name: str, correction: Callable[[Callable[..., Any]], Callable[..., Any]], *modules: ModuleType) -> None:
    """Put the corrected function `name` into every module that knows it."""
    corrected = correction(getattr(modules[0], name))
    for module in modules:
        assert hasattr(module, name)
        setattr(module, name, corrected)
