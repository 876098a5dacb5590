"""A number is released when, and only when, its own declaration ends."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.conftest import SMS, STACK_ID, Laptop
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, template

OTHER_STACK = STACK_ID.replace("/example/", "/other/")


def create(laptop: Laptop, kind: Kind, **more: Any) -> str:
    answer = laptop.send("Create", resource_type=kind.type, **({"properties": kind.properties} | more))
    assert answer["Status"] == "SUCCESS", answer
    return str(answer["PhysicalResourceId"])


def delete(laptop: Laptop, kind: Kind, physical_id: str, **more: Any) -> dict[str, Any]:
    more = {"properties": kind.properties} | more
    return laptop.send("Delete", resource_type=kind.type, physical_id=physical_id, **more)


def a_pool(laptop: Laptop, **more: Any) -> str:
    asked: dict[str, Any] = SIMULATOR | {"MessageType": "TRANSACTIONAL"} | more
    number = laptop.sms.request_phone_number(**asked)["PhoneNumberId"]
    return laptop.sms.create_pool(OriginationIdentity=number, IsoCountryCode="US", MessageType="TRANSACTIONAL")[
        "PoolId"
    ]


def test_a_delete_is_one_call(laptop: Laptop, kind: Kind) -> None:
    physical_id = create(laptop, kind)

    made = laptop.calls_of(lambda: delete(laptop, kind, physical_id))

    assert made == {kind.releases: 1}
    assert laptop.held() == {}


@pytest.mark.shows("contract_delete_delete")
def test_a_delete_answers_the_id_it_was_given_and_no_data(laptop: Laptop, kind: Kind) -> None:
    physical_id = create(laptop, kind)

    answer = delete(laptop, kind, physical_id)

    assert (answer["Status"], answer["PhysicalResourceId"], answer["Data"]) == ("SUCCESS", physical_id, {})


@pytest.mark.shows("a Delete that comes again", "contract_delete_delete")
def test_a_second_delete_is_a_success(laptop: Laptop, kind: Kind) -> None:
    physical_id = create(laptop, kind)
    delete(laptop, kind, physical_id)

    made = laptop.calls_of(lambda: delete(laptop, kind, physical_id))

    assert laptop.sink.answers(laptop.invoker.invocations[-1].event["RequestId"])[0]["Status"] == "SUCCESS"
    assert made.get(kind.releases, 0) == 0


@pytest.mark.shows("a Delete that comes again")
def test_two_deletes_at_the_same_moment_both_succeed(laptop: Laptop, kind: Kind) -> None:
    physical_id = create(laptop, kind)
    fields: dict[str, Any] = {
        "resource_type": kind.type,
        "properties": kind.properties,
        "physical_id": physical_id,
    }

    requests = [laptop.post("Delete", **fields) for _ in range(2)]
    laptop.invoker.settle(30)

    assert [laptop.sink.answers(request)[0]["Status"] for request in requests] == ["SUCCESS", "SUCCESS"]
    assert laptop.held() == {}


def release_by_hand(laptop: Laptop, kind: Kind, physical_id: str) -> None:
    if kind is SMS_PHONE_NUMBER:
        laptop.sms.release_phone_number(PhoneNumberId=physical_id)
    elif kind is SMS_SENDER_ID:
        country, sender_id = physical_id.split("|")
        laptop.sms.release_sender_id(SenderId=sender_id, IsoCountryCode=country)
    else:
        laptop.connect.release_phone_number(PhoneNumberId=physical_id)


@pytest.mark.shows("an Update of a number that is gone", "a Delete that comes again")
def test_what_was_released_behind_our_back_deletes_with_success_and_updates_with_not_found(
    laptop: Laptop, kind: Kind
) -> None:
    physical_id = create(laptop, kind)
    release_by_hand(laptop, kind, physical_id)

    updated = laptop.send(
        "Update",
        resource_type=kind.type,
        physical_id=physical_id,
        properties=kind.properties | kind.in_place,
        old_properties=kind.properties,
    )
    assert (updated["Status"], updated["PhysicalResourceId"]) == ("FAILED", physical_id)
    assert updated["Reason"].startswith("NotFound: ")
    assert "declare it again under another logical id" in updated["Reason"]

    assert delete(laptop, kind, physical_id)["Status"] == "SUCCESS"
    assert laptop.calls()[kind.buys] == 1


@pytest.mark.shows("contract_update_without_create")
def test_an_update_of_what_was_never_made_is_not_found(laptop: Laptop, kind: Kind) -> None:
    """contract_update_without_create of CloudFormation's registry contract tests."""
    answer = laptop.send(
        "Update",
        resource_type=kind.type,
        physical_id="example-Number-1A2B3C4D5E6F",
        properties=kind.properties,
        old_properties=kind.properties,
    )

    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("NotFound: ")
    assert kind.buys not in laptop.calls()


