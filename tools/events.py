"""Generates events/: one event per type and request type, from the example template of the type.

Account, access key and IDs are those of the AWS documentation. The signature is not valid. Source: CloudFormation User
Guide, "Custom resource request objects" and "Custom resource request types".
"""

import json
import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

from tools.types import Described, GenerationError, every_type

REQUEST_TYPES = ("Create", "Update", "Delete")

_REGION, _ACCOUNT = "us-east-1", "123456789012"
_SERVICE_TOKEN = f"arn:aws:lambda:{_REGION}:{_ACCOUNT}:function:cfn-telephony-provider"
_NAMESPACE = uuid.UUID("2f1e3f57-6c0a-5d0e-9a3e-0d3f0f1c6b11")

DOCUMENTATION_VALUES = {
    "PhoneNumberId": "phone-0123456789abcdef0123456789abcdef",
    "InstanceArn": f"arn:aws:connect:{_REGION}:{_ACCOUNT}:instance/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
}
"""Values of parameters without a default, by name."""

_PSEUDO_PARAMETERS: Mapping[str, str | None] = {
    "AWS::Region": _REGION,
    "AWS::AccountId": _ACCOUNT,
    "AWS::StackName": "example",
    "AWS::NoValue": None,
}

_SUB_REFERENCE = re.compile(r"\$\{([^!}]+)\}")

type Declarations = dict[str, tuple[str, dict[str, Any]]]
"""Type name and properties by logical ID."""

type _LookUp = Callable[[str, Any], Any]
"""Returns the value of `Name` or `LogicalId.Attribute`, or the second argument to keep the reference."""


def render(described: Described, request_type: str) -> str:
    """Return the text of an event file."""
    return json.dumps(event(described, request_type), indent=2) + "\n"


def event(described: Described, request_type: str) -> dict[str, Any]:
    """Return the event that CloudFormation sends for the resource of the example."""
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
    """Return logical ID and properties of the example's resource of this type, as a custom resource receives them.

    A reference to another resource of the provider becomes that type's example ID, or an example of the attribute.
    """
    path = described.example_path
    if not path.is_file():
        raise GenerationError(
            f"examples/{path.name} is missing: write a template with a {described.resource.type_name}"
        )
    declared = declarations(path)
    for logical_id, (type_name, properties) in declared.items():
        if type_name == described.resource.type_name:
            return logical_id, _substitute(properties, lambda name, _: _resource_value(name, declared), path.name)
    raise GenerationError(f"examples/{path.name} contains no {described.resource.type_name}")


def declarations(path: Path) -> Declarations:
    """Return the resources of the provider in a template, with all references but those to each other resolved."""
    template = cfn_yaml.load(str(path))
    types = {described.resource.type_name for described in every_type()}
    resources = {name: one for name, one in template["Resources"].items() if one["Type"] in types}

    def look_up(name: str, reference: Any) -> Any:
        if name.partition(".")[0] in resources:
            return reference
        return _parameter_value(name, template.get("Parameters", {}), path.name)

    return {
        str(name): (str(one["Type"]), _substitute(one["Properties"], look_up, path.name))
        for name, one in resources.items()
    }


def _substitute(value: Any, look_up: _LookUp, where: str) -> Any:  # noqa: PLR0911 - one return per kind of value
    """Replace references in a value, and convert its scalars to strings."""
    match value:
        case {"Ref": str(name)}:
            return look_up(name, value)
        case {"Fn::GetAtt": str() | list() as target}:
            return look_up(target if isinstance(target, str) else ".".join(target), value)
        case {"Fn::ImportValue": _}:
            return _SERVICE_TOKEN
        case {"Fn::Sub": str(text)}:
            text = _SUB_REFERENCE.sub(lambda match: str(look_up(match[1], match[0])), text)
            return {"Fn::Sub": text} if _SUB_REFERENCE.search(text) else text
        case dict():
            if unsupported := [name for name in value if str(name).startswith("Fn::")]:
                raise GenerationError(f"examples/{where}: events can't be generated from {unsupported[0]}")
            members = ((str(name), _substitute(member, look_up, where)) for name, member in value.items())
            return {name: member for name, member in members if member is not None}
        case list():
            return [_substitute(member, look_up, where) for member in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parameter_value(name: str, parameters: Mapping[str, Any], where: str) -> str | None:
    if name in _PSEUDO_PARAMETERS:
        return _PSEUDO_PARAMETERS[name]
    if name not in parameters:
        raise GenerationError(f"examples/{where}: {name} is neither a parameter nor a resource of this provider")
    default = parameters[name].get("Default", DOCUMENTATION_VALUES.get(name))
    if default is None:
        raise GenerationError(f"examples/{where}: {name} needs a default, or a value in DOCUMENTATION_VALUES")
    return str(default)


def _resource_value(name: str, declared: Declarations) -> str:
    """Return an example of what Ref or Fn::GetAtt returns."""
    logical_id, _, attribute = name.partition(".")
    type_name, properties = declared[logical_id]
    [described] = [one for one in every_type() if one.resource.type_name == type_name]
    resource, example = described.resource, described.resource.properties.id_example
    if not attribute or described.identifier == (attribute,):
        return example
    if attribute not in resource.attributes:
        raise GenerationError(f"{type_name} has no attribute {attribute}")
    if isinstance(properties.get(attribute), str):
        return str(properties[attribute])
    if attribute.endswith("Arn"):
        service, kind = resource.permissions[0].partition(":")[0], resource.display_name.lower().replace(" ", "-")
        return f"arn:aws:{service}:{_REGION}:{_ACCOUNT}:{kind}/{example.replace('|', '/')}"
    return f"example-{attribute.lower()}"


def _response_url(stack_id: str, logical_id: str, request_id: str) -> str:
    """Return a signed URL as reported in sst issue 3539, without X-Amz-Date.

    A request without a date counts as issued when it arrives. With a committed date, every event would be too late.
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
