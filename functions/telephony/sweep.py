"""Lambda, daily: looks for what is ours and no stack names, and looks again at purchases whose end is not known.

It reports, and leaves alone: a number that a DeletionPolicy kept is nobody's mistake. Only what a SUSPECT purchase
brought after all is released, if its Delete was answered, and if RELEASE_SUSPECTS says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from telephony import clock, ledger, resources, services
from telephony.errors import Failure, TelephonyError
from telephony.ledger import Intent, State
from telephony.observability import count, logger
from telephony.purchase import ANYTHING
from telephony.resource import Observed, Owner, Purchase, Resource

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_GONE_FOR_GOOD = 86_400
"""Seconds after which tags that nobody has seen are not late but absent."""


class Finding(StrEnum):
    """What the sweep can find. docs/operations.md says what to do about each."""

    STACK_GONE = "The stack that bought it is gone"
    NOT_NAMED = "The stack that bought it names another, or none"
    SUSPECT_FOUND = "A purchase whose end was not known has brought it"
    SUSPECT_RELEASED = "A purchase whose end was not known had brought it; it was released"
    SUSPECT_OPEN = "A purchase whose end is not known; nothing was found so far"


def handler(event: object, context: LambdaContext) -> dict[str, int]:  # noqa: ARG001 - the schedule has nothing to say
    """Look at everything once; give the number of findings of each kind."""
    release = os.environ.get("RELEASE_SUSPECTS") == "true"
    found = [*_suspects(release=release), *_unnamed(release=release)]
    totals = {finding.name: found.count(finding) for finding in Finding}
    for name, total in totals.items():
        if total:
            count("SweepFindings", total, Finding=name)
    logger.info("Swept", extra={"findings": totals})
    return totals


def _suspects(*, release: bool) -> Iterator[Finding]:
    for intent in ledger.suspects():
        try:
            yield from _suspect(intent, release=release)
        except TelephonyError as error:
            logger.warning("Could not look at a purchase", extra={"request": intent.request_id, "error": str(error)})
            yield Finding.SUSPECT_OPEN


def _suspect(intent: Intent, *, release: bool) -> Iterator[Finding]:
    resource = resources.by_type(intent.resource_type)
    found = resource.find(None, _purchase(intent))
    if found is None:
        if clock.now() - intent.opened_at < _GONE_FOR_GOOD:
            yield _report(Finding.SUSPECT_OPEN, intent.resource_type, intent.request_id)
        else:
            ledger.close(intent, State.REFUSED)
        return
    if not (release and intent.cancelled):
        yield _report(Finding.SUSPECT_FOUND, intent.resource_type, found.physical_id)
        return
    resource.release(found.physical_id, ANYTHING)
    ledger.close(intent, State.RELEASED, found.physical_id)
    yield _report(Finding.SUSPECT_RELEASED, intent.resource_type, found.physical_id)


def _purchase(intent: Intent) -> Purchase:
    stack_id, logical_resource_id = intent.resource.rsplit("|", 1)
    return Purchase(
        owner=Owner(stack_id, logical_resource_id),
        request_id=intent.request_id,
        opened_at=intent.opened_at,
        attempt=intent.attempt,
        chosen=intent.chosen,
    )


def _unnamed(*, release: bool) -> Iterator[Finding]:
    statuses: dict[str, str | None] = {}
    for type_name in resources.type_names():
        resource = resources.by_type(type_name)
        for observed in resource.listing():
            finding = _judge(resource, observed, statuses, release=release)
            if finding is not None:
                yield _report(finding, resource.type_name, observed.physical_id)


def _judge(
    resource: Resource[Any], observed: Observed, statuses: dict[str, str | None], *, release: bool
) -> Finding | None:
    owner = Owner.of(resource.tags(observed))
    if owner is None:
        return None
    if owner.stack_id not in statuses:
        statuses[owner.stack_id] = _stack_status(owner.stack_id)
    status = statuses[owner.stack_id]
    if status is None or status == "DELETE_COMPLETE":
        return _of_gone_stack(resource, observed, owner, release=release)
    if status.endswith("_IN_PROGRESS"):
        return None
    named = _named(owner)
    return None if named == observed.physical_id else Finding.NOT_NAMED


def _of_gone_stack(resource: Resource[Any], observed: Observed, owner: Owner, *, release: bool) -> Finding:
    """Tell a number that was kept from one that CloudFormation never learnt of, because its answer was lost."""
    history = ledger.history(ledger.resource_key(owner.stack_id, owner.logical_resource_id))
    intent = history.of_number(observed.physical_id)
    if intent is None or intent.state is not State.READY or intent.named or intent.answered_at is not None:
        return Finding.STACK_GONE
    if not release:
        return Finding.SUSPECT_FOUND
    resource.release(observed.physical_id, ANYTHING)
    ledger.close(intent, State.RELEASED, observed.physical_id)
    return Finding.SUSPECT_RELEASED


def _stack_status(stack_id: str) -> str | None:
    try:
        stacks = services.cloudformation().describe_stacks(StackName=stack_id)["Stacks"]
    except Failure as failure:
        if failure.code == "ValidationError" and "does not exist" in failure.cause:
            return None
        raise
    return stacks[0]["StackStatus"] if stacks else None


def _named(owner: Owner) -> str | None:
    """The physical id that the stack has for the resource."""
    try:
        answer = services.cloudformation().describe_stack_resource(
            StackName=owner.stack_id, LogicalResourceId=owner.logical_resource_id
        )
    except Failure as failure:
        if failure.code == "ValidationError" and "does not exist" in failure.cause:
            return None
        raise
    return answer["StackResourceDetail"].get("PhysicalResourceId")


def _report(finding: Finding, resource_type: str, name: str) -> Finding:
    logger.warning(finding.value, extra={"finding": finding.name, "resource_type": resource_type, "found": name})
    return finding
