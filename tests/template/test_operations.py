"""What the template raises, skips and asks for is what the documentation tells."""

import json
import re
from typing import Any

import pytest

from telephony import resources as types
from telephony.handlers.sweep import Finding
from telephony.observability import count
from tests.template.conftest import ROOT

OPERATIONS = ROOT / "docs/operations.md"
NAMESPACE = "cfn-telephony"


def alarms(resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def metric(alarm: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Namespace, name and dimensions of what the alarm looks at."""
    return alarm["Namespace"], alarm["MetricName"], {one["Name"]: one["Value"] for one in alarm["Dimensions"]}


def own_metrics(resources: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = [metric(alarm) for alarm in alarms(resources).values()]
    return [(name, dimensions) for namespace, name, dimensions in found if namespace == NAMESPACE]


def table(heading: str, path: Any = OPERATIONS) -> list[list[str]]:
    """The rows of the first table below a heading."""
    section = path.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return rows[2:]


def test_every_alarm_is_documented_and_every_documented_alarm_is_there(resources: dict[str, Any]) -> None:
    documented = {name for row in table("Alarms") for name in re.findall(r"`(\w+Alarm)`", row[0])}
    assert documented == set(alarms(resources))


def test_every_metric_with_an_alarm_is_documented_with_its_dimensions(resources: dict[str, Any]) -> None:
    documented = {
        name: set(re.findall(r"\w+", row[1])) for row in table("Metrics") for name in re.findall(r"`(\w+)`", row[0])
    }
    for name, dimensions in own_metrics(resources):
        assert documented[name] == set(dimensions), name


def test_an_alarm_looks_at_what_the_functions_write(
    resources: dict[str, Any],
    template: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == NAMESPACE
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", NAMESPACE)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "the-function")
    for name, dimensions in own_metrics(resources):
        assert dimensions["service"] == variables["POWERTOOLS_SERVICE_NAME"]
        count(name, **{key: value for key, value in dimensions.items() if key != "service"})
        written = json.loads(capsys.readouterr().out)
        (directive,) = written["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == NAMESPACE
        assert [set(keys) for keys in directive["Dimensions"]] == [set(dimensions)]
        assert [one["Name"] for one in directive["Metrics"]] == [name]


def test_suspect_purchases_of_every_type_are_told(resources: dict[str, Any]) -> None:
    told = [dimensions["ResourceType"] for name, dimensions in own_metrics(resources) if name == "SuspectPurchases"]
    assert sorted(told) == sorted(types.type_names())


def test_every_finding_that_asks_for_somebody_is_told_and_every_finding_is_documented(
    resources: dict[str, Any],
) -> None:
    told = {dimensions["Finding"] for name, dimensions in own_metrics(resources) if name == "SweepFindings"}
    rows = {row[0].strip("`"): row[2] for row in table("What the sweep finds")}
    assert set(rows) == {finding.name for finding in Finding}
    assert told == {name for name, what_to_do in rows.items() if what_to_do != "nothing"}


def test_every_alarm_tells_the_topic_and_takes_silence_for_good(resources: dict[str, Any]) -> None:
    for alarm in alarms(resources).values():
        assert alarm["AlarmActions"] == {
            "Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]
        }
        assert alarm["TreatMissingData"] == "notBreaching"
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"


def test_no_alarm_takes_a_run_that_raises_for_a_fault(resources: dict[str, Any]) -> None:
    watched = {metric(alarm)[1] for alarm in alarms(resources).values()}
    assert "Errors" not in watched


def test_every_check_that_is_skipped_says_why(resources: dict[str, Any]) -> None:
    skips = [
        (name, skip)
        for name, resource in resources.items()
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]
    assert skips
    for name, skip in skips:
        assert set(skip) == {"id", "comment"}, name
        assert re.fullmatch(r"CKV2?_[A-Z]+_\d+", skip["id"]), name
        assert re.fullmatch(r"(?s)[A-Z].{40,}\.", skip["comment"]), f"{name}: {skip['id']}"
    assert len({(name, skip["id"]) for name, skip in skips}) == len(skips)


def test_the_table_of_parameters_is_the_templates(parameters: dict[str, Any]) -> None:
    rows = table("Install it on AWS", ROOT / "README.md")
    documented = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(documented) == sorted(parameters)


def test_the_application_repository_is_shown_files_that_exist(template: dict[str, Any]) -> None:
    shown = template["Metadata"]["AWS::ServerlessRepo::Application"]
    for url in ("LicenseUrl", "ReadmeUrl"):
        assert (ROOT / shown[url]).is_file()
