"""One declaration buys one number, however often its event is delivered and wherever an attempt fails."""

from __future__ import annotations

import socket
import time
import uuid
from contextlib import ExitStack
from typing import Any

import attrs
import pytest

from telephony import clock, settings
from tests.conftest import CONNECT, SMS, Configure, Harness, connect_instance, reset_container
from tests.contract.cloudformation import AsyncInvoker
from tests.contract.declarations import KINDS, SIMULATOR, SMS_PHONE_NUMBER, Kind, connect_phone_number
from tests.contract.steps import (
    DENIED,
    REPLACEABLE,
    SERVER_ERROR,
    create,
    delete,
    fault,
    hold_call,
    send_create,
    update,
    wait_until,
)
from tests.contract.test_answering import short_invocations

STATE = "dynamodb"


def assert_bought_once(harness: Harness, kind: Kind, response: dict[str, Any]) -> None:
    assert response["Status"] == "SUCCESS", response
    assert [response["PhysicalResourceId"]] == harness.ids()
    assert harness.calls()[kind.buys] == 1
    assert len(set(harness.sink.raw(response["RequestId"]))) == 1


@pytest.mark.shows("request delivered twice in succession", "request delivered twice concurrently")
@pytest.mark.parametrize("delivery", ["twice", "together"])
def test_duplicate_create_buys_once_and_repeats_response(harness: Harness, kind: Kind, delivery: Any) -> None:
    harness.invoker.disturb(delivery)

    response = send_create(harness, kind)

    assert_bought_once(harness, kind, response)
    assert len(harness.invoker.invocations) == len(harness.sink.raw(response["RequestId"])) == 2


@pytest.mark.shows("request delivered twice in succession", "update that requires replacement")
@pytest.mark.parametrize("delivery", ["twice", "together"])
def test_duplicate_replacement_buys_once(harness: Harness, kind: Kind, delivery: Any) -> None:
    first = create(harness, kind)
    harness.invoker.disturb(delivery)

    response = update(harness, kind, first, kind.properties | kind.replacing | REPLACEABLE)

    assert response["Status"] == "SUCCESS"
    assert sorted(harness.ids()) == sorted([first, response["PhysicalResourceId"]])
    assert harness.calls()[kind.buys] == 2
    assert len(set(harness.sink.raw(response["RequestId"]))) == 1


@pytest.mark.shows("request delivered twice concurrently")
def test_duplicate_create_repeats_failure(harness: Harness, kind: Kind) -> None:
    fault(harness, kind.buys, "error", **DENIED)
    harness.invoker.disturb("together")

    response = send_create(harness, kind)

    assert response["Status"] == "FAILED"
    assert harness.calls()[kind.buys] == 1
    first, second = harness.sink.raw(response["RequestId"])
    assert first == second


@pytest.mark.shows("Create delivered after its Delete")
def test_create_redelivered_after_delete_buys_nothing(harness: Harness, kind: Kind) -> None:
    sent: dict[str, Any] = {"request_id": str(uuid.uuid4()), "issued_at": time.time() - 5}
    delete(harness, kind, create(harness, kind, **sent))

    send_create(harness, kind, **sent)

    assert harness.held() == {}
    assert harness.calls()[kind.buys] == 1


@pytest.mark.shows("fifty numbers in one stack")
def test_fifty_numbers_in_one_stack_are_each_bought_once_despite_throttling(harness: Harness) -> None:
    harness.telecom.configure(phone_numbers=50)
    harness.telecom.fault(SMS, "RequestPhoneNumber", "throttle", times=100)
    properties = SIMULATOR | {"ServiceTimeout": 60}
    resources = {f"Number{n}": {"Type": "Custom::SmsPhoneNumber", "Properties": properties} for n in range(50)}
    stack = harness.cloudformation.stack("numbers")

    assert stack.deploy({"Resources": resources}) == "CREATE_COMPLETE"

    assert sorted(harness.ids()) == sorted(set(stack.physical_ids.values()))
    assert harness.held() == {"phone_numbers": 50}
    assert harness.calls(SMS) == {"RequestPhoneNumber": 150}
    assert stack.delete() == "DELETE_COMPLETE"
    assert harness.held() == {}


