"""What the errors of AWS calls mean: error code, remedy, and whether a retry can help."""

from collections.abc import Mapping

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
)

from telephony import redaction
from telephony.data import data
from telephony.errors import (
    HandlerError,
    NotFoundError,
    NumberUnavailableError,
    RetryableError,
    TelephonyError,
    ThrottledError,
    UnknownOutcomeError,
)
from telephony.errors import HandlerErrorCode as Code

CALL_ERRORS = (ClientError, BotoCoreError)
"""Every exception that an SDK call raises."""


@data
class ErrorMeaning:
    """The meaning of a refusal."""

    error_code: Code
    remedy: str = ""
    retryable: bool = False
    """The refusal can be temporary."""


BY_REASON: Mapping[str, ErrorMeaning] = {
    # ConflictException (enum ConflictExceptionReason of the pinpoint-sms-voice-v2 model)
    "DELETION_PROTECTION_ENABLED": ErrorMeaning(
        Code.RESOURCE_CONFLICT,
        "Disable deletion protection (DeletionProtectionEnabled: false in an update, or UpdatePhoneNumber or UpdateSenderId if the stack can't be updated) and delete again. To allow this on delete, declare OnDelete: {LiftDeletionProtection: true} beforehand.",
    ),
    "PHONE_NUMBER_ASSOCIATED_TO_POOL": ErrorMeaning(
        Code.RESOURCE_CONFLICT,
        "Remove the phone number from its pool (DisassociateOriginationIdentity) and try again. To allow this on delete, declare OnDelete: {LeavePools: true} beforehand. The pool determines the settings of its phone numbers.",
    ),
    "SENDER_ID_ASSOCIATED_TO_POOL": ErrorMeaning(
        Code.RESOURCE_CONFLICT,
        "Remove the sender ID from its pools (DisassociateOriginationIdentity) and delete again. To allow this on delete, declare OnDelete: {LeavePools: true} beforehand.",
    ),
    "LAST_PHONE_NUMBER": ErrorMeaning(
        Code.RESOURCE_CONFLICT,
        "A pool must contain at least one phone number. Add another phone number to the pool, or delete the pool, and delete again.",
    ),
    "PHONE_NUMBER_ASSOCIATED_TO_REGISTRATION": ErrorMeaning(
        Code.RESOURCE_CONFLICT,
        "A phone number can't be changed or released while its registration is under review. Wait until the review ends, or discard the registration.",
    ),
    "REGISTRATION_NOT_COMPLETE": ErrorMeaning(
        Code.RESOURCE_CONFLICT,
        "Wait until the status of the registration is COMPLETE (DescribeRegistrations), then create again.",
    ),
    "RESOURCE_ALREADY_EXISTS": ErrorMeaning(Code.ALREADY_EXISTS),
    "RESOURCE_NOT_ACTIVE": ErrorMeaning(
        Code.RESOURCE_CONFLICT,
        "The phone number isn't ACTIVE yet. Declare these settings when its Status is ACTIVE, or set WaitForActive: true.",
        retryable=True,
    ),
    "RESOURCE_ALREADY_ASSOCIATED": ErrorMeaning(Code.RESOURCE_CONFLICT, "Remove it from its current pool first."),
    "MESSAGE_TYPE_MISMATCH": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "All identities in a pool must have the MessageType of the pool."
    ),
    "TWO_WAY_CONFIG_MISMATCH": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "All phone numbers in a pool must have the two-way settings of the pool."
    ),
    "OPT_OUT_LIST_MISMATCH": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "All phone numbers in a pool must use the OptOutListName of the pool."
    ),
    "SELF_MANAGED_OPT_OUTS_MISMATCH": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "All phone numbers in a pool must have the SelfManagedOptOutsEnabled value of the pool."
    ),
    "KEYWORD_MISMATCH": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "All phone numbers in a pool must have the keywords of the pool."
    ),
    # ValidationException (enum ValidationExceptionReason)
    "RESOURCE_NOT_ACCESSIBLE": ErrorMeaning(
        Code.ACCESS_DENIED,
        "Check that TwoWay.ChannelRole trusts sms-voice.amazonaws.com and can publish to TwoWay.ChannelArn.",
        # IAM takes time to propagate a new role (observed by terraform-provider-aws).
        retryable=True,
    ),
    "SENDER_ID_REQUIRES_REGISTRATION": ErrorMeaning(
        Code.INVALID_REQUEST,
        "This country requires registration. Submit a registration; the service creates the sender ID when it is approved.",
        # The service also answers this for some time after the same sender ID was released (observed by terraform-provider-aws).
        retryable=True,
    ),
    "SENDER_ID_NOT_SUPPORTED": ErrorMeaning(
        Code.INVALID_REQUEST, "This country doesn't support sender IDs. Use a phone number."
    ),
    "COUNTRY_NOT_ENABLED": ErrorMeaning(
        Code.INVALID_REQUEST, "Enable the country in the protect configuration of the account."
    ),
    "PHONE_NUMBER_CANNOT_BE_RELEASED": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "Ask AWS Support to release this phone number."
    ),
    # ServiceQuotaExceededException (enum ServiceQuotaExceededExceptionReason)
    "PHONE_NUMBERS_PER_ACCOUNT": ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED, "Release a phone number, or request a quota increase in Service Quotas."
    ),
    "PHONE_NUMBERS_PER_REGISTRATION": ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED, "This registration has reached its limit of phone numbers. Use another campaign."
    ),
    "SENDER_IDS_PER_ACCOUNT": ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED, "Release a sender ID, or request a quota increase in Service Quotas."
    ),
    # AccessDeniedException (enum AccessDeniedExceptionReason)
    "INSUFFICIENT_ACCOUNT_REPUTATION": ErrorMeaning(
        Code.ACCESS_DENIED, "Contact AWS Support about the reputation of this account."
    ),
    "ACCOUNT_DISABLED": ErrorMeaning(Code.ACCESS_DENIED, "Contact AWS Support to enable this account."),
}

