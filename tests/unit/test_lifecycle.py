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
from telephony.errors import HandlerError, HandlerErrorCode, RetryableError, ThrottledError, UnknownOutcomeError
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
    monkeypatch.setenv("POLL_INTERVAL_SECONDS", "0.001")
    monkeypatch.setenv("RETRY_PERIOD_SECONDS", "0.05")
    monkeypatch.setenv("SERVICE_TIMEOUT_MARGIN_SECONDS", "120")
    reset_container()
    yield
    reset_container()


def invocation(
    *, service_timeout: int = 3600, issued_at: float | None = NOW, ends_at: float = NOW + 585, final: bool = False
) -> Invocation:
    request = copy.replace(REQUEST, service_timeout=service_timeout, issued_at=issued_at)
    return Invocation(request, ends_at=ends_at, final=final)


@pytest.mark.parametrize(
    ("service_timeout", "deadline"),
    [
        (3600, NOW + 585),  # the end of the invocation
        (600, NOW + 480),  # ServiceTimeout less two minutes
        (60, NOW + 45),  # ServiceTimeout less a quarter
        (1, NOW + 0.75),
    ],
)
def test_deadline_is_before_end_of_invocation_and_service_timeout(service_timeout: int, deadline: float) -> None:
    assert invocation(service_timeout=service_timeout).deadline == deadline


def test_request_without_date_counts_as_issued_now() -> None:
    with time_machine.travel(NOW, tick=False):
        assert invocation(issued_at=None).issued_at == NOW


@pytest.mark.parametrize(
    ("service_timeout", "final", "kind"),
    [(3600, False, UnknownOutcomeError), (300, False, HandlerError), (3600, True, HandlerError)],
)
def test_timeout_is_a_failure_only_in_the_last_invocation(
    service_timeout: int, final: bool, kind: type[Exception]
) -> None:
    failure = HandlerError(HandlerErrorCode.NOT_STABILIZED, "It took too long.", "Wait.")

    error = invocation(service_timeout=service_timeout, final=final).timed_out(failure)

    assert isinstance(error, kind)
    assert "It took too long." in str(error)


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
        return invocation(issued_at=clock.now(), ends_at=clock.now() + 5).retry(call)
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
