"""The tables: on the terminal, and as the block of Markdown that the README takes over."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from rich.table import Table

from benchmarks.artifacts import Artifact
from benchmarks.budget import Calls
from benchmarks.cost import Cost, Rounds
from benchmarks.figures import Figure

if TYPE_CHECKING:
    from rich.console import Console

NAMES = {
    "ours": "cfn-telephony",
    "ours_with_bundle": "cfn-telephony, with AWS_CA_BUNDLE",
    "naive": "crhelper + Powertools",
    "crhelper": "crhelper",
    "cfn-handler": "cfn-handler",
    "cfnresponse": "cfnresponse + boto3",
    "floor": "floor: raw HTTP, no SDK",
}


@attrs.frozen
class Grid:
    """A table of texts; `ours` is its first row."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """As Markdown, numbers to the right."""
        lines = ["| " + " | ".join(self.columns) + " |", "|---|" + "---:|" * (len(self.columns) - 1)]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return f"**{self.title}**\n\n" + "\n".join(lines)

    def print(self, console: Console) -> None:
        """On a terminal."""
        table = Table(title=self.title, title_justify="left")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)


def of_costs(artifacts: Mapping[str, Artifact], costs: Mapping[str, Cost], calls: Mapping[str, int], unit: str) -> Grid:
    """Every handler's, with the ratio to crhelper's; the losing rows too."""
    base = costs["crhelper"]

    def row(name: str, one: Cost) -> list[str]:
        return [
            NAMES[name],
            _with_ratio(one.cold, base.cold),
            f"{statistics.median(one.cold_cpu_ms):.0f}",
            _with_ratio(one.warm, base.warm),
            f"{statistics.median(one.rss_mib):.0f}",
            f"{artifacts[name].mib:.1f}",
            str(calls[name]),
            f"{statistics.median(one.delete_seconds):.2f}",
        ]

    return Grid(
        "One event",
        (
            "handler",
            f"start + first Create, {unit} (x crhelper)",
            "the same, CPU ms",
            f"warm Create, {unit} (x crhelper)",
            "peak memory, MiB",
            "shipped, MiB",
            "calls per Create",
            "Delete, s",
        ),
        [row(name, one) for name, one in costs.items()],
    )


def of_bulk(storms: Mapping[int, Mapping[str, Any]]) -> Grid:
    """Many at once."""
    return Grid(
        "Many numbers in one stack, at one call per second",
        (
            "numbers",
            "who retries",
            "created",
            "failed",
            "time over N seconds",
            "calls per number",
            "billed s per number",
        ),
        [
            [
                str(count),
                "cfn-telephony" if name == "ours" else name,
                f"{run['created']:.0f}",
                f"{run['failed']:.0f}",
                # The time of those that got one says nothing where others did not.
                f"{run['stretch']:.2f}" if not run["failed"] else "-",
                f"{run['calls_per_number']:.1f}",
                f"{run['billed_seconds_per_number']:.1f}",
            ]
            for count, storm in storms.items()
            for name, run in storm.items()
        ],
    )


def of_calls(lives: Mapping[str, Mapping[str, Calls]]) -> Grid:
    """What this provider calls."""
    return Grid(
        "Calls of one event of cfn-telephony",
        ("type and request", "telecom calls", "state table: reads", "state table: writes"),
        [
            [
                f"{type_name.split('::')[1]}, {name}",
                ", ".join(_short(call, times) for call, times in calls.telecom.items()),
                str(_total(calls, reads=True)),
                str(_total(calls, reads=False)),
            ]
            for type_name, life in lives.items()
            for name, calls in life.items()
        ],
    )


def of_figures(figures: Mapping[str, Figure]) -> Grid:
    """The goals."""
    return Grid(
        "Goals",
        ("figure", "value", "spread", "goal", "met"),
        [
            [
                name,
                "" if isinstance(figure.value, dict) else f"{figure.value:.3f}",
                "" if not isinstance(figure.spread, list) else f"{figure.spread[0]:.3f} to {figure.spread[1]:.3f}",
                "" if isinstance(figure.goal, dict) else f"<= {figure.goal}",
                "yes" if figure.met else "NO",
            ]
            for name, figure in figures.items()
        ],
    )


def markdown(grids: Sequence[Grid], rounds: Rounds) -> str:
    """The block between its markers."""
    counted = "instructions by cachegrind" if rounds.instructions else "CPU time"
    how = (
        f"CPython {platform.python_version()}; {counted}, median of {rounds.counted} rounds; "
        "the same SDK and root certificates, TLS on loopback, bytecode everywhere."
    )
    notes = (
        "cfn-telephony ships the SDK; the others take the runtime's, which is not counted. Its layer also has the root "
        "certificates, indexed, so that one is read and not all; with AWS_CA_BUNDLE it loads all, as the others do. "
        "crhelper sleeps 120 seconds in each Delete. The peers make one attempt and botocore's retries; calls per "
        "Create include the answer and, where there is one, the state table's. `make bench` makes these tables."
    )
    parts = ["<!-- benchmark -->", "![Benchmark](docs/benchmark.svg)", how]
    parts += [grid.markdown() for grid in grids] + [notes, "<!-- /benchmark -->"]
    return "\n\n".join(parts) + "\n"


def _with_ratio(values: Sequence[float], base: Sequence[float]) -> str:
    ratio = statistics.median(one / other for one, other in zip(values, base, strict=True))
    return f"{statistics.median(values):.0f} ({ratio:.2f})"


def _short(call: str, times: int) -> str:
    name = call.split(".")[1]
    return name if times == 1 else f"{times} x {name}"


def _total(calls: Calls, *, reads: bool) -> int:
    reading = {"dynamodb.Query", "dynamodb.GetItem"}
    return sum(times for name, times in calls.dynamodb.items() if (name in reading) is reads)
