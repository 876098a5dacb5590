from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from local.telecom import Options, TelecomServer
from tests.unit.telecom.calls import client, create_instance

# Creating a client takes longer than all the calls of a test.
cached_client = cache(client)


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
    return cached_client(server.url, "pinpoint-sms-voice-v2")


@pytest.fixture
def connect(server: TelecomServer) -> Any:
    return cached_client(server.url, "connect")


@pytest.fixture
def dynamodb(server: TelecomServer) -> Any:
    return cached_client(server.url, "dynamodb")


@pytest.fixture
def instance(connect: Any) -> str:
    return create_instance(connect)
