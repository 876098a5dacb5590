"""What we bought for whom: the lock against buying twice, and the memory of what must be released.

One item per purchase, written before the money is spent, and one tombstone per resource:

    pk                          sk                    holds
    <StackId>|<LogicalId>       intent#<RequestId>    an Intent
    <StackId>|<LogicalId>       tombstone             when the newest Delete of a Create without an id was issued

    INTENT ──▶ BOUGHT ──▶ READY ──▶ RELEASED          REFUSED  certain that nothing was bought
                                                      SUSPECT  something may have been bought; the sweep looks again
                                                      LAPSED   a Connect claim that failed; it goes by itself

Every write is conditional, and repeating one does no harm. Items have no TTL: a number lives longer than any guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

from telephony import aws, clock
from telephony.errors import CALL_ERRORS, Undecided
from telephony.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

_TOMBSTONE = "tombstone"


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


@attrs.frozen
class Intent:
    """One purchase, or the wish for one. Times are seconds since the epoch."""

    resource: str
    """<StackId>|<LogicalResourceId>."""
    request_id: str
    request_type: str
    resource_type: str
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
    answered: bool = False
    """Its SUCCESS was taken in time: CloudFormation knows the id, unless it had cancelled the request before."""
    physical_id: str | None = None

    @property
    def live(self) -> bool:
        """Whether a number stands behind it."""
        return self.state in {State.BOUGHT, State.READY}

    @property
    def open(self) -> bool:
        """Whether there may be a number that was not released."""
        return self.live or self.state in {State.INTENT, State.SUSPECT}

    @property
    def begun(self) -> bool:
        """Whether an attempt to buy was ever begun."""
        return self.lease_until > 0


@attrs.frozen
class History:
    """All that the ledger knows of one resource, the oldest purchase first."""

    intents: Sequence[Intent]
    buried_at: float | None

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
    items: list[Mapping[str, AttributeValueTypeDef]] = []
    start: Mapping[str, Any] = {}
    while True:
        answer = _store(
            "query",
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": resource}},
            ConsistentRead=True,
            **({"ExclusiveStartKey": start} if start else {}),
        )
        items += answer["Items"]
        start = answer.get("LastEvaluatedKey", {})
        if not start:
            break
    intents = [_intent(item) for item in items if item["sk"]["S"] != _TOMBSTONE]
    tombstone = next((item for item in items if item["sk"]["S"] == _TOMBSTONE), None)
    return History(
        intents=sorted(intents, key=lambda intent: intent.opened_at),
        buried_at=float(tombstone["issued_at"]["N"]) if tombstone else None,
    )


def refresh(intent: Intent) -> Intent:
    """The purchase as it stands now."""
    answer = _store("get_item", Key=_key(intent), ConsistentRead=True)
    if "Item" not in answer:
        raise Undecided("The ledger lost a purchase.")
    return _intent(answer["Item"])


def suspects() -> Iterator[Intent]:
    """Every purchase that may have brought something nobody knows; a scan, for the daily sweep."""
    start: Mapping[str, Any] = {}
    while True:
        answer = _store(
            "scan",
            FilterExpression="purchase_state = :suspect",
            ExpressionAttributeValues={":suspect": {"S": State.SUSPECT}},
            ConsistentRead=True,
            **({"ExclusiveStartKey": start} if start else {}),
        )
        yield from (_intent(item) for item in answer["Items"])
        start = answer.get("LastEvaluatedKey", {})
        if not start:
            return


def open_intent(intent: Intent) -> bool:
    """Write the wish to buy, before anything is bought.

    Refuse (False) if this request has one already, or if a Delete of the resource was issued after this request: one
    transaction, so that a Delete that comes at the same moment is either seen here or sees the intent.
    """
    table = settings().state_table
    try:
        aws.store().transact_write_items(
            TransactItems=[
                {
                    "Put": {
                        "TableName": table,
                        "Item": _item(intent),
                        "ConditionExpression": "attribute_not_exists(pk)",
                    }
                },
                {
                    "ConditionCheck": {
                        "TableName": table,
                        "Key": {"pk": {"S": intent.resource}, "sk": {"S": _TOMBSTONE}},
                        "ConditionExpression": "attribute_not_exists(pk) OR issued_at < :issued",
                        "ExpressionAttributeValues": {":issued": _number(intent.issued_at)},
                    }
                },
            ]
        )
    except aws.store().exceptions.TransactionCanceledException as error:
        reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
        if "ConditionalCheckFailed" in reasons:
            return False
        raise Undecided("The ledger is busy with this resource.") from None
    except CALL_ERRORS as error:
        raise _trouble(error) from None
    return True


def take_lease(intent: Intent, owner: str) -> Intent | None:
    """Begin one attempt to buy, as intent.attempt and intent.chosen say; None if it may not be.

    It may not be when the purchase was cancelled, is past INTENT, or another invocation holds a live lease.
    """
    now = clock.now()
    return _change(
        intent,
        "SET lease_owner = :owner, lease_until = :until, attempt = :attempt, chosen = :chosen",
        "purchase_state = :intent AND cancelled = :false AND (lease_until < :now OR lease_owner = :owner)",
        {
            ":owner": {"S": owner},
            ":until": _number(now + settings().lease),
            ":attempt": _number(intent.attempt),
            ":chosen": {"S": intent.chosen or ""},
            ":intent": {"S": State.INTENT},
            ":false": {"BOOL": False},
            ":now": _number(now),
        },
    )


def bought(intent: Intent, physical_id: str) -> Intent | None:
    """Write that the number is there. A fact, so written even if cancelled meanwhile; None if it was given up."""
    return _change(
        intent,
        "SET purchase_state = :bought, physical_id = :id",
        "purchase_state IN (:intent, :suspect, :bought)",
        {
            ":bought": {"S": State.BOUGHT},
            ":intent": {"S": State.INTENT},
            ":suspect": {"S": State.SUSPECT},
            ":id": {"S": physical_id},
        },
    )


def ready(intent: Intent) -> bool:
    """Promise the number to CloudFormation, unless a Delete has come between."""
    values: Mapping[str, AttributeValueTypeDef] = {
        ":bought": {"S": State.BOUGHT},
        ":ready": {"S": State.READY},
        ":false": {"BOOL": False},
    }
    condition = "purchase_state IN (:bought, :ready) AND cancelled = :false"
    return _change(intent, "SET purchase_state = :ready", condition, values) is not None


def close(intent: Intent, state: State) -> None:
    """Write how a purchase ended: RELEASED, REFUSED, SUSPECT or LAPSED."""
    _change(intent, "SET purchase_state = :state", "attribute_exists(pk)", {":state": {"S": state}})


def cancel(intent: Intent) -> Intent:
    """Let nothing be bought for it any more; gives it as it stands then."""
    changed = _change(intent, "SET cancelled = :true", "attribute_exists(pk)", {":true": {"BOOL": True}})
    return changed or refresh(intent)


def name(intent: Intent) -> None:
    """Note that CloudFormation knows the id."""
    if not intent.named:
        _change(intent, "SET named = :true", "attribute_exists(pk)", {":true": {"BOOL": True}})


def answered(resource: str, request_id: str) -> None:
    """Note that CloudFormation took the SUCCESS of a purchase."""
    key: Mapping[str, AttributeValueTypeDef] = {"pk": {"S": resource}, "sk": {"S": f"intent#{request_id}"}}
    _update(key, "SET answered = :true", "attribute_exists(pk)", {":true": {"BOOL": True}})


def bury(resource: str, issued_at: float) -> None:
    """Note a Delete, so that no Create issued before it buys anything when it comes late."""
    _update(
        {"pk": {"S": resource}, "sk": {"S": _TOMBSTONE}},
        "SET issued_at = :issued",
        "attribute_not_exists(pk) OR issued_at < :issued",
        {":issued": _number(issued_at)},
    )


def _change(intent: Intent, update: str, condition: str, values: Mapping[str, AttributeValueTypeDef]) -> Intent | None:
    item = _update(_key(intent), update, condition, values)
    return None if item is None else _intent(item)


def _update(
    key: Mapping[str, AttributeValueTypeDef],
    update: str,
    condition: str,
    values: Mapping[str, AttributeValueTypeDef],
) -> Mapping[str, Any] | None:
    """Write under a condition, and give the item; None if the condition does not hold."""
    try:
        answer = aws.store().update_item(
            TableName=settings().state_table,
            Key=key,
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeValues=values,
            ReturnValues="ALL_NEW",
        )
    except aws.store().exceptions.ConditionalCheckFailedException:
        return None
    except CALL_ERRORS as error:
        raise _trouble(error) from None
    return answer["Attributes"]


def _store(operation: str, **parameters: Any) -> Any:
    try:
        return getattr(aws.store(), operation)(TableName=settings().state_table, **parameters)
    except CALL_ERRORS as error:
        raise _trouble(error) from None


def _trouble(error: Exception) -> Undecided:
    """Whatever ails the ledger, nothing is bought or answered before it works again."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code") or type(error).__name__
    return Undecided(f"The state table did not answer ({code}).")


