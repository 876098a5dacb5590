"""Generates random histories, and simplifies one that fails. The text of a history can be passed to --repro."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.faults.declarations import STANDARD
from tests.faults.delivery import QUEUE_TROUBLES
from tests.faults.follow_ups import AFTER_KILL, DURING_PAUSE, RequestKind
from tests.faults.history import OTHERS, REQUESTS, TROUBLES, History, Step
from tests.faults.invocation import NAMED_CALLS, InjectedFault
from tests.faults.scenario import ScenarioResult
from tests.faults.workers import WorkerPool

_BATCH = 50
"""Histories of one seed, unless one fails."""
_BEHAVIORS = (
    *("default", "tokens-forgotten", "tags-late", "described-late", "stacks-late", "tokens-forgotten-tags-late"),
    "settled-late",
)

_late = st.none() | st.integers(0, 9)
_calls = st.integers(0, 14) | st.sampled_from(sorted(NAMED_CALLS))
_later = st.sampled_from([0, 0, 1, 1, 2])
_pauses = st.builds(InjectedFault, st.just("pause"), _calls, after=st.booleans(), step=_later)
_breaks = st.builds(
    InjectedFault,
    st.sampled_from(["kill", "drop", "reset"]),
    _calls,
    after=st.booleans(),
    times=st.sampled_from([1, 3]),
    step=_later,
)


def _requests(action: str) -> st.SearchStrategy[Step]:
    """Return steps of one action. Its request can be a Create, whose follow-ups are therefore possible too."""
    kind: RequestKind = "delete" if action.startswith("delete") else "update"
    after_kill = dict.fromkeys([*AFTER_KILL[kind], *AFTER_KILL["create"]])
    troubles = st.sampled_from(["", "", *TROUBLES]), st.just("") | st.sampled_from(list(QUEUE_TROUBLES))
    late = st.none() | _late
    broken = st.builds(Step, st.just(action), *troubles, late, st.none() | _breaks, st.sampled_from(list(after_kill)))
    paused = st.builds(Step, st.just(action), *troubles, late, _pauses, st.sampled_from(DURING_PAUSE["create"]))
    return broken | broken | paused


_steps = st.one_of(
    st.sampled_from(REQUESTS).flatmap(_requests),
    st.sampled_from(REQUESTS).flatmap(_requests),
    st.builds(Step, st.sampled_from(OTHERS)),
    st.builds(Step, st.just("redeliver"), late=st.integers(0, 9)),
)
_histories = st.builds(
    History,
    st.sampled_from(STANDARD),
    st.just("default") | st.sampled_from(_BEHAVIORS),
    st.lists(_steps, min_size=2, max_size=7),
)


class _WrongHistoryError(Exception):
    """A history that fails."""

    def __init__(self, history: History) -> None:
        super().__init__(str(history))
        self.history = history


def _generate(
    check: Callable[[History], None], examples: int, *, derandomize: bool, chosen_seed: int | None = None
) -> None:
    """Call `check` with generated histories."""
    quiet: Any = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}
    # Hypothesis would shrink for minutes: `_shortest` needs fewer runs.
    chosen = settings(max_examples=examples, derandomize=derandomize, phases=[Phase.generate], **quiet)
    test = chosen(given(_histories)(check))
    (test if chosen_seed is None else seed(chosen_seed)(test))()


def _simpler(history: History) -> Iterator[History]:
    """Yield the history without one step, or with one simpler step."""
    for index, step in enumerate(history.steps):
        without: dict[str, Any] = {"trouble": "", "queue": "", "late": None, "fault": None, "follow_up": "retries"}
        changes = [{name: value} for name, value in without.items() if getattr(step, name) != value]
        simpler_steps = [attrs.evolve(step, **change) for change in changes]
        for replacement in ([], *([simpler] for simpler in simpler_steps)):
            yield attrs.evolve(history, steps=[*history.steps[:index], *replacement, *history.steps[index + 1 :]])
    if history.behavior != "default":
        yield attrs.evolve(history, behavior="default")


def _shortest(workers: WorkerPool, history: History) -> ScenarioResult:
    """Simplify a history as long as it fails. Returns the result of the simplest one."""
    result = workers.run_one(history)
    simpler = _simpler(history)
    while (candidate := next(simpler, None)) is not None:
        tried = workers.run_one(candidate)
        if tried.wrong:
            result, simpler = tried, _simpler(candidate)
    return result


def _first_failure(
    workers: WorkerPool, examples: int, done: Callable[[], None] = lambda: None, **chosen: Any
) -> str | None:
    """Run histories. Returns the log of the first one that fails, simplified, and how to run it again."""

    def check(history: History) -> None:
        done()
        if workers.run_one(history).wrong:
            raise _WrongHistoryError(history)

    try:
        _generate(check, examples, **chosen)
    except _WrongHistoryError as wrong:
        result = _shortest(workers, wrong.history)
        return f"{result}\nfound as: {wrong}\npython -m tests.faults --repro '{result.name}'\n"
    return None


def run(workers: WorkerPool, examples: int) -> None:
    """Run this many histories, always the same ones. Raises AssertionError, with the log, if one fails."""
    failure = _first_failure(workers, examples, derandomize=True)
    assert failure is None, failure


def search(workers: WorkerPool, seconds: float, jobs: int, report: Callable[[str], object]) -> bool:
    """Run new histories for this time, and report every failure. Returns whether there is none."""
    started, histories, failures = time.monotonic(), 0, 0

    def count() -> None:
        nonlocal histories
        histories += 1

    def search_seeds() -> None:
        nonlocal failures
        while time.monotonic() < started + seconds:
            chosen = secrets.randbelow(2**32)
            failure = _first_failure(workers, _BATCH, count, derandomize=False, chosen_seed=chosen)
            if failure is not None:
                failures += 1
                report(failure)
            report(f"{histories} histories, {failures} failures, {time.monotonic() - started:.0f} s (seed {chosen})")

    with ThreadPoolExecutor(jobs) as threads:
        for search_ended in [threads.submit(search_seeds) for _ in range(jobs)]:
            search_ended.result()
    return failures == 0
