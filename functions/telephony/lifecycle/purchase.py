"""Purchases exactly once.

Three mechanisms work together, because each alone can leak a number: the ledger records that an attempt may have been
made, the derived ClientToken makes the service return the same number again, and the ownership tags find a number that
the service no longer returns.
"""

from __future__ import annotations

import copy
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from telephony import clock, reasons
from telephony.aws import rate_limiter, services
from telephony.cloudformation import stacks
from telephony.cloudformation.stacks import Activity
from telephony.errors import (
    DeferredError,
    HandlerError,
    NumberUnavailableError,
    RetryableError,
    ThrottledError,
    UnknownOutcomeError,
)
from telephony.lifecycle import claim_limit, ledger, recovery
from telephony.lifecycle.invocation import Backoff, Invocation
from telephony.lifecycle.ledger import Closed, History, OpenResult, PurchaseRecord, PurchaseState
from telephony.lifecycle.release import bought, end, end_surplus, report_unknown
from telephony.model.properties import Properties
from telephony.model.recovery import reuses
from telephony.model.resource import Observed, Resource, Stability
from telephony.settings import settings

_MAX_ATTEMPTS = 5
"""Candidates to try, and attempts with an unknown result, per invocation."""
_MIN_SEARCHES = 3
"""Searches that must not find a number before an attempt of unknown result counts as refused."""

_PURCHASING = "Another invocation of this request is making the purchase."
_BUSY = "The state table was busy with another request for this resource."


class _ChangedError(Exception):
    """Another invocation has written the record. It is read again."""


