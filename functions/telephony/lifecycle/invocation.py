"""One Lambda invocation of a request: its deadlines, and how it retries and waits."""

from __future__ import annotations

import abc
import random
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from telephony import clock, reasons, redaction
from telephony.cloudformation.request import Request
from telephony.data import data
from telephony.errors import (
    DeferredError,
    HandlerError,
    RetryableError,
    TagsNotVisibleError,
    ThrottledError,
    UnknownOutcomeError,
)
from telephony.lifecycle.progress import Progress
from telephony.model.tags import Owner
from telephony.observability import count, log_defect
from telephony.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_MAX_UNKNOWN = 3
"""Retries of a call whose result is unknown, per invocation."""
_AGE_FRACTION = 0.25
"""A request is continued after this fraction of its age, from settings().retry_delay to twelve times that."""
_MAX_DELAY_FACTOR = 12
_MAX_DEFECTS = 3
"""Unexpected exceptions after which a request is answered FAILED."""
_EARLY_FRACTION = 0.22
"""A request is continued this fraction of settings().in_place_wait before its reservation is due, and sleeps then."""


class Retrier(abc.ABC):
    """Repeats calls until a deadline."""

    noticed: dict[str, float]
    """When conditions that are waited for were first seen, by a name."""

    @property
    def final(self) -> bool:
        """Whether no later invocation repeats what fails now."""
        return False

    @property
    @abc.abstractmethod
    def deadline(self) -> float:
        """When waits end, unless the caller says otherwise. In seconds since the epoch."""

    def retry[T](self, call: Callable[[], T]) -> T:
        """Make an idempotent call, and retry it.

        A throttle is retried until the deadline, a RetryableError for settings().retry_period seconds, and an unknown
        result a few times. Raises the last error.
        """
        backoff, unknown, condition = Backoff(), 0, ""
        while True:
            try:
                result = call()
                self.noticed.pop(condition, None)
                return result  # noqa: TRY300 - the loop ends here
            except DeferredError as deferred:
                raise self.deferred(deferred) from None
            except ThrottledError as throttled:
                if not self.wait(backoff):
                    raise self.throttled(throttled) from None
            except RetryableError as refused:
                condition = f"refused: {refused.aws_reason or refused.aws_code or refused.error_code}"
                if not self.wait_for(condition, settings().retry_period, backoff, cause=refused.cause):
                    raise refused.as_final() from None
            except UnknownOutcomeError:
                unknown += 1
                if unknown > _MAX_UNKNOWN or not self.wait(backoff):
                    raise

    def search[T](self, find: Callable[[], T | None], condition: str) -> T | None:
        """Search for the number of a purchase, under a name for the condition that its tags are not visible.

        If a number stays without tags, it has another owner. In the final invocation, a search that fails returns None
        too: the sweep searches again. Raises UnknownOutcomeError if the search must be repeated later.
        """
        try:
            return self.retry(find)
        except UnknownOutcomeError as error:
            since = self.noticed.setdefault(condition, clock.now()) if isinstance(error, TagsNotVisibleError) else None
            if self.final or (since is not None and clock.now() - since > settings().unknown_result_period):
                return None
            raise

    def wait(self, backoff: Backoff, *, until: float = float("inf")) -> bool:
        """Sleep for the next back-off delay. Returns False immediately if the delay would end too late."""
        seconds = next(backoff)
        if clock.now() + seconds > min(until, self.deadline):
            return False
        clock.sleep(seconds)
        return True

    def wait_for(self, condition: str, period: float, backoff: Backoff, *, cause: str) -> bool:
        """Wait before a condition is checked again. Returns False if it has lasted for `period` seconds.

        Raises UnknownOutcomeError with this cause if a later invocation has to check it again.
        """
        return self.wait_until(self.noticed.setdefault(condition, clock.now()) + period, backoff, cause=cause)

    def wait_until(self, end: float, backoff: Backoff, *, cause: str) -> bool:
        """Wait for the next back-off delay. Returns False if it would end after `end`.

        Raises UnknownOutcomeError with this cause if this invocation can't wait so long, but a later one can.
        """
        seconds = next(backoff)
        if clock.now() + seconds > end:
            return False
        if clock.now() + seconds > self.deadline:
            if self.must_respond:
                return False
            raise UnknownOutcomeError(cause)
        clock.sleep(seconds)
        return True

    @property
    def must_respond(self) -> bool:
        """Whether no later invocation can continue."""
        return True

    def deferred(self, error: DeferredError) -> HandlerError | DeferredError:
        """Return what to raise for a deferred call."""
        return error

    def throttled(self, error: ThrottledError) -> HandlerError | UnknownOutcomeError:
        """Return what to raise for a call that is throttled until the deadline."""
        return error


