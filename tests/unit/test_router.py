"""What is leaned on in crhelper, one test each: they fail where upstream changes it."""

from __future__ import annotations

import inspect
import logging
import threading
from importlib import metadata
from typing import Any

import boto3
import crhelper
import crhelper.resource_helper
import pytest

from telephony.handlers.router import Router

EVENT = {"StackId": "s", "RequestId": "r", "LogicalResourceId": "Number", "ResponseURL": "...", "RequestType": "Create"}


class Upstream(crhelper.CfnResource):  # type: ignore[misc]
    """crhelper as it is, but for the clients it makes and the answer it would send."""

    def __init__(self, **options: Any) -> None:
        self.sent: list[Any] = []
        super().__init__(**options)

    def _send(self, *arguments: Any, **_: Any) -> None:
        self.sent.append(arguments)


@pytest.fixture
def no_clients(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    monkeypatch.setattr(boto3, "client", lambda name, **_: made.append(name))
    return made


def test_the_version_is_the_one_that_was_looked_into() -> None:
    assert metadata.version("crhelper") == "2.0.12"


def test_the_constructor_takes_what_it_is_given() -> None:
    assert set(inspect.signature(crhelper.CfnResource.__init__).parameters) == {
        "self",
        "json_logging",
        "log_level",
        "boto_level",
        "polling_interval",
        "sleep_on_delete",
        "ssl_verify",
    }


def test_upstream_makes_its_clients_through_the_boto3_of_its_module(no_clients: list[str]) -> None:
    assert crhelper.resource_helper.boto3 is boto3
    Upstream()

    assert no_clients == ["lambda", "events", "logs"]


def test_our_dispatcher_makes_no_client_and_leaves_boto3_where_it_was(no_clients: list[str]) -> None:
    Router()

    assert no_clients == []
    assert crhelper.resource_helper.boto3 is boto3


def test_our_dispatcher_leaves_logging_as_it_was() -> None:
    root = logging.getLogger()
    root.setLevel(logging.ERROR)
    try:
        before = (root.level, list(root.handlers), [handler.formatter for handler in root.handlers])
        Router()
        assert (root.level, list(root.handlers), [handler.formatter for handler in root.handlers]) == before
    finally:
        root.setLevel(logging.WARNING)


def test_our_dispatcher_leaves_the_libraries_quiet() -> None:
    """The signed URL and what is bought for whom stand in their lines at DEBUG."""
    Router()

    for name in ("crhelper", "urllib3", "botocore", "boto3"):
        assert logging.getLogger(name).getEffectiveLevel() >= logging.INFO


@pytest.mark.parametrize("verb", ["create", "update", "delete"])
def test_functions_are_registered_by_verb_and_routed_to_by_request_type(no_clients: list[str], verb: str) -> None:
    del no_clients
    upstream, called = Upstream(), []
    for name in ("create", "update", "delete"):
        getattr(upstream, name)(lambda event, context, name=name: called.append((name, event, context)))
    upstream._set_timeout = lambda: None

    upstream._crhelper_init(EVENT | {"RequestType": verb.capitalize()}, "context")

    assert called == [(verb, EVENT | {"RequestType": verb.capitalize()}, "context")]


def test_init_sets_the_timeout_and_then_hands_the_function_to_wrap_function(no_clients: list[str]) -> None:
    del no_clients
    upstream, order = Upstream(), []

    @upstream.create  # type: ignore[untyped-decorator]
    def function(event: Any, context: Any) -> None: ...

    upstream._set_timeout = lambda: order.append("timeout")
    upstream._wrap_function = order.append

    assert upstream._crhelper_init(EVENT, "context") is True
    assert order == ["timeout", function]
    assert (upstream._event, upstream._context) == (EVENT, "context")
    assert upstream.sent == []


def test_init_alone_sends_nothing_and_starts_nothing() -> None:
    dispatcher, threads = Router(), threading.active_count()
    dispatcher.create(lambda *_: "outcome")

    assert dispatcher(EVENT, None) == "outcome"  # type: ignore[comparison-overlap]
    assert threading.active_count() == threads
    assert dispatcher._timer is None
    assert dispatcher._send_response is False


@pytest.mark.parametrize("error", [ValueError("v"), KeyError("k"), SystemExit(1)])
def test_what_is_raised_stays_raised(error: BaseException) -> None:
    dispatcher = Router()

    def fail(*_: Any) -> None:
        raise error

    dispatcher.create(fail)

    with pytest.raises(type(error)):
        dispatcher(EVENT, None)


def test_a_function_that_gives_nothing_is_a_defect_and_no_success() -> None:
    dispatcher = Router()
    dispatcher.create(lambda *_: None)

    with pytest.raises(RuntimeError):
        dispatcher(EVENT, None)


def test_nothing_of_an_event_is_left_for_the_next_one() -> None:
    dispatcher = Router()
    dispatcher.create(lambda *_: "first")
    dispatcher(EVENT, None)
    dispatcher.update(lambda *_: None)

    with pytest.raises(RuntimeError):
        dispatcher(EVENT | {"RequestType": "Update"}, None)
