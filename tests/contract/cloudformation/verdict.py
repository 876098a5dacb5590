"""What CloudFormation makes of the bytes that a provider sent: one answer to one request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_ANSWER_BYTES = 4096
MAX_PHYSICAL_ID_BYTES = 1024


@dataclass(frozen=True)
class Verdict:
    """`physical_id` is None where the answer named none that counts: the answer was missing, or not a valid one."""

    succeeded: bool
    reason: str = ""
    physical_id: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)


def no_answer(request_id: str) -> Verdict:
    """No answer within ServiceTimeout is a failure. The text is the one CloudFormation shows."""
    return Verdict(
        succeeded=False,
        reason="CloudFormation did not receive a response from your Custom Resource. "
        f"Please check your logs for requestId [{request_id}]. If you are using the Python cfn-response module, "
        "you may need to update your Lambda function code so that CloudFormation can attach the updated version.",
    )


def judge(raw: bytes, request: Mapping[str, Any]) -> Verdict:
    """The verdict on the answer `raw` to `request`.

    Rules, from the CloudFormation User Guide ("Custom resource response objects") where no other source is named:
    - at most 4096 bytes, else "Response object is too long." (limit measured in aws-cloudformation-user-guide pull
      request 262; text in binxio/cfn-postgresql-user-provider issue 2);
    - a JSON object; what CloudFormation says otherwise is not known, that it fails is assumed;
    - StackId, RequestId and LogicalResourceId verbatim; that a deviation fails at once, too, is assumed;
    - Status SUCCESS or FAILED, else "Invalid Response object: 'X' is not a valid ResponseStatus" (aws-elb-autoscaling
      issue 23); Reason with every FAILED (that its lack makes the answer invalid is assumed);
    - PhysicalResourceId neither missing nor empty, at most 1 KB, else "Invalid PhysicalResourceId" instead of the
      provider's Reason (custom-resource-helper issue 67; on Update and Delete too: aws-lambda-go issue 77);
    - Data an object of simple values (cfnlambda issue 5). Null counts as not simple: aws-cdk sends '' instead, since a
      missing value fails Fn::GetAtt.
    """
    try:
        answer = _parsed(raw)
        _check_envelope(answer, request)
        _check_content(answer)
    except _RefusedError as refused:
        return Verdict(succeeded=False, reason=str(refused))
    physical_id, reason = answer["PhysicalResourceId"], answer.get("Reason")
    if answer["Status"] == "SUCCESS":
        attributes = {name: _text(value) for name, value in (answer.get("Data") or {}).items()}
        return Verdict(succeeded=True, physical_id=physical_id, attributes=attributes)
    told = f"Received response status [FAILED] from custom resource. Message returned: {reason}"
    return Verdict(succeeded=False, reason=f"{told} (RequestId: {request['RequestId']})", physical_id=physical_id)


class _RefusedError(Exception):
    """The answer does not count; the text is the reason that the stack shows."""


def _parsed(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_ANSWER_BYTES:
        raise _RefusedError("Response object is too long.")
    try:
        answer = json.loads(raw)
    except ValueError:
        raise _RefusedError("Invalid Response object: not JSON") from None
    if not isinstance(answer, dict):
        raise _RefusedError("Invalid Response object: not an object")
    return answer


def _check_envelope(answer: dict[str, Any], request: Mapping[str, Any]) -> None:
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        if answer.get(name) != request[name]:
            raise _RefusedError(f"Invalid Response object: {name} is not that of the request")
    if answer.get("Status") not in ("SUCCESS", "FAILED"):
        raise _RefusedError(f"Invalid Response object: '{answer.get('Status')}' is not a valid ResponseStatus")


def _check_content(answer: dict[str, Any]) -> None:
    physical_id, data = answer.get("PhysicalResourceId"), answer.get("Data") or {}
    if not isinstance(physical_id, str) or not 0 < len(physical_id.encode()) <= MAX_PHYSICAL_ID_BYTES:
        raise _RefusedError("Invalid PhysicalResourceId")
    if not isinstance(data, dict) or not all(isinstance(value, str | int | float) for value in data.values()):
        told = "Value of property Data must be an object with String (or simple type) properties"
        raise _RefusedError(f"Invalid Response object: {told}")
    if answer["Status"] == "FAILED" and not answer.get("Reason"):
        raise _RefusedError("Invalid Response object: Reason is required when Status is FAILED")


def _text(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
