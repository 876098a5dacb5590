"""Buying exactly once, and making sure that what was bought in vain goes.

Three things together make it exact, because each of them alone leaks: the ledger says that somebody may have bought,
the derived ClientToken makes the service answer the same number again, and the ownership tags find what the service
no longer remembers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import attrs

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
from telephony.model.resource import Observed, OnDelete, Purchase, Resource
from telephony.observability import count, logger
from telephony.settings import settings

_ATTEMPTS = 5
"""How many candidates are tried, and how often a call of unknown effect is made, in one invocation."""

_BUSY = "The state table was busy with another request for this resource."

ANYTHING = OnDelete(lift_deletion_protection=True, leave_pools=True)
"""What a release may do to a number that no stack was ever promised."""


@attrs.define(repr=False, eq=False)
class Buying:
    """One purchase in the course of one invocation."""

    invocation: Invocation
    resource: Resource[Any]
    desired: Properties
    record: PurchaseRecord
    unsure: bool
    """An attempt was made whose effect is not known."""
    look: bool
    """It was made since the tags were looked at: do that before trying again."""
    leased: bool = False
    """The lease of the next attempt was written with the record."""
    behind: bool = False
    """Others stood in line for the call."""
    attempts: int = 0
    refused_at: float | None = None
    """When an attempt was first refused for a reason that passes with time, or with another candidate."""
    backoff: Backoff = attrs.field(factory=Backoff)

    def begin(self) -> bool:
        """Write the record. False if there is one already, or if a newer request has been worked on.

        Where nobody stands in line for the call, lease and turn are written with it: one write in place of three.
        """
        call = self.resource.purchase_call(self.desired)
        services.create_client(call[0])
        self._refuse_last_seconds()
        candidate = self.invocation.retry(lambda: self.resource.select_candidate(self.desired))
        self.record = attrs.evolve(self.record, candidate=candidate)
        leased = ledger.with_lease(self.record, self.invocation.key)
        opened = ledger.open_purchase(leased, turn=rate_limiter.reservation_write(*call))
        if opened is OpenResult.WRITTEN:
            rate_limiter.mark_reserved(*call)
            self.record, self.leased = leased, True
        elif opened is OpenResult.BUSY:
            self.behind = True
            opened = ledger.open_purchase(self.record)
        for _ in range(_ATTEMPTS):
            if opened is not OpenResult.BUSY:
                return opened is OpenResult.WRITTEN
            self._pause(_BUSY)
            opened = ledger.open_purchase(self.record)
        raise UnknownOutcomeError(_BUSY)

    def run(self) -> tuple[PurchaseRecord, Observed]:
        """Buy, or take what an earlier run bought. Raise HandlerError if there is nothing, UnknownOutcomeError if unknown."""
        while True:
            record = self.record
            if record.live:
                return record, present(self.invocation, self.resource, record.physical_id or "")
            if record.canceled or record.state is not PurchaseState.OPEN:
                raise reasons.GIVEN_UP.failure(noun=self.resource.display_name)
            if record.lease_until > clock.now() and record.lease_owner != self.invocation.key:
                self._pause("Another run of this request is buying at this moment.")
                self._refresh()
                continue
            if self.look and (found := self._find()) is not None:
                return self._bought(found)
            if self.invocation.final:
                end = reasons.NEVER_LEARNT if self.unsure else reasons.NEVER_WORKED
                raise self._nothing(end.failure(noun=self.resource.display_name))
            if not (self.leased or self._lease()):
                self._refresh()
                continue
            self.leased = False
            observed = self._attempt()
            if observed is not None:
                return self._bought(observed)

    def _refresh(self) -> None:
        self.record = ledger.refresh(self.record)
        if self.record.begun and self.record.lease_owner != self.invocation.key:
            # Another run has made an attempt meanwhile.
            self.unsure = self.look = True

    def _lease(self) -> bool:
        """Get ready for an attempt, and take its lease; False if it may not be."""
        self._refuse_last_seconds()
        candidate = self.record.candidate or self._choose()
        self._wait_for_turn()
        leased = ledger.acquire_lease(attrs.evolve(self.record, candidate=candidate), self.invocation.key)
        self.record = leased or self.record
        return leased is not None

    def _choose(self) -> str | None:
        try:
            return self.invocation.retry(lambda: self.resource.select_candidate(self.desired))
        except HandlerError as refused:
            raise self._nothing(refused) from None

    def _wait_for_turn(self) -> None:
        """Before the lease, because a line can be longer than a lease."""
        try:
            rate_limiter.wait_for_reservation(
                *self.resource.purchase_call(self.desired), reserved=self.record.reserved_at, behind=self.behind
            )
        except DeferredError as late:
            meant = self.invocation.deferred(late)
            if isinstance(meant, HandlerError):
                raise self._nothing(meant) from None
            ledger.save_reservation(self.record, late.at)
            raise

    def _attempt(self) -> Observed | None:
        """Make one attempt under the lease; None if there may be another."""
        self.attempts += 1
        try:
            return self.resource.acquire(self.desired, self._purchase())
        except ThrottledError:
            self.attempts -= 1
            self._pause(f"The account's rate of requests for a {self.resource.display_name} is used up by others.")
        except UnknownOutcomeError:
            self.unsure = self.look = True
            if self.attempts >= _ATTEMPTS:
                raise
            self._pause("Whether the last attempt bought anything is not known.")
        except (NumberUnavailableError, RetryableError) as refused:
            # What is not available may be so because an earlier attempt took it.
            if self.unsure and (found := self._find()) is not None:
                return found
            if self.attempts >= _ATTEMPTS and not isinstance(refused, RetryableError):
                return self._refused(refused)
            self.refused_at = self.refused_at or clock.now()
            if clock.now() - self.refused_at > settings().patience:
                return self._refused(refused)
            # The services pin a failure to its ClientToken: another attempt needs another token.
            self.record = attrs.evolve(self.record, attempt=self.record.attempt + 1, candidate=None)
            if isinstance(refused, RetryableError):
                self._pause(refused.cause)
        except HandlerError as refused:
            return self._refused(refused)
        return None

    def _refused(self, refused: HandlerError) -> Observed:
        """Nothing was bought by this attempt; whether by an earlier one, only the tags can tell."""
        if self.unsure and (found := self._find()) is not None:
            return found
        raise self._nothing(refused)

    def _nothing(self, why: HandlerError) -> HandlerError:
        """Close a purchase that comes to nothing, as far as is known."""
        if self.unsure:
            ledger.close(self.record, PurchaseState.UNKNOWN)
            count("UnknownPurchases")
        else:
            ledger.close(self.record, PurchaseState.REFUSED)
        return why.as_final()

    def _bought(self, observed: Observed) -> tuple[PurchaseRecord, Observed]:
        if (
            observed.newly_purchased
            and not self.desired.wait_for_active
            and self.resource.is_converged(observed, self.desired)
        ):
            # Nothing lies between the purchase and the promise: one write in place of two.
            promised = ledger.mark_ready(self.record, observed.physical_id)
            if promised is not None:
                return promised, observed
        recorded = ledger.mark_bought(self.record, observed.physical_id)
        if recorded is None:
            # This run was slower than its lease, and another one has come further meanwhile.
            recorded = ledger.refresh(self.record)
            if recorded.live and recorded.physical_id and not recorded.canceled:
                if recorded.physical_id != observed.physical_id:
                    release(self.invocation, self.resource, observed.physical_id)
                return recorded, present(self.invocation, self.resource, recorded.physical_id)
        elif not recorded.canceled:
            return recorded, observed
        release_unused(self.invocation, self.resource, self.record, observed.physical_id)
        raise reasons.DELETED_WHILE_BUYING.failure(noun=self.resource.display_name)

    def _find(self) -> Observed | None:
        found = _look(self.invocation, lambda: self.resource.find(self.desired, self._purchase()))
        self.look = False
        return found

    def _purchase(self) -> Purchase:
        return purchase_of(self.invocation, self.record)

    def _refuse_last_seconds(self) -> None:
        """When it is time to answer, or to leave that to the next run, no attempt is begun."""
        if clock.now() > self.invocation.deadline:
            self._stop("No time was left to buy.")

    def _pause(self, cause: str) -> None:
        if not self.invocation.wait(self.backoff):
            self._stop(cause)

    def _stop(self, cause: str) -> NoReturn:
        ends = self.invocation.timed_out(reasons.OUT_OF_TIME.failure(cause=cause))
        held_by_us = self.record.lease_owner == self.invocation.key
        raise self._nothing(ends) if isinstance(ends, HandlerError) and held_by_us else ends


def present(invocation: Invocation, resource: Resource[Any], physical_id: str) -> Observed:
    """Read what has to be there. A service may not show at once what it has just sold, so that is waited for."""

    def read() -> Observed:
        observed = resource.read(physical_id)
        if observed is None:
            raise reasons.GONE.as_kind(RetryableError, noun=resource.display_name, id=physical_id)
        return observed

    return invocation.retry(read)


def buy(invocation: Invocation, resource: Resource[Any], desired: Properties) -> tuple[PurchaseRecord, Observed]:
    """Buy one for this request, exactly once.

    Raise HandlerError if there is none for certain, UnknownOutcomeError if the next run has to see.
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
    buying = Buying(invocation, resource, desired, record, unsure=False, look=False)
    nothing = reasons.NEVER_WORKED if invocation.final else reasons.SUPERSEDED
    why: HandlerError | UnknownOutcomeError = nothing.failure(noun=resource.display_name)
    try:
        begun = not invocation.final and buying.begin()
    except (HandlerError, UnknownOutcomeError) as trouble:
        begun, why = False, trouble
    if not begun:
        # What hinders this run need not matter: an earlier one may have bought.
        earlier = ledger.history(record.resource).of_request(request.request_id)
        if earlier is None:
            raise why
        buying = Buying(invocation, resource, desired, earlier, unsure=earlier.begun, look=earlier.begun)
    return buying.run()


