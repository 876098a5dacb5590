"""The release guard stops operations that would release or replace a number, and no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.conftest import SECRET, Harness
from tests.contract.cloudformation import Stack
from tests.contract.command_line import Telephony, telephony
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, template
from tests.contract.hooks import Guard, guard, request
from tests.contract.steps import DENIED, SERVER_ERROR, deploy, fault

__all__ = ["guard", "telephony"]

ALLOWED = {"AllowReplacement": True}
TAGS = {"Tags": [{"Key": "team", "Value": "x"}]}
RETAINED: dict[str, Any] = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
NO_RESOURCES: dict[str, Any] = {"Resources": {}}

Operation = Callable[[Guard, Stack, dict[str, Any]], Any]
OPERATIONS = pytest.mark.parametrize("operation", [Guard.change_set, Guard.execute, Guard.update])


@OPERATIONS
def test_replacement_is_stopped(harness: Harness, guard: Guard, kind: Kind, operation: Operation) -> None:
    stack, physical_id = deploy(harness, kind)

    answer = operation(guard, stack, template(kind.properties | kind.replacing | ALLOWED, kind))

    assert answer.failed
    assert f"numbers/Number ({physical_id}): REPLACED" in answer.message
    assert all(name in answer.message for name in kind.replacing)


@OPERATIONS
def test_change_in_place_passes(harness: Harness, guard: Guard, kind: Kind, operation: Operation) -> None:
    stack, _ = deploy(harness, kind)

    answer = operation(guard, stack, template(kind.properties | kind.in_place | TAGS, kind))

    assert not answer.failed
    assert "1" in answer.message


@OPERATIONS
def test_removal_is_stopped(harness: Harness, guard: Guard, kind: Kind, operation: Operation) -> None:
    stack, physical_id = deploy(harness, kind)

    answer = operation(guard, stack, NO_RESOURCES)

    assert answer.failed
    assert f"numbers/Number ({physical_id}): RELEASED" in answer.message


def test_deletion_of_a_stack_is_stopped(harness: Harness, guard: Guard, kind: Kind) -> None:
    stack, physical_id = deploy(harness, kind)

    answer = guard.delete(stack)

    assert answer.failed
    assert f"numbers/Number ({physical_id}): RELEASED" in answer.message


@pytest.mark.parametrize("declared", [{"RecoveryWindowInDays": 7}, {"DeletionProtectionEnabled": True}])
def test_deletion_that_ends_later_or_fails_is_stopped(harness: Harness, guard: Guard, declared: dict[str, Any]) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER, **declared)

    assert guard.delete(stack).failed


@OPERATIONS
@pytest.mark.parametrize("declared", [NO_RESOURCES, template(SIMULATOR | {"NumberCapabilities": ["VOICE"]} | ALLOWED)])
def test_retained_number_passes(harness: Harness, guard: Guard, operation: Operation, declared: dict[str, Any]) -> None:
    """A DeletionPolicy applies as it was deployed, an UpdateReplacePolicy as it will be."""
    stack = harness.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR, **RETAINED))
    resources = {name: each | RETAINED for name, each in declared["Resources"].items()}

    answer = operation(guard, stack, {"Resources": resources})

    # A replacement still changes the number that the stack uses.
    assert answer.failed is bool(resources)
    assert "RELEASED" not in answer.message


@pytest.mark.parametrize("policy", ["Retain", "RetainExceptOnCreate"])
def test_deletion_of_a_stack_with_retained_numbers_passes(harness: Harness, guard: Guard, policy: str) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    stack.known.template = json.dumps(template(SIMULATOR, DeletionPolicy=policy))

    assert not guard.delete(stack).failed


def test_policy_in_the_new_template_does_not_retain_a_removed_number(harness: Harness, guard: Guard) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    renamed = {"Resources": {"Other": template(SIMULATOR, **RETAINED)["Resources"]["Number"]}}

    answer = guard.change_set(stack, renamed)

    assert answer.failed
    assert "Number" in answer.message
    assert "Other" not in answer.message


def test_every_number_of_a_stack_is_named(harness: Harness, guard: Guard) -> None:
    stack = harness.cloudformation.stack("numbers")
    kinds = {"Number": SMS_PHONE_NUMBER, "Sender": SMS_SENDER_ID}
    stack.deploy({"Resources": {n: {"Type": k.type, "Properties": k.properties} for n, k in kinds.items()}})

    answer = guard.delete(stack)

    assert all(physical_id in answer.message for physical_id in stack.physical_ids.values())


def test_new_stack_passes_without_a_call(harness: Harness, guard: Guard) -> None:
    stack = harness.cloudformation.stack("numbers")
    answer = guard.change_set(stack, template(SIMULATOR))
    assert not answer.failed
    harness.stacks.calls.clear()

    created = guard.invoke("STACK", "CREATE", stack.stack_id, stack.name, {"template": json.dumps(template(SIMULATOR))})

    assert not created.failed
    assert harness.stacks.calls == []
    assert harness.calls() == {}


@pytest.mark.parametrize("declared", [NO_RESOURCES, template(SIMULATOR | {"NumberCapabilities": ["VOICE"]} | ALLOWED)])
def test_change_set_whose_payload_lists_no_custom_resources_is_checked(
    harness: Harness, guard: Guard, declared: dict[str, Any]
) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    guard.lists_custom_resources = False

    assert guard.change_set(stack, declared).failed
    assert not guard.change_set(stack, template(SIMULATOR | TAGS)).failed


def test_removed_nested_stack_is_stopped(harness: Harness, guard: Guard) -> None:
    nested, physical_id = deploy(harness, SMS_PHONE_NUMBER)
    parent = harness.stacks.know(nested.stack_id.replace("/numbers/", "/parent/"), "UPDATE_COMPLETE")
    parent.add("Nested", "CREATE_COMPLETE", nested.stack_id, resource_type="AWS::CloudFormation::Stack")
    parent.resources["Nested"] = (nested.stack_id, "CREATE_COMPLETE")
    declared = {"Resources": {"Nested": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "x"}}}}
    parent.template = json.dumps(declared)
    texts = {"template": "{Resources: {}}", "previousTemplate": parent.template}

    for action, payload in (("UPDATE", texts), ("DELETE", {})):
        answer = guard.invoke("STACK", action, parent.stack_id, "parent", payload)
        assert answer.failed
        assert f"numbers/Number ({physical_id})" in answer.message
    kept = guard.invoke("STACK", "UPDATE", parent.stack_id, "parent", texts | {"template": parent.template})
    assert not kept.failed


def test_nested_stack_whose_condition_changes_is_stopped(harness: Harness, guard: Guard) -> None:
    nested, physical_id = deploy(harness, SMS_PHONE_NUMBER)
    parent = harness.stacks.know(nested.stack_id.replace("/numbers/", "/parent/"), "UPDATE_COMPLETE")
    parent.add("Nested", "CREATE_COMPLETE", nested.stack_id, resource_type="AWS::CloudFormation::Stack")
    parent.resources["Nested"] = (nested.stack_id, "CREATE_COMPLETE")
    old = (
        "Conditions: {Wanted: !Equals [a, a]}\n"
        "Resources: {Nested: {Type: AWS::CloudFormation::Stack, Condition: Wanted, Properties: {TemplateURL: x}}}\n"
    )
    parent.template = old
    payload = {"template": old.replace("[a, a]", "[a, b]"), "previousTemplate": old}

    answer = guard.invoke("STACK", "UPDATE", parent.stack_id, "parent", payload)

    assert answer.failed
    assert physical_id in answer.message


def test_nested_stack_that_can_not_be_read_does_not_end_the_check(harness: Harness, guard: Guard) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    nested = harness.cloudformation.stack("other").stack_id
    harness.stacks.know(nested).refuse("AccessDenied", action="ListStackResources")
    stack.known.add("Nested", "CREATE_COMPLETE", nested, resource_type="AWS::CloudFormation::Stack")
    stack.known.resources["Nested"] = (nested, "CREATE_COMPLETE")

    answer = guard.update(stack, NO_RESOURCES)

    assert answer.failed
    assert "the check is not complete" in answer.message


@pytest.mark.parametrize("declared", [None, {"Transform": "MyMacro", "Resources": {}}])
def test_stack_without_numbers_is_not_read_further(harness: Harness, guard: Guard, declared: Any) -> None:
    stack = harness.cloudformation.stack("theirs")
    harness.stacks.know(stack.stack_id).add("T", "CREATE_COMPLETE", "arn:x", resource_type="AWS::SNS::Topic")
    payload = {"template": json.dumps(declared), "previousTemplate": "{}"}

    answer = guard.invoke("STACK", "UPDATE", stack.stack_id, stack.name, payload)

    assert "could not check" not in answer.message


@pytest.mark.parametrize("text", [None, "{"])
def test_change_set_whose_template_can_not_be_read_is_checked_as_listed(
    harness: Harness, guard: Guard, text: str | None
) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    removed = {
        "logicalResourceId": "Number",
        "resourceType": SMS_PHONE_NUMBER.type,
        "action": "DELETE",
        "beforeContext": json.dumps({"Properties": SIMULATOR}),
    }
    payload = {"template": text, "changedResources": [removed]}

    assert guard.invoke("CHANGE_SET", "CREATE", stack.stack_id, "c", payload, change_set_id="arn:x").failed


# -- direct updates ----------------------------------------------------------------------------------------------------

EXPRESSIONS = """\
Parameters:
  Country: {Type: String, Default: US}
  Kind: {Type: String, Default: SIMULATOR}
