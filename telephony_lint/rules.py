"""The rules. Their IDs are from E9100: those from E9000 are reserved for custom rules (cfn-lint, docs/rules.md).

cfn-lint accepts every property and attribute of a Custom:: type, and does not apply registry schemas to them (1.43.0).
Only the parts of cfn-lint that are made for custom rules are used, because its engine for schemas changes.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from cfnlint.rules import CloudFormationLintRule, RuleMatch  # type: ignore[import-untyped]

from telephony_lint.checks import Checker, Violation, did_you_mean
from telephony_lint.schemas import declarable, schemas
from telephony_lint.template import UNKNOWN, Node, Scenario, Values

if TYPE_CHECKING:
    from cfnlint.template import Template  # type: ignore[import-untyped]

_DOCUMENTATION = "https://github.com/cfn-telephony/cfn-telephony/blob/main/docs/lint.md"
_SUB_ATTRIBUTE = re.compile(r"\$\{\s*([A-Za-z0-9]+)\.([A-Za-z0-9.]+)\s*\}")
_CUSTOM = "custom::"
_NEAR = 0.9
"""The similarity of names from which one is a misspelling of the other. PhoneNumber is not one of SmsPhoneNumber."""


@cache
def _checkers() -> Mapping[str, Checker]:
    return {name: Checker(declarable(schema)) for name, schema in schemas().items()}


def _resources(cfn: "Template") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield logical ID and resource of every resource of this provider."""
    return ((name, one) for name, one in cfn.get_resources().items() if str(one.get("Type")) in schemas())


class _Declaration:
    """One resource, and its properties under each scenario."""

    def __init__(self, cfn: "Template", name: str, resource: Mapping[str, Any]) -> None:
        self._values = Values(cfn.template)
        self._path = ("Resources", name)
        self._resource = resource
        self._checker = _checkers()[resource["Type"]]

    def violations(self) -> list[Violation]:
        """Return what the template itself violates, in any scenario."""
        scenarios = self._values.scenarios(self._resource)
        return list(dict.fromkeys(found for scenario in scenarios for found in self._check(scenario)))

    def violations_of_parameters(self) -> Iterator[tuple[str, Violation]]:
        """Yield what values of parameters violate in addition, each with these values."""
        seen = self.violations()
        for origin, scenarios in self._values.parameter_scenarios(self._resource):
            found = [self._check(scenario) for scenario in scenarios]
            first = dict.fromkeys(found[0]) if found else {}
            new = [one for one in first if one not in seen and all(one in other for other in found)]
            seen += new if origin.is_default else []
            for violation in new:
                yield origin.text, violation

    def adopts(self) -> bool:
        """Return whether Adopt is declared in any scenario. `Adopt: false` adopts nothing."""
        properties = [self._properties(scenario).value for scenario in self._values.scenarios(self._resource)]
        adopted = [one["Adopt"].value for one in properties if isinstance(one, dict) and "Adopt" in one]
        return any(value != "false" for value in adopted)

    def _check(self, scenario: Scenario) -> list[Violation]:
        return self._checker.violations(self._properties(scenario))

    def _properties(self, scenario: Scenario) -> Node:
        if "Properties" not in self._resource:
            return Node(self._path, UNKNOWN if "Fn::Transform" in self._resource else {})
        path = (*self._path, "Properties")
        return self._values.resolve(self._resource["Properties"], path, scenario) or Node(path, {})


class DeclaredProperties(CloudFormationLintRule):  # type: ignore[misc]
    """E9100, reported at the invalid property."""

    id = "E9100"
    shortdesc = "Properties of a telephony resource"
    description = "The provider accepts the properties of the resource"
    source_url = _DOCUMENTATION
    tags = ("resources", "properties", "custom")

    def match(self, cfn: "Template") -> list[RuleMatch]:
        """Check the properties of every resource."""
        found = [one for name, resource in _resources(cfn) for one in _Declaration(cfn, name, resource).violations()]
        return [RuleMatch(list(one.path), one.message()) for one in found]


class ParameterValues(CloudFormationLintRule):  # type: ignore[misc]
    """W9104, reported at the property that refers to the parameter."""

    id = "W9104"
    shortdesc = "Parameters of a telephony resource"
    description = "The provider accepts the default and the allowed values of parameters that properties refer to"
    source_url = _DOCUMENTATION
    tags = ("resources", "parameters", "custom")

    def match(self, cfn: "Template") -> list[RuleMatch]:
        """Check the properties of every resource with the values of parameters."""
        return [
            RuleMatch(list(one.path), f"{one.message(show=False)} This results from {text}.")
            for name, resource in _resources(cfn)
            for text, one in _Declaration(cfn, name, resource).violations_of_parameters()
        ]


