"""Concurrent invocations share the account's rate limit through reservations."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

from telephony import clock
from telephony.aws import rate_limiter
from tests.conftest import CONNECT, SMS, Configure, Harness, VirtualClock, connect_instance
from tests.contract.declarations import SMS_PHONE_NUMBER, Kind, connect_phone_number, template
from tests.contract.steps import DENIED, fault
from tests.contract.test_bought_once import conflict

REQUEST = f"{SMS}.RequestPhoneNumber"
NUMBER: dict[str, Any] = {"resource_type": SMS_PHONE_NUMBER.type, "properties": SMS_PHONE_NUMBER.properties}
ONE_MINUTE: dict[str, Any] = NUMBER | {"properties": SMS_PHONE_NUMBER.properties | {"ServiceTimeout": "60"}}
LIMITS = pytest.mark.parametrize("limit", ["*=1000", "*=0"])


@pytest.mark.shows("fifty numbers in one stack")
def test_concurrent_purchases_reserve_consecutive_calls(
    harness: Harness, configure: Configure, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    del virtual_clock  # Time stands still, so each wait is the distance to a reservation.
    waits: list[float] = []
    monkeypatch.setattr(clock, "sleep", waits.append)
    # The services' default: one call per second and operation.
    configure(CALL_RATES="", IN_PLACE_WAIT_SECONDS="30")
    [declared] = template(SMS_PHONE_NUMBER.properties)["Resources"].values()
    stack = harness.cloudformation.stack("numbers")

    status = stack.deploy({"Resources": {f"Number{index}": declared for index in range(4)}})

    assert status == "CREATE_COMPLETE", stack.events
    # 2 % slower than the limit, plus 50 ms for the first reservation's write.
    assert sorted({wait for wait in waits if wait > 1}) == pytest.approx([1.07, 2.09, 3.11])
    assert harness.calls(SMS) == {"RequestPhoneNumber": 4}


@pytest.mark.usefixtures("virtual_clock")
def test_reserved_calls_are_not_throttled(harness: Harness, configure: Configure) -> None:
    harness.telecom.configure(rate=True)
    configure(CALL_RATES="")

    answers = [harness.send("Create", logical_id=f"Number{index}", **NUMBER) for index in range(4)]

    assert {answer["Status"] for answer in answers} == {"SUCCESS"}
    assert harness.calls(SMS) == {"RequestPhoneNumber": 4}


def test_rate_can_be_set_for_one_operation(harness: Harness, configure: Configure) -> None:
    configure(CALL_RATES=f"{SMS}=0.001,{REQUEST}=1000")

    for name in ("First", "Second"):
        assert harness.send("Create", logical_id=name, **NUMBER)["Status"] == "SUCCESS"


@pytest.mark.usefixtures("virtual_clock")
def test_purchase_reserved_after_service_timeout_fails_early(harness: Harness, configure: Configure) -> None:
    configure(CALL_RATES=f"{REQUEST}=0.01")
    harness.send("Create", logical_id="First", **ONE_MINUTE)

    rejected = harness.send("Create", logical_id="Second", **ONE_MINUTE)

    assert rejected["Status"] == "FAILED"
    assert rejected["Reason"].startswith("Throttling: 1 ")
    assert all(fact in rejected["Reason"] for fact in ("RequestPhoneNumber", "0.01 per second", "ServiceTimeout"))
    deleted = harness.send("Delete", logical_id="Second", physical_id=rejected["PhysicalResourceId"], **ONE_MINUTE)
    assert deleted["Status"] == "SUCCESS"
    assert harness.calls(SMS) == {"RequestPhoneNumber": 1}, "nothing was purchased, so the Delete makes no call"


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("reservation later than the invocation")
def test_request_keeps_its_reservation_in_the_queue(harness: Harness, configure: Configure) -> None:
    configure(CALL_RATES=f"{REQUEST}=0.01")  # The second reservation is in 102 seconds.
    harness.send("Create", logical_id="First", **NUMBER)
    began = time.time()

    second = harness.send("Create", logical_id="Second", **NUMBER)

    assert second["Status"] == "SUCCESS"
    assert 100 < time.time() - began < 106
    assert len(harness.invoker.steps) <= 2, "it was received when its reservation was due"
    assert harness.calls(SMS) == {"RequestPhoneNumber": 2}


@pytest.mark.usefixtures("virtual_clock")
def test_canceled_requests_return_their_reservations(harness: Harness, configure: Configure) -> None:
    configure(CALL_RATES=f"{REQUEST}=0.01")
    harness.send("Create", logical_id="First", **NUMBER)
    with harness.function(continues=False) as function:
        waiting = [function.post("Create", logical_id=f"Waiting{index}", **NUMBER) for index in range(5)]
        function.invoker.settle()
    assert len(harness.queue.messages) == len(waiting)
    harness.queue.reset()
    for index in range(5):
        canceled = harness.send("Delete", logical_id=f"Waiting{index}", physical_id="made-up", **NUMBER)
        assert canceled["Status"] == "SUCCESS"
    began = time.time()

    assert harness.send("Create", logical_id="Next", **NUMBER)["Status"] == "SUCCESS"

    assert time.time() - began < 106, "not 6 x 102 seconds"


@pytest.mark.usefixtures("virtual_clock")
def test_requests_that_are_too_late_take_no_reservation(harness: Harness, configure: Configure) -> None:
    configure(CALL_RATES=f"{REQUEST}=0.01")
    harness.send("Create", logical_id="First", **NUMBER)
    for index in range(9):
        assert harness.send("Create", logical_id=f"Late{index}", **ONE_MINUTE)["Status"] == "FAILED"
    began = time.time()

    assert harness.send("Create", logical_id="Next", **NUMBER)["Status"] == "SUCCESS"

    assert time.time() - began < 106


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("calls throttled")
def test_throttled_call_takes_a_slot_of_its_own(harness: Harness, configure: Configure) -> None:
    """It does not meet the call of another request, of which one would be throttled again."""
    configure(CALL_RATES=f"{REQUEST}=0.01")
    harness.telecom.fault(SMS, "RequestPhoneNumber", "throttle", times=1)
    with harness.function(continues=False) as function:
        for name in ("First", "Second", "Third", "Fourth"):
            function.post("Create", logical_id=name, **NUMBER)
            function.invoker.settle()

    assert harness.send("Create", logical_id="Fifth", **NUMBER)["Status"] == "SUCCESS"

    assert harness.held() == {"phone_numbers": 5}
    calls = sorted(call["at"] for call in harness.telecom.log() if call["operation"] == "RequestPhoneNumber")
    assert len(calls) == 6
    assert all(later - earlier > 100 for earlier, later in itertools.pairwise(calls))


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("calls throttled")
def test_throttled_call_without_a_slot_in_time_is_repeated_in_the_next_interval(
    harness: Harness, configure: Configure
) -> None:
    configure(CALL_RATES=f"{REQUEST}=0.1")
    harness.telecom.fault(SMS, "RequestPhoneNumber", "throttle", after=1)
    with harness.function(continues=False) as function:
        function.post("Create", logical_id="First", **NUMBER)
        function.invoker.settle()
        throttled = function.post("Create", logical_id="Throttled", **ONE_MINUTE)
        function.invoker.settle()
        for index in range(5):  # until after the last request's ServiceTimeout
            function.post("Create", logical_id=f"Later{index}", **NUMBER)
            function.invoker.settle()
    harness.invoker.resume()

    assert harness.response(throttled)["Status"] == "SUCCESS"


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("calls throttled")
def test_throttled_call_is_repeated_although_the_table_does_not_answer(harness: Harness, configure: Configure) -> None:
    configure(CALL_RATES=f"{REQUEST}=0.1", IN_PLACE_WAIT_SECONDS="30")
    harness.telecom.fault(SMS, "RequestPhoneNumber", "throttle")
    harness.telecom.fault("dynamodb", "UpdateItem", "error", **DENIED)

    assert harness.send("Create", **NUMBER)["Status"] == "SUCCESS"

    assert len(harness.invoker.invocations) == 1
    assert harness.queue.bodies == []


@pytest.mark.shows("invocation close to its timeout")
@LIMITS
def test_last_seconds_of_invocation_purchase_nothing(
    harness: Harness, configure: Configure, kind: Kind, limit: str
) -> None:
    configure(CALL_RATES=limit)
    # One second is reserved for the response.
    with harness.function(timeout=0.9, delays=(), continues=False) as once:
        request = once.post("Create", resource_type=kind.type, properties=kind.properties)
        once.invoker.settle()
        [run] = once.invoker.invocations

    assert len(harness.queue.messages) == 1
    assert harness.sink.raw(request) == []
    assert kind.buys not in harness.calls()

    harness.queue.reset()
    harness.invoker.invoke(run.event)
    assert [harness.response(request)["PhysicalResourceId"]] == harness.ids()
    assert harness.calls()[kind.buys] == 1


@pytest.mark.usefixtures("virtual_clock")
def test_waiting_for_reservation_does_not_count_as_patience(harness: Harness, configure: Configure) -> None:
    kind = connect_phone_number(connect_instance(harness))
    configure(CALL_RATES="connect=0,connect.ClaimPhoneNumber=1")
    fields: dict[str, Any] = {"resource_type": kind.type, "properties": kind.properties}
    harness.send("Create", logical_id="First", **fields)
    harness.telecom.configure(race_losses=1)

    second = harness.send("Create", logical_id="Second", **fields)

    assert second["Status"] == "SUCCESS", second["Reason"]
    assert harness.calls(CONNECT)["ClaimPhoneNumber"] == 3


@pytest.mark.usefixtures("virtual_clock")
def test_update_fails_if_read_is_reserved_after_service_timeout(harness: Harness, configure: Configure) -> None:
    number = harness.send("Create", **ONE_MINUTE)["PhysicalResourceId"]
    configure(CALL_RATES=f"{SMS}.DescribePhoneNumbers=0.01")
    properties = ONE_MINUTE["properties"]
    changed = {"physical_id": number, "old_properties": properties, "resource_type": SMS_PHONE_NUMBER.type}
    harness.send("Update", properties=properties | {"Trigger": "1"}, **changed)

    rejected = harness.send("Update", properties=properties | {"Trigger": "2"}, **changed)

    assert (rejected["Status"], rejected["PhysicalResourceId"]) == ("FAILED", number)
    assert rejected["Reason"].startswith("Throttling: 1 ")
    assert "DescribePhoneNumbers" in rejected["Reason"]


@LIMITS
def test_retry_returns_earlier_purchase_although_it_is_too_late_to_purchase(
    harness: Harness, configure: Configure, virtual_clock: VirtualClock, kind: Kind, limit: str
) -> None:
    configure(CALL_RATES=limit, RETRY_DELAY_SECONDS="1")
    harness.telecom.fault("dynamodb", "TransactWriteItems", "error", code="ResourceNotFoundException", after=1)
    with harness.function(delays=(), continues=False) as once:
        request = once.post(
            "Create",
            resource_type=kind.type,
            properties=kind.properties | {"ServiceTimeout": "20"},
            issued_at=time.time() - 17,
        )
        once.invoker.settle()
        [run] = once.invoker.invocations
    assert len(harness.queue.messages) == 1
    harness.queue.reset()

    virtual_clock.shift(2.1)  # into the last second before ServiceTimeout
    harness.invoker.invoke(run.event)

    assert [harness.response(request)["PhysicalResourceId"]] == harness.ids()
    assert harness.calls()[kind.buys] == 1


@pytest.mark.usefixtures("virtual_clock")
@LIMITS
def test_delete_in_last_second_before_service_timeout_releases(
    harness: Harness, configure: Configure, kind: Kind, limit: str
) -> None:
    issued_at = time.time() - 30
    made = harness.send("Create", resource_type=kind.type, properties=kind.properties, issued_at=issued_at)
    configure(CALL_RATES=limit)

    deleted = harness.send(
        "Delete",
        resource_type=kind.type,
        physical_id=made["PhysicalResourceId"],
        properties=kind.properties | {"ServiceTimeout": "20"},
        issued_at=time.time() - 19,
    )

    assert deleted["Status"] == "SUCCESS", deleted["Reason"]
    assert harness.held() == {}


@pytest.mark.usefixtures("virtual_clock")
def test_unused_reservations_are_returned_in_spite_of_a_conflict(harness: Harness, configure: Configure) -> None:
    """All requests write the item of a rate."""
    configure(CALL_RATES=f"{SMS}.PutKeyword=0.01")
    keywords = [{"Keyword": f"KEY{n}", "Message": "m", "Action": "AUTOMATIC_RESPONSE"} for n in range(5)]
    fault(harness, REQUEST, "error", **DENIED)
    fault(harness, "dynamodb.TransactWriteItems", "error", after=1, **conflict("TransactionConflict"))
    declared = NUMBER | {"properties": SMS_PHONE_NUMBER.properties | {"OptionalKeywords": keywords}}

    assert harness.send("Create", logical_id="First", **declared)["Status"] == "FAILED"

    [rate] = [row for row in harness.rows() if row["pk"]["S"] == "rate" and "PutKeyword" in row["sk"]["S"]]
    assert "returned" in rate


def test_step_that_is_late_keeps_its_later_slots(harness: Harness, configure: Configure) -> None:
    del harness
    configure(CALL_RATES=f"{SMS}.PutKeyword=0.1")
    now, keyword = clock.now(), f"{SMS}.PutKeyword"
    slots = {keyword: [now - 1, now + 9.2, now + 19.4]}

    rate_limiter.start_invocation(first_until=now + 5, wait_until=now + 5, latest=now + 3000, slots=slots)
    rate_limiter.reserve(*[(SMS, "PutKeyword")] * 3)

    assert {now + 9.2, now + 19.4} <= set(rate_limiter.unused_slots()[keyword])
