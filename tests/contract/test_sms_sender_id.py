"""Custom::SmsSenderId through its whole life, as CloudFormation drives it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import SECRET, SMS, Laptop
from tests.contract.declarations import SMS_SENDER_ID, template

ACME: dict[str, Any] = {"SenderId": "Acme", "IsoCountryCode": "GB"}


def deployed(laptop: Laptop, **more: Any) -> Any:
    stack = laptop.cloudformation.stack("senders")
    assert stack.deploy(template(ACME | more, SMS_SENDER_ID)) == "CREATE_COMPLETE", stack.reasons("Number")
    return stack


def described(laptop: Laptop, sender_id: str = "ACME", country: str = "GB") -> dict[str, Any]:
    [found] = laptop.sms.describe_sender_ids(SenderIds=[{"SenderId": sender_id, "IsoCountryCode": country}])[
        "SenderIds"
    ]
    return dict(found)


def tags(laptop: Laptop) -> dict[str, str]:
    found = laptop.sms.list_tags_for_resource(ResourceArn=described(laptop)["SenderIdArn"])["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def test_a_declared_sender_id_is_requested_once_and_released_with_its_stack(laptop: Laptop) -> None:
    stack = deployed(laptop)

    assert stack.physical_ids["Number"] == "GB|ACME"
    assert laptop.calls(SMS) == {"RequestSenderId": 1}
    assert stack.delete() == "DELETE_COMPLETE"
    assert laptop.calls(SMS) == {"RequestSenderId": 1, "ReleaseSenderId": 1}
    assert laptop.held() == {}


def test_ref_is_the_native_one_and_every_attribute_is_what_the_service_says(laptop: Laptop) -> None:
    stack = deployed(laptop)

    found = described(laptop)
    assert stack.attributes["Number"] == {
        "Arn": found["SenderIdArn"],
        "SenderId": "ACME",
        "IsoCountryCode": "GB",
        "Registered": "false",
        "RegistrationId": "",
        "MonthlyLeasingPrice": found["MonthlyLeasingPrice"],
    }


@pytest.mark.parametrize("spelling", ["acme", "ACME", "AcMe"])
def test_another_case_is_the_same_sender_id(laptop: Laptop, spelling: str) -> None:
    stack = deployed(laptop)

    made = laptop.calls_of(lambda: stack.deploy(template(ACME | {"SenderId": spelling, "Trigger": "1"}, SMS_SENDER_ID)))

    assert stack.status == "UPDATE_COMPLETE"
    assert stack.physical_ids["Number"] == "GB|ACME"
    assert made == {f"{SMS}.DescribeSenderIds": 1}


@pytest.mark.shows("a change in place")
@pytest.mark.parametrize(
    ("change", "calls"),
    [
        ({"DeletionProtectionEnabled": True}, {"UpdateSenderId": 1}),
        ({"Tags": [{"Key": "team", "Value": "billing"}]}, {"ListTagsForResource": 1, "TagResource": 1}),
        ({"Trigger": "1"}, {}),
        ({"MessageTypes": ["TRANSACTIONAL"]}, {}),
        ({"OnDelete": {"LeavePools": True}}, {}),
    ],
    ids=str,
)
def test_a_change_in_place_is_one_read_and_what_differs(
    laptop: Laptop, change: dict[str, Any], calls: dict[str, int]
) -> None:
    stack = deployed(laptop)

    made = laptop.calls_of(lambda: stack.deploy(template(ACME | change, SMS_SENDER_ID)))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert made == {f"{SMS}.{name}": n for name, n in ({"DescribeSenderIds": 1} | calls).items()}
    assert stack.physical_ids["Number"] == "GB|ACME"


def test_protection_is_switched_on_last_and_off_again(laptop: Laptop) -> None:
    stack = deployed(laptop, DeletionProtectionEnabled=True)
    assert laptop.calls(SMS) == {"RequestSenderId": 1, "UpdateSenderId": 1}
    assert described(laptop)["DeletionProtectionEnabled"] is True

    stack.deploy(template(ACME | {"DeletionProtectionEnabled": False}, SMS_SENDER_ID))

    assert described(laptop)["DeletionProtectionEnabled"] is False


def test_message_types_go_with_the_request_and_their_order_and_case_do_not_matter(laptop: Laptop) -> None:
    stack = deployed(laptop, MessageTypes=["TRANSACTIONAL", "PROMOTIONAL"])
    assert sorted(name.upper() for name in described(laptop)["MessageTypes"]) == ["PROMOTIONAL", "TRANSACTIONAL"]

    stack.deploy(template(ACME | {"MessageTypes": ["PROMOTIONAL", "TRANSACTIONAL"]}, SMS_SENDER_ID))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert laptop.calls(SMS)["RequestSenderId"] == 1


@pytest.mark.parametrize("allowed", [None, True, "GB|ACME"])
def test_other_message_types_under_the_same_key_are_refused_clearly_even_where_a_replacement_is_allowed(
    laptop: Laptop, allowed: object
) -> None:
    stack = deployed(laptop)

    stack.deploy(template(ACME | {"MessageTypes": ["PROMOTIONAL"], "AllowReplacement": allowed}, SMS_SENDER_ID))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    [reason] = stack.reasons("Number")
    assert "NotUpdatable" in reason
    assert "it cannot be made before the old one goes" in reason
    assert "Remove the resource from the template, deploy, and declare it again" in reason
    assert laptop.ids() == ["GB|ACME"]
    assert laptop.calls(SMS)["RequestSenderId"] == 1


def test_another_country_is_another_sender_id(laptop: Laptop) -> None:
    stack = deployed(laptop)

    stack.deploy(template(ACME | {"IsoCountryCode": "FR", "AllowReplacement": "GB|ACME"}, SMS_SENDER_ID))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert laptop.ids() == ["FR|ACME"]


def test_a_replacement_may_come_back_to_the_first_sender_id(laptop: Laptop) -> None:
    """GB|ACME, GB|ACME2, GB|ACME: the id comes back, and the history of the first one is not taken for its own."""
    stack = deployed(laptop)
    stack.deploy(template(ACME | {"SenderId": "ACME2", "AllowReplacement": True}, SMS_SENDER_ID))
    assert laptop.ids() == ["GB|ACME2"]

    stack.deploy(template(ACME | {"AllowReplacement": True}, SMS_SENDER_ID))

    assert stack.status == "UPDATE_COMPLETE", stack.reasons("Number")
    assert laptop.ids() == ["GB|ACME"]
    assert stack.delete() == "DELETE_COMPLETE"
    assert laptop.held() == {}


@pytest.mark.shows("a sender ID that exists and is somebody else's")
@pytest.mark.parametrize("exists", [frozenset(), frozenset({"sms.sender_id.exists"})], ids=["silent", "refused"])
@pytest.mark.parametrize("protected", [False, True])
def test_one_that_exists_already_and_is_not_ours_is_refused_and_its_delete_does_nothing(
    laptop: Laptop, exists: frozenset[str], protected: bool
) -> None:
    laptop.telecom.configure(on=exists)
    laptop.sms.request_sender_id(SenderId="ACME", IsoCountryCode="GB", DeletionProtectionEnabled=protected)
    stack = laptop.cloudformation.stack("senders")

    stack.deploy(template(ACME | {"DeletionProtectionEnabled": True}, SMS_SENDER_ID))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert "AlreadyExists" in stack.reasons("Number")[0]
    assert laptop.ids() == ["GB|ACME"]
    assert described(laptop)["DeletionProtectionEnabled"] is protected
    assert laptop.calls(SMS).get("ReleaseSenderId") is None
    assert tags(laptop) == {}


@pytest.mark.shows("a sender ID that exists and is somebody else's")
@pytest.mark.parametrize("exists", [frozenset(), frozenset({"sms.sender_id.exists"})], ids=["silent", "refused"])
def test_two_stacks_cannot_have_the_same_sender_id(laptop: Laptop, exists: frozenset[str]) -> None:
    laptop.telecom.configure(on=exists)
    first = deployed(laptop)
    second = laptop.cloudformation.stack("others")

    assert second.deploy(template(ACME, SMS_SENDER_ID)) == "ROLLBACK_COMPLETE"
    assert "AlreadyExists" in second.reasons("Number")[0]
    second.delete()

    assert laptop.ids() == ["GB|ACME"]
    assert first.delete() == "DELETE_COMPLETE"


@pytest.mark.parametrize("exists", [frozenset(), frozenset({"sms.sender_id.exists"})], ids=["silent", "refused"])
def test_two_resources_of_one_stack_cannot_have_the_same_sender_id(laptop: Laptop, exists: frozenset[str]) -> None:
    laptop.telecom.configure(on=exists)
    declared = template(ACME, SMS_SENDER_ID)
    declared["Resources"]["Twin"] = declared["Resources"]["Number"] | {"DependsOn": "Number"}
    stack = laptop.cloudformation.stack("senders")

    assert stack.deploy(declared) == "ROLLBACK_COMPLETE"

    assert "AlreadyExists" in stack.reasons("Twin")[0]
    assert laptop.held() == {}


@pytest.mark.parametrize("exists", [frozenset(), frozenset({"sms.sender_id.exists"})], ids=["silent", "refused"])
def test_a_request_whose_answer_was_lost_is_not_taken_for_somebody_elses(
    laptop: Laptop, exists: frozenset[str]
) -> None:
    laptop.telecom.configure(on=exists, forget_tokens=True)
    laptop.telecom.fault(SMS, "RequestSenderId", "lose_answer")

    stack = deployed(laptop)

    assert stack.physical_ids["Number"] == "GB|ACME"


def test_a_replacement_by_one_that_exists_already_keeps_the_present_one(laptop: Laptop) -> None:
    laptop.sms.request_sender_id(SenderId="TAKEN", IsoCountryCode="GB")
    stack = deployed(laptop)

    stack.deploy(template(ACME | {"SenderId": "Taken", "AllowReplacement": True}, SMS_SENDER_ID))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert "AlreadyExists" in stack.reasons("Number")[0]
    assert sorted(laptop.ids()) == ["GB|ACME", "GB|TAKEN"]
    assert stack.physical_ids["Number"] == "GB|ACME"


def test_a_protected_sender_id_is_not_replaced_and_nothing_is_requested_for_it(laptop: Laptop) -> None:
    stack = deployed(laptop, DeletionProtectionEnabled=True)

    stack.deploy(
        template(
            ACME | {"SenderId": "ACME2", "DeletionProtectionEnabled": True, "AllowReplacement": True}, SMS_SENDER_ID
        )
    )

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert "has deletion protection on" in stack.reasons("Number")[0]
    assert laptop.calls(SMS)["RequestSenderId"] == 1


def test_a_sender_id_in_a_pool_is_not_replaced_and_nothing_is_requested_for_it(laptop: Laptop) -> None:
    stack = deployed(laptop)
    pool = laptop.sms.create_pool(OriginationIdentity="ACME", IsoCountryCode="GB", MessageType="TRANSACTIONAL")

    stack.deploy(template(ACME | {"SenderId": "ACME2", "AllowReplacement": True}, SMS_SENDER_ID))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert pool["PoolId"] in stack.reasons("Number")[0]
    assert laptop.calls(SMS)["RequestSenderId"] == 1


def test_a_rolled_back_replacement_that_declared_protection_leaves_nothing_behind(laptop: Laptop) -> None:
    from tests.contract.declarations import with_failing_sibling  # noqa: PLC0415

    stack = deployed(laptop)
    changed = ACME | {"SenderId": "ACME2", "DeletionProtectionEnabled": True, "AllowReplacement": True}

    stack.deploy(with_failing_sibling(changed, SMS_SENDER_ID))

    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.dropped == []
    assert laptop.ids() == ["GB|ACME"]


def test_the_quota_is_told_with_where_to_raise_it(laptop: Laptop) -> None:
    laptop.telecom.configure(sender_ids=0)
    stack = laptop.cloudformation.stack("senders")

    assert stack.deploy(template(ACME, SMS_SENDER_ID)) == "ROLLBACK_COMPLETE"
    assert "ServiceLimitExceeded" in stack.reasons("Number")[0]


def test_ownership_tags_stay_and_secrets_reach_nobody_else(laptop: Laptop) -> None:
    stack = deployed(laptop, Tags=[{"Key": "code", "Value": SECRET}])
    ownership = {key for key in tags(laptop) if key.startswith("cfn-telephony:")}
    assert len(ownership) == 4
    assert tags(laptop)["code"] == SECRET

    stack.deploy(template(ACME | {"Tags": []}, SMS_SENDER_ID))

    assert set(tags(laptop)) == ownership
