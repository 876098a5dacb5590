"""The steps of the demo, in order. Each returns its result or raises StepFailed; purchases are counted after each."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from local.aws import LocalAws
from local.demo import background
from local.demo.delivery import ResponseServer, create_event, deliver
from local.demo.expectations import StepFailed, expect, expect_in
from local.demo.stacks import Stacks
from local.demo.templates import EXAMPLES, Template
from local.demo.waiting import QueueWatch, request_log

SMS, CONNECT = "pinpoint-sms-voice-v2", "connect"
NUMBER, SENDER, CALL_NUMBER = "Custom::SmsPhoneNumber", "Custom::SmsSenderId", "Custom::ConnectPhoneNumber"
PURCHASES = {
    NUMBER: f"{SMS}.RequestPhoneNumber",
    SENDER: f"{SMS}.RequestSenderId",
    CALL_NUMBER: f"{CONNECT}.ClaimPhoneNumber",
}
RELEASES = {
    NUMBER: f"{SMS}.ReleasePhoneNumber",
    SENDER: f"{SMS}.ReleaseSenderId",
    CALL_NUMBER: f"{CONNECT}.ReleasePhoneNumber",
}
PROVIDER = "cfn-telephony"
_ACTIVATION_SECONDS = 12.0
"""Longer than an invocation waits (10 s)."""
_RELEASE_AFTER = "cfn-telephony:release-after"
CENTER, PREVIEW, ADOPT = "contact-center", "preview-stack", "adopt"
SIMULATOR = {"IsoCountryCode": "US", "NumberType": "SIMULATOR", "NumberCapabilities": ["SMS"]}


class Demo:
    """State of the demo. `show` displays details of a step: a title and rows."""

    def __init__(self, into: Path, show: Callable[[str, list[tuple[str, ...]]], None]) -> None:
        self.into = into
        self.show = show
        self.resources = contextlib.ExitStack()
        self.purchases: Counter[str] = Counter()
        """The expected number of calls of each purchasing operation."""
        self.aws: LocalAws
        self.stacks: Stacks
        self.responses: ResponseServer
        self.service_token = ""
        self.parameters: dict[str, dict[str, str]] = {}
        """Template parameters by example."""
        self.center: Template

    def calls(self) -> Counter[str]:
        """Return the number of calls by `service.Operation`."""
        return Counter(self.aws.telecom()["calls"])

    def released(self) -> Counter[str]:
        """Return the number of successful releases by resource type."""
        calls = Counter(f"{call['service']}.{call['operation']}" for call in self.aws.telecom()["log"] if call["ok"])
        return Counter({resource_type: calls[operation] for resource_type, operation in RELEASES.items()})

    def held(self) -> dict[str, int]:
        """Return the number of resources of each kind that are not released."""
        counts: dict[str, int] = self.aws.telecom()["counts"]
        return counts

    def change_center(self, **parameters: str) -> str:
        """Deploy the current template of the contact center."""
        template = self.center.write(self.aws.directory / "contact-center.json")
        return self.stacks.deploy(CENTER, template, **self.parameters[CENTER], **parameters)

    def change_provider(self, **parameters: str) -> str:
        """Deploy the provider as on AWS, except for AllowedResponseHosts."""
        hosts = f"{self.aws.response_host},{self.responses.host}"
        template = self.into / "sam" / "build" / "template.yaml"
        parameters = {"AllowedResponseHosts": hosts, "AllowAdoption": "true", **parameters}
        return self.stacks.deploy(PROVIDER, template, **parameters)

    def refs(self) -> dict[str, str]:
        """Return the Refs of the contact center by resource type."""
        return {resource_type: ref for _, resource_type, ref in self.stacks.resources(CENTER)}

    def deploy(self, name: str, template: Template) -> str:
        """Deploy a template."""
        return self.stacks.deploy(name, template.write(self.aws.directory / f"{name}.json"))

    def with_window(self) -> Template:
        """Return a template with a number for SMS and one for calls, and a recovery window."""
        common = {"ServiceToken": self.service_token, "RecoveryWindowInDays": 7}
        call_number: Any = {"TargetArn": self.parameters[PREVIEW]["InstanceArn"], "CountryCode": "US", "Type": "DID"}
        declared = {"SmsNumber": (NUMBER, SIMULATOR), "CallNumber": (CALL_NUMBER, call_number)}
        policies = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
        return Template(
            {
                "Resources": {
                    logical_id: {"Type": resource_type, **policies, "Properties": {**common, **properties}}
                    for logical_id, (resource_type, properties) in declared.items()
                }
            }
        )

    def pending_release(self) -> dict[str, str]:
        """Return when each number that is pending release is due, by Ref."""
        held = self.aws.telecom()["held"]
        numbers = [(number["id"], number["tags"]) for number in held["phone_numbers"]]
        numbers += [(number["arn"], number["tags"]) for number in held["connect_numbers"]]
        return {ref: tags[_RELEASE_AFTER] for ref, tags in numbers if _RELEASE_AFTER in tags}

    def release_pending(self) -> None:
        """Release the numbers that are pending release with the services' APIs, before they are due."""
        for ref in self.pending_release():
            self.aws.client(CONNECT if ref.startswith("arn:") else SMS).release_phone_number(PhoneNumberId=ref)

    def request_number(self) -> str:
        """Request the number that examples/adopt.yaml declares, as an operator does in the console. Returns its ID."""
        declared: Any = {"IsoCountryCode": "US", "NumberType": "TOLL_FREE", "NumberCapabilities": ["SMS"]}
        number = self.aws.client(SMS).request_phone_number(MessageType="TRANSACTIONAL", **declared)
        self.purchases[PURCHASES[NUMBER]] += 1
        return str(number["PhoneNumberId"])

    def held_number(self, number_id: str) -> dict[str, Any]:
        """Return a number for SMS as the services' status page shows it."""
        (found,) = [number for number in self.aws.telecom()["held"]["phone_numbers"] if number["id"] == number_id]
        return dict(found)

    def deploy_protected(self, name: str) -> tuple[Template, str, str]:
        """Deploy a stack with a protected number. Returns the template, the logical ID and the Ref."""
        template = Template.example("sms-phone-number").changed(NUMBER, DeletionProtectionEnabled=True)
        expect("status", "CREATE_COMPLETE", self.deploy(name, template))
        self.purchases[PURCHASES[NUMBER]] += 1
        logical_id = template.logical_id(NUMBER)
        return template, logical_id, self.stacks.ref(name, logical_id)

    def log(self, lines: int) -> str:
        """Return the last log lines of the provider, if it is deployed."""
        if not self.service_token:
            return ""
        group = f"/aws/lambda/{self.service_token.rpartition(':')[2]}"
        pages = self.aws.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        try:
            messages = [event["message"].rstrip() for page in pages for event in page["events"]]
        except ClientError:
            return ""  # The log group is deleted with the provider's stack.
        return "\n".join(messages[-lines:])

    def check_purchases(self) -> None:
        """Raise StepFailed unless the purchasing operations were called exactly as often as expected."""
        calls = self.calls()
        expect("purchases", dict(self.purchases), {name: calls[name] for name in PURCHASES.values() if calls[name]})

    def report(self) -> dict[str, Any]:
        """Return the statuses of each stack in order, the number of calls, and the held resources."""
        stacks = [{"name": name, "statuses": self.stacks.statuses(name)} for name in self.stacks.names]
        return {"stacks": stacks, "calls": dict(sorted(self.calls().items())), "held": self.held()}


