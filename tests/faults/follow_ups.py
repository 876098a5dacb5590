"""Follow-ups: what CloudFormation and Lambda do after a fault.

Each is a function in FOLLOW_UPS that invokes the provider with the fault, then sends or runs what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from tests.faults.declarations import Properties
from tests.faults.invocation import InjectedFault, Invocation
from tests.faults.simulation import NO_RESPONSE, SentRequest, StackSimulation

type RequestKind = Literal["create", "update", "replace", "delete", "cleanup", "rollback"]
REQUEST_KINDS: tuple[RequestKind, ...] = ("create", "update", "replace", "delete", "cleanup", "rollback")


@attrs.frozen
class FaultedRequest:
    """The request that the fault hits."""

    kind: RequestKind
    sent: SentRequest
    before: Properties
    """The properties before the request; in a Create, the properties that it declares."""
    declared: Properties
    """The properties that the request declares."""
    fault: InjectedFault | None
    second_fault: InjectedFault | None = None
    """Hits the next invocation; with `canceled-while-running`, the same one after it resumes."""


def issue(
    simulation: StackSimulation, kind: RequestKind, before: Properties, declared: Properties, **faults: Any
) -> FaultedRequest:
    if kind == "create":
        sent = simulation.send("Create", declared, may_purchase=True)
    elif kind in {"delete", "cleanup"}:
        sent = simulation.send("Delete", declared, physical_id=simulation.physical_id)
    else:
        sent = simulation.update(before, declared, may_purchase=kind == "replace")
    return FaultedRequest(kind, sent, before, declared, **faults)


def _process_response(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    sent = faulted.sent
    if faulted.kind == "create":
        simulation.after_create(sent, faulted.declared)
    elif faulted.kind in {"update", "replace"}:
        simulation.after_update(sent, faulted.before, faulted.declared)
    elif faulted.kind == "rollback":
        simulation.after_rollback(sent, faulted.declared, faulted.before)
    else:
        verdict, physical_id = simulation.verdict(sent), sent.event["PhysicalResourceId"]
        if verdict.succeeded:
            simulation.after_delete(physical_id)
        else:
            simulation.findings.failed += 1
            simulation.delete(physical_id, faulted.declared)


def _process_response_if_any(simulation: StackSimulation, faulted: FaultedRequest) -> bool:
    """CloudFormation processes the response if it was stored before the fault."""
    if simulation.verdict(faulted.sent).reason == NO_RESPONSE:
        return False
    _process_response(simulation, faulted)
    return True


def _abandon(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """CloudFormation ignores the request's response from now on and sends the next request."""
    if faulted.kind == "create":
        simulation.delete(simulation.generated_id(), faulted.declared, faulted.second_fault)
    elif faulted.kind in {"update", "replace"}:
        simulation.roll_back(faulted.before, faulted.declared, faulted.second_fault)
    elif faulted.kind == "rollback":  # ContinueUpdateRollback sends it again.
        simulation.roll_back(faulted.declared, faulted.before, faulted.second_fault)
    else:
        simulation.delete(faulted.sent.event["PhysicalResourceId"], faulted.declared, faulted.second_fault)


def _pause(simulation: StackSimulation, faulted: FaultedRequest) -> Invocation | None:
    """Run the provider until the fault pauses it; None if it ended before."""
    invocation = simulation.start(faulted.sent, faulted.fault, second_fault=faulted.second_fault)
    result = simulation.record(faulted.sent, invocation.wait(), faulted.fault)
    return invocation if result.status == "paused" else None


def _resume(simulation: StackSimulation, faulted: FaultedRequest, paused: Invocation | None) -> None:
    """Let the paused invocation end, then run Lambda's retries."""
    if paused is not None:
        simulation.resumed = simulation.record(faulted.sent, paused.resume())
    simulation.run_retries(faulted.sent)


