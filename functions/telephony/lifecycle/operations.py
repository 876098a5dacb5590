"""The decisions: what a Create, an Update or a Delete comes to, for any type. No SDK, no crhelper.

A function here gives the thing that stands at the end, or raises Failure (answered FAILED) or Undecided (not answered;
the event runs again).
"""

from __future__ import annotations

import re
from typing import Any

import attrs

from telephony import clock, reasons, resources
from telephony.cloudformation.request import NOT_CREATED
from telephony.errors import Failure, Lapsed, Undecided
from telephony.lifecycle import ledger
from telephony.lifecycle.invocation import Invocation, Pauses
from telephony.lifecycle.ledger import History, Intent, State
from telephony.lifecycle.purchase import ANYTHING, buy, give_back, present, reconcile
from telephony.model.properties import Properties, ended
from telephony.model.resource import Difference, Observed, Resource, Standing, differences
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
    intent, observed = buy(invocation, resource, desired)
    return _complete(invocation, resource, desired, intent, observed)


def update(invocation: Invocation) -> Observed:
    """Change in place what differs from the declaration, or replace, where that is allowed."""
    request = invocation.request
    physical_id = request.physical_resource_id or ""
    resource = resources.by_type(request.resource_type)
    desired = resource.properties.parse(request.properties)
    _refuse_late(invocation)
    if not ledger.note_update(_key(invocation), invocation.issued_at):
        raise _superseded(invocation, resource)
    history = ledger.history(_key(invocation))
    observed = _owned(invocation, resource, history, physical_id)
    if observed is None:
        raise reasons.DOES_NOT_EXIST.failure(noun=resource.noun, id=physical_id)
    if not observed.pool_ids:
        desired = ended(desired, request.old_properties)
    known = history.of_number(physical_id)
    if known is not None:
        ledger.name(known)
        _end_unconfirmed(invocation, history, known)
    changes = differences(observed, desired, replacement=True)
    if not changes:
        return _in_place(invocation, resource, desired, observed, known)
    earlier = _replaced(invocation, resource, history, desired, known)
    if earlier is None:
        _refuse_replacement(invocation, resource, desired, observed, changes)
        earlier = buy(invocation, resource, desired)
    intent, replacement = earlier
    try:
        completed = _complete(invocation, resource, desired, intent, replacement)
    except Failure as failure:
        # The present number stays CloudFormation's. A new one, which it never learnt of, goes; a claim goes by itself.
        if failure.physical_id is not None and not isinstance(failure, Lapsed) and ledger.abandon(intent):
            give_back(invocation, resource, intent, replacement.physical_id)
        raise
    if known is not None and intent.request_id != request.request_id:
        # Back to the first number. Nothing may stop the Delete of the other: a cleanup that fails is dropped silently.
        ledger.take_back(known)
    return completed


def _in_place(
    invocation: Invocation, resource: Resource[Any], desired: Properties, observed: Observed, known: Intent | None
) -> Observed:
    if not resource.complete(observed, desired):
        # Reading has waited for its turn in the account's rate: a newer Update may have come meanwhile.
        differing = differences(observed, desired, replacement=False)
        protects = any(each.property_name == _PROTECTION and each.desired for each in differing)
        if not ledger.note_update(_key(invocation), invocation.issued_at, protects=protects):
            raise _superseded(invocation, resource)
        observed = _converged(invocation, resource, desired, observed)
    if known is not None and known.state is State.BOUGHT:
        # Its promise was taken back by a rollback that then did not come to its end.
        ledger.ready(known, observed.physical_id)
    return observed


def _superseded(invocation: Invocation, resource: Resource[Any]) -> Failure:
    """What an Update comes to that is not the newest.

    An earlier run of it may have been cut off before it could give back what it had bought: that goes.
    """
    mine = ledger.history(_key(invocation)).of_request(invocation.request.request_id)
    if mine is not None and mine.open and not mine.named and mine.answered_at is None:
        reconcile(invocation, mine)
    return reasons.SUPERSEDED.failure(noun=resource.noun)


def _key(invocation: Invocation) -> str:
    return ledger.resource_key(invocation.request.stack_id, invocation.request.logical_resource_id)


def delete(invocation: Invocation) -> None:
    """Release what the declaration brought, and nothing else. Success means that nothing of it is left."""
    request = invocation.request
    physical_id = request.physical_resource_id or ""
    try:
        resource = resources.by_type(request.resource_type)
    except Failure:
        return  # Its Create was refused for the same reason, and made nothing.
    history = ledger.history(_key(invocation))
    known = history.of_number(physical_id)
    if known is None and not re.fullmatch(resource.id_pattern, physical_id):
        _delete_unnamed(invocation)
        return
    if known is None:
        if _owned(invocation, resource, history, physical_id) is not None:
            invocation.patiently(
                lambda: resource.release(physical_id, resource.policy(request.properties.get("OnDelete")))
            )
        return
    if known.state in {State.BOUGHT, State.READY}:
        _delete_named(invocation, resource, history, known)
    for intent in _later(history, known, invocation):
        if intent.unwanted:
            reconcile(invocation, intent)


