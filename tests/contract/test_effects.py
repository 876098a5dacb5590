"""What `effects.decide` says about a request, compared with what the services hold after it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, cast
from uuid import uuid4

import attrs
import pytest
from hypothesis import HealthCheck, assume, event, example, given, note, settings
from hypothesis import strategies as st

from local.telecom import Options
from telephony import clock, reasons, resources
from telephony.handlers import sweep
from telephony.lifecycle import ledger
from telephony.lifecycle.effects import Decision, Effect, Situation, decide, ending
from telephony.lifecycle.ledger import Closed, PurchaseRecord, PurchaseState
from telephony.lifecycle.plan import foresee
from telephony.model.recovery import RECOVERY_WINDOW, RELEASE_AFTER
from telephony.model.resource import Difference, Resource
from telephony.model.tags import TAG_PREFIX
from telephony.model.validation import parse
from tests.conftest import STACK_ID, Configure, Context, Harness, connect_instance
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, connect_phone_number
from tests.contract.state_table import create_state_table
from tests.contract.steps import create_pool, fault, join_pool, protect, request_number

type Raw = dict[str, Any]

NUMBER_ID = "phone-0123456789abcdef0123456789abcdef"
OTHER_ID = "phone-fedcba9876543210fedcba9876543210"
TWO_WAY = {"Enabled": True, "ChannelArn": "arn:aws:sns:us-east-1:123456789012:in"}
SMS = resources.by_type("Custom::SmsPhoneNumber")
SENDER = resources.by_type("Custom::SmsSenderId")

# -- the function ------------------------------------------------------------------------------------------------------

RECORD = PurchaseRecord(
    resource=f"{STACK_ID}|Number",
    request_id="r",
    request_time=0,
    resource_type=SMS.type_name,
    issued_at=0,
    opened_at=0,
    deadline=0,
    state=PurchaseState.READY,
    physical_id=NUMBER_ID,
)
TAKEN_RECORD = copy.replace(RECORD, state=PurchaseState.BOUGHT, taken=True, release_after=9.0, recovery_key="k")
CHANGE = Difference("NumberCapabilities", "SMS", "VOICE", shows_value=True)
IN_PLACE = Difference("SelfManagedOptOutsEnabled", False, True, shows_value=True)
UPDATE = Situation(physical_id=NUMBER_ID, record=RECORD)


def declaration(resource: Resource[Any] = SMS, **properties: Any) -> Any:
    kind = SMS_SENDER_ID if resource is SENDER else SMS_PHONE_NUMBER
    return parse(resource.properties, kind.properties | properties)


@pytest.mark.parametrize(
    ("properties", "situation", "effect", "causes"),
    [
        ({}, Situation(), Effect.PURCHASED, []),
        ({"Adopt": NUMBER_ID}, Situation(recoverable=["a", "b"], reusable=["c"]), Effect.ADOPTED, ["Adopt"]),
        ({}, Situation(recoverable=["a"], reusable=["c"]), Effect.TAKEN_BACK, []),
        ({"ReusePendingRelease": True}, Situation(recoverable=["a"], reusable=["c"]), Effect.TAKEN_BACK, []),
        ({"ReusePendingRelease": True}, Situation(reusable=["c", "d"]), Effect.REUSED, ["ReusePendingRelease"]),
        ({}, Situation(reusable=["c"]), Effect.PURCHASED, []),
        ({"ReusePendingRelease": True}, Situation(), Effect.PURCHASED, []),
    ],
)
def test_create(properties: Raw, situation: Situation, effect: Effect, causes: list[str]) -> None:
    decision = decide(SMS, declaration(**properties), situation)

    assert (decision.require(), [*decision.causes]) == (effect, causes)


@pytest.mark.parametrize(
    ("properties", "changes", "effect", "causes"),
    [
        ({}, {}, Effect.UNCHANGED, []),
        ({"Adopt": OTHER_ID}, {}, Effect.UNCHANGED, []),
        ({}, {"in_place": [IN_PLACE]}, Effect.CHANGED, ["SelfManagedOptOutsEnabled"]),
        ({"AllowReplacement": True}, {"create_only": [CHANGE]}, Effect.REPLACED, ["NumberCapabilities"]),
        ({"AllowReplacement": NUMBER_ID}, {"create_only": [CHANGE]}, Effect.REPLACED, ["NumberCapabilities"]),
        ({}, {"create_only": [CHANGE], "has_replacement": True}, Effect.REPLACED, ["NumberCapabilities"]),
        (
            {},
            {"record": copy.replace(RECORD, state=PurchaseState.PENDING_RELEASE), "in_place": [IN_PLACE]},
            Effect.TAKEN_BACK,
            ["SelfManagedOptOutsEnabled"],
        ),
    ],
)
def test_update(properties: Raw, changes: Raw, effect: Effect, causes: list[str]) -> None:
    decision = decide(SMS, declaration(**properties), copy.replace(UPDATE, **changes))

    assert (decision.require(), [*decision.causes]) == (effect, causes)


@pytest.mark.parametrize(
    ("record", "window", "effect", "causes"),
    [
        ({}, 0, Effect.RELEASED, [RECOVERY_WINDOW]),
        ({}, 7, Effect.PENDING_RELEASE, [RECOVERY_WINDOW]),
        ({"adopted": True}, 7, Effect.RETAINED, []),
        ({"incomplete": True, "failed": True}, 7, Effect.RELEASED, []),
        ({"failed": True}, 7, Effect.PENDING_RELEASE, [RECOVERY_WINDOW]),
        ({"taken": True, "release_after": 9.0}, 0, Effect.PENDING_RELEASE, [RECOVERY_WINDOW]),
        ({"taken": True, "release_after": 5.0}, 0, Effect.RELEASED, [RECOVERY_WINDOW]),
        ({"state": PurchaseState.BOUGHT}, 7, Effect.RELEASED, []),
        ({"state": PurchaseState.RELEASING, "releasing_from": PurchaseState.READY}, 7, Effect.RELEASED, []),
        (
            {"state": PurchaseState.RELEASING, "releasing_from": PurchaseState.READY, "release_after": 9.0},
            0,
            Effect.PENDING_RELEASE,
            [],
        ),
        ({"state": PurchaseState.PENDING_RELEASE, "release_after": 9.0}, 0, Effect.UNCHANGED, []),
        ({"state": PurchaseState.CLOSED, "closed": Closed.RELEASED}, 7, Effect.UNCHANGED, []),
    ],
)
def test_delete(record: Raw, window: int, effect: Effect, causes: list[str]) -> None:
    situation = copy.replace(UPDATE, record=copy.replace(RECORD, **record), window=window, now=6)

    decision = decide(SMS, None, situation)

    assert (decision.require(), [*decision.causes]) == (effect, causes)


def test_delete_of_an_unknown_number_does_nothing() -> None:
    assert decide(SMS, None, Situation(physical_id=NUMBER_ID)).effect is Effect.UNCHANGED


@pytest.mark.parametrize(
    ("record", "effect"),
    [
        (RECORD, Effect.RELEASED),
        (copy.replace(RECORD, adopted=True, release_after=9.0), Effect.RETAINED),
        (TAKEN_RECORD, Effect.PENDING_RELEASE),
        (copy.replace(TAKEN_RECORD, state=PurchaseState.PENDING_RELEASE), Effect.RELEASED),
    ],
)
def test_end_of_a_purchase(record: PurchaseRecord, effect: Effect) -> None:
    assert ending(record) is effect


BLOCKED = ["has deletion protection enabled", "is in pool-1"]
REFUSALS: Mapping[str, tuple[reasons.Reason, Decision, list[str], str]] = {
    "ambiguous": (
        reasons.AMBIGUOUS_RECOVERY,
        decide(SMS, declaration(ReusePendingRelease=True), Situation(recoverable=["a", "b"], reusable=["c"])),
        [],
        "a, b",
    ),
    "not in the ledger": (
        reasons.DOES_NOT_EXIST,
        decide(SMS, declaration(), Situation(physical_id=NUMBER_ID)),
        [],
        NUMBER_ID,
    ),
    "due": (
        reasons.DOES_NOT_EXIST,
        decide(
            SMS,
            declaration(),
            copy.replace(
                UPDATE,
                record=copy.replace(
                    RECORD, state=PurchaseState.RELEASING, releasing_from=PurchaseState.PENDING_RELEASE
                ),
            ),
        ),
        [],
        NUMBER_ID,
    ),
    "adopts": (
        reasons.ADOPT_IN_UPDATE,
        decide(SMS, declaration(Adopt=OTHER_ID), copy.replace(UPDATE, create_only=[CHANGE])),
        ["NumberCapabilities"],
        "is SMS, declared VOICE",
    ),
    "same ID": (
        reasons.SAME_IDENTITY,
        decide(SENDER, declaration(SENDER, AllowReplacement=True), copy.replace(UPDATE, create_only=[CHANGE])),
        ["NumberCapabilities"],
        NUMBER_ID,
    ),
    "not allowed": (
        reasons.REPLACEMENT_REFUSED,
        decide(SMS, declaration(AllowReplacement=OTHER_ID), copy.replace(UPDATE, create_only=[CHANGE])),
        ["NumberCapabilities"],
        NUMBER_ID,
    ),
    "not releasable": (
        reasons.NOT_RELEASABLE,
        decide(
            SMS,
            declaration(AllowReplacement=True),
            copy.replace(UPDATE, create_only=[CHANGE], blockers=BLOCKED),
        ),
        ["NumberCapabilities"],
        "has deletion protection enabled and is in pool-1",
    ),
    "delete": (
        reasons.RELEASE_BLOCKED,
        decide(SMS, None, copy.replace(UPDATE, blockers=BLOCKED)),
        ["OnDelete"],
        "has deletion protection enabled and is in pool-1",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_names_causes_and_facts(name: str) -> None:
    reason, decision, causes, fact = REFUSALS[name]

    assert (decision.effect, [*decision.causes]) == (Effect.REFUSED, causes)
    assert decision.failure is not None
    assert decision.failure.error_code is reason.error_code
    assert fact in str(decision.failure)
    with pytest.raises(type(decision.failure)):
        decision.require()


@pytest.mark.parametrize(
    ("before", "after", "create_only", "in_place"),
    [
        ({"NumberCapabilities": ["SMS", "VOICE"]}, {"NumberCapabilities": ["VOICE", "SMS"]}, [], []),
        ({"NumberCapabilities": ["SMS"]}, {"NumberCapabilities": ["VOICE"]}, ["NumberCapabilities"], []),
        ({"OptOutListName": "brand"}, {}, [], []),
        ({"OptOutListName": "brand"}, {"OptOutListName": "arn:aws:sms-voice:::opt-out-list/brand"}, [], []),
        ({}, {"OptOutListName": "brand"}, [], ["OptOutListName"]),
        ({"DeletionProtectionEnabled": "true"}, {}, [], ["DeletionProtectionEnabled"]),
        ({"DeletionProtectionEnabled": "true", "PoolId": "pool-1"}, {"PoolId": "pool-1"}, [], []),
        ({"TwoWay": TWO_WAY | {"Enabled": "true"}}, {"TwoWay": TWO_WAY}, [], []),
        ({"TwoWay": TWO_WAY}, {"TwoWay": {"Enabled": "false"}}, [], ["TwoWay"]),
        ({"Tags": [{"Key": "a", "Value": "b"}]}, {"Tags": [{"Key": "a", "Value": "b"}]}, [], []),
        ({"Tags": [{"Key": "a", "Value": "b"}]}, {"Tags": [{"Key": "a", "Value": "c"}]}, [], ["Tags"]),
        (
            {"Trigger": 1},
            {
                "Trigger": 2,
                "OnDelete": {"LeavePools": True},
                "RecoveryWindowInDays": 7,
                "AllowReplacement": True,
                "ReusePendingRelease": True,
                "Adopt": OTHER_ID,
            },
            [],
            [],
        ),
    ],
)
def test_situation_of_an_update_is_foreseen_from_its_declarations(
    before: Raw, after: Raw, create_only: list[str], in_place: list[str]
) -> None:
    foreseen = foresee(SMS, SIMULATOR | before, declaration(**after), NUMBER_ID, RECORD)

    assert [each.property_name for each in foreseen.create_only] == create_only
    assert [each.property_name for each in foreseen.in_place] == in_place


@pytest.mark.parametrize(
    ("before", "record", "blockers", "window"),
    [
        ({}, {}, [], 3),
        ({"RecoveryWindowInDays": "0"}, {}, [], 0),
        ({"DeletionProtectionEnabled": "true", "PoolId": "pool-1"}, {}, BLOCKED, 3),
        ({"PoolId": "pool-1", "OnDelete": {"LeavePools": "true"}}, {}, [], 3),
        ({"DeletionProtectionEnabled": "true"}, {"failed": True}, [], 3),
        ({"DeletionProtectionEnabled": "true"}, {"state": PurchaseState.BOUGHT}, [], 3),
        ({"DeletionProtectionEnabled": "true"}, {"protecting_until": 0.0}, BLOCKED[:1], 3),
    ],
)
def test_situation_of_a_delete_is_foreseen_from_its_declaration(
    before: Raw, record: Raw, blockers: list[str], window: int
) -> None:
    record_now = copy.replace(RECORD, **record)

    foreseen = foresee(SMS, SIMULATOR | before, None, NUMBER_ID, record_now, default_window=3)

    assert (foreseen.blockers, foreseen.window) == (blockers, window)


# -- compared with what happens ----------------------------------------------------------------------------------------


@attrs.define
class World:
    """A resource and its requests. Predicts from declarations and the ledger, observes only the services."""

    harness: Harness
    kind: Kind
    before: Raw
    """The declaration of its last request."""
    stack_id: str = attrs.field(factory=lambda: stack_id("numbers"))
    physical_id: str = ""
    declared: dict[str, Raw] = attrs.field(factory=dict)
    """The declaration of each number, by physical ID."""

    @property
    def resource(self) -> Resource[Any]:
        return resources.by_type(self.kind.type)

    def send(self, request: str, properties: Raw, *, stack: str = "", logical_id: str = "Number", **more: Any) -> Raw:
        self.harness.invoker.advance(5)
        response = self.harness.send(
            request,
            resource_type=self.kind.type,
            properties=self.kind.properties | properties,
            stack_id=stack or self.stack_id,
            logical_id=logical_id,
            **more,
        )
        if request != "Delete" and response["Status"] == "SUCCESS":
            self.declared[response["PhysicalResourceId"]] = properties
        return response

    def create(self, properties: Raw, *, status: str = "SUCCESS", **more: Any) -> str:
        response = self.send("Create", properties, **more)
        assert response["Status"] == status, response
        return str(response["PhysicalResourceId"])

    def update(self, properties: Raw, old: Raw, physical_id: str) -> str:
        old = self.kind.properties | old
        response = self.send("Update", properties, physical_id=physical_id, old_properties=old)
        assert response["Status"] == "SUCCESS", response
        return str(response["PhysicalResourceId"])

    def delete(self, properties: Raw, physical_id: str, **more: Any) -> None:
        response = self.send("Delete", properties, physical_id=physical_id, **more)
        assert response["Status"] == "SUCCESS", response

    # -- what the services hold

    def numbers(self) -> dict[str, Raw]:
        """Return the numbers of the account by physical ID, with their settings and tags."""
        described: list[Any] = []
        if self.kind is SMS_PHONE_NUMBER:
            described = self.harness.sms.describe_phone_numbers()["PhoneNumbers"]
        else:
            for arn in self.harness.ids():
                shown = self.harness.connect.describe_phone_number(PhoneNumberId=arn)
                described.append(shown["ClaimedPhoneNumberSummary"])
        tags = {each["id"]: each["tags"] for each in self.harness.telecom.held()[self.kind.held]}
        name = "PhoneNumberId" if self.kind is SMS_PHONE_NUMBER else "PhoneNumberArn"
        return {
            each[name]: {**each, "Tags": dict(tags[each["PhoneNumberId"]]), "Status": ""}
            for each in described
            if each["PhoneNumberId"] in tags
        }

    # -- what is predicted

    def record(self) -> PurchaseRecord | None:
        return ledger.history(ledger.resource_key(self.stack_id, "Number")).by_physical_id(self.physical_id)

    def pending(self, name: str, desired: Any) -> list[str]:
        return [
            each
            for each in ledger.pending_release(name)
            if not foresee(self.resource, self.kind.properties | self.declared[each], desired, each, None).create_only
        ]

    def predict_create(self, properties: Raw) -> Decision:
        desired = parse(self.resource.properties, self.kind.properties | properties)
        account, name = self.stack_id.split(":")[4], self.stack_id.split("/")[1]
        own = self.pending(f"{account}|{name}|Number|{self.kind.type}", desired)
        others = self.pending(self.kind.type, desired)
        return decide(self.resource, desired, Situation(recoverable=own, reusable=others))

    def predict_update(self, properties: Raw) -> Decision:
        desired = parse(self.resource.properties, self.kind.properties | properties)
        before = self.kind.properties | self.before
        return decide(self.resource, desired, foresee(self.resource, before, desired, self.physical_id, self.record()))

    def predict_delete(self) -> Decision:
        before, record = self.kind.properties | self.before, self.record()
        foreseen = foresee(self.resource, before, None, self.physical_id, record, now=clock.now())
        return decide(self.resource, None, foreseen)

    # -- what happens

    def happens(self, request: str, properties: Raw) -> tuple[Effect, str]:
        """Make the request. Returns the effect, and the error code or the physical ID."""
        named: Raw = {} if request == "Create" else {"physical_id": self.physical_id}
        if request == "Update":
            named["old_properties"] = self.kind.properties | self.before
        before, bought = self.numbers(), self.harness.calls().get(self.kind.buys, 0)
        response = self.send(request, properties, **named)
        after, bought = self.numbers(), self.harness.calls().get(self.kind.buys, 0) - bought
        if response["Status"] == "FAILED":
            # A number that an Update names is used again, even if the Update is refused.
            assert settings_of(after) == settings_of(before)
            return Effect.REFUSED, response["Reason"].split(": ")[0]
        new = response["PhysicalResourceId"]
        if request == "Delete":
            return self._deleted(before, after), new
        if request == "Update" and new == self.physical_id:
            assert bought == 0
            if RELEASE_AFTER in before[new]["Tags"]:
                return Effect.TAKEN_BACK, new
            return Effect.CHANGED if after != before else Effect.UNCHANGED, new
        assert bought == (new not in before)
        if request == "Update":
            assert after[self.physical_id] == before[self.physical_id]
            return Effect.REPLACED, new
        return self.origin(before, after, new), new

    def origin(self, before: Mapping[str, Raw], after: Mapping[str, Raw], new: str) -> Effect:
        if new not in before:
            return Effect.PURCHASED
        if after[new]["Tags"][f"{TAG_PREFIX}managed-by"] == "cfn-telephony-adopted":
            return Effect.ADOPTED
        former = before[new]["Tags"]
        assert RELEASE_AFTER in former
        owner = former[f"{TAG_PREFIX}stack-id"].split("/")[1], former[f"{TAG_PREFIX}logical-id"]
        return Effect.TAKEN_BACK if owner == ("numbers", "Number") else Effect.REUSED

    def _deleted(self, before: Mapping[str, Raw], after: Mapping[str, Raw]) -> Effect:
        number = after.get(self.physical_id)
        if after == before:
            return Effect.UNCHANGED
        if number is None:
            return Effect.RELEASED
        return Effect.PENDING_RELEASE if RELEASE_AFTER in number["Tags"] else Effect.RETAINED


def settings_of(numbers: Mapping[str, Raw]) -> dict[str, Raw]:
    """Return the numbers without the provider's own tags."""
    return {
        name: each | {"Tags": {key: value for key, value in each["Tags"].items() if not key.startswith(TAG_PREFIX)}}
        for name, each in numbers.items()
    }


