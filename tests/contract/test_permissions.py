"""The roles of the template hold what the functions were seen to call, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import attrs
import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

from telephony.aws import clients, services
from telephony.handlers import sweep
from telephony.settings import settings
from tests.conftest import CONNECT, SMS, Context, Laptop, connect_instance
from tests.contract.cloudformation import Stack
from tests.contract.declarations import (
    SIMULATOR,
    SMS_PHONE_NUMBER,
    SMS_SENDER_ID,
    Kind,
    connect_phone_number,
    template,
    with_failing_sibling,
)
from tests.contract.test_sms_phone_number import ROLE, TOLL_FREE, TOPIC
from tests.contract.test_sweep import RETAINED, StacksApi, suspect
from tests.template.conftest import ROOT

PREFIXES = {SMS: "sms-voice"}
"""The IAM prefix of a service, where it is not boto3's name."""
ACTIONS = {"dynamodb:TransactWriteItems": {"dynamodb:PutItem", "dynamodb:ConditionCheckItem"}}
"""Operations that IAM knows by the names of their parts (DynamoDB developer guide, "IAM and transactions")."""

ONLY_AWS_NEEDS = {
    "logs:CreateLogStream": "the Lambda service writes the log with the function's role",
    "logs:PutLogEvents": "likewise",
    "sqs:SendMessage": "the Lambda service sends what could not be answered to the on-failure queue",
    "sqs:ReceiveMessage": "the event source mapping reads the queue with the role of the last resort",
    "sqs:DeleteMessage": "likewise",
    "sqs:GetQueueAttributes": "likewise",
    "iam:PassRole": "the SMS service asks for it when TwoWay.ChannelRole is given to it",
}
"""What is granted although no call of ours shows it, and why."""

MANAGED = "aws:ResourceTag/cfn-telephony:managed-by"


@attrs.frozen
class Call:
    action: str
    parameters: str
    """As text: which ids and ARNs it names is all that matters."""


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """Every call of the functions' own clients, and nobody else's, as IAM would judge it."""
    calls: list[Call] = []

    def note(params: Any, model: Any, **_: Any) -> None:
        service = model.service_model.service_name
        action = f"{PREFIXES.get(service, service)}:{model.name}"
        calls.extend(Call(name, str(params)) for name in ACTIONS.get(action, {action}))

    through: list[Any] = [services.sms_voice(), services.connect(), services.cloudformation()]
    sources = [*(service._client for service in through), clients.dynamodb()]
    for client in sources:
        client.meta.events.register("before-parameter-build", note, unique_id="recorded")
    try:
        yield calls
    finally:
        for client in sources:
            client.meta.events.unregister("before-parameter-build", unique_id="recorded")


@pytest.fixture(scope="session")
def resources() -> dict[str, Any]:
    found: dict[str, Any] = cfn_yaml.load(str(ROOT / "template.yaml"))["Resources"]
    return found


