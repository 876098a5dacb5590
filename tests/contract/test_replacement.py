"""A replacement is refused unless it is allowed, and after a rollback the first number is still there."""

from __future__ import annotations

import time
from typing import Any

import pytest

from telephony import resources
from tests.conftest import SMS, STACK_ID, Harness, VirtualClock
from tests.contract.cloudformation import Stack
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, template, with_failing_sibling
from tests.contract.steps import (
    DENIED,
    ENDS_SOON,
    GENERATED_ID,
    IN_REVIEW,
    PROTECTED,
    REPLACEABLE,
    SERVER_ERROR,
    SMS_KINDS,
    assert_reason,
    assert_rolled_back,
    canceled,
    create,
    create_pool,
    delete,
    deploy,
    fault,
    hold_call,
    join_pool,
    request_number,
    update,
    wait_until,
)

VOICE = SIMULATOR | {"NumberCapabilities": ["VOICE"]}
TOLL_FREE = SIMULATOR | {"NumberType": "TOLL_FREE"}


def replacing(kind: Kind) -> dict[str, Any]:
    """The properties of an Update that may replace the resource."""
    return kind.properties | kind.replacing | REPLACEABLE


@pytest.mark.shows("update that requires replacement")
@pytest.mark.parametrize("allowed", [None, "false", "another ID"])
def test_replacement_is_refused_unless_it_is_allowed(harness: Harness, kind: Kind, allowed: str | None) -> None:
    stack, first = deploy(harness, kind)

    another = resources.by_type(kind.type).properties.id_example
    changed = template(
        kind.properties | kind.replacing | {"AllowReplacement": another if allowed == "another ID" else allowed}, kind
    )
    assert_rolled_back(stack, changed, "NotUpdatable", first, "AllowReplacement", next(iter(kind.replacing)))

    assert harness.ids() == [first]
    assert harness.calls()[kind.buys] == 1


@pytest.mark.shows("update that requires replacement", "cleanup after a replacement")
def test_allowed_replacement_buys_one_and_releases_the_old_one_after_the_update(harness: Harness, kind: Kind) -> None:
    stack, first = deploy(harness, kind)

    made = harness.calls_of(lambda: stack.deploy(template(replacing(kind), kind)))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    second = stack.physical_ids["Number"]
    assert second != first
    assert harness.ids() == [second]
    assert (made[kind.buys], made[kind.releases]) == (1, 1)
    assert stack.sent("Number")[-1] == ("Delete", first)


def test_replacement_allowed_by_id_is_allowed_once(harness: Harness, kind: Kind) -> None:
    stack, first = deploy(harness, kind)
    allowed = {"AllowReplacement": first}
    assert stack.deploy(template(kind.properties | kind.replacing | allowed, kind)) == "UPDATE_COMPLETE"
    second = stack.physical_ids["Number"]
    assert harness.ids() == [second]

    assert_rolled_back(stack, template(kind.properties | allowed, kind), "NotUpdatable", second)

    assert harness.ids() == [second]
    assert harness.calls()[kind.buys] == 2


def test_every_changed_create_only_property_is_reported(harness: Harness) -> None:
    physical_id = create(harness, SMS_PHONE_NUMBER, properties=TOLL_FREE)
    changes: list[dict[str, Any]] = [
        {"IsoCountryCode": "CA"},
        {"NumberType": "SIMULATOR"},
        {"NumberCapabilities": ["SMS", "VOICE"]},
        {"MessageType": "PROMOTIONAL"},
        {"RegistrationId": "registration-0123"},
        {"NumberType": "LONG_CODE", "IsoCountryCode": "CA"},
    ]

    for change in changes:
        refused = update(harness, SMS_PHONE_NUMBER, physical_id, TOLL_FREE | change, old_properties=TOLL_FREE)
        assert_reason(refused, "NotUpdatable", *change)

    assert_reason(refused, "NotUpdatable", "TOLL_FREE", "LONG_CODE", "US", "CA")
    assert harness.calls(SMS)["RequestPhoneNumber"] == 1


