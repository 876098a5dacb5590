"""Templates: what they declare, and how Ref and Fn::GetAtt among the resources are resolved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

_POLICIES = frozenset({"Delete", "Retain", "RetainExceptOnCreate"})


class ValidationError(ValueError):
    """The API call is refused before anything happens, as CloudFormation's ValidationError is."""


@dataclass(frozen=True)
class Declaration:
    """One resource of a template, its properties not yet resolved."""

    type: str
    properties: Mapping[str, Any]
    deletion_policy: str
    update_replace_policy: str
    depends_on: frozenset[str]


def parse(template: Mapping[str, Any]) -> dict[str, Declaration]:
    """The resources by logical id. Raises ValidationError for what CloudFormation refuses in a template."""
    resources: Mapping[str, Mapping[str, Any]] = template["Resources"]
    if not resources:
        raise ValidationError("At least one Resources member must be defined.")
    declared = {logical_id: _declaration(resource) for logical_id, resource in resources.items()}
    missing = {name for declaration in declared.values() for name in declaration.depends_on} - declared.keys()
    if missing:
        raise ValidationError(f"Template format error: Unresolved resource dependencies {sorted(missing)}")
    try:
        TopologicalSorter({name: declaration.depends_on for name, declaration in declared.items()}).prepare()
    except CycleError as error:
        raise ValidationError(f"Circular dependency between resources: {error.args[1]}") from None
    return declared


def _declaration(resource: Mapping[str, Any]) -> Declaration:
    policies = [resource.get(name, "Delete") for name in ("DeletionPolicy", "UpdateReplacePolicy")]
    if not _POLICIES.issuperset(policies):
        raise ValidationError(f"Unrecognized policy in {policies}")
    explicit = resource.get("DependsOn", [])
    properties = resource.get("Properties", {})
    return Declaration(
        type=resource["Type"],
        properties=properties,
        deletion_policy=policies[0],
        update_replace_policy=policies[1],
        depends_on=_references(properties).union([explicit] if isinstance(explicit, str) else explicit),
    )


def _references(value: Any) -> frozenset[str]:
    match value:
        case {"Ref": str(name)} if len(value) == 1:
            return frozenset() if name.startswith("AWS::") else frozenset({name})
        case {"Fn::GetAtt": target} if len(value) == 1:
            return frozenset({_attribute(target)[0]})
        case dict():
            return frozenset[str]().union(*map(_references, value.values()))
        case list():
            return frozenset[str]().union(*map(_references, value))
    return frozenset()


def _attribute(target: str | list[str]) -> tuple[str, str]:
    logical_id, attribute = target.split(".", 1) if isinstance(target, str) else target
    return logical_id, attribute


def resolve(value: Any, ref: Callable[[str], Any], get_att: Callable[[str, str], str]) -> Any:
    """`value` with every Ref and Fn::GetAtt replaced by what `ref(name)` and `get_att(logical_id, attribute)` give."""
    match value:
        case {"Ref": str(name)} if len(value) == 1:
            return ref(name)
        case {"Fn::GetAtt": target} if len(value) == 1:
            return get_att(*_attribute(target))
        case dict():
            return {name: resolve(member, ref, get_att) for name, member in value.items()}
        case list():
            return [resolve(member, ref, get_att) for member in value]
    return value
