"""A demo that continues to run after its process: its record, its environment, and its end."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local.aws import ROOT, LocalAws, processes, stop


@dataclass(frozen=True)
class BackgroundDemo:
    """The process group and the directory of a LocalAws."""

    process_group: int
    directory: Path

    @classmethod
    def read(cls, into: Path) -> Self | None:
        """Return the recorded demo, if any."""
        try:
            recorded = json.loads(_record(into).read_text())
        except FileNotFoundError:
            return None
        return cls(recorded["process_group"], Path(recorded["directory"]))

    @classmethod
    def record(cls, aws: LocalAws, into: Path) -> None:
        """Record how to stop the demo. This happens at its start, because its process can be killed at any time."""
        recorded = {"process_group": aws.process_group, "directory": str(aws.directory)}
        _record(into).write_text(json.dumps(recorded))

    def is_running(self) -> bool:
        """Return whether any of its processes exists."""
        return bool(processes(self.directory))

    def stop(self, into: Path) -> None:
        """Stop its remaining processes and delete its record."""
        stop(self.process_group, self.directory)
        forget(into)


def forget(into: Path) -> None:
    """Delete the record and the environment file."""
    _record(into).unlink(missing_ok=True)
    environment_file(into).unlink(missing_ok=True)


def environment_file(into: Path) -> Path:
    """Return the path of the environment file."""
    return into / "demo.env"


def exports(aws: LocalAws) -> str:
    """Return shell commands that set the environment of the local AWS and unset conflicting AWS settings."""
    lines = ["unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN AWS_REGION"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in aws.env.items() if name != "PATH"]
    return "\n".join([*lines, f'export PATH={shlex.quote(str(ROOT / ".venv-sam/bin"))}:"$PATH"']) + "\n"


def _record(into: Path) -> Path:
    return into / "demo.json"
