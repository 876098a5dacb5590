"""What we bought for whom: the lock against buying twice, and the memory of what must be released.

One item per purchase, written before the money is spent, and one per resource that says what came last:

    pk                          sk                    holds
    <StackId>|<LogicalId>       intent#<RequestId>    an Intent
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
from telephony.errors import Undecided
from telephony.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_LATEST = "latest"
_FORGOTTEN = 86_400
"""Seconds after which no run of a request comes any more."""


class State(StrEnum):
    """How far a purchase has come."""

    INTENT = "INTENT"
    BOUGHT = "BOUGHT"
    READY = "READY"
    """Its request is answered with SUCCESS from here on: it is CloudFormation's to end it."""
    RELEASED = "RELEASED"
    REFUSED = "REFUSED"
    SUSPECT = "SUSPECT"
    LAPSED = "LAPSED"


@attrs.frozen(repr=False, eq=False)
class Intent:
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
    state: State = State.INTENT
    attempt: int = 0
    """Rises after a definite refusal only: the services pin failures to the ClientToken."""
    chosen: str | None = None
    """Connect: the E.164 number that is being claimed; a retry claims the same."""
    lease_owner: str = ""
    lease_until: float = 0
    """0: no attempt to buy was ever begun."""
    cancelled: bool = False
    """A Delete came: nothing may be bought any more, and what was bought goes."""
    named: bool = False
    """An Update of CloudFormation named the number: it knows the id."""
    answered_at: float | None = None
    """When its SUCCESS was taken in time: CloudFormation knows the id, unless it had cancelled the request before."""
    physical_id: str | None = None
    turn_at: float | None = None
    """A turn in the account's rate that was reserved and is still to come."""

    @property
    def live(self) -> bool:
        """Whether a number stands behind it."""
        return self.state in {State.BOUGHT, State.READY}

    @property
    def open(self) -> bool:
        """Whether there may be a number that was not released."""
        return self.live or self.state in {State.INTENT, State.SUSPECT}

    @property
    def unwanted(self) -> bool:
        """Whether there may be a number that nobody was promised, or that was to be given back and was not."""
        return self.open and (self.state is not State.READY or self.cancelled)

    @property
    def begun(self) -> bool:
        """Whether an attempt to buy was ever begun."""
        return self.lease_until > 0


@attrs.frozen(repr=False, eq=False)
class History:
    """All that the ledger knows of one resource, the oldest purchase first."""

    intents: Sequence[Intent]
    protected_at: float | None = None
    """When the newest Update that was to switch deletion protection on was issued; whether it did is not known."""

    def of_request(self, request_id: str) -> Intent | None:
        """The purchase of one request."""
        return next((intent for intent in self.intents if intent.request_id == request_id), None)

    def of_number(self, physical_id: str) -> Intent | None:
        """The purchase that brought this number; the newest, where an id can come back (sender IDs)."""
        found = [intent for intent in self.intents if intent.physical_id == physical_id]
        return found[-1] if found else None


def resource_key(stack_id: str, logical_resource_id: str) -> str:
    """The partition key of a resource."""
    return f"{stack_id}|{logical_resource_id}"


def history(resource: str) -> History:
    """Everything about one resource, consistently read."""
    items = {item["sk"]["S"]: item for item in state_table.query(resource)}
    latest = items.pop(_LATEST, {})
    intents = sorted(map(_intent, items.values()), key=lambda intent: intent.opened_at)
    return History(intents, _time(latest, "protected_at"))


def refresh(intent: Intent) -> Intent:
    """The purchase as it stands now."""
    item = state_table.get(_key(intent))
    if item is None:
        raise Undecided("The ledger lost a purchase.")
    return _intent(item)


def suspects() -> Iterator[Intent]:
    """Every purchase that may have brought something nobody knows; a scan, for the daily sweep.

    Besides the SUSPECT ones, those that were begun, or were to be given back, a day ago, and that no run came back to.
    """
    condition = (
        "purchase_state = :suspect OR (opened_at < :old AND ("
        "(purchase_state = :intent AND lease_until > :zero) OR "
        "(purchase_state IN (:bought, :ready) AND cancelled = :true)))"
    )
    values: state_table.Values = {
        ":suspect": {"S": State.SUSPECT},
        ":intent": {"S": State.INTENT},
        ":bought": {"S": State.BOUGHT},
        ":ready": {"S": State.READY},
        ":true": {"BOOL": True},
        ":zero": state_table.number(0),
        ":old": state_table.number(clock.now() - _FORGOTTEN),
    }
    for item in state_table.scan(condition, values):
        yield _intent(item)


