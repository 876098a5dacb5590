"""Findings of a scenario: what the services hold and recorded, compared with what CloudFormation knows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import attrs

from tests.contract.cloudformation.verdict import MAX_RESPONSE_BYTES, judge
from tests.faults.declarations import RECOVERY_WINDOW, Properties
from tests.faults.environment import Environment, Purchase, Snapshot
from tests.faults.invocation import Invocation, InvocationResult, InvocationSpec

if TYPE_CHECKING:
    from tests.faults.delivery import SentRequest
    from tests.faults.simulation import StackSimulation

_MAX_WINDOWS = 2
_ALL_TAGS_VISIBLE = 4 * 3600.0
_SERVICE_DEFECTS = {"LocalServiceDefect", "ModelBroken", "UnknownService"}
"""Error codes of defects in the local services."""
_ALLOWED = {"leaked_before_sweep", "unknown", "failed", "dropped", "allowed"}


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
    shared: int = 0
    mistagged: int = 0
    wrongly_released: int = 0
    wrongly_changed: int = 0
    stale: int = 0
    refused: int = 0
    contradicted: int = 0
    undeletable: int = 0
    hanging: int = 0
    failed: int = 0
    dropped: int = 0
    allowed: int = 0

    @property
    def wrong(self) -> bool:
        return any(value for name, value in self.nonzero.items() if name not in _ALLOWED)

    @property
    def nonzero(self) -> dict[str, int]:
        return {name: value for name, value in attrs.asdict(self).items() if value}


@attrs.define
class Audit:
    """What happened in a scenario, and its findings. All stacks of the scenario share it."""

    environment: Environment
    secret: str
    mutation: str | None
    random: bool = False
    """The jitter of the invocations is random. Otherwise it is the same in every run."""
    double_fault: bool = False
    """The services forget ClientTokens and also show purchases late: a second purchase is allowed."""
    stacks: list[StackSimulation] = attrs.field(factory=list)
    max_purchases: int | None = None
    """How many numbers the scenario needs, if a request purchases one only if another one has taken its number."""
    results: list[InvocationResult] = attrs.field(factory=list)
    queue_records: list[str] = attrs.field(factory=list)
    log: list[str] = attrs.field(factory=list)
    findings: Findings = attrs.field(factory=Findings)
    _violations: int = 0

    def check(self, *, last: bool = False) -> None:
        """Compare the held numbers with CloudFormation's state; with `last`, check everything else too."""
        snapshot = self.snapshot()
        leaks = self._leaks(snapshot)
        self.findings.leaked_before_sweep += len(leaks)
        if leaks:
            self.log.append(f"not known to CloudFormation: {leaks}")
            self.sweep()
            if self._leaks(self.snapshot()) and _pending(self.snapshot()):
                self.sweep()  # The first one has returned a number to pending release that is due.
            leaks = self._leaks(self.snapshot())
            self.findings.leaked += len(leaks)
            self.log.append(f"not released by the sweep: {leaks}")
        self.check_losses(snapshot)
        self._check_owners(snapshot)
        snapshot = self.snapshot()
        for finding, text in snapshot.violations[self._violations :]:
            setattr(self.findings, finding, getattr(self.findings, finding) + 1)
            self.log.append(f"{finding}: {text}")
        self._violations = len(snapshot.violations)
        self._count_purchases(snapshot)
        if last:
            self._check_all(snapshot)

    def delete_stacks(self, declared: Properties) -> None:
        """Delete all stacks. `declared` is what a resource declares whose properties CloudFormation doesn't know."""
        for stack in self.stacks:
            stack.other_resources = False
            if stack.physical_id is not None:
                self.environment.clock.advance(60)
                stack.delete(stack.physical_id, stack.declared or declared)
            stack.rest()

    def terminate_invocations(self) -> None:
        for stack in self.stacks:
            stack.terminate_invocations()

    def snapshot(self) -> Snapshot:
        return cast("Snapshot", self.environment.server.snapshot())

    def check_losses(self, snapshot: Snapshot | None = None) -> None:
        """Check that all numbers that a stack has or retained are still held, unless an operator released them."""
        held = {purchase.physical_id for purchase in (snapshot or self.snapshot()).held}
        for stack in self.stacks:
            for physical_id in sorted(stack.known - stack.gone - held):
                self.findings.lost += 1
                self.log.append(f"lost: {physical_id}")

    def _check_owners(self, snapshot: Snapshot) -> None:
        """Check that no two stacks have one number, and that only numbers pending release are tagged so."""
        owned = [stack.physical_id for stack in self.stacks if stack.physical_id and "|" not in stack.physical_id]
        pending = {item["physical_id"]["S"] for item in _pending(snapshot)}
        shared = {physical_id for physical_id in owned if owned.count(physical_id) > 1}
        mistagged = (snapshot.tagged & set(owned)) | (pending - snapshot.tagged)
        self.findings.shared += len(shared)
        self.findings.mistagged += len(mistagged)
        if shared or mistagged:
            self.log.append(f"shared: {shared}, mistagged: {mistagged}")

    def _leaks(self, snapshot: Snapshot) -> list[Purchase]:
        """Return the numbers that no stack has. One that is pending release is none until it is due."""
        now = self.environment.clock.now()
        pending = {item["physical_id"]["S"] for item in _pending(snapshot) if float(item["deadline"]["N"]) > now}
        known = {
            (owner, physical_id)
            for stack in self.stacks
            for physical_id in stack.known | stack.dropped
            # Without tags, as with the mutation of that name, the owner is not known.
            for owner in (stack.stack_id, None)
        }
        unknown = [held for held in snapshot.held if (held.stack_id, held.physical_id) not in known]
        return [held for held in unknown if not held.by_hand and held.physical_id not in pending]

    def sweep(self) -> None:
        """Run the daily sweep, at a time when all purchases and tags are visible."""
        self.environment.clock.advance(_ALL_TAGS_VISIBLE)
        self.snapshot()  # Slow purchases take effect now, and are visible a minute later.
        self.environment.clock.advance(60)
        for stack in self.stacks:
            stack.guard(stack.known)
        self.run_sweep()

    def run_sweep(self, **event: str) -> Any:
        """Run the sweep now, or with `restore` do what an operator asks of it. Returns its value."""
        result = Invocation(InvocationSpec(event, self.environment.clock.path, "sweep", mutation=self.mutation)).wait()
        self.results.append(result)
        self.log.append(f"the sweep {event or ''} {result} {result.value}")
        return result.value

    def end_recovery_windows(self) -> None:
        """Wait until all numbers that are pending release are due, and run the sweep, again if it ends a Delete."""
        for _ in range(_MAX_WINDOWS):
            self.environment.clock.advance(RECOVERY_WINDOW)
            self.sweep()
            if not _pending(self.snapshot()):
                break

    def _count_purchases(self, snapshot: Snapshot) -> None:
        """One purchase is allowed for each identity of a request: its RequestId and the time of its ResponseURL."""
        needed = {request.identity for request in self._sent() if request.may_purchase}
        if self.mutation == "tags":
            twice = max(0, len(snapshot.purchases) - len(needed))
        else:
            purchased = [(purchase.request_id, purchase.issued_at) for purchase in snapshot.purchases]
            # Without the time in the tags, all ResponseURLs of a RequestId count as one request.
            allowed = needed | {(request_id, None) for request_id, _ in needed}
            twice = len(purchased) - len(allowed & set(purchased))
        if self.max_purchases is not None:
            twice = max(twice, len(snapshot.purchases) - self.max_purchases)
        if self.double_fault:
            self.findings.allowed = twice
        else:
            self.findings.bought_twice = twice

    def _check_all(self, snapshot: Snapshot) -> None:
        """Fill in the remaining findings. Raises AssertionError if the local services failed."""
        broken = [call for call in snapshot.calls if call[2] in _SERVICE_DEFECTS]
        assert not broken, f"the local services failed: {broken}"
        findings = self.findings
        findings.unknown = sum(self._is_unknown(item) for item in snapshot.items)
        for request in self._sent():
            responses = [response for response in snapshot.responses if response.url == request.event["ResponseURL"]]
            stored = [response.body for response in responses if response.stored]
            findings.contradicted += bool(stored) and len({response.body for response in responses}) > 1
            valid = stored and len(stored[0]) <= MAX_RESPONSE_BYTES and judge(stored[0], request.event).physical_id
            findings.unanswered += request.unanswered or (request.completed and not valid)
        findings.secrets_seen = self._count_secrets(snapshot)
        findings.dropped = sum(len(stack.dropped) for stack in self.stacks)

    def _is_unknown(self, item: dict[str, Any]) -> bool:
        """Return whether a purchase record ended with an attempt whose result is unknown, and no attempt is running."""
        ended = item.get("purchase_state", {}).get("S") == "BUYING" and item.get("ended", {}).get("BOOL", False)
        return bool(ended and float(item.get("lease_until", {}).get("N", 0)) < self.environment.clock.now())

    def _count_secrets(self, snapshot: Snapshot) -> int:
        """Count the places that contain the declared secret or the signature of a response URL."""
        hidden = [self.secret, *(sent.event["ResponseURL"].rpartition("=")[2] for sent in self._sent())]
        places = [
            "".join(result.log for result in self.results),
            json.dumps([[result.error, result.value] for result in self.results]),
            json.dumps(snapshot.items),
            "".join(response.body.decode() for response in snapshot.responses),
            "".join(self.queue_records),
        ]
        found = 0
        for place in places:
            if positions := [place.find(secret) for secret in hidden if secret in place]:
                found += 1
                first = min(positions)
                self.log.append(f"a secret is in: {place[max(0, first - 300) : first + 100]}")
        return found

    def _sent(self) -> list[SentRequest]:
        return [request for stack in self.stacks for request in stack.sent]


def _pending(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the records of the numbers that are pending release."""
    return [item for item in snapshot.items if item.get("purchase_state") == {"S": "PENDING_RELEASE"}]
