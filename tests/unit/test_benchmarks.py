"""The benchmark harness, with small samples. `make bench` checks the figures themselves."""

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import chart, cost, figures, report
from benchmarks.artifacts import ROOT, Artifact, without_bytecode
from benchmarks.bulk import JITTER, PROVIDER
from benchmarks.container import Container, HandlerError
from benchmarks.cost import Cost, Samples
from benchmarks.services import Services
from benchmarks.virtual_time import VirtualTime

SMALL = Samples(instructions=False, rounds=1, warm_events=1, memory_events=2, deletes=1)


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with Services() as started:
        yield started


@pytest.fixture(scope="module")
def raw_http() -> Artifact:
    return Artifact("raw_http", "raw_http.handler", (ROOT / "benchmarks/peers",), 0)


@pytest.fixture(scope="module")
def provider() -> Artifact:
    packages = Path(pytest.__file__).parents[1]
    path = (ROOT / "functions", packages)
    return Artifact("provider", "telephony.handlers.provider.handler", path, 1.0, ca_directory=True)


def toy(directory: Path, body: str) -> Artifact:
    (directory / "toy.py").write_text(f"import time\n\ndef handler(event, context):\n    {body}\n")
    return Artifact("toy", "toy.handler", (directory,), 0)


def test_every_handler_is_measured(services: Services, raw_http: Artifact, provider: Artifact) -> None:
    costs = cost.measure({"raw_http": raw_http, "provider": provider}, services, SMALL)
    for one in costs.values():
        assert one.cold[0] > 0
        assert one.cold_cpu_ms[0] > 0
        assert len(one.warm) == len(one.rss_mib) == len(one.delete_seconds) == 1
    assert costs["provider"].rss_mib[0] > costs["raw_http"].rss_mib[0] > 0


def test_requested_sleep_is_recorded_instead_of_slept(services: Services, tmp_path: Path) -> None:
    sleeping = toy(tmp_path, "time.sleep(120)")
    with Container(sleeping, services.environment(sleeping), record_sleep=True) as container:
        duration = container.invoke({})
    assert duration.slept == 120
    assert duration.seconds < 10


@pytest.mark.parametrize(
    ("handler", "message"), [("toy.handler", "broken"), ("nowhere.handler", "exited:(.|\n)*No module named")]
)
def test_failing_handler_raises_handler_error(services: Services, tmp_path: Path, handler: str, message: str) -> None:
    toy(tmp_path, "raise ValueError('broken')")
    failing = Artifact("toy", handler, (tmp_path,), 0)
    with Container(failing, services.environment(failing)) as container, pytest.raises(HandlerError, match=message):
        container.invoke({})


def test_bytecode_ratio_compares_with_copy_without_bytecode(
    services: Services, raw_http: Artifact, tmp_path: Path
) -> None:
    ratios = cost.bytecode_ratios(raw_http, Cost(cold=[1.0, 2.0]), services, SMALL, tmp_path)
    assert ratios[1] > ratios[0] > 0
    bare = without_bytecode(raw_http, tmp_path / "again").path[0]
    assert list(bare.rglob("*.py"))
    assert not list(bare.rglob("*.pyc"))


def test_handler_without_response_stops_the_measurement(services: Services, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="expected one SUCCESS"):
        cost.cost_of(toy(tmp_path, "pass"), services, SMALL)


def test_virtual_time_wakes_sleepers_in_order_without_waiting() -> None:
    clock, woken = VirtualTime(1_900_000_000), []

    def sleeper(name: str, seconds: float) -> None:
        time.sleep(seconds)
        woken.append((name, time.time() - 1_900_000_000))

    started = time.perf_counter()
    clock.run([(0, lambda: sleeper("slow", 3600)), (5, lambda: sleeper("late", 10)), (0, lambda: sleeper("quick", 1))])
    assert woken == [("quick", 1), ("late", 15), ("slow", 3600)]
    assert time.perf_counter() - started < 10


def test_virtual_time_raises_error_of_task() -> None:
    def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        VirtualTime(1_900_000_000).run([(0, broken)])


