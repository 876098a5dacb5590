"""The clock that all processes of a scenario share: machine time plus an offset in a memory-mapped file."""

from __future__ import annotations

import mmap
import time
from pathlib import Path

SIZE = 8
"""Bytes of the file, which holds a double."""


class VirtualClock:
    """Opens the clock in the file at `path`."""

    def __init__(self, path: str) -> None:
        self.path = path
        with Path(path).open("r+b") as file:
            self._seconds = memoryview(mmap.mmap(file.fileno(), SIZE)).cast("d")

    @property
    def offset(self) -> float:
        """Seconds ahead of machine time."""
        return self._seconds[0]

    @property
    def now(self) -> float:
        """Seconds since the epoch. Not for processes that patch `time.time`."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Move the clock. Not atomic: only one process may do this at a time."""
        self._seconds[0] += seconds

    def reset(self) -> None:
        self._seconds[0] = 0
