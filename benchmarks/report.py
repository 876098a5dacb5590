"""The Markdown tables, which are printed and copied into README.md."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks import cost
from benchmarks.artifacts import Artifact
from benchmarks.bulk import PROVIDER
from benchmarks.cost import Cost, Samples
from benchmarks.figures import Figure
from benchmarks.provider import Result

LABELS = {
    "provider": "cfn-telephony",
    "provider_with_bundle": "cfn-telephony with AWS_CA_BUNDLE",
    "naive": "crhelper + Powertools",
    "crhelper": "crhelper",
    "cfn-handler": "cfn-handler",
    "cfnresponse": "cfnresponse + boto3",
    "raw_http": "raw HTTP without SDK (lower bound)",
}
_CREATES = "400 SMS numbers"
_BEGIN, _END = "<!-- benchmark -->\n", "<!-- /benchmark -->\n"


def of_costs(artifacts: Mapping[str, Artifact], costs: Mapping[str, Cost], calls: Mapping[str, int], unit: str) -> str:
    """One row per handler, with its ratios to crhelper."""
    base = costs["crhelper"]
    return _table(
        "One request",
        (
            "handler",
            f"cold start with first Create, {unit} (ratio to crhelper)",
            "cold start, CPU ms",
            f"warm Create, {unit} (ratio to crhelper)",
            "peak memory, MiB",
            "package size, MiB",
            "remote calls per Create",
            "Delete, s",
        ),
        (
            (
                LABELS[name],
                f"{median(one.cold):.0f} ({median(cost.ratios(one.cold, base.cold)):.2f})",
                f"{median(one.cold_cpu_ms):.0f}",
                f"{median(one.warm):.0f} ({median(cost.ratios(one.warm, base.warm)):.2f})",
                f"{median(one.rss_mib):.0f}",
                f"{artifacts[name].mib:.1f}",
                str(calls[name]),
                f"{median(one.delete_seconds):.2f}",
            )
            for name, one in costs.items()
        ),
    )


def of_bulk(bulk: Mapping[str, Figure]) -> str:
    """One row per simulation, and per retry strategy that was compared."""
    return _table(
        "Many numbers in an account with 10 concurrent executions",
        (
            "simulation",
            "retry strategy",
            "succeeded",
            "failed",
            "last answer, s",
            "calls per number",
            "billed seconds per number",
        ),
        (
            (
                name,
                strategy,
                str(run["created"] if "created" in run else run["deleted"]),
                str(run["failed"]),
                f"{run['last_answer_seconds']:.0f}",
                f"{run['calls_per_number']:.2f}",
                f"{run['billed_seconds_per_number']:.1f}",
            )
            for name, strategy, run in _runs({name: figure.value for name, figure in bulk.items()})
        ),
    )


def _runs(bulk: Mapping[str, Result]) -> Iterator[tuple[str, str, Result]]:
    """Yield each run with its description and its retry strategy."""
    yield _CREATES, PROVIDER, bulk["bulk_400_concurrency_10"]
    for strategy, run in bulk["bulk_400_concurrency_10"]["others"].items():
        yield _CREATES, strategy, run
    configured, slow = bulk["bulk_100_configured"], bulk["delete_200_slow"]
    yield "100 SMS numbers with 3 keywords, a pool and WaitForActive", PROVIDER, configured["sms"]
    yield "100 claims of Connect numbers", PROVIDER, configured["connect"]
    yield "2000 SMS numbers in 4 stacks", PROVIDER, bulk["bulk_2000"]
    yield "100 Deletes at one call per 20 s", PROVIDER, bulk["delete_100_slow"]
    yield "200 Deletes at one call per 20 s, which do not fit into an hour", PROVIDER, slow
    if "again" in slow:
        yield "Delete again of those that failed", PROVIDER, slow["again"]


def of_sweep(result: Result) -> str:
    """One row per simulation of the sweep."""
    without = result["without_tagging_service"]
    runs = {
        "all numbers in their stacks": result,
        "1 % of the numbers not in their stacks": result["with_leaks"],
        "all in their stacks, types unknown to the tagging service": without,
        "1 % not in their stacks, types unknown to the tagging service": without["with_leaks"],
    }
    return _table(
        f"Sweep of {result['count']} numbers in {result['stacks']} stacks",
        ("account", "calls per 100 numbers", "CloudFormation calls per stack", "found", "runs", "longest run, s"),
        (
            (
                name,
                f"{run['calls_per_100_numbers']:.2f}",
                f"{run['cloudformation_calls_per_stack']:.2f}",
                str(run["found"]),
                str(run["runs"]),
                f"{run['seconds']:.0f}",
            )
            for name, run in runs.items()
        ),
    )


def of_figures(figures: Mapping[str, Figure]) -> str:
    """One row per goal."""
    return _table(
        "Goals",
        ("figure", "value", "spread", "goal", "met"),
        (
            (
                name,
                *(
                    ("see above", "", "")
                    if isinstance(figure.goal, dict)
                    else (f"{figure.value:.3f}", "{:.3f} to {:.3f}".format(*figure.spread), f"<= {figure.goal}")
                ),
                "yes" if figure.met else "NO",
            )
            for name, figure in figures.items()
        ),
    )


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (columns, *rows)]
    lines.insert(1, "|---|" + "---:|" * (len(columns) - 1))
    return f"**{title}**\n\n" + "\n".join(lines)


def readme_block(tables: Sequence[str], samples: Samples) -> str:
    """The chart, the tables and their notes, between the markers that README.md contains."""
    measured = "instructions counted by cachegrind" if samples.instructions else "CPU time"
    notes = (
        f"CPython {platform.python_version()}; {measured}; median of {samples.rounds} rounds. All handlers use the "
        "same SDK version and root certificates, TLS on the loopback interface, and precompiled bytecode. "
        "cfn-telephony ships the SDK; the others use the Lambda runtime's copy, which their package size excludes. "
        "The cfn-telephony layer also indexes the root certificates, so that only the required one is loaded; with "
        "AWS_CA_BUNDLE it loads all of them, as the others do. crhelper sleeps for 120 seconds in each Delete. Remote "
        "calls include the response to CloudFormation and calls to the state table.\n\n"
        "The account allows one call per second and operation of SMS, two of Connect. The handlers are real, "
        "the time is simulated: Lambda runs 10 functions at a time and repeats throttled events after 1 to 300 "
        "seconds, SQS delivers messages up to 2 seconds late, and 1 % of them 20 seconds late. The sweep calls "
        "GetResources 10 times and ListStackResources 5 times per second. `make bench` generates this section."
    )
    return "\n\n".join([_BEGIN.strip(), "![Benchmark](docs/benchmark.svg)", *tables, notes, _END])


def update_readme(page: Path, block: str) -> None:
    """Replace the text between the page's markers."""
    before, _, rest = page.read_text().partition(_BEGIN)
    page.write_text(before + block + rest.partition(_END)[2])
