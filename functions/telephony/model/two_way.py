"""Two-way messaging of AWS End User Messaging SMS."""

from collections.abc import Mapping
from typing import Any

from telephony.data import data
from telephony.model.properties import ARN, Nested, Pattern, prop
from telephony.model.rules import NotDeclared, OneOf, Rule


@data
class TwoWay(Nested):
    """Two-way messaging: where the service sends incoming messages."""

    rules = (
        Rule(
            "ChannelArn",
            "is required if Enabled is true.",
            (OneOf("Enabled", (True,)), NotDeclared("ChannelArn")),
        ),
    )

    enabled: bool = prop("Specifies whether incoming messages are received.", required=True)
    channel_arn: str | None = prop(
        "The destination of incoming messages: the ARN of an Amazon SNS topic, or `connect.<region>.amazonaws.com` for "
        "Amazon Connect.",
        pattern=Pattern(
            r"arn:\S+|connect\.[a-z0-9-]+\.amazonaws\.com", "must be an ARN, or connect.<region>.amazonaws.com."
        ),
        minimum=20,
        maximum=2048,
    )
    channel_role: str | None = prop(
        "The ARN of the IAM role that the service assumes to publish to the destination.",
        pattern=ARN,
        minimum=20,
        maximum=2048,
    )


def two_way_settings(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the two-way parameters of an API response."""
    return {name: resource.get(name) for name in ("TwoWayEnabled", "TwoWayChannelArn", "TwoWayChannelRole")}


def two_way_changes(live: Mapping[str, Any], desired: TwoWay | None) -> dict[str, Any]:
    """Return the declared two-way parameters for an update call, or none if nothing differs.

    live: as `two_way_settings` returns it. The API takes these parameters together.
    """
    if desired is None:
        return {}
    settings = {
        "TwoWayEnabled": desired.enabled,
        "TwoWayChannelArn": desired.channel_arn,
        "TwoWayChannelRole": desired.channel_role,
    }
    declared = {name: value for name, value in settings.items() if value is not None}
    return declared if any(live.get(name) != value for name, value in declared.items()) else {}
