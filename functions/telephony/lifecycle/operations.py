"""Create, Update and Delete, for any resource type.

Each function returns the resource's state after the operation. It raises HandlerError, which is answered FAILED, or
UnknownOutcomeError, which is not answered but retried.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from telephony import clock, reasons, resources
from telephony.cloudformation.request import NOT_CREATED
from telephony.errors import ClaimExpiredError, HandlerError, UnknownOutcomeError
from telephony.lifecycle import ledger
from telephony.lifecycle.invocation import Backoff, Invocation
from telephony.lifecycle.ledger import History, PurchaseRecord, PurchaseState
from telephony.lifecycle.purchase import cancel, purchase, read_existing, release_unused
from telephony.model.properties import Properties
from telephony.model.resource import ALLOW_ALL, Difference, Observed, Resource, Stability, differences
from telephony.model.validation import disable_removed_switches, parse
from telephony.observability import count, logger

_ROLLBACK_WINDOW = 86_400
"""Seconds after an Update within which another Update can be its rollback."""
_CANCELLATION_WINDOW = 900
"""Seconds after a Create was answered within which a Delete with a generated ID can follow its cancellation."""
_PROTECTION = "DeletionProtectionEnabled"
_MAX_ROUNDS = 4
"""Attempts to converge a resource that another application changes at the same time."""


def create(invocation: Invocation) -> Observed:
    """Purchase what is declared, configure it, and wait until it is ACTIVE if declared."""
    resource = resources.by_type(invocation.request.resource_type)
    desired = parse(resource.properties, invocation.request.properties)
    _refuse_late_request(invocation)
    record, observed = purchase(invocation, resource, desired)
    return _complete(invocation, resource, desired, record, observed)


def update(invocation: Invocation) -> Observed:
    """Change in place what differs from the declaration, or replace the resource if that is allowed."""
    request = invocation.request
    physical_id = request.physical_resource_id or ""
    resource = resources.by_type(request.resource_type)
    desired = parse(resource.properties, request.properties)
    _refuse_late_request(invocation)
    if not ledger.record_update(_key(invocation), invocation.issued_at):
        raise _superseded(invocation, resource)
    history = ledger.history(_key(invocation))
    observed = _read_owned(invocation, resource, history, physical_id)
    if observed is None:
        raise reasons.DOES_NOT_EXIST.failure(noun=resource.display_name, id=physical_id)
    if not observed.pool_ids:
        desired = disable_removed_switches(desired, request.old_properties)
    current = history.by_physical_id(physical_id)
    if current is not None:
        ledger.mark_referenced(current)
        _cancel_unreported_replacements(invocation, history, current)
    changes = differences(observed, desired, create_only=True)
    if not changes:
        return _update_in_place(invocation, resource, desired, observed, current)
    existing = _existing_replacement(invocation, resource, history, desired, current)
    if existing is None:
        _check_replacement(invocation, resource, desired, observed, changes)
        existing = purchase(invocation, resource, desired)
    record, replacement = existing
    try:
        completed = _complete(invocation, resource, desired, record, replacement)
    except HandlerError as failure:
        # CloudFormation keeps the current number, and never learned of the new one. A claim expires without a release.
        created = failure.physical_id is not None and not isinstance(failure, ClaimExpiredError)
        if created and ledger.abandon(record):
            release_unused(invocation, resource, record, replacement.physical_id)
        raise
    if current is not None and record.request_id != request.request_id:
        # The rollback returns the first number. Allow the second to be released even if it is protected: CloudFormation
        # ignores a cleanup Delete that fails.
        ledger.revoke_ready(current)
    return completed


def delete(invocation: Invocation) -> None:
    """Release the number that this resource owns. On return, the resource owns no number."""
    request = invocation.request
    physical_id = request.physical_resource_id or ""
    try:
        resource = resources.by_type(request.resource_type)
    except HandlerError:
        return  # The Create was refused for the same reason and purchased nothing.
    history = ledger.history(_key(invocation))
    record = history.by_physical_id(physical_id)
    if record is None and not re.fullmatch(resource.properties.id_pattern, physical_id):
        _delete_by_generated_id(invocation)
        return
    if record is None:
        if _read_owned(invocation, resource, history, physical_id) is not None:
            policy = resource.release_policy(request.properties.get("OnDelete"))
            invocation.retry(lambda: resource.release(physical_id, policy))
        return
    if record.owns_number:
        _delete_purchase(invocation, resource, history, record)
    for newer in _newer_purchases(history, record, invocation):
        if newer.unused:
            cancel(invocation, newer)


def _update_in_place(
    invocation: Invocation,
    resource: Resource[Any],
    desired: Properties,
    observed: Observed,
    current: PurchaseRecord | None,
) -> Observed:
    if not resource.is_converged(observed, desired):
        # A newer Update may have arrived while the read waited for its rate-limit reservation.
        differing = differences(observed, desired, create_only=False)
        protects = any(each.property_name == _PROTECTION and each.desired for each in differing)
        if not ledger.record_update(_key(invocation), invocation.issued_at, protects=protects):
            raise _superseded(invocation, resource)
        observed = _converge(invocation, resource, desired, observed)
    if current is not None and current.state is PurchaseState.BOUGHT:
        # A rollback revoked READY and then did not complete.
        ledger.mark_ready(current, observed.physical_id)
    return observed


def _superseded(invocation: Invocation, resource: Resource[Any]) -> HandlerError:
    """Return the failure of an Update that is not the latest.

    An earlier invocation of it may have ended before it could release what it purchased, so that is released first.
    """
    own = ledger.history(_key(invocation)).by_request(invocation.request.request_id)
    if own is not None and own.open and not own.referenced and own.response_accepted_at is None:
        cancel(invocation, own)
    return reasons.SUPERSEDED.failure(noun=resource.display_name)


def _key(invocation: Invocation) -> str:
    return ledger.resource_key(invocation.request.stack_id, invocation.request.logical_resource_id)


def _delete_purchase(invocation: Invocation, resource: Resource[Any], history: History, record: PurchaseRecord) -> None:
    physical_id = record.physical_id or ""
    declared = invocation.request.properties
    policy = resource.release_policy(declared.get("OnDelete"))
    protected_at = history.protected_at
    recent = protected_at is not None and invocation.issued_at - protected_at <= _ROLLBACK_WINDOW
    if recent and declared.get(_PROTECTION) not in (True, "true"):
        # An Update was to enable protection and was rolled back. It may have enabled it after its rollback.
        policy = copy.replace(policy, lift_deletion_protection=True)
    if record.state is PurchaseState.BOUGHT:
        # The purchase never succeeded, or its Update was rolled back. Its protection must not block its Delete.
        policy = ALLOW_ALL
        ledger.cancel(record)
    invocation.retry(lambda: resource.release(physical_id, policy))
    ledger.close(record, PurchaseState.RELEASED, physical_id)


def _delete_by_generated_id(invocation: Invocation) -> None:
    """Delete by the ID of a Create that failed, or by an ID that CloudFormation generated because it has no response.

    The Create may be lost, in progress or still to arrive. Recording the Delete first prevents a late Create.
    """
    request = invocation.request
    physical_id = request.physical_resource_id or ""
    ledger.record_delete(_key(invocation), invocation.issued_at)
    history = ledger.history(_key(invocation))
    earlier = [record for record in history.purchases if record.open and record.issued_at <= invocation.issued_at]
    if physical_id.startswith(NOT_CREATED):
        request_id = physical_id.removeprefix(NOT_CREATED)
        unreported = [record for record in earlier if record.request_id == request_id]
    else:
        unreported = _unreported_purchases(invocation, earlier)
    for record in unreported:
        cancel(invocation, record)


def _unreported_purchases(invocation: Invocation, records: list[PurchaseRecord]) -> list[PurchaseRecord]:
    """Return the purchases that a Delete with a generated ID can refer to.

    It follows a Create whose response CloudFormation did not receive. If the latest response was accepted, the Create
    had been canceled before. If that response is old, the number was more likely retained by a DeletionPolicy when the
    logical ID was used before, and must not be released.
    """
    created = [record for record in records if record.request_type == "Create" and not record.referenced]
    unanswered = [record for record in created if record.response_accepted_at is None]
    latest = created[-1] if created else None
    if latest is None or latest.response_accepted_at is None:
        return unanswered
    if invocation.issued_at - latest.response_accepted_at <= _CANCELLATION_WINDOW:
        return [*unanswered, latest]
    count("NumbersNotReleased", ResourceType=latest.resource_type)
    logger.warning("Did not release a number of an earlier Create", extra={"created_by": latest.request_id})
    return unanswered


def _complete(
    invocation: Invocation,
    resource: Resource[Any],
    desired: Properties,
    record: PurchaseRecord,
    observed: Observed,
) -> Observed:
    """Configure a purchased resource as declared, and mark it READY."""
    physical_id = observed.physical_id
    if record.state is PurchaseState.READY and observed.newly_purchased:
        return observed  # The purchase was the last step.
    try:
        if desired.wait_for_active or resource.polls_until_stable:
            observed = _wait_until_stable(invocation, resource, desired, observed)
            if observed.stability is Stability.FAILED:
                raise reasons.CLAIM_FAILED.as_kind(ClaimExpiredError, **_failed_values(resource, observed))
        observed = _converge(invocation, resource, desired, observed)
    except ClaimExpiredError as failure:
        ledger.close(record, PurchaseState.EXPIRED, physical_id)
        failure.physical_id = physical_id
        raise
    except HandlerError as failure:
        failure.physical_id = physical_id
        _disable_protection(invocation, resource, physical_id)
        raise
    except UnknownOutcomeError as error:
        error.physical_id = physical_id
        raise
    if ledger.mark_ready(record, physical_id) is None:
        release_unused(invocation, resource, record, physical_id)
        raise reasons.DELETED_DURING_SETUP.failure(noun=resource.display_name)
    return observed


def _wait_until_stable(
    invocation: Invocation, resource: Resource[Any], desired: Properties, observed: Observed
) -> Observed:
    """Poll until the resource is not PENDING. Running out of time is a failure when the response is due."""
    backoff = Backoff()
    limit = invocation.issued_at + (desired.wait_timeout_seconds or float("inf"))
    while observed.stability is Stability.PENDING:
        if not invocation.wait(backoff, until=min(limit, invocation.deadline)):
            values = {"noun": resource.display_name, "id": observed.physical_id}
            values["status"] = observed.attributes.get("Status") or Stability.PENDING
            if limit <= invocation.deadline:
                raise reasons.STILL_PENDING.failure(seconds=desired.wait_timeout_seconds, **values)
            raise invocation.timed_out(reasons.STILL_PENDING_AT_TIMEOUT.failure(**values))
        observed = read_existing(invocation, resource, observed.physical_id)
    return observed


def _converge(invocation: Invocation, resource: Resource[Any], desired: Properties, observed: Observed) -> Observed:
    """Change what differs from the observed state, or after an error from a new read."""
    latest: Observed | None = observed

    def once() -> Observed:
        nonlocal latest
        current = latest if latest is not None else read_existing(invocation, resource, observed.physical_id)
        latest = None
        return resource.converge(current, desired)

    for _ in range(_MAX_ROUNDS):
        before = _values(differences(observed, desired, create_only=False))
        result = invocation.retry(once)
        if not resource.polls_until_stable or result.stability is Stability.ACTIVE:
            return result
        observed = latest = _wait_until_stable(invocation, resource, desired, result)
        # The status can still show that an earlier change FAILED. Only an unchanged difference means that this one did.
        after = _values(differences(observed, desired, create_only=False))
        if observed.stability is Stability.FAILED and after == before:
            raise reasons.CHANGE_FAILED.failure(**_failed_values(resource, observed))
    raise reasons.CHANGED_BY_OTHERS.failure(noun=resource.display_name, id=observed.physical_id)


def _values(found: list[Difference]) -> list[tuple[str, Any, Any]]:
    return [(difference.property_name, difference.live, difference.desired) for difference in found]


def _failed_values(resource: Resource[Any], observed: Observed) -> dict[str, str]:
    message = observed.message or "the service gives no reason"
    return {"noun": resource.display_name, "id": observed.physical_id, "message": message}


def _disable_protection(invocation: Invocation, resource: Resource[Any], physical_id: str) -> None:
    """Make a failed purchase releasable. If this fails too, its Delete does it."""
    try:
        observed = _read(invocation, resource, physical_id)
        if observed is not None and observed.protected:
            invocation.retry(lambda: resource.disable_protection(observed))
    except (HandlerError, UnknownOutcomeError) as error:
        logger.warning("Could not disable deletion protection", extra={"error": error.error_code})


def _refuse_late_request(invocation: Invocation) -> None:
    if clock.now() >= invocation.issued_at + invocation.request.service_timeout:
        raise reasons.TOO_LATE.failure()


def _read_owned(invocation: Invocation, resource: Resource[Any], history: History, physical_id: str) -> Observed | None:
    """Read the resource with this ID. None if it does not exist. Raises HandlerError if it has another owner."""
    if not re.fullmatch(resource.properties.id_pattern, physical_id):
        return None
    observed = _read(invocation, resource, physical_id)
    if observed is None or history.by_physical_id(physical_id) is not None:
        return observed
    tags = invocation.retry(lambda: resource.read_tags(observed))
    if not invocation.owner.owns(tags):
        raise reasons.NOT_OWNED.failure(noun=resource.display_name, id=physical_id)
    return observed


def _newer_purchases(history: History, current: PurchaseRecord, invocation: Invocation) -> list[PurchaseRecord]:
    """Return later purchases for the same resource that CloudFormation never referred to."""
    return [
        record
        for record in history.purchases
        if record.opened_at > current.opened_at
        and record.issued_at <= invocation.issued_at
        and record.request_id != invocation.request.request_id
        and record.physical_id != current.physical_id
        and not record.referenced
    ]


def _cancel_unreported_replacements(invocation: Invocation, history: History, current: PurchaseRecord) -> None:
    """Cancel later purchases: an Update that refers to a number proves that CloudFormation has no later ID."""
    for record in _newer_purchases(history, current, invocation):
        if record.open:
            try:
                cancel(invocation, record)
            except HandlerError as failure:
                # The purchase is canceled: its Delete and the sweep release it later. A rollback must not fail for it.
                logger.warning("Could not release an unused replacement", extra={"error": failure.error_code})
                count("NumbersNotReleased", ResourceType=record.resource_type)


def _existing_replacement(
    invocation: Invocation,
    resource: Resource[Any],
    history: History,
    desired: Properties,
    current: PurchaseRecord | None,
) -> tuple[PurchaseRecord, Observed] | None:
    """Return a number of this resource that fits, so that none is purchased.

    Either an earlier invocation of this request purchased it, or this Update is the rollback of the Update that
    replaced it. The rollback returns the first number, and CloudFormation deletes the second.
    """
    own = history.by_request(invocation.request.request_id)
    if own is not None and own.owns_number and not own.canceled:
        return own, read_existing(invocation, resource, own.physical_id or "")
    if current is None or current.replaces is None or invocation.issued_at - current.issued_at > _ROLLBACK_WINDOW:
        return None
    first = history.by_physical_id(current.replaces)
    if first is None or first.state is not PurchaseState.READY:
        return None
    observed = _read(invocation, resource, current.replaces)
    if observed is None or differences(observed, desired, create_only=True):
        return None
    return first, observed


def _read(invocation: Invocation, resource: Resource[Any], physical_id: str) -> Observed | None:
    return invocation.retry(lambda: resource.read(physical_id))


def _check_replacement(
    invocation: Invocation,
    resource: Resource[Any],
    desired: Properties,
    observed: Observed,
    changes: list[Difference],
) -> None:
    """Raise HandlerError unless the declaration allows the release of the current number, and nothing blocks it."""
    values = {
        "changes": ", ".join(str(change) for change in changes),
        "id": observed.physical_id,
        "noun": resource.display_name,
    }
    changed = {change.property_name for change in changes}
    if resource.identity_fields and not changed.intersection(resource.identity_fields):
        raise reasons.SAME_IDENTITY.failure(**values)
    if desired.allow_replacement is not True and desired.allow_replacement != observed.physical_id:
        raise reasons.REPLACEMENT_REFUSED.failure(**values)
    pools = invocation.retry(lambda: resource.read_pool_ids(observed))
    if observed.protected or pools:
        blockers = ["has deletion protection enabled"] if observed.protected else []
        blockers += [f"is in {', '.join(pools)}"] if pools else []
        raise reasons.NOT_RELEASABLE.failure(blockers=" and ".join(blockers), **values)
