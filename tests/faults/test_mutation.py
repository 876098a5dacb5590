"""The crash tests can fail: without ledger, token or tags they find numbers bought twice or leaked."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.faults.attempts import Blow
from tests.faults.crew import Crew
from tests.faults.mutations import MUTATIONS
from tests.faults.runs import Result, Run

pytestmark = pytest.mark.faults

# Where each of the three is what is left: the other two stay as they are, but for what the services do to them.
ENVIRONMENT = {"ledger": "plain", "token": "later", "tags": "forget"}


def found(crew: Crew, environment: str, mutation: str | None) -> int:
    total = 0
    defects: list[str] = []

    def done(result: Result) -> Iterable[Run]:
        nonlocal total
        total += result.findings.bought_twice + result.findings.leaked
        defects.extend([result.defect] if result.defect else [])
        return []

    [calls] = crew.record([("sms", "create")]).values()
    buying = calls.index("pinpoint-sms-voice-v2.RequestPhoneNumber")
    blows = [Blow("kill", call, after=True) for call in (buying - 1, buying, buying + 1)]
    crew.play(
        [
            Run("sms", "create", blow, then, environment=environment, mutation=mutation)
            for blow in blows
            for then in ("retries", "cancelled")
        ],
        done,
    )
    assert not defects, defects[0]
    return total


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_without_it_numbers_are_bought_twice_or_leaked(crew: Crew, mutation: str) -> None:
    environment = ENVIRONMENT[mutation]

    assert found(crew, environment, None) == 0
    assert found(crew, environment, mutation) > 0
