"""`telephony plan`: what a change set does to each number, why, and what it costs."""

import copy
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from telephony import clock, reasons, resources
from telephony.aws import services
from telephony.data import data
from telephony.errors import HandlerError, HandlerErrorCode, NotFoundError
from telephony.lifecycle import claim_limit, ledger
from telephony.lifecycle.effects import Decision, Effect, Situation, decide, release_policy
from telephony.lifecycle.ledger import PurchaseRecord, PurchaseState
from telephony.lifecycle.recovery import candidates
from telephony.model.properties import Properties, fields
from telephony.model.recovery import reuses
from telephony.model.resource import Difference, Observed, ReleasePolicy, Resource
from telephony.model.validation import disable_removed_switches, shows_value
from telephony.settings import settings
from telephony_cli.account import NO_STACK, Failure, Patience, number_of, region
from telephony_cli.declarations import changed_properties, declared, is_create_only, is_unknown, properties_of
from telephony_cli.output import Format, parse_price, price, show_json, show_table, total

UNKNOWN = "UNKNOWN"
"""The effect depends on values that are known after the deployment only."""
FAIL_ON: Mapping[str, frozenset[str]] = {
    "buy": frozenset({Effect.PURCHASED}),
    "replace": frozenset({Effect.REPLACED}),
    "release": frozenset({Effect.RELEASED, Effect.PENDING_RELEASE}),
}
"""The effects that --fail-on names."""
_NESTED_STACK = "AWS::CloudFormation::Stack"
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
"""StatusReasons of a change set without changes (AWS CLI, customizations/cloudformation/deployer.py)."""
_COLUMNS = ("Resource", "Effect", "Number", "USD per month", "Why")
_ZERO = Decimal(0)


@data
class Change:
    """A property whose declaration changes."""

    name: str
    before: Any
    after: Any
    shown: bool
    """Whether the values are shown. Any other property can have the value of a NoEcho parameter."""
    unknown: bool
    """The value is known after the deployment only."""

    def document(self) -> dict[str, Any]:
        """Return the JSON of a change."""
        values = {"before": self.before if self.shown else None, "after": self.after if self.shown else None}
        return {"name": self.name, **values, "shown": self.shown, "known_after_apply": self.unknown}

    def __str__(self) -> str:
        """Return the text of a change."""
        after = "(known after apply)" if self.unknown else _text(self.after)
        return f"{self.name}: {_text(self.before) if self.shown else '(not shown)'} -> {after}"


@data
class Planned:
    """What a change set does to the number of one resource."""

    stack_name: str
    logical_id: str
    type_name: str
    effect: str
    reason: str
    physical_id: str | None = None
    number: str = ""
    then: Sequence[str] = ()
    """Of REPLACED: what happens to the current number, and how the resource gets the other one. Of UNKNOWN: the effects
    that are possible. Empty: any."""
    properties: Sequence[Change] = ()
    before: Decimal | None = _ZERO
    after: Decimal | None = _ZERO

    @property
    def effects(self) -> set[str]:
        """Every effect that --fail-on compares."""
        return {self.effect, *self.then}

    def document(self) -> dict[str, Any]:
        """Return the JSON of a resource."""
        return {
            "stack_name": self.stack_name,
            "logical_id": self.logical_id,
            "type": self.type_name,
            "physical_id": self.physical_id,
            "number": self.number or None,
            "effect": self.effect,
            "then": list(self.then),
            "reason": self.reason,
            "properties": [change.document() for change in self.properties],
            "monthly_price": {"before": price(self.before), "after": price(self.after)},
        }

    def row(self) -> list[str]:
        """Return the row of a resource."""
        before, after = (price(value) or "unknown" for value in (self.before, self.after))
        effect = f"{self.effect} ({', '.join(self.then)})" if self.then else self.effect
        values = [f"{change}." for change in self.properties if change.shown or change.unknown]
        why = " ".join([self.reason, *values])
        cost = before if before == after else f"{before} -> {after}"
        return [f"{self.stack_name}/{self.logical_id}", effect, self.number or self.physical_id or "-", cost, why]


