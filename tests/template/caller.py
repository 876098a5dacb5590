"""A program: makes the calls that stdin lists, with whatever SDK is on its path, and prints what became of each.

It runs where there is nothing but the built layer, so it imports nothing else. What would be sent is printed instead.
"""

import ast
import sys
from typing import Any

import boto3
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

REGIONS = ("us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1")
ONCE = Config(retries={"total_max_attempts": 1})
ANEW = {"authorization", "x-amz-date", "amz-sdk-invocation-id"}
"""Headers that are others each time."""


class Raw:
    """A body as urllib3 gives it."""

    def __init__(self, body: str) -> None:
        self._body = body.encode()

    def stream(self) -> list[bytes]:
        """The whole of it."""
        return [self._body]


def main() -> None:
    """For each call and region a line: the request, and the answer or the error."""
    calls: list[dict[str, Any]] = ast.literal_eval(sys.stdin.read())
    made: Any = boto3.client
    for service in sorted({call["service"] for call in calls}):
        say(service, *sorted(boto3.Session().get_available_regions(service)))
        for region in REGIONS:
            client = made(service, region, aws_access_key_id="key", aws_secret_access_key="key", config=ONCE)
            for call in calls:
                if call["service"] == service:
                    say(service, region, call["operation"], outcome(client, call))


def say(*words: str) -> None:
    """Print a line."""
    sys.stdout.write(" ".join(words) + "\n")


def outcome(client: Any, call: dict[str, Any]) -> str:
    """What was sent, and what was made of the answer."""
    sent: list[Any] = []

    def send(request: AWSRequest, **_: Any) -> AWSResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in ANEW}
        sent.extend((request.method, request.url, headers, request.body))
        return AWSResponse(str(request.url), call["status"], call["headers"], Raw(call["body"]))

    client.meta.events.register("before-send", send, unique_id="send")
    method = {operation: name for name, operation in client.meta.method_to_api_mapping.items()}[call["operation"]]
    try:
        return f"{sent} {getattr(client, method)(**call['parameters'])}"
    except ClientError as error:
        name = type(error).__name__
        return f"{sent} {name} {isinstance(error, getattr(client.exceptions, name, ()))} {error} {error.response}"
    finally:
        client.meta.events.unregister("before-send", unique_id="send")


main()
