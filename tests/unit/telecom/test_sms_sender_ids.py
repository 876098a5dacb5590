from typing import Any

import pytest

from local.telecom import TelecomServer
from tests.unit.telecom.calls import conflict, invalid, quota

KEY = {"SenderId": "SHOP", "IsoCountryCode": "GB"}


def test_sender_id_is_stored_in_upper_case_per_country(sms: Any) -> None:
    assert sms.request_sender_id(SenderId="Shop-1", IsoCountryCode="GB")["SenderId"] == "SHOP-1"
    sms.request_sender_id(SenderId="Shop-1", IsoCountryCode="FR", MessageTypes=["PROMOTIONAL"])
    british = [{"SenderId": "shop-1", "IsoCountryCode": "GB"}]
    (seen,) = sms.describe_sender_ids(SenderIds=british)["SenderIds"]
    assert seen["SenderIdArn"].endswith(":sender-id/SHOP-1/GB")
    assert seen["MessageTypes"] == ["Transactional"]  # AWS returns mixed case
    assert (seen["Registered"], seen["DeletionProtectionEnabled"]) == (False, False)
    assert seen["MonthlyLeasingPrice"] == "0.00"


@pytest.mark.parametrize(
    ("name", "country", "reason"),
    [
        *(("SHOP", country, "SENDER_ID_NOT_SUPPORTED") for country in ("US", "CA", "CN")),
        *((name, "GB", "INVALID_PARAMETER") for name in ("123", "-SHOP", "SHOP-")),
    ],
)
def test_unsupported_country_or_invalid_name_is_rejected(sms: Any, name: str, country: str, reason: str) -> None:
    assert invalid(sms.request_sender_id, SenderId=name, IsoCountryCode=country) == reason


def test_released_sender_id_can_be_requested_again_later(server: TelecomServer, sms: Any) -> None:
    server.configure(sender_id_release_seconds=30)
    sms.request_sender_id(**KEY)
    sms.release_sender_id(**KEY)
    assert invalid(sms.request_sender_id, **KEY) == "SENDER_ID_REQUIRES_REGISTRATION"
    server.clock.advance(30)
    sms.request_sender_id(**KEY)


def test_request_for_existing_sender_id_returns_it_or_conflicts(server: TelecomServer, sms: Any) -> None:
    sms.request_sender_id(**KEY, DeletionProtectionEnabled=True)
    assert sms.request_sender_id(**KEY)["DeletionProtectionEnabled"] is True
    server.configure(on=["sms.sender_id.exists"])
    assert conflict(sms.request_sender_id, **KEY) == "RESOURCE_ALREADY_EXISTS"


def test_sender_ids_have_quota_and_pagination(server: TelecomServer, sms: Any) -> None:
    server.configure(sender_ids=3)
    for country in ("GB", "FR", "DE"):
        sms.request_sender_id(SenderId="SHOP", IsoCountryCode=country)
    assert quota(sms.request_sender_id, SenderId="SHOP", IsoCountryCode="PL") == "SENDER_IDS_PER_ACCOUNT"
    first = sms.describe_sender_ids(MaxResults=2)
    rest = sms.describe_sender_ids(MaxResults=2, NextToken=first["NextToken"])
    assert [one["IsoCountryCode"] for one in first["SenderIds"] + rest["SenderIds"]] == ["GB", "FR", "DE"]
    assert "NextToken" not in rest
