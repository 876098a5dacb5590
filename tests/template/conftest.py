"""The application as the SAM CLI builds it, and the template as its author wrote it."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


class TemplateLoader(yaml.SafeLoader):
    """Reads `!Sub text` as {"Fn::Sub": text}, and so on; `!Ref` and `!Condition` keep their own names."""


def _intrinsic(loader: TemplateLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in {"Ref", "Condition"} else f"Fn::{tag}"
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    if isinstance(node, yaml.MappingNode):
        return {name: loader.construct_mapping(node, deep=True)}
    return {name: node.value}


TemplateLoader.add_multi_constructor("!", _intrinsic)


def sam(*arguments: str) -> str:
    """What the SAM CLI prints where no AWS is in reach. Fails the test when it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    ran = subprocess.run(  # noqa: S603
        [ROOT / ".venv-sam/bin/sam", *arguments],
        cwd=ROOT,
        env=environment
        | {
            "PATH": f"{ROOT / '.venv-sam/bin'}{os.pathsep}{os.environ['PATH']}",
            "SAM_CLI_TELEMETRY": "0",
            "AWS_DEFAULT_REGION": "us-east-1",
        },
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
    """A fresh `sam build`: the directory that holds template.yaml and a directory per function and layer."""
    directory = tmp_path_factory.mktemp("sam") / "build"
    sam("build", "--build-dir", str(directory))
    return directory


@pytest.fixture(scope="session")
def source() -> str:
    return (ROOT / "template.yaml").read_text()


@pytest.fixture(scope="session")
def template(source: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(source, Loader=TemplateLoader)  # noqa: S506 - a SafeLoader
    return loaded


@pytest.fixture(scope="session")
def parameters(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template["Parameters"]
    return found


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"]
    return found
