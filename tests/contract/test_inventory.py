"""`telephony list`, `drift`, `restore` and `adopt`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.telecom import Options
from tests.conftest import SECRET, SMS, Harness, connect_instance
from tests.contract.cloudformation import Stack
from tests.contract.command_line import Telephony, telephony
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, Kind, connect_phone_number, template
from tests.contract.steps import DENIED, create_pool, fault, join_pool, protect, request_number
from tests.contract.test_recovery import states

__all__ = ["telephony"]

WINDOW: dict[str, Any] = {"RecoveryWindowInDays": 7}


def deployed(harness: Harness, kind: Kind = SMS_PHONE_NUMBER, **properties: Any) -> Stack:
    """Return a new stack with one resource, Number."""
    stack = harness.cloudformation.stack("numbers")
    assert stack.deploy(template(kind.properties | properties, kind)) == "CREATE_COMPLETE", stack.reasons("Number")
    return stack


def listed(telephony: Telephony) -> dict[str, Any]:
    """Return the only number of `telephony list`."""
    [only] = telephony("list", "--output", "json").document["numbers"]
    found: dict[str, Any] = only
    return found


# -- list --------------------------------------------------------------------------------------------------------------


def test_list_shows_resource_status_and_price(harness: Harness, telephony: Telephony, kind: Kind) -> None:
    stack = deployed(harness, kind)

    found = listed(telephony)

    assert (found["stack_id"], found["logical_id"]) == (stack.stack_id, "Number")
    assert (found["type"], found["physical_id"]) == (kind.type, stack.physical_ids["Number"])
    assert (found["adopted"], found["protected"], found["release_after"]) == (False, False, None)
    assert found["monthly_price"] is None or float(found["monthly_price"]) >= 0


def test_list_reads_tags_in_pages_and_not_for_each_number(harness: Harness, telephony: Telephony) -> None:
    numbers = {f"Number{index}": {"Type": "Custom::SmsPhoneNumber", "Properties": SIMULATOR} for index in range(4)}
    assert harness.cloudformation.stack("numbers").deploy({"Resources": numbers}) == "CREATE_COMPLETE"
    before = harness.calls()

    assert len(telephony("list", "--output", "json").document["numbers"]) == 4

    calls = {name: count - before.get(name, 0) for name, count in harness.calls().items()}
    assert calls[f"{SMS}.DescribePhoneNumbers"] == 1
    assert calls.get(f"{SMS}.ListTagsForResource", 0) == 0


def test_list_shows_pool_protection_and_what_no_stack_declares(harness: Harness, telephony: Telephony) -> None:
    made = harness.sms.request_phone_number(
        IsoCountryCode="US", NumberType="SIMULATOR", NumberCapabilities=["SMS"], MessageType="TRANSACTIONAL"
    )
    protect(harness, made["PhoneNumberId"])
    pool = create_pool(harness)
    join_pool(harness, pool, made["PhoneNumberId"])
    numbers = telephony("list", "--output", "json").document["numbers"]

    found = next(each for each in numbers if each["physical_id"] == made["PhoneNumberId"])

    assert (found["number"], found["pool_ids"], found["protected"]) == (made["PhoneNumber"], [pool], True)
    assert (found["stack_id"], found["logical_id"]) == (None, None)


def test_list_shows_due_date_and_total(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness, **WINDOW)
    assert stack.delete() == "DELETE_COMPLETE"

    document, table = telephony("list", "--output", "json").document, telephony("list")

    [number] = document["numbers"]
    assert number["release_after"].endswith("Z")
    assert document["monthly_price"] == {"known": number["monthly_price"], "unknown": 0}
    assert number["release_after"][:10] in table.out
    assert table.out.splitlines()[-1] == f"1 number or sender ID: {number['monthly_price']} USD per month."


def test_list_without_tag_index_reads_the_tags_of_each_number(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    harness.telecom.options = Options(unindexed_types=frozenset({"sms-voice:phone-number"}))

    assert listed(telephony)["stack_id"] == stack.stack_id


def test_empty_account_is_listed(telephony: Telephony) -> None:
    result = telephony("list")

    assert (result.code, result.out) == (0, "0 numbers and sender IDs: 0.00 USD per month.\n")


def test_tag_that_names_no_stack_is_shown(harness: Harness, telephony: Telephony) -> None:
    deployed(harness)
    harness.sms.tag_resource(
        ResourceArn=listed(telephony)["arn"], Tags=[{"Key": "cfn-telephony:stack-id", "Value": "x"}]
    )

    result = telephony("list")

    assert (result.code, "x/Number" in result.out) == (0, True)


# -- restore -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["physical_id", "number", "arn"])
def test_restored_number_is_no_longer_due(harness: Harness, telephony: Telephony, by: str) -> None:
    stack = deployed(harness, **WINDOW)
    physical_id = stack.physical_ids["Number"]
    assert stack.delete() == "DELETE_COMPLETE"

    result = telephony("restore", listed(telephony)[by])

    assert (result.code, physical_id in result.out) == (0, True)
    assert listed(telephony)["release_after"] is None
    assert states(harness) == {physical_id: "CLOSED"}
    assert harness.ids() == [physical_id]


def test_restore_is_repeated_if_the_tag_could_not_be_removed(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness, **WINDOW)
    physical_id = stack.physical_ids["Number"]
    assert stack.delete() == "DELETE_COMPLETE"
    fault(harness, f"{SMS}.UntagResource", "error", **DENIED)
    assert telephony("restore", physical_id).code == 1

    assert telephony("restore", physical_id).code == 0

    assert listed(telephony)["release_after"] is None


def test_name_of_several_numbers_is_refused(harness: Harness, telephony: Telephony, tmp_path: Path) -> None:
    stack = deployed(harness, NumberType="TOLL_FREE", **WINDOW)
    physical_id = stack.physical_ids["Number"]
    [described] = harness.sms.describe_phone_numbers(PhoneNumberIds=[physical_id])["PhoneNumbers"]
    instance_id = connect_instance(harness).rsplit("/", 1)[-1]
    harness.connect.import_phone_number(InstanceId=instance_id, SourcePhoneNumberArn=described["PhoneNumberArn"])
    assert stack.delete() == "DELETE_COMPLETE"
    for country in ("GB", "AU"):
        harness.sms.request_sender_id(SenderId="ACME", IsoCountryCode=country)

    restored = telephony("restore", described["PhoneNumber"])
    adopted = telephony("adopt", "ACME", "--generate-template", str(tmp_path / "adopt.yaml"))

    assert (restored.code, physical_id in restored.err) == (1, True)
    assert (adopted.code, "AU|ACME" in adopted.err, "GB|ACME" in adopted.err) == (1, True, True)
    assert telephony("restore", physical_id).code == 0


def test_number_that_is_not_pending_release_is_not_restored(harness: Harness, telephony: Telephony) -> None:
    physical_id = deployed(harness).physical_ids["Number"]

    result = telephony("restore", physical_id)

    assert (result.code, result.out) == (1, "")
    assert physical_id in result.err
    assert states(harness) == {physical_id: "READY"}


def test_unknown_number_is_named(telephony: Telephony) -> None:
    result = telephony("restore", "+12065550100")

    assert result.code == 1
    assert "+12065550100" in result.err


# -- adopt -------------------------------------------------------------------------------------------------------------


def generated(telephony: Telephony, reference: str, path: Path) -> dict[str, Any]:
    """Return the template that `telephony adopt` writes, with the simulator's ServiceToken."""
    result = telephony("adopt", reference, "--generate-template", str(path))
    assert result.code == 0, result.err
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    for resource in loaded["Resources"].values():
        token = resource["Properties"].pop("ServiceToken")
        assert token == {"Fn::ImportValue": "cfn-telephony-ServiceToken"}
    return loaded


