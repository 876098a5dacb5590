"""Generates docs/errors.md: every Reason that a stack event can show, with its cause and its remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable

from telephony import reasons
from telephony.aws import errors
from telephony.errors import HandlerErrorCode

_HEAD = """# Errors

Every `FAILED` answer of this provider begins with one of CloudFormation's own error words, then says what failed, and
what to do. `{...}` stands for what a Reason is about. This page is generated from the code; do not edit it.

What is not known for certain (a lost answer, a 5xx, a broken connection) is not answered at all: the event runs again,
twice by Lambda and once more by the last resort. Only that one says `FAILED` then, with the word of the last error.
"""

_WORDS = {
    HandlerErrorCode.INVALID_REQUEST: "The declaration is wrong, or the service refuses it. Nothing was bought.",
    HandlerErrorCode.ACCESS_DENIED: "A permission is missing, or the number belongs to somebody else.",
    HandlerErrorCode.ALREADY_EXISTS: "It exists already, and is not this resource's.",
    HandlerErrorCode.NOT_FOUND: "What the request is about does not exist (any more).",
    HandlerErrorCode.NOT_UPDATABLE: "The change needs a replacement, and that is not allowed or not possible.",
    HandlerErrorCode.RESOURCE_CONFLICT: "Something is in the way: a protection, a pool, another request.",
    HandlerErrorCode.THROTTLING: "The account's rate of calls is used up for longer than there is time.",
    HandlerErrorCode.SERVICE_LIMIT_EXCEEDED: "A quota of the account is used up.",
    HandlerErrorCode.NOT_STABILIZED: "It did not get ready in time, or failed while it was getting ready.",
    HandlerErrorCode.SERVICE_INTERNAL_ERROR: "The service failed, until the last attempt.",
    HandlerErrorCode.NETWORK_FAILURE: "The service could not be reached, until the last attempt.",
    HandlerErrorCode.INTERNAL_FAILURE: "The provider itself failed, until the last attempt.",
}


_OF_SERVICES = {
    "reason of the service": errors.BY_REASON,
    "error code of the service, without such a reason": errors.BY_CODE,
}


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    own = reasons.catalogue().values()
    for word in HandlerErrorCode:
        parts.append(f"\n## {word}\n\n{_WORDS[word]}\n")
        parts += _table(
            ("what the Reason says", "what to do"),
            [
                (_code(reason.cause), _cell(reason.remedy) or "See each line.")
                for reason in own
                if reason.error_code is word
            ],
        )
        for title, meanings in _OF_SERVICES.items():
            rows = [
                (f"`{name}`", _cell(meaning.remedy) or "As its message says.", _again(meaning))
                for name, meaning in meanings.items()
                if meaning.error_code is word
            ]
            parts += _table((title, "what to do", "tried again"), rows)
    return "".join(parts)


def _again(meaning: errors.ErrorMeaning) -> str:
    return "for up to two minutes" if meaning.retryable else "no"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [" | ".join(row) for row in rows]
    if not lines:
        return []
    return [f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}\n", *(f"| {line} |\n" for line in lines)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _code(text: str) -> str:
    return f"`{re.sub(r'\s+', ' ', _cell(text)).strip()}`"
