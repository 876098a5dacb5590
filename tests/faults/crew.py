"""Worker processes, each with services of its own, that play runs one after another."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Self

from tests.faults.attempts import prepare
from tests.faults.continuations import Request
from tests.faults.histories import Histories, Step, Told
from tests.faults.play import Findings
from tests.faults.runs import Result, Run, Stage
from tests.faults.services import Services

type Recorded = tuple[tuple[str, Request], list[str]]


def _work(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Services() as services:
        prepare(services.environment)
        stage = Stage(services)
        stage.warm()
        tasks: dict[str, Callable[[Any], Any]] = {
            "record": partial(_record, stage),
            "play": partial(_play, stage),
            "step": Histories(stage).step,
        }
        while True:
            try:
                kind, what = pipe.recv()
            except EOFError:
                return
            pipe.send(tasks[kind](what))


def _record(stage: Stage, key: tuple[str, Request]) -> Any:
    try:
        return key, stage.recorded(*key)
    except Exception:  # noqa: BLE001 - told to whoever asked
        return key, traceback.format_exc()


def _play(stage: Stage, what: tuple[str, bool]) -> Result:
    run, tell = what
    try:
        return stage.play(Run.read(run), tell=tell)
    except Exception:  # noqa: BLE001 - one run's defect is not the others'
        return Result(run, Findings(), [], [], [], traceback.format_exc())


class Crew:
    """`jobs` workers; use as a context manager."""

    def __init__(self, jobs: int) -> None:
        processes = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._workers = []
        for _ in range(jobs):
            ours, theirs = processes.Pipe()
            worker = processes.Process(target=_work, args=(theirs,))
            worker.start()
            theirs.close()
            self._pipes.append(ours)
            self._workers.append(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for worker in self._workers:
            worker.join(5)
            if worker.is_alive():
                worker.kill()
                worker.join()

    def record(self, keys: Iterable[tuple[str, Request]]) -> dict[tuple[str, Request], list[str]]:
        """The calls of each request that nothing befalls. Raises AssertionError if one does not succeed."""
        found: dict[tuple[str, Request], list[str]] = {}

        def keep(answer: Recorded) -> list[Any]:
            key, calls = answer
            assert not isinstance(calls, str), f"{key}: {calls}"
            found[key] = calls
            return []

        wanted = list(keys)
        self._each([("record", key) for key in wanted], keep)
        return {key: found[key] for key in wanted}

    def play(
        self, runs: Iterable[Run], done: Callable[[Result], Iterable[Run]], *, more: Callable[[], bool] = lambda: True
    ) -> None:
        """Play all, and what `done` adds, next; stop early, between two runs, when `more` says so."""

        def finished(result: Result) -> list[Any]:
            return [("play", (str(run), False)) for run in done(result)]

        self._each([("play", (str(run), False)) for run in runs], finished, more)

    def results(self, runs: Iterable[Run]) -> list[Result]:
        """Play all; what came of each, in no order."""
        found: list[Result] = []

        def keep(result: Result) -> Iterable[Run]:
            found.append(result)
            return []

        self.play(runs, keep)
        return found

    def tell(self, run: Run) -> Result:
        """Play one, and tell everything."""
        results: list[Result] = []

        def keep(result: Result) -> list[Any]:
            results.append(result)
            return []

        self._each([("play", (str(run), True))], keep)
        return results[0]

    def step(self, step: Step) -> Told:
        """Take a step in the history that the first worker plays."""
        pipe = self._pipes[0]
        pipe.send(("step", step))
        told: Told = pipe.recv()
        return told

    def _each(
        self, tasks: Iterable[Any], done: Callable[[Any], list[Any]], more: Callable[[], bool] = lambda: True
    ) -> None:
        waiting = deque(tasks)
        idle, busy = list(self._pipes), list[Connection]()
        while busy or (waiting and more()):
            while idle and waiting and more():
                pipe = idle.pop()
                pipe.send(waiting.popleft())
                busy.append(pipe)
            ready: list[Any] = wait(busy)
            for pipe in ready:
                waiting.extendleft(done(pipe.recv()))
                busy.remove(pipe)
                idle.append(pipe)
