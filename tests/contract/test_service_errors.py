"""Each documented error of each call of the provider has the result that docs/errors.md shows."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import attrs
import botocore.endpoint
import pytest

from layers.dependencies.trim import OPERATIONS
from telephony import clock
from telephony.errors import TelephonyError
from telephony.handlers import sweep
from tests.conftest import CONNECT, SMS, Configure, Context, Harness, VirtualClock, connect_instance
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, connect_phone_number
from tests.contract.steps import (
    GENERATED_ID,
    create,
    create_pool,
    delete,
    join_pool,
    lose_purchase,
    protect,
    request_number,
    send_create,
)
from tests.contract.test_sms_phone_number import TOLL_FREE
from tools import service_errors
from tools.service_errors import CONDITIONS, QUEUE, STATE_TABLE, SUCCESS, SWEEP, Call, Result, Retried
from tools.types import ROOT

RECORDED = ROOT / "tools" / "service_calls.json"
CALLS = service_errors.calls()
REPRESENTATIVE = next(call for call in CALLS if call.operation == "RequestPhoneNumber")
"""The call whose model lists every exception with a Reason. Each Reason is played there."""
SENDER = SMS_SENDER_ID.properties
PROTECTED = {"DeletionProtectionEnabled": True}
RELEASABLE: dict[str, Any] = {"OnDelete": {"LeavePools": True, "LiftDeletionProtection": True}}
TAGGED: dict[str, Any] = {"Tags": [{"Key": "team", "Value": "voice"}]}
RETAGGED: dict[str, Any] = {"Tags": [{"Key": "cost", "Value": "1"}]}
ALWAYS = 10**6
DURATIONS = {
    "POLL_INTERVAL_SECONDS": "0.1",
    "STACK_STATUS_PERIOD_SECONDS": "0.5",
    "RETRY_PERIOD_SECONDS": "2",
    "IN_PLACE_WAIT_SECONDS": "3",
}
"""Far enough apart to tell which one ended a retry, with few calls."""


# -- the requests ------------------------------------------------------------------------------------------------------


@attrs.frozen
class Asked:
    """A request, without the ServiceTimeout that bounds the test."""

    kind: Kind
    request_type: str
    properties: dict[str, Any]
    old_properties: dict[str, Any] | None = None
    physical_id: str | None = None
    service_timeout: int = 20

    def send(self, harness: Harness) -> dict[str, Any]:
        fields: dict[str, Any] = {"physical_id": self.physical_id} if self.physical_id else {}
        fields |= {"old_properties": self.old_properties} if self.old_properties is not None else {}
        properties = self.properties | {"ServiceTimeout": self.service_timeout}
        return harness.send(self.request_type, resource_type=self.kind.type, properties=properties, **fields)


def keyword(name: str) -> dict[str, Any]:
    return {"OptionalKeywords": [{"Keyword": name, "Message": "Welcome.", "Action": "OPT_IN"}]}


def connect_kind(harness: Harness) -> Kind:
    return connect_phone_number(connect_instance(harness))


def changed(harness: Harness, kind: Kind, before: dict[str, Any], after: dict[str, Any]) -> Asked:
    return Asked(kind, "Update", before | after, before, create(harness, kind, properties=before))


def number_create(_: Harness) -> Asked:
    return Asked(SMS_PHONE_NUMBER, "Create", SIMULATOR)


def number_create_with_settings(_: Harness) -> Asked:
    return Asked(SMS_PHONE_NUMBER, "Create", TOLL_FREE | keyword("JOIN") | PROTECTED | {"WaitForActive": True})


def number_create_in_pool(harness: Harness) -> Asked:
    return Asked(SMS_PHONE_NUMBER, "Create", SIMULATOR | PROTECTED | {"PoolId": create_pool(harness)})


def number_create_that_waits(harness: Harness) -> Asked:
    """The purchase is throttled in the first three invocations."""
    harness.telecom.fault(SMS, "RequestPhoneNumber", "throttle", times=25)
    return Asked(SMS_PHONE_NUMBER, "Create", SIMULATOR, service_timeout=600)


def number_update(harness: Harness) -> Asked:
    settings = RETAGGED | keyword("HI") | {"SelfManagedOptOutsEnabled": True}
    return changed(harness, SMS_PHONE_NUMBER, SIMULATOR | TAGGED | keyword("JOIN"), settings)


def number_move(harness: Harness) -> Asked:
    pools = [{"PoolId": create_pool(harness)} for _ in range(2)]
    return changed(harness, SMS_PHONE_NUMBER, SIMULATOR | pools[0], pools[1])


def number_delete(harness: Harness) -> Asked:
    return Asked(SMS_PHONE_NUMBER, "Delete", SIMULATOR, physical_id=create(harness, SMS_PHONE_NUMBER))


def blocked_delete(harness: Harness, kind: Kind) -> Asked:
    physical_id = create(harness, kind)
    protect(harness, physical_id)
    join_pool(harness, create_pool(harness), physical_id)
    return Asked(kind, "Delete", kind.properties | RELEASABLE, physical_id=physical_id)


def number_delete_blocked(harness: Harness) -> Asked:
    return blocked_delete(harness, SMS_PHONE_NUMBER)


def number_delete_by_generated_id(harness: Harness) -> Asked:
    send_create(harness, SMS_PHONE_NUMBER, accepted=False)
    return Asked(SMS_PHONE_NUMBER, "Delete", SIMULATOR, physical_id=GENERATED_ID)


def sender_create(_: Harness) -> Asked:
    return Asked(SMS_SENDER_ID, "Create", SENDER | PROTECTED)


def sender_update(harness: Harness) -> Asked:
    return changed(harness, SMS_SENDER_ID, SENDER | TAGGED, RETAGGED | PROTECTED)


def sender_delete_blocked(harness: Harness) -> Asked:
    return blocked_delete(harness, SMS_SENDER_ID)


def connect_create(harness: Harness) -> Asked:
    kind = connect_kind(harness)
    return Asked(kind, "Create", kind.properties)


def connect_create_after_a_lost_response(harness: Harness) -> Asked:
    harness.telecom.configure(forget_tokens=True)
    harness.telecom.fault(CONNECT, "ClaimPhoneNumber", "lose_answer")
    return connect_create(harness)


def connect_import(harness: Harness) -> Asked:
    kind, bought = connect_kind(harness), cast("Any", TOLL_FREE | {"MessageType": "TRANSACTIONAL"})
    source = {"SourcePhoneNumberArn": harness.sms.request_phone_number(**bought)["PhoneNumberArn"]}
    return Asked(kind, "Create", {"TargetArn": kind.properties["TargetArn"]} | source)


def connect_create_near_limit(harness: Harness) -> Asked:
    harness.telecom.configure(connect_numbers=50, quota_level="default")
    kind = connect_kind(harness)
    for _ in range(5):
        delete(harness, kind, create(harness, kind, logical_id="Earlier"), logical_id="Earlier")
    return Asked(kind, "Create", kind.properties)


def connect_update(harness: Harness) -> Asked:
    kind = connect_kind(harness)
    after = RETAGGED | {"TargetArn": connect_instance(harness), "Description": "front desk"}
    return changed(harness, kind, kind.properties | TAGGED, after)


def connect_delete(harness: Harness) -> Asked:
    kind = connect_kind(harness)
    return Asked(kind, "Delete", kind.properties, physical_id=create(harness, kind))


SCENARIOS: dict[str, Callable[[Harness], Asked]] = {
    scenario.__name__: scenario
    for scenario in (
        number_create,
        number_create_with_settings,
        number_create_in_pool,
        number_update,
        number_move,
        number_delete,
        number_delete_blocked,
        number_delete_by_generated_id,
        number_create_that_waits,
        sender_create,
        sender_update,
        sender_delete_blocked,
        connect_create,
        connect_create_after_a_lost_response,
        connect_import,
        connect_create_near_limit,
        connect_update,
        connect_delete,
    )
}
"""The calls of these requests are played. An earlier one is preferred."""


@pytest.fixture(autouse=True)
def _fast(harness: Harness, virtual_clock: VirtualClock, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore's back-off takes no time, and its DEBUG lines, which take most of it, are not recorded."""
    sleeps = SimpleNamespace(sleep=virtual_clock.shift, time=time.time)
    monkeypatch.setattr(botocore.endpoint, "time", sleeps)
    logging.getLogger().setLevel(logging.INFO)
    configure(**DURATIONS)
    harness.telecom.configure(claim_release_limit=1000, forget_tokens=False)


