"""Lambda function: handles custom resource requests from CloudFormation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telephony import clock
from telephony.aws import queue
from telephony.handlers import request_flow

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def handler(event: object, context: LambdaContext) -> None:
    """Handle one request, or send it to the queue if it has to wait.

    Raises an exception if that is impossible. Lambda then invokes the function again, and after two retries sends the
    request to the queue itself.
    """
    due_at = request_flow.handle(event, context)
    if due_at is not None:
        queue.send(event, seconds=due_at - clock.now())
