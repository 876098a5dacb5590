import inspect
import json
import re
import tomllib
from typing import Any
from uuid import UUID

import pytest
from botocore import xform_name

from telephony import resources as types
from telephony.handlers import sweep
from telephony.lifecycle import release
from telephony.model.resource import Resource
from telephony.settings import _parse_rates
from tests.contract.cloudformation.events import ACCOUNT
from tests.contract.cloudformation.intrinsics import Deployment
from tests.template.conftest import ROOT, sam

ROLE = "AWS::IAM::Role"
FROZEN = {"ProviderFunction", "RequestQueue", "DeadLetterQueue", "StateTable"}
DAY = 86400
DEFAULT_SERVICE_TIMEOUT = LONGEST_SERVICE_TIMEOUT = 3600  # AWS::CloudFormation::CustomResource
LONGEST_ARNS = {
    "PoolArns": f"arn:aws:sms-voice:ap-northeast-1:{ACCOUNT}:pool/pool-{32 * '0'}",
    "ConnectTargetArns": f"arn:aws:connect:ap-northeast-1:{ACCOUNT}:traffic-distribution-group/{UUID(int=0)}",
    "TwoWayChannelRoleArns": f"arn:aws:iam::{ACCOUNT}:role/{64 * 'r'}",
}
POLICIES = ("TelephonyReadPolicy", "TelephonyReleasePolicy", "TelephonyQuotaPolicy", "TelephonyPolicy")