def stack_id(name: str) -> str:
    return f"arn:aws:cloudformation:us-east-1:123456789012:stack/{name}/{uuid4()}"


WINDOW = {"RecoveryWindowInDays": 7}


def bought(world: World) -> None:
    world.physical_id = world.create(world.before)


def adopted(world: World) -> None:
    identity = unmanaged(world)
    declared: Raw = {name: world.before[name] for name in ("RecoveryWindowInDays", "OnDelete") if name in world.before}
    declared["Type" if "Type" in world.kind.properties else "NumberCapabilities"] = first_choice(world)
    world.before = declared | {"Adopt": identity}
    world.physical_id = world.create(world.before)


def first_choice(world: World) -> Any:
    return "DID" if "Type" in world.kind.properties else ["SMS"]


def unmanaged(world: World) -> str:
    """Return a number that the provider does not manage."""
    if world.kind is SMS_PHONE_NUMBER:
        return request_number(world.harness)
    target = world.kind.properties["TargetArn"]
    found = world.harness.connect.search_available_phone_numbers(
        TargetArn=target, PhoneNumberCountryCode="US", PhoneNumberType="DID"
    )["AvailableNumbersList"]
    return world.harness.connect.claim_phone_number(TargetArn=target, PhoneNumber=found[0]["PhoneNumber"])[
        "PhoneNumberArn"
    ]


