"""The other end of a ResponseURL: an HTTPS server that plays S3's part of a custom resource's answer.

What it refuses, and why:
- a URL that it did not issue, to the letter: 403, because path and query are signed;
- a URL older than X-Amz-Expires: 403 (S3 User Guide, "Working with presigned URLs");
- any method but PUT: the method is signed too;
- a non-empty content type: URLs in the older form (AWSAccessKeyId, Expires, Signature) sign Content-Type, which
  CloudFormation leaves empty, so `application/json` is 403 there; the newer form signs the host alone. The stricter of
  the two is played. (cfn-response, in the CloudFormation User Guide, sends `content-type: ''`.)
- a body without Content-Length: 411 MissingContentLength (S3, "Error responses").

A URL stays good after its request was answered or given up: S3 knows nothing of stacks. Which answer counts is
CloudFormation's business: the first (see `AnswerSink.subscribe`).
"""

import json
import secrets
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote, urlencode

import trustme

EXPIRES_SECONDS = 7200

Mode = Literal["403", "404", "503", "307", "slow", "silent", "reset"]
"""`slow`: stored at once, acknowledged `seconds` later. `silent`: read, never stored, never answered. `reset`: read,
never stored, connection reset. 403, 404, 503 and 307 are S3's answers of that status, nothing stored."""

_ERROR_CODES = {
    307: "TemporaryRedirect",
    403: "AccessDenied",
    404: "NoSuchBucket",
    411: "MissingContentLength",
    503: "SlowDown",
}
_STATUS: dict[str, int | None] = {"slow": 200, "silent": None, "reset": None}


@dataclass(frozen=True)
class Put:
    """One request that reached the server; `status` is what it was answered with, None if with nothing."""

    request_id: str | None
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    status: int | None
    stored: bool


@dataclass(frozen=True)
class _Issued:
    request_id: str
    signature: str
    expires_at: float


@dataclass
class _Fault:
    request_id: str | None
    mode: Mode
    times: int
    seconds: float


