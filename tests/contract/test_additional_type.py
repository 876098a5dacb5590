"""The generic tests, with a type that the provider doesn't have: Custom::SmsPool of tests/contract/additional.

Only the search path of the resource types is extended. Unlike the provider's types, a pool needs another resource.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from telephony import resources
from tests import conftest
from tests.contract.cloudformation import StacksApi
from tests.contract.command_line import Telephony, telephony
from tests.contract.declarations import Kind, template
from tests.contract.steps import (
    PROTECTED,
    assert_delete_fails,
    assert_reason,
    delete,
    deploy,
    request_number,
    send_create,
)
from tests.contract.test_every_type import missing
from tests.contract.test_sweep import NOTHING, deployed, may_release, release, run, stacks
from tools.types import every_type

__all__ = ["may_release", "release", "stacks", "telephony"]  # fixtures of the generic tests
MODULES = ("bad_input", "bought_once", "deletion", "failed_creation", "replacement", "sweep")
OTHER_POOL = "pool-" + 32 * "0"


def generic_tests() -> Iterator[tuple[str, Any]]:
    """Yield the tests that run with each `kind`: here with that of this module."""
    for module in MODULES:
        for name, test in vars(importlib.import_module(f"tests.contract.test_{module}")).items():
            if name.startswith("test_") and "kind" in inspect.signature(test).parameters:
                marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
                if not any("kind" in mark.args[0] for mark in marks):
                    yield name, test


globals().update(generic_tests())


class PoolHarness(conftest.Harness):
    """Counts pools, and not the phone numbers that they need."""

    def calls(self, service: str = "") -> dict[str, int]:
        return {name: n for name, n in super().calls(service).items() if not name.endswith("RequestPhoneNumber")}

    def held(self) -> dict[str, int]:
        return {"pools": len(self.ids())} if self.ids() else {}

    def ids(self) -> list[str]:
        return [pool["id"] for pool in self.telecom.held()["pools"]]


@pytest.fixture(autouse=True)
def additional_type(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(resources, "__path__", [*resources.__path__, str(Path(__file__).parent / "additional")])
    yield
    sys.modules.pop("telephony.resources.sms_pool", None)


@pytest.fixture
def harness(harness: conftest.Harness) -> PoolHarness:
    return PoolHarness(**attrs.asdict(harness, recurse=False))


@pytest.fixture
def kind(harness: PoolHarness) -> Kind:
    # A phone number can be in one pool only.
    other = request_number(harness, NumberType="TOLL_FREE", MessageType="PROMOTIONAL")
    return Kind(
        type="Custom::SmsPool",
        properties={"OriginationIdentity": request_number(harness), "MessageType": "TRANSACTIONAL"},
        in_place={"DeletionProtectionEnabled": True},
        replacing={"MessageType": "PROMOTIONAL", "OriginationIdentity": other},
        buys="pinpoint-sms-voice-v2.CreatePool",
        reads="pinpoint-sms-voice-v2.DescribePools",
        updates="pinpoint-sms-voice-v2.UpdatePool",
        releases="pinpoint-sms-voice-v2.DeletePool",
        held="pools",
    )


def test_create_buys_one_pool_with_ownership_tags_and_waits_for_it(harness: PoolHarness, kind: Kind) -> None:
    response = send_create(harness, kind)

    assert (response["Status"], response["Data"]["Status"]) == ("SUCCESS", "ACTIVE")
    [pool] = harness.telecom.held()["pools"]
    assert pool["id"] == response["PhysicalResourceId"]
    owner = {"stack-id": conftest.STACK_ID, "logical-id": "Number", "request-id": response["RequestId"]}
    owner |= {"managed-by": "cfn-telephony", "issued-at": harness.purchases()[0]["request_time"]["N"]}
    assert pool["tags"] == {f"cfn-telephony:{name}": value for name, value in owner.items()}


def test_update_changes_settings_in_place(harness: PoolHarness, kind: Kind) -> None:
    stack, pool = deploy(harness, kind)
    two_way = {"Enabled": True, "ChannelArn": "connect.us-east-1.amazonaws.com"}

    made = harness.calls_of(lambda: stack.deploy(template(kind.properties | {"TwoWay": two_way}, kind)))

    assert (stack.status, stack.physical_ids["Number"]) == ("UPDATE_COMPLETE", pool)
    assert made == {kind.reads: 1, kind.updates: 1}
    assert harness.sms.describe_pools(PoolIds=[pool])["Pools"][0]["TwoWayEnabled"] is True


def test_every_violation_is_reported_and_nothing_is_called(harness: PoolHarness, kind: Kind) -> None:
    number = kind.properties["OriginationIdentity"]  # not an ID of this type
    invalid = {"MessageType": "BOTH", "AllowReplacement": number, "OnDelete": {"LeavePools": True}, "TwoWay": {}}

    response = send_create(harness, kind, properties=invalid)

    heads = ("AllowReplacement", "MessageType", "OnDelete.LeavePools", "OriginationIdentity", "TwoWay.Enabled")
    assert_reason(response, "InvalidRequest", *(f"\n- {path}: " for path in heads))
    assert response["Reason"].count("\n- ") == len(heads)
    assert harness.calls() == {}


def test_protected_pool_is_deleted_only_if_on_delete_allows_it(harness: PoolHarness, kind: Kind) -> None:
    stack, pool = deploy(harness, kind, **PROTECTED)
    assert_delete_fails(stack, "ResourceConflict", "LiftDeletionProtection")
    assert harness.ids() == [pool]

    declared = kind.properties | {"OnDelete": {"LiftDeletionProtection": True}}
    harness.stacks.stacks[stack.stack_id].status = "DELETE_IN_PROGRESS"
    assert delete(harness, kind, pool, stack_id=stack.stack_id, properties=declared)["Status"] == "SUCCESS"
    assert harness.ids() == []


def test_pool_is_listed_planned_and_not_adopted(
    harness: PoolHarness, kind: Kind, telephony: Telephony, tmp_path: Path
) -> None:
    stack, pool = deploy(harness, kind)
    change_set = stack.change_set("next", template(kind.properties | kind.in_place, kind))

    listed = telephony("list", "--output", "json").document["numbers"]
    planned = telephony("plan", "--stack-name", stack.name, "--change-set-name", change_set, "--output", "json")
    adopted = telephony("adopt", pool, "--generate-template", str(tmp_path / "adopt.yaml"))

    assert [one["logical_id"] for one in listed if one["physical_id"] == pool] == ["Number"]
    assert [one["effect"] for one in planned.document["resources"]] == ["CHANGED"]
    assert (adopted.code, "pool" in adopted.err, [*tmp_path.iterdir()]) == (1, True, [])


def test_sweep_reports_pool_that_its_stack_does_not_refer_to(
    harness: PoolHarness, kind: Kind, stacks: StacksApi
) -> None:
    stack = deployed(harness, kind)
    stacks.know(stack.stack_id, stack.status, resources={"Number": (OTHER_POOL, "CREATE_COMPLETE")})

    assert run() == NOTHING | {"NOT_REFERENCED": 1}


def test_everything_that_the_type_lacks_is_named() -> None:
    [described] = [described for described in every_type() if described.name == "SmsPool"]
    tests = ("declarations", "test_call_budget", "test_permissions", "test_registry_contract")
    expected = {
        *("docs/SmsPool.md", "docs/performance.md", "examples/sms-pool.yaml", "schemas/custom-smspool.json"),
        *(f"layers/dependencies/trim.py: add {verb}Pool" for verb in ("Create", "Update", "Delete")),
        *(f"template.yaml: grant sms-voice:{verb}Pool" for verb in ("Create", "Update", "Delete")),
        *(f"tests/contract/{name}.py" for name in tests),
        *(f"tests/contract/test_policies.py: add {what}" for what in ("an ARN", "the purchase")),
        *("tests/contract/test_sms_pool.py", "tests/faults/declarations.py"),
        *(f"local/demo/steps.py: add Custom::SmsPool to {names}" for names in ("PURCHASES", "RELEASES")),
    }

    found = missing(described)

    assert {head for head in expected if any(todo.startswith(head) for todo in found)} == expected
    assert len(found) == len(expected)
