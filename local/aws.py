"""AWS on a laptop: the telecom services and ministack, started together, reached like AWS, gone without a trace."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import boto3
import botocore.session

ROOT = Path(__file__).parent.parent
REGION = "us-east-1"
PATIENCE = 60.0
"""Seconds; the first start compiles ministack's bytecode, every other one takes about two."""


class StartError(RuntimeError):
    """A part did not start; the text has the end of its log."""


class LocalAws:
    """Runs from its making until `close()`, in a process group and a temporary directory of its own.

    `endpoint`: everything but telecom. `page`: what the telecom services hold and how often each operation was called.
    `response_host`: the `host:port` of the ResponseURLs, for the parameter AllowedResponseHosts. `env`: the variables
    with which sam, aws and boto3 reach it.
    """

    def __init__(self, telecom_arguments: tuple[str, ...] = ()) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="cfn-telephony-"))
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            self._start(telecom_arguments)
        except BaseException:
            self.close()
            raise

    def _start(self, telecom_arguments: tuple[str, ...]) -> None:
        certificate, key = self._certificate()
        tls = ("--cert", certificate, "--key", key)
        telecom = self._run("telecom", sys.executable, "-m", "local.telecom", "--port", "0", *tls, *telecom_arguments)
        self._wait("telecom", telecom, lambda: self._log("telecom.out").endswith("\n"))
        urls = json.loads(self._log("telecom.out").splitlines()[0])
        self.page: str = urls["page"]

        port = _free_port()
        self.response_host = f"127.0.0.1:{port}"
        self.endpoint = f"https://{self.response_host}"
        arguments = {
            "--directory": str(self.directory),
            "--port": str(port),
            "--certificate": certificate,
            "--key": key,
            "--sms-voice": urls["sms_voice"],
            "--connect": urls["connect"],
        }
        options = [text for pair in arguments.items() for text in pair]
        launcher = self._run("ministack", str(ROOT / ".venv-local/bin/python"), "-m", "local.launcher", *options)
        self.env = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2": urls["sms_voice"],
            "AWS_ENDPOINT_URL_CONNECT": urls["connect"],
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CA_BUNDLE": certificate,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.5",
            "PATH": f"{ROOT / '.venv-sam/bin'}{os.pathsep}{os.environ['PATH']}",
        }
        self._tls = ssl.create_default_context(cafile=certificate)
        self._wait("ministack", launcher, self._answers)

    def __enter__(self) -> Self:
        """Itself; it runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @property
    def process_group(self) -> int:
        """The id of the group that all of its processes are in."""
        return self._processes[0].pid

    def environment(self) -> dict[str, str]:
        """`env` within this process's own environment, less every AWS setting of the caller's."""
        return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | self.env

    def client(self, service: str) -> Any:
        """A boto3 client of any service, telecom included; reads nothing of the caller's AWS settings."""
        endpoint = self.env.get(f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}", self.endpoint)
        # Without these, AWS_PROFILE is looked up even where credentials are given.
        nobodys = dict.fromkeys(("profile", "config_file", "credentials_file"), (None, None, None, None))
        session = boto3.Session("test", "test", region_name=REGION, botocore_session=botocore.session.Session(nobodys))
        return session.client(
            service,  # type: ignore[call-overload]
            endpoint_url=endpoint,
            verify=self.env["AWS_CA_BUNDLE"],
        )

    def sam(self, *arguments: str) -> str:
        """What the SAM CLI prints, both streams. Raise CalledProcessError, with it as `output`, when it fails."""
        with subprocess.Popen(  # noqa: S603
            [ROOT / ".venv-sam/bin/sam", *arguments],
            cwd=ROOT,
            # `sam build` leaves its scratch directories behind.
            env=self.environment() | {"TMPDIR": str(self.directory)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        ) as running:
            try:
                output, _ = running.communicate()
            except BaseException:
                # The make and the pip that it started would go on.
                os.killpg(running.pid, signal.SIGKILL)
                raise
        if running.returncode:
            raise subprocess.CalledProcessError(running.returncode, ("sam", *arguments), output)
        return output

    def telecom(self) -> dict[str, Any]:
        """The page, read."""
        with urllib.request.urlopen(self.page, context=self._tls, timeout=10) as answer:  # noqa: S310
            page: dict[str, Any] = json.load(answer)
        return page

    def fault(self, **fault: Any) -> None:
        """Make the next calls of a telecom operation go wrong; local/telecom/faults.py says how."""
        request = urllib.request.Request(f"{self.page}/faults", json.dumps(fault).encode(), method="POST")  # noqa: S310
        urllib.request.urlopen(request, context=self._tls, timeout=10).close()  # noqa: S310

    def close(self) -> None:
        """End its processes and remove its directory."""
        if self._processes:
            # Not SIGTERM: ministack would wait for every open connection, and nothing of it is worth saving.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process_group, signal.SIGKILL)
        for process in self._processes:
            process.wait()
        _remove(self.directory)

    def _certificate(self) -> tuple[str, str]:
        """A certificate for 127.0.0.1 and its key, as paths of PEM files; it is its own CA bundle."""
        certificate, key = (str(self.directory / name) for name in ("server.crt", "server.key"))
        request = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
        names = ["-subj", "/CN=cfn-telephony", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        files = ["-out", certificate, "-keyout", key]
        subprocess.run(["openssl", "req", *request, *names, *files], check=True, capture_output=True)  # noqa: S603, S607
        return certificate, key

    def _run(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a part in the common process group; its output goes to NAME.out and NAME.log."""
        with (self.directory / f"{name}.out").open("wb") as out, (self.directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                command,
                cwd=ROOT,
                # Nothing of the caller's but where programs are.
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self.directory),
                    "TMPDIR": str(self.directory),
                    "LANG": "C.UTF-8",
                },
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                process_group=self._processes[0].pid if self._processes else 0,
            )
        self._processes.append(process)
        return process

    def _log(self, name: str) -> str:
        return (self.directory / name).read_text(errors="replace")

    def _wait(self, name: str, process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
        end_of_patience = time.monotonic() + PATIENCE
        while not ready():
            if process.poll() is not None or time.monotonic() > end_of_patience:
                raise StartError(f"{name} did not start:\n{self._log(f'{name}.log')[-4000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", context=self._tls, timeout=5):  # noqa: S310
                return True
        except (urllib.error.URLError, ConnectionError):
            return False


def processes(directory: Path) -> dict[int, int]:
    """The processes of the LocalAws in that directory, which each of them names in its command line: id and group."""
    if Path("/proc/self/cmdline").exists():
        return dict(_listed_by_proc(str(directory)))
    command = ["ps", "-A", "-ww", "-o", "pid=,pgid=,command="]
    listing = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    rows = [line.split(None, 2) for line in listing.stdout.splitlines()]
    return {int(row[0]): int(row[1]) for row in rows if str(directory) in row[-1]}


def _listed_by_proc(directory: str) -> Iterator[tuple[int, int]]:
    for process in Path("/proc").glob("[0-9]*"):
        # It may end while it is looked at.
        with contextlib.suppress(OSError):
            if directory.encode() in (process / "cmdline").read_bytes():
                yield int(process.name), os.getpgid(int(process.name))


def end(process_group: int, directory: Path) -> None:
    """End a LocalAws by what it is known by, when the process that started it is gone. All gone is no error.

    The id of a group whose processes have all died may be somebody else's by now: only one that still has a process
    of this directory is ended.
    """
    while process_group in processes(directory).values():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process_group, signal.SIGKILL)
        time.sleep(0.05)
    _remove(directory)


def _remove(directory: Path) -> None:
    """Remove it, also while the last of its processes still dies and writes."""
    for _ in range(20):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
