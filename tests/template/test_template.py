import re
from typing import Any

from tests.template.conftest import sam

SMS = {
    *("RequestPhoneNumber", "UpdatePhoneNumber", "ReleasePhoneNumber", "DescribePhoneNumbers"),
    *("RequestSenderId", "UpdateSenderId", "ReleaseSenderId", "DescribeSenderIds"),
    *("PutKeyword", "DeleteKeyword", "DescribeKeywords"),
    *("AssociateOriginationIdentity", "DisassociateOriginationIdentity"),
    *("DescribePools", "ListPoolOriginationIdentities"),
    *("TagResource", "UntagResource", "ListTagsForResource"),
}
CONNECT = {
    *("SearchAvailablePhoneNumbers", "ClaimPhoneNumber", "ImportPhoneNumber", "DescribePhoneNumber"),
    *("UpdatePhoneNumber", "UpdatePhoneNumberMetadata", "ReleasePhoneNumber", "ListPhoneNumbersV2"),
    *("TagResource", "UntagResource"),
}


def of_type(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    found = {name: resource for name, resource in resources.items() if resource["Type"] == kind}
    assert found
    return found


def statements(resources: dict[str, Any]) -> list[dict[str, Any]]:
    documents = [
        policy["Properties"]["PolicyDocument"] for policy in of_type(resources, "AWS::IAM::ManagedPolicy").values()
    ]
    for role in of_type(resources, "AWS::IAM::Role").values():
        documents += [policy["PolicyDocument"] for policy in role["Properties"]["Policies"]]
    found = [statement for document in documents for statement in document["Statement"]]
    return [statement["Fn::If"][1] if "Fn::If" in statement else statement for statement in found]


def actions(resources: dict[str, Any]) -> set[str]:
    listed = [statement["Action"] for statement in statements(resources)]
    return {action for action in listed if isinstance(action, str)} | {
        action for some in listed if isinstance(some, list) for action in some
    }


def test_sam_and_cfn_lint_find_nothing() -> None:
    assert "is a valid SAM Template" in sam("validate", "--lint")


def test_the_service_token_is_the_unqualified_arn_of_a_function_with_a_chosen_name(
    resources: dict[str, Any], source: str
) -> None:
    provider = resources["ProviderFunction"]["Properties"]
    assert provider["FunctionName"] == {"Ref": "FunctionName"}
    assert "AutoPublishAlias" not in source
    assert resources["ServiceTokenParameter"]["Properties"]["Value"] == {"Fn::GetAtt": "ProviderFunction.Arn"}
    outputs = source[source.index("\nOutputs:") :]
    assert re.search(
        r"ServiceToken:\n.*\n    Value: !GetAtt ProviderFunction.Arn\n"
        r"    Export:\n      Name: !Sub \$\{AWS::StackName\}-ServiceToken\n",
        outputs,
    )


def test_an_unanswered_event_reaches_the_queue_while_cloudformation_still_listens(resources: dict[str, Any]) -> None:
    provider, last = resources["ProviderFunction"]["Properties"], resources["LastResortFunction"]["Properties"]
    config = provider["EventInvokeConfig"]
    assert config["MaximumRetryAttempts"] == 2
    assert config["MaximumEventAgeInSeconds"] == 2700
    assert config["DestinationConfig"]["OnFailure"] == {
        "Type": "SQS",
        "Destination": {"Fn::GetAtt": "OnFailureQueue.Arn"},
    }
    assert provider["Timeout"] * 3 + 60 + 120 < 2700, "three tries and the pauses between them"
    queue = resources["OnFailureQueue"]["Properties"]
    assert last["Timeout"] < queue["VisibilityTimeout"]
    assert 2700 + queue["VisibilityTimeout"] + last["Timeout"] < 3600 - 120, "a second try is in time as well"


def test_the_queue_is_encrypted_short_lived_and_read_by_the_last_resort_alone(resources: dict[str, Any]) -> None:
    queue = resources["OnFailureQueue"]["Properties"]
    assert queue["SqsManagedSseEnabled"] is True
    assert queue["MessageRetentionPeriod"] == 7200
    source = resources["LastResortFunction"]["Properties"]["Events"]["OnFailure"]["Properties"]
    assert source["BatchSize"] == 1
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    (deny, _) = resources["OnFailureQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Action"]) == ("Deny", "sqs:ReceiveMessage")
    assert deny["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": {"Fn::GetAtt": "LastResortRole.Arn"}}}


