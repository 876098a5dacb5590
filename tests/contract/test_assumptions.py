"""The assumptions about AWS in docs/unverified.md, with both answers where the local services can give both."""

from __future__ import annotations

from typing import Any

import pytest

from telephony.lifecycle.checks import Finding
from tests.conftest import CONNECT, SMS, Harness
from tests.contract.declarations import KINDS, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind
from tests.contract.steps import (
    assert_reason,
    create,
    create_pool,
    delete,
    deploy,
    environment,
    fault,
    send_create,
)
from tests.contract.test_sweep import later, run

REFUSED = {"code": "AccessDeniedException", "status": 403, "message": "Refused."}


def test_refused_purchase_that_took_effect_is_reported(harness: Harness, kind: Kind) -> None:
    """The provider takes an error with status 4xx for proof that the call had no effect."""
    fault(harness, kind.buys, "error", when="after", **REFUSED)

    refused = send_create(harness, kind)

    assert_reason(refused, "AccessDenied", kind.operation)
    assert delete(harness, kind, refused["PhysicalResourceId"])["Status"] == "SUCCESS"
    assert harness.held() == {kind.held: 1}
    with later():
        assert run()[Finding.UNKNOWN_PURCHASE_FOUND.name] == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InvalidParameterException", 400),
        ("AccessDeniedException", 403),
        ("ServiceQuotaExceededException", 402),
        ("Undocumented", 409),
    ],
)
def test_claim_is_not_repeated_whatever_refuses_it(harness: Harness, code: str, status: int) -> None:
    kind = KINDS["Custom::ConnectPhoneNumber"](harness)
    fault(harness, kind.buys, "error", times=999, code=code, status=status, message="Allowed limit exceeded")

    refused = send_create(harness, kind)

    assert refused["Status"] == "FAILED"
    assert "Allowed limit exceeded" in refused["Reason"]
    assert harness.calls(CONNECT)["ClaimPhoneNumber"] == 1
    assert delete(harness, kind, refused["PhysicalResourceId"])["Status"] == "SUCCESS"


@pytest.mark.parametrize("refused", [True, False])
def test_last_number_of_a_pool_stays_in_it_or_is_released(harness: Harness, refused: bool) -> None:
    harness.telecom.configure(off=frozenset() if refused else frozenset({"sms.pool.last"}))
    stack, physical_id = deploy(harness, SMS_PHONE_NUMBER, OnDelete={"LeavePools": True}, WaitForActive=True)
    create_pool(harness, physical_id)

    assert stack.delete() == ("DELETE_FAILED" if refused else "DELETE_COMPLETE")

    assert harness.ids() == ([physical_id] if refused else [])


@pytest.mark.parametrize(("seconds", "status"), [(0, "SUCCESS"), (0.3, "SUCCESS"), (86_400, "FAILED")])
def test_released_sender_id_is_requested_again_or_nothing_is_purchased(
    harness: Harness, seconds: float, status: str
) -> None:
    harness.telecom.configure(sender_id_release_seconds=seconds)
    assert delete(harness, SMS_SENDER_ID, create(harness, SMS_SENDER_ID))["Status"] == "SUCCESS"

    with environment(RETRY_PERIOD_SECONDS="5"):
        again: dict[str, Any] = send_create(harness, SMS_SENDER_ID)

    assert again["Status"] == status
    assert harness.held() == ({"sender_ids": 1} if status == "SUCCESS" else {})
    if status == "FAILED":
        assert_reason(again, "InvalidRequest", "SENDER_ID_REQUIRES_REGISTRATION")
    assert delete(harness, SMS_SENDER_ID, again["PhysicalResourceId"])["Status"] == "SUCCESS"
    assert harness.held() == {}


@pytest.mark.parametrize("keeps", [True, False])
def test_request_is_answered_whether_or_not_its_message_stays_hidden(harness: Harness, keeps: bool) -> None:
    harness.queue.keeps_visibility = keeps
    harness.telecom.fault(SMS, "RequestPhoneNumber", "error", times=3, code="InternalServerException", status=500)

    assert send_create(harness, SMS_PHONE_NUMBER)["Status"] == "SUCCESS"

    assert harness.held() == {"phone_numbers": 1}
    assert harness.queue.messages == {}