@dataclass(frozen=True)
class Step:
    """A step and its expected result."""

    title: str
    expected: str
    run: Callable[[Demo], str]


STEPS: list[Step] = []


def _step(title: str, expected: str) -> Callable[[Callable[[Demo], str]], Callable[[Demo], str]]:
    def add(run: Callable[[Demo], str]) -> Callable[[Demo], str]:
        STEPS.append(Step(title, expected, run))
        return run

    return add


@_step("Start the local AWS", "CloudFormation, Lambda, SMS and Connect respond")
def start(demo: Demo) -> str:
    """Start the local AWS, and a server for the responses to events that are not sent by a stack."""
    demo.resources.callback(background.forget, demo.into)
    demo.aws = demo.resources.enter_context(LocalAws())
    background.record(demo.aws, demo.into)
    # Ten times the default: every claim counts for 180 days, and a kept demo is used for longer than its steps.
    demo.aws.configure(connect_numbers=50)
    demo.stacks = Stacks(demo.aws)
    certificate = demo.aws.directory / "server"
    demo.responses = demo.resources.enter_context(ResponseServer(f"{certificate}.crt", f"{certificate}.key"))
    return f"{demo.aws.endpoint}, {demo.aws.status_url}"


@_step("sam build", "four functions and their layer are built")
def build(demo: Demo) -> str:
    """Build the provider."""
    directory = demo.into / "sam" / "build"
    demo.aws.sam("build", "--build-dir", str(directory))
    built = sorted(path.name for path in directory.iterdir() if path.is_dir())
    expect(
        "built",
        [
            "ContinuationFunction",
            "DependenciesLayer",
            "GuardFunction",
            "ProviderFunction",
            "SweepFunction",
        ],
        built,
    )
    return ", ".join(built)


