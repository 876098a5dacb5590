"""The corrections of the launcher, each seen through a stack whose function does as the template says."""

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from local.aws import ROOT, LocalAws

pytestmark = pytest.mark.e2e

# A function that answers what the resource's property named after the request type says: a JSON object with `answers`,
# a list of bodies (text as it is, an object completed with the ids), and `raises`, how many invocations fail first.
# An event from the on-failure queue is answered with SUCCESS.
PROBE = """
import json, os, tempfile, urllib.request

def put(event, body):
    if isinstance(body, dict):
        ids = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
        ids["PhysicalResourceId"] = event.get("PhysicalResourceId", "made-" + event["RequestId"])
        body = json.dumps({"Status": "SUCCESS", **ids, **body})
    request = urllib.request.Request(event["ResponseURL"], body.encode(), {"Content-Type": ""}, method="PUT")
    urllib.request.urlopen(request, timeout=5).close()

def handler(event, context):
    if "Records" in event:
        record = json.loads(event["Records"][0]["body"])
        return put(record["requestPayload"], {"Data": {"By": "last resort"}})
    print("EVENT " + json.dumps(event))
    script = json.loads(event["ResourceProperties"].get(event["RequestType"], '{"answers": [{}]}'))
    count = os.path.join(tempfile.gettempdir(), event["RequestId"])
    with open(count, "a+") as tries:
        tries.write(".")
        tries.flush()
        tries.seek(0)
        if len(tries.read()) <= script.get("raises", 0):
            raise RuntimeError("as told")
    try:
        import botocore
        packages = True
    except ImportError:
        packages = False
    for answer in script["answers"]:
        if isinstance(answer, dict) and "Data" in answer:
            answer["Data"]["Packages"] = packages
        put(event, answer)
"""

ROLE = {
    "AssumeRolePolicyDocument": {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
}


def function(name: str) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": name,
            "Runtime": "python3.13",
            "Handler": "index.handler",
            "Role": {"Fn::GetAtt": "Role.Arn"},
            "Timeout": 20,
            "Code": {"ZipFile": PROBE},
        },
    }


PROVIDERS = {
    "Resources": {
        "Role": {"Type": "AWS::IAM::Role", "Properties": ROLE},
        "Probe": function("probe"),
        "Other": function("other"),
        "LastResort": function("last-resort"),
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 30}},
        "Invoke": {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": {
                "FunctionName": {"Ref": "Probe"},
                "Qualifier": "$LATEST",
                "MaximumRetryAttempts": 2,
                "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": "Queue.Arn"}}},
            },
        },
        "Mapping": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "EventSourceArn": {"Fn::GetAtt": "Queue.Arn"},
                "FunctionName": {"Ref": "LastResort"},
                "BatchSize": 1,
            },
        },
    }
}


class Stacks:
    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.cloudformation = aws.client("cloudformation")
        self._count = 0

    def deploy(self, template: dict[str, Any], name: str = "") -> str:
        """Create the stack, or update the one of this name, and wait for the end, whichever; its name."""
        if name:
            self.cloudformation.update_stack(StackName=name, TemplateBody=json.dumps(template))
        else:
            self._count += 1
            name = f"stack-{self._count:03}"
            self.cloudformation.create_stack(
                StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"]
            )
        while self.status(name).endswith("_IN_PROGRESS"):
            time.sleep(0.1)
        return name

    def status(self, name: str) -> str:
        return str(self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])

    def outputs(self, name: str) -> dict[str, str]:
        found = self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        return {output["OutputKey"]: output["OutputValue"] for output in found}

    def reason(self, name: str) -> str:
        """Why the resource failed."""
        events = self.cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        (reason,) = {
            event["ResourceStatusReason"]
            for event in events
            if event["LogicalResourceId"] == "It" and event["ResourceStatus"] in {"CREATE_FAILED", "UPDATE_FAILED"}
        }
        return str(reason)

    def received(self, name: str, count: int) -> list[dict[str, Any]]:
        """The events that the probe got for the stack, in order, once there are so many: the log comes a bit later."""
        patience = time.monotonic() + 20
        while len(self._logged(name)) < count and time.monotonic() < patience:
            time.sleep(0.1)
        time.sleep(0.3)  # One too many would come now.
        return self._logged(name)

    def _logged(self, name: str) -> list[dict[str, Any]]:
        pages = self.aws.client("logs").get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/probe")
        lines = [event["message"] for page in pages for event in page["events"]]
        events = [json.loads(line.split("EVENT ", 1)[1]) for line in lines if "EVENT " in line]
        return [event for event in events if f":stack/{name}/" in event["StackId"]]


