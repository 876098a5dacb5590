"""The steps of the demo, in order. Each gives what was seen, or raises Unmet; what was bought is counted after each."""

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
from local.demo import kept
from local.demo.deliveries import Mailbox, create_event, delete_event, deliver
from local.demo.expectations import Unmet, expect, expect_in
from local.demo.stacks import Stacks
from local.demo.templates import EXAMPLES, Template

SMS, CONNECT = "pinpoint-sms-voice-v2", "connect"
NUMBER, SENDER, CALL_NUMBER = "Custom::SmsPhoneNumber", "Custom::SmsSenderId", "Custom::ConnectPhoneNumber"
BUYING = {
    NUMBER: f"{SMS}.RequestPhoneNumber",
    SENDER: f"{SMS}.RequestSenderId",
    CALL_NUMBER: f"{CONNECT}.ClaimPhoneNumber",
}
RELEASING = {
    NUMBER: f"{SMS}.ReleasePhoneNumber",
    SENDER: f"{SMS}.ReleaseSenderId",
    CALL_NUMBER: f"{CONNECT}.ReleasePhoneNumber",
}
PROVIDER = "cfn-telephony"
CENTER = "contact-center"
SIMULATOR = {"IsoCountryCode": "US", "NumberType": "SIMULATOR", "NumberCapabilities": ["SMS"]}


class Story:
    """Where the demo has got to. `shown` gets what is worth reading besides the table: rows of name and value."""

    def __init__(self, into: Path, shown: Callable[[str, list[tuple[str, ...]]], None]) -> None:
        self.into = into
        self.shown = shown
        self.running = contextlib.ExitStack()
        self.bought: Counter[str] = Counter()
        """How often each buying operation must have been called by now."""
        self.aws: LocalAws
        self.stacks: Stacks
        self.mailbox: Mailbox
        self.service_token = ""
        self.parameters: dict[str, dict[str, str]] = {}
        """Of the examples, by name."""
        self.center: Template

    def calls(self) -> Counter[str]:
        """How often each `service.Operation` was called."""
        return Counter(self.aws.telecom()["calls"])

    def released(self) -> Counter[str]:
        """How many of each type were released; a Release that was refused counts as a call alone."""
        done = Counter(f"{call['service']}.{call['operation']}" for call in self.aws.telecom()["log"] if call["ok"])
        return Counter({resource_type: done[operation] for resource_type, operation in RELEASING.items()})

    def held(self) -> dict[str, int]:
        """How many of each kind are held."""
        counts: dict[str, int] = self.aws.telecom()["counts"]
        return counts

    def change_center(self, **parameters: str) -> str:
        """Deploy the contact center as `center` is now."""
        template = self.center.write(self.aws.directory / "contact-center.json")
        return self.stacks.deploy(CENTER, template, **self.parameters[CENTER], **parameters)

    def refs(self) -> dict[str, str]:
        """The Refs of the contact center, by type."""
        return {resource_type: ref for _, resource_type, ref in self.stacks.resources(CENTER)}

    def deploy(self, name: str, template: Template) -> str:
        """Deploy a template that is no file."""
        return self.stacks.deploy(name, template.write(self.aws.directory / f"{name}.json"))

    def log(self, lines: int) -> str:
        """The provider's last log lines; nothing before it has any."""
        if not self.service_token:
            return ""
        group = f"/aws/lambda/{self.service_token.rpartition(':')[2]}"
        pages = self.aws.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        try:
            messages = [event["message"].rstrip() for page in pages for event in page["events"]]
        except ClientError:
            return ""  # Its stack is deleted, and the group with it.
        return "\n".join(messages[-lines:])

    def check_purchases(self) -> None:
        """Raise Unmet unless just what was declared was bought: one call each."""
        calls = self.calls()
        expect("purchases", dict(self.bought), {name: calls[name] for name in BUYING.values() if calls[name]})


@dataclass(frozen=True)
class Step:
    """One step, and what has to come of it."""

    title: str
    expected: str
    run: Callable[[Story], str]


STEPS: list[Step] = []


def _step(title: str, expected: str) -> Callable[[Callable[[Story], str]], Callable[[Story], str]]:
    def add(run: Callable[[Story], str]) -> Callable[[Story], str]:
        STEPS.append(Step(title, expected, run))
        return run

    return add