def unprotected(properties: Raw) -> Raw:
    return {name: value for name, value in properties.items() if name != "DeletionProtectionEnabled"}


def pending_release(world: World) -> None:
    world.before = unprotected(world.before) | WINDOW
    bought(world)
    world.delete(world.before, world.physical_id)


def taken_back(world: World) -> None:
    days = world.before.get(RECOVERY_WINDOW, 0)
    pending_release(world)
    world.stack_id = stack_id("numbers")
    world.before = world.before | {RECOVERY_WINDOW: days}
    again = world.create(world.before)
    assert again == world.physical_id


def two_pending(world: World) -> None:
    """Of two stacks with one name."""
    first, second = world.stack_id, stack_id("numbers")
    world.before = unprotected(world.before) | WINDOW
    made = [(world.create(world.before, stack=stack), stack) for stack in (first, second)]
    for physical_id, stack in made:
        world.delete(world.before, physical_id, stack=stack)
    world.physical_id = made[0][0]


def others_pending(world: World) -> None:
    """Another resource of the stack."""
    world.before = unprotected(world.before) | WINDOW
    identity = world.create(world.before, logical_id="Other")
    world.delete(world.before, identity, logical_id="Other")
    bought(world)


def restored(world: World) -> None:
    pending_release(world)
    assert cast("Any", sweep.handler({"restore": world.physical_id}, cast("Any", Context(900)))) == {"restored": True}


