"""Only evidence releases a number: an operation of its stack, CloudFormation's events, and consistent listings."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import time_machine

from tests.conftest import STACK_ID, Harness
from tests.contract.cloudformation import KnownStack
from tests.contract.cloudformation.api import Refusal
from tests.contract.declarations import SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind
from tests.contract.steps import (
    DENIED,
    ENDS_SOON,
    GENERATED_ID,
    PROTECTED,
    SERVER_ERROR,
    SMS_KINDS,
    assert_reason,
    create,
    delete,
    environment,
    fault,
    is_protected,
    lose_purchase,
    protect,
    send_create,
    update,
)
from tests.contract.test_deletion import READ_TAGS
from tests.contract.test_identity import purchases_made, state_of
from tests.contract.test_replacement import replacing

FOREIGN_ACCOUNT = "999999999999"
FOREIGN_STACK = STACK_ID.replace("123456789012", FOREIGN_ACCOUNT)
DAY = 86_400


def stack_of(harness: Harness, stack_id: str = STACK_ID) -> KnownStack:
    """The stack as CloudFormation's API shows it."""
    return harness.stacks.stacks[stack_id]


def foreign_number(harness: Harness, kind: Kind, **fields: Any) -> str:
    """Return the ID of a number of a stack whose account is listed."""
    with environment(STACK_ACCOUNTS=FOREIGN_ACCOUNT):
        return create(harness, kind, stack_id=FOREIGN_STACK, **fields)


def assert_not_released(harness: Harness, kind: Kind, physical_id: str, error_code: str, **fields: Any) -> None:
    """Check that a Delete fails with the number's ID, changes nothing, and can succeed later."""
    responses: list[dict[str, Any]] = []
    made = harness.calls_of(lambda: responses.append(delete(harness, kind, physical_id, **fields)))
    assert_reason(responses[0], error_code)
    assert responses[0]["PhysicalResourceId"] == physical_id
    assert made == {}
    assert harness.ids() == [physical_id]
    assert state_of(harness, physical_id) == "READY"


def later(seconds: float) -> Any:
    """Let time pass, for the provider and for everything around it."""
    return time_machine.travel(time.time() + seconds)


# -- a Delete releases only while CloudFormation can wait for it -------------------------------------------------------


@pytest.mark.shows("Delete while the stack is in no operation")
def test_delete_of_a_stack_at_rest_releases_nothing(harness: Harness, kind: Kind) -> None:
    physical_id = create(harness, kind)
    stack_of(harness).status = "UPDATE_COMPLETE"

    assert_not_released(harness, kind, physical_id, "ResourceConflict")

    stack_of(harness).status = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
    assert delete(harness, kind, physical_id)["Status"] == "SUCCESS"
    assert harness.held() == {}


@pytest.mark.shows("Delete while the stack is in no operation")
@pytest.mark.parametrize(
    "status",
    ["CREATE_COMPLETE", "UPDATE_ROLLBACK_FAILED", "DELETE_FAILED", "DELETE_COMPLETE", "REVIEW_IN_PROGRESS", None],
)
def test_delete_releases_nothing_in_any_state_without_an_operation(harness: Harness, status: str | None) -> None:
    physical_id = create(harness, SMS_PHONE_NUMBER)
    if status is None:
        stack_of(harness).refuse("does not exist")
    else:
        stack_of(harness).status = status

    assert_not_released(harness, SMS_PHONE_NUMBER, physical_id, "ResourceConflict")


@pytest.mark.shows("Delete while the stack is in no operation")
def test_delete_by_generated_id_of_a_stack_at_rest_releases_nothing(harness: Harness, kind: Kind) -> None:
    lose_purchase(harness, kind)
    with harness.function(delays=(), continues=False) as once:
        once.post("Create", resource_type=kind.type, properties=kind.properties, issued_at=time.time() - 10)
        once.invoker.settle()
    harness.telecom.clear_faults()
    stack_of(harness).status = "CREATE_FAILED"

    assert_reason(delete(harness, kind), "ResourceConflict")
    assert harness.held() == {kind.held: 1}

    stack_of(harness).status = "ROLLBACK_IN_PROGRESS"
    assert delete(harness, kind)["Status"] == "SUCCESS"
    assert harness.held() == {}