@pytest.mark.shows("request delivered twice concurrently")
def test_concurrent_delivery_that_cannot_wait_is_continued_later(harness: Harness, kind: Kind) -> None:
    with short_invocations(harness, 1.5) as hurried, hold_call(harness, kind.buys) as purchase:
        hurried.invoker.disturb("together")
        request_id = hurried.post("Create", resource_type=kind.type, properties=kind.properties)
        purchase.wait()
        wait_until(lambda: harness.queue.messages)
        assert harness.sink.raw(request_id) == []
        purchase.release()
        response = hurried.response(request_id)

    assert len(harness.sink.raw(request_id)) == 2
    assert_bought_once(harness, kind, response)


# -- the telecom services ----------------------------------------------------------------------------------------------


@pytest.mark.shows("calls throttled")
def test_throttled_calls_are_retried(harness: Harness, kind: Kind) -> None:
    for call in {kind.buys, kind.reads, kind.updates, kind.releases}:
        fault(harness, call, "throttle", times=6)
    changed = kind.properties | kind.in_place
    physical_id = create(harness, kind, properties=changed)
    assert harness.calls()[kind.buys] == 7
    assert harness.held() == {kind.held: 1}
    off = {name: False if value is True else value for name, value in kind.in_place.items()}

    updated = update(harness, kind, physical_id, kind.properties | off, old_properties=changed)
    assert updated["Status"] == "SUCCESS"
    assert delete(harness, kind, physical_id)["Status"] == "SUCCESS"
    assert harness.held() == {}


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("calls throttled")
def test_create_is_retried_until_service_timeout_if_throttling_never_ends(harness: Harness) -> None:
    harness.telecom.fault(SMS, "RequestPhoneNumber", "throttle", times=99_999)
    began = time.time()

    response = send_create(harness, SMS_PHONE_NUMBER, properties=SIMULATOR | {"ServiceTimeout": 20})

    assert 14 < time.time() - began < 20
    assert response["Status"] == "FAILED"
    assert "throttled" in response["Reason"], "the cause of the last attempt"
    assert response["PhysicalResourceId"] == f"not-created:{response['RequestId']}"
    assert harness.held() == {}


@pytest.mark.shows("purchase response lost and ClientToken forgotten")
@pytest.mark.parametrize(
    ("forgets", "faults"),
    [
        (False, {"error": SERVER_ERROR}),
        (False, {"reset": {"times": 7}}),
        (False, {"lose_answer": {"times": 7}}),
        (True, {"lose_answer": {}}),
        (True, {"lose_answer": {"times": 7}}),
        (True, {"lose_answer": {}, "error": {"code": "ServiceQuotaExceededException", "message": "Full."}}),
    ],
    ids=str,
)
def test_unknown_purchase_result_ends_in_one_number(
    harness: Harness, kind: Kind, forgets: bool, faults: dict[str, dict[str, Any]]
) -> None:
    harness.telecom.configure(forget_tokens=forgets)
    for name, details in faults.items():
        fault(harness, kind.buys, name, **details)

    assert [create(harness, kind)] == harness.ids()


@pytest.mark.shows("purchase call times out after the purchase", "every handler responds in time")
def test_unanswered_purchase_is_found_in_same_invocation(harness: Harness) -> None:
    """All types at once, because each call times out after 20 seconds."""
    kinds = [declare(harness) for declare in KINDS.values()]
    with short_invocations(harness, 60) as unhurried, ExitStack() as held:
        for kind in kinds:
            held.enter_context(hold_call(harness, kind.buys))
        posted = [
            unhurried.post("Create", resource_type=kind.type, properties=kind.properties, logical_id=kind.operation)
            for kind in kinds
        ]
        unhurried.invoker.settle(60)
        assert len(unhurried.invoker.invocations) == len(kinds), "one run each"

    assert sorted(harness.sink.responses(request)[0]["PhysicalResourceId"] for request in posted) == sorted(
        harness.ids()
    )
    assert {harness.calls()[kind.buys] for kind in kinds} == {1}


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("tags visible late", "purchase call times out after the purchase")
def test_client_token_finds_purchase_whose_tags_are_not_visible_yet(harness: Harness, kind: Kind) -> None:
    harness.telecom.configure(tags_lag_seconds=86_400)
    fault(harness, kind.buys, "lose_answer")

    response = send_create(harness, kind, properties=kind.properties | {"ServiceTimeout": 20})

    # A Connect number was chosen from the inventory: without tags it may be another account's, so the provider waits.
    waits = kind.service == CONNECT
    tokens = [call["token"] for call in harness.telecom.log() if call["operation"] == kind.operation]
    assert len(set(tokens)) == 1
    assert harness.held() == {kind.held: 1}
    if not waits:
        assert (response["Status"], len(tokens)) == ("SUCCESS", 2)
        assert [response["PhysicalResourceId"]] == harness.ids()


