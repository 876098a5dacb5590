"""The one clock of the provider: whoever moves it, moves every wait and every age."""

import time
from datetime import UTC, datetime


def now() -> float:
    """Seconds since the epoch, UTC."""
    return time.time()


def sleep(seconds: float) -> None:
    """Wait; a negative time is no time."""
    time.sleep(max(0.0, seconds))


def iso(epoch_seconds: float) -> str:
    """A point in time as people and other tools read it, to the second: 2026-11-21T08:00:00Z."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
