"""The one clock that the telecom services read, so that a test can move it."""

import time
from datetime import UTC, datetime


class Clock:
    """Seconds since the epoch; `advance` moves it forward without anybody waiting."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self._offset += seconds


def timestamp(seconds: float) -> datetime:
    """Return an aware datetime, which is what botocore's model calls a timestamp."""
    return datetime.fromtimestamp(seconds, UTC)
