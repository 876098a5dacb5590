"""The simulator behaves as documented for CloudFormation, Lambda and S3. Its providers are small handlers."""

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine

from tests.contract.cloudformation import (
    AsyncInvoker,
    CloudFormation,
    QueueApi,
    Stack,
    StacksApi,
    ValidationError,
    event,
)
from tests.contract.cloudformation.events import STACK_ID
from tests.contract.cloudformation.requests import Operation
from tests.contract.cloudformation.verdict import judge
from tests.contract.responses import ResponseSink

Event = dict[str, Any]
Reply = Callable[[Event], Event | bytes | None]


def put(url: str, body: bytes, ca_file: str, *, method: str = "PUT", headers: dict[str, str] | None = None) -> int:
    parts = urlsplit(url)
    context = ssl.create_default_context(cafile=ca_file)
    with closing(http.client.HTTPSConnection(parts.netloc, context=context, timeout=5)) as connection:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers or {})
        response = connection.getresponse()
        response.read()
        return response.status


def answer(sent: Event, **changes: Any) -> Event:
    """A valid response to the event, with some fields changed, or removed by None."""
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


def with_id(physical_id: str, reply: Callable[..., Event] = answer) -> Reply:
    return lambda sent: reply(sent, PhysicalResourceId=physical_id)


def then(first: Callable[[], Any], reply: Reply) -> Reply:
    """Call `first`, then reply."""

    def both(sent: Event) -> Event | bytes | None:
        first()
        return reply(sent)

    return both


class Probe:
    """A provider with configured replies by request type and logical ID. The default is success with the same ID."""

    def __init__(self, ca_file: str) -> None:
        self._ca_file = ca_file
        self._replies: dict[tuple[str, str], list[Reply]] = {}

    def on(self, request_type: str, logical_id: str, *replies: Reply) -> None:
        """Use one reply after another, then repeat the last one."""
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


@pytest.fixture
def sink() -> Iterator[ResponseSink]:
    with ResponseSink() as server:
        yield server


@pytest.fixture
def probe(sink: ResponseSink) -> Probe:
    return Probe(sink.ca_file)


@pytest.fixture
def invoker(probe: Probe) -> Iterator[AsyncInvoker]:
    with AsyncInvoker(probe, delays=(0.01, 0.01)) as function:
        yield function


@pytest.fixture
def cfn(invoker: AsyncInvoker, sink: ResponseSink) -> CloudFormation:
    return CloudFormation(invoker, sink)


@pytest.fixture
def stack(cfn: CloudFormation) -> Stack:
    return cfn.stack("example")


class TestAnswerSink:
    def test_every_put_is_stored_and_the_first_is_reported(self, sink: ResponseSink) -> None:
        received: list[bytes] = []
        sink.subscribe("r1", received.append)
        url = sink.url_for(STACK_ID, "Number", "r1")

        assert url.endswith(f"X-Amz-Signature={sink.signatures[-1]}")
        assert [put(url, b'{"n": 1}', sink.ca_file), put(url, b'{"n": 2}', sink.ca_file)] == [200, 200]
        assert received == [b'{"n": 1}']
        assert sink.responses("r1") == [{"n": 1}, {"n": 2}]
        assert sink.responses("r2") == []

    @pytest.mark.parametrize(
        ("sent", "age", "status"),
        [
            (("PUT", "", {"Content-Type": ""}), 7190, 200),
            (("PUT", "", {}), 7210, 403),
            (("PUT", "0", {}), 0, 403),
            (("POST", "", {}), 0, 403),
            (("PUT", "", {"Content-Type": "application/json"}), 0, 403),
            (("PUT", "", {"Transfer-Encoding": "chunked"}), 0, 411),
        ],
    )
    def test_rejects_what_s3_rejects(self, sink: ResponseSink, sent: Any, age: int, status: int) -> None:
        method, suffix, headers = sent
        url = sink.url_for(STACK_ID, "Number", "r1", datetime.now(UTC) - timedelta(seconds=age)) + suffix
        assert put(url, b'"%s"' % (b"x" * 500_000), sink.ca_file, method=method, headers=headers) == status
        assert len(sink.responses("r1")) == (status == 200)

    def test_slow_is_acknowledged_after_its_delay(self, sink: ResponseSink) -> None:
        sink.fail_next(None, "slow", seconds=0.2)
        began = time.monotonic()
        assert put(sink.url_for(STACK_ID, "Number", "r1"), b"{}", sink.ca_file) == 200
        assert time.monotonic() - began >= 0.2
        assert sink.responses("r1") == [{}]


