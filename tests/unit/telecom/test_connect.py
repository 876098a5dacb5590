import uuid
from typing import Any

from local.telecom import TelecomServer
from tests.unit.telecom.calls import reason, refused, request

DAY = 86_400


def search(connect: Any, target: str, **more: Any) -> list[str]:
    wanted = {"PhoneNumberCountryCode": "US", "PhoneNumberType": "DID"} | more
    found = connect.search_available_phone_numbers(TargetArn=target, **wanted)["AvailableNumbersList"]
    return [number["PhoneNumber"] for number in found]


def claim(connect: Any, target: str, number: str | None = None, **more: Any) -> str:
    number = number or search(connect, target)[0]
    return str(connect.claim_phone_number(TargetArn=target, PhoneNumber=number, **more)["PhoneNumberArn"])


def described(connect: Any, name: str) -> dict[str, Any]:
    return dict(connect.describe_phone_number(PhoneNumberId=name)["ClaimedPhoneNumberSummary"])


def test_a_search_is_the_same_for_all_and_filters_and_pages(connect: Any, instance: str) -> None:
    assert search(connect, instance) == search(connect, instance)
    assert search(connect, instance, PhoneNumberPrefix="+1504", MaxResults=1) == ["+15045560000"]
    assert search(connect, instance, PhoneNumberType="TOLL_FREE", MaxResults=1) == ["+18335560000"]
    assert search(connect, instance, PhoneNumberType="UIFN") == []
    wanted = {"PhoneNumberCountryCode": "GB", "PhoneNumberType": "DID"}
    pages = connect.get_paginator("search_available_phone_numbers").paginate(TargetArn=instance, **wanted)
    assert len({number["PhoneNumber"] for page in pages for number in page["AvailableNumbersList"]}) == 100
    assert refused(search, connect=connect, target=instance, PhoneNumberPrefix="1504")["Code"] == (
        "InvalidParameterException"
    )


def test_a_claim_is_through_after_its_time_by_id_or_arn(server: TelecomServer, connect: Any, instance: str) -> None:
    server.configure(claim_seconds=30)
    arn = claim(connect, instance, PhoneNumberDescription="front desk", Tags={"owner": "me"})
    assert described(connect, arn)["PhoneNumberStatus"] == {"Status": "IN_PROGRESS"}
    assert refused(connect.release_phone_number, PhoneNumberId=arn)["Code"] == "ResourceInUseException"
    server.clock.advance(30)
    seen = described(connect, arn.rpartition("/")[2])
    assert seen == {
        "PhoneNumberId": arn.rpartition("/")[2],
        "PhoneNumberArn": arn,
        "PhoneNumber": "+12065560000",
        "PhoneNumberCountryCode": "US",
        "PhoneNumberType": "DID",
        "PhoneNumberDescription": "front desk",
        "TargetArn": instance,
        "InstanceId": instance.rpartition("/")[2],
        "Tags": {"owner": "me"},
        "PhoneNumberStatus": {"Status": "CLAIMED"},
    }


def test_a_claim_beyond_the_quota_fails_keeps_its_id_and_lapses(
    server: TelecomServer, connect: Any, instance: str
) -> None:
    server.configure(connect_numbers=1, claim_release_limit=100)
    claim(connect, instance)
    failed = claim(connect, instance)
    seen = described(connect, failed)
    assert seen["PhoneNumberStatus"]["Status"] == "FAILED"
    assert "limit of 1" in seen["PhoneNumberStatus"]["Message"]
    assert len(server.held()["connect_numbers"]) == 1
    server.clock.advance(DAY)
    assert refused(connect.describe_phone_number, PhoneNumberId=failed)["Code"] == "ResourceNotFoundException"
    assert seen["PhoneNumber"] in search(connect, instance)


