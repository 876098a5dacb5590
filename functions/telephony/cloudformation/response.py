"""The contract, outbound: an Outcome becomes at most 4096 bytes, which are delivered or not.

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
from telephony.errors import HandlerErrorCode, UnknownOutcomeError
from telephony.observability import logger

MAX_BYTES = 4096
"""Of the whole body; one more, and CloudFormation fails the operation with "Response object is too long"."""

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 8.0


class UndeliveredError(UnknownOutcomeError):
    """CloudFormation has not taken the answer: the event has to run again."""


@attrs.frozen(repr=False, eq=False)
class Outcome:
    """What CloudFormation is told. The delivery can be repeated, the outcome stays."""

    status: Literal["SUCCESS", "FAILED"]
    physical_resource_id: str
    reason: str = ""
    data: Mapping[str, str] = attrs.field(factory=dict)


def encode(request: Request, outcome: Outcome) -> bytes:
    """Give the body: ids verbatim, at most 4096 bytes; a Reason that is too long loses its end."""
    answer = {
        "Status": outcome.status,
        "PhysicalResourceId": outcome.physical_resource_id,
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_resource_id,
    }
    if outcome.status == "SUCCESS":
        # In one order, whatever the store made of it: a repeated event is answered with the same bytes.
        body = _json(answer | {"Data": dict(sorted(outcome.data.items()))})
        if len(body) <= MAX_BYTES:
            return body
        answer["Status"] = "FAILED"
        return _json(
            answer | {"Reason": f"{HandlerErrorCode.INTERNAL_FAILURE}: the attributes do not fit into an answer."}
        )
    body = _json(answer | {"Reason": outcome.reason})
    low, high = 0, len(outcome.reason)
    while len(body) > MAX_BYTES and low < high:
        middle = (low + high + 1) // 2
        if len(_json(answer | {"Reason": outcome.reason[:middle] + "…"})) <= MAX_BYTES:
            low = middle
        else:
            high = middle - 1
        if low == high:
            body = _json(answer | {"Reason": outcome.reason[:low] + "…"})
    return body


def _json(answer: Mapping[str, object]) -> bytes:
    # No \u escapes: the limit counts bytes.
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def deliver(request: Request, body: bytes, *, until: float) -> None:
    """PUT the body to the signed URL until a 2xx, or raise UndeliveredError.

    until: seconds since the epoch. A 5xx, a 429 or a broken connection is tried again with growing backoff; any other
    status is final, because it will not change: an expired or altered URL answers 403.
    """
    pause = _FIRST_PAUSE
    while True:
        failure = _put(request.response_url, body, timeout=max(0.5, min(10.0, until - clock.now())))
        if failure is None:
            return
        wait = pause * random.uniform(0.5, 1)  # noqa: S311 - jitter
        if failure.final or clock.now() + wait >= until:
            raise UndeliveredError(
                f"CloudFormation did not take the answer ({failure.what}).", error_code=HandlerErrorCode.NETWORK_FAILURE
            )
        logger.warning("The answer was not taken; trying again", extra={"failure": failure.what})
        clock.sleep(wait)
        pause = min(2 * pause, _LONGEST_PAUSE)


@attrs.frozen(repr=False, eq=False)
class _Failure:
    what: str
    final: bool


def _put(url: str, body: bytes, *, timeout: float) -> _Failure | None:
    try:
        answer = transport.pool().urlopen(
            "PUT",
            url,
            body=body,
            # The signature covers an empty content type.
            headers={"content-type": ""},
            redirect=False,
            timeout=urllib3.Timeout(connect=min(3.0, timeout), read=timeout),
        )
    except (urllib3.exceptions.HTTPError, OSError) as error:
        # The class alone: these errors carry the signed URL in their text.
        return _Failure(type(error).__name__, final=False)
    if 200 <= answer.status < 300:  # noqa: PLR2004 - HTTP's 2xx
        return None
    return _Failure(f"HTTP {answer.status}", final=answer.status < 500 and answer.status != 429)  # noqa: PLR2004
