"""API calls whose inputs and responses contain every member of an operation's model."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
from moto.core.responses import get_service_model
from moto.core.serialize import get_serializer_class


@attrs.frozen
class Call:
    """A request, and the HTTP response to it."""

    service: str
    operation: str
    parameters: dict[str, Any]
    status: int
    headers: dict[str, str]
    body: str


class _ModeledError(Exception):
    """The serializer returns the error of its `code`."""


def calls(operations: Mapping[str, tuple[str, ...]]) -> Iterator[Call]:
    """For each operation, one successful call and one call for each error that the service defines."""
    for service, names in operations.items():
        model: Any = get_service_model(service)
        for name in names:
            operation = model.operation_model(name)
            serializer = get_serializer_class(service, model.resolved_protocol)
            parameters = _value(operation.input_shape) if operation.input_shape else {}
            results = [_value(operation.output_shape) if operation.output_shape else {}]
            for result in [*results, *map(_error, model.error_shapes)]:
                http = serializer(operation).serialize(result)
                yield Call(service, name, parameters, http["status_code"], dict(http["headers"]), http["body"])


def _error(shape: Any) -> _ModeledError:
    error = _ModeledError("message")
    vars(error).update(_value(shape), code=shape.error_code, message="message")
    return error


def _value(shape: Any, counter: Iterator[int] | None = None, parents: tuple[str, ...] = ()) -> Any:
    """A value with every member of the shape. For a union, `counter` selects another member each time."""
    counter = itertools.count() if counter is None else counter
    minimum = shape.metadata.get("min", 0)

    def value(part: Any) -> Any:
        return _value(part, counter, (*parents, shape.name))

    def members() -> dict[str, Any]:
        recursive = {"list", "map"} if shape.name in parents else set()
        names = sorted(name for name, part in shape.members.items() if part.type_name not in recursive)
        # DynamoDB's model does not declare AttributeValue as a union.
        if shape.is_tagged_union or shape.name == "AttributeValue":
            names = [names[next(counter) % len(names)]]
        return {name: value(shape.members[name]) for name in names}

    values: dict[str, Callable[[], Any]] = {
        "structure": members,
        "list": lambda: [value(shape.member) for _ in range(max(2, minimum))],
        "map": lambda: {value(shape.key): value(shape.value)},
        "string": lambda: shape.enum[0] if shape.enum else "é " + "x" * max(8, minimum),
        "blob": lambda: b"\x00blob",
        "timestamp": lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "boolean": lambda: True,
        "integer": lambda: max(1, minimum),
        "long": lambda: max(1, minimum),
        "double": lambda: 1.5,
    }
    return values[shape.type_name]()
