"""The sweep reports numbers that no stack refers to, and releases only unknown purchases, where that is allowed."""

from __future__ import annotations

import json
import time
from typing import Any, cast

import pytest
import time_machine

from telephony import clock, resources
from telephony.errors import TelephonyError, ThrottledError
from telephony.handlers import sweep
from telephony.lifecycle import ledger
from telephony.model.validation import parse
from tests.conftest import CONNECT, SMS, STACK_ID, Context, Harness
from tests.contract.cloudformation import Stack, StacksApi
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, Kind, template
from tests.contract.steps import (
    DENIED,
    GENERATED_ID,
    IN_REVIEW,
    REPLACEABLE,
    SMS_KINDS,
    canceled,
    create,
    create_pool,
    delete,
    environment,
    fault,
    hold_call,
    join_pool,
    lose_purchase,
    protect,
    request_number,
    send_create,
    update,
)
from tests.contract.test_answering import short_invocations

RETAINED = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
NOTHING = dict.fromkeys(
    ("STACK_DELETED", "NOT_REFERENCED", "UNKNOWN_PURCHASE_FOUND", "UNKNOWN_PURCHASE_RELEASED", "UNKNOWN_PURCHASE_OPEN"),
    0,
)


@pytest.fixture
def stacks(harness: Harness) -> StacksApi:
    """The API, in which only simulated stacks exist."""
    harness.stacks.default = None
    return harness.stacks


