"""What a request does to a number, and why: one pure function, by which the lifecycle decides."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeGuard

from telephony import reasons
from telephony.data import data
from telephony.errors import HandlerError
from telephony.lifecycle.ledger import PurchaseRecord, PurchaseState
from telephony.model.adoption import adopts
from telephony.model.deletion_protection import DELETION_PROTECTION
from telephony.model.properties import Properties
from telephony.model.recovery import RECOVERY_WINDOW, reuses
from telephony.model.resource import ALLOW_ALL, Difference, ReleasePolicy, Resource


class Effect(StrEnum):
    """What happens to the number of a resource."""

    PURCHASED = "PURCHASED"
    ADOPTED = "ADOPTED"
    TAKEN_BACK = "TAKEN_BACK"
    """The resource had the number before, and it was pending release."""
    REUSED = "REUSED"
    """Another resource had the number, and it was pending release."""
    UNCHANGED = "UNCHANGED"
    """Also: of a Delete, whose number was released or is pending release already."""
    CHANGED = "CHANGED"
    REPLACED = "REPLACED"
    """The resource gets another number, as in a Create. The Delete that follows decides about this one."""
    PENDING_RELEASE = "PENDING_RELEASE"
    RELEASED = "RELEASED"
    RETAINED = "RETAINED"
    """An adopted number stays in the account."""
    REFUSED = "REFUSED"


@data
class Decision:
    """An effect, and the properties that cause it."""

    effect: Effect
    causes: Sequence[str] = ()
    failure: HandlerError | None = None
    """Why it is REFUSED."""

    def require(self) -> Effect:
        """Return the effect. Raises HandlerError if the request is refused."""
        if self.failure is not None:
            raise self.failure
        return self.effect


@data
class Situation:
    """What is known besides the declarations."""

    physical_id: str | None = None
    """The number that an Update or a Delete names. None in a Create."""
    record: PurchaseRecord | None = None
    """Of this number. None if the ledger has none."""
    create_only: Sequence[Difference] = ()
    """The declared properties that differ and require replacement."""
    in_place: Sequence[Difference] = ()
    """The other properties that differ."""
    blockers: Sequence[str] = ()
    """What prevents the release of the number, such as `has deletion protection enabled`, as far as it is known."""
    has_replacement: bool = False
    """A request has replaced the number already, or a rollback returns the first one."""
    recoverable: Sequence[str] = ()
    """The numbers that the resource can take back."""
    reusable: Sequence[str] = ()
    """The matching numbers of other resources."""
    window: int = 0
    """The recovery window of the Delete, in days."""
    now: float = 0
    """When a Delete is processed, in seconds since the epoch."""


def decide(resource: Resource[Any], declared: Properties | None, situation: Situation) -> Decision:
    """Return what a request does. declared: None in a Delete.

    It assumes that the services and CloudFormation's evidence refuse nothing, and that what is adopted can be adopted.
    """
    if declared is None:
        return _delete(resource, situation)
    decided = _create if situation.physical_id is None else _update
    return decided(resource, declared, situation)


def ending(record: PurchaseRecord) -> Effect:
    """Return what the end of a purchase does to its number: RETAINED, PENDING_RELEASE or RELEASED."""
    if record.adopted:
        return Effect.RETAINED
    holds = record.release_after is not None and not record.pending
    return Effect.PENDING_RELEASE if holds else Effect.RELEASED


def has_window(record: PurchaseRecord) -> bool:
    """Return whether the Delete that names a number decides about its recovery window.

    What an earlier request decided is continued. What no stack ever used has no recovery window of its own.
    """
    return record.state is PurchaseState.READY and not record.incomplete and not record.adopted


def returns(record: PurchaseRecord, now: float) -> bool:
    """Return whether a number was taken before it was due, and still is not: its former owner may want it back."""
    return record.taken and (record.release_after or 0) > now


def is_usable(record: PurchaseRecord | None) -> TypeGuard[PurchaseRecord]:
    """Return whether an Update can use the number that it names. It uses one again that is pending release."""
    return record is not None and (not record.finished or record.state is PurchaseState.PENDING_RELEASE)


def release_policy(resource: Resource[Any], record: PurchaseRecord, declared: Mapping[str, Any]) -> ReleasePolicy:
    """Return what the Delete of a resource with this declaration is allowed to do."""
    if record.failed or not record.reported:
        return ALLOW_ALL
    policy = resource.release_policy(declared.get("OnDelete"))
    if record.protecting_until is not None and declared.get(DELETION_PROTECTION) not in (True, "true"):
        # An Update that CloudFormation has discarded enabled protection, or may do so after its rollback.
        return copy.replace(policy, lift_deletion_protection=True)
    return policy


def _create(resource: Resource[Any], declared: Properties, situation: Situation) -> Decision:
    if adopts(declared):
        return Decision(Effect.ADOPTED, ["Adopt"])
    if len(situation.recoverable) > 1:
        ids = ", ".join(situation.recoverable)
        return _refused(resource, reasons.AMBIGUOUS_RECOVERY, ids=ids)
    if situation.recoverable:
        return Decision(Effect.TAKEN_BACK)
    if situation.reusable and reuses(declared):
        return Decision(Effect.REUSED, ["ReusePendingRelease"])
    return Decision(Effect.PURCHASED)


def _update(resource: Resource[Any], declared: Properties, situation: Situation) -> Decision:
    physical_id, record = situation.physical_id or "", situation.record
    if not is_usable(record):
        return _refused(resource, reasons.DOES_NOT_EXIST, id=physical_id)
    causes = [change.property_name for change in situation.create_only]
    if not causes:
        changed = [change.property_name for change in situation.in_place]
        if record.pending:
            return Decision(Effect.TAKEN_BACK, changed)
        return Decision(Effect.CHANGED if changed else Effect.UNCHANGED, changed)
    values = {"changes": ", ".join(map(str, situation.create_only)), "id": physical_id}
    refusals = (
        (adopts(declared), reasons.ADOPT_IN_UPDATE),
        (resource.identity_fields and not set(causes) & set(resource.identity_fields), reasons.SAME_IDENTITY),
        (declared.allow_replacement not in (True, physical_id), reasons.REPLACEMENT_REFUSED),
        (situation.blockers, reasons.NOT_RELEASABLE),
    )
    refusal = next((reason for applies, reason in refusals if applies), None)
    if refusal is None or situation.has_replacement:
        return Decision(Effect.REPLACED, causes)
    return _refused(resource, refusal, causes, blockers=" and ".join(situation.blockers), **values)


def _delete(resource: Resource[Any], situation: Situation) -> Decision:
    record = situation.record
    if record is None or record.finished:
        return Decision(Effect.UNCHANGED)
    effect, causes = ending(record), []
    if has_window(record):
        held = situation.window or returns(record, situation.now)
        effect, causes = Effect.PENDING_RELEASE if held else Effect.RELEASED, [RECOVERY_WINDOW]
    if situation.blockers and effect is not Effect.RETAINED:
        values = {"id": situation.physical_id, "blockers": " and ".join(situation.blockers)}
        return _refused(resource, reasons.RELEASE_BLOCKED, ["OnDelete"], **values)
    return Decision(effect, causes)


def _refused(resource: Resource[Any], reason: reasons.Reason, causes: Sequence[str] = (), **values: object) -> Decision:
    return Decision(Effect.REFUSED, causes, reason.failure(noun=resource.display_name, **values))