def retries(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """Lambda retries after one and two minutes; then the continuation function runs."""
    simulation.invoke(faulted.sent, faulted.fault)
    simulation.run_retries(faulted.sent, faulted.second_fault)
    _process_response(simulation, faulted)


def retries_exhausted(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """Only the continuation function runs."""
    simulation.invoke(faulted.sent, faulted.fault)
    simulation.clock.advance(180)
    simulation.run_continuation(faulted.sent)
    _process_response(simulation, faulted)


def timed_out(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """Nothing runs the request again; its ServiceTimeout ends after an hour."""
    simulation.invoke(faulted.sent, faulted.fault)
    simulation.clock.advance(3600)
    if not _process_response_if_any(simulation, faulted):
        _abandon(simulation, faulted)


def canceled(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """CloudFormation cancels the request after seconds and sends the next one; then Lambda retries the first."""
    simulation.invoke(faulted.sent, faulted.fault)
    simulation.clock.advance(4)
    _abandon(simulation, faulted)
    simulation.check_losses()
    simulation.run_retries(faulted.sent)


def ignored_response(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """The retries send a response, which CloudFormation ignores because it has canceled the request."""
    simulation.invoke(faulted.sent, faulted.fault)
    simulation.run_retries(faulted.sent)
    _abandon(simulation, faulted)


def canceled_while_running(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """CloudFormation cancels the request and sends the next one while the invocation is paused."""
    paused = _pause(simulation, faulted)
    _abandon(simulation, attrs.evolve(faulted, second_fault=None))
    _resume(simulation, faulted, paused)


def redelivered_while_running(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """Lambda delivers the event again while the first invocation is paused."""
    paused = _pause(simulation, faulted)
    simulation.invoke(faulted.sent)
    _resume(simulation, faulted, paused)
    _process_response(simulation, faulted)


def concurrent(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """Lambda runs the event twice at the same time, without a fault."""
    for invocation in [simulation.start(faulted.sent, concurrent=True) for _ in range(2)]:
        simulation.record(faulted.sent, invocation.wait())
    simulation.run_retries(faulted.sent)
    _process_response(simulation, faulted)


def deleted_after_response(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """CloudFormation received the response and deletes the number by its ID; then Lambda retries the Create."""
    simulation.invoke(faulted.sent, faulted.fault)
    _delete_created(simulation, faulted)
    simulation.check_losses()
    simulation.run_retries(faulted.sent)


def deleted_while_running(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """As deleted-after-response, while the invocation that sent the response is paused."""
    paused = _pause(simulation, faulted)
    _delete_created(simulation, faulted)
    _resume(simulation, faulted, paused)


def _delete_created(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    if not _process_response_if_any(simulation, faulted):
        raise AssertionError(f"{faulted.fault} is before the response")
    if simulation.physical_id is not None:
        simulation.delete(simulation.physical_id, faulted.declared, faulted.second_fault)


def rolled_back(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """The retries succeed; then CloudFormation rolls back because another resource failed."""
    simulation.invoke(faulted.sent, faulted.fault)
    simulation.run_retries(faulted.sent, faulted.second_fault)
    verdict = simulation.verdict(faulted.sent)
    if verdict.succeeded:
        simulation.physical_id, simulation.declared = verdict.physical_id, faulted.declared
        simulation.roll_back(faulted.before, faulted.declared)
    else:
        _process_response(simulation, faulted)


def stack_deleted(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """No response for an hour; then the stack is deleted without a rollback. Lambda retries the Update after that.

    DeleteStack is refused in UPDATE_IN_PROGRESS ("Stack ... cannot be deleted while in status UPDATE_IN_PROGRESS",
    aws-toolkit-azure-devops issue 317). Where rollback is disabled, another resource's failure does not end this one's
    Update ("A failure in one path doesn't affect other provisioning paths", CloudFormation User Guide, "Choose how to
    handle failures when provisioning resources"): only its response or its ServiceTimeout ends it.
    """
    _delete_without_rollback(simulation, faulted, 3600)


def rollback_failed(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """The rollback of another resource fails first, and the stack is deleted. Lambda retries the Update after that.

    A stack in UPDATE_ROLLBACK_FAILED can be deleted (CloudFormation User Guide, "Stack status codes"), within seconds
    and with the physical ID from before the Update.
    """
    _delete_without_rollback(simulation, faulted, 10)


def _delete_without_rollback(simulation: StackSimulation, faulted: FaultedRequest, delay: float) -> None:
    simulation.invoke(faulted.sent, faulted.fault)
    simulation.clock.advance(delay)
    if _process_response_if_any(simulation, faulted):
        return
    assert simulation.physical_id is not None
    simulation.delete(simulation.physical_id, faulted.before, faulted.second_fault)
    simulation.check_losses()
    simulation.run_retries(faulted.sent)


_SHARED = (retries, retries_exhausted, timed_out, canceled, ignored_response)
_WHILE_RUNNING = (canceled_while_running, redelivered_while_running, deleted_while_running)
_OTHERS = (concurrent, deleted_after_response, rolled_back, stack_deleted, rollback_failed)
FOLLOW_UPS: Mapping[str, Callable[[StackSimulation, FaultedRequest], None]] = {
    function.__name__.replace("_", "-"): function for function in (*_SHARED, *_WHILE_RUNNING, *_OTHERS)
}
_ANY = ("retries", "retries-exhausted", "timed-out", "canceled", "ignored-response")
_UPDATE = (*_ANY, "rolled-back", "stack-deleted", "rollback-failed")
RUNNING = ("canceled-while-running", "redelivered-while-running")

AFTER_KILL: Mapping[RequestKind, tuple[str, ...]] = dict.fromkeys(REQUEST_KINDS, _ANY) | {
    "create": (*_ANY, "deleted-after-response"),
    "update": _UPDATE,
    "replace": _UPDATE,
}
DURING_PAUSE: Mapping[RequestKind, tuple[str, ...]] = dict.fromkeys(REQUEST_KINDS, RUNNING) | {
    "create": (*RUNNING, "deleted-while-running")
}
NEEDS_RESPONSE = frozenset({"deleted-after-response", "deleted-while-running"})
"""Possible only if the fault is after the response."""
NEEDS_NO_RESPONSE = frozenset({"stack-deleted", "rollback-failed"})
"""Possible only if the fault is before the response, which CloudFormation would process."""
RETRIED_FIRST = frozenset({"ignored-response", "rolled-back"})
"""The retries send a response before anything else happens."""
