"""What the demo shows while it works and at the end; plain lines where stdout is no terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

_PLAIN_WIDTH = 150
"""Columns where there is no terminal to ask."""


@dataclass
class Row:
    """One step in the table at the end."""

    done: str
    expected: str
    seen: str
    seconds: float
    held: bool


class Display:
    """Shows one step at a time, and keeps its row."""

    def __init__(self, steps: int, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        if not self.console.is_terminal:
            self.console = console or Console(highlight=False, width=_PLAIN_WIDTH)
        self._steps = steps
        self.rows: list[Row] = []

    @contextlib.contextmanager
    def working(self, title: str, expected: str) -> Iterator[Row]:
        """Show that the step is at work; the row that is given wants `seen` and `held`."""
        row = Row(title, expected, "", 0.0, held=False)
        self.rows.append(row)
        label = f"[{len(self.rows)}/{self._steps}] {title}"
        began = time.monotonic()
        with self._animated(label):
            try:
                yield row
            finally:
                row.seconds = time.monotonic() - began
        mark = "[green]held[/]" if row.held else "[red]did not hold[/]"
        self.console.print(f"\\{label}: {mark} ({row.seconds:.1f} s)", soft_wrap=True)

    def rows_of(self, title: str, rows: list[tuple[str, ...]]) -> None:
        """Show what is worth reading besides the table at the end."""
        table = Table(title=title, title_justify="left", show_header=False, box=self._box(box.SIMPLE))
        for row in rows:
            table.add_row(*(_literally(text) for text in row))
        self.console.print(table)

    def lines(self, title: str, text: str) -> None:
        """Show lines as they are."""
        self.console.print(title, style="bold", markup=False)
        self.console.print(text, markup=False, soft_wrap=True)

    def summary(self) -> None:
        """Show the table at the end."""
        table = Table("what was done", "expected", "seen", box=self._box(box.ROUNDED), show_lines=True)
        table.add_column("seconds", justify="right")
        for row in self.rows:
            seen = row.seen.splitlines()[0] if row.seen else ""
            table.add_row(
                row.done,
                row.expected,
                seen if row.held else f"[red]{_literally(seen)}[/]",
                f"{row.seconds:.1f}",
            )
        self.console.print(table)

    def _animated(self, label: str) -> contextlib.AbstractContextManager[object]:
        if not self.console.is_terminal:
            return contextlib.nullcontext()
        return Live(Spinner("dots", _literally(label)), console=self.console, transient=True)

    def _box(self, terminal: box.Box) -> box.Box:
        return terminal if self.console.is_terminal else box.ASCII


def _literally(text: str) -> str:
    """Text in which brackets are brackets."""
    return text.replace("[", r"\[")