def show(stack_name: str, change_set_name: str, output: Format) -> list[Planned]:
    """Show what a change set does, and return it."""
    found = list(_plan(stack_name, change_set_name, _Account({}, set())))
    (before, _), (after, unknown) = total(each.before for each in found), total(each.after for each in found)
    if output is Format.JSON:
        document: dict[str, Any] = {"stack_name": stack_name, "change_set_name": change_set_name}
        document["resources"] = [each.document() for each in found]
        document["effects"] = dict(sorted(Counter(each.effect for each in found).items()))
        document["monthly_price"] = {"before": price(before), "after": price(after), "unknown": unknown}
        show_json(document)
        return found
    rest = f", and {unknown} of unknown price" if unknown else ""
    lines = [f"Price of these numbers: {price(before)} -> {price(after)} USD per month{rest}."]
    show_table(_COLUMNS, [each.row() for each in found], *(lines if found else ["No number changes."]))
    return found


def changes(found: Sequence[Planned]) -> bool:
    """Return whether a plan changes anything."""
    return any(each.effect != Effect.UNCHANGED for each in found)


def stopped(found: Sequence[Planned], conditions: Sequence[str]) -> list[Planned]:
    """Return the resources for which --fail-on stops: also those that fail, or whose effect is unknown."""
    unwanted = frozenset[str]().union(*(FAIL_ON[name] for name in conditions))
    return [
        each
        for each in found
        if each.effects & unwanted or each.effect == Effect.REFUSED or (each.effect == UNKNOWN and not each.then)
    ]


@data
class _Account:
    """What the resources of a change set share."""

    read: dict[str, list[Observed]]
    """The numbers of the account by type, read once if a price is needed."""
    taken: set[str]
    """The numbers pending release that a new resource gets."""

    def numbers(self, resource: Resource[Any]) -> list[Observed]:
        """Return the numbers of a type."""
        if resource.type_name not in self.read:
            self.read[resource.type_name] = [*resource.read_all()]
        return self.read[resource.type_name]


def _plan(stack_name: str | None, change_set_name: str, account: _Account) -> Iterator[Planned]:
    described = _describe(stack_name, change_set_name)
    for change in described["Changes"]:
        resource_change = change.get("ResourceChange", {})
        type_name = resource_change.get("ResourceType", "")
        if type_name in resources.type_names():
            yield _Change(described["StackId"], resource_change, account).plan()
        elif type_name == _NESTED_STACK and "ChangeSetId" in resource_change:
            yield from _plan(None, resource_change["ChangeSetId"], account)
        elif type_name == _NESTED_STACK and resource_change.get("PolicyAction") != "Retain":
            yield _nested(described["StackName"], resource_change)


def _describe(stack_name: str | None, change_set_name: str) -> dict[str, Any]:
    """Return a change set that can be executed, with all of its changes. Raises Failure if there is none."""
    parameters = {"ChangeSetName": change_set_name} | ({"StackName": stack_name} if stack_name is not None else {})
    try:
        page = _describe_page(parameters)
        pages = [page]
        while "NextToken" in page:
            page = _describe_page({**parameters, "NextToken": page["NextToken"]})
            pages.append(page)
    except NotFoundError:
        raise Failure(NO_STACK.format(stack_name, region())) from None
    except HandlerError as error:
        if error.aws_code != "ChangeSetNotFound":
            raise
        raise Failure(f"The stack {stack_name} has no change set {change_set_name}. Check --change-set-name.") from None
    described = {**page, "Changes": [change for each in pages for change in each.get("Changes", [])]}
    status, reason, execution = (described.get(name, "") for name in ("Status", "StatusReason", "ExecutionStatus"))
    if status in {"CREATE_PENDING", "CREATE_IN_PROGRESS"}:
        raise Failure(f"The change set {change_set_name} is still being created ({status}). Wait until it is complete.")
    if status == "FAILED" and any(text in reason for text in _NO_CHANGES):
        return {**described, "Changes": []}
    if status != "CREATE_COMPLETE":
        raise Failure(f"The change set {change_set_name} can't be executed: it is {status}. {reason}".strip())
    if execution not in {"AVAILABLE", "UNAVAILABLE", ""}:
        raise Failure(f"The change set {change_set_name} can't be executed again ({execution}). Create a new one.")
    return described


def _describe_page(parameters: Mapping[str, Any]) -> dict[str, Any]:
    describe: Any = services.cloudformation().describe_change_set
    page: dict[str, Any] = describe(IncludePropertyValues=True, **parameters)
    return page


