"""How the demo tells that something did not hold, and what it does then."""

import io
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from local.demo import __main__ as program
from local.demo.display import Display
from local.demo.expectations import expect
from local.demo.story import BUYING, Step, Story


class Stub(Story):
    """A story whose AWS has been called as it is told."""

    called: Counter[str]

    def calls(self) -> Counter[str]:
        return self.called

    def log(self, lines: int) -> str:
        return f"the last {lines} lines"


def told(step: Step, tmp_path: Path, called: Counter[str] | None = None) -> tuple[bool, str]:
    screen = io.StringIO()
    display = Display(1, Console(file=screen, width=100))
    story = Stub(tmp_path, display.rows_of)
    story.called = called or Counter()
    held = program.carry_out(step, story, display)
    display.summary()
    return held, screen.getvalue()


def falls_short(_: Story) -> str:
    expect("status", "CREATE_COMPLETE", "ROLLBACK_COMPLETE")
    return "CREATE_COMPLETE"


def test_what_was_expected_and_what_came_and_the_log_are_shown(tmp_path: Path) -> None:
    held, screen = told(Step("Deploy", "CREATE_COMPLETE", falls_short), tmp_path)
    assert not held
    assert "Expected:\nstatus: CREATE_COMPLETE\nCame:\nstatus: ROLLBACK_COMPLETE\n" in screen
    assert "the last 12 lines" in screen
    assert "[1/1] Deploy: did not hold" in screen


def test_the_output_of_a_command_that_failed_is_shown(tmp_path: Path) -> None:
    def run(_: Story) -> str:
        raise subprocess.CalledProcessError(1, ["sam", "build"], "no [such] layer")

    held, screen = told(Step("Build", "built", run), tmp_path)
    assert not held
    assert "Expected:\nbuilt\n" in screen
    assert "no [such] layer" in screen


@pytest.mark.parametrize("operation", BUYING.values())
def test_a_purchase_that_nobody_declared_is_noticed_after_any_step(tmp_path: Path, operation: str) -> None:
    step = Step("Look", "nothing bought", lambda _: "nothing bought")
    assert told(step, tmp_path)[0]
    held, screen = told(step, tmp_path, Counter({operation: 1}))
    assert not held
    assert f"Came:\npurchases: {{'{operation}': 1}}" in screen


def test_a_step_that_did_not_hold_is_the_last_and_everything_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[str] = []

    def start(story: Story) -> str:
        story.running.callback(ended.append, "AWS")
        return "started"

    monkeypatch.setattr(Story, "check_purchases", lambda _: None)
    steps = [Step("Start", "started", start), Step("Deploy", "CREATE_COMPLETE", falls_short)]
    monkeypatch.setattr(program, "STEPS", [*steps, Step("Never", "", lambda _: pytest.fail("went on"))])
    (tmp_path / "demo-report.json").write_text("of an earlier run")
    assert program.run(tmp_path, keep=True) == 1
    assert ended == ["AWS"]
    assert list(tmp_path.iterdir()) == []
    assert "ROLLBACK_COMPLETE" in capsys.readouterr().out