# -- the recorded calls ------------------------------------------------------------------------------------------------


def made(harness: Harness, act: Callable[[], object]) -> Iterator[tuple[str, str]]:
    """Service and operation of each call that `act` causes."""
    logged, queued = len(harness.telecom.log()), len(harness.queue.calls)
    harness.stacks.calls.clear()
    act()
    yield from ((call["service"], call["operation"]) for call in harness.telecom.log()[logged:])
    yield from (("cloudformation", operation) for operation in harness.stacks.calls)
    yield from (("sqs", operation) for operation, _ in harness.queue.calls[queued:])


def run_sweep() -> dict[str, int]:
    return sweep.handler({}, cast("Any", Context(900)))


def prepare_sweep(harness: Harness, virtual_clock: VirtualClock) -> None:
    """Leave a number that no stack refers to, one without tags, and a purchase of unknown result."""
    request_number(harness)
    create(harness, SMS_PHONE_NUMBER)
    lose_purchase(harness, SMS_SENDER_ID)
    send_create(harness, SMS_SENDER_ID, logical_id="Lost", properties=SENDER | {"ServiceTimeout": 20})
    harness.telecom.clear_faults()
    for stack in harness.stacks.stacks.values():
        stack.status = "UPDATE_COMPLETE"
    virtual_clock.shift(3601)


