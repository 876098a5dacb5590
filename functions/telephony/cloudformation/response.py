"""Encodes an outcome as a custom resource response, and delivers it.

Source: CloudFormation User Guide, "Custom resource response objects".
"""

import json
import random
from collections.abc import Mapping
from typing import Literal

import attrs
import urllib3

from telephony import clock, transport
from telephony.cloudformation.request import Request
from telephony.data import data
from telephony.errors import HandlerErrorCode, UnknownOutcomeError
from telephony.observability import logger

MAX_BYTES = 4096
"""Limit of the body. CloudFormation fails the operation with "Response object is too long" above it."""

_FIRST_DELAY, _MAX_DELAY = 1.0, 8.0


class UndeliveredError(UnknownOutcomeError):
    """CloudFormation did not accept the response. The request must be retried."""


@data
class Outcome:
    """The result of a request. The delivery can be repeated; the outcome does not change."""

    status: Literal["SUCCESS", "FAILED"]
    physical_resource_id: str
    reason: str = ""
    data: Mapping[str, str] = attrs.field(factory=dict)


def encode(request: Request, outcome: Outcome) -> bytes:
    """Return the response body, at most 4096 bytes. IDs are unchanged; a Reason that is too long is truncated."""
    response = {
        "Status": outcome.status,
        "PhysicalResourceId": outcome.physical_resource_id,
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_resource_id,
    }
    if outcome.status == "SUCCESS":
        # Sorted, so that a repeated request is answered with the same bytes.
        body = _json(response | {"Data": dict(sorted(outcome.data.items()))})
        if len(body) <= MAX_BYTES:
            return body
        response["Status"] = "FAILED"
        reason = f"{HandlerErrorCode.INTERNAL_FAILURE}: The attributes exceed the size limit of a response."
        return _json(response | {"Reason": reason})
    body = _json(response | {"Reason": outcome.reason})
    low, high = 0, len(outcome.reason)
    while len(body) > MAX_BYTES and low < high:
        middle = (low + high + 1) // 2
        if len(_json(response | {"Reason": outcome.reason[:middle] + "…"})) <= MAX_BYTES:
            low = middle
        else:
            high = middle - 1
        if low == high:
            body = _json(response | {"Reason": outcome.reason[:low] + "…"})
    return body


def _json(response: Mapping[str, object]) -> bytes:
    # Without \u escapes, because the limit counts bytes.
    return json.dumps(response, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def deliver(request: Request, body: bytes, *, until: float) -> None:
    """PUT the body to the signed URL until a 2xx status. Raises UndeliveredError.

    until: seconds since the epoch. A 5xx, a 429 or a broken connection is retried with back-off. Any other status is
    final: an expired or altered URL answers 403 every time.
    """
    delay = _FIRST_DELAY
    while True:
        failure = _put(request.response_url, body, timeout=max(0.5, min(10.0, until - clock.now())))
        if failure is None:
            return
        wait = delay * random.uniform(0.5, 1)  # noqa: S311 - jitter
        if failure.final or clock.now() + wait >= until:
            raise UndeliveredError(
                f"CloudFormation did not accept the response ({failure.description}).",
                error_code=HandlerErrorCode.NETWORK_FAILURE,
            )
        logger.warning("Response not accepted; retrying", extra={"failure": failure.description})
        clock.sleep(wait)
        delay = min(2 * delay, _MAX_DELAY)


@data
class _DeliveryFailure:
    description: str
    final: bool


def _put(url: str, body: bytes, *, timeout: float) -> _DeliveryFailure | None:
    try:
        response = transport.pool().urlopen(
            "PUT",
            url,
            body=body,
            # The signature covers an empty content type.
            headers={"content-type": ""},
            redirect=False,
            timeout=urllib3.Timeout(connect=min(3.0, timeout), read=timeout),
        )
    except (urllib3.exceptions.HTTPError, OSError) as error:
        # Only the class: the text of these errors contains the signed URL.
        return _DeliveryFailure(type(error).__name__, final=False)
    if 200 <= response.status < 300:  # noqa: PLR2004 - HTTP's 2xx
        return None
    final = response.status < 500 and response.status != 429  # noqa: PLR2004 - HTTP status codes
    return _DeliveryFailure(f"HTTP {response.status}", final=final)