@pytest.mark.parametrize("declared", [True, False], ids=["still protected", "protection disabled in the same update"])
@SMS_KINDS
def test_protected_resource_is_not_replaced(harness: Harness, kind: Kind, declared: bool) -> None:
    stack, first = deploy(harness, kind, **PROTECTED)

    changed = template(replacing(kind) | {"DeletionProtectionEnabled": declared}, kind)
    assert_rolled_back(stack, changed, "ResourceConflict", first, "protect")

    assert harness.ids() == [first]
    assert harness.calls()[kind.buys] == 1


@SMS_KINDS
def test_pooled_resource_is_not_replaced(harness: Harness, kind: Kind) -> None:
    stack, first = deploy(harness, kind)
    pool = create_pool(harness)
    join_pool(harness, pool, first)
    bought = harness.calls()[kind.buys]

    assert_rolled_back(stack, template(replacing(kind), kind), "ResourceConflict", first, pool)

    assert first in harness.ids()
    assert harness.calls()[kind.buys] == bought


# -- rollbacks ---------------------------------------------------------------------------------------------------------


@pytest.mark.shows("rollback of a partly applied update")
def test_rollback_restores_settings_of_update_that_failed_midway(harness: Harness) -> None:
    help_text = {"HELP": {"Message": "One."}}
    stack, first = deploy(harness, SMS_PHONE_NUMBER, OptOutListName="Default", MandatoryKeywords=help_text)

    # The keyword is changed before the unknown list is refused.
    changed = {"OptOutListName": "nowhere", "MandatoryKeywords": {"HELP": {"Message": "Two."}}}
    stack.deploy(template(SIMULATOR | changed))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.physical_ids["Number"] == first
    [keyword] = harness.sms.describe_keywords(OriginationIdentity=first, Keywords=["HELP"])["Keywords"]
    assert keyword["KeywordMessage"] == "One."


@pytest.mark.parametrize("rollback_id", ["old", "new"])
def test_rollback_returns_to_first_number_if_another_resource_fails(
    harness: Harness, kind: Kind, rollback_id: Any
) -> None:
    harness.cloudformation.failed_update_id = rollback_id
    stack, first = deploy(harness, kind)

    assert stack.deploy(with_failing_sibling(replacing(kind), kind)) == "UPDATE_ROLLBACK_COMPLETE"

    assert harness.calls()[kind.buys] == 2
    assert stack.physical_ids["Number"] == first
    assert harness.ids() == [first]
    assert stack.delete() == "DELETE_COMPLETE"
    assert harness.held() == {}


@pytest.mark.parametrize(
    ("kind", "pooled"),
    [(SMS_PHONE_NUMBER, False), (SMS_PHONE_NUMBER, True), (SMS_SENDER_ID, False)],
    ids=["number, protected", "number, in a pool", "sender ID, protected"],
)
def test_rollback_releases_replacement_that_is_protected_or_pooled(harness: Harness, kind: Kind, pooled: bool) -> None:
    stack, _ = deploy(harness, kind)
    other = request_number(harness)
    before = sorted(harness.ids())

    more = {"PoolId": create_pool(harness, other)} if pooled else PROTECTED
    stack.deploy(with_failing_sibling(replacing(kind) | more, kind))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.dropped == [], "CloudFormation dropped a number that is still billed"
    assert sorted(harness.ids()) == before


def test_replacement_succeeds_after_its_first_attempt_was_rolled_back(harness: Harness, kind: Kind) -> None:
    stack, first = deploy(harness, kind)
    stack.deploy(with_failing_sibling(replacing(kind), kind))

    assert stack.deploy(template(replacing(kind), kind)) == "UPDATE_COMPLETE", stack.reasons("Number")

    assert harness.ids() == [stack.physical_ids["Number"]]
    assert harness.ids() != [first]
    assert harness.calls()[kind.buys] == 3