@pytest.mark.shows("a forged Delete")
@pytest.mark.parametrize(
    "forged", [{"stack_id": OTHER_STACK}, {"logical_id": "Another"}], ids=["another stack", "another resource"]
)
def test_a_forged_delete_releases_nothing(laptop: Laptop, kind: Kind, forged: dict[str, Any]) -> None:
    physical_id = create(laptop, kind)

    answer = delete(laptop, kind, physical_id, **forged)

    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("AccessDenied: ")
    assert "not managed by this resource" in answer["Reason"]
    assert laptop.ids() == [physical_id]
    assert laptop.calls().get(kind.releases) is None


@pytest.mark.shows("a forged Delete")
def test_a_delete_of_somebody_elses_number_releases_nothing(laptop: Laptop) -> None:
    number = laptop.sms.request_phone_number(**SIMULATOR, MessageType="TRANSACTIONAL")["PhoneNumberId"]

    answer = delete(laptop, SMS_PHONE_NUMBER, number, properties=SIMULATOR | {"OnDelete": {"LeavePools": "true"}})

    assert answer["Status"] == "FAILED"
    assert laptop.ids() == [number]


@pytest.mark.shows("a forged Delete")
def test_a_forged_update_changes_nothing(laptop: Laptop, kind: Kind) -> None:
    physical_id = create(laptop, kind)

    answer = laptop.send(
        "Update",
        resource_type=kind.type,
        stack_id=OTHER_STACK,
        physical_id=physical_id,
        properties=kind.properties | kind.in_place,
        old_properties=kind.properties,
    )

    assert answer["Status"] == "FAILED"
    assert laptop.calls().get(kind.updates) is None


def test_a_number_is_still_ours_when_the_ledger_was_lost(laptop: Laptop, kind: Kind) -> None:
    """The table was restored empty: the tags say whose it is."""
    physical_id = create(laptop, kind)
    for row in laptop.rows():
        laptop.dynamodb.delete_item(TableName=laptop.table, Key={"pk": row["pk"], "sk": row["sk"]})

    updated = laptop.send(
        "Update",
        resource_type=kind.type,
        physical_id=physical_id,
        properties=kind.properties | {"Trigger": "1"},
        old_properties=kind.properties,
    )
    assert updated["Status"] == "SUCCESS", updated
    assert delete(laptop, kind, physical_id)["Status"] == "SUCCESS"
    assert laptop.held() == {}


# -- what stands in the way --------------------------------------------------------------------------------------------


@pytest.mark.shows("a Delete of a protected number")
@pytest.mark.parametrize("declared", [{}, {"OnDelete": {"LeavePools": True}}, {"OnDelete": {}}])
@pytest.mark.parametrize("kind", [SMS_PHONE_NUMBER, SMS_SENDER_ID], ids=lambda kind: kind.type)
def test_deletion_protection_stops_a_delete_and_the_reason_says_what_to_do(
    laptop: Laptop, kind: Kind, declared: dict[str, Any]
) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(kind.properties | declared | {"DeletionProtectionEnabled": True}, kind))

    assert stack.delete() == "DELETE_FAILED"

    [reason] = stack.reasons("Number")
    assert "ResourceConflict" in reason
    assert "Switch the protection off (DeletionProtectionEnabled: false in an update" in reason
    assert laptop.held() == {kind.held: 1}
    [thing] = laptop.telecom.held()[kind.held]
    assert thing["protected"] is True


@pytest.mark.shows("a Delete of a protected number")
@pytest.mark.parametrize("kind", [SMS_PHONE_NUMBER, SMS_SENDER_ID], ids=lambda kind: kind.type)
def test_deletion_protection_is_lifted_where_the_declaration_allows_it(laptop: Laptop, kind: Kind) -> None:
    stack = laptop.cloudformation.stack("numbers")
    allowed = {"DeletionProtectionEnabled": True, "OnDelete": {"LiftDeletionProtection": True}}
    stack.deploy(template(kind.properties | allowed, kind))

    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")
    assert laptop.held() == {}


def test_a_delete_that_failed_succeeds_once_the_way_is_clear(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | {"DeletionProtectionEnabled": True}))
    stack.delete()
    laptop.sms.update_phone_number(PhoneNumberId=stack.physical_ids["Number"], DeletionProtectionEnabled=False)

    assert stack.delete() == "DELETE_COMPLETE"
    assert laptop.held() == {}


