"""A Delete releases the number of its own resource, and nothing else."""

from __future__ import annotations

import time
from typing import Any

import pytest

from telephony import resources
from telephony.model.resource import ReleasePolicy
from tests.conftest import SMS, STACK_ID, Harness
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind
from tests.contract.steps import (
    DENIED,
    GENERATED_ID,
    IN_REVIEW,
    OTHER_STACK,
    PROTECTED,
    REPLACEABLE,
    SERVER_ERROR,
    SMS_KINDS,
    assert_delete_fails,
    assert_reason,
    create,
    create_pool,
    delete,
    deploy,
    environment,
    fault,
    is_protected,
    join_pool,
    lose_purchase,
    request_number,
    send_create,
    update,
)

__all__ = ["OTHER_STACK", "create", "delete"]

READ_TAGS = f"{SMS}.ListTagsForResource"
LIFT = {"OnDelete": {"LiftDeletionProtection": True}}
LEAVE = {"OnDelete": {"LeavePools": True}}
LIFT_AND_LEAVE = {"OnDelete": {"LeavePools": True, "LiftDeletionProtection": True}}


@pytest.mark.shows("Delete repeated", "contract_delete_delete")
def test_delete_is_one_call_and_a_second_delete_succeeds_without_it(harness: Harness, kind: Kind) -> None:
    physical_id = create(harness, kind)
    responses: list[dict[str, Any]] = []

    first, second = (harness.calls_of(lambda: responses.append(delete(harness, kind, physical_id))) for _ in range(2))

    assert first == {kind.releases: 1} | ({READ_TAGS: 1} if kind is SMS_SENDER_ID else {})
    assert kind.releases not in second
    assert harness.held() == {}
    for response in responses:
        answered = (response["Status"], response["PhysicalResourceId"], response["Data"])
        assert answered == ("SUCCESS", physical_id, {})


@pytest.mark.shows("Delete repeated")
def test_two_concurrent_deletes_both_succeed(harness: Harness, kind: Kind) -> None:
    fields: dict[str, Any] = {"resource_type": kind.type, "properties": kind.properties}
    fields["physical_id"] = create(harness, kind)

    requests = [harness.post("Delete", **fields) for _ in range(2)]

    assert [harness.response(request)["Status"] for request in requests] == ["SUCCESS", "SUCCESS"]
    assert harness.held() == {}


@pytest.mark.shows("Delete repeated")
def test_delete_of_a_number_that_is_being_released_succeeds(harness: Harness) -> None:
    """The first release took effect, and its response was lost. The number is DISASSOCIATING for a day."""
    harness.telecom.configure(release_seconds=86_400)
    physical_id = create(harness, SMS_PHONE_NUMBER)
    harness.telecom.fault(SMS, "ReleasePhoneNumber", "lose_answer")

    assert delete(harness, SMS_PHONE_NUMBER, physical_id)["Status"] == "SUCCESS"

    [number] = harness.sms.describe_phone_numbers(PhoneNumberIds=[physical_id])["PhoneNumbers"]
    assert number["Status"] == "DISASSOCIATING"
    assert harness.calls(SMS)["ReleasePhoneNumber"] == 2
    assert delete(harness, SMS_PHONE_NUMBER, physical_id)["Status"] == "SUCCESS"
    assert_reason(update(harness, SMS_PHONE_NUMBER, physical_id, SIMULATOR), "NotFound", physical_id)


@pytest.mark.shows("Update of a released number", "Delete repeated")
def test_number_that_is_being_released_outside_is_gone(harness: Harness) -> None:
    harness.telecom.configure(release_seconds=86_400)
    physical_id = create(harness, SMS_PHONE_NUMBER)
    harness.sms.release_phone_number(PhoneNumberId=physical_id)

    assert list(resources.by_type(SMS_PHONE_NUMBER.type).list_all()) == []
    assert_reason(update(harness, SMS_PHONE_NUMBER, physical_id, SIMULATOR), "NotFound", physical_id)
    assert delete(harness, SMS_PHONE_NUMBER, physical_id)["Status"] == "SUCCESS"


def test_release_that_a_pending_number_refuses_is_not_a_success(harness: Harness) -> None:
    harness.telecom.configure(activation_seconds=86_400)
    physical_id = create(harness, SMS_PHONE_NUMBER)
    refused = {"code": "ConflictException", "reason": "RESOURCE_NOT_ACTIVE", "message": "Not active."}
    harness.telecom.fault(SMS, "ReleasePhoneNumber", "error", times=999, **refused)

    assert_reason(delete(harness, SMS_PHONE_NUMBER, physical_id), "ResourceConflict", "RESOURCE_NOT_ACTIVE")

    assert harness.ids() == [physical_id]


