"""What can go wrong, in CloudFormation's own words, and what each failure of an AWS call means.

    TelephonyError
    ├── HandlerError          a known failure: answered FAILED
    │   ├── RetryableError    passes with time: tried again for a while, and a HandlerError after that
    │   ├── NumberUnavailableError  this candidate cannot be had, another one may
    │   └── ClaimExpiredError       there is an id, but no number behind it, and the id goes by itself
    └── UnknownOutcomeError        what happened is not known: nothing is answered, the event runs again
        ├── ThrottledError    refused without any effect: tried again in the same invocation
        └── DeferredError    not made at all: its turn in the account's rate comes too late for this invocation

The words are CloudFormation's HandlerErrorCode values, which people know from the events of native types
(CloudFormation CLI user guide, "Handler error codes").
"""

from enum import StrEnum


class HandlerErrorCode(StrEnum):
    """CloudFormation's HandlerErrorCode."""

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
    """Everything this provider raises on purpose."""


class HandlerError(TelephonyError):
    """A known failure, told to the person who reads the stack event.

    word: CloudFormation's error word. cause: one sentence, what failed and on which property or number. remedy: one
    sentence, what to do. code and reason: the AWS error's own, for code that has to tell failures apart. physical_id:
    what exists all the same, so that CloudFormation's next Delete can name it.
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
        """The Reason, as it stands in the stack event."""
        return " ".join(filter(None, (f"{self.error_code}: {self.cause}", self.remedy)))

    def as_final(self) -> "HandlerError":
        """The same failure, when nothing is to be waited for or tried again."""
        return HandlerError(
            self.error_code, self.cause, self.remedy, aws_code=self.aws_code, aws_reason=self.aws_reason
        )


class RetryableError(HandlerError):
    """A refusal that passes with time: a role that propagates, a pool that is being left."""


class NumberUnavailableError(HandlerError):
    """The number that was candidate cannot be had any more; another candidate may be."""


class ClaimExpiredError(HandlerError):
    """A claim that ended in FAILED: it has an id, is not billed, and returns to the inventory by itself."""


class UnknownOutcomeError(TelephonyError):
    """Whether the call had an effect is not known, or the provider's own state could not be read or written."""

    def __init__(self, cause: str, *, error_code: HandlerErrorCode = HandlerErrorCode.INTERNAL_FAILURE) -> None:
        super().__init__(cause)
        self.error_code = error_code
        self.cause = cause
        self.physical_id: str | None = None
        """What exists all the same, where that is known."""


class ThrottledError(UnknownOutcomeError):
    """The service refused the call before doing anything, because too many were made."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause, error_code=HandlerErrorCode.THROTTLING)


class DeferredError(UnknownOutcomeError):
    """The call was not made, because its turn comes after this invocation has to end.

    at: seconds since the epoch at which the turn comes. It stays reserved.
    """

    def __init__(self, cause: str, *, at: float) -> None:
        super().__init__(cause, error_code=HandlerErrorCode.THROTTLING)
        self.at = at