def test_the_same_delete_event_succeeds_once_the_way_is_clear(laptop: Laptop) -> None:
    """A FAILED Delete is not remembered: Lambda delivers the very event again, and it finds the way clear."""
    physical_id = create(laptop, SMS_PHONE_NUMBER, properties=SIMULATOR | {"DeletionProtectionEnabled": "true"})
    fields: dict[str, Any] = {"request_id": str(uuid.uuid4()), "logical_id": "Number"}
    assert delete(laptop, SMS_PHONE_NUMBER, physical_id, **fields)["Status"] == "FAILED"
    laptop.sms.update_phone_number(PhoneNumberId=physical_id, DeletionProtectionEnabled=False)

    laptop.post("Delete", resource_type=SMS_PHONE_NUMBER.type, physical_id=physical_id, properties=SIMULATOR, **fields)
    laptop.invoker.settle(30)

    assert [answer["Status"] for answer in laptop.sink.answers(fields["request_id"])] == ["FAILED", "SUCCESS"]
    assert laptop.held() == {}


@pytest.mark.shows("a Delete of a number in use")
@pytest.mark.parametrize("declared", [{}, {"OnDelete": {"LiftDeletionProtection": True}}])
def test_a_pool_stops_a_delete_and_the_reason_says_what_to_do(laptop: Laptop, declared: dict[str, Any]) -> None:
    pool = a_pool(laptop)
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | declared | {"PoolId": pool}))

    assert stack.delete() == "DELETE_FAILED"

    [reason] = stack.reasons("Number")
    assert (
        "Take the number out of its pool (DisassociateOriginationIdentity) and try again. OnDelete: {LeavePools: true}"
        in reason
    )
    assert laptop.held() == {"phone_numbers": 2}
    [row] = laptop.sms.describe_phone_numbers(PhoneNumberIds=[stack.physical_ids["Number"]])["PhoneNumbers"]
    assert row["PoolId"] == pool


@pytest.mark.shows("a Delete of a number in use")
def test_a_registration_stops_a_delete_and_the_reason_says_what_to_do(laptop: Laptop) -> None:
    in_use = {"code": "ConflictException", "reason": "PHONE_NUMBER_ASSOCIATED_TO_REGISTRATION", "message": "In use."}
    laptop.telecom.fault(SMS, "ReleasePhoneNumber", "error", **in_use)
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | {"OnDelete": {"LeavePools": True, "LiftDeletionProtection": True}}))

    assert stack.delete() == "DELETE_FAILED"

    assert "PHONE_NUMBER_ASSOCIATED_TO_REGISTRATION" in stack.reasons("Number")[0]
    assert "registration" in stack.reasons("Number")[0].split("PHONE_NUMBER_ASSOCIATED_TO_REGISTRATION")[1]
    assert laptop.calls(SMS)["ReleasePhoneNumber"] == 1
    assert stack.delete() == "DELETE_COMPLETE"
    assert laptop.held() == {}


def test_a_sender_id_in_a_pool_is_not_released_and_the_reason_says_what_to_do(laptop: Laptop) -> None:
    pool = a_pool(laptop)
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SMS_SENDER_ID.properties, SMS_SENDER_ID))
    laptop.sms.associate_origination_identity(PoolId=pool, OriginationIdentity="ACME", IsoCountryCode="GB")

    assert stack.delete() == "DELETE_FAILED"
    assert "OnDelete: {LeavePools: true}" in stack.reasons("Number")[0]
    assert "GB|ACME" in laptop.ids()


@pytest.mark.shows("a Delete of a number in use")
@pytest.mark.parametrize("protected", [False, True])
def test_a_number_leaves_its_pool_where_the_declaration_allows_it_however_long_the_service_takes(
    laptop: Laptop, protected: bool
) -> None:
    laptop.telecom.configure(pool_release_seconds=0.3)
    pool = a_pool(laptop)
    stack = laptop.cloudformation.stack("numbers")
    allowed = {"OnDelete": {"LeavePools": True, "LiftDeletionProtection": True}}
    stack.deploy(template(SIMULATOR | allowed | {"PoolId": pool, "DeletionProtectionEnabled": protected}))
    assert stack.status == "CREATE_COMPLETE", stack.reasons("Number")

    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")

    assert laptop.held() == {"phone_numbers": 1}  # the pool's own
    assert laptop.calls(SMS)["DisassociateOriginationIdentity"] == 1


@pytest.mark.shows("a Delete of a number in use")
def test_a_pool_that_is_never_left_fails_with_the_reason_of_the_service(laptop: Laptop) -> None:
    laptop.telecom.configure(pool_release_seconds=86_400)
    pool = a_pool(laptop)
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | {"PoolId": pool, "OnDelete": {"LeavePools": True}}))

    assert stack.delete() == "DELETE_FAILED"
    assert "PHONE_NUMBER_ASSOCIATED_TO_POOL" in stack.reasons("Number")[0]


