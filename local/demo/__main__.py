"""`python -m local.demo [--keep | --down]`: the exit code is 0 only if every step passed.

--keep leaves the demo running with the example stacks deployed; --down stops such a demo.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from local.aws import REGION, ROOT, LocalAws, StartError, processes, stop
from local.demo import background
from local.demo.display import Display
from local.demo.expectations import StepFailed
from local.demo.steps import CENTER, STEPS, TEAR_DOWN, Demo, Step
from local.demo.templates import EXAMPLES

_LOG_LINES = 12
_TERMINATION = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str] | None = None) -> int:
    """Run, keep or stop a demo."""
    parser = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--keep", action="store_true", help="leave the demo running; do not delete the stacks")
    mode.add_argument("--down", action="store_true", help="stop a demo that is still running")
    parser.add_argument("--into", type=Path, default=ROOT / "build", help="directory for the build and the report")
    parsed = parser.parse_args(arguments)
    into: Path = parsed.into.resolve()
    into.mkdir(parents=True, exist_ok=True)
    previous = background.read(into)
    if previous and not parsed.down and processes(previous[1]):
        print("A demo is already running. Run `make demo-down` to stop it.", file=sys.stderr)
        return 2
    if previous:
        stop(*previous)
        background.forget(into)
    if parsed.down:
        print("The demo is stopped." if previous else "No demo is running.")
        return 0
    for number in _TERMINATION[1:]:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _exit)
    try:
        return run(into, keep=parsed.keep)
    except KeyboardInterrupt:
        print("Interrupted. The demo is stopped.", file=sys.stderr)
        return 128 + signal.SIGINT


def run(into: Path, *, keep: bool) -> int:
    """Run the steps. Stops everything at the end, unless all steps passed and the demo is to be kept."""
    report = into / "demo-report.json"
    report.unlink(missing_ok=True)
    steps = STEPS if keep else [*STEPS, TEAR_DOWN]
    display = Display(len(steps))
    demo = Demo(into, display.table)
    try:
        passed = all(run_step(step, demo, display) for step in steps)
        display.summary()
        if passed:
            report.write_text(json.dumps(demo.report(), indent=2) + "\n")
        if passed and keep:
            _print_instructions(demo, display)
            demo.resources.pop_all()
    finally:
        with _ignore_termination():
            demo.resources.close()
    return 0 if passed else 1


def run_step(step: Step, demo: Demo, display: Display) -> bool:
    """Run a step. If it fails, show the expected and the actual result and the provider's log."""
    expected = step.expected
    with display.progress(step.title, step.expected) as row:
        try:
            row.actual = step.run(demo)
            demo.check_purchases()
            row.passed = True
        except StepFailed as failure:
            expected, row.actual = failure.expected, failure.actual
        except subprocess.CalledProcessError as failure:
            row.actual = f"{failure}\n{failure.output}"
        except (StartError, ClientError, BotoCoreError, OSError) as error:
            row.actual = f"{type(error).__name__}: {error}"
    if not row.passed:
        display.lines("Expected:", expected)
        display.lines("Actual:", row.actual)
        display.lines("Last log lines of the provider:", demo.log(_LOG_LINES) or "none")
    return row.passed


def _bootstrap_cdk(aws: LocalAws) -> None:
    """Create what the AWS CDK needs to deploy a stack; `cdk bootstrap` also needs services that are not local."""
    account = aws.client("sts").get_caller_identity()["Account"]
    aws.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String")
    aws.client("s3").create_bucket(Bucket=f"cdk-hnb659fds-assets-{account}-{REGION}")


def _print_instructions(demo: Demo, display: Display) -> None:
    _bootstrap_cdk(demo.aws)
    exports = background.exports(demo.aws)
    environment = demo.into / background.ENVIRONMENT
    environment.write_text(exports)
    deploy = [
        *("sam", "deploy", "--template-file", str(EXAMPLES / f"{CENTER}.yaml")),
        *("--config-file", str(ROOT / "samconfig.toml"), "--stack-name", CENTER, "--parameter-overrides"),
        *(f"{name}={value}" for name, value in demo.parameters[CENTER].items()),
    ]
    display.lines(f"The demo runs until `make demo-down`. To use it in a shell, run `. {environment}`:", exports)
    display.lines("To change an example, edit it and deploy it:", shlex.join(deploy))
    built = demo.into / "own"
    own = [
        ("sam", "build", "--template-file", str(ROOT / "template.yaml"), "--build-dir", str(built)),
        (
            *("sam", "deploy", "--template-file", str(built / "template.yaml")),
            *("--config-file", str(ROOT / "samconfig.toml"), "--config-env", "dev", "--parameter-overrides"),
            # These replace all overrides in samconfig.toml.
            *("FunctionName=cfn-telephony-dev-provider", f"AllowedResponseHosts={demo.aws.response_host}"),
        ),
    ]
    display.lines(
        "To build and deploy a provider of your own (AllowedResponseHosts allows it to respond):",
        " && ".join(map(shlex.join, own)),
    )
    display.lines("To show the resources and the API calls:", f'curl --cacert "$AWS_CA_BUNDLE" {demo.aws.status_url}')


@contextlib.contextmanager
def _ignore_termination() -> Iterator[None]:
    """Ignore a second Ctrl-C, so that it does not interrupt the cleanup."""
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in _TERMINATION}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _exit(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
