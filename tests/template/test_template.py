import re
from typing import Any

import pytest

from telephony.settings import _read_rates
from tests.template.conftest import sam

TAGGED = {"StringEquals": {"aws:ResourceTag/cfn-telephony:managed-by": "cfn-telephony"}}
BOUGHT_WITH_TAG = {"StringEquals": {"aws:RequestTag/cfn-telephony:managed-by": "cfn-telephony"}}
BUYS = {
    *("sms-voice:RequestPhoneNumber", "sms-voice:RequestSenderId"),
    *("connect:ClaimPhoneNumber", "connect:ImportPhoneNumber"),
}
OWN = {
    *("sms-voice:UpdatePhoneNumber", "sms-voice:ReleasePhoneNumber", "sms-voice:PutKeyword", "sms-voice:DeleteKeyword"),
    *("sms-voice:UpdateSenderId", "sms-voice:ReleaseSenderId", "sms-voice:DisassociateOriginationIdentity"),
    *("sms-voice:UntagResource", "connect:UpdatePhoneNumber", "connect:UpdatePhoneNumberMetadata"),
    *("connect:ReleasePhoneNumber", "connect:UntagResource"),
}
"""What changes a number, or ends it."""
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
    kinds = ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy")
    documents = [
        policy["Properties"]["PolicyDocument"] for kind in kinds for policy in of_type(resources, kind).values()
    ]
    for role in of_type(resources, "AWS::IAM::Role").values():
        documents += [policy["PolicyDocument"] for policy in role["Properties"]["Policies"]]
    found = [statement for document in documents for statement in document["Statement"]]
    return [statement["Fn::If"][1] if "Fn::If" in statement else statement for statement in found]


def listed(statement: dict[str, Any]) -> list[str]:
    action = statement["Action"]
    return [action] if isinstance(action, str) else list(action)


def named(statement: dict[str, Any]) -> list[str]:
    """The resources of a statement, as text."""
    resource = statement["Resource"]
    return [str(one) for one in resource] if isinstance(resource, list) else [str(resource)]


def actions(resources: dict[str, Any]) -> set[str]:
    return {action for statement in statements(resources) for action in listed(statement)}


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
    } | {"dynamodb:Query", "dynamodb:Scan"}
    services = {action.partition(":")[0] for action in allowed}
    assert services == {"sms-voice", "connect", "dynamodb", "sqs", "logs", "iam", "cloudformation"}


def test_roles_are_passed_to_the_sms_service_only_and_only_if_named(resources: dict[str, Any]) -> None:
    document = resources["TelephonyPolicy"]["Properties"]["PolicyDocument"]
    (passing,) = [statement["Fn::If"] for statement in document["Statement"] if "Fn::If" in statement]
    assert passing[0] == "PassesRoles"
    assert passing[1]["Action"] == "iam:PassRole"
    assert passing[1]["Resource"] == {"Fn::Split": [",", {"Ref": "TwoWayChannelRoleArns"}]}
    assert passing[1]["Condition"] == {"StringEquals": {"iam:PassedToService": "sms-voice.amazonaws.com"}}
    assert passing[2] == {"Ref": "AWS::NoValue"}


def test_a_number_is_changed_or_released_only_if_it_carries_our_tag(resources: dict[str, Any]) -> None:
    found = set()
    for statement in statements(resources):
        numbers = [name for name in named(statement) if "phone-number/" in name or "sender-id/" in name or name == "*"]
        changing = OWN & set(listed(statement))
        if statement["Effect"] == "Allow" and numbers and changing:
            assert statement.get("Condition") == TAGGED, statement["Sid"]
            found |= changing
    assert found == OWN


def test_nothing_is_bought_or_tagged_anew_without_our_tag(resources: dict[str, Any]) -> None:
    found = set()
    for statement in statements(resources):
        numbers = [name for name in named(statement) if "phone-number/" in name or name == "*"]
        buying = BUYS & set(listed(statement))
        if numbers and buying:
            assert statement.get("Condition") == BOUGHT_WITH_TAG, statement["Sid"]
            found |= buying
        if any(action.endswith(":TagResource") for action in listed(statement)):
            assert statement.get("Condition") in (TAGGED, BOUGHT_WITH_TAG), statement["Sid"]
    assert found == BUYS


def test_nobody_takes_ownership_tags_away(resources: dict[str, Any]) -> None:
    (deny,) = [statement for statement in statements(resources) if statement["Effect"] == "Deny"]
    assert listed(deny) == ["sms-voice:UntagResource", "connect:UntagResource"]
    assert named(deny) == ["*"]
    assert deny["Condition"] == {"ForAnyValue:StringLike": {"aws:TagKeys": "cfn-telephony:*"}}


def test_the_sweep_releases_only_where_that_is_asked_for(resources: dict[str, Any], parameters: dict[str, Any]) -> None:
    assert parameters["ReleaseSuspects"]["Default"] == "false"
    release = resources["SweepReleasePolicy"]
    assert release["Condition"] == "ReleasesSuspects"
    assert release["Properties"]["Roles"] == [{"Ref": "SweepRole"}]
    (own,) = resources["SweepRole"]["Properties"]["Policies"]
    reading = {"Describe", "List", "Scan", "Query"}
    writing = [
        action
        for statement in own["PolicyDocument"]["Statement"]
        for action in listed(statement)
        if not any(action.split(":")[1].startswith(verb) for verb in reading)
    ]
    assert writing == ["logs:CreateLogStream", "logs:PutLogEvents", "dynamodb:UpdateItem"]
    assert "ManagedPolicyArns" not in resources["SweepRole"]["Properties"]


def test_the_sweep_runs_daily_and_may_take_its_time(resources: dict[str, Any]) -> None:
    sweep = resources["SweepFunction"]["Properties"]
    assert sweep["Handler"] == "telephony.handlers.sweep.handler"
    assert sweep["Timeout"] == 900
    (schedule,) = sweep["Events"].values()
    assert schedule == {"Type": "Schedule", "Properties": {"Schedule": "rate(1 day)"}}
    assert sweep["Environment"]["Variables"] == {"RELEASE_SUSPECTS": {"Ref": "ReleaseSuspects"}}


def test_every_function_is_told_the_rates_of_the_account(template: dict[str, Any]) -> None:
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["CALL_RATES"] == {"Ref": "CallRates"}
    assert set(variables) >= {"STATE_TABLE", "ALLOWED_RESPONSE_HOSTS"}


@pytest.mark.parametrize(
    ("rates", "read"),
    [
        ("", {}),
        ("connect=5", {"connect": 5.0}),
        (
            "connect=5,pinpoint-sms-voice-v2.RequestPhoneNumber=2.5",
            {"connect": 5.0, "pinpoint-sms-voice-v2.RequestPhoneNumber": 2.5},
        ),
        ("connect", None),
        ("connect=", None),
        ("connect=fast", None),
        ("connect=5,", None),
    ],
)
def test_only_rates_that_the_functions_can_read_are_accepted(
    parameters: dict[str, Any], rates: str, read: dict[str, float] | None
) -> None:
    accepted = re.fullmatch(parameters["CallRates"]["AllowedPattern"], rates)
    assert bool(accepted) == (read is not None)
    if read is not None:
        assert _read_rates(rates) == read
