"""Many numbers in one stack, at one call per second: who gets theirs, when, after how many calls, billed for how long.

Time is virtual, what waits and retries is real: this provider from its handler down (rate, ledger, Powertools and the
SDK against the local services and moto's DynamoDB), and botocore's own retries, which are all that the peers have. Full
jitter, capped, until the deadline is what a careful author would write by hand.

`python -m benchmarks.bulk SEEDS COUNT...` prints the storms as JSON: it moves the time of its whole process.
"""

from __future__ import annotations

import json
import logging
import os
import random
import statistics
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Literal, cast

import attrs
import boto3
import botocore.session
from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core.request import Request

from benchmarks.virtual_time import VirtualTime
from local.telecom import Options, world
from local.telecom.dispatch import answer, service_of
from local.telecom.rate import Rates

REGION = "us-east-1"
_BEGINNING = 1_900_000_000.0
_LAMBDA = 600.0
"""Seconds that an invocation may take, as template.yaml has it."""
_MARGIN = 15.0
_ARRIVAL = 1.0
"""Seconds within which all the events come."""
_LATENCY = {"dynamodb": 0.01}
_OTHER_LATENCY = 0.1
_UNEVEN = 0.2
"""Each way takes so much more or less, as a share of it: calls do not arrive as evenly as they are sent."""
_RETRY_AFTER = (60.0, 120.0)
"""Lambda runs an asynchronous invocation again after one minute, and after two more (Lambda developer guide)."""
_CAP = 5.0


@attrs.define
class Storm:
    """What became of so many Creates at once."""

    count: int
    created: int = 0
    last: float = 0.0
    """Seconds from the first event to the last SUCCESS."""
    calls: int = 0
    """Of the telecom service, refused ones included."""
    billed: float = 0.0
    """Seconds of all invocations together."""
    retries: int = 0
    """Invocations that Lambda had to run again."""

    @property
    def result(self) -> dict[str, float]:
        """The figures, with the keys of the report."""
        made = max(1, self.created)
        return {
            "created": self.created,
            "failed": self.count - self.created,
            "stretch": self.last / self.count,
            "calls_per_number": self.calls / made,
            "billed_seconds_per_number": self.billed / made,
            "lambda_retries": self.retries,
        }


def _way(latency: float) -> float:
    """Seconds of one way of a call."""
    return latency / 2 * random.uniform(1 - _UNEVEN, 1 + _UNEVEN)  # noqa: S311 - a simulation


class _Raw(BytesIO):
    def stream(self) -> Iterator[bytes]:
        """The body, as urllib3 streams it."""
        yield self.read()


class _Wire:
    """In the place of HTTP below botocore: the local services of one world, as far away as AWS is."""

    def __init__(self, moment: VirtualTime, storm: Storm) -> None:
        self._moment, self._storm = moment, storm
        self._world = world.World(Options(rate=True, phone_numbers=10_000))

    def __call__(self, request: Any, **_: Any) -> AWSResponse:
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        headers = {
            name: value.decode() if isinstance(value, bytes) else str(value) for name, value in request.headers.items()
        }
        arrived = Request.from_primitives(request.method, request.url, headers, body)
        service = service_of(arrived.headers)
        if service is None:
            raise RuntimeError(f"nobody answers {request.url}")
        latency = _LATENCY.get(service.name, _OTHER_LATENCY)
        self._storm.calls += service.name != "dynamodb"
        self._moment.sleep(_way(latency))
        with world.entered(self._world):
            status, answered, content = answer(service, arrived)
        self._moment.sleep(_way(latency))
        return AWSResponse(request.url, status, cast("Any", HeadersDict(answered)), _Raw(content))

    def session(self) -> boto3.Session:
        """A session whose clients call here."""
        core = botocore.session.Session()
        core.register("before-send", cast("Any", self))
        return boto3.Session("bench", "bench", region_name=REGION, botocore_session=core)


def _invocations(storm: Storm, moment: VirtualTime, seed: int, work: Callable[[int], bool]) -> Storm:
    """Let all the events come, and each be worked on in an invocation of its own. `work` says whether it got one."""
    arrivals = random.Random(seed)  # noqa: S311 - a simulation

    def invocation(number: int) -> Callable[[], None]:
        def run() -> None:
            begun = moment.now
            if work(number):
                storm.created += 1
                storm.last = max(storm.last, moment.now - _BEGINNING)
            storm.billed += moment.now - begun

        return run

    moment.run([(arrivals.uniform(0, _ARRIVAL), invocation(number)) for number in range(storm.count)])
    return storm


def peers_retries(count: int, mode: Literal["legacy", "standard"], seed: int) -> Storm:
    """What crhelper, cfn-handler and cfnresponse come to: a client of their own, and botocore's retries as they are."""
    storm, moment = Storm(count), VirtualTime(_BEGINNING)
    random.seed(seed)
    session = _Wire(moment, storm).session()

    def work(number: int) -> bool:
        # The mode alone: how often it tries is botocore's default.
        client = session.client("pinpoint-sms-voice-v2", config=Config(retries={"mode": mode}))
        try:
            client.request_phone_number(
                IsoCountryCode="US",
                MessageType="TRANSACTIONAL",
                NumberCapabilities=["SMS"],
                NumberType="SIMULATOR",
                ClientToken=f"token-{number}",
            )
        except ClientError:
            return False
        moment.sleep(_OTHER_LATENCY)
        return True

    return _invocations(storm, moment, seed, work)


