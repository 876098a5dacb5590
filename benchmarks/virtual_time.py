"""Discrete-event time: threads that take turns, each of them asleep until the clock has come to its moment.

One runs at a time. When it sleeps, the clock jumps to whoever wakes first, so that hours take as long as their work.
All that reads the time or sleeps is moved with it, unmodified: this provider, Powertools, botocore's retries, moto.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterable

import time_machine


class VirtualTime:
    """Runs tasks from a beginning (seconds since the epoch) on; `sleep` is what a task waits with."""

    def __init__(self, beginning: float) -> None:
        self.now = beginning
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, threading.Semaphore]] = []
        self._over = threading.Semaphore(0)
        self._failed: list[BaseException] = []

    def sleep(self, seconds: float) -> None:
        """Let the others run until it is so much later."""
        mine = threading.Semaphore(0)
        self._enqueue(self.now + max(0.0, seconds), mine)
        self._next()
        mine.acquire()

    def run(self, tasks: Iterable[tuple[float, Callable[[], None]]]) -> None:
        """Run each task to its end, from its moment on, in seconds from now. Raise what the first one raised."""
        beginning = self.now
        for after, task in tasks:
            mine = threading.Semaphore(0)
            self._enqueue(beginning + after, mine)
            threading.Thread(target=self._work, args=(mine, task), daemon=True).start()
        asleep = time.sleep
        with time_machine.travel(beginning, tick=False) as traveller:
            self._traveller = traveller
            time.sleep = self.sleep  # type: ignore[assignment]
            try:
                self._next()
                self._over.acquire()
            finally:
                time.sleep = asleep
        if self._failed:
            raise self._failed[0]

    def _work(self, mine: threading.Semaphore, task: Callable[[], None]) -> None:
        mine.acquire()
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - raised again where run() was called
            self._failed.append(error)
        self._next()

    def _enqueue(self, at: float, sleeper: threading.Semaphore) -> None:
        heapq.heappush(self._waiting, (at, next(self._order), sleeper))

    def _next(self) -> None:
        if not self._waiting or self._failed:
            self._over.release()
            return
        self.now, _, sleeper = heapq.heappop(self._waiting)
        self._traveller.move_to(self.now)
        sleeper.release()
