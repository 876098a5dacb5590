"""The provider delivers one correct response to CloudFormation, in time, whatever fails on the way."""

from __future__ import annotations

import copy
import json
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import urllib3

from telephony import transport
from telephony.cloudformation.request import NotARequestError, ResponseHostRefusedError
from telephony.cloudformation.response import UndeliveredError
from telephony.handlers import continuation
from tests.conftest import SECRET, SMS, STACK_ID, Configure, Context, Harness, VirtualClock
from tests.contract.cloudformation import event
from tests.contract.declarations import SIMULATOR, Kind, template
from tests.contract.responses import ResponseSink

CREATE: dict[str, Any] = {"resource_type": "Custom::SmsPhoneNumber", "properties": SIMULATOR}


def short_invocations(harness: Harness, seconds: float) -> AbstractContextManager[Harness]:
    """The same provider with a function timeout of `seconds`."""
    return harness.function(timeout=seconds)


@pytest.mark.shows("attributes of any type and size")
def test_response_has_exactly_the_documented_fields(harness: Harness, kind: Kind) -> None:
    answer = harness.send("Create", resource_type=kind.type, properties=kind.properties)

    assert set(answer) == {"Status", "PhysicalResourceId", "StackId", "RequestId", "LogicalResourceId", "Data"}
    assert all(isinstance(value, str) for value in answer["Data"].values())


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("response not accepted at first")
@pytest.mark.parametrize(("mode", "failures"), [("503", 2), ("reset", 1)])
def test_delivery_is_retried_with_the_same_bytes(harness: Harness, mode: Any, failures: int) -> None:
    request = str(uuid.uuid4())
    harness.sink.fail_next(request, mode, failures)

    answer = harness.send("Create", request_id=request, **CREATE)

    assert answer["Status"] == "SUCCESS"
    assert harness.sink.raw(request) == [harness.sink.raw(request)[0]] * (failures + 1)
    assert len(harness.invoker.invocations) == 1


@pytest.mark.shows("response rejected", "response redirected")
@pytest.mark.parametrize("mode", ["403", "404", "307"])
def test_rejected_response_is_delivered_by_a_retry_of_the_event(harness: Harness, mode: Any) -> None:
    request = str(uuid.uuid4())
    harness.sink.fail_next(request, mode, 1)

    answer = harness.send("Create", request_id=request, **CREATE)

    assert answer["Status"] == "SUCCESS"
    first, second = harness.invoker.invocations
    assert (first.outcome, second.outcome) == ("raised", "returned")
    assert f"HTTP {mode}" in str(first.error)
    assert harness.sink.raw(request) == [harness.sink.raw(request)[0]] * 2
    assert not [put for put in harness.sink.puts if put.path.startswith("/redirected")]
    assert harness.calls(SMS) == {"RequestPhoneNumber": 1}


def test_slowly_acknowledged_response_is_sent_once(harness: Harness) -> None:
    request = str(uuid.uuid4())
    harness.sink.fail_next(request, "slow", seconds=0.5)

    harness.send("Create", request_id=request, **CREATE)

    assert len(harness.sink.raw(request)) == 1


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("response host unreachable")
def test_retry_delivers_the_response_after_a_silent_host(harness: Harness) -> None:
    request = str(uuid.uuid4())
    harness.sink.fail_next(request, "silent", 2)
    with harness.function(timeout=2.5) as hurried:
        answer = hurried.send("Create", request_id=request, **CREATE)
        first, second = hurried.invoker.invocations

    assert answer["Status"] == "SUCCESS"
    assert (first.outcome, second.outcome) == ("raised", "returned")
    assert harness.calls(SMS) == {"RequestPhoneNumber": 1}