class TestAsyncInvoker:
    @pytest.mark.parametrize(("handler", "error"), [(object, TypeError), (lambda: exit(1), SystemExit)])  # noqa: PLR1722
    def test_unserializable_result_and_exit_are_errors(self, handler: Callable[[], Any], error: type) -> None:
        with AsyncInvoker(lambda *_: handler(), delays=()) as invoker:
            invoker.invoke({})
            invoker.settle()
        (attempt,) = invoker.invocations
        assert isinstance(attempt.error, error)

    def test_unexpected_error_fails_the_test_once_with_its_traceback(self) -> None:
        def broken(*_: Any) -> None:
            raise KeyError("Records")

        with AsyncInvoker(broken, delays=(0.0,), expected_errors=OSError) as invoker:
            invoker.invoke({})
            with pytest.raises(AssertionError, match=r"(?s)in broken.*KeyError: 'Records'"):
                invoker.settle()
            invoker.settle()

    def test_unsettled_request_is_reported_with_its_stack(self) -> None:
        finish = threading.Event()

        def never_returns(_sent: Event, _context: Any) -> None:
            finish.wait(5)

        with AsyncInvoker(never_returns) as invoker:
            invoker.invoke(event("Create", response_url="https://example.com/", request_id="r1"))
            with pytest.raises(TimeoutError, match=r"(?s)Create of Resource, r1, attempt 1.*in never_returns"):
                invoker.settle(0.5)
            finish.set()

    def test_failed_event_is_received_from_the_queue_until_the_consumer_has_ended_it(self) -> None:
        received: list[Event] = []

        def fails(*_: Any) -> None:
            raise OSError

        def consume(sent: Event, _context: Any) -> Event:
            received.append(sent["Records"][0])
            kept = [{"itemIdentifier": record["messageId"]} for record in sent["Records"]] if len(received) < 3 else []
            return {"batchItemFailures": kept}

        with QueueApi() as queue, time_machine.travel(time.time(), tick=True) as traveller:
            with AsyncInvoker(fails, queue, consume, (0.0, 0.0), advance=traveller.shift) as invoker:
                invoker.invoke({"RequestId": "r1"})
                invoker.settle()

            assert [record["attributes"]["ApproximateReceiveCount"] for record in received] == ["1", "2", "3"]
            [record] = invoker.destination
            assert json.loads(received[0]["body"]) == record
            assert (record["requestPayload"], record["requestContext"]["approximateInvokeCount"]) == (
                {"RequestId": "r1"},
                3,
            )
            assert queue.messages == {}

    def test_event_can_be_delivered_twice_concurrently(self) -> None:
        meet = threading.Barrier(2, timeout=5)
        with AsyncInvoker(lambda *_: meet.wait()) as invoker:
            invoker.disturb("together")
            invoker.invoke({})
            invoker.settle()
        assert [attempt.outcome for attempt in invoker.invocations] == ["returned", "returned"]


