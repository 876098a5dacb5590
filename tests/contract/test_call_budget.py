"""Each request makes exactly the calls that docs/performance.md lists."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from telephony import resources
from tests.conftest import SMS, Configure, Harness, VirtualClock, connect_instance
from tests.contract.declarations import SIMULATOR, SMS_SENDER_ID, connect_phone_number
from tools.types import ROOT

BUDGET = (ROOT / "docs/performance.md").read_text()
SENDER = SMS_SENDER_ID.properties
TAGS = {"Tags": [{"Key": "team", "Value": "voice"}]}
OPT_OUTS = {"SelfManagedOptOutsEnabled": True}
PROTECTED = {"DeletionProtectionEnabled": True}
WINDOW = {"RecoveryWindowInDays": 7}
LIFT = {"OnDelete": {"LiftDeletionProtection": True}}


def table(heading: str) -> Iterator[list[str]]:
    """The cells of each row of the table under a heading."""
    section = BUDGET.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    for row in rows[2:]:
        yield [cell.strip() for cell in row.strip("|").split("|")]


def calls(cell: str) -> Counter[str]:
    """Parse a cell such as "`DescribePhoneNumbers`, 2 x `UpdateItem`"."""
    found = re.findall(r"(?:(\d+) x )?`(\w+)`", cell)
    return Counter({operation: int(times or 1) for times, operation in found})


SERVICE_CALLS = {(row[0].strip("`"), row[1]): calls(row[2]) for row in table("Calls of the services")}
COUNTING = "Create of a Connect number, in addition"
TABLE_CALLS = {row[0]: calls(row[1]) for row in table("Calls of the state table")}


def made(harness: Harness, act: Callable[[], object]) -> tuple[Counter[str], Counter[str]]:
    """The calls of the services and of the state table that an action causes, by operation."""
    before = Counter(harness.telecom.calls())
    harness.stacks.calls.clear()
    act()
    harness.invoker.settle()
    telecom, state = Counter(harness.stacks.calls), Counter[str]()
    for name, times in (Counter(harness.telecom.calls()) - before).items():
        service, operation = name.split(".")
        (state if service == "dynamodb" else telecom)[operation] += times
    return telecom, state


def requests(target: str) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """By type: successive requests by their names in the budget, with their properties."""
    connect = connect_phone_number(target).properties
    return {
        "Custom::SmsPhoneNumber": [
            ("Create", SIMULATOR),
            ("Update, nothing differs", SIMULATOR | {"Trigger": "1"}),
            ("Update, settings", SIMULATOR | OPT_OUTS),
            ("Update, a tag", SIMULATOR | OPT_OUTS | TAGS),
            ("Delete", SIMULATOR),
            ("Create, with tags", SIMULATOR | TAGS),
            ("Delete", SIMULATOR),
            ("Create, with settings", SIMULATOR | OPT_OUTS | PROTECTED),
            ("Delete, protected", SIMULATOR | OPT_OUTS | PROTECTED | LIFT),
            ("Create", SIMULATOR),
            ("Delete, recovery window", SIMULATOR | WINDOW),
            ("Create, taking back", SIMULATOR),
        ],
        "Custom::SmsSenderId": [
            ("Create", SENDER),
            ("Update, nothing differs", SENDER | {"Trigger": "1"}),
            ("Update, protection", SENDER | PROTECTED),
            ("Update, a tag", SENDER | PROTECTED | TAGS),
            ("Delete, protected", SENDER | PROTECTED | LIFT),
            ("Create", SENDER),
            ("Delete", SENDER),
            ("Create, with settings", SENDER | PROTECTED | TAGS),
        ],
        "Custom::ConnectPhoneNumber": [
            ("Create", connect),
            ("Update, nothing differs", connect | {"Trigger": "1"}),
            ("Update, settings", connect | {"Description": "front desk"}),
            ("Update, a tag", connect | {"Description": "front desk"} | TAGS),
            ("Delete", connect),
            ("Create", connect),
            ("Delete, recovery window", connect | WINDOW),
            ("Create, taking back", connect),
        ],
    }


@pytest.mark.parametrize("type_name", resources.type_names())
def test_request_makes_exactly_the_budgeted_calls(
    harness: Harness, virtual_clock: VirtualClock, type_name: str
) -> None:
    fields: dict[str, Any] = {}
    for number, (name, properties) in enumerate(requests(connect_instance(harness))[type_name]):
        virtual_clock.shift(60)
        request_type = name.split(",")[0]
        if name == "Create, taking back":
            del fields["physical_id"]
        elif request_type == "Create":
            fields = {"resource_type": type_name, "logical_id": f"Number{number}"}
        if request_type == "Update":
            fields["old_properties"] = fields.pop("properties")
        fields["properties"] = properties
        answers: list[dict[str, Any]] = []

        telecom, state = made(harness, lambda: answers.append(harness.send(request_type, **fields)))  # noqa: B023 - at once

        assert answers[0]["Status"] == "SUCCESS", answers
        assert telecom == SERVICE_CALLS[type_name, name], name
        counts = request_type == "Create" and resources.by_type(type_name).claim_limit is not None
        assert state == TABLE_CALLS[table_row(type_name, name)] + (TABLE_CALLS[COUNTING] if counts else Counter()), name
        fields["physical_id"] = answers[0]["PhysicalResourceId"]
        fields.pop("old_properties", None)


def table_row(type_name: str, name: str) -> str:
    """The budget's row for requests with the same calls of the state table."""
    if name == "Create, taking back":
        return name
    if name.startswith("Create"):
        one_step = name in {"Create", "Create, with tags"} and not resources.by_type(type_name).polls_until_stable
        return "Create" if one_step else "Create, with settings or a claim"
    if name in {"Update, nothing differs", "Update, protection", "Delete, recovery window"}:
        return name
    return name.split(",", maxsplit=1)[0]


@pytest.mark.usefixtures("virtual_clock")
def test_purchase_reservation_costs_no_call_of_its_own(harness: Harness, configure: Configure) -> None:
    configure(CALL_RATES="")

    _, state = made(
        harness, lambda: harness.post("Create", resource_type="Custom::SmsPhoneNumber", properties=SIMULATOR)
    )

    assert state == TABLE_CALLS["Create"]
    assert [row["sk"]["S"] for row in harness.rows() if row["pk"]["S"] == "rate"] == [f"{SMS}.RequestPhoneNumber"]


def test_every_budget_row_is_tested() -> None:
    tested = {(type_name, name) for type_name, sent in requests("arn").items() for name, _ in sent}
    assert set(SERVICE_CALLS) == tested
    assert set(TABLE_CALLS) == {COUNTING, *(table_row(*each) for each in tested)}
