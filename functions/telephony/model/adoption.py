"""Adoption: an existing resource comes under a declaration, and is never released by the provider."""

from typing import Any

from telephony.model.properties import E164, UNQUOTED_NUMBER, Pattern, Properties, prop

MAX_TAGS = 50
"""Tags that a resource can have (AWS General Reference, "Tag naming limits and requirements")."""

_NEVER_RELEASED = (
    "Its settings don't change: properties that differ from them are refused. The provider never releases an adopted "
    "{noun}; if the resource is deleted, the {noun} stays in the account. Applies on creation; later changes have no "
    "effect."
)


def adopts(desired: Properties) -> bool:
    """Return whether a declaration adopts an existing resource. Not every type has the property."""
    return bool(getattr(desired, "adopt", None))


def adopt_number_property(id_pattern: str) -> Any:
    """Declare the Adopt property of a phone number."""
    return prop(
        "The ID, the ARN or the number (in E.164 format) of an existing phone number to adopt instead of purchasing "
        "one. " + _NEVER_RELEASED.format(noun="phone number"),
        create_only_not_readable=True,
        pattern=Pattern(
            f"{E164.expression}|{id_pattern}",
            "must be the ID or the ARN of a phone number, or the number in E.164 format, for example +12065550100.",
        ),
        maximum=256,
        hints=UNQUOTED_NUMBER,
    )


def adopt_property(noun: str) -> Any:
    """Declare the Adopt property of a resource that is identified by other properties."""
    return prop(
        f"Specifies whether the existing {noun} is adopted instead of requesting it. "
        + _NEVER_RELEASED.format(noun=noun),
        default=False,
        create_only_not_readable=True,
    )
