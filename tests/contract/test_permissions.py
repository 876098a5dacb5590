"""Each role allows exactly the calls that its function makes: actions, resources, tags and conditions."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import attrs
import pytest

from telephony import resources
from telephony.aws import clients
from tests.conftest import CONNECT, Configure, Harness, VirtualClock, connect_instance, reset_container
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
from tests.contract.hooks import Guard, guard
from tests.contract.iam import reference
from tests.contract.iam.calls import PREFIXES, arn, authorizations, request
from tests.contract.iam.evaluation import Request
from tests.contract.iam.template import Principal, Template
from tests.contract.steps import DENIED, ENDS_SOON, GENERATED_ID, SERVER_ERROR, environment, fault
from tests.contract.test_adoption import existing
from tests.contract.test_recovery import WINDOW, pending, restore
from tests.contract.test_sms_phone_number import ROLE, TOLL_FREE, TOPIC
from tests.contract.test_sweep import RETAINED, interrupted_delete, late_purchase, later, run

TYPES = resources.type_names()
TAGGED: dict[str, Any] = {"Tags": [{"Key": "team", "Value": "x"}]}
__all__ = ["guard"]

RELEASABLE: dict[str, Any] = {"OnDelete": {"LeavePools": True, "LiftDeletionProtection": True}}
WIDEST = Template(TwoWayChannelRoleArns=ROLE, AllowSweepRelease="true", AllowAdoption="true")
"""The template with the parameters that allow most. The other parameters restrict nothing by default."""
FUNCTIONS = {
    "provider": "ProviderRole",
    "continuation": "ContinuationRole",
    "sweep": "SweepRole",
    "guard": "GuardRole",
}
"""The role of each function, by its module in telephony.handlers."""

_LOGS = dict.fromkeys(("logs:CreateLogStream", "logs:PutLogEvents"), "Lambda writes the log of a function.")
_MAPPING = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
BY_AWS: dict[str, dict[str, str]] = {
    "ProviderRole": _LOGS | {"sqs:SendMessage": "Lambda sends failed events to the queue."},
    "ContinuationRole": _LOGS | dict.fromkeys(_MAPPING, "The event source mapping reads the queue."),
    "SweepRole": _LOGS,
    "GuardRole": _LOGS,
}
"""What Lambda does with the role of a function, by action, with the reason. The functions make no such call."""
UNUSED_WITHOUT_RELEASE = {
    ("ReadPurchasesAndReserveCalls", "dynamodb:ConditionCheckItem"): "A release checks in a transaction who holds it.",
}
"""What the sweep is allowed and does not need if AllowSweepRelease is false, by Sid and action, with the reason."""


# -- recorded calls ----------------------------------------------------------------------------------------------------


@attrs.frozen
class Call:
    """A call of an AWS API, with the authorizations that it needs."""

    function: str
    requests: tuple[Request, ...]


@contextmanager
def recorded(harness: Harness, roles: Mapping[str, Principal]) -> Iterator[list[Call]]:
    """Record every AWS API call of the functions.

    The release of a number that does not exist is denied, because the number has no tags. It is answered so, and not
    recorded.
    """
    calls: list[Call] = []

    def note(params: Any, model: Any, **_: Any) -> None:
        service = model.service_model.signing_name
        tags = {row["arn"]: row["tags"] for rows in harness.telecom.held().values() for row in rows}
        call = Call(_function(), tuple(authorizations(PREFIXES.get(service, service), model.name, params, tags)))
        first = call.requests[0]
        gone = model.name.startswith("Release") and first.resource not in tags
        if gone and not roles[FUNCTIONS[call.function]].decide(first).allowed:
            fault(harness, f"{model.service_model.service_name}.{model.name}", "error", **DENIED)
        else:
            calls.append(call)

    reset_container()  # so that every client is created from this session
    clients.session().events.register("before-parameter-build", note)
    try:
        yield calls
    finally:
        reset_container()


def _function() -> str:
    modules = {frame.f_globals["__name__"] for frame, _ in traceback.walk_stack(None)}
    (function,) = [name for name in FUNCTIONS if f"telephony.handlers.{name}" in modules]
    return function


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

    if resources.by_type(kind.type).recoverable:
        _recover(harness, kind)

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

    # The number does not exist any more when it is released: it was released outside of CloudFormation, or before.
    outside = harness.send("Create", logical_id="Outside", **declared)["PhysicalResourceId"]
    _release(harness, kind, outside)
    assert harness.send("Delete", logical_id="Outside", physical_id=outside, **declared)["Status"] == "SUCCESS"
    twice = harness.send("Create", logical_id="Twice", **declared)["PhysicalResourceId"]
    fault(harness, kind.releases, "lose_answer")
    assert harness.send("Delete", logical_id="Twice", physical_id=twice, **declared)["Status"] == "SUCCESS"

    # With an empty state table, the tags alone identify the owner.
    kept = harness.send("Create", **declared)["PhysicalResourceId"]
    assert harness.send("Delete", logical_id="Other", physical_id=kept, **declared)["Status"] == "SUCCESS"
    assert kept in harness.ids()
    for row in harness.rows():
        harness.dynamodb.delete_item(TableName=harness.table, Key={"pk": row["pk"], "sk": row["sk"]})
    assert harness.send("Delete", physical_id=kept, **declared)["Status"] == "SUCCESS"


def _recover(harness: Harness, kind: Kind) -> None:
    """Make a number pending release, take it back with other settings, and make it pending release again."""
    physical_id = pending(harness, kind)
    stack = harness.cloudformation.stack("numbers")
    _deploy(stack, template(kind.properties | kind.in_place, kind), "CREATE_COMPLETE")
    assert stack.physical_ids["Number"] == physical_id
    _delete(stack)
    _release(harness, kind, physical_id)


def _adopt(harness: Harness, kind: Kind, *updates: dict[str, Any]) -> None:
    """Adopt a resource that was acquired by hand, refuse it to another stack, change it, and leave it."""
    physical_id, declared = existing(harness, kind)
    stack = harness.cloudformation.stack("adopts")
    with environment(ALLOW_ADOPTION="true"):
        _deploy(stack, template(declared, kind), "CREATE_COMPLETE")
        _deploy(harness.cloudformation.stack(f"second-{kind.held}"), template(declared, kind), "ROLLBACK_COMPLETE")
        for changed in (kind.in_place, {"Tags": [{"Key": "team", "Value": "sms"}]}, {"Tags": []}, *updates):
            declared = declared | changed
            _deploy(stack, template(declared, kind), "UPDATE_COMPLETE")
        _delete(stack)
    if kind is SMS_SENDER_ID:
        harness.sms.update_sender_id(SenderId="ACME", IsoCountryCode="GB", DeletionProtectionEnabled=False)
    if "PoolId" not in declared:
        _release(harness, kind, physical_id)


def _sms_phone_number(harness: Harness) -> None:
    keywords = [{"Keyword": "JOIN", "Message": "Welcome.", "Action": "OPT_IN"}]
    pools = ({"PoolId": _pool(harness, SIMULATOR)} for _ in range(2))
    settings = SMS_PHONE_NUMBER.properties | dict.fromkeys(SMS_PHONE_NUMBER.in_place, False)
    _adopt(harness, SMS_PHONE_NUMBER, {"OptionalKeywords": keywords}, {"OptionalKeywords": []}, settings, *pools)
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
    _deploy(stack, template(declared | {"OptionalKeywords": [], "OptOutListName": "Default"}), "UPDATE_COMPLETE")
    _delete(stack)

    stack = harness.cloudformation.stack("pooled")
    _deploy(stack, template(pooled | {"PoolId": first}), "CREATE_COMPLETE")
    _deploy(stack, template(pooled | {"PoolId": second}), "UPDATE_COMPLETE")
    _delete(stack)


def _sms_sender_id(harness: Harness) -> None:
    _adopt(harness, SMS_SENDER_ID)
    stack = harness.cloudformation.stack("senders")
    declared = SMS_SENDER_ID.properties | SMS_SENDER_ID.in_place | RELEASABLE
    _deploy(stack, template(declared, SMS_SENDER_ID), "CREATE_COMPLETE")
    _join_pool(harness, "GB", "ACME")
    _delete(stack)


def _connect_phone_number(harness: Harness) -> None:
    kind = connect_phone_number(connect_instance(harness))
    _adopt(harness, kind, {"TargetArn": connect_instance(harness)})
    stack = harness.cloudformation.stack("connect")
    _deploy(stack, template(kind.properties, kind), "CREATE_COMPLETE")
    instance = connect_instance(harness)
    _deploy(stack, template(kind.properties | {"TargetArn": instance}, kind), "UPDATE_COMPLETE")
    group = harness.connect.create_traffic_distribution_group(Name="group", InstanceId=instance)["Arn"]
    _deploy(stack, template(kind.properties | {"TargetArn": group}, kind), "UPDATE_COMPLETE")
    _delete(stack)
    stack = harness.cloudformation.stack("group")
    _deploy(stack, template(kind.properties | {"TargetArn": group}, kind), "CREATE_COMPLETE")
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
    unknown = imported | {"SourcePhoneNumberArn": arn("social-messaging", "phone-number-id/phone-number-id-1")}
    assert harness.send("Create", resource_type=kind.type, properties=unknown)["Status"] == "FAILED"


TYPE_SPECIFIC = {
    "Custom::SmsPhoneNumber": _sms_phone_number,
    "Custom::SmsSenderId": _sms_sender_id,
    "Custom::ConnectPhoneNumber": _connect_phone_number,
}
"""What only this type supports, in addition to `_every_type`."""

_lifetimes: dict[str, list[Call]] = {}


@pytest.fixture
def lifetimes(harness: Harness, virtual_clock: VirtualClock) -> dict[str, list[Call]]:
    """The calls in the lifetimes of several resources, by type. They are recorded once per test process."""
    del virtual_clock
    harness.telecom.configure(connect_numbers=100, quota_level="default")
    for name in TYPES:
        assert name in TYPE_SPECIFIC, f"{name} needs an entry in TYPE_SPECIFIC"
        if name not in _lifetimes:
            with recorded(harness, WIDEST.roles()) as calls:
                _every_type(harness, KINDS[name](harness))
                TYPE_SPECIFIC[name](harness)
            _lifetimes[name] = calls
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


def _release(harness: Harness, kind: Kind, physical_id: str) -> None:
    """Release it outside of CloudFormation."""
    country, _, identity = physical_id.rpartition("|")
    if kind.service == CONNECT:
        harness.connect.release_phone_number(PhoneNumberId=identity)
    elif country:
        harness.sms.release_sender_id(SenderId=identity, IsoCountryCode=country)
    else:
        harness.sms.release_phone_number(PhoneNumberId=identity)


def _create_sweep_findings(harness: Harness) -> None:
    """Create every finding of the sweep for every type, with everything that can prevent a release."""
    interrupted_delete(harness, SMS_PHONE_NUMBER)
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


def _create_interrupted_holds(harness: Harness) -> int:
    """Let Deletes under a recovery window run out of time, of stacks that don't have the number any more."""
    kinds = [KINDS[name](harness) for name in TYPES if resources.by_type(name).recoverable]
    harness.sms.create_opt_out_list(OptOutListName="brand")
    for kind in kinds:
        stack = harness.cloudformation.stack(f"held-{kind.held}")
        list_name = {"OptOutListName": "brand"} if kind is SMS_PHONE_NUMBER else {}
        _deploy(stack, template(kind.properties | WINDOW | ENDS_SOON | list_name, kind), "CREATE_COMPLETE")
        prevented = kind.updates if kind is SMS_PHONE_NUMBER else f"{CONNECT}.TagResource"
        fault(harness, prevented, "error", times=999, **SERVER_ERROR)
        with environment(IN_PLACE_WAIT_SECONDS="0.1"):
            assert stack.delete() == "DELETE_FAILED"
        stack.known.resources = {}
        stack.known.status = "UPDATE_COMPLETE"
    harness.telecom.clear_faults()
    return len(kinds)


