"""A small model of Lambda and SQS in virtual time: what decides how long a request waits, and what it is billed.

- All functions of an account share its concurrent executions. An invocation beyond them is throttled.
- An asynchronous invocation that is throttled returns to Lambda's queue. The interval doubles from 1 s to 5 minutes.
- One that fails is repeated after 1 and 2 minutes. Then, or at the maximum event age, it is sent to the destination.
- A message is delivered after its visibility timeout. The event source mapping invokes at most MaximumConcurrency
  functions, keeps a message whose invocation is throttled until its visibility timeout, and deletes it on success.

Sources: Lambda Developer Guide, "Error handling for asynchronous invocation", "Retaining records of asynchronous
invocations", "Understanding function scaling" and "Using Lambda with Amazon SQS" (backoff strategy, maximum
concurrency); SQS Developer Guide, "Visibility timeout". The delays of deliveries are assumptions.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections import deque
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import attrs

from benchmarks.virtual_time import Suspended, VirtualTime

type Handler = Callable[[Any, Any], Any]
"""Called with event and context."""

_INITIALIZATION = 0.6
"""Seconds. A new execution environment loads the code first, which is billed."""
_COMPUTATION = 0.1
"""Seconds of CPU time in each invocation, with a seventh of a CPU (256 MB)."""
_FIRST_THROTTLE_DELAY, _MAX_THROTTLE_DELAY = 1.0, 300.0
_RETRY_DELAYS = (60.0, 120.0)
_DELIVERY_DELAY, _SLOW_DELIVERY, _SLOW_DELIVERIES = 2.0, 20.0, 0.01
"""Seconds until a visible message is received, at most; and of the share of deliveries that take longer."""


class ThrottledError(Exception):
    """The account has no concurrent execution left."""


class TimedOutError(Exception):
    """The function was not finished at its timeout. It has ended anyway: the model can't stop a thread."""


@attrs.define(eq=False)
class Function:
    """A Lambda function. Durations are in seconds."""

    handler: Handler
    timeout: float
    max_event_age: float = 21_600.0
    """Of an asynchronous invocation. Lambda's default."""
    invocations: int = 0
    billed: float = 0.0
    cold_starts: int = 0
    errors: int = 0
    _idle: int = 0
    """Execution environments that are initialized and not busy."""


class Lambda:
    """Invokes the functions of one account."""

    def __init__(self, clock: VirtualTime, concurrency: int, seed: int) -> None:
        self.clock = clock
        self.concurrency = concurrency
        self.throttles = 0
        self.retries = 0
        self._running = 0
        self._random = random.Random(seed)  # noqa: S311 - a simulation

    def invoke(self, function: Function, event: Any) -> Any:
        """Invoke a function in the calling task. Raises ThrottledError, TimedOutError, or the error of the function."""
        if self._running >= self.concurrency:
            self.throttles += 1
            raise ThrottledError
        self._running += 1
        started = self.clock.now
        try:
            return self._run(function, event)
        except Exception:
            function.errors += 1
            raise
        finally:
            self._running -= 1
            function.invocations += 1
            function.billed += self.clock.now - started

    def _run(self, function: Function, event: Any) -> Any:
        if function._idle:  # noqa: SLF001 - only this class uses it
            function._idle -= 1  # noqa: SLF001
        else:
            function.cold_starts += 1
            self.clock.sleep(_INITIALIZATION)
        ends_at = self.clock.now + function.timeout
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: int((ends_at - self.clock.now) * 1000))
        try:
            self.clock.sleep(_COMPUTATION)
            result = function.handler(event, context)
        finally:
            function._idle += 1  # noqa: SLF001
        if self.clock.now > ends_at:
            raise TimedOutError
        return result

    def invoke_asynchronously(
        self, function: Function, event: Any, destination: Callable[[str], object] | None = None
    ) -> None:
        """Invoke a function as an event, in the calling task, until it succeeds or the event is sent on.

        destination: receives the invocation record if all retries fail.
        """
        expires_at = self.clock.now + function.max_event_age
        for retry_delay in (*_RETRY_DELAYS, None):
            try:
                self._invoke_when_possible(function, event, expires_at)
            except Exception as error:  # noqa: BLE001 - Lambda retries after any error
                delay = None if isinstance(error, ThrottledError) else retry_delay
                if delay is None or self.clock.now + delay > expires_at:
                    if destination is not None:
                        destination(json.dumps(_invocation_record(event, error)))
                    return
                self.retries += 1
                self.clock.sleep(delay)
            else:
                return

    def _invoke_when_possible(self, function: Function, event: Any, expires_at: float) -> None:
        delay = _FIRST_THROTTLE_DELAY
        while True:
            try:
                self.invoke(function, event)
            except ThrottledError:
                wait = delay * self._random.uniform(0.5, 1)
                if self.clock.now + wait > expires_at:
                    self.clock.sleep(expires_at - self.clock.now)
                    raise
                self.clock.sleep(wait)
                delay = min(2 * delay, _MAX_THROTTLE_DELAY)
            else:
                return