@_step("sam deploy the provider", "CREATE_COMPLETE, the ServiceToken is exported")
def deploy_provider(demo: Demo) -> str:
    """Deploy the provider, and create what the examples refer to."""
    status = demo.change_provider()
    expect("status", "CREATE_COMPLETE", status)
    exports = demo.aws.client("cloudformation").list_exports()["Exports"]
    tokens = [export["Value"] for export in exports if export["Name"] == f"{PROVIDER}-ServiceToken"]
    expect("exports of the ServiceToken", 1, len(tokens))
    demo.service_token = tokens[0]
    instance = demo.aws.client(CONNECT).create_instance(
        IdentityManagementType="CONNECT_MANAGED",
        InstanceAlias="demo",
        InboundCallsEnabled=True,
        OutboundCallsEnabled=True,
    )
    # Two examples declare a sender ID. A sender ID can exist only once per account and country.
    demo.parameters = {
        PREVIEW: {"InstanceArn": instance["Arn"]},
        "connect-phone-number": {"InstanceArn": instance["Arn"]},
        CENTER: {"InstanceArn": instance["Arn"], "SenderId": "FRONTDESK"},
        ADOPT: {"PhoneNumberId": demo.request_number()},
    }
    return f"{status}, {demo.service_token.rpartition(':')[2]}"


@_step("sam deploy every example", "CREATE_COMPLETE, one purchase per declared number, none for the adopted one")
def deploy_examples(demo: Demo) -> str:
    """Deploy all three types; the templates import the ServiceToken. One of them adopts a number."""
    names = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))
    for name in names:
        status = demo.stacks.deploy(name, EXAMPLES / f"{name}.yaml", **demo.parameters.get(name, {}))
        expect(f"status of {name}", "CREATE_COMPLETE", status)
    declared = sum((Template.example(name).purchases() for name in names), Counter[str]())
    expect("types in the examples", set(PURCHASES), set(declared))
    demo.purchases.update({PURCHASES[resource_type]: count for resource_type, count in declared.items()})
    rows: list[tuple[str, ...]] = []
    for name in names:
        rows += [(name, f"{logical_id} ({kind})", ref) for logical_id, kind, ref in demo.stacks.resources(name)]
        rows += [(name, output, value) for output, value in demo.stacks.outputs(name).items()]
    demo.show("Resources", rows)
    demo.center = Template.example(CENTER)
    return f"{len(names)} stacks CREATE_COMPLETE, {declared.total()} purchases"