@pytest.mark.shows("Delete while the stack is in no operation")
@pytest.mark.parametrize(
    ("nested", "root", "released"),
    [
        ("DELETE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", True),
        ("UPDATE_COMPLETE", "UPDATE_IN_PROGRESS", False),
    ],
    ids=["nested stack in operation", "only root in operation"],
)
def test_delete_of_a_nested_stack_releases_only_during_its_own_operation(
    harness: Harness, nested: str, root: str, released: bool
) -> None:
    physical_id = create(harness, SMS_PHONE_NUMBER)
    root_id = STACK_ID.replace("/example/", "/parent/")
    harness.stacks.know(root_id, root)
    harness.stacks.know(STACK_ID, nested, root_id=root_id, parent_id=root_id)

    if released:
        assert delete(harness, SMS_PHONE_NUMBER, physical_id)["Status"] == "SUCCESS"
        assert harness.held() == {}
    else:
        assert_not_released(harness, SMS_PHONE_NUMBER, physical_id, "ResourceConflict")


@pytest.mark.shows("Delete while the stack is in no operation")
def test_beginning_of_an_operation_can_be_shown_late(harness: Harness, kind: Kind) -> None:
    physical_id = create(harness, kind)
    stack = stack_of(harness)
    stack.status = "UPDATE_COMPLETE"
    time.sleep(0.01)
    stack.lag = 0.4
    stack.status = "DELETE_IN_PROGRESS"

    with environment(STACK_STATUS_PERIOD_SECONDS="20"):
        assert delete(harness, kind, physical_id)["Status"] == "SUCCESS"

    assert harness.held() == {}


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("events or stacks not readable")
@pytest.mark.parametrize("refusal", ["Throttling", "InternalFailure"])
@pytest.mark.parametrize("times", [2, 14, 999])
def test_delete_waits_for_the_stack_to_be_readable(harness: Harness, refusal: Refusal, times: int) -> None:
    declared = SMS_PHONE_NUMBER.properties | ENDS_SOON
    physical_id = create(harness, SMS_PHONE_NUMBER)
    stack_of(harness).refuse(refusal, times=times, action="DescribeStacks")

    if times == 999:
        code = "Throttling" if refusal == "Throttling" else "ServiceInternalError"
        assert_not_released(harness, SMS_PHONE_NUMBER, physical_id, code, properties=declared)
    else:
        assert delete(harness, SMS_PHONE_NUMBER, physical_id, properties=declared)["Status"] == "SUCCESS"
        assert harness.held() == {}


@pytest.mark.shows("events or stacks not readable")
@pytest.mark.parametrize("accounts", ["", "111111111111"])
def test_delete_of_a_foreign_stack_that_is_not_readable_releases_nothing(
    harness: Harness, kind: Kind, accounts: str
) -> None:
    physical_id = foreign_number(harness, kind)
    stack_of(harness, FOREIGN_STACK).refuse("AccessDenied")

    with environment(STACK_ACCOUNTS=accounts):
        assert_not_released(harness, kind, physical_id, "AccessDenied", stack_id=FOREIGN_STACK)


@pytest.mark.shows("events or stacks not readable")
def test_delete_of_a_stack_of_a_listed_account_releases_without_reading_it(harness: Harness, kind: Kind) -> None:
    physical_id = foreign_number(harness, kind)
    stack_of(harness, FOREIGN_STACK).refuse("AccessDenied")

    with environment(STACK_ACCOUNTS=f"111111111111, {FOREIGN_ACCOUNT}"):
        assert delete(harness, kind, physical_id, stack_id=FOREIGN_STACK)["Status"] == "SUCCESS"

    assert harness.held() == {}


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("events or stacks not readable")
def test_listed_account_does_not_excuse_other_failures(harness: Harness) -> None:
    physical_id = foreign_number(harness, SMS_PHONE_NUMBER)
    stack_of(harness, FOREIGN_STACK).refuse("InternalFailure")

    fields: dict[str, Any] = {"stack_id": FOREIGN_STACK, "properties": SMS_PHONE_NUMBER.properties | ENDS_SOON}
    with environment(STACK_ACCOUNTS=FOREIGN_ACCOUNT):
        assert_not_released(harness, SMS_PHONE_NUMBER, physical_id, "ServiceInternalError", **fields)


