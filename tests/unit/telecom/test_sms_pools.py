from typing import Any

import pytest

from local.telecom import TelecomServer
from tests.unit.telecom.calls import describe, reason, refused, request


@pytest.fixture
def pooled(sms: Any) -> tuple[str, str]:
    number = request(sms)["PhoneNumberId"]
    pool = sms.create_pool(OriginationIdentity=number, IsoCountryCode="US", MessageType="TRANSACTIONAL")
    return number, pool["PoolId"]


def join(sms: Any, pool: str, identity: str, country: str | None = "US") -> Any:
    more = {"IsoCountryCode": country} if country else {}
    return sms.associate_origination_identity(PoolId=pool, OriginationIdentity=identity, **more)


def leave(sms: Any, pool: str, identity: str) -> Any:
    return sms.disassociate_origination_identity(PoolId=pool, OriginationIdentity=identity, IsoCountryCode="US")


def test_a_member_is_neither_released_nor_updated(sms: Any, pooled: tuple[str, str]) -> None:
    number, pool = pooled
    assert describe(sms, number)["PoolId"] == pool
    told = ("ConflictException", "PHONE_NUMBER_ASSOCIATED_TO_POOL")
    assert reason(sms.release_phone_number, PhoneNumberId=number) == told
    assert reason(sms.update_phone_number, PhoneNumberId=number, DeletionProtectionEnabled=False) == told


def test_the_last_number_leaves_only_with_the_pool(sms: Any, pooled: tuple[str, str]) -> None:
    number, pool = pooled
    other = request(sms, PoolId=pool)["PhoneNumberId"]
    leave(sms, pool, other)
    assert reason(leave, sms=sms, pool=pool, identity=other) == (
        "ConflictException",
        "PHONE_NUMBER_NOT_ASSOCIATED_TO_POOL",
    )
    assert reason(leave, sms=sms, pool=pool, identity=number) == ("ConflictException", "LAST_PHONE_NUMBER")
    sms.delete_pool(PoolId=pool)
    assert refused(sms.describe_pools, PoolIds=[pool])["Code"] == "ResourceNotFoundException"
    sms.release_phone_number(PhoneNumberId=number)


def test_a_number_that_left_may_count_as_a_member_for_a_while(
    server: TelecomServer, sms: Any, pooled: tuple[str, str]
) -> None:
    server.configure(pool_release_seconds=20)
    number, pool = pooled
    sms.delete_pool(PoolId=pool)
    assert reason(sms.release_phone_number, PhoneNumberId=number)[1] == "PHONE_NUMBER_ASSOCIATED_TO_POOL"
    server.clock.advance(20)
    sms.release_phone_number(PhoneNumberId=number)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"SelfManagedOptOutsEnabled": True}, "SELF_MANAGED_OPT_OUTS_MISMATCH"),
        ({"OptOutListName": "other"}, "OPT_OUT_LIST_MISMATCH"),
        ({"TwoWayEnabled": True, "TwoWayChannelArn": "connect.us-east-1.amazonaws.com"}, "TWO_WAY_CONFIG_MISMATCH"),
    ],
)
def test_a_number_joins_a_pool_that_it_matches(
    sms: Any, pooled: tuple[str, str], changed: dict[str, Any], told: str
) -> None:
    sms.create_opt_out_list(OptOutListName="other")
    number = request(sms)["PhoneNumberId"]
    sms.update_phone_number(PhoneNumberId=number, **changed)
    assert reason(join, sms=sms, pool=pooled[1], identity=number) == ("ConflictException", told)


def test_keywords_and_message_types_have_to_match_too(sms: Any, pooled: tuple[str, str]) -> None:
    number = request(sms)["PhoneNumberId"]
    sms.put_keyword(OriginationIdentity=number, Keyword="INFO", KeywordMessage="Here you are.")
    assert reason(join, sms=sms, pool=pooled[1], identity=number)[1] == "KEYWORD_MISMATCH"
    promotional = request(sms, NumberType="TOLL_FREE", MessageType="PROMOTIONAL")["PhoneNumberId"]
    assert reason(join, sms=sms, pool=pooled[1], identity=promotional)[1] == "MESSAGE_TYPE_MISMATCH"


def test_a_number_joins_when_it_is_active_and_in_no_other_pool(
    server: TelecomServer, sms: Any, pooled: tuple[str, str]
) -> None:
    number, pool = pooled
    assert reason(join, sms=sms, pool=pool, identity=number)[1] == "RESOURCE_ALREADY_ASSOCIATED"
    server.configure(activation_seconds=60)
    pending = request(sms)["PhoneNumberId"]
    assert reason(join, sms=sms, pool=pool, identity=pending)[1] == "RESOURCE_NOT_ACTIVE"
    assert reason(join, sms=sms, pool=pool, identity=pending, country="CA")[1] == "COUNTRY_CODE_MISMATCH"


def test_a_sender_id_needs_its_country_and_may_be_in_two_pools(sms: Any, pooled: tuple[str, str]) -> None:
    arn = sms.request_sender_id(SenderId="SHOP", IsoCountryCode="GB")["SenderIdArn"]
    other = sms.create_pool(OriginationIdentity="SHOP", IsoCountryCode="GB", MessageType="TRANSACTIONAL")["PoolId"]
    assert reason(join, sms=sms, pool=pooled[1], identity=arn, country=None) == ("ValidationException", "INVALID_ARN")
    join(sms, pooled[1], arn, "GB")
    members = sms.list_pool_origination_identities(PoolId=pooled[1])["OriginationIdentities"]
    assert [member["OriginationIdentity"] for member in members] == [pooled[0], "SHOP"]
    told = reason(sms.release_sender_id, SenderId="SHOP", IsoCountryCode="GB")
    assert told == ("ConflictException", "SENDER_ID_ASSOCIATED_TO_POOL")
    for pool in (pooled[1], other):
        sms.delete_pool(PoolId=pool)
    sms.release_sender_id(SenderId="SHOP", IsoCountryCode="GB")


def test_pools_and_their_members_have_quotas_and_pages(
    server: TelecomServer, sms: Any, pooled: tuple[str, str]
) -> None:
    pool = pooled[1]
    added = request(sms, PoolId=pool)["PhoneNumberId"]
    first = sms.list_pool_origination_identities(PoolId=pool, MaxResults=1)
    rest = sms.list_pool_origination_identities(PoolId=pool, MaxResults=1, NextToken=first["NextToken"])
    assert [one["OriginationIdentity"] for one in rest["OriginationIdentities"]] == [added]
    server.configure(pools=1, identities_per_pool=2)
    number = request(sms)["PhoneNumberId"]
    assert reason(join, sms=sms, pool=pool, identity=number)[1] == "ORIGINATION_IDENTITIES_PER_POOL"
    told = reason(sms.create_pool, OriginationIdentity=number, IsoCountryCode="US", MessageType="TRANSACTIONAL")
    assert told == ("ServiceQuotaExceededException", "POOLS_PER_ACCOUNT")


def test_a_protected_pool_is_not_deleted(sms: Any) -> None:
    number = request(sms)["PhoneNumberId"]
    pool = sms.create_pool(
        OriginationIdentity=number, IsoCountryCode="US", MessageType="TRANSACTIONAL", DeletionProtectionEnabled=True
    )["PoolId"]
    assert reason(sms.delete_pool, PoolId=pool) == ("ConflictException", "DELETION_PROTECTION_ENABLED")
