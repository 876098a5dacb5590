"""Deadlines and retries of an invocation, the identity of a purchase, and changes of tags."""

import copy
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from telephony import clock
from telephony.cloudformation.request import parse
from telephony.errors import (
    DeferredError,
    HandlerError,
    HandlerErrorCode,
    RetryableError,
    ThrottledError,
    UnknownOutcomeError,
)
from telephony.lifecycle.invocation import Backoff, Invocation
from telephony.model.properties import Tag
from telephony.model.resource import Purchase
from telephony.model.tags import Owner, tag_changes
from tests.conftest import reset_container
from tests.contract.cloudformation import event

NOW = 1_795_248_000.0
REQUEST = parse(event("Create", response_url="https://localhost/"), allowed_hosts=frozenset({"localhost"}))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("STATE_TABLE", "state")
    monkeypatch.setenv("ACCOUNT_ID", "123456789012")
    monkeypatch.setenv("POLL_INTERVAL_SECONDS", "0.001")
    monkeypatch.setenv("RETRY_PERIOD_SECONDS", "0.05")
    monkeypatch.delenv("IN_PLACE_WAIT_SECONDS")
    monkeypatch.delenv("RETRY_DELAY_SECONDS")
    monkeypatch.setenv("SERVICE_TIMEOUT_MARGIN_SECONDS", "120")
    reset_container()
    yield
    reset_container()


def invocation(
    *, service_timeout: int = 3600, issued_at: float | None = NOW, ends_at: float = NOW + 45, started_at: float = NOW
) -> Invocation:
    request = copy.replace(REQUEST, service_timeout=service_timeout, issued_at=issued_at)
    return Invocation(request, ends_at=ends_at, started_at=started_at)


@pytest.mark.parametrize(
    ("started_at", "service_timeout", "deadline"),
    [
        (NOW, 3600, NOW + 10),  # the longest wait of an invocation
        (NOW + 3475, 3600, NOW + 3480),  # ServiceTimeout less two minutes
        (NOW + 40, 60, NOW + 45),  # ServiceTimeout less a quarter
        (NOW + 3480, 3600, NOW + 3490),  # the last invocation too
    ],
)
def test_invocation_waits_some_seconds_and_ends_before_service_timeout(
    started_at: float, service_timeout: int, deadline: float
) -> None:
    started = invocation(service_timeout=service_timeout, started_at=started_at, ends_at=started_at + 45)
    assert started.deadline == deadline


@pytest.mark.parametrize(
    ("age", "error", "earliest", "latest"),
    [
        (0, UnknownOutcomeError("u"), 4, 5),
        (40, UnknownOutcomeError("u"), 8, 10),
        (1800, UnknownOutcomeError("u"), 48, 60),
        (1800, UnknownOutcomeError("u", at=NOW + 1900), 100, 100),
        (10, DeferredError("d", at=NOW + 500), 487.8, 487.8),  # sleeps for the rest
        (3470, UnknownOutcomeError("u"), 10, 10),  # the last step delivers what is known
        (3500, UnknownOutcomeError("u"), 4, 5),  # the response is due
        (3700, UnknownOutcomeError("u"), 48, 60),
    ],
)
def test_next_step_backs_off_with_the_age_of_the_request(
    age: float, error: UnknownOutcomeError, earliest: float, latest: float
) -> None:
    with time_machine.travel(NOW + age, tick=False):
        at = invocation(started_at=NOW + age).next_step_at(error)

    assert NOW + age + earliest <= at <= NOW + age + latest + 1e-3


@pytest.mark.parametrize(("age", "final"), [(0, False), (3474, False), (3476, True), (3700, True)])
def test_last_invocation_is_the_one_after_which_no_other_can_respond(age: float, final: bool) -> None:
    assert invocation(started_at=NOW + age).final is final


def test_request_without_date_counts_as_issued_now() -> None:
    with time_machine.travel(NOW, tick=False):
        assert invocation(issued_at=None).issued_at == NOW


@pytest.mark.parametrize(("age", "kind"), [(3000, UnknownOutcomeError), (3476, HandlerError), (3600, HandlerError)])
def test_timeout_is_a_failure_only_when_the_response_is_due(age: float, kind: type[Exception]) -> None:
    failure = HandlerError(HandlerErrorCode.NOT_STABILIZED, "It took too long.", "Wait.")

    with time_machine.travel(NOW + age, tick=False):
        error = invocation().timed_out(failure)

    assert isinstance(error, kind)
    assert "It took too long." in str(error)


@pytest.mark.parametrize("defects", [0, 1])
def test_defect_is_retried_after_a_minute(defects: int) -> None:
    with time_machine.travel(NOW, tick=False):
        failing = copy.replace(invocation(), earlier_defects=defects)
        error = failing.defect(KeyError("PhoneNumberId"))

        assert isinstance(error, UnknownOutcomeError)
        assert failing.next_step_at(error) == NOW + 60
    assert failing.defects == defects + 1


