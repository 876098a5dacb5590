"""Purchase ledger. Prevents duplicate purchases, and records every number that must be released.

One item per purchase, written before money is spent, and one item per resource for the latest requests:

    pk                          sk                      holds
    <StackId>|<LogicalId>       purchase#<RequestId>    a PurchaseRecord
    <StackId>|<LogicalId>       latest                  when the latest Update, and Delete by generated ID, were issued

    OPEN ──▶ BOUGHT ──▶ READY ──▶ RELEASED      REFUSED  nothing was purchased
                                                UNKNOWN  the result is unknown; the sweep checks again
                                                EXPIRED  a Connect claim that failed; the service removes it

Every write is conditional, so that repeating it is harmless. Items have no TTL, because a number can live for years.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING

from telephony import clock
from telephony.aws import state_table
from telephony.data import data
from telephony.errors import UnknownOutcomeError
from telephony.model.resource import Purchase
from telephony.model.tags import Owner
from telephony.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_LATEST = "latest"
_PURCHASE = "purchase#"
_MAX_REQUEST_AGE = 86_400
"""Seconds after which no invocation of a request is expected."""


class PurchaseState(StrEnum):
    """The progress of a purchase."""

    OPEN = "OPEN"
    BOUGHT = "BOUGHT"
    READY = "READY"
    """The request is answered with SUCCESS. From here on CloudFormation decides when the number is released."""
    RELEASED = "RELEASED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"
    EXPIRED = "EXPIRED"


@data
class PurchaseRecord:
    """One purchase. Times are in seconds since the epoch."""

    resource: str
    """<StackId>|<LogicalResourceId>."""
    request_id: str
    request_type: str
    resource_type: str
    replaces: str | None
    """The physical ID that the Update referenced. None for a Create."""
    issued_at: float
    """When CloudFormation issued the request, or when it was first received if the URL does not contain it."""
    opened_at: float
    state: PurchaseState = PurchaseState.OPEN
    attempt: int = 0
    """Incremented only after a definite refusal, because the services pin failures to the ClientToken."""
    candidate: str | None = None
    """Connect: the E.164 number that is claimed. A retry claims the same number."""
    lease_owner: str = ""
    lease_until: float = 0
    """0 if no purchase attempt was made."""
    canceled: bool = False
    """By a Delete, or by an Update that does not use it: nothing may be purchased, and a number is released."""
    referenced: bool = False
    """True once an Update has referred to this number, which proves that CloudFormation stored its physical ID."""
    response_accepted_at: float | None = None
    """When CloudFormation accepted the SUCCESS response in time. It has the ID, unless it had canceled the request."""
    physical_id: str | None = None
    reserved_at: float | None = None
    """When a saved rate-limit reservation is due."""

    @property
    def owns_number(self) -> bool:
        """Whether the purchase holds a number."""
        return self.state in {PurchaseState.BOUGHT, PurchaseState.READY}

    @property
    def open(self) -> bool:
        """Whether the purchase may hold a number that was not released."""
        return self.owns_number or self.state in {PurchaseState.OPEN, PurchaseState.UNKNOWN}

    @property
    def unused(self) -> bool:
        """Whether the purchase may hold a number that was never reported to a stack, or that must be released."""
        return self.open and (self.state is not PurchaseState.READY or self.canceled)

    @property
    def attempted(self) -> bool:
        """Whether a purchase attempt was made."""
        return self.lease_until > 0

    @property
    def identity(self) -> Purchase:
        """The purchase as resource types see it."""
        stack_id, logical_resource_id = self.resource.rsplit("|", 1)
        return Purchase(
            owner=Owner(stack_id, logical_resource_id),
            request_id=self.request_id,
            opened_at=self.opened_at,
            attempt=self.attempt,
            candidate=self.candidate,
        )


@data
class History:
    """Everything the ledger holds for one resource, the oldest purchase first."""

    purchases: Sequence[PurchaseRecord]
    protected_at: float | None = None
    """When the latest Update that was to enable deletion protection was issued. Its result is unknown."""

    def by_request(self, request_id: str) -> PurchaseRecord | None:
        """Return the purchase of a request."""
        return next((record for record in self.purchases if record.request_id == request_id), None)

    def by_physical_id(self, physical_id: str) -> PurchaseRecord | None:
        """Return the latest purchase of this ID. A sender ID can be purchased more than once."""
        found = [record for record in self.purchases if record.physical_id == physical_id]
        return found[-1] if found else None


def resource_key(stack_id: str, logical_resource_id: str) -> str:
    """Return the partition key of a resource."""
    return f"{stack_id}|{logical_resource_id}"


def history(resource: str) -> History:
    """Read everything about one resource consistently."""
    items = {item["sk"]["S"]: item for item in state_table.query(resource)}
    latest = items.pop(_LATEST, {})
    purchases = sorted(map(_record, items.values()), key=lambda record: record.opened_at)
    return History(purchases, _time(latest, "protected_at"))


def refresh(record: PurchaseRecord) -> PurchaseRecord:
    """Read the current record of a purchase."""
    item = state_table.get(_key(record))
    if item is None:
        raise UnknownOutcomeError("The ledger has lost a purchase record.")
    return _record(item)


def unknown_purchases() -> Iterator[PurchaseRecord]:
    """Scan for purchases that may hold a number that no stack uses, for the daily sweep.

    These are purchases in state UNKNOWN, and purchases of more than a day ago that were attempted or canceled and that
    no invocation completed.
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
        ":old": state_table.number(clock.now() - _MAX_REQUEST_AGE),
    }
    for item in state_table.scan(condition, values):
        yield _record(item)


