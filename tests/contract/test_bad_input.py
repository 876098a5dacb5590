"""A declaration is validated as a whole, and every violation is reported, before any call is made."""

from __future__ import annotations

import time
from typing import Any

import pytest

from telephony import resources
from telephony.errors import HandlerError
from telephony.model.validation import parse
from tests.conftest import CONNECT, SECRET, SMS, Configure, Harness
from tests.contract.cloudformation.events import stringified
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, template
from tests.contract.steps import assert_reason, create, delete, deploy, send_create, update

PHONE, SENDER, CONNECTED = SMS_PHONE_NUMBER.type, SMS_SENDER_ID.type, "Custom::ConnectPhoneNumber"
TARGET = {"TargetArn": "arn:aws:connect:us-east-1:123456789012:instance/11111111-2222-3333-4444-555555555555"}
SOURCE = {"SourcePhoneNumberArn": "arn:aws:sms-voice:x"}
KEYWORD = {"Keyword": "JOIN", "Message": SECRET, "Action": "OPT_IN"}
ACME = SMS_SENDER_ID.properties
DID = TARGET | {"CountryCode": "US", "Type": "DID"}


def refusal(harness: Harness, properties: dict[str, Any], resource_type: str = PHONE) -> list[str]:
    """Return the violations in the response to a Create, which has made no call."""
    response = harness.send("Create", resource_type=resource_type, properties=properties)
    assert_reason(response, "InvalidRequest")
    assert response["PhysicalResourceId"] == f"not-created:{response['RequestId']}"
    assert {name for name in harness.calls() if not name.startswith(f"{CONNECT}.Create")} == set()
    assert harness.purchases() == []
    return list(response["Reason"].splitlines()[1:])


def violations(properties: dict[str, Any], resource_type: str = PHONE) -> list[str]:
    """Return the same violations without a request."""
    with pytest.raises(HandlerError) as refused:
        parse(resources.by_type(resource_type).properties, stringified(properties))
    return str(refused.value).splitlines()[1:]


@pytest.mark.shows("invalid boolean value")
def test_each_violation_is_one_line_with_path_value_and_rule(harness: Harness) -> None:
    changed = {
        "IsoCountryCode": "us",
        "MessageType": "PROMOTIONAL",
        "TwoWay": {"Enabled": "yes", "ChannelArn": "topic"},
        "Colour": "red",
    }

    lines = sorted(refusal(harness, SIMULATOR | changed))

    expected = [
        ("Colour", "3"),
        ("IsoCountryCode", '"us"', "two uppercase letters"),
        ("MessageType", "PROMOTIONAL", "NumberType", "SIMULATOR"),
        ("TwoWay.ChannelArn", "5", "20"),
        ("TwoWay.Enabled", '"yes"', "true", "false"),
    ]
    for line, (path, *facts) in zip(lines, expected, strict=True):
        assert line.startswith(f"- {path}: ")
        assert [fact for fact in facts if fact not in line] == [], line
    for value in ("red", "topic"):
        assert value not in "\n".join(lines), "the value of an unknown property or of a free string may be a secret"


def test_invalid_update_changes_nothing(harness: Harness, kind: Kind) -> None:
    stack, _ = deploy(harness, kind)

    made = harness.calls_of(lambda: stack.deploy(template(kind.properties | {"Colour": "red", "Tags": "x"}, kind)))

    assert_reason(stack.reasons("Number")[0], "InvalidRequest", "- Colour: ", "- Tags: ")
    assert set(made) <= {kind.reads, f"{SMS}.ListTagsForResource"}, "only the rollback reads it"