@pytest.mark.shows("stack of another account")
@pytest.mark.parametrize("accounts", ["", "111111111111"])
def test_stack_of_an_account_that_is_not_listed_can_not_purchase(harness: Harness, kind: Kind, accounts: str) -> None:
    """Its Create is refused before its properties are read, and the Delete of the rollback succeeds."""
    harness.stacks.know(FOREIGN_STACK, "CREATE_IN_PROGRESS").refuse("AccessDenied")
    fields: dict[str, Any] = {"stack_id": FOREIGN_STACK}
    before = harness.calls()

    with environment(STACK_ACCOUNTS=accounts):
        for properties in (kind.properties, {"Colour": "red"}):
            refused = send_create(harness, kind, properties=properties, **fields)
            assert_reason(refused, "AccessDenied", FOREIGN_ACCOUNT, "StackAccounts")
            assert refused["PhysicalResourceId"] == f"not-created:{refused['RequestId']}"
            for name in (refused["PhysicalResourceId"], GENERATED_ID):
                assert delete(harness, kind, name, **fields)["Status"] == "SUCCESS"

    assert harness.calls() == before
    assert harness.held() == {}
    assert harness.purchases() == []


@pytest.mark.shows("stack of another account")
def test_stack_of_an_account_that_is_no_longer_listed_changes_nothing(harness: Harness, kind: Kind) -> None:
    physical_id, fields = foreign_number(harness, kind), {"stack_id": FOREIGN_STACK}
    before = harness.calls()

    refused = update(harness, kind, physical_id, kind.properties | kind.in_place, **fields)
    assert_reason(refused, "AccessDenied", FOREIGN_ACCOUNT, "StackAccounts")
    assert refused["PhysicalResourceId"] == physical_id
    assert harness.calls() == before
    # Its stack can be read here, and is in an operation.
    assert_not_released(harness, kind, physical_id, "AccessDenied", **fields)

    with environment(STACK_ACCOUNTS=FOREIGN_ACCOUNT):
        assert delete(harness, kind, physical_id, **fields)["Status"] == "SUCCESS"
    assert harness.held() == {}


@pytest.mark.shows("stack of another account")
@pytest.mark.usefixtures("virtual_clock")
def test_lost_purchase_of_an_account_that_is_no_longer_listed_is_kept(harness: Harness) -> None:
    kind, fields = SMS_PHONE_NUMBER, {"stack_id": FOREIGN_STACK}
    lose_purchase(harness, kind)
    harness.telecom.configure(describe_lag_seconds=86_400)
    with environment(STACK_ACCOUNTS=FOREIGN_ACCOUNT):
        lost = send_create(harness, kind, properties=kind.properties | ENDS_SOON, **fields)["PhysicalResourceId"]
    harness.telecom.clear_faults()
    harness.telecom.configure(describe_lag_seconds=0)

    assert_reason(delete(harness, kind, lost, **fields), "AccessDenied", FOREIGN_ACCOUNT, "StackAccounts")
    assert harness.held() == {kind.held: 1}

    with environment(STACK_ACCOUNTS=FOREIGN_ACCOUNT):
        assert delete(harness, kind, lost, **fields)["Status"] == "SUCCESS"
    assert harness.held() == {}


@pytest.mark.shows("events or stacks not readable")
def test_stack_of_a_listed_account_rolls_back_to_its_first_number(harness: Harness) -> None:
    kind, stack, began = SMS_PHONE_NUMBER, {"stack_id": FOREIGN_STACK}, time.time() - 60
    first = foreign_number(harness, kind, issued_at=began)
    stack_of(harness, FOREIGN_STACK).refuse("AccessDenied")

    with environment(STACK_ACCOUNTS=FOREIGN_ACCOUNT):
        second = update(harness, kind, first, replacing(kind), issued_at=began + 20, **stack)["PhysicalResourceId"]
        assert sorted(harness.ids()) == sorted([first, second])
        before = {"old_properties": replacing(kind)}
        rolled_back = update(harness, kind, second, kind.properties, **before, **stack)

    assert rolled_back["Status"] == "SUCCESS", rolled_back
    assert first in harness.ids()


