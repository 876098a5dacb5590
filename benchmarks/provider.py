"""The provider and the continuation in an account in virtual time, and the stacks that send requests to them."""

from __future__ import annotations

import io
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from functools import partial
from typing import Any

import attrs

from benchmarks.account import ACCOUNT_ID, Account, Limits
from benchmarks.services import REGION
from local.telecom import Options

_ARRIVAL = 1.0
"""Seconds. CloudFormation sends the events of a stack within this time."""
_TELECOM = ("pinpoint-sms-voice-v2", "connect", "cloudformation")
_UNLIMITED = 1000
_ALARMS = ("Defects", "UnknownPurchases", "UnreadableMessages", "RequestsDropped")
"""Metrics that nothing in a simulation should emit."""

type Result = dict[str, Any]
"""What a simulation measured, by name. Times are in seconds."""


@attrs.frozen
class Request:
    """A request of CloudFormation, without what depends on the time."""

    logical_id: str
    resource_type: str
    properties: Mapping[str, Any]
    stack: int = 0
    physical_id: str | None = None
    """Of the resource that is deleted; None on Create."""
    operation: int = 0
    """Of the stack."""

    @property
    def id(self) -> str:
        """The RequestId."""
        return f"{self.stack}-{self.operation}-{self.logical_id}"

    def event(self, issued_at: float) -> dict[str, Any]:
        """Return the event that CloudFormation sends."""
        date = datetime.fromtimestamp(issued_at, UTC).strftime("%Y%m%dT%H%M%SZ")
        host = f"cloudformation-custom-resource-response-{REGION.replace('-', '')}.s3.amazonaws.com"
        stack = f"bulk-{self.stack}/0b1c2d3e-0000-4000-8000-000000000000"
        event = {
            "RequestType": "Create" if self.physical_id is None else "Delete",
            "ServiceToken": f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:bench",
            "ResponseURL": f"https://{host}/{self.id}?X-Amz-Date={date}&X-Amz-Expires=7200",
            "StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT_ID}:stack/{stack}",
            "RequestId": self.id,
            "LogicalResourceId": self.logical_id,
            "ResourceType": self.resource_type,
            "ResourceProperties": dict(self.properties),
        }
        return event if self.physical_id is None else event | {"PhysicalResourceId": self.physical_id}


@attrs.frozen
class Response:
    """What CloudFormation received."""

    at: float
    content: Mapping[str, Any]

    @property
    def succeeded(self) -> bool:
        """Whether the status is SUCCESS."""
        return bool(self.content["Status"] == "SUCCESS")


class _Metrics(io.TextIOBase):
    """Counts the metrics that the functions print."""

    def __init__(self) -> None:
        self.emitted: Counter[str] = Counter()

    def write(self, text: str) -> int:
        """Count the metric of a line in embedded metric format."""
        if text.startswith("{"):
            self.emitted[json.loads(text)["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"]] += 1
        return len(text)