class OpenResult(Enum):
    """The result of `open_purchase`."""

    WRITTEN = auto()
    REFUSED = auto()
    """The request has a purchase record already, or a newer request for the resource was processed."""
    BUSY = auto()
    """Another write held an item, or the slot in the rate limiter was taken. Nothing was written."""


def open_purchase(record: PurchaseRecord, *, reservation: TransactWriteItemTypeDef | None = None) -> OpenResult:
    """Write the purchase record before anything is purchased, with its lease and rate-limit reservation if given.

    One transaction, so that a concurrent request either is visible here or sees the record.
    """
    put = state_table.conditional_put(_item(record), "attribute_not_exists(pk)")
    newest = state_table.condition_check(
        state_table.key(record.resource, _LATEST),
        "(attribute_not_exists(deleted_at) OR deleted_at < :issued) AND "
        "(attribute_not_exists(updated_at) OR updated_at <= :issued)",
        {":issued": state_table.number(record.issued_at)},
    )
    failed = state_table.transact_write(put, newest, *([] if reservation is None else [reservation]))
    if not failed:
        return OpenResult.WRITTEN
    refused = {position for position, code in failed.items() if code != state_table.CONFLICT}
    return OpenResult.REFUSED if refused & {0, 1} else OpenResult.BUSY


def with_lease(record: PurchaseRecord, owner: str) -> PurchaseRecord:
    """Return the record with a lease for one purchase attempt. `open_purchase` writes it."""
    return copy.replace(record, lease_owner=owner, lease_until=clock.now() + settings().lease_duration)


def acquire_lease(record: PurchaseRecord, owner: str) -> PurchaseRecord | None:
    """Acquire the lease for another purchase attempt, with record.attempt and record.candidate.

    Returns None if the purchase was canceled or is not OPEN, if another invocation holds the lease, or if another one
    held it since `record` was read: the result of its attempt must be checked first.
    """
    now = clock.now()
    return _change(
        record,
        # The attempt uses up a saved reservation.
        "SET lease_owner = :owner, lease_until = :until, attempt = :attempt, candidate = :candidate REMOVE reserved_at",
        "purchase_state = :open AND canceled = :false AND lease_until = :seen "
        "AND (lease_until < :now OR lease_owner = :owner)",
        {
            ":owner": {"S": owner},
            ":until": state_table.number(now + settings().lease_duration),
            ":attempt": state_table.number(record.attempt),
            ":candidate": {"S": record.candidate or ""},
            ":open": {"S": PurchaseState.OPEN},
            ":false": {"BOOL": False},
            ":seen": state_table.number(record.lease_until),
            ":now": state_table.number(now),
        },
    )