def failed(world: World) -> None:
    """Its Create failed after the purchase."""
    assume(world.kind is SMS_PHONE_NUMBER)  # Nothing is left to set after a claim.
    world.before = world.before | world.kind.in_place
    fault(world.harness, world.kind.updates, "error", times=999, code="ValidationException", status=400, message="No.")
    world.physical_id = world.create(world.before, status="FAILED")
    world.harness.telecom.clear_faults()


def released(world: World) -> None:
    world.before = unprotected(world.before) | {"RecoveryWindowInDays": 0}
    bought(world)
    world.delete(world.before, world.physical_id)


def replaced(world: World) -> None:
    """The second number. The first one waits for its Delete."""
    world.before = unprotected(world.before)
    bought(world)
    changed = unprotected(replacing(world)) | {"AllowReplacement": True}
    second = world.update(changed, world.before, world.physical_id)
    assert second != world.physical_id
    world.before, world.physical_id = changed, second


def cleanup(world: World) -> None:
    """The first number after its replacement."""
    replaced(world)
    first = next(each for each in world.declared if each != world.physical_id)
    world.physical_id, world.before = first, world.declared[first]


def rolled_back(world: World) -> None:
    """The second number after the rollback of its Update, protected since."""
    replaced(world)
    first = next(each for each in world.declared if each != world.physical_id)
    world.harness.stacks.stacks[world.stack_id].move("UPDATE_ROLLBACK_IN_PROGRESS")
    assert world.update(world.declared[first], world.before, world.physical_id) == first
    if world.kind is SMS_PHONE_NUMBER:
        protect(world.harness, world.physical_id)
        world.before = world.before | {"DeletionProtectionEnabled": True}