def _key(intent: Intent) -> Mapping[str, AttributeValueTypeDef]:
    return {"pk": {"S": intent.resource}, "sk": {"S": f"intent#{intent.request_id}"}}


def _item(intent: Intent) -> Mapping[str, AttributeValueTypeDef]:
    return {
        **_key(intent),
        "request_type": {"S": intent.request_type},
        "resource_type": {"S": intent.resource_type},
        "issued_at": _number(intent.issued_at),
        "opened_at": _number(intent.opened_at),
        "purchase_state": {"S": intent.state},
        "attempt": _number(intent.attempt),
        "chosen": {"S": intent.chosen or ""},
        "lease_owner": {"S": intent.lease_owner},
        "lease_until": _number(intent.lease_until),
        "cancelled": {"BOOL": intent.cancelled},
        "named": {"BOOL": intent.named},
        "answered": {"BOOL": intent.answered},
        "physical_id": {"S": intent.physical_id or ""},
    }


def _intent(item: Mapping[str, Any]) -> Intent:
    return Intent(
        resource=item["pk"]["S"],
        request_id=item["sk"]["S"].removeprefix("intent#"),
        request_type=item["request_type"]["S"],
        resource_type=item["resource_type"]["S"],
        issued_at=float(item["issued_at"]["N"]),
        opened_at=float(item["opened_at"]["N"]),
        state=State(item["purchase_state"]["S"]),
        attempt=int(item["attempt"]["N"]),
        chosen=item["chosen"]["S"] or None,
        lease_owner=item["lease_owner"]["S"],
        lease_until=float(item["lease_until"]["N"]),
        cancelled=item["cancelled"]["BOOL"],
        named=item["named"]["BOOL"],
        answered=item["answered"]["BOOL"],
        physical_id=item["physical_id"]["S"] or None,
    )


def _number(value: float) -> AttributeValueTypeDef:
    return {"N": repr(round(value, 3))}
