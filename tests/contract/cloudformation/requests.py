"""One event out, one answer in: the part of CloudFormation that talks to the provider."""

import threading
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from tests.contract.answers import AnswerSink
from tests.contract.cloudformation.events import RequestType, event
from tests.contract.cloudformation.invoker import AsyncInvoker
from tests.contract.cloudformation.template import ValidationError
from tests.contract.cloudformation.verdict import Verdict, judge, no_answer

DEFAULT_SERVICE_TIMEOUT = 3600


class Operation:
    """What is under way in one stack operation. With `cancels`, the first failure cancels everything that is."""

    def __init__(self, *, cancels: bool = False) -> None:
        self._cancels = cancels
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

    def failed(self) -> None:
        if not self._cancels:
            return
        with self._lock:
            self.cancelled = True
            for inbox in self._waiting:
                inbox.put(None)


class Requests:
    """Sends a stack's events and judges the answers; `sent` holds the events in order."""

    def __init__(self, invoker: AsyncInvoker, sink: AnswerSink, stack_id: str, time_scale: float) -> None:
        self._invoker = invoker
        self._sink = sink
        self._stack_id = stack_id
        self._time_scale = time_scale
        self._lock = threading.Lock()
        self._sent: list[dict[str, Any]] = []

    @property
    def sent(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._sent)

    def ask(
        self,
        request_type: RequestType,
        logical_id: str,
        resource_type: str,
        properties: dict[str, Any],
        *,
        operation: Operation | None = None,
        physical_id: str | None = None,
        old_properties: dict[str, Any] | None = None,
    ) -> Verdict:
        """Send one event and wait for the first answer, for the operation to be cancelled, or for ServiceTimeout.

        The time runs from the request, not from the function's start (AWS::CloudFormation::CustomResource,
        ServiceTimeout: 1 to 3600 seconds, 3600 unless given). An answer that comes later finds nobody.
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
            physical_id=physical_id,
            old_properties=old_properties,
        )
        with self._lock:
            self._sent.append(request)
        operation = operation or Operation()
        operation.opened(inbox)
        self._invoker.invoke(request)
        try:
            raw = inbox.get(timeout=service_timeout * self._time_scale)
        except Empty:
            return no_answer(request_id)
        finally:
            operation.closed(inbox)
        if raw is None:
            word = "creation" if request_type == "Create" else "update"
            return Verdict(succeeded=False, reason=f"Resource {word} cancelled")
        return judge(raw, request)
