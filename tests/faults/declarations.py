"""What the runs declare: each type plain and with everything that takes further calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

type Properties = dict[str, Any]

_TAGS = [{"Key": "team", "Value": "first"}]


@attrs.frozen
class Place:
    """What a declaration needs of its run. secret: a value that may appear nowhere."""

    secret: str
    number: int
    targets: list[str]
    source: Callable[[int], str]
    """Numbers to import, by index: the same one for the same index."""

    @property
    def sender(self) -> str:
        """A sender ID that no other run has."""
        return f"S{self.number}"


@attrs.frozen
class Variant:
    """A type and how it is declared: at first, changed in place, and so that another number is needed.

    replaceable: what is declared at first where a replacement is to follow, if protection would forbid that.
    """

    type_name: str
    first: Callable[[Place], Properties]
    changed: Callable[[Place], Properties]
    replaced: Callable[[Place], Properties]
    replaceable: Callable[[Place], Properties] | None = None


def _simulator(place: Place, **more: Any) -> Properties:
    kind = {"IsoCountryCode": "US", "NumberType": "SIMULATOR", "NumberCapabilities": ["SMS"]}
    return {**kind, "Trigger": place.secret, **more}


def _full(place: Place, **more: Any) -> Properties:
    wishes = {
        "TwoWay": {
            "Enabled": True,
            "ChannelArn": "arn:aws:sns:us-east-1:123456789012:inbound",
            "ChannelRole": "arn:aws:iam::123456789012:role/inbound",
        },
        "MandatoryKeywords": {"HELP": {"Message": f"Ask {place.secret}"}},
        "OptionalKeywords": [{"Keyword": "INFO", "Message": place.secret, "Action": "AUTOMATIC_RESPONSE"}],
        "Tags": _TAGS,
        "DeletionProtectionEnabled": True,
        "WaitForActive": True,
        "OnDelete": {"LiftDeletionProtection": True},
    }
    return _simulator(place) | wishes | more


def _full_changed(place: Place) -> Properties:
    keywords = [{"Keyword": "MORE", "Message": place.secret, "Action": "AUTOMATIC_RESPONSE"}]
    tags = [{"Key": "owner", "Value": "second"}]
    return _full(place, OptionalKeywords=keywords, Tags=tags, SelfManagedOptOutsEnabled=True)


def _sender(place: Place, **more: Any) -> Properties:
    # Said and not left out: what is absent never differs, so that a rollback to it would leave the protection on.
    kind = {"SenderId": place.sender, "IsoCountryCode": "GB", "DeletionProtectionEnabled": False}
    return {**kind, "Trigger": place.secret, **more}


def _protected(place: Place, **more: Any) -> Properties:
    lift = {"LiftDeletionProtection": True}
    return (
        _sender(place, DeletionProtectionEnabled=True, OnDelete=lift, Tags=[{"Key": "team", "Value": "first"}]) | more
    )


def _claim(place: Place, **more: Any) -> Properties:
    kind = {"TargetArn": place.targets[0], "CountryCode": "US", "Type": "DID"}
    return {**kind, "Description": place.secret, "Trigger": place.secret, **more}


def _imported(place: Place, source: int = 0, **more: Any) -> Properties:
    declared = {"TargetArn": place.targets[0], "SourcePhoneNumberArn": place.source(source)}
    return {**declared, "Description": place.secret, "Trigger": place.secret, **more}


_VOICE = ["SMS", "VOICE"]

VARIANTS: Mapping[str, Variant] = {
    "sms": Variant(
        "Custom::SmsPhoneNumber",
        first=_simulator,
        changed=lambda place: _simulator(place, SelfManagedOptOutsEnabled=True),
        replaced=lambda place: _simulator(place, NumberCapabilities=_VOICE, AllowReplacement=True),
    ),
    "sms-full": Variant(
        "Custom::SmsPhoneNumber",
        first=_full,
        changed=_full_changed,
        replaced=lambda place: _full(place, NumberCapabilities=_VOICE, AllowReplacement=True),
        replaceable=lambda place: _full(place, DeletionProtectionEnabled=False),
    ),
    "sender": Variant(
        "Custom::SmsSenderId",
        first=_sender,
        changed=lambda place: _sender(place, DeletionProtectionEnabled=True, OnDelete={"LiftDeletionProtection": True}),
        replaced=lambda place: _sender(place, SenderId=f"{place.sender}B", AllowReplacement=True),
    ),
    "sender-protected": Variant(
        "Custom::SmsSenderId",
        first=_protected,
        changed=lambda place: _protected(place, DeletionProtectionEnabled=False, Tags=[{"Key": "owner", "Value": "b"}]),
        replaced=lambda place: _protected(place, SenderId=f"{place.sender}B", AllowReplacement=True),
        replaceable=lambda place: _protected(place, DeletionProtectionEnabled=False),
    ),
    "connect": Variant(
        "Custom::ConnectPhoneNumber",
        first=_claim,
        changed=lambda place: _claim(
            place,
            TargetArn=place.targets[1],
            Description=f"{place.secret} changed",
            Tags=_TAGS,
        ),
        replaced=lambda place: _claim(place, Type="TOLL_FREE", AllowReplacement=True),
    ),
    "connect-import": Variant(
        "Custom::ConnectPhoneNumber",
        first=_imported,
        changed=lambda place: _imported(
            place, Description=f"{place.secret} changed", Tags=[{"Key": "team", "Value": "a"}]
        ),
        replaced=lambda place: _imported(place, 1, AllowReplacement=True),
    ),
}

PLAIN = ("sms", "sender", "connect")
"""One of each type; the others are the same types with more declared."""
