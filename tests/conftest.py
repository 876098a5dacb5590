"""Runs the provider in this process, with real HTTP to simulated telecom services, DynamoDB, S3 and CloudFormation."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import boto3
import pytest
import time_machine
import trustme

from local.telecom import Options, TelecomServer
from tests.contract.cloudformation import AsyncInvoker, CloudFormation, QueueApi, StacksApi, event, invoker
from tests.contract.declarations import KINDS, Kind
from tests.contract.responses import ResponseSink
from tests.contract.state_table import create_state_table

# Set before the provider is imported: like a Lambda container, it reads its environment once.
os.environ |= {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_METRICS_NAMESPACE": "cfn-telephony",
    "POWERTOOLS_SERVICE_NAME": "cfn-telephony",
    "POWERTOOLS_LOG_LEVEL": "DEBUG",
    "LEASE_DURATION_SECONDS": "1",
    "POLL_INTERVAL_SECONDS": "0.02",
    "IN_PLACE_WAIT_SECONDS": "1",
    "RETRY_DELAY_SECONDS": "5",
    "RETRY_PERIOD_SECONDS": "0.6",
    "UNKNOWN_RESULT_PERIOD_SECONDS": "1.5",
    "STACK_STATUS_PERIOD_SECONDS": "0.2",
    "RESPONSE_MARGIN_SECONDS": "1",
    "SERVICE_TIMEOUT_MARGIN_SECONDS": "1",
    "MIN_SERVICE_TIMEOUT_SECONDS": "1",
    "CALL_RATES": "*=0",
}
for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
    os.environ.pop(name, None)

from telephony import resources  # noqa: E402 - after the environment

if TYPE_CHECKING:
    from types_boto3_connect import ConnectClient
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_pinpoint_sms_voice_v2 import PinpointSMSVoiceV2Client

Configure = Callable[..., None]
VirtualClock = time_machine.Traveller
Context = invoker.Context
SMS = "pinpoint-sms-voice-v2"
CONNECT = "connect"
STACK_ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/example/5b918d10-cd98-11f0-8f5a-0e2a1b2c3d4e"
SECRET = "swordfish-7d1c0e"
"""A declared NoEcho value. Only the service that it is meant for may receive it."""


@pytest.hookimpl(trylast=True)  # after pytest's logging plugin
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "shows(*faults): the entries of tools/fault_catalogue.py that the test covers")
    plugin: Any = config.pluginmanager.get_plugin("logging-plugin")
    # The fixture `log_lines` records DEBUG lines of every library. Failure reports show only warnings. The provider's
    # own lines are in the captured standard output.
    plugin.report_handler.addFilter(lambda record: record.levelno >= logging.WARNING)


@pytest.fixture(scope="session")
def sink() -> Iterator[ResponseSink]:
    with ResponseSink(trustme.CA()) as answers:
        yield answers


@pytest.fixture(scope="session")
def telecom_server() -> Iterator[TelecomServer]:
    with TelecomServer() as server:
        yield server


@pytest.fixture(scope="session")
def stacks_api() -> Iterator[StacksApi]:
    with StacksApi() as api:
        yield api


@pytest.fixture(scope="session")
def queue_api() -> Iterator[QueueApi]:
    with QueueApi() as api:
        yield api


@pytest.fixture(scope="session")
def clients(telecom_server: TelecomServer) -> dict[str, Any]:
    """The tests' own clients, independent of the provider's."""
    names: dict[str, Any] = {"sms": SMS, "connect": CONNECT, "dynamodb": "dynamodb"}
    return {name: boto3.client(service, endpoint_url=telecom_server.url) for name, service in names.items()}


@attrs.frozen
class Harness:
    """The provider and everything around it: the services it calls, its state table, and CloudFormation."""

    telecom: TelecomServer
    sink: ResponseSink
    sms: PinpointSMSVoiceV2Client
    connect: ConnectClient
    dynamodb: DynamoDBClient
    table: str
    invoker: AsyncInvoker
    cloudformation: CloudFormation
    queue: QueueApi
    stacks: StacksApi
    """Shows the stacks of `cloudformation`, and for events of other stacks its default, in operation."""

    def calls(self, service: str = "") -> dict[str, int]:
        """Count the calls of one telecom service by operation, or of all of them by `service.Operation`."""
        calls = self.telecom.calls().items()
        if service:
            return {name.split(".")[1]: n for name, n in calls if name.startswith(f"{service}.")}
        return {name: n for name, n in calls if not name.startswith("dynamodb.")}

    def calls_of(self, act: Callable[[], object]) -> dict[str, int]:
        """Count the telecom calls that `act()` causes."""
        before = self.calls()
        act()
        self.invoker.settle()
        return {name: n - before.get(name, 0) for name, n in self.calls().items() if n > before.get(name, 0)}

    @contextmanager
    def function(
        self, *, timeout: float = 20, delays: tuple[float, ...] = (0.05, 0.1), continues: bool = True
    ) -> Iterator[Harness]:
        """The same provider with another function timeout or retry policy, with or without the continuation."""
        from telephony.errors import UnknownOutcomeError  # noqa: PLC0415
        from telephony.handlers import continuation, provider  # noqa: PLC0415

        with AsyncInvoker(
            provider.handler,
            self.queue,
            continuation.handler if continues else None,
            delays,
            timeout=timeout,
            expected_errors=UnknownOutcomeError,
            advance=_advance,
        ) as function:
            yield attrs.evolve(self, invoker=function)

    def post(self, request_type: Any, **fields: Any) -> str:
        """Invoke the provider with one event, as CloudFormation does, and return the RequestId.

        The stack is in an operation, unless the test says otherwise, and has an event for the request.
        """
        request_id = fields.pop("request_id", None) or str(uuid.uuid4())
        issued_at = fields.pop("issued_at", None)
        if isinstance(issued_at, (int, float)):
            issued_at = datetime.fromtimestamp(issued_at, UTC)
        stack_id = fields.get("stack_id", STACK_ID)
        logical_id = fields.setdefault("logical_id", "Number")
        if self.stacks.default is not None and stack_id not in self.stacks.stacks:
            self.stacks.know(stack_id, "UPDATE_IN_PROGRESS")
        if stack_id in self.stacks.stacks:
            stack, status = self.stacks.stacks[stack_id], f"{request_type.upper()}_IN_PROGRESS"
            stack.add(logical_id, status, fields.get("physical_id", ""))
        url = self.sink.url_for(stack_id, logical_id, request_id, issued_at=issued_at)
        self.invoker.invoke(event(request_type, response_url=url, request_id=request_id, **fields))
        return request_id

    def response(self, request_id: str) -> dict[str, Any]:
        """Wait until the provider is idle and return its first response to the request."""
        self.invoker.settle()
        answers = self.sink.responses(request_id)
        if not answers:
            last = self.invoker.invocations[-1:]
            raise AssertionError(f"No response to {request_id}") from next((one.error for one in last), None)
        first: dict[str, Any] = answers[0]
        return first

    def send(self, request_type: Any, *, accepted: bool = True, **fields: Any) -> dict[str, Any]:
        """Send one event and return the response. Retries included.

        accepted: CloudFormation still waits for the response, so that its events show it.
        """
        response = self.response(self.post(request_type, **fields))
        if accepted and (stack := self.stacks.stacks.get(response["StackId"])):
            status = "COMPLETE" if response["Status"] == "SUCCESS" else "FAILED"
            status = f"{request_type.upper()}_{status}"
            stack.add(response["LogicalResourceId"], status, response["PhysicalResourceId"])
        return response

    def held(self) -> dict[str, int]:
        """Count the resources that are billed."""
        return {name: len(things) for name, things in self.telecom.held().items() if name != "pools" and things}

    def ids(self) -> list[str]:
        """The PhysicalResourceIds of the resources that are billed."""
        held = self.telecom.held()
        numbers = [thing["id"] for thing in held["phone_numbers"]]
        senders = [f"{thing['country']}|{thing['id']}" for thing in held["sender_ids"]]
        return numbers + senders + [thing["arn"] for thing in held["connect_numbers"]]

    def rows(self) -> list[dict[str, Any]]:
        """All items of the state table."""
        items: list[dict[str, Any]] = []
        for page in self.dynamodb.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True):
            items += page["Items"]
        return items

    def purchases(self) -> list[dict[str, Any]]:
        """The purchase records of the state table."""
        return [row for row in self.rows() if row["sk"]["S"].startswith("purchase#")]


_travellers: list[VirtualClock] = []
"""The clocks of the running test. The last one is in effect."""


def _advance(seconds: float) -> None:
    _travellers[-1].shift(seconds)


class LogRecorder(logging.Handler):
    """Records every log line as Lambda would write it."""

    def __init__(self, own: logging.Logger) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []
        self._formatters = {own.name: own.handlers[0].formatter}
        self._default = logging.Formatter("%(name)s %(message)s")

    def emit(self, record: logging.LogRecord) -> None:
        formatter = self._formatters.get(record.name) or self._default
        self.lines.append(formatter.format(record))


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """Every log line of the provider and of all libraries, at every level."""
    from telephony.observability import logger  # noqa: PLC0415

    root, recorder = logging.getLogger(), LogRecorder(logging.getLogger(logger.name))
    level = root.level
    root.addHandler(recorder)
    root.setLevel(logging.DEBUG)
    yield recorder.lines
    root.setLevel(level)
    root.removeHandler(recorder)


def reset_container() -> None:
    """Clear the provider's caches, so that it reads its environment again like a new container."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "telephony":
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def create_clients() -> None:
    """Create the clients with the settings in effect. A client keeps its number of attempts."""
    from telephony.aws import services  # noqa: PLC0415

    for create in (services.sms_voice, services.connect, services.tagging, services.cloudformation):
        create.cache_clear()
        create()