def _nested(stack_name: str, change: Mapping[str, Any]) -> Planned:
    removed = change["Action"] == "Remove"
    text = (
        "The nested stack is removed with all of its numbers. Their policies and recovery windows apply."
        if removed
        else "The change set does not show the nested stack. Create it with --include-nested-stacks."
    )
    names = {"stack_name": stack_name, "logical_id": change["LogicalResourceId"], "type_name": _NESTED_STACK}
    physical_id = change.get("PhysicalResourceId")
    return Planned(**names, effect=UNKNOWN, reason=text, physical_id=physical_id, before=None, after=None)


class _Change:
    """The change of one resource."""

    def __init__(self, stack_id: str, change: Mapping[str, Any], account: _Account) -> None:
        self.account = account
        self.change = change
        self.resource: Resource[Any] = resources.by_type(change["ResourceType"])
        self.stack_id = stack_id
        self.logical_id: str = change["LogicalResourceId"]
        self.key = ledger.resource_key(stack_id, self.logical_id)
        self.physical_id: str = change.get("PhysicalResourceId", "")
        before, after = (json.loads(change.get(name) or "{}") for name in ("BeforeContext", "AfterContext"))
        self.before, self.after = properties_of(before), properties_of(after)
        policy = after.get("UpdateReplacePolicy") if change["Action"] == "Modify" else before.get("DeletionPolicy")
        contexts = {"Add": [after], "Remove": [before]}.get(change["Action"], [before, after])
        self.hidden = not all("Properties" in context for context in contexts)
        self.retains = policy == "Retain" or change.get("PolicyAction") in {"Retain", "ReplaceAndRetain"}
        self.unknown = {name for name, value in self.after.items() if is_unknown(value)}
        self.observed = self._read() if change["Action"] != "Add" else None
        self.price = None if self.observed is None else parse_price(self.observed.attributes)

    def plan(self) -> Planned:
        """Return what happens to the number."""
        actions = {"Add": self._add, "Modify": self._modify, "Remove": self._remove}
        action = actions.get(self.change["Action"])
        if action is None:
            text = f"The change set shows the action {self.change['Action']}, which can't be foreseen."
            return self._planned(UNKNOWN, text, after=None)
        if self.hidden and not (self.retains and action == self._remove):
            return self._planned(UNKNOWN, "The change set does not show the properties.", after=None)
        try:
            return action()
        except HandlerError as failure:
            if failure.aws_code:
                raise  # A call of this command was refused.
            return self._refused(failure)

    def _planned(self, effect: str, reason: str, **values: Any) -> Planned:
        attributes = {} if self.observed is None else self.observed.attributes
        before = self.price if self.observed is not None else _ZERO
        shown: dict[str, Any] = {"number": number_of(attributes), "before": before, "after": before} | values
        return Planned(
            stack_name=self.stack_id.split("/")[1],
            logical_id=self.logical_id,
            type_name=self.resource.type_name,
            effect=effect,
            reason=reason,
            physical_id=self.physical_id or None,
            properties=self._properties(),
            **shown,
        )

    def _properties(self) -> list[Change]:
        if self.change["Action"] != "Modify" and not self.unknown:
            return []
        names = sorted(self.before.keys() | self.after.keys()) if self.before else sorted(self.unknown)
        known = fields(self.resource.properties)
        found = []
        for name in names:
            before, after, unknown = self.before.get(name), self.after.get(name), name in self.unknown
            if before != after or unknown:
                shown = name in known and shows_value(known[name][0].type, known[name][1])
                found.append(Change(name, before, None if unknown else after, shown, unknown))
        return found

    def _refused(self, failure: HandlerError) -> Planned:
        reason = re.sub(r"\s*\n\s*", " ", str(failure))
        return self._planned(Effect.REFUSED, f"The deployment would fail. {reason}")

    # -- Create --------------------------------------------------------------------------------------------------------

    def _add(self) -> Planned:
        desired = declared(self.resource, self.after, self.unknown)
        decision, former = self._create(desired)
        if "Adopt" in self.unknown:
            possible = [Effect.ADOPTED, Effect.REFUSED]
            return self._planned(UNKNOWN, "What is adopted is known after apply.", then=possible, after=None)
        if former is not None and any(is_create_only(self.resource, name) for name in self.unknown):
            text = "Whether the resource takes a number that is pending release is known after apply."
            return self._planned(UNKNOWN, text, then=[decision.effect, Effect.PURCHASED], after=None)
        effect = decision.require()
        self._check_purchase(effect, desired)
        if effect is Effect.ADOPTED:
            return self._adopt(desired)
        if former is not None:
            self.account.taken.add(former.physical_id or "")
            self._use(self.resource.read(former.physical_id or ""))
            return self._planned(effect, _taken(effect))
        return self._planned(effect, "The resource is new.", after=self._new_price(desired))

    def _create(self, desired: Properties) -> tuple[Decision, PurchaseRecord | None]:
        """Return what a Create does, and which purchase it takes the number of."""
        patience = Patience()
        own = list(candidates(patience, self.resource, desired, ledger.recovery_key(self._request)))
        others = candidates(patience, self.resource, desired, self.resource.type_name) if reuses(desired) else iter(())
        free = (each for each in others if each.physical_id not in self.account.taken)
        first = next(iter(own), None) or next(free, None)
        situation = Situation(
            recoverable=[each.physical_id or "" for each in own],
            reusable=[] if own or first is None else [first.physical_id or ""],
        )
        return decide(self.resource, desired, situation), first

    def _check_purchase(self, effect: Effect, desired: Properties) -> None:
        """Raise HandlerError if the account has reached its limit of claims, or has what is to be requested."""
        if effect is not Effect.PURCHASED:
            return
        claim_limit.check(self.resource, desired, self._request)
        existing = self.resource.locate(desired) if self.resource.reusable_ids and not self.unknown else None
        if existing is not None:
            cause = f"{existing.physical_id} already exists, and does not belong to this resource."
            raise HandlerError(HandlerErrorCode.ALREADY_EXISTS, cause, "Choose another name, or release it first.")

    @property
    def _request(self) -> PurchaseRecord:
        """A purchase that is not opened yet."""
        times: dict[str, Any] = {"request_time": 0, "issued_at": 0, "opened_at": 0, "deadline": 0}
        return PurchaseRecord(resource=self.key, request_id="", resource_type=self.resource.type_name, **times)

    def _adopt(self, desired: Properties) -> Planned:
        values = {"noun": self.resource.display_name}
        if not settings().allow_adoption:
            raise reasons.ADOPTION_NOT_ALLOWED.failure(**values)
        self._use(self.resource.locate(desired))
        if self.observed is None:
            raise reasons.NOTHING_TO_ADOPT.failure(**values)
        if conflicts := self.resource.conflicts(self.observed, desired):
            values |= {"id": self.physical_id, "changes": ", ".join(conflicts)}
            raise reasons.ADOPTION_CONFLICT.failure(**values)
        return self._planned(Effect.ADOPTED, "The existing number comes under the resource, and is never released.")

    def _use(self, observed: Observed | None) -> None:
        """Describe an existing number that the resource gets."""
        self.observed = observed
        if observed is not None:
            self.physical_id, self.price = observed.physical_id, parse_price(observed.attributes)

    # -- Update --------------------------------------------------------------------------------------------------------

    def _modify(self) -> Planned:
        if self.before == self.after and not self.unknown:
            return self._planned(Effect.UNCHANGED, "No property changes.")
        desired = declared(self.resource, self.after, self.unknown)
        record, observed = self._record(), self.observed
        if observed is None:
            raise self._failure(reasons.DOES_NOT_EXIST)
        if record is None:
            raise self._failure(reasons.NOT_OWNED)
        if not observed.pool_ids:
            desired = disable_removed_switches(desired, self.before)
        found = changed_properties(self.resource, observed, desired)
        replacing = [each for each in found if is_create_only(self.resource, each.property_name)]
        unknown = [Difference(name, None, None, shows_value=False) for name in sorted(self.unknown)]
        undecided = [each for each in unknown if is_create_only(self.resource, each.property_name)]
        # A sender ID can be in any pool of the account.
        pools = self.resource.read_pool_ids(observed) if replacing or undecided else ()
        situation = Situation(
            physical_id=self.physical_id,
            record=record,
            create_only=replacing,
            in_place=[each for each in found if each not in replacing] + unknown,
            blockers=ReleasePolicy().blockers(observed.protected, pools),
        )
        decision = decide(self.resource, desired, situation)
        if undecided and not replacing:
            other = decide(self.resource, desired, copy.replace(situation, create_only=undecided))
            names = ", ".join(each.property_name for each in undecided)
            text = f"{names} can't be changed in place, and the value is known after apply."
            return self._planned(UNKNOWN, text, then=[decision.effect, other.effect], after=None)
        if "AllowReplacement" in self.unknown and decision.effect is Effect.REFUSED:
            text = "Whether the replacement is allowed is known after apply."
            return self._planned(UNKNOWN, text, then=[Effect.REPLACED, Effect.REFUSED], after=None)
        effect = decision.require()
        if effect is Effect.REPLACED:
            return self._replace(desired, record, observed, decision)
        names = ", ".join(decision.causes)
        text = f"Changed in place: {names}." if names else "No setting of the number changes."
        return self._planned(effect, text)

    def _replace(self, desired: Properties, record: PurchaseRecord, observed: Observed, decision: Decision) -> Planned:
        """Describe a replacement: how the resource gets another number, and what happens to the current one."""
        new, former = self._create(desired)
        effect = new.require()
        self._check_purchase(effect, desired)
        after = self._new_price(desired)
        if former is not None:
            taken = self.resource.read(former.physical_id or "")
            after = None if taken is None else parse_price(taken.attributes)
        if self.retains:
            old, text = Effect.RETAINED, "UpdateReplacePolicy retains the current number."
        else:
            ended, text = self._end(record, observed)
            old = ended.require()
        if old is not Effect.RELEASED:
            after = None if after is None or self.price is None else after + self.price
        names = ", ".join(decision.causes)
        return self._planned(
            Effect.REPLACED, f"{names} can't be changed in place. {text}", then=[old, effect], after=after
        )

    # -- Delete --------------------------------------------------------------------------------------------------------

    def _remove(self) -> Planned:
        if self.retains:
            return self._planned(Effect.RETAINED, "DeletionPolicy retains the number.")
        record, observed = self._record(), self.observed
        if observed is None:
            return self._planned(Effect.UNCHANGED, "The number no longer exists.")
        if record is None:
            return self._planned(Effect.UNCHANGED, "The number does not belong to this resource, and is not released.")
        decision, text = self._end(record, observed)
        effect = decision.require()
        return self._planned(effect, text, **({"after": _ZERO} if effect is Effect.RELEASED else {}))

    def _end(self, record: PurchaseRecord, observed: Observed) -> tuple[Decision, str]:
        """Return what the Delete of the current number does, and why."""
        days = self.resource.recovery_window(self.before, settings().recovery_window_days)
        policy = release_policy(self.resource, record, self.before)
        situation = Situation(
            physical_id=self.physical_id,
            record=record,
            blockers=policy.blockers(observed.protected, self.resource.read_pool_ids(observed)),
            window=days,
            now=clock.now(),
        )
        decision = decide(self.resource, None, situation)
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
        if not re.fullmatch(self.resource.properties.id_pattern, self.physical_id):
            return None
        return self.resource.read(self.physical_id)

    def _record(self) -> PurchaseRecord | None:
        """Return the purchase of the number, from the ledger or the tags. None: it has another owner."""
        record = ledger.history(self.key).by_physical_id(self.physical_id)
        if self.observed is None or (record is not None and not self.resource.reusable_ids):
            return record
        tags = self.resource.read_tags(self.observed)
        if record is not None:
            return record if record.identity.matches(tags) else None
        lost = ledger.record_of_tags(self.key, self.resource.type_name, self.observed, tags)
        return lost if lost.identity.matches(tags) and lost.state is PurchaseState.READY else None

    def _failure(self, reason: reasons.Reason) -> HandlerError:
        return reason.failure(noun=self.resource.display_name, id=self.physical_id)

    def _new_price(self, desired: Properties) -> Decimal | None:
        """Return the price of the numbers of the account with the same country and type. None if it is unknown."""
        wanted = {name: getattr(desired, name, None) for name in ("iso_country_code", "number_type")}
        prices = {
            parse_price(observed.attributes)
            for observed in self.account.numbers(self.resource)
            if all(observed.live.get(name) == value for name, value in wanted.items())
        }
        return prices.pop() if len(prices) == 1 else None


def _taken(effect: Effect) -> str:
    owner = "The resource had" if effect is Effect.TAKEN_BACK else "Another resource had"
    return f"{owner} the number, which is pending release."


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "(none)" if value is None else str(value)
