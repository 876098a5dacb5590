"""However often an event arrives, and wherever an attempt dies, one declaration buys one number."""

from __future__ import annotations

import socket
import time
import uuid
from typing import Any

import attrs
import pytest

from tests.conftest import CONNECT, SMS, STACK_ID, Laptop, connect_instance, forget_container
from tests.contract.cloudformation import AsyncInvoker
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, connect_phone_number
from tests.contract.test_answering import short_invocations

STATE = "dynamodb"


def create(laptop: Laptop, kind: Kind, **more: Any) -> dict[str, Any]:
    return laptop.send("Create", resource_type=kind.type, **({"properties": kind.properties} | more))


@pytest.mark.shows("delivered twice, one after the other", "delivered twice at the same moment")
@pytest.mark.parametrize("delivery", ["twice", "together"])
def test_an_event_that_comes_twice_buys_once_and_is_answered_with_the_same_bytes(
    laptop: Laptop, kind: Kind, delivery: Any
) -> None:
    laptop.invoker.disturb(delivery)

    answer = create(laptop, kind)

    assert answer["Status"] == "SUCCESS"
    assert len(laptop.invoker.invocations) == 2
    assert laptop.held() == {kind.held: 1}
    assert laptop.calls()[kind.buys] == 1
    raw = laptop.sink.raw(answer["RequestId"])
    assert len(raw) == 2
    assert len(set(raw)) == 1


@pytest.mark.shows("delivered twice, one after the other", "a change that needs another number")
@pytest.mark.parametrize("delivery", ["twice", "together"])
def test_a_replacement_that_comes_twice_buys_once(laptop: Laptop, kind: Kind, delivery: Any) -> None:
    first = create(laptop, kind)["PhysicalResourceId"]
    laptop.invoker.disturb(delivery)

    answer = laptop.send(
        "Update",
        resource_type=kind.type,
        physical_id=first,
        properties=kind.properties | kind.replacing | {"AllowReplacement": True},
        old_properties=kind.properties,
    )

    assert answer["Status"] == "SUCCESS"
    assert sorted(laptop.ids()) == sorted([first, answer["PhysicalResourceId"]])
    assert laptop.calls()[kind.buys] == 2
    assert len(set(laptop.sink.raw(answer["RequestId"]))) == 1


@pytest.mark.shows("delivered twice at the same moment")
@pytest.mark.parametrize("delivery", ["together"])
def test_a_failure_that_comes_twice_is_told_with_the_same_bytes(laptop: Laptop, kind: Kind, delivery: Any) -> None:
    laptop.telecom.fault(kind.service, kind.operation, "error", code="AccessDeniedException", message="No.")
    laptop.invoker.disturb(delivery)

    answer = create(laptop, kind)

    assert answer["Status"] == "FAILED"
    assert laptop.calls()[kind.buys] == 1
    assert len(laptop.sink.raw(answer["RequestId"])) == 2
    assert len(set(laptop.sink.raw(answer["RequestId"]))) == 1


@pytest.mark.shows("a Create that comes after its Delete")
def test_an_event_that_comes_a_second_time_after_its_delete_buys_nothing(laptop: Laptop, kind: Kind) -> None:
    request = str(uuid.uuid4())
    answer = create(laptop, kind, request_id=request)
    laptop.send("Delete", resource_type=kind.type, properties=kind.properties, physical_id=answer["PhysicalResourceId"])

    laptop.post("Create", resource_type=kind.type, properties=kind.properties, request_id=request)
    laptop.invoker.settle(30)

    assert laptop.held() == {}
    assert laptop.calls()[kind.buys] == 1


def test_ten_numbers_of_one_stack_are_bought_once_each(laptop: Laptop) -> None:
    resources = {f"Number{index}": {"Type": "Custom::SmsPhoneNumber", "Properties": SIMULATOR} for index in range(10)}
    stack = laptop.cloudformation.stack("numbers")

    assert stack.deploy({"Resources": resources}) == "CREATE_COMPLETE"

    assert laptop.held() == {"phone_numbers": 10}
    assert len(set(stack.physical_ids.values())) == 10
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 10}
    assert stack.delete() == "DELETE_COMPLETE"
    assert laptop.held() == {}


