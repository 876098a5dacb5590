import inspect
import re
from typing import Any

import pytest
from botocore import xform_name

from telephony import resources as types
from telephony.handlers import sweep
from telephony.lifecycle import release
from telephony.model.resource import Resource
from telephony.settings import _parse_rates
from tests.template.conftest import ROOT, sam

OWNED = {"StringEquals": {"aws:ResourceTag/cfn-telephony:managed-by": "cfn-telephony"}}
TAGGED_ON_PURCHASE = {"StringEquals": {"aws:RequestTag/cfn-telephony:managed-by": "cfn-telephony"}}
READS, PURCHASES = ("Describe", "List", "Search"), ("Request", "Claim", "Import")
NOT_OWNED = (":pool/", ":opt-out-list/", ":instance/")
"""Resources that a number is associated with. They never carry the ownership tags."""
ROLE = "AWS::IAM::Role"
FROZEN = {"ProviderFunction", "RequestQueue", "DeadLetterQueue", "StateTable"}
DAY = 86400
DEFAULT_SERVICE_TIMEOUT = LONGEST_SERVICE_TIMEOUT = 3600  # AWS::CloudFormation::CustomResource
REDRIVE, NO_VALUE = {"Ref": "RedriveRoleArn"}, {"Ref": "AWS::NoValue"}
POLICIES = ("TelephonyReadPolicy", "TelephonyReleasePolicy", "TelephonyPolicy")


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


def denied_on(queue: str, resources: dict[str, Any]) -> list[dict[str, Any]]:
    """The statements of the queue's policy, all of which deny something to every principal."""
    properties = resources[f"{queue}Policy"]["Properties"]
    assert properties["Queues"] == [{"Ref": queue}]
    found: list[dict[str, Any]] = properties["PolicyDocument"]["Statement"]
    for statement in found:
        for one in statement["Fn::If"][1:] if "Fn::If" in statement else [statement]:
            assert (one["Effect"], one["Principal"]) == ("Deny", "*")
            assert one["Resource"] == {"Fn::GetAtt": [queue, "Arn"]}
    return found


def assert_tls_only(statement: dict[str, Any]) -> None:
    assert statement["Action"] == "sqs:*"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


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
    methods = set(re.findall(r"\bresource\.(\w+)\b", source)) & set(dir(Resource))
    reads, releases = calls_of(resource, *methods - {"release"}), calls_of(resource, *methods & {"release"})
    assert reads
    assert releases - reads
    return reads, releases - reads


def test_sam_and_cfn_lint_report_no_errors() -> None:
    assert "is a valid SAM Template" in sam("validate", "--lint")


def test_service_token_is_unqualified_arn_of_explicitly_named_function(template: dict[str, Any]) -> None:
    resources = template["Resources"]
    assert resources["ProviderFunction"]["Properties"]["FunctionName"] == {"Ref": "FunctionName"}
    assert "AutoPublishAlias" not in str(template)
    assert resources["ServiceTokenParameter"]["Properties"]["Value"] == {"Fn::GetAtt": ["ProviderFunction", "Arn"]}
    output = template["Outputs"]["ServiceToken"]
    assert output["Value"] == {"Fn::GetAtt": ["ProviderFunction", "Arn"]}
    assert output["Export"] == {"Name": {"Fn::Sub": "${AWS::StackName}-ServiceToken"}}


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


def test_only_provider_sends_and_only_continuation_receives(resources: dict[str, Any]) -> None:
    assert allowed_on_queues(resources) == {
        ("ProviderRole", "RequestQueue"): {"SendMessage"},
        ("ContinuationRole", "RequestQueue"): {
            *("ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility"),
        },
    }
    sending, receiving, insecure = denied_on("RequestQueue", resources)
    assert sending["Action"] == "sqs:SendMessage"
    (senders,) = sending["Condition"]["ArnNotLike"].values()
    assert senders == [{"Fn::GetAtt": ["ProviderRole", "Arn"]}, {"Fn::If": ["HasRedriveRole", REDRIVE, NO_VALUE]}]
    assert receiving["Action"] == "sqs:ReceiveMessage"
    continuation = {"Fn::GetAtt": ["ContinuationRole", "Arn"]}
    assert receiving["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": continuation}}
    assert_tls_only(insecure)


def test_dead_letters_are_received_only_to_be_moved_back(resources: dict[str, Any], template: dict[str, Any]) -> None:
    receiving, sending, insecure = denied_on("DeadLetterQueue", resources)
    condition, with_role, without_role = receiving["Fn::If"]
    assert condition == "HasRedriveRole"
    assert template["Parameters"]["RedriveRoleArn"]["Default"] == ""
    assert with_role["Action"] == without_role["Action"] == "sqs:ReceiveMessage"
    assert with_role["Condition"] == {"ArnNotLike": {"aws:PrincipalArn": REDRIVE}}
    assert "Condition" not in without_role
    assert sending["Action"] == "sqs:SendMessage"
    assert sending["Condition"] == {"Null": {"aws:PrincipalArn": "false"}}
    assert_tls_only(insecure)


def test_no_cycle_for_recursive_loop_detection(resources: dict[str, Any]) -> None:
    """Lambda stops a function that causes its own invocation through SQS about 16 times (Lambda developer guide)."""
    sends = {role for (role, _), names in allowed_on_queues(resources).items() if "SendMessage" in names}
    consumers = {
        one["Properties"]["Role"]["Fn::GetAtt"][0]
        for one in of_type(resources, "AWS::Serverless::Function").values()
        if "SQS" in {event["Type"] for event in one["Properties"].get("Events", {}).values()}
    }
    assert sends & consumers == set()
    assert not [action for action in actions(resources) if action.startswith(("lambda:", "sns:", "events:", "states:"))]


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