def full_jitter(count: int, seed: int) -> Storm:
    """A loop around one attempt: a random pause of at most 1, 2, 4, then 5 seconds, until the deadline."""
    storm, moment = Storm(count), VirtualTime(_BEGINNING)
    rates = Rates()
    random.seed(seed)

    def work(_: int) -> bool:
        deadline, attempt = moment.now + _LAMBDA - _MARGIN, 0
        while True:
            storm.calls += 1
            moment.sleep(_way(_OTHER_LATENCY))
            taken = rates.take_turn(("RequestPhoneNumber",), moment.now, 1.0, 1.0)
            moment.sleep(_way(_OTHER_LATENCY))
            if taken:
                moment.sleep(_OTHER_LATENCY)
                return True
            pause = random.uniform(0, min(_CAP, 2.0**attempt))  # noqa: S311 - a simulation
            if moment.now + pause > deadline:
                return False
            moment.sleep(pause)
            attempt += 1

    return _invocations(storm, moment, seed, work)


class _Bucket:
    """In the place of the pool that answers are sent through: S3, as far away as AWS is."""

    def __init__(self, moment: VirtualTime) -> None:
        self._moment = moment
        self.succeeded: set[str] = set()

    def urlopen(self, _: str, __: str, *, body: bytes, **___: Any) -> Any:
        """Take an answer."""
        self._moment.sleep(_OTHER_LATENCY)
        told = json.loads(body)
        if told["Status"] == "SUCCESS":
            self.succeeded.add(told["RequestId"])
        return attrs.make_class("Taken", ["status"])(200)


class _Context:
    def __init__(self, moment: VirtualTime) -> None:
        self._ends, self._moment = moment.now + _LAMBDA, moment

    def get_remaining_time_in_millis(self) -> int:
        return int((self._ends - self._moment.now) * 1000)


def ours(count: int, seed: int) -> Storm:
    """The provider's handler, with its defaults, in as many invocations as there are events."""
    os.environ.update(STATE_TABLE="state", AWS_REGION=REGION, POWERTOOLS_METRICS_NAMESPACE="bench")
    from telephony import transport  # noqa: PLC0415 - reads its environment
    from telephony.aws import clients  # noqa: PLC0415
    from telephony.errors import UnknownOutcomeError  # noqa: PLC0415
    from telephony.handlers import provider  # noqa: PLC0415 - reads its environment

    storm, moment = Storm(count), VirtualTime(_BEGINNING)
    random.seed(seed)
    session, bucket = _Wire(moment, storm).session(), _Bucket(moment)
    # What a container has of its own begins anew; what it is connected to is the simulation.
    _forget()
    for module, name, stand_in in ((clients, "session", session), (transport, "pool", bucket)):
        setattr(module, name, lambda stand_in=stand_in: stand_in)
    moment.run([(0.0, lambda: _make_table(session))])
    moment.now, storm.calls = _BEGINNING, 0

    def work(number: int) -> bool:
        event = _event(number)
        for pause in (*_RETRY_AFTER, None):
            try:
                provider.handler(event, _Context(moment))  # type: ignore[arg-type]
            except UnknownOutcomeError:
                if pause is None:
                    return False
                storm.retries += 1
                asleep = moment.now
                moment.sleep(pause)
                storm.billed -= moment.now - asleep
                continue
            return event["RequestId"] in bucket.succeeded
        return False

    return _invocations(storm, moment, seed, work)


def _forget() -> None:
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "telephony":
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def _make_table(session: boto3.Session) -> None:
    session.client("dynamodb").create_table(
        TableName="state",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def _event(number: int) -> dict[str, Any]:
    issued = datetime.fromtimestamp(_BEGINNING, UTC).strftime("%Y%m%dT%H%M%SZ")
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
        "ResourceProperties": {"IsoCountryCode": "US", "NumberType": "SIMULATOR", "NumberCapabilities": ["SMS"]},
    }


def storms(count: int, seeds: int) -> dict[str, Any]:
    """Ours and the others: the median of each figure over the seeds, and all of the stretches."""
    # What the provider does is heavy to simulate and hardly random: the larger, the less often.
    own_seeds = max(1, min(seeds, 200 // count))
    return {
        "ours": _summary([ours(count, seed) for seed in range(own_seeds)]),
        "full jitter, 5 s": _summary([full_jitter(count, seed) for seed in range(seeds)]),
        "botocore legacy": _summary([peers_retries(count, "legacy", seed) for seed in range(own_seeds)]),
        "botocore standard": _summary([peers_retries(count, "standard", seed) for seed in range(own_seeds)]),
    }


def _summary(runs: list[Storm]) -> dict[str, Any]:
    results = [run.result for run in runs]
    middle: dict[str, Any] = {name: statistics.median(result[name] for result in results) for name in results[0]}
    middle["failed_at_most"] = max(result["failed"] for result in results)
    middle["stretches"] = [result["stretch"] for result in results]
    return middle


def main() -> None:
    """One line of JSON for each count."""
    seeds, *counts = map(int, sys.argv[1:])
    logging.disable(logging.CRITICAL)
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115, PTH123 - metrics are printed
    for count in counts:
        print(json.dumps({"count": count, **storms(count, seeds)}), file=out, flush=True)


if __name__ == "__main__":
    main()
