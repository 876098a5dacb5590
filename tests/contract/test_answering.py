"""CloudFormation gets one true answer, in time, whatever happens on the way to it."""

from __future__ import annotations

import copy
import json
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

from telephony import settings
from tests.conftest import SECRET, SMS, STACK_ID, Context, Laptop
from tests.contract.answers import AnswerSink
from tests.contract.cloudformation import AsyncInvoker, event
from tests.contract.declarations import SIMULATOR, Kind, template

CREATE: dict[str, Any] = {"resource_type": "Custom::SmsPhoneNumber", "properties": SIMULATOR}


@contextmanager
def short_invocations(laptop: Laptop, seconds: float) -> Iterator[Laptop]:
    """The same provider, in a function whose Timeout is `seconds`."""
    from telephony.handlers import continuation, provider  # noqa: PLC0415

    def finally_answer(queued: Any) -> Any:
        return continuation.handler(queued, Context(seconds))  # type: ignore[arg-type]

    with AsyncInvoker(provider.handler, finally_answer, timeout=seconds) as invoker:
        yield attrs.evolve(laptop, invoker=invoker)


@pytest.mark.shows("attributes of any shape and size")
def test_an_answer_has_exactly_the_fields_of_the_contract(laptop: Laptop, kind: Kind) -> None:
    answer = laptop.send("Create", resource_type=kind.type, properties=kind.properties)

    assert set(answer) == {
        "Status",
        "PhysicalResourceId",
        "StackId",
        "RequestId",
        "LogicalResourceId",
        "Data",
    }
    assert all(isinstance(value, str) for value in answer["Data"].values())


@pytest.mark.shows("an answer that is not taken at once")
def test_a_busy_bucket_is_tried_again_with_the_same_bytes(laptop: Laptop) -> None:
    request = str(uuid.uuid4())
    laptop.sink.fail_next(request, "503", 2)

    answer = laptop.send("Create", request_id=request, **CREATE)

    assert answer["Status"] == "SUCCESS"
    assert len(laptop.sink.raw(request)) == 3
    assert len(set(laptop.sink.raw(request))) == 1
    assert len(laptop.invoker.invocations) == 1


@pytest.mark.shows("an answer that is refused", "an answer that is sent elsewhere")
@pytest.mark.parametrize("mode", ["403", "404", "307"])
def test_a_refused_answer_is_not_delivered_and_the_event_runs_again(laptop: Laptop, mode: Any) -> None:
    request = str(uuid.uuid4())
    laptop.sink.fail_next(request, mode, 1)

    answer = laptop.send("Create", request_id=request, **CREATE)

    assert answer["Status"] == "SUCCESS"
    first, second = laptop.invoker.invocations
    assert (first.outcome, second.outcome) == ("raised", "returned")
    assert f"HTTP {mode}" in str(first.error)
    assert len(laptop.sink.raw(request)) == 2
    assert len(set(laptop.sink.raw(request))) == 1
    assert not [put for put in laptop.sink.puts if put.path.startswith("/redirected")]
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1}


def test_an_answer_that_is_taken_slowly_is_sent_once(laptop: Laptop) -> None:
    request = str(uuid.uuid4())
    laptop.sink.fail_next(request, "slow", seconds=0.5)

    laptop.send("Create", request_id=request, **CREATE)

    assert len(laptop.sink.raw(request)) == 1


@pytest.mark.shows("an answer that is not taken at once")
def test_a_broken_connection_is_tried_again(laptop: Laptop) -> None:
    request = str(uuid.uuid4())
    laptop.sink.fail_next(request, "reset")

    answer = laptop.send("Create", request_id=request, **CREATE)

    assert answer["Status"] == "SUCCESS"
    assert len(laptop.invoker.invocations) == 1
    assert len(set(laptop.sink.raw(request))) == 1


