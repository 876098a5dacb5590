"""One stack with one resource, as CloudFormation and Lambda drive it; what CloudFormation knows, and what is true."""

from __future__ import annotations

import json
import secrets
import string
import uuid
from http import HTTPStatus
from typing import Any, Literal

import attrs

from tests.contract.cloudformation.events import event
from tests.contract.cloudformation.verdict import MAX_ANSWER_BYTES, Verdict, judge
from tests.faults.attempts import Attempt, Blow, Call, End, Order, record_of
from tests.faults.declarations import Place, Properties, Variant
from tests.faults.services import Bought, Seen, Services

LOGICAL_ID = "Number"
_RETRIES = (60.0, 120.0)
"""Seconds before each of Lambda's retries (Lambda Developer Guide, asynchronous invocation)."""
_REDELIVERIES = 3
_PAST_ALL_TAGS = 4 * 3600.0
_DEFECTS = {"LocalServiceDefect", "ModelBroken", "UnknownService"}
"""Errors of the local services themselves, which AWS knows nothing of."""

ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "forget": {"forget_tokens": True},
    "late": {"tags_lag_seconds": 20},
    "forget-late": {"forget_tokens": True, "tags_lag_seconds": 20},
    "later": {"tags_lag_seconds": 3 * 3600},
}
"""How the services behave. late: tags are seen before Lambda's first retry, later: after everything but the sweep."""


@attrs.define
class Sent:
    """A request of CloudFormation, and how Lambda fares with it."""

    event: dict[str, Any]
    may_buy: bool
    issued_at: float
    attempts: int = 0
    end: End | None = None
    through: bool = False
    """Lambda is through with it, the last resort included."""

    @property
    def request_id(self) -> str:
        return str(self.event["RequestId"])

    @property
    def ended(self) -> bool:
        return self.end is not None and self.end.how == "returned"


@attrs.define
class Findings:
    """What is wrong after a run; all zero but leaked_before_sweep and suspect, if nothing is."""

    bought_twice: int = 0
    leaked: int = 0
    leaked_before_sweep: int = 0
    suspect: int = 0
    unanswered: int = 0
    secrets_seen: int = 0
    lost: int = 0
    """CloudFormation has it, and it is gone."""
    contradicted: int = 0
    """Answered twice with different bytes."""
    undeletable: int = 0
    """A Delete that was answered FAILED twice."""
    hanging: int = 0
    failed: int = 0
    """Answered FAILED, though a repetition would have succeeded. No fault by itself."""

    @property
    def wrong(self) -> bool:
        allowed = {"leaked_before_sweep", "suspect", "failed"}
        return any(value for name, value in attrs.asdict(self).items() if name not in allowed)


