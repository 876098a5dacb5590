"""Combinations of properties that are never valid, as data: validation and the JSON schemas are derived from it."""

import re
from collections.abc import Mapping
from typing import Any

from telephony.data import data


@data
class Condition:
    """What a rule reads: a property by name, and what it is compared with.

    The kinds of conditions are plain subclasses, because attrs compiles each class at import time.
    """

    name: str
    value: Any = None

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether it holds for values by template name. A refused property is missing in them."""
        raise NotImplementedError


class Declared(Condition):
    """The property is declared."""

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether it is."""
        return values.get(self.name) is not None


class NotDeclared(Condition):
    """The property is not declared, or one of those in `value` is not."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every property that it reads."""
        return (self.name, *(self.value or ()))

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether one has no value, and was not refused."""
        return any(name in values and values[name] is None for name in self.names)


class OneOf(Condition):
    """The value of the property is one of these."""

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether it is."""
        return values.get(self.name) in self.value


class NoneOf(Condition):
    """The property has a value, which is none of these."""

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether it is."""
        value = values.get(self.name)
        return value is not None and value not in self.value


class Contains(Condition):
    """The list contains this item."""

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether it does."""
        return self.value in (values.get(self.name) or ())


class Mismatch(Condition):
    """The property has a value that the pattern does not match as a whole."""

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Return whether it has."""
        value = values.get(self.name)
        return value is not None and re.fullmatch(self.value, value) is None


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
