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
from telephony.errors import Failure, OutOfTurn, Throttled, Unavailable, Undecided, Unsettled
from telephony.lifecycle import ledger
from telephony.lifecycle.invocation import Invocation, Pauses
from telephony.lifecycle.ledger import Intent, Opened, State
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
    intent: Intent
    unsure: bool
    """An attempt was made whose effect is not known."""
    look: bool
    """It was made since the tags were looked at: do that before trying again."""
    leased: bool = False
    """The lease of the next attempt was written with the intent."""
    behind: bool = False
    """Others stood in line for the call."""
    attempts: int = 0
    refused_at: float | None = None
    """When an attempt was first refused for a reason that passes with time, or with another candidate."""
    pauses: Pauses = attrs.field(factory=Pauses)

    def begin(self) -> bool:
        """Write the intent. False if there is one already, or if a newer request has been worked on.

        Where nobody stands in line for the call, lease and turn are written with it: one write in place of three.
        """
        call = self.resource.buying_call(self.desired)
        services.prepare(call[0])
        self._refuse_last_seconds()
        chosen = self.invocation.patiently(lambda: self.resource.choose(self.desired))
        self.intent = attrs.evolve(self.intent, chosen=chosen)
        leased = ledger.leased(self.intent, self.invocation.key)
        opened = ledger.open_intent(leased, turn=rate_limiter.offer(*call))
        if opened is Opened.WRITTEN:
            rate_limiter.hold(*call)
            self.intent, self.leased = leased, True
        elif opened is Opened.BUSY:
            self.behind = True
            opened = ledger.open_intent(self.intent)
        for _ in range(_ATTEMPTS):
            if opened is not Opened.BUSY:
                return opened is Opened.WRITTEN
            self._pause(_BUSY)
            opened = ledger.open_intent(self.intent)
        raise Undecided(_BUSY)

    def run(self) -> tuple[Intent, Observed]:
        """Buy, or take what an earlier run bought. Raise Failure if there is nothing, Undecided if unknown."""
        while True:
            intent = self.intent
            if intent.live:
                return intent, present(self.invocation, self.resource, intent.physical_id or "")
            if intent.cancelled or intent.state is not State.INTENT:
                raise reasons.GIVEN_UP.failure(noun=self.resource.noun)
            if intent.lease_until > clock.now() and intent.lease_owner != self.invocation.key:
                self._pause("Another run of this request is buying at this moment.")
                self._refresh()
                continue
            if self.look and (found := self._find()) is not None:
                return self._bought(found)
            if self.invocation.final:
                end = reasons.NEVER_LEARNT if self.unsure else reasons.NEVER_WORKED
                raise self._nothing(end.failure(noun=self.resource.noun))
            if not (self.leased or self._lease()):
                self._refresh()
                continue
            self.leased = False
            observed = self._attempt()
            if observed is not None:
                return self._bought(observed)

    def _refresh(self) -> None:
        self.intent = ledger.refresh(self.intent)
        if self.intent.begun and self.intent.lease_owner != self.invocation.key:
            # Another run has made an attempt meanwhile.
            self.unsure = self.look = True

    def _lease(self) -> bool:
        """Get ready for an attempt, and take its lease; False if it may not be."""
        self._refuse_last_seconds()
        chosen = self.intent.chosen or self._choose()
        self._wait_for_turn()
        leased = ledger.take_lease(attrs.evolve(self.intent, chosen=chosen), self.invocation.key)
        self.intent = leased or self.intent
        return leased is not None

    def _choose(self) -> str | None:
        try:
            return self.invocation.patiently(lambda: self.resource.choose(self.desired))
        except Failure as refused:
            raise self._nothing(refused) from None

    def _wait_for_turn(self) -> None:
        """Before the lease, because a line can be longer than a lease."""
        try:
            rate_limiter.wait(
                *self.resource.buying_call(self.desired), reserved=self.intent.turn_at, behind=self.behind
            )
        except OutOfTurn as late:
            meant = self.invocation.out_of_turn(late)
            if isinstance(meant, Failure):
                raise self._nothing(meant) from None
            ledger.keep_turn(self.intent, late.at)
            raise

    def _attempt(self) -> Observed | None:
        """Make one attempt under the lease; None if there may be another."""
        self.attempts += 1
        try:
            return self.resource.acquire(self.desired, self._purchase())
        except Throttled:
            self.attempts -= 1
            self._pause(f"The account's rate of requests for a {self.resource.noun} is used up by others.")
        except Undecided:
            self.unsure = self.look = True
            if self.attempts >= _ATTEMPTS:
                raise
            self._pause("Whether the last attempt bought anything is not known.")
        except (Unavailable, Unsettled) as refused:
            # What is not available may be so because an earlier attempt took it.
            if self.unsure and (found := self._find()) is not None:
                return found
            if self.attempts >= _ATTEMPTS and not isinstance(refused, Unsettled):
                return self._refused(refused)
            self.refused_at = self.refused_at or clock.now()
            if clock.now() - self.refused_at > settings().patience:
                return self._refused(refused)
            # The services pin a failure to its ClientToken: another attempt needs another token.
            self.intent = attrs.evolve(self.intent, attempt=self.intent.attempt + 1, chosen=None)
            if isinstance(refused, Unsettled):
                self._pause(refused.cause)
        except Failure as refused:
            return self._refused(refused)
        return None

    def _refused(self, refused: Failure) -> Observed:
        """Nothing was bought by this attempt; whether by an earlier one, only the tags can tell."""
        if self.unsure and (found := self._find()) is not None:
            return found
        raise self._nothing(refused)

    def _nothing(self, why: Failure) -> Failure:
        """Close a purchase that comes to nothing, as far as is known."""
        if self.unsure:
            ledger.close(self.intent, State.SUSPECT)
            count("SuspectPurchases", ResourceType=self.resource.type_name)
        else:
            ledger.close(self.intent, State.REFUSED)
        return why.as_final()

    def _bought(self, observed: Observed) -> tuple[Intent, Observed]:
        if observed.fresh and not self.desired.wait_for_active and self.resource.complete(observed, self.desired):
            # Nothing lies between the purchase and the promise: one write in place of two.
            promised = ledger.ready(self.intent, observed.physical_id)
            if promised is not None:
                return promised, observed
        recorded = ledger.bought(self.intent, observed.physical_id)
        if recorded is None:
            # This run was slower than its lease, and another one has come further meanwhile.
            recorded = ledger.refresh(self.intent)
            if recorded.live and recorded.physical_id and not recorded.cancelled:
                if recorded.physical_id != observed.physical_id:
                    release(self.invocation, self.resource, observed.physical_id)
                return recorded, present(self.invocation, self.resource, recorded.physical_id)
        elif not recorded.cancelled:
            return recorded, observed
        give_back(self.invocation, self.resource, self.intent, observed.physical_id)
        raise reasons.DELETED_WHILE_BUYING.failure(noun=self.resource.noun)

    def _find(self) -> Observed | None:
        found = _look(self.invocation, lambda: self.resource.find(self.desired, self._purchase()))
        self.look = False
        return found

    def _purchase(self) -> Purchase:
        return purchase_of(self.invocation, self.intent)

    def _refuse_last_seconds(self) -> None:
        """When it is time to answer, or to leave that to the next run, no attempt is begun."""
        if clock.now() > self.invocation.until:
            self._stop("No time was left to buy.")

    def _pause(self, cause: str) -> None:
        if not self.invocation.pause(self.pauses):
            self._stop(cause)

    def _stop(self, cause: str) -> NoReturn:
        ends = self.invocation.out_of_time(reasons.OUT_OF_TIME.failure(cause=cause))
        held_by_us = self.intent.lease_owner == self.invocation.key
        raise self._nothing(ends) if isinstance(ends, Failure) and held_by_us else ends