@pytest.mark.shows("an answer that reaches nobody")
def test_a_silent_host_is_left_before_the_invocation_ends(laptop: Laptop) -> None:
    request = str(uuid.uuid4())
    laptop.sink.fail_next(request, "silent")
    with short_invocations(laptop, 2.5) as hurried:
        answer = hurried.send("Create", request_id=request, **CREATE)

        first, second = hurried.invoker.invocations

    assert answer["Status"] == "SUCCESS"
    assert (first.outcome, second.outcome) == ("raised", "returned")
    assert first.ended is not None
    assert first.ended - first.started < 2.5
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1}


@pytest.fixture(params=["refused", "unknown", "another one's certificate", "silent in the handshake"])
def unreachable(
    request: pytest.FixtureRequest, laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Laptop, str]]:
    """A host that takes no answer, and that the deployer has allowed."""
    with socket.socket() as listening, AnswerSink() as stranger:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        if request.param == "silent in the handshake":
            listening.listen()
        hosts = {"unknown": "nowhere.invalid", "another one's certificate": stranger.host}
        host = hosts.get(request.param, f"127.0.0.1:{port}")
        monkeypatch.setenv("ALLOWED_RESPONSE_HOSTS", f"{laptop.sink.host},{host}")
        settings.settings.cache_clear()
        yield laptop, host
        assert stranger.puts == []
    monkeypatch.undo()
    settings.settings.cache_clear()


@pytest.mark.shows("an answer that reaches nobody")
def test_an_answer_that_reaches_nobody_is_given_up_in_time(unreachable: tuple[Laptop, str]) -> None:
    from telephony.handlers import provider  # noqa: PLC0415

    laptop, host = unreachable
    url = laptop.sink.url_for(STACK_ID, "Number", "unreachable")
    with AsyncInvoker(provider.handler, delays=(), timeout=2.5) as once:
        once.invoke(event("Create", response_url=url.replace(laptop.sink.host, host), logical_id="Number", **CREATE))
        once.settle(30)
        [run] = once.invocations

    assert run.ended is not None
    assert run.ended - run.started < 2.5
    assert type(run.error).__name__ == "UndeliveredError"
    assert host not in str(run.error)
    assert laptop.held() == {"phone_numbers": 1}


@pytest.mark.shows("all retries spent", "an answer that is refused")
def test_the_last_resort_delivers_what_the_provider_could_not(laptop: Laptop, kind: Kind) -> None:
    request = str(uuid.uuid4())
    laptop.sink.fail_next(request, "403", 3)

    answer = laptop.send("Create", request_id=request, resource_type=kind.type, properties=kind.properties)

    assert [attempt.outcome for attempt in laptop.invoker.invocations] == ["raised"] * 3
    assert len(laptop.invoker.destination) == 1
    assert answer["Status"] == "SUCCESS"
    assert [answer["PhysicalResourceId"]] == laptop.ids()
    assert len(set(laptop.sink.raw(request))) == 1
    assert laptop.calls()[kind.buys] == 1


@pytest.mark.shows("all retries spent")
@pytest.mark.parametrize("request_type", ["Update", "Delete"])
def test_the_last_resort_says_success_of_what_succeeded(laptop: Laptop, kind: Kind, request_type: Any) -> None:
    made = laptop.send("Create", resource_type=kind.type, properties=kind.properties)
    request = str(uuid.uuid4())
    laptop.sink.fail_next(request, "403", 3)
    more: dict[str, Any] = {"old_properties": kind.properties} if request_type == "Update" else {}

    answer = laptop.send(
        request_type,
        request_id=request,
        resource_type=kind.type,
        properties=kind.properties | {"Trigger": "1"},
        physical_id=made["PhysicalResourceId"],
        **more,
    )

    assert answer["Status"] == "SUCCESS"
    assert len(laptop.invoker.destination) == 1


