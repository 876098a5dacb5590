"""What is wrong with a declaration is told at once, all of it, before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from telephony import resources
from telephony.errors import HandlerError
from telephony.model.validation import parse
from tests.conftest import CONNECT, SECRET, SMS, Laptop
from tests.contract.cloudformation.events import stringified
from tests.contract.declarations import SIMULATOR, SMS_SENDER_ID, Kind, template

TYPE = "Custom::SmsPhoneNumber"


def refusal(laptop: Laptop, properties: dict[str, Any], resource_type: str = TYPE) -> list[str]:
    """The lines of the Reason after its first, with nothing done by then."""
    answer = laptop.send("Create", resource_type=resource_type, properties=properties)
    assert answer["Status"] == "FAILED"
    assert answer["PhysicalResourceId"] == f"not-created:{answer['RequestId']}"
    first, *lines = answer["Reason"].splitlines()
    assert first.startswith("InvalidRequest: ")
    assert "no call was made" in first
    assert {name for name in laptop.calls() if not name.startswith(f"{CONNECT}.Create")} == set()
    assert laptop.purchases() == []
    return list(lines)


def told(properties: dict[str, Any], resource_type: str = TYPE) -> list[str]:
    """The same lines, from the declaration alone: what reads it makes no call that could be counted."""
    with pytest.raises(HandlerError) as refused:
        parse(resources.by_type(resource_type).properties, stringified(properties))
    return str(refused.value).splitlines()[1:]


@pytest.mark.shows("a boolean in another spelling")
def test_five_violations_are_five_lines_with_path_value_and_rule(laptop: Laptop) -> None:
    lines = refusal(
        laptop,
        {
            "IsoCountryCode": "us",
            "NumberType": "SIMULATOR",
            "NumberCapabilities": ["SMS"],
            "MessageType": "PROMOTIONAL",
            "TwoWay": {"Enabled": "yes", "ChannelArn": "topic"},
            "Colour": "red",
        },
    )

    assert sorted(lines) == [
        "- Colour: (a string of 3 characters) is not a property here.",
        '- IsoCountryCode: "us" must match [A-Z]{2}',
        '- MessageType: "PROMOTIONAL" cannot be PROMOTIONAL where NumberType is SIMULATOR.',
        '- TwoWay.ChannelArn: "topic" must have at least 20 characters.',
        '- TwoWay.Enabled: "yes" must be true or false.',
    ]


def test_an_update_is_told_the_same_and_nothing_is_done(laptop: Laptop, kind: Kind) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(kind.properties, kind))

    made = laptop.calls_of(lambda: stack.deploy(template(kind.properties | {"Colour": "red", "Tags": "x"}, kind)))

    assert "Colour: " in stack.reasons("Number")[0]
    assert "Tags: " in stack.reasons("Number")[0]
    assert set(made) <= {kind.reads}, "the rollback looks at it, and no more"


BOOLEANS = ["DeletionProtectionEnabled", "SelfManagedOptOutsEnabled", "InternationalSendingEnabled", "WaitForActive"]


@pytest.mark.shows("a boolean in another spelling")
@pytest.mark.parametrize("value", ["yes", "1", "TRUE", "True", "on", "", " true", "0", "no", "null"])
def test_only_true_and_false_are_booleans(value: str) -> None:
    wrong = SIMULATOR | dict.fromkeys(BOOLEANS, value) | {"OnDelete": {"LeavePools": value}}

    lines = told(wrong)

    paths = [*BOOLEANS, "OnDelete.LeavePools"]
    assert sorted(lines) == sorted(f'- {path}: "{value}" must be true or false.' for path in paths)


@pytest.mark.parametrize("value", ["yes", "1", "TRUE", "True", "on", ""])
def test_a_permission_to_replace_is_true_or_false_or_an_id(value: str) -> None:
    [line] = told(SIMULATOR | {"AllowReplacement": value})

    assert line.startswith(f'- AllowReplacement: "{value}" ')


@pytest.mark.parametrize("value", [["phone-1"], {"Ref": "Number"}])
def test_a_permission_to_replace_of_another_shape_is_refused_and_not_a_defect(laptop: Laptop, value: object) -> None:
    [line] = refusal(laptop, SIMULATOR | {"AllowReplacement": value})

    assert line.startswith("- AllowReplacement: ")


@pytest.mark.parametrize(
    ("resource_type", "properties"),
    [
        (TYPE, {"NumberType": "LONG_CODE", "NumberCapabilities": ["SMS"]}),
        ("Custom::SmsSenderId", {"SenderId": "ACME"}),
        (
            "Custom::ConnectPhoneNumber",
            {"TargetArn": "arn:aws:connect:us-east-1:123456789012:instance/1", "Type": "DID"},
        ),
    ],
)
def test_an_unquoted_norway_is_told_to_be_quoted(resource_type: str, properties: dict[str, Any]) -> None:
    name = "CountryCode" if resource_type.endswith("ConnectPhoneNumber") else "IsoCountryCode"

    [line] = told(properties | {name: False}, resource_type)

    assert line.startswith(f'- {name}: "false" ')
    assert 'quote NO in YAML, "NO"' in line


@pytest.mark.parametrize("missing", ["IsoCountryCode", "NumberType", "NumberCapabilities"])
@pytest.mark.parametrize("number_type", ["SIMULATOR", "TEN_DLC", "LONG_CODE"])
def test_a_missing_property_is_one_line(missing: str, number_type: str) -> None:
    declared = SIMULATOR | {"NumberType": number_type, "IsoCountryCode": "CA" if number_type == "LONG_CODE" else "US"}
    declared["NumberCapabilities"] = ["SMS", "MMS"]
    del declared[missing]

    assert told(declared) == [f"- {missing}: is required."]


def test_nothing_at_all_is_one_line_for_each_required_property() -> None:
    assert sorted(told({})) == [
        "- IsoCountryCode: is required.",
        "- NumberCapabilities: is required.",
        "- NumberType: is required.",
    ]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"MessageType": "PROMOTIONAL"}, "MessageType"),
        ({"IsoCountryCode": "CA"}, "IsoCountryCode"),
        ({"NumberType": "TEN_DLC", "IsoCountryCode": "GB"}, "IsoCountryCode"),
        ({"NumberType": "LONG_CODE"}, "NumberType"),
        ({"NumberType": "LONG_CODE", "IsoCountryCode": "GB", "NumberCapabilities": ["MMS"]}, "NumberCapabilities"),
        ({"NumberPreference": [{"PreferenceType": ["EndsWith"], "Filter": ["1"]}]}, "NumberPreference"),
        ({"TwoWay": {"Enabled": True}}, "TwoWay.ChannelArn"),
        ({"NumberType": "SHORT_CODE"}, "NumberType"),
        ({"WaitTimeoutSeconds": "3601"}, "WaitTimeoutSeconds"),
        ({"WaitTimeoutSeconds": "0"}, "WaitTimeoutSeconds"),
        ({"WaitTimeoutSeconds": "1.5"}, "WaitTimeoutSeconds"),
        (
            {"OptionalKeywords": [{"Keyword": "stop", "Message": "m", "Action": "OPT_IN"}]},
            "OptionalKeywords[0].Keyword",
        ),
        ({"MandatoryKeywords": {"HELP": {"Message": " "}}}, "MandatoryKeywords.HELP.Message"),
        ({"NumberCapabilities": []}, "NumberCapabilities"),
        ({"NumberCapabilities": "SMS"}, "NumberCapabilities"),
        ({"NumberCapabilities": ["SMS", "FAX"]}, "NumberCapabilities[1]"),
        ({"Tags": [{"Key": "k"}]}, "Tags[0].Value"),
        ({"IsoCountry": "US"}, "IsoCountry"),
    ],
    ids=str,
)
def test_one_violation_is_one_line_that_begins_with_its_path(change: dict[str, Any], line: str) -> None:
    [line_told] = told(SIMULATOR | change)

    assert line_told.startswith(f"- {line}: ")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"IsoCountryCode": "US"}, "IsoCountryCode"),
        ({"SenderId": "123"}, "SenderId"),
        ({"SenderId": "-A"}, "SenderId"),
        ({"SenderId": "TWELVELETTER"}, "SenderId"),
        ({"MessageTypes": []}, "MessageTypes"),
        ({"MessageTypes": ["OTP"]}, "MessageTypes[0]"),
    ],
    ids=str,
)
def test_a_wrong_sender_id_is_told(change: dict[str, Any], line: str) -> None:
    [line_told] = told(SMS_SENDER_ID.properties | change, SMS_SENDER_ID.type)

    assert line_told.startswith(f"- {line}: ")


TARGET = {"TargetArn": "arn:aws:connect:us-east-1:123456789012:instance/11111111-2222-3333-4444-555555555555"}
KIND_OF_NUMBER = {"CountryCode": "US", "Type": "DID"}


@pytest.mark.parametrize(
    ("declared", "line"),
    [
        (KIND_OF_NUMBER, "TargetArn"),
        (TARGET, "CountryCode"),
        (TARGET | {"Type": "DID"}, "CountryCode"),
        (TARGET | {"PhoneNumber": "+12065560001", "Prefix": "+1206"}, "Prefix"),
        (TARGET | {"SourcePhoneNumberArn": "arn:aws:sms-voice:x", "Prefix": "+1206"}, "Prefix"),
        (TARGET | {"SourcePhoneNumberArn": "arn:aws:sms-voice:x", "PhoneNumber": "+12065560001"}, "PhoneNumber"),
        (TARGET | KIND_OF_NUMBER | {"Prefix": "1206"}, "Prefix"),
        (TARGET | {"PhoneNumber": "12065560001"}, "PhoneNumber"),
        (TARGET | KIND_OF_NUMBER | {"Type": "LANDLINE"}, "Type"),
        ({"TargetArn": "11111111-2222-3333-4444-555555555555"} | KIND_OF_NUMBER, "TargetArn"),
    ],
    ids=str,
)
def test_a_wrong_connect_number_is_told(declared: dict[str, Any], line: str) -> None:
    [line_told] = told(declared, "Custom::ConnectPhoneNumber")

    assert line_told.startswith(f"- {line}: ")


def test_service_token_and_service_timeout_are_always_known(laptop: Laptop) -> None:
    answer = laptop.send("Create", resource_type=TYPE, properties=SIMULATOR | {"ServiceTimeout": 60})

    assert answer["Status"] == "SUCCESS"
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1}


def test_a_mistyped_name_is_told_the_name_that_was_meant() -> None:
    [line] = told(SIMULATOR | {"DeletionProtectionEnable": True})

    assert line.endswith("Did you mean DeletionProtectionEnabled?")


KEYWORD = {"Keyword": "JOIN", "Message": SECRET, "Action": "OPT_IN"}
MISPLACED: list[tuple[str, dict[str, Any]]] = [
    (TYPE, SIMULATOR | {"MandatoryKeywords": {"HELP": SECRET}}),
    (TYPE, SIMULATOR | {"MandatoryKeywords": [SECRET]}),
    (TYPE, SIMULATOR | {"OptionalKeywords": [SECRET]}),
    (TYPE, SIMULATOR | {"OptionalKeywords": SECRET}),
    (TYPE, SIMULATOR | {"OptionalKeywords": [[KEYWORD]]}),
    (TYPE, SIMULATOR | {"OptionalKeywords": [{"Message": SECRET} for _ in range(29)]}),
    (TYPE, SIMULATOR | {"OptionalKeywords": [KEYWORD | {"Message": SECRET * 200}]}),
    (TYPE, SIMULATOR | {"OptionalKeywords": [{"Keyword": "JOIN", "Mesage": SECRET, "Action": "OPT_IN"}]}),
    (TYPE, SIMULATOR | {"Tags": SECRET}),
    (TYPE, SIMULATOR | {"Tags": [SECRET]}),
    (TYPE, SIMULATOR | {"Tags": [{"Value": SECRET, "Key": str(n)} for n in range(46)]}),
    (TYPE, SIMULATOR | {"Tags": {"code": SECRET}}),
    (TYPE, SIMULATOR | {"Secret": SECRET}),
    ("Custom::ConnectPhoneNumber", TARGET | KIND_OF_NUMBER | {"Description": SECRET * 50}),
    ("Custom::ConnectPhoneNumber", TARGET | KIND_OF_NUMBER | {"Description": [SECRET]}),
]


@pytest.mark.parametrize(("resource_type", "properties"), MISPLACED, ids=range(len(MISPLACED)))
def test_a_secret_in_the_wrong_place_is_not_shown(resource_type: str, properties: dict[str, Any]) -> None:
    assert SECRET not in "\n".join(told(properties, resource_type))


@pytest.mark.shows("a secret in anything that is written")
def test_a_secret_in_the_wrong_place_is_neither_answered_nor_logged_nor_kept(laptop: Laptop) -> None:
    for resource_type, properties in MISPLACED:
        assert refusal(laptop, properties, resource_type)  # the laptop looks at all that is left behind
