"""What a request does to a number, and why: one pure function, by which the lifecycle decides."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from telephony import reasons
from telephony.data import data
from telephony.errors import HandlerError
from telephony.lifecycle.ledger import PurchaseRecord, PurchaseState
from telephony.model.adoption import adopts
from telephony.model.properties import Properties
from telephony.model.recovery import RECOVERY_WINDOW, reuses
from telephony.model.resource import Difference, Resource


class Effect(StrEnum):
    """What happens to the number of a resource."""

    PURCHASED = "PURCHASED"
    ADOPTED = "ADOPTED"
    TAKEN_BACK = "TAKEN_BACK"
    """The resource had the number before, and it was pending release."""
    REUSED = "REUSED"
    """Another resource had the number, and it was pending release."""
    UNCHANGED = "UNCHANGED"
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

    record: PurchaseRecord | None = None
    """Of the number that an Update or a Delete names. None in a Create, or if the ledger has none."""
    create_only: Sequence[Difference] = ()
    """The declared properties that differ and require replacement."""
    in_place: Sequence[Difference | str] = ()
    """The other properties that differ."""
    blockers: Sequence[str] = ()
    """What prevents the release of the number, such as `has deletion protection enabled`."""
    has_replacement: bool = False
    """A request has replaced the number already, or a rollback returns the first one."""
    recoverable: Sequence[str] = ()
    """The numbers that the resource can take back."""
    reusable: Sequence[str] = ()
    """The matching numbers of other resources."""
    window: int = 0
    """The recovery window of the Delete, in days."""


def decide(resource: Resource[Any], declared: Properties | None, situation: Situation) -> Decision:
    """Return what a request does. declared: None in a Delete. A Create has no record in its situation."""
    if declared is None:
        return _delete(situation)
    decided = _create if situation.record is None else _update
    return decided(resource, declared, situation)


def ending(record: PurchaseRecord) -> Effect:
    """Return what the end of a purchase does to its number: RETAINED, PENDING_RELEASE or RELEASED."""
    if record.adopted:
        return Effect.RETAINED
    holds = record.release_after is not None and not record.pending
    return Effect.PENDING_RELEASE if holds else Effect.RELEASED


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
    causes = [change.property_name for change in situation.create_only]
    if not causes:
        changed = [each if isinstance(each, str) else each.property_name for each in situation.in_place]
        return Decision(Effect.CHANGED if changed else Effect.UNCHANGED, changed)
    record = situation.record
    physical_id = (None if record is None else record.physical_id) or ""
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


def _delete(situation: Situation) -> Decision:
    record = situation.record
    if record is None or record.state is not PurchaseState.READY or record.incomplete or record.adopted:
        # What was decided before is continued. What no stack ever used has no recovery window of its own.
        return Decision(Effect.RELEASED if record is None else ending(record))
    return Decision(Effect.PENDING_RELEASE if situation.window else Effect.RELEASED, [RECOVERY_WINDOW])


def _refused(resource: Resource[Any], reason: reasons.Reason, causes: Sequence[str] = (), **values: object) -> Decision:
    return Decision(Effect.REFUSED, causes, reason.failure(noun=resource.display_name, **values))
