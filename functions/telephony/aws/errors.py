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
    LimitExceededError,
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
        "Disable deletion protection (DeletionProtectionEnabled: false in an update, or with the API of the service if the stack can't be updated) and delete again. To allow this on delete, declare OnDelete: {LiftDeletionProtection: true} beforehand.",
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
    "PHONE_NUMBER_NOT_ASSOCIATED_TO_POOL": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "The phone number has left the pool since it was read. Redeploy the stack."
    ),
    "PHONE_NUMBER_NOT_IN_REGISTRATION_REGION": ErrorMeaning(
        Code.RESOURCE_CONFLICT,
        "Deploy the stack in the Region of the registration, or declare a registration of this Region.",
    ),
    "POOL_ASSOCIATED_TO_NOTIFY_CONFIGURATION": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "Remove the pool from the notify configuration that uses it, then redeploy the stack."
    ),
    "NO_ORIGINATION_IDENTITIES_FOUND": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "Add an origination identity to the pool, then redeploy the stack."
    ),
    "REGISTRATION_ALREADY_SUBMITTED": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "Wait until the review of the registration ends, or discard its submitted version."
    ),
    "DISASSOCIATE_REGISTRATION_NOT_ALLOWED": ErrorMeaning(
        Code.RESOURCE_CONFLICT,
        "Discard the registration, or wait until its review ends, then delete again. If the service still refuses, contact AWS Support.",
    ),
    "RESOURCE_ALREADY_EXISTS": ErrorMeaning(
        Code.ALREADY_EXISTS, "Declare another name, or delete the existing resource first."
    ),
    "RESOURCE_DELETION_NOT_ALLOWED": ErrorMeaning(
        Code.RESOURCE_CONFLICT,
        "Remove what the message says still uses the resource, and delete again. If nothing does, contact AWS Support.",
    ),
    "RESOURCE_MODIFICATION_NOT_ALLOWED": ErrorMeaning(
        Code.RESOURCE_CONFLICT,
        "Revert the change, or wait until the status of the resource is ACTIVE and its registration is not under review.",
    ),
    "RESOURCE_NOT_EMPTY": ErrorMeaning(Code.RESOURCE_CONFLICT, "Remove what the resource contains, then delete again."),
    "RESOURCE_NOT_ACTIVE": ErrorMeaning(
        Code.RESOURCE_CONFLICT,
        "The resource isn't ACTIVE yet. Declare these settings when its Status is ACTIVE, or set WaitForActive: true.",
        retryable=True,
    ),
    "RESOURCE_ALREADY_ASSOCIATED": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "Remove it from its current pool or registration first."
    ),
    "MESSAGE_TYPE_MISMATCH": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "All identities in a pool must have the MessageType of the pool."
    ),
    "NUMBER_CAPABILITIES_MISMATCH": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "All phone numbers in a pool must have the NumberCapabilities of the pool."
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
    "SENDER_ID_NOT_REGISTERED": ErrorMeaning(
        Code.INVALID_REQUEST, "Register the sender ID for this country, and wait until the registration is COMPLETE."
    ),
    "COUNTRY_CODE_MISMATCH": ErrorMeaning(
        Code.INVALID_REQUEST, "Declare the IsoCountryCode of the resource that the message names."
    ),
    "CHANNEL_NOT_ENABLED": ErrorMeaning(
        Code.INVALID_REQUEST, "Remove the channel from NumberCapabilities, or enable it for the account."
    ),
    "VOICE_CAPABILITY_NOT_AVAILABLE": ErrorMeaning(
        Code.INVALID_REQUEST, "Remove VOICE from NumberCapabilities, or declare another NumberType or IsoCountryCode."
    ),
    "INTERNATIONAL_SENDING_NOT_SUPPORTED": ErrorMeaning(
        Code.INVALID_REQUEST, "Remove InternationalSendingEnabled, or declare a NumberType and country that support it."
    ),
    "INVALID_REGISTRATION_ASSOCIATION": ErrorMeaning(
        Code.INVALID_REQUEST, "Declare the RegistrationId of a registration for this country and type of resource."
    ),
    "FIELD_VALIDATION_FAILED": ErrorMeaning(
        Code.INVALID_REQUEST, "Correct the properties that the message lists, then redeploy the stack."
    ),
    "INVALID_ARN": ErrorMeaning(
        Code.INVALID_REQUEST,
        "Correct the ARN that the message names. Its resource must exist in this account and Region.",
    ),
    "MISSING_PARAMETER": ErrorMeaning(
        Code.INVALID_REQUEST, "Declare the property that the message names, then redeploy the stack."
    ),
    "PARAMETERS_CANNOT_BE_USED_TOGETHER": ErrorMeaning(
        Code.INVALID_REQUEST, "Remove one of the properties that the message names, then redeploy the stack."
    ),
    "UNSPECIFIED_PARAMETER_NOT_SUPPORTED": ErrorMeaning(
        Code.INVALID_REQUEST, "Declare a value for the property that the message names, then redeploy the stack."
    ),
    "TWO_WAY_NOT_ENABLED": ErrorMeaning(Code.INVALID_REQUEST, "Declare TwoWay.Enabled: true, or remove what needs it."),
    "TWO_WAY_NOT_SUPPORTED_IN_COUNTRY": ErrorMeaning(
        Code.INVALID_REQUEST, "Remove TwoWay, or declare another IsoCountryCode or NumberType."
    ),
    "TWO_WAY_NOT_SUPPORTED_IN_REGION": ErrorMeaning(
        Code.INVALID_REQUEST, "Remove TwoWay, or deploy the stack in a Region that supports it."
    ),
    "TWO_WAY_CHANNEL_NOT_PRESENT": ErrorMeaning(
        Code.INVALID_REQUEST, "Create the topic or instance that TwoWay.ChannelArn names, or correct the ARN."
    ),
    "TWO_WAY_TOPIC_NOT_PRESENT": ErrorMeaning(
        Code.INVALID_REQUEST, "Create the topic that TwoWay.ChannelArn names, or correct the ARN."
    ),
    "COUNTRY_NOT_ENABLED": ErrorMeaning(
        Code.INVALID_REQUEST, "Enable the country in the protect configuration of the account."
    ),
    "PHONE_NUMBER_CANNOT_BE_RELEASED": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "Ask AWS Support to release this phone number."
    ),
    # ServiceQuotaExceededException (enum ServiceQuotaExceededExceptionReason)
    "PHONE_NUMBERS_PER_ACCOUNT": ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED,
        "Release a phone number, or request a quota increase in Service Quotas. Phone numbers that are pending release also count.",
    ),
    "PHONE_NUMBERS_PER_REGISTRATION": ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED, "This registration has reached its limit of phone numbers. Use another campaign."
    ),
    "SENDER_IDS_PER_ACCOUNT": ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED, "Release a sender ID, or request a quota increase in Service Quotas."
    ),
    "ORIGINATION_IDENTITIES_PER_POOL": ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED, "Remove a member from the pool, declare another pool, or request a quota increase."
    ),
    "ASSOCIATIONS_PER_REGISTRATION": ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED,
        "This registration has reached its limit of associations. Use another registration.",
    ),
    "KEYWORDS_PER_PHONE_NUMBER": ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED, "Declare fewer OptionalKeywords, then redeploy the stack."
    ),
    "KEYWORDS_PER_POOL": ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED, "Delete keywords of the pool, then redeploy the stack."
    ),
    "TAGS_PER_RESOURCE": ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED, "Declare fewer Tags. The provider's own tags also count."
    ),
    # AccessDeniedException (enum AccessDeniedExceptionReason)
    "INSUFFICIENT_ACCOUNT_REPUTATION": ErrorMeaning(
        Code.ACCESS_DENIED, "Contact AWS Support about the reputation of this account."
    ),
    "ACCOUNT_DISABLED": ErrorMeaning(Code.ACCESS_DENIED, "Contact AWS Support to enable this account."),
}

