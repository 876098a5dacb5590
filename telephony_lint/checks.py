"""Checks a declaration against a schema, as the provider does.

The keywords are those that schemas/ contains. A check has three results: valid, violated, or unknown, if it depends on
a value that is known only after the deployment.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from telephony_lint.template import REFUSED, UNKNOWN, Node, Path

_MAX_SHOWN = 60
_TYPES: dict[str, tuple[str | type[Any], str]] = {
    "boolean": (r"true|false", "must be true or false."),
    "integer": (r"-?[0-9]{1,9}", "must be a whole number."),
    "string": (r"[\s\S]*", "must be a string."),
    "array": (list, "must be a list."),
    "object": (dict, "must be a map of properties."),
}
"""What values of each type are: CloudFormation sends every scalar as a string."""


@dataclass(frozen=True)
class Violation:
    """A property, or a combination of properties, that the provider refuses."""

    path: Path
    """Where it is in the template."""
    text: str
    subject: str = ""
    """The property, if the value itself is refused."""
    value: str = ""

    def message(self, *, show: bool = True) -> str:
        """Return a sentence, with or without the value."""
        value = f": {self.value}" if show and self.value else ""
        return f"{self.subject}{value} {self.text}".strip()


Schema = Mapping[str, Any]


class Checker:
    """Checks declarations of one resource type."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def violations(self, declared: Node) -> list[Violation]:
        """Return every violation of a declaration."""
        return [found for found in self._check(self._schema, declared, "") if found is not None]

    def _check(self, schema: Any, node: Node, name: str) -> Iterator[Violation | None]:
        """Yield violations, and None for everything that is unknown. `name` is the path of the property."""
        if isinstance(schema, Mapping) and "$ref" in schema:
            schema = self._schema["definitions"][schema["$ref"].rpartition("/")[2]]
        if node.value is REFUSED or (node.value is UNKNOWN and schema is not False):
            yield from [None] if schema != {} else []
        elif schema is False:
            yield Violation(node.path, "is not supported.", name)
        elif (text := self._refusal(schema, node.value)) is not None:
            yield _violation(schema, node, name, text)
        else:
            if isinstance(node.value, list):
                yield from self._items(schema, node.value, name)
            if isinstance(node.value, dict):
                yield from self._members(schema, node, name)
            yield from self._combinations(schema, node, name)

    def _refusal(self, schema: Schema, value: Any) -> str | None:
        """Return why a value is refused by itself, or None."""
        size, bounds = len(value), {}
        if isinstance(value, str):
            bounds = {"minLength": "must have at least {} characters.", "maxLength": "must have at most {} characters."}
        if isinstance(value, list):
            bounds = {"minItems": "must have at least {} items.", "maxItems": "must have at most {} items."}
        if "type" in schema and not _has_type(value, schema["type"]):
            return _TYPES[schema["type"]][1]
        if "enum" in schema and value not in schema["enum"]:
            return f"must be one of {' | '.join(map(str, schema['enum']))}."
        low, high = schema.get("minimum"), schema.get("maximum")
        if (low is not None and int(value) < low) or (high is not None and int(value) > high):
            return f"must be from {low} to {high}." if high is not None else f"must be at least {low}."
        for keyword, text in bounds.items():
            limit = schema.get(keyword)
            if limit is not None and (size < limit if keyword.startswith("min") else size > limit):
                return text.format(limit)
        if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
            return str(schema.get("message", {}).get("pattern", ""))
        return None

    def _items(self, schema: Schema, items: list[Node], name: str) -> Iterator[Violation | None]:
        for index, item in enumerate(items):
            yield from self._check(schema.get("items", {}), item, f"{name}[{index}]")
        if "contains" in schema:
            found = [self._status(schema["contains"], item) for item in items]
            if True not in found:
                yield None if None in found else Violation((), "")

    def _members(self, schema: Schema, node: Node, name: str) -> Iterator[Violation | None]:
        members: dict[str, Node] = node.value
        known: Mapping[str, Any] = schema.get("properties", {})
        prefix = f"{name}." if name else ""
        for key, member in members.items():
            if key in known:
                yield from self._check(known[key], member, prefix + key)
            elif schema.get("additionalProperties") is False:
                text = f"is not a supported property.{self._suggestion(str(key), known)}"
                yield Violation(member.path, text, f"{prefix}{key}")
        for key in schema.get("required", ()):
            if key not in members:
                yield Violation(node.path, "is required.", prefix + key)
            elif members[key].value is REFUSED:
                yield None
        for key, excluded in schema.get("dependentExcluded", {}).items():
            pairs = [(members[key], members[other]) for other in excluded if other in members and key in members]
            for pair in pairs:
                yield None if REFUSED in [one.value for one in pair] else Violation(pair[1].path, "")

    def _combinations(self, schema: Schema, node: Node, name: str) -> Iterator[Violation | None]:
        if "allOf" in schema:
            node = self._without_refused(schema, node)
        for rule in schema.get("allOf", ()):
            found = list(self._check(rule, node, name))
            violations = [one for one in found if one is not None]
            texts = rule.get("message")
            if violations and texts:
                yield Violation(violations[0].path, (f"{name}." if name else "") + " ".join(texts.values()))
            else:
                yield from found
        if "if" in schema:
            holds = self._status(schema["if"], node)
            if holds is None:
                yield None
            elif holds:
                yield from self._check(schema["then"], node, name)
        if "not" in schema and (status := self._status(schema["not"], node)) is not False:
            yield None if status is None else Violation(node.path, "")
        if "anyOf" in schema:
            statuses = [self._status(one, node) for one in schema["anyOf"]]
            if True not in statuses:
                text = schema.get("message", {}).get("anyOf", "")
                yield None if None in statuses else _violation(schema, node, name, text)

    def _without_refused(self, schema: Schema, node: Node) -> Node:
        """Mark the refused properties: a rule for several properties needs valid ones."""
        members: dict[str, Node] = node.value
        known: Mapping[str, Any] = schema.get("properties", {})
        checked = {
            key: replace(member, value=REFUSED) if self._status(known.get(key, {}), member) is False else member
            for key, member in members.items()
        }
        missing = {key: Node(node.path, REFUSED) for key in schema.get("required", ()) if key not in members}
        return replace(node, value=checked | missing)

    def _status(self, schema: Any, node: Node) -> bool | None:
        """Return whether a node is valid, or None if that is unknown."""
        found = list(self._check(schema, node, ""))
        if any(one is not None for one in found):
            return False
        return None if found else True

    def _suggestion(self, name: str, known: Mapping[str, Any]) -> str:
        paths = {one: one for one in known}
        for outer, schema in known.items():
            inner = self._schema["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else {}
            paths |= {outer + one: f"{outer}.{one}" for one in inner.get("properties", {})}
        return did_you_mean(name, paths)


def did_you_mean(name: str, known: Mapping[str, str]) -> str:
    """Return a sentence with the name that is probably meant, or an empty string."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {known[close[0]]}?" if close else ""


def _violation(schema: Schema, node: Node, name: str, text: str) -> Violation:
    value = node.value if isinstance(node.value, str) else ""
    hints = [hint for pattern, hint in schema.get("hints", {}).items() if re.fullmatch(pattern, value)]
    shown = f'"{value}"' if len(value) <= _MAX_SHOWN else f'"{value[:_MAX_SHOWN]}…"'
    return Violation(
        node.path, " ".join([text, *hints]), name or "Properties", shown if isinstance(node.value, str) else ""
    )


def _has_type(value: Any, kind: str) -> bool:
    form, _ = _TYPES[kind]
    return (
        isinstance(value, str) and bool(re.fullmatch(form, value)) if isinstance(form, str) else isinstance(value, form)
    )
