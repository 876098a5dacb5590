"""Creates boto3 clients: one session per container, with timeouts and a shared TLS context."""

from __future__ import annotations

import os
import ssl
from functools import cache, partialmethod
from typing import TYPE_CHECKING, Any

import boto3
import botocore
from botocore.config import Config
from botocore.endpoint import EndpointCreator
from botocore.httpsession import URLLib3Session

from telephony import transport
from telephony.settings import settings

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_QUEUE_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2, "mode": "standard"})
# Nothing depends on the result, so no request waits for it.
_SERVICE_QUOTAS_CONFIG = Config(
    connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1, "mode": "standard"}
)
# DynamoDB normally responds within milliseconds. Retries are safe because every write is conditional.
_DYNAMODB_CONFIG = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"total_max_attempts": 3, "mode": "standard"},
    # botocore builds its default User-Agent twice per call, which costs 10 % of a warm Create.
    user_agent=f"cfn-telephony Botocore/{botocore.__version__}",
)


class _Http(URLLib3Session):
    """Uses the container's TLS context, because botocore loads the CA bundle again for every connection.

    A client with its own `verify` option keeps botocore's behavior.
    """

    def _get_ssl_context(self) -> ssl.SSLContext:
        own: Any = super()
        context: ssl.SSLContext = transport.context() if self._shares() else own._get_ssl_context()  # noqa: SLF001
        return context

    def _setup_ssl_cert(self, conn: Any, url: str, verify: Any) -> None:
        if not self._shares():
            own: Any = super()
            own._setup_ssl_cert(conn, url, verify)  # noqa: SLF001
        # The shared context already verifies certificates and host names.

    def _shares(self) -> bool:
        verify: Any = vars(self)["_verify"]
        return verify is True or verify == os.environ.get("AWS_CA_BUNDLE")


# Applies to every client of the process. Timeouts, proxies and TCP_NODELAY remain botocore's.
_create: Any = EndpointCreator.create_endpoint
EndpointCreator.create_endpoint = partialmethod(_create, http_session_cls=_Http)  # type: ignore[assignment]


@cache
def session() -> boto3.Session:
    """Return the container's session."""
    return boto3.Session()


def client(service: str, attempts: int | None = None) -> Any:
    """Return a client of a telecom service or CloudFormation. An attempt takes at most 23 seconds."""
    make: Any = session().client
    retries: Any = {"total_max_attempts": attempts or settings().call_attempts, "mode": "standard"}
    return make(service, config=Config(connect_timeout=3, read_timeout=20, retries=retries))


def queue() -> Any:
    """Return a client of Amazon SQS. Sending a message twice is harmless, so it retries."""
    make: Any = session().client
    return make("sqs", config=_QUEUE_CONFIG)


@cache
def service_quotas() -> Any:
    """Return a client of Service Quotas, whose errors are botocore's."""
    make: Any = session().client
    return make("service-quotas", config=_SERVICE_QUOTAS_CONFIG)


@cache
def dynamodb() -> DynamoDBClient:
    """Return a plain DynamoDB client, whose errors are botocore's: Powertools also uses it."""
    return session().client("dynamodb", config=_DYNAMODB_CONFIG)
