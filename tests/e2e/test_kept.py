"""A demo that is kept running and used with the commands that it prints."""

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.aws import ROOT, LocalAws
from local.demo import background
from tests.e2e.conftest import NOTHING, Demo

OPERATIONS = (ROOT / "docs/operations.md").read_text()

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # the first test runs the complete demo


class Shell:
    """A shell with the environment of demo.env, and the output of the demo."""

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
    assert (down.returncode, down.stdout) == (0, "The demo is stopped.\n")
    assert demo.remains() == NOTHING
    assert not list(demo.into.glob("demo.*"))


def edited(directory: Path, example: str, old: str, new: str) -> Path:
    """Return an example in which `old` is replaced by `new`."""
    text = (ROOT / f"examples/{example}.yaml").read_text()
    assert text.count(old) == 1
    path = directory / f"{example}.yaml"
    path.write_text(text.replace(old, new))
    return path


def test_examples_stay_deployed_and_environment_is_printed(shell: Shell) -> None:
    assert (shell.demo.into / "demo.env").read_text() in shell.printed
    report = json.loads((shell.demo.into / "demo-report.json").read_text())
    remaining = {stack["name"] for stack in report["stacks"] if stack["statuses"][-1] != "DELETE_COMPLETE"}
    assert remaining == {"cfn-telephony", *(path.stem for path in (ROOT / "examples").glob("*.yaml"))}
    assert report["held"] == {"phone_numbers": 3, "sender_ids": 2, "connect_numbers": 3}
    assert {name: len(shell.page()["held"][name]) for name in report["held"]} == report["held"]


def test_changed_example_can_be_deployed(shell: Shell, tmp_path: Path) -> None:
    changed = edited(tmp_path, "contact-center", "HELP: {Message: Call us for help.}", "HELP: {Message: Ask us.}")
    [command] = re.findall(r"^sam deploy .*$", shell.printed, re.MULTILINE)
    before = shell.page()["held"]["phone_numbers"]
    ran = shell.run(command.replace(str(ROOT / "examples/contact-center.yaml"), str(changed)))
    assert ran.returncode == 0, ran.stdout
    assert "Successfully created/updated stack - contact-center" in ran.stdout
    assert "UPDATE_COMPLETE" in ran.stdout
    assert shell.page()["held"]["phone_numbers"] == before
    # The AWS CLI uses the same variables as this client.
    program = (
        "import boto3; sms = boto3.client('pinpoint-sms-voice-v2'); "
        "print(*(keyword['KeywordMessage'] for number in sms.describe_phone_numbers()['PhoneNumbers'] "
        "for keyword in sms.describe_keywords(OriginationIdentity=number['PhoneNumberId'])['Keywords']), sep='\\n')"
    )
    assert "Ask us." in shell.run(f"python -c {shlex.quote(program)}").stdout.splitlines()


def test_provider_of_ones_own_can_be_built_and_deployed(shell: Shell, tmp_path: Path) -> None:
    (command,) = re.findall(r"^sam build .*$", shell.printed, re.MULTILINE)
    # `sam build` does not delete its temporary directories.
    ran = shell.run(f"export TMPDIR={shlex.quote(str(tmp_path))}; {command}")
    assert ran.returncode == 0, ran.stdout
    assert "Successfully created/updated stack - cfn-telephony-dev" in ran.stdout
    declared = f"--config-file {shlex.quote(str(ROOT / 'samconfig.toml'))} --stack-name own"
    parameters = "--parameter-overrides ProviderStackName=cfn-telephony-dev"
    ran = shell.run(f"sam deploy --template-file examples/sms-phone-number.yaml {declared} {parameters}")
    assert ran.returncode == 0, ran.stdout
    program = "import boto3; print(boto3.client('cloudformation').delete_stack(StackName='own'))"
    assert shell.run(f"python -c {shlex.quote(program)}").returncode == 0


def test_environment_is_sufficient_for_other_sdks(shell: Shell) -> None:
    printed = shell.run('echo "$AWS_REGION $AWS_DEFAULT_REGION"; cat "$NODE_EXTRA_CA_CERTS"').stdout
    assert printed.startswith("us-east-1 us-east-1\n-----BEGIN CERTIFICATE-----")


def test_environment_keeps_local_calls_from_a_proxy(shell: Shell) -> None:
    proxy = "export https_proxy=http://192.0.2.1:9 no_proxy=example.com"
    program = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    environment = shlex.quote(str(shell.demo.into / "demo.env"))
    assert shell.run(f"{proxy}; . {environment}; python -c {shlex.quote(program)}").returncode == 0