def release_outside(kind: Kind, physical_id: str) -> None:
    """Release it outside of CloudFormation."""
    resources.by_type(kind.type).release(physical_id, ReleasePolicy())


@pytest.mark.shows("Update of a released number", "Delete repeated")
def test_number_released_outside_cannot_be_updated_but_deleted(harness: Harness, kind: Kind) -> None:
    physical_id = create(harness, kind)
    release_outside(kind, physical_id)

    updated = update(harness, kind, physical_id, kind.properties | kind.in_place)
    assert_reason(updated, "NotFound", physical_id)
    assert updated["PhysicalResourceId"] == physical_id

    assert delete(harness, kind, physical_id)["Status"] == "SUCCESS"
    assert harness.calls()[kind.buys] == 1


@pytest.mark.shows("Delete repeated")
@pytest.mark.parametrize("exists", [False, True])
def test_denied_release_succeeds_only_if_the_number_does_not_exist(harness: Harness, kind: Kind, exists: bool) -> None:
    """The policies allow a release by the tag of the number. A number that does not exist has no tags."""
    physical_id = create(harness, kind)
    if not exists:
        release_outside(kind, physical_id)
    fault(harness, kind.releases, "error", **DENIED)

    response = delete(harness, kind, physical_id)

    if exists:
        assert_reason(response, "AccessDenied", DENIED["code"])
        assert harness.ids() == [physical_id]
    else:
        assert response["Status"] == "SUCCESS", response


@pytest.mark.shows("contract_update_without_create")
def test_update_without_create_is_not_found(harness: Harness, kind: Kind) -> None:
    """contract_update_without_create of CloudFormation's registry contract tests."""
    assert_reason(update(harness, kind, GENERATED_ID, kind.properties), "NotFound", GENERATED_ID)

    assert kind.buys not in harness.calls()


@pytest.mark.shows("forged Delete")
@pytest.mark.parametrize(
    "forged", [{"stack_id": OTHER_STACK}, {"logical_id": "Another"}], ids=["another stack", "another resource"]
)
def test_request_of_another_resource_changes_nothing(harness: Harness, kind: Kind, forged: dict[str, Any]) -> None:
    physical_id = create(harness, kind)

    assert delete(harness, kind, physical_id, **forged)["Status"] == "SUCCESS", "it owns nothing"
    for change in (kind.in_place, kind.replacing | REPLACEABLE):
        changed = update(harness, kind, physical_id, kind.properties | change, **forged)
        assert_reason(changed, "AccessDenied", physical_id)

    assert harness.ids() == [physical_id]
    assert harness.calls()[kind.buys] == 1
    assert not {kind.releases, kind.updates} & harness.calls().keys()


@pytest.mark.shows("forged Delete")
def test_delete_of_unmanaged_number_releases_nothing(harness: Harness) -> None:
    number = request_number(harness)

    assert delete(harness, SMS_PHONE_NUMBER, number, properties=SIMULATOR | LEAVE)["Status"] == "SUCCESS"

    assert harness.ids() == [number]


def lose_ledger(harness: Harness) -> None:
    for row in harness.rows():
        harness.dynamodb.delete_item(TableName=harness.table, Key={"pk": row["pk"], "sk": row["sk"]})


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.parametrize("failure", ["denied", "throttled", "unknown"])
def test_delete_fails_if_neither_ledger_nor_service_shows_the_owner(harness: Harness, kind: Kind, failure: str) -> None:
    physical_id = create(harness, kind)
    lose_ledger(harness)
    throttled: dict[str, Any] = {"code": "ThrottlingException"}
    details = {"denied": DENIED, "throttled": throttled, "unknown": SERVER_ERROR}[failure]
    fault(harness, kind.reads, "error", times=9999, **details)

    failed = delete(harness, kind, physical_id, properties=kind.properties | {"ServiceTimeout": "60"})

    assert failed["Status"] == "FAILED"
    assert harness.held() == {kind.held: 1}


def test_delete_issued_before_a_repeated_purchase_of_a_name_releases_nothing(harness: Harness) -> None:
    began = time.time() - 120
    acme = create(harness, SMS_SENDER_ID, issued_at=began)
    assert delete(harness, SMS_SENDER_ID, acme, issued_at=began + 10)["Status"] == "SUCCESS"
    assert create(harness, SMS_SENDER_ID, issued_at=began + 60) == acme

    assert delete(harness, SMS_SENDER_ID, acme, issued_at=began + 30)["Status"] == "SUCCESS"

    assert harness.ids() == [acme]


@pytest.mark.parametrize("name", ["finished", "generated"])
def test_delete_outside_of_an_operation_does_not_release_a_lost_purchase(
    harness: Harness, kind: Kind, name: str
) -> None:
    began = time.time() - 60
    first = create(harness, kind, issued_at=began)
    assert delete(harness, kind, first, issued_at=began + 10)["Status"] == "SUCCESS"
    lose_purchase(harness, kind)
    harness.telecom.configure(describe_lag_seconds=86_400)
    with harness.function(continues=False, delays=()) as function:
        function.post("Create", resource_type=kind.type, properties=kind.properties, issued_at=began + 20)
        function.invoker.settle()
    harness.telecom.clear_faults()
    harness.telecom.configure(describe_lag_seconds=0)
    harness.queue.reset()
    harness.stacks.stacks[STACK_ID].status = "UPDATE_COMPLETE"

    delete(harness, kind, first if name == "finished" else GENERATED_ID)

    assert harness.held() == {kind.held: 1}


def test_ownership_tags_identify_number_if_ledger_is_lost(harness: Harness, kind: Kind) -> None:
    physical_id = create(harness, kind)
    lose_ledger(harness)

    updated = update(harness, kind, physical_id, kind.properties | {"Trigger": "1"})
    assert updated["Status"] == "SUCCESS", updated
    assert delete(harness, kind, physical_id)["Status"] == "SUCCESS"
    assert harness.held() == {}


# -- protection, pools and registrations -------------------------------------------------------------------------------


@pytest.mark.shows("Delete of a protected number")
@pytest.mark.parametrize("declared", [{}, LEAVE, {"OnDelete": {}}], ids=str)
@SMS_KINDS
def test_deletion_protection_prevents_delete(harness: Harness, kind: Kind, declared: dict[str, Any]) -> None:
    stack, physical_id = deploy(harness, kind, **declared, **PROTECTED)

    assert_delete_fails(stack, "ResourceConflict", "DeletionProtectionEnabled", "LiftDeletionProtection")

    assert is_protected(harness, kind, physical_id)


@pytest.mark.parametrize("same_request", [False, True], ids=["new request", "same RequestId with a newer URL"])
def test_failed_delete_succeeds_once_protection_is_disabled(harness: Harness, same_request: bool) -> None:
    kind = SMS_PHONE_NUMBER
    physical_id = create(harness, kind, properties=SIMULATOR | PROTECTED)
    fields: dict[str, Any] = {"resource_type": kind.type, "properties": SIMULATOR, "physical_id": physical_id}
    failed = harness.post("Delete", issued_at=time.time() - 10, **fields)
    assert harness.response(failed)["Status"] == "FAILED"
    harness.sms.update_phone_number(PhoneNumberId=physical_id, DeletionProtectionEnabled=False)
    event = harness.invoker.invocations[-1].event

    harness.invoker.invoke(event)
    harness.invoker.settle(30)
    bodies = {put.body for put in harness.sink.puts if put.request_id == failed}
    assert len(bodies) == 1, "the same URL has the same response"
    assert harness.ids() == [physical_id]

    repeated = harness.post("Delete", request_id=failed if same_request else None, **fields)
    harness.invoker.settle(30)
    assert harness.sink.responses(repeated)[-1]["Status"] == "SUCCESS"
    assert harness.held() == {}


@pytest.mark.shows("Delete of a number in use")
@pytest.mark.parametrize("declared", [{}, LIFT], ids=str)
@SMS_KINDS
def test_pool_prevents_delete(harness: Harness, kind: Kind, declared: dict[str, Any]) -> None:
    stack, physical_id = deploy(harness, kind, **declared)
    join_pool(harness, create_pool(harness), physical_id)
    [before] = harness.telecom.held()["pools"]

    facts = ("_ASSOCIATED_TO_POOL", "DisassociateOriginationIdentity", "LeavePools")
    assert_delete_fails(stack, "ResourceConflict", *facts)

    assert physical_id in harness.ids()
    assert harness.telecom.held()["pools"] == [before]


@pytest.mark.shows("Delete of a number in use")
def test_registration_prevents_delete(harness: Harness) -> None:
    harness.telecom.fault(SMS, "ReleasePhoneNumber", "error", **IN_REVIEW)
    stack, _ = deploy(harness, SMS_PHONE_NUMBER, **LIFT_AND_LEAVE)

    assert_delete_fails(stack, "ResourceConflict", "PHONE_NUMBER_ASSOCIATED_TO_REGISTRATION")

    assert harness.calls(SMS)["ReleasePhoneNumber"] == 1
    assert stack.delete() == "DELETE_COMPLETE"
    assert harness.held() == {}


@pytest.mark.shows("Delete of a number in use")
@pytest.mark.parametrize("protected", [False, True])
def test_delete_waits_until_number_has_left_its_pool_if_allowed(harness: Harness, protected: bool) -> None:
    harness.telecom.configure(pool_release_seconds=0.3)
    pool = create_pool(harness)
    stack, _ = deploy(harness, SMS_PHONE_NUMBER, **LIFT_AND_LEAVE, PoolId=pool, DeletionProtectionEnabled=protected)

    with environment(RETRY_PERIOD_SECONDS="30"):
        assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")

    assert harness.held() == {"phone_numbers": 1}  # the other member of the pool
    assert harness.calls(SMS)["DisassociateOriginationIdentity"] == 1