# -- the comparisons ---------------------------------------------------------------------------------------------------


def allowed(principal: Principal) -> set[tuple[str, str, str]]:
    """What the statements of a principal allow, as Sid, action and resource."""
    return {
        (statement.sid, action, resource)
        for statement in principal.statements
        if statement.effect == "Allow"
        for action in statement.actions
        for resource in statement.resources
        if reference.supports(action, resource)
    }


def needed(calls: Iterable[Call], role: str) -> list[Request]:
    """What a role needs. Provider and continuation make the same calls, except for those of the queue."""
    found = [
        one
        for call in calls
        for one in call.requests
        if FUNCTIONS[call.function] == role or not one.action.startswith("sqs:")
    ]
    stream = WIDEST.arn(role.replace("Role", "LogGroup")).removesuffix("*") + "log-stream:1"
    queue = WIDEST.arn("RequestQueue")
    return found + [request(action, queue if action.startswith("sqs:") else stream, {}) for action in BY_AWS[role]]


def assert_allowed_exactly(role: str, principal: Principal, calls: Iterable[Call], *unused: tuple[str, str]) -> None:
    """Everything that the role needs is allowed, and everything that is allowed is needed, except for `unused`."""
    decisions = [(one, principal.decide(one)) for one in needed(calls, role)]
    assert [(one, decision.by) for one, decision in decisions if not decision.allowed] == []
    used = {(statement.sid, one.action, resource) for one, decision in decisions for statement, resource in decision.by}
    surplus = sorted(allowed(principal) - used)
    assert {(sid, action) for sid, action, _ in surplus} == {*unused}, f"allowed, but not needed: {surplus}"


