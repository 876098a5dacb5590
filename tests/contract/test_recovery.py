"""A deleted number is pending release until it is due, and can be taken back, reused, adopted and restored."""

from __future__ import annotations

import threading
import time
from typing import Any, cast

import attrs
import pytest

from telephony import clock
from telephony.handlers import sweep
from tests.conftest import CONNECT, SMS, STACK_ID, Configure, Context, Harness, connect_instance
from tests.contract.cloudformation import Stack
from tests.contract.declarations import (
    SIMULATOR,
    SMS_PHONE_NUMBER,
    Kind,
    connect_phone_number,
    template,
    with_failing_sibling,
)
from tests.contract.steps import (
    DENIED,
    ENDS_SOON,
    GENERATED_ID,
    REPLACEABLE,
    SERVER_ERROR,
    assert_delete_fails,
    assert_reason,
    assert_rolled_back,
    create,
    create_pool,
    delete,
    fault,
    hold_call,
    join_pool,
    protect,
    send_create,
    update,
)
from tests.contract.test_bought_once import conflict
from tests.contract.test_sweep import DAY, NOTHING, later, run

WINDOW: dict[str, Any] = {"RecoveryWindowInDays": 7}
REUSABLE = WINDOW | {"OnDelete": {"AllowReuse": True}}
REUSES: dict[str, Any] = {"ReusePendingRelease": True}
DUE = 7 * DAY + 1
RELEASE_AFTER = "cfn-telephony:release-after"


@pytest.fixture(params=["sms", "connect"])
def number(request: pytest.FixtureRequest, harness: Harness) -> Kind:
    """Each type of phone number."""
    return SMS_PHONE_NUMBER if request.param == "sms" else connect_phone_number(connect_instance(harness))


@pytest.fixture(autouse=True)
def _releases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_SWEEP_RELEASE", "true")


def deployed(harness: Harness, kind: Kind, name: str = "numbers", **properties: Any) -> tuple[Stack, str]:
    """Return a new stack with one resource, Number, and its physical ID."""
    stack = harness.cloudformation.stack(name)
    assert stack.deploy(template(kind.properties | properties, kind)) == "CREATE_COMPLETE", stack.reasons("Number")
    return stack, stack.physical_ids["Number"]


def pending(harness: Harness, kind: Kind, name: str = "numbers", **properties: Any) -> str:
    """Return the physical ID of a number that is pending release, because its stack was deleted."""
    stack, physical_id = deployed(harness, kind, name, **(WINDOW | properties))
    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")
    assert states(harness)[physical_id] == "PENDING_RELEASE"
    return physical_id


def states(harness: Harness) -> dict[str, str]:
    """The state of the latest purchase of each number."""
    rows = sorted(harness.purchases(), key=lambda row: float(row["opened_at"]["N"]))
    return {row["physical_id"]["S"]: row["purchase_state"]["S"] for row in rows if "physical_id" in row}


def tags_of(harness: Harness, kind: Kind, physical_id: str) -> dict[str, str]:
    [held] = [each for each in harness.telecom.held()[kind.held] if physical_id in (each["id"], each["arn"])]
    return dict(held["tags"])


def sweep_at(seconds: float) -> dict[str, int]:
    with later(seconds):
        return run()


# -- pending release ---------------------------------------------------------------------------------------------------


def test_delete_under_window_makes_number_pending_release(harness: Harness, number: Kind) -> None:
    stack, physical_id = deployed(harness, number, **WINDOW)

    assert stack.delete() == "DELETE_COMPLETE"

    assert harness.ids() == [physical_id]
    assert number.releases not in harness.calls()
    assert states(harness) == {physical_id: "PENDING_RELEASE"}
    assert tags_of(harness, number, physical_id)[RELEASE_AFTER].endswith("Z")


def test_number_with_the_most_tags_is_changed_and_made_pending_release(harness: Harness, number: Kind) -> None:
    """A resource can have 50 tags. All declared tags are replaced by others."""
    tags: list[dict[str, Any]] = [
        {"Tags": [{"Key": f"{name}{n}", "Value": "x"} for n in range(44)]} for name in ("first", "second")
    ]
    stack, physical_id = deployed(harness, number, **WINDOW, **tags[0])
    assert stack.deploy(template(number.properties | WINDOW | tags[1], number)) == "UPDATE_COMPLETE"

    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")

    assert len(tags_of(harness, number, physical_id)) == 50


def test_number_is_disconnected_before_it_is_pending_release(harness: Harness) -> None:
    harness.sms.create_opt_out_list(OptOutListName="brand")
    two_way = {"Enabled": True, "ChannelArn": "arn:aws:sns:us-east-1:123456789012:in"}

    physical_id = pending(harness, SMS_PHONE_NUMBER, OptOutListName="brand", TwoWay=two_way)

    [described] = harness.sms.describe_phone_numbers(PhoneNumberIds=[physical_id])["PhoneNumbers"]
    assert (described["OptOutListName"], described["TwoWayEnabled"]) == ("Default", False)