class AnswerSink:
    """Hands out ResponseURLs and records what is PUT to them. Use as a context manager, or `close()` it.

    `ca` signs its certificate (one is made if none is given); clients trust it through `ca_file`. `now` gives epoch
    seconds, for issue times and expiry.
    """

    def __init__(self, ca: trustme.CA | None = None, *, now: Callable[[], float] = lambda: time.time()) -> None:  # noqa: PLW0108 - looked up at each call, so that a moved clock is seen
        self._now = now
        self._lock = threading.Lock()
        self._issued: dict[str, _Issued] = {}
        self._puts: list[Put] = []
        self._faults: list[_Fault] = []
        self._listeners: dict[str, Callable[[bytes], None]] = {}
        self.closing = threading.Event()
        authority = ca or trustme.CA()
        self._directory = tempfile.TemporaryDirectory(prefix="answers-")
        self.ca_file = str(Path(self._directory.name) / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        self._server = _Server(self, context)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="answers", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the server and every connection to it; what was recorded stays readable."""
        self.closing.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()
        self._directory.cleanup()

    def url_for(self, stack_id: str, logical_id: str, request_id: str, issued_at: datetime | None = None) -> str:
        """A new signed URL for this request, good for two hours from `issued_at` (aware; default: now).

        Its form is that of URLs seen in the field (sst issue 3539): the path is StackId|LogicalResourceId|RequestId,
        percent-encoded but for the slashes.
        """
        issued = datetime.fromtimestamp(self._now(), UTC) if issued_at is None else issued_at.astimezone(UTC)
        signature = secrets.token_hex(32)
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Date": issued.strftime("%Y%m%dT%H%M%SZ"),
            "X-Amz-SignedHeaders": "host",
            "X-Amz-Expires": str(EXPIRES_SECONDS),
            "X-Amz-Credential": f"AKIAIOSFODNN7EXAMPLE/{issued:%Y%m%d}/us-east-1/s3/aws4_request",
            "X-Amz-Signature": signature,
        }
        target = f"/{quote(f'{stack_id}|{logical_id}|{request_id}')}?{urlencode(query)}"
        with self._lock:
            self._issued[target] = _Issued(request_id, signature, issued.timestamp() + EXPIRES_SECONDS)
        return f"https://{self.host}{target}"

    def subscribe(self, request_id: str, first: Callable[[bytes], None]) -> None:
        """Have `first` called, in the server's thread, with the body of the first answer to come in for the request."""
        with self._lock:
            self._listeners[request_id] = first

    def fail_next(self, request_id: str | None, mode: Mode, times: int = 1, *, seconds: float = 1.0) -> None:
        """Let the next `times` PUTs of this request (None: of any) go wrong; `seconds` is the delay of `slow`."""
        with self._lock:
            self._faults.append(_Fault(request_id, mode, times, seconds))

    @property
    def puts(self) -> list[Put]:
        """Every request that reached the server, refused ones too, in order."""
        with self._lock:
            return list(self._puts)

    @property
    def signatures(self) -> list[str]:
        """The secret part of every URL issued: what no log, table or exception may hold."""
        with self._lock:
            return [issued.signature for issued in self._issued.values()]

    def raw(self, request_id: str) -> list[bytes]:
        """The body of every PUT for the request, in order, stored or not."""
        return [put.body for put in self.puts if put.request_id == request_id]

    def answers(self, request_id: str) -> list[Any]:
        """The parsed bodies that were stored for the request, in order. Raises ValueError if one is not JSON."""
        return [json.loads(put.body) for put in self.puts if put.request_id == request_id and put.stored]

    def receive(
        self, method: str, target: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[Mode | str, float]:
        """Record a request and say how to answer it: a status or a mode, and the seconds to wait before answering."""
        with self._lock:
            issued = self._issued.get(target)
            request_id = issued.request_id if issued else None
            fault = self._next_fault(request_id)
            verdict = fault.mode if fault else _refusal(method, issued, headers, body, self._now()) or "200"
            stored = verdict in ("200", "slow")
            status = _STATUS[verdict] if verdict in _STATUS else int(verdict)
            self._puts.append(Put(request_id, target, headers, body or b"", self._now(), status, stored))
            listener = self._listeners.pop(request_id, None) if stored and request_id else None
        if listener and body is not None:
            listener(body)
        return verdict, fault.seconds if fault else 0.0

    def _next_fault(self, request_id: str | None) -> _Fault | None:
        for fault in self._faults:
            if fault.times > 0 and fault.request_id in (None, request_id):
                fault.times -= 1
                return fault
        return None


def _refusal(
    method: str, issued: _Issued | None, headers: dict[str, str], body: bytes | None, now: float
) -> str | None:
    """The status that S3 refuses this request with, or None; the rules stand at the head of this module."""
    if issued is None or method != "PUT" or headers.get("content-type") or now > issued.expires_at:
        return "403"
    return "411" if body is None else None


class _Server(ThreadingHTTPServer):
    """TLS is spoken in the connection's own thread, so that a silent client does not keep the others waiting."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, sink: AnswerSink, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sink = sink
        self._context = context
        self._open: set[ssl.SSLSocket] = set()
        self._open_lock = threading.Lock()

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self._context.wrap_socket(request, server_side=True) as connection:
            with self._open_lock:
                self._open.add(connection)
            try:
                _Handler(connection, client_address, self)
            finally:
                with self._open_lock:
                    self._open.discard(connection)

    def close_connections(self) -> None:
        with self._open_lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up, or does not trust the certificate, is an ordinary event here: nothing to print."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave in one piece: two would wait for each other (Nagle, delayed ACK)
    server: _Server

    def do_PUT(self) -> None:
        sink = self.server.sink
        length = self.headers.get("content-length")
        body = None if length is None else self.rfile.read(int(length))
        if length is None:
            self._drain()
        headers = {name.lower(): value for name, value in self.headers.items()}
        verdict, seconds = sink.receive(self.command, self.path, headers, body)
        if verdict == "silent":
            sink.closing.wait()
            self.close_connection = True
        elif verdict == "reset":
            self._reset()
        else:
            sink.closing.wait(seconds if verdict == "slow" else 0)
            self._answer(200 if verdict == "slow" else int(verdict))

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT  # noqa: N815 - http.server's names

    def _answer(self, status: int) -> None:
        code = _ERROR_CODES.get(status)
        body = f"<Error><Code>{code}</Code></Error>".encode() if code and self.command != "HEAD" else b""
        self.send_response(status)
        if status == 307:
            self.send_header("Location", f"https://{self.server.sink.host}/redirected{self.path}")
        if status == 411:  # where the next request would begin is not known
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drain(self) -> None:
        """Read away a body of unknown length: closing with bytes unread would reset the connection instead."""
        self.connection.settimeout(0.1)
        with suppress(TimeoutError):
            while self.rfile.read1():
                pass

    def _reset(self) -> None:
        with socket.socket(fileno=self.connection.detach()) as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Keep silent: a request line holds the signature."""
