"""Generates docs/errors.md: every Reason that a stack event can show, with its cause and its remedy."""

from collections.abc import Iterable

from telephony import reasons
from telephony.aws import errors
from telephony.errors import HandlerErrorCode

_HEAD = """# Errors

The `Reason` of a failed request contains a CloudFormation error code, the cause and the remedy. `{...}` stands for a
value of the request. This page is generated from the code; do not edit it.

If the result of an AWS call is unknown (no response, a 5xx error or a lost connection), the provider sends no response.
The request is continued from the queue until two minutes before its ServiceTimeout. If the result is still unknown
then, the response is `FAILED` with the code of the last error.
"""

_DESCRIPTIONS = {
    HandlerErrorCode.INVALID_REQUEST: "A property is not valid, or the service rejects a value.",
    HandlerErrorCode.ACCESS_DENIED: "A permission is missing, or the resource belongs to another owner.",
    HandlerErrorCode.ALREADY_EXISTS: "The resource already exists and belongs to another owner.",
    HandlerErrorCode.NOT_FOUND: "The resource does not exist, or no phone number is available.",
    HandlerErrorCode.NOT_UPDATABLE: "The update requires a replacement that is not allowed or not possible.",
    HandlerErrorCode.RESOURCE_CONFLICT: "Deletion protection, a pool or another request prevents the operation.",
    HandlerErrorCode.THROTTLING: "The rate limit of the account does not allow the call before `ServiceTimeout`.",
    HandlerErrorCode.SERVICE_LIMIT_EXCEEDED: "The account has reached a quota.",
    HandlerErrorCode.NOT_STABILIZED: "The resource did not become ready in time, or its claim or change failed.",
    HandlerErrorCode.SERVICE_INTERNAL_ERROR: "The service returned an internal error on the last attempt.",
    HandlerErrorCode.NETWORK_FAILURE: "The provider received no response from the service on the last attempt.",
    HandlerErrorCode.INTERNAL_FAILURE: "The provider failed on the last attempt.",
}

_SERVICE_ERRORS = {
    "Reason of the AWS error": errors.BY_REASON,
    "Code of the AWS error, if its reason is not listed": errors.BY_CODE,
}


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    for code in HandlerErrorCode:
        parts.append(f"\n## {code}\n\n{_DESCRIPTIONS[code]}\n")
        rows = [
            (f"`{' '.join(_cell(reason.cause).split())}`", _cell(reason.remedy) or "Correct the listed properties.")
            for reason in reasons.catalog().values()
            if reason.error_code is code
        ]
        parts += _table(("What it means", "What to do"), rows)
        for title, meanings in _SERVICE_ERRORS.items():
            service_rows = [
                (
                    f"`{name}`",
                    _cell(meaning.remedy) or "See the message of the service.",
                    "For up to two minutes" if meaning.retryable else "No",
                )
                for name, meaning in meanings.items()
                if meaning.error_code is code
            ]
            parts += _table((title, "What to do", "Retried"), service_rows)
    return "".join(parts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |\n" for row in rows]
    return [f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}\n", *lines] if lines else []


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
