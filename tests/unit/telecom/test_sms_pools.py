from typing import Any

import pytest

from local.telecom import TelecomServer
from tests.unit.telecom.calls import conflict, error_of, invalid, quota, request


@pytest.fixture
def pooled(sms: Any) -> tuple[str, str]:
    number = request(sms)["PhoneNumberId"]
    return number, create(sms, number)


def create(sms: Any, identity: str, country: str = "US", **more: Any) -> str:
    pool = sms.create_pool(OriginationIdentity=identity, IsoCountryCode=country, MessageType="TRANSACTIONAL", **more)
    return str(pool["PoolId"])


def join(sms: Any, pool: str, identity: str, country: str | None = "US") -> Any:
    more = {"IsoCountryCode": country} if country else {}
    return sms.associate_origination_identity(PoolId=pool, OriginationIdentity=identity, **more)


def leave(sms: Any, pool: str, identity: str) -> Any:
    return sms.disassociate_origination_identity(PoolId=pool, OriginationIdentity=identity, IsoCountryCode="US")


def test_last_number_cannot_leave_pool(sms: Any, pooled: tuple[str, str]) -> None:
    number, pool = pooled
    other = request(sms, PoolId=pool)["PhoneNumberId"]
    leave(sms, pool, other)
    assert conflict(leave, sms=sms, pool=pool, identity=other) == "PHONE_NUMBER_NOT_ASSOCIATED_TO_POOL"
    assert conflict(leave, sms=sms, pool=pool, identity=number) == "LAST_PHONE_NUMBER"
    sms.delete_pool(PoolId=pool)
    assert error_of(sms.describe_pools, PoolIds=[pool])["Code"] == "ResourceNotFoundException"
    sms.release_phone_number(PhoneNumberId=number)


def test_pool_can_be_updated(sms: Any, pooled: tuple[str, str]) -> None:
    _, pool = pooled
    assert error_of(sms.update_pool, PoolId=pool, TwoWayEnabled=True)["Reason"] == "TWO_WAY_CHANNEL_NOT_PRESENT"
    changes = {
        "TwoWayEnabled": True,
        "TwoWayChannelArn": "connect.us-east-1.amazonaws.com",
        "SharedRoutesEnabled": True,
        "DeletionProtectionEnabled": True,
    }
    updated = sms.update_pool(PoolId=pool, **changes)
    [described] = sms.describe_pools(PoolIds=[pool])["Pools"]
    assert updated.items() >= changes.items()
    assert described.items() >= changes.items()
    assert conflict(sms.delete_pool, PoolId=pool) == "DELETION_PROTECTION_ENABLED"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"SelfManagedOptOutsEnabled": True}, "SELF_MANAGED_OPT_OUTS_MISMATCH"),
        ({"OptOutListName": "other"}, "OPT_OUT_LIST_MISMATCH"),
        ({"TwoWayEnabled": True, "TwoWayChannelArn": "connect.us-east-1.amazonaws.com"}, "TWO_WAY_CONFIG_MISMATCH"),
    ],
)
def test_number_with_other_settings_cannot_join(sms: Any, pooled: Any, changed: dict[str, Any], reason: str) -> None:
    sms.create_opt_out_list(OptOutListName="other")
    number = request(sms)["PhoneNumberId"]
    sms.update_phone_number(PhoneNumberId=number, **changed)
    assert conflict(join, sms=sms, pool=pooled[1], identity=number) == reason


def test_number_with_other_keywords_or_message_type_cannot_join(sms: Any, pooled: tuple[str, str]) -> None:
    number = request(sms)["PhoneNumberId"]
    sms.put_keyword(OriginationIdentity=number, Keyword="INFO", KeywordMessage="Details.")
    assert conflict(join, sms=sms, pool=pooled[1], identity=number) == "KEYWORD_MISMATCH"
    promotional = request(sms, NumberType="TOLL_FREE", MessageType="PROMOTIONAL")["PhoneNumberId"]
    assert conflict(join, sms=sms, pool=pooled[1], identity=promotional) == "MESSAGE_TYPE_MISMATCH"


def test_pending_or_pooled_number_cannot_join(server: TelecomServer, sms: Any, pooled: tuple[str, str]) -> None:
    number, pool = pooled
    assert conflict(join, sms=sms, pool=pool, identity=number) == "RESOURCE_ALREADY_ASSOCIATED"
    server.configure(activation_seconds=60)
    pending = request(sms)["PhoneNumberId"]
    assert conflict(join, sms=sms, pool=pool, identity=pending) == "RESOURCE_NOT_ACTIVE"
    assert invalid(join, sms=sms, pool=pool, identity=pending, country="CA") == "COUNTRY_CODE_MISMATCH"


def test_sender_id_requires_country_and_can_be_in_two_pools(sms: Any, pooled: tuple[str, str]) -> None:
    key = {"SenderId": "SHOP", "IsoCountryCode": "GB"}
    arn = sms.request_sender_id(**key)["SenderIdArn"]
    other = create(sms, "SHOP", "GB")
    assert invalid(join, sms=sms, pool=pooled[1], identity=arn, country=None) == "INVALID_ARN"
    join(sms, pooled[1], arn, "GB")
    members = sms.list_pool_origination_identities(PoolId=pooled[1])["OriginationIdentities"]
    assert [member["OriginationIdentity"] for member in members] == [pooled[0], "SHOP"]
    assert conflict(sms.release_sender_id, **key) == "SENDER_ID_ASSOCIATED_TO_POOL"
    for pool in (pooled[1], other):
        sms.delete_pool(PoolId=pool)
    sms.release_sender_id(**key)


def test_pools_and_members_have_quotas_and_pagination(server: TelecomServer, sms: Any, pooled: tuple[str, str]) -> None:
    pool = pooled[1]
    added = request(sms, PoolId=pool)["PhoneNumberId"]
    first = sms.list_pool_origination_identities(PoolId=pool, MaxResults=1)
    rest = sms.list_pool_origination_identities(PoolId=pool, MaxResults=1, NextToken=first["NextToken"])
    assert [one["OriginationIdentity"] for one in rest["OriginationIdentities"]] == [added]
    server.configure(pools=1, identities_per_pool=2)
    number = request(sms)["PhoneNumberId"]
    assert quota(join, sms=sms, pool=pool, identity=number) == "ORIGINATION_IDENTITIES_PER_POOL"
    assert quota(create, sms=sms, identity=number) == "POOLS_PER_ACCOUNT"


def test_protected_pool_cannot_be_deleted(sms: Any) -> None:
    pool = create(sms, request(sms)["PhoneNumberId"], DeletionProtectionEnabled=True)
    assert conflict(sms.delete_pool, PoolId=pool) == "DELETION_PROTECTION_ENABLED"
