"""What can go wrong, in CloudFormation's own words, and what each failure of an AWS call means.

    TelephonyError
    ├── Failure          a known failure: answered FAILED
    │   ├── Unsettled    passes with time: tried again for a while, and a Failure after that
    │   ├── Unavailable  this candidate cannot be had, another one may
    │   └── Lapsed       there is an id, but no number behind it, and the id goes by itself
    └── Undecided        what happened is not known: nothing is answered, the event runs again
        ├── Throttled    refused without any effect: tried again in the same invocation
        └── OutOfTurn    not made at all: its turn in the account's rate comes too late for this invocation

The words are CloudFormation's HandlerErrorCode values, which people know from the events of native types
(CloudFormation CLI user guide, "Handler error codes").
"""

from enum import StrEnum


class Word(StrEnum):
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


class Failure(TelephonyError):
    """A known failure, told to the person who reads the stack event.

    word: CloudFormation's error word. cause: one sentence, what failed and on which property or number. cure: one
    sentence, what to do. code and reason: the AWS error's own, for code that has to tell failures apart. physical_id:
    what exists all the same, so that CloudFormation's next Delete can name it.
    """

    def __init__(
        self,
        word: Word,
        cause: str,
        cure: str = "",
        *,
        code: str = "",
        reason: str = "",
        physical_id: str | None = None,
    ) -> None:
        super().__init__(cause)
        self.word = word
        self.cause = cause
        self.cure = cure
        self.code = code
        self.reason = reason
        self.physical_id = physical_id

    def __str__(self) -> str:
        """The Reason, as it stands in the stack event."""
        return " ".join(filter(None, (f"{self.word}: {self.cause}", self.cure)))

    def as_final(self) -> "Failure":
        """The same failure, when nothing is to be waited for or tried again."""
        return Failure(self.word, self.cause, self.cure, code=self.code, reason=self.reason)


class Unsettled(Failure):
    """A refusal that passes with time: a role that propagates, a pool that is being left."""


class Unavailable(Failure):
    """The number that was chosen cannot be had any more; another candidate may be."""


class Lapsed(Failure):
    """A claim that ended in FAILED: it has an id, is not billed, and returns to the inventory by itself."""


class Undecided(TelephonyError):
    """Whether the call had an effect is not known, or the provider's own state could not be read or written."""

    def __init__(self, cause: str, *, word: Word = Word.INTERNAL_FAILURE) -> None:
        super().__init__(cause)
        self.word = word
        self.cause = cause
        self.physical_id: str | None = None
        """What exists all the same, where that is known."""


class Throttled(Undecided):
    """The service refused the call before doing anything, because too many were made."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause, word=Word.THROTTLING)


class OutOfTurn(Undecided):
    """The call was not made, because its turn comes after this invocation has to end.

    at: seconds since the epoch at which the turn comes. It stays reserved.
    """

    def __init__(self, cause: str, *, at: float) -> None:
        super().__init__(cause, word=Word.THROTTLING)
        self.at = at
