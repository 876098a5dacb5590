"""What a change of a stack does to a number, before it runs. Purchases, changes and releases nothing."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

from telephony import clock, reasons, resources
from telephony.cloudformation.changes import ADD, CONDITION, MODIFY, REMOVE, ResourceChange, is_unknown
from telephony.data import data
from telephony.errors import HandlerError, HandlerErrorCode
from telephony.lifecycle import adoptable, claim_limit, ledger
from telephony.lifecycle.effects import Decision, Effect, Situation, decide, release_policy
from telephony.lifecycle.invocation import Retrier
from telephony.lifecycle.ledger import PurchaseRecord, PurchaseState
from telephony.lifecycle.recovery import candidates
from telephony.model.declarations import changed_properties, declared, is_create_only, valid_part
from telephony.model.properties import Properties, fields, iter_declared, property_name
from telephony.model.recovery import reuses
from telephony.model.resource import Difference, Observed, ReleasePolicy, Resource
from telephony.model.validation import disable_removed_switches, shows_value
from telephony.settings import settings

UNKNOWN = "UNKNOWN"
"""The effect depends on values that are known after the deployment only."""
STOPS_ON: Mapping[str, frozenset[str]] = {
    "buy": frozenset({Effect.PURCHASED}),
    "replace": frozenset({Effect.REPLACED}),
    "release": frozenset({Effect.RELEASED, Effect.PENDING_RELEASE}),
}
"""The effects for which a deployment can be stopped, by the name of the condition."""


@data
class Planned:
    """What a change does to the number of a resource."""

    change: ResourceChange
    effect: str
    reason: str
    then: Sequence[str] = ()
    """Of REPLACED: what happens to the current number, and how the resource gets the other one. Of UNKNOWN: the effects
    that are possible. Empty: any."""
    current: Observed | None = None
    """The number that the resource has, if it was read."""
    new: Observed | None = None
    """The existing number that the resource gets."""
    desired: Properties | None = None

    def stops(self, conditions: Collection[str]) -> bool:
        """Return whether one of these conditions of STOPS_ON holds. Also if it can't be known, or the change fails."""
        unwanted = frozenset[str]().union(*(STOPS_ON[name] for name in conditions))
        unclear = self.effect == UNKNOWN and not self.then
        return bool({self.effect, *self.then} & unwanted) or self.effect == Effect.REFUSED or unclear


@data
class NewNumbers:
    """How the resources of a deployment get numbers."""

    retrier: Retrier
    taken: set[str] = attrs.field(factory=set)
    """What other resources of the deployment take, adopt or request by name."""

    def take(self, name: str) -> None:
        """Raise HandlerError if another resource of the deployment takes it too."""
        if name in self.taken:
            cause = f"Another resource of this deployment gets {name} too."
            raise HandlerError(HandlerErrorCode.ALREADY_EXISTS, cause, "Remove one of them.")
        self.taken.add(name)


def plan(change: ResourceChange, new_numbers: NewNumbers | None = None, *, live: bool = True) -> Planned:
    """Return what a change does.

    new_numbers: required for a resource that is added. Without it, the plan of a replacement describes only what
    happens to the current number. live: read the services. Otherwise, the declarations and the ledger decide alone, as
    if the number were as it was declared.
    """
    return _Plan(change, new_numbers, live=live).plan()