def test_lost_response_to_settings_is_not_a_failure(harness: Harness, kind: Kind) -> None:
    fault(harness, kind.updates, "lose_answer")

    create(harness, kind, properties=kind.properties | kind.in_place)

    assert harness.calls()[kind.buys] == 1


@pytest.mark.parametrize(
    ("name", "more"),
    [("lose_answer", {}), ("error", SERVER_ERROR | {"times": 6}), ("reset", {"times": 6})],
    ids=["response lost", "HTTP 500", "connection reset"],
)
def test_release_is_retried_until_it_succeeds(harness: Harness, kind: Kind, name: str, more: dict[str, Any]) -> None:
    physical_id = create(harness, kind)
    fault(harness, kind.releases, name, **more)

    assert delete(harness, kind, physical_id)["Status"] == "SUCCESS"
    assert harness.held() == {}


# -- the state table ---------------------------------------------------------------------------------------------------


@pytest.mark.shows("state table unavailable before the purchase")
def test_unavailable_table_delays_purchase(harness: Harness) -> None:
    harness.telecom.fault(STATE, "TransactWriteItems", "error", code="InternalServerError", status=500, times=3)

    create(harness, SMS_PHONE_NUMBER)

    assert harness.calls() == {f"{SMS}.RequestPhoneNumber": 1}
    assert (len(harness.invoker.invocations), len(harness.invoker.steps)) == (1, 1)


WRITES = [("PutItem", 0), ("TransactWriteItems", 0), *(("UpdateItem", after) for after in range(5))]


@pytest.mark.shows("state table unavailable after the purchase")
@pytest.mark.parametrize(
    ("operation", "after", "name", "more"),
    [
        *((*write, "lose_answer", {}) for write in WRITES),
        *((*write, "error", {"code": "ResourceNotFoundException"}) for write in WRITES[2:]),
        ("UpdateItem", 0, "throttle", {"times": 2}),
    ],
)
def test_failed_write_does_not_buy_again(
    harness: Harness, operation: str, after: int, name: str, more: dict[str, Any]
) -> None:
    harness.telecom.fault(STATE, operation, name, after=after, **more)

    assert_bought_once(harness, SMS_PHONE_NUMBER, send_create(harness, SMS_PHONE_NUMBER))
    if name != "error":  # the same invocation repeats the write, so no other one has to search
        assert harness.calls(SMS) == {"RequestPhoneNumber": 1}


@pytest.mark.shows("state table unavailable before the purchase")
@pytest.mark.parametrize("reachable", [False, True])
def test_invocation_does_not_wait_for_unresponsive_table(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, reachable: bool
) -> None:
    from telephony.handlers import provider  # noqa: PLC0415

    harness.telecom.fault(STATE, "PutItem", "hang", seconds=60, times=3)  # All calls of the first write.
    if not reachable:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{closed.getsockname()[1]}")
        reset_container()
    with AsyncInvoker(provider.handler, delays=()) as once:
        attrs.evolve(harness, invoker=once).post("Create", resource_type=SMS_PHONE_NUMBER.type, properties=SIMULATOR)
        once.settle(40)  # ends while the table still hangs
        [run] = once.invocations
    monkeypatch.undo()
    reset_container()

    assert (run.outcome, len(harness.queue.messages)) == ("returned", 1)
    assert harness.calls() == {}
    assert harness.sink.raw(run.event["RequestId"]) == []

    harness.telecom.clear_faults()
    harness.invoker.invoke(run.event)
    assert harness.response(run.event["RequestId"])["Status"] == "SUCCESS"
    assert harness.calls() == {f"{SMS}.RequestPhoneNumber": 1}


def conflict(*codes: str) -> dict[str, Any]:
    """A transaction that another write prevented; codes are by item."""
    return {
        "code": "TransactionCanceledException",
        "members": {"CancellationReasons": [{"Code": code} for code in codes]},
    }


