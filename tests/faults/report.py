"""The report of a run: a Markdown table, and JSON."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import attrs

from tests.faults.follow_ups import RequestKind
from tests.faults.plan import FaultPoint, Recordings, fault_points
from tests.faults.scenario import Scenario, ScenarioResult

_COLUMNS = {
    "bought_twice": "bought twice",
    "leaked": "leaked",
    "leaked_before_sweep": "before sweep",
    "unknown": "unknown",
    "unanswered": "unanswered",
    "secrets_seen": "secrets",
    "wrongly_released": "wrongly released",
    "wrongly_changed": "wrongly changed",
}
"""Findings with a column of their own, and its heading."""
_OTHERS = ("lost", "shared", "mistagged", "stale", "refused", "contradicted", "undeletable", "hanging")
_WORDS = 2
_HEADINGS = ["declaration", "request", "fault points", "killed", "runs", *_COLUMNS.values(), "other"]


@attrs.define
class _Row:
    killed: set[tuple[str, FaultPoint]] = attrs.field(factory=set)
    """With the behavior."""
    runs: int = 0
    counts: Counter[str] = attrs.field(factory=Counter)


@attrs.define
class Report:
    """Adds up results. `recordings` are the calls of the requests whose fault points are to be killed."""

    recordings: Recordings
    wrong: list[ScenarioResult] = attrs.field(factory=list)
    _rows: defaultdict[tuple[str, RequestKind], _Row] = attrs.field(factory=lambda: defaultdict(_Row))
    _causes: Counter[tuple[str, str, str]] = attrs.field(factory=Counter)

    def add(self, result: ScenarioResult) -> None:
        scenario = Scenario.parse(result.name)
        row = self._rows[scenario.variant, scenario.request]
        row.runs += 1
        if scenario.fault is not None and scenario.fault.kind == "kill" and result.defect is None:
            point = (scenario.fault.step, scenario.fault.call, scenario.fault.after)
            if point in self._points(scenario.variant, scenario.request, scenario.behavior):
                row.killed.add((scenario.behavior, point))
        row.counts.update(result.findings.nonzero)
        for name, count in result.findings.nonzero.items():
            self._causes[name, scenario.follow_up, scenario.behavior] += count
        if result.wrong:
            self.wrong.append(result)

    @property
    def runs(self) -> int:
        return sum(row.runs for row in self._rows.values())

    @property
    def killed(self) -> int:
        return sum(len(row.killed) for row in self._rows.values())

    @property
    def fault_points(self) -> int:
        return sum(len(fault_points(calls)) for calls in self.recordings.values())

    def _points(self, variant: str, request: RequestKind, behavior: str) -> list[FaultPoint]:
        return fault_points(self.recordings.get((variant, request, behavior), []))

    def markdown(self) -> str:
        """Return a table with one line per declaration and request, and the sums."""
        lines = []
        for (variant, request), row in sorted(self._rows.items()):
            recorded = [calls for key, calls in self.recordings.items() if key[:2] == (variant, request)]
            points = sum(len(fault_points(calls)) for calls in recorded)
            counts = [*(row.counts[name] for name in _COLUMNS), sum(row.counts[name] for name in _OTHERS)]
            lines.append([variant, request, *map(str, [points, len(row.killed), row.runs, *counts])])
        sums = [str(sum(int(line[column]) for line in lines)) for column in range(_WORDS, len(_HEADINGS))]
        rule = [":--"] * _WORDS + ["--:"] * len(sums)
        table = [_HEADINGS, rule, *lines, ["all", "", *sums]]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        rows = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in table]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        sums = {name: sum(row.counts[name] for row in self._rows.values()) for name in _COLUMNS}
        by = {
            f"{variant}/{request}": {"runs": row.runs, "fault_points": len(row.killed)}
            | {name: row.counts[name] for name in (*_COLUMNS, *_OTHERS, "failed", "dropped") if row.counts[name]}
            for (variant, request), row in sorted(self._rows.items())
        }
        report = {"runs": self.runs, "fault_points": self.killed} | sums | {"by": by}
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")

    def summary(self) -> list[str]:
        """Return one line per finding, follow-up and behavior of the services."""
        return [f"{count:6} {name} ({', '.join(where)})" for (name, *where), count in sorted(self._causes.items())]


def detections(results: Iterable[ScenarioResult]) -> int:
    """Count duplicate purchases, leaks and missing responses. Raises AssertionError if a scenario could not run."""
    found = 0
    for result in results:
        assert result.defect is None, result.defect
        found += result.findings.bought_twice + result.findings.leaked + result.findings.unanswered
    return found
