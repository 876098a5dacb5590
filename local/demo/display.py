"""Output of the demo: progress, results and a summary table. Plain text if stdout is not a terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table

_PLAIN_WIDTH = 150  # columns if stdout is not a terminal


@dataclass
class Row:
    """One step in the summary table."""

    title: str
    expected: str
    actual: str = ""
    seconds: float = 0.0
    passed: bool = False


class Display:
    """Shows the progress of one step at a time and collects the rows of the summary."""

    def __init__(self, steps: int, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
        self._steps = steps
        self.rows: list[Row] = []

    @contextlib.contextmanager
    def progress(self, title: str, expected: str) -> Iterator[Row]:
        """Show that a step is running. The caller sets `actual` and `passed` of the row."""
        row = Row(title, expected)
        self.rows.append(row)
        label = f"[{len(self.rows)}/{self._steps}] {title}"
        started = time.monotonic()
        with self._spinner(label):
            try:
                yield row
            finally:
                row.seconds = time.monotonic() - started
        result = "[green]passed[/]" if row.passed else "[red]failed[/]"
        self.console.print(f"\\{label}: {result} ({row.seconds:.1f} s)", soft_wrap=True)

    def table(self, title: str, rows: list[tuple[str, ...]]) -> None:
        """Show the details of a step."""
        table = Table(title=title, title_justify="left", show_header=False, box=self._box(box.SIMPLE))
        for row in rows:
            table.add_row(*map(escape, row))
        self.console.print(table)

    def lines(self, title: str, text: str) -> None:
        """Show text without markup."""
        self.console.print(title, style="bold", markup=False)
        self.console.print(text, markup=False, soft_wrap=True)

    def summary(self) -> None:
        """Show the summary table."""
        table = Table("step", "expected", "actual", box=self._box(box.ROUNDED), show_lines=True)
        table.add_column("seconds", justify="right")
        for row in self.rows:
            actual = escape(row.actual.partition("\n")[0])
            table.add_row(row.title, row.expected, actual if row.passed else f"[red]{actual}[/]", f"{row.seconds:.1f}")
        self.console.print(table)

    def _spinner(self, label: str) -> contextlib.AbstractContextManager[object]:
        if not self.console.is_terminal:
            return contextlib.nullcontext()
        return Live(Spinner("dots", escape(label)), console=self.console, transient=True)

    def _box(self, terminal: box.Box) -> box.Box:
        return terminal if self.console.is_terminal else box.ASCII
