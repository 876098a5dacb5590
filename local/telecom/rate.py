"""Request rates of an account: one token bucket per operation."""

from local.telecom.behaviours import behaves


class Rates:
    """Token buckets by key. The caller supplies the time."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, ...], tuple[float, float]] = {}

    @behaves("any.rate")
    def take_turn(self, bucket: tuple[str, ...], now: float, per_second: float, burst: float) -> bool:
        """Take one token from the bucket; return False if it is empty."""
        level, since = self._buckets.get(bucket, (burst, now))
        level = min(burst, level + (now - since) * per_second)
        allowed = level >= 1
        self._buckets[bucket] = (level - 1 if allowed else level, now)
        return allowed
