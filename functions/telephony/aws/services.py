"""The services as the verbs see them: each call waits for its turn, and its errors are this provider's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, cast

from telephony.aws import clients, rate_limiter
from telephony.aws.errors import CALL_ERRORS, from_client_error

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_connect import ConnectClient
    from types_boto3_pinpoint_sms_voice_v2 import PinpointSMSVoiceV2Client

SMS_VOICE, CONNECT, CLOUDFORMATION = "pinpoint-sms-voice-v2", "connect", "cloudformation"


@cache
def sms_voice() -> PinpointSMSVoiceV2Client:
    """AWS End User Messaging SMS."""
    return cast("PinpointSMSVoiceV2Client", _Service(SMS_VOICE))


@cache
def connect() -> ConnectClient:
    """Amazon Connect."""
    return cast("ConnectClient", _Service(CONNECT))


@cache
def cloudformation() -> CloudFormationClient:
    """CloudFormation, for the sweep."""
    return cast("CloudFormationClient", _Service(CLOUDFORMATION))


def create_client(service: str) -> None:
    """Make the client before the turn of its call is taken: the first of a container takes its time."""
    {SMS_VOICE: sms_voice, CONNECT: connect}[service]()


def paginate(operation: Callable[..., Any], items: str, **parameters: Any) -> Iterator[Any]:
    """Every item of a listing: `items` names the list in the answer, NextToken leads on."""
    token: str | None = None
    while True:
        answer = operation(**parameters, **({"NextToken": token} if token else {}))
        yield from answer.get(items, [])
        token = answer.get("NextToken")
        if not token:
            return


class _Service:
    """A client whose calls take turns, and raise HandlerError, ThrottledError or UnknownOutcomeError in place of botocore's errors."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._client = clients.client(name)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        operation = self._client.meta.method_to_api_mapping.get(name, name)

        @wraps(method)
        def call(**parameters: Any) -> Any:
            rate_limiter.acquire(self._name, operation)
            try:
                return method(**parameters)
            except CALL_ERRORS as error:
                raise from_client_error(error, operation) from None

        return call
