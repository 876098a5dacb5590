"""Generates schemas/, in the form of the resource type schemas of the CloudFormation registry.

Extensions: typeName begins with Custom::, `attributes` lists the attributes for Fn::GetAtt (readOnlyProperties can't
contain an attribute that is also a property, such as NumberType), and `hints` contains advice for refused values that a
regular expression matches. `message`, with a text for each keyword, and `dependentExcluded` are extensions of cfn-lint.
Every member of `allOf` is a rule for a combination of properties.

Source: CloudFormation CLI User Guide, "Resource type schema" and its property reference.
"""

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any

from telephony.model.properties import Anything, Pattern, PropertyInfo, ReplacementPermission
from telephony.model.rules import Condition, Contains, Declared, Mismatch, NoneOf, NotDeclared, OneOf, Rule
from tools.types import Described, Property, allowed_values, anchored, is_nested, items_of, nested_in, properties_of

_UNCONSTRAINED: dict[Any, dict[str, Any]] = {
    Anything: {},
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
        "allOf": _rules(resource.properties),
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
    } | ({"allOf": rules} if (rules := _rules(cls)) else {})


def _property(one: Property) -> dict[str, Any]:
    # JSON schema (draft 7) ignores the siblings of a $ref. The description is for readers.
    default = {} if one.default is None else {"default": one.default}
    hints = {"hints": {anchored(value): text for value, text in one.info.hints.items()}} if one.info.hints else {}
    return _value(one.kind, one.info) | hints | default | {"description": one.info.description}


def _value(kind: Any, info: PropertyInfo) -> dict[str, Any]:  # noqa: PLR0911 - one line per type
    if is_nested(kind):
        return {"$ref": f"#/definitions/{kind.__name__}"}
    if kind in _UNCONSTRAINED:
        return _UNCONSTRAINED[kind]
    if kind is ReplacementPermission:
        string = _pattern(info.pattern)
        return {"anyOf": [{"type": "boolean"}, {"type": "string"} | string], "message": {"anyOf": _text(info.pattern)}}
    if kind is int:
        return {"type": "integer"} | _bounds(info, "minimum", "maximum")
    if (items := items_of(kind)) is not None:
        # The limits apply to the list, the pattern to its items.
        item_info = copy.replace(info, minimum=None, maximum=None)
        array = {"type": "array", "insertionOrder": False, "items": _value(items, item_info)}
        return array | _bounds(info, "minItems", "maxItems")
    if values := allowed_values(kind):
        return {"type": "string", "enum": list(values)}
    message = {} if info.pattern is None else {"message": {"pattern": _text(info.pattern)}}
    return {"type": "string"} | _pattern(info.pattern) | message | _bounds(info, "minLength", "maxLength")


def _pattern(pattern: Pattern | None) -> dict[str, str]:
    return {} if pattern is None else {"pattern": anchored(pattern.expression)}


def _text(pattern: Pattern | None) -> str:
    return "" if pattern is None else pattern.text


def _bounds(info: PropertyInfo, low: str, high: str) -> dict[str, int]:
    bounds = {low: info.minimum, high: info.maximum}
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _rules(cls: type[Any]) -> list[dict[str, Any]]:
    defaults = {name: one.default for name, one in properties_of(cls).items()}
    return [_rule(rule, defaults) for rule in cls.rules]


def _rule(rule: Rule, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema that a declaration violates exactly if all conditions of the rule hold."""
    text = f"{rule.path} {rule.text}"
    match rule.forbidden:
        case (Declared(name=excluded), Declared(name=other)):
            return {"dependentExcluded": {other: [excluded]}, "message": {"dependentExcluded": text}}
        case conditions if all(isinstance(one, NotDeclared) for one in conditions):
            return {"anyOf": [_never(one, defaults) for one in conditions], "message": {"anyOf": text}}
    *others, subject = sorted(rule.forbidden, key=lambda one: rule.path in _names(one))
    then = _never(subject, defaults)
    if not others:
        return then | {"message": {"properties": text}}
    holds = [_holds(one, defaults) for one in others]
    return {"if": holds[0] if len(holds) == 1 else {"allOf": holds}, "then": then, "message": {"if": text}}


def _names(condition: Condition) -> tuple[str, ...]:
    return condition.names if isinstance(condition, NotDeclared) else (condition.name,)


def _holds(condition: Condition, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object for which the condition holds."""
    match condition:
        case Declared(name=name):
            return {"required": [name]}
        case NotDeclared(names=names):
            return {"not": {"required": list(names)}}
        case OneOf(name=name, value=values):
            constraint: dict[str, Any] = {"enum": _literals(values)}
        case NoneOf(name=name, value=values):
            constraint = {"not": {"enum": _literals(values)}}
        case Contains(name=name, value=item):
            constraint = {"contains": {"enum": [item]}}
        case Mismatch(name=name, value=pattern):
            constraint = {"not": {"pattern": anchored(pattern)}}
    default = condition.holds({name: defaults[name]})
    return {"properties": {name: constraint}} | ({} if default else {"required": [name]})


def _never(condition: Condition, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object for which the condition does not hold."""
    match condition:
        case Declared(name=name):
            return {"properties": {name: False}}
        case NotDeclared(names=names):
            return {"required": list(names)}
        case OneOf(name=name, value=values):
            constraint: dict[str, Any] = {"not": {"enum": _literals(values)}}
        case NoneOf(name=name, value=values):
            constraint = {"enum": _literals(values)}
        case Contains(name=name, value=item):
            constraint = {"items": {"not": {"enum": [item]}}}
        case Mismatch(name=name, value=pattern):
            constraint = {"pattern": anchored(pattern)}
    default = condition.holds({name: defaults[name]})
    return {"properties": {name: constraint}} | ({"required": [name]} if default else {})


def _literals(values: Iterable[Any]) -> list[Any]:
    """Return the values as JSON. CloudFormation also accepts a Boolean as a string."""
    return [form for value in values for form in ([value, str(value).lower()] if isinstance(value, bool) else [value])]