def replacing(world: World) -> Raw:
    """Return the declaration with another create-only property."""
    if "Type" in world.kind.properties:
        return world.before | {"Type": "TOLL_FREE" if world.before.get("Type", "DID") == "DID" else "DID"}
    former = set(world.before.get("NumberCapabilities", ["SMS"]))
    return world.before | {"NumberCapabilities": ["VOICE"] if former != {"VOICE"} else ["SMS"]}


HISTORIES: Mapping[Callable[[World], None], tuple[str, ...]] = {
    bought: ("Update", "Update", "Delete"),
    adopted: ("Update", "Delete"),
    taken_back: ("Update", "Delete"),
    pending_release: ("Create", "Create", "Update", "Delete"),
    two_pending: ("Create", "Delete"),
    others_pending: ("Update", "Delete"),
    restored: ("Create", "Update", "Delete"),
    failed: ("Delete",),
    released: ("Create", "Update", "Delete"),
    replaced: ("Update", "Delete"),
    cleanup: ("Delete",),
    rolled_back: ("Delete",),
}
"""What happened before, and the requests that CloudFormation can send then."""

BOOLEANS = st.booleans()
SHARED: dict[str, Any] = {
    "AllowReplacement": st.sampled_from([True, True, False, "own", "another"]),
    "RecoveryWindowInDays": st.sampled_from([0, 7]),
    "ReusePendingRelease": BOOLEANS,
    "Tags": st.sampled_from([[], [{"Key": "team", "Value": "a"}], [{"Key": "team", "Value": "b"}]]),
    "Trigger": st.sampled_from(["1", "2"]),
    "Adopt": st.just("another"),
}
SMS_PROPERTIES: dict[str, Any] = SHARED | {
    "NumberCapabilities": st.sampled_from([["SMS"], ["SMS"], ["VOICE"], ["SMS", "VOICE"], ["VOICE", "SMS"]]),
    "SelfManagedOptOutsEnabled": BOOLEANS,
    "DeletionProtectionEnabled": BOOLEANS,
    "OnDelete": st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("LiftDeletionProtection", "LeavePools", "AllowReuse"), BOOLEANS)
    ),
}
CONNECT_PROPERTIES: dict[str, Any] = SHARED | {
    "Type": st.sampled_from(["DID", "DID", "TOLL_FREE"]),
    "Description": st.sampled_from(["a", "b"]),
    "OnDelete": st.fixed_dictionaries({}, optional={"AllowReuse": BOOLEANS}),
}


