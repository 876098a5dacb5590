"""One event, delivered twice: what Lambda does with an asynchronous invocation, now and then."""

from __future__ import annotations

import json
import ssl
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, override

from local.aws import REGION, LocalAws
from local.demo.expectations import Unmet

_PATIENCE = 60.0
"""Seconds until the answers have to be there; they take about three."""


class Mailbox:
    """Takes answers in the place of CloudFormation's bucket, over HTTPS on loopback."""

    def __init__(self, certificate: str, key: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._arrival = threading.Condition()
        self._bodies: dict[str, list[bytes]] = {}
        self._server = _Listener(self, context)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Itself; it listens already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self) -> str:
        """A ResponseURL, shaped like a signed one."""
        date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        return f"https://{self.host}/{uuid.uuid4()}?X-Amz-Date={date}&X-Amz-Expires=7200&X-Amz-Signature=none"

    def take(self, url: str, body: bytes) -> None:
        """Keep an answer."""
        with self._arrival:
            self._bodies.setdefault(url, []).append(body)
            self._arrival.notify_all()

    def wait(self, url: str, count: int) -> list[bytes]:
        """As many answers to the URL, as they came."""
        with self._arrival:
            if not self._arrival.wait_for(lambda: len(self._bodies.get(url, [])) >= count, _PATIENCE):
                raise Unmet(f"{count} answers within {_PATIENCE:.0f} s", f"{len(self._bodies.get(url, []))} answers")
            return list(self._bodies[url])


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, mailbox: Mailbox, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mailbox = mailbox
        self.socket = context.wrap_socket(self.socket, server_side=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.mailbox.take(f"https://{self.server.mailbox.host}{self.path}", body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


def create_event(service_token: str, resource_type: str, url: str, **properties: Any) -> dict[str, Any]:
    """What CloudFormation sends when the resource `Number` of a stack is created."""
    return {
        "RequestType": "Create",
        "RequestId": str(uuid.uuid4()),
        "StackId": f"arn:aws:cloudformation:{REGION}:123456789012:stack/delivered-twice/{uuid.uuid4()}",
        "ResponseURL": url,
        "ResourceType": resource_type,
        "LogicalResourceId": "Number",
        "ServiceToken": service_token,
        "ResourceProperties": {"ServiceToken": service_token, **properties},
    }


def delete_event(created: dict[str, Any], physical_id: str, url: str) -> dict[str, Any]:
    """What CloudFormation sends when that resource is deleted."""
    return created | {
        "RequestType": "Delete",
        "RequestId": str(uuid.uuid4()),
        "ResponseURL": url,
        "PhysicalResourceId": physical_id,
    }


def deliver(aws: LocalAws, event: dict[str, Any], *, times: int = 1) -> None:
    """Invoke the provider with the event, asynchronously, as often, at the same moment."""
    moment = threading.Barrier(times)
    payload = json.dumps(event).encode()

    def once(client: Any) -> None:
        moment.wait()
        client.invoke(FunctionName=event["ServiceToken"], InvocationType="Event", Payload=payload)

    with ThreadPoolExecutor(times) as pool:
        list(pool.map(once, [aws.client("lambda") for _ in range(times)]))
