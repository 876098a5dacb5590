"""Simulates many Creates in one stack at a rate limit of one call per second, with several retry strategies.

Time is virtual. Waits and retries are real: the provider runs from its handler down (rate limiter, ledger, Powertools,
SDK) against the local services and moto's DynamoDB. The other handlers rely on botocore's retries. Full jitter with a
cap is what a handler's author would add by hand.

`python -m benchmarks.bulk COUNT...` prints the results as JSON. It replaces the clock of its whole process.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from statistics import median
from types import SimpleNamespace
from typing import Any, cast

import attrs
import boto3
import botocore.session
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core.request import Request

from benchmarks.services import REGION, SIMULATOR, create_table
from benchmarks.virtual_time import VirtualTime
from local.telecom import Options, world
from local.telecom.dispatch import answer, service_of

_START = 1_900_000_000.0
_TIMEOUT = 600.0
"""Timeout of the Lambda function in seconds, as in template.yaml."""
_RESPONSE_MARGIN = 15.0
_ARRIVAL = 1.0
"""All events arrive within this many seconds."""
_DYNAMODB_LATENCY, _LATENCY, _VARIATION = 0.01, 0.1, 0.2
"""Seconds of a round trip, and its random variation: calls do not arrive as evenly as they are sent."""
_LAMBDA_RETRIES = (60.0, 120.0)
"""Lambda retries a failed asynchronous invocation after one minute and after two more (Lambda developer guide)."""
_SEEDS, _JITTER_CAP = 5, 5.0

type Strategies = Mapping[str, Mapping[str, Any]]
"""The results of each retry strategy, by name."""
PROVIDER, JITTER = "cfn-telephony", "full jitter, 5 s cap"


@attrs.define
class Simulation:
    """Concurrent Creates with one retry strategy."""

    count: int
    seed: int
    created: int = 0
    calls: int = 0
    """Calls to the telecom service, including rejected ones."""
    lambda_retries: int = 0
    _completed_at: float = 0.0
    _billed_seconds: float = 0.0
    clock: VirtualTime = attrs.field(factory=lambda: VirtualTime(_START))

    def __attrs_post_init__(self) -> None:
        """Make the latencies and the jitter of every library repeatable."""
        random.seed(self.seed)

    def run(self, create: Callable[[int], bool]) -> dict[str, float]:
        """Invoke `create` for each number, which returns whether it succeeded, and return the results."""
        arrivals = random.Random(self.seed)  # noqa: S311 - a simulation

        def invocation(number: int) -> None:
            started = self.clock.now
            if create(number):
                self.created += 1
                self._completed_at = self.clock.now
            self._billed_seconds += self.clock.now - started

        self.clock.run([(arrivals.uniform(0, _ARRIVAL), partial(invocation, number)) for number in range(self.count)])
        return {
            "created": self.created,
            "failed": self.count - self.created,
            "stretch": (self._completed_at - _START) / self.count,
            "calls_per_number": self.calls / max(1, self.created),
            "billed_seconds_per_number": self._billed_seconds / max(1, self.created),
            "lambda_retries": self.lambda_retries,
        }

    def wait_for_lambda_retry(self, seconds: float) -> None:
        """Wait between two invocations, which is not billed."""
        self.lambda_retries += 1
        self.clock.sleep(seconds)
        self._billed_seconds -= seconds

    def travel(self, latency: float = _LATENCY) -> None:
        """Take the time of one direction of a round trip."""
        self.clock.sleep(latency / 2 * random.uniform(1 - _VARIATION, 1 + _VARIATION))  # noqa: S311 - a simulation

    def session(self) -> boto3.Session:
        """Return a session whose clients call new local services instead of AWS."""
        services = world.World(Options(rate=True, phone_numbers=10_000))

        def send(request: Any, **_: Any) -> AWSResponse:
            body = request.body.encode() if isinstance(request.body, str) else request.body or b""
            headers = {
                name: value.decode() if isinstance(value, bytes) else str(value)
                for name, value in request.headers.items()
            }
            received = Request.from_primitives(request.method, request.url, headers, body)
            service = service_of(received.headers)
            if service is None:
                raise RuntimeError(f"no local service for {request.url}")
            dynamodb = service.name == "dynamodb"
            self.calls += not dynamodb
            self.travel(_DYNAMODB_LATENCY if dynamodb else _LATENCY)
            with world.entered(services):
                status, answered, content = answer(service, received)
            self.travel(_DYNAMODB_LATENCY if dynamodb else _LATENCY)
            return AWSResponse(request.url, status, cast("Any", HeadersDict(answered)), _Body(content))

        core = botocore.session.Session()
        core.register("before-send", cast("Any", send))
        return boto3.Session("bench", "bench", region_name=REGION, botocore_session=core)


class _Body(BytesIO):
    def stream(self) -> Iterator[bytes]:
        """Yield the body, like urllib3."""
        yield self.read()


def botocore_retries(mode: Any, count: int, seed: int) -> dict[str, float]:
    """Simulate crhelper, cfn-handler and cfnresponse: a client with botocore's default number of attempts."""
    simulation = Simulation(count, seed)
    session = simulation.session()

    def create(number: int) -> bool:
        client = session.client("pinpoint-sms-voice-v2", config=Config(retries={"mode": mode}))
        try:
            client.request_phone_number(**SIMULATOR, MessageType="TRANSACTIONAL", ClientToken=f"token-{number}")
        except ClientError:
            return False
        simulation.clock.sleep(_LATENCY)
        return True

    return simulation.run(create)


