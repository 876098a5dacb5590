"""Workers for the crash tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.crew import Crew


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "faults: kills the real provider, hundreds of times (a minute on two cores)")


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with Crew(2) as workers:
        yield workers