@pytest.mark.shows("events or stacks not readable")
@pytest.mark.parametrize("updated", [False, True])
def test_protected_number_of_a_listed_account_is_not_released_by_an_update_to_the_first_one(
    harness: Harness, *, updated: bool
) -> None:
    """A policy retained the first number. Whether the Update is a rollback can't be seen."""
    kind, stack, began = SMS_PHONE_NUMBER, {"stack_id": FOREIGN_STACK}, time.time() - 300
    first = foreign_number(harness, kind, issued_at=began)
    stack_of(harness, FOREIGN_STACK).refuse("AccessDenied")
    with environment(STACK_ACCOUNTS=FOREIGN_ACCOUNT):
        second = update(harness, kind, first, replacing(kind), issued_at=began + 60, **stack)["PhysicalResourceId"]
        if updated:
            changed = replacing(kind) | {"Tags": [{"Key": "team", "Value": "a"}]}
            assert update(harness, kind, second, changed, issued_at=began + 90, **stack)["Status"] == "SUCCESS"
        protect(harness, second)

        reverted = update(harness, kind, second, kind.properties, old_properties=replacing(kind), **stack)
        deleted = delete(harness, kind, second, properties=replacing(kind), **stack)

    assert reverted["Status"] == ("FAILED" if updated else "SUCCESS")
    assert_reason(deleted, "ResourceConflict", "DeletionProtectionEnabled")
    assert second in harness.ids()


@pytest.mark.shows("stack of another account")
def test_stack_of_a_listed_account_is_recognized_by_either_refusal(harness: Harness) -> None:
    kind = SMS_PHONE_NUMBER
    physical_id = foreign_number(harness, kind)
    stack_of(harness, FOREIGN_STACK).refuse("OtherAccount")

    with environment(STACK_ACCOUNTS=FOREIGN_ACCOUNT):
        assert delete(harness, kind, physical_id, stack_id=FOREIGN_STACK)["Status"] == "SUCCESS"


@pytest.mark.shows("Delete after its ServiceTimeout")
@pytest.mark.parametrize(("declared", "age"), [({"ServiceTimeout": "60"}, 61), ({}, 3605)], ids=["60 s", "default"])
@pytest.mark.parametrize("request_type", ["Update", "Delete", "Delete by generated ID"])
def test_request_after_its_service_timeout_changes_nothing(
    harness: Harness, kind: Kind, request_type: str, declared: dict[str, Any], age: int
) -> None:
    physical_id = create(harness, kind)
    late: dict[str, Any] = {"issued_at": time.time() - age}
    responses: list[dict[str, Any]] = []

    def send() -> None:
        if request_type == "Update":
            responses.append(update(harness, kind, physical_id, kind.properties | kind.in_place | declared, **late))
        else:
            name = physical_id if request_type == "Delete" else GENERATED_ID
            responses.append(delete(harness, kind, name, properties=kind.properties | declared, **late))

    assert harness.calls_of(send) == {}
    assert_reason(responses[0], "NotStabilized", "ServiceTimeout")
    assert state_of(harness, physical_id) == "READY"


# -- a Delete that runs out of time ------------------------------------------------------------------------------------


def releasing(harness: Harness, kind: Kind, *, effect: bool = False) -> str:
    """Return the ID of a number whose Delete failed, because no release got a response; effect: one took effect."""
    physical_id = create(harness, kind)
    if effect:
        fault(harness, kind.releases, "lose_answer")
        fault(harness, READ_TAGS, "error", after=1, times=999, **SERVER_ERROR)
    fault(harness, kind.releases, "error", times=999, **SERVER_ERROR)
    failed = delete(harness, kind, physical_id, properties=kind.properties | ENDS_SOON)
    assert (failed["Status"], failed["PhysicalResourceId"]) == ("FAILED", physical_id)
    harness.telecom.clear_faults()
    assert state_of(harness, physical_id) == "RELEASING"
    return physical_id


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("Delete out of time")
@pytest.mark.parametrize("effect", [False, True])
def test_repeated_delete_continues_one_that_ran_out_of_time(harness: Harness, kind: Kind, effect: bool) -> None:
    physical_id = releasing(harness, kind, effect=effect)

    assert delete(harness, kind, physical_id)["Status"] == "SUCCESS"

    assert harness.held() == {}
    assert state_of(harness, physical_id).startswith("CLOSED")


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("Delete out of time")
def test_repeated_delete_of_a_stack_at_rest_does_not_continue_it(harness: Harness, kind: Kind) -> None:
    physical_id = releasing(harness, kind)
    stack_of(harness).status = "DELETE_FAILED"

    assert_reason(delete(harness, kind, physical_id), "ResourceConflict")

    assert harness.ids() == [physical_id]


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("Delete out of time")
def test_update_that_names_the_number_takes_back_a_delete_that_ran_out_of_time(harness: Harness, kind: Kind) -> None:
    physical_id = releasing(harness, kind)

    kept = update(harness, kind, physical_id, kind.properties | {"Trigger": "1"})

    assert (kept["Status"], kept["PhysicalResourceId"]) == ("SUCCESS", physical_id)
    assert state_of(harness, physical_id) == "READY"
    assert harness.ids() == [physical_id]