def _delete_named(invocation: Invocation, resource: Resource[Any], history: History, known: Intent) -> None:
    physical_id = known.physical_id or ""
    declared = invocation.request.properties
    policy = resource.policy(declared.get("OnDelete"))
    undone = history.protected_at is not None and invocation.issued_at - history.protected_at <= _ROLLBACK
    if undone and declared.get(_PROTECTION) not in (True, "true"):
        # An Update was to switch it on, of which nothing is declared any more: it may have done so after its rollback.
        policy = attrs.evolve(policy, lift_deletion_protection=True)
    if known.state is State.BOUGHT:
        # A Create that never succeeded: its rollback must not fail for a protection that it set itself.
        policy = ANYTHING
        ledger.cancel(known)
    invocation.patiently(lambda: resource.release(physical_id, policy))
    ledger.close(known, State.RELEASED, physical_id)


def _delete_unnamed(invocation: Invocation) -> None:
    """A Delete with an id of a Create that failed, or with one that CloudFormation made up for want of an answer.

    The Create may be lost, running or still to come. The note, written first, keeps a late one from buying.
    """
    request = invocation.request
    physical_id = request.physical_resource_id or ""
    ledger.note_delete(_key(invocation), invocation.issued_at)
    history = ledger.history(_key(invocation))
    before = [intent for intent in history.intents if intent.open and intent.issued_at <= invocation.issued_at]
    if physical_id.startswith(NOT_CREATED):
        created = physical_id.removeprefix(NOT_CREATED)
        ended = [intent for intent in before if intent.request_id == created]
    else:
        ended = _unknown_to_cloudformation(invocation, before)
    for intent in ended:
        reconcile(invocation, intent)


def _unknown_to_cloudformation(invocation: Invocation, intents: list[Intent]) -> list[Intent]:
    """The purchases that a Delete with a made-up id can mean.

    It follows a Create whose answer CloudFormation did not get. If the newest one's was taken, it follows one that was
    cancelled before: that one, unless it is so old that it is rather a number which a DeletionPolicy kept when its
    logical id was used before. That one is not ours to lose.
    """
    created = [intent for intent in intents if intent.request_type == "Create" and not intent.named]
    unanswered = [intent for intent in created if intent.answered_at is None]
    newest = created[-1] if created else None
    if newest is None or newest.answered_at is None:
        return unanswered
    if invocation.issued_at - newest.answered_at <= _CANCELLED:
        return [*unanswered, newest]
    count("UnclaimedNumbers", ResourceType=newest.resource_type)
    logger.warning("Left a number that an earlier Create made", extra={"created_by": newest.request_id})
    return unanswered


def _complete(
    invocation: Invocation, resource: Resource[Any], desired: Properties, intent: Intent, observed: Observed
) -> Observed:
    """Bring what was bought to what is declared, and promise it to CloudFormation."""
    physical_id = observed.physical_id
    if intent.state is State.READY and observed.fresh:
        return observed  # Promised with the purchase.
    try:
        if desired.wait_for_active or resource.settles:
            observed = _settled(invocation, resource, desired, observed)
            if observed.standing is Standing.FAILED:
                raise reasons.CLAIM_FAILED.as_kind(Lapsed, **_about(resource, observed))
        observed = _converged(invocation, resource, desired, observed)
    except Lapsed as failure:
        ledger.close(intent, State.LAPSED, physical_id)
        failure.physical_id = physical_id
        raise
    except Failure as failure:
        failure.physical_id = physical_id
        _unprotect(invocation, resource, physical_id)
        raise
    except Undecided as undecided:
        undecided.physical_id = physical_id
        raise
    if ledger.ready(intent, physical_id) is None:
        give_back(invocation, resource, intent, physical_id)
        raise reasons.DELETED_WHILE_SETTING_UP.failure(noun=resource.noun)
    return observed


def _settled(invocation: Invocation, resource: Resource[Any], desired: Properties, observed: Observed) -> Observed:
    """Look until it is not PENDING any more. Out of time is a failure once CloudFormation needs its answer."""
    pauses = Pauses()
    limit = invocation.issued_at + (desired.wait_timeout_seconds or float("inf"))
    while observed.standing is Standing.PENDING:
        if not invocation.pause(pauses, until=min(limit, invocation.until)):
            about = {"noun": resource.noun, "id": observed.physical_id}
            about["status"] = observed.attributes.get("Status") or Standing.PENDING
            if limit <= invocation.until:
                raise reasons.STILL_PENDING.failure(seconds=desired.wait_timeout_seconds, **about)
            raise invocation.out_of_time(reasons.STILL_PENDING_AT_THE_END.failure(**about))
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
        result = invocation.patiently(once)
        if not resource.settles or result.standing is Standing.ACTIVE:
            return result
        observed = latest = _settled(invocation, resource, desired, result)
        # FAILED stays where it was after a change of another kind: what counts is whether this one was made.
        if observed.standing is Standing.FAILED and differences(observed, desired, replacement=False) == differed:
            raise reasons.CHANGE_FAILED.failure(**_about(resource, observed))
    raise reasons.NOT_KEPT.failure(noun=resource.noun, id=observed.physical_id)


