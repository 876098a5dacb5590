"""Sends one event to the provider and waits for its response."""

import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from tests.contract.cloudformation.events import RequestType, event
from tests.contract.cloudformation.invoker import AsyncInvoker
from tests.contract.cloudformation.template import ValidationError
from tests.contract.cloudformation.verdict import Verdict, judge, no_answer
from tests.contract.responses import ResponseSink

DEFAULT_SERVICE_TIMEOUT = 3600
_LONGEST_WAIT = 30.0
"""Real seconds after which a request counts as hanging, if its ServiceTimeout is longer."""


class Operation:
    """The requests of one stack operation that are in progress."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[SimpleQueue[bytes | None]] = set()
        self.cancelled = False

    def opened(self, inbox: SimpleQueue[bytes | None]) -> None:
        with self._lock:
            self._waiting.add(inbox)
            if self.cancelled:
                inbox.put(None)

    def closed(self, inbox: SimpleQueue[bytes | None]) -> None:
        with self._lock:
            self._waiting.discard(inbox)

    def cancel(self) -> None:
        with self._lock:
            self.cancelled = True
            for inbox in self._waiting:
                inbox.put(None)


class Requests:
    """Sends a stack's events and validates the responses. `sent` holds the events in order."""

    def __init__(self, invoker: AsyncInvoker, sink: ResponseSink, stack_id: str, time_scale: float) -> None:
        self._invoker = invoker
        self._sink = sink
        self._stack_id = stack_id
        self._time_scale = time_scale
        self.sent: list[dict[str, Any]] = []

    def ask(
        self,
        request_type: RequestType,
        logical_id: str,
        resource_type: str,
        properties: dict[str, Any],
        *,
        operation: Operation | None = None,
        **fields: Any,
    ) -> Verdict:
        """Send one event and wait for the first response, the operation's cancellation, or ServiceTimeout.

        ServiceTimeout starts with the request, not with the function (AWS::CloudFormation::CustomResource,
        ServiceTimeout: 1 to 3600 seconds, default 3600). A later response is ignored.
        """
        service_timeout = int(properties.get("ServiceTimeout", DEFAULT_SERVICE_TIMEOUT))
        if not 1 <= service_timeout <= DEFAULT_SERVICE_TIMEOUT:
            raise ValidationError(f"ServiceTimeout {service_timeout} is not within 1 and {DEFAULT_SERVICE_TIMEOUT}")
        request_id = str(uuid4())
        inbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._sink.subscribe(request_id, inbox.put)
        request = event(
            request_type,
            response_url=self._sink.url_for(self._stack_id, logical_id, request_id),
            stack_id=self._stack_id,
            request_id=request_id,
            logical_id=logical_id,
            resource_type=resource_type,
            service_token=properties["ServiceToken"],
            properties=properties,
            **fields,
        )
        self.sent.append(request)
        operation = operation or Operation()
        operation.opened(inbox)
        self._invoker.invoke(request)
        try:
            raw = self._wait(inbox, service_timeout * self._time_scale, f"{request_type} of {logical_id}, {request_id}")
        except Empty:
            return no_answer(request_id)
        finally:
            operation.closed(inbox)
        if raw is None:
            action = "creation" if request_type == "Create" else "update"
            return Verdict(succeeded=False, reason=f"Resource {action} cancelled")
        return judge(raw, request)

    def _wait(self, inbox: SimpleQueue[bytes | None], seconds: float, request: str) -> bytes | None:
        """Raise Empty after `seconds`, TimeoutError if the request hangs, AssertionError for a defect."""
        ends = time.monotonic() + min(seconds, _LONGEST_WAIT)
        while (left := ends - time.monotonic()) > 0:
            self._invoker.raise_defect()
            with suppress(Empty):
                return inbox.get(timeout=min(left, 0.1))
        if seconds <= _LONGEST_WAIT:
            raise Empty
        raise TimeoutError(f"No response to {request} after {_LONGEST_WAIT:g} s. {self._invoker.running()}")
