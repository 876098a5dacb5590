"""Options of the telecom services. They can be set at the start and at run time."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self, get_type_hints

from local.telecom.behaviours import BEHAVIOURS


@dataclasses.dataclass(frozen=True)
class Options:
    """Times are seconds of the services' clock. Quotas are per account and Region unless stated otherwise."""

    # SMS and voice
    activation_seconds: float = 0.0  # PENDING -> ACTIVE; 0 is ACTIVE at the first read after the request
    registration_pending: bool = False  # numbers that need a registration stay PENDING
    registration_status: str = "COMPLETE"  # of a new registration
    release_seconds: float = 0.0  # DISASSOCIATING -> deleted
    pool_release_seconds: float = 0.0  # how long a number that left its pool still counts as a member
    sender_id_release_seconds: float = 0.0  # until a released sender ID can be requested again
    role_propagation_seconds: float = 0.0  # from the first use of a two-way role until it can be assumed
    phone_numbers: int = 25
    sender_ids: int = 200
    pools: int = 25
    opt_out_lists: int = 25
    registrations: int = 25
    identities_per_pool: int = 100
    keywords_per_number: int = 30
    # Connect
    claim_seconds: float = 0.0  # IN_PROGRESS -> CLAIMED or FAILED; 0 is settled at the first read
    update_seconds: float = 0.0  # IN_PROGRESS -> CLAIMED after an update
    connect_numbers: int = 5  # per instance or traffic distribution group
    claim_release_limit: float = 2.0  # claims and releases in 180 days, as a multiple of the quota
    quota_level: str = "account"  # where the quota of numbers has a value: `default`, `account` or `resource`
    race_losses: int = 0  # how many of the next claims fail because another customer claimed the number first
    # Both
    tags_lag_seconds: float = 0.0  # until written tags can be read
    describe_lag_seconds: float = 0.0  # until a new number or sender ID can be described and listed
    tag_index_lag_seconds: float = 0.0  # until the tagging service shows written tags
    tag_index_linger_seconds: float = 0.0  # how long the tagging service shows deleted resources
    unindexed_types: frozenset[str] = frozenset()  # `sms-voice:phone-number`, ...: unknown to the tagging service
    forget_tokens: bool = False  # a repeated ClientToken is a new request
    token_seconds: float = math.inf  # how long a ClientToken is remembered
    rate: bool = False  # throttle at the account's default rates
    on: frozenset[str] = frozenset()  # IDs of behaviours to enable
    off: frozenset[str] = frozenset()  # IDs of behaviours to disable

    def __post_init__(self) -> None:
        unknown = sorted((self.on | self.off) - set(BEHAVIOURS))
        if unknown:
            raise ValueError(f"unknown behaviour {', '.join(unknown)}; see local/telecom/behaviours.py")

    def changed(self, values: Mapping[str, Any]) -> Self:
        """Return a copy with `values`, by field name. Strings are converted to the field's type."""
        types = get_type_hints(type(self))
        unknown = sorted(set(values) - set(types))
        if unknown:
            raise ValueError(f"unknown option {', '.join(unknown)}; known: {', '.join(sorted(types))}")
        return dataclasses.replace(self, **{name: _convert(types[name], name, value) for name, value in values.items()})

    def as_json(self) -> dict[str, Any]:
        """Return the options as JSON values; infinity is None."""
        values = dataclasses.asdict(self) | {"on": sorted(self.on), "off": sorted(self.off)}
        return {name: None if value == math.inf else value for name, value in values.items()}


def _convert(kind: Any, name: str, value: Any) -> Any:
    if kind is bool:
        if value not in (True, False, "true", "false"):
            raise ValueError(f"option {name}: {value!r} is neither true nor false")
        return value in (True, "true")
    if kind in (int, float, str):
        return math.inf if value is None else kind(value)
    return frozenset(filter(None, value.split(",") if isinstance(value, str) else value))
