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
from tests.conftest import Harness
from tests.contract.declarations import Kind
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


def update(harness: Harness, kind: Kind, physical_id: str, properties: dict[str, Any]) -> dict[str, Any]:
    return harness.send(
        "Update",
        resource_type=kind.type,
        physical_id=physical_id,
        properties=properties,
        old_properties=kind.properties,
    )


def read(harness: Harness, kind: Kind, physical_id: str) -> dict[str, Any] | None:
    """Return the service's state by property name, or None if the resource doesn't exist."""
    try:
        return READERS[kind.type](harness, physical_id)
    except (harness.sms.exceptions.ResourceNotFoundException, harness.connect.exceptions.ResourceNotFoundException):
        return None


def read_phone_number(harness: Harness, physical_id: str) -> dict[str, Any]:
    [found] = harness.sms.describe_phone_numbers(PhoneNumberIds=[physical_id])["PhoneNumbers"]
    return found | tags(harness, found["PhoneNumberArn"])


def read_sender_id(harness: Harness, physical_id: str) -> dict[str, Any]:
    country, sender_id = physical_id.split("|")
    wanted: Any = [{"SenderId": sender_id, "IsoCountryCode": country}]
    [sender] = harness.sms.describe_sender_ids(SenderIds=wanted)["SenderIds"]
    return sender | tags(harness, sender["SenderIdArn"])


def read_connect_phone_number(harness: Harness, physical_id: str) -> dict[str, Any]:
    number = harness.connect.describe_phone_number(PhoneNumberId=physical_id)["ClaimedPhoneNumberSummary"]
    return {
        "TargetArn": number["TargetArn"],
        "CountryCode": number["PhoneNumberCountryCode"],
        "Type": number["PhoneNumberType"],
        "Description": number.get("PhoneNumberDescription"),
        "Tags": [{"Key": key, "Value": value} for key, value in number["Tags"].items()],
    }


READERS: dict[str, Callable[[Harness, str], dict[str, Any]]] = {
    "Custom::SmsPhoneNumber": read_phone_number,
    "Custom::SmsSenderId": read_sender_id,
    "Custom::ConnectPhoneNumber": read_connect_phone_number,
}
"""By type. They read with the tests' own clients, independently of the provider."""


def tags(harness: Harness, arn: str) -> dict[str, Any]:
    return {"Tags": harness.sms.list_tags_for_resource(ResourceArn=arn)["Tags"]}


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
def test_second_create_fails_only_if_the_identifier_is_writable(harness: Harness, kind: Kind) -> None:
    first = create(harness, kind)

    second = harness.send("Create", resource_type=kind.type, properties=kind.properties, logical_id="Second")

    if has_only_writable_identifiers(kind):
        assert (second["Status"], second["Reason"].split(":")[0]) == ("FAILED", "AlreadyExists")
        assert harness.ids() == [first]
    else:
        assert second["Status"] == "SUCCESS"
        assert sorted(harness.ids()) == sorted({first, second["PhysicalResourceId"]})


@pytest.mark.shows("contract_create_delete", "contract_create_read", "contract_update_read", "contract_delete_read")
@pytest.mark.shows("contract_create_list", "contract_update_list", "contract_delete_list")
@pytest.mark.shows("contract_create_taggable", "contract_update_tag_updatable")
def test_service_has_and_lists_the_declared_resource_until_delete(harness: Harness, kind: Kind) -> None:
    made = harness.send("Create", resource_type=kind.type, properties=kind.properties | TAGS)
    physical_id, data = made["PhysicalResourceId"], made["Data"]
    both = kind.properties.keys() & data.keys()
    assert {name: data[name].upper() for name in both} == {name: kind.properties[name].upper() for name in both}
    assert_has(read(harness, kind, physical_id), kind.properties | TAGS)
    assert listed(kind) == [physical_id]
    changed = kind.properties | kind.in_place | OTHER_TAGS

    assert update(harness, kind, physical_id, changed)["PhysicalResourceId"] == physical_id
    assert_has(read(harness, kind, physical_id), changed)
    assert listed(kind) == [physical_id]

    unprotect = {"OnDelete": {"LiftDeletionProtection": "true"}}
    assert delete(harness, kind, physical_id, properties=changed | unprotect)["Status"] == "SUCCESS"
    assert read(harness, kind, physical_id) is None
    assert listed(kind) == []


@pytest.mark.shows("contract_delete_update", "contract_delete_create")
def test_deleted_resource_can_be_created_again_but_not_updated(harness: Harness, kind: Kind) -> None:
    physical_id = create(harness, kind)
    delete(harness, kind, physical_id)

    answer = update(harness, kind, physical_id, kind.properties | kind.in_place)
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("NotFound: ")
    assert harness.held() == {}

    again = create(harness, kind)
    assert harness.ids() == [again]
    assert (again == physical_id) is has_only_writable_identifiers(kind)


FAILURES: dict[str, Callable[[Harness, Kind], dict[str, Any]]] = {
    "invalid property": lambda harness, kind: harness.send(
        "Create", resource_type=kind.type, properties=kind.properties | {"Colour": "red"}
    ),
    "update of a generated ID": lambda harness, kind: update(
        harness, kind, "example-Number-1A2B3C4D5E6F", kind.properties
    ),
    "replacement not allowed": lambda harness, kind: update(
        harness, kind, create(harness, kind), kind.properties | kind.replacing
    ),
    "update from another stack": lambda harness, kind: harness.send(
        "Update",
        resource_type=kind.type,
        physical_id=create(harness, kind),
        properties=kind.properties,
        old_properties=kind.properties,
        stack_id=OTHER_STACK,
    ),
}


@pytest.mark.shows("every failure has a code and a message")
@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES.keys())
def test_failure_has_an_error_code_and_a_message(
    harness: Harness, kind: Kind, fail: Callable[[Harness, Kind], dict[str, Any]]
) -> None:
    answer = fail(harness, kind)

    assert answer["Status"] == "FAILED"
    reason = re.match(r"(\w+): \w.+\.", answer["Reason"])
    assert reason is not None
    assert reason[1] in HANDLER_ERROR_CODES


@pytest.mark.shows("every failure has a code and a message")
def test_error_codes_are_handler_error_codes() -> None:
    assert {code.value for code in HandlerErrorCode} <= HANDLER_ERROR_CODES
