"""Property declarations.

A properties class is an attrs class. Each field is made by `prop`, whose metadata holds everything that is known of the
property. Validation, JSON schemas, docs and lint rules are derived from it.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NewType

import attrs

from telephony.data import data
from telephony.model.rules import Rule


@data
class Pattern:
    """A regular expression, and what it means in words. No message shows the expression."""

    expression: str
    """Matches the whole string, like a JSON schema pattern with both anchors."""
    text: str
    """The rest of a sentence whose subject is the property: `must be ...`."""

    def matches(self, value: str) -> bool:
        """Return whether it matches the whole string."""
        return re.fullmatch(self.expression, value) is not None


ARN = Pattern(r"arn:\S+", "must be an ARN.")
E164 = Pattern(r"\+[1-9][0-9]{1,14}", "must be a phone number in E.164 format, for example +12065550100.")
UNQUOTED_NUMBER = {"[0-9]+": 'YAML reads an unquoted +12065550100 as a number. Quote it: "+12065550100".'}
"""The hint for properties that begin with a plus sign."""


@data
class PropertyInfo:
    """What is known of a property besides its name and type."""

    description: str
    required: bool = False
    create_only: bool = False
    """A change requires replacement."""
    create_only_not_readable: bool = False
    """Applies at purchase and can't be read back, so that later changes have no effect."""
    of_request: bool = False
    """Says what the provider does with requests. It is no setting of the resource."""
    pattern: Pattern | None = None
    minimum: int | None = None
    maximum: int | None = None
    """Limits of an integer's value, a string's length or a list's items."""
    hints: Mapping[str, str] = attrs.field(factory=dict)
    """Advice to add when a value that the regular expression matches as a whole is refused."""
    disabled_when_removed: bool = False
    """A switch that is turned off when its declaration is removed. Other properties keep their live value."""
    code: bool = False
    """A short public code. A message may show a refused value, unlike that of other strings."""
    normalize: Callable[[Any], Any] | None = None
    """Brings equivalent values to one form before they are compared."""


def prop(description: str, *, default: Any = None, **info: Any) -> Any:
    """Declare a property. An optional property that is absent has the default."""
    declared = PropertyInfo(description=description, **info)
    field_default = attrs.NOTHING if declared.required else default
    return attrs.field(default=field_default, metadata={"property": declared}, kw_only=True)


def property_name(field_name: str) -> str:
    """Return the name used in templates: IsoCountryCode for iso_country_code. HELP stays HELP."""
    return "".join(part if part.isupper() else part.capitalize() for part in field_name.split("_"))


@data
class Nested:
    """A property that contains properties."""

    rules: ClassVar[tuple[Rule, ...]] = ()


Anything = NewType("Anything", object)
type ReplacementPermission = bool | str
"""true, false, or the physical ID of the one resource that may be replaced."""


@data
class Tag(Nested):
    """A tag."""

    key: str = prop(
        "The key of the tag. Keys that begin with `aws:` or `cfn-telephony:` are reserved.",
        required=True,
        pattern=Pattern(
            r"(?!aws:|cfn-telephony:)[^\x00-\x1f]+",
            "must not begin with aws: or cfn-telephony:, or contain control characters.",
        ),
        minimum=1,
        maximum=128,
    )
    value: str = prop("The value of the tag.", required=True, maximum=256)


@data
class Properties:
    """The properties that every resource type accepts besides its own."""

    rules: ClassVar[tuple[Rule, ...]] = ()
    id_pattern: ClassVar[str]
    """Matches a physical ID of this type. CloudFormation generated any other ID."""
    id_example: ClassVar[str]

    tags: tuple[Tag, ...] | None = prop(
        "The tags of the resource. Tags that aren't declared are removed, except the provider's own. If you omit this "
        "property, tags don't change.",
        maximum=44,  # A resource can have 50, and the provider adds six to a number that is pending release.
    )
    allow_replacement: ReplacementPermission = prop(
        "Specifies whether an update may replace the resource. The current one is then permanently released, unless a "
        "policy, a recovery window or an adoption keeps it. Specify `true`, or the physical ID of the current one.",
        default=False,
        of_request=True,
    )
    wait_for_active: bool = prop(
        "Specifies whether stack operations wait until the resource is `ACTIVE`. If `false`, the operation completes "
        "when the resource is purchased, whatever its status. It has no effect on types that are available immediately "
        "or always waited for.",
        default=False,
        of_request=True,
    )
    wait_timeout_seconds: int | None = prop(
        "The maximum time to wait, in seconds from the start of the request. By default, the provider waits as long as "
        "`ServiceTimeout` allows.",
        minimum=1,
        maximum=3600,
        of_request=True,
    )
    trigger: Anything | None = prop(
        "Any value. Change it to force an update, which restores the declared settings of the resource.",
        of_request=True,
    )


def country_code_property(*, required: bool = False) -> Any:
    """Declare a country."""
    return prop(
        "The two-letter country code, in ISO 3166-1 alpha-2 format.",
        required=required,
        create_only=True,
        pattern=Pattern(r"[A-Z]{2}", "must be a country code of two uppercase letters, for example GB."),
        code=True,
        hints={"false": 'YAML reads an unquoted NO as false. Quote it: "NO".'},
    )


def fields(cls: type[Any]) -> Mapping[str, tuple["attrs.Attribute[Any]", PropertyInfo]]:
    """Return the properties of a class by template name: its own first, then those of every type."""
    ordered = sorted(attrs.fields(cls), key=lambda field: field.inherited)
    return {property_name(field.name): (field, _info(cls, field)) for field in ordered}


_ALLOW_REPLACEMENT = "allow_replacement"


def _info(cls: type[Any], field: "attrs.Attribute[Any]") -> PropertyInfo:
    info: PropertyInfo = field.metadata["property"]
    if field.name != _ALLOW_REPLACEMENT:
        return info
    text = "must be true, false, or the ID of the resource that may be released."
    return copy.replace(info, pattern=Pattern(cls.id_pattern, text))


def iter_declared(properties: "Properties") -> Iterator[tuple["attrs.Attribute[Any]", PropertyInfo, Any]]:
    """Yield field, info and value of every property that is declared."""
    for field, info in fields(type(properties)).values():
        value = getattr(properties, field.name)
        if value is not None:
            yield field, info, value