class _Plan:
    """The change of one resource."""

    def __init__(self, change: ResourceChange, new_numbers: NewNumbers | None, *, live: bool) -> None:
        self.change = change
        self.new_numbers = new_numbers
        self.live = live
        self.resource: Resource[Any] = resources.by_type(change.type_name)
        self.key = ledger.resource_key(change.stack_id, change.logical_id)
        self.before, self.after = change.before or {}, change.after or {}
        self.unknown = change.unknown
        self.current = self._read() if live and change.action != ADD else None

    def plan(self) -> Planned:
        actions = {ADD: self._add, MODIFY: self._modify, REMOVE: self._remove, CONDITION: self._depend}
        action, retained = actions.get(self.change.action), self.change.action == REMOVE and self.change.retains
        if action is None:
            text = f"The change set shows the action {self.change.action}, which can't be foreseen."
            return self._planned(UNKNOWN, text)
        shown = {ADD: [self.change.after], REMOVE: [self.change.before]}
        contexts = shown.get(self.change.action, [self.change.before, self.change.after])
        if None in contexts and not retained:
            return self._planned(UNKNOWN, "The change set does not show the properties.")
        try:
            return action()
        except HandlerError as failure:
            if failure.aws_code:
                raise  # A call was refused that only this plan makes.
            reason = re.sub(r"\s*\n\s*", " ", str(failure))
            return self._planned(Effect.REFUSED, f"The deployment would fail. {reason}")

    def _planned(self, effect: str, reason: str, **values: Any) -> Planned:
        return Planned(change=self.change, effect=effect, reason=reason, current=self.current, **values)

    # -- Create --------------------------------------------------------------------------------------------------------

    def _add(self) -> Planned:
        desired = declared(self.resource, self.after, self.unknown)
        new_numbers = self.new_numbers
        assert new_numbers is not None  # noqa: S101 - the caller plans an addition
        decision, former = self._create(desired, new_numbers)
        if "Adopt" in self.unknown:
            possible = [Effect.ADOPTED, Effect.REFUSED]
            return self._planned(UNKNOWN, "What is adopted is known after apply.", then=possible)
        if former is not None and self._may_differ:
            text = "Whether the resource takes a number that is pending release is known after apply."
            return self._planned(UNKNOWN, text, then=[decision.effect, Effect.PURCHASED])
        effect = decision.require()
        self._check_purchase(effect, desired, new_numbers)
        if effect is Effect.ADOPTED:
            return self._adopt(desired, new_numbers)
        if former is not None:
            owner = "The resource had" if effect is Effect.TAKEN_BACK else "Another resource had"
            text = f"{owner} the number, which is pending release."
            return self._planned(effect, text, new=self._take(former, new_numbers), desired=desired)
        return self._planned(effect, "The resource is new.", desired=desired)

    def _create(self, desired: Properties, new_numbers: NewNumbers) -> tuple[Decision, PurchaseRecord | None]:
        """Return what a Create does, and which purchase it takes the number of."""
        retrier, taken = new_numbers.retrier, new_numbers.taken
        own = list(candidates(retrier, self.resource, desired, ledger.recovery_key(self._request)))
        reused = candidates(retrier, self.resource, desired, self.resource.type_name) if reuses(desired) else ()
        free = (each for each in reused if each.physical_id not in taken)
        first = next(iter(own), None) or next(free, None)
        situation = Situation(
            recoverable=[each.physical_id or "" for each in own],
            reusable=[] if own or first is None else [first.physical_id or ""],
        )
        return decide(self.resource, desired, situation), first

    @property
    def _may_differ(self) -> bool:
        """Whether a create-only property is known after apply, so that the number found may not be the one taken."""
        return any(is_create_only(self.resource, name) for name in self.unknown)

    def _take(self, former: PurchaseRecord, new_numbers: NewNumbers) -> Observed | None:
        new_numbers.taken.add(former.physical_id or "")
        return self.resource.read(former.physical_id or "")

    def _check_purchase(self, effect: Effect, desired: Properties, new_numbers: NewNumbers) -> None:
        """Raise HandlerError if the account has reached its limit of claims, or has what is to be requested."""
        if effect is not Effect.PURCHASED:
            return
        claim_limit.check(self.resource, desired, self._request)
        existing = self.resource.locate(desired) if self.resource.reusable_ids and not self.unknown else None
        if existing is not None:
            cause = f"{existing.physical_id} already exists, and does not belong to this resource."
            raise HandlerError(HandlerErrorCode.ALREADY_EXISTS, cause, "Choose another name, or release it first.")
        if self.resource.identity_fields and not self.unknown:
            known = fields(self.resource.properties)
            identity = [str(getattr(desired, known[name][0].name)) for name in self.resource.identity_fields]
            new_numbers.take("|".join(identity).upper())

    @property
    def _request(self) -> PurchaseRecord:
        """A purchase that is not opened yet."""
        times: dict[str, Any] = {"request_time": 0, "issued_at": 0, "opened_at": 0, "deadline": 0}
        return PurchaseRecord(resource=self.key, request_id="", resource_type=self.resource.type_name, **times)

    def _adopt(self, desired: Properties, new_numbers: NewNumbers) -> Planned:
        values = {"noun": self.resource.display_name}
        if not settings().allow_adoption:
            raise reasons.ADOPTION_NOT_ALLOWED.failure(**values)
        if self.unknown.intersection(self.resource.identity_fields):
            text = "What is adopted is known after apply."
            return self._planned(UNKNOWN, text, then=[Effect.ADOPTED, Effect.REFUSED])
        existing = self.resource.locate(desired)
        if existing is None:
            raise reasons.NOTHING_TO_ADOPT.failure(**values)
        adoptable.check(new_numbers.retrier, self.resource, desired, existing, self._request)
        new_numbers.take(existing.physical_id)
        text = "The existing number comes under the resource, and is never released."
        return self._planned(Effect.ADOPTED, text, new=existing, desired=desired)

    # -- Update --------------------------------------------------------------------------------------------------------

    def _modify(self) -> Planned:
        changing = self.unknown.difference(self.change.same)
        if self.before == self.after and not changing:
            return self._planned(Effect.UNCHANGED, "No property changes.")
        desired = declared(self.resource, self.after, self.unknown)
        situation = self._situation(desired)
        unknown = [Difference(name, None, None, shows_value=False) for name in sorted(changing)]
        undecided = [each for each in unknown if is_create_only(self.resource, each.property_name)]
        situation = copy.replace(situation, in_place=[*situation.in_place, *unknown])
        decision = decide(self.resource, desired, situation)
        if undecided and not situation.create_only and decision.effect is not Effect.REFUSED:
            other = decide(self.resource, desired, copy.replace(situation, create_only=undecided))
            names = ", ".join(each.property_name for each in undecided)
            text = f"{names} can't be changed in place, and the value is known after apply."
            possible = [decision.effect, other.effect]
            if other.effect is Effect.REFUSED and "AllowReplacement" in self.unknown:
                possible.append(Effect.REPLACED)
            return self._planned(UNKNOWN, text, then=possible)
        if situation.create_only and "AllowReplacement" in self.unknown and decision.effect is Effect.REFUSED:
            text = "Whether the replacement is allowed is known after apply."
            return self._planned(UNKNOWN, text, then=[Effect.REPLACED, Effect.REFUSED])
        effect, names = decision.require(), ", ".join(decision.causes)
        if effect is Effect.REPLACED:
            return self._replace(desired, situation, names)
        return self._planned(
            effect, f"Changed in place: {names}." if names else "No setting of the number changes.", desired=desired
        )

    def _situation(self, desired: Properties) -> Situation:
        """Return the situation of an Update. Raises HandlerError if the resource has no number."""
        record, physical_id = self._record(), self.change.physical_id
        if not self.live:
            return foresee(self.resource, self.before, desired, physical_id, record)
        if self.current is None:
            raise self._failure(reasons.DOES_NOT_EXIST)
        if record is None:
            raise self._failure(reasons.NOT_OWNED)
        if not self.current.pool_ids:
            desired = disable_removed_switches(desired, self.before)
        found = changed_properties(self.resource, self.current, desired)
        replacing = [each for each in found if is_create_only(self.resource, each.property_name)]
        # A sender ID can be in any pool of the account.
        undecided = any(is_create_only(self.resource, name) for name in self.unknown)
        pools = self._pools(self.current) if replacing or undecided else ()
        return Situation(
            physical_id=physical_id,
            record=record,
            create_only=replacing,
            in_place=[each for each in found if each not in replacing],
            blockers=ReleasePolicy().blockers(self.current.protected, pools),
        )

    def _replace(self, desired: Properties, situation: Situation, names: str) -> Planned:
        """Describe a replacement: how the resource gets another number, and what happens to the current one."""
        then, new = [], None
        if self.new_numbers is not None:
            decision, former = self._create(desired, self.new_numbers)
            self._check_purchase(decision.require(), desired, self.new_numbers)
            then, new = [decision.effect], None if former is None else self._take(former, self.new_numbers)
            if former is not None and self._may_differ:
                then.append(Effect.PURCHASED)
        if self.change.retains:
            old, text = Effect.RETAINED, "UpdateReplacePolicy retains the current number."
        else:
            ended, text = self._end(situation.record)
            old = ended.require()
        reason = f"{names} can't be changed in place. {text}"
        return self._planned(Effect.REPLACED, reason, then=[old, *then], new=new, desired=desired)

    def _depend(self) -> Planned:
        """Describe a change after which a condition decides whether the resource stays."""
        if self._remove().stops(("release",)):
            return self._planned(UNKNOWN, "The condition of the resource changes. A change set shows its effect.")
        return self._modify()

    # -- Delete --------------------------------------------------------------------------------------------------------

    def _remove(self) -> Planned:
        if self.change.retains:
            return self._planned(Effect.RETAINED, "DeletionPolicy retains the number.")
        record = self._record()
        if self.live and self.current is None:
            return self._planned(Effect.UNCHANGED, "The number no longer exists.")
        if record is None and not self.live:
            return self._planned(UNKNOWN, "The state table has no record of the number.")
        if record is None:
            text = "The number does not belong to this resource, and is not released."
            return self._planned(Effect.UNCHANGED, text)
        decision, text = self._end(record)
        return self._planned(decision.require(), text)

    def _end(self, record: PurchaseRecord | None) -> tuple[Decision, str]:
        """Return what the Delete of the current number does, and why."""
        default, physical_id = settings().recovery_window_days, self.change.physical_id
        situation = foresee(
            self.resource, self.before, None, physical_id, record, default_window=default, now=clock.now()
        )
        if self.current is not None and record is not None:
            policy = release_policy(self.resource, record, self.before)
            blockers = policy.blockers(self.current.protected, self._pools(self.current))
            situation = copy.replace(situation, blockers=blockers)
        decision = decide(self.resource, None, situation)
        days = situation.window
        due = f"after {days} days" if days else "on the due date that it had before"
        texts = {
            Effect.RELEASED: "The current number is released, and usually can't be recovered.",
            Effect.PENDING_RELEASE: f"The current number is released {due}. Until then it is billed, and can be "
            "restored.",
            Effect.RETAINED: "The current number was adopted, and stays in the account.",
        }
        return decision, texts.get(decision.effect, "The number is already released or pending release.")

    # -- reads ---------------------------------------------------------------------------------------------------------

    def _read(self) -> Observed | None:
        """Read the number that the stack names. A generated ID names none."""
        if not re.fullmatch(self.resource.properties.id_pattern, self.change.physical_id):
            return None
        return self.resource.read(self.change.physical_id)

    def _pools(self, current: Observed) -> Collection[str]:
        """Return the pools of the number. Those of a sender ID take many calls, and can only prevent its release."""
        return current.pool_ids if self.new_numbers is None else self.resource.read_pool_ids(current)

    def _record(self) -> PurchaseRecord | None:
        """Return the purchase of the number, from the ledger or the tags. None: it has another owner."""
        record = ledger.history(self.key).by_physical_id(self.change.physical_id)
        if self.current is None or (record is not None and not self.resource.reusable_ids):
            return record
        tags = self.resource.read_tags(self.current)
        if record is not None:
            return record if record.identity.matches(tags) else None
        lost = ledger.record_of_tags(self.key, self.resource.type_name, self.current, tags)
        return lost if lost.identity.matches(tags) and lost.state is PurchaseState.READY else None

    def _failure(self, reason: reasons.Reason) -> HandlerError:
        return reason.failure(noun=self.resource.display_name, id=self.change.physical_id)


