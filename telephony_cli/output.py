"""Output: a table for people, JSON for programs."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

from rich.console import Console, ConsoleDimensions
from rich.table import Table

_WIDTH = 160
"""Columns of a table that is not shown in a terminal, unless COLUMNS is set."""
_HEIGHT = 25


class Format(StrEnum):
    """How a result is shown."""

    TABLE = "table"
    JSON = "json"


def show_json(document: Any) -> None:
    """Write a document to the standard output."""
    sys.stdout.write(f"{json.dumps(document, indent=2)}\n")


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *lines: str) -> None:
    """Write a table and the lines below it to the standard output."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not sys.stdout.isatty():
        width = os.environ.get("COLUMNS", "")
        # Without a height, Rich ignores the width where TERM is dumb, as in many pipelines.
        console.size = ConsoleDimensions(int(width) if width.isdecimal() else _WIDTH, _HEIGHT)
    table = Table(*columns, box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in table.columns:
        column.overflow = "fold"
    filled = [*rows]
    for row in filled:
        table.add_row(*row)
    if filled:
        with console.capture() as capture:
            console.print(table)
        show_text(*(line.rstrip() for line in capture.get().splitlines()))
    show_text(*lines)


def show_text(*lines: str) -> None:
    """Write lines to the standard output."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def show_error(text: str) -> None:
    """Write one line to the standard error, below what was written before."""
    sys.stdout.flush()
    sys.stderr.write(f"telephony: {text}\n")


def price(value: Decimal | None) -> str | None:
    """Return a monthly price as JSON shows it: a decimal number in US dollars, or null if it is unknown."""
    return None if value is None else f"{value:.2f}"


def parse_price(attributes: Any) -> Decimal | None:
    """Return the price in the attributes of a resource. None: the service does not tell it."""
    text = attributes.get("MonthlyLeasingPrice")
    return Decimal(text) if text else None


def total(prices: Iterable[Decimal | None]) -> tuple[Decimal, int]:
    """Return the sum of the known prices, and how many are unknown."""
    listed = [*prices]
    known = [value for value in listed if value is not None]
    return sum(known, Decimal(0)), len(listed) - len(known)
