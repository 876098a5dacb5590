"""A Create that Lambda retries after a crash succeeds; tests/faults verifies only that a crash does no harm."""

from __future__ import annotations

import pytest

from tests.faults import plan
from tests.faults.workers import WorkerPool


@pytest.mark.faults
@pytest.mark.shows("process killed during a Create, then retried")
@pytest.mark.parametrize("behavior", ["default", "contended"])
def test_create_that_is_killed_at_any_call_succeeds_on_retry(behavior: str) -> None:
    with WorkerPool(2) as workers:
        recordings = workers.record([("sms-phone-number", "create", behavior)])
        results = workers.run(plan.retried(recordings))

    [calls] = recordings.values()
    assert len(results) == len(plan.fault_points(calls))
    failed = [result for result in results if result.wrong or result.findings.failed]
    assert not failed, "\n\n".join(map(str, failed))
