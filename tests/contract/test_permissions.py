"""The template's roles grant exactly the actions that the functions use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import attrs
import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

from telephony import resources
from telephony.aws import clients, queue, services
from tests.conftest import CONNECT, SMS, Configure, Harness, VirtualClock, connect_instance
from tests.contract.cloudformation import Stack
from tests.contract.declarations import (
    KINDS,
    SIMULATOR,
    SMS_PHONE_NUMBER,
    SMS_SENDER_ID,
    Kind,
    connect_phone_number,
    template,
    with_failing_sibling,
)
from tests.contract.steps import GENERATED_ID, environment
from tests.contract.test_sms_phone_number import ROLE, TOLL_FREE, TOPIC
from tests.contract.test_sweep import RETAINED, late_purchase, later, run
from tools.types import ROOT

ROLES: dict[str, Any] = cfn_yaml.load(str(ROOT / "template.yaml"))["Resources"]
TYPES = resources.type_names()
PREFIXES = {SMS: "sms-voice"}
"""The IAM prefix of a service, if it differs from boto3's name."""
TRANSACTION = "dynamodb:TransactWriteItems"
"""Not an action itself: each of its items needs the action of its own operation."""
IN_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
"""IAM actions by the name of an item (DynamoDB developer guide, "IAM and transactions")."""
ONLY_RELEASES_NEED = {"dynamodb:ConditionCheckItem"}
"""Actions on the state table that the sweep has even without AllowSweepRelease."""
NUMBERS = (":phone-number/", ":sender-id/")
MANAGED = "aws:ResourceTag/cfn-telephony:managed-by"
RELEASABLE: dict[str, Any] = {"OnDelete": {"LeavePools": True, "LiftDeletionProtection": True}}

ONLY_AWS_NEEDS = {
    "logs:CreateLogStream": "Lambda writes the log with the function's role",
    "logs:PutLogEvents": "Lambda writes the log with the function's role",
    "sqs:ReceiveMessage": "the event source mapping reads the queue with the continuation's role",
    "sqs:DeleteMessage": "the event source mapping reads the queue with the continuation's role",
    "sqs:GetQueueAttributes": "the event source mapping reads the queue with the continuation's role",
    "iam:PassRole": "the SMS service requires it for TwoWay.ChannelRole",
    "social-messaging:GetLinkedWhatsAppBusinessAccountPhoneNumber": "Amazon Connect reads an imported WhatsApp number",
    "social-messaging:TagResource": "Amazon Connect tags an imported WhatsApp number",
}
"""Granted actions that AWS uses on behalf of the functions, with the reason."""
QUEUE_ACTIONS = {
    "ProviderRole": {"sqs:SendMessage"},
    "ContinuationRole": {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ChangeMessageVisibility",
    },
}
"""The only difference of the two roles. The continuation can't send a message, so no message causes another."""


@attrs.frozen
class Call:
    action: str
    parameters: str
    """The parameters as text, to find IDs in."""


@attrs.frozen
class Lifetime:
    """All calls of the provider in the lifetimes of several resources of one type."""

    calls: list[Call]
    foreign: set[str]
    """IDs of existing numbers without the provider's tag."""

    @property
    def actions(self) -> set[str]:
        return {call.action for call in self.calls}


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """Record the calls of the functions' clients as IAM actions."""
    calls: list[Call] = []

    def note(params: Any, model: Any, **_: Any) -> None:
        service = model.service_model.service_name
        action = f"{PREFIXES.get(service, service)}:{model.name}"
        names = [action]
        if action == TRANSACTION:
            names = [f"dynamodb:{IN_TRANSACTION[kind]}" for item in params["TransactItems"] for kind in item]
        calls.extend(Call(name, str(params)) for name in names)

    through: list[Any] = [services.sms_voice(), services.connect(), services.cloudformation()]
    sources = [*(service._client for service in through), clients.dynamodb(), queue._client()]
    for client in sources:
        client.meta.events.register("before-parameter-build", note, unique_id="recorded")
    try:
        yield calls
    finally:
        for client in sources:
            client.meta.events.unregister("before-parameter-build", unique_id="recorded")


def statements(role: str, *, releasing: bool = True) -> list[dict[str, Any]]:
    """The Allow statements of a role. `releasing`: with AllowSweepRelease."""
    properties = ROLES[role]["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    attached = [
        one["Fn::If"][1] if "Fn::If" in one else one
        for one in properties["ManagedPolicyArns"]
        if releasing or "Fn::If" not in one
    ]
    documents += [ROLES[one["Ref"]]["Properties"]["PolicyDocument"] for one in attached]
    found = [statement for document in documents for statement in document["Statement"]]
    found = [statement["Fn::If"][1] if "Fn::If" in statement else statement for statement in found]
    return [statement for statement in found if statement["Effect"] == "Allow"]


