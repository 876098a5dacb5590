"""The changes of a change set, as DescribeChangeSet shows them.

Sources: the API reference; "recorded" is a response recorded from AWS (localstack, tests/aws/services/cloudformation).
"""

import json
from collections.abc import Mapping
from typing import Any

KNOWN_AFTER_APPLY = "{{changeSet:KNOWN_AFTER_APPLY}}"
"""A value that the deployment determines (recorded: test_change_sets.py)."""


def add(logical_id: str, resource_type: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """A resource that is created (recorded: test_change_sets.py, test_direct_update)."""
    return _change("Add", logical_id, resource_type, AfterContext=_context(properties))


def modify(
    logical_id: str,
    resource_type: str,
    physical_id: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    update_replace_policy: str = "Delete",
) -> dict[str, Any]:
    """A resource that is updated (recorded: the same test). That of a custom resource may replace it: Conditional.

    Assumed: its PolicyAction, and RequiresRecreation, for custom resources.
    """
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return _change(
        "Modify",
        logical_id,
        resource_type,
        PhysicalResourceId=physical_id,
        Replacement="Conditional",
        Scope=["Properties"],
        Details=[_detail(name, before.get(name), after.get(name)) for name in names],
        BeforeContext=_context(before),
        AfterContext=_context(after, UpdateReplacePolicy=update_replace_policy),
    )


def remove(
    logical_id: str, resource_type: str, physical_id: str, properties: Mapping[str, Any], policy: str = "Delete"
) -> dict[str, Any]:
    """A resource that is deleted or retained (recorded: test_change_sets.py, test_dynamic_update)."""
    return _change(
        "Remove",
        logical_id,
        resource_type,
        PhysicalResourceId=physical_id,
        PolicyAction=policy,
        BeforeContext=_context(properties, DeletionPolicy=policy),
    )


def _change(action: str, logical_id: str, resource_type: str, **more: Any) -> dict[str, Any]:
    names = {"Action": action, "LogicalResourceId": logical_id, "ResourceType": resource_type}
    return {"Type": "Resource", "ResourceChange": {"Details": [], "Scope": [], **names, **more}}


def _context(properties: Mapping[str, Any], **policies: str) -> str:
    return json.dumps({"Properties": properties, **policies})


def _detail(name: str, before: Any, after: Any) -> dict[str, Any]:
    kind = "Add" if before is None else "Remove" if after is None else "Modify"
    values = {"BeforeValue": _value(before), "AfterValue": _value(after)}
    target = {"Attribute": "Properties", "Name": name, "Path": f"/Properties/{name}", "AttributeChangeType": kind}
    target |= {"RequiresRecreation": "Conditionally", **{key: value for key, value in values.items() if value}}
    return {"ChangeSource": "DirectModification", "Evaluation": "Static", "Target": target}


def _value(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)
