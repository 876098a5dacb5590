"""A DynamoDB table in memory, for simulations with many thousands of calls.

It supports what the provider and Powertools use: single-item operations, batches of reads, queries by partition and of
the indexes, transactions, and their expressions. Anything else raises UnsupportedError. moto, which the
contract tests use, takes several times as long. tests/unit/test_benchmarks.py compares the two call by call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from http import HTTPStatus
from typing import Any

type Item = dict[str, Any]
"""Attributes in DynamoDB's JSON, for example `{"pk": {"S": "a"}}`."""
type _Values = Mapping[str, Any]
"""Expression attribute names and values."""
type _Condition = Callable[[Item, _Values], bool]
type _Operand = Callable[[Item, _Values], Any]

_TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),+-]|[#:]?\w+)")
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: _ordered(left, right) and _number(left) < _number(right),
    "<=": lambda left, right: _ordered(left, right) and _number(left) <= _number(right),
    ">": lambda left, right: _ordered(left, right) and _number(left) > _number(right),
    ">=": lambda left, right: _ordered(left, right) and _number(left) >= _number(right),
}
_FAILED = "The conditional request failed"
_INDEXES: Mapping[str, tuple[str, ...]] = {
    "unfinished": ("unfinished", "deadline"),
    "counted": ("resource_type", "counted_at", "attempted_at", "released_at", "quota"),
}
"""Attributes of each index besides the keys of the table. Items without the first two are not in it."""
_MAX_BATCH = 100


class UnsupportedError(Exception):
    """The table does not implement what a call uses."""


class _RefusedError(Exception):
    def __init__(self, code: str, message: str, **members: Any) -> None:
        super().__init__(message)
        self.body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message, **members}


