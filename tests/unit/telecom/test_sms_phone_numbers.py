from typing import Any

import pytest

from local.telecom import TelecomServer
from tests.unit.telecom.calls import conflict, describe, error_of, invalid, quota, request


def test_request_returns_number_and_price_and_number_becomes_active(sms: Any) -> None:
    response = request(sms, Tags=[{"Key": "owner", "Value": "me"}])
    assert (response["Status"], response["PhoneNumber"]) == ("PENDING", "+12065570100")
    assert response["MonthlyLeasingPrice"] == "1.00"
    assert response["Tags"] == [{"Key": "owner", "Value": "me"}]
    seen = describe(sms, response["PhoneNumberArn"])
    assert (seen["Status"], seen["PhoneNumberId"]) == ("ACTIVE", response["PhoneNumberId"])


def test_number_is_pending_for_activation_seconds_and_cannot_be_updated(server: TelecomServer, sms: Any) -> None:
    server.configure(activation_seconds=60)
    number = request(sms)["PhoneNumberId"]
    update = {"PhoneNumberId": number, "DeletionProtectionEnabled": True}
    assert describe(sms, number)["Status"] == "PENDING"
    assert conflict(sms.update_phone_number, **update) == "RESOURCE_NOT_ACTIVE"
    server.configure(off=["sms.update.pending"])
    sms.update_phone_number(**update)
    server.clock.advance(60)
    assert describe(sms, number)["Status"] == "ACTIVE"


def test_regulated_number_can_stay_pending(server: TelecomServer, sms: Any) -> None:
    server.configure(registration_pending=True)
    toll_free = request(sms, NumberType="TOLL_FREE")["PhoneNumberId"]
    canadian = request(sms, NumberType="LONG_CODE", IsoCountryCode="CA")["PhoneNumberId"]
    server.clock.advance(1e9)
    assert describe(sms, toll_free)["Status"] == "PENDING"
    assert describe(sms, canadian)["Status"] == "ACTIVE"


PREFERENCE = [{"PreferenceType": ["EndsWith"], "Filter": ["42"]}]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"MessageType": "PROMOTIONAL"}, "INVALID_PARAMETER"),
        ({"IsoCountryCode": "GB"}, "INVALID_PARAMETER"),
        ({"NumberType": "LONG_CODE"}, "INVALID_PARAMETER"),
        ({"NumberType": "LONG_CODE", "IsoCountryCode": "GB", "NumberCapabilities": ["MMS"]}, "INVALID_PARAMETER"),
        ({"NumberType": "TEN_DLC"}, "MISSING_PARAMETER"),
        ({"NumberType": "TEN_DLC", "IsoCountryCode": "CA", "RegistrationId": "r"}, "INVALID_PARAMETER"),
        ({"InternationalSendingEnabled": True}, "INTERNATIONAL_SENDING_NOT_SUPPORTED"),
        ({"NumberPreference": PREFERENCE}, "UNSPECIFIED_PARAMETER_NOT_SUPPORTED"),
    ],
)
def test_unsupported_combination_is_rejected(sms: Any, changed: dict[str, Any], reason: str) -> None:
    assert invalid(request, sms=sms, **changed) == reason


@pytest.mark.parametrize("missing", ["PoolId", "OptOutListName", "RegistrationId"])
def test_unknown_pool_list_or_registration_is_not_found(server: TelecomServer, sms: Any, missing: str) -> None:
    assert error_of(request, sms=sms, **{missing: "nowhere"})["Code"] == "ResourceNotFoundException"
    assert server.held()["phone_numbers"] == []


def test_quota_counts_held_numbers(server: TelecomServer, sms: Any) -> None:
    server.configure(phone_numbers=1)
    number = request(sms)["PhoneNumberId"]
    assert quota(request, sms=sms) == "PHONE_NUMBERS_PER_ACCOUNT"
    sms.release_phone_number(PhoneNumberId=number)
    assert request(sms)["PhoneNumber"] == "+12065570101"  # a released number is not available again


