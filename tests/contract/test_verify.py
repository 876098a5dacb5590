"""`telephony verify` against the local services: each experiment, the cost, and what remains in the account."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from telephony import clock
from tests.conftest import CONNECT, SMS, Configure, Harness, VirtualClock, connect_instance
from tests.contract.command_line import Result, Telephony, telephony
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER
from tests.contract.steps import create
from tests.contract.test_shared_resources import shared_number

__all__ = ["telephony"]

ROOT = Path(__file__).parents[2]
PRICED = ("--simulator-price", "1.00", "--connect-price", "0.03")
REFUSED = {"code": "ValidationException", "status": 400, "message": "Refused."}
SELECTED = (6, 9, 10, 11, 12, 17, 23, 24, 25, 26, 28, 30, 31, 33, 41, 42)
"""They select the experiments that need no function, without that of row 27."""
DECIDED = (*SELECTED, 45)


@pytest.fixture
def waits(virtual_clock: VirtualClock, configure: Configure) -> None:
    """Wait as long as in production, by the clock of the test."""
    del virtual_clock
    configure(POLL_INTERVAL_SECONDS="2", UNKNOWN_RESULT_PERIOD_SECONDS="300", RETRY_PERIOD_SECONDS="120")


def rows(*numbers: int) -> list[str]:
    return [part for number in numbers for part in ("--row", str(number))]


def results(result: Result) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for each in result.document["results"]:
        found.setdefault(each["row"], set()).add(each["result"])
    return found


def held(harness: Harness) -> dict[str, int]:
    """Count what the account has, with pools and stacks."""
    found = {name: len(things) for name, things in harness.telecom.held().items() if things}
    names = [one.name for one in harness.stacks.stacks.values() if one.deleted_at is None]
    stacks = [name for name in names if name.startswith("cfn-telephony-verify-")]
    return found | ({"stacks": len(stacks)} if stacks else {})


@pytest.mark.usefixtures("waits")
def test_zero_purchases_nothing_whatever_the_price(harness: Harness, telephony: Telephony) -> None:
    prices = ("--simulator-price", "0", "--connect-price", "0", "--claim-connect-number", connect_instance(harness))

    verified = telephony("verify", "--max-cost", "0", *prices, *rows(9, 23))

    assert "--max-cost leaves 0.00 USD" in " ".join(verified.out.split())
    assert harness.calls(SMS).get("RequestPhoneNumber", 0) == 0
    assert harness.calls(CONNECT).get("ClaimPhoneNumber", 0) == 0


@pytest.mark.usefixtures("waits")
def test_all_hold_and_nothing_remains(harness: Harness, telephony: Telephony) -> None:
    target = connect_instance(harness)
    options = ("--max-cost", "2.12", *PRICED, "--claim-connect-number", target, "--output", "json")

    verified = telephony("verify", *options, *rows(*SELECTED))

    assert verified.code == 0, verified.out + verified.err
    assert results(verified) == {row: {"HOLDS"} for row in DECIDED}
    assert (verified.document["cost"], verified.document["not_released"]) == ("2.06", [])
    assert held(harness) == {}
    assert harness.calls(SMS)["RequestPhoneNumber"] == 3
    assert harness.calls(CONNECT)["ClaimPhoneNumber"] == 2


def off(*behaviours: str) -> dict[str, Any]:
    return {"off": frozenset(behaviours)}


REFUTATIONS: dict[str, tuple[int, dict[str, Any], tuple[Any, ...]]] = {
    "token": (9, {"forget_tokens": True}, ()),
    "tags": (10, {"tags_lag_seconds": 400}, ()),
    "number": (11, {"describe_lag_seconds": 200}, ()),
    "last of pool": (24, off("sms.pool.last"), ()),
    "sender ID again": (25, {"sender_id_release_seconds": 86_400}, ()),
    "sender ID twice": (26, {"on": frozenset({"sms.sender_id.exists"})}, ()),
    "refusal": (28, off("sms.sender_id.country"), (SMS, "RequestSenderId", "error", {"when": "after", **REFUSED})),
    "keyword": (31, {}, (SMS, "PutKeyword", "error", REFUSED)),
    "index": (33, {"unindexed_types": frozenset({"sms-voice:phone-number"})}, ()),
    "quota": (41, {}, ("service-quotas", "GetServiceQuota", "error", {**REFUSED, "code": "IllegalArgumentException"})),
    "settings": (42, {}, (SMS, "UpdatePhoneNumber", "error", REFUSED)),
}


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("case", REFUTATIONS)
def test_service_that_differs_is_noticed(harness: Harness, telephony: Telephony, case: str) -> None:
    row, options, fault = REFUTATIONS[case]
    target = connect_instance(harness)
    harness.telecom.configure(**options)
    if fault:
        *call, more = fault
        harness.telecom.fault(*call, **more)

    verified = telephony(
        "verify", "--max-cost", "5", *PRICED, "--claim-connect-number", target, "--output", "json", *rows(row)
    )

    assert "DOES_NOT_HOLD" in results(verified)[row], verified.out
    assert verified.code == 3, verified.err
    harness.telecom.configure(describe_lag_seconds=0)
    assert held(harness) == {}


@pytest.mark.parametrize(("row", "option"), [(6, {"review_status": "CREATE_COMPLETE"}), (45, {"no_echo": ""})])
def test_cloudformation_that_differs_is_noticed(
    harness: Harness, telephony: Telephony, row: int, option: dict[str, str]
) -> None:
    for name, value in option.items():
        setattr(harness.stacks, name, value)

    verified = telephony("verify", "--max-cost", "0", "--output", "json", *rows(6))

    assert verified.code == 3
    assert results(verified)[row] == {"DOES_NOT_HOLD"}
    assert "not-to-be-shown" not in verified.out
    assert held(harness) == {}


def test_shared_numbers_that_are_listed_are_noticed(harness: Harness, telephony: Telephony) -> None:
    alone = telephony("verify", "--max-cost", "0", "--output", "json", *rows(27))
    shared_number(harness)
    shared = telephony("verify", "--max-cost", "0", "--output", "json", *rows(27))

    assert (alone.code, results(alone)) == (0, {27: {"NOT_TESTED"}})
    assert (shared.code, results(shared)) == (3, {27: {"DOES_NOT_HOLD"}})


# -- cost --------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("maximum", ["0", "0.99"])
def test_nothing_is_purchased_that_costs_more(harness: Harness, telephony: Telephony, maximum: str) -> None:
    target = connect_instance(harness)
    options = ("--simulator-price", "1", "--connect-price", "0.99", "--claim-connect-number", target)

    verified = telephony("verify", "--max-cost", maximum, *options, "--output", "json", *rows(*SELECTED))

    assert (verified.code, verified.document["cost"]) == (0, "0.00"), verified.err
    tested = {row for row, found in results(verified).items() if found != {"NOT_TESTED"}}
    assert tested == {6, 11, 12, 25, 26, 28, 33, 41, 45}
    calls = harness.calls()
    assert [name for name in calls if "RequestPhoneNumber" in name or "ClaimPhoneNumber" in name] == []
    reasons = {each["observed"] for each in verified.document["results"] if each["row"] in {9, 23}}
    assert all(f"--max-cost leaves {float(maximum):.2f} USD" in reason for reason in reasons)
    assert held(harness) == {}


def test_number_of_unknown_price_is_not_purchased(harness: Harness, telephony: Telephony) -> None:
    target = connect_instance(harness)

    verified = telephony(
        "verify", "--max-cost", "50", "--claim-connect-number", target, "--output", "json", *rows(9, 23)
    )

    assert (verified.code, results(verified)[9], results(verified)[23]) == (0, {"NOT_TESTED"}, {"NOT_TESTED"})
    assert "--simulator-price" in verified.out
    assert "--connect-price" in verified.out
    assert harness.held() == {}


@pytest.mark.usefixtures("waits")
def test_price_is_that_of_the_numbers_of_the_account(harness: Harness, telephony: Telephony) -> None:
    create(harness, SMS_PHONE_NUMBER, properties=SIMULATOR)

    verified = telephony("verify", "--max-cost", "1.99", "--output", "json", *rows(9, 10))

    assert (verified.code, results(verified)[9], results(verified)[10]) == (0, {"NOT_TESTED"}, {"HOLDS"})
    assert (verified.document["cost"], harness.held()) == ("1.00", {"phone_numbers": 1})


@pytest.mark.usefixtures("waits")
def test_price_above_the_expected_one_ends_the_run(harness: Harness, telephony: Telephony) -> None:
    verified = telephony(
        "verify", "--max-cost", "1", "--simulator-price", "0.10", "--output", "json", *rows(10, 17, 42)
    )

    assert verified.code == 1
    found = results(verified)
    assert all(found[row] == {"NOT_TESTED"} for row in (10, 17, 24, 42))
    assert "costs 1.00 USD" in verified.err
    assert verified.document["cost"] == "1.00"
    assert harness.calls(SMS)["RequestPhoneNumber"] == 1
    assert held(harness) == {}


@pytest.mark.parametrize("amount", ["-1", "nan", "inf", "much"])
def test_maximum_cost_must_be_an_amount(harness: Harness, telephony: Telephony, amount: str) -> None:
    refused = telephony("verify", "--max-cost", amount)

    assert (refused.code, refused.out) == (1, "")
    assert amount in refused.err
    assert harness.calls() == {}


def test_row_without_an_experiment_is_refused(harness: Harness, telephony: Telephony) -> None:
    refused = telephony("verify", "--max-cost", "0", *rows(9, 3, 8))

    assert (refused.code, refused.err) == (1, "telephony: No experiment decides row 3, 8.\n")
    assert harness.calls() == {}


# -- what remains ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("waits")
def test_failed_experiment_releases_everything_and_the_others_are_made(harness: Harness, telephony: Telephony) -> None:
    harness.telecom.fault(SMS, "AssociateOriginationIdentity", "error", **REFUSED)

    verified = telephony("verify", "--max-cost", "2", *PRICED, "--output", "json", *rows(6, 9, 17))

    assert verified.code == 1
    found = results(verified)
    assert [found[row] for row in (6, 9, 17, 24)] == [{"HOLDS"}, {"HOLDS"}, {"NOT_TESTED"}, {"NOT_TESTED"}]
    assert "AssociateOriginationIdentity failed" in verified.err
    assert held(harness) == {}


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("lag", [0, 200])
def test_purchase_of_unknown_result_is_found_and_released(harness: Harness, telephony: Telephony, lag: int) -> None:
    harness.telecom.configure(tags_lag_seconds=lag)
    harness.telecom.fault(SMS, "RequestPhoneNumber", "lose_answer")

    verified = telephony("verify", "--max-cost", "1", *PRICED, "--output", "json", *rows(10))

    assert verified.code == 1
    assert verified.document["not_released"] == []
    assert held(harness) == {}


@pytest.mark.usefixtures("waits")
def test_purchase_that_is_not_found_is_reported_with_its_name(harness: Harness, telephony: Telephony) -> None:
    harness.telecom.fault(SMS, "RequestPhoneNumber", "error", code="InternalServerException", status=500)

    verified = telephony("verify", "--max-cost", "1", *PRICED, "--output", "json", *rows(10))

    assert verified.code == 1
    [text] = verified.document["not_released"]
    assert "RequestPhoneNumber" in text
    assert verified.document["run"] in text


@pytest.mark.usefixtures("waits")
def test_what_can_not_be_released_is_reported_and_released_by_the_next_run(
    harness: Harness, telephony: Telephony
) -> None:
    harness.telecom.fault(SMS, "ReleasePhoneNumber", "error", times=999, **REFUSED)

    verified = telephony("verify", "--max-cost", "1", *PRICED, "--output", "json", *rows(10))
    [number] = harness.ids()
    stopped = telephony("verify", "--max-cost", "1", *PRICED, *rows(10))

    assert (verified.code, stopped.code) == (1, 1)
    [text] = verified.document["not_released"]
    assert all(number in each for each in (text, verified.err, stopped.err))
    assert harness.calls(SMS)["RequestPhoneNumber"] == 1
    harness.telecom.clear_faults()

    following = telephony("verify", "--max-cost", "0", *rows(27))

    assert (following.code, held(harness)) == (0, {})
    assert f"left by an earlier run: phone number +12065570100 ({number})" in following.err


def test_numbers_of_others_are_not_released(harness: Harness, telephony: Telephony) -> None:
    physical_id = create(harness, SMS_PHONE_NUMBER)
    harness.sms.request_sender_id(SenderId="VRFYOTHERS", IsoCountryCode="GB")

    assert telephony("verify", "--max-cost", "0", *rows(27)).code == 0

    assert harness.ids() == [physical_id, "GB|VRFYOTHERS"]


class Process:
    """The command in a process of its own."""

    def __init__(self, harness: Harness, *arguments: str) -> None:
        command = [sys.executable, "-m", "telephony_cli.app", "verify", *PRICED, "--output", "json", *arguments]
        pauses = {"POLL_INTERVAL_SECONDS": "0.02", "UNKNOWN_RESULT_PERIOD_SECONDS": "1.5"}
        self.process = subprocess.Popen(  # noqa: S603
            command,
            cwd=ROOT,
            env={**os.environ, **pauses, "PYTHONPATH": str(ROOT / "functions")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.harness = harness

    def when(self, condition: Callable[[], bool], number: int) -> Process:
        """Send a signal when a condition is met, unless the process ends before."""
        deadline = time.monotonic() + 60
        while self.process.poll() is None and not condition():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        self.process.send_signal(number)
        return self

    def result(self) -> Result:
        """Wait until the process ends."""
        out, err = self.process.communicate(timeout=120)
        return Result(self.process.returncode, out, err)


def hanging(harness: Harness, calls: int = 1) -> Callable[[], bool]:
    return lambda: [call["fault"] for call in harness.telecom.log()].count("hang") == calls


@pytest.mark.parametrize(
    ("row", "service", "operation"),
    [
        (17, SMS, "RequestPhoneNumber"),
        (17, SMS, "CreatePool"),
        (26, SMS, "RequestSenderId"),
        (23, CONNECT, "ClaimPhoneNumber"),
    ],
)
def test_next_run_releases_what_a_killed_run_held(harness: Harness, row: int, service: str, operation: str) -> None:
    target = ("--claim-connect-number", connect_instance(harness))
    harness.telecom.fault(service, operation, "hang", when="after", seconds=0.5)

    killed = Process(harness, "--max-cost", "5", *target, *rows(row)).when(hanging(harness), signal.SIGKILL)

    assert killed.result().code == -signal.SIGKILL
    following = Process(harness, "--max-cost", "0", *rows(27)).result()
    assert (following.code, held(harness)) == (0, {}), following.err
    assert "left by an earlier run" in following.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_releases_everything(harness: Harness, number: int) -> None:
    harness.telecom.fault(SMS, "CreatePool", "hang", when="after", seconds=2)
    harness.telecom.fault(SMS, "ReleasePhoneNumber", "hang", seconds=0.5)

    run = Process(harness, "--max-cost", "5", *rows(9, 17)).when(hanging(harness), number)
    # Another signal does not end the release.
    interrupted = run.when(hanging(harness, 2), number).result()

    assert interrupted.code == 1, interrupted.err
    assert "interrupted" in interrupted.err
    found = results(interrupted)
    assert (found[9], found[17]) == ({"HOLDS"}, {"NOT_TESTED"})
    assert interrupted.document["not_released"] == []
    assert held(harness) == {}


def test_closed_standard_error_does_not_prevent_the_release(harness: Harness) -> None:
    run = Process(harness, "--max-cost", "5", *rows(42))
    assert run.process.stderr is not None
    run.process.stderr.close()

    assert run.process.wait(60) in {0, 1, 120}

    assert run.process.stdout is not None
    run.process.stdout.close()
    assert harness.calls(SMS)["RequestPhoneNumber"] == 1
    assert held(harness) == {}


def test_new_number_without_tags_is_reported(harness: Harness, telephony: Telephony) -> None:
    number = harness.sms.request_phone_number(**SIMULATOR, MessageType="TRANSACTIONAL")["PhoneNumberId"]

    verified = telephony("verify", "--max-cost", "0", *rows(27))

    assert (verified.code, harness.ids()) == (0, [number])
    assert f"without tags yet: {number}." in verified.err


def test_killed_change_set_is_deleted_by_the_next_run(harness: Harness) -> None:
    created = lambda: "CreateChangeSet" in harness.stacks.calls  # noqa: E731
    Process(harness, "--max-cost", "0", *rows(6)).when(created, signal.SIGKILL).result()

    assert Process(harness, "--max-cost", "0", *rows(27)).result().code == 0

    assert held(harness) == {}


# -- calls of unknown result -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("waits")
def test_leftover_that_can_not_be_released_is_reported_without_a_claim(harness: Harness, telephony: Telephony) -> None:
    target = connect_instance(harness)
    free = harness.connect.search_available_phone_numbers(
        TargetArn=target, PhoneNumberCountryCode="US", PhoneNumberType="DID", MaxResults=1
    )["AvailableNumbersList"][0]["PhoneNumber"]
    name = "cfn-telephony-verify-0a0b0c0d"
    harness.connect.claim_phone_number(TargetArn=target, PhoneNumber=free, PhoneNumberDescription=name)
    harness.telecom.fault(CONNECT, "ReleasePhoneNumber", "error", times=999, **REFUSED)

    assert telephony("verify", "--max-cost", "0", *rows(27)).code == 1


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("lost", [1, 99])
def test_lost_purchases_count(harness: Harness, telephony: Telephony, lost: int) -> None:
    harness.telecom.configure(forget_tokens=True)
    harness.telecom.fault(SMS, "RequestPhoneNumber", "lose_answer", times=lost)

    verified = telephony("verify", "--max-cost", "2", *PRICED, "--output", "json", *rows(9, 10, 17, 42))

    purchased = harness.calls(SMS)["RequestPhoneNumber"]
    assert purchased <= 2
    assert verified.document["cost"] == f"{purchased}.00"
    assert held(harness) == {}


@pytest.mark.usefixtures("waits")
def test_lost_claim_counts(harness: Harness, telephony: Telephony) -> None:
    harness.telecom.fault(CONNECT, "ClaimPhoneNumber", "lose_answer")
    claim = ("--claim-connect-number", connect_instance(harness))

    verified = telephony("verify", "--max-cost", "2", *PRICED, "--output", "json", *claim, *rows(23))

    assert verified.document["cost"] == "0.06"


@pytest.mark.usefixtures("waits")
def test_lost_number_whose_tags_are_late_is_reported_or_released(harness: Harness, telephony: Telephony) -> None:
    harness.telecom.configure(forget_tokens=True, tags_lag_seconds=200)
    harness.telecom.fault(SMS, "RequestPhoneNumber", "lose_answer")

    verified = telephony("verify", "--max-cost", "1", *PRICED, "--output", "json", *rows(10, 42))

    assert held(harness) == {} or verified.document["not_released"]


@pytest.mark.usefixtures("waits")
def test_cost_of_a_run_over_the_end_of_a_month_is_what_was_planned(
    harness: Harness, telephony: Telephony, virtual_clock: VirtualClock
) -> None:
    virtual_clock.shift(datetime(2031, 1, 31, 23, 59, tzinfo=UTC).timestamp() - clock.now())
    harness.telecom.configure(tags_lag_seconds=200)

    verified = telephony("verify", "--max-cost", "2", *PRICED, "--output", "json", *rows(10))

    assert verified.document["cost"] == "2.00"


@pytest.mark.usefixtures("waits")
def test_throttled_read_of_the_quota_decides_nothing(harness: Harness, telephony: Telephony) -> None:
    throttled = {"code": "TooManyRequestsException", "status": 429, "message": "Slow down."}
    harness.telecom.fault("service-quotas", "GetServiceQuota", "error", times=99, **throttled)
    claim = ("--claim-connect-number", connect_instance(harness))

    verified = telephony("verify", "--max-cost", "0", *PRICED, "--output", "json", *claim, *rows(41))

    assert results(verified)[41] == {"NOT_TESTED"}


@pytest.mark.parametrize(("row", "lost", "tags_lag"), [(10, 3, 0), (31, 1, 4)])
def test_purchase_whose_answer_was_lost_is_not_repeated(harness: Harness, row: int, lost: int, tags_lag: int) -> None:
    """In a process of its own, whose clients repeat failed calls."""
    harness.telecom.configure(forget_tokens=True, tags_lag_seconds=tags_lag)
    harness.telecom.fault(SMS, "RequestPhoneNumber", "lose_answer", times=lost)

    Process(harness, "--max-cost", "1", *rows(row)).result()

    assert harness.calls(SMS)["RequestPhoneNumber"] == 1
