import uuid
from typing import Any

from local.telecom import TelecomServer
from tests.unit.telecom.calls import create_instance, error_of, request

DAY = 86_400
INVALID, MISSING, IN_USE = "InvalidParameterException", "ResourceNotFoundException", "ResourceInUseException"


def search(connect: Any, target: str, maximum: int = 10, **more: Any) -> list[str]:
    query = {"TargetArn": target, "PhoneNumberCountryCode": "US", "PhoneNumberType": "DID"} | more
    paginator = connect.get_paginator("search_available_phone_numbers")
    pages = paginator.paginate(PaginationConfig={"MaxItems": maximum}, **query)
    return [number["PhoneNumber"] for page in pages for number in page["AvailableNumbersList"]]


def claim(connect: Any, target: str, number: str | None = None, **more: Any) -> str:
    number = number or search(connect, target)[0]
    return str(connect.claim_phone_number(TargetArn=target, PhoneNumber=number, **more)["PhoneNumberArn"])


def described(connect: Any, name: str) -> dict[str, Any]:
    return dict(connect.describe_phone_number(PhoneNumberId=name)["ClaimedPhoneNumberSummary"])


def test_search_is_repeatable_filtered_and_paginated(connect: Any, instance: str) -> None:
    assert search(connect, instance) == search(connect, instance)
    assert search(connect, instance, PhoneNumberPrefix="+1504")[0] == "+15045560000"
    assert search(connect, instance, PhoneNumberType="TOLL_FREE")[0] == "+18335560000"
    assert search(connect, instance, PhoneNumberType="UIFN") == []
    assert len(set(search(connect, instance, 1000, PhoneNumberCountryCode="GB"))) == 100
    assert error_of(search, connect=connect, target=instance, PhoneNumberPrefix="1504")["Code"] == INVALID


