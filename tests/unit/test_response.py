"""The response body: within CloudFormation's limits, whatever the outcome contains."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.cloudformation.request import parse
from telephony.cloudformation.response import MAX_BYTES, Outcome, encode
from tests.contract.cloudformation import event

EVENT = event("Create", response_url="https://localhost/", request_id="R/|+%2F ü")
REQUEST = parse(EVENT, allowed_hosts=frozenset({"localhost"}))


def body(outcome: Outcome, logical_id: str = "Number") -> bytes:
    """Return the encoded response. Asserts that it is complete and within the limit."""
    request = copy.replace(REQUEST, logical_resource_id=logical_id)
    encoded = encode(request, outcome)
    assert len(encoded) <= MAX_BYTES
    response = json.loads(encoded)
    assert (response["StackId"], response["RequestId"]) == (EVENT["StackId"], EVENT["RequestId"])
    assert (response["LogicalResourceId"], response["PhysicalResourceId"]) == (logical_id, outcome.physical_resource_id)
    return encoded


def response(outcome: Outcome, logical_id: str = "Number") -> Any:
    return json.loads(body(outcome, logical_id))


def failed(reason: str, physical_id: str = "phone-1") -> Outcome:
    return Outcome("FAILED", physical_id, reason=reason)


@pytest.mark.shows("Reason of any length and character set")
@given(
    reason=st.text(min_size=1, max_size=300), times=st.integers(1, 200), physical_id=st.text(min_size=1, max_size=60)
)
def test_any_reason_fits_in_the_response(reason: str, times: int, physical_id: str) -> None:
    whole = reason * times
    sent = response(failed(whole, physical_id))

    assert sent["Status"] == "FAILED"
    assert sent["Reason"] == whole or (sent["Reason"].endswith("…") and whole.startswith(sent["Reason"][:-1]))


@given(character=st.characters(categories=["L", "N", "P", "S", "Z", "Cc"]))
def test_long_reason_is_truncated_as_little_as_possible(character: str) -> None:
    assert len(body(failed(character * 5000))) > MAX_BYTES - 16


@pytest.mark.parametrize("reason", ["\ud800", "a\udfffb" * 3000])
def test_lone_surrogate_in_reason_is_encoded(reason: str) -> None:
    assert response(failed(reason))["Status"] == "FAILED"


def test_reason_is_truncated_only_above_the_limit() -> None:
    reason = "." * (MAX_BYTES - len(body(failed(""))))

    assert len(body(failed(reason))) == MAX_BYTES
    assert response(failed(reason))["Reason"] == reason
    assert response(failed(reason + "."))["Reason"].endswith("…")


@pytest.mark.parametrize("logical_id", ["Number", "Nummer1", "A" * 255])
@pytest.mark.parametrize("outcome", [Outcome("SUCCESS", "GB|ACME"), failed("x" * 9999, "GB|ACME")])
def test_ids_are_unchanged(logical_id: str, outcome: Outcome) -> None:
    assert response(outcome, logical_id)["PhysicalResourceId"] == "GB|ACME"


def test_success_has_attributes_and_no_reason() -> None:
    sent = response(Outcome("SUCCESS", "phone-1", data={"Arn": "a", "PoolId": ""}))

    assert sent["Data"] == {"Arn": "a", "PoolId": ""}
    assert "Reason" not in sent


@pytest.mark.shows("attributes of any type and size")
def test_attributes_above_the_limit_are_a_failure_with_the_physical_id() -> None:
    sent = response(Outcome("SUCCESS", "phone-1", data={"Arn": "a" * 5000}))

    assert sent["Status"] == "FAILED"
    assert sent["Reason"]


@given(data=st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=8))
def test_same_outcome_has_same_bytes(data: dict[str, str]) -> None:
    reordered = dict(reversed(data.items()))

    assert body(Outcome("SUCCESS", "phone-1", data=data)) == body(Outcome("SUCCESS", "phone-1", data=reordered))
