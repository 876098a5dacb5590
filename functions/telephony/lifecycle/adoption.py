"""Adopts existing resources: they come under a declaration, do not change, and are never released."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from telephony import clock, reasons
from telephony.cloudformation import stacks
from telephony.cloudformation.stacks import Activity, Knowledge
from telephony.errors import HandlerError, UnknownOutcomeError
from telephony.lifecycle import ledger
from telephony.lifecycle.invocation import Backoff, Invocation
from telephony.lifecycle.ledger import Closed, Holder, OpenResult, PurchaseRecord, PurchaseState
from telephony.lifecycle.purchase import is_newest
from telephony.model.adoption import MAX_TAGS
from telephony.model.properties import Properties
from telephony.model.recovery import RELEASE_AFTER
from telephony.model.resource import Observed, Resource
from telephony.model.tags import Owner
from telephony.settings import settings

_BUSY = "The state table was busy with another request for this resource or number."


def adopt(invocation: Invocation, resource: Resource[Any], desired: Properties) -> Observed:
    """Adopt the declared resource. Raises HandlerError if it must not be adopted; then nothing has changed."""
    return _Adoption(invocation, resource, desired).run()


class _Adoption:
    def __init__(self, invocation: Invocation, resource: Resource[Any], desired: Properties) -> None:
        self.invocation = invocation
        self.resource = resource
        self.desired = desired
        request = invocation.request
        self.key = ledger.resource_key(request.stack_id, request.logical_resource_id)

    def run(self) -> Observed:
        if not settings().allow_adoption:
            raise self._failure(reasons.ADOPTION_NOT_ALLOWED)
        observed = self.invocation.retry(lambda: self.resource.locate(self.desired))
        record = self._own()
        if record is None:
            if observed is None:
                raise self._failure(reasons.NOTHING_TO_ADOPT)
            record = self._open(observed)
        if observed is None or not record.adopted or not record.owns_number:
            raise self._failure(reasons.CANCELED)
        return self._tag(record, observed)

    def _own(self) -> PurchaseRecord | None:
        request = self.invocation.request
        return ledger.history(self.key).by_request(request.request_id, request.time)

    def _open(self, observed: Observed) -> PurchaseRecord:
        """Write the record, unless the resource differs from the declaration or belongs to another one."""
        backoff, again = Backoff(), False
        while True:
            former = self._check(observed)
            record = self._record(observed)
            opened = ledger.open_adoption(record, former, again=again)
            if opened is OpenResult.WRITTEN:
                return record
            if (own := self._own()) is not None:
                return own
            if opened is OpenResult.REFUSED:
                if again or not is_newest(self.invocation, ledger.history(self.key)):
                    raise self._failure(reasons.SUPERSEDED)
                again = True  # Unless the number has another holder by now.
            elif not self.invocation.wait(backoff):
                raise UnknownOutcomeError(_BUSY)

    def _record(self, observed: Observed) -> PurchaseRecord:
        request = self.invocation.request
        return PurchaseRecord(
            resource=self.key,
            request_id=request.request_id,
            request_time=request.time,
            resource_type=request.resource_type,
            issued_at=self.invocation.issued_at,
            opened_at=clock.now(),
            deadline=self.invocation.service_deadline,
            state=PurchaseState.READY,
            physical_id=observed.physical_id,
            arn=observed.arn,
            adopted=True,
            claimed=True,
        )

    def _check(self, observed: Observed) -> Holder | None:
        """Raise HandlerError if the resource can't be adopted. Returns what held it until now."""
        conflicts = self.invocation.retry(lambda: self.resource.conflicts(observed, self.desired))
        if conflicts:
            raise self._failure(reasons.ADOPTION_CONFLICT, id=observed.physical_id, changes=", ".join(conflicts))
        tags = self.invocation.retry(lambda: self.resource.read_tags(observed))
        added = self._record(observed).identity.ownership_tags.keys() - tags.keys()
        if len(tags) + len(added) > MAX_TAGS:
            values = {"count": len(tags), "added": len(added), "maximum": MAX_TAGS}
            raise self._failure(reasons.NO_ROOM_FOR_TAGS, id=observed.physical_id, **values)
        former = ledger.holder(observed.physical_id)
        if (owner := self._owner(former, tags, observed)) is not None:
            names = {"logical_id": owner.logical_resource_id, "stack_id": owner.stack_id}
            raise self._failure(reasons.HELD_BY_ANOTHER, id=observed.physical_id, **names)
        if clock.now() >= self.invocation.service_deadline:
            raise self._failure(reasons.TOO_LATE)
        return former

    def _owner(self, former: Holder | None, tags: Mapping[str, str], observed: Observed) -> Owner | None:
        """Return the resource that may still use what is to be adopted, or None."""
        record = None if former is None else former.record
        if record is not None and (record.closed is Closed.RETAINED or record.state is PurchaseState.PENDING_RELEASE):
            return None
        if record is None or record.state is PurchaseState.CLOSED:
            # The tags can be those of a provider with another state table.
            owner, held, since = Owner.of(tags), False, 0.0
        else:
            # A request purchases or releases what is not READY.
            owner, held, since = record.identity.owner, record.state is not PurchaseState.READY, record.opened_at
        return owner if owner is not None and (held or self._names(owner, observed, since)) else None

    def _names(self, owner: Owner, observed: Observed, since: float) -> bool:
        """Return whether the owner's stack may still use the resource: it names it, or is in an operation."""
        own = self.invocation.request
        ids = (owner.stack_id, owner.logical_resource_id)
        if ids == (own.stack_id, own.logical_resource_id):
            # This stack is in an operation. Its events show what became of the resource.
            known = self.invocation.retry(lambda: stacks.knowledge(*ids, observed.physical_id, since=since))
            return known not in {Knowledge.RETAINED, Knowledge.NEVER_NAMED}
        activity = self.invocation.retry(lambda: stacks.activity(owner.stack_id))
        if activity is not Activity.AT_REST and owner.stack_id != own.stack_id:
            return activity is not Activity.DELETED
        return self.invocation.retry(lambda: stacks.physical_resource_id(*ids)) == observed.physical_id

    def _tag(self, record: PurchaseRecord, observed: Observed) -> Observed:
        """Set the ownership tags. The record is written before them, so that nothing takes them for a purchase."""
        tags = self.invocation.retry(lambda: self.resource.read_tags(observed))
        if not record.identity.matches(tags):
            own = record.identity.ownership_tags
            self.invocation.retry(lambda: self.resource.add_tags(observed.arn, own))
            tags = {**tags, **own}
            if not ledger.refresh(record).owns_number:
                self.invocation.retry(lambda: self.resource.remove_tags(observed.arn, own))
                raise self._failure(reasons.CANCELED)
        if RELEASE_AFTER in tags:
            self.invocation.retry(lambda: self.resource.remove_tags(observed.arn, [RELEASE_AFTER]))
            tags = {key: value for key, value in tags.items() if key != RELEASE_AFTER}
        return copy.replace(observed, tags=tags)

    def _failure(self, reason: reasons.Reason, **values: Any) -> HandlerError:
        return reason.failure(noun=self.resource.display_name, **values)
