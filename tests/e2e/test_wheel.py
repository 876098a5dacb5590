"""The command line, built, installed and run as a user does it."""

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from local.aws import ROOT

pytestmark = pytest.mark.e2e
UV = ROOT / ".uv/bin/uv"


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    return subprocess.run(  # noqa: S603
        command, cwd=ROOT, env=own | environment, capture_output=True, text=True, check=False
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
    assert not [name for name in names if "handlers" in name or name.startswith(("tests", "local", "tools"))]


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
