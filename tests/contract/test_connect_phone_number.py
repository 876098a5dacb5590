"""Custom::ConnectPhoneNumber through its life cycle, driven by CloudFormation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import CONNECT, SECRET, Laptop, connect_instance
from tests.contract.declarations import Kind, connect_phone_number, template
from tests.contract.steps import (
    GENERATED_ID,
    assert_rolled_back,
    canceled,
    deploy,
    environment,
    request_number,
    send_create,
    wait_until,
)


@pytest.fixture
def kind(laptop: Laptop) -> Kind:
    return connect_phone_number(connect_instance(laptop))


def assert_create_fails(laptop: Laptop, kind: Kind, error_code: str, *facts: str, **properties: Any) -> str:
    """Check a Create that is rolled back, and return the physical ID that its Delete refers to."""
    stack = laptop.cloudformation.stack("numbers")
    assert_rolled_back(stack, template(kind.properties | properties, kind), error_code, *facts)
    return stack.sent("Number")[1][1]


def described(laptop: Laptop, physical_id: str) -> dict[str, Any]:
    return dict(laptop.connect.describe_phone_number(PhoneNumberId=physical_id)["ClaimedPhoneNumberSummary"])


def test_ref_is_the_arn_and_attributes_are_those_of_the_service(laptop: Laptop, kind: Kind) -> None:
    stack, physical_id = deploy(laptop, kind)

    found = described(laptop, physical_id)
    assert physical_id == found["PhoneNumberArn"]
    assert stack.attributes["Number"] == {
        "PhoneNumberArn": found["PhoneNumberArn"],
        "PhoneNumberId": found["PhoneNumberId"],
        "Address": found["PhoneNumber"],
        "Status": "CLAIMED",
    }


def test_claim_is_waited_for(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(claim_seconds=0.3)

    stack, _ = deploy(laptop, kind)

    assert stack.attributes["Number"]["Status"] == "CLAIMED"
    assert laptop.calls(CONNECT)["ClaimPhoneNumber"] == 1


def test_failed_claim_is_reported_with_its_id_and_not_released(laptop: Laptop, kind: Kind) -> None:
    """The service removes a failed claim by itself."""
    laptop.telecom.configure(connect_numbers=0, claim_release_limit=float("inf"))

    physical_id = assert_create_fails(laptop, kind, "NotStabilized", "limit")

    assert ":phone-number/" in physical_id
    assert "ReleasePhoneNumber" not in laptop.calls(CONNECT)
    assert laptop.held() == {}


@pytest.mark.shows("update in place")
@pytest.mark.parametrize(
    ("change", "calls"),
    [
        # A change takes time in Connect: the provider reads the number until it is complete.
        ({"Description": "front desk"}, {"UpdatePhoneNumberMetadata": 1, "DescribePhoneNumber": 2}),
        ({"Tags": [{"Key": "team", "Value": "billing"}]}, {"TagResource": 1, "DescribePhoneNumber": 1}),
        ({"Trigger": "1"}, {"DescribePhoneNumber": 1}),
        ({"Prefix": "+1504"}, {"DescribePhoneNumber": 1}),
        ({"AllowReplacement": True}, {"DescribePhoneNumber": 1}),
    ],
    ids=str,
)
def test_update_in_place_makes_one_read_and_the_calls_for_the_difference(
    laptop: Laptop, kind: Kind, change: dict[str, Any], calls: dict[str, int]
) -> None:
    stack, physical_id = deploy(laptop, kind)

    made = laptop.calls_of(lambda: stack.deploy(template(kind.properties | change, kind)))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert made == {f"{CONNECT}.{name}": n for name, n in calls.items()}
    assert stack.physical_ids["Number"] == physical_id


def test_number_moves_to_another_target_and_keeps_its_id(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(update_seconds=0.1)
    other = connect_instance(laptop)
    stack, physical_id = deploy(laptop, kind)

    stack.deploy(template(kind.properties | {"TargetArn": other, "Description": "moved"}, kind))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    found = described(laptop, physical_id)
    assert (found["TargetArn"], found["PhoneNumberDescription"]) == (other, "moved")
    assert stack.physical_ids["Number"] == physical_id


def test_number_is_claimed_to_a_traffic_distribution_group(laptop: Laptop, kind: Kind) -> None:
    instance_id = kind.properties["TargetArn"].rsplit("/", 1)[-1]
    group = laptop.connect.create_traffic_distribution_group(Name="group", InstanceId=instance_id)["Arn"]

    _, physical_id = deploy(laptop, kind, TargetArn=group)

    assert described(laptop, physical_id)["TargetArn"] == group


def full_instance(laptop: Laptop) -> str:
    """An instance that has reached its quota of numbers."""
    arn = connect_instance(laptop)
    for number in ("+12065560097", "+12065560098"):
        laptop.connect.claim_phone_number(TargetArn=arn, PhoneNumber=number)
    laptop.telecom.configure(connect_numbers=2)
    return arn


def test_move_to_full_target_fails_and_its_rollback_succeeds(laptop: Laptop, kind: Kind) -> None:
    stack, physical_id = deploy(laptop, kind)

    changed = template(kind.properties | {"TargetArn": full_instance(laptop)}, kind)
    assert_rolled_back(stack, changed, "NotStabilized", physical_id, "limit")

    assert stack.physical_ids["Number"] == physical_id
    assert described(laptop, physical_id)["TargetArn"] == kind.properties["TargetArn"]


def test_number_whose_move_failed_can_be_updated_and_deleted(laptop: Laptop, kind: Kind) -> None:
    stack, physical_id = deploy(laptop, kind)
    full = full_instance(laptop)

    def fail_to_move() -> None:
        laptop.connect.update_phone_number(PhoneNumberId=physical_id, TargetArn=full)
        assert described(laptop, physical_id)["PhoneNumberStatus"]["Status"] == "FAILED"

    fail_to_move()
    stack.deploy(template(kind.properties | {"Description": "changed"}, kind))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert described(laptop, physical_id)["PhoneNumberDescription"] == "changed"
    fail_to_move()
    assert stack.delete() == "DELETE_COMPLETE"
    assert physical_id not in laptop.ids()


EXACT = {"CountryCode": None, "Type": None, "PhoneNumber": "+12125560042"}


@pytest.mark.parametrize(("declared", "begins"), [({"Prefix": "+1504"}, "+1504"), (EXACT, "+12125560042")], ids=str)
def test_number_is_the_declared_one_or_begins_with_declared_prefix(
    laptop: Laptop, kind: Kind, declared: dict[str, Any], begins: str
) -> None:
    stack, _ = deploy(laptop, kind, **declared)

    assert stack.attributes["Number"]["Address"].startswith(begins)
    assert ("SearchAvailablePhoneNumbers" in laptop.calls(CONNECT)) is (declared is not EXACT)


def test_unavailable_declared_number_is_not_replaced_by_another(laptop: Laptop, kind: Kind) -> None:
    laptop.connect.claim_phone_number(TargetArn=kind.properties["TargetArn"], PhoneNumber="+12125560042")

    assert_create_fails(laptop, kind, "ResourceConflict", "ClaimPhoneNumber", " PhoneNumber", **EXACT)

    assert laptop.held() == {"connect_numbers": 1}


def test_next_candidate_is_claimed_after_a_lost_race(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(race_losses=3)

    deploy(laptop, kind)

    calls = laptop.calls(CONNECT)
    assert (calls["SearchAvailablePhoneNumbers"], calls["ClaimPhoneNumber"]) == (1, 4)
    assert laptop.held() == {"connect_numbers": 1}


def test_number_of_claims_is_bounded_if_every_race_is_lost(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(race_losses=999)

    assert assert_create_fails(laptop, kind, "ResourceConflict", "ClaimPhoneNumber").startswith("not-created:")

    assert laptop.calls(CONNECT)["ClaimPhoneNumber"] <= 10
    assert laptop.held() == {}


def test_claim_with_unknown_result_is_not_followed_by_a_claim_of_another_number(laptop: Laptop, kind: Kind) -> None:
    """The response is lost and the token forgotten: the number is unavailable because the provider has claimed it."""
    laptop.telecom.configure(forget_tokens=True)
    laptop.telecom.fault(CONNECT, "ClaimPhoneNumber", "lose_answer", times=3)

    deploy(laptop, kind)

    assert laptop.held() == {"connect_numbers": 1}


def test_empty_inventory_is_reported(laptop: Laptop, kind: Kind) -> None:
    assert_create_fails(laptop, kind, "NotFound", "UIFN", "CH", Type="UIFN", CountryCode="CH")

    assert "ClaimPhoneNumber" not in laptop.calls(CONNECT)


def test_concurrent_creates_each_claim_a_number(laptop: Laptop, kind: Kind) -> None:
    stack = laptop.cloudformation.stack("numbers")
    resources = {f"Number{n}": {"Type": kind.type, "Properties": kind.properties} for n in range(4)}

    assert stack.deploy({"Resources": resources}) == "CREATE_COMPLETE", stack.events

    assert laptop.held() == {"connect_numbers": 4}


def imported(laptop: Laptop) -> tuple[dict[str, Any], dict[str, Any]]:
    """A number of AWS End User Messaging SMS, and the properties that import it."""
    number_id = request_number(laptop, NumberType="TOLL_FREE")
    [source] = laptop.sms.describe_phone_numbers(PhoneNumberIds=[number_id])["PhoneNumbers"]
    declared = {"CountryCode": None, "Type": None, "SourcePhoneNumberArn": source["PhoneNumberArn"]}
    return dict(source), declared


def test_sms_number_is_imported(laptop: Laptop, kind: Kind) -> None:
    source, declared = imported(laptop)

    stack, _ = deploy(laptop, kind, **declared)

    assert stack.attributes["Number"]["Address"] == source["PhoneNumber"]
    assert laptop.calls(CONNECT)["ImportPhoneNumber"] == 1
    assert "ClaimPhoneNumber" not in laptop.calls(CONNECT)
    assert stack.delete() == "DELETE_COMPLETE"
    assert laptop.held() == {"phone_numbers": 1}


@pytest.mark.parametrize("forgets", [False, True])
def test_import_whose_response_was_lost_is_found(laptop: Laptop, kind: Kind, forgets: bool) -> None:
    laptop.telecom.configure(forget_tokens=forgets)
    _, declared = imported(laptop)
    laptop.telecom.fault(CONNECT, "ImportPhoneNumber", "lose_answer", times=2)

    deploy(laptop, kind, **declared)

    assert laptop.held() == {"phone_numbers": 1, "connect_numbers": 1}


def test_tags_and_description_are_set_by_the_claim(laptop: Laptop, kind: Kind) -> None:
    stack, physical_id = deploy(laptop, kind, Description=SECRET, Tags=[{"Key": "code", "Value": SECRET}])

    found = described(laptop, physical_id)
    assert found["PhoneNumberDescription"] == SECRET
    assert found["Tags"]["code"] == SECRET
    assert found["Tags"]["cfn-telephony:stack-id"] == stack.stack_id
    assert "UpdatePhoneNumberMetadata" not in laptop.calls(CONNECT)

    stack.deploy(template(kind.properties | {"Tags": []}, kind))
    left = described(laptop, physical_id)["Tags"]
    assert sorted(left) == [f"cfn-telephony:{name}" for name in ("logical-id", "managed-by", "request-id", "stack-id")]


def test_delete_during_claim_waits_for_it_and_releases(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(claim_seconds=3600)
    fields: dict[str, Any] = {"resource_type": kind.type, "properties": kind.properties}
    with environment(RETRY_PERIOD_SECONDS="30"):
        created = laptop.post("Create", **fields)
        wait_until(lambda: any(row["purchase_state"]["S"] == "BOUGHT" for row in laptop.purchases()))
        deleted = laptop.post("Delete", physical_id=GENERATED_ID, **fields)
        wait_until(lambda: canceled(laptop))
        laptop.telecom.clock.advance(3600)
        assert laptop.response(deleted)["Status"] == "SUCCESS"

    assert laptop.sink.responses(created)[0]["Status"] == "FAILED"
    assert laptop.held() == {}


def test_blocked_claims_are_reported(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(claim_release_limit=0)

    assert_create_fails(laptop, kind, "InvalidRequest", "ClaimPhoneNumber", "InvalidParameterException")

    assert laptop.held() == {}


def test_claim_of_an_earlier_attempt_is_found_without_a_search(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.fault("dynamodb", "UpdateItem", "error", code="ResourceNotFoundException", after=2)
    search: dict[str, Any] = {"code": "InternalServiceException", "status": 500, "after": 1, "times": 99}
    laptop.telecom.fault(CONNECT, "SearchAvailablePhoneNumbers", "error", **search)

    response = send_create(laptop, kind)

    assert (response["Status"], [response["PhysicalResourceId"]]) == ("SUCCESS", laptop.ids())
    assert [run.outcome for run in laptop.invoker.invocations] == ["raised", "returned"]
