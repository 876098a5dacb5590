"""Simulates the S3 bucket behind a ResponseURL, as an HTTPS server.

It rejects
- a URL that it didn't issue: 403, because the signature covers path and query;
- a URL older than X-Amz-Expires: 403 (S3 User Guide, "Working with presigned URLs");
- any method except PUT: 403, because the signature covers the method;
- a non-empty content type: 403. URLs in the older form (AWSAccessKeyId, Expires, Signature) sign an empty content type;
  the newer form signs only the host. (cfn-response, in the CloudFormation User Guide, sends `content-type: ''`.)
- a body without Content-Length: 411 (S3, "Error responses", MissingContentLength).

A URL stays valid after its request is complete, because S3 doesn't know stacks. CloudFormation uses the first response
(see `ResponseSink.subscribe`).
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
from typing import Any, Literal, Self
from urllib.parse import quote, urlencode

import trustme

EXPIRES_SECONDS = 7200

Mode = Literal["403", "404", "503", "307", "slow", "silent", "reset"]
"""`slow`: stored at once, acknowledged `seconds` later. `silent`: not stored, never answered. `reset`: not stored,
connection reset. 403, 404, 503 and 307: not stored, S3's response with that status."""


@dataclass(frozen=True)
class Put:
    """One HTTP request to the server."""

    request_id: str | None
    path: str
    body: bytes
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


class ResponseSink:
    """Issues ResponseURLs and records the requests to them. Use as a context manager.

    `ca` signs the certificate; clients trust it through `ca_file`. `now` returns epoch seconds.
    """

    def __init__(self, ca: trustme.CA | None = None, *, now: Callable[[], float] = lambda: time.time()) -> None:  # noqa: PLW0108 - looks up time.time at each call, so that time_machine applies
        self._now = now
        self._lock = threading.Lock()
        self._issued: dict[str, _Issued] = {}
        self._puts: list[Put] = []
        self._faults: list[_Fault] = []
        self._listeners: dict[str, Callable[[bytes], None]] = {}
        self._published: dict[str, bytes] = {}
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

    def __exit__(self, *_: object) -> None:
        """Stop the server and close its connections. The records stay readable."""
        self.closing.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join(5)
        self._directory.cleanup()

    def url_for(self, stack_id: str, logical_id: str, request_id: str, issued_at: datetime | None = None) -> str:
        """Return a signed URL for this request, valid for two hours from `issued_at` (aware; default: now).

        The path is StackId|LogicalResourceId|RequestId, percent-encoded except for slashes (example: sst issue 3539).
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

    def publish(self, body: bytes) -> str:
        """Return a signed URL that returns this body to a GET, as the payload of a Hook is passed."""
        url = self.url_for("payload", "hook", secrets.token_hex(8))
        self._published[url.removeprefix(f"https://{self.host}")] = body
        return url

    def published(self, target: str) -> bytes | None:
        """Return the body behind a signed URL."""
        return self._published.get(target)

    def subscribe(self, request_id: str, first: Callable[[bytes], None]) -> None:
        """Call `first`, in the server's thread, with the body of the first response to the request."""
        self._listeners[request_id] = first

    def fail_next(self, request_id: str | None, mode: Mode, times: int = 1, *, seconds: float = 1.0) -> None:
        """Make the next `times` PUTs of this request (None: of any) fail. `seconds` is the delay of `slow`."""
        self._faults.append(_Fault(request_id, mode, times, seconds))

    @property
    def puts(self) -> list[Put]:
        """Every request to the server, including rejected ones, in order."""
        with self._lock:
            return list(self._puts)

    @property
    def signatures(self) -> list[str]:
        """The signature of every issued URL, which no log, table or exception may contain."""
        with self._lock:
            return [issued.signature for issued in self._issued.values()]

    def raw(self, request_id: str) -> list[bytes]:
        """The bodies of all PUTs for the request, in order, stored or not."""
        return [put.body for put in self.puts if put.request_id == request_id]

    def responses(self, request_id: str) -> list[Any]:
        """The stored responses to the request, parsed, in order. Raises ValueError if one isn't JSON."""
        return [json.loads(put.body) for put in self.puts if put.request_id == request_id and put.stored]

    def receive(self, method: str, target: str, content_type: str, body: bytes | None) -> tuple[Mode | str, float]:
        """Record a request. Return a status or a mode, and the delay of `slow`."""
        with self._lock:
            issued = self._issued.get(target)
            request_id = issued.request_id if issued else None
            fault = next((f for f in self._faults if f.times > 0 and f.request_id in (None, request_id)), None)
            if fault:
                fault.times -= 1
            allowed = issued is not None and method == "PUT" and not content_type and self._now() <= issued.expires_at
            verdict = ("411" if body is None else "200") if allowed else "403"
            verdict = fault.mode if fault else verdict
            stored = verdict in ("200", "slow")
            self._puts.append(Put(request_id, target, body or b"", stored))
            listener = self._listeners.pop(request_id, None) if stored and request_id else None
        if listener and body is not None:
            listener(body)
        return verdict, fault.seconds if fault else 0.0


class _Server(ThreadingHTTPServer):
    """Runs the TLS handshake in the connection's thread, so that a silent client doesn't block the others."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, sink: ResponseSink, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sink = sink
        self._context = context
        self._open: set[ssl.SSLSocket] = set()

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self._context.wrap_socket(request, server_side=True) as connection:
            self._open.add(connection)
            try:
                _Handler(connection, client_address, self)
            finally:
                self._open.discard(connection)

    def close_connections(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: tests close connections and distrust the certificate on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_PUT(self) -> None:
        sink = self.server.sink
        length = self.headers.get("content-length")
        body = None if length is None else self.rfile.read(int(length))
        if length is None:
            self._drain()
        verdict, seconds = sink.receive(self.command, self.path, self.headers.get("content-type", ""), body)
        if verdict == "silent":
            sink.closing.wait()
            self.close_connection = True
        elif verdict == "reset":
            self._reset()
        else:
            sink.closing.wait(seconds if verdict == "slow" else 0)
            self._answer(200 if verdict == "slow" else int(verdict))

    do_POST = do_PUT  # noqa: N815 - http.server's name

    def do_GET(self) -> None:
        body = self.server.sink.published(self.path)
        if body is None:
            self._answer(403)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        if status == 307:
            self.send_header("Location", f"https://{self.server.sink.host}/redirected{self.path}")
        if status == 411:  # the start of the next request is unknown
            self.send_header("Connection", "close")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _drain(self) -> None:
        """Read the body: closing a connection with unread bytes would reset it."""
        self.connection.settimeout(0.1)
        with suppress(TimeoutError):
            while self.rfile.read1():
                pass

    def _reset(self) -> None:
        with socket.socket(fileno=self.connection.detach()) as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Print nothing: the request line contains the signature."""
