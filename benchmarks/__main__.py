"""`python -m benchmarks`: measures, prints the tables, and writes build/bench-report.json, README.md and the chart.

The exit code is 0 even if a goal is missed.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from statistics import median

import attrs

from benchmarks import artifacts, chart, cost, figures, report
from benchmarks.artifacts import ROOT, Artifact
from benchmarks.bulk import PROVIDER
from benchmarks.container import Container
from benchmarks.cost import Cost, Samples
from benchmarks.figures import Figure
from benchmarks.services import Services

_log = logging.getLogger("benchmarks")


def main() -> None:
    """Run the benchmark."""
    logging.basicConfig(format="%(relativeCreated)7d ms  %(message)s")
    _log.setLevel(logging.INFO)
    samples, build = Samples(), ROOT / "build"
    # The simulation runs in its own process because it replaces that process's clock.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'functions'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "benchmarks.bulk"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as simulation:  # noqa: S603
        try:
            _log.info("Build")
            built = artifacts.build(build / "bench")
            with Services() as services:
                costs = cost.measure(built, services, samples)
                provider, copy = built["provider"], build / "bench/without_bytecode"
                bytecode = cost.bytecode_ratios(provider, costs["provider"], services, samples, copy)
                calls = {name: _calls_per_create(artifact, services) for name, artifact in built.items()}
            _log.info("Many numbers")
            output, _ = simulation.communicate()
        finally:
            simulation.kill()
    if simulation.returncode:
        raise RuntimeError("the simulation of many numbers failed")
    bulk = figures.of_bulk(json.loads(output))
    found = figures.of_costs(costs, provider.mib, bytecode, samples.unit) | bulk
    tables = [
        report.of_costs(built, costs, calls, samples.unit),
        report.of_bulk(bulk),
        report.of_sweep(bulk["sweep_10000"].value),
    ]
    print(*tables, report.of_figures(found), sep="\n\n")  # noqa: T201
    content = {
        "unit": samples.unit,
        "rounds": samples.rounds,
        "figures": {name: attrs.asdict(figure) for name, figure in found.items()},
        "handlers": {name: attrs.asdict(one) | {"package_mib": built[name].mib} for name, one in costs.items()},
    }
    (build / "bench-report.json").write_text(json.dumps(content, indent=2) + "\n")
    report.update_readme(ROOT / "README.md", report.readme_block(tables, samples))
    (ROOT / "docs/benchmark.svg").write_text(_chart(costs, bulk["bulk_400_concurrency_10"]))


def _calls_per_create(artifact: Artifact, services: Services) -> int:
    """Count the remote calls of one Create, including the response to CloudFormation."""
    with Container(artifact, services.environment(artifact)) as container:
        before, request = services.calls().total(), services.event("Create")
        container.invoke(request)
        services.response(request)
        return services.calls().total() - before


def _chart(costs: Mapping[str, Cost], creates: Figure) -> str:
    def ratios(title: str, kind: str) -> chart.Panel:
        base = median(getattr(costs["crhelper"], kind))
        values = {report.LABELS[name]: median(getattr(one, kind)) / base for name, one in costs.items()}
        return chart.of_ratios(f"{title} (crhelper = 1)", values)

    runs = {PROVIDER: creates.value, **creates.value["others"]}
    results = {name: (run["created"], run["failed"]) for name, run in runs.items()}
    panels = [
        ratios("Cold start with first Create", "cold"),
        ratios("Warm Create on new connections", "warm"),
        ratios("Peak memory", "rss_mib"),
        chart.of_results("400 Creates in an account with 10 concurrent executions and one call per second", results),
    ]
    return chart.svg(panels, "cfn-telephony compared with other custom resource handlers", PROVIDER)


if __name__ == "__main__":
    main()
