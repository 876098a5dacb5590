"""`telephony plan`: what a change set does to each number, why, and what it costs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from telephony import resources
from telephony.cloudformation.changes import (
    MODIFY,
    NESTED_STACK,
    REMOVE,
    ResourceChange,
    describe_change_set,
    is_unknown,
    of_change_set,
)
from telephony.data import data
from telephony.errors import HandlerError, NotFoundError
from telephony.lifecycle.effects import Effect
from telephony.lifecycle.plan import UNKNOWN, NewNumbers, Planned, plan
from telephony.model.properties import fields
from telephony.model.resource import Observed
from telephony.model.validation import shows_value
from telephony_cli.account import NO_STACK, Failure, Patience, number_of, region
from telephony_cli.output import Format, parse_price, price, show_json, show_table, total

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
class Priced:
    """What a change set does to the number of one resource, and the monthly prices."""

    planned: Planned
    before: Decimal | None
    after: Decimal | None

    @property
    def name(self) -> str:
        """The stack and the logical ID."""
        change = self.planned.change
        return f"{change.stack_id.split('/')[1]}/{change.logical_id}"

    @property
    def _number(self) -> Observed | None:
        """The number that the resource has, or the existing one that a new resource gets."""
        return self.planned.current or (self.planned.new if self.planned.effect != Effect.REPLACED else None)

    @property
    def _physical_id(self) -> str | None:
        return self._number.physical_id if self._number is not None else self.planned.change.physical_id or None

    def document(self) -> dict[str, Any]:
        """Return the JSON of a resource."""
        change, planned = self.planned.change, self.planned
        return {
            "stack_name": change.stack_id.split("/")[1],
            "logical_id": change.logical_id,
            "type": change.type_name,
            "physical_id": self._physical_id,
            "number": None if self._number is None else number_of(self._number.attributes) or None,
            "effect": planned.effect,
            "then": list(planned.then),
            "reason": planned.reason,
            "properties": [each.document() for each in _properties(change)],
            "monthly_price": {"before": price(self.before), "after": price(self.after)},
        }

    def row(self) -> list[str]:
        """Return the row of a resource."""
        planned = self.planned
        before, after = (price(value) or "unknown" for value in (self.before, self.after))
        effect = f"{planned.effect} ({', '.join(planned.then)})" if planned.then else planned.effect
        values = [f"{each}." for each in _properties(planned.change) if each.shown or each.unknown]
        number = number_of(self._number.attributes) if self._number is not None else ""
        cost = before if before == after else f"{before} -> {after}"
        return [self.name, effect, number or self._physical_id or "-", cost, " ".join([planned.reason, *values])]


def show(stack_name: str, change_set_name: str, output: Format) -> list[Priced]:
    """Show what a change set does, and return it."""
    found = list(_plan(stack_name, change_set_name))
    (before, _), (after, unknown) = total(each.before for each in found), total(each.after for each in found)
    if output is Format.JSON:
        document: dict[str, Any] = {"stack_name": stack_name, "change_set_name": change_set_name}
        document["resources"] = [each.document() for each in found]
        document["effects"] = dict(sorted(Counter(each.planned.effect for each in found).items()))
        document["monthly_price"] = {"before": price(before), "after": price(after), "unknown": unknown}
        show_json(document)
        return found
    rest = f", and {unknown} of unknown price" if unknown else ""
    lines = [f"Price of these numbers: {price(before)} -> {price(after)} USD per month{rest}."]
    show_table(_COLUMNS, [each.row() for each in found], *(lines if found else ["No number changes."]))
    return found


def changes(found: Sequence[Priced]) -> bool:
    """Return whether a plan changes anything."""
    return any(each.planned.effect != Effect.UNCHANGED for each in found)


def _plan(stack_name: str, change_set_name: str) -> Iterator[Priced]:
    prices, taken = _Prices(), set[str]()
    described = _describe(stack_name, change_set_name)
    for change in of_change_set(described, resources.type_names(), lambda name: _describe(None, name)):
        if change.type_name != NESTED_STACK:
            yield prices.of(plan(change, NewNumbers(Patience(), taken)))
        elif not (change.action == REMOVE and change.retains):
            yield Priced(Planned(change, UNKNOWN, _nested(change)), None, None)


def _nested(change: ResourceChange) -> str:
    if change.action == REMOVE:
        return "The nested stack is removed with all of its numbers. Their policies and recovery windows apply."
    return "The change set does not show the nested stack. Create it with --include-nested-stacks."


def _describe(stack_name: str | None, change_set_name: str) -> Mapping[str, Any]:
    """Return a change set that can be executed, with all of its changes. Raises Failure if there is none."""
    try:
        described = describe_change_set(stack_name, change_set_name)
    except NotFoundError:
        raise Failure(NO_STACK.format(stack_name, region())) from None
    except HandlerError as error:
        if error.aws_code != "ChangeSetNotFound":
            raise
        raise Failure(f"The stack {stack_name} has no change set {change_set_name}. Check --change-set-name.") from None
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


class _Prices:
    """The prices of a plan."""

    def __init__(self) -> None:
        self._numbers: dict[str, list[Observed]] = {}
        """The numbers of the account by type, read once if a price is needed."""

    def of(self, planned: Planned) -> Priced:
        """Return a change with the prices before and after it. None: unknown."""
        existing = planned.current or (planned.new if planned.effect != Effect.REPLACED else None)
        before = _ZERO if existing is None else parse_price(existing.attributes)
        after = before
        if planned.effect == UNKNOWN:
            after = None
        elif planned.effect == Effect.RELEASED:
            after = _ZERO
        elif planned.effect in {Effect.PURCHASED, Effect.REPLACED}:
            after = self._new(planned) if planned.new is None else parse_price(planned.new.attributes)
        if planned.effect == Effect.REPLACED:
            kept = _ZERO if Effect.RELEASED in planned.then else before
            # A number that is taken was billed before.
            before = before if planned.new is None else _sum(before, after)
            undecided = planned.new is not None and Effect.PURCHASED in planned.then
            after = None if undecided else _sum(kept, after)
        return Priced(planned, before, after)

    def _new(self, planned: Planned) -> Decimal | None:
        """Return the price of the numbers of the account with the same country and type. None if it is unknown."""
        resource = resources.by_type(planned.change.type_name)
        if resource.type_name not in self._numbers:
            self._numbers[resource.type_name] = [*resource.read_all()]
        wanted = {name: getattr(planned.desired, name, None) for name in ("iso_country_code", "number_type")}
        prices = {
            parse_price(observed.attributes)
            for observed in self._numbers[resource.type_name]
            if all(observed.live.get(name) == value for name, value in wanted.items())
        }
        return prices.pop() if len(prices) == 1 else None


def _sum(first: Decimal | None, second: Decimal | None) -> Decimal | None:
    return None if first is None or second is None else first + second


def _properties(change: ResourceChange) -> Iterable[Change]:
    """Yield the properties that change, or of a new resource those whose value is unknown."""
    if change.type_name == NESTED_STACK:
        return
    before, after = change.before or {}, change.after or {}
    known = fields(resources.by_type(change.type_name).properties)
    for name in sorted(before.keys() | after.keys() if change.action == MODIFY else change.unknown):
        unknown = is_unknown(after.get(name))
        if before.get(name) != after.get(name) or unknown:
            shown = name in known and shows_value(known[name][0].type, known[name][1])
            yield Change(name, before.get(name), None if unknown else after.get(name), shown, unknown)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "(none)" if value is None else str(value)
