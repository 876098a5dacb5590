"""A replacement is refused unless it is allowed, and after a rollback the first number is still there."""

from __future__ import annotations

import time
from typing import Any

import pytest

from telephony import resources
from tests.conftest import SMS, Laptop
from tests.contract.cloudformation import Stack
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, template, with_failing_sibling
from tests.contract.steps import (
    DENIED,
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
def test_replacement_is_refused_unless_it_is_allowed(laptop: Laptop, kind: Kind, allowed: str | None) -> None:
    stack, first = deploy(laptop, kind)

    another = resources.by_type(kind.type).properties.id_example
    changed = template(
        kind.properties | kind.replacing | {"AllowReplacement": another if allowed == "another ID" else allowed}, kind
    )
    assert_rolled_back(stack, changed, "NotUpdatable", first, "AllowReplacement", *kind.replacing)

    assert laptop.ids() == [first]
    assert laptop.calls()[kind.buys] == 1


@pytest.mark.shows("update that requires replacement", "cleanup after a replacement")
def test_allowed_replacement_buys_one_and_releases_the_old_one_after_the_update(laptop: Laptop, kind: Kind) -> None:
    stack, first = deploy(laptop, kind)

    made = laptop.calls_of(lambda: stack.deploy(template(replacing(kind), kind)))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    second = stack.physical_ids["Number"]
    assert second != first
    assert laptop.ids() == [second]
    assert (made[kind.buys], made[kind.releases]) == (1, 1)
    assert stack.sent("Number")[-1] == ("Delete", first)


def test_replacement_allowed_by_id_is_allowed_once(laptop: Laptop, kind: Kind) -> None:
    stack, first = deploy(laptop, kind)
    allowed = {"AllowReplacement": first}
    assert stack.deploy(template(kind.properties | kind.replacing | allowed, kind)) == "UPDATE_COMPLETE"
    second = stack.physical_ids["Number"]
    assert laptop.ids() == [second]

    assert_rolled_back(stack, template(kind.properties | allowed, kind), "NotUpdatable", second)

    assert laptop.ids() == [second]
    assert laptop.calls()[kind.buys] == 2


def test_every_changed_create_only_property_is_reported(laptop: Laptop) -> None:
    physical_id = create(laptop, SMS_PHONE_NUMBER, properties=TOLL_FREE)
    changes: list[dict[str, Any]] = [
        {"IsoCountryCode": "CA"},
        {"NumberType": "SIMULATOR"},
        {"NumberCapabilities": ["SMS", "VOICE"]},
        {"MessageType": "PROMOTIONAL"},
        {"RegistrationId": "registration-0123"},
        {"NumberType": "LONG_CODE", "IsoCountryCode": "CA"},
    ]

    for change in changes:
        refused = update(laptop, SMS_PHONE_NUMBER, physical_id, TOLL_FREE | change, old_properties=TOLL_FREE)
        assert_reason(refused, "NotUpdatable", *change)

    assert_reason(refused, "NotUpdatable", "TOLL_FREE", "LONG_CODE", "US", "CA")
    assert laptop.calls(SMS)["RequestPhoneNumber"] == 1


@pytest.mark.parametrize("declared", [True, False], ids=["still protected", "protection disabled in the same update"])
@SMS_KINDS
def test_protected_resource_is_not_replaced(laptop: Laptop, kind: Kind, declared: bool) -> None:
    stack, first = deploy(laptop, kind, **PROTECTED)

    changed = template(replacing(kind) | {"DeletionProtectionEnabled": declared}, kind)
    assert_rolled_back(stack, changed, "ResourceConflict", first, "protect")

    assert laptop.ids() == [first]
    assert laptop.calls()[kind.buys] == 1


@SMS_KINDS
def test_pooled_resource_is_not_replaced(laptop: Laptop, kind: Kind) -> None:
    stack, first = deploy(laptop, kind)
    pool = create_pool(laptop)
    join_pool(laptop, pool, first)
    bought = laptop.calls()[kind.buys]

    assert_rolled_back(stack, template(replacing(kind), kind), "ResourceConflict", first, pool)

    assert first in laptop.ids()
    assert laptop.calls()[kind.buys] == bought


# -- rollbacks ---------------------------------------------------------------------------------------------------------


@pytest.mark.shows("rollback of a partly applied update")
def test_rollback_restores_settings_of_update_that_failed_midway(laptop: Laptop) -> None:
    help_text = {"HELP": {"Message": "One."}}
    stack, first = deploy(laptop, SMS_PHONE_NUMBER, OptOutListName="Default", MandatoryKeywords=help_text)

    # The keyword is changed before the unknown list is refused.
    changed = {"OptOutListName": "nowhere", "MandatoryKeywords": {"HELP": {"Message": "Two."}}}
    stack.deploy(template(SIMULATOR | changed))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.physical_ids["Number"] == first
    [keyword] = laptop.sms.describe_keywords(OriginationIdentity=first, Keywords=["HELP"])["Keywords"]
    assert keyword["KeywordMessage"] == "One."


@pytest.mark.parametrize("rollback_id", ["old", "new"])
def test_rollback_returns_to_first_number_if_another_resource_fails(
    laptop: Laptop, kind: Kind, rollback_id: Any
) -> None:
    laptop.cloudformation.failed_update_id = rollback_id
    stack, first = deploy(laptop, kind)

    assert stack.deploy(with_failing_sibling(replacing(kind), kind)) == "UPDATE_ROLLBACK_COMPLETE"

    assert laptop.calls()[kind.buys] == 2
    assert stack.physical_ids["Number"] == first
    assert laptop.ids() == [first]
    assert stack.delete() == "DELETE_COMPLETE"
    assert laptop.held() == {}


@pytest.mark.parametrize(
    ("kind", "pooled"),
    [(SMS_PHONE_NUMBER, False), (SMS_PHONE_NUMBER, True), (SMS_SENDER_ID, False)],
    ids=["number, protected", "number, in a pool", "sender ID, protected"],
)
def test_rollback_releases_replacement_that_is_protected_or_pooled(laptop: Laptop, kind: Kind, pooled: bool) -> None:
    stack, _ = deploy(laptop, kind)
    other = request_number(laptop)
    before = sorted(laptop.ids())

    more = {"PoolId": create_pool(laptop, other)} if pooled else PROTECTED
    stack.deploy(with_failing_sibling(replacing(kind) | more, kind))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.dropped == [], "CloudFormation dropped a number that is still billed"
    assert sorted(laptop.ids()) == before


def test_replacement_succeeds_after_its_first_attempt_was_rolled_back(laptop: Laptop, kind: Kind) -> None:
    stack, first = deploy(laptop, kind)
    stack.deploy(with_failing_sibling(replacing(kind), kind))

    assert stack.deploy(template(replacing(kind), kind)) == "UPDATE_COMPLETE", stack.reasons("Number")

    assert laptop.ids() == [stack.physical_ids["Number"]]
    assert laptop.ids() != [first]
    assert laptop.calls()[kind.buys] == 3


@pytest.mark.shows("replacement fails partway")
@pytest.mark.parametrize(("rollback_id", "release_fails"), [("old", False), ("new", False), ("old", True)])
def test_replacement_that_cannot_be_set_up_is_released(laptop: Laptop, rollback_id: Any, release_fails: bool) -> None:
    laptop.cloudformation.failed_update_id = rollback_id
    stack, first = deploy(laptop, SMS_PHONE_NUMBER)
    laptop.telecom.fault(SMS, "UpdatePhoneNumber", "error", **DENIED)
    if release_fails:
        laptop.telecom.fault(SMS, "ReleasePhoneNumber", "error", **DENIED)

    changed = template(replacing(SMS_PHONE_NUMBER) | {"SelfManagedOptOutsEnabled": True})
    assert_rolled_back(stack, changed, "AccessDenied")

    assert laptop.calls(SMS)["RequestPhoneNumber"] == 2
    assert laptop.ids() == [first]
    if not release_fails:
        assert all(physical_id in ("", first) for _, physical_id in stack.sent("Number"))


def test_refused_purchase_of_replacement_keeps_old_one_and_its_id(laptop: Laptop, kind: Kind) -> None:
    stack, first = deploy(laptop, kind)
    quota = {"code": "ServiceQuotaExceededException", "message": "No more.", "status": 402}
    fault(laptop, kind.buys, "error", **quota)

    assert_rolled_back(stack, template(replacing(kind), kind), "ServiceLimitExceeded")

    assert laptop.ids() == [first]
    assert all(physical_id in ("", first) for _, physical_id in stack.sent("Number"))


@pytest.mark.shows("replacement response lost")
def test_rollback_releases_replacement_whose_response_was_lost(laptop: Laptop, kind: Kind) -> None:
    first = create(laptop, kind)
    laptop.sink.fail_next(None, "403", 4)  # every attempt at the Update, and the continuation
    changed = {"properties": replacing(kind), "old_properties": kind.properties}
    laptop.post("Update", resource_type=kind.type, physical_id=first, **changed)
    laptop.invoker.settle(30)
    assert laptop.held() == {kind.held: 2}

    rolled_back = update(laptop, kind, first, kind.properties, old_properties=replacing(kind))

    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("SUCCESS", first)
    assert laptop.calls()[kind.buys] == 2
    assert laptop.ids() == [first]


@pytest.mark.shows("replacement response lost")
def test_rollback_finds_unreported_replacement_in_another_country(laptop: Laptop) -> None:
    elsewhere = {"IsoCountryCode": "CA", "NumberType": "LONG_CODE", "NumberCapabilities": ["SMS"]} | REPLACEABLE
    first = create(laptop, SMS_PHONE_NUMBER, properties=TOLL_FREE)
    # The purchase succeeds, its response is lost, and no later call succeeds, that of the continuation included.
    laptop.telecom.fault(SMS, "RequestPhoneNumber", "lose_answer")
    laptop.telecom.fault(SMS, "DescribePhoneNumbers", "error", after=1, times=99, **SERVER_ERROR)
    laptop.telecom.fault(SMS, "RequestPhoneNumber", "error", times=99, **SERVER_ERROR)

    failed = update(laptop, SMS_PHONE_NUMBER, first, elsewhere, old_properties=TOLL_FREE)
    assert (failed["Status"], failed["PhysicalResourceId"]) == ("FAILED", first)
    assert laptop.held() == {"phone_numbers": 2}
    laptop.telecom.clear_faults()

    rolled_back = update(laptop, SMS_PHONE_NUMBER, first, TOLL_FREE, old_properties=elsewhere)
    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("SUCCESS", first)
    assert laptop.ids() == [first]


def test_rollback_during_purchase_of_replacement_returns_to_first_number(laptop: Laptop, kind: Kind) -> None:
    """Another resource failed, so that CloudFormation canceled the Update while it was running."""
    first = create(laptop, kind)
    fields: dict[str, Any] = {"resource_type": kind.type, "physical_id": first}
    with hold_call(laptop, kind.buys) as purchase:
        laptop.post("Update", properties=replacing(kind), old_properties=kind.properties, **fields)
        purchase.wait()
        rollback = laptop.post("Update", properties=kind.properties, old_properties=replacing(kind), **fields)
        wait_until(lambda: canceled(laptop))
        purchase.release()
        rolled_back = laptop.response(rollback)

    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("SUCCESS", first)
    assert laptop.calls()[kind.buys] == 2
    assert laptop.ids() == [first]


def test_replacement_delivered_after_its_rollback_leaves_nothing(laptop: Laptop, kind: Kind) -> None:
    first = create(laptop, kind, issued_at=time.time() - 20)
    update(laptop, kind, first, kind.properties, old_properties=replacing(kind))

    late = update(laptop, kind, first, replacing(kind), issued_at=time.time() - 10)

    assert late["Status"] == "FAILED"
    assert laptop.ids() == [first], "CloudFormation never refers to the new one"


# -- numbers that a policy retained ------------------------------------------------------------------------------------


def test_number_retained_by_update_replace_policy_is_never_released(laptop: Laptop, kind: Kind) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(kind.properties, kind, UpdateReplacePolicy="Retain"))
    first = stack.physical_ids["Number"]

    assert stack.deploy(template(replacing(kind), kind, UpdateReplacePolicy="Retain")) == "UPDATE_COMPLETE"
    assert sorted(laptop.ids()) == sorted([first, stack.physical_ids["Number"]])

    assert stack.delete() == "DELETE_COMPLETE"
    assert laptop.ids() == [first]


