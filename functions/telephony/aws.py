"""The only module that knows boto3: one session, and how long a call may take."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# One attempt, at most 23 seconds: when to try again, and whether that may be, is decided where the ledger is known.
_SERVICE = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 1, "mode": "standard"})
# The store answers in milliseconds or is in trouble. Every write is conditional, so that repeating one does no harm.
_STORE = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 3, "mode": "standard"})


@cache
def session() -> boto3.Session:
    """The container's session."""
    return boto3.Session()


def client(service: str) -> Any:
    """A client of a service that is called once, and whose failures are looked at."""
    make: Any = session().client
    return make(service, config=_SERVICE)


@cache
def store() -> DynamoDBClient:
    """DynamoDB as botocore gives it: Powertools shares this client and reads botocore's own errors."""
    return session().client("dynamodb", config=_STORE)
