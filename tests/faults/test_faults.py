"""Every fault point of a Create of every type, the troubles of the queue, mutations, known attacks, random histories.

`make faults` runs the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import attrs
import pytest

from tests.faults import plan, random_histories
from tests.faults.history import History
from tests.faults.mutations import MUTATIONS
from tests.faults.regressions import REGRESSIONS
from tests.faults.report import Report, detections
from tests.faults.workers import WorkerPool

pytestmark = pytest.mark.faults

HISTORIES = int(os.environ.get("HISTORIES", "6"))


@pytest.fixture(scope="module")
def workers() -> Iterator[WorkerPool]:
    with WorkerPool(2) as pool:
        yield pool


@pytest.mark.shows("process killed while a request waits")
def test_interrupted_create_purchases_once_leaks_nothing_and_responds(workers: WorkerPool) -> None:
    recordings = workers.record(plan.SLICE)
    report, scenarios = Report(recordings), plan.short(recordings)
    for result in workers.run(scenarios):
        report.add(result)

    assert report.runs == len(scenarios)
    assert report.killed == report.fault_points
    assert not report.wrong, "\n\n".join(map(str, report.wrong))


@pytest.mark.shows("message delivered twice", "message delivered early, late or out of order", "queue unavailable")
@pytest.mark.shows("message in the dead-letter queue", "message sent by a newer version")
def test_troubles_of_the_queue_change_no_result(workers: WorkerPool) -> None:
    results = workers.run(plan.short_troubles())

    assert not any(result.wrong for result in results), "\n\n".join(str(each) for each in results if each.wrong)
    failed = [result.name for result in results if result.findings.failed]
    assert all("@dead" in name for name in failed), failed


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_provider_without_one_mechanism_is_detected(workers: WorkerPool, mutation: str) -> None:
    [recorded] = workers.run(run for run in plan.mutated(mutation) if run.variant == "sms-phone-number")
    kills = plan.mutated_kills(recorded)

    assert detections([recorded, *workers.run(kills)]) > 0
    assert detections(workers.run(attrs.evolve(kill, mutation=None) for kill in kills[::3])) == 0


@pytest.mark.parametrize("verified", REGRESSIONS)
def test_known_attack_fails(workers: WorkerPool, verified: str) -> None:
    results = [workers.run_one(History.parse(text)) for text in REGRESSIONS[verified]]

    assert not any(result.wrong for result in results), "\n\n".join(str(each) for each in results if each.wrong)


@pytest.mark.timeout(60 + 3 * HISTORIES)
def test_after_every_step_of_a_history_cloudformation_knows_every_number(workers: WorkerPool) -> None:
    random_histories.run(workers, HISTORIES)