@pytest.mark.shows("replacement fails partway")
@pytest.mark.parametrize(("rollback_id", "release_fails"), [("old", False), ("new", False), ("old", True)])
def test_replacement_that_cannot_be_set_up_is_released(harness: Harness, rollback_id: Any, release_fails: bool) -> None:
    harness.cloudformation.failed_update_id = rollback_id
    stack, first = deploy(harness, SMS_PHONE_NUMBER)
    harness.telecom.fault(SMS, "UpdatePhoneNumber", "error", **DENIED)
    if release_fails:
        harness.telecom.fault(SMS, "ReleasePhoneNumber", "error", **DENIED)

    changed = template(replacing(SMS_PHONE_NUMBER) | {"SelfManagedOptOutsEnabled": True})
    assert_rolled_back(stack, changed, "AccessDenied")

    assert harness.calls(SMS)["RequestPhoneNumber"] == 2
    assert harness.ids() == [first]
    if not release_fails:
        assert all(physical_id in ("", first) for _, physical_id in stack.sent("Number"))


def test_refused_purchase_of_replacement_keeps_old_one_and_its_id(harness: Harness, kind: Kind) -> None:
    stack, first = deploy(harness, kind)
    quota = {"code": "ServiceQuotaExceededException", "message": "No more.", "status": 402}
    fault(harness, kind.buys, "error", **quota)

    assert_rolled_back(stack, template(replacing(kind), kind), "ServiceLimitExceeded")

    assert harness.ids() == [first]
    assert all(physical_id in ("", first) for _, physical_id in stack.sent("Number"))


@pytest.mark.shows("replacement response lost")
def test_rollback_releases_replacement_whose_response_was_lost(harness: Harness, kind: Kind) -> None:
    first = create(harness, kind)
    harness.sink.fail_next(None, "403")
    changed = {"properties": replacing(kind), "old_properties": kind.properties}
    with harness.function(continues=False) as function:
        function.post("Update", resource_type=kind.type, physical_id=first, **changed)
        function.invoker.settle(30)
    assert harness.held() == {kind.held: 2}

    rolled_back = update(harness, kind, first, kind.properties, old_properties=replacing(kind))

    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("SUCCESS", first)
    assert len(harness.invoker.steps) == 1, "the first Update was continued after the rollback"
    assert harness.calls()[kind.buys] == 2
    assert harness.ids() == [first]


@pytest.mark.shows("replacement response lost")
def test_rollback_finds_unreported_replacement_in_another_country(
    harness: Harness, virtual_clock: VirtualClock
) -> None:
    elsewhere: dict[str, Any] = {"IsoCountryCode": "CA", "NumberType": "LONG_CODE", "NumberCapabilities": ["SMS"]}
    elsewhere |= REPLACEABLE | ENDS_SOON
    first = create(harness, SMS_PHONE_NUMBER, properties=TOLL_FREE)
    virtual_clock.shift(1)
    # The purchase succeeds, its response is lost, and no later call succeeds until ServiceTimeout.
    harness.telecom.fault(SMS, "RequestPhoneNumber", "lose_answer")
    harness.telecom.fault(SMS, "DescribePhoneNumbers", "error", after=1, times=999, **SERVER_ERROR)
    harness.telecom.fault(SMS, "RequestPhoneNumber", "error", times=999, **SERVER_ERROR)

    failed = update(harness, SMS_PHONE_NUMBER, first, elsewhere, old_properties=TOLL_FREE)
    assert (failed["Status"], failed["PhysicalResourceId"]) == ("FAILED", first)
    assert harness.held() == {"phone_numbers": 2}
    harness.telecom.clear_faults()

    rolled_back = update(harness, SMS_PHONE_NUMBER, first, TOLL_FREE, old_properties=elsewhere)
    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("SUCCESS", first)
    assert harness.ids() == [first]


