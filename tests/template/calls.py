"""Calls with everything in them that an operation's model allows: rich inputs, rich answers, each modelled error."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
from moto.core.responses import get_service_model
from moto.core.serialize import get_serializer_class

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@attrs.frozen
class Call:
    """What a client is asked for, and what it is answered."""

    service: str
    operation: str
    parameters: dict[str, Any]
    status: int
    headers: dict[str, str]
    body: str


def calls(operations: Mapping[str, tuple[str, ...]]) -> Iterator[Call]:
    """One for each operation that goes well, and one for each error that the service has."""
    for service, names in operations.items():
        model: Any = get_service_model(service)
        for name in names:
            operation = model.operation_model(name)
            serializer = get_serializer_class(service, model.resolved_protocol)
            given = _rich(operation.input_shape) if operation.input_shape else {}
            answers = [_rich(operation.output_shape) if operation.output_shape else {}]
            for answer in [*answers, *map(_error, model.error_shapes)]:
                said = serializer(operation).serialize(answer)
                yield Call(service, name, given, said["status_code"], dict(said["headers"]), said["body"])


class _Said(Exception):
    """Becomes the error that its code names."""


def _error(shape: Any) -> _Said:
    error = _Said("said")
    vars(error).update(_rich(shape), code=shape.error_code, message="said")
    return error


def _rich(shape: Any, turns: Iterator[int] | None = None, inside: tuple[str, ...] = ()) -> Any:
    """A value with every member in it; of a union one member, another one at every place."""
    turns = itertools.count() if turns is None else turns
    least = shape.metadata.get("min", 0)

    def rich(part: Any) -> Any:
        return _rich(part, turns, (*inside, shape.name))

    def members() -> dict[str, Any]:
        # What holds itself stops where it would begin again.
        again = {"list", "map"} if shape.name in inside else set()
        names = sorted(name for name, part in shape.members.items() if part.type_name not in again)
        # DynamoDB's model does not say of AttributeValue that it is a union.
        if shape.is_tagged_union or shape.name == "AttributeValue":
            names = [names[next(turns) % len(names)]]
        return {name: rich(shape.members[name]) for name in names}

    values: dict[str, Callable[[], Any]] = {
        "structure": members,
        "list": lambda: [rich(shape.member) for _ in range(max(2, least))],
        "map": lambda: {rich(shape.key): rich(shape.value)},
        "string": lambda: shape.enum[0] if shape.enum else "é " + "x" * max(8, least),
        "blob": lambda: b"\x00rich",
        "timestamp": lambda: MOMENT,
        "boolean": lambda: True,
        "integer": lambda: max(1, least),
        "long": lambda: max(1, least),
        "double": lambda: 1.5,
    }
    return values[shape.type_name]()
