"""Histories: sequences of requests and other events in the life of one resource, each with a fault or a delivery.

The text of a history is its name: `sms-sender-id@tags-late: create taken-by-stack update~slow^2/kill+3/canceled`.
After every step, CloudFormation knows every number, and nothing was released or changed that must not be.
"""

from __future__ import annotations

import re
from typing import Literal, Self, get_args

import attrs

from tests.faults.declarations import VARIANTS
from tests.faults.delivery import QUEUE_TROUBLES, SentRequest
from tests.faults.follow_ups import (
    AFTER_KILL,
    DURING_PAUSE,
    FOLLOW_UPS,
    NEEDS_RESPONSE,
    FaultedRequest,
    RequestKind,
    issue,
)
from tests.faults.invocation import InjectedFault
from tests.faults.scenario import ScenarioResult, ScenarioRunner
from tests.faults.simulation import StackSimulation

type _Request = Literal["create", "update", "protect", "replace", "replace-retain", "delete", "delete-stack"]
type _ByHand = Literal["release-by-hand", "taken-by-hand", "taken-by-stack", "protect-by-hand"]
type _Other = Literal["retain", "retain-stack", "redeliver", "redrive", "sweep"]
REQUESTS: tuple[str, ...] = get_args(_Request.__value__)
"""Steps that send a request: a Create if the resource does not exist, whatever is named.

protect declares deletion protection, which the next update withdraws. replace-retain: UpdateReplacePolicy is Retain.
delete removes the resource from the template; delete-stack deletes the stack, and the next step begins another one.
"""
OTHERS: tuple[str, ...] = (*get_args(_ByHand.__value__), *get_args(_Other.__value__))
"""An operator releases the number, or switches on its protection. taken: another stack, or an operator, requests the
released sender ID. retain, retain-stack: the resource leaves the template or the stack is deleted, with DeletionPolicy
Retain. redeliver: Lambda delivers an earlier event again, an hour late, or the queue its message. redrive: the messages
in the dead-letter queue are delivered again, an hour late. sweep: a day later, the sweep runs."""
TROUBLES = ("", "slow", "quota")
"""Of the services. slow: the purchase takes effect 90 seconds later. quota: no number can be purchased, and Connect's
moves fail."""
_SLOW_SECONDS = 90
_PURCHASES = (
    ("pinpoint-sms-voice-v2", "RequestPhoneNumber"),
    ("pinpoint-sms-voice-v2", "RequestSenderId"),
    ("connect", "ClaimPhoneNumber"),
    ("connect", "ImportPhoneNumber"),
)
_MAXIMUM_EVENT_AGE = 6 * 3600.0
"""Seconds for which Lambda keeps an event (Lambda Developer Guide, asynchronous invocation)."""


@attrs.frozen
class Step:
    """One of REQUESTS or OTHERS. As text: replace~slow~twice^2/kill+3.1/canceled."""

    action: str
    trouble: str = ""
    queue: str = ""
    """One of QUEUE_TROUBLES."""
    late: int | None = None
    """An earlier event, counted from the latest one, that Lambda delivers again while CloudFormation waits."""
    fault: InjectedFault | None = None
    follow_up: str = "retries"
    """The first possible one if this one is not possible for the request."""

    def __str__(self) -> str:
        text = "~".join(filter(None, [self.action, self.trouble, self.queue]))
        text += "" if self.late is None else f"^{self.late}"
        if self.fault or self.follow_up != "retries":
            text += f"/{self.fault or 'none'}/{self.follow_up}"
        return text

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"([a-z-]+)((?:~[a-z]+)*)(?:\^(\d+))?(?:/([^/]+)/([a-z-]+))?", text)
        troubles = set(match[2].split("~")[1:]) if match else set()
        if match is None or match[1] not in (*REQUESTS, *OTHERS) or troubles - {*TROUBLES, *QUEUE_TROUBLES}:
            raise ValueError(f"{text} is not a step of a history")
        trouble, queue = (next(iter(troubles & {*known}), "") for known in (TROUBLES, QUEUE_TROUBLES))
        fault = None if match[4] in {None, "none"} else InjectedFault.parse(match[4])
        return cls(match[1], trouble, queue, int(match[3]) if match[3] else None, fault, match[5] or "retries")


@attrs.frozen
class History:
    """The steps of one resource."""

    variant: str
    behavior: str
    steps: list[Step]

    def __str__(self) -> str:
        behavior = f"@{self.behavior}" if self.behavior != "default" else ""
        return f"{self.variant}{behavior}: {' '.join(map(str, self.steps))}"

    @classmethod
    def parse(cls, text: str) -> Self:
        head, _, steps = text.partition(":")
        variant, _, behavior = head.partition("@")
        return cls(variant, behavior or "default", [Step.parse(step) for step in steps.split()])

    @property
    def double_fault(self) -> bool:
        """Whether the services forget ClientTokens, and also show a purchase late or get two calls at once.

        docs/faults.md allows a second purchase then.
        """
        late = "late" in self.behavior or any(step.trouble == "slow" for step in self.steps)
        paused = any(step.fault is not None and step.fault.kind == "pause" for step in self.steps)
        return "tokens-forgotten" in self.behavior and (late or paused)


