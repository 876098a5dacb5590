"""The simulator does what it says of CloudFormation, Lambda and S3: each behaviour once, with tiny handlers."""

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import trustme

from tests.contract.answers import AnswerSink, Mode
from tests.contract.cloudformation import AsyncInvoker, CloudFormation, Stack, ValidationError, event
from tests.contract.cloudformation.events import STACK_ID, stringified
from tests.contract.cloudformation.requests import Operation
from tests.contract.cloudformation.verdict import judge

Event = dict[str, Any]
Reply = Callable[[Event], Event | bytes | None]

NOT_SIMPLE = "Value of property Data must be an object with String (or simple type) properties"


def put(url: str, body: bytes, ca_file: str, *, method: str = "PUT", headers: dict[str, str] | None = None) -> int:
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=ca_file)
    connection = http.client.HTTPSConnection(parts.netloc, context=context, timeout=5)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers or {})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def answer(sent: Event, **changes: Any) -> Event:
    """A good answer to the event, with some fields changed; None takes a field away."""
    body = {
        "Status": "SUCCESS",
        "PhysicalResourceId": sent.get("PhysicalResourceId", f"{sent['LogicalResourceId']}-1"),
        "StackId": sent["StackId"],
        "RequestId": sent["RequestId"],
        "LogicalResourceId": sent["LogicalResourceId"],
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def failed(sent: Event, **changes: Any) -> Event:
    return answer(sent, Status="FAILED", Reason="no luck", **changes)


def then(first: Callable[[], Any], reply: Reply) -> Reply:
    """Do `first`, then reply."""

    def both(sent: Event) -> Event | bytes | None:
        first()
        return reply(sent)

    return both


class Probe:
    """A provider that answers as it is told, by request type and logical id; otherwise with success and the same id."""

    def __init__(self, ca_file: str) -> None:
        self._ca_file = ca_file
        self._replies: dict[tuple[str, str], list[Reply]] = {}

    def on(self, request_type: str, logical_id: str, *replies: Reply) -> None:
        """Use one reply after another; the last one stays."""
        self._replies[request_type, logical_id] = list(replies)

    def __call__(self, sent: Event, _context: Any) -> None:
        replies = self._replies.get((sent["RequestType"], sent["LogicalResourceId"]), [answer])
        reply = (replies.pop(0) if len(replies) > 1 else replies[0])(sent)
        if reply is not None:
            body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            put(sent["ResponseURL"], body, self._ca_file)


def resource(needs: str | None = None, policies: dict[str, str] | None = None, **properties: Any) -> Event:
    declared: Event = {"Type": "Custom::Probe", "Properties": {"Size": 1, **properties}, **(policies or {})}
    return declared if needs is None else {**declared, "DependsOn": needs}


def template(**resources: Event) -> Event:
    return {"Resources": resources}


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def sink(ca: trustme.CA) -> Iterator[AnswerSink]:
    with AnswerSink(ca) as server:
        yield server


@pytest.fixture
def probe(sink: AnswerSink) -> Probe:
    return Probe(sink.ca_file)


@pytest.fixture
def invoker(probe: Probe) -> Iterator[AsyncInvoker]:
    with AsyncInvoker(probe, delays=(0.01, 0.01)) as function:
        yield function


@pytest.fixture
def cfn(invoker: AsyncInvoker, sink: AnswerSink) -> CloudFormation:
    return CloudFormation(invoker, sink, time_scale=0.3)


@pytest.fixture
def stack(cfn: CloudFormation) -> Stack:
    return cfn.stack("example")


class TestAnswerSink:
    def test_a_url_names_the_request_and_says_when_it_was_issued(self, sink: AnswerSink) -> None:
        issued_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        url = urlsplit(sink.url_for(STACK_ID, "Number", "r1", issued_at))
        query = parse_qs(url.query)

        assert url.netloc == sink.host
        assert unquote(url.path) == f"/{STACK_ID}|Number|r1"
        assert query["X-Amz-Date"] == ["20260102T030405Z"]
        assert query["X-Amz-Expires"] == ["7200"]
        assert query["X-Amz-Signature"] == sink.signatures

    def test_every_put_is_acknowledged_and_kept_and_the_first_is_the_one_that_counts(self, sink: AnswerSink) -> None:
        heard: list[bytes] = []
        sink.subscribe("r1", heard.append)
        url = sink.url_for(STACK_ID, "Number", "r1")

        assert [put(url, b'{"n": 1}', sink.ca_file), put(url, b'{"n": 2}', sink.ca_file)] == [200, 200]
        assert heard == [b'{"n": 1}']
        assert sink.answers("r1") == [{"n": 1}, {"n": 2}]
        assert sink.raw("r1") == [b'{"n": 1}', b'{"n": 2}']
        assert sink.answers("r2") == []

    @pytest.mark.parametrize(
        ("change", "method", "headers", "status"),
        [
            ("", "PUT", {"Content-Type": ""}, 200),
            ("0", "PUT", {}, 403),
            ("", "POST", {}, 403),
            ("", "PUT", {"Content-Type": "application/json"}, 403),
            ("", "PUT", {"Transfer-Encoding": "chunked"}, 411),
        ],
    )
    def test_it_refuses_what_s3_refuses(
        self, sink: AnswerSink, change: str, method: str, headers: dict[str, str], status: int
    ) -> None:
        url = sink.url_for(STACK_ID, "Number", "r1")
        body = json.dumps("x" * 500_000).encode()
        assert put(url + change, body, sink.ca_file, method=method, headers=headers) == status
        assert len(sink.answers("r1")) == (status == 200)
        assert [entry.status for entry in sink.puts] == [status]

    @pytest.mark.parametrize(("age", "status"), [(7190, 200), (7210, 403)])
    def test_a_url_lives_for_two_hours(self, sink: AnswerSink, age: int, status: int) -> None:
        url = sink.url_for(STACK_ID, "Number", "r1", datetime.now(UTC) - timedelta(seconds=age))
        assert put(url, b"{}", sink.ca_file) == status

    @pytest.mark.parametrize("mode", ["403", "404", "503", "307"])
    def test_it_fails_as_told_and_then_recovers(self, sink: AnswerSink, mode: Mode) -> None:
        url = sink.url_for(STACK_ID, "Number", "r1")
        sink.fail_next("r1", mode, 2)
        sink.fail_next("another", mode)
        assert [put(url, b"{}", sink.ca_file) for _ in range(3)] == [int(mode), int(mode), 200]
        assert len(sink.raw("r1")) == 3
        assert sink.answers("r1") == [{}]

    def test_slow_is_stored_before_it_is_acknowledged(self, sink: AnswerSink) -> None:
        heard = threading.Event()
        sink.subscribe("r1", lambda _: heard.set())
        sink.fail_next(None, "slow", seconds=0.2)
        began = time.monotonic()
        assert put(sink.url_for(STACK_ID, "Number", "r1"), b"{}", sink.ca_file) == 200
        assert time.monotonic() - began >= 0.2
        assert heard.is_set()

    def test_reset_breaks_the_connection_and_stores_nothing(self, sink: AnswerSink) -> None:
        sink.fail_next(None, "reset")
        with pytest.raises(OSError):
            put(sink.url_for(STACK_ID, "Number", "r1"), b"{}", sink.ca_file)
        assert (sink.raw("r1"), sink.answers("r1")) == ([b"{}"], [])

    def test_silent_never_answers_and_keeps_nobody_else_waiting(self, sink: AnswerSink) -> None:
        sink.fail_next("r1", "silent")

        def ask() -> None:
            with suppress(OSError):
                put(sink.url_for(STACK_ID, "A", "r1"), b"{}", sink.ca_file)

        waiting = threading.Thread(target=ask)
        waiting.start()
        assert put(sink.url_for(STACK_ID, "B", "r2"), b"{}", sink.ca_file) == 200
        waiting.join(0.1)
        assert waiting.is_alive()
        assert sink.answers("r1") == []
        sink.close()
        waiting.join(5)
        assert not waiting.is_alive()

    def test_it_speaks_tls_under_its_own_ca(self, sink: AnswerSink) -> None:
        with AnswerSink() as stranger, pytest.raises(ssl.SSLCertVerificationError):
            put(sink.url_for(STACK_ID, "Number", "r1"), b"{}", stranger.ca_file)


class TestEvent:
    def test_every_request_type_has_its_own_fields(self) -> None:
        always = {
            *("RequestType", "ServiceToken", "ResponseURL", "StackId", "RequestId", "LogicalResourceId"),
            *("ResourceType", "ResourceProperties"),
        }
        url = "https://example.com/"
        assert event("Create", response_url=url).keys() == always
        assert event("Delete", response_url=url, physical_id="p").keys() == always | {"PhysicalResourceId"}
        update = event("Update", response_url=url, physical_id="p", old_properties={})
        assert update.keys() == always | {"PhysicalResourceId", "OldResourceProperties"}
        for request_type, extra in (("Create", {"physical_id": "p"}), ("Delete", {}), ("Update", {"physical_id": "p"})):
            with pytest.raises(ValueError):
                event(request_type, response_url=url, **extra)  # type: ignore[arg-type]

    def test_scalars_are_strings_and_null_is_gone(self) -> None:
        value = {"a": True, "b": 5, "c": [1.5, False, None, {"d": None, "e": "x"}], "f": {}, "g": None}
        assert stringified(value) == {"a": "true", "b": "5", "c": ["1.5", "false", {"e": "x"}], "f": {}}


class TestAsyncInvoker:
    def test_an_error_is_retried_twice_and_then_goes_to_the_destination(self) -> None:
        consumed: list[Event] = []

        def handler(_sent: Event, _context: Any) -> None:
            raise RuntimeError("unknown outcome")

        with AsyncInvoker(handler, on_failure=consumed.append, delays=(0.05, 0.1)) as invoker:
            request_id = invoker.invoke({"a": (1, 2)})
            invoker.settle()
            attempts = invoker.invocations

        assert [(attempt.attempt, attempt.outcome, attempt.request_id) for attempt in attempts] == [
            (number, "raised", request_id) for number in (1, 2, 3)
        ]
        assert attempts[0].event == {"a": [1, 2]}
        assert attempts[1].started - attempts[0].started >= 0.05
        assert attempts[2].started - attempts[1].started >= 0.1
        assert consumed == invoker.destination
        (message,) = consumed[0]["Records"]
        assert message["eventSource"] == "aws:sqs"
        record = json.loads(message["body"])
        assert record["version"] == "1.0"
        assert record["requestContext"] == {
            "requestId": request_id,
            "functionArn": f"{invoker.function_arn}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        }
        assert record["requestPayload"] == {"a": [1, 2]}
        assert record["responseContext"]["functionError"] == "Unhandled"
        assert record["responsePayload"]["errorType"] == "RuntimeError"
        assert record["responsePayload"]["errorMessage"] == "unknown outcome"

    def test_a_retry_that_succeeds_ends_it(self) -> None:
        outcomes = [OSError("once"), None]

        def handler(_sent: Event, _context: Any) -> None:
            if error := outcomes.pop(0):
                raise error

        with AsyncInvoker(handler, delays=(0.0, 0.0)) as invoker:
            invoker.invoke({})
            invoker.settle()
            assert [attempt.outcome for attempt in invoker.invocations] == ["raised", "returned"]
            assert invoker.destination == []

    def test_what_the_runtime_cannot_marshal_is_an_error_and_so_is_exit(self) -> None:
        with AsyncInvoker(lambda _event, _context: object(), delays=()) as invoker:
            invoker.invoke({})
            invoker.settle()
            assert isinstance(invoker.invocations[0].error, TypeError)
        with AsyncInvoker(lambda _event, _context: exit(1), delays=()) as invoker:  # noqa: PLR1722 - what is tested
            invoker.invoke({})
            invoker.settle()
            assert isinstance(invoker.invocations[0].error, SystemExit)

    def test_an_error_of_the_on_failure_consumer_is_kept(self) -> None:
        def broken(*_: Any) -> None:
            raise KeyError("Records")

        with AsyncInvoker(broken, on_failure=broken, delays=()) as invoker:
            invoker.invoke({})
            invoker.settle()
            assert [type(error) for error in invoker.destination_errors] == [KeyError]

    def test_the_context_counts_down(self) -> None:
        seen: list[tuple[Any, int]] = []

        def handler(_sent: Event, context: Any) -> None:
            seen.append((context, context.get_remaining_time_in_millis()))

        with AsyncInvoker(handler, timeout=3.0, memory=512) as invoker:
            request_id = invoker.invoke({})
            invoker.settle()
        ((context, remaining),) = seen
        assert 2900 < remaining <= 3000
        assert (context.aws_request_id, context.function_name, context.memory_limit_in_mb) == (
            request_id,
            "provider",
            "512",
        )
        assert context.invoked_function_arn == invoker.function_arn

    def test_a_delivery_can_come_twice_together_late_or_never(self) -> None:
        running: list[str] = []
        most: dict[str, int] = {}
        lock = threading.Lock()

        def handler(sent: Event, _context: Any) -> None:
            with lock:
                running.append(sent["n"])
                most[sent["n"]] = max(most.get(sent["n"], 0), running.count(sent["n"]))
            time.sleep(0.05)
            with lock:
                running.remove(sent["n"])

        with AsyncInvoker(handler) as invoker:
            invoker.disturb("twice", lambda sent: sent["n"] == "twice")
            invoker.disturb("together", lambda sent: sent["n"] == "together")
            invoker.disturb("late", lambda sent: sent["n"] == "late", seconds=0.15)
            invoker.disturb("drop", lambda sent: sent["n"] == "drop")
            began = time.time()
            for name in ("twice", "together", "late", "drop", "drop"):
                invoker.invoke({"n": name})
            invoker.settle()

        names = [attempt.event["n"] for attempt in invoker.invocations]
        assert {name: names.count(name) for name in names} == {"twice": 2, "together": 2, "late": 1, "drop": 1}
        assert most == {"twice": 1, "together": 2, "late": 1, "drop": 1}
        (late,) = (attempt for attempt in invoker.invocations if attempt.event["n"] == "late")
        assert late.started - began >= 0.15

    def test_settling_gives_up_on_what_never_ends(self) -> None:
        go_on = threading.Event()
        with AsyncInvoker(lambda _event, _context: go_on.wait() and None) as invoker:
            invoker.invoke({})
            with pytest.raises(TimeoutError):
                invoker.settle(0.05)
            go_on.set()


class TestAnswers:
    """What CloudFormation makes of one answer."""

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            (lambda sent: answer(sent, NoEcho=False, Data={"pad": "x" * 5000}), "Response object is too long."),
            (lambda _: b"{", "Invalid Response object: not JSON"),
            (lambda _: b"[]", "Invalid Response object: not an object"),
            (lambda sent: answer(sent, PhysicalResourceId=None), "Invalid PhysicalResourceId"),
            (lambda sent: failed(sent, PhysicalResourceId=""), "Invalid PhysicalResourceId"),
            (lambda sent: answer(sent, PhysicalResourceId="é" * 513), "Invalid PhysicalResourceId"),
            (
                lambda sent: answer(sent, RequestId="other"),
                "Invalid Response object: RequestId is not that of the request",
            ),
            (lambda sent: answer(sent, StackId=None), "Invalid Response object: StackId is not that of the request"),
            (
                lambda sent: answer(sent, Status="FAILURE"),
                "Invalid Response object: 'FAILURE' is not a valid ResponseStatus",
            ),
            (
                lambda sent: answer(sent, Status="FAILED"),
                "Invalid Response object: Reason is required when Status is FAILED",
            ),
            (
                lambda sent: answer(sent, Data={"a": {"b": "c"}}),
                f"Invalid Response object: {NOT_SIMPLE}",
            ),
        ],
    )
    def test_an_invalid_answer_fails_and_the_delete_names_a_made_up_id(
        self, stack: Stack, probe: Probe, reply: Reply, reason: str
    ) -> None:
        probe.on("Create", "A", reply)
        assert stack.deploy(template(A=resource())) == "ROLLBACK_COMPLETE"
        assert stack.reasons("A") == [reason]
        (_, deleted) = stack.sent("A")[1]
        assert deleted.startswith("example-A-")
        assert len(deleted) == len("example-A-") + 12

    def test_an_answer_of_4096_bytes_is_not_too_long(self) -> None:
        sent = event("Create", response_url="https://example.com/")
        short = len(json.dumps(answer(sent, Data={"pad": ""})))
        for size, succeeded in ((4096, True), (4097, False)):
            raw = json.dumps(answer(sent, Data={"pad": "x" * (size - short)})).encode()
            assert (len(raw), judge(raw, sent).succeeded) == (size, succeeded)

    def test_a_failure_is_told_with_its_reason(self, stack: Stack, probe: Probe) -> None:
        probe.on("Create", "A", failed)
        stack.deploy(template(A=resource()))
        request_id = stack.requests[0]["RequestId"]
        told = "Received response status [FAILED] from custom resource. Message returned: no luck"
        assert stack.reasons("A") == [f"{told} (RequestId: {request_id})"]

    def test_the_first_answer_wins(self, stack: Stack, probe: Probe, sink: AnswerSink) -> None:
        def twice(sent: Event) -> Event:
            put(sent["ResponseURL"], json.dumps(answer(sent, PhysicalResourceId="first")).encode(), sink.ca_file)
            return failed(sent, PhysicalResourceId="second")

        probe.on("Create", "A", twice)
        assert stack.deploy(template(A=resource())) == "CREATE_COMPLETE"
        assert stack.physical_ids == {"A": "first"}