_CORRECT = "Correct the property that the message names, then redeploy the stack."
_ALLOW = "Allow this action in the provider's role, its permissions boundary and the policies of the account."
_CREDENTIALS = (
    "Check that the provider's role exists and that the Region is enabled for the account, then redeploy the stack."
)
_IN_PROGRESS = "Another operation uses the resource. Wait until it ends, then redeploy the stack."
_RESOLVE = "Resolve the conflict that the message names, then redeploy the stack."

_LIMIT_EXCEEDED = "LimitExceededException"

BY_CODE: Mapping[str, ErrorMeaning] = {
    "ValidationException": ErrorMeaning(Code.INVALID_REQUEST, _CORRECT),
    "InvalidParameterException": ErrorMeaning(Code.INVALID_REQUEST, _CORRECT),
    "InvalidRequestException": ErrorMeaning(Code.INVALID_REQUEST, _CORRECT),
    "AccessDeniedException": ErrorMeaning(Code.ACCESS_DENIED, _ALLOW),
    "AccessDenied": ErrorMeaning(Code.ACCESS_DENIED, _ALLOW),
    "NotAuthorized": ErrorMeaning(Code.ACCESS_DENIED, _ALLOW),
    "OptInRequired": ErrorMeaning(Code.ACCESS_DENIED, "Enable the service or the Region for the account."),
    "UnrecognizedClientException": ErrorMeaning(Code.ACCESS_DENIED, _CREDENTIALS),
    "ExpiredTokenException": ErrorMeaning(Code.ACCESS_DENIED, _CREDENTIALS),
    "ResourceNotFoundException": ErrorMeaning(
        Code.NOT_FOUND,
        "Check that what the message names exists in this account and Region, and correct the property that refers to it.",
    ),
    # Concurrent operations on one resource (pinpoint-sms-voice-v2, ConflictException without Reason).
    "ConflictException": ErrorMeaning(Code.RESOURCE_CONFLICT, _IN_PROGRESS, retryable=True),
    "ResourceInUseException": ErrorMeaning(Code.RESOURCE_CONFLICT, _IN_PROGRESS, retryable=True),
    "ResourceConflictException": ErrorMeaning(Code.RESOURCE_CONFLICT, _IN_PROGRESS, retryable=True),
    "IdempotencyException": ErrorMeaning(
        Code.RESOURCE_CONFLICT, "Redeploy the stack. Each deployment uses a new token."
    ),
    "ServiceQuotaExceededException": ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED, "Request a quota increase in Service Quotas."
    ),
    # Amazon Connect, HTTP 429: "The allowed limit for the resource has been exceeded."
    _LIMIT_EXCEEDED: ErrorMeaning(
        Code.SERVICE_LIMIT_EXCEEDED,
        "Release phone numbers, or request a quota increase for Amazon Connect in Service Quotas. Claims and releases of "
        "the last 180 days also count against the quota.",
    ),
}

