"""The decisions: what a Create, an Update or a Delete comes to, for any type. No SDK, no crhelper.

A function here gives the thing that stands at the end, or raises HandlerError (answered FAILED) or UnknownOutcomeError (not answered;
the event runs again).
"""

from __future__ import annotations

import re
from typing import Any

import attrs

from telephony import clock, reasons, resources
from telephony.cloudformation.request import NOT_CREATED
from telephony.errors import ClaimExpiredError, HandlerError, UnknownOutcomeError
from telephony.lifecycle import ledger
from telephony.lifecycle.invocation import Backoff, Invocation
from telephony.lifecycle.ledger import History, PurchaseRecord, PurchaseState
from telephony.lifecycle.purchase import ANYTHING, buy, present, reconcile, release_unused
from telephony.model.properties import Properties, ended
from telephony.model.resource import Difference, Observed, Resource, Stability, differences
from telephony.observability import count, logger

_ROLLBACK = 86_400
"""Seconds after an Update within which another one can be its rollback."""
_CANCELLED = 900
"""Seconds after the answer of a Create within which a Delete that knows no id can follow its cancellation."""
_PROTECTION = "DeletionProtectionEnabled"
_ROUNDS = 4
"""How often something that changes while it is being changed is looked at again."""


def create(invocation: Invocation) -> Observed:
    """Buy what is declared, set it up, wait for it if asked to."""
    resource = resources.by_type(invocation.request.resource_type)
    desired = resource.properties.parse(invocation.request.properties)
    _refuse_late(invocation)
    record, observed = buy(invocation, resource, desired)
    return _complete(invocation, resource, desired, record, observed)


def update(invocation: Invocation) -> Observed:
    """Change in place what differs from the declaration, or replace, where that is allowed."""
    request = invocation.request
    physical_id = request.physical_resource_id or ""
    resource = resources.by_type(request.resource_type)
    desired = resource.properties.parse(request.properties)
    _refuse_late(invocation)
    if not ledger.record_update(_key(invocation), invocation.issued_at):
        raise _superseded(invocation, resource)
    history = ledger.history(_key(invocation))
    observed = _owned(invocation, resource, history, physical_id)
    if observed is None:
        raise reasons.DOES_NOT_EXIST.failure(noun=resource.display_name, id=physical_id)
    if not observed.pool_ids:
        desired = ended(desired, request.old_properties)
    known = history.of_number(physical_id)
    if known is not None:
        ledger.mark_referenced(known)
        _end_unconfirmed(invocation, history, known)
    changes = differences(observed, desired, replacement=True)
    if not changes:
        return _in_place(invocation, resource, desired, observed, known)
    earlier = _replaced(invocation, resource, history, desired, known)
    if earlier is None:
        _refuse_replacement(invocation, resource, desired, observed, changes)
        earlier = buy(invocation, resource, desired)
    record, replacement = earlier
    try:
        completed = _complete(invocation, resource, desired, record, replacement)
    except HandlerError as failure:
        # The present number stays CloudFormation's. A new one, which it never learnt of, goes; a claim goes by itself.
        if (
            failure.physical_id is not None
            and not isinstance(failure, ClaimExpiredError)
            and ledger.mark_abandoned(record)
        ):
            release_unused(invocation, resource, record, replacement.physical_id)
        raise
    if known is not None and record.request_id != request.request_id:
        # Back to the first number. Nothing may stop the Delete of the other: a cleanup that fails is dropped silently.
        ledger.revoke_ready(known)
    return completed


def _in_place(
    invocation: Invocation,
    resource: Resource[Any],
    desired: Properties,
    observed: Observed,
    known: PurchaseRecord | None,
) -> Observed:
    if not resource.is_converged(observed, desired):
        # Reading has waited for its turn in the account's rate: a newer Update may have come meanwhile.
        differing = differences(observed, desired, replacement=False)
        protects = any(each.property_name == _PROTECTION and each.desired for each in differing)
        if not ledger.record_update(_key(invocation), invocation.issued_at, protects=protects):
            raise _superseded(invocation, resource)
        observed = _converged(invocation, resource, desired, observed)
    if known is not None and known.state is PurchaseState.BOUGHT:
        # Its promise was taken back by a rollback that then did not come to its end.
        ledger.mark_ready(known, observed.physical_id)
    return observed


