"""Crash tests: `python -m tests.faults [--slice] [--only PATTERN] [--seconds N] [--repro NAME]`."""

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
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.faults import plan, random_histories
from tests.faults.crew import Crew
from tests.faults.declarations import PLAIN
from tests.faults.mutations import MUTATIONS
from tests.faults.report import Mutated, Tally, told
from tests.faults.runs import Result, Run

_ROOT = Path(__file__).parents[2]
REPORT = _ROOT / "build" / "faults-report.json"
TABLE = _ROOT / "build" / "faults-table.md"
_SHOWN = 20
_SECONDS = 2400
"""After so long no further run begins. The plan takes 17 minutes on two quiet cores; a busy machine gets its time."""
_HISTORIES = 60
_WIDTH = 170
"""Of the table, in a log."""


def main() -> int:
    """Run what was asked for; 1 if anything is wrong, or was left out without being asked to."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Crash tests on the real provider.")
    parser.add_argument("--slice", action="store_true", help="only what `make test` runs")
    parser.add_argument("--only", metavar="PATTERN", help="only runs whose name matches: 'sms/create/*'")
    parser.add_argument("--seconds", type=float, help="begin no further run after so long, and be content with that")
    parser.add_argument("--histories", type=int, default=_HISTORIES, help="how many random ones follow the whole plan")
    parser.add_argument("--jobs", type=int, default=2, help="how many processes play")
    parser.add_argument("--repro", metavar="NAME", help="play one run, and tell everything")
    asked = parser.parse_args()
    if importlib.util.find_spec("telephony") is None:
        sys.path.insert(0, str(_ROOT / "functions"))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    if asked.repro:
        with Crew(1) as crew:
            result = crew.tell(Run.read(asked.repro))
        console.print(told(result), markup=False, soft_wrap=True)
        return int(result.findings.wrong or result.defect is not None)
    with Crew(asked.jobs) as crew:
        playing = _Playing(crew, console, asked.slice, asked.only, asked.seconds or _SECONDS)
        good = playing.play()
        complete = playing.left == 0 or asked.seconds is not None
        whole = playing.left == 0 and not asked.slice and not asked.only
        further = [*playing.mutations(), *playing.histories(asked.histories)] if whole else []
    playing.write(further)
    return int(not (good and complete and all(line.good for line in further)))


@attrs.frozen
class _Line:
    """What is told below the table."""

    text: str
    good: bool = True


@attrs.define
class _Playing:
    """The plan, or what was asked for of it, and what comes of it."""

    crew: Crew
    console: Console
    sliced: bool
    only: str | None
    seconds: float
    left: int = 0
    """Runs that there was no time for."""
    _tally: Tally = attrs.field(init=False)
    _stopped: bool = False

    def play(self) -> bool:
        """Play, and tell; whether everything is well."""
        signal.signal(signal.SIGINT, self._stop)
        began = time.monotonic()
        keys = [key for key in plan.requests() if not self.sliced or (key[0] in PLAIN and key[1] == "create")]
        recorded = self.crew.record(keys)
        self._tally = tally = Tally(recorded)
        planned = self._wanted((plan.part if self.sliced else plan.whole)(recorded))
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console) as progress:
            total = len(planned)
            task = progress.add_task("runs", total=total)

            def done(result: Result) -> Iterable[Run]:
                nonlocal total
                tally.add(result)
                if (result.findings.wrong or result.defect) and len(tally.wrong) <= _SHOWN:
                    progress.console.print(told(result), markup=False, soft_wrap=True)
                more = [] if self.sliced else self._wanted(plan.second(result, recorded))
                total += len(more)
                progress.update(task, advance=1, total=total)
                return more

            self.crew.play(planned, done, more=lambda: time.monotonic() - began < self.seconds and not self._stopped)
        self.left = total - tally.runs
        tally.write(REPORT)
        self.console.print(tally.table())
        self.console.print("\n".join(tally.summary()))
        for result in tally.wrong[_SHOWN:]:
            self.console.print(f"wrong: {result.run}", markup=False, soft_wrap=True)
        took = time.monotonic() - began
        self.console.print(f"{tally.runs} runs in {took:.0f} s, {tally.points} of {tally.known} fault points struck.")
        if self.left:
            self.console.print(f"CUT SHORT: {self.left} runs of the plan were not played.", style="bold red")
        return tally.clean and (self.only is not None or self.left > 0 or tally.points == tally.known)

    def mutations(self) -> list[_Line]:
        """What is found of a provider that lacks the ledger, the token or the tags."""
        lines = []
        for mutation in MUTATIONS:
            runs = [run for shown in self.crew.results(plan.unharmed(mutation)) for run in plan.mutated(shown)]
            found = Mutated.of(mutation, self.crew.results(runs))
            lines.append(self._told(str(found), good=found.bought_twice + found.leaked > 0))
        return lines

    def histories(self, examples: int) -> list[_Line]:
        """Random ones."""
        if not examples:
            return []
        try:
            random_histories.play(self.crew, examples)
        except AssertionError as error:
            return [self._told(f"Of {examples} random histories, one went wrong:\n{error}", good=False)]
        return [self._told(f"{examples} random histories: nothing wrong.", good=True)]

    def write(self, further: list[_Line]) -> None:
        """Write the table."""
        lines = [f"- {line.text}\n" for line in further]
        TABLE.write_text("\n".join([self._tally.markdown(), *lines]), encoding="utf-8")

    def _told(self, text: str, *, good: bool) -> _Line:
        self.console.print(text, markup=False, soft_wrap=True, style="none" if good else "red")
        return _Line(text, good)

    def _wanted(self, runs: Iterable[Run]) -> list[Run]:
        return [run for run in runs if self.only is None or fnmatch.fnmatchcase(str(run), self.only)]

    def _stop(self, *_: object) -> None:
        """Interrupted: what was found so far is told."""
        self._stopped = True


if __name__ == "__main__":
    sys.exit(main())
