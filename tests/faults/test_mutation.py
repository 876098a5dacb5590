"""The crash tests can fail: without ledger, token or tags they find numbers bought twice or leaked."""

from __future__ import annotations

import attrs
import pytest

from tests.faults import plan
from tests.faults.crew import Crew
from tests.faults.mutations import MUTATIONS
from tests.faults.report import Mutated

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_without_it_numbers_are_bought_twice_or_leaked(crew: Crew, mutation: str) -> None:
    [shown] = crew.results(plan.unharmed(mutation)[:1])
    runs = plan.mutated(shown)

    mutated = Mutated.of(mutation, crew.results(runs))
    unchanged = Mutated.of(mutation, crew.results(attrs.evolve(run, mutation=None) for run in runs[::3]))

    assert mutated.bought_twice + mutated.leaked > 0
    assert unchanged.bought_twice + unchanged.leaked == 0