def _look(invocation: Invocation, find: Callable[[], Observed | None]) -> Observed | None:
    """Find what was bought; when nobody looks after this run, what cannot be seen now is left to the sweep."""
    try:
        return invocation.retry(find)
    except UnknownOutcomeError:
        if invocation.final:
            return None
        raise


def purchase_of(invocation: Invocation, record: PurchaseRecord) -> Purchase:
    """A purchase as a resource type sees it."""
    return Purchase(
        owner=invocation.owner,
        request_id=record.request_id,
        opened_at=record.opened_at,
        attempt=record.attempt,
        candidate=record.candidate,
    )


def release_unused(invocation: Invocation, resource: Resource[Any], record: PurchaseRecord, physical_id: str) -> None:
    """Release what no stack was promised, whatever is in its way, and close its purchase."""
    release(invocation, resource, physical_id)
    ledger.close(record, PurchaseState.RELEASED, physical_id)


def release(invocation: Invocation, resource: Resource[Any], physical_id: str) -> None:
    """Release a number that was bought in vain. A failure names it, so that CloudFormation's Delete can."""
    try:
        invocation.retry(lambda: resource.release(physical_id, ANYTHING))
    except HandlerError as failure:
        failure.physical_id = physical_id
        raise
    logger.info("Released what was bought in vain", extra={"physical_resource_id": physical_id})


