"""Calls of concurrent invocations take turns at the account's rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from telephony import settings
from tests.conftest import CONNECT, SMS, Laptop, connect_instance
from tests.contract.cloudformation import AsyncInvoker
from tests.contract.declarations import SMS_PHONE_NUMBER, Kind, connect_phone_number

Rates = Callable[[str], None]
REQUEST = f"{SMS}.RequestPhoneNumber"
LIMITS = pytest.mark.parametrize("limit", ["*=1000", "*=0"])


@pytest.fixture
def rates(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rates]:
    """Sets what the account may call per second, as the provider reads it."""
    del laptop

    def change(text: str) -> None:
        monkeypatch.setenv("CALL_RATES", text)
        settings.settings.cache_clear()

    yield change
    monkeypatch.undo()
    settings.settings.cache_clear()


def stack_of(count: int) -> dict[str, Any]:
    declared = {"Type": SMS_PHONE_NUMBER.type, "Properties": SMS_PHONE_NUMBER.properties}
    return {"Resources": {f"Number{index}": declared for index in range(count)}}


@pytest.mark.shows("fifty numbers in one stack")
def test_numbers_of_one_stack_stand_in_line_instead_of_colliding(laptop: Laptop, rates: Rates) -> None:
    laptop.telecom.configure(rate=True)
    rates("")  # the services' own defaults: one call per second and operation
    stack = laptop.cloudformation.stack("numbers")

    assert stack.deploy(stack_of(4)) == "CREATE_COMPLETE", stack.events

    # Without turns each second has one winner, and every other tries again and again. A busy machine may lose one turn.
    assert laptop.calls(SMS)["RequestPhoneNumber"] <= 5


def test_a_rate_can_be_set_for_one_operation(laptop: Laptop, rates: Rates) -> None:
    rates(f"{SMS}=0.001,{REQUEST}=1000")
    stack = laptop.cloudformation.stack("numbers")

    assert stack.deploy(stack_of(6)) == "CREATE_COMPLETE", stack.events


def test_what_cannot_have_its_turn_in_time_is_refused_early_with_the_arithmetic(laptop: Laptop, rates: Rates) -> None:
    rates(f"{REQUEST}=0.01")
    fields: dict[str, Any] = {"resource_type": SMS_PHONE_NUMBER.type}
    properties = SMS_PHONE_NUMBER.properties | {"ServiceTimeout": "60"}
    laptop.send("Create", logical_id="First", properties=properties, **fields)

    refused = laptop.send("Create", logical_id="Second", properties=properties, **fields)

    assert refused["Status"] == "FAILED"
    assert refused["Reason"].startswith(
        "Throttling: 1 calls of RequestPhoneNumber are ahead of this one, at 0.01 per second"
    )
    assert "ServiceTimeout leaves" in refused["Reason"]
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1}
    deleted = laptop.send(
        "Delete", logical_id="Second", physical_id=refused["PhysicalResourceId"], properties=properties, **fields
    )
    assert deleted["Status"] == "SUCCESS"
    assert laptop.calls(SMS) == {"RequestPhoneNumber": 1}, "it is known that nothing was bought"


@pytest.mark.shows("little time left in the invocation")
def test_a_turn_that_comes_after_the_invocation_is_kept_for_the_next_run(laptop: Laptop, rates: Rates) -> None:
    rates(f"{REQUEST}=0.01")  # the second turn comes in 102 seconds; an invocation has 20
    fields: dict[str, Any] = {"resource_type": SMS_PHONE_NUMBER.type, "properties": SMS_PHONE_NUMBER.properties}
    laptop.send("Create", logical_id="First", **fields)

    failed = laptop.send("Create", logical_id="Second", **fields)

    attempts = [run.outcome for run in laptop.invoker.invocations if run.event["LogicalResourceId"] == "Second"]
    assert attempts == ["raised"] * 3, "each run leaves the line to the next"
    [kept] = [row for row in laptop.purchases() if "|Second" in row["pk"]["S"]]
    assert "reserved_at" in kept
    assert failed["Status"] == "FAILED"
    line = laptop.dynamodb.get_item(
        TableName=laptop.table, Key={"pk": {"S": "rate"}, "sk": {"S": REQUEST}}, ConsistentRead=True
    )["Item"]
    assert float(line["next_at"]["N"]) - float(kept["reserved_at"]["N"]) == pytest.approx(102, abs=1), (
        "one turn, not three"
    )


@pytest.mark.shows("little time left in the invocation")
@LIMITS
def test_nothing_is_bought_in_the_last_seconds_of_an_invocation(
    laptop: Laptop, rates: Rates, kind: Kind, limit: str
) -> None:
    from telephony.handlers import provider  # noqa: PLC0415

    rates(limit)
    with AsyncInvoker(provider.handler, delays=(), timeout=0.9) as once:  # one second is kept back for the answer
        request = attrs.evolve(laptop, invoker=once).post("Create", resource_type=kind.type, properties=kind.properties)
        once.settle(30)
        [run] = once.invocations

    assert run.outcome == "raised"
    assert laptop.sink.raw(request) == []
    assert kind.buys not in laptop.calls()

    laptop.invoker.invoke(run.event)
    assert [laptop.answer(request)["PhysicalResourceId"]] == laptop.ids()
    assert laptop.calls()[kind.buys] == 1


def test_standing_in_line_does_not_use_up_the_patience_with_lost_races(laptop: Laptop, rates: Rates) -> None:
    kind = connect_phone_number(connect_instance(laptop))
    rates("connect=0,connect.ClaimPhoneNumber=1")
    fields: dict[str, Any] = {"resource_type": kind.type, "properties": kind.properties}
    laptop.send("Create", logical_id="First", **fields)
    laptop.telecom.configure(race_losses=1)

    second = laptop.send("Create", logical_id="Second", **fields)

    assert second["Status"] == "SUCCESS", second["Reason"]
    assert laptop.calls(CONNECT)["ClaimPhoneNumber"] == 3


def test_a_read_that_cannot_have_its_turn_in_time_is_answered(laptop: Laptop, rates: Rates) -> None:
    fields: dict[str, Any] = {"resource_type": SMS_PHONE_NUMBER.type}
    properties = SMS_PHONE_NUMBER.properties | {"ServiceTimeout": "60"}
    number = laptop.send("Create", properties=properties, **fields)["PhysicalResourceId"]
    rates(f"{SMS}.DescribePhoneNumbers=0.01")
    changed = {"physical_id": number, "old_properties": properties, **fields}
    laptop.send("Update", properties=properties | {"Trigger": "1"}, **changed)

    refused = laptop.send("Update", properties=properties | {"Trigger": "2"}, **changed)

    assert (refused["Status"], refused["PhysicalResourceId"]) == ("FAILED", number)
    assert refused["Reason"].startswith("Throttling: 1 calls of DescribePhoneNumbers are ahead of this one")


@LIMITS
def test_what_an_earlier_run_bought_is_answered_though_it_is_too_late_to_buy(
    laptop: Laptop, rates: Rates, kind: Kind, limit: str
) -> None:
    """The margin before ServiceTimeout has begun: no attempt to buy begins any more, and none is needed."""
    from telephony.handlers import provider  # noqa: PLC0415

    rates(limit)
    time.sleep(1 - time.time() % 1)  # a URL tells whole seconds
    laptop.telecom.fault("dynamodb", "UpdateItem", "error", code="ResourceNotFoundException", after=1)
    with AsyncInvoker(provider.handler, delays=(2.1,), timeout=20) as late:
        request = attrs.evolve(laptop, invoker=late).post(
            "Create",
            resource_type=kind.type,
            properties=kind.properties | {"ServiceTimeout": "20"},
            issued_at=time.time() - 17,
        )
        late.settle(30)
        assert late.invocations[0].outcome == "raised"

    assert [laptop.answer(request)["PhysicalResourceId"]] == laptop.ids()
    assert laptop.calls()[kind.buys] == 1


@LIMITS
def test_a_delete_in_the_margin_before_its_service_timeout_releases(
    laptop: Laptop, rates: Rates, kind: Kind, limit: str
) -> None:
    made = laptop.send("Create", resource_type=kind.type, properties=kind.properties)
    rates(limit)
    time.sleep(1 - time.time() % 1)

    gone = laptop.send(
        "Delete",
        resource_type=kind.type,
        physical_id=made["PhysicalResourceId"],
        properties=kind.properties | {"ServiceTimeout": "20"},
        issued_at=time.time() - 19,
    )

    assert gone["Status"] == "SUCCESS", gone["Reason"]
    assert laptop.held() == {}
