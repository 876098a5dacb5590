"""Simulates stacks with hundreds of numbers in an account with 10 concurrent executions, in virtual time.

The provider runs from its handlers down (rate limiter, ledger, Powertools, SDK) against the local services.
lambda_and_sqs.py models Lambda and SQS, state_table.py the table, retries.py other retry strategies.

`python -m benchmarks.bulk [NAME[=COUNT]...]` prints the results as JSON. It replaces the clock of its whole process.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from benchmarks import retries, sweep
from benchmarks.account import Limits
from benchmarks.provider import Provider, Request, Result
from benchmarks.services import SIMULATOR
from local.telecom import Options
from local.telecom.connect.models import telecomconnect_backends
from local.telecom.sms_voice.models import pinpointsmsvoicev2_backends

PROVIDER = "cfn-telephony"
type _Calls = Mapping[str, float]
"""By operation."""

_SMS: Final = "pinpoint-sms-voice-v2"
_CONNECT: Final = "connect"
_RATES = {_SMS: 1, _CONNECT: 2}
"""Calls per second and operation."""
_NUMBERS = 10_000
"""Quota of each service: more than are requested."""
_KEYWORDS = [
    {"Keyword": keyword, "Message": "A message.", "Action": "AUTOMATIC_RESPONSE"}
    for keyword in ("INFO", "MORE", "START")
]
_ACTIVATION, _CLAIM = 5.0, 3.0
"""Seconds until a number is ACTIVE, and until a claim is complete."""
CREATE = {"RequestPhoneNumber": 1}
CONFIGURED_CREATE = {
    **CREATE,
    "PutKeyword": len(_KEYWORDS),
    "AssociateOriginationIdentity": 1,
    "DescribePhoneNumbers": 2,
}
CLAIM = {"SearchAvailablePhoneNumbers": 1, "ClaimPhoneNumber": 1, "DescribePhoneNumber": 2}
"""Calls per number, without errors. The first read can be too early."""
_SLOW_CALL, _SLOW_RATE = f"{_SMS}.ReleasePhoneNumber", 0.05
_PROMPT = 300.0
"""Seconds within which a request is refused that does not fit: the longest back-off of Lambda."""
_ARITHMETIC = re.compile(
    r"\d+ calls of ReleasePhoneNumber are reserved ahead of this one, at 0\.05 per second\. "
    r"This call is due in \d+ seconds\. ServiceTimeout leaves \d+ seconds\."
)


def creates(count: int, seed: int, *, stacks: int = 1) -> Result:
    """Simulate Creates of SMS numbers, which need one call each."""
    provider = Provider(Limits(), Options(rate=True, phone_numbers=_NUMBERS), seed)
    result = provider.run(_sms_numbers(count, stacks))
    return result | _bound(result, _SMS, CREATE) | {"held": provider.held(pinpointsmsvoicev2_backends)}


def configured_creates(count: int, seed: int) -> Result:
    """Simulate Creates of SMS numbers with three keywords, a pool and WaitForActive."""
    options = Options(rate=True, phone_numbers=_NUMBERS, identities_per_pool=_NUMBERS, activation_seconds=_ACTIVATION)
    provider = Provider(Limits(), options, seed)
    with provider.without_limits():
        pool_id = provider.call(lambda: _pool(provider))
    settings = {"OptionalKeywords": _KEYWORDS, "PoolId": pool_id, "WaitForActive": "true"}
    result = provider.run(_sms_numbers(count, settings=settings))
    held = provider.held(pinpointsmsvoicev2_backends) - 1
    return result | _bound(result, _SMS, CONFIGURED_CREATE, _ACTIVATION) | {"held": held}


def _pool(provider: Provider) -> str:
    """Create a pool from a number with the same keywords, which it requires."""
    client: Any = provider.session.client(_SMS)
    number = client.request_phone_number(**SIMULATOR, MessageType="TRANSACTIONAL")["PhoneNumberId"]
    for keyword in _KEYWORDS:
        client.put_keyword(
            OriginationIdentity=number,
            Keyword=keyword["Keyword"],
            KeywordMessage=keyword["Message"],
            KeywordAction=keyword["Action"],
        )
    provider.account.clock.sleep(_ACTIVATION)
    pool = client.create_pool(OriginationIdentity=number, IsoCountryCode="US", MessageType="TRANSACTIONAL")
    return str(pool["PoolId"])


def claims(count: int, seed: int) -> Result:
    """Simulate Creates that claim Connect numbers."""
    provider = Provider(Limits(), Options(rate=True, connect_numbers=_NUMBERS, claim_seconds=_CLAIM), seed)
    with provider.without_limits():
        target = provider.create_instance()
    declared = {"TargetArn": target, "CountryCode": "US", "Type": "DID"}
    requests = [Request(f"Number{number}", "Custom::ConnectPhoneNumber", declared) for number in range(count)]
    result = provider.run(requests)
    held = provider.held(telecomconnect_backends)
    return result | _bound(result, _CONNECT, CLAIM, _CLAIM) | {"held": held}


def slow_deletes(count: int, seed: int) -> Result:
    """Simulate Deletes at one call per 20 seconds, and Deletes again of those that failed."""
    limits = Limits(slow_calls={_SLOW_CALL: _SLOW_RATE})
    provider = Provider(limits, Options(rate=True, phone_numbers=_NUMBERS), seed, f"{_SLOW_CALL}={_SLOW_RATE}")
    created = _sms_numbers(count)
    with provider.without_limits():
        provider.run(created)
    deletes = [
        attrs.evolve(request, operation=1, physical_id=provider.response(request).content["PhysicalResourceId"])
        for request in created
    ]
    started = provider.account.clock.now
    result = provider.run(deletes)
    failed = [request for request in deletes if not provider.response(request).succeeded]
    ages = [provider.response(request).at - started for request in failed]
    reasons = [provider.response(request).content["Reason"] for request in failed]
    refused = {age: reason for age, reason in zip(ages, reasons, strict=True) if age < _PROMPT}
    result |= {
        "held": provider.held(pinpointsmsvoicev2_backends),
        "refused": len(refused),
        "last_refused_seconds": max(refused, default=0.0),
        "explained": all(_ARITHMETIC.search(reason) for reason in refused.values()),
        "failed_later": len(failed) - len(refused),
        "reason": next(iter(refused.values()), ""),
    }
    if not failed:
        return result
    again = provider.run([attrs.evolve(request, operation=2) for request in failed])
    return result | {"again": again | {"held": provider.held(pinpointsmsvoicev2_backends)}}


def _sms_numbers(count: int, stacks: int = 1, settings: Mapping[str, Any] | None = None) -> list[Request]:
    declared = {**SIMULATOR, "ServiceTimeout": "3600", **(settings or {})}
    return [Request(f"Number{number}", "Custom::SmsPhoneNumber", declared, number % stacks) for number in range(count)]


def _bound(result: Result, service: str, budget: _Calls, more: float = 0.0) -> Result:
    """Compare the last answer with the time that the most frequent call needs at its rate, plus 5 % and 10 seconds.

    more: seconds that the last number needs after its purchase.
    """
    operation = max(budget, key=lambda name: budget[name])
    limit = result["count"] * budget[operation] / _RATES[service] * 1.05 + 10 + more
    within = result["last_answer_seconds"] <= limit
    return {"most_frequent_call": operation, "limit_seconds": limit, "within": within}


def _compared_creates(count: int, seed: int) -> Result:
    others = {
        "full jitter, 5 s cap": retries.full_jitter(count, seed),
        "botocore legacy mode": retries.botocore_retries("legacy", count, seed),
        "botocore standard mode": retries.botocore_retries("standard", count, seed),
    }
    return creates(count, seed) | {"others": others}


def _configured(count: int, seed: int) -> Result:
    parts = {"sms": configured_creates(count, seed), "connect": claims(count, seed)}
    totals = {name: sum(part[name] for part in parts.values()) for name in ("created", "failed")}
    slowest = {
        name: max(part[name] for part in parts.values())
        for name in ("last_answer_seconds", "billed_seconds_per_number")
    }
    return totals | slowest | {"within": all(part["within"] for part in parts.values())} | parts


@attrs.frozen
class Simulation:
    """What a figure is measured with."""

    simulate: Callable[[int, int], Result]
    """Called with count and seed."""
    count: int
    seeds: int = 3
    """Repetitions. A large simulation takes a minute and hardly depends on the seed."""


SIMULATIONS: Mapping[str, Simulation] = {
    "bulk_400_concurrency_10": Simulation(_compared_creates, 400),
    "bulk_100_configured": Simulation(_configured, 100),
    "bulk_2000": Simulation(lambda count, seed: creates(count, seed, stacks=4), 2000, seeds=1),
    "delete_100_slow": Simulation(slow_deletes, 100),
    "delete_200_slow": Simulation(slow_deletes, 200),
    "sweep_10000": Simulation(sweep.sweeps, 10_000, seeds=1),
}
"""By the name of the figure."""


def main() -> None:
    """Print one JSON object with the results of each seed, by name."""
    logging.disable(logging.CRITICAL)
    wanted = dict(argument.partition("=")[::2] for argument in sys.argv[1:]) or dict.fromkeys(SIMULATIONS, "")
    results = {}
    for name, count in wanted.items():
        simulation = SIMULATIONS[name]
        seeds = range(1, simulation.seeds + 1)
        results[name] = [simulation.simulate(int(count or simulation.count), seed) for seed in seeds]
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