def full_jitter(count: int, seed: int) -> dict[str, float]:
    """Simulate a retry loop: a random delay of at most 1, 2, 4, then 5 seconds, until the deadline."""
    simulation = Simulation(count, seed)
    clock, last_success = simulation.clock, 0.0

    def create(_: int) -> bool:
        nonlocal last_success
        deadline, attempt = clock.now + _TIMEOUT - _RESPONSE_MARGIN, 0
        while True:
            simulation.calls += 1
            simulation.travel()
            if allowed := clock.now - last_success >= 1:
                last_success = clock.now
            simulation.travel()
            if allowed:
                clock.sleep(_LATENCY)
                return True
            delay = random.uniform(0, min(_JITTER_CAP, 2.0**attempt))  # noqa: S311 - a simulation
            if clock.now + delay > deadline:
                return False
            clock.sleep(delay)
            attempt += 1

    return simulation.run(create)


def provider(count: int, seed: int) -> dict[str, float]:
    """Simulate the provider's handler with its default settings."""
    os.environ.update(STATE_TABLE="state", AWS_REGION=REGION, POWERTOOLS_METRICS_NAMESPACE="bench")
    from telephony import transport  # noqa: PLC0415 - reads the environment
    from telephony.aws import clients  # noqa: PLC0415
    from telephony.handlers.provider import handler  # noqa: PLC0415

    simulation = Simulation(count, seed)
    clock, session, succeeded = simulation.clock, simulation.session(), set()

    def put(_: str, __: str, *, body: bytes, **___: Any) -> Any:
        clock.sleep(_LATENCY)
        response = json.loads(body)
        if response["Status"] == "SUCCESS":
            succeeded.add(response["RequestId"])
        return SimpleNamespace(status=200)

    _clear_caches("telephony")
    pool = SimpleNamespace(urlopen=put)
    for target, name, replacement in ((clients, "session", session), (transport, "pool", pool)):
        setattr(target, name, lambda replacement=replacement: replacement)
    clock.run([(0.0, lambda: create_table(session.client("dynamodb"), "state", "pk", "sk"))])
    clock.now, simulation.calls = _START, 0

    def create(number: int) -> bool:
        event = _event(number)
        for retry_after in (*_LAMBDA_RETRIES, None):
            ends = clock.now + _TIMEOUT
            context = SimpleNamespace(get_remaining_time_in_millis=lambda ends=ends: int((ends - clock.now) * 1000))
            try:
                handler(event, cast("Any", context))
            except Exception:  # noqa: BLE001 - Lambda retries after any exception
                if retry_after is not None:
                    simulation.wait_for_lambda_retry(retry_after)
                continue
            break
        return event["RequestId"] in succeeded

    return simulation.run(create)


def _clear_caches(package: str) -> None:
    """Discard what earlier simulations cached in the package's modules."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == package:
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def _event(number: int) -> dict[str, Any]:
    issued = datetime.fromtimestamp(_START, UTC).strftime("%Y%m%dT%H%M%SZ")
    stack = f"arn:aws:cloudformation:{REGION}:123456789012:stack/bulk/0b1c2d3e-0000-4000-8000-000000000000"
    host = f"cloudformation-custom-resource-response-{REGION.replace('-', '')}.s3.amazonaws.com"
    return {
        "RequestType": "Create",
        "ServiceToken": f"arn:aws:lambda:{REGION}:123456789012:function:bench",
        "ResponseURL": f"https://{host}/bulk-{number}?X-Amz-Date={issued}&X-Amz-Expires=7200",
        "StackId": stack,
        "RequestId": f"0b1c2d3e-0000-4000-8000-{number:012d}",
        "LogicalResourceId": f"Number{number}",
        "ResourceType": "Custom::SmsPhoneNumber",
        "ResourceProperties": SIMULATOR,
    }


def measure(count: int) -> dict[str, dict[str, Any]]:
    """Simulate every strategy with several seeds, and return the median of each result."""
    # A large simulation takes minutes and hardly depends on the seed.
    seeds = range(max(1, min(_SEEDS, 200 // count)))
    return {
        PROVIDER: _summary([provider(count, seed) for seed in seeds]),
        JITTER: _summary([full_jitter(count, seed) for seed in range(_SEEDS)]),
        "botocore legacy mode": _summary([botocore_retries("legacy", count, seed) for seed in seeds]),
        "botocore standard mode": _summary([botocore_retries("standard", count, seed) for seed in seeds]),
    }


def _summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    return {name: median(run[name] for run in runs) for name in runs[0]} | {
        "failed_at_most": max(run["failed"] for run in runs),
        "stretches": [run["stretch"] for run in runs],
    }


def main() -> None:
    """Print one JSON object with the results by count."""
    logging.disable(logging.CRITICAL)
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115, PTH123 - the provider prints metrics
    json.dump({count: measure(count) for count in map(int, sys.argv[1:])}, out)


if __name__ == "__main__":
    main()
