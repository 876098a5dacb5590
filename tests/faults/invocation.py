"""One invocation of a Lambda function in a child process, with faults injected into its outside calls.

The child is forked from a warm worker, or is a new interpreter. The faults are injected in http.client, which botocore
and urllib3 share. The provider is not patched, and every call that is added to it is a fault point.
"""

from __future__ import annotations

import functools
import gc
import http.client
import importlib
import io
import json
import logging
import os
import pkgutil
import random
import re
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal, Self, SupportsIndex, cast

import attrs
import time_machine
import urllib3
from botocore.httpsession import URLLib3Session

from tests.contract.cloudformation.destination import failure_record
from tests.faults import mutations
from tests.faults.environment import VirtualClock

type FaultKind = Literal["kill", "pause", "reset", "drop", "error", "throttle"]
type Status = Literal["returned", "raised", "killed", "paused", "hanging"]

NAMED_CALLS: Mapping[int, tuple[str, re.Pattern[str]]] = {
    -1: ("response", re.compile("response")),
    -2: ("purchase", re.compile(r".*\.Request(PhoneNumber|SenderId)|connect.POST /phone-number/(claim|import)")),
    -3: ("release", re.compile(r".*\.Release(PhoneNumber|SenderId)|connect.DELETE /phone-number/.*")),
}
"""Calls that a fault names instead of counting, by its `call`. Only `response` can have a fault before the call."""
_LAMBDA_TIMEOUTS = {"provider": 60.0, "continuation": 60.0, "sweep": 900.0}
"""As in template.yaml."""
_REAL_TIMEOUT = 30
"""Seconds of machine time after which an invocation counts as hanging."""
_WITHOUT_DECISION = {b'"pk": {"S": "rate"}': "reservation", b'"sk": {"S": "request#': "progress"}
"""In the body of a state table call that decides nothing: it takes a slot of the rate limit, or keeps the progress of a
waiting request."""
_QUERY_ACTION = re.compile(rb"Action=(\w+)&")
"""In the body of a call of CloudFormation."""
_SETTINGS = {
    "POWERTOOLS_METRICS_NAMESPACE": "cfn-telephony",
    "POWERTOOLS_SERVICE_NAME": "cfn-telephony",
    "POWERTOOLS_LOG_LEVEL": "DEBUG",
    "ALLOW_SWEEP_RELEASE": "true",
    "ALLOW_ADOPTION": "true",
    "CALL_RATES": "*=2",
}
_REAL_TIME_SETTINGS = {
    "LEASE_DURATION_SECONDS": "1",
    "POLL_INTERVAL_SECONDS": "0.1",
    "RETRY_PERIOD_SECONDS": "2.5",
    "RESPONSE_MARGIN_SECONDS": "2",
    "IN_PLACE_WAIT_SECONDS": "2",
}
"""Concurrent invocations sleep in real time. All others have the durations of production."""


@attrs.frozen
class InjectedFault:
    """A fault at outside call number `call`, counted from 0, before or after the call takes effect.

    kill and pause send SIGKILL and SIGSTOP to the process. reset breaks the connection before the effect, drop after
    it. error and throttle are responses of the service, without the effect. `times` is the number of consecutive calls
    that fail; for error and throttle, of calls of the same operation. `step` is the invocation of the request, counted
    from 0. A fault at a named call hits the first invocation that makes the call.
    """

    kind: FaultKind
    call: int
    after: bool = False
    times: int = 1
    step: int = 0

    def __str__(self) -> str:
        times = f"x{self.times}" if self.times > 1 else ""
        call = NAMED_CALLS[self.call][0] if self.call < 0 else self.call
        step = f".{self.step}" if self.step else ""
        return f"{self.kind}{'+' if self.after else '-'}{call}{times}{step}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the form of __str__: kill+4 is after call 4, reset-3x9.1 before calls 3 to 11 of invocation 1."""
        match = re.fullmatch(r"([a-z]+)([+-])(\d+|[a-z]+)(?:x(\d+))?(?:\.(\d+))?", text)
        if match is None:
            raise ValueError(f"{text} is not a fault, such as kill+4, reset-3x9 or kill+2.1")
        named = {name: number for number, (name, _) in NAMED_CALLS.items()}
        call = int(match[3]) if match[3].isdecimal() else named[match[3]]
        times, step = int(match[4] or 1), int(match[5] or 0)
        return cls(cast("FaultKind", match[1]), call, after=match[2] == "+", times=times, step=step)


