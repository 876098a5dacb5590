"""Purchase ledger. Prevents duplicate purchases, and records every number that must be released.

    pk                          sk                                  holds
    <StackId>|<LogicalId>       purchase#<RequestId>@<issued at>    a PurchaseRecord
    <StackId>|<LogicalId>       latest                              when the newest requests were issued
    holder#<physical ID>        holder                              which purchase holds the number
    pending#<RecoveryKey>       pending                             the numbers pending release that a Create takes back
    pending#<resource type>     pending                             those that any Create can take

The partition of a resource also holds what its waiting requests keep (progress.py).

docs/architecture.md shows the state machine. Every write replaces the whole item, and only if its version is the one
that was read. The index `unfinished` holds the purchases that the sweep checks, by deadline. The index `counted` holds
those that were attempted and not refused, by the time of the attempt or the release. The items of a purchase expire
when it no longer holds a number; all others have no TTL, because a number can live for years.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, StrEnum, auto
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import attrs

from telephony import clock
from telephony.aws import state_table
from telephony.data import data
from telephony.errors import UnknownOutcomeError
from telephony.lifecycle import progress
from telephony.model.resource import Observed, Purchase
from telephony.model.tags import ADOPTED, MANAGED_BY, TAG_PREFIX, Owner
from telephony.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_LATEST = "latest"
_HOLDER = "holder#"
_PURCHASE = "purchase#"
_UNFINISHED = "unfinished"
"""The name of the index, and of its partition key, which only purchases have that the sweep checks."""
_IN_INDEX = "1"
_COUNTED = "counted"
"""The name of the index of claims and releases. It is eventually consistent, and has one partition for each type."""
_COUNTED_AT = "counted_at"
_REFUSED_CLAIM = "refused-claim"
"""The partition of the items that say when a claim was refused. They are in the index too."""
_EXPIRES = "expiration = :expiration"
NOT_HELD: Mapping[str, Any] = {"release_after": None, "recovery_key": None, "allow_reuse": False}
"""The changes to a record after which its number is released when the purchase ends."""
_NO_FORMER: Mapping[str, Any] = {f"former_{name}": value for name, value in NOT_HELD.items()}
_KEPT_FOR = 200 * 86_400
"""Seconds for which a closed purchase is kept: longer than the 180 days in which Amazon Connect counts releases."""


class PurchaseState(StrEnum):
    """The progress of a purchase."""

    OPEN = "OPEN"
    """No attempt was made, or all were refused."""
    BUYING = "BUYING"
    """An attempt is being made. If its lease has expired, its result is unknown."""
    BOUGHT = "BOUGHT"
    """It holds a number that CloudFormation was not told of."""
    READY = "READY"
    """It holds a number that CloudFormation may have been told of."""
    RELEASING = "RELEASING"
    """The release was decided, or that the number becomes pending release. It is repeated until its result is known."""
    PENDING_RELEASE = "PENDING_RELEASE"
    """No stack uses the number. It is released when it is due, unless it is taken before."""
    CLOSED = "CLOSED"


class Closed(StrEnum):
    """Why a purchase is CLOSED: it holds no number, or one that this provider no longer releases."""

    REFUSED = "REFUSED"
    """Nothing was purchased."""
    RELEASED = "RELEASED"
    LAPSED = "LAPSED"
    """A Connect claim that was never CLAIMED. The service removes it."""
    GONE = "GONE"
    """Released outside of the stack, or without the tags of the purchase: another owner may have the ID now."""
    RETAINED = "RETAINED"
    """CloudFormation retained the number because of a DeletionPolicy, or an operator restored it."""
    TAKEN = "TAKEN"
    """The number was pending release, and another purchase took it."""
    ADOPTION_ENDED = "ADOPTION_ENDED"
    """An adopted number was left in the account, without the ownership tags."""


@data
class PurchaseRecord:
    """One purchase. Times are in seconds since the epoch."""

    resource: str
    """<StackId>|<LogicalResourceId>."""
    request_id: str
    request_time: int
    """Distinguishes requests with the same ID: when CloudFormation issued it, or 0 if the URL does not contain it."""
    resource_type: str
    issued_at: float
    """When CloudFormation issued the request, or when it was first received if the URL does not contain it."""
    opened_at: float
    deadline: float
    """When CloudFormation stops waiting for the request."""
    replaces: str | None = None
    """The physical ID that the Update named. None for a Create."""
    state: PurchaseState = PurchaseState.OPEN
    closed: Closed | None = None
    attempt: int = 0
    """Incremented only after a definite refusal, because the services pin failures to the ClientToken."""
    candidate: str | None = None
    """Connect: the E.164 number that is claimed. A retry claims the same number."""
    lease_owner: str = ""
    lease_until: float = 0
    unknown_since: float | None = None
    """When an attempt of unknown result was first noticed. Token and candidate do not change until it is resolved."""
    ended: bool = False
    """The request ended without the number: nothing may be purchased, and a number is released."""
    physical_id: str | None = None
    arn: str | None = None
    claimed: bool = False
    """The service has reported the number as usable. A failure after that is one of a change."""
    adopted: bool = False
    """The number existed before. It is never released."""
    purchased_before: bool = False
    """It was adopted, and this provider had purchased it."""
    attempted_at: float | None = None
    """When the last attempt began."""
    released_at: float | None = None
    failed: bool = False
    """Its request failed or was rolled back, so that nothing blocks the release of its number."""
    incomplete: bool = False
    """Its request failed before the number was configured: no recovery window applies to it."""
    taken: bool = False
    """The number was pending release before. The record keeps when and where, so that the number can return."""
    release_after: float | None = None
    """When the number is released, if it is or becomes pending release."""
    recovery_key: str | None = None
    """Where a number is listed that is or becomes pending release."""
    allow_reuse: bool = False
    """Whether any Create can take the number when it is pending release."""
    former_release_after: float | None = None
    """These three: what a taken number returns to, if its Delete has decided on a window of its own."""
    former_recovery_key: str | None = None
    former_allow_reuse: bool = False
    retag: bool = False
    """The number can still have the tags of its former use."""
    protecting_until: float | None = None
    """Set if an Update enables deletion protection: when the invocation ends that enables it, or 0 if it has ended.
    None again when a later Update sees that protection is disabled."""
    releasing_from: PurchaseState | None = None
    """The state before RELEASING, to which a refused release returns."""
    searches: int = 0
    """How many times the sweep searched for a number and did not find one."""
    version: int = 0
    unknown: Mapping[str, Any] = attrs.field(factory=dict)
    """Attributes that a newer version of the provider added."""

    @property
    def owns_number(self) -> bool:
        """Whether the purchase holds a number that can be used."""
        return self.state in {PurchaseState.BOUGHT, PurchaseState.READY} and not self.ended

    @property
    def reported(self) -> bool:
        """Whether CloudFormation may have been told of the number."""
        return PurchaseState.READY in {self.state, self.releasing_from}

    @property
    def purchased(self) -> bool:
        """Whether this provider has purchased the number, which may be adopted now."""
        return not self.adopted or self.purchased_before

    @property
    def pending(self) -> bool:
        """Whether the number is pending release, or is being released because it was due."""
        return PurchaseState.PENDING_RELEASE in {self.state, self.releasing_from}

    @property
    def finished(self) -> bool:
        """Whether no request of the resource continues or ends the purchase."""
        return self.pending or self.state is PurchaseState.CLOSED

    @property
    def identity(self) -> Purchase:
        """The purchase as resource types see it."""
        stack_id, logical_resource_id = self.resource.rsplit("|", 1)
        return Purchase(
            owner=Owner(stack_id, logical_resource_id),
            request_id=self.request_id,
            request_time=self.request_time,
            opened_at=self.opened_at,
            attempt=self.attempt,
            candidate=self.candidate,
            adopted=self.adopted,
            is_held_by_another=partial(_is_held_by_another, self),
        )


@data
class History:
    """Everything the ledger holds for one resource, the oldest purchase first."""

    purchases: Sequence[PurchaseRecord]
    updated_at: float
    """When the newest Create or Update was issued, or 0."""
    updated_by: str
    """Its RequestId."""

    def by_request(self, request_id: str, request_time: int) -> PurchaseRecord | None:
        """Return the purchase that a request continues.

        CloudFormation can repeat a request with the same ID and a newer URL. It joins a purchase that has not ended.
        After its end, only the same URL finds it.
        """
        found = [record for record in self.purchases if record.request_id == request_id]
        joined = (record for record in reversed(found) if not (record.finished or record.ended))
        same = (record for record in found if record.request_time == request_time)
        return next(joined, None) or next(same, None)

    def by_physical_id(self, physical_id: str) -> PurchaseRecord | None:
        """Return the latest purchase of this ID. A sender ID can be purchased more than once."""
        found = [record for record in self.purchases if record.physical_id == physical_id]
        return found[-1] if found else None

    def unfinished(self, issued_at: float) -> list[PurchaseRecord]:
        """Return the purchases that a request can end: those of earlier requests that are not finished."""
        return [each for each in self.purchases if not each.finished and each.issued_at <= issued_at]


def resource_key(stack_id: str, logical_resource_id: str) -> str:
    """Return the partition key of a resource."""
    return f"{stack_id}|{logical_resource_id}"


def recovery_key(record: PurchaseRecord) -> str:
    """Return account, stack name, logical ID and type: what a resource shares with that of a deleted stack."""
    owner = record.identity.owner
    account = owner.stack_id.split(":")[4]
    return "|".join([account, owner.stack_id.split("/")[1], owner.logical_resource_id, record.resource_type])


def history(resource: str) -> History:
    """Read everything about one resource consistently."""
    items = {item["sk"]["S"]: item for item in state_table.query(resource)}
    latest = items.get(_LATEST, {})
    records = (_record(item) for sort, item in items.items() if sort.startswith(_PURCHASE))
    purchases = sorted(records, key=lambda record: record.opened_at)
    updated_at = float(latest["updated_at"]["N"]) if "updated_at" in latest else 0
    return History(purchases, updated_at, latest.get("updated_by", {}).get("S", ""))


def refresh(record: PurchaseRecord) -> PurchaseRecord:
    """Read the current record of a purchase."""
    item = state_table.get(_key(record))
    if item is None:
        raise UnknownOutcomeError("The ledger has lost a purchase record.")
    return _record(item)


@data
class PurchaseKey:
    """The key of a purchase."""

    resource: str
    sort: str

    @property
    def request_id(self) -> str:
        """The RequestId of the purchase."""
        return self.sort.removeprefix(_PURCHASE).rpartition("@")[0]


def overdue(now: float) -> list[PurchaseKey]:
    """Return the purchases that no request finished before its deadline, and releases that are not finished.

    The longest overdue is the first. A purchase can have been finished since the index was written.
    """
    values: dict[str, Any] = {":unfinished": {"S": _IN_INDEX}, ":now": state_table.number(now)}
    items = state_table.query_index(_UNFINISHED, f"{_UNFINISHED} = :unfinished AND deadline < :now", values)
    return [PurchaseKey(item["pk"]["S"], item["sk"]["S"]) for item in items]


def read_unfinished(key: PurchaseKey, now: float) -> PurchaseRecord | None:
    """Read a purchase that is overdue. Returns None if it was finished.

    Raises UnknownOutcomeError if a newer version of the provider wrote it.
    """
    item = state_table.get(state_table.key(key.resource, key.sort))
    record = None if item is None else _record(item)
    return record if record is not None and _is_unfinished(record) and record.deadline < now else None


def holders(physical_ids: Iterable[str]) -> Mapping[str, Owner]:
    """Return the resources whose purchases hold these numbers, by physical ID. Other numbers are left out."""
    items = state_table.batch_get(state_table.key(f"{_HOLDER}{each}", "holder") for each in physical_ids)
    return {
        item["pk"]["S"].removeprefix(_HOLDER): Owner(*item["holder_of"]["S"].rsplit("|", 1))
        for item in items
        if "holder_of" in item
    }


@data
class Counted:
    """What the service may count for an account: the times of claims and releases, the oldest first."""

    claims: Sequence[float]
    releases: Sequence[float]
    refused_at: float | None
    """When the service refused the last claim although less than its limit was counted."""
    refused_quota: float | None
    """The quota at that time, if it was known."""


def counted(resource_type: str, since: float, besides: PurchaseRecord) -> Counted:
    """Return the claims and releases of a type since a time, without those of one purchase.

    An attempt whose result is unknown is a claim. One that was refused is none.
    """
    values: dict[str, Any] = {":type": {"S": resource_type}, ":since": state_table.number(since)}
    found = state_table.query_index(_COUNTED, "resource_type = :type AND counted_at > :since", values)
    own = _key(besides)
    items = [item for item in found if any(item[name] != own[name] for name in ("pk", "sk"))]

    def times(name: str) -> list[float]:
        return sorted(at for item in items if name in item and (at := float(item[name]["N"])) > since)

    refusal = next((item for item in items if item["pk"]["S"] == _REFUSED_CLAIM), {})
    return Counted(
        claims=times("attempted_at"),
        releases=times("released_at"),
        refused_at=float(refusal["counted_at"]["N"]) if refusal else None,
        refused_quota=float(refusal["quota"]["N"]) if "quota" in refusal else None,
    )


def record_refused_claim(resource_type: str, quota: float | None, expires_at: float) -> None:
    """Record that the service refuses claims of a type now."""
    item = {
        **state_table.key(_REFUSED_CLAIM, resource_type),
        "resource_type": {"S": resource_type},
        "counted_at": state_table.number(clock.now()),
        "expiration": state_table.number(int(expires_at)),
    }
    state_table.replace(item if quota is None else {**item, "quota": state_table.number(quota)})


class OpenResult(Enum):
    """The result of `open_purchase`."""

    WRITTEN = auto()
    REFUSED = auto()
    """The record exists, or a newer request of the resource, or one with the same ID, was processed."""
    BUSY = auto()
    """Another write held an item, or the slot in the rate limiter was taken. Nothing was written."""
    PENDING = auto()
    """A number is pending release that the request can take back. Nothing was written."""


def open_purchase(
    record: PurchaseRecord,
    *,
    again: bool = False,
    recovery: bool = False,
    reservation: TransactWriteItemTypeDef | None = None,
) -> OpenResult:
    """Write the record before anything is purchased, with its lease and rate-limit reservation if given.

    The request becomes the newest of the resource in the same transaction, so that a concurrent request either is
    visible here or sees the record. again: no purchase with the same RequestId can be continued, and no newer request
    was issued in the same second. recovery: write nothing if a number is pending release under the recovery key.
    """
    put = state_table.conditional_put(_item(record), "attribute_not_exists(pk)")
    writes = [put, _newest(record, again=again), *([] if reservation is None else [reservation])]
    if recovery:
        writes.append(state_table.condition_check(_pending_key(recovery_key(record)), "attribute_not_exists(numbers)"))
    failed = state_table.transact_write(*writes)
    result = _open_result(failed, {0, 1})
    found = recovery and failed.get(len(writes) - 1, state_table.CONFLICT) != state_table.CONFLICT
    return OpenResult.PENDING if found and result is OpenResult.BUSY else result


@data
class Holder:
    """Which purchase holds a number."""

    resource: str
    purchase: str
    """The sort key of the purchase."""
    record: PurchaseRecord | None
    """None if it has expired."""


def holder(physical_id: str) -> Holder | None:
    """Return what holds a number."""
    item = state_table.get(state_table.key(f"{_HOLDER}{physical_id}", "holder"))
    if item is None or "holder_of" not in item:
        return None
    resource, purchase = item["holder_of"]["S"], item["purchase"]["S"]
    found = state_table.get(state_table.key(resource, purchase))
    return Holder(resource, purchase, None if found is None else _record(found))


def open_adoption(record: PurchaseRecord, former: Holder | None, *, again: bool = False) -> OpenResult:
    """Write the record of an adoption, and that it holds the number.

    former: what holds it now. The number does not belong to it any more: CloudFormation has retained it. again: see
    `open_purchase`.
    """
    free = "attribute_not_exists(pk)"
    values: dict[str, Any] = {}
    if former is not None:
        free = f"{free} OR (holder_of = :resource AND purchase = :purchase)"
        values = {":resource": {"S": former.resource}, ":purchase": {"S": former.purchase}}
    writes = [
        state_table.conditional_put(_item(record), "attribute_not_exists(pk)"),
        _newest(record, again=again),
        state_table.conditional_put(_holder(record), free, values),
    ]
    if former is not None and former.record is not None and former.record.state is not PurchaseState.CLOSED:
        writes += close_with(former.record, Closed.RETAINED)
    return _open_result(state_table.transact_write(*writes), set(range(len(writes))))


def pending_release(name: str) -> list[str]:
    """Return the physical IDs of the numbers pending release under a recovery key, or for reuse under a type name."""
    item = state_table.get(_pending_key(name)) or {}
    return sorted(item.get("numbers", {}).get("SS", []))


def take(record: PurchaseRecord, former: PurchaseRecord, *, again: bool = False) -> OpenResult:
    """Write the record of a request that takes a number pending release: it holds the number, and `former` is closed.

    The record keeps when and where the number is pending release, so that a request that fails or is canceled returns
    it. again: see `open_purchase`.
    """
    holder = _holder(record)
    held = "holder_of = :resource AND purchase = :purchase"
    held_by = _holder(former)
    values = {":resource": held_by["holder_of"], ":purchase": held_by["purchase"]}
    writes = [
        state_table.conditional_put(_item(record), "attribute_not_exists(pk)"),
        _newest(record, again=again),
        state_table.conditional_put(holder, held, values),
        write_with(former, state=PurchaseState.CLOSED, closed=Closed.TAKEN),
        *_unlisted(former),
    ]
    return _open_result(state_table.transact_write(*writes), {0, 1})


def _open_result(failed: Mapping[int, str], conditions: set[int]) -> OpenResult:
    """conditions: the positions of the writes whose conditions refuse the transaction, unlike a busy item."""
    if not failed:
        return OpenResult.WRITTEN
    refused = {position for position, code in failed.items() if code != state_table.CONFLICT}
    return OpenResult.REFUSED if refused & conditions else OpenResult.BUSY


def _newest(record: PurchaseRecord, *, again: bool) -> TransactWriteItemTypeDef:
    """Return the write that makes a request the newest of its resource."""
    newer = "updated_at < :issued AND updated_by <> :request"
    same = "updated_at = :issued AND updated_by = :request"
    return state_table.conditional_update(
        state_table.key(record.resource, _LATEST),
        f"SET updated_at = :issued, updated_by = :request, {_EXPIRES}",
        "(attribute_not_exists(deleted_at) OR deleted_at < :issued)"
        " AND (attribute_not_exists(released_at) OR released_at <= :issued)"
        f" AND (attribute_not_exists(updated_at) OR {'updated_at <= :issued' if again else f'({newer}) OR ({same})'})",
        {**_expiration(), ":issued": state_table.number(record.issued_at), ":request": {"S": record.request_id}},
    )


def with_lease(record: PurchaseRecord, owner: str) -> PurchaseRecord:
    """Return the record with a lease for one purchase attempt."""
    now = clock.now()
    lease_until = now + settings().lease_duration
    return copy.replace(
        record, state=PurchaseState.BUYING, lease_owner=owner, lease_until=lease_until, attempted_at=now
    )


def write(record: PurchaseRecord, **changes: Any) -> PurchaseRecord | None:
    """Write the record with changes. Returns None if another invocation has written it since it was read."""
    after = copy.replace(record, version=record.version + 1, **changes)
    return after if state_table.put(_item(after), *_seen(record)) else None


def close_open(record: PurchaseRecord) -> PurchaseRecord | None:
    """Close a record that is OPEN, and return the reservations of its request. Returns None as `write` does."""
    after = copy.replace(record, version=record.version + 1, state=PurchaseState.CLOSED, closed=Closed.REFUSED)
    returned = progress.end(record.resource, record.request_id, record.request_time)
    failed = _transact(record, after, *returned)
    # The request has returned them itself, or keeps others now.
    failed = _transact(record, after) if failed and 0 not in failed else failed
    return None if failed else after


def write_holder(record: PurchaseRecord, **changes: Any) -> PurchaseRecord | None:
    """Write the record with its number, and that it holds this number. Returns None as `write` does.

    The service has just returned or found the number for this purchase, so another holder has lost it.
    """
    after = copy.replace(record, version=record.version + 1, **changes)
    return None if _transact(record, after, state_table.conditional_put(_holder(after))) else after


def start_release(record: PurchaseRecord, issued_at: float | None) -> PurchaseRecord | None:
    """Write RELEASING, or CLOSED if another purchase holds the number. Returns None as `write` does.

    issued_at: of a Delete. After it, no older request of the resource purchases anything.
    """
    previous = record.releasing_from or record.state
    releasing = copy.replace(record, state=PurchaseState.RELEASING, releasing_from=previous, closed=None)
    after = copy.replace(releasing, version=record.version + 1)
    holder = _holder(record)
    holds = state_table.condition_check(
        {name: holder[name] for name in ("pk", "sk")},
        "holder_of = :resource AND purchase = :purchase",
        {":resource": holder["holder_of"], ":purchase": holder["purchase"]},
    )
    failed = _transact(record, after, holds, *([] if issued_at is None else [_deleted(record.resource, issued_at)]))
    if set(failed) == {2}:  # A newer Delete was recorded.
        failed = _transact(record, after, holds)
    if 0 in failed:
        return None
    return write(record, state=PurchaseState.CLOSED, closed=Closed.GONE) if failed else after


def write_with(record: PurchaseRecord, **changes: Any) -> TransactWriteItemTypeDef:
    """Return the write of a record with changes, for use in a transaction."""
    after = copy.replace(record, version=record.version + 1, **changes)
    return state_table.conditional_put(_item(after), *_seen(record))


def close(record: PurchaseRecord, why: Closed, *, reusable: bool) -> PurchaseRecord | None:
    """Close a record. reusable: another purchase can hold its ID by now. Returns None as `write` does."""
    after = copy.replace(record, version=record.version + 1, **_closed(why))
    others = [*_unlisted(record), *_expire_holder(record, why, reusable=reusable)]
    return None if _transact(record, after, *others) else after


def close_with(record: PurchaseRecord, why: Closed, *, reusable: bool = False) -> list[TransactWriteItemTypeDef]:
    """Return the writes of `close`, for use in a transaction."""
    closed = write_with(record, **_closed(why))
    return [closed, *_unlisted(record), *_expire_holder(record, why, reusable=reusable)]


def hold(record: PurchaseRecord) -> None:
    """Write that a number is pending release. Another invocation may have written it."""
    _transact(record, _held(record), *_lists(record, "ADD"))


def hold_with(record: PurchaseRecord) -> list[TransactWriteItemTypeDef]:
    """Return the writes of `hold`, for use in a transaction: the state, and the lists in which requests find it."""
    return [state_table.conditional_put(_item(_held(record)), *_seen(record)), *_lists(record, "ADD")]


def resume(record: PurchaseRecord, issued_at: float) -> OpenResult:
    """Write that a stack uses a number again that is pending release.

    issued_at: of the Update that names it. Returns REFUSED if the Delete was issued later, BUSY if another invocation
    has written the record since it was read.
    """
    ready = copy.replace(record, state=PurchaseState.READY, deadline=clock.now(), retag=True, **in_use(record))
    after = copy.replace(ready, version=record.version + 1)
    newer = state_table.condition_check(
        state_table.key(record.resource, _LATEST),
        "attribute_not_exists(released_at) OR released_at <= :issued",
        {":issued": state_table.number(issued_at)},
    )
    return _open_result(_transact(record, after, newer, *_unlisted(record)), {1})


def in_use(record: PurchaseRecord) -> Mapping[str, Any]:
    """Return the changes to a record whose number is not pending release after all.

    A taken number returns to its former window when its use ends. Another one has no window until a Delete decides.
    """
    if not record.taken:
        return NOT_HELD
    if record.former_recovery_key is None:
        return {}
    return {**{name: getattr(record, f"former_{name}") for name in NOT_HELD}, **_NO_FORMER}


def with_window(record: PurchaseRecord, due: float, *, allow_reuse: bool) -> PurchaseRecord:
    """Return the record of a number that becomes pending release for its own resource."""
    first = record.taken and record.former_recovery_key is None
    former: dict[str, Any] = {f"former_{name}": getattr(record, name) for name in NOT_HELD} if first else {}
    own: dict[str, Any] = {"release_after": due, "recovery_key": recovery_key(record), "allow_reuse": allow_reuse}
    return copy.replace(record, **former, **own)


def _held(record: PurchaseRecord) -> PurchaseRecord:
    """Return the record of a number that is pending release. The index `unfinished` shows it when it is due."""
    due = record.release_after or 0
    return copy.replace(
        record,
        version=record.version + 1,
        state=PurchaseState.PENDING_RELEASE,
        releasing_from=None,
        ended=False,
        deadline=due,
    )


def _pending_key(name: str) -> state_table.Key:
    return state_table.key(f"pending#{name}", "pending")


def _unlisted(record: PurchaseRecord) -> list[TransactWriteItemTypeDef]:
    return _lists(record, "DELETE") if record.pending else []


def _lists(record: PurchaseRecord, action: str) -> list[TransactWriteItemTypeDef]:
    """Return the writes that add a number to its lists, or delete it from them."""
    names = [record.recovery_key or "", *([record.resource_type] if record.allow_reuse else [])]
    values: state_table.Values = {":number": {"SS": [record.physical_id or ""]}}
    return [
        state_table.conditional_update(_pending_key(name), f"{action} numbers :number", "", values) for name in names
    ]


def _closed(why: Closed) -> dict[str, Any]:
    released = {"released_at": clock.now()} if why is Closed.RELEASED else {}
    return {"state": PurchaseState.CLOSED, "closed": why, **released}


def _expire_holder(record: PurchaseRecord, why: Closed, *, reusable: bool) -> list[TransactWriteItemTypeDef]:
    """Return the write that lets the holder item expire with its purchase. That of a reusable ID is used again."""
    if record.physical_id is None or reusable or why is Closed.RETAINED:
        return []
    holder = _holder(record)
    key = {name: holder[name] for name in ("pk", "sk")}
    return [state_table.conditional_update(key, f"SET {_EXPIRES}", "", _expiration())]


def record_of_tags(resource: str, resource_type: str, observed: Observed, tags: Mapping[str, str]) -> PurchaseRecord:
    """Return the record of a number that the ledger has lost, READY, as its ownership tags describe it."""
    request_time = tags.get(f"{TAG_PREFIX}issued-at", "")
    return PurchaseRecord(
        resource=resource,
        request_id=tags.get(f"{TAG_PREFIX}request-id", ""),
        request_time=int(request_time) if request_time.isdecimal() else 0,
        resource_type=resource_type,
        issued_at=0,
        opened_at=0,
        deadline=0,
        state=PurchaseState.READY,
        physical_id=observed.physical_id,
        arn=observed.arn,
        adopted=tags.get(MANAGED_BY[0]) == ADOPTED,
    )


def restore(record: PurchaseRecord) -> bool:
    """Write a record that the ledger has lost. Returns False if another purchase holds the number."""
    holder, absent = _holder(record), "attribute_not_exists(pk)"
    values = {":resource": holder["holder_of"], ":purchase": holder["purchase"]}
    free = f"{absent} OR (holder_of = :resource AND purchase = :purchase)"
    puts = state_table.conditional_put(_item(record), absent), state_table.conditional_put(holder, free, values)
    failed = state_table.transact_write(*puts)
    if state_table.CONFLICT in failed.values():
        raise UnknownOutcomeError("The state table is busy with another request for this resource.")
    return not failed


def record_update(resource: str, request_id: str, issued_at: float) -> None:
    """Record an Update, unless a newer one was recorded. Two in the same second are recorded as neither."""
    key = state_table.key(resource, _LATEST)
    values: dict[str, Any] = {":issued": state_table.number(issued_at), ":request": {"S": request_id}}
    newest = "attribute_not_exists(updated_at) OR updated_at < :issued"
    change = f"SET updated_at = :issued, updated_by = :request, {_EXPIRES}"
    if state_table.update(key, change, newest, values | _expiration()) is None:
        another = "updated_at = :issued AND updated_by <> :request"
        state_table.update(key, "SET updated_by = :several", another, values | {":several": {"S": "several"}})


def record_delete(resource: str, issued_at: float) -> None:
    """Record a Delete with a generated ID. A request that was not issued after it purchases nothing."""
    condition = "attribute_not_exists(deleted_at) OR deleted_at <= :issued"
    values = {":issued": state_table.number(issued_at)} | _expiration()
    state_table.update(state_table.key(resource, _LATEST), f"SET deleted_at = :issued, {_EXPIRES}", condition, values)


def _deleted(resource: str, issued_at: float) -> TransactWriteItemTypeDef:
    return state_table.conditional_update(
        state_table.key(resource, _LATEST),
        f"SET released_at = :issued, {_EXPIRES}",
        "attribute_not_exists(released_at) OR released_at <= :issued",
        {":issued": state_table.number(issued_at)} | _expiration(),
    )


def _transact(record: PurchaseRecord, after: PurchaseRecord, *others: TransactWriteItemTypeDef) -> Mapping[int, str]:
    """Write the record and others. Returns the conditions that are false, by position: 0 is the record's version."""
    return state_table.transact(state_table.conditional_put(_item(after), *_seen(record)), *others)


