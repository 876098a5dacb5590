"""A valid declaration of each resource type, with its changes and API operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from tests.conftest import Harness


@attrs.frozen
class Kind:
    """A resource type under test. Operations are `service.Operation`, with boto3's service name."""

    type: str
    properties: dict[str, Any]
    in_place: dict[str, Any]
    """Properties that an Update changes in place."""
    replacing: dict[str, Any]
    """Properties that require replacement."""
    buys: str
    reads: str
    updates: str
    """The operation that applies `in_place`."""
    releases: str
    held: str
    """The name of its list in `TelecomServer.held`."""

    @property
    def service(self) -> str:
        return self.buys.split(".")[0]

    @property
    def operation(self) -> str:
        """The purchase operation, without the service."""
        return self.buys.split(".")[1]


SIMULATOR: dict[str, Any] = {"IsoCountryCode": "US", "NumberType": "SIMULATOR", "NumberCapabilities": ["SMS"]}

SMS_PHONE_NUMBER = Kind(
    type="Custom::SmsPhoneNumber",
    properties=SIMULATOR,
    in_place={"SelfManagedOptOutsEnabled": True},
    replacing={"NumberCapabilities": ["VOICE"]},
    buys="pinpoint-sms-voice-v2.RequestPhoneNumber",
    reads="pinpoint-sms-voice-v2.DescribePhoneNumbers",
    updates="pinpoint-sms-voice-v2.UpdatePhoneNumber",
    releases="pinpoint-sms-voice-v2.ReleasePhoneNumber",
    held="phone_numbers",
)

SMS_SENDER_ID = Kind(
    type="Custom::SmsSenderId",
    properties={"SenderId": "Acme", "IsoCountryCode": "GB"},
    in_place={"DeletionProtectionEnabled": True},
    replacing={"SenderId": "Acme2"},
    buys="pinpoint-sms-voice-v2.RequestSenderId",
    reads="pinpoint-sms-voice-v2.DescribeSenderIds",
    updates="pinpoint-sms-voice-v2.UpdateSenderId",
    releases="pinpoint-sms-voice-v2.ReleaseSenderId",
    held="sender_ids",
)


def connect_phone_number(target_arn: str) -> Kind:
    """`target_arn`: an instance or a traffic distribution group."""
    return Kind(
        type="Custom::ConnectPhoneNumber",
        properties={"TargetArn": target_arn, "CountryCode": "US", "Type": "DID"},
        in_place={"Description": "front desk"},
        replacing={"Type": "TOLL_FREE"},
        buys="connect.ClaimPhoneNumber",
        reads="connect.DescribePhoneNumber",
        updates="connect.UpdatePhoneNumberMetadata",
        releases="connect.ReleasePhoneNumber",
        held="connect_numbers",
    )


def _connect_phone_number(harness: Harness) -> Kind:
    from tests.conftest import connect_instance  # noqa: PLC0415 - conftest imports this module

    return connect_phone_number(connect_instance(harness))


KINDS: Mapping[str, Callable[[Harness], Kind]] = {
    "Custom::SmsPhoneNumber": lambda _: SMS_PHONE_NUMBER,
    "Custom::SmsSenderId": lambda _: SMS_SENDER_ID,
    "Custom::ConnectPhoneNumber": _connect_phone_number,
}
"""By type. The fixture `kind` runs a test with each type of the provider."""


def template(properties: dict[str, Any], kind: Kind = SMS_PHONE_NUMBER, **more: Any) -> dict[str, Any]:
    """Return a template with one resource named Number."""
    return {"Resources": {"Number": {"Type": kind.type, "Properties": properties, **more}}}


def with_failing_sibling(
    properties: dict[str, Any], kind: Kind = SMS_PHONE_NUMBER, *, waits: bool = True, **more: Any
) -> dict[str, Any]:
    """Add a resource that the provider rejects: after Number is complete if it `waits`, otherwise in parallel."""
    broken: dict[str, Any] = {"Type": "Custom::SmsPhoneNumber", "Properties": {"NumberType": "NONE"}}
    if waits:
        broken["DependsOn"] = "Number"
    declared = template(properties, kind, **more)
    declared["Resources"]["Sibling"] = broken
    return declared
