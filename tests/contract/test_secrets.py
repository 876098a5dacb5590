"""A declared value never leaves, in whatever form a service quotes it. The provider's own texts and IDs stay intact.

The harness fixture searches the responses, the log, the table and the exceptions for the beginning of SECRET.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.conftest import SECRET, SMS, Configure, Harness, connect_instance
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, connect_phone_number, template
from tests.contract.steps import assert_reason, assert_rolled_back, create, delete, deploy, send_create, update

SPECIAL = f"<&> \"'\\ %41 é漢 {SECRET} \\n /+"
"""A value that every escaping changes."""
ESCAPINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "JSON": lambda value: json.dumps(value)[1:-1],
    "JSON with UTF-8": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "repr": lambda value: repr(value)[1:-1],
    "XML": html.escape,
    "URL": lambda value: quote(value, safe=""),
    "form": quote_plus,
    "Unicode escapes": lambda value: "".join(f"\\u{ord(character):04x}" for character in value),
    "JSON in XML": lambda value: html.escape(json.dumps(value)),
    "upper case": str.upper,
}
shows_secret = pytest.mark.shows("secret in logs, tables or errors")


def help_message(text: str) -> dict[str, Any]:
    return SIMULATOR | {"MandatoryKeywords": {"HELP": {"Message": text}}}


def refused_keyword(harness: Harness, declared: str, message: str, **details: Any) -> str:
    """Return the Reason of a Create that declares the text for HELP, and whose PutKeyword the service refuses."""
    code = "ValidationException"
    harness.telecom.fault(SMS, "PutKeyword", "error", code=code, message=message, times=9, **details)
    failed = send_create(harness, SMS_PHONE_NUMBER, properties=help_message(declared))
    assert_reason(failed, "InvalidRequest", "PutKeyword", code)
    return str(failed["Reason"])


@shows_secret
@pytest.mark.parametrize("escaping", ESCAPINGS.values(), ids=ESCAPINGS)
def test_escaped_value_in_message_of_the_service_is_removed(harness: Harness, escaping: Callable[[str], str]) -> None:
    reason = refused_keyword(harness, SPECIAL, f"Value [{escaping(SPECIAL)}] at 'keywordMessage' is not valid")

    assert "'keywordMessage' is not valid" in reason
    for form in (SECRET, escaping(SECRET), "漢", escaping("漢")):
        assert form.lower() not in reason.lower()


@shows_secret
@pytest.mark.parametrize("length", range(486, 502, 4))
def test_value_across_the_length_limit_of_the_message_is_removed(harness: Harness, length: int) -> None:
    reason = refused_keyword(harness, SECRET, f"{'-' * length}{SECRET} is not valid")

    assert "-" * length in reason
    assert "-s" not in reason


@shows_secret
@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (f"first\n{SECRET} last", f"Not valid:\n{SECRET} last"),
        (f"first\n  {SECRET} last\r\n-", f"Line 2 is not valid: {SECRET} last"),
        (f'first\n{SECRET} "last"', json.dumps([f'{SECRET} "last"'])),
        (f"first\n{SECRET} last", f"Value 'first {SECRET} last' is not valid"),
        (f"first\n{SECRET}\nlast", f"Value 'first\\n{SECRET}\\nlast' is not valid"),
    ],
    ids=["second line of the message", "one line", "escaped line", "lines joined", "escaped line breaks"],
)
def test_line_of_a_value_is_removed(harness: Harness, declared: str, message: str) -> None:
    assert SECRET[:6] not in refused_keyword(harness, declared, message)


@shows_secret
@pytest.mark.parametrize("quoted", [f"'{SECRET[:7]}...'", f"'{SECRET[:9]}…'", f"'{SECRET[:10]}'", f"'...{SECRET[6:]}'"])
def test_value_that_the_service_has_truncated_is_removed(harness: Harness, quoted: str) -> None:
    reason = refused_keyword(harness, SECRET, f"Value {quoted} is not valid")

    assert SECRET[:6] not in reason
    assert SECRET[-6:] not in reason


@shows_secret
def test_value_in_fields_of_a_validation_error_is_removed(harness: Harness) -> None:
    fields = [{"Name": "KeywordMessage", "Message": json.dumps(SPECIAL)}]

    reason = refused_keyword(harness, SPECIAL, "Not valid", members={"Fields": fields})

    assert "KeywordMessage" in reason


PLACES: dict[str, dict[str, Any]] = {
    "opt-out list": {"OptOutListName": SECRET},
    "registration": {"RegistrationId": SECRET},
    "pool": {"PoolId": SECRET},
    "keyword": {"OptionalKeywords": [{"Keyword": SECRET, "Message": "x", "Action": "OPT_IN"}]},
    "tag key": {"Tags": [{"Key": SECRET, "Value": "x"}]},
    "tag value": {"Tags": [{"Key": "x", "Value": SECRET}]},
    "trigger": {"Trigger": {"deep": [SECRET]}},
    "ARN of no known form": {"TwoWay": {"Enabled": False, "ChannelArn": f"arn:{SECRET}"}},
}


@shows_secret
@pytest.mark.parametrize("declared", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("request_type", ["Create", "Update", "rollback", "Delete"])
def test_value_of_every_property_is_removed(harness: Harness, request_type: str, declared: dict[str, Any]) -> None:
    """A rollback declares it only in OldResourceProperties."""
    message = {"code": "ValidationException", "message": f"Value {SECRET.upper()} is not valid", "times": 9}
    if request_type == "Create":
        harness.telecom.fault(SMS, "RequestPhoneNumber", "error", **message)
        failed = send_create(harness, SMS_PHONE_NUMBER, properties=SIMULATOR | declared)
    else:
        physical_id = create(harness, SMS_PHONE_NUMBER)
        for operation in ("DescribePhoneNumbers", "ReleasePhoneNumber"):
            harness.telecom.fault(SMS, operation, "error", **message)
        if request_type == "Delete":
            failed = delete(harness, SMS_PHONE_NUMBER, physical_id, properties=SIMULATOR | declared)
        elif request_type == "Update":
            failed = update(harness, SMS_PHONE_NUMBER, physical_id, SIMULATOR | declared)
        else:
            old = SIMULATOR | declared
            failed = update(harness, SMS_PHONE_NUMBER, physical_id, SIMULATOR, old_properties=old)

    assert_reason(failed, "InvalidRequest", "is not valid")
    assert SECRET[:6] not in failed["Reason"].lower()


@shows_secret
@pytest.mark.usefixtures("virtual_clock")
def test_value_is_in_no_log_line_when_a_request_is_continued(
    harness: Harness, configure: Configure, log_lines: list[str]
) -> None:
    configure(RETRY_PERIOD_SECONDS="60")  # longer than an invocation waits
    message = f"In use by '{json.dumps(SPECIAL)}'"
    fault = {"code": "ConflictException", "message": message, "times": 999}
    harness.telecom.fault(SMS, "RequestPhoneNumber", "error", **fault)

    failed = send_create(harness, SMS_PHONE_NUMBER, properties=SIMULATOR | {"OptOutListName": "x", "Trigger": SPECIAL})

    assert failed["Status"] == "FAILED"
    assert len(harness.invoker.steps) > 0
    assert [line for line in log_lines if "Request will be continued" in line and "In use by" in line]


@shows_secret
@pytest.mark.parametrize(
    "declared",
    [
        SIMULATOR | {"OptOutListName": f"{SECRET}!"},
        SIMULATOR | {"RegistrationId": f"{SECRET}!"},
        SIMULATOR | {"PoolId": f"{SECRET}!"},
        SIMULATOR | {"TwoWay": {"Enabled": False, "ChannelArn": SECRET, "ChannelRole": f"{SECRET} {SECRET}"}},
        SIMULATOR | {"OptionalKeywords": [{"Keyword": f"{SECRET}\n", "Message": "x", "Action": "OPT_IN"}]},
        SIMULATOR | {"OptionalKeywords": [{"Keyword": SECRET * 3, "Message": "x", "Action": "OPT_IN"}]},
        SIMULATOR | {"Tags": [{"Key": f"aws:{SECRET}", "Value": "x"}]},
        SIMULATOR | {"NumberPreference": [{"PreferenceType": ["Contains"], "Filter": [SECRET]}]},
        SIMULATOR | {"WaitForActive": [SECRET]},
        SIMULATOR | {"WaitTimeoutSeconds": {"deep": SECRET}},
        SIMULATOR | {"MessageType": [SECRET]},
    ],
    ids=lambda declared: next(reversed(declared)),
)
def test_value_refused_by_a_pattern_is_not_shown(harness: Harness, declared: dict[str, Any]) -> None:
    assert_reason(send_create(harness, SMS_PHONE_NUMBER, properties=declared), "InvalidRequest", "must ")


@shows_secret
@pytest.mark.parametrize(
    "changed",
    [
        {"PhoneNumber": SECRET},
        {"Prefix": SECRET},
        {"SourcePhoneNumberArn": SECRET},
        {"TargetArn": SECRET},
        {"SourcePhoneNumberArn": f"arn:{SECRET}", "PhoneNumber": "+12065550123"},
        {"CountryCode": [SECRET], "Type": None},
    ],
    ids=["PhoneNumber", "Prefix", "SourcePhoneNumberArn", "TargetArn", "rule", "rule for a list"],
)
def test_value_refused_by_a_pattern_of_connect_is_not_shown(harness: Harness, changed: dict[str, Any]) -> None:
    kind = connect_phone_number(connect_instance(harness))

    failed = send_create(harness, kind, properties=kind.properties | changed)

    assert_reason(failed, "InvalidRequest", next(iter(changed)))
    assert "5550123" not in failed["Reason"]


def test_sender_id_refused_by_a_pattern_is_not_shown(harness: Harness) -> None:
    declared = SMS_SENDER_ID.properties | {"SenderId": SECRET}

    assert_reason(send_create(harness, SMS_SENDER_ID, properties=declared), "InvalidRequest", "SenderId", "11")


@shows_secret
def test_refused_replacement_names_the_property_without_its_value(harness: Harness) -> None:
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER)

    changed = template(SIMULATOR | {"RegistrationId": SECRET, "NumberCapabilities": ["VOICE"]})
    facts = (physical_id, "RegistrationId", "NumberCapabilities (is SMS, declared VOICE)")
    assert_rolled_back(stack, changed, "NotUpdatable", *facts)


@shows_secret
def test_value_in_status_message_of_a_number_is_removed(harness: Harness) -> None:
    """Connect reports why a claim failed in the status of the number."""
    kind = connect_phone_number(connect_instance(harness))
    harness.connect.claim_phone_number(TargetArn=kind.properties["TargetArn"], PhoneNumber="+12065560097")
    harness.telecom.configure(connect_numbers=1)
    tags = [{"Key": "reached its LIMIT", "Value": "x"}]

    failed = send_create(harness, kind, properties=kind.properties | {"Tags": tags})

    assert_reason(failed, "NotStabilized", "The target has ***")


def test_declared_word_does_not_change_ids_and_texts_of_the_provider(harness: Harness) -> None:
    words = ["voice", "connect", "phone-number", "phone", "number", "released", "AllowReplacement", "arn:aws:connect"]
    tags = [{"Key": str(index), "Value": word} for index, word in enumerate(words)]
    kind = connect_phone_number(connect_instance(harness))
    stack, physical_id = deploy(harness, kind, Tags=tags)

    changed = template(kind.properties | {"Tags": tags, "Type": "TOLL_FREE"}, kind)
    facts = ("Type (is DID, declared TOLL_FREE)", f"AllowReplacement: {physical_id}", "requires a new phone number")
    assert_rolled_back(stack, changed, "NotUpdatable", *facts)


def test_remedy_and_error_code_stay_when_the_message_contains_their_words(harness: Harness) -> None:
    arn = "arn:aws:sms-voice:us-east-1:123456789012:phone-number/phone-1"
    harness.telecom.fault(SMS, "ReleasePhoneNumber", "error", code="AccessDeniedException", message="No voice today.")
    tags = [{"Key": "x", "Value": word} for word in ("voice", "role", "AccessDeniedException", "ReleasePhoneNumber")]
    declared = SIMULATOR | {"Trigger": arn, "Tags": tags}
    physical_id = create(harness, SMS_PHONE_NUMBER)

    failed = delete(harness, SMS_PHONE_NUMBER, physical_id, properties=declared)

    facts = ("ReleasePhoneNumber failed: No *** today (AccessDeniedException).", "provider's role")
    assert_reason(failed, "AccessDenied", *facts)
    assert failed["PhysicalResourceId"] == physical_id


def test_values_that_cannot_be_secret_stay_in_the_message(harness: Harness) -> None:
    arn = "arn:aws:sns:us-east-1:123456789012:replies"
    pool = f"pool-{'0' * 32}"
    message = f"NumberType SIMULATOR must be true or false in {pool} for {arn}"
    harness.telecom.fault(SMS, "RequestPhoneNumber", "error", code="ValidationException", message=message)
    declared = SIMULATOR | {"PoolId": pool, "TwoWay": {"Enabled": True, "ChannelArn": arn}}

    assert_reason(send_create(harness, SMS_PHONE_NUMBER, properties=declared), "InvalidRequest", message)


def test_values_of_another_request_stay_in_the_message(harness: Harness, kind: Kind) -> None:
    """An execution environment serves one request after another."""
    create(harness, kind, logical_id="First", properties=kind.properties | {"Trigger": "constraint"})
    service, operation = kind.buys.split(".")
    fault = {"code": "AccessDeniedException", "message": "A constraint of the account"}
    harness.telecom.fault(service, operation, "error", **fault, times=9)

    failed = send_create(harness, kind, logical_id="Second", properties=kind.properties | kind.replacing)

    assert_reason(failed, "AccessDenied", fault["message"])