def _seen(record: PurchaseRecord) -> tuple[str, state_table.Values]:
    """Return the condition that the record was not written since it was read."""
    return "version = :seen", {":seen": state_table.number(record.version)}


def _key(record: PurchaseRecord) -> state_table.Key:
    return state_table.key(record.resource, f"{_PURCHASE}{record.request_id}@{record.request_time}")


def _is_held_by_another(record: PurchaseRecord, physical_id: str) -> bool:
    """Return whether the holder item of a physical ID names another purchase."""
    mine = _holder(copy.replace(record, physical_id=physical_id))
    item = state_table.get({name: mine[name] for name in ("pk", "sk")})
    return item is not None and any(item.get(name) != mine[name] for name in ("holder_of", "purchase"))


def _holder(record: PurchaseRecord) -> state_table.Item:
    """Return the item that says which purchase holds a number."""
    key = _key(record)
    return {
        **state_table.key(f"{_HOLDER}{record.physical_id}", "holder"),
        "holder_of": key["pk"],
        "purchase": key["sk"],
    }


def _item(record: PurchaseRecord) -> state_table.Item:
    """Return the item of a record. None is omitted."""
    item = {**record.unknown, **_key(record)}
    for field in _FIELDS:
        value = getattr(record, field.name)
        name = _ATTRIBUTES.get(field.name, field.name)
        if name not in {"pk", "request_id", "unknown"} and value is not None:
            item[name] = _attribute(value)
    if _is_unfinished(record):
        item[_UNFINISHED] = {"S": _IN_INDEX}
    counted_at = max(record.attempted_at or 0, record.released_at or 0)
    if counted_at and record.state is not PurchaseState.OPEN and record.closed is not Closed.REFUSED:
        item[_COUNTED_AT] = state_table.number(counted_at)
    if record.state is PurchaseState.CLOSED and record.closed is not Closed.RETAINED:
        item["expiration"] = _expiration()[":expiration"]
    return item