@pytest.mark.shows("Delete out of time")
def test_release_that_is_refused_is_taken_back(harness: Harness, kind: Kind) -> None:
    physical_id = create(harness, kind)
    fault(harness, kind.releases, "error", **DENIED)

    assert_reason(delete(harness, kind, physical_id), "AccessDenied")

    assert state_of(harness, physical_id) == "READY"


# -- what CloudFormation's events show ---------------------------------------------------------------------------------


@pytest.mark.shows("response accepted late or lost")
@pytest.mark.parametrize("age", [0, 3600, 80 * DAY], ids=["now", "an hour later", "80 days later"])
def test_number_that_cloudformation_never_had_is_released(harness: Harness, kind: Kind, age: int) -> None:
    """CloudFormation had canceled the Create, and the stack was left as it was (--disable-rollback)."""
    create(harness, kind, accepted=False)
    stack_of(harness).add("Number", "CREATE_FAILED", GENERATED_ID, reason="Resource creation cancelled")

    with later(age):
        assert delete(harness, kind)["Status"] == "SUCCESS"

    assert harness.held() == {}


@pytest.mark.shows("response accepted late or lost")
def test_replacement_that_cloudformation_never_had_is_released_by_the_next_update(harness: Harness, kind: Kind) -> None:
    first = create(harness, kind)
    update(harness, kind, first, replacing(kind), accepted=False)
    assert harness.held() == {kind.held: 2}

    with later(3600):
        updated = update(harness, kind, first, kind.properties | {"Trigger": "1"}, old_properties=replacing(kind))

    assert updated["Status"] == "SUCCESS"
    assert harness.ids() == [first]


def denied(stack: KnownStack) -> None:
    stack.refuse("AccessDenied", action="DescribeStackEvents")


def not_found(stack: KnownStack) -> None:
    stack.refuse("does not exist", action="DescribeStackEvents")


def lagging(stack: KnownStack) -> None:
    stack.lag = 60


def not_reaching_back(stack: KnownStack) -> None:
    """CloudFormation keeps events for 90 days."""
    stack.events.clear()


UNREADABLE = pytest.mark.parametrize("unreadable", [denied, not_found, lagging, not_reaching_back])


@pytest.mark.shows("events or stacks not readable")
@UNREADABLE
def test_delete_by_generated_id_releases_nothing_without_complete_events(
    harness: Harness, capsys: pytest.CaptureFixture[str], unreadable: Callable[[KnownStack], None]
) -> None:
    physical_id = create(harness, SMS_PHONE_NUMBER, accepted=False)
    unreadable(stack_of(harness))

    with later(91 * DAY if unreadable is not_reaching_back else 10):
        assert delete(harness, SMS_PHONE_NUMBER)["Status"] == "SUCCESS"

    assert harness.ids() == [physical_id]
    assert state_of(harness, physical_id) == "READY"
    assert capsys.readouterr().out.count('"Name":"NumbersNotReleased"') == 1


