"""The event that the consumer of an on-failure queue receives: Lambda's invocation record inside an SQS event."""

import json
import time
import traceback
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.contract.cloudformation.events import ACCOUNT, REGION

QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:on-failure"


def failure_record(
    event: dict[str, Any], error: BaseException, *, request_id: str, function_arn: str, attempts: int
) -> dict[str, Any]:
    """The record of an event after its last retry. `responsePayload` is the Python runtime's error report.

    Source: Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations".
    """
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{function_arn}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": attempts,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {
            "errorMessage": str(error),
            "errorType": type(error).__name__,
            "requestId": request_id,
            "stackTrace": traceback.format_tb(error.__traceback__),
        },
    }


def sqs_event(record: dict[str, Any]) -> dict[str, Any]:
    """The event of an event source mapping with batch size 1 (Lambda Developer Guide, "Using Lambda with SQS")."""
    return {
        "Records": [
            {
                "messageId": str(uuid4()),
                "receiptHandle": str(uuid4()),
                "body": json.dumps(record),
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(time.time() * 1000))},
                "eventSource": "aws:sqs",
                "eventSourceARN": QUEUE_ARN,
                "awsRegion": REGION,
            }
        ]
    }