def test_cdk_finds_its_bootstrap_version_and_asset_bucket(shell: Shell) -> None:
    """The parameter and the bucket have the names that the CDK's DefaultStackSynthesizer uses."""
    program = (
        "import boto3; account = boto3.client('sts').get_caller_identity()['Account']; "
        "print(boto3.client('ssm').get_parameter(Name='/cdk-bootstrap/hnb659fds/version')['Parameter']['Value']); "
        "boto3.client('s3').put_object(Bucket=f'cdk-hnb659fds-assets-{account}-us-east-1', Key='template.json')"
    )
    ran = shell.run(f"python -c {shlex.quote(program)}")
    assert ran.returncode == 0, ran.stdout
    assert int(ran.stdout) >= 6  # what aws-cdk-lib requires


def test_many_numbers_can_be_claimed(shell: Shell) -> None:
    [command] = re.findall(r"^curl .*$", shell.printed, re.MULTILINE)
    options = json.loads(shell.run(f"{command}/options --silent --show-error").stdout)
    assert options["connect_numbers"] * options["claim_release_limit"] >= 100


Telephony = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def telephony(shell: Shell, tmp_path_factory: pytest.TempPathFactory) -> Telephony:
    """The command, installed as the README describes it."""
    directory = tmp_path_factory.mktemp("tools")
    directories = {"UV_TOOL_DIR": str(directory), "UV_TOOL_BIN_DIR": str(directory / "bin")}
    installed = subprocess.run(  # noqa: S603
        [ROOT / ".uv/bin/uv", "tool", "install", "--quiet", "."],
        cwd=ROOT,
        env=os.environ | directories,
        capture_output=True,
        text=True,
        check=False,
    )
    assert installed.returncode == 0, installed.stderr
    return lambda arguments: shell.run(f"{directory}/bin/telephony {arguments}")


def change_set(shell: Shell, changed: Path) -> subprocess.CompletedProcess[str]:
    """Make a change set of a changed example."""
    configuration = f"--config-file {shlex.quote(str(ROOT / 'samconfig.toml'))} --stack-name sms-phone-number"
    return shell.run(f"sam deploy --no-execute-changeset --template-file {changed} {configuration}")


def plan(shell: Shell, telephony: Telephony, changed: Path) -> subprocess.CompletedProcess[str]:
    """Make a change set of a changed example, and plan it."""
    [name] = re.findall(r"arn:\S+:changeSet/\S+", change_set(shell, changed).stdout)
    options = f"--stack-name sms-phone-number --change-set-name {name}"
    return telephony(f"plan {options} --fail-on release,replace")


def test_plan_stops_a_replacement_and_passes_a_change_of_tags(
    shell: Shell, telephony: Telephony, tmp_path: Path
) -> None:
    voice = "NumberCapabilities: [VOICE]\n      AllowReplacement: true"
    replaced = plan(shell, telephony, edited(tmp_path, "sms-phone-number", "NumberCapabilities: [SMS]", voice))
    tagged = plan(shell, telephony, edited(tmp_path, "sms-phone-number", "Value: trying it out", "Value: support"))

    assert (replaced.returncode, "REPLACED (RELEASED, PURCHASED)" in replaced.stdout) == (3, True), replaced.stdout
    assert replaced.stdout.splitlines()[-1].startswith("telephony: Stopped by --fail-on release,replace: ")
    assert (tagged.returncode, "CHANGED" in tagged.stdout) == (0, True), tagged.stdout


def test_release_guard_refuses_what_the_plan_stops(shell: Shell, telephony: Telephony, tmp_path: Path) -> None:
    [command] = re.findall(r"^sam deploy --template-file build/.*ReleaseGuard=FAIL$", OPERATIONS, re.MULTILINE)
    build = str(shell.demo.into / "sam/build/template.yaml")
    # `sam deploy` does not delete its temporary directories.
    command = f"export TMPDIR={shlex.quote(str(tmp_path))}; {command.replace('build/sam/build/template.yaml', build)}"
    enabled = shell.run(command)
    assert enabled.returncode == 0, enabled.stdout
    voice = "NumberCapabilities: [VOICE]\n      AllowReplacement: true"
    replaced = change_set(shell, edited(tmp_path, "sms-phone-number", "NumberCapabilities: [SMS]", voice))
    tagged = plan(shell, telephony, edited(tmp_path, "sms-phone-number", "Value: trying it out", "Value: support"))
    disabled = shell.run(command.replace("=FAIL", "=OFF"))

    assert disabled.returncode == 0, disabled.stdout
    assert replaced.returncode == 1, replaced.stdout
    assert "hook(s) failed: [CfnTelephony::Release::Guard]" in replaced.stdout
    assert "REPLACED. NumberCapabilities can't be changed in place." in replaced.stdout
    assert (tagged.returncode, "CHANGED" in tagged.stdout) == (0, True), tagged.stdout