@pytest.mark.shows("fifty numbers in one stack")
def test_fifty_numbers_of_one_stack_are_bought_once_each_however_often_they_are_throttled(laptop: Laptop) -> None:
    laptop.telecom.configure(phone_numbers=50)
    laptop.telecom.fault(SMS, "RequestPhoneNumber", "throttle", times=100)
    properties = SIMULATOR | {"ServiceTimeout": 60}
    resources = {f"Number{n}": {"Type": "Custom::SmsPhoneNumber", "Properties": properties} for n in range(50)}
    stack = laptop.cloudformation.stack("numbers")

    assert stack.deploy({"Resources": resources}) == "CREATE_COMPLETE"

    assert sorted(laptop.ids()) == sorted(set(stack.physical_ids.values()))
    assert laptop.held() == {"phone_numbers": 50}
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 150}


@pytest.mark.shows("delivered twice at the same moment")
def test_a_delivery_that_cannot_wait_for_the_other_sends_nothing_and_runs_again(laptop: Laptop, kind: Kind) -> None:
    """The first one hangs in the purchase for longer than the other may wait."""
    laptop.telecom.fault(kind.service, kind.operation, "hang", seconds=2, when="after")
    with short_invocations(laptop, 1.5) as hurried:
        hurried.invoker.disturb("together")
        answer = create(hurried, kind)
        gave_up = [run for run in hurried.invoker.invocations if run.outcome == "raised"]

    assert answer["Status"] == "SUCCESS"
    assert "UnknownOutcomeError" in {type(run.error).__name__ for run in gave_up}
    puts = [put for put in laptop.sink.puts if put.request_id == answer["RequestId"]]
    assert puts[0].at > min(run.ended or 0 for run in gave_up), "it had sent nothing"
    assert len({put.body for put in puts}) == 1
    assert [answer["PhysicalResourceId"]] == laptop.ids()
    assert laptop.calls()[kind.buys] == 1


# -- the telecom services ----------------------------------------------------------------------------------------------


@pytest.mark.shows("calls that are throttled")
def test_throttling_is_absorbed(laptop: Laptop, kind: Kind) -> None:
    for operation in {kind.buys, kind.reads, kind.updates, kind.releases}:
        laptop.telecom.fault(kind.service, operation.split(".")[1], "throttle", times=6)
    made = create(laptop, kind, properties=kind.properties | kind.in_place)
    assert made["Status"] == "SUCCESS"
    assert laptop.calls()[kind.buys] == 7
    assert laptop.held() == {kind.held: 1}
    off = {name: False if value is True else value for name, value in kind.in_place.items()}

    updated = laptop.send(
        "Update",
        resource_type=kind.type,
        physical_id=made["PhysicalResourceId"],
        properties=kind.properties | off,
        old_properties=kind.properties | kind.in_place,
    )
    assert updated["Status"] == "SUCCESS"
    gone = laptop.send(
        "Delete", resource_type=kind.type, physical_id=made["PhysicalResourceId"], properties=kind.properties
    )
    assert gone["Status"] == "SUCCESS"
    assert laptop.held() == {}


@pytest.mark.shows("calls that are throttled")
def test_throttling_that_never_ends_is_told_and_nothing_is_held(laptop: Laptop) -> None:
    laptop.telecom.fault(SMS, "RequestPhoneNumber", "throttle", times=99_999)
    with short_invocations(laptop, 1.4) as hurried:
        answer = create(hurried, SMS_PHONE_NUMBER)

    assert answer["Status"] == "FAILED"
    assert answer["PhysicalResourceId"] == f"not-created:{answer['RequestId']}"
    assert laptop.held() == {}


@pytest.mark.shows("a purchase whose answer is lost, and its token forgotten")
@pytest.mark.parametrize(
    ("kind_of_fault", "times", "forgets"),
    [
        ("error", 1, False),
        ("reset", 7, False),
        ("lose_answer", 7, False),
        ("lose_answer", 1, True),
        ("lose_answer", 7, True),
    ],
)
def test_an_unknown_effect_ends_in_one_number(
    laptop: Laptop, kind: Kind, kind_of_fault: str, times: int, forgets: bool
) -> None:
    laptop.telecom.configure(forget_tokens=forgets)
    details = {"code": "InternalServerException", "status": 500} if kind_of_fault == "error" else {}
    laptop.telecom.fault(kind.service, kind.operation, kind_of_fault, times=times, **details)

    answer = create(laptop, kind)

    assert answer["Status"] == "SUCCESS", answer
    assert [answer["PhysicalResourceId"]] == laptop.ids()


