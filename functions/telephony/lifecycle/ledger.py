"""What we bought for whom: the lock against buying twice, and the memory of what must be released.

One item per purchase, written before the money is spent, and one per resource that says what came last:

    pk                          sk                    holds
    <StackId>|<LogicalId>       purchase#<RequestId>    an PurchaseRecord
    <StackId>|<LogicalId>       latest                when the newest Update, and the newest Delete without an id, came

    INTENT ──▶ BOUGHT ──▶ READY ──▶ RELEASED          REFUSED  certain that nothing was bought
                                                      SUSPECT  something may have been bought; the sweep looks again
                                                      LAPSED   a Connect claim that failed; it goes by itself

Every write is conditional, and repeating one does no harm. Items have no TTL: a number lives longer than any guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING

import attrs

from telephony import clock
from telephony.aws import state_table
from telephony.errors import UnknownOutcomeError
from telephony.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_LATEST = "latest"
_FORGOTTEN = 86_400
"""Seconds after which no run of a request comes any more."""


class PurchaseState(StrEnum):
    """How far a purchase has come."""

    OPEN = "OPEN"
    BOUGHT = "BOUGHT"
    READY = "READY"
    """Its request is answered with SUCCESS from here on: it is CloudFormation's to end it."""
    RELEASED = "RELEASED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"
    EXPIRED = "EXPIRED"


@attrs.frozen(repr=False, eq=False)
class PurchaseRecord:
    """One purchase, or the wish for one. Times are seconds since the epoch."""

    resource: str
    """<StackId>|<LogicalResourceId>."""
    request_id: str
    request_type: str
    resource_type: str
    replaces: str | None
    """The id that an Update named; None of a Create."""
    issued_at: float
    """When CloudFormation issued the request; when it was first seen, if the URL does not tell."""
    opened_at: float
    state: PurchaseState = PurchaseState.OPEN
    attempt: int = 0
    """Rises after a definite refusal only: the services pin failures to the ClientToken."""
    candidate: str | None = None
    """Connect: the E.164 number that is being claimed; a retry claims the same."""
    lease_owner: str = ""
    lease_until: float = 0
    """0: no attempt to buy was ever begun."""
    canceled: bool = False
    """A Delete came: nothing may be bought any more, and what was bought goes."""
    referenced: bool = False
    """An Update of CloudFormation named the number: it knows the id."""
    response_accepted_at: float | None = None
    """When its SUCCESS was taken in time: CloudFormation knows the id, unless it had canceled the request before."""
    physical_id: str | None = None
    reserved_at: float | None = None
    """A turn in the account's rate that was reserved and is still to come."""

    @property
    def live(self) -> bool:
        """Whether a number stands behind it."""
        return self.state in {PurchaseState.BOUGHT, PurchaseState.READY}

    @property
    def open(self) -> bool:
        """Whether there may be a number that was not released."""
        return self.live or self.state in {PurchaseState.OPEN, PurchaseState.UNKNOWN}

    @property
    def unwanted(self) -> bool:
        """Whether there may be a number that nobody was promised, or that was to be given back and was not."""
        return self.open and (self.state is not PurchaseState.READY or self.canceled)

    @property
    def begun(self) -> bool:
        """Whether an attempt to buy was ever begun."""
        return self.lease_until > 0


@attrs.frozen(repr=False, eq=False)
class History:
    """All that the ledger knows of one resource, the oldest purchase first."""

    purchases: Sequence[PurchaseRecord]
    protected_at: float | None = None
    """When the newest Update that was to switch deletion protection on was issued; whether it did is not known."""

    def of_request(self, request_id: str) -> PurchaseRecord | None:
        """The purchase of one request."""
        return next((record for record in self.purchases if record.request_id == request_id), None)

    def of_number(self, physical_id: str) -> PurchaseRecord | None:
        """The purchase that brought this number; the newest, where an id can come back (sender IDs)."""
        found = [record for record in self.purchases if record.physical_id == physical_id]
        return found[-1] if found else None