@pytest.fixture(scope="session")
def container(
    sink: ResponseSink, telecom_server: TelecomServer, stacks_api: StacksApi, queue_api: QueueApi
) -> Iterator[None]:
    """One warm container for all tests of a process, so that a test fails if an earlier event leaves state behind."""
    url = telecom_server.url
    environment = {
        "STATE_TABLE": "state",
        "ACCOUNT_ID": "123456789012",
        "ALLOWED_RESPONSE_HOSTS": sink.host,
        "AWS_CA_BUNDLE": sink.ca_file,
        "AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2": url,
        "AWS_ENDPOINT_URL_CONNECT": url,
        "AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API": url,
        "AWS_ENDPOINT_URL_SERVICE_QUOTAS": url,
        "AWS_ENDPOINT_URL_DYNAMODB": url,
        "AWS_ENDPOINT_URL_CLOUDFORMATION": stacks_api.url,
        "AWS_ENDPOINT_URL_SQS": queue_api.url,
        "QUEUE_URL": queue_api.queue_url,
    }
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in environment.items():
            patch.setenv(variable, value)
        reset_container()
        create_clients()
        yield
    reset_container()


@pytest.fixture
def harness(
    *,
    sink: ResponseSink,
    telecom_server: TelecomServer,
    stacks_api: StacksApi,
    queue_api: QueueApi,
    clients: dict[str, Any],
    container: None,
    log_lines: list[str],
) -> Iterator[Harness]:
    """A provider without any purchase. After the test, no log line, exception, item or response contains a secret."""
    from telephony.aws import quotas  # noqa: PLC0415

    del container
    quotas._cache.cache_clear()  # Those of the last test's account are known for a minute.
    telecom_server.reset()
    telecom_server.options = Options()
    stacks_api.reset()
    queue_api.reset()
    create_state_table(clients["dynamodb"], "state")
    sink._faults.clear()
    issued, put = len(sink.signatures), len(sink.puts)
    unbound: Any = None
    services = Harness(
        telecom=telecom_server,
        sink=sink,
        **clients,
        table="state",
        invoker=unbound,
        cloudformation=unbound,
        queue=queue_api,
        stacks=stacks_api,
    )
    with time_machine.travel(time.time(), tick=True) as traveller, services.function() as function:
        _travellers[:] = [traveller]
        harness = attrs.evolve(function, cloudformation=CloudFormation(function.invoker, sink, api=stacks_api))
        yield harness
    _assert_no_secret(harness, log_lines, sink.signatures[issued:], [put.body for put in sink.puts[put:]])