def actions(statement: dict[str, Any]) -> set[str]:
    action = statement["Action"]
    return {action} if isinstance(action, str) else set(action)


def granted(*roles: str, releasing: bool = True) -> set[str]:
    found = [statement for role in roles for statement in statements(role, releasing=releasing)]
    return set().union(*map(actions, found))


def tagged_only(role: str) -> set[str]:
    """The actions that may affect a number only if it has the provider's tag."""
    on_numbers = [one for one in statements(role) if any(part in str(one["Resource"]) for part in NUMBERS)]
    tagged, free = set[str](), set[str]()
    for one in on_numbers:
        conditions = one.get("Condition", {}).get("StringEquals", {})
        (tagged if next(iter(conditions), "") == MANAGED else free).update(actions(one))
    return tagged - free


# -- the recorded lifetimes --------------------------------------------------------------------------------------------


def _deploy(stack: Stack, declared: dict[str, Any], expected: str = "_COMPLETE") -> None:
    status = stack.deploy(declared)
    assert status.endswith(expected), stack.reasons("Number")


def _delete(stack: Stack) -> None:
    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")


def _every_type(harness: Harness, kind: Kind) -> None:
    """Creation, update, replacement, rollbacks, lost responses and deletion of a resource."""
    stack = harness.cloudformation.stack("common")
    properties = kind.properties | {"AllowReplacement": True}
    _deploy(stack, template(properties, kind), "CREATE_COMPLETE")
    _deploy(stack, template(properties | kind.in_place, kind), "UPDATE_COMPLETE")
    tagged = properties | kind.in_place | {"Tags": [{"Key": "team", "Value": "billing"}]}
    _deploy(stack, template(tagged, kind), "UPDATE_COMPLETE")
    _deploy(stack, template(tagged | {"Tags": [{"Key": "cost", "Value": "1"}]}, kind), "UPDATE_COMPLETE")
    _deploy(stack, with_failing_sibling(properties | {"Tags": []}, kind), "ROLLBACK_COMPLETE")
    unprotected = properties | dict.fromkeys(kind.in_place.keys() & {"DeletionProtectionEnabled"}, False)
    _deploy(stack, template(unprotected, kind), "UPDATE_COMPLETE")
    _deploy(stack, with_failing_sibling(unprotected | kind.replacing, kind), "ROLLBACK_COMPLETE")
    _deploy(stack, template(unprotected | kind.replacing, kind), "UPDATE_COMPLETE")
    _delete(stack)

    declared: dict[str, Any] = {"resource_type": kind.type, "properties": kind.properties}
    other = kind.properties | kind.replacing
    harness.telecom.configure(forget_tokens=True)
    harness.telecom.fault(kind.service, kind.operation, "lose_answer")
    lost = harness.send("Create", **declared)["PhysicalResourceId"]
    harness.telecom.configure(forget_tokens=False)
    for _ in range(2):
        assert harness.send("Delete", physical_id=lost, **declared)["Status"] == "SUCCESS"

    # The result of the first attempts is unknown, so that the request waits in the queue twice.
    harness.telecom.fault(kind.service, kind.operation, "error", code="InternalError", status=500, times=10)
    unknown = harness.send("Create", logical_id="Unknown", **declared)
    assert unknown["Status"] == "SUCCESS"
    harness.send("Delete", logical_id="Unknown", physical_id=unknown["PhysicalResourceId"], **declared)

    # A Create is canceled while it waits for its reservation.
    with environment(CALL_RATES=f"{kind.buys}=0.01"):
        first = harness.send("Create", logical_id="First", **declared | {"properties": other})["PhysicalResourceId"]
        with harness.function(continues=False) as function:
            function.post("Create", logical_id="Waiting", **declared)
            function.invoker.settle()
        harness.send("Delete", logical_id="Waiting", physical_id=GENERATED_ID, **declared)
    harness.send("Delete", logical_id="First", physical_id=first, **declared | {"properties": other})

    # CloudFormation does not accept the response and generates an ID. The stack's events decide about the number.
    unreported = harness.send("Create", accepted=False, logical_id="Unreported", **declared)["PhysicalResourceId"]
    harness.send("Delete", logical_id="Unreported", physical_id=GENERATED_ID, **declared)
    assert unreported not in harness.ids()

    # With an empty state table, the tags alone identify the owner.
    kept = harness.send("Create", **declared)["PhysicalResourceId"]
    assert harness.send("Delete", logical_id="Other", physical_id=kept, **declared)["Status"] == "SUCCESS"
    assert kept in harness.ids()
    for row in harness.rows():
        harness.dynamodb.delete_item(TableName=harness.table, Key={"pk": row["pk"], "sk": row["sk"]})
    assert harness.send("Delete", physical_id=kept, **declared)["Status"] == "SUCCESS"