def test_service_timeout_too_short_for_one_attempt_is_refused_except_on_delete(
    harness: Harness, configure: Configure
) -> None:
    configure(MIN_SERVICE_TIMEOUT_SECONDS="")  # 60, as in production
    number = create(harness, SMS_PHONE_NUMBER, properties=SIMULATOR | {"ServiceTimeout": 60})
    short = SIMULATOR | {"ServiceTimeout": 59}
    calls = harness.calls()

    assert_reason(send_create(harness, SMS_PHONE_NUMBER, properties=short), "InvalidRequest", "- ServiceTimeout: ")
    assert_reason(update(harness, SMS_PHONE_NUMBER, number, short), "InvalidRequest", "- ServiceTimeout: ")
    assert harness.calls() == calls

    assert delete(harness, SMS_PHONE_NUMBER, number, properties=short)["Status"] == "SUCCESS"
    assert harness.held() == {}


@pytest.mark.parametrize("value", ["3601", "0", "-1", "1.5", "an hour", "99999999999"])
@pytest.mark.parametrize("place", ["properties", "top level"])
def test_service_timeout_that_cloudformation_does_not_allow_is_refused_with_all_else(
    harness: Harness, value: str, place: str
) -> None:
    declared: dict[str, Any] = {"properties": SIMULATOR | {"Colour": "red"}}
    if place == "top level":
        declared["service_timeout"] = value
    else:
        declared["properties"] |= {"ServiceTimeout": value}

    response = send_create(harness, SMS_PHONE_NUMBER, **declared)

    assert_reason(response, "InvalidRequest", "2 properties", "- Colour: ", "- ServiceTimeout: ")
    assert harness.calls() == {}


@pytest.mark.shows("Delete after its ServiceTimeout")
@pytest.mark.parametrize(("declared", "late"), [({}, True), ({"ServiceTimeout": "90"}, False)])
def test_service_timeout_at_the_top_level_applies_unless_a_property_declares_it(
    harness: Harness, declared: dict[str, Any], late: bool
) -> None:
    began = {"issued_at": time.time() - 61, "service_timeout": "60"}

    response = send_create(harness, SMS_PHONE_NUMBER, properties=SIMULATOR | declared, **began)

    if late:
        assert_reason(response, "NotStabilized", "ServiceTimeout")
    assert (response["Status"], len(harness.ids())) == (("FAILED", 0) if late else ("SUCCESS", 1))


BOOLEANS = ["DeletionProtectionEnabled", "SelfManagedOptOutsEnabled", "InternationalSendingEnabled", "WaitForActive"]


@pytest.mark.shows("invalid boolean value")
@pytest.mark.parametrize("value", ["yes", "1", "TRUE", "True", "on", "", " true", "0", "no", "null"])
def test_only_true_and_false_are_booleans(value: str) -> None:
    """AllowReplacement also accepts a physical ID, and these are none."""
    names = [*BOOLEANS, "AllowReplacement"]

    lines = violations(SIMULATOR | dict.fromkeys(names, value) | {"OnDelete": {"LeavePools": value}})

    heads = [f'- {path}: "{value}" ' for path in [*BOOLEANS, "OnDelete.LeavePools"]]
    heads = sorted([*heads, "- AllowReplacement: (a string"])  # It can be a secret.
    assert [line[: len(head)] for line, head in zip(sorted(lines), heads, strict=True)] == heads


