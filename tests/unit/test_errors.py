"""What a failed AWS call means: a failure that is told, a call to repeat, or an effect that nobody knows."""

from __future__ import annotations

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

from telephony.aws.errors import from_client_error
from telephony.errors import (
    HandlerError,
    HandlerErrorCode,
    NumberUnavailableError,
    RetryableError,
    ThrottledError,
    UnknownOutcomeError,
)

URL = "https://sms-voice.us-east-1.amazonaws.com/?X-Amz-Signature=abc"


def answered(code: str, status: int = 400, message: str = "No.", operation: str = "DoIt", **more: Any) -> Any:
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
        ("IdempotencyException", HandlerErrorCode.RESOURCE_CONFLICT),
        ("SomethingNewException", HandlerErrorCode.INVALID_REQUEST),
    ],
)
def test_a_definite_refusal_is_a_failure_with_its_word(code: str, error_code: HandlerErrorCode) -> None:
    failure = answered(code)

    assert type(failure) is HandlerError
    assert failure.error_code is error_code
    assert str(failure).startswith(f"{error_code}: DoIt refused: No ({code}).")


@pytest.mark.parametrize("code", ["ConflictException", "ResourceInUseException", "ResourceConflictException"])
def test_something_else_at_work_on_the_same_thing_passes(code: str) -> None:
    assert type(answered(code)) is RetryableError


@pytest.mark.parametrize("reason", ["DELETION_PROTECTION_ENABLED", "LAST_PHONE_NUMBER", "SOMETHING_NEW"])
def test_a_conflict_with_a_reason_does_not_pass(reason: str) -> None:
    assert type(answered("ConflictException", Reason=reason)) is HandlerError


@pytest.mark.parametrize("reason", ["RESOURCE_NOT_ACTIVE", "RESOURCE_NOT_ACCESSIBLE"])
def test_what_only_takes_a_while_passes(reason: str) -> None:
    assert type(answered("ConflictException", Reason=reason)) is RetryableError


@pytest.mark.parametrize(
    "code",
    [
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
    ],
)
def test_what_botocore_calls_a_throttle_is_one(code: str) -> None:
    """botocore.retries.standard.ThrottledRetryableChecker."""
    assert type(answered(code)) is ThrottledError


def test_too_many_requests_is_a_throttle_whatever_it_is_called() -> None:
    assert type(answered("Whatever", 429)) is ThrottledError


@pytest.mark.parametrize(("code", "status"), [("InternalServerException", 500), ("Unknown", 503), ("504", 504)])
def test_a_fault_of_the_service_leaves_the_effect_unknown(code: str, status: int) -> None:
    assert type(answered(code, status)) is UnknownOutcomeError


@pytest.mark.parametrize("code", ["InternalServerException", "InternalServiceException"])
def test_a_fault_of_the_service_is_known_by_its_name_too(code: str) -> None:
    assert type(answered(code, 400)) is UnknownOutcomeError


@pytest.mark.parametrize(("code", "status"), [("RequestTimeout", 408), ("RequestTimeoutException", 400)])
def test_a_timeout_on_the_way_is_no_refusal(code: str, status: int) -> None:
    """botocore.retries.standard.TransientRetryableChecker: the work may have been done."""
    assert type(answered(code, status)) is UnknownOutcomeError


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
def test_a_broken_connection_leaves_the_effect_unknown_and_its_text_is_not_repeated(error: BotoCoreError) -> None:
    meaning = from_client_error(error, "DoIt")

    assert type(meaning) is UnknownOutcomeError
    assert "abc" not in str(meaning)
    assert "DoIt" in str(meaning)


def test_what_botocore_does_not_send_has_no_effect() -> None:
    meaning = from_client_error(ParamValidationError(report="Value: swordfish"), "DoIt")

    assert type(meaning) is HandlerError
    assert "swordfish" not in str(meaning)


@pytest.mark.parametrize("message", ["Phone number not available: +12065550100", "phone number NOT AVAILABLE"])
def test_a_lost_race_for_a_number_is_told_apart(message: str) -> None:
    """terraform-provider-aws#45572: Connect has no code of its own for it."""
    assert (
        type(answered("InvalidParameterException", message=message, operation="ClaimPhoneNumber"))
        is NumberUnavailableError
    )
    assert type(answered("InvalidParameterException", message=message, operation="UpdatePhoneNumber")) is HandlerError


def test_the_fields_that_the_service_objects_to_are_told() -> None:
    failure = answered(
        "ValidationException",
        message="2 errors.",
        Reason="FIELD_VALIDATION_FAILED",
        Fields=[{"Name": "IsoCountryCode", "Message": "must be US"}, {"Name": "MessageType", "Message": "is wrong"}],
    )

    assert "[IsoCountryCode: must be US; MessageType: is wrong]" in str(failure)
    assert failure.reason == "FIELD_VALIDATION_FAILED"


@pytest.mark.parametrize("fields", [None, "x", [], [{}]])
def test_fields_of_another_shape_are_no_matter(fields: object) -> None:
    assert type(answered("ValidationException", Fields=fields)) is HandlerError


@pytest.mark.parametrize(
    "response", [{}, {"Error": {}}, {"Error": {"Code": "", "Message": None}, "ResponseMetadata": {}}]
)
def test_an_empty_error_is_not_taken_for_a_refusal(response: Any) -> None:
    """Nothing is known of it, and so nothing of its effect."""
    assert isinstance(from_client_error(ClientError(response, "DoIt"), "DoIt"), UnknownOutcomeError)


def test_every_conflict_that_a_number_or_a_pool_can_meet_has_a_cure() -> None:
    reasons = Loader().load_service_model("pinpoint-sms-voice-v2", "service-2")["shapes"]["ConflictExceptionReason"]
    met = {
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
    assert met <= set(reasons["enum"]), "the service names them so"

    assert {reason for reason in met if not answered("ConflictException", Reason=reason).remedy} == set()