class Opened(Enum):
    """What became of the wish to buy."""

    WRITTEN = auto()
    REFUSED = auto()
    """This request has one already, or a newer request for the resource has been worked on."""
    BUSY = auto()
    """Somebody else was at the turn, or at one of the items: nothing was written."""


def open_intent(intent: Intent, *, turn: TransactWriteItemTypeDef | None = None) -> Opened:
    """Write the wish to buy, before anything is bought; with it the lease, if it has one, and a turn, if given.

    One transaction, so that a request that comes at the same moment is either seen here or sees the intent.
    """
    opened = state_table.put(_item(intent), "attribute_not_exists(pk)")
    newest = state_table.check(
        state_table.key(intent.resource, _LATEST),
        "(attribute_not_exists(deleted_at) OR deleted_at < :issued) AND "
        "(attribute_not_exists(updated_at) OR updated_at <= :issued)",
        {":issued": state_table.number(intent.issued_at)},
    )
    in_the_way = state_table.together(opened, newest, *([] if turn is None else [turn]))
    if not in_the_way:
        return Opened.WRITTEN
    refused = {place for place, code in in_the_way.items() if code != state_table.CONFLICT}
    return Opened.REFUSED if refused & {0, 1} else Opened.BUSY


def leased(intent: Intent, owner: str) -> Intent:
    """The purchase with the lease of one attempt to buy, to be written by `open_intent`."""
    return attrs.evolve(intent, lease_owner=owner, lease_until=clock.now() + settings().lease)


def take_lease(intent: Intent, owner: str) -> Intent | None:
    """Begin another attempt to buy, as intent.attempt and intent.chosen say; None if it may not be.

    It may not be when the purchase was cancelled, is past INTENT, or another invocation holds a live lease, or has had
    one since `intent` was read: what that one did has to be looked for first.
    """
    now = clock.now()
    return _change(
        intent,
        # A turn that was kept is used up with the attempt.
        "SET lease_owner = :owner, lease_until = :until, attempt = :attempt, chosen = :chosen REMOVE turn_at",
        "purchase_state = :intent AND cancelled = :false AND lease_until = :seen "
        "AND (lease_until < :now OR lease_owner = :owner)",
        {
            ":owner": {"S": owner},
            ":until": state_table.number(now + settings().lease),
            ":attempt": state_table.number(intent.attempt),
            ":chosen": {"S": intent.chosen or ""},
            ":intent": {"S": State.INTENT},
            ":false": {"BOOL": False},
            ":seen": state_table.number(intent.lease_until),
            ":now": state_table.number(now),
        },
    )


def bought(intent: Intent, physical_id: str) -> Intent | None:
    """Write that the number is there. A fact, so written even if cancelled meanwhile.

    None if the purchase has come further, or to its end, by another run.
    """
    return _change(
        intent,
        "SET purchase_state = :bought, physical_id = :id",
        "purchase_state IN (:intent, :suspect) OR (purchase_state = :bought AND physical_id = :id)",
        {
            ":bought": {"S": State.BOUGHT},
            ":intent": {"S": State.INTENT},
            ":suspect": {"S": State.SUSPECT},
            ":id": {"S": physical_id},
        },
    )


def ready(intent: Intent, physical_id: str) -> Intent | None:
    """Write that the number is there, and promise it to CloudFormation; None if a Delete has come between."""
    return _change(
        intent,
        "SET purchase_state = :ready, physical_id = :id",
        "cancelled = :false AND "
        "(purchase_state IN (:intent, :suspect) OR (purchase_state IN (:bought, :ready) AND physical_id = :id))",
        {
            ":bought": {"S": State.BOUGHT},
            ":ready": {"S": State.READY},
            ":intent": {"S": State.INTENT},
            ":suspect": {"S": State.SUSPECT},
            ":false": {"BOOL": False},
            ":id": {"S": physical_id},
        },
    )


def take_back(intent: Intent) -> None:
    """Take the promise back: the Update that it was bought for is being rolled back."""
    values: state_table.Values = {":bought": {"S": State.BOUGHT}, ":ready": {"S": State.READY}}
    _change(intent, "SET purchase_state = :bought", "purchase_state = :ready", values)


def abandon(intent: Intent) -> bool:
    """Begin to give up what was bought; False if another run has promised it, or given it up, before."""
    values: state_table.Values = {":bought": {"S": State.BOUGHT}, ":true": {"BOOL": True}}
    return _change(intent, "SET cancelled = :true", "purchase_state = :bought", values) is not None


def close(intent: Intent, state: State, physical_id: str = "") -> None:
    """Write how a purchase ended: RELEASED or LAPSED with its number, REFUSED or SUSPECT without one.

    What another run has written of another number meanwhile stays.
    """
    values: state_table.Values = {":state": {"S": state}, ":id": {"S": physical_id}, ":none": {"S": ""}}
    _change(intent, "SET purchase_state = :state", "physical_id IN (:id, :none)", values)