@attrs.frozen
class Case:
    """A history, and the request that follows it."""

    connect: bool
    history: Callable[[World], None]
    request: str
    before: Raw
    after: Raw
    in_pool: bool
    adopts: bool
    """A Create adopts the number of the history."""


@st.composite
def cases(draw: st.DrawFn) -> Case:
    connect = draw(BOOLEANS)
    history = draw(st.sampled_from([*HISTORIES]))
    properties = CONNECT_PROPERTIES if connect else SMS_PROPERTIES
    optional = {name: each for name, each in properties.items() if name != "Adopt"}
    request = draw(st.sampled_from(HISTORIES[history]))
    return Case(
        connect,
        history,
        request,
        before=draw(st.fixed_dictionaries({}, optional=optional)),
        after=draw(st.fixed_dictionaries({}, optional=properties if request == "Update" else optional)),
        in_pool=not connect and draw(st.integers(0, 3)) == 0,
        adopts=request == "Create" and draw(st.integers(0, 2)) == 0,
    )


def resolved(properties: Raw, physical_id: str, kind: Kind) -> Raw:
    another = OTHER_ID if kind is SMS_PHONE_NUMBER else resources.by_type(kind.type).properties.id_example
    values = {"own": physical_id or another, "another": another}
    return {name: values.get(value, value) if isinstance(value, str) else value for name, value in properties.items()}


