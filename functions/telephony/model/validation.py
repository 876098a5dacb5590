"""Validation: parses a declaration and reports every violation at once.

CloudFormation sends every scalar as a string. This module converts exactly "true", "false" and whole numbers.
"""

import copy
import difflib
import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs

from telephony import reasons
from telephony.cloudformation.request import MAX_SERVICE_TIMEOUT, SERVICE_TIMEOUT
from telephony.data import data
from telephony.model.properties import Anything, Pattern, Properties, PropertyInfo, ReplacementPermission, fields

PROTOCOL_PROPERTIES = frozenset({"ServiceToken", SERVICE_TIMEOUT})
"""CloudFormation includes them in ResourceProperties."""

_MAX_SHOWN = 60
"""Characters of a refused value that a message shows."""
_NOT_SECRET = re.compile(
    r"true|false|(?:phone|pool|registration)-[0-9a-f]{32}"
    r"|arn:aws[-a-z]*:[-a-z0-9]+:[-a-z0-9]*:(?:[0-9]{12})?:[-\w+=,.@/:|]+"
)
"""Values that are not secret in any property: booleans, IDs and ARNs."""


@data
class Violation:
    """One invalid property."""

    path: str
    value: str
    rule: str

    def __str__(self) -> str:
        """Return one line of a Reason."""
        return f"{self.path}: {self.value} {self.rule}".replace("  ", " ")


def parse[P: Properties](cls: type[P], raw: Mapping[str, Any], *, min_service_timeout: float = 1) -> P:
    """Parse a declaration. Raises HandlerError(InvalidRequest) that lists every violation, one per line.

    min_service_timeout: the seconds that one attempt can take.
    """
    violations: list[Violation] = []
    parsed = _structure(cls, {name: raw[name] for name in raw if name not in PROTOCOL_PROPERTIES}, "", violations)
    if raw.get(SERVICE_TIMEOUT) is not None:
        limits = PropertyInfo("", minimum=int(min_service_timeout), maximum=MAX_SERVICE_TIMEOUT)
        _value(int, raw[SERVICE_TIMEOUT], SERVICE_TIMEOUT, limits, violations)
    if violations:
        count = f"{len(violations)} properties are" if len(violations) > 1 else "1 property is"
        lines = "\n".join(f"- {violation}" for violation in violations)
        raise reasons.INVALID_PROPERTIES.failure(count=count, violations=lines)
    return typing.cast("P", parsed)


def parse_lenient(cls: type[Any], raw: object) -> Any:
    """Parse the valid part of a nested property. A Delete must not fail because of its properties."""
    values = {field.name: parse_property(cls, name, raw) for name, (field, _) in fields(cls).items()}
    return cls(**{name: value for name, value in values.items() if value is not None})


def parse_property(cls: type[Any], name: str, raw: object) -> Any:
    """Parse one property of a class. Returns None if it is not declared or not valid."""
    if not isinstance(raw, Mapping) or name not in raw:
        return None
    field, info = fields(cls)[name]
    violations: list[Violation] = []
    value = _value(field.type, raw[name], name, info, violations)
    return None if violations else value


def disable_removed_switches[P: Properties](desired: P, before: Mapping[str, Any]) -> P:
    """Turn off the switches that OldResourceProperties declared on and the declaration no longer contains."""
    off: dict[str, Any] = {
        field.name: False
        for name, (field, info) in fields(type(desired)).items()
        if info.disabled_when_removed and getattr(desired, field.name) is None and boolean(before.get(name))
    }
    return typing.cast("P", copy.replace(desired, **off))


def possible_secrets(cls: type[Any], raw: Mapping[str, Any]) -> Iterator[str]:
    """Yield every string of a declaration that can come from a NoEcho parameter.

    That is every string, also of unknown properties, except valid enum values and integers, booleans, IDs and ARNs.
    """
    known = fields(cls)
    for name, value in raw.items():
        kind = _item_type(known[name][0].type) if name in known else Anything
        for item in value if isinstance(value, list) else [value]:
            if attrs.has(kind) and isinstance(item, Mapping):
                yield from possible_secrets(kind, item)
            elif not (isinstance(item, str) and (item in typing.get_args(kind) or (kind is int and item.isdecimal()))):
                yield from (text for text in _strings(item) if not _NOT_SECRET.fullmatch(text))


def shows_value(kind: Any, info: PropertyInfo) -> bool:
    """Return whether a message may show a value of the property: a boolean, integer, enum value or code.

    Any other property can have a NoEcho parameter as its value.
    """
    kind = _item_type(kind)
    return info.code or kind in {bool, int} or typing.get_origin(kind) is Literal


def without_none(kind: Any) -> Any:
    """Return the type of an optional property, without None."""
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return next(member for member in typing.get_args(kind) if member is not type(None))
    return kind


def _item_type(kind: Any) -> Any:
    """Return the type of a list's items, or of a property that is not a list."""
    kind = without_none(kind)
    return typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind


def boolean(value: Any) -> bool | None:
    """Return a boolean, or None. Accepts exactly "true" and "false": a lax reading of "yes" could release a number."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)


def _structure(cls: type[Any], raw: Mapping[str, Any], path: str, violations: list[Violation]) -> Any:
    """Return an instance, or None after adding violations."""
    values: dict[str, Any] = {}
    before = len(violations)
    known = fields(cls)
    for name, (field, info) in known.items():
        if raw.get(name) is None:
            if info.required:
                violations.append(Violation(path + name, "", "is required."))
            continue
        found: list[Violation] = []
        value = _value(field.type, raw[name], path + name, info, found)
        if found:
            violations.extend(found)
        else:
            values[field.name] = value
    violations.extend(
        Violation(path + name, f"({_type_name(raw[name])})", f"is not a supported property.{_suggestion(name, known)}")
        for name in raw
        if name not in known
    )
    absent = {
        name: field.default for name, (field, info) in known.items() if raw.get(name) is None and not info.required
    }
    valid = absent | {name: values[field.name] for name, (field, _) in known.items() if field.name in values}
    violations.extend(
        Violation(path + rule.path, _show(raw.get(rule.path), known[rule.path][0].type, known[rule.path][1]), rule.text)
        for rule in cls.rules
        if rule.violated(valid)
    )
    return cls(**values) if len(violations) == before else None


def _value(kind: Any, value: Any, path: str, info: PropertyInfo, violations: list[Violation]) -> Any:  # noqa: PLR0911 - one line per type
    """Convert a value to the property's type, or add a violation."""
    kind = without_none(kind)
    refuse = _Refusal(path, value, kind, info, violations)
    if kind is Anything:
        return value
    if kind is ReplacementPermission:
        pattern = typing.cast("Pattern", info.pattern)
        parsed = value if isinstance(value, str) and pattern.matches(value) else boolean(value)
        return refuse(pattern.text) if parsed is None else parsed
    if kind is bool:
        parsed = boolean(value)
        return refuse("must be true or false.") if parsed is None else parsed
    if kind is int:
        return _integer(value, info, refuse)
    if kind is str:
        return _string(value, info, refuse)
    origin = typing.get_origin(kind)
    if origin is Literal:
        allowed = typing.get_args(kind)
        return value if value in allowed else refuse(f"must be one of {' | '.join(allowed)}.")
    if origin is tuple:
        return _list(kind, value, path, info, violations)
    if not isinstance(value, Mapping):
        return refuse("must be a map of properties.", show=False)
    return _structure(kind, value, f"{path}.", violations)


@data
class _Refusal:
    path: str
    value: Any
    kind: Any
    info: PropertyInfo
    violations: list[Violation]

    def __call__(self, rule: str, *, show: bool = True) -> Any:
        value = self.value if isinstance(self.value, str) else ""
        hints = [text for expression, text in self.info.hints.items() if re.fullmatch(expression, value)]
        shown = _show(self.value, self.kind, self.info) if show else f"({_type_name(self.value)})"
        self.violations.append(Violation(self.path, shown, " ".join([rule, *hints])))


def _integer(value: Any, info: PropertyInfo, refuse: _Refusal) -> Any:
    if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,9}", str(value)):
        return refuse("must be a whole number.")
    low, high = info.minimum, info.maximum
    if (low is not None and int(value) < low) or (high is not None and int(value) > high):
        return refuse(f"must be from {low} to {high}." if high is not None else f"must be at least {low}.")
    return int(value)


def _string(value: Any, info: PropertyInfo, refuse: _Refusal) -> Any:
    if not isinstance(value, str):
        return refuse("must be a string.", show=False)
    if info.minimum is not None and len(value) < info.minimum:
        return refuse(f"must have at least {info.minimum} characters.")
    if info.maximum is not None and len(value) > info.maximum:
        return refuse(f"must have at most {info.maximum} characters.")
    if info.pattern is not None and not info.pattern.matches(value):
        return refuse(info.pattern.text)
    return value


def _list(kind: Any, value: Any, path: str, info: PropertyInfo, violations: list[Violation]) -> Any:
    refuse = _Refusal(path, value, kind, info, violations)
    if not isinstance(value, (list, tuple)):
        return refuse("must be a list.", show=False)
    if info.minimum is not None and len(value) < info.minimum:
        return refuse(f"must have at least {info.minimum} items.", show=False)
    if info.maximum is not None and len(value) > info.maximum:
        return refuse(f"must have at most {info.maximum} items.", show=False)
    # The limits apply to the list, the pattern to its items.
    item_info = copy.replace(info, minimum=None, maximum=None)
    member = typing.get_args(kind)[0]
    return tuple(_value(member, item, f"{path}[{index}]", item_info, violations) for index, item in enumerate(value))


def _type_name(value: Any) -> str:
    if isinstance(value, str):
        return f"a string of {len(value)} characters"
    if isinstance(value, Mapping):
        return "a map"
    return "a list" if isinstance(value, (list, tuple)) else type(value).__name__


def _show(value: Any, kind: Any, info: PropertyInfo) -> str:
    if value is None:
        return ""
    # A list or map may hold anything.
    if isinstance(value, (list, tuple, Mapping)) or not shows_value(kind, info):
        return f"({_type_name(value)})"
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _suggestion(name: str, known: Mapping[str, tuple["attrs.Attribute[Any]", PropertyInfo]]) -> str:
    paths = {one: one for one in known}
    for outer, (field, _) in known.items():
        kind = without_none(field.type)
        # APIs and other tools call TwoWay.Enabled TwoWayEnabled.
        paths |= {outer + inner: f"{outer}.{inner}" for inner in (fields(kind) if attrs.has(kind) else ())}
    close = difflib.get_close_matches(name, paths, n=1)
    return f" Did you mean {paths[close[0]]}?" if close else ""