def test_rollback_during_purchase_of_replacement_returns_to_first_number(harness: Harness, kind: Kind) -> None:
    """Another resource failed, so that CloudFormation canceled the Update while it was running."""
    first = create(harness, kind)
    fields: dict[str, Any] = {"resource_type": kind.type, "physical_id": first}
    with hold_call(harness, kind.buys) as purchase:
        harness.post("Update", properties=replacing(kind), old_properties=kind.properties, **fields)
        purchase.wait()
        rollback = harness.post("Update", properties=kind.properties, old_properties=replacing(kind), **fields)
        wait_until(lambda: canceled(harness))
        purchase.release()
        rolled_back = harness.response(rollback)

    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("SUCCESS", first)
    assert harness.calls()[kind.buys] == 2
    assert harness.ids() == [first]


def test_replacement_delivered_after_its_rollback_leaves_nothing(harness: Harness, kind: Kind) -> None:
    first = create(harness, kind, issued_at=time.time() - 20)
    update(harness, kind, first, kind.properties, old_properties=replacing(kind))

    late = update(harness, kind, first, replacing(kind), issued_at=time.time() - 10)

    assert late["Status"] == "FAILED"
    assert harness.ids() == [first], "CloudFormation never refers to the new one"


# -- numbers that a policy retained ------------------------------------------------------------------------------------


def test_number_retained_by_update_replace_policy_is_never_released(harness: Harness, kind: Kind) -> None:
    stack = harness.cloudformation.stack("numbers")
    stack.deploy(template(kind.properties, kind, UpdateReplacePolicy="Retain"))
    first = stack.physical_ids["Number"]

    assert stack.deploy(template(replacing(kind), kind, UpdateReplacePolicy="Retain")) == "UPDATE_COMPLETE"
    assert sorted(harness.ids()) == sorted([first, stack.physical_ids["Number"]])

    assert stack.delete() == "DELETE_COMPLETE"
    assert harness.ids() == [first]


def retained(harness: Harness, kind: Kind) -> tuple[Stack, str, dict[str, Any]]:
    """A stack that retained Number, the ID of Number, and the resources that the stack still has."""
    stack = harness.cloudformation.stack("numbers")
    anchor = {"Type": "Custom::SmsPhoneNumber", "Properties": SIMULATOR | {"NumberCapabilities": ["VOICE", "SMS"]}}
    declared = template(kind.properties, kind, DeletionPolicy="Retain")["Resources"]
    stack.deploy({"Resources": declared | {"Anchor": anchor}})
    kept = stack.physical_ids["Number"]
    assert stack.deploy({"Resources": {"Anchor": anchor}}) == "UPDATE_COMPLETE"
    assert stack.retained == [("Number", kept)]
    return stack, kept, {"Anchor": anchor}


def test_retained_number_stays_if_its_logical_id_is_reused_and_that_create_fails(harness: Harness, kind: Kind) -> None:
    stack, kept, others = retained(harness, kind)

    again = template(kind.properties | {"Colour": "red"}, kind)["Resources"]
    assert_rolled_back(stack, {"Resources": others | again}, "InvalidRequest", "Colour")

    assert kept in harness.ids()


def test_retained_number_stays_if_its_logical_id_is_reused_and_that_create_is_canceled(harness: Harness) -> None:
    kept = create(harness, SMS_PHONE_NUMBER)
    fields: dict[str, Any] = {"resource_type": SMS_PHONE_NUMBER.type, "properties": SIMULATOR}
    with hold_call(harness, SMS_PHONE_NUMBER.buys) as purchase:
        harness.post("Create", **fields)
        purchase.wait()
        deleted = harness.post("Delete", physical_id=GENERATED_ID, **fields)
        wait_until(lambda: canceled(harness))
        purchase.release()
        assert harness.response(deleted)["Status"] == "SUCCESS"

    assert harness.calls(SMS)["RequestPhoneNumber"] == 2
    assert harness.ids() == [kept]


def test_retained_number_does_not_take_the_place_of_a_replacement(harness: Harness) -> None:
    """Returning to the properties of an earlier number still replaces, and so releases, the present one."""
    stack, kept, others = retained(harness, SMS_PHONE_NUMBER)
    assert stack.deploy({"Resources": others | template(VOICE)["Resources"]}) == "UPDATE_COMPLETE"
    second = stack.physical_ids["Number"]

    assert_rolled_back(stack, {"Resources": others | template(SIMULATOR)["Resources"]}, "NotUpdatable", second)

    assert {kept, second} <= set(harness.ids())