def mark_bought(record: PurchaseRecord, physical_id: str) -> PurchaseRecord | None:
    """Record that the number was purchased, even if the purchase was canceled meanwhile.

    Returns None if another invocation has recorded more progress.
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
    """Record that the number can be reported. Returns None if the purchase was canceled or ended."""
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
    """Return a READY number to BOUGHT, because the Update that purchased it is being rolled back."""
    values: state_table.Values = {":bought": {"S": PurchaseState.BOUGHT}, ":ready": {"S": PurchaseState.READY}}
    _change(record, "SET purchase_state = :bought", "purchase_state = :ready", values)


def abandon(record: PurchaseRecord) -> bool:
    """Cancel a BOUGHT purchase. Returns False if another invocation has reported or released its number."""
    values: state_table.Values = {":bought": {"S": PurchaseState.BOUGHT}, ":true": {"BOOL": True}}
    return _change(record, "SET canceled = :true", "purchase_state = :bought", values) is not None


def close(record: PurchaseRecord, state: PurchaseState, physical_id: str = "") -> None:
    """Record the end of a purchase: RELEASED or EXPIRED with its number, REFUSED or UNKNOWN without.

    A record of another number, written by another invocation, does not change.
    """
    values: state_table.Values = {":state": {"S": state}, ":id": {"S": physical_id}, ":none": {"S": ""}}
    _change(record, "SET purchase_state = :state", "physical_id IN (:id, :none)", values)


def save_reservation(record: PurchaseRecord, at: float) -> None:
    """Save a rate-limit reservation for the next invocation."""
    values: state_table.Values = {":at": state_table.number(at), ":open": {"S": PurchaseState.OPEN}}
    _change(record, "SET reserved_at = :at", "purchase_state = :open", values)


def cancel(record: PurchaseRecord) -> PurchaseRecord:
    """Prevent further attempts of a purchase. Returns the current record."""
    changed = _change(record, "SET canceled = :true", "attribute_exists(pk)", {":true": {"BOOL": True}})
    return changed or refresh(record)


def mark_referenced(record: PurchaseRecord) -> None:
    """Record that CloudFormation has the physical ID."""
    if not record.referenced:
        _change(record, "SET referenced = :true", "attribute_exists(pk)", {":true": {"BOOL": True}})


def mark_response_accepted(resource: str, request_id: str, *, replaced: str | None) -> None:
    """Record that CloudFormation accepted the SUCCESS response of a purchase.

    The response of a replacement does not count if the replaced number was deleted before: CloudFormation no longer
    waited for it.
    """
    if replaced is not None:
        before = history(resource).by_physical_id(replaced)
        if before is not None and not before.owns_number:
            return
    key = state_table.key(resource, _PURCHASE + request_id)
    values = {":now": state_table.number(clock.now())}
    state_table.update(key, "SET response_accepted_at = :now", "attribute_exists(pk)", values)


def record_delete(resource: str, issued_at: float) -> None:
    """Record a Delete, so that a request that was issued earlier and arrives later purchases nothing."""
    _record_request(resource, "deleted_at", issued_at)


def record_update(resource: str, issued_at: float, *, protects: bool = False) -> bool:
    """Record an Update. Returns False if a newer one was recorded: this one must not change anything.

    protects: the Update is about to enable deletion protection.
    """
    return _record_request(resource, "updated_at", issued_at, ", protected_at = :issued" if protects else "")


def _record_request(resource: str, attribute: str, issued_at: float, also: str = "") -> bool:
    condition = f"attribute_not_exists({attribute}) OR {attribute} <= :issued"
    key, values = state_table.key(resource, _LATEST), {":issued": state_table.number(issued_at)}
    return state_table.update(key, f"SET {attribute} = :issued{also}", condition, values) is not None


def _change(record: PurchaseRecord, change: str, condition: str, values: state_table.Values) -> PurchaseRecord | None:
    item = state_table.update(_key(record), change, condition, values)
    return None if item is None else _record(item)


def _key(record: PurchaseRecord) -> state_table.Key:
    return state_table.key(record.resource, _PURCHASE + record.request_id)


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
    """Parse an item. Attributes that a later version of the provider added may be missing."""

    def text(name: str) -> str | None:
        return item.get(name, {}).get("S") or None

    def flag(name: str) -> bool:
        return bool(item.get(name, {}).get("BOOL"))

    return PurchaseRecord(
        resource=item["pk"]["S"],
        request_id=item["sk"]["S"].removeprefix(_PURCHASE),
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