@attrs.frozen
class InvocationSpec:
    """What a child process runs. `clock` is the path of the virtual clock."""

    event: dict[str, Any]
    clock: str
    function: Literal["provider", "continuation", "sweep"] = "provider"
    fault: InjectedFault | None = None
    second_fault: InjectedFault | None = None
    """Injected later in the same invocation, if `fault` does not end it."""
    mutation: str | None = None
    concurrent: bool = False
    """Another invocation runs at the same time, so that a sleep takes real time instead of moving the clock."""
    seed: int | None = None
    """Of the jitter, so that the invocation makes the calls that were recorded."""


@attrs.define
class Call:
    """One outside call; `status` is the HTTP status, or None without a response."""

    name: str
    status: int | None = None


@attrs.frozen
class InvocationResult:
    """How an invocation ended. `error` has the fields that the Lambda runtime reports for an exception."""

    status: Status
    calls: list[Call]
    log: str
    error: dict[str, Any] | None = None
    value: Any = None
    injected: bool = False
    """Whether a fault that was to be injected into the process was."""
    function: str = "provider"

    def __str__(self) -> str:
        calls = [f"{call.name}({call.status or '-'})" for call in self.calls]
        error = f" [{self.error['type']}: {self.error['message']}]" if self.error else ""
        return f"{self.status}: {' '.join(calls)}{error}"


class _ProcessClock:
    """Makes the child's time follow the virtual clock.

    Time stands still except for sleeps. In concurrent invocations it runs, and a sleep is real. Lambda ends the process
    at the timeout of the function.
    """

    def __init__(self, clock: VirtualClock, timeout: float, *, concurrent: bool) -> None:
        self._clock = clock
        self._offset = clock.offset
        self._ends_at = self._offset + timeout
        self._paused = False
        self._traveller = time_machine.travel(clock.now(), tick=concurrent).start()
        if not concurrent:
            time.sleep = self.sleep
            _extend_socket_timeouts()

    def resume(self) -> None:
        """Continue after a pause. Lambda would have ended a process that was paused for too long."""
        self._paused = True
        self.synchronize()

    def synchronize(self) -> None:
        self._traveller.shift(self._clock.offset - self._offset)
        self._offset = self._clock.offset

    def sleep(self, seconds: SupportsIndex | float) -> None:
        if self._offset + float(seconds) > self._ends_at:
            os.kill(os.getpid(), signal.SIGKILL if self._paused else signal.SIGALRM)
        self._clock.advance(float(seconds))
        self.synchronize()


def _extend_socket_timeouts() -> None:
    """Let no call time out because the machine is slow: no injected fault is a slow response."""
    settimeout = socket.socket.settimeout

    def extended(self: socket.socket, value: float | None) -> None:
        settimeout(self, value if value is None else max(value, float(_REAL_TIMEOUT)))

    socket.socket.settimeout = extended  # type: ignore[assignment, method-assign]


class FaultInjector:
    """Runs in the child: traces each outside call to the `trace` file descriptor and injects the faults."""

    def __init__(self, spec: InvocationSpec, trace: int, clock: _ProcessClock) -> None:
        self._faults = [fault for fault in (spec.fault, spec.second_fault) if fault is not None]
        self._trace = trace
        self._clock = clock
        self._call = -1
        self._name = ""
        """Of the current call."""

    def install(self) -> None:
        connection = http.client.HTTPConnection
        original_request, original_header = connection.putrequest, connection.putheader
        original_send, original_response = connection.send, connection.getresponse
        injector = self

        def putrequest(self: Any, method: str, url: str, *args: Any, **more: Any) -> None:
            injector._call += 1
            injector._name = _call_name(f"{method} {url}", full=True)
            injector.trace("call", f"{method} {url.partition('?')[0]}")
            injector._inject(after=False)
            original_request(self, method, url, *args, **more)

        def putheader(self: Any, name: Any, *values: Any) -> None:
            if str(name).lower() == "x-amz-target":
                value = values[0]
                injector._name = value.decode() if isinstance(value, bytes) else str(value)
                injector.trace("target", injector._name)
            original_header(self, name, *values)

        def send(self: Any, data: Any) -> None:
            body = bytes(data) if isinstance(data, bytes | bytearray) else b""
            if name := next((name for content, name in _WITHOUT_DECISION.items() if content in body), None):
                injector.trace("without decision", name)
            elif action := _QUERY_ACTION.match(body):
                injector.trace("action", action[1].decode())
            original_send(self, data)

        def getresponse(self: Any) -> Any:
            response = original_response(self)
            injector.trace("status", response.status)
            injector._inject(after=True)
            return response

        for hook in (putrequest, putheader, send, getresponse):
            setattr(connection, hook.__name__, hook)

    def trace(self, kind: str, value: Any) -> None:
        os.write(self._trace, f"{json.dumps([kind, value])}\n".encode())

    def _inject(self, *, after: bool) -> None:
        for fault in self._faults.copy():
            if fault.after is not after or not self._reaches(fault):
                continue
            self.trace("injected", True)
            if fault.kind in {"kill", "pause"}:
                self._faults.remove(fault)
                signal.alarm(0)
                os.kill(os.getpid(), signal.SIGKILL if fault.kind == "kill" else signal.SIGSTOP)
                signal.alarm(_REAL_TIMEOUT)
                self._clock.resume()
            elif fault.kind in {"reset", "drop"}:
                raise ConnectionResetError(104, "Connection reset by peer")

    def _reaches(self, fault: InjectedFault) -> bool:
        if fault.call < 0:
            return NAMED_CALLS[fault.call][1].fullmatch(self._name) is not None
        return fault.call <= self._call < fault.call + fault.times


