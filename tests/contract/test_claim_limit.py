"""Amazon Connect limits the claims and releases of 180 days to 200 % of a quota. The provider foresees that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from telephony import clock
from tests.conftest import CONNECT, Configure, Harness, VirtualClock, connect_instance
from tests.contract.declarations import Kind, connect_phone_number
from tests.contract.steps import (
    ENDS_SOON,
    GENERATED_ID,
    SERVER_ERROR,
    assert_reason,
    create,
    delete,
    fault,
    send_create,
)
from tests.contract.test_adoption import existing
from tests.contract.test_sweep import DAY, NOTHING, later, run

QUOTAS = "service-quotas"
REFUSED = "ServiceLimitExceeded"
LIMIT_EXCEEDED = {"code": "LimitExceededException", "status": 429, "message": "Allowed limit exceeded"}


@pytest.fixture
def kind(harness: Harness) -> Kind:
    """The local service refuses nothing, so that every refusal is the provider's."""
    harness.telecom.configure(claim_release_limit=float("inf"), connect_numbers=50)
    return connect_phone_number(connect_instance(harness))


@pytest.fixture
def quota_of_one(configure: Configure) -> Iterator[None]:
    """Two claims and releases are allowed."""
    configure(CONNECT_PHONE_NUMBER_QUOTA="1")
    return iter(())


def claim_and_release(harness: Harness, kind: Kind, times: int = 1) -> None:
    for _ in range(times):
        assert delete(harness, kind, create(harness, kind))["Status"] == "SUCCESS"


def assert_counted(harness: Harness, kind: Kind, claims: int, releases: int) -> dict[str, Any]:
    """Check that the next claim is refused without a call, and what was counted."""
    answers: list[dict[str, Any]] = []
    calls = harness.calls_of(lambda: answers.append(send_create(harness, kind, logical_id="Counted")))
    assert_reason(answers[0], REFUSED, f"{claims} claims", f"{releases} releases", "180 days")
    assert not [name for name in calls if name.startswith(CONNECT)], calls
    return answers[0]


def day_in(answer: dict[str, Any]) -> date:
    [found] = re.findall(r"\d{4}-\d{2}-\d{2}", answer["Reason"])
    return date.fromisoformat(found)


def travel_to(virtual_clock: VirtualClock, day: date) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    virtual_clock.shift(midnight.timestamp() - clock.now())


def refuse_claim(harness: Harness, **error: Any) -> None:
    fault(harness, f"{CONNECT}.ClaimPhoneNumber", "error", **LIMIT_EXCEEDED | error)


# -- what is counted ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quota_of_one")
def test_claim_above_the_limit_is_refused_with_the_arithmetic_and_the_day(
    harness: Harness, kind: Kind, virtual_clock: VirtualClock
) -> None:
    began = clock.now()
    claim_and_release(harness, kind)
    virtual_clock.shift(50 * DAY)

    refused = assert_counted(harness, kind, claims=1, releases=1)

    assert_reason(refused, REFUSED, "2 (200 percent of the quota of 1)", "Service Quotas", "L-8F812903")
    day = day_in(refused)
    assert 0 < (datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() - began) / DAY - 180 <= 1
    assert delete(harness, kind, refused["PhysicalResourceId"])["Status"] == "SUCCESS"
    travel_to(virtual_clock, day)
    assert send_create(harness, kind)["Status"] == "SUCCESS"


@pytest.mark.usefixtures("quota_of_one")
def test_period_moves_with_every_claim_and_release(harness: Harness, kind: Kind, virtual_clock: VirtualClock) -> None:
    first = create(harness, kind)
    virtual_clock.shift(100 * DAY)
    assert delete(harness, kind, first)["Status"] == "SUCCESS"
    virtual_clock.shift(79 * DAY)
    assert_counted(harness, kind, claims=1, releases=1)
    virtual_clock.shift(2 * DAY)

    second = create(harness, kind)

    ahead = (
        day_in(assert_counted(harness, kind, claims=1, releases=1)) - datetime.fromtimestamp(clock.now(), UTC).date()
    )
    assert 99 <= ahead.days <= 100
    assert delete(harness, kind, second)["Status"] == "SUCCESS"
    assert_counted(harness, kind, claims=1, releases=2)


