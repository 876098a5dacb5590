"""An existing number or sender ID comes under a declaration: it does not change, and is never released."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

from telephony import resources
from telephony.model.properties import fields
from tests.conftest import CONNECT, STACK_ID, Configure, Harness, connect_instance
from tests.contract.cloudformation import Stack
from tests.contract.declarations import (
    KINDS,
    SMS_PHONE_NUMBER,
    SMS_SENDER_ID,
    Kind,
    connect_phone_number,
    template,
    with_failing_sibling,
)
from tests.contract.steps import (
    DENIED,
    GENERATED_ID,
    OTHER_STACK,
    REPLACEABLE,
    assert_reason,
    create,
    create_pool,
    delete,
    fault,
    hold_call,
    protect,
    request_number,
    send_create,
    update,
)
from tests.contract.test_sweep import DAY, NOTHING, deployed, later, run

RETAINED = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
OWN_TAG = "cfn-telephony:managed-by"


@pytest.fixture(autouse=True)
def allowed(configure: Configure) -> None:
    configure(ALLOW_ADOPTION="true")


@pytest.fixture(params=[name for name in KINDS if "Adopt" in fields(resources.by_type(name).properties)])
def kind(request: pytest.FixtureRequest, harness: Harness) -> Kind:
    """Each type that can be adopted."""
    return KINDS[request.param](harness)


def existing(harness: Harness, kind: Kind, **tags: str) -> tuple[str, dict[str, Any]]:
    """Acquire a resource by hand. Returns its physical ID, and the declaration that adopts it."""
    listed: Any = [{"Key": key, "Value": value} for key, value in tags.items()]
    if kind.type == SMS_PHONE_NUMBER.type:
        physical_id = request_number(harness, Tags=listed)
        return physical_id, kind.properties | {"Adopt": physical_id}
    if kind.type == SMS_SENDER_ID.type:
        harness.sms.request_sender_id(SenderId="ACME", IsoCountryCode="GB", Tags=listed)
        return "GB|ACME", kind.properties | {"Adopt": True}
    assert kind.service == CONNECT, "a resource of this type can't be acquired by hand yet"
    found = harness.connect.search_available_phone_numbers(
        TargetArn=kind.properties["TargetArn"], PhoneNumberCountryCode="US", PhoneNumberType="DID"
    )
    number = found["AvailableNumbersList"][0]["PhoneNumber"]
    claimed = harness.connect.claim_phone_number(
        TargetArn=kind.properties["TargetArn"], PhoneNumber=number, Tags=tags or {"by": "hand"}
    )
    return claimed["PhoneNumberArn"], kind.properties | {"Adopt": claimed["PhoneNumberArn"]}


def tags_of(harness: Harness, kind: Kind) -> dict[str, str]:
    [held] = harness.telecom.held()[kind.held]
    tags: dict[str, str] = held["tags"]
    return tags


def settings_of(harness: Harness, kind: Kind) -> dict[str, Any]:
    """Everything that the service holds of the resource, except tags."""
    [held] = harness.telecom.held()[kind.held]
    return {name: value for name, value in held.items() if name != "tags"}


def adopted(harness: Harness, kind: Kind, **attributes: Any) -> tuple[Stack, str]:
    """A stack that has adopted a resource; attributes are its policies."""
    physical_id, declared = existing(harness, kind)
    stack = harness.cloudformation.stack("adopts")
    assert stack.deploy(template(declared, kind, **attributes)) == "CREATE_COMPLETE", stack.reasons("Number")
    assert stack.physical_ids["Number"] == physical_id
    return stack, physical_id


# -- adoption ----------------------------------------------------------------------------------------------------------


def test_existing_resource_is_adopted_without_purchase_or_change(harness: Harness, kind: Kind) -> None:
    physical_id, declared = existing(harness, kind, team="voice")
    before = settings_of(harness, kind)

    calls = harness.calls_of(lambda: send_create(harness, kind, properties=declared))

    assert harness.ids() == [physical_id]
    assert settings_of(harness, kind) == before
    tags = tags_of(harness, kind)
    assert (tags["team"], tags[OWN_TAG]) == ("voice", "cfn-telephony-adopted")
    writes = [call for call in calls if not call.rpartition(".")[2].startswith(("Describe", "List"))]
    assert [call.rpartition(".")[2] for call in writes] == ["TagResource"]


@pytest.mark.parametrize("form", ["id", "arn", "number"])
def test_number_is_adopted_by_id_arn_or_number(harness: Harness, form: str) -> None:
    for kind_name in ("sms", CONNECT):
        kind = SMS_PHONE_NUMBER
        if kind_name == CONNECT:
            kind = connect_phone_number(connect_instance(harness))
        physical_id, declared = existing(harness, kind)
        [held] = harness.telecom.held()[kind.held]
        reference = {"id": held["arn"].rpartition("/")[2], "arn": held["arn"], "number": held["phone_number"]}[form]

        assert create(harness, kind, properties=declared | {"Adopt": reference}, logical_id=kind_name) == physical_id


def test_adoption_requires_the_parameter(harness: Harness, kind: Kind, configure: Configure) -> None:
    _, declared = existing(harness, kind)
    configure(ALLOW_ADOPTION="false")

    failed = send_create(harness, kind, properties=declared)

    assert_reason(failed, "AccessDenied", "AllowAdoption")
    assert OWN_TAG not in tags_of(harness, kind)


@pytest.mark.parametrize("reference", ["phone-0123456789abcdef0123456789abcdef", "+12065550000"])
def test_number_that_does_not_exist_is_refused_and_none_is_purchased(harness: Harness, reference: str) -> None:
    failed = send_create(harness, SMS_PHONE_NUMBER, properties=SMS_PHONE_NUMBER.properties | {"Adopt": reference})

    assert_reason(failed, "NotFound")
    assert harness.held() == {}
    assert delete(harness, SMS_PHONE_NUMBER, failed["PhysicalResourceId"])["Status"] == "SUCCESS"


def test_every_difference_is_named_in_one_reason_and_nothing_changes(harness: Harness, kind: Kind) -> None:
    _, declared = existing(harness, kind)
    before = harness.telecom.held()
    differing = kind.replacing | kind.in_place | {"Tags": [{"Key": "a", "Value": "b"}]}
    if kind.type == SMS_SENDER_ID.type:  # Its name says which one is adopted.
        differing = differing | {"SenderId": "Acme", "MessageTypes": ["PROMOTIONAL"]}
    names = differing.keys() - {"SenderId"}

    failed = send_create(harness, kind, properties=declared | differing)

    assert_reason(failed, "NotUpdatable", *names)
    assert harness.telecom.held() == before
    assert delete(harness, kind, failed["PhysicalResourceId"])["Status"] == "SUCCESS"
    assert harness.telecom.held() == before


@pytest.mark.parametrize(
    ("differing", "name"),
    [
        ({"TwoWay": {"Enabled": True, "ChannelArn": "arn:aws:sns:us-east-1:123456789012:in"}}, "TwoWay"),
        ({"PoolId": "pool-0123456789abcdef0123456789abcdef"}, "PoolId"),
        ({"MandatoryKeywords": {"HELP": {"Message": "Call us."}}}, "MandatoryKeywords"),
        ({"OptionalKeywords": [{"Keyword": "INFO", "Message": "a", "Action": "OPT_IN"}]}, "OptionalKeywords"),
    ],
)
def test_settings_beside_the_number_are_compared_too(harness: Harness, differing: dict[str, Any], name: str) -> None:
    _, declared = existing(harness, SMS_PHONE_NUMBER)
    before = harness.telecom.held()

    assert_reason(send_create(harness, SMS_PHONE_NUMBER, properties=declared | differing), "NotUpdatable", name)

    assert harness.telecom.held() == before


def test_resource_without_room_for_the_tags_is_refused(harness: Harness, kind: Kind) -> None:
    _, declared = existing(harness, kind, **{f"key-{index}": "" for index in range(46)})

    assert_reason(send_create(harness, kind, properties=declared), "ServiceLimitExceeded", "46", "50")

    assert OWN_TAG not in tags_of(harness, kind)


# -- it is never released ----------------------------------------------------------------------------------------------


def test_delete_takes_the_tags_off_with_one_call_and_releases_nothing(harness: Harness, kind: Kind) -> None:
    stack, physical_id = adopted(harness, kind)
    before = settings_of(harness, kind)

    calls = harness.calls_of(stack.delete)

    assert stack.status == "DELETE_COMPLETE"
    assert harness.ids() == [physical_id]
    assert settings_of(harness, kind) == before
    assert not [key for key in tags_of(harness, kind) if key.startswith("cfn-telephony:")]
    writes = [call.rpartition(".")[2] for call in calls if not call.rpartition(".")[2].startswith(("Describe", "List"))]
    assert writes == ["UntagResource"]


def test_rollback_releases_nothing(harness: Harness, kind: Kind) -> None:
    physical_id, declared = existing(harness, kind)
    stack = harness.cloudformation.stack("adopts")

    assert stack.deploy(with_failing_sibling(declared, kind)) == "ROLLBACK_COMPLETE"

    assert harness.ids() == [physical_id]
    assert OWN_TAG not in tags_of(harness, kind)


def test_made_up_id_releases_nothing(harness: Harness, kind: Kind) -> None:
    """CloudFormation did not receive the response to the Create."""
    physical_id, declared = existing(harness, kind)
    harness.sink.fail_next(None, "403")
    with harness.function(continues=False) as function:
        function.post("Create", resource_type=kind.type, properties=declared)
        function.invoker.settle(30)
    harness.sink._faults.clear()
    harness.queue.reset()

    assert delete(harness, kind, GENERATED_ID, properties=declared)["Status"] == "SUCCESS"

    assert harness.ids() == [physical_id]


def test_replacement_leaves_the_adopted_number_in_the_account(harness: Harness, kind: Kind) -> None:
    stack, physical_id = adopted(harness, kind)

    changed = template(kind.properties | kind.replacing | REPLACEABLE, kind)
    assert stack.deploy(changed) == "UPDATE_COMPLETE", stack.reasons("Number")

    assert physical_id in harness.ids()
    assert len(harness.ids()) == 2
    assert stack.delete() == "DELETE_COMPLETE"
    assert harness.ids() == [physical_id]


def test_update_with_adopt_never_replaces(harness: Harness, kind: Kind) -> None:
    stack, physical_id = adopted(harness, kind)
    declared = (
        kind.properties | kind.replacing | REPLACEABLE | {"Adopt": True if kind is SMS_SENDER_ID else physical_id}
    )

    assert stack.deploy(template(declared, kind)) == "UPDATE_ROLLBACK_COMPLETE"

    assert_reason(stack.reasons("Number")[0], "NotUpdatable", "Adopt")
    assert harness.ids() == [physical_id]


@pytest.mark.parametrize("keeps", [True, False])
def test_later_update_changes_settings_and_the_number_is_still_not_released(
    harness: Harness, kind: Kind, *, keeps: bool
) -> None:
    """The Adopt line can be taken away."""
    stack, physical_id = adopted(harness, kind)
    adopt = {"Adopt": True if kind is SMS_SENDER_ID else physical_id} if keeps else {}

    assert stack.deploy(template(kind.properties | kind.in_place | adopt, kind)) == "UPDATE_COMPLETE", stack.reasons(
        "Number"
    )
    assert harness.calls()[kind.updates] >= 1
    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")

    assert harness.ids() == [physical_id]


def test_number_in_a_pool_is_adopted_and_stays_in_it(harness: Harness) -> None:
    physical_id, declared = existing(harness, SMS_PHONE_NUMBER)
    pool = create_pool(harness, physical_id)
    stack = harness.cloudformation.stack("adopts")

    assert stack.deploy(template(declared | {"PoolId": pool})) == "CREATE_COMPLETE", stack.reasons("Number")
    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")

    assert harness.ids() == [physical_id]
    [[member]] = [each["members"] for each in harness.telecom.held()["pools"]]
    assert member.endswith(physical_id)


def test_protected_number_is_left_protected(harness: Harness) -> None:
    physical_id, declared = existing(harness, SMS_PHONE_NUMBER)
    protect(harness, physical_id)
    stack = harness.cloudformation.stack("adopts")
    declared = declared | {"DeletionProtectionEnabled": True}

    assert stack.deploy(template(declared)) == "CREATE_COMPLETE", stack.reasons("Number")
    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")

    [held] = harness.telecom.held()["phone_numbers"]
    assert held["protected"] is True


@pytest.mark.parametrize("release", ["true", "false"])
def test_sweep_never_releases_an_adopted_number(
    harness: Harness, kind: Kind, release: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_SWEEP_RELEASE", release)
    harness.stacks.default = None
    stack, physical_id = adopted(harness, kind)
    assert run() == NOTHING
    del harness.stacks.stacks[stack.stack_id]

    assert run() == NOTHING | {"STACK_DELETED": 1}

    assert harness.ids() == [physical_id]


# -- one owner ---------------------------------------------------------------------------------------------------------


def test_number_is_not_reported_after_its_adoption(harness: Harness, kind: Kind) -> None:
    stack, number = adopted(harness, kind)
    assert stack.delete() == "DELETE_COMPLETE"

    with later(DAY):
        assert run() == NOTHING
    assert harness.ids() == [number]


def test_number_of_another_stack_is_refused(harness: Harness, kind: Kind) -> None:
    stack = deployed(harness, kind)
    physical_id = stack.physical_ids["Number"]
    before = harness.telecom.held()
    declared = kind.properties | {"Adopt": True if kind is SMS_SENDER_ID else physical_id}

    failed = send_create(harness, kind, properties=declared, stack_id=OTHER_STACK)

    assert_reason(failed, "AlreadyExists", stack.stack_id)
    assert harness.telecom.held() == before
    assert delete(harness, kind, failed["PhysicalResourceId"], stack_id=OTHER_STACK)["Status"] == "SUCCESS"
    assert harness.telecom.held() == before


@pytest.mark.parametrize("swept", [False, True])
def test_retained_number_is_adopted_and_then_not_reported(harness: Harness, kind: Kind, *, swept: bool) -> None:
    harness.stacks.default = None
    former = deployed(harness, kind, **RETAINED)
    physical_id = former.physical_ids["Number"]
    assert former.delete() == "DELETE_COMPLETE"
    if swept:
        assert run() == NOTHING | {"RETAINED": 1}
    stack = harness.cloudformation.stack("adopts")
    declared = kind.properties | {"Adopt": True if kind is SMS_SENDER_ID else physical_id}

    assert stack.deploy(template(declared, kind)) == "CREATE_COMPLETE", stack.reasons("Number")
    assert run() == NOTHING
    assert stack.delete() == "DELETE_COMPLETE"

    assert harness.ids() == [physical_id]


def test_number_is_adopted_by_another_stack_after_a_delete(harness: Harness, kind: Kind) -> None:
    former, physical_id = adopted(harness, kind)
    assert former.delete() == "DELETE_COMPLETE"
    stack = harness.cloudformation.stack("adopts-later")
    declared = kind.properties | {"Adopt": True if kind is SMS_SENDER_ID else physical_id}

    assert stack.deploy(template(declared, kind)) == "CREATE_COMPLETE", stack.reasons("Number")

    assert harness.ids() == [physical_id]
    assert tags_of(harness, kind)["cfn-telephony:stack-id"] == stack.stack_id


def test_number_retained_by_its_own_stack_is_adopted_by_the_same_logical_id(harness: Harness, kind: Kind) -> None:
    harness.stacks.default = None
    stack = deployed(harness, kind, **RETAINED)
    physical_id = stack.physical_ids["Number"]
    other = {"Type": "Custom::SmsPhoneNumber", "Properties": SMS_PHONE_NUMBER.properties}
    assert stack.deploy({"Resources": {"Other": other}}) == "UPDATE_COMPLETE"
    adopting = template(kind.properties | {"Adopt": True if kind is SMS_SENDER_ID else physical_id}, kind)["Resources"]

    assert stack.deploy({"Resources": adopting | {"Other": other}}) == "UPDATE_COMPLETE", stack.reasons("Number")

    assert stack.physical_ids["Number"] == physical_id


@pytest.mark.shows("two resources adopt one number")
def test_of_two_stacks_that_adopt_at_once_one_does(harness: Harness, kind: Kind) -> None:
    """Both have read that the number has no owner, before either writes."""
    physical_id, declared = existing(harness, kind)
    stacks = [STACK_ID, OTHER_STACK]
    with hold_call(harness, "dynamodb.TransactWriteItems", "before") as first_write:
        requests = [harness.post("Create", resource_type=kind.type, properties=declared, stack_id=stacks[0])]
        first_write.wait()
        requests.append(harness.post("Create", resource_type=kind.type, properties=declared, stack_id=stacks[1]))
        while OWN_TAG not in tags_of(harness, kind):
            time.sleep(0.05)
        first_write.release()
        responses = [harness.response(request) for request in requests]

    assert sorted(response["Status"] for response in responses) == ["FAILED", "SUCCESS"]
    [failed] = [response for response in responses if response["Status"] == "FAILED"]
    assert_reason(failed, "AlreadyExists")
    assert harness.ids() == [physical_id]
    winner = next(stack for stack, response in zip(stacks, responses, strict=True) if response["Status"] == "SUCCESS")
    assert tags_of(harness, kind)["cfn-telephony:stack-id"] == winner


def test_repeated_create_adopts_once(harness: Harness, kind: Kind) -> None:
    physical_id, declared = existing(harness, kind)
    request = str(uuid.uuid4())

    for _ in range(2):
        response = send_create(harness, kind, properties=declared, request_id=request)
        assert (response["Status"], response["PhysicalResourceId"]) == ("SUCCESS", physical_id)

    assert len([row for row in harness.purchases() if row["purchase_state"]["S"] == "READY"]) == 1


@pytest.mark.shows("adoption interrupted")
def test_adoption_is_completed_if_the_tags_could_not_be_set_at_first(harness: Harness, kind: Kind) -> None:
    physical_id, declared = existing(harness, kind)
    fault(harness, f"{kind.service}.TagResource", "error", times=2, code="InternalServerException", status=500)

    assert create(harness, kind, properties=declared) == physical_id

    assert tags_of(harness, kind)[OWN_TAG] == "cfn-telephony-adopted"


def test_delete_after_refused_tags_releases_nothing(harness: Harness, kind: Kind) -> None:
    physical_id, declared = existing(harness, kind)
    fault(harness, f"{kind.service}.TagResource", "error", times=99, **DENIED)
    failed = send_create(harness, kind, properties=declared)
    assert_reason(failed, "AccessDenied")
    harness.telecom.clear_faults()

    assert delete(harness, kind, failed["PhysicalResourceId"], properties=declared)["Status"] == "SUCCESS"

    assert harness.ids() == [physical_id]
    assert update(harness, kind, physical_id, kind.properties)["Status"] == "FAILED"


@pytest.mark.shows("adoption interrupted")
def test_delete_succeeds_if_the_tags_are_removed_already(harness: Harness, kind: Kind) -> None:
    """IAM allows the call by the tag that it removes, so it denies the repetition of a call whose response was lost."""
    stack, physical_id = adopted(harness, kind)
    fault(harness, f"{kind.service}.UntagResource", "lose_answer")
    fault(harness, f"{kind.service}.UntagResource", "error", times=99, **DENIED)

    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")

    assert harness.ids() == [physical_id]


def test_delete_fails_if_the_tags_can_not_be_removed(harness: Harness, kind: Kind) -> None:
    stack, physical_id = adopted(harness, kind)
    fault(harness, f"{kind.service}.UntagResource", "error", times=99, **DENIED)

    assert stack.delete() == "DELETE_FAILED"

    harness.telecom.clear_faults()
    assert stack.delete() == "DELETE_COMPLETE"
    assert harness.ids() == [physical_id]


def test_adoption_that_failed_can_be_repeated_without_a_delete(harness: Harness, kind: Kind) -> None:
    physical_id, declared = existing(harness, kind)
    fault(harness, f"{kind.service}.TagResource", "error", times=99, **DENIED)
    assert_reason(send_create(harness, kind, properties=declared), "AccessDenied")
    harness.telecom.clear_faults()
    stack = harness.stacks.know(STACK_ID, "CREATE_IN_PROGRESS")
    stack.add("Number", "CREATE_FAILED", "not-created:1")

    assert create(harness, kind, properties=declared) == physical_id


def test_resource_of_a_provider_with_another_table_is_refused(harness: Harness, kind: Kind) -> None:
    physical_id, declared = existing(
        harness, kind, **{"cfn-telephony:stack-id": OTHER_STACK, "cfn-telephony:logical-id": "Theirs"}
    )
    harness.stacks.know(OTHER_STACK, "UPDATE_COMPLETE", resources={"Theirs": (physical_id, "CREATE_COMPLETE")})

    assert_reason(send_create(harness, kind, properties=declared), "AlreadyExists", OTHER_STACK)

    assert OWN_TAG not in tags_of(harness, kind)


def test_adoption_that_a_delete_has_overtaken_is_refused(harness: Harness, kind: Kind) -> None:
    physical_id, declared = existing(harness, kind)
    issued = time.time()
    assert delete(harness, kind, GENERATED_ID, properties=declared, issued_at=issued + 60)["Status"] == "SUCCESS"

    assert_reason(send_create(harness, kind, properties=declared, issued_at=issued), "ResourceConflict")

    assert harness.ids() == [physical_id]
    assert OWN_TAG not in tags_of(harness, kind)