@_step("Update in place", "UPDATE_COMPLETE, the same IDs, no purchase")
def update_in_place(demo: Demo) -> str:
    """Change a resource of each type in place."""
    before = demo.refs()
    tags = [{"Key": "team", "Value": "front desk"}]
    demo.center = (
        demo.center.changed(NUMBER, SelfManagedOptOutsEnabled=True, Tags=tags)
        .changed(SENDER, Tags=tags)
        .changed(CALL_NUMBER, Description="Reception", Tags=tags)
    )
    expect("status", "UPDATE_COMPLETE", demo.change_center())
    expect("IDs", before, demo.refs())
    sms, connect = demo.aws.client(SMS), demo.aws.client(CONNECT)
    (number,) = sms.describe_phone_numbers(PhoneNumberIds=[before[NUMBER]])["PhoneNumbers"]
    expect("SelfManagedOptOutsEnabled", True, number["SelfManagedOptOutsEnabled"])
    call_number = connect.describe_phone_number(PhoneNumberId=before[CALL_NUMBER])["ClaimedPhoneNumberSummary"]
    expect("Description", "Reception", call_number["PhoneNumberDescription"])
    held = demo.aws.telecom()["held"]
    purchased = [*held["phone_numbers"], *held["sender_ids"], *held["connect_numbers"]]
    expect("tagged", 3, sum(resource["tags"].get("team") == "front desk" for resource in purchased))
    return "UPDATE_COMPLETE; opt-outs, description and the tags of all three are changed"


@_step("Change the number type", "UPDATE_ROLLBACK_COMPLETE, the number is kept, the Reason states the remedy")
def reject_replacement(demo: Demo) -> str:
    """The provider rejects a replacement, because it releases the number permanently."""
    before, number = demo.refs(), demo.center.logical_id(NUMBER)
    expect("status", "UPDATE_ROLLBACK_COMPLETE", demo.change_center(SmsNumberType="TOLL_FREE"))
    expect("IDs", before, demo.refs())
    reason = demo.stacks.reason(CENTER, number, "UPDATE_FAILED")
    expect_in("a Reason", ("NumberType", "TOLL_FREE", f"AllowReplacement: {before[NUMBER]}"), reason)
    demo.show("Reason", [(CENTER, number, reason)])
    return "UPDATE_ROLLBACK_COMPLETE, the Reason names AllowReplacement"


@_step("Allow the replacement", "UPDATE_COMPLETE, one purchase, the old number is released")
def replace(demo: Demo) -> str:
    """Make the same change with the ID of the number that may be released."""
    before, released = demo.refs(), demo.released()
    demo.center = demo.center.changed(NUMBER, AllowReplacement=before[NUMBER])
    expect("status", "UPDATE_COMPLETE", demo.change_center(SmsNumberType="TOLL_FREE"))
    demo.purchases[PURCHASES[NUMBER]] += 1
    demo.parameters[CENTER]["SmsNumberType"] = "TOLL_FREE"
    after = demo.refs()
    if after[NUMBER] == before[NUMBER]:
        raise StepFailed("a new number", after[NUMBER])
    expect("the other IDs", {**before, NUMBER: ""}, {**after, NUMBER: ""})
    expect("releases", {NUMBER: 1}, dict(demo.released() - released))
    held = {number["id"] for number in demo.aws.telecom()["held"]["phone_numbers"]}
    expect("old and new number are held", (False, True), (before[NUMBER] in held, after[NUMBER] in held))
    outputs = demo.stacks.outputs(CENTER)
    demo.show("New outputs", [(CENTER, name, value) for name, value in outputs.items() if name.startswith("SmsNumber")])
    return "UPDATE_COMPLETE, 1 purchase, 1 release"