def reconcile(invocation: Invocation, record: PurchaseRecord) -> None:
    """End a purchase that nobody is to have: cancel it, and release what it brought or may have brought.

    Raise UnknownOutcomeError while somebody else still holds its lease.
    """
    resource = resources.by_type(record.resource_type)
    record = ledger.cancel(record)
    backoff = Backoff()
    patience = clock.now() + settings().patience
    while record.state is PurchaseState.OPEN and record.lease_until > clock.now():
        if not invocation.wait(backoff, until=min(patience, invocation.ends_at)):
            raise UnknownOutcomeError("Another run is still buying what is to be released.")
        record = ledger.refresh(record)
    if record.live:
        release_unused(invocation, resource, record, record.physical_id or "")
        return
    if record.state not in {PurchaseState.OPEN, PurchaseState.UNKNOWN}:
        return
    if not record.begun:
        ledger.close(record, PurchaseState.REFUSED)
        return
    # What was declared then is not known now: the search is not narrowed by what is declared today.
    found = _look(invocation, lambda: resource.find(None, purchase_of(invocation, record)))
    if found is not None:
        release_unused(invocation, resource, record, found.physical_id)
    elif record.state is not PurchaseState.UNKNOWN:
        # Tags can come late: the sweep looks again, and nobody waits for it.
        ledger.close(record, PurchaseState.UNKNOWN)
        count("UnknownPurchases")
