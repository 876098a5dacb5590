"""Watches a request that waits in the queue."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from local.aws import LocalAws
from local.demo.stacks import Stacks

_COUNTS = tuple(f"ApproximateNumberOfMessages{kind}" for kind in ("", "Delayed", "NotVisible"))


class QueueWatch:
    """Measures how long the queue contains a message, from entry to exit."""

    def __init__(self, aws: LocalAws, queue_url: str) -> None:
        self.seconds = 0.0
        self._sqs = aws.client("sqs")
        self._queue_url = queue_url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._stop.wait(0.2):
            found = self._sqs.get_queue_attributes(QueueUrl=self._queue_url, AttributeNames=_COUNTS)["Attributes"]
            now = time.monotonic()
            self.seconds += now - before if any(map(int, found.values())) else 0
            before = now


@dataclass(frozen=True)
class LogLine:
    """A line that a function logged about a request."""

    at: datetime
    function: str
    message: str
    details: str

    def row(self, start: datetime) -> tuple[str, ...]:
        """Return the line for a table, with its time since the start of the request."""
        return (f"{(self.at - start).total_seconds():5.1f} s", self.function, self.message, self.details)


def request_log(aws: LocalAws, stacks: Stacks, provider: str, name: str) -> list[LogLine]:
    """Return what provider and continuation logged about the requests of a stack, in order."""
    groups = {"provider": "ProviderLogGroup", "continuation": "ContinuationLogGroup"}
    outputs, logs = stacks.outputs(provider), aws.client("logs").get_paginator("filter_log_events")
    lines = [
        _line(function, json.loads(event["message"]))
        for function, output in groups.items()
        for page in logs.paginate(logGroupName=outputs[output])
        for event in page["events"]
        if event["message"].startswith("{") and f":stack/{name}/" in event["message"]
    ]
    return sorted(lines, key=lambda line: line.at)


def _line(function: str, logged: dict[str, Any]) -> LogLine:
    details = {name: logged[name] for name in ("cause", "seconds", "status") if name in logged}
    at = datetime.fromisoformat(logged["timestamp"])
    return LogLine(at, function, logged["message"], ", ".join(f"{name}: {value}" for name, value in details.items()))
