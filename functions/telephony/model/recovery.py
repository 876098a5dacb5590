"""Recovery window: a deleted number is pending release for some days, in which it can be taken back."""

from datetime import UTC, datetime
from typing import Any

from telephony.model.properties import Properties, prop
from telephony.model.tags import TAG_PREFIX

RELEASE_AFTER = f"{TAG_PREFIX}release-after"
"""The tag of a number that is pending release: when it is released, in UTC."""
RECOVERY_WINDOW = "RecoveryWindowInDays"
_DAY = 86_400


def recovery_window_property() -> Any:
    """Declare the RecoveryWindowInDays property."""
    return prop(
        "The number of days for which a deleted phone number is pending release. Until then, the phone number is "
        "billed and counts against quotas. A resource with the same stack name, logical ID, type and "
        "create-only properties takes it back instead of purchasing one. If 0, a delete releases it immediately, "
        "unless it was taken before the end of an earlier recovery window, which then ends as before. The default is "
        "the parameter `RecoveryWindowInDays` of the provider.",
        minimum=0,
        maximum=180,
        of_request=True,
    )


def reuse_property() -> Any:
    """Declare the ReusePendingRelease property."""
    return prop(
        "Specifies whether the resource takes a phone number that is pending release, if one matches and its former "
        "owner declared `OnDelete: {AllowReuse: true}`, instead of purchasing one. Messages and calls that are meant "
        "for the former owner can arrive. Applies on creation and replacement; other changes have no effect.",
        default=False,
        create_only_not_readable=True,
    )


def allow_reuse_property() -> Any:
    """Declare the AllowReuse property of OnDelete."""
    return prop(
        "Specifies whether other resources can take the phone number while it is pending release. They receive "
        "messages and calls that are meant for this one.",
        default=False,
    )


def reuses(desired: Properties) -> bool:
    """Return whether a declaration takes numbers of other resources. Not every type has the property."""
    return bool(getattr(desired, "reuse_pending_release", False))


def due_date(now: float, days: int) -> float:
    """Return when a number is released. Times are in seconds since the epoch."""
    return now + days * _DAY


def tag_value(release_after: float) -> str:
    """Return the value of the tag."""
    return datetime.fromtimestamp(int(release_after), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
