"""Adopts existing resources: they come under a declaration, do not change, and are never released."""

from __future__ import annotations

import copy
from typing import Any

from telephony import clock, reasons
from telephony.errors import HandlerError, UnknownOutcomeError
from telephony.lifecycle import adoptable, ledger
from telephony.lifecycle.invocation import Backoff, Invocation
from telephony.lifecycle.ledger import Holder, OpenResult, PurchaseRecord, PurchaseState
from telephony.lifecycle.purchase import is_newest
from telephony.model.properties import Properties
from telephony.model.recovery import RELEASE_AFTER
from telephony.model.resource import Observed, Resource
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
            purchased = former is not None and former.record is not None and former.record.purchased
            record = copy.replace(self._record(observed), purchased_before=purchased)
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
        own = self._record(observed)
        former = adoptable.check(self.invocation, self.resource, self.desired, observed, own)
        if clock.now() >= self.invocation.service_deadline:
            raise self._failure(reasons.TOO_LATE)
        return former

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
