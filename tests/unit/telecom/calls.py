"""Requests that many tests make, and how they read a refusal."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

SIMULATOR = {
    "IsoCountryCode": "US",
    "NumberType": "SIMULATOR",
    "NumberCapabilities": ["SMS"],
    "MessageType": "TRANSACTIONAL",
}


def client(url: str, service: Any, verify: str | None = None, region: str = "us-east-1", **config: Any) -> Any:
    """Return a client that makes one attempt."""
    once = Config(retries={"total_max_attempts": 1}, **config)
    return boto3.Session("AKIAEXAMPLE", "secret", region_name=region).client(
        service, endpoint_url=url, verify=verify, config=once
    )


def request(sms: Any, **changed: Any) -> dict[str, Any]:
    answer: dict[str, Any] = sms.request_phone_number(**SIMULATOR | changed)
    return answer


def describe(sms: Any, number_id: str) -> dict[str, Any]:
    (number,) = sms.describe_phone_numbers(PhoneNumberIds=[number_id])["PhoneNumbers"]
    return dict(number)


def refused(call: Callable[..., Any], **parameters: Any) -> dict[str, Any]:
    """Return the whole error answer, with the code beside Reason and the rest."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response: dict[str, Any] = dict(caught.value.response)
    status = response.pop("ResponseMetadata")["HTTPStatusCode"]
    return response | {"Code": response["Error"]["Code"], "Status": status}


def reason(call: Callable[..., Any], **parameters: Any) -> tuple[str, str | None]:
    error = refused(call, **parameters)
    return error["Code"], error.get("Reason")