@pytest.mark.shows("state table unavailable before the purchase")
@pytest.mark.parametrize(
    ("operations", "error"),
    [
        (["PutItem", "TransactWriteItems", "Query", "UpdateItem"], {"code": "AccessDeniedException"}),
        (["TransactWriteItems"], conflict("TransactionConflict", "None")),
    ],
    ids=["access denied", "always in conflict"],
)
def test_nothing_is_bought_without_table(harness: Harness, operations: list[str], error: dict[str, Any]) -> None:
    for operation in operations:
        harness.telecom.fault(STATE, operation, "error", times=99_999, **error)
    with harness.function(continues=False) as function:
        request_id = function.post("Create", resource_type=SMS_PHONE_NUMBER.type, properties=SIMULATOR)
        function.invoker.settle(30)

    assert harness.calls() == {}
    assert harness.sink.raw(request_id) == []
    assert len(harness.queue.messages) == 1

    harness.telecom.clear_faults()
    harness.invoker.resume()
    assert_bought_once(harness, SMS_PHONE_NUMBER, harness.response(request_id))


def test_write_conflicts_are_retried(harness: Harness) -> None:
    """botocore retries neither: the write meets a transaction, or the transaction meets a write."""
    harness.telecom.fault(STATE, "TransactWriteItems", "error", **conflict("None", "None", "TransactionConflict"))
    harness.telecom.fault(STATE, "TransactWriteItems", "error", after=1, **conflict("TransactionConflict", "None"))
    number = create(harness, SMS_PHONE_NUMBER)
    harness.telecom.fault(STATE, "UpdateItem", "error", code="TransactionConflictException")
    update(harness, SMS_PHONE_NUMBER, number, SIMULATOR | {"Trigger": "1"})

    assert len(harness.invoker.invocations) == 2, "each was completed by its first invocation"
    assert harness.calls(SMS) == {"RequestPhoneNumber": 1, "DescribePhoneNumbers": 1}


def test_ledger_records_purchase_and_its_owner(harness: Harness, kind: Kind) -> None:
    response = send_create(harness, kind)

    [row] = harness.purchases()
    assert row["pk"]["S"] == f"{response['StackId']}|Number"
    assert row["sk"]["S"] == f"purchase#{response['RequestId']}@{row['request_time']['N']}"
    assert row["physical_id"]["S"] == response["PhysicalResourceId"]
    assert "expiration" not in row, "a number has no maximum age"
    [outcome] = [row for row in harness.rows() if row["pk"]["S"] == "outcome"]
    assert int(outcome["expiration"]["N"]) > 0


def test_invocation_without_lease_finds_purchase_of_another(
    harness: Harness, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record was written without a lease; another delivery took the lease, claimed a number and failed."""
    configure(IN_PLACE_WAIT_SECONDS="5")  # The other delivery waits until the first is no longer in progress.
    from telephony.handlers import provider  # noqa: PLC0415

    kind = connect_phone_number(connect_instance(harness))
    harness.telecom.fault(STATE, "TransactWriteItems", "error", **conflict("TransactionConflict", "None"))
    taken = {"code": "InvalidParameterException", "message": "Phone number not available"}
    with (
        AsyncInvoker(provider.handler, delays=(), timeout=20) as once,
        hold_call(harness, f"{STATE}.TransactWriteItems", skip=1) as record,
    ):
        request_id = attrs.evolve(harness, invoker=once).post(
            "Create", resource_type=kind.type, properties=kind.properties
        )
        record.wait()
        [slow] = once.invocations
        harness.telecom.fault(CONNECT, "ClaimPhoneNumber", "error", **taken)
        harness.telecom.fault(CONNECT, "ClaimPhoneNumber", "lose_answer")
        harness.telecom.fault(CONNECT, "ListPhoneNumbersV2", "error", times=50, **SERVER_ERROR)
        once.invoke(slow.event)
        wait_until(lambda: once.invocations[-1].outcome)
        assert harness.held() == {kind.held: 1}
        harness.telecom.clear_faults()
        lease = settings.settings().lease_duration
        monkeypatch.setattr(clock, "now", lambda: time.time() + lease + 1)
        record.release()
        once.settle(30)

    assert [run.outcome for run in once.invocations] == ["returned", "returned"]
    assert len(harness.queue.messages) == 1, "the other delivery could not find out, and waits"
    assert [harness.sink.responses(request_id)[0]["PhysicalResourceId"]] == harness.ids()
