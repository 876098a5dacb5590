"""Declarations as CloudFormation shows them: with values that are unknown, or that are not shown."""

import re
from collections.abc import Mapping
from typing import Any

import attrs

from telephony.model.properties import Properties, fields
from telephony.model.resource import Difference, Observed, Resource, differences
from telephony.model.validation import parse, parse_property
from telephony.settings import settings

_UNKNOWN = re.compile(r"\{\{changeSet:KNOWN_AFTER_APPLY\}\}|\{\{resolve:|^\*{4,}$")
"""What is known after the deployment only, dynamic references, and values of NoEcho parameters.

Sources: CloudFormation User Guide, "View a change set"; localstack, tests/aws/services/cloudformation, recorded
responses.
"""


def is_unknown(value: Any) -> bool:
    """Return whether a value, or a part of it, is unknown before the deployment."""
    if isinstance(value, (dict, list)):
        return any(map(is_unknown, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and _UNKNOWN.search(value) is not None


def declared(resource: Resource[Any], raw: Mapping[str, Any], unknown: set[str]) -> Any:
    """Parse a declaration. Raises HandlerError if it is not valid.

    Unknown properties count as not declared. They are not checked, and with them neither is what they combine with.
    """
    if not unknown:
        return parse(resource.properties, raw, min_service_timeout=settings().min_service_timeout)
    known = {name: value for name, value in raw.items() if name not in unknown}
    values: dict[str, Any] = {}
    for name, (field, info) in fields(resource.properties).items():
        value = parse_property(resource.properties, name, known)
        if value is not None or info.required:
            values[field.name] = value
    return resource.properties(**values)


def changed_properties(resource: Resource[Any], observed: Observed, desired: Properties) -> list[Difference]:
    """Return every declared property whose live value differs, also those that only the type can compare."""
    found = [*differences(observed, desired, create_only=True), *differences(observed, desired, create_only=False)]
    names = {each.property_name for each in found}
    others = {text.partition(" ")[0] for text in resource.conflicts(observed, desired)} - names
    return [*found, *(Difference(name, None, None, shows_value=False) for name in sorted(others))]


def properties_of(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties in a template or in a context of a change set, without the ServiceToken."""
    return {name: value for name, value in resource.get("Properties", {}).items() if name != "ServiceToken"}


def is_create_only(resource: Resource[Any], name: str) -> bool:
    """Return whether a change of a property requires a replacement."""
    known = fields(resource.properties)
    return name in known and known[name][1].create_only


def plain(value: Any) -> Any:
    """Return a live or parsed value as JSON."""
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return plain(attrs.asdict(value)) if attrs.has(type(value)) else value
