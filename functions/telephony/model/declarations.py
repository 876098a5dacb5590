"""Declarations with values that are unknown before the deployment, and what they change."""

from collections.abc import Collection, Mapping
from typing import Any

from telephony.model.properties import Properties, fields
from telephony.model.resource import Difference, Observed, Resource, differences
from telephony.model.validation import parse, parse_property
from telephony.settings import settings


def declared(resource: Resource[Any], raw: Mapping[str, Any], unknown: set[str]) -> Any:
    """Parse a declaration. Raises HandlerError if it is not valid.

    Unknown properties count as not declared. They are not checked, and with them neither is what they combine with.
    """
    if not unknown:
        return parse(resource.properties, raw, min_service_timeout=settings().min_service_timeout)
    return valid_part(resource, raw, unknown)


def valid_part(resource: Resource[Any], raw: Mapping[str, Any], unknown: Collection[str] = ()) -> Any:
    """Parse the valid properties of a declaration. The others count as not declared. unknown ones have no default."""
    values: dict[str, Any] = {}
    for name, (field, info) in fields(resource.properties).items():
        value = None if name in unknown else parse_property(resource.properties, name, raw)
        if value is not None or info.required or name in unknown:
            values[field.name] = value
    return resource.properties(**values)


def changed_properties(resource: Resource[Any], observed: Observed, desired: Properties) -> list[Difference]:
    """Return every declared property whose live value differs, also those that only the type can compare."""
    found = [*differences(observed, desired, create_only=True), *differences(observed, desired, create_only=False)]
    names = {each.property_name for each in found}
    others = {text.partition(" ")[0] for text in resource.conflicts(observed, desired)} - names
    return [*found, *(Difference(name, None, None, shows_value=False) for name in sorted(others))]


def is_create_only(resource: Resource[Any], name: str) -> bool:
    """Return whether a change of a property requires a replacement."""
    known = fields(resource.properties)
    return name in known and known[name][1].create_only
