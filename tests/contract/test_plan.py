"""`telephony plan` shows what a change set does to each number, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import SECRET, Configure, Harness, connect_instance
from tests.contract.cloudformation import Stack
from tests.contract.command_line import PROVIDER_ID, Result, Telephony, telephony
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, connect_phone_number, template
from tests.contract.steps import DENIED, create, create_pool, fault, join_pool, protect, request_number

__all__ = ["telephony"]

REPLACES: dict[str, Any] = {"NumberCapabilities": ["VOICE"], "AllowReplacement": True}


def deployed(harness: Harness, kind: Kind = SMS_PHONE_NUMBER, **properties: Any) -> Stack:
    """Return a new stack with one resource, Number."""
    stack = harness.cloudformation.stack("numbers")
    assert stack.deploy(template(kind.properties | properties, kind)) == "CREATE_COMPLETE", stack.reasons("Number")
    return stack


def planned(telephony: Telephony, stack: Stack, declared: dict[str, Any], *options: str, **more: Any) -> Result:
    """Run `telephony plan` for a change set of this template."""
    name = stack.change_set("next", declared, **more)
    return telephony("plan", "--stack-name", stack.name, "--change-set-name", name, *options)


def row(telephony: Telephony, stack: Stack, declared: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the only resource of a plan."""
    result = planned(telephony, stack, declared, "--output", "json", **more)
    assert result.code == 0, result.err
    [only] = result.document["resources"]
    found: dict[str, Any] = only
    return found


def values(*, shown: bool, after: str | None) -> dict[str, Any]:
    return {"before": None, "after": after, "shown": shown, "known_after_apply": False}


def test_new_resource_purchases(harness: Harness, telephony: Telephony, kind: Kind) -> None:
    found = row(telephony, harness.cloudformation.stack("numbers"), template(kind.properties, kind))

    assert (found["effect"], found["physical_id"], found["number"]) == ("PURCHASED", None, None)
    assert found["monthly_price"] == {"before": "0.00", "after": None}, "no number of the account shows its price"
    assert harness.held() == {}


def test_price_is_that_of_a_live_number_of_the_same_country_and_type(harness: Harness, telephony: Telephony) -> None:
    deployed(harness)
    other = harness.cloudformation.stack("others")
    [live] = harness.sms.describe_phone_numbers()["PhoneNumbers"]

    found = row(telephony, other, template(SIMULATOR))

    assert found["monthly_price"]["after"] == f"{float(live['MonthlyLeasingPrice']):.2f}"


def test_in_place_change_is_named_with_its_values(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)

    found = row(telephony, stack, template(SIMULATOR | {"SelfManagedOptOutsEnabled": True, "OptOutListName": "brand"}))

    assert found["effect"] == "CHANGED"
    hidden, shown = found["properties"]
    assert hidden == {"name": "OptOutListName", **values(shown=False, after=None)}
    assert shown == {"name": "SelfManagedOptOutsEnabled", **values(shown=True, after="true")}
    assert found["physical_id"] == stack.physical_ids["Number"]
    assert found["number"].startswith("+1")


def test_every_in_place_change_is_foreseen(harness: Harness, telephony: Telephony, kind: Kind) -> None:
    stack = deployed(harness, kind)

    found = row(telephony, stack, template(kind.properties | kind.in_place, kind))

    assert found["effect"] == "CHANGED"
    assert all(name in found["reason"] for name in kind.in_place)


