"""How the telecom services behave: every switch in one place, settable at the start and at run time."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self, get_type_hints

from local.telecom.behaviours import BEHAVIOURS


@dataclasses.dataclass(frozen=True)
class Options:
    """Times are seconds of the services' clock, quotas are counts per account and Region unless said otherwise."""

    # SMS and voice
    activation_seconds: float = 0.0  # PENDING -> ACTIVE; 0 is ACTIVE at the first look after the request
    registration_pending: bool = False  # numbers that need a registration stay PENDING for ever
    registration_status: str = "COMPLETE"  # what a new registration reads: nobody reviews one on a laptop
    release_seconds: float = 0.0  # DISASSOCIATING -> gone
    pool_release_seconds: float = 0.0  # a number that left its pool still counts as a member for so long
    sender_id_release_seconds: float = 0.0  # until a released sender ID can be requested again
    role_propagation_seconds: float = 0.0  # a two-way role cannot be assumed until so long after its first use
    phone_numbers: int = 25
    sender_ids: int = 200
    pools: int = 25
    opt_out_lists: int = 25
    registrations: int = 25
    identities_per_pool: int = 100
    keywords_per_number: int = 30
    # Connect
    claim_seconds: float = 0.0  # IN_PROGRESS -> CLAIMED or FAILED; 0 is settled at the first look
    update_seconds: float = 0.0  # IN_PROGRESS -> CLAIMED after an update
    connect_numbers: int = 5  # per instance or traffic distribution group
    claim_release_limit: float = 2.0  # claims and releases in 180 days, as a multiple of the quota
    race_losses: int = 0  # the next so many claims find their number taken by somebody else
    # Both
    tags_lag_seconds: float = 0.0  # until tags written can be read
    forget_tokens: bool = False  # a repeated ClientToken is a new request
    token_seconds: float = math.inf  # how long a ClientToken is remembered
    rate: bool = False  # throttle as the account's default rates do
    on: frozenset[str] = frozenset()  # behaviours switched on, by id
    off: frozenset[str] = frozenset()  # behaviours switched off, by id

    def __post_init__(self) -> None:
        unknown = sorted((self.on | self.off) - set(BEHAVIOURS))
        if unknown:
            raise ValueError(f"unknown behaviour {', '.join(unknown)}; see local/telecom/behaviours.py")

    def changed(self, values: Mapping[str, Any]) -> Self:
        """Return these options with `values` (by field name; strings are read as the field's type) in them."""
        kinds = get_type_hints(type(self))
        unknown = sorted(set(values) - set(kinds))
        if unknown:
            raise ValueError(f"unknown option {', '.join(unknown)}; known: {', '.join(sorted(kinds))}")
        return dataclasses.replace(self, **{name: _read(kinds[name], name, value) for name, value in values.items()})

    def as_json(self) -> dict[str, Any]:
        """Return the options as JSON can carry them."""
        return {name: _plain(value) for name, value in dataclasses.asdict(self).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    return None if value == math.inf else value


def _read(kind: Any, name: str, value: Any) -> Any:
    if kind is bool:
        if value in (True, "true"):
            return True
        if value in (False, "false"):
            return False
        raise ValueError(f"option {name}: {value!r} is neither true nor false")
    if kind in (int, float, str):
        return math.inf if value is None else kind(value)
    return frozenset(filter(None, value.split(",") if isinstance(value, str) else value))
