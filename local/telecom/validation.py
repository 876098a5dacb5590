"""Validates inputs and outputs against botocore's service model.

botocore's ParamValidator checks required members, types and minima. This module checks enums, maxima and patterns.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.validate import ParamValidator

# Python's re does not support \p{..}. \w matches letters and numbers of any script, \s matches spaces.
_TAG_KEY = r"(?!aws:)[\w\s.:/=+\-@]*"


@dataclass(frozen=True)
class Correction:
    """A replacement for a pattern of the model that does not work."""

    pattern: str
    note: str
    source: str


CORRECTIONS: dict[tuple[str, str], Correction] = {
    ("connect", "PhoneNumber"): Correction(
        r"\+[1-9]\d{1,14}",
        "The model escapes twice (`\\\\+[1-9]\\\\d{1,14}$`), which requires a backslash and rejects every number.",
        "[API] ClaimPhoneNumber, PhoneNumber: '[+] [country code] [subscriber number including area code]'",
    ),
    ("connect", "PhoneNumberPrefix"): Correction(
        r"\+?[0-9]{1,11}",
        "Escaped twice in the model (`\\\\+?[0-9]{1,11}`): a plus could only follow backslashes.",
        "[API] SearchAvailablePhoneNumbers, PhoneNumberPrefix: 'must contain + as part of the country code'",
    ),
    ("connect", "TagKey"): Correction(
        _TAG_KEY,
        "The model uses \\p{L}, \\p{Z} and \\p{N}, which Python's re does not support.",
        "[API] TagKey: the same pattern, in Python's syntax",
    ),
}

# DescribeSenderIds returns "Transactional"; the model's enum is TRANSACTIONAL (see sms.sender_id.mixed_case).
MIXED_CASE_OUTPUTS = {("pinpoint-sms-voice-v2", "DescribeSenderIds", "MessageType")}


@dataclass(frozen=True)
class Violation:
    """A violated rule and its path, for example `Tags[0].Key`; "" is the whole input."""

    path: str
    rule: str


def violations(service: str, operation: str, shape: Any, value: Any, *, output: bool = False) -> list[Violation]:
    """Return all parts of `value` that the model's `shape` does not allow."""
    report = ParamValidator().validate(value, shape)
    found = [Violation("", line) for line in report.generate_report().splitlines()] if report.has_errors() else []
    return found or list(_walk(service, operation if output else "", shape, value, ""))


@functools.cache
def pattern_of(service: str, shape_name: str, model_pattern: str) -> re.Pattern[str]:
    """Return the compiled pattern of a shape, with corrections."""
    correction = CORRECTIONS.get((service, shape_name))
    return re.compile(correction.pattern if correction else model_pattern)


def _walk(service: str, returned_by: str, shape: Any, value: Any, path: str) -> Iterator[Violation]:
    """Yield enum, maximum and pattern violations. `returned_by` is the operation if `value` is an output."""
    maximum = shape.metadata.get("max")
    if maximum is not None and shape.type_name in _SIZED and len(value) > maximum:
        yield Violation(path, f"Member must have length less than or equal to {maximum}")
    if maximum is not None and shape.type_name in _NUMBERS and value > maximum:
        yield Violation(path, f"Member must have value less than or equal to {maximum}")
    if shape.type_name == "string":
        yield from _string(service, returned_by, shape, value, path)
    for member, item, item_path in _parts(shape, value, path):
        yield from _walk(service, returned_by, member, item, item_path)


_SIZED = ("list", "map", "string")
_NUMBERS = ("integer", "long", "float", "double")


def _parts(shape: Any, value: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    """Yield shape, value and path of each part of a structure, list or map."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if name in value:
                yield member, value[name], f"{path}.{name}" if path else name
    elif shape.type_name == "list":
        for index, item in enumerate(value):
            yield shape.member, item, f"{path}[{index}]"
    elif shape.type_name == "map":
        for key, item in value.items():
            yield shape.key, key, f"{path}.{key}"
            yield shape.value, item, f"{path}.{key}"


def _string(service: str, returned_by: str, shape: Any, value: str, path: str) -> Iterator[Violation]:
    pattern = shape.metadata.get("pattern")
    if pattern and not pattern_of(service, shape.name, pattern).fullmatch(value):
        yield Violation(path, f"Member must satisfy regular expression pattern: {pattern}")
    member = value.upper() if (service, returned_by, shape.name) in MIXED_CASE_OUTPUTS else value
    if shape.enum and member not in shape.enum:
        yield Violation(path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
