"""A Create that fails tells what exists, and the Delete that follows leaves nothing behind."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.conftest import CONNECT, SECRET, SMS, STACK_ID, Laptop
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, Kind, template, with_failing_sibling

NOT_CREATED = re.compile(r"not-created:[0-9a-f-]{36}")
TEN_DLC = {"IsoCountryCode": "US", "NumberType": "TEN_DLC", "NumberCapabilities": ["SMS"]}


def create(laptop: Laptop, kind: Kind, properties: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    declared = kind.properties if properties is None else properties
    return laptop.send("Create", resource_type=kind.type, properties=declared, **more)


def delete(laptop: Laptop, kind: Kind, physical_id: str, **more: Any) -> dict[str, Any]:
    more = {"properties": kind.properties} | more
    return laptop.send("Delete", resource_type=kind.type, physical_id=physical_id, **more)


@pytest.mark.shows("a purchase that is refused")
@pytest.mark.parametrize(
    ("code", "reason", "word"),
    [
        ("ServiceQuotaExceededException", None, "ServiceLimitExceeded"),
        ("ValidationException", None, "InvalidRequest"),
        ("AccessDeniedException", None, "AccessDenied"),
        ("ResourceNotFoundException", None, "NotFound"),
        ("ValidationException", "PRICE_OVER_THRESHOLD", "InvalidRequest"),
    ],
)
def test_a_refused_purchase_is_told_and_its_delete_is_a_success_without_a_call(
    laptop: Laptop, kind: Kind, code: str, reason: str | None, word: str
) -> None:
    laptop.telecom.fault(kind.service, kind.operation, "error", code=code, reason=reason, message="So it is.")

    failed = create(laptop, kind)

    assert failed["Status"] == "FAILED"
    assert failed["PhysicalResourceId"] == f"not-created:{failed['RequestId']}"
    told = f"{code} {reason}" if reason and kind.service == SMS else code  # Connect's model has no Reason
    assert failed["Reason"].startswith(f"{word}: {kind.operation} refused: So it is ({told}).")
    assert laptop.calls()[kind.buys] == 1

    made = laptop.calls_of(lambda: delete(laptop, kind, failed["PhysicalResourceId"]))
    assert made == {}
    assert laptop.sink.answers(laptop.invoker.invocations[-1].event["RequestId"])[0]["Status"] == "SUCCESS"


def test_the_quota_is_told_with_where_to_raise_it(laptop: Laptop) -> None:
    laptop.telecom.configure(phone_numbers=0)
    stack = laptop.cloudformation.stack("numbers")

    assert stack.deploy(template(SIMULATOR)) == "ROLLBACK_COMPLETE"

    assert "ServiceLimitExceeded" in stack.reasons("Number")[0]
    assert "Service Quotas" in stack.reasons("Number")[0]
    assert NOT_CREATED.fullmatch(stack.sent("Number")[1][1])


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        (TEN_DLC, "RegistrationId"),
        (SIMULATOR | {"OptOutListName": "nowhere"}, "nowhere"),
        (SIMULATOR | {"PoolId": "pool-" + 32 * "0"}, "pool-"),
        (SIMULATOR | {"InternationalSendingEnabled": True}, "InternationalSendingEnabled"),
    ],
)
def test_what_the_service_refuses_names_the_property(laptop: Laptop, properties: dict[str, Any], told: str) -> None:
    failed = create(laptop, SMS_PHONE_NUMBER, properties)

    assert failed["Status"] == "FAILED"
    assert NOT_CREATED.fullmatch(failed["PhysicalResourceId"])
    assert told in failed["Reason"]
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1}


SECOND_STEPS: list[tuple[str, dict[str, Any]]] = [
    ("UpdatePhoneNumber", {"SelfManagedOptOutsEnabled": True}),
    ("UpdatePhoneNumber", {"SelfManagedOptOutsEnabled": True, "DeletionProtectionEnabled": True}),
    ("PutKeyword", {"MandatoryKeywords": {"HELP": {"Message": "Call."}}, "DeletionProtectionEnabled": True}),
]


@pytest.mark.shows("a Delete of a protected number")
@pytest.mark.parametrize(("operation", "declared"), SECOND_STEPS)
def test_a_creation_that_fails_after_the_purchase_tells_the_real_id_and_its_rollback_releases(
    laptop: Laptop, operation: str, declared: dict[str, Any]
) -> None:
    laptop.telecom.fault(SMS, operation, "error", code="AccessDeniedException", message="Not you.")
    stack = laptop.cloudformation.stack("numbers")

    assert stack.deploy(template(SIMULATOR | declared)) == "ROLLBACK_COMPLETE"

    (_, _), (request, physical_id) = stack.sent("Number")
    assert request == "Delete"
    assert physical_id.startswith("phone-")
    assert "AccessDenied" in stack.reasons("Number")[0]
    assert laptop.held() == {}
    assert laptop.calls(SMS)["RequestPhoneNumber"] == 1


@pytest.mark.shows("a Delete of a protected number")
def test_protection_that_was_switched_on_before_the_pool_refused_does_not_stop_the_rollback(laptop: Laptop) -> None:
    laptop.sms.create_opt_out_list(OptOutListName="own")
    other = laptop.sms.request_phone_number(**SIMULATOR, MessageType="TRANSACTIONAL", OptOutListName="own")
    pool = laptop.sms.create_pool(
        OriginationIdentity=other["PhoneNumberId"], IsoCountryCode="US", MessageType="TRANSACTIONAL"
    )["PoolId"]
    stack = laptop.cloudformation.stack("numbers")

    stack.deploy(template(SIMULATOR | {"DeletionProtectionEnabled": True, "PoolId": pool}))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert laptop.ids() == [other["PhoneNumberId"]]


def test_protection_is_lifted_before_a_failing_creation_answers(laptop: Laptop) -> None:
    laptop.sms.create_opt_out_list(OptOutListName="own")
    other = laptop.sms.request_phone_number(**SIMULATOR, MessageType="TRANSACTIONAL", OptOutListName="own")
    pool = laptop.sms.create_pool(
        OriginationIdentity=other["PhoneNumberId"], IsoCountryCode="US", MessageType="TRANSACTIONAL"
    )["PoolId"]

    failed = create(laptop, SMS_PHONE_NUMBER, SIMULATOR | {"DeletionProtectionEnabled": True, "PoolId": pool})

    assert failed["Status"] == "FAILED"
    [number] = [one for one in laptop.telecom.held()["phone_numbers"] if one["id"] == failed["PhysicalResourceId"]]
    assert number["protected"] is False


@pytest.mark.shows("a number that stays PENDING")
def test_wait_for_active_that_runs_out_of_time_tells_the_real_id_and_its_rollback_releases(laptop: Laptop) -> None:
    laptop.telecom.configure(activation_seconds=86_400)
    stack = laptop.cloudformation.stack("numbers")

    stack.deploy(template(SIMULATOR | {"WaitForActive": True, "WaitTimeoutSeconds": 1}))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert "NotStabilized" in stack.reasons("Number")[0]
    assert "WaitTimeoutSeconds of 1" in stack.reasons("Number")[0]
    assert stack.sent("Number")[1][1].startswith("phone-")
    assert laptop.held() == {}


@pytest.mark.shows("a number that stays PENDING", "every handler ends in time")
def test_a_service_timeout_that_runs_out_is_answered_before_it_does(laptop: Laptop) -> None:
    laptop.telecom.configure(activation_seconds=86_400)
    stack = laptop.cloudformation.stack("numbers")

    stack.deploy(template(SIMULATOR | {"WaitForActive": True, "ServiceTimeout": 3}))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert "NotStabilized" in stack.reasons("Number")[0]
    assert laptop.held() == {}


def test_a_setting_that_a_pending_number_refuses_fails_with_the_real_id(laptop: Laptop) -> None:
    laptop.telecom.configure(activation_seconds=86_400)
    stack = laptop.cloudformation.stack("numbers")

    stack.deploy(template(SIMULATOR | {"SelfManagedOptOutsEnabled": True}))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert "WaitForActive: true" in stack.reasons("Number")[0]
    assert laptop.held() == {}


@pytest.mark.shows("all retries spent")
def test_a_failure_after_the_purchase_that_never_clears_up_tells_the_real_id(laptop: Laptop) -> None:
    """The service answers 500 to the second step for ever: the last resort answers, and it knows the id."""
    laptop.telecom.fault(SMS, "UpdatePhoneNumber", "error", code="InternalServerException", times=999)

    failed = create(laptop, SMS_PHONE_NUMBER, SIMULATOR | {"SelfManagedOptOutsEnabled": True})

    assert failed["Status"] == "FAILED"
    assert [failed["PhysicalResourceId"]] == laptop.ids()
    assert delete(laptop, SMS_PHONE_NUMBER, failed["PhysicalResourceId"])["Status"] == "SUCCESS"
    assert laptop.held() == {}


def test_a_failure_after_the_purchase_that_never_clears_up_leaves_nothing_after_its_rollback(laptop: Laptop) -> None:
    laptop.telecom.fault(SMS, "UpdatePhoneNumber", "error", code="InternalServerException", times=999)
    stack = laptop.cloudformation.stack("numbers")

    stack.deploy(template(SIMULATOR | {"SelfManagedOptOutsEnabled": True}))

    assert stack.status == "ROLLBACK_COMPLETE"
    assert laptop.held() == {}


# -- a Delete that knows no id -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("made_up", ["example-Number-1A2B3C4D5E6F", "not-created:11111111-2222-3333-4444-555555555555"])
def test_a_delete_of_what_was_never_made_is_a_success_without_a_call(laptop: Laptop, kind: Kind, made_up: str) -> None:
    made = laptop.calls_of(lambda: delete(laptop, kind, made_up))

    assert laptop.sink.answers(laptop.invoker.invocations[-1].event["RequestId"])[0] | {"RequestId": ""} == {
        "Status": "SUCCESS",
        "PhysicalResourceId": made_up,
        "StackId": STACK_ID,
        "RequestId": "",
        "LogicalResourceId": "Number",
        "Data": {},
    }
    assert made == {}


@pytest.mark.shows("a Delete while the Create still runs")
@pytest.mark.parametrize("seconds", [0.0, 0.3])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_delete_while_the_create_still_runs_leaves_nothing(
    laptop: Laptop, kind: Kind, when: str, seconds: float
) -> None:
    """A sibling fails: the Create is cancelled, and its Delete comes with an id that CloudFormation made up."""
    laptop.telecom.fault(kind.service, kind.operation, "hang", seconds=0.2, when=when)
    laptop.cloudformation.rollback_delay = seconds
    stack = laptop.cloudformation.stack("numbers")

    stack.deploy(with_failing_sibling(kind.properties, kind, waits=False))
    laptop.invoker.settle(30)

    assert stack.status == "ROLLBACK_COMPLETE"
    assert laptop.held() == {}


@pytest.mark.shows("a Create that comes after its Delete")
def test_a_creation_that_arrives_after_its_delete_buys_nothing(laptop: Laptop, kind: Kind) -> None:
    laptop.invoker.disturb("late", lambda event: event["RequestType"] == "Create", seconds=0.4)
    issued = time.time() - 5
    created = laptop.post("Create", resource_type=kind.type, properties=kind.properties, issued_at=issued)
    gone = laptop.post(
        "Delete", resource_type=kind.type, properties=kind.properties, physical_id="example-Number-1A2B3C4D5E6F"
    )

    laptop.invoker.settle(30)

    assert laptop.sink.answers(gone)[0]["Status"] == "SUCCESS"
    [late] = laptop.sink.answers(created)
    assert late["Status"] == "FAILED"
    assert "Delete" in late["Reason"]
    assert kind.buys not in laptop.calls()


@pytest.mark.shows("a Create that comes after its ServiceTimeout")
def test_a_creation_that_comes_after_its_service_timeout_buys_nothing(laptop: Laptop, kind: Kind) -> None:
    late = create(laptop, kind, kind.properties | {"ServiceTimeout": "60"}, issued_at=time.time() - 61)

    assert late["Status"] == "FAILED"
    assert "ServiceTimeout" in late["Reason"]
    assert laptop.calls() == {} or set(laptop.calls()) == {f"{CONNECT}.CreateInstance"}


@pytest.mark.shows("a Create that comes after its ServiceTimeout")
def test_the_default_service_timeout_is_an_hour(laptop: Laptop) -> None:
    assert create(laptop, SMS_PHONE_NUMBER, issued_at=time.time() - 3605)["Status"] == "FAILED"
    assert laptop.calls() == {}


def test_a_creation_whose_answer_was_lost_is_ended_by_a_delete_with_a_made_up_id(laptop: Laptop, kind: Kind) -> None:
    laptop.sink.fail_next(None, "403", 4)
    laptop.post("Create", resource_type=kind.type, properties=kind.properties)
    laptop.invoker.settle(30)
    assert laptop.held() == {kind.held: 1}

    assert delete(laptop, kind, "example-Number-1A2B3C4D5E6F")["Status"] == "SUCCESS"

    assert laptop.held() == {}


@pytest.mark.shows("killed at any call of a Create, and never run again")
def test_a_purchase_that_was_never_seen_is_found_by_a_delete_with_a_made_up_id(laptop: Laptop, kind: Kind) -> None:
    """The purchase went through, its answer was lost, and the provider died there: only the tags know of it."""
    listing = {
        "pinpoint-sms-voice-v2.DescribePhoneNumbers": (SMS, "DescribePhoneNumbers"),
        "pinpoint-sms-voice-v2.DescribeSenderIds": (SMS, "DescribeSenderIds"),
        "connect.DescribePhoneNumber": (CONNECT, "ListPhoneNumbersV2"),
    }[kind.reads]
    laptop.telecom.fault(kind.service, kind.operation, "lose_answer")
    laptop.telecom.fault(kind.service, kind.operation, "error", code="InternalServerException", status=500, times=999)
    laptop.telecom.fault(*listing, "error", code="InternalServerException", status=500, times=999)
    laptop.post("Create", resource_type=kind.type, properties=kind.properties)
    laptop.invoker.settle(30)
    assert laptop.held() == {kind.held: 1}
    laptop.telecom.clear_faults()

    assert delete(laptop, kind, "example-Number-1A2B3C4D5E6F")["Status"] == "SUCCESS"

    assert laptop.held() == {}


def test_an_earlier_purchase_of_unknown_end_does_not_hide_a_later_one_that_was_cancelled(laptop: Laptop) -> None:
    """Its answer was taken, but CloudFormation had cancelled the Create, and deletes an id that it made up."""
    laptop.telecom.configure(tags_lag_seconds=86_400)
    laptop.telecom.fault(SMS, "RequestPhoneNumber", "lose_answer")
    laptop.telecom.fault(SMS, "RequestPhoneNumber", "error", code="InternalServerException", status=500, times=999)
    began = time.time() - 60
    create(laptop, SMS_PHONE_NUMBER, issued_at=began)
    delete(laptop, SMS_PHONE_NUMBER, "example-Number-1A2B3C4D5E6F", issued_at=began + 10)
    laptop.telecom.clear_faults()
    second = create(laptop, SMS_PHONE_NUMBER, issued_at=began + 20)
    assert second["PhysicalResourceId"] in laptop.ids()

    assert delete(laptop, SMS_PHONE_NUMBER, "example-Number-6F5E4D3C2B1A")["Status"] == "SUCCESS"

    assert second["PhysicalResourceId"] not in laptop.ids()


def test_a_purchase_of_unknown_end_is_not_told_as_one_that_never_began(laptop: Laptop, kind: Kind) -> None:
    laptop.telecom.configure(tags_lag_seconds=86_400)
    laptop.telecom.fault(kind.service, kind.operation, "lose_answer")
    laptop.telecom.fault(kind.service, kind.operation, "error", code="InternalServerException", status=500, times=999)

    failed = create(laptop, kind)

    assert (failed["Status"], laptop.held()) == ("FAILED", {kind.held: 1})
    assert "No run of this request came to buying" not in failed["Reason"]


@pytest.mark.parametrize("properties", [{}, {"IsoCountryCode": "us"}, {"NumberType": "NONE", "Colour": "red"}])
def test_a_delete_finds_a_purchase_though_its_properties_cannot_be_read(
    laptop: Laptop, properties: dict[str, Any]
) -> None:
    laptop.telecom.fault(SMS, "RequestPhoneNumber", "lose_answer")
    laptop.telecom.fault(SMS, "RequestPhoneNumber", "error", code="InternalServerException", times=999)
    laptop.telecom.fault(SMS, "DescribePhoneNumbers", "error", code="InternalServerException", times=999)
    laptop.post("Create", resource_type="Custom::SmsPhoneNumber", properties=SIMULATOR)
    laptop.invoker.settle(30)
    laptop.telecom.clear_faults()

    gone = delete(laptop, SMS_PHONE_NUMBER, "example-Number-1A2B3C4D5E6F", properties=properties)

    assert gone["Status"] == "SUCCESS"
    assert laptop.held() == {}


def test_a_number_of_somebody_else_that_goes_during_the_search_does_not_disturb_it(laptop: Laptop) -> None:
    """Between the listing and the reading of tags a neighbour releases a number: that is no failure of this Create."""
    laptop.sms.request_phone_number(**SIMULATOR, MessageType="TRANSACTIONAL")
    laptop.telecom.fault(SMS, "RequestPhoneNumber", "lose_answer")
    laptop.telecom.fault(SMS, "ListTagsForResource", "error", code="ResourceNotFoundException", message="Gone.")

    made = create(laptop, SMS_PHONE_NUMBER)

    assert made["Status"] == "SUCCESS", made.get("Reason")
    assert laptop.held() == {"phone_numbers": 2}


def test_an_unknown_type_is_refused_with_the_known_ones_and_its_delete_is_a_success(laptop: Laptop) -> None:
    stack = laptop.cloudformation.stack("numbers")

    stack.deploy({"Resources": {"Number": {"Type": "Custom::SmsShortCode", "Properties": {}}}})

    assert stack.status == "ROLLBACK_COMPLETE"
    assert "Custom::SmsShortCode is not a type of this provider" in stack.reasons("Number")[0]
    assert "Custom::SmsPhoneNumber" in stack.reasons("Number")[0]
    assert laptop.calls() == {}


@pytest.mark.shows("a secret in anything that is written")
def test_a_message_of_the_service_that_repeats_a_secret_is_not_passed_on(laptop: Laptop) -> None:
    """Validation messages of AWS quote the value that they refuse; a keyword's message may be a NoEcho parameter."""
    declared = SIMULATOR | {"MandatoryKeywords": {"HELP": {"Message": SECRET}}}
    told = f"Value '{SECRET}' at 'keywordMessage' failed to satisfy constraint"
    laptop.telecom.fault(SMS, "PutKeyword", "error", code="ValidationException", message=told)

    failed = create(laptop, SMS_PHONE_NUMBER, declared)

    assert failed["Status"] == "FAILED"
    assert "keywordMessage" in failed["Reason"]
    assert SECRET not in failed["Reason"]
