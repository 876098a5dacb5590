"""The count of all runs, as a table and as JSON."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import attrs
from rich.table import Table

from tests.faults.declarations import VARIANTS
from tests.faults.runs import Result, Run

_ZERO = ("bought_twice", "leaked", "unanswered", "secrets_seen")
_COUNTED = ("bought_twice", "leaked", "leaked_before_sweep", "suspect", "unanswered", "secrets_seen")
_OTHERS = ("lost", "contradicted", "undeletable", "hanging", "failed")


def _row() -> dict[str, Any]:
    return {"points": set(), "runs": 0, "counts": Counter()}


@attrs.define
class Tally:
    """Adds results up."""

    runs: int = 0
    wrong: list[Result] = attrs.field(factory=list)
    _rows: defaultdict[tuple[str, str], dict[str, Any]] = attrs.field(factory=lambda: defaultdict(_row))
    _followed: Counter[tuple[str, str, str]] = attrs.field(factory=Counter)

    def add(self, result: Result) -> None:
        """Count one run."""
        run = Run.read(result.run)
        self.runs += 1
        row = self._rows[run.variant, run.request]
        row["runs"] += 1
        if run.blow is not None:
            row["points"].add((run.blow.call, run.blow.after))
        for name, value in attrs.asdict(result.findings).items():
            row["counts"][name] += value
            if value:
                self._followed[name, run.then, run.environment] += value
        if result.findings.wrong or result.defect:
            self.wrong.append(result)

    @property
    def points(self) -> int:
        """Calls, before and after, of every type, declaration and request."""
        return sum(len(row["points"]) for row in self._rows.values())

    def total(self, name: str) -> int:
        """Over all runs."""
        return sum(row["counts"][name] for row in self._rows.values())

    @property
    def clean(self) -> bool:
        """Whether everything is zero that has to be."""
        return not self.wrong and all(self.total(name) == 0 for name in _ZERO)

    def table(self) -> Table:
        """One line for each declaration and request."""
        table = Table(title="Crash tests")
        for name in ("type", "declared", "request"):
            table.add_column(name)
        heads = ("fault points", "runs", "bought twice", "leaked", "before sweep", "suspect", "unanswered", "secrets")
        for name in (*heads, "otherwise wrong"):
            table.add_column(name, justify="right")
        for (variant, request), row in sorted(self._rows.items()):
            counts = [row["counts"][name] for name in _COUNTED]
            otherwise = sum(row["counts"][name] for name in _OTHERS[:-1])
            numbers = (len(row["points"]), row["runs"], *counts, otherwise)
            type_name = VARIANTS[variant].type_name.removeprefix("Custom::")
            table.add_row(type_name, variant, request, *map(str, numbers))
        return table

    def write(self, path: Path) -> None:
        """Write the report."""
        path.parent.mkdir(parents=True, exist_ok=True)
        told = {"runs": self.runs, "fault_points": self.points} | {name: self.total(name) for name in _COUNTED}
        by = {
            f"{variant}/{request}": {"runs": row["runs"], "fault_points": len(row["points"])}
            | {name: row["counts"][name] for name in (*_COUNTED, *_OTHERS) if row["counts"][name]}
            for (variant, request), row in sorted(self._rows.items())
        }
        path.write_text(json.dumps(told | {"by": by}, indent=2) + "\n", encoding="utf-8")

    def summary(self) -> list[str]:
        """What was found, by what followed and in which environment."""
        return [
            f"{count:6} {name} ({then}, {environment})"
            for (name, then, environment), count in sorted(self._followed.items())
        ]


def told(result: Result) -> str:
    """One run, with all that is known of it."""
    found = {name: value for name, value in attrs.asdict(result.findings).items() if value}
    return "\n".join([f"{result.run}  {found}", *(f"    {line}" for line in result.story), result.defect or ""])