def retained(laptop: Laptop, kind: Kind) -> tuple[Stack, str, dict[str, Any]]:
    """A stack that retained Number, the ID of Number, and the resources that the stack still has."""
    stack = laptop.cloudformation.stack("numbers")
    anchor = {"Type": "Custom::SmsPhoneNumber", "Properties": SIMULATOR | {"NumberCapabilities": ["VOICE", "SMS"]}}
    declared = template(kind.properties, kind, DeletionPolicy="Retain")["Resources"]
    stack.deploy({"Resources": declared | {"Anchor": anchor}})
    kept = stack.physical_ids["Number"]
    assert stack.deploy({"Resources": {"Anchor": anchor}}) == "UPDATE_COMPLETE"
    assert stack.retained == [("Number", kept)]
    return stack, kept, {"Anchor": anchor}


def test_retained_number_stays_if_its_logical_id_is_reused_and_that_create_fails(laptop: Laptop, kind: Kind) -> None:
    stack, kept, others = retained(laptop, kind)

    again = template(kind.properties | {"Colour": "red"}, kind)["Resources"]
    assert_rolled_back(stack, {"Resources": others | again}, "InvalidRequest", "Colour")

    assert kept in laptop.ids()


def test_retained_number_stays_if_its_logical_id_is_reused_and_that_create_is_canceled(laptop: Laptop) -> None:
    kept = create(laptop, SMS_PHONE_NUMBER)
    fields: dict[str, Any] = {"resource_type": SMS_PHONE_NUMBER.type, "properties": SIMULATOR}
    with hold_call(laptop, SMS_PHONE_NUMBER.buys) as purchase:
        laptop.post("Create", **fields)
        purchase.wait()
        deleted = laptop.post("Delete", physical_id=GENERATED_ID, **fields)
        wait_until(lambda: canceled(laptop))
        purchase.release()
        assert laptop.response(deleted)["Status"] == "SUCCESS"

    assert laptop.calls(SMS)["RequestPhoneNumber"] == 2
    assert laptop.ids() == [kept]


