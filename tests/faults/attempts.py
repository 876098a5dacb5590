"""One run of a Lambda function in a process of its own, and what befalls it at a chosen outside call.

The process is forked from one that has imported everything, or is a fresh interpreter (`python -m
tests.faults.attempts`). The hooks sit on http.client, below botocore and urllib3 alike: the provider is not touched,
and a call that is added to it is found by itself.
"""

from __future__ import annotations

import functools
import gc
import http.client
import importlib
import json
import logging
import os
import pkgutil
import random
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self, SupportsIndex, cast

import attrs
import time_machine
import urllib3
from botocore.httpsession import URLLib3Session

from tests.contract.cloudformation.destination import failure_record, sqs_event
from tests.faults import mutations
from tests.faults.timeline import Timeline

Kind = Literal["kill", "stop", "reset", "lose", "error", "throttle"]
SECONDS = 300.0
"""What Lambda gives an attempt here: more than any needs, and more than its retries take beside one that is stopped."""
_REAL_LIMIT = 30
"""Seconds of real time after which an attempt counts as hanging."""
_DEFECT = 70
_TURN = b'"pk": {"S": "rate"}'
"""In the body of a write to the state table that takes a turn in the account's rate, and changes nothing else."""
_SETTINGS = {
    "LEASE_DURATION_SECONDS": "1",
    "POLL_INTERVAL_SECONDS": "0.1",
    "RETRY_PERIOD_SECONDS": "2.5",
    "RESPONSE_MARGIN_SECONDS": "2",
    "SERVICE_TIMEOUT_MARGIN_SECONDS": "120",
    "POWERTOOLS_METRICS_NAMESPACE": "cfn-telephony",
    "POWERTOOLS_SERVICE_NAME": "cfn-telephony",
    "POWERTOOLS_LOG_LEVEL": "DEBUG",
    "ALLOW_SWEEP_RELEASE": "true",
    "CALL_RATES": "*=2",
}


@attrs.frozen
class Blow:
    """What happens at the outside call number `call`, counted from 0, before it or after its effect.

    kill and stop are signals. reset and lose break the connection `times` calls long: before the effect, or after it.
    error and throttle are answers of the service itself, without the effect, to this call and to `times` - 1 more of
    the same operation.
    """

    kind: Kind
    call: int
    after: bool = False
    times: int = 1

    def __str__(self) -> str:
        more = f"x{self.times}" if self.times > 1 else ""
        return f"{self.kind}{'+' if self.after else '-'}{self.call}{more}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what __str__ wrote: kill+4, reset-3x9."""
        found = re.fullmatch(r"([a-z]+)([+-])(\d+)(?:x(\d+))?", text)
        if found is None:
            raise ValueError(f"{text} is no blow: kill+4, reset-3x9")
        return cls(cast("Kind", found[1]), int(found[3]), after=found[2] == "+", times=int(found[4] or 1))


@attrs.frozen
class Order:
    """What one process is to do. timeline: the path of the one that it lives by."""

    event: dict[str, Any]
    timeline: str
    function: Literal["provider", "continuation", "sweep"] = "provider"
    blow: Blow | None = None
    second: Blow | None = None
    """Where the blow does not end it: another one."""
    mutation: str | None = None
    alone: bool = True
    """Nobody works at the same time, so that a sleep need not be slept: it moves the clock of all."""


@attrs.frozen
class Call:
    """One outside call, as the child noted it; answered is None where it did not come back."""

    name: str
    answered: int | None


@attrs.frozen
class End:
    """How an attempt ended. error: what the runtime reports of an exception."""

    how: Literal["returned", "raised", "killed", "stopped", "hanging"]
    calls: list[Call]
    log: str
    error: dict[str, Any] | None = None
    result: Any = None


class _Time:
    """The child's clock, which follows the timeline.

    It stands still but for what is slept: which call finds its turn taken must not depend on how fast the machine is.
    Where two work at the same moment it runs on, and a sleep is a sleep.
    """

    def __init__(self, timeline: Timeline, *, alone: bool) -> None:
        self._timeline = timeline
        self._offset = timeline.offset
        self._clock = time_machine.travel(timeline.now, tick=not alone).start()
        if alone:
            time.sleep = self.sleep

    def follow(self) -> None:
        """Catch up with what others have moved."""
        self._clock.shift(self._timeline.offset - self._offset)
        self._offset = self._timeline.offset

    def sleep(self, seconds: SupportsIndex | float) -> None:
        """Let the time pass at once."""
        self._timeline.advance(float(seconds))
        self.follow()


