"""The only module that knows boto3: one session, one configuration, a client on its first use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config

from telephony.errors import CALL_ERRORS, from_client_error

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_connect import ConnectClient
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_pinpoint_sms_voice_v2 import PinpointSMSVoiceV2Client

# One attempt, at most 23 seconds: when to try again, and whether that may be, is decided where the ledger is known.
_TELECOM = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 1, "mode": "standard"})
# Read once a day, by a sweep that has the time for it.
_CLOUDFORMATION = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 8, "mode": "standard"})
# The store answers in milliseconds or is in trouble. Every write is conditional, so that repeating one does no harm.
_STORE = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 3, "mode": "standard"})


@cache
def session() -> boto3.Session:
    """The container's session."""
    return boto3.Session()


@cache
def sms_voice() -> PinpointSMSVoiceV2Client:
    """AWS End User Messaging SMS. Its errors arrive as this provider's own."""
    return cast("PinpointSMSVoiceV2Client", _Translating(session().client("pinpoint-sms-voice-v2", config=_TELECOM)))


@cache
def connect() -> ConnectClient:
    """Amazon Connect. Its errors arrive as this provider's own."""
    return cast("ConnectClient", _Translating(session().client("connect", config=_TELECOM)))


@cache
def cloudformation() -> CloudFormationClient:
    """CloudFormation, for the sweep. Its errors arrive as this provider's own."""
    return cast("CloudFormationClient", _Translating(session().client("cloudformation", config=_CLOUDFORMATION)))


@cache
def store() -> DynamoDBClient:
    """DynamoDB as botocore gives it: Powertools shares this client and reads botocore's own errors."""
    return session().client("dynamodb", config=_STORE)


def pages(operation: Callable[..., Any], items: str, **parameters: Any) -> Iterator[Any]:
    """Every item of a listing: `items` names the list in the answer, NextToken leads on."""
    token: str | None = None
    while True:
        answer = operation(**parameters, **({"NextToken": token} if token else {}))
        yield from answer.get(items, [])
        token = answer.get("NextToken")
        if not token:
            return


class _Translating:
    """A client whose calls raise Failure, Throttled or Undecided in place of botocore's errors."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        operation = self._client.meta.method_to_api_mapping.get(name, name)

        @wraps(method)
        def call(**parameters: Any) -> Any:
            try:
                return method(**parameters)
            except CALL_ERRORS as error:
                raise from_client_error(error, operation) from None

        return call
