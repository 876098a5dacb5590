"""Lambda: answers CloudFormation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telephony.handlers.request_flow import answer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


def handler(event: object, context: LambdaContext) -> None:
    """Answer one custom resource event; raise if that could not be done, so that Lambda runs it again."""
    answer(event, context, final=False)