class TestCreate:
    def test_ref_and_get_att_give_what_was_answered_as_strings(self, stack: Stack, probe: Probe) -> None:
        probe.on("Create", "A", lambda sent: answer(sent, Data={"Price": 1.5, "Free": False}))
        declared = template(
            A=resource(),
            B=resource(
                Id={"Ref": "A"},
                Price={"Fn::GetAtt": ["A", "Price"]},
                Nested=[{"Free": {"Fn::GetAtt": "A.Free"}, "On": True, "None": {"Ref": "AWS::NoValue"}}],
            ),
        )
        assert stack.deploy(declared) == "CREATE_COMPLETE"
        assert stack.attributes["A"] == {"Price": "1.5", "Free": "false"}
        (sent,) = (request for request in stack.requests if request["LogicalResourceId"] == "B")
        assert sent["ResourceProperties"] == {
            "ServiceToken": sent["ServiceToken"],
            "Size": "1",
            "Id": "A-1",
            "Price": "1.5",
            "Nested": [{"Free": "false", "On": "true"}],
        }

    def test_an_attribute_that_was_not_answered_fails_who_asks_for_it(self, stack: Stack) -> None:
        declared = template(A=resource(), B=resource(Price={"Fn::GetAtt": "A.Price"}))
        assert stack.deploy(declared) == "ROLLBACK_COMPLETE"
        assert "Vendor response doesn't contain Price attribute" in stack.reasons("B")[0]
        assert stack.sent("B") == []

    def test_resources_run_in_parallel_as_far_as_they_may(self, stack: Stack, probe: Probe) -> None:
        meet = threading.Barrier(2, timeout=5)
        for name in ("A", "B"):
            probe.on("Create", name, then(meet.wait, answer))
        assert stack.deploy(template(A=resource(), B=resource(), C=resource(needs="A"))) == "CREATE_COMPLETE"
        order = [(entry.logical_id, entry.status) for entry in stack.events]
        assert order.index(("A", "CREATE_COMPLETE")) < order.index(("C", "CREATE_IN_PROGRESS"))
        assert order[0] == ("example", "CREATE_IN_PROGRESS")
        assert order[-1] == ("example", "CREATE_COMPLETE")

    def test_a_failed_create_is_deleted_by_the_id_it_told(self, stack: Stack, probe: Probe) -> None:
        probe.on("Create", "A", lambda sent: failed(sent, PhysicalResourceId="half-made"))
        assert stack.deploy(template(A=resource(), B=resource(needs="A"))) == "ROLLBACK_COMPLETE"
        assert stack.sent("A") == [("Create", ""), ("Delete", "half-made")]
        assert stack.sent("B") == []
        with pytest.raises(ValidationError, match="ROLLBACK_COMPLETE"):
            stack.deploy(template(A=resource()))

    def test_no_answer_within_service_timeout_is_a_failure(self, stack: Stack, probe: Probe) -> None:
        probe.on("Create", "A", lambda _: None)
        assert stack.deploy(template(A=resource(ServiceTimeout=1))) == "ROLLBACK_COMPLETE"
        assert stack.reasons("A")[0].startswith("CloudFormation did not receive a response from your Custom Resource.")
        assert stack.sent("A")[1][1].startswith("example-A-")
        assert stack.requests[0]["ResourceProperties"]["ServiceTimeout"] == "1"

    def test_a_late_answer_goes_nowhere(self, stack: Stack, invoker: AsyncInvoker, sink: AnswerSink) -> None:
        invoker.disturb("late", lambda sent: sent["RequestType"] == "Create", seconds=0.6)
        assert stack.deploy(template(A=resource(ServiceTimeout=1))) == "ROLLBACK_COMPLETE"
        invoker.settle()
        assert sink.answers(stack.requests[0]["RequestId"]) == [answer(stack.requests[0])]
        assert stack.physical_ids == {}
        assert [attempt.event["RequestType"] for attempt in invoker.invocations] == ["Delete", "Create"]

    def test_a_failure_cancels_its_siblings_and_deletes_them_while_they_are_being_made(
        self, stack: Stack, invoker: AsyncInvoker, probe: Probe
    ) -> None:
        running, deleted = threading.Event(), threading.Event()

        def slowly(sent: Event) -> Event:
            running.set()
            assert deleted.wait(5)
            return answer(sent)

        probe.on("Create", "Slow", slowly)
        probe.on("Create", "Bad", then(lambda: running.wait(5), failed))
        probe.on("Delete", "Slow", then(deleted.set, answer))
        assert stack.deploy(template(Slow=resource(), Bad=resource())) == "ROLLBACK_COMPLETE"
        assert stack.reasons("Slow") == ["Resource creation cancelled"]
        assert stack.sent("Slow")[1][1].startswith("example-Slow-")
        invoker.settle()
        assert {attempt.outcome for attempt in invoker.invocations} == {"returned"}

    def test_a_request_that_the_failure_overtakes_is_cancelled_too(self) -> None:
        operation, inbox = Operation(cancels=True), SimpleQueue[bytes | None]()
        operation.failed()
        operation.opened(inbox)
        assert inbox.get_nowait() is None

    def test_the_rollback_can_take_its_time(self, invoker: AsyncInvoker, sink: AnswerSink, probe: Probe) -> None:
        stack = CloudFormation(invoker, sink, rollback_delay=0.2).stack("example")
        probe.on("Create", "A", failed)
        stack.deploy(template(A=resource()))
        at = {entry.status: entry.time for entry in stack.events if entry.logical_id == "A"}
        assert at["DELETE_IN_PROGRESS"] - at["CREATE_FAILED"] >= 0.2

    def test_with_rollback_disabled_nothing_is_cancelled_and_nothing_deleted(self, stack: Stack, probe: Probe) -> None:
        told = threading.Event()
        probe.on("Create", "Bad", then(told.set, failed))
        probe.on("Create", "Slow", then(lambda: told.wait(5), then(lambda: time.sleep(0.1), answer)))
        declared = template(Bad=resource(), Slow=resource())
        assert stack.deploy(declared, disable_rollback=True) == "CREATE_FAILED"
        assert stack.statuses("Slow") == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
        assert stack.physical_ids == {"Bad": "Bad-1", "Slow": "Slow-1"}
        assert stack.delete() == "DELETE_COMPLETE"

    @pytest.mark.parametrize(
        ("declared", "refused"),
        [
            (template(), "At least one"),
            (template(A=resource(needs="B")), "Unresolved"),
            (template(A=resource(needs="B"), B=resource(Id={"Ref": "A"})), "Circular"),
            (template(A=resource(policies={"DeletionPolicy": "Keep"})), "Unrecognized"),
            (template(A=resource(ServiceTimeout=3601)), "ServiceTimeout"),
        ],
    )
    def test_a_template_that_cannot_be_is_refused(self, stack: Stack, declared: Event, refused: str) -> None:
        with pytest.raises(ValidationError, match=refused):
            stack.deploy(declared)
        assert stack.requests == []