class Provider:
    """The functions in an account."""

    def __init__(self, limits: Limits, options: Options, seed: int, call_rates: str = "") -> None:
        self.account = Account(limits, options, seed)
        self._responses: defaultdict[str, list[Response]] = defaultdict(list)
        self._deploy(call_rates)
        from telephony import transport  # noqa: PLC0415 - reads the environment
        from telephony.aws import clients  # noqa: PLC0415
        from telephony.handlers import continuation, provider  # noqa: PLC0415

        self.session = self.account.session()
        pool = self.account.response_pool(self._receive)
        for target, name, replacement in ((clients, "session", self.session), (transport, "pool", pool)):
            setattr(target, name, lambda replacement=replacement: replacement)
        self._functions = [self.account.function(module.handler) for module in (provider, continuation)]
        self._queue = self.account.connect_queue(self._functions[1])

    def _deploy(self, call_rates: str) -> None:
        """Set the environment of the functions, and discard what earlier simulations cached in their modules."""
        queue_url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/requests"
        os.environ.update(STATE_TABLE="state", QUEUE_URL=queue_url, ACCOUNT_ID=ACCOUNT_ID)
        os.environ.update(AWS_REGION=REGION, CALL_RATES=call_rates)
        os.environ["POWERTOOLS_METRICS_NAMESPACE"] = "bench"
        self._call_rates = call_rates
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] == "telephony":
                for value in list(vars(module).values()):
                    if hasattr(value, "cache_clear"):
                        value.cache_clear()

    @contextmanager
    def without_limits(self) -> Iterator[None]:
        """Remove the limits of calls and executions, for what happens before the measurement."""
        account, call_rates = self.account, self._call_rates
        before = account.services.options, account.limits, account.lambda_service.concurrency
        account.services.options = account.services.options.changed({"rate": False})
        account.limits = attrs.evolve(account.limits, slow_calls={})
        account.lambda_service.concurrency = _UNLIMITED
        self._deploy("*=0")
        try:
            yield
        finally:
            account.services.options, account.limits, account.lambda_service.concurrency = before
            self._deploy(call_rates)

    def run(self, requests: Sequence[Request]) -> Result:
        """Send the requests of one operation of each stack, and return what happened until all have ended."""
        account, started = self.account, self.account.clock.now
        calls, throttled = account.calls.copy(), account.throttled.total()
        billed, invocations, retries = self._billed, self._invocations, account.lambda_service.retries
        with redirect_stdout(_Metrics()) as metrics:
            account.clock.run(
                (delay, partial(self._send, request))
                for request, delay in zip(requests, account.arrivals(len(requests), _ARRIVAL), strict=True)
            )
        responses, count = [self.response(request) for request in requests], len(requests)
        made = account.calls - calls
        return {
            "count": count,
            "created" if requests[0].physical_id is None else "deleted": sum(each.succeeded for each in responses),
            "failed": sum(not response.succeeded for response in responses),
            "last_answer_seconds": max(response.at for response in responses) - started,
            "calls_per_number": sum(made[name] for name in made if name.split(".")[0] in _TELECOM) / count,
            "billed_seconds_per_number": (self._billed - billed) / count,
            "invocations_per_number": (self._invocations - invocations) / count,
            "throttled_calls": account.throttled.total() - throttled,
            "lambda_retries": account.lambda_service.retries - retries,
            "dead_letters": len(self._queue.dead),
            "alarms": sum(metrics.emitted[name] for name in _ALARMS),
            "calls": {name: number / count for name, number in sorted(made.items())},
        }

    def response(self, request: Request) -> Response:
        """Return the first response to a request. Raises RuntimeError if another one differs."""
        responses = self._responses[request.id]
        if not responses or any(response.content != responses[0].content for response in responses):
            raise RuntimeError(f"expected one response: {responses}")
        return responses[0]

    def held(self, backends: Any) -> int:
        """Return how many numbers a local service holds."""
        return len(self.account.services.store(backends)[ACCOUNT_ID][REGION].held_numbers())

    def create_instance(self) -> str:
        """Create an instance of Connect, which numbers can be claimed to. Returns its ARN."""
        client: Any = self.session.client("connect")
        settings = {"InboundCallsEnabled": True, "OutboundCallsEnabled": True}
        created = self.call(lambda: client.create_instance(IdentityManagementType="CONNECT_MANAGED", **settings))
        return str(created["Arn"])

    def call[T](self, act: Callable[[], T]) -> T:
        """Return the result of calls that are made in virtual time."""
        found: list[T] = []
        self.account.clock.run([(0.0, lambda: found.append(act()))])
        return found[0]

    @property
    def _billed(self) -> float:
        return sum(function.billed for function in self._functions)

    @property
    def _invocations(self) -> int:
        return sum(function.invocations for function in self._functions)

    def _send(self, request: Request) -> None:
        event = request.event(self.account.clock.now)
        self.account.lambda_service.invoke_asynchronously(self._functions[0], event, self._queue.send)

    def _receive(self, content: Any) -> None:
        self._responses[content["RequestId"]].append(Response(self.account.clock.now, content))