BY_CODE: Mapping[str, ErrorMeaning] = {
    "ValidationException": ErrorMeaning(Code.INVALID_REQUEST),
    "InvalidParameterException": ErrorMeaning(Code.INVALID_REQUEST),
    "InvalidRequestException": ErrorMeaning(Code.INVALID_REQUEST),
    "AccessDeniedException": ErrorMeaning(
        Code.ACCESS_DENIED,
        "Allow this action in the provider's role, its permissions boundary and the policies of the account.",
    ),
    "AccessDenied": ErrorMeaning(Code.ACCESS_DENIED, "Allow this action in the provider's role."),
    "UnrecognizedClientException": ErrorMeaning(Code.ACCESS_DENIED),
    "ExpiredTokenException": ErrorMeaning(Code.ACCESS_DENIED),
    "ResourceNotFoundException": ErrorMeaning(Code.NOT_FOUND),
    # Concurrent operations on one resource (pinpoint-sms-voice-v2, ConflictException without Reason).
    "ConflictException": ErrorMeaning(Code.RESOURCE_CONFLICT, retryable=True),
    "ResourceInUseException": ErrorMeaning(Code.RESOURCE_CONFLICT, retryable=True),
    "ResourceConflictException": ErrorMeaning(Code.RESOURCE_CONFLICT, retryable=True),
    "IdempotencyException": ErrorMeaning(Code.RESOURCE_CONFLICT),
    "ServiceQuotaExceededException": ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED, "Request a quota increase in Service Quotas."
    ),
    # Amazon Connect, HTTP 429: "The allowed limit for the resource has been exceeded."
    "LimitExceededException": ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED,
        "Release phone numbers, or request a quota increase for Amazon Connect in Service Quotas. Claims and releases of "
        "the last 180 days also count against the quota.",
    ),
}

