"""Requests that many tests send, and assertions on errors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.unit.telecom import wire

SIMULATOR = {"IsoCountryCode": "US", "NumberType": "SIMULATOR", "NumberCapabilities": ["SMS"]}


def client(url: str, service: Any, verify: str | None = None, region: str = "us-east-1", **config: Any) -> Any:
    """Return a client that does not retry, and checks each response on the wire."""
    once = Config(retries={"total_max_attempts": 1}, **config)
    session = boto3.Session("AKIAEXAMPLE", "secret", region_name=region)
    made: Any = session.client(service, endpoint_url=url, verify=verify, config=once)
    if service != "dynamodb":  # moto's
        made.meta.events.register("before-parse", wire.check)
    return made


def request(sms: Any, **changed: Any) -> dict[str, Any]:
    answer: dict[str, Any] = sms.request_phone_number(**{**SIMULATOR, "MessageType": "TRANSACTIONAL"} | changed)
    return answer


def describe(sms: Any, number_id: str) -> dict[str, Any]:
    (number,) = sms.describe_phone_numbers(PhoneNumberIds=[number_id])["PhoneNumbers"]
    return dict(number)


def create_instance(connect: Any) -> str:
    created = connect.create_instance(
        IdentityManagementType="CONNECT_MANAGED", InboundCallsEnabled=True, OutboundCallsEnabled=True
    )
    return str(created["Arn"])


def error_of(call: Callable[..., Any], **parameters: Any) -> dict[str, Any]:
    """Return the error response of the call, with the error code and HTTP status at the top level."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response: dict[str, Any] = dict(caught.value.response)
    status = response.pop("ResponseMetadata")["HTTPStatusCode"]
    return response | {"Code": response["Error"]["Code"], "Status": status}


def _reason(code: str, call: Callable[..., Any], **parameters: Any) -> str:
    error = error_of(call, **parameters)
    assert error["Code"] == code
    return str(error["Reason"])


# Each calls a function that must raise this error, and returns the error's Reason.
conflict = partial(_reason, "ConflictException")
invalid = partial(_reason, "ValidationException")
quota = partial(_reason, "ServiceQuotaExceededException")
