"""The queue of requests that wait: one message a request.

The provider sends a request that it could not complete. The continuation hides its own message until the next step is
due, and never sends one. Lambda sends a request to the same queue if every invocation of the provider failed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from telephony.aws import clients
from telephony.aws.errors import CALL_ERRORS, code_of
from telephony.data import data
from telephony.errors import TelephonyError, UnknownOutcomeError
from telephony.settings import settings

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

_VERSION = 1
"""Of the messages that this version sends and understands. A message carries the event and no decision."""
_MAX_DELAY, _MAX_VISIBILITY_TIMEOUT = 900, 43_200
"""Seconds. Source: Amazon SQS Developer Guide, "Amazon SQS message quotas"."""


class UnreadableMessageError(TelephonyError):
    """The message contains no event that this version can read."""


@data
class Message:
    """A received message."""

    id: str
    event: Mapping[str, Any]
    sent_at: float
    """In seconds since the epoch."""
    receipt_handle: str
    receives: int
    """How many times it was delivered."""
    known_version: bool = True
    """Whether this version of the provider can process it. A newer one may have sent it."""


def send(event: object, *, seconds: float) -> None:
    """Send a request to the queue, to be received after a delay. Raises UnknownOutcomeError if that fails."""
    if not settings().queue_url:
        raise UnknownOutcomeError("The provider has no queue.")
    body = json.dumps({"version": _VERSION, "event": event}, separators=(",", ":"))
    try:
        _client().send_message(
            QueueUrl=settings().queue_url, MessageBody=body, DelaySeconds=_whole_seconds(seconds, _MAX_DELAY)
        )
    except CALL_ERRORS as error:
        raise _unavailable(error) from None


def hide(message: Message, *, seconds: float) -> None:
    """Let the queue deliver a message again after a time. Raises UnknownOutcomeError if that fails."""
    try:
        _client().change_message_visibility(
            QueueUrl=settings().queue_url,
            ReceiptHandle=message.receipt_handle,
            VisibilityTimeout=_whole_seconds(seconds, _MAX_VISIBILITY_TIMEOUT),
        )
    except CALL_ERRORS as error:
        raise _unavailable(error) from None


def read(record: Mapping[str, Any]) -> Message:
    """Read a record of an event source mapping: a message of `send`, or one of Lambda's on-failure destination.

    Raises UnreadableMessageError. Source: Lambda Developer Guide, "Retaining records of asynchronous invocations".
    """
    try:
        body = json.loads(record["body"])
        event = body["requestPayload"] if "requestPayload" in body else body["event"]
        sent_at = float(record["attributes"]["SentTimestamp"]) / 1000
        receives = int(record["attributes"]["ApproximateReceiveCount"])
    except (KeyError, TypeError, ValueError):
        raise UnreadableMessageError("The message contains no event.") from None
    known = "requestPayload" in body or body.get("version") == _VERSION
    return Message(record["messageId"], event, sent_at, record["receiptHandle"], receives, known)


def _whole_seconds(seconds: float, most: int) -> int:
    # Rounded down, because a step that begins early can wait for its time. Zero would be delivered at once.
    return min(max(1, math.floor(seconds)), most)


def _unavailable(error: Exception) -> UnknownOutcomeError:
    return UnknownOutcomeError(f"The queue is unavailable ({code_of(error)}).")


@cache
def _client() -> SQSClient:
    return cast("SQSClient", clients.queue())
