"""Simulation of one stack with one resource: sends requests as CloudFormation does and runs them as Lambda does.

At the end it compares what the services hold with what CloudFormation believes, and reports Findings.
"""

from __future__ import annotations

import functools
import json
import secrets
import string
import uuid
from collections.abc import Mapping
from typing import Any, cast

import attrs

from tests.contract.cloudformation.events import RequestType, event
from tests.contract.cloudformation.verdict import MAX_RESPONSE_BYTES, Verdict, judge
from tests.faults.declarations import Properties, ScenarioContext, Variant
from tests.faults.environment import Environment, Purchase, Snapshot
from tests.faults.invocation import InjectedFault, Invocation, InvocationResult, InvocationSpec, continuation_event

NO_RESPONSE = "no response"
_LOGICAL_ID = "Number"
_RETRY_DELAYS = (60.0, 120.0)
"""Seconds before each of Lambda's retries (Lambda Developer Guide, asynchronous invocation)."""
_REDELIVERIES = 3
_ALL_TAGS_VISIBLE = 4 * 3600.0
_SERVICE_DEFECTS = {"LocalServiceDefect", "ModelBroken", "UnknownService"}
"""Error codes of defects in the local services."""

SERVICE_BEHAVIORS: Mapping[str, dict[str, Any]] = {
    "default": {},
    "tokens-forgotten": {"forget_tokens": True},
    "tags-late": {"tags_lag_seconds": 20},
    "tokens-forgotten-tags-late": {"forget_tokens": True, "tags_lag_seconds": 20},
    "tags-very-late": {"tags_lag_seconds": 3 * 3600},
}
"""Options of the services. tags-late: tags are visible at Lambda's first retry; tags-very-late: only to the sweep."""


@attrs.define
class SentRequest:
    """A request of CloudFormation and the state of its asynchronous invocation."""

    request_id: str
    event: dict[str, Any]
    may_purchase: bool
    issued_at: float
    attempts: int = 0
    returned: bool = False
    error: dict[str, Any] | None = None
    completed: bool = False
    """Lambda runs the event no more, neither by retry nor by the continuation function."""


@attrs.define
class Findings:
    """Counts of what a scenario found; the package docstring explains them."""

    bought_twice: int = 0
    leaked: int = 0
    leaked_before_sweep: int = 0
    unknown: int = 0
    unanswered: int = 0
    secrets_seen: int = 0
    lost: int = 0
    contradicted: int = 0
    undeletable: int = 0
    hanging: int = 0
    failed: int = 0

    @property
    def wrong(self) -> bool:
        allowed = {"leaked_before_sweep", "unknown", "failed"}
        return any(value for name, value in self.nonzero.items() if name not in allowed)

    @property
    def nonzero(self) -> dict[str, int]:
        return {name: value for name, value in attrs.asdict(self).items() if value}