Conditions:
  Wanted: !Equals [!Ref Country, US]
Resources:
  Number:
    Type: Custom::SmsPhoneNumber
    Condition: Wanted
    Properties:
      ServiceToken: !ImportValue cfn-telephony-ServiceToken
      IsoCountryCode: !Ref Country
      NumberType: !Sub "${Kind}"
      NumberCapabilities: [SMS]
      AllowReplacement: true
"""


@pytest.mark.parametrize(
    ("old", "new", "stopped"),
    [
        ("Description", "Description", False),
        ("Default: US", "Default: CA", False),
        ("[SMS]", "[SMS]\n      SelfManagedOptOutsEnabled: true", False),
        ("[SMS]", "[SMS]\n      OptOutListName: !Ref Kind", False),
        ("[SMS]", "[VOICE]", True),
        ("[SMS]", "!Ref Capabilities", True),
        ('!Sub "${Kind}"', "{Ref: Kind}", True),
        ("!Ref Country\n", "{Ref: Country}\n", False),
        ("[!Ref Country, US]", "[!Ref Country, CA]", True),
        ("    Condition: Wanted\n", "", False),
        ("Number:", "Numbers:", True),
    ],
)
def test_direct_update_is_compared_without_parameters(
    harness: Harness, guard: Guard, old: str, new: str, stopped: bool
) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    stack.known.template = EXPRESSIONS

    assert guard.update(stack, EXPRESSIONS.replace(old, new)).failed is stopped


@pytest.mark.parametrize("allowed", ["!Ref Allow", "!If [Wanted, true, false]", "'{{resolve:ssm:/allow:1}}'"])
def test_permission_that_is_unknown_can_allow_a_replacement(harness: Harness, guard: Guard, allowed: str) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    declared = EXPRESSIONS.replace("AllowReplacement: true", f"AllowReplacement: {allowed}")
    stack.known.template = declared

    assert guard.update(stack, declared.replace("${Kind}", "${Other}")).failed
    assert not guard.update(stack, declared.replace("[SMS]", "[SMS]\n      Trigger: x")).failed


def test_default_of_a_property_is_not_the_value_of_its_expression(harness: Harness, guard: Guard) -> None:
    toll_free = SIMULATOR | {"NumberType": "TOLL_FREE"} | ALLOWED
    stack = harness.cloudformation.stack("numbers")
    stack.deploy(template(toll_free | {"MessageType": "PROMOTIONAL"}))
    declared = toll_free | {"MessageType": {"Ref": "Kind"}}
    stack.known.template = json.dumps(template(declared))

    assert not guard.update(stack, template(declared | TAGS)).failed


def test_condition_of_a_retained_number_passes(harness: Harness, guard: Guard) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    retained = EXPRESSIONS.replace("    Condition:", "    DeletionPolicy: Retain\n    Condition:")
    stack.known.template = retained

    assert not guard.update(stack, retained.replace("[!Ref Country, US]", "[!Ref Country, CA]")).failed


INDIRECT = """\
Parameters: {P: {Type: String, Default: prod}}
Mappings:
  M: {prod: {Cap: SMS}}
  N: {prod: {Cap: SMS}}
