"""A call's turn in the account's rate: concurrent invocations stand in line instead of colliding.

Each operation has one item in the state table, which holds when its next turn is. A call moves that on by one interval,
in one atomic write, and waits for the turn it got. Who is throttled all the same, because others use the account too,
takes another turn.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from telephony import clock
from telephony.aws import state_table
from telephony.errors import DeferredError, UnknownOutcomeError
from telephony.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_PARTITION = "rate"
_SLACK = 1.02
"""Turns are a little further apart than the rate allows: calls do not arrive as evenly as they are sent."""
_WRITE = 0.05
"""Seconds by which who finds a free turn is behind it, because it had to be written: the next one waits for that."""
_TRIES = 20

_until: ContextVar[float] = ContextVar("until", default=float("inf"))
_reserved: ContextVar[frozenset[str]] = ContextVar("in_hand", default=frozenset())


def start_invocation(until: float) -> None:
    """Start an invocation: no turn is in hand, and none after `until` (seconds since the epoch) is waited for."""
    _until.set(until)
    _reserved.set(frozenset())


def wait_for_reservation(service: str, operation: str, *, reserved: float | None = None, behind: bool = False) -> None:
    """Wait for a turn before the call is made, so that the call itself need not: `take` finds it in hand.

    reserved: a turn that an earlier invocation got and could not wait for. Raise DeferredError if this one cannot either.
    A turn that is free at this moment is never too late: that is for the caller to say.
    behind: others were seen to stand in line a moment ago.
    """
    name = f"{service}.{operation}"
    per_second = settings().rate(service, operation)
    if not per_second or name in _reserved.get():
        return
    interval = _SLACK / per_second
    at = _next_slot(name, interval, behind=behind) if reserved is None else reserved
    now = clock.now()
    if at > max(now, _until.get()):
        ahead = round((at - now) / interval)
        raise DeferredError(
            f"{ahead} calls of {operation} are ahead of this one, at {per_second:g} per second: "
            f"its turn comes in {at - now:.0f} seconds.",
            at=at,
        )
    clock.sleep(at - now)
    mark_reserved(service, operation)


def reservation_write(service: str, operation: str) -> TransactWriteItemTypeDef | None:
    """Describe the write that takes the turn of this moment, if nobody stands in line: for a transaction with others.

    None if there is nothing to take. Once it is written, `hold` says so.
    """
    name, per_second = f"{service}.{operation}", settings().rate(service, operation)
    if not per_second or name in _reserved.get():
        return None
    return state_table.conditional_update(
        state_table.key(_PARTITION, name), *_immediate_slot(_SLACK / per_second, clock.now())
    )


def mark_reserved(service: str, operation: str) -> None:
    """Note that a turn is in hand."""
    _reserved.set(_reserved.get() | {f"{service}.{operation}"})


def acquire(service: str, operation: str) -> None:
    """Use up a turn for the call that is made now, waiting for one if there is none in hand."""
    wait_for_reservation(service, operation)
    _reserved.set(_reserved.get() - {f"{service}.{operation}"})


def _next_slot(name: str, interval: float, *, behind: bool) -> float:
    """Get a turn: now, if nobody stands in line, or one interval after the last that was given."""
    item = state_table.key(_PARTITION, name)
    for _ in range(_TRIES):
        now = clock.now()
        if not behind and state_table.update(item, *_immediate_slot(interval, now)):
            return now
        behind = False
        values = {":now": state_table.number(now), ":interval": state_table.number(interval)}
        moved = state_table.update(item, "SET next_at = next_at + :interval", "next_at > :now", values)
        if moved:
            return float(moved["next_at"]["N"]) - interval
    raise UnknownOutcomeError("No turn in the account's rate could be reserved.")


def _immediate_slot(interval: float, now: float) -> tuple[str, str, state_table.Values]:
    """Change, condition and values of the write that takes the turn of this moment."""
    values = {":now": state_table.number(now), ":next": state_table.number(now + interval + _WRITE)}
    return "SET next_at = :next", "attribute_not_exists(pk) OR next_at <= :now", values
