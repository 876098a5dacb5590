"""Everything that the router relies on in crhelper. These tests fail if crhelper changes it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import boto3
import pytest
from crhelper import CfnResource, resource_helper

from telephony.cloudformation.request import Request
from telephony.cloudformation.response import Outcome
from telephony.handlers import outcome_cache, router
from telephony.lifecycle.invocation import Invocation


def invocation(request_type: Any) -> Invocation:
    return Invocation(Request(request_type, "s", "r", "Number", "t", "u", None, {}, None, 3600), ends_at=0)


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the clients that the constructor of crhelper creates."""
    names: list[str] = []
    monkeypatch.setattr(boto3, "client", lambda name, **_: names.append(name))
    router._router.cache_clear()
    yield names
    router._router.cache_clear()


def test_version_is_the_reviewed_one() -> None:
    assert metadata.version("crhelper") == "2.0.12"


def test_crhelper_creates_clients_through_boto3_of_its_module(created: list[str]) -> None:
    assert resource_helper.boto3 is boto3
    CfnResource()

    assert created == ["lambda", "events", "logs"]


def test_router_creates_no_clients_and_restores_boto3(created: list[str]) -> None:
    router._router()

    assert created == []
    assert resource_helper.boto3 is boto3


@pytest.mark.usefixtures("created")
def test_router_does_not_change_logging() -> None:
    root = logging.getLogger()
    root.setLevel(logging.ERROR)
    try:
        before = (root.level, list(root.handlers), [handler.formatter for handler in root.handlers])
        router._router()
        assert (root.level, list(root.handlers), [handler.formatter for handler in root.handlers]) == before
    finally:
        root.setLevel(logging.WARNING)
    for name in ("crhelper", "urllib3", "botocore", "boto3"):  # At DEBUG they log signed URLs and requests.
        assert logging.getLogger(name).getEffectiveLevel() >= logging.INFO


@pytest.mark.usefixtures("created")
def test_requests_are_routed_by_type_and_start_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    executed: list[Any] = []

    def execute_once(received: Invocation, operation: Any) -> Outcome:
        executed.append((received.request.request_type, operation))
        return Outcome("SUCCESS", "id")

    monkeypatch.setattr(outcome_cache, "execute_once", execute_once)
    threads = threading.active_count()

    for request_type in ("Create", "Update", "Delete"):
        assert router.route(invocation(request_type)).physical_resource_id == "id"

    assert executed == [(name.capitalize(), operation) for name, operation in router._OPERATIONS.items()]
    assert threading.active_count() == threads


@pytest.mark.usefixtures("created")
@pytest.mark.parametrize("error", [ValueError("v"), KeyError("k"), SystemExit(1)])
def test_exceptions_propagate(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: Any) -> Outcome:
        raise error

    monkeypatch.setattr(outcome_cache, "execute_once", fail)

    with pytest.raises(type(error)):
        router.route(invocation("Create"))
