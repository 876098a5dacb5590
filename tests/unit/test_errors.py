"""How errors of AWS calls are classified: known failure, retryable refusal, throttle, or unknown result."""

from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.loaders import Loader
from botocore.retries.standard import ThrottledRetryableChecker

from telephony.aws.errors import from_client_error
from telephony.errors import (
    HandlerError,
    HandlerErrorCode,
    NotFoundError,
    NumberUnavailableError,
    RetryableError,
    ThrottledError,
    UnknownOutcomeError,
)

URL = "https://sms-voice.us-east-1.amazonaws.com/?X-Amz-Signature=abc"


def client_error(code: str, status: int = 400, message: str = "No.", operation: str = "DoIt", **more: Any) -> Any:
    """Return the provider's exception for a response of the service."""
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
        **more,
    }
    return from_client_error(ClientError(response, operation), operation)


@pytest.mark.parametrize(
    ("code", "error_code"),
    [
        ("ValidationException", HandlerErrorCode.INVALID_REQUEST),
        ("InvalidParameterException", HandlerErrorCode.INVALID_REQUEST),
        ("InvalidRequestException", HandlerErrorCode.INVALID_REQUEST),
        ("AccessDeniedException", HandlerErrorCode.ACCESS_DENIED),
        ("ResourceNotFoundException", HandlerErrorCode.NOT_FOUND),
        ("ServiceQuotaExceededException", HandlerErrorCode.SERVICE_LIMIT_EXCEEDED),
        ("LimitExceededException", HandlerErrorCode.SERVICE_LIMIT_EXCEEDED),
        ("IdempotencyException", HandlerErrorCode.RESOURCE_CONFLICT),
        ("SomethingNewException", HandlerErrorCode.INVALID_REQUEST),
    ],
)
def test_refusal_is_a_failure_with_operation_message_and_code(code: str, error_code: HandlerErrorCode) -> None:
    failure = client_error(code)

    assert type(failure) is (NotFoundError if error_code is HandlerErrorCode.NOT_FOUND else HandlerError)
    assert failure.error_code is error_code
    assert all(fact in str(failure) for fact in (f"{error_code}: ", "DoIt", "No", f"({code})"))


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        ("ConflictException", "", RetryableError),
        ("ResourceInUseException", "", RetryableError),
        ("ResourceConflictException", "", RetryableError),
        ("ConflictException", "RESOURCE_NOT_ACTIVE", RetryableError),
        ("ConflictException", "RESOURCE_NOT_ACCESSIBLE", RetryableError),
        ("ConflictException", "DELETION_PROTECTION_ENABLED", HandlerError),
        ("ConflictException", "LAST_PHONE_NUMBER", HandlerError),
        ("ConflictException", "SOMETHING_NEW", HandlerError),
    ],
)
def test_conflict_is_retryable_unless_its_reason_is_permanent(code: str, reason: str, kind: type[HandlerError]) -> None:
    assert type(client_error(code, Reason=reason)) is kind


QUOTA = "LimitExceededException"
"""Botocore takes it for a throttle. In the model of Amazon Connect it is an exceeded limit, with HTTP status 429."""


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *((code, 400) for code in vars(ThrottledRetryableChecker)["_THROTTLED_ERROR_CODES"] if code != QUOTA),
        ("SomethingNew", 429),
    ],
)
def test_throttling_codes_of_botocore_and_status_429_are_throttles(code: str, status: int) -> None:
    assert type(client_error(code, status)) is ThrottledError


