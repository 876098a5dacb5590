"""What the environment decides, read once per container."""

from __future__ import annotations

import os
from functools import cache

import attrs


@attrs.frozen
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
        )


@cache
def settings() -> Settings:
    """The container's settings."""
    return Settings.from_environment()