def test_a_failed_claim_can_be_retried_within_the_day(server: TelecomServer, connect: Any, instance: str) -> None:
    server.configure(connect_numbers=1, claim_release_limit=100)
    first, failed = claim(connect, instance), claim(connect, instance)
    number = described(connect, failed)["PhoneNumber"]
    connect.release_phone_number(PhoneNumberId=first)
    assert described(connect, claim(connect, instance, number))["PhoneNumberStatus"]["Status"] == "CLAIMED"


def test_a_search_can_lose_its_race(server: TelecomServer, connect: Any, instance: str) -> None:
    server.configure(race_losses=1)
    lost, free = search(connect, instance, MaxResults=2)
    error = refused(connect.claim_phone_number, TargetArn=instance, PhoneNumber=lost)
    assert (error["Code"], error["Message"]) == ("InvalidParameterException", f"Phone number not available: {lost}")
    assert search(connect, instance)[0] == free
    claim(connect, instance, free)
    assert refused(connect.claim_phone_number, TargetArn=instance, PhoneNumber=free)["Message"].endswith(free)
    assert refused(connect.claim_phone_number, TargetArn=instance, PhoneNumber="+19995550100")["Status"] == 400


def test_claims_and_releases_are_limited_for_180_days(server: TelecomServer, connect: Any, instance: str) -> None:
    for _ in range(5):
        connect.release_phone_number(PhoneNumberId=claim(connect, instance))
    fresh = search(connect, instance)[0]
    assert fresh == "+12065560005"  # what was released is cooling down
    assert "limit" in refused(connect.claim_phone_number, TargetArn=instance, PhoneNumber=fresh)["Message"]
    server.clock.advance(180 * DAY)
    assert claim(connect, instance, fresh)
    assert search(connect, instance)[0] == "+12065560000"


def test_a_released_number_is_gone_but_its_token_still_answers(connect: Any, instance: str) -> None:
    arn, token = claim(connect, instance), str(uuid.uuid4())
    connect.release_phone_number(PhoneNumberId=arn, ClientToken=token)
    connect.release_phone_number(PhoneNumberId=arn, ClientToken=token)
    assert refused(connect.release_phone_number, PhoneNumberId=arn)["Status"] == 404


def test_an_update_moves_the_number_and_leaves_its_flow_behind(
    server: TelecomServer, connect: Any, instance: str
) -> None:
    server.configure(update_seconds=5)
    arn, first = claim(connect, instance), instance.rpartition("/")[2]
    connect.associate_phone_number_contact_flow(PhoneNumberId=arn, InstanceId=first, ContactFlowId="flow-1")
    (tied,) = connect.list_flow_associations(InstanceId=first, ResourceType="VOICE_PHONE_NUMBER")[
        "FlowAssociationSummaryList"
    ]
    assert (tied["ResourceId"], tied["FlowId"]) == (arn, f"{instance}/contact-flow/flow-1")
    second = connect.create_instance(
        IdentityManagementType="CONNECT_MANAGED", InboundCallsEnabled=True, OutboundCallsEnabled=True
    )
    connect.update_phone_number(PhoneNumberId=arn, TargetArn=second["Arn"])
    assert described(connect, arn)["PhoneNumberStatus"]["Status"] == "IN_PROGRESS"
    server.clock.advance(5)
    assert described(connect, arn)["InstanceId"] == second["Id"]
    assert connect.list_flow_associations(InstanceId=first)["FlowAssociationSummaryList"] == []
    error = refused(
        connect.associate_phone_number_contact_flow, PhoneNumberId=arn, InstanceId=first, ContactFlowId="flow-1"
    )
    assert error["Code"] == "ResourceNotFoundException"


def test_a_flow_can_be_untied(connect: Any, instance: str) -> None:
    arn, own = claim(connect, instance), instance.rpartition("/")[2]
    connect.associate_phone_number_contact_flow(PhoneNumberId=arn, InstanceId=own, ContactFlowId="flow-1")
    connect.disassociate_phone_number_contact_flow(PhoneNumberId=arn, InstanceId=own)
    assert connect.list_flow_associations(InstanceId=own)["FlowAssociationSummaryList"] == []