class KnownAttributes(CloudFormationLintRule):  # type: ignore[misc]
    """E9101, reported at the function."""

    id = "E9101"
    shortdesc = "Attributes of a telephony resource"
    description = "Fn::GetAtt and Fn::Sub name attributes of the resource"
    source_url = _DOCUMENTATION
    tags = ("functions", "getatt", "sub", "custom")

    def match(self, cfn: "Template") -> list[RuleMatch]:
        """Check every reference to a resource of a known type."""
        attributes = {name: schemas()[one["Type"]]["attributes"] for name, one in _resources(cfn)}
        matches = []
        for path, logical_id, attribute in _references(cfn):
            known = attributes.get(logical_id)
            if known is not None and attribute not in known:
                suggestion = did_you_mean(attribute, {name: name for name in known})
                text = f"{logical_id} has no attribute {attribute}.{suggestion} It has {', '.join(known)}."
                matches.append(RuleMatch(path, text))
        return matches


class AdoptionPolicy(CloudFormationLintRule):  # type: ignore[misc]
    """E9102, reported at Adopt."""

    id = "E9102"
    shortdesc = "DeletionPolicy of an adopted telephony resource"
    description = "A resource that adopts an existing phone number or sender ID declares its DeletionPolicy"
    source_url = _DOCUMENTATION
    tags = ("resources", "deletionpolicy", "custom")

    def match(self, cfn: "Template") -> list[RuleMatch]:
        """Check every resource that adopts."""
        text = (
            "Declare DeletionPolicy beside Adopt. An adopted number or sender ID is never released: Delete removes the "
            "provider's tags from it, Retain keeps them."
        )
        return [
            RuleMatch(["Resources", name, "Properties", "Adopt"], text)
            for name, resource in _resources(cfn)
            if "DeletionPolicy" not in resource and _Declaration(cfn, name, resource).adopts()
        ]


class TypeName(CloudFormationLintRule):  # type: ignore[misc]
    """E9103, reported at the type."""

    id = "E9103"
    shortdesc = "Name of a type of a telephony resource"
    description = "A Custom:: type is not a misspelt type of this provider"
    source_url = _DOCUMENTATION
    tags = ("resources", "custom")

    def match(self, cfn: "Template") -> list[RuleMatch]:
        """Check the type of every custom resource."""
        matches = []
        for name, resource in cfn.get_resources().items():
            declared = str(resource.get("Type"))
            if declared.lower().startswith(_CUSTOM) and declared not in schemas():
                near = [known for known in schemas() if _similarity(declared, known) >= _NEAR]
                if near:
                    text = f"The provider has no type {declared}. Did you mean {near[0]}?"
                    matches.append(RuleMatch(["Resources", name, "Type"], text))
        return matches


class DeletionPolicy(CloudFormationLintRule):  # type: ignore[misc]
    """I9105, reported at the resource."""

    id = "I9105"
    shortdesc = "DeletionPolicy of a telephony resource"
    description = "A phone number or sender ID has an explicit DeletionPolicy"
    source_url = _DOCUMENTATION
    tags = ("resources", "deletionpolicy", "custom")

    def match(self, cfn: "Template") -> list[RuleMatch]:
        """Check every resource that does not adopt."""
        text = (
            "Declare DeletionPolicy. By default, CloudFormation deletes the resource with its stack, or when it is "
            "removed from the template. A number or sender ID that was released can't be recovered."
        )
        return [
            RuleMatch(["Resources", name], text)
            for name, resource in _resources(cfn)
            if "DeletionPolicy" not in resource and not _Declaration(cfn, name, resource).adopts()
        ]


def _similarity(first: str, second: str) -> float:
    """Return the similarity of two types, from 0 to 1. Case and punctuation do not count."""
    one, other = (re.sub(r"[^a-z0-9]", "", name.lower().removeprefix(_CUSTOM)) for name in (first, second))
    return difflib.SequenceMatcher(a=one, b=other).ratio()


def _references(cfn: "Template") -> Iterator[tuple[list[Any], str, str]]:
    """Yield path, logical ID and attribute of every Fn::GetAtt and every attribute in Fn::Sub."""
    for *path, target in cfn.search_deep_keys("Fn::GetAtt"):
        match target.split(".", 1) if isinstance(target, str) else target:
            case [str(logical_id), str(attribute)]:
                yield path, logical_id, attribute
    for *path, target in cfn.search_deep_keys("Fn::Sub"):
        match target:
            case [str(text), {**own}]:
                pass
            case _:
                text, own = target, {}
        for logical_id, attribute in _SUB_ATTRIBUTE.findall(text) if isinstance(text, str) else ():
            if f"{logical_id}.{attribute}" not in own:
                yield path, logical_id, attribute