def _assert_no_secret(
    harness: Harness, log_lines: list[str], signatures: Sequence[str], answers: Sequence[bytes]
) -> None:
    harness.telecom.clear_faults()
    attempts = [*harness.invoker.invocations, *harness.invoker.steps]
    raised = [attempt.error for attempt in attempts if attempt.error is not None]
    places = {
        "a log line": "\n".join(log_lines),
        "an exception": "\n".join("".join(traceback.format_exception(error)) for error in raised),
        "the state table": json.dumps(harness.rows()),
        "a response": "\n".join(answer.decode() for answer in answers),
    }
    for place, text in places.items():
        assert SECRET[:6] not in text, f"{place} contains a declared secret, or a part of it"
        assert not any(signature in text for signature in signatures), f"{place} contains a ResponseURL's signature"


@pytest.fixture
def virtual_clock(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualClock]:
    """A clock that advances only when the provider sleeps or the test shifts it, whatever the machine's load."""
    from telephony import clock  # noqa: PLC0415

    del harness
    with time_machine.travel(int(time.time()), tick=False) as traveller:
        monkeypatch.setattr(clock, "sleep", lambda seconds: traveller.shift(max(0.0, seconds)))
        _travellers.append(traveller)
        yield traveller
        _travellers.pop()


@pytest.fixture
def configure(harness: Harness) -> Iterator[Configure]:
    """Change the provider's environment variables for the rest of the test."""
    from telephony.settings import settings  # noqa: PLC0415

    del harness
    with pytest.MonkeyPatch.context() as patch:

        def change(**variables: str) -> None:
            for variable, value in variables.items():
                patch.setenv(variable, value)
            settings.cache_clear()

        yield change
    settings.cache_clear()


def connect_instance(harness: Harness) -> str:
    """Create an Amazon Connect instance and return its ARN."""
    made = harness.connect.create_instance(
        IdentityManagementType="CONNECT_MANAGED", InboundCallsEnabled=True, OutboundCallsEnabled=True
    )
    return made["Arn"]


@pytest.fixture(params=resources.type_names(), ids=lambda name: name.removeprefix("Custom::"))
def kind(request: pytest.FixtureRequest, harness: Harness) -> Kind:
    """Each resource type."""
    return KINDS[request.param](harness)
