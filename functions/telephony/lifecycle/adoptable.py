"""Checks whether an existing resource can be adopted. Writes nothing, so that a plan can ask too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from telephony import reasons
from telephony.cloudformation import stacks
from telephony.cloudformation.stacks import Activity, Knowledge
from telephony.lifecycle import ledger
from telephony.lifecycle.invocation import Retrier
from telephony.lifecycle.ledger import Closed, Holder, PurchaseRecord, PurchaseState
from telephony.model.adoption import MAX_TAGS
from telephony.model.properties import Properties
from telephony.model.resource import Observed, Resource
from telephony.model.tags import Owner


def check(
    retrier: Retrier, resource: Resource[Any], desired: Properties, observed: Observed, own: PurchaseRecord
) -> Holder | None:
    """Raise HandlerError if the resource can't be adopted. Returns what held it until now.

    own: the record of the adoption, not written yet.
    """

    def failure(reason: reasons.Reason, **values: Any) -> Exception:
        return reason.failure(noun=resource.display_name, id=observed.physical_id, **values)

    conflicts = retrier.retry(lambda: resource.conflicts(observed, desired))
    if conflicts:
        raise failure(reasons.ADOPTION_CONFLICT, changes=", ".join(conflicts))
    tags = retrier.retry(lambda: resource.read_tags(observed))
    added = own.identity.ownership_tags.keys() - tags.keys()
    if len(tags) + len(added) > MAX_TAGS:
        raise failure(reasons.NO_ROOM_FOR_TAGS, count=len(tags), added=len(added), maximum=MAX_TAGS)
    former = ledger.holder(observed.physical_id)
    owner, held, since = _owner(former, tags)
    if owner is not None and (held or _names(retrier, owner, own.identity.owner, observed, since)):
        raise failure(reasons.HELD_BY_ANOTHER, logical_id=owner.logical_resource_id, stack_id=owner.stack_id)
    return former


def _owner(former: Holder | None, tags: Mapping[str, str]) -> tuple[Owner | None, bool, float]:
    """Return the resource that may use what is to be adopted, whether it is certain to, and since when."""
    record = None if former is None else former.record
    if record is not None and (record.closed is Closed.RETAINED or record.state is PurchaseState.PENDING_RELEASE):
        return None, False, 0
    if record is None or record.state is PurchaseState.CLOSED:
        return Owner.of(tags), False, 0  # The tags can be those of a provider with another state table.
    # A request purchases or releases what is not READY.
    return record.identity.owner, record.state is not PurchaseState.READY, record.opened_at


def _names(retrier: Retrier, owner: Owner, own: Owner, observed: Observed, since: float) -> bool:
    """Return whether the owner's stack may still use the resource: it names it, or is in an operation."""
    ids = (owner.stack_id, owner.logical_resource_id)
    if ids == (own.stack_id, own.logical_resource_id):
        # This stack is in an operation. Its events show what became of the resource.
        known = retrier.retry(lambda: stacks.knowledge(*ids, observed.physical_id, since=since))
        return known not in {Knowledge.RETAINED, Knowledge.NEVER_NAMED}
    activity = retrier.retry(lambda: stacks.activity(owner.stack_id))
    if activity is not Activity.AT_REST and owner.stack_id != own.stack_id:
        return activity is not Activity.DELETED
    return retrier.retry(lambda: stacks.physical_resource_id(*ids)) == observed.physical_id
