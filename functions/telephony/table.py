"""The state table: conditional writes and consistent reads, and what it means when it does not answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from telephony import aws
from telephony.errors import CALL_ERRORS, Undecided
from telephony.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef, TransactWriteItemTypeDef

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


def update(item_key: Key, change: str, condition: str, values: Values) -> Item | None:
    """Write under a condition, and give the whole item; None if the condition does not hold."""
    try:
        answer = aws.store().update_item(
            TableName=settings().state_table,
            Key=item_key,
            UpdateExpression=change,
            ConditionExpression=condition,
            ExpressionAttributeValues=values,
            ReturnValues="ALL_NEW",
        )
    except aws.store().exceptions.ConditionalCheckFailedException:
        return None
    except CALL_ERRORS as error:
        raise _trouble(error) from None
    return answer["Attributes"]


def put_if(item: Item, condition: str, *, other: Key, other_condition: str, values: Values) -> bool:
    """Write an item in one transaction with a look at another one; False if either condition does not hold."""
    table = settings().state_table
    put: TransactWriteItemTypeDef = {"Put": {"TableName": table, "Item": item, "ConditionExpression": condition}}
    check: TransactWriteItemTypeDef = {
        "ConditionCheck": {
            "TableName": table,
            "Key": other,
            "ConditionExpression": other_condition,
            "ExpressionAttributeValues": values,
        }
    }
    try:
        aws.store().transact_write_items(TransactItems=[put, check])
    except aws.store().exceptions.TransactionCanceledException as error:
        reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
        if "ConditionalCheckFailed" in reasons:
            return False
        raise _trouble(error) from None
    except CALL_ERRORS as error:
        raise _trouble(error) from None
    return True


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
        return getattr(aws.store(), operation)(TableName=settings().state_table, **parameters)
    except CALL_ERRORS as error:
        raise _trouble(error) from None


def _trouble(error: Exception) -> Undecided:
    """Whatever ails the table, nothing is bought or answered before it works again."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code") or type(error).__name__
    return Undecided(f"The state table did not answer ({code}).")
