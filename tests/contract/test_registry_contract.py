"""CloudFormation's contract tests for registry types, as far as a custom resource can keep that contract; every type.

Source: github.com/aws-cloudformation/cloudformation-cli, src/rpdk/core/contract/suite/resource. Its handlers have error
codes and a read and a list of their own; here the services themselves are read, and the sweep's listing is the list.
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
    """What the service has, by our names of the properties; None if it has it no more."""
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


def declared_tags(model: dict[str, Any] | None) -> list[dict[str, str]]:
    assert model is not None
    return [tag for tag in model["Tags"] if not tag["Key"].startswith("cfn-telephony:")]


def assert_has(model: dict[str, Any] | None, declared: dict[str, Any]) -> None:
    assert model is not None
    model = model | {"Tags": declared_tags(model)}
    # The service keeps sender IDs in upper case.
    wanted = {name: value.upper() if name == "SenderId" else value for name, value in declared.items()}
    assert {name: model[name] for name in wanted} == wanted


def listed(kind: Kind) -> list[str]:
    return [observed.physical_id for observed in resources.by_type(kind.type).list_all()]


def identifier_is_chosen(kind: Kind) -> bool:
    """Whether the declaration itself is what identifies it (has_only_writable_identifiers)."""
    name = kind.type.removeprefix("Custom::").lower()
    schema = json.loads((ROOT / "schemas" / f"custom-{name}.json").read_text())
    return not set(schema["primaryIdentifier"]) & set(schema["readOnlyProperties"])


@pytest.mark.shows("contract_create_delete")
def test_the_answer_to_a_create_gives_what_was_declared_and_its_delete_succeeds(laptop: Laptop, kind: Kind) -> None:
    made = laptop.send("Create", resource_type=kind.type, properties=kind.properties)

    assert made["Status"] == "SUCCESS", made
    both = kind.properties.keys() & made["Data"].keys()
    assert {name: made["Data"][name].upper() for name in both} == {name: kind.properties[name].upper() for name in both}
    assert delete(laptop, kind, made["PhysicalResourceId"])["Status"] == "SUCCESS"
    assert laptop.held() == {}


@pytest.mark.shows("contract_create_create")
def test_the_same_declaration_once_more_is_refused_if_its_id_was_chosen_and_is_another_one_if_not(
    laptop: Laptop, kind: Kind
) -> None:
    first = create(laptop, kind)

    second = laptop.send("Create", resource_type=kind.type, properties=kind.properties, logical_id="Second")

    if identifier_is_chosen(kind):
        assert (second["Status"], second["Reason"].split(":")[0]) == ("FAILED", "AlreadyExists")
        assert laptop.ids() == [first]
    else:
        assert second["Status"] == "SUCCESS"
        assert sorted(laptop.ids()) == sorted({first, second["PhysicalResourceId"]})


@pytest.mark.shows("contract_create_read", "contract_update_read", "contract_delete_read")
def test_the_service_has_what_is_declared_until_it_is_deleted(laptop: Laptop, kind: Kind) -> None:
    physical_id = create(laptop, kind, properties=kind.properties | TAGS)
    assert_has(read(laptop, kind, physical_id), kind.properties | TAGS)
    changed = kind.properties | kind.in_place | OTHER_TAGS

    assert update(laptop, kind, physical_id, changed)["PhysicalResourceId"] == physical_id
    assert_has(read(laptop, kind, physical_id), changed)

    lifted = {"OnDelete": {"LiftDeletionProtection": "true"}}
    assert delete(laptop, kind, physical_id, properties=changed | lifted)["Status"] == "SUCCESS"
    assert read(laptop, kind, physical_id) is None


@pytest.mark.shows("contract_create_list", "contract_update_list", "contract_delete_list")
def test_it_is_listed_under_one_id_until_it_is_deleted(laptop: Laptop, kind: Kind) -> None:
    physical_id = create(laptop, kind)
    assert listed(kind) == [physical_id]

    assert update(laptop, kind, physical_id, kind.properties | TAGS)["PhysicalResourceId"] == physical_id
    assert listed(kind) == [physical_id]

    delete(laptop, kind, physical_id)
    assert listed(kind) == []


@pytest.mark.shows("contract_create_taggable", "contract_update_tag_updatable")
def test_tags_are_those_that_are_declared(laptop: Laptop, kind: Kind) -> None:
    physical_id = create(laptop, kind, properties=kind.properties | TAGS)
    assert declared_tags(read(laptop, kind, physical_id)) == TAGS["Tags"]

    assert update(laptop, kind, physical_id, kind.properties | OTHER_TAGS)["Status"] == "SUCCESS"
    assert declared_tags(read(laptop, kind, physical_id)) == OTHER_TAGS["Tags"]


@pytest.mark.shows("contract_delete_update")
def test_what_was_deleted_cannot_be_updated(laptop: Laptop, kind: Kind) -> None:
    physical_id = create(laptop, kind)
    delete(laptop, kind, physical_id)

    answer = update(laptop, kind, physical_id, kind.properties | kind.in_place)

    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("NotFound: ")
    assert laptop.held() == {}


@pytest.mark.shows("contract_delete_create")
def test_what_was_deleted_can_be_declared_again(laptop: Laptop, kind: Kind) -> None:
    physical_id = create(laptop, kind)
    delete(laptop, kind, physical_id)

    again = create(laptop, kind)

    assert laptop.ids() == [again]
    assert (again == physical_id) is identifier_is_chosen(kind)


FAILURES: dict[str, Callable[[Laptop, Kind], dict[str, Any]]] = {
    "a declaration that is wrong": lambda laptop, kind: laptop.send(
        "Create", resource_type=kind.type, properties=kind.properties | {"Colour": "red"}
    ),
    "an update of nothing": lambda laptop, kind: update(laptop, kind, "example-Number-1A2B3C4D5E6F", kind.properties),
    "a replacement that is not allowed": lambda laptop, kind: update(
        laptop, kind, create(laptop, kind), kind.properties | kind.replacing
    ),
    "a forged delete": lambda laptop, kind: delete(laptop, kind, create(laptop, kind), stack_id=OTHER_STACK),
}


@pytest.mark.shows("every failure has a code and a message")
@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_begins_with_a_code_and_says_what_it_is(
    laptop: Laptop, kind: Kind, fail: Callable[[Laptop, Kind], dict[str, Any]]
) -> None:
    answer = fail(laptop, kind)

    assert answer["Status"] == "FAILED"
    told = re.match(r"(\w+): \w.+\.", answer["Reason"])
    assert told is not None
    assert told[1] in HANDLER_ERROR_CODES


@pytest.mark.shows("every failure has a code and a message")
def test_every_code_is_one_of_cloudformations() -> None:
    assert {word.value for word in HandlerErrorCode} <= HANDLER_ERROR_CODES