def foresee(
    resource: Resource[Any],
    before: Mapping[str, Any],
    declared: Properties | None,
    physical_id: str,
    record: PurchaseRecord | None,
    *,
    default_window: int = 0,
    now: float = 0,
) -> Situation:
    """Return the situation of an Update or a Delete without a read: the number is as it was declared before.

    A property that was not declared before counts as one that differs. declared: None in a Delete. default_window: the
    recovery window of the provider. now: when a Delete is processed, in seconds since the epoch.
    """
    former = valid_part(resource, before, {name for name, value in before.items() if is_unknown(value)})
    pools = [getattr(former, "pool_id", None)]
    protected, pool_ids = bool(getattr(former, "deletion_protection_enabled", None)), [*filter(None, pools)]
    situation = Situation(physical_id=physical_id, record=record)
    if declared is None:
        policy = ReleasePolicy() if record is None else release_policy(resource, record, before)
        days = resource.recovery_window(before, default_window)
        return copy.replace(situation, blockers=policy.blockers(protected, pool_ids), window=days, now=now)
    declared = declared if pool_ids else disable_removed_switches(declared, before)
    create_only, in_place = _changes(former, declared, create_only=True), _changes(former, declared, create_only=False)
    blockers = ReleasePolicy().blockers(protected, pool_ids)
    return copy.replace(situation, create_only=create_only, in_place=in_place, blockers=blockers)


def _changes(before: Properties, after: Properties, *, create_only: bool) -> list[Difference]:
    """Return the properties whose declaration differs. A property that is no longer declared does not."""
    found = []
    for field, info, wanted in iter_declared(after):
        if info.create_only is create_only and not (info.create_only_not_readable or info.of_request):
            former, normalize = getattr(before, field.name), info.normalize or _comparable
            if former is None or normalize(former) != normalize(wanted):
                found.append(Difference(property_name(field.name), former, wanted, shows_value(field.type, info)))
    return found


def _comparable(value: Any) -> Any:
    """Return a value that can be compared: declarations of nested properties can't."""
    if isinstance(value, tuple):
        return [_comparable(item) for item in value]
    return attrs.asdict(value) if attrs.has(type(value)) else value