@pytest.mark.shows("a purchase whose answer never comes", "every handler ends in time")
def test_a_service_that_buys_and_says_nothing_is_left_and_what_it_sold_is_found(laptop: Laptop) -> None:
    """Of every type at once: each call is given up after its 20 seconds."""
    kinds = [SMS_PHONE_NUMBER, SMS_SENDER_ID, connect_phone_number(connect_instance(laptop))]
    for kind in kinds:
        laptop.telecom.fault(kind.service, kind.operation, "hang", seconds=25, when="after")
    with short_invocations(laptop, 60) as unhurried:
        posted = [
            unhurried.post("Create", resource_type=kind.type, properties=kind.properties, logical_id=kind.operation)
            for kind in kinds
        ]
        unhurried.invoker.settle(60)
        assert len(unhurried.invoker.invocations) == len(kinds), "one run each"

    assert sorted(laptop.sink.answers(request)[0]["PhysicalResourceId"] for request in posted) == sorted(laptop.ids())
    assert {name: n for name, n in laptop.calls().items() if name in {kind.buys for kind in kinds}} == {
        kind.buys: 1 for kind in kinds
    }


@pytest.mark.shows("tags that show late", "a purchase whose answer never comes")
def test_the_token_finds_what_the_tags_do_not_show_yet(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(tags_lag_seconds=86_400)
    laptop.telecom.fault(kind.service, kind.operation, "lose_answer")
    with short_invocations(laptop, 3) as hurried:
        answer = create(hurried, kind)

    tokens = [call["token"] for call in laptop.telecom.log() if call["operation"] == kind.operation]
    assert len(set(tokens)) == 1
    assert laptop.held() == {kind.held: 1}
    if kind.service != CONNECT:  # whose number was candidate, and may be a neighbour's as long as no tag tells
        assert (answer["Status"], len(tokens)) == ("SUCCESS", 2)
        assert [answer["PhysicalResourceId"]] == laptop.ids()


def test_a_refusal_after_an_unknown_effect_does_not_hide_what_was_bought(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(forget_tokens=True)
    laptop.telecom.fault(kind.service, kind.operation, "lose_answer")
    laptop.telecom.fault(kind.service, kind.operation, "error", code="ServiceQuotaExceededException", message="Full.")

    answer = create(laptop, kind)

    assert answer["Status"] == "SUCCESS"
    assert [answer["PhysicalResourceId"]] == laptop.ids()


def test_a_lost_answer_of_the_second_step_is_no_failure(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.fault(kind.service, kind.updates.split(".")[1], "lose_answer")

    answer = create(laptop, kind, properties=kind.properties | kind.in_place)

    assert answer["Status"] == "SUCCESS"
    assert laptop.calls()[kind.buys] == 1


def test_a_lost_answer_of_a_release_is_a_success(laptop: Laptop, kind: Kind) -> None:
    made = create(laptop, kind)
    laptop.telecom.fault(kind.service, kind.releases.split(".")[1], "lose_answer")

    gone = laptop.send(
        "Delete", resource_type=kind.type, physical_id=made["PhysicalResourceId"], properties=kind.properties
    )

    assert gone["Status"] == "SUCCESS"
    assert laptop.held() == {}


@pytest.mark.parametrize("kind_of_fault", ["error", "reset"])
def test_a_release_that_fails_for_a_while_is_done_in_the_end(laptop: Laptop, kind: Kind, kind_of_fault: str) -> None:
    made = create(laptop, kind)
    details = {"code": "InternalServerException", "status": 500} if kind_of_fault == "error" else {}
    laptop.telecom.fault(kind.service, kind.releases.split(".")[1], kind_of_fault, times=6, **details)

    gone = laptop.send(
        "Delete", resource_type=kind.type, physical_id=made["PhysicalResourceId"], properties=kind.properties
    )

    assert gone["Status"] == "SUCCESS"
    assert laptop.held() == {}


# -- the state table ---------------------------------------------------------------------------------------------------


@pytest.mark.shows("no state table before the purchase")
def test_a_table_that_is_down_before_the_purchase_delays_it_and_no_more(laptop: Laptop) -> None:
    laptop.telecom.fault(STATE, "TransactWriteItems", "error", code="InternalServerError", status=500, times=3)

    answer = create(laptop, SMS_PHONE_NUMBER)

    assert answer["Status"] == "SUCCESS"
    assert laptop.calls() == {f"{SMS}.RequestPhoneNumber": 1}
    assert len(laptop.invoker.invocations) == 2


@pytest.mark.shows("no state table after the purchase")
@pytest.mark.parametrize("write", range(5))
def test_a_table_that_is_down_for_a_while_at_any_write_does_not_lead_to_a_second_number(
    laptop: Laptop, write: int
) -> None:
    laptop.telecom.fault(STATE, "UpdateItem", "error", code="ResourceNotFoundException", after=write)

    answer = create(laptop, SMS_PHONE_NUMBER)

    assert answer["Status"] == "SUCCESS"
    assert [answer["PhysicalResourceId"]] == laptop.ids()
    assert laptop.calls(SMS)["RequestPhoneNumber"] == 1
    assert len(set(laptop.sink.raw(answer["RequestId"]))) == 1


@pytest.mark.shows("no state table after the purchase")
@pytest.mark.parametrize(
    ("operation", "write"),
    [("PutItem", 0), ("TransactWriteItems", 0), *(("UpdateItem", write) for write in range(5))],
)
def test_a_write_whose_answer_is_lost_is_written_once(laptop: Laptop, operation: str, write: int) -> None:
    laptop.telecom.fault(STATE, operation, "lose_answer", after=write)

    answer = create(laptop, SMS_PHONE_NUMBER)

    assert answer["Status"] == "SUCCESS"
    assert [answer["PhysicalResourceId"]] == laptop.ids()
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1}


@pytest.mark.shows("no state table before the purchase")
@pytest.mark.parametrize("reached", [False, True])
def test_a_table_out_of_reach_or_silent_is_left_within_seconds(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch, reached: bool
) -> None:
    from telephony.handlers import provider  # noqa: PLC0415

    laptop.telecom.fault(STATE, "PutItem", "hang", seconds=30, times=9)
    if not reached:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", f"http://127.0.0.1:{closed.getsockname()[1]}")
        forget_container()
    with AsyncInvoker(provider.handler, delays=()) as once:
        attrs.evolve(laptop, invoker=once).post("Create", resource_type=SMS_PHONE_NUMBER.type, properties=SIMULATOR)
        once.settle(30)
        [run] = once.invocations
    monkeypatch.undo()
    forget_container()

    assert run.ended is not None
    assert run.ended - run.started < 10
    assert type(run.error).__name__ == "UnknownOutcomeError"
    assert laptop.calls() == {}
    assert laptop.sink.raw(run.event["RequestId"]) == []

    laptop.telecom.clear_faults()
    laptop.invoker.invoke(run.event)
    assert laptop.answer(run.event["RequestId"])["Status"] == "SUCCESS"
    assert laptop.calls() == {f"{SMS}.RequestPhoneNumber": 1}


@pytest.mark.shows("no state table before the purchase")
def test_a_table_that_may_not_be_used_buys_nothing(laptop: Laptop) -> None:
    for operation in ("PutItem", "TransactWriteItems", "Query", "UpdateItem"):
        laptop.telecom.fault(STATE, operation, "error", code="AccessDeniedException", times=99)

    laptop.post("Create", resource_type=SMS_PHONE_NUMBER.type, properties=SIMULATOR)
    laptop.invoker.settle(30)

    assert laptop.calls() == {}
    assert {attempt.outcome for attempt in laptop.invoker.invocations} == {"raised"}


@pytest.mark.shows("no state table after the purchase")
def test_a_throttled_table_is_waited_for(laptop: Laptop) -> None:
    laptop.telecom.fault(STATE, "UpdateItem", "throttle", times=2)

    assert create(laptop, SMS_PHONE_NUMBER)["Status"] == "SUCCESS"
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1}


def test_the_ledger_says_what_was_bought_for_whom(laptop: Laptop, kind: Kind) -> None:
    answer = create(laptop, kind)

    [row] = laptop.purchases()
    assert row["pk"]["S"] == f"{answer['StackId']}|Number"
    assert row["sk"]["S"] == f"purchase#{answer['RequestId']}"
    assert row["physical_id"]["S"] == answer["PhysicalResourceId"]
    assert "expiration" not in row, "a number lives longer than any guess"
    [outcome] = [row for row in laptop.rows() if row["pk"]["S"] == "outcome"]
    assert int(outcome["expiration"]["N"]) > 0


def test_a_table_where_others_are_writing_is_asked_again(laptop: Laptop) -> None:
    """Botocore repeats neither of the two: the write meets a transaction, or the transaction a write."""
    reasons = [{"Code": "None"}, {"Code": "None"}, {"Code": "TransactionConflict"}]
    for operation, code, members in (
        ("UpdateItem", "TransactionConflictException", None),
        ("TransactWriteItems", "TransactionCanceledException", {"CancellationReasons": reasons}),
    ):
        laptop.telecom.fault(STATE, operation, "error", code=code, members=members)

    answer = create(laptop, SMS_PHONE_NUMBER)

    assert answer["Status"] == "SUCCESS"
    assert len(laptop.invoker.invocations) == 1
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1}


