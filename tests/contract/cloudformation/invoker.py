"""Lambda's asynchronous invocation of a Python handler.

Sources: Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation": an error is tried
again twice, the request id staying the same; the same event can come more than once even without an error, and events
can be dropped; an event whose retries are spent goes to the on-failure destination.
"""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self
from uuid import uuid4

from tests.contract.cloudformation.destination import failure_record, sqs_event
from tests.contract.cloudformation.events import ACCOUNT, REGION

Event = dict[str, Any]
Delivery = Literal["twice", "together", "late", "drop"]
"""`twice`: delivered again when the first delivery has ended, however it ended. `together`: two deliveries at the same
moment. `late`: delivered `seconds` after the invocation was accepted. `drop`: never delivered, and no record of it."""


@dataclass(frozen=True)
class Context:
    """The context object of the Python runtime: what handlers and Powertools read of it."""

    function_name: str
    invoked_function_arn: str
    aws_request_id: str
    memory_limit_in_mb: str
    deadline: float
    function_version: str = "$LATEST"

    @property
    def log_group_name(self) -> str:
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        return f"2026/01/01/[$LATEST]{self.aws_request_id.replace('-', '')}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would end this attempt; nothing here ends it."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


@dataclass
class Invocation:
    """One attempt at one event. `outcome` is None while it runs; `error` is what the attempt raised."""

    event: Event
    request_id: str
    attempt: int
    started: float
    ended: float | None = None
    outcome: Literal["returned", "raised"] | None = None
    error: BaseException | None = None


@dataclass
class _Disturbance:
    delivery: Delivery
    when: Callable[[Event], bool]
    times: int
    seconds: float


class AsyncInvoker:
    """Runs `handler(event, context)` in a thread pool. Use as a context manager, or `close()` it.

    `delays`: seconds before each retry (AWS: 60, 120), as many as there are retries. `on_failure(sqs_event)`: the
    consumer of the on-failure queue. `timeout`: seconds that the context says an attempt has.
    """

    def __init__(
        self,
        handler: Callable[[Any, Any], Any],
        on_failure: Callable[[Event], Any] | None = None,
        delays: tuple[float, ...] = (0.05, 0.1),
        *,
        timeout: float = 600.0,
        memory: int = 256,
        function_name: str = "provider",
        workers: int = 64,
    ) -> None:
        self._handler = handler
        self._on_failure = on_failure
        self._delays = delays
        self._timeout = timeout
        self._memory = memory
        self._function_name = function_name
        self.function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function_name}"
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="lambda")
        self._idle = threading.Condition()
        self._under_way = 0
        self._closing = threading.Event()
        self._invocations: list[Invocation] = []
        self._destination: list[Event] = []
        self._destination_errors: list[BaseException] = []
        self._disturbances: list[_Disturbance] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Start nothing any more, and wait for the attempts that run."""
        self._closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def disturb(
        self,
        delivery: Delivery,
        when: Callable[[Event], bool] = lambda _: True,
        *,
        times: int = 1,
        seconds: float = 0.2,
    ) -> None:
        """Let the next `times` events for which `when(event)` holds be delivered otherwise than once and at once."""
        with self._idle:
            self._disturbances.append(_Disturbance(delivery, when, times, seconds))

    def invoke(self, event: Event) -> str:
        """Accept the event and return its request id at once: Lambda answers 202, whatever becomes of the event."""
        request_id = str(uuid4())
        payload = json.dumps(event)
        disturbance = self._next_disturbance(event)
        delivery = disturbance.delivery if disturbance else None

        def deliver() -> None:
            self._deliver(payload, request_id)

        if delivery == "twice":
            self._submit(deliver, deliver)
        elif delivery == "together":
            meet = threading.Barrier(2).wait  # so that neither delivery is through before the other begins
            self._submit(meet, deliver)
            self._submit(meet, deliver)
        elif delivery == "late" and disturbance:
            self._submit(partial(self._closing.wait, disturbance.seconds), deliver)
        elif delivery is None:
            self._submit(deliver)
        return request_id

    def settle(self, timeout: float = 10.0) -> None:
        """Wait until nothing runs, is to be retried, or is to be delivered late. Raises TimeoutError."""
        with self._idle:
            if not self._idle.wait_for(lambda: self._under_way == 0, timeout):
                raise TimeoutError(f"{self._under_way} events are still under way after {timeout} s")

    @property
    def invocations(self) -> list[Invocation]:
        """Every attempt so far, in the order in which they began."""
        with self._idle:
            return list(self._invocations)

    @property
    def destination(self) -> list[Event]:
        """The SQS events that went to the on-failure consumer, whether there is one or not."""
        with self._idle:
            return list(self._destination)

    @property
    def destination_errors(self) -> list[BaseException]:
        """What the on-failure consumer raised; SQS would deliver again, here it stays at one delivery."""
        with self._idle:
            return list(self._destination_errors)

    def _next_disturbance(self, event: Event) -> _Disturbance | None:
        with self._idle:
            for disturbance in self._disturbances:
                if disturbance.times > 0 and disturbance.when(event):
                    disturbance.times -= 1
                    return disturbance
        return None

    def _submit(self, *steps: Callable[[], Any]) -> None:
        """Run the steps one after another in one thread, unless the invoker is closed meanwhile."""

        def run() -> None:
            try:
                for step in steps:
                    if not self._closing.is_set():
                        step()
            finally:
                self._finished()

        with self._idle:
            self._under_way += 1
        self._pool.submit(run).add_done_callback(lambda future: self._finished() if future.cancelled() else None)

    def _finished(self) -> None:
        with self._idle:
            self._under_way -= 1
            self._idle.notify_all()

    def _deliver(self, payload: str, request_id: str) -> None:
        error = self._attempt(payload, request_id, 1)
        for attempt, delay in enumerate(self._delays, start=2):
            if error is None or self._closing.wait(delay):
                return
            error = self._attempt(payload, request_id, attempt)
        if error is not None:
            self._give_up(payload, request_id, error)

    def _attempt(self, payload: str, request_id: str, attempt: int) -> BaseException | None:
        context = Context(
            self._function_name,
            self.function_arn,
            request_id,
            str(self._memory),
            time.monotonic() + self._timeout,
        )
        invocation = Invocation(json.loads(payload), request_id, attempt, time.time())
        with self._idle:
            self._invocations.append(invocation)
        try:
            # The runtime marshals the result, and fails where it cannot.
            json.dumps(self._handler(json.loads(payload), context))
        except BaseException as error:  # noqa: BLE001 - whatever ends the handler, sys.exit too, is an error to Lambda
            invocation.error = error
        invocation.ended = time.time()
        invocation.outcome = "raised" if invocation.error else "returned"
        return invocation.error

    def _give_up(self, payload: str, request_id: str, error: BaseException) -> None:
        attempts = len(self._delays) + 1
        record = failure_record(
            json.loads(payload), error, request_id=request_id, function_arn=self.function_arn, attempts=attempts
        )
        message = sqs_event(record)
        with self._idle:
            self._destination.append(message)
        if self._on_failure is None:
            return
        try:
            self._on_failure(message)
        except BaseException as failure:  # noqa: BLE001 - kept for the test to see
            with self._idle:
                self._destination_errors.append(failure)
