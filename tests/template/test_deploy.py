import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.aws import ROOT, LocalAws

pytestmark = pytest.mark.e2e

STACK = "telephony"


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    with LocalAws() as running:
        yield running


def deploy(aws: LocalAws, build: Path, **parameters: str) -> str:
    overrides = {"AllowedResponseHosts": aws.response_host, **parameters}
    return aws.sam(
        "deploy",
        *("--template-file", str(build / "template.yaml"), "--config-file", str(ROOT / "samconfig.toml")),
        *("--stack-name", STACK, "--parameter-overrides", *(f"{name}={value}" for name, value in overrides.items())),
    )


def delete(aws: LocalAws) -> None:
    cloudformation = aws.client("cloudformation")
    cloudformation.delete_stack(StackName=STACK)
    # `sam delete` would do, but looks only every 30 seconds.
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=STACK, WaiterConfig={"Delay": 0.2})


def outputs(aws: LocalAws) -> dict[str, str]:
    (stack,) = aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    assert stack["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def function(aws: LocalAws) -> dict[str, Any]:
    (found,) = [
        function
        for function in aws.client("lambda").list_functions()["Functions"]
        if function["FunctionArn"] == outputs(aws)["ServiceToken"]
    ]
    return dict(found)


def test_the_service_token_survives_deploying_again_and_deleting(aws: LocalAws, build: Path) -> None:
    deploy(aws, build)
    first = outputs(aws)
    token = first["ServiceToken"]
    assert token.endswith(":function:cfn-telephony-provider")
    exports = {export["Name"]: export["Value"] for export in aws.client("cloudformation").list_exports()["Exports"]}
    assert exports[f"{STACK}-ServiceToken"] == token
    parameter = aws.client("ssm").get_parameter(Name=first["ServiceTokenParameter"])["Parameter"]
    assert parameter["Value"] == token

    assert "No changes to deploy" in deploy(aws, build)

    swept = aws.client("lambda").invoke(FunctionName="cfn-telephony-provider-sweep", Payload=b"{}")
    assert "FunctionError" not in swept
    assert set(json.load(swept["Payload"]).values()) == {0}

    key = {"pk": {"S": "a purchase"}, "sk": {"S": "bought"}}
    aws.client("dynamodb").put_item(TableName=first["StateTableName"], Item=key)
    delete(aws)
    assert "cfn-telephony-provider" not in str(aws.client("lambda").list_functions()["Functions"])
    kept = aws.client("dynamodb").get_item(TableName=first["StateTableName"], Key=key)
    assert kept["Item"] == key, "the table outlived its stack"

    deploy(aws, build, StateTableName=first["StateTableName"])
    second = outputs(aws)
    assert second["ServiceToken"] == token
    assert second["StateTableName"] == first["StateTableName"]
    assert function(aws)["Environment"]["Variables"]["STATE_TABLE"] == first["StateTableName"]
    assert aws.client("dynamodb").list_tables()["TableNames"] == [first["StateTableName"]]

    delete(aws)
    deploy(aws, build)
    assert outputs(aws)["ServiceToken"] == token


def test_what_the_parameters_narrow_is_narrow(aws: LocalAws, build: Path) -> None:
    instance = "arn:aws:connect:us-east-1:123456789012:instance/11111111-1111-4111-8111-111111111111"
    role = "arn:aws:iam::123456789012:role/sms-two-way/*"
    rates = "connect=5,pinpoint-sms-voice-v2.RequestPhoneNumber=2.5"
    deploy(aws, build, ConnectTargetArns=instance, TwoWayChannelRoleArns=role, CallRates=rates)
    assert function(aws)["Environment"]["Variables"]["CALL_RATES"] == rates
    iam = aws.client("iam")
    (policy,) = iam.list_policies(Scope="Local")["Policies"]
    version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])["PolicyVersion"]
    by_name = {statement["Sid"]: statement for statement in version["Document"]["Statement"]}
    assert by_name["GiveNumbersToConnectTargets"]["Resource"] == [instance]
    assert by_name["PassTwoWayChannelRoles"]["Resource"] == [role]
    assert by_name["PassTwoWayChannelRoles"]["Condition"] == {
        "StringEquals": {"iam:PassedToService": "sms-voice.amazonaws.com"}
    }
    assert by_name["JoinAndLeavePools"]["Resource"] == "arn:aws:sms-voice:us-east-1:123456789012:pool/*"


def test_the_sweep_is_permitted_to_release_only_where_that_is_asked_for(aws: LocalAws, build: Path) -> None:
    iam = aws.client("iam")

    def policies() -> list[str]:
        arn = aws.client("lambda").get_function_configuration(FunctionName="cfn-telephony-provider-sweep")["Role"]
        return sorted(iam.list_role_policies(RoleName=arn.rsplit("/", 1)[1])["PolicyNames"])

    deploy(aws, build)
    assert policies() == ["sweep"]
    deploy(aws, build, ReleaseSuspects="true")
    assert policies() == ["release-suspects", "sweep"]
    deploy(aws, build, ReleaseSuspects="false")
    assert policies() == ["sweep"]
