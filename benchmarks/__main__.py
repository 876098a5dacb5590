"""`python -m benchmarks [--quick]`: measure, print, write build/bench-report.json, README's tables, the chart."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import artifacts, budget, chart, cost, figures, report
from benchmarks.artifacts import ROOT, Artifact
from benchmarks.container import Container
from benchmarks.cost import Cost, Rounds
from benchmarks.figures import BULK, Figure
from benchmarks.services import Services

_SEEDS = 5
_QUICK = Rounds(instructions=False, counted=1, timed=1, warm_events=1, memory_events=2, deletes=1)


def main(arguments: list[str] | None = None) -> None:
    """Measure. The exit code is 0 whether or not every goal is met: the report says that."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="everything once, and small: shows that it runs")
    parser.add_argument("--to", type=Path, default=ROOT, help="where build/ and docs/ are written")
    chosen = parser.parse_args(arguments)
    console = Console(width=160)
    begun = time.monotonic()

    def tell(what: str) -> None:
        console.print(f"[dim]{time.monotonic() - begun:4.0f} s[/dim] {what}")

    counts, seeds, rounds = ((5,), 1, _QUICK) if chosen.quick else (BULK, _SEEDS, Rounds())
    build = chosen.to / "build"
    storm = _start_storms(counts, seeds)
    try:
        tell("building")
        built = artifacts.build(build / "bench")
        with Services() as services:
            costs = cost.measure(built, services, rounds, tell)
            tell("bytecode")
            bytecode = cost.bytecode(built["ours"], services, rounds, build / "bench/bare")
            recompiled = cost.recompiled(built["ours"], services)
            tell("remote calls")
            lives = budget.measure(built["ours"], services)
            calls = {name: _calls(artifact, services) for name, artifact in built.items()}
        tell("many at once")
        storms = _storms(storm)
    finally:
        storm.kill()
        storm.wait()
    found = figures.of_costs(costs, rounds.unit) | figures.of_artifact(built["ours"].mib, bytecode, recompiled)
    found |= figures.of_bulk(storms) | {"remote_calls": figures.of_calls(lives)}
    grids = [report.of_costs(built, costs, calls, rounds.unit), report.of_bulk(storms), report.of_calls(lives)]
    for grid in [*grids, report.of_figures(found)]:
        grid.print(console)
    _write(build / "bench-report.json", _json(found, costs, built, rounds))
    tables = report.markdown(grids[:2], rounds)
    _write(build / "bench-table.md", tables)
    if chosen.to == ROOT and not chosen.quick:
        show(ROOT / "README.md", tables)
    _write(chosen.to / "docs/benchmark.svg", _chart(costs, storms))
    tell(f"wrote {build / 'bench-report.json'}")


def _start_storms(counts: tuple[int, ...], seeds: int) -> subprocess.Popen[str]:
    """Beside the rest: it moves the time of its process, and takes none of what is measured here."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'functions'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "benchmarks.bulk", str(seeds), *map(str, counts)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)  # noqa: S603


def _storms(running: subprocess.Popen[str]) -> dict[int, dict[str, Any]]:
    said, _ = running.communicate()
    if running.returncode:
        raise RuntimeError("the simulation of many at once failed")
    lines = [json.loads(line) for line in said.splitlines()]
    return {line.pop("count"): line for line in lines}


def _calls(artifact: Artifact, services: Services) -> int:
    """Remote calls of one Create, the answer included."""
    with Container(artifact, services.environment(artifact)) as container:
        before, sent = services.calls(), services.event("Create")
        container.send(sent)
        services.answer(sent)
        return (services.calls() - before).total()


def _json(found: Mapping[str, Figure], costs: Mapping[str, Cost], built: Mapping[str, Artifact], rounds: Rounds) -> str:
    handlers = {
        name: {
            "cold": list(one.cold),
            "warm": list(one.warm),
            "cold_cpu_ms": list(one.cold_cpu_ms),
            "rss_mib": list(one.rss_mib),
            "delete_seconds": list(one.delete_seconds),
            "shipped_mib": built[name].mib,
        }
        for name, one in costs.items()
    }
    content = {
        "unit": rounds.unit,
        "rounds": rounds.counted,
        "figures": {name: figure.as_json() for name, figure in found.items()},
        "handlers": handlers,
    }
    return json.dumps(content, indent=2) + "\n"


def _chart(costs: Mapping[str, Cost], storms: Mapping[int, Mapping[str, Any]]) -> str:
    def ratios(title: str, kind: str) -> chart.Panel:
        base = statistics.median(getattr(costs["crhelper"], kind))
        values = {report.NAMES[name]: statistics.median(getattr(one, kind)) / base for name, one in costs.items()}
        return chart.of_ratios(f"{title}, crhelper = 1", values, report.NAMES["ours"])

    middle = sorted(storms)[len(storms) // 2]
    outcomes = {
        report.NAMES["ours"] if name == "ours" else name: (run["created"], run["failed"])
        for name, run in storms[middle].items()
    }
    panels = [
        ratios("Start and first Create", "cold"),
        ratios("A warm Create on fresh connections", "warm"),
        ratios("Peak memory", "rss_mib"),
        chart.of_bulk(f"{middle} numbers in one stack, one call per second", outcomes, report.NAMES["ours"]),
    ]
    return chart.svg(panels, "cfn-telephony beside crhelper, Powertools, cfn-handler and cfnresponse")


def show(page: Path, tables: str) -> None:
    """Put the tables where the page has the last ones, between the markers that they bring along."""
    begin, end = tables.splitlines()[0], tables.splitlines()[-1]
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(f"{end}\n")
    page.write_text(before + tables + after)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    main()