@data
class Invocation(Retrier):
    """A request and the invocation that processes it. Times are in seconds since the epoch."""

    request: Request
    ends_at: float
    """When processing must end, so that the response can still be sent."""
    received_at: float = attrs.field(factory=lambda: round(clock.now(), 3))
    """When the provider first received the request, as far as this invocation knows."""
    continued: bool = False
    """The request was received from the queue."""
    started_at: float = attrs.field(factory=lambda: round(clock.now(), 3))
    key: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    """Identifies this invocation as the holder of a lease."""
    noticed: dict[str, float] = attrs.field(factory=dict)
    last_error: UnknownOutcomeError = attrs.field(factory=lambda: Progress().error)
    """What prevented the last invocation from completing the request."""
    earlier_defects: int = 0
    """Unexpected exceptions of earlier invocations."""
    _defects: list[BaseException] = attrs.field(factory=list)
    with_outcome: list[TransactWriteItemTypeDef] = attrs.field(factory=list)
    """Writes to make in the transaction that records a SUCCESS."""

    @property
    def owner(self) -> Owner:
        """The stack resource that the request is for."""
        return Owner(self.request.stack_id, self.request.logical_resource_id)

    @property
    def issued_at(self) -> float:
        """When CloudFormation issued the request, or when it was received if the URL does not contain it."""
        return self.received_at if self.request.issued_at is None else self.request.issued_at

    @property
    def respond_by(self) -> float:
        """When the response is due. Before ServiceTimeout by a margin, at most a quarter of it."""
        timeout = self.request.service_timeout
        return self.service_deadline - min(settings().service_timeout_margin, timeout / 4)

    @property
    def service_deadline(self) -> float:
        """When CloudFormation stops waiting. After it, a request changes nothing."""
        return self.issued_at + self.request.service_timeout

    @property
    def final(self) -> bool:
        """Whether no later invocation can respond in time: this one purchases nothing, and answers in any case."""
        return self.started_at + settings().retry_delay > self.respond_by

    @property
    def must_respond(self) -> bool:
        """Whether this invocation must answer now, because no later one can."""
        return clock.now() + settings().retry_delay > self.respond_by

    @property
    def call_deadline(self) -> float:
        """When the last call can start."""
        return min(self.ends_at, self.service_deadline if self.final else self.respond_by)

    @property
    def deadline(self) -> float:
        """When this invocation stops to wait: after some seconds."""
        return min(self.call_deadline, self.started_at + settings().in_place_wait)

    def next_step_at(self, error: UnknownOutcomeError) -> float:
        """Return when to continue the request after an error."""
        now, delay = clock.now(), settings().retry_delay
        if not self.respond_by <= now < self.service_deadline:
            delay = min(max(delay, (now - self.issued_at) * _AGE_FRACTION), delay * _MAX_DELAY_FACTOR)
        at = now + delay * random.uniform(0.8, 1)  # noqa: S311 - jitter
        if error.at is not None:
            early = settings().in_place_wait * _EARLY_FRACTION
            at = error.at - early if isinstance(error, DeferredError) else error.at
        # The last step delivers what is known.
        return max(now, min(at, self.respond_by) if now < self.respond_by else at)

    @property
    def defects(self) -> int:
        """Unexpected exceptions of this request."""
        return self.earlier_defects + bool(self._defects)

    def defect(self, error: Exception) -> HandlerError | UnknownOutcomeError:
        """Log an unexpected exception. Returns what to raise: an error that is retried, or after some a failure."""
        self._defects.append(error)
        log_defect(error, redaction.shown(str(error)))
        count("Defects")
        failure = reasons.DEFECT.failure(error=type(error).__name__)
        if self.defects >= _MAX_DEFECTS or self.must_respond:
            return failure
        at = clock.now() + settings().retry_delay * _MAX_DELAY_FACTOR
        return UnknownOutcomeError(failure.cause, remedy=failure.remedy, at=at)

    def deferred(self, error: DeferredError) -> HandlerError | DeferredError:
        """Return what to raise for a deferred call: a failure if no later invocation can make it in time."""
        if error.calls:
            return error
        return reasons.RATE_LIMITED.failure(cause=error.cause)

    def throttled(self, error: ThrottledError) -> HandlerError | UnknownOutcomeError:
        """Return a failure if the response is due, else the error."""
        return reasons.STILL_UNKNOWN.after(error) if self.must_respond else error

    def timed_out(self, failure: HandlerError) -> HandlerError | UnknownOutcomeError:
        """Return what to raise when this invocation can't wait: the failure if the response is due, else an error."""
        if self.must_respond:
            return failure
        return UnknownOutcomeError(failure.cause, error_code=failure.error_code, remedy=failure.remedy)


class Backoff:
    """Growing delays with jitter, in seconds: from settings().poll_interval to five times that."""

    def __init__(self) -> None:
        self._next = settings().poll_interval

    def __iter__(self) -> Backoff:
        return self

    def __next__(self) -> float:
        delay = self._next * random.uniform(0.5, 1)  # noqa: S311 - jitter
        self._next = min(self._next * 1.5, settings().poll_interval * 5)
        return delay
