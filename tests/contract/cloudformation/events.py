"""The events that CloudFormation sends to a custom resource provider."""

from typing import Any, Literal
from uuid import uuid4

RequestType = Literal["Create", "Update", "Delete"]

REGION = "us-east-1"
ACCOUNT = "123456789012"
STACK_ID = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/example/5b918d10-cd98-11f0-8f5a-0e2a1b2c3d4e"
SERVICE_TOKEN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:provider"


def event(
    request_type: RequestType,
    *,
    response_url: str,
    stack_id: str = STACK_ID,
    request_id: str | None = None,
    logical_id: str = "Resource",
    resource_type: str = "Custom::Resource",
    service_token: str = SERVICE_TOKEN,
    properties: dict[str, Any] | None = None,
    physical_id: str | None = None,
    old_properties: dict[str, Any] | None = None,
    service_timeout: str | None = None,
) -> dict[str, Any]:
    """Return an event with exactly the fields of its request type, its properties serialized by `stringified`.

    `service_timeout`: at the top level, as in events that public repositories show.

    Raises ValueError if `physical_id` or `old_properties` don't match the request type (CloudFormation User Guide,
    "Custom resource request objects" and "Custom resource request types").
    """
    if (physical_id is None) != (request_type == "Create"):
        raise ValueError(f"{request_type}: Update and Delete have a PhysicalResourceId, Create has none")
    if (old_properties is None) != (request_type != "Update"):
        raise ValueError(f"{request_type}: only Update has OldResourceProperties")
    sent: dict[str, Any] = {
        "RequestType": request_type,
        "ServiceToken": service_token,
        "ResponseURL": response_url,
        "StackId": stack_id,
        "RequestId": request_id or str(uuid4()),
        "LogicalResourceId": logical_id,
        "ResourceType": resource_type,
        "ResourceProperties": stringified({"ServiceToken": service_token, **(properties or {})}),
    }
    if service_timeout is not None:
        sent["ServiceTimeout"] = service_timeout
    if physical_id is not None:
        sent["PhysicalResourceId"] = physical_id
    if old_properties is not None:
        sent["OldResourceProperties"] = stringified({"ServiceToken": service_token, **old_properties})
    return sent


def stringified(value: Any) -> Any:
    """Convert scalars to strings and remove None (AWS::NoValue), as CloudFormation does for custom resources.

    Sources: cloudformation-coverage-roadmap issue 1037, aws-cdk issue 4000.
    """
    match value:
        case dict():
            return {str(name): stringified(member) for name, member in value.items() if member is not None}
        case list() | tuple():
            return [stringified(member) for member in value if member is not None]
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
    raise ValueError(f"{type(value).__name__} is not valid in a template")
