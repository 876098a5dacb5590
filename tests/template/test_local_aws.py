"""The launcher's corrections of ministack, tested with stacks whose function follows a script in the template."""

import json
import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError

from local.aws import LocalAws
from local.launcher import __main__ as launcher

pytestmark = pytest.mark.e2e

# The script is the property named after the request type, a JSON object: `responses` is a list of bodies (text is sent
# unchanged, the IDs are added to an object), `raises` is the number of invocations that fail first, `held` is a file:
# the function creates it and responds when it is deleted.
# The response to an event from the on-failure queue is SUCCESS.
PROBE = """
import json, os, tempfile, time, urllib.request

def put(event, body):
    if isinstance(body, dict):
        ids = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
        ids["PhysicalResourceId"] = event.get("PhysicalResourceId", "created-" + event["RequestId"])
        body = json.dumps({"Status": "SUCCESS", **ids, **body})
    request = urllib.request.Request(event["ResponseURL"], body.encode(), {"Content-Type": ""}, method="PUT")
    urllib.request.urlopen(request, timeout=5).close()

def handler(event, context):
    if "Records" in event:
        record = json.loads(event["Records"][0]["body"])
        return put(record["requestPayload"], {"Data": {"By": "continuation"}})
    print("EVENT " + json.dumps([time.time(), event]))
    script = json.loads(event["ResourceProperties"].get(event["RequestType"], '{"responses": [{}]}'))
    count = os.path.join(tempfile.gettempdir(), event["RequestId"])
    with open(count, "a+") as attempts:
        attempts.write(".")
        attempts.flush()
        attempts.seek(0)
        if len(attempts.read()) <= script.get("raises", 0):
            raise RuntimeError("as scripted")
    try:
        import botocore
        packages = True
    except ImportError:
        packages = False
    if "held" in script:
        open(script["held"], "w").close()
        while os.path.exists(script["held"]):
            time.sleep(0.02)
    for response in script["responses"]:
        if isinstance(response, dict) and "Data" in response:
            response["Data"]["Packages"] = packages
        put(event, response)
"""

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
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


def queue(*allowed: str, excepted: str = "Role") -> dict[str, Any]:
    """Return a queue, the role of its function, and a policy that denies the queue's use to every role but one."""
    statement = {"Effect": "Allow", "Action": [f"sqs:{name}" for name in allowed], "Resource": "*"}
    inline = {"PolicyName": "queue", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}
    deny: dict[str, Any] = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["sqs:SendMessage", "sqs:ReceiveMessage"],
        "Resource": {"Fn::GetAtt": "Queue.Arn"},
        "Condition": {"ArnNotLike": {"aws:PrincipalArn": [{"Fn::GetAtt": f"{excepted}.Arn"}, ROOT_ACCOUNT]}},
    }
    tls = {key: deny[key] for key in ("Effect", "Principal", "Resource")}
    tls |= {"Action": "sqs:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    trusted: dict[str, Any] = {"AssumeRolePolicyDocument": TRUST}
    policy = {"Queues": [{"Ref": "Queue"}], "PolicyDocument": {"Version": "2012-10-17", "Statement": [deny, tls]}}
    return {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {**trusted, "Policies": [inline] if allowed else []}},
        "OtherRole": {"Type": "AWS::IAM::Role", "Properties": trusted},
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 30}},
        "QueuePolicy": {"Type": "AWS::SQS::QueuePolicy", "Properties": policy},
    }


