"""Ends purchases, and releases their numbers. The only module that calls `Resource.release`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from telephony import clock, resources
from telephony.aws import rate_limiter
from telephony.errors import DeferredError, HandlerError, HandlerErrorCode, NotFoundError, UnknownOutcomeError
from telephony.lifecycle import ledger
from telephony.lifecycle.effects import Effect, ending
from telephony.lifecycle.invocation import Backoff, Retrier
from telephony.lifecycle.ledger import Closed, PurchaseRecord, PurchaseState
from telephony.model.recovery import RELEASE_AFTER, tag_value
from telephony.model.resource import ALLOW_ALL, Observed, ReleasePolicy, Resource
from telephony.model.tags import Owner
from telephony.observability import count, logger
from telephony.settings import settings

_NO_TAGS = "The tags of the resource are not visible yet."
_PURCHASING = "Another invocation is still making the purchase that must be released."


def close(record: PurchaseRecord, why: Closed | None) -> None:
    """Close a record, or without a reason write that its number is pending release.

    Another invocation may have done the same.
    """
    if why is None:
        ledger.hold(record)
    else:
        ledger.close(record, why, reusable=resources.by_type(record.resource_type).reusable_ids)


def release(
    retrier: Retrier,
    resource: Resource[Any],
    record: PurchaseRecord,
    policy: ReleasePolicy = ALLOW_ALL,
    *,
    issued_at: float | None = None,
    check: Callable[[], None] = lambda: None,
    finish: Callable[[PurchaseRecord, Closed | None], None] = close,
) -> None:
    """Release the number that a purchase holds, and close the purchase with `finish`.

    An adopted number is never released: the ownership tags are removed, and it stays in the account. A number with a
    due date (`release_after`) becomes pending release: it is disconnected and tagged. One that is pending release
    already is released.

    issued_at: when a Delete was issued. check: raises HandlerError if the release is not justified; it is called when
    the call is reserved, directly before the decision is written. A release that the service refuses returns to the
    state before. One that runs out of time remains RELEASING, and another request or the sweep can continue it.
    """
    effect = ending(record)
    late = _reserve(retrier, resource) if effect is Effect.RELEASED else None
    check()
    record = record if record.state is PurchaseState.RELEASING else _decide(record, issued_at)
    if record.state is not PurchaseState.RELEASING:
        return
    if late is not None:
        raise late
    gone = False

    def once() -> None:
        nonlocal gone
        # Before every attempt: another owner can have the ID since the last one.
        gone = resource.reusable_ids and read_own_tags(retrier, resource, record, record.arn or "") is None
        if not gone:
            gone = not _ENDINGS[effect](resource, record, policy)

    try:
        retrier.retry(once)
    except HandlerError as failure:
        failure.physical_id = record.physical_id
        if failure.aws_code or failure.error_code is HandlerErrorCode.RESOURCE_CONFLICT:
            window = {} if record.pending else ledger.in_use(record)
            ledger.write(record, state=record.releasing_from, releasing_from=None, **window)
        raise
    finish(record, Closed.GONE if gone else _CLOSED[effect])
    extra = {"physical_resource_id": record.physical_id, "effect": effect, "gone": gone}
    logger.info("Ended the use of a number", extra=extra)
    if effect is Effect.RELEASED and not gone:
        count("NumbersReleased", ResourceType=record.resource_type)


def _release(resource: Resource[Any], record: PurchaseRecord, policy: ReleasePolicy) -> bool:
    """Release a number. Returns True, also if it does not exist."""
    physical_id = record.physical_id or ""
    try:
        resource.release(physical_id, policy)
    except HandlerError as refused:
        # IAM allows a release by the number's tag, so it denies that of a number that does not exist.
        if refused.error_code is not HandlerErrorCode.ACCESS_DENIED or resource.read(physical_id) is not None:
            raise
    return True


def _disconnect(resource: Resource[Any], record: PurchaseRecord, policy: ReleasePolicy) -> bool:
    """Disconnect a number and tag it with its due date. Returns False if it does not exist."""
    try:
        if not resource.disconnect(record.physical_id or "", policy):
            return False
        resource.add_tags(record.arn or "", {RELEASE_AFTER: tag_value(record.release_after or 0)})
    except NotFoundError:
        return False
    return True


def _remove_own_tags(resource: Resource[Any], record: PurchaseRecord, _: ReleasePolicy) -> bool:
    """End an adoption. Returns True, also if the number has no tags of the purchase or does not exist."""
    try:
        resource.remove_tags(record.arn or "", record.identity.ownership_tags)
    except NotFoundError:
        return True
    except HandlerError as refused:
        # IAM allows the call by the tag that it removes, so it denies a repetition.
        observed = resource.read(record.physical_id or "")
        owned = observed is not None and record.identity.matches(resource.read_tags(observed))
        if owned or refused.error_code is not HandlerErrorCode.ACCESS_DENIED:
            raise
    return True


_ENDINGS = {Effect.RETAINED: _remove_own_tags, Effect.PENDING_RELEASE: _disconnect, Effect.RELEASED: _release}
"""What ends the use of a number. Each returns False if the number no longer exists."""
_CLOSED = {Effect.RETAINED: Closed.ADOPTION_ENDED, Effect.PENDING_RELEASE: None, Effect.RELEASED: Closed.RELEASED}
"""Why the purchase is CLOSED afterwards. A number that is pending release keeps its record."""


def _reserve(retrier: Retrier, resource: Resource[Any]) -> HandlerError | None:
    """Wait until the release call is due. Returns the failure if no later invocation can make it in time either."""
    try:
        rate_limiter.wait(resource.release_call)
    except DeferredError as deferred:
        late = retrier.deferred(deferred)
        if isinstance(late, DeferredError):
            raise late from None
        return late
    return None


def _decide(record: PurchaseRecord, issued_at: float | None) -> PurchaseRecord:
    started = ledger.start_release(record, issued_at)
    if started is None:
        # The reasons for the release may no longer hold.
        raise UnknownOutcomeError("Another invocation used the purchase before its release.")
    return started


def read_own_tags(
    retrier: Retrier, resource: Resource[Any], record: PurchaseRecord, arn: str
) -> Mapping[str, str] | None:
    """Return the tags of a reusable ID, or None if it does not exist or was purchased again by another request.

    New tags can be invisible for some time, so an ID without ownership tags is read again.
    """
    backoff, condition = Backoff(), f"no tags: {record.request_id}"
    while True:
        tags = retrier.retry(lambda: resource.read_tags_by_arn(arn))
        if tags is not None and Owner.of(tags) is not None:
            return tags if record.identity.matches(tags) else None
        if not retrier.wait_for(condition, settings().retry_period, backoff, cause=_NO_TAGS):
            return None


def end(retrier: Retrier, record: PurchaseRecord, *, check: Callable[[], None] = lambda: None) -> None:
    """End a purchase whose request is over: purchase nothing more, and release what was purchased.

    Raises UnknownOutcomeError while another invocation holds its lease.
    """
    resource = resources.by_type(record.resource_type)
    backoff = Backoff()
    while not record.finished:
        written: PurchaseRecord | None = None
        if record.state is PurchaseState.OPEN:
            written = ledger.close_open(record)
        elif record.reported:
            # The caller knows that CloudFormation never had the number.
            from_state = "state" if record.state is PurchaseState.READY else "releasing_from"
            written = ledger.write(record, ended=True, **{from_state: PurchaseState.BOUGHT})
        elif record.state is not PurchaseState.BUYING:
            release(retrier, resource, record, check=check)
            return
        elif not record.ended:
            written = ledger.write(record, ended=True)
        elif record.lease_until > clock.now():
            if not retrier.wait(backoff):
                raise UnknownOutcomeError(_PURCHASING, at=record.lease_until)
        else:
            # The declaration may have changed since the purchase, so it does not narrow the search.
            found = retrier.search(partial(resource.find, None, record.identity), f"search: {record.request_id}")
            if found is None:
                report_unknown(record)
                return
            written = bought(record, found)
        record = written or ledger.refresh(record)


def end_surplus(retrier: Retrier, record: PurchaseRecord, observed: Observed) -> None:
    """Release a second number of one purchase. CloudFormation is only told of the number in the record."""
    surplus = copy.replace(
        record,
        request_id=f"{record.request_id}#{observed.physical_id}",
        state=PurchaseState.BOUGHT,
        closed=None,
        releasing_from=None,
        ended=True,
        physical_id=observed.physical_id,
        arn=observed.arn,
    )
    ledger.restore(surplus)
    end(retrier, ledger.refresh(surplus))


def bought(record: PurchaseRecord, observed: Observed, **changes: Any) -> PurchaseRecord | None:
    """Record the number of a purchase, as BOUGHT if not changed. Returns None as `ledger.write` does."""
    number = {"physical_id": observed.physical_id, "arn": observed.arn}
    written = ledger.write_holder(record, **{"state": PurchaseState.BOUGHT, **number, **changes})
    if written is not None:
        count("NumbersPurchased", ResourceType=record.resource_type)
    return written


def report_unknown(record: PurchaseRecord) -> None:
    """Report an ended purchase that may hold a number. Tags can become visible later; the sweep searches again."""
    count("UnknownPurchases")
    logger.warning("The result of a purchase is unknown", extra={"purchase_request_id": record.request_id})