@pytest.mark.parametrize(
    ("resource_type", "properties", "name"),
    [
        (PHONE, SIMULATOR | {"NumberType": "LONG_CODE"}, "IsoCountryCode"),
        (SENDER, ACME, "IsoCountryCode"),
        (CONNECTED, DID, "CountryCode"),
    ],
)
def test_unquoted_norway_is_recognized(resource_type: str, properties: dict[str, Any], name: str) -> None:
    [line] = violations(properties | {name: False}, resource_type)

    assert line.startswith(f'- {name}: "false" ')
    assert '"NO"' in line


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"MessageType": "PROMOTIONAL"}, "MessageType"),
    ({"IsoCountryCode": "CA"}, "IsoCountryCode"),
    ({"NumberType": "TEN_DLC", "IsoCountryCode": "GB"}, "IsoCountryCode"),
    ({"NumberType": "LONG_CODE"}, "NumberType"),
    (
        {"NumberType": "LONG_CODE", "IsoCountryCode": "GB", "NumberCapabilities": ["MMS"]},
        "NumberCapabilities",
    ),
    ({"NumberPreference": [{"PreferenceType": ["EndsWith"], "Filter": ["1"]}]}, "NumberPreference"),
    ({"TwoWay": {"Enabled": True}}, "TwoWay.ChannelArn"),
    ({"NumberType": "SHORT_CODE"}, "NumberType"),
    ({"WaitTimeoutSeconds": "3601"}, "WaitTimeoutSeconds"),
    ({"WaitTimeoutSeconds": "0"}, "WaitTimeoutSeconds"),
    ({"WaitTimeoutSeconds": "1.5"}, "WaitTimeoutSeconds"),
    *(
        ({"OptionalKeywords": [KEYWORD | {"Keyword": keyword}]}, "OptionalKeywords[0].Keyword")
        for keyword in ("stop", " JOIN", "JOIN ", " ")
    ),
    ({"MandatoryKeywords": {"HELP": {"Message": " "}}}, "MandatoryKeywords.HELP.Message"),
    ({"NumberCapabilities": []}, "NumberCapabilities"),
    ({"NumberCapabilities": "SMS"}, "NumberCapabilities"),
    ({"NumberCapabilities": ["SMS", "FAX"]}, "NumberCapabilities[1]"),
    ({"Tags": [{"Key": "k"}]}, "Tags[0].Value"),
    ({"Tags": [{"Key": "aws:cloudformation:stack-name", "Value": "forged"}]}, "Tags[0].Key"),
    ({"Tags": [{"Key": "cfn-telephony:stack-id", "Value": "forged"}]}, "Tags[0].Key"),
    ({"IsoCountry": "US"}, "IsoCountry"),
    ({"AllowReplacement": ["phone-1"]}, "AllowReplacement"),
    ({"AllowReplacement": {"Ref": "Number"}}, "AllowReplacement"),
]


@pytest.mark.parametrize(
    ("resource_type", "properties", "paths"),
    [
        *(
            (PHONE, {name: value for name, value in declared.items() if name != missing}, [missing])
            for declared in (
                SIMULATOR,
                SIMULATOR | {"NumberType": "TEN_DLC", "NumberCapabilities": ["SMS", "MMS"]},
                SIMULATOR | {"NumberType": "LONG_CODE", "IsoCountryCode": "CA", "NumberCapabilities": ["SMS", "MMS"]},
            )
            for missing in ("IsoCountryCode", "NumberType", "NumberCapabilities")
        ),
        (PHONE, {}, ["IsoCountryCode", "NumberCapabilities", "NumberType"]),
        *((PHONE, SIMULATOR | changed, [path]) for changed, path in INVALID),
        (SENDER, ACME | {"IsoCountryCode": "US"}, ["IsoCountryCode"]),
        *((SENDER, ACME | {"SenderId": sender_id}, ["SenderId"]) for sender_id in ("123", "-A", "TWELVELETTER")),
        (SENDER, ACME | {"MessageTypes": []}, ["MessageTypes"]),
        (SENDER, ACME | {"MessageTypes": ["OTP"]}, ["MessageTypes[0]"]),
        (CONNECTED, {"CountryCode": "US", "Type": "DID"}, ["TargetArn"]),
        (CONNECTED, TARGET, ["CountryCode"]),
        (CONNECTED, TARGET | {"Type": "DID"}, ["CountryCode"]),
        (CONNECTED, TARGET | {"PhoneNumber": "+12065560001", "Prefix": "+1206"}, ["Prefix"]),
        (CONNECTED, TARGET | SOURCE | {"Prefix": "+1206"}, ["Prefix"]),
        (CONNECTED, TARGET | SOURCE | {"PhoneNumber": "+12065560001"}, ["PhoneNumber"]),
        *((CONNECTED, DID | {"Prefix": prefix}, ["Prefix"]) for prefix in ("1206", "+", "+1234567890123456")),
        (CONNECTED, TARGET | {"PhoneNumber": "12065560001"}, ["PhoneNumber"]),
        (CONNECTED, DID | {"Type": "LANDLINE"}, ["Type"]),
        (CONNECTED, DID | {"TargetArn": "11111111-2222-3333-4444-555555555555"}, ["TargetArn"]),
    ],
    ids=str,
)
def test_each_violation_is_reported_once_by_its_path(
    resource_type: str, properties: dict[str, Any], paths: list[str]
) -> None:
    lines = violations(properties, resource_type)

    assert sorted(line.split(": ")[0] for line in lines) == [f"- {path}" for path in paths]


