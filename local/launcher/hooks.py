"""Adds Lambda Hooks to ministack 1.5.33, for change sets and the deletion of stacks.

Sources: CloudFormation Hooks User Guide, "Create a Lambda function for Hooks" (request, payload, answer) and "Hooks
concepts" (failure mode); aws-cdk, stack-diagnoser.test.ts (the StatusReason of a failed change set); API reference,
"Stack" and "StackEvent". Not added: Hooks for updates, as they are executed from change sets, and for resources.
"""

import contextvars
import fnmatch
import json
import threading
from collections.abc import Callable
from typing import Any

from ministack.core.concurrency import run_reentrant
from ministack.core.responses import new_uuid
from ministack.services import cloudformation, lambda_svc
from ministack.services.cloudformation import custom_resource, handlers, provisioners, stacks

from local.launcher.corrections import RESPONSE_PATH, contexts, correct

HOOK = "AWS::CloudFormation::LambdaHook"
ACTIONS = {"Add": "CREATE", "Modify": "UPDATE", "Remove": "DELETE"}

_hooks: dict[str, dict[str, Any]] = {}
"""The properties of each Hook, by alias."""
_payloads: dict[str, bytes] = {}
"""By token of their signed URL."""


def failures(target: str, action: str, stack: dict[str, Any], payload: Any, change_set_id: str = "") -> str:
    """Invoke the Hooks of an operation. Returns the reason for which it fails, or an empty text."""
    failed = []
    for alias, hook in list(_hooks.items()):
        if _concerns(hook, target, stack["StackName"]):
            answer = _invoke(alias, hook, target, action, stack, payload, change_set_id)
            if answer.get("hookStatus") != "SUCCESS" and hook["FailureMode"] == "FAIL":
                failed.append((alias, answer.get("message", "")))
    if not failed:
        return ""
    # The message is in the result of the Hook, which ministack does not have.
    names, messages = ", ".join(alias for alias, _ in failed), " ".join(message for _, message in failed)
    return f"The following hook(s) failed: [{names}] {messages}".strip()


def _concerns(hook: dict[str, Any], target: str, stack_name: str) -> bool:
    """Return whether a Hook is invoked for an operation of a stack."""
    names = hook.get("StackFilters", {}).get("StackNames", {})
    included, excluded = (
        any(fnmatch.fnmatchcase(stack_name, pattern) for pattern in names.get(name, default))
        for name, default in (("Include", ["*"]), ("Exclude", []))
    )
    return target in hook["TargetOperations"] and hook["HookStatus"] == "ENABLED" and included and not excluded


def _invoke(  # noqa: PLR0917 - what the event contains
    alias: str,
    hook: dict[str, Any],
    target: str,
    action: str,
    stack: dict[str, Any],
    payload: Any,
    change_set_id: str,
) -> dict[str, Any]:
    token = new_uuid()
    _payloads[token] = json.dumps(payload).encode()
    name = change_set_id if target == "CHANGE_SET" else stack["StackName"]
    url = custom_resource._response_url(token)  # noqa: SLF001
    event = {
        "clientRequestToken": new_uuid(),
        "awsAccountId": stack["StackId"].split(":")[4],
        "stackId": stack["StackId"],
        "changeSetId": change_set_id,
        "hookTypeName": alias,
        "hookTypeVersion": "00000001",
        "hookModel": {"LambdaFunction": hook["LambdaFunction"]},
        "actionInvocationPoint": f"{action}_PRE_PROVISION",
        "requestData": {"targetName": target, "targetType": target, "targetLogicalId": name, "payload": url},
        "requestContext": {"invocation": 1, "callbackContext": None},
    }
    record, config, _ = lambda_svc._get_func_record_for_ref(hook["LambdaFunction"])  # noqa: SLF001
    if record is None or config is None:
        return {"message": "The function of the Hook does not exist."}
    result = lambda_svc._execute_function_with_config_scope(  # noqa: SLF001
        lambda_svc._execution_record_for_config(record, config),  # noqa: SLF001
        event,
    )
    _payloads.pop(token, None)
    body = result.get("body")
    try:
        answer = json.loads(body) if isinstance(body, (str, bytes)) else body
    except ValueError:
        answer = None
    if result.get("error") or not isinstance(answer, dict):
        return {"message": "The function of the Hook failed."}
    same = answer.get("clientRequestToken") == event["clientRequestToken"]
    return answer if same else {"message": "The clientRequestToken of the answer differs."}


