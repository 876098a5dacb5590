"""Routes a request to its operation with crhelper. The only module that imports crhelper.

crhelper's other features are not used, because each has a defect: its poller loses IDs, its timeout thread answers for
another request, its sender treats a 403 as delivered, its catch-all answers FAILED when the result is unknown, and its
log set-up changes the root logger. tests/unit/test_router.py covers everything that this module relies on.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import crhelper.resource_helper
from crhelper import CfnResource

from telephony.cloudformation.response import Outcome
from telephony.handlers import outcome_cache
from telephony.lifecycle import operations
from telephony.lifecycle.invocation import Invocation
from telephony.observability import logger


class _NoClients:
    """Replaces boto3 in the constructor of crhelper, which creates three clients that only its poller needs."""

    def client(self, *_: Any, **__: Any) -> None:
        return None


class Router(CfnResource):  # type: ignore[misc]  # crhelper has no types
    """crhelper's routing, without its other features."""

    outcome: Outcome | None = None

    def __init__(self) -> None:
        level = logging.getLevelName(logging.getLogger().level)
        boto3 = crhelper.resource_helper.boto3
        crhelper.resource_helper.boto3 = _NoClients()
        try:
            super().__init__(json_logging=False, log_level=level, boto_level="INFO", sleep_on_delete=0)
        finally:
            crhelper.resource_helper.boto3 = boto3

    def __call__(self, event: dict[str, Any], context: Any) -> Outcome:
        """Route the event and return its outcome. Exceptions propagate."""
        self.outcome = None
        self._crhelper_init(event, context)
        if self.outcome is None:
            raise RuntimeError("crhelper called no function.")
        return self.outcome

    def _set_timeout(self) -> None:
        """Start no timeout thread: every call has a time limit, and an unknown result is not a failure."""

    def _wrap_function(self, func: Any) -> None:
        self.outcome = func(self._event, self._context)


_OPERATIONS = {"create": operations.create, "update": operations.update, "delete": operations.delete}


def route(invocation: Invocation) -> Outcome:
    """Return the outcome of a request. Raises UnknownOutcomeError if it is unknown."""
    request = invocation.request
    event = {
        "RequestType": request.request_type,
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_resource_id,
        # crhelper requires the key and does not use it here.
        "ResponseURL": "...",
    }
    # A new router per request keeps no state of another one.
    router = Router()
    for name, operation in _OPERATIONS.items():
        getattr(router, name)(partial(_execute, operation))
    outcome = router(event, invocation)
    logger.info(
        "Outcome determined", extra={"status": outcome.status, "physical_resource_id": outcome.physical_resource_id}
    )
    return outcome


def _execute(operation: outcome_cache.Operation, _: dict[str, Any], invocation: Invocation) -> Outcome:
    return outcome_cache.execute_once(invocation, operation)
