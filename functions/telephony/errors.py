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

from collections.abc import Mapping
from enum import StrEnum

import attrs
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
)

CALL_ERRORS = (ClientError, BotoCoreError)
"""All that a call of the SDK raises."""


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


@attrs.frozen(repr=False, eq=False)
class Meaning:
    """What a refusal means to the person who reads it, and whether it passes with time."""

    word: Word
    cure: str = ""
    passes: bool = False


BY_REASON: Mapping[str, Meaning] = {
    # ConflictException (enum ConflictExceptionReason of the pinpoint-sms-voice-v2 model)
    "DELETION_PROTECTION_ENABLED": Meaning(
        Word.RESOURCE_CONFLICT,
        "Switch the protection off (DeletionProtectionEnabled: false in an update, or UpdatePhoneNumber or UpdateSenderId where the stack can no longer be updated) and delete again. OnDelete: {LiftDeletionProtection: true}, declared beforehand, does that by itself.",
    ),
    "PHONE_NUMBER_ASSOCIATED_TO_POOL": Meaning(
        Word.RESOURCE_CONFLICT,
        "Take the number out of its pool (DisassociateOriginationIdentity) and try again. OnDelete: {LeavePools: true}, declared beforehand, does that by itself for a delete. The settings of a pooled number are the pool's.",
    ),
    "SENDER_ID_ASSOCIATED_TO_POOL": Meaning(
        Word.RESOURCE_CONFLICT,
        "Take the sender ID out of its pools (DisassociateOriginationIdentity) and delete again. OnDelete: {LeavePools: true}, declared beforehand, does that by itself.",
    ),
    "LAST_PHONE_NUMBER": Meaning(
        Word.RESOURCE_CONFLICT,
        "A pool must keep at least one phone number: add another number to the pool, or delete the pool, and delete again.",
    ),
    "PHONE_NUMBER_ASSOCIATED_TO_REGISTRATION": Meaning(
        Word.RESOURCE_CONFLICT,
        "A number whose registration is under review cannot be changed or released: wait for the review to end, or discard the registration.",
    ),
    "REGISTRATION_NOT_COMPLETE": Meaning(
        Word.RESOURCE_CONFLICT,
        "Wait until the registration's status is COMPLETE (DescribeRegistrations), then create again.",
    ),
    "RESOURCE_ALREADY_EXISTS": Meaning(Word.ALREADY_EXISTS),
    "RESOURCE_NOT_ACTIVE": Meaning(
        Word.RESOURCE_CONFLICT,
        "The number is not ACTIVE yet. Declare these settings once its Status is ACTIVE, or set WaitForActive: true.",
        passes=True,
    ),
    "RESOURCE_ALREADY_ASSOCIATED": Meaning(Word.RESOURCE_CONFLICT, "Take it out of the pool that it is in first."),
    "MESSAGE_TYPE_MISMATCH": Meaning(Word.RESOURCE_CONFLICT, "Every identity of a pool has the pool's MessageType."),
    "TWO_WAY_CONFIG_MISMATCH": Meaning(
        Word.RESOURCE_CONFLICT, "Every number of a pool has the pool's two-way settings."
    ),
    "OPT_OUT_LIST_MISMATCH": Meaning(Word.RESOURCE_CONFLICT, "Every number of a pool uses the pool's OptOutListName."),
    "SELF_MANAGED_OPT_OUTS_MISMATCH": Meaning(
        Word.RESOURCE_CONFLICT, "Every number of a pool has the pool's SelfManagedOptOutsEnabled."
    ),
    "KEYWORD_MISMATCH": Meaning(Word.RESOURCE_CONFLICT, "Every number of a pool has the pool's keywords."),
    # ValidationException (enum ValidationExceptionReason)
    "RESOURCE_NOT_ACCESSIBLE": Meaning(
        Word.ACCESS_DENIED,
        "Check that TwoWay.ChannelRole trusts sms-voice.amazonaws.com and may publish to TwoWay.ChannelArn.",
        # A role that was created a moment ago is not visible everywhere (observed by terraform-provider-aws).
        passes=True,
    ),
    "SENDER_ID_REQUIRES_REGISTRATION": Meaning(
        Word.INVALID_REQUEST,
        "This country wants the sender ID registered: submit a registration; the sender ID is provisioned on its approval.",
        # Also answered for a while after a release of the same sender ID (observed by terraform-provider-aws).
        passes=True,
    ),
    "SENDER_ID_NOT_SUPPORTED": Meaning(
        Word.INVALID_REQUEST, "This country does not support sender IDs: use a phone number."
    ),
    "COUNTRY_NOT_ENABLED": Meaning(Word.INVALID_REQUEST, "Enable the country in the account's protect configuration."),
    "PHONE_NUMBER_CANNOT_BE_RELEASED": Meaning(Word.RESOURCE_CONFLICT, "Ask AWS Support to release this number."),
    # ServiceQuotaExceededException (enum ServiceQuotaExceededExceptionReason)
    "PHONE_NUMBERS_PER_ACCOUNT": Meaning(
        Word.SERVICE_LIMIT_EXCEEDED, "Release a number or ask for a higher quota in Service Quotas."
    ),
    "PHONE_NUMBERS_PER_REGISTRATION": Meaning(
        Word.SERVICE_LIMIT_EXCEEDED, "This registration holds as many numbers as it may: use another campaign."
    ),
    "SENDER_IDS_PER_ACCOUNT": Meaning(
        Word.SERVICE_LIMIT_EXCEEDED, "Release a sender ID or ask for a higher quota in Service Quotas."
    ),
    # AccessDeniedException (enum AccessDeniedExceptionReason)
    "INSUFFICIENT_ACCOUNT_REPUTATION": Meaning(
        Word.ACCESS_DENIED, "Ask AWS Support about the reputation of this account."
    ),
    "ACCOUNT_DISABLED": Meaning(Word.ACCESS_DENIED, "Ask AWS Support to enable this account."),
}

