from typing import Any

import pytest

from local.telecom import TelecomServer
from tests.unit.telecom.calls import describe, reason, refused, request


def test_a_request_answers_number_and_price_at_once_and_the_number_is_active_at_the_first_look(sms: Any) -> None:
    answer = request(sms, Tags=[{"Key": "owner", "Value": "me"}])
    assert answer["Status"] == "PENDING"
    assert answer["PhoneNumber"] == "+12065570100"
    assert answer["MonthlyLeasingPrice"] == "1.00"
    assert answer["Tags"] == [{"Key": "owner", "Value": "me"}]
    seen = describe(sms, answer["PhoneNumberArn"])
    assert seen["Status"] == "ACTIVE"
    assert seen["PhoneNumberId"] == answer["PhoneNumberId"]


def test_activation_takes_as_long_as_the_options_say(server: TelecomServer, sms: Any) -> None:
    server.configure(activation_seconds=60)
    number = request(sms)["PhoneNumberId"]
    assert describe(sms, number)["Status"] == "PENDING"
    server.clock.advance(60)
    assert describe(sms, number)["Status"] == "ACTIVE"


def test_numbers_that_need_a_registration_can_stay_pending_for_ever(server: TelecomServer, sms: Any) -> None:
    server.configure(registration_pending=True)
    toll_free = request(sms, NumberType="TOLL_FREE")["PhoneNumberId"]
    canadian = request(sms, NumberType="LONG_CODE", IsoCountryCode="CA")["PhoneNumberId"]
    server.clock.advance(1e9)
    assert describe(sms, toll_free)["Status"] == "PENDING"
    assert describe(sms, canadian)["Status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"MessageType": "PROMOTIONAL"}, "INVALID_PARAMETER"),
        ({"IsoCountryCode": "GB"}, "INVALID_PARAMETER"),
        ({"NumberType": "LONG_CODE"}, "INVALID_PARAMETER"),
        ({"NumberType": "LONG_CODE", "IsoCountryCode": "GB", "NumberCapabilities": ["MMS"]}, "INVALID_PARAMETER"),
        ({"NumberType": "TEN_DLC"}, "MISSING_PARAMETER"),
        ({"NumberType": "TEN_DLC", "IsoCountryCode": "CA", "RegistrationId": "r"}, "INVALID_PARAMETER"),
        ({"InternationalSendingEnabled": True}, "INTERNATIONAL_SENDING_NOT_SUPPORTED"),
        (
            {"NumberPreference": [{"PreferenceType": ["EndsWith"], "Filter": ["42"]}]},
            "UNSPECIFIED_PARAMETER_NOT_SUPPORTED",
        ),
    ],
)
def test_what_cannot_go_together_is_refused(sms: Any, changed: dict[str, Any], told: str) -> None:
    assert reason(request, sms=sms, **changed) == ("ValidationException", told)


@pytest.mark.parametrize("missing", ["PoolId", "OptOutListName", "RegistrationId"])
def test_an_unknown_pool_list_or_registration_is_not_found(server: TelecomServer, sms: Any, missing: str) -> None:
    assert refused(request, sms=sms, **{missing: "nowhere"})["Code"] == "ResourceNotFoundException"
    assert server.held()["phone_numbers"] == []


def test_the_quota_counts_what_is_held(server: TelecomServer, sms: Any) -> None:
    server.configure(phone_numbers=1)
    number = request(sms)["PhoneNumberId"]
    assert reason(request, sms=sms) == ("ServiceQuotaExceededException", "PHONE_NUMBERS_PER_ACCOUNT")
    sms.release_phone_number(PhoneNumberId=number)
    assert request(sms)["PhoneNumber"] == "+12065570101"  # a released number does not come back


def test_an_update_changes_what_is_sent_and_leaves_the_rest(sms: Any) -> None:
    number = request(sms, DeletionProtectionEnabled=True)["PhoneNumberId"]
    topic = "arn:aws:sns:us-east-1:123456789012:inbound"
    sms.update_phone_number(PhoneNumberId=number, TwoWayEnabled=True, TwoWayChannelArn=topic)
    seen = describe(sms, number)
    assert (seen["TwoWayEnabled"], seen["TwoWayChannelArn"], seen["DeletionProtectionEnabled"]) == (True, topic, True)


def test_two_way_needs_a_channel(sms: Any) -> None:
    number = request(sms)["PhoneNumberId"]
    told = reason(sms.update_phone_number, PhoneNumberId=number, TwoWayEnabled=True)
    assert told == ("ValidationException", "TWO_WAY_CHANNEL_NOT_PRESENT")


