"""Parses an invocation of a CloudFormation Lambda Hook, reads its payload, and encodes the answer.

Source: CloudFormation Hooks User Guide, "Create a Lambda function for Hooks" (request, payload and response).
docs/unverified.md lists what it leaves open.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import attrs
import urllib3

from telephony import transport
from telephony.cloudformation.request import DNS_SUFFIX
from telephony.data import data
from telephony.errors import HandlerErrorCode, TelephonyError, UnknownOutcomeError

_MAX_MESSAGE = 4096
"""Characters of a message that CloudFormation keeps (the same page)."""
_MAX_PAYLOAD = 20 * 2**20
"""Bytes. Two templates have at most 2 MB (CloudFormation User Guide, "Quotas"); the values of changes are added."""


class NotAnInvocationError(TelephonyError):
    """The event is no invocation of a Hook for stacks or change sets."""


class Target(StrEnum):
    """What a Hook is invoked for."""

    STACK = "STACK"
    CHANGE_SET = "CHANGE_SET"


@data
class Invocation:
    """One invocation of a Hook."""

    target: Target
    action: str
    """CREATE, UPDATE or DELETE."""
    stack_id: str
    change_set_id: str
    """Empty if the operation executes no change set."""
    payload_url: str = attrs.field(repr=False)
    """Signed: anyone who holds it can read the templates. Empty if there is no payload."""


def token_of(event: object) -> str:
    """Return the clientRequestToken of an event. The guide spells it in two ways."""
    fields = event if isinstance(event, Mapping) else {}
    return str(fields.get("clientRequestToken", fields.get("clientRequesttoken", "")))


def parse(event: object) -> Invocation:
    """Parse an event. Raises NotAnInvocationError."""
    if not isinstance(event, Mapping) or not isinstance(event.get("requestData"), Mapping):
        raise NotAnInvocationError("The event is not an invocation of a Hook.")
    request = event["requestData"]
    stack_id = event.get("stackId", event.get("stackID"))  # The guide spells it in two ways.
    target, point = request.get("targetType", request.get("targetName")), event.get("actionInvocationPoint")
    texts = (stack_id, target, point, event.get("changeSetId") or "", request.get("payload") or "")
    if not all(isinstance(text, str) for text in texts) or target not in Target.__members__:
        raise NotAnInvocationError("The event is not an invocation of a Hook for stacks or change sets.")
    stack_id, target, point, change_set_id, url = map(str, texts)
    if not stack_id.startswith("arn:"):
        raise NotAnInvocationError("stackId is not the ID of a stack.")
    return Invocation(Target(target), point.partition("_")[0], stack_id, change_set_id, url)


def read_payload(invocation: Invocation, *, allowed_hosts: frozenset[str]) -> Mapping[str, Any]:
    """Read the templates or changes. Empty if there is no payload. Raises TelephonyError if it can't be read."""
    if not invocation.payload_url:
        return {}
    _check_host(invocation, allowed_hosts)
    try:
        response = transport.pool().request(
            "GET", invocation.payload_url, redirect=False, preload_content=False, timeout=urllib3.Timeout(3, 10)
        )
        body = response.read(_MAX_PAYLOAD + 1)
        response.release_conn()
    except (urllib3.exceptions.HTTPError, OSError) as error:
        # Only the class: the text of these errors contains the signed URL.
        cause = f"The payload of the Hook can't be read ({type(error).__name__})."
        raise UnknownOutcomeError(cause, error_code=HandlerErrorCode.NETWORK_FAILURE) from None
    if response.status != 200 or len(body) > _MAX_PAYLOAD:  # noqa: PLR2004 - HTTP
        cause = f"The payload of the Hook can't be read (HTTP {response.status}, {len(body)} bytes)."
        raise UnknownOutcomeError(cause, error_code=HandlerErrorCode.NETWORK_FAILURE)
    try:
        payload = json.loads(body)
    except ValueError:
        payload = None
    if not isinstance(payload, Mapping):
        raise NotAnInvocationError("The payload of the Hook is not a JSON object.")
    return payload


def answer(token: str, message: str, *, failed: bool) -> dict[str, str]:
    """Return the answer. If it failed, CloudFormation stops the operation, or warns, as the Hook is configured."""
    status = {"hookStatus": "FAILED", "errorCode": "NonCompliant"} if failed else {"hookStatus": "SUCCESS"}
    shown = message if len(message) <= _MAX_MESSAGE else f"{message[: _MAX_MESSAGE - 1]}…"
    return {**status, "message": shown, "clientRequestToken": token}


def s3_host(stack_id: str) -> str:
    """Return a regular expression of the hosts of Amazon S3 in the partition of a stack."""
    suffix = DNS_SUFFIX.get(stack_id.split(":")[1])
    return rf"([a-z0-9.-]+\.)?s3[.-]([a-z0-9-]+\.)*{re.escape(suffix)}" if suffix else r"(?!)"


def _check_host(invocation: Invocation, allowed_hosts: frozenset[str]) -> None:
    """Refuse a URL that is not one of Amazon S3 in the partition of the stack."""
    try:
        parts = urlsplit(invocation.payload_url)
        host, port = (parts.hostname or "").lower(), parts.port or 443
    except ValueError:
        raise NotAnInvocationError("The payload is not a URL.") from None
    is_s3 = port == 443 and re.fullmatch(s3_host(invocation.stack_id), host)  # noqa: PLR2004 - https
    allowed = is_s3 or host in allowed_hosts or f"{host}:{port}" in allowed_hosts
    if parts.scheme != "https" or parts.username is not None or not allowed:
        raise NotAnInvocationError("The payload is at a host that does not belong to Amazon S3.")
