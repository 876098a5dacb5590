"""Simulates Lambda's asynchronous invocation of a Python handler.

Source: Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation". Lambda retries an
event twice after an error, with the same request ID, and then sends it to the on-failure destination. Lambda can
deliver an event more than once even without an error.

The messages of the queue are delivered when no invocation runs. The clock moves to the time of the next one, so that
waiting takes no time.
"""

import json
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self
from uuid import uuid4

from tests.contract.cloudformation.destination import failure_record
from tests.contract.cloudformation.events import ACCOUNT, REGION
from tests.contract.cloudformation.queue import QueueApi, QueuedMessage

Event = dict[str, Any]
Delivery = Literal["twice", "together"]
"""`twice`: redelivered after the first delivery ends. `together`: delivered twice at the same time."""

_CLOSE_SECONDS = 10.0


class Context:
    """The context object of an invocation with a timeout of `seconds`. The simulator doesn't end the invocation."""

    function_name = "provider"

    def __init__(self, seconds: float = 20, request_id: str = "00000000-0000-4000-8000-000000000000") -> None:
        self.aws_request_id = request_id
        self._deadline = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.monotonic()) * 1000))


@dataclass
class Invocation:
    """One attempt to process one event. `outcome` is None while the attempt runs."""

    event: Event
    request_id: str
    attempt: int
    started: float
    ended: float | None = None
    outcome: Literal["returned", "raised"] | None = None
    error: BaseException | None = None
    thread_id: int = 0

    def stack(self) -> str:
        """The request of this attempt, which is still running, and the line at which it is."""
        event = self.event if isinstance(self.event, dict) else {}
        request = f"{event.get('RequestType')} of {event.get('LogicalResourceId')}, {event.get('RequestId')}"
        frame = sys._current_frames().get(self.thread_id)
        return f"{request}, attempt {self.attempt}, is still running:\n{''.join(traceback.format_stack(frame))}"


