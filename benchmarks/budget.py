"""Remote calls of this provider, by type and request, exact: counted where they arrive."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import attrs

from benchmarks.artifacts import Artifact
from benchmarks.container import Container
from benchmarks.services import SIMULATOR, Services

_SMS, _CONNECT = "pinpoint-sms-voice-v2", "connect"
_CLAIMED = {f"{_CONNECT}.SearchAvailablePhoneNumbers": 1, f"{_CONNECT}.ClaimPhoneNumber": 1}


@attrs.frozen
class Event:
    """One event of a life, and the calls of the telecom services that it may make."""

    name: str
    request_type: str
    properties: dict[str, Any]
    allowed: dict[str, int]


@attrs.frozen
class Calls:
    """What was called, by `service.Operation`; the state table and the answer beside it."""

    telecom: dict[str, int]
    dynamodb: dict[str, int]
    answers: int
    allowed: dict[str, int]

    @property
    def met(self) -> bool:
        """Whether it is the budget, to the call."""
        return self.telecom == self.allowed and self.answers == 1


def _sms_phone_number() -> list[Event]:
    looked, changed = {f"{_SMS}.DescribePhoneNumbers": 1}, {f"{_SMS}.UpdatePhoneNumber": 1}
    bought = {f"{_SMS}.RequestPhoneNumber": 1}
    second = SIMULATOR | {"SelfManagedOptOutsEnabled": True, "DeletionProtectionEnabled": False}
    return [
        Event("Create", "Create", SIMULATOR, bought),
        Event("Update, nothing differs", "Update", SIMULATOR | {"Trigger": "1"}, looked),
        Event("Update, settings", "Update", second, looked | changed),
        Event(
            "Update, a tag",
            "Update",
            second | {"Tags": [{"Key": "a", "Value": "b"}]},
            looked | {f"{_SMS}.ListTagsForResource": 1, f"{_SMS}.TagResource": 1},
        ),
        Event("Delete", "Delete", second, {f"{_SMS}.ReleasePhoneNumber": 1}),
        Event("Create, with settings", "Create", second, bought | changed),
    ]


def _sms_sender_id() -> list[Event]:
    plain = {"SenderId": "Bench", "IsoCountryCode": "GB"}
    guarded = plain | {"DeletionProtectionEnabled": True}
    looked, changed = {f"{_SMS}.DescribeSenderIds": 1}, {f"{_SMS}.UpdateSenderId": 1}
    return [
        Event("Create", "Create", plain, {f"{_SMS}.RequestSenderId": 1}),
        Event("Update, nothing differs", "Update", plain | {"Trigger": "1"}, looked),
        Event("Update, settings", "Update", guarded, looked | changed),
        Event("Update, protection off", "Update", guarded | {"DeletionProtectionEnabled": False}, looked | changed),
        Event("Delete", "Delete", plain, {f"{_SMS}.ReleaseSenderId": 1}),
        Event("Create, with settings", "Create", guarded, {f"{_SMS}.RequestSenderId": 1} | changed),
    ]


def _connect_phone_number(target: str) -> list[Event]:
    plain = {"TargetArn": target, "CountryCode": "US", "Type": "DID"}
    look = f"{_CONNECT}.DescribePhoneNumber"
    return [
        Event("Create", "Create", plain, _CLAIMED | {look: 1}),
        Event("Update, nothing differs", "Update", plain | {"Trigger": "1"}, {look: 1}),
        Event(
            "Update, settings",
            "Update",
            plain | {"Description": "front desk"},
            {look: 2, f"{_CONNECT}.UpdatePhoneNumberMetadata": 1},
        ),
        Event("Delete", "Delete", plain, {f"{_CONNECT}.ReleasePhoneNumber": 1}),
    ]


def measure(artifact: Artifact, services: Services) -> dict[str, dict[str, Calls]]:
    """By type and event."""
    lives = {
        "Custom::SmsPhoneNumber": _sms_phone_number(),
        "Custom::SmsSenderId": _sms_sender_id(),
        "Custom::ConnectPhoneNumber": _connect_phone_number(services.instance()),
    }
    with Container(artifact, services.environment(artifact)) as container:
        return {type_name: _live(container, services, type_name, events) for type_name, events in lives.items()}


def _live(container: Container, services: Services, type_name: str, events: list[Event]) -> dict[str, Calls]:
    counted: dict[str, Calls] = {}
    stack, physical_id = f"budget-{type_name.split('::')[1]}", None
    before: dict[str, Any] = {}
    for event in events:
        # One and the same operation may be called once a second.
        time.sleep(1.1)
        fields: dict[str, Any] = {"stack": stack, "resource_type": type_name, "properties": event.properties}
        if event.request_type != "Create":
            fields["physical_id"] = physical_id
        if event.request_type == "Update":
            fields["old_properties"] = before
        sent, calls = services.event(event.request_type, **fields), services.calls()
        container.send(sent)
        physical_id, before = services.answer(sent)["PhysicalResourceId"], event.properties
        made = services.calls() - calls
        counted[event.name] = Calls(
            telecom=_of(made, _SMS) | _of(made, _CONNECT),
            dynamodb=_of(made, "dynamodb"),
            answers=made["PUT"],
            allowed=event.allowed,
        )
    return counted


def _of(made: Counter[str], service: str) -> dict[str, int]:
    return {name: times for name, times in sorted(made.items()) if name.startswith(f"{service}.")}