class _Context:
    function_name = "provider"
    aws_request_id = "00000000-0000-4000-8000-000000000000"

    def __init__(self, timeout: float) -> None:
        self._deadline = time.time() + timeout

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.time()) * 1000))


def initialize_runtime(variables: Mapping[str, str]) -> None:
    """Set the environment variables, import the provider, and fill its caches without opening a connection."""
    for name in [name for name in os.environ if name.endswith("_SECONDS")]:
        del os.environ[name]  # The durations of other tests.
    os.environ.update(variables)
    os.environ.update(_SETTINGS)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    import telephony  # noqa: PLC0415 - reads the environment

    for module in pkgutil.walk_packages(telephony.__path__, "telephony."):
        imported = importlib.import_module(module.name)
        for value in list(vars(imported).values()):
            if isinstance(value, functools._lru_cache_wrapper) and value.__module__ == module.name:
                value()
    logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))  # The Lambda runtime adds one too.
    logging.getLogger().setLevel(logging.DEBUG)


def warm_up(specs: Iterator[InvocationSpec]) -> None:
    """Run some invocations in this process, so that the children inherit what a warm execution environment caches.

    Raises RuntimeError if a connection stays open, because all children would share it.
    """
    descriptors = Path("/proc/self/fd")
    before = sum(descriptor.is_socket() for descriptor in descriptors.iterdir())
    logging.disable()
    for spec in specs:
        with redirect_stdout(io.StringIO()), time_machine.travel(VirtualClock(spec.clock).now(), tick=True):
            _handler(spec)(spec.event, _Context(_LAMBDA_TIMEOUTS[spec.function]))
    logging.disable(logging.NOTSET)
    for instance in gc.get_objects():
        if isinstance(instance, URLLib3Session):
            instance.close()
        elif isinstance(instance, urllib3.PoolManager):
            instance.clear()
    gc.collect()
    gc.freeze()
    if sum(descriptor.is_socket() for descriptor in descriptors.iterdir()) != before:
        raise RuntimeError("A connection stays open in the process that forks the invocations.")


def _handler(spec: InvocationSpec) -> Any:
    return importlib.import_module(f"telephony.handlers.{spec.function}").handler


