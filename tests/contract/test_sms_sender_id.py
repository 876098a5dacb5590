"""Custom::SmsSenderId through its life cycle, driven by CloudFormation."""

from __future__ import annotations

from typing import Any

import pytest

from local.telecom.sms_voice.records import SenderId
from tests.conftest import SECRET, SMS, Harness
from tests.contract.declarations import SMS_SENDER_ID, template
from tests.contract.steps import (
    DENIED,
    OTHER_STACK,
    PROTECTED,
    REPLACEABLE,
    assert_reason,
    assert_rolled_back,
    create,
    create_pool,
    delete,
    deploy,
    environment,
    fault,
    is_protected,
    join_pool,
    protect,
    send_create,
)

ACME: dict[str, Any] = SMS_SENDER_ID.properties
EXISTS = pytest.mark.parametrize(
    "behaviors", [frozenset(), frozenset({"sms.sender_id.exists"})], ids=["returned again", "refused"]
)
"""The two behaviors of the service for a sender ID that exists already."""


def described(harness: Harness) -> dict[str, Any]:
    acme: Any = [{"SenderId": "ACME", "IsoCountryCode": "GB"}]
    [found] = harness.sms.describe_sender_ids(SenderIds=acme)["SenderIds"]
    return dict(found)


def tags(harness: Harness) -> dict[str, str]:
    found = harness.sms.list_tags_for_resource(ResourceArn=described(harness)["SenderIdArn"])["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def test_ref_is_country_and_sender_id_and_attributes_are_those_of_the_service(harness: Harness) -> None:
    stack, _ = deploy(harness, SMS_SENDER_ID)

    found = described(harness)
    assert stack.physical_ids["Number"] == "GB|ACME"
    assert stack.attributes["Number"] == {
        "Arn": found["SenderIdArn"],
        "SenderId": "ACME",
        "IsoCountryCode": "GB",
        "Registered": "false",
        "RegistrationId": "",
        "MonthlyLeasingPrice": found["MonthlyLeasingPrice"],
    }


@pytest.mark.shows("update in place")
@pytest.mark.parametrize(
    ("change", "calls"),
    [
        (PROTECTED, {"UpdateSenderId": 1}),
        ({"Tags": [{"Key": "team", "Value": "billing"}]}, {"TagResource": 1}),
        ({"Trigger": "1"}, {}),
        ({"MessageTypes": ["TRANSACTIONAL"]}, {}),
        ({"OnDelete": {"LeavePools": True}}, {}),
        *(({"SenderId": spelling, "Trigger": "1"}, {}) for spelling in ("acme", "ACME", "AcMe")),
    ],
    ids=str,
)
def test_update_in_place_reads_id_and_tags_once_and_makes_the_calls_for_the_difference(
    harness: Harness, change: dict[str, Any], calls: dict[str, int]
) -> None:
    stack, _ = deploy(harness, SMS_SENDER_ID)

    made = harness.calls_of(lambda: stack.deploy(template(ACME | change, SMS_SENDER_ID)))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    reads = {"DescribeSenderIds": 1, "ListTagsForResource": 1}
    assert made == {f"{SMS}.{name}": n for name, n in (reads | calls).items()}
    assert stack.physical_ids["Number"] == "GB|ACME"


def test_message_types_are_requested_and_compared_without_order_or_case(harness: Harness) -> None:
    stack, _ = deploy(harness, SMS_SENDER_ID, MessageTypes=["TRANSACTIONAL", "PROMOTIONAL"])
    assert sorted(name.upper() for name in described(harness)["MessageTypes"]) == ["PROMOTIONAL", "TRANSACTIONAL"]

    stack.deploy(template(ACME | {"MessageTypes": ["PROMOTIONAL", "TRANSACTIONAL"]}, SMS_SENDER_ID))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert harness.calls(SMS)["RequestSenderId"] == 1


@pytest.mark.parametrize("allowed", [None, True, "GB|ACME"])
def test_replacement_by_same_sender_id_is_refused_even_if_allowed(harness: Harness, allowed: object) -> None:
    stack, _ = deploy(harness, SMS_SENDER_ID)

    changed = template(ACME | {"MessageTypes": ["PROMOTIONAL"], "AllowReplacement": allowed}, SMS_SENDER_ID)
    assert_rolled_back(stack, changed, "NotUpdatable", "MessageTypes", "GB|ACME")

    assert "AllowReplacement" not in stack.reasons("Number")[0], "it does not help here"
    assert harness.ids() == ["GB|ACME"]
    assert harness.calls(SMS)["RequestSenderId"] == 1


def test_another_country_is_another_sender_id(harness: Harness) -> None:
    stack, _ = deploy(harness, SMS_SENDER_ID)

    stack.deploy(template(ACME | {"IsoCountryCode": "FR", "AllowReplacement": "GB|ACME"}, SMS_SENDER_ID))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert harness.ids() == ["FR|ACME"]


def test_replacement_can_return_to_first_sender_id(harness: Harness) -> None:
    """GB|ACME, GB|ACME2, GB|ACME: the history of the first GB|ACME does not apply to the second."""
    stack, _ = deploy(harness, SMS_SENDER_ID)
    stack.deploy(template(ACME | REPLACEABLE | {"SenderId": "ACME2"}, SMS_SENDER_ID))
    assert harness.ids() == ["GB|ACME2"]

    stack.deploy(template(ACME | REPLACEABLE, SMS_SENDER_ID))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert harness.ids() == ["GB|ACME"]
    assert stack.delete() == "DELETE_COMPLETE"
    assert harness.held() == {}


@pytest.mark.shows("sender ID exists and belongs to another owner")
@EXISTS
@pytest.mark.parametrize("protected", [False, True])
def test_unmanaged_sender_id_is_refused_and_its_delete_does_nothing(
    harness: Harness, behaviors: frozenset[str], protected: bool
) -> None:
    harness.telecom.configure(on=behaviors)
    harness.sms.request_sender_id(SenderId="ACME", IsoCountryCode="GB", DeletionProtectionEnabled=protected)

    declared = template(ACME | PROTECTED, SMS_SENDER_ID)
    assert_rolled_back(harness.cloudformation.stack("numbers"), declared, "AlreadyExists", "ACME", "GB")

    assert harness.ids() == ["GB|ACME"]
    assert is_protected(harness, SMS_SENDER_ID, "GB|ACME") is protected
    assert "ReleaseSenderId" not in harness.calls(SMS)
    assert tags(harness) == {}


@pytest.mark.shows("sender ID exists and belongs to another owner")
@EXISTS
@pytest.mark.parametrize("other", [{"stack_id": OTHER_STACK}, {"logical_id": "Twin"}], ids=["stacks", "resources"])
def test_two_resources_cannot_have_the_same_sender_id(
    harness: Harness, behaviors: frozenset[str], other: dict[str, str]
) -> None:
    harness.telecom.configure(on=behaviors)
    first = create(harness, SMS_SENDER_ID)

    refused = send_create(harness, SMS_SENDER_ID, **other)

    assert_reason(refused, "AlreadyExists", "ACME", "GB")
    assert delete(harness, SMS_SENDER_ID, refused["PhysicalResourceId"], **other)["Status"] == "SUCCESS"
    assert harness.ids() == [first]
    assert delete(harness, SMS_SENDER_ID, first)["Status"] == "SUCCESS"
    assert harness.held() == {}


def test_own_sender_id_is_recognized_after_a_lost_response(harness: Harness) -> None:
    harness.telecom.configure(on=frozenset({"sms.sender_id.exists"}), forget_tokens=True)
    harness.telecom.fault(SMS, "RequestSenderId", "lose_answer")

    assert create(harness, SMS_SENDER_ID) == "GB|ACME"


def test_replacement_by_existing_sender_id_keeps_the_present_one(harness: Harness) -> None:
    harness.sms.request_sender_id(SenderId="TAKEN", IsoCountryCode="GB")
    stack, _ = deploy(harness, SMS_SENDER_ID)

    changed = template(ACME | REPLACEABLE | {"SenderId": "Taken"}, SMS_SENDER_ID)
    assert_rolled_back(stack, changed, "AlreadyExists", "TAKEN", "GB")

    assert sorted(harness.ids()) == ["GB|ACME", "GB|TAKEN"]
    assert stack.physical_ids["Number"] == "GB|ACME"


def test_ownership_tags_stay_if_declared_tags_are_removed(harness: Harness) -> None:
    stack, _ = deploy(harness, SMS_SENDER_ID, Tags=[{"Key": "code", "Value": SECRET}])
    ownership = {key for key in tags(harness) if key.startswith("cfn-telephony:")}
    assert len(ownership) == 5
    assert tags(harness)["code"] == SECRET

    stack.deploy(template(ACME | {"Tags": []}, SMS_SENDER_ID))

    assert set(tags(harness)) == ownership


@pytest.mark.parametrize("call", ["DescribePools", "ListPoolOriginationIdentities"])
def test_sender_id_is_released_although_a_pool_is_deleted_during_the_search(harness: Harness, call: str) -> None:
    declared = ACME | {"OnDelete": {"LiftDeletionProtection": True, "LeavePools": True}}
    physical_id = create(harness, SMS_SENDER_ID, properties=declared)
    protect(harness, physical_id)
    join_pool(harness, create_pool(harness), physical_id)
    fault(harness, f"{SMS}.{call}", "error", code="ResourceNotFoundException", message="The pool does not exist.")

    assert delete(harness, SMS_SENDER_ID, physical_id, properties=declared)["Status"] == "SUCCESS"

    assert physical_id not in harness.ids()


def test_create_that_is_continued_does_not_change_the_sender_id_of_a_new_owner(harness: Harness) -> None:
    declared = ACME | PROTECTED | {"Tags": [{"Key": "team", "Value": "a"}]}
    fault(harness, SMS_SENDER_ID.updates, "throttle")
    with environment(POLL_INTERVAL_SECONDS="3"), harness.function(continues=False) as function:
        request = function.post("Create", resource_type=SMS_SENDER_ID.type, properties=declared)
        function.invoker.settle()
        harness.sms.release_sender_id(SenderId="ACME", IsoCountryCode="GB")
        harness.sms.request_sender_id(SenderId="ACME", IsoCountryCode="GB", Tags=[{"Key": "owner", "Value": "another"}])
    before = harness.telecom.held()

    harness.invoker.resume()

    assert harness.response(request)["Status"] == "FAILED"
    assert harness.telecom.held() == before


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.parametrize("failure", [DENIED, {"code": "ThrottlingException"}])
def test_sender_id_whose_tags_can_not_be_read_is_not_lost(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, failure: dict[str, Any]
) -> None:
    """The service may leave the tags out of its response."""
    monkeypatch.setattr(SenderId, "tags_response", lambda _: {})
    fault(harness, f"{SMS}.ListTagsForResource", "error", times=200, **failure)
    with harness.function(continues=False) as function:
        function.post("Create", resource_type=SMS_SENDER_ID.type, properties=ACME)
        function.invoker.settle()
    harness.queue.reset()
    harness.telecom.clear_faults()

    assert delete(harness, SMS_SENDER_ID)["Status"] == "SUCCESS"

    assert harness.held() == {}
