"""Custom::SmsPhoneNumber through its whole life, as CloudFormation drives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import SECRET, SMS, Laptop
from tests.contract.declarations import SIMULATOR, template

TOPIC = "arn:aws:sns:us-east-1:123456789012:inbound"
ROLE = "arn:aws:iam::123456789012:role/two-way"
TOLL_FREE = SIMULATOR | {"NumberType": "TOLL_FREE"}


def described(laptop: Laptop, physical_id: str) -> dict[str, Any]:
    [number] = laptop.sms.describe_phone_numbers(PhoneNumberIds=[physical_id])["PhoneNumbers"]
    return dict(number)


def tags(laptop: Laptop, physical_id: str) -> dict[str, str]:
    arn = described(laptop, physical_id)["PhoneNumberArn"]
    return {tag["Key"]: tag["Value"] for tag in laptop.sms.list_tags_for_resource(ResourceArn=arn)["Tags"]}


def keywords(laptop: Laptop, physical_id: str) -> dict[str, tuple[str, str]]:
    found = laptop.sms.describe_keywords(OriginationIdentity=physical_id)["Keywords"]
    return {item["Keyword"]: (item["KeywordMessage"], item["KeywordAction"]) for item in found}


def somebody_elses_number(laptop: Laptop, **more: Any) -> str:
    asked: dict[str, Any] = {"MessageType": "TRANSACTIONAL"} | SIMULATOR | more
    return laptop.sms.request_phone_number(**asked)["PhoneNumberId"]


def pool_of(laptop: Laptop, identity: str, message_type: Any = "TRANSACTIONAL") -> str:
    answer = laptop.sms.create_pool(OriginationIdentity=identity, IsoCountryCode="US", MessageType=message_type)
    return answer["PoolId"]


def test_a_declared_number_is_bought_once_and_released_with_its_stack(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")

    assert stack.deploy(template(SIMULATOR)) == "CREATE_COMPLETE", stack.reasons("Number")
    assert laptop.ids() == [stack.physical_ids["Number"]]
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1}

    assert stack.delete() == "DELETE_COMPLETE"
    assert laptop.held() == {}
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1, "ReleasePhoneNumber": 1}


def test_ref_is_the_id_and_every_attribute_is_what_the_service_says(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(TOLL_FREE | {"WaitForActive": True}))

    number = described(laptop, stack.physical_ids["Number"])
    assert stack.attributes["Number"] == {
        "Arn": number["PhoneNumberArn"],
        "PhoneNumberId": stack.physical_ids["Number"],
        "PhoneNumber": number["PhoneNumber"],
        "Status": "ACTIVE",
        "MonthlyLeasingPrice": number["MonthlyLeasingPrice"],
        "NumberType": "TOLL_FREE",
        "IsoCountryCode": "US",
        "PoolId": "",
        "RegistrationId": "",
    }


def test_every_attribute_can_be_used_by_another_resource_even_if_the_service_leaves_it_out(laptop: Laptop) -> None:
    declared = template(SIMULATOR)
    names = ("Arn", "PhoneNumberId", "PhoneNumber", "Status", "MonthlyLeasingPrice", "PoolId", "RegistrationId")
    declared["Resources"]["Reader"] = {
        "Type": "Custom::SmsPhoneNumber",
        "Properties": SIMULATOR | {"Trigger": [{"Fn::GetAtt": ["Number", name]} for name in names]},
    }

    assert laptop.cloudformation.stack("numbers").deploy(declared) == "CREATE_COMPLETE"


@pytest.mark.shows("a number that stays PENDING")
def test_a_number_that_is_not_active_yet_is_a_success_that_says_so(laptop: Laptop) -> None:
    laptop.telecom.configure(activation_seconds=86_400)
    stack = laptop.cloudformation.stack("numbers")

    assert stack.deploy(template(SIMULATOR)) == "CREATE_COMPLETE"
    assert stack.attributes["Number"]["Status"] == "PENDING"
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1}


def test_wait_for_active_answers_when_the_number_is_active(laptop: Laptop) -> None:
    laptop.telecom.configure(activation_seconds=0.2)
    stack = laptop.cloudformation.stack("numbers")

    assert stack.deploy(template(SIMULATOR | {"WaitForActive": True})) == "CREATE_COMPLETE"
    assert stack.attributes["Number"]["Status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("declared", "calls"),
    [
        ({}, {}),
        ({"Tags": [{"Key": "team", "Value": "billing"}]}, {}),
        ({"OptOutListName": "Default", "DeletionProtectionEnabled": False, "SelfManagedOptOutsEnabled": False}, {}),
        ({"TwoWay": {"Enabled": False}}, {}),
        ({"DeletionProtectionEnabled": True}, {"UpdatePhoneNumber": 1}),
        (
            {
                "DeletionProtectionEnabled": True,
                "SelfManagedOptOutsEnabled": True,
                "TwoWay": {"Enabled": True, "ChannelArn": TOPIC, "ChannelRole": ROLE},
            },
            {"UpdatePhoneNumber": 1},
        ),
        ({"MandatoryKeywords": {"HELP": {"Message": "Call us."}}}, {"PutKeyword": 1}),
        (
            {
                "MandatoryKeywords": {"HELP": {"Message": "Call us."}, "STOP": {"Message": "Bye."}},
                "OptionalKeywords": [{"Keyword": "JOIN", "Message": "Welcome.", "Action": "OPT_IN"}],
                "DeletionProtectionEnabled": True,
            },
            {"PutKeyword": 3, "UpdatePhoneNumber": 1},
        ),
    ],
)
def test_a_purchase_is_one_call_and_one_more_for_what_only_an_update_can_set(
    laptop: Laptop, declared: dict[str, Any], calls: dict[str, int]
) -> None:
    stack = laptop.cloudformation.stack("numbers")

    assert stack.deploy(template(SIMULATOR | declared)) == "CREATE_COMPLETE", stack.reasons("Number")
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1} | calls


def test_everything_that_is_declared_stands_after_the_creation(laptop: Laptop) -> None:
    laptop.sms.create_opt_out_list(OptOutListName="own")
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(
        template(
            TOLL_FREE
            | {
                "MessageType": "PROMOTIONAL",
                "OptOutListName": "own",
                "InternationalSendingEnabled": True,
                "DeletionProtectionEnabled": True,
                "SelfManagedOptOutsEnabled": True,
                "TwoWay": {"Enabled": True, "ChannelArn": TOPIC, "ChannelRole": ROLE},
                "MandatoryKeywords": {"HELP": {"Message": "Call us."}, "STOP": {"Message": "Bye."}},
                "OptionalKeywords": [{"Keyword": "join", "Message": "Welcome.", "Action": "OPT_IN"}],
                "Tags": [{"Key": "team", "Value": "billing"}],
            }
        )
    )

    assert stack.status == "CREATE_COMPLETE", stack.reasons("Number")
    physical_id = stack.physical_ids["Number"]
    number = described(laptop, physical_id)
    assert number["MessageType"] == "PROMOTIONAL"
    assert number["OptOutListName"] == "own"
    assert number["InternationalSendingEnabled"] is True
    assert number["DeletionProtectionEnabled"] is True
    assert number["SelfManagedOptOutsEnabled"] is True
    assert number["TwoWayEnabled"] is True
    assert number["TwoWayChannelArn"] == TOPIC
    assert number["TwoWayChannelRole"] == ROLE
    assert {name.upper(): value for name, value in keywords(laptop, physical_id).items()} == {
        "HELP": ("Call us.", "AUTOMATIC_RESPONSE"),
        "STOP": ("Bye.", "OPT_OUT"),
        "JOIN": ("Welcome.", "OPT_IN"),
    }
    assert tags(laptop, physical_id)["team"] == "billing"


IN_PLACE: list[tuple[dict[str, Any], dict[str, int]]] = [
    ({"OptOutListName": "own"}, {"UpdatePhoneNumber": 1}),
    ({"InternationalSendingEnabled": True}, {"UpdatePhoneNumber": 1}),
    ({"DeletionProtectionEnabled": True}, {"UpdatePhoneNumber": 1}),
    ({"SelfManagedOptOutsEnabled": True}, {"UpdatePhoneNumber": 1}),
    ({"TwoWay": {"Enabled": True, "ChannelArn": TOPIC}}, {"UpdatePhoneNumber": 1}),
    ({"TwoWay": {"Enabled": True, "ChannelArn": "connect.us-east-1.amazonaws.com"}}, {"UpdatePhoneNumber": 1}),
    (
        {"DeletionProtectionEnabled": True, "SelfManagedOptOutsEnabled": True, "OptOutListName": "own"},
        {"UpdatePhoneNumber": 1},
    ),
    ({"MandatoryKeywords": {"HELP": {"Message": "Call us."}}}, {"DescribeKeywords": 1, "PutKeyword": 1}),
    (
        {"OptionalKeywords": [{"Keyword": "JOIN", "Message": "Welcome.", "Action": "OPT_IN"}]},
        {"DescribeKeywords": 1, "PutKeyword": 1},
    ),
    ({"Tags": [{"Key": "team", "Value": "billing"}]}, {"ListTagsForResource": 1, "TagResource": 1}),
    ({"Tags": []}, {"ListTagsForResource": 1}),
    ({"Trigger": "again"}, {}),
    ({"OnDelete": {"LeavePools": True}}, {}),
    ({"AllowReplacement": True}, {}),
    ({"WaitForActive": True}, {}),
    ({"ServiceTimeout": 600}, {}),
]


@pytest.mark.shows("a change in place")
@pytest.mark.parametrize(("change", "calls"), IN_PLACE, ids=str)
def test_a_change_in_place_is_one_read_and_what_differs(
    laptop: Laptop, change: dict[str, Any], calls: dict[str, int]
) -> None:
    laptop.sms.create_opt_out_list(OptOutListName="own")
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(TOLL_FREE))
    before = stack.physical_ids

    made = laptop.calls_of(lambda: stack.deploy(template(TOLL_FREE | change)))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert made == {f"{SMS}.{name}": n for name, n in ({"DescribePhoneNumbers": 1} | calls).items()}
    assert stack.physical_ids == before

    # The change stands: to ask for it once more, by a Trigger, takes no further writing call.
    writing = ("Update", "Put", "Tag", "Untag", "Delete", "Request", "Release")
    again = laptop.calls_of(lambda: stack.deploy(template(TOLL_FREE | change | {"Trigger": "once more"})))
    assert not [name for name in again if name.removeprefix(f"{SMS}.").startswith(writing)]


@pytest.mark.shows("a change in place")
def test_a_property_that_is_taken_away_again_is_left_as_it_is(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(
        template(
            SIMULATOR
            | {
                "SelfManagedOptOutsEnabled": True,
                "OptionalKeywords": [{"Keyword": "JOIN", "Message": "Welcome.", "Action": "OPT_IN"}],
                "Tags": [{"Key": "team", "Value": "billing"}],
            }
        )
    )

    assert stack.deploy(template(SIMULATOR)) == "UPDATE_COMPLETE"

    physical_id = stack.physical_ids["Number"]
    assert described(laptop, physical_id)["SelfManagedOptOutsEnabled"] is True
    assert "JOIN" in keywords(laptop, physical_id)
    assert tags(laptop, physical_id)["team"] == "billing"


def test_a_change_by_hand_is_taken_back_by_a_trigger(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | {"SelfManagedOptOutsEnabled": True}))
    physical_id = stack.physical_ids["Number"]
    laptop.sms.update_phone_number(PhoneNumberId=physical_id, SelfManagedOptOutsEnabled=False)

    stack.deploy(template(SIMULATOR | {"SelfManagedOptOutsEnabled": True, "Trigger": {"any": ["value"]}}))

    assert stack.status == "UPDATE_COMPLETE"
    assert described(laptop, physical_id)["SelfManagedOptOutsEnabled"] is True


@pytest.mark.shows("a change in place")
def test_what_is_not_declared_is_not_sent_with_a_change_of_something_else(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(TOLL_FREE))
    physical_id = stack.physical_ids["Number"]
    laptop.sms.update_phone_number(
        PhoneNumberId=physical_id, SelfManagedOptOutsEnabled=True, TwoWayEnabled=True, TwoWayChannelArn=TOPIC
    )

    assert stack.deploy(template(TOLL_FREE | {"InternationalSendingEnabled": True})) == "UPDATE_COMPLETE"

    number = described(laptop, physical_id)
    names = ("InternationalSendingEnabled", "SelfManagedOptOutsEnabled", "TwoWayEnabled", "TwoWayChannelArn")
    assert [number[name] for name in names] == [True, True, True, TOPIC]


def test_two_way_can_be_switched_off_again(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | {"TwoWay": {"Enabled": True, "ChannelArn": TOPIC}}))

    assert stack.deploy(template(SIMULATOR | {"TwoWay": {"Enabled": False}})) == "UPDATE_COMPLETE"

    assert described(laptop, stack.physical_ids["Number"])["TwoWayEnabled"] is False


def test_keywords_that_are_declared_no_more_are_deleted_and_mandatory_ones_stay(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    join = {"Keyword": "JOIN", "Message": "Welcome.", "Action": "OPT_IN"}
    leave = {"Keyword": "LEAVE", "Message": "Bye.", "Action": "OPT_OUT"}
    stack.deploy(template(SIMULATOR | {"OptionalKeywords": [join, leave]}))

    stack.deploy(template(SIMULATOR | {"OptionalKeywords": [leave | {"Message": "So long."}]}))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    found = keywords(laptop, stack.physical_ids["Number"])
    assert set(found) == {"HELP", "STOP", "LEAVE"}
    assert found["LEAVE"] == ("So long.", "OPT_OUT")


def test_ownership_tags_go_with_the_purchase_and_no_change_of_tags_removes_them(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | {"Tags": [{"Key": "team", "Value": "billing"}]}))
    physical_id = stack.physical_ids["Number"]
    ownership = {
        "cfn-telephony:managed-by": "cfn-telephony",
        "cfn-telephony:stack-id": stack.stack_id,
        "cfn-telephony:logical-id": "Number",
        "cfn-telephony:request-id": stack.requests[0]["RequestId"],
    }
    assert tags(laptop, physical_id) == ownership | {"team": "billing"}

    stack.deploy(template(SIMULATOR | {"Tags": [{"Key": "owner", "Value": "ada"}]}))
    assert tags(laptop, physical_id) == ownership | {"owner": "ada"}

    stack.deploy(template(SIMULATOR | {"Tags": []}))
    assert tags(laptop, physical_id) == ownership


def test_tags_that_others_put_there_stay_unless_tags_are_declared(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR))
    physical_id = stack.physical_ids["Number"]
    arn = described(laptop, physical_id)["PhoneNumberArn"]
    laptop.sms.tag_resource(ResourceArn=arn, Tags=[{"Key": "theirs", "Value": "1"}])

    stack.deploy(template(SIMULATOR | {"Trigger": "1"}))
    assert tags(laptop, physical_id)["theirs"] == "1"

    stack.deploy(template(SIMULATOR | {"Tags": []}))
    assert "theirs" not in tags(laptop, physical_id)


@pytest.mark.parametrize("key", ["aws:cloudformation:stack-name", "cfn-telephony:stack-id"])
def test_reserved_tags_are_refused(laptop: Laptop, key: str) -> None:
    answer = laptop.send(
        "Create",
        resource_type="Custom::SmsPhoneNumber",
        properties=SIMULATOR | {"Tags": [{"Key": key, "Value": "forged"}]},
    )

    assert answer["Status"] == "FAILED"
    assert "Tags[0].Key" in answer["Reason"]
    assert laptop.calls() == {}


def test_a_number_can_be_requested_into_a_pool_in_one_call(laptop: Laptop) -> None:
    pool = pool_of(laptop, somebody_elses_number(laptop))
    stack = laptop.cloudformation.stack("numbers")

    made = laptop.calls_of(lambda: stack.deploy(template(SIMULATOR | {"PoolId": pool})))

    assert stack.status == "CREATE_COMPLETE", stack.reasons("Number")
    assert made == {f"{SMS}.RequestPhoneNumber": 1}
    assert stack.attributes["Number"]["PoolId"] == pool
    assert described(laptop, stack.physical_ids["Number"])["PoolId"] == pool


def test_a_number_with_settings_of_its_own_is_set_up_before_it_joins_its_pool(laptop: Laptop) -> None:
    pool = pool_of(laptop, somebody_elses_number(laptop))
    stack = laptop.cloudformation.stack("numbers")

    stack.deploy(template(SIMULATOR | {"PoolId": pool, "DeletionProtectionEnabled": True}))

    assert stack.status == "CREATE_COMPLETE", stack.reasons("Number")
    number = described(laptop, stack.physical_ids["Number"])
    assert (number["PoolId"], number["DeletionProtectionEnabled"]) == (pool, True)
    assert stack.attributes["Number"]["PoolId"] == pool


def test_the_arn_of_a_pool_or_list_means_the_same_as_its_id(laptop: Laptop) -> None:
    pool = pool_of(laptop, somebody_elses_number(laptop))
    arns = {"PoolId": f"arn:aws:sms-voice:us-east-1:123456789012:pool/{pool}"}
    arns["OptOutListName"] = "arn:aws:sms-voice:us-east-1:123456789012:opt-out-list/Default"
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | arns))
    assert stack.attributes["Number"]["PoolId"] == pool

    made = laptop.calls_of(lambda: stack.deploy(template(SIMULATOR | arns | {"Trigger": "1"})))

    assert made == {f"{SMS}.DescribePhoneNumbers": 1}


def test_a_change_of_pool_id_moves_the_number(laptop: Laptop) -> None:
    first, second = (pool_of(laptop, somebody_elses_number(laptop)) for _ in range(2))
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | {"PoolId": first}))
    before = stack.physical_ids

    made = laptop.calls_of(lambda: stack.deploy(template(SIMULATOR | {"PoolId": second})))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert made == {
        f"{SMS}.DescribePhoneNumbers": 1,
        f"{SMS}.DisassociateOriginationIdentity": 1,
        f"{SMS}.AssociateOriginationIdentity": 1,
    }
    assert stack.physical_ids == before
    assert stack.attributes["Number"]["PoolId"] == second


def test_a_move_to_a_pool_that_refuses_the_number_ends_in_the_first_pool(laptop: Laptop) -> None:
    first = pool_of(laptop, somebody_elses_number(laptop))
    laptop.sms.create_opt_out_list(OptOutListName="own")
    other = pool_of(laptop, somebody_elses_number(laptop, OptOutListName="own"))
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | {"PoolId": first}))

    assert stack.deploy(template(SIMULATOR | {"PoolId": other})) == "UPDATE_ROLLBACK_COMPLETE"

    assert "OptOutListName" in stack.reasons("Number")[0]
    assert described(laptop, stack.physical_ids["Number"])["PoolId"] == first


def test_a_setting_of_a_pooled_number_is_refused_and_the_reason_names_the_pool(laptop: Laptop) -> None:
    pool = pool_of(laptop, somebody_elses_number(laptop))
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | {"PoolId": pool}))

    stack.deploy(template(SIMULATOR | {"PoolId": pool, "SelfManagedOptOutsEnabled": True}))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert "The settings of a pooled number are the pool's" in stack.reasons("Number")[0]


def test_a_number_preference_counts_at_the_purchase_and_its_change_does_nothing(laptop: Laptop) -> None:
    registration = laptop.sms.create_registration(RegistrationType="US_TEN_DLC_CAMPAIGN_REGISTRATION")["RegistrationId"]
    declared = SIMULATOR | {"NumberType": "TEN_DLC", "RegistrationId": registration}

    def wish(digits: str) -> dict[str, Any]:
        return declared | {"NumberPreference": [{"PreferenceType": ["EndsWith"], "Filter": [digits]}]}

    stack = laptop.cloudformation.stack("numbers")
    assert stack.deploy(template(wish("0123"))) == "CREATE_COMPLETE", stack.reasons("Number")
    assert stack.attributes["Number"]["PhoneNumber"].endswith("0123")
    assert stack.attributes["Number"]["RegistrationId"] == registration

    made = laptop.calls_of(lambda: stack.deploy(template(wish("0777"))))

    assert stack.status == "UPDATE_COMPLETE"
    assert made == {f"{SMS}.DescribePhoneNumbers": 1}


def test_a_registration_that_is_not_declared_is_no_reason_for_a_new_number(laptop: Laptop) -> None:
    registration = laptop.sms.create_registration(RegistrationType="US_TEN_DLC_CAMPAIGN_REGISTRATION")["RegistrationId"]
    declared = SIMULATOR | {"NumberType": "TEN_DLC"}
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(declared | {"RegistrationId": registration}))
    before = stack.physical_ids

    assert stack.deploy(template(declared)) == "UPDATE_COMPLETE"
    assert stack.physical_ids == before


def test_capabilities_in_another_order_are_the_same_capabilities(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(TOLL_FREE | {"NumberCapabilities": ["SMS", "VOICE"]}))
    before = stack.physical_ids

    assert stack.deploy(template(TOLL_FREE | {"NumberCapabilities": ["VOICE", "SMS"]})) == "UPDATE_COMPLETE"
    assert stack.physical_ids == before


@pytest.mark.shows("a role that was created a moment ago")
def test_a_role_that_was_created_a_moment_ago_is_waited_for(laptop: Laptop) -> None:
    laptop.telecom.configure(role_propagation_seconds=0.2)
    stack = laptop.cloudformation.stack("numbers")

    stack.deploy(template(SIMULATOR | {"TwoWay": {"Enabled": True, "ChannelArn": TOPIC, "ChannelRole": ROLE}}))

    assert stack.status == "CREATE_COMPLETE", stack.reasons("Number")
    assert laptop.held() == {"phone_numbers": 1}


@pytest.mark.shows("a role that was created a moment ago")
def test_a_role_that_never_works_fails_with_what_to_check(laptop: Laptop) -> None:
    laptop.telecom.configure(role_propagation_seconds=86_400)
    stack = laptop.cloudformation.stack("numbers")

    stack.deploy(template(SIMULATOR | {"TwoWay": {"Enabled": True, "ChannelArn": TOPIC, "ChannelRole": ROLE}}))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert "AccessDenied" in stack.reasons("Number")[0]
    assert "TwoWay.ChannelRole trusts sms-voice.amazonaws.com" in stack.reasons("Number")[0]
    assert laptop.held() == {}


def declares_secrets(secret: str) -> dict[str, Any]:
    return SIMULATOR | {
        "MandatoryKeywords": {"HELP": {"Message": secret}},
        "OptionalKeywords": [{"Keyword": "JOIN", "Message": secret, "Action": "OPT_IN"}],
        "Tags": [{"Key": "code", "Value": secret}],
        "Trigger": secret,
    }


@pytest.mark.shows("a secret in anything that is written")
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
def test_a_no_echo_value_reaches_the_service_and_nothing_else(laptop: Laptop, act: Callable[[Any], Any]) -> None:
    stack = laptop.cloudformation.stack("numbers")
    assert stack.deploy(template(declares_secrets(SECRET))) == "CREATE_COMPLETE"
    assert keywords(laptop, stack.physical_ids["Number"])["HELP"][0] == SECRET

    act(stack)  # what it leaves behind is looked at by the laptop itself
