"""Distributed rate limiter: concurrent requests reserve calls within the account's quota.

Each operation has one item in the state table. It holds when the next slot is free, and the slots that ended requests
have returned. A call takes a slot in one atomic write, and is made when the slot is due. A request that waits longer
than an invocation keeps its slots between invocations (lifecycle/progress.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from telephony import clock
from telephony.aws import state_table
from telephony.errors import DeferredError, UnknownOutcomeError
from telephony.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

type Call = tuple[str, str]
"""Service and operation."""
type Slots = Mapping[str, Sequence[float]]
"""When reserved calls are due, in seconds since the epoch, by `service.Operation`, the earliest first."""

_PARTITION = "rate"
_INTERVAL_FACTOR = 1.02
"""Slots are slightly further apart than the rate allows, because calls arrive less evenly than they are sent."""
_WRITE_LATENCY = 0.05
"""Seconds. A call that takes an immediate slot starts this much later, after the write. The next slot allows for it."""
_ATTEMPTS = 20
_LEAD = 0.5
"""Seconds before the slots of the later calls at which the first call starts, so that they are made at their slots."""
_SPARE = 3
"""The last slots before a request's deadline, which only a request can take that has missed its own."""
_MISSED = 0.2
"""Seconds after which a slot is missed. A late call would meet the call of the next slot, and one is throttled."""


_wait_until: ContextVar[float] = ContextVar("wait_until", default=float("inf"))
"""A slot that is due later is not waited for."""
_later_until: ContextVar[float] = ContextVar("later_until", default=float("inf"))
_latest: ContextVar[float] = ContextVar("latest", default=float("inf"))
"""A slot that is due later is not taken."""
_slots: ContextVar[dict[str, list[float]]] = ContextVar("slots")
_missed: ContextVar[dict[str, list[float]]] = ContextVar("missed")
"""Slots that were due before the invocation began. They are used if no later slot is in time."""


def start_invocation(
    *, first_until: float, wait_until: float, latest: float = float("inf"), slots: Slots | None = None
) -> None:
    """Replace the reservations of an earlier request by those of this one. Times are in seconds since the epoch.

    first_until: how long this invocation can wait for the slot of its first call. wait_until: for those of later calls.
    latest: when the last call of the request can be made.
    """
    _wait_until.set(first_until)
    _later_until.set(wait_until)
    _latest.set(latest)
    saved = {name: sorted(times) for name, times in (slots or {}).items() if times}
    # The calls were waited for together: they are late if the last line is.
    now = clock.now()
    late = now - _MISSED > max((times[0] for times in saved.values()), default=0)
    _slots.set({name: [at for at in times if at > now] for name, times in saved.items()} if late else saved)
    _missed.set({name: [at for at in times if at <= now] for name, times in saved.items()} if late else {})


def unused_slots() -> Slots:
    """Return the reservations of the request that were not used."""
    return {name: times for name, times in _slots.get({}).items() if times}


def acquire(service: str, operation: str) -> None:
    """Use the reservation for a call that is made now. Makes one, and waits for it, if there is none."""
    wait((service, operation))
    _wait_until.set(_later_until.get())
    if times := _slots.get({}).get(f"{service}.{operation}"):
        times.pop(0)
        if times:
            # This call may be later than its slot.
            next_at = clock.now() + _INTERVAL_FACTOR / settings().rate(service, operation)
            times[0] = max(times[0], next_at)


def repeat(service: str, operation: str) -> None:
    """Reserve a call that was throttled again: the next slot, or the next interval if that is too late.

    In the next interval it meets the call of another request. One is throttled, and so on until the last request. A
    request that holds more slots of the operation repeats the call before them.
    """
    if per_second := settings().rate(service, operation):
        name = f"{service}.{operation}"
        slots = [clock.now() + _INTERVAL_FACTOR / per_second]
        if not _own(name):
            with suppress(UnknownOutcomeError):  # A DeferredError, or the table does not answer.
                slots = _reserve(name, per_second, 1, _latest.get())
        _own(name)[:0] = slots


def mark_reserved(service: str, operation: str) -> None:
    """Record that the request has written `immediate_slot`."""
    _own(f"{service}.{operation}").insert(0, clock.now())


def reserve(*calls: Call) -> float:
    """Reserve calls, unless they are reserved. An operation can be given several times.

    Returns when all of them can start. Raises DeferredError if a slot would be due after the request's deadline.
    """
    due_at = 0.0
    for (service, operation), number in Counter(calls).items():
        if per_second := settings().rate(service, operation):
            name = f"{service}.{operation}"
            own = _own(name)
            if len(own) < number:
                own += _reserve_or_use_missed(name, per_second, number - len(own))
                own.sort()
            due_at = max(due_at, own[0] - (0 if (service, operation) == calls[0] else _LEAD))
    return due_at