class Wire:
    """The hooks, in the child."""

    def __init__(self, order: Order, notes: int, clock: _Time) -> None:
        self._blows = [blow for blow in (order.blow, order.second) if blow is not None]
        self._notes = notes
        self._time = clock
        self._count = -1

    def install(self) -> None:
        connection = http.client.HTTPConnection
        before, header = connection.putrequest, connection.putheader
        body, after = connection.send, connection.getresponse
        wire = self

        def putrequest(self: Any, method: str, url: str, *args: Any, **more: Any) -> None:
            wire._count += 1
            wire.note("call", f"{method} {url.partition('?')[0]}")
            wire.strike(after=False)
            before(self, method, url, *args, **more)

        def putheader(self: Any, name: Any, *values: Any) -> None:
            if str(name).lower() == "x-amz-target":
                value = values[0]
                wire.note("target", value.decode() if isinstance(value, bytes) else str(value))
            header(self, name, *values)

        def send(self: Any, data: Any) -> None:
            if isinstance(data, bytes | bytearray) and _TURN in data:
                wire.note("turn", True)
            body(self, data)

        def getresponse(self: Any) -> Any:
            answer = after(self)
            wire.note("answered", answer.status)
            wire.strike(after=True)
            return answer

        for hook in (putrequest, putheader, send, getresponse):
            setattr(connection, hook.__name__, hook)

    def note(self, what: str, value: Any) -> None:
        os.write(self._notes, (json.dumps([what, value]) + "\n").encode())

    def strike(self, *, after: bool) -> None:
        for blow in self._blows:
            if blow.after is after and blow.call <= self._count < blow.call + blow.times:
                self._fall(blow)

    def _fall(self, blow: Blow) -> None:
        if blow.kind in {"kill", "stop"}:
            os.kill(os.getpid(), signal.SIGKILL if blow.kind == "kill" else signal.SIGSTOP)
            self._time.follow()
        elif blow.kind in {"reset", "lose"}:
            raise ConnectionResetError(104, "Connection reset by peer")


class _Context:
    function_name = "provider"
    aws_request_id = "00000000-0000-4000-8000-000000000000"

    def __init__(self) -> None:
        self._until = time.time() + SECONDS

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._until - time.time()) * 1000))


def prepare(environment: Mapping[str, str]) -> None:
    """Import everything, and make what a warm container has, without a connection."""
    os.environ.update(environment)
    os.environ.update(_SETTINGS)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    handler = logging.StreamHandler(sys.stdout)  # The runtime's own, which everything else is logged to.
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG)
    import telephony  # noqa: PLC0415 - reads the environment

    for module in pkgutil.walk_packages(telephony.__path__, "telephony."):
        imported = importlib.import_module(module.name)
        for value in list(vars(imported).values()):
            if isinstance(value, functools._lru_cache_wrapper) and value.__module__ == module.name:
                value()


def warm(orders: Iterator[Order]) -> None:
    """Serve a few events in this process, as a warm container has: what is cached then, no child does again.

    Raise RuntimeError if a connection stays open: all children would speak on it.
    """
    before = _sockets()
    with _silent():
        for order in orders:
            handler = importlib.import_module(f"telephony.handlers.{order.function}").handler
            with time_machine.travel(Timeline(order.timeline).now, tick=True):
                handler(order.event, _Context())
    for found in gc.get_objects():
        if isinstance(found, URLLib3Session):
            found.close()
        elif isinstance(found, urllib3.PoolManager):
            found.clear()
    gc.collect()
    gc.freeze()
    if _sockets() != before:
        raise RuntimeError("The process that forks the others has left a connection open.")


def _sockets() -> int:
    descriptors = Path("/proc/self/fd")
    return sum(link.is_socket() for link in descriptors.iterdir())