def started(harness: Harness, *, connect: bool) -> tuple[Harness, Kind]:
    """Return a provider without any purchase."""
    harness.telecom.reset()
    harness.telecom.options = Options(phone_numbers=999, connect_numbers=999)
    harness.stacks.reset()
    create_state_table(harness.dynamodb, harness.table)
    return harness, connect_phone_number(connect_instance(harness)) if connect else SMS_PHONE_NUMBER


@settings(max_examples=60, deadline=None, suppress_health_check=[*HealthCheck])
@given(case=cases())
@example(Case(False, bought, "Delete", {"DeletionProtectionEnabled": True}, {}, False, False))
@example(Case(False, bought, "Delete", {"OnDelete": {"LeavePools": False}}, {}, True, False))
@example(Case(False, pending_release, "Update", {}, {"NumberCapabilities": ["VOICE"]}, False, False))
@example(Case(True, adopted, "Delete", WINDOW, {}, False, False))
@example(
    Case(
        True, others_pending, "Update", {"OnDelete": {"AllowReuse": True}}, {"ReusePendingRelease": True}, False, False
    )
)
@example(Case(False, restored, "Create", {}, {}, False, True))
def test_prediction_is_what_happens(harness: Harness, configure: Configure, case: Case) -> None:
    configure(ALLOW_ADOPTION="true")
    _, kind = started(harness, connect=case.connect)
    world = World(harness, kind, resolved(case.before, "", kind))
    case.history(world)
    after = world.before if case.request == "Delete" else resolved(case.after, world.physical_id, kind)
    if case.adopts:
        # It declares no setting that can differ.
        choice = {name: value for name, value in world.before.items() if name in {"Type", "NumberCapabilities"}}
        assume(case.history in {pending_release, restored})
        after = choice | {"Adopt": world.physical_id}
    if case.in_pool and case.history in {bought, taken_back, replaced, others_pending}:
        pool = create_pool(harness)
        # The service changes no settings of a number in a pool.
        assume(not {"SelfManagedOptOutsEnabled", "DeletionProtectionEnabled"} & (world.before.keys() | after.keys()))
        join_pool(harness, pool, world.physical_id)
        world.before = world.before | {"PoolId": pool}
        after = world.before if case.request == "Delete" else after | {"PoolId": pool}
    note(f"{world.before} -> {after}")
    decision = {
        "Create": lambda: world.predict_create(after),
        "Update": lambda: world.predict_update(after),
        "Delete": world.predict_delete,
    }[case.request]()
    note(f"{decision.effect} because of {decision.causes}: {decision.failure}")
    event(f"{case.request}: {decision.effect}")
    replacement = world.predict_create(unadopted(after)) if decision.effect is Effect.REPLACED else None
    held = world.numbers()

    effect, result = world.happens(case.request, after)

    if replacement is not None and replacement.failure is not None:
        decision = replacement
    expected = {decision.effect}
    if decision.effect is Effect.CHANGED and not set(decision.causes) & world.before.keys():
        expected.add(Effect.UNCHANGED)  # What was not declared before can have the value already.
    assert effect in expected
    if decision.failure is not None:
        assert result == decision.failure.error_code
    elif replacement is not None:
        assert world.origin(held, world.numbers(), result) is replacement.effect


def unadopted(properties: Raw) -> Raw:
    return {name: value for name, value in properties.items() if name != "Adopt"}
