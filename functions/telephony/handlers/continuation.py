"""Lambda function: handles the requests on which every invocation of the provider failed.

It processes the records of the on-failure queue with the same request flow, and final=True. A record that cannot be
answered stays in the queue until its signed URL has expired.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from telephony.cloudformation.request import NotARequestError
from telephony.errors import TelephonyError
from telephony.handlers import request_flow
from telephony.observability import logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def handler(event: Mapping[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Handle each record's request. Returns the records that failed, so that SQS keeps only those.

    A record is the destination record of an asynchronous invocation. Its requestPayload is the custom resource request.
    Source: Lambda Developer Guide, "Retaining records of asynchronous invocations".
    """
    failed = []
    for record in event["Records"]:
        try:
            request_flow.handle(json.loads(record["body"])["requestPayload"], context, final=True)
        except NotARequestError:
            continue  # No response is expected.
        except TelephonyError as error:
            logger.error("Final attempt not completed", extra={"error": type(error).__name__})
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