@contextmanager
def _silent() -> Iterator[None]:
    """What is written to the standard output inside goes nowhere."""
    sys.stdout.flush()
    kept = os.dup(1)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
        sys.stdout.flush()
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def perform(order: Order, notes: int) -> None:
    """Do it, in this process: an exception is told as Lambda's runtime tells it, and ends nothing here."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_REAL_LIMIT)
    gc.disable()  # It would touch, and thereby copy, every page of the parent's.
    random.seed()
    wire = Wire(order, notes, _Time(Timeline(order.timeline), alone=order.alone))
    if order.mutation:
        mutations.MUTATIONS[order.mutation]()
    wire.install()
    handler = importlib.import_module(f"telephony.handlers.{order.function}").handler
    try:
        wire.note("returned", handler(order.event, _Context()))
    except Exception as error:  # noqa: BLE001 - whatever it is
        trace = traceback.format_exception(error)
        print("[ERROR]", *trace, sep="\n")  # noqa: T201 - so does the runtime
        wire.note("raised", {"type": type(error).__name__, "message": str(error), "trace": trace})
    sys.stdout.flush()


class Attempt:
    """A child process under way."""

    def __init__(self, order: Order, *, fresh: bool = False) -> None:
        self._notes = os.memfd_create("notes")
        self._log = os.memfd_create("log")
        self._stopped = False
        self._process: subprocess.Popen[bytes] | None = None
        if fresh:
            os.set_inheritable(self._notes, True)
            self._process = subprocess.Popen(  # noqa: S603 - this module itself
                [sys.executable, "-m", "tests.faults.attempts", str(self._notes), json.dumps(attrs.asdict(order))],
                stdout=self._log,
                stderr=self._log,
                pass_fds=[self._notes],
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
                perform(order, self._notes)
                os._exit(0)
            except BaseException:  # noqa: BLE001 - the harness's own, since the handler's are caught
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(_DEFECT)

    def wait(self) -> End:
        """Wait until it ends or stops."""
        _, status = os.waitpid(self._pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            self._stopped = True
            return self._end("stopped")
        if self._process is not None:
            self._process.returncode = 0  # Waited for here.
        how: Literal["returned", "killed", "hanging"] = "returned"
        if os.WIFSIGNALED(status):
            how = "hanging" if os.WTERMSIG(status) == signal.SIGALRM else "killed"
        end = self._end(how)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            raise RuntimeError(f"the harness failed in the child:\n{end.log[-2000:]}")
        os.close(self._notes)
        os.close(self._log)
        return end

    def resume(self) -> End:
        """Let one that is stopped go on, to its end."""
        self._stopped = False
        os.kill(self._pid, signal.SIGCONT)
        return self.wait()

    def end(self) -> None:
        """End it, if it has not ended."""
        if self._stopped:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._stopped = False

    def _end(self, how: Literal["returned", "killed", "stopped", "hanging"]) -> End:
        names: list[str] = []
        answered: dict[int, int] = {}
        error: dict[str, Any] | None = None
        result = None
        for line in _text(self._notes).splitlines():
            what, value = json.loads(line)
            if what == "call":
                names.append(_name(value))
            elif what == "target":
                names[-1] = value.partition(".")[0].partition("_")[0] + "." + value.rpartition(".")[2]
            elif what == "answered":
                answered[len(names) - 1] = value
            elif what == "turn":
                names[-1] = names[-1].replace("DynamoDB.UpdateItem", "turn.UpdateItem")  # Not a part of a transaction.
            elif what == "returned":
                result = value
            else:
                error = value
        calls = [Call(name, answered.get(index)) for index, name in enumerate(names)]
        return End("raised" if error else how, calls, _text(self._log), error, result)


def _text(descriptor: int) -> str:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode("utf-8", "replace")


def _name(request: str) -> str:
    """A call that has no target header: Connect's, or the answer."""
    method, path = request.split(" ", 1)
    if "cloudformation" in path and "connect" not in path.partition("/")[0] and method == "PUT":
        return "answer"
    return f"connect.{method} /{path.strip('/').partition('/')[0]}"


def record_of(event: dict[str, Any], error: dict[str, Any] | None, attempts: int) -> dict[str, Any]:
    """What the on-failure queue holds of an event, and hands to the last resort."""
    told = (error or {}).get("message", "RequestId: 0 Error: Runtime exited with error: signal: killed")
    record = failure_record(
        event, RuntimeError(told), request_id="0", function_arn="arn:aws:lambda:example", attempts=attempts
    )
    if error:
        record["responsePayload"] |= {"errorType": error["type"], "stackTrace": error["trace"]}
    return sqs_event(record)


def _main(notes: str, order: str) -> None:
    read = json.loads(order)
    for name in ("blow", "second"):
        read[name] = Blow(**read[name]) if read[name] else None
    prepare({})
    perform(Order(**read), int(notes))


if __name__ == "__main__":
    _main(*cast("tuple[str, str]", tuple(sys.argv[1:])))
