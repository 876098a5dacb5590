"""Generates random histories and shrinks one that fails. The text of a history can be passed to --repro."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.faults.declarations import STANDARD
from tests.faults.follow_ups import FOLLOW_UPS
from tests.faults.history import OTHERS, REQUESTS, TROUBLES, History, Step
from tests.faults.invocation import NAMED_CALLS, InjectedFault
from tests.faults.workers import WorkerPool

_SHRINK_FROM = 50
"""With fewer examples, failures are not shrunk: that takes too long for `make test`."""
_BATCH = 50
"""Histories of one seed."""
_BEHAVIORS = ("default", "tokens-forgotten", "tags-late", "described-late", "tokens-forgotten-tags-late")

_late = st.none() | st.integers(0, 9)
_calls = st.integers(0, 14) | st.sampled_from(sorted(NAMED_CALLS))
_pauses = st.builds(InjectedFault, st.just("pause"), _calls, after=st.booleans())
_breaks = st.builds(
    InjectedFault,
    st.sampled_from(["kill", "drop", "reset"]),
    _calls,
    after=st.booleans(),
    times=st.sampled_from([1, 3]),
)
_requests = st.builds(
    Step,
    st.sampled_from(REQUESTS),
    st.sampled_from(["", "", *TROUBLES]),
    st.none() | _late,
    st.none() | _breaks | _pauses,
    st.sampled_from(list(FOLLOW_UPS)),
)
_others = st.builds(Step, st.sampled_from(OTHERS), late=_late)
_histories = st.builds(
    History,
    st.sampled_from(STANDARD),
    st.just("default") | st.sampled_from(_BEHAVIORS),
    st.lists(_requests | _requests | _others, min_size=3, max_size=7),
)


def _check(workers: WorkerPool, *, done: Callable[[], None] = lambda: None) -> Callable[[], None]:
    """Return a test that runs histories. It raises AssertionError, with the shortest history and its log."""

    @given(_histories)
    def check(history: History) -> None:
        result = workers.run_one(history)
        done()
        assert not result.wrong, f"{result}\npython -m tests.faults --repro '{history}'"

    quiet = settings(database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False)
    return quiet(check)


def run(workers: WorkerPool, examples: int) -> None:
    """Run this many histories, always the same ones. Raises AssertionError, with the log, if one fails."""
    phases = [Phase.explicit, Phase.generate, *([Phase.shrink] if examples >= _SHRINK_FROM else [])]
    settings(max_examples=examples, derandomize=True, phases=phases)(_check(workers))()


def search(workers: WorkerPool, seconds: float, report: Callable[[str], object]) -> bool:
    """Run new histories for this time, and report every failure. Returns whether there is none."""
    started, histories, failures = time.monotonic(), 0, 0

    def count() -> None:
        nonlocal histories
        histories += 1

    while time.monotonic() < started + seconds:
        chosen = secrets.randbelow(2**32)
        try:
            settings(max_examples=_BATCH)(seed(chosen)(_check(workers, done=count)))()
        except AssertionError as error:
            failures += 1
            report(f"{error}\n")
        report(f"{histories} histories, {failures} failures after {time.monotonic() - started:.0f} s (seed {chosen})")
    return failures == 0
