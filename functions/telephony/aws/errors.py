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

from telephony.errors import (
    HandlerError,
    HandlerErrorCode,
    NumberUnavailableError,
    RetryableError,
    TelephonyError,
    ThrottledError,
    UnknownOutcomeError,
)

CALL_ERRORS = (ClientError, BotoCoreError)
"""All that a call of the SDK raises."""


@attrs.frozen(repr=False, eq=False)
class ErrorMeaning:
    """What a refusal means to the person who reads it, and whether it retryable with time."""

    error_code: HandlerErrorCode
    remedy: str = ""
    retryable: bool = False


BY_REASON: Mapping[str, ErrorMeaning] = {
    # ConflictException (enum ConflictExceptionReason of the pinpoint-sms-voice-v2 model)
    "DELETION_PROTECTION_ENABLED": ErrorMeaning(
        HandlerErrorCode.RESOURCE_CONFLICT,
        "Switch the protection off (DeletionProtectionEnabled: false in an update, or UpdatePhoneNumber or UpdateSenderId where the stack can no longer be updated) and delete again. OnDelete: {LiftDeletionProtection: true}, declared beforehand, does that by itself.",
    ),
    "PHONE_NUMBER_ASSOCIATED_TO_POOL": ErrorMeaning(
        HandlerErrorCode.RESOURCE_CONFLICT,
        "Take the number out of its pool (DisassociateOriginationIdentity) and try again. OnDelete: {LeavePools: true}, declared beforehand, does that by itself for a delete. The settings of a pooled number are the pool's.",
    ),
    "SENDER_ID_ASSOCIATED_TO_POOL": ErrorMeaning(
        HandlerErrorCode.RESOURCE_CONFLICT,
        "Take the sender ID out of its pools (DisassociateOriginationIdentity) and delete again. OnDelete: {LeavePools: true}, declared beforehand, does that by itself.",
    ),
    "LAST_PHONE_NUMBER": ErrorMeaning(
        HandlerErrorCode.RESOURCE_CONFLICT,
        "A pool must keep at least one phone number: add another number to the pool, or delete the pool, and delete again.",
    ),
    "PHONE_NUMBER_ASSOCIATED_TO_REGISTRATION": ErrorMeaning(
        HandlerErrorCode.RESOURCE_CONFLICT,
        "A number whose registration is under review cannot be changed or released: wait for the review to end, or discard the registration.",
    ),
    "REGISTRATION_NOT_COMPLETE": ErrorMeaning(
        HandlerErrorCode.RESOURCE_CONFLICT,
        "Wait until the registration's status is COMPLETE (DescribeRegistrations), then create again.",
    ),
    "RESOURCE_ALREADY_EXISTS": ErrorMeaning(HandlerErrorCode.ALREADY_EXISTS),
    "RESOURCE_NOT_ACTIVE": ErrorMeaning(
        HandlerErrorCode.RESOURCE_CONFLICT,
        "The number is not ACTIVE yet. Declare these settings once its Status is ACTIVE, or set WaitForActive: true.",
        retryable=True,
    ),
    "RESOURCE_ALREADY_ASSOCIATED": ErrorMeaning(
        HandlerErrorCode.RESOURCE_CONFLICT, "Take it out of the pool that it is in first."
    ),
    "MESSAGE_TYPE_MISMATCH": ErrorMeaning(
        HandlerErrorCode.RESOURCE_CONFLICT, "Every identity of a pool has the pool's MessageType."
    ),
    "TWO_WAY_CONFIG_MISMATCH": ErrorMeaning(
        HandlerErrorCode.RESOURCE_CONFLICT, "Every number of a pool has the pool's two-way settings."
    ),
    "OPT_OUT_LIST_MISMATCH": ErrorMeaning(
        HandlerErrorCode.RESOURCE_CONFLICT, "Every number of a pool uses the pool's OptOutListName."
    ),
    "SELF_MANAGED_OPT_OUTS_MISMATCH": ErrorMeaning(
        HandlerErrorCode.RESOURCE_CONFLICT, "Every number of a pool has the pool's SelfManagedOptOutsEnabled."
    ),
    "KEYWORD_MISMATCH": ErrorMeaning(
        HandlerErrorCode.RESOURCE_CONFLICT, "Every number of a pool has the pool's keywords."
    ),
    # ValidationException (enum ValidationExceptionReason)
    "RESOURCE_NOT_ACCESSIBLE": ErrorMeaning(
        HandlerErrorCode.ACCESS_DENIED,
        "Check that TwoWay.ChannelRole trusts sms-voice.amazonaws.com and may publish to TwoWay.ChannelArn.",
        # A role that was created a moment ago is not visible everywhere (observed by terraform-provider-aws).
        retryable=True,
    ),
    "SENDER_ID_REQUIRES_REGISTRATION": ErrorMeaning(
        HandlerErrorCode.INVALID_REQUEST,
        "This country wants the sender ID registered: submit a registration; the sender ID is provisioned on its approval.",
        # Also answered for a while after a release of the same sender ID (observed by terraform-provider-aws).
        retryable=True,
    ),
    "SENDER_ID_NOT_SUPPORTED": ErrorMeaning(
        HandlerErrorCode.INVALID_REQUEST, "This country does not support sender IDs: use a phone number."
    ),
    "COUNTRY_NOT_ENABLED": ErrorMeaning(
        HandlerErrorCode.INVALID_REQUEST, "Enable the country in the account's protect configuration."
    ),
    "PHONE_NUMBER_CANNOT_BE_RELEASED": ErrorMeaning(
        HandlerErrorCode.RESOURCE_CONFLICT, "Ask AWS Support to release this number."
    ),
    # ServiceQuotaExceededException (enum ServiceQuotaExceededExceptionReason)
    "PHONE_NUMBERS_PER_ACCOUNT": ErrorMeaning(
        HandlerErrorCode.SERVICE_LIMIT_EXCEEDED, "Release a number or ask for a higher quota in Service Quotas."
    ),
    "PHONE_NUMBERS_PER_REGISTRATION": ErrorMeaning(
        HandlerErrorCode.SERVICE_LIMIT_EXCEEDED,
        "This registration holds as many numbers as it may: use another campaign.",
    ),
    "SENDER_IDS_PER_ACCOUNT": ErrorMeaning(
        HandlerErrorCode.SERVICE_LIMIT_EXCEEDED, "Release a sender ID or ask for a higher quota in Service Quotas."
    ),
    # AccessDeniedException (enum AccessDeniedExceptionReason)
    "INSUFFICIENT_ACCOUNT_REPUTATION": ErrorMeaning(
        HandlerErrorCode.ACCESS_DENIED, "Ask AWS Support about the reputation of this account."
    ),
    "ACCOUNT_DISABLED": ErrorMeaning(HandlerErrorCode.ACCESS_DENIED, "Ask AWS Support to enable this account."),
}