@pytest.fixture(params=[False, True], ids=["reports", "may release"])
def release(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both values of AllowSweepRelease."""
    may: bool = request.param
    monkeypatch.setenv("ALLOW_SWEEP_RELEASE", "true" if may else "false")
    return may


@pytest.fixture
def may_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_SWEEP_RELEASE", "true")


def run() -> dict[str, int]:
    return sweep.handler({}, cast("Any", Context(900)))


def a_day_later() -> Any:
    return time_machine.travel(clock.now() + 86_401)


def deployed(harness: Harness, kind: Kind, **attributes: Any) -> Stack:
    """A stack with one resource; attributes are its policies."""
    stack = harness.cloudformation.stack("swept")
    assert stack.deploy(template(kind.properties, kind, **attributes)) == "CREATE_COMPLETE", stack.reasons("Number")
    return stack


def deleted_stack(harness: Harness, kind: Kind) -> Stack:
    """A deleted stack that retained its resource."""
    stack = deployed(harness, kind, **RETAINED)
    assert stack.delete() == "DELETE_COMPLETE"
    return stack


def late_purchase(harness: Harness, kind: Kind, *, deleted: bool) -> str:
    """Return the ID of a number whose purchase took effect after the provider had recorded its result as unknown."""
    unknown_purchase(harness, kind, deleted=deleted)
    [record] = [one for one in ledger.unknown_purchases() if one.resource_type == kind.type]
    resource = resources.by_type(kind.type)
    return resource.acquire(parse(resource.properties, kind.properties), record.identity).physical_id


def unknown_purchase(harness: Harness, kind: Kind, *, deleted: bool) -> dict[str, Any]:
    """Return the ledger record of a purchase whose result is unknown; deleted: its Delete has succeeded."""
    fault(harness, kind.buys, "reset")
    fault(harness, kind.buys, "error", **DENIED)
    failed = send_create(harness, kind, logical_id=kind.operation)
    assert failed["Status"] == "FAILED"
    if deleted:
        gone = delete(harness, kind, failed["PhysicalResourceId"], logical_id=kind.operation)
        assert gone["Status"] == "SUCCESS"
    [record] = [row for row in harness.purchases() if row["sk"]["S"] == f"purchase#{failed['RequestId']}"]
    assert record["purchase_state"] == {"S": "UNKNOWN"}
    assert record["canceled"] == {"BOOL": deleted}
    return record


def state(harness: Harness) -> str:
    [record] = harness.purchases()
    return str(record["purchase_state"]["S"])


# -- numbers that no stack refers to -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("release")
def test_number_of_existing_stack_is_no_finding(harness: Harness, kind: Kind, stacks: StacksApi) -> None:
    deployed(harness, kind)
    stacks.calls.clear()

    assert run() == NOTHING

    assert harness.held() == {kind.held: 1}
    assert stacks.calls == ["DescribeStacks", "DescribeStackResource"]


@pytest.mark.usefixtures("release")
def test_unmanaged_number_is_ignored(harness: Harness, stacks: StacksApi) -> None:
    request_number(harness, Tags=[{"Key": "cfn-telephony", "Value": "no"}])
    harness.sms.request_sender_id(SenderId="OTHERS", IsoCountryCode="GB")

    assert run() == NOTHING

    assert harness.held() == {"phone_numbers": 1, "sender_ids": 1}
    assert stacks.calls == []


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("described", [True, False])
def test_number_retained_from_deleted_stack_is_reported_and_never_released(
    harness: Harness, kind: Kind, stacks: StacksApi, described: bool
) -> None:
    stack = deleted_stack(harness, kind)
    if not described:
        del stacks.stacks[stack.stack_id]

    assert run() == NOTHING | {"STACK_DELETED": 1}

    assert harness.held() == {kind.held: 1}
    assert state(harness) == "READY"


@pytest.mark.usefixtures("release", "stacks")
def test_number_retained_by_replacement_is_reported_and_never_released(harness: Harness, kind: Kind) -> None:
    stack = deployed(harness, kind, **RETAINED)
    changed = template(kind.properties | kind.replacing | REPLACEABLE, kind, **RETAINED)
    assert stack.deploy(changed) == "UPDATE_COMPLETE", stack.reasons("Number")

    assert run() == NOTHING | {"NOT_REFERENCED": 1}

    assert harness.held() == {kind.held: 2}


@pytest.mark.usefixtures("release")
def test_number_of_removed_resource_is_reported_and_never_released(
    harness: Harness, kind: Kind, stacks: StacksApi
) -> None:
    other = ("other", "CREATE_COMPLETE")
    stacks.know(deployed(harness, kind).stack_id, "UPDATE_COMPLETE", resources={"Other": other})

    assert run() == NOTHING | {"NOT_REFERENCED": 1}

    assert harness.held() == {kind.held: 1}


@pytest.mark.parametrize("status", ["CREATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "DELETE_IN_PROGRESS"])
def test_stack_with_an_operation_in_progress_is_skipped(harness: Harness, stacks: StacksApi, status: str) -> None:
    stacks.know(deployed(harness, SMS_PHONE_NUMBER).stack_id, status)

    assert run() == NOTHING


def test_each_stack_is_described_once(harness: Harness, stacks: StacksApi) -> None:
    stack = harness.cloudformation.stack("swept")
    number = template(SIMULATOR)["Resources"]["Number"]
    stack.deploy({"Resources": dict.fromkeys(("One", "Two", "Three"), number)})
    stacks.calls.clear()

    assert run() == NOTHING

    assert sorted(stacks.calls) == ["DescribeStackResource"] * 3 + ["DescribeStacks"]


@pytest.mark.usefixtures("stacks")
def test_every_page_is_read(harness: Harness) -> None:
    harness.telecom.configure(sender_ids=200)
    tags: Any = [
        {"Key": f"cfn-telephony:{key}", "Value": value}
        for key, value in {"managed-by": "cfn-telephony", "stack-id": STACK_ID, "logical-id": "Number"}.items()
    ]
    for index in range(101):
        harness.sms.request_sender_id(SenderId=f"ACME{index}", IsoCountryCode="GB", Tags=tags)

    assert run() == NOTHING | {"STACK_DELETED": 101}


# -- purchases whose result is unknown ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("release", "stacks")
@pytest.mark.parametrize("deleted", [False, True])
def test_unknown_purchase_without_number_is_closed_after_a_day(harness: Harness, kind: Kind, deleted: bool) -> None:
    unknown_purchase(harness, kind, deleted=deleted)

    assert run() == NOTHING | {"UNKNOWN_PURCHASE_OPEN": 1}
    assert state(harness) == "UNKNOWN"
    with a_day_later():
        assert run() == NOTHING
        assert run() == NOTHING

    assert state(harness) == "REFUSED"


@pytest.mark.shows("tags visible late")
@pytest.mark.usefixtures("stacks")
@pytest.mark.parametrize("deleted", [False, True])
def test_late_number_is_released_only_if_deleted_and_allowed(
    harness: Harness, kind: Kind, release: bool, deleted: bool
) -> None:
    physical_id = late_purchase(harness, kind, deleted=deleted)

    if release and deleted:
        assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED": 1}
        assert run() == NOTHING
    else:
        assert run() == NOTHING | {"UNKNOWN_PURCHASE_FOUND": 1}

    assert harness.ids() == ([] if release and deleted else [physical_id])
    assert state(harness) == ("RELEASED" if release and deleted else "UNKNOWN")


@pytest.mark.shows("tags visible late")
@pytest.mark.usefixtures("stacks", "may_release")
def test_number_whose_tags_appear_after_its_delete_is_released(harness: Harness, kind: Kind) -> None:
    harness.telecom.configure(tags_lag_seconds=120)
    lose_purchase(harness, kind)
    failed = send_create(harness, kind)
    gone = delete(harness, kind, failed["PhysicalResourceId"])

    assert (failed["Status"], gone["Status"], state(harness)) == ("FAILED", "SUCCESS", "UNKNOWN")
    assert harness.held() == {kind.held: 1}
    assert run()["UNKNOWN_PURCHASE_OPEN"] == 1

    harness.telecom.clock.advance(120)
    assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED": 1}
    assert harness.held() == {}


@pytest.mark.usefixtures("stacks", "may_release")
@SMS_KINDS
def test_late_number_is_released_despite_protection_and_pool(harness: Harness, kind: Kind) -> None:
    physical_id = late_purchase(harness, kind, deleted=True)
    other = request_number(harness)
    protect(harness, physical_id)
    join_pool(harness, create_pool(harness, other), physical_id)

    assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED": 1}

    assert harness.ids() == [other]


@pytest.mark.usefixtures("stacks")
def test_unreported_replacement_in_deleted_stack_is_an_unknown_purchase(
    harness: Harness, kind: Kind, release: bool
) -> None:
    first = create(harness, kind)
    second = update(harness, kind, first, kind.properties | kind.replacing | REPLACEABLE)["PhysicalResourceId"]
    [record] = [row for row in harness.purchases() if row["physical_id"]["S"] == second]
    # As if no response to the Update had been accepted: the stack is deleted with the first number, the only one known.
    harness.dynamodb.update_item(
        TableName=harness.table,
        Key={"pk": record["pk"], "sk": record["sk"]},
        UpdateExpression="REMOVE response_accepted_at",
    )
    delete(harness, kind, first)

    assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED" if release else "UNKNOWN_PURCHASE_FOUND": 1}

    assert harness.held() == ({} if release else {kind.held: 1})


@pytest.mark.usefixtures("stacks", "may_release")
def test_retained_number_is_not_released_however_late_its_create_was_answered(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response was in time for CloudFormation, but within the provider's margin before the ServiceTimeout."""
    with (
        environment(SERVICE_TIMEOUT_MARGIN_SECONDS="120"),
        short_invocations(harness, 4000) as unhurried,
        hold_call(harness, SMS_PHONE_NUMBER.buys) as purchase,
    ):
        created = unhurried.post("Create", resource_type=SMS_PHONE_NUMBER.type, properties=SIMULATOR)
        purchase.wait()
        monkeypatch.setattr(clock, "now", lambda: time.time() + 3540)
        purchase.release()
        assert unhurried.response(created)["Status"] == "SUCCESS"

    assert run() == NOTHING | {"STACK_DELETED": 1}

    assert harness.held() == {"phone_numbers": 1}


# -- failures ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("stacks", "may_release")
def test_next_sweep_repeats_a_failed_release(harness: Harness, kind: Kind) -> None:
    late_purchase(harness, kind, deleted=True)
    fault(harness, kind.releases, "throttle", times=99)

    found = run()
    assert (found["UNKNOWN_PURCHASE_OPEN"], found["UNKNOWN_PURCHASE_RELEASED"]) == (1, 0)
    assert harness.held() == {kind.held: 1}
    harness.telecom.clear_faults()

    assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED": 1}
    assert harness.held() == {}


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        (SMS, "DescribePhoneNumbers"),
        (SMS, "DescribeSenderIds"),
        (SMS, "ListTagsForResource"),
        (CONNECT, "ListPhoneNumbersV2"),
        ("dynamodb", "Scan"),
    ],
)
def test_throttled_sweep_fails_and_the_next_one_succeeds(
    harness: Harness, stacks: StacksApi, service: str, operation: str
) -> None:
    deleted_stack(harness, SMS_PHONE_NUMBER)
    harness.telecom.fault(service, operation, "throttle", times=99)

    with pytest.raises(TelephonyError):
        run()
    harness.telecom.clear_faults()

    assert run() == NOTHING | {"STACK_DELETED": 1}
    assert stacks.calls[-1] == "DescribeStacks"


