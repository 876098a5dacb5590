"""The simulated CloudFormation API answers as the model and the recorded responses of the real one."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
import trustme
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from tests.contract.cloudformation import change_sets
from tests.contract.cloudformation.api import KnownStack, Refusal, StacksApi

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

ROOT = "arn:aws:cloudformation:us-east-1:123456789012:stack/outer/7a1b0c2e-cd98-11f0-8f5a-0e2a1b2c3d4e"
ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/numbers/5b918d10-cd98-11f0-8f5a-0e2a1b2c3d4e"
AT = 1_790_000_000.123


class Clock:
    def __init__(self) -> None:
        self.time = AT

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api(clock: Clock) -> Iterator[StacksApi]:
    with StacksApi(now=clock) as server:
        server.default = None
        yield server


@pytest.fixture
def stack(api: StacksApi) -> KnownStack:
    return api.know(ID)


@pytest.fixture
def client(api: StacksApi) -> CloudFormationClient:
    return boto3.client("cloudformation", endpoint_url=api.url, config=Config(retries={"total_max_attempts": 1}))


def call(client: CloudFormationClient, action: str, **parameters: Any) -> dict[str, Any]:
    """Return the response. It has all that the model requires."""
    name = {api: method for method, api in client.meta.method_to_api_mapping.items()}[action]
    response = cast("dict[str, Any]", getattr(client, name)(**parameters))
    del response["ResponseMetadata"]
    shape = client.meta.service_model.operation_model(action).output_shape
    assert shape is not None
    assert not ParamValidator().validate(response, shape).has_errors()
    return response


def error(client: CloudFormationClient, action: str, **parameters: str) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as raised:
        call(client, action, **parameters)
    response = cast("Any", raised.value.response)
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]


def status(client: CloudFormationClient, stack: str = ID) -> str:
    return str(call(client, "DescribeStacks", StackName=stack)["Stacks"][0]["StackStatus"])


def test_stack_is_described(api: StacksApi, client: CloudFormationClient) -> None:
    api.know(ID, "UPDATE_IN_PROGRESS", root_id=ROOT)
    api.know(ROOT, "CREATE_COMPLETE")
    created = datetime.fromtimestamp(AT, UTC)
    nested = {"StackId": ID, "StackName": "numbers", "CreationTime": created, "StackStatus": "UPDATE_IN_PROGRESS"}
    root = {"StackId": ROOT, "StackName": "outer", "CreationTime": created, "StackStatus": "CREATE_COMPLETE"}
    assert call(client, "DescribeStacks", StackName=ID) == {"Stacks": [nested | {"RootId": ROOT, "ParentId": ROOT}]}
    assert call(client, "DescribeStacks", StackName="outer") == {"Stacks": [root]}
    assert api.calls == ["DescribeStacks"] * 2


def test_events_are_paged_newest_first(api: StacksApi, stack: KnownStack, client: CloudFormationClient) -> None:
    stack.move("CREATE_IN_PROGRESS", reason="User Initiated")
    stack.add("Number", "CREATE_IN_PROGRESS", at=AT + 1, resource_type="Custom::Number")
    stack.add("Number", "CREATE_COMPLETE", "phone-1", at=AT + 2, resource_type="Custom::Number")
    api.page_size = 2
    first = call(client, "DescribeStackEvents", StackName=ID)
    stack.move("CREATE_COMPLETE", at=AT + 3)  # does not shift the next page
    second = call(client, "DescribeStackEvents", StackName=ID, NextToken=first["NextToken"])
    assert "NextToken" not in second
    events = first["StackEvents"] + second["StackEvents"]
    assert len({event.pop("EventId") for event in events}) == 3
    common = {"StackId": ID, "StackName": "numbers"}
    number = common | {"LogicalResourceId": "Number", "ResourceType": "Custom::Number"}
    own = {"LogicalResourceId": "numbers", "PhysicalResourceId": ID, "ResourceType": "AWS::CloudFormation::Stack"}

    def at(seconds: float, status: str) -> dict[str, Any]:
        return {"Timestamp": datetime.fromtimestamp(AT + seconds, UTC), "ResourceStatus": status}

    assert events == [
        number | at(2, "CREATE_COMPLETE") | {"PhysicalResourceId": "phone-1"},
        number | at(1, "CREATE_IN_PROGRESS") | {"PhysicalResourceId": ""},
        common | own | at(0, "CREATE_IN_PROGRESS") | {"ResourceStatusReason": "User Initiated"},
    ]


def test_resources_are_described(stack: KnownStack, client: CloudFormationClient) -> None:
    stack.add("Number", "CREATE_COMPLETE", "phone-1", at=AT + 2, resource_type="Custom::Number")
    stack.resources = {"Number": ("phone-1", "CREATE_COMPLETE"), "Other": ("phone-2", "CREATE_COMPLETE")}
    described = {
        "StackId": ID,
        "StackName": "numbers",
        "LogicalResourceId": "Number",
        "PhysicalResourceId": "phone-1",
        "ResourceType": "Custom::Number",
        "ResourceStatus": "CREATE_COMPLETE",
    }
    changed = datetime.fromtimestamp(AT + 2, UTC)
    one = call(client, "DescribeStackResource", StackName=ID, LogicalResourceId="Number")
    assert one == {"StackResourceDetail": described | {"LastUpdatedTimestamp": changed}}
    both = call(client, "DescribeStackResources", StackName=ID)["StackResources"]
    assert both[0] == described | {"Timestamp": changed}
    assert [resource["PhysicalResourceId"] for resource in both] == ["phone-1", "phone-2"]
    named = call(client, "DescribeStackResources", StackName=ID, LogicalResourceId="Other")["StackResources"]
    assert named == both[1:]


def test_resources_are_listed_in_pages(api: StacksApi, stack: KnownStack, client: CloudFormationClient) -> None:
    stack.add("Number0", "CREATE_COMPLETE", "phone-0", at=AT + 2, resource_type="Custom::Number")
    stack.resources = {f"Number{number}": (f"phone-{number}", "CREATE_COMPLETE") for number in range(249)}
    stack.resources["Pending"] = ("", "CREATE_IN_PROGRESS")
    first = call(client, "ListStackResources", StackName=ID)
    second = call(client, "ListStackResources", StackName=ID, NextToken=first["NextToken"])
    third = call(client, "ListStackResources", StackName=ID, NextToken=second["NextToken"])
    assert "NextToken" not in third
    pages = [page["StackResourceSummaries"] for page in (first, second, third)]
    assert [len(page) for page in pages] == [100, 100, 50]
    assert pages[0][0] == {
        "LogicalResourceId": "Number0",
        "PhysicalResourceId": "phone-0",
        "ResourceType": "Custom::Number",
        "LastUpdatedTimestamp": datetime.fromtimestamp(AT + 2, UTC),
        "ResourceStatus": "CREATE_COMPLETE",
    }
    assert [one["LogicalResourceId"] for page in pages for one in page] == list(stack.resources)
    assert "PhysicalResourceId" not in pages[2][-1]
    assert api.calls == ["ListStackResources"] * 3


def test_what_does_not_exist_is_a_validation_error(stack: KnownStack, client: CloudFormationClient) -> None:
    number = {"LogicalResourceId": "Number"}
    assert error(client, "DescribeStacks", StackName="x") == (
        400,
        "ValidationError",
        "Stack with id x does not exist",
    )
    assert error(client, "DescribeStackEvents", StackName="x")[1:] == ("ValidationError", "Stack [x] does not exist")
    assert error(client, "DescribeStackResource", StackName="x", **number)[2] == "Stack 'x' does not exist"
    for action in ("DescribeStackResources", "ListStackResources"):
        assert error(client, action, StackName="x")[1:] == ("ValidationError", "Stack with id x does not exist")
    missing = f"Resource Number does not exist for stack {stack.stack_id}"
    assert error(client, "DescribeStackResource", StackName=ID, **number)[1:] == ("ValidationError", missing)


def test_deleted_stack_is_described_by_its_id_for_90_days(
    stack: KnownStack, clock: Clock, client: CloudFormationClient
) -> None:
    stack.resources = {"Number": ("phone-1", "DELETE_SKIPPED"), "Other": ("phone-2", "DELETE_COMPLETE")}
    stack.move("DELETE_COMPLETE")
    [described] = call(client, "DescribeStacks", StackName=ID)["Stacks"]
    assert (described["StackStatus"], described["DeletionTime"]) == ("DELETE_COMPLETE", datetime.fromtimestamp(AT, UTC))
    assert error(client, "DescribeStacks", StackName="numbers")[2] == "Stack with id numbers does not exist"
    assert len(call(client, "DescribeStackEvents", StackName=ID)["StackEvents"]) == 1
    assert call(client, "DescribeStackResource", StackName=ID, LogicalResourceId="Number")
    listed = call(client, "ListStackResources", StackName=ID)["StackResourceSummaries"]
    assert {one["PhysicalResourceId"]: one["ResourceStatus"] for one in listed} == dict(stack.resources.values())
    clock.time += 90 * 86_400
    assert status(client) == "DELETE_COMPLETE"
    clock.time += 1
    for action in ("DescribeStacks", "ListStackResources"):
        assert error(client, action, StackName=ID)[2] == f"Stack with id {ID} does not exist"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Throttling", (400, "Throttling", "Rate exceeded")),
        ("InternalFailure", (500, "InternalFailure", "Internal failure")),
        ("does not exist", (400, "ValidationError", f"Stack with id {ID} does not exist")),
        (
            "AccessDenied",
            (
                403,
                "AccessDenied",
                (
                    "User: arn:aws:sts::123456789012:assumed-role/provider/provider is not authorized to perform: "
                    f"cloudformation:DescribeStacks on resource: {ID} because no identity-based policy allows the "
                    "cloudformation:DescribeStacks action"
                ),
            ),
        ),
    ],
)
def test_calls_can_be_refused(
    api: StacksApi, stack: KnownStack, client: CloudFormationClient, kind: Refusal, expected: tuple[int, str, str]
) -> None:
    api.know(ROOT)
    stack.refuse(kind, times=2, after=1, action="DescribeStacks")
    assert status(client) == "CREATE_COMPLETE"
    assert [error(client, "DescribeStacks", StackName=ID) for _ in range(2)] == [expected, expected]
    assert status(client) == status(client, ROOT) == "CREATE_COMPLETE"
    api.refuse(kind)
    assert error(client, "DescribeStackEvents", StackName=ROOT)
    api.allow()
    assert call(client, "DescribeStackEvents", StackName=ID) == {"StackEvents": []}


def test_shown_is_as_old_as_the_lag(stack: KnownStack, clock: Clock, client: CloudFormationClient) -> None:
    def shown() -> tuple[str, list[str], int]:
        resources = call(client, "DescribeStackResources", StackName=ID)["StackResources"]
        events = call(client, "DescribeStackEvents", StackName=ID)["StackEvents"]
        return status(client), [resource["PhysicalResourceId"] for resource in resources], len(events)

    stack.lag = 5
    clock.time += 10
    stack.resources["Number"] = ("phone-1", "CREATE_COMPLETE")
    stack.move("UPDATE_IN_PROGRESS")
    assert shown() == ("CREATE_COMPLETE", [], 0)
    clock.time += 5
    stack.move("UPDATE_COMPLETE")
    assert shown() == ("UPDATE_IN_PROGRESS", ["phone-1"], 1)
    stack.lag = 0
    assert shown() == ("UPDATE_COMPLETE", ["phone-1"], 2)


def test_unregistered_stack_is_shown_as_the_default(api: StacksApi, client: CloudFormationClient) -> None:
    api.reset()
    [described] = call(client, "DescribeStacks", StackName=ID)["Stacks"]
    assert (described["StackId"], described["StackStatus"]) == (ID, "UPDATE_IN_PROGRESS")
    assert call(client, "DescribeStackEvents", StackName=ID) == {"StackEvents": []}


def test_api_can_be_served_over_tls(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with StacksApi(tls=context) as api:
        client = boto3.client("cloudformation", endpoint_url=api.url, verify=str(tmp_path / "ca.pem"))
        assert status(client) == "UPDATE_IN_PROGRESS"


def test_template_and_parameters_are_shown(stack: KnownStack, client: CloudFormationClient) -> None:
    stack.template, stack.parameters, stack.outputs = "Resources: {}", {"Secret": "****"}, {"Name": "value"}

    assert call(client, "GetTemplate", StackName=ID)["TemplateBody"] == "Resources: {}"
    [described] = call(client, "DescribeStacks", StackName=ID)["Stacks"]
    assert described["Parameters"] == [{"ParameterKey": "Secret", "ParameterValue": "****"}]
    assert described["Outputs"] == [{"OutputKey": "Name", "OutputValue": "value"}]


def test_change_set_is_described_in_pages(api: StacksApi, stack: KnownStack, client: CloudFormationClient) -> None:
    numbers = [
        change_sets.add("New", "Custom::Number", {"Name": "a"}),
        change_sets.modify("Number", "Custom::Number", "phone-1", {"Name": "a"}, {"Name": "b"}),
        change_sets.remove("Old", "Custom::Number", "phone-2", {"Name": "a"}, "Retain"),
    ]
    stack.change_sets["next"] = {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE", "Changes": numbers}
    api.page_size = 2
    values = {"IncludePropertyValues": True}

    first = call(client, "DescribeChangeSet", StackName=ID, ChangeSetName="next", **values)
    more = {"ChangeSetName": stack.change_set_id("next"), "NextToken": first["NextToken"]}
    second = call(client, "DescribeChangeSet", **more, **values)

    assert "NextToken" not in second
    assert first["Changes"] + second["Changes"] == numbers


def test_values_of_change_set_are_shown_on_request(stack: KnownStack, client: CloudFormationClient) -> None:
    change = change_sets.modify("Number", "Custom::Number", "phone-1", {"Name": "a"}, {"Name": "b"})
    stack.change_sets["next"] = {"Status": "CREATE_COMPLETE", "Changes": [change]}

    [shown] = call(client, "DescribeChangeSet", StackName=ID, ChangeSetName="next")["Changes"]

    assert not {"BeforeContext", "AfterContext"} & shown["ResourceChange"].keys()
    assert not {"BeforeValue", "AfterValue"} & shown["ResourceChange"]["Details"][0]["Target"].keys()


def test_missing_change_set_is_an_error(api: StacksApi, stack: KnownStack, client: CloudFormationClient) -> None:
    del stack
    missing = (404, "ChangeSetNotFound", "ChangeSet [next] does not exist")
    assert error(client, "DescribeChangeSet", StackName=ID, ChangeSetName="next") == missing
    other = error(client, "DescribeChangeSet", StackName="other", ChangeSetName="next")
    assert other == (400, "ValidationError", "Stack [other] does not exist")
    assert api.calls == ["DescribeChangeSet"] * 2
