"""The provider as it runs in Lambda, but for the machine: real HTTP to the telecom services, to DynamoDB and to S3."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs
import boto3
import pytest
import trustme

from local.telecom import TelecomServer
from tests.contract.answers import AnswerSink
from tests.contract.cloudformation import AsyncInvoker, CloudFormation, event

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
    "LEASE_SECONDS": "1",
    "POLL_SECONDS": "0.02",
    "PATIENCE_SECONDS": "0.6",
    "ANSWER_MARGIN_SECONDS": "1",
    "SERVICE_MARGIN_SECONDS": "1",
}
for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
    os.environ.pop(name, None)

if TYPE_CHECKING:
    from types_boto3_connect import ConnectClient
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_pinpoint_sms_voice_v2 import PinpointSMSVoiceV2Client

SMS = "pinpoint-sms-voice-v2"


@pytest.fixture(scope="session")
def sink() -> Iterator[AnswerSink]:
    with AnswerSink(trustme.CA()) as answers:
        yield answers


@pytest.fixture(scope="session")
def telecom_server() -> Iterator[TelecomServer]:
    with TelecomServer() as server:
        yield server


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

    def send(self, request_type: Any, **fields: Any) -> dict[str, Any]:
        """Let one request through, retries and all, and give its answer as CloudFormation reads it."""
        request_id = fields.pop("request_id", None) or str(uuid.uuid4())
        issued_at = fields.pop("issued_at", None)
        stack_id = fields.get("stack_id", STACK_ID)
        logical_id = fields.setdefault("logical_id", "Number")
        url = self.sink.url_for(stack_id, logical_id, request_id, issued_at=issued_at)
        self.invoker.invoke(event(request_type, response_url=url, request_id=request_id, **fields))
        self.invoker.settle(timeout=30)
        answers = self.sink.answers(request_id)
        assert answers, f"{request_type} was not answered"
        first: dict[str, Any] = answers[0]
        return first

    def held(self) -> dict[str, int]:
        return {name: len(things) for name, things in self.telecom.held().items() if name != "pools" and things}


STACK_ID = "arn:aws:cloudformation:us-east-1:123456789012:stack/example/5b918d10-cd98-11f0-8f5a-0e2a1b2c3d4e"


def forget_container() -> None:
    """Make the provider read its environment again, as a new container does."""
    from telephony import aws, outcome, settings, transport  # noqa: PLC0415

    cached = (settings.settings, aws.session, aws.sms_voice, aws.connect, aws.store, transport.pool, outcome._cache)
    for function in cached:
        function.cache_clear()


@pytest.fixture
def laptop(sink: AnswerSink, telecom_server: TelecomServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Laptop]:
    """A provider with nothing bought yet."""
    from telephony import last_resort, provider  # noqa: PLC0415

    telecom_server.reset()
    telecom_server.options = type(telecom_server.options)()
    url = telecom_server.url
    dynamodb = boto3.client("dynamodb", endpoint_url=url)
    dynamodb.create_table(
        TableName="state",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    environment = {
        "STATE_TABLE": "state",
        "ALLOWED_RESPONSE_HOSTS": sink.host,
        "AWS_CA_BUNDLE": sink.ca_file,
        "AWS_ENDPOINT_URL_PINPOINT_SMS_VOICE_V2": url,
        "AWS_ENDPOINT_URL_CONNECT": url,
        "AWS_ENDPOINT_URL_DYNAMODB": url,
    }
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    forget_container()
    with AsyncInvoker(provider.handler, lambda queued: last_resort.handler(queued, Context()), timeout=20) as invoker:
        yield Laptop(
            telecom=telecom_server,
            sink=sink,
            sms=boto3.client("pinpoint-sms-voice-v2", endpoint_url=url),
            connect=boto3.client("connect", endpoint_url=url),
            dynamodb=dynamodb,
            table="state",
            invoker=invoker,
            cloudformation=CloudFormation(invoker, sink),
        )


class Context:
    """What a Lambda function is told of its invocation."""

    aws_request_id = "00000000-0000-4000-8000-000000000000"
    function_name = "last-resort"

    def get_remaining_time_in_millis(self) -> int:
        return 20_000
