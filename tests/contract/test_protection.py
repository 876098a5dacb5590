"""Deletion protection follows the declaration; protection left by a rolled-back Update does not block a Delete."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Harness
from tests.contract.declarations import SMS_PHONE_NUMBER, Kind, template, with_failing_sibling
from tests.contract.steps import PROTECTED, SMS_KINDS, create, create_pool, delete, deploy, fault, is_protected, protect


@pytest.mark.parametrize("changed", [{}, {"DeletionProtectionEnabled": False}], ids=["removed", "false"])
@SMS_KINDS
def test_protection_is_disabled_if_no_longer_declared(harness: Harness, kind: Kind, changed: dict[str, Any]) -> None:
    stack, physical_id = deploy(harness, kind, **PROTECTED)

    assert stack.deploy(template(kind.properties | changed, kind)) == "UPDATE_COMPLETE"

    assert not is_protected(harness, kind, physical_id)
    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")


@SMS_KINDS
def test_protection_enabled_outside_is_kept_if_never_declared(harness: Harness, kind: Kind) -> None:
    stack, physical_id = deploy(harness, kind)
    protect(harness, physical_id)

    assert stack.deploy(template(kind.properties | {"Trigger": "again"}, kind)) == "UPDATE_COMPLETE"

    assert is_protected(harness, kind, physical_id)
    assert stack.delete() == "DELETE_FAILED"


@SMS_KINDS
def test_rollback_disables_protection_that_the_update_enabled(harness: Harness, kind: Kind) -> None:
    stack, physical_id = deploy(harness, kind)

    assert stack.deploy(with_failing_sibling(kind.properties | PROTECTED, kind)) == "UPDATE_ROLLBACK_COMPLETE"

    assert not is_protected(harness, kind, physical_id)
    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")


def test_pooled_number_keeps_protection_that_the_service_does_not_change(harness: Harness) -> None:
    """The service refuses UpdatePhoneNumber for it: removing the property must not fail an Update or a rollback."""
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, **PROTECTED, PoolId=create_pool(harness))

    assert stack.deploy(template(SMS_PHONE_NUMBER.properties)) == "UPDATE_COMPLETE", stack.reasons("Number")

    assert is_protected(harness, SMS_PHONE_NUMBER, physical_id)


@pytest.mark.parametrize(("declared", "status"), [({}, "SUCCESS"), (PROTECTED, "FAILED")], ids=["removed", "declared"])
@SMS_KINDS
def test_delete_lifts_protection_of_an_unanswered_update_unless_it_is_declared(
    harness: Harness, kind: Kind, declared: dict[str, Any], status: str
) -> None:
    """The Update enabled protection, and was lost before it had a response."""
    physical_id = create(harness, kind)
    fault(harness, kind.updates, "lose_answer", times=99)
    before = kind.properties
    update: dict[str, Any] = {"physical_id": physical_id, "properties": before | PROTECTED, "old_properties": before}
    with harness.function(continues=False) as function:
        function.post("Update", resource_type=kind.type, **update)
        function.invoker.settle(60)
    harness.queue.reset()
    harness.telecom.clear_faults()
    assert is_protected(harness, kind, physical_id)

    assert delete(harness, kind, physical_id, properties=before | declared)["Status"] == status

    left = [held["protected"] for held in harness.telecom.held()[kind.held]]
    assert left == ([] if status == "SUCCESS" else [True])
