"""A failed Create reports what exists, and the Delete that follows leaves nothing behind."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.conftest import CONNECT, SECRET, SMS, Harness, VirtualClock
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, template
from tests.contract.steps import (
    DENIED,
    ENDS_SOON,
    GENERATED_ID,
    PROTECTED,
    SERVER_ERROR,
    assert_reason,
    assert_rolled_back,
    canceled,
    create,
    create_pool,
    delete,
    fault,
    hold_call,
    is_protected,
    lose_purchase,
    request_number,
    send_create,
    wait_until,
)


@pytest.mark.shows("purchase rejected by the service")
@pytest.mark.parametrize(
    ("code", "reason", "error_code"),
    [
        ("ServiceQuotaExceededException", None, "ServiceLimitExceeded"),
        ("ValidationException", None, "InvalidRequest"),
        ("AccessDeniedException", None, "AccessDenied"),
        ("ResourceNotFoundException", None, "NotFound"),
        ("ValidationException", "PRICE_OVER_THRESHOLD", "InvalidRequest"),
    ],
)
def test_refused_purchase_is_reported_and_its_delete_makes_no_call(
    harness: Harness, kind: Kind, code: str, reason: str | None, error_code: str
) -> None:
    fault(harness, kind.buys, "error", code=code, reason=reason, message="So it is.")

    failed = send_create(harness, kind)

    facts = [reason] if reason and kind.service == SMS else []  # Connect's model has no Reason
    assert_reason(failed, error_code, kind.operation, "So it is", code, *facts)
    assert failed["PhysicalResourceId"] == f"not-created:{failed['RequestId']}"
    assert harness.calls()[kind.buys] == 1
    assert_delete_makes_no_call(harness, kind, failed["PhysicalResourceId"])


def assert_delete_makes_no_call(harness: Harness, kind: Kind, physical_id: str) -> None:
    responses: list[dict[str, Any]] = []
    assert harness.calls_of(lambda: responses.append(delete(harness, kind, physical_id))) == {}
    [response] = responses
    assert (response["Status"], response["PhysicalResourceId"], response["Data"]) == ("SUCCESS", physical_id, {})


@pytest.mark.parametrize("physical_id", [GENERATED_ID, "not-created:11111111-2222-3333-4444-555555555555"])
def test_delete_without_create_succeeds_without_a_call(harness: Harness, kind: Kind, physical_id: str) -> None:
    assert_delete_makes_no_call(harness, kind, physical_id)


@pytest.mark.parametrize(
    ("kind", "properties", "error_code", "facts"),
    [
        (SMS_PHONE_NUMBER, SIMULATOR | {"NumberType": "TEN_DLC"}, "InvalidRequest", ["RegistrationId"]),
        (SMS_PHONE_NUMBER, SIMULATOR | {"OptOutListName": "nowhere"}, "NotFound", ["opt-out-list"]),
        (SMS_PHONE_NUMBER, SIMULATOR | {"PoolId": "pool-" + 32 * "0"}, "NotFound", ["pool-"]),
        (
            SMS_PHONE_NUMBER,
            SIMULATOR | {"InternationalSendingEnabled": True},
            "InvalidRequest",
            ["InternationalSendingEnabled"],
        ),
        (SMS_PHONE_NUMBER, SIMULATOR, "ServiceLimitExceeded", ["Service Quotas"]),
        (SMS_SENDER_ID, SMS_SENDER_ID.properties, "ServiceLimitExceeded", ["Service Quotas"]),
    ],
    ids=["registration", "opt-out list", "pool", "international sending", "numbers quota", "sender IDs quota"],
)
def test_refusal_of_the_service_names_property_or_quota(
    harness: Harness, kind: Kind, properties: dict[str, Any], error_code: str, facts: list[str]
) -> None:
    if error_code == "ServiceLimitExceeded":
        harness.telecom.configure(phone_numbers=0, sender_ids=0)

    failed = send_create(harness, kind, properties=properties)

    assert_reason(failed, error_code, *facts)
    assert failed["PhysicalResourceId"] == f"not-created:{failed['RequestId']}"
    assert harness.calls() == {kind.buys: 1}


@pytest.mark.shows("Delete of a protected number")
@pytest.mark.parametrize(
    ("operation", "declared"),
    [
        ("UpdatePhoneNumber", {"SelfManagedOptOutsEnabled": True}),
        ("UpdatePhoneNumber", {"SelfManagedOptOutsEnabled": True} | PROTECTED),
        ("PutKeyword", PROTECTED | {"MandatoryKeywords": {"HELP": {"Message": "Call."}}}),
    ],
)
def test_create_that_fails_after_purchase_returns_real_id_and_rollback_releases(
    harness: Harness, operation: str, declared: dict[str, Any]
) -> None:
    harness.telecom.fault(SMS, operation, "error", **DENIED)

    assert_fails_after_purchase(harness, declared, "AccessDenied", operation)
    assert harness.calls(SMS)["RequestPhoneNumber"] == 1


def assert_fails_after_purchase(harness: Harness, declared: dict[str, Any], error_code: str, *facts: str) -> None:
    """Check that the Delete of a failed Create refers to the number and releases it."""
    stack = harness.cloudformation.stack("numbers")
    assert_rolled_back(stack, template(SIMULATOR | declared), error_code, *facts)
    (_, _), (request_type, physical_id) = stack.sent("Number")
    assert request_type == "Delete"
    assert physical_id.startswith("phone-")
    assert harness.held() == {}


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("number stays PENDING", "every handler responds in time")
@pytest.mark.parametrize(
    ("declared", "error_code", "facts"),
    [
        ({"WaitForActive": True, "WaitTimeoutSeconds": 1}, "NotStabilized", ["WaitTimeoutSeconds"]),
        ({"WaitForActive": True} | ENDS_SOON, "NotStabilized", ["ServiceTimeout"]),
        ({"SelfManagedOptOutsEnabled": True}, "ResourceConflict", ["RESOURCE_NOT_ACTIVE", "WaitForActive"]),
    ],
    ids=["wait timeout", "service timeout", "setting refused"],
)
def test_create_fails_if_number_stays_pending_and_rollback_releases(
    harness: Harness, declared: dict[str, Any], error_code: str, facts: list[str]
) -> None:
    harness.telecom.configure(activation_seconds=86_400)
    harness.cloudformation.time_scale = 10  # CloudFormation outlasts the ServiceTimeout on any machine

    assert_fails_after_purchase(harness, declared, error_code, *facts)


@pytest.mark.shows("Delete of a protected number")
def test_failed_create_disables_protection_that_it_enabled(harness: Harness) -> None:
    harness.sms.create_opt_out_list(OptOutListName="own")
    other = request_number(harness, OptOutListName="own")
    declared = SIMULATOR | PROTECTED | {"PoolId": create_pool(harness, other)}  # refuses numbers of another list

    failed = send_create(harness, SMS_PHONE_NUMBER, properties=declared)

    assert failed["Status"] == "FAILED"
    assert not is_protected(harness, SMS_PHONE_NUMBER, failed["PhysicalResourceId"])
    assert delete(harness, SMS_PHONE_NUMBER, failed["PhysicalResourceId"], properties=declared)["Status"] == "SUCCESS"
    assert harness.ids() == [other]


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("all retries exhausted")
def test_last_invocation_returns_real_id_if_settings_never_succeed(harness: Harness) -> None:
    harness.telecom.fault(SMS, "UpdatePhoneNumber", "error", times=999, **SERVER_ERROR)
    declared = SIMULATOR | {"SelfManagedOptOutsEnabled": True} | ENDS_SOON

    failed = send_create(harness, SMS_PHONE_NUMBER, properties=declared)

    assert failed["Status"] == "FAILED"
    assert [failed["PhysicalResourceId"]] == harness.ids()
    assert delete(harness, SMS_PHONE_NUMBER, failed["PhysicalResourceId"])["Status"] == "SUCCESS"
    assert harness.held() == {}


# -- a Delete whose ID identifies no number ----------------------------------------------------------------------------


@pytest.mark.shows("Delete while the Create is running")
@pytest.mark.parametrize("when", ["before", "after"])
def test_delete_during_create_leaves_nothing(harness: Harness, kind: Kind, when: Any) -> None:
    """Another resource failed: CloudFormation canceled the Create and deletes an ID that it generated."""
    fields: dict[str, Any] = {"resource_type": kind.type, "properties": kind.properties}
    with hold_call(harness, kind.buys, when) as purchase:
        created = harness.post("Create", **fields)
        purchase.wait()
        deleted = harness.post("Delete", physical_id=GENERATED_ID, **fields)
        wait_until(lambda: canceled(harness))
        purchase.release()
        assert harness.response(deleted)["Status"] == "SUCCESS"

    assert harness.sink.responses(created)[0]["Status"] == "FAILED"
    assert harness.held() == {}


@pytest.mark.parametrize("lost", [False, True], ids=["canceled", "response lost"])
def test_delete_with_generated_id_releases_number_of_create(harness: Harness, kind: Kind, lost: bool) -> None:
    with harness.function(continues=not lost) as function:
        if lost:
            harness.sink.fail_next(None, "403")
        function.post("Create", resource_type=kind.type, properties=kind.properties)
        function.invoker.settle(30)
    assert harness.held() == {kind.held: 1}

    assert delete(harness, kind)["Status"] == "SUCCESS"

    assert harness.held() == {}


@pytest.mark.shows("Create delivered after its Delete")
def test_create_delivered_after_its_delete_buys_nothing(harness: Harness, kind: Kind) -> None:
    assert delete(harness, kind)["Status"] == "SUCCESS"

    assert_reason(send_create(harness, kind, issued_at=time.time() - 5), "ResourceConflict", "Delete")

    assert kind.buys not in harness.calls()


@pytest.mark.shows("Create delivered after its ServiceTimeout")
@pytest.mark.parametrize(("declared", "age"), [({"ServiceTimeout": "60"}, 61), ({}, 3605)], ids=["60 s", "default"])
def test_create_delivered_after_its_service_timeout_buys_nothing(
    harness: Harness, kind: Kind, declared: dict[str, Any], age: int
) -> None:
    late = send_create(harness, kind, properties=kind.properties | declared, issued_at=time.time() - age)

    assert_reason(late, "NotStabilized", "ServiceTimeout")
    assert set(harness.calls()) <= {f"{CONNECT}.CreateInstance"}


@pytest.mark.usefixtures("virtual_clock")
@pytest.mark.shows("process killed during a Create, never retried")
@pytest.mark.parametrize(
    "fields", [{}, {"properties": {}}, {"properties": {"IsoCountryCode": "us", "NumberType": "NONE"}}], ids=str
)
def test_delete_with_generated_id_releases_unreported_purchase(
    harness: Harness, kind: Kind, fields: dict[str, Any]
) -> None:
    """A purchase succeeded; no response reports it, and the provider could not list it. Only its tags identify it."""
    listing = f"{CONNECT}.ListPhoneNumbersV2" if kind.service == CONNECT else kind.reads
    lose_purchase(harness, kind)
    fault(harness, listing, "error", times=999, **SERVER_ERROR)
    send_create(harness, kind, properties=kind.properties | ENDS_SOON)
    harness.telecom.clear_faults()
    assert harness.held() == {kind.held: 1}

    assert delete(harness, kind, **fields)["Status"] == "SUCCESS"

    assert harness.held() == {}


def test_earlier_unknown_purchase_does_not_hide_canceled_create(harness: Harness, virtual_clock: VirtualClock) -> None:
    harness.telecom.configure(tags_lag_seconds=86_400)
    lose_purchase(harness, SMS_PHONE_NUMBER)
    send_create(harness, SMS_PHONE_NUMBER, properties=SIMULATOR | ENDS_SOON)
    virtual_clock.shift(1)
    delete(harness, SMS_PHONE_NUMBER)
    harness.telecom.clear_faults()
    virtual_clock.shift(1)
    second = create(harness, SMS_PHONE_NUMBER, accepted=False)
    assert second in harness.ids()
    virtual_clock.shift(1)

    assert delete(harness, SMS_PHONE_NUMBER, "example-Number-6F5E4D3C2B1A")["Status"] == "SUCCESS"

    assert second not in harness.ids()


@pytest.mark.usefixtures("virtual_clock")
def test_reason_distinguishes_unknown_purchase_from_one_that_never_began(harness: Harness, kind: Kind) -> None:
    declared = kind.properties | ENDS_SOON
    harness.telecom.fault("dynamodb", "TransactWriteItems", "error", times=999, code="ResourceNotFoundException")
    never_began = send_create(harness, kind, properties=declared, logical_id="Other")
    harness.telecom.clear_faults()
    assert harness.held() == {}
    harness.telecom.configure(tags_lag_seconds=86_400)
    lose_purchase(harness, kind)

    unknown = send_create(harness, kind, properties=declared)

    assert harness.held() == {kind.held: 1}
    assert_reason(never_began, "InternalFailure")
    assert unknown["Status"] == "FAILED"
    assert unknown["Reason"] != never_began["Reason"]


def test_number_released_by_others_during_the_search_is_skipped(harness: Harness) -> None:
    """The number is gone when the provider reads its tags."""
    request_number(harness)
    harness.telecom.fault(SMS, "RequestPhoneNumber", "lose_answer")
    harness.telecom.fault(SMS, "ListTagsForResource", "error", code="ResourceNotFoundException", message="Gone.")

    create(harness, SMS_PHONE_NUMBER)

    assert harness.held() == {"phone_numbers": 2}


def test_unknown_type_is_refused_and_its_delete_succeeds(harness: Harness) -> None:
    declared = {"Resources": {"Number": {"Type": "Custom::SmsShortCode", "Properties": {}}}}
    facts = ("Custom::SmsShortCode", "Custom::SmsPhoneNumber")

    assert_rolled_back(harness.cloudformation.stack("numbers"), declared, "InvalidRequest", *facts)

    assert harness.calls() == {}


@pytest.mark.shows("secret in logs, tables or errors")
def test_secret_in_message_of_the_service_is_removed(harness: Harness) -> None:
    """AWS validation messages quote the refused value; the message of a keyword may be a NoEcho parameter."""
    message = f"Value '{SECRET}' at 'keywordMessage' failed to satisfy constraint"
    harness.telecom.fault(SMS, "PutKeyword", "error", code="ValidationException", message=message)

    failed = send_create(
        harness, SMS_PHONE_NUMBER, properties=SIMULATOR | {"MandatoryKeywords": {"HELP": {"Message": SECRET}}}
    )

    assert_reason(failed, "InvalidRequest", "keywordMessage")
    assert SECRET not in failed["Reason"]
