"""Resource declarations of the scenarios.

Every resource type gets one standard variant, made from its event file `events/<type>-create.json` and named after it.
The variants below refine it, or declare the same type with properties that need more calls.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

type Properties = dict[str, Any]

_SUFFIX = "-create.json"
_EVENTS = Path(__file__).parents[2] / "events"
_INSTANCE_ARN = re.compile(r'arn:aws:connect:[^"]*:instance/[^"]*')
_TAGS = [{"Key": "team", "Value": "first"}]
_OTHER_TAGS = [{"Key": "owner", "Value": "second"}]


@attrs.frozen
class ScenarioContext:
    """Values that a scenario supplies to its declarations."""

    secret: str
    """A NoEcho value that must not appear in logs, tables, responses or errors."""
    sender_id: str
    """Unique among all scenarios."""
    instance_arns: list[str]
    source_number: Callable[[int], str]
    """Returns the ARN of a number to import; the same one for the same index."""
    existing: Callable[[str], str]
    """Returns the physical ID of what to adopt, by its kind on the status page. No request may change or release it."""


type Declare = Callable[[ScenarioContext], Properties]


@attrs.frozen
class Variant:
    """A resource type and its successive declarations: those of its event file, plus these properties."""

    create: Declare = lambda _: {}
    update: Declare = lambda _: {"Tags": _OTHER_TAGS}
    """Changes that need no replacement."""
    replace: Declare | None = None
    """Changes that need a replacement. Without it, the type has no scenarios with a replacement."""
    protected: bool = False
    """`create` enables deletion protection, which prevents a replacement."""
    named: bool = False
    """The declaration contains the ID, which another stack can request or adopt after a Delete."""
    requests: tuple[str, ...] = ()
    """The kinds of requests to interrupt. If empty, those of every variant."""
    pending: Literal["", "own", "reusable"] = ""
    """A number is pending release that the resource takes: its own, or one of another stack."""
    type_name: str = ""
    """From the event file, as `properties`."""
    properties: str = ""

    def initial(self, context: ScenarioContext) -> Properties:
        # The instance ARN of the event file is that of AWS's documentation.
        properties: Properties = json.loads(_INSTANCE_ARN.sub(context.instance_arns[0], self.properties))
        return properties | {"Trigger": context.secret} | self.create(context)

    def before_replacement(self, context: ScenarioContext) -> Properties:
        return self.initial(context) | ({"DeletionProtectionEnabled": False} if self.protected else {})

    def updated(self, context: ScenarioContext) -> Properties:
        return self.initial(context) | self.update(context)

    def replaced(self, context: ScenarioContext) -> Properties:
        return self.initial(context) | (self.replace or self.update)(context) | {"AllowReplacement": True}


RECOVERY_WINDOW = 86_400
"""Seconds for which the numbers of the variants with `pending` are pending release."""
_RECOVERABLE = {"RecoveryWindowInDays": 1, "AllowReplacement": True}
_LIFT_PROTECTION = {"LiftDeletionProtection": True}
_CAPABILITIES = {"NumberCapabilities": ["SMS", "VOICE"]}
_CONNECT = {
    "connect-phone-number": Variant(
        create=lambda context: {"Description": context.secret},
        update=lambda context: {
            "TargetArn": context.instance_arns[1],
            "Description": f"{context.secret} changed",
            "Tags": _TAGS,
        },
        replace=lambda _: {"Type": "TOLL_FREE"},
    ),
    "connect-phone-number-imported": Variant(
        create=lambda context: (
            {"CountryCode": None, "Type": None}  # Omitted.
            | {"Description": context.secret, "SourcePhoneNumberArn": context.source_number(0)}
        ),
        update=lambda context: {"Description": f"{context.secret} changed", "Tags": _OTHER_TAGS},
        replace=lambda context: {"SourcePhoneNumberArn": context.source_number(1)},
    ),
    "connect-phone-number-recovered": Variant(
        create=lambda context: {"Description": context.secret} | _RECOVERABLE,
        replace=lambda _: {"Type": "TOLL_FREE"},
        requests=("create", "cleanup"),
        pending="own",
    ),
    "connect-phone-number-adopted": Variant(
        create=lambda context: {"Adopt": context.existing("connect_numbers")},
        named=True,
        requests=("create", "delete"),
    ),
}
_TWO_WAY = {
    "Enabled": True,
    "ChannelArn": "arn:aws:sns:us-east-1:123456789012:inbound",
    "ChannelRole": "arn:aws:iam::123456789012:role/inbound",
}
_PHONE_NUMBER = {
    "sms-phone-number": Variant(
        create=lambda _: {"Tags": None},  # Omitted: the next variant has tags.
        update=lambda _: {"SelfManagedOptOutsEnabled": True},
        replace=lambda _: _CAPABILITIES,
    ),
    "sms-phone-number-configured": Variant(
        create=lambda context: {
            "TwoWay": _TWO_WAY,
            "MandatoryKeywords": {"HELP": {"Message": f"Ask {context.secret}"}},
            "OptionalKeywords": [{"Keyword": "INFO", "Message": context.secret, "Action": "AUTOMATIC_RESPONSE"}],
            "Tags": _TAGS,
            "DeletionProtectionEnabled": True,
            "WaitForActive": True,
            "OnDelete": _LIFT_PROTECTION,
        },
        update=lambda context: {
            "OptionalKeywords": [{"Keyword": "MORE", "Message": context.secret, "Action": "AUTOMATIC_RESPONSE"}],
            "Tags": _OTHER_TAGS,
            "SelfManagedOptOutsEnabled": True,
        },
        replace=lambda _: _CAPABILITIES,
        protected=True,
    ),
    "sms-phone-number-adopted": Variant(
        create=lambda context: {
            "Adopt": context.existing("phone_numbers"),
            "NumberType": "TOLL_FREE",
            "NumberCapabilities": ["VOICE"],
            "Tags": None,
        },
        named=True,
        requests=("create", "delete"),
    ),
    "sms-phone-number-recovered": Variant(
        create=lambda _: {"Tags": None, "TwoWay": _TWO_WAY} | _RECOVERABLE,
        update=lambda _: {"Tags": _OTHER_TAGS},
        replace=lambda _: _CAPABILITIES,
        requests=("create", "update", "replace", "delete", "cleanup", "rollback", "due"),
        pending="own",
    ),
    "sms-phone-number-reused": Variant(
        create=lambda _: {"Tags": None, "ReusePendingRelease": True, "OnDelete": {"AllowReuse": True}} | _RECOVERABLE,
        requests=("create",),
        pending="reusable",
    ),
}
_PROTECTED = {"DeletionProtectionEnabled": True, "OnDelete": _LIFT_PROTECTION}
_UNPROTECTED = {"DeletionProtectionEnabled": False}
_SENDER_ID = {
    "sms-sender-id": Variant(
        # Declared and not omitted: a rollback to a declaration without the property would keep the protection.
        create=lambda context: {"SenderId": context.sender_id} | _UNPROTECTED,
        update=lambda _: _PROTECTED,
        replace=lambda context: {"SenderId": f"{context.sender_id}B"},
        named=True,
    ),
    "sms-sender-id-protected": Variant(
        create=lambda context: {"SenderId": context.sender_id, "Tags": _TAGS} | _PROTECTED,
        update=lambda _: {"Tags": _OTHER_TAGS} | _UNPROTECTED,
        replace=lambda context: {"SenderId": f"{context.sender_id}B"},
        named=True,
        protected=True,
    ),
    "sms-sender-id-adopted": Variant(
        create=lambda context: {"SenderId": context.existing("sender_ids").partition("|")[2], "Adopt": True},
        named=True,
        requests=("create", "delete"),
    ),
}
_REFINED = _CONNECT | _PHONE_NUMBER | _SENDER_ID
"""Variants by name. A name without a type's event file is an extra variant of the type that it starts with."""


def _variants() -> Iterator[tuple[str, Variant]]:
    for kebab in STANDARD:
        event = json.loads((_EVENTS / f"{kebab}{_SUFFIX}").read_text(encoding="utf-8"))
        properties = {name: value for name, value in event["ResourceProperties"].items() if name != "ServiceToken"}
        for name in {kebab: None} | {name: None for name in _REFINED if name.startswith(f"{kebab}-")}:
            variant = _REFINED.get(name, Variant())
            yield name, attrs.evolve(variant, type_name=event["ResourceType"], properties=json.dumps(properties))


STANDARD = tuple(sorted(path.name.removesuffix(_SUFFIX) for path in _EVENTS.glob(f"*{_SUFFIX}")))
"""The standard variant of each type."""
VARIANTS: Mapping[str, Variant] = dict(_variants())
