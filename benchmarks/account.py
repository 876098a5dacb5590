"""An AWS account in virtual time: what the handlers call, how long that takes, and how often it happens."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qsl

import attrs
import boto3
import botocore.session
from botocore.awsrequest import AWSResponse, HeadersDict
from moto.core.request import Request

from benchmarks.lambda_and_sqs import Function, Handler, Lambda, Queue
from benchmarks.services import REGION
from benchmarks.state_table import StateTable
from benchmarks.virtual_time import VirtualTime
from local.telecom import Options, world
from local.telecom.dispatch import answer, error_code, fault_response, service_of
from local.telecom.faults import Fault
from local.telecom.rate import Rates
from tests.contract.cloudformation import StacksApi

ACCOUNT_ID = "123456789012"
TAGGING = "resource-groups-tagging-api"
"""The service ID in calls and limits."""
START = 1_900_000_000.0
_LATENCIES = {"dynamodb": 0.01, "sqs": 0.02}
_LATENCY, _VARIATION = 0.1, 0.2
"""Seconds of a round trip, and its random variation: calls do not arrive as evenly as they are sent."""

type Answer = tuple[int, Mapping[str, Any], bytes]


@attrs.frozen
class Limits:
    """What an account and the template allow. The defaults are those of template.yaml."""

    concurrency: int = 10
    """Concurrent executions of all functions. A new account has 10."""
    timeout: float = 60.0
    """Of both functions, in seconds."""
    max_event_age: float = 600.0
    """Of an event that Lambda could not process."""
    visibility_timeout: float = 90.0
    max_receives: int = 1000
    queue_concurrency: int = 5
    """MaximumConcurrency of the event source mapping."""
    slow_calls: Mapping[str, float] = attrs.field(factory=dict)
    """Calls per second, by `service.Operation`, for operations whose limit is not the default of the local services."""


class Account:
    """One account in one Region, with the services that the handlers call. Everything starts at START."""

    def __init__(self, limits: Limits, options: Options, seed: int) -> None:
        # The latencies and the jitter of every library.
        random.seed(seed)
        self.clock = VirtualTime(START)
        self.limits = limits
        self.calls: Counter[str] = Counter()
        """By `service.Operation`, including throttled ones."""
        self.throttled: Counter[str] = Counter()
        self.services = world.World(options)
        self.table = StateTable()
        self.lambda_service = Lambda(self.clock, limits.concurrency, seed)
        self.queue: Queue | None = None
        self._seed = seed
        self._arrivals = random.Random(seed)  # noqa: S311 - a simulation
        self._rates = Rates()
        self.stacks = StacksApi(lambda: self.clock.now)
        self.stacks.server_close()  # It is called directly.

    def function(self, handler: Handler) -> Function:
        """Create a function."""
        return Function(handler, self.limits.timeout, self.limits.max_event_age)

    def connect_queue(self, function: Function) -> Queue:
        """Create the queue and its event source mapping to a function."""
        self.queue = Queue(
            self.lambda_service,
            function,
            visibility_timeout=self.limits.visibility_timeout,
            max_receives=self.limits.max_receives,
            max_concurrency=self.limits.queue_concurrency,
            seed=self._seed,
        )
        return self.queue

    def arrivals(self, count: int, seconds: float) -> list[float]:
        """Return when events arrive that are sent within some seconds."""
        return [self._arrivals.uniform(0, seconds) for _ in range(count)]

    def travel(self, latency: float = _LATENCY) -> None:
        """Take the time of one direction of a round trip."""
        self.clock.sleep(latency / 2 * random.uniform(1 - _VARIATION, 1 + _VARIATION))  # noqa: S311 - a simulation

    def session(self) -> boto3.Session:
        """Return a session whose clients call this account instead of AWS."""

        def send(request: Any, event_name: str, **_: Any) -> AWSResponse:
            service, operation = event_name.split(".")[1:]
            self.calls[f"{service}.{operation}"] += 1
            latency = _LATENCIES.get(service, _LATENCY)
            self.travel(latency)
            status, headers, content = self._answer(service, operation, request)
            self.travel(latency)
            return AWSResponse(request.url, status, cast("Any", HeadersDict(headers)), _Body(content))

        core = botocore.session.Session()
        core.register("before-send", cast("Any", send))
        return boto3.Session("bench", "bench", region_name=REGION, botocore_session=core)

    def response_pool(self, receive: Callable[[Any], None]) -> Any:
        """Return the connection pool of responses to CloudFormation, which calls `receive` for each."""

        def urlopen(_: str, __: str, *, body: bytes, **___: Any) -> Any:
            self.travel()
            receive(json.loads(body))
            self.travel()
            return SimpleNamespace(status=200)

        return SimpleNamespace(urlopen=urlopen)

    def _answer(self, service: str, operation: str, request: Any) -> Answer:
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        if service == "dynamodb":
            status, content = self.table.call(operation, body)
            return status, {}, content
        if service == "sqs":
            if self.queue is None:
                raise RuntimeError("the account has no queue")
            return 200, {}, json.dumps(self.queue.call(operation, json.loads(body))).encode()
        if service == "cloudformation":
            if self._is_too_often(service, operation):
                self.throttled[f"{service}.{operation}"] += 1
                self.stacks.refuse("Throttling", times=1)
            found, text = self.stacks.answer(dict(parse_qsl(body.decode())))
            return found, {}, text.encode()
        return self._call_telecom(service, operation, request, body)

    def _call_telecom(self, name: str, operation: str, request: Any, body: bytes) -> Answer:
        headers = {
            name: value.decode() if isinstance(value, bytes) else str(value) for name, value in request.headers.items()
        }
        received = Request.from_primitives(request.method, request.url, headers, body)
        service = service_of(received.headers)
        if service is None:
            raise RuntimeError(f"no local service for {request.url}")
        with world.entered(self.services):
            if self._is_too_often(name, operation):
                answered = fault_response(service, operation, Fault(name, operation, "throttle"))
            else:
                answered = answer(service, received)
        self.throttled[f"{name}.{operation}"] += error_code(*answered) == service.throttle
        return answered

    def _is_too_often(self, service: str, operation: str) -> bool:
        """Return whether a call exceeds its own limit. The calls of one second can arrive together."""
        rate = self.limits.slow_calls.get(f"{service}.{operation}")
        if rate is None:
            return False
        return not self._rates.take_turn((service, operation), self.clock.now, rate, max(1, rate))


class _Body(BytesIO):
    def stream(self) -> Iterator[bytes]:
        """Yield the body, like urllib3."""
        yield self.read()