def test_the_table_outlives_the_stack_without_a_name_to_collide_with(resources: dict[str, Any]) -> None:
    table = resources["StateTable"]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    properties = table["Properties"]
    assert "TableName" not in properties
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert properties["DeletionProtectionEnabled"] is True
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expiration", "Enabled": True}


def test_every_function_logs_to_a_group_with_retention(resources: dict[str, Any]) -> None:
    for function in of_type(resources, "AWS::Serverless::Function").values():
        group = resources[function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]]
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
        name = function["Properties"]["FunctionName"]
        suffix = name["Fn::Sub"].removeprefix("${FunctionName}") if "Fn::Sub" in name else ""
        assert group["Properties"]["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/${{FunctionName}}{suffix}"}


def test_every_role_is_bounded_by_the_parameter(resources: dict[str, Any]) -> None:
    for role in of_type(resources, "AWS::IAM::Role").values():
        assert role["Properties"]["PermissionsBoundary"]["Fn::If"][0] == "HasPermissionsBoundary"
    for function in of_type(resources, "AWS::Serverless::Function").values():
        assert resources[function["Properties"]["Role"]["Fn::GetAtt"].removesuffix(".Arn")]["Type"] == "AWS::IAM::Role"


def test_no_action_is_a_wildcard_and_every_wildcard_resource_says_why(resources: dict[str, Any], source: str) -> None:
    assert not [action for action in actions(resources) if "*" in action]
    lines = source[source.index("\nResources:") : source.index("\nOutputs:")].splitlines()
    wild = [number for number, line in enumerate(lines) if re.search(r'(arn:\S*|")\*', line.split(" #")[0])]
    assert wild
    for number in wild:
        explained = " #" in lines[number] or lines[number - 1].strip().startswith("#")
        assert explained, f"why the wildcard in {lines[number].strip()!r}?"


def test_the_policy_allows_what_the_provider_calls_and_nothing_else_of_telecom(resources: dict[str, Any]) -> None:
    allowed = actions(resources)
    assert {action.removeprefix("sms-voice:") for action in allowed if action.startswith("sms-voice:")} == SMS
    assert {action.removeprefix("connect:") for action in allowed if action.startswith("connect:")} == CONNECT
    assert {action for action in allowed if action.startswith("dynamodb:")} == {
        f"dynamodb:{name}Item" for name in ("Get", "Put", "Update", "Delete", "ConditionCheck")
    } | {"dynamodb:Query"}
    services = {action.partition(":")[0] for action in allowed}
    assert services == {"sms-voice", "connect", "dynamodb", "sqs", "logs", "iam"}


def test_roles_are_passed_to_the_sms_service_only_and_only_if_named(resources: dict[str, Any]) -> None:
    document = resources["TelephonyPolicy"]["Properties"]["PolicyDocument"]
    (passing,) = [statement["Fn::If"] for statement in document["Statement"] if "Fn::If" in statement]
    assert passing[0] == "PassesRoles"
    assert passing[1]["Action"] == "iam:PassRole"
    assert passing[1]["Resource"] == {"Fn::Split": [",", {"Ref": "TwoWayChannelRoleArns"}]}
    assert passing[1]["Condition"] == {"StringEquals": {"iam:PassedToService": "sms-voice.amazonaws.com"}}
    assert passing[2] == {"Ref": "AWS::NoValue"}