@pytest.fixture(scope="module")
def stacks() -> Iterator[Stacks]:
    with LocalAws() as aws:
        made = Stacks(aws)
        assert made.status(made.deploy(PROVIDERS)) == "CREATE_COMPLETE"
        yield made


def template(*, function: str = "probe", timeout: int = 20, output: bool = False, **scripts: Any) -> dict[str, Any]:
    """One resource, whose function answers each request type as `scripts` say."""
    token = f"arn:aws:lambda:us-east-1:123456789012:function:{function}"
    properties = {name: json.dumps(script) for name, script in scripts.items()}
    made: dict[str, Any] = {
        "Resources": {
            "It": {
                "Type": "Custom::Probe",
                "Properties": {"ServiceToken": token, "ServiceTimeout": timeout, **properties},
            }
        }
    }
    if output:
        made["Outputs"] = {
            "Plain": {"Value": {"Fn::GetAtt": "It.Yes"}},
            "Substituted": {"Value": {"Fn::Sub": "${It.Yes}"}},
            "Packages": {"Value": {"Fn::GetAtt": "It.Packages"}},
        }
    return made


def answers(*bodies: Any) -> dict[str, Any]:
    return {"answers": list(bodies)}


def test_a_failed_create_is_told_in_cloudformations_words_and_gets_its_delete(stacks: Stacks) -> None:
    failed = {"Status": "FAILED", "Reason": "no such country", "PhysicalResourceId": "half-made"}
    name = stacks.deploy(template(Create=answers(failed)))
    assert stacks.status(name) == "ROLLBACK_COMPLETE"
    create, delete = stacks.received(name, 2)
    assert stacks.reason(name) == (
        "Received response status [FAILED] from custom resource. "
        f"Message returned: no such country (RequestId: {create['RequestId']})"
    )
    assert (delete["RequestType"], delete["PhysicalResourceId"]) == ("Delete", "half-made")
    assert delete["ResourceProperties"] == create["ResourceProperties"]
    assert delete["ServiceToken"] == delete["ResourceProperties"]["ServiceToken"]


def test_a_failed_create_in_an_update_gets_its_delete_as_well(stacks: Stacks) -> None:
    first = template()
    name = stacks.deploy(first)
    failed = {"Status": "FAILED", "Reason": "no", "PhysicalResourceId": "half-made"}
    second = template(Create=answers(failed))["Resources"]["It"]
    stacks.deploy({"Resources": {**first["Resources"], "Second": second}}, name)
    assert stacks.status(name) == "UPDATE_ROLLBACK_COMPLETE"
    assert [(event["RequestType"], event["LogicalResourceId"]) for event in stacks.received(name, 3)] == [
        ("Create", "It"),
        ("Create", "Second"),
        ("Delete", "Second"),
    ]


def test_service_timeout_counts_from_the_request_and_the_delete_carries_a_made_up_id(stacks: Stacks) -> None:
    started = time.monotonic()
    name = stacks.deploy(template(timeout=1, Create=answers()))
    assert time.monotonic() - started < 5
    assert stacks.reason(name).startswith("CloudFormation did not receive a response from your Custom Resource.")
    _, delete = stacks.received(name, 2)
    assert re.fullmatch(rf"{name}-It-[A-Z0-9]{{12}}", delete["PhysicalResourceId"])


def test_a_function_that_raises_is_run_again_with_the_same_event(stacks: Stacks) -> None:
    name = stacks.deploy(template(Create={"raises": 2, "answers": [{}]}))
    assert stacks.status(name) == "CREATE_COMPLETE"
    first, second, third = stacks.received(name, 3)
    assert first == second == third


