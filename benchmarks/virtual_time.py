"""Discrete-event simulation of time for threads that sleep.

One thread runs at a time. When it sleeps, the clock jumps to the next thread's wake-up time, so simulated hours take
only as long as the work in them. Unmodified code uses the virtual clock: this provider, Powertools, botocore and moto.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterable

import time_machine


class VirtualTime:
    """Runs tasks, starting at a time in seconds since the epoch."""

    def __init__(self, start: float) -> None:
        self.now = start
        self._sequence = itertools.count()
        self._waiting: list[tuple[float, int, threading.Semaphore]] = []
        self._finished = threading.Semaphore(0)
        self._errors: list[BaseException] = []

    def sleep(self, seconds: float) -> None:
        """Suspend the calling task and run others meanwhile."""
        wake_up = self._schedule(self.now + max(0.0, seconds))
        self._run_next()
        wake_up.acquire()

    def run(self, tasks: Iterable[tuple[float, Callable[[], None]]]) -> None:
        """Run each task after a delay in seconds, until all have finished. Raises the first error of a task."""
        start = self.now
        for delay, task in tasks:
            threading.Thread(target=self._work, args=(self._schedule(start + delay), task), daemon=True).start()
        real_sleep = time.sleep
        with time_machine.travel(start, tick=False) as self._traveller:
            time.sleep = self.sleep  # type: ignore[assignment]
            try:
                self._run_next()
                self._finished.acquire()
            finally:
                time.sleep = real_sleep
        if self._errors:
            raise self._errors[0]

    def _work(self, wake_up: threading.Semaphore, task: Callable[[], None]) -> None:
        wake_up.acquire()
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - run() raises it again
            self._errors.append(error)
        self._run_next()

    def _schedule(self, at: float) -> threading.Semaphore:
        wake_up = threading.Semaphore(0)
        heapq.heappush(self._waiting, (at, next(self._sequence), wake_up))
        return wake_up

    def _run_next(self) -> None:
        if not self._waiting or self._errors:
            self._finished.release()
            return
        self.now, _, wake_up = heapq.heappop(self._waiting)
        self._traveller.move_to(self.now)
        wake_up.release()
