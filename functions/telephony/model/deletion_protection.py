"""Deletion protection of AWS End User Messaging SMS."""

from typing import Any

from telephony.model.properties import prop

DELETION_PROTECTION = "DeletionProtectionEnabled"


def deletion_protection_property(noun: str, note: str = "") -> Any:
    """Declare the DeletionProtectionEnabled property."""
    return prop(
        f"Specifies whether deletion protection is enabled. A protected {noun} can't be released. If you remove this "
        f"property, deletion protection is disabled{note}.",
        disabled_when_removed=True,
    )


def lift_deletion_protection_property() -> Any:
    """Declare the LiftDeletionProtection property of OnDelete."""
    return prop("Specifies whether a delete may disable deletion protection.", default=False)
