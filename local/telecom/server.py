"""The telecom services, and moto's DynamoDB, over HTTP or HTTPS on one port of the loopback interface."""

import json
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, override

from moto.core.request import Request

from local.telecom import held, world
from local.telecom.calls import Call, CallLog
from local.telecom.clock import Clock
from local.telecom.dispatch import Answer, Service, answer, error_code, fault_answer, refusal, service_of, token_of
from local.telecom.faults import Fault, Faults
from local.telecom.options import Options

_PAGE = "/_telecom"


class TelecomServer:
    """A world of its own behind a port: `with TelecomServer() as server: client(..., endpoint_url=server.url)`."""

    def __init__(
        self,
        options: Options | None = None,
        ssl_context: ssl.SSLContext | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self.world = world.World(options, clock)
        self.clock = self.world.clock
        self._log = CallLog()
        self._faults = Faults()
        # One call at a time: moto's backends are not made for threads, and conditional writes have to be atomic.
        self._lock = threading.RLock()
        self._http = _Listener((host, port), self, ssl_context)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering; open connections are closed and hanging calls end."""
        self._http.stopping.set()
        self._http.shutdown()
        self._http.close_connections()
        self._http.server_close()
        self._thread.join()

    def join(self) -> None:
        """Wait until somebody stops the server."""
        self._thread.join()

    @property
    def url(self) -> str:
        """The endpoint of every service here."""
        host, port = self._http.server_address[:2]
        return f"{'https' if self._http.ssl_context else 'http'}://{host!s}:{port}"

    @property
    def options(self) -> Options:
        """The switches; assign to change them."""
        return self.world.options

    @options.setter
    def options(self, options: Options) -> None:
        self.world.options = options

    def configure(self, **values: Any) -> None:
        """Change some options."""
        self.world.options = self.world.options.changed(values)

    def held(self) -> dict[str, list[dict[str, Any]]]:
        """Return what is held: phone_numbers, sender_ids, connect_numbers, pools."""
        with self._lock, world.entered(self.world):
            return held.held()

    def calls(self) -> dict[str, int]:
        """Return how often each `service.Operation` was called, service being boto3's client name."""
        return self._log.counts()

    def log(self) -> list[dict[str, Any]]:
        """Return the calls in order: service, operation, at, token, ok, error, fault."""
        return self._log.entries()

    def fault(self, service: str, operation: str, kind: str, **more: Any) -> None:
        """Make the next calls of the operation go wrong; see faults.Fault for `kind` and the rest."""
        fault = Fault.read({"service": service, "operation": operation, "kind": kind, **more})
        with self._lock:
            self._faults.add(fault)

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults that are still to come."""
        with self._lock:
            return self._faults.entries()

    def clear_faults(self) -> None:
        """Let everything work again."""
        with self._lock:
            self._faults.clear()

    def reset(self) -> None:
        """Forget what is held, called and to go wrong; options and clock stay."""
        with self._lock:
            self.world.clear()
            self._log.clear()
            self._faults.clear()

    def page(self) -> dict[str, Any]:
        """Return what GET /_telecom shows."""
        now_held = self.held()
        counted = ("phone_numbers", "sender_ids", "connect_numbers")
        return {
            "held": now_held,
            "counts": {name: len(now_held[name]) for name in counted},
            "calls": self.calls(),
            "log": self.log(),
        }

    def serve(self, request: Request) -> Answer | Fault:
        """Answer an AWS call; a Fault comes back where the connection has to go."""
        service = service_of(request.headers)
        if service is None:
            return refusal(
                "UnknownService", "The request is not signed for a service of this server.", HTTPStatus.NOT_FOUND
            )
        operation = service.operation_of(request) or f"{request.method} {request.path}"
        call = Call(service.name, operation, self.clock.now(), token_of(request))
        with self._lock:
            self._log.add(call)
            fault = self._faults.take(service.name, operation)
        if fault:
            return self._harm(service, operation, request, call, fault)
        return self._do(service, request, call)

    def _harm(self, service: Service, operation: str, request: Request, call: Call, fault: Fault) -> Answer | Fault:
        call.fault = fault.kind
        if fault.kind in ("throttle", "error"):
            harmed = fault_answer(service, operation, fault)
            call.ok, call.error = False, error_code(*harmed)
            return harmed
        if fault.kind == "reset":
            return fault
        if fault.kind == "hang" and fault.when == "before":
            self._http.stopping.wait(fault.seconds)
        done = self._do(service, request, call)
        if fault.kind == "hang" and fault.when == "after":
            self._http.stopping.wait(fault.seconds)
        return fault if fault.kind == "lose_answer" else done

    def _do(self, service: Service, request: Request, call: Call) -> Answer:
        with self._lock, world.entered(self.world):
            done = answer(service, request)
        call.error = error_code(*done)
        call.ok = call.error is None
        return done

    def manage(self, method: str, path: str, body: bytes) -> Answer:
        """Answer a call of the page, the faults, the options or the reset."""
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
            return _json(route())
        except (ValueError, TypeError) as error:
            return refusal("BadRequest", str(error))


def _json(value: object) -> Answer:
    body = json.dumps(value, indent=2, default=str).encode() + b"\n"
    return HTTPStatus.OK, {"Content-Type": "application/json"}, body


class _Listener(ThreadingHTTPServer):
    """One thread per connection; knows its connections, so that it can end them."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], telecom: TelecomServer, ssl_context: ssl.SSLContext | None) -> None:
        super().__init__(address, _Handler)
        self.telecom = telecom
        self.ssl_context = ssl_context
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    @override
    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.ssl_context:
            # The handshake comes with the first read, in the connection's own thread.
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
        """Stay silent about a client that left, a bad handshake, or a fault; show a defect of this server."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def close_connections(self) -> None:
        """Wake up the threads that wait for a next request."""
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with kept connections; an answer is written in one go."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        telecom = self.server.telecom
        if self.path.split("?")[0].startswith(_PAGE):
            self._write(telecom.manage(self.command, self.path.split("?")[0], body))
            return
        url = f"http://{self.headers.get('Host', 'localhost')}{self.path}"
        answered = telecom.serve(Request.from_primitives(self.command, url, self.headers, body))
        if isinstance(answered, Fault):
            self._cut(reset=answered.kind == "reset")
        else:
            self._write(answered)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _handle  # noqa: N815 - names that http.server looks for

    def _write(self, answered: Answer) -> None:
        status, headers, body = answered
        head = [f"HTTP/1.1 {int(status)} {HTTPStatus(int(status)).phrase}"]
        own = {"content-length", "connection", "status", "transfer-encoding"}
        head += [f"{name}: {value}" for name, value in headers.items() if name.lower() not in own]
        head += [f"Content-Length: {len(body)}", "", ""]
        self.wfile.write("\r\n".join(head).encode("latin-1") + body)

    def _cut(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:  # linger for 0 seconds: closing sends RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        self.connection.shutdown(socket.SHUT_RDWR)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: the log of calls is on the page."""
