"""A demo that outlives its process: what it is known by, how it is reached, and its end."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from local.aws import ROOT, LocalAws, end, processes


@dataclass(frozen=True)
class Kept:
    """The process group and the directory of a LocalAws."""

    process_group: int
    directory: Path

    @classmethod
    def read(cls, into: Path) -> Self | None:
        """The demo that was recorded, if there is one."""
        try:
            recorded = json.loads(_record(into).read_text())
        except FileNotFoundError:
            return None
        return cls(recorded["process_group"], Path(recorded["directory"]))

    @classmethod
    def record(cls, aws: LocalAws, into: Path) -> None:
        """Write down what ends it, as soon as it runs: its own process may be killed."""
        recorded = {"process_group": aws.process_group, "directory": str(aws.directory)}
        _record(into).write_text(json.dumps(recorded))

    def runs(self) -> bool:
        """Whether anything of it is left."""
        return bool(processes(self.directory))

    def end(self, into: Path) -> None:
        """End what is left of it, and forget it."""
        end(self.process_group, self.directory)
        forget(into)


def forget(into: Path) -> None:
    """Remove the record and the environment."""
    _record(into).unlink(missing_ok=True)
    environment_file(into).unlink(missing_ok=True)


def environment_file(into: Path) -> Path:
    """Where the environment is written."""
    return into / "demo.env"


def exports(aws: LocalAws) -> str:
    """The lines with which a shell reaches it, less the settings of the shell that would lead elsewhere."""
    lines = ["unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN AWS_REGION"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in aws.env.items() if name != "PATH"]
    return "\n".join([*lines, f'export PATH={shlex.quote(str(ROOT / ".venv-sam/bin"))}:"$PATH"']) + "\n"


def _record(into: Path) -> Path:
    return into / "demo.json"