def test_change_of_tags_and_keywords_is_in_place(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    changes = {"Tags": [{"Key": "team", "Value": "x"}], "MandatoryKeywords": {"HELP": {"Message": "Call us."}}}

    found = row(telephony, stack, template(SIMULATOR | changes))

    assert (found["effect"], found["reason"]) == ("CHANGED", "Changed in place: MandatoryKeywords, Tags.")


def test_change_that_the_number_already_has_changes_nothing(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)

    found = row(telephony, stack, template(SIMULATOR | {"Trigger": "again"}))

    assert found["effect"] == "UNCHANGED"


def test_replacement_without_permission_is_refused_with_its_reason(
    harness: Harness, telephony: Telephony, kind: Kind
) -> None:
    stack = deployed(harness, kind)

    found = row(telephony, stack, template(kind.properties | kind.replacing, kind))

    assert found["effect"] == "REFUSED"
    assert "AllowReplacement" in found["reason"]
    assert all(name in found["reason"] for name in kind.replacing)


def test_replacement_releases_the_current_number_and_purchases_another(
    harness: Harness, telephony: Telephony, kind: Kind
) -> None:
    stack = deployed(harness, kind)

    found = row(telephony, stack, template(kind.properties | kind.replacing | {"AllowReplacement": True}, kind))

    assert (found["effect"], found["then"]) == ("REPLACED", ["RELEASED", "PURCHASED"])


def test_plan_of_a_replacement_comes_true(harness: Harness, telephony: Telephony) -> None:
    stack, declared = deployed(harness), template(SIMULATOR | REPLACES)
    before = stack.physical_ids["Number"]
    found = row(telephony, stack, declared)

    assert stack.deploy(declared) == "UPDATE_COMPLETE"

    assert found["physical_id"] == before
    assert (harness.ids(), stack.physical_ids["Number"]) == ([stack.physical_ids["Number"]], harness.ids()[0])
    assert harness.ids() != [before]


@pytest.mark.parametrize(
    ("properties", "policies", "expected"),
    [
        ({"RecoveryWindowInDays": 7}, {}, ["PENDING_RELEASE", "PURCHASED"]),
        ({}, {"UpdateReplacePolicy": "Retain"}, ["RETAINED", "PURCHASED"]),
    ],
)
def test_replacement_keeps_the_current_number_under_a_window_or_policy(
    harness: Harness, telephony: Telephony, properties: Any, policies: Any, expected: list[str]
) -> None:
    stack = deployed(harness, **properties)

    found = row(telephony, stack, template(SIMULATOR | properties | REPLACES, **policies))

    assert (found["effect"], found["then"]) == ("REPLACED", expected)
    before, after = (float(found["monthly_price"][name]) for name in ("before", "after"))
    assert after == 2 * before, "both numbers are billed"


def test_replacement_of_protected_or_pooled_number_is_refused(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    pool = create_pool(harness)
    join_pool(harness, pool, stack.physical_ids["Number"])

    found = row(telephony, stack, template(SIMULATOR | REPLACES))

    assert found["effect"] == "REFUSED"
    assert pool in found["reason"]


@pytest.mark.parametrize(
    ("properties", "policies", "effect"),
    [
        ({}, {}, "RELEASED"),
        ({"RecoveryWindowInDays": 30}, {}, "PENDING_RELEASE"),
        ({"RecoveryWindowInDays": 30}, {"DeletionPolicy": "Retain"}, "RETAINED"),
    ],
)
def test_removed_resource_loses_or_keeps_its_number(
    harness: Harness, telephony: Telephony, properties: Any, policies: Any, effect: str
) -> None:
    stack = harness.cloudformation.stack("numbers")
    declared = template(SIMULATOR | properties, **policies)
    declared["Resources"]["Other"] = {"Type": "Custom::SmsPhoneNumber", "Properties": SIMULATOR}
    assert stack.deploy(declared) == "CREATE_COMPLETE"
    del declared["Resources"]["Number"]

    found = row(telephony, stack, declared)

    assert (found["logical_id"], found["effect"]) == ("Number", effect)
    assert (found["monthly_price"]["after"] == "0.00") is (effect == "RELEASED")


def without_number(stack: Stack) -> dict[str, Any]:
    """Return a template in which Number is replaced by a resource that changes nothing here."""
    del stack
    return {"Resources": {"Other": {"Type": "Custom::SmsPhoneNumber", "Properties": SIMULATOR}}}


def test_provider_default_of_the_recovery_window_applies(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    harness.stacks.stacks[PROVIDER_ID].parameters["RecoveryWindowInDays"] = "14"

    result = planned(telephony, stack, without_number(stack), "--output", "json")

    effects = {each["logical_id"]: each["effect"] for each in result.document["resources"]}
    assert effects == {"Number": "PENDING_RELEASE", "Other": "PURCHASED"}
    assert result.document["effects"] == {"PENDING_RELEASE": 1, "PURCHASED": 1}


def test_removal_of_a_protected_number_is_refused(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    protect(harness, stack.physical_ids["Number"])

    result = planned(telephony, stack, without_number(stack), "--output", "json")

    number = next(each for each in result.document["resources"] if each["logical_id"] == "Number")
    assert number["effect"] == "REFUSED"
    assert "protection" in number["reason"]


def test_number_pending_release_is_taken_back(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness, RecoveryWindowInDays=7)
    physical_id = stack.physical_ids["Number"]
    assert stack.delete() == "DELETE_COMPLETE"

    found = row(telephony, harness.cloudformation.stack("numbers"), template(SIMULATOR))

    assert (found["effect"], found["physical_id"]) == ("TAKEN_BACK", physical_id)
    assert found["monthly_price"]["before"] == found["monthly_price"]["after"]


def test_number_of_another_resource_is_reused(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness, RecoveryWindowInDays=7, OnDelete={"AllowReuse": True})
    physical_id = stack.physical_ids["Number"]
    assert stack.delete() == "DELETE_COMPLETE"

    found = row(telephony, harness.cloudformation.stack("preview"), template(SIMULATOR | {"ReusePendingRelease": True}))

    assert (found["effect"], found["physical_id"]) == ("REUSED", physical_id)


def test_one_number_pending_release_is_reused_once(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness, RecoveryWindowInDays=7, OnDelete={"AllowReuse": True})
    assert stack.delete() == "DELETE_COMPLETE"
    reusing = {"Type": "Custom::SmsPhoneNumber", "Properties": SIMULATOR | {"ReusePendingRelease": True}}

    result = planned(
        telephony,
        harness.cloudformation.stack("preview"),
        {"Resources": {"First": reusing, "Second": reusing}},
        *("--output", "json"),
    )

    assert result.document["effects"] == {"PURCHASED": 1, "REUSED": 1}


def test_sender_id_that_exists_is_refused(harness: Harness, telephony: Telephony) -> None:
    harness.sms.request_sender_id(SenderId="ACME", IsoCountryCode="GB")

    found = row(telephony, harness.cloudformation.stack("brands"), template(SMS_SENDER_ID.properties, SMS_SENDER_ID))

    assert found["effect"] == "REFUSED"
    assert "GB|ACME" in found["reason"]


def test_adoption_is_refused_unless_the_provider_allows_it(harness: Harness, telephony: Telephony) -> None:
    made = harness.sms.request_phone_number(
        IsoCountryCode="US", NumberType="SIMULATOR", NumberCapabilities=["SMS"], MessageType="TRANSACTIONAL"
    )
    stack, declared = harness.cloudformation.stack("numbers"), template(SIMULATOR | {"Adopt": made["PhoneNumber"]})

    assert "AllowAdoption" in row(telephony, stack, declared)["reason"]
    harness.stacks.stacks[PROVIDER_ID].parameters["AllowAdoption"] = "true"
    found = row(telephony, stack, declared)

    assert (found["effect"], found["physical_id"]) == ("ADOPTED", made["PhoneNumberId"])
    conflicting = template(SIMULATOR | {"Adopt": made["PhoneNumberId"], "SelfManagedOptOutsEnabled": True})
    assert "SelfManagedOptOutsEnabled" in row(telephony, stack, conflicting)["reason"]


def test_adoption_that_the_provider_refuses_is_refused(
    harness: Harness, telephony: Telephony, configure: Configure
) -> None:
    configure(ALLOW_ADOPTION="true")
    harness.stacks.stacks[PROVIDER_ID].parameters["AllowAdoption"] = "true"
    held = deployed(harness).physical_ids["Number"]
    tagged = request_number(harness, Tags=[{"Key": f"key{n}", "Value": "x"} for n in range(48)])
    for number, words in ((held, "belongs to the resource Number"), (tagged, "48 tags")):
        declared = template(SIMULATOR | {"Adopt": number})

        found = row(telephony, harness.cloudformation.stack("planned"), declared)

        assert (found["effect"], words in found["reason"]) == ("REFUSED", True), found["reason"]
        stack = harness.cloudformation.stack(f"adopts-{words.split()[0]}")
        assert stack.deploy(declared) == "ROLLBACK_COMPLETE"
        assert words in stack.reasons("Number")[0]


@pytest.mark.parametrize("unknown", ["SenderId", "IsoCountryCode"])
def test_adoption_of_an_unknown_sender_id_is_unknown(harness: Harness, telephony: Telephony, unknown: str) -> None:
    harness.stacks.stacks[PROVIDER_ID].parameters["AllowAdoption"] = "true"
    declared = template(SMS_SENDER_ID.properties | {"Adopt": True}, SMS_SENDER_ID)

    found = row(telephony, harness.cloudformation.stack("brands"), declared, unknown=[unknown])

    assert (found["effect"], found["then"]) == ("UNKNOWN", ["ADOPTED", "REFUSED"])


def test_claim_for_an_unknown_instance_has_the_quota_of_the_account(harness: Harness, telephony: Telephony) -> None:
    kind = connect_phone_number(connect_instance(harness))
    harness.telecom.configure(claim_release_limit=float("inf"), connect_numbers=50)
    for n in range(10):
        create(harness, kind, logical_id=f"Number{n}")

    declared = template(kind.properties, kind)
    found = row(telephony, harness.cloudformation.stack("numbers"), declared, unknown=["TargetArn"])

    assert found["effect"] == "PURCHASED"


def test_replacement_may_purchase_if_a_value_is_known_after_apply(harness: Harness, telephony: Telephony) -> None:
    base = SIMULATOR | {"MessageType": "TRANSACTIONAL", "RecoveryWindowInDays": 7, "AllowReplacement": True}
    stack = deployed(harness, SMS_PHONE_NUMBER, **base)
    changed = {"NumberCapabilities": ["VOICE"]}
    assert stack.deploy(template(base | changed)) == "UPDATE_COMPLETE"

    found = row(telephony, stack, template(base))
    undecided = row(telephony, stack, template(base), unknown=["MessageType"])
    stopped = planned(telephony, stack, template(base), "--fail-on", "buy", unknown=["MessageType"])

    assert (found["effect"], found["then"]) == ("REPLACED", ["PENDING_RELEASE", "TAKEN_BACK"])
    assert found["monthly_price"]["before"] == found["monthly_price"]["after"]
    assert undecided["then"] == ["PENDING_RELEASE", "TAKEN_BACK", "PURCHASED"]
    assert undecided["monthly_price"]["after"] is None
    assert stopped.code == 3


def test_claim_that_the_limit_does_not_allow_is_refused(harness: Harness, telephony: Telephony) -> None:
    kind = connect_phone_number(connect_instance(harness))
    stack = deployed(harness, kind)
    assert stack.delete() == "DELETE_COMPLETE"
    harness.stacks.stacks[PROVIDER_ID].parameters["ConnectPhoneNumberQuota"] = "1"

    found = row(telephony, harness.cloudformation.stack("numbers"), template(kind.properties, kind))

    assert found["effect"] == "REFUSED"
    assert "1 claims" in found["reason"]


def test_invalid_declaration_is_refused(harness: Harness, telephony: Telephony) -> None:
    found = row(telephony, harness.cloudformation.stack("numbers"), template(SIMULATOR | {"NumberTyp": "X"}))

    assert found["effect"] == "REFUSED"
    assert "NumberTyp" in found["reason"]


def test_number_released_by_hand_can_not_be_updated(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    harness.sms.release_phone_number(PhoneNumberId=stack.physical_ids["Number"])

    found = row(telephony, stack, template(SIMULATOR | {"SelfManagedOptOutsEnabled": True}))

    assert found["effect"] == "REFUSED"
    assert "released outside" in found["reason"]


def test_effect_is_unknown_if_a_value_decides_that_is_known_after_apply(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)

    found = row(telephony, stack, template(SIMULATOR), unknown=["NumberCapabilities"])

    assert (found["effect"], found["then"]) == ("UNKNOWN", ["CHANGED", "REFUSED"])
    assert found["properties"][0]["known_after_apply"]
    assert found["monthly_price"]["after"] is None


def test_value_known_after_apply_is_shown_as_such(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)

    result = planned(telephony, stack, template(SIMULATOR), unknown=["OptOutListName"])

    assert "OptOutListName: (not shown) -> (known after apply)" in " ".join(result.out.split())


@pytest.mark.parametrize("what", ["sender ID", "adopted number"])
def test_second_resource_for_one_number_is_refused(harness: Harness, telephony: Telephony, what: str) -> None:
    harness.stacks.stacks[PROVIDER_ID].parameters["AllowAdoption"] = "true"
    one = template(SIMULATOR | {"Adopt": request_number(harness)})
    if what == "sender ID":
        one = template(SMS_SENDER_ID.properties, SMS_SENDER_ID)
    stack = harness.cloudformation.stack("numbers")

    result = planned(telephony, stack, {"Resources": dict.fromkeys("AB", one["Resources"]["Number"])}, "--output=json")

    assert sorted(result.document["effects"]) in (["PURCHASED", "REFUSED"], ["ADOPTED", "REFUSED"])


@pytest.mark.parametrize("conditions", ["", ",", "buy,", "releases"])
def test_conditions_that_are_not_known_are_refused(harness: Harness, telephony: Telephony, conditions: str) -> None:
    stack = deployed(harness)

    result = planned(telephony, stack, {"Resources": {}}, f"--fail-on={conditions}")

    assert result.code == 1
    assert "buy, replace, release" in result.err


def test_purchase_with_unknown_values_is_foreseen(harness: Harness, telephony: Telephony) -> None:
    target = connect_instance(harness)
    kind = connect_phone_number(target)
    declared = template({**kind.properties, "TargetArn": {"Fn::GetAtt": "New.Arn"}}, kind)
    declared["Resources"]["New"] = {"Type": "Custom::SmsPhoneNumber", "Properties": SIMULATOR}

    result = planned(telephony, harness.cloudformation.stack("numbers"), declared, "--output", "json")

    assert result.document["effects"] == {"PURCHASED": 2}


def test_change_of_a_hidden_value_is_a_change(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    stack.change_set("next", template(SIMULATOR | {"OptOutListName": "****"}))
    [change] = stack.known.change_sets["next"]["Changes"]
    change["ResourceChange"]["BeforeContext"] = change["ResourceChange"]["AfterContext"]

    result = telephony("plan", "--stack-name", "numbers", "--change-set-name", "next", "--output", "json")

    assert result.document["effects"] == {"CHANGED": 1}


def test_sender_id_of_another_owner_is_not_released(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness, SMS_SENDER_ID)
    harness.sms.release_sender_id(SenderId="ACME", IsoCountryCode="GB")
    harness.sms.request_sender_id(SenderId="ACME", IsoCountryCode="GB")

    found = planned(telephony, stack, without_number(stack), "--output", "json").document["resources"]

    assert [each["effect"] for each in found if each["logical_id"] == "Number"] == ["UNCHANGED"]


def test_refused_read_is_an_error_and_no_refused_deployment(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    stack.change_set("next", template(SIMULATOR | {"Tags": [{"Key": "a", "Value": "b"}]}))
    fault(harness, "pinpoint-sms-voice-v2.ListTagsForResource", "error", **DENIED)

    result = telephony("plan", "--stack-name", "numbers", "--change-set-name", "next")

    assert_fails(result, "ListTagsForResource", "credentials")


def test_value_of_a_string_is_never_shown(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    declared = template(SIMULATOR | {"TwoWay": {"Enabled": True, "ChannelArn": f"arn:aws:sns:{SECRET}"}})

    table, document = planned(telephony, stack, declared), planned(telephony, stack, declared, "--output", "json")

    assert SECRET not in table.out + table.err + document.out + document.err
    assert "TwoWay" in table.out


def test_change_without_its_properties_is_unknown(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    stack.change_set("next", template(SIMULATOR | REPLACES))
    [change] = stack.known.change_sets["next"]["Changes"]
    del change["ResourceChange"]["AfterContext"]

    result = telephony(
        "plan", "--stack-name", "numbers", "--change-set-name", "next", "--fail-on", "release", "--output", "json"
    )

    assert (result.code, result.document["effects"]) == (3, {"UNKNOWN": 1})


# -- exit codes --------------------------------------------------------------------------------------------------------


def test_detailed_exit_code_says_whether_a_number_changes(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)

    changing = planned(telephony, stack, template(SIMULATOR | REPLACES), "--detailed-exitcode")
    idle = planned(telephony, stack, template(SIMULATOR | {"Trigger": "2"}), "--detailed-exitcode")

    assert (changing.code, idle.code) == (2, 0)


@pytest.mark.parametrize(("conditions", "code"), [("buy", 3), ("replace", 3), ("release", 3), ("replace,release", 3)])
def test_fail_on_stops_a_replacement(harness: Harness, telephony: Telephony, conditions: str, code: int) -> None:
    stack = deployed(harness)

    result = planned(telephony, stack, template(SIMULATOR | REPLACES), "--fail-on", conditions)

    assert result.code == code
    assert "numbers/Number" in result.err


def test_fail_on_stops_what_would_fail_but_not_a_change_of_tags(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    conditions = ("--fail-on", "release,replace")

    refused = planned(telephony, stack, template(SIMULATOR | {"NumberCapabilities": ["VOICE"]}), *conditions)
    tagged = planned(telephony, stack, template(SIMULATOR | {"Tags": [{"Key": "a", "Value": "b"}]}), *conditions)

    assert (refused.code, tagged.code) == (3, 0)


# -- failures ----------------------------------------------------------------------------------------------------------


def assert_fails(result: Result, *facts: str) -> None:
    assert (result.code, result.out) == (1, "")
    assert result.err.count("\n") == 1
    assert all(fact in result.err for fact in facts), result.err


def test_unknown_stack_change_set_and_provider_are_named(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    names = ("plan", "--stack-name", "numbers", "--change-set-name", "next")

    assert_fails(telephony(*names), "next", "numbers")
    assert_fails(telephony("plan", "--stack-name", "other", "--change-set-name", "next"), "other", "us-east-1")
    stack.change_set("next", template(SIMULATOR))
    assert_fails(telephony(*names, "--provider-stack", "elsewhere"), "elsewhere", "--provider-stack")
    assert_fails(telephony(*names, "--provider-stack", "numbers"), "numbers", "StateTableName")
    harness.stacks.stacks[PROVIDER_ID].outputs["StateTableName"] = "gone"
    stack.change_set("next", template(SIMULATOR | {"SelfManagedOptOutsEnabled": True}))
    assert_fails(telephony(*names), "state table", "gone")


@pytest.mark.parametrize("status", ["CREATE_PENDING", "CREATE_IN_PROGRESS"])
def test_change_set_that_is_being_created_is_not_planned(harness: Harness, telephony: Telephony, status: str) -> None:
    stack = deployed(harness)
    stack.change_set("next", template(SIMULATOR))
    stack.known.change_sets["next"]["Status"] = status

    assert_fails(telephony("plan", "--stack-name", "numbers", "--change-set-name", "next"), "next", status)


def test_failed_or_executed_change_set_is_not_planned(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    stack.change_set("next", template(SIMULATOR))
    shown = stack.known.change_sets["next"]
    names = ("plan", "--stack-name", "numbers", "--change-set-name", "next")

    shown |= {"Status": "FAILED", "ExecutionStatus": "UNAVAILABLE", "StatusReason": "The hook(s) failed: [A::B::C]"}
    assert_fails(telephony(*names), "FAILED", "A::B::C")
    shown |= {"Status": "CREATE_COMPLETE", "ExecutionStatus": "EXECUTE_COMPLETE"}
    assert_fails(telephony(*names), "EXECUTE_COMPLETE")
    shown |= {"Status": "FAILED", "StatusReason": "The submitted information didn't contain changes. Submit"}
    empty = telephony(*names, "--detailed-exitcode")
    assert (empty.code, empty.out) == (0, "No number changes.\n")


def test_wrong_usage_is_an_error_and_not_a_change(telephony: Telephony) -> None:
    assert_fails(telephony("plan", "--detailed-exitcode"), "--stack-name")
    names = ("plan", "--stack-name", "numbers", "--change-set-name", "next")
    assert_fails(telephony(*names, "--fail-on", "loss"), "loss", "release")


# -- several pages and stacks ------------------------------------------------------------------------------------------


def test_every_page_of_changes_is_read(harness: Harness, telephony: Telephony) -> None:
    harness.stacks.page_size = 2
    numbers = {f"Number{index}": {"Type": "Custom::SmsPhoneNumber", "Properties": SIMULATOR} for index in range(5)}

    result = planned(telephony, harness.cloudformation.stack("numbers"), {"Resources": numbers}, "--output", "json")

    assert result.document["effects"] == {"PURCHASED": 5}


def test_nested_stack_is_planned_with_its_own_change_set(harness: Harness, telephony: Telephony) -> None:
    nested, outer = harness.cloudformation.stack("nested"), harness.cloudformation.stack("outer")
    nested.change_set("inner", template(SIMULATOR))
    outer.change_set("next", {"Resources": {}})
    change: dict[str, Any] = {
        "Action": "Add",
        "LogicalResourceId": "Nested",
        "ResourceType": "AWS::CloudFormation::Stack",
        "ChangeSetId": nested.known.change_set_id("inner"),
    }
    outer.known.change_sets["next"]["Changes"] = [{"Type": "Resource", "ResourceChange": change}]
    names = ("plan", "--stack-name", "outer", "--change-set-name", "next", "--output", "json")

    [found] = telephony(*names).document["resources"]
    assert (found["stack_name"], found["effect"]) == ("nested", "PURCHASED")
    del change["ChangeSetId"]
    hidden = telephony(*names, "--fail-on", "release")
    assert (hidden.code, hidden.document["resources"][0]["effect"]) == (3, "UNKNOWN")
