"""What the error codes of AWS calls mean."""

from collections.abc import Mapping

import attrs
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
)

from telephony.errors import Failure, TelephonyError, Throttled, Unavailable, Undecided, Unsettled, Word

CALL_ERRORS = (ClientError, BotoCoreError)
"""All that a call of the SDK raises."""


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
