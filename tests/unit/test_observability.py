"""The net that keeps secrets out of what is logged."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import pytest

from telephony.observability import RedactionFilter, redact

SIGNATURE = "5f0c1e9a8b7d6c5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e"
URL = (
    "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/arn%3Aaws?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    f"&X-Amz-Date=20261121T080000Z&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261121&X-Amz-Signature={SIGNATURE}"
)
OLD_URL = f"https://bucket.s3.amazonaws.com/x?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires=1&Signature={SIGNATURE}"


class Holder:
    def __str__(self) -> str:
        return URL

    __repr__ = __str__


class Pair(NamedTuple):
    name: str
    url: str


def written(message: Any, *args: Any, **extra: Any) -> str:
    """The line of a log that has the net under it."""
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, message, args, None)
    vars(record).update(extra)
    assert RedactionFilter().filter(record)
    text = logging.Formatter("%(message)s").format(record)
    return text + "".join(str(vars(record)[name]) for name in extra)


@pytest.mark.parametrize("url", [URL, OLD_URL])
def test_a_signed_url_loses_its_signature_and_stays_recognisable(url: str) -> None:
    clean = redact(f"PUT {url} failed")

    assert SIGNATURE not in clean
    assert "AKIAIOSFODNN7EXAMPLE" not in clean
    assert clean.startswith("PUT https://")
    assert clean.endswith(" failed")


@pytest.mark.parametrize(
    "text",
    [
        URL.replace("=", "%3D").replace("&", "%26"),
        URL.replace("&", "\\u0026"),
        URL.lower(),
        f'{{"ResponseURL": "{URL}"}}',
        f"{{'ResponseURL': '{URL}'}}",
        f"X-Amz-Signature={SIGNATURE}, next",
        f"X-Amz-Security-Token={SIGNATURE}&",
    ],
)
def test_no_spelling_keeps_a_signature(text: str) -> None:
    assert SIGNATURE not in redact(text)


@pytest.mark.shows("secret in logs, tables or errors")
@pytest.mark.parametrize(
    ("message", "args"),
    [
        (URL, ()),
        ("%s", (URL,)),
        ("%s %d", (URL, 1)),
        ("%(url)s", ({"url": URL},)),
        ("%s", ([URL],)),
        ("%s", ({"nested": {"url": [URL]}},)),
        ("%s", ((URL, URL),)),
        ("%s", (ValueError(URL),)),
        (ValueError(URL), ()),
        ("%s", (URL.encode(),)),
        ("%r", (Holder(),)),
        (Holder(), ()),
        ("%s", (Pair("x", URL),)),
        ("%s", ({URL},)),
        ("%s", ({URL: "as a key"},)),
    ],
    ids=range(15),
)
def test_a_log_line_never_holds_a_signature(message: Any, args: tuple[Any, ...]) -> None:
    assert SIGNATURE not in written(message, *args)


@pytest.mark.parametrize("value", [URL, {"url": URL}, [URL], (URL,), {"deep": [{"er": URL}]}, ValueError(URL)])
def test_an_extra_field_never_holds_a_signature(value: Any) -> None:
    assert SIGNATURE not in written("x", detail=value)


@pytest.mark.shows("secret in logs, tables or errors")
def test_the_text_of_an_exception_is_not_written() -> None:
    error = ConnectionError(URL)
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "failed", (), (type(error), error, None))
    RedactionFilter().filter(record)

    line = logging.Formatter("%(message)s").format(record)
    assert SIGNATURE not in line
    assert "ConnectionError" in line


@pytest.mark.parametrize("text", ["+12065550123", "to +12065550123.", "+4915112345678"])
def test_a_phone_number_keeps_its_last_four_digits(text: str) -> None:
    clean = redact(text)

    assert "+1206" not in clean
    assert "+4915" not in clean
    assert clean.rstrip(".")[-4:] == text.rstrip(".")[-4:]


@pytest.mark.parametrize("text", ["phone-0123456789abcdef", "2026-11-21T08:00:00+00:00", "1 + 1", "", "+1234"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text