BY_CODE: Mapping[str, ErrorMeaning] = {
    "ValidationException": ErrorMeaning(HandlerErrorCode.INVALID_REQUEST),
    "InvalidParameterException": ErrorMeaning(HandlerErrorCode.INVALID_REQUEST),
    "InvalidRequestException": ErrorMeaning(HandlerErrorCode.INVALID_REQUEST),
    "AccessDeniedException": ErrorMeaning(
        HandlerErrorCode.ACCESS_DENIED,
        "Allow this action in the provider's role, its permissions boundary and the account's policies.",
    ),
    "UnrecognizedClientException": ErrorMeaning(HandlerErrorCode.ACCESS_DENIED),
    "ExpiredTokenException": ErrorMeaning(HandlerErrorCode.ACCESS_DENIED),
    "ResourceNotFoundException": ErrorMeaning(HandlerErrorCode.NOT_FOUND),
    # More than one operation on the same resource at the same time (pinpoint-sms-voice-v2, ConflictException without Reason).
    "ConflictException": ErrorMeaning(HandlerErrorCode.RESOURCE_CONFLICT, retryable=True),
    "ResourceInUseException": ErrorMeaning(HandlerErrorCode.RESOURCE_CONFLICT, retryable=True),
    "ResourceConflictException": ErrorMeaning(HandlerErrorCode.RESOURCE_CONFLICT, retryable=True),
    "IdempotencyException": ErrorMeaning(HandlerErrorCode.RESOURCE_CONFLICT),
    "ServiceQuotaExceededException": ErrorMeaning(
        HandlerErrorCode.SERVICE_LIMIT_EXCEEDED, "Ask for a higher quota in Service Quotas."
    ),
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

    A modelled 4xx is a HandlerError: it had no effect. A throttle is ThrottledError. A 5xx, a broken or silent connection, or
    anything not understood is UnknownOutcomeError, because the service may have done the work.
    """
    if isinstance(error, ClientError):
        return _from_answer(error, operation)
    if isinstance(error, ParamValidationError):
        # botocore refused to send it: a fault of this provider, and certain to have had no effect.
        return HandlerError(
            HandlerErrorCode.INTERNAL_FAILURE, f"{operation} was not sent: its parameters do not fit the API's model."
        )
    if isinstance(error, NoCredentialsError):
        return UnknownOutcomeError(
            f"{operation} was not sent: the function has no credentials.", error_code=HandlerErrorCode.ACCESS_DENIED
        )
    if isinstance(error, (EndpointConnectionError, ConnectTimeoutError)):
        return UnknownOutcomeError(
            f"{operation} found no connection to the service.", error_code=HandlerErrorCode.NETWORK_FAILURE
        )
    # The class alone: the text of a connection error may hold a whole request.
    return UnknownOutcomeError(
        f"{operation} got no answer ({type(error).__name__}).", error_code=HandlerErrorCode.NETWORK_FAILURE
    )


def _from_answer(error: ClientError, operation: str) -> TelephonyError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", "")).strip().partition("\n")[0][:_MESSAGE]
    reason = str(error.response.get("Reason") or "")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _THROTTLES or status == _TOO_MANY:
        return ThrottledError(f"{operation} was throttled.")
    meaning = BY_REASON.get(reason) or BY_CODE.get(code)
    definite = _REFUSED <= status < _FAULT and status != _TIMEOUT
    if code in _FAULTS or not (definite or (meaning is not None and not status)):
        return UnknownOutcomeError(
            f"{operation} failed inside the service ({code or status}).",
            error_code=HandlerErrorCode.SERVICE_INTERNAL_ERROR,
        )
    meaning = meaning or ErrorMeaning(HandlerErrorCode.INVALID_REQUEST)
    if code == "ConflictException" and reason and reason not in BY_REASON:
        meaning = ErrorMeaning(HandlerErrorCode.RESOURCE_CONFLICT)
    # Connect has no code of its own for a lost race (terraform-provider-aws#45572).
    kind: type[HandlerError] = RetryableError if meaning.retryable else HandlerError
    if operation == "ClaimPhoneNumber" and "not available" in message.lower():
        kind, meaning = NumberUnavailableError, ErrorMeaning(HandlerErrorCode.RESOURCE_CONFLICT)
    named = " ".join(filter(None, (code, reason)))
    fields = "; ".join(f"{field.get('Name')}: {field.get('Message')}" for field in _fields(error))
    text = " ".join(filter(None, (message.rstrip("."), f"[{fields}]" if fields else "")))
    return kind(
        meaning.error_code,
        f"{operation} refused: {text or named} ({named}).",
        meaning.remedy,
        aws_code=code,
        aws_reason=reason,
    )


def _fields(error: ClientError) -> list[Mapping[str, str]]:
    """A ValidationException of pinpoint-sms-voice-v2 names the fields it objects to, beside its message."""
    fields = error.response.get("Fields")
    return fields if isinstance(fields, list) else []