@pytest.mark.parametrize("role", ["ProviderRole", "ContinuationRole"])
def test_requests_need_exactly_what_the_roles_allow(lifetimes: dict[str, list[Call]], role: str) -> None:
    calls = [call for name in TYPES for call in lifetimes[name]]

    assert_allowed_exactly(role, WIDEST.roles()[role], calls)


@pytest.mark.parametrize("releasing", [False, True])
def test_sweep_needs_exactly_what_its_role_allows(harness: Harness, configure: Configure, releasing: bool) -> None:
    role = Template(AllowSweepRelease=str(releasing).lower()).roles()["SweepRole"]
    _create_sweep_findings(harness)
    held = _create_interrupted_holds(harness)
    kinds = [KINDS[name](harness) for name in TYPES if resources.by_type(name).recoverable]
    restored = [pending(harness, kind, f"restored-{kind.held}") for kind in kinds]
    # With a rate limit, the sweep makes reservations as on AWS.
    configure(ALLOW_SWEEP_RELEASE=str(releasing).lower(), CALL_RATES="*=1000")

    with recorded(harness, {"SweepRole": role}) as calls, later():
        found = run()
        assert [restore(each) for each in restored] == [{"restored": True}] * len(restored)

    assert found["UNKNOWN_PURCHASE_RELEASED" if releasing else "UNKNOWN_PURCHASE_FOUND"] == len(TYPES) + (
        0 if releasing else held
    )
    assert found["PENDING_RELEASE"] == len(restored) + (held if releasing else 0)
    assert found["NOT_CHECKED"] == 0
    assert_allowed_exactly("SweepRole", role, calls, *[] if releasing else UNUSED_WITHOUT_RELEASE)


