"""Random histories: sequences of requests to one stack, each with a fault or a redelivery.

After every step, the held numbers are those that CloudFormation knows.
"""

from __future__ import annotations

import attrs

from tests.faults.declarations import VARIANTS
from tests.faults.follow_ups import FOLLOW_UPS, RUNNING, FaultedRequest, RequestKind, issue
from tests.faults.invocation import InjectedFault
from tests.faults.scenario import ScenarioResult, ScenarioRunner
from tests.faults.simulation import StackSimulation

_DAYS = 3 * 86_400.0
_MAXIMUM_EVENT_AGE = 6 * 3600.0
"""Seconds for which Lambda keeps an event (Lambda Developer Guide, asynchronous invocation)."""
_AFTER_DELETE = ("retries", "retries-exhausted", "timed-out", "canceled")
_AFTER_CREATE = (*_AFTER_DELETE, "ignored-response")
_AFTER_UPDATE = (*_AFTER_CREATE, "rolled-back", "stack-deleted", "rollback-failed")
ACTIONS = ("update", "replace", "delete", "retain", "redeliver")


@attrs.frozen
class Step:
    """One of ACTIONS; a Create instead of a change or a Delete if the resource does not exist."""

    action: str
    fault: InjectedFault | None
    choice: int
    """Selects one of the possible follow-ups, or the event that is redelivered."""


@attrs.frozen
class History:
    """The steps of one stack."""

    variant: str
    behavior: str
    steps: list[Step]


def run_history(runner: ScenarioRunner, history: History) -> ScenarioResult:
    """Run a history until something is wrong, then delete the stack."""
    simulation = runner.begin(VARIANTS[history.variant], behavior=history.behavior)
    try:
        for number, step in enumerate(history.steps):
            simulation.clock.advance(900)
            _run_step(simulation, step, number)
            simulation.check()
            if simulation.findings.wrong:
                break
        if simulation.physical_id is not None:
            simulation.delete(simulation.physical_id, simulation.declared)
        simulation.check(last=True)
    finally:
        simulation.terminate_invocations()
    return ScenarioResult(str(history), simulation.findings, [], [], simulation.log)


def _run_step(simulation: StackSimulation, step: Step, number: int) -> None:
    if step.action == "redeliver":
        kept = [sent for sent in simulation.sent if simulation.clock.now() - sent.issued_at < _MAXIMUM_EVENT_AGE]
        if kept:
            simulation.invoke(kept[step.choice % len(kept)])
    elif simulation.physical_id is not None and step.action == "retain":
        # The resource leaves the template with its number retained, and is declared again later.
        simulation.retained.add(str(simulation.physical_id))
        simulation.physical_id, simulation.declared = None, {}
        simulation.clock.advance(_DAYS)
    else:
        faulted = _issue(simulation, step, number)
        pauses = step.fault is not None and step.fault.kind == "pause"
        after = {"create": _AFTER_CREATE, "delete": _AFTER_DELETE}.get(faulted.kind, _AFTER_UPDATE)
        follow_ups = RUNNING if pauses else after
        FOLLOW_UPS[follow_ups[step.choice % len(follow_ups)]](simulation, faulted)


def _issue(simulation: StackSimulation, step: Step, number: int) -> FaultedRequest:
    """Issue the request of a step. A replacement alternates between two declarations."""
    variant, context, old = simulation.variant, simulation.context, simulation.declared
    if simulation.physical_id is not None and step.action == "delete":
        return issue(simulation, "delete", old, old, fault=step.fault)
    kind: RequestKind = "create"
    replacement = variant.replace(context) if variant.replace else {}
    replaced = False
    if simulation.physical_id is not None:
        kind = "replace" if step.action == "replace" else "update"
        replaced = (old | replacement == old) != (kind == "replace")
    declared = variant.initial(context) | (replacement if replaced else {})
    declared |= {"AllowReplacement": True, "Tags": [{"Key": "step", "Value": str(number)}]}
    return issue(simulation, kind, old or declared, declared, fault=step.fault)
