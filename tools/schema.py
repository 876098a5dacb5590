"""Generates schemas/, in the form of the resource type schemas of the CloudFormation registry.

Two extensions: typeName begins with Custom::, and `attributes` lists the attributes for Fn::GetAtt. readOnlyProperties
can't contain an attribute that is also a property, such as NumberType.

Source: CloudFormation CLI User Guide, "Resource type schema" and its property reference.
"""

import copy
import json
from typing import Any

from telephony.model.properties import Anything, PropertyInfo, ReplacementPermission
from tools.types import Described, Property, allowed_values, anchored, is_nested, items_of, nested_in, properties_of

_UNCONSTRAINED: dict[Any, dict[str, Any]] = {
    Anything: {},
    ReplacementPermission: {"type": ["boolean", "string"]},
    bool: {"type": "boolean"},
}


def schema(described: Described) -> dict[str, Any]:
    """Return the schema of a type."""
    resource = described.resource
    info = {name: one.info for name, one in described.properties.items()}
    properties = {name: _property(one) for name, one in described.properties.items()}
    read_only = [name for name in resource.attributes if name not in properties]
    properties |= {name: {"type": "string", "description": resource.attributes[name]} for name in read_only}
    permissions = {"permissions": list(resource.permissions)}
    whole: dict[str, Any] = {
        "typeName": resource.type_name,
        "description": described.description,
        "definitions": {name: _object(cls) for name, cls in nested_in(resource.properties).items()},
        "properties": dict(sorted(properties.items())),
        "required": [name for name, one in info.items() if one.required],
        "createOnlyProperties": _pointers(name for name, one in info.items() if one.create_only),
        "writeOnlyProperties": _pointers(name for name, one in info.items() if one.create_only_not_readable),
        "readOnlyProperties": _pointers(read_only),
        "primaryIdentifier": _pointers(described.identifier),
        "attributes": list(resource.attributes),
        "tagging": {
            "taggable": True,
            "tagOnCreate": True,
            "tagUpdatable": True,
            "cloudFormationSystemTags": False,
            "tagProperty": "/properties/Tags",
        },
        "handlers": {"create": permissions, "update": permissions, "delete": permissions},
        "additionalProperties": False,
    }
    return {name: value for name, value in whole.items() if value != []}


def render(described: Described) -> str:
    """Return the text of the schema file."""
    return json.dumps(schema(described), indent=2, ensure_ascii=False) + "\n"


def _pointers(names: Any) -> list[str]:
    return [f"/properties/{name}" for name in names]


def _object(cls: type[Any]) -> dict[str, Any]:
    members = properties_of(cls)
    return {
        "type": "object",
        "description": (cls.__doc__ or "").strip(),
        "properties": {name: _property(one) for name, one in members.items()},
        "required": [name for name, one in members.items() if one.info.required],
        "additionalProperties": False,
    }


def _property(one: Property) -> dict[str, Any]:
    # JSON schema (draft 7) ignores the siblings of a $ref. The description is for readers.
    default = {} if one.default is None else {"default": one.default}
    return _value(one.kind, one.info) | default | {"description": one.info.description}


def _value(kind: Any, info: PropertyInfo) -> dict[str, Any]:
    if is_nested(kind):
        return {"$ref": f"#/definitions/{kind.__name__}"}
    if kind in _UNCONSTRAINED:
        return _UNCONSTRAINED[kind]
    if kind is int:
        return {"type": "integer"} | _bounds(info, "minimum", "maximum")
    if (items := items_of(kind)) is not None:
        # The limits apply to the list, the pattern to its items.
        item_info = copy.replace(info, minimum=None, maximum=None)
        array = {"type": "array", "insertionOrder": False, "items": _value(items, item_info)}
        return array | _bounds(info, "minItems", "maxItems")
    if values := allowed_values(kind):
        return {"type": "string", "enum": list(values)}
    pattern = {} if info.pattern is None else {"pattern": anchored(info.pattern)}
    return {"type": "string"} | pattern | _bounds(info, "minLength", "maxLength")


def _bounds(info: PropertyInfo, low: str, high: str) -> dict[str, int]:
    bounds = {low: info.minimum, high: info.maximum}
    return {name: bound for name, bound in bounds.items() if bound is not None}
