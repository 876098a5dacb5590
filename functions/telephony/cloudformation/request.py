"""Parses a custom resource request, and refuses an event that CloudFormation did not send.

Source: CloudFormation User Guide, "Custom resource request objects" and "Custom resource request types".
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, cast
from urllib.parse import parse_qs, urlsplit

import attrs

from telephony.data import data
from telephony.errors import TelephonyError

RequestType = Literal["Create", "Update", "Delete"]

MAX_SERVICE_TIMEOUT = 3600
"""Seconds; also the default (AWS::CloudFormation::CustomResource, ServiceTimeout)."""

NOT_CREATED = "not-created:"
"""Prefix of the PhysicalResourceId of a Create that purchased nothing. The RequestId follows."""

SERVICE_TIMEOUT = "ServiceTimeout"
_URL_LIFETIME = 7200
"""Seconds for which CloudFormation signs a ResponseURL. Converts an `Expires` parameter into the time of issue."""

_STACK_ID = re.compile(r"arn:(aws[a-z-]*):cloudformation:([a-z0-9-]+):\d{12}:stack/([^/]+)/[^/]+")

# Source: botocore's partitions.json, dnsSuffix.
DNS_SUFFIX: Mapping[str, str] = {
    "aws": "amazonaws.com",
    "aws-us-gov": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-eusc": "amazonaws.eu",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-iso-e": "cloud.adc-e.uk",
    "aws-iso-f": "csp.hci.ic.gov",
}


class NotARequestError(TelephonyError):
    """The event is not a custom resource request. No response is sent."""


class ResponseHostRefusedError(NotARequestError):
    """The ResponseURL does not name a host of CloudFormation."""


@data
class Request:
    """A custom resource request. StackId, LogicalResourceId, RequestId and time identify it."""

    request_type: RequestType
    stack_id: str
    request_id: str
    logical_resource_id: str
    resource_type: str
    response_url: str
    """Signed: anyone who holds it can respond for the resource. Only response.py uses it."""
    physical_resource_id: str | None
    """None on Create."""
    properties: Mapping[str, Any]
    """ResourceProperties as received: scalars are strings, ServiceToken and ServiceTimeout are included."""
    issued_at: float | None
    """When CloudFormation signed the URL, in seconds since the epoch. None if the URL does not contain it."""
    service_timeout: int
    """Seconds from issued_at until CloudFormation stops waiting."""
    old_properties: Mapping[str, Any] = attrs.field(factory=dict)
    """OldResourceProperties of an Update, else empty."""

    @property
    def time(self) -> int:
        """When CloudFormation issued the request, in whole seconds, or 0. A RequestId can be used again later."""
        return int(self.issued_at or 0)

    @property
    def account_id(self) -> str:
        """The account of the stack."""
        return self.stack_id.split(":")[4]

    @property
    def not_created_id(self) -> str:
        """The PhysicalResourceId to return if this Create purchases nothing. It identifies the Create."""
        return NOT_CREATED + self.request_id


def parse(event: object, *, allowed_hosts: frozenset[str]) -> Request:
    """Parse an event.

    Raises NotARequestError if it is not a custom resource request, and ResponseHostRefusedError if the response would
    go to a host that is neither CloudFormation's bucket in the stack's Region nor in allowed_hosts.
    """
    if not isinstance(event, Mapping):
        raise NotARequestError("The event is not a JSON object.")
    fields = {name: _text(event, name) for name in ("StackId", "RequestId", "LogicalResourceId", "ResourceType")}
    url = _text(event, "ResponseURL")
    request_type = event.get("RequestType")
    if not isinstance(request_type, str) or request_type not in {"Create", "Update", "Delete"}:
        raise NotARequestError("RequestType is not Create, Update or Delete.")
    physical_resource_id = None if request_type == "Create" else _text(event, "PhysicalResourceId")
    properties = event.get("ResourceProperties", {})
    if not isinstance(properties, Mapping):
        raise NotARequestError("ResourceProperties is not a JSON object.")
    if event.get(SERVICE_TIMEOUT) is not None:
        # Events in public repositories have it at the top level, with or without a copy in ResourceProperties.
        properties = {SERVICE_TIMEOUT: event[SERVICE_TIMEOUT], **properties}
    old_properties = event.get("OldResourceProperties", {})
    _check_host(url, fields["StackId"], allowed_hosts)
    return Request(
        request_type=cast("RequestType", request_type),
        stack_id=fields["StackId"],
        request_id=fields["RequestId"],
        logical_resource_id=fields["LogicalResourceId"],
        resource_type=fields["ResourceType"],
        response_url=url,
        physical_resource_id=physical_resource_id,
        properties=properties,
        old_properties=old_properties if isinstance(old_properties, Mapping) else {},
        issued_at=_issued_at(url),
        service_timeout=_service_timeout(properties.get(SERVICE_TIMEOUT)),
    )


def _text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    if not isinstance(value, str) or not value:
        raise NotARequestError(f"{name} is missing or not a string.")
    return value


def _check_host(url: str, stack_id: str, allowed_hosts: frozenset[str]) -> None:
    """Refuse a URL that a caller other than CloudFormation may have written.

    Host names are compared exactly: anyone can own a bucket whose name only starts like CloudFormation's.
    Source: CloudFormation User Guide, "VPC endpoints and custom resources" (bucket names).
    """
    stack = _STACK_ID.fullmatch(stack_id)
    if stack is None:
        raise NotARequestError("StackId is not the ARN of a stack.")
    if not url.isascii() or not url.isprintable() or " " in url:
        # urlsplit drops such characters, so the checked URL would differ from the called one.
        raise ResponseHostRefusedError("ResponseURL is not a URL.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or 443
    except ValueError:
        raise ResponseHostRefusedError("ResponseURL is not a URL.") from None
    if parts.scheme != "https" or parts.username is not None or parts.password is not None:
        raise ResponseHostRefusedError("ResponseURL is not a plain https URL.")
    partition, region = stack[1], stack[2]
    suffix = DNS_SUFFIX.get(partition)
    bucket = f"cloudformation-custom-resource-response-{region.replace('-', '')}"
    expected = {f"{bucket}.s3.{suffix}", f"{bucket}.s3-{region}.{suffix}", f"{bucket}.s3.{region}.{suffix}"}
    if suffix and port == 443 and host in expected:  # noqa: PLR2004 - https
        return
    if host in allowed_hosts or f"{host}:{port}" in allowed_hosts:
        return
    raise ResponseHostRefusedError(f"ResponseURL names a host that does not belong to CloudFormation in {region}.")


def _issued_at(url: str) -> float | None:
    query = parse_qs(urlsplit(url).query)
    try:
        if "X-Amz-Date" in query:
            return datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        if "Expires" in query:
            expires = float(query["Expires"][0])
            return expires - _URL_LIFETIME if math.isfinite(expires) else None
    except ValueError:
        return None
    return None


def _service_timeout(value: object) -> int:
    """Return ServiceTimeout in seconds. CloudFormation has validated it; an invalid value means the default."""
    if isinstance(value, (str, int)) and str(value).isdecimal() and 0 < int(value) <= MAX_SERVICE_TIMEOUT:
        return int(value)
    return MAX_SERVICE_TIMEOUT