class StackSimulation:
    """The stack, its requests and its clock. Times are seconds."""

    def __init__(
        self,
        environment: Environment,
        variant: Variant,
        *,
        instance_arns: list[str],
        number: int,
        behavior: str = "default",
        mutation: str | None = None,
        fresh: bool = False,
    ) -> None:
        self.clock = environment.clock
        self.server = server = environment.server
        self.variant = variant
        self.mutation = mutation
        self.fresh = fresh
        self.name = f"run-{number}-{secrets.token_hex(3)}"
        self.stack_id = f"arn:aws:cloudformation:us-east-1:123456789012:stack/{self.name}/{uuid.uuid4()}"
        self.context = ScenarioContext(
            secret=f"swordfish{secrets.token_hex(8)}",
            sender_id=f"S{number}",
            instance_arns=instance_arns,
            source_number=functools.cache(lambda _: server.create_source_number()),
        )
        server.begin(**SERVICE_BEHAVIORS[behavior])
        self.sent: list[SentRequest] = []
        self.results: list[InvocationResult] = []
        self.resumed: InvocationResult | None = None
        self.findings = Findings()
        self.log: list[str] = []
        self.physical_id: str | None = None
        """The physical ID that CloudFormation has stored; None if the resource does not exist."""
        self.declared: Properties = {}
        """The properties that CloudFormation has stored for the resource."""
        self.retained: set[str] = set()
        """Numbers that a DeletionPolicy has retained."""
        self._started: list[Invocation] = []
        self._queue_records: list[str] = []
        self.recorded_calls: list[str] = []
        """The calls of the first request with a fault, for faults of kind error and throttle."""

    def send(
        self, request_type: RequestType, properties: Properties, *, may_purchase: bool = False, **fields: Any
    ) -> SentRequest:
        """Issue a request. Lambda does not run it yet."""
        request_id = str(uuid.uuid4())
        request = event(
            request_type,
            response_url=self.server.create_response_url(self.stack_id, _LOGICAL_ID, request_id, self.clock.now()),
            stack_id=self.stack_id,
            request_id=request_id,
            logical_id=_LOGICAL_ID,
            resource_type=self.variant.type_name,
            properties=properties,
            **fields,
        )
        self.sent.append(SentRequest(request_id, request, may_purchase, self.clock.now()))
        self.clock.advance(2)  # The signed URL has a resolution of one second.
        self.log.append(f"{request_type} {fields.get('physical_id', '')} is sent")
        return self.sent[-1]

    def spec(self, request: SentRequest, fault: InjectedFault | None = None, **more: Any) -> InvocationSpec:
        return InvocationSpec(request.event, self.clock.path, fault=fault, mutation=self.mutation, **more)

    def invoke(self, request: SentRequest, fault: InjectedFault | None = None) -> InvocationResult:
        if fault is not None and fault.kind in {"error", "throttle"}:
            self._inject_in_service(request, fault)
        invocation = Invocation(self.spec(request, fault), fresh=self.fresh)
        result = self.record(request, invocation.wait(), fault)
        self.server.clear_faults()
        return result

    def start(self, request: SentRequest, fault: InjectedFault | None = None, **more: Any) -> Invocation:
        self._started.append(Invocation(self.spec(request, fault, **more), fresh=self.fresh))
        return self._started[-1]

    def terminate_invocations(self) -> None:
        for invocation in self._started:
            invocation.terminate()

    def record(
        self, sent: SentRequest, result: InvocationResult, fault: InjectedFault | None = None
    ) -> InvocationResult:
        if result.status != "paused":
            sent.attempts += 1
            sent.returned, sent.error = result.status == "returned", result.error
        self.findings.hanging += result.status == "hanging"
        self.results.append(result)
        self.log.append(f"{sent.event['RequestType']} {fault or ''} {result}")
        return result

    def _inject_in_service(self, request: SentRequest, fault: InjectedFault) -> None:
        # The service counts the calls of an operation; a reservation is a call of DynamoDB.
        served = [call.replace("reservation.", "dynamodb.") for call in self.recorded_calls]
        if served[fault.call] == "response":
            self.server.reject_response(request.request_id, fault.times)
            return
        service, operation = served[fault.call].split(".", 1)
        earlier = served[: fault.call].count(served[fault.call])
        self.server.inject_fault(service, operation, fault.kind, fault.times, earlier)

    def run_retries(self, request: SentRequest, fault: InjectedFault | None = None) -> None:
        """Run Lambda's retries until one returns, and then the continuation function if none did.

        The fault hits the first retry.
        """
        while not request.returned and request.attempts < 1 + len(_RETRY_DELAYS):
            self.clock.advance(_RETRY_DELAYS[request.attempts - 1])
            self.invoke(request, fault if request.attempts == 1 else None)
        if request.returned:
            request.completed = True
        else:
            self.run_continuation(request)

    def run_continuation(self, request: SentRequest) -> None:
        """Run the continuation function until it reports no failure."""
        self.clock.advance(20)
        for _ in range(_REDELIVERIES):
            queued = continuation_event(request.event, request.error, request.attempts)
            # The request payload contains the signed URL: Lambda put it there. No other field may contain a secret.
            body = json.loads(queued["Records"][0]["body"]) | {"requestPayload": None}
            self._queue_records.append(json.dumps(body))
            spec = attrs.evolve(self.spec(request), event=queued, function="continuation")
            result = self.record(request, Invocation(spec, fresh=self.fresh).wait())
            if result.status == "returned" and not result.value["batchItemFailures"]:
                break
            self.clock.advance(60)
        request.completed = True

    def complete(self, request: SentRequest, fault: InjectedFault | None = None) -> Verdict:
        """Run the request with all retries. Returns CloudFormation's verdict."""
        self.invoke(request, fault)
        self.run_retries(request)
        return self.verdict(request)

    def verdict(self, request: SentRequest) -> Verdict:
        responses = self.server.stored_responses(request.request_id)
        return judge(responses[0], request.event) if responses else Verdict(succeeded=False, reason=NO_RESPONSE)

    def generated_id(self) -> str:
        """Return a physical ID as CloudFormation generates it for a Create without a response."""
        random = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(12))
        return f"{self.name}-{_LOGICAL_ID}-{random}"

    def create(self, properties: Properties) -> None:
        verdict = self.complete(self.send("Create", properties, may_purchase=True))
        if not verdict.succeeded:
            raise AssertionError(f"the preparation failed: {verdict}\n" + "\n".join(self.log))
        self.physical_id, self.declared = verdict.physical_id, properties

    def delete(self, physical_id: str, properties: Properties, fault: InjectedFault | None = None) -> None:
        """Delete a number. If the Delete fails, the operator deletes the stack once more."""
        for injected in (fault, None):
            verdict = self.complete(self.send("Delete", properties, physical_id=physical_id), injected)
            if verdict.succeeded:
                self.after_delete(physical_id)
                return
            self.log.append(f"the Delete failed: {verdict.reason}")
            self.clock.advance(300)
        self.findings.undeletable += 1

    def update(self, old: Properties, new: Properties, *, may_purchase: bool = False) -> SentRequest:
        return self.send("Update", new, physical_id=self.physical_id, old_properties=old, may_purchase=may_purchase)

    def roll_back(self, old: Properties, new: Properties, fault: InjectedFault | None = None) -> None:
        """Update the resource back from `new` to `old`."""
        request = self.update(new, old)
        self.complete(request, fault)
        self.after_rollback(request, old, new)

    def after_create(self, request: SentRequest, properties: Properties) -> None:
        """Process the response to a Create: after a failure CloudFormation deletes the resource."""
        verdict = self.verdict(request)
        if verdict.succeeded:
            self.physical_id, self.declared = verdict.physical_id, properties
        else:
            self._record_failure(verdict)
            self.delete(verdict.physical_id or self.generated_id(), properties)

    def after_update(self, request: SentRequest, old: Properties, new: Properties) -> None:
        """Process the response to an Update: clean up the replaced number, or roll back after a failure."""
        verdict = self.verdict(request)
        if verdict.succeeded:
            self._replace_id(verdict, old, new)
            return
        self._record_failure(verdict)
        self.roll_back(old, new)
        if verdict.physical_id not in {None, self.physical_id}:
            self.delete(str(verdict.physical_id), new)

    def after_rollback(self, request: SentRequest, old: Properties, new: Properties) -> None:
        """Process the response to a rollback: clean up the number that the Update purchased."""
        verdict = self.verdict(request)
        if verdict.succeeded:
            self._replace_id(verdict, new, old)
        else:
            self._record_failure(verdict)

    def after_delete(self, physical_id: str) -> None:
        if self.physical_id == physical_id:
            self.physical_id, self.declared = None, {}

    def _replace_id(self, verdict: Verdict, old: Properties, new: Properties) -> None:
        replaced, self.physical_id, self.declared = self.physical_id, verdict.physical_id, new
        if replaced not in {None, self.physical_id}:
            self.delete(str(replaced), old)

    def _record_failure(self, verdict: Verdict) -> None:
        self.findings.failed += 1
        self.log.append(f"FAILED: {verdict.reason}")

    def check(self, *, last: bool = False) -> None:
        """Compare the held numbers with CloudFormation's state; with `last`, check everything else too."""
        snapshot = self.snapshot()
        leaks = self._leaks(snapshot)
        self.findings.leaked_before_sweep += len(leaks)
        if leaks:
            self.log.append(f"not known to CloudFormation: {leaks}; it has {self.physical_id}")
            self._sweep()
            leaks = self._leaks(self.snapshot())
            self.findings.leaked += len(leaks)
            self.log.append(f"not released by the sweep: {leaks}")
        self.check_losses(snapshot)
        if last:
            self._check_all(self.snapshot())

    def snapshot(self) -> Snapshot:
        return cast("Snapshot", self.server.snapshot(self.stack_id))

    def check_losses(self, snapshot: Snapshot | None = None) -> None:
        """Check that the resource's number and all retained numbers are still held."""
        held = {purchase.physical_id for purchase in (snapshot or self.snapshot()).held}
        expected = self.retained | ({self.physical_id} if self.physical_id is not None else set())
        for physical_id in sorted(expected - held):
            self.findings.lost += 1
            self.log.append(f"lost: {physical_id}")

    def _leaks(self, snapshot: Snapshot) -> list[Purchase]:
        return [held for held in snapshot.held if held.physical_id not in {self.physical_id, *self.retained}]

    def _sweep(self) -> None:
        self.clock.advance(_ALL_TAGS_VISIBLE)
        spec = InvocationSpec({}, self.clock.path, "sweep", mutation=self.mutation)
        result = Invocation(spec).wait()
        self.results.append(result)
        self.log.append(f"the sweep {result} {result.value}")

    def _check_all(self, snapshot: Snapshot) -> None:
        """Fill in the remaining findings. Raises AssertionError if the local services failed."""
        broken = [call for call in snapshot.calls if call[2] in _SERVICE_DEFECTS]
        assert not broken, f"the local services failed: {broken}"
        findings = self.findings
        purchasers = {request.request_id for request in self.sent if request.may_purchase}
        if self.mutation == "tags":
            findings.bought_twice = max(0, len(snapshot.purchases) - len(purchasers))
        else:
            by_request = [purchase.request_id for purchase in snapshot.purchases]
            findings.bought_twice = len(by_request) - len(purchasers & set(by_request))
        findings.unknown = sum(item.get("purchase_state", {}).get("S") == "UNKNOWN" for item in snapshot.items)
        for request in self.sent:
            responses = [response for response in snapshot.responses if response.request_id == request.request_id]
            stored = [response.body for response in responses if response.stored]
            findings.contradicted += len({response.body for response in responses}) > 1
            valid = stored and len(stored[0]) <= MAX_RESPONSE_BYTES and judge(stored[0], request.event).physical_id
            findings.unanswered += request.completed and not valid
        findings.secrets_seen = self._count_secrets(snapshot)

    def _count_secrets(self, snapshot: Snapshot) -> int:
        """Count the places that contain the declared secret or the signature of a response URL."""
        hidden = [self.context.secret, *(sent.event["ResponseURL"].rpartition("=")[2] for sent in self.sent)]
        places = [
            "".join(result.log for result in self.results),
            json.dumps([[result.error, result.value] for result in self.results]),
            json.dumps(snapshot.items),
            "".join(response.body.decode() for response in snapshot.responses),
            "".join(self._queue_records),
        ]
        found = 0
        for place in places:
            if positions := [place.find(secret) for secret in hidden if secret in place]:
                found += 1
                first = min(positions)
                self.log.append(f"a secret is in: {place[max(0, first - 300) : first + 100]}")
        return found
