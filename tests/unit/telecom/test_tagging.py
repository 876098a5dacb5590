"""GetResources of the Resource Groups Tagging API, for the resources of both services."""

from typing import Any

import boto3
import pytest
from moto import mock_aws

from local.telecom import TelecomServer, register
from tests.unit.telecom.calls import client, create_instance, error_of, request
from tests.unit.telecom.conftest import cached_client

OWN = {"Key": "managed-by", "Value": "us"}
OURS = {"TagFilters": [{"Key": "managed-by", "Values": ["us"]}]}
NUMBERS, SENDERS, CLAIMS = "sms-voice:phone-number", "sms-voice:sender-id", "connect:phone-number"


@pytest.fixture
def tagging(server: TelecomServer) -> Any:
    return cached_client(server.url, "resourcegroupstaggingapi")


def arns(tagging: Any, *types: str, **parameters: Any) -> list[str]:
    """Return the ARNs of all pages."""
    paginator = tagging.get_paginator("get_resources")
    pages = paginator.paginate(ResourceTypeFilters=list(types), **parameters)
    return [one["ResourceARN"] for page in pages for one in page["ResourceTagMappingList"]]


def test_resources_are_found_by_type_and_tag(sms: Any, connect: Any, tagging: Any, instance: str) -> None:
    number = request(sms, Tags=[OWN, {"Key": "team", "Value": "a"}])["PhoneNumberArn"]
    pool = sms.create_pool(OriginationIdentity=number, IsoCountryCode="US", MessageType="TRANSACTIONAL", Tags=[OWN])
    foreign = request(sms, Tags=[OWN | {"Value": "them"}])["PhoneNumberArn"]
    request(sms)
    sender = sms.request_sender_id(SenderId="SHOP", IsoCountryCode="GB", Tags=[OWN])["SenderIdArn"]
    claim = connect.claim_phone_number(TargetArn=instance, PhoneNumber="+12065560000", Tags={"managed-by": "us"})
    found = tagging.get_resources(ResourceTypeFilters=[NUMBERS], **OURS)
    assert found["ResourceTagMappingList"] == [
        {"ResourceARN": number, "Tags": [OWN, {"Key": "team", "Value": "a"}]},
    ]
    assert found["PaginationToken"] == ""
    assert arns(tagging, SENDERS, CLAIMS, **OURS) == sorted([sender, claim["PhoneNumberArn"]])
    assert set(arns(tagging, "sms-voice")) == {number, foreign, sender, pool["PoolArn"]}
    assert arns(tagging, NUMBERS, TagFilters=[{"Key": "managed-by"}, {"Key": "team"}]) == [number]


def test_resource_without_tags_is_listed_only_if_it_had_some(sms: Any, tagging: Any) -> None:
    number = request(sms, Tags=[OWN])["PhoneNumberArn"]
    request(sms)
    sms.untag_resource(ResourceArn=number, TagKeys=["managed-by"])
    found = tagging.get_resources(ResourceTypeFilters=[NUMBERS])["ResourceTagMappingList"]
    assert found == [{"ResourceARN": number, "Tags": []}]
    assert arns(tagging, NUMBERS, **OURS) == []


def test_pages_have_at_most_100_resources_and_tokens_expire(server: TelecomServer, sms: Any, tagging: Any) -> None:
    server.configure(sender_ids=1000)
    for number in range(205):
        sms.request_sender_id(SenderId=f"SHOP{number}", IsoCountryCode="GB", Tags=[OWN])
    first = tagging.get_resources(ResourcesPerPage=100)
    second = tagging.get_resources(ResourcesPerPage=100, PaginationToken=first["PaginationToken"])
    third = tagging.get_resources(ResourcesPerPage=100, PaginationToken=second["PaginationToken"])
    found = [one["ResourceARN"] for page in (first, second, third) for one in page["ResourceTagMappingList"]]
    assert len(third["ResourceTagMappingList"]) == 5
    assert third["PaginationToken"] == ""
    assert len(set(found)) == 205
    assert len(tagging.get_resources()["ResourceTagMappingList"]) == 50
    server.clock.advance(901)
    expired = error_of(tagging.get_resources, PaginationToken=first["PaginationToken"])
    assert expired["Code"] == "PaginationTokenExpiredException"


@pytest.mark.parametrize(
    "parameters",
    [{"ResourcesPerPage": 101}, {"PaginationToken": "x"}, {"ResourceARNList": ["arn:aws:sms-voice:x"]}],
)
def test_invalid_parameter_is_rejected(tagging: Any, parameters: dict[str, Any]) -> None:
    assert error_of(tagging.get_resources, **parameters)["Code"] == "InvalidParameterException"