@pytest.mark.parametrize("name", TYPES)
def test_type_declares_its_permissions(lifetimes: dict[str, list[Call]], name: str) -> None:
    # A type makes no call to the state table, the queue or CloudFormation.
    others = ("dynamodb:", "sqs:", "cloudformation:")
    actions = {one.action for call in lifetimes[name] for one in call.requests if not one.action.startswith(others)}

    assert {*resources.by_type(name).permissions} == actions


def test_guard_needs_exactly_what_its_role_allows(harness: Harness, guard: Guard) -> None:
    role = Template(ReleaseGuard="FAIL").roles()["GuardRole"]
    stacks = [(kind, harness.cloudformation.stack(kind.held)) for kind in (KINDS[name](harness) for name in TYPES)]
    for kind, stack in stacks:
        _deploy(stack, template(kind.properties, kind), "CREATE_COMPLETE")

    with recorded(harness, {"GuardRole": role}) as calls:
        for kind, stack in stacks:
            declared = template(kind.properties | kind.replacing | {"AllowReplacement": True}, kind)
            keywords: dict[str, Any] = {"OptionalKeywords": []} if kind is SMS_PHONE_NUMBER else {}
            tagged = template(kind.properties | kind.replacing | TAGGED | keywords, kind)
            operations = (guard.change_set, guard.execute, guard.update)
            assert all(check(stack, each).failed for check in operations for each in (declared, tagged))
            assert guard.delete(stack).failed

    assert_allowed_exactly("GuardRole", role, calls)


def test_cloudformation_can_only_invoke_the_guard() -> None:
    role = Template(ReleaseGuard="FAIL").roles()["GuardHookRole"]

    assert allowed(role) == {("InvokeGuard", "lambda:InvokeFunction", WIDEST.arn("GuardFunction"))}
