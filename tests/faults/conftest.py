"""Workers for the crash tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.crew import Crew


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with Crew(2) as workers:
        yield workers
