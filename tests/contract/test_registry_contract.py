"""CloudFormation's contract tests for registry types, as far as they apply to custom resources, for every type.

Source: github.com/aws-cloudformation/cloudformation-cli, src/rpdk/core/contract/suite/resource. Custom resources have
no read and list handlers: the tests read from the services, and list with the sweep's listing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from telephony import resources
from telephony.errors import HandlerErrorCode
from tests.conftest import Laptop
from tests.contract.declarations import SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind
from tests.contract.test_deletion import OTHER_STACK, create, delete
from tools.types import ROOT

TAGS = {"Tags": [{"Key": "team", "Value": "billing"}]}
OTHER_TAGS = {"Tags": [{"Key": "owner", "Value": "ada"}]}
HANDLER_ERROR_CODES = {
    *("NotUpdatable", "InvalidRequest", "AccessDenied", "InvalidCredentials", "AlreadyExists", "NotFound"),
    *("ResourceConflict", "Throttling", "ServiceLimitExceeded", "NotStabilized", "GeneralServiceException"),
    *("ServiceInternalError", "NetworkFailure", "InternalFailure"),
}
"""HandlerErrorCode of src/rpdk/core/contract/interface.py."""


def update(laptop: Laptop, kind: Kind, physical_id: str, properties: dict[str, Any]) -> dict[str, Any]:
    return laptop.send(
        "Update",
        resource_type=kind.type,
        physical_id=physical_id,
        properties=properties,
        old_properties=kind.properties,
    )


def read(laptop: Laptop, kind: Kind, physical_id: str) -> dict[str, Any] | None:
    """Return the service's state by property name, or None if the resource doesn't exist."""
    try:
        if kind is SMS_PHONE_NUMBER:
            [found] = laptop.sms.describe_phone_numbers(PhoneNumberIds=[physical_id])["PhoneNumbers"]
            return found | tags(laptop, found["PhoneNumberArn"])
        if kind is SMS_SENDER_ID:
            country, sender_id = physical_id.split("|")
            wanted: Any = [{"SenderId": sender_id, "IsoCountryCode": country}]
            [sender] = laptop.sms.describe_sender_ids(SenderIds=wanted)["SenderIds"]
            return sender | tags(laptop, sender["SenderIdArn"])
        number = laptop.connect.describe_phone_number(PhoneNumberId=physical_id)["ClaimedPhoneNumberSummary"]
    except (laptop.sms.exceptions.ResourceNotFoundException, laptop.connect.exceptions.ResourceNotFoundException):
        return None
    return {
        "TargetArn": number["TargetArn"],
        "CountryCode": number["PhoneNumberCountryCode"],
        "Type": number["PhoneNumberType"],
        "Description": number.get("PhoneNumberDescription"),
        "Tags": [{"Key": key, "Value": value} for key, value in number["Tags"].items()],
    }


def tags(laptop: Laptop, arn: str) -> dict[str, Any]:
    return {"Tags": laptop.sms.list_tags_for_resource(ResourceArn=arn)["Tags"]}


def assert_has(model: dict[str, Any] | None, declared: dict[str, Any]) -> None:
    assert model is not None
    model = model | {"Tags": [tag for tag in model["Tags"] if not tag["Key"].startswith("cfn-telephony:")]}
    # The service converts sender IDs to upper case.
    expected = {name: value.upper() if name == "SenderId" else value for name, value in declared.items()}
    assert {name: model[name] for name in expected} == expected


def listed(kind: Kind) -> list[str]:
    return [observed.physical_id for observed in resources.by_type(kind.type).list_all()]


def has_only_writable_identifiers(kind: Kind) -> bool:
    """Whether the declared properties identify the resource."""
    name = kind.type.removeprefix("Custom::").lower()
    schema = json.loads((ROOT / "schemas" / f"custom-{name}.json").read_text())
    return not set(schema["primaryIdentifier"]) & set(schema["readOnlyProperties"])


@pytest.mark.shows("contract_create_create")
def test_second_create_fails_only_if_the_identifier_is_writable(laptop: Laptop, kind: Kind) -> None:
    first = create(laptop, kind)

    second = laptop.send("Create", resource_type=kind.type, properties=kind.properties, logical_id="Second")

    if has_only_writable_identifiers(kind):
        assert (second["Status"], second["Reason"].split(":")[0]) == ("FAILED", "AlreadyExists")
        assert laptop.ids() == [first]
    else:
        assert second["Status"] == "SUCCESS"
        assert sorted(laptop.ids()) == sorted({first, second["PhysicalResourceId"]})


@pytest.mark.shows("contract_create_delete", "contract_create_read", "contract_update_read", "contract_delete_read")
@pytest.mark.shows("contract_create_list", "contract_update_list", "contract_delete_list")
@pytest.mark.shows("contract_create_taggable", "contract_update_tag_updatable")
def test_service_has_and_lists_the_declared_resource_until_delete(laptop: Laptop, kind: Kind) -> None:
    made = laptop.send("Create", resource_type=kind.type, properties=kind.properties | TAGS)
    physical_id, data = made["PhysicalResourceId"], made["Data"]
    both = kind.properties.keys() & data.keys()
    assert {name: data[name].upper() for name in both} == {name: kind.properties[name].upper() for name in both}
    assert_has(read(laptop, kind, physical_id), kind.properties | TAGS)
    assert listed(kind) == [physical_id]
    changed = kind.properties | kind.in_place | OTHER_TAGS

    assert update(laptop, kind, physical_id, changed)["PhysicalResourceId"] == physical_id
    assert_has(read(laptop, kind, physical_id), changed)
    assert listed(kind) == [physical_id]

    unprotect = {"OnDelete": {"LiftDeletionProtection": "true"}}
    assert delete(laptop, kind, physical_id, properties=changed | unprotect)["Status"] == "SUCCESS"
    assert read(laptop, kind, physical_id) is None
    assert listed(kind) == []


@pytest.mark.shows("contract_delete_update", "contract_delete_create")
def test_deleted_resource_can_be_created_again_but_not_updated(laptop: Laptop, kind: Kind) -> None:
    physical_id = create(laptop, kind)
    delete(laptop, kind, physical_id)

    answer = update(laptop, kind, physical_id, kind.properties | kind.in_place)
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("NotFound: ")
    assert laptop.held() == {}

    again = create(laptop, kind)
    assert laptop.ids() == [again]
    assert (again == physical_id) is has_only_writable_identifiers(kind)


FAILURES: dict[str, Callable[[Laptop, Kind], dict[str, Any]]] = {
    "invalid property": lambda laptop, kind: laptop.send(
        "Create", resource_type=kind.type, properties=kind.properties | {"Colour": "red"}
    ),
    "update of a generated ID": lambda laptop, kind: update(
        laptop, kind, "example-Number-1A2B3C4D5E6F", kind.properties
    ),
    "replacement not allowed": lambda laptop, kind: update(
        laptop, kind, create(laptop, kind), kind.properties | kind.replacing
    ),
    "delete from another stack": lambda laptop, kind: delete(laptop, kind, create(laptop, kind), stack_id=OTHER_STACK),
}


@pytest.mark.shows("every failure has a code and a message")
@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES.keys())
def test_failure_has_an_error_code_and_a_message(
    laptop: Laptop, kind: Kind, fail: Callable[[Laptop, Kind], dict[str, Any]]
) -> None:
    answer = fail(laptop, kind)

    assert answer["Status"] == "FAILED"
    reason = re.match(r"(\w+): \w.+\.", answer["Reason"])
    assert reason is not None
    assert reason[1] in HANDLER_ERROR_CODES


@pytest.mark.shows("every failure has a code and a message")
def test_error_codes_are_handler_error_codes() -> None:
    assert {code.value for code in HandlerErrorCode} <= HANDLER_ERROR_CODES
