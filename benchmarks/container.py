"""One container of one handler: a process that is given events, and what it cost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

import attrs

from benchmarks.artifacts import PYTHON, Artifact

VALGRIND = shutil.which("valgrind")
_WORKER = Path(__file__).with_name("worker.py")


class HandlerError(RuntimeError):
    """The handler raised, or its process ended; the text says with what."""


@attrs.frozen
class Ran:
    """One event, in seconds."""

    seconds: float
    slept: float
    """What it asked to sleep, where sleeping is recorded instead of done."""
    compiled: int
    """Source files that were compiled up to here, where that is counted."""


class Container:
    """Use as a context manager; the costs are known when it is left.

    switches: of worker.py. counted: under cachegrind, which tells `instructions`; otherwise `cpu_seconds` count.
    """

    instructions = 0
    cpu_seconds = 0.0
    peak_mib = 0.0

    def __init__(self, artifact: Artifact, environment: dict[str, str], *switches: str, counted: bool = False) -> None:
        self._artifact = artifact
        self._environment = environment | {"PYTHONPATH": os.pathsep.join(map(str, artifact.path))}
        self._counted = counted
        self._switches = switches

    def __enter__(self) -> Self:
        """Start it."""
        self._directory = tempfile.TemporaryDirectory(prefix="container-")
        self._counts = Path(self._directory.name) / "cachegrind"
        self._log = (Path(self._directory.name) / "log").open("w+b")
        events, self._events = os.pipe()
        answers, results = os.pipe()
        # No site: nothing of this machine's Python comes in, and Lambda's adds nothing either.
        command = [PYTHON, "-s", "-S", str(_WORKER), self._artifact.handler, str(events), str(results)]
        command += self._switches
        if self._counted:
            options = ["--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={self._counts}"]
            command = [str(VALGRIND), "-q", *options, *command]
        self._process = subprocess.Popen(  # noqa: S603
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(events, results),
        )
        os.close(events)
        os.close(results)
        self._answers = os.fdopen(answers)
        return self

    def send(self, event: dict[str, Any]) -> Ran:
        """Let it work on one event. Raise HandlerError if it did not get through."""
        os.write(self._events, json.dumps(event).encode() + b"\n")
        line = self._answers.readline()
        if not line:
            raise HandlerError(f"{self._artifact.name} ended:\n{self._said()}")
        result = json.loads(line)
        if result["error"]:
            raise HandlerError(f"{self._artifact.name}: {result['error']}")
        return Ran(result["seconds"], result["slept"], result["compiled"])

    def __exit__(self, *_: object) -> None:
        """End it, and read what it cost."""
        status = Path(f"/proc/{self._process.pid}/status")
        if status.exists() and (peak := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
            self.peak_mib = int(peak[1]) / 1024
        os.close(self._events)
        used = os.wait4(self._process.pid, 0)[2]
        self._process.returncode = 0
        self.cpu_seconds = used.ru_utime + used.ru_stime
        self._answers.close()
        self._log.close()
        if self._counts.exists():
            self.instructions = int(re.findall(r"^summary: (\d+)", self._counts.read_text(), re.MULTILINE)[-1])
        self._directory.cleanup()

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-4000:]
