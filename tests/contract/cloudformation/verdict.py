"""CloudFormation's validation of a provider's response."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_RESPONSE_BYTES = 4096
MAX_PHYSICAL_ID_BYTES = 1024


@dataclass(frozen=True)
class Verdict:
    """The result of a request. `physical_id` is None if the response is missing or invalid."""

    succeeded: bool
    reason: str = ""
    physical_id: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)


def no_answer(request_id: str) -> Verdict:
    """The failure after ServiceTimeout, with CloudFormation's text."""
    return Verdict(
        succeeded=False,
        reason="CloudFormation did not receive a response from your Custom Resource. "
        f"Please check your logs for requestId [{request_id}]. If you are using the Python cfn-response module, "
        "you may need to update your Lambda function code so that CloudFormation can attach the updated version.",
    )


def judge(raw: bytes, request: Mapping[str, Any]) -> Verdict:
    """Validate the response `raw` to `request`.

    Rules, from the CloudFormation User Guide ("Custom resource response objects") unless noted:
    - At most 4096 bytes, else "Response object is too long." (limit measured in aws-cloudformation-user-guide pull
      request 262; text in binxio/cfn-postgresql-user-provider issue 2).
    - A JSON object. CloudFormation's text for other content is not known.
    - StackId, RequestId and LogicalResourceId are those of the request. Assumed: otherwise the request fails at once.
    - Status is SUCCESS or FAILED, else "Invalid Response object: 'X' is not a valid ResponseStatus"
      (aws-elb-autoscaling issue 23). Assumed: FAILED without a Reason is invalid.
    - PhysicalResourceId has 1 to 1024 bytes, else "Invalid PhysicalResourceId" replaces the provider's Reason
      (custom-resource-helper issue 67; also on Update and Delete: aws-lambda-go issue 77).
    - Data is an object of simple values (cfnlambda issue 5). Null is not a simple value: aws-cdk sends '' instead,
      because a missing value fails Fn::GetAtt.
    """
    try:
        answer = _parsed(raw)
        _check_envelope(answer, request)
        _check_content(answer)
    except _InvalidResponseError as invalid:
        return Verdict(succeeded=False, reason=str(invalid))
    physical_id, reason = answer["PhysicalResourceId"], answer.get("Reason")
    if answer["Status"] == "SUCCESS":
        attributes = {name: _text(value) for name, value in (answer.get("Data") or {}).items()}
        return Verdict(succeeded=True, physical_id=physical_id, attributes=attributes)
    text = f"Received response status [FAILED] from custom resource. Message returned: {reason}"
    return Verdict(succeeded=False, reason=f"{text} (RequestId: {request['RequestId']})", physical_id=physical_id)


class _InvalidResponseError(Exception):
    """The response is invalid. The message is the stack event's reason."""


def _parsed(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_RESPONSE_BYTES:
        raise _InvalidResponseError("Response object is too long.")
    try:
        answer = json.loads(raw)
    except ValueError:
        raise _InvalidResponseError("Invalid Response object: not JSON") from None
    if not isinstance(answer, dict):
        raise _InvalidResponseError("Invalid Response object: not an object")
    return answer


def _check_envelope(answer: dict[str, Any], request: Mapping[str, Any]) -> None:
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        if answer.get(name) != request[name]:
            raise _InvalidResponseError(f"Invalid Response object: {name} is not that of the request")
    if answer.get("Status") not in ("SUCCESS", "FAILED"):
        raise _InvalidResponseError(f"Invalid Response object: '{answer.get('Status')}' is not a valid ResponseStatus")


def _check_content(answer: dict[str, Any]) -> None:
    physical_id, data = answer.get("PhysicalResourceId"), answer.get("Data") or {}
    if not isinstance(physical_id, str) or not 0 < len(physical_id.encode()) <= MAX_PHYSICAL_ID_BYTES:
        raise _InvalidResponseError("Invalid PhysicalResourceId")
    if not isinstance(data, dict) or not all(isinstance(value, str | int | float) for value in data.values()):
        text = "Value of property Data must be an object with String (or simple type) properties"
        raise _InvalidResponseError(f"Invalid Response object: {text}")
    if answer["Status"] == "FAILED" and not answer.get("Reason"):
        raise _InvalidResponseError("Invalid Response object: Reason is required when Status is FAILED")


def _text(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