def keep_turn(intent: Intent, at: float) -> None:
    """Keep a turn that comes after this invocation, for the next one."""
    values: state_table.Values = {":at": state_table.number(at), ":intent": {"S": State.INTENT}}
    _change(intent, "SET turn_at = :at", "purchase_state = :intent", values)


def cancel(intent: Intent) -> Intent:
    """Let nothing be bought for it any more; gives it as it stands then."""
    changed = _change(intent, "SET cancelled = :true", "attribute_exists(pk)", {":true": {"BOOL": True}})
    return changed or refresh(intent)


def name(intent: Intent) -> None:
    """Note that CloudFormation knows the id."""
    if not intent.named:
        _change(intent, "SET named = :true", "attribute_exists(pk)", {":true": {"BOOL": True}})


def answered(resource: str, request_id: str, *, replaced: str | None) -> None:
    """Note that CloudFormation took the SUCCESS of a purchase.

    Not that of a replacement whose predecessor was deleted before: nobody was waiting for that answer any more.
    """
    if replaced is not None:
        before = history(resource).of_number(replaced)
        if before is not None and not before.live:
            return
    item_key = state_table.key(resource, f"intent#{request_id}")
    state_table.update(
        item_key, "SET answered_at = :now", "attribute_exists(pk)", {":now": state_table.number(clock.now())}
    )


def note_delete(resource: str, issued_at: float) -> None:
    """Note a Delete, so that no request issued before it buys anything when it comes late."""
    _note(resource, "deleted_at", issued_at)


def note_update(resource: str, issued_at: float, *, protects: bool = False) -> bool:
    """Note an Update, so that no Update issued before it does anything when it comes late; False if this is one.

    protects: it is about to switch deletion protection on.
    """
    return _note(resource, "updated_at", issued_at, ", protected_at = :issued" if protects else "")


def _note(resource: str, what: str, issued_at: float, more: str = "") -> bool:
    condition = f"attribute_not_exists({what}) OR {what} <= :issued"
    values = {":issued": state_table.number(issued_at)}
    return (
        state_table.update(state_table.key(resource, _LATEST), f"SET {what} = :issued{more}", condition, values)
        is not None
    )


def _change(intent: Intent, change: str, condition: str, values: state_table.Values) -> Intent | None:
    item = state_table.update(_key(intent), change, condition, values)
    return None if item is None else _intent(item)


def _key(intent: Intent) -> state_table.Key:
    return state_table.key(intent.resource, f"intent#{intent.request_id}")


def _item(intent: Intent) -> state_table.Item:
    return {
        **_key(intent),
        "request_type": {"S": intent.request_type},
        "resource_type": {"S": intent.resource_type},
        "replaces": {"S": intent.replaces or ""},
        "issued_at": state_table.number(intent.issued_at),
        "opened_at": state_table.number(intent.opened_at),
        "purchase_state": {"S": intent.state},
        "attempt": state_table.number(intent.attempt),
        "chosen": {"S": intent.chosen or ""},
        "lease_owner": {"S": intent.lease_owner},
        "lease_until": state_table.number(intent.lease_until),
        "cancelled": {"BOOL": intent.cancelled},
        "named": {"BOOL": intent.named},
        "physical_id": {"S": intent.physical_id or ""},
    }


def _intent(item: state_table.Item) -> Intent:
    """Read an item; what a later version of this provider added is missing in older ones."""

    def text(name: str) -> str | None:
        return item.get(name, {}).get("S") or None

    def flag(name: str) -> bool:
        return bool(item.get(name, {}).get("BOOL"))

    return Intent(
        resource=item["pk"]["S"],
        request_id=item["sk"]["S"].removeprefix("intent#"),
        request_type=item["request_type"]["S"],
        resource_type=item["resource_type"]["S"],
        replaces=text("replaces"),
        issued_at=float(item["issued_at"]["N"]),
        opened_at=float(item["opened_at"]["N"]),
        state=State(item["purchase_state"]["S"]),
        attempt=int(item["attempt"]["N"]),
        chosen=text("chosen"),
        lease_owner=text("lease_owner") or "",
        lease_until=float(item["lease_until"]["N"]),
        cancelled=flag("cancelled"),
        named=flag("named"),
        answered_at=_time(item, "answered_at"),
        physical_id=text("physical_id"),
        turn_at=_time(item, "turn_at"),
    )


def _time(item: state_table.Item, name: str) -> float | None:
    return float(item[name]["N"]) if name in item else None
