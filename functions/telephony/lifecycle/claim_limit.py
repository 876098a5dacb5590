"""Foresees a limit of claims and releases, so that no claim is made that the service would refuse.

The ledger counts what this provider claimed and released. The service also counts what others did. If it refuses a
claim before the limit is reached by the ledger's count, later claims are refused without a call until the quota
changes, or for a day. The next claim then shows whether the service still refuses it.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

from telephony import clock, reasons
from telephony.errors import HandlerError, LimitExceededError, TelephonyError
from telephony.lifecycle import ledger
from telephony.lifecycle.invocation import Retrier
from telephony.lifecycle.ledger import Counted, PurchaseRecord
from telephony.model.properties import Properties
from telephony.model.resource import ClaimLimit, Resource

_REFUSED_FOR = 86_400
"""Seconds for which claims are refused without a call after the service has refused one."""


def check(resource: Resource[Any], desired: Properties, record: PurchaseRecord) -> None:
    """Raise HandlerError if a claim for this purchase would exceed the limit of its type."""
    limit = resource.claim_limit
    if limit is None:
        return
    counted = ledger.counted(resource.type_name, clock.now() - limit.period, record)
    events = sorted([*counted.claims, *counted.releases])
    least = math.ceil((len(events) + 1) * 100 / limit.percent)
    refused_at = counted.refused_at
    if refused_at is not None and refused_at + _REFUSED_FOR <= clock.now():
        refused_at = None
    quota = resource.quota(desired, at_least=least if refused_at is None else None)
    if quota is not None and quota < least:
        # A claim is possible when so many events have left the period that one more reaches the limit.
        possible_at = events[len(events) - _allowed(limit, quota)] + limit.period
        day = _day(possible_at) + timedelta(days=1)
        raise reasons.CLAIM_LIMIT_REACHED.failure(day=day, **_values(limit, counted, quota))
    if refused_at is not None and quota in {None, counted.refused_quota}:
        cause = f"A claim was refused on {_day(refused_at)}."
        raise _refused(limit, counted, quota, cause, refused_at)


def learn(
    retrier: Retrier, resource: Resource[Any], desired: Properties, record: PurchaseRecord, refused: HandlerError
) -> HandlerError:
    """Record that the service refuses claims because of the limit. Returns the failure to raise.

    The service may also refuse a claim because the target has as many numbers as its quota allows. Then nothing is
    recorded, and neither if that can't be read.
    """
    limit = resource.claim_limit
    if limit is None or not isinstance(refused, LimitExceededError):
        return refused
    try:
        quota = resource.quota(desired)
        if retrier.retry(lambda: resource.is_full(desired, quota)):
            return refused
        counted = ledger.counted(resource.type_name, clock.now() - limit.period, record)
        ledger.record_refused_claim(resource.type_name, quota, clock.now() + _REFUSED_FOR)
    except TelephonyError:
        return refused
    return _refused(limit, counted, quota, refused.cause, clock.now())


def _refused(limit: ClaimLimit, counted: Counted, quota: float | None, cause: str, refused_at: float) -> HandlerError:
    until = f"{datetime.fromtimestamp(refused_at + _REFUSED_FOR, UTC):%Y-%m-%d %H:%M}"
    return reasons.CLAIMS_REFUSED.failure(cause=cause, until=until, **_values(limit, counted, quota))


def _values(limit: ClaimLimit, counted: Counted, quota: float | None) -> dict[str, object]:
    """Return the arithmetic for a Reason."""
    allowed = "unknown"
    if quota is not None:
        allowed = f"{_allowed(limit, quota)} ({limit.percent} percent of the quota of {quota:g})"
    return {
        "limit": allowed,
        "claims": len(counted.claims),
        "releases": len(counted.releases),
        "days": limit.period // 86_400,
        "quota_name": limit.quota_name,
    }


def _allowed(limit: ClaimLimit, quota: float) -> int:
    """Return the claims and releases that are allowed in the period."""
    return math.floor(quota * limit.percent / 100)


def _day(at: float) -> date:
    return datetime.fromtimestamp(at, UTC).date()
