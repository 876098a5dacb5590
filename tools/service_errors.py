"""What each documented error of an AWS call results in. docs/errors.md shows it.

Which calls the provider makes is in service_calls.json. Which errors a call has is in botocore's service models. Most
results follow from `aws.errors`; this module lists those that depend on the call. tests/contract/test_service_errors.py
compares the calls and the results with those of the provider.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, cast

from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel

from telephony import reasons
from telephony.aws import errors, state_table
from telephony.errors import HandlerError, HandlerErrorCode, RetryableError, UnknownOutcomeError

SMS, CLOUDFORMATION, STATE_TABLE, QUEUE = "pinpoint-sms-voice-v2", "cloudformation", "dynamodb", "sqs"
QUOTAS = "service-quotas"
SUCCESS = "SUCCESS"
ANY_REQUEST, SWEEP = "Any", "Sweep"
"""Instead of a type of request: the result does not depend on it, or the sweep makes the call."""
NOT_FOUND, NO_STACK = "ResourceNotFoundException", "ValidationError, does not exist"
CONDITIONS = frozenset({"ConditionalCheckFailedException", "TransactionCanceledException"})
"""A conditional write reports with these errors that another writer was faster."""

_COMMON_ERRORS = {
    "AccessDenied": 403,
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "IncompleteSignature": 403,
    "InternalFailure": 500,
    "MalformedHttpRequestException": 400,
    "NotAuthorized": 401,
    "OptInRequired": 403,
    "RequestAbortedException": 400,
    "RequestEntityTooLargeException": 413,
    "RequestExpired": 400,
    "RequestTimeoutException": 408,
    "ServiceUnavailable": 503,
    "Throttling": 400,
    "ThrottlingException": 400,
    "UnknownOperationException": 404,
    "UnrecognizedClientException": 403,
    "ValidationError": 400,
    NO_STACK: 400,
}
"""HTTP status by error, for calls whose models list no errors. Source: API references, "Common error types".
CloudFormation also sends AccessDenied and Throttling, and has no error of its own for a stack that does not exist."""
_PURCHASES = frozenset({"RequestPhoneNumber", "RequestSenderId", "ClaimPhoneNumber", "ImportPhoneNumber"})
_SEARCHES = frozenset({"ListPhoneNumbersV2"})
"""Calls that find out whether an earlier call made the purchase."""


class Retried(StrEnum):
    """How long the provider repeats a call that fails with the same error."""

    NO = "No"
    SECONDS = "For up to 10 seconds"
    MINUTES = "For up to two minutes"
    UNTIL_DUE = "Until the response is due"


@dataclass(frozen=True)
class Call:
    """A call in one type of request."""

    service: str
    operation: str
    request: str
    scenario: str
    """Of tests/contract/test_service_errors.py, in which it is made."""


@dataclass(frozen=True)
class Result:
    """What comes of an error that does not end."""

    answer: str
    """SUCCESS, or the error code of a FAILED response."""
    retried: Retried
    remedy: str
    """Of a failure: the end of its Reason, with `{placeholders}`. Of a success: what follows."""


def recorded() -> Mapping[str, Any]:
    """Return the type and the calls of each recorded request."""
    text = Path(__file__).with_name("service_calls.json").read_text(encoding="utf-8")
    return cast("Mapping[str, Any]", json.loads(text))


def calls() -> list[Call]:
    """Return the recorded calls, each operation once for each type of request whose result can differ."""
    found: dict[tuple[str, str, str], Call] = {}
    for scenario, request in recorded().items():
        for name in request["calls"]:
            service, operation = name.split(".")
            request_type = ANY_REQUEST if service in {STATE_TABLE, QUEUE} else request["type"]
            found.setdefault((service, operation, request_type), Call(service, operation, request_type, scenario))
    elsewhere = {(call.service, call.operation) for call in found.values() if call.scenario != SWEEP}
    return [
        call
        for _, call in sorted(found.items())
        if call.scenario != SWEEP or (call.service, call.operation) not in elsewhere
    ]


@cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def documented(call: Call) -> Mapping[str, int]:
    """Return the HTTP status of each error that a call can have."""
    shapes: list[Any] = _model(call.service).operation_model(call.operation).error_shapes
    return {shape.name: _status(shape) for shape in shapes} or _COMMON_ERRORS


def _status(shape: Any) -> int:
    default = 500 if shape.name.startswith("Internal") else 400
    return int(shape.metadata.get("error", {}).get("httpStatusCode", default))


def documented_reasons() -> Iterator[tuple[str, str]]:
    """Yield each exception of AWS End User Messaging SMS with each of its reasons."""
    shapes: list[Any] = _model(SMS).error_shapes
    for shape in shapes:
        if "Reason" in shape.members:
            for reason in shape.members["Reason"].enum:
                yield shape.name, reason


def result(call: Call, error: str, reason: str = "") -> Result:
    """Return what an error results in."""
    if call.scenario == SWEEP:
        return Result("none", Retried.NO, "None. Nothing is released, and the next run of the sweep checks it again.")
    special = SPECIAL_REASONS.get((call.operation, call.request, reason)) or _special(call, error)
    if special is not None:
        return special
    failure = _raised(call, error, reason)
    if isinstance(failure, HandlerError):
        retried = Retried.MINUTES if isinstance(failure, RetryableError) else Retried.NO
        return Result(failure.error_code, retried, failure.remedy)
    if failure.error_code is HandlerErrorCode.SERVICE_INTERNAL_ERROR and call.operation in _PURCHASES | _SEARCHES:
        return _from(reasons.RESULT_UNKNOWN, Retried.UNTIL_DUE)
    return Result(failure.error_code, Retried.UNTIL_DUE, failure.remedy)


def _raised(call: Call, error: str, reason: str) -> HandlerError | UnknownOutcomeError:
    code, _, message = error.partition(", ")
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": documented(call)[error]},
        "Reason": reason,
    }
    sdk_error = ClientError(response, call.operation)
    if call.service == STATE_TABLE:
        return state_table.unavailable(sdk_error)
    raised = errors.from_client_error(sdk_error, call.operation)
    assert isinstance(raised, (HandlerError, UnknownOutcomeError))  # noqa: S101 - it has no other subclass
    return raised


def _from(reason: reasons.Reason, retried: Retried) -> Result:
    return Result(reason.error_code, retried, reason.remedy)


def _blocked(reason: str) -> Result:
    """Return the result of a release that the service refuses although nothing seems to block it."""
    meaning = errors.BY_REASON[reason]
    return Result(meaning.error_code, Retried.MINUTES, meaning.remedy)


_RELEASED = Result(SUCCESS, Retried.NO, "None. It was released before.")
_PROTECTED = _blocked("DELETION_PROTECTION_ENABLED")
_IN_POOL = errors.BY_REASON["PHONE_NUMBER_ASSOCIATED_TO_POOL"]
_NOT_FOUND: Mapping[tuple[str, str], Result] = {
    ("ReleasePhoneNumber", "Delete"): _RELEASED,
    ("ReleaseSenderId", "Delete"): _RELEASED,
    # The tags can be invisible for some time after a purchase.
    ("ListTagsForResource", "Delete"): Result(SUCCESS, Retried.MINUTES, "None. It was released before."),
    ("ListTagsForResource", "Update"): Result(SUCCESS, Retried.NO, "None. The declared tags are set."),
    ("DescribePhoneNumber", "Create"): _from(reasons.RELEASED_OUTSIDE, Retried.MINUTES),
    ("DescribePhoneNumbers", "Create"): _from(reasons.RELEASED_OUTSIDE, Retried.MINUTES),
    ("DescribePhoneNumber", "Update"): _from(reasons.DOES_NOT_EXIST, Retried.MINUTES),
    ("DescribePhoneNumbers", "Update"): _from(reasons.DOES_NOT_EXIST, Retried.MINUTES),
    ("DescribeSenderIds", "Update"): _from(reasons.DOES_NOT_EXIST, Retried.MINUTES),
    # The release was refused, and what blocks it could not be removed. Whether it exists, the next release shows.
    ("DescribePhoneNumbers", "Delete"): _PROTECTED,
    ("DescribeSenderIds", "Delete"): _PROTECTED,
    ("UpdatePhoneNumber", "Delete"): _PROTECTED,
    ("UpdateSenderId", "Delete"): _PROTECTED,
    ("DescribePools", "Delete"): _PROTECTED,
    ("ListPoolOriginationIdentities", "Delete"): _blocked("SENDER_ID_ASSOCIATED_TO_POOL"),
    # A pool that does not exist is left. Whether the number is in another one, the next call shows.
    ("DisassociateOriginationIdentity", "Delete"): _blocked("PHONE_NUMBER_ASSOCIATED_TO_POOL"),
    ("DisassociateOriginationIdentity", "Update"): Result(_IN_POOL.error_code, Retried.NO, _IN_POOL.remedy),
}
"""By operation and request type."""


SPECIAL_REASONS: Mapping[tuple[str, str, str], Result] = {
    # Nothing seems to block the release. The service can notice that with a delay.
    ("ReleasePhoneNumber", "Delete", "DELETION_PROTECTION_ENABLED"): _PROTECTED,
    ("ReleasePhoneNumber", "Delete", "PHONE_NUMBER_ASSOCIATED_TO_POOL"): _blocked("PHONE_NUMBER_ASSOCIATED_TO_POOL"),
    ("ReleaseSenderId", "Delete", "DELETION_PROTECTION_ENABLED"): _PROTECTED,
    ("ReleaseSenderId", "Delete", "SENDER_ID_ASSOCIATED_TO_POOL"): _blocked("SENDER_ID_ASSOCIATED_TO_POOL"),
    # As if it had left the pool. Whether it has, the next call shows.
    ("DisassociateOriginationIdentity", "Delete", "PHONE_NUMBER_NOT_ASSOCIATED_TO_POOL"): _blocked(
        "PHONE_NUMBER_ASSOCIATED_TO_POOL"
    ),
    ("RequestSenderId", "Create", "RESOURCE_ALREADY_EXISTS"): _from(reasons.SENDER_ID_EXISTS, Retried.NO),
}
"""Of ConflictException, by operation, request type and reason."""
_NOT_DELIVERED = {
    "SendMessage": "None. Lambda invokes the function again, and after two retries sends the request to the queue.",
    "ChangeMessageVisibility": "None. The queue delivers the request again after its visibility timeout.",
}


def _special(call: Call, error: str) -> Result | None:
    """Return the result of an error whose meaning depends on the call."""
    found: Result | None = None
    if call.service == QUEUE:
        found = Result(SUCCESS, Retried.UNTIL_DUE, _NOT_DELIVERED[call.operation])
    elif call.service == QUOTAS:
        found = Result(SUCCESS, Retried.NO, "None. The number is claimed as if its quota permitted it.")
    elif call.service == STATE_TABLE:
        if error in CONDITIONS:
            found = Result(SUCCESS, Retried.NO, "None. The item is read again.")
        elif call.operation in {"GetItem", "DeleteItem"}:
            found = Result(SUCCESS, Retried.UNTIL_DUE, "None. The request waits longer than necessary.")
    elif error == NOT_FOUND:
        found = _NOT_FOUND.get((call.operation, call.request))
    elif call.operation == "DescribeStacks" and error == NO_STACK:
        found = _from(reasons.NOT_IN_OPERATION, Retried.SECONDS)
    elif call.operation == "DescribeStackEvents" and isinstance(_raised(call, error, ""), HandlerError):
        found = Result(
            SUCCESS, Retried.NO, "The number is not released. The daily sweep reports it; see operations.md."
        )
    return found