def test_claim_settles_after_claim_seconds(server: TelecomServer, connect: Any, instance: str) -> None:
    server.configure(claim_seconds=30)
    arn = claim(connect, instance, PhoneNumberDescription="front desk", Tags={"owner": "me"})
    assert described(connect, arn)["PhoneNumberStatus"] == {"Status": "IN_PROGRESS"}
    assert error_of(connect.release_phone_number, PhoneNumberId=arn)["Code"] == IN_USE
    server.clock.advance(30)
    number_id = arn.rpartition("/")[2]
    assert described(connect, number_id) == {
        "PhoneNumberId": number_id,
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


def test_claim_beyond_quota_fails_and_can_be_retried_for_a_day(
    server: TelecomServer, connect: Any, instance: str
) -> None:
    server.configure(connect_numbers=1, claim_release_limit=100)
    first, failed = claim(connect, instance), claim(connect, instance)
    seen = described(connect, failed)
    assert seen["PhoneNumberStatus"]["Status"] == "FAILED"
    assert "limit of 1" in seen["PhoneNumberStatus"]["Message"]
    assert len(server.held()["connect_numbers"]) == 1
    server.clock.advance(DAY - 1)
    connect.release_phone_number(PhoneNumberId=first)
    assert claim(connect, instance, seen["PhoneNumber"]) == failed
    assert described(connect, failed)["PhoneNumberStatus"]["Status"] == "CLAIMED"
    expired = claim(connect, instance)
    number = described(connect, expired)["PhoneNumber"]
    server.clock.advance(DAY)
    assert error_of(connect.describe_phone_number, PhoneNumberId=expired)["Code"] == MISSING
    assert number in search(connect, instance)


def test_claims_and_releases_are_limited_for_180_days(server: TelecomServer, connect: Any, instance: str) -> None:
    for _ in range(5):
        connect.release_phone_number(PhoneNumberId=claim(connect, instance))
    available = search(connect, instance)[0]
    assert available == "+12065560005"  # released numbers are in their cooldown period
    assert "limit" in error_of(connect.claim_phone_number, TargetArn=instance, PhoneNumber=available)["Message"]
    server.clock.advance(180 * DAY)
    assert claim(connect, instance, available)
    assert search(connect, instance)[0] == "+12065560000"


def test_release_is_immediate_and_idempotent(connect: Any, instance: str) -> None:
    arn, token = claim(connect, instance), str(uuid.uuid4())
    connect.release_phone_number(PhoneNumberId=arn, ClientToken=token)
    connect.release_phone_number(PhoneNumberId=arn, ClientToken=token)
    assert error_of(connect.release_phone_number, PhoneNumberId=arn)["Status"] == 404


def test_update_moves_number_without_its_flow(server: TelecomServer, connect: Any, instance: str) -> None:
    server.configure(update_seconds=5)
    arn, first = claim(connect, instance), instance.rpartition("/")[2]
    flow = {"PhoneNumberId": arn, "InstanceId": first, "ContactFlowId": "flow-1"}

    def flows() -> list[tuple[str, str]]:
        listed = connect.list_flow_associations(InstanceId=first, ResourceType="VOICE_PHONE_NUMBER")
        return [(one["ResourceId"], one["FlowId"]) for one in listed["FlowAssociationSummaryList"]]

    connect.associate_phone_number_contact_flow(**flow)
    connect.disassociate_phone_number_contact_flow(PhoneNumberId=arn, InstanceId=first)
    assert flows() == []
    connect.associate_phone_number_contact_flow(**flow)
    assert flows() == [(arn, f"{instance}/contact-flow/flow-1")]
    second = create_instance(connect)
    connect.update_phone_number(PhoneNumberId=arn, TargetArn=second)
    assert described(connect, arn)["PhoneNumberStatus"]["Status"] == "IN_PROGRESS"
    server.clock.advance(5)
    assert described(connect, arn)["InstanceId"] == second.rpartition("/")[2]
    assert flows() == []
    assert error_of(connect.associate_phone_number_contact_flow, **flow)["Code"] == MISSING


def test_description_is_updated_in_place(server: TelecomServer, connect: Any, instance: str) -> None:
    server.configure(update_seconds=5)
    arn = claim(connect, instance)
    connect.update_phone_number_metadata(PhoneNumberId=arn, PhoneNumberDescription="")
    assert error_of(connect.update_phone_number_metadata, PhoneNumberId=arn)["Code"] == IN_USE
    server.clock.advance(5)
    seen = described(connect, arn)
    assert (seen["PhoneNumberStatus"]["Status"], seen["PhoneNumberDescription"]) == ("CLAIMED", "")


def test_list_filters_by_target_and_prefix_and_paginates(connect: Any, instance: str) -> None:
    other = search(connect, instance, PhoneNumberPrefix="+1504")[0]
    claimed = [claim(connect, instance), claim(connect, instance, other)]
    (found,) = connect.list_phone_numbers_v2(PhoneNumberPrefix="+1504556")["ListPhoneNumbersSummaryList"]
    assert (found["PhoneNumberArn"], found["TargetArn"]) == (claimed[1], instance)
    paginator = connect.get_paginator("list_phone_numbers_v2")
    pages = paginator.paginate(TargetArn=instance, PaginationConfig={"PageSize": 1})
    assert [one["PhoneNumberArn"] for page in pages for one in page["ListPhoneNumbersSummaryList"]] == claimed
    unknown = instance[:-1] + ("0" if instance[-1] != "0" else "1")
    assert error_of(connect.list_phone_numbers_v2, TargetArn=unknown)["Code"] == MISSING
    assert error_of(search, connect=connect, target=unknown)["Code"] == INVALID


def test_numbers_and_instances_can_be_tagged(server: TelecomServer, connect: Any, instance: str) -> None:
    def tags(arn: str) -> Any:
        return connect.list_tags_for_resource(resourceArn=arn)["tags"]

    arn = claim(connect, instance, Tags={"a": "1"})
    server.configure(tags_lag_seconds=10)
    connect.tag_resource(resourceArn=arn, tags={"b": "2"})
    connect.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert tags(arn) == {"a": "1"}
    server.clock.advance(10)
    assert tags(arn) == {"b": "2"}
    connect.tag_resource(resourceArn=instance, tags={"c": "3"})
    assert tags(instance) == {"c": "3"}
    assert error_of(tags, arn=f"{arn}0")["Status"] == 404


def test_sms_number_can_be_imported_once(connect: Any, sms: Any, instance: str) -> None:
    source = request(sms, NumberType="TOLL_FREE", NumberCapabilities=["VOICE"])
    query = {"InstanceId": instance.rpartition("/")[2], "SourcePhoneNumberArn": source["PhoneNumberArn"]}
    seen = described(connect, connect.import_phone_number(**query)["PhoneNumberId"])
    assert (seen["PhoneNumber"], seen["PhoneNumberType"]) == (source["PhoneNumber"], "TOLL_FREE")
    assert seen["SourcePhoneNumberArn"] == source["PhoneNumberArn"]
    assert error_of(connect.import_phone_number, **query)["Code"] == INVALID
    query["SourcePhoneNumberArn"] += "0"
    assert error_of(connect.import_phone_number, **query)["Code"] == MISSING


def test_operation_of_moto_returns_only_what_is_modelled(connect: Any, instance: str) -> None:
    associated = connect.associate_analytics_data_set(InstanceId=instance.rpartition("/")[2], DataSetId="contacts")
    assert associated["DataSetId"] == "contacts"
