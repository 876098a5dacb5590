import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from local.aws import ROOT, processes


@attrs.frozen
class Demo:
    """`python -m local.demo` as a user runs it, with its own build directory and temporary directory."""

    into: Path
    temporary: Path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "local.demo", "--into", str(self.into), *arguments]

    def environment(self) -> dict[str, str]:
        # AWS settings of a user. The demo must not use them, and must work in spite of them.
        settings = {"AWS_PROFILE": "production", "AWS_REGION": "eu-central-1", "AWS_ENDPOINT_URL": "https://192.0.2.1"}
        own = {name: value for name, value in os.environ.items() if name != "COLUMNS"}  # set by pytest-xdist
        return own | settings | {"TMPDIR": str(self.temporary)}

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

    def remains(self) -> tuple[dict[int, int], list[Path]]:
        """Return the processes and files that still exist."""
        return processes(self.temporary), list(self.temporary.iterdir())


NOTHING: tuple[dict[int, int], list[Path]] = ({}, [])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(into=tmp_path_factory.mktemp("build"), temporary=tmp_path_factory.mktemp("tmp"))
