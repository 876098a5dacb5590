"""The demo from its first line to its last, and what is left when it is interrupted."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.aws import ROOT
from tests.e2e.conftest import NOTHING, Demo

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # the first of them runs a whole demo


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


def test_it_shows_numbers_reasons_and_a_table_in_plain_lines(finished: subprocess.CompletedProcess[str]) -> None:
    assert finished.stderr == ""
    assert "\x1b" not in finished.stdout
    shown = (
        "MonthlyPrice",
        "+1206",
        "GB|FRONTDESK",
        "AllowReplacement: phone-",
        "quote NO in YAML",
        "equal bytes twice",
    )
    assert [text for text in shown if text not in finished.stdout] == []
    table = finished.stdout[finished.stdout.index("what was done") :]
    assert all(column in table.splitlines()[0] for column in ("expected", "seen", "seconds"))
    assert finished.stdout.count(": held (") == 12


def test_each_stack_went_through_its_whole_life(report: dict[str, Any]) -> None:
    lives = {stack["name"]: stack["statuses"] for stack in report["stacks"]}
    assert set(lives) >= {"cfn-telephony", *(path.stem for path in (ROOT / "examples").glob("*.yaml"))}
    assert {statuses[-1] for statuses in lives.values()} == {"DELETE_COMPLETE"}
    ends = [status for status in lives["contact-center"] if not status.endswith("IN_PROGRESS")]
    assert ends == [
        *("CREATE_COMPLETE", "UPDATE_COMPLETE"),
        *("UPDATE_ROLLBACK_COMPLETE", "UPDATE_COMPLETE"),
        "DELETE_COMPLETE",
    ]
    assert "DELETE_FAILED" in lives["protected"]
    assert "ROLLBACK_COMPLETE" in lives["broken"]


def test_each_declared_number_and_each_allowed_replacement_was_bought_once(report: dict[str, Any]) -> None:
    sms = {name: report["calls"][f"pinpoint-sms-voice-v2.{name}"] for name in ("RequestPhoneNumber", "RequestSenderId")}
    # Two in the examples, one replacement, one delivered twice, two protected.
    assert sms == {"RequestPhoneNumber": 2 + 1 + 1 + 2, "RequestSenderId": 2}
    assert report["calls"]["connect.ClaimPhoneNumber"] == 2


def test_each_was_released_once_and_nothing_is_held(report: dict[str, Any]) -> None:
    # Deletion protection refused one Delete, and one was released after it had been lifted on the way.
    assert report["calls"]["pinpoint-sms-voice-v2.ReleasePhoneNumber"] == 6 + 2
    assert report["calls"]["pinpoint-sms-voice-v2.ReleaseSenderId"] == 2
    assert report["calls"]["connect.ReleasePhoneNumber"] == 2
    assert report["held"] == {"phone_numbers": 0, "sender_ids": 0, "connect_numbers": 0}


def test_it_leaves_neither_processes_nor_files(demo: Demo, finished: subprocess.CompletedProcess[str]) -> None:
    assert finished
    assert demo.left_over() == NOTHING
    assert sorted(path.name for path in demo.into.iterdir()) == ["demo-report.json", "sam"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_everything(tmp_path: Path, number: signal.Signals) -> None:
    demo = Demo(tmp_path / "build", tmp_path / "tmp")
    demo.temporary.mkdir()
    with subprocess.Popen(  # noqa: S603
        demo.command(), cwd=ROOT, env=demo.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout
        assert running.stdout.readline().startswith("[1/12]")
        assert demo.left_over() != NOTHING
        running.send_signal(number)
        running.communicate()
    assert running.returncode == 128 + number
    assert demo.left_over() == NOTHING
    assert not (demo.into / "demo.json").exists()
