"""Corrections of ministack 1.5.33 where its queues, and its Lambda's use of them, deviate from AWS.

Not corrected, because tests/template checks it: Lambda rejects an event source mapping of a function whose timeout is
longer than the visibility timeout of its queue.
"""

import logging
import re
from collections.abc import Callable
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import lambda_svc, sqs

from local.launcher.corrections import correct

LOGGER = logging.getLogger("lambda")
RECEIVE = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
"""Needed by the execution role of a function with an event source mapping (Lambda developer guide, "Using Lambda with
Amazon SQS")."""
MAX_DELAY, MAX_VISIBILITY_TIMEOUT = 900, 43200
"""Seconds (SQS API reference, SendMessage and ChangeMessageVisibility)."""
SESSION = re.compile(r"arn:aws:sts::(\d+):assumed-role/([^/]+)/.+")


def name_role_as_principal(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make `_resolve_condition_key` return the role of a session for aws:PrincipalArn.

    ministack returns the session, so that a policy that excepts a role denies it too. Source: IAM user guide, "AWS
    global condition context keys". The roles of the provider have no path.
    """

    def resolve(key: str, context: Any) -> Any:
        value = original(key, context)
        session = SESSION.fullmatch(value) if key.lower() == "aws:principalarn" else None
        return f"arn:aws:iam::{session[1]}:role/{session[2]}" if session else value

    return resolve


def may(function: dict[str, Any], action: str, queue_arn: str) -> bool:
    """Return whether the role of a function may do this with a queue, by its own policies and the queue's."""
    _, _, _, region, account, _ = queue_arn.split(":")
    role = function["Role"].rpartition("/")[2]
    context = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{account}:assumed-role/{role}/{function['FunctionName']}",
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=queue_arn,
        region=region,
        secure_transport=True,
    )
    own = iam_evaluator.evaluate(context, iam_evaluator._gather_role_policies(role, account))  # noqa: SLF001
    policy, owner = sqs.queue_policy_for_arn(queue_arn) or ("", account)
    return bool(iam_evaluator.combine_resource_policy(own, context, policy, owner).decision == "Allow")


def receive_with_permission(original: Callable[..., int]) -> Callable[..., int]:
    """Make `_sqs_esm_concurrency`, which is called before a message is received, return 0 without the permission.

    Lambda receives and deletes messages with the function's role (source: see RECEIVE); ministack needs no permission.
    A MaximumConcurrency from a template's parameter is text, which ministack can't compare with a number.
    """

    def concurrency(mapping: dict[str, Any], record: Any, config: dict[str, Any], *more: Any) -> int:
        missing = [action for action in RECEIVE if not may(config, action, mapping["EventSourceArn"])]
        if missing:
            mapping["LastProcessingResult"] = f"PROBLEM: the execution role lacks {', '.join(missing)}"
            return 0
        scaling = {name: int(value) for name, value in (mapping.get("ScalingConfig") or {}).items()}
        return original({**mapping, "ScalingConfig": scaling}, record, config, *more)

    return concurrency


def send_with_permission(original: Callable[..., None]) -> Callable[..., None]:
    """Make `_route_async_failure` send a failed event to a queue only with the permission.

    Lambda sends it with the function's role (Lambda developer guide, "Retaining records of asynchronous invocations");
    ministack needs no permission.
    """

    def route(target_arn: str, name: str, *more: Any) -> None:
        config = lambda_svc._functions[name]["config"]  # noqa: SLF001
        if ":sqs:" in target_arn and not may(config, "sqs:SendMessage", target_arn):
            LOGGER.error("Lambda %s may not send a failed event to %s", name, target_arn)
            return
        original(target_arn, name, *more)

    return route


def limit(name: str, most: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make an operation reject a parameter above its limit, which ministack does not check."""

    def correction(original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(parameters: dict[str, Any], *more: Any) -> Any:
            if int(parameters.get(name) or 0) > most:
                reason = f"Value {parameters[name]} for parameter {name} is invalid. Reason: Must be at most {most}."
                raise sqs._Err("InvalidParameterValue", reason)  # noqa: SLF001
            return original(parameters, *more)

        return operation

    return correction


def apply() -> None:
    """Apply the corrections. They replace private names of ministack, so they are valid for one version only."""
    correct("_resolve_condition_key", name_role_as_principal, iam_evaluator)
    correct("_sqs_esm_concurrency", receive_with_permission, lambda_svc)
    correct("_route_async_failure", send_with_permission, lambda_svc)
    limits = {
        "SendMessage": ("DelaySeconds", MAX_DELAY),
        "ChangeMessageVisibility": ("VisibilityTimeout", MAX_VISIBILITY_TIMEOUT),
    }
    for action, (name, most) in limits.items():
        sqs._HANDLERS[action] = limit(name, most)(sqs._HANDLERS[action])  # noqa: SLF001
