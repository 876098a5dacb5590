"""A change that needs a new number: refused unless allowed, and a rollback ends with the first one alive."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.conftest import SMS, STACK_ID, Laptop
from tests.contract.cloudformation import Stack
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, Kind, template, with_failing_sibling

VOICE = SIMULATOR | {"NumberCapabilities": ["VOICE"]}


def created(laptop: Laptop, kind: Kind, **more: Any) -> tuple[Stack, str]:
    """A stack that holds one, and its id."""
    stack = laptop.cloudformation.stack("numbers")
    assert stack.deploy(template(kind.properties | more, kind)) == "CREATE_COMPLETE", stack.reasons("Number")
    return stack, stack.physical_ids["Number"]


@pytest.mark.shows("a change that needs another number")
def test_a_replacement_is_refused_and_the_reason_says_what_would_allow_it(laptop: Laptop, kind: Kind) -> None:
    stack, first = created(laptop, kind)
    spent = laptop.calls().get(kind.buys)

    assert stack.deploy(template(kind.properties | kind.replacing, kind)) == "UPDATE_ROLLBACK_COMPLETE"

    reason = stack.reasons("Number")[0]
    assert "NotUpdatable" in reason
    assert f"set AllowReplacement: {first}" in reason
    for name in kind.replacing:
        assert name in reason
    assert laptop.ids() == [first]
    assert laptop.calls().get(kind.buys) == spent


@pytest.mark.parametrize("allowed", ["false", "phone-00000000000000000000000000000000"])
def test_the_permission_for_another_number_is_none(laptop: Laptop, kind: Kind, allowed: object) -> None:
    stack, first = created(laptop, kind)

    stack.deploy(template(kind.properties | kind.replacing | {"AllowReplacement": allowed}, kind))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert laptop.ids() == [first]


@pytest.mark.shows("a change that needs another number", "the cleanup after a replacement")
def test_a_replacement_that_is_allowed_buys_one_and_releases_the_old_one_after_the_update(
    laptop: Laptop, kind: Kind
) -> None:
    stack, first = created(laptop, kind)

    made = laptop.calls_of(
        lambda: stack.deploy(template(kind.properties | kind.replacing | {"AllowReplacement": True}, kind))
    )

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    second = stack.physical_ids["Number"]
    assert second != first
    assert laptop.ids() == [second]
    assert (made[kind.buys], made[kind.releases]) == (1, 1)
    assert stack.sent("Number")[-1] == ("Delete", first)


def test_a_permission_by_id_re_arms_itself(laptop: Laptop, kind: Kind) -> None:
    stack, first = created(laptop, kind)
    allowed = {"AllowReplacement": first}
    assert stack.deploy(template(kind.properties | kind.replacing | allowed, kind)) == "UPDATE_COMPLETE"
    second = stack.physical_ids["Number"]
    assert laptop.ids() == [second]

    assert stack.deploy(template(kind.properties | allowed, kind)) == "UPDATE_ROLLBACK_COMPLETE"

    assert "NotUpdatable" in stack.reasons("Number")[0]
    assert laptop.ids() == [second]
    assert laptop.calls()[kind.buys] == 2


def test_every_create_only_property_is_refused_in_place(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | {"NumberType": "TOLL_FREE"}))
    changes: list[dict[str, Any]] = [
        {"IsoCountryCode": "CA"},
        {"NumberType": "SIMULATOR"},
        {"NumberCapabilities": ["SMS", "VOICE"]},
        {"MessageType": "PROMOTIONAL"},
        {"RegistrationId": "registration-0123"},
    ]

    for number, change in enumerate(changes, start=1):
        stack.deploy(template(SIMULATOR | {"NumberType": "TOLL_FREE"} | change))
        refused = stack.reasons("Number")
        assert len(refused) == number, change
        assert "NotUpdatable" in refused[-1]
        assert next(iter(change)) in refused[-1]

    assert laptop.calls(SMS)["RequestPhoneNumber"] == 1


def test_one_reason_names_every_property_that_needs_a_new_one(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | {"NumberType": "TOLL_FREE"}))

    stack.deploy(template(SIMULATOR | {"NumberType": "LONG_CODE", "IsoCountryCode": "CA"}))

    [reason] = stack.reasons("Number")
    assert "NumberType (is TOLL_FREE, declared LONG_CODE)" in reason
    assert "IsoCountryCode (is US, declared CA)" in reason


def test_a_protected_number_is_not_replaced_and_nothing_is_bought_for_it(laptop: Laptop) -> None:
    stack, first = created(laptop, SMS_PHONE_NUMBER, DeletionProtectionEnabled=True)

    stack.deploy(template(VOICE | {"DeletionProtectionEnabled": True, "AllowReplacement": True}))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert "has deletion protection on" in stack.reasons("Number")[0]
    assert "in an update of its own first" in stack.reasons("Number")[0]
    assert laptop.ids() == [first]
    assert laptop.calls(SMS)["RequestPhoneNumber"] == 1


def test_a_number_in_a_pool_is_not_replaced_and_nothing_is_bought_for_it(laptop: Laptop) -> None:
    other = laptop.sms.request_phone_number(**SIMULATOR, MessageType="TRANSACTIONAL")["PhoneNumberId"]
    pool = laptop.sms.create_pool(OriginationIdentity=other, IsoCountryCode="US", MessageType="TRANSACTIONAL")["PoolId"]
    stack, first = created(laptop, SMS_PHONE_NUMBER, PoolId=pool)
    spent = laptop.calls(SMS)["RequestPhoneNumber"]

    stack.deploy(template(VOICE | {"PoolId": pool, "AllowReplacement": first}))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert f"is in {pool}" in stack.reasons("Number")[0]
    assert sorted(laptop.ids()) == sorted([other, first])
    assert laptop.calls(SMS)["RequestPhoneNumber"] == spent


def test_protection_lifted_in_the_same_update_does_not_let_a_number_be_replaced(laptop: Laptop) -> None:
    stack, first = created(laptop, SMS_PHONE_NUMBER, DeletionProtectionEnabled=True)

    stack.deploy(template(VOICE | {"DeletionProtectionEnabled": False, "AllowReplacement": True}))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert laptop.ids() == [first]


# -- rollbacks ---------------------------------------------------------------------------------------------------------


@pytest.mark.shows("the rollback of a change that failed half way")
def test_an_update_in_place_that_failed_half_way_is_rolled_back_to_what_was_declared(laptop: Laptop) -> None:
    stack, first = created(
        laptop, SMS_PHONE_NUMBER, OptOutListName="Default", MandatoryKeywords={"HELP": {"Message": "One."}}
    )

    # The keyword is through, the list is unknown.
    stack.deploy(
        template(SIMULATOR | {"OptOutListName": "nowhere", "MandatoryKeywords": {"HELP": {"Message": "Two."}}})
    )

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.physical_ids["Number"] == first
    [keyword] = laptop.sms.describe_keywords(OriginationIdentity=first, Keywords=["HELP"])["Keywords"]
    assert keyword["KeywordMessage"] == "One."


@pytest.mark.parametrize("named", ["old", "new"])
def test_a_replacement_whose_sibling_failed_ends_with_the_first_number_alive(
    laptop: Laptop, kind: Kind, named: Any
) -> None:
    laptop.cloudformation.failed_update_id = named
    stack, first = created(laptop, kind)

    changed = with_failing_sibling(kind.properties | kind.replacing | {"AllowReplacement": True}, kind)
    assert stack.deploy(changed) == "UPDATE_ROLLBACK_COMPLETE", stack.reasons("Number")

    assert laptop.calls()[kind.buys] == 2
    assert stack.physical_ids["Number"] == first
    assert laptop.ids() == [first]
    assert stack.delete() == "DELETE_COMPLETE"
    assert laptop.held() == {}


def test_a_rolled_back_replacement_that_declared_protection_leaves_nothing_behind(laptop: Laptop) -> None:
    stack, first = created(laptop, SMS_PHONE_NUMBER)

    stack.deploy(with_failing_sibling(VOICE | {"AllowReplacement": True, "DeletionProtectionEnabled": True}))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.dropped == [], "CloudFormation let go, silently, of a number that is still paid for"
    assert laptop.ids() == [first]


def test_a_rolled_back_replacement_that_joined_a_pool_leaves_nothing_behind(laptop: Laptop) -> None:
    other = laptop.sms.request_phone_number(**SIMULATOR, MessageType="TRANSACTIONAL")["PhoneNumberId"]
    pool = laptop.sms.create_pool(OriginationIdentity=other, IsoCountryCode="US", MessageType="TRANSACTIONAL")["PoolId"]
    stack, first = created(laptop, SMS_PHONE_NUMBER)

    stack.deploy(with_failing_sibling(VOICE | {"AllowReplacement": True, "PoolId": pool}))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.dropped == [], "CloudFormation let go, silently, of a number that is still paid for"
    assert sorted(laptop.ids()) == sorted([other, first])


def test_a_number_is_replaced_again_after_a_rolled_back_replacement(laptop: Laptop, kind: Kind) -> None:
    stack, first = created(laptop, kind)
    allowed = kind.properties | kind.replacing | {"AllowReplacement": True}
    stack.deploy(with_failing_sibling(allowed, kind))

    assert stack.deploy(template(allowed, kind)) == "UPDATE_COMPLETE", stack.reasons("Number")

    assert laptop.ids() == [stack.physical_ids["Number"]]
    assert laptop.ids() != [first]
    assert laptop.calls()[kind.buys] == 3


@pytest.mark.shows("a replacement that fails half way")
@pytest.mark.parametrize("named", ["old", "new"])
def test_a_replacement_that_fails_midway_answers_the_old_id_and_releases_the_new_one(
    laptop: Laptop, named: Any
) -> None:
    laptop.cloudformation.failed_update_id = named
    stack, first = created(laptop, SMS_PHONE_NUMBER)
    # The new number can be bought, but not be set up.
    laptop.telecom.fault(SMS, "UpdatePhoneNumber", "error", code="AccessDeniedException", message="No.")

    stack.deploy(template(VOICE | {"AllowReplacement": True, "SelfManagedOptOutsEnabled": True}))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert "AccessDenied" in stack.reasons("Number")[0]
    assert laptop.calls(SMS)["RequestPhoneNumber"] == 2
    assert laptop.ids() == [first]
    assert all(physical_id in ("", first) for _, physical_id in stack.sent("Number"))


@pytest.mark.shows("a replacement that fails half way")
def test_a_replacement_that_cannot_be_released_again_answers_the_new_id_so_that_its_delete_comes(
    laptop: Laptop,
) -> None:
    stack, first = created(laptop, SMS_PHONE_NUMBER)
    laptop.telecom.fault(SMS, "UpdatePhoneNumber", "error", code="AccessDeniedException", message="No.")
    laptop.telecom.fault(SMS, "ReleasePhoneNumber", "error", code="AccessDeniedException", message="No.")

    stack.deploy(template(VOICE | {"AllowReplacement": True, "SelfManagedOptOutsEnabled": True}))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert laptop.ids() == [first]


def test_a_replacement_whose_purchase_is_refused_keeps_the_old_one_and_its_id(laptop: Laptop, kind: Kind) -> None:
    stack, first = created(laptop, kind)
    laptop.telecom.fault(
        kind.service, kind.operation, "error", code="ServiceQuotaExceededException", message="No more.", status=402
    )

    stack.deploy(template(kind.properties | kind.replacing | {"AllowReplacement": True}, kind))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert "ServiceLimitExceeded" in stack.reasons("Number")[0]
    assert laptop.ids() == [first]
    assert all(physical_id in ("", first) for _, physical_id in stack.sent("Number"))


@pytest.mark.shows("a replacement whose answer is lost")
def test_a_replacement_whose_answer_is_lost_is_released_by_the_rollback_update(laptop: Laptop, kind: Kind) -> None:
    # CloudFormation stops listening after a moment, when the provider still believes that it has time.
    laptop.cloudformation.time_scale = 0.01
    stack, first = created(laptop, kind)
    laptop.sink.fail_next(None, "403", 4)  # every run of the Update, and the last resort

    changed = kind.properties | kind.replacing | {"AllowReplacement": True, "ServiceTimeout": 60}
    stack.deploy(template(changed, kind))
    laptop.invoker.settle(30)

    assert "did not receive a response" in stack.reasons("Number")[0]
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert laptop.calls()[kind.buys] == 2
    assert laptop.ids() == [first]
    assert stack.sent("Number")[-1] == ("Update", first)


@pytest.mark.shows("a replacement whose answer is lost")
def test_a_replacement_in_another_country_whose_purchase_was_never_seen_is_found_by_the_rollback(
    laptop: Laptop,
) -> None:
    properties = {"IsoCountryCode": "US", "NumberType": "TOLL_FREE", "NumberCapabilities": ["SMS"]}
    elsewhere = {"IsoCountryCode": "CA", "NumberType": "LONG_CODE", "NumberCapabilities": ["SMS"]}
    fields: dict[str, Any] = {"resource_type": "Custom::SmsPhoneNumber"}
    first = laptop.send("Create", properties=properties, **fields)["PhysicalResourceId"]
    # It is bought, its answer is lost, and then the service says nothing more, until after the last resort.
    laptop.telecom.fault(SMS, "RequestPhoneNumber", "lose_answer")
    laptop.telecom.fault(SMS, "DescribePhoneNumbers", "error", code="InternalServerException", after=1, times=99)
    laptop.telecom.fault(SMS, "RequestPhoneNumber", "error", code="InternalServerException", times=99)

    failed = laptop.send(
        "Update",
        physical_id=first,
        properties=elsewhere | {"AllowReplacement": True},
        old_properties=properties,
        **fields,
    )
    assert (failed["Status"], failed["PhysicalResourceId"]) == ("FAILED", first)
    assert laptop.held() == {"phone_numbers": 2}
    laptop.telecom.clear_faults()

    rolled_back = laptop.send(
        "Update",
        physical_id=first,
        properties=properties,
        old_properties=elsewhere | {"AllowReplacement": True},
        **fields,
    )

    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("SUCCESS", first)
    assert laptop.ids() == [first]


def test_a_replacement_cancelled_while_it_is_being_bought_ends_with_the_first_number_alive(
    laptop: Laptop, kind: Kind
) -> None:
    stack, first = created(laptop, kind)
    laptop.telecom.fault(kind.service, kind.operation, "hang", seconds=0.4, when="after")
    laptop.invoker.disturb("late", lambda event: event["LogicalResourceId"] == "Sibling", seconds=0.2)

    changed = kind.properties | kind.replacing | {"AllowReplacement": True}
    stack.deploy(with_failing_sibling(changed, kind, waits=False))
    laptop.invoker.settle(30)

    assert "Resource update cancelled" in stack.reasons("Number")[0]
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert laptop.calls()[kind.buys] == 2
    assert laptop.ids() == [first]


def test_a_replacement_that_arrives_after_its_rollback_buys_nothing_that_stays(laptop: Laptop, kind: Kind) -> None:
    stack, first = created(laptop, kind)
    laptop.cloudformation.rollback_delay = 1.1  # the rollback is issued in another second
    laptop.invoker.disturb(
        "late", lambda event: (event["LogicalResourceId"], event["RequestType"]) == ("Number", "Update"), seconds=1.6
    )

    changed = kind.properties | kind.replacing | {"AllowReplacement": True}
    stack.deploy(with_failing_sibling(changed, kind, waits=False))
    laptop.invoker.settle(30)

    assert "Resource update cancelled" in stack.reasons("Number")[0]
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert laptop.ids() == [first], "nobody will ever name the new one"


# -- numbers that a policy kept ----------------------------------------------------------------------------------------


def test_a_number_that_an_update_replace_policy_keeps_is_never_released(laptop: Laptop, kind: Kind) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(kind.properties, kind, UpdateReplacePolicy="Retain"))
    first = stack.physical_ids["Number"]
    allowed = kind.properties | kind.replacing | {"AllowReplacement": True}

    assert stack.deploy(template(allowed, kind, UpdateReplacePolicy="Retain")) == "UPDATE_COMPLETE"
    second = stack.physical_ids["Number"]
    assert sorted(laptop.ids()) == sorted([first, second])

    assert stack.delete() == "DELETE_COMPLETE"
    assert laptop.ids() == [first]


def redeclared(laptop: Laptop, kind: Kind, properties: dict[str, Any]) -> tuple[Stack, str]:
    """A stack that kept a number, and declares the same logical id again; and the id of the number that was kept."""
    stack = laptop.cloudformation.stack("numbers")
    anchor = {"Type": "Custom::SmsPhoneNumber", "Properties": SIMULATOR | {"NumberCapabilities": ["VOICE", "SMS"]}}
    first = template(kind.properties, kind, DeletionPolicy="Retain")
    first["Resources"]["Anchor"] = anchor
    stack.deploy(first)
    kept = stack.physical_ids["Number"]
    assert stack.deploy({"Resources": {"Anchor": anchor}}) == "UPDATE_COMPLETE"
    assert stack.retained == [("Number", kept)]
    again = template(properties, kind)
    again["Resources"]["Anchor"] = anchor
    stack.deploy(again)
    return stack, kept


def test_a_retained_number_stays_when_its_logical_id_is_declared_again_and_that_creation_fails(
    laptop: Laptop, kind: Kind
) -> None:
    stack, kept = redeclared(laptop, kind, kind.properties | {"Colour": "red"})

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert kept in laptop.ids()


def test_a_retained_number_stays_when_the_new_creation_is_cancelled_half_way(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    anchor = {"Type": "Custom::SmsPhoneNumber", "Properties": SIMULATOR | {"NumberCapabilities": ["VOICE", "SMS"]}}
    first = template(SIMULATOR, DeletionPolicy="Retain")
    first["Resources"]["Anchor"] = anchor
    stack.deploy(first)
    kept, anchored = stack.physical_ids["Number"], stack.physical_ids["Anchor"]
    stack.deploy({"Resources": {"Anchor": anchor}})
    laptop.telecom.fault(SMS, "RequestPhoneNumber", "hang", seconds=0.3, when="after")

    again = with_failing_sibling(SIMULATOR, waits=False)
    again["Resources"]["Anchor"] = anchor
    assert stack.deploy(again) == "UPDATE_ROLLBACK_COMPLETE"
    laptop.invoker.settle(30)

    assert "Resource creation cancelled" in stack.reasons("Number")[0]
    assert sorted(laptop.ids()) == sorted([kept, anchored])


def test_a_retained_number_is_no_replacement_that_nobody_allowed(laptop: Laptop) -> None:
    """Coming back to what an earlier declaration was like is a change of the present number: it would go for good."""
    stack, kept = redeclared(laptop, SMS_PHONE_NUMBER, VOICE)
    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    second = stack.physical_ids["Number"]
    changed = template(SIMULATOR)
    changed["Resources"]["Anchor"] = {
        "Type": "Custom::SmsPhoneNumber",
        "Properties": SIMULATOR | {"NumberCapabilities": ["VOICE", "SMS"]},
    }

    stack.deploy(changed)

    assert {kept, second} <= set(laptop.ids())
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert "NotUpdatable" in stack.reasons("Number")[0]


def test_a_number_that_was_kept_weeks_ago_is_not_released_by_the_delete_of_a_creation_nobody_answered(
    laptop: Laptop,
) -> None:
    weeks_ago = time.time() - 14 * 86_400
    properties = SIMULATOR
    intent_of = {"resource_type": "Custom::SmsPhoneNumber", "properties": properties}
    kept = laptop.send("Create", **intent_of)["PhysicalResourceId"]
    [row] = laptop.purchases()
    for name in ("issued_at", "opened_at", "response_accepted_at"):
        laptop.dynamodb.update_item(
            TableName=laptop.table,
            Key={"pk": row["pk"], "sk": row["sk"]},
            UpdateExpression="SET #name = :then",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":then": {"N": str(int(weeks_ago))}},
        )

    answer = laptop.send("Delete", physical_id="example-Number-ABCDEFGHIJKL", **intent_of)

    assert answer["Status"] == "SUCCESS"
    assert laptop.ids() == [kept]


def test_a_number_that_was_kept_is_not_released_for_a_creation_that_never_arrived(laptop: Laptop) -> None:
    """Kept two hours ago, its creation answered and taken; the new creation of its logical id is lost in a queue."""
    fields: dict[str, Any] = {"resource_type": "Custom::SmsPhoneNumber", "properties": SIMULATOR}
    kept = laptop.send("Create", **fields)
    for row in laptop.purchases():
        for name in ("issued_at", "opened_at", "response_accepted_at"):
            laptop.dynamodb.update_item(
                TableName=laptop.table,
                Key={"pk": row["pk"], "sk": row["sk"]},
                UpdateExpression="SET #name = :then",
                ExpressionAttributeNames={"#name": name},
                ExpressionAttributeValues={":then": {"N": str(int(time.time()) - 7200)}},
            )

    answer = laptop.send("Delete", physical_id="example-Number-ABCDEFGHIJKL", **fields)

    assert answer["Status"] == "SUCCESS"
    assert laptop.ids() == [kept["PhysicalResourceId"]]


def test_an_update_that_comes_late_does_not_release_what_a_newer_update_brought(laptop: Laptop) -> None:
    fields: dict[str, Any] = {"resource_type": "Custom::SmsPhoneNumber"}
    first = laptop.send("Create", properties=SIMULATOR, issued_at=time.time() - 60, **fields)["PhysicalResourceId"]
    changed = VOICE | {"AllowReplacement": True}
    newer = laptop.send("Update", physical_id=first, properties=changed, old_properties=SIMULATOR, **fields)
    second = newer["PhysicalResourceId"]

    laptop.send(
        "Update",
        physical_id=first,
        properties=SIMULATOR | {"Trigger": "1"},
        old_properties=SIMULATOR,
        issued_at=datetime.now(UTC).timestamp() - 30,
        **fields,
    )

    assert set(laptop.ids()) == {first, second}


def test_a_replacement_bought_for_a_forged_stack_is_told_apart(laptop: Laptop) -> None:
    """The same logical id in another stack: nothing of this stack's history is touched."""
    fields: dict[str, Any] = {"resource_type": "Custom::SmsPhoneNumber"}
    first = laptop.send("Create", properties=SIMULATOR, **fields)["PhysicalResourceId"]
    other_stack = STACK_ID.replace("/example/", "/other/")

    answer = laptop.send(
        "Update", stack_id=other_stack, physical_id=first, properties=VOICE, old_properties=SIMULATOR, **fields
    )

    assert answer["Status"] == "FAILED"
    assert "not managed by this resource" in answer["Reason"]
    assert laptop.calls(SMS)["RequestPhoneNumber"] == 1


