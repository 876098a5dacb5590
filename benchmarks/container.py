"""Runs a handler in a process of its own, as a Lambda execution environment does, and measures that process."""

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
    """The handler raised an exception, or its process exited; the message is the traceback or the process's output."""


@attrs.frozen
class Duration:
    """The duration of one invocation, in seconds."""

    seconds: float
    slept: float
    """Total of the handler's sleep() calls, if record_sleep replaces them."""


class Container:
    """An execution environment, as a context manager. The measurements are available after exit.

    record_sleep: add up the sleep() calls instead of waiting. count_instructions: run under cachegrind.
    """

    instructions = 0
    cpu_seconds = 0.0
    peak_mib = 0.0

    def __init__(
        self,
        artifact: Artifact,
        environment: dict[str, str],
        *,
        record_sleep: bool = False,
        count_instructions: bool = False,
    ) -> None:
        self._name = artifact.name
        self._environment = environment | {"PYTHONPATH": os.pathsep.join(map(str, artifact.path))}
        # -s -S: no site-packages of this machine. Lambda adds none either.
        self._command = [PYTHON, "-s", "-S", str(_WORKER), artifact.handler, str(int(record_sleep))]
        self._count_instructions = count_instructions

    def __enter__(self) -> Self:
        """Start the process."""
        self._directory = tempfile.TemporaryDirectory(prefix="container-")
        self._counts = Path(self._directory.name) / "cachegrind"
        self._log = (Path(self._directory.name) / "log").open("w+b")
        child_events, self._events = os.pipe()
        results, child_results = os.pipe()
        command = [*self._command, str(child_events), str(child_results)]
        if self._count_instructions:
            options = ["--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={self._counts}"]
            command = [str(VALGRIND), "-q", *options, *command]
        self._process = subprocess.Popen(  # noqa: S603
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(child_events, child_results),
        )
        os.close(child_events)
        os.close(child_results)
        self._results = os.fdopen(results)
        return self

    def invoke(self, event: dict[str, Any]) -> Duration:
        """Invoke the handler. Raises HandlerError if it fails."""
        os.write(self._events, json.dumps(event).encode() + b"\n")
        line = self._results.readline()
        if not line:
            self._log.seek(0)
            output = self._log.read().decode(errors="replace")[-4000:]
            raise HandlerError(f"{self._name} exited:\n{output}")
        result = json.loads(line)
        if error := result.pop("error"):
            raise HandlerError(f"{self._name}: {error}")
        return Duration(**result)

    def __exit__(self, *_: object) -> None:
        """Stop the process and read its measurements."""
        status = Path(f"/proc/{self._process.pid}/status")
        if status.exists() and (peak := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
            self.peak_mib = int(peak[1]) / 1024
        os.close(self._events)
        used = os.wait4(self._process.pid, 0)[2]
        self._process.returncode = 0
        self.cpu_seconds = used.ru_utime + used.ru_stime
        self._results.close()
        self._log.close()
        if self._counts.exists():
            self.instructions = int(re.findall(r"^summary: (\d+)", self._counts.read_text(), re.MULTILINE)[-1])
        self._directory.cleanup()
