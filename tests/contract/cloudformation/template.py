"""Parses templates and resolves Ref and Fn::GetAtt."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Policy = Literal["Delete", "Retain"]


class ValidationError(ValueError):
    """CloudFormation rejects the API call before it sends any request."""


@dataclass(frozen=True)
class Declaration:
    """One resource of a template, with unresolved properties."""

    type: str
    properties: Mapping[str, Any]
    deletion_policy: Policy
    update_replace_policy: Policy
    depends_on: frozenset[str]


def parse(template: Mapping[str, Any]) -> dict[str, Declaration]:
    """Return the resources by logical ID. Raises ValidationError for a dependency on an unknown resource."""
    declared = {logical_id: _declaration(resource) for logical_id, resource in template["Resources"].items()}
    missing = {name for declaration in declared.values() for name in declaration.depends_on} - declared.keys()
    if missing:
        raise ValidationError(f"Template format error: Unresolved resource dependencies {sorted(missing)}")
    return declared


def _declaration(resource: Mapping[str, Any]) -> Declaration:
    explicit = resource.get("DependsOn", [])
    properties = resource.get("Properties", {})
    return Declaration(
        type=resource["Type"],
        properties=properties,
        deletion_policy=resource.get("DeletionPolicy", "Delete"),
        update_replace_policy=resource.get("UpdateReplacePolicy", "Delete"),
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
    """Replace every Ref and Fn::GetAtt in `value` with `ref(name)` or `get_att(logical_id, attribute)`."""
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
