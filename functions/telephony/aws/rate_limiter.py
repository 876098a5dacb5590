"""Distributed rate limiter: concurrent invocations reserve calls within the account's quota.

Each operation has one item in the state table, which holds when its next slot is free. A call moves that time by one
interval in one atomic write, and waits until its own slot. A call that is throttled anyway, because other applications
use the same quota, makes a new reservation.
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
_INTERVAL_FACTOR = 1.02
"""Slots are slightly further apart than the rate allows, because calls arrive less evenly than they are sent."""
_WRITE_LATENCY = 0.05
"""Seconds. A call that takes an immediate slot starts this much later, after the write. The next slot allows for it."""
_ATTEMPTS = 20

_deadline: ContextVar[float] = ContextVar("deadline", default=float("inf"))
_reserved: ContextVar[frozenset[str]] = ContextVar("reserved", default=frozenset())


def start_invocation(deadline: float) -> None:
    """Drop earlier reservations. deadline: seconds since the epoch; a later reservation is not waited for."""
    _deadline.set(deadline)
    _reserved.set(frozenset())


def acquire(service: str, operation: str) -> None:
    """Use the reservation for a call that is made now. Makes one, and waits for it, if there is none."""
    wait_for_reservation(service, operation)
    _reserved.set(_reserved.get() - {f"{service}.{operation}"})


def wait_for_reservation(
    service: str, operation: str, *, reserved_at: float | None = None, contended: bool = False
) -> None:
    """Reserve a call and wait until it is due, so that `acquire` returns at once.

    reserved_at: a reservation that an earlier invocation made and could not wait for. contended: other reservations
    were pending a moment ago. Raises DeferredError if the reservation is due after the deadline. A slot that is free
    now is never too late: the caller checks its own deadline.
    """
    name = f"{service}.{operation}"
    per_second = settings().rate(service, operation)
    if not per_second or name in _reserved.get():
        return
    interval = _INTERVAL_FACTOR / per_second
    at = _reserve(name, interval, contended=contended) if reserved_at is None else reserved_at
    now = clock.now()
    if at > max(now, _deadline.get()):
        ahead = round((at - now) / interval)
        raise DeferredError(
            f"{ahead} calls of {operation} are reserved ahead of this one, at {per_second:g} per second. "
            f"This call is due in {at - now:.0f} seconds.",
            at=at,
        )
    clock.sleep(at - now)
    mark_reserved(service, operation)


def reservation_write(service: str, operation: str) -> TransactWriteItemTypeDef | None:
    """Return the write that takes an immediate slot, for use in a transaction. Call `mark_reserved` once it is written.

    Returns None if the operation is not rate limited, or is reserved already.
    """
    name, per_second = f"{service}.{operation}", settings().rate(service, operation)
    if not per_second or name in _reserved.get():
        return None
    key = state_table.key(_PARTITION, name)
    return state_table.conditional_update(key, *_immediate_slot(_INTERVAL_FACTOR / per_second, clock.now()))


def mark_reserved(service: str, operation: str) -> None:
    """Record that this invocation holds a reservation that is due."""
    _reserved.set(_reserved.get() | {f"{service}.{operation}"})


def _reserve(name: str, interval: float, *, contended: bool) -> float:
    """Reserve a slot: now, if none is reserved ahead, else one interval after the last. Returns when it is due."""
    key = state_table.key(_PARTITION, name)
    for _ in range(_ATTEMPTS):
        now = clock.now()
        if not contended and state_table.update(key, *_immediate_slot(interval, now)):
            return now
        contended = False
        values = {":now": state_table.number(now), ":interval": state_table.number(interval)}
        item = state_table.update(key, "SET next_at = next_at + :interval", "next_at > :now", values)
        if item:
            return float(item["next_at"]["N"]) - interval
    raise UnknownOutcomeError("The provider could not reserve a call within the account's rate.")


def _immediate_slot(interval: float, now: float) -> tuple[str, str, state_table.Values]:
    """Return change, condition and values of the write that takes the slot at `now`."""
    values = {":now": state_table.number(now), ":next": state_table.number(now + interval + _WRITE_LATENCY)}
    return "SET next_at = :next", "attribute_not_exists(pk) OR next_at <= :now", values
