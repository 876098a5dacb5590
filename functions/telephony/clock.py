"""The provider's only clock. Tests that control it control every wait and every age."""

import time


def now() -> float:
    """Return the seconds since the epoch, UTC."""
    return time.time()


def sleep(seconds: float) -> None:
    """Wait. A negative duration returns at once."""
    time.sleep(max(0.0, seconds))