class TestResponses:
    """CloudFormation's validation of a response."""

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            (lambda sent: answer(sent, Data={"pad": "x" * 5000}), "Response object is too long."),
            (lambda _: b"{", "Invalid Response object: not JSON"),
            (lambda _: b"[]", "Invalid Response object: not an object"),
            (with_id("", failed), "Invalid PhysicalResourceId"),
            (lambda sent: answer(sent, PhysicalResourceId=None), "Invalid PhysicalResourceId"),
            (with_id("é" * 513), "Invalid PhysicalResourceId"),
            (lambda sent: answer(sent, RequestId="other"), "RequestId is not that of the request"),
            (lambda sent: answer(sent, StackId=None), "StackId is not that of the request"),
            (lambda sent: answer(sent, Status="FAILURE"), "'FAILURE' is not a valid ResponseStatus"),
            (lambda sent: answer(sent, Status="FAILED"), "Reason is required when Status is FAILED"),
            (lambda sent: answer(sent, Data={"a": {"b": "c"}}), "Value of property Data must be an object with String"),
        ],
    )
    def test_invalid_response_fails_and_the_delete_names_a_generated_id(
        self, stack: Stack, probe: Probe, reply: Reply, reason: str
    ) -> None:
        probe.on("Create", "A", reply)
        assert stack.deploy(template(A=resource())) == "ROLLBACK_COMPLETE"
        assert reason in stack.reasons("A")[0]
        (_, deleted) = stack.sent("A")[1]
        assert deleted.startswith("example-A-")
        assert len(deleted) == len("example-A-") + 12

    @pytest.mark.parametrize(("size", "succeeded"), [(4096, True), (4097, False)])
    def test_response_can_have_4096_bytes(self, size: int, succeeded: bool) -> None:
        sent = event("Create", response_url="https://example.com/")
        short = len(json.dumps(answer(sent, Data={"pad": ""})))
        raw = json.dumps(answer(sent, Data={"pad": "x" * (size - short)})).encode()
        assert (len(raw), judge(raw, sent).succeeded) == (size, succeeded)


class TestCreate:
    def test_properties_and_references_become_strings_without_null(self, stack: Stack, probe: Probe) -> None:
        probe.on("Create", "A", lambda sent: answer(sent, Data={"Price": 1.5, "Free": False}))
        nothing = {"Ref": "AWS::NoValue"}
        nested = [1.5, nothing, {"Free": {"Fn::GetAtt": "A.Free"}, "On": True, "None": nothing, "Empty": {}}]
        dependent = resource(Id={"Ref": "A"}, Price={"Fn::GetAtt": ["A", "Price"]}, Nested=nested)
        assert stack.deploy(template(A=resource(), B=dependent)) == "CREATE_COMPLETE"
        assert stack.attributes["A"] == {"Price": "1.5", "Free": "false"}
        sent = stack.requests[-1]["ResourceProperties"]
        resolved = {"Id": "A-1", "Price": "1.5", "Nested": ["1.5", {"Free": "false", "On": "true", "Empty": {}}]}
        assert sent == {"ServiceToken": sent["ServiceToken"], "Size": "1", **resolved}

    def test_rollback_deletes_a_failed_create_by_its_id(self, cfn: CloudFormation, probe: Probe) -> None:
        stack = cfn.stack("example")
        probe.on("Create", "A", with_id("half-made", failed))
        assert stack.deploy(template(A=resource(), B=resource(needs="A"))) == "ROLLBACK_COMPLETE"
        assert stack.sent("A") == [("Create", ""), ("Delete", "half-made")]
        assert stack.sent("B") == []
        text = "Received response status [FAILED] from custom resource. Message returned: no luck"
        assert stack.reasons("A") == [f"{text} (RequestId: {stack.requests[0]['RequestId']})"]
        with pytest.raises(ValidationError, match="ROLLBACK_COMPLETE"):
            stack.deploy(template(A=resource()))

    def test_response_after_service_timeout_is_ignored(
        self, stack: Stack, invoker: AsyncInvoker, sink: ResponseSink, probe: Probe
    ) -> None:
        deleted = threading.Event()
        probe.on("Create", "A", then(lambda: deleted.wait(5), answer))
        probe.on("Delete", "A", then(deleted.set, answer))
        assert stack.deploy(template(A=resource(ServiceTimeout=1))) == "ROLLBACK_COMPLETE"
        assert stack.reasons("A")[0].startswith("CloudFormation did not receive a response from your Custom Resource.")
        assert stack.sent("A")[1][1].startswith("example-A-")
        invoker.settle()
        assert sink.responses(stack.requests[0]["RequestId"]) == [answer(stack.requests[0])]
        assert stack.physical_ids == {}

    def test_failure_cancels_requests_in_progress_and_deletes_their_resources(self, stack: Stack, probe: Probe) -> None:
        running, deleted = threading.Event(), threading.Event()
        probe.on("Create", "Slow", then(running.set, then(lambda: deleted.wait(5), answer)))
        probe.on("Create", "Bad", then(lambda: running.wait(5), failed))
        probe.on("Delete", "Slow", then(deleted.set, answer))
        assert stack.deploy(template(Slow=resource(), Bad=resource())) == "ROLLBACK_COMPLETE"
        assert stack.reasons("Slow") == ["Resource creation cancelled"]
        assert stack.sent("Slow")[1][1].startswith("example-Slow-")

    def test_request_sent_after_the_failure_is_cancelled(self) -> None:
        operation, inbox = Operation(), SimpleQueue[bytes | None]()
        operation.cancel()
        operation.opened(inbox)
        assert inbox.get_nowait() is None