def test_numbers_and_drift_are_shown(telephony: Telephony) -> None:
    listed, drift = telephony("list"), telephony("drift --stack-name contact-center")

    assert (listed.returncode, drift.returncode) == (0, 0), listed.stdout + drift.stdout
    assert "contact-center/SmsNumber" in listed.stdout
    assert drift.stdout.endswith(" of 3.\n")


def test_number_of_a_deleted_stack_is_restored_and_adopted(shell: Shell, telephony: Telephony, tmp_path: Path) -> None:
    [number] = re.findall(r"(\+\d+) +preview-stack/Number", telephony("list").stdout)
    program = (
        "import boto3; cloudformation = boto3.client('cloudformation'); "
        "cloudformation.delete_stack(StackName='preview-stack'); "
        "cloudformation.get_waiter('stack_delete_complete').wait(StackName='preview-stack', WaiterConfig={'Delay': 1})"
    )
    assert shell.run(f"python -c {shlex.quote(program)}").returncode == 0
    [due] = re.findall(rf"\{number} .* (\d{{4}}-\d\d-\d\d)$", telephony("list").stdout, re.MULTILINE)
    assert due

    assert telephony(f"restore {number}").returncode == 0
    assert telephony(f"restore {number}").returncode == 0, "it can be repeated"
    adopted = telephony(f"adopt {number} --generate-template {tmp_path}/adopt.yaml")
    assert (adopted.returncode, "preview-stack/Number" in adopted.stdout) == (0, True), adopted.stdout
    configuration = f"--config-file {shlex.quote(str(ROOT / 'samconfig.toml'))} --stack-name restored"
    deployed = shell.run(f"sam deploy --template-file {tmp_path}/adopt.yaml {configuration}")
    assert deployed.returncode == 0, deployed.stdout
    assert re.search(rf"\{number} +restored/ConnectPhoneNumber .* yes +-$", telephony("list").stdout, re.MULTILINE)
    assert "IN_SYNC" in telephony("drift --stack-name restored").stdout


def test_invalid_example_fails_with_reason(shell: Shell, tmp_path: Path) -> None:
    invalid = edited(tmp_path, "sms-phone-number", "NumberType: SIMULATOR", "NumberType: SIMULATR")
    configuration = shlex.quote(str(ROOT / "samconfig.toml"))
    ran = shell.run(f"sam deploy --template-file {invalid} --config-file {configuration} --stack-name by-hand")
    assert ran.returncode == 1
    # The SAM CLI prints the Reason in the last column of its table.
    rows = ran.stdout[ran.stdout.index("CREATE_FAILED") : ran.stdout.index("ROLLBACK_IN_PROGRESS")].splitlines()
    reason = " ".join(row[75:].strip() for row in rows)
    assert all(fact in reason for fact in ("NumberType", '"SIMULATR"', "TOLL_FREE", "SIMULATOR"))
    second = shell.run(
        f"sam deploy --template-file examples/sms-phone-number.yaml --config-file {configuration} --stack-name by-hand"
    )
    assert second.returncode == 1
    assert "is in ROLLBACK_COMPLETE state and can not be updated" in second.stdout, (
        "CloudFormation requires its deletion first"
    )


def test_second_demo_does_not_replace_running_demo(shell: Shell) -> None:
    second = shell.demo.run()
    assert second.returncode == 2
    assert "make demo-down" in second.stderr
    assert shell.page()["held"]["phone_numbers"]


def test_demo_down_stops_partially_running_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Demo(tmp_path, tmp_path / "tmp")
    own.temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(own.temporary))
    aws = LocalAws()
    try:
        background.record(aws, own.into)
        os.kill(aws.process_group, signal.SIGKILL)  # the group leader: the telecom services
        aws._processes[0].wait()
        down = own.run("--down")
        assert (down.returncode, down.stdout) == (0, "The demo is stopped.\n")
        assert own.remains() == NOTHING
    finally:
        aws.close()
    assert own.run("--down").stdout == "No demo is running.\n"


def test_demo_down_does_not_kill_reused_process_group(tmp_path: Path) -> None:
    own = Demo(tmp_path, tmp_path / "tmp")
    with subprocess.Popen(["sleep", "60"], process_group=0) as other:  # noqa: S607
        recorded = {"process_group": other.pid, "directory": str(tmp_path / "gone")}
        (own.into / "demo.json").write_text(json.dumps(recorded))
        assert own.run("--down").returncode == 0
        assert other.poll() is None
        other.kill()