THROTTLED = (
    "Redeploy the stack. If this happens often, increase ServiceTimeout, or declare fewer resources per deployment."
)
INTERNAL_ERROR = "Check the AWS Health Dashboard for this service. When it has recovered, redeploy the stack."
UNREACHABLE = "Check that the provider's functions can reach this service: VPC, endpoints, proxy and DNS. Then redeploy the stack."
STATE_TABLE = "Check that the provider's state table exists and is not throttled, and that the provider's roles allow its use. Then redeploy the stack."
"""Remedies for errors after which the request is retried."""

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


def code_of(error: BaseException) -> str:
    """Return the code of an error that a service has returned, or else the class of the exception."""
    response = getattr(error, "response", None) or {}  # None if the connection broke
    return response.get("Error", {}).get("Code") or type(error).__name__


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
            f"{operation} was not sent: the function has no credentials.",
            error_code=Code.ACCESS_DENIED,
            remedy=_CREDENTIALS,
        )
    if isinstance(error, (EndpointConnectionError, ConnectTimeoutError)):
        cause = f"{operation} could not connect to the service."
        return UnknownOutcomeError(cause, error_code=Code.NETWORK_FAILURE, remedy=UNREACHABLE)
    # Only the class: the text of a connection error may hold a whole request.
    cause = f"{operation} received no response ({type(error).__name__})."
    return UnknownOutcomeError(cause, error_code=Code.NETWORK_FAILURE, remedy=UNREACHABLE)


def _from_response(error: ClientError, operation: str) -> TelephonyError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", ""))
    reason = str(error.response.get("Reason") or "")
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _THROTTLES or (status == _TOO_MANY_REQUESTS and code not in BY_CODE):
        return ThrottledError(f"{operation} was throttled.", THROTTLED)
    meaning = BY_REASON.get(reason) or BY_CODE.get(code)
    refused = _BAD_REQUEST <= status < _INTERNAL_SERVER_ERROR and status != _REQUEST_TIMEOUT
    if code in _INTERNAL_ERRORS or not (refused or (meaning is not None and not status)):
        return UnknownOutcomeError(
            f"{operation} failed with an internal error of the service ({code or status}).",
            error_code=Code.SERVICE_INTERNAL_ERROR,
            remedy=INTERNAL_ERROR,
        )
    meaning = meaning or ErrorMeaning(Code.INVALID_REQUEST, _CORRECT)
    if code == "ConflictException" and reason and reason not in BY_REASON:
        meaning = ErrorMeaning(Code.RESOURCE_CONFLICT, _RESOLVE)
    kind: type[HandlerError] = RetryableError if meaning.retryable else HandlerError
    if meaning.error_code is Code.NOT_FOUND:
        kind = NotFoundError
    # CloudFormation has no error code for a stack that does not exist.
    if code == "ValidationError" and "does not exist" in message:
        kind, meaning = (
            NotFoundError,
            ErrorMeaning(Code.NOT_FOUND, "Check that the stack exists in this account and Region."),
        )
    # Nor for a stack of another account (crossplane-contrib/provider-aws#2272).
    if code == "ValidationError" and "doesn't match account" in message:
        meaning = BY_CODE["AccessDenied"]
    # Connect has no error code for a number that another caller claimed first (terraform-provider-aws#45572).
    if operation == "ClaimPhoneNumber" and "not available" in message.lower():
        kind, meaning = NumberUnavailableError, ErrorMeaning(Code.RESOURCE_CONFLICT)
    # It models no error for the limit of claims and releases. A report quotes "allowed limit exceeded".
    limited = code == _LIMIT_EXCEEDED or (
        meaning.error_code is Code.INVALID_REQUEST and "limit exceeded" in message.lower()
    )
    if operation in {"ClaimPhoneNumber", "ImportPhoneNumber"} and limited:
        kind, meaning = LimitExceededError, BY_CODE[_LIMIT_EXCEEDED]
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
