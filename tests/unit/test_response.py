"""The contract, outbound: an answer that counts, whatever is in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.cloudformation.request import Request
from telephony.cloudformation.response import MAX_BYTES, Outcome, encode


def request(**fields: Any) -> Request:
    known: dict[str, Any] = {
        "request_type": "Create",
        "stack_id": "arn:aws:cloudformation:us-east-1:123456789012:stack/example/5b918d10-cd98-11f0-8f5a-0e2a1b2c3d4e",
        "request_id": "5b918d10-cd98-11f0-8f5a-0e2a1b2c3d4e",
        "logical_resource_id": "Number",
        "resource_type": "Custom::SmsPhoneNumber",
        "response_url": "https://example.com/",
        "physical_resource_id": None,
        "properties": {},
        "issued_at": 0.0,
        "service_timeout": 3600,
    }
    return Request(**known | fields)


@pytest.mark.shows("Reason of any length and character set")
@given(
    reason=st.text(min_size=1, max_size=300), times=st.integers(1, 200), physical_id=st.text(min_size=1, max_size=60)
)
def test_any_reason_makes_an_answer_that_counts(reason: str, times: int, physical_id: str) -> None:
    body = encode(request(), Outcome("FAILED", physical_id, reason=reason * times))

    assert len(body) <= MAX_BYTES
    answer = json.loads(body)
    assert answer["Status"] == "FAILED"
    assert answer["PhysicalResourceId"] == physical_id
    assert answer["StackId"] == request().stack_id
    assert answer["RequestId"] == request().request_id
    assert answer["LogicalResourceId"] == "Number"
    told = answer["Reason"]
    assert told == reason * times or (told.endswith("…") and (reason * times).startswith(told[:-1]))


@given(character=st.characters(categories=["L", "N", "P", "S", "Z", "Cc"]))
def test_a_reason_that_is_too_long_keeps_as_much_as_fits(character: str) -> None:
    body = encode(request(), Outcome("FAILED", "phone-1", reason=character * 5000))

    assert MAX_BYTES - 16 < len(body) <= MAX_BYTES


@pytest.mark.parametrize("reason", ["\ud800", "a\udfffb" * 3000])
def test_a_lone_surrogate_does_not_stop_an_answer(reason: str) -> None:
    body = encode(request(), Outcome("FAILED", "phone-1", reason=reason))

    assert len(body) <= MAX_BYTES
    assert json.loads(body)["Status"] == "FAILED"


def test_a_body_of_exactly_the_limit_is_left_whole() -> None:
    empty = len(encode(request(), Outcome("FAILED", "phone-1", reason=".")))
    reason = "." * (MAX_BYTES - empty + 1)

    body = encode(request(), Outcome("FAILED", "phone-1", reason=reason))

    assert len(body) == MAX_BYTES
    assert json.loads(body)["Reason"] == reason
    assert json.loads(encode(request(), Outcome("FAILED", "phone-1", reason=reason + ".")))["Reason"].endswith("…")


@pytest.mark.parametrize("logical_id", ["Number", "Nummer1", "A" * 255])
def test_ids_stand_there_verbatim(logical_id: str) -> None:
    asked = request(logical_resource_id=logical_id, request_id="R/|+%2F ü", stack_id="arn:aws:ü")

    for outcome in (Outcome("SUCCESS", "GB|ACME"), Outcome("FAILED", "GB|ACME", reason="x" * 9999)):
        answer = json.loads(encode(asked, outcome))
        assert answer["LogicalResourceId"] == logical_id
        assert answer["RequestId"] == "R/|+%2F ü"
        assert answer["StackId"] == "arn:aws:ü"
        assert answer["PhysicalResourceId"] == "GB|ACME"


def test_a_success_carries_its_attributes_and_no_reason() -> None:
    answer = json.loads(encode(request(), Outcome("SUCCESS", "phone-1", data={"Arn": "a", "PoolId": ""})))

    assert answer["Data"] == {"Arn": "a", "PoolId": ""}
    assert "Reason" not in answer


@pytest.mark.shows("attributes of any type and size")
def test_attributes_that_do_not_fit_are_a_failure_that_names_what_exists() -> None:
    answer = json.loads(encode(request(), Outcome("SUCCESS", "phone-1", data={"Arn": "a" * 5000})))

    assert answer["Status"] == "FAILED"
    assert answer["PhysicalResourceId"] == "phone-1"
    assert answer["Reason"]


@given(data=st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=8))
def test_the_same_outcome_makes_the_same_bytes(data: dict[str, str]) -> None:
    turned = dict(reversed(data.items()))

    assert encode(request(), Outcome("SUCCESS", "phone-1", data=data)) == encode(
        request(), Outcome("SUCCESS", "phone-1", data=turned)
    )
