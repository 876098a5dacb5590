"""Handles one custom resource request: parse, execute once, respond. Shared by the provider and the continuation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telephony import clock, redaction, resources
from telephony.aws import rate_limiter
from telephony.cloudformation import response
from telephony.cloudformation.request import NotARequestError, Request, ResponseHostRefusedError, parse
from telephony.errors import UnknownOutcomeError
from telephony.handlers import router
from telephony.lifecycle.invocation import Invocation
from telephony.observability import count, logger
from telephony.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_LAST_SECOND = 1.0


def handle(event: object, context: LambdaContext, *, final: bool) -> None:
    """Process one request and deliver its response.

    Raises NotARequestError if the event is not a request, and UnknownOutcomeError if the outcome is unknown or was not
    delivered.
    """
    logger.clear_state()
    request = _parse(event)
    logger.append_keys(
        request_type=request.request_type,
        stack_id=request.stack_id,
        logical_resource_id=request.logical_resource_id,
        request_id=request.request_id,
        resource_type=request.resource_type,
        physical_resource_id=request.physical_resource_id,
    )
    stops_at = clock.now() + context.get_remaining_time_in_millis() / 1000
    invocation = Invocation(request, ends_at=stops_at - settings().response_margin, final=final)
    rate_limiter.start_invocation(deadline=invocation.deadline)
    redaction.start_invocation(
        lambda: resources.possible_secrets(request.resource_type, request.properties, request.old_properties)
    )
    logger.info("Request received", extra={"properties": sorted(request.properties), "final": final})
    dimensions = {"ResourceType": request.resource_type, "RequestType": request.request_type}
    try:
        outcome = router.route(invocation)
        response.deliver(request, response.encode(request, outcome), until=stops_at - _LAST_SECOND)
    except UnknownOutcomeError as error:
        logger.warning("Request not completed; will be retried", extra={"error": error.error_code, "cause": str(error)})
        count("RequestsNotCompleted", 1, **dimensions)
        raise
    finally:
        logger.remove_keys(["physical_resource_id"])
    logger.info("Response delivered", extra={"status": outcome.status})
    count("RequestsSucceeded" if outcome.status == "SUCCESS" else "RequestsFailed", 1, **dimensions)


def _parse(event: object) -> Request:
    try:
        return parse(event, allowed_hosts=settings().allowed_response_hosts)
    except NotARequestError as refused:
        logger.error("Event refused", extra={"cause": str(refused)})
        if isinstance(refused, ResponseHostRefusedError):
            count("ResponseHostsRejected")
        raise