class TestUpdate:
    def test_only_what_changed_is_updated_and_in_place(self, stack: Stack) -> None:
        stack.deploy(template(A=resource(), B=resource()))
        assert stack.deploy(template(A=resource(Size=2), B=resource())) == "UPDATE_COMPLETE"
        assert stack.sent("A") == [("Create", ""), ("Update", "A-1")]
        assert stack.sent("B") == [("Create", "")]
        update = stack.requests[-1]
        token = update["ServiceToken"]
        assert update["ResourceProperties"] == {"ServiceToken": token, "Size": "2"}
        assert update["OldResourceProperties"] == {"ServiceToken": token, "Size": "1"}
        with pytest.raises(ValidationError, match="No updates"):
            stack.deploy(template(A=resource(Size=2), B=resource()))

    def test_a_replacement_is_cleaned_up_after_the_whole_update(self, stack: Stack, probe: Probe) -> None:
        stack.deploy(template(A=resource(), B=resource(Id={"Ref": "A"})))
        probe.on("Update", "A", lambda sent: answer(sent, PhysicalResourceId="A-2"))
        assert stack.deploy(template(A=resource(Size=2), B=resource(Id={"Ref": "A"}))) == "UPDATE_COMPLETE"
        assert stack.sent("A") == [("Create", ""), ("Update", "A-1"), ("Delete", "A-1")]
        assert stack.requests[-2]["LogicalResourceId"] == "B"
        assert stack.requests[-2]["ResourceProperties"]["Id"] == "A-2"
        assert stack.requests[-1]["ResourceProperties"]["Size"] == "1"
        assert stack.physical_ids["A"] == "A-2"
        order = [(entry.logical_id, entry.status) for entry in stack.events]
        assert order.index(("example", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")) < order.index(
            ("A", "DELETE_IN_PROGRESS")
        )

    def test_a_cleanup_that_fails_three_times_is_dropped_in_silence(self, stack: Stack, probe: Probe) -> None:
        stack.deploy(template(A=resource()))
        probe.on("Update", "A", lambda sent: answer(sent, PhysicalResourceId="A-2"))
        probe.on("Delete", "A", failed)
        assert stack.deploy(template(A=resource(Size=2))) == "UPDATE_COMPLETE"
        assert stack.sent("A")[2:] == [("Delete", "A-1")] * 3
        assert len({request["RequestId"] for request in stack.requests}) == 5
        assert stack.dropped == [("A", "A-1")]
        probe.on("Delete", "A", answer)
        stack.delete()
        assert stack.sent("A")[5:] == [("Delete", "A-2")]

    def test_what_the_template_no_longer_declares_is_deleted_at_the_end(self, stack: Stack, probe: Probe) -> None:
        stack.deploy(template(A=resource(), B=resource()))
        probe.on("Delete", "A", failed, answer)
        assert stack.deploy(template(B=resource(Size=2), C=resource())) == "UPDATE_COMPLETE"
        assert stack.sent("A")[1:] == [("Delete", "A-1")] * 2
        assert stack.physical_ids == {"B": "B-1", "C": "C-1"}

    def test_a_service_token_cannot_change(self, stack: Stack) -> None:
        stack.deploy(template(A=resource(), B=resource()))
        changed = template(
            A=resource(ServiceToken="arn:aws:lambda:us-east-1:123456789012:function:other"), B=resource()
        )
        assert stack.deploy(changed) == "UPDATE_ROLLBACK_COMPLETE"
        assert stack.reasons("A") == ["Modifying service token is not allowed."]
        assert stack.sent("A") == [("Create", "")]
        with pytest.raises(ValidationError, match="type"):
            stack.deploy(template(A={**resource(), "Type": "Custom::Other"}, B=resource()))


class TestRollbackOfAnUpdate:
    def test_a_failed_update_is_undone_by_an_update_with_the_properties_swapped(
        self, stack: Stack, probe: Probe
    ) -> None:
        stack.deploy(template(A=resource(), B=resource(), C=resource()))
        probe.on("Update", "B", failed, answer)
        changed = template(A=resource(Size=2), B=resource(needs="A", Size=2), C=resource(), D=resource(needs="A"))
        probe.on("Create", "D", then(lambda: time.sleep(0.1), answer))
        assert stack.deploy(changed) == "UPDATE_ROLLBACK_COMPLETE"
        for name in ("A", "B"):
            assert stack.sent(name) == [("Create", ""), ("Update", f"{name}-1"), ("Update", f"{name}-1")]
            forward, back = [r for r in stack.requests if r["LogicalResourceId"] == name][1:]
            assert back["ResourceProperties"] == forward["OldResourceProperties"]
            assert back["OldResourceProperties"] == forward["ResourceProperties"]
        assert stack.sent("C") == [("Create", "")]
        assert [request_type for request_type, _ in stack.sent("D")] == ["Create", "Delete"]
        assert stack.deploy(changed) == "UPDATE_COMPLETE"

    def test_an_update_under_way_is_cancelled_and_undone_by_its_old_id(
        self, stack: Stack, invoker: AsyncInvoker, probe: Probe
    ) -> None:
        stack.deploy(template(Slow=resource(), Bad=resource()))
        running, undone = threading.Event(), threading.Event()

        def slowly(sent: Event) -> Event:
            running.set()
            assert undone.wait(5)
            return answer(sent, PhysicalResourceId="Slow-2")

        probe.on("Update", "Slow", slowly, then(undone.set, answer))
        probe.on("Update", "Bad", then(lambda: running.wait(5), failed), answer)
        assert stack.deploy(template(Slow=resource(Size=2), Bad=resource(Size=2))) == "UPDATE_ROLLBACK_COMPLETE"
        assert stack.reasons("Slow") == ["Resource update cancelled"]
        assert stack.sent("Slow") == [("Create", ""), ("Update", "Slow-1"), ("Update", "Slow-1")]
        invoker.settle()
        assert {attempt.outcome for attempt in invoker.invocations} == {"returned"}

    def test_after_a_lost_answer_it_names_the_old_id(self, stack: Stack, probe: Probe) -> None:
        stack.deploy(template(A=resource(ServiceTimeout=1)))
        probe.on("Update", "A", lambda _: None, answer)
        assert stack.deploy(template(A=resource(ServiceTimeout=1, Size=2))) == "UPDATE_ROLLBACK_COMPLETE"
        assert stack.sent("A") == [("Create", ""), ("Update", "A-1"), ("Update", "A-1")]

    @pytest.mark.parametrize(
        ("undone_as", "cleaned_up", "dropped"),
        [("A-1", ["A-2"], []), ("A-2", [], [("A", "A-1")]), ("A-3", ["A-2"], [("A", "A-1")])],
    )
    def test_after_a_replacement_it_names_the_new_id(
        self, stack: Stack, probe: Probe, undone_as: str, cleaned_up: list[str], dropped: list[tuple[str, str]]
    ) -> None:
        keep = {"UpdateReplacePolicy": "Retain"}
        stack.deploy(template(A=resource(policies=keep), Bad=resource(needs="A")))
        probe.on(
            "Update",
            "A",
            lambda sent: answer(sent, PhysicalResourceId="A-2"),
            lambda sent: answer(sent, PhysicalResourceId=undone_as),
        )
        probe.on("Update", "Bad", failed, answer)
        changed = template(A=resource(policies=keep, Size=2), Bad=resource(needs="A", Size=2))
        assert stack.deploy(changed) == "UPDATE_ROLLBACK_COMPLETE"
        deletes = [("Delete", physical_id) for physical_id in cleaned_up]
        assert stack.sent("A") == [("Create", ""), ("Update", "A-1"), ("Update", "A-2"), *deletes]
        assert stack.physical_ids["A"] == undone_as
        assert stack.dropped == dropped
        (undo,) = (r for r in stack.requests if r.get("PhysicalResourceId") == "A-2" and r["RequestType"] == "Update")
        assert undo["ResourceProperties"]["Size"] == "1"

    def test_a_failure_with_another_id_gets_that_id_deleted_and_the_old_one_updated(
        self, stack: Stack, probe: Probe
    ) -> None:
        stack.deploy(template(A=resource()))
        probe.on("Update", "A", lambda sent: failed(sent, PhysicalResourceId="A-2"), answer)
        assert stack.deploy(template(A=resource(Size=2))) == "UPDATE_ROLLBACK_COMPLETE"
        assert stack.sent("A")[1:] == [("Update", "A-1"), ("Update", "A-1"), ("Delete", "A-2")]
        assert stack.requests[-1]["ResourceProperties"]["Size"] == "2"

    def test_unless_that_is_the_id_the_rollback_update_answers(self, stack: Stack, probe: Probe) -> None:
        stack.deploy(template(A=resource()))
        probe.on(
            "Update",
            "A",
            lambda sent: failed(sent, PhysicalResourceId="A-2"),
            lambda sent: answer(sent, PhysicalResourceId="A-2"),
        )
        assert stack.deploy(template(A=resource(Size=2))) == "UPDATE_ROLLBACK_COMPLETE"
        assert stack.sent("A")[1:] == [("Update", "A-1"), ("Update", "A-1"), ("Delete", "A-1")]
        assert stack.physical_ids == {"A": "A-2"}

    def test_or_as_an_option_that_id_updated(self, invoker: AsyncInvoker, sink: AnswerSink, probe: Probe) -> None:
        stack = CloudFormation(invoker, sink, failed_update_id="new").stack("example")
        stack.deploy(template(A=resource()))
        probe.on(
            "Update",
            "A",
            lambda sent: failed(sent, PhysicalResourceId="A-2"),
            lambda sent: answer(sent, PhysicalResourceId="A-1"),
        )
        assert stack.deploy(template(A=resource(Size=2))) == "UPDATE_ROLLBACK_COMPLETE"
        assert stack.sent("A")[1:] == [("Update", "A-1"), ("Update", "A-2"), ("Delete", "A-2")]
        assert stack.physical_ids == {"A": "A-1"}

    @pytest.mark.parametrize("first", [answer, failed])
    def test_one_that_fails_leaves_everything_to_the_deletion(
        self, stack: Stack, probe: Probe, first: Callable[..., Event]
    ) -> None:
        stack.deploy(template(A=resource(), Bad=resource(needs="A")))
        probe.on("Update", "A", lambda sent: first(sent, PhysicalResourceId="A-2"), failed)
        probe.on("Update", "Bad", failed)
        changed = template(A=resource(Size=2), Bad=resource(needs="A", Size=2))
        assert stack.deploy(changed) == "UPDATE_ROLLBACK_FAILED"
        known = len(stack.sent("A"))
        probe.on("Delete", "A", failed)
        assert stack.delete() == "DELETE_FAILED"
        probe.on("Delete", "A", answer)
        assert stack.delete() == "DELETE_COMPLETE"
        assert sorted(stack.sent("A")[known:]) == [("Delete", "A-1")] * 2 + [("Delete", "A-2")] * 2

    def test_with_rollback_disabled_only_what_failed_is_undone(self, stack: Stack, probe: Probe) -> None:
        stack.deploy(template(A=resource(), B=resource()))
        probe.on("Update", "A", failed, answer)
        changed = template(A=resource(Size=2), B=resource(Size=2))
        assert stack.deploy(changed, disable_rollback=True) == "UPDATE_FAILED"
        assert stack.sent("A")[1:] == [("Update", "A-1")] * 2
        assert stack.sent("B")[1:] == [("Update", "B-1")]


class TestDelete:
    def test_dependents_go_first(self, cfn: CloudFormation, stack: Stack) -> None:
        stack.deploy(template(A=resource(), B=resource(Id={"Ref": "A"})))
        assert stack.delete() == "DELETE_COMPLETE"
        assert [r["LogicalResourceId"] for r in stack.requests[2:]] == ["B", "A"]
        again = cfn.stack("example")
        assert again.stack_id != stack.stack_id
        assert cfn.stack("example") is again

    def test_a_failed_delete_can_be_tried_again_or_left_alone(self, stack: Stack, probe: Probe) -> None:
        stack.deploy(template(A=resource(), B=resource(needs="A"), C=resource()))
        probe.on("Delete", "B", failed)
        with pytest.raises(ValidationError, match="RetainResources"):
            stack.delete(retain=["B"])
        assert stack.delete() == "DELETE_FAILED"
        assert stack.sent("B")[1:] == [("Delete", "B-1")]
        assert stack.sent("A")[1:] == []
        assert stack.physical_ids == {"A": "A-1", "B": "B-1"}
        assert stack.delete() == "DELETE_FAILED"
        assert stack.delete(retain=["B"]) == "DELETE_COMPLETE"
        assert stack.sent("B")[1:] == [("Delete", "B-1")] * 2
        assert stack.retained == [("B", "B-1")]

    def test_what_a_policy_retains_gets_no_delete(self, stack: Stack, probe: Probe) -> None:
        keep = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
        stack.deploy(template(A=resource(policies=keep), B=resource(policies=keep)))
        probe.on("Update", "A", lambda sent: answer(sent, PhysicalResourceId="A-2"))
        assert stack.deploy(template(A=resource(policies=keep, Size=2))) == "UPDATE_COMPLETE"
        assert stack.delete() == "DELETE_COMPLETE"
        assert "Delete" not in {request["RequestType"] for request in stack.requests}
        assert sorted(stack.retained) == [("A", "A-1"), ("A", "A-2"), ("B", "B-1")]
        assert stack.statuses("B")[-1] == "DELETE_SKIPPED"

    @pytest.mark.parametrize(("policy", "deleted"), [("Retain", False), ("RetainExceptOnCreate", True)])
    def test_a_rollback_honours_retain_but_not_except_on_create(
        self, stack: Stack, probe: Probe, policy: str, deleted: bool
    ) -> None:
        probe.on("Create", "Bad", failed)
        declared = template(A=resource(policies={"DeletionPolicy": policy}), Bad=resource(needs="A"))
        assert stack.deploy(declared) == "ROLLBACK_COMPLETE"
        assert (("Delete", "A-1") in stack.sent("A")) == deleted