def test_a_sender_id_leaves_every_pool_where_the_declaration_allows_it(laptop: Laptop) -> None:
    pools = [a_pool(laptop) for _ in range(2)]
    stack = laptop.cloudformation.stack("numbers")
    allowed = {"OnDelete": {"LeavePools": True, "LiftDeletionProtection": True}, "DeletionProtectionEnabled": True}
    stack.deploy(template(SMS_SENDER_ID.properties | allowed, SMS_SENDER_ID))
    for pool in pools:
        laptop.sms.associate_origination_identity(PoolId=pool, OriginationIdentity="ACME", IsoCountryCode="GB")

    assert stack.delete() == "DELETE_COMPLETE", stack.reasons("Number")
    assert laptop.held() == {"phone_numbers": 2}


@pytest.mark.shows("a Delete of a number in use")
def test_the_last_number_of_a_pool_stays_and_the_reason_explains_it(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")
    stack.deploy(template(SIMULATOR | {"WaitForActive": True, "OnDelete": {"LeavePools": True}}))
    physical_id = stack.physical_ids["Number"]
    laptop.sms.create_pool(OriginationIdentity=physical_id, IsoCountryCode="US", MessageType="TRANSACTIONAL")

    assert stack.delete() == "DELETE_FAILED"

    assert "A pool must keep at least one phone number" in stack.reasons("Number")[0]
    assert "add another number to the pool, or delete the pool" in stack.reasons("Number")[0]
    assert laptop.ids() == [physical_id]


# -- a Delete never fails for its properties ---------------------------------------------------------------------------

BROKEN: list[dict[str, Any]] = [
    {},
    {"Colour": "red"},
    {"OnDelete": "yes"},
    {"OnDelete": []},
    {"OnDelete": {"LeavePools": "TRUE", "Other": "1"}},
    {"OnDelete": {"LiftDeletionProtection": {"a": "map"}, "LeavePools": ["true"]}},
    {"Tags": "none"},
    {"Tags": [{"Value": "no key"}], "TwoWay": "on"},
    {"AllowReplacement": ["a", "list"]},
    {"AllowReplacement": {"a": "map"}, "WaitForActive": {"a": "map"}},
    {"WaitTimeoutSeconds": "soon", "Trigger": {"deep": [{"er": "1"}]}},
    {"ServiceTimeout": "never"},
    {"ServiceTimeout": ["60"]},
    {"IsoCountryCode": "false", "NumberType": "", "NumberCapabilities": "SMS", "MessageType": ["TRANSACTIONAL"]},
    {"MandatoryKeywords": [], "OptionalKeywords": {}, "NumberPreference": "1"},
    {"SenderId": {"Ref": "x"}, "TargetArn": ["x"], "PhoneNumber": "+"},
]


@pytest.mark.shows("a Delete with properties that nobody would accept")
def test_a_delete_never_fails_for_its_properties(laptop: Laptop, kind: Kind) -> None:
    failed = []
    for broken in BROKEN if kind is SMS_PHONE_NUMBER else BROKEN[::4]:
        physical_id = create(laptop, kind)
        answer = delete(laptop, kind, physical_id, properties=broken)
        if (answer["Status"], laptop.held()) != ("SUCCESS", {}):
            failed.append((broken, answer))
        if kind.service == "connect":
            laptop.telecom.configure(connect_numbers=len(BROKEN))  # each release counts for 180 days
    assert failed == []


@pytest.mark.shows("a Delete with properties that nobody would accept")
def test_the_delete_of_a_creation_refused_for_its_properties_is_a_success(laptop: Laptop) -> None:
    failed: list[tuple[dict[str, Any], Any]] = []
    for broken in BROKEN:
        if "ServiceTimeout" in broken:
            continue  # CloudFormation itself refuses that one
        properties = SIMULATOR | broken | {"Unknown": "1"}
        created = laptop.post("Create", resource_type=SMS_PHONE_NUMBER.type, properties=properties)
        laptop.invoker.settle(30)
        refused = laptop.sink.answers(created)
        if not refused or refused[0]["Status"] != "FAILED":
            failed.append((broken, refused))
            continue
        gone = delete(laptop, SMS_PHONE_NUMBER, refused[0]["PhysicalResourceId"], properties=properties)
        if gone["Status"] != "SUCCESS":
            failed.append((broken, gone))
    assert failed == []
    assert laptop.calls() == {}
