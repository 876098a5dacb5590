"""Plans a run within a maximum cost, performs it, and releases what it holds, whatever happens."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from rich.console import Console

from telephony import clock
from telephony.data import data
from telephony.lifecycle.invocation import Backoff
from telephony.settings import settings
from telephony_cli.account import Failure
from telephony_cli.output import Format, parse_price, price, show_error, show_json, show_table
from telephony_cli.verification import connect, holdings, hooks, sms, stacks
from telephony_cli.verification.experiment import Experiment, Run, TooExpensiveError
from telephony_cli.verification.holdings import Held, Problem

EXPERIMENTS: tuple[Experiment, ...] = (
    *sms.EXPERIMENTS,
    *stacks.EXPERIMENTS,
    *hooks.EXPERIMENTS,
    *connect.EXPERIMENTS,
)
"""In the order in which they are performed."""
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_LONGEST_RUN = 3600
_BILLED_DAYS = 2
"""Of a claimed number that is released on the next day. Amazon Connect bills numbers by the day (its pricing page)."""
_COLUMNS = ("Row", "Result", "Observed")


class Result(StrEnum):
    """What is known about an assumption after a run."""

    HOLDS = "HOLDS"
    DOES_NOT_HOLD = "DOES_NOT_HOLD"
    NOT_TESTED = "NOT_TESTED"


@data
class Options:
    """What the caller allows. Prices are in US dollars."""

    max_cost: Decimal
    rows: Sequence[int] = ()
    """Only the experiments of these rows. Empty: all."""
    simulator_price: Decimal | None = None
    """Of a month, if the account has no SIMULATOR number."""
    target_arn: str | None = None
    connect_price: Decimal | None = None
    """Of a day."""


@data
class Planned:
    """An experiment, and why it is not performed."""

    experiment: Experiment
    reason: str = ""


class Plan:
    """The experiments that cost at most what the caller allows, in order, and what they cost at most."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.number_price = _simulator_price(options)
        self.maximum = Decimal(0)
        self._numbers = 0
        self._months = _months()
        rows = {*options.rows}
        self.planned = [self._add(each) for each in EXPERIMENTS if not rows or rows & {*each.rows}]

    def cost(self, run: Run) -> Decimal:
        """Return what a run has cost at most."""
        numbers = sum((self._number_cost(each.price) for each in run.numbers), Decimal(0))
        numbers += self._number_cost() * run.unknown_calls("RequestPhoneNumber")
        claims = run.claims + run.unknown_calls("ClaimPhoneNumber")
        return numbers + self._claim_cost * claims + sum((each.cost for each in run.performed), Decimal(0))

    def _number_cost(self, known: Decimal | None = None) -> Decimal:
        return (known or self.number_price or Decimal(0)) * self._months

    @property
    def _claim_cost(self) -> Decimal:
        return (self._options.connect_price or Decimal(0)) * _BILLED_DAYS

    def _add(self, experiment: Experiment) -> Planned:
        if experiment.needs_target and self._options.target_arn is None:
            return Planned(experiment, "Needs --claim-connect-number: claims count against a limit.")
        if not self._options.max_cost and (experiment.numbers or experiment.claims):
            return Planned(experiment, "Purchases a number, and --max-cost leaves 0.00 USD.")
        if experiment.claims and self._options.connect_price is None:
            return Planned(experiment, "Amazon Connect reports no price. Name it with --connect-price.")
        if experiment.numbers and self.number_price is None:
            text = "The account has no SIMULATOR number that shows the price. Name it with --simulator-price."
            return Planned(experiment, text)
        more = max(0, experiment.numbers - self._numbers)
        cost = experiment.cost + self._number_cost() * more + self._claim_cost * experiment.claims
        left = self._options.max_cost - self.maximum
        if cost > left:
            return Planned(experiment, f"Costs up to {price(cost)} USD, and --max-cost leaves {price(left)} USD.")
        self.maximum += cost
        self._numbers += more
        return Planned(experiment)