def test_type_can_be_unknown_to_the_tagging_service(server: TelecomServer, sms: Any, tagging: Any) -> None:
    request(sms, Tags=[OWN])
    sender = sms.request_sender_id(SenderId="SHOP", IsoCountryCode="GB", Tags=[OWN])["SenderIdArn"]
    server.configure(unindexed_types=[NUMBERS])
    error = error_of(tagging.get_resources, ResourceTypeFilters=[SENDERS, NUMBERS], **OURS)
    assert (error["Code"], error["Status"]) == ("InvalidParameterException", 400)
    assert arns(tagging, SENDERS, **OURS) == arns(tagging, "sms-voice", **OURS) == [sender]
    server.configure(off=["tagging.unknown_type"])
    assert arns(tagging, NUMBERS, **OURS) == []


def test_tags_are_shown_late(server: TelecomServer, sms: Any, tagging: Any) -> None:
    server.configure(tag_index_lag_seconds=60)
    number = request(sms, Tags=[OWN])["PhoneNumberArn"]
    assert arns(tagging, NUMBERS) == []
    server.clock.advance(60)
    sms.untag_resource(ResourceArn=number, TagKeys=["managed-by"])
    assert sms.list_tags_for_resource(ResourceArn=number)["Tags"] == []
    assert arns(tagging, NUMBERS, **OURS) == [number]
    server.clock.advance(60)
    assert arns(tagging, NUMBERS, **OURS) == []


def test_deleted_resources_are_shown_for_some_time(
    server: TelecomServer, sms: Any, connect: Any, tagging: Any, instance: str
) -> None:
    server.configure(tag_index_linger_seconds=1200)
    number = request(sms, Tags=[OWN])
    sms.release_phone_number(PhoneNumberId=number["PhoneNumberId"])
    sms.request_sender_id(SenderId="SHOP", IsoCountryCode="GB", Tags=[OWN])
    sender = sms.release_sender_id(SenderId="SHOP", IsoCountryCode="GB")["SenderIdArn"]
    claim = connect.claim_phone_number(TargetArn=instance, PhoneNumber="+12065560000", Tags={"managed-by": "us"})
    connect.release_phone_number(PhoneNumberId=claim["PhoneNumberId"])
    deleted = sorted([number["PhoneNumberArn"], sender, claim["PhoneNumberArn"]])
    assert arns(tagging, **OURS) == deleted
    # Its next owner has not tagged the sender ID.
    sms.request_sender_id(SenderId="SHOP", IsoCountryCode="GB")
    assert arns(tagging, SENDERS, **OURS) == []
    server.clock.advance(1200)
    assert arns(tagging) == []


def test_servers_and_regions_are_isolated(sms: Any, tagging: Any, server: TelecomServer) -> None:
    request(sms, Tags=[OWN])
    with TelecomServer() as other:
        assert arns(client(other.url, "resourcegroupstaggingapi")) == []
    # Connect has no endpoint in this Region.
    assert arns(client(server.url, "resourcegroupstaggingapi", region="eu-west-3")) == []
    assert len(arns(tagging)) == 1


def test_calls_are_throttled(server: TelecomServer, tagging: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server.fault("resourcegroupstaggingapi", "GetResources", "throttle")
    assert error_of(tagging.get_resources)["Code"] == "ThrottledException"
    server.configure(rate=True)
    now = server.clock.now()
    monkeypatch.setattr(server.clock, "now", lambda: now)
    for _ in range(15):
        tagging.get_resources()
    assert error_of(tagging.get_resources)["Code"] == "ThrottledException"


def test_tagging_service_of_moto_shows_the_resources(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PINPOINT_SMS_VOICE_V2", "CONNECT", "RESOURCE_GROUPS_TAGGING_API"):
        monkeypatch.delenv(f"AWS_ENDPOINT_URL_{name}", raising=False)  # moto mocks only AWS's own hosts
    register()
    with mock_aws():
        sms, connect = boto3.client("pinpoint-sms-voice-v2", "eu-west-2"), boto3.client("connect", "eu-west-2")
        tagging = boto3.client("resourcegroupstaggingapi", "eu-west-2")
        number = request(sms, Tags=[OWN])["PhoneNumberArn"]
        claimed = connect.claim_phone_number(
            TargetArn=create_instance(connect), PhoneNumber="+4420550000", Tags={"managed-by": "us"}
        )["PhoneNumberArn"]
        assert set(arns(tagging, NUMBERS, CLAIMS, **OURS)) == {number, claimed}
        failed = tagging.tag_resources(ResourceARNList=[number], Tags={"a": "b"})["FailedResourcesMap"]
        assert list(failed) == [number]
