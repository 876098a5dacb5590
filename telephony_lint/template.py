"""Values of a template: what properties are under each scenario of its parameters and conditions.

A scenario gives one value to each parameter, or other operand, that is compared in a condition. A value that is known
only after the deployment is UNKNOWN, and nothing is reported about it.
"""

import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_MAX_SCENARIOS = 2000
"""Of one resource. If its conditions have more combinations, none of them is known."""
_DYNAMIC_REFERENCE = "{{resolve:"
_LISTS = re.compile(r"CommaDelimitedList|List<.*>")
_ALTERNATIVES = re.compile(r"\^?(?:\((?:\?:)?)?([\w-]+(?:\|[\w-]+)+)\)?\$?")
"""An AllowedPattern that lists values."""
_UNKNOWN_DEFAULT = "AWS::SSM::Parameter::"
"""The default of these parameter types is the name of an SSM parameter."""


class _Marker:
    pass


_TRUE = {"Fn::Equals": ["", ""]}
UNKNOWN = _Marker()
"""Declared, with a value that is known only after the deployment."""
REFUSED = _Marker()
"""Declared, and reported before: what else it violates is not known."""
_OTHER = _Marker()
"""A value that is not compared in any condition."""

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Node:
    """A value, after its functions are resolved."""

    path: Path
    """Where it is in the template."""
    value: Any
    """A string, as CloudFormation sends every scalar; a map or list of nodes; or a marker."""


@dataclass(frozen=True)
class Scenario:
    """One assignment of values."""

    operands: Mapping[str, Any]
    """The values of operands of Fn::Equals, by their JSON."""
    parameters: Mapping[str, Any]
    """The values of parameters that flow into properties. All other references are UNKNOWN."""


@dataclass(frozen=True)
class Origin:
    """Where the values of parameters come from."""

    text: str
    """For a message."""
    is_default: bool = False


