"""The sweep reports numbers that no stack refers to. If allowed, it releases those that no stack can refer to."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
import time_machine

from telephony import clock, resources
from telephony.errors import TelephonyError
from telephony.handlers import sweep
from telephony.lifecycle import ledger
from telephony.lifecycle.checks import Finding
from telephony.model.validation import parse
from tests.conftest import CONNECT, SMS, STACK_ID, Context, Harness, connect_instance
from tests.contract.cloudformation import KnownStack, Stack, StacksApi
from tests.contract.declarations import KINDS, SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, template
from tests.contract.steps import (
    ENDS_SOON,
    IN_REVIEW,
    OTHER_STACK,
    REPLACEABLE,
    SERVER_ERROR,
    SMS_KINDS,
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
NOTHING = dict.fromkeys(Finding.__members__, 0)
DAY = 86_400


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


def run(seconds: float = 900) -> dict[str, int]:
    """Run the sweep with this much time, and return the number of findings of each kind."""
    return sweep.handler({}, cast("Any", Context(seconds)))


def later(seconds: float = 3601) -> Any:
    """A later time; by default after the deadline of every request."""
    return time_machine.travel(clock.now() + seconds)


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


def late_purchase(harness: Harness, kind: Kind, *, ended: bool = True) -> str:
    """Return the ID of a number whose purchase took effect after the provider had recorded its result as unknown."""
    unknown_purchase(harness, kind, ended=ended)
    [record] = ledger.history(ledger.resource_key(STACK_ID, kind.operation)).purchases
    resource = resources.by_type(kind.type)
    return resource.acquire(parse(resource.properties, kind.properties), record.identity).physical_id


def unknown_purchase(harness: Harness, kind: Kind, *, ended: bool) -> None:
    """Make a purchase whose result is unknown. ended: its request was answered, or else it was lost."""
    fault(harness, kind.buys, "error", times=999, **SERVER_ERROR)
    give_up(harness, kind, continues=ended, logical_id=kind.operation)
    harness.telecom.clear_faults()
    [row] = [one for one in harness.purchases() if one["pk"]["S"] == f"{STACK_ID}|{kind.operation}"]
    assert (row["purchase_state"], row["ended"]) == ({"S": "BUYING"}, {"BOOL": ended})


def unfinished_purchase(harness: Harness, kind: Kind) -> str:
    """Return the RequestId of a purchase that was made, and whose setup was never continued."""
    for call in (kind.reads, kind.updates):
        fault(harness, call, "error", times=999, **SERVER_ERROR)
    request = give_up(harness, kind, **kind.in_place)
    harness.telecom.clear_faults()
    assert (state(harness), len(harness.ids())) == ("BOUGHT", 1)
    return request


def give_up(
    harness: Harness, kind: Kind, *, continues: bool = False, logical_id: str = "Number", **properties: Any
) -> str:
    """Return the RequestId of a Create that fails in every invocation, or in the first one if it never continues."""
    properties = kind.properties | properties | (ENDS_SOON if continues else {})
    with environment(IN_PLACE_WAIT_SECONDS="0.1"), harness.function(continues=continues) as function:
        request = function.post("Create", resource_type=kind.type, properties=properties, logical_id=logical_id)
        function.invoker.settle(30)
    harness.queue.reset()
    return request


def unreported_replacement(harness: Harness, kind: Kind) -> tuple[KnownStack, str, str]:
    """Return a stack at rest, its number, and a replacement whose response CloudFormation did not accept."""
    first = create(harness, kind)
    declared = kind.properties | kind.replacing | REPLACEABLE
    second = update(harness, kind, first, declared, accepted=False)["PhysicalResourceId"]
    assert second != first
    return at_rest(harness, Number=first), first, second


def at_rest(harness: Harness, **physical_ids: str) -> KnownStack:
    """Return the stack of the events that a test sends itself, after its operation."""
    stack = harness.stacks.stacks[STACK_ID]
    stack.resources = {name: (physical_id, "CREATE_COMPLETE") for name, physical_id in physical_ids.items()}
    stack.status = "UPDATE_COMPLETE"
    return stack


def interrupted_delete(harness: Harness, kind: Kind) -> tuple[KnownStack, str]:
    """Return a stack whose Delete of a number ran out of time."""
    stack = harness.cloudformation.stack("swept")
    assert stack.deploy(template(kind.properties | ENDS_SOON, kind)) == "CREATE_COMPLETE", stack.reasons("Number")
    fault(harness, kind.releases, "error", times=999, **SERVER_ERROR)
    with environment(IN_PLACE_WAIT_SECONDS="0.1"):
        assert stack.delete() == "DELETE_FAILED"
    harness.telecom.clear_faults()
    assert state(harness) == "RELEASING"
    return stack.known, stack.physical_ids["Number"]


def ownership(stack_id: str) -> list[Any]:
    """The tags of a number, without a purchase record."""
    tags = {"managed-by": "cfn-telephony", "stack-id": stack_id, "logical-id": "Number"}
    return [{"Key": f"cfn-telephony:{key}", "Value": value} for key, value in tags.items()]


def state(harness: Harness) -> str:
    [record] = harness.purchases()
    reason = [record["closed"]["S"]] if "closed" in record else []
    return " ".join([record["purchase_state"]["S"], *reason])


# -- numbers that no stack refers to -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("release")
def test_number_of_existing_stack_is_no_finding(harness: Harness, kind: Kind, stacks: StacksApi) -> None:
    deployed(harness, kind)
    stacks.calls.clear()

    assert run() == NOTHING

    assert harness.held() == {kind.held: 1}
    assert stacks.calls == ["ListStackResources"]


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

    for _ in range(2):
        assert run() == NOTHING | {"RETAINED" if described else "STACK_DELETED": 1}

    assert harness.held() == {kind.held: 1}
    assert state(harness) == ("CLOSED RETAINED" if described else "READY")


@pytest.mark.usefixtures("release", "stacks")
def test_number_retained_by_replacement_is_reported_and_never_released(harness: Harness, kind: Kind) -> None:
    stack = deployed(harness, kind, **RETAINED)
    changed = template(kind.properties | kind.replacing | REPLACEABLE, kind, **RETAINED)
    assert stack.deploy(changed) == "UPDATE_COMPLETE", stack.reasons("Number")

    assert run() == NOTHING | {"RETAINED": 1}

    assert harness.held() == {kind.held: 2}


@pytest.mark.usefixtures("release", "stacks")
def test_retained_replacement_is_never_released_even_if_its_update_is_repeated(harness: Harness, kind: Kind) -> None:
    policy = {"DeletionPolicy": "Retain"}
    stack = deployed(harness, kind, **policy)
    changed = template(kind.properties | kind.replacing | REPLACEABLE, kind, **policy)
    assert stack.deploy(changed) == "UPDATE_COMPLETE", stack.reasons("Number")
    # As if the first run had died after its response, so that Lambda repeats the event after the cleanup Delete.
    [repeated] = [request for request in stack.requests if request["RequestType"] == "Update"]
    harness.invoker.invoke(repeated)
    harness.invoker.settle(30)
    assert stack.delete() == "DELETE_COMPLETE"

    with later():
        assert run() == NOTHING | {"RETAINED": 1}

    assert harness.held() == {kind.held: 1}


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


def test_each_stack_is_read_once(harness: Harness, stacks: StacksApi) -> None:
    stack = harness.cloudformation.stack("swept")
    number = template(SIMULATOR)["Resources"]["Number"]
    stack.deploy({"Resources": dict.fromkeys(("One", "Two", "Three"), number)})
    stacks.calls.clear()

    assert run() == NOTHING

    assert stacks.calls == ["ListStackResources"]


@pytest.mark.usefixtures("stacks")
def test_every_page_is_read(harness: Harness) -> None:
    harness.telecom.configure(sender_ids=200)
    for index in range(101):
        harness.sms.request_sender_id(SenderId=f"ACME{index}", IsoCountryCode="GB", Tags=ownership(STACK_ID))

    assert run() == NOTHING | {"STACK_DELETED": 101}


@pytest.mark.parametrize("state_of_first", ["READY", "OPEN"])
def test_second_number_of_a_purchase_is_released_only_if_allowed_and_after_the_purchase(
    harness: Harness, release: bool, state_of_first: str
) -> None:
    first = create(harness, SMS_PHONE_NUMBER)
    at_rest(harness, Number=first)
    [held] = harness.telecom.held()["phone_numbers"]
    second = request_number(harness, Tags=[{"Key": key, "Value": value} for key, value in held["tags"].items()])
    if state_of_first == "OPEN":  # The next attempt, or its search, can still return the second number.
        harness.sms.release_phone_number(PhoneNumberId=first)
        [record] = harness.purchases()
        for name in ("physical_id", "arn"):
            del record[name]
        opened = record | {"purchase_state": {"S": "OPEN"}, "unfinished": {"S": "1"}}
        harness.dynamodb.put_item(TableName=harness.table, Item=opened)
        assert run() == NOTHING
        assert harness.ids() == [second]

    with later():
        assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED" if release else "UNKNOWN_PURCHASE_FOUND": 1}

    kept = [] if release else [second]
    assert sorted(harness.ids()) == sorted(kept + ([first] if state_of_first == "READY" else []))


def expire(stack: KnownStack, first: str) -> None:
    """Show only events of today, because CloudFormation keeps them for 90 days."""
    stack.events.clear()
    stack.add("Number", "UPDATE_IN_PROGRESS", first, at=clock.now() + 91 * DAY)


@pytest.mark.usefixtures("may_release")
@pytest.mark.parametrize(
    ("status", "finding"), [("UPDATE_COMPLETE", "NOT_REFERENCED"), ("DELETE_COMPLETE", "STACK_DELETED")]
)
@pytest.mark.parametrize(
    ("change", "days"),
    [
        (lambda stack, _, second: stack.add("Number", "UPDATE_COMPLETE", second), 0),
        (lambda stack, *_: stack.refuse("AccessDenied", action="DescribeStackEvents"), 0),
        (lambda stack, *_: stack.refuse("AccessDenied", action="DescribeStackEvents", after=1), 0),
        (lambda stack, *_: stack.events.clear(), 0),
        (lambda stack, first, _: expire(stack, first), 91),
    ],
    ids=["named", "not readable", "partly readable", "no event", "expired"],
)
def test_number_is_only_reported_unless_its_events_prove_that_it_was_never_named(
    harness: Harness, status: str, finding: str, change: Callable[..., None], days: int
) -> None:
    stack, first, second = unreported_replacement(harness, SMS_PHONE_NUMBER)
    stack.status = "DELETE_IN_PROGRESS"
    assert delete(harness, SMS_PHONE_NUMBER, first)["Status"] == "SUCCESS"
    stack.resources, stack.status, harness.stacks.page_size = {}, status, 1
    change(stack, first, second)

    with later(days * DAY):
        stack.status = status  # a deleted stack is shown for 90 days
        assert run() == NOTHING | {finding: 1}

    assert harness.ids() == [second]


@pytest.mark.usefixtures("may_release")
def test_number_that_a_policy_retained_is_not_released_although_it_was_never_reported_as_created(
    harness: Harness,
) -> None:
    stack, first, second = unreported_replacement(harness, SMS_PHONE_NUMBER)
    stack.add("Number", "DELETE_SKIPPED", second)

    assert run() == NOTHING | {"RETAINED": 1}

    assert sorted(harness.ids()) == sorted([first, second])


def failed_connect_number(harness: Harness) -> Stack:
    """Return a stack whose Amazon Connect number is FAILED."""
    stack = deployed(harness, KINDS["Custom::ConnectPhoneNumber"](harness))
    full = connect_instance(harness)
    harness.telecom.configure(connect_numbers=0)
    harness.connect.update_phone_number(PhoneNumberId=stack.physical_ids["Number"], TargetArn=full)
    assert [number["status"] for number in harness.telecom.held()["connect_numbers"]] == ["FAILED"]
    return stack


def test_connect_number_whose_last_change_failed_is_checked(harness: Harness, stacks: StacksApi) -> None:
    stack = failed_connect_number(harness)
    assert run() == NOTHING

    del stacks.stacks[stack.stack_id]

    assert run() == NOTHING | {"STACK_DELETED": 1}


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize(("closed", "found"), [("LAPSED", {}), ("GONE", {"STACK_DELETED": 1})])
def test_only_a_claim_that_failed_is_left_to_the_service(
    harness: Harness, stacks: StacksApi, closed: str, found: dict[str, int]
) -> None:
    """The local Amazon Connect does not list a failed claim, so a failed change stands in for it."""
    del stacks.stacks[failed_connect_number(harness).stack_id]
    set_attribute(harness, "purchase_state", "CLOSED")
    set_attribute(harness, "closed", closed)

    assert run() == NOTHING | found


def test_connect_number_of_unknown_status_is_checked(
    harness: Harness, stacks: StacksApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = deployed(harness, KINDS["Custom::ConnectPhoneNumber"](harness))
    serve = harness.telecom.serve

    def changed(request: Any) -> Any:
        status, headers, body = cast("Any", serve(request))
        return status, headers, body.replace(b'"CLAIMED"', b'"PORTING"')

    monkeypatch.setattr(harness.telecom, "serve", changed)
    assert run() == NOTHING

    del stacks.stacks[stack.stack_id]

    assert run() == NOTHING | {"STACK_DELETED": 1}


# -- checks that fail --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("may_release")
@pytest.mark.parametrize("stack_id", [OTHER_STACK, "example", "no/stack", OTHER_STACK.split("/")[0] + "/ "])
def test_failed_check_of_a_number_does_not_stop_the_others(harness: Harness, stacks: StacksApi, stack_id: str) -> None:
    stacks.know(STACK_ID)  # named example
    stacks.know(OTHER_STACK).refuse("AccessDenied")
    gone = STACK_ID.replace("/example/", "/gone/")
    for owner in (gone, stack_id, gone):
        request_number(harness, Tags=ownership(owner))

    assert run() == NOTHING | {"STACK_DELETED": 2, "NOT_CHECKED": 1}

    assert harness.held() == {"phone_numbers": 3}


@pytest.mark.usefixtures("may_release")
@pytest.mark.parametrize("attribute", ["purchase_state", "closed"])
def test_number_whose_record_a_newer_version_wrote_is_not_checked(
    harness: Harness, stacks: StacksApi, attribute: str
) -> None:
    deleted_stack(harness, SMS_PHONE_NUMBER)
    set_attribute(harness, attribute, "NEW_IN_THE_NEXT_VERSION")
    request_number(harness, Tags=ownership(OTHER_STACK))
    stacks.stacks.clear()

    assert run() == NOTHING | {"STACK_DELETED": 1, "NOT_CHECKED": 1}

    assert harness.held() == {"phone_numbers": 2}


def set_attribute(harness: Harness, name: str, value: str) -> None:
    [record] = harness.purchases()
    harness.dynamodb.update_item(
        TableName=harness.table,
        Key={"pk": record["pk"], "sk": record["sk"]},
        UpdateExpression=f"SET {name} = :value",
        ExpressionAttributeValues={":value": {"S": value}},
    )


# -- purchases that no request finished --------------------------------------------------------------------------------


@pytest.mark.usefixtures("release", "stacks")
def test_purchase_is_not_checked_before_the_deadline_of_its_request(harness: Harness, kind: Kind) -> None:
    unfinished_purchase(harness, kind)
    made = len(harness.ids())

    with later(3500):
        assert run() == NOTHING

    assert (state(harness), len(harness.ids())) == ("BOUGHT", made)


@pytest.mark.usefixtures("release", "stacks")
def test_purchase_without_an_attempt_is_closed(harness: Harness) -> None:
    unknown_purchase(harness, SMS_PHONE_NUMBER, ended=False)
    set_attribute(harness, "purchase_state", "OPEN")

    with later():
        assert run() == NOTHING

    assert state(harness) == "CLOSED REFUSED"


@pytest.mark.usefixtures("release", "stacks")
@pytest.mark.parametrize("ended", [False, True])
def test_unknown_purchase_without_number_is_closed_after_a_day(harness: Harness, kind: Kind, ended: bool) -> None:
    unknown_purchase(harness, kind, ended=ended)

    with later():
        for _ in range(2):
            assert run() == NOTHING | {"UNKNOWN_PURCHASE_OPEN": 1}
    assert state(harness) == "BUYING"
    with later(DAY + 1):
        assert run() == NOTHING

    assert state(harness) == "CLOSED REFUSED"


@pytest.mark.usefixtures("stacks")
def test_unknown_purchase_is_searched_twice_even_after_a_day(harness: Harness) -> None:
    unknown_purchase(harness, SMS_PHONE_NUMBER, ended=True)

    with later(DAY + 1):
        assert run() == NOTHING | {"UNKNOWN_PURCHASE_OPEN": 1}
        assert state(harness) == "BUYING"
        assert run() == NOTHING

    assert state(harness) == "CLOSED REFUSED"


@pytest.mark.shows("tags visible late")
@pytest.mark.usefixtures("stacks")
@pytest.mark.parametrize("ended", [False, True])
def test_late_number_is_released_only_if_allowed(harness: Harness, kind: Kind, release: bool, ended: bool) -> None:
    physical_id = late_purchase(harness, kind, ended=ended)

    with later():
        assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED" if release else "UNKNOWN_PURCHASE_FOUND": 1}
        assert run() == NOTHING | ({} if release else {"UNKNOWN_PURCHASE_FOUND": 1})

    assert harness.ids() == ([] if release else [physical_id])
    assert state(harness) == ("CLOSED RELEASED" if release else "BOUGHT")


@pytest.mark.usefixtures("stacks")
def test_number_of_unfinished_purchase_is_released_only_if_allowed(harness: Harness, kind: Kind, release: bool) -> None:
    unfinished_purchase(harness, kind)

    with later():
        assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED" if release else "UNKNOWN_PURCHASE_FOUND": 1}

    assert harness.held() == ({} if release else {kind.held: 1})
    assert state(harness) == ("CLOSED RELEASED" if release else "BOUGHT")


@pytest.mark.shows("tags visible late")
@pytest.mark.usefixtures("stacks", "may_release")
def test_number_whose_tags_appear_after_its_delete_is_released(harness: Harness, kind: Kind) -> None:
    harness.telecom.configure(tags_lag_seconds=2 * 3601)
    lose_purchase(harness, kind)
    declared = {"properties": kind.properties | ENDS_SOON}
    with environment(IN_PLACE_WAIT_SECONDS="0.1"):
        failed = send_create(harness, kind, **declared)
        gone = delete(harness, kind, failed["PhysicalResourceId"], **declared)

    assert (failed["Status"], gone["Status"]) == ("FAILED", "SUCCESS")
    assert (harness.held(), state(harness)) == ({kind.held: 1}, "BUYING")
    with later():
        # Amazon Connect lists the claimed number, but not yet whose it is. That is not the result of a search.
        assert run() == NOTHING | {"NOT_CHECKED" if kind.service == CONNECT else "UNKNOWN_PURCHASE_OPEN": 1}

        with later():
            assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED": 1}
    assert harness.held() == {}


@pytest.mark.usefixtures("stacks", "may_release")
@SMS_KINDS
def test_late_number_is_released_despite_protection_and_pool(harness: Harness, kind: Kind) -> None:
    physical_id = late_purchase(harness, kind)
    other = request_number(harness)
    protect(harness, physical_id)
    join_pool(harness, create_pool(harness, other), physical_id)

    with later():
        assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED": 1}

    assert harness.ids() == [other]


@pytest.mark.parametrize("deleted", [False, True])
def test_unreported_replacement_is_released_only_if_allowed(
    harness: Harness, kind: Kind, release: bool, deleted: bool
) -> None:
    stack, first, second = unreported_replacement(harness, kind)
    if deleted:
        stack.status = "DELETE_IN_PROGRESS"
        assert delete(harness, kind, first)["Status"] == "SUCCESS"
        stack.status = "DELETE_COMPLETE"

    assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED" if release else "UNKNOWN_PURCHASE_FOUND": 1}

    kept = ([] if deleted else [first]) + ([] if release else [second])
    assert sorted(harness.ids()) == sorted(kept)


@pytest.mark.parametrize("referenced", [None, "another"])
def test_interrupted_delete_is_continued_only_if_allowed(
    harness: Harness, kind: Kind, release: bool, referenced: str | None
) -> None:
    stack, _ = interrupted_delete(harness, kind)
    stack.resources = {} if referenced is None else {"Number": (referenced, "CREATE_COMPLETE")}
    stack.status = "UPDATE_COMPLETE"

    with later():
        assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED" if release else "UNKNOWN_PURCHASE_FOUND": 1}

    assert harness.held() == ({} if release else {kind.held: 1})
    assert state(harness) == ("CLOSED RELEASED" if release else "RELEASING")


@pytest.mark.usefixtures("may_release")
@pytest.mark.parametrize(
    ("status", "referenced", "events", "found", "expected"),
    [
        ("DELETE_FAILED", True, "all", {}, "RELEASING"),
        ("UPDATE_IN_PROGRESS", False, "all", {}, "RELEASING"),
        ("DELETE_COMPLETE", True, "all", {"STACK_DELETED": 1}, "RELEASING"),
        ("UPDATE_COMPLETE", False, "refused", {"NOT_REFERENCED": 1}, "RELEASING"),
        ("UPDATE_COMPLETE", False, "skipped", {"RETAINED": 1}, "CLOSED RETAINED"),
        ("DELETE_COMPLETE", True, "skipped", {"RETAINED": 1}, "CLOSED RETAINED"),
    ],
)
def test_interrupted_delete_is_not_continued_without_evidence(
    *, harness: Harness, status: str, referenced: bool, events: str, found: dict[str, int], expected: str
) -> None:
    stack, physical_id = interrupted_delete(harness, SMS_PHONE_NUMBER)
    if not referenced:
        stack.resources = {}
    if events == "skipped":
        stack.add("Number", "DELETE_SKIPPED", physical_id)
    if events == "refused":
        stack.refuse("AccessDenied", action="DescribeStackEvents")
    stack.status = status

    with later():
        assert run() == NOTHING | found

    assert (harness.ids(), state(harness)) == ([physical_id], expected)


@pytest.mark.parametrize("retained", [False, True])
def test_sender_id_whose_tags_appear_after_its_delete_is_released_only_if_allowed(
    harness: Harness, *, release: bool, retained: bool
) -> None:
    """Its Delete could not know that the sender ID still belonged to the stack."""
    harness.telecom.configure(tags_lag_seconds=3600)
    stack = deployed(harness, SMS_SENDER_ID)
    assert stack.delete() == "DELETE_COMPLETE"
    assert (harness.ids(), state(harness)) == (["GB|ACME"], "CLOSED GONE")
    if retained:  # Its SUCCESS did not arrive, and it was not sent again.
        stack.known.add("Number", "DELETE_SKIPPED", "GB|ACME")

    found = "RETAINED" if retained else "UNKNOWN_PURCHASE_RELEASED" if release else "UNKNOWN_PURCHASE_FOUND"
    with later():
        assert run() == NOTHING | {found: 1}

    assert harness.ids() == ([] if release and not retained else ["GB|ACME"])
    expected = "RETAINED" if retained else "RELEASED" if release else "GONE"
    assert state(harness) == f"CLOSED {expected}"


# -- operations during the sweep ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("stacks", "may_release")
def test_purchase_that_a_repeated_request_continues_is_not_released(harness: Harness) -> None:
    kind = SMS_PHONE_NUMBER
    request = unfinished_purchase(harness, kind)

    with later(), hold_call(harness, kind.reads, "before") as read, ThreadPoolExecutor() as pool:
        found = pool.submit(run)
        read.wait()
        assert send_create(harness, kind, request_id=request)["Status"] == "SUCCESS"
        read.release()
        assert (found.result()["UNKNOWN_PURCHASE_RELEASED"], found.result()["NOT_CHECKED"]) == (0, 0)

    assert (state(harness), len(harness.ids())) == ("READY", 1)


@pytest.mark.usefixtures("may_release")
def test_operation_that_begins_during_the_sweep_prevents_a_release(harness: Harness) -> None:
    """The stack is in no operation when its first number is checked, and in one when its second one is."""
    connect = KINDS["Custom::ConnectPhoneNumber"](harness)
    claimed = create(harness, connect, logical_id="Claimed")
    stack, first, second = unreported_replacement(harness, SMS_PHONE_NUMBER)
    at_rest(harness, Number=first)

    with hold_call(harness, f"{SMS}.ListTagsForResource", "before") as tags, ThreadPoolExecutor() as pool:
        found = pool.submit(run)
        tags.wait()
        stack.status = "UPDATE_IN_PROGRESS"
        tags.release()
        assert found.result() == NOTHING | {"NOT_REFERENCED": 1, "NOT_CHECKED": 1}

    assert sorted(harness.ids()) == sorted([claimed, first, second])


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
    late_purchase(harness, kind)
    fault(harness, kind.releases, "throttle", times=999)

    with later():
        assert run(8) == NOTHING | {"NOT_CHECKED": 1}
        assert harness.held() == {kind.held: 1}
        harness.telecom.clear_faults()

        assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED": 1}
    assert harness.held() == {}


@pytest.mark.parametrize(
    ("service", "operation"),
    [(SMS, "DescribePhoneNumbers"), (SMS, "DescribeSenderIds"), (CONNECT, "ListPhoneNumbersV2")],
)
def test_type_that_can_not_be_listed_is_reported_and_does_not_stop_the_others(
    harness: Harness, stacks: StacksApi, service: str, operation: str
) -> None:
    del stacks.stacks[deployed(harness, SMS_PHONE_NUMBER).stack_id]
    harness.telecom.fault(service, operation, "throttle", times=999)

    found = {} if operation == "DescribePhoneNumbers" else {"STACK_DELETED": 1}
    assert run(12) == NOTHING | {"NOT_CHECKED": 1} | found

    harness.telecom.clear_faults()
    assert run() == NOTHING | {"STACK_DELETED": 1}


def test_sweep_fails_without_the_state_table_and_the_next_one_succeeds(harness: Harness, stacks: StacksApi) -> None:
    del stacks.stacks[deployed(harness, SMS_PHONE_NUMBER).stack_id]
    harness.telecom.fault("dynamodb", "Query", "throttle", times=999)

    with pytest.raises(TelephonyError):
        run(3)
    harness.telecom.clear_faults()

    assert run() == NOTHING | {"STACK_DELETED": 1}


@pytest.mark.parametrize(
    "throttled", ["ListTagsForResource", "DescribeStacks", "DescribeStackResource", "DescribeStackEvents"]
)
def test_throttled_check_is_reported_in_time_and_is_no_evidence(
    harness: Harness, stacks: StacksApi, throttled: Any, log_lines: list[str]
) -> None:
    stacks.know(deployed(harness, SMS_PHONE_NUMBER).stack_id, "UPDATE_COMPLETE")
    harness.telecom.fault(SMS, throttled, "throttle", times=999)
    stacks.refuse("Throttling", action=throttled)
    began = time.monotonic()

    assert run(8) == NOTHING | {"NOT_CHECKED": 1}

    assert time.monotonic() - began < 7.5
    assert any('"NOT_CHECKED"' in line and harness.ids()[0] in line for line in log_lines)
    harness.telecom.clear_faults()
    stacks.allow()
    assert run() == NOTHING | {"NOT_REFERENCED": 1}


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("refused", ["AccessDenied", "Throttling"])
def test_stack_that_can_not_be_listed_is_read_for_each_number(
    harness: Harness, stacks: StacksApi, refused: Any
) -> None:
    deployed(harness, SMS_PHONE_NUMBER)
    stacks.refuse(refused, action="ListStackResources")

    assert run(12) == NOTHING


def test_sweep_retries_throttled_calls(harness: Harness, stacks: StacksApi) -> None:
    deleted_stack(harness, SMS_PHONE_NUMBER)
    harness.telecom.fault(SMS, "DescribePhoneNumbers", "throttle", times=2)
    harness.telecom.fault(SMS, "ListTagsForResource", "throttle", times=2)
    stacks.refuse("Throttling", times=2, action="DescribeStacks")
    stacks.refuse("Throttling", times=2, action="DescribeStackEvents")

    assert run() == NOTHING | {"RETAINED": 1}


def test_findings_are_logged_and_counted_in_the_metric_of_the_alarm(
    harness: Harness, stacks: StacksApi, capsys: pytest.CaptureFixture[str], log_lines: list[str]
) -> None:
    del stacks.stacks[deployed(harness, SMS_PHONE_NUMBER).stack_id]
    capsys.readouterr()

    run()

    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"SweepFindings"' in line]
    assert [(metric["Finding"], metric["SweepFindings"]) for metric in metrics] == [("STACK_DELETED", [1.0])]
    [logged] = [line for line in log_lines if '"STACK_DELETED"' in line and '"found"' in line]
    assert harness.ids()[0] in logged


def unanswered_create(harness: Harness) -> None:
    harness.sink.fail_next(None, "403")
    with harness.function(continues=False) as function:
        function.post("Create", resource_type=SMS_PHONE_NUMBER.type, properties=SIMULATOR)
        function.invoker.settle(30)


@pytest.mark.usefixtures("may_release")
def test_number_that_its_delete_could_not_release_is_released_later(harness: Harness) -> None:
    unanswered_create(harness)
    harness.telecom.fault(SMS, "ReleasePhoneNumber", "error", times=9, **IN_REVIEW)
    assert delete(harness, SMS_PHONE_NUMBER)["Status"] == "FAILED"
    assert state(harness) == "BOUGHT"
    harness.telecom.clear_faults()

    with later():
        assert run() == NOTHING | {"UNKNOWN_PURCHASE_RELEASED": 1}

    assert (harness.held(), state(harness)) == ({}, "CLOSED RELEASED")


@pytest.mark.usefixtures("release", "stacks")
def test_purchase_whose_number_is_gone_is_closed(harness: Harness) -> None:
    """Somebody has followed the advice to release it."""
    unfinished_purchase(harness, SMS_PHONE_NUMBER)
    harness.sms.release_phone_number(PhoneNumberId=harness.ids()[0])

    with later():
        assert run() == NOTHING

    assert state(harness) == "CLOSED GONE"


@pytest.mark.usefixtures("release", "stacks")
def test_sender_id_that_another_owner_has_requested_since_is_left_alone(harness: Harness) -> None:
    unfinished_purchase(harness, SMS_SENDER_ID)
    harness.telecom.configure(sender_ids=2)
    harness.sms.update_sender_id(SenderId="ACME", IsoCountryCode="GB", DeletionProtectionEnabled=False)
    harness.sms.release_sender_id(SenderId="ACME", IsoCountryCode="GB")
    harness.sms.request_sender_id(SenderId="ACME", IsoCountryCode="GB", Tags=ownership(OTHER_STACK))

    with later():
        assert run() == NOTHING | {"STACK_DELETED": 1}

    assert (harness.ids(), state(harness)) == (["GB|ACME"], "CLOSED GONE")


# -- the tags of all numbers -------------------------------------------------------------------------------------------

READS = {"ListTagsForResource", "DescribePhoneNumber"}
"""Calls for one number."""


def do_not_index(harness: Harness, kind: Kind) -> None:
    """The tagging service does not know the type."""
    harness.telecom.configure(unindexed_types=frozenset({resources.by_type(kind.type).tagging_type}))


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("indexed", [True, False])
def test_no_number_that_its_stack_references_costs_a_call(
    harness: Harness, kind: Kind, stacks: StacksApi, indexed: bool
) -> None:
    if not indexed:
        do_not_index(harness, kind)
    stack = deployed(harness, kind)

    calls = harness.calls_of(run)

    # Numbers of other owners are read if the tagging service shows no number of their type.
    others = sum(map(len, harness.telecom.held().values())) - 1
    assert sum(calls[call] for call in calls if call.rpartition(".")[2] in READS) == others
    del stacks.stacks[stack.stack_id]
    assert run() == NOTHING | {"STACK_DELETED": 1}


@pytest.mark.usefixtures("stacks")
def test_number_without_purchase_is_read_if_the_tagging_service_does_not_know_its_type(harness: Harness) -> None:
    do_not_index(harness, SMS_PHONE_NUMBER)
    request_number(harness, Tags=ownership(STACK_ID))
    request_number(harness)

    assert run() == NOTHING | {"STACK_DELETED": 1}


@pytest.mark.usefixtures("release", "stacks")
def test_number_that_the_tagging_service_still_shows_after_its_release_is_no_finding(
    harness: Harness, kind: Kind
) -> None:
    harness.telecom.configure(tag_index_linger_seconds=DAY)
    stack = deployed(harness, kind)
    assert stack.delete() == "DELETE_COMPLETE"

    assert run() == NOTHING


@pytest.mark.parametrize("kind_name", ["Custom::SmsPhoneNumber", "Custom::SmsSenderId"])
def test_number_whose_tags_were_removed_by_hand_is_checked_unless_its_id_is_reusable(
    harness: Harness, stacks: StacksApi, kind_name: str
) -> None:
    kind = next(each for each in (SMS_PHONE_NUMBER, SMS_SENDER_ID) if each.type == kind_name)
    del stacks.stacks[deployed(harness, kind).stack_id]
    [record] = harness.purchases()
    keys = [tag["Key"] for tag in ownership("")]
    keys += [f"cfn-telephony:{name}" for name in ("request-id", "issued-at")]
    harness.sms.untag_resource(ResourceArn=record["arn"]["S"], TagKeys=keys)

    assert run() == NOTHING | ({"STACK_DELETED": 1} if kind is SMS_PHONE_NUMBER else {})


# -- rounds ------------------------------------------------------------------------------------------------------------


def round_item(harness: Harness) -> dict[str, Any]:
    key = {"pk": {"S": "sweep"}, "sk": {"S": "round"}}
    item: dict[str, Any] = harness.dynamodb.get_item(TableName=harness.table, Key=key)["Item"]
    return item


def metrics(capsys: pytest.CaptureFixture[str], name: str) -> list[float]:
    return [json.loads(line)[name][0] for line in capsys.readouterr().out.splitlines() if f'"{name}":[' in line]


def test_round_is_continued_by_the_next_invocation(
    harness: Harness, stacks: StacksApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invocation has time for the listings and for two of five stacks."""
    kind = SMS_PHONE_NUMBER
    gone = [STACK_ID.replace("/example/", f"/gone-{index}/") for index in range(5)]
    for stack_id in gone:
        request_number(harness, Tags=ownership(stack_id))
    capsys.readouterr()
    checked: list[str] = []
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + len(checked) * 300)
    answer = stacks.answer

    def slow(asked: dict[str, str]) -> Any:
        if asked["Action"] == "ListStackResources":
            checked.append(asked["StackName"])
        return answer(asked)

    monkeypatch.setattr(stacks, "answer", slow)
    assert kind.held == "phone_numbers"
    assert run() == NOTHING | {"STACK_DELETED": 3}
    assert (checked, round_item(harness)["in_progress"]) == (gone[:3], {"BOOL": True})
    assert metrics(capsys, "SweepProgress") == [60]

    assert sweep.handler({"interval": DAY}, cast("Any", Context(900))) == NOTHING | {"STACK_DELETED": 5}

    assert (checked, round_item(harness)["in_progress"]) == (gone, {"BOOL": False})


