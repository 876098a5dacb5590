"""One declaration of each resource type, and what it takes to change, replace, buy and release it."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class Kind:
    """A resource type as its tests need it. Operations are `service.Operation`, service being boto3's client name."""

    type: str
    properties: dict[str, Any]
    in_place: dict[str, Any]
    """What changes without a new one."""
    replacing: dict[str, Any]
    """What needs a new one."""
    buys: str
    reads: str
    updates: str
    """The operation that `in_place` takes."""
    releases: str
    held: str
    """The name under which the telecom services list it."""

    @property
    def service(self) -> str:
        return self.buys.split(".")[0]

    @property
    def operation(self) -> str:
        """The operation that spends the money."""
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
    """A number of the instance or traffic distribution group."""
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


def template(properties: dict[str, Any], kind: Kind = SMS_PHONE_NUMBER, **more: Any) -> dict[str, Any]:
    """A template with one resource, named Number."""
    return {"Resources": {"Number": {"Type": kind.type, "Properties": properties, **more}}}


def with_failing_sibling(
    properties: dict[str, Any], kind: Kind = SMS_PHONE_NUMBER, *, waits: bool = True, **more: Any
) -> dict[str, Any]:
    """A template whose other resource is refused: after Number is through, or, unless it `waits`, meanwhile."""
    broken: dict[str, Any] = {"Type": "Custom::SmsPhoneNumber", "Properties": {"NumberType": "NONE"}}
    if waits:
        broken["DependsOn"] = "Number"
    declared = template(properties, kind, **more)
    declared["Resources"]["Sibling"] = broken
    return declared
