"""The experiment of `telephony verify` with a Hook: the function of the Hook is invoked with payloads that differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telephony_cli.verification.hooks import FUNCTION
from telephony_cli.verification.stacks import TYPE
from tests.conftest import Harness
from tests.contract.command_line import Result, Telephony, telephony
from tests.contract.test_verify import held, results, waits

__all__ = ["telephony", "waits"]

pytestmark = pytest.mark.usefixtures("waits")
Receives = Callable[..., None]
S3 = "https://bucket.s3.us-east-1.amazonaws.com/payload"


def verify(telephony: Telephony) -> Result:
    return telephony("verify", "--max-cost", "0.01", "--output", "json", "--row", "46")


def changed(before: Any = "US", after: Any = "CA", **more: Any) -> dict[str, Any]:
    contexts = {
        f"{name}Context": None if value is None else json.dumps({"Properties": {"Country": value}})
        for name, value in (("before", before), ("after", after))
    }
    return {"logicalResourceId": "Replaced", "resourceType": TYPE, "action": "UPDATE", **contexts, **more}


def declared_hook(harness: Harness) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the properties of the Hook, and the variables of its function."""
    declared = (json.loads(one.template)["Resources"] for one in harness.stacks.stacks.values() if one.template)
    hook = next(one for one in declared if "Hook" in one)
    return hook["Hook"]["Properties"], hook["Function"]["Properties"]["Environment"]["Variables"]


@pytest.fixture
def receives(harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Receives:
    """Let the function of the Hook, with what it receives, decide about the change sets of its stack."""
    payload = tmp_path / "payload.json"
    function: dict[str, Any] = {}
    exec(FUNCTION, function)  # noqa: S102 - as Lambda does

    def receive(resources: list[Any], url: str = S3) -> None:
        payload.write_text(json.dumps({"template": "{}", "changedResources": resources}))

        def stops(change_set_id: str) -> bool:
            if "/verify-" in change_set_id:  # of a stack that the Hook is not invoked for, or before it exists
                return False
            hook, variables = declared_hook(harness)
            assert hook["StackFilters"]["StackNames"] == {"Include": [variables["STACK"].split("/")[1]]}
            for name, value in variables.items():
                monkeypatch.setenv(name, value)
            # The payload of this test is a file.
            request = {
                "targetLogicalId": change_set_id,
                "payload": url if "-host-" in change_set_id else payload.as_uri(),
            }
            try:
                answer = function["handler"]({"clientRequestToken": "token", "requestData": request}, None)
            except Exception:  # noqa: BLE001 - a Hook that fails stops the operation
                return True
            assert answer["clientRequestToken"] == "token"
            return bool(answer["hookStatus"] == "FAILED")

        harness.stacks.stops = stops

    return receive


PAYLOADS: dict[str, tuple[list[Any], str]] = {
    "changed": ([changed()], "HOLDS"),
    "none": ([], "DOES_NOT_HOLD"),
    "other": ([changed(resourceType="AWS::IAM::Role")], "DOES_NOT_HOLD"),
    "no values": ([changed(None, None)], "DOES_NOT_HOLD"),
    "only after": ([changed(None)], "DOES_NOT_HOLD"),
    "unresolved": ([changed({"Ref": "Country"}, {"Ref": "Country"})], "DOES_NOT_HOLD"),
    "error": (["changed"], "NOT_TESTED"),
}


@pytest.mark.parametrize("case", PAYLOADS)
def test_payload_decides(harness: Harness, telephony: Telephony, receives: Receives, case: str) -> None:
    resources, expected = PAYLOADS[case]
    receives(resources)

    verified = verify(telephony)

    # The stack of this test is deleted at once.
    assert results(verified) == {46: {expected}, 47: {"DOES_NOT_HOLD"}, 49: {"HOLDS"}}, verified.err
    assert verified.code == 3
    assert held(harness) == {}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://s3.us-east-1.amazonaws.com/bucket/payload?X-Amz-Signature=1", "HOLDS"),
        ("https://payloads.cloudformation.us-east-1.amazonaws.com/payload", "DOES_NOT_HOLD"),
        ("http://bucket.s3.amazonaws.com/payload", "DOES_NOT_HOLD"),
    ],
)
def test_host_decides(telephony: Telephony, receives: Receives, url: str, expected: str) -> None:
    receives([changed()], url)

    assert results(verify(telephony))[49] == {expected}


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("The following hook(s) failed: [{alias}]", "HOLDS"),
        ("{alias} HOOK_FAILED", "NOT_TESTED"),
        ("The following hook(s) failed: [Another::Hook::Alias]", "NOT_TESTED"),
    ],
)
def test_deletion_decides(
    harness: Harness, telephony: Telephony, receives: Receives, reason: str, expected: str
) -> None:
    receives([changed()])
    stops = harness.stacks.stops

    def stops_deletion_too(change_set_id: str) -> bool:
        if "-resources-" in change_set_id:  # The Hook exists.
            harness.stacks.deletion_failures = [reason.format(alias=declared_hook(harness)[0]["Alias"])]
        return stops(change_set_id)

    harness.stacks.stops = stops_deletion_too

    verified = verify(telephony)

    assert results(verified)[47] == {expected}, verified.out
    assert (verified.code, held(harness)) == (0, {})


@pytest.mark.parametrize("always", [True, False])
def test_hook_that_does_not_work_decides_nothing(harness: Harness, telephony: Telephony, *, always: bool) -> None:
    harness.stacks.stops = lambda change_set_id: always and "/verify-" not in change_set_id

    verified = verify(telephony)

    assert (verified.code, held(harness)) == (1, {})
    assert results(verified) == {row: {"NOT_TESTED"} for row in (46, 47, 49)}
    assert "The Hook did not work within five minutes." in verified.err


def test_denied_hook_is_not_tested(harness: Harness, telephony: Telephony) -> None:
    harness.stacks.creation_failures = {"Hook": "Not authorized to perform: cloudformation:ActivateType"}

    verified = verify(telephony)

    assert (verified.code, held(harness)) == (1, {})
    assert results(verified) == {row: {"NOT_TESTED"} for row in (46, 47, 49)}
    assert "cloudformation:ActivateType" in verified.document["results"][0]["observed"]


def test_hook_of_a_killed_run_is_deleted_before_its_stack(harness: Harness, telephony: Telephony) -> None:
    for name in ("stack", "hook-stopped", "hook"):
        harness.stacks.know(f"arn:aws:cloudformation:us-east-1:123456789012:stack/cfn-telephony-verify-1-{name}/{name}")

    following = telephony("verify", "--max-cost", "0", "--row", "27")

    assert (following.code, held(harness)) == (0, {})
    lines = [line for line in following.err.splitlines() if "left by an earlier run" in line]
    names = [line.split(" (")[0].rpartition("verify-1-")[2] for line in lines]
    assert names.index("hook") < names.index("hook-stopped")