@pytest.mark.shows("events or stacks not readable")
@UNREADABLE
def test_update_releases_no_replacement_without_complete_events(
    harness: Harness, capsys: pytest.CaptureFixture[str], unreadable: Callable[[KnownStack], None]
) -> None:
    kind = SMS_PHONE_NUMBER
    first = create(harness, kind)
    second = update(harness, kind, first, replacing(kind), accepted=False)["PhysicalResourceId"]
    unreadable(stack_of(harness))

    with later(91 * DAY if unreadable is not_reaching_back else 10):
        rolled_back = update(harness, kind, first, kind.properties, old_properties=replacing(kind))

    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("SUCCESS", first)
    assert sorted(harness.ids()) == sorted([first, second])
    assert capsys.readouterr().out.count('"Name":"NumbersNotReleased"') == 1


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("events or stacks not readable")
@pytest.mark.parametrize("refusal", ["Throttling", "InternalFailure"])
@pytest.mark.parametrize("permanent", [False, True])
def test_delete_by_generated_id_retries_a_failed_read_of_events(
    harness: Harness, refusal: Refusal, permanent: bool
) -> None:
    physical_id = create(harness, SMS_PHONE_NUMBER, accepted=False)
    stack_of(harness).refuse(refusal, times=999 if permanent else 14, action="DescribeStackEvents")

    response = delete(harness, SMS_PHONE_NUMBER, properties=SMS_PHONE_NUMBER.properties | ENDS_SOON)

    assert response["Status"] == ("FAILED" if permanent else "SUCCESS")
    assert harness.ids() == ([physical_id] if permanent else [])


@pytest.mark.shows("events or stacks not readable")
def test_rollback_succeeds_although_events_cannot_be_read(harness: Harness) -> None:
    kind = SMS_PHONE_NUMBER
    first = create(harness, kind)
    second = update(harness, kind, first, replacing(kind), accepted=False)["PhysicalResourceId"]
    stack_of(harness).refuse("InternalFailure", action="DescribeStackEvents")

    with harness.function(timeout=2) as hurried:
        rolled_back = update(hurried, kind, first, kind.properties, old_properties=replacing(kind))

    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("SUCCESS", first)
    assert sorted(harness.ids()) == sorted([first, second])


@pytest.mark.shows("events or stacks not readable")
@pytest.mark.parametrize("complete", [True, False])
def test_every_page_of_events_counts(harness: Harness, complete: bool) -> None:
    """The event that names the number is on the last page."""
    physical_id = create(harness, SMS_PHONE_NUMBER)
    harness.stacks.page_size = 1
    if not complete:
        stack_of(harness).refuse("AccessDenied", after=1, action="DescribeStackEvents")

    assert delete(harness, SMS_PHONE_NUMBER)["Status"] == "SUCCESS"

    assert harness.ids() == [physical_id]
    assert harness.stacks.calls.count("DescribeStackEvents") > 1


# -- a number that a policy retained -----------------------------------------------------------------------------------


@pytest.mark.shows("number retained by a policy")
@pytest.mark.parametrize("age", [0, 600, 30 * DAY], ids=["now", "minutes later", "weeks later"])
def test_retained_number_is_recorded_and_never_released(harness: Harness, kind: Kind, age: int) -> None:
    """Its logical ID is declared again, and CloudFormation cancels that Create before it arrives."""
    kept = create(harness, kind)
    stack_of(harness).add("Number", "DELETE_SKIPPED", kept)

    with later(age):
        assert delete(harness, kind)["Status"] == "SUCCESS"
    assert harness.ids() == [kept]
    assert state_of(harness, kept) == "CLOSED RETAINED"

    harness.stacks.know(STACK_ID, "DELETE_IN_PROGRESS")  # its events are no longer shown
    with later(age + 1):
        for physical_id in ("example-Number-6F5E4D3C2B1A", kept):
            assert delete(harness, kind, physical_id)["Status"] == "SUCCESS"
    assert harness.ids() == [kept]
    assert kind.releases not in harness.calls()


@pytest.mark.shows("number retained by a policy")
def test_retained_replacement_is_not_released_by_an_update_of_the_first_number(harness: Harness, kind: Kind) -> None:
    """CloudFormation rolled back to the first number, and a policy retained the second."""
    first = create(harness, kind)
    second = update(harness, kind, first, replacing(kind))["PhysicalResourceId"]
    stack_of(harness).add("Number", "UPDATE_COMPLETE", first)
    stack_of(harness).add("Number", "DELETE_SKIPPED", second)

    updated = update(harness, kind, first, kind.properties | {"Trigger": "1"}, old_properties=replacing(kind))

    assert (updated["Status"], updated["PhysicalResourceId"]) == ("SUCCESS", first)
    assert sorted(harness.ids()) == sorted([first, second])
    assert state_of(harness, second) == "CLOSED RETAINED"
    assert delete(harness, kind, first)["Status"] == "SUCCESS"
    assert harness.ids() == [second]


