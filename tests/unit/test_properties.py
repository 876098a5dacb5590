"""The declaration: whatever arrives is read, or refused with a line that can be acted on; it is never a defect."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony import resources
from telephony.errors import HandlerError, HandlerErrorCode
from telephony.model.properties import Properties, fields, property_name
from telephony.model.validation import parse, parse_lenient
from telephony.resources.connect_phone_number import ConnectPhoneNumberProperties
from telephony.resources.sms_phone_number import OnDelete, SmsPhoneNumberProperties
from telephony.resources.sms_sender_id import SmsSenderIdProperties

SMS: dict[str, Any] = {"IsoCountryCode": "US", "NumberType": "SIMULATOR", "NumberCapabilities": ["SMS"]}
TYPES: list[type[Properties]] = [SmsPhoneNumberProperties, SmsSenderIdProperties, ConnectPhoneNumberProperties]

# What CloudFormation can send: strings, lists and maps; and what somebody who calls the function by hand can.
LEAVES = st.one_of(
    st.sampled_from(["true", "false", "TRUE", "yes", "1", "", "US", "NO", "SMS", "ACME", "+12065550100", "phone-1"]),
    st.text(max_size=8),
    st.booleans(),
    st.integers(-2, 5000),
    st.none(),
    st.floats(allow_nan=False),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["Enabled", "ChannelArn", "Key", "Value", "HELP", "Message", "Keyword", "Other"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)


def refusal(properties: type[Properties], raw: dict[str, Any]) -> HandlerError | None:
    try:
        parse(properties, raw)
    except HandlerError as refused:
        return refused
    return None


@pytest.mark.parametrize("properties", TYPES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_declaration_is_read_or_refused(properties: type[Properties], data: st.DataObject) -> None:
    names = st.sampled_from([*fields(properties), "ServiceToken", "ServiceTimeout", "Colour"])
    raw = data.draw(st.dictionaries(names, VALUES, max_size=6))

    found = refusal(properties, raw)

    assert found is None or (found.error_code is HandlerErrorCode.INVALID_REQUEST and str(found).splitlines()[1:])


@settings(max_examples=200, deadline=None)
@given(value=VALUES)
def test_a_policy_of_a_delete_is_read_from_anything(value: object) -> None:
    assert isinstance(parse_lenient(OnDelete, value), OnDelete)


@pytest.mark.parametrize("properties", TYPES)
@pytest.mark.parametrize("name", ["WaitForActive", "AllowReplacement", "Trigger", "Tags", "WaitTimeoutSeconds"])
def test_what_every_type_accepts_every_type_accepts(properties: type[Properties], name: str) -> None:
    assert name in fields(properties)


@pytest.mark.parametrize(("value", "meant"), [("true", True), ("false", False), (True, True), (False, False)])
def test_a_boolean_is_a_boolean_in_either_form(value: object, meant: bool) -> None:
    assert parse(SmsPhoneNumberProperties, SMS | {"WaitForActive": value}).wait_for_active is meant


@pytest.mark.shows("invalid boolean value")
@pytest.mark.parametrize("value", [1, 0, 1.0, "1", "0", "yes", "TRUE", "False", "", [], ["true"], {"true": "true"}])
def test_nothing_else_is_a_boolean(value: object) -> None:
    with pytest.raises(HandlerError, match="must be true or false"):
        parse(SmsPhoneNumberProperties, SMS | {"WaitForActive": value})


@pytest.mark.parametrize(("value", "meant"), [("1", 1), ("3600", 3600), (60, 60), ("060", 60)])
def test_a_number_is_a_number_in_either_form(value: object, meant: int) -> None:
    assert parse(SmsPhoneNumberProperties, SMS | {"WaitTimeoutSeconds": value}).wait_timeout_seconds == meant


@pytest.mark.parametrize("value", ["0", "3601", "-1", "1e3", "1.5", " 5", "5 ", "", "٣", True, ["5"], "9" * 30])
def test_nothing_else_is_a_number(value: object) -> None:
    with pytest.raises(HandlerError, match="WaitTimeoutSeconds"):
        parse(SmsPhoneNumberProperties, SMS | {"WaitTimeoutSeconds": value})


def test_the_reason_counts_what_is_wrong() -> None:
    with pytest.raises(HandlerError) as one:
        parse(SmsPhoneNumberProperties, SMS | {"Colour": "red"})
    with pytest.raises(HandlerError) as two:
        parse(SmsPhoneNumberProperties, SMS | {"Colour": "red", "Size": "xl"})

    assert str(one.value).splitlines()[0] == "InvalidRequest: 1 property is not valid; no call was made."
    assert str(two.value).splitlines()[0] == "InvalidRequest: 2 properties are not valid; no call was made."


def test_every_violation_of_a_nested_property_has_its_path() -> None:
    with pytest.raises(HandlerError) as refused:
        parse(
            SmsPhoneNumberProperties,
            SMS
            | {
                "TwoWay": {"Enabled": "on", "Chanel": "x"},
                "Tags": [{"Key": "a", "Value": "b"}, {"Key": "aws:x", "Value": "b", "Colour": "red"}],
                "OptionalKeywords": [{"Keyword": "JOIN"}],
            },
        )

    paths = {line.removeprefix("- ").split(": ")[0] for line in str(refused.value).splitlines()[1:]}
    assert paths == {
        "TwoWay.Enabled",
        "TwoWay.Chanel",
        "Tags[1].Key",
        "Tags[1].Colour",
        "OptionalKeywords[0].Message",
        "OptionalKeywords[0].Action",
    }


def test_a_rule_about_two_properties_waits_for_both_to_be_valid() -> None:
    with pytest.raises(HandlerError) as refused:
        parse(SmsPhoneNumberProperties, SMS | {"NumberType": "SIMULATR", "MessageType": "PROMOTIONAL"})

    assert len(str(refused.value).splitlines()) == 2


def test_a_property_that_cloudformation_leaves_out_is_not_declared() -> None:
    assert parse(SmsPhoneNumberProperties, SMS | {"TwoWay": None, "Tags": None}).two_way is None


def test_a_refused_value_is_shown_in_part() -> None:
    with pytest.raises(HandlerError) as refused:
        parse(SmsPhoneNumberProperties, SMS | {"IsoCountryCode": "U" * 5000})

    assert "U" * 40 in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("field_name", "name"),
    [("iso_country_code", "IsoCountryCode"), ("HELP", "HELP"), ("target_arn", "TargetArn"), ("tags", "Tags")],
)
def test_names_are_those_of_the_native_types(field_name: str, name: str) -> None:
    assert property_name(field_name) == name


@pytest.mark.parametrize(
    "resource_type", ["", "Custom::", "Custom::Sms", "AWS::SMSVOICE::PhoneNumber", "custom::smsphonenumber"]
)
def test_an_unknown_type_is_refused_with_the_known_ones(resource_type: str) -> None:
    with pytest.raises(HandlerError, match="Custom::ConnectPhoneNumber, Custom::SmsPhoneNumber, Custom::SmsSenderId"):
        resources.by_type(resource_type)