def test_throttled_cloudformation_is_not_taken_for_a_deleted_stack(harness: Harness, stacks: StacksApi) -> None:
    deployed(harness, SMS_PHONE_NUMBER)
    stacks.refuse("Throttling")

    with pytest.raises(ThrottledError):
        run()
    stacks.allow()

    assert run() == NOTHING


def test_sweep_retries_throttled_calls(harness: Harness, stacks: StacksApi) -> None:
    deleted_stack(harness, SMS_PHONE_NUMBER)
    harness.telecom.fault(SMS, "DescribePhoneNumbers", "throttle", times=2)
    harness.telecom.fault(SMS, "ListTagsForResource", "throttle", times=2)
    stacks.refuse("Throttling", times=2)

    assert run() == NOTHING | {"STACK_DELETED": 1}


@pytest.mark.usefixtures("stacks")
def test_findings_are_logged_and_counted_in_the_metric_of_the_alarm(
    harness: Harness, capsys: pytest.CaptureFixture[str], log_lines: list[str]
) -> None:
    deleted_stack(harness, SMS_PHONE_NUMBER)
    capsys.readouterr()

    run()

    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"SweepFindings"' in line]
    assert [(metric["Finding"], metric["SweepFindings"]) for metric in metrics] == [("STACK_DELETED", [1.0])]
    [logged] = [line for line in log_lines if '"STACK_DELETED"' in line and '"found"' in line]
    assert harness.ids()[0] in logged