@pytest.mark.shows("number retained by a policy")
@pytest.mark.parametrize("skipped", [True, False], ids=["DELETE_SKIPPED", "no event"])
def test_number_is_not_released_if_the_acknowledgement_of_its_response_was_lost(
    harness: Harness, kind: Kind, skipped: bool
) -> None:
    """CloudFormation accepted the response, but the invocation ended before it knew. A policy retained the number."""
    request_id, properties = str(uuid.uuid4()), kind.properties | {"ServiceTimeout": "60"}
    harness.sink.fail_next(request_id, "slow", seconds=3)
    with harness.function(timeout=2.5, delays=(), continues=False) as once:
        once.post("Create", resource_type=kind.type, properties=properties, request_id=request_id)
        once.invoker.settle()
    assert len(harness.queue.messages) == 1
    [kept] = [response["PhysicalResourceId"] for response in harness.sink.responses(request_id)]
    stack_of(harness).add("Number", "CREATE_COMPLETE", kept)
    if skipped:
        stack_of(harness).add("Number", "DELETE_SKIPPED", kept)

    with later(7200):
        assert delete(harness, kind, properties=properties)["Status"] == "SUCCESS"

    assert harness.ids() == [kept]


# -- a refusal is no evidence that an earlier attempt purchased nothing ------------------------------------------------


@pytest.mark.shows("purchase refused while an earlier attempt is unknown")
def test_purchase_that_is_still_running_is_not_made_again(harness: Harness, kind: Kind) -> None:
    """The retries are refused: with ConflictException, or because the number of the first attempt is taken."""
    fault(harness, kind.buys, "slow", seconds=0.5)

    with environment(UNKNOWN_RESULT_PERIOD_SECONDS="60", RETRY_PERIOD_SECONDS="30"):
        response = send_create(harness, kind)

    harness.telecom.clock.advance(3600)
    create(harness, SMS_SENDER_ID, logical_id="Other", properties={"SenderId": "Other", "IsoCountryCode": "GB"})
    assert response["Status"] == "SUCCESS", response
    others = {"GB|OTHER"}
    assert set(harness.ids()) - others == {response["PhysicalResourceId"]}
    tokens = {call["token"] for call in harness.telecom.log() if call["operation"] == kind.operation}
    assert len(tokens) == (2 if kind is SMS_SENDER_ID else 1)  # of the Other, too


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("purchase refused while an earlier attempt is unknown")
def test_purchase_is_refused_after_several_searches_found_nothing(harness: Harness, kind: Kind) -> None:
    fault(harness, kind.buys, "reset")
    fault(harness, kind.buys, "error", times=999, **DENIED)

    failed = send_create(harness, kind)

    assert_reason(failed, "AccessDenied")
    assert failed["PhysicalResourceId"] == f"not-created:{failed['RequestId']}"
    tokens = {call["token"] for call in harness.telecom.log() if call["operation"] == kind.operation}
    assert len(tokens) == 1
    assert purchases_made(harness, kind) == 0


# -- protection that an operator enabled -------------------------------------------------------------------------------


@pytest.mark.shows("deletion protection enabled by an operator")
@pytest.mark.parametrize("rolled_back", [False, True], ids=["withdrawn", "rolled back"])
@SMS_KINDS
def test_protection_by_an_operator_prevents_the_delete_after_updates_that_enabled_and_disabled_it(
    harness: Harness, kind: Kind, rolled_back: bool
) -> None:
    physical_id, declared = create(harness, kind), kind.properties | PROTECTED
    update(harness, kind, physical_id, declared, accepted=not rolled_back)
    if rolled_back:
        stack_of(harness).status = "UPDATE_ROLLBACK_IN_PROGRESS"
    update(harness, kind, physical_id, kind.properties, old_properties=declared)
    assert not is_protected(harness, kind, physical_id)
    protect(harness, physical_id)

    assert_reason(delete(harness, kind, physical_id), "ResourceConflict", "DeletionProtectionEnabled")

    assert is_protected(harness, kind, physical_id)