@pytest.mark.parametrize("name", [*SCENARIOS, SWEEP])
def test_request_makes_the_recorded_calls(harness: Harness, virtual_clock: VirtualClock, name: str) -> None:
    """If this fails, correct tools/service_calls.json and run `make generate`."""
    answers: list[dict[str, Any]] = []
    if name == SWEEP:
        prepare_sweep(harness, virtual_clock)
        request_type = SWEEP
        found = set(made(harness, run_sweep))
    else:
        asked = SCENARIOS[name](harness)
        request_type = asked.request_type
        found = set(made(harness, lambda: answers.append(asked.send(harness))))
    request = {"type": request_type, "calls": sorted(map(".".join, found))}

    assert service_errors.recorded().get(name) == request, json.dumps({name: request})
    assert [answer["Status"] for answer in answers] == [SUCCESS] * (name != SWEEP), answers


def test_every_call_of_the_code_is_recorded() -> None:
    """layers/dependencies/trim.py lists them, and tests/unit/test_trim.py compares it with the code."""
    # botocore calls AWS STS only if a profile assumes a role, which Lambda has none of.
    used = {(service, operation) for service in OPERATIONS.keys() - {"sts"} for operation in OPERATIONS[service]}
    used -= {("cloudformation", "DescribeChangeSet"), ("cloudformation", "GetTemplate")}  # The guard: test_guard.py.
    assert {(call.service, call.operation) for call in CALLS} == used


# -- the errors --------------------------------------------------------------------------------------------------------


@attrs.frozen
class Case:
    call: Call
    error: str
    reason: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.call.request, self.call.operation, self.error, self.reason)))

    @property
    def expected(self) -> Result:
        return service_errors.result(self.call, self.error, self.reason)

    def inject(self, harness: Harness, times: int) -> None:
        service, operation = self.call.service, self.call.operation
        status = service_errors.documented(self.call)[self.error]
        if service == "cloudformation":
            kind = self.error.rpartition(", ")[2]
            harness.stacks.refuse(kind, action=operation, times=times, status=status)
        elif service == QUEUE:
            harness.queue.refuse(operation, times, code=self.error)
        else:
            more: dict[str, Any] = {"reason": self.reason} if self.reason else {}
            harness.telecom.fault(service, operation, "error", code=self.error, status=status, times=times, **more)

    def was_injected(self, harness: Harness) -> bool:
        if self.call.service == "cloudformation":
            return self.call.operation in harness.stacks.calls
        if self.call.service == QUEUE:
            return harness.queue._refused[self.call.operation].times not in {1, ALWAYS}
        called = (call for call in harness.telecom.log() if call["operation"] == self.call.operation)
        return any(call["error"] == self.error for call in called if call["fault"])


def stop_errors(harness: Harness) -> None:
    harness.telecom.clear_faults()
    harness.stacks.allow()
    harness.queue.allow()


