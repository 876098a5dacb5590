"""Lambda function: continues the requests that wait in the queue.

A request that still has to wait stays in the queue: the function hides its message until the next step, and reports it
as failed, so that Lambda does not delete it. The function never sends a message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from telephony import clock
from telephony.aws import queue
from telephony.aws.queue import UnreadableMessageError
from telephony.cloudformation.request import NotARequestError
from telephony.errors import UnknownOutcomeError
from telephony.handlers import request_flow
from telephony.observability import count, logger
from telephony.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


_MAX_DELIVERIES = 100
"""More than a request needs. If hidden messages are delivered early, the function sleeps before it hides one again, so
that no message reaches the dead-letter queue before its request has ended (docs/unverified.md)."""


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Make the next step of each record's request. Returns the records that stay in the queue."""
    kept = [record["messageId"] for record in event["Records"] if not _continue(record, context)]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in kept]}


def _continue(record: Mapping[str, Any], context: LambdaContext) -> bool:
    """Return whether the request has ended."""
    try:
        message = queue.read(record)
    except UnreadableMessageError as unreadable:
        # It moves to the dead-letter queue. A newer version may be able to read it.
        logger.error("Message not read", extra={"cause": str(unreadable)})
        count("UnreadableMessages")
        return False
    try:
        due_at = request_flow.handle(
            message.event, context, received_at=message.sent_at, known_version=message.known_version
        )
    except NotARequestError:
        if not message.known_version:  # A newer version may be able to read the event.
            count("UnreadableMessages")
        return message.known_version  # No response is expected to an event of this version.
    if due_at is None:
        return True
    if message.receives > _MAX_DELIVERIES:
        clock.sleep(min(due_at - clock.now(), settings().in_place_wait))
    try:
        queue.hide(message, seconds=due_at - clock.now())
    except UnknownOutcomeError as error:  # It is delivered again after the visibility timeout of the queue.
        logger.warning("Message not hidden", extra={"cause": str(error)})
    return False