def test_a_promise_taken_back_is_given_again_when_the_number_stays_after_all(laptop: Laptop) -> None:
    """The rollback went back to the first number and failed there; an operator skipped it, and went on with the second.

    The second one is then a declared number like any other: its protection counts.
    """
    fields: dict[str, Any] = {"resource_type": SMS_PHONE_NUMBER.type}
    before = SIMULATOR | {"SelfManagedOptOutsEnabled": "false"}
    after = VOICE | {"AllowReplacement": "true"}
    first = laptop.send("Create", properties=before, **fields)["PhysicalResourceId"]
    second = laptop.send("Update", physical_id=first, properties=after, old_properties=before, **fields)
    second_id = second["PhysicalResourceId"]
    laptop.sms.update_phone_number(PhoneNumberId=first, SelfManagedOptOutsEnabled=True)
    laptop.telecom.fault(SMS, "UpdatePhoneNumber", "error", code="AccessDeniedException", message="No.")
    rolled_back = laptop.send("Update", physical_id=second_id, properties=before, old_properties=after, **fields)
    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("FAILED", second_id)

    protected = VOICE | {"DeletionProtectionEnabled": "true"}
    kept = laptop.send("Update", physical_id=second_id, properties=protected, old_properties=before, **fields)
    assert (kept["Status"], kept["PhysicalResourceId"]) == ("SUCCESS", second_id)
    gone = laptop.send("Delete", physical_id=second_id, properties=protected, **fields)

    assert gone["Status"] == "FAILED"
    assert "DeletionProtectionEnabled: false" in gone["Reason"]
    assert second_id in laptop.ids()


