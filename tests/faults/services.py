"""The way to what stands around a provider: the telecom services, DynamoDB, S3 and CloudFormation's API.

They run in a process of their own (surroundings.py). The process that forks the provider holds no thread, no
connection and none of their modules: a fork costs as much as there is in memory.
"""

from __future__ import annotations

import importlib
import multiprocessing
import tempfile
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import attrs

from tests.faults.timeline import Timeline


@attrs.frozen
class Bought:
    """One purchase, as the service saw it."""

    kind: str
    physical_id: str
    request_id: str | None
    """From the ownership tags that came with it; None if there were none."""


@attrs.frozen
class Answered:
    """One PUT to a ResponseURL."""

    request_id: str
    body: bytes
    stored: bool


@attrs.frozen
class Seen:
    """What one look from outside finds, since the run began."""

    bought: list[Bought]
    held: list[Bought]
    answers: list[Answered]
    rows: list[dict[str, Any]]
    calls: list[tuple[str, str, str | None]]
    """(service, operation, error) in order."""


def _serve(pipe: Connection, timeline: str) -> None:
    importlib.import_module("tests.faults.surroundings").serve(pipe, timeline)


class Services:
    """The caller's side: `fresh`, `begin`, `look` and the others are calls of the process that serves."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="faults-")
        self.timeline = Timeline.begin(f"{self._directory.name}/timeline")
        processes = multiprocessing.get_context("spawn")
        self._pipe, theirs = processes.Pipe()
        self._process = processes.Process(target=_serve, args=(theirs, self.timeline.path), daemon=True)
        self._process.start()
        theirs.close()
        self.environment: dict[str, str] = self._pipe.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(2)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._directory.cleanup()

    def __getattr__(self, name: str) -> Any:
        def call(*positional: Any, **named: Any) -> Any:
            self._pipe.send((name, positional, named))
            result, error = self._pipe.recv()
            if error is not None:
                raise RuntimeError(error)
            return result

        return call