def test_policies_grant_only_what_types_and_functions_need(resources: dict[str, Any]) -> None:
    reads, releases = (set().union(*found) for found in zip(*map(needs, types.type_names()), strict=True))
    stacks = {"cloudformation:DescribeStacks", "cloudformation:DescribeStackEvents"}
    assert actions(resources, "TelephonyReadPolicy") == reads | stacks
    assert actions(resources, "TelephonyReleasePolicy") == releases
    permissions = {action for name in types.type_names() for action in types.by_type(name).permissions}
    others = {action for action in actions(resources) - permissions if not action.startswith(("sqs:", "logs:"))}
    assert others == {
        *(f"dynamodb:{name}Item" for name in ("Get", "Put", "Update", "Delete", "ConditionCheck")),
        *("dynamodb:Query", "dynamodb:Scan", "cloudformation:DescribeStackResource"),
        *stacks,
    }


def test_sweep_can_release_only_if_parameter_allows_it(resources: dict[str, Any], template: dict[str, Any]) -> None:
    attached = {name: role["Properties"]["ManagedPolicyArns"] for name, role in of_type(resources, ROLE).items()}
    every = [{"Ref": name} for name in POLICIES]
    release = {"Fn::If": ["SweepReleaseAllowed", every[1], {"Ref": "AWS::NoValue"}]}
    assert attached == {"ProviderRole": every, "ContinuationRole": every, "SweepRole": [every[0], release]}
    assert template["Parameters"]["AllowSweepRelease"]["Default"] == "false"
    unconditional = actions(resources, "SweepRole", "TelephonyReadPolicy")
    reads = (*READS, "Scan", "Query", "Get")
    writes = {action for action in unconditional if not action.partition(":")[2].startswith(reads)}
    table = {f"dynamodb:{name}Item" for name in ("Put", "Update", "ConditionCheck")}
    assert writes == {"logs:CreateLogStream", "logs:PutLogEvents"} | table


def test_roles_are_passed_only_if_listed_and_only_to_sms_service(resources: dict[str, Any]) -> None:
    document = resources["TelephonyPolicy"]["Properties"]["PolicyDocument"]
    ((condition, statement, otherwise),) = [one["Fn::If"] for one in document["Statement"] if "Fn::If" in one]
    assert condition == "HasTwoWayChannelRoles"
    assert statement["Action"] == "iam:PassRole"
    assert statement["Resource"] == {"Fn::Split": [",", {"Ref": "TwoWayChannelRoleArns"}]}
    assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "sms-voice.amazonaws.com"}}
    assert otherwise == {"Ref": "AWS::NoValue"}


def test_writes_to_numbers_require_ownership_tags(resources: dict[str, Any]) -> None:
    purchased, changed = set(), set()
    for statement in statements(resources):
        numbers = [one for one in listed(statement["Resource"]) if not any(part in str(one) for part in NOT_OWNED)]
        if not numbers or statement["Effect"] == "Deny":
            continue
        for action, verb in re.findall(r"((?:sms-voice|connect):(\w+))", str(statement["Action"])):
            # An association is a dependent action of a purchase, before the number has its tags.
            if verb == "TagResource":
                assert statement.get("Condition") in (OWNED, TAGGED_ON_PURCHASE), statement["Sid"]
            elif verb.startswith(PURCHASES):
                assert statement.get("Condition") == TAGGED_ON_PURCHASE, statement["Sid"]
                purchased.add(action)
            elif not verb.startswith((*READS, "Associate")):
                assert statement.get("Condition") == OWNED, statement["Sid"]
                changed.add(action)
    assert {"sms-voice:RequestPhoneNumber", "connect:ClaimPhoneNumber"} <= purchased
    assert {"sms-voice:ReleaseSenderId", "connect:ReleasePhoneNumber"} <= changed


def test_whatsapp_number_gets_no_other_tag_than_that_of_amazon_connect(resources: dict[str, Any]) -> None:
    social = [one for one in statements(resources) if "social-messaging:" in str(one["Action"])]
    only = {"ForAllValues:StringEquals": {"aws:TagKeys": "AmazonConnectEnabled"}, "Null": {"aws:TagKeys": "false"}}
    assert {one["Action"]: one.get("Condition") for one in social} == {
        "social-messaging:GetLinkedWhatsAppBusinessAccountPhoneNumber": None,
        "social-messaging:TagResource": only,
    }
    assert all(one["Resource"]["Fn::Sub"].endswith(":phone-number-id/*") for one in social)


def test_ownership_tags_cannot_be_removed(resources: dict[str, Any]) -> None:
    (deny,) = [statement for statement in statements(resources) if statement["Effect"] == "Deny"]
    assert deny["Action"] == ["sms-voice:UntagResource", "connect:UntagResource"]
    assert deny["Resource"] == "*"
    assert deny["Condition"] == {"ForAnyValue:StringLike": {"aws:TagKeys": "cfn-telephony:*"}}


def test_sweep_runs_daily_with_maximum_timeout(resources: dict[str, Any]) -> None:
    function = resources["SweepFunction"]["Properties"]
    assert function["Handler"] == "telephony.handlers.sweep.handler"
    assert function["Timeout"] == 900
    assert [*function["Events"].values()] == [{"Type": "Schedule", "Properties": {"Schedule": "rate(1 day)"}}]


def test_environment_variables_are_read_by_code(template: dict[str, Any]) -> None:
    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    assert shared["CALL_RATES"] == {"Ref": "CallRates"}
    functions = of_type(template["Resources"], "AWS::Serverless::Function").values()
    own = {name for one in functions for name in one["Properties"].get("Environment", {}).get("Variables", {})}
    assert own == {"ALLOW_SWEEP_RELEASE", "QUEUE_URL"}
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
