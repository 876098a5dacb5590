"""Combinations of properties that are never valid, as data: validation and the JSON schemas are derived from it."""

import re
from collections.abc import Mapping
from typing import Any

from telephony.data import data


@data
class Declared:
    """The property is declared."""

    name: str

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether it is, by template name. A refused property is missing in `values`."""
        return values.get(self.name) is not None


@data
class NotAllDeclared:
    """At least one of the properties is not declared."""

    names: tuple[str, ...]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether one has no value, and was not refused."""
        return any(name in values and values[name] is None for name in self.names)


@data
class OneOf:
    """The value of the property is one of these."""

    name: str
    values: tuple[Any, ...]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether it is."""
        return values.get(self.name) in self.values


@data
class NoneOf:
    """The property has a value, which is none of these."""

    name: str
    values: tuple[Any, ...]

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether it is."""
        value = values.get(self.name)
        return value is not None and value not in self.values


@data
class Contains:
    """The list contains this item."""

    name: str
    item: str

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether it does."""
        return self.item in (values.get(self.name) or ())


@data
class Mismatch:
    """The property has a value that the pattern does not match as a whole."""

    name: str
    pattern: str

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether it has."""
        value = values.get(self.name)
        return value is not None and re.fullmatch(self.pattern, value) is None


type Condition = Declared | NotAllDeclared | OneOf | NoneOf | Contains | Mismatch


@data
class Rule:
    """A combination of properties that is never valid."""

    path: str
    """The property that a violation names."""
    text: str
    forbidden: tuple[Condition, ...]
    """The rule is violated if all of these hold."""

    def violated(self, values: Mapping[str, Any]) -> bool:
        """Return whether valid properties, with defaults, violate the rule. Refused properties are missing."""
        return all(condition.holds(values) for condition in self.forbidden)


def exclude(first: str, second: str) -> Rule:
    """Forbid to declare two properties together."""
    return Rule(first, f"can't be declared together with {second}.", (Declared(first), Declared(second)))
