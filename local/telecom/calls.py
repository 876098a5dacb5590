"""What was called: counts and a log."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Call:
    """One call as it arrived. `error` is the code that was sent, `fault` what was made to happen to it."""

    service: str  # boto3's client name
    operation: str
    at: float
    token: str | None = None
    ok: bool | None = None  # None: nothing was answered
    error: str | None = None
    fault: str | None = None


class CallLog:
    """Every call since the last reset, lost and refused ones included."""

    def __init__(self) -> None:
        self._calls: list[Call] = []

    def add(self, call: Call) -> None:
        """Note a call before anything is done about it."""
        self._calls.append(call)

    def counts(self) -> dict[str, int]:
        """Return how often each `service.Operation` was called."""
        return dict(Counter(f"{call.service}.{call.operation}" for call in list(self._calls)))

    def entries(self) -> list[dict[str, Any]]:
        """Return the calls in order, as JSON can carry them."""
        return [asdict(call) for call in list(self._calls)]

    def clear(self) -> None:
        """Forget all calls."""
        self._calls.clear()
