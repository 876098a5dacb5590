"""The resource types as the generators read them: names, paths and properties, derived from the product code."""

import re
import sys
import typing
from pathlib import Path
from typing import Any, Literal

import attrs

from telephony import resources
from telephony.cloudformation.request import MAX_SERVICE_TIMEOUT
from telephony.model.properties import Anything, Nested, PropertyInfo, ReplacementPermission, fields
from telephony.model.resource import Resource
from telephony.model.validation import without_none
from telephony.settings import MIN_SERVICE_TIMEOUT

ROOT = Path(__file__).parent.parent


class GenerationError(ValueError):
    """A file that is written by hand is missing or can't be used. The text says which, and why."""


@attrs.frozen
class Property:
    """A property of a resource type, or of a nested property."""

    kind: Any
    """Its type, without None."""
    info: PropertyInfo
    default: Any = None
    """None if there is no default, or if the property is nested."""


_SERVICE_TIMEOUT = (
    "The maximum time that CloudFormation waits for a response, in seconds from the start of the request. By default, "
    f"{MAX_SERVICE_TIMEOUT}. The provider refuses a Create or Update with more than that, or with less than "
    f"{MIN_SERVICE_TIMEOUT} seconds, which one attempt can take."
)
_SERVICE_TOKEN = "The ARN of the provider function. The provider's stack exports it as `<stack name>-ServiceToken`."  # noqa: S105
PROTOCOL_PROPERTIES = {
    "ServiceTimeout": Property(
        int, PropertyInfo(_SERVICE_TIMEOUT, minimum=MIN_SERVICE_TIMEOUT, maximum=MAX_SERVICE_TIMEOUT)
    ),
    "ServiceToken": Property(str, PropertyInfo(_SERVICE_TOKEN, required=True)),
}
"""The properties of every custom resource, which CloudFormation reads."""


@attrs.frozen
class Described:
    """A resource type, and everything that is named after it."""

    resource: Resource[Any]

    @property
    def module(self) -> str:
        """The module in telephony.resources: sms_phone_number."""
        return type(self.resource).__module__.rpartition(".")[2]

    @property
    def name(self) -> str:
        """The type name without its prefix: SmsPhoneNumber."""
        return type(self.resource).__name__

    @property
    def kebab(self) -> str:
        """The name of its files in events/ and examples/: sms-phone-number."""
        return self.module.replace("_", "-")

    @property
    def schema_path(self) -> Path:
        """The schema."""
        return ROOT / "schemas" / f"custom-{self.name.lower()}.json"

    @property
    def page_path(self) -> Path:
        """The documentation page."""
        return ROOT / "docs" / f"{self.name}.md"

    @property
    def example_path(self) -> Path:
        """The example template of this type."""
        return ROOT / "examples" / f"{self.kebab}.yaml"

    def event_path(self, request_type: str) -> Path:
        """The sample event of a request type."""
        return ROOT / "events" / f"{self.kebab}-{request_type.lower()}.json"

    @property
    def description(self) -> str:
        """The first paragraph of the module's docstring, without the type name."""
        sentence = self._docstring.split("\n\n")[0].replace("\n", " ").removeprefix(f"{self.resource.type_name}: ")
        return sentence[:1].upper() + sentence[1:]

    @property
    def identifier(self) -> tuple[str, ...]:
        """The attributes that form the physical ID: the identity fields, or what Ref returns by the docstring."""
        if self.resource.identity_fields:
            return self.resource.identity_fields
        stated = re.search(r"\bRef returns the (\w+)\.", self._docstring)
        if stated is None or stated[1] not in self.resource.attributes:
            raise GenerationError(f"{self.module}.py: the docstring must contain `Ref returns the <attribute>.`")
        return (stated[1],)

    @property
    def properties(self) -> dict[str, Property]:
        """All properties by name, in alphabetical order."""
        return dict(sorted((PROTOCOL_PROPERTIES | properties_of(self.resource.properties)).items()))

    @property
    def _docstring(self) -> str:
        return (sys.modules[type(self.resource).__module__].__doc__ or "").strip()


def every_type() -> list[Described]:
    """Return the provider's resource types."""
    return [Described(resources.by_type(name)) for name in resources.type_names()]


def properties_of(cls: type[Any]) -> dict[str, Property]:
    """Return the properties of a properties class or a nested class by name, in alphabetical order."""
    found = {}
    for name, (attribute, info) in sorted(fields(cls).items()):
        kind, default = without_none(attribute.type), attribute.default
        found[name] = Property(kind, info, None if default is attrs.NOTHING or is_nested(kind) else default)
    return found


def nested_in(cls: type[Any]) -> dict[str, type[Nested]]:
    """Return the nested classes below a class by name, at any depth."""
    found: dict[str, type[Nested]] = {}
    for one in properties_of(cls).values():
        member = items_of(one.kind) or one.kind
        if is_nested(member):
            found |= {member.__name__: member} | nested_in(member)
    return dict(sorted(found.items()))


def items_of(kind: Any) -> Any:
    """Return the type of a list's items, or None if it is not a list."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else None


def allowed_values(kind: Any) -> tuple[str, ...]:
    """Return the values of a Literal, or an empty tuple."""
    return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()


def is_nested(kind: Any) -> bool:
    """Return whether a type is a map of properties."""
    return isinstance(kind, type) and issubclass(kind, Nested)


def scalar(kind: Any) -> str:
    """Return the name of a scalar type in CloudFormation's documentation."""
    names = {
        Anything: "Json",
        ReplacementPermission: "Boolean | String",
        bool: "Boolean",
        int: "Integer",
        str: "String",
    }
    return "String" if allowed_values(kind) else names[kind]


def anchored(pattern: str) -> str:
    """Return a pattern with the anchors that JSON schema and the documentation need to match the whole string."""
    return f"^(?:{pattern})$" if "|" in pattern else f"^{pattern}$"