def test_a_rollback_succeeds_though_the_new_number_cannot_go_and_its_delete_tells(laptop: Laptop) -> None:
    """CloudFormation never got the answer of the replacement; what it brought is tied to a registration since."""
    fields: dict[str, Any] = {"resource_type": SMS_PHONE_NUMBER.type}
    after = VOICE | {"AllowReplacement": "true"}
    began = time.time()
    first = laptop.send("Create", properties=SIMULATOR, issued_at=began - 20, **fields)["PhysicalResourceId"]
    update = {"physical_id": first, "properties": after, "old_properties": SIMULATOR}
    second = laptop.send("Update", issued_at=began - 10, **update, **fields)["PhysicalResourceId"]
    tied = {"code": "ConflictException", "reason": "PHONE_NUMBER_ASSOCIATED_TO_REGISTRATION"}
    laptop.telecom.fault(SMS, "ReleasePhoneNumber", "error", **tied)

    back = laptop.send("Update", physical_id=first, properties=SIMULATOR, old_properties=after, **fields)

    assert (back["Status"], back["PhysicalResourceId"]) == ("SUCCESS", first)
    assert set(laptop.ids()) == {first, second}
    laptop.telecom.fault(SMS, "ReleasePhoneNumber", "error", after=1, **tied)
    refused = laptop.send("Delete", physical_id=first, properties=SIMULATOR, **fields)
    assert (refused["Status"], refused["PhysicalResourceId"]) == ("FAILED", first)
    assert laptop.send("Delete", physical_id=first, properties=SIMULATOR, **fields)["Status"] == "SUCCESS"
    assert laptop.ids() == []
