"""Takes numbers that are pending release: for the resource that was deleted, or for one that may reuse them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any

from telephony import resources
from telephony.errors import NotFoundError, UnknownOutcomeError
from telephony.lifecycle import ledger
from telephony.lifecycle.effects import Effect, Situation, decide
from telephony.lifecycle.invocation import Backoff, Invocation, Retrier
from telephony.lifecycle.ledger import Closed, OpenResult, PurchaseRecord, PurchaseState
from telephony.model.properties import Properties
from telephony.model.recovery import RELEASE_AFTER, reuses, tag_value
from telephony.model.resource import Resource, differences
from telephony.observability import logger

_BUSY = "The state table was busy with another request for this resource or number."


def take(
    invocation: Invocation, resource: Resource[Any], desired: Properties, record: PurchaseRecord, *, again: bool = False
) -> PurchaseRecord | None:
    """Take a number that is pending release for a request, instead of purchasing one.

    record: of the request, not written yet. again: see `ledger.open_purchase`. Returns the record as it was written, or
    None if nothing can be taken. Raises HandlerError if more than one number can be taken back.
    """
    own = list(candidates(invocation, resource, desired, ledger.recovery_key(record)))
    others = candidates(invocation, resource, desired, resource.type_name) if reuses(desired) and not own else iter(())
    first = next(others, None)
    situation = Situation(recoverable=[str(each.physical_id) for each in own], reusable=[] if first is None else [""])
    if decide(resource, desired, situation).require() is Effect.PURCHASED:
        return None
    found = chain(own, [] if first is None else [first], others)
    return next((taken for former in found if (taken := _take(invocation, record, former, again=again))), None)


def candidates(retrier: Retrier, resource: Resource[Any], desired: Properties, name: str) -> Iterator[PurchaseRecord]:
    """Yield the purchases whose numbers are pending release under a name, and have the declared properties."""
    for physical_id in ledger.pending_release(name):
        holder = ledger.holder(physical_id)
        record = None if holder is None else holder.record
        if record is None or record.state is not PurchaseState.PENDING_RELEASE:
            continue
        observed = retrier.retry(partial(resource.read, physical_id))
        if observed is None or differences(observed, desired, create_only=True):
            continue
        if name != resource.type_name or (record.allow_reuse and resource.fits(observed, desired)):
            yield record


def _take(
    invocation: Invocation, record: PurchaseRecord, former: PurchaseRecord, *, again: bool
) -> PurchaseRecord | None:
    """Write that the request holds the number. Returns None if it can't be taken any more."""
    taken = copy.replace(
        record,
        state=PurchaseState.BOUGHT,
        physical_id=former.physical_id,
        arn=former.arn,
        claimed=True,
        taken=True,
        retag=True,
        release_after=former.release_after,
        recovery_key=former.recovery_key,
        allow_reuse=former.allow_reuse,
    )
    backoff = Backoff()
    while True:
        opened = ledger.take(taken, former, again=again)
        if opened is OpenResult.WRITTEN:
            logger.info("Took a number that was pending release", extra={"physical_resource_id": taken.physical_id})
            return taken
        if opened is OpenResult.REFUSED or ledger.refresh(former).version != former.version:
            return None
        if not invocation.wait(backoff):
            raise UnknownOutcomeError(_BUSY)


def mark_used(retrier: Retrier, resource: Resource[Any], record: PurchaseRecord) -> bool:
    """Set the ownership tags of a number that was taken, and remove the tag of its due date.

    Tags that are not visible yet can't be compared, so both calls are made. Returns False if the request has lost the
    number since. Then the tags of the purchase that holds it now are set again.
    """
    _tag(retrier, resource, record)
    if ledger.refresh(record).owns_number:
        return True
    tagged: tuple[str, int] | None = None
    while (holder := ledger.holder(record.physical_id or "")) is not None and holder.record is not None:
        latest = holder.purchase, holder.record.version
        if holder.record.state is PurchaseState.CLOSED or latest == tagged:
            break
        _tag(retrier, resource, holder.record)
        tagged = latest
    return False


def _tag(retrier: Retrier, resource: Resource[Any], record: PurchaseRecord) -> None:
    """Set the tags that a purchase gives its number, if the number exists."""
    arn, tags = record.arn or "", record.identity.ownership_tags
    ends = record.release_after is not None and not record.owns_number
    with suppress(NotFoundError):
        if ends:
            tags = {**tags, RELEASE_AFTER: tag_value(record.release_after or 0)}
        retrier.retry(lambda: resource.add_tags(arn, tags))
        if not ends:
            retrier.retry(lambda: resource.remove_tags(arn, [RELEASE_AFTER]))


def restore(retrier: Retrier, physical_id: str) -> bool:
    """Keep a number that is pending release: it is retained, and no longer due. Returns False if it is not pending.

    It can be repeated, also if the tag was not removed. A release that has begun is not stopped.
    """
    holder = ledger.holder(physical_id)
    record = None if holder is None else holder.record
    if record is None or record.release_after is None:
        return False
    if record.state is PurchaseState.PENDING_RELEASE:
        if ledger.close(record, Closed.RETAINED, reusable=False) is None:
            return False
    elif record.closed is not Closed.RETAINED:
        return False
    resource = resources.by_type(record.resource_type)
    retrier.retry(lambda: resource.remove_tags(record.arn or "", [RELEASE_AFTER]))
    return True