class Play:
    """The stack, its clock and its history. Times are seconds; one clock serves the services and the provider."""

    def __init__(
        self,
        services: Services,
        variant: Variant,
        *,
        targets: list[str],
        number: int,
        environment: str = "plain",
        mutation: str | None = None,
        fresh: bool = False,
    ) -> None:
        self.services = services
        self.variant = variant
        self.mutation = mutation
        self.fresh = fresh
        self.name = f"run-{number}-{secrets.token_hex(3)}"
        self.stack_id = f"arn:aws:cloudformation:us-east-1:123456789012:stack/{self.name}/{uuid.uuid4()}"
        self.secret = f"swordfish{secrets.token_hex(8)}"
        sources: dict[int, str] = {}

        def source(index: int) -> str:
            if index not in sources:
                sources[index] = services.source()
            return sources[index]

        self.place = Place(self.secret, number, targets, source)
        services.begin(**ENVIRONMENTS[environment])
        self.timeline = services.timeline
        self.sent: list[Sent] = []
        self.ends: list[tuple[str, End]] = []
        self.findings = Findings()
        self.story: list[str] = []
        self.known: str | None = None
        """The id that CloudFormation has for the resource."""
        self.retained: set[str] = set()
        """What a DeletionPolicy kept: nobody's to release."""
        self.declared: Properties | None = None
        """What CloudFormation believes of the resource, if it has one."""
        self._beside: list[Attempt] = []
        self.resumed: End | None = None
        """How an attempt ended that had been stopped."""
        self._records: list[str] = []

    # -- time -----------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.timeline.now

    def advance(self, seconds: float) -> None:
        self.timeline.advance(seconds)

    # -- requests -------------------------------------------------------------------------------

    def send(
        self,
        kind: Literal["Create", "Update", "Delete"],
        properties: Properties,
        *,
        physical_id: str | None = None,
        old: Properties | None = None,
        may_buy: bool = False,
    ) -> Sent:
        """Issue a request, a moment before Lambda runs it; nothing runs yet."""
        request_id = str(uuid.uuid4())
        url = self.services.url(self.stack_id, LOGICAL_ID, request_id, self.now)
        made = event(
            kind,
            response_url=url,
            stack_id=self.stack_id,
            request_id=request_id,
            logical_id=LOGICAL_ID,
            resource_type=self.variant.type_name,
            properties=properties,
            physical_id=physical_id,
            old_properties=old,
        )
        sent = Sent(made, may_buy, self.now)
        self.sent.append(sent)
        self.advance(2)  # The signed URL tells whole seconds.
        self.story.append(f"{kind} {physical_id or ''} is sent")
        return sent

    def order(
        self,
        sent: Sent,
        blow: Blow | None = None,
        *,
        second: Blow | None = None,
        alone: bool = True,
        final: bool = False,
    ) -> Order:
        made = sent.event
        if final:
            made = record_of(sent.event, sent.end.error if sent.end else None, sent.attempts)
            # What Lambda itself puts there, the event with its URL, is the queue's to protect; the rest is ours.
            told = json.loads(made["Records"][0]["body"]) | {"requestPayload": None}
            self._records.append(json.dumps(told))
        function: Literal["provider", "continuation"] = "continuation" if final else "provider"
        return Order(made, self.timeline.path, function, blow, second, self.mutation, alone)

    def attempt(self, sent: Sent, blow: Blow | None = None, *, calls: list[str] | None = None) -> End:
        """Let Lambda run the event once. calls: what this attempt is known to call, for the service's own faults."""
        if blow is not None and blow.kind in {"error", "throttle"}:
            self._arm(sent, blow, calls or [])
        running = Attempt(self.order(sent, blow), fresh=self.fresh)
        end = self.noted(sent, running.wait(), blow)
        self.services.clear_faults()
        return end

    def start(self, sent: Sent, blow: Blow | None = None, *, second: Blow | None = None, alone: bool = True) -> Attempt:
        """Start an attempt that does not end, or is not waited for, before something else begins."""
        running = Attempt(self.order(sent, blow, second=second, alone=alone), fresh=self.fresh)
        self._beside.append(running)
        return running

    def close(self) -> None:
        """Leave nothing running, whatever went wrong."""
        for running in self._beside:
            running.end()

    def noted(self, sent: Sent, end: End, blow: Blow | None = None) -> End:
        """Keep what came of an attempt."""
        kind = sent.event["RequestType"]
        if end.how != "stopped":
            sent.attempts += 1
            sent.end = end
        self.findings.hanging += end.how == "hanging"
        self.ends.append((f"{kind} {blow or ''}", end))
        self.story.append(f"{kind} {blow or ''} {end.how}: {' '.join(map(_call, end.calls))} {_error(end)}")
        return end

    def _arm(self, sent: Sent, blow: Blow, calls: list[str]) -> None:
        if calls[blow.call] == "answer":
            self.services.fail_answer(sent.request_id, blow.times)
            return
        # A turn is a write to the state table too, and a fault counts all of an operation's calls.
        served = [call.replace("turn.", "dynamodb.") for call in calls]
        service, operation = served[blow.call].split(".", 1)
        earlier = served[: blow.call].count(served[blow.call])
        self.services.fault(service, operation, blow.kind, blow.times, earlier)

    def retries(self, sent: Sent, second: Blow | None = None) -> None:
        """Lambda's own: up to two more attempts, and then the last resort."""
        while not sent.ended and sent.attempts < 1 + len(_RETRIES):
            self.advance(_RETRIES[sent.attempts - 1])
            self.attempt(sent, second if sent.attempts == 1 else None)
        if sent.ended:
            sent.through = True
        else:
            self.last_resort(sent)

    def last_resort(self, sent: Sent) -> None:
        """The on-failure queue's consumer; what it reports as failed is delivered to it again."""
        self.advance(20)
        for _ in range(_REDELIVERIES):
            end = Attempt(self.order(sent, final=True), fresh=self.fresh).wait()
            self.noted(sent, end)
            if end.how == "returned" and not end.result["batchItemFailures"]:
                break
            self.advance(60)
        sent.through = True

    def through(self, sent: Sent, blow: Blow | None = None) -> Verdict | None:
        """Let Lambda run the event until it is done with it; give CloudFormation's verdict."""
        self.attempt(sent, blow)
        self.retries(sent)
        return self.verdict(sent)

    def verdict(self, sent: Sent) -> Verdict | None:
        """What CloudFormation makes of the first answer; None if there is none yet."""
        answers = self.services.answers(sent.request_id)
        return judge(answers[0], sent.event) if answers else None

    # -- CloudFormation's moves -------------------------------------------------------------------

    def invented(self) -> str:
        """The id that CloudFormation makes up for a Create without an answer."""
        random = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(12))
        return f"{self.name}-{LOGICAL_ID}-{random}"

    def create(self, properties: Properties) -> None:
        """A Create that nothing befalls."""
        verdict = self.through(self.send("Create", properties, may_buy=True))
        if verdict is None or not verdict.succeeded:
            raise AssertionError(f"the preparation failed: {verdict}\n" + "\n".join(self.story))
        self.known, self.declared = verdict.physical_id, properties

    def delete(self, physical_id: str, properties: Properties, second: Blow | None = None) -> None:
        """A Delete with all its retries; an operator asks once more if it fails."""
        for blow in (second, None):
            verdict = self.through(self.send("Delete", properties, physical_id=physical_id), blow)
            if verdict is not None and verdict.succeeded:
                self.deleted(physical_id)
                return
            self.story.append(f"the Delete failed: {verdict.reason if verdict else 'no answer'}")
            self.advance(300)
        self.findings.undeletable += 1

    def deleted(self, physical_id: str) -> None:
        if self.known == physical_id:
            self.known = self.declared = None

    def created(self, sent: Sent, properties: Properties) -> None:
        """What CloudFormation does once Lambda is through with a Create: nothing, or the rollback's Delete."""
        verdict = self.verdict(sent)
        if verdict is not None and verdict.succeeded:
            self.known, self.declared = verdict.physical_id, properties
            return
        self._failed(verdict)
        self.delete((verdict.physical_id if verdict else None) or self.invented(), properties)

    def update(self, old: Properties, new: Properties, *, may_buy: bool = False) -> Sent:
        """Issue an Update of what CloudFormation knows."""
        return self.send("Update", new, physical_id=self.known, old=old, may_buy=may_buy)

    def updated(self, sent: Sent, old: Properties, new: Properties) -> bool:
        """What follows an Update; the cleanup of a replaced number, or the rollback. Tell whether it succeeded."""
        verdict = self.verdict(sent)
        if verdict is not None and verdict.succeeded:
            before, self.known, self.declared = self.known, verdict.physical_id, new
            if before is not None and before != self.known:
                self.delete(before, old)
            return True
        self._failed(verdict)
        also = verdict.physical_id if verdict else None
        self.roll_back(old, new)
        if also is not None and also != self.known:
            self.delete(also, new)
        return False

    def roll_back(self, old: Properties, new: Properties, second: Blow | None = None) -> None:
        """An Update back to what was before, of the id that CloudFormation has."""
        sent = self.update(new, old)
        self.attempt(sent, second)
        self.retries(sent)
        self.rolled_back(sent, old, new)

    def rolled_back(self, sent: Sent, old: Properties, new: Properties) -> None:
        """What follows a rollback: the cleanup of the number that is no longer the resource's."""
        verdict = self.verdict(sent)
        if verdict is None or not verdict.succeeded:
            self._failed(verdict)
            return
        before, self.known, self.declared = self.known, verdict.physical_id, old
        if before is not None and before != self.known:
            self.delete(before, new)

    def _failed(self, verdict: Verdict | None) -> None:
        self.findings.failed += 1
        self.story.append(f"FAILED: {verdict.reason if verdict else 'no answer'}")

    # -- the reckoning ----------------------------------------------------------------------------

    def check(self, *, last: bool = False) -> None:
        """Compare what is held with what CloudFormation has; at the end, everything else too."""
        seen: Seen = self.services.look(self.stack_id)
        strays = self._strays(seen)
        self.findings.leaked_before_sweep += len(strays)
        if strays:
            self.story.append(f"held, and known to nobody: {strays}; CloudFormation has {self.known}")
            self._sweep()
            strays = self._strays(self.services.look(self.stack_id))
            self.findings.leaked += len(strays)
            if strays:
                self.story.append(f"still there after the sweep: {strays}")
        self.look_for_losses(seen)
        if last:
            self._check_all(self.services.look(self.stack_id))

    def look_for_losses(self, seen: Seen | None = None) -> None:
        """Whether everything is there that CloudFormation has, or that a policy kept."""
        there = {thing.physical_id for thing in (seen or self.services.look(self.stack_id)).held}
        lost = ({self.known} if self.known is not None else set[str]()) | self.retained
        for physical_id in sorted(lost - there):
            self.findings.lost += 1
            self.story.append(f"lost: {physical_id}")

    def _strays(self, seen: Seen) -> list[Bought]:
        return [thing for thing in seen.held if thing.physical_id not in {self.known, *self.retained}]

    def _sweep(self) -> None:
        self.advance(_PAST_ALL_TAGS)
        end = Attempt(Order({}, self.timeline.path, "sweep", mutation=self.mutation)).wait()
        self.ends.append(("sweep", end))
        self.story.append(f"the sweep {end.how}: {' '.join(map(_call, end.calls))} {_error(end)} {end.result}")

    def _check_all(self, seen: Seen) -> None:
        """Raise AssertionError if it was the local services that failed."""
        broken = [call for call in seen.calls if call[2] in _DEFECTS]
        assert not broken, f"the local services failed: {broken}"
        findings = self.findings
        buyers = {sent.request_id for sent in self.sent if sent.may_buy}
        if self.mutation == "tags":
            findings.bought_twice = max(0, len(seen.bought) - len(buyers))
        else:
            by_request = [bought.request_id for bought in seen.bought]
            findings.bought_twice = len(by_request) - len(buyers & set(by_request))
        findings.suspect = sum(row.get("purchase_state", {}).get("S") == "UNKNOWN" for row in seen.rows)
        for sent in self.sent:
            bodies = [answered.body for answered in seen.answers if answered.request_id == sent.request_id]
            stored = [
                answered.body for answered in seen.answers if answered.request_id == sent.request_id and answered.stored
            ]
            findings.contradicted += len(set(bodies)) > 1
            valid = stored and _valid(stored[0], sent.event)
            findings.unanswered += sent.through and not valid
        findings.secrets_seen = self._secrets(seen)

    def _secrets(self, seen: Seen) -> int:
        """How many places hold a signature or a declared secret."""
        signatures = [sent.event["ResponseURL"].rpartition("=")[2] for sent in self.sent]
        places = [
            "".join(end.log for _, end in self.ends),
            json.dumps([[end.error, end.result] for _, end in self.ends]),
            json.dumps(seen.rows),
            "".join(answered.body.decode() for answered in seen.answers),
            "".join(self._records),
        ]
        found = [place for place in places if any(secret in place for secret in [self.secret, *signatures])]
        for place in found:
            index = min(place.find(secret) for secret in [self.secret, *signatures] if secret in place)
            self.story.append(f"a secret stands in: {place[max(0, index - 300) : index + 100]}")
        return len(found)


def _valid(body: bytes, sent: dict[str, Any]) -> bool:
    verdict = judge(body, sent)
    return len(body) <= MAX_ANSWER_BYTES and verdict.physical_id is not None


def _call(call: Call) -> str:
    return call.name if call.answered == HTTPStatus.OK else f"{call.name}({call.answered or '-'})"


def _error(end: End) -> str:
    return f"[{end.error['type']}: {end.error['message']}]" if end.error else ""