@pytest.mark.parametrize(("defects", "age"), [(2, 0), (0, 3480)])
def test_third_defect_or_one_in_the_last_invocation_is_a_failure(defects: int, age: float) -> None:
    with time_machine.travel(NOW + age, tick=False):
        error = copy.replace(invocation(), earlier_defects=defects).defect(KeyError("PhoneNumberId"))

    assert isinstance(error, HandlerError)
    assert error.error_code is HandlerErrorCode.INTERNAL_FAILURE
    assert "KeyError" in str(error)
    assert "PhoneNumberId" not in str(error)


@pytest.mark.shows("calls throttled")
def test_backoff_grows_to_five_times_the_first_delay() -> None:
    backoff = Backoff()
    delays = [next(backoff) for _ in range(30)]

    assert 0.0005 <= delays[0] <= 0.001
    assert all(0.0025 <= delay <= 0.005 for delay in delays[-5:])


def retry(*errors: Exception) -> int:
    """Retry a call that raises the errors one after the other. Returns the number of calls."""
    remaining, calls = list(errors), 0

    def call() -> int:
        nonlocal calls
        calls += 1
        if remaining:
            raise remaining.pop(0)
        return calls

    try:
        now = clock.now()
        return invocation(issued_at=now, started_at=now, ends_at=now + 5).retry(call)
    except (HandlerError, UnknownOutcomeError) as error:
        error.add_note(f"{calls} calls")
        raise


REFUSAL = RetryableError(HandlerErrorCode.ACCESS_DENIED, "a", "b", aws_code="C", aws_reason="R")


@pytest.mark.parametrize("error", [[ThrottledError("t")] * 40, [UnknownOutcomeError("u")] * 3, [REFUSAL] * 2])
def test_temporary_error_is_retried(error: list[Exception]) -> None:
    assert retry(*error) == len(error) + 1


@pytest.mark.parametrize(
    ("error", "calls"),
    [(UnknownOutcomeError("u"), 4), (HandlerError(HandlerErrorCode.INVALID_REQUEST, "No."), 1)],
)
def test_unknown_result_is_retried_three_times_and_failure_never(error: Exception, calls: int) -> None:
    with pytest.raises(type(error)) as raised:
        retry(*[error] * 9)
    assert raised.value.__notes__ == [f"{calls} calls"]


def test_temporary_refusal_becomes_a_failure_after_the_retry_period() -> None:
    with pytest.raises(HandlerError) as refused:
        retry(*[REFUSAL] * 999)
    assert type(refused.value) is HandlerError
    assert str(refused.value) == "AccessDenied: a b"
    assert (refused.value.aws_code, refused.value.aws_reason) == ("C", "R")


def purchase(**changes: Any) -> Purchase:
    known: dict[str, Any] = {
        "owner": Owner("stack", "Number"),
        "request_id": "r",
        "request_time": 1,
        "opened_at": 0.0,
        "attempt": 0,
        "candidate": None,
    }
    return Purchase(**known | changes)


TOKEN_INPUTS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({}, ("RequestPhoneNumber",)),
    ({"owner": Owner("stack2", "Number")}, ("RequestPhoneNumber",)),
    ({"owner": Owner("stack", "Number2")}, ("RequestPhoneNumber",)),
    ({"request_id": "r2"}, ("RequestPhoneNumber",)),
    ({"request_time": 2}, ("RequestPhoneNumber",)),
    ({"attempt": 1}, ("RequestPhoneNumber",)),
    ({}, ("RequestSenderId",)),
    ({}, ("ClaimPhoneNumber", "+1")),
    ({}, ("ClaimPhoneNumber", "+2")),
]


def test_client_token_is_a_lowercase_uuid_that_depends_on_purchase_attempt_operation_and_candidate() -> None:
    tokens = [purchase(**changes).token(*arguments) for changes, arguments in TOKEN_INPUTS]

    assert [str(uuid.UUID(token)) for token in tokens] == tokens
    assert len(set(tokens)) == len(tokens)
    assert purchase(opened_at=5.0).token("RequestPhoneNumber") == tokens[0]


def test_resource_matches_a_purchase_only_if_all_ownership_tags_match() -> None:
    tags = purchase().tags(None)

    assert purchase().matches(tags)
    for key in ("stack-id", "logical-id", "request-id", "issued-at"):
        assert not purchase().matches(tags | {f"cfn-telephony:{key}": "other"})
    assert not purchase().matches({})


KEYS = st.sampled_from(["a", "b", "c", "aws:x", "cfn-telephony:stack-id"])


@given(
    live=st.dictionaries(KEYS, st.text(max_size=2)),
    declared=st.dictionaries(st.sampled_from("abc"), st.text(max_size=2)),
)
def test_tag_changes_result_in_declared_and_reserved_tags(live: dict[str, str], declared: dict[str, str]) -> None:
    to_set, to_remove = tag_changes(live, [Tag(key=key, value=value) for key, value in declared.items()])

    result = {key: value for key, value in (live | dict(to_set)).items() if key not in to_remove}
    assert result == declared | {key: value for key, value in live.items() if ":" in key}
    assert all(live.get(key) != value for key, value in to_set.items()), "unchanged tags are not set again"