BY_CODE: Mapping[str, Meaning] = {
    "ValidationException": Meaning(Word.INVALID_REQUEST),
    "InvalidParameterException": Meaning(Word.INVALID_REQUEST),
    "InvalidRequestException": Meaning(Word.INVALID_REQUEST),
    "AccessDeniedException": Meaning(
        Word.ACCESS_DENIED,
        "Allow this action in the provider's role, its permissions boundary and the account's policies.",
    ),
    "UnrecognizedClientException": Meaning(Word.ACCESS_DENIED),
    "ExpiredTokenException": Meaning(Word.ACCESS_DENIED),
    "ResourceNotFoundException": Meaning(Word.NOT_FOUND),
    # More than one operation on the same resource at the same time (pinpoint-sms-voice-v2, ConflictException without Reason).
    "ConflictException": Meaning(Word.RESOURCE_CONFLICT, passes=True),
    "ResourceInUseException": Meaning(Word.RESOURCE_CONFLICT, passes=True),
    "ResourceConflictException": Meaning(Word.RESOURCE_CONFLICT, passes=True),
    "IdempotencyException": Meaning(Word.RESOURCE_CONFLICT),
    "ServiceQuotaExceededException": Meaning(Word.SERVICE_LIMIT_EXCEEDED, "Ask for a higher quota in Service Quotas."),
}

_MESSAGE = 500
"""Characters of a service's own message that a Reason repeats."""

# botocore.retries.standard: what ThrottledRetryableChecker takes for a throttle, whatever the service calls it ...
_THROTTLES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "RequestThrottled",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "SlowDown",
        "PriorRequestNotComplete",
        "EC2ThrottledException",
    }
)
# ... and TransientRetryableChecker for a fault on the way; the services' own names for a fault of theirs.
_FAULTS = frozenset(
    {"RequestTimeout", "RequestTimeoutException", "InternalServerException", "InternalServiceException"}
)
_REFUSED, _TOO_MANY, _TIMEOUT, _FAULT = 400, 429, 408, 500
"""HTTP status codes."""


def from_client_error(error: ClientError | BotoCoreError, operation: str) -> TelephonyError:
    """Tell what a failed AWS call means.

    A modelled 4xx is a Failure: it had no effect. A throttle is Throttled. A 5xx, a broken or silent connection, or
    anything not understood is Undecided, because the service may have done the work.
    """
    if isinstance(error, ClientError):
        return _from_answer(error, operation)
    if isinstance(error, ParamValidationError):
        # botocore refused to send it: a fault of this provider, and certain to have had no effect.
        return Failure(Word.INTERNAL_FAILURE, f"{operation} was not sent: its parameters do not fit the API's model.")
    if isinstance(error, NoCredentialsError):
        return Undecided(f"{operation} was not sent: the function has no credentials.", word=Word.ACCESS_DENIED)
    if isinstance(error, (EndpointConnectionError, ConnectTimeoutError)):
        return Undecided(f"{operation} found no connection to the service.", word=Word.NETWORK_FAILURE)
    # The class alone: the text of a connection error may hold a whole request.
    return Undecided(f"{operation} got no answer ({type(error).__name__}).", word=Word.NETWORK_FAILURE)


def _from_answer(error: ClientError, operation: str) -> TelephonyError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", "")).strip().partition("\n")[0][:_MESSAGE]
    reason = str(error.response.get("Reason") or "")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _THROTTLES or status == _TOO_MANY:
        return Throttled(f"{operation} was throttled.")
    meaning = BY_REASON.get(reason) or BY_CODE.get(code)
    definite = _REFUSED <= status < _FAULT and status != _TIMEOUT
    if code in _FAULTS or not (definite or (meaning is not None and not status)):
        return Undecided(f"{operation} failed inside the service ({code or status}).", word=Word.SERVICE_INTERNAL_ERROR)
    meaning = meaning or Meaning(Word.INVALID_REQUEST)
    if code == "ConflictException" and reason and reason not in BY_REASON:
        meaning = Meaning(Word.RESOURCE_CONFLICT)
    # Connect has no code of its own for a lost race (terraform-provider-aws#45572).
    kind: type[Failure] = Unsettled if meaning.passes else Failure
    if operation == "ClaimPhoneNumber" and "not available" in message.lower():
        kind, meaning = Unavailable, Meaning(Word.RESOURCE_CONFLICT)
    named = " ".join(filter(None, (code, reason)))
    fields = "; ".join(f"{field.get('Name')}: {field.get('Message')}" for field in _fields(error))
    text = " ".join(filter(None, (message.rstrip("."), f"[{fields}]" if fields else "")))
    return kind(
        meaning.word, f"{operation} refused: {text or named} ({named}).", meaning.cure, code=code, reason=reason
    )


def _fields(error: ClientError) -> list[Mapping[str, str]]:
    """A ValidationException of pinpoint-sms-voice-v2 names the fields it objects to, beside its message."""
    fields = error.response.get("Fields")
    return fields if isinstance(fields, list) else []
