"""Follow-ups: what CloudFormation and Lambda do after a fault.

Each is a function in FOLLOW_UPS that invokes the provider with the fault, then sends or runs what follows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import attrs

from tests.faults.declarations import RECOVERY_WINDOW, Properties
from tests.faults.delivery import NO_RESPONSE, Running, SentRequest
from tests.faults.invocation import InjectedFault
from tests.faults.simulation import CLEANUP_ATTEMPTS, StackSimulation

type RequestKind = Literal["create", "update", "replace", "delete", "cleanup", "rollback", "due"]
"""due is no request, but the sweep that releases a number whose recovery window has ended."""
REQUEST_KINDS: tuple[RequestKind, ...] = ("create", "update", "replace", "delete", "cleanup", "rollback", "due")


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
    retain_replaced: bool = False
    """UpdateReplacePolicy is Retain."""


def issue(
    simulation: StackSimulation, kind: RequestKind, before: Properties, declared: Properties, **more: Any
) -> FaultedRequest:
    # A number that is pending release is taken.
    may_purchase = kind in {"create", "replace"} and not simulation.pending_id
    if kind == "create":
        sent = simulation.send("Create", declared, may_purchase=may_purchase)
    elif kind == "due":
        simulation.clock.advance(900)
        sent = simulation.sweep_request()
    elif kind == "delete":
        sent = simulation.send("Delete", declared, physical_id=simulation.physical_id)
    elif kind == "cleanup":
        simulation.begin_cleanup()
        sent = simulation.send("Delete", declared, physical_id=simulation.replaced_id)
    else:
        if kind == "rollback":
            simulation.begin_rollback()
        sent = simulation.update(before, declared, may_purchase=may_purchase)
    return FaultedRequest(kind, sent, before, declared, **more)


def _process_response(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """CloudFormation processes the response, or waits for it until the ServiceTimeout, and ends the operation."""
    sent = faulted.sent
    if faulted.kind == "due":
        return
    simulation.wait_for_timeout(sent)
    if faulted.kind == "create":
        simulation.after_create(sent, faulted.declared)
    elif faulted.kind in {"update", "replace"}:
        simulation.after_update(sent, faulted.before, faulted.declared, retain_replaced=faulted.retain_replaced)
    elif faulted.kind == "rollback":
        simulation.after_rollback(sent, faulted.declared, faulted.before)
    else:
        verdict, physical_id = simulation.verdict(sent), sent.event["PhysicalResourceId"]
        if verdict.succeeded:
            simulation.after_delete(physical_id)
        else:
            simulation.findings.failed += 1
            simulation.delete(physical_id, faulted.declared)
    simulation.rest()


def _process_response_if_any(simulation: StackSimulation, faulted: FaultedRequest) -> bool:
    """CloudFormation processes the response if it accepted one before the fault."""
    if simulation.verdict(faulted.sent).reason == NO_RESPONSE:
        return False
    _process_response(simulation, faulted)
    return True


def _abandon(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """CloudFormation ignores the request's response, sends the next request, and ends the operation."""
    if faulted.kind == "create":
        simulation.begin_rollback()
        simulation.delete(simulation.generated_id(), faulted.declared, faulted.second_fault)
    elif faulted.kind in {"update", "replace"}:
        simulation.roll_back(faulted.before, faulted.declared, faulted.second_fault)
    elif faulted.kind == "rollback":  # ContinueUpdateRollback sends it again.
        simulation.roll_back(faulted.declared, faulted.before, faulted.second_fault)
    else:
        simulation.delete(faulted.sent.event["PhysicalResourceId"], faulted.declared, faulted.second_fault)
    simulation.rest()


def _pause(simulation: StackSimulation, faulted: FaultedRequest) -> Running | None:
    """Run the request until the fault pauses an invocation; None if none was paused."""
    return simulation.run_to_fault(faulted.sent, faulted.fault, second_fault=faulted.second_fault)


def _resume(simulation: StackSimulation, faulted: FaultedRequest, paused: Running | None) -> None:
    """Let the paused invocation end, and then the request."""
    if paused is not None:
        # Nothing prevents the call that was about to be made: checks and calls are not one transaction.
        simulation.server.check_changes(enabled=False)
        simulation.end(paused, paused.invocation.resume())
        simulation.resumed = paused.result
        simulation.server.check_changes(enabled=True)
    simulation.finish(faulted.sent)


