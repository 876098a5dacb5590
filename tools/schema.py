"""A type's schema, in the form of the CloudFormation registry's resource type schemas.

Two things are ours: typeName is a Custom:: one, and `attributes` lists all that Fn::GetAtt knows, because here an
attribute may be a property as well (NumberType), which readOnlyProperties cannot say.

Source: CloudFormation CLI User Guide, "Resource type schema" and its property reference.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from telephony.model.properties import Anything, PropertyInfo, ReplacementPermission
from tools.types import (
    SERVICE_TIMEOUT,
    SERVICE_TOKEN,
    Described,
    Property,
    allowed_values,
    anchored,
    is_nested,
    items_of,
    nested_in,
    properties_of,
)


def schema(described: Described) -> dict[str, Any]:
    """The whole schema of a type."""
    resource = described.resource
    known = {name: one.known for name, one in described.properties.items()}
    properties = {
        "ServiceTimeout": {"type": "integer", "minimum": 1, "maximum": 3600, "description": SERVICE_TIMEOUT},
        "ServiceToken": {"type": "string", "description": SERVICE_TOKEN},
    }
    properties |= {name: _property(one) for name, one in described.properties.items()}
    read_only = [name for name in resource.attributes if name not in properties]
    properties |= {name: {"type": "string", "description": resource.attributes[name]} for name in read_only}
    permissions = {"permissions": list(resource.permissions)}
    written: dict[str, Any] = {
        "typeName": resource.type_name,
        "description": described.description,
        "definitions": {name: _object(cls) for name, cls in nested_in(resource.properties).items()},
        "properties": dict(sorted(properties.items())),
        "required": ["ServiceToken", *(name for name, field in known.items() if field.required)],
        "createOnlyProperties": _pointers(name for name, field in known.items() if field.create_only),
        "writeOnlyProperties": _pointers(name for name, field in known.items() if field.create_only_not_readable),
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
    return {name: value for name, value in written.items() if value != []}


def written(described: Described) -> str:
    """The schema as the text of its file."""
    return json.dumps(schema(described), indent=2, ensure_ascii=False) + "\n"


def _pointers(names: Any) -> list[str]:
    return [f"/properties/{name}" for name in names]


def _object(cls: type[Any]) -> dict[str, Any]:
    members = properties_of(cls)
    return {
        "type": "object",
        "description": (cls.__doc__ or "").strip(),
        "properties": {name: _property(one) for name, one in members.items()},
        "required": [name for name, one in members.items() if one.known.required],
        "additionalProperties": False,
    }


def _property(one: Property) -> dict[str, Any]:
    # Beside a $ref, JSON schema (draft 7) ignores everything: the description is for readers.
    default = {} if one.default is None else {"default": one.default}
    return _value(one.kind, one.known) | default | {"description": one.known.description}


def _value(kind: Any, field: PropertyInfo) -> dict[str, Any]:  # noqa: PLR0911 - one line a type
    if is_nested(kind):
        return {"$ref": f"#/definitions/{kind.__name__}"}
    if kind is Anything:
        return {}
    if kind is ReplacementPermission:
        return {"type": ["boolean", "string"]}
    if kind is bool:
        return {"type": "boolean"}
    if kind is int:
        return {"type": "integer"} | _bounds(field, "minimum", "maximum")
    if (items := items_of(kind)) is not None:
        # A field's pattern is its items'; its bounds are the list's (properties.py reads them so).
        each = copy.replace(field, minimum=None, maximum=None)
        listed = {"type": "array", "insertionOrder": False, "items": _value(items, each)}
        return listed | _bounds(field, "minItems", "maxItems")
    if values := allowed_values(kind):
        return {"type": "string", "enum": list(values)}
    pattern = {} if field.pattern is None else {"pattern": anchored(field.pattern)}
    return {"type": "string"} | pattern | _bounds(field, "minLength", "maxLength")


def _bounds(field: PropertyInfo, low: str, high: str) -> dict[str, int]:
    bounds = {low: field.minimum, high: field.maximum}
    return {name: bound for name, bound in bounds.items() if bound is not None}