@_step("Stop a replacement with the release guard", "the change set is FAILED, and one that changes tags is executed")
def guard(demo: Demo) -> str:
    """CloudFormation invokes the guard for every change set, of any tool. Then the guard is removed again."""
    expect("status", "UPDATE_COMPLETE", demo.change_provider(ReleaseGuard="FAIL"))
    before, calls = demo.refs(), demo.calls()
    replacing = demo.center.changed(NUMBER, AllowReplacement=before[NUMBER])
    template = replacing.write(demo.aws.directory / "replacing.json")
    parameters = {**demo.parameters[CENTER], "SmsNumberType": "SIMULATOR"}
    status, reason = demo.stacks.change_set(CENTER, template, **parameters)
    expect("status", "FAILED", status)
    number = f"{CENTER}/{demo.center.logical_id(NUMBER)} ({before[NUMBER]}): REPLACED"
    expect_in("a reason", ("hook(s) failed: [CfnTelephony::Release::Guard]", number, "NumberType"), reason)
    demo.show("Reason", [(CENTER, reason)])
    expect(
        "calls that purchase or release", set(), set(demo.calls() - calls) & {*PURCHASES.values(), *RELEASES.values()}
    )
    demo.center = demo.center.changed(NUMBER, Tags=[{"Key": "team", "Value": "support"}])
    expect("status", "UPDATE_COMPLETE", demo.change_center())
    expect("IDs", before, demo.refs())
    expect("status", "UPDATE_COMPLETE", demo.change_provider(ReleaseGuard="OFF"))
    return "FAILED with the number and the reason; UPDATE_COMPLETE for the tags"


@_step("Delete a stack and deploy it again", "CREATE_COMPLETE, the same numbers, no purchase and no release")
def take_back(demo: Demo) -> str:
    """Under a recovery window, deleted numbers are pending release, and a stack with the same name takes them back."""
    name = "deployed-again"
    template = demo.with_window()
    expect("status", "CREATE_COMPLETE", demo.deploy(name, template))
    demo.purchases.update([PURCHASES[NUMBER], PURCHASES[CALL_NUMBER]])
    demo.check_purchases()
    before, released = sorted(demo.stacks.resources(name)), demo.released()
    expect("status", "DELETE_COMPLETE", demo.stacks.delete(name))
    due = {ref: demo.pending_release()[ref] for _, _, ref in before}
    expect("status", "CREATE_COMPLETE", demo.deploy(name, template))
    expect("numbers", before, sorted(demo.stacks.resources(name)))
    expect("numbers that are pending release", {}, demo.pending_release())
    expect("releases", Counter(), demo.released() - released)
    demo.show("Taken back", [(logical_id, ref, f"would be released after {due[ref]}") for logical_id, _, ref in before])
    expect("status", "DELETE_COMPLETE", demo.stacks.delete(name))
    demo.release_pending()
    return f"CREATE_COMPLETE; {len(before)} numbers taken back, 0 purchases, 0 releases"


@_step("Pass a number on to another preview stack", "CREATE_COMPLETE, the number of the deleted one, no claim")
def reuse(demo: Demo) -> str:
    """Two stacks of the same template use one Amazon Connect number after each other."""
    path, logical_id = EXAMPLES / f"{PREVIEW}.yaml", Template.example(PREVIEW).logical_id(CALL_NUMBER)
    passed_on = demo.stacks.ref(PREVIEW, logical_id)
    rows: list[tuple[str, ...]] = []
    for former, name in ((PREVIEW, "another-preview"), ("another-preview", PREVIEW)):
        expect("status", "DELETE_COMPLETE", demo.stacks.delete(former))
        expect("numbers that are pending release", [passed_on], list(demo.pending_release()))
        expect("status", "CREATE_COMPLETE", demo.stacks.deploy(name, path, **demo.parameters[PREVIEW]))
        expect("number", passed_on, demo.stacks.ref(name, logical_id))
        demo.check_purchases()
        rows.append((name, passed_on, f"from {former}"))
    demo.show("Passed on", rows)
    return f"{len(rows)} stacks CREATE_COMPLETE, 1 number, 0 claims"