def test_a_record_that_cannot_be_answered_stays_in_the_queue_and_no_other_does(laptop: Laptop) -> None:
    from telephony.handlers import continuation  # noqa: PLC0415

    laptop.sink.fail_next(None, "403", 4)
    laptop.post("Create", **CREATE)
    laptop.invoker.settle(30)
    [queued] = laptop.invoker.destination
    foreign = copy.deepcopy(queued["Records"][0]) | {"messageId": "foreign"}
    foreign["body"] = json.dumps({"version": "1.0", "requestPayload": {"source": "aws.events"}})
    queued = {"Records": [queued["Records"][0], foreign]}

    laptop.sink.fail_next(None, "403", 1)
    left = continuation.handler(queued, Context())  # type: ignore[arg-type]
    assert left == {"batchItemFailures": [{"itemIdentifier": queued["Records"][0]["messageId"]}]}

    assert continuation.handler(queued, Context()) == {"batchItemFailures": []}  # type: ignore[arg-type]
    [answer] = laptop.sink.answers(json.loads(queued["Records"][0]["body"])["requestPayload"]["RequestId"])
    assert answer["Status"] == "SUCCESS"
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1}


@pytest.mark.shows("all retries spent")
def test_the_last_resort_buys_nothing(laptop: Laptop, kind: Kind) -> None:
    """No run came to the purchase: FAILED, and nothing new is begun."""
    laptop.telecom.fault("dynamodb", "TransactWriteItems", "error", code="ResourceNotFoundException", times=3)

    answer = laptop.send("Create", resource_type=kind.type, properties=kind.properties)

    assert len(laptop.invoker.destination) == 1
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("InternalFailure: ")
    assert answer["PhysicalResourceId"] == f"not-created:{answer['RequestId']}"
    assert kind.buys not in laptop.calls()


def test_a_defect_of_the_provider_is_answered_by_the_last_resort(laptop: Laptop) -> None:
    """Whatever a run raises, the stack does not hang: here the service answers what its model does not allow."""
    laptop.telecom.fault(SMS, "RequestPhoneNumber", "error", code="LostInTranslation", status=200, times=99)

    answer = laptop.send("Create", **CREATE)

    assert answer["Status"] == "FAILED"
    assert answer["PhysicalResourceId"].startswith("not-created:")


FOREIGN: list[Any] = [
    {},
    [],
    "text",
    None,
    7,
    {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}},
    {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]},
    {"RequestType": "Create"},
    {"CrHelperPoll": True, "CrHelperData": {"PhysicalResourceId": "phone-1"}},
]


@pytest.mark.shows("an event that is not CloudFormation's")
def test_a_foreign_event_in_a_warm_container_is_refused_and_answered_nowhere(laptop: Laptop) -> None:
    laptop.send("Create", **CREATE)
    puts = len(laptop.sink.puts)

    made = laptop.calls_of(lambda: [laptop.invoker.invoke(foreign) for foreign in FOREIGN])

    assert len(laptop.invoker.invocations) == 1 + 3 * len(FOREIGN)
    assert {attempt.outcome for attempt in laptop.invoker.invocations[1:]} == {"raised"}
    assert len(laptop.sink.puts) == puts
    assert made == {}
    assert laptop.invoker.destination_errors == []


MISSING = ["RequestType", "ResponseURL", "StackId", "RequestId", "LogicalResourceId", "ResourceType"]


@pytest.mark.shows("an event that is not CloudFormation's")
def test_a_malformed_event_is_refused_and_answered_nowhere(laptop: Laptop) -> None:
    url = laptop.sink.url_for("stack", "Number", "malformed")
    for name in MISSING:
        whole = event("Create", response_url=url, request_id="malformed", **CREATE)
        del whole[name]
        laptop.invoker.invoke(whole)
        laptop.invoker.invoke(whole | {name: ["x"]})
    laptop.invoker.settle(30)

    assert {attempt.outcome for attempt in laptop.invoker.invocations} == {"raised"}
    assert {type(attempt.error).__name__ for attempt in laptop.invoker.invocations} == {"NotARequestError"}
    assert laptop.invoker.destination_errors == [], "the queue would keep what nobody waits for"
    assert laptop.sink.raw("malformed") == []
    assert laptop.calls() == {}


