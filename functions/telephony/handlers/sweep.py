"""Lambda function, daily: reports numbers that no stack references, and finishes purchases that no request finished.

It releases a number only if ALLOW_SWEEP_RELEASE is true, and only on evidence: CloudFormation was never told of it, or
a Delete of it was processed and CloudFormation has dropped it since. It never releases a number that a policy retained.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import attrs

from telephony import clock, resources
from telephony.aws import rate_limiter
from telephony.cloudformation import stacks
from telephony.cloudformation.stacks import Activity, Knowledge
from telephony.data import data
from telephony.errors import TelephonyError, UnknownOutcomeError
from telephony.lifecycle import ledger
from telephony.lifecycle.invocation import Retrier
from telephony.lifecycle.ledger import Closed, PurchaseRecord, PurchaseState
from telephony.lifecycle.release import bought, close, end_surplus, read_own_tags, release
from telephony.model.resource import ALLOW_ALL, Observed, ReleasePolicy, Resource, Stability
from telephony.model.tags import Owner
from telephony.observability import count, logger
from telephony.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_MIN_SEARCHES = 2
_MAX_TAG_DELAY = 86_400
"""Seconds after which tags that are still not visible in several searches do not exist."""

_CHANGED = "A request used the purchase during the check."


class Finding(StrEnum):
    """What the sweep reports. docs/operations.md describes what to do."""

    STACK_DELETED = "The stack that purchased the number no longer exists"
    NOT_REFERENCED = "The stack that purchased the number does not reference it"
    RETAINED = "A DeletionPolicy or UpdateReplacePolicy retained the number"
    UNKNOWN_PURCHASE_FOUND = "A purchase holds a number that no stack uses"
    UNKNOWN_PURCHASE_RELEASED = "A purchase held a number that no stack used; it was released"
    UNKNOWN_PURCHASE_OPEN = "The result of a purchase is unknown; no number was found yet"
    NOT_CHECKED = "A number or purchase could not be checked"


@data
class _Found:
    finding: Finding
    resource_type: str
    name: str
    """The physical ID, or the request ID if no number was found."""


@data
class _Sweep(Retrier):
    deadline: float
    may_release: bool
    noticed: dict[str, float] = attrs.field(factory=dict)
    activities: dict[str, Activity] = attrs.field(factory=dict)
    """By StackId."""


def handler(event: object, context: LambdaContext) -> dict[str, int]:  # noqa: ARG001 - the schedule's event is empty
    """Check everything once. Returns the number of findings of each kind."""
    rate_limiter.start_invocation(first_until=float("inf"), wait_until=float("inf"))
    # Checks that have to wait longer fail, so that the findings of the others are still reported.
    ends_at = clock.now() + context.get_remaining_time_in_millis() / 1000 - settings().response_margin
    sweep = _Sweep(deadline=ends_at, may_release=os.environ.get("ALLOW_SWEEP_RELEASE") == "true")
    found = {each.name: each for check in (_check_purchases, _check_numbers) for each in check(sweep)}
    totals = {finding.name: sum(each.finding is finding for each in found.values()) for finding in Finding}
    for each in found.values():
        extra = {"finding": each.finding.name, "resource_type": each.resource_type, "found": each.name}
        logger.warning(each.finding.value, extra=extra)
    for name, total in totals.items():
        if total:
            count("SweepFindings", total, Finding=name)
    logger.info("Sweep completed", extra={"findings": totals})
    return totals


def _checked(check: Callable[[], Finding | None], resource_type: str, name: str) -> Iterator[_Found]:
    """Yield the finding of a check, if any. One that fails does not stop the others."""
    try:
        finding = check()
    except TelephonyError as error:
        logger.warning(Finding.NOT_CHECKED.value, extra={"found": name, "error": str(error)})
        finding = Finding.NOT_CHECKED
    if finding is not None:
        yield _Found(finding, resource_type, name)


def _check_purchases(sweep: _Sweep) -> Iterator[_Found]:
    for record in ledger.overdue(clock.now()):
        name = record.physical_id or record.request_id
        yield from _checked(lambda record=record: _check_purchase(sweep, record), record.resource_type, name)  # type: ignore[misc]


def _check_purchase(sweep: _Sweep, record: PurchaseRecord) -> Finding | None:
    resource = resources.by_type(record.resource_type)
    if record.state is PurchaseState.OPEN:
        close(record, Closed.REFUSED)
        return None
    if record.state is PurchaseState.BUYING:
        found = sweep.retry(lambda: resource.find(None, record.identity))
        if found is None:
            searched = record.searches + 1 >= _MIN_SEARCHES and clock.now() - record.opened_at > _MAX_TAG_DELAY
            if searched:
                close(record, Closed.REFUSED)
                return None
            ledger.write(record, searches=record.searches + 1)
            return Finding.UNKNOWN_PURCHASE_OPEN
        written = bought(record, found, ended=True)
        if written is None:
            raise UnknownOutcomeError(_CHANGED)
        record = written
    elif not _is_held(sweep, resource, record):
        close(record, Closed.GONE)
        return None
    if record.reported:
        # A Delete ran out of time. It is continued if CloudFormation has dropped the number since.
        return _check_reported(sweep, resource, record, {Knowledge.NAMED, Knowledge.NEVER_NAMED})
    return _release_purchase(sweep, resource, record)


def _check_reported(
    sweep: _Sweep, resource: Resource[Any], record: PurchaseRecord, releasable: set[Knowledge]
) -> Finding | None:
    """Check a number that CloudFormation may have been told of, and release it if its events justify that."""
    owner, physical_id = record.identity.owner, record.physical_id or ""
    finding = _unreferenced(sweep, owner, physical_id)
    if finding is None:
        return None
    ids = (owner.stack_id, owner.logical_resource_id, physical_id)
    knowledge = sweep.retry(lambda: stacks.knowledge(*ids, since=record.opened_at))
    if knowledge is Knowledge.RETAINED:
        close(record, Closed.RETAINED)
        return Finding.RETAINED
    # Deleted stacks had time to send another Delete: what they named is only reported, unless a Delete has ended.
    ended = record.state is PurchaseState.CLOSED or knowledge is Knowledge.NEVER_NAMED
    dropped = knowledge in releasable and (finding is Finding.NOT_REFERENCED or ended)
    # The blockers of a number that a stack used are removed by its Delete or by an operator only.
    policy = ALLOW_ALL if knowledge is Knowledge.NEVER_NAMED else ReleasePolicy()
    return _release_purchase(sweep, resource, record, policy) if dropped else finding


def _is_held(sweep: _Sweep, resource: Resource[Any], record: PurchaseRecord) -> bool:
    observed = sweep.retry(lambda: resource.read(record.physical_id or ""))
    if observed is None or not resource.reusable_ids:
        return observed is not None
    return read_own_tags(sweep, resource, record, observed.arn) is not None


def _release_purchase(
    sweep: _Sweep, resource: Resource[Any], record: PurchaseRecord, policy: ReleasePolicy = ALLOW_ALL
) -> Finding:
    owner = record.identity.owner

    def check() -> None:
        """Raise UnknownOutcomeError if a request has continued the purchase, or if one may name its number now."""
        sweep.activities.pop(owner.stack_id, None)
        if ledger.refresh(record).version != record.version:
            raise UnknownOutcomeError(_CHANGED)
        if record.reported and _unreferenced(sweep, owner, record.physical_id or "") is None:
            raise UnknownOutcomeError(_CHANGED)

    return _release(sweep, lambda: release(sweep, resource, record, policy, check=check))


def _release(sweep: _Sweep, call: Callable[[], None]) -> Finding:
    if not sweep.may_release:
        return Finding.UNKNOWN_PURCHASE_FOUND
    call()
    return Finding.UNKNOWN_PURCHASE_RELEASED


def _check_numbers(sweep: _Sweep) -> Iterator[_Found]:
    for type_name in resources.type_names():
        resource = resources.by_type(type_name)
        for observed in sweep.retry(lambda resource=resource: list(resource.list_all())):  # type: ignore[misc]
            check = lambda resource=resource, observed=observed: _check_number(sweep, resource, observed)  # noqa: E731
            yield from _checked(check, type_name, observed.physical_id)


def _check_number(sweep: _Sweep, resource: Resource[Any], observed: Observed) -> Finding | None:
    tags = sweep.retry(lambda: resource.read_tags(observed))
    owner = Owner.of(tags)
    if owner is None:
        return None
    history = ledger.history(ledger.resource_key(owner.stack_id, owner.logical_resource_id))
    record = next((each for each in history.purchases if each.identity.matches(tags)), None)
    if record is None:
        return _unreferenced(sweep, owner, observed.physical_id)
    attempting = record.state in {PurchaseState.OPEN, PurchaseState.BUYING}
    if not attempting and record.physical_id != observed.physical_id:
        return _release(sweep, lambda: end_surplus(sweep, record, observed))
    gone = record.closed is Closed.GONE
    if gone or record.state is PurchaseState.READY:
        # The tags of a GONE sender ID became visible after its Delete. It still belongs to the purchase.
        releasable = {Knowledge.NEVER_NAMED, Knowledge.NAMED} if gone else {Knowledge.NEVER_NAMED}
        return _check_reported(sweep, resource, record, releasable)
    if record.state is not PurchaseState.CLOSED:
        return None  # It is in progress, or was checked with the purchases.
    lapsed = record.closed is Closed.LAPSED and observed.stability is Stability.FAILED  # The service removes it.
    other = None if lapsed else _unreferenced(sweep, owner, observed.physical_id)
    return Finding.RETAINED if record.closed is Closed.RETAINED else other


def _unreferenced(sweep: _Sweep, owner: Owner, physical_id: str) -> Finding | None:
    """Return the finding for a number that CloudFormation does not reference, None for another one.

    A stack in an operation is checked the next day.
    """
    if owner.stack_id not in sweep.activities:
        sweep.activities[owner.stack_id] = sweep.retry(lambda: stacks.activity(owner.stack_id))
    activity = sweep.activities[owner.stack_id]
    if activity is not Activity.AT_REST:
        return Finding.STACK_DELETED if activity is Activity.DELETED else None
    referenced = sweep.retry(lambda: stacks.physical_resource_id(owner.stack_id, owner.logical_resource_id))
    return None if referenced == physical_id else Finding.NOT_REFERENCED