def test_scheduled_sweep_does_nothing_until_the_next_round_is_due(
    harness: Harness, stacks: StacksApi, capsys: pytest.CaptureFixture[str]
) -> None:
    del stacks.stacks[deployed(harness, SMS_PHONE_NUMBER).stack_id]
    assert run() == NOTHING | {"STACK_DELETED": 1}
    capsys.readouterr()

    with later(3600):
        calls = harness.calls_of(lambda: sweep.handler({"interval": 82_800}, cast("Any", Context(900))))
        assert calls == {}
        [age] = metrics(capsys, "SweepAge")
        assert 3590 < age < 3660
    with later(82_900):
        calls = harness.calls_of(lambda: sweep.handler({"interval": 82_800}, cast("Any", Context(900))))
        assert f"{SMS}.DescribePhoneNumbers" in calls
        assert metrics(capsys, "SweepAge")[0] < 60


def test_age_of_the_sweep_grows_until_a_round_is_complete(
    harness: Harness, stacks: StacksApi, capsys: pytest.CaptureFixture[str]
) -> None:
    del stacks.stacks[deployed(harness, SMS_PHONE_NUMBER).stack_id]
    run(0)
    capsys.readouterr()

    with later(DAY):
        run(0)
        [age] = metrics(capsys, "SweepAge")
        assert DAY - 10 < age < DAY + 60
        assert run() == NOTHING | {"STACK_DELETED": 1}
        assert metrics(capsys, "SweepAge")[0] < 60


