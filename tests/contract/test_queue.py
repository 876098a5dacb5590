"""A request that has to wait is one message in the queue, and no function sleeps for it."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any, cast

import pytest
import time_machine

from telephony.handlers import continuation
from tests.conftest import SMS, Configure, Context, Harness, VirtualClock
from tests.contract.cloudformation.queue import QueuedMessage
from tests.contract.declarations import SIMULATOR, Kind
from tests.contract.steps import DENIED, SERVER_ERROR, fault

WAITING: dict[str, Any] = {
    "resource_type": "Custom::SmsPhoneNumber",
    "properties": SIMULATOR | {"WaitForActive": True},
}
HOUR = 3600


def waiting(harness: Harness, **fields: Any) -> tuple[str, QueuedMessage]:
    """Return the RequestId and the message of a request that waits in the queue."""
    with harness.function(continues=False) as function:
        request = function.post("Create", **(WAITING | fields))
        function.invoker.settle()
    [message] = harness.queue.messages.values()
    return request, message


def receive(message: QueuedMessage) -> bool:
    """Run the continuation with a message. Returns whether its request has ended."""
    return continuation.handler(message.event(), cast("Any", Context())) == {"batchItemFailures": []}


@pytest.fixture(autouse=True)
def pending(harness: Harness, configure: Configure) -> None:
    """New numbers stay PENDING for ten minutes, and waits are as long as in production."""
    configure(IN_PLACE_WAIT_SECONDS="10", POLL_INTERVAL_SECONDS="2")
    harness.telecom.configure(activation_seconds=600)


@pytest.mark.usefixtures("virtual_clock")
def test_request_waits_as_one_message_with_the_event_and_no_decision(harness: Harness) -> None:
    answer = harness.send("Create", **WAITING)

    assert answer["Status"] == "SUCCESS"
    [body] = [json.loads(body) for body in harness.queue.bodies]
    [run] = harness.invoker.invocations
    assert body == {"version": 1, "event": run.event}
    actions = [action for action, _ in harness.queue.calls]
    assert actions == ["SendMessage", *["ChangeMessageVisibility"] * (len(harness.invoker.steps) - 1)]
    assert harness.queue.messages == {}


@pytest.mark.usefixtures("virtual_clock")
def test_no_invocation_waits_longer_than_some_seconds(harness: Harness) -> None:
    assert harness.send("Create", **WAITING)["Status"] == "SUCCESS"

    attempts = [*harness.invoker.invocations, *harness.invoker.steps]
    assert max((attempt.ended or 0) - attempt.started for attempt in attempts) < 11
    assert 600 <= max(attempt.started for attempt in attempts) - attempts[0].started < 680
    assert len(attempts) < 30


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.parametrize(("activation", "status"), [(3400, "SUCCESS"), (86_400, "FAILED")])
def test_wait_for_active_holds_on_until_two_minutes_before_service_timeout(
    harness: Harness, configure: Configure, activation: float, status: str
) -> None:
    configure(SERVICE_TIMEOUT_MARGIN_SECONDS="120")
    harness.telecom.configure(activation_seconds=activation)
    began = time.time()

    answer = harness.send("Create", **WAITING)

    assert answer["Status"] == status
    answered = time.time() - began
    assert (3400 if status == "SUCCESS" else HOUR - 126) <= answered < HOUR - 110
    if status == "FAILED":
        assert answer["Reason"].startswith("NotStabilized: ")
        assert "ServiceTimeout" in answer["Reason"]


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("temporary refusal that outlasts the invocation")
def test_temporary_refusal_is_retried_in_later_invocations(harness: Harness, configure: Configure) -> None:
    configure(RETRY_PERIOD_SECONDS="120")
    refusal: dict[str, Any] = {"code": "ValidationException", "reason": "RESOURCE_NOT_ACCESSIBLE", "times": 8}
    harness.telecom.fault(SMS, "RequestPhoneNumber", "error", **refusal)
    declared = WAITING | {"properties": SIMULATOR}

    assert harness.send("Create", **declared)["Status"] == "SUCCESS"

    assert len(harness.invoker.steps) > 0
    assert harness.held() == {"phone_numbers": 1}


@pytest.mark.usefixtures("virtual_clock")
def test_temporary_refusal_ends_as_a_failure_after_its_period(harness: Harness, configure: Configure) -> None:
    configure(RETRY_PERIOD_SECONDS="120")
    refusal: dict[str, Any] = {"code": "ValidationException", "reason": "RESOURCE_NOT_ACCESSIBLE", "times": 999}
    harness.telecom.fault(SMS, "RequestPhoneNumber", "error", **refusal)
    began = time.time()

    answer = harness.send("Create", **WAITING | {"properties": SIMULATOR})

    assert answer["Status"] == "FAILED"
    assert "RESOURCE_NOT_ACCESSIBLE" in answer["Reason"]
    assert 120 < time.time() - began < 240


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("service unavailable for longer than an invocation")
def test_outage_of_a_service_is_waited_out(harness: Harness, kind: Kind) -> None:
    harness.telecom.configure(activation_seconds=0)
    fault(harness, kind.buys, "error", times=30, **SERVER_ERROR)

    answer = harness.send("Create", resource_type=kind.type, properties=kind.properties)

    assert answer["Status"] == "SUCCESS"
    assert harness.held() == {kind.held: 1}


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("message delivered early, late or out of order")
def test_message_that_arrives_early_is_hidden_again_without_other_work(harness: Harness, configure: Configure) -> None:
    configure(RETRY_DELAY_SECONDS="60")
    request, message = waiting(harness)
    due_at = message.visible_at
    message.visible_at = time.time()
    assert harness.queue.receive() is message
    before = Counter(harness.telecom.calls())

    assert receive(message) is False

    assert Counter(harness.telecom.calls()) - before == {"dynamodb.GetItem": 1}
    assert message.visible_at == pytest.approx(due_at, abs=2)
    assert harness.sink.raw(request) == []


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("message delivered twice")
def test_two_messages_of_a_request_get_the_same_response(harness: Harness) -> None:
    """Lambda can deliver an event more than once, and each delivery sends a message."""
    harness.invoker.disturb("together")

    request = harness.post("Create", **WAITING)
    harness.invoker.settle()

    assert len(harness.queue.bodies) == 2
    answers = harness.sink.raw(request)
    assert len(answers) == 2
    assert len(set(answers)) == 1
    assert json.loads(answers[0])["Status"] == "SUCCESS"
    assert harness.calls(SMS)["RequestPhoneNumber"] == 1


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("queue unavailable")
def test_provider_that_cannot_send_raises_so_that_lambda_retries(harness: Harness) -> None:
    harness.queue.refuse("SendMessage", times=4)  # Two calls per invocation.

    answer = harness.send("Create", **WAITING)

    assert [run.outcome for run in harness.invoker.invocations] == ["raised", "raised", "returned"]
    assert answer["Status"] == "SUCCESS"
    assert harness.calls(SMS)["RequestPhoneNumber"] == 1


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("queue unavailable")
def test_request_that_could_not_be_sent_keeps_its_reservation(harness: Harness, configure: Configure) -> None:
    harness.telecom.configure(activation_seconds=0)
    configure(CALL_RATES=f"{SMS}.RequestPhoneNumber=0.01")  # The second reservation is in 102 seconds.
    fields = WAITING | {"properties": SIMULATOR}
    harness.send("Create", logical_id="First", **fields)
    harness.queue.refuse("SendMessage", times=2)
    began = time.time()

    second = harness.send("Create", logical_id="Second", issued_at=began - 60, **fields)

    assert [run.outcome for run in harness.invoker.invocations] == ["returned", "raised", "returned"]
    assert second["Status"] == "SUCCESS"
    assert time.time() - began < 106, "not 204"


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("queue unavailable")
def test_message_that_cannot_be_hidden_is_received_after_the_visibility_timeout(harness: Harness) -> None:
    harness.queue.refuse("ChangeMessageVisibility")

    answer = harness.send("Create", **WAITING)

    assert answer["Status"] == "SUCCESS"
    assert len(harness.queue.bodies) == 1


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("message delivered twice")
def test_queue_that_ignores_the_changed_visibility_costs_time_but_no_answer(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.telecom.configure(activation_seconds=300)
    real = harness.queue.answer

    def ignores(action: str, parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return real(action, parameters | ({"VisibilityTimeout": 0} if action == "ChangeMessageVisibility" else {}))

    monkeypatch.setattr(harness.queue, "answer", ignores)
    answer = harness.send("Create", **WAITING)

    assert answer["Status"] == "SUCCESS"
    [last] = harness.invoker.steps[-1:]
    assert last.attempt < 1000, "maxReceiveCount of the queue"


@pytest.mark.usefixtures("virtual_clock")
def test_delay_of_a_message_is_at_most_fifteen_minutes(harness: Harness, configure: Configure) -> None:
    configure(CALL_RATES=f"{SMS}.RequestPhoneNumber=0.00333")  # one call in five minutes
    fields = WAITING | {"properties": SIMULATOR}
    harness.telecom.configure(activation_seconds=0)
    assert harness.send("Create", logical_id="First", **fields)["Status"] == "SUCCESS"
    with harness.function(continues=False) as function:
        for name in ("Second", "Third"):
            function.post("Create", logical_id=name, **fields)
            function.invoker.settle()

    assert harness.send("Create", logical_id="Fourth", **fields)["Status"] == "SUCCESS"

    delays = [seconds for action, seconds in harness.queue.calls if action == "SendMessage"]
    assert delays == [pytest.approx(303, abs=5), pytest.approx(609, abs=5), 900]
    assert harness.held() == {"phone_numbers": 4}


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("message sent by a newer version")
def test_message_of_a_newer_version_waits_and_is_answered_in_the_last_invocation(harness: Harness) -> None:
    request, message = waiting(harness)
    message.body = json.dumps(json.loads(message.body) | {"version": 2, "more": {}})

    with time_machine.travel(time.time() + 700, tick=True):
        assert receive(message) is False
        assert harness.sink.raw(request) == []
    with time_machine.travel(time.time() + HOUR - 2, tick=True):
        assert receive(message) is True

    [answer] = harness.sink.responses(request)
    assert answer["Status"] == "FAILED"
    assert "newer version" in answer["Reason"]


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("message sent by a newer version")
@pytest.mark.parametrize("event", [None, {}, {"Request": {"RequestType": "Create"}}], ids=["none", "empty", "other"])
def test_message_of_a_newer_version_with_another_event_stays_in_the_queue(harness: Harness, event: object) -> None:
    _, message = waiting(harness)
    message.body = json.dumps({"version": 2, "event": event})

    assert receive(message) is False


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("message in the dead-letter queue")
def test_request_whose_url_has_expired_is_dropped(harness: Harness) -> None:
    request, message = waiting(harness)

    with time_machine.travel(time.time() + 2 * HOUR + 10, tick=True):
        assert receive(message) is True

    assert harness.sink.raw(request) == []


@pytest.mark.usefixtures("virtual_clock")
def test_late_step_is_measured(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    _, message = waiting(harness)
    capsys.readouterr()

    with time_machine.travel(time.time() + 1000, tick=True):
        assert receive(message) is True

    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"StepDelay"' in line]
    assert [990 < metric["StepDelay"][0] < 1001 for metric in metrics] == [True]


@pytest.mark.usefixtures("virtual_clock")
def test_provider_without_a_queue_relies_on_the_retries_of_lambda(harness: Harness, configure: Configure) -> None:
    configure(QUEUE_URL="")
    harness.telecom.configure(activation_seconds=0.5)
    configure(IN_PLACE_WAIT_SECONDS="0")

    with harness.function(delays=(0.6, 0.1)) as function:
        answer = function.send("Create", **WAITING)

    assert answer["Status"] == "SUCCESS"


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("state table unavailable before the purchase")
def test_table_that_breaks_connections_is_waited_for(harness: Harness, log_lines: list[str]) -> None:
    harness.telecom.fault("dynamodb", "TransactWriteItems", "reset", times=3)

    answer = harness.send("Create", resource_type="Custom::SmsPhoneNumber", properties=SIMULATOR)

    assert answer["Status"] == "SUCCESS"
    assert not [line for line in log_lines if "Unexpected exception" in line]


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("state table unavailable before the purchase")
def test_table_that_is_unavailable_until_the_end_is_answered(
    harness: Harness, configure: Configure, kind: Kind
) -> None:
    configure(SERVICE_TIMEOUT_MARGIN_SECONDS="120")
    for operation in ("PutItem", "UpdateItem", "TransactWriteItems", "GetItem", "Query"):
        harness.telecom.fault("dynamodb", operation, "error", code="AccessDeniedException", times=99_999)
    began = time.time()

    answer = harness.send("Create", resource_type=kind.type, properties=kind.properties | {"ServiceTimeout": "600"})

    assert answer["Status"] == "FAILED"
    assert "state table" in answer["Reason"]
    assert time.time() - began < 600
    assert harness.held() == {}


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("state table unavailable before the purchase")
def test_shortest_service_timeout_is_kept_without_the_table(
    harness: Harness, configure: Configure, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """Each call of the table takes two seconds, and each message is delivered two seconds late."""
    configure(SERVICE_TIMEOUT_MARGIN_SECONDS="120")
    for operation in ("PutItem", "GetItem"):
        harness.telecom.fault("dynamodb", operation, "error", **DENIED, times=99_999)
    serve = harness.telecom.serve
    deliver = harness.queue.receive

    def slow(request: Any) -> Any:
        virtual_clock.shift(2)
        return serve(request)

    def late() -> QueuedMessage | None:
        virtual_clock.shift(2)
        return deliver()

    monkeypatch.setattr(harness.telecom, "serve", slow)
    monkeypatch.setattr(harness.queue, "receive", late)
    began = time.time()

    answer = harness.send("Create", resource_type=kind.type, properties=kind.properties | {"ServiceTimeout": "60"})

    assert answer["Status"] == "FAILED"
    assert time.time() - began < 60


def test_progress_with_an_error_code_of_a_newer_version_is_continued(harness: Harness, kind: Kind) -> None:
    fault(harness, kind.buys, "error", times=999, **SERVER_ERROR)
    with harness.function(continues=False) as function:
        declared = kind.properties | {"ServiceTimeout": "20"}
        request = function.post("Create", resource_type=kind.type, properties=declared)
        function.invoker.settle()
    [saved] = [row for row in harness.rows() if row["sk"]["S"].startswith("request#")]
    saved["error"]["M"]["code"] = {"S": "OfANewerVersion"}
    harness.dynamodb.put_item(TableName=harness.table, Item=saved)

    harness.invoker.resume()

    assert harness.response(request)["Status"] == "FAILED"
