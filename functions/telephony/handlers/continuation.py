"""Lambda: answers for the events that every run of the provider has failed on.

It takes the on-failure queue's records and goes the provider's own path once more, with final=True. There is no second
decision-maker. A record that cannot be answered stays in the queue until its signed URL is dead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from telephony.cloudformation.request import NotARequestError
from telephony.errors import TelephonyError
from telephony.handlers.request_flow import answer
from telephony.observability import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Answer each record's request; report those that failed, so that SQS keeps only them.

    A record is the destination record of an asynchronous invocation (Lambda developer guide, "Retaining records of
    asynchronous invocations"); the custom resource event is its requestPayload.
    """
    failed = []
    for record in event["Records"]:
        try:
            answer(json.loads(record["body"])["requestPayload"], context, final=True)
        except NotARequestError:
            continue  # Nobody is waiting for an answer.
        except TelephonyError as error:
            logger.error("The last resort could not answer", extra={"error": type(error).__name__})
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