def test_a_fresh_role_cannot_be_assumed_for_a_while(server: TelecomServer, sms: Any) -> None:
    server.configure(role_propagation_seconds=10)
    update = {"PhoneNumberId": request(sms)["PhoneNumberId"], "TwoWayChannelRole": "arn:aws:iam::123456789012:role/new"}
    assert reason(sms.update_phone_number, **update) == ("ValidationException", "RESOURCE_NOT_ACCESSIBLE")
    server.clock.advance(10)
    sms.update_phone_number(**update)


def test_a_pending_number_is_not_updated_unless_that_inferred_rule_is_off(server: TelecomServer, sms: Any) -> None:
    server.configure(activation_seconds=60)
    update = {"PhoneNumberId": request(sms)["PhoneNumberId"], "DeletionProtectionEnabled": True}
    assert reason(sms.update_phone_number, **update) == ("ConflictException", "RESOURCE_NOT_ACTIVE")
    server.configure(off=["sms.update.pending"])
    sms.update_phone_number(**update)


def test_a_protected_number_is_not_released(sms: Any) -> None:
    number = request(sms, DeletionProtectionEnabled=True)["PhoneNumberId"]
    error = refused(sms.release_phone_number, PhoneNumberId=number)
    assert (error["Code"], error["Reason"], error["ResourceType"], error["ResourceId"]) == (
        "ConflictException",
        "DELETION_PROTECTION_ENABLED",
        "phone-number",
        number,
    )


def test_a_release_can_take_its_time_and_then_the_number_is_gone(server: TelecomServer, sms: Any) -> None:
    server.configure(release_seconds=5)
    number = request(sms)["PhoneNumberId"]
    assert sms.release_phone_number(PhoneNumberId=number)["Status"] == "DISASSOCIATING"
    assert describe(sms, number)["Status"] == "DISASSOCIATING"
    assert server.held()["phone_numbers"] == []
    server.clock.advance(5)
    assert refused(sms.release_phone_number, PhoneNumberId=number)["Code"] == "ResourceNotFoundException"


def test_one_unknown_id_fails_the_whole_describe(sms: Any) -> None:
    number = request(sms)["PhoneNumberId"]
    error = refused(sms.describe_phone_numbers, PhoneNumberIds=[number, "phone-0"])
    assert (error["Code"], error["ResourceType"], error["ResourceId"]) == (
        "ResourceNotFoundException",
        "phone-number",
        "phone-0",
    )


def test_describing_filters_and_pages(sms: Any) -> None:
    made = [request(sms)["PhoneNumberId"] for _ in range(3)]
    request(sms, NumberType="TOLL_FREE")
    pages = sms.get_paginator("describe_phone_numbers").paginate(
        Filters=[{"Name": "number-type", "Values": ["SIMULATOR"]}], PaginationConfig={"PageSize": 2}
    )
    assert [[number["PhoneNumberId"] for number in page["PhoneNumbers"]] for page in pages] == [made[:2], made[2:]]
    assert sms.describe_phone_numbers(Owner="SHARED")["PhoneNumbers"] == []
    assert reason(sms.describe_phone_numbers, NextToken="nonsense") == ("ValidationException", "INVALID_NEXT_TOKEN")
    told = reason(sms.describe_phone_numbers, Owner="SELF", PhoneNumberIds=made[:1])
    assert told == ("ValidationException", "PARAMETERS_CANNOT_BE_USED_TOGETHER")


def test_a_preferred_ten_dlc_number_can_be_looked_up_and_had(sms: Any) -> None:
    registration = sms.create_registration(RegistrationType="US_TEN_DLC_CAMPAIGN_REGISTRATION")["RegistrationId"]
    wanted = {
        "IsoCountryCode": "US",
        "NumberCapabilities": ["SMS"],
        "NumberType": "TEN_DLC",
        "RegistrationId": registration,
        "NumberPreference": [{"PreferenceType": ["EndsWith"], "Filter": ["77"]}],
    }
    first, second = sms.list_available_phone_numbers(**wanted, MaxResults=2)["AvailablePhoneNumbers"]
    got = sms.request_phone_number(**wanted, MessageType="TRANSACTIONAL")
    assert (got["PhoneNumber"], got["RegistrationId"]) == (first, registration)
    assert sms.list_available_phone_numbers(**wanted)["AvailablePhoneNumbers"][0] == second
    nowhere = [{"PreferenceType": ["StartsWith"], "Filter": ["999"]}]
    assert sms.list_available_phone_numbers(**wanted | {"NumberPreference": nowhere})["AvailablePhoneNumbers"] == []


def test_an_incomplete_registration_is_refused(server: TelecomServer, sms: Any) -> None:
    server.configure(registration_status="REVIEWING")
    registration = sms.create_registration(RegistrationType="US_TEN_DLC_CAMPAIGN_REGISTRATION")["RegistrationId"]
    told = reason(request, sms=sms, NumberType="TEN_DLC", RegistrationId=registration)
    assert told == ("ConflictException", "REGISTRATION_NOT_COMPLETE")