def _superseded(invocation: Invocation, resource: Resource[Any]) -> HandlerError:
    """What an Update comes to that is not the newest.

    An earlier run of it may have been cut off before it could give back what it had bought: that goes.
    """
    mine = ledger.history(_key(invocation)).of_request(invocation.request.request_id)
    if mine is not None and mine.open and not mine.referenced and mine.response_accepted_at is None:
        reconcile(invocation, mine)
    return reasons.SUPERSEDED.failure(noun=resource.display_name)


def _key(invocation: Invocation) -> str:
    return ledger.resource_key(invocation.request.stack_id, invocation.request.logical_resource_id)


def delete(invocation: Invocation) -> None:
    """Release what the declaration brought, and nothing else. Success means that nothing of it is left."""
    request = invocation.request
    physical_id = request.physical_resource_id or ""
    try:
        resource = resources.by_type(request.resource_type)
    except HandlerError:
        return  # Its Create was refused for the same reason, and made nothing.
    history = ledger.history(_key(invocation))
    known = history.of_number(physical_id)
    if known is None and not re.fullmatch(resource.id_pattern, physical_id):
        _delete_unnamed(invocation)
        return
    if known is None:
        if _owned(invocation, resource, history, physical_id) is not None:
            invocation.retry(lambda: resource.release(physical_id, resource.policy(request.properties.get("OnDelete"))))
        return
    if known.state in {PurchaseState.BOUGHT, PurchaseState.READY}:
        _delete_named(invocation, resource, history, known)
    for record in _later(history, known, invocation):
        if record.unwanted:
            reconcile(invocation, record)


def _delete_named(invocation: Invocation, resource: Resource[Any], history: History, known: PurchaseRecord) -> None:
    physical_id = known.physical_id or ""
    declared = invocation.request.properties
    policy = resource.policy(declared.get("OnDelete"))
    undone = history.protected_at is not None and invocation.issued_at - history.protected_at <= _ROLLBACK
    if undone and declared.get(_PROTECTION) not in (True, "true"):
        # An Update was to switch it on, of which nothing is declared any more: it may have done so after its rollback.
        policy = attrs.evolve(policy, lift_deletion_protection=True)
    if known.state is PurchaseState.BOUGHT:
        # A Create that never succeeded: its rollback must not fail for a protection that it set itself.
        policy = ANYTHING
        ledger.cancel(known)
    invocation.retry(lambda: resource.release(physical_id, policy))
    ledger.close(known, PurchaseState.RELEASED, physical_id)


def _delete_unnamed(invocation: Invocation) -> None:
    """A Delete with an id of a Create that failed, or with one that CloudFormation made up for want of an answer.

    The Create may be lost, running or still to come. The note, written first, keeps a late one from buying.
    """
    request = invocation.request
    physical_id = request.physical_resource_id or ""
    ledger.record_delete(_key(invocation), invocation.issued_at)
    history = ledger.history(_key(invocation))
    before = [record for record in history.purchases if record.open and record.issued_at <= invocation.issued_at]
    if physical_id.startswith(NOT_CREATED):
        created = physical_id.removeprefix(NOT_CREATED)
        ended = [record for record in before if record.request_id == created]
    else:
        ended = _unknown_to_cloudformation(invocation, before)
    for record in ended:
        reconcile(invocation, record)


def _unknown_to_cloudformation(invocation: Invocation, purchases: list[PurchaseRecord]) -> list[PurchaseRecord]:
    """The purchases that a Delete with a made-up id can mean.

    It follows a Create whose answer CloudFormation did not get. If the newest one's was taken, it follows one that was
    canceled before: that one, unless it is so old that it is rather a number which a DeletionPolicy kept when its
    logical id was used before. That one is not ours to lose.
    """
    created = [record for record in purchases if record.request_type == "Create" and not record.referenced]
    unanswered = [record for record in created if record.response_accepted_at is None]
    newest = created[-1] if created else None
    if newest is None or newest.response_accepted_at is None:
        return unanswered
    if invocation.issued_at - newest.response_accepted_at <= _CANCELLED:
        return [*unanswered, newest]
    count("NumbersNotReleased", ResourceType=newest.resource_type)
    logger.warning("Left a number that an earlier Create made", extra={"created_by": newest.request_id})
    return unanswered


