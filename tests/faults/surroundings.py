"""The telecom services, DynamoDB, S3 and CloudFormation's API, in one process, and all that they saw."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, cast
from xml.sax.saxutils import escape

import boto3
import trustme
from moto.dynamodb.models import dynamodb_backends

from local.telecom import Clock, Options, TelecomServer, world
from local.telecom.connect.models import telecomconnect_backends
from local.telecom.dispatch import Answer
from local.telecom.faults import Fault
from local.telecom.sms_voice.models import pinpointsmsvoicev2_backends
from tests.contract.answers import AnswerSink
from tests.faults.services import Answered, Bought, Seen
from tests.faults.timeline import Timeline

if TYPE_CHECKING:
    from moto.core.request import Request

TABLE = "state"
PLENTY = 1_000_000
_REQUEST = "cfn-telephony:request-id"


class _SharedClock(Clock):
    """The services' clock is that of the run."""

    def __init__(self, timeline: Timeline) -> None:
        super().__init__()
        self._timeline = timeline

    def now(self) -> float:
        return self._timeline.now


class Purchases(TelecomServer):
    """The telecom services, with a memory of everything that was ever bought, whoever was told."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.bought: list[Bought] = []
        self._known: set[int] = set()
        self._records: list[Any] = []

    def serve(self, request: Request) -> Answer | Fault:
        """Answer the call, and note what it bought."""
        answered = super().serve(request)
        if request.headers.get("X-Amz-Target", "").startswith("DynamoDB"):
            return answered  # Which sells nothing.
        with self._lock:
            for kind, record in self._things():
                if id(record) not in self._known:
                    self._known.add(id(record))
                    self._records.append(record)  # Kept, so that no other object gets its id.
                    self.bought.append(self._described(kind, record))
        return answered

    def forget(self) -> None:
        """Begin a new run: what is held stays, and does not count as bought by it."""
        with self._lock:
            self.bought = []
            self._log.clear()

    def current(self) -> list[Bought]:
        """What is held and paid for."""
        with self._lock:
            return [self._described(kind, record) for kind, record in self._things()]

    def _things(self) -> list[tuple[str, Any]]:
        with world.entered(self.world):
            found: list[tuple[str, Any]] = []
            for _, _, sms in self.world.store(pinpointsmsvoicev2_backends).iter_backends():
                found += [("number", number) for number in sms.held_numbers()]
                found += [("sender ID", sender) for sender in sms.sender_ids.values()]
            for _, _, connect in self.world.store(telecomconnect_backends).iter_backends():
                found += [("Connect number", number) for number in connect.held_numbers()]
            return found

    @staticmethod
    def _described(kind: str, record: Any) -> Bought:
        tags: Mapping[str, str] = record.tags.written
        name = {"number": record.id, "sender ID": "", "Connect number": record.arn}[kind]
        return Bought(kind, name or f"{record.country}|{record.id}", tags.get(_REQUEST))


class _CloudFormationApi(BaseHTTPRequestHandler):
    """DescribeStacks and DescribeStackResource of stacks that are gone, as the sweep meets them."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = escape("Stack with id example does not exist")
        error = f"<Error><Type>Sender</Type><Code>ValidationError</Code><Message>{told}</Message></Error>"
        body = f"<ErrorResponse>{error}<RequestId>-</RequestId></ErrorResponse>".encode()
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/xml")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        del format, args