def resource_key(stack_id: str, logical_resource_id: str) -> str:
    """The partition key of a resource."""
    return f"{stack_id}|{logical_resource_id}"


def history(resource: str) -> History:
    """Everything about one resource, consistently read."""
    items = {item["sk"]["S"]: item for item in state_table.query(resource)}
    latest = items.pop(_LATEST, {})
    purchases = sorted(map(_record, items.values()), key=lambda record: record.opened_at)
    return History(purchases, _time(latest, "protected_at"))


def refresh(record: PurchaseRecord) -> PurchaseRecord:
    """The purchase as it stands now."""
    item = state_table.get(_key(record))
    if item is None:
        raise UnknownOutcomeError("The ledger lost a purchase.")
    return _record(item)


def unknown_purchases() -> Iterator[PurchaseRecord]:
    """Every purchase that may have brought something nobody knows; a scan, for the daily sweep.

    Besides the SUSPECT ones, those that were begun, or were to be given back, a day ago, and that no run came back to.
    """
    condition = (
        "purchase_state = :unknown OR (opened_at < :old AND ("
        "(purchase_state = :open AND lease_until > :zero) OR "
        "(purchase_state IN (:bought, :ready) AND canceled = :true)))"
    )
    values: state_table.Values = {
        ":unknown": {"S": PurchaseState.UNKNOWN},
        ":open": {"S": PurchaseState.OPEN},
        ":bought": {"S": PurchaseState.BOUGHT},
        ":ready": {"S": PurchaseState.READY},
        ":true": {"BOOL": True},
        ":zero": state_table.number(0),
        ":old": state_table.number(clock.now() - _FORGOTTEN),
    }
    for item in state_table.scan(condition, values):
        yield _record(item)


class OpenResult(Enum):
    """What became of the wish to buy."""

    WRITTEN = auto()
    REFUSED = auto()
    """This request has one already, or a newer request for the resource has been worked on."""
    BUSY = auto()
    """Somebody else was at the turn, or at one of the items: nothing was written."""


def open_purchase(record: PurchaseRecord, *, turn: TransactWriteItemTypeDef | None = None) -> OpenResult:
    """Write the wish to buy, before anything is bought; with it the lease, if it has one, and a turn, if given.

    One transaction, so that a request that comes at the same moment is either seen here or sees the record.
    """
    opened = state_table.conditional_put(_item(record), "attribute_not_exists(pk)")
    newest = state_table.condition_check(
        state_table.key(record.resource, _LATEST),
        "(attribute_not_exists(deleted_at) OR deleted_at < :issued) AND "
        "(attribute_not_exists(updated_at) OR updated_at <= :issued)",
        {":issued": state_table.number(record.issued_at)},
    )
    in_the_way = state_table.transact_write(opened, newest, *([] if turn is None else [turn]))
    if not in_the_way:
        return OpenResult.WRITTEN
    refused = {place for place, code in in_the_way.items() if code != state_table.CONFLICT}
    return OpenResult.REFUSED if refused & {0, 1} else OpenResult.BUSY


def with_lease(record: PurchaseRecord, owner: str) -> PurchaseRecord:
    """The purchase with the lease of one attempt to buy, to be written by `open_purchase`."""
    return attrs.evolve(record, lease_owner=owner, lease_until=clock.now() + settings().lease)