TELECOM = ("sms-voice", "connect", "tagging", "quotas")
ROOT_ACCOUNT = "arn:aws:iam::123456789012:root"
RECEIVE = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
PROVIDERS = {
    "Resources": {
        **queue("SendMessage", *RECEIVE),
        "Probe": function("probe"),
        "Continuation": function("continuation"),
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
                "FunctionName": {"Ref": "Continuation"},
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
        """Create a stack, or update the stack `name`; wait until it settles and return its name."""
        name = self.start(template, name)
        self.settle(name)
        return name

    def start(self, template: dict[str, Any], name: str = "") -> str:
        """Start to create a stack or to update the stack `name`; return its name."""
        if name:
            self.cloudformation.update_stack(
                StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"]
            )
        else:
            self._count += 1
            name = f"stack-{self._count:03}"
            self.cloudformation.create_stack(
                StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"]
            )
        return name

    def settle(self, name: str) -> None:
        while self.status(name).endswith("_IN_PROGRESS"):
            time.sleep(0.1)

    def status(self, name: str) -> str:
        return str(self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])

    def outputs(self, name: str) -> dict[str, str]:
        found = self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
        return {output["OutputKey"]: output["OutputValue"] for output in found}

    def reason(self, name: str) -> str:
        """Return the status reason of the failed resource."""
        events = self.cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        (reason,) = {
            event["ResourceStatusReason"]
            for event in events
            if event["LogicalResourceId"] == "It" and event["ResourceStatus"] in {"CREATE_FAILED", "UPDATE_FAILED"}
        }
        return str(reason)

    def received(self, name: str, count: int) -> list[dict[str, Any]]:
        """Wait until the probe has logged `count` events of the stack; return them in order."""
        deadline = time.monotonic() + 20
        while len(self._logged(name)) < count and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.3)  # An unexpected event would arrive now.
        return self._logged(name)

    def _logged(self, name: str) -> list[dict[str, Any]]:
        pages = self.aws.client("logs").get_paginator("filter_log_events").paginate(logGroupName="/aws/lambda/probe")
        lines = [event["message"] for page in pages for event in page["events"]]
        # A function logs after its response, so that the next invocation can log first.
        events = sorted(json.loads(line.split("EVENT ", 1)[1]) for line in lines if "EVENT " in line)
        return [event for _, event in events if f":stack/{name}/" in event["StackId"]]


@pytest.fixture(scope="module")
def stacks() -> Iterator[Stacks]:
    with LocalAws() as aws:
        stacks = Stacks(aws)
        assert stacks.status(stacks.deploy(PROVIDERS)) == "CREATE_COMPLETE"
        yield stacks


def template(
    *, function: str = "probe", timeout: int = 20, outputs: dict[str, Any] | None = None, **scripts: Any
) -> dict[str, Any]:
    """Return a template with one resource; `scripts` are its scripts by request type."""
    token = f"arn:aws:lambda:us-east-1:123456789012:function:{function}"
    properties = {name: json.dumps(script) for name, script in scripts.items()}
    resource = {
        "Type": "Custom::Probe",
        "Properties": {"ServiceToken": token, "ServiceTimeout": timeout, **properties},
    }
    return {
        "Resources": {"It": resource},
        "Outputs": {name: {"Value": value} for name, value in (outputs or {}).items()},
    }


def responses(*bodies: Any) -> dict[str, Any]:
    return {"responses": list(bodies)}