def test_an_event_whose_retries_are_spent_reaches_the_last_resort_through_the_queue(stacks: Stacks) -> None:
    made = template(Create={"raises": 3, "answers": [{}]})
    made["Outputs"] = {"By": {"Value": {"Fn::GetAtt": "It.By"}}}
    name = stacks.deploy(made)
    assert stacks.status(name) == "CREATE_COMPLETE"
    assert stacks.outputs(name) == {"By": "last resort"}
    assert len(stacks.received(name, 3)) == 3


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{not json", "Invalid response object"),
        ('["a list"]', "Invalid response object"),
        ({"PhysicalResourceId": ""}, "Invalid PhysicalResourceId"),
        ({"PhysicalResourceId": None, "Status": "FAILED", "Reason": "hidden"}, "Invalid PhysicalResourceId"),
        ({"PhysicalResourceId": "x" * 1025}, "Invalid PhysicalResourceId"),
        ({"Data": {"Text": "x" * 4096}}, "Response object is too long."),
        ({"StackId": "another"}, "Invalid StackId"),
        ({"RequestId": "another"}, "Invalid RequestId"),
        ({"LogicalResourceId": "another"}, "Invalid LogicalResourceId"),
        ({"Data": {"Nested": {"a": "b"}}}, "Value of property Data must be an object with String"),
    ],
)
def test_an_answer_that_breaks_the_contract_fails_the_resource(stacks: Stacks, body: Any, reason: str) -> None:
    name = stacks.deploy(template(Create=answers(body)))
    assert stacks.status(name) == "ROLLBACK_COMPLETE"
    assert stacks.reason(name).startswith(reason)


def test_an_answer_of_4096_bytes_is_taken(stacks: Stacks) -> None:
    # Every id is as long as the next stack's.
    name = stacks.deploy(template())
    (create,) = stacks.received(name, 1)
    ids = {key: create[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    made = f"made-{create['RequestId']}"
    taken = len(json.dumps({"Status": "SUCCESS", **ids, "PhysicalResourceId": made, "Reason": ""}))
    exact = stacks.deploy(template(Create=answers({"Reason": "x" * (4096 - taken)})))
    longer = stacks.deploy(template(Create=answers({"Reason": "x" * (4097 - taken)})))
    assert len(exact) == len(longer) == len(name)
    assert stacks.status(exact) == "CREATE_COMPLETE"
    assert stacks.reason(longer) == "Response object is too long."


def test_the_first_answer_counts(stacks: Stacks) -> None:
    late = {"Status": "FAILED", "Reason": "too late"}
    assert stacks.status(stacks.deploy(template(Create=answers({}, late)))) == "CREATE_COMPLETE"


def test_attributes_are_text_and_the_function_has_no_package_that_it_did_not_bring(stacks: Stacks) -> None:
    name = stacks.deploy(template(output=True, Create=answers({"Data": {"Yes": True}})))
    assert stacks.outputs(name) == {"Plain": "true", "Substituted": "true", "Packages": "false"}


def test_a_changed_service_token_is_refused_before_any_request(stacks: Stacks) -> None:
    name = stacks.deploy(template())
    stacks.deploy(template(function="other"), name)
    assert stacks.status(name) == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.reason(name) == "Modifying service token is not allowed."
    assert [event["RequestType"] for event in stacks.received(name, 1)] == ["Create"]


@pytest.mark.parametrize(
    ("scripts", "status"),
    [
        ({"Create": answers({"Status": "FAILED"})}, "ROLLBACK_COMPLETE"),
        ({"Delete": answers({"Status": "FAILED"})}, "DELETE_FAILED"),
    ],
)
def test_a_stack_that_failed_for_good_takes_no_change_set(stacks: Stacks, scripts: dict[str, Any], status: str) -> None:
    name = stacks.deploy(template(**scripts))
    if status == "DELETE_FAILED":
        stacks.cloudformation.delete_stack(StackName=name)
        while stacks.status(name).endswith("_IN_PROGRESS"):
            time.sleep(0.1)
    assert stacks.status(name) == status
    with pytest.raises(ClientError, match=rf"Stack:arn:.*/{name}/.* is in {status} state and can not be updated"):
        stacks.cloudformation.create_change_set(
            StackName=name, ChangeSetName="mended", TemplateBody=json.dumps(template(timeout=21))
        )


def test_it_listens_on_loopback_alone_and_leaves_nothing_behind() -> None:
    with LocalAws() as aws:
        group, directory = aws.process_group, aws.directory
        for url in (aws.endpoint, aws.page):
            port = urlsplit(url).port
            assert port
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            # Another address of the same machine: a server on every interface would take it.
            with pytest.raises(OSError, match=r"refused|timed out|assign"):
                socket.create_connection(("127.0.0.2", port), timeout=1)
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
    assert not directory.exists()


def test_another_version_is_refused() -> None:
    program = "from local.launcher import __main__ as launcher; launcher.MADE_FOR = '1.5.32'; launcher.main()"
    names = ("directory", "certificate", "key", "sms-voice", "connect", "port")
    options = [f"--{name}=1" for name in names]
    ran = subprocess.run(  # noqa: S603
        [ROOT / ".venv-local/bin/python", "-c", program, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "made for ministack 1.5.32, not 1.5.33" in ran.stderr