def test_retained_number_does_not_take_the_place_of_a_replacement(laptop: Laptop) -> None:
    """Returning to the properties of an earlier number still replaces, and so releases, the present one."""
    stack, kept, others = retained(laptop, SMS_PHONE_NUMBER)
    assert stack.deploy({"Resources": others | template(VOICE)["Resources"]}) == "UPDATE_COMPLETE"
    second = stack.physical_ids["Number"]

    assert_rolled_back(stack, {"Resources": others | template(SIMULATOR)["Resources"]}, "NotUpdatable", second)

    assert {kept, second} <= set(laptop.ids())


def backdate(laptop: Laptop, seconds: float) -> None:
    """Make every recorded purchase older."""
    for row in laptop.purchases():
        for name in ("issued_at", "opened_at", "response_accepted_at"):
            laptop.dynamodb.update_item(
                TableName=laptop.table,
                Key={"pk": row["pk"], "sk": row["sk"]},
                UpdateExpression="SET #name = :then",
                ExpressionAttributeNames={"#name": name},
                ExpressionAttributeValues={":then": {"N": str(int(time.time() - seconds))}},
            )


@pytest.mark.parametrize("age", [7200, 14 * 86_400], ids=["hours", "weeks"])
def test_retained_number_is_not_released_for_a_create_that_never_arrived(laptop: Laptop, age: int) -> None:
    kept = create(laptop, SMS_PHONE_NUMBER)
    backdate(laptop, age)

    assert delete(laptop, SMS_PHONE_NUMBER)["Status"] == "SUCCESS"
    assert laptop.ids() == [kept]


