"""The budget of remote calls, to the call: docs/performance.md says what each request may make, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from telephony import settings
from tests.conftest import SMS, Laptop, connect_instance
from tests.contract.declarations import SIMULATOR

BUDGET = (Path(__file__).parents[2] / "docs/performance.md").read_text()
TAGS = [{"Key": "team", "Value": "voice"}]
SENDER = {"SenderId": "Acme", "IsoCountryCode": "GB"}
SECOND_STEP = {"SelfManagedOptOutsEnabled": True, "DeletionProtectionEnabled": True}
LIFT = {"OnDelete": {"LiftDeletionProtection": True}}


def table(heading: str) -> Iterator[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = BUDGET.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    for row in rows[2:]:
        yield [cell.strip() for cell in row.strip("|").split("|")]


def calls(cell: str) -> Counter[str]:
    """`DescribePhoneNumbers`, 2 x `UpdateItem`: by operation."""
    found = re.findall(r"(?:(\d+) x )?`(\w+)`", cell)
    return Counter({operation: int(times or 1) for times, operation in found})


SERVICE_CALLS = {(row[0].strip("`"), row[1]): calls(row[2]) for row in table("Calls of the services")}
TABLE_CALLS = {row[0]: calls(row[1]) for row in table("Calls of the state table")}


def made(laptop: Laptop, act: Callable[[], object]) -> Counter[str]:
    """What an act leads to, by `service.Operation`."""
    before = Counter(laptop.telecom.calls())
    act()
    laptop.invoker.settle(timeout=30)
    return Counter(laptop.telecom.calls()) - before


def split(made: Mapping[str, int]) -> tuple[Counter[str], Counter[str]]:
    """Those of the services, and those of the table; by operation."""
    told = [(name.split("."), times) for name, times in made.items()]
    ours = Counter({operation: times for (service, operation), times in told if service == "dynamodb"})
    return Counter({operation: times for (service, operation), times in told if service != "dynamodb"}), ours


def lives(target: str) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    """By type: the requests of one life, in order, by the names that the budget has for them."""
    connect = {"TargetArn": target, "CountryCode": "US", "Type": "DID"}
    return {
        "Custom::SmsPhoneNumber": [
            ("Create", "Create", SIMULATOR),
            ("Update, the first", "Update", SIMULATOR | {"Trigger": "1"}),
            ("Update, nothing differs", "Update", SIMULATOR | {"Trigger": "2"}),
            ("Update, settings", "Update", SIMULATOR | {"SelfManagedOptOutsEnabled": True}),
            ("Update, a tag", "Update", SIMULATOR | {"SelfManagedOptOutsEnabled": True, "Tags": TAGS}),
            ("Delete", "Delete", SIMULATOR),
            ("Create, with tags", "Create", SIMULATOR | {"Tags": TAGS}),
            ("Delete", "Delete", SIMULATOR),
            ("Create, with settings", "Create", SIMULATOR | SECOND_STEP),
            ("Delete, protected", "Delete", SIMULATOR | SECOND_STEP | LIFT),
        ],
        "Custom::SmsSenderId": [
            ("Create", "Create", SENDER),
            ("Update, the first", "Update", SENDER | {"Trigger": "1"}),
            ("Update, nothing differs", "Update", SENDER | {"Trigger": "2"}),
            ("Update, settings", "Update", SENDER | {"DeletionProtectionEnabled": True}),
            ("Update, a tag", "Update", SENDER | {"DeletionProtectionEnabled": True, "Tags": TAGS}),
            ("Delete, protected", "Delete", SENDER | {"DeletionProtectionEnabled": True} | LIFT),
            ("Create, with settings", "Create", SENDER | {"DeletionProtectionEnabled": True, "Tags": TAGS}),
        ],
        "Custom::ConnectPhoneNumber": [
            ("Create", "Create", connect),
            ("Update, the first", "Update", connect | {"Trigger": "1"}),
            ("Update, nothing differs", "Update", connect | {"Trigger": "2"}),
            ("Update, settings", "Update", connect | {"Description": "front desk"}),
            ("Update, a tag", "Update", connect | {"Description": "front desk", "Tags": TAGS}),
            ("Delete", "Delete", connect),
        ],
    }


TYPES = ["Custom::SmsPhoneNumber", "Custom::SmsSenderId", "Custom::ConnectPhoneNumber"]


@pytest.mark.parametrize("type_name", TYPES)
def test_every_request_makes_the_calls_of_its_budget_and_no_other(laptop: Laptop, type_name: str) -> None:
    logical_id, physical_id = "", ""
    before: dict[str, Any] = {}
    for number, (name, request_type, properties) in enumerate(lives(connect_instance(laptop))[type_name]):
        fields: dict[str, Any] = {"resource_type": type_name, "properties": properties}
        if request_type == "Create":
            logical_id = f"Number{number}"
        else:
            fields["physical_id"] = physical_id
        if request_type == "Update":
            fields["old_properties"] = before
        request_id = ""

        def send(request_type: str = request_type, fields: dict[str, Any] = fields, name: str = logical_id) -> None:
            nonlocal request_id
            request_id = laptop.post(request_type, logical_id=name, **fields)

        services, state = split(made(laptop, send))
        answer = laptop.answer(request_id)
        assert answer["Status"] == "SUCCESS", answer
        physical_id, before = answer["PhysicalResourceId"], properties
        assert services == SERVICE_CALLS[type_name, service_row(name)], name
        assert state == TABLE_CALLS[table_row(type_name, name)], name


def service_row(name: str) -> str:
    """What costs the services the same stands in one row."""
    return "Update, nothing differs" if name == "Update, the first" else name


def table_row(type_name: str, name: str) -> str:
    """What costs the table the same stands in one row."""
    if name.startswith("Create"):
        at_once = name in {"Create", "Create, with tags"} and type_name != "Custom::ConnectPhoneNumber"
        return "Create" if at_once else "Create, with settings or a claim"
    if name in {"Update, the first", "Update, nothing differs"}:
        return name
    return name.split(",", maxsplit=1)[0]


def test_the_turn_of_the_buying_call_costs_no_call_of_its_own(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALL_RATES", "")
    settings.settings.cache_clear()
    try:
        _, state = split(
            made(laptop, lambda: laptop.post("Create", resource_type="Custom::SmsPhoneNumber", properties=SIMULATOR))
        )
    finally:
        monkeypatch.undo()
        settings.settings.cache_clear()

    assert state == TABLE_CALLS["Create"]
    assert [row["sk"]["S"] for row in laptop.rows() if row["pk"]["S"] == "rate"] == [f"{SMS}.RequestPhoneNumber"]


def test_every_row_of_the_budget_is_one_that_was_counted() -> None:
    counted = {(type_name, name) for type_name, life in lives("arn").items() for name, _, _ in life}
    assert set(SERVICE_CALLS) == {(type_name, service_row(name)) for type_name, name in counted}
    assert set(TABLE_CALLS) == {table_row(*each) for each in counted}
