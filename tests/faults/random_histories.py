"""Generates random histories, always the same ones, and shrinks one that fails."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.faults.declarations import STANDARD
from tests.faults.history import ACTIONS, History, Step
from tests.faults.invocation import InjectedFault
from tests.faults.workers import WorkerPool

_SHRINK_FROM = 50
"""With fewer examples, failures are not shrunk: that takes too long for `make test`."""

_calls = st.integers(0, 14)
_pauses = st.builds(InjectedFault, st.just("pause"), _calls, after=st.booleans())
_faults = st.builds(
    InjectedFault,
    st.sampled_from(["kill", "drop", "reset"]),
    _calls,
    after=st.booleans(),
    times=st.sampled_from([1, 3]),
)
_steps = st.builds(Step, st.sampled_from(ACTIONS), st.none() | _faults | _pauses, st.integers(0, 9))
_histories = st.builds(
    History,
    st.sampled_from(STANDARD),
    st.sampled_from(["default", "default", "tokens-forgotten", "tags-late"]),
    st.lists(_steps, min_size=4, max_size=6),
)


def run(workers: WorkerPool, examples: int) -> None:
    """Run this many histories. Raises AssertionError, with the log, if one fails."""
    phases = [Phase.explicit, Phase.generate, *([Phase.shrink] if examples >= _SHRINK_FROM else [])]

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=phases,
    )
    @given(_histories)
    def check(history: History) -> None:
        result = workers.run_one(history)
        assert not result.wrong, str(result)

    check()