class Purchaser:
    """Makes one purchase in one invocation."""

    def __init__(
        self, invocation: Invocation, resource: Resource[Any], desired: Properties, record: PurchaseRecord
    ) -> None:
        self.invocation = invocation
        self.resource = resource
        self.desired = desired
        self.record = record
        self.unknown_since: float | None = None
        """When an attempt of unknown result was noticed. Until it is resolved, token and candidate do not change."""
        self.must_search = False
        """Such an attempt was made since the last search by tags. Search before the next attempt."""
        self.searches = 0
        self.leased = False
        """The lease of the next attempt was written with the record."""
        self.attempts = 0
        self.attempted = False
        """An attempt was made, and its result is not recorded."""
        self.calls = resource.purchase_calls(desired)
        self.backoff = Backoff()

    def open(self, *, again: bool = False) -> bool:
        """Write the purchase record. Returns False if it exists, or if a newer request was processed.

        again: see `ledger.open_purchase`. If no reservation is pending, one transaction writes the record, its lease
        and the reservation. If a number is pending release that the request can take, it is taken instead.
        """
        if reuses(self.desired) and self._take(again=again):
            return True
        check = self.resource.recoverable
        while (opened := self._open(again=again, recoverable=check)) is OpenResult.PENDING:
            if self._take(again=again):
                return True
            check = False  # None of the numbers that are pending release fits.
        return opened is OpenResult.WRITTEN

    def _take(self, *, again: bool) -> bool:
        taken = recovery.take(self.invocation, self.resource, self.desired, self.record, again=again)
        self.record = taken or self.record
        return taken is not None

    def _open(self, *, again: bool, recoverable: bool) -> OpenResult:
        """Return WRITTEN, REFUSED or PENDING."""
        purchase_call, *others = self.calls
        services.create_client(purchase_call[0])
        self._check_deadline()
        opened, candidate = OpenResult.BUSY, None
        try:
            claim_limit.check(self.resource, self.desired, self.record)
            immediate = self._reserve(*others) <= clock.now()
            if immediate:
                candidate = self.invocation.retry(lambda: self.resource.select_candidate(self.desired))
        except HandlerError:
            if recoverable and ledger.pending_release(ledger.recovery_key(self.record)):
                return OpenResult.PENDING  # It needs no call of the purchase.
            raise
        if immediate:
            self.record = copy.replace(self.record, candidate=candidate)
            leased = ledger.with_lease(self.record, self.invocation.key)
            slot = rate_limiter.immediate_slot(*purchase_call)
            opened = ledger.open_purchase(leased, again=again, recovery=recoverable, reservation=slot)
            if opened is OpenResult.WRITTEN:
                if slot is not None:
                    rate_limiter.mark_reserved(*purchase_call)
                self.record, self.leased = leased, True
        for _ in range(_MAX_ATTEMPTS):
            if opened is not OpenResult.BUSY:
                return opened
            opened = ledger.open_purchase(self.record, again=again, recovery=recoverable)
            if opened is OpenResult.BUSY:
                self._wait(_BUSY)
        raise UnknownOutcomeError(_BUSY)

    def _reserve(self, *calls: rate_limiter.Call) -> float:
        try:
            return rate_limiter.reserve(*calls)
        except DeferredError as deferred:
            raise self.invocation.deferred(deferred) from None

    def run(self) -> tuple[PurchaseRecord, Observed]:
        """Purchase, or return what an earlier invocation purchased.

        Raises HandlerError if nothing was purchased, UnknownOutcomeError if that is unknown.
        """
        while True:
            try:
                purchased = self._step()
            except _ChangedError:
                self.record = ledger.refresh(self.record)
            except UnknownOutcomeError:
                self._end_lease()
                raise
            else:
                if purchased is not None:
                    return purchased

    def _end_lease(self) -> None:
        """Let the next invocation continue without waiting for the lease: no call is in progress."""
        if self.record.state is PurchaseState.BUYING and self.record.lease_owner == self.invocation.key:
            unknown_since = self.unknown_since or (clock.now() if self.attempted else None)
            state = PurchaseState.OPEN if unknown_since is None else PurchaseState.BUYING
            with suppress(UnknownOutcomeError):
                ledger.write(self.record, state=state, lease_until=0, unknown_since=unknown_since)

    def _step(self) -> tuple[PurchaseRecord, Observed] | None:
        record, own = self.record, self.record.lease_owner == self.invocation.key
        if record.owns_number:
            return record, read_existing(self.invocation, self.resource, record.physical_id or "")
        if record.ended or record.state not in {PurchaseState.OPEN, PurchaseState.BUYING}:
            raise reasons.CANCELED.failure(noun=self.resource.display_name)
        if record.state is PurchaseState.BUYING and not own:
            if record.lease_until > clock.now():
                if not self.invocation.wait(self.backoff):
                    raise UnknownOutcomeError(_PURCHASING, at=record.lease_until)
                raise _ChangedError
            self._notice_unknown()
        if self.must_search and (found := self._find()) is not None:
            return self._purchased(found)
        if self.invocation.final:
            unknown = self.unknown_since is not None
            raise self._close(self._result_unknown() if unknown else _not_requested(self.invocation, self.resource))
        if not self.leased:
            self._acquire_lease()
        self.leased = False
        observed = self._attempt()
        return None if observed is None else self._purchased(observed)

    def _notice_unknown(self) -> None:
        self.unknown_since = self.unknown_since or self.record.unknown_since or clock.now()
        self.must_search = True

    def _write(self, **changes: Any) -> None:
        written = ledger.write(self.record, **changes)
        if written is None:
            raise _ChangedError
        self.record = written

    def _acquire_lease(self) -> None:
        """Wait for the reservations without a lease, because they can be due later than a lease ends."""
        self._check_deadline()
        try:
            rate_limiter.wait(*self.calls)
        except DeferredError as deferred:
            error = self.invocation.deferred(deferred)
            raise self._close(error) if isinstance(error, HandlerError) else error from None
        if self.unknown_since is None:
            self._check_claim_limit()
        # A repeated attempt uses its candidate.
        candidate = self.record.candidate or self._select_candidate()
        leased = ledger.with_lease(self.record, self.invocation.key)
        self._write(
            state=leased.state,
            lease_owner=leased.lease_owner,
            lease_until=leased.lease_until,
            attempted_at=leased.attempted_at,
            candidate=candidate,
            unknown_since=self.unknown_since,
        )

    def _check_claim_limit(self) -> None:
        """Other requests may have reached the limit since this one was opened."""
        try:
            claim_limit.check(self.resource, self.desired, self.record)
        except HandlerError as refused:
            raise self._close(refused) from None

    def _select_candidate(self) -> str | None:
        try:
            return self.invocation.retry(lambda: self.resource.select_candidate(self.desired))
        except HandlerError as refused:
            raise self._close(refused) from None

    def _attempt(self) -> Observed | None:
        """Make one attempt under the lease. Returns None if another attempt can be made."""
        self.attempts += 1
        self.attempted = True
        try:
            return self.resource.acquire(self.desired, self.record.identity)
        except ThrottledError as throttled:
            self.attempts -= 1
            self.attempted = False
            if not self.invocation.wait(self.backoff):
                self._stop(self.invocation.throttled(throttled))
        except UnknownOutcomeError as error:
            if isinstance(error, DeferredError) and self.calls[0] in error.calls:
                self.attempted = False
                raise
            self._notice_unknown()
            if self.attempts >= _MAX_ATTEMPTS:
                if self.invocation.must_respond:
                    self._stop(self._result_unknown())
                raise
            self._wait("The result of the last purchase attempt is unknown.")
        except HandlerError as refused:
            self.attempted = False
            return self._refused_after_unknown(refused) if self.unknown_since is not None else self._refused(refused)
        return None

    def _refused_after_unknown(self, refused: HandlerError) -> Observed | None:
        """An earlier attempt may have purchased a number, even the candidate that is refused now.

        The same attempt is repeated until it succeeds, the number is found, or several searches over a period show that
        there is none.
        """
        if (found := self._find()) is not None:
            return found
        since = self.unknown_since or 0
        if self.searches >= _MIN_SEARCHES and clock.now() - since > settings().unknown_result_period:
            self.unknown_since = None
            return self._refused(refused)
        self.attempts = 0
        self._wait(refused.cause)
        return None

    def _refused(self, refused: HandlerError) -> Observed | None:
        """The attempt purchased nothing. Prepare another one if the refusal can be temporary, or raise it."""
        temporary = isinstance(refused, RetryableError)
        refused_at = self.invocation.noticed.setdefault("purchase refused", clock.now())
        exhausted = clock.now() - refused_at > settings().retry_period
        another = isinstance(refused, NumberUnavailableError) and self.attempts < _MAX_ATTEMPTS
        if exhausted or not (temporary or another):
            raise self._close(claim_limit.learn(self.invocation, self.resource, self.desired, self.record, refused))
        # The services pin a failure to its ClientToken, so another attempt needs another token.
        attempt = self.record.attempt + 1
        self._write(state=PurchaseState.OPEN, attempt=attempt, candidate=None, unknown_since=None)
        if temporary:
            self._wait(refused.cause)
        return None

    def _close(self, failure: HandlerError) -> HandlerError:
        """End a purchase without a number, and return the failure to raise."""
        if self.unknown_since is not None:
            self._write(ended=True, unknown_since=self.unknown_since)
            report_unknown(self.record)
        else:
            self._write(state=PurchaseState.CLOSED, closed=Closed.REFUSED)
        return failure.as_final()

    def _purchased(self, observed: Observed) -> tuple[PurchaseRecord, Observed]:
        """Record the number. It is released if the purchase has ended, or has another number already."""
        converged = observed.newly_purchased and self.resource.is_converged(observed, self.desired)
        in_time = clock.now() < self.invocation.service_deadline
        # If nothing is left to do, one write records both BOUGHT and READY.
        done = converged and in_time and not self.desired.wait_for_active
        while self.record.state is PurchaseState.BUYING:
            state = PurchaseState.READY if done and not self.record.ended else PurchaseState.BOUGHT
            claimed = observed.stability is Stability.ACTIVE
            written = bought(self.record, observed, state=state, claimed=claimed)
            self.record = written or ledger.refresh(self.record)
        record = self.record
        if record.physical_id != observed.physical_id:
            # This invocation was slower than its lease, and another one has purchased or ended meanwhile.
            end_surplus(self.invocation, record, observed)
            if record.owns_number:
                return record, read_existing(self.invocation, self.resource, record.physical_id or "")
        if record.owns_number:
            return record, observed
        end(self.invocation, record)
        raise reasons.DELETED_DURING_PURCHASE.failure(noun=self.resource.display_name)

    def _find(self) -> Observed | None:
        """Search by tags."""
        find = partial(self.resource.find, self.desired, self.record.identity)
        found = self.invocation.search(find, f"search: {self.record.request_id}")
        self.must_search = False
        self.searches += 1
        return found

    def _check_deadline(self) -> None:
        """Start no attempt after the deadline."""
        if clock.now() > self.invocation.call_deadline:
            self._stop(self._out_of_time("There was no time left for the purchase."))

    def _wait(self, cause: str) -> None:
        if not self.invocation.wait(self.backoff):
            self._stop(self._out_of_time(cause))

    def _out_of_time(self, cause: str) -> HandlerError | UnknownOutcomeError:
        error = self.invocation.timed_out(reasons.OUT_OF_TIME.failure(cause=cause))
        unknown = isinstance(error, HandlerError) and self.unknown_since is not None
        return self._result_unknown() if unknown else error

    def _result_unknown(self) -> HandlerError:
        return reasons.RESULT_UNKNOWN.failure(noun=self.resource.display_name)

    def _stop(self, error: HandlerError | UnknownOutcomeError) -> NoReturn:
        holds_lease = self.record.lease_owner == self.invocation.key
        raise self._close(error) if isinstance(error, HandlerError) and holds_lease else error


