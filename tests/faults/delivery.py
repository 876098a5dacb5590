"""Delivery of a stack's requests: what Lambda and the queue do until a request has ended.

Lambda invokes the provider with a request, again after one and two minutes if the invocation fails, and then sends the
request to the queue. The continuation receives the request's message when it is visible, which hides it for 90 seconds,
and the message is deleted unless the continuation reports it. The request ends when its message is gone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from tests.contract.cloudformation.verdict import Verdict, judge
from tests.contract.responses import EXPIRES_SECONDS
from tests.faults.invocation import InjectedFault, Invocation, InvocationResult, InvocationSpec, destination_record

if TYPE_CHECKING:
    from tests.faults.audit import Audit

NO_RESPONSE = "no response"
_RETRY_DELAYS = (60.0, 120.0)
"""Seconds before each of Lambda's retries (Lambda Developer Guide, asynchronous invocation)."""
_MAX_INVOCATIONS = 300
"""Of a request. One that is continued every minute until its ServiceTimeout needs fewer."""
_PUNCTUAL = 100.0
"""Seconds after which an event or a message was delivered late, so that its response can be too late."""
_CONTENTION = 30.0
"""Seconds for which other requests have reserved all calls."""
_OTHER_CONTENTION = {"throttled": 0.0, "unsent": 300.0}
"""By trouble. The second one is longer than Lambda's retries take."""
_EARLY = 3.0
"""Seconds before the end of its visibility timeout at which a message that is delivered at once is early."""
_LATE = 60.0
"""Seconds by which a message is delivered late. The provider answers two minutes before the ServiceTimeout."""
_NEWER_DELIVERIES = 2
"""Deliveries of a message of a newer version."""

QUEUE_TROUBLES: Mapping[str, str] = {
    "contended": "other requests have reserved the calls of the next seconds, as in all of these but the next",
    "throttled": "the service throttles every change while the provider runs",
    "doubled": "Lambda delivers the event twice; the later one of the two messages is delivered first",
    "twice": "every message is delivered again directly after its delivery",
    "early": "every message is delivered at once, and again when it is due",
    "late": "every message is delivered a minute late",
    "unhidden": "no change of a visibility is kept: every message is delivered again after 90 seconds",
    "unsent": "no message can be sent, so that Lambda retries, and sends the request to the queue itself",
    "dead": "the message moves to the dead-letter queue",
    "newer": "a newer provider sent the message; after two deliveries this version is the newer one",
    "upgraded": "a newer provider wrote the records before every other delivery",
    "interleaved": "all messages and retries of all requests are delivered when they are due",
}
"""What happens to the queue during a request, by name. The names are also behaviors of a scenario."""


@attrs.define(eq=False)
class SentRequest:
    """A request of CloudFormation and the state of its asynchronous invocation."""

    request_id: str
    event: dict[str, Any]
    may_purchase: bool
    issued_at: float
    deadline: float
    """When CloudFormation stops waiting for the response."""
    function: Literal["provider", "sweep"] = "provider"
    attempts: int = 0
    """Invocations of the provider."""
    retry_at: float | None = None
    """When Lambda invokes the provider again, because the last invocation failed."""
    error: dict[str, Any] | None = None
    """Of the last invocation of the provider."""
    invocations: list[InvocationResult] = attrs.field(factory=list)
    canceled: bool = False
    """CloudFormation ignores the response."""
    late: bool = False
    """It was delivered late, so that its response can be too late."""
    completed: bool = False
    """Neither a retry nor a message is left. It must be answered."""
    unanswered: bool = False
    """CloudFormation got no response in time, although everything was delivered in time."""

    @property
    def url(self) -> str:
        return str(self.event["ResponseURL"])

    @property
    def identity(self) -> tuple[str | None, str | None]:
        """RequestId and time of issue, as the ownership tags contain them."""
        return self.request_id, str(int(self.issued_at))


