"""The benchmark's harness, on a tiny setting. No figure is checked here: what they come to is `make bench`'s to say."""

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
from benchmarks.__main__ import show
from benchmarks.artifacts import ROOT, Artifact, without_bytecode
from benchmarks.budget import Calls
from benchmarks.container import Container, HandlerError
from benchmarks.cost import Cost, Rounds
from benchmarks.services import Services
from benchmarks.virtual_time import VirtualTime

ONCE = Rounds(instructions=False, counted=1, timed=1, warm_events=1, memory_events=2, deletes=1)
SITE = Path(os.__file__).parent


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    with Services() as started:
        yield started


@pytest.fixture(scope="module")
def floor() -> Artifact:
    return Artifact("floor", "floor.handler", (ROOT / "benchmarks/peers",), 0)


@pytest.fixture(scope="module")
def ours() -> Artifact:
    packages = Path(pytest.__file__).parents[1]
    return Artifact("ours", "telephony.handlers.provider.handler", (ROOT / "functions", packages), 1.0, indexed=True)


def toy(directory: Path, body: str) -> Artifact:
    (directory / "toy.py").write_text(f"import time\n\ndef handler(event, context):\n    {body}\n")
    return Artifact("toy", "toy.handler", (directory,), 0)


def test_every_handler_is_measured_in_every_way(services: Services, floor: Artifact, ours: Artifact) -> None:
    told: list[str] = []
    measured = cost.measure({"floor": floor, "ours": ours}, services, ONCE, told.append)
    assert told
    for one in measured.values():
        assert one.cold[0] > 0
        assert one.cold_cpu_ms[0] > 0
        assert len(one.warm) == len(one.rss_mib) == len(one.delete_seconds) == 1
    assert measured["ours"].rss_mib[0] > measured["floor"].rss_mib[0] > 0


def test_what_a_handler_asks_to_sleep_is_told_and_not_slept(services: Services, tmp_path: Path) -> None:
    sleeping = toy(tmp_path, "time.sleep(120)")
    with Container(sleeping, services.environment(sleeping), "record-sleep") as container:
        ran = container.send({})
    assert ran.slept == 120
    assert ran.seconds < 10


def test_a_handler_that_raises_or_ends_ends_the_benchmark(services: Services, tmp_path: Path) -> None:
    raising = toy(tmp_path, "raise ValueError('broken')")
    with Container(raising, services.environment(raising)) as container, pytest.raises(HandlerError, match="broken"):
        container.send({})
    ending = Artifact("toy", "nowhere.handler", (tmp_path,), 0)
    environment = services.environment(ending)
    with Container(ending, environment) as container, pytest.raises(HandlerError, match="No module named"):
        container.send({})


def test_what_is_compiled_at_the_start_is_counted(services: Services, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(source)], check=True)  # noqa: S603
    artifact = toy(source, "pass")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(source)], check=True)  # noqa: S603
    counted = []
    for one in (artifact, without_bytecode(artifact, tmp_path / "bare")):
        with Container(one, services.environment(one), "count-compiled") as container:
            counted.append(container.send({}).compiled)
    assert counted == [0, 1]