@_step("Start AWS on this machine", "CloudFormation, Lambda, SMS and Connect answer")
def start(story: Story) -> str:
    """Start the local AWS, and a mailbox for the answers to events that no stack sends."""
    story.running.callback(kept.forget, story.into)
    story.aws = story.running.enter_context(LocalAws())
    kept.Kept.record(story.aws, story.into)
    story.stacks = Stacks(story.aws)
    certificate = story.aws.directory / "server"
    story.mailbox = story.running.enter_context(Mailbox(f"{certificate}.crt", f"{certificate}.key"))
    return f"{story.aws.endpoint}, {story.aws.page}"


@_step("sam build", "three functions and their layer are built")
def build(story: Story) -> str:
    """Build the provider."""
    directory = story.into / "sam" / "build"
    story.aws.sam("build", "--build-dir", str(directory))
    built = sorted(path.name for path in directory.iterdir() if path.is_dir())
    expect("built", ["DependenciesLayer", "LastResortFunction", "ProviderFunction", "SweepFunction"], built)
    return ", ".join(built)


@_step("sam deploy the provider", "CREATE_COMPLETE, its ServiceToken exported")
def deploy_provider(story: Story) -> str:
    """Deploy it as on AWS, but for the hosts that may receive answers; make the Connect instance that numbers need."""
    hosts = f"{story.aws.response_host},{story.mailbox.host}"
    template = story.into / "sam" / "build" / "template.yaml"
    status = story.stacks.deploy(PROVIDER, template, AllowedResponseHosts=hosts)
    expect("status", "CREATE_COMPLETE", status)
    exports = story.aws.client("cloudformation").list_exports()["Exports"]
    tokens = [export["Value"] for export in exports if export["Name"] == f"{PROVIDER}-ServiceToken"]
    expect("exports of the ServiceToken", 1, len(tokens))
    story.service_token = tokens[0]
    instance = story.aws.client("connect").create_instance(
        IdentityManagementType="CONNECT_MANAGED",
        InstanceAlias="demo",
        InboundCallsEnabled=True,
        OutboundCallsEnabled=True,
    )
    # One SenderId and country cannot be declared twice in an account, and two of the examples declare one.
    story.parameters = {
        "connect-phone-number": {"InstanceArn": instance["Arn"]},
        CENTER: {"InstanceArn": instance["Arn"], "SenderId": "FRONTDESK"},
    }
    return f"{status}, {story.service_token.rpartition(':')[2]}"


@_step("sam deploy every example", "CREATE_COMPLETE each, a purchase for each declared number")
def deploy_examples(story: Story) -> str:
    """All three types, through the export."""
    names = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))
    for name in names:
        status = story.stacks.deploy(name, EXAMPLES / f"{name}.yaml", **story.parameters.get(name, {}))
        expect(f"status of {name}", "CREATE_COMPLETE", status)
    declared = sum((Template.example(name).types() for name in names), Counter[str]())
    expect("types in the examples", set(BUYING), set(declared))
    story.bought.update({BUYING[resource_type]: count for resource_type, count in declared.items()})
    rows: list[tuple[str, ...]] = []
    for name in names:
        rows += [
            (name, f"{logical_id} ({resource_type})", ref)
            for logical_id, resource_type, ref in story.stacks.resources(name)
        ]
        rows += [(name, output, value) for output, value in story.stacks.outputs(name).items()]
    story.shown("What the examples bought", rows)
    story.center = Template.example(CENTER)
    return f"{len(names)} stacks CREATE_COMPLETE, {declared.total()} purchases"


