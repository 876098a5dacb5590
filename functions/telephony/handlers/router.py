"""The only module that knows crhelper: it routes a request to the function for its type.

What crhelper does besides is not used, each part for a defect of its own: its poller loses ids, its timer thread
answers for another event, its sender takes a 403 for delivered, its catch-all calls an unknown outcome FAILED, its log
set-up changes the root logger. tests/unit/test_custom_resource.py holds what is leaned on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import crhelper.resource_helper
from crhelper import CfnResource

from telephony.cloudformation.response import Outcome
from telephony.handlers import outcome_cache
from telephony.lifecycle import operations
from telephony.lifecycle.invocation import Invocation
from telephony.observability import logger


class _NoClients:
    """In place of boto3 while crhelper is constructed: it makes three clients that only its poller needs."""

    def client(self, *_: Any, **__: Any) -> None:
        return None


class Dispatcher(CfnResource):  # type: ignore[misc]  # crhelper has no types
    """crhelper's routing, and nothing else of it."""

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
        """Route, and give what came of it. What is raised stays raised: only a known failure is an answer."""
        self.outcome = None
        self._crhelper_init(event, context)
        if self.outcome is None:
            raise RuntimeError("No function was routed to.")
        return self.outcome

    def _set_timeout(self) -> None:
        """No timer thread: every call is bounded, and an unknown outcome is not a failure."""

    def _wrap_function(self, func: Any) -> None:
        self.outcome = func(self._event, self._context)


_DECISIONS = {"create": operations.create, "update": operations.update, "delete": operations.delete}


def _deciding(decision: outcome_cache.Decision) -> Callable[[dict[str, Any], Invocation], Outcome]:
    return lambda _, invocation: outcome_cache.decide(invocation, decision)


def handle(invocation: Invocation) -> Outcome:
    """Give the outcome of a request; raise UnknownOutcomeError if it is not known."""
    request = invocation.request
    event = {
        "RequestType": request.request_type,
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_resource_id,
        # crhelper asks for it, and has no use for it here.
        "ResponseURL": "...",
    }
    # A new one for each: nothing of another event is left in it.
    route = Dispatcher()
    for verb, decision in _DECISIONS.items():
        getattr(route, verb)(_deciding(decision))
    result = route(event, invocation)
    logger.info("Decided", extra={"status": result.status, "physical_resource_id": result.physical_resource_id})
    return result
