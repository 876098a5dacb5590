"""The provider delivers one correct response to CloudFormation, in time, whatever fails on the way."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, cast

import pytest
import time_machine
import urllib3

from telephony import transport
from telephony.cloudformation.request import NotARequestError, ResponseHostRefusedError
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
def test_rejected_response_is_delivered_again_later(harness: Harness, log_lines: list[str], mode: Any) -> None:
    request = str(uuid.uuid4())
    harness.sink.fail_next(request, mode, 1)

    answer = harness.send("Create", request_id=request, **CREATE)

    assert answer["Status"] == "SUCCESS"
    assert (len(harness.invoker.invocations), len(harness.invoker.steps)) == (1, 1)
    assert [line for line in log_lines if f"HTTP {mode}" in line]
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
        attempts = len(hurried.invoker.invocations), len(hurried.invoker.steps)

    assert answer["Status"] == "SUCCESS"
    assert attempts == (1, 1)
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

    assert time.time() - began < 30
    assert len(harness.queue.messages) == 1


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
def test_delivery_to_an_unreachable_host_is_repeated_later(
    harness: Harness, unreachable: str, log_lines: list[str]
) -> None:
    url = harness.sink.url_for(STACK_ID, "Number", "unreachable").replace(harness.sink.host, unreachable)
    with harness.function(timeout=2.5, delays=(), continues=False) as once:
        once.invoker.invoke(event("Create", response_url=url, logical_id="Number", **CREATE))
        once.invoker.settle()

    assert [line for line in log_lines if "CloudFormation did not accept the response" in line]
    assert not [line for line in log_lines if line.startswith("{") and unreachable in line]
    assert len(harness.queue.messages) == 1
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
    harness.queue.refuse("SendMessage")

    answer = harness.send(request_type, request_id=request, **fields)

    assert [attempt.outcome for attempt in harness.invoker.invocations[-3:]] == ["raised"] * 3
    assert len(harness.invoker.destination) == 1
    assert answer["Status"] == "SUCCESS"
    assert len(set(harness.sink.raw(request))) == 1
    assert harness.ids() == ([] if request_type == "Delete" else [answer["PhysicalResourceId"]])
    assert harness.calls()[kind.buys] == 1


def test_continuation_keeps_only_requests_that_have_not_ended(harness: Harness) -> None:
    context: Any = Context()
    harness.sink.fail_next(None, "403", 2)
    with harness.function(continues=False) as function:
        function.post("Create", **CREATE)
        function.invoker.settle()
    [message] = harness.queue.messages.values()
    message.visible_at = 0
    received = harness.queue.receive()
    assert received is message
    [record] = message.event()["Records"]
    foreign = record | {"messageId": "foreign"}
    foreign["body"] = json.dumps({"version": "1.0", "requestPayload": {"source": "aws.events"}})
    unreadable = [
        record | {"messageId": f"unreadable {body}", "body": body} for body in ("", "7", "{}", '{"version": 1}')
    ]

    with time_machine.travel(time.time() + 60, tick=True):
        kept = continuation.handler({"Records": [record, foreign, *unreadable]}, context)["batchItemFailures"]
        assert kept == [{"itemIdentifier": one["messageId"]} for one in (record, *unreadable)]

    with time_machine.travel(time.time() + 300, tick=True):
        assert continuation.handler({"Records": [record, foreign]}, context) == {"batchItemFailures": []}
    [answer] = harness.sink.responses(json.loads(record["body"])["event"]["RequestId"])
    assert answer["Status"] == "SUCCESS"
    assert harness.calls(SMS) == {"RequestPhoneNumber": 1}


@pytest.mark.shows("all retries exhausted")
def test_last_invocation_purchases_nothing(harness: Harness, kind: Kind) -> None:
    harness.telecom.fault("dynamodb", "TransactWriteItems", "error", code="ResourceNotFoundException", times=999)
    with harness.function(continues=False) as function:
        request = function.post("Create", resource_type=kind.type, properties=kind.properties)
        function.invoker.settle()
    harness.telecom.clear_faults()
    [message] = harness.queue.messages.values()

    with time_machine.travel(time.time() + 3594.5, tick=True):  # Seconds before ServiceTimeout.
        assert continuation.handler(message.event(), cast("Any", Context())) == {"batchItemFailures": []}

    [answer] = harness.sink.responses(request)
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("InternalFailure: ")
    assert answer["PhysicalResourceId"] == f"not-created:{answer['RequestId']}"
    assert kind.buys not in harness.calls()


def test_defect_is_answered_after_three_attempts(harness: Harness, log_lines: list[str]) -> None:
    """The response to the purchase lacks the ID, so that the provider raises a KeyError."""
    harness.telecom.fault(SMS, "RequestPhoneNumber", "error", code="Undocumented", status=200, times=99)
    began = time.time()

    answer = harness.send("Create", **CREATE)

    assert 100 < time.time() - began < 200
    assert (len(harness.invoker.invocations), len(harness.invoker.steps)) == (1, 2)
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("InternalFailure: ")
    assert "KeyError" in answer["Reason"]
    assert answer["PhysicalResourceId"].startswith("not-created:")
    defects = [json.loads(line) for line in log_lines if "Unexpected exception" in line]
    assert len(defects) == 3
    assert any("sms_phone_number.py" in place for place in defects[0]["places"])


@pytest.mark.parametrize("request_type", ["Update", "Delete"])
def test_defect_of_update_or_delete_is_answered_with_the_id_of_the_resource(
    harness: Harness, request_type: Any
) -> None:
    """The response to a read lacks the list."""
    protected = SIMULATOR | {"DeletionProtectionEnabled": True, "OnDelete": {"LiftDeletionProtection": True}}
    fields: dict[str, Any] = CREATE | {"properties": protected}
    physical_id = harness.send("Create", **fields)["PhysicalResourceId"]
    if request_type == "Update":
        fields |= {"properties": protected | {"Trigger": "1"}, "old_properties": protected}
    harness.telecom.fault(SMS, "DescribePhoneNumbers", "error", code="Undocumented", status=200, times=99)

    answer = harness.send(request_type, **fields, physical_id=physical_id)

    assert (answer["Status"], answer["PhysicalResourceId"]) == ("FAILED", physical_id)
    assert answer["Reason"].startswith("InternalFailure: ")
    assert harness.ids() == [physical_id]
    harness.telecom.clear_faults()
    fields.pop("old_properties", None)
    assert harness.send("Delete", **fields, physical_id=physical_id)["Status"] == "SUCCESS"
    assert harness.held() == {}


def test_defect_after_the_purchase_is_answered_with_the_number_and_its_delete_releases_it(harness: Harness) -> None:
    harness.telecom.fault(SMS, "UpdatePhoneNumber", "error", code="Undocumented", status=200, times=3)
    fields = CREATE | {"properties": SIMULATOR | {"SelfManagedOptOutsEnabled": True}}

    answer = harness.send("Create", **fields)

    assert answer["Status"] == "FAILED"
    assert [answer["PhysicalResourceId"]] == harness.ids()
    assert harness.send("Delete", **fields, physical_id=answer["PhysicalResourceId"])["Status"] == "SUCCESS"
    assert harness.held() == {}


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
    assert harness.queue.messages == {}, "the continuation does not leave the message in the queue"
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
