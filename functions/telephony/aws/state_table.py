"""The state table: conditional writes and consistent reads, and what it means when it does not answer."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from telephony import clock
from telephony.aws import clients
from telephony.aws.errors import CALL_ERRORS
from telephony.errors import UnknownOutcomeError
from telephony.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef, TransactWriteItemTypeDef

CONFLICT = "TransactionConflict"
_CONFLICTS = 8
"""How often a write is made that meets a transaction at its item; such a one is over within milliseconds."""

type Key = Mapping[str, AttributeValueTypeDef]
type Values = Mapping[str, AttributeValueTypeDef]
type Item = Mapping[str, Any]


def key(partition: str, sort: str) -> Key:
    """The key of an item."""
    return {"pk": {"S": partition}, "sk": {"S": sort}}


def number(value: float) -> AttributeValueTypeDef:
    """A number, to the millisecond where it is a time."""
    return {"N": repr(round(value, 3))}


def get(item_key: Key) -> Item | None:
    """Read one item consistently."""
    item: Item | None = _call("get_item", Key=item_key, ConsistentRead=True).get("Item")
    return item


def query(partition: str) -> Iterator[Item]:
    """Read every item of a partition consistently."""
    return _pages("query", KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": partition}})


def scan(condition: str, values: Values) -> Iterator[Item]:
    """Read every item that meets the condition."""
    return _pages("scan", FilterExpression=condition, ExpressionAttributeValues=values)


def update(item_key: Key, changed: str, condition: str, values: Values) -> Item | None:
    """Write under a condition, and give the whole item; None if the condition does not hold."""
    for attempt in range(_CONFLICTS):
        try:
            answer = clients.dynamodb().update_item(
                TableName=settings().state_table,
                Key=item_key,
                UpdateExpression=changed,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
            )
        except clients.dynamodb().exceptions.ConditionalCheckFailedException:
            return None
        except clients.dynamodb().exceptions.TransactionConflictException:
            # botocore does not repeat it.
            clock.sleep(random.uniform(0.005, 0.02) * 2**attempt)  # noqa: S311 - jitter
        except CALL_ERRORS as error:
            raise _unavailable(error) from None
        else:
            return answer["Attributes"]
    raise UnknownOutcomeError("The state table did not answer (TransactionConflictException).")


def conditional_put(item: Item, condition: str) -> TransactWriteItemTypeDef:
    """Describe, for `transact_write`, that an item is written under a condition."""
    return {"Put": {"TableName": settings().state_table, "Item": item, "ConditionExpression": condition}}


def conditional_update(item_key: Key, changed: str, condition: str, values: Values) -> TransactWriteItemTypeDef:
    """Describe, for `transact_write`, that an item is changed under a condition."""
    return {
        "Update": {
            "TableName": settings().state_table,
            "Key": item_key,
            "UpdateExpression": changed,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
        }
    }


def condition_check(item_key: Key, condition: str, values: Values) -> TransactWriteItemTypeDef:
    """Describe, for `transact_write`, that a condition holds of an item which is not written."""
    return {
        "ConditionCheck": {
            "TableName": settings().state_table,
            "Key": item_key,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
        }
    }


def transact_write(*writes: TransactWriteItemTypeDef) -> Mapping[int, str]:
    """Write everything or nothing; nothing if anything stood in the way, which is then given: its place, and its code.

    A code is ConditionalCheckFailed, or TransactionConflict where another write was at the item in that moment.
    """
    try:
        clients.dynamodb().transact_write_items(TransactItems=writes)
    except clients.dynamodb().exceptions.TransactionCanceledException as error:
        codes = [reason.get("Code", "None") for reason in error.response.get("CancellationReasons", [])]
        in_the_way = {place: code for place, code in enumerate(codes) if code != "None"}
        if not in_the_way or not set(in_the_way.values()) <= {"ConditionalCheckFailed", CONFLICT}:
            raise _unavailable(error) from None
        return in_the_way
    except CALL_ERRORS as error:
        raise _unavailable(error) from None
    return {}


def _pages(operation: str, **parameters: Any) -> Iterator[Item]:
    start: Item = {}
    while True:
        more = {"ExclusiveStartKey": start} if start else {}
        answer = _call(operation, ConsistentRead=True, **parameters, **more)
        yield from answer["Items"]
        start = answer.get("LastEvaluatedKey", {})
        if not start:
            return


def _call(operation: str, **parameters: Any) -> Any:
    try:
        return getattr(clients.dynamodb(), operation)(TableName=settings().state_table, **parameters)
    except CALL_ERRORS as error:
        raise _unavailable(error) from None


def _unavailable(error: Exception) -> UnknownOutcomeError:
    """Whatever ails the table, nothing is bought or answered before it works again."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code") or type(error).__name__
    return UnknownOutcomeError(f"The state table did not answer ({code}).")