@_step("Wait for an activation", "CREATE_COMPLETE; the request waits in the queue, and another function continues it")
def wait_for_activation(demo: Demo) -> str:
    """The number becomes ACTIVE later than an invocation waits, so that the request is continued from the queue."""
    name, before = "waiting", demo.calls()
    template = Template.example("sms-phone-number").changed(NUMBER, WaitForActive=True, ServiceTimeout=120)
    demo.aws.configure(activation_seconds=_ACTIVATION_SECONDS)
    with QueueWatch(demo.aws, demo.stacks.outputs(PROVIDER)["RequestQueueUrl"]) as queue:
        status = demo.deploy(name, template)
    demo.aws.configure(activation_seconds=0)
    expect("status", "CREATE_COMPLETE", status)
    demo.purchases[PURCHASES[NUMBER]] += 1
    steps = request_log(demo.aws, demo.stacks, PROVIDER, name)
    demo.show("Log of the request", [step.row(steps[0].at) for step in steps])
    functions = list(dict.fromkeys(step.function for step in steps))
    expect("functions that handle the request", ["provider", "continuation"], functions)
    reads = demo.calls()[f"{SMS}.DescribePhoneNumbers"] - before[f"{SMS}.DescribePhoneNumbers"]
    expect("status", "DELETE_COMPLETE", demo.stacks.delete(name))
    return f"CREATE_COMPLETE; 1 purchase, {queue.seconds:.0f} s in the queue, {reads} reads"


@_step("Adopt an existing number", "no purchase and no release; the number stays when its stack is deleted")
def adopt(demo: Demo) -> str:
    """The number is requested and released with the service's API. The stack changes its tags only."""
    name, number_id = "adopts", demo.request_number()
    before, calls = demo.held_number(number_id), demo.calls()
    status = demo.stacks.deploy(name, EXAMPLES / f"{ADOPT}.yaml", PhoneNumberId=number_id)
    expect("status", "CREATE_COMPLETE", status)
    expect("Ref", number_id, demo.stacks.ref(name, Template.example(ADOPT).logical_id(NUMBER)))
    adopted = demo.held_number(number_id)
    expect("settings", before, {**adopted, "tags": before["tags"]})
    expect("tag", "cfn-telephony-adopted", adopted["tags"].get("cfn-telephony:managed-by"))
    expect("status", "DELETE_COMPLETE", demo.stacks.delete(name))
    expect("number", before, demo.held_number(number_id))
    made = demo.calls() - calls
    demo.show("Calls", [(operation, str(count)) for operation, count in sorted(made.items())])
    expect("calls that purchase or release", set(), set(made) & {*PURCHASES.values(), *RELEASES.values()})
    demo.aws.client(SMS).release_phone_number(PhoneNumberId=number_id)
    return f"CREATE_COMPLETE, DELETE_COMPLETE; {before['phone_number']} is unchanged"


@_step("Deliver an event twice concurrently", "one purchase, two equal responses")
def deliver_twice(demo: Demo) -> str:
    """Invoke the provider twice. The purchase takes a second, so that the invocations overlap.

    No stack has sent the event: its number is released with the service's API.
    """
    url = demo.responses.url()
    demo.aws.fault(service=SMS, operation="RequestPhoneNumber", kind="hang", seconds=1, when="after")
    event = create_event(demo.service_token, NUMBER, url, **SIMULATOR)
    deliver(demo.aws, event, times=2)
    first, second = demo.responses.wait(url, 2)
    expect("responses", first.decode(), second.decode())
    response = json.loads(first)
    expect("status", "SUCCESS", response["Status"])
    demo.purchases[PURCHASES[NUMBER]] += 1
    demo.check_purchases()
    demo.aws.client(SMS).release_phone_number(PhoneNumberId=response["PhysicalResourceId"])
    return f"1 purchase, 2 equal responses of {len(first)} bytes"


