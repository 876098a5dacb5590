"""Custom::SmsPhoneNumber through its life cycle, driven by CloudFormation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import SECRET, SMS, Harness
from tests.contract.cloudformation import Stack
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, template
from tests.contract.steps import (
    PROTECTED,
    assert_rolled_back,
    create_pool,
    deploy,
    environment,
    fault,
    request_number,
)

TOPIC = "arn:aws:sns:us-east-1:123456789012:inbound"
ROLE = "arn:aws:iam::123456789012:role/two-way"
TOLL_FREE = SIMULATOR | {"NumberType": "TOLL_FREE"}
TWO_WAY = {"TwoWay": {"Enabled": True, "ChannelArn": TOPIC, "ChannelRole": ROLE}}
JOIN = {"Keyword": "JOIN", "Message": "Welcome.", "Action": "OPT_IN"}
MANDATORY = {"MandatoryKeywords": {"HELP": {"Message": "Call us."}, "STOP": {"Message": "Bye."}}}
TEAM = {"Tags": [{"Key": "team", "Value": "billing"}]}
OPT_OUTS = {"SelfManagedOptOutsEnabled": True}


def described(harness: Harness, physical_id: str) -> dict[str, Any]:
    [number] = harness.sms.describe_phone_numbers(PhoneNumberIds=[physical_id])["PhoneNumbers"]
    return dict(number)


def tags(harness: Harness, physical_id: str) -> dict[str, str]:
    arn = described(harness, physical_id)["PhoneNumberArn"]
    return {tag["Key"]: tag["Value"] for tag in harness.sms.list_tags_for_resource(ResourceArn=arn)["Tags"]}


def keywords(harness: Harness, physical_id: str) -> dict[str, tuple[str, str]]:
    found = harness.sms.describe_keywords(OriginationIdentity=physical_id)["Keywords"]
    return {item["Keyword"]: (item["KeywordMessage"], item["KeywordAction"]) for item in found}


def test_ref_is_the_id_and_attributes_are_those_of_the_service(harness: Harness) -> None:
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, NumberType="TOLL_FREE", WaitForActive=True)

    number = described(harness, physical_id)
    assert stack.attributes["Number"] == {
        "Arn": number["PhoneNumberArn"],
        "PhoneNumberId": physical_id,
        "PhoneNumber": number["PhoneNumber"],
        "Status": "ACTIVE",
        "MonthlyLeasingPrice": number["MonthlyLeasingPrice"],
        "NumberType": "TOLL_FREE",
        "IsoCountryCode": "US",
        "PoolId": "",
        "RegistrationId": "",
    }


@pytest.mark.shows("number stays PENDING")
def test_pending_number_is_a_success_with_its_status(harness: Harness) -> None:
    harness.telecom.configure(activation_seconds=86_400)

    stack, _ = deploy(harness, SMS_PHONE_NUMBER)

    assert stack.attributes["Number"]["Status"] == "PENDING"
    assert harness.calls(SMS) == {"RequestPhoneNumber": 1}


def test_wait_for_active_waits_until_number_is_active(harness: Harness) -> None:
    harness.telecom.configure(activation_seconds=0.2)

    stack, _ = deploy(harness, SMS_PHONE_NUMBER, WaitForActive=True)

    assert stack.attributes["Number"]["Status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("declared", "calls"),
    [
        ({}, {}),
        (TEAM, {}),
        ({"OptOutListName": "Default", "DeletionProtectionEnabled": False, "SelfManagedOptOutsEnabled": False}, {}),
        ({"TwoWay": {"Enabled": False}}, {}),
        (PROTECTED, {"UpdatePhoneNumber": 1}),
        (PROTECTED | OPT_OUTS | TWO_WAY, {"UpdatePhoneNumber": 1}),
        ({"MandatoryKeywords": {"HELP": {"Message": "Call us."}}}, {"PutKeyword": 1}),
        (MANDATORY | PROTECTED | {"OptionalKeywords": [JOIN]}, {"PutKeyword": 3, "UpdatePhoneNumber": 1}),
    ],
    ids=str,
)
def test_create_makes_one_call_and_those_for_settings_that_need_an_update(
    harness: Harness, declared: dict[str, Any], calls: dict[str, int]
) -> None:
    deploy(harness, SMS_PHONE_NUMBER, **declared)

    assert harness.calls(SMS) == {"RequestPhoneNumber": 1} | calls


def test_create_sets_every_declared_property(harness: Harness) -> None:
    harness.sms.create_opt_out_list(OptOutListName="own")
    settings = {"MessageType": "PROMOTIONAL", "OptOutListName": "own", "InternationalSendingEnabled": True}
    settings |= PROTECTED | OPT_OUTS
    declared = TOLL_FREE | settings | TWO_WAY | MANDATORY | TEAM | {"OptionalKeywords": [JOIN | {"Keyword": "join"}]}

    _, physical_id = deploy(harness, SMS_PHONE_NUMBER, **declared)

    number = described(harness, physical_id)
    expected = settings | {"TwoWayEnabled": True, "TwoWayChannelArn": TOPIC, "TwoWayChannelRole": ROLE}
    assert {name: number[name] for name in expected} == expected
    assert {name.upper(): value for name, value in keywords(harness, physical_id).items()} == {
        "HELP": ("Call us.", "AUTOMATIC_RESPONSE"),
        "STOP": ("Bye.", "OPT_OUT"),
        "JOIN": ("Welcome.", "OPT_IN"),
    }
    assert tags(harness, physical_id)["team"] == "billing"


IN_PLACE: list[tuple[dict[str, Any], dict[str, int]]] = [
    ({"OptOutListName": "own"}, {"UpdatePhoneNumber": 1}),
    ({"InternationalSendingEnabled": True}, {"UpdatePhoneNumber": 1}),
    (PROTECTED, {"UpdatePhoneNumber": 1}),
    (OPT_OUTS, {"UpdatePhoneNumber": 1}),
    ({"TwoWay": {"Enabled": True, "ChannelArn": TOPIC}}, {"UpdatePhoneNumber": 1}),
    ({"TwoWay": {"Enabled": True, "ChannelArn": "connect.us-east-1.amazonaws.com"}}, {"UpdatePhoneNumber": 1}),
    (PROTECTED | OPT_OUTS | {"OptOutListName": "own"}, {"UpdatePhoneNumber": 1}),
    ({"MandatoryKeywords": {"HELP": {"Message": "Call us."}}}, {"DescribeKeywords": 1, "PutKeyword": 1}),
    ({"OptionalKeywords": [JOIN]}, {"DescribeKeywords": 1, "PutKeyword": 1}),
    (TEAM, {"ListTagsForResource": 1, "TagResource": 1}),
    ({"Tags": []}, {"ListTagsForResource": 1}),
    ({"Trigger": "again"}, {}),
    ({"OnDelete": {"LeavePools": True}}, {}),
    ({"AllowReplacement": True}, {}),
    ({"WaitForActive": True}, {}),
    ({"ServiceTimeout": 600}, {}),
]


@pytest.mark.shows("update in place")
@pytest.mark.parametrize(("change", "calls"), IN_PLACE, ids=str)
def test_update_in_place_makes_one_read_and_the_calls_for_the_difference(
    harness: Harness, change: dict[str, Any], calls: dict[str, int]
) -> None:
    harness.sms.create_opt_out_list(OptOutListName="own")
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, **TOLL_FREE)

    made = harness.calls_of(lambda: stack.deploy(template(TOLL_FREE | change)))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert made == {f"{SMS}.{name}": n for name, n in ({"DescribePhoneNumbers": 1} | calls).items()}
    assert stack.physical_ids["Number"] == physical_id

    # A second Update to the same properties changes nothing.
    writing = ("Update", "Put", "Tag", "Untag", "Delete", "Request", "Release")
    again = harness.calls_of(lambda: stack.deploy(template(TOLL_FREE | change | {"Trigger": "once more"})))
    assert not [name for name in again if name.removeprefix(f"{SMS}.").startswith(writing)]


@pytest.mark.shows("update in place")
def test_removed_property_keeps_its_value(harness: Harness) -> None:
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, **OPT_OUTS, **TEAM, OptionalKeywords=[JOIN])

    assert stack.deploy(template(SIMULATOR)) == "UPDATE_COMPLETE"

    assert described(harness, physical_id)["SelfManagedOptOutsEnabled"] is True
    assert "JOIN" in keywords(harness, physical_id)
    assert tags(harness, physical_id)["team"] == "billing"


def test_trigger_reverts_change_made_outside(harness: Harness) -> None:
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, **OPT_OUTS)
    harness.sms.update_phone_number(PhoneNumberId=physical_id, SelfManagedOptOutsEnabled=False)

    stack.deploy(template(SIMULATOR | OPT_OUTS | {"Trigger": {"any": ["value"]}}))

    assert stack.status == "UPDATE_COMPLETE"
    assert described(harness, physical_id)["SelfManagedOptOutsEnabled"] is True


@pytest.mark.shows("update in place")
def test_undeclared_settings_keep_their_values_if_another_one_changes(harness: Harness) -> None:
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, **TOLL_FREE)
    harness.sms.update_phone_number(
        PhoneNumberId=physical_id, SelfManagedOptOutsEnabled=True, TwoWayEnabled=True, TwoWayChannelArn=TOPIC
    )

    assert stack.deploy(template(TOLL_FREE | {"InternationalSendingEnabled": True})) == "UPDATE_COMPLETE"

    number = described(harness, physical_id)
    names = ("InternationalSendingEnabled", "SelfManagedOptOutsEnabled", "TwoWayEnabled", "TwoWayChannelArn")
    assert [number[name] for name in names] == [True, True, True, TOPIC]


def test_two_way_can_be_disabled(harness: Harness) -> None:
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, TwoWay={"Enabled": True, "ChannelArn": TOPIC})

    assert stack.deploy(template(SIMULATOR | {"TwoWay": {"Enabled": False}})) == "UPDATE_COMPLETE"

    assert described(harness, physical_id)["TwoWayEnabled"] is False


def test_help_and_stop_are_sent_without_an_action(harness: Harness) -> None:
    """The service rejects an action for them: AWS manages it."""
    join = {"Keyword": "JOIN THE CLUB", "Message": "Welcome.", "Action": "OPT_IN"}
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, **MANDATORY, OptionalKeywords=[join])

    changed = MANDATORY | {"MandatoryKeywords": {"HELP": {"Message": "Write to us."}}, "OptionalKeywords": [join]}
    made = harness.calls_of(lambda: stack.deploy(template(SIMULATOR | changed)))

    assert made == {f"{SMS}.DescribePhoneNumbers": 1, f"{SMS}.DescribeKeywords": 1, f"{SMS}.PutKeyword": 1}
    assert keywords(harness, physical_id) == {
        "HELP": ("Write to us.", "AUTOMATIC_RESPONSE"),
        "STOP": ("Bye.", "OPT_OUT"),
        "JOIN THE CLUB": ("Welcome.", "OPT_IN"),
    }


def test_removed_keywords_are_deleted_and_mandatory_ones_stay(harness: Harness) -> None:
    leave = {"Keyword": "LEAVE", "Message": "Bye.", "Action": "OPT_OUT"}
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, OptionalKeywords=[JOIN, leave])

    stack.deploy(template(SIMULATOR | {"OptionalKeywords": [leave | {"Message": "So long."}]}))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    found = keywords(harness, physical_id)
    assert set(found) == {"HELP", "STOP", "LEAVE"}
    assert found["LEAVE"] == ("So long.", "OPT_OUT")


def test_ownership_tags_are_set_at_purchase_and_never_removed(harness: Harness) -> None:
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, **TEAM)
    ownership = {
        "cfn-telephony:managed-by": "cfn-telephony",
        "cfn-telephony:stack-id": stack.stack_id,
        "cfn-telephony:logical-id": "Number",
        "cfn-telephony:request-id": stack.requests[0]["RequestId"],
        "cfn-telephony:issued-at": harness.purchases()[0]["request_time"]["N"],
    }
    assert tags(harness, physical_id) == ownership | {"team": "billing"}

    stack.deploy(template(SIMULATOR | {"Tags": [{"Key": "owner", "Value": "ada"}]}))
    assert tags(harness, physical_id) == ownership | {"owner": "ada"}

    stack.deploy(template(SIMULATOR | {"Tags": []}))
    assert tags(harness, physical_id) == ownership


def test_tags_added_outside_stay_unless_tags_are_declared(harness: Harness) -> None:
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER)
    arn = described(harness, physical_id)["PhoneNumberArn"]
    harness.sms.tag_resource(ResourceArn=arn, Tags=[{"Key": "theirs", "Value": "1"}])

    stack.deploy(template(SIMULATOR | {"Trigger": "1"}))
    assert tags(harness, physical_id)["theirs"] == "1"

    stack.deploy(template(SIMULATOR | {"Tags": []}))
    assert "theirs" not in tags(harness, physical_id)


@pytest.mark.parametrize("protected", [False, True])
def test_number_joins_its_pool_at_purchase_or_after_its_settings(harness: Harness, protected: bool) -> None:
    pool = create_pool(harness)

    made = harness.calls_of(lambda: deploy(harness, SMS_PHONE_NUMBER, PoolId=pool, DeletionProtectionEnabled=protected))

    stack = harness.cloudformation.stack("numbers")
    number = described(harness, stack.physical_ids["Number"])
    assert (number["PoolId"], number["DeletionProtectionEnabled"]) == (pool, protected)
    assert stack.attributes["Number"]["PoolId"] == pool
    if not protected:
        assert made == {f"{SMS}.RequestPhoneNumber": 1}


def test_arn_of_pool_or_opt_out_list_equals_its_id(harness: Harness) -> None:
    pool, prefix = create_pool(harness), "arn:aws:sms-voice:us-east-1:123456789012"
    arns = {"PoolId": f"{prefix}:pool/{pool}", "OptOutListName": f"{prefix}:opt-out-list/Default"}
    stack, _ = deploy(harness, SMS_PHONE_NUMBER, **arns)
    assert stack.attributes["Number"]["PoolId"] == pool

    made = harness.calls_of(lambda: stack.deploy(template(SIMULATOR | arns | {"Trigger": "1"})))

    assert made == {f"{SMS}.DescribePhoneNumbers": 1}


def test_changed_pool_id_moves_the_number(harness: Harness) -> None:
    second = create_pool(harness)
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, PoolId=create_pool(harness))

    made = harness.calls_of(lambda: stack.deploy(template(SIMULATOR | {"PoolId": second})))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert made == {
        f"{SMS}.DescribePhoneNumbers": 1,
        f"{SMS}.DisassociateOriginationIdentity": 1,
        f"{SMS}.AssociateOriginationIdentity": 1,
    }
    assert stack.physical_ids["Number"] == physical_id
    assert stack.attributes["Number"]["PoolId"] == second


def test_rollback_returns_number_to_first_pool_if_second_refuses_it(harness: Harness) -> None:
    harness.sms.create_opt_out_list(OptOutListName="own")
    other = create_pool(harness, request_number(harness, OptOutListName="own"))
    first = create_pool(harness)
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, PoolId=first)

    changed = template(SIMULATOR | {"PoolId": other})
    assert_rolled_back(stack, changed, "ResourceConflict", "OPT_OUT_LIST_MISMATCH", "OptOutListName")

    assert described(harness, physical_id)["PoolId"] == first


def test_settings_of_pooled_number_cannot_be_changed(harness: Harness) -> None:
    pool = {"PoolId": create_pool(harness)}
    stack, _ = deploy(harness, SMS_PHONE_NUMBER, **pool)

    facts = ("UpdatePhoneNumber", "PHONE_NUMBER_ASSOCIATED_TO_POOL")
    assert_rolled_back(stack, template(SIMULATOR | pool | OPT_OUTS), "ResourceConflict", *facts)


def ten_dlc(harness: Harness) -> dict[str, Any]:
    created = harness.sms.create_registration(RegistrationType="US_TEN_DLC_CAMPAIGN_REGISTRATION")
    return {"NumberType": "TEN_DLC", "RegistrationId": created["RegistrationId"]}


def test_number_preference_applies_at_purchase_only(harness: Harness) -> None:
    declared = ten_dlc(harness)

    def preferring(digits: str) -> dict[str, Any]:
        return declared | {"NumberPreference": [{"PreferenceType": ["EndsWith"], "Filter": [digits]}]}

    stack, _ = deploy(harness, SMS_PHONE_NUMBER, **preferring("0123"))
    assert stack.attributes["Number"]["PhoneNumber"].endswith("0123")
    assert stack.attributes["Number"]["RegistrationId"] == declared["RegistrationId"]

    made = harness.calls_of(lambda: stack.deploy(template(SIMULATOR | preferring("0777"))))

    assert stack.status == "UPDATE_COMPLETE"
    assert made == {f"{SMS}.DescribePhoneNumbers": 1}


@pytest.mark.parametrize("registered", [True, False], ids=["registration removed", "capabilities in another order"])
def test_equivalent_declaration_does_not_replace_the_number(harness: Harness, registered: bool) -> None:
    declared = ten_dlc(harness) if registered else TOLL_FREE | {"NumberCapabilities": ["SMS", "VOICE"]}
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, **declared)

    change = {"RegistrationId": None} if registered else {"NumberCapabilities": ["VOICE", "SMS"]}
    assert stack.deploy(template(SIMULATOR | declared | change)) == "UPDATE_COMPLETE"

    assert stack.physical_ids["Number"] == physical_id


@pytest.mark.shows("role not yet assumable")
def test_new_role_is_waited_for(harness: Harness) -> None:
    harness.telecom.configure(role_propagation_seconds=0.2)

    with environment(RETRY_PERIOD_SECONDS="30"):
        deploy(harness, SMS_PHONE_NUMBER, **TWO_WAY)

    assert harness.held() == {"phone_numbers": 1}


@pytest.mark.shows("role not yet assumable")
def test_create_fails_if_role_never_works(harness: Harness) -> None:
    harness.telecom.configure(role_propagation_seconds=86_400)
    stack, facts = harness.cloudformation.stack("numbers"), ("RESOURCE_NOT_ACCESSIBLE", "TwoWay.ChannelRole")

    assert_rolled_back(stack, template(SIMULATOR | TWO_WAY), "AccessDenied", *facts)

    assert harness.held() == {}


def declares_secrets(secret: str) -> dict[str, Any]:
    return SIMULATOR | {
        "MandatoryKeywords": {"HELP": {"Message": secret}},
        "OptionalKeywords": [JOIN | {"Message": secret}],
        "Tags": [{"Key": "code", "Value": secret}],
        "Trigger": secret,
    }


@pytest.mark.shows("secret in logs, tables or errors")
@pytest.mark.parametrize(
    "act",
    [
        lambda stack: stack.deploy(template(declares_secrets(f"{SECRET} again"))),
        lambda stack: stack.deploy(template(declares_secrets(SECRET) | {"NumberCapabilities": ["VOICE"]})),
        lambda stack: stack.deploy(template(declares_secrets(SECRET) | {"Colour": SECRET})),
        lambda stack: stack.delete(),
    ],
    ids=["update", "refused replacement", "unknown property", "delete"],
)
def test_no_echo_value_reaches_only_the_service(harness: Harness, act: Callable[[Stack], str]) -> None:
    """The harness fixture searches the responses, the log and the table."""
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, **declares_secrets(SECRET))
    assert keywords(harness, physical_id)["HELP"][0] == SECRET

    act(stack)


def optional_keywords(prefix: str, count: int) -> list[dict[str, str]]:
    return [{"Keyword": f"{prefix}{n}", "Message": "m", "Action": "AUTOMATIC_RESPONSE"} for n in range(count)]


def test_keywords_at_the_maximum_can_be_exchanged(harness: Harness) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER, OptionalKeywords=optional_keywords("OLD", 28))
    exchanged = [*optional_keywords("OLD", 27), *optional_keywords("NEW", 1)]

    status = stack.deploy(template(SIMULATOR | {"OptionalKeywords": exchanged}))

    assert status == "UPDATE_COMPLETE", stack.reasons("Number")


def test_setting_is_changed_after_the_number_has_left_its_pool(harness: Harness) -> None:
    """The service can see the number in its former pool for some time."""
    first, second = create_pool(harness), create_pool(harness)
    stack, _ = deploy(harness, SMS_PHONE_NUMBER, PoolId=first)
    lag = {"code": "ConflictException", "reason": "PHONE_NUMBER_ASSOCIATED_TO_POOL", "message": "In a pool."}
    fault(harness, f"{SMS}.UpdatePhoneNumber", "error", **lag)

    stack.deploy(template(SIMULATOR | {"PoolId": second, "SelfManagedOptOutsEnabled": True}))

    assert "PHONE_NUMBER_ASSOCIATED_TO_POOL" not in str(stack.reasons("Number"))
