"""Other retry strategies for Creates of SMS numbers, in the same account in virtual time.

crhelper, cfn-handler and cfnresponse rely on botocore's retries. Full jitter with a cap is what a handler's author
would add by hand. A Create that fails is answered FAILED, so Lambda does not repeat it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Literal

from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks.account import Account, Limits
from benchmarks.lambda_and_sqs import Function
from benchmarks.services import SIMULATOR
from local.telecom import Options
from local.telecom.rate import Rates

_TIMEOUT = 600.0
"""Timeout of the Lambda function in seconds: as long as a retry loop needs."""
_RESPONSE_MARGIN, _JITTER_CAP = 15.0, 5.0


def _simulate(count: int, account: Account, create: Callable[[int], bool]) -> dict[str, float]:
    """Invoke a function for each number, which returns whether it succeeded, and return the results."""
    started, answered_at, created = account.clock.now, 0.0, 0

    def handler(number: int, _: Any) -> None:
        nonlocal answered_at, created
        succeeded = create(number)
        created += succeeded
        account.travel()
        answered_at = account.clock.now
        account.travel()

    # Without the settings of template.yaml.
    function = Function(handler, _TIMEOUT)

    def task(number: int) -> Callable[[], None]:
        return lambda: account.lambda_service.invoke_asynchronously(function, number)

    account.clock.run((delay, task(number)) for number, delay in enumerate(account.arrivals(count, 1)))
    return {
        "count": count,
        "created": created,
        "failed": count - created,
        "last_answer_seconds": answered_at - started,
        "calls_per_number": account.calls.total() / count,
        "billed_seconds_per_number": function.billed / count,
    }


def botocore_retries(mode: Literal["legacy", "standard"], count: int, seed: int) -> dict[str, float]:
    """Simulate crhelper, cfn-handler and cfnresponse: a client with botocore's default number of attempts."""
    account = Account(Limits(), Options(rate=True, phone_numbers=count), seed)
    session = account.session()

    def create(number: int) -> bool:
        # As in Lambda, the client of an execution environment serves one invocation at a time.
        client = idle.pop() if idle else session.client("pinpoint-sms-voice-v2", config=Config(retries={"mode": mode}))
        try:
            client.request_phone_number(**SIMULATOR, MessageType="TRANSACTIONAL", ClientToken=f"token-{number}")
        except ClientError:
            return False
        finally:
            idle.append(client)
        return True

    idle: list[Any] = []
    return _simulate(count, account, create)


def full_jitter(count: int, seed: int) -> dict[str, float]:
    """Simulate a retry loop: a random delay of at most 1, 2, 4, then 5 seconds, until the timeout of the function."""
    account, rates = Account(Limits(), Options(), seed), Rates()
    clock = account.clock

    def create(_: int) -> bool:
        deadline, attempt = clock.now + _TIMEOUT - _RESPONSE_MARGIN, 0
        while True:
            account.calls["RequestPhoneNumber"] += 1
            account.travel()
            allowed = rates.take_turn(("RequestPhoneNumber",), clock.now, 1, 1)
            account.travel()
            if allowed:
                return True
            delay = random.uniform(0, min(_JITTER_CAP, 2.0**attempt))  # noqa: S311 - a simulation
            if clock.now + delay > deadline:
                return False
            clock.sleep(delay)
            attempt += 1

    return _simulate(count, account, create)
