"""The checks of the sweep: whether a stack still uses a number, and what became of a purchase.

A check releases a number only if that is allowed, and only on evidence: CloudFormation was never told of it, or a
Delete of it was processed and CloudFormation has dropped it since. It never releases what a policy retained.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import attrs

from telephony import clock, resources
from telephony.cloudformation import stacks
from telephony.cloudformation.stacks import Activity, Knowledge
from telephony.data import data
from telephony.errors import UnknownOutcomeError
from telephony.lifecycle import ledger
from telephony.lifecycle.effects import Effect, ending
from telephony.lifecycle.invocation import Retrier
from telephony.lifecycle.ledger import Closed, PurchaseRecord, PurchaseState
from telephony.lifecycle.recovery import restore
from telephony.lifecycle.release import bought, close, end_surplus, read_own_tags, release
from telephony.model.recovery import tag_value
from telephony.model.resource import ALLOW_ALL, Observed, ReleasePolicy, Resource, Stability
from telephony.model.tags import Owner

_MIN_SEARCHES = 2
_MAX_TAG_DELAY = 86_400
"""Seconds after which tags that are still not visible in several searches do not exist."""

_CHANGED = "A request used the purchase during the check."


class Finding(StrEnum):
    """What the sweep reports. docs/operations.md describes what to do."""

    STACK_DELETED = "The stack that purchased the number no longer exists"
    NOT_REFERENCED = "The stack that purchased the number does not reference it"
    RETAINED = "A DeletionPolicy, an UpdateReplacePolicy or an operator retained the number"
    PENDING_RELEASE = "The number is pending release, and is billed until then"
    RELEASED_WHEN_DUE = "The recovery window of the number ended; it was released"
    OTHER_ACCOUNT = "The stack that purchased the number belongs to another account and can't be read"
    UNKNOWN_PURCHASE_FOUND = "A purchase holds a number that no stack uses"
    UNKNOWN_PURCHASE_RELEASED = "A purchase held a number that no stack used; it was released"
    UNKNOWN_PURCHASE_OPEN = "The result of a purchase is unknown; no number was found yet"
    NOT_CHECKED = "A number or purchase could not be checked"


@data
class Check(Retrier):
    """One check, and how long it can take."""

    deadline: float
    may_release: bool
    activities: dict[str, Activity]
    """By StackId, as earlier checks have read them."""
    noticed: dict[str, float] = attrs.field(factory=dict)
    details: dict[str, str] = attrs.field(factory=dict)
    """What to report besides the finding."""

    def purchase(self, record: PurchaseRecord) -> Finding | None:
        """Check a purchase that no request has finished."""
        resource = resources.by_type(record.resource_type)
        if record.state is PurchaseState.OPEN:
            close(record, Closed.REFUSED)
            return None
        if record.state is PurchaseState.BUYING:
            found = self.retry(lambda: resource.find(None, record.identity))
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
        elif not self._is_held(resource, record):
            # The release of a Delete that was not recorded counts. The tags of a sender ID can become visible later.
            released = record.state is PurchaseState.RELEASING and ending(record) is Effect.RELEASED
            close(record, Closed.RELEASED if released and not resource.reusable_ids else Closed.GONE)
            return None
        if record.reported:
            # A Delete ran out of time. It is continued if CloudFormation has dropped the number since.
            return self._reported(resource, record, {Knowledge.NAMED, Knowledge.NEVER_NAMED})
        return self._release_purchase(resource, record)

    def due(self, record: PurchaseRecord) -> Finding | None:
        """Release a number whose recovery window has ended. What protects it since then prevents that."""
        resource = resources.by_type(record.resource_type)
        observed = self.retry(lambda: resource.read(record.physical_id or ""))
        if observed is None:
            close(record, Closed.GONE)
            return None
        if self._knowledge(record) is Knowledge.RETAINED and restore(self, observed.physical_id):
            # CloudFormation did not receive the response to the Delete, and then skipped it.
            return Finding.RETAINED
        if not self.may_release:
            return self._pending(observed, record)
        release(self, resource, record, ReleasePolicy())
        return Finding.RELEASED_WHEN_DUE

    def number(self, resource: Resource[Any], physical_id: str, owner: Owner | None) -> Finding | None:
        """Check a number that its stack does not reference. owner: as far as it is known without the tags."""
        observed = self.retry(lambda: resource.read(physical_id))
        if observed is None:
            return None
        tags = self.retry(lambda: resource.read_tags(observed))
        tagged = Owner.of(tags)
        # The tags of a number can be removed by hand. Without them, a reusable ID has another owner.
        owner = tagged or (None if resource.reusable_ids else owner)
        if owner is None:
            return None
        history = ledger.history(ledger.resource_key(owner.stack_id, owner.logical_resource_id))
        if tagged is None:
            record = history.by_physical_id(physical_id)
        else:
            record = next((each for each in history.purchases if each.identity.matches(tags)), None)
        if record is not None and record.closed is Closed.TAKEN:
            # The tags can still be those of the former purchase.
            holder = ledger.holder(physical_id)
            record = record if holder is None else holder.record
        if record is not None:
            pending = record.state is PurchaseState.PENDING_RELEASE
            return self._pending(observed, record) if pending else self._recorded(resource, observed, record)
        return None if tagged is None else self._unreferenced(owner, physical_id)

    def _recorded(self, resource: Resource[Any], observed: Observed, record: PurchaseRecord) -> Finding | None:
        """Check a number with its purchase."""
        attempting = record.state in {PurchaseState.OPEN, PurchaseState.BUYING}
        if not attempting and record.physical_id != observed.physical_id:
            return self._release(lambda: end_surplus(self, record, observed))
        if record.state is PurchaseState.READY:
            return self._reported(resource, record, {Knowledge.NEVER_NAMED})
        if record.closed is Closed.GONE:
            # The tags of a sender ID became visible after its Delete. It still belongs to the purchase.
            return self._reported(resource, record, {Knowledge.NEVER_NAMED, Knowledge.NAMED})
        ended = record.closed is Closed.ADOPTION_ENDED
        if record.closed is Closed.RETAINED or (ended and record.purchased):
            return Finding.RETAINED
        lapsed = record.closed is Closed.LAPSED and observed.stability is Stability.FAILED
        if lapsed or ended or record.state is not PurchaseState.CLOSED:
            # The service removes it. Or it has another owner again, is in progress, or is checked with the purchases.
            return None
        return self._unreferenced(record.identity.owner, observed.physical_id)

    def _pending(self, observed: Observed, record: PurchaseRecord) -> Finding:
        """Report a number that is pending release, with its due date and its price."""
        self.details["release_after"] = tag_value(record.release_after or 0)
        self.details["monthly_price"] = observed.attributes.get("MonthlyLeasingPrice", "")
        return Finding.PENDING_RELEASE

    def _reported(self, resource: Resource[Any], record: PurchaseRecord, releasable: set[Knowledge]) -> Finding | None:
        """Check a number that CloudFormation may have been told of, and release it if its events justify that."""
        owner, physical_id = record.identity.owner, record.physical_id or ""
        finding = self._unreferenced(owner, physical_id)
        if finding in {None, Finding.OTHER_ACCOUNT}:
            return finding
        knowledge = self._knowledge(record)
        if knowledge is Knowledge.RETAINED:
            close(record, Closed.RETAINED)
            return Finding.RETAINED
        # Deleted stacks had time to send another Delete: what they named is only reported, unless a Delete has ended.
        ended = record.state is PurchaseState.CLOSED or knowledge is Knowledge.NEVER_NAMED
        dropped = knowledge in releasable and (finding is Finding.NOT_REFERENCED or ended)
        # The blockers of a number that a stack used are removed by its Delete or by an operator only.
        policy = ALLOW_ALL if knowledge is Knowledge.NEVER_NAMED else ReleasePolicy()
        return self._release_purchase(resource, record, policy) if dropped else finding

    def _knowledge(self, record: PurchaseRecord) -> Knowledge:
        """Return what the events of the stack show about the number of a purchase."""
        owner = record.identity.owner
        ids = (owner.stack_id, owner.logical_resource_id, record.physical_id or "")
        return self.retry(lambda: stacks.knowledge(*ids, since=record.opened_at))

    def _is_held(self, resource: Resource[Any], record: PurchaseRecord) -> bool:
        observed = self.retry(lambda: resource.read(record.physical_id or ""))
        if observed is None or not resource.reusable_ids:
            return observed is not None
        return read_own_tags(self, resource, record, observed.arn) is not None

    def _release_purchase(
        self, resource: Resource[Any], record: PurchaseRecord, policy: ReleasePolicy = ALLOW_ALL
    ) -> Finding:
        owner = record.identity.owner
        if record.adopted:
            return Finding.NOT_REFERENCED

        def check() -> None:
            """Raise UnknownOutcomeError if a request has continued the purchase, or if one may name its number now."""
            self.activities.pop(owner.stack_id, None)
            if ledger.refresh(record).version != record.version:
                raise UnknownOutcomeError(_CHANGED)
            if record.reported and self._unreferenced(owner, record.physical_id or "") is None:
                raise UnknownOutcomeError(_CHANGED)

        finding = self._release(lambda: release(self, resource, record, policy, check=check))
        held = finding is Finding.UNKNOWN_PURCHASE_RELEASED and record.release_after is not None
        return Finding.PENDING_RELEASE if held else finding

    def _release(self, call: Callable[[], None]) -> Finding:
        if not self.may_release:
            return Finding.UNKNOWN_PURCHASE_FOUND
        call()
        return Finding.UNKNOWN_PURCHASE_RELEASED

    def _unreferenced(self, owner: Owner, physical_id: str) -> Finding | None:
        """Return the finding for a number that CloudFormation does not reference, None for another one.

        A stack in an operation is checked the next day.
        """
        if stacks.is_trusted(owner.stack_id):
            return Finding.OTHER_ACCOUNT
        if owner.stack_id not in self.activities:
            self.activities[owner.stack_id] = self.retry(lambda: stacks.activity(owner.stack_id))
        activity = self.activities[owner.stack_id]
        if activity is not Activity.AT_REST:
            return Finding.STACK_DELETED if activity is Activity.DELETED else None
        referenced = self.retry(lambda: stacks.physical_resource_id(owner.stack_id, owner.logical_resource_id))
        return None if referenced == physical_id else Finding.NOT_REFERENCED