def _sms_phone_number(harness: Harness) -> None:
    harness.sms.create_opt_out_list(OptOutListName="own")
    first, second = (_pool(harness, TOLL_FREE) for _ in range(2))
    stack = harness.cloudformation.stack("numbers")
    pooled = TOLL_FREE | RELEASABLE
    declared = pooled | {
        "OptOutListName": "own",
        "TwoWay": {"Enabled": True, "ChannelArn": TOPIC, "ChannelRole": ROLE},
        "MandatoryKeywords": {"HELP": {"Message": "Call us."}, "STOP": {"Message": "Bye."}},
        "OptionalKeywords": [{"Keyword": "JOIN", "Message": "Welcome.", "Action": "OPT_IN"}],
        "WaitForActive": True,
    }
    _deploy(stack, template(declared), "CREATE_COMPLETE")
    _deploy(stack, template(declared | {"OptionalKeywords": []}), "UPDATE_COMPLETE")
    _delete(stack)

    stack = harness.cloudformation.stack("pooled")
    _deploy(stack, template(pooled | {"PoolId": first}), "CREATE_COMPLETE")
    _deploy(stack, template(pooled | {"PoolId": second}), "UPDATE_COMPLETE")
    _delete(stack)


def _sms_sender_id(harness: Harness) -> None:
    stack = harness.cloudformation.stack("senders")
    declared = SMS_SENDER_ID.properties | SMS_SENDER_ID.in_place | RELEASABLE
    _deploy(stack, template(declared, SMS_SENDER_ID), "CREATE_COMPLETE")
    _join_pool(harness, "GB", "ACME")
    _delete(stack)


def _connect_phone_number(harness: Harness) -> None:
    kind = connect_phone_number(connect_instance(harness))
    stack = harness.cloudformation.stack("connect")
    _deploy(stack, template(kind.properties, kind), "CREATE_COMPLETE")
    moved = kind.properties | {"TargetArn": connect_instance(harness)}
    _deploy(stack, template(moved, kind), "UPDATE_COMPLETE")
    _delete(stack)

    source = harness.sms.request_phone_number(**cast("Any", TOLL_FREE | {"MessageType": "TRANSACTIONAL"}))
    imported = {"TargetArn": kind.properties["TargetArn"], "SourcePhoneNumberArn": source["PhoneNumberArn"]}
    harness.telecom.configure(forget_tokens=True)
    harness.telecom.fault(CONNECT, "ImportPhoneNumber", "lose_answer")
    stack = harness.cloudformation.stack("imported")
    _deploy(stack, template(imported, kind), "CREATE_COMPLETE")
    _delete(stack)
    harness.telecom.configure(forget_tokens=False)
    assert "connect_numbers" not in harness.held()


TYPE_SPECIFIC = {
    "Custom::SmsPhoneNumber": _sms_phone_number,
    "Custom::SmsSenderId": _sms_sender_id,
    "Custom::ConnectPhoneNumber": _connect_phone_number,
}
"""What only this type supports, in addition to `_every_type`."""

_lifetimes: dict[str, Lifetime] = {}


@pytest.fixture
def lifetimes(harness: Harness, virtual_clock: VirtualClock) -> dict[str, Lifetime]:
    """The lifetimes by type. They are recorded once per test process."""
    del virtual_clock
    harness.telecom.configure(claim_release_limit=100)
    for name in TYPES:
        assert name in TYPE_SPECIFIC, f"{name} needs an entry in TYPE_SPECIFIC"
        if name not in _lifetimes:
            with recorded() as calls:
                _every_type(harness, KINDS[name](harness))
                TYPE_SPECIFIC[name](harness)
            _lifetimes[name] = Lifetime(calls, foreign(harness))
    return _lifetimes


def _pool(harness: Harness, properties: dict[str, Any]) -> str:
    """Create a pool with a number, both without the provider's tag."""
    asked: Any = properties | {"MessageType": "TRANSACTIONAL"}
    number = harness.sms.request_phone_number(**asked)["PhoneNumberId"]
    made = harness.sms.create_pool(OriginationIdentity=number, IsoCountryCode="US", MessageType="TRANSACTIONAL")
    return made["PoolId"]