def retries(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """Lambda retries after one and two minutes, and the queue delivers the request's message, until it has ended."""
    simulation.run_to_fault(faulted.sent, faulted.fault)
    simulation.finish(faulted.sent, faulted.second_fault)
    _process_response(simulation, faulted)


def retries_exhausted(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """Lambda does not retry, and sends the request to the queue. Only the continuation function runs."""
    simulation.run_to_fault(faulted.sent, faulted.fault)
    simulation.clock.advance(60)
    simulation.exhaust(faulted.sent)
    simulation.finish(faulted.sent)
    _process_response(simulation, faulted)


def timed_out(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """Nothing runs the request again within its ServiceTimeout of an hour; then its message is delivered."""
    simulation.run_to_fault(faulted.sent, faulted.fault)
    simulation.clock.advance(3600)
    if not _process_response_if_any(simulation, faulted):
        _abandon(simulation, faulted)


def redriven(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """The message moves to the dead-letter queue. Hours after the ServiceTimeout, it is redriven."""
    simulation.run_to_fault(faulted.sent, faulted.fault)
    simulation.bury(faulted.sent)
    simulation.clock.advance(3600)
    if not _process_response_if_any(simulation, faulted):
        _abandon(simulation, faulted)
    simulation.clock.advance(3 * 3600)
    simulation.redrive()


def canceled(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """CloudFormation cancels the request within seconds and sends the next one; then the first is continued."""
    simulation.stop_waiting()
    simulation.run_to_fault(faulted.sent, faulted.fault)
    simulation.clock.advance(4)
    _abandon(simulation, faulted)
    simulation.audit.check_losses()
    simulation.finish(faulted.sent)


def ignored_response(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """The retries send a response, which CloudFormation ignores because it has canceled the request."""
    simulation.stop_waiting()
    simulation.run_to_fault(faulted.sent, faulted.fault)
    simulation.finish(faulted.sent)
    _abandon(simulation, faulted)


def canceled_while_running(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """CloudFormation cancels the request and sends the next one while the invocation is paused."""
    simulation.stop_waiting()
    paused = _pause(simulation, faulted)
    _abandon(simulation, attrs.evolve(faulted, second_fault=None))
    _resume(simulation, faulted, paused)


def redelivered_while_running(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """Lambda delivers the event, or the queue the message, again while an invocation with it is paused."""
    paused = _pause(simulation, faulted)
    simulation.invoke(faulted.sent, None, paused.message_id if paused is not None else None)
    _resume(simulation, faulted, paused)
    _process_response(simulation, faulted)


def concurrent(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """Lambda runs the event twice at the same time, without a fault, and then their messages, or one message twice."""
    _run_twice(simulation, faulted.sent, [None, None])
    if found := [message_id for url, message_id, _ in simulation.server.messages() if url == faulted.sent.url]:
        simulation.clock.advance(60)
        _run_twice(simulation, faulted.sent, (found * 2)[:2])
    simulation.finish(faulted.sent)
    _process_response(simulation, faulted)


def _run_twice(simulation: StackSimulation, sent: SentRequest, message_ids: Sequence[str | None]) -> None:
    started = time.monotonic()
    running = [simulation.start(sent, None, message_id, concurrent=True) for message_id in message_ids]
    for each in running:
        simulation.end(each, each.invocation.wait())
    simulation.clock.advance(time.monotonic() - started)


def deleted_after_response(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """CloudFormation received the response and deletes the number by its ID; then Lambda retries the Create."""
    simulation.run_to_fault(faulted.sent, faulted.fault)
    _delete_created(simulation, faulted)
    simulation.audit.check_losses()
    simulation.finish(faulted.sent)


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
        simulation.rest()


def rolled_back(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """The retries succeed; then CloudFormation rolls back because another resource failed."""
    simulation.run_to_fault(faulted.sent, faulted.fault)
    simulation.finish(faulted.sent, faulted.second_fault)
    verdict = simulation.verdict(faulted.sent)
    if verdict.succeeded:
        simulation.replace(verdict.physical_id, faulted.declared)
        simulation.roll_back(faulted.before, faulted.declared)
        simulation.rest()
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
    simulation.run_to_fault(faulted.sent, faulted.fault)
    simulation.clock.advance(delay)
    if _process_response_if_any(simulation, faulted):
        return
    assert simulation.physical_id is not None
    simulation.rest(failed=True)
    simulation.delete(simulation.physical_id, faulted.before, faulted.second_fault)
    simulation.rest()
    simulation.audit.check_losses()
    simulation.finish(faulted.sent)


def resent(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """CloudFormation sends the request again, with a newer URL; then Lambda retries the event with the older URL."""
    simulation.run_to_fault(faulted.sent, faulted.fault)
    if _process_response_if_any(simulation, faulted):
        return
    again = simulation.resend(faulted.sent)
    simulation.complete(again, faulted.second_fault)
    _process_response(simulation, attrs.evolve(faulted, sent=again))
    simulation.finish(faulted.sent)


def resent_while_running(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """As resent, while the invocation with the older URL is paused."""
    paused = _pause(simulation, faulted)
    if simulation.verdict(faulted.sent).reason != NO_RESPONSE:
        _resume(simulation, faulted, paused)
        _process_response(simulation, faulted)
        return
    again = simulation.resend(faulted.sent)
    simulation.run_to_fault(again, None)
    _resume(simulation, faulted, paused)
    simulation.finish(again)
    _process_response(simulation, attrs.evolve(faulted, sent=again))


def retried_after_failure(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """The request fails without a rollback, its cause ends, and the operation is retried with the same RequestId.

    Lambda retries the first event before. If it succeeds, nothing is retried.
    """
    simulation.run_to_fault(faulted.sent, faulted.fault)
    simulation.finish(faulted.sent, faulted.second_fault)
    failed = simulation.verdict(faulted.sent)
    if failed.succeeded:
        _process_response(simulation, faulted)
        return
    _retry_operation(simulation, faulted)


def retried_after_timeout(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """As retried-after-failure, after an hour without a response."""
    simulation.run_to_fault(faulted.sent, faulted.fault)
    simulation.clock.advance(3600)
    if not _process_response_if_any(simulation, faulted):
        _retry_operation(simulation, faulted)


def _retry_operation(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    cause_ends = simulation.end_quota()
    simulation.rest(failed=True)
    simulation.clock.advance(600)
    again = simulation.resend(faulted.sent)
    verdict = simulation.complete(again)
    # An attempt of unknown result can still turn out to have failed, and a retained sender ID blocks its name.
    unknown = faulted.fault is not None and faulted.fault.kind in {"reset", "drop"}
    other_cause = unknown or "AlreadyExists: " in verdict.reason
    if cause_ends and not verdict.succeeded and not other_cause:
        simulation.findings.stale += 1
        simulation.log.append(f"failed although its cause has ended: {verdict.reason}")
    _process_response(simulation, attrs.evolve(faulted, sent=again))
    simulation.finish(faulted.sent)


def retried_after_rollback(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """The Create succeeds and is rolled back because another resource failed; then the operation is retried."""
    simulation.run_to_fault(faulted.sent, faulted.fault)
    simulation.finish(faulted.sent, faulted.second_fault)
    verdict = simulation.verdict(faulted.sent)
    simulation.begin_rollback()
    simulation.delete(verdict.physical_id or simulation.generated_id(), faulted.declared)
    simulation.rest()
    simulation.clock.advance(600)
    again = simulation.resend(faulted.sent)
    simulation.complete(again)
    _process_response(simulation, attrs.evolve(faulted, sent=again))


def name_taken(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """Another stack requests the sender ID, or adopts the number, before Lambda retries the Delete."""
    simulation.run_to_fault(faulted.sent, faulted.fault)
    other = simulation.another_stack()
    retries(other, issue(other, "create", faulted.declared, faulted.declared, fault=None))
    simulation.finish(faulted.sent, faulted.second_fault)
    _process_response(simulation, faulted)


def deleted_later(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """CloudFormation cancels the request without a rollback; the retries end; half an hour later the stack is deleted.

    --disable-rollback leaves the stack so. The Delete of a Create names a generated ID, that of an Update the old one.
    """
    simulation.stop_waiting()
    simulation.run_to_fault(faulted.sent, faulted.fault)
    simulation.finish(faulted.sent)
    simulation.rest(failed=True)
    simulation.clock.advance(1800)
    if faulted.kind == "create":
        simulation.delete(simulation.generated_id(), faulted.declared, faulted.second_fault)
    elif simulation.physical_id is not None:
        simulation.delete(simulation.physical_id, faulted.before, faulted.second_fault)
    simulation.rest()


def retained_by_rollback(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """The Create is canceled, and its DeletionPolicy Retain lets the rollback send no Delete.

    With RetainExceptOnCreate the rollback sends one, as in `canceled`.
    """
    simulation.run_to_fault(faulted.sent, faulted.fault)
    verdict = simulation.verdict(faulted.sent)
    simulation.begin_rollback()
    simulation.stop_waiting()
    if verdict.succeeded and verdict.physical_id is not None:
        simulation.retain(verdict.physical_id)
    else:
        simulation.note("DELETE_SKIPPED", "")
    simulation.rest()
    simulation.finish(faulted.sent)


def retained_after_timeout(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """The Delete gets no response; then the stack is deleted with --retain-resources, and Lambda retries the Delete."""
    simulation.run_to_fault(faulted.sent, faulted.fault)
    simulation.clock.advance(3600)
    if _process_response_if_any(simulation, faulted):
        return
    physical_id = faulted.sent.event["PhysicalResourceId"]
    simulation.rest(failed=True)
    if physical_id not in {held.physical_id for held in simulation.audit.snapshot().held}:
        simulation.gone.add(physical_id)  # Released, although the response was lost.
    simulation.begin_deletion()
    simulation.retain(physical_id)
    simulation.rest()
    simulation.finish(faulted.sent)


def given_up(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """No Delete gets a response. After three attempts CloudFormation ends the update without the resource.

    CloudFormation User Guide, "Troubleshooting CloudFormation". Lambda retries the Deletes after that.
    """
    sent, physical_id = [faulted.sent], faulted.sent.event["PhysicalResourceId"]
    while True:
        simulation.run_to_fault(sent[-1], faulted.fault)
        simulation.clock.advance(3600)
        if _process_response_if_any(simulation, attrs.evolve(faulted, sent=sent[-1])):
            return
        if len(sent) == CLEANUP_ATTEMPTS:
            break
        sent.append(simulation.send("Delete", faulted.declared, physical_id=physical_id))
    simulation.dropped.add(physical_id)
    simulation.after_delete(physical_id)
    simulation.rest()
    for request in sent:
        simulation.finish(request)


def raced(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """Another stack creates the same resource while the Create is paused."""
    paused = _pause(simulation, faulted)
    other = simulation.another_stack()
    other_request = issue(other, "create", faulted.before, faulted.declared, fault=None)
    if simulation.pending_id:
        _allow_purchase(simulation, faulted.sent)
    retries(other, other_request)
    _resume(simulation, faulted, paused)
    _process_response(simulation, faulted)


def _allow_purchase(simulation: StackSimulation, sent: SentRequest) -> None:
    """Let a request purchase a number, because another one may take the number that is pending release."""
    sent.may_purchase = True
    simulation.audit.max_purchases = 2


def _require_success(simulation: StackSimulation, sent: SentRequest) -> None:
    """Nothing that happens to a number pending release is a reason to fail: a request can purchase another one."""
    verdict = simulation.verdict(sent)
    simulation.findings.refused += not verdict.succeeded
    simulation.log.append(f"the response: {verdict}")


def _create(stack: StackSimulation, declared: Properties) -> None:
    """Create the resource of another stack, which takes a number or purchases one."""
    faulted = issue(stack, "create", declared, declared, fault=None)
    _allow_purchase(stack, faulted.sent)
    retries(stack, faulted)
    _require_success(stack, faulted.sent)


def _end_taker(simulation: StackSimulation, faulted: FaultedRequest, paused: Running | None) -> None:
    _resume(simulation, faulted, paused)
    _process_response(simulation, faulted)
    if faulted.kind != "due":
        _require_success(simulation, faulted.sent)


def swept_while_running(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """The number becomes due, and the sweep runs while the request or another sweep is paused."""
    paused = _pause(simulation, faulted)
    _allow_purchase(simulation, faulted.sent)
    simulation.clock.advance(900)
    simulation.audit.run_sweep()
    _end_taker(simulation, faulted, paused)


def restored_while_running(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """An operator restores the number that is pending release while the request or the sweep is paused."""
    paused = _pause(simulation, faulted)
    _allow_purchase(simulation, faulted.sent)
    former = simulation.former
    assert former is not None
    if simulation.audit.run_sweep(restore=simulation.pending_id) == {"restored": True}:
        former.retain(simulation.pending_id)
    _end_taker(simulation, faulted, paused)


def protected_while_running(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """An operator enables the protection of the number while the sweep is paused; a week later it is disabled."""
    paused = _pause(simulation, faulted)
    held = simulation.pending_id in {each.physical_id for each in simulation.audit.snapshot().held}
    simulation.server.by_hand("protect", simulation.pending_id, enabled=True)
    _resume(simulation, faulted, paused)
    simulation.clock.advance(7 * RECOVERY_WINDOW)
    simulation.audit.run_sweep()
    simulation.findings.lost += held - (
        simulation.pending_id in {each.physical_id for each in simulation.audit.snapshot().held}
    )
    simulation.server.by_hand("protect", simulation.pending_id, enabled=False)


def adopted_while_running(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """Another stack adopts the number while the request or the sweep is paused. It is never released then."""
    paused = _pause(simulation, faulted)
    _allow_purchase(simulation, faulted.sent)
    other = simulation.another_stack()
    declared = faulted.declared | {"Adopt": simulation.pending_id, "ReusePendingRelease": False}
    sent = other.send("Create", declared)
    if other.complete(sent).succeeded:
        simulation.server.by_hand("adopt", simulation.pending_id)
    other.after_create(sent, declared)
    other.rest()
    _end_taker(simulation, faulted, paused)


def taken_while_running(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """A stack that takes the number is created while the sweep is paused."""
    paused = _pause(simulation, faulted)
    _create(simulation, faulted.declared)
    _end_taker(simulation, faulted, paused)


def taken_later(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """A stack that takes the number is created after the sweep was killed; then the next sweep runs."""
    simulation.run_to_fault(faulted.sent, faulted.fault)
    _create(simulation, faulted.declared)
    simulation.audit.run_sweep()


def recreated_while_running(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """CloudFormation cancels the request and deletes the stack while it is paused; another one has its name then."""
    simulation.stop_waiting()
    paused = _pause(simulation, faulted)
    _abandon(simulation, attrs.evolve(faulted, second_fault=None))
    again = simulation.namesake()
    again.pending_id = simulation.pending_id
    _create(again, faulted.declared)
    _resume(simulation, faulted, paused)
    simulation.audit.max_purchases = 1


def fails(simulation: StackSimulation, faulted: FaultedRequest) -> None:
    """The service refuses to tag the number, so that the request fails. The next stack takes the number."""
    for service in ("pinpoint-sms-voice-v2", "connect"):
        for operation in ("UntagResource", "UpdatePhoneNumber", "UpdatePhoneNumberMetadata"):
            simulation.server.inject_fault(service, operation, "refuse", 999)
    simulation.run_to_fault(faulted.sent, faulted.fault)
    simulation.finish(faulted.sent)
    simulation.server.clear_faults()
    _process_response(simulation, faulted)
    if simulation.physical_id is None and faulted.kind == "create":
        again = simulation.namesake()
        again.pending_id = simulation.pending_id
        _create(again, faulted.declared)
        simulation.audit.max_purchases = 1


_SHARED = (retries, retries_exhausted, timed_out, redriven, canceled, ignored_response)
_WHILE_RUNNING = (canceled_while_running, redelivered_while_running, resent_while_running, deleted_while_running, raced)
_OTHERS = (concurrent, deleted_after_response, rolled_back, stack_deleted, rollback_failed)
_RESENT = (resent, retried_after_failure, retried_after_timeout, retried_after_rollback)
_LEFT = (name_taken, deleted_later, retained_by_rollback, retained_after_timeout, given_up)
_PENDING = (taken_later, fails)
_PENDING_RUNNING = (
    *(swept_while_running, restored_while_running, protected_while_running, adopted_while_running),
    *(taken_while_running, recreated_while_running),
)
FOLLOW_UPS: Mapping[str, Callable[[StackSimulation, FaultedRequest], None]] = {
    function.__name__.replace("_", "-"): function
    for function in (*_SHARED, *_WHILE_RUNNING, *_OTHERS, *_RESENT, *_LEFT, *_PENDING, *_PENDING_RUNNING)
}
_ANY = ("retries", "retries-exhausted", "timed-out", "redriven", "canceled", "ignored-response")
_PURCHASE = (*_ANY, "resent", "retried-after-failure", "retried-after-timeout", "deleted-later")
_UPDATE = (*_PURCHASE, "rolled-back", "stack-deleted", "rollback-failed")
_DELETE = (*_ANY, "resent", "retained-after-timeout", "given-up", "name-taken")
_RUNNING = ("canceled-while-running", "redelivered-while-running", "resent-while-running")

AFTER_KILL: Mapping[RequestKind, tuple[str, ...]] = {
    "create": (*_PURCHASE, "deleted-after-response", "retained-by-rollback", "retried-after-rollback"),
    "update": _UPDATE,
    "replace": _UPDATE,
    "delete": _DELETE,
    "cleanup": _DELETE,
    "rollback": _ANY,
    "due": (),
}
DURING_PAUSE: Mapping[RequestKind, tuple[str, ...]] = dict.fromkeys(REQUEST_KINDS, _RUNNING) | {
    "create": (*_RUNNING, "deleted-while-running", "raced")
}
_PENDING_UPDATE = ("retries", "canceled", "rollback-failed")
PENDING_AFTER_KILL: Mapping[RequestKind, tuple[str, ...]] = {
    "create": ("retries", "timed-out", "canceled", "retained-by-rollback", "retried-after-rollback", "fails"),
    "update": _PENDING_UPDATE,
    "replace": (*_PENDING_UPDATE, "rolled-back"),
    "delete": ("retries", "timed-out", "redriven", "retained-after-timeout", "given-up"),
    "cleanup": ("retries", "timed-out"),
    "rollback": ("retries",),
    "due": ("retries", "taken-later"),
}
"""AFTER_KILL for the variants that take numbers pending release."""
_PAIRS = ("swept-while-running", "restored-while-running", "adopted-while-running")
PENDING_DURING_PAUSE: Mapping[RequestKind, tuple[str, ...]] = {
    "create": (
        *("canceled-while-running", "redelivered-while-running", "deleted-while-running", "raced"),
        *(*_PAIRS, "recreated-while-running"),
    ),
    "update": (),
    "replace": ("canceled-while-running", "swept-while-running"),
    "delete": ("canceled-while-running", "redelivered-while-running"),
    "cleanup": ("canceled-while-running",),
    "rollback": (),
    "due": (*_PAIRS, "protected-while-running", "taken-while-running"),
}
"""DURING_PAUSE for the same variants."""
NEEDS_RESPONSE = frozenset({"deleted-after-response", "deleted-while-running"})
"""Possible only if the fault is after the response."""
NEEDS_NO_RESPONSE = frozenset(
    {"stack-deleted", "rollback-failed", "resent", "resent-while-running", "retried-after-timeout"}
    | {"retained-after-timeout", "given-up"}
)
"""Possible only if the fault is before the response, which CloudFormation would process."""
NEEDS_NAME = frozenset({"name-taken"})
"""Possible only if the declaration contains the ID."""
NEEDS_MESSAGE = frozenset({"redriven"})
"""Differs from another follow-up only if a message is in the queue."""
RETRIED_FIRST = frozenset(
    {"ignored-response", "rolled-back", "retried-after-failure", "retried-after-rollback", "deleted-later"}
)
"""The retries send a response before anything else happens."""
