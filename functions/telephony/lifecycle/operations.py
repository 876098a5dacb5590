"""Create, Update and Delete, for any resource type.

Each function returns the resource's state after the operation. It raises HandlerError, which is answered FAILED, or
UnknownOutcomeError, which is not answered but retried.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from telephony import clock, reasons, resources
from telephony.cloudformation import stacks
from telephony.cloudformation.request import NOT_CREATED
from telephony.cloudformation.stacks import Activity, Knowledge
from telephony.errors import (
    ClaimExpiredError,
    HandlerError,
    HandlerErrorCode,
    TelephonyError,
    UnknownOutcomeError,
)
from telephony.lifecycle import ledger
from telephony.lifecycle.adoption import adopt
from telephony.lifecycle.effects import (
    Effect,
    Situation,
    decide,
    ending,
    has_window,
    is_usable,
    release_policy,
    returns,
)
from telephony.lifecycle.invocation import Backoff, Invocation
from telephony.lifecycle.ledger import Closed, History, OpenResult, PurchaseRecord, PurchaseState
from telephony.lifecycle.purchase import purchase, read_existing
from telephony.lifecycle.recovery import mark_used
from telephony.lifecycle.release import close, end, read_own_tags, release
from telephony.model.deletion_protection import DELETION_PROTECTION
from telephony.model.properties import Properties
from telephony.model.recovery import due_date
from telephony.model.resource import (
    Difference,
    Observed,
    ReleasePolicy,
    Resource,
    Stability,
    differences,
)
from telephony.model.validation import disable_removed_switches, parse
from telephony.observability import count, logger
from telephony.settings import settings

_STACK_STATUS = "CloudFormation does not show the operation of the stack yet."
_MAX_ROUNDS = 4
"""Attempts to converge a resource that another application changes at the same time."""


def create(invocation: Invocation) -> Observed:
    """Purchase what is declared, configure it, and wait until it is ACTIVE if declared."""
    return _run(invocation, lambda operation: operation.create())


def update(invocation: Invocation) -> Observed:
    """Change in place what differs from the declaration, or replace the resource if that is allowed."""
    return _run(invocation, lambda operation: operation.update())


def delete(invocation: Invocation) -> None:
    """Release the number that this resource owns. On return, the resource owns no number."""
    try:
        resources.by_type(invocation.request.resource_type)
    except HandlerError:
        return  # The Create was refused for the same reason and purchased nothing.
    _run(invocation, lambda operation: operation.delete())


def _run[T](invocation: Invocation, run: Callable[[_Operation], T]) -> T:
    """Run an operation. An unexpected exception becomes an error that is retried, and finally a failure."""
    try:
        return run(_Operation(invocation))
    except TelephonyError:
        raise
    except Exception as defect:  # noqa: BLE001 - every request is answered
        raise invocation.defect(defect) from None


class _NotOwnedError(HandlerError):
    """The tags of a number without a record show that it does not belong to the resource."""


class _Operation:
    """The operation of one request."""

    def __init__(self, invocation: Invocation) -> None:
        self.invocation = invocation
        self.request = invocation.request
        self.resource: Resource[Any] = resources.by_type(self.request.resource_type)
        self.key = ledger.resource_key(self.request.stack_id, self.request.logical_resource_id)
        self.physical_id = self.request.physical_resource_id or ""

    def _desired(self) -> Any:
        shortest = settings().min_service_timeout
        return parse(self.resource.properties, self.request.properties, min_service_timeout=shortest)

    def create(self) -> Observed:
        self._require_allowed_account()
        desired = self._desired()
        self._refuse_late_request()
        try:
            if decide(self.resource, desired, Situation()).effect is Effect.ADOPTED:
                return adopt(self.invocation, self.resource, desired)
            record, observed = purchase(self.invocation, self.resource, desired)
            return self._complete(desired, record, observed)
        except Exception as error:  # noqa: BLE001 - `_failure` returns the error to raise
            failure = self._failure(error)
            if failure.physical_id is not None and (isinstance(failure, HandlerError) or self.invocation.final):
                # The FAILED response will name the number. Nothing blocks its release.
                created = ledger.history(self.key).by_physical_id(failure.physical_id)
                if created is not None and created.state is PurchaseState.BOUGHT:
                    _written(created, state=PurchaseState.READY, ended=False, failed=True, incomplete=True)
            raise failure from None

    def _failure(self, error: Exception) -> HandlerError | UnknownOutcomeError:
        """Return the error, or for an unexpected one the failure of a Create, with the number that it purchased."""
        if isinstance(error, (HandlerError, UnknownOutcomeError)):
            return error
        failure = self.invocation.defect(error)
        own = ledger.history(self.key).by_request(self.request.request_id, self.request.time)
        failure.physical_id = own.physical_id if own is not None and own.owns_number else None
        return failure

    def update(self) -> Observed:
        self._require_allowed_account()
        desired = self._desired()
        self._refuse_late_request()
        ledger.record_update(self.key, self.request.request_id, self.invocation.issued_at)
        history = self._newest_history()
        current, observed = self._read_current(history)
        if not observed.pool_ids:
            desired = disable_removed_switches(desired, self.request.old_properties)
        self._end_unreported_replacements(history, current)
        situation = Situation(
            physical_id=self.physical_id,
            record=current,
            create_only=differences(observed, desired, create_only=True),
            in_place=differences(observed, desired, create_only=False),
        )
        existing = self._existing_replacement(history, desired, current) if situation.create_only else None
        situation = copy.replace(situation, has_replacement=existing is not None)
        if decide(self.resource, desired, situation).require() is not Effect.REPLACED:
            return self._update_in_place(desired, current, observed)
        if existing is None:
            situation = copy.replace(situation, blockers=self._blockers(observed))
            decide(self.resource, desired, situation).require()
            existing = purchase(self.invocation, self.resource, desired, history)
        record, replacement = existing
        try:
            completed = self._complete(desired, record, replacement)
        except HandlerError:
            # CloudFormation keeps the current number, and never learned of the new one.
            record = ledger.refresh(record)
            if record.state is PurchaseState.BOUGHT:
                end(self.invocation, record)
            raise
        taken = record.taken and record.request_id == self.request.request_id
        rolls_back = record.physical_id == current.replaces and not taken
        if rolls_back and not stacks.is_trusted(self.request.stack_id):
            # The rollback returns the first number. Allow the second to be released even if it is protected:
            # CloudFormation ignores a cleanup Delete that fails. A stack that can't be read may not be in a rollback.
            _written(current, failed=True)
        return completed

    def delete(self) -> None:
        self._refuse_late_request()
        history = ledger.history(self.key)
        record = history.by_physical_id(self.physical_id)
        if record is None and not re.fullmatch(self.resource.properties.id_pattern, self.physical_id):
            self._delete_by_generated_id()
            return
        if record is None:
            with suppress(_NotOwnedError):  # Any other failure leaves unknown whose it is.
                record = self._restore()
        if record is None:
            return
        again = record.taken or self.resource.reusable_ids
        if again and record.issued_at > self.invocation.issued_at:
            return  # It was taken, or its name was purchased again, after this Delete.
        if not record.finished:
            self._release(record)
            history = ledger.history(self.key)
        for newer in self._newer_purchases(history, record):
            if not newer.reported:
                end(self.invocation, newer, check=self._require_operation)

    def _require_allowed_account(self) -> None:
        """Raise HandlerError if the stack belongs to an account that may not use the provider."""
        account = self.request.account_id
        if account not in {settings().account_id, *settings().stack_accounts}:
            raise reasons.ACCOUNT_NOT_ALLOWED.failure(account=account)

    def _refuse_late_request(self) -> None:
        if clock.now() >= self.invocation.service_deadline:
            raise reasons.TOO_LATE.failure()

    def _newest_history(self) -> History:
        """Read what the ledger holds for the resource. Raises HandlerError if a newer request was processed.

        An earlier invocation of a superseded Update may have ended before it could release what it purchased.
        """
        history = ledger.history(self.key)
        if history.updated_at <= self.invocation.issued_at:
            return history
        own = history.by_request(self.request.request_id, self.request.time)
        if own is not None and own.request_time == self.request.time and not own.reported:
            end(self.invocation, own)
        raise reasons.SUPERSEDED.failure(noun=self.resource.display_name)

    def _read_current(self, history: History) -> tuple[PurchaseRecord, Observed]:
        """Return the number that an Update names. Raises HandlerError if the resource does not hold it."""
        record = history.by_physical_id(self.physical_id) or self._restore()
        if not is_usable(record):
            raise reasons.DOES_NOT_EXIST.failure(noun=self.resource.display_name, id=self.physical_id)
        observed = self._with_own_tags(record, self._read_existing(self.physical_id, reasons.DOES_NOT_EXIST))
        if record.pending:
            # CloudFormation did not receive the response to the Delete.
            resumed = ledger.resume(record, self.invocation.issued_at)
            if resumed is OpenResult.REFUSED:
                raise reasons.SUPERSEDED.failure(noun=self.resource.display_name)
            if resumed is not OpenResult.WRITTEN:
                raise UnknownOutcomeError("Another invocation has changed the purchase.")
            record = ledger.refresh(record)
        elif record.state is not PurchaseState.READY:
            # A Delete or a rollback did not complete. CloudFormation still uses the number.
            retag = record.retag or ending(record) is Effect.PENDING_RELEASE
            state = {"state": PurchaseState.READY, "ended": False, "releasing_from": None, "retag": retag}
            record = _written(record, **state, **ledger.in_use(record))
        if record.retag:
            mark_used(self.invocation, self.resource, record)
            record = _written(record, retag=False)
        return record, observed

    def _with_own_tags(self, record: PurchaseRecord, observed: Observed) -> Observed:
        """Raise HandlerError if the ID was released and purchased again by another request."""
        if not self.resource.reusable_ids:
            return observed
        tags = read_own_tags(self.invocation, self.resource, record, observed.arn)
        if tags is None:
            raise reasons.ANOTHER_PURCHASE.failure(noun=self.resource.display_name, id=observed.physical_id)
        return copy.replace(observed, tags=tags)

    def _restore(self) -> PurchaseRecord | None:
        """Write the record of a number that the ledger has lost, if its tags name this resource.

        None if the number does not exist. Raises HandlerError if it has another owner.
        """
        if not re.fullmatch(self.resource.properties.id_pattern, self.physical_id):
            return None
        observed = self._read(self.physical_id)
        if observed is None:
            return None
        tags = self.invocation.retry(lambda: self.resource.read_tags(observed))
        record = ledger.record_of_tags(self.key, self.resource.type_name, observed, tags)
        if record.identity.matches(tags) and ledger.restore(record):
            return record
        raise reasons.NOT_OWNED.as_kind(_NotOwnedError, noun=self.resource.display_name, id=self.physical_id)

    def _update_in_place(self, desired: Properties, current: PurchaseRecord, observed: Observed) -> Observed:
        if current.failed:
            # The Update that rolled back did not complete.
            current = _written(current, failed=False, incomplete=False)
        if current.replaces is not None and stacks.is_trusted(self.request.stack_id):
            # The operation that replaced the first number has ended. A stack that can't be read does not show that.
            current = _written(current, replaces=None)
        protects = False
        if not self.resource.is_converged(observed, desired):
            self._newest_history()  # A newer Update may have arrived during the read.
            differing = differences(observed, desired, create_only=False)
            protects = any(each.property_name == DELETION_PROTECTION and each.desired for each in differing)
            if protects:
                current = _written(current, protecting_until=self.invocation.ends_at)
            observed = self._converge(desired, observed)
        until = current.protecting_until
        if protects:
            self._newest_history()
            self.invocation.with_outcome.append(ledger.write_with(current, protecting_until=0))
        elif until is not None and clock.now() > until and not observed.protected:
            self.invocation.with_outcome.append(ledger.write_with(current, protecting_until=None))
        return observed

    def _release(self, record: PurchaseRecord) -> None:
        """Release the number that a Delete names."""
        policy = release_policy(self.resource, record, self.request.properties)

        def finish(record: PurchaseRecord, why: Closed | None) -> None:
            reusable = self.resource.reusable_ids
            ended = ledger.hold_with(record) if why is None else ledger.close_with(record, why, reusable=reusable)
            self.invocation.with_outcome.extend(ended)

        release(
            self.invocation,
            self.resource,
            self._with_recovery_window(record, policy),
            policy,
            issued_at=self.invocation.issued_at,
            check=self._require_operation,
            finish=finish,
        )

    def _with_recovery_window(self, record: PurchaseRecord, policy: ReleasePolicy) -> PurchaseRecord:
        """Return the record with the due date of its number, if the Delete makes it pending release."""
        if not has_window(record):
            return record
        days, now = self.resource.recovery_window(self.request.properties, settings().recovery_window_days), clock.now()
        situation = Situation(physical_id=self.physical_id, record=record, window=days, now=now)
        if decide(self.resource, None, situation).effect is not Effect.PENDING_RELEASE:
            return copy.replace(record, **ledger.NOT_HELD)
        due = due_date(now, days)
        if returns(record, now) and (record.release_after or 0) >= due:
            return record  # Its former window ends later. It returns to the name of its former owner.
        return ledger.with_window(record, due, allow_reuse=policy.allow_reuse)

    def _require_operation(self) -> None:
        """Raise HandlerError unless an operation of the stack is in progress.

        CloudFormation waits for a Delete during an operation only. One that comes later is repeated, late or forged.
        """
        self._require_allowed_account()
        if not self._is(Activity.UPDATING, Activity.ROLLING_BACK):
            raise reasons.NOT_IN_OPERATION.failure(noun=self.resource.display_name, id=self.physical_id)

    def _is(self, *activities: Activity) -> bool:
        """Return whether CloudFormation shows the stack in one of these activities, now or within seconds."""
        backoff, condition = Backoff(), f"not {activities[-1].name}"
        while self._activity() not in activities:
            if not self.invocation.wait_for(condition, settings().stack_status_period, backoff, cause=_STACK_STATUS):
                return False
        self.invocation.noticed.pop(condition, None)
        return True

    def _activity(self) -> Activity:
        """Read the stack. One of a listed account, which can not be read, counts as in a rollback."""
        stack_id = self.request.stack_id
        try:
            return self.invocation.retry(lambda: stacks.activity(stack_id))
        except HandlerError as failure:
            if failure.error_code is HandlerErrorCode.ACCESS_DENIED and stacks.is_trusted(stack_id):
                return Activity.ROLLING_BACK
            raise

    def _delete_by_generated_id(self) -> None:
        """Delete by the ID of a Create that failed, or by one that CloudFormation generated without a response.

        The Create may be lost, in progress or still to arrive. Recording the Delete first prevents a late Create. A
        number that may have been reported is released only if CloudFormation never had its ID: a policy may have
        retained it.
        """
        ledger.record_delete(self.key, self.invocation.issued_at)
        failed_id = self.physical_id.partition(NOT_CREATED)[2]
        for record in ledger.history(self.key).unfinished(self.invocation.issued_at):
            if failed_id in {"", record.request_id} and (not record.reported or self._never_named(record)):
                end(self.invocation, record, check=self._require_operation)

    def _never_named(self, record: PurchaseRecord) -> bool:
        """Return whether CloudFormation's events prove that it never had a number."""
        ids = (self.request.stack_id, self.request.logical_resource_id, record.physical_id or "")
        knowledge = self.invocation.retry(lambda: stacks.knowledge(*ids, since=record.opened_at))
        if knowledge is Knowledge.RETAINED:
            close(record, Closed.RETAINED)
        elif knowledge is not Knowledge.NEVER_NAMED:
            count("NumbersNotReleased", ResourceType=record.resource_type)
            extra = {"purchase_request_id": record.request_id, "knowledge": knowledge.name}
            logger.warning("Did not release a number that CloudFormation may have", extra=extra)
        return knowledge is Knowledge.NEVER_NAMED

    def _complete(self, desired: Properties, record: PurchaseRecord, observed: Observed) -> Observed:
        """Configure a purchased resource as declared, and mark it READY."""
        if record.state is PurchaseState.READY and observed.newly_purchased:
            return observed  # The purchase was the last step.
        if not (observed.newly_purchased or record.identity.matches(observed.tags or {})):
            observed = self._with_own_tags(record, observed)  # An earlier invocation made the purchase.
        try:
            if not record.retag or mark_used(self.invocation, self.resource, record):
                record, observed = self._configure(desired, record, observed)
            else:
                record = ledger.refresh(record)
        except (HandlerError, UnknownOutcomeError) as failure:
            failure.physical_id = observed.physical_id
            expired, used = isinstance(failure, ClaimExpiredError), record.reported or record.taken
            if isinstance(failure, HandlerError) and not expired and not used:
                self._disable_protection(observed.physical_id)
            raise
        while record.owns_number:
            if record.state is PurchaseState.READY and not record.failed:
                return observed
            if clock.now() >= self.invocation.service_deadline:
                raise reasons.TOO_LATE.failure()
            done = {"state": PurchaseState.READY, "failed": False, "incomplete": False, "claimed": True, "retag": False}
            ready = ledger.write(record, **done)
            record = ready or ledger.refresh(record)
        end(self.invocation, record)
        raise reasons.DELETED_DURING_SETUP.failure(noun=self.resource.display_name)

    def _configure(
        self, desired: Properties, record: PurchaseRecord, observed: Observed
    ) -> tuple[PurchaseRecord, Observed]:
        if desired.wait_for_active or self.resource.polls_until_stable:
            if observed.newly_purchased:
                new = observed
                self.invocation.retry(lambda: self.resource.prepare(new, desired))
            observed = self._wait_until_stable(desired, observed)
            if observed.stability is Stability.FAILED and not (record.claimed or record.reported):
                close(record, Closed.LAPSED)
                raise reasons.CLAIM_FAILED.as_kind(ClaimExpiredError, **self._failed_values(observed))
        if (
            self.resource.polls_until_stable
            and not record.claimed
            and not self.resource.is_converged(observed, desired)
        ):
            record = _written(record, claimed=True)  # A change can fail too.
        return record, self._converge(desired, observed)

    def _wait_until_stable(self, desired: Properties, observed: Observed) -> Observed:
        """Poll until the resource is not PENDING. Running out of time is a failure when the response is due."""
        invocation, backoff = self.invocation, Backoff()
        limit = invocation.issued_at + (desired.wait_timeout_seconds or float("inf"))
        while observed.stability is Stability.PENDING:
            values = {"noun": self.resource.display_name, "id": observed.physical_id}
            values["status"] = observed.attributes.get("Status") or Stability.PENDING
            at_timeout = reasons.STILL_PENDING_AT_TIMEOUT.failure(**values)
            if not invocation.wait_until(limit, backoff, cause=at_timeout.cause):
                if limit > invocation.respond_by:
                    raise at_timeout
                raise reasons.STILL_PENDING.failure(seconds=desired.wait_timeout_seconds, **values)
            observed = self._read_existing(observed.physical_id)
        return observed

    def _converge(self, desired: Properties, observed: Observed) -> Observed:
        """Change what differs from the observed state, or after an error from a new read."""
        latest: Observed | None = observed

        def once() -> Observed:
            nonlocal latest
            current = latest if latest is not None else self._read_existing(observed.physical_id)
            latest = None
            return self.resource.converge(current, desired)

        for _ in range(_MAX_ROUNDS):
            before = _values(differences(observed, desired, create_only=False))
            result = self.invocation.retry(once)
            if not self.resource.polls_until_stable or result.stability is Stability.ACTIVE:
                return result
            observed = latest = self._wait_until_stable(desired, result)
            # The status can still show that an earlier change FAILED. Only an unchanged difference means this one did.
            after = _values(differences(observed, desired, create_only=False))
            if observed.stability is Stability.FAILED and after == before:
                raise reasons.CHANGE_FAILED.failure(**self._failed_values(observed))
        raise reasons.CHANGED_BY_OTHERS.failure(noun=self.resource.display_name, id=observed.physical_id)

    def _failed_values(self, observed: Observed) -> dict[str, str]:
        message = observed.message or "the service gives no reason"
        return {"noun": self.resource.display_name, "id": observed.physical_id, "message": message}

    def _disable_protection(self, physical_id: str) -> None:
        """Make a failed purchase releasable. If this fails too, its Delete does it."""
        try:
            observed = self._read(physical_id)
            if observed is not None and observed.protected:
                self.invocation.retry(lambda: self.resource.disable_protection(observed))
        except (HandlerError, UnknownOutcomeError) as error:
            logger.warning("Could not disable deletion protection", extra={"error": error.error_code})

    def _newer_purchases(self, history: History, current: PurchaseRecord) -> list[PurchaseRecord]:
        """Return the unfinished purchases of earlier requests that were opened after the current one."""
        own = (self.request.request_id, current.request_id)
        found = history.unfinished(self.invocation.issued_at)
        return [record for record in found if record.opened_at > current.opened_at and record.request_id not in own]

    def _end_unreported_replacements(self, history: History, current: PurchaseRecord) -> None:
        """End later purchases: an Update that names a number proves that CloudFormation has no later ID.

        A number that may have been reported could have been named before, and retained. CloudFormation's events decide.
        """
        for record in self._newer_purchases(history, current):
            unused = not record.reported
            try:
                if record.reported:
                    with suppress(UnknownOutcomeError):  # The events can't be read. The sweep reads them again.
                        unused = self._never_named(record)
                if unused:
                    end(self.invocation, record)
            except HandlerError as failure:
                # The purchase has ended: its Delete and the sweep release it later. A rollback must not fail for it.
                logger.warning("Could not release an unused replacement", extra={"error": failure.error_code})
                count("NumbersNotReleased", ResourceType=record.resource_type)

    def _existing_replacement(
        self, history: History, desired: Properties, current: PurchaseRecord
    ) -> tuple[PurchaseRecord, Observed] | None:
        """Return a number of this resource that fits, so that none is purchased.

        Either an earlier invocation of this request purchased it, or this Update is the rollback of the Update that
        replaced it. The rollback returns the first number, and CloudFormation deletes the second.
        """
        own = history.by_request(self.request.request_id, self.request.time)
        if own is not None and own.owns_number:
            return own, self._read_existing(own.physical_id or "")
        first = history.by_physical_id(current.replaces) if current.replaces is not None else None
        if first is None or first.state is not PurchaseState.READY:
            return None
        if not self._is(Activity.ROLLING_BACK):
            return None  # The first number was retained.
        observed = self._read_existing(first.physical_id or "")
        if differences(observed, desired, create_only=True):
            return None
        return first, self._with_own_tags(first, observed)

    def _read(self, physical_id: str) -> Observed | None:
        return self.invocation.retry(lambda: self.resource.read(physical_id))

    def _read_existing(self, physical_id: str, missing: reasons.Reason = reasons.RELEASED_OUTSIDE) -> Observed:
        return read_existing(self.invocation, self.resource, physical_id, missing)

    def _blockers(self, observed: Observed) -> list[str]:
        """Return what would prevent the release of a number that is replaced."""
        pools = self.invocation.retry(lambda: self.resource.read_pool_ids(observed))
        return ReleasePolicy().blockers(observed.protected, pools)


def _written(record: PurchaseRecord, **changes: Any) -> PurchaseRecord:
    """Write a change that does not depend on the state of the record. Raises UnknownOutcomeError if it is CLOSED."""
    while (written := ledger.write(record, **changes)) is None:
        record = ledger.refresh(record)
        if record.state is PurchaseState.CLOSED:
            raise UnknownOutcomeError("Another invocation has closed the purchase.")
    return written


def _values(found: list[Difference]) -> list[tuple[str, Any, Any]]:
    return [(difference.property_name, difference.live, difference.desired) for difference in found]
