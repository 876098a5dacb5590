"""What the crash tests do not ask: that a death ends well, and not only without harm."""

from __future__ import annotations

import pytest

from tests.faults import plan
from tests.faults.crew import Crew
from tests.faults.report import told


@pytest.mark.faults
@pytest.mark.shows("killed at any call of a Create, and run again")
def test_a_create_that_dies_anywhere_is_a_success_when_lambda_runs_it_again() -> None:
    with Crew(2) as crew:
        recorded = crew.record([("sms", "create")])
        results = crew.results(plan.retried(recorded))

    assert len(results) == 2 * len(recorded["sms", "create"])
    failed = [result for result in results if result.defect or result.findings.wrong or result.findings.failed]
    assert not failed, "\n\n".join(told(result) for result in failed)
