"""Delivers one event twice, as Lambda occasionally does with an asynchronous invocation."""

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
from local.demo.expectations import StepFailed

_TIMEOUT = 60.0  # seconds until the responses must arrive; about three are needed


class ResponseServer(ThreadingHTTPServer):
    """HTTPS server on loopback that receives responses, in place of CloudFormation's S3 bucket."""

    daemon_threads = True

    def __init__(self, certificate: str, key: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self._received = threading.Condition()
        self._bodies: dict[str, list[bytes]] = {}
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @override
    def __enter__(self) -> Self:
        return self

    @override
    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def url(self) -> str:
        """Return a new ResponseURL in the form of a signed URL."""
        date = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        return f"https://{self.host}/{uuid.uuid4()}?X-Amz-Date={date}&X-Amz-Expires=7200&X-Amz-Signature=none"

    def receive(self, path: str, body: bytes) -> None:
        """Store a response."""
        with self._received:
            self._bodies.setdefault(f"https://{self.host}{path}", []).append(body)
            self._received.notify_all()

    def wait(self, url: str, count: int) -> list[bytes]:
        """Wait for `count` responses to the URL and return their bodies."""
        with self._received:
            if not self._received.wait_for(lambda: len(self._bodies.get(url, [])) >= count, _TIMEOUT):
                actual = f"{len(self._bodies.get(url, []))} responses"
                raise StepFailed(f"{count} responses within {_TIMEOUT:.0f} s", actual)
            return list(self._bodies[url])


class _Handler(BaseHTTPRequestHandler):
    server: ResponseServer

    def do_PUT(self) -> None:
        self.server.receive(self.path, self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def create_event(service_token: str, resource_type: str, url: str, **properties: Any) -> dict[str, Any]:
    """Return the Create request of a resource `Number`."""
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


def deliver(aws: LocalAws, event: dict[str, Any], *, times: int) -> None:
    """Invoke the provider asynchronously with the event, `times` times at once."""
    barrier = threading.Barrier(times)
    payload = json.dumps(event).encode()

    def invoke(client: Any) -> None:
        barrier.wait()
        client.invoke(FunctionName=event["ServiceToken"], InvocationType="Event", Payload=payload)

    with ThreadPoolExecutor(times) as pool:
        list(pool.map(invoke, [aws.client("lambda") for _ in range(times)]))