def test_simulated_creates_each_get_one_result() -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "functions", ROOT)))}
    command = [sys.executable, "-m", "benchmarks.bulk", "4"]
    output = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True).stdout  # noqa: S603
    strategies = json.loads(output)["4"]
    assert set(strategies) == {PROVIDER, JITTER, "botocore legacy mode", "botocore standard mode"}
    assert (strategies[PROVIDER]["created"], strategies[PROVIDER]["failed"]) == (4, 0)
    for run in strategies.values():
        assert run["created"] + run["failed"] == 4
        assert run["calls_per_number"] >= 1


def bulk(billed: float = 10.0, failed: int = 0, retries: int = 0) -> dict[str, dict[str, object]]:
    run = {
        "created": 25 - failed,
        "failed": failed,
        "failed_at_most": failed,
        "stretch": 1.0,
        "stretches": [1.0, 1.1],
        "calls_per_number": 1.0,
        "billed_seconds_per_number": billed,
        "lambda_retries": retries,
    }
    return {PROVIDER: run, JITTER: run | {"billed_seconds_per_number": 10.0}}


@pytest.mark.parametrize(
    ("strategies", "met"),
    [(bulk(), True), (bulk(billed=10.1), False), (bulk(failed=1), False), (bulk(retries=1), False)],
)
def test_bulk_goal(strategies: dict[str, dict[str, object]], met: bool) -> None:
    assert figures.of_bulk({25: strategies})["bulk_25"].met is met


def costs(cold: float, warm: float = 1.0, delete: float = 0.1) -> dict[str, Cost]:
    peers = dict.fromkeys(report.LABELS, Cost([100.0], [100.0], [1.0], [100.0], [0.0]))
    provider = Cost([cold], [warm], [1.0], [50.0], [delete])
    return {**peers, "provider": provider, "provider_with_bundle": provider}


@pytest.mark.parametrize(
    ("measured", "mib", "bytecode", "missed"),
    [
        (costs(40.0), 1.0, 0.5, set()),
        (costs(50.0), 1.0, 0.5, {"cold_vs_naive", "cold_vs_naive_with_bundle"}),
        (costs(40.0, delete=0.11), 1.0, 0.5, {"delete_added_seconds"}),
        (costs(40.0, warm=-5.0), 1.0, 0.5, {"warm_vs_crhelper"}),
        (costs(40.0), 21.0, 0.8, {"artifact_mib", "bytecode_ratio"}),
    ],
)
def test_cost_goals(measured: dict[str, Cost], mib: float, bytecode: float, missed: set[str]) -> None:
    found = figures.of_costs(measured, mib, [bytecode], "Minstr")
    assert {name for name, figure in found.items() if not figure.met} == missed


def test_chart_draws_bars_to_scale() -> None:
    panels = [
        chart.of_ratios("cost & more", {"a": 0.5, "b": 1.0}),
        chart.of_results("many", {"a": (4, 0), "b": (1, 3)}),
    ]
    drawn = ET.fromstring(chart.svg(panels, "a < b", "a"))  # noqa: S314 - our own
    bars = {
        kind: [float(rect.attrib["width"]) for rect in drawn.findall(".//{*}rect") if rect.attrib["class"] == kind]
        for kind in ("provider", "other", "failed")
    }
    assert bars["provider"][0] * 2 == bars["other"][0]
    assert bars["failed"] == [bars["other"][1] * 3]


def test_readme_block_has_every_handler_and_replaces_the_previous_block(tmp_path: Path) -> None:
    artifacts = dict.fromkeys(report.LABELS, Artifact("", "", (), 1.0))
    table = report.of_costs(artifacts, costs(50.0), dict.fromkeys(report.LABELS, 2), "Minstr")
    block = report.readme_block([table, report.of_bulk({25: bulk()})], SMALL)
    assert all(label in block for label in report.LABELS.values())
    page = tmp_path / "README.md"
    page.write_text("before\n\n<!-- benchmark -->\nold\n<!-- /benchmark -->\n\nafter\n")
    for _ in range(2):
        report.update_readme(page, block)
        assert page.read_text() == f"before\n\n{block}\nafter\n"


def test_goal_table_marks_missed_goals() -> None:
    found = figures.of_costs(costs(50.0), 1.0, [0.5], "Minstr") | figures.of_bulk({25: bulk()})
    lines = report.of_figures(found).splitlines()
    assert "| cold_vs_naive | 0.500 | 0.500 to 0.500 | <= 0.42 | NO |" in lines
    assert "| bulk_25 | see above |  |  | yes |" in lines