def _about(resource: Resource[Any], observed: Observed) -> dict[str, str]:
    message = observed.message or "the service gives no reason"
    return {"noun": resource.noun, "id": observed.physical_id, "message": message}


def _unprotect(invocation: Invocation, resource: Resource[Any], physical_id: str) -> None:
    """Make a number that failed releasable; if that fails too, its Delete does it."""
    try:
        observed = _read(invocation, resource, physical_id)
        if observed is not None and observed.protected:
            invocation.patiently(lambda: resource.unprotect(observed))
    except (Failure, Undecided) as trouble:
        logger.warning("Could not lift deletion protection", extra={"error": trouble.word})


def _refuse_late(invocation: Invocation) -> None:
    if clock.now() >= invocation.issued_at + invocation.request.service_timeout:
        raise reasons.TOO_LATE.failure()


def _owned(invocation: Invocation, resource: Resource[Any], history: History, physical_id: str) -> Observed | None:
    """What stands behind the id; None if nothing does. Raise Failure if it is somebody else's."""
    if not re.fullmatch(resource.id_pattern, physical_id):
        return None
    observed = _read(invocation, resource, physical_id)
    if observed is None or history.of_number(physical_id) is not None:
        return observed
    tags = invocation.patiently(lambda: resource.tags(observed))
    if not invocation.owner.owns(tags):
        raise reasons.NOT_OURS.failure(noun=resource.noun, id=physical_id)
    return observed


def _later(history: History, known: Intent, invocation: Invocation) -> list[Intent]:
    """Purchases for the same resource, newer than the one CloudFormation names, which it never named."""
    return [
        intent
        for intent in history.intents
        if intent.opened_at > known.opened_at
        and intent.issued_at <= invocation.issued_at
        and intent.request_id != invocation.request.request_id
        and intent.physical_id != known.physical_id
        and not intent.named
    ]


def _end_unconfirmed(invocation: Invocation, history: History, known: Intent) -> None:
    """An Update that names one number says that CloudFormation never learnt of a newer one: its answer was lost."""
    for intent in _later(history, known, invocation):
        if intent.open:
            try:
                reconcile(invocation, intent)
            except Failure as failure:
                # It is cancelled, so that its Delete and the sweep come back to it: no reason to fail a rollback.
                logger.warning("Could not give back a replacement", extra={"error": failure.word})
                count("UnclaimedNumbers", ResourceType=intent.resource_type)


def _replaced(
    invocation: Invocation, resource: Resource[Any], history: History, desired: Properties, known: Intent | None
) -> tuple[Intent, Observed] | None:
    """A number of this resource that fits and is there already, so that none is bought.

    Either this very request bought it in an earlier run, or this is the rollback of the Update that replaced it: then
    the first number is the answer again, and the named one is CloudFormation's to delete.
    """
    mine = history.of_request(invocation.request.request_id)
    if mine is not None and mine.live and not mine.cancelled:
        return mine, present(invocation, resource, mine.physical_id or "")
    if known is None or known.replaces is None or invocation.issued_at - known.issued_at > _ROLLBACK:
        return None
    first = history.of_number(known.replaces)
    if first is None or first.state is not State.READY:
        return None
    observed = _read(invocation, resource, known.replaces)
    if observed is None or differences(observed, desired, replacement=True):
        return None
    return first, observed


def _read(invocation: Invocation, resource: Resource[Any], physical_id: str) -> Observed | None:
    return invocation.patiently(lambda: resource.read(physical_id))


def _refuse_replacement(
    invocation: Invocation,
    resource: Resource[Any],
    desired: Properties,
    observed: Observed,
    changes: list[Difference],
) -> None:
    """Raise Failure unless the present number may go, and can: a released number is gone for good."""
    about = {
        "changes": ", ".join(str(change) for change in changes),
        "id": observed.physical_id,
        "noun": resource.noun,
    }
    if resource.same_key and not resource.same_key & {change.property_name for change in changes}:
        raise reasons.SAME_KEY.failure(**about)
    if desired.allow_replacement is not True and desired.allow_replacement != observed.physical_id:
        raise reasons.REPLACEMENT_REFUSED.failure(**about)
    pools = invocation.patiently(lambda: resource.pools(observed))
    if observed.protected or pools:
        hindrances = ["has deletion protection on"] if observed.protected else []
        hindrances += [f"is in {', '.join(pools)}"] if pools else []
        raise reasons.NOT_RELEASABLE.failure(hindrances=" and ".join(hindrances), **about)