def check_change_sets(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make `CreateChangeSet` invoke the Hooks before a change set is complete."""

    def create(parameters: dict[str, Any]) -> Any:
        known = set(cloudformation._change_sets)  # noqa: SLF001
        answer = original(parameters)
        for each in set(cloudformation._change_sets) - known:  # noqa: SLF001
            change_set = cloudformation._change_sets[each]  # noqa: SLF001
            if _hooks and change_set["Status"] == "CREATE_COMPLETE":
                complete = {name: change_set[name] for name in ("Status", "ExecutionStatus")}
                change_set |= {"Status": "CREATE_IN_PROGRESS", "ExecutionStatus": "UNAVAILABLE"}
                context = contextvars.copy_context()
                # The function calls this process.
                threading.Thread(target=context.run, args=(_check, change_set, complete), daemon=True).start()
        return answer

    return create


def _check(change_set: dict[str, Any], complete: dict[str, str]) -> None:
    stack = handlers._resolve_stack(change_set["StackName"])  # noqa: SLF001
    shown = dict(contexts(change_set))
    listed = [
        {
            "logicalResourceId": one["LogicalResourceId"],
            "resourceType": one["ResourceType"],
            "action": ACTIONS.get(one["Action"], one["Action"]),
            "lineNumber": 1,
            "beforeContext": shown[one["LogicalResourceId"]].get("BeforeContext"),
            "afterContext": shown[one["LogicalResourceId"]].get("AfterContext"),
        }
        for one in (change["ResourceChange"] for change in change_set["Changes"])
    ]
    payload = {"template": change_set["_template_body"], "changedResources": listed}
    reason = failures("CHANGE_SET", "CREATE", stack, payload, change_set["ChangeSetId"])
    if reason:
        change_set |= {"Status": "FAILED", "StatusReason": f"Change set creation failed. {reason}"}
    else:
        change_set |= complete


def check_deletions(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make `_delete_stack_async` invoke the Hooks. The payload is empty."""

    async def delete(stack_name: str, stack_id: str, *more: Any, **options: Any) -> None:
        stack = cloudformation._stacks.get(stack_name)  # noqa: SLF001
        reason = ""
        if _hooks and stack:
            stack["StackStatus"] = "DELETE_IN_PROGRESS"
            empty = {"template": None, "previousTemplate": None}
            reason = await run_reentrant(failures, "STACK", "DELETE", stack, empty, thread_name="hooks")
        if not reason:
            await original(stack_name, stack_id, *more, **options)
            return
        assert stack is not None
        stack |= {"StackStatus": "DELETE_FAILED", "StackStatusReason": reason}
        kind = "AWS::CloudFormation::Stack"
        stacks._add_event(  # noqa: SLF001
            stack_id, stack_name, stack_name, kind, "DELETE_FAILED", reason, physical_id=stack_id
        )

    return delete


def serve_payloads(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make `_handle_post_body_shortcuts` return the payload behind a signed URL."""

    async def shortcuts(method: str, path: str, headers: dict[str, str], body: bytes, *more: Any) -> Any:
        if method == "GET" and path.startswith(RESPONSE_PATH):
            payload = _payloads.get(path.removeprefix(RESPONSE_PATH))
            return (403, {}, b"") if payload is None else (200, {"Content-Type": "application/json"}, payload)
        return await original(method, path, headers, body, *more)

    return shortcuts


def _create(_logical_id: str, properties: dict[str, Any], _stack_name: str) -> tuple[str, dict[str, Any]]:
    alias = properties["Alias"]
    if alias in _hooks:
        raise ValueError(f"The alias {alias} is in use.")
    _hooks[alias] = properties
    function = properties["LambdaFunction"].split(":")
    arn = f"arn:aws:cloudformation:{function[3]}:{function[4]}:type/hook/{alias.replace('::', '-')}"
    return arn, {"HookArn": arn}


def _update(physical_id: str, _old: dict[str, Any], properties: dict[str, Any], *_: Any) -> tuple[str, dict[str, Any]]:
    _hooks[properties["Alias"]] = properties
    return physical_id, {"HookArn": physical_id}


def _delete(_physical_id: str, properties: dict[str, Any]) -> None:
    _hooks.pop(properties["Alias"], None)


def apply() -> None:
    """Add the Hooks."""
    from ministack import app  # noqa: PLC0415 - imported after the corrections

    provisioners._RESOURCE_HANDLERS[HOOK] = {"create": _create, "update": _update, "delete": _delete}  # noqa: SLF001
    actions = handlers._ACTION_HANDLERS  # noqa: SLF001
    actions["CreateChangeSet"] = check_change_sets(actions["CreateChangeSet"])
    correct("_delete_stack_async", check_deletions, stacks, handlers)
    correct("_handle_post_body_shortcuts", serve_payloads, app)
