"""The command line and the cfn-lint rules, built, installed and run as a user does it."""

import os
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from local.aws import ROOT
from telephony_lint import MINIMUM

pytestmark = pytest.mark.e2e
UV = ROOT / ".uv/bin/uv"
PYTHON = {"UV_PYTHON": str(ROOT / ".venv/bin/python")}


def run(*command: str | Path, cwd: str | Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    return subprocess.run(  # noqa: S603
        command, cwd=cwd, env=own | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    built = run(UV, "build", "--quiet", "--out-dir", directory)
    assert built.returncode == 0, built.stderr
    [found] = directory.glob("cfn_telephony-*.whl")
    return found


def test_wheel_contains_the_provider_without_its_handlers(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()

    assert {"telephony_cli/app.py", "telephony/lifecycle/effects.py", "telephony/resources/sms_sender_id.py"} <= {
        *names
    }
    assert not [name for name in names if "handlers" in name or name.startswith(("tests", "local", "tools", "lint"))]


def test_wheel_contains_the_lint_rules_and_all_schemas(wheel: Path) -> None:
    schemas = {path.name: path.read_bytes() for path in (ROOT / "schemas").iterdir()}
    with zipfile.ZipFile(wheel) as content:
        assert {name: content.read(f"telephony_lint/schemas/{name}") for name in schemas} == schemas


def test_installed_command_runs_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    directories = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    installed = run(UV, "tool", "install", "--quiet", wheel, **directories)
    assert installed.returncode == 0, installed.stderr
    command = tmp_path / "bin" / "telephony"

    shown = run(command, "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert all(name in shown.stdout for name in ("plan", "list", "drift", "restore", "adopt", "verify"))
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    refused = run(command, "list", "--region", "us-east-1", AWS_EC2_METADATA_DISABLED="true", **nowhere)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "credentials" in refused.stderr


RIGHT = """\
Resources:
  Brand:
    Type: Custom::SmsSenderId
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties: {ServiceToken: !ImportValue cfn-telephony-ServiceToken, SenderId: BRAND, IsoCountryCode: GB}
"""
WRONG = RIGHT.replace("GB", "NO")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository that contains nothing of this one."""
    directory = tmp_path / "repository"
    directory.mkdir()
    (directory / ".cfnlintrc").write_text("templates: ['*.yaml']\nappend_rules: [telephony_lint]\n")
    (directory / "right.yaml").write_text(RIGHT)
    return directory


@pytest.mark.parametrize("cfn_lint", ["cfn-lint", f"cfn-lint=={'.'.join(map(str, MINIMUM))}"])
def test_installed_rules_check_a_foreign_repository(
    wheel: Path, tmp_path: Path, repository: Path, cfn_lint: str
) -> None:
    environment = tmp_path / "environment"
    assert run(UV, "venv", "--quiet", environment, **PYTHON).returncode == 0
    requirements = (f"cfn-telephony[lint] @ {wheel.as_uri()}", cfn_lint)
    installed = run(UV, "pip", "install", "--quiet", "--python", environment, *requirements)
    assert installed.returncode == 0, installed.stderr
    command = environment / "bin" / "cfn-lint"

    clean = run(command, cwd=repository)
    (repository / "wrong.yaml").write_text(WRONG)
    found = run(command, "--format", "parseable", cwd=repository)

    assert (clean.returncode, clean.stdout, clean.stderr) == (0, "", "")
    assert found.returncode == 2
    [line] = found.stdout.splitlines()
    assert line.startswith("wrong.yaml:6:")
    assert ":E9100:IsoCountryCode: " in line
    assert line.endswith('Quote it: "NO".')


def test_lint_step_of_the_pipeline_finds_what_the_provider_would_refuse(wheel: Path, repository: Path) -> None:
    pipeline = yaml.safe_load((ROOT / "examples/pipelines/github-actions.yml").read_text())
    [step] = [
        one["run"]
        for job in pipeline["jobs"].values()
        for one in job.get("steps", [])
        if "cfn-lint" in one.get("run", "")
    ]
    (repository / ".cfnlintrc").unlink()
    own = {"TELEPHONY": wheel.as_uri(), "PATH": f"{UV.parent}:{os.environ['PATH']}"} | PYTHON

    clean = run("bash", "-c", step, cwd=repository, TEMPLATE="right.yaml", **own)
    (repository / "wrong.yaml").write_text(WRONG)
    found = run("bash", "-c", step, cwd=repository, TEMPLATE="wrong.yaml", **own)

    assert (clean.returncode, clean.stdout) == (0, ""), clean.stderr
    assert found.returncode == 2, found.stderr
    assert "E9100 IsoCountryCode" in found.stdout
