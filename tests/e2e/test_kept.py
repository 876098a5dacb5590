"""A demo that was kept, by hand: what a newcomer does with it, command by command."""

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.aws import ROOT, LocalAws
from local.demo.kept import Kept
from tests.e2e.conftest import NOTHING, Demo

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # the first of them runs a whole demo


class Shell:
    """A shell that has read demo.env, and what the demo printed."""

    def __init__(self, demo: Demo, printed: str) -> None:
        self.demo = demo
        self.printed = printed

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        program = f". {shlex.quote(str(self.demo.into / 'demo.env'))}\n{command}"
        return subprocess.run(  # noqa: S603
            ["bash", "-c", program],  # noqa: S607
            cwd=ROOT,
            env=self.demo.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def page(self) -> dict[str, dict[str, list[dict[str, str]]]]:
        (command,) = re.findall(r"^curl .*$", self.printed, re.MULTILINE)
        ran = self.run(command.replace("curl", "curl --silent --show-error"))
        assert ran.returncode == 0, ran.stdout
        page: dict[str, dict[str, list[dict[str, str]]]] = json.loads(ran.stdout)
        return page


@pytest.fixture(scope="module")
def shell(demo: Demo) -> Iterator[Shell]:
    ran = demo.run("--keep")
    try:
        assert ran.returncode == 0, ran.stdout + ran.stderr
        yield Shell(demo, ran.stdout)
    finally:
        down = demo.run("--down")
    assert (down.returncode, down.stdout) == (0, "The demo has ended.\n")
    assert demo.left_over() == NOTHING
    assert not list(demo.into.glob("demo.*"))


def edited(directory: Path, example: str, old: str, new: str) -> Path:
    """An example with a change that somebody made by hand."""
    text = (ROOT / f"examples/{example}.yaml").read_text()
    assert text.count(old) == 1
    path = directory / f"{example}.yaml"
    path.write_text(text.replace(old, new))
    return path


def test_the_examples_stay_deployed_and_the_environment_is_printed(shell: Shell) -> None:
    assert (shell.demo.into / "demo.env").read_text() in shell.printed
    report = json.loads((shell.demo.into / "demo-report.json").read_text())
    standing = {stack["name"] for stack in report["stacks"] if stack["statuses"][-1] != "DELETE_COMPLETE"}
    assert standing == {"cfn-telephony", *(path.stem for path in (ROOT / "examples").glob("*.yaml"))}
    assert report["held"] == {"phone_numbers": 2, "sender_ids": 2, "connect_numbers": 2}
    assert {name: len(shell.page()["held"][name]) for name in report["held"]} == report["held"]


def test_an_example_changed_by_hand_is_deployed(shell: Shell, tmp_path: Path) -> None:
    changed = edited(tmp_path, "contact-center", "HELP: {Message: Call us for help.}", "HELP: {Message: Ask us.}")
    (command,) = re.findall(r"^sam deploy .*$", shell.printed, re.MULTILINE)
    before = shell.page()["held"]["phone_numbers"]
    ran = shell.run(command.replace(str(ROOT / "examples/contact-center.yaml"), str(changed)))
    assert ran.returncode == 0, ran.stdout
    assert "Successfully created/updated stack - contact-center" in ran.stdout
    assert "UPDATE_COMPLETE" in ran.stdout
    assert shell.page()["held"]["phone_numbers"] == before
    # `aws` takes the same variables as this client does.
    program = (
        "import boto3; sms = boto3.client('pinpoint-sms-voice-v2'); "
        "print(*(keyword['KeywordMessage'] for number in sms.describe_phone_numbers()['PhoneNumbers'] "
        "for keyword in sms.describe_keywords(OriginationIdentity=number['PhoneNumberId'])['Keywords']), sep='\\n')"
    )
    assert "Ask us." in shell.run(f"python -c {shlex.quote(program)}").stdout.splitlines()


def test_a_broken_example_is_refused_with_a_reason_that_says_what_to_mend(shell: Shell, tmp_path: Path) -> None:
    broken = edited(tmp_path, "sms-phone-number", "NumberType: SIMULATOR", "NumberType: SIMULATR")
    configuration = shlex.quote(str(ROOT / "samconfig.toml"))
    ran = shell.run(f"sam deploy --template-file {broken} --config-file {configuration} --stack-name by-hand")
    assert ran.returncode == 1
    # The SAM CLI prints it in a column of its table, which is last in its row.
    rows = ran.stdout[ran.stdout.index("CREATE_FAILED") : ran.stdout.index("ROLLBACK_IN_PROGRESS")].splitlines()
    reason = " ".join(row[75:].strip() for row in rows)
    assert 'NumberType: "SIMULATR" must be one of LONG_CODE | TOLL_FREE | TEN_DLC | SIMULATOR.' in reason
    mended = shell.run(
        f"sam deploy --template-file examples/sms-phone-number.yaml --config-file {configuration} --stack-name by-hand"
    )
    assert mended.returncode == 1
    assert "is in ROLLBACK_COMPLETE state and can not be updated" in mended.stdout, "as on AWS: delete it first"


def test_a_second_demo_does_not_take_the_place_of_one_that_is_kept(shell: Shell) -> None:
    refused = shell.demo.run()
    assert refused.returncode == 2
    assert "make demo-down" in refused.stderr
    assert shell.page()["held"]["phone_numbers"]


def test_demo_down_ends_one_of_which_only_a_part_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Demo(tmp_path, tmp_path / "tmp")
    own.temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(own.temporary))
    aws = LocalAws()
    try:
        Kept.record(aws, own.into)
        os.kill(aws.process_group, signal.SIGKILL)  # the telecom services lead the group
        aws._processes[0].wait()
        down = own.run("--down")
        assert (down.returncode, down.stdout) == (0, "The demo has ended.\n")
        assert own.left_over() == NOTHING
    finally:
        aws.close()
    assert own.run("--down").stdout == "No demo is kept.\n"


def test_demo_down_leaves_strangers_alone(tmp_path: Path) -> None:
    own = Demo(tmp_path, tmp_path / "tmp")
    with subprocess.Popen(["sleep", "60"], process_group=0) as stranger:  # noqa: S607
        recorded = {"process_group": stranger.pid, "directory": str(tmp_path / "gone")}
        (own.into / "demo.json").write_text(json.dumps(recorded))
        assert own.run("--down").returncode == 0
        assert stranger.poll() is None
        stranger.kill()
