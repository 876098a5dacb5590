"""The filter that keeps secrets out of logs."""

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
    def __repr__(self) -> str:
        return URL


class Pair(NamedTuple):
    name: str
    url: str


def log_line(message: Any, *args: Any, error: BaseException | None = None, **extra: Any) -> str:
    """Return a log line with its extra fields, after the filter."""
    exc_info = (type(error), error, None) if error else None
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, message, args, exc_info)
    vars(record).update(extra)
    assert RedactionFilter().filter(record)
    return logging.Formatter("%(message)s").format(record) + "".join(str(vars(record)[name]) for name in extra)


@pytest.mark.parametrize("url", [URL, OLD_URL])
def test_signature_and_access_key_are_removed_from_url(url: str) -> None:
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
def test_signature_is_removed_in_every_encoding(text: str) -> None:
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
def test_log_line_contains_no_signature(message: Any, args: tuple[Any, ...]) -> None:
    assert SIGNATURE not in log_line(message, *args)


@pytest.mark.parametrize("value", [URL, {"url": URL}, [URL], (URL,), {"deep": [{"er": URL}]}, ValueError(URL)])
def test_extra_field_contains_no_signature(value: Any) -> None:
    assert SIGNATURE not in log_line("x", detail=value)


@pytest.mark.shows("secret in logs, tables or errors")
def test_exception_is_logged_without_its_text() -> None:
    line = log_line("failed", error=ConnectionError(URL))

    assert SIGNATURE not in line
    assert "ConnectionError" in line


@pytest.mark.parametrize(
    ("text", "clean"),
    [("+12065550123", "+…0123"), ("to +12065550123.", "to +…0123."), ("+4915112345678", "+…5678")],
)
def test_phone_number_keeps_only_its_last_four_digits(text: str, clean: str) -> None:
    assert redact(text) == clean


@pytest.mark.parametrize("text", ["phone-0123456789abcdef", "2026-11-21T08:00:00+00:00", "1 + 1", "", "+1234"])
def test_text_without_secret_is_unchanged(text: str) -> None:
    assert redact(text) == text
