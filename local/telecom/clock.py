"""Clock of the telecom services. A test can move it."""

import time
from datetime import UTC, datetime


class Clock:
    """Seconds since the epoch, plus what `advance` added."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._offset += seconds


def timestamp(seconds: float) -> datetime:
    """Return an aware datetime, the type of a timestamp in botocore's model."""
    return datetime.fromtimestamp(seconds, UTC)