def test_generated_template_adopts_a_configured_number(
    harness: Harness, telephony: Telephony, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from telephony.settings import settings  # noqa: PLC0415

    monkeypatch.setenv("ALLOW_ADOPTION", "true")
    settings.cache_clear()
    made = harness.sms.request_phone_number(
        IsoCountryCode="US",
        NumberType="SIMULATOR",
        NumberCapabilities=["SMS"],
        MessageType="TRANSACTIONAL",
        Tags=[{"Key": "team", "Value": "front desk"}],
    )
    physical_id = made["PhoneNumberId"]
    harness.sms.put_keyword(
        OriginationIdentity=physical_id, Keyword="INFO", KeywordMessage="Hi", KeywordAction="AUTOMATIC_RESPONSE"
    )
    harness.sms.update_phone_number(
        PhoneNumberId=physical_id, TwoWayEnabled=True, TwoWayChannelArn="arn:aws:sns:us-east-1:123456789012:in"
    )
    declared = generated(telephony, made["PhoneNumber"], tmp_path / "adopt.yaml")

    properties = declared["Resources"]["SmsPhoneNumber"]["Properties"]
    assert (properties["Adopt"], properties["TwoWay"]["Enabled"]) == (physical_id, True)
    assert properties["OptionalKeywords"] == [{"Keyword": "INFO", "Message": "Hi", "Action": "AUTOMATIC_RESPONSE"}]
    stack = harness.cloudformation.stack("adopting")
    assert stack.deploy(declared) == "CREATE_COMPLETE", stack.reasons("SmsPhoneNumber")
    assert stack.physical_ids == {"SmsPhoneNumber": physical_id}
    settings.cache_clear()


def test_generated_template_declares_every_type(
    harness: Harness, telephony: Telephony, kind: Kind, tmp_path: Path
) -> None:
    physical_id = deployed(harness, kind).physical_ids["Number"]

    declared = generated(telephony, physical_id, tmp_path / "adopt.yaml")

    [resource] = declared["Resources"].values()
    assert (resource["Type"], resource["DeletionPolicy"]) == (kind.type, "Delete")
    assert resource["Properties"]["Adopt"] in (physical_id, True)
    for name, value in kind.properties.items():
        live = resource["Properties"][name]
        assert live == (value.upper() if name == "SenderId" else value)


def test_adopt_does_not_overwrite_a_file(harness: Harness, telephony: Telephony, tmp_path: Path) -> None:
    physical_id, path = deployed(harness).physical_ids["Number"], tmp_path / "template.yaml"
    path.write_text("mine")

    result = telephony("adopt", physical_id, "--generate-template", str(path))

    assert (result.code, path.read_text()) == (1, "mine")
    assert str(path) in result.err


def test_text_that_looks_like_a_number_is_quoted(harness: Harness, telephony: Telephony, tmp_path: Path) -> None:
    tags = [{"Key": "account", "Value": "098765432109"}, {"Key": "commit", "Value": "123e4567"}]
    number = request_number(harness, Tags=tags)

    telephony("adopt", number, "--generate-template", str(tmp_path / "adopt.yaml"))

    text = (tmp_path / "adopt.yaml").read_text()
    assert yaml.safe_load(text)["Resources"]["SmsPhoneNumber"]["Properties"]["Tags"] == tags
    assert ('Value: "098765432109"' in text, 'Value: "123e4567"' in text) == (True, True)


# -- drift -------------------------------------------------------------------------------------------------------------


def drift(harness: Harness, telephony: Telephony, stack: Stack, source: str, **parameters: str) -> dict[str, Any]:
    """Return the only resource of `telephony drift`, for a stack with this template."""
    del harness
    stack.known.template, stack.known.parameters = source, parameters
    [only] = telephony("drift", "--stack-name", stack.name, "--output", "json").document["resources"]
    found: dict[str, Any] = only
    return found


def source(properties: Mapping[str, Any], kind: Kind = SMS_PHONE_NUMBER, **more: Any) -> str:
    declared = template({"ServiceToken": {"Fn::ImportValue": "x"}, **properties}, kind)
    return json.dumps(declared | more)


def test_unchanged_number_is_in_sync(harness: Harness, telephony: Telephony, kind: Kind) -> None:
    stack = deployed(harness, kind)

    found = drift(harness, telephony, stack, source(kind.properties, kind))

    assert (found["status"], found["properties"], found["not_compared"]) == ("IN_SYNC", [], [])


@pytest.mark.parametrize("kind_of_list", ["CommaDelimitedList", "AWS::SSM::Parameter::Value<CommaDelimitedList>"])
def test_items_of_a_list_parameter_are_trimmed(harness: Harness, telephony: Telephony, kind_of_list: str) -> None:
    stack = deployed(harness)
    declared = SIMULATOR | {"NumberCapabilities": {"Ref": "Capabilities"}}
    text = source(declared, Parameters={"Capabilities": {"Type": kind_of_list}})

    assert drift(harness, telephony, stack, text, Capabilities=" SMS ")["status"] == "IN_SYNC"


def test_reference_to_a_secret_with_a_substitution_is_neither_compared_nor_shown(
    harness: Harness, telephony: Telephony
) -> None:
    kind = connect_phone_number(connect_instance(harness))
    stack = deployed(harness, kind, Description=SECRET)
    reference = {"Fn::Sub": "{{resolve:secretsmanager:${AWS::StackName}}}"}
    stack.known.template = source(kind.properties | {"Description": reference}, kind)

    found = telephony("drift", "--stack-name", "numbers", "--fail")

    assert (found.code, SECRET in found.out) == (0, False)


@pytest.mark.parametrize("body", ["", "a: &x 1\nb: *x\nResources: {}", "Resources:\n"])
def test_stack_without_a_readable_template_has_no_drift(harness: Harness, telephony: Telephony, body: str) -> None:
    stack = harness.stacks.know("arn:aws:cloudformation:us-east-1:123456789012:stack/rev/1", "REVIEW_IN_PROGRESS")
    stack.template = body

    assert telephony("drift", "--stack-name", "rev").code == 0


def test_template_that_can_not_be_read_is_one_sentence(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    stack.known.template = "a: &x 1\nb: *x\nResources: {}"

    found = telephony("drift", "--stack-name", stack.name)

    assert (found.code, found.out, "template of numbers" in found.err) == (1, "", True)


def test_modified_settings_are_shown_with_both_values(harness: Harness, telephony: Telephony) -> None:
    declared = SIMULATOR | {"SelfManagedOptOutsEnabled": False, "MandatoryKeywords": {"HELP": {"Message": "Call us."}}}
    stack = deployed(harness, **declared)
    physical_id = stack.physical_ids["Number"]
    harness.sms.update_phone_number(PhoneNumberId=physical_id, SelfManagedOptOutsEnabled=True)
    harness.sms.put_keyword(OriginationIdentity=physical_id, Keyword="HELP", KeywordMessage="Ask.")

    found = drift(harness, telephony, stack, source(declared))

    assert found["status"] == "MODIFIED"
    values = {each["name"]: (each["declared"], each["live"]) for each in found["properties"]}
    assert values["SelfManagedOptOutsEnabled"] == ("false", True)
    assert values["MandatoryKeywords"][0] == {"HELP": {"Message": "Call us."}}
    assert values["MandatoryKeywords"][1]["HELP"] == {"Message": "Ask."}


def test_number_released_by_hand_is_deleted_and_fails(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    stack.known.template = source(SIMULATOR)
    harness.sms.release_phone_number(PhoneNumberId=stack.physical_ids["Number"])

    result = telephony("drift", "--stack-name", stack.name, "--fail")

    assert (result.code, "DELETED" in result.out) == (3, True)
    assert telephony("drift", "--stack-name", stack.name).code == 0


def test_declared_values_are_resolved(harness: Harness, telephony: Telephony) -> None:
    kind = connect_phone_number(connect_instance(harness))
    stack = deployed(harness, kind, Description="Desk of numbers")
    text = f"""
        Parameters:
          Kind: {{Type: String}}
        Resources:
          Number:
            Type: Custom::ConnectPhoneNumber
            Properties:
              ServiceToken: !ImportValue x
              TargetArn: {kind.properties["TargetArn"]}
              CountryCode: !Ref Country
              Type: !Ref Kind
              Description: !Sub Desk of ${{AWS::StackName}}
              Prefix: !Ref AWS::NoValue
    """

    found = drift(harness, telephony, stack, text, Kind="DID", Country="US")

    assert (found["status"], found["not_compared"]) == ("IN_SYNC", [])
    changed = drift(harness, telephony, stack, text.replace("Desk of $", "Front of $"), Kind="DID", Country="US")
    assert changed["properties"] == [{"name": "Description", "declared": "Front of numbers", "live": "Desk of numbers"}]


def test_secret_and_unresolved_values_are_neither_compared_nor_shown(harness: Harness, telephony: Telephony) -> None:
    kind = connect_phone_number(connect_instance(harness))
    stack = deployed(harness, kind, Description=SECRET)
    declared = kind.properties | {
        "Description": {"Fn::Sub": "${Secret}"},
        "Tags": [{"Key": "owner", "Value": {"Fn::GetAtt": "Other.Name"}}],
        "Prefix": "{{resolve:ssm-secure:prefix}}",
    }
    parameters = {"Secret": {"Type": "String", "NoEcho": True}}
    stack.known.template, stack.known.parameters = source(declared, kind, Parameters=parameters), {"Secret": "****"}

    table = telephony("drift", "--stack-name", "numbers")
    document = telephony("drift", "--stack-name", "numbers", "--output", "json")

    [found] = document.document["resources"]
    assert (found["status"], found["not_compared"]) == ("IN_SYNC", ["Description", "Prefix", "Tags"])
    assert SECRET not in table.out + document.out


def test_resource_that_was_not_created_is_not_checked(harness: Harness, telephony: Telephony) -> None:
    stack = deployed(harness)
    stack.known.resources["Number"] = ("numbers-Number-1A2B3C4D5E6F", "CREATE_FAILED")

    assert drift(harness, telephony, stack, source(SIMULATOR))["status"] == "NOT_CHECKED"


def test_unknown_stack_is_named(telephony: Telephony) -> None:
    result = telephony("drift", "--stack-name", "nowhere")

    assert (result.code, result.out) == (1, "")
    assert "nowhere" in result.err


# -- the environment ---------------------------------------------------------------------------------------------------


def shell(harness: Harness, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with a new session."""
    names = ("PATH", "AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2", "AWS_ENDPOINT_URL_CONNECT")
    endpoints = {name: os.environ[name] for name in (*names, "AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API")}
    del harness
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "telephony_cli.app", *arguments]
    paths = {"PYTHONPATH": os.pathsep.join([str(root), str(root / "functions")]), "AWS_EC2_METADATA_DISABLED": "true"}
    everything = {**endpoints, **paths, "AWS_CONFIG_FILE": os.devnull, **environment}
    return subprocess.run(command, env=everything, capture_output=True, text=True, check=False)  # noqa: S603


KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def test_missing_part_of_the_configuration_is_one_sentence(harness: Harness) -> None:
    region = ("list", "--region", "us-east-1")
    missing = {
        "credentials": shell(harness, *region, AWS_SHARED_CREDENTIALS_FILE=os.devnull),
        "Region": shell(harness, "list", **KEYS),
        "nobody": shell(harness, *region, "--profile", "nobody", **KEYS),
        "AWS_CA_BUNDLE": shell(harness, *region, AWS_CA_BUNDLE="/nowhere", **KEYS),
    }
    for fact, result in missing.items():
        assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1), result.stderr
        assert fact in result.stderr


def test_profile_wins_over_keys_of_the_environment(harness: Harness, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[profile team]\naws_access_key_id = test\naws_secret_access_key = test\nregion = us-east-1\n")
    keys = {"AWS_ACCESS_KEY_ID": "other", "AWS_SECRET_ACCESS_KEY": "other", "AWS_CONFIG_FILE": str(config)}

    result = shell(harness, "list", "--profile", "team", "--output", "json", **keys)

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["numbers"] == []


def test_throttled_call_is_repeated(harness: Harness) -> None:
    fault(harness, f"{SMS}.DescribePhoneNumbers", "error", code="ThrottlingException", message="Slow down.", times=2)

    result = shell(harness, "list", "--region", "us-east-1", **KEYS)

    assert result.returncode == 0, result.stderr


def test_refused_call_is_one_sentence(harness: Harness) -> None:
    fault(harness, f"{SMS}.DescribePhoneNumbers", "error", **DENIED)

    result = shell(harness, "list", "--region", "us-east-1", **KEYS)

    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "DescribePhoneNumbers" in result.stderr
