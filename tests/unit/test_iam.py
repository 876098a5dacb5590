"""The evaluation of policies in tests/contract/iam."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.iam import reference
from tests.contract.iam.calls import arn, authorizations, request, tag_keys
from tests.contract.iam.evaluation import Request, Statement, decide, holds

NUMBER = arn("sms-voice", "phone-number/phone-1")
TABLE = arn("dynamodb", "table/state")


def statement(**elements: Any) -> Statement:
    return Statement.parse("policy", {"Sid": "One", "Effect": "Allow", "Action": "*", "Resource": "*"} | elements)


@pytest.mark.parametrize(
    ("operator", "present", "values", "expected"),
    [
        # IAM User Guide, "IAM JSON policy elements: Condition operators"
        ("StringEquals", "a", ["b", "a"], True),
        ("StringEquals", "A", ["a"], False),
        ("StringEquals", "a", ["*"], False),
        ("StringEquals", None, ["a"], False),
        ("StringEqualsIfExists", None, ["a"], True),
        ("StringEqualsIfExists", "b", ["a"], False),
        ("StringNotEquals", "a", ["b", "a"], False),
        ("StringNotEquals", "a", ["b", "c"], True),
        ("StringNotEquals", None, ["a"], True),
        ("StringLike", "abc", ["a?c"], True),
        ("StringLike", "a.c", ["a.*"], True),
        ("StringLike", "abc", ["a.c"], False),
        ("StringNotLike", "abc", ["a*"], False),
        ("Bool", "true", ["TRUE"], True),
        ("Bool", "false", ["true"], False),
        ("Null", "a", ["true"], False),
        ("Null", "a", ["false"], True),
        ("Null", None, ["true"], True),
        ("Null", None, ["false"], False),
        ("ArnEquals", "arn:aws:iam::1:role/path/name", ["arn:aws:iam::1:role/*"], True),
        ("ArnLike", "arn:aws:iam::1:role/name", ["arn:aws:iam::*:role/name"], True),
        ("ArnLike", "arn:aws:iam::1:role/name", ["arn:*:role/name"], False),
        ("ArnNotLike", "arn:aws:iam::1:role/name", ["arn:aws:iam::1:role/other", "arn:aws:iam::1:role/name"], False),
        ("ArnNotEquals", None, ["arn:aws:iam::1:role/name"], True),
        # "Set operators for multivalued context keys"
        ("ForAllValues:StringLike", "ab,ac", ["a*"], True),
        ("ForAllValues:StringLike", "ab,b", ["a*"], False),
        ("ForAllValues:StringEquals", None, ["a"], True),
        ("ForAnyValue:StringLike", "b,ab", ["a*"], True),
        ("ForAnyValue:StringLike", "b,c", ["a*"], False),
        ("ForAnyValue:StringEquals", None, ["a"], False),
        ("ForAnyValue:StringNotEquals", "a,b", ["a"], True),
        ("ForAllValues:StringNotEquals", "a,b", ["a"], False),
    ],
)
def test_condition(operator: str, present: str | None, values: list[str], expected: bool) -> None:
    context = {} if present is None else {"aws:key": tuple(present.split(","))}

    assert holds(operator, "aws:Key", tuple(values), context) == expected


@pytest.mark.parametrize("operator", ["NumericEquals", "ForEachValue:StringEquals"])
def test_unknown_operator_is_refused(operator: str) -> None:
    with pytest.raises(NotImplementedError):
        holds(operator, "aws:Key", ("1",), {"aws:key": ("1",)})


@pytest.mark.parametrize(
    "unknown", [{"NotAction": "sqs:*"}, {"Principal": {"AWS": "1"}}, {"Resource": "arn:aws:s3:::${aws:username}"}]
)
def test_unknown_element_is_refused(unknown: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError):
        statement(**unknown)


def test_statement_applies_to_its_actions_and_resources() -> None:
    def applies(action: str, resource: str, **elements: Any) -> bool:
        return decide(Request(action, resource, {}), (statement(**elements),)).allowed

    assert applies("sqs:SendMessage", "*")
    assert applies("sqs:SendMessage", "*", Action=["sqs:sendmessage", "sqs:x"])
    assert applies("sqs:SendMessage", "*", Action="sqs:Send*")
    assert not applies("sqs:SendMessage", "*", Action="sqs:Receive*")
    assert applies("sms-voice:TagResource", NUMBER, Resource=NUMBER.replace("phone-1", "*"))
    assert not applies("sms-voice:TagResource", NUMBER, Resource=NUMBER.replace(":123456789012:", ":210987654321:"))
    # A wildcard does not extend over the parts of an ARN, and a call without a resource needs "*".
    assert not applies("sms-voice:TagResource", NUMBER, Resource="arn:aws:*")
    assert not applies("sms-voice:RequestSenderId", "*", Resource=NUMBER)


def test_deny_wins_and_nothing_is_allowed_by_default() -> None:
    allows, denies = statement(Sid="Allow"), statement(Sid="Deny", Effect="Deny", Action="sqs:SendMessage")

    assert decide(Request("sqs:SendMessage", "*", {}), ()).allowed is False
    decision = decide(Request("sqs:SendMessage", "*", {}), (allows, denies))
    assert decision.allowed is False
    assert [(one.sid, resource) for one, resource in decision.by] == [("Deny", "*")]
    assert decide(Request("sqs:ReceiveMessage", "*", {}), (allows, denies)).allowed


def test_conditions_must_all_hold() -> None:
    condition = {"StringEquals": {"aws:a": "1", "aws:b": "2"}, "Bool": {"aws:c": "true"}}
    context = {"aws:a": ("1",), "aws:b": ("2",), "aws:c": ("true",)}

    assert decide(Request("s:A", "*", context), (statement(Condition=condition),)).allowed
    for key in context:
        assert not decide(Request("s:A", "*", context | {key: ("0",)}), (statement(Condition=condition),)).allowed


@pytest.mark.parametrize(
    ("action", "resource", "supported"),
    [
        ("sms-voice:ReleasePhoneNumber", NUMBER, True),
        ("sms-voice:ReleasePhoneNumber", arn("sms-voice", "phone-number/*"), True),
        ("sms-voice:ReleasePhoneNumber", arn("sms-voice", "sender-id/*"), False),
        ("sms-voice:ReleaseSenderId", arn("sms-voice", "sender-id/*"), True),
        ("sms-voice:RequestSenderId", arn("sms-voice", "sender-id/ACME/GB"), False),
        ("connect:ListPhoneNumbersV2", arn("connect", "phone-number/*"), True),
        ("connect:ImportPhoneNumber", arn("connect", "instance/*"), True),
        ("connect:ImportPhoneNumber", arn("connect", "traffic-distribution-group/*"), False),
        ("dynamodb:Query", f"{TABLE}/index/*", True),
        ("dynamodb:PutItem", f"{TABLE}/index/*", False),
        ("dynamodb:PutItem", arn("sqs", "queue"), False),
    ],
)
def test_action_supports_types_of_resources(action: str, resource: str, supported: bool) -> None:
    assert reference.supports(action, resource) == supported


def test_context_contains_only_the_keys_that_the_action_supports() -> None:
    keys = tag_keys("ResourceTag", {"team": "sms"}) | tag_keys("RequestTag", {"cost": "1", "team": "sms"})

    resource_tag = {"aws:resourcetag/team": ("sms",)}
    request_tags = {"aws:requesttag/cost": ("1",), "aws:requesttag/team": ("sms",), "aws:tagkeys": ("cost", "team")}
    assert request("sms-voice:ReleasePhoneNumber", NUMBER, keys).context == resource_tag
    assert request("sms-voice:TagResource", NUMBER, keys).context == resource_tag | request_tags
    assert request("sms-voice:RequestSenderId", "*", keys).context == request_tags


TAGS = {"Tags": [{"Key": "team", "Value": "sms"}]}


@pytest.mark.parametrize(
    ("call", "parameters", "expected"),
    [
        ("sms-voice:DescribePhoneNumbers", {}, {"sms-voice:DescribePhoneNumbers": ["*"]}),
        (
            "sms-voice:RequestPhoneNumber",
            TAGS | {"PoolId": "pool-1"},
            {
                "sms-voice:RequestPhoneNumber": ["pool/pool-1"],
                "sms-voice:TagResource": ["phone-number/phone-new"],
                "sms-voice:AssociateOriginationIdentity": ["pool/pool-1", "phone-number/phone-new"],
            },
        ),
        (
            "sms-voice:DisassociateOriginationIdentity",
            {"PoolId": "pool-1", "OriginationIdentity": "ACME", "IsoCountryCode": "GB"},
            {"sms-voice:DisassociateOriginationIdentity": ["pool/pool-1", "sender-id/ACME/GB"]},
        ),
        (
            "sms-voice:DescribeSenderIds",
            {"SenderIds": [{"SenderId": "ACME", "IsoCountryCode": "GB"}]},
            {"sms-voice:DescribeSenderIds": ["sender-id/ACME/GB"]},
        ),
        (
            "sms-voice:UpdatePhoneNumber",
            {"PhoneNumberId": "phone-1", "TwoWayChannelRole": "arn:aws:iam::123456789012:role/two-way"},
            {"sms-voice:UpdatePhoneNumber": ["phone-number/phone-1"], "iam:PassRole": ["role/two-way"]},
        ),
        (
            "connect:ImportPhoneNumber",
            {"InstanceId": "1", "SourcePhoneNumberArn": NUMBER, "Tags": {}},
            {
                "connect:ImportPhoneNumber": ["instance/1", "phone-number/*"],
                "connect:TagResource": ["phone-number/phone-new"],
                "sms-voice:DescribePhoneNumbers": ["phone-number/phone-1"],
            },
        ),
        (
            "connect:ImportPhoneNumber",
            {"InstanceId": "1", "SourcePhoneNumberArn": arn("social-messaging", "phone-number-id/1"), "Tags": {}},
            {
                "connect:ImportPhoneNumber": ["instance/1", "phone-number/*"],
                "connect:TagResource": ["phone-number/phone-new"],
                "social-messaging:GetLinkedWhatsAppBusinessAccountPhoneNumber": ["phone-number-id/1"],
                "social-messaging:TagResource": ["phone-number-id/1"],
            },
        ),
        ("dynamodb:Query", {"TableName": "state"}, {"dynamodb:Query": ["table/state"]}),
        ("dynamodb:Query", {"TableName": "state", "IndexName": "i"}, {"dynamodb:Query": ["table/state/index/i"]}),
        ("dynamodb:BatchGetItem", {"RequestItems": {"state": {}}}, {"dynamodb:BatchGetItem": ["table/state"]}),
        (
            "dynamodb:TransactWriteItems",
            {"TransactItems": [{"Put": {"TableName": "state"}}, {"ConditionCheck": {"TableName": "state"}}]},
            {"dynamodb:PutItem": ["table/state"], "dynamodb:ConditionCheckItem": ["table/state"]},
        ),
        ("tag:GetResources", {"TagFilters": []}, {"tag:GetResources": ["*"]}),
    ],
)
def test_authorizations_of_a_call(call: str, parameters: dict[str, Any], expected: dict[str, list[str]]) -> None:
    found: dict[str, list[str]] = {}
    service, operation = call.split(":")
    for one in authorizations(service, operation, parameters, {}):
        found.setdefault(one.action, []).append(one.resource.split(":", 5)[-1])

    assert found == expected


def test_call_without_its_required_resource_is_refused() -> None:
    with pytest.raises(AssertionError, match="PARAMETERS"):
        list(authorizations("dynamodb", "PutItem", {}, {}))
