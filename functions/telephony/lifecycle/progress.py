"""What a request keeps between two invocations, while it waits in the queue.

    pk                       sk                                 holds
    <StackId>|<LogicalId>    request#<RequestId>@<issued at>    a Progress

It contains no decision: without it, a request only waits again. Items expire a day after the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from telephony.aws import rate_limiter, state_table
from telephony.cloudformation.request import Request
from telephony.data import data
from telephony.errors import HandlerErrorCode, UnknownOutcomeError

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

PREFIX = "request#"
_EXPIRES_AFTER = 86_400


@data
class Progress:
    """What earlier invocations of a request left. Times are in seconds since the epoch."""

    due_at: float = 0
    """When the next step is due."""
    slots: rate_limiter.Slots = attrs.field(factory=dict)
    """Reservations of calls that were not made yet."""
    noticed: Mapping[str, float] = attrs.field(factory=dict)
    """When conditions that the request waits for were first seen."""
    defects: int = 0
    """Unexpected exceptions."""
    error: UnknownOutcomeError = attrs.field(factory=lambda: _error(None))
    """What prevented the last step, without declared values."""


def load(request: Request) -> Progress:
    """Return what earlier invocations saved. Raises UnknownOutcomeError if the table can't be read."""
    item = state_table.get(_key(_resource(request), request.request_id, request.time))
    return _progress(item or {})


def save(request: Request, progress: Progress) -> None:
    """Save the progress of a request that will be continued. Raises UnknownOutcomeError if that fails."""
    slots = {name: {"L": [state_table.number(at) for at in times]} for name, times in progress.slots.items() if times}
    error = progress.error
    item: dict[str, Any] = {
        **_key(_resource(request), request.request_id, request.time),
        "due_at": state_table.number(progress.due_at),
        "slots": {"M": slots},
        "noticed": {"M": {name: state_table.number(at) for name, at in progress.noticed.items()}},
        "defects": state_table.number(progress.defects),
        "error": {"M": {"cause": {"S": error.cause}, "code": {"S": error.error_code}, "remedy": {"S": error.remedy}}},
        "expiration": state_table.number(int(progress.due_at) + _EXPIRES_AFTER),
    }
    state_table.replace(item)


def end(resource: str, request_id: str, request_time: int) -> list[TransactWriteItemTypeDef]:
    """Return the writes that return the reservations of another request, which has been canceled."""
    key = _key(resource, request_id, request_time)
    item = state_table.get(key)
    if item is None:
        return []
    returned = rate_limiter.return_writes(_progress(item).slots)
    return [state_table.conditional_delete(key, "attribute_exists(pk)"), *returned] if returned else []


def return_unused(request: Request, *, saved: bool) -> None:
    """Return the reservations that a finished request did not need. saved: it has a Progress, which is removed.

    If another request has canceled this one, it has returned them already.
    """
    if returned := rate_limiter.return_writes(rate_limiter.unused_slots()):
        key = _key(_resource(request), request.request_id, request.time)
        removed = [state_table.conditional_delete(key, "attribute_exists(pk)")] if saved else []
        state_table.transact(*removed, *returned)


def _resource(request: Request) -> str:
    return f"{request.stack_id}|{request.logical_resource_id}"


def _key(resource: str, request_id: str, request_time: int) -> state_table.Key:
    return state_table.key(resource, f"{PREFIX}{request_id}@{request_time}")


def _progress(item: Mapping[str, Any]) -> Progress:
    slots = item.get("slots", {}).get("M", {})
    noticed = item.get("noticed", {}).get("M", {})
    return Progress(
        due_at=float(item.get("due_at", {}).get("N", 0)),
        slots={name: [float(at["N"]) for at in times["L"]] for name, times in slots.items()},
        noticed={name: float(at["N"]) for name, at in noticed.items()},
        defects=int(item.get("defects", {}).get("N", 0)),
        error=_error(item.get("error", {}).get("M")),
    )


def _error(saved: Mapping[str, Any] | None) -> UnknownOutcomeError:
    if saved is None:
        return UnknownOutcomeError("It left no cause, such as an invocation that ran out of time.")
    known = saved["code"]["S"] in HandlerErrorCode  # A newer version may have written another one.
    code = HandlerErrorCode(saved["code"]["S"]) if known else HandlerErrorCode.INTERNAL_FAILURE
    return UnknownOutcomeError(saved["cause"]["S"], error_code=code, remedy=saved["remedy"]["S"])
