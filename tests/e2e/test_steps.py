"""Failed steps of the demo."""

import io
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from local.demo import __main__ as program
from local.demo.display import Display
from local.demo.expectations import expect
from local.demo.steps import PURCHASES, Demo, Step


class StubDemo(Demo):
    """A demo with the given number of calls."""

    counts: Counter[str]

    def calls(self) -> Counter[str]:
        return self.counts


def run(step: Step, tmp_path: Path, calls: Counter[str] | None = None) -> tuple[bool, str]:
    output = io.StringIO()
    display = Display(1, Console(file=output, width=100))
    demo = StubDemo(tmp_path, display.table)
    demo.counts = calls or Counter()
    passed = program.run_step(step, demo, display)
    display.summary()
    return passed, output.getvalue()


def test_output_of_failed_command_is_shown(tmp_path: Path) -> None:
    def build(_: Demo) -> str:
        raise subprocess.CalledProcessError(1, ["sam", "build"], "no [such] layer")

    passed, output = run(Step("Build", "built", build), tmp_path)
    assert not passed
    assert "Expected:\nbuilt\n" in output
    assert "no [such] layer" in output


@pytest.mark.parametrize("operation", PURCHASES.values())
def test_unexpected_purchase_fails_any_step(tmp_path: Path, operation: str) -> None:
    step = Step("Wait", "no purchase", lambda _: "no purchase")
    assert run(step, tmp_path)[0]
    passed, output = run(step, tmp_path, Counter({operation: 1}))
    assert not passed
    assert f"Actual:\npurchases: {{'{operation}': 1}}" in output


def test_failed_step_is_shown_with_log_and_stops_local_aws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped: list[str] = []

    def start(demo: Demo) -> str:
        demo.resources.callback(stopped.append, "AWS")
        return "started"

    def deploy(_: Demo) -> str:
        expect("status", "CREATE_COMPLETE", "ROLLBACK_COMPLETE")
        return "CREATE_COMPLETE"

    monkeypatch.setattr(Demo, "check_purchases", lambda _: None)
    monkeypatch.setattr(Demo, "log", lambda _, lines: f"the last {lines} lines")
    steps = [Step("Start", "started", start), Step("Deploy", "CREATE_COMPLETE", deploy)]
    monkeypatch.setattr(program, "STEPS", [*steps, Step("Never", "", lambda _: pytest.fail("must not run"))])
    (tmp_path / "demo-report.json").write_text("of a previous run")
    assert program.run(tmp_path, keep=True) == 1
    assert stopped == ["AWS"]
    assert list(tmp_path.iterdir()) == []
    output = capsys.readouterr().out
    assert "Expected:\nstatus: CREATE_COMPLETE\nActual:\nstatus: ROLLBACK_COMPLETE\n" in output
    assert "the last 12 lines" in output
    assert "[2/3] Deploy: failed" in output