def literal(value: Any) -> str:
    """Return a scalar as CloudFormation sends it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def node(value: Any, path: Path = ()) -> Node:
    """Return a declaration without functions as a node."""
    return Values({}).resolve(value, path, Scenario({}, {})) or Node(path, UNKNOWN)


class Values:
    """Resolves the functions of one template."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self._parameters = _section(template, "Parameters")
        self._conditions = _section(template, "Conditions")
        self._mappings = _section(template, "Mappings")
        self._rules = [
            (rule.get("RuleCondition", _TRUE), assertion.get("Assert", _TRUE))
            for rule in _section(template, "Rules").values()
            if isinstance(rule, dict) and isinstance(rule.get("Assertions"), list)
            for assertion in rule["Assertions"]
            if isinstance(assertion, dict)
        ]

    def resolve(self, value: Any, path: Path, scenario: Scenario) -> Node | None:
        """Return the value under a scenario, or None if it is AWS::NoValue."""
        if isinstance(value, dict):
            function = next((key for key in value if key == "Ref" or str(key).startswith("Fn::")), None)
            if function is not None:
                one = len(value) == 1
                return self._function(function, value[function], path, scenario) if one else Node(path, UNKNOWN)
            members = {key: self.resolve(item, (*path, key), scenario) for key, item in value.items()}
            return Node(path, {key: member for key, member in members.items() if member is not None})
        if isinstance(value, list):
            items = [self.resolve(item, (*path, index), scenario) for index, item in enumerate(value)]
            return Node(path, [item for item in items if item is not None])
        if value is None or (isinstance(value, str) and _DYNAMIC_REFERENCE in value):
            return Node(path, UNKNOWN)
        return Node(path, literal(value))

    def scenarios(self, resource: Mapping[str, Any]) -> list[Scenario]:
        """Return the scenarios in which a resource exists. No parameter flows into its properties."""
        return self._scenarios(resource, {}, {})

    def parameter_scenarios(self, resource: Mapping[str, Any]) -> Iterator[tuple[Origin, list[Scenario]]]:
        """Yield the scenarios with each default, with all of them, and with each allowed value.

        The values flow into the properties. What they violate in every scenario does not depend on anything else.
        """
        names = sorted({name for name in _references(resource) if name in self._parameters})
        defaults = {name: value for name in self._parameters for value in self._values(name, "Default")[:1]}
        used = [name for name in names if name in defaults]
        for together in [*([name] for name in used), used]:
            origin = Origin(f"the Default of {_enumerate(together)}", is_default=True)
            yield origin, self._scenarios(resource, defaults, {name: defaults[name] for name in together})
        for name in names:
            for value in self._values(name, "AllowedValues"):
                shown = "" if self._is_hidden(name) else f'"{value}", '
                origin = Origin(f"{shown}an allowed value of {name}")
                yield origin, self._scenarios(resource, {name: value}, {name: value})

    def _is_hidden(self, name: str) -> bool:
        return literal(self._parameters[name].get("NoEcho", False)) == "true"

    def _values(self, name: str, attribute: str) -> list[str]:
        parameter = self._parameters[name]
        if not isinstance(parameter, dict) or str(parameter.get("Type")).startswith(_UNKNOWN_DEFAULT):
            return []
        values = parameter.get(attribute)
        listed = values if isinstance(values, list) else [values]
        scalars = [literal(value) for value in listed if isinstance(value, (str, int, float))]
        return [value for value in scalars if _DYNAMIC_REFERENCE not in value]

    def _scenarios(
        self, resource: Mapping[str, Any], known: Mapping[str, str], flowing: Mapping[str, str]
    ) -> list[Scenario]:
        """Return the scenarios in which a resource exists, with known parameters."""
        fixed = {_key({"Ref": name}): value for name, value in known.items()}
        domains = {key: domain for key, domain in self._domains(resource, fixed).items() if key not in fixed}
        if math.prod(map(len, domains.values())) > _MAX_SCENARIOS:
            domains = {}
        assignments = (dict(zip(domains, values, strict=True)) for values in itertools.product(*domains.values()))
        scenarios = (Scenario(fixed | assignment, flowing) for assignment in assignments)
        return [scenario for scenario in scenarios if self._is_possible(resource, scenario)]

    def _is_possible(self, resource: Mapping[str, Any], scenario: Scenario) -> bool:
        """Return whether the resource can exist, and CloudFormation can accept the parameters."""
        return self._named(resource.get("Condition"), scenario) is not False and not any(
            self._holds(condition, scenario) is True and self._holds(assertion, scenario) is False
            for condition, assertion in self._rules
        )

    def _domains(self, resource: Mapping[str, Any], fixed: Mapping[str, str]) -> dict[str, list[Any]]:
        """Return the values to try of each operand that the conditions of a resource compare."""
        pending, seen = list(_condition_names(resource)), set[str]()
        operands: dict[str, Any] = {}
        while pending:
            name = pending.pop()
            if name not in seen and name in self._conditions:
                seen.add(name)
                pending.extend(_condition_names(self._conditions[name]))
                operands |= {_key(one): one for pair in _comparisons(self._conditions[name]) for one in pair}
        compared: dict[str, set[str]] = {key: set() for key, one in operands.items() if isinstance(one, dict)}
        closed = {key: [fixed[key]] if key in fixed else self._allowed(operands[key]) for key in compared}
        definitions = [*self._conditions.values(), *itertools.chain.from_iterable(self._rules)]
        pairs = [pair for definition in definitions for pair in _comparisons(definition)]
        links = []
        for one, other in [*pairs, *(pair[::-1] for pair in pairs)]:
            if _key(one) in compared and not isinstance(other, (dict, list)):
                compared[_key(one)].add(literal(other))
            elif _key(one) in compared and _key(other) in compared:
                links.append((_key(one), _key(other)))
        # An operand can have each value that an operand has with which it is compared.
        for _ in compared:
            for one, other in links:
                compared[one] |= {*(closed[other] or compared[other])}
        return {key: closed[key] or [*sorted(values), _OTHER] for key, values in compared.items()}

    def _allowed(self, operand: Any) -> list[str]:
        """Return all values of an operand, or nothing if it can have others."""
        name = operand.get("Ref")
        parameter = self._parameters.get(name) if isinstance(name, str) else None
        if not isinstance(parameter, dict):
            return []
        listed = _ALTERNATIVES.fullmatch(str(parameter.get("AllowedPattern")))
        return self._values(str(name), "AllowedValues") or (listed[1].split("|") if listed else [])

    def _function(self, function: str, argument: Any, path: Path, scenario: Scenario) -> Node | None:  # noqa: PLR0911
        match function, argument:
            case "Ref", "AWS::NoValue":
                return None
            case "Ref", str(name) if name in scenario.parameters:
                text = scenario.parameters[name]
                if _LISTS.fullmatch(str(self._parameters[name].get("Type"))):
                    return Node(path, [Node(path, item.strip()) for item in text.split(",")])
                return Node(path, text)
            case "Fn::If", [str(name), _, _] if (holds := self._named(name, scenario)) is not None:
                index = 1 if holds else 2
                return self.resolve(argument[index], (*path, function, index), scenario)
            case "Fn::FindInMap", [str(name), str(first), str(second)]:
                try:
                    found = self._mappings[name][first][second]
                except (KeyError, TypeError):
                    return Node(path, UNKNOWN)
                if _DYNAMIC_REFERENCE in str(found):
                    return Node(path, UNKNOWN)
                items = [Node(path, literal(item)) for item in found] if isinstance(found, list) else literal(found)
                return Node(path, items)
            case "Fn::Sub", str(text) if "${" not in text and _DYNAMIC_REFERENCE not in text:
                return Node(path, text)
            case _:
                return Node(path, UNKNOWN)

    def _named(self, name: Any, scenario: Scenario, within: frozenset[str] = frozenset()) -> bool | None:
        """Return whether a condition holds, or None if that is unknown."""
        if not isinstance(name, str) or name not in self._conditions or name in within:
            return None
        return self._holds(self._conditions[name], scenario, within | {name})

    def _holds(  # noqa: PLR0911 - one for each function
        self, expression: Any, scenario: Scenario, within: frozenset[str] = frozenset()
    ) -> bool | None:
        """Return whether an expression is true, or None if that is unknown."""
        match expression:
            case {"Condition": name}:
                return self._named(name, scenario, within)
            case {"Fn::Not": [inner]}:
                holds = self._holds(inner, scenario, within)
                return None if holds is None else not holds
            case {"Fn::And": [*inner]}:
                held = [self._holds(one, scenario, within) for one in inner]
                return False if False in held else None if None in held else True
            case {"Fn::Or": [*inner]}:
                return _any(self._holds(one, scenario, within) for one in inner)
            case {"Fn::Equals": [first, second]}:
                return _equal(self._operand(first, scenario), self._operand(second, scenario))
            case {"Fn::Contains": [[*items], value]}:
                return _any(_equal(self._operand(one, scenario), self._operand(value, scenario)) for one in items)
            case _:
                return None

    def _operand(self, operand: Any, scenario: Scenario) -> Any:
        if isinstance(operand, (dict, list)):
            return scenario.operands.get(_key(operand), UNKNOWN)
        return literal(operand)