def _complete(
    invocation: Invocation, resource: Resource[Any], desired: Properties, record: PurchaseRecord, observed: Observed
) -> Observed:
    """Bring what was bought to what is declared, and promise it to CloudFormation."""
    physical_id = observed.physical_id
    if record.state is PurchaseState.READY and observed.newly_purchased:
        return observed  # Promised with the purchase.
    try:
        if desired.wait_for_active or resource.polls_until_stable:
            observed = _settled(invocation, resource, desired, observed)
            if observed.stability is Stability.FAILED:
                raise reasons.CLAIM_FAILED.as_kind(ClaimExpiredError, **_about(resource, observed))
        observed = _converged(invocation, resource, desired, observed)
    except ClaimExpiredError as failure:
        ledger.close(record, PurchaseState.EXPIRED, physical_id)
        failure.physical_id = physical_id
        raise
    except HandlerError as failure:
        failure.physical_id = physical_id
        _disable_protection(invocation, resource, physical_id)
        raise
    except UnknownOutcomeError as undecided:
        undecided.physical_id = physical_id
        raise
    if ledger.mark_ready(record, physical_id) is None:
        release_unused(invocation, resource, record, physical_id)
        raise reasons.DELETED_WHILE_SETTING_UP.failure(noun=resource.display_name)
    return observed


def _settled(invocation: Invocation, resource: Resource[Any], desired: Properties, observed: Observed) -> Observed:
    """Look until it is not PENDING any more. Out of time is a failure once CloudFormation needs its answer."""
    backoff = Backoff()
    limit = invocation.issued_at + (desired.wait_timeout_seconds or float("inf"))
    while observed.stability is Stability.PENDING:
        if not invocation.wait(backoff, until=min(limit, invocation.deadline)):
            about = {"noun": resource.display_name, "id": observed.physical_id}
            about["status"] = observed.attributes.get("Status") or Stability.PENDING
            if limit <= invocation.deadline:
                raise reasons.STILL_PENDING.failure(seconds=desired.wait_timeout_seconds, **about)
            raise invocation.timed_out(reasons.STILL_PENDING_AT_THE_END.failure(**about))
        observed = present(invocation, resource, observed.physical_id)
    return observed


def _converged(invocation: Invocation, resource: Resource[Any], desired: Properties, observed: Observed) -> Observed:
    """Change what differs, from what is known at first, and from a new look after anything went wrong."""
    latest: Observed | None = observed

    def once() -> Observed:
        nonlocal latest
        looked = latest if latest is not None else present(invocation, resource, observed.physical_id)
        latest = None
        return resource.converge(looked, desired)

    for _ in range(_ROUNDS):
        differed = differences(observed, desired, replacement=False)
        result = invocation.retry(once)
        if not resource.polls_until_stable or result.stability is Stability.ACTIVE:
            return result
        observed = latest = _settled(invocation, resource, desired, result)
        # FAILED stays where it was after a change of another kind: what counts is whether this one was made.
        if observed.stability is Stability.FAILED and differences(observed, desired, replacement=False) == differed:
            raise reasons.CHANGE_FAILED.failure(**_about(resource, observed))
    raise reasons.NOT_KEPT.failure(noun=resource.display_name, id=observed.physical_id)


def _about(resource: Resource[Any], observed: Observed) -> dict[str, str]:
    message = observed.message or "the service gives no reason"
    return {"noun": resource.display_name, "id": observed.physical_id, "message": message}


def _disable_protection(invocation: Invocation, resource: Resource[Any], physical_id: str) -> None:
    """Make a number that failed releasable; if that fails too, its Delete does it."""
    try:
        observed = _read(invocation, resource, physical_id)
        if observed is not None and observed.protected:
            invocation.retry(lambda: resource.disable_protection(observed))
    except (HandlerError, UnknownOutcomeError) as trouble:
        logger.warning("Could not lift deletion protection", extra={"error": trouble.error_code})


