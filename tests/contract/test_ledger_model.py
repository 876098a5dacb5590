"""Explores the state machine of a purchase with concurrent invocations.

Each invocation holds a copy of a purchase record, which other invocations can make stale. It takes the steps that
lifecycle and the sweep take with such a copy. The state table is real, the telecom service is a dict. After each step
the whole table is compared with the table before it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from local.telecom import TelecomServer
from telephony.aws import state_table
from telephony.errors import UnknownOutcomeError
from telephony.lifecycle import ledger, progress
from telephony.lifecycle.ledger import Closed, OpenResult, PurchaseRecord
from telephony.lifecycle.ledger import PurchaseState as State
from telephony.lifecycle.progress import Progress
from tests.contract.state_table import create_state_table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

TRANSITIONS: Mapping[State | None, set[State]] = {
    None: {
        State.OPEN,
        State.BUYING,  # opened with a lease
        State.BOUGHT,  # the second number of a purchase
        State.READY,  # a record that the table has lost
    },
    State.OPEN: {State.BUYING, State.CLOSED},
    State.BUYING: {State.OPEN, State.BOUGHT, State.READY, State.CLOSED},
    State.BOUGHT: {State.READY, State.RELEASING, State.CLOSED},
    State.READY: {
        State.BOUGHT,  # CloudFormation never had the number
        State.RELEASING,
        State.CLOSED,
    },
    State.RELEASING: {
        State.BOUGHT,
        State.READY,  # also if an Update names the number
        State.CLOSED,
    },
    State.CLOSED: set(),
}
"""The allowed changes of state. A write can also keep the state, except CLOSED."""

RESOURCE_KEYS = ("stack-a|Number", "stack-b|Number")
RESOURCES = st.sampled_from(RESOURCE_KEYS)
REQUEST_IDS = ("r1", "r2")
NEAR = st.sampled_from([-1, 0, 1])
"""When a request was issued, relative to the newest of the resource."""
MAX_PURCHASES = 6
SLOTS = range(5)
NOW = 1_800_000_000
EXPIRATION = {"N": str(NOW + 200 * 86_400)}
SENDER_ID = "GB|ACME"
"""The only ID that can be purchased again after its release, by either resource."""

FAR_FUTURE = 10**10
"""In seconds since the epoch. Such a reservation is never due."""

type Key = tuple[str, str]
type Items = Mapping[Key, Mapping[str, Any]]


@attrs.define
class _Invocation:
    record: PurchaseRecord
    """What it read or wrote last."""
    observed: str | None = None
    """The number that the service has returned or found, and that is not recorded yet."""


@attrs.frozen
class _Latest:
    """When the newest requests of a resource were issued, or 0."""

    updated_at: float
    updated_by: str
    deleted_at: float
    released_at: float


def _step(
    *states: State,
    unless: Callable[[PurchaseRecord], bool] = lambda _: False,
    observed: bool = False,
    **arguments: Any,
) -> Callable[[Callable[..., None]], Any]:
    """Make a method a rule for an invocation that holds a copy in one of the states."""

    def chosen(machine: LedgerMachine) -> list[int]:
        return [
            slot
            for slot, each in machine.invocations.items()
            if each.record.state in states and not unless(each.record) and (each.observed is not None) is observed
        ]

    slots = st.runner().flatmap(lambda machine: st.sampled_from(chosen(machine)))

    def decorate(function: Callable[..., None]) -> Any:
        as_rule: Any = rule(slot=slots, **arguments)
        return precondition(lambda machine: bool(chosen(machine)))(as_rule(function))

    return decorate


def _key(record: PurchaseRecord) -> Key:
    return record.resource, f"purchase#{record.request_id}@{record.request_time}"


def _waiting(record: PurchaseRecord) -> Key:
    """The key of what the request of a purchase keeps while it waits."""
    return record.resource, f"request#{record.request_id}@{record.request_time}"


def _is_purchase(key: Key) -> bool:
    return key[1].startswith("purchase#")


def _ended(record: PurchaseRecord) -> bool:
    return record.ended


def _is_ended(item: Mapping[str, Any]) -> bool:
    return bool(item["ended"]["BOOL"])


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self, dynamodb: DynamoDBClient) -> None:
        super().__init__()
        self.dynamodb = dynamodb
        self.clock = 0
        self.invocations: dict[int, _Invocation] = {}
        self.items: Items = {}
        """The state table before this step."""
        self.written: dict[Key, Mapping[str, Any]] = {}
        """The purchase records that this step wrote."""
        self.others: dict[Key, Mapping[str, Any]] = {}
        """All other items, as they should be."""
        self.service: dict[str, Key] = {}
        """The numbers that are billed, and the purchase that their tags name."""
        self.sold: dict[str, str] = {}
        """The number that each ClientToken has purchased."""
        self.released_outside: set[str] = set()

    # Requests arrive.

    @initialize(
        steps=st.tuples(st.integers(0, 4), st.integers(0, 4)),
        sender_steps=st.none() | st.tuples(st.integers(2, 3), st.integers(2, 4)),
        stale=st.booleans(),
    )
    def start(self, *, steps: tuple[int, int], sender_steps: tuple[int, int] | None, stale: bool) -> None:
        """Start with a purchase of each resource, after some steps, and two invocations that hold it.

        sender_steps: both purchase the same sender ID. It was released outside of the stacks in between.
        stale: one of the invocations read the record before the last step.
        """
        for slot, resource in enumerate(RESOURCE_KEYS):
            number = f"number of {resource}" if sender_steps is None else SENDER_ID
            if number in self.service:
                self.release_outside()
            self._open(slot, resource, "r1")
            self.table_is_as_expected()
            path: list[Callable[[int], None]] = [
                self.acquire_lease,
                partial(self._acquire, number=number),
                self.complete,
                partial(self.start_release, near=None),
            ]
            before = self.invocations[slot]
            for step in path[: (sender_steps or steps)[slot]]:
                before = copy.copy(self.invocations[slot])
                step(slot)
                self.table_is_as_expected()
            self.invocations[slot + len(RESOURCE_KEYS)] = before if stale else copy.copy(self.invocations[slot])

    @precondition(lambda machine: sum(map(_is_purchase, machine.items)) < MAX_PURCHASES)
    @rule(
        slot=st.sampled_from(SLOTS),
        resource=RESOURCES,
        request_id=st.sampled_from(REQUEST_IDS),
        near=NEAR,
        again=st.booleans(),
        leased=st.booleans(),
        slot_taken=st.booleans(),
    )
    def open_purchase(self, *, slot: int, resource: str, request_id: str, near: int, **options: bool) -> None:
        self._open(slot, resource, request_id, near=near, **options)

    def _open(
        self,
        slot: int,
        resource: str,
        request_id: str,
        *,
        near: int = 1,
        again: bool = False,
        leased: bool = False,
        slot_taken: bool = False,
    ) -> None:
        self.clock += 1
        issued_at = self._near(resource, near)
        record = PurchaseRecord(
            resource=resource,
            request_id=request_id,
            request_time=issued_at,
            resource_type="Custom::SmsSenderId",
            issued_at=issued_at,
            opened_at=self.clock,
            deadline=issued_at + 2,
        )
        if leased:
            record = ledger.with_lease(record, f"invocation {self.clock}")
        rate = ("rate", f"call {self.clock}")
        reservation = state_table.conditional_update(
            state_table.key(*rate),
            "SET next_at = :at",
            f"attribute_{'exists' if slot_taken else 'not_exists'}(pk)",
            {":at": {"N": "1"}},
        )
        allowed = self._may_open(record, again=again)
        expected = OpenResult.BUSY if slot_taken else OpenResult.WRITTEN

        result = ledger.open_purchase(record, again=again, reservation=reservation)

        assert result is (expected if allowed else OpenResult.REFUSED)
        if result is OpenResult.WRITTEN:
            self.written[_key(record)] = ledger._item(record)
            self._set_latest(resource, updated_at=issued_at, updated_by=request_id)
            self.others[rate] = {**state_table.key(*rate), "next_at": {"N": "1"}}
            self.invocations[slot] = _Invocation(record)

    def _may_open(self, record: PurchaseRecord, *, again: bool) -> bool:
        """Return whether the request is the newest, and its purchase was not opened before."""
        latest, issued_at = self._latest(record.resource), record.issued_at
        if _key(record) in self.items or issued_at <= latest.deleted_at or issued_at < latest.released_at:
            return False
        if again or not latest.updated_by:
            return issued_at >= latest.updated_at
        if latest.updated_by == record.request_id:
            return issued_at == latest.updated_at  # By record_update.
        return issued_at > latest.updated_at

    @rule(resource=RESOURCES, request_id=st.none() | st.sampled_from(REQUEST_IDS), near=NEAR)
    def record_request(self, resource: str, request_id: str | None, near: int) -> None:
        """An Update, or if `request_id` is None a Delete with a generated ID."""
        latest, issued_at = self._latest(resource), self._near(resource, near)
        if request_id is None:
            ledger.record_delete(resource, issued_at)
            self._set_latest(resource, deleted_at=max(issued_at, latest.deleted_at))
        else:
            ledger.record_update(resource, request_id, issued_at)
            if issued_at > latest.updated_at:
                self._set_latest(resource, updated_at=issued_at, updated_by=request_id)
            elif issued_at == latest.updated_at and latest.updated_by != request_id:
                self._set_latest(resource, updated_by="several")

    @rule(slot=st.sampled_from(SLOTS), resource=RESOURCES, index=st.integers(0, 3))
    def read(self, slot: int, resource: str, index: int) -> None:
        history = ledger.history(resource)

        latest, purchases = self._latest(resource), history.purchases
        assert (history.updated_at, history.updated_by) == (latest.updated_at, latest.updated_by)
        own = {key: item for key, item in self.items.items() if _is_purchase(key) and key[0] == resource}
        assert {_key(record): ledger._item(record) for record in purchases} == own
        assert sorted(purchases, key=lambda record: record.opened_at) == purchases
        for request_id in REQUEST_IDS:
            for record in purchases:
                self._check_continued(history, request_id, record.request_time)
        for record in purchases:
            if record.physical_id is not None:
                last = [each for each in purchases if each.physical_id == record.physical_id][-1]
                assert history.by_physical_id(record.physical_id) is last
        if purchases:
            self.invocations[slot] = _Invocation(purchases[index % len(purchases)])

    def _check_continued(self, history: ledger.History, request_id: str, issued_at: int) -> None:
        found = history.by_request(request_id, issued_at)
        of_request = [record for record in history.purchases if record.request_id == request_id]
        live = [record for record in of_request if record.state is not State.CLOSED and not record.ended]
        same = [record for record in of_request if record.request_time == issued_at]
        assert found is next(reversed(live or same), None)

    @rule(slot=st.sampled_from(SLOTS), resource=RESOURCES, near=NEAR, index=st.integers(0, 3))
    def sweep(self, slot: int, resource: str, near: int, index: int) -> None:
        now = self._near(resource, near) + 2
        read = [ledger.read_unfinished(key, now) for key in ledger.overdue(now)]
        found = [record for record in read if record is not None]

        expected = {
            key: item
            for key, item in self.items.items()
            if _is_purchase(key)
            and item["purchase_state"]["S"] not in {State.READY, State.CLOSED}
            and float(item["deadline"]["N"]) < now
        }
        assert {_key(record): ledger._item(record) for record in found} == expected
        if found:
            self.invocations[slot] = _Invocation(found[index % len(found)])

    # Purchases: Purchaser, `end`, and the sweep's search.

    @_step(State.OPEN, State.BUYING, unless=_ended)
    def acquire_lease(self, slot: int) -> None:
        """Leases end at any time: an invocation can be slower than its lease."""
        self.clock += 1
        leased = ledger.with_lease(self.invocations[slot].record, f"invocation {self.clock}")
        self._write(slot, state=leased.state, lease_owner=leased.lease_owner, lease_until=leased.lease_until)

    @_step(
        State.BUYING,
        unless=_ended,
        sender=st.booleans(),
        token_forgotten=st.booleans(),
        response_lost=st.booleans(),
        ready=st.booleans(),
    )
    def acquire(self, slot: int, *, sender: bool, token_forgotten: bool, response_lost: bool, ready: bool) -> None:
        """The service sells a number, whether or not the copy is stale."""
        number = self.sold.get(self.invocations[slot].record.identity.token("request"))
        if number is None or token_forgotten:
            self.clock += 1
            number = SENDER_ID if sender else f"number {self.clock}"
        self._acquire(slot, number, ready=ready, response_lost=response_lost)

    def _acquire(self, slot: int, number: str, *, ready: bool = False, response_lost: bool = False) -> None:
        record = self.invocations[slot].record
        if self.service.setdefault(number, _key(record)) == _key(record):
            self.sold[record.identity.token("request")] = number
            if not response_lost:
                self.invocations[slot].observed = number
                self.record_number(slot, ready=ready, ended=False)

    @precondition(lambda machine: bool(machine.service))
    @_step(State.BUYING, by_sweep=st.booleans())
    def find(self, slot: int, *, by_sweep: bool) -> None:
        """Search by tags, also after the end of the purchase."""
        record = self.invocations[slot].record
        held = [number for number, owner in self.service.items() if owner == _key(record)]
        if held:
            self.invocations[slot].observed = held[0]
            self.record_number(slot, ready=False, ended=by_sweep)

    @_step(*State, observed=True, ready=st.booleans(), ended=st.booleans())
    def record_number(self, slot: int, *, ready: bool, ended: bool) -> None:
        """Record the number, as the second one of the purchase if the copy shows another number."""
        invocation = self.invocations[slot]
        record, number = invocation.record, invocation.observed or ""
        ended = ended or record.ended
        state = State.READY if ready and not ended else State.BOUGHT
        identity: dict[str, Any] = {"physical_id": number, "arn": f"arn:{number}"}
        if record.state is State.BUYING:
            fresh = self._is_fresh(record)
            self._done(slot, ledger.write_holder(record, state=state, ended=ended, **identity))
            if fresh:
                self._set_holder(number, record)
                invocation.observed = None
        elif record.physical_id == number:
            invocation.observed = None
        else:
            surplus_id = f"{record.request_id}#{number}"
            surplus = copy.replace(
                record, request_id=surplus_id, state=State.BOUGHT, closed=None, ended=True, **identity
            )
            self._restore(slot, surplus)

    @_step(State.OPEN, State.BUYING, another=st.booleans())
    def refuse(self, slot: int, *, another: bool) -> None:
        """The service refuses an attempt, and no earlier attempt has purchased anything."""
        record = self.invocations[slot].record
        if _key(record) in self.service.values():
            return
        if record.state is State.OPEN or record.ended or not another:
            self._write(slot, state=State.CLOSED, closed=Closed.REFUSED)
        else:
            self._write(slot, state=State.OPEN, attempt=record.attempt + 1, candidate=None, unknown_since=None)

    @_step(State.BUYING, unless=_ended, attempted=st.booleans())
    def end_lease(self, slot: int, *, attempted: bool) -> None:
        """The invocation has no open call. It leaves the purchase to the next one."""
        record = self.invocations[slot].record
        if attempted or record.unknown_since is not None or _key(record) in self.service.values():
            self._write(slot, lease_until=0, unknown_since=record.unknown_since or self.clock)
        else:
            self._write(slot, state=State.OPEN, lease_until=0, unknown_since=None)

    def _reserve(self, record: PurchaseRecord) -> None:
        """The request waits for a reservation."""
        stack_id, logical_id = record.resource.split("|")
        identity = {"stack_id": stack_id, "logical_resource_id": logical_id}
        request: Any = SimpleNamespace(**identity, request_id=record.request_id, time=record.request_time)
        self.clock += 1
        due_at = FAR_FUTURE + self.clock
        progress.save(request, Progress(due_at=due_at, slots={"service.Operation": [due_at]}))
        key = _waiting(record)
        item = state_table.get(state_table.key(*key))
        assert item is not None
        assert item["slots"] == {"M": {"service.Operation": {"L": [{"N": f"{due_at}"}]}}}
        self.others[key] = item

    @_step(State.BOUGHT, unless=_ended)
    def complete(self, slot: int) -> None:
        self._write(slot, state=State.READY, failed=False, claimed=True)

    @_step(State.OPEN, State.BUYING, State.READY, State.RELEASING, waits=st.booleans())
    def end(self, slot: int, *, waits: bool) -> None:
        """A Delete with a generated ID ends the purchase. CloudFormation never had its number."""
        record = self.invocations[slot].record
        if record.state is State.OPEN:
            if waits:
                self._reserve(record)
            self._close_open(slot)
        elif record.reported:
            from_state = "state" if record.state is State.READY else "releasing_from"
            self._write(slot, ended=True, **{from_state: State.BOUGHT})
        elif not record.ended:
            self._write(slot, ended=True)

    def _close_open(self, slot: int) -> None:
        """The reservation of the request can be used by others."""
        record = self.invocations[slot].record
        fresh, waiting = self._is_fresh(record), self.others.get(_waiting(record))
        written = ledger.close_open(record)
        if fresh and waiting is not None:
            del self.others[_waiting(record)]
            rate = ("rate", "service.Operation")
            before = self.others.get(rate, {}).get("returned", {"NS": []})["NS"]
            self.others[rate] = {**state_table.key(*rate), "returned": {"NS": [*before, waiting["due_at"]["N"]]}}
        self._done(slot, written)

    # Releases.

    @_step(State.BOUGHT, State.READY, near=NEAR | st.none())
    def start_release(self, slot: int, near: int | None) -> None:
        """By the sweep, if `near` is None, or a Delete."""
        record = self.invocations[slot].record
        issued_at: float | None = None
        if near is not None:
            released_at = self._latest(record.resource).released_at
            issued_at = max(self._near(record.resource, near), released_at)  # an older Delete lowers it
        fresh, holds = self._is_fresh(record), self._holder(record.physical_id) == _key(record)

        written = ledger.start_release(record, issued_at)

        if written is not None and holds:
            assert (written.state, written.releasing_from) == (State.RELEASING, record.state)
            if issued_at is not None:
                self._set_latest(record.resource, released_at=issued_at)
        elif written is not None:
            assert (written.state, written.closed) == (State.CLOSED, Closed.GONE)
            # After a release outside of the stacks, two purchases can be recorded in another order than they were made.
            lost = self.service.get(record.physical_id or "") != _key(record)
            assert not fresh or lost or record.physical_id in self.released_outside
        self._done(slot, written)

    @_step(State.RELEASING)
    def refuse_release(self, slot: int) -> None:
        record = self.invocations[slot].record
        self._write(slot, state=record.releasing_from, releasing_from=None)

    @_step(State.RELEASING, crash=st.booleans(), with_outcome=st.booleans())
    def release(self, slot: int, *, crash: bool, with_outcome: bool) -> None:
        record = self.invocations[slot].record
        number, gone = record.physical_id or "", True
        if self.service.get(number) == _key(record):  # A sender ID's tags are read before the call.
            gone = False
            del self.service[number]
        closed = Closed.GONE if gone else Closed.RELEASED
        if crash:
            return
        self._close(slot, closed, with_outcome=with_outcome)

    @_step(State.BOUGHT, State.RELEASING, unless=_ended)
    def named_by_update(self, slot: int) -> None:
        record = self.invocations[slot].record
        if self.service.get(record.physical_id or "") == _key(record):
            self._write(slot, state=State.READY, releasing_from=None)

    @_step(State.BOUGHT, why=st.sampled_from([Closed.LAPSED, Closed.RETAINED]))
    def close(self, slot: int, why: Closed) -> None:
        self._close(slot, why)

    @_step(
        *(state for state in State if state is not State.CLOSED),
        changes=st.sampled_from(
            [{"deadline": 9, "issued_at": 5}, {"failed": True}, {"protecting_until": 3.5}, {"searches": 1}]
        ),
        with_outcome=st.booleans(),
    )
    def change(self, slot: int, changes: Mapping[str, Any], *, with_outcome: bool) -> None:
        """A write that keeps the state."""
        write = self._write_with_outcome if with_outcome else self._write
        write(slot, **changes)

    # What happens outside the provider.

    @precondition(lambda machine: SENDER_ID in machine.service)
    @rule()
    def release_outside(self) -> None:
        del self.service[SENDER_ID]
        self.released_outside.add(SENDER_ID)

    @_step(State.READY, holder_too=st.booleans())
    def restore_lost_record(self, slot: int, *, holder_too: bool) -> None:
        record = self.invocations[slot].record
        lost = [_key(record)]
        if holder_too:
            lost.append((f"holder#{record.physical_id}", "holder"))
        for key in lost:
            self.dynamodb.delete_item(TableName="state", Key=state_table.key(*key))
            self.others.pop(key, None)
        # An invocation that started before the loss is over.
        kept = self.invocations.items()
        self.invocations = {each: one for each, one in kept if each == slot or _key(one.record) != _key(record)}
        self.items = {key: item for key, item in self.items.items() if key not in lost}
        self._restore(slot, copy.replace(record, state=State.READY, opened_at=0, ended=False, version=0))

    # Expectations.

    def _near(self, resource: str, offset: int) -> int:
        latest = self._latest(resource)
        return int(max(1, latest.updated_at, latest.deleted_at, latest.released_at) + offset)

    def _latest(self, resource: str) -> _Latest:
        item = self.others.get((resource, "latest"), {})
        times = {name: float(item.get(name, {"N": "0"})["N"]) for name in ("updated_at", "deleted_at", "released_at")}
        return _Latest(updated_by=item.get("updated_by", {"S": ""})["S"], **times)

    def _set_latest(self, resource: str, **values: Any) -> None:
        key = (resource, "latest")
        attributes = {name: ledger._attribute(value) for name, value in values.items()}
        self.others[key] = {**state_table.key(*key), **self.others.get(key, {}), **attributes, "expiration": EXPIRATION}

    def _holder(self, number: str | None) -> Key | None:
        item = self.others.get((f"holder#{number}", "holder"))
        return None if item is None else (item["holder_of"]["S"], item["purchase"]["S"])

    def _set_holder(self, number: str, record: PurchaseRecord) -> None:
        key = (f"holder#{number}", "holder")
        resource, purchase = _key(record)
        self.others[key] = {**state_table.key(*key), "holder_of": {"S": resource}, "purchase": {"S": purchase}}

    def _is_fresh(self, record: PurchaseRecord) -> bool:
        return ledger._item(record) == self.items.get(_key(record))

    def _write(self, slot: int, **changes: Any) -> None:
        self._done(slot, ledger.write(self.invocations[slot].record, **changes))

    def _close(self, slot: int, why: Closed, *, with_outcome: bool = False) -> None:
        record = self.invocations[slot].record
        reusable = record.physical_id == SENDER_ID
        holder, fresh = (f"holder#{record.physical_id}", "holder"), self._is_fresh(record)
        if with_outcome:
            writes = ledger.close_with(record, why, reusable=reusable)
            released = {"released_at": float(NOW)} if why is Closed.RELEASED else {}
            self._write_with_outcome(slot, *writes, state=State.CLOSED, closed=why, **released)
        else:
            self._done(slot, ledger.close(record, why, reusable=reusable))
        if fresh and not reusable and why is not Closed.RETAINED:
            self.others[holder] = {**self.others[holder], "expiration": EXPIRATION}

    def _write_with_outcome(self, slot: int, *writes: Any, **changes: Any) -> None:
        """Write as the outcome cache does: the record and the outcome in one transaction."""
        self.clock += 1
        record, outcome = self.invocations[slot].record, ("outcome", f"{self.clock}")
        item = {**state_table.key(*outcome), "status": {"S": "COMPLETED"}}
        writes = writes or (ledger.write_with(record, **changes),)
        failed = state_table.transact_write(state_table.conditional_put(item), *writes)
        if failed:
            assert failed == {1: "ConditionalCheckFailed"}
            self._done(slot, None)
        else:
            self.others[outcome] = item
            self._done(slot, copy.replace(record, version=record.version + 1, **changes))

    def _done(self, slot: int, written: PurchaseRecord | None) -> None:
        """Check the result of a write: it succeeds if the copy is not stale."""
        record = self.invocations[slot].record
        if self._is_fresh(record):
            assert written is not None, "a write was refused that is based on the newest version"
            self.written[_key(record)] = ledger._item(written)
        elif written is not None:
            # Another invocation has written the same.
            assert ledger._item(written) == self.items[_key(record)], "a write succeeded that is based on a stale copy"
        self.invocations[slot].record = written or ledger.refresh(record)

    def _restore(self, slot: int, record: PurchaseRecord) -> None:
        free = _key(record) not in self.items and self._holder(record.physical_id) in {None, _key(record)}

        restored = ledger.restore(record)

        assert restored is free
        if restored:
            self.written[_key(record)] = ledger._item(record)
            self._set_holder(record.physical_id or "", record)
            self.invocations[slot] = _Invocation(record)
        elif _key(record) in self.items:
            self.invocations[slot] = _Invocation(ledger.refresh(record))
        else:
            del self.invocations[slot]

    def _scan(self) -> Items:
        pages = self.dynamodb.get_paginator("scan").paginate(TableName="state", ConsistentRead=True)
        return {(item["pk"]["S"], item["sk"]["S"]): item for page in pages for item in page["Items"]}

    @invariant()
    def table_is_as_expected(self) -> None:
        before, self.items = self.items, self._scan()
        written, self.written = self.written, {}
        assert {key: item for key, item in self.items.items() if not _is_purchase(key)} == self.others
        purchases = {key: item for key, item in self.items.items() if _is_purchase(key)}
        assert {key: item for key, item in purchases.items() if item != before.get(key)} == written
        assert purchases.keys() >= {key for key in before if _is_purchase(key)}
        for key, item in written.items():
            self._check_change(key, before.get(key), item)

    def _check_change(self, key: Key, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> None:
        old, new = before and State(before["purchase_state"]["S"]), State(after["purchase_state"]["S"])
        assert new in TRANSITIONS[old or None] or (new is old and old is not State.CLOSED), f"{old} to {new}"
        if new is State.RELEASING:
            assert old is State.RELEASING or self._holder(after["physical_id"]["S"]) == key
        expires = new is State.CLOSED and after["closed"] != {"S": Closed.RETAINED}
        assert after.get("expiration") == (EXPIRATION if expires else None)
        if not before:
            return
        assert int(after["version"]["N"]) == int(before["version"]["N"]) + 1
        assert before.get("physical_id", after.get("physical_id")) == after.get("physical_id")
        if old is State.RELEASING and new is State.BOUGHT:
            assert before["releasing_from"] == {"S": State.BOUGHT}
        if _is_ended(before):
            assert _is_ended(after)
            assert new is not State.READY


@pytest.fixture
def table(container: None, telecom_server: TelecomServer, clients: dict[str, Any]) -> Callable[[], None]:
    """Creates the state table, empty. Faster than `harness`, which records the log lines of every call."""
    del container

    def create() -> None:
        telecom_server.reset()
        create_state_table(clients["dynamodb"], "state")

    return create


@pytest.mark.timeout(600)  # To simplify a failing example, Hypothesis takes up to 300 seconds.
def test_concurrent_invocations_follow_the_state_machine(table: Callable[[], None], clients: dict[str, Any]) -> None:
    class Machine(LedgerMachine):
        def __init__(self) -> None:
            table()
            super().__init__(clients["dynamodb"])

    with time_machine.travel(NOW, tick=False):
        run_state_machine_as_test(Machine, settings=settings(max_examples=60, stateful_step_count=30, deadline=None))


MILLISECONDS = st.integers(0, 10**13).map(lambda value: value / 1000)
TEXT = st.text(max_size=30)


def _optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


RECORDS = st.builds(
    PurchaseRecord,
    resource=TEXT,
    request_id=TEXT,
    request_time=st.integers(0, 10**10),
    resource_type=TEXT,
    issued_at=MILLISECONDS,
    opened_at=MILLISECONDS,
    deadline=MILLISECONDS,
    replaces=_optional(TEXT),
    state=st.sampled_from(State),
    closed=_optional(st.sampled_from(Closed)),
    attempt=st.integers(0, 100),
    candidate=_optional(TEXT),
    lease_owner=TEXT,
    lease_until=MILLISECONDS,
    unknown_since=_optional(MILLISECONDS),
    ended=st.booleans(),
    physical_id=_optional(TEXT),
    arn=_optional(TEXT),
    claimed=st.booleans(),
    failed=st.booleans(),
    protecting_until=_optional(MILLISECONDS),
    releasing_from=_optional(st.sampled_from(State)),
    searches=st.integers(0, 100),
    version=st.integers(0, 10**6),
)


def _values(record: PurchaseRecord) -> dict[str, tuple[type, Any]]:
    values = {field.name: getattr(record, field.name) for field in ledger._FIELDS}
    return {name: (type(value), value) for name, value in values.items()}


@time_machine.travel(NOW, tick=False)
@settings(deadline=None)
@given(record=RECORDS, name=st.text(min_size=1).map(lambda text: f"new {text}"), value=TEXT)
def test_record_is_read_as_it_was_written(record: PurchaseRecord, name: str, value: str) -> None:
    item = ledger._item(record)
    assert (item["pk"]["S"], item["sk"]["S"]) == _key(record)

    assert _values(ledger._record(item)) == _values(record)
    newer = {**item, name: {"S": value}}
    assert ledger._item(ledger._record(newer)) == newer, "an unknown attribute is kept"


@pytest.mark.parametrize("attribute", ["purchase_state", "releasing_from", "closed"])
@given(record=RECORDS, value=TEXT.filter(lambda text: text not in {*State, *Closed}))
def test_unknown_state_is_left_alone(attribute: str, record: PurchaseRecord, value: str) -> None:
    with pytest.raises(UnknownOutcomeError, match="newer version"):
        ledger._record({**ledger._item(record), attribute: {"S": value}})
