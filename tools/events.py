"""One event per type and request, as CloudFormation sends it, made from the type's example.

Source: CloudFormation User Guide, "Custom resource request objects" and "Custom resource request types". The account,
the access key and the ids are those of AWS's documentation; the signature is nobody's.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

from tools.types import Described

REQUEST_TYPES = ("Create", "Update", "Delete")

_REGION, _ACCOUNT = "us-east-1", "123456789012"
_SERVICE_TOKEN = f"arn:aws:lambda:{_REGION}:{_ACCOUNT}:function:cfn-telephony-provider"
_NAMESPACE = uuid.UUID("2f1e3f57-6c0a-5d0e-9a3e-0d3f0f1c6b11")

DOCUMENTATION_VALUES = {
    "InstanceArn": f"arn:aws:connect:{_REGION}:{_ACCOUNT}:instance/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
}
"""For the examples' parameters without a default, by name."""

_PSEUDO_PARAMETERS: Mapping[str, str | None] = {
    "AWS::Partition": "aws",
    "AWS::Region": _REGION,
    "AWS::AccountId": _ACCOUNT,
    "AWS::StackName": "example",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::NoValue": None,
}


class ExampleError(ValueError):
    """An example that no event can be made from; says why."""


def written(described: Described, request_type: str) -> str:
    """The event as the text of its file."""
    return json.dumps(event(described, request_type), indent=2) + "\n"


def event(described: Described, request_type: str) -> dict[str, Any]:
    """The event with which CloudFormation asks for the resource of the example, for a change of it, or for its end."""
    logical_id, properties = declaration(described)
    stack = f"{described.kebab}/{uuid.uuid5(_NAMESPACE, described.kebab)}"
    stack_id = f"arn:aws:cloudformation:{_REGION}:{_ACCOUNT}:stack/{stack}"
    request_id = str(uuid.uuid5(_NAMESPACE, f"{described.kebab} {request_type}"))
    sent: dict[str, Any] = {
        "RequestType": request_type,
        "ServiceToken": _SERVICE_TOKEN,
        "ResponseURL": _response_url(stack_id, logical_id, request_id),
        "StackId": stack_id,
        "RequestId": request_id,
        "LogicalResourceId": logical_id,
        "ResourceType": described.resource.type_name,
        "ResourceProperties": properties,
    }
    if request_type != "Create":
        sent["PhysicalResourceId"] = described.resource.properties.id_example
    if request_type == "Update":
        sent["OldResourceProperties"] = properties
        sent["ResourceProperties"] = properties | {"Trigger": "again"}
    return sent


def declaration(described: Described) -> tuple[str, dict[str, Any]]:
    """The example's resource of the type: its logical id, and its properties as a custom resource receives them."""
    path = described.example_path
    if not path.is_file():
        raise ExampleError(f"examples/{path.name} is missing: a template that shows {described.name} alone")
    for logical_id, (type_name, properties) in declarations(path).items():
        if type_name == described.resource.type_name:
            return logical_id, properties
    raise ExampleError(f"examples/{path.name} has no resource of the type {described.resource.type_name}")


def declarations(path: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """The custom resources of a template by logical id: type name, and properties as a custom resource gets them."""
    template = cfn_yaml.load(str(path))
    parameters = template.get("Parameters", {})
    return {
        str(logical_id): (str(resource["Type"]), _resolved(resource["Properties"], parameters, path.name))
        for logical_id, resource in template["Resources"].items()
        if resource["Type"].startswith("Custom::")
    }


def _resolved(value: Any, parameters: Mapping[str, Any], where: str) -> Any:
    """The value with every scalar a string, and the intrinsic functions that an example may use done."""
    match value:
        case {"Ref": str(name)}:
            return _referred(name, parameters, where)
        case {"Fn::ImportValue": _}:
            return _SERVICE_TOKEN
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([^!}]+)\}", lambda match: str(_referred(match[1], parameters, where)), text)
        case dict():
            if unknown := [name for name in value if str(name).startswith("Fn::")]:
                raise ExampleError(f"examples/{where}: an event cannot be made from {unknown[0]}")
            resolved = {str(name): _resolved(member, parameters, where) for name, member in value.items()}
            return {name: member for name, member in resolved.items() if member is not None}
        case list():
            return [_resolved(member, parameters, where) for member in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _referred(name: str, parameters: Mapping[str, Any], where: str) -> str | None:
    if name in _PSEUDO_PARAMETERS:
        return _PSEUDO_PARAMETERS[name]
    if name not in parameters:
        raise ExampleError(f"examples/{where}: an event can refer to parameters only, not to {name}")
    default = parameters[name].get("Default", DOCUMENTATION_VALUES.get(name))
    if default is None:
        raise ExampleError(f"examples/{where}: {name} needs a default, or a value among DOCUMENTATION_VALUES")
    return str(default)


def _response_url(stack_id: str, logical_id: str, request_id: str) -> str:
    """In the form of URLs seen in the field (sst issue 3539), but for X-Amz-Date.

    Without it a request counts as issued when it arrives: a committed date would make every event too late to act on.
    """
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Expires": "7200",
        "X-Amz-Credential": f"AKIAIOSFODNN7EXAMPLE/20130524/{_REGION}/s3/aws4_request",
        "X-Amz-Signature": "0" * 64,
    }
    bucket = f"cloudformation-custom-resource-response-{_REGION.replace('-', '')}"
    path = quote(f"{stack_id}|{logical_id}|{request_id}")
    return f"https://{bucket}.s3.amazonaws.com/{path}?{urlencode(query)}"
