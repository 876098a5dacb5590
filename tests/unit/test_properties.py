"""Validation accepts a declaration, or refuses it with a Reason that names every violation. It never crashes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony import resources
from telephony.errors import HandlerError, HandlerErrorCode
from telephony.model.properties import Properties, fields, property_name
from telephony.model.validation import parse, parse_lenient
from telephony.resources.sms_phone_number import OnDelete, SmsPhoneNumberProperties

SIMULATOR: dict[str, Any] = {"IsoCountryCode": "US", "NumberType": "SIMULATOR", "NumberCapabilities": ["SMS"]}
TYPES: list[type[Properties]] = [resources.by_type(name).properties for name in resources.type_names()]

# CloudFormation sends strings, lists and maps. A direct caller of the function can send anything.
SCALARS = st.one_of(
    st.sampled_from(["true", "false", "TRUE", "yes", "1", "", "US", "NO", "SMS", "ACME", "+12065550100", "phone-1"]),
    st.text(max_size=8),
    st.booleans(),
    st.integers(-2, 5000),
    st.none(),
    st.floats(allow_nan=False),
)
NAMES = st.sampled_from(["Enabled", "ChannelArn", "Key", "Value", "HELP", "Message", "Keyword", "Other"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)


def accept(**properties: Any) -> SmsPhoneNumberProperties:
    return parse(SmsPhoneNumberProperties, SIMULATOR | properties)


def refuse(**properties: Any) -> list[str]:
    """Return the lines of the Reason: the summary, and one per violation."""
    with pytest.raises(HandlerError) as refused:
        accept(**properties)
    assert refused.value.error_code is HandlerErrorCode.INVALID_REQUEST
    return str(refused.value).splitlines()


@pytest.mark.parametrize("properties", TYPES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_declaration_is_parsed_or_refused(properties: type[Properties], data: st.DataObject) -> None:
    names = st.sampled_from([*fields(properties), "ServiceToken", "ServiceTimeout", "Colour"])
    raw, refusal = data.draw(st.dictionaries(names, VALUES, max_size=6)), None
    try:
        parse(properties, raw)
    except HandlerError as refused:
        refusal = refused
    assert refusal is None or (refusal.error_code is HandlerErrorCode.INVALID_REQUEST and "\n- " in str(refusal))


@settings(max_examples=200, deadline=None)
@given(value=VALUES)
def test_on_delete_is_parsed_from_any_value(value: object) -> None:
    assert isinstance(parse_lenient(OnDelete, value), OnDelete)


@pytest.mark.parametrize("properties", TYPES)
def test_every_type_accepts_the_common_properties(properties: type[Properties]) -> None:
    common = {"WaitForActive", "AllowReplacement", "Trigger", "Tags", "WaitTimeoutSeconds"}
    assert common <= fields(properties).keys()


@pytest.mark.parametrize(("value", "parsed"), [("true", True), ("false", False), (True, True), (False, False)])
def test_boolean_is_accepted_as_boolean_or_string(value: object, parsed: bool) -> None:
    assert accept(WaitForActive=value).wait_for_active is parsed


@pytest.mark.shows("invalid boolean value")
@pytest.mark.parametrize("value", [1, 0, 1.0, "1", "0", "yes", "TRUE", "False", "", [], ["true"], {"true": "true"}])
def test_other_values_are_not_booleans(value: object) -> None:
    [_, violation] = refuse(WaitForActive=value)
    assert violation.startswith("- WaitForActive: ")
    assert "true or false" in violation


@pytest.mark.parametrize(("value", "parsed"), [("1", 1), ("3600", 3600), (60, 60), ("060", 60)])
def test_integer_is_accepted_as_integer_or_string(value: object, parsed: int) -> None:
    assert accept(WaitTimeoutSeconds=value).wait_timeout_seconds == parsed


@pytest.mark.parametrize("value", ["0", "3601", "-1", "1e3", "1.5", " 5", "5 ", "", "٣", True, ["5"], "9" * 30])
def test_other_values_are_not_integers(value: object) -> None:
    assert refuse(WaitTimeoutSeconds=value)[1].startswith("- WaitTimeoutSeconds: ")


def test_reason_counts_the_violations() -> None:
    one, two = refuse(Colour="red"), refuse(Colour="red", Size="xl")

    assert "1 property" in one[0]
    assert "2 properties" in two[0]
    assert (len(one), len(two)) == (2, 3)


def test_violations_of_nested_properties_have_a_path() -> None:
    lines = refuse(
        TwoWay={"Enabled": "on", "Chanel": "x"},
        Tags=[{"Key": "a", "Value": "b"}, {"Key": "aws:x", "Value": "b", "Colour": "red"}],
        OptionalKeywords=[{"Keyword": "JOIN"}],
    )

    assert {line.removeprefix("- ").split(": ")[0] for line in lines[1:]} == {
        "TwoWay.Enabled",
        "TwoWay.Chanel",
        "Tags[1].Key",
        "Tags[1].Colour",
        "OptionalKeywords[0].Message",
        "OptionalKeywords[0].Action",
    }


def test_rule_for_two_properties_requires_both_to_be_valid() -> None:
    assert len(refuse(NumberType="SIMULATR", MessageType="PROMOTIONAL")) == 2


@pytest.mark.parametrize("properties", TYPES)
def test_refused_value_is_explained_in_words(properties: type[Properties]) -> None:
    for name, (_, info) in fields(properties).items():
        if info.pattern is not None:
            with pytest.raises(HandlerError) as refused:
                parse(properties, {name: "\x00" * (info.minimum or 1)})
            assert f" {info.pattern.text}" in str(refused.value)
            assert info.pattern.expression not in str(refused.value)


def test_null_property_counts_as_absent() -> None:
    assert accept(TwoWay=None, Tags=None).two_way is None


def test_refused_value_is_truncated() -> None:
    reason = "\n".join(refuse(IsoCountryCode="U" * 5000))

    assert "U" * 40 in reason
    assert len(reason) < 300


@pytest.mark.parametrize(
    ("field_name", "name"),
    [("iso_country_code", "IsoCountryCode"), ("HELP", "HELP"), ("target_arn", "TargetArn"), ("tags", "Tags")],
)
def test_property_names_are_those_of_native_types(field_name: str, name: str) -> None:
    assert property_name(field_name) == name


@pytest.mark.parametrize(
    "resource_type", ["", "Custom::", "Custom::Sms", "AWS::SMSVOICE::PhoneNumber", "custom::smsphonenumber"]
)
def test_unknown_type_is_refused_with_list_of_types(resource_type: str) -> None:
    with pytest.raises(HandlerError, match=", ".join(resources.type_names())):
        resources.by_type(resource_type)
