"""Discrete-event simulation of time for threads that sleep.

One thread runs at a time. When it sleeps, the clock jumps to the next thread's wake-up time, so simulated hours take
only as long as the work in them. Unmodified code uses the virtual clock: this provider, Powertools, botocore and moto.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

import time_machine

type Suspended = threading.Semaphore
"""A task that waits until another one resumes it."""


class VirtualTime:
    """Runs tasks, starting at a time in seconds since the epoch."""

    def __init__(self, start: float) -> None:
        self.now = start
        self._sequence = itertools.count()
        self._waiting: list[tuple[float, int, threading.Semaphore]] = []
        self._unfinished = 0
        self._finished = threading.Semaphore(0)
        self._errors: list[BaseException] = []

    def sleep(self, seconds: float) -> None:
        """Suspend the calling task and run others meanwhile."""
        wake_up = self._schedule(self.now + max(0.0, seconds))
        self._run_next()
        wake_up.acquire()

    def suspend(self, queue: deque[Suspended]) -> None:
        """Suspend the calling task at the end of a queue, until `resume` is called for it."""
        suspended = threading.Semaphore(0)
        queue.append(suspended)
        self._run_next()
        suspended.acquire()

    def resume(self, queue: deque[Suspended]) -> None:
        """Resume the first task of a queue, if any, as soon as the calling one sleeps."""
        if queue:
            heapq.heappush(self._waiting, (self.now, next(self._sequence), queue.popleft()))

    def start(self, task: Callable[[], object], delay: float = 0.0) -> None:
        """Start a task after a delay in seconds."""
        self._unfinished += 1
        threading.Thread(target=self._work, args=(self._schedule(self.now + delay), task), daemon=True).start()

    def run(self, tasks: Iterable[tuple[float, Callable[[], object]]]) -> None:
        """Run each task after a delay in seconds, until all have finished. Raises the first error of a task.

        A task can start others.
        """
        for delay, task in tasks:
            self.start(task, delay)
        real_sleep = time.sleep
        with time_machine.travel(self.now, tick=False) as self._traveller:
            time.sleep = self.sleep  # type: ignore[assignment]
            try:
                self._run_next()
                self._finished.acquire()
            finally:
                time.sleep = real_sleep
        if self._errors:
            raise self._errors[0]

    def _work(self, wake_up: threading.Semaphore, task: Callable[[], object]) -> None:
        wake_up.acquire()
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - run() raises it again
            self._errors.append(error)
        self._unfinished -= 1
        self._run_next()

    def _schedule(self, at: float) -> threading.Semaphore:
        wake_up = threading.Semaphore(0)
        heapq.heappush(self._waiting, (at, next(self._sequence), wake_up))
        return wake_up

    def _run_next(self) -> None:
        if not self._waiting and self._unfinished:
            self._errors.append(RuntimeError(f"{self._unfinished} tasks wait for each other"))
        if not self._waiting or self._errors:
            self._finished.release()
            return
        self.now, _, wake_up = heapq.heappop(self._waiting)
        self._traveller.move_to(self.now)
        wake_up.release()