def purchase(
    invocation: Invocation, resource: Resource[Any], desired: Properties, history: History | None = None
) -> tuple[PurchaseRecord, Observed]:
    """Purchase exactly one for this request.

    history: what the ledger holds for the resource, if it was read. Raises HandlerError if nothing was purchased,
    UnknownOutcomeError if the next invocation must find out.
    """
    request = invocation.request
    key = ledger.resource_key(request.stack_id, request.logical_resource_id)
    record = PurchaseRecord(
        resource=key,
        request_id=request.request_id,
        request_time=request.time,
        resource_type=request.resource_type,
        replaces=request.physical_resource_id,
        issued_at=invocation.issued_at,
        opened_at=clock.now(),
        deadline=invocation.service_deadline,
    )
    error: HandlerError | UnknownOutcomeError = reasons.SUPERSEDED.failure(noun=resource.display_name)
    if invocation.final:
        error = _not_requested(invocation, resource)
    purchaser, opened = Purchaser(invocation, resource, desired, record), False
    if history is None and invocation.continued:
        history = ledger.history(key)
    earlier = None if history is None else history.by_request(request.request_id, request.time)
    try:
        opened = earlier is None and not invocation.final and purchaser.open()
        if not opened and earlier is None:
            history = ledger.history(key)
            earlier = history.by_request(request.request_id, request.time)
            if earlier is None and not invocation.final and is_newest(invocation, history):
                opened = purchaser.open(again=True)
    except (HandlerError, UnknownOutcomeError) as failure:
        error = failure
    if not opened:
        # An earlier invocation may have made the purchase, whatever prevents this one.
        earlier = ledger.history(key).by_request(request.request_id, request.time)
        if earlier is None:
            raise error
        purchaser = Purchaser(invocation, resource, desired, _joined(invocation, earlier))
    return purchaser.run()