def test_number_leaves_its_pool_if_on_delete_allows_it(harness: Harness) -> None:
    stack, physical_id = deployed(harness, SMS_PHONE_NUMBER, **WINDOW, OnDelete={"LeavePools": True})
    join_pool(harness, create_pool(harness), physical_id)

    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")

    [described] = harness.sms.describe_phone_numbers(PhoneNumberIds=[physical_id])["PhoneNumbers"]
    assert "PoolId" not in described


@pytest.mark.parametrize("blocker", ["protection", "pool"])
def test_protected_number_fails_as_without_a_window(harness: Harness, blocker: str) -> None:
    stack, physical_id = deployed(harness, SMS_PHONE_NUMBER, **WINDOW)
    if blocker == "pool":
        join_pool(harness, create_pool(harness), physical_id)
    else:
        protect(harness, physical_id)
    before = harness.telecom.held()

    assert_delete_fails(stack, "ResourceConflict", physical_id, "pool-" if blocker == "pool" else "deletion protection")

    assert harness.telecom.held() == before
    assert states(harness)[physical_id] == "READY"


def test_protection_is_lifted_if_on_delete_allows_it(harness: Harness) -> None:
    stack, physical_id = deployed(
        harness, SMS_PHONE_NUMBER, **WINDOW, OnDelete={"LiftDeletionProtection": True}, DeletionProtectionEnabled=True
    )

    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")

    assert states(harness) == {physical_id: "PENDING_RELEASE"}


def test_parameter_of_the_provider_is_the_default(harness: Harness, number: Kind, configure: Configure) -> None:
    configure(RECOVERY_WINDOW_IN_DAYS="7")
    by_default, kept = deployed(harness, number)
    without, _ = deployed(harness, number, "other", RecoveryWindowInDays=0)

    assert (by_default.delete(), without.delete()) == ("DELETE_COMPLETE", "DELETE_COMPLETE")

    assert harness.ids() == [kept]


def refuse(harness: Harness, kind: Kind) -> None:
    """Let the service refuse the change of settings."""
    code = "ValidationException" if kind is SMS_PHONE_NUMBER else "InvalidParameterException"
    fault(harness, kind.updates, "error", times=999, code=code, status=400, message="No.")


def test_number_that_was_never_ready_is_released(harness: Harness) -> None:
    """Its configuration failed, so that no stack used it."""
    refuse(harness, SMS_PHONE_NUMBER)
    stack = harness.cloudformation.stack("numbers")

    assert stack.deploy(template(SIMULATOR | SMS_PHONE_NUMBER.in_place | WINDOW)) == "ROLLBACK_COMPLETE"

    assert harness.ids() == []
    assert harness.calls()[SMS_PHONE_NUMBER.buys] == 1


def test_number_of_a_rolled_back_stack_is_pending_release(harness: Harness, number: Kind) -> None:
    """Another resource failed. The next deployment takes the number back."""
    stack = harness.cloudformation.stack("numbers")
    assert stack.deploy(with_failing_sibling(number.properties | WINDOW, number)) == "ROLLBACK_COMPLETE"
    [physical_id] = harness.ids()
    assert stack.delete() == "DELETE_COMPLETE"

    _, again = deployed(harness, number, **WINDOW)

    assert again == physical_id
    assert harness.calls()[number.buys] == 1


def test_sender_id_has_no_recovery_window(harness: Harness) -> None:
    failed = harness.send(
        "Create", resource_type="Custom::SmsSenderId", properties={"SenderId": "A1", "IsoCountryCode": "GB"} | WINDOW
    )
    assert_reason(failed, "InvalidRequest", "RecoveryWindowInDays")


@pytest.mark.parametrize("days", [-1, 181, "a week"])
def test_window_is_validated_before_any_call(harness: Harness, number: Kind, days: Any) -> None:
    failed = send_create(harness, number, properties=number.properties | {"RecoveryWindowInDays": days})

    assert_reason(failed, "InvalidRequest", "RecoveryWindowInDays")
    assert harness.held() == {}


def test_repeated_delete_of_a_number_pending_release_changes_nothing(harness: Harness, number: Kind) -> None:
    physical_id = create(harness, number, properties=number.properties | WINDOW)
    assert delete(harness, number, physical_id, properties=number.properties | WINDOW)["Status"] == "SUCCESS"
    before = harness.telecom.held()

    assert delete(harness, number, physical_id)["Status"] == "SUCCESS"

    assert harness.telecom.held() == before
    assert states(harness) == {physical_id: "PENDING_RELEASE"}


# -- due release -------------------------------------------------------------------------------------------------------


def test_sweep_reports_and_then_releases_a_number_that_is_due(harness: Harness, number: Kind) -> None:
    harness.stacks.default = None
    physical_id = pending(harness, number)

    assert sweep_at(DUE - 100) == NOTHING | {"PENDING_RELEASE": 1}
    assert harness.ids() == [physical_id]
    assert sweep_at(DUE) == NOTHING | {"RELEASED_WHEN_DUE": 1}

    assert harness.ids() == []
    assert states(harness) == {physical_id: "CLOSED"}
    with later(DUE + DAY):
        assert deployed(harness, number, **WINDOW)[1] != physical_id