def run_history(runner: ScenarioRunner, history: History) -> ScenarioResult:
    """Run a history until something is wrong, then delete all stacks."""
    stack = runner.begin(VARIANTS[history.variant], behavior=history.behavior, other_resources=True)
    audit = stack.audit
    audit.double_fault, audit.random = history.double_fault, True
    try:
        for number, step in enumerate(history.steps):
            stack.clock.advance(300)
            if stack.status == "DELETE_COMPLETE":
                stack = stack.another_stack()
            audit.log.append(f"-- {step}")
            expected, failed = _must_succeed(stack, history.steps[: number + 1]), audit.findings.failed
            _run_step(stack, step, number)
            audit.findings.refused += expected and audit.findings.failed > failed
            stack.end_trouble()
            stack.end_quota()
            stack.server.clear_faults()
            audit.check()
            if audit.findings.wrong:
                break
        else:
            audit.log.append("-- the end")
            for each in audit.stacks:
                each.redrive()
                each.drain()
            audit.check()
            audit.delete_stacks({})
            audit.sweep()
            audit.check(last=True)
    finally:
        audit.terminate_invocations()
    return ScenarioResult(str(history), audit.findings, [], [], audit.log)


def _must_succeed(stack: StackSimulation, steps: list[Step]) -> bool:
    """Return whether the last step has no fault, and nothing before it is a reason to refuse its request."""
    *earlier, step = steps
    plain = step == Step(step.action) and step.action in {"create", "update", "delete"}
    protected = any("protect" in each.action for each in earlier)
    left = stack.retained | stack.dropped | stack.gone
    return plain and not protected and not left and stack.audit.stacks == [stack]


def _run_step(stack: StackSimulation, step: Step, number: int) -> None:
    if step.action == "sweep":
        stack.clock.advance(86_400)
        stack.audit.sweep()
    elif step.action == "redeliver":
        stack.clock.advance(3600)
        _redeliver(_kept(stack), step.late or 0)
    elif step.action == "redrive":
        stack.clock.advance(3600)
        for each in stack.audit.stacks:
            each.redrive()
    elif step.action in OTHERS:
        if stack.physical_id is not None:
            _act(stack, step.action, stack.physical_id)
    else:
        _request(stack, step, number)


def _kept(stack: StackSimulation) -> list[tuple[StackSimulation, SentRequest]]:
    """Return the events of all stacks that Lambda can still deliver, the latest last."""
    sent = [(each, request) for each in stack.audit.stacks for request in each.sent]
    kept = [(each, request) for each, request in sent if stack.clock.now() - request.issued_at < _MAXIMUM_EVENT_AGE]
    return sorted(kept, key=lambda pair: pair[1].issued_at)


def _redeliver(kept: list[tuple[StackSimulation, SentRequest]], index: int) -> None:
    """Deliver the message of an earlier event, or the event if it has none."""
    if kept:
        stack, request = kept[-1 - index % len(kept)]
        stack.redeliver(request)


def _act(stack: StackSimulation, action: str, physical_id: str) -> None:
    """An operator or another stack acts, and the provider gets no request for this resource."""
    if action == "protect-by-hand":
        if not physical_id.startswith("arn:"):  # Connect has no deletion protection.
            stack.server.by_hand("protect", physical_id, enabled=True)
    elif action in {"retain", "retain-stack"}:
        stack.other_resources = action == "retain"
        stack.remove_retained()
    else:
        declared = stack.declared
        stack.release_by_hand()
        if action == "taken-by-stack":
            other = stack.another_stack()
            FOLLOW_UPS["retries"](other, issue(other, "create", declared, declared, fault=None))
        elif action == "taken-by-hand" and "|" in physical_id:
            stack.server.by_hand("request", physical_id)


def _request(stack: StackSimulation, step: Step, number: int) -> None:
    if step.trouble == "quota":
        stack.limit_quotas()
    elif step.trouble == "slow":
        for service, operation in _PURCHASES:
            stack.server.inject_fault(service, operation, "slow", 1, seconds=_SLOW_SECONDS)
    earlier = _kept(stack)
    stack.begin_trouble(step.queue)
    faulted = _issue(stack, step, number)
    if step.late is not None:
        _redeliver(earlier, step.late)
    pauses = step.fault is not None and step.fault.kind == "pause"
    possible = [name for name in (DURING_PAUSE if pauses else AFTER_KILL)[faulted.kind] if name not in NEEDS_RESPONSE]
    FOLLOW_UPS[step.follow_up if step.follow_up in possible else possible[0]](stack, faulted)


def _issue(stack: StackSimulation, step: Step, number: int) -> FaultedRequest:
    """Issue the request of a step. A replacement alternates between two declarations."""
    variant, context, old = stack.variant, stack.context, stack.declared
    if stack.physical_id is not None and step.action in {"delete", "delete-stack"}:
        stack.other_resources = step.action == "delete"
        return issue(stack, "delete", old, old, fault=step.fault)
    kind: RequestKind = "create"
    replacement = variant.replace(context) if variant.replace else {}
    replaced = False
    if stack.physical_id is not None:
        kind = "replace" if step.action.startswith("replace") else "update"
        replaced = (old | replacement == old) != (kind == "replace")
    declared = variant.initial(context) | (replacement if replaced else {})
    if kind == "update":
        declared |= variant.update(context) if number % 2 else {}
    if step.action == "protect" and "Connect" not in variant.type_name:
        declared |= {"DeletionProtectionEnabled": True}
    declared |= {"AllowReplacement": True, "Tags": [{"Key": "step", "Value": str(number)}]}
    retains = step.action == "replace-retain"
    return issue(stack, kind, old or declared, declared, fault=step.fault, retain_replaced=retains)
