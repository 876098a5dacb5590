"""Lambda function, daily: reports numbers that no stack references, and rechecks purchases whose result is unknown.

It releases a number only if ALLOW_SWEEP_RELEASE is true, and only if its purchase was canceled, or if it is a
replacement that CloudFormation never learned of and whose stack was deleted. It never releases a number that a
DeletionPolicy may have retained.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from telephony import clock, resources
from telephony.aws import rate_limiter
from telephony.cloudformation import stacks
from telephony.data import data
from telephony.errors import TelephonyError, UnknownOutcomeError
from telephony.lifecycle import ledger
from telephony.lifecycle.invocation import Backoff
from telephony.lifecycle.ledger import PurchaseRecord, PurchaseState
from telephony.model.resource import ALLOW_ALL, Observed, Resource
from telephony.model.tags import Owner
from telephony.observability import count, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_MAX_ATTEMPTS = 6
_MAX_TAG_DELAY = 86_400
"""Seconds after which tags that are still not visible do not exist."""


class Finding(StrEnum):
    """What the sweep reports. docs/operations.md describes what to do."""

    STACK_DELETED = "The stack that purchased the number no longer exists"
    NOT_REFERENCED = "The stack that purchased the number does not reference it"
    UNKNOWN_PURCHASE_FOUND = "A purchase whose result was unknown holds a number"
    UNKNOWN_PURCHASE_RELEASED = "A purchase whose result was unknown held a number; it was released"
    UNKNOWN_PURCHASE_OPEN = "The result of a purchase is unknown; no number was found yet"


def handler(event: object, context: LambdaContext) -> dict[str, int]:  # noqa: ARG001 - the schedule's event is empty
    """Check everything once. Returns the number of findings of each kind."""
    rate_limiter.start_invocation(deadline=float("inf"))
    release = os.environ.get("ALLOW_SWEEP_RELEASE") == "true"
    unknown = list(_check_unknown_purchases(release=release))
    reported = {found.name for found in unknown}
    found = [*unknown, *(found for found in _check_numbers(release=release) if found.name not in reported)]
    totals = {finding.name: sum(each.finding is finding for each in found) for finding in Finding}
    for each in found:
        extra = {"finding": each.finding.name, "resource_type": each.resource_type, "found": each.name}
        logger.warning(each.finding.value, extra=extra)
    for name, total in totals.items():
        if total:
            count("SweepFindings", total, Finding=name)
    logger.info("Sweep completed", extra={"findings": totals})
    return totals


@data
class _Found:
    finding: Finding
    resource_type: str
    name: str
    """The physical ID, or the request ID if no number was found."""


def _retry[T](call: Callable[[], T]) -> T:
    """Make a call, and retry it while it is throttled or its result is unknown."""
    attempts = 0
    for delay in Backoff():
        try:
            return call()
        except UnknownOutcomeError:
            attempts += 1
            if attempts >= _MAX_ATTEMPTS:
                raise
        clock.sleep(delay)
    raise AssertionError  # Backoff does not end.


def _check_unknown_purchases(*, release: bool) -> Iterator[_Found]:
    for record in ledger.unknown_purchases():
        try:
            found = _check_unknown_purchase(record, release=release)
        except TelephonyError as error:
            extra = {"request": record.request_id, "error": str(error)}
            logger.warning("Could not check a purchase", extra=extra)
            found = _Found(Finding.UNKNOWN_PURCHASE_OPEN, record.resource_type, record.request_id)
        if found is not None:
            yield found


def _check_unknown_purchase(record: PurchaseRecord, *, release: bool) -> _Found | None:
    resource = resources.by_type(record.resource_type)
    found = _retry(lambda: resource.find(None, record.identity))
    if found is None:
        if clock.now() - record.opened_at < _MAX_TAG_DELAY:
            return _Found(Finding.UNKNOWN_PURCHASE_OPEN, record.resource_type, record.request_id)
        end = PurchaseState.RELEASED if record.physical_id else PurchaseState.REFUSED
        ledger.close(record, end, record.physical_id or "")
        return None
    if not (release and record.canceled):
        return _Found(Finding.UNKNOWN_PURCHASE_FOUND, record.resource_type, found.physical_id)
    return _release(resource, record, found.physical_id)


def _release(resource: Resource[Any], record: PurchaseRecord, physical_id: str) -> _Found:
    _retry(lambda: resource.release(physical_id, ALLOW_ALL))
    ledger.close(record, PurchaseState.RELEASED, physical_id)
    return _Found(Finding.UNKNOWN_PURCHASE_RELEASED, resource.type_name, physical_id)


def _check_numbers(*, release: bool) -> Iterator[_Found]:
    statuses: dict[str, str | None] = {}
    for type_name in resources.type_names():
        resource = resources.by_type(type_name)
        for observed in _retry(lambda resource=resource: list(resource.list_all())):  # type: ignore[misc]
            found = _check_number(resource, observed, statuses, release=release)
            if found is not None:
                yield found


def _check_number(
    resource: Resource[Any], observed: Observed, statuses: dict[str, str | None], *, release: bool
) -> _Found | None:
    owner = Owner.of(_retry(lambda: resource.read_tags(observed)))
    if owner is None:
        return None
    if owner.stack_id not in statuses:
        statuses[owner.stack_id] = _retry(lambda: stacks.status(owner.stack_id))
    status = statuses[owner.stack_id]
    if status is None or status == "DELETE_COMPLETE":
        return _check_number_of_deleted_stack(resource, observed, owner, release=release)
    if status.endswith("_IN_PROGRESS"):
        return None
    referenced = _retry(lambda: stacks.physical_resource_id(owner.stack_id, owner.logical_resource_id))
    if referenced == observed.physical_id:
        return None
    return _Found(Finding.NOT_REFERENCED, resource.type_name, observed.physical_id)


def _check_number_of_deleted_stack(
    resource: Resource[Any], observed: Observed, owner: Owner, *, release: bool
) -> _Found:
    """Distinguish a retained number from a replacement that CloudFormation never learned of.

    In the second case, the replaced number was deleted with the stack. That Delete was meant for the replacement too.
    """
    history = ledger.history(ledger.resource_key(owner.stack_id, owner.logical_resource_id))
    record = history.by_physical_id(observed.physical_id)
    retained = _Found(Finding.STACK_DELETED, resource.type_name, observed.physical_id)
    if record is None or record.state is not PurchaseState.READY:
        return retained
    if record.referenced or record.response_accepted_at is not None:
        return retained
    replaced = history.by_physical_id(record.replaces) if record.replaces is not None else None
    if replaced is None or replaced.state is not PurchaseState.RELEASED:
        return retained
    if not release:
        return _Found(Finding.UNKNOWN_PURCHASE_FOUND, resource.type_name, observed.physical_id)
    return _release(resource, record, observed.physical_id)
