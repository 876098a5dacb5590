"""The template, and the application that `sam build` creates from it."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]


def sam(*arguments: str) -> str:
    """Run the SAM CLI without AWS credentials and return its output. Fails the test if the command fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
        "PATH": f"{ROOT / '.venv-sam/bin'}{os.pathsep}{os.environ['PATH']}",
        "SAM_CLI_TELEMETRY": "0",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    ran = subprocess.run(  # noqa: S603
        [ROOT / ".venv-sam/bin/sam", *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of `sam build`: template.yaml, and one directory for each function and layer."""
    directory = tmp_path_factory.mktemp("sam") / "build"
    sam("build", "--build-dir", str(directory))
    return directory


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """The template with full function names, such as Fn::Sub."""
    return dict(cfn_yaml.load(str(ROOT / "template.yaml")))


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    return dict(template["Resources"])
