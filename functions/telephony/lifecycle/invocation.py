"""One run of one request: how long it may take, and how it waits."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable

import attrs

from telephony import clock, reasons
from telephony.cloudformation.request import Request
from telephony.errors import DeferredError, HandlerError, RetryableError, ThrottledError, UnknownOutcomeError
from telephony.model.resource import Owner
from telephony.settings import settings

_REPEATS = 3
"""How often a call whose effect is not known is made again in one invocation; Lambda's retries come on top."""


@attrs.frozen(repr=False, eq=False)
class Invocation:
    """A request, and the invocation that works on it. Times are seconds since the epoch."""

    request: Request
    ends_at: float
    """When the work has to end, so that the answer can still be sent."""
    final: bool = False
    """The last one there will be: nothing new is bought, and what is still unknown is answered FAILED."""
    started_at: float = attrs.field(factory=clock.now)
    key: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    """Names this invocation as the holder of a lease."""

    @property
    def owner(self) -> Owner:
        """Whose the number is."""
        return Owner(self.request.stack_id, self.request.logical_resource_id)

    @property
    def issued_at(self) -> float:
        """When CloudFormation issued the request; now, if the URL does not tell."""
        return self.started_at if self.request.issued_at is None else self.request.issued_at

    @property
    def respond_by(self) -> float:
        """Until when an answer counts, with a margin; a quarter of a ServiceTimeout that is itself short."""
        timeout = self.request.service_timeout
        return self.issued_at + timeout - min(settings().service_margin, timeout / 4)

    @property
    def deadline(self) -> float:
        """Until when to wait for anything."""
        return min(self.ends_at, self.respond_by)

    @property
    def must_respond(self) -> bool:
        """Whether running out of time means an answer, and not another invocation."""
        return self.final or self.respond_by <= self.ends_at

    def retry[T](self, call: Callable[[], T]) -> T:
        """Make a call that may be repeated, until it polls_until_stable.

        A throttle is waited out as long as there is time, an RetryableError refusal for settings().patience seconds, and
        an unknown effect is looked at a few times more. Raise what the last one meant.
        """
        backoff = Backoff()
        begun, unknown = clock.now(), 0
        while True:
            try:
                return call()
            except DeferredError as late:
                raise self.deferred(late) from None
            except ThrottledError:
                if not self.wait(backoff):
                    raise
            except RetryableError as refused:
                if clock.now() - begun > settings().patience or not self.wait(backoff):
                    raise refused.as_final() from None
            except UnknownOutcomeError:
                unknown += 1
                if unknown > _REPEATS or not self.wait(backoff):
                    raise

    def wait(self, backoff: Backoff, *, until: float | None = None) -> bool:
        """Sleep for the next pause; False, at once, if it would not end in time."""
        seconds = next(backoff)
        if clock.now() + seconds > (self.deadline if until is None else until):
            return False
        clock.sleep(seconds)
        return True

    def deferred(self, late: DeferredError) -> HandlerError | DeferredError:
        """What a turn means that this invocation cannot wait for: a failure if no other can in time, or another one."""
        if late.at <= self.respond_by:
            return late
        return reasons.TOO_MANY_AHEAD.failure(line=late.cause, left=round(self.respond_by - clock.now()))

    def timed_out(self, failure: HandlerError) -> HandlerError | UnknownOutcomeError:
        """What running out of time means: the failure if the answer is due, or another invocation."""
        return failure if self.must_respond else UnknownOutcomeError(failure.cause, error_code=failure.error_code)


class Backoff:
    """Growing, jittered backoff in seconds: from settings().poll to five times that."""

    def __init__(self) -> None:
        self._next = settings().poll

    def __iter__(self) -> Backoff:
        return self

    def __next__(self) -> float:
        pause = self._next * random.uniform(0.5, 1)  # noqa: S311 - jitter
        self._next = min(self._next * 1.5, settings().poll * 5)
        return pause
