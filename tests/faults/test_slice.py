"""Every fault point of a plain Create of every type; `make faults` has all the others."""

from __future__ import annotations

import pytest

from tests.faults import plan
from tests.faults.crew import Crew
from tests.faults.declarations import PLAIN
from tests.faults.report import Tally, told

pytestmark = pytest.mark.faults


def test_a_create_that_dies_anywhere_buys_once_leaks_nothing_and_is_answered(crew: Crew) -> None:
    recorded = crew.record((variant, "create") for variant in PLAIN)
    tally, runs = Tally(recorded), plan.part(recorded)
    for result in crew.results(runs):
        tally.add(result)

    assert tally.runs == len(runs)
    assert tally.points == tally.known
    assert tally.clean, "\n\n".join(told(result) for result in tally.wrong)