def _not_requested(invocation: Invocation, resource: Resource[Any]) -> HandlerError:
    return reasons.NOT_REQUESTED.after(invocation.last_error, noun=resource.display_name)


def is_newest(invocation: Invocation, history: History) -> bool:
    """Return whether no newer Create or Update was processed.

    Of two requests in the same second, the one that CloudFormation waits for is newer: the one of an operation that is
    not rolled back. A rollback does not need a purchase.
    """
    request = invocation.request
    if history.updated_at < invocation.issued_at or history.updated_by == request.request_id:
        return history.updated_at <= invocation.issued_at
    return invocation.retry(lambda: stacks.activity(request.stack_id) is Activity.UPDATING)


def _joined(invocation: Invocation, record: PurchaseRecord) -> PurchaseRecord:
    """Return the purchase that a request continues, as one of this request if its URL is newer."""
    deadline = invocation.service_deadline
    while record.deadline < deadline and record.state is not PurchaseState.CLOSED:
        record = ledger.write(record, deadline=deadline, issued_at=invocation.issued_at) or ledger.refresh(record)
    return record


def read_existing(
    invocation: Invocation,
    resource: Resource[Any],
    physical_id: str,
    missing: reasons.Reason = reasons.RELEASED_OUTSIDE,
) -> Observed:
    """Read a resource that must exist. A service may not return immediately what it has just sold, so this retries."""

    def read() -> Observed:
        observed = resource.read(physical_id)
        if observed is None:
            raise missing.as_kind(RetryableError, noun=resource.display_name, id=physical_id)
        return observed

    return invocation.retry(read)
