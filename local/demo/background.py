"""A demo that continues to run after its process: its record and its environment."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from local.aws import ROOT, LocalAws

ENVIRONMENT = "demo.env"
_RECORD = "demo.json"


def read(into: Path) -> tuple[int, Path] | None:
    """Return the process group and the directory of the recorded LocalAws, if any."""
    try:
        recorded = json.loads((into / _RECORD).read_text())
    except FileNotFoundError:
        return None
    return recorded["process_group"], Path(recorded["directory"])


def record(aws: LocalAws, into: Path) -> None:
    """Record how to stop the demo. This happens at its start, because its process can be killed at any time."""
    recorded = {"process_group": aws.process_group, "directory": str(aws.directory)}
    (into / _RECORD).write_text(json.dumps(recorded))


def forget(into: Path) -> None:
    """Delete the record and the environment file."""
    for name in (_RECORD, ENVIRONMENT):
        (into / name).unlink(missing_ok=True)


def exports(aws: LocalAws) -> str:
    """Return shell commands that set the environment of the local AWS and unset conflicting AWS settings."""
    lines = ["unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in aws.env.items() if name != "PATH"]
    return "\n".join([*lines, f'export PATH={shlex.quote(str(ROOT / ".venv-sam/bin"))}:"$PATH"']) + "\n"
