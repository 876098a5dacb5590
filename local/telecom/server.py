"""HTTP or HTTPS server on one port: the telecom services, moto's DynamoDB, and a status page."""

import json
import logging
import socket
import ssl
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, override

from moto.core.request import Request

from local.telecom import held, world
from local.telecom.clock import Clock
from local.telecom.dispatch import (
    Answer,
    Service,
    answer,
    error_code,
    fault_response,
    in_progress_response,
    refusal,
    service_of,
    token_of,
)
from local.telecom.faults import Fault, take
from local.telecom.options import Options

_PAGE = "/_telecom"


@dataclass
class Call:
    """A received call. `error` is the error code of the response, `fault` the kind of the injected fault."""

    service: str  # boto3's client name
    operation: str
    at: float
    token: str | None = None
    ok: bool | None = None  # None: no response was sent
    error: str | None = None
    fault: str | None = None


@dataclass
class _SlowCall:
    """A call that is executed when it is `due`."""

    due: float
    service: Service
    request: Request
    call: Call


class TelecomServer:
    """A server with its own world: `with TelecomServer() as server: client(..., endpoint_url=server.url)`."""

    def __init__(
        self,
        options: Options | None = None,
        ssl_context: ssl.SSLContext | None = None,
        *,
        port: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self.world = world.World(options, clock)
        self.clock = self.world.clock
        self._log: list[Call] = []
        self._faults: list[Fault] = []
        self._slow: list[_SlowCall] = []
        self._ended = threading.Event()
        """Ends the calls that hang, which are then not executed: the server was reset or stopped."""
        # One call at a time: moto's backends are not thread-safe, and conditional writes must be atomic.
        self._lock = threading.RLock()
        self._http = _Listener(("127.0.0.1", port), self, ssl_context)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start to serve. moto logs each step of its expression parser at DEBUG: log its warnings and errors only."""
        logging.getLogger("moto").setLevel(logging.WARNING)
        self._thread.start()

    def stop(self) -> None:
        """Stop the server; open connections are closed and hanging calls end."""
        self._ended.set()
        self._http.shutdown()
        self._http.close_connections()
        self._http.server_close()
        self._thread.join()

    def join(self) -> None:
        """Wait until the server stops."""
        self._thread.join()

    @property
    def url(self) -> str:
        """The endpoint of all services."""
        host, port = self._http.server_address[:2]
        return f"{'https' if self._http.ssl_context else 'http'}://{host!s}:{port}"

    @property
    def options(self) -> Options:
        """The current options."""
        return self.world.options

    @options.setter
    def options(self, options: Options) -> None:
        self.world.options = options

    def configure(self, **values: Any) -> None:
        """Change some options."""
        self.world.options = self.world.options.changed(values)

    def held(self) -> dict[str, list[dict[str, Any]]]:
        """Return phone_numbers, sender_ids, connect_numbers and pools that are not released."""
        with self._lock, world.entered(self.world):
            self._execute_due()
            return held.held()

    def calls(self) -> dict[str, int]:
        """Return the number of calls by `service.Operation`; `service` is boto3's client name."""
        return dict(Counter(f"{call.service}.{call.operation}" for call in list(self._log)))

    def log(self) -> list[dict[str, Any]]:
        """Return all calls in order, as dictionaries with the fields of Call."""
        return [asdict(call) for call in list(self._log)]

    def fault(self, service: str, operation: str, kind: str, **more: Any) -> None:
        """Inject a fault into the next calls of the operation; see faults.Fault."""
        fault = Fault.read({"service": service, "operation": operation, "kind": kind, **more})
        with self._lock:
            self._faults.append(fault)

    def faults(self) -> list[dict[str, Any]]:
        """Return the pending faults."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def clear_faults(self) -> None:
        """Remove all pending faults."""
        with self._lock:
            self._faults.clear()

    def reset(self) -> None:
        """Delete all resources, calls and faults, and end the calls that hang; options and clock are kept."""
        with self._lock:
            self.world.clear()
            self._log.clear()
            self._faults.clear()
            self._slow.clear()
            self._ended.set()
            self._ended = threading.Event()

    def page(self) -> dict[str, Any]:
        """Return the content of GET /_telecom."""
        resources = self.held()
        counts = {name: len(held) for name, held in resources.items() if name != "pools"}
        return {"held": resources, "counts": counts, "calls": self.calls(), "log": self.log()}

    def serve(self, request: Request) -> Answer | Fault:
        """Execute an AWS call. Returns the response, or the fault that ends the connection."""
        service = service_of(request.headers)
        if service is None:
            message = "The request is not signed for a service of this server."
            return refusal("UnknownService", message, HTTPStatus.NOT_FOUND)
        operation = service.operation_of(request) or f"{request.method} {request.path}"
        call = Call(service.name, operation, self.clock.now(), token_of(request))
        with self._lock:
            self._log.append(call)
            fault = take(self._faults, service.name, operation)
        if fault:
            return self._inject(service, operation, request, call, fault)
        return self._execute(service, request, call)

    def _inject(self, service: Service, operation: str, request: Request, call: Call, fault: Fault) -> Answer | Fault:
        call.fault = fault.kind
        if fault.kind in ("throttle", "error"):
            if fault.when == "after":
                self._execute(service, request, call)
            response = fault_response(service, operation, fault)
            call.ok, call.error = False, error_code(*response)
            return response
        if fault.kind == "reset":
            return fault
        if fault.kind == "slow":
            with self._lock:
                self._slow.append(_SlowCall(self.clock.now() + fault.seconds, service, request, call))
            return fault
        ended = self._ended
        if fault.kind == "hang" and fault.when == "before":
            ended.wait(fault.seconds)
        with self._lock:
            if ended.is_set():
                return fault
            response = self._execute(service, request, call)
        if fault.kind == "hang" and fault.when == "after":
            ended.wait(fault.seconds)
        return fault if fault.kind == "lose_answer" else response

    def _execute(self, service: Service, request: Request, call: Call) -> Answer:
        with self._lock, world.entered(self.world):
            self._execute_due()
            in_progress = call.token is not None and any(slow.call.token == call.token for slow in self._slow)
            response = in_progress_response(service, call.operation) if in_progress else answer(service, request)
        call.error = error_code(*response)
        call.ok = call.error is None
        return response

    def _execute_due(self) -> None:
        """Execute the slow calls that are due."""
        due = [slow for slow in self._slow if slow.due <= self.clock.now()]
        self._slow = [slow for slow in self._slow if slow not in due]
        for slow in due:
            answer(slow.service, slow.request)

    def manage(self, method: str, path: str, body: bytes) -> Answer:
        """Execute a call of the status page, faults, options or reset."""
        routes: dict[tuple[str, str], Callable[[], object]] = {
            ("GET", ""): self.page,
            ("GET", "/faults"): self.faults,
            ("POST", "/faults"): lambda: self.fault(**json.loads(body)),
            ("DELETE", "/faults"): self.clear_faults,
            ("GET", "/options"): self.options.as_json,
            ("POST", "/options"): lambda: self.configure(**json.loads(body)),
            ("POST", "/reset"): self.reset,
        }
        route = routes.get((method, path.removeprefix(_PAGE).rstrip("/")))
        if route is None:
            return refusal("NotFound", f"{method} {path}", HTTPStatus.NOT_FOUND)
        try:
            content = json.dumps(route(), indent=2, default=str).encode() + b"\n"
        except (ValueError, TypeError) as error:
            return refusal("BadRequest", str(error))
        return HTTPStatus.OK, {"Content-Type": "application/json"}, content


class _Listener(ThreadingHTTPServer):
    """Uses one thread per connection, and can close all connections."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], telecom: TelecomServer, ssl_context: ssl.SSLContext | None) -> None:
        super().__init__(address, _Handler)
        self.telecom = telecom
        self.ssl_context = ssl_context
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    @override
    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.ssl_context:
            # The handshake happens at the first read, in the connection's own thread.
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._guard:
            self._open.add(connection)
        return connection, address

    @override
    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore connection errors, which clients and faults cause; show a defect of this server."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    @property
    def has_connections(self) -> bool:
        """Whether any connection is open."""
        with self._guard:
            return bool(self._open)

    def close_connections(self) -> None:
        """Close all connections, which ends the threads that wait for requests."""
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with persistent connections. A response is written with one call."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        telecom, path = self.server.telecom, self.path.split("?")[0]
        if path.startswith(_PAGE):
            self._write(telecom.manage(self.command, path, body))
            return
        url = f"http://{self.headers.get('Host', 'localhost')}{self.path}"
        response = telecom.serve(Request.from_primitives(self.command, url, self.headers, body))
        if isinstance(response, Fault):
            self._disconnect(reset=response.kind == "reset")
        else:
            self._write(response)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _handle  # noqa: N815 - http.server's names

    def _write(self, response: Answer) -> None:
        status, headers, body = response
        head = [f"HTTP/1.1 {int(status)} {HTTPStatus(int(status)).phrase}"]
        own = {"content-length", "connection", "status", "transfer-encoding"}
        head += [f"{name}: {value}" for name, value in headers.items() if name.lower() not in own]
        head += [f"Content-Length: {len(body)}", "", ""]
        self.wfile.write("\r\n".join(head).encode("latin-1") + body)

    def _disconnect(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:  # SO_LINGER with 0 seconds: close sends RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        self.connection.shutdown(socket.SHUT_RDWR)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the status page lists the calls."""
