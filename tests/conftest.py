"""The provider as it runs in Lambda, but for the machine: real HTTP to the telecom services, to DynamoDB and to S3."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import traceback
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import boto3
import pytest
import trustme

from local.telecom import Options, TelecomServer
from tests.contract.answers import AnswerSink
from tests.contract.cloudformation import AsyncInvoker, CloudFormation, event
from tests.contract.declarations import SMS_PHONE_NUMBER, SMS_SENDER_ID, Kind, connect_phone_number

# Before anything of the provider is imported: it reads its environment once, as in a container.
os.environ |= {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_METRICS_NAMESPACE": "cfn-telephony",
    "POWERTOOLS_SERVICE_NAME": "cfn-telephony",
    "POWERTOOLS_LOG_LEVEL": "DEBUG",
    # Minutes, seen in less than a second.
    "LEASE_DURATION_SECONDS": "1",
    "POLL_INTERVAL_SECONDS": "0.02",
    "RETRY_PERIOD_SECONDS": "0.6",
    "RESPONSE_MARGIN_SECONDS": "1",
    "SERVICE_TIMEOUT_MARGIN_SECONDS": "1",
    "CALL_RATES": "*=0",
}
for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
    os.environ.pop(name, None)

if TYPE_CHECKING:
    from types_boto3_connect import ConnectClient
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_pinpoint_sms_voice_v2 import PinpointSMSVoiceV2Client

SMS = "pinpoint-sms-voice-v2"
CONNECT = "connect"
STACK_ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/example/5b918d10-cd98-11f0-8f5a-0e2a1b2c3d4e"
SECRET = "swordfish-7d1c0e"
"""A NoEcho value: tests declare it, and nothing but the service it is meant for may ever hold it."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "shows(*faults): what of tools/fault_catalogue.py it shows; see docs/faults.md")


@pytest.fixture(scope="session")
def sink() -> Iterator[AnswerSink]:
    with AnswerSink(trustme.CA()) as answers:
        yield answers


@pytest.fixture(scope="session")
def telecom_server() -> Iterator[TelecomServer]:
    with TelecomServer() as server:
        yield server


@attrs.frozen
class Clients:
    """Who looks at the services from outside of the provider."""

    sms: PinpointSMSVoiceV2Client
    connect: ConnectClient
    dynamodb: DynamoDBClient


@pytest.fixture(scope="session")
def clients(telecom_server: TelecomServer) -> Clients:
    url = telecom_server.url
    return Clients(
        sms=boto3.client("pinpoint-sms-voice-v2", endpoint_url=url),
        connect=boto3.client("connect", endpoint_url=url),
        dynamodb=boto3.client("dynamodb", endpoint_url=url),
    )


@attrs.frozen
class Laptop:
    """Everything around one provider: the services it calls, its table, and the stacks that call it."""

    telecom: TelecomServer
    sink: AnswerSink
    sms: PinpointSMSVoiceV2Client
    connect: ConnectClient
    dynamodb: DynamoDBClient
    table: str
    invoker: AsyncInvoker
    cloudformation: CloudFormation

    def calls(self, service: str = "") -> dict[str, int]:
        """Calls of the telecom services, by `service.Operation` without the service where one is asked for."""
        counted = {name: n for name, n in self.telecom.calls().items() if not name.startswith("dynamodb.")}
        if service:
            prefix = f"{service}."
            counted = {name.removeprefix(prefix): n for name, n in counted.items() if name.startswith(prefix)}
        return counted

    def calls_of(self, act: Any) -> dict[str, int]:
        """The calls that `act()` leads to."""
        before = self.calls()
        act()
        self.invoker.settle(timeout=30)
        return {name: n - before.get(name, 0) for name, n in self.calls().items() if n > before.get(name, 0)}

    def post(self, request_type: Any, **fields: Any) -> str:
        """Hand one event to Lambda, as CloudFormation does, and give its RequestId."""
        request_id = fields.pop("request_id", None) or str(uuid.uuid4())
        issued_at = fields.pop("issued_at", None)
        if isinstance(issued_at, (int, float)):
            issued_at = datetime.fromtimestamp(issued_at, UTC)
        stack_id = fields.get("stack_id", STACK_ID)
        logical_id = fields.setdefault("logical_id", "Number")
        url = self.sink.url_for(stack_id, logical_id, request_id, issued_at=issued_at)
        self.invoker.invoke(event(request_type, response_url=url, request_id=request_id, **fields))
        return request_id

    def answer(self, request_id: str) -> dict[str, Any]:
        """The first answer to a request, once nothing works on anything any more."""
        self.invoker.settle(timeout=30)
        answers = self.sink.answers(request_id)
        assert answers, f"not answered: {[repr(attempt.error) for attempt in self.invoker.invocations]}"
        first: dict[str, Any] = answers[0]
        return first

    def send(self, request_type: Any, **fields: Any) -> dict[str, Any]:
        """Let one request through, retries and all, and give its answer as CloudFormation reads it."""
        return self.answer(self.post(request_type, **fields))

    def held(self) -> dict[str, int]:
        """How many of everything that costs money are held."""
        return {name: len(things) for name, things in self.telecom.held().items() if name != "pools" and things}

    def ids(self) -> list[str]:
        """The PhysicalResourceIds of all that is held."""
        held = self.telecom.held()
        numbers = [thing["id"] for thing in held["phone_numbers"]]
        senders = [f"{thing['country']}|{thing['id']}" for thing in held["sender_ids"]]
        return numbers + senders + [thing["arn"] for thing in held["connect_numbers"]]

    def rows(self) -> list[dict[str, Any]]:
        """Every item of the state table."""
        items: list[dict[str, Any]] = []
        for page in self.dynamodb.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True):
            items += page["Items"]
        return items

    def purchases(self) -> list[dict[str, Any]]:
        """The purchases that the ledger knows of."""
        return [row for row in self.rows() if row["sk"]["S"].startswith("purchase#")]


