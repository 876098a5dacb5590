"""A request changes only the purchase that it is for, although names, RequestIds and times of issue can come again."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import SMS, STACK_ID, Harness, connect_instance
from tests.contract.declarations import (
    SIMULATOR,
    SMS_PHONE_NUMBER,
    SMS_SENDER_ID,
    Kind,
    connect_phone_number,
    template,
    with_failing_sibling,
)
from tests.contract.steps import (
    DENIED,
    ENDS_SOON,
    OTHER_STACK,
    PROTECTED,
    REPLACEABLE,
    SERVER_ERROR,
    assert_reason,
    assert_rolled_back,
    create,
    delete,
    deploy,
    environment,
    fault,
    hold_call,
    update,
    wait_until,
)
from tests.contract.test_connect_phone_number import full_instance
from tests.contract.test_sms_sender_id import EXISTS

QUOTA = {"code": "ServiceQuotaExceededException", "message": "No more.", "status": 402}
RELEASE = f"{SMS}.ReleaseSenderId"


def record_of(harness: Harness, physical_id: str) -> dict[str, Any]:
    """The ledger record of a number."""
    [record] = [row for row in harness.purchases() if row.get("physical_id", {}).get("S") == physical_id]
    return record


def state_of(harness: Harness, physical_id: str) -> str:
    """The state of the record, with its reason if it is CLOSED."""
    record = record_of(harness, physical_id)
    return f"{record['purchase_state']['S']} {record.get('closed', {}).get('S', '')}".strip()


# -- a sender ID can be released and requested again ------------------------------------------------------------------


@pytest.mark.shows("sender ID released by hand and requested again")
@pytest.mark.parametrize("owner", [{"stack_id": OTHER_STACK}, {"logical_id": "Twin"}, None], ids=str)
def test_sender_id_of_new_owner_is_not_changed_or_released(harness: Harness, owner: dict[str, str] | None) -> None:
    acme = create(harness, SMS_SENDER_ID)
    harness.sms.release_sender_id(SenderId="ACME", IsoCountryCode="GB")
    if owner is None:
        harness.sms.request_sender_id(SenderId="ACME", IsoCountryCode="GB")
    else:
        create(harness, SMS_SENDER_ID, **owner)
    of_new_owner = harness.telecom.held()

    changed = update(harness, SMS_SENDER_ID, acme, SMS_SENDER_ID.properties | PROTECTED)
    assert_reason(changed, "NotFound", acme, "logical ID")
    assert delete(harness, SMS_SENDER_ID, acme)["Status"] == "SUCCESS"

    assert harness.telecom.held() == of_new_owner
    if owner is not None:
        assert delete(harness, SMS_SENDER_ID, acme, **owner)["Status"] == "SUCCESS"
        assert harness.held() == {}


@pytest.mark.shows("sender ID released by hand and requested again")
@pytest.mark.parametrize("by_hand", [False, True])
def test_delete_does_not_release_sender_id_that_was_requested_since_its_last_attempt(
    harness: Harness, by_hand: bool
) -> None:
    acme = create(harness, SMS_SENDER_ID)
    fault(harness, RELEASE, "lose_answer")
    fields: dict[str, Any] = {"resource_type": SMS_SENDER_ID.type, "properties": SMS_SENDER_ID.properties}
    with hold_call(harness, RELEASE) as released:
        deleted = harness.post("Delete", physical_id=acme, **fields)
        released.wait()
        if by_hand:
            harness.sms.request_sender_id(SenderId="ACME", IsoCountryCode="GB")
        else:
            other = harness.post("Create", stack_id=OTHER_STACK, **fields)
            wait_until(lambda: harness.sink.responses(other))
        of_new_owner = harness.telecom.held()
        released.release()

    assert harness.response(deleted)["Status"] == "SUCCESS"
    assert harness.telecom.held() == of_new_owner
    assert harness.held() == {"sender_ids": 1}


@pytest.mark.shows("sender ID released by hand and requested again")
@pytest.mark.shows("sender ID requested by two stacks at once")
@EXISTS
@pytest.mark.parametrize("when", ["before", "after"])
def test_sender_id_requested_by_two_stacks_at_once_has_one_owner(
    harness: Harness, behaviors: frozenset[str], when: Any
) -> None:
    harness.telecom.configure(on=behaviors)
    fields: dict[str, Any] = {"resource_type": SMS_SENDER_ID.type, "properties": SMS_SENDER_ID.properties}
    with hold_call(harness, SMS_SENDER_ID.buys, when) as purchase:
        first = harness.post("Create", **fields)
        purchase.wait()
        second = harness.post("Create", stack_id=OTHER_STACK, **fields)
        wait_until(lambda: harness.sink.responses(second))
        purchase.release()
        responses = [harness.response(request) for request in (first, second)]

    owner, other = responses if when == "after" else responses[::-1]
    assert (owner["Status"], owner["PhysicalResourceId"]) == ("SUCCESS", "GB|ACME")
    assert_reason(other, "AlreadyExists", "ACME")
    gone = delete(harness, SMS_SENDER_ID, other["PhysicalResourceId"], stack_id=other["StackId"])
    assert gone["Status"] == "SUCCESS"
    assert harness.ids() == ["GB|ACME"]


# -- CloudFormation can send a RequestId again, with a newer URL -------------------------------------------------------


def responses_to(harness: Harness, event: dict[str, Any]) -> list[bytes]:
    """The bodies sent to the ResponseURL of one event."""
    return [put.body for put in harness.sink.puts if event["ResponseURL"].endswith(put.path)]


def purchases_made(harness: Harness, kind: Kind) -> int:
    """How many purchases the service has made."""
    return sum(call["operation"] == kind.operation and bool(call["ok"]) for call in harness.telecom.log())


def stop_in_open(harness: Harness) -> None:
    fault(harness, SMS_PHONE_NUMBER.buys, "error", code="ConflictException", message="Busy.")
    # The first writes are those of the request and of the refusal; then the table fails.
    harness.telecom.fault("dynamodb", "PutItem", "error", code="ResourceNotFoundException", after=2, times=99)


def stop_in_buying(harness: Harness) -> None:
    fault(harness, SMS_PHONE_NUMBER.buys, "error", times=99, **SERVER_ERROR)


def stop_in_bought(harness: Harness) -> None:
    fault(harness, SMS_PHONE_NUMBER.updates, "error", times=99, **SERVER_ERROR)


def lose_response(harness: Harness) -> None:
    harness.sink.fail_next(None, "403", 1)


@pytest.mark.shows("RequestId sent again with a newer URL")
@pytest.mark.parametrize(
    ("interrupt", "state"),
    [(stop_in_open, "OPEN"), (stop_in_buying, "BUYING"), (stop_in_bought, "BOUGHT"), (lose_response, "READY")],
    ids=["open", "buying", "bought", "ready"],
)
def test_request_sent_again_continues_the_unfinished_purchase(
    harness: Harness, interrupt: Callable[[Harness], None], state: str
) -> None:
    kind, began = SMS_PHONE_NUMBER, time.time()
    sent: dict[str, Any] = {"request_id": str(uuid.uuid4()), "resource_type": kind.type}
    sent["properties"] = kind.properties | kind.in_place
    interrupt(harness)
    with harness.function(delays=(), continues=False) as once:
        once.post("Create", issued_at=began - 10, **sent)
        once.invoker.settle()
        [older] = [run.event for run in once.invoker.invocations]
    harness.telecom.clear_faults()
    assert [row["purchase_state"]["S"] for row in harness.purchases()] == [state]

    response = harness.send("Create", issued_at=began - 5, **sent)

    assert response["Status"] == "SUCCESS", response
    assert harness.ids() == [response["PhysicalResourceId"]]
    harness.invoker.invoke(older)
    harness.invoker.settle()
    assert harness.ids() == [response["PhysicalResourceId"]]
    assert purchases_made(harness, kind) == 1
    assert [row["purchase_state"]["S"] for row in harness.purchases()] == ["READY"]


@pytest.mark.shows("RequestId sent again with a newer URL")
@pytest.mark.parametrize("ended", ["refused", "released"])
def test_request_sent_again_after_its_end_purchases_anew(harness: Harness, kind: Kind, ended: str) -> None:
    """CloudFormation can retry a failed operation with the same RequestId (aws-cdk issues 35957 and 35988)."""
    sent: dict[str, Any] = {"request_id": str(uuid.uuid4()), "resource_type": kind.type, "properties": kind.properties}
    began = time.time()
    if ended == "refused":
        fault(harness, kind.buys, "error", **QUOTA)
    first = harness.send("Create", issued_at=began - 20, **sent)
    [older] = [run.event for run in harness.invoker.invocations]
    assert delete(harness, kind, first["PhysicalResourceId"], issued_at=began - 15)["Status"] == "SUCCESS"
    assert harness.held() == {}

    harness.send("Create", issued_at=began - 10, **sent)

    response = harness.sink.responses(sent["request_id"])[-1]
    assert response["Status"] == "SUCCESS", response
    assert harness.ids() == [response["PhysicalResourceId"]]
    made = purchases_made(harness, kind)
    harness.invoker.invoke(older)
    harness.invoker.settle()
    assert len(set(responses_to(harness, older))) == 1, "the same URL has the same response"
    assert harness.ids() == [response["PhysicalResourceId"]]
    assert purchases_made(harness, kind) == made


@pytest.mark.shows("RequestId sent again with a newer URL")
def test_older_url_purchases_nothing_if_it_arrives_after_the_newer_one(harness: Harness, kind: Kind) -> None:
    sent: dict[str, Any] = {"request_id": str(uuid.uuid4()), "resource_type": kind.type, "properties": kind.properties}
    began = time.time()
    newer = harness.send("Create", issued_at=began - 5, **sent)

    harness.send("Create", issued_at=began - 10, **sent)

    assert harness.ids() == [newer["PhysicalResourceId"]]
    assert purchases_made(harness, kind) == 1


@pytest.mark.shows("RequestId sent again with a newer URL")
def test_update_sent_again_after_a_refused_replacement_replaces(harness: Harness, kind: Kind) -> None:
    began, request_id = time.time(), str(uuid.uuid4())
    first = create(harness, kind, issued_at=began - 30)
    changed = kind.properties | kind.replacing | REPLACEABLE
    fault(harness, kind.buys, "error", **QUOTA)
    refused = update(harness, kind, first, changed, request_id=request_id, issued_at=began - 20)
    assert_reason(refused, "ServiceLimitExceeded")

    update(harness, kind, first, changed, request_id=request_id, issued_at=began - 10)

    response = harness.sink.responses(request_id)[-1]
    assert response["Status"] == "SUCCESS", response
    assert sorted(harness.ids()) == sorted([first, response["PhysicalResourceId"]])


# -- requests and invocations that overlap -----------------------------------------------------------------------------

SHORT_LEASE = {"LEASE_DURATION_SECONDS": "0.4", "IN_PLACE_WAIT_SECONDS": "10"}
"""An invocation waits in place until the lease of another one has ended, as in production."""


@pytest.mark.shows("Update and its rollback issued in the same second")
def test_update_delivered_after_its_rollback_of_the_same_second_purchases_nothing(harness: Harness, kind: Kind) -> None:
    began = int(time.time())
    first = create(harness, kind, issued_at=began - 20)
    changed = kind.properties | kind.replacing | REPLACEABLE
    harness.stacks.stacks[STACK_ID].status = "UPDATE_ROLLBACK_IN_PROGRESS"
    rolled_back = update(harness, kind, first, kind.properties, old_properties=changed, issued_at=began)
    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("SUCCESS", first)

    late = update(harness, kind, first, changed, issued_at=began)

    assert (late["Status"], late["PhysicalResourceId"]) == ("FAILED", first)
    assert harness.ids() == [first]
    assert purchases_made(harness, kind) == 1


@pytest.mark.shows("Update and its rollback issued in the same second")
def test_update_retried_after_its_rollback_of_the_same_second_purchases_nothing(harness: Harness, kind: Kind) -> None:
    """Its first invocation failed before the purchase."""
    began = int(time.time())
    first = create(harness, kind, issued_at=began - 20)
    changed = kind.properties | kind.replacing | REPLACEABLE
    sent: dict[str, Any] = {"properties": changed, "old_properties": kind.properties, "issued_at": began}
    harness.telecom.fault("dynamodb", "TransactWriteItems", "error", code="ResourceNotFoundException")
    with harness.function(delays=(), continues=False) as once:
        once.post("Update", resource_type=kind.type, physical_id=first, **sent)
        once.invoker.settle()
        [failed] = [run.event for run in once.invoker.invocations]
    harness.stacks.stacks[STACK_ID].status = "UPDATE_ROLLBACK_IN_PROGRESS"
    update(harness, kind, first, kind.properties, old_properties=changed, issued_at=began)

    harness.invoker.invoke(failed)
    harness.invoker.settle()

    assert harness.ids() == [first]
    assert purchases_made(harness, kind) == 1


@pytest.mark.shows("Update and its rollback issued in the same second")
def test_create_and_two_updates_of_the_same_second_all_succeed(harness: Harness, kind: Kind) -> None:
    now, changed = int(time.time()), kind.properties | kind.replacing | REPLACEABLE
    first = create(harness, kind, issued_at=now)
    assert update(harness, kind, first, kind.properties | {"Trigger": "1"}, issued_at=now)["Status"] == "SUCCESS"

    replaced = update(harness, kind, first, changed, issued_at=now)

    assert replaced["Status"] == "SUCCESS", replaced
    assert sorted(harness.ids()) == sorted([first, replaced["PhysicalResourceId"]])


@pytest.mark.shows("new number not visible yet")
@pytest.mark.parametrize("rolled_back", [False, True], ids=["update", "rollback to the first number"])
def test_update_succeeds_before_the_service_shows_the_new_number(
    harness: Harness, kind: Kind, rolled_back: bool
) -> None:
    harness.telecom.configure(describe_lag_seconds=0.5)
    changed = kind.properties | kind.replacing | REPLACEABLE
    with environment(RETRY_PERIOD_SECONDS="30"):
        number = first = create(harness, kind)
        if rolled_back:
            number = update(harness, kind, first, changed)["PhysicalResourceId"]
            harness.stacks.stacks[STACK_ID].status = "UPDATE_ROLLBACK_IN_PROGRESS"
        response = update(harness, kind, number, kind.properties | {"Trigger": "1"}, old_properties=changed)

    assert (response["Status"], response["PhysicalResourceId"]) == ("SUCCESS", first)


@pytest.mark.shows("request delivered twice concurrently")
@pytest.mark.parametrize("purchased", [False, True], ids=["other call in progress", "other call completed"])
def test_refusal_after_a_lost_lease_does_not_end_the_purchase_of_another_invocation(
    harness: Harness, kind: Kind, purchased: bool
) -> None:
    """The service refuses the call of the first invocation, but the answer is slower than its lease."""
    fault(harness, kind.buys, "error", **DENIED)
    with (
        environment(**SHORT_LEASE),
        hold_call(harness, kind.buys) as refused,
        hold_call(harness, kind.buys, skip=1) as purchase,
    ):
        harness.invoker.disturb("together")
        request_id = harness.post("Create", resource_type=kind.type, properties=kind.properties)
        refused.wait()
        purchase.wait()
        for call in (purchase, refused) if purchased else (refused, purchase):
            call.release()
            wait_until(lambda: harness.sink.responses(request_id))
        response = harness.response(request_id)

    assert (response["Status"], [response["PhysicalResourceId"]]) == ("SUCCESS", harness.ids())
    assert state_of(harness, response["PhysicalResourceId"]) == "READY"
    assert len(set(harness.sink.raw(request_id))) == 1
    assert delete(harness, kind, response["PhysicalResourceId"])["Status"] == "SUCCESS"
    assert harness.held() == {}


@pytest.mark.shows("request delivered twice concurrently")
def test_failed_invocation_does_not_remove_the_outcome_of_another(harness: Harness) -> None:
    """The first invocation outlives its lease. The second one fails, then the first one does not get a result."""
    kind = SMS_PHONE_NUMBER
    number = create(harness, kind)
    update: dict[str, Any] = {"properties": SIMULATOR | kind.in_place, "old_properties": SIMULATOR}
    fault(harness, kind.updates, "error", **DENIED)
    fault(harness, kind.updates, "error", times=99, **SERVER_ERROR)
    with (
        environment(**SHORT_LEASE),
        harness.function(continues=False) as once,
        hold_call(harness, kind.reads) as read,
    ):
        once.invoker.disturb("together")
        request_id = once.post("Update", resource_type=kind.type, physical_id=number, **update)
        read.wait()
        wait_until(lambda: harness.sink.responses(request_id))
        read.release()
        once.invoker.settle(30)
    assert len(harness.queue.messages) == len(harness.sink.raw(request_id)) == 1
    harness.telecom.clear_faults()

    harness.invoker.resume()
    harness.invoker.settle()

    assert len(harness.sink.raw(request_id)) == 2
    assert len(set(harness.sink.raw(request_id))) == 1


# -- a status is not a history -----------------------------------------------------------------------------------------


@pytest.mark.shows("change of a Connect number FAILED")
def test_connect_number_whose_change_failed_is_released_by_its_delete(harness: Harness) -> None:
    """DescribePhoneNumber shows FAILED also after a failed change. The number is still billed."""
    kind = connect_phone_number(connect_instance(harness))
    stack, number = deploy(harness, kind)
    moved = template(kind.properties | {"TargetArn": full_instance(harness)}, kind)
    assert_rolled_back(stack, moved, "NotStabilized", number)
    harness.telecom.configure(connect_numbers=5)

    replaced = kind.properties | kind.replacing | REPLACEABLE
    assert stack.deploy(with_failing_sibling(replaced, kind)) == "UPDATE_ROLLBACK_COMPLETE"

    assert stack.physical_ids["Number"] == number
    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")
    assert number not in harness.ids()


def set_unknown_state(harness: Harness, number: str) -> None:
    record = record_of(harness, number)
    harness.dynamodb.update_item(
        TableName=harness.table,
        Key={name: record[name] for name in ("pk", "sk")},
        UpdateExpression="SET purchase_state = :state",
        ExpressionAttributeValues={":state": {"S": "HIBERNATING"}},
    )


@pytest.mark.shows("record written by a newer version")
@pytest.mark.parametrize("request_type", ["Create", "Update", "Delete", "Delete by generated ID"])
def test_request_waits_if_the_state_of_a_record_is_unknown(harness: Harness, request_type: str) -> None:
    """A newer version of the provider wrote it, and will process the request."""
    kind, began = SMS_PHONE_NUMBER, time.time()
    sent: dict[str, Any] = {"request_id": str(uuid.uuid4()), "resource_type": kind.type, "properties": SIMULATOR}
    number = harness.send("Create", issued_at=began - 5, **sent)["PhysicalResourceId"]
    set_unknown_state(harness, number)
    unknown, calls = harness.purchases(), harness.calls()
    if request_type != "Create":
        sent |= {"request_id": str(uuid.uuid4()), "physical_id": number}
    if request_type == "Update":
        sent |= {"properties": SIMULATOR | kind.in_place, "old_properties": SIMULATOR}
    elif request_type == "Delete by generated ID":
        sent["physical_id"] = "example-Number-1A2B3C4D5E6F"
    responses = len(harness.sink.responses(sent["request_id"]))

    with harness.function(continues=False) as function:
        function.post(request_type.split(maxsplit=1)[0], issued_at=began, **sent)
        function.invoker.settle(30)

    assert len(harness.queue.messages) == 1
    assert len(harness.sink.responses(sent["request_id"])) == responses
    assert harness.purchases() == unknown
    assert harness.calls() == calls


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("record written by a newer version")
def test_last_invocation_answers_although_the_state_of_a_record_is_unknown(harness: Harness) -> None:
    number = create(harness, SMS_PHONE_NUMBER)
    set_unknown_state(harness, number)

    failed = delete(harness, SMS_PHONE_NUMBER, number, properties=SIMULATOR | ENDS_SOON)

    assert_reason(failed, "InternalFailure", "newer version")
    assert failed["PhysicalResourceId"] == number
    assert harness.ids() == [number]