def _join_pool(harness: Harness, country: str, identity: str) -> None:
    pool = _pool(harness, SIMULATOR)
    harness.sms.associate_origination_identity(PoolId=pool, OriginationIdentity=identity, IsoCountryCode=country)


def _create_sweep_findings(harness: Harness) -> None:
    """Create every finding of the sweep for every type, with everything that can prevent a release."""
    harness.telecom.configure(claim_release_limit=100)
    for kind in (KINDS[name](harness) for name in TYPES):
        stack = harness.cloudformation.stack(kind.held)
        _deploy(stack, template(kind.properties | kind.replacing, kind, **RETAINED), "CREATE_COMPLETE")
        if kind is SMS_PHONE_NUMBER:  # its stack counts as deleted
            del harness.stacks.stacks[stack.stack_id]
        physical_id = late_purchase(harness, kind)
        if kind is SMS_PHONE_NUMBER:
            harness.sms.update_phone_number(PhoneNumberId=physical_id, DeletionProtectionEnabled=True)
            _join_pool(harness, "US", physical_id)
        if kind is SMS_SENDER_ID:
            harness.sms.update_sender_id(SenderId="ACME", IsoCountryCode="GB", DeletionProtectionEnabled=True)
            _join_pool(harness, "GB", "ACME")
    harness.stacks.default = None


def foreign(harness: Harness) -> set[str]:
    """The IDs, which ARNs contain, of numbers without the provider's tag."""
    numbers = harness.telecom.held()["phone_numbers"]
    return {number["id"] for number in numbers if "cfn-telephony:managed-by" not in number["tags"]}


# -- the comparisons ---------------------------------------------------------------------------------------------------


def assert_granted_exactly(needed: set[str], allowed: set[str]) -> None:
    assert needed - allowed == set(), "used, but not granted"
    assert allowed - needed - ONLY_AWS_NEEDS.keys() == set(), "granted, but never used"


def test_provider_and_continuation_roles_grant_what_the_provider_uses(lifetimes: dict[str, Lifetime]) -> None:
    needed = {action for lifetime in lifetimes.values() for action in lifetime.actions}

    assert_granted_exactly(needed, granted("ProviderRole", "ContinuationRole"))
    # Both functions run the same code, except for the queue.
    for role, of_queue in QUEUE_ACTIONS.items():
        assert {action for action in needed if not action.startswith("sqs:")} <= granted(role), role
        assert {action for action in granted(role) if action.startswith("sqs:")} == of_queue


@pytest.mark.parametrize("name", TYPES)
def test_type_declares_its_permissions(lifetimes: dict[str, Lifetime], name: str) -> None:
    declared = set(resources.by_type(name).permissions)
    # A type makes no call to the state table, the queue or CloudFormation.
    others = ("dynamodb:", "sqs:", "cloudformation:")
    needed = {action for action in lifetimes[name].actions if not action.startswith(others)}

    # Amazon Connect, not the provider, reads an imported number.
    assert declared - needed - ONLY_AWS_NEEDS.keys() <= {"sms-voice:DescribePhoneNumbers"}
    assert needed <= declared


@pytest.mark.parametrize("name", TYPES)
def test_provider_changes_only_numbers_with_its_tag(lifetimes: dict[str, Lifetime], name: str) -> None:
    changing = [call for call in lifetimes[name].calls if call.action in tagged_only("ProviderRole")]
    assert changing

    touched = {other for other in lifetimes[name].foreign for call in changing if other in call.parameters}

    assert touched == set()


@pytest.mark.parametrize("releasing", [False, True])
def test_sweep_role_grants_what_the_sweep_uses(harness: Harness, configure: Configure, releasing: bool) -> None:
    _create_sweep_findings(harness)
    # With a rate limit, the sweep makes reservations as on AWS.
    configure(ALLOW_SWEEP_RELEASE=str(releasing).lower(), CALL_RATES="*=1000")
    with recorded() as calls, later():
        found = run()

    assert found["UNKNOWN_PURCHASE_RELEASED" if releasing else "UNKNOWN_PURCHASE_FOUND"] == len(TYPES)
    assert found["NOT_CHECKED"] == 0
    needed = {call.action for call in calls}
    allowed = granted("SweepRole", releasing=releasing)
    assert_granted_exactly(needed, allowed if releasing else allowed - ONLY_RELEASES_NEED)
    assert any("Release" in action for action in needed) == releasing


def test_actions_that_only_aws_needs_are_granted() -> None:
    roles = [name for name, resource in ROLES.items() if resource["Type"] == "AWS::IAM::Role"]
    assert ONLY_AWS_NEEDS.keys() <= granted(*roles)