@_step("Delete a protected number", "DELETE_FAILED with a Reason, then DELETE_COMPLETE")
def reject_deletion(demo: Demo) -> str:
    """CloudFormation can't update a stack in DELETE_FAILED, so protection is disabled with the service's API."""
    name = "protected"
    _, number, ref = demo.deploy_protected(name)
    expect("status", "DELETE_FAILED", demo.stacks.delete(name))
    reason = demo.stacks.reason(name, number, "DELETE_FAILED")
    expect_in("a Reason", (ref, "DELETION_PROTECTION_ENABLED", "LiftDeletionProtection"), reason)
    demo.show("Reason", [(name, number, reason)])
    demo.aws.client(SMS).update_phone_number(PhoneNumberId=ref, DeletionProtectionEnabled=False)
    expect("status", "DELETE_COMPLETE", demo.stacks.delete(name))
    return "DELETE_FAILED; DELETE_COMPLETE after protection is disabled"


@_step("Delete a protected number with OnDelete", "UPDATE_COMPLETE, then DELETE_COMPLETE")
def lift_protection(demo: Demo) -> str:
    """OnDelete allows the provider to disable protection on delete."""
    name = "lift-protection"
    protected, _, ref = demo.deploy_protected(name)
    lifting = protected.changed(NUMBER, OnDelete={"LiftDeletionProtection": True})
    expect("status", "UPDATE_COMPLETE", demo.deploy(name, lifting))
    held = {number["id"]: number["protected"] for number in demo.aws.telecom()["held"]["phone_numbers"]}
    expect("still protected", True, held[ref])
    expect("status", "DELETE_COMPLETE", demo.stacks.delete(name))
    return "UPDATE_COMPLETE, still protected; DELETE_COMPLETE, released"


@_step("Deploy an invalid template", "ROLLBACK_COMPLETE, the Reason lists all errors, no API call")
def reject_invalid(demo: Demo) -> str:
    """The provider reports all violations in one Reason, before any API call."""
    name, before = "invalid", demo.calls()
    invalid = Template.example("sms-phone-number").changed(
        NUMBER,
        IsoCountryCode=False,
        MessageType="PROMOTIONAL",
        TwoWay={"Enabled": "yes", "ChannelRole": "admin"},
        OptOutList="Default",
    )
    expect("status", "ROLLBACK_COMPLETE", demo.deploy(name, invalid))
    number = invalid.logical_id(NUMBER)
    reason = demo.stacks.reason(name, number, "CREATE_FAILED")
    properties = ("IsoCountryCode", "MessageType", "TwoWay.Enabled", "TwoWay.ChannelRole", "OptOutListName")
    expect_in("a Reason", (*properties, "NO", "YAML"), reason)
    demo.show("Reason", [(name, number, reason)])
    expect("telecom calls", Counter(), demo.calls() - before)
    expect("status", "DELETE_COMPLETE", demo.stacks.delete(name))
    return f"ROLLBACK_COMPLETE, {reason.count(chr(10) + '- ')} errors listed, 0 calls"


def tear_down(demo: Demo) -> str:
    """Delete every stack, the provider's last. Every purchase is released exactly once.

    The adopted number is released with the service's API, because no stack releases it. So is what is pending release.
    """
    remaining = [name for name in demo.stacks.names if demo.stacks.status(name) != "DELETE_COMPLETE"]
    for name in sorted(remaining, key=lambda name: name == PROVIDER):
        expect(f"status of {name}", "DELETE_COMPLETE", demo.stacks.delete(name))
    demo.aws.client(SMS).release_phone_number(PhoneNumberId=demo.parameters[ADOPT]["PhoneNumberId"])
    demo.release_pending()
    expect("held", {"phone_numbers": 0, "sender_ids": 0, "connect_numbers": 0}, demo.held())
    purchases = Counter({resource_type: demo.purchases[operation] for resource_type, operation in PURCHASES.items()})
    expect("released", purchases, demo.released())
    return f"{len(remaining)} stacks DELETE_COMPLETE; {purchases.total()} purchases, all released"


TEAR_DOWN = Step("Delete the stacks", "DELETE_COMPLETE, everything is released", tear_down)
