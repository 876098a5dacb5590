"""Lambda, daily: looks for what is ours and no stack names, and looks again at purchases whose end is not known.

It reports, and leaves alone: a number that a DeletionPolicy kept is nobody's mistake. Only what a SUSPECT purchase
brought after all is released, if its Delete was answered, and if ALLOW_SWEEP_RELEASE says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

from telephony import clock, resources
from telephony.aws import rate_limiter, services
from telephony.errors import HandlerError, TelephonyError, UnknownOutcomeError
from telephony.lifecycle import ledger
from telephony.lifecycle.invocation import Backoff
from telephony.lifecycle.ledger import PurchaseRecord, PurchaseState
from telephony.lifecycle.purchase import ANYTHING
from telephony.model.resource import Observed, Owner, Purchase, Resource
from telephony.observability import count, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_TRIES = 6
_GONE_FOR_GOOD = 86_400
"""Seconds after which tags that nobody has seen are not late but absent."""


class Finding(StrEnum):
    """What the sweep can find. docs/operations.md says what to do about each."""

    STACK_DELETED = "The stack that bought it is gone"
    NOT_REFERENCED = "The stack that bought it names another, or none"
    UNKNOWN_PURCHASE_FOUND = "A purchase whose end was not known has brought it"
    UNKNOWN_PURCHASE_RELEASED = "A purchase whose end was not known had brought it; it was released"
    UNKNOWN_PURCHASE_OPEN = "A purchase whose end is not known; nothing was found so far"


def handler(event: object, context: LambdaContext) -> dict[str, int]:  # noqa: ARG001 - the schedule has nothing to say
    """Look at everything once; give the number of findings of each kind."""
    rate_limiter.start_invocation(until=float("inf"))
    release = os.environ.get("ALLOW_SWEEP_RELEASE") == "true"
    suspects = list(_suspects(release=release))
    looked_at = {found.name for found in suspects}
    found = [*suspects, *(found for found in _unnamed(release=release) if found.name not in looked_at)]
    totals = {finding.name: sum(each.finding is finding for each in found) for finding in Finding}
    for each in found:
        extra = {"finding": each.finding.name, "resource_type": each.resource_type, "found": each.name}
        logger.warning(each.finding.value, extra=extra)
    for name, total in totals.items():
        if total:
            count("SweepFindings", total, Finding=name)
    logger.info("Swept", extra={"findings": totals})
    return totals


@attrs.frozen
class _Found:
    finding: Finding
    resource_type: str
    name: str
    """The number's id; the request's, where no number was found."""


def _steadily[T](call: Callable[[], T]) -> T:
    """Make a call again while it is throttled or its answer is lost; a sweep has the time."""
    tries = 0
    for pause in Backoff():
        try:
            return call()
        except UnknownOutcomeError:
            tries += 1
            if tries >= _TRIES:
                raise
        clock.sleep(pause)
    raise AssertionError  # Backoff do not end.


def _suspects(*, release: bool) -> Iterator[_Found]:
    for record in ledger.unknown_purchases():
        try:
            found = _suspect(record, release=release)
        except TelephonyError as error:
            logger.warning("Could not look at a purchase", extra={"request": record.request_id, "error": str(error)})
            found = _Found(Finding.UNKNOWN_PURCHASE_OPEN, record.resource_type, record.request_id)
        if found is not None:
            yield found


def _suspect(record: PurchaseRecord, *, release: bool) -> _Found | None:
    resource = resources.by_type(record.resource_type)
    found = _steadily(lambda: resource.find(None, _purchase(record)))
    if found is None:
        if clock.now() - record.opened_at < _GONE_FOR_GOOD:
            return _Found(Finding.UNKNOWN_PURCHASE_OPEN, record.resource_type, record.request_id)
        ledger.close(
            record, PurchaseState.RELEASED if record.physical_id else PurchaseState.REFUSED, record.physical_id or ""
        )
        return None
    if not (release and record.canceled):
        return _Found(Finding.UNKNOWN_PURCHASE_FOUND, record.resource_type, found.physical_id)
    return _released(resource, record, found.physical_id)


def _released(resource: Resource[Any], record: PurchaseRecord, physical_id: str) -> _Found:
    _steadily(lambda: resource.release(physical_id, ANYTHING))
    ledger.close(record, PurchaseState.RELEASED, physical_id)
    return _Found(Finding.UNKNOWN_PURCHASE_RELEASED, resource.type_name, physical_id)


def _purchase(record: PurchaseRecord) -> Purchase:
    stack_id, logical_resource_id = record.resource.rsplit("|", 1)
    return Purchase(
        owner=Owner(stack_id, logical_resource_id),
        request_id=record.request_id,
        opened_at=record.opened_at,
        attempt=record.attempt,
        candidate=record.candidate,
    )


def _unnamed(*, release: bool) -> Iterator[_Found]:
    statuses: dict[str, str | None] = {}
    for type_name in resources.type_names():
        resource = resources.by_type(type_name)
        for observed in _steadily(lambda resource=resource: list(resource.list_all())):  # type: ignore[misc]
            found = _judge(resource, observed, statuses, release=release)
            if found is not None:
                yield found


def _judge(
    resource: Resource[Any], observed: Observed, statuses: dict[str, str | None], *, release: bool
) -> _Found | None:
    owner = Owner.of(_steadily(lambda: resource.read_tags(observed)))
    if owner is None:
        return None
    if owner.stack_id not in statuses:
        statuses[owner.stack_id] = _steadily(lambda: _stack_status(owner.stack_id))
    status = statuses[owner.stack_id]
    if status is None or status == "DELETE_COMPLETE":
        return _of_gone_stack(resource, observed, owner, release=release)
    if status.endswith("_IN_PROGRESS") or _steadily(lambda: _named(owner)) == observed.physical_id:
        return None
    return _Found(Finding.NOT_REFERENCED, resource.type_name, observed.physical_id)


def _of_gone_stack(resource: Resource[Any], observed: Observed, owner: Owner, *, release: bool) -> _Found:
    """Tell a number that was kept from a replacement that CloudFormation never learnt of, because its answer was lost.

    Of the latter, the number that it was to replace has been deleted with the stack; that Delete was its own too.
    """
    history = ledger.history(ledger.resource_key(owner.stack_id, owner.logical_resource_id))
    record = history.of_number(observed.physical_id)
    kept = _Found(Finding.STACK_DELETED, resource.type_name, observed.physical_id)
    if (
        record is None
        or record.state is not PurchaseState.READY
        or record.referenced
        or record.response_accepted_at is not None
    ):
        return kept
    before = history.of_number(record.replaces) if record.replaces is not None else None
    if before is None or before.state is not PurchaseState.RELEASED:
        return kept
    if not release:
        return _Found(Finding.UNKNOWN_PURCHASE_FOUND, resource.type_name, observed.physical_id)
    return _released(resource, record, observed.physical_id)


def _stack_status(stack_id: str) -> str | None:
    try:
        stacks = services.cloudformation().describe_stacks(StackName=stack_id)["Stacks"]
    except HandlerError as failure:
        if failure.aws_code == "ValidationError" and "does not exist" in failure.cause:
            return None
        raise
    return stacks[0]["StackStatus"] if stacks else None


def _named(owner: Owner) -> str | None:
    """The physical id that the stack has for the resource."""
    try:
        answer = services.cloudformation().describe_stack_resource(
            StackName=owner.stack_id, LogicalResourceId=owner.logical_resource_id
        )
    except HandlerError as failure:
        if failure.aws_code == "ValidationError" and "does not exist" in failure.cause:
            return None
        raise
    return answer["StackResourceDetail"].get("PhysicalResourceId")
