"""Service clients whose calls are rate limited and raise the provider's exceptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, cast

from telephony.aws import clients, rate_limiter
from telephony.aws.errors import CALL_ERRORS, from_client_error
from telephony.errors import ThrottledError

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_connect import ConnectClient
    from types_boto3_pinpoint_sms_voice_v2 import PinpointSMSVoiceV2Client
    from types_boto3_resourcegroupstaggingapi import ResourceGroupsTaggingAPIClient

SMS_VOICE, CONNECT, CLOUDFORMATION = "pinpoint-sms-voice-v2", "connect", "cloudformation"
_TAGGING = "resourcegroupstaggingapi"


@cache
def sms_voice() -> PinpointSMSVoiceV2Client:
    """Return the client for AWS End User Messaging SMS."""
    return cast("PinpointSMSVoiceV2Client", _RateLimitedClient(SMS_VOICE))


@cache
def connect() -> ConnectClient:
    """Return the client for Amazon Connect."""
    return cast("ConnectClient", _RateLimitedClient(CONNECT))


@cache
def cloudformation() -> CloudFormationClient:
    """Return the client for CloudFormation."""
    return cast("CloudFormationClient", _RateLimitedClient(CLOUDFORMATION))


@cache
def tagging() -> ResourceGroupsTaggingAPIClient:
    """Return the client for the Resource Groups Tagging API."""
    return cast("ResourceGroupsTaggingAPIClient", _RateLimitedClient(_TAGGING))


def once(service: str) -> Any:
    """Return a new client that makes each call once: botocore repeats a purchase whose response was lost."""
    return _RateLimitedClient(service, attempts=1)


def create_client(service: str) -> None:
    """Create the client before its call is reserved. The first client takes time to create."""
    {SMS_VOICE: sms_voice, CONNECT: connect}[service]()


def paginate(
    operation: Callable[..., Any],
    items: str,
    *,
    token_name: str = "NextToken",  # noqa: S107 - a parameter
    **parameters: Any,
) -> Iterator[Any]:
    """Yield every item of a paginated operation. items: the name of the list in the response."""
    token: str | None = None
    while True:
        page = operation(**parameters, **({token_name: token} if token else {}))
        yield from page.get(items, [])
        token = page.get(token_name)
        if not token:
            return


class _RateLimitedClient:
    """A client that acquires a reservation before each call, and maps botocore's errors to the provider's."""

    def __init__(self, name: str, attempts: int | None = None) -> None:
        self._name = name
        self._client = clients.client(name, attempts)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        operation = self._client.meta.method_to_api_mapping.get(name, name)

        @wraps(method)
        def call(**parameters: Any) -> Any:
            rate_limiter.acquire(self._name, operation)
            try:
                return method(**parameters)
            except CALL_ERRORS as error:
                meaning = from_client_error(error, operation)
                if isinstance(meaning, ThrottledError):
                    rate_limiter.repeat(self._name, operation)
                raise meaning from None

        return call