class AsyncInvoker:
    """Runs `handler(event, context)` in threads. Use as a context manager.

    `delays`: seconds before each retry (AWS: 60, 120). `queue`: the on-failure destination. `consumer(sqs_event,
    context)`: the function that receives its messages; None leaves them. `advance(seconds)`: moves the clock.
    `timeout`: seconds that the context reports for each attempt. `expected_errors`: what the functions may raise. Any
    other exception is a defect and fails the test at once. A test that injects a defect sets `expected_errors`.
    """

    def __init__(
        self,
        handler: Callable[[Any, Any], Any],
        queue: QueueApi | None = None,
        consumer: Callable[[Any, Any], Any] | None = None,
        delays: tuple[float, ...] = (0.05, 0.1),
        *,
        timeout: float = 60.0,
        expected_errors: type[BaseException] = BaseException,
        advance: Callable[[float], None] = time.sleep,
    ) -> None:
        self._handler = handler
        self._queue = queue
        self._consumer = consumer
        self.advance = advance
        self._delays = delays
        self._timeout = timeout
        self.expected_errors = expected_errors
        self.function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:provider"
        self._idle = threading.Condition()
        self._pending = 0
        self._closing = threading.Event()
        self.invocations: list[Invocation] = []
        """Every attempt so far, in starting order."""
        self.destination: list[Event] = []
        """The records that were sent to the on-failure destination."""
        self.steps: list[Invocation] = []
        """Every invocation of the consumer so far, in starting order."""
        self._duplicates: list[Delivery] = []
        self._defect: BaseException | None = None
        self._defect_raised = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._closing.set()
        try:
            self.settle(_CLOSE_SECONDS)
        except (AssertionError, TimeoutError):
            if error is None:
                raise

    def disturb(self, delivery: Delivery) -> None:
        """Deliver the next event as `delivery` says."""
        self._duplicates.append(delivery)

    def invoke(self, event: Event) -> str:
        """Accept the event and return its request ID at once, as Lambda does with status 202."""
        request_id = str(uuid4())
        deliver = partial(self._deliver, json.dumps(event), request_id)
        with self._idle:
            delivery = self._duplicates.pop(0) if self._duplicates else None
        if delivery == "together":
            meet = partial(threading.Barrier(2).wait, _CLOSE_SECONDS)
            self._start(meet, deliver)
            self._start(meet, deliver)
        else:
            self._start(*[deliver] * (2 if delivery == "twice" else 1))
        return request_id

    def resume(self) -> None:
        """Deliver the messages that an invoker without a consumer left in the queue."""
        self._start()

    def settle(self, timeout: float = 20.0) -> None:
        """Wait until no attempt is running or scheduled.

        Raises TimeoutError with the stacks of the attempts that are still running, or AssertionError as soon as a
        defect is known.
        """
        with self._idle:
            settled = self._idle.wait_for(lambda: self._pending == 0 or self._has_new_defect(), timeout)
        self.raise_defect()
        if not settled:
            raise TimeoutError(f"Not settled after {timeout:g} s. {self.running()}")

    def raise_defect(self) -> None:
        """Raise AssertionError if the function has raised an exception that isn't in `expected_errors`; only once."""
        with self._idle:
            if not self._has_new_defect():
                return
            self._defect_raised = True
            trace = "".join(traceback.format_exception(self._defect))
        raise AssertionError(f"The function raised an unexpected exception:\n{trace}")

    def _has_new_defect(self) -> bool:
        return self._defect is not None and not self._defect_raised

    def running(self) -> str:
        """The running attempts and their stacks, for error messages."""
        stacks = [attempt.stack() for attempt in [*self.invocations, *self.steps] if attempt.outcome is None]
        return "\n".join(stacks) or f"No attempt is running; {self._pending} deliveries wait for a retry or a delay."

    def _start(self, *steps: Callable[[], Any]) -> None:
        """Run the steps in a new thread. It starts none of them once the invoker is closing."""
        with self._idle:
            self._pending += 1
        self._run_thread(*steps)

    def _run_thread(self, *steps: Callable[[], Any]) -> None:

        def run() -> None:
            try:
                for step in steps:
                    if not self._closing.is_set():
                        step()
            finally:
                with self._idle:
                    messages = self._next_messages() if self._pending == 1 else []
                    self._pending += len(messages) - 1
                    self._idle.notify_all()
                for message in messages:
                    self._run_thread(partial(self._consume, message))

        # A daemon: an attempt that never ends must not keep the test process alive.
        threading.Thread(target=run, name="lambda", daemon=True).start()

    def _next_messages(self) -> list[QueuedMessage]:
        """Receive the messages that are visible next."""
        if self._queue is None or self._consumer is None or self._closing.is_set():
            return []
        next_at = self._queue.next_at()
        if next_at is None:
            return []
        if next_at > time.time():
            self.advance(next_at - time.time() + 0.001)
        return list(iter(self._queue.receive, None))

    def _consume(self, message: QueuedMessage) -> None:
        assert self._queue is not None
        assert self._consumer is not None
        event = message.event()
        step = Invocation(event, message.message_id, message.receives, time.time(), thread_id=threading.get_ident())
        self.steps.append(step)
        try:
            answer = self._consumer(event, Context(self._timeout, str(uuid4())))
            if {"itemIdentifier": message.message_id} not in answer["batchItemFailures"]:
                self._queue.delete(message)
        except BaseException as error:  # noqa: BLE001 - the message stays in the queue
            step.error = error
            self._check(error)
        step.ended, step.outcome = time.time(), "raised" if step.error else "returned"

    def _deliver(self, payload: str, request_id: str) -> None:
        error = self._attempt(payload, request_id, 1)
        for attempt, delay in enumerate(self._delays, start=2):
            if error is None or self._closing.wait(delay):
                return
            error = self._attempt(payload, request_id, attempt)
        if error is not None:
            self._send_to_destination(payload, request_id, error)

    def _attempt(self, payload: str, request_id: str, attempt: int) -> BaseException | None:
        context = Context(self._timeout, request_id)
        invocation = Invocation(json.loads(payload), request_id, attempt, time.time(), thread_id=threading.get_ident())
        self.invocations.append(invocation)
        try:
            # The runtime raises an error if the handler's result can't be serialized.
            json.dumps(self._handler(json.loads(payload), context))
        except BaseException as error:  # noqa: BLE001 - Lambda treats every exception, including SystemExit, as an error
            invocation.error = error
            self._check(error)
        invocation.ended = time.time()
        invocation.outcome = "raised" if invocation.error else "returned"
        return invocation.error

    def _send_to_destination(self, payload: str, request_id: str, error: BaseException) -> None:
        attempts = len(self._delays) + 1
        record = failure_record(
            json.loads(payload), error, request_id=request_id, function_arn=self.function_arn, attempts=attempts
        )
        self.destination.append(record)
        if self._queue is not None:
            self._queue.send(json.dumps(record))

    def _check(self, error: BaseException) -> None:
        if not isinstance(error, self.expected_errors):
            with self._idle:
                self._defect = error
                self._idle.notify_all()
