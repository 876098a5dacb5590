"""Local AWS: starts and stops the telecom services and ministack together."""

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
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import boto3
import botocore.session

ROOT = Path(__file__).parent.parent
REGION = "us-east-1"
_TIMEOUT = 60.0  # seconds for a start; the first one compiles ministack's bytecode, others take about two seconds


class StartError(RuntimeError):
    """A process did not start. The message contains the end of its log."""


class LocalAws:
    """A local AWS in its own process group and temporary directory. It runs from construction until `close()`.

    `endpoint` serves everything except telecom, `status_url` the status page of the telecom services. `response_host`
    is the `host:port` of ResponseURLs, for the parameter AllowedResponseHosts. `env` configures sam, aws and boto3.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="cfn-telephony-"))
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        certificate, key = self._certificate()
        tls = ("--cert", certificate, "--key", key)
        telecom = self._run("telecom", sys.executable, "-m", "local.telecom", "--port", "0", *tls)
        self._wait("telecom", telecom, lambda: self._log("telecom.out").endswith("\n"))
        urls = json.loads(self._log("telecom.out").splitlines()[0])
        self.status_url: str = urls["page"]

        port = _free_port()
        self.response_host = f"127.0.0.1:{port}"
        self.endpoint = f"https://{self.response_host}"
        options = (
            *(f"--directory={self.directory}", f"--port={port}", f"--certificate={certificate}", f"--key={key}"),
            *(f"--{name.replace('_', '-')}={urls[name]}" for name in ("sms_voice", "connect", "tagging", "quotas")),
        )
        launcher = self._run("ministack", str(ROOT / ".venv-local/bin/python"), "-m", "local.launcher", *options)
        self.env = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2": urls["sms_voice"],
            "AWS_ENDPOINT_URL_CONNECT": urls["connect"],
            "AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API": urls["tagging"],
            "AWS_ENDPOINT_URL_SERVICE_QUOTAS": urls["quotas"],
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,  # AWS_DEFAULT_REGION is for the AWS CLI and boto3 only
            "AWS_CA_BUNDLE": certificate,
            "NODE_EXTRA_CA_CERTS": certificate,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",  # which Python prefers
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.5",
            "PATH": f"{ROOT / '.venv-sam/bin'}{os.pathsep}{os.environ['PATH']}",
        }
        self._tls = ssl.create_default_context(cafile=certificate)
        self._wait("ministack", launcher, self._is_healthy)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def process_group(self) -> int:
        """The ID of the process group of all its processes."""
        return self._processes[0].pid

    def environment(self) -> dict[str, str]:
        """Return this process's environment with `env` in place of all AWS settings."""
        return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | self.env

    def client(self, service: str) -> Any:
        """Return a boto3 client of any service. It does not use the caller's AWS settings."""
        # Without these, botocore looks up AWS_PROFILE although credentials are given.
        no_profile = dict.fromkeys(("profile", "config_file", "credentials_file"), (None, None, None, None))
        core = botocore.session.Session(no_profile)
        session = boto3.Session("test", "test", region_name=REGION, botocore_session=core)
        name = core.get_service_model(service).service_id.upper().replace(" ", "_")
        return session.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.env.get(f"AWS_ENDPOINT_URL_{name}", self.endpoint),
            verify=self.env["AWS_CA_BUNDLE"],
        )

    def sam(self, *arguments: str) -> str:
        """Run the SAM CLI and return its stdout and stderr. Raises CalledProcessError, with `output`, if it fails."""
        with subprocess.Popen(  # noqa: S603
            [ROOT / ".venv-sam/bin/sam", *arguments],
            cwd=ROOT,
            # `sam build` does not delete its temporary directories.
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
                # End the processes that it started, such as make and pip, too.
                os.killpg(running.pid, signal.SIGKILL)
                raise
        if running.returncode:
            raise subprocess.CalledProcessError(running.returncode, ("sam", *arguments), output)
        return output

    def telecom(self) -> dict[str, Any]:
        """Return the content of the status page."""
        with urllib.request.urlopen(self.status_url, context=self._tls, timeout=10) as response:  # noqa: S310
            page: dict[str, Any] = json.load(response)
        return page

    def fault(self, **fault: Any) -> None:
        """Inject a fault into a telecom operation; see local/telecom/faults.py."""
        self._post("faults", fault)

    def configure(self, **options: Any) -> None:
        """Set options of the telecom services; see local/telecom/options.py."""
        self._post("options", options)

    def close(self) -> None:
        """Kill its processes and delete its directory."""
        if self._processes:
            # Not SIGTERM: ministack waits for every open connection, and no state must be saved.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process_group, signal.SIGKILL)
        for process in self._processes:
            process.wait()
        _remove(self.directory)

    def _post(self, path: str, body: dict[str, Any]) -> None:
        request = urllib.request.Request(f"{self.status_url}/{path}", json.dumps(body).encode(), method="POST")  # noqa: S310
        urllib.request.urlopen(request, context=self._tls, timeout=10).close()  # noqa: S310

    def _certificate(self) -> tuple[str, str]:
        """Create a self-signed certificate for 127.0.0.1; return the paths of its PEM file and its key."""
        certificate, key = (str(self.directory / name) for name in ("server.crt", "server.key"))
        request = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
        names = ["-subj", "/CN=cfn-telephony", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        files = ["-out", certificate, "-keyout", key]
        subprocess.run(["openssl", "req", *request, *names, *files], check=True, capture_output=True)  # noqa: S603, S607
        return certificate, key

    def _run(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a process in the common process group. Its output is written to NAME.out and NAME.log."""
        with (self.directory / f"{name}.out").open("wb") as out, (self.directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                command,
                cwd=ROOT,
                # The only variable of the caller is PATH.
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
                | dict.fromkeys(("HOME", "TMPDIR"), str(self.directory)),
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
        deadline = time.monotonic() + _TIMEOUT
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise StartError(f"{name} did not start:\n{self._log(f'{name}.log')[-4000:]}")
            time.sleep(0.05)

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", context=self._tls, timeout=5):  # noqa: S310
                return True
        except (urllib.error.URLError, ConnectionError):
            return False


def processes(directory: Path) -> dict[int, int]:
    """Return ID and group of the processes of the LocalAws in this directory, which their command lines contain."""
    if Path("/proc/self/cmdline").exists():
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # The process can end at any time.
                if str(directory).encode() in (process / "cmdline").read_bytes():
                    found[int(process.name)] = os.getpgid(int(process.name))
        return found
    command = ["ps", "-A", "-ww", "-o", "pid=,pgid=,command="]
    listing = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    rows = [line.split(None, 2) for line in listing.stdout.splitlines()]
    return {int(row[0]): int(row[1]) for row in rows if str(directory) in row[-1]}


def stop(process_group: int, directory: Path) -> None:
    """Stop a LocalAws whose parent process has ended, if it still runs.

    The ID of a group can be reused after its processes end: only a group with a process of this directory is killed.
    """
    while process_group in processes(directory).values():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process_group, signal.SIGKILL)
        time.sleep(0.05)
    _remove(directory)


def _remove(directory: Path) -> None:
    """Delete the directory; retry while a dying process still writes to it."""
    for _ in range(20):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.05)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