def play(harness: Harness, case: Case, times: int) -> tuple[Asked, dict[str, Any], float]:
    """Send the request of a call that fails. Returns it, its response, and for how long the provider tried."""
    asked = SCENARIOS[case.call.scenario](harness)
    case.inject(harness, times)
    began = clock.now()
    answer = asked.send(harness)
    tried = clock.now() - began
    assert case.was_injected(harness), "the request did not make the call"
    stop_errors(harness)
    return asked, answer, tried


def retried(seconds: float) -> Retried:
    """The names are those of the default settings, which DURATIONS shortens."""
    limits = {0.25: Retried.NO, 0.8: Retried.SECONDS, 2.5: Retried.MINUTES}
    return next((name for limit, name in limits.items() if seconds < limit), Retried.UNTIL_DUE)


CASES = [Case(call, error) for call in CALLS if call.scenario != SWEEP for error in service_errors.documented(call)]
REASONS = [
    *(Case(REPRESENTATIVE, error, reason) for error, reason in service_errors.documented_reasons()),
    *(
        Case(call, "ConflictException", reason)
        for operation, request, reason in service_errors.SPECIAL_REASONS
        for call in CALLS
        if (call.operation, call.request, call.service) == (operation, request, SMS)
    ),
]


def test_every_result_says_what_to_do_besides_reading_the_log() -> None:
    remedies = {case.expected.remedy for case in CASES + REASONS}
    assert [remedy for remedy in remedies if not remedy or re.search(r"\blogs?\b", remedy)] == []


@pytest.mark.shows("documented error of a service", "calls throttled", "purchase rejected by the service")
@pytest.mark.parametrize("case", [case for case in CASES + REASONS if case.error not in CONDITIONS], ids=str)
def test_lasting_error_is_answered_as_documented(harness: Harness, case: Case) -> None:
    expected = case.expected
    _, answer, tried = play(harness, case, ALWAYS)

    if expected.answer == SUCCESS:
        assert answer["Status"] == SUCCESS, answer
    else:
        remedy = re.sub(r"\\{\w+\\}", ".+", re.escape(expected.remedy))
        assert re.fullmatch(rf"{expected.answer}: .*{remedy}", answer["Reason"], re.DOTALL), answer
    if case.call.service not in {QUEUE, STATE_TABLE} or expected.answer != SUCCESS:
        assert retried(tried) == expected.retried, tried


def passes(case: Case) -> bool:
    """Whether the error can end while the request waits. Of the state table, one such error is like another."""
    if case.call.service in {QUEUE, STATE_TABLE}:
        return case.error in CONDITIONS
    return case.expected.retried != Retried.NO


@pytest.mark.shows("documented error of a service")
@pytest.mark.parametrize("case", [case for case in CASES + REASONS if passes(case)], ids=str)
def test_error_that_ends_while_it_is_retried_fails_no_request(harness: Harness, case: Case) -> None:
    asked, answer, _ = play(harness, case, 1)

    assert answer["Status"] == SUCCESS, answer["Reason"]
    if asked.request_type == "Delete":
        assert asked.physical_id not in harness.ids()


@pytest.mark.parametrize("operation", ["PutItem", "UpdateItem"])
def test_request_is_answered_although_no_condition_of_a_write_is_ever_true(harness: Harness, operation: str) -> None:
    asked = number_create(harness)
    harness.telecom.fault(STATE_TABLE, operation, "error", code="ConditionalCheckFailedException", times=ALWAYS)

    answer = asked.send(harness)

    assert answer["Reason"].startswith("InternalFailure: "), answer
    assert harness.telecom.calls()[f"{STATE_TABLE}.{operation}"] < 200


@pytest.mark.parametrize(
    "case",
    [Case(call, error) for call in CALLS if call.scenario == SWEEP for error in service_errors.documented(call)],
    ids=str,
)
def test_error_during_the_sweep_releases_nothing(
    harness: Harness, virtual_clock: VirtualClock, configure: Configure, case: Case
) -> None:
    configure(ALLOW_SWEEP_RELEASE="true")
    prepare_sweep(harness, virtual_clock)
    held = harness.ids()
    case.inject(harness, ALWAYS)

    with suppress(TelephonyError):
        run_sweep()

    assert harness.ids() == held