def acquire_lease(record: PurchaseRecord, owner: str) -> PurchaseRecord | None:
    """Begin another attempt to buy, as record.attempt and record.candidate say; None if it may not be.

    It may not be when the purchase was canceled, is past INTENT, or another invocation holds a live lease, or has had
    one since `record` was read: what that one did has to be looked for first.
    """
    now = clock.now()
    return _change(
        record,
        # A turn that was kept is used up with the attempt.
        "SET lease_owner = :owner, lease_until = :until, attempt = :attempt, candidate = :candidate REMOVE reserved_at",
        "purchase_state = :open AND canceled = :false AND lease_until = :seen "
        "AND (lease_until < :now OR lease_owner = :owner)",
        {
            ":owner": {"S": owner},
            ":until": state_table.number(now + settings().lease),
            ":attempt": state_table.number(record.attempt),
            ":candidate": {"S": record.candidate or ""},
            ":open": {"S": PurchaseState.OPEN},
            ":false": {"BOOL": False},
            ":seen": state_table.number(record.lease_until),
            ":now": state_table.number(now),
        },
    )


def mark_bought(record: PurchaseRecord, physical_id: str) -> PurchaseRecord | None:
    """Write that the number is there. A fact, so written even if canceled meanwhile.

    None if the purchase has come further, or to its end, by another run.
    """
    return _change(
        record,
        "SET purchase_state = :bought, physical_id = :id",
        "purchase_state IN (:open, :unknown) OR (purchase_state = :bought AND physical_id = :id)",
        {
            ":bought": {"S": PurchaseState.BOUGHT},
            ":open": {"S": PurchaseState.OPEN},
            ":unknown": {"S": PurchaseState.UNKNOWN},
            ":id": {"S": physical_id},
        },
    )


def mark_ready(record: PurchaseRecord, physical_id: str) -> PurchaseRecord | None:
    """Write that the number is there, and promise it to CloudFormation; None if a Delete has come between."""
    return _change(
        record,
        "SET purchase_state = :ready, physical_id = :id",
        "canceled = :false AND "
        "(purchase_state IN (:open, :unknown) OR (purchase_state IN (:bought, :ready) AND physical_id = :id))",
        {
            ":bought": {"S": PurchaseState.BOUGHT},
            ":ready": {"S": PurchaseState.READY},
            ":open": {"S": PurchaseState.OPEN},
            ":unknown": {"S": PurchaseState.UNKNOWN},
            ":false": {"BOOL": False},
            ":id": {"S": physical_id},
        },
    )


def revoke_ready(record: PurchaseRecord) -> None:
    """Take the promise back: the Update that it was bought for is being rolled back."""
    values: state_table.Values = {":bought": {"S": PurchaseState.BOUGHT}, ":ready": {"S": PurchaseState.READY}}
    _change(record, "SET purchase_state = :bought", "purchase_state = :ready", values)


def mark_abandoned(record: PurchaseRecord) -> bool:
    """Begin to give up what was bought; False if another run has promised it, or given it up, before."""
    values: state_table.Values = {":bought": {"S": PurchaseState.BOUGHT}, ":true": {"BOOL": True}}
    return _change(record, "SET canceled = :true", "purchase_state = :bought", values) is not None


def close(record: PurchaseRecord, state: PurchaseState, physical_id: str = "") -> None:
    """Write how a purchase ended: RELEASED or LAPSED with its number, REFUSED or SUSPECT without one.

    What another run has written of another number meanwhile stays.
    """
    values: state_table.Values = {":state": {"S": state}, ":id": {"S": physical_id}, ":none": {"S": ""}}
    _change(record, "SET purchase_state = :state", "physical_id IN (:id, :none)", values)


def save_reservation(record: PurchaseRecord, at: float) -> None:
    """Keep a turn that comes after this invocation, for the next one."""
    values: state_table.Values = {":at": state_table.number(at), ":open": {"S": PurchaseState.OPEN}}
    _change(record, "SET reserved_at = :at", "purchase_state = :open", values)


def cancel(record: PurchaseRecord) -> PurchaseRecord:
    """Let nothing be bought for it any more; gives it as it stands then."""
    changed = _change(record, "SET canceled = :true", "attribute_exists(pk)", {":true": {"BOOL": True}})
    return changed or refresh(record)


def mark_referenced(record: PurchaseRecord) -> None:
    """Note that CloudFormation knows the id."""
    if not record.referenced:
        _change(record, "SET referenced = :true", "attribute_exists(pk)", {":true": {"BOOL": True}})