class TestUpdate:
    def test_only_changed_resources_are_updated(self, stack: Stack) -> None:
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

    def test_replaced_resource_is_deleted_after_the_whole_update(self, stack: Stack, probe: Probe) -> None:
        stack.deploy(template(A=resource(), B=resource(Id={"Ref": "A"})))
        probe.on("Update", "A", with_id("A-2"))
        assert stack.deploy(template(A=resource(Size=2), B=resource(Id={"Ref": "A"}))) == "UPDATE_COMPLETE"
        assert stack.sent("A") == [("Create", ""), ("Update", "A-1"), ("Delete", "A-1")]
        assert stack.requests[-2]["LogicalResourceId"] == "B"
        assert stack.requests[-2]["ResourceProperties"]["Id"] == "A-2"
        assert stack.requests[-1]["ResourceProperties"]["Size"] == "1"
        assert stack.physical_ids["A"] == "A-2"
        assert stack.statuses()[-2:] == ["UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"]

    def test_resource_is_dropped_after_three_failed_cleanups(self, stack: Stack, probe: Probe) -> None:
        stack.deploy(template(A=resource()))
        probe.on("Update", "A", with_id("A-2"))
        probe.on("Delete", "A", failed)
        assert stack.deploy(template(A=resource(Size=2))) == "UPDATE_COMPLETE"
        assert stack.sent("A")[2:] == [("Delete", "A-1")] * 3
        assert len({request["RequestId"] for request in stack.requests}) == 5
        assert stack.dropped == [("A", "A-1")]
        probe.on("Delete", "A", answer)
        stack.delete()
        assert stack.sent("A")[5:] == [("Delete", "A-2")]

    def test_removed_resource_is_deleted_after_the_update(self, stack: Stack, probe: Probe) -> None:
        stack.deploy(template(A=resource(), B=resource()))
        probe.on("Delete", "A", failed, answer)
        assert stack.deploy(template(B=resource(Size=2), C=resource())) == "UPDATE_COMPLETE"
        assert stack.sent("A")[1:] == [("Delete", "A-1")] * 2
        assert stack.physical_ids == {"B": "B-1", "C": "C-1"}


