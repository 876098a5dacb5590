"""The changes of a stack's resources before they run: as a change set, a Hook's payload or two templates show them.

Sources: CloudFormation API Reference, "ResourceChange"; User Guide, "View a change set"; Hooks User Guide, "Create a
Lambda function for Hooks". docs/unverified.md lists what these pages leave open.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from telephony.aws import services
from telephony.data import data

NESTED_STACK = "AWS::CloudFormation::Stack"
ADD, MODIFY, REMOVE, CONDITION = "Add", "Modify", "Remove", "Condition"
"""Actions. Condition: whether the resource stays depends on a condition that changes. CloudFormation has others."""

KNOWN_AFTER_APPLY = "{{changeSet:KNOWN_AFTER_APPLY}}"
_UNKNOWN = re.compile(r"\{\{changeSet:KNOWN_AFTER_APPLY\}\}|\{\{resolve:|^\*{4,}$")
"""What is known after the deployment only, dynamic references, and values of NoEcho parameters.

Sources: CloudFormation User Guide, "View a change set"; localstack, tests/aws/services/cloudformation, recorded
responses.
"""
_VERSIONED = re.compile(r"\{\{resolve:ssm(-secure)?:[^:{}]+:[0-9]+\}\}")
"""A dynamic reference to a version of a parameter, whose value never changes."""
_ACTIONS = {"CREATE": ADD, "UPDATE": MODIFY, "DELETE": REMOVE}
_RETAINING = ("Retain", "RetainExceptOnCreate")
"""Policies. The second one deletes a resource only if the operation that creates it is rolled back (User Guide)."""
_MACROS_WITHOUT_RESOURCES = {
    "AWS::LanguageExtensions",
    "AWS::SecretsManager-2020-07-23",
    "AWS::SecretsManager-2024-09-16",
    "AWS::Serverless-2016-10-31",
}
"""Transforms that neither add nor change a custom resource, except Fn::ForEach, whose key shows it."""


@data
class ResourceChange:
    """The change of one resource."""

    stack_id: str
    logical_id: str
    type_name: str
    action: str
    """ADD, MODIFY, REMOVE, CONDITION, or another one of CloudFormation's."""
    physical_id: str = ""
    before: Mapping[str, Any] | None = None
    """The properties without ServiceToken. Values can be unknown. None: not shown."""
    after: Mapping[str, Any] | None = None
    retains: bool = False
    """DeletionPolicy or UpdateReplacePolicy, whichever applies, retains the resource."""
    same: Collection[str] = ()
    """Properties of unknown value that do not change."""

    @property
    def unknown(self) -> set[str]:
        """The properties after the change whose value is unknown."""
        return {name for name, value in (self.after or {}).items() if is_unknown(value)}


