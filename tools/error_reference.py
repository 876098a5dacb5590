"""Generates docs/errors.md: every Reason that a stack event can show, and what each error of an AWS call results in."""

from collections.abc import Iterable

from telephony import reasons
from telephony.errors import HandlerErrorCode
from tools import service_errors
from tools.service_errors import SMS, Call, Result

_HEAD = """# Errors

The `Reason` of a failed request contains a CloudFormation error code, the cause and the remedy. `{...}` stands for a
value of the request. This page is generated from the code; do not edit it.

If the result of an AWS call is unknown (no response, a 5xx error or a lost connection), the provider sends no response.
The request is continued from the queue until two minutes before its ServiceTimeout. If the result is still unknown
then, the response is `FAILED` with the code and the remedy of the last error.
"""

_SERVICES_HEAD = """
## Errors of AWS calls

Each error that the models of the AWS SDK list for a call of the provider, and how the request is answered if the error
lasts. A request whose call is retried succeeds if the error ends before. Calls whose models list no error have the
errors that are common to all AWS services. `Create`, `Update` and `Delete` are requests that make the call. A test
injects each error into such a request, and compares the response with this table.
"""

_REASONS_HEAD = """
#### Reasons

The exceptions of AWS End User Messaging SMS that have a `Reason`. The models do not say which call has which reason, so
each one is injected into `RequestPhoneNumber`. A reason that has another result in a call has a row for that call.
"""

_TITLES = {
    SMS: "AWS End User Messaging SMS",
    "connect": "Amazon Connect",
    "cloudformation": "AWS CloudFormation",
    "resourcegroupstaggingapi": "AWS Resource Groups Tagging API",
    "service-quotas": "Service Quotas",
    "dynamodb": "Amazon DynamoDB",
    "sqs": "Amazon SQS",
}

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
    parts.append(_SERVICES_HEAD)
    recorded = service_errors.calls()
    for service, title in _TITLES.items():
        calls = [call for call in recorded if call.service == service]
        if calls:
            parts.append(f"\n### {title}\n")
            parts += _table(("Error", "Call", "Response", "Retried", "What to do"), _call_rows(calls))
        if service == SMS:
            parts.append(_REASONS_HEAD)
            parts += _table(("Exception", "Reason", "Response", "Retried", "What to do"), _reason_rows(calls))
    return "".join(parts)


def _call_rows(calls: list[Call]) -> Iterable[tuple[str, ...]]:
    """Return a row for each result and its calls. The most frequent result of an error is the last one."""
    found: dict[str, dict[Result, list[Call]]] = {}
    for call in calls:
        for error in service_errors.documented(call):
            found.setdefault(error, {}).setdefault(service_errors.result(call, error), []).append(call)
    rows: dict[tuple[str, ...], list[str]] = {}
    for error, results in sorted(found.items()):
        for result, made in sorted(results.items(), key=lambda item: len(item[1])):
            most = made is max(results.values(), key=len) and len(made) > 1
            named = ("all others" if len(results) > 1 else "all") if most else _named(made)
            rows.setdefault((named, *_result_cells(result)), []).append(f"`{error}`")
    for cells, names in sorted(rows.items(), key=lambda row: row[1][0]):
        yield ", ".join(names), *cells


def _named(calls: list[Call]) -> str:
    requests: dict[str, list[str]] = {}
    for call in calls:
        requests.setdefault(call.operation, []).append(call.request)
    return ", ".join(
        f"`{operation}`" + (f" ({', '.join(types)})" if types != [service_errors.ANY_REQUEST] else "")
        for operation, types in requests.items()
    )


def _reason_rows(calls: list[Call]) -> Iterable[tuple[str, ...]]:
    [call] = [call for call in calls if call.operation == "RequestPhoneNumber" and call.request == "Create"]
    found: dict[tuple[str, Result], list[str]] = {}
    for error, reason in service_errors.documented_reasons():
        found.setdefault((error, service_errors.result(call, error, reason)), []).append(reason)
    for (error, result), names in sorted(found.items(), key=lambda item: (item[0][0], len(item[1]))):
        yield f"`{error}`", ", ".join(f"`{name}`" for name in names), *_result_cells(result)
    for (operation, request, name), result in service_errors.SPECIAL_REASONS.items():
        yield f"`ConflictException` of `{operation}` ({request})", f"`{name}`", *_result_cells(result)


def _result_cells(result: Result) -> tuple[str, str, str]:
    return f"`{result.answer}`", str(result.retried), _cell(result.remedy)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |\n" for row in rows]
    return [f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}\n", *lines] if lines else []


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
