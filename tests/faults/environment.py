"""The virtual clock, and the client of the environment process: telecom services, DynamoDB, SQS, S3, CloudFormation.

The environment has its own process (environment_server.py). The worker that forks the provider therefore has no threads
and none of the services' modules: a fork takes longer the more memory the process uses.
"""

from __future__ import annotations

import importlib
import math
import mmap
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

import attrs

QUOTAS = {"phone_numbers": 1_000_000, "sender_ids": 1_000_000, "connect_numbers": 1_000_000}
_DOUBLE = 8
"""Bytes."""


class VirtualClock:
    """A clock that moves only by `advance`, which all processes of a scenario share in a memory-mapped file.

    What is due does not depend on the speed of the machine.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with Path(path).open("r+b") as file:
            self._seconds = memoryview(mmap.mmap(file.fileno(), 2 * _DOUBLE)).cast("d")

    @property
    def offset(self) -> float:
        """Seconds since the last reset."""
        return self._seconds[1]

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._seconds[0] + self._seconds[1]

    def advance(self, seconds: float) -> None:
        """Move the clock. Not atomic: only one process may do this at a time."""
        self._seconds[1] += seconds

    def align(self) -> None:
        """Move to the next full second, so that a scenario does not depend on what ran before it."""
        self._seconds[1] = math.ceil(self._seconds[1])

    def reset(self) -> None:
        """Set the clock to machine time in full seconds. Not for processes that patch `time.time`."""
        self._seconds[0], self._seconds[1] = int(time.time()), 0


@attrs.frozen
class Purchase:
    """A purchase as the service recorded it."""

    physical_id: str
    stack_id: str | None = None
    """From the ownership tags, as the next two; None without tags."""
    request_id: str | None = None
    issued_at: str | None = None
    by_hand: bool = False
    """Requested or adopted by an operator."""


@attrs.frozen
class Response:
    """A PUT to a ResponseURL; `stored` if S3 accepted it."""

    url: str
    body: bytes
    stored: bool


@attrs.frozen
class Snapshot:
    """The state of the environment since the start of the scenario."""

    purchases: list[Purchase]
    held: list[Purchase]
    """Purchases that are not released, with the stack that their tags name now."""
    tagged: set[str]
    """Physical IDs of the numbers with the tag of their due date."""
    responses: list[Response]
    items: list[dict[str, Any]]
    """Items of the state table."""
    calls: list[tuple[str, str, str | None]]
    """(service, operation, error code) in order."""
    violations: list[tuple[str, str]]
    """Finding and description of each change or release that must not happen, recorded when it happened."""


def _server(clock: str) -> Any:
    return importlib.import_module("tests.faults.environment_server").EnvironmentServer(VirtualClock(clock))


class _Manager(BaseManager):
    """Starts the environment process, and ends it with the process that started it."""


_Manager.register("server", _server)


class Environment:
    """The environment process and its clock. `server` forwards calls to environment_server.EnvironmentServer."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="faults-")
        path = Path(self._directory.name) / "clock"
        path.write_bytes(bytes(2 * _DOUBLE))
        self.clock = VirtualClock(str(path))
        self.clock.reset()
        self._manager = _Manager(ctx=get_context("spawn"))
        self._manager.start()
        self.server: Any = self._manager.server(str(path))  # type: ignore[attr-defined]
