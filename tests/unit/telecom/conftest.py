from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from local.telecom import Options, TelecomServer
from tests.unit.telecom.calls import client

# A client takes longer to make than all the calls of a test.
kept_client = cache(client)


@pytest.fixture(scope="session")
def running_server() -> Iterator[TelecomServer]:
    with TelecomServer() as server:
        yield server


@pytest.fixture
def server(running_server: TelecomServer) -> TelecomServer:
    running_server.reset()
    running_server.options = Options()
    return running_server


@pytest.fixture
def sms(server: TelecomServer) -> Any:
    return kept_client(server.url, "pinpoint-sms-voice-v2")


@pytest.fixture
def connect(server: TelecomServer) -> Any:
    return kept_client(server.url, "connect")


@pytest.fixture
def dynamodb(server: TelecomServer) -> Any:
    return kept_client(server.url, "dynamodb")


@pytest.fixture
def instance(connect: Any) -> str:
    made = connect.create_instance(
        IdentityManagementType="CONNECT_MANAGED", InboundCallsEnabled=True, OutboundCallsEnabled=True
    )
    return str(made["Arn"])
