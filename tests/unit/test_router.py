"""The behavior of crhelper that the router relies on. A test fails if a new version of crhelper changes it."""

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
    """crhelper, except that it records responses instead of sending them."""

    def __init__(self, **options: Any) -> None:
        self.sent: list[Any] = []
        super().__init__(**options)

    def _send(self, *arguments: Any, **_: Any) -> None:
        self.sent.append(arguments)


@pytest.fixture(autouse=True)
def created_clients(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    created: list[str] = []
    monkeypatch.setattr(boto3, "client", lambda name, **_: created.append(name))
    return created


def test_version_and_constructor_of_crhelper_are_those_reviewed() -> None:
    assert metadata.version("crhelper") == "2.0.12"
    assert set(inspect.signature(crhelper.CfnResource.__init__).parameters) == {
        "self",
        "json_logging",
        "log_level",
        "boto_level",
        "polling_interval",
        "sleep_on_delete",
        "ssl_verify",
    }


def test_router_prevents_the_clients_that_crhelper_creates(created_clients: list[str]) -> None:
    Router()
    assert created_clients == []
    assert crhelper.resource_helper.boto3 is boto3
    Upstream()
    assert created_clients == ["lambda", "events", "logs"]


def test_router_keeps_logging_configuration() -> None:
    root = logging.getLogger()
    root.setLevel(logging.ERROR)
    try:
        before = (root.level, list(root.handlers), [handler.formatter for handler in root.handlers])
        Router()
        assert (root.level, list(root.handlers), [handler.formatter for handler in root.handlers]) == before
    finally:
        root.setLevel(logging.WARNING)


def test_libraries_do_not_log_requests() -> None:
    """At DEBUG they log the signed URL and properties."""
    Router()

    for name in ("crhelper", "urllib3", "botocore", "boto3"):
        assert logging.getLogger(name).getEffectiveLevel() >= logging.INFO


@pytest.mark.parametrize("verb", ["create", "update", "delete"])
def test_crhelper_routes_request_type_to_registered_function(verb: str) -> None:
    upstream, called = Upstream(), []
    for name in ("create", "update", "delete"):
        getattr(upstream, name)(lambda event, context, name=name: called.append((name, event, context)))
    upstream._set_timeout = lambda: None
    event = EVENT | {"RequestType": verb.capitalize()}

    upstream._crhelper_init(event, "context")

    assert called == [(verb, event, "context")]


def test_crhelper_sets_timeout_before_it_wraps_the_function() -> None:
    upstream, order = Upstream(), []

    @upstream.create  # type: ignore[untyped-decorator]
    def function(event: Any, context: Any) -> None: ...

    upstream._set_timeout = lambda: order.append("timeout")
    upstream._wrap_function = order.append

    assert upstream._crhelper_init(EVENT, "context") is True
    assert order == ["timeout", function]
    assert (upstream._event, upstream._context) == (EVENT, "context")
    assert upstream.sent == []


def test_router_returns_outcome_without_response_or_timer() -> None:
    router, threads = Router(), threading.active_count()
    router.create(lambda *_: "outcome")

    assert router(EVENT, None) == "outcome"  # type: ignore[comparison-overlap]
    assert threading.active_count() == threads
    assert router._timer is None
    assert router._send_response is False


@pytest.mark.parametrize("error", [ValueError("v"), KeyError("k"), SystemExit(1)])
def test_router_propagates_exceptions(error: BaseException) -> None:
    router = Router()

    def fail(*_: Any) -> None:
        raise error

    router.create(fail)

    with pytest.raises(type(error)):
        router(EVENT, None)


def test_function_without_outcome_is_an_error_also_after_another_request() -> None:
    router = Router()
    router.create(lambda *_: "first")
    router.update(lambda *_: None)
    router(EVENT, None)

    with pytest.raises(RuntimeError):
        router(EVENT | {"RequestType": "Update"}, None)
