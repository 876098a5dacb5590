"""The provider's exceptions.

    TelephonyError
    ├── HandlerError                  known failure: the request is answered FAILED
    │   ├── NotFoundError             the resource does not exist
    │   ├── RetryableError            temporary refusal: retried for a limited time, then a HandlerError
    │   ├── LimitExceededError        a claim was refused because of a limit: of claims and releases, or of numbers
    │   ├── NumberUnavailableError    this candidate number was taken; another one may be available
    │   └── ClaimExpiredError         the claim failed: its ID exists, but no number, and the service removes the ID
    └── UnknownOutcomeError           result unknown: the request is not answered but retried
        ├── ThrottledError            refused without effect: repeated in its next turn
        ├── TagsNotVisibleError       a number that may belong to the purchase has no tags yet
        └── DeferredError             not called: the rate-limit reservation is due later than this invocation can wait

aws/errors.py maps the errors of AWS calls to these exceptions.
"""

from enum import StrEnum


class HandlerErrorCode(StrEnum):
    """CloudFormation's handler error codes, as native resource types report them.

    Source: CloudFormation CLI User Guide, "Handler error codes".
    """

    INVALID_REQUEST = "InvalidRequest"
    ACCESS_DENIED = "AccessDenied"
    ALREADY_EXISTS = "AlreadyExists"
    NOT_FOUND = "NotFound"
    NOT_UPDATABLE = "NotUpdatable"
    RESOURCE_CONFLICT = "ResourceConflict"
    THROTTLING = "Throttling"
    SERVICE_LIMIT_EXCEEDED = "ServiceLimitExceeded"
    NOT_STABILIZED = "NotStabilized"
    SERVICE_INTERNAL_ERROR = "ServiceInternalError"
    NETWORK_FAILURE = "NetworkFailure"
    INTERNAL_FAILURE = "InternalFailure"


class TelephonyError(Exception):
    """Base class of the provider's exceptions."""


class HandlerError(TelephonyError):
    """A known failure. Its text becomes the Reason in the stack event.

    cause: what failed, and on which property or number. remedy: what to do. aws_code and aws_reason: the error code and
    reason of the AWS call, for code that distinguishes failures. physical_id: the ID of a resource that exists despite
    the failure, so that CloudFormation's next Delete names it.
    """

    def __init__(
        self,
        error_code: HandlerErrorCode,
        cause: str,
        remedy: str = "",
        *,
        aws_code: str = "",
        aws_reason: str = "",
        physical_id: str | None = None,
    ) -> None:
        super().__init__(cause)
        self.error_code = error_code
        self.cause = cause
        self.remedy = remedy
        self.aws_code = aws_code
        self.aws_reason = aws_reason
        self.physical_id = physical_id

    def __str__(self) -> str:
        """Return the Reason: error code, cause, remedy."""
        return " ".join(filter(None, (f"{self.error_code}: {self.cause}", self.remedy)))

    def as_kind[F: HandlerError](self, kind: type[F]) -> F:
        """Return the same failure as another class of failure."""
        return kind(self.error_code, self.cause, self.remedy, aws_code=self.aws_code, aws_reason=self.aws_reason)

    def as_final(self) -> "HandlerError":
        """Return the same failure without the meaning that it can be retried."""
        return self.as_kind(HandlerError)


class NotFoundError(HandlerError):
    """The resource does not exist."""


class RetryableError(HandlerError):
    """A temporary refusal, for example while an IAM role propagates or a number leaves a pool."""


class LimitExceededError(HandlerError):
    """A claim was refused because of a limit. The service does not say which one."""


class NumberUnavailableError(HandlerError):
    """The candidate number is no longer available. Another candidate may be."""


class ClaimExpiredError(HandlerError):
    """The claim ended in FAILED. Its ID is not billed, and the service removes it."""


class UnknownOutcomeError(TelephonyError):
    """The result is unknown, or the request has to wait. The request is continued later.

    at: when, in seconds since the epoch, if that is known. remedy: what to do if no later invocation succeeds.
    """

    def __init__(
        self,
        cause: str,
        *,
        error_code: HandlerErrorCode = HandlerErrorCode.INTERNAL_FAILURE,
        remedy: str = "Redeploy the stack.",
        at: float | None = None,
    ) -> None:
        super().__init__(cause)
        self.error_code = error_code
        self.cause = cause
        self.remedy = remedy
        self.at = at
        self.physical_id: str | None = None
        """The ID of a resource that exists, if known."""


class ThrottledError(UnknownOutcomeError):
    """The service throttled the call. The call had no effect."""

    def __init__(self, cause: str, remedy: str = "Redeploy the stack.") -> None:
        super().__init__(cause, error_code=HandlerErrorCode.THROTTLING, remedy=remedy)


class TagsNotVisibleError(UnknownOutcomeError):
    """A search found a number that may belong to the purchase, but its tags are not visible yet."""


class DeferredError(UnknownOutcomeError):
    """A call was not made, because its rate-limit reservation is due later. The reservation is kept.

    calls: service and operation of the reserved calls. Empty if no reservation was in time: then none was made.
    """

    def __init__(self, cause: str, *, at: float, calls: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(cause, error_code=HandlerErrorCode.THROTTLING, at=at)
        self.due_at = at
        self.calls = calls
