"""One clock for all processes of a run: the machine's, and by how much it was moved."""

from __future__ import annotations

import mmap
import time
from pathlib import Path
from typing import Self

_SIZE = 8
"""Bytes of a double."""


class Timeline:
    """Seconds by which the run is ahead of the machine's clock, in a file that its processes share."""

    def __init__(self, path: str) -> None:
        self.path = path
        with Path(path).open("r+b") as file:
            self._seconds = memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("d")

    @classmethod
    def begin(cls, path: str) -> Self:
        """A new one, at the machine's time, in the file at `path`."""
        Path(path).write_bytes(bytes(_SIZE))
        return cls(path)

    @property
    def offset(self) -> float:
        """Seconds ahead of the machine's clock."""
        return self._seconds[0]

    @property
    def now(self) -> float:
        """Seconds since the epoch, to a process whose own clock was not moved."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Let time pass at once. Nobody else may be doing so at the same moment."""
        self._seconds[0] += seconds

    def reset(self) -> None:
        """Go back to the machine's time."""
        self._seconds[0] = 0