@pytest.mark.shows("an event that is not CloudFormation's")
@pytest.mark.parametrize(
    "url",
    [
        "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com.example.net/x",
        "https://cloudformation-custom-resource-response-useast1-evil.s3.amazonaws.com/x",
        "http://127.0.0.1/x",
        "https://169.254.169.254/latest/meta-data/",
    ],
)
def test_an_event_that_would_be_answered_elsewhere_buys_nothing(laptop: Laptop, url: str) -> None:
    laptop.invoker.invoke(event("Create", response_url=url, **CREATE))
    laptop.invoker.settle(30)

    assert {type(attempt.error).__name__ for attempt in laptop.invoker.invocations} == {"ResponseHostRefusedError"}
    assert laptop.calls() == {}
    assert laptop.rows() == []


@pytest.mark.shows("another resource in the same container")
def test_a_refused_event_is_not_logged_under_the_name_of_the_event_before_it(
    laptop: Laptop, written: list[str]
) -> None:
    laptop.send("Create", **CREATE)
    before = len(written)

    laptop.invoker.invoke({"source": "aws.events"})
    laptop.invoker.settle(30)

    refusals = [line for line in written[before:] if line.startswith("{") and "Refused" in line]
    assert refusals
    for line in refusals:
        assert not {"stack_id", "request_id", "logical_resource_id"} & set(json.loads(line))


@pytest.mark.shows("another resource in the same container")
def test_nothing_of_one_resource_is_in_the_answer_or_the_log_of_the_next(laptop: Laptop, written: list[str]) -> None:
    first = laptop.send("Create", logical_id="First", **CREATE | {"properties": SIMULATOR | {"Trigger": SECRET}})
    failing = laptop.send("Create", logical_id="Second", **CREATE | {"properties": SIMULATOR | {"Colour": "red"}})
    before = len(written)

    gone = laptop.send("Delete", logical_id="Second", physical_id=failing["PhysicalResourceId"], **CREATE)

    assert gone == {
        "Status": "SUCCESS",
        "PhysicalResourceId": failing["PhysicalResourceId"],
        "StackId": STACK_ID,
        "RequestId": gone["RequestId"],
        "LogicalResourceId": "Second",
        "Data": {},
    }
    log = "\n".join(line for line in written[before:] if line.startswith("{"))
    assert gone["RequestId"] in log
    for past in (first["RequestId"], failing["RequestId"], "First", first["PhysicalResourceId"], "Colour"):
        assert past not in log.replace(failing["PhysicalResourceId"], "")


def test_every_line_about_a_request_names_it(laptop: Laptop, written: list[str]) -> None:
    answer = laptop.send("Create", **CREATE)

    lines = [json.loads(line) for line in written if line.startswith("{")]
    assert {line["message"] for line in lines} >= {"Received", "Decided", "Answered"}
    for line in lines:
        assert line["stack_id"] == answer["StackId"]
        assert line["request_id"] == answer["RequestId"]
        assert line["logical_resource_id"] == "Number"


@pytest.mark.shows("a Reason of any length and alphabet")
@pytest.mark.parametrize("text", ["漢", '"', "\x07"])
def test_a_long_reason_still_makes_an_answer_that_counts(laptop: Laptop, text: str) -> None:
    stack = laptop.cloudformation.stack("numbers")
    wrong = {f"Nö{text}{number}": "x" for number in range(300)}

    stack.deploy(template(SIMULATOR | wrong))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert "InvalidRequest: 300 properties are not valid" in stack.reasons("Number")[0]
    assert all(len(put.body) <= 4096 for put in laptop.sink.puts)


@pytest.mark.shows("every handler ends in time")
def test_an_answer_that_would_come_too_late_is_not_waited_for(laptop: Laptop) -> None:
    """ServiceTimeout bounds every wait, so that the answer still counts."""
    laptop.telecom.configure(activation_seconds=86_400)
    begun = time.time()

    answer = laptop.send("Create", **CREATE | {"properties": SIMULATOR | {"WaitForActive": True, "ServiceTimeout": 4}})

    assert answer["Status"] == "FAILED"
    assert time.time() - begun < 4
