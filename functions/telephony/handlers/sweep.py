"""Lambda function, hourly: reports the numbers that no stack references, in daily rounds.

A round that does not end in one invocation is continued by the next one. The event can hold `interval`: an invocation
does nothing if the last round is complete and began less than that many seconds ago. Or an operator's `restore`: the
physical ID of a number pending release, which is then retained instead of released.
"""

from __future__ import annotations

import copy
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from telephony import clock, resources
from telephony.aws import rate_limiter, tag_index
from telephony.cloudformation import stacks
from telephony.cloudformation.stacks import Activity
from telephony.data import data
from telephony.errors import TelephonyError
from telephony.lifecycle import ledger, recovery, sweep_round
from telephony.lifecycle.checks import Check, Finding
from telephony.lifecycle.ledger import PurchaseKey
from telephony.lifecycle.sweep_round import Round
from telephony.model.resource import Resource
from telephony.model.tags import ADOPTED, MANAGED_BY, Owner
from telephony.observability import count, log_defect, logger, measure
from telephony.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_CHECK_SECONDS = 60
"""How long one check can take. An invocation begins none that it could not end."""
_SAVED_EVERY = 100
"""Steps after which the progress is saved, in case that the invocation is killed."""


@data
class _Number:
    resource: Resource[Any]
    physical_id: str
    owner: Owner | None
    """As the tags or the ledger name it."""


@data
class _Step:
    """Checks that are made together. Steps are made in the order of their names, which is the same in every run."""

    name: str
    make: Callable[[], None]


def handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Begin or continue a round. Returns the number of findings of each kind in the round so far."""
    now, last = clock.now(), sweep_round.load()
    ends_at = now + context.get_remaining_time_in_millis() / 1000 - settings().response_margin
    rate_limiter.start_invocation(first_until=float("inf"), wait_until=float("inf"))
    if "restore" in event:
        return {"restored": recovery.restore(Check(ends_at, False, {}), str(event["restore"]))}
    if last is None or last.in_progress or now - last.started_at >= event.get("interval", 0):
        last = _Sweep(sweep_round.begin(last, now), ends_at).run()
    measure("SweepAge", clock.now() - last.completed_at)
    return last.totals(Finding.__members__)


class _Sweep:
    """One invocation, which makes the checks that its round has not made yet."""

    def __init__(self, current: Round, ends_at: float) -> None:
        self._round = current
        self._ends_at = ends_at
        self._list_seconds = (ends_at - clock.now()) / 4
        self._check_seconds = min(_CHECK_SECONDS, self._list_seconds)
        self._may_release = os.environ.get("ALLOW_SWEEP_RELEASE") == "true"
        self._activities: dict[str, Activity] = {}
        self._found: Counter[str] = Counter()
        self._reported: set[str] = set()

    def run(self) -> Round:
        """Return the round as it is when all checks were made, or when there is no more time."""
        steps = sorted([*self._purchases(), *self._numbers()], key=lambda step: step.name)
        made = sum(step.name <= self._round.after for step in steps)
        for step in steps[made:]:
            if clock.now() + self._check_seconds > self._ends_at:
                break
            step.make()
            made += 1
            self._round = copy.replace(self._round, after=step.name)
            if made % _SAVED_EVERY == 0:
                sweep_round.save(self._round)
        if made == len(steps):
            self._round = copy.replace(self._round, in_progress=False, after="", completed_at=clock.now())
        sweep_round.save(self._round)
        self._report_progress(made, len(steps))
        return self._round

    def _report_progress(self, made: int, steps: int) -> None:
        for name, total in self._found.items():
            count("SweepFindings", total, Finding=name)
        measure("SweepProgress", 100 * made / steps if steps else 100, MetricUnit.Percent)
        message = "The next invocation continues the sweep" if self._round.in_progress else "Sweep completed"
        totals = self._round.totals(Finding.__members__)
        logger.info(message, extra={"findings": totals, "steps": steps, "steps_made": made})

    def _purchases(self) -> Iterator[_Step]:
        """Yield a step for each purchase that no request has finished."""
        for key in ledger.overdue(clock.now()):
            yield _Step(f"1 {key.resource} {key.sort}", partial(self._check_purchase, key))

    def _numbers(self) -> Iterator[_Step]:
        """Yield a step for each stack, and for each number that neither its tags nor the ledger show to be foreign."""
        by_stack: defaultdict[str, list[_Number]] = defaultdict(list)
        unknown = []
        for type_name in resources.type_names():
            for number in self._list(resources.by_type(type_name)):
                if number.owner is None:
                    unknown.append(number)
                else:
                    by_stack[number.owner.stack_id].append(number)
        for stack_id, numbers in by_stack.items():
            yield _Step(f"2 {stack_id}", partial(self._check_stack, stack_id, numbers))
        for number in unknown:
            yield _Step(f"3 {number.physical_id}", partial(self._check_number, number))

    def _list(self, resource: Resource[Any]) -> list[_Number]:
        """Return the numbers of a type that this provider may have purchased."""
        check = self._begin(self._list_seconds)
        try:
            listed = check.retry(lambda: list(resource.list_all()))
            tags = check.retry(lambda: tag_index.read(resource.tagging_type, *MANAGED_BY, ADOPTED))
            owners = {arn: Owner.of(each) for arn, each in (tags or {}).items()}
            held = ledger.holders(each.physical_id for each in listed if owners.get(each.arn) is None)
        except TelephonyError as error:
            self._report(Finding.NOT_CHECKED, resource.type_name, "", error=str(error))
            return []
        numbers = [
            _Number(resource, each.physical_id, owners.get(each.arn) or held.get(each.physical_id)) for each in listed
        ]
        # If the index knows the type, a number without tags and without a purchase has another owner.
        return [number for number in numbers if tags is None or number.owner is not None]

    def _check_purchase(self, key: PurchaseKey) -> None:
        try:
            record = ledger.read_unfinished(key, clock.now())
        except TelephonyError as error:
            self._report(Finding.NOT_CHECKED, "", key.request_id, error=str(error))
            return
        if record is not None:
            name = record.physical_id or record.request_id
            check = Check.due if record.pending else Check.purchase
            self._check(record.resource_type, name, partial(check, record=record))

    def _check_stack(self, stack_id: str, numbers: list[_Number]) -> None:
        """Check the numbers that the stack does not reference."""
        referenced: Mapping[str, str] = {}
        if not stacks.is_trusted(stack_id):  # It belongs to another account.
            with suppress(TelephonyError):  # Each check reads the stack again, and reports what is wrong.
                referenced = self._begin(self._check_seconds).retry(lambda: stacks.physical_resource_ids(stack_id))
        for number in numbers:
            if number.owner is None or referenced.get(number.owner.logical_resource_id) != number.physical_id:
                self._check_number(number)

    def _check_number(self, number: _Number) -> None:
        if number.physical_id in self._reported:
            return  # With its purchase.
        check = partial(Check.number, resource=number.resource, physical_id=number.physical_id, owner=number.owner)
        self._check(number.resource.type_name, number.physical_id, check)

    def _check(self, resource_type: str, name: str, check: Callable[[Check], Finding | None]) -> None:
        """Make a check, and report what it finds. One that fails does not stop the others."""
        begun = self._begin(self._check_seconds)
        try:
            if (finding := check(begun)) is not None:
                self._report(finding, resource_type, name, **begun.details)
        except TelephonyError as error:
            self._report(Finding.NOT_CHECKED, resource_type, name, error=str(error))
        except Exception as error:  # noqa: BLE001 - one defect must not end the sweep
            log_defect(error, "The check failed.")
            self._report(Finding.NOT_CHECKED, resource_type, name, error=type(error).__name__)

    def _begin(self, seconds: float) -> Check:
        return Check(min(self._ends_at, clock.now() + seconds), self._may_release, self._activities)

    def _report(self, finding: Finding, resource_type: str, name: str, **extra: str) -> None:
        """Report a finding. name: the physical ID, or the request ID of a purchase."""
        self._reported.add(name)
        self._found[finding.name] += 1
        if price := extra.get("monthly_price"):
            count("PendingReleaseMonthlyPrice", float(price))
        self._round.findings[finding.name] += 1
        logger.warning(
            finding.value, extra={"finding": finding.name, "resource_type": resource_type, "found": name, **extra}
        )
