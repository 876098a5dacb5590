"""Custom::ConnectPhoneNumber through its whole life, as CloudFormation drives it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import CONNECT, SECRET, SMS, Laptop, connect_instance
from tests.contract.cloudformation import Stack
from tests.contract.declarations import SIMULATOR, Kind, connect_phone_number, template


@pytest.fixture
def kind(laptop: Laptop) -> Kind:
    return connect_phone_number(connect_instance(laptop))


def deployed(laptop: Laptop, kind: Kind, **more: Any) -> Stack:
    stack = laptop.cloudformation.stack("connect")
    declared = {name: value for name, value in (kind.properties | more).items() if value is not None}
    assert stack.deploy(template(declared, kind)) == "CREATE_COMPLETE", stack.reasons("Number")
    return stack


def described(laptop: Laptop, physical_id: str) -> dict[str, Any]:
    return dict(laptop.connect.describe_phone_number(PhoneNumberId=physical_id)["ClaimedPhoneNumberSummary"])


def test_a_declared_number_is_claimed_once_and_released_with_its_stack(laptop: Laptop, kind: Kind) -> None:
    stack = deployed(laptop, kind)

    calls = laptop.calls(CONNECT)
    assert (calls["SearchAvailablePhoneNumbers"], calls["ClaimPhoneNumber"]) == (1, 1)
    assert laptop.ids() == [stack.physical_ids["Number"]]
    assert stack.delete() == "DELETE_COMPLETE"
    assert laptop.held() == {}
    assert laptop.calls(CONNECT)["ReleasePhoneNumber"] == 1


def test_ref_is_the_arn_and_every_attribute_is_what_the_service_says(laptop: Laptop, kind: Kind) -> None:
    stack = deployed(laptop, kind)

    found = described(laptop, stack.physical_ids["Number"])
    assert stack.physical_ids["Number"] == found["PhoneNumberArn"]
    assert stack.attributes["Number"] == {
        "PhoneNumberArn": found["PhoneNumberArn"],
        "PhoneNumberId": found["PhoneNumberId"],
        "Address": found["PhoneNumber"],
        "Status": "CLAIMED",
    }


def test_a_claim_is_waited_for_to_its_end(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(claim_seconds=0.3)

    stack = deployed(laptop, kind)

    assert stack.attributes["Number"]["Status"] == "CLAIMED"
    assert laptop.calls(CONNECT)["ClaimPhoneNumber"] == 1


def test_a_claim_that_fails_is_told_with_its_message_keeps_its_id_and_is_left_to_lapse(
    laptop: Laptop, kind: Kind
) -> None:
    laptop.telecom.configure(connect_numbers=0, claim_release_limit=float("inf"))
    stack = laptop.cloudformation.stack("connect")

    stack.deploy(template(kind.properties, kind))

    assert stack.status == "ROLLBACK_COMPLETE"
    [reason] = stack.reasons("Number")
    assert "NotStabilized" in reason
    assert "limit" in reason
    assert ":phone-number/" in stack.sent("Number")[1][1]
    assert laptop.calls(CONNECT).get("ReleasePhoneNumber") is None
    assert laptop.held() == {}


@pytest.mark.shows("a change in place")
@pytest.mark.parametrize(
    ("change", "calls"),
    [
        ({"Description": "front desk"}, {"UpdatePhoneNumberMetadata": 1, "DescribePhoneNumber": 2}),
        ({"Tags": [{"Key": "team", "Value": "billing"}]}, {"TagResource": 1, "DescribePhoneNumber": 1}),
        ({"Trigger": "1"}, {"DescribePhoneNumber": 1}),
        ({"Prefix": "+1504"}, {"DescribePhoneNumber": 1}),
        ({"AllowReplacement": True}, {"DescribePhoneNumber": 1}),
    ],
    ids=str,
)
def test_a_change_in_place_is_one_read_and_what_differs(
    laptop: Laptop, kind: Kind, change: dict[str, Any], calls: dict[str, int]
) -> None:
    stack = deployed(laptop, kind)
    before = stack.physical_ids

    made = laptop.calls_of(lambda: stack.deploy(template(kind.properties | change, kind)))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    # A change takes its time there: it is looked at once more to see it through.
    assert made == {f"{CONNECT}.{name}": n for name, n in calls.items()}
    assert stack.physical_ids == before


def test_a_number_moves_to_another_target_and_keeps_its_id(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(update_seconds=0.1)
    other = connect_instance(laptop)
    stack = deployed(laptop, kind)
    before = stack.physical_ids

    stack.deploy(template(kind.properties | {"TargetArn": other, "Description": "moved"}, kind))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    found = described(laptop, before["Number"])
    assert (found["TargetArn"], found["PhoneNumberDescription"]) == (other, "moved")
    assert stack.physical_ids == before


def test_a_number_is_claimed_to_a_traffic_distribution_group(laptop: Laptop, kind: Kind) -> None:
    group = laptop.connect.create_traffic_distribution_group(
        Name="group", InstanceId=kind.properties["TargetArn"].rsplit("/", 1)[-1]
    )["Arn"]

    stack = deployed(laptop, kind, TargetArn=group)

    assert described(laptop, stack.physical_ids["Number"])["TargetArn"] == group


def full_instance(laptop: Laptop) -> str:
    """An instance that has as many numbers as it may."""
    arn = connect_instance(laptop)
    for number in ("+12065560097", "+12065560098"):
        laptop.connect.claim_phone_number(TargetArn=arn, PhoneNumber=number)
    laptop.telecom.configure(connect_numbers=2)
    return arn


def test_a_move_to_a_full_target_fails_and_its_rollback_succeeds(laptop: Laptop, kind: Kind) -> None:
    stack = deployed(laptop, kind)
    before = stack.physical_ids

    stack.deploy(template(kind.properties | {"TargetArn": full_instance(laptop)}, kind))

    assert "limit" in stack.reasons("Number")[0]
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE", stack.reasons("Number")
    assert stack.physical_ids == before
    assert described(laptop, before["Number"])["TargetArn"] == kind.properties["TargetArn"]


def test_a_number_whose_last_move_failed_can_still_be_changed(laptop: Laptop, kind: Kind) -> None:
    stack = deployed(laptop, kind)
    physical_id = stack.physical_ids["Number"]
    laptop.connect.update_phone_number(PhoneNumberId=physical_id, TargetArn=full_instance(laptop))
    assert described(laptop, physical_id)["PhoneNumberStatus"]["Status"] == "FAILED"

    stack.deploy(template(kind.properties | {"Description": "still ours"}, kind))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert described(laptop, physical_id)["PhoneNumberDescription"] == "still ours"


def test_a_number_whose_last_move_failed_can_still_be_deleted(laptop: Laptop, kind: Kind) -> None:
    stack = deployed(laptop, kind)
    physical_id = stack.physical_ids["Number"]
    laptop.connect.update_phone_number(PhoneNumberId=physical_id, TargetArn=full_instance(laptop))

    assert stack.delete() == "DELETE_COMPLETE"
    assert physical_id not in laptop.ids()


def test_a_prefix_is_what_the_number_begins_with(laptop: Laptop, kind: Kind) -> None:
    stack = deployed(laptop, kind, Prefix="+1504")

    assert stack.attributes["Number"]["Address"].startswith("+1504")


def test_exactly_the_declared_number_is_claimed_without_a_search(laptop: Laptop, kind: Kind) -> None:
    stack = deployed(laptop, kind, CountryCode=None, Type=None, PhoneNumber="+12125560042")

    assert stack.attributes["Number"]["Address"] == "+12125560042"
    assert "SearchAvailablePhoneNumbers" not in laptop.calls(CONNECT)


def test_a_declared_number_that_is_taken_is_not_replaced_by_another(laptop: Laptop, kind: Kind) -> None:
    target = kind.properties["TargetArn"]
    laptop.connect.claim_phone_number(TargetArn=target, PhoneNumber="+12125560042")
    stack = laptop.cloudformation.stack("connect")

    stack.deploy(template({"TargetArn": target, "PhoneNumber": "+12125560042"}, kind))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert "ResourceConflict" in stack.reasons("Number")[0]
    assert "Declare another PhoneNumber" in stack.reasons("Number")[0]
    assert laptop.held() == {"connect_numbers": 1}


def test_a_lost_race_is_followed_by_the_next_candidate(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(race_losses=3)

    deployed(laptop, kind)

    calls = laptop.calls(CONNECT)
    assert (calls["SearchAvailablePhoneNumbers"], calls["ClaimPhoneNumber"]) == (1, 4)
    assert laptop.held() == {"connect_numbers": 1}


def test_races_that_are_always_lost_end_after_a_bounded_number_of_claims(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(race_losses=999)
    stack = laptop.cloudformation.stack("connect")

    stack.deploy(template(kind.properties, kind))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert stack.sent("Number")[1][1].startswith("not-created:")
    assert laptop.calls(CONNECT)["ClaimPhoneNumber"] <= 10
    assert laptop.held() == {}


def test_a_claim_of_unknown_effect_is_never_followed_by_a_claim_of_another_number(laptop: Laptop, kind: Kind) -> None:
    """Claimed, its answer lost and its token forgotten: the number reads as taken, by ourselves."""
    laptop.telecom.configure(forget_tokens=True)
    laptop.telecom.fault(CONNECT, "ClaimPhoneNumber", "lose_answer", times=3)

    deployed(laptop, kind)

    assert laptop.held() == {"connect_numbers": 1}


def test_nothing_to_be_had_is_told(laptop: Laptop, kind: Kind) -> None:
    stack = laptop.cloudformation.stack("connect")

    stack.deploy(template(kind.properties | {"Type": "UIFN", "CountryCode": "CH"}, kind))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert "No UIFN number of CH" in stack.reasons("Number")[0]
    assert "ClaimPhoneNumber" not in laptop.calls(CONNECT)


def test_two_stacks_that_search_at_the_same_time_each_get_a_number(laptop: Laptop, kind: Kind) -> None:
    stack = laptop.cloudformation.stack("connect")
    resources = {f"Number{n}": {"Type": kind.type, "Properties": kind.properties} for n in range(4)}

    assert stack.deploy({"Resources": resources}) == "CREATE_COMPLETE", stack.events

    assert laptop.held() == {"connect_numbers": 4}


def test_a_number_of_the_sms_service_is_imported(laptop: Laptop, kind: Kind) -> None:
    source = laptop.sms.request_phone_number(**SIMULATOR | {"NumberType": "TOLL_FREE"}, MessageType="TRANSACTIONAL")
    stack = deployed(laptop, kind, CountryCode=None, Type=None, SourcePhoneNumberArn=source["PhoneNumberArn"])

    assert stack.attributes["Number"]["Address"] == source["PhoneNumber"]
    assert laptop.calls(CONNECT)["ImportPhoneNumber"] == 1
    assert "ClaimPhoneNumber" not in laptop.calls(CONNECT)
    assert stack.delete() == "DELETE_COMPLETE"
    assert laptop.held() == {"phone_numbers": 1}


@pytest.mark.parametrize("forgets", [False, True])
def test_an_import_whose_answer_was_lost_is_found_again(laptop: Laptop, kind: Kind, forgets: bool) -> None:
    laptop.telecom.configure(forget_tokens=forgets)
    source = laptop.sms.request_phone_number(**SIMULATOR | {"NumberType": "TOLL_FREE"}, MessageType="TRANSACTIONAL")
    laptop.telecom.fault(CONNECT, "ImportPhoneNumber", "lose_answer", times=2)

    deployed(laptop, kind, CountryCode=None, Type=None, SourcePhoneNumberArn=source["PhoneNumberArn"])

    assert laptop.held() == {"phone_numbers": 1, "connect_numbers": 1}


def test_tags_and_description_go_with_the_claim(laptop: Laptop, kind: Kind) -> None:
    stack = deployed(laptop, kind, Description=SECRET, Tags=[{"Key": "code", "Value": SECRET}])

    found = described(laptop, stack.physical_ids["Number"])
    assert found["PhoneNumberDescription"] == SECRET
    assert found["Tags"]["code"] == SECRET
    assert found["Tags"]["cfn-telephony:stack-id"] == stack.stack_id
    assert "UpdatePhoneNumberMetadata" not in laptop.calls(CONNECT)

    stack.deploy(template(kind.properties | {"Tags": []}, kind))
    left = described(laptop, stack.physical_ids["Number"])["Tags"]
    assert sorted(left) == [f"cfn-telephony:{name}" for name in ("logical-id", "managed-by", "request-id", "stack-id")]


def test_a_delete_during_a_claim_waits_for_it_and_releases(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(claim_seconds=0.4)
    created = laptop.post("Create", resource_type=kind.type, properties=kind.properties)
    while "ClaimPhoneNumber" not in laptop.calls(CONNECT):
        pass

    laptop.send(
        "Delete", resource_type=kind.type, properties=kind.properties, physical_id="example-Number-1A2B3C4D5E6F"
    )

    assert laptop.sink.answers(created)[0]["Status"] == "FAILED"
    assert laptop.held() == {}


def test_a_service_that_blocks_claims_says_so(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(claim_release_limit=0)
    stack = laptop.cloudformation.stack("connect")

    stack.deploy(template(kind.properties, kind))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert "ClaimPhoneNumber refused" in stack.reasons("Number")[0]
    assert laptop.held() == {}


def test_nothing_of_connect_is_asked_of_the_sms_service(laptop: Laptop, kind: Kind) -> None:
    stack = deployed(laptop, kind)
    stack.delete()

    assert laptop.calls(SMS) == {}


def test_what_an_earlier_run_claimed_is_answered_though_nothing_can_be_searched(laptop: Laptop) -> None:
    kind = connect_phone_number(connect_instance(laptop))
    laptop.telecom.fault("dynamodb", "UpdateItem", "error", code="ResourceNotFoundException", after=2)
    search: dict[str, Any] = {"code": "InternalServiceException", "status": 500, "after": 1, "times": 99}
    laptop.telecom.fault(CONNECT, "SearchAvailablePhoneNumbers", "error", **search)

    answer = laptop.send("Create", resource_type=kind.type, properties=kind.properties)

    assert (answer["Status"], [answer["PhysicalResourceId"]]) == ("SUCCESS", laptop.ids())
    assert [run.outcome for run in laptop.invoker.invocations] == ["raised", "returned"]