def wait(*calls: Call) -> None:
    """Reserve calls, and wait until they can start, so that `acquire` does not wait for the first of each.

    Raises DeferredError if this invocation can't wait so long. The reservations are kept.
    """
    at, now = reserve(*calls), clock.now()
    if at > max(now, _wait_until.get()):
        operations = ", ".join(dict.fromkeys(operation for _, operation in calls))
        raise DeferredError(f"The reserved call of {operations} is due in {at - now:.0f} seconds.", at=at, calls=calls)
    clock.sleep(at - now)


def immediate_slot(service: str, operation: str) -> TransactWriteItemTypeDef | None:
    """Return the write that takes a slot that is free now, for a transaction. Call `mark_reserved` once it is written.

    Returns None if the operation is not rate limited, or is reserved.
    """
    name, per_second = f"{service}.{operation}", settings().rate(service, operation)
    if not per_second or _slots.get({}).get(name):
        return None
    return state_table.conditional_update(_key(name), *_immediate(_INTERVAL_FACTOR / per_second, clock.now()))


def return_writes(slots: Slots) -> list[TransactWriteItemTypeDef]:
    """Return the writes that return slots which are not due yet, so that other requests use them."""
    returned = {
        name: {state_table.number(at)["N"] for at in times if at > clock.now()} for name, times in slots.items()
    }
    return [
        state_table.conditional_update(_key(name), "ADD returned :slots", "", {":slots": {"NS": sorted(times)}})
        for name, times in returned.items()
        if times
    ]


def _reserve_or_use_missed(name: str, per_second: float, number: int) -> list[float]:
    missed, latest = _missed.get({}).get(name, []), _latest.get()
    if len(missed) < number:
        return _reserve(name, per_second, number, latest - _SPARE * _INTERVAL_FACTOR / per_second)
    try:
        return _reserve(name, per_second, number, latest)
    except DeferredError:
        return [missed.pop(0) for _ in range(number)]


def _own(name: str) -> list[float]:
    slots = _slots.get({})
    _slots.set(slots)
    return slots.setdefault(name, [])


def _key(name: str) -> state_table.Key:
    return state_table.key(_PARTITION, name)


def _reserve(name: str, per_second: float, number: int, latest: float) -> list[float]:
    """Take slots: from now, if none is reserved, else slots that were returned, else those after the last one."""
    interval = _INTERVAL_FACTOR / per_second
    span = number * interval
    for _ in range(_ATTEMPTS):
        now = clock.now()
        taken, item = state_table.update_or_read(_key(name), *_immediate(span, now))
        if taken:
            return [now + position * interval for position in range(number)]
        free = sorted(float(at) for at in item.get("returned", {}).get("NS", []))
        returned = [at for at in free if at >= now][:number]
        if len(returned) == number and returned[-1] <= latest:
            if _take_returned(name, returned, [at for at in free if at < now]):
                return returned
            continue
        next_at = float(item.get("next_at", {}).get("N", 0))
        if (last := next_at + span - interval) > max(now, latest):
            raise DeferredError(_explained(name, per_second, last - now, latest - now), at=last)
        values = {":now": state_table.number(now), ":span": state_table.number(span)}
        values[":latest"] = state_table.number(min(latest - span + interval, _FOREVER))
        condition = "next_at > :now AND next_at <= :latest"
        if after := state_table.update(_key(name), "SET next_at = next_at + :span", condition, values):
            first = float(after["next_at"]["N"]) - span
            return [first + position * interval for position in range(number)]
    raise UnknownOutcomeError("The provider could not reserve a call within the account's rate.")


_FOREVER = 1e11


def _take_returned(name: str, taken: Sequence[float], expired: Iterable[float]) -> bool:
    numbers = [state_table.number(at)["N"] for at in taken]
    values: dict[str, Any] = {f":slot{position}": {"N": number} for position, number in enumerate(numbers)}
    condition = " AND ".join(f"contains(returned, {value})" for value in values)
    values[":removed"] = {"NS": sorted({*numbers, *(state_table.number(at)["N"] for at in expired)})}
    return state_table.update(_key(name), "DELETE returned :removed", condition, values) is not None


def _immediate(span: float, now: float) -> tuple[str, str, state_table.Values]:
    """Return change, condition and values of the write that takes the slots from `now`."""
    values = {":now": state_table.number(now), ":next": state_table.number(now + span + _WRITE_LATENCY)}
    return "SET next_at = :next REMOVE returned", "attribute_not_exists(next_at) OR next_at <= :now", values


def _explained(name: str, per_second: float, seconds: float, left: float) -> str:
    operation = name.rpartition(".")[2]
    ahead = round(seconds * per_second / _INTERVAL_FACTOR)
    return (
        f"{ahead} calls of {operation} are reserved ahead of this one, at {per_second:g} per second. "
        f"This call is due in {seconds:.0f} seconds. ServiceTimeout leaves {max(0, left):.0f} seconds."
    )
