"""The widgets of the dashboard show metrics that are emitted, and the saved queries read fields of real log lines."""

import json
import re
from typing import Any

import pytest

from tests.conftest import SMS, STACK_ID, Configure, Harness
from tests.contract.cloudformation.intrinsics import Deployment
from tests.contract.declarations import SIMULATOR, SMS_PHONE_NUMBER
from tests.contract.steps import REPLACEABLE, create, delete, send_create, update
from tests.contract.test_sweep import late_purchase, later, run

_DESIGNATOR = re.compile(r'(\w+)="([^"]*)"')
_CONDITION = re.compile(r'(\w+) (=|like) "([^"]*)"')


def deployed(template: dict[str, Any], resource_type: str) -> dict[str, Any]:
    """The properties of the resources of a type, by logical ID, if the dashboard is created."""
    deployment = Deployment(template, {"Dashboard": "true", "FunctionName": "cfn-telephony"})
    return {
        name: deployment.resolve(one["Properties"])
        for name, one in template["Resources"].items()
        if one["Type"] == resource_type
    }


def widgets(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The properties of each widget, by title."""
    [dashboard] = deployed(template, "AWS::CloudWatch::Dashboard").values()
    return {one["properties"]["title"]: one["properties"] for one in json.loads(dashboard["DashboardBody"])["widgets"]}


def shown(metric: list[Any]) -> tuple[str, dict[str, str], set[str]]:
    """The name of a metric, the values that its dimensions must have, and the names of all its dimensions."""
    if isinstance(metric[0], dict):
        searched = re.fullmatch(r"SEARCH\('\{(.+)\} (.+)', 'Sum'\)", metric[0]["expression"])
        assert searched
        namespace, *names = searched[1].replace('"', "").split(",")
        values = dict(_DESIGNATOR.findall(searched[2]))
        name = values.pop("MetricName")
    else:
        namespace, name, *pairs = [part for part in metric if isinstance(part, str)]
        values = dict(zip(pairs[::2], pairs[1::2], strict=True))
        names = list(values)
    assert namespace == "cfn-telephony"
    return name, values, set(names)


def emitted(entry: dict[str, Any], name: str, values: dict[str, str], dimensions: set[str]) -> bool:
    """Whether a line of standard output is a metric that CloudWatch stores under exactly these dimensions."""
    return (
        name in entry
        and values.items() <= entry.items()
        and any(
            directive["Namespace"] == "cfn-telephony" and set(names) == dimensions
            for directive in entry["_aws"]["CloudWatchMetrics"]
            for names in directive["Dimensions"]
        )
    )


def use_everything(harness: Harness, configure: Configure) -> str:
    """Send requests of every kind, and run the sweep. Returns the number that is pending release."""
    kept = create(harness, SMS_PHONE_NUMBER, logical_id="Kept", properties=SIMULATOR | {"RecoveryWindowInDays": 7})
    delete(harness, SMS_PHONE_NUMBER, kept, logical_id="Kept", properties=SIMULATOR | {"RecoveryWindowInDays": 7})
    released = create(harness, SMS_PHONE_NUMBER, logical_id="Released")
    delete(harness, SMS_PHONE_NUMBER, released, logical_id="Released")
    late_purchase(harness, SMS_PHONE_NUMBER)
    # A request that waits in the queue, and one that fails because of a defect.
    configure(IN_PLACE_WAIT_SECONDS="0")
    harness.telecom.configure(activation_seconds=1)
    create(harness, SMS_PHONE_NUMBER, logical_id="Waits", properties=SIMULATOR | {"WaitForActive": True})
    harness.telecom.fault(SMS, "RequestPhoneNumber", "error", code="Undocumented", status=200, times=9)
    assert send_create(harness, SMS_PHONE_NUMBER, logical_id="Fails")["Status"] == "FAILED"
    harness.telecom.clear_faults()
    with later():
        run()
    return kept


def test_each_widget_shows_metrics_with_the_dimensions_that_are_emitted(
    harness: Harness, configure: Configure, template: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    use_everything(harness, configure)

    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    found = widgets(template)
    assert 0 < len(found) <= 6
    for title, properties in found.items():
        for metric in properties["metrics"]:
            expected = shown(metric)
            assert [one for one in entries if emitted(one, *expected)], (title, expected)


def test_purchases_and_releases_are_counted_once_each(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    first = create(harness, SMS_PHONE_NUMBER)
    changed = {"properties": SIMULATOR | REPLACEABLE | {"NumberType": "TOLL_FREE", "MessageType": "TRANSACTIONAL"}}
    replaced = update(harness, SMS_PHONE_NUMBER, first, **changed)
    assert replaced["Status"] == "SUCCESS", replaced
    delete(harness, SMS_PHONE_NUMBER, first)
    delete(harness, SMS_PHONE_NUMBER, first)

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    counted = {
        name: sum(line[name][0] for line in lines if name in line) for name in ("NumbersPurchased", "NumbersReleased")
    }
    assert counted == {"NumbersPurchased": 2, "NumbersReleased": 1}


def matching(query: str, entries: list[dict[str, Any]], placeholder: str, value: str) -> list[dict[str, Any]]:
    """The log entries that the filter of a query selects, with a value in place of its placeholder."""
    [condition] = re.findall(r"^\| filter (.+)$", query, re.MULTILINE)
    conditions = [_CONDITION.fullmatch(part) for part in condition.replace(placeholder, value).split(" or ")]
    assert all(conditions)

    def holds(entry: dict[str, Any]) -> bool:
        texts = [(str(entry.get(one[1], "")), one[2], one[3]) for one in conditions if one]
        return any(part in text if operator == "like" else part == text for text, operator, part in texts)

    return [entry for entry in entries if holds(entry)]


def test_saved_queries_follow_a_request_a_stack_and_a_number(
    harness: Harness, configure: Configure, template: dict[str, Any], log_lines: list[str]
) -> None:
    kept = use_everything(harness, configure)

    entries = [json.loads(line) for line in log_lines if line.startswith("{")]
    queries = deployed(template, "AWS::Logs::QueryDefinition")
    [searched] = [entry["purchase_request_id"] for entry in entries if "purchase_request_id" in entry]
    values = {
        "RequestQuery": ("REQUEST_ID", searched),
        "StackQuery": ("STACK_NAME", STACK_ID.split("/")[1]),
        "NumberQuery": ("PHYSICAL_RESOURCE_ID", kept),
    }
    assert set(values) == set(queries)
    results = {name: matching(queries[name]["QueryString"], entries, *given) for name, given in values.items()}
    shown = {name: {entry["message"] for entry in found} for name, found in results.items()}
    assert shown["RequestQuery"] >= {"Request received", "Response delivered", "The result of a purchase is unknown"}
    assert shown["StackQuery"] >= {"Request received", "Request will be continued", "Ended the use of a number"}
    assert {entry["logical_resource_id"] for entry in results["StackQuery"]} >= {"Kept", "Released", "Waits", "Fails"}
    assert shown["NumberQuery"] >= {"Outcome determined", "Ended the use of a number"}
    assert [entry["finding"] for entry in results["NumberQuery"] if "finding" in entry] == ["PENDING_RELEASE"]
    for name, properties in queries.items():
        fields = re.findall(
            r"\w+", re.findall(r"^fields @timestamp, (.+)$", properties["QueryString"], re.MULTILINE)[0]
        )
        filtered = re.findall(r'(\w+) (?:=|like) "', properties["QueryString"])
        unknown = {field for field in (*fields, *filtered) if not any(field in entry for entry in entries)}
        assert unknown == set(), name


def test_dashboard_and_queries_are_created_only_if_the_parameter_says_so(template: dict[str, Any]) -> None:
    parameter = template["Parameters"]["Dashboard"]
    assert parameter["Default"] == "false"
    assert not Deployment(template).holds("DashboardCreated")
    assert Deployment(template, {"Dashboard": "true"}).holds("DashboardCreated")
    kinds = {"AWS::CloudWatch::Dashboard", "AWS::Logs::QueryDefinition"}
    created = {name: one.get("Condition") for name, one in template["Resources"].items() if one["Type"] in kinds}
    assert set(created.values()) == {"DashboardCreated"}
    assert len(created) == 4
    groups = {
        name
        for name, one in template["Resources"].items()
        if one["Type"] == "AWS::Logs::LogGroup" and "Condition" not in one
    }
    for one in template["Resources"].values():
        if one["Type"] == "AWS::Logs::QueryDefinition":
            assert {group["Ref"] for group in one["Properties"]["LogGroupNames"]} == groups