@attrs.define
class Running:
    """An invocation of a Lambda function."""

    request: SentRequest
    invocation: Invocation
    spec: InvocationSpec
    message_id: str | None = None
    """Of the message that the continuation has received."""
    result: InvocationResult | None = None


class RequestDelivery:
    """Delivers the requests of one stack. Times are seconds."""

    def __init__(self, audit: Audit, *, fresh: bool = False) -> None:
        self.audit = audit
        self.clock = audit.environment.clock
        self.server = audit.environment.server
        self.fresh = fresh
        self.findings, self.log, self.results = audit.findings, audit.log, audit.results
        self.sent: list[SentRequest] = []
        self.trouble = ""
        """One of QUEUE_TROUBLES."""
        self.recorded_calls: list[list[str]] = []
        """The calls of each invocation of the request with a fault, for faults of kind error and throttle."""
        self._started: list[Invocation] = []
        self._early = False
        """The last message was delivered early. It is delivered again in time."""
        self._dead: list[tuple[SentRequest, str]] = []
        """Messages in the dead-letter queue, with their request."""

    def verdict(self, request: SentRequest) -> Verdict:
        """Judge the response that CloudFormation accepted."""
        response = self.server.accepted_response(request.url)
        return judge(response, request.event) if response else Verdict(succeeded=False, reason=NO_RESPONSE)

    # -- invocations ------------------------------------------------------------------------

    def begin_trouble(self, trouble: str) -> None:
        """Let something happen to the queue, until `end_trouble`."""
        self.trouble = trouble
        if trouble:
            self.server.contend(_OTHER_CONTENTION.get(trouble, _CONTENTION))
            self.server.keep_visibility(enabled=trouble != "unhidden")

    def end_trouble(self) -> None:
        if self.trouble:
            self.trouble = ""
            self.server.keep_visibility(enabled=True)
            self.server.downgrade()

    def spec(self, request: SentRequest, fault: InjectedFault | None = None, **more: Any) -> InvocationSpec:
        if not (self.audit.random or more.get("concurrent")):
            more |= {"seed": len(request.invocations)}
        more = {"event": request.event, **more}
        return InvocationSpec(clock=self.clock.path, fault=fault, mutation=self.audit.mutation, **more)

    def start(
        self, request: SentRequest, fault: InjectedFault | None = None, message_id: str | None = None, **more: Any
    ) -> Running:
        """Invoke the provider, or the continuation with a message."""
        if message_id is not None:
            more |= {"event": self._receive(request, message_id), "function": "continuation"}
        spec = self.spec(request, fault, **{"function": request.function, **more})
        running = Running(request, Invocation(spec, fresh=self.fresh), spec, message_id)
        self._started.append(running.invocation)
        return running

    def _receive(self, request: SentRequest, message_id: str) -> dict[str, Any]:
        steps = sum(result.function == "continuation" for result in request.invocations)
        if self.trouble == "upgraded":
            (self.server.downgrade if steps % 2 else self.server.upgrade)()
        newer = self.trouble == "newer" and steps < _NEWER_DELIVERIES
        received: dict[str, Any] = self.server.receive_message(message_id, 2 if newer else None)
        # The event contains the signed URL. No other field may contain a secret.
        body = json.loads(received["Records"][0]["body"]) | {"requestPayload": None, "event": None}
        self.audit.queue_records.append(json.dumps(body))
        return received

    def end(self, running: Running, result: InvocationResult) -> None:
        """Do what Lambda does at the end of an invocation, unless it is paused."""
        request, fault = running.request, running.spec.fault
        running.result = result
        self.findings.hanging += result.status == "hanging"
        self.results.append(result)
        request.invocations.append(result)
        self.log.append(f"{request.event['RequestType']} {fault or ''} {result}")
        if result.status == "paused":
            return
        if request.function == "sweep":
            return
        if running.message_id is None:
            self._end_attempt(request, result)
            return
        assert "sqs.SendMessage" not in {call.name for call in result.calls}, "The continuation sent a message."
        if result.status == "returned" and not result.value["batchItemFailures"]:
            self.server.delete_message(running.message_id)

    def _end_attempt(self, request: SentRequest, result: InvocationResult) -> None:
        request.attempts += 1
        request.error, request.retry_at = result.error, None
        if result.status != "returned":
            last = request.attempts > len(_RETRY_DELAYS)
            request.retry_at = self.clock.now() + (0 if last else _RETRY_DELAYS[request.attempts - 1])
            if last:
                self.exhaust(request)

    def exhaust(self, request: SentRequest) -> None:
        """Let no retry be left: Lambda sends the request to the queue."""
        if request.retry_at is not None:
            request.retry_at = None
            self.server.send_message(json.dumps(destination_record(request.event, request.error, request.attempts)))

    def invoke(
        self, request: SentRequest, fault: InjectedFault | None = None, message_id: str | None = None, **more: Any
    ) -> Running:
        """Invoke the provider, or the continuation with a message, and wait until it ends or is paused."""
        in_service = fault is not None and fault.kind in {"error", "throttle"}
        if fault is not None and in_service:
            self._inject_in_service(request, fault)
        if message_id is None and self.trouble == "throttled":
            self.server.throttle_changes()
        if message_id is None and self.trouble == "unsent":
            self.server.inject_fault("sqs", "SendMessage", "error", 999)
        running = self.start(request, fault, message_id, **more)
        self.end(running, running.invocation.wait())
        if in_service or self.trouble in {"throttled", "unsent"}:
            self.server.clear_faults()
        returned = running.result is not None and running.result.status == "returned"
        if self.trouble == "twice" and message_id is not None and returned:
            self._repeat(running)
        return running

    def _repeat(self, running: Running) -> None:
        """Deliver a message again, even if it was deleted."""
        spec = attrs.evolve(running.spec, fault=None)
        again = attrs.evolve(running, invocation=Invocation(spec, fresh=self.fresh), spec=spec)
        self.end(again, again.invocation.wait())

    def _inject_in_service(self, request: SentRequest, fault: InjectedFault) -> None:
        # The service counts the calls of an operation. Some calls of DynamoDB have a name that says what they are for.
        recorded = self.recorded_calls[fault.step]
        served = [call.replace("reservation.", "dynamodb.").replace("progress.", "dynamodb.") for call in recorded]
        if served[fault.call] == "response":
            self.server.reject_response(request.request_id, fault.times)
            return
        service, operation = served[fault.call].split(".", 1)
        earlier = served[: fault.call].count(served[fault.call])
        self.server.inject_fault(service, operation, fault.kind, fault.times, earlier)

    def terminate_invocations(self) -> None:
        for invocation in self._started:
            invocation.terminate()

    # -- what Lambda does until a request has ended -----------------------------------------

    def run_to_fault(self, request: SentRequest, fault: InjectedFault | None, **more: Any) -> Running | None:
        """Invoke the provider, and continue the request until the fault has hit. Returns a paused invocation.

        Without a fault, only the provider is invoked. A fault at a named call hits the first invocation that makes it.
        """
        if self.trouble == "doubled":
            self.invoke(request)
            request.attempts, request.retry_at = 0, None
        number, message_id = 0, None
        while True:
            named = fault is not None and fault.call < 0
            hits = fault is not None and (named or fault.step == number)
            running = self.invoke(request, fault if hits else None, message_id, **(more if hits else {}))
            assert running.result is not None
            if running.result.status == "paused":
                return running
            if fault is None or running.result.injected or (hits and not named):
                return None
            delivery = self._next([request])
            if delivery is None:
                return None
            message_id = self._wait_for(delivery)
            number += 1

    def finish(self, request: SentRequest, fault: InjectedFault | None = None) -> None:
        """Run the retries and the messages of a request, each when it is due, until none is left.

        The fault hits the first of these invocations. The sweep runs again the next day.
        """
        if request.function == "sweep":
            self.clock.advance(86_400)
            self.audit.run_sweep()
            return
        for _ in range(_MAX_INVOCATIONS):
            if self._next([request]) is None:
                break
            interleaved = self.trouble == "interleaved"
            requests = [each for stack in self.audit.stacks for each in stack.sent] if interleaved else [request]
            delivery = self._next(requests)
            assert delivery is not None
            message_id = self._wait_for(delivery)
            if message_id is not None and self.trouble == "dead" and self._is_first_dead(delivery[1]):
                self._bury(delivery[1], message_id)
                continue
            self.invoke(delivery[1], fault, message_id)
            fault = None
        else:
            self.findings.hanging += 1
            self.log.append("The request does not end.")
        if not any(request is dead for dead, _ in self._dead):
            self._complete(request)

    def _next(self, requests: list[SentRequest]) -> tuple[float, SentRequest, str | None] | None:
        """Return the next retry or message of these requests: when it is due, its request, and the ID of a message."""
        by_url = {request.url: request for request in requests}
        due: list[tuple[float, SentRequest, str | None]] = [
            (at, by_url[url], message_id) for url, message_id, at in self.server.messages() if url in by_url
        ]
        if self.trouble == "doubled" and due:
            return max(due, key=lambda delivery: delivery[0])
        due += [(request.retry_at, request, None) for request in requests if request.retry_at is not None]
        return min(due, key=lambda delivery: delivery[0], default=None)

    def _wait_for(self, delivery: tuple[float, SentRequest, str | None]) -> str | None:
        """Wait until a retry or a message is due. Returns the ID of the message."""
        due_at, request, message_id = delivery
        seconds = due_at - self.clock.now()
        self._early = self.trouble == "early" and message_id is not None and seconds > _EARLY and not self._early
        if self._early:
            return message_id
        request.late |= -seconds > _PUNCTUAL
        self.clock.advance(max(0.0, seconds) + (_LATE if message_id is not None and self.trouble == "late" else 0.001))
        return message_id

    def _complete(self, request: SentRequest) -> None:
        """Record that nothing runs the request again, unless the ResponseURL has expired: it can't be answered then."""
        request.completed |= self.clock.now() - request.issued_at < EXPIRES_SECONDS
        if not (request.late or request.canceled) and self.verdict(request).reason == NO_RESPONSE:
            request.unanswered = True
            self.log.append(f"no response within the ServiceTimeout: {request.url}")

    def drain(self) -> None:
        """Deliver all messages that are left, the last ones first. Requests without a message are not retried."""
        for request in reversed(self.sent):
            if any(url == request.url for url, _, _ in self.server.messages()):
                request.late = True
                self.finish(request)

    def redeliver(self, request: SentRequest) -> None:
        """Deliver the message of a request, or its event if it has none, once and late."""
        request.late = True
        found = [message_id for url, message_id, _ in self.server.messages() if url == request.url]
        self.invoke(request, None, found[0] if found else None)
        request.retry_at = None

    def bury(self, request: SentRequest) -> None:
        """Move the messages of a request to the dead-letter queue."""
        self.exhaust(request)
        for url, message_id, _ in self.server.messages():
            if url == request.url:
                self._bury(request, message_id)

    def _is_first_dead(self, request: SentRequest) -> bool:
        """Return whether no message of another request is in the dead-letter queue. Later requests are delivered."""
        return all(dead is request for dead, _ in self._dead)

    def _bury(self, request: SentRequest, message_id: str) -> None:
        request.late = True
        self._dead.append((request, self.server.delete_message(message_id)))

    def redrive(self) -> None:
        """Move all messages of the stack back from the dead-letter queue, as new messages, and run them."""
        dead, self._dead = self._dead, []
        for request, body in dead:
            self.server.send_message(body)
            self.finish(request)