# Source: botocore.retries.standard, ThrottledRetryableChecker. It also lists LimitExceededException, which is a quota.
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
        "SlowDown",
        "PriorRequestNotComplete",
        "EC2ThrottledException",
    }
)
# Source: botocore.retries.standard, TransientRetryableChecker; and the services' names for an internal error.
_INTERNAL_ERRORS = frozenset(
    {"RequestTimeout", "RequestTimeoutException", "InternalServerException", "InternalServiceException"}
)
_BAD_REQUEST, _REQUEST_TIMEOUT, _TOO_MANY_REQUESTS, _INTERNAL_SERVER_ERROR = 400, 408, 429, 500
"""HTTP status codes."""


def from_client_error(error: ClientError | BotoCoreError, operation: str) -> TelephonyError:
    """Return the exception for a failed AWS call.

    A modeled 4xx is a HandlerError: the call had no effect. A throttle is a ThrottledError. A 5xx, a broken connection, a
    timeout or an unknown error is an UnknownOutcomeError, because the service may have performed the operation.
    """
    if isinstance(error, ClientError):
        return _from_response(error, operation)
    if isinstance(error, ParamValidationError):
        # botocore did not send the call, so it had no effect.
        return HandlerError(
            Code.INTERNAL_FAILURE, f"{operation} was not sent: its parameters do not match the API model."
        )
    if isinstance(error, NoCredentialsError):
        return UnknownOutcomeError(
            f"{operation} was not sent: the function has no credentials.", error_code=Code.ACCESS_DENIED
        )
    if isinstance(error, (EndpointConnectionError, ConnectTimeoutError)):
        return UnknownOutcomeError(f"{operation} could not connect to the service.", error_code=Code.NETWORK_FAILURE)
    # Only the class: the text of a connection error may hold a whole request.
    return UnknownOutcomeError(
        f"{operation} received no response ({type(error).__name__}).", error_code=Code.NETWORK_FAILURE
    )


def _from_response(error: ClientError, operation: str) -> TelephonyError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", ""))
    reason = str(error.response.get("Reason") or "")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _THROTTLES or (status == _TOO_MANY_REQUESTS and code not in BY_CODE):
        return ThrottledError(f"{operation} was throttled.")
    meaning = BY_REASON.get(reason) or BY_CODE.get(code)
    refused = _BAD_REQUEST <= status < _INTERNAL_SERVER_ERROR and status != _REQUEST_TIMEOUT
    if code in _INTERNAL_ERRORS or not (refused or (meaning is not None and not status)):
        return UnknownOutcomeError(
            f"{operation} failed with an internal error of the service ({code or status}).",
            error_code=Code.SERVICE_INTERNAL_ERROR,
        )
    meaning = meaning or ErrorMeaning(Code.INVALID_REQUEST)
    if code == "ConflictException" and reason and reason not in BY_REASON:
        meaning = ErrorMeaning(Code.RESOURCE_CONFLICT)
    kind: type[HandlerError] = RetryableError if meaning.retryable else HandlerError
    if meaning.error_code is Code.NOT_FOUND:
        kind = NotFoundError
    # CloudFormation has no error code for a stack that does not exist.
    if code == "ValidationError" and "does not exist" in message:
        kind, meaning = NotFoundError, ErrorMeaning(Code.NOT_FOUND)
    # Connect has no error code for a number that another caller claimed first (terraform-provider-aws#45572).
    if operation == "ClaimPhoneNumber" and "not available" in message.lower():
        kind, meaning = NumberUnavailableError, ErrorMeaning(Code.RESOURCE_CONFLICT)
    error_name = " ".join(filter(None, (code, reason)))
    fields = redaction.shown("; ".join(f"{field.get('Name')}: {field.get('Message')}" for field in _fields(error)))
    text = " ".join(filter(None, (redaction.shown(message).rstrip("."), f"[{fields}]" if fields else "")))
    return kind(
        meaning.error_code,
        f"{operation} failed: {text or error_name} ({error_name}).",
        meaning.remedy,
        aws_code=code,
        aws_reason=reason,
    )


def _fields(error: ClientError) -> list[Mapping[str, str]]:
    """Return the fields that a ValidationException of pinpoint-sms-voice-v2 names besides its message."""
    fields = error.response.get("Fields")
    return fields if isinstance(fields, list) else []