class TestRollbackOfAnUpdate:
    def test_rollback_updates_with_swapped_properties(self, stack: Stack, probe: Probe) -> None:
        stack.deploy(template(A=resource(), B=resource(), C=resource()))
        creating = threading.Event()
        probe.on("Create", "D", then(creating.set, answer))
        probe.on("Update", "B", then(lambda: creating.wait(5), failed), answer)
        changed = template(A=resource(Size=2), B=resource(needs="A", Size=2), C=resource(), D=resource(needs="A"))
        assert stack.deploy(changed) == "UPDATE_ROLLBACK_COMPLETE"
        for name in ("A", "B"):
            assert stack.sent(name) == [("Create", ""), ("Update", f"{name}-1"), ("Update", f"{name}-1")]
            forward, back = [r for r in stack.requests if r["LogicalResourceId"] == name][1:]
            assert back["ResourceProperties"] == forward["OldResourceProperties"]
            assert back["OldResourceProperties"] == forward["ResourceProperties"]
        assert stack.sent("C") == [("Create", "")]
        assert [request_type for request_type, _ in stack.sent("D")] == ["Create", "Delete"]
        assert stack.deploy(changed) == "UPDATE_COMPLETE"

    def test_cancelled_update_is_rolled_back_by_its_old_id(self, stack: Stack, probe: Probe) -> None:
        stack.deploy(template(Slow=resource(), Bad=resource()))
        running, undone = threading.Event(), threading.Event()
        slow = then(running.set, then(lambda: undone.wait(5), with_id("Slow-2")))
        probe.on("Update", "Slow", slow, then(undone.set, answer))
        probe.on("Update", "Bad", then(lambda: running.wait(5), failed), answer)
        assert stack.deploy(template(Slow=resource(Size=2), Bad=resource(Size=2))) == "UPDATE_ROLLBACK_COMPLETE"
        assert stack.reasons("Slow") == ["Resource update cancelled"]
        assert stack.sent("Slow") == [("Create", ""), ("Update", "Slow-1"), ("Update", "Slow-1")]

    @pytest.mark.parametrize(
        ("undone_as", "cleaned_up", "dropped"),
        [("A-1", ["A-2"], []), ("A-2", [], [("A", "A-1")]), ("A-3", ["A-2"], [("A", "A-1")])],
    )
    def test_replacement_is_rolled_back_by_its_new_id(
        self, stack: Stack, probe: Probe, undone_as: str, cleaned_up: list[str], dropped: list[tuple[str, str]]
    ) -> None:
        keep = {"UpdateReplacePolicy": "Retain"}
        stack.deploy(template(A=resource(policies=keep), Bad=resource(needs="A")))
        probe.on("Update", "A", with_id("A-2"), with_id(undone_as))
        probe.on("Update", "Bad", failed, answer)
        changed = template(A=resource(policies=keep, Size=2), Bad=resource(needs="A", Size=2))
        assert stack.deploy(changed) == "UPDATE_ROLLBACK_COMPLETE"
        deletes = [("Delete", physical_id) for physical_id in cleaned_up]
        assert stack.sent("A") == [("Create", ""), ("Update", "A-1"), ("Update", "A-2"), *deletes]
        assert stack.physical_ids["A"] == undone_as
        assert stack.dropped == dropped

    @pytest.mark.parametrize(
        ("option", "current", "sent"),
        [
            ("old", "A-1", [("Update", "A-1"), ("Delete", "A-2")]),
            ("old", "A-2", [("Update", "A-1"), ("Delete", "A-1")]),
            ("new", "A-1", [("Update", "A-2"), ("Delete", "A-2")]),
        ],
    )
    def test_failure_with_another_id_is_rolled_back(
        self, cfn: CloudFormation, probe: Probe, option: Any, current: str, sent: list[tuple[str, str]]
    ) -> None:
        cfn.failed_update_id = option
        stack = cfn.stack("example")
        stack.deploy(template(A=resource()))
        probe.on("Update", "A", with_id("A-2", failed), with_id(current))
        assert stack.deploy(template(A=resource(Size=2))) == "UPDATE_ROLLBACK_COMPLETE"
        assert stack.sent("A")[1:] == [("Update", "A-1"), *sent]
        assert stack.physical_ids == {"A": current}

    @pytest.mark.parametrize("first", [answer, failed])
    def test_failed_rollback_leaves_all_ids_to_the_deletion(
        self, stack: Stack, probe: Probe, first: Callable[..., Event]
    ) -> None:
        stack.deploy(template(A=resource(), Bad=resource(needs="A")))
        probe.on("Update", "A", with_id("A-2", first), failed)
        probe.on("Update", "Bad", failed)
        changed = template(A=resource(Size=2), Bad=resource(needs="A", Size=2))
        assert stack.deploy(changed) == "UPDATE_ROLLBACK_FAILED"
        known = len(stack.sent("A"))
        probe.on("Delete", "A", failed)
        assert stack.delete() == "DELETE_FAILED"
        probe.on("Delete", "A", answer)
        assert stack.delete() == "DELETE_COMPLETE"
        assert sorted(stack.sent("A")[known:]) == [("Delete", "A-1")] * 2 + [("Delete", "A-2")] * 2