@_step("Update in place", "UPDATE_COMPLETE, the same three ids, nothing bought")
def update_in_place(story: Story) -> str:
    """Change what can be changed of each type."""
    before = story.refs()
    tags = [{"Key": "team", "Value": "front desk"}]
    story.center = (
        story.center.changed(NUMBER, SelfManagedOptOutsEnabled=True, Tags=tags)
        .changed(SENDER, Tags=tags)
        .changed(CALL_NUMBER, Description="Reception", Tags=tags)
    )
    expect("status", "UPDATE_COMPLETE", story.change_center())
    expect("ids", before, story.refs())
    sms, connect = story.aws.client(SMS), story.aws.client("connect")
    (number,) = sms.describe_phone_numbers(PhoneNumberIds=[before[NUMBER]])["PhoneNumbers"]
    expect("SelfManagedOptOutsEnabled", True, number["SelfManagedOptOutsEnabled"])
    call_number = connect.describe_phone_number(PhoneNumberId=before[CALL_NUMBER])["ClaimedPhoneNumberSummary"]
    expect("Description", "Reception", call_number["PhoneNumberDescription"])
    held = story.aws.telecom()["held"]
    tagged = sum(
        thing["tags"].get("team") == "front desk"
        for kind in ("phone_numbers", "sender_ids", "connect_numbers")
        for thing in held[kind]
    )
    expect("tagged", 3, tagged)
    return "UPDATE_COMPLETE; opt-outs, description and three times tags changed"


@_step("Ask for another kind of number", "UPDATE_ROLLBACK_COMPLETE, the number stays, the Reason names the way")
def refuse_replacement(story: Story) -> str:
    """A change that would release the number for good is refused."""
    before, number = story.refs(), story.center.logical_id(NUMBER)
    expect("status", "UPDATE_ROLLBACK_COMPLETE", story.change_center(SmsNumberType="TOLL_FREE"))
    expect("ids", before, story.refs())
    reason = story.stacks.reason(CENTER, number, "UPDATE_FAILED")
    expect_in("a Reason", ("NumberType", "TOLL_FREE", f"AllowReplacement: {before[NUMBER]}"), reason)
    story.shown("Reason", [(CENTER, number, reason)])
    return "UPDATE_ROLLBACK_COMPLETE, NotUpdatable"


@_step("Allow it, as the Reason says", "UPDATE_COMPLETE, one purchase, the old number released")
def replace(story: Story) -> str:
    """The same change, with the id of the number that may go."""
    before, released = story.refs(), story.released()
    story.center = story.center.changed(NUMBER, AllowReplacement=before[NUMBER])
    expect("status", "UPDATE_COMPLETE", story.change_center(SmsNumberType="TOLL_FREE"))
    story.bought[BUYING[NUMBER]] += 1
    story.parameters[CENTER]["SmsNumberType"] = "TOLL_FREE"
    after = story.refs()
    if after[NUMBER] == before[NUMBER]:
        raise Unmet("another number", after[NUMBER])
    expect("the other ids", {**before, NUMBER: ""}, {**after, NUMBER: ""})
    expect("releases", {NUMBER: 1}, dict(story.released() - released))
    held = {number["id"] for number in story.aws.telecom()["held"]["phone_numbers"]}
    expect("held, the old one and the new one", (False, True), (before[NUMBER] in held, after[NUMBER] in held))
    outputs = story.stacks.outputs(CENTER)
    story.shown("Now", [(CENTER, name, value) for name, value in outputs.items() if name.startswith("SmsNumber")])
    return "UPDATE_COMPLETE, 1 purchase, 1 release"


@_step("Deliver one event twice at the same moment", "one purchase, the same bytes answered twice")
def deliver_twice(story: Story) -> str:
    """Invoke the provider as Lambda does; the purchase is made to take a second, so that the two really meet in it."""
    url = story.mailbox.url()
    slow: dict[str, Any] = {
        "service": SMS,
        "operation": "RequestPhoneNumber",
        "kind": "hang",
        "seconds": 1,
        "when": "after",
    }
    story.aws.fault(**slow)
    event = create_event(story.service_token, NUMBER, url, **SIMULATOR)
    deliver(story.aws, event, times=2)
    first, second = story.mailbox.wait(url, 2)
    expect("answers", first.decode(), second.decode())
    answer = json.loads(first)
    expect("status", "SUCCESS", answer["Status"])
    story.bought[BUYING[NUMBER]] += 1
    story.check_purchases()
    url = story.mailbox.url()
    deliver(story.aws, delete_event(event, answer["PhysicalResourceId"], url))
    (deleted,) = story.mailbox.wait(url, 1)
    expect("status of the Delete", "SUCCESS", json.loads(deleted)["Status"])
    return f"1 purchase, {len(first)} equal bytes twice; its Delete released it"