class _Report:
    """Progress on the standard error. An error of the terminal or pipe does not end the run."""

    def plan(self, name: str, plan: Plan, options: Options) -> None:
        """Show what is performed, and what it costs at most."""
        performed = [each.experiment for each in plan.planned if not each.reason]
        count = f"{len(performed)} of {len(plan.planned)} experiments"
        costs = f"at most {price(plan.maximum)} USD (--max-cost {price(options.max_cost)})"
        self.line(f"{name}: {count}, {costs}.")
        for each in performed:
            numbers = f", SIMULATOR numbers: {each.numbers}" if each.numbers else ""
            claims = f", claims: {each.claims}" if each.claims else ""
            self.line(f"- {_named(each)}{numbers}{claims}")

    def released(self, held: Held) -> None:
        """Show that something was released."""
        self.line(f"Released: {held}.")

    def line(self, text: str) -> None:
        """Write a line."""
        with suppress(OSError):
            sys.stderr.write(f"{text}\n")

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Show in a terminal what is done."""
        if not sys.stderr.isatty():
            yield
            return
        status = Console(stderr=True, highlight=False, markup=False).status(f"{text} ...")
        with suppress(OSError):
            status.start()
        try:
            yield
        finally:
            with suppress(OSError):
                status.stop()


def show(options: Options, output: Format) -> tuple[bool, bool]:
    """Verify, and show the results. Returns whether everything that was tested holds, and whether nothing failed."""
    report = _Report()
    _release_leftovers(report, options)
    plan = Plan(options)
    run = Run(options.target_arn, plan.number_price)
    report.plan(run.name, plan, options)
    results, failures, problems = _perform(run, plan, report)
    cost = plan.cost(run)
    for text in [*failures, *(f"Not released: {problem}" for problem in problems)]:
        show_error(text)
    if output is Format.JSON:
        document = [{"row": row, "result": result, "observed": text} for row, result, text in results]
        show_json({"run": run.name, "cost": price(cost), "results": document, "not_released": problems})
    else:
        counts = {result: sum(each is result for _, each, _ in results) for result in Result}
        texts = ", ".join(f"{count} {result}" for result, count in counts.items())
        rows = [(str(row), result, text) for row, result, text in results]
        show_table(_COLUMNS, rows, f"{texts}. Cost: at most {price(cost)} USD.")
    return all(result is not Result.DOES_NOT_HOLD for _, result, _ in results), not failures and not problems


def _release_leftovers(report: _Report, options: Options) -> None:
    """Release what earlier runs have left. Raises Failure if that fails: nothing is purchased then."""

    def done(held: Held) -> None:
        report.line(f"Released, left by an earlier run: {held}.")

    problems = _relevant(holdings.release_all(done), options.target_arn)
    if problems:
        raise Failure(f"Nothing was purchased, because an earlier run may have left: {'; '.join(problems)}")
    if unknown := holdings.new_numbers_without_tags():
        text = "If an earlier run was killed, it can be its own: run `telephony verify` again in ten minutes."
        report.line(f"New, and without tags yet: {', '.join(unknown)}. {text}")


def _relevant(problems: Sequence[Problem], target_arn: str | None) -> list[str]:
    """Return the texts of problems. An account without Amazon Connect can't list its numbers."""
    return [
        each.text for each in problems if each.listed or each.noun != holdings.CONNECT_NUMBER or target_arn is not None
    ]


