"""Runs the fault plan: `python -m tests.faults [--slice] [--only PATTERN] [--seconds N] [--repro NAME]`.

`--histories-seconds N` runs random histories instead.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import attrs
from rich.console import Console

from tests.faults import plan, random_histories
from tests.faults.history import History
from tests.faults.mutations import MUTATIONS
from tests.faults.report import Report, detections
from tests.faults.scenario import Scenario, ScenarioResult
from tests.faults.workers import WorkerPool

_console = Console(highlight=False, markup=False, soft_wrap=True)
_ROOT = Path(__file__).parents[2]
_REPORT = _ROOT / "build" / "faults-report.json"
_SHOWN_RESULTS = 20
_PROGRESS = 200
"""Scenarios between two progress lines."""
_SECONDS = 3900
"""No scenario starts after this time. The plan takes 50 minutes on two idle cores."""


def main() -> int:
    """Run the selected scenarios. Returns 1 if anything is wrong, or if scenarios are missing without --seconds."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Fault injection into the provider.")
    parser.add_argument("--slice", action="store_true", help="run only what `make test` runs")
    parser.add_argument("--only", metavar="PATTERN", default="*", help="run matching scenarios: '*/create/*'")
    parser.add_argument("--seconds", type=float, help="start no scenario after this time, and accept missing ones")
    parser.add_argument("--histories", type=int, default=60, help="random histories after the full plan")
    parser.add_argument("--histories-seconds", type=float, help="run new random histories for this time, and no plan")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes")
    parser.add_argument("--repro", metavar="NAME", help="run one scenario or history and print its log")
    arguments = parser.parse_args()
    if importlib.util.find_spec("telephony") is None:
        sys.path.insert(0, str(_ROOT / "functions"))
    with WorkerPool(1 if arguments.repro else arguments.jobs) as workers:
        if arguments.repro:
            named = History if ":" in arguments.repro else Scenario
            result = workers.run_one(named.parse(arguments.repro))
            _console.print(str(result))
            return int(result.wrong)
        if arguments.histories_seconds:
            return int(
                not random_histories.search(workers, arguments.histories_seconds, arguments.jobs, _console.print)
            )
        run = _PlanRun(workers, arguments.slice, arguments.only, arguments.seconds or _SECONDS)
        good = run.run()
        if run.missing == 0 and not arguments.slice and arguments.only == "*":
            good &= run.detects_mutations()
            good &= run.passes_histories(arguments.histories)
        run.print_wrong()
    return int(not (good and (run.missing == 0 or arguments.seconds is not None)))


@attrs.define
class _PlanRun:
    """One run of the plan, or of a part of it."""

    workers: WorkerPool
    slice: bool
    only: str
    seconds: float
    missing: int = 0
    """Scenarios that did not start in time."""
    _report: Report = attrs.field(init=False)
    _interrupted: bool = False

    def run(self) -> bool:
        """Run the scenarios and print the report. Returns whether everything is right."""
        signal.signal(signal.SIGINT, self._interrupt)
        started = time.monotonic()
        recordings = self.workers.record(plan.SLICE if self.slice else plan.requests())
        self._report = report = Report(recordings)
        planned = self._selected((plan.short if self.slice else plan.full)(recordings))
        total = len(planned)

        def done(result: ScenarioResult) -> Iterable[Scenario]:
            nonlocal total
            report.add(result)
            if result.wrong:
                _console.print(str(result) if len(report.wrong) <= _SHOWN_RESULTS else f"wrong: {result.name}")
            more = [] if self.slice else self._selected(plan.second_faults(result, recordings))
            total += len(more)
            if report.runs % _PROGRESS == 0:
                _console.print(f"{report.runs} of {total} scenarios after {time.monotonic() - started:.0f} s")
            return more

        deadline = started + self.seconds
        self.workers.run(planned, done, proceed=lambda: time.monotonic() < deadline and not self._interrupted)
        self.missing = total - report.runs
        report.write(_REPORT)
        points = f"{report.killed} of {report.fault_points} fault points killed"
        seconds = time.monotonic() - started
        _console.print(
            report.markdown(), *report.summary(), f"{report.runs} scenarios in {seconds:.0f} s, {points}.", sep="\n"
        )
        if self.missing:
            _console.print(f"INCOMPLETE: {self.missing} scenarios of the plan did not run.")
        complete = self.only != "*" or self.missing > 0 or report.killed == report.fault_points
        return not report.wrong and complete

    def print_wrong(self) -> None:
        """Print one wrong scenario and the names of all again, as the last lines of a long log."""
        for result in self._report.wrong[:1]:
            _console.print(str(result))
        for result in self._report.wrong:
            _console.print(f"wrong: {result.name}: {result.defect or result.findings.nonzero}")

    def detects_mutations(self) -> bool:
        """Verify that the scenarios detect a provider without the ledger, the token, the tags or the message."""
        good = True
        for mutation in MUTATIONS:
            recorded = self.workers.run(plan.mutated(mutation))
            results = self.workers.run(kill for result in recorded for kill in plan.mutated_kills(result))
            found = detections([*recorded, *results])
            _console.print(
                f"without {mutation}: {found} bought twice, leaked or unanswered in {len(results)} scenarios"
            )
            good &= found > 0
        return good

    def passes_histories(self, examples: int) -> bool:
        try:
            if examples:
                random_histories.run(self.workers, examples)
        except AssertionError as error:
            _console.print(f"one of {examples} random histories failed:\n{error}")
            return False
        _console.print(f"{examples} random histories: nothing wrong")
        return True

    def _selected(self, scenarios: Iterable[Scenario]) -> list[Scenario]:
        return [scenario for scenario in scenarios if fnmatch.fnmatchcase(str(scenario), self.only)]

    def _interrupt(self, *_: object) -> None:
        """Report what was found so far."""
        self._interrupted = True


if __name__ == "__main__":
    sys.exit(main())