def test_intended_name_is_suggested_for_misspelled_property() -> None:
    [line] = violations(SIMULATOR | {"DeletionProtectionEnable": True})

    assert "DeletionProtectionEnabled?" in line


def test_nested_name_is_suggested_for_the_name_of_the_api() -> None:
    lines = violations(SIMULATOR | {"TwoWayEnabled": True, "TwoWayChannelArn": "x"})

    assert "TwoWay.Enabled?" in lines[0]
    assert "TwoWay.ChannelArn?" in lines[1]


@pytest.mark.parametrize(
    ("resource_type", "declared"),
    [
        (CONNECTED, TARGET | {"PhoneNumber": 12065560001}),
        (CONNECTED, TARGET | {"Adopt": 12065560001}),
        (CONNECTED, DID | {"Prefix": 1206}),
        (PHONE, SIMULATOR | {"Adopt": 12065560001}),
    ],
)
def test_unquoted_phone_number_is_recognized_and_not_shown(resource_type: str, declared: dict[str, Any]) -> None:
    [line] = violations(declared, resource_type)

    assert "Quote it" in line
    assert "1206556" not in line


MISPLACED: list[tuple[str, dict[str, Any]]] = [
    (PHONE, SIMULATOR | {"MandatoryKeywords": {"HELP": SECRET}}),
    (PHONE, SIMULATOR | {"MandatoryKeywords": [SECRET]}),
    (PHONE, SIMULATOR | {"OptionalKeywords": [SECRET]}),
    (PHONE, SIMULATOR | {"OptionalKeywords": SECRET}),
    (PHONE, SIMULATOR | {"OptionalKeywords": [[KEYWORD]]}),
    (PHONE, SIMULATOR | {"OptionalKeywords": [{"Message": SECRET} for _ in range(29)]}),
    (PHONE, SIMULATOR | {"OptionalKeywords": [KEYWORD | {"Message": SECRET * 200}]}),
    (PHONE, SIMULATOR | {"OptionalKeywords": [{"Keyword": "JOIN", "Mesage": SECRET, "Action": "OPT_IN"}]}),
    (PHONE, SIMULATOR | {"Tags": SECRET}),
    (PHONE, SIMULATOR | {"Tags": [SECRET]}),
    (PHONE, SIMULATOR | {"Tags": [{"Value": SECRET, "Key": str(n)} for n in range(46)]}),
    (PHONE, SIMULATOR | {"Tags": {"code": SECRET}}),
    (PHONE, SIMULATOR | {"Secret": SECRET}),
    (CONNECTED, DID | {"Description": SECRET * 50}),
    (CONNECTED, DID | {"Description": [SECRET]}),
]


@pytest.mark.shows("secret in logs, tables or errors")
@pytest.mark.parametrize(("resource_type", "properties"), MISPLACED, ids=range(len(MISPLACED)))
def test_misplaced_secret_is_not_disclosed(harness: Harness, resource_type: str, properties: dict[str, Any]) -> None:
    """The harness fixture searches the responses, the log and the table."""
    assert SECRET not in "\n".join(refusal(harness, properties, resource_type))