# -- late and failed requests ------------------------------------------------------------------------------------------


def test_late_update_does_not_release_number_of_newer_update(laptop: Laptop) -> None:
    kind = SMS_PHONE_NUMBER
    first = create(laptop, kind, issued_at=time.time() - 60)
    second = update(laptop, kind, first, replacing(kind))["PhysicalResourceId"]

    update(laptop, kind, first, kind.properties | {"Trigger": "1"}, issued_at=time.time() - 30)

    assert set(laptop.ids()) == {first, second}


def test_protection_of_replacement_counts_after_a_skipped_rollback(laptop: Laptop) -> None:
    """The rollback to the first number failed; the operator skipped it and continued with the second number."""
    kind = SMS_PHONE_NUMBER
    before, after = SIMULATOR | {"SelfManagedOptOutsEnabled": "false"}, VOICE | {"AllowReplacement": "true"}
    first = create(laptop, kind, properties=before)
    second = update(laptop, kind, first, after, old_properties=before)["PhysicalResourceId"]
    laptop.sms.update_phone_number(PhoneNumberId=first, SelfManagedOptOutsEnabled=True)
    laptop.telecom.fault(SMS, "UpdatePhoneNumber", "error", **DENIED)
    rolled_back = update(laptop, kind, second, before, old_properties=after)
    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("FAILED", second)

    continued = update(laptop, kind, second, VOICE | PROTECTED, old_properties=before)
    assert (continued["Status"], continued["PhysicalResourceId"]) == ("SUCCESS", second)

    gone = delete(laptop, kind, second, properties=VOICE | PROTECTED)
    assert_reason(gone, "ResourceConflict", "DeletionProtectionEnabled")
    assert second in laptop.ids()


def test_rollback_succeeds_if_replacement_cannot_be_released_and_its_delete_fails(laptop: Laptop) -> None:
    """CloudFormation never got the response of the replacement, which has been registered since."""
    kind, began = SMS_PHONE_NUMBER, time.time()
    first = create(laptop, kind, issued_at=began - 20)
    second = update(laptop, kind, first, replacing(kind), issued_at=began - 10)["PhysicalResourceId"]
    laptop.telecom.fault(SMS, "ReleasePhoneNumber", "error", **IN_REVIEW)

    rolled_back = update(laptop, kind, first, kind.properties, old_properties=replacing(kind))

    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("SUCCESS", first)
    assert set(laptop.ids()) == {first, second}
    laptop.telecom.fault(SMS, "ReleasePhoneNumber", "error", after=1, **IN_REVIEW)
    refused = delete(laptop, kind, first)
    assert (refused["Status"], refused["PhysicalResourceId"]) == ("FAILED", first)
    assert delete(laptop, kind, first)["Status"] == "SUCCESS"
    assert laptop.ids() == []