def backdate(harness: Harness, seconds: float) -> None:
    """Make every recorded purchase older."""
    for row in harness.purchases():
        for name in ("issued_at", "opened_at", "response_accepted_at"):
            harness.dynamodb.update_item(
                TableName=harness.table,
                Key={"pk": row["pk"], "sk": row["sk"]},
                UpdateExpression="SET #name = :then",
                ExpressionAttributeNames={"#name": name},
                ExpressionAttributeValues={":then": {"N": str(int(time.time() - seconds))}},
            )


@pytest.mark.parametrize("age", [7200, 14 * 86_400], ids=["hours", "weeks"])
def test_retained_number_is_not_released_for_a_create_that_never_arrived(harness: Harness, age: int) -> None:
    kept = create(harness, SMS_PHONE_NUMBER)
    backdate(harness, age)

    assert delete(harness, SMS_PHONE_NUMBER)["Status"] == "SUCCESS"
    assert harness.ids() == [kept]


# -- late and failed requests ------------------------------------------------------------------------------------------


def test_late_update_does_not_release_number_of_newer_update(harness: Harness) -> None:
    kind = SMS_PHONE_NUMBER
    first = create(harness, kind, issued_at=time.time() - 60)
    second = update(harness, kind, first, replacing(kind))["PhysicalResourceId"]

    update(harness, kind, first, kind.properties | {"Trigger": "1"}, issued_at=time.time() - 30)

    assert set(harness.ids()) == {first, second}


def test_protection_of_replacement_counts_after_a_skipped_rollback(harness: Harness) -> None:
    """The rollback to the first number failed; the operator skipped it and continued with the second number."""
    kind = SMS_PHONE_NUMBER
    before, after = SIMULATOR | {"SelfManagedOptOutsEnabled": "false"}, VOICE | {"AllowReplacement": "true"}
    first = create(harness, kind, properties=before)
    second = update(harness, kind, first, after, old_properties=before)["PhysicalResourceId"]
    harness.sms.update_phone_number(PhoneNumberId=first, SelfManagedOptOutsEnabled=True)
    harness.telecom.fault(SMS, "UpdatePhoneNumber", "error", **DENIED)
    harness.stacks.stacks[STACK_ID].status = "UPDATE_ROLLBACK_IN_PROGRESS"
    rolled_back = update(harness, kind, second, before, old_properties=after)
    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("FAILED", second)

    harness.stacks.stacks[STACK_ID].status = "UPDATE_IN_PROGRESS"
    continued = update(harness, kind, second, VOICE | PROTECTED, old_properties=before)
    assert (continued["Status"], continued["PhysicalResourceId"]) == ("SUCCESS", second)

    gone = delete(harness, kind, second, properties=VOICE | PROTECTED)
    assert_reason(gone, "ResourceConflict", "DeletionProtectionEnabled")
    assert second in harness.ids()


def test_rollback_succeeds_if_replacement_cannot_be_released_and_its_delete_fails(harness: Harness) -> None:
    """CloudFormation never got the response of the replacement, which has been registered since."""
    kind, began = SMS_PHONE_NUMBER, time.time()
    first = create(harness, kind, issued_at=began - 20)
    second = update(harness, kind, first, replacing(kind), issued_at=began - 10, accepted=False)["PhysicalResourceId"]
    harness.telecom.fault(SMS, "ReleasePhoneNumber", "error", **IN_REVIEW)

    rolled_back = update(harness, kind, first, kind.properties, old_properties=replacing(kind))

    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("SUCCESS", first)
    assert set(harness.ids()) == {first, second}
    harness.telecom.fault(SMS, "ReleasePhoneNumber", "error", after=1, **IN_REVIEW)
    refused = delete(harness, kind, first)
    assert (refused["Status"], refused["PhysicalResourceId"]) == ("FAILED", first)
    assert delete(harness, kind, first)["Status"] == "SUCCESS"
    assert harness.ids() == []
