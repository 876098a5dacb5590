"""Reads quotas from Service Quotas. A quota that can't be read is unknown, and prevents nothing.

Source: Service Quotas API Reference, "GetServiceQuota" and "GetAWSDefaultServiceQuota". A quota can have a value for
the resource, one for the account, and AWS's default. With a ContextId, GetServiceQuota returns only the first
(aws/aws-cli#8584).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from telephony import clock
from telephony.aws import clients
from telephony.aws.errors import CALL_ERRORS, code_of
from telephony.data import data
from telephony.observability import logger

_CURRENT_FOR = 60
"""Seconds. The API allows five calls per second (Service Quotas User Guide, "Service quotas for Service Quotas")."""
_NO_VALUE = "NoSuchResourceException"


@data
class _Known:
    value: float | None
    read_at: float


def read(service: str, code: str, resource_arn: str | None, *, at_least: float | None = None) -> float | None:
    """Return the quota that applies to a resource, or None if it can't be read.

    resource_arn: None if the quota has no values for resources of this kind. at_least: return a value that was read
    earlier if it is at least this. Otherwise the value is at most a minute old.
    """
    known = _cache().get((code, resource_arn))
    if known is not None:
        enough = at_least is not None and known.value is not None and known.value >= at_least
        if enough or clock.now() - known.read_at < _CURRENT_FOR:
            return known.value
    value = _read(service, code, resource_arn)
    _cache()[code, resource_arn] = _Known(value, clock.now())
    return value


def _read(service: str, code: str, resource_arn: str | None) -> float | None:
    quota = {"ServiceCode": service, "QuotaCode": code}
    calls: list[Callable[[], Any]] = [
        lambda: clients.service_quotas().get_service_quota(**quota),
        lambda: clients.service_quotas().get_aws_default_service_quota(**quota),
    ]
    if resource_arn is not None:
        calls.insert(0, lambda: clients.service_quotas().get_service_quota(**quota, ContextId=resource_arn))
    reason = _NO_VALUE
    for call in calls:
        try:
            return float(call()["Quota"]["Value"])
        except CALL_ERRORS as error:
            reason = code_of(error)
        except KeyError:
            continue
        if reason != _NO_VALUE:
            break
    logger.warning("A quota can't be read", extra={"service": service, "quota": code, "cause": reason})
    return None


@cache
def _cache() -> dict[tuple[str, str | None], _Known]:
    """Return the quotas that this execution environment has read, by code and resource."""
    return {}