def present(invocation: Invocation, resource: Resource[Any], physical_id: str) -> Observed:
    """Read what has to be there. A service may not show at once what it has just sold, so that is waited for."""

    def read() -> Observed:
        observed = resource.read(physical_id)
        if observed is None:
            raise reasons.GONE.as_kind(Unsettled, noun=resource.noun, id=physical_id)
        return observed

    return invocation.patiently(read)


def buy(invocation: Invocation, resource: Resource[Any], desired: Properties) -> tuple[Intent, Observed]:
    """Buy one for this request, exactly once.

    Raise Failure if there is none for certain, Undecided if the next run has to see.
    """
    request = invocation.request
    intent = Intent(
        resource=ledger.resource_key(request.stack_id, request.logical_resource_id),
        request_id=request.request_id,
        request_type=request.request_type,
        resource_type=request.resource_type,
        replaces=request.physical_resource_id,
        issued_at=invocation.issued_at,
        opened_at=clock.now(),
    )
    buying = Buying(invocation, resource, desired, intent, unsure=False, look=False)
    nothing = reasons.NEVER_WORKED if invocation.final else reasons.SUPERSEDED
    why: Failure | Undecided = nothing.failure(noun=resource.noun)
    try:
        begun = not invocation.final and buying.begin()
    except (Failure, Undecided) as trouble:
        begun, why = False, trouble
    if not begun:
        # What hinders this run need not matter: an earlier one may have bought.
        earlier = ledger.history(intent.resource).of_request(request.request_id)
        if earlier is None:
            raise why
        buying = Buying(invocation, resource, desired, earlier, unsure=earlier.begun, look=earlier.begun)
    return buying.run()


