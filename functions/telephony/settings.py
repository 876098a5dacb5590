"""What the environment decides, read once per container."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

import attrs


@attrs.frozen(repr=False, eq=False)
class Settings:
    """Every time is in seconds. The defaults are the product's; tests make them small."""

    state_table: str
    allowed_response_hosts: frozenset[str]
    """Hosts (`host` or `host:port`) that may receive an answer besides CloudFormation's own buckets."""
    lease: float
    """How long one attempt to buy holds the ledger's lease. One API attempt is bounded at 25, well inside it, and the
    lease ends before Lambda runs a crashed event again (60)."""
    poll: float
    """First interval between two looks at something that takes time; it grows to five times that."""
    patience: float
    """How long a refusal that passes with time (a pool being left, a role settling) is waited out."""
    answer_margin: float
    """Kept back at the end of an invocation for sending the answer."""
    service_margin: float
    """Kept back before CloudFormation's ServiceTimeout, so that an answer still counts."""

    rates: Mapping[str, float]
    """Calls per second that the account may make, by `service.Operation` or `service`; `*` overrides; 0: no limit."""

    def rate(self, service: str, operation: str) -> float:
        """The calls per second of one operation."""
        names = (f"{service}.{operation}", service)
        return self.rates.get("*", next((self.rates[name] for name in names if name in self.rates), 0))

    @classmethod
    def from_environment(cls) -> Settings:
        """Raise KeyError when STATE_TABLE is missing: without the ledger nothing may be bought."""

        def seconds(name: str, default: float) -> float:
            return float(os.environ.get(f"{name}_SECONDS") or default)

        hosts = os.environ.get("ALLOWED_RESPONSE_HOSTS", "")
        return cls(
            state_table=os.environ["STATE_TABLE"],
            allowed_response_hosts=frozenset(host.strip().lower() for host in hosts.split(",") if host.strip()),
            lease=seconds("LEASE", 45),
            poll=seconds("POLL", 2),
            patience=seconds("PATIENCE", 120),
            answer_margin=seconds("ANSWER_MARGIN", 15),
            service_margin=seconds("SERVICE_MARGIN", 120),
            rates=_RATES | _read_rates(os.environ.get("CALL_RATES", "")),
        )


# The services' default quotas, of the whole account in a Region (AWS End User Messaging SMS user guide, "Quotas";
# Amazon Connect administrator guide, "Amazon Connect service quotas").
_RATES = {"pinpoint-sms-voice-v2": 1.0, "pinpoint-sms-voice-v2.ListTagsForResource": 10.0, "connect": 2.0}


def _read_rates(text: str) -> dict[str, float]:
    """`connect=5,pinpoint-sms-voice-v2.RequestPhoneNumber=3`."""
    pairs = (pair.split("=", 1) for pair in text.split(",") if pair.strip())
    return {name.strip(): float(rate) for name, rate in pairs}


@cache
def settings() -> Settings:
    """The container's settings."""
    return Settings.from_environment()
