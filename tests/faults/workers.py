"""Worker processes that run scenarios in parallel, each with its own environment."""

from __future__ import annotations

import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context

from tests.faults.audit import Findings
from tests.faults.environment import Environment
from tests.faults.history import History, run_history
from tests.faults.invocation import initialize_runtime
from tests.faults.scenario import RecordedRequest, Scenario, ScenarioResult, ScenarioRunner

_runner: ScenarioRunner
"""Of this worker process."""


def _start() -> None:
    global _runner  # noqa: PLW0603
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    environment = Environment()
    initialize_runtime(environment.server.variables())
    _runner = ScenarioRunner(environment)
    _runner.warm_up()


def _record(request: RecordedRequest) -> list[list[str]]:
    return _runner.recorded_calls(request)


def _run(scenario: Scenario | History, *, keep_log: bool = False) -> ScenarioResult:
    try:
        if isinstance(scenario, History):
            return run_history(_runner, scenario)
        return _runner.run(scenario, keep_log=keep_log)
    except Exception:  # noqa: BLE001 - the other scenarios continue
        return ScenarioResult(str(scenario), Findings(), [], [], [], traceback.format_exc())


class WorkerPool(ProcessPoolExecutor):
    """Runs scenarios in worker processes. Use as a context manager."""

    def __init__(self, jobs: int) -> None:
        # Not forked: the workers fork the invocations, and each page that they inherit makes a fork slower.
        super().__init__(jobs, get_context("spawn"), _start)
        self._jobs = jobs

    def record(self, requests: Iterable[RecordedRequest]) -> dict[RecordedRequest, list[list[str]]]:
        """Return the calls of each request without a fault. Raises AssertionError if one fails."""
        futures = {request: self.submit(_record, request) for request in requests}
        return {request: future.result() for request, future in futures.items()}

    def run(
        self,
        scenarios: Iterable[Scenario],
        done: Callable[[ScenarioResult], Iterable[Scenario]] = lambda _: (),
        *,
        proceed: Callable[[], bool] = lambda: True,
    ) -> list[ScenarioResult]:
        """Run the scenarios, and next those that `done` returns, until `proceed` returns False."""
        waiting, running = deque(scenarios), set[Future[ScenarioResult]]()
        results = []
        while running or (waiting and proceed()):
            while waiting and len(running) < self._jobs and proceed():
                running.add(self.submit(_run, waiting.popleft()))
            completed, running = wait(running, return_when=FIRST_COMPLETED)
            for future in completed:
                results.append(future.result())
                waiting.extendleft(done(results[-1]))
        return results

    def run_one(self, scenario: Scenario | History) -> ScenarioResult:
        """Run one scenario or history and return its log."""
        return self.submit(_run, scenario, keep_log=True).result()
