"""The only module that knows boto3: one session, and how long a call may take."""

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

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# One attempt, at most 23 seconds: when to try again, and whether that may be, is decided where the ledger is known.
_SERVICE_CONFIG = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 1, "mode": "standard"})
# The store answers in milliseconds or is in trouble. Every write is conditional, so that repeating one does no harm.
_DYNAMODB_CONFIG = Config(
    connect_timeout=1,
    read_timeout=2,
    retries={"total_max_attempts": 3, "mode": "standard"},
    # botocore puts its own name for itself together twice a call, and checks every parameter: these are all written
    # here, and DynamoDB would refuse a wrong one.
    user_agent=f"cfn-telephony Botocore/{botocore.__version__}",
    parameter_validation=False,
)


class _Http(URLLib3Session):
    """botocore's HTTP on the container's TLS context: it would load the CA bundle anew for every connection.

    A client that was told to trust something else goes botocore's own way.
    """

    def _get_ssl_context(self) -> ssl.SSLContext:
        own: Any = super()
        context: ssl.SSLContext = transport.context() if self._shares() else own._get_ssl_context()  # noqa: SLF001
        return context

    def _setup_ssl_cert(self, conn: Any, url: str, verify: Any) -> None:
        if not self._shares():
            own: Any = super()
            own._setup_ssl_cert(conn, url, verify)  # noqa: SLF001
        # Otherwise no bundle is named to be loaded: the context verifies already, and the host's name too.

    def _shares(self) -> bool:
        verify: Any = vars(self)["_verify"]
        return verify is True or verify == os.environ.get("AWS_CA_BUNDLE")


# For every client of the process. All else of their HTTP (timeouts, proxies, TCP_NODELAY) stays as botocore makes it.
_create: Any = EndpointCreator.create_endpoint
EndpointCreator.create_endpoint = partialmethod(_create, http_session_cls=_Http)  # type: ignore[assignment]


@cache
def session() -> boto3.Session:
    """The container's session."""
    return boto3.Session()


def client(service: str) -> Any:
    """A client of a service that is called once, and whose failures are looked at."""
    make: Any = session().client
    return make(service, config=_SERVICE_CONFIG)


@cache
def dynamodb() -> DynamoDBClient:
    """DynamoDB as botocore gives it: Powertools shares this client and reads botocore's own errors."""
    return session().client("dynamodb", config=_DYNAMODB_CONFIG)