class TestDelete:
    def test_dependents_are_deleted_first(self, cfn: CloudFormation, stack: Stack) -> None:
        stack.deploy(template(A=resource(), B=resource(Id={"Ref": "A"})))
        assert stack.delete() == "DELETE_COMPLETE"
        assert [r["LogicalResourceId"] for r in stack.requests[2:]] == ["B", "A"]
        again = cfn.stack("example")
        assert again.stack_id != stack.stack_id
        assert cfn.stack("example") is again

    def test_failed_delete_keeps_its_dependencies_and_can_be_retried(self, stack: Stack, probe: Probe) -> None:
        stack.deploy(template(A=resource(), B=resource(needs="A"), C=resource()))
        probe.on("Delete", "B", failed, answer)
        assert stack.delete() == "DELETE_FAILED"
        assert stack.physical_ids == {"A": "A-1", "B": "B-1"}
        assert stack.delete() == "DELETE_COMPLETE"
        assert stack.sent("B")[1:] == [("Delete", "B-1")] * 2
        assert stack.sent("A")[1:] == [("Delete", "A-1")]

    def test_rollback_retains_resources_too(self, stack: Stack, probe: Probe) -> None:
        probe.on("Create", "Bad", failed)
        declared = template(A=resource(policies={"DeletionPolicy": "Retain"}), Bad=resource(needs="A"))
        assert stack.deploy(declared) == "ROLLBACK_COMPLETE"
        assert stack.retained == [("A", "A-1")]


