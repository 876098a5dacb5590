"""The authorizations that a call of an AWS API causes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.contract.cloudformation.events import ACCOUNT, REGION
from tests.contract.cloudformation.queue import QUEUE_ARN
from tests.contract.iam import reference
from tests.contract.iam.evaluation import Request

type Tags = Mapping[str, Mapping[str, str]]
"""The tags of resources, by ARN."""

PREFIXES = {"tagging": "tag"}
"""The IAM prefix of a service, if it differs from the name in its signatures."""
TRANSACTION = "dynamodb:TransactWriteItems"
"""Not an action itself: each of its items needs the action of its own operation."""
IN_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
"""IAM actions by the name of an item (DynamoDB developer guide, "IAM and transactions")."""
PARAMETERS = {
    "PhoneNumberId": "phone-number/{}",
    "PhoneNumberIds": "phone-number/{}",
    "PoolId": "pool/{}",
    "OptOutListName": "opt-out-list/{}",
    "RegistrationId": "registration/{}",
    "ResourceArn": "{}",
    "resourceArn": "{}",
    "TargetArn": "{}",
    "InstanceId": "instance/{}",
    "StackName": "stack/{}",
    "TableName": "table/{}",
}
"""The parameters that name a resource by its ID or ARN, with the form of the ARN."""
WILDCARD_NUMBER = "wildcard-phone-number"
"""The resource type of Amazon Connect for numbers without an ID."""


def arn(service: str, resource: str) -> str:
    return resource if resource.startswith("arn:") else f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def authorizations(service: str, operation: str, parameters: Mapping[str, Any], tags: Tags) -> Iterator[Request]:
    """Yield what a call needs to be allowed: its action on each of its resources, and its dependent actions.

    service: the IAM prefix. tags: those of the resources before the call.
    """
    action = f"{service}:{operation}"
    if action == TRANSACTION:
        for item in parameters["TransactItems"]:
            for kind, members in item.items():
                yield from authorizations(service, IN_TRANSACTION[kind], members, tags)
        return
    resources = [one for one in _resources(service, action, parameters) if reference.supports(action, one)]
    assert resources or not reference.required_types(action), f"{action}: add the parameter to PARAMETERS"
    for resource in resources or ["*"]:
        yield request(action, resource, _request_keys(parameters) | tag_keys("ResourceTag", tags.get(resource, {})))
    yield from _dependent(action, parameters, tags)


def request(action: str, resource: str, context: Mapping[str, tuple[str, ...]]) -> Request:
    """Return a request. Its context lacks the keys that the action does not support."""
    supported = reference.condition_keys(action, resource)
    kept = {key.lower(): values for key, values in context.items() if reference.general_key(key) in supported}
    return Request(action, resource, kept)


def tag_keys(name: str, tags: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the context keys of tags. name: `RequestTag` or `ResourceTag`."""
    keys = {f"aws:{name}/{key}": (value,) for key, value in tags.items()}
    return keys | ({"aws:TagKeys": tuple(tags)} if tags and name == "RequestTag" else {})


def _request_keys(parameters: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    tags = parameters.get("Tags") or parameters.get("tags") or {}
    if isinstance(tags, list):
        tags = {tag["Key"]: tag["Value"] for tag in tags}
    removed = parameters.get("TagKeys") or parameters.get("tagKeys")
    return tag_keys("RequestTag", tags) | ({"aws:TagKeys": tuple(removed)} if removed else {})


def _resources(service: str, action: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    for name, form in PARAMETERS.items():
        named = parameters.get(name, [])
        for value in [named] if isinstance(named, str) else named:
            index = f"/index/{parameters['IndexName']}" if "IndexName" in parameters else ""
            yield arn(service, (value if value.startswith("arn:") else form.format(value)) + index)
    named_identities = [parameters[name] for name in ("OriginationIdentity", "SenderId") if name in parameters]
    identities = [{**parameters, "SenderId": identity} for identity in named_identities]
    for one in [*identities, *parameters.get("SenderIds", [])]:
        identity = one["SenderId"]
        if identity.startswith(("arn:", "phone-")):
            yield arn(service, identity if identity.startswith("arn:") else f"phone-number/{identity}")
        else:
            yield arn(service, f"sender-id/{identity}/{one['IsoCountryCode']}")
    if "QuotaCode" in parameters:
        yield arn(service, f"{parameters['ServiceCode']}/{parameters['QuotaCode']}")
    for table in parameters.get("RequestItems", []):
        yield arn(service, f"table/{table}")
    if "QueueUrl" in parameters:
        yield QUEUE_ARN
    if WILDCARD_NUMBER in reference.required_types(action):
        yield arn(service, "phone-number/*")


def _dependent(action: str, parameters: Mapping[str, Any], tags: Tags) -> Iterator[Request]:
    """Yield the dependent actions (Service Authorization Reference). A new number has no tags yet."""
    new_number = arn(action.partition(":")[0], "phone-number/phone-new")
    match action:
        case "sms-voice:RequestPhoneNumber":
            tagged = {"ResourceArn": new_number, "Tags": parameters["Tags"]}
            yield from authorizations("sms-voice", "TagResource", tagged, {})
            if "PoolId" in parameters:
                joins = {"PoolId": parameters["PoolId"], "OriginationIdentity": new_number}
                yield from authorizations("sms-voice", "AssociateOriginationIdentity", joins, tags)
        case "sms-voice:RequestSenderId":
            sender_id = arn("sms-voice", f"sender-id/{parameters['SenderId']}/{parameters['IsoCountryCode']}")
            tagged = {"ResourceArn": sender_id, "Tags": parameters["Tags"]}
            yield from authorizations("sms-voice", "TagResource", tagged, {})
        case "sms-voice:UpdatePhoneNumber" if "TwoWayChannelRole" in parameters:
            passed_to = {"iam:PassedToService": ("sms-voice.amazonaws.com",)}
            yield request("iam:PassRole", parameters["TwoWayChannelRole"], passed_to)
        case "connect:ClaimPhoneNumber" | "connect:ImportPhoneNumber":
            yield from authorizations(
                "connect", "TagResource", {"resourceArn": new_number, "tags": parameters["Tags"]}, {}
            )
            source = parameters.get("SourcePhoneNumberArn", "")
            if ":social-messaging:" in source:  # a WhatsApp number
                yield request("social-messaging:GetLinkedWhatsAppBusinessAccountPhoneNumber", source, {})
                set_by_connect = tag_keys("RequestTag", {"AmazonConnectEnabled": "True"})
                yield request("social-messaging:TagResource", source, set_by_connect)
            elif source:
                yield from authorizations("sms-voice", "DescribePhoneNumbers", {"PhoneNumberIds": [source]}, tags)