@pytest.mark.shows("response host unreachable")
def test_delivery_to_a_silent_host_ends_before_the_invocation(
    harness: Harness, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SilentHost(urllib3.PoolManager):
        def urlopen(self, *_: Any, **options: Any) -> Any:
            virtual_clock.shift(options["timeout"].read_timeout)
            raise urllib3.exceptions.ReadTimeoutError(self, "", "silent")  # type: ignore[arg-type]

    monkeypatch.setattr(transport, "pool", SilentHost)
    began = time.time()
    with harness.function(timeout=30, delays=(), continues=False) as once:
        once.post("Create", **CREATE)
        once.invoker.settle()
        [run] = once.invoker.invocations

    assert isinstance(run.error, UndeliveredError)
    assert time.time() - began < 30


@pytest.fixture(params=["refused", "unknown", "untrusted certificate", "silent in the handshake"])
def unreachable(request: pytest.FixtureRequest, harness: Harness, configure: Configure) -> Iterator[str]:
    """An allowed host that doesn't accept a response."""
    with socket.socket() as listening, ResponseSink() as stranger:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        if request.param == "silent in the handshake":
            listening.listen()
        hosts = {"unknown": "nowhere.invalid", "untrusted certificate": stranger.host}
        host = hosts.get(request.param, f"127.0.0.1:{port}")
        configure(ALLOWED_RESPONSE_HOSTS=f"{harness.sink.host},{host}")
        yield host
        assert stranger.puts == []


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("response host unreachable")
def test_delivery_to_an_unreachable_host_fails(harness: Harness, unreachable: str) -> None:
    url = harness.sink.url_for(STACK_ID, "Number", "unreachable").replace(harness.sink.host, unreachable)
    with harness.function(timeout=2.5, delays=(), continues=False) as once:
        once.invoker.invoke(event("Create", response_url=url, logical_id="Number", **CREATE))
        once.invoker.settle()
        [run] = once.invoker.invocations

    assert isinstance(run.error, UndeliveredError)
    assert unreachable not in str(run.error)
    assert harness.held() == {"phone_numbers": 1}


@pytest.mark.shows("all retries exhausted", "response rejected")
@pytest.mark.parametrize("request_type", ["Create", "Update", "Delete"])
def test_continuation_delivers_the_response_after_all_retries(harness: Harness, kind: Kind, request_type: Any) -> None:
    fields: dict[str, Any] = {"resource_type": kind.type, "properties": kind.properties}
    if request_type != "Create":
        fields["physical_id"] = harness.send("Create", **fields)["PhysicalResourceId"]
    if request_type == "Update":
        fields |= {"properties": kind.properties | {"Trigger": "1"}, "old_properties": kind.properties}
    request = str(uuid.uuid4())
    harness.sink.fail_next(request, "403", 3)

    answer = harness.send(request_type, request_id=request, **fields)

    assert [attempt.outcome for attempt in harness.invoker.invocations[-3:]] == ["raised"] * 3
    assert len(harness.invoker.destination) == 1
    assert answer["Status"] == "SUCCESS"
    assert len(set(harness.sink.raw(request))) == 1
    assert harness.ids() == ([] if request_type == "Delete" else [answer["PhysicalResourceId"]])
    assert harness.calls()[kind.buys] == 1


def test_continuation_keeps_only_undelivered_requests_in_the_queue(harness: Harness) -> None:
    context: Any = Context()
    harness.sink.fail_next(None, "403", 4)
    harness.post("Create", **CREATE)
    harness.invoker.settle()
    [queued] = harness.invoker.destination
    [record] = queued["Records"]
    foreign = copy.deepcopy(record) | {"messageId": "foreign"}
    foreign["body"] = json.dumps({"version": "1.0", "requestPayload": {"source": "aws.events"}})
    queued = {"Records": [record, foreign]}

    harness.sink.fail_next(None, "403", 1)
    assert continuation.handler(queued, context) == {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}

    assert continuation.handler(queued, context) == {"batchItemFailures": []}
    [answer] = harness.sink.responses(json.loads(record["body"])["requestPayload"]["RequestId"])
    assert answer["Status"] == "SUCCESS"
    assert harness.calls(SMS) == {"RequestPhoneNumber": 1}


@pytest.mark.shows("all retries exhausted")
def test_continuation_purchases_nothing(harness: Harness, kind: Kind) -> None:
    harness.telecom.fault("dynamodb", "TransactWriteItems", "error", code="ResourceNotFoundException", times=3)

    answer = harness.send("Create", resource_type=kind.type, properties=kind.properties)

    assert len(harness.invoker.destination) == 1
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("InternalFailure: ")
    assert answer["PhysicalResourceId"] == f"not-created:{answer['RequestId']}"
    assert kind.buys not in harness.calls()


def test_purchase_response_without_phone_number_id_fails_the_create(harness: Harness) -> None:
    harness.invoker.expected_errors = Exception
    harness.telecom.fault(SMS, "RequestPhoneNumber", "error", code="Undocumented", status=200, times=99)

    answer = harness.send("Create", **CREATE)

    assert answer["Status"] == "FAILED"
    assert answer["PhysicalResourceId"].startswith("not-created:")


COMPLETE = event("Create", response_url="https://example.com/", **CREATE)
NOT_REQUESTS: list[Any] = [
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
for required in ("RequestType", "ResponseURL", "StackId", "RequestId", "LogicalResourceId", "ResourceType"):
    NOT_REQUESTS += [{name: COMPLETE[name] for name in COMPLETE if name != required}, COMPLETE | {required: ["x"]}]


@pytest.mark.shows("event not sent by CloudFormation", "execution environment reused for another resource")
def test_other_events_are_rejected_without_response(harness: Harness, log_lines: list[str]) -> None:
    harness.send("Create", **CREATE)
    puts, lines = len(harness.sink.puts), len(log_lines)
    harness.invoker.expected_errors = NotARequestError

    made = harness.calls_of(lambda: [harness.invoker.invoke(other) for other in NOT_REQUESTS])

    assert [type(run.error) for run in harness.invoker.invocations[1:]] == [NotARequestError] * 3 * len(NOT_REQUESTS)
    assert len(harness.sink.puts) == puts
    assert made == {}
    assert harness.invoker.destination_errors == [], "the continuation would leave the message in the queue"
    rejections = [json.loads(line) for line in log_lines[lines:] if line.startswith("{")]
    assert rejections
    for line in rejections:
        assert not {"stack_id", "request_id", "logical_resource_id"} & set(line), "the previous request is not named"


@pytest.mark.shows("event not sent by CloudFormation")
@pytest.mark.parametrize(
    "url",
    [
        "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com.example.net/x",
        "https://cloudformation-custom-resource-response-useast1-evil.s3.amazonaws.com/x",
        "http://127.0.0.1/x",
        "https://169.254.169.254/latest/meta-data/",
    ],
)
def test_request_with_foreign_response_host_purchases_nothing(harness: Harness, url: str) -> None:
    harness.invoker.expected_errors = ResponseHostRefusedError
    harness.invoker.invoke(event("Create", response_url=url, **CREATE))
    harness.invoker.settle()

    assert len(harness.invoker.invocations) == 3
    assert harness.calls() == {}
    assert harness.rows() == []


@pytest.mark.shows("execution environment reused for another resource")
def test_response_and_log_contain_nothing_of_previous_requests(harness: Harness, log_lines: list[str]) -> None:
    first = harness.send("Create", logical_id="First", **CREATE | {"properties": SIMULATOR | {"Trigger": SECRET}})
    failing = harness.send("Create", logical_id="Second", **CREATE | {"properties": SIMULATOR | {"Colour": "red"}})
    before = len(log_lines)

    deleted = harness.send("Delete", logical_id="Second", physical_id=failing["PhysicalResourceId"], **CREATE)

    assert deleted == {
        "Status": "SUCCESS",
        "PhysicalResourceId": failing["PhysicalResourceId"],
        "StackId": STACK_ID,
        "RequestId": deleted["RequestId"],
        "LogicalResourceId": "Second",
        "Data": {},
    }
    log = "\n".join(line for line in log_lines[before:] if line.startswith("{"))
    assert deleted["RequestId"] in log
    for previous in (first["RequestId"], failing["RequestId"], "First", first["PhysicalResourceId"], "Colour"):
        assert previous not in log.replace(failing["PhysicalResourceId"], "")


def test_every_log_line_names_its_request(harness: Harness, log_lines: list[str]) -> None:
    answer = harness.send("Create", **CREATE)

    lines = [json.loads(line) for line in log_lines if line.startswith("{")]
    assert len(lines) >= 3
    for line in lines:
        assert line["stack_id"] == answer["StackId"]
        assert line["request_id"] == answer["RequestId"]
        assert line["logical_resource_id"] == "Number"


@pytest.mark.shows("Reason of any length and character set")
@pytest.mark.parametrize("text", ["漢", '"', "\x07"])
def test_long_reason_is_truncated_to_a_valid_response(harness: Harness, text: str) -> None:
    stack = harness.cloudformation.stack("numbers")
    invalid = {f"Nö{text}{number}": "x" for number in range(300)}

    stack.deploy(template(SIMULATOR | invalid))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert "InvalidRequest: 300 " in stack.reasons("Number")[0]
    assert all(len(put.body) <= 4096 for put in harness.sink.puts)


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("every handler responds in time")
def test_response_is_sent_before_service_timeout(harness: Harness) -> None:
    harness.telecom.configure(activation_seconds=86_400)
    began = time.time()

    answer = harness.send("Create", **CREATE | {"properties": SIMULATOR | {"WaitForActive": True, "ServiceTimeout": 4}})

    assert answer["Status"] == "FAILED"
    assert time.time() - began < 4
