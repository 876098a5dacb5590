"""A complete demo, and an interrupted one."""

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.aws import ROOT
from tests.e2e.conftest import NOTHING, Demo

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # the first test runs the complete demo


@pytest.fixture(scope="module")
def finished(demo: Demo) -> subprocess.CompletedProcess[str]:
    ran = demo.run()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran


@pytest.fixture(scope="module")
def report(demo: Demo, finished: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert finished
    read: dict[str, Any] = json.loads((demo.into / "demo-report.json").read_text())
    return read


def test_output_is_plain_text_with_numbers_reasons_and_table(finished: subprocess.CompletedProcess[str]) -> None:
    assert finished.stderr == ""
    assert "\x1b" not in finished.stdout
    details = ("MonthlyPrice", "+1206", "GB|FRONTDESK", "AllowReplacement:", "TwoWay.ChannelRole")
    assert [text for text in details if text not in finished.stdout] == []
    assert re.search(r"^.*step .* expected .* actual .* seconds", finished.stdout, re.MULTILINE)
    assert finished.stdout.count(": passed (") == 17


def test_stacks_reach_the_expected_statuses(report: dict[str, Any]) -> None:
    statuses_of = {stack["name"]: stack["statuses"] for stack in report["stacks"]}
    assert set(statuses_of) >= {"cfn-telephony", *(path.stem for path in (ROOT / "examples").glob("*.yaml"))}
    assert {statuses[-1] for statuses in statuses_of.values()} == {"DELETE_COMPLETE"}
    final = [status for status in statuses_of["contact-center"] if not status.endswith("IN_PROGRESS")]
    assert final == [
        *("CREATE_COMPLETE", "UPDATE_COMPLETE"),
        *("UPDATE_ROLLBACK_COMPLETE", "UPDATE_COMPLETE"),
        "UPDATE_COMPLETE",  # the tags, beside a change set that the release guard has stopped
        "DELETE_COMPLETE",
    ]
    assert "DELETE_FAILED" in statuses_of["protected"]
    assert "ROLLBACK_COMPLETE" in statuses_of["invalid"]


def test_request_that_waits_is_continued_by_another_function(finished: subprocess.CompletedProcess[str]) -> None:
    log = finished.stdout.partition("Log of the request")[2].partition("Wait for an activation: passed")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in log.splitlines() if " s |" in line]
    seconds = {(function, message): float(at.removesuffix(" s")) for at, function, message, _ in rows}
    waited = seconds["continuation", "Request received"] - seconds["provider", "Request will be continued"]
    assert waited > 2
    assert seconds["provider", "Request will be continued"] < 12 < seconds["continuation", "Response delivered"]


def test_deleted_numbers_are_taken_back_and_passed_on(finished: subprocess.CompletedProcess[str]) -> None:
    taken_back = finished.stdout.partition("Taken back")[2].partition("Delete a stack and deploy it again: passed")[0]
    assert re.findall(r"SmsNumber +\| phone-\w+ +\| would be released after \d{4}-", taken_back)
    assert re.findall(r"CallNumber +\| arn:\S+:phone-number/\S+ +\| would be released after \d{4}-", taken_back)
    passed_on = finished.stdout.partition("Passed on")[2].partition("another preview stack: passed")[0]
    assert len(set(re.findall(r"\| (arn:\S+)", passed_on))) == 1
    assert re.findall(r"\| from (\S+)", passed_on) == ["preview-stack", "another-preview"]


def test_each_declared_resource_and_replacement_is_bought_once(report: dict[str, Any]) -> None:
    sms = {name: report["calls"][f"pinpoint-sms-voice-v2.{name}"] for name in ("RequestPhoneNumber", "RequestSenderId")}
    # Two examples, one replaced, one taken back, one activation, one event delivered twice, two protected, two adopted
    assert sms == {"RequestPhoneNumber": 2 + 1 + 1 + 1 + 1 + 2 + 2, "RequestSenderId": 2}
    # Three examples, one taken back. The second preview stack claims none.
    assert report["calls"]["connect.ClaimPhoneNumber"] == 3 + 1


def test_each_purchase_is_released_once(report: dict[str, Any]) -> None:
    # Deletion protection rejects one call in each of two Deletes.
    assert report["calls"]["pinpoint-sms-voice-v2.ReleasePhoneNumber"] == 10 + 2
    assert report["calls"]["pinpoint-sms-voice-v2.ReleaseSenderId"] == 2
    assert report["calls"]["connect.ReleasePhoneNumber"] == 4
    assert report["held"] == {"phone_numbers": 0, "sender_ids": 0, "connect_numbers": 0}


def test_demo_leaves_no_processes_or_files(demo: Demo, finished: subprocess.CompletedProcess[str]) -> None:
    assert finished
    assert demo.remains() == NOTHING
    assert sorted(path.name for path in demo.into.iterdir()) == ["demo-report.json", "sam"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_stops_all_processes(tmp_path: Path, number: signal.Signals) -> None:
    demo = Demo(tmp_path / "build", tmp_path / "tmp")
    demo.temporary.mkdir()
    with subprocess.Popen(  # noqa: S603
        demo.command(), cwd=ROOT, env=demo.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        assert running.stdout.readline().startswith("[1/17]")
        assert demo.remains() != NOTHING
        running.send_signal(number)
        running.communicate()
    assert running.returncode == 128 + number
    assert demo.remains() == NOTHING
    assert not (demo.into / "demo.json").exists()