def run_handler(spec: InvocationSpec, trace: int) -> None:
    """Run the handler in this process. Its exception is traced, as the Lambda runtime reports it, and not raised."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_REAL_TIMEOUT)
    gc.disable()  # A collection writes to every page of the parent's memory, which copies it.
    random.seed(spec.seed)
    if spec.concurrent:
        from telephony.settings import settings  # noqa: PLC0415 - reads the child's environment variables

        os.environ.update(_REAL_TIME_SETTINGS)
        settings.cache_clear()
    timeout = _LAMBDA_TIMEOUTS[spec.function]
    clock = _ProcessClock(VirtualClock(spec.clock), timeout, concurrent=spec.concurrent)
    injector = FaultInjector(spec, trace, clock)
    if spec.mutation:
        mutations.MUTATIONS[spec.mutation]()
    injector.install()
    handler = _handler(spec)
    try:
        injector.trace("returned", handler(spec.event, _Context(timeout)))
    except Exception as error:  # noqa: BLE001 - so does the Lambda runtime
        stack = traceback.format_exception(error)
        print("[ERROR]", *stack, sep="\n")  # noqa: T201 - so does the Lambda runtime
        injector.trace("raised", {"type": type(error).__name__, "message": str(error), "trace": stack})
    sys.stdout.flush()


class Invocation:
    """A child process that runs an InvocationSpec. `fresh` starts a new interpreter instead of a fork."""

    def __init__(self, spec: InvocationSpec, *, fresh: bool = False) -> None:
        self._trace = os.memfd_create("trace")
        self._log = os.memfd_create("log")
        self._paused = False
        self._function = spec.function
        self._process: subprocess.Popen[bytes] | None = None
        if fresh:
            run = f"initialize_runtime({{}}); run_handler({spec!r}, {self._trace})"
            self._process = subprocess.Popen(  # noqa: S603 - this module itself
                [sys.executable, "-c", f"from tests.faults.invocation import *; {run}"],
                stdout=self._log,
                stderr=self._log,
                pass_fds=[self._trace],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            self._pid = self._process.pid
            return
        sys.stdout.flush()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.dup2(self._log, 1)
                os.dup2(self._log, 2)
                run_handler(spec, self._trace)
                os._exit(0)
            except BaseException:  # noqa: BLE001 - of the harness
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(1)

    def wait(self) -> InvocationResult:
        """Wait until the process ends or is paused."""
        _, status = os.waitpid(self._pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            self._paused = True
            return self._result("paused")
        if self._process is not None:
            self._process.returncode = 0  # waitpid has reaped the process.
        ended: Status = "returned"
        if os.WIFSIGNALED(status):
            ended = "hanging" if os.WTERMSIG(status) == signal.SIGALRM else "killed"
        result = self._result(ended)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise RuntimeError(f"The harness failed in the child:\n{result.log[-2000:]}")
        os.close(self._trace)
        os.close(self._log)
        return result

    def resume(self) -> InvocationResult:
        self._paused = False
        os.kill(self._pid, signal.SIGCONT)
        return self.wait()

    def terminate(self) -> None:
        if self._paused:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._paused = False

    def _result(self, status: Status) -> InvocationResult:
        calls: list[Call] = []
        traced: dict[str, Any] = {}
        for kind, value in map(json.loads, _text(self._trace).splitlines()):
            if kind == "call":
                calls.append(Call(_call_name(value)))
            elif kind == "status":
                calls[-1].status = value
            elif kind in {"target", "action", "without decision"}:
                calls[-1].name = _renamed(calls[-1].name, kind, value)
            else:
                traced[kind] = value
        error = traced.get("raised")
        return InvocationResult(
            "raised" if error else status,
            calls,
            _text(self._log),
            error,
            traced.get("returned"),
            "injected" in traced,
            self._function,
        )


def _renamed(name: str, kind: str, value: str) -> str:
    """Name a call by what the child traced of its headers or body."""
    if kind == "target":
        service = value.partition(".")[0].partition("_")[0].replace("AmazonSQS", "sqs")
        return f"{service}.{value.rpartition('.')[2]}"
    if kind == "action":
        return f"cloudformation.{value}"
    # As part of a transaction it keeps the transaction's name.
    return name if name == "DynamoDB.TransactWriteItems" else name.replace("DynamoDB", value)


def _text(descriptor: int) -> str:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode("utf-8", "replace")


def _call_name(request: str, *, full: bool = False) -> str:
    """Name a call without a target header: a call of Connect, with its full path or not, or the response."""
    method, path = request.split(" ", 1)
    if "cloudformation" in path and "connect" not in path.partition("/")[0] and method == "PUT":
        return "response"
    return f"connect.{method} {path}" if full else f"connect.{method} /{path.strip('/').partition('/')[0]}"


def destination_record(event: dict[str, Any], error: dict[str, Any] | None, attempts: int) -> dict[str, Any]:
    """Return the record that Lambda sends to the queue after its last retry."""
    message = (error or {}).get("message", "RequestId: 0 Error: Runtime exited with error: signal: killed")
    record = failure_record(
        event, RuntimeError(message), request_id="0", function_arn="arn:aws:lambda:example", attempts=attempts
    )
    if error:
        record["responsePayload"] |= {"errorType": error["type"], "stackTrace": error["trace"]}
    return record
