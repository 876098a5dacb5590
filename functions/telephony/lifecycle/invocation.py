"""One Lambda invocation of a request: its deadlines, and how it retries and waits."""

from __future__ import annotations

import abc
import random
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from telephony import clock, reasons
from telephony.cloudformation.request import Request
from telephony.data import data
from telephony.errors import DeferredError, HandlerError, RetryableError, ThrottledError, UnknownOutcomeError
from telephony.model.tags import Owner
from telephony.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_MAX_UNKNOWN = 3
"""Retries of a call whose result is unknown, per invocation. Lambda retries the invocation itself."""


class Retrier(abc.ABC):
    """Repeats calls until a deadline."""

    final = False
    """No later invocation repeats what fails now."""

    @property
    @abc.abstractmethod
    def deadline(self) -> float:
        """When waits end, unless the caller says otherwise. In seconds since the epoch."""

    def retry[T](self, call: Callable[[], T]) -> T:
        """Make an idempotent call, and retry it.

        A throttle is retried until the deadline, a RetryableError for settings().retry_period seconds, and an unknown
        result a few times. Raises the last error.
        """
        backoff = Backoff()
        began_at, unknown = clock.now(), 0
        while True:
            try:
                return call()
            except DeferredError as deferred:
                raise self.deferred(deferred) from None
            except ThrottledError as throttled:
                if not self.wait(backoff):
                    raise self.throttled(throttled) from None
            except RetryableError as refused:
                if clock.now() - began_at > settings().retry_period or not self.wait(backoff):
                    raise refused.as_final() from None
            except UnknownOutcomeError:
                unknown += 1
                if unknown > _MAX_UNKNOWN or not self.wait(backoff):
                    raise

    def wait(self, backoff: Backoff, *, until: float = float("inf")) -> bool:
        """Sleep for the next back-off delay. Returns False immediately if the delay would end too late."""
        seconds = next(backoff)
        if clock.now() + seconds > min(until, self.deadline):
            return False
        clock.sleep(seconds)
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
    final: bool = False
    """The last invocation of this request: it purchases nothing, and answers FAILED if the result is still unknown."""
    started_at: float = attrs.field(factory=lambda: round(clock.now(), 3))
    key: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    """Identifies this invocation as the holder of a lease."""
    with_outcome: list[TransactWriteItemTypeDef] = attrs.field(factory=list)
    """Writes to make in the transaction that records a SUCCESS."""

    @property
    def owner(self) -> Owner:
        """The stack resource that the request is for."""
        return Owner(self.request.stack_id, self.request.logical_resource_id)

    @property
    def issued_at(self) -> float:
        """When CloudFormation issued the request, or the start of the invocation if the URL does not contain it."""
        return self.started_at if self.request.issued_at is None else self.request.issued_at

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
    def deadline(self) -> float:
        """The end of the invocation, or when the response is due."""
        return min(self.ends_at, self.respond_by)

    @property
    def must_respond(self) -> bool:
        """Whether this invocation must answer when it runs out of time, because no later one can."""
        return self.final or self.respond_by <= self.ends_at

    def deferred(self, error: DeferredError) -> HandlerError | DeferredError:
        """Return what to raise for a deferred call: a failure if no later invocation can make it in time."""
        if error.at <= self.respond_by:
            return error
        return reasons.RATE_LIMITED.failure(cause=error.cause, left=round(self.respond_by - clock.now()))

    def throttled(self, error: ThrottledError) -> HandlerError | UnknownOutcomeError:
        """Return a failure if the response is due, else the error."""
        return reasons.THROTTLED.failure(cause=error.cause) if self.must_respond else error

    def timed_out(self, failure: HandlerError) -> HandlerError | UnknownOutcomeError:
        """Return what to raise at the deadline: the failure if the response is due, else an error that is retried."""
        return failure if self.must_respond else UnknownOutcomeError(failure.cause, error_code=failure.error_code)


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