def _section(template: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = template.get(name)
    return section if isinstance(section, dict) else {}


def _key(operand: Any) -> str:
    return json.dumps(operand, sort_keys=True, default=str)


def _any(results: Iterable[bool | None]) -> bool | None:
    known = list(results)
    return True if True in known else None if None in known else False


def _equal(first: Any, second: Any) -> bool | None:
    if isinstance(first, str) and isinstance(second, str):
        return first == second
    # _OTHER is none of the literals that it is compared with.
    return False if isinstance(first, str) != isinstance(second, str) and UNKNOWN not in {first, second} else None


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key and value of the maps in a value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            yield from _walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item)


def _references(value: Any) -> Iterator[str]:
    return (target for key, target in _walk(value) if key == "Ref" and isinstance(target, str))


def _condition_names(value: Any) -> Iterator[str]:
    for key, item in _walk(value):
        if key == "Condition" and isinstance(item, str):
            yield item
        if key == "Fn::If" and isinstance(item, list) and item and isinstance(item[0], str):
            yield item[0]


def _comparisons(definition: Any) -> Iterator[tuple[Any, Any]]:
    for key, item in _walk(definition):
        match key, item:
            case "Fn::Equals", [one, other]:
                yield one, other
            case "Fn::Contains", [[*items], value]:
                yield from ((one, value) for one in items)


def _enumerate(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