@pytest.mark.usefixtures("stacks", "may_release")
def test_defect_in_a_check_is_reported_and_does_not_stop_the_others(harness: Harness, log_lines: list[str]) -> None:
    for owner in (STACK_ID.replace("/example/", "/one/"), OTHER_STACK):
        request_number(harness, Tags=ownership(owner))
    broken = f"{OTHER_STACK}|Number"
    item = {"pk": {"S": broken}, "sk": {"S": "purchase#x@1"}, "deadline": {"S": "soon"}}
    harness.dynamodb.put_item(TableName=harness.table, Item=item)

    assert run() == NOTHING | {"STACK_DELETED": 1, "NOT_CHECKED": 1}

    assert any('"Unexpected exception"' in line for line in log_lines)


@pytest.mark.usefixtures("release")
def test_number_of_a_stack_of_another_account_is_reported_and_never_released(
    harness: Harness, stacks: StacksApi
) -> None:
    with environment(STACK_ACCOUNTS="210987654321"):
        request_number(harness, Tags=ownership(STACK_ID.replace("123456789012", "210987654321")))

        assert run() == NOTHING | {"OTHER_ACCOUNT": 1}

    assert (harness.held(), stacks.calls) == ({"phone_numbers": 1}, [])


@pytest.mark.usefixtures("may_release")
def test_number_of_a_stack_whose_rollback_failed_is_not_checked_yet(harness: Harness) -> None:
    """The operator can continue the rollback, which names the first number again."""
    stack, first, second = unreported_replacement(harness, SMS_PHONE_NUMBER)
    stack.status = "UPDATE_ROLLBACK_FAILED"
    stack.resources = {"Number": (second, "UPDATE_FAILED")}

    assert run() == NOTHING

    assert sorted(harness.ids()) == sorted([first, second])


# -- items that leave the table ----------------------------------------------------------------------------------------


def test_items_of_a_released_number_expire_after_180_days_or_more(harness: Harness, kind: Kind) -> None:
    stack = deployed(harness, kind)
    held = harness.purchases()
    assert stack.delete() == "DELETE_COMPLETE"

    items = harness.dynamodb.scan(TableName=harness.table)["Items"]
    expiring = {item["pk"]["S"].partition("#")[0] for item in items if "expiration" in item}
    kept = {item["pk"]["S"].partition("#")[0] for item in items if "expiration" not in item}
    assert "expiration" not in held[0]
    assert min(float(item["expiration"]["N"]) for item in harness.purchases()) > time.time() + 180 * DAY
    assert {"holder"} & expiring == (set() if kind.type == SMS_SENDER_ID.type else {"holder"})
    assert kept - {"holder"} <= {"rate"}


@pytest.mark.usefixtures("stacks")
def test_record_of_a_retained_number_never_expires(harness: Harness) -> None:
    deleted_stack(harness, SMS_PHONE_NUMBER)
    assert run() == NOTHING | {"RETAINED": 1}

    [record] = harness.purchases()
    assert (state(harness), record.get("expiration")) == ("CLOSED RETAINED", None)