def test_price_of_a_number_pending_release_is_reported(
    harness: Harness, log_lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    harness.stacks.default = None
    physical_id = pending(harness, SMS_PHONE_NUMBER)

    assert run() == NOTHING | {"PENDING_RELEASE": 1}

    [logged] = [line for line in log_lines if '"PENDING_RELEASE"' in line and '"found"' in line]
    assert physical_id in logged
    assert '"monthly_price":"1.00"' in logged
    assert '"release_after":"20' in logged
    metrics = [line for line in capsys.readouterr().out.splitlines() if '"PendingReleaseMonthlyPrice":[1.0]' in line]
    assert len(metrics) == 1


def test_sweep_without_permission_releases_nothing(
    harness: Harness, number: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.stacks.default = None
    physical_id = pending(harness, number)
    monkeypatch.setenv("ALLOW_SWEEP_RELEASE", "false")

    assert sweep_at(DUE) == NOTHING | {"PENDING_RELEASE": 1}

    assert harness.ids() == [physical_id]


@pytest.mark.shows("number pending release wanted twice")
@pytest.mark.parametrize("blocker", ["protection", "pool"])
def test_due_number_that_was_protected_by_hand_is_not_released(harness: Harness, blocker: str) -> None:
    harness.stacks.default = None
    physical_id = pending(harness, SMS_PHONE_NUMBER, OnDelete={"LiftDeletionProtection": True, "LeavePools": True})
    if blocker == "pool":
        join_pool(harness, create_pool(harness), physical_id)
    else:
        protect(harness, physical_id)

    for day in (0, 1):
        assert sweep_at(DUE + day * DAY)["NOT_CHECKED"] == 1
        assert physical_id in harness.ids()
        assert states(harness)[physical_id] == "PENDING_RELEASE"


def test_due_number_that_was_released_by_hand_is_closed(harness: Harness, number: Kind) -> None:
    harness.stacks.default = None
    physical_id = pending(harness, number)
    client, name = (harness.connect, "release_phone_number") if "connect" in number.buys else (harness.sms, "")
    getattr(client, name or "release_phone_number")(PhoneNumberId=physical_id)

    assert sweep_at(DUE) == NOTHING

    assert states(harness) == {physical_id: "CLOSED"}


# -- taking back -------------------------------------------------------------------------------------------------------


def test_create_takes_back_number_pending_release(harness: Harness, number: Kind) -> None:
    physical_id = pending(harness, number)
    bought = harness.calls()[number.buys]

    stack, again = deployed(harness, number, **WINDOW)

    assert again == physical_id
    assert harness.calls()[number.buys] == bought
    tags = tags_of(harness, number, physical_id)
    assert tags["cfn-telephony:stack-id"] == stack.stack_id
    assert RELEASE_AFTER not in tags
    assert sweep_at(DUE + DAY)["RELEASED_WHEN_DUE"] == 0
    assert harness.ids() == [physical_id]
    assert stack.delete() == "DELETE_COMPLETE"
    assert states(harness)[physical_id] == "PENDING_RELEASE"


def test_number_is_taken_back_although_none_is_available(harness: Harness) -> None:
    kind = connect_phone_number(connect_instance(harness))
    physical_id = pending(harness, kind)
    fault(harness, f"{CONNECT}.SearchAvailablePhoneNumbers", "error", times=999, **DENIED)

    assert deployed(harness, kind)[1] == physical_id


def test_number_taken_back_gets_the_declared_settings(harness: Harness, number: Kind) -> None:
    physical_id = pending(harness, number)

    _, again = deployed(harness, number, **number.in_place)

    assert again == physical_id
    assert harness.calls()[number.updates] >= 1


def test_resource_that_is_declared_again_takes_its_number_back(harness: Harness, number: Kind) -> None:
    """In the same stack, which had another resource meanwhile."""
    stack = harness.cloudformation.stack("numbers")
    both = template(number.properties | WINDOW, number)
    both["Resources"]["Other"] = {"Type": SMS_PHONE_NUMBER.type, "Properties": SIMULATOR}
    other = {"Resources": {"Other": both["Resources"]["Other"]}}
    assert stack.deploy(both) == "CREATE_COMPLETE"
    physical_id = stack.physical_ids["Number"]
    assert stack.deploy(other) == "UPDATE_COMPLETE"

    assert stack.deploy(both) == "UPDATE_COMPLETE"

    assert stack.physical_ids["Number"] == physical_id
    assert len(harness.ids()) == 2


@pytest.mark.parametrize("differs", ["stack name", "logical ID", "create-only property"])
def test_number_is_not_taken_back_by_another_declaration(harness: Harness, number: Kind, differs: str) -> None:
    physical_id = pending(harness, number)
    properties = number.properties | (number.replacing if differs == "create-only property" else {})
    declared = template(properties, number)
    if differs == "logical ID":
        declared["Resources"]["Another"] = declared["Resources"].pop("Number")
    stack = harness.cloudformation.stack("another" if differs == "stack name" else "numbers")

    assert stack.deploy(declared) == "CREATE_COMPLETE"

    assert physical_id not in stack.physical_ids.values()
    assert states(harness)[physical_id] == "PENDING_RELEASE"


def stack_id(index: int) -> str:
    """A stack with the name of the deleted one."""
    return STACK_ID.replace("/example/", "/numbers/")[:-1] + str(index)


def test_ambiguity_is_refused_and_not_guessed(harness: Harness, number: Kind) -> None:
    declared = number.properties | WINDOW
    made = [create(harness, number, properties=declared, stack_id=stack_id(index)) for index in range(2)]
    for index, physical_id in enumerate(made):
        ended = delete(harness, number, physical_id, properties=declared, stack_id=stack_id(index))
        assert ended["Status"] == "SUCCESS"
    bought = harness.calls()[number.buys]
    stack = harness.cloudformation.stack("numbers")

    assert_rolled_back(stack, template(number.properties, number), "ResourceConflict", *made)

    assert harness.calls()[number.buys] == bought
    assert set(states(harness).values()) == {"PENDING_RELEASE"}


@pytest.mark.shows("recovery interrupted")
def test_taker_that_fails_returns_the_number(harness: Harness, number: Kind) -> None:
    harness.stacks.default = None
    physical_id = pending(harness, number)
    due = tags_of(harness, number, physical_id)[RELEASE_AFTER]
    refuse(harness, number)
    stack = harness.cloudformation.stack("numbers")
    assert stack.deploy(template(number.properties | number.in_place, number)) == "ROLLBACK_COMPLETE"
    harness.telecom.clear_faults()
    assert stack.delete() == "DELETE_COMPLETE"

    assert states(harness)[physical_id] == "PENDING_RELEASE"
    assert tags_of(harness, number, physical_id)[RELEASE_AFTER] == due
    assert run() == NOTHING | {"PENDING_RELEASE": 1}
    assert deployed(harness, number)[1] == physical_id


@pytest.mark.shows("number pending release wanted twice")
def test_of_two_takers_one_gets_the_number(harness: Harness, number: Kind) -> None:
    """Both have read that it is pending release, before either writes."""
    physical_id = pending(harness, number)
    with hold_call(harness, "dynamodb.TransactWriteItems", "before", skip=1) as taking:
        requests = [send(harness, number, stack_id(1))]
        taking.wait()
        requests.append(send(harness, number, stack_id(2)))
        second = harness.response(requests[1])
        taking.release()
        first = harness.response(requests[0])

    assert (first["Status"], second["Status"]) == ("SUCCESS", "SUCCESS")
    assert second["PhysicalResourceId"] == physical_id
    assert set(harness.ids()) == {physical_id, first["PhysicalResourceId"]}


def send(harness: Harness, kind: Kind, stack: str) -> Any:
    return harness.post("Create", resource_type=kind.type, properties=kind.properties, stack_id=stack)


def cancel(harness: Harness, kind: Kind, stack: str) -> Any:
    """Send the Delete of a Create that CloudFormation has canceled."""
    made_up = {"physical_id": "numbers-Number-ABCDEFGHIJKL", "stack_id": stack}
    return harness.post("Delete", resource_type=kind.type, properties=kind.properties, **made_up)


def answer(harness: Harness, request_id: Any) -> dict[str, Any]:
    """Wait for the response to a request while another one is held."""
    until = time.monotonic() + 10
    answers: list[dict[str, Any]] = []
    while not (answers := harness.sink.responses(request_id)) and time.monotonic() < until:
        time.sleep(0.01)
    return answers[0]


@pytest.mark.shows("number pending release wanted twice")
def test_due_release_loses_against_a_taker(harness: Harness, number: Kind) -> None:
    harness.stacks.default = None
    physical_id = pending(harness, number)
    with later(DUE):
        with hold_call(harness, number.reads) as held:  # The sweep reads the number before it decides.
            sweeping = threading.Thread(target=run)
            sweeping.start()
            held.wait()
            _, taken = deployed(harness, number, **WINDOW)
        sweeping.join()

        assert taken == physical_id
        assert harness.ids() == [physical_id]


@pytest.mark.shows("number pending release wanted twice")
def test_taker_loses_against_a_due_release(harness: Harness, number: Kind) -> None:
    harness.stacks.default = None
    physical_id = pending(harness, number)
    with later(DUE):
        with hold_call(harness, number.releases, "before") as held:
            sweeping = threading.Thread(target=run)
            sweeping.start()
            held.wait()
            _, another = deployed(harness, number, **WINDOW)
        sweeping.join()

    assert harness.ids() == [another]
    assert another != physical_id


def test_reverting_update_takes_the_replaced_number_back(harness: Harness, number: Kind) -> None:
    stack, first = deployed(harness, number, **(WINDOW | REPLACEABLE))
    changed = number.properties | number.replacing | WINDOW | REPLACEABLE
    assert stack.deploy(template(changed, number)) == "UPDATE_COMPLETE", stack.reasons("Number")
    second = stack.physical_ids["Number"]
    assert states(harness) == {first: "PENDING_RELEASE", second: "READY"}
    bought = harness.calls()[number.buys]

    assert stack.deploy(template(number.properties | WINDOW | REPLACEABLE, number)) == "UPDATE_COMPLETE"

    assert stack.physical_ids["Number"] == first
    assert states(harness) == {first: "READY", second: "PENDING_RELEASE"}
    assert harness.calls()[number.buys] == bought
    assert sweep_at(DUE)["RELEASED_WHEN_DUE"] == 1
    assert harness.ids() == [first]


def test_rollback_of_a_replacement_keeps_the_new_number_for_the_next_attempt(harness: Harness, number: Kind) -> None:
    stack, first = deployed(harness, number, **(WINDOW | REPLACEABLE))
    changed = number.properties | number.replacing | WINDOW | REPLACEABLE
    assert stack.deploy(with_failing_sibling(changed, number)) == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.physical_ids["Number"] == first
    bought = harness.calls()[number.buys]

    assert stack.deploy(template(changed, number)) == "UPDATE_COMPLETE"

    assert harness.calls()[number.buys] == bought
    assert len(harness.ids()) == 2


@pytest.mark.shows("recovery interrupted")
def test_take_is_completed_after_a_crash(harness: Harness, number: Kind) -> None:
    """The first attempt ends after it has taken the number."""
    physical_id = pending(harness, number)
    service = "pinpoint-sms-voice-v2" if number is SMS_PHONE_NUMBER else "connect"
    fault(harness, f"{service}.TagResource", "error", times=1, **SERVER_ERROR)

    _, again = deployed(harness, number)

    assert again == physical_id
    assert RELEASE_AFTER not in tags_of(harness, number, physical_id)


@pytest.mark.shows("number pending release wanted twice")
@pytest.mark.parametrize("operation", ["TagResource", "UntagResource"])
def test_tags_are_those_of_the_last_taker(harness: Harness, number: Kind, operation: str) -> None:
    """The first taker is deleted while it sets the tags, and its call takes effect after those of the second."""
    physical_id = pending(harness, number)
    service = SMS if number is SMS_PHONE_NUMBER else CONNECT
    with hold_call(harness, f"{service}.{operation}", "before") as tagging:
        request = send(harness, number, stack_id(1))
        tagging.wait()
        assert answer(harness, cancel(harness, number, stack_id(1)))["Status"] == "SUCCESS"
        second = answer(harness, send(harness, number, stack_id(2)))
        tagging.release()
        first = harness.response(request)

    assert (first["Status"], second["PhysicalResourceId"]) == ("FAILED", physical_id)
    tags = tags_of(harness, number, physical_id)
    assert (tags["cfn-telephony:stack-id"], RELEASE_AFTER in tags) == (stack_id(2), False)


def test_due_date_is_tagged_again_if_a_canceled_taker_removes_it(harness: Harness, number: Kind) -> None:
    physical_id = pending(harness, number)
    due = tags_of(harness, number, physical_id)[RELEASE_AFTER]
    service = SMS if number is SMS_PHONE_NUMBER else CONNECT
    with hold_call(harness, f"{service}.UntagResource", "before") as tagging:
        request = send(harness, number, stack_id(1))
        tagging.wait()
        assert answer(harness, cancel(harness, number, stack_id(1)))["Status"] == "SUCCESS"
        tagging.release()
        assert harness.response(request)["Status"] == "FAILED"

    assert states(harness)[physical_id] == "PENDING_RELEASE"
    assert tags_of(harness, number, physical_id)[RELEASE_AFTER] == due


def test_taken_number_of_a_failed_create_keeps_its_due_date_after_an_update(harness: Harness, number: Kind) -> None:
    """The stack was not rolled back. The update succeeds, and a Delete without a window follows."""
    physical_id = pending(harness, number)
    due = tags_of(harness, number, physical_id)[RELEASE_AFTER]
    declared = number.properties | number.in_place
    refuse(harness, number)
    failed = send_create(harness, number, properties=declared, stack_id=stack_id(1))
    assert (failed["Status"], failed["PhysicalResourceId"]) == ("FAILED", physical_id)
    harness.telecom.clear_faults()
    assert update(harness, number, physical_id, declared, stack_id=stack_id(1))["Status"] == "SUCCESS"

    assert delete(harness, number, physical_id, stack_id=stack_id(1))["Status"] == "SUCCESS"

    assert states(harness)[physical_id] == "PENDING_RELEASE"
    assert tags_of(harness, number, physical_id)[RELEASE_AFTER] == due


@pytest.mark.parametrize("failing", ["untag", "outcome"])
def test_number_in_use_again_loses_the_tag_of_its_due_date(harness: Harness, number: Kind, failing: str) -> None:
    """An Update uses a number again after its Delete, or after one that could not record its outcome."""
    declared = number.properties | WINDOW
    physical_id = create(harness, number, properties=declared)
    if failing == "outcome":
        fault(harness, "dynamodb.TransactWriteItems", "error", after=1, times=99, **SERVER_ERROR)
        assert delete(harness, number, physical_id, properties=declared | ENDS_SOON)["Status"] == "FAILED"
        harness.telecom.clear_faults()
        assert states(harness) == {physical_id: "RELEASING"}
    else:
        assert delete(harness, number, physical_id, properties=declared)["Status"] == "SUCCESS"
        fault(harness, f"{number.service}.UntagResource", "error", times=5, **SERVER_ERROR)
    assert RELEASE_AFTER in tags_of(harness, number, physical_id)

    assert update(harness, number, physical_id, declared)["Status"] == "SUCCESS"

    assert states(harness) == {physical_id: "READY"}
    assert RELEASE_AFTER not in tags_of(harness, number, physical_id)


def test_number_whose_taker_could_not_tag_it_is_tagged_by_the_update(harness: Harness, number: Kind) -> None:
    former = pending(harness, number, "production", **REUSABLE)
    fault(harness, f"{number.service}.TagResource", "error", times=99, **DENIED)
    failed = send_create(harness, number, properties=number.properties | REUSES)
    assert (failed["Status"], failed["PhysicalResourceId"]) == ("FAILED", former)
    harness.telecom.clear_faults()

    assert update(harness, number, former, number.properties | REUSES | {"Trigger": "1"})["Status"] == "SUCCESS"

    tags = tags_of(harness, number, former)
    assert (tags["cfn-telephony:stack-id"], RELEASE_AFTER in tags) == (STACK_ID, False)


def test_conflict_with_another_request_does_not_prevent_the_record_of_a_delete(harness: Harness, number: Kind) -> None:
    """The list of numbers that can be reused is one item for all stacks."""
    stack, physical_id = deployed(harness, number, **REUSABLE)
    conflicts = conflict("None", "None", "None", "TransactionConflict")
    fault(harness, "dynamodb.TransactWriteItems", "error", after=1, **conflicts)

    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")

    assert states(harness) == {physical_id: "PENDING_RELEASE"}
    assert deployed(harness, number, **REUSABLE)[1] == physical_id


def test_number_that_was_adopted_and_given_back_is_reported_as_retained(
    harness: Harness, number: Kind, configure: Configure
) -> None:
    configure(ALLOW_ADOPTION="true")
    physical_id = pending(harness, number)
    stack = harness.cloudformation.stack("adopts")
    declared = with_failing_sibling(number.properties | {"Adopt": physical_id}, number)
    assert stack.deploy(declared) == "ROLLBACK_COMPLETE"

    assert sweep_at(DUE) == NOTHING | {"RETAINED": 1}
    assert harness.ids() == [physical_id]


# -- reuse -------------------------------------------------------------------------------------------------------------


def test_taken_number_that_is_used_again_after_its_delete_returns_on_its_due_date(
    harness: Harness, number: Kind
) -> None:
    """CloudFormation did not receive the response to the first Delete."""
    former = pending(harness, number, "production", **REUSABLE)
    due = tags_of(harness, number, former)[RELEASE_AFTER]
    declared = number.properties | REUSES
    assert create(harness, number, properties=declared) == former
    assert delete(harness, number, former, properties=declared)["Status"] == "SUCCESS"
    assert update(harness, number, former, declared)["Status"] == "SUCCESS"

    assert delete(harness, number, former, properties=declared)["Status"] == "SUCCESS"

    assert states(harness)[former] == "PENDING_RELEASE"
    assert tags_of(harness, number, former)[RELEASE_AFTER] == due


@pytest.mark.parametrize("again", ["refused", "out of time", "resumed"])
def test_delete_that_did_not_end_does_not_change_where_a_taken_number_returns_to(
    harness: Harness, number: Kind, again: str
) -> None:
    """It had a longer window of its own, and the one that ends has none."""
    former = pending(harness, number, "production", **REUSABLE)
    due = tags_of(harness, number, former)[RELEASE_AFTER]
    declared = number.properties | REUSES
    assert create(harness, number, properties=declared) == former
    longer = declared | ENDS_SOON | {"RecoveryWindowInDays": 30}
    if again != "resumed":
        error = DENIED if again == "refused" else SERVER_ERROR
        fault(harness, f"{number.service}.TagResource", "error", times=999, **error)
    expected = "SUCCESS" if again == "resumed" else "FAILED"
    assert delete(harness, number, former, properties=longer)["Status"] == expected
    harness.telecom.clear_faults()
    if again != "refused":
        assert update(harness, number, former, declared)["Status"] == "SUCCESS"

    assert delete(harness, number, former, properties=declared)["Status"] == "SUCCESS"

    assert tags_of(harness, number, former)[RELEASE_AFTER] == due
    assert deployed(harness, number, "production", **WINDOW)[1] == former


def test_rollback_to_a_number_that_was_taken_back_releases_a_protected_replacement(harness: Harness) -> None:
    pending(harness, SMS_PHONE_NUMBER, **REPLACEABLE)
    stack, first = deployed(harness, SMS_PHONE_NUMBER, **REPLACEABLE)
    kind = SMS_PHONE_NUMBER
    changed = kind.properties | kind.replacing | REPLACEABLE | {"DeletionProtectionEnabled": True}

    assert stack.deploy(with_failing_sibling(changed, kind)) == "UPDATE_ROLLBACK_COMPLETE"

    assert harness.ids() == [first]


def test_reuse_takes_number_of_another_declaration(harness: Harness, number: Kind) -> None:
    physical_id = pending(harness, number, "production", **REUSABLE)
    bought = harness.calls()[number.buys]

    stack, reused = deployed(harness, number, "preview", **REUSES, **WINDOW)

    assert reused == physical_id
    assert harness.calls()[number.buys] == bought
    assert tags_of(harness, number, physical_id)["cfn-telephony:stack-id"] == stack.stack_id


def test_number_moves_to_another_instance_when_it_is_reused(harness: Harness) -> None:
    former, latter = connect_phone_number(connect_instance(harness)), connect_phone_number(connect_instance(harness))
    physical_id = pending(harness, former, "production", **REUSABLE)

    _, reused = deployed(harness, latter, "preview", **REUSES)

    assert reused == physical_id
    assert harness.calls()[f"{CONNECT}.ClaimPhoneNumber"] == 1
    described = harness.connect.describe_phone_number(PhoneNumberId=physical_id)["ClaimedPhoneNumberSummary"]
    assert described["TargetArn"] == latter.properties["TargetArn"]


@pytest.mark.parametrize("missing", ["AllowReuse", "ReusePendingRelease", "match"])
def test_reuse_needs_both_sides_and_a_match(harness: Harness, number: Kind, missing: str) -> None:
    physical_id = pending(harness, number, "production", **(WINDOW if missing == "AllowReuse" else REUSABLE))
    properties = {} if missing == "ReusePendingRelease" else dict(REUSES)
    properties |= number.replacing if missing == "match" else {}

    _, other = deployed(harness, number, "preview", **properties)

    assert other != physical_id
    assert states(harness)[physical_id] == "PENDING_RELEASE"


def test_registered_number_is_not_reused(harness: Harness) -> None:
    registration = harness.sms.create_registration(RegistrationType="US_TOLL_FREE_REGISTRATION")["RegistrationId"]
    kind = attrs.evolve(SMS_PHONE_NUMBER, properties=SIMULATOR | {"NumberType": "TOLL_FREE"})
    physical_id = pending(harness, kind, "production", **REUSABLE, RegistrationId=registration)

    _, other = deployed(harness, kind, "preview", **REUSES)

    assert other != physical_id


def test_taker_that_fails_returns_the_number_to_its_former_owner(harness: Harness, number: Kind) -> None:
    physical_id = pending(harness, number, "production", **REUSABLE)
    refuse(harness, number)
    stack = harness.cloudformation.stack("preview")
    assert stack.deploy(template(number.properties | REUSES | number.in_place, number)) == "ROLLBACK_COMPLETE"
    harness.telecom.clear_faults()

    _, again = deployed(harness, number, "production")

    assert again == physical_id


# -- operators ---------------------------------------------------------------------------------------------------------


def restore(physical_id: str) -> Any:
    return sweep.handler({"restore": physical_id}, cast("Any", Context(900)))


def test_operator_restores_a_number(harness: Harness, number: Kind) -> None:
    harness.stacks.default = None
    physical_id = pending(harness, number)

    assert cast("Any", restore(physical_id)) == {"restored": True}

    assert RELEASE_AFTER not in tags_of(harness, number, physical_id)
    assert sweep_at(DUE) == NOTHING | {"RETAINED": 1}
    assert harness.ids() == [physical_id]
    assert cast("Any", restore(physical_id)) == {"restored": True}, "it can be repeated"
    assert deployed(harness, number)[1] != physical_id


def test_number_in_use_is_not_restored(harness: Harness, number: Kind) -> None:
    _, physical_id = deployed(harness, number, **WINDOW)

    assert cast("Any", restore(physical_id)) == {"restored": False}
    assert cast("Any", restore("phone-0123456789abcdef0123456789abcdef")) == {"restored": False}

    assert states(harness) == {physical_id: "READY"}


@pytest.mark.parametrize("restored", [False, True])
def test_number_pending_release_is_adopted(
    harness: Harness, number: Kind, configure: Configure, *, restored: bool
) -> None:
    harness.stacks.default = None
    configure(ALLOW_ADOPTION="true")
    physical_id = pending(harness, number)
    if restored:
        restore(physical_id)

    stack, adopted = deployed(harness, number, "adopts", Adopt=physical_id)

    assert adopted == physical_id
    tags = tags_of(harness, number, physical_id)
    assert (tags["cfn-telephony:managed-by"], RELEASE_AFTER in tags) == ("cfn-telephony-adopted", False)
    assert sweep_at(DUE) == NOTHING
    assert stack.delete() == "DELETE_COMPLETE"
    assert harness.ids() == [physical_id]


def test_update_that_names_a_number_pending_release_uses_it_again(harness: Harness, number: Kind) -> None:
    """CloudFormation did not receive the response to the Delete."""
    physical_id = create(harness, number, properties=number.properties | WINDOW)
    assert delete(harness, number, physical_id, properties=number.properties | WINDOW)["Status"] == "SUCCESS"

    response = harness.send(
        "Update",
        resource_type=number.type,
        physical_id=physical_id,
        properties=number.properties | WINDOW,
        old_properties=number.properties,
    )

    assert (response["Status"], response["PhysicalResourceId"]) == ("SUCCESS", physical_id)
    assert states(harness) == {physical_id: "READY"}
    assert RELEASE_AFTER not in tags_of(harness, number, physical_id)
    assert sweep_at(DUE)["RELEASED_WHEN_DUE"] == 0


@pytest.mark.shows("number retained by a policy")
def test_number_that_cloudformation_retained_after_its_delete_is_not_released(harness: Harness, number: Kind) -> None:
    """It did not receive the response. The stack was deleted again, and retained the resource."""
    harness.stacks.default = None
    physical_id = pending(harness, number)
    [stack] = harness.stacks.stacks.values()
    stack.add("Number", "DELETE_SKIPPED", physical_id)

    assert sweep_at(DUE) == NOTHING | {"RETAINED": 1}

    assert harness.ids() == [physical_id]
    assert RELEASE_AFTER not in tags_of(harness, number, physical_id)
    assert sweep_at(DUE + DAY) == NOTHING | {"RETAINED": 1}


# -- numbers that return -----------------------------------------------------------------------------------------------


@pytest.mark.shows("recovery interrupted")
def test_number_of_a_canceled_create_returns(harness: Harness, number: Kind) -> None:
    """CloudFormation canceled the Create that took it, and never had its ID."""
    former = pending(harness, number, "numbers", **REUSABLE)
    due = tags_of(harness, number, former)[RELEASE_AFTER]
    declared = number.properties | REUSES
    taken = send_create(harness, number, properties=declared, accepted=False)
    assert taken["PhysicalResourceId"] == former
    harness.stacks.stacks[STACK_ID].add("Number", "CREATE_FAILED", GENERATED_ID, reason="Resource creation cancelled")

    assert delete(harness, number, properties=declared)["Status"] == "SUCCESS"

    assert states(harness) == {former: "PENDING_RELEASE"}
    assert tags_of(harness, number, former)[RELEASE_AFTER] == due
    assert deployed(harness, number)[1] == former


@pytest.mark.parametrize("days", [0, 1])
def test_number_that_was_taken_keeps_its_due_date(harness: Harness, number: Kind, days: int) -> None:
    """The shorter window of the stack that has taken it does not release it earlier, or from its former owner."""
    harness.stacks.default = None
    former = pending(harness, number, "production", **REUSABLE)
    due = tags_of(harness, number, former)[RELEASE_AFTER]
    preview, reused = deployed(harness, number, "preview", **REUSES, RecoveryWindowInDays=days)
    assert reused == former

    assert preview.delete() == "DELETE_COMPLETE"

    assert tags_of(harness, number, former)[RELEASE_AFTER] == due
    assert sweep_at(3 * DAY) == NOTHING | {"PENDING_RELEASE": 1}
    again, returned = deployed(harness, number, "production")
    assert returned == former
    with later(DUE):
        assert again.delete() == "DELETE_COMPLETE"
        assert harness.ids() == []


def test_longer_window_of_the_taker_applies(harness: Harness, number: Kind) -> None:
    harness.stacks.default = None
    former = pending(harness, number, "production", **REUSABLE)
    preview, _ = deployed(harness, number, "preview", **REUSES, RecoveryWindowInDays=30)
    assert preview.delete() == "DELETE_COMPLETE"

    assert sweep_at(DUE) == NOTHING | {"PENDING_RELEASE": 1}
    assert deployed(harness, number, "preview")[1] == former


# -- requests that arrive late -----------------------------------------------------------------------------------------


def test_delete_from_before_the_taking_changes_nothing(harness: Harness, number: Kind) -> None:
    """CloudFormation had sent it twice, and the second one was processed first."""
    declared, now = number.properties | WINDOW, clock.now()
    physical_id = create(harness, number, properties=declared, issued_at=now - 60)
    assert delete(harness, number, physical_id, properties=declared, issued_at=now - 40)["Status"] == "SUCCESS"
    assert create(harness, number, properties=declared, issued_at=now - 20) == physical_id
    before = harness.telecom.held()

    assert delete(harness, number, physical_id, properties=number.properties, issued_at=now - 41)["Status"] == "SUCCESS"

    assert harness.telecom.held() == before
    assert states(harness) == {physical_id: "READY"}


@pytest.mark.shows("Update delivered after the Delete of its number")
def test_update_from_before_the_delete_does_not_use_the_number_again(harness: Harness, number: Kind) -> None:
    declared, now = number.properties | WINDOW, clock.now()
    physical_id = create(harness, number, properties=declared, issued_at=now - 60)
    assert delete(harness, number, physical_id, properties=declared, issued_at=now - 20)["Status"] == "SUCCESS"

    assert_reason(update(harness, number, physical_id, declared, issued_at=now - 40), "ResourceConflict")

    assert states(harness) == {physical_id: "PENDING_RELEASE"}
    assert RELEASE_AFTER in tags_of(harness, number, physical_id)


def test_delete_of_a_number_in_use_again_is_completed_by_the_sweep(harness: Harness, number: Kind) -> None:
    declared = number.properties | WINDOW
    physical_id = create(harness, number, properties=declared)
    assert delete(harness, number, physical_id, properties=declared)["Status"] == "SUCCESS"
    assert update(harness, number, physical_id, declared)["Status"] == "SUCCESS"
    service = "pinpoint-sms-voice-v2" if number is SMS_PHONE_NUMBER else "connect"
    fault(harness, f"{service}.TagResource", "error", times=999, **SERVER_ERROR)
    failed = delete(harness, number, physical_id, properties=declared | {"ServiceTimeout": 20})
    assert failed["Status"] == "FAILED"
    harness.telecom.clear_faults()
    harness.stacks.stacks[STACK_ID].move("UPDATE_COMPLETE")

    assert sweep_at(DAY)["PENDING_RELEASE"] == 1

    assert states(harness) == {physical_id: "PENDING_RELEASE"}