def _look(invocation: Invocation, find: Callable[[], Observed | None]) -> Observed | None:
    """Find what was bought; when nobody looks after this run, what cannot be seen now is left to the sweep."""
    try:
        return invocation.patiently(find)
    except Undecided:
        if invocation.final:
            return None
        raise


def purchase_of(invocation: Invocation, intent: Intent) -> Purchase:
    """A purchase as a resource type sees it."""
    return Purchase(
        owner=invocation.owner,
        request_id=intent.request_id,
        opened_at=intent.opened_at,
        attempt=intent.attempt,
        chosen=intent.chosen,
    )


def give_back(invocation: Invocation, resource: Resource[Any], intent: Intent, physical_id: str) -> None:
    """Release what no stack was promised, whatever is in its way, and close its purchase."""
    release(invocation, resource, physical_id)
    ledger.close(intent, State.RELEASED, physical_id)


def release(invocation: Invocation, resource: Resource[Any], physical_id: str) -> None:
    """Release a number that was bought in vain. A failure names it, so that CloudFormation's Delete can."""
    try:
        invocation.patiently(lambda: resource.release(physical_id, ANYTHING))
    except Failure as failure:
        failure.physical_id = physical_id
        raise
    logger.info("Released what was bought in vain", extra={"physical_resource_id": physical_id})


def reconcile(invocation: Invocation, intent: Intent) -> None:
    """End a purchase that nobody is to have: cancel it, and release what it brought or may have brought.

    Raise Undecided while somebody else still holds its lease.
    """
    resource = resources.by_type(intent.resource_type)
    intent = ledger.cancel(intent)
    pauses = Pauses()
    patience = clock.now() + settings().patience
    while intent.state is State.INTENT and intent.lease_until > clock.now():
        if not invocation.pause(pauses, until=min(patience, invocation.ends_at)):
            raise Undecided("Another run is still buying what is to be released.")
        intent = ledger.refresh(intent)
    if intent.live:
        give_back(invocation, resource, intent, intent.physical_id or "")
        return
    if intent.state not in {State.INTENT, State.SUSPECT}:
        return
    if not intent.begun:
        ledger.close(intent, State.REFUSED)
        return
    # What was declared then is not known now: the search is not narrowed by what is declared today.
    found = _look(invocation, lambda: resource.find(None, purchase_of(invocation, intent)))
    if found is not None:
        give_back(invocation, resource, intent, found.physical_id)
    elif intent.state is not State.SUSPECT:
        # Tags can come late: the sweep looks again, and nobody waits for it.
        ledger.close(intent, State.SUSPECT)
        count("SuspectPurchases", ResourceType=intent.resource_type)