def _is_unfinished(record: PurchaseRecord) -> bool:
    """Return whether the sweep checks the purchase after its deadline."""
    return record.state not in {PurchaseState.READY, PurchaseState.CLOSED}


def _expiration() -> dict[str, Any]:
    """Return the value that `_EXPIRES` uses."""
    return {":expiration": state_table.number(int(clock.now()) + _KEPT_FOR)}


def _attribute(value: str | float | bool) -> Any:
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"S": value} if isinstance(value, str) else state_table.number(value)


def _record(item: state_table.Item) -> PurchaseRecord:
    """Parse an item. Attributes that a later version of the provider added may be missing."""
    values: dict[str, Any] = {"request_id": item["sk"]["S"].removeprefix(_PURCHASE).rpartition("@")[0]}
    names = {_ATTRIBUTES.get(field.name, field.name): field.name for field in _FIELDS}
    for name, attribute in item.items():
        for kind, value in attribute.items():
            if name in names:
                values[names[name]] = float(value) if kind == "N" else value
    values["unknown"] = {name: item[name] for name in item.keys() - names.keys() - _DERIVED}
    try:
        values |= {name: kind(values[name]) for name, kind in _KINDS.items() if name in values}
    except ValueError:
        raise UnknownOutcomeError("A newer version of the provider wrote a purchase record.") from None
    return PurchaseRecord(**values)


_FIELDS = attrs.fields(cast("type[attrs.AttrsInstance]", PurchaseRecord))
_DERIVED = {"sk", "expiration", _UNFINISHED, _COUNTED_AT}
"""Attributes that follow from the others."""
_ATTRIBUTES = {"resource": "pk", "state": "purchase_state"}
"""Names of attributes that differ from the field."""
_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "state": PurchaseState,
    "releasing_from": PurchaseState,
    "closed": Closed,
    **dict.fromkeys(("request_time", "attempt", "searches", "version"), int),
}
