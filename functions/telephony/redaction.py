"""Removes declared values from the texts of AWS services.

A NoEcho parameter can be the value of any string property, and services quote the values that they refuse. Every text
of a service passes through `shown` before it becomes part of an exception. Therefore no Reason, log line, item or
queued record contains a declared value. The provider's own texts and IDs do not pass through `shown`: they stay intact.
"""

import html
import re
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from os.path import commonprefix
from urllib.parse import unquote, unquote_plus

MASK = "***"
"""Shorter than every value that it replaces, so that it contains none."""
MIN_LENGTH = 4
"""Characters. A shorter value can occur in a text by chance."""
MIN_PART = 8
"""Characters of the beginning or end of a value that are removed wherever they occur. A shorter part, of at least
MIN_LENGTH, is removed only where the text shows that the service has truncated the value."""
MAX_SHOWN = 500
"""Characters of a service's text that are shown."""

_MAX_DEPTH = 3
"""Escapings of one value inside each other, for example JSON in a URL in XML."""
_TRUNCATED = re.compile(r"['\"`]?\s?(?:\.\.\.|…|\Z)")
_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "0": "\0"}

type _Reading = tuple[str, list[tuple[int, int]]]
"""A text, and the start and end of each of its characters in the original text."""

_declared: ContextVar[Callable[[], Iterable[str]]] = ContextVar("declared", default=tuple)


def start_invocation(declared: Callable[[], Iterable[str]]) -> None:
    """Set the values to remove. declared: returns them; called only when a service reports an error."""
    _declared.set(declared)


def shown(text: str) -> str:
    """Return the first line of a service's text, at most MAX_SHOWN characters, without declared values."""
    return redact(text).strip().partition("\n")[0][:MAX_SHOWN]


def redact(text: str) -> str:
    """Replace every declared value, in every escaping, and each of its lines."""
    if not text:
        return text
    forms = {_fold(line) for value in _declared.get()() for line in (value, *value.splitlines())}
    values = [form for form in forms if len(form) >= MIN_LENGTH]
    # The removal of one value can join the parts of another.
    while spans := sorted(span for reading in _readings(text) for value in values for span in _spans(reading, value)):
        parts, at = [], 0
        for start, end in spans:
            if start >= at:
                parts += [text[at:start], MASK]
            at = max(at, end)
        text = "".join([*parts, text[at:]])
    return text


def _spans(reading: _Reading, value: str) -> Iterator[tuple[int, int]]:
    """Yield start and end, in the original text, of each occurrence of the value or of a part of it."""
    text, positions = reading
    found = [*_beginnings(text, value)]
    found += [(len(text) - end, len(text) - start) for start, end in _beginnings(text[::-1], value[::-1])]
    for start, end in found:
        yield positions[start][0], positions[end - 1][1]


def _beginnings(text: str, value: str) -> Iterator[tuple[int, int]]:
    start = text.find(value[:MIN_LENGTH])
    while start >= 0:
        end = start + len(commonprefix([value, text[start : start + len(value)]]))  # noqa: RUF071 - not a path
        if end - start >= min(len(value), MIN_PART) or _TRUNCATED.match(text, end):
            yield start, end
        start = text.find(value[:MIN_LENGTH], start + 1)


def _readings(text: str) -> list[_Reading]:
    """Return the text as it is, and unescaped in every order of the escapings, in the form of `_fold`."""
    found = {text: [(index, index + 1) for index in range(len(text))]}
    latest = dict(found)
    for _ in range(_MAX_DEPTH):
        unescaped = [
            _replace(reading, pattern, unescape) for reading in latest.items() for pattern, unescape in _ESCAPES
        ]
        latest = {new: positions for new, positions in unescaped if new not in found}
        found |= latest
    return [_fold_reading(reading) for reading in found.items()]


def _replace(reading: _Reading, pattern: re.Pattern[str], new: Callable[[re.Match[str]], str]) -> _Reading:
    text, positions = reading
    parts: list[str] = []
    new_positions: list[tuple[int, int]] = []
    at = 0
    for match in pattern.finditer(text):
        start, end = match.span()
        replacement = new(match)
        parts += [text[at:start], replacement]
        new_positions += positions[at:start]
        new_positions += [(positions[start][0], positions[end - 1][1])] * len(replacement)
        at = end
    return "".join([*parts, text[at:]]), [*new_positions, *positions[at:]]


def _character_reference(match: re.Match[str]) -> str:
    decimal, hexadecimal = match[1], match[2]
    if not (decimal or hexadecimal):
        return html.unescape(match[0])
    return chr(min(int(decimal) if decimal else int(hexadecimal, 16), 0x10FFFF))


def _backslash(match: re.Match[str]) -> str:
    units, code, character = match[1], match[2] or match[3], match[4]
    if units:
        return bytes.fromhex(units.replace("\\u", "")).decode("utf-16-be", "surrogatepass")
    return chr(min(int(code, 16), 0x10FFFF)) if code else _CONTROL.get(character, character)


_ESCAPES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    # XML and HTML.
    (re.compile(r"&(?:#([0-9]{1,7})|#[xX]([0-9a-fA-F]{1,6})|[a-zA-Z][a-zA-Z0-9]*);"), _character_reference),
    # URLs, with and without form encoding.
    (re.compile(r"\+|(?:%[0-9a-fA-F]{2})+"), lambda match: unquote_plus(match[0])),
    (re.compile(r"(?:%[0-9a-fA-F]{2})+"), lambda match: unquote(match[0])),
    # The repr of UTF-8 bytes.
    (re.compile(r"(?:\\x[0-9a-fA-F]{2})+"), lambda match: unquote(match[0].replace("\\x", "%"))),
    # JSON, the repr of a string, and other languages with a backslash.
    (
        re.compile(r"((?:\\u[0-9a-fA-F]{4})+)|\\U([0-9a-fA-F]{8})|\\x([0-9a-fA-F]{2})|\\(.)", re.DOTALL),
        _backslash,
    ),
)


def _fold(value: str) -> str:
    """Return a form in which case and the kind of white space make no difference."""
    return " ".join(value.casefold().split())


def _fold_reading(reading: _Reading) -> _Reading:
    folded = _replace(reading, re.compile(r"\S"), lambda match: match[0].casefold())
    return _replace(folded, re.compile(r"\s+"), lambda _: " ")
