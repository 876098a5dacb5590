"""Amazon SQS over HTTP: SendMessage and ChangeMessageVisibility of one queue, and what an event source mapping does.

Sources: Amazon SQS API Reference; Amazon SQS Developer Guide, "Amazon SQS message quotas" and "Amazon SQS visibility
timeout"; Lambda Developer Guide, "Using Lambda with Amazon SQS".
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from uuid import uuid4

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from tests.contract.cloudformation.events import ACCOUNT, REGION

QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:requests"
VISIBILITY_TIMEOUT = 90.0
"""Seconds, as in template.yaml."""
_RANGES = {"SendMessage": ("DelaySeconds", 900), "ChangeMessageVisibility": ("VisibilityTimeout", 43_200)}
_MODEL = ServiceModel(Loader().load_service_model("sqs", "service-2"), "sqs")


@dataclass
class QueuedMessage:
    """A message. Times are in seconds since the epoch."""

    body: str
    sent_at: float
    visible_at: float
    message_id: str = field(default_factory=lambda: str(uuid4()))
    receipt_handle: str = ""
    receives: int = 0

    def event(self) -> dict[str, Any]:
        """The event of an event source mapping with batch size 1."""
        record = {
            "messageId": self.message_id,
            "receiptHandle": self.receipt_handle,
            "body": self.body,
            "attributes": {
                "ApproximateReceiveCount": str(self.receives),
                "SentTimestamp": str(int(self.sent_at * 1000)),
            },
            "eventSource": "aws:sqs",
            "eventSourceARN": QUEUE_ARN,
            "awsRegion": REGION,
        }
        return {"Records": [record]}


@dataclass
class _Refusal:
    """The next `times` calls of an action fail, after `after` calls that succeed."""

    times: float
    after: int = 0
    code: str = "InternalError"

    def applies(self) -> bool:
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return self.times >= 0


class QueueApi(ThreadingHTTPServer):
    """One queue and its API. Use as a context manager. `now` is its clock, in seconds since the epoch."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.now = now
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.queue_url = f"{self.url}/{ACCOUNT}/requests"
        self._lock = threading.Lock()
        self.messages: dict[str, QueuedMessage] = {}
        self.bodies: list[str] = []
        """Of all messages that were sent."""
        self.calls: list[tuple[str, int]] = []
        """Action and seconds of every accepted call."""
        self.keeps_visibility = True
        """Whether ChangeMessageVisibility has an effect. It is accepted in any case."""
        self._refused: dict[str, _Refusal] = {}

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def reset(self) -> None:
        with self._lock:
            for kept in (self.messages, self.bodies, self.calls, self._refused):
                kept.clear()
            self.keeps_visibility = True

    def refuse(self, action: str, times: float = float("inf"), *, after: int = 0, code: str = "InternalError") -> None:
        """Make the next calls of an action fail, after `after` calls that succeed."""
        self._refused[action] = _Refusal(times, after, code)

    def allow(self) -> None:
        """Refuse no more calls."""
        self._refused.clear()

    def send(self, body: str, delay: float = 0) -> QueuedMessage:
        """Accept a message, as Lambda sends one to a destination."""
        message = QueuedMessage(body, self.now(), self.now() + delay)
        with self._lock:
            self.messages[message.message_id] = message
            self.bodies.append(body)
        return message

    def receive(self) -> QueuedMessage | None:
        """Return a visible message, which is hidden for the visibility timeout of the queue."""
        with self._lock:
            message = min(self.messages.values(), key=lambda one: one.visible_at, default=None)
            if message is None or message.visible_at > self.now():
                return None
            return self.hide(message)

    def hide(self, message: QueuedMessage) -> QueuedMessage:
        """Receive this message, whether it is visible or not."""
        message.visible_at = self.now() + VISIBILITY_TIMEOUT
        message.receipt_handle = str(uuid4())
        message.receives += 1
        return message

    def delete(self, message: QueuedMessage) -> None:
        with self._lock:
            self.messages.pop(message.message_id, None)

    def next_at(self) -> float | None:
        """Return when the next message is visible."""
        with self._lock:
            return min((message.visible_at for message in self.messages.values()), default=None)

    def answer(self, action: str, parameters: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Process one call. Returns the HTTP status and the body."""
        with self._lock:
            if (refusal := self._refused.get(action)) is not None and refusal.applies():
                status = 500 if refusal.code == "InternalError" else 400
                return status, {"__type": f"com.amazonaws.sqs#{refusal.code}", "message": "The call is refused."}
        shape: Any = _MODEL.operation_model(action).input_shape
        report = ParamValidator().validate(parameters, shape)
        name, most = _RANGES[action]
        if report.has_errors() or not 0 <= parameters.get(name, 0) <= most:
            return 400, {"__type": "com.amazonaws.sqs#InvalidParameterValue", "message": f"{name}: {parameters}"}
        self.calls.append((action, parameters.get(name, 0)))
        if action == "SendMessage":
            message = self.send(parameters["MessageBody"], parameters.get("DelaySeconds", 0))
            return 200, {"MessageId": message.message_id}
        with self._lock:
            for message in self.messages.values():
                if message.receipt_handle == parameters["ReceiptHandle"]:
                    if self.keeps_visibility:
                        message.visible_at = self.now() + parameters["VisibilityTimeout"]
                    return 200, {}
        return 400, {
            "__type": "com.amazonaws.sqs#ReceiptHandleIsInvalid",
            "message": "The receipt handle is not valid.",
        }


class _Handler(BaseHTTPRequestHandler):
    server: QueueApi
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        action = self.headers["X-Amz-Target"].rpartition(".")[2]
        status, answer = self.server.answer(action, json.loads(body))
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        del format, args
