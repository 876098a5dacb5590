"""`python -m local.demo [--keep | --down]`: exit code 0 only if all of it held.

--keep leaves it running, with the example stacks deployed; --down ends it, whatever is left of it.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from local.aws import ROOT, StartError
from local.demo import kept, report
from local.demo.display import Display
from local.demo.expectations import Unmet
from local.demo.story import CENTER, STEPS, TEAR_DOWN, Step, Story
from local.demo.templates import EXAMPLES

_LOG_LINES = 12
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str] | None = None) -> int:
    """Run, keep or end a demo."""
    parser = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--keep", action="store_true", help="leave it running after the last step but one")
    mode.add_argument("--down", action="store_true", help="end a demo that was kept")
    parser.add_argument("--into", type=Path, default=ROOT / "build", help="where build and report go (build)")
    chosen = parser.parse_args(arguments)
    into: Path = chosen.into.resolve()
    into.mkdir(parents=True, exist_ok=True)
    earlier = kept.Kept.read(into)
    if chosen.down:
        if earlier:
            earlier.end(into)
        print("The demo has ended." if earlier else "No demo is kept.")
        return 0
    if earlier and earlier.runs():
        print("A demo is running or kept already: `make demo-down` ends it.", file=sys.stderr)
        return 2
    if earlier:
        earlier.end(into)
    for number in _ENDING[1:]:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _leave)
    try:
        return run(into, keep=chosen.keep)
    except KeyboardInterrupt:
        print("Interrupted; all of it has ended.", file=sys.stderr)
        return 128 + signal.SIGINT


def run(into: Path, *, keep: bool) -> int:
    """Go through the steps; end everything afterwards, unless it all held and is to be kept."""
    (into / "demo-report.json").unlink(missing_ok=True)
    steps = STEPS if keep else [*STEPS, TEAR_DOWN]
    display = Display(len(steps))
    story = Story(into, display.rows_of)
    try:
        held = all(carry_out(step, story, display) for step in steps)
        display.summary()
        if held:
            report.write(story, into / "demo-report.json")
        if held and keep:
            _hand_over(story, display)
            story.running.pop_all()
    finally:
        with _undisturbed():
            story.running.close()
    return 0 if held else 1


def carry_out(step: Step, story: Story, display: Display) -> bool:
    """Run a step; say what was expected and what came if it did not hold."""
    expected = step.expected
    with display.working(step.title, step.expected) as row:
        try:
            row.seen = step.run(story)
            story.check_purchases()
            row.held = True
        except Unmet as unmet:
            expected, row.seen = unmet.expected, unmet.seen
        except subprocess.CalledProcessError as failed:
            row.seen = f"{failed}\n{failed.output}"
        except (StartError, ClientError, BotoCoreError, OSError) as error:
            row.seen = f"{type(error).__name__}: {error}"
    if not row.held:
        display.lines("Expected:", expected)
        display.lines("Came:", row.seen)
        display.lines("The provider's last log lines:", story.log(_LOG_LINES) or "none")
    return row.held


def _hand_over(story: Story, display: Display) -> None:
    exports = kept.exports(story.aws)
    environment = kept.environment_file(story.into)
    environment.write_text(exports)
    deploy = [
        *("sam", "deploy", "--template-file", str(EXAMPLES / f"{CENTER}.yaml")),
        *("--config-file", str(ROOT / "samconfig.toml"), "--stack-name", CENTER, "--parameter-overrides"),
        *(f"{name}={value}" for name, value in story.parameters[CENTER].items()),
    ]
    display.lines(f"It stays until `make demo-down`. A shell reaches it with `. {environment}`:", exports)
    display.lines("Change an example by hand, and deploy it:", shlex.join(deploy))
    display.lines("See what is held and what was called:", f'curl --cacert "$AWS_CA_BUNDLE" {story.aws.page}')


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let a second Ctrl-C not keep the first from ending everything."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