@pytest.mark.shows("Delete of a number in use")
def test_delete_fails_if_number_never_leaves_its_pool(harness: Harness) -> None:
    harness.telecom.configure(pool_release_seconds=86_400)
    stack, _ = deploy(harness, SMS_PHONE_NUMBER, **LEAVE, PoolId=create_pool(harness))

    assert_delete_fails(stack, "ResourceConflict", "PHONE_NUMBER_ASSOCIATED_TO_POOL")


def test_delete_removes_sender_id_from_every_pool_if_allowed(harness: Harness) -> None:
    stack, _ = deploy(harness, SMS_SENDER_ID, **LIFT_AND_LEAVE, **PROTECTED)
    for _ in range(2):
        join_pool(harness, create_pool(harness), "GB|ACME")

    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")
    assert harness.held() == {"phone_numbers": 2}


@pytest.mark.shows("Delete of a number in use")
def test_pool_that_is_deleted_during_the_search_does_not_end_the_release(harness: Harness) -> None:
    stack, _ = deploy(harness, SMS_SENDER_ID, **LEAVE)
    join_pool(harness, create_pool(harness), "GB|ACME")
    gone = {"code": "ResourceNotFoundException", "message": "No such pool."}
    harness.telecom.fault(SMS, "ListPoolOriginationIdentities", "error", **gone)

    with environment(RETRY_PERIOD_SECONDS="30"):
        assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")

    assert "sender_ids" not in harness.held()


@pytest.mark.shows("Delete of a number in use")
def test_last_number_of_a_pool_is_not_released(harness: Harness) -> None:
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, **LEAVE, WaitForActive=True)
    create_pool(harness, physical_id)

    assert_delete_fails(stack, "ResourceConflict", "LAST_PHONE_NUMBER", "pool")

    assert harness.ids() == [physical_id]


# -- a Delete never fails because of its properties --------------------------------------------------------------------

INVALID: list[dict[str, Any]] = [
    {},
    {"Colour": "red"},
    {"OnDelete": "yes"},
    {"OnDelete": []},
    {"OnDelete": {"LeavePools": "TRUE", "Other": "1"}},
    {"OnDelete": {"LiftDeletionProtection": {"a": "map"}, "LeavePools": ["true"]}},
    {"Tags": "none"},
    {"Tags": [{"Value": "no key"}], "TwoWay": "on"},
    {"AllowReplacement": ["a", "list"]},
    {"AllowReplacement": {"a": "map"}, "WaitForActive": {"a": "map"}},
    {"WaitTimeoutSeconds": "soon", "Trigger": {"deep": [{"er": "1"}]}},
    {"ServiceTimeout": "never"},
    {"ServiceTimeout": ["60"]},
    {"IsoCountryCode": "false", "NumberType": "", "NumberCapabilities": "SMS", "MessageType": ["TRANSACTIONAL"]},
    {"MandatoryKeywords": [], "OptionalKeywords": {}, "NumberPreference": "1"},
    {"SenderId": {"Ref": "x"}, "TargetArn": ["x"], "PhoneNumber": "+"},
]


@pytest.mark.shows("Delete with invalid properties")
def test_delete_succeeds_with_invalid_properties(harness: Harness, kind: Kind) -> None:
    failed = []
    for properties in INVALID if kind is SMS_PHONE_NUMBER else INVALID[::4]:
        response = delete(harness, kind, create(harness, kind), properties=properties)
        if (response["Status"], harness.held()) != ("SUCCESS", {}):
            failed.append((properties, response))
        if kind.service == "connect":
            harness.telecom.configure(connect_numbers=len(INVALID))  # each release counts for 180 days
    assert failed == []


@pytest.mark.shows("Delete with invalid properties")
def test_delete_succeeds_after_create_was_refused_for_its_properties(harness: Harness) -> None:
    failed = []
    for invalid in INVALID:
        if "ServiceTimeout" in invalid:
            continue  # CloudFormation itself refuses that one
        properties = SIMULATOR | invalid | {"Unknown": "1"}
        refused = send_create(harness, SMS_PHONE_NUMBER, properties=properties)
        gone = delete(harness, SMS_PHONE_NUMBER, refused["PhysicalResourceId"], properties=properties)
        if (refused["Status"], gone["Status"]) != ("FAILED", "SUCCESS"):
            failed.append((invalid, refused, gone))
    assert failed == []
    assert harness.calls() == {}