class _Surroundings:
    """The process's own side of the pipe. Every public method is a call of Services."""

    def __init__(self, timeline: Timeline) -> None:
        clock = _SharedClock(timeline)
        self.telecom = Purchases(clock)
        self.telecom.start()
        self.sink = AnswerSink(trustme.CA(), now=clock.now)
        self.cloudformation = ThreadingHTTPServer(("127.0.0.1", 0), _CloudFormationApi)
        threading.Thread(target=self.cloudformation.serve_forever, args=(0.1,), daemon=True).start()
        self._first_put = 0
        self._targets: list[str] = []

    def environment(self) -> dict[str, str]:
        url = self.telecom.url
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CA_BUNDLE": self.sink.ca_file,
            "AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2": url,
            "AWS_ENDPOINT_URL_CONNECT": url,
            "AWS_ENDPOINT_URL_DYNAMODB": url,
            "AWS_ENDPOINT_URL_CLOUDFORMATION": f"http://127.0.0.1:{self.cloudformation.server_port}",
            "ALLOWED_RESPONSE_HOSTS": self.sink.host,
            "STATE_TABLE": TABLE,
        }

    def fresh(self) -> list[str]:
        """Forget everything; give the ARNs of two Connect instances."""
        self.telecom.reset()
        self.telecom.forget()
        self.telecom._known.clear()
        self.telecom._records.clear()
        with self.sink._lock:
            self.sink._puts.clear()
            self.sink._issued.clear()
        keys = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
        clients: Any = boto3.Session(**cast("Any", keys))
        clients.client("dynamodb", endpoint_url=self.telecom.url).create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        connect = clients.client("connect", endpoint_url=self.telecom.url)
        self._targets = [
            connect.create_instance(
                IdentityManagementType="CONNECT_MANAGED", InboundCallsEnabled=True, OutboundCallsEnabled=True
            )["Arn"]
            for _ in range(2)
        ]
        return self._targets

    def begin(self, **options: Any) -> None:
        """Begin a run under these options, on top of quotas that are never reached, with an empty state table."""
        plenty = Options(phone_numbers=PLENTY, sender_ids=PLENTY, connect_numbers=PLENTY)
        self.telecom.options = plenty.changed(options)
        self.telecom.clear_faults()
        self.telecom.forget()
        with self.telecom._lock:
            self._table().items.clear()
        self._first_put = len(self.sink.puts)

    def _table(self) -> Any:
        return self.telecom.world.store(dynamodb_backends)["123456789012"]["us-east-1"].tables[TABLE]

    def source(self) -> str:
        """A number of somebody else, for Connect to import: its ARN."""
        wanted = {"IsoCountryCode": "US", "MessageType": "TRANSACTIONAL", "NumberCapabilities": ["VOICE"]}
        with self.telecom._lock, world.entered(self.telecom.world):
            sms = self.telecom.world.store(pinpointsmsvoicev2_backends)["123456789012"]["us-east-1"]
            arn: str = sms.request_phone_number({**wanted, "NumberType": "TOLL_FREE"})["PhoneNumberArn"]
            known = self.telecom._things()
        self.telecom._known |= {id(record) for _, record in known}
        self.telecom._records += [record for _, record in known]
        return arn

    def url(self, stack_id: str, logical_id: str, request_id: str, issued_at: float) -> str:
        return self.sink.url_for(stack_id, logical_id, request_id, datetime.fromtimestamp(issued_at, UTC))

    def fault(self, service: str, operation: str, kind: str, times: int, after: int) -> None:
        more = {"code": "InternalServerError", "status": 500} if kind == "error" else {}
        self.telecom.fault(service, operation, kind, times=times, after=after, **more)

    def fail_answer(self, request_id: str, times: int) -> None:
        self.sink.fail_next(request_id, "503", times)

    def clear_faults(self) -> None:
        self.telecom.clear_faults()
        with self.sink._lock:
            self.sink._faults.clear()

    def answers(self, request_id: str) -> list[bytes]:
        """The bodies that were stored for a request."""
        puts = self.sink.puts[self._first_put :]
        return [put.body for put in puts if put.request_id == request_id and put.stored]

    def look(self, stack_id: str) -> Seen:
        """Everything of one stack; purchases without any tags are counted too, since they can be nobody else's."""
        with self.telecom._lock:
            rows = [item.to_json()["Attributes"] for item in self._table().all_items()]
        puts = self.sink.puts[self._first_put :]
        held = self.telecom.current()
        during = {bought.physical_id for bought in self.telecom.bought}
        return Seen(
            bought=list(self.telecom.bought),
            held=[thing for thing in held if thing.physical_id in during],
            answers=[Answered(put.request_id, put.body, put.stored) for put in puts if put.request_id],
            rows=[row for row in rows if stack_id in row["pk"]["S"] or row["pk"]["S"] == "outcome"],
            calls=[(call["service"], call["operation"], call["error"]) for call in self.telecom.log()],
        )


def serve(pipe: Connection, timeline: str) -> None:
    """Be the process at the other end of Services."""
    surroundings = _Surroundings(Timeline(timeline))
    pipe.send(surroundings.environment())
    while True:
        try:
            name, positional, named = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send((getattr(surroundings, name)(*positional, **named), None))
        except Exception as error:  # noqa: BLE001 - told to the caller, who raises it
            pipe.send((None, f"{type(error).__name__}: {error}"))