def _invocation_record(event: Any, error: Exception) -> dict[str, Any]:
    return {
        "version": "1.0",
        "requestContext": {
            "condition": "EventAgeExceeded" if isinstance(error, ThrottledError) else "RetriesExhausted",
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorType": type(error).__name__},
    }


@attrs.define(eq=False)
class _Message:
    id: str
    body: str
    sent_at: float
    visible_at: float
    receives: int = 0
    receipt: str = ""
    """Handle of the latest receive."""


class Queue:
    """A standard queue, and the event source mapping from it to a function."""

    def __init__(
        self,
        account: Lambda,
        function: Function,
        *,
        visibility_timeout: float,
        max_receives: int,
        max_concurrency: int,
        seed: int,
    ) -> None:
        self.dead: list[str] = []
        """Bodies of the messages in the dead-letter queue."""
        self._account = account
        self._clock = account.clock
        self._function = function
        self._visibility_timeout = visibility_timeout
        self._max_receives = max_receives
        self._free = max_concurrency
        self._waiting: deque[Suspended] = deque()
        self._received: dict[str, _Message] = {}
        self._numbers = itertools.count()
        self._random = random.Random(seed)  # noqa: S311 - a simulation

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Execute SendMessage or ChangeMessageVisibility, and return its response."""
        if operation == "SendMessage":
            message_id = self.send(parameters["MessageBody"], parameters.get("DelaySeconds", 0))
            digest = hashlib.md5(parameters["MessageBody"].encode(), usedforsecurity=False)
            return {"MessageId": message_id, "MD5OfMessageBody": digest.hexdigest()}
        if operation == "ChangeMessageVisibility":
            message = self._received[parameters["ReceiptHandle"]]
            message.visible_at = self._clock.now + parameters["VisibilityTimeout"]
            return {}
        raise NotImplementedError(operation)

    def send(self, body: str, delay: float = 0) -> str:
        """Send a message."""
        message = _Message(f"message-{next(self._numbers)}", body, self._clock.now, self._clock.now + delay)
        self._clock.start(lambda: self._deliver(message))
        return message.id

    def _deliver(self, message: _Message) -> None:
        """Deliver a message until it is deleted."""
        while True:
            slow = self._random.random() < _SLOW_DELIVERIES
            jitter = _SLOW_DELIVERY if slow else self._random.uniform(0, _DELIVERY_DELAY)
            self._clock.sleep(message.visible_at + jitter - self._clock.now)
            if message.receives == self._max_receives:
                self.dead.append(message.body)
                return
            self._acquire()
            try:
                if self._process(message):
                    return
            finally:
                self._release()

    def _acquire(self) -> None:
        """Wait until the mapping can invoke its function."""
        if self._free:
            self._free -= 1
        else:
            self._clock.suspend(self._waiting)

    def _release(self) -> None:
        if self._waiting:
            self._clock.resume(self._waiting)
        else:
            self._free += 1

    def _process(self, message: _Message) -> bool:
        """Receive the message, and invoke the function with it. Returns whether the message is deleted."""
        message.receives += 1
        self._received.pop(message.receipt, None)
        message.receipt = f"{message.id}#{message.receives}"
        self._received[message.receipt] = message
        message.visible_at = self._clock.now + self._visibility_timeout
        delay = _FIRST_THROTTLE_DELAY
        while True:
            try:
                result = self._account.invoke(self._function, _sqs_event(message))
            except ThrottledError:
                self._clock.sleep(delay * self._random.uniform(0.5, 1))
                delay *= 2
                if self._clock.now >= message.visible_at:
                    return False
            except Exception:  # noqa: BLE001 - the message becomes visible again
                return False
            else:
                failures = (result or {}).get("batchItemFailures", [])
                return {"itemIdentifier": message.id} not in failures


def _sqs_event(message: _Message) -> dict[str, Any]:
    record = {
        "messageId": message.id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.receives),
            "SentTimestamp": str(int(message.sent_at * 1000)),
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
    }
    return {"Records": [record]}
