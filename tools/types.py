"""What the resource types say of themselves, in the words of schemas and pages."""

from __future__ import annotations

import importlib
import typing
from pathlib import Path
from typing import Any, Literal

import attrs

from telephony import resources
from telephony.model.properties import Anything, Nested, PropertyInfo, ReplacementPermission, fields
from telephony.model.resource import Resource
from telephony.model.validation import without_none

ROOT = Path(__file__).parent.parent

SERVICE_TOKEN = "The ARN of the provider's function, which the provider's stack exports as `<stack name>-ServiceToken`."  # noqa: S105
SERVICE_TIMEOUT = (
    "How long CloudFormation waits for an answer, in seconds, from the request on. Without it, 3600. "
    "No wait of the provider goes beyond it."
)


@attrs.frozen
class Property:
    """One property, its own or a nested one's."""

    kind: Any
    """Its type, without None."""
    known: PropertyInfo
    default: Any
    """None where there is none, or where it is a map of properties."""


@attrs.frozen
class Described:
    """A resource type and the names that follow from its module's."""

    module: str
    resource: Resource[Any]

    @property
    def name(self) -> str:
        """SmsPhoneNumber, of Custom::SmsPhoneNumber."""
        return self.resource.type_name.removeprefix("Custom::")

    @property
    def kebab(self) -> str:
        """What events/ and examples/ are named after: sms-phone-number."""
        return self.module.replace("_", "-")

    @property
    def schema_path(self) -> Path:
        """Where the schema is."""
        return ROOT / "schemas" / f"custom-{self.name.lower()}.json"

    @property
    def page_path(self) -> Path:
        """Where the documentation is."""
        return ROOT / "docs" / f"{self.name}.md"

    @property
    def example_path(self) -> Path:
        """Where the template is that shows this type alone."""
        return ROOT / "examples" / f"{self.kebab}.yaml"

    def event_path(self, request_type: str) -> Path:
        """Where the event of this request is."""
        return ROOT / "events" / f"{self.kebab}-{request_type.lower()}.json"

    @property
    def description(self) -> str:
        """The first sentence of the module's docstring, without the type's name."""
        docstring = importlib.import_module(f"telephony.resources.{self.module}").__doc__ or ""
        sentence = docstring.split("\n\n")[0].replace("\n", " ").removeprefix(f"{self.resource.type_name}: ").strip()
        return sentence[:1].upper() + sentence[1:]

    @property
    def identifier(self) -> tuple[str, ...]:
        """The attributes that the PhysicalResourceId is made of.

        Those of the key, where the type has one, in the order of their names; else the first attribute that is, like
        id_example, an ARN or an id.
        """
        if self.resource.identity_fields:
            return tuple(sorted(self.resource.identity_fields))
        ending = "Arn" if self.resource.properties.id_example.startswith("arn:") else "Id"
        return (next(name for name in self.resource.attributes if name.endswith(ending)),)

    @property
    def properties(self) -> dict[str, Property]:
        """The properties by name, in the alphabet's order."""
        return properties_of(self.resource.properties)


def every_type() -> list[Described]:
    """The types of the provider."""
    found = [resources.by_type(name) for name in resources.type_names()]
    return [Described(type(resource).__module__.rpartition(".")[2], resource) for resource in found]


def properties_of(cls: type[Any]) -> dict[str, Property]:
    """The properties of a properties class, or of a nested one, by name, in the alphabet's order."""
    found = {}
    for name, (attribute, known) in sorted(fields(cls).items()):
        kind, default = without_none(attribute.type), attribute.default
        found[name] = Property(kind, known, None if default is attrs.NOTHING or is_nested(kind) else default)
    return found


def nested_in(cls: type[Any]) -> dict[str, type[Nested]]:
    """The nested classes that a class's properties hold, and theirs, by name."""
    found: dict[str, type[Nested]] = {}
    for one in properties_of(cls).values():
        member = items_of(one.kind) or one.kind
        if is_nested(member):
            found |= {member.__name__: member} | nested_in(member)
    return dict(sorted(found.items()))


def items_of(kind: Any) -> Any:
    """The type of a list's items; None if it is not a list."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else None


def allowed_values(kind: Any) -> tuple[str, ...]:
    """The values of a Literal; none if it is not one."""
    return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()


def is_nested(kind: Any) -> bool:
    """Whether it is a map of properties."""
    return isinstance(kind, type) and issubclass(kind, Nested)


def scalar(kind: Any) -> str:
    """The name of a scalar type in CloudFormation's documentation."""
    if kind is Anything:
        return "Json"
    if kind is ReplacementPermission:
        return "Boolean | String"
    names = {bool: "Boolean", int: "Integer", str: "String"}
    return "String" if allowed_values(kind) else names[kind]


def anchored(pattern: str) -> str:
    """A pattern that the whole string must match, as JSON schema and the documentation write it."""
    return f"^(?:{pattern})$" if "|" in pattern else f"^{pattern}$"