def test_update_keeps_absent_members_and_two_way_requires_channel(sms: Any) -> None:
    number = request(sms, DeletionProtectionEnabled=True)["PhoneNumberId"]
    two_way, topic = {"PhoneNumberId": number, "TwoWayEnabled": True}, "arn:aws:sns:us-east-1:123456789012:inbound"
    assert invalid(sms.update_phone_number, **two_way) == "TWO_WAY_CHANNEL_NOT_PRESENT"
    sms.update_phone_number(**two_way, TwoWayChannelArn=topic)
    seen = describe(sms, number)
    assert (seen["TwoWayEnabled"], seen["TwoWayChannelArn"], seen["DeletionProtectionEnabled"]) == (True, topic, True)


def test_release_takes_release_seconds(server: TelecomServer, sms: Any) -> None:
    server.configure(release_seconds=5)
    number = request(sms)["PhoneNumberId"]
    assert sms.release_phone_number(PhoneNumberId=number)["Status"] == "DISASSOCIATING"
    assert describe(sms, number)["Status"] == "DISASSOCIATING"
    assert conflict(sms.release_phone_number, PhoneNumberId=number) == "RESOURCE_NOT_ACTIVE"
    assert server.held()["phone_numbers"] == []
    server.clock.advance(5)
    assert error_of(sms.release_phone_number, PhoneNumberId=number)["Code"] == "ResourceNotFoundException"


def test_describe_fails_for_one_unknown_id(sms: Any) -> None:
    error = error_of(sms.describe_phone_numbers, PhoneNumberIds=[request(sms)["PhoneNumberId"], "phone-0"])
    assert (error["Code"], error["ResourceId"]) == ("ResourceNotFoundException", "phone-0")


def test_describe_filters_and_paginates(sms: Any) -> None:
    numbers = [request(sms)["PhoneNumberId"] for _ in range(3)]
    request(sms, NumberType="TOLL_FREE")
    pages = sms.get_paginator("describe_phone_numbers").paginate(
        Filters=[
            {"Name": "number-type", "Values": ["SIMULATOR"]},
            {"Name": "status", "Values": ["ACTIVE"]},
            {"Name": "two-way-enabled", "Values": ["false"]},
        ],
        PaginationConfig={"PageSize": 2},
    )
    seen = [[number["PhoneNumberId"] for number in page["PhoneNumbers"]] for page in pages]
    assert seen == [numbers[:2], numbers[2:]]
    assert sms.describe_phone_numbers(Owner="SHARED")["PhoneNumbers"] == []
    assert invalid(sms.describe_phone_numbers, NextToken="nonsense") == "INVALID_NEXT_TOKEN"
    both = {"Owner": "SELF", "PhoneNumberIds": numbers[:1]}
    assert invalid(sms.describe_phone_numbers, **both) == "PARAMETERS_CANNOT_BE_USED_TOGETHER"


def test_preferred_ten_dlc_number_can_be_listed_and_requested(sms: Any) -> None:
    registration = sms.create_registration(RegistrationType="US_TEN_DLC_CAMPAIGN_REGISTRATION")["RegistrationId"]
    search = {
        "IsoCountryCode": "US",
        "NumberCapabilities": ["SMS"],
        "NumberType": "TEN_DLC",
        "RegistrationId": registration,
        "NumberPreference": [{"PreferenceType": ["EndsWith"], "Filter": ["77"]}],
    }
    first, second = sms.list_available_phone_numbers(**search, MaxResults=2)["AvailablePhoneNumbers"]
    bought = sms.request_phone_number(**search, MessageType="TRANSACTIONAL")
    assert (bought["PhoneNumber"], bought["RegistrationId"]) == (first, registration)
    assert sms.list_available_phone_numbers(**search)["AvailablePhoneNumbers"][0] == second
    search["NumberPreference"] = [{"PreferenceType": ["StartsWith"], "Filter": ["999"]}]
    assert sms.list_available_phone_numbers(**search)["AvailablePhoneNumbers"] == []


def test_incomplete_registration_is_rejected(server: TelecomServer, sms: Any) -> None:
    server.configure(registration_status="REVIEWING")
    registration = sms.create_registration(RegistrationType="US_TEN_DLC_CAMPAIGN_REGISTRATION")["RegistrationId"]
    reason = conflict(request, sms=sms, NumberType="TEN_DLC", RegistrationId=registration)
    assert reason == "REGISTRATION_NOT_COMPLETE"
