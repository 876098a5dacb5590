"""A service's text is shown without declared values, in whatever form the service quotes them."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from telephony import redaction, resources
from telephony.redaction import MASK, MAX_SHOWN, MIN_LENGTH, shown

Escaping = Callable[[str], str]
ESCAPINGS: dict[str, Escaping] = {
    "raw": str,
    "JSON": lambda value: json.dumps(value)[1:-1],
    "JSON with UTF-8": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "JSON with escaped slashes": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "repr": lambda value: repr(value)[1:-1],
    "ASCII repr": lambda value: ascii(value)[1:-1],
    "repr of bytes": lambda value: repr(value.encode())[2:-1],
    "HTML": html.escape,
    "XML": lambda value: html.escape(value, quote=False),
    "XML in ASCII": lambda value: html.escape(value).encode("ascii", "xmlcharrefreplace").decode(),
    "XML, every character": lambda value: "".join(f"&#x{ord(character):X};" for character in value),
    "URL": lambda value: quote(value, safe=""),
    "URL, lower case": lambda value: quote(value, safe="").lower().replace("%2d", "-"),
    "form": quote_plus,
    "Unicode escapes": lambda value: value.encode("unicode_escape").decode(),
    "Unicode escapes, every character": lambda value: "".join(f"\\u{ord(character):04X}" for character in value),
    "JSON in JSON": lambda value: json.dumps(json.dumps(value))[3:-3],
    "JSON in a URL in XML": lambda value: html.escape(quote_plus(json.dumps(value)[1:-1])),
    "one line": lambda value: " ".join(value.split()),
    "upper case": str.upper,
}
BASIC = st.characters(codec="utf-8", max_codepoint=0xFFFF)
SECRETS = st.one_of(
    st.text(BASIC, max_size=40),
    st.text("ab \n\t\"'\\&<>%+/;ü漢é…*-0", max_size=40),
).filter(lambda value: len(folded(value)) >= MIN_LENGTH)


def folded(value: str) -> str:
    return " ".join(value.casefold().split())


def declare(*values: str) -> None:
    redaction.start_invocation(lambda: values)


@pytest.fixture(autouse=True)
def nothing_declared() -> None:
    declare()


@pytest.mark.shows("secret in logs, tables or errors")
@pytest.mark.parametrize("name", ESCAPINGS)
@settings(max_examples=150, deadline=None)
@given(secret=SECRETS, before=st.text(BASIC, max_size=20), length=st.integers(0, 520))
@example(secret="pass\"word\\\nü&<>'%41", before="", length=495)
@example(secret="\\%41\\n&amp;", before="", length=0)
def test_no_form_of_a_declared_value_is_shown(name: str, secret: str, before: str, length: int) -> None:
    """The value begins after `length` characters, so that it can lie across the limit."""
    quoted = ESCAPINGS[name](secret)
    declare(secret)

    result = shown(f"{before} {'-' * length} '{quoted}' is not valid.")

    assert len(result) <= MAX_SHOWN
    for form in (secret, quoted):
        assert folded(form) not in folded(result)
    if secret.isalnum() and not before and length < 400:
        assert result == f"{'-' * length} '{MASK}' is not valid.".strip()


@pytest.mark.parametrize("escaping", ESCAPINGS.values(), ids=ESCAPINGS)
@pytest.mark.parametrize("line", ["swordfish", 'pass"word', "ü&<>%"])
def test_each_line_of_a_declared_value_is_removed(escaping: Escaping, line: str) -> None:
    declare(f"first\n {line}\r\nlast")

    assert shown(f"Value [{escaping(line)}] is not valid.") == f"Value [{MASK}] is not valid."


@pytest.mark.parametrize(
    ("quoted", "result"),
    [
        ("'sword...' is not valid", f"'{MASK}...' is not valid"),
        ("'swor…' is not valid", f"'{MASK}…' is not valid"),
        ("'sword'... is not valid", f"'{MASK}'... is not valid"),
        ("'...h-7d1c0e' is not valid", f"'...{MASK}' is not valid"),
        ("not valid: sword", f"not valid: {MASK}"),
        ("'swordfis' is not valid", f"'{MASK}' is not valid"),
        ("'h-7d1c0e' is not valid", f"'{MASK}' is not valid"),
        ("a sword is not valid", "a sword is not valid"),
    ],
)
def test_truncated_quotation_is_removed(quoted: str, result: str) -> None:
    declare("swordfish-7d1c0e")

    assert shown(quoted) == result


def test_removal_that_joins_the_parts_of_another_value_is_repeated() -> None:
    declare("swordfish", "a***b")

    assert shown("aswordfishb") == MASK


def test_only_the_first_line_is_shown() -> None:
    declare("swordfish")

    assert shown("\nFirst line.\nswordfish") == "First line."


def test_values_of_the_previous_request_are_forgotten() -> None:
    declare("swordfish")
    declare("trout")

    assert shown("swordfish and trout") == f"swordfish and {MASK}"


@pytest.mark.parametrize("text", ["", "Rate exceeded", "voi", "C:\\new", "100% of A&B;", "%25252525252525" * 50])
def test_text_without_declared_value_is_unchanged(text: str) -> None:
    declare("voice", "abc", "")

    assert shown(text) == text[:MAX_SHOWN]


def test_every_string_that_can_be_secret_is_removed() -> None:
    arn = "arn:aws:sns:us-east-1:123456789012:replies"
    declared = {
        "ServiceToken": "arn:aws:lambda:us-east-1:123456789012:function:provider",
        "ServiceTimeout": "3600",
        "NumberType": "SIMULATOR",
        "MessageType": "not a type",
        "IsoCountryCode": "US",
        "NumberCapabilities": ["VOICE", "FAXES"],
        "WaitTimeoutSeconds": "1200",
        "WaitForActive": "true",
        "OptOutListName": "opt-out",
        "RegistrationId": f"registration-{'0' * 32}",
        "PoolId": "my-pool",
        "TwoWay": {"Enabled": "false", "ChannelArn": arn, "ChannelRole": ["misplaced"]},
        "Tags": [{"Key": "key1", "Value": "TRANSACTIONAL"}, "no map"],
        "Trigger": {"deep": [{"er": "2026-11-21"}]},
        "Colour": {"ServiceToken": "nested"},
    }

    found = list(resources.possible_secrets("Custom::SmsPhoneNumber", declared, {"AllowReplacement": "anything"}))

    assert sorted(found) == sorted(
        [
            "not a type",
            "FAXES",
            "opt-out",
            "my-pool",
            "misplaced",
            "key1",
            "TRANSACTIONAL",
            "no map",
            "2026-11-21",
            "nested",
            "anything",
            "US",
        ]
    )


def test_every_string_of_an_unknown_type_can_be_secret() -> None:
    assert list(resources.possible_secrets("Custom::Other", {"Name": "swordfish", "On": "true"})) == ["swordfish"]