class StateTable:
    """A table with the string keys `pk` and `sk`, and the indexes of the state table."""

    def __init__(self) -> None:
        self._partitions: dict[str, dict[str, Item]] = {}
        self._operations: Mapping[str, Callable[[Any], Mapping[str, Any]]] = {
            "GetItem": self._get_item,
            "BatchGetItem": self._batch_get_item,
            "PutItem": self._put_item,
            "UpdateItem": self._update_item,
            "DeleteItem": self._delete_item,
            "Query": self._query,
            "TransactWriteItems": self._transact_write_items,
        }

    def call(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """Execute a call. Returns the HTTP status and the body of the response."""
        if operation not in self._operations:
            raise UnsupportedError(operation)
        try:
            return HTTPStatus.OK, json.dumps(self._operations[operation](json.loads(body))).encode()
        except _RefusedError as refused:
            return HTTPStatus.BAD_REQUEST, json.dumps(refused.body).encode()

    def items(self) -> list[Item]:
        """Return all items."""
        return [item for partition in self._partitions.values() for item in partition.values()]

    def _get_item(self, parameters: Any) -> Mapping[str, Any]:
        item = self._find(parameters["Key"])
        return {} if item is None else {"Item": item}

    def _batch_get_item(self, parameters: Any) -> Mapping[str, Any]:
        [(table, request)] = parameters["RequestItems"].items()
        keys = request["Keys"]
        if request.keys() - {"Keys", "ConsistentRead"}:
            raise UnsupportedError(str(request.keys()))
        if len(keys) > _MAX_BATCH:
            raise _RefusedError("ValidationException", "Too many items requested for the BatchGetItem call")
        if len({(key["pk"]["S"], key["sk"]["S"]) for key in keys}) < len(keys):
            raise _RefusedError("ValidationException", "Provided list of item keys contains duplicates")
        found = [item for item in map(self._find, keys) if item is not None]
        return {"Responses": {table: found}, "UnprocessedKeys": {}}

    def _put_item(self, parameters: Any) -> Mapping[str, Any]:
        self._check(parameters, parameters["Item"])
        self._store(parameters["Item"])
        return {}

    def _update_item(self, parameters: Any) -> Mapping[str, Any]:
        self._check(parameters, parameters["Key"])
        updated = self._updated(parameters)
        self._store(updated)
        returned = parameters.get("ReturnValues", "NONE")
        if returned not in {"NONE", "ALL_NEW"}:
            raise UnsupportedError(returned)
        return {"Attributes": updated} if returned == "ALL_NEW" else {}

    def _delete_item(self, parameters: Any) -> Mapping[str, Any]:
        self._check(parameters, parameters["Key"])
        self._partitions.get(parameters["Key"]["pk"]["S"], {}).pop(parameters["Key"]["sk"]["S"], None)
        return {}

    def _query(self, parameters: Any) -> Mapping[str, Any]:
        if "IndexName" in parameters:
            return self._query_index(parameters)
        if parameters["KeyConditionExpression"] != "pk = :pk" or "FilterExpression" in parameters:
            raise UnsupportedError(parameters["KeyConditionExpression"])
        partition = self._partitions.get(parameters["ExpressionAttributeValues"][":pk"]["S"], {})
        items = [partition[sort] for sort in sorted(partition)]
        return {"Items": items, "Count": len(items), "ScannedCount": len(items)}

    def _query_index(self, parameters: Any) -> Mapping[str, Any]:
        """Return what the index holds of the items that meet the condition, by its second key."""
        if parameters["IndexName"] not in _INDEXES or parameters.keys() & {
            "FilterExpression",
            "ExclusiveStartKey",
            "Limit",
        }:
            raise UnsupportedError(str(parameters))
        if parameters.get("ConsistentRead"):
            message = "Consistent reads are not supported on global secondary indexes"
            raise _RefusedError("ValidationException", message)
        holds, values = _condition(parameters["KeyConditionExpression"]), _values(parameters)
        projected = {"pk", "sk", *(attributes := _INDEXES[parameters["IndexName"]])}
        partition, sort = attributes[:2]
        indexed = (item for item in self.items() if partition in item and sort in item)
        found = sorted((item for item in indexed if holds(item, values)), key=lambda item: _number(item[sort]))
        items = [{name: value for name, value in item.items() if name in projected} for item in found]
        return {"Items": items, "Count": len(items), "ScannedCount": len(items)}

    def _transact_write_items(self, parameters: Any) -> Mapping[str, Any]:
        writes = [(kind, write) for each in parameters["TransactItems"] for kind, write in each.items()]
        keys = [(key["pk"]["S"], key["sk"]["S"]) for key in (write.get("Key") or write["Item"] for _, write in writes)]
        if len(set(keys)) < len(keys):
            raise UnsupportedError("Two operations on one item")
        reasons: list[dict[str, Any]] = []
        for _, write in writes:
            try:
                self._check(write, write.get("Key") or write["Item"])
                reasons.append({"Code": "None"})
            except _RefusedError as refused:
                kept = {name: refused.body[name] for name in ("Item",) if name in refused.body}
                reasons.append({"Code": "ConditionalCheckFailed", "Message": _FAILED, **kept})
        codes = [reason["Code"] for reason in reasons]
        if set(codes) != {"None"}:
            message = f"Transaction cancelled, please refer cancellation reasons for specific reasons {codes}"
            raise _RefusedError("TransactionCanceledException", message, CancellationReasons=reasons)
        for kind, write in writes:
            if kind == "Delete":
                self._delete_item({"Key": write["Key"]})
            elif kind != "ConditionCheck":
                self._store(write["Item"] if kind == "Put" else self._updated(write))
        return {}

    def _find(self, key: Item) -> Item | None:
        return self._partitions.get(key["pk"]["S"], {}).get(key["sk"]["S"])

    def _store(self, item: Item) -> None:
        self._partitions.setdefault(item["pk"]["S"], {})[item["sk"]["S"]] = item

    def _check(self, parameters: Any, key: Item) -> None:
        """Raise _RefusedError if the condition of a write is false."""
        expression, found = parameters.get("ConditionExpression"), self._find(key)
        if expression is None or _condition(expression)(found or {}, _values(parameters)):
            return
        shown = found is not None and parameters.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        raise _RefusedError("ConditionalCheckFailedException", _FAILED, **({"Item": found} if shown else {}))

    def _updated(self, parameters: Any) -> Item:
        item, values = dict(self._find(parameters["Key"]) or parameters["Key"]), _values(parameters)
        before = dict(item)
        for change in _changes(parameters["UpdateExpression"]):
            change(item, before, values)
        return item


def _values(parameters: Any) -> _Values:
    names = parameters.get("ExpressionAttributeNames") or {}
    values = parameters.get("ExpressionAttributeValues") or {}
    return {**names, **values}


def _ordered(left: Any, right: Any) -> bool:
    return left is not None and right is not None and left.keys() == right.keys()


def _number(value: Any) -> Any:
    return Decimal(value["N"]) if "N" in value else next(iter(value.values()))


class _Parser:
    """A recursive descent parser. Each method consumes tokens, and returns a function of item and values."""

    def __init__(self, expression: str) -> None:
        self._tokens = _TOKEN.findall(expression)
        if "".join(self._tokens) != re.sub(r"\s", "", expression):
            raise UnsupportedError(expression)

    def peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def take(self, expected: str = "") -> str:
        if not self._tokens or (expected and self.peek().upper() != expected):
            raise UnsupportedError(f"{self._tokens} instead of {expected}")
        return str(self._tokens.pop(0))

    def skip(self, expected: str) -> bool:
        found = self.peek().upper() == expected
        if found:
            self.take()
        return found

    def condition(self) -> _Condition:
        parts = [self._all()]
        while self.skip("OR"):
            parts.append(self._all())
        return lambda item, values: any(part(item, values) for part in parts)

    def _all(self) -> _Condition:
        parts = [self._one()]
        while self.skip("AND"):
            parts.append(self._one())
        return lambda item, values: all(part(item, values) for part in parts)

    def _one(self) -> _Condition:
        if self.skip("NOT"):
            negated = self._one()
            return lambda item, values: not negated(item, values)
        if self.skip("("):
            inner = self.condition()
            self.take(")")
            return inner
        for function in ("attribute_exists", "attribute_not_exists"):
            if self.skip(function.upper()):
                self.take("(")
                path = self._path()
                self.take(")")
                wanted = function == "attribute_exists"
                return lambda item, values: (path(values) in item) is wanted
        if self.skip("CONTAINS"):
            self.take("(")
            whole = self.operand()
            self.take(",")
            part = self.operand()
            self.take(")")
            return lambda item, values: _contains(whole(item, values), part(item, values))
        return self._comparison()

    def _comparison(self) -> _Condition:
        left, operator = self.operand(), self.take()
        if operator.upper() == "IN":
            self.take("(")
            options = [self.operand()]
            while self.skip(","):
                options.append(self.operand())
            self.take(")")
            return lambda item, values: left(item, values) in [option(item, values) for option in options]
        if operator not in _COMPARISONS:
            raise UnsupportedError(operator)
        compare, right = _COMPARISONS[operator], self.operand()
        return lambda item, values: compare(left(item, values), right(item, values))

    def _path(self) -> Callable[[_Values], str]:
        name = self.take()
        return (lambda values: str(values[name])) if name.startswith("#") else (lambda _: name)

    def operand(self) -> _Operand:
        if self.peek().startswith(":"):
            name = self.take()
            return lambda _, values: values[name]
        if self.skip("IF_NOT_EXISTS"):
            self.take("(")
            path = self._path()
            self.take(",")
            default = self.operand()
            self.take(")")
            return lambda item, values: item.get(path(values)) or default(item, values)
        path = self._path()
        return lambda item, values: item.get(path(values))

    def changes(self) -> list[_Change]:
        found: list[_Change] = []
        while self.peek():
            action = _ACTIONS.get(self.take().upper())
            if action is None:
                raise UnsupportedError(str(self._tokens))
            found.append(action(self))
            while self.skip(","):
                found.append(action(self))
        return found

    def set(self) -> _Change:
        path = self._path()
        self.take("=")
        first, sign, second = self.operand(), "", None
        if self.peek() in {"+", "-"}:
            sign, second = self.take(), self.operand()

        def change(item: Item, before: Item, values: _Values) -> None:
            value = first(before, values)
            if second is not None:
                added = _number(second(before, values))
                value = _sum(_number(value), added if sign == "+" else -added)
            item[path(values)] = value

        return change

    def remove(self) -> _Change:
        path = self._path()
        return lambda item, _, values: item.pop(path(values), None)

    def add(self) -> _Change:
        path, operand = self._path(), self.operand()

        def change(item: Item, before: Item, values: _Values) -> None:
            name, value = path(values), operand(before, values)
            if "N" in value:
                item[name] = _sum(_number(before[name]) if name in before else Decimal(0), _number(value))
            else:
                item[name] = _set_of(value, _members(before, name, value) | set(next(iter(value.values()))))

        return change

    def delete(self) -> _Change:
        path, operand = self._path(), self.operand()

        def change(item: Item, before: Item, values: _Values) -> None:
            name, value = path(values), operand(before, values)
            rest = _members(before, name, value) - set(next(iter(value.values())))
            item.pop(name, None)
            if rest:
                item[name] = _set_of(value, rest)

        return change


type _Change = Callable[[Item, Item, _Values], Any]
"""Changes an item, given the item before the update."""
_ACTIONS: Mapping[str, Callable[[_Parser], _Change]] = {
    "SET": _Parser.set,
    "REMOVE": _Parser.remove,
    "ADD": _Parser.add,
    "DELETE": _Parser.delete,
}


def _sum(first: Decimal, second: Decimal) -> Item:
    total = f"{first + second:f}"
    return {"N": total.rstrip("0").rstrip(".") if "." in total else total}


def _members(item: Item, name: str, like: Item) -> set[str]:
    return set(item.get(name, {}).get(next(iter(like)), ()))


def _set_of(like: Item, members: set[str]) -> Item:
    return {next(iter(like)): sorted(members)}


def _contains(whole: Any, part: Any) -> bool:
    if whole is None:
        return False
    (kind, value), wanted = next(iter(whole.items())), next(iter(part.values()))
    if kind not in {"S", "SS", "NS"}:
        raise UnsupportedError(f"contains of {kind}")
    return wanted in value


@cache
def _condition(expression: str) -> _Condition:
    parser = _Parser(expression)
    condition = parser.condition()
    if parser.peek():
        raise UnsupportedError(expression)
    return condition


@cache
def _changes(expression: str) -> list[_Change]:
    return _Parser(expression).changes()