@pytest.mark.usefixtures("quota_of_one")
@pytest.mark.parametrize(
    ("call", "details"),
    [
        (f"{CONNECT}.ClaimPhoneNumber", {"kind": "lose_answer"}),
        ("dynamodb.TransactWriteItems", {"kind": "error", "code": "ResourceNotFoundException", "after": 1}),
        ("dynamodb.TransactWriteItems", {"kind": "lose_answer", "after": 1, "times": 3}),
        ("dynamodb.UpdateItem", {"kind": "error", "code": "ResourceNotFoundException"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("forgets", [False, True])
def test_claim_that_is_interrupted_or_repeated_counts_once(
    harness: Harness, kind: Kind, call: str, details: dict[str, Any], forgets: bool
) -> None:
    harness.telecom.configure(forget_tokens=forgets)
    create(harness, kind)
    fault(harness, call, **details)

    second = create(harness, kind, logical_id="Second")

    assert second in harness.ids()
    assert_counted(harness, kind, claims=2, releases=0)


@pytest.mark.usefixtures("quota_of_one")
def test_request_that_is_delivered_twice_counts_once(harness: Harness, kind: Kind) -> None:
    create(harness, kind)
    fields: dict[str, Any] = {"resource_type": kind.type, "properties": kind.properties, "logical_id": "Second"}
    request_id = harness.post("Create", **fields)
    harness.post("Create", request_id=request_id, **fields)

    assert harness.response(request_id)["Status"] == "SUCCESS"

    assert harness.held() == {"connect_numbers": 2}
    assert_counted(harness, kind, claims=2, releases=0)


@pytest.mark.usefixtures("quota_of_one")
def test_release_that_is_refused_does_not_count_and_one_that_is_repeated_counts_once(
    harness: Harness, kind: Kind
) -> None:
    physical_id = create(harness, kind)
    fault(harness, kind.releases, "error", code="AccessDeniedException", status=403)
    assert delete(harness, kind, physical_id)["Status"] == "FAILED"
    fault(harness, kind.releases, "lose_answer")

    assert delete(harness, kind, physical_id)["Status"] == "SUCCESS"

    assert_counted(harness, kind, claims=1, releases=1)


@pytest.mark.usefixtures("quota_of_one")
def test_release_that_only_the_sweep_finds_counts(harness: Harness, kind: Kind) -> None:
    number = create(harness, kind)
    fault(harness, "dynamodb.TransactWriteItems", "error", after=1, times=99, **SERVER_ERROR)
    assert delete(harness, kind, number, properties=kind.properties | ENDS_SOON)["Status"] == "FAILED"
    harness.telecom.clear_faults()
    assert harness.ids() == []
    with later(DAY):
        assert run() == NOTHING
        assert_counted(harness, kind, claims=1, releases=1)


@pytest.mark.usefixtures("quota_of_one")
def test_refused_claims_do_not_count(harness: Harness, kind: Kind) -> None:
    harness.telecom.configure(race_losses=2)
    create(harness, kind)
    refuse_claim(harness, code="InvalidParameterException", status=400, message="Not valid")
    assert_reason(send_create(harness, kind, logical_id="Refused"), "InvalidRequest")

    create(harness, kind, logical_id="Second")

    assert_counted(harness, kind, claims=2, releases=0)


@pytest.mark.usefixtures("quota_of_one")
def test_claim_that_fails_later_counts_and_its_end_does_not(harness: Harness, kind: Kind) -> None:
    harness.telecom.configure(connect_numbers=0)
    failed = send_create(harness, kind)
    assert_reason(failed, "NotStabilized")
    assert delete(harness, kind, failed["PhysicalResourceId"])["Status"] == "SUCCESS"
    harness.telecom.configure(connect_numbers=50)

    create(harness, kind, logical_id="Second")

    assert_counted(harness, kind, claims=2, releases=0)


@pytest.mark.usefixtures("quota_of_one")
def test_imports_count_and_are_refused(harness: Harness, kind: Kind) -> None:
    number = harness.sms.request_phone_number(IsoCountryCode="US", MessageType="TRANSACTIONAL", NumberType="TOLL_FREE",
                                              NumberCapabilities=["SMS"])  # fmt: skip
    declared = {"TargetArn": kind.properties["TargetArn"], "SourcePhoneNumberArn": number["PhoneNumberArn"]}
    assert delete(harness, kind, create(harness, kind, properties=declared))["Status"] == "SUCCESS"

    refused = send_create(harness, kind, logical_id="Next", properties=declared)

    assert_reason(refused, REFUSED, "1 claims", "1 releases")
    assert harness.calls(CONNECT)["ImportPhoneNumber"] == 1


@pytest.mark.usefixtures("quota_of_one")
def test_adoption_does_not_count(harness: Harness, kind: Kind, configure: Configure) -> None:
    configure(ALLOW_ADOPTION="true")
    _, declared = existing(harness, kind)
    adopted = create(harness, kind, properties=declared, logical_id="Adopted")
    assert delete(harness, kind, adopted, logical_id="Adopted")["Status"] == "SUCCESS"

    claim_and_release(harness, kind)

    assert_counted(harness, kind, claims=1, releases=1)


@pytest.mark.usefixtures("quota_of_one")
@pytest.mark.parametrize("reused", [False, True])
def test_number_pending_release_is_taken_above_the_limit(
    harness: Harness, kind: Kind, virtual_clock: VirtualClock, reused: bool
) -> None:
    held = kind.properties | {"RecoveryWindowInDays": 30, "OnDelete": {"AllowReuse": True}}
    physical_id = create(harness, kind, properties=held)
    assert delete(harness, kind, physical_id, properties=held)["Status"] == "SUCCESS"
    create(harness, kind, logical_id="Other")
    refused = send_create(harness, kind, logical_id="Next")
    assert_reason(refused, REFUSED, "2 claims", "0 releases")

    virtual_clock.shift(60)
    declared = kind.properties | {"ReusePendingRelease": reused}
    taken = create(harness, kind, properties=declared, logical_id="Next" if reused else "Number")

    assert taken == physical_id
    assert_counted(harness, kind, claims=2, releases=0)


@pytest.mark.usefixtures("quota_of_one")
def test_replacement_is_refused_and_delete_is_not(harness: Harness, kind: Kind) -> None:
    create(harness, kind)
    physical_id = create(harness, kind, logical_id="Second")
    changed = kind.properties | kind.replacing | {"AllowReplacement": True}
    fields: dict[str, Any] = {"resource_type": kind.type, "logical_id": "Second", "physical_id": physical_id}

    updated = harness.send("Update", properties=changed, old_properties=kind.properties, **fields)

    assert_reason(updated, REFUSED, "2 claims")
    assert harness.send("Delete", properties=kind.properties, **fields)["Status"] == "SUCCESS"
    assert_counted(harness, kind, claims=2, releases=1)


def test_requests_that_wait_are_refused_when_others_have_reached_the_limit(
    harness: Harness, kind: Kind, configure: Configure
) -> None:
    """Two stacks begin at the same time. All their requests are opened below the limit.

    In real time: a request sees the claims of those before it because the calls have their slots in the rate limiter.
    """
    configure(CONNECT_PHONE_NUMBER_QUOTA="2", CALL_RATES="connect=2")
    fields: dict[str, Any] = {"resource_type": kind.type, "properties": kind.properties}
    stacks = [f"arn:aws:cloudformation:us-east-1:123456789012:stack/{name}/{GENERATED_ID}" for name in "ab"]

    sent = [harness.post("Create", stack_id=stacks[n % 2], logical_id=f"Number{n}", **fields) for n in range(8)]

    answers = [harness.response(request_id) for request_id in sent]
    assert [answer["Status"] for answer in answers].count("SUCCESS") == 4
    for answer in answers:
        if answer["Status"] == "FAILED":
            assert_reason(answer, REFUSED, "4 claims", "0 releases")
    claims = [call for call in harness.telecom.log() if call["operation"] == "ClaimPhoneNumber"]
    assert [call["ok"] for call in claims] == [True] * 4, claims
    assert harness.held() == {"connect_numbers": 4}


# -- the quota ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "calls"),
    [
        ("resource", {"GetServiceQuota": 1}),
        ("account", {"GetServiceQuota": 2}),
        ("default", {"GetServiceQuota": 2, "GetAWSDefaultServiceQuota": 1}),
    ],
)
def test_quota_is_read_near_the_lowest_default(
    harness: Harness, kind: Kind, virtual_clock: VirtualClock, level: str, calls: dict[str, int]
) -> None:
    harness.telecom.configure(connect_numbers=5, quota_level=level)
    claim_and_release(harness, kind, 4)
    create(harness, kind)
    create(harness, kind, logical_id="Last")
    assert harness.calls(QUOTAS) == {}

    for _ in range(2):
        assert_counted(harness, kind, claims=6, releases=4)
    assert harness.calls(QUOTAS) == calls

    harness.telecom.configure(connect_numbers=8)
    virtual_clock.shift(61)
    assert send_create(harness, kind, logical_id="Next")["Status"] == "SUCCESS"
    read = harness.calls(QUOTAS)
    virtual_clock.shift(3600)
    assert send_create(harness, kind, logical_id="Another")["Status"] == "SUCCESS"
    assert harness.calls(QUOTAS) == read


def test_traffic_distribution_group_has_the_quota_of_the_account(harness: Harness, kind: Kind) -> None:
    instance_id = kind.properties["TargetArn"].rsplit("/", 1)[-1]
    group = harness.connect.create_traffic_distribution_group(Name="group", InstanceId=instance_id)["Arn"]
    harness.telecom.configure(connect_numbers=5)
    claim_and_release(harness, kind, 5)

    refused = send_create(harness, kind, logical_id="Next", properties=kind.properties | {"TargetArn": group})

    assert_reason(refused, REFUSED, "10 (200 percent of the quota of 5)")
    assert harness.calls(QUOTAS) == {"GetServiceQuota": 1}


def test_parameter_takes_precedence_over_service_quotas(harness: Harness, kind: Kind, configure: Configure) -> None:
    harness.telecom.configure(connect_numbers=5)
    configure(CONNECT_PHONE_NUMBER_QUOTA="6")
    claim_and_release(harness, kind, 6)

    assert_reason(assert_counted(harness, kind, claims=6, releases=6), REFUSED, "12 (200 percent of the quota of 6)")

    assert harness.calls(QUOTAS) == {}


@pytest.mark.parametrize(
    ("kind_of_fault", "details"),
    [
        ("error", {"code": "AccessDeniedException", "status": 400}),
        ("error", {"code": "ServiceException", "status": 500}),
        ("throttle", {}),
        ("reset", {}),
        ("lose_answer", {}),
    ],
    ids=str,
)
def test_claim_is_made_although_the_quota_cannot_be_read(
    harness: Harness, kind: Kind, log_lines: list[str], kind_of_fault: str, details: dict[str, Any]
) -> None:
    harness.telecom.configure(connect_numbers=5)
    claim_and_release(harness, kind, 5)
    for operation in ("GetServiceQuota", "GetAWSDefaultServiceQuota"):
        fault(harness, f"{QUOTAS}.{operation}", kind_of_fault, times=99, **details)

    assert send_create(harness, kind)["Status"] == "SUCCESS"

    assert harness.calls(QUOTAS) == {"GetServiceQuota": 1}
    assert any("A quota can't be read" in line for line in log_lines)


# -- what the service refuses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [{}, {"code": "InvalidParameterException", "status": 400}], ids=str)
def test_refused_claim_is_remembered_for_a_day(
    harness: Harness, kind: Kind, virtual_clock: VirtualClock, error: dict[str, Any]
) -> None:
    """Other applications have claimed and released numbers, which the ledger does not know."""
    refuse_claim(harness, times=999, **error)

    first = send_create(harness, kind)

    assert_reason(first, REFUSED, "ClaimPhoneNumber", "Allowed limit exceeded", "0 claims", "Service Quotas")
    until = re.findall(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}", first["Reason"])
    virtual_clock.shift(DAY - 60)
    assert until == re.findall(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}", assert_counted(harness, kind, 0, 0)["Reason"])
    assert harness.calls(CONNECT)["ClaimPhoneNumber"] == 1

    virtual_clock.shift(120)
    for _ in range(3):
        assert_reason(send_create(harness, kind), REFUSED)
    assert harness.calls(CONNECT)["ClaimPhoneNumber"] == 2

    virtual_clock.shift(DAY + 60)
    harness.telecom.clear_faults()
    for number in range(2):
        assert send_create(harness, kind, logical_id=f"Number{number}")["Status"] == "SUCCESS"


def test_changed_quota_permits_the_next_claim(harness: Harness, kind: Kind, virtual_clock: VirtualClock) -> None:
    refuse_claim(harness)
    assert_reason(send_create(harness, kind), REFUSED)
    assert_counted(harness, kind, claims=0, releases=0)
    harness.telecom.configure(connect_numbers=60)
    virtual_clock.shift(61)

    assert send_create(harness, kind)["Status"] == "SUCCESS"


def test_changed_parameter_permits_the_next_claim(harness: Harness, kind: Kind, configure: Configure) -> None:
    refuse_claim(harness)
    assert_reason(send_create(harness, kind), REFUSED)
    configure(CONNECT_PHONE_NUMBER_QUOTA="60")

    assert send_create(harness, kind)["Status"] == "SUCCESS"


def test_full_target_is_not_taken_for_the_limit(harness: Harness, kind: Kind) -> None:
    harness.telecom.configure(connect_numbers=1)
    create(harness, kind)
    refuse_claim(harness)

    assert_reason(send_create(harness, kind, logical_id="Second"), REFUSED, "Release phone numbers")

    harness.telecom.configure(connect_numbers=50)
    assert send_create(harness, kind, logical_id="Second")["Status"] == "SUCCESS"


@pytest.mark.parametrize("number_exists", [True, False])
def test_target_may_be_full_if_the_quota_is_unknown(harness: Harness, kind: Kind, number_exists: bool) -> None:
    fault(harness, f"{QUOTAS}.GetServiceQuota", "error", code="AccessDeniedException", times=99)
    if number_exists:
        create(harness, kind)
    refuse_claim(harness)
    assert_reason(send_create(harness, kind, logical_id="Second"), REFUSED)

    again = send_create(harness, kind, logical_id="Second")

    assert again["Status"] == ("SUCCESS" if number_exists else "FAILED")
    if not number_exists:
        assert_reason(again, REFUSED, "unknown")


def test_nothing_is_learned_if_the_numbers_of_the_target_cannot_be_read(harness: Harness, kind: Kind) -> None:
    refuse_claim(harness)
    fault(harness, f"{CONNECT}.ListPhoneNumbersV2", "error", code="AccessDeniedException", status=403, times=99)
    assert_reason(send_create(harness, kind), REFUSED, "Release phone numbers")

    assert send_create(harness, kind)["Status"] == "SUCCESS"


def test_limit_of_the_service_is_foreseen(harness: Harness, kind: Kind) -> None:
    """The local service refuses the eleventh claim or release after five numbers were claimed and released."""
    harness.telecom.configure(connect_numbers=5, claim_release_limit=2)
    claim_and_release(harness, kind, 5)

    assert_counted(harness, kind, claims=5, releases=5)

    number = harness.connect.search_available_phone_numbers(
        TargetArn=kind.properties["TargetArn"], PhoneNumberCountryCode="US", PhoneNumberType="DID"
    )["AvailableNumbersList"][0]["PhoneNumber"]
    with pytest.raises(harness.connect.exceptions.InvalidParameterException):
        harness.connect.claim_phone_number(TargetArn=kind.properties["TargetArn"], PhoneNumber=number)
