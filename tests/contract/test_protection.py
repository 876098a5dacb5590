"""Deletion protection follows the declaration, and what an undone Update left of it does not stop a Delete."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import SMS, Laptop
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, template, with_failing_sibling
from tests.contract.test_deletion import a_pool

KINDS = pytest.mark.parametrize("kind", [SMS_PHONE_NUMBER, SMS_SENDER_ID], ids=lambda kind: kind.type)
ON = {"DeletionProtectionEnabled": True}


def protected(laptop: Laptop, kind: Kind) -> bool:
    [thing] = laptop.telecom.held()[kind.held]
    return bool(thing["protected"])


def protect(laptop: Laptop, physical_id: str) -> None:
    """By hand, beside CloudFormation."""
    if "|" in physical_id:
        country, sender_id = physical_id.split("|")
        laptop.sms.update_sender_id(SenderId=sender_id, IsoCountryCode=country, DeletionProtectionEnabled=True)
    else:
        laptop.sms.update_phone_number(PhoneNumberId=physical_id, DeletionProtectionEnabled=True)


@KINDS
def test_protection_that_is_no_longer_declared_is_switched_off(laptop: Laptop, kind: Kind) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(kind.properties | ON, kind))

    assert stack.deploy(template(kind.properties, kind)) == "UPDATE_COMPLETE"

    assert not protected(laptop, kind)
    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")


@KINDS
def test_protection_that_was_never_declared_stays_as_somebody_set_it(laptop: Laptop, kind: Kind) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(kind.properties, kind))
    protect(laptop, stack.physical_ids["Number"])

    assert stack.deploy(template(kind.properties | {"Trigger": "again"}, kind)) == "UPDATE_COMPLETE"

    assert protected(laptop, kind)
    assert stack.delete() == "DELETE_FAILED"


@KINDS
def test_the_rollback_of_an_update_that_switched_protection_on_switches_it_off(laptop: Laptop, kind: Kind) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(kind.properties, kind))

    assert stack.deploy(with_failing_sibling(kind.properties | ON, kind)) == "UPDATE_ROLLBACK_COMPLETE"

    assert not protected(laptop, kind)
    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")


def test_a_number_in_a_pool_keeps_a_protection_that_the_service_would_not_change(laptop: Laptop) -> None:
    """UpdatePhoneNumber is refused for it: taking the line away must not make an Update, or a rollback, fail."""
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | ON | {"PoolId": a_pool(laptop)}))

    assert stack.deploy(template(SIMULATOR)) == "UPDATE_COMPLETE", stack.reasons("Number")

    [number] = [held for held in laptop.telecom.held()["phone_numbers"] if held["id"] in stack.physical_ids.values()]
    assert number["protected"]


def half_protected(laptop: Laptop, kind: Kind) -> str:
    """A resource whose Update switched protection on, and was given up by CloudFormation before it answered."""
    fields: dict[str, Any] = {"resource_type": kind.type}
    created = laptop.send("Create", properties=kind.properties, **fields)["PhysicalResourceId"]
    operation = kind.updates.split(".")[1]
    laptop.telecom.fault(SMS, operation, "lose_answer", times=99)
    before = kind.properties
    laptop.post("Update", physical_id=created, properties=before | ON, old_properties=before, **fields)
    laptop.invoker.settle(60)
    laptop.telecom.clear_faults()
    assert protected(laptop, kind)
    return str(created)


@KINDS
def test_a_delete_lifts_a_protection_of_which_only_an_undone_update_spoke(laptop: Laptop, kind: Kind) -> None:
    created = half_protected(laptop, kind)

    gone = laptop.send("Delete", resource_type=kind.type, physical_id=created, properties=kind.properties)

    assert gone["Status"] == "SUCCESS", gone
    assert laptop.held() == {}


@KINDS
def test_a_delete_does_not_lift_what_stands_declared(laptop: Laptop, kind: Kind) -> None:
    created = half_protected(laptop, kind)

    kept = laptop.send("Delete", resource_type=kind.type, physical_id=created, properties=kind.properties | ON)

    assert kept["Status"] == "FAILED"
    assert protected(laptop, kind)
