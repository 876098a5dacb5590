import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.aws import ROOT, LocalAws

pytestmark = pytest.mark.e2e

STACK = "telephony"
SWEEP = "cfn-telephony-provider-sweep"


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
    # `sam delete` polls only every 30 seconds.
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=STACK, WaiterConfig={"Delay": 0.2})


def outputs(aws: LocalAws) -> dict[str, str]:
    (stack,) = aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    assert stack["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def environment(aws: LocalAws) -> dict[str, str]:
    configuration = aws.client("lambda").get_function_configuration(FunctionName=outputs(aws)["ServiceToken"])
    return dict(configuration["Environment"]["Variables"])


def test_service_token_and_state_table_survive_redeployment_and_deletion(aws: LocalAws, build: Path) -> None:
    deploy(aws, build)
    first = outputs(aws)
    token, table = first["ServiceToken"], first["StateTableName"]
    assert token.endswith(":function:cfn-telephony-provider")
    exports = {export["Name"]: export["Value"] for export in aws.client("cloudformation").list_exports()["Exports"]}
    assert exports[f"{STACK}-ServiceToken"] == token
    assert aws.client("ssm").get_parameter(Name=first["ServiceTokenParameter"])["Parameter"]["Value"] == token

    assert "No changes to deploy" in deploy(aws, build)

    swept = aws.client("lambda").invoke(FunctionName=SWEEP, Payload=b"{}")
    assert "FunctionError" not in swept
    assert set(json.load(swept["Payload"]).values()) == {0}

    key = {"pk": {"S": "a purchase"}, "sk": {"S": "bought"}}
    aws.client("dynamodb").put_item(TableName=table, Item=key)
    delete(aws)
    assert "cfn-telephony-provider" not in str(aws.client("lambda").list_functions()["Functions"])
    assert aws.client("dynamodb").get_item(TableName=table, Key=key)["Item"] == key

    deploy(aws, build, StateTableName=table)
    second = outputs(aws)
    assert (second["ServiceToken"], second["StateTableName"]) == (token, table)
    assert environment(aws)["STATE_TABLE"] == table
    assert aws.client("dynamodb").list_tables()["TableNames"] == [table]

    delete(aws)
    deploy(aws, build)
    assert outputs(aws)["ServiceToken"] == token


def test_parameters_restrict_permissions(aws: LocalAws, build: Path) -> None:
    instance = "arn:aws:connect:us-east-1:123456789012:instance/11111111-1111-4111-8111-111111111111"
    role = "arn:aws:iam::123456789012:role/sms-two-way/*"
    rates = "connect=5,pinpoint-sms-voice-v2.RequestPhoneNumber=2.5"
    deploy(aws, build, ConnectTargetArns=instance, TwoWayChannelRoleArns=role, CallRates=rates)
    assert environment(aws)["CALL_RATES"] == rates
    iam = aws.client("iam")
    by_sid: dict[str, Any] = {}
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])["PolicyVersion"]
        by_sid |= {statement["Sid"]: statement for statement in version["Document"]["Statement"]}
    assert by_sid["AssignToConnectTargets"]["Resource"] == [instance]
    assert by_sid["PassTwoWayChannelRoles"]["Resource"] == [role]
    assert by_sid["JoinPools"]["Resource"] == "arn:aws:sms-voice:us-east-1:123456789012:pool/*"


def test_dashboard_is_created_with_the_stack_and_deleted_with_it(aws: LocalAws, build: Path) -> None:
    def dashboards() -> list[str]:
        return [one["DashboardName"] for one in aws.client("cloudwatch").list_dashboards()["DashboardEntries"]]

    deploy(aws, build, Dashboard="true")
    assert dashboards() == ["cfn-telephony-provider-us-east-1"]
    delete(aws)
    assert dashboards() == []


def test_sweep_can_release_only_if_parameter_allows_it(aws: LocalAws, build: Path) -> None:
    def policies() -> list[str]:
        role = aws.client("lambda").get_function_configuration(FunctionName=SWEEP)["Role"].rsplit("/", 1)[1]
        attached = aws.client("iam").list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        return sorted(policy["PolicyName"].split("-")[1] for policy in attached)

    deploy(aws, build)
    assert policies() == ["TelephonyReadPolicy"]
    deploy(aws, build, AllowSweepRelease="true")
    assert policies() == ["TelephonyReadPolicy", "TelephonyReleasePolicy"]
    deploy(aws, build, AllowSweepRelease="false")
    assert policies() == ["TelephonyReadPolicy"]