def test_exceeded_limit_of_connect_is_a_quota_whatever_its_status() -> None:
    failure = client_error(
        QUOTA, Loader().load_service_model("connect", "service-2")["shapes"][QUOTA]["error"]["httpStatusCode"]
    )

    assert type(failure) is HandlerError
    assert failure.error_code is HandlerErrorCode.SERVICE_LIMIT_EXCEEDED
    assert "Service Quotas" in failure.remedy


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InternalServerException", 500),
        ("Unknown", 503),
        ("504", 504),
        ("InternalServerException", 400),
        ("InternalServiceException", 400),
        # botocore.retries.standard.TransientRetryableChecker
        ("RequestTimeout", 408),
        ("RequestTimeoutException", 400),
    ],
)
def test_result_is_unknown_after_internal_error_or_timeout_of_the_service(code: str, status: int) -> None:
    assert type(client_error(code, status)) is UnknownOutcomeError


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url=URL),
        ConnectTimeoutError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        EndpointConnectionError(endpoint_url=URL),
        NoCredentialsError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_result_is_unknown_after_connection_error_whose_text_is_not_repeated(error: BotoCoreError) -> None:
    result = from_client_error(error, "DoIt")

    assert type(result) is UnknownOutcomeError
    assert "abc" not in str(result)
    assert "DoIt" in str(result)


@pytest.mark.parametrize(
    "response", [{}, {"Error": {}}, {"Error": {"Code": "", "Message": None}, "ResponseMetadata": {}}]
)
def test_result_is_unknown_after_empty_error(response: Any) -> None:
    assert isinstance(from_client_error(ClientError(response, "DoIt"), "DoIt"), UnknownOutcomeError)


def test_call_that_botocore_refuses_to_send_has_no_effect() -> None:
    failure = from_client_error(ParamValidationError(report="Value: swordfish"), "DoIt")

    assert type(failure) is HandlerError
    assert "swordfish" not in str(failure)


@pytest.mark.parametrize("message", ["Phone number not available: +12065550100", "phone number NOT AVAILABLE"])
@pytest.mark.parametrize(
    ("operation", "kind"), [("ClaimPhoneNumber", NumberUnavailableError), ("UpdatePhoneNumber", HandlerError)]
)
def test_claim_of_taken_number_is_recognized_by_its_message(
    message: str, operation: str, kind: type[HandlerError]
) -> None:
    """terraform-provider-aws#45572: Connect has no error code for it."""
    assert type(client_error("InvalidParameterException", message=message, operation=operation)) is kind


def test_validation_error_names_the_fields() -> None:
    fields = [{"Name": "IsoCountryCode", "Message": "must be US"}, {"Name": "MessageType", "Message": "is wrong"}]
    failure = client_error("ValidationException", Reason="FIELD_VALIDATION_FAILED", Fields=fields)

    assert "[IsoCountryCode: must be US; MessageType: is wrong]" in str(failure)
    assert failure.aws_reason == "FIELD_VALIDATION_FAILED"


@pytest.mark.parametrize("fields", [None, "x", [], [{}]])
def test_validation_error_with_unexpected_fields_is_a_failure(fields: object) -> None:
    assert type(client_error("ValidationException", Fields=fields)) is HandlerError


def test_conflicts_of_numbers_and_pools_have_a_remedy() -> None:
    model = Loader().load_service_model("pinpoint-sms-voice-v2", "service-2")
    conflicts = {
        "DELETION_PROTECTION_ENABLED",
        "LAST_PHONE_NUMBER",
        "MESSAGE_TYPE_MISMATCH",
        "OPT_OUT_LIST_MISMATCH",
        "PHONE_NUMBER_ASSOCIATED_TO_POOL",
        "PHONE_NUMBER_ASSOCIATED_TO_REGISTRATION",
        "RESOURCE_ALREADY_ASSOCIATED",
        "SELF_MANAGED_OPT_OUTS_MISMATCH",
        "SENDER_ID_ASSOCIATED_TO_POOL",
        "TWO_WAY_CONFIG_MISMATCH",
        "KEYWORD_MISMATCH",
        "REGISTRATION_NOT_COMPLETE",
    }
    assert conflicts <= set(model["shapes"]["ConflictExceptionReason"]["enum"])
    assert {reason for reason in conflicts if not client_error("ConflictException", Reason=reason).remedy} == set()
