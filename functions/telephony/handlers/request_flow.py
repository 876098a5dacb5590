"""Handles one custom resource request: parse, execute once, respond. Shared by the provider and the continuation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telephony import clock, reasons, redaction, resources
from telephony.aws import rate_limiter
from telephony.cloudformation import response
from telephony.cloudformation.request import NotARequestError, Request, ResponseHostRefusedError, parse
from telephony.cloudformation.response import Outcome
from telephony.errors import HandlerError, UnknownOutcomeError
from telephony.handlers import router
from telephony.lifecycle import progress
from telephony.lifecycle.invocation import Invocation
from telephony.lifecycle.progress import Progress
from telephony.observability import count, logger, measure
from telephony.settings import settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_LAST_SECOND = 1.0
_EARLY = 3.0
"""Seconds before it is due at which a step can start."""
_NEW_REQUEST_WAITS, _CONTINUED_REQUEST_WAITS = 0.2, 0.5
"""The share of settings().in_place_wait for which an invocation waits for a reservation. Many new requests arrive
together, and those that sleep keep the others waiting. A continued one is received shortly before its reservation."""
_REPEATED_AFTER = 50
"""Seconds after which a request that was not received from the queue can have a Progress: Lambda repeats an event that
could not be sent to the queue after a minute."""
_URL_LIFETIME = 7200
"""Seconds after which CloudFormation's signed URL accepts no response."""


def handle(
    event: object, context: LambdaContext, *, received_at: float | None = None, known_version: bool = True
) -> float | None:
    """Process one request and deliver its response.

    received_at: when the message was sent that continues the request; None for a new request. known_version: whether
    this version can process the message. Returns None if the request has ended, else when to continue it, in seconds
    since the epoch. Raises NotARequestError if the event is not a request.
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
    if clock.now() - (request.issued_at or received_at or clock.now()) > _URL_LIFETIME:
        logger.error("Request dropped: its ResponseURL has expired")
        count("RequestsDropped")
        return None
    stops_at = clock.now() + context.get_remaining_time_in_millis() / 1000
    repeated = request.issued_at is not None and clock.now() - request.issued_at > _REPEATED_AFTER
    saved = _load(request) if repeated or received_at is not None else Progress()
    if saved is not None and saved.due_at - clock.now() > _EARLY:
        return saved.due_at
    invocation = _start(request, saved or Progress(), stops_at - settings().response_margin, received_at)
    logger.info("Request received", extra={"properties": sorted(request.properties), "final": invocation.final})
    dimensions = {"ResourceType": request.resource_type, "RequestType": request.request_type}
    try:
        status, body = _answer(invocation, known_version=known_version)
        response.deliver(request, body, until=stops_at - _LAST_SECOND)
    except UnknownOutcomeError as error:
        due_at = invocation.next_step_at(error)
        extra = {"error": error.error_code, "cause": str(error), "seconds": round(due_at - clock.now(), 1)}
        logger.info("Request will be continued", extra=extra)
        count("RequestsContinued", **dimensions)
        _save(invocation, due_at, error)
        return due_at
    finally:
        logger.remove_keys(["physical_resource_id"])
    logger.info("Response delivered", extra={"status": status})
    count("RequestsSucceeded" if status == "SUCCESS" else "RequestsFailed", **dimensions)
    _return_unused(request, saved)
    return None


def _parse(event: object) -> Request:
    try:
        return parse(event, allowed_hosts=settings().allowed_response_hosts)
    except NotARequestError as refused:
        logger.error("Event refused", extra={"cause": str(refused)})
        if isinstance(refused, ResponseHostRefusedError):
            count("ResponseHostsRejected")
        raise


def _start(request: Request, saved: Progress, ends_at: float, received_at: float | None) -> Invocation:
    now = clock.now()
    if saved.due_at:
        measure("StepDelay", max(0.0, now - saved.due_at))
    invocation = Invocation(
        request,
        ends_at=ends_at,
        received_at=received_at or round(now, 3),
        continued=received_at is not None,
        noticed=dict(saved.noticed),
        last_error=saved.error,
        earlier_defects=saved.defects,
    )
    share = _CONTINUED_REQUEST_WAITS if invocation.continued else _NEW_REQUEST_WAITS
    rate_limiter.start_invocation(
        first_until=min(invocation.deadline, now + settings().in_place_wait * share),
        wait_until=invocation.deadline,
        latest=invocation.respond_by - settings().retry_delay,  # The last invocation purchases nothing.
        slots=saved.slots,
    )
    redaction.start_invocation(
        lambda: resources.possible_secrets(request.resource_type, request.properties, request.old_properties)
    )
    return invocation


def _answer(invocation: Invocation, *, known_version: bool) -> tuple[str, bytes]:
    """Return status and body of the response. A defect is answered FAILED after some attempts."""
    request = invocation.request
    try:
        if known_version:
            outcome = router.route(invocation)
            return outcome.status, response.encode(request, outcome)
        error = invocation.timed_out(reasons.NEWER_VERSION.failure())
    except UnknownOutcomeError as unknown:
        # Another invocation may have the outcome, and deliver it. FAILED is safe: its Delete releases by evidence.
        half_margin = (invocation.service_deadline - invocation.respond_by) / 2
        if clock.now() + settings().retry_delay < invocation.respond_by + half_margin:
            raise
        error = reasons.STILL_UNKNOWN.after(unknown)
    except Exception as defect:  # noqa: BLE001 - every request is answered
        error = invocation.defect(defect)
    if not isinstance(error, HandlerError):
        raise error
    failed = Outcome("FAILED", request.physical_resource_id or request.not_created_id, reason=str(error))
    return failed.status, response.encode(request, failed)


def _load(request: Request) -> Progress | None:
    """Return the saved progress, or None if the table can't be read: then the request starts without it."""
    try:
        return progress.load(request)
    except UnknownOutcomeError as error:
        logger.warning("Could not read the progress of the request", extra={"cause": str(error)})
        return None


def _save(invocation: Invocation, due_at: float, error: UnknownOutcomeError) -> None:
    saved = Progress(
        due_at=due_at,
        slots=rate_limiter.unused_slots(),
        noticed=invocation.noticed,
        defects=invocation.defects,
        error=error,
    )
    try:
        progress.save(invocation.request, saved)
    except UnknownOutcomeError as unsaved:  # The request starts without it, and waits longer than necessary.
        logger.warning("Could not save the progress of the request", extra={"cause": str(unsaved)})


def _return_unused(request: Request, saved: Progress | None) -> None:
    try:
        progress.return_unused(request, saved=saved is not None and saved.due_at > 0)
    except UnknownOutcomeError as error:
        logger.warning("Could not return reservations", extra={"cause": str(error)})
