"""Custom::ConnectPhoneNumber through its life cycle, driven by CloudFormation."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import CONNECT, SECRET, Harness, connect_instance
from tests.contract.declarations import Kind, connect_phone_number, template
from tests.contract.steps import (
    GENERATED_ID,
    assert_reason,
    assert_rolled_back,
    canceled,
    create,
    deploy,
    environment,
    fault,
    request_number,
    send_create,
    wait_until,
)


@pytest.fixture
def kind(harness: Harness) -> Kind:
    return connect_phone_number(connect_instance(harness))


def assert_create_fails(harness: Harness, kind: Kind, error_code: str, *facts: str, **properties: Any) -> str:
    """Check a Create that is rolled back, and return the physical ID that its Delete refers to."""
    stack = harness.cloudformation.stack("numbers")
    assert_rolled_back(stack, template(kind.properties | properties, kind), error_code, *facts)
    return stack.sent("Number")[1][1]


def described(harness: Harness, physical_id: str) -> dict[str, Any]:
    return dict(harness.connect.describe_phone_number(PhoneNumberId=physical_id)["ClaimedPhoneNumberSummary"])


def test_ref_is_the_arn_and_attributes_are_those_of_the_service(harness: Harness, kind: Kind) -> None:
    stack, physical_id = deploy(harness, kind)

    found = described(harness, physical_id)
    assert physical_id == found["PhoneNumberArn"]
    assert stack.attributes["Number"] == {
        "PhoneNumberArn": found["PhoneNumberArn"],
        "PhoneNumberId": found["PhoneNumberId"],
        "Address": found["PhoneNumber"],
        "Status": "CLAIMED",
    }


def test_claim_is_waited_for(harness: Harness, kind: Kind) -> None:
    harness.telecom.configure(claim_seconds=0.3)

    stack, _ = deploy(harness, kind)

    assert stack.attributes["Number"]["Status"] == "CLAIMED"
    assert harness.calls(CONNECT)["ClaimPhoneNumber"] == 1


def test_failed_claim_is_reported_with_its_id_and_not_released(harness: Harness, kind: Kind) -> None:
    """The service removes a failed claim by itself."""
    harness.telecom.configure(connect_numbers=0, claim_release_limit=float("inf"))

    physical_id = assert_create_fails(harness, kind, "NotStabilized", "limit")

    assert ":phone-number/" in physical_id
    assert "ReleasePhoneNumber" not in harness.calls(CONNECT)
    assert harness.held() == {}


@pytest.mark.parametrize("call", ["SearchAvailablePhoneNumbers", "ClaimPhoneNumber"])
def test_exceeded_limit_is_a_failure_and_not_a_throttle(harness: Harness, kind: Kind, call: str) -> None:
    """Connect sends HTTP status 429 with it. As a throttle, the call would be repeated until ServiceTimeout."""
    limit = {"code": "LimitExceededException", "status": 429, "message": "The allowed limit has been exceeded."}
    fault(harness, f"{CONNECT}.{call}", "error", times=999, **limit)

    assert_create_fails(harness, kind, "ServiceLimitExceeded", call, "Service Quotas")

    assert harness.calls(CONNECT)[call] == 1
    assert harness.held() == {}


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
    harness: Harness, kind: Kind, change: dict[str, Any], calls: dict[str, int]
) -> None:
    stack, physical_id = deploy(harness, kind)

    made = harness.calls_of(lambda: stack.deploy(template(kind.properties | change, kind)))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert made == {f"{CONNECT}.{name}": n for name, n in calls.items()}
    assert stack.physical_ids["Number"] == physical_id


def test_number_moves_to_another_target_and_keeps_its_id(harness: Harness, kind: Kind) -> None:
    harness.telecom.configure(update_seconds=0.1)
    other = connect_instance(harness)
    stack, physical_id = deploy(harness, kind)

    stack.deploy(template(kind.properties | {"TargetArn": other, "Description": "moved"}, kind))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    found = described(harness, physical_id)
    assert (found["TargetArn"], found["PhoneNumberDescription"]) == (other, "moved")
    assert stack.physical_ids["Number"] == physical_id


def test_number_is_claimed_to_a_traffic_distribution_group(harness: Harness, kind: Kind) -> None:
    instance_id = kind.properties["TargetArn"].rsplit("/", 1)[-1]
    group = harness.connect.create_traffic_distribution_group(Name="group", InstanceId=instance_id)["Arn"]

    _, physical_id = deploy(harness, kind, TargetArn=group)

    assert described(harness, physical_id)["TargetArn"] == group


def full_instance(harness: Harness) -> str:
    """An instance that has reached its quota of numbers."""
    arn = connect_instance(harness)
    for number in ("+12065560097", "+12065560098"):
        harness.connect.claim_phone_number(TargetArn=arn, PhoneNumber=number)
    harness.telecom.configure(connect_numbers=2)
    return arn


def test_move_to_full_target_fails_and_its_rollback_succeeds(harness: Harness, kind: Kind) -> None:
    stack, physical_id = deploy(harness, kind)

    changed = template(kind.properties | {"TargetArn": full_instance(harness)}, kind)
    assert_rolled_back(stack, changed, "NotStabilized", physical_id, "limit")

    assert stack.physical_ids["Number"] == physical_id
    assert described(harness, physical_id)["TargetArn"] == kind.properties["TargetArn"]


def test_number_whose_move_failed_can_be_updated_and_deleted(harness: Harness, kind: Kind) -> None:
    stack, physical_id = deploy(harness, kind)
    full = full_instance(harness)

    def fail_to_move() -> None:
        harness.connect.update_phone_number(PhoneNumberId=physical_id, TargetArn=full)
        assert described(harness, physical_id)["PhoneNumberStatus"]["Status"] == "FAILED"

    fail_to_move()
    stack.deploy(template(kind.properties | {"Description": "changed"}, kind))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert described(harness, physical_id)["PhoneNumberDescription"] == "changed"
    fail_to_move()
    assert stack.delete() == "DELETE_COMPLETE"
    assert physical_id not in harness.ids()


EXACT = {"CountryCode": None, "Type": None, "PhoneNumber": "+12125560042"}


@pytest.mark.parametrize(("declared", "begins"), [({"Prefix": "+1504"}, "+1504"), (EXACT, "+12125560042")], ids=str)
def test_number_is_the_declared_one_or_begins_with_declared_prefix(
    harness: Harness, kind: Kind, declared: dict[str, Any], begins: str
) -> None:
    stack, _ = deploy(harness, kind, **declared)

    assert stack.attributes["Number"]["Address"].startswith(begins)
    assert ("SearchAvailablePhoneNumbers" in harness.calls(CONNECT)) is (declared is not EXACT)


def test_prefix_can_be_longer_than_that_of_the_api(harness: Harness, kind: Kind) -> None:
    """The native type accepts 15 digits, SearchAvailablePhoneNumbers eleven. They leave ten numbers here."""
    exact = "+353800550042"
    stack, _ = deploy(harness, kind, CountryCode="IE", Type="TOLL_FREE", Prefix=exact)

    assert stack.attributes["Number"]["Address"] == exact
    assert harness.calls(CONNECT)["SearchAvailablePhoneNumbers"] == 1

    none = kind.properties | {"CountryCode": "IE", "Type": "TOLL_FREE", "Prefix": "+3538005500431"}
    assert_reason(send_create(harness, kind, logical_id="Other", properties=none), "NotFound", "IE", "Prefix")


def test_unavailable_declared_number_is_not_replaced_by_another(harness: Harness, kind: Kind) -> None:
    harness.connect.claim_phone_number(TargetArn=kind.properties["TargetArn"], PhoneNumber="+12125560042")

    assert_create_fails(harness, kind, "ResourceConflict", "ClaimPhoneNumber", " PhoneNumber", **EXACT)

    assert harness.held() == {"connect_numbers": 1}


def test_next_candidate_is_claimed_after_a_lost_race(harness: Harness, kind: Kind) -> None:
    harness.telecom.configure(race_losses=3)

    deploy(harness, kind)

    calls = harness.calls(CONNECT)
    assert (calls["SearchAvailablePhoneNumbers"], calls["ClaimPhoneNumber"]) == (1, 4)
    assert harness.held() == {"connect_numbers": 1}


def test_number_of_claims_is_bounded_if_every_race_is_lost(harness: Harness, kind: Kind) -> None:
    harness.telecom.configure(race_losses=999)

    assert assert_create_fails(harness, kind, "ResourceConflict", "ClaimPhoneNumber").startswith("not-created:")

    assert harness.calls(CONNECT)["ClaimPhoneNumber"] <= 10
    assert harness.held() == {}


def test_claim_with_unknown_result_is_not_followed_by_a_claim_of_another_number(harness: Harness, kind: Kind) -> None:
    """The response is lost and the token forgotten: the number is unavailable because the provider has claimed it."""
    harness.telecom.configure(forget_tokens=True)
    harness.telecom.fault(CONNECT, "ClaimPhoneNumber", "lose_answer", times=3)

    deploy(harness, kind)

    assert harness.held() == {"connect_numbers": 1}


def test_empty_inventory_is_reported(harness: Harness, kind: Kind) -> None:
    assert_create_fails(harness, kind, "NotFound", "UIFN", "CH", Type="UIFN", CountryCode="CH")

    assert "ClaimPhoneNumber" not in harness.calls(CONNECT)


def test_concurrent_creates_each_claim_a_number(harness: Harness, kind: Kind) -> None:
    stack = harness.cloudformation.stack("numbers")
    resources = {f"Number{n}": {"Type": kind.type, "Properties": kind.properties} for n in range(4)}

    assert stack.deploy({"Resources": resources}) == "CREATE_COMPLETE", stack.events

    assert harness.held() == {"connect_numbers": 4}


def imported(harness: Harness) -> tuple[dict[str, Any], dict[str, Any]]:
    """A number of AWS End User Messaging SMS, and the properties that import it."""
    number_id = request_number(harness, NumberType="TOLL_FREE")
    [source] = harness.sms.describe_phone_numbers(PhoneNumberIds=[number_id])["PhoneNumbers"]
    declared = {"CountryCode": None, "Type": None, "SourcePhoneNumberArn": source["PhoneNumberArn"]}
    return dict(source), declared


def test_sms_number_is_imported(harness: Harness, kind: Kind) -> None:
    source, declared = imported(harness)

    stack, _ = deploy(harness, kind, **declared)

    assert stack.attributes["Number"]["Address"] == source["PhoneNumber"]
    assert harness.calls(CONNECT)["ImportPhoneNumber"] == 1
    assert "ClaimPhoneNumber" not in harness.calls(CONNECT)
    assert stack.delete() == "DELETE_COMPLETE"
    assert harness.held() == {"phone_numbers": 1}


@pytest.mark.parametrize("forgets", [False, True])
def test_import_whose_response_was_lost_is_found(harness: Harness, kind: Kind, forgets: bool) -> None:
    harness.telecom.configure(forget_tokens=forgets)
    _, declared = imported(harness)
    harness.telecom.fault(CONNECT, "ImportPhoneNumber", "lose_answer", times=2)

    deploy(harness, kind, **declared)

    assert harness.held() == {"phone_numbers": 1, "connect_numbers": 1}


def test_tags_and_description_are_set_by_the_claim(harness: Harness, kind: Kind) -> None:
    stack, physical_id = deploy(harness, kind, Description=SECRET, Tags=[{"Key": "code", "Value": SECRET}])

    found = described(harness, physical_id)
    assert found["PhoneNumberDescription"] == SECRET
    assert found["Tags"]["code"] == SECRET
    assert found["Tags"]["cfn-telephony:stack-id"] == stack.stack_id
    assert "UpdatePhoneNumberMetadata" not in harness.calls(CONNECT)

    stack.deploy(template(kind.properties | {"Tags": []}, kind))
    names = ("issued-at", "logical-id", "managed-by", "request-id", "stack-id")
    assert sorted(described(harness, physical_id)["Tags"]) == [f"cfn-telephony:{name}" for name in names]


def test_delete_during_claim_waits_for_it_and_releases(harness: Harness, kind: Kind) -> None:
    harness.telecom.configure(claim_seconds=3600)
    fields: dict[str, Any] = {"resource_type": kind.type, "properties": kind.properties}
    with environment(RETRY_PERIOD_SECONDS="30"):
        created = harness.post("Create", **fields)
        wait_until(lambda: any(row["purchase_state"]["S"] == "BOUGHT" for row in harness.purchases()))
        deleted = harness.post("Delete", physical_id=GENERATED_ID, **fields)
        wait_until(lambda: canceled(harness))
        harness.telecom.clock.advance(3600)
        assert harness.response(deleted)["Status"] == "SUCCESS"

    assert harness.sink.responses(created)[0]["Status"] == "FAILED"
    assert harness.held() == {}


def test_blocked_claims_are_reported(harness: Harness, kind: Kind) -> None:
    harness.telecom.configure(claim_release_limit=0)

    assert_create_fails(harness, kind, "ServiceLimitExceeded", "ClaimPhoneNumber", "InvalidParameterException")

    assert harness.held() == {}


def test_claim_of_an_earlier_attempt_is_found_without_a_search(harness: Harness, kind: Kind) -> None:
    harness.telecom.fault("dynamodb", "TransactWriteItems", "error", code="ResourceNotFoundException", after=1)
    search: dict[str, Any] = {"code": "InternalServiceException", "status": 500, "after": 1, "times": 99}
    harness.telecom.fault(CONNECT, "SearchAvailablePhoneNumbers", "error", **search)

    response = send_create(harness, kind)

    assert (response["Status"], [response["PhysicalResourceId"]]) == ("SUCCESS", harness.ids())
    assert (len(harness.invoker.invocations), len(harness.invoker.steps)) == (1, 1)


def test_claim_of_a_declared_number_that_was_refused_has_another_token(harness: Harness, kind: Kind) -> None:
    """The services pin a failure to its ClientToken."""
    target = kind.properties["TargetArn"]
    found = harness.connect.search_available_phone_numbers(
        TargetArn=target, PhoneNumberCountryCode="US", PhoneNumberType="DID"
    )["AvailableNumbersList"][0]["PhoneNumber"]
    fault(harness, kind.buys, "error", code="ResourceConflictException", message="Busy.", status=409)

    create(harness, kind, properties={"TargetArn": target, "PhoneNumber": found})

    tokens = [call["token"] for call in harness.telecom.log() if call["operation"] == "ClaimPhoneNumber"]
    assert len(set(tokens)) == len(tokens) == 2