def _perform(run: Run, plan: Plan, report: _Report) -> tuple[list[tuple[int, Result, str]], list[str], list[str]]:
    """Perform the experiments, then release everything.

    Returns the results by row, why experiments failed, and what was not released.
    """
    results: list[tuple[int, Result, str]] = []
    failures: list[str] = []
    with _interruptible() as ignore_signals:
        try:
            for each in plan.planned:
                reason = each.reason or (failures[-1] if run.stopped else "")
                if reason:
                    results += [(row, Result.NOT_TESTED, reason) for row in each.experiment.rows]
                else:
                    _try(run, each.experiment, results, failures, report)
        except KeyboardInterrupt:
            failures.append("The run was interrupted.")
            known = {row for row, _, _ in results}
            rows = dict.fromkeys(row for each in plan.planned for row in each.experiment.rows)
            results += [(row, Result.NOT_TESTED, "The run was interrupted.") for row in rows if row not in known]
        finally:
            ignore_signals()
            with report.working("Releasing"):
                problems = _release(run, report)
    return sorted(results, key=lambda each: each[0]), failures, problems


def _try(
    run: Run, experiment: Experiment, results: list[tuple[int, Result, str]], failures: list[str], report: _Report
) -> None:
    """Perform an experiment. What it does not observe is not tested."""
    found = []
    reason = "The experiment observed nothing."
    run.performed.append(experiment)
    try:
        with report.working(_named(experiment)):
            for finding in experiment.perform(run):
                result = Result.NOT_TESTED
                if finding.holds is not None:
                    result = Result.HOLDS if finding.holds else Result.DOES_NOT_HOLD
                results.append((finding.row, result, finding.observed))
                found.append(finding.row)
    except TooExpensiveError as expensive:
        run.stopped, reason = True, str(expensive)
        failures.append(reason)
    except Exception as error:  # noqa: BLE001 - the other experiments do not depend on it
        reason = holdings.explained(error)
        failures.append(f"{_named(experiment)}: {reason}")
    results += [(row, Result.NOT_TESTED, reason) for row in experiment.rows if row not in found]


def _release(run: Run, report: _Report) -> list[str]:
    """Release everything that the run holds. Returns what could not be released, with its ID."""
    left: dict[str, str] = {}
    for held in reversed([*run.held.values()]):
        problem = holdings.release(held)
        if problem is None:
            report.released(held)
        else:
            left[held.physical_id] = problem.text
    found: set[str] = set()

    def done(held: Held) -> None:
        if held.physical_id not in run.held:
            found.add(held.physical_id)
            report.released(held)
        elif left.pop(held.physical_id, ""):
            report.released(held)

    # The result of a call is unknown: what it created can be found when its tags are visible.
    end, backoff = clock.now() + (settings().unknown_result_period if run.unknown else 0), Backoff()
    while True:
        problems = holdings.release_all(done)
        if len(found) >= len(run.unknown) or clock.now() > end:
            break
        clock.sleep(next(backoff))
    texts = [*left.values(), *_relevant(problems, run.target_arn)]
    if len(found) < len(run.unknown):
        texts.append(
            f"what {', '.join(run.unknown)} may have created for {run.name}: the result is unknown, and nothing was "
            "found. Run `telephony verify --max-cost 0` again in ten minutes."
        )
    return [*dict.fromkeys(texts)]


@contextmanager
def _interruptible() -> Iterator[Callable[[], None]]:
    """Raise KeyboardInterrupt for the first signal, and ignore all others. Yields what ignores also the first one."""
    ignoring = False

    def ignore() -> None:
        nonlocal ignoring
        ignoring = True

    def interrupt(*_: Any) -> None:
        if not ignoring:
            ignore()
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield ignore
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _simulator_price(options: Options) -> Decimal | None:
    """Return the highest price of the account's SIMULATOR numbers. Without any: what the caller says."""
    known = [found for found in map(parse_price, holdings.simulators()) if found is not None]
    return max(known, default=options.simulator_price)


def _months() -> int:
    """Return the months in which a run of an hour can hold a number. A number is billed by the month."""
    months = (datetime.fromtimestamp(clock.now() + more, UTC).month for more in (0, _LONGEST_RUN))
    return len({*months})


def _named(experiment: Experiment) -> str:
    rows = ", ".join(map(str, experiment.rows))
    return f"{experiment.title} (row{'s' * (len(experiment.rows) > 1)} {rows})"