@_step("Delete a stack whose number is protected", "DELETE_FAILED, the Reason says why; then DELETE_COMPLETE")
def refuse_deletion(story: Story) -> str:
    """The protection holds. CloudFormation updates no stack in DELETE_FAILED, so it is lifted at the service."""
    name, protected = "protected", Template.example("sms-phone-number").changed(NUMBER, DeletionProtectionEnabled=True)
    expect("status", "CREATE_COMPLETE", story.deploy(name, protected))
    story.bought[BUYING[NUMBER]] += 1
    number = protected.logical_id(NUMBER)
    ref = story.stacks.ref(name, number)
    expect("status", "DELETE_FAILED", story.stacks.delete(name))
    reason = story.stacks.reason(name, number, "DELETE_FAILED")
    expect_in("a Reason", (ref, "DELETION_PROTECTION_ENABLED", "LiftDeletionProtection"), reason)
    story.shown("Reason", [(name, number, reason)])
    story.aws.client(SMS).update_phone_number(PhoneNumberId=ref, DeletionProtectionEnabled=False)
    expect("status", "DELETE_COMPLETE", story.stacks.delete(name))
    return "DELETE_FAILED; protection lifted by hand: DELETE_COMPLETE"


@_step("Tear down a protected number on request", "UPDATE_COMPLETE with OnDelete, then DELETE_COMPLETE")
def lift_protection(story: Story) -> str:
    """What a Delete may do is declared beforehand."""
    name, protected = "on-request", Template.example("sms-phone-number").changed(NUMBER, DeletionProtectionEnabled=True)
    expect("status", "CREATE_COMPLETE", story.deploy(name, protected))
    story.bought[BUYING[NUMBER]] += 1
    lifting = protected.changed(NUMBER, OnDelete={"LiftDeletionProtection": True})
    expect("status", "UPDATE_COMPLETE", story.deploy(name, lifting))
    ref = story.stacks.ref(name, protected.logical_id(NUMBER))
    held = {number["id"]: number["protected"] for number in story.aws.telecom()["held"]["phone_numbers"]}
    expect("still protected", True, held[ref])
    expect("status", "DELETE_COMPLETE", story.stacks.delete(name))
    return "UPDATE_COMPLETE, still protected; DELETE_COMPLETE, released"


@_step("Deploy a broken template", "ROLLBACK_COMPLETE, the Reason names all that is to be mended, no call is made")
def refuse_broken(story: Story) -> str:
    """Every mistake is told at once."""
    name, before = "broken", story.calls()
    broken = Template.example("sms-phone-number").changed(
        NUMBER,
        IsoCountryCode=False,
        MessageType="PROMOTIONAL",
        TwoWay={"Enabled": "yes", "ChannelRole": "admin"},
        OptOutList="Default",
    )
    expect("status", "ROLLBACK_COMPLETE", story.deploy(name, broken))
    number = broken.logical_id(NUMBER)
    reason = story.stacks.reason(name, number, "CREATE_FAILED")
    places = ("IsoCountryCode", "MessageType", "TwoWay.Enabled", "TwoWay.ChannelRole", "OptOutListName")
    expect_in("a Reason", ("quote NO in YAML", *places), reason)
    story.shown("Reason", [(name, number, reason)])
    expect("telecom calls", Counter(), story.calls() - before)
    expect("status", "DELETE_COMPLETE", story.stacks.delete(name))
    return f"ROLLBACK_COMPLETE, {reason.count(chr(10) + '- ')} mistakes named, 0 calls"


def tear_down(story: Story) -> str:
    """Delete every stack, the provider's last; what was bought was released, one for one."""
    standing = [name for name in story.stacks.names if story.stacks.status(name) != "DELETE_COMPLETE"]
    for name in sorted(standing, key=lambda name: name == PROVIDER):
        expect(f"status of {name}", "DELETE_COMPLETE", story.stacks.delete(name))
    expect("held", {"phone_numbers": 0, "sender_ids": 0, "connect_numbers": 0}, story.held())
    bought = Counter({resource_type: story.bought[operation] for resource_type, operation in BUYING.items()})
    expect("released", bought, story.released())
    return f"{len(standing)} stacks DELETE_COMPLETE; {bought.total()} bought, all released, none held"


TEAR_DOWN = Step("Delete the stacks", "DELETE_COMPLETE each, nothing is held", tear_down)
