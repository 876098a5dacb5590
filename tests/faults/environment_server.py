"""The environment process: telecom services, DynamoDB, S3 and the CloudFormation API, and a record of their use."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast

import boto3
import trustme
from moto.dynamodb.models import dynamodb_backends

from local.telecom import Clock, Options, TelecomServer, world
from local.telecom.dispatch import Answer
from local.telecom.faults import Fault
from local.telecom.sms_voice.models import pinpointsmsvoicev2_backends
from tests.contract.responses import ResponseSink
from tests.faults.environment import Purchase, Response, Snapshot, VirtualClock

if TYPE_CHECKING:
    from moto.core.request import Request

_ACCOUNT, _REGION = "123456789012", "us-east-1"
_TABLE = "state"
_QUOTA = 1_000_000
_REQUEST_ID_TAG = "cfn-telephony:request-id"
_PHYSICAL_IDS = {"phone_numbers": "{id}", "sender_ids": "{country}|{id}", "connect_numbers": "{arn}"}
"""The form of the physical ID by kind of resource; pools are not purchased."""


class RecordingServer(TelecomServer):
    """The telecom services, with a record of every purchase, including those whose response was lost."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.purchases: list[Purchase] = []
        self._known = set[str]()

    def serve(self, request: Request) -> Answer | Fault:
        """Serve a call and record its purchases. DynamoDB calls purchase nothing."""
        answer = super().serve(request)
        if not request.headers.get("X-Amz-Target", "").startswith("DynamoDB"):
            with self._lock:
                held = {purchase.physical_id: purchase for purchase in self.held_purchases()}
                self.purchases += [held[physical_id] for physical_id in held if physical_id not in self._known]
                self._known = set(held)
        return answer

    def forget(self) -> None:
        """Start a new record: resources that are held now do not count as purchases."""
        with self._lock:
            self._known = {purchase.physical_id for purchase in self.held_purchases()}
            self.purchases = []
            self._log.clear()

    def held_purchases(self) -> list[Purchase]:
        return [
            Purchase(_PHYSICAL_IDS[kind].format_map(resource), resource["tags"].get(_REQUEST_ID_TAG))
            for kind, resources in self.held().items()
            if kind != "pools"
            for resource in resources
        ]


class _CloudFormationApi(BaseHTTPRequestHandler):
    """Answers every call as if the stack did not exist: the sweep runs after the stack was deleted."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        message = "Stack with id example does not exist"
        error = f"<Error><Type>Sender</Type><Code>ValidationError</Code><Message>{message}</Message></Error>"
        body = f"<ErrorResponse>{error}<RequestId>-</RequestId></ErrorResponse>".encode()
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/xml")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        pass


class EnvironmentServer:
    """Environment.server forwards its calls to the public methods of this class."""

    def __init__(self, clock: VirtualClock) -> None:
        self._telecom = RecordingServer(cast("Clock", clock))
        self._telecom.start()
        self._sink = ResponseSink(trustme.CA(), now=clock.now)
        self._cloudformation = ThreadingHTTPServer(("127.0.0.1", 0), _CloudFormationApi)
        threading.Thread(target=self._cloudformation.serve_forever, args=(0.1,), daemon=True).start()
        self._first_put = 0

    def variables(self) -> dict[str, str]:
        """Return the environment variables of the Lambda functions."""
        url = self._telecom.url
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_REGION": _REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CA_BUNDLE": self._sink.ca_file,
            **{f"AWS_ENDPOINT_URL_{name}": url for name in ("PINPOINT_SMS_VOICE_V2", "CONNECT", "DYNAMODB")},
            "AWS_ENDPOINT_URL_CLOUDFORMATION": f"http://127.0.0.1:{self._cloudformation.server_port}",
            "ALLOWED_RESPONSE_HOSTS": self._sink.host,
            "STATE_TABLE": _TABLE,
        }

    def reset(self) -> list[str]:
        """Delete everything. Returns the ARNs of two new Connect instances."""
        self._telecom.reset()
        with self._sink._lock:
            self._sink._puts.clear()
            self._sink._issued.clear()
        credentials: Any = {"region_name": _REGION, "aws_access_key_id": "test", "aws_secret_access_key": "test"}
        clients: Any = boto3.Session(**credentials)
        clients.client("dynamodb", endpoint_url=self._telecom.url).create_table(
            TableName=_TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        connect = clients.client("connect", endpoint_url=self._telecom.url)
        instance = {"InboundCallsEnabled": True, "OutboundCallsEnabled": True}
        return [connect.create_instance(IdentityManagementType="CONNECT_MANAGED", **instance)["Arn"] for _ in range(2)]

    def begin(self, **options: Any) -> None:
        """Begin a scenario with these options of the services, high quotas and an empty state table."""
        quotas = Options(phone_numbers=_QUOTA, sender_ids=_QUOTA, connect_numbers=_QUOTA)
        self._telecom.options = quotas.changed(options)
        self._telecom.clear_faults()
        self._telecom.forget()
        with self._telecom._lock:
            self._table().items.clear()
        self._first_put = len(self._sink.puts)

    def _table(self) -> Any:
        return self._telecom.world.store(dynamodb_backends)[_ACCOUNT][_REGION].tables[_TABLE]

    def create_source_number(self) -> str:
        """Create a number that Connect can import, without recording a purchase. Returns its ARN."""
        request = {"IsoCountryCode": "US", "MessageType": "TRANSACTIONAL", "NumberCapabilities": ["VOICE"]}
        telecom = self._telecom
        with telecom._lock, world.entered(telecom.world):
            sms = telecom.world.store(pinpointsmsvoicev2_backends)[_ACCOUNT][_REGION]
            number = sms.request_phone_number({**request, "NumberType": "TOLL_FREE"})
            telecom._known.add(number["PhoneNumberId"])
        return str(number["PhoneNumberArn"])

    def create_response_url(self, stack_id: str, logical_id: str, request_id: str, issued_at: float) -> str:
        return self._sink.url_for(stack_id, logical_id, request_id, datetime.fromtimestamp(issued_at, UTC))

    def inject_fault(self, service: str, operation: str, kind: str, times: int, after: int) -> None:
        more = {"code": "InternalServerError", "status": 500} if kind == "error" else {}
        self._telecom.fault(service, operation, kind, times=times, after=after, **more)

    def reject_response(self, request_id: str, times: int) -> None:
        self._sink.fail_next(request_id, "503", times)

    def clear_faults(self) -> None:
        self._telecom.clear_faults()
        with self._sink._lock:
            self._sink._faults.clear()

    def stored_responses(self, request_id: str) -> list[bytes]:
        """Return the response bodies that S3 accepted for a request."""
        puts = self._sink.puts[self._first_put :]
        return [put.body for put in puts if put.request_id == request_id and put.stored]

    def snapshot(self, stack_id: str) -> Snapshot:
        """Return the state of the scenario. A purchase without tags counts: only one stack is active at a time."""
        with self._telecom._lock:
            items = [item.to_json()["Attributes"] for item in self._table().all_items()]
        purchased = {purchase.physical_id for purchase in self._telecom.purchases}
        return Snapshot(
            purchases=list(self._telecom.purchases),
            held=[held for held in self._telecom.held_purchases() if held.physical_id in purchased],
            responses=[
                Response(put.request_id, put.body, put.stored)
                for put in self._sink.puts[self._first_put :]
                if put.request_id
            ],
            items=[item for item in items if stack_id in item["pk"]["S"] or item["pk"]["S"] == "outcome"],
            calls=[(call["service"], call["operation"], call["error"]) for call in self._telecom.log()],
        )
