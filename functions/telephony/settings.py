"""Settings from the environment, read once per execution environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

from telephony.data import data

MIN_SERVICE_TIMEOUT = 60
"""Seconds. The shortest ServiceTimeout that leaves time for one attempt: a call of 23 seconds, and the response."""


@data
class Settings:
    """Durations are in seconds. The defaults are for production; tests shorten them."""

    state_table: str
    queue_url: str
    """Of the queue of requests that wait."""
    allowed_response_hosts: frozenset[str]
    """Hosts (`host` or `host:port`) that may receive a response, besides CloudFormation's buckets."""
    lease_duration: float
    """How long one purchase attempt holds its lease. An API call takes at most 23 seconds."""
    poll_interval: float
    """First interval between two polls. It grows to five times this value."""
    in_place_wait: float
    """How long an invocation waits in all. A request that must wait longer is continued from the queue."""
    retry_delay: float
    """First delay before a request is continued. It grows with the age of the request to twelve times this value."""
    retry_period: float
    """How long a temporary refusal is retried."""
    unknown_result_period: float
    """How long the account's listings must not show a number, before an attempt of unknown result counts as refused."""
    stack_status_period: float
    """How long a stack must be shown without an operation, before that is believed."""
    allow_adoption: bool
    """Whether existing numbers can be adopted."""
    connect_phone_number_quota: int | None
    """The quota of phone numbers of Amazon Connect. None: it is read from Service Quotas."""
    recovery_window_days: int
    """For how many days a deleted number is pending release, if its declaration does not say."""
    account_id: str
    """The account of the provider."""
    stack_accounts: frozenset[str]
    """Other accounts whose stacks may use the provider. It can't read their stacks."""
    response_margin: float
    """Reserved at the end of an invocation to send the response."""
    service_timeout_margin: float
    """Reserved before ServiceTimeout, so that CloudFormation still accepts the response."""
    min_service_timeout: float
    """MIN_SERVICE_TIMEOUT; tests shorten it."""
    call_attempts: int
    """How often a call is made that fails temporarily. 1: the lifecycle decides about retries, using the ledger."""
    rates: Mapping[str, float]
    """Calls per second of the account, by `service.Operation` or `service`. `*` overrides all; 0 is unlimited."""

    def rate(self, service: str, operation: str) -> float:
        """Return the calls per second allowed for an operation. 0 is unlimited."""
        names = (f"{service}.{operation}", service)
        return self.rates.get("*", next((self.rates[name] for name in names if name in self.rates), 0))

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the environment. Raises KeyError if a variable without a default is missing."""

        def seconds(name: str, default: float) -> float:
            return float(os.environ.get(f"{name}_SECONDS") or default)

        return cls(
            state_table=os.environ["STATE_TABLE"],
            queue_url=os.environ.get("QUEUE_URL", ""),
            allowed_response_hosts=_names(os.environ.get("ALLOWED_RESPONSE_HOSTS", "").lower()),
            lease_duration=seconds("LEASE_DURATION", 45),
            poll_interval=seconds("POLL_INTERVAL", 2),
            in_place_wait=seconds("IN_PLACE_WAIT", 10),
            retry_delay=seconds("RETRY_DELAY", 5),
            retry_period=seconds("RETRY_PERIOD", 120),
            unknown_result_period=seconds("UNKNOWN_RESULT_PERIOD", 300),
            stack_status_period=seconds("STACK_STATUS_PERIOD", 10),
            allow_adoption=os.environ.get("ALLOW_ADOPTION") == "true",
            connect_phone_number_quota=int(os.environ.get("CONNECT_PHONE_NUMBER_QUOTA") or 0) or None,
            recovery_window_days=int(os.environ.get("RECOVERY_WINDOW_IN_DAYS") or 0),
            account_id=os.environ["ACCOUNT_ID"],
            stack_accounts=_names(os.environ.get("STACK_ACCOUNTS", "")),
            response_margin=seconds("RESPONSE_MARGIN", 15),
            service_timeout_margin=seconds("SERVICE_TIMEOUT_MARGIN", 120),
            min_service_timeout=seconds("MIN_SERVICE_TIMEOUT", MIN_SERVICE_TIMEOUT),
            call_attempts=int(os.environ.get("CALL_ATTEMPTS") or 1),
            rates=_DEFAULT_RATES | _parse_rates(os.environ.get("CALL_RATES", "")),
        )


_DEFAULT_RATES = {
    "pinpoint-sms-voice-v2": 1.0,
    "pinpoint-sms-voice-v2.ListTagsForResource": 10.0,
    "connect": 2.0,
    # Not published. DescribeStacks is called once for a release, which has its own reservation.
    "cloudformation.DescribeStackEvents": 5.0,
    "cloudformation.ListStackResources": 5.0,
    # Two thirds of the quota, which the Tag Editor shares.
    "resourcegroupstaggingapi": 10.0,
}
"""Default quotas of an account in a Region.

Source: AWS End User Messaging SMS User Guide, "Quotas"; Amazon Connect Administrator Guide, "Amazon Connect service
quotas"; Tag Editor User Guide, "Quotas".
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def _parse_rates(text: str) -> dict[str, float]:
    """Parse `connect=5,pinpoint-sms-voice-v2.RequestPhoneNumber=3`."""
    pairs = (pair.split("=", 1) for pair in text.split(",") if pair.strip())
    return {name.strip(): float(rate) for name, rate in pairs}


@cache
def settings() -> Settings:
    """Return the settings of this execution environment."""
    return Settings.from_environment()