def mark_response_accepted(resource: str, request_id: str, *, replaced: str | None) -> None:
    """Note that CloudFormation took the SUCCESS of a purchase.

    Not that of a replacement whose predecessor was deleted before: nobody was waiting for that answer any more.
    """
    if replaced is not None:
        before = history(resource).of_number(replaced)
        if before is not None and not before.live:
            return
    item_key = state_table.key(resource, f"purchase#{request_id}")
    state_table.update(
        item_key, "SET response_accepted_at = :now", "attribute_exists(pk)", {":now": state_table.number(clock.now())}
    )


def record_delete(resource: str, issued_at: float) -> None:
    """Note a Delete, so that no request issued before it buys anything when it comes late."""
    _record_request(resource, "deleted_at", issued_at)


def record_update(resource: str, issued_at: float, *, protects: bool = False) -> bool:
    """Note an Update, so that no Update issued before it does anything when it comes late; False if this is one.

    protects: it is about to switch deletion protection on.
    """
    return _record_request(resource, "updated_at", issued_at, ", protected_at = :issued" if protects else "")


def _record_request(resource: str, what: str, issued_at: float, more: str = "") -> bool:
    condition = f"attribute_not_exists({what}) OR {what} <= :issued"
    values = {":issued": state_table.number(issued_at)}
    return (
        state_table.update(state_table.key(resource, _LATEST), f"SET {what} = :issued{more}", condition, values)
        is not None
    )


def _change(record: PurchaseRecord, change: str, condition: str, values: state_table.Values) -> PurchaseRecord | None:
    item = state_table.update(_key(record), change, condition, values)
    return None if item is None else _record(item)


def _key(record: PurchaseRecord) -> state_table.Key:
    return state_table.key(record.resource, f"purchase#{record.request_id}")


def _item(record: PurchaseRecord) -> state_table.Item:
    return {
        **_key(record),
        "request_type": {"S": record.request_type},
        "resource_type": {"S": record.resource_type},
        "replaces": {"S": record.replaces or ""},
        "issued_at": state_table.number(record.issued_at),
        "opened_at": state_table.number(record.opened_at),
        "purchase_state": {"S": record.state},
        "attempt": state_table.number(record.attempt),
        "candidate": {"S": record.candidate or ""},
        "lease_owner": {"S": record.lease_owner},
        "lease_until": state_table.number(record.lease_until),
        "canceled": {"BOOL": record.canceled},
        "referenced": {"BOOL": record.referenced},
        "physical_id": {"S": record.physical_id or ""},
    }


def _record(item: state_table.Item) -> PurchaseRecord:
    """Read an item; what a later version of this provider added is missing in older ones."""

    def text(name: str) -> str | None:
        return item.get(name, {}).get("S") or None

    def flag(name: str) -> bool:
        return bool(item.get(name, {}).get("BOOL"))

    return PurchaseRecord(
        resource=item["pk"]["S"],
        request_id=item["sk"]["S"].removeprefix("purchase#"),
        request_type=item["request_type"]["S"],
        resource_type=item["resource_type"]["S"],
        replaces=text("replaces"),
        issued_at=float(item["issued_at"]["N"]),
        opened_at=float(item["opened_at"]["N"]),
        state=PurchaseState(item["purchase_state"]["S"]),
        attempt=int(item["attempt"]["N"]),
        candidate=text("candidate"),
        lease_owner=text("lease_owner") or "",
        lease_until=float(item["lease_until"]["N"]),
        canceled=flag("canceled"),
        referenced=flag("referenced"),
        response_accepted_at=_time(item, "response_accepted_at"),
        physical_id=text("physical_id"),
        reserved_at=_time(item, "reserved_at"),
    )


def _time(item: state_table.Item, name: str) -> float | None:
    return float(item[name]["N"]) if name in item else None