def test_failed_create_has_cloudformation_reason_and_gets_delete(stacks: Stacks) -> None:
    failed = {"Status": "FAILED", "Reason": "no such country", "PhysicalResourceId": "partial"}
    name = stacks.deploy(template(Create=responses(failed)))
    assert stacks.status(name) == "ROLLBACK_COMPLETE"
    create, delete = stacks.received(name, 2)
    assert stacks.reason(name) == (
        "Received response status [FAILED] from custom resource. "
        f"Message returned: no such country (RequestId: {create['RequestId']})"
    )
    assert (delete["RequestType"], delete["PhysicalResourceId"]) == ("Delete", "partial")
    assert delete["ResourceProperties"] == create["ResourceProperties"]
    assert delete["ServiceToken"] == delete["ResourceProperties"]["ServiceToken"]
    signed = parse_qs(urlsplit(create["ResponseURL"]).query)
    assert signed["X-Amz-Expires"] == ["7200"]
    issued_at = datetime.strptime(signed["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert timedelta() <= datetime.now(UTC) - issued_at < timedelta(minutes=1)


def test_service_timeout_starts_with_request_and_delete_has_generated_id(stacks: Stacks) -> None:
    started = time.monotonic()
    name = stacks.deploy(template(timeout=1, Create=responses()))
    assert time.monotonic() - started < 5
    assert stacks.reason(name).startswith("CloudFormation did not receive a response from your Custom Resource.")
    _, delete = stacks.received(name, 2)
    assert re.fullmatch(rf"{name}-It-[A-Z0-9]{{12}}", delete["PhysicalResourceId"])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{not json", "Invalid response object"),
        ('["a list"]', "Invalid response object"),
        ({"PhysicalResourceId": ""}, "Invalid PhysicalResourceId"),
        ({"PhysicalResourceId": None, "Status": "FAILED", "Reason": "hidden"}, "Invalid PhysicalResourceId"),
        ({"PhysicalResourceId": "x" * 1025}, "Invalid PhysicalResourceId"),
        ({"StackId": "another"}, "Invalid StackId"),
        ({"RequestId": "another"}, "Invalid RequestId"),
        ({"LogicalResourceId": "another"}, "Invalid LogicalResourceId"),
        ({"Data": {"Nested": {"a": "b"}}}, "Value of property Data must be an object with String"),
    ],
)
def test_invalid_response_fails_the_resource(stacks: Stacks, body: Any, reason: str) -> None:
    name = stacks.deploy(template(Create=responses(body)))
    assert stacks.status(name) == "ROLLBACK_COMPLETE"
    assert stacks.reason(name).startswith(reason)


def test_response_of_4096_bytes_is_accepted(stacks: Stacks) -> None:
    # The IDs of all stacks have the same length.
    name = stacks.deploy(template())
    (create,) = stacks.received(name, 1)
    ids = {key: create[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    physical_id = f"created-{create['RequestId']}"
    length = len(json.dumps({"Status": "SUCCESS", **ids, "PhysicalResourceId": physical_id, "Reason": ""}))
    exact = stacks.deploy(template(Create=responses({"Reason": "x" * (4096 - length)})))
    longer = stacks.deploy(template(Create=responses({"Reason": "x" * (4097 - length)})))
    assert len(exact) == len(longer) == len(name)
    assert stacks.status(exact) == "CREATE_COMPLETE"
    assert stacks.reason(longer) == "Response object is too long."


def test_changed_service_token_is_rejected_before_any_request(stacks: Stacks) -> None:
    name = stacks.deploy(template())
    stacks.deploy(template(function="continuation"), name)
    assert stacks.status(name) == "UPDATE_ROLLBACK_COMPLETE"
    assert stacks.reason(name) == "Modifying service token is not allowed."
    assert [event["RequestType"] for event in stacks.received(name, 1)] == ["Create"]


def test_failed_create_in_update_gets_delete(stacks: Stacks) -> None:
    first, second = template(), template(Create=responses({"Status": "FAILED", "PhysicalResourceId": "partial"}))
    name = stacks.deploy(first)
    stacks.deploy({"Resources": {**first["Resources"], "Second": second["Resources"]["It"]}}, name)
    assert stacks.status(name) == "UPDATE_ROLLBACK_COMPLETE"
    _, *sent = stacks.received(name, 3)
    assert [(event["RequestType"], event["LogicalResourceId"]) for event in sent] == [
        ("Create", "Second"),
        ("Delete", "Second"),
    ]


def test_failed_invocation_is_retried_twice_and_continuation_receives_event_from_queue(stacks: Stacks) -> None:
    script = {"raises": 3, "responses": [{}]}
    name = stacks.deploy(template(outputs={"By": {"Fn::GetAtt": "It.By"}}, Create=script))
    assert stacks.status(name) == "CREATE_COMPLETE"
    assert stacks.outputs(name) == {"By": "continuation"}
    first, second, third = stacks.received(name, 3)
    assert first == second == third


class Waiting:
    """A stack with a queue whose messages the function `receiver` receives, and to which it sends failed events."""

    def __init__(self, stacks: Stacks) -> None:
        self._stacks = stacks
        self._sqs = stacks.aws.client("sqs")
        self._name = ""
        mapping = {
            "EventSourceArn": {"Fn::GetAtt": "Queue.Arn"},
            "FunctionName": {"Ref": "Receiver"},
            "ScalingConfig": {"MaximumConcurrency": {"Ref": "Concurrency"}},
        }
        destination = {"OnFailure": {"Destination": {"Fn::GetAtt": "Queue.Arn"}}}
        invoke = {"FunctionName": {"Ref": "Receiver"}, "Qualifier": "$LATEST", "MaximumRetryAttempts": 0}
        self._functions = {
            "Receiver": function("receiver"),
            "Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": mapping},
            "Invoke": {
                "Type": "AWS::Lambda::EventInvokeConfig",
                "Properties": {**invoke, "DestinationConfig": destination},
            },
        }

    def deploy(self, resources: dict[str, Any]) -> None:
        template = {
            "Parameters": {"Concurrency": {"Type": "Number", "Default": 2}},
            "Resources": resources | self._functions,
            "Outputs": {"Url": {"Value": {"Ref": "Queue"}}},
        }
        self._name = self._stacks.deploy(template, self._name)
        assert self._stacks.status(self._name).endswith("_COMPLETE")
        self.url = self._stacks.outputs(self._name)["Url"]

    def send(self, **parameters: Any) -> None:
        self._sqs.send_message(QueueUrl=self.url, MessageBody="{}", **parameters)

    def hide(self, seconds: int) -> None:
        self._sqs.change_message_visibility(QueueUrl=self.url, ReceiptHandle="any", VisibilityTimeout=seconds)

    def fail(self) -> None:
        self._stacks.aws.client("lambda").invoke(
            FunctionName="receiver", InvocationType="Event", Payload=b'{"Records": []}'
        )

    def messages(self, *, received: int = 0) -> tuple[int, int]:
        """Wait until Lambda would have received a message. Return the number of visible and of received messages."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            time.sleep(1.5)  # an idle poller waits for a second
            if self._messages()[1] >= received:
                break
        return self._messages()

    def _messages(self) -> tuple[int, int]:
        names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible")]
        found = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])


@pytest.fixture(scope="module")
def waiting(stacks: Stacks) -> Waiting:
    return Waiting(stacks)


def test_lambda_receives_and_sends_only_with_permission(waiting: Waiting) -> None:
    waiting.deploy(queue())
    waiting.fail()
    assert waiting.messages() == (0, 0)
    waiting.send()
    assert waiting.messages() == (1, 0)
    waiting.deploy(queue("SendMessage", *RECEIVE[1:]))
    assert waiting.messages() == (1, 0)
    waiting.deploy(queue("SendMessage", *RECEIVE, excepted="OtherRole"))
    waiting.fail()
    assert waiting.messages() == (1, 0)
    waiting.deploy(queue("SendMessage", *RECEIVE))
    waiting.fail()
    assert waiting.messages(received=2) == (0, 2)


def test_queue_rejects_longer_waiting_than_amazon_sqs(waiting: Waiting) -> None:
    waiting.deploy(queue("SendMessage"))
    waiting.send(DelaySeconds=900)
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        waiting.send(DelaySeconds=901)
    with pytest.raises(ClientError, match="ReceiptHandleIsInvalid"):
        waiting.hide(43_200)
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        waiting.hide(43_201)


def test_first_response_counts_its_attributes_are_text_and_function_has_no_other_packages(stacks: Stacks) -> None:
    outputs = {
        "Plain": {"Fn::GetAtt": "It.Yes"},
        "Substituted": {"Fn::Sub": "${It.Yes}"},
        "Packages": {"Fn::GetAtt": "It.Packages"},
    }
    late = {"Status": "FAILED", "Reason": "too late"}
    name = stacks.deploy(template(outputs=outputs, Create=responses({"Data": {"Yes": True}}, late)))
    assert stacks.status(name) == "CREATE_COMPLETE"
    assert stacks.outputs(name) == {"Plain": "true", "Substituted": "true", "Packages": "false"}


def test_failed_stack_rejects_change_set(stacks: Stacks) -> None:
    name = stacks.deploy(template(Create=responses({"Status": "FAILED"})))
    with pytest.raises(
        ClientError, match=rf"Stack:arn:.*/{name}/.* is in ROLLBACK_COMPLETE state and can not be updated"
    ):
        stacks.cloudformation.create_change_set(
            StackName=name, ChangeSetName="fixed", TemplateBody=json.dumps(template(timeout=21))
        )


def test_change_set_shows_property_values_on_request(stacks: Stacks) -> None:
    name = stacks.deploy(template())
    changed = template(timeout=21)
    changed["Resources"]["It"] |= {"UpdateReplacePolicy": "Retain"}
    changed["Resources"]["It"]["Properties"]["Other"] = [{"Ref": "Next"}, {"Ref": "AWS::StackName"}, True]
    changed["Resources"]["Next"] = template()["Resources"]["It"]
    names = {"StackName": name, "ChangeSetName": "next"}
    stacks.cloudformation.create_change_set(**names, TemplateBody=json.dumps(changed))

    def changes(**options: Any) -> dict[str, Any]:
        described = stacks.cloudformation.describe_change_set(**names, **options)["Changes"]
        return {change["ResourceChange"]["LogicalResourceId"]: change["ResourceChange"] for change in described}

    assert not [change for change in changes().values() if "AfterContext" in change]
    shown = changes(IncludePropertyValues=True)
    before, after = (json.loads(shown["It"][context]) for context in ("BeforeContext", "AfterContext"))
    assert before["Properties"]["ServiceTimeout"] == "20"
    assert after["Properties"]["ServiceTimeout"] == "21"
    assert after["Properties"]["Other"] == ["{{changeSet:KNOWN_AFTER_APPLY}}", name, "true"]
    assert after["UpdateReplacePolicy"] == "Retain"
    assert "BeforeContext" not in shown["Next"]


class Held:
    """A Delete that the probe holds, see PROBE."""

    def __init__(self, stacks: Stacks, directory: Path) -> None:
        self._stacks = stacks
        self._file = directory / "held"

    @property
    def script(self) -> dict[str, Any]:
        return {"held": str(self._file), "responses": [{}]}

    def status(self, name: str) -> str:
        """Wait until the probe holds the Delete, let it respond, and return the status that the stack had."""
        deadline = time.monotonic() + 20
        while not self._file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        status = self._stacks.status(name)
        self._file.unlink()
        return status


@pytest.fixture
def held(stacks: Stacks, tmp_path: Path) -> Held:
    return Held(stacks, tmp_path)


def test_stack_is_in_progress_during_each_delete(stacks: Stacks, held: Held) -> None:
    def resource(**scripts: Any) -> dict[str, Any]:
        declared: dict[str, Any] = template(**scripts)["Resources"]["It"]
        return declared

    def update(**declared: Any) -> str:
        stacks.start({"Resources": declared}, name)
        status = held.status(name)
        stacks.settle(name)
        return status

    it, bad = resource(Delete=held.script), resource(Create=responses({"Status": "FAILED", "Reason": "no"}))
    replaced = resource(Delete=held.script, Update=responses({"PhysicalResourceId": "new"}))

    name = stacks.start({"Resources": {"It": it, "Bad": bad | {"DependsOn": "It"}}})
    assert held.status(name) == "ROLLBACK_IN_PROGRESS"
    stacks.settle(name)

    name = stacks.deploy({"Resources": {"It": it, "Removed": it}})
    # CloudFormation has UPDATE_COMPLETE_CLEANUP_IN_PROGRESS in these two.
    assert update(It=replaced, Removed=it) == "UPDATE_IN_PROGRESS"
    assert update(It=replaced) == "UPDATE_IN_PROGRESS"
    rolled_back = update(It=replaced, Added=it, Bad=bad | {"DependsOn": "Added"})
    assert rolled_back == "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
    stacks.cloudformation.delete_stack(StackName=name)
    assert held.status(name) == "DELETE_IN_PROGRESS"


def test_events_name_the_physical_id_of_a_resource_that_has_one(stacks: Stacks) -> None:
    def events(name: str) -> list[tuple[str, str]]:
        found = stacks.cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        return [
            (event["ResourceStatus"], event["PhysicalResourceId"])
            for event in reversed(found)
            if event["LogicalResourceId"] == "It"
        ]

    name = stacks.deploy(template(Create=responses({"Status": "FAILED", "PhysicalResourceId": "partial"})))
    assert events(name) == [
        ("CREATE_IN_PROGRESS", ""),
        ("CREATE_FAILED", "partial"),
        ("DELETE_IN_PROGRESS", "partial"),
        ("DELETE_COMPLETE", "partial"),
    ]
    name = stacks.deploy(template(Create=responses({"PhysicalResourceId": "one"})))
    stacks.deploy(template(Update=responses({"PhysicalResourceId": "two"})), name)
    stacks.deploy(template(Update=responses({"Status": "FAILED"})), name)
    assert events(name)[1:6] == [
        ("CREATE_COMPLETE", "one"),
        ("UPDATE_IN_PROGRESS", "one"),
        ("UPDATE_COMPLETE", "two"),
        ("UPDATE_IN_PROGRESS", "two"),
        ("UPDATE_FAILED", "two"),
    ]


def test_deleted_stack_lists_its_resources(stacks: Stacks) -> None:
    declared = template(Create=responses({"PhysicalResourceId": "one"}))
    kept = template(Create=responses({"PhysicalResourceId": "two"}))["Resources"]["It"]
    declared["Resources"]["Kept"] = kept | {"DeletionPolicy": "Retain"}
    name = stacks.deploy(declared)
    stack_id = stacks.cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackId"]

    def listed() -> dict[str, str]:
        found = stacks.cloudformation.list_stack_resources(StackName=stack_id)["StackResourceSummaries"]
        return {one["PhysicalResourceId"]: one["ResourceStatus"] for one in found}

    assert listed() == {"one": "CREATE_COMPLETE", "two": "CREATE_COMPLETE"}
    stacks.cloudformation.delete_stack(StackName=stack_id)
    stacks.settle(stack_id)
    assert listed() == {"one": "DELETE_COMPLETE", "two": "DELETE_SKIPPED"}


def test_local_aws_listens_only_on_loopback(stacks: Stacks) -> None:
    for url in (stacks.aws.endpoint, stacks.aws.status_url):
        port = urlsplit(url).port
        assert port
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        # Another address of this machine: a server on all interfaces would accept the connection.
        with pytest.raises(OSError, match=r"refused|timed out|assign"):
            socket.create_connection(("127.0.0.2", port), timeout=1)


def test_unsupported_version_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    options = [f"--{name}=1" for name in ("directory", "certificate", "key", "port", *TELECOM)]
    monkeypatch.setattr("sys.argv", ["launcher", *options])
    monkeypatch.setattr(launcher, "version", lambda _: "0.0.1")
    with pytest.raises(SystemExit, match=f"require ministack {launcher.SUPPORTED_VERSION}, not 0.0.1"):
        launcher.main()


HOOK = """
import json, os, urllib.request

def handler(event, context):
    with urllib.request.urlopen(event["requestData"]["payload"], timeout=5) as response:
        payload = json.load(response)
    print("EVENT " + json.dumps([event, payload]))
    stopped = event["requestData"]["targetType"] == "STACK" or "AFTER" in json.dumps(payload)
    status = {"hookStatus": "FAILED", "errorCode": "NonCompliant"} if stopped else {"hookStatus": "SUCCESS"}
    return {**status, "message": "Not today.", "clientRequestToken": event["clientRequestToken"]}
"""


def hook(**properties: Any) -> dict[str, Any]:
    code = {"ZipFile": HOOK}
    declared = function("hook")["Properties"] | {"Code": code}
    filters = {"FilteringCriteria": "ALL", "StackNames": {"Exclude": ["excluded*", {"Ref": "AWS::StackName"}]}}
    return {
        "Resources": {
            "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}},
            "Function": {"Type": "AWS::Lambda::Function", "Properties": declared},
            "Hook": {
                "Type": "AWS::CloudFormation::LambdaHook",
                "Properties": {
                    "Alias": "Local::Test::Hook",
                    "LambdaFunction": {"Fn::GetAtt": "Function.Arn"},
                    "ExecutionRole": {"Fn::GetAtt": "Role.Arn"},
                    "FailureMode": "FAIL",
                    "HookStatus": "ENABLED",
                    "TargetOperations": ["STACK", "CHANGE_SET"],
                    "StackFilters": filters,
                    **properties,
                },
            },
        }
    }


def test_hook_stops_change_sets_and_deletions(stacks: Stacks) -> None:
    cloudformation = stacks.cloudformation
    name = stacks.deploy(template())
    owner = stacks.deploy(hook())
    assert stacks.status(owner) == "CREATE_COMPLETE"

    def change_set(marker: str) -> dict[str, Any]:
        body = json.dumps(template(Update=responses({}), Marker=marker))
        made = cloudformation.create_change_set(StackName=name, ChangeSetName=f"x{marker}", TemplateBody=body)
        while (found := cloudformation.describe_change_set(ChangeSetName=made["Id"]))["Status"].endswith("PROGRESS"):
            time.sleep(0.1)
        return dict(found)

    passed, stopped = change_set("BETWEEN"), change_set("AFTER")
    assert (passed["Status"], passed["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    assert (stopped["Status"], stopped["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert stopped["StatusReason"].startswith(
        "Change set creation failed. The following hook(s) failed: [Local::Test::Hook]"
    )
    cloudformation.delete_stack(StackName=name)
    stacks.settle(name)
    assert stacks.status(name) == "DELETE_FAILED"
    assert [event["RequestType"] for event in stacks.received(name, 1)] == ["Create"]

    logged = stacks.aws.client("logs").filter_log_events(logGroupName="/aws/lambda/hook")["events"]
    lines = [json.loads(event["message"].split("EVENT ", 1)[1]) for event in logged if "EVENT " in event["message"]]
    [(asked, payload)] = [each for each in lines if each[0]["changeSetId"] == stopped["ChangeSetId"]]
    assert asked["requestData"]["targetLogicalId"] == stopped["ChangeSetId"]
    assert asked["actionInvocationPoint"] == "CREATE_PRE_PROVISION"
    [changed] = payload["changedResources"]
    assert (changed["action"], changed["logicalResourceId"]) == ("UPDATE", "It")
    assert json.loads(changed["afterContext"])["Properties"]["Marker"] == '"AFTER"'
    [(asked, payload)] = [each for each in lines if each[0]["requestData"]["targetType"] == "STACK"]
    assert (asked["actionInvocationPoint"], asked["stackId"]) == ("DELETE_PRE_PROVISION", passed["StackId"])
    assert set(payload.values()) == {None}

    stacks.deploy(hook(FailureMode="WARN"), owner)
    cloudformation.delete_stack(StackName=name)
    stacks.settle(passed["StackId"])
    assert stacks.status(passed["StackId"]) == "DELETE_COMPLETE"
    cloudformation.delete_stack(StackName=owner)
