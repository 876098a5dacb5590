"""Custom::SmsPhoneNumber through its whole life, as CloudFormation drives it."""

from typing import Any

from tests.conftest import SMS, Laptop

SIMULATOR: dict[str, Any] = {"IsoCountryCode": "US", "NumberType": "SIMULATOR", "NumberCapabilities": ["SMS"]}


def template(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Resources": {"Number": {"Type": "Custom::SmsPhoneNumber", "Properties": properties, **more}}}


def test_a_declared_number_is_bought_once_and_released_with_its_stack(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")

    assert stack.deploy(template(SIMULATOR)) == "CREATE_COMPLETE", stack.reasons("Number")
    [number] = laptop.telecom.held()["phone_numbers"]
    assert stack.physical_ids["Number"] == number["PhoneNumberId"]
    assert stack.attributes["Number"]["PhoneNumber"] == number["PhoneNumber"]
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1}

    assert stack.delete() == "DELETE_COMPLETE"
    assert laptop.held() == {}
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1, "ReleasePhoneNumber": 1}


def test_settings_are_changed_in_place_with_one_read_and_one_call(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR))
    before = stack.physical_ids

    assert stack.deploy(template(SIMULATOR | {"SelfManagedOptOutsEnabled": True})) == "UPDATE_COMPLETE"

    assert stack.physical_ids == before
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1, "DescribePhoneNumbers": 1, "UpdatePhoneNumber": 1}