def is_unknown(value: Any) -> bool:
    """Return whether a value, or a part of it, is unknown before the deployment."""
    if isinstance(value, (dict, list)):
        return any(map(is_unknown, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and _UNKNOWN.search(value) is not None


def _same(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the properties with an equal value that is known after the deployment, as its version shows."""
    return [name for name, value in after.items() if before.get(name) == value and _has_version(value)]


def _has_version(value: Any) -> bool:
    return isinstance(value, str) and not is_unknown(_VERSIONED.sub("", value))


def properties_of(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties in a template or in a context of a change set, without the ServiceToken."""
    return {name: value for name, value in (resource.get("Properties") or {}).items() if name != "ServiceToken"}


def describe_change_set(stack_name: str | None, change_set_name: str) -> dict[str, Any]:
    """Return a change set with all of its changes and the values of properties. stack_name: None if it is an ARN."""
    parameters = {"ChangeSetName": change_set_name} | ({"StackName": stack_name} if stack_name is not None else {})
    describe: Any = services.cloudformation().describe_change_set
    page: dict[str, Any] = describe(IncludePropertyValues=True, **parameters)
    changes = [*page.get("Changes", [])]
    while "NextToken" in page:
        page = describe(IncludePropertyValues=True, **parameters, NextToken=page["NextToken"])
        changes += page.get("Changes", [])
    return {**page, "Changes": changes}


def of_change_set(
    described: Mapping[str, Any], types: Collection[str], describe: Callable[[str], Mapping[str, Any]]
) -> Iterator[ResourceChange]:
    """Yield the changes of these types, and of nested stacks whose own change set is not shown.

    describe: returns the change set of a nested stack.
    """
    for change in (each.get("ResourceChange", {}) for each in described["Changes"]):
        type_name = change.get("ResourceType", "")
        if type_name == NESTED_STACK and "ChangeSetId" in change:
            yield from of_change_set(describe(change["ChangeSetId"]), types, describe)
        elif type_name == NESTED_STACK or type_name in types:
            before, after = (_context(change.get(name)) for name in ("BeforeContext", "AfterContext"))
            same = _same(properties_of(before), properties_of(after))
            action = change["Action"]
            policy = after.get("UpdateReplacePolicy") if action == MODIFY else before.get("DeletionPolicy")
            yield ResourceChange(
                stack_id=described["StackId"],
                logical_id=change["LogicalResourceId"],
                type_name=type_name,
                action=action,
                physical_id=change.get("PhysicalResourceId", ""),
                before=properties_of(before) if "Properties" in before else None,
                after=properties_of(after) if "Properties" in after else None,
                retains=policy in _RETAINING or change.get("PolicyAction") in {"Retain", "ReplaceAndRetain"},
                same=same,
            )


@data
class Stack:
    """A stack before a change."""

    stack_id: str
    resources: Mapping[str, tuple[str, str]]
    """Type and physical ID of the resources that exist, by logical ID."""
    template: Mapping[str, Any]


def of_payload(stack: Stack, changed: Iterable[Mapping[str, Any]], template: Mapping[str, Any]) -> list[ResourceChange]:
    """Return the changes in the payload of a Hook for change sets. template: after the change."""
    found = []
    for change in changed:
        before, after = (_context(change.get(name)) for name in ("beforeContext", "afterContext"))
        same = _same(properties_of(before), properties_of(after))
        logical_id, action = change["logicalResourceId"], _ACTIONS.get(change["action"], change["action"])
        removed = action == REMOVE
        found.append(
            ResourceChange(
                stack_id=stack.stack_id,
                logical_id=logical_id,
                type_name=change["resourceType"],
                action=action,
                physical_id=stack.resources.get(logical_id, ("", ""))[1],
                before=properties_of(before) if "Properties" in before else None,
                after=properties_of(after) if "Properties" in after else None,
                retains=_retains(stack.template if removed else template, logical_id, removed=removed),
                same=same,
            )
        )
    return found


def of_deletion(stack: Stack) -> list[ResourceChange]:
    """Return the removal of every resource."""
    return [_removal(stack, logical_id) for logical_id in stack.resources]


def of_templates(stack: Stack, template: Mapping[str, Any], *, resolved: bool) -> list[ResourceChange] | None:
    """Return the changes that two templates show. None if a transform decides what the new one declares.

    The values of parameters are unknown. resolved: expressions that change were compared otherwise.
    """
    declared = _resources(template)
    if _has_macro(template, stack.resources):
        return None
    found = []
    changed = set() if resolved else _changed_definitions(stack.template, template)
    for logical_id in stack.resources:
        change = _removal(stack, logical_id)
        if logical_id in declared:
            change = _compared(stack, template, change, changed, resolved=resolved)
            if change.action == MODIFY and change.before == change.after and not change.unknown - {*change.same}:
                continue
        found.append(change)
    return found


def _compared(
    stack: Stack, template: Mapping[str, Any], removal: ResourceChange, changed: set[str], *, resolved: bool
) -> ResourceChange:
    logical_id = removal.logical_id
    before, after = (
        {name: _long_form(value) for name, value in properties_of(_resource(each, logical_id)).items()}
        for each in (stack.template, template)
    )
    same = set()
    for name in before.keys() | after.keys():
        values = [each[name] for each in (before, after) if name in each]
        if not any(map(_is_expression, values)):
            continue
        equal = len(values) == 2 and values[0] == values[1]  # noqa: PLR2004 - before and after
        if resolved or (equal and changed.isdisjoint(_definitions(values[0]))):
            same.add(name)
            before[name] = after[name] = KNOWN_AFTER_APPLY
        for each in (before, after):
            if name in each:
                each[name] = KNOWN_AFTER_APPLY
    former, condition = (_resource(each, logical_id).get("Condition") for each in (stack.template, template))
    # Without a condition, the resource stays.
    stays = resolved or condition is None or (former == condition and f"condition {condition}" not in changed)
    return copy.replace(
        removal,
        action=MODIFY if stays else CONDITION,
        before=before,
        after=after,
        retains=_retains(template, logical_id, removed=False) if stays else removal.retains,
        same=same,
    )


def _removal(stack: Stack, logical_id: str) -> ResourceChange:
    type_name, physical_id = stack.resources[logical_id]
    declared = properties_of(_resource(stack.template, logical_id))
    return ResourceChange(
        stack_id=stack.stack_id,
        logical_id=logical_id,
        type_name=type_name,
        action=REMOVE,
        physical_id=physical_id,
        before={name: KNOWN_AFTER_APPLY if _is_expression(value) else value for name, value in declared.items()},
        retains=_retains(stack.template, logical_id, removed=True),
    )


def _resources(template: Mapping[str, Any]) -> Mapping[str, Any]:
    return template.get("Resources") or {}


def _resource(template: Mapping[str, Any], logical_id: str) -> Mapping[str, Any]:
    return _resources(template).get(logical_id) or {}


def _retains(template: Mapping[str, Any], logical_id: str, *, removed: bool) -> bool:
    policy = "DeletionPolicy" if removed else "UpdateReplacePolicy"
    return _resource(template, logical_id).get(policy) in _RETAINING


def _changed_definitions(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    """Return the mappings and conditions that differ, also because of what they name."""
    mappings, conditions = (
        [each.get(section) or {} for each in (before, after)] for section in ("Mappings", "Conditions")
    )
    found = {f"mapping {name}" for name in {*mappings[0], *mappings[1]} if _differs(mappings, name)}
    found |= {"mappings"} if found else set()
    found |= {f"condition {name}" for name in {*conditions[0], *conditions[1]} if _differs(conditions, name)}
    names = {f"condition {name}": _definitions(value) for name, value in conditions[1].items()}
    while more := {name for name in names.keys() - found if not found.isdisjoint(names[name])}:
        found |= more
    return found


def _differs(sections: list[Mapping[str, Any]], name: str) -> bool:
    return bool(_long_form(sections[0].get(name)) != _long_form(sections[1].get(name)))


def _definitions(value: Any) -> set[str]:
    """Return the conditions and mappings that a value names."""
    found = set()
    left = [value]
    while left:
        match left.pop():
            case {"Fn::FindInMap": [str(name), *keys]}:
                found.add(f"mapping {name}")
                left += keys
            case {"Fn::FindInMap": keys}:  # The name is an expression.
                found.add("mappings")
                left.append(keys)
            case {"Fn::If": [str(name), *branches]}:
                found.add(f"condition {name}")
                left += branches
            case {"Condition": str(name)}:
                found.add(f"condition {name}")
            case dict() as members:
                left += members.values()
            case list() as items:
                left += items
    return found


def _has_macro(template: Mapping[str, Any], logical_ids: Iterable[str]) -> bool:
    """Return whether a transform can declare or change these resources."""
    macros = template.get("Transform") or []
    names = {macros} if isinstance(macros, str) else {str(each) for each in macros}
    own = [_resource(template, logical_id) for logical_id in logical_ids]
    left: list[Any] = [dict.fromkeys(template), dict.fromkeys(_resources(template))]
    left += [*own, template.get("Conditions"), template.get("Mappings")]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if any(name == "Fn::Transform" or str(name).startswith("Fn::ForEach") for name in value):
                return True
            left += value.values()
        elif isinstance(value, list):
            left += value
    return bool(names - _MACROS_WITHOUT_RESOURCES)


def _is_expression(value: Any) -> bool:
    """Return whether a value contains an intrinsic function."""
    match value:
        case list():
            return any(map(_is_expression, value))
        case dict():
            return any(
                name == "Ref" or str(name).startswith("Fn::") or _is_expression(each) for name, each in value.items()
            )
    return is_unknown(value)


def _long_form(value: Any) -> Any:
    """Return a value with one form of Fn::GetAtt, and with scalars as CloudFormation sends them."""
    match value:
        case {"Fn::GetAtt": str(text)}:
            return {"Fn::GetAtt": text.split(".", 1)}
        case dict():
            return {name: _long_form(each) for name, each in value.items()}
        case list():
            return [*map(_long_form, value)]
        case bool():
            return str(value).lower()
    return value if value is None else str(value)


def _context(text: Any) -> dict[str, Any]:
    found = json.loads(text) if isinstance(text, str) and text else text
    return found or {}