class TestApi:
    """What the API shows of a simulated stack."""

    @pytest.fixture
    def observed(self, stack: Stack, probe: Probe) -> list[str]:
        """The status that is shown when the provider receives a Delete of A, for each one."""
        seen: list[str] = []
        probe.on("Delete", "A", then(lambda: seen.append(stack.known.shown()[0]), answer))
        return seen

    def test_stack_is_shown_as_soon_as_its_creation_starts(
        self, invoker: AsyncInvoker, sink: ResponseSink, probe: Probe
    ) -> None:
        with StacksApi() as api:
            stack = CloudFormation(invoker, sink, api=api).stack("example")
            seen: list[Any] = []
            probe.on("Create", "A", then(lambda: seen.append(api.stacks[stack.stack_id].shown()), answer))
            stack.deploy(template(A=resource()))
            [(status, resources, events)] = seen
            assert (status, resources) == ("CREATE_IN_PROGRESS", {"A": ("", "CREATE_IN_PROGRESS")})
            assert [(event.logical_id, event.physical_id) for event in events] == [
                ("A", ""),
                (stack.name, stack.stack_id),
            ]
            assert api.stacks == {stack.stack_id: stack.known}
            assert stack.known.shown()[:2] == ("CREATE_COMPLETE", {"A": ("A-1", "CREATE_COMPLETE")})

    def test_every_delete_is_sent_while_an_operation_is_in_progress(
        self, cfn: CloudFormation, stack: Stack, probe: Probe, observed: list[str]
    ) -> None:
        assert stack.deploy(template(A=resource(), Bad=resource(needs="A"))) == "CREATE_COMPLETE"
        probe.on("Update", "A", with_id("A-2"), with_id("A-1"))
        probe.on("Update", "Bad", failed, answer)
        changed = template(A=resource(Size=2), Bad=resource(needs="A", Size=2))
        assert stack.deploy(changed) == "UPDATE_ROLLBACK_COMPLETE"
        probe.on("Update", "A", with_id("A-3"))
        assert stack.deploy(changed) == "UPDATE_COMPLETE"
        assert stack.delete() == "DELETE_COMPLETE"
        assert observed == [
            "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
            "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
            "DELETE_IN_PROGRESS",
        ]
        again = cfn.stack("example")
        probe.on("Create", "A", failed)
        probe.on("Delete", "A", then(lambda: observed.append(again.known.shown()[0]), answer))
        assert again.deploy(template(A=resource())) == "ROLLBACK_COMPLETE"
        assert observed[3:] == ["ROLLBACK_IN_PROGRESS"]
        assert again.known.resources == {}

    def test_delete_of_a_canceled_create_is_sent_during_the_rollback(
        self, stack: Stack, probe: Probe, observed: list[str]
    ) -> None:
        probe.on("Create", "A", lambda _: None)
        assert stack.deploy(template(A=resource(ServiceTimeout=1))) == "ROLLBACK_COMPLETE"
        assert observed == ["ROLLBACK_IN_PROGRESS"]

    def test_events_name_the_physical_id(self, stack: Stack, probe: Probe) -> None:
        declared = resource(policies={"DeletionPolicy": "Retain"})
        stack.deploy(template(A=resource(), B=declared))
        probe.on("Update", "A", with_id("A-2"))
        stack.deploy(template(A=resource(Size=2), B=declared))
        assert stack.known.resources == {"A": ("A-2", "UPDATE_COMPLETE"), "B": ("B-1", "CREATE_COMPLETE")}
        stack.deploy(template(A=resource(Size=2)))
        assert stack.known.resources == {"A": ("A-2", "UPDATE_COMPLETE")}
        stack.delete()
        assert stack.known.resources == {"A": ("A-2", "DELETE_COMPLETE")}

        def shown(logical_id: str) -> list[tuple[str, str]]:
            return [(one.status, one.physical_id) for one in stack.events if one.logical_id == logical_id]

        assert shown("A") == [
            ("CREATE_IN_PROGRESS", ""),
            ("CREATE_COMPLETE", "A-1"),
            ("UPDATE_IN_PROGRESS", "A-1"),
            ("UPDATE_IN_PROGRESS", "A-2"),
            ("UPDATE_COMPLETE", "A-2"),
            ("DELETE_IN_PROGRESS", "A-1"),
            ("DELETE_COMPLETE", "A-1"),
            ("DELETE_IN_PROGRESS", "A-2"),
            ("DELETE_COMPLETE", "A-2"),
        ]
        assert shown("B") == [("CREATE_IN_PROGRESS", ""), ("CREATE_COMPLETE", "B-1"), ("DELETE_SKIPPED", "B-1")]

    def test_event_of_a_failed_create_names_the_id_that_its_delete_will_name(self, stack: Stack, probe: Probe) -> None:
        probe.on("Create", "A", lambda _: None)
        stack.deploy(template(A=resource(ServiceTimeout=1)))
        [(_, deleted)] = stack.sent("A")[1:]
        assert [one.physical_id for one in stack.events if one.status in ("CREATE_FAILED", "DELETE_COMPLETE")] == [
            deleted,
            deleted,
        ]
