"""The alarms and metrics in the template, in docs/operations.md and in the code agree."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from telephony.lifecycle.checks import Finding
from telephony.observability import count
from tests.template.conftest import ROOT


def alarms(resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}


def own_metrics(resources: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The names and dimensions of the provider's metrics that have an alarm."""
    own = [alarm for alarm in alarms(resources).values() if not alarm.get("Namespace", "AWS/").startswith("AWS/")]
    assert {alarm["Namespace"] for alarm in own} == {"cfn-telephony"}
    return [(alarm["MetricName"], {one["Name"]: one["Value"] for one in alarm["Dimensions"]}) for alarm in own]


def emitted() -> dict[str, set[str]]:
    """The dimensions of every metric, by name, read from the `count` and `measure` calls in the code."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "functions/telephony").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        mappings: dict[str, set[Any]] = {
            target.id: {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
            for node in nodes
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"count", "measure"}:
                dimensions = {"service"}
                for keyword in node.keywords:
                    dimensions |= {keyword.arg} if keyword.arg else mappings[ast.unparse(keyword.value)]
                name = node.args[0]
                for literal in [name.body, name.orelse] if isinstance(name, ast.IfExp) else [name]:
                    assert found.setdefault(ast.literal_eval(literal), dimensions) == dimensions, path
    return found


def table(heading: str, path: Path = ROOT / "docs/operations.md") -> list[list[str]]:
    """The rows of the first table below a heading."""
    section = path.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")][2:]


def names(rows: list[list[str]]) -> list[str]:
    """The names in code font in the first column."""
    return [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]


def test_documentation_lists_every_alarm(resources: dict[str, Any]) -> None:
    assert sorted(names(table("Alarms"))) == sorted(alarms(resources))


def test_documentation_lists_every_emitted_metric_with_its_dimensions() -> None:
    assert {name: set(re.findall(r"\w+", row[1])) for row in table("Metrics") for name in names([row])} == emitted()


def test_alarms_use_metrics_and_dimensions_that_code_emits(resources: dict[str, Any]) -> None:
    for name, dimensions in own_metrics(resources):
        assert emitted().get(name) == set(dimensions), name
        assert "ResourceType" not in dimensions, f"{name} would need one alarm for each resource type"


def test_metrics_have_namespace_and_service_of_template(
    template: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    for _, dimensions in own_metrics(template["Resources"]):
        assert dimensions["service"] == variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "FunctionName"}
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "the-function")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", variables["POWERTOOLS_METRICS_NAMESPACE"])
    count("Name", 2, Dimension="value")
    written = json.loads(capsys.readouterr().out)
    (directive,) = written["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "cfn-telephony"
    assert [set(names) for names in directive["Dimensions"]] == [{"Dimension", "service"}]
    assert (written["service"], written["Name"]) == ("the-function", [2])


def test_every_finding_is_documented_and_has_alarm_if_action_is_required(resources: dict[str, Any]) -> None:
    actions = {row[0].strip("`"): row[2] for row in table("Sweep findings")}
    assert set(actions) == {finding.name for finding in Finding}
    alarmed = {dimensions["Finding"] for name, dimensions in own_metrics(resources) if name == "SweepFindings"}
    assert alarmed == {name for name, action in actions.items() if not action.startswith("None.")}


def idle_cost(resources: dict[str, Any], numbers: int) -> dict[str, float]:
    """The monthly list prices in US East (N. Virginia), in dollars. docs/operations.md names their sources."""
    days = 30
    alarm_metrics = sum(
        len([metric for metric in alarm["Metrics"] if "MetricStat" in metric]) if "Metrics" in alarm else 1
        for name, alarm in alarms(resources).items()
        if "Condition" not in resources[name]
    )
    receives = 5 * days * 86400 / 20  # Lambda polls an empty queue with five pollers, 20 seconds each.
    # As measured by the benchmark; an invocation that has nothing to do takes a second.
    sweep_gigabyte_seconds = days * (24 + 0.05 * numbers) * 256 / 1024
    stored_gigabytes = numbers / 1e6
    return {
        "alarms": alarm_metrics * 0.10,
        "receives": receives * 0.40e-6,
        "sweep": sweep_gigabyte_seconds * 0.0000133334 + days * 24 * 0.20e-6,
        "metric": 0.30,
        "state table": stored_gigabytes * (0.25 + 0.20),
    }


def test_documented_idle_cost_is_that_of_the_template(resources: dict[str, Any]) -> None:
    cost = idle_cost(resources, numbers=100)
    shown = {row[0]: row[1:] for row in table("Cost of the provider")}

    def row(prefix: str) -> list[str]:
        [found] = [columns for name, columns in shown.items() if name.startswith(prefix)]
        return found

    assert row("alarms") == [f"{round(cost['alarms'] / 0.10)} alarm metrics at $0.10", f"${cost['alarms']:.2f}"]
    assert row("receives")[1] == f"${cost['receives']:.2f}"
    assert cost["sweep"] < float(row("sweep")[1].lstrip("$"))
    assert row("metric `SweepAge`")[1] == f"${cost['metric']:.2f}"
    assert cost["state table"] < 0.01
    assert row("total, with 100 numbers")[1] == f"${sum(cost.values()):.2f}"
    [readme] = re.findall(r"\[about \$(\d+) a month\]", (ROOT / "README.md").read_text())
    assert readme == f"{sum(cost.values()):.0f}"


def test_every_alarm_notifies_topic_and_ignores_missing_data(resources: dict[str, Any]) -> None:
    for alarm in alarms(resources).values():
        notify = ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]
        assert alarm["AlarmActions"] == {"Fn::If": notify}
        # The sweep reports its age every hour.
        always_reported = alarm.get("MetricName") == "SweepAge"
        assert alarm["TreatMissingData"] == ("breaching" if always_reported else "notBreaching")
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
        assert alarm.get("MetricName") != "Errors", "the provider raises an error to be retried"


def test_waiting_raises_no_alarm(resources: dict[str, Any]) -> None:
    """A message is old because its request waits, and visible until a free invocation takes it."""
    queue = str({"Fn::GetAtt": ["RequestQueue", "QueueName"]})
    assert not [name for name, alarm in alarms(resources).items() if queue in str(alarm.get("Dimensions"))]
    (metrics,) = [alarm["Metrics"] for alarm in alarms(resources).values() if "Metrics" in alarm]
    (result,) = [metric for metric in metrics if metric.get("ReturnData", True)]
    inputs = {metric["Id"]: metric["MetricStat"]["Metric"]["MetricName"] for metric in metrics if metric is not result}
    assert inputs == {
        "due": "ApproximateNumberOfMessagesVisible",
        "invocations": "Invocations",
        "errors": "Errors",
    }
    assert set(re.findall(r"[a-z]+", result["Expression"])) == set(inputs)


def test_lost_and_undeliverable_requests_raise_alarms(resources: dict[str, Any]) -> None:
    found = [
        (alarm["MetricName"], str(alarm["Dimensions"][0]["Value"]))
        for alarm in alarms(resources).values()
        if alarm.get("Namespace", "").startswith("AWS/")
    ]
    assert sorted(found) == [
        ("ApproximateNumberOfMessagesVisible", str({"Fn::GetAtt": ["DeadLetterQueue", "QueueName"]})),
        ("AsyncEventsDropped", str({"Ref": "ProviderFunction"})),
        ("AsyncEventsDropped", str({"Ref": "SweepFunction"})),
        ("DestinationDeliveryFailures", str({"Ref": "ProviderFunction"})),
    ]


def test_every_skipped_check_has_a_reason(resources: dict[str, Any]) -> None:
    skips = [
        (name, skip["id"], skip["comment"])
        for name, resource in resources.items()
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]
    assert skips
    for name, check, comment in skips:
        assert re.fullmatch(r"(?s)CKV2?_[A-Z]+_\d+: [A-Z].{40,}\.", f"{check}: {comment}"), name
    assert len({skip[:2] for skip in skips}) == len(skips)


def test_readme_lists_every_parameter(template: dict[str, Any]) -> None:
    assert sorted(names(table("Install it on AWS", ROOT / "README.md"))) == sorted(template["Parameters"])


def test_application_repository_files_exist(template: dict[str, Any]) -> None:
    application = template["Metadata"]["AWS::ServerlessRepo::Application"]
    assert all((ROOT / application[url]).is_file() for url in ("LicenseUrl", "ReadmeUrl"))