def unanswered_create(harness: Harness) -> None:
    harness.sink.fail_next(None, "403", 4)
    harness.post("Create", resource_type=SMS_PHONE_NUMBER.type, properties=SIMULATOR)
    harness.invoker.settle(30)


@pytest.mark.usefixtures("stacks", "may_release")
def test_number_that_its_delete_could_not_release_is_released_later(harness: Harness) -> None:
    unanswered_create(harness)
    harness.telecom.fault(SMS, "ReleasePhoneNumber", "error", times=9, **IN_REVIEW)
    assert delete(harness, SMS_PHONE_NUMBER)["Status"] == "FAILED"
    assert state(harness) == "READY"
    harness.telecom.clear_faults()

    with a_day_later():
        assert run()["UNKNOWN_PURCHASE_RELEASED"] == 1

    assert (harness.held(), state(harness)) == ({}, "RELEASED")


@pytest.mark.usefixtures("stacks")
def test_canceled_purchase_is_closed_if_its_number_is_gone(harness: Harness) -> None:
    unanswered_create(harness)
    harness.telecom.fault("dynamodb", "UpdateItem", "error", code="ResourceNotFoundException", after=2, times=9)
    harness.post("Delete", resource_type=SMS_PHONE_NUMBER.type, properties=SIMULATOR, physical_id=GENERATED_ID)
    harness.invoker.settle(30)
    harness.telecom.clear_faults()
    assert (harness.held(), state(harness), canceled(harness)) == ({}, "READY", True)

    with a_day_later():
        assert run() == NOTHING

    assert state(harness) == "RELEASED"
