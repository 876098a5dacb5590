"""Numbers, sender IDs, pools and opt-out lists that another account shares with this one by AWS RAM."""

from __future__ import annotations

from typing import Any

import pytest

from local.telecom import world
from local.telecom.sms_voice.models import pinpointsmsvoicev2_backends
from telephony import resources
from tests.conftest import SMS, Harness
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, template
from tests.contract.steps import PROTECTED, SMS_KINDS, create, create_pool, deploy, join_pool, send_create

ACCOUNT, PARTNER, REGION = "123456789012", "210987654321", "us-east-1"
LEAVE = {"OnDelete": {"LeavePools": True}}


def shared(harness: Harness, operation: str, **parameters: Any) -> str:
    """Create a resource in another account, which shares it with the provider's. Returns its ARN."""
    with world.entered(harness.telecom.world):
        accounts = harness.telecom.world.store(pinpointsmsvoicev2_backends)
        partner = accounts[PARTNER][REGION]
        created: dict[str, Any] = getattr(partner, operation)(parameters)
        [arn] = [
            value for name, value in created.items() if name.endswith(("NumberArn", "IdArn", "PoolArn", "ListArn"))
        ]
        partner.share(arn, accounts[ACCOUNT][REGION])
    return str(arn)


def shared_number(harness: Harness) -> str:
    return shared(harness, "request_phone_number", **SIMULATOR, MessageType="TRANSACTIONAL")


def shared_pool(harness: Harness) -> str:
    identity = {"OriginationIdentity": shared_number(harness), "IsoCountryCode": "US"}
    return shared(harness, "create_pool", **identity, MessageType="TRANSACTIONAL")


@SMS_KINDS
def test_shared_numbers_and_sender_ids_are_not_listed(harness: Harness, kind: Kind) -> None:
    shared_number(harness)
    shared(harness, "request_sender_id", SenderId="PARTNER", IsoCountryCode="GB")
    own = create(harness, kind)

    assert [one.physical_id for one in resources.by_type(kind.type).list_all()] == [own]


@pytest.mark.shows("purchase response lost and ClientToken forgotten")
def test_purchase_whose_response_was_lost_is_found_beside_a_shared_number(harness: Harness) -> None:
    """The tags of the shared number, which is newer, can't be read."""
    harness.telecom.configure(forget_tokens=True)
    harness.telecom.fault(SMS, "RequestPhoneNumber", "lose_answer")
    shared_number(harness)

    response = send_create(harness, SMS_PHONE_NUMBER)

    assert response["Status"] == "SUCCESS", response
    assert harness.calls(SMS)["RequestPhoneNumber"] == 1
    assert response["PhysicalResourceId"] in harness.ids()


def test_sender_id_leaves_its_pool_beside_a_shared_pool(harness: Harness) -> None:
    shared_pool(harness)
    stack, _ = deploy(harness, SMS_SENDER_ID, **LEAVE)
    join_pool(harness, create_pool(harness), "GB|ACME")

    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")
    assert "sender_ids" not in harness.held()


@pytest.mark.parametrize("protected", [False, True], ids=["at purchase", "after its settings"])
def test_number_joins_a_shared_pool_by_its_arn(harness: Harness, protected: bool) -> None:
    arn = shared_pool(harness)
    declared = {"PoolId": arn} | (PROTECTED if protected else {})

    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, **declared)

    [number] = harness.sms.describe_phone_numbers(PhoneNumberIds=[physical_id])["PhoneNumbers"]
    assert number["PoolId"] == arn.rpartition("/")[2] == stack.attributes["Number"]["PoolId"]
    made = harness.calls_of(lambda: stack.deploy(template(SIMULATOR | declared | {"Trigger": "1"})))
    assert made == {f"{SMS}.DescribePhoneNumbers": 1}


def test_shared_opt_out_list_is_assigned_by_its_arn(harness: Harness) -> None:
    first, second = (shared(harness, "create_opt_out_list", OptOutListName=name) for name in ("first", "second"))
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, OptOutListName=first)

    assert stack.deploy(template(SIMULATOR | {"OptOutListName": second})) == "UPDATE_COMPLETE", stack.reasons("Number")

    [number] = harness.sms.describe_phone_numbers(PhoneNumberIds=[physical_id])["PhoneNumbers"]
    assert number["OptOutListName"] == "second"
    made = harness.calls_of(lambda: stack.deploy(template(SIMULATOR | {"OptOutListName": second, "Trigger": "1"})))
    assert made == {f"{SMS}.DescribePhoneNumbers": 1}
