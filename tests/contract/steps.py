"""Steps that several contract tests share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Literal

import pytest

from local.telecom.dispatch import service_of
from telephony import settings
from tests.conftest import STACK_ID, Harness
from tests.contract.cloudformation import Stack
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, template

OTHER_STACK = STACK_ID.replace("/example/", "/other/")
GENERATED_ID = "example-Number-1A2B3C4D5E6F"
"""The form of the ID that CloudFormation generates when it has no valid response to a Create."""
SMS_KINDS = pytest.mark.parametrize("kind", [SMS_PHONE_NUMBER, SMS_SENDER_ID], ids=lambda kind: kind.type)
PROTECTED = {"DeletionProtectionEnabled": True}
REPLACEABLE: dict[str, Any] = {"AllowReplacement": True}
DENIED = {"code": "AccessDeniedException", "message": "No."}
ENDS_SOON = {"ServiceTimeout": 20}
"""A request that can't be completed is answered in about 19 seconds."""
SERVER_ERROR = {"code": "InternalServerException", "status": 500}
IN_REVIEW = {"code": "ConflictException", "reason": "PHONE_NUMBER_ASSOCIATED_TO_REGISTRATION", "message": "In use."}


def send_create(harness: Harness, kind: Kind, **fields: Any) -> dict[str, Any]:
    """Return the response to a Create."""
    return harness.send("Create", resource_type=kind.type, **({"properties": kind.properties} | fields))


def create(harness: Harness, kind: Kind, **fields: Any) -> str:
    """Return the physical ID of a new resource."""
    response = send_create(harness, kind, **fields)
    assert response["Status"] == "SUCCESS", response
    return str(response["PhysicalResourceId"])


