"""The count of all runs, as a table on the screen and in Markdown, and as JSON."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import attrs
from rich.table import Table

from tests.faults.continuations import Request
from tests.faults.declarations import VARIANTS
from tests.faults.runs import Result, Run

_ZERO = ("bought_twice", "leaked", "unanswered", "secrets_seen")
_COUNTED = ("bought_twice", "leaked", "leaked_before_sweep", "suspect", "unanswered", "secrets_seen")
_OTHERS = ("lost", "contradicted", "undeletable", "hanging")
_HEADS = (
    *("type", "declared", "request", "fault points", "struck", "runs", "bought twice", "leaked", "before sweep"),
    *("suspect", "unanswered", "secrets", "otherwise wrong"),
)
_WORDS = 3
"""Columns of words; the others hold numbers."""
NOTE = (
    "A fault point is the moment before or after the effect of one outside call; each is struck by a death with "
    "Lambda's retries. Nothing outside changes between the effect of one call and the beginning of the next, or by "
    "a call that reads or takes a turn in the account's rate: what else can follow a death is played once for each "
    "state that is left."
)


@attrs.define
class _Row:
    points: set[tuple[int, bool]] = attrs.field(factory=set)
    runs: int = 0
    counts: Counter[str] = attrs.field(factory=Counter)


@attrs.define
class Tally:
    """Adds results up. recorded: the calls of each type's request, where every point is to be struck."""

    recorded: Mapping[tuple[str, Request], list[str]]
    runs: int = 0
    wrong: list[Result] = attrs.field(factory=list)
    _rows: defaultdict[tuple[str, Request], _Row] = attrs.field(factory=lambda: defaultdict(_Row))
    _followed: Counter[tuple[str, str, str]] = attrs.field(factory=Counter)

    def add(self, result: Result) -> None:
        """Count one run."""
        run = Run.read(result.run)
        self.runs += 1
        row = self._rows[run.variant, run.request]
        row.runs += 1
        if run.blow is not None and run.blow.kind == "kill" and result.defect is None:
            row.points.add((run.blow.call, run.blow.after))
        for name, value in attrs.asdict(result.findings).items():
            row.counts[name] += value
            if value:
                self._followed[name, run.then, run.environment] += value
        if result.findings.wrong or result.defect:
            self.wrong.append(result)

    @property
    def points(self) -> int:
        """Those that were struck: before and after each call, of every type, declaration and request."""
        return sum(len(row.points) for row in self._rows.values())

    @property
    def known(self) -> int:
        """Those that the recordings show."""
        return sum(2 * len(calls) for calls in self.recorded.values())

    def total(self, name: str) -> int:
        """Over all runs."""
        return sum(row.counts[name] for row in self._rows.values())

    @property
    def clean(self) -> bool:
        """Whether everything is zero that has to be."""
        return not self.wrong and all(self.total(name) == 0 for name in _ZERO)

    def _lines(self) -> list[list[str]]:
        lines = []
        for (variant, request), row in sorted(self._rows.items()):
            type_name = VARIANTS[variant].type_name.removeprefix("Custom::")
            known = 2 * len(self.recorded[variant, request])
            counts = [row.counts[name] for name in _COUNTED]
            otherwise = sum(row.counts[name] for name in _OTHERS)
            numbers = [known, len(row.points), row.runs, *counts, otherwise]
            lines.append([type_name, variant, request, *map(str, numbers)])
        sums = [sum(int(line[column]) for line in lines) for column in range(_WORDS, len(_HEADS))]
        return [*lines, ["all", "", "", *map(str, sums)]]

    def table(self) -> Table:
        """One line for each declaration and request, and the sums."""
        table = Table(title="Crash tests", caption=NOTE, show_footer=True)
        *lines, sums = self._lines()
        for index, (head, last) in enumerate(zip(_HEADS, sums, strict=True)):
            table.add_column(head, footer=last, justify="right" if index >= _WORDS else "left")
        for line in lines:
            table.add_row(*line)
        return table

    def markdown(self) -> str:
        """The same table."""
        rule = [":--"] * _WORDS + ["--:"] * (len(_HEADS) - _WORDS)
        lines = [list(_HEADS), rule, *self._lines()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{NOTE}\n"

    def write(self, path: Path) -> None:
        """Write the report."""
        path.parent.mkdir(parents=True, exist_ok=True)
        told = {"runs": self.runs, "fault_points": self.points} | {name: self.total(name) for name in _COUNTED}
        by = {
            f"{variant}/{request}": {"runs": row.runs, "fault_points": len(row.points)}
            | {name: row.counts[name] for name in (*_COUNTED, *_OTHERS, "failed") if row.counts[name]}
            for (variant, request), row in sorted(self._rows.items())
        }
        path.write_text(json.dumps(told | {"by": by}, indent=2) + "\n", encoding="utf-8")

    def summary(self) -> list[str]:
        """What was found, by what followed and in which environment."""
        return [
            f"{count:6} {name} ({then}, {environment})"
            for (name, then, environment), count in sorted(self._followed.items())
        ]


@attrs.frozen
class Mutated:
    """What the crash tests find of a provider that lacks something."""

    mutation: str
    runs: int
    bought_twice: int
    leaked: int

    @classmethod
    def of(cls, mutation: str, results: Sequence[Result]) -> Self:
        """Add up. Raise AssertionError if a run could not be played."""
        defects = [result.defect for result in results if result.defect]
        assert not defects, defects[0]
        found = [result.findings for result in results]
        return cls(mutation, len(found), sum(each.bought_twice for each in found), sum(each.leaked for each in found))

    def __str__(self) -> str:
        return f"{self.mutation} off: {self.bought_twice} bought twice and {self.leaked} leaked in {self.runs} runs"


def told(result: Result) -> str:
    """One run, with all that is known of it."""
    found = {name: value for name, value in attrs.asdict(result.findings).items() if value}
    return "\n".join([f"{result.run}  {found}", *(f"    {line}" for line in result.story), result.defect or ""])