def _refuse_late(invocation: Invocation) -> None:
    if clock.now() >= invocation.issued_at + invocation.request.service_timeout:
        raise reasons.TOO_LATE.failure()


def _owned(invocation: Invocation, resource: Resource[Any], history: History, physical_id: str) -> Observed | None:
    """What stands behind the id; None if nothing does. Raise HandlerError if it is somebody else's."""
    if not re.fullmatch(resource.id_pattern, physical_id):
        return None
    observed = _read(invocation, resource, physical_id)
    if observed is None or history.of_number(physical_id) is not None:
        return observed
    tags = invocation.retry(lambda: resource.read_tags(observed))
    if not invocation.owner.owns(tags):
        raise reasons.NOT_OURS.failure(noun=resource.display_name, id=physical_id)
    return observed


def _later(history: History, known: PurchaseRecord, invocation: Invocation) -> list[PurchaseRecord]:
    """Purchases for the same resource, newer than the one CloudFormation names, which it never named."""
    return [
        record
        for record in history.purchases
        if record.opened_at > known.opened_at
        and record.issued_at <= invocation.issued_at
        and record.request_id != invocation.request.request_id
        and record.physical_id != known.physical_id
        and not record.referenced
    ]


def _end_unconfirmed(invocation: Invocation, history: History, known: PurchaseRecord) -> None:
    """An Update that names one number says that CloudFormation never learnt of a newer one: its answer was lost."""
    for record in _later(history, known, invocation):
        if record.open:
            try:
                reconcile(invocation, record)
            except HandlerError as failure:
                # It is canceled, so that its Delete and the sweep come back to it: no reason to fail a rollback.
                logger.warning("Could not give back a replacement", extra={"error": failure.error_code})
                count("NumbersNotReleased", ResourceType=record.resource_type)


def _replaced(
    invocation: Invocation, resource: Resource[Any], history: History, desired: Properties, known: PurchaseRecord | None
) -> tuple[PurchaseRecord, Observed] | None:
    """A number of this resource that fits and is there already, so that none is bought.

    Either this very request bought it in an earlier run, or this is the rollback of the Update that replaced it: then
    the first number is the answer again, and the named one is CloudFormation's to delete.
    """
    mine = history.of_request(invocation.request.request_id)
    if mine is not None and mine.live and not mine.canceled:
        return mine, present(invocation, resource, mine.physical_id or "")
    if known is None or known.replaces is None or invocation.issued_at - known.issued_at > _ROLLBACK:
        return None
    first = history.of_number(known.replaces)
    if first is None or first.state is not PurchaseState.READY:
        return None
    observed = _read(invocation, resource, known.replaces)
    if observed is None or differences(observed, desired, replacement=True):
        return None
    return first, observed


def _read(invocation: Invocation, resource: Resource[Any], physical_id: str) -> Observed | None:
    return invocation.retry(lambda: resource.read(physical_id))


def _refuse_replacement(
    invocation: Invocation,
    resource: Resource[Any],
    desired: Properties,
    observed: Observed,
    changes: list[Difference],
) -> None:
    """Raise HandlerError unless the present number may go, and can: a released number is gone for good."""
    about = {
        "changes": ", ".join(str(change) for change in changes),
        "id": observed.physical_id,
        "noun": resource.display_name,
    }
    if resource.identity_fields and not resource.identity_fields & {change.property_name for change in changes}:
        raise reasons.SAME_KEY.failure(**about)
    if desired.allow_replacement is not True and desired.allow_replacement != observed.physical_id:
        raise reasons.REPLACEMENT_REFUSED.failure(**about)
    pools = invocation.retry(lambda: resource.read_pool_ids(observed))
    if observed.protected or pools:
        hindrances = ["has deletion protection on"] if observed.protected else []
        hindrances += [f"is in {', '.join(pools)}"] if pools else []
        raise reasons.NOT_RELEASABLE.failure(hindrances=" and ".join(hindrances), **about)