@pytest.fixture
def stacks(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> Iterator[StacksApi]:
    del laptop
    with StacksApi() as api:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", api.url)
        services.cloudformation.cache_clear()
        yield api
    services.cloudformation.cache_clear()


def statements(resources: dict[str, Any], role: str, *, releasing: bool = True) -> list[dict[str, Any]]:
    """What is allowed to a role, its parameters all given."""
    properties = resources[role]["Properties"]
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    attached = [
        one["Fn::If"][1] if "Fn::If" in one else one
        for one in properties["ManagedPolicyArns"]
        if releasing or "Fn::If" not in one
    ]
    documents += [resources[one["Ref"]]["Properties"]["PolicyDocument"] for one in attached]
    found = [statement for document in documents for statement in document["Statement"]]
    found = [statement["Fn::If"][1] if "Fn::If" in statement else statement for statement in found]
    return [statement for statement in found if statement["Effect"] == "Allow"]


def actions(statement: dict[str, Any]) -> set[str]:
    action = statement["Action"]
    return {action} if isinstance(action, str) else set(action)


def granted(resources: dict[str, Any], *roles: str, **more: bool) -> set[str]:
    return {
        action for role in roles for statement in statements(resources, role, **more) for action in actions(statement)
    }


def only_ours(resources: dict[str, Any], role: str) -> set[str]:
    """Actions that may touch a number only if it carries our tag, whatever else they may touch."""
    on_numbers = [one for one in statements(resources, role) if any(part in str(one["Resource"]) for part in NUMBERS)]
    tagged = {action for one in on_numbers if _condition(one) == MANAGED for action in actions(one)}
    free = {action for one in on_numbers if _condition(one) != MANAGED for action in actions(one)}
    return tagged - free


NUMBERS = (":phone-number/", ":sender-id/")


def _condition(statement: dict[str, Any]) -> str:
    return next(iter(statement.get("Condition", {}).get("StringEquals", {})), "")


# -- the lives that are recorded ---------------------------------------------------------------------------------------


def _deploy(stack: Stack, declared: dict[str, Any], expected: str = "_COMPLETE") -> None:
    status = stack.deploy(declared)
    assert status.endswith(expected), stack.reasons("Number")


def _common(laptop: Laptop, kind: Kind) -> None:
    """What every type goes through: creation, change, replacement, rollbacks, lost answers, deletion, twice."""
    stack = laptop.cloudformation.stack("common")
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
    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")

    laptop.telecom.configure(forget_tokens=True)
    laptop.telecom.fault(kind.service, kind.operation, "lose_answer")
    lost = laptop.send("Create", resource_type=kind.type, properties=kind.properties)
    laptop.telecom.configure(forget_tokens=False)
    for _ in range(2):
        gone = laptop.send(
            "Delete", resource_type=kind.type, properties=kind.properties, physical_id=lost["PhysicalResourceId"]
        )
        assert gone["Status"] == "SUCCESS"

    # A run ends without knowing, and holds the lease; the next one waits for its end.
    laptop.telecom.fault(kind.service, kind.operation, "error", code="InternalError", status=500, times=5)
    unknown = laptop.send("Create", resource_type=kind.type, properties=kind.properties, logical_id="Unknown")
    assert unknown["Status"] == "SUCCESS"
    laptop.send(
        "Delete",
        resource_type=kind.type,
        properties=kind.properties,
        logical_id="Unknown",
        physical_id=unknown["PhysicalResourceId"],
    )

    # The ledger is lost, and the tags alone say whose it is; then one that is somebody else's.
    kept = laptop.send("Create", resource_type=kind.type, properties=kind.properties)["PhysicalResourceId"]
    forged = {"physical_id": kept, "resource_type": kind.type, "properties": kind.properties}
    other = laptop.send("Delete", logical_id="Other", **forged)
    assert other["Status"] == "FAILED"
    for row in laptop.purchases():
        laptop.dynamodb.delete_item(TableName=laptop.table, Key={"pk": row["pk"], "sk": row["sk"]})
    assert laptop.send("Delete", **forged)["Status"] == "SUCCESS"


def _sms_phone_number(laptop: Laptop) -> None:
    _common(laptop, SMS_PHONE_NUMBER)
    laptop.sms.create_opt_out_list(OptOutListName="own")
    first, second = (_pool(laptop, TOLL_FREE) for _ in range(2))
    stack = laptop.cloudformation.stack("numbers")
    declared = TOLL_FREE | {
        "OnDelete": {"LeavePools": True, "LiftDeletionProtection": True},
        "OptOutListName": "own",
        "TwoWay": {"Enabled": True, "ChannelArn": TOPIC, "ChannelRole": ROLE},
        "MandatoryKeywords": {"HELP": {"Message": "Call us."}, "STOP": {"Message": "Bye."}},
        "OptionalKeywords": [{"Keyword": "JOIN", "Message": "Welcome.", "Action": "OPT_IN"}],
        "WaitForActive": True,
    }
    _deploy(stack, template(declared), "CREATE_COMPLETE")
    _deploy(stack, template(declared | {"OptionalKeywords": []}), "UPDATE_COMPLETE")
    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")

    stack = laptop.cloudformation.stack("pooled")
    pooled = TOLL_FREE | {"OnDelete": {"LeavePools": True, "LiftDeletionProtection": True}}
    _deploy(stack, template(pooled | {"PoolId": first}), "CREATE_COMPLETE")
    _deploy(stack, template(pooled | {"PoolId": second}), "UPDATE_COMPLETE")
    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")


def _sms_sender_id(laptop: Laptop) -> None:
    _common(laptop, SMS_SENDER_ID)
    stack = laptop.cloudformation.stack("senders")
    declared = SMS_SENDER_ID.properties | {"OnDelete": {"LeavePools": True, "LiftDeletionProtection": True}}
    _deploy(stack, template(declared | SMS_SENDER_ID.in_place, SMS_SENDER_ID), "CREATE_COMPLETE")
    laptop.sms.associate_origination_identity(
        PoolId=_pool(laptop, SIMULATOR), OriginationIdentity="ACME", IsoCountryCode="GB"
    )
    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")


def _connect_phone_number(laptop: Laptop) -> None:
    laptop.telecom.configure(claim_release_limit=100)
    kind = connect_phone_number(connect_instance(laptop))
    _common(laptop, kind)
    stack = laptop.cloudformation.stack("connect")
    _deploy(stack, template(kind.properties, kind), "CREATE_COMPLETE")
    moved = kind.properties | {"TargetArn": connect_instance(laptop)}
    _deploy(stack, template(moved, kind), "UPDATE_COMPLETE")
    assert stack.delete() == "DELETE_COMPLETE"

    source = laptop.sms.request_phone_number(**cast("Any", TOLL_FREE | {"MessageType": "TRANSACTIONAL"}))
    imported = {"TargetArn": kind.properties["TargetArn"], "SourcePhoneNumberArn": source["PhoneNumberArn"]}
    laptop.telecom.configure(forget_tokens=True)
    laptop.telecom.fault(CONNECT, "ImportPhoneNumber", "lose_answer")
    stack = laptop.cloudformation.stack("imported")
    _deploy(stack, template(imported, kind), "CREATE_COMPLETE")
    assert stack.delete() == "DELETE_COMPLETE"
    assert "connect_numbers" not in laptop.held()


LIVES = {
    "SmsPhoneNumber": _sms_phone_number,
    "SmsSenderId": _sms_sender_id,
    "ConnectPhoneNumber": _connect_phone_number,
}


def _pool(laptop: Laptop, properties: dict[str, Any]) -> str:
    """A pool of somebody else's, with a number of theirs."""
    asked: Any = properties | {"MessageType": "TRANSACTIONAL"}
    number = laptop.sms.request_phone_number(**asked)["PhoneNumberId"]
    made = laptop.sms.create_pool(OriginationIdentity=number, IsoCountryCode="US", MessageType="TRANSACTIONAL")
    return made["PoolId"]


def _something_to_sweep(laptop: Laptop, stacks: StacksApi) -> None:
    """Something of everything that a sweep can meet, of every type, with all that can be in the way of a release."""
    laptop.telecom.configure(claim_release_limit=100)
    for kind in (SMS_PHONE_NUMBER, SMS_SENDER_ID, connect_phone_number(connect_instance(laptop))):
        stack = laptop.cloudformation.stack(kind.held)
        _deploy(stack, template(kind.properties | kind.replacing, kind, **RETAINED), "CREATE_COMPLETE")
        if kind is not SMS_PHONE_NUMBER:  # whose stack is gone
            stacks.know(stack)
        physical_id = suspect(laptop, kind, deleted=True)
        if kind is SMS_PHONE_NUMBER:
            laptop.sms.update_phone_number(PhoneNumberId=physical_id, DeletionProtectionEnabled=True)
            _join(laptop, "US", physical_id)
        if kind is SMS_SENDER_ID:
            laptop.sms.update_sender_id(SenderId="ACME", IsoCountryCode="GB", DeletionProtectionEnabled=True)
            _join(laptop, "GB", "ACME")


def _join(laptop: Laptop, country: str, identity: str) -> None:
    pool = _pool(laptop, SIMULATOR)
    laptop.sms.associate_origination_identity(PoolId=pool, OriginationIdentity=identity, IsoCountryCode=country)


def foreign(laptop: Laptop) -> set[str]:
    """What is held without our tag, by the names that a call can have for it."""
    held = laptop.telecom.held()
    found = set()
    for number in held["phone_numbers"]:
        arn = laptop.sms.describe_phone_numbers(PhoneNumberIds=[number["id"]])["PhoneNumbers"][0]["PhoneNumberArn"]
        tags = laptop.sms.list_tags_for_resource(ResourceArn=arn)["Tags"]
        if "cfn-telephony:managed-by" not in {tag["Key"] for tag in tags}:
            found |= {number["id"], arn}
    return found


# -- the comparisons ---------------------------------------------------------------------------------------------------


def seen(laptop: Laptop, *lives: Callable[[Laptop], None]) -> list[Call]:
    with recorded() as calls:
        for live in lives:
            live(laptop)
    return calls


@pytest.mark.usefixtures("stacks")
def test_the_provider_may_do_what_it_does_and_nothing_else(laptop: Laptop, resources: dict[str, Any]) -> None:
    needed = {call.action for call in seen(laptop, *LIVES.values())}
    allowed = granted(resources, "ProviderRole", "ContinuationRole")

    assert needed - allowed == set(), "needed, but not granted"
    assert allowed - needed - ONLY_AWS_NEEDS.keys() == set(), "granted, but never needed"
    # They run the same code: what is granted to answer is granted to both.
    for role in ("ProviderRole", "ContinuationRole"):
        assert needed <= granted(resources, role), role


@pytest.mark.usefixtures("stacks")
@pytest.mark.parametrize("name", LIVES)
def test_a_type_declares_the_permissions_that_it_needs(laptop: Laptop, name: str) -> None:
    from telephony import resources as types  # noqa: PLC0415

    declared = set(types.by_type(f"Custom::{name}").permissions)
    needed = {call.action for call in seen(laptop, LIVES[name]) if not call.action.startswith("dynamodb:")}

    # The service, and not the provider, reads the number that is imported.
    assert declared - needed - ONLY_AWS_NEEDS.keys() <= {"sms-voice:DescribePhoneNumbers"}
    assert needed <= declared


@pytest.mark.parametrize("releasing", [False, True])
def test_the_sweep_may_do_what_it_does_and_nothing_else(
    laptop: Laptop, stacks: StacksApi, resources: dict[str, Any], monkeypatch: pytest.MonkeyPatch, releasing: bool
) -> None:
    _something_to_sweep(laptop, stacks)
    monkeypatch.setenv("ALLOW_SWEEP_RELEASE", str(releasing).lower())
    monkeypatch.setenv("CALL_RATES", "*=1000")  # so that it takes turns, as on AWS
    settings.cache_clear()
    try:
        with recorded() as calls:
            found = sweep.handler({}, cast("Any", Context(900)))
    finally:
        settings.cache_clear()
    assert found["UNKNOWN_PURCHASE_RELEASED" if releasing else "UNKNOWN_PURCHASE_FOUND"] == 3

    needed = {call.action for call in calls}
    allowed = granted(resources, "SweepRole", releasing=releasing)
    assert needed - allowed == set(), "needed, but not granted"
    assert allowed - needed - ONLY_AWS_NEEDS.keys() == set(), "granted, but never needed"
    assert any("Release" in action for action in needed) == releasing


@pytest.mark.usefixtures("stacks")
@pytest.mark.parametrize("name", LIVES)
def test_no_life_needs_to_change_what_does_not_carry_our_tag(
    laptop: Laptop, resources: dict[str, Any], name: str
) -> None:
    calls = seen(laptop, LIVES[name])
    owned = only_ours(resources, "ProviderRole")
    changing = [call for call in calls if call.action in owned]
    assert changing

    touched = {other for other in foreign(laptop) for call in changing if other in call.parameters}

    assert touched == set()


def test_what_only_aws_needs_is_granted_to_somebody(resources: dict[str, Any]) -> None:
    roles = [name for name, resource in resources.items() if resource["Type"] == "AWS::IAM::Role"]
    assert ONLY_AWS_NEEDS.keys() <= granted(resources, *roles)
    assert all(ONLY_AWS_NEEDS.values())
