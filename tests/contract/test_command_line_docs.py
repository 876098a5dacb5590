"""docs/cli.md and the README show what the command line really writes."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from telephony_cli.app import app
from tests.conftest import Harness, connect_instance
from tests.contract.cloudformation import Stack
from tests.contract.command_line import Telephony, telephony
from tests.contract.declarations import SIMULATOR

__all__ = ["telephony"]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/cli.md").read_text()
PAGES = pytest.mark.parametrize("page", [PAGE, (ROOT / "README.md").read_text()], ids=["docs/cli.md", "README.md"])
VERIFY = ("verify", "--max-cost", "2.00", "--simulator-price", "1.00")
PLAN = ("plan", "--stack-name", "alerts", "--change-set-name", "v2")


@pytest.fixture
def stack(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """The stack of the documentation, with its change set."""
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("TERM", "dumb")  # As in a shell without a terminal, where the width is kept too.
    desk = {"TargetArn": connect_instance(harness), "CountryCode": "US", "Type": "DID", "Description": "Front desk"}
    resources: dict[str, Any] = {
        "Alerts": {"Type": "Custom::SmsPhoneNumber", "Properties": SIMULATOR | {"RecoveryWindowInDays": 30}},
        "Brand": {"Type": "Custom::SmsSenderId", "Properties": {"SenderId": "Acme", "IsoCountryCode": "GB"}},
        "Desk": {"Type": "Custom::ConnectPhoneNumber", "Properties": desk},
    }
    deployed = harness.cloudformation.stack("alerts")
    assert deployed.deploy({"Resources": resources}) == "CREATE_COMPLETE"
    after = copy.deepcopy(resources)
    after["Alerts"]["Properties"] |= {"NumberCapabilities": ["VOICE"], "AllowReplacement": True}
    after["Desk"]["Properties"]["Description"] = "Service desk"
    after["Second"] = {"Type": "Custom::SmsPhoneNumber", "Properties": SIMULATOR}
    del after["Brand"]
    deployed.change_set("v2", {"Resources": after})
    resources["Brand"]["Properties"]["DeletionProtectionEnabled"] = False
    deployed.known.template = json.dumps({"Resources": resources})
    return deployed


def shown(page: str, command: str) -> str:
    """Return the output that a page shows below a command."""
    pattern = rf"^\$ telephony {re.escape(command)}\n(.*?)^(?:```$|\$ )"
    [found] = re.findall(pattern, page, re.MULTILINE | re.DOTALL)
    return str(found)


def masked(output: str) -> str:
    """Return the output with the documented number of Amazon Connect, which the provider chooses at random."""
    return re.sub(r"\+1206556\d{4}", "+12065560001", output)


@PAGES
def test_plan_is_shown_as_it_is(telephony: Telephony, stack: Stack, page: str) -> None:
    del stack
    result = telephony(*PLAN, "--fail-on", "release,replace")

    assert result.code == 3
    assert masked(result.out + result.err) == shown(page, " ".join([*PLAN, "--fail-on", "release,replace"]))


@PAGES
def test_list_and_drift_are_shown_as_they_are(harness: Harness, telephony: Telephony, stack: Stack, page: str) -> None:
    listed = telephony("list")
    harness.sms.update_sender_id(SenderId="ACME", IsoCountryCode="GB", DeletionProtectionEnabled=True)
    drift = telephony("drift", "--stack-name", stack.name)

    assert masked(listed.out) == shown(page, "list")
    assert masked(drift.out) == shown(page, "drift --stack-name alerts")


def test_restore_and_adopt_are_shown_as_they_are(
    telephony: Telephony, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listed = telephony("list", "--output", "json").document["numbers"]
    [number] = [each for each in listed if each["logical_id"] == "Alerts"]
    assert stack.delete() == "DELETE_COMPLETE"

    restored = telephony("restore", number["number"])
    adopted = telephony("adopt", number["number"], "--generate-template", "adopt.yaml")

    documented = re.sub(r"phone-\w{32}", number["physical_id"], shown(PAGE, "restore +12065570100"))
    assert (restored.out, restored.err) == (documented, "")
    assert adopted.err + adopted.out == shown(PAGE, "adopt +12065570100 --generate-template adopt.yaml")


@pytest.mark.usefixtures("virtual_clock")
def test_verify_is_shown_as_it_is(telephony: Telephony, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    options = [*VERIFY, *(part for row in ("9", "25", "42") for part in ("--row", row))]

    assert telephony(*options).out == shown(PAGE, " ".join(options))


def names(document: Any) -> Any:
    """Return the names in a document, with those of the first item of each list."""
    if isinstance(document, dict):
        # The effects are names themselves.
        return {name: None if name == "effects" else names(value) for name, value in document.items()}
    return names(document[0]) if isinstance(document, list) and document and isinstance(document[0], dict) else None


def test_json_has_the_documented_names(harness: Harness, telephony: Telephony, stack: Stack) -> None:
    harness.sms.update_sender_id(SenderId="ACME", IsoCountryCode="GB", DeletionProtectionEnabled=True)
    documented = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
    plan, listed, drift = (
        telephony(*command, "--output", "json").document
        for command in (PLAN, ("list",), ("drift", "--stack-name", stack.name))
    )
    verified = telephony(*VERIFY, "--row", "9", "--output", "json").document
    plan["resources"] = [each for each in plan["resources"] if each["properties"]]
    drift["resources"] = [each for each in drift["resources"] if each["properties"]]

    assert [names(each) for each in (plan, listed, drift, verified)] == [names(each) for each in documented]


def test_every_command_and_exit_code_is_documented() -> None:
    commands = [command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands]

    assert all(f"\n## {command}\n" in PAGE for command in commands)
    assert re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE) == ["0", "1", "2", "3"]
