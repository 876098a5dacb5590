"""CloudFormation's side of a scenario, in the environment process: the API, and the responses that it waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from tests.contract.cloudformation.api import KnownStack, StacksApi
from tests.contract.cloudformation.verdict import judge


@attrs.define
class _Waiting:
    """A request whose response CloudFormation accepts until the deadline."""

    event: dict[str, Any]
    deadline: float


class Stacks:
    """What CloudFormation knows. `api` answers the provider with it."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.api = StacksApi(now)
        self.api.__enter__()
        self._now = now
        self.begin()

    def begin(self, lag: float = 0) -> None:
        """Begin a scenario: no stack exists. The API shows the state of `lag` seconds ago."""
        self._lag = lag
        self.api.reset()
        self.api.default = None
        self.accepted: dict[str, bytes] = {}
        """Responses that CloudFormation waited for, by ResponseURL."""
        self._waiting: dict[str, _Waiting] = {}
        self._guarded: dict[str, set[str]] = {}

    def move(self, stack_id: str, status: str) -> None:
        """Change the status of a stack, or create the stack."""
        if stack_id not in self.api.stacks:
            self.api.know(stack_id, status).lag = self._lag
        self.api.stacks[stack_id].move(status)

    def note(self, stack_id: str, logical_id: str, status: str, physical_id: str, reason: str = "") -> None:
        """Add an event of a resource."""
        self.api.stacks[stack_id].add(logical_id, status, physical_id, reason=reason)

    def store(self, stack_id: str, logical_id: str, physical_id: str | None, guarded: Iterable[str]) -> None:
        """Store a resource's physical ID, and the IDs that must not be released or changed without a request."""
        stack = self.api.stacks[stack_id]
        stack.resources.pop(logical_id, None)
        if physical_id is not None:
            stack.resources[logical_id] = (physical_id, "CREATE_COMPLETE")
        self._guarded[stack_id] = set(guarded)

    def wait_for(self, event: dict[str, Any], deadline: float) -> None:
        """Send a request, and wait for its response."""
        self._waiting[event["ResponseURL"]] = _Waiting(event, deadline)
        self._note(event, "IN_PROGRESS", event.get("PhysicalResourceId", ""))

    def stop_waiting(self, stack_id: str) -> list[str]:
        """Cancel the requests of a stack: their responses are ignored from now on. Returns their ResponseURLs."""
        canceled = [url for url, waiting in self._waiting.items() if waiting.event["StackId"] == stack_id]
        for url in canceled:
            event = self._waiting.pop(url).event
            self._note(event, "FAILED", event.get("PhysicalResourceId", ""), "cancelled")
        return canceled

    def receive(self, url: str, body: bytes) -> None:
        """Accept a response if CloudFormation still waits for it. From then on it knows the physical ID."""
        waiting = self._waiting.pop(url, None)
        if waiting is None or self._now() > waiting.deadline:
            return
        self.accepted[url] = body
        event = waiting.event
        verdict = judge(body, event)
        physical_id = verdict.physical_id or event.get("PhysicalResourceId", "")
        self._note(event, "COMPLETE" if verdict.succeeded else "FAILED", physical_id, verdict.reason)
        if verdict.succeeded and event["RequestType"] != "Delete":
            self._stack(event).resources[event["LogicalResourceId"]] = (physical_id, "CREATE_COMPLETE")
            self._guarded.setdefault(event["StackId"], set()).add(physical_id)

    def guards(self, stack_id: str | None, physical_id: str) -> bool:
        """Return whether the stack, or any stack if it is None, has or retains the number."""
        return any(physical_id in ids for each, ids in self._guarded.items() if stack_id in {each, None})

    def at_rest(self, stack_id: str | None) -> bool:
        """Return whether the stack, or every stack if it is None, is in no operation."""
        stacks = [stack for each, stack in self.api.stacks.items() if stack_id in {each, None}]
        return not any(stack.status.endswith("_IN_PROGRESS") for stack in stacks)

    def _stack(self, event: dict[str, Any]) -> KnownStack:
        return self.api.stacks[event["StackId"]]

    def _note(self, event: dict[str, Any], result: str, physical_id: str, reason: str = "") -> None:
        status = f"{event['RequestType'].upper()}_{result}"
        self._stack(event).add(event["LogicalResourceId"], status, physical_id, reason=reason)
