"""A Create that Lambda retries after a crash succeeds; tests/faults verifies only that a crash does no harm."""

from __future__ import annotations

import pytest

from tests.faults import plan
from tests.faults.workers import WorkerPool


@pytest.mark.faults
@pytest.mark.shows("process killed during a Create, then retried")
def test_create_that_is_killed_at_any_call_succeeds_on_retry() -> None:
    with WorkerPool(2) as workers:
        recordings = workers.record([("sms-phone-number", "create")])
        results = workers.run(plan.retried(recordings))

    assert len(results) == 2 * len(recordings["sms-phone-number", "create"])
    failed = [result for result in results if result.wrong or result.findings.failed]
    assert not failed, "\n\n".join(map(str, failed))
