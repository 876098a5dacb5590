"""The state table: consistent reads, conditional writes and transactions."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from telephony import clock
from telephony.aws import clients
from telephony.aws.errors import CALL_ERRORS, STATE_TABLE, code_of
from telephony.errors import UnknownOutcomeError
from telephony.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef, TransactWriteItemTypeDef

CONFLICT = "TransactionConflict"
_BATCH_SIZE = 100
"""The keys that BatchGetItem accepts (API reference)."""
_CONFLICT_ATTEMPTS = 8
"""Attempts for a write that conflicts with a transaction on its item. A transaction ends within milliseconds."""

type Key = Mapping[str, AttributeValueTypeDef]
type Values = Mapping[str, AttributeValueTypeDef]
type Item = Mapping[str, Any]


def key(partition: str, sort: str) -> Key:
    """Return the key of an item."""
    return {"pk": {"S": partition}, "sk": {"S": sort}}


def number(value: float) -> AttributeValueTypeDef:
    """Return a number attribute, in the form that a read returns. Times have millisecond precision."""
    return {"N": f"{value:.3f}".rstrip("0").rstrip(".")}


def get(item_key: Key) -> Item | None:
    """Read one item consistently."""
    item: Item | None = _call("get_item", Key=item_key, ConsistentRead=True).get("Item")
    return item


def query(partition: str) -> Iterator[Item]:
    """Read every item of a partition consistently."""
    return _paginate("query", KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": partition}})


def query_index(index: str, condition: str, values: Values) -> Iterator[Item]:
    """Yield what an index holds of the items that meet the condition. A recent write can be missing."""
    return _paginate(
        "query", IndexName=index, KeyConditionExpression=condition, ExpressionAttributeValues=values, consistent=False
    )


def batch_get(keys: Iterable[Key]) -> Iterator[Item]:
    """Yield the items with these keys that exist, read consistently, in any order."""
    for batch in itertools.batched(keys, _BATCH_SIZE, strict=False):
        unread: Any = {"Keys": list(batch), "ConsistentRead": True}
        while unread:
            response = _call_batch({settings().state_table: unread})
            yield from response["Responses"].get(settings().state_table, [])
            unread = response.get("UnprocessedKeys", {}).get(settings().state_table)


def update(item_key: Key, changed: str, condition: str, values: Values) -> Item | None:
    """Update an item under a condition. Returns the whole item, or None if the condition is false."""
    parameters = {"Key": item_key, "UpdateExpression": changed, "ReturnValues": "ALL_NEW"}
    response = _write("update_item", ConditionExpression=condition, ExpressionAttributeValues=values, **parameters)
    return None if response is None else response["Attributes"]


def update_or_read(item_key: Key, changed: str, condition: str, values: Values) -> tuple[bool, Item]:
    """Update an item under a condition. Returns whether it was updated, and the item as it is now."""
    parameters = {"Key": item_key, "UpdateExpression": changed, "ReturnValues": "ALL_NEW"}
    parameters["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    failed: list[Item] = []
    response = _write(
        "update_item", failed, ConditionExpression=condition, ExpressionAttributeValues=values, **parameters
    )
    return (True, response["Attributes"]) if response is not None else (False, failed[0])


def replace(item: Item) -> None:
    """Write an item, whatever it was before."""
    _call("put_item", Item=item)


def put(item: Item, condition: str, values: Values) -> bool:
    """Replace an item under a condition. Returns False if the condition is false.

    A retry after a lost response finds its own item, which is a success.
    """
    if _write("put_item", Item=item, ConditionExpression=condition, ExpressionAttributeValues=values) is not None:
        return True
    return get({name: item[name] for name in ("pk", "sk")}) == item


def _write(operation: str, failed: list[Item] | None = None, /, **parameters: Any) -> Any:
    """Make a conditional write. Returns None if the condition is false, and appends the present item to `failed`."""
    for attempt in range(_CONFLICT_ATTEMPTS):
        try:
            return getattr(clients.dynamodb(), operation)(TableName=settings().state_table, **parameters)
        except clients.dynamodb().exceptions.ConditionalCheckFailedException as error:
            if failed is not None:
                failed.append(cast("Item", error.response.get("Item", {})))
            return None
        except clients.dynamodb().exceptions.TransactionConflictException:
            _wait_for_conflict(attempt)
        except CALL_ERRORS as error:
            raise unavailable(error) from None
    raise UnknownOutcomeError("The state table is unavailable (TransactionConflictException).", remedy=STATE_TABLE)


def _wait_for_conflict(attempt: int) -> None:
    """Wait until a transaction on the same item has ended. botocore does not retry these conflicts."""
    clock.sleep(random.uniform(0.005, 0.02) * 2**attempt)  # noqa: S311 - jitter


def conditional_put(item: Item, condition: str = "", values: Values | None = None) -> TransactWriteItemTypeDef:
    """Return a put for `transact_write`, conditional if a condition is given."""
    put: Any = {"TableName": settings().state_table, "Item": item}
    put |= {"ConditionExpression": condition} if condition else {}
    put |= {"ExpressionAttributeValues": values} if values else {}
    return {"Put": put}


def conditional_update(item_key: Key, changed: str, condition: str, values: Values) -> TransactWriteItemTypeDef:
    """Return an update for `transact_write`, conditional if a condition is given."""
    update: Any = {"TableName": settings().state_table, "Key": item_key, "UpdateExpression": changed}
    update |= {"ConditionExpression": condition} if condition else {}
    update |= {"ExpressionAttributeValues": values}
    return {"Update": update}


def conditional_delete(item_key: Key, condition: str) -> TransactWriteItemTypeDef:
    """Return a delete for `transact_write`, under a condition."""
    return {"Delete": {"TableName": settings().state_table, "Key": item_key, "ConditionExpression": condition}}


def condition_check(item_key: Key, condition: str, values: Values | None = None) -> TransactWriteItemTypeDef:
    """Return a condition on an item that is not written, for `transact_write`."""
    check: Any = {"TableName": settings().state_table, "Key": item_key, "ConditionExpression": condition}
    check |= {"ExpressionAttributeValues": values} if values else {}
    return {"ConditionCheck": check}


def transact_write(*writes: TransactWriteItemTypeDef) -> Mapping[int, str]:
    """Write all items or none.

    Returns an empty mapping on success, else the cancellation code of each write that failed, by its position:
    ConditionalCheckFailed, or TransactionConflict if another write held the item at that moment.
    """
    try:
        clients.dynamodb().transact_write_items(TransactItems=writes)
    except clients.dynamodb().exceptions.TransactionCanceledException as error:
        codes = [reason.get("Code", "None") for reason in error.response.get("CancellationReasons", [])]
        failed = {position: code for position, code in enumerate(codes) if code != "None"}
        if not failed or not set(failed.values()) <= {"ConditionalCheckFailed", CONFLICT}:
            raise unavailable(error) from None
        return failed
    except CALL_ERRORS as error:
        raise unavailable(error) from None
    return {}


def transact(*writes: TransactWriteItemTypeDef) -> Mapping[int, str]:
    """Write all items or none, and repeat a transaction that conflicts with another write.

    Returns an empty mapping on success, else the positions of the writes whose conditions are false. Raises
    UnknownOutcomeError if the conflict lasts.
    """
    for attempt in range(_CONFLICT_ATTEMPTS):
        failed = transact_write(*writes)
        if CONFLICT not in failed.values():
            return failed
        _wait_for_conflict(attempt)
    raise UnknownOutcomeError("The state table is busy with another request for this resource.")


def _paginate(operation: str, *, consistent: bool = True, **parameters: Any) -> Iterator[Item]:
    start: Item = {}
    while True:
        more = {"ExclusiveStartKey": start} if start else {}
        page = _call(operation, ConsistentRead=consistent, **parameters, **more)
        yield from page["Items"]
        start = page.get("LastEvaluatedKey", {})
        if not start:
            return


def _call(operation: str, **parameters: Any) -> Any:
    try:
        return getattr(clients.dynamodb(), operation)(TableName=settings().state_table, **parameters)
    except CALL_ERRORS as error:
        raise unavailable(error) from None


def _call_batch(requested: Mapping[str, Any]) -> Any:
    try:
        return clients.dynamodb().batch_get_item(RequestItems=requested)
    except CALL_ERRORS as error:
        raise unavailable(error) from None


def unavailable(error: BaseException) -> UnknownOutcomeError:
    """Every error of the table stops the request: without the table nothing may be purchased or answered."""
    return UnknownOutcomeError(f"The state table is unavailable ({code_of(error)}).", remedy=STATE_TABLE)