def test_a_table_that_is_never_free_buys_nothing(laptop: Laptop) -> None:
    reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]
    laptop.telecom.fault(
        STATE,
        "TransactWriteItems",
        "error",
        code="TransactionCanceledException",
        times=99,
        members={"CancellationReasons": reasons},
    )

    laptop.post("Create", resource_type=SMS_PHONE_NUMBER.type, properties=SIMULATOR)
    laptop.invoker.settle(30)

    assert laptop.calls() == {}
    assert laptop.held() == {}


def test_a_run_that_waited_in_line_looks_for_what_another_has_bought_meanwhile(laptop: Laptop) -> None:
    """Its record was written without a lease; the other delivery took it, claimed a number, and died unheard."""
    from telephony import resources  # noqa: PLC0415
    from telephony.aws import rate_limiter  # noqa: PLC0415
    from telephony.cloudformation.request import Request  # noqa: PLC0415
    from telephony.errors import UnknownOutcomeError  # noqa: PLC0415
    from telephony.lifecycle import ledger  # noqa: PLC0415
    from telephony.lifecycle.invocation import Invocation  # noqa: PLC0415
    from telephony.lifecycle.purchase import Purchaser, purchase  # noqa: PLC0415
    from telephony.model.validation import parse  # noqa: PLC0415

    kind, issued = connect_phone_number(connect_instance(laptop)), time.time()
    request = Request(
        "Create", STACK_ID, str(uuid.uuid4()), "Number", kind.type, "", None, kind.properties, issued, 3600
    )
    rate_limiter.start_invocation(deadline=issued + 3600)
    slow, other = (Invocation(request, ends_at=issued + 600) for _ in range(2))
    resource = resources.by_type(kind.type)
    desired = parse(resource.properties, kind.properties)
    record = ledger.PurchaseRecord(
        resource=ledger.resource_key(STACK_ID, "Number"),
        request_id=request.request_id,
        request_type="Create",
        resource_type=kind.type,
        replaces=None,
        issued_at=issued,
        opened_at=issued,
        candidate=resource.select_candidate(desired),
    )
    ledger.open_purchase(record)
    taken = {"code": "InvalidParameterException", "message": "Phone number not available"}
    laptop.telecom.fault(CONNECT, "ClaimPhoneNumber", "error", **taken)
    laptop.telecom.fault(CONNECT, "ClaimPhoneNumber", "lose_answer")
    laptop.telecom.fault(CONNECT, "ListPhoneNumbersV2", "error", code="InternalServiceException", status=500, times=50)
    with pytest.raises(UnknownOutcomeError):
        purchase(other, resources.by_type(kind.type), desired)
    laptop.telecom.clear_faults()
    assert laptop.held() == {kind.held: 1}

    time.sleep(1.2)  # the other's lease
    bought, observed = Purchaser(slow, resource, desired, record, contended=True).run()

    assert [observed.physical_id] == laptop.ids() == [bought.physical_id]
