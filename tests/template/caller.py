"""A program that makes the calls listed on stdin with the SDK on its path, and prints each request and its result.

It runs with the built layer as its only package. No request leaves the process.
"""

import ast
import sys
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

REGIONS = ("us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1")
ONCE = Config(retries={"total_max_attempts": 1})
VARIABLE = {"authorization", "x-amz-date", "amz-sdk-invocation-id"}
"""Headers that differ in every request."""


def result(client: Any, call: dict[str, Any]) -> str:
    """The request, and the parsed response or error."""
    sent: list[Any] = []

    def send(request: AWSRequest, **_: Any) -> AWSResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in VARIABLE}
        sent.extend((request.method, request.url, headers, request.body))
        raw = SimpleNamespace(stream=lambda: [call["body"].encode()])
        return AWSResponse(str(request.url), call["status"], call["headers"], raw)

    client.meta.events.register("before-send", send, unique_id="send")
    method = {operation: name for name, operation in client.meta.method_to_api_mapping.items()}[call["operation"]]
    try:
        return f"{sent} {getattr(client, method)(**call['parameters'])}"
    except ClientError as error:
        name = type(error).__name__
        return f"{sent} {name} {isinstance(error, getattr(client.exceptions, name, ()))} {error} {error.response}"
    finally:
        client.meta.events.unregister("before-send", unique_id="send")


made: Any = boto3.client
calls: list[dict[str, Any]] = ast.literal_eval(sys.stdin.read())
for service in sorted({call["service"] for call in calls}):
    print(service, *sorted(boto3.Session().get_available_regions(service)))  # noqa: T201
    for region in REGIONS:
        client = made(service, region, aws_access_key_id="key", aws_secret_access_key="key", config=ONCE)
        for call in calls:
            if call["service"] == service:
                print(service, region, call["operation"], result(client, call))  # noqa: T201