def test_the_description_is_updated_in_place(server: TelecomServer, connect: Any, instance: str) -> None:
    server.configure(update_seconds=5)
    arn = claim(connect, instance)
    connect.update_phone_number_metadata(PhoneNumberId=arn, PhoneNumberDescription="")
    assert refused(connect.update_phone_number_metadata, PhoneNumberId=arn)["Code"] == "ResourceInUseException"
    server.clock.advance(5)
    seen = described(connect, arn)
    assert (seen["PhoneNumberStatus"]["Status"], seen["PhoneNumberDescription"]) == ("CLAIMED", "")


def test_numbers_are_listed_by_target_prefix_and_page(connect: Any, instance: str) -> None:
    made = [claim(connect, instance), claim(connect, instance, search(connect, instance, PhoneNumberPrefix="+1504")[0])]
    (found,) = connect.list_phone_numbers_v2(PhoneNumberPrefix="+1504556")["ListPhoneNumbersSummaryList"]
    assert (found["PhoneNumberArn"], found["TargetArn"]) == (made[1], instance)
    pages = connect.get_paginator("list_phone_numbers_v2").paginate(
        TargetArn=instance, PaginationConfig={"PageSize": 1}
    )
    assert [one["PhoneNumberArn"] for page in pages for one in page["ListPhoneNumbersSummaryList"]] == made
    nowhere = instance[:-1] + ("0" if instance[-1] != "0" else "1")
    assert refused(connect.list_phone_numbers_v2, TargetArn=nowhere)["Code"] == "ResourceNotFoundException"
    assert refused(search, connect=connect, target=nowhere)["Code"] == "InvalidParameterException"


def test_tags_of_numbers_are_ours_and_of_instances_motos(server: TelecomServer, connect: Any, instance: str) -> None:
    arn = claim(connect, instance, Tags={"a": "1"})
    server.configure(tags_lag_seconds=10)
    connect.tag_resource(resourceArn=arn, tags={"b": "2"})
    connect.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert connect.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "1"}
    server.clock.advance(10)
    assert connect.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
    connect.tag_resource(resourceArn=instance, tags={"c": "3"})
    assert connect.list_tags_for_resource(resourceArn=instance)["tags"] == {"c": "3"}
    assert refused(connect.list_tags_for_resource, resourceArn=f"{arn}0")["Status"] == 404


def test_a_group_can_be_the_target(connect: Any, instance: str) -> None:
    group = connect.create_traffic_distribution_group(Name="both", InstanceId=instance)["Arn"]
    told = connect.describe_traffic_distribution_group(TrafficDistributionGroupId=group.rpartition("/")[2])
    assert told["TrafficDistributionGroup"]["Status"] == "ACTIVE"
    seen = described(connect, claim(connect, group))
    assert seen["TargetArn"] == group
    assert "InstanceId" not in seen


def test_a_number_of_the_sms_service_is_imported_once(connect: Any, sms: Any, instance: str) -> None:
    source = request(sms, NumberType="TOLL_FREE", NumberCapabilities=["VOICE"])
    wanted = {"InstanceId": instance.rpartition("/")[2], "SourcePhoneNumberArn": source["PhoneNumberArn"]}
    seen = described(connect, connect.import_phone_number(**wanted)["PhoneNumberId"])
    assert (seen["PhoneNumber"], seen["SourcePhoneNumberArn"], seen["PhoneNumberType"]) == (
        source["PhoneNumber"],
        source["PhoneNumberArn"],
        "TOLL_FREE",
    )
    assert reason(connect.import_phone_number, **wanted)[0] == "InvalidParameterException"
    wanted["SourcePhoneNumberArn"] += "0"
    assert reason(connect.import_phone_number, **wanted)[0] == "ResourceNotFoundException"


def test_motos_own_operations_go_on_working(connect: Any, instance: str) -> None:
    assert connect.describe_instance(InstanceId=instance.rpartition("/")[2])["Instance"]["Arn"] == instance
    assert [one["Arn"] for one in connect.list_instances()["InstanceSummaryList"]] == [instance]