class Written(logging.Handler):
    """Every line that is written, at any level, by anybody: as Lambda's log would have it."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        with self._guard:
            self.lines.append(line)


@pytest.fixture
def written() -> Iterator[list[str]]:
    from telephony.observability import logger  # noqa: PLC0415

    ours, others = Written(), Written()
    ours.setFormatter(logger.handlers[0].formatter)
    others.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root, own = logging.getLogger(), logging.getLogger(logger.name)
    level = root.level
    own.addHandler(ours)
    root.addHandler(others)
    root.setLevel(logging.DEBUG)
    lines: list[str] = []
    ours.lines = others.lines = lines
    yield lines
    root.setLevel(level)
    root.removeHandler(others)
    own.removeHandler(ours)


def forget_container() -> None:
    """Make the provider read its environment again, as a new container does: nothing stays in any of its caches."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "telephony":
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


@pytest.fixture(scope="session")
def container(sink: AnswerSink, telecom_server: TelecomServer) -> Iterator[None]:
    """One container, warm for all tests of a process: what one event leaves behind in it, the next one meets."""
    url = telecom_server.url
    environment = {
        "STATE_TABLE": "state",
        "ALLOWED_RESPONSE_HOSTS": sink.host,
        "AWS_CA_BUNDLE": sink.ca_file,
        "AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2": url,
        "AWS_ENDPOINT_URL_CONNECT": url,
        "AWS_ENDPOINT_URL_DYNAMODB": url,
    }
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        forget_container()
        yield
    forget_container()


@pytest.fixture
def laptop(
    sink: AnswerSink, telecom_server: TelecomServer, clients: Clients, container: None, written: list[str]
) -> Iterator[Laptop]:
    """A provider with nothing bought yet. Whatever a test does, no secret may be left behind by it."""
    from telephony.handlers import continuation, provider  # noqa: PLC0415

    del container
    telecom_server.reset()
    telecom_server.options = Options()
    clients.dynamodb.create_table(
        TableName="state",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    sink._faults.clear()
    issued, put = len(sink.signatures), len(sink.puts)
    context: Any = Context()
    with AsyncInvoker(provider.handler, lambda queued: continuation.handler(queued, context), timeout=20) as invoker:
        laptop = Laptop(
            telecom=telecom_server,
            sink=sink,
            sms=clients.sms,
            connect=clients.connect,
            dynamodb=clients.dynamodb,
            table="state",
            invoker=invoker,
            cloudformation=CloudFormation(invoker, sink),
        )
        yield laptop
    _no_secret_left(laptop, written, sink.signatures[issued:], [put.body for put in sink.puts[put:]])


def _no_secret_left(laptop: Laptop, written: list[str], signatures: Sequence[str], answers: Sequence[bytes]) -> None:
    laptop.telecom.clear_faults()
    raised = [attempt.error for attempt in laptop.invoker.invocations if attempt.error is not None]
    places = {
        "a log line": "\n".join(written),
        "an exception": "\n".join(
            "".join(traceback.format_exception(error)) for error in [*raised, *laptop.invoker.destination_errors]
        ),
        "the state table": json.dumps(laptop.rows()),
        "an answer": "\n".join(answer.decode() for answer in answers),
    }
    for place, text in places.items():
        assert SECRET not in text, f"{place} holds a declared secret"
        assert not any(signature in text for signature in signatures), f"{place} holds the signature of a ResponseURL"


def connect_instance(laptop: Laptop) -> str:
    """The ARN of a new instance of Amazon Connect."""
    made = laptop.connect.create_instance(
        IdentityManagementType="CONNECT_MANAGED", InboundCallsEnabled=True, OutboundCallsEnabled=True
    )
    return made["Arn"]


@pytest.fixture(params=["SmsPhoneNumber", "SmsSenderId", "ConnectPhoneNumber"])
def kind(request: pytest.FixtureRequest, laptop: Laptop) -> Kind:
    """Each resource type in turn: what is promised of all of them."""
    if request.param == "ConnectPhoneNumber":
        return connect_phone_number(connect_instance(laptop))
    return {"SmsPhoneNumber": SMS_PHONE_NUMBER, "SmsSenderId": SMS_SENDER_ID}[request.param]


class Context:
    """What a Lambda function is told of its invocation."""

    aws_request_id = "00000000-0000-4000-8000-000000000000"
    function_name = "last-resort"

    def __init__(self, seconds: float = 20) -> None:
        self._milliseconds = int(seconds * 1000)

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds
