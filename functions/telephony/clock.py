"""The one clock of the provider: whoever moves it, moves every wait and every age."""

import time


def now() -> float:
    """Seconds since the epoch, UTC."""
    return time.time()


def sleep(seconds: float) -> None:
    """Wait; a negative time is no time."""
    time.sleep(max(0.0, seconds))
