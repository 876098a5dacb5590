import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from local.aws import ROOT, processes


@attrs.frozen
class Demo:
    """`python -m local.demo` as a user runs it, with a build directory and a temporary directory of its own."""

    into: Path
    temporary: Path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "local.demo", "--into", str(self.into), *arguments]

    def environment(self) -> dict[str, str]:
        # Settings with which a user reaches AWS: none of them may lead the demo there, or keep it from working.
        users = {"AWS_PROFILE": "production", "AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL": "https://192.0.2.1"}
        return dict(os.environ) | users | {"TMPDIR": str(self.temporary)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            self.command(*arguments),
            cwd=ROOT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def left_over(self) -> tuple[dict[int, int], list[Path]]:
        """Processes and files that are still there."""
        return processes(self.temporary), list(self.temporary.iterdir())


NOTHING: tuple[dict[int, int], list[Path]] = ({}, [])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(into=tmp_path_factory.mktemp("build"), temporary=tmp_path_factory.mktemp("tmp"))