def test_a_handler_without_an_answer_is_not_taken_for_one_that_is_done(services: Services, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not one SUCCESS"):
        cost.cost_of(toy(tmp_path, "pass"), services, ONCE, events=1)


def test_connections_that_were_hung_up_are_made_again(services: Services, floor: Artifact) -> None:
    with Container(floor, services.environment(floor)) as container:
        for _ in range(3):
            sent, before = services.event("Create"), services.calls()
            container.send(sent)
            assert services.answer(sent)["PhysicalResourceId"].startswith("phone-")
            assert services.calls() - before == {"pinpoint-sms-voice-v2.RequestPhoneNumber": 1, "PUT": 1}
            services.hang_up()


def test_virtual_time_wakes_sleepers_in_their_order_and_takes_none_of_the_real_one() -> None:
    moment, seen = VirtualTime(1_900_000_000), []

    def sleeper(name: str, seconds: float) -> None:
        time.sleep(seconds)
        seen.append((name, time.time() - 1_900_000_000))

    begun = time.perf_counter()
    moment.run([(0, lambda: sleeper("slow", 3600)), (5, lambda: sleeper("late", 10)), (0, lambda: sleeper("quick", 1))])
    assert seen == [("quick", 1), ("late", 15), ("slow", 3600)]
    assert time.perf_counter() - begun < 10


def test_what_a_task_raises_in_virtual_time_is_raised() -> None:
    def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        VirtualTime(1_900_000_000).run([(0, broken)])


def test_many_at_once_end_with_a_number_each() -> None:
    command = [sys.executable, "-m", "benchmarks.bulk", "1", "4"]
    path = os.pathsep.join(map(str, (ROOT / "functions", ROOT)))
    said = subprocess.run(  # noqa: S603
        command, cwd=ROOT, env={"PATH": os.environ["PATH"], "PYTHONPATH": path}, capture_output=True, check=True
    )
    storm = json.loads(said.stdout)
    assert storm.pop("count") == 4
    assert set(storm) == {"ours", "full jitter, 5 s", "botocore legacy", "botocore standard"}
    assert (storm["ours"]["created"], storm["ours"]["failed"]) == (4, 0)
    for run in storm.values():
        assert run["created"] + run["failed"] == 4
        assert run["calls_per_number"] >= 1


def storm(billed: float = 10.0, failed: int = 0, retries: int = 0) -> dict[str, dict[str, object]]:
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
    return {"ours": run, "full jitter, 5 s": run | {"billed_seconds_per_number": 10.0}}


@pytest.mark.parametrize(
    ("measured", "met"),
    [(storm(), True), (storm(billed=10.1), False), (storm(failed=1), False), (storm(retries=1), False)],
)
def test_a_goal_of_the_bulk_is_met_or_not(measured: dict[str, dict[str, object]], met: bool) -> None:
    assert figures.of_bulk({25: measured})["bulk_25"].met is met


def handlers(cold: float, warm: float = 1.0, delete: float = 0.1) -> dict[str, Cost]:
    peers = dict.fromkeys(report.NAMES, Cost([100.0], [100.0], [1.0], [100.0], [0.0]))
    ours = Cost([cold], [warm], [1.0], [50.0], [delete])
    return {**peers, "ours": ours, "ours_with_bundle": ours}


def test_a_goal_of_a_cost_is_met_or_not() -> None:
    found = figures.of_costs(handlers(50.0), "Minstr")
    assert {name for name, figure in found.items() if not figure.met} == {"cold_vs_naive", "cold_vs_naive_with_bundle"}
    found = figures.of_costs(handlers(40.0, delete=0.11), "Minstr")
    assert {name for name, figure in found.items() if not figure.met} == {"delete_added_seconds"}
    assert not figures.of_costs(handlers(40.0, warm=-5.0), "CPU ms")["warm_vs_crhelper"].met
    assert not figures.of_artifact(1.0, [0.5], recompiled=1)["bytecode_ratio"].met


@pytest.mark.parametrize("made", [{"a.B": 2}, {}, {"a.B": 1, "a.C": 1}])
def test_another_call_than_the_budget_has_is_not_met(made: dict[str, int]) -> None:
    assert not figures.of_calls({"T": {"Create": Calls(made, {}, 1, {"a.B": 1})}}).met
    assert figures.of_calls({"T": {"Create": Calls({"a.B": 1}, {}, 1, {"a.B": 1})}}).met


def test_the_chart_is_a_drawing_and_the_block_has_its_markers() -> None:
    drawn = ET.fromstring(  # noqa: S314 - our own
        chart.svg(
            [
                chart.of_ratios("cost & more", {"ours": 0.5, "theirs": 1.0}, "ours"),
                chart.of_bulk("many", {"ours": (4, 0), "theirs": (1, 3)}, "ours"),
            ],
            "a < b",
        )
    )
    bars = {
        kind: [float(rect.attrib["width"]) for rect in drawn.findall(".//{*}rect") if rect.attrib["class"] == kind]
        for kind in ("ours", "bar", "lost")
    }
    assert bars["ours"][0] * 2 == bars["bar"][0]
    assert bars["lost"] == [bars["bar"][1] * 3]
    artifacts = dict.fromkeys(report.NAMES, Artifact("", "", (), 1.0))
    grid = report.of_costs(artifacts, handlers(50.0), dict.fromkeys(report.NAMES, 2), "Minstr")
    block = report.markdown([grid, report.of_bulk({25: storm()})], ONCE)
    assert block.startswith("<!-- benchmark -->\n")
    assert block.endswith("<!-- /benchmark -->\n")
    assert all(name in block for name in report.NAMES.values())


def test_the_tables_take_the_place_of_the_last_ones(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("before\n\n<!-- benchmark -->\nold\n<!-- /benchmark -->\n\nafter\n")
    show(page, "<!-- benchmark -->\n\nnew\n\n<!-- /benchmark -->\n")
    show(page, "<!-- benchmark -->\n\nnewer\n\n<!-- /benchmark -->\n")
    assert page.read_text() == "before\n\n<!-- benchmark -->\n\nnewer\n\n<!-- /benchmark -->\n\nafter\n"
