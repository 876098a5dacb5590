"""What the decisions are made of: what differs, how long to wait, and which purchase a request is."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from telephony import clock
from telephony.cloudformation.request import Request
from telephony.errors import HandlerError, HandlerErrorCode, RetryableError, ThrottledError, UnknownOutcomeError
from telephony.lifecycle.invocation import Backoff, Invocation
from telephony.model.resource import Purchase
from telephony.model.tags import Owner, tag_changes

NOW = 1_795_248_000.0


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    from tests.conftest import reset_container  # noqa: PLC0415

    monkeypatch.setenv("STATE_TABLE", "state")
    monkeypatch.setenv("POLL_INTERVAL_SECONDS", "0.001")
    monkeypatch.setenv("RETRY_PERIOD_SECONDS", "0.05")
    monkeypatch.setenv("SERVICE_TIMEOUT_MARGIN_SECONDS", "120")
    reset_container()
    yield
    monkeypatch.undo()
    reset_container()


def invocation(
    *, service_timeout: int = 3600, issued_at: float | None = NOW, ends_in: float = 585, **more: Any
) -> Invocation:
    request = Request(
        request_type="Create",
        stack_id="arn:aws:cloudformation:us-east-1:123456789012:stack/a/b",
        request_id="r",
        logical_resource_id="Number",
        resource_type="Custom::SmsPhoneNumber",
        response_url="https://example.com",
        physical_resource_id=None,
        properties={},
        issued_at=issued_at,
        service_timeout=service_timeout,
    )
    return Invocation(request, ends_at=NOW + ends_in, **more)


@pytest.mark.parametrize(
    ("service_timeout", "until"),
    [
        (3600, NOW + 585),  # the invocation ends first
        (600, NOW + 480),  # two minutes before CloudFormation stops listening
        (60, NOW + 45),  # of a short one, a quarter is kept
        (1, NOW + 0.75),
    ],
)
def test_every_wait_ends_before_the_invocation_and_before_the_service_timeout(
    service_timeout: int, until: float
) -> None:
    assert invocation(service_timeout=service_timeout).deadline == until


def test_a_request_of_unknown_age_is_taken_as_issued_now() -> None:
    with time_machine.travel(NOW, tick=False):
        assert invocation(issued_at=None).issued_at == NOW


@pytest.mark.parametrize(
    ("service_timeout", "final", "answers"), [(3600, False, False), (300, False, True), (3600, True, True)]
)
def test_running_out_of_time_is_an_answer_only_where_no_later_run_could_give_it(
    service_timeout: int, final: bool, answers: bool
) -> None:
    failure = HandlerError(HandlerErrorCode.NOT_STABILIZED, "It took too long.", "Wait.")

    ended = invocation(service_timeout=service_timeout, final=final).timed_out(failure)

    assert isinstance(ended, HandlerError if answers else UnknownOutcomeError)
    assert "It took too long." in str(ended)


@pytest.mark.shows("calls throttled")
def test_pauses_grow_to_five_times_the_first() -> None:
    backoff = Backoff()
    taken = [next(backoff) for _ in range(30)]

    assert 0.0005 <= taken[0] <= 0.001
    assert all(0.0025 <= pause <= 0.005 for pause in taken[-5:])


class Calls:
    """Raises what it is given, one after the other, and then answers."""

    def __init__(self, *raised: Exception) -> None:
        self.raised = list(raised)
        self.made = 0

    def __call__(self) -> str:
        self.made += 1
        if self.raised:
            raise self.raised.pop(0)
        return "answer"


def now(**more: Any) -> Invocation:
    return Invocation(invocation(issued_at=clock.now()).request, ends_at=clock.now() + 5, **more)


def test_a_throttle_is_waited_out_however_often_it_comes() -> None:
    calls = Calls(*[ThrottledError("t") for _ in range(40)])

    assert now().retry(calls) == "answer"
    assert calls.made == 41


def test_an_unknown_effect_is_looked_at_a_few_times() -> None:
    few, many = Calls(*[UnknownOutcomeError("u")] * 3), Calls(*[UnknownOutcomeError("u")] * 9)

    assert now().retry(few) == "answer"
    with pytest.raises(UnknownOutcomeError):
        now().retry(many)
    assert many.made == 4


def test_what_passes_with_time_is_waited_for_and_is_a_failure_after_that() -> None:
    assert now().retry(Calls(*[RetryableError(HandlerErrorCode.ACCESS_DENIED, "a")] * 2)) == "answer"

    with pytest.raises(HandlerError) as refused:
        now().retry(
            Calls(*[RetryableError(HandlerErrorCode.ACCESS_DENIED, "a", "b", aws_code="C", aws_reason="R")] * 999)
        )
    assert type(refused.value) is HandlerError
    assert (refused.value.error_code, str(refused.value)) == (HandlerErrorCode.ACCESS_DENIED, "AccessDenied: a b")
    assert (refused.value.aws_code, refused.value.aws_reason) == ("C", "R")


def test_a_failure_is_not_tried_again() -> None:
    calls = Calls(HandlerError(HandlerErrorCode.INVALID_REQUEST, "No."))

    with pytest.raises(HandlerError):
        now().retry(calls)
    assert calls.made == 1


# -- which purchase it is ----------------------------------------------------------------------------------------------


def purchase(**more: Any) -> Purchase:
    known: dict[str, Any] = {
        "owner": Owner("stack", "Number"),
        "request_id": "r",
        "opened_at": 0.0,
        "attempt": 0,
        "candidate": None,
    }
    return Purchase(**known | more)


def test_a_token_is_a_lower_case_uuid_and_the_same_for_the_same_attempt() -> None:
    token = purchase().token("RequestPhoneNumber")

    assert str(uuid.UUID(token)) == token
    assert token == purchase(opened_at=5.0).token("RequestPhoneNumber")


@pytest.mark.parametrize(
    "other",
    [
        {"owner": Owner("stack2", "Number")},
        {"owner": Owner("stack", "Number2")},
        {"request_id": "r2"},
        {"attempt": 1},
    ],
)
def test_another_purchase_or_attempt_has_another_token(other: dict[str, Any]) -> None:
    assert purchase().token("RequestPhoneNumber") != purchase(**other).token("RequestPhoneNumber")


def test_another_operation_or_number_has_another_token() -> None:
    tokens = {
        purchase().token("RequestPhoneNumber"),
        purchase().token("RequestSenderId"),
        purchase().token("ClaimPhoneNumber", "+1"),
        purchase().token("ClaimPhoneNumber", "+2"),
    }
    assert len(tokens) == 4


def test_a_number_was_made_for_a_purchase_only_if_all_its_tags_say_so() -> None:
    tags = purchase().tags(None)

    assert purchase().matches(tags)
    for key in ("stack-id", "logical-id", "request-id"):
        assert not purchase().matches(tags | {f"cfn-telephony:{key}": "other"})
    assert not purchase().matches({})


KEYS = st.sampled_from(["a", "b", "c", "aws:x", "cfn-telephony:stack-id"])


@given(
    live=st.dictionaries(KEYS, st.text(max_size=2)), wanted=st.dictionaries(st.sampled_from("abc"), st.text(max_size=2))
)
def test_tags_end_as_declared_and_reserved_ones_stay(live: dict[str, str], wanted: dict[str, str]) -> None:
    from telephony.model.properties import Tag  # noqa: PLC0415

    to_set, to_remove = tag_changes(live, [Tag(key=key, value=value) for key, value in wanted.items()])

    after = {key: value for key, value in (live | dict(to_set)).items() if key not in to_remove}
    reserved = {key: value for key, value in live.items() if ":" in key}
    assert after == wanted | reserved
    assert all(live.get(key) != value for key, value in to_set.items()), "no call for what is there already"
