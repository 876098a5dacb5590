"""Crash tests: `python -m tests.faults [--slice] [--seconds N] [--jobs 2] [--only PATTERN] [--repro NAME]`."""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import signal
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.faults import plan
from tests.faults.crew import Crew
from tests.faults.report import Tally, told
from tests.faults.runs import Result, Run

_ROOT = Path(__file__).parents[2]
REPORT = _ROOT / "build" / "faults-report.json"
_SHOWN = 20


def main() -> int:
    """Run what was asked for; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Crash tests on the real provider.")
    parser.add_argument("--slice", action="store_true", help="only what `make test` runs")
    parser.add_argument("--seconds", type=float, default=1200, help="begin no further run after so long")
    parser.add_argument("--jobs", type=int, default=2, help="how many processes play")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="only runs whose name matches: 'sms/create/*'")
    parser.add_argument("--repro", metavar="NAME", help="play one run, and tell everything")
    asked = parser.parse_args()
    if importlib.util.find_spec("telephony") is None:
        sys.path.insert(0, str(_ROOT / "functions"))
    console = Console()
    if asked.repro:
        with Crew(1) as crew:
            result = crew.tell(Run.read(asked.repro))
        console.print(told(result), markup=False, highlight=False, soft_wrap=True)
        return int(result.findings.wrong or result.defect is not None)
    began, stopping = time.monotonic(), threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopping.set())  # What was found so far is told.
    tally = Tally()
    with Crew(asked.jobs) as crew:
        keys = [key for key in plan.requests() if not asked.slice or (key[0] in plan.PLAIN and key[1] == "create")]
        recorded = crew.record(keys)
        runs = [run for run in (plan.part if asked.slice else plan.whole)(recorded) if _wanted(run, asked.only)]
        with Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        ) as progress:
            planned = list(runs)
            task = progress.add_task("runs", total=len(planned))

            def done(result: Result) -> Iterable[Run]:
                tally.add(result)
                if (result.findings.wrong or result.defect) and len(tally.wrong) <= _SHOWN:
                    progress.console.print(told(result), markup=False, highlight=False, soft_wrap=True)
                more = [] if asked.slice else [run for run in plan.second(result) if _wanted(run, asked.only)]
                planned.extend(more)
                progress.update(task, advance=1, total=len(planned))
                return more

            crew.play(runs, done, more=lambda: time.monotonic() - began < asked.seconds and not stopping.is_set())
            skipped = len(planned) - tally.runs
    tally.write(REPORT)
    console.print(tally.table())
    for line in tally.summary():
        console.print(line, highlight=False)
    if skipped:
        console.print(f"{skipped} further runs were left out for want of time.")
    for result in tally.wrong[_SHOWN:]:
        console.print(f"wrong: {result.run}", markup=False, highlight=False, soft_wrap=True)
    return 0 if tally.clean else 1


def _wanted(run: Run, pattern: str) -> bool:
    return fnmatch.fnmatchcase(str(run), pattern)


if __name__ == "__main__":
    sys.exit(main())