def of_type(resources: dict[str, Any], resource_type: str) -> dict[str, Any]:
    found = {name: resource for name, resource in resources.items() if resource["Type"] == resource_type}
    assert found
    return found


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(resources: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    """The statements of these managed policies and roles, or of all."""
    assert "AWS::IAM::Policy" not in {resource["Type"] for resource in resources.values()}
    owners = [*of_type(resources, "AWS::IAM::ManagedPolicy"), *of_type(resources, ROLE)]
    found = []
    for name in names or owners:
        properties = resources[name]["Properties"]
        for policy in properties.get("Policies", [properties]):
            found += policy["PolicyDocument"]["Statement"]
    return [statement["Fn::If"][1] if "Fn::If" in statement else statement for statement in found]


def allowed_on_queues(resources: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    """The SQS actions that are allowed, by role and logical ID of the queue."""
    found: dict[tuple[str, str], set[str]] = {}
    for role in of_type(resources, ROLE):
        for statement in statements(resources, role):
            names = {action.removeprefix("sqs:") for action in listed(statement["Action"]) if action.startswith("sqs:")}
            if names:
                (queue, attribute) = statement["Resource"]["Fn::GetAtt"]
                assert (statement["Effect"], attribute) == ("Allow", "Arn")
                found.setdefault((role, queue), set()).update(names)
    assert not [one for one in statements(resources, *POLICIES) if "sqs:" in str(one["Action"])]
    return found


def actions(resources: dict[str, Any], *names: str) -> set[str]:
    return {action for statement in statements(resources, *names) for action in listed(statement["Action"])}


def calls_of(resource: Resource[Any], *methods: str) -> set[str]:
    """The declared permissions of the calls that these methods make, directly or through methods and helpers."""
    pending, seen = list(methods), set[str]()
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            for function in filter(inspect.isfunction, (vars(cls).get(name) for cls in type(resource).__mro__)):
                source = inspect.getsource(function)
                helpers = (function.__globals__.get(called) for called in re.findall(r"(?<![.\w])(\w+)\(", source))
                sources = [source, *(inspect.getsource(helper) for helper in helpers if inspect.isfunction(helper))]
                pending += [called for text in sources for called in re.findall(r"\.(\w+)", text)]
    return {action for action in resource.permissions if xform_name(action.partition(":")[2]) in seen}


def needs(type_name: str) -> tuple[set[str], set[str]]:
    """The actions that the sweep needs always, and those that it needs only to release."""
    resource = types.by_type(type_name)
    source = inspect.getsource(sweep) + inspect.getsource(release)
    # What prepares a recovery window or ends an adoption has statements of its own.
    other = {"add_tags", "remove_tags", "disconnect"}
    methods = set(re.findall(r"\bresource\.(\w+)\b", source)) & set(dir(Resource)) - other
    reads, releases = calls_of(resource, *methods - {"release"}), calls_of(resource, *methods & {"release"})
    assert reads
    assert releases - reads
    return reads, releases - reads


def test_sam_and_cfn_lint_report_no_errors() -> None:
    assert "is a valid SAM Template" in sam("validate", "--lint")


def test_each_stack_has_its_own_prefix_in_the_artifact_bucket() -> None:
    """`sam delete` deletes everything below the prefix, or without one each artifact, which stacks can share."""
    environments = tomllib.loads((ROOT / "samconfig.toml").read_text())
    environments.pop("version")
    stacks = {name: one["global"]["parameters"]["stack_name"] for name, one in environments.items()}
    assert {name: one["deploy"]["parameters"]["s3_prefix"] for name, one in environments.items()} == stacks
    assert stacks["dev"] != stacks["prod"]


def test_service_token_is_unqualified_arn_of_explicitly_named_function(template: dict[str, Any]) -> None:
    resources = template["Resources"]
    assert resources["ProviderFunction"]["Properties"]["FunctionName"] == {"Ref": "FunctionName"}
    assert "AutoPublishAlias" not in str(template)
    assert resources["ServiceTokenParameter"]["Properties"]["Value"] == {"Fn::GetAtt": ["ProviderFunction", "Arn"]}
    output = template["Outputs"]["ServiceToken"]
    assert output["Value"] == {"Fn::GetAtt": ["ProviderFunction", "Arn"]}
    assert output["Export"] == {"Name": {"Fn::Sub": "${AWS::StackName}-ServiceToken"}}


@pytest.mark.parametrize("stack_name", ["aws-numbers", "SSM", "cfn-telephony"])
def test_service_token_parameter_has_a_valid_name_for_every_stack(template: dict[str, Any], stack_name: str) -> None:
    """Names can't begin with aws or ssm, in any case (Systems Manager API Reference, PutParameter)."""
    properties = Deployment(template, stack_name=stack_name).resolve(template["Resources"]["ServiceTokenParameter"])
    assert properties["Properties"]["Name"] == f"/cfn-telephony/{stack_name}/service-token"


@pytest.mark.parametrize("parameter", LONGEST_ARNS)
def test_documented_number_of_arns_fits_into_the_policy(template: dict[str, Any], parameter: str) -> None:
    """IAM does not count white space (IAM User Guide, "IAM and AWS STS quotas")."""
    [documented] = re.findall(r"room for about (\d+) ARNs", (ROOT / "docs/operations.md").read_text())

    def longest_policy(arns: int) -> int:
        parameters = {parameter: ",".join([LONGEST_ARNS[parameter]] * arns)}
        deployment = Deployment(template, parameters, stack_name=128 * "S", region="ap-northeast-1")
        policies = of_type(template["Resources"], "AWS::IAM::ManagedPolicy").values()
        documents = [deployment.resolve(policy["Properties"]["PolicyDocument"]) for policy in policies]
        return max(len(re.sub(r"\s", "", json.dumps(document))) for document in documents)

    assert longest_policy(int(documented)) <= 6144
    assert longest_policy(2 * int(documented)) > 6144, "the documentation is too cautious"


def test_logical_ids_of_queues_and_table_are_unchanged(resources: dict[str, Any]) -> None:
    """A renamed queue or table would lose the requests that wait and the records of purchases."""
    assert resources.keys() >= FROZEN
    found = {name for name, one in resources.items() if one["Type"] in {"AWS::SQS::Queue", "AWS::DynamoDB::Table"}}
    assert found == FROZEN - {"ProviderFunction"}
    for name in found:
        replacing = {"QueueName", "FifoQueue", "TableName"}
        assert not resources[name]["Properties"].keys() & replacing


def test_timeouts_of_functions_and_queues_fit_together(resources: dict[str, Any]) -> None:
    provider, continuation = (resources[f"{name}Function"]["Properties"] for name in ("Provider", "Continuation"))
    queue, dead_letters = (resources[name]["Properties"] for name in ("RequestQueue", "DeadLetterQueue"))
    assert continuation["Timeout"] < queue["VisibilityTimeout"], "no second delivery while the first is processed"
    event_age = provider["EventInvokeConfig"]["MaximumEventAgeInSeconds"]
    assert provider["Timeout"] * 3 + 60 + 120 < event_age, "three attempts with Lambda's back-off"
    assert event_age + queue["VisibilityTimeout"] + continuation["Timeout"] < DEFAULT_SERVICE_TIMEOUT - 120
    retention = queue["MessageRetentionPeriod"]
    assert retention > LONGEST_SERVICE_TIMEOUT
    # A message keeps its age when it moves to the dead-letter queue.
    assert retention < dead_letters["MessageRetentionPeriod"] <= 14 * DAY
    redrive = queue["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    # Each step is a receive. The shortest regular delay between two steps is 5 s.
    assert LONGEST_SERVICE_TIMEOUT / 5 < redrive["maxReceiveCount"] <= 1000
    # A message that can't be read reaches the dead-letter queue before it is deleted.
    assert redrive["maxReceiveCount"] * queue["VisibilityTimeout"] < retention


def test_failed_event_is_sent_to_the_queue_of_waiting_requests(resources: dict[str, Any]) -> None:
    configuration = resources["ProviderFunction"]["Properties"]["EventInvokeConfig"]
    assert configuration["MaximumRetryAttempts"] == 2
    destination = {"Type": "SQS", "Destination": {"Fn::GetAtt": ["RequestQueue", "Arn"]}}
    assert configuration["DestinationConfig"] == {"OnFailure": destination}
    for name in ("Provider", "Continuation"):
        variables = resources[f"{name}Function"]["Properties"]["Environment"]["Variables"]
        assert variables == {"QUEUE_URL": {"Ref": "RequestQueue"}}


def test_continuation_receives_single_requests_with_limited_concurrency(
    resources: dict[str, Any], template: dict[str, Any]
) -> None:
    (event,) = resources["ContinuationFunction"]["Properties"]["Events"].values()
    assert event == {
        "Type": "SQS",
        "Properties": {
            "Queue": {"Fn::GetAtt": ["RequestQueue", "Arn"]},
            "BatchSize": 1,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": {"Ref": "MaximumConcurrency"}},
        },
    }
    # The limits are Lambda's (API reference, ScalingConfig).
    parameter = template["Parameters"]["MaximumConcurrency"]
    assert parameter.items() >= {"Type": "Number", "Default": 5, "MinValue": 2, "MaxValue": 1000}.items()
    reserved = [name for name, one in resources.items() if "ReservedConcurrentExecutions" in one.get("Properties", {})]
    assert reserved == [], "the event source mapping would receive messages that no function can take"


def test_no_cycle_for_recursive_loop_detection(resources: dict[str, Any]) -> None:
    """Lambda stops a function that causes its own invocation through SQS about 16 times (Lambda developer guide)."""
    sends = {role for (role, _), names in allowed_on_queues(resources).items() if "SendMessage" in names}
    consumers = {
        one["Properties"]["Role"]["Fn::GetAtt"][0]
        for one in of_type(resources, "AWS::Serverless::Function").values()
        if "SQS" in {event["Type"] for event in one["Properties"].get("Events", {}).values()}
    }
    assert sends & consumers == set()
    functions = {name: one for name, one in resources.items() if name != "GuardHookRole"}  # CloudFormation assumes it
    assert not [action for action in actions(functions) if action.startswith(("lambda:", "sns:", "events:", "states:"))]


def test_queues_are_encrypted(resources: dict[str, Any]) -> None:
    for name, queue in of_type(resources, "AWS::SQS::Queue").items():
        assert queue["Properties"]["SqsManagedSseEnabled"] is True, name


def test_state_table_is_retained_and_unnamed(resources: dict[str, Any]) -> None:
    table = resources["StateTable"]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    expected = {
        "BillingMode": "PAY_PER_REQUEST",
        "DeletionProtectionEnabled": True,
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
        "TimeToLiveSpecification": {"AttributeName": "expiration", "Enabled": True},
    }
    assert table["Properties"].items() >= expected.items()
    assert "TableName" not in table["Properties"]


def test_every_function_has_valid_name_log_retention_and_permissions_boundary(
    resources: dict[str, Any], template: dict[str, Any]
) -> None:
    suffixes = []
    for function in of_type(resources, "AWS::Serverless::Function").values():
        role = resources[function["Properties"]["Role"]["Fn::GetAtt"][0]]
        assert role["Properties"]["PermissionsBoundary"]["Fn::If"][0] == "HasPermissionsBoundary"
        group = resources[function["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]]
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
        name = function["Properties"]["FunctionName"]
        suffixes.append(name["Fn::Sub"].removeprefix("${FunctionName}") if "Fn::Sub" in name else "")
        assert group["Properties"]["LogGroupName"] == {"Fn::Sub": f"/aws/lambda/${{FunctionName}}{suffixes[-1]}"}
    longest = 64 - max(map(len, suffixes))
    assert template["Parameters"]["FunctionName"]["AllowedPattern"].endswith(f"{{1,{longest}}}")


def test_no_action_is_wildcard_and_every_wildcard_resource_is_explained(resources: dict[str, Any]) -> None:
    assert not [action for action in actions(resources) if "*" in action]
    source = (ROOT / "template.yaml").read_text()
    lines = source[source.index("\nResources:") : source.index("\nOutputs:")].splitlines()
    wildcards = [number for number, line in enumerate(lines) if re.search(r'(arn:\S*|")\*', line.split(" #")[0])]
    assert wildcards
    for number in wildcards:
        explained = " #" in lines[number] or lines[number - 1].strip().startswith("#")
        assert explained, f"add the reason for the wildcard in {lines[number].strip()!r}"


@pytest.mark.parametrize("type_name", types.type_names())
def test_policies_grant_every_permission_of_type(type_name: str, resources: dict[str, Any]) -> None:
    reads, releases = needs(type_name)
    lacking = {
        "TelephonyReadPolicy": reads - actions(resources, "TelephonyReadPolicy"),
        "TelephonyReleasePolicy": releases - actions(resources, "TelephonyReleasePolicy"),
        "TelephonyPolicy": {*types.by_type(type_name).permissions} - actions(resources, *POLICIES),
    }
    assert not any(lacking.values()), f"add the actions of {type_name} to these policies: {lacking}"


def test_whatsapp_number_gets_no_other_tag_than_that_of_amazon_connect(resources: dict[str, Any]) -> None:
    social = [one for one in statements(resources) if "social-messaging:" in str(one["Action"])]
    only = {"ForAllValues:StringEquals": {"aws:TagKeys": "AmazonConnectEnabled"}, "Null": {"aws:TagKeys": "false"}}
    assert {one["Action"]: one.get("Condition") for one in social} == {
        "social-messaging:GetLinkedWhatsAppBusinessAccountPhoneNumber": None,
        "social-messaging:TagResource": only,
    }
    assert all(one["Resource"]["Fn::Sub"].endswith(":phone-number-id/*") for one in social)


def test_sweep_runs_hourly_with_maximum_timeout_and_begins_a_round_each_day(resources: dict[str, Any]) -> None:
    function = resources["SweepFunction"]["Properties"]
    assert function["Handler"] == "telephony.handlers.sweep.handler"
    assert function["Timeout"] == 900
    [event] = function["Events"].values()
    assert (event["Type"], event["Properties"]["Schedule"]) == ("Schedule", "rate(1 hour)")
    assert 22 * 3600 < json.loads(event["Properties"]["Input"])["interval"] < 24 * 3600


def test_environment_variables_are_read_by_code(template: dict[str, Any]) -> None:
    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    assert shared["CALL_RATES"] == {"Ref": "CallRates"}
    functions = of_type(template["Resources"], "AWS::Serverless::Function").values()
    own = {name for one in functions for name in one["Properties"].get("Environment", {}).get("Variables", {})}
    assert own == {"ALLOW_SWEEP_RELEASE", "CALL_ATTEMPTS", "CALL_RATES", "QUEUE_URL"}
    code = "".join(path.read_text() for path in (ROOT / "functions/telephony").rglob("*.py"))
    assert {name for name in {*shared, *own} if f'"{name}"' not in code and not name.startswith("POWERTOOLS_")} == set()


def test_call_rates_parameter_accepts_only_valid_rates(template: dict[str, Any]) -> None:
    pattern = re.compile(template["Parameters"]["CallRates"]["AllowedPattern"])
    for rates, parsed in (
        ("", {}),
        ("connect=5", {"connect": 5.0}),
        ("connect=5,sms.RequestPhoneNumber=2.5", {"connect": 5.0, "sms.RequestPhoneNumber": 2.5}),
    ):
        assert pattern.fullmatch(rates)
        assert _parse_rates(rates) == parsed
    for rates in ("connect", "connect=", "connect=fast", "connect=5,"):
        assert not pattern.fullmatch(rates)
