from typing import Any

import pytest

from local.telecom import TelecomServer
from tests.unit.telecom.calls import reason, refused


def test_a_sender_id_is_stored_in_upper_case_per_country(sms: Any) -> None:
    assert sms.request_sender_id(SenderId="Shop-1", IsoCountryCode="GB")["SenderId"] == "SHOP-1"
    sms.request_sender_id(SenderId="Shop-1", IsoCountryCode="FR", MessageTypes=["PROMOTIONAL"])
    british = [{"SenderId": "shop-1", "IsoCountryCode": "GB"}]
    (seen,) = sms.describe_sender_ids(SenderIds=british)["SenderIds"]
    assert seen["SenderIdArn"].endswith(":sender-id/SHOP-1/GB")
    assert seen["MessageTypes"] == ["Transactional"]  # as AWS writes it
    assert (seen["Registered"], seen["DeletionProtectionEnabled"], seen["MonthlyLeasingPrice"]) == (
        False,
        False,
        "0.00",
    )


@pytest.mark.parametrize("country", ["US", "CA", "CN"])
def test_countries_without_sender_ids_refuse_them(sms: Any, country: str) -> None:
    told = reason(sms.request_sender_id, SenderId="SHOP", IsoCountryCode=country)
    assert told == ("ValidationException", "SENDER_ID_NOT_SUPPORTED")


@pytest.mark.parametrize("name", ["123", "-SHOP", "SHOP-"])
def test_a_sender_id_has_a_letter_and_no_hyphen_at_its_ends(sms: Any, name: str) -> None:
    told = reason(sms.request_sender_id, SenderId=name, IsoCountryCode="GB")
    assert told == ("ValidationException", "INVALID_PARAMETER")


def test_protection_is_the_one_thing_to_update_and_stands_in_the_way_of_a_release(sms: Any) -> None:
    key = {"SenderId": "SHOP", "IsoCountryCode": "GB"}
    sms.request_sender_id(**key)
    assert sms.update_sender_id(**key, DeletionProtectionEnabled=True)["DeletionProtectionEnabled"] is True
    assert reason(sms.release_sender_id, **key) == ("ConflictException", "DELETION_PROTECTION_ENABLED")
    sms.update_sender_id(**key, DeletionProtectionEnabled=False)
    sms.release_sender_id(**key)
    assert refused(sms.release_sender_id, **key)["Code"] == "ResourceNotFoundException"


def test_a_released_sender_id_cannot_be_requested_again_at_once(server: TelecomServer, sms: Any) -> None:
    server.configure(sender_id_release_seconds=30)
    key = {"SenderId": "SHOP", "IsoCountryCode": "GB"}
    sms.request_sender_id(**key)
    sms.release_sender_id(**key)
    assert reason(sms.request_sender_id, **key) == ("ValidationException", "SENDER_ID_REQUIRES_REGISTRATION")
    server.clock.advance(30)
    sms.request_sender_id(**key)


def test_one_that_exists_is_answered_as_it_is_unless_the_inferred_conflict_is_on(
    server: TelecomServer, sms: Any
) -> None:
    key = {"SenderId": "SHOP", "IsoCountryCode": "GB"}
    sms.request_sender_id(**key, DeletionProtectionEnabled=True)
    assert sms.request_sender_id(**key)["DeletionProtectionEnabled"] is True
    server.configure(on=["sms.sender_id.exists"])
    assert reason(sms.request_sender_id, **key) == ("ConflictException", "RESOURCE_ALREADY_EXISTS")


def test_sender_ids_have_a_quota_and_pages(server: TelecomServer, sms: Any) -> None:
    server.configure(sender_ids=3)
    for country in ("GB", "FR", "DE"):
        sms.request_sender_id(SenderId="SHOP", IsoCountryCode=country)
    told = reason(sms.request_sender_id, SenderId="SHOP", IsoCountryCode="PL")
    assert told == ("ServiceQuotaExceededException", "SENDER_IDS_PER_ACCOUNT")
    first = sms.describe_sender_ids(MaxResults=2)
    rest = sms.describe_sender_ids(MaxResults=2, NextToken=first["NextToken"])
    assert [one["IsoCountryCode"] for one in first["SenderIds"] + rest["SenderIds"]] == ["GB", "FR", "DE"]
    assert "NextToken" not in rest
