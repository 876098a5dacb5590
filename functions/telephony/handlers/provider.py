"""Lambda function: handles custom resource requests from CloudFormation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telephony.handlers import request_flow

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def handler(event: object, context: LambdaContext) -> None:
    """Handle one request. Raises an exception if the request must be retried, so that Lambda invokes it again."""
    request_flow.handle(event, context, final=False)
