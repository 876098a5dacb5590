"""Routes a request to its operation with crhelper. The only module that imports crhelper.

crhelper's other features are not used, because each has a defect: its poller loses IDs, its timeout thread answers for
another request, its sender treats a 403 as delivered, and its catch-all answers FAILED when the result is unknown.
tests/unit/test_router.py covers everything that this module relies on.
"""

from __future__ import annotations

import copy
import logging
from functools import cache, partial
from typing import Any, cast

from crhelper import CfnResource, resource_helper

from telephony.cloudformation.response import Outcome
from telephony.handlers import outcome_cache
from telephony.lifecycle import operations
from telephony.lifecycle.invocation import Invocation
from telephony.observability import logger

_OPERATIONS = {"create": operations.create, "update": operations.update, "delete": operations.delete}


class _NoClients:
    """Replaces boto3 in the constructor of crhelper, which creates three clients that only its poller needs."""

    def client(self, *_: Any, **__: Any) -> None:
        return None


@cache
def _router() -> Any:
    """Return crhelper with the three operations registered. Its constructor must not change any log level."""
    level = logging.getLevelName(logging.getLogger().level)
    boto3, resource_helper.boto3 = resource_helper.boto3, _NoClients()
    try:
        router = CfnResource(json_logging=False, log_level=level, boto_level="WARNING")
    finally:
        resource_helper.boto3 = boto3
    for name, operation in _OPERATIONS.items():
        getattr(router, name)(partial(_execute, operation))
    return router


def route(invocation: Invocation) -> Outcome:
    """Return the outcome of a request. Raises UnknownOutcomeError if it is unknown."""
    router = copy.copy(_router())  # No state of another request.
    router._event = {"RequestType": invocation.request.request_type}  # noqa: SLF001 - what _get_func reads
    outcome = cast("Outcome", router._get_func()(router._event, invocation))  # noqa: SLF001 - __call__ would also send
    logger.info(
        "Outcome determined", extra={"status": outcome.status, "physical_resource_id": outcome.physical_resource_id}
    )
    return outcome


def _execute(operation: outcome_cache.Operation, _: dict[str, Any], invocation: Invocation) -> Outcome:
    return outcome_cache.execute_once(invocation, operation)