def update(harness: Harness, kind: Kind, physical_id: str, properties: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the response to an Update; `old_properties` default to those of the kind."""
    fields = {"old_properties": kind.properties} | fields
    return harness.send("Update", resource_type=kind.type, physical_id=physical_id, properties=properties, **fields)


def delete(harness: Harness, kind: Kind, physical_id: str = GENERATED_ID, **fields: Any) -> dict[str, Any]:
    """Return the response to a Delete."""
    fields = {"properties": kind.properties} | fields
    return harness.send("Delete", resource_type=kind.type, physical_id=physical_id, **fields)


def deploy(harness: Harness, kind: Kind, **properties: Any) -> tuple[Stack, str]:
    """Return a new stack with one resource, Number, and its physical ID."""
    stack = harness.cloudformation.stack("numbers")
    assert stack.deploy(template(kind.properties | properties, kind)) == "CREATE_COMPLETE", stack.reasons("Number")
    return stack, stack.physical_ids["Number"]


def assert_rolled_back(stack: Stack, declared: dict[str, Any], error_code: str, *facts: str) -> None:
    """Deploy a template that fails because of Number, and check the reason and that the rollback succeeds."""
    expected = "UPDATE_ROLLBACK_COMPLETE" if stack.status else "ROLLBACK_COMPLETE"
    failures = len(stack.reasons("Number"))
    assert stack.deploy(declared) == expected, stack.reasons("Number")
    assert_reason(stack.reasons("Number")[failures], error_code, *facts)


def assert_delete_fails(stack: Stack, error_code: str, *facts: str) -> None:
    """Delete a stack, and check why Number stays."""
    assert stack.delete() == "DELETE_FAILED"
    [reason] = stack.reasons("Number")
    assert_reason(reason, error_code, *facts)


def assert_reason(failed: dict[str, Any] | str, error_code: str, *facts: str) -> None:
    """Check the error code and the facts of a failed response or of a stack event's reason, not the wording."""
    if isinstance(failed, dict):
        assert failed["Status"] == "FAILED", failed
        failed = str(failed["Reason"])
    reason = failed.rpartition("Message returned: ")[2]
    assert reason.startswith(f"{error_code}: "), reason
    assert [fact for fact in facts if fact not in reason] == [], reason


def request_number(harness: Harness, **properties: Any) -> str:
    """Return the ID of a number that the provider does not manage."""
    asked: dict[str, Any] = {"MessageType": "TRANSACTIONAL"} | SIMULATOR | properties
    return harness.sms.request_phone_number(**asked)["PhoneNumberId"]


def create_pool(harness: Harness, identity: str = "") -> str:
    """Return the ID of a new pool; its first member is a new number unless `identity` is given."""
    identity = identity or request_number(harness)
    pool = harness.sms.create_pool(OriginationIdentity=identity, IsoCountryCode="US", MessageType="TRANSACTIONAL")
    return pool["PoolId"]


def join_pool(harness: Harness, pool: str, physical_id: str) -> None:
    """Associate a number or a sender ID with a pool, outside of CloudFormation."""
    country, _, identity = physical_id.rpartition("|")
    harness.sms.associate_origination_identity(
        PoolId=pool, OriginationIdentity=identity, IsoCountryCode=country or "US"
    )


def protect(harness: Harness, physical_id: str) -> None:
    """Enable deletion protection, outside of CloudFormation."""
    country, _, identity = physical_id.rpartition("|")
    if country:
        harness.sms.update_sender_id(SenderId=identity, IsoCountryCode=country, DeletionProtectionEnabled=True)
    else:
        harness.sms.update_phone_number(PhoneNumberId=physical_id, DeletionProtectionEnabled=True)


def is_protected(harness: Harness, kind: Kind, physical_id: str) -> bool:
    """Whether deletion protection is enabled."""
    identity = physical_id.rpartition("|")[2]
    [protected] = [held["protected"] for held in harness.telecom.held()[kind.held] if held["id"] == identity]
    return bool(protected)


def fault(harness: Harness, call: str, kind: str, **details: Any) -> None:
    """Make the next calls of `service.Operation` fail; see local/telecom/faults.py."""
    service, operation = call.split(".")
    harness.telecom.fault(service, operation, kind, **details)


def lose_purchase(harness: Harness, kind: Kind) -> None:
    """Let the next purchase succeed, drop its response, and fail every later attempt with HTTP 500."""
    fault(harness, kind.buys, "lose_answer")
    fault(harness, kind.buys, "error", times=999, **SERVER_ERROR)


# -- order instead of time ---------------------------------------------------------------------------------------------


def wait_until(condition: Callable[[], object]) -> None:
    """Poll until the condition holds; the 30 seconds only bound a failing test."""
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends, "the condition never held"
        time.sleep(0.01)


def canceled(harness: Harness) -> bool:
    """Whether a later request has ended a purchase."""
    over = ("RELEASING", "CLOSED")
    return any(row["ended"]["BOOL"] or row["purchase_state"]["S"] in over for row in harness.purchases())


class HeldCall:
    """A call that the service does not answer until `release()`."""

    def __init__(self) -> None:
        self._received, self._released = threading.Event(), threading.Event()

    def hold(self) -> None:
        self._received.set()
        self._released.wait(60)

    def wait(self) -> None:
        """Wait until the service has received the call."""
        assert self._received.wait(30), "the call was never made"

    def release(self) -> None:
        self._released.set()


@contextmanager
def hold_call(
    harness: Harness, call: str, when: Literal["before", "after"] = "after", *, skip: int = 0
) -> Iterator[HeldCall]:
    """Hold the next call of `service.Operation`, or a later one, before or after it takes effect."""
    held, serve, calls = HeldCall(), harness.telecom.serve, count()

    def held_serve(request: Any) -> Any:
        service = service_of(request.headers)
        named = f"{service.name}.{service.operation_of(request)}" if service else ""
        if named != call or next(calls) != skip:
            return serve(request)
        if when == "before":
            held.hold()
        answer = serve(request)
        if when == "after":
            held.hold()
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness.telecom, "serve", held_serve)
        try:
            yield held
        finally:
            held.release()


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """Run the provider with other settings."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            settings.settings.cache_clear()
            yield
    finally:
        settings.settings.cache_clear()
