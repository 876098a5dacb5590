"""Checks each response as it is on the wire. botocore also reads what SDKs with static types refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: dict[str, type | tuple[type, ...]] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "blob": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
}


def check(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
    """Check a response: its request ID and, of a success, each member of its body. A handler of `before-parse`."""
    name, headers = operation_model.name, {key.lower() for key in response_dict["headers"]}
    assert "x-amzn-requestid" in headers, f"{name} answers without a request ID"
    if response_dict["status_code"] < 300 and operation_model.output_shape is not None:
        found = [*_deviations(operation_model.output_shape, json.loads(response_dict["body"] or "{}"), name)]
        assert found == [], found


def _deviations(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Yield each part of the body that the model does not allow (AWS JSON 1.0 and 1.1, AWS restJson1)."""
    if shape.type_name == "timestamp":
        text = shape.serialization.get("timestampFormat", "unixTimestamp") != "unixTimestamp"
        expected: Any = str if text else (int, float)
    else:
        expected = _TYPES[shape.type_name]
    if not isinstance(value, expected) or (isinstance(value, bool) and shape.type_name != "boolean"):
        yield f"{path} is {json.dumps(value)}, which is no {shape.type_name}"
    elif shape.type_name == "structure":
        members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for name, item in value.items():
            if name in members:
                yield from _deviations(members[name], item, f"{path}.{name}")
            else:
                yield f"{path}.{name} is not modelled"
    elif shape.type_name in ("list", "map"):
        for key, item in enumerate(value) if shape.type_name == "list" else value.items():
            yield from _deviations(shape.member if shape.type_name == "list" else shape.value, item, f"{path}[{key}]")