Conditions:
  A: !Equals [!Ref P, prod]
  B: !Or [!Condition A, !Equals [a, b]]
  C: !Equals [!Ref P, other]
Resources:
  Number:
    Type: Custom::SmsPhoneNumber
    Condition: B
    Properties:
      ServiceToken: x
      IsoCountryCode: US
      NumberType: !If [A, SIMULATOR, TOLL_FREE]
      NumberCapabilities: [!FindInMap [M, !Ref P, Cap]]
      AllowReplacement: true
"""


@pytest.mark.parametrize(
    ("old", "new", "stopped"),
    [
        ("M: {prod: {Cap: SMS}}", "M: {prod: {Cap: VOICE}}", True),
        ("N: {prod: {Cap: SMS}}", "N: {prod: {Cap: VOICE}}", False),
        ("[!Ref P, prod]", "[!Ref P, x]", True),
        ("[!Ref P, other]", "[!Ref P, x]", False),
        ("  A: !Equals [!Ref P, prod]", "  A: !Equals [{Ref: P}, prod]", False),
        ("Resources:", "Description: x\nResources:", False),
    ],
)
def test_direct_update_follows_conditions_and_mappings(
    harness: Harness, guard: Guard, old: str, new: str, stopped: bool
) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    stack.known.template = INDIRECT

    assert guard.update(stack, INDIRECT.replace(old, new)).failed is stopped


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(NO_RESOURCES, indent="\t"),
        "Resources: {}\nMetadata: {a: =, b: 2026-02-30}\n",
        "Resources: {1: {Type: AWS::SNS::Topic}, On: {Type: AWS::SNS::Topic}}\n",
    ],
)
def test_templates_are_read_as_cloudformation_reads_them(harness: Harness, guard: Guard, text: str) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)

    assert guard.update(stack, text).failed


@pytest.mark.parametrize("previous", [None, "", "{"])
def test_previous_template_that_is_missing_is_read(harness: Harness, guard: Guard, previous: str | None) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    payload = {"template": json.dumps(NO_RESOURCES), "previousTemplate": previous}

    assert guard.invoke("STACK", "UPDATE", stack.stack_id, stack.name, payload).failed


def test_change_set_that_can_not_be_read_is_compared(harness: Harness, guard: Guard) -> None:
    """A nested stack can have the change set of its root."""
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    stack.known.refuse("AccessDenied", action="DescribeChangeSet")

    assert guard.execute(stack, NO_RESOURCES).failed
    assert not guard.execute(stack, template(SIMULATOR | TAGS)).failed


@pytest.mark.parametrize("form", [json.dumps, yaml.safe_dump])
def test_templates_are_json_or_yaml(harness: Harness, guard: Guard, form: Callable[[Any], str]) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)

    assert guard.update(stack, form({"Resources": {}, "Description": "x"})).failed
    assert guard.change_set(stack, NO_RESOURCES, text=form(NO_RESOURCES)).failed


@pytest.mark.parametrize(
    "macro",
    [
        {"Transform": "MyMacro"},
        {"Transform": "AWS::LanguageExtensions", "Resources": {"Fn::ForEach::Numbers": []}},
        {"Resources": {"Fn::Transform": {"Name": "AWS::Include"}}},
        {"Mappings": {"Fn::Transform": {"Name": "AWS::Include"}}},
        {"Conditions": {"Fn::ForEach::Wanted": []}},
        template(SIMULATOR | {"NumberType": {"Fn::Transform": {"Name": "MyMacro"}}}),
    ],
)
def test_template_that_a_transform_expands_is_not_compared(
    harness: Harness, guard: Guard, macro: dict[str, Any]
) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)

    direct = guard.update(stack, NO_RESOURCES | macro)

    assert not direct.failed
    assert "could not check" in direct.message
    listed = guard.change_set(stack, template(SIMULATOR), text=json.dumps(NO_RESOURCES | macro))
    assert not listed.failed, "what the payload lists decides"
    assert "only what the change set lists was checked" in listed.message


# -- what the services show --------------------------------------------------------------------------------------------


def test_number_that_no_longer_exists_passes(harness: Harness, guard: Guard) -> None:
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER)
    harness.sms.release_phone_number(PhoneNumberId=physical_id)

    assert not guard.delete(stack).failed


def test_property_that_the_number_has_already_passes(harness: Harness, guard: Guard) -> None:
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER)
    pool = harness.sms.create_pool(OriginationIdentity=physical_id, IsoCountryCode="US", MessageType="TRANSACTIONAL")

    answer = guard.change_set(stack, template(SIMULATOR | {"PoolId": pool["PoolId"]}))

    assert not answer.failed


@OPERATIONS
def test_number_that_differs_from_its_declaration_is_compared(
    harness: Harness, guard: Guard, operation: Operation
) -> None:
    """CloudFormation can have skipped the resource in a rollback. Then any change replaces it, if that is allowed."""
    stack, _ = deploy(harness, SMS_PHONE_NUMBER, **ALLOWED)
    voice = SIMULATOR | ALLOWED | {"NumberCapabilities": ["VOICE"]}
    stack._resources["Number"].properties["NumberCapabilities"] = ["VOICE"]
    stack.known.template = json.dumps(template(voice))

    allowed = operation(guard, stack, template(voice | {"Trigger": "x"}))
    not_allowed = operation(guard, stack, template(voice | {"Trigger": "x", "AllowReplacement": False}))

    assert (allowed.failed, not_allowed.failed) == (True, False)
    assert "REPLACED" in allowed.message


def test_type_of_the_same_name_of_another_provider_passes(harness: Harness, guard: Guard) -> None:
    stack = harness.cloudformation.stack("theirs")
    known = harness.stacks.know(stack.stack_id)
    known.resources["Number"] = ("their-id", "CREATE_COMPLETE")
    known.add("Number", "CREATE_COMPLETE", "their-id", resource_type="Custom::SmsPhoneNumber")
    known.template = json.dumps(template({"Colour": "red"}))
    payload = {"template": json.dumps(template({"Colour": "blue"})), "previousTemplate": known.template}

    assert not guard.invoke("STACK", "UPDATE", stack.stack_id, stack.name, payload).failed
    assert not guard.delete(stack).failed


@pytest.mark.parametrize(
    ("reference", "stopped"), [("{{resolve:ssm:/kind:1}}", False), ("{{resolve:ssm:/kind}}", True)]
)
def test_dynamic_reference_with_an_equal_version_does_not_change(
    harness: Harness, guard: Guard, reference: str, stopped: bool
) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER, **ALLOWED)
    declared = SIMULATOR | ALLOWED | {"NumberType": reference}
    stack._resources["Number"].properties["NumberType"] = reference

    assert guard.change_set(stack, template(declared | TAGS)).failed is stopped


def test_number_of_another_owner_passes(harness: Harness, guard: Guard) -> None:
    """Without a record, the tags decide."""
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER)
    for row in harness.rows():
        harness.dynamodb.delete_item(TableName=harness.table, Key={name: row[name] for name in ("pk", "sk")})
    assert guard.delete(stack).failed, "the tags name this resource"
    [number] = harness.sms.describe_phone_numbers(PhoneNumberIds=[physical_id])["PhoneNumbers"]
    harness.sms.untag_resource(ResourceArn=number["PhoneNumberArn"], TagKeys=["cfn-telephony:logical-id"])

    assert not guard.delete(stack).failed


@pytest.mark.parametrize("failure", [DENIED, {"code": "ThrottlingException"}, SERVER_ERROR])
def test_ledger_decides_if_the_services_can_not_be_read(
    harness: Harness, guard: Guard, failure: dict[str, Any]
) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    fault(harness, SMS_PHONE_NUMBER.reads, "error", times=99, **failure)

    assert guard.delete(stack).failed
    assert guard.change_set(stack, NO_RESOURCES).failed
    assert not guard.change_set(stack, template(SIMULATOR | TAGS)).failed


@pytest.mark.parametrize("failure", [{"code": "ThrottlingException"}, SERVER_ERROR])
def test_failed_call_is_repeated(harness: Harness, guard: Guard, failure: dict[str, Any]) -> None:
    stack, number = deploy(harness, SMS_PHONE_NUMBER)
    harness.sms.release_phone_number(PhoneNumberId=number)
    fault(harness, SMS_PHONE_NUMBER.reads, "error", times=2, **failure)

    assert not guard.delete(stack).failed


def test_ledger_decides_if_the_services_do_not_answer(harness: Harness, guard: Guard) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    fault(harness, SMS_PHONE_NUMBER.reads, "hang", seconds=3)
    guard.seconds = 5

    answer = guard.delete(stack)

    assert answer.failed
    assert "RELEASED" in answer.message


@pytest.mark.parametrize("order", [1, -1])
def test_value_that_was_unknown_before_does_not_end_the_check(harness: Harness, guard: Guard, order: int) -> None:
    stack = harness.cloudformation.stack("numbers")
    sender = SMS_SENDER_ID.properties | ALLOWED
    brand, number = template(sender, SMS_SENDER_ID)["Resources"], template(SIMULATOR)["Resources"]
    declared = {"Resources": {"Brand": brand["Number"], "Number": number["Number"]}}
    assert stack.deploy(declared) == "CREATE_COMPLETE"
    former = sender | {"SenderId": "{{resolve:ssm:/brand}}"}
    changed = {"logicalResourceId": "Brand", "resourceType": "Custom::SmsSenderId", "action": "UPDATE"}
    changed["beforeContext"] = json.dumps({"Properties": former})
    changed["afterContext"] = json.dumps({"Properties": sender | {"SenderId": "OTHER"}})
    removed = {"logicalResourceId": "Number", "resourceType": "Custom::SmsPhoneNumber", "action": "DELETE"}
    removed["beforeContext"] = json.dumps({"Properties": SIMULATOR})
    payload = {"template": json.dumps({"Resources": {}}), "changedResources": [changed, removed][::order]}

    answer = guard.invoke("CHANGE_SET", "CREATE", stack.stack_id, "c", payload, change_set_id="arn:x")

    assert answer.failed
    assert "Number" in answer.message
    assert "Brand" in answer.message


# -- what can't be checked ---------------------------------------------------------------------------------------------


def assert_not_checked(answer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert not answer.failed
    assert "could not check this operation" in answer.message
    assert '"GuardNotChecked":[1.0]' in capsys.readouterr().out.replace(" ", "")


def test_operation_passes_if_the_state_table_can_not_be_read(
    harness: Harness, guard: Guard, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    fault(harness, "dynamodb.Query", "error", times=99, **DENIED)

    assert_not_checked(guard.delete(stack), capsys)


@pytest.mark.parametrize("action", ["ListStackResources", "GetTemplate"])
def test_operation_passes_if_the_stack_can_not_be_read(
    harness: Harness, guard: Guard, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    stack.known.refuse("AccessDenied", action=action)

    assert_not_checked(guard.delete(stack), capsys)


@pytest.mark.parametrize(
    "url",
    ["https://{host}/expired?X-Amz-Signature=0", "https://example.com/x", "http://{host}/x", "https://s3.evil.com/"],
)
def test_operation_passes_if_the_payload_can_not_be_read(
    harness: Harness, guard: Guard, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    event = request("STACK", "UPDATE", stack.stack_id, stack.name, url.format(host=harness.sink.host))

    assert_not_checked(guard.send(event), capsys)


@pytest.mark.parametrize("payload", [[], {}, {"template": "{", "previousTemplate": "{}"}, {"template": 1}])
def test_operation_passes_if_the_payload_is_not_understood(
    harness: Harness, guard: Guard, capsys: pytest.CaptureFixture[str], payload: Any
) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)

    assert_not_checked(guard.invoke("STACK", "UPDATE", stack.stack_id, stack.name, payload), capsys)


@pytest.mark.parametrize("change", [{"requestData": None}, {"stackId": "numbers"}, {"actionInvocationPoint": None}])
def test_event_that_is_not_understood_passes(
    guard: Guard, capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    event = request("STACK", "DELETE", "arn:aws:cloudformation:us-east-1:123456789012:stack/a/b", "a", "")

    assert_not_checked(guard.send(event | change), capsys)


def test_both_spellings_of_the_guide_are_read(harness: Harness, guard: Guard) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    event = request("STACK", "DELETE", stack.stack_id, stack.name, "")
    event["stackID"] = event.pop("stackId")

    assert guard.send(event).failed


# -- beside the plan ---------------------------------------------------------------------------------------------------


def test_guard_stops_what_the_plan_stops(harness: Harness, guard: Guard, telephony: Telephony, kind: Kind) -> None:
    stack, _ = deploy(harness, kind)
    conditions = ("--fail-on", "release,replace")
    declared = [
        template(kind.properties | kind.replacing | ALLOWED, kind),
        template(kind.properties | kind.replacing, kind),
        template(kind.properties | kind.in_place, kind),
        template(kind.properties | {"Trigger": "x"}, kind),
        template(kind.properties | {"Unknown": "x"}, kind),
        NO_RESOURCES,
    ]
    stopped = []
    for each in declared:
        name = stack.change_set("next", each)
        result = telephony("plan", "--stack-name", stack.name, "--change-set-name", name, *conditions)
        stopped.append(result.code == 3)

    assert [guard.change_set(stack, each).failed for each in declared] == stopped
    assert stopped == [True, True, False, False, True, True]


def test_guard_writes_nothing(harness: Harness, guard: Guard) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)
    before, held = harness.rows(), harness.held()

    made = harness.calls_of(lambda: (guard.delete(stack), guard.change_set(stack, NO_RESOURCES)))

    assert (harness.rows(), harness.held()) == (before, held)
    assert made == {"pinpoint-sms-voice-v2.DescribePhoneNumbers": 2}


def test_message_shows_no_value_that_can_be_secret(harness: Harness, guard: Guard) -> None:
    stack, _ = deploy(harness, SMS_PHONE_NUMBER)

    answer = guard.change_set(
        stack, template(SIMULATOR | {"PoolId": SECRET, "NumberCapabilities": ["VOICE"]} | ALLOWED)
    )

    assert answer.failed
    assert SECRET not in answer.message
