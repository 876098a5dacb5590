"""Purchases exactly once, and releases purchases that are not used.

Three mechanisms work together, because each alone can leak a number: the ledger records that an attempt may have been
made, the derived ClientToken makes the service return the same number again, and the ownership tags find a number that
the service no longer returns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NoReturn

from telephony import clock, reasons, resources
from telephony.aws import rate_limiter, services
from telephony.errors import (
    DeferredError,
    HandlerError,
    NumberUnavailableError,
    RetryableError,
    ThrottledError,
    UnknownOutcomeError,
)
from telephony.lifecycle import ledger
from telephony.lifecycle.invocation import Backoff, Invocation
from telephony.lifecycle.ledger import OpenResult, PurchaseRecord, PurchaseState
from telephony.model.properties import Properties
from telephony.model.resource import ALLOW_ALL, Observed, Resource
from telephony.observability import count, logger
from telephony.settings import settings

_MAX_ATTEMPTS = 5
"""Candidates to try, and attempts with an unknown result, per invocation."""

_BUSY = "The state table was busy with another request for this resource."


class Purchaser:
    """Makes one purchase in one invocation."""

    def __init__(
        self,
        invocation: Invocation,
        resource: Resource[Any],
        desired: Properties,
        record: PurchaseRecord,
        *,
        attempted: bool = False,
    ) -> None:
        self.invocation = invocation
        self.resource = resource
        self.desired = desired
        self.record = record
        self.result_unknown = attempted
        """An attempt was made whose result is unknown."""
        self.must_search = attempted
        """It was made since the last search by tags. Search before the next attempt."""
        self.contended = False
        """Other reservations for the call are pending."""
        self.leased = False
        """The lease of the next attempt was written with the record."""
        self.attempts = 0
        self.refused_at: float | None = None
        """When the first attempt was refused for a temporary reason, or because the candidate was taken."""
        self.backoff = Backoff()

    def open(self) -> bool:
        """Write the purchase record. Returns False if it exists, or if a newer request was processed.

        If no reservation is pending, one transaction writes record, lease and reservation.
        """
        call = self.resource.purchase_call(self.desired)
        services.create_client(call[0])
        self._check_deadline()
        candidate = self.invocation.retry(lambda: self.resource.select_candidate(self.desired))
        self.record = copy.replace(self.record, candidate=candidate)
        leased = ledger.with_lease(self.record, self.invocation.key)
        opened = ledger.open_purchase(leased, reservation=rate_limiter.reservation_write(*call))
        if opened is OpenResult.WRITTEN:
            rate_limiter.mark_reserved(*call)
            self.record, self.leased = leased, True
        elif opened is OpenResult.BUSY:
            self.contended = True
            opened = ledger.open_purchase(self.record)
        for _ in range(_MAX_ATTEMPTS):
            if opened is not OpenResult.BUSY:
                return opened is OpenResult.WRITTEN
            self._wait(_BUSY)
            opened = ledger.open_purchase(self.record)
        raise UnknownOutcomeError(_BUSY)

    def run(self) -> tuple[PurchaseRecord, Observed]:
        """Purchase, or return what an earlier invocation purchased.

        Raises HandlerError if nothing was purchased, UnknownOutcomeError if that is unknown.
        """
        while True:
            record = self.record
            if record.owns_number:
                return record, read_existing(self.invocation, self.resource, record.physical_id or "")
            if record.canceled or record.state is not PurchaseState.OPEN:
                raise reasons.CANCELED.failure(noun=self.resource.display_name)
            if record.lease_until > clock.now() and record.lease_owner != self.invocation.key:
                self._wait("Another invocation of this request is making the purchase.")
                self._refresh()
                continue
            if self.must_search and (found := self._find()) is not None:
                return self._purchased(found)
            if self.invocation.final:
                end = reasons.RESULT_UNKNOWN if self.result_unknown else reasons.NOT_REQUESTED
                raise self._close(end.failure(noun=self.resource.display_name))
            if not (self.leased or self._acquire_lease()):
                self._refresh()
                continue
            self.leased = False
            observed = self._attempt()
            if observed is not None:
                return self._purchased(observed)

    def _refresh(self) -> None:
        self.record = ledger.refresh(self.record)
        if self.record.attempted and self.record.lease_owner != self.invocation.key:
            # Another invocation made an attempt meanwhile.
            self.result_unknown = self.must_search = True

    def _acquire_lease(self) -> bool:
        """Wait for the reservation and acquire the lease of an attempt. Returns False if it is not available."""
        self._check_deadline()
        candidate = self.record.candidate or self._select_candidate()
        self._wait_for_reservation()
        leased = ledger.acquire_lease(copy.replace(self.record, candidate=candidate), self.invocation.key)
        self.record = leased or self.record
        return leased is not None

    def _select_candidate(self) -> str | None:
        try:
            return self.invocation.retry(lambda: self.resource.select_candidate(self.desired))
        except HandlerError as refused:
            raise self._close(refused) from None

    def _wait_for_reservation(self) -> None:
        """Wait without a lease, because a reservation can be due later than a lease ends."""
        call = self.resource.purchase_call(self.desired)
        try:
            rate_limiter.wait_for_reservation(*call, reserved_at=self.record.reserved_at, contended=self.contended)
        except DeferredError as deferred:
            error = self.invocation.deferred(deferred)
            if isinstance(error, HandlerError):
                raise self._close(error) from None
            ledger.save_reservation(self.record, deferred.at)
            raise

    def _attempt(self) -> Observed | None:
        """Make one attempt under the lease. Returns None if another attempt can be made."""
        self.attempts += 1
        try:
            return self.resource.acquire(self.desired, self.record.identity)
        except ThrottledError:
            self.attempts -= 1
            self._wait(f"Requests for a {self.resource.display_name} are throttled in this account.")
        except UnknownOutcomeError:
            self.result_unknown = self.must_search = True
            if self.attempts >= _MAX_ATTEMPTS:
                raise
            self._wait("The result of the last purchase attempt is unknown.")
        except (NumberUnavailableError, RetryableError) as refused:
            # A number can be unavailable because an earlier attempt claimed it.
            if self.result_unknown and (found := self._find()) is not None:
                return found
            if self.attempts >= _MAX_ATTEMPTS and not isinstance(refused, RetryableError):
                return self._refused(refused)
            self.refused_at = self.refused_at or clock.now()
            if clock.now() - self.refused_at > settings().retry_period:
                return self._refused(refused)
            # The services pin a failure to its ClientToken, so another attempt needs another token.
            self.record = copy.replace(self.record, attempt=self.record.attempt + 1, candidate=None)
            if isinstance(refused, RetryableError):
                self._wait(refused.cause)
        except HandlerError as refused:
            return self._refused(refused)
        return None

    def _refused(self, refused: HandlerError) -> Observed:
        """This attempt purchased nothing. Only a search by tags shows whether an earlier one did."""
        if self.result_unknown and (found := self._find()) is not None:
            return found
        raise self._close(refused)

    def _close(self, failure: HandlerError) -> HandlerError:
        """Close a purchase without a number, and return the failure to raise."""
        if self.result_unknown:
            _close_unknown(self.record)
        else:
            ledger.close(self.record, PurchaseState.REFUSED)
        return failure.as_final()

    def _purchased(self, observed: Observed) -> tuple[PurchaseRecord, Observed]:
        converged = observed.newly_purchased and self.resource.is_converged(observed, self.desired)
        if converged and not self.desired.wait_for_active:
            # Nothing is left to do, so one write records both BOUGHT and READY.
            ready = ledger.mark_ready(self.record, observed.physical_id)
            if ready is not None:
                return ready, observed
        record = ledger.mark_bought(self.record, observed.physical_id)
        if record is None:
            # This invocation was slower than its lease, and another one has made progress.
            record = ledger.refresh(self.record)
            if record.owns_number and record.physical_id and not record.canceled:
                if record.physical_id != observed.physical_id:
                    _release(self.invocation, self.resource, observed.physical_id)
                return record, read_existing(self.invocation, self.resource, record.physical_id)
        elif not record.canceled:
            return record, observed
        release_unused(self.invocation, self.resource, self.record, observed.physical_id)
        raise reasons.DELETED_DURING_PURCHASE.failure(noun=self.resource.display_name)

    def _find(self) -> Observed | None:
        found = _search(self.invocation, lambda: self.resource.find(self.desired, self.record.identity))
        self.must_search = False
        return found

    def _check_deadline(self) -> None:
        """Start no attempt after the deadline."""
        if clock.now() > self.invocation.deadline:
            self._stop("There was no time left for the purchase.")

    def _wait(self, cause: str) -> None:
        if not self.invocation.wait(self.backoff):
            self._stop(cause)

    def _stop(self, cause: str) -> NoReturn:
        error = self.invocation.timed_out(reasons.OUT_OF_TIME.failure(cause=cause))
        holds_lease = self.record.lease_owner == self.invocation.key
        raise self._close(error) if isinstance(error, HandlerError) and holds_lease else error


def purchase(invocation: Invocation, resource: Resource[Any], desired: Properties) -> tuple[PurchaseRecord, Observed]:
    """Purchase exactly one for this request.

    Raises HandlerError if nothing was purchased, UnknownOutcomeError if the next invocation must find out.
    """
    request = invocation.request
    record = PurchaseRecord(
        resource=ledger.resource_key(request.stack_id, request.logical_resource_id),
        request_id=request.request_id,
        request_type=request.request_type,
        resource_type=request.resource_type,
        replaces=request.physical_resource_id,
        issued_at=invocation.issued_at,
        opened_at=clock.now(),
    )
    purchaser = Purchaser(invocation, resource, desired, record)
    refused = reasons.NOT_REQUESTED if invocation.final else reasons.SUPERSEDED
    error: HandlerError | UnknownOutcomeError = refused.failure(noun=resource.display_name)
    try:
        opened = not invocation.final and purchaser.open()
    except (HandlerError, UnknownOutcomeError) as failure:
        opened, error = False, failure
    if not opened:
        # An earlier invocation may have made the purchase, whatever prevents this one.
        earlier = ledger.history(record.resource).by_request(request.request_id)
        if earlier is None:
            raise error
        purchaser = Purchaser(invocation, resource, desired, earlier, attempted=earlier.attempted)
    return purchaser.run()


def read_existing(invocation: Invocation, resource: Resource[Any], physical_id: str) -> Observed:
    """Read a resource that must exist. A service may not return immediately what it has just sold, so this retries."""

    def read() -> Observed:
        observed = resource.read(physical_id)
        if observed is None:
            raise reasons.RELEASED_OUTSIDE.as_kind(RetryableError, noun=resource.display_name, id=physical_id)
        return observed

    return invocation.retry(read)


def release_unused(invocation: Invocation, resource: Resource[Any], record: PurchaseRecord, physical_id: str) -> None:
    """Release a number that was never reported to a stack, and close its purchase. Removes every blocker."""
    _release(invocation, resource, physical_id)
    ledger.close(record, PurchaseState.RELEASED, physical_id)


def cancel(invocation: Invocation, record: PurchaseRecord) -> None:
    """Cancel a purchase, and release what it purchased or may have purchased.

    Raises UnknownOutcomeError while another invocation holds its lease.
    """
    resource = resources.by_type(record.resource_type)
    record = ledger.cancel(record)
    backoff = Backoff()
    retry_until = clock.now() + settings().retry_period
    while record.state is PurchaseState.OPEN and record.lease_until > clock.now():
        if not invocation.wait(backoff, until=min(retry_until, invocation.ends_at)):
            raise UnknownOutcomeError("Another invocation is still making the purchase that must be released.")
        record = ledger.refresh(record)
    if record.owns_number:
        release_unused(invocation, resource, record, record.physical_id or "")
        return
    if record.state not in {PurchaseState.OPEN, PurchaseState.UNKNOWN}:
        return
    if not record.attempted:
        ledger.close(record, PurchaseState.REFUSED)
        return
    # The declaration may have changed since the purchase, so it does not narrow the search.
    found = _search(invocation, lambda: resource.find(None, record.identity))
    if found is not None:
        release_unused(invocation, resource, record, found.physical_id)
    elif record.state is not PurchaseState.UNKNOWN:
        # Tags can become visible later. The sweep searches again.
        _close_unknown(record)


def _close_unknown(record: PurchaseRecord) -> None:
    ledger.close(record, PurchaseState.UNKNOWN)
    count("UnknownPurchases")
    logger.warning("The result of a purchase is unknown", extra={"purchase_request_id": record.request_id})


def _release(invocation: Invocation, resource: Resource[Any], physical_id: str) -> None:
    """Release an unused number. A failure carries its ID, so that CloudFormation's Delete can name it."""
    try:
        invocation.retry(lambda: resource.release(physical_id, ALLOW_ALL))
    except HandlerError as failure:
        failure.physical_id = physical_id
        raise
    logger.info("Released an unused purchase", extra={"physical_resource_id": physical_id})


def _search(invocation: Invocation, find: Callable[[], Observed | None]) -> Observed | None:
    """Search by tags. In the final invocation, a failed search returns None; the sweep searches again."""
    try:
        return invocation.retry(find)
    except UnknownOutcomeError:
        if invocation.final:
            return None
        raise
