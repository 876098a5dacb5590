"""A round of the sweep, which can take several invocations.

pk       sk       holds
sweep    round    a Round
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import attrs

from telephony.aws import state_table
from telephony.data import data

_KEY = state_table.key("sweep", "round")


@data
class Round:
    """The round in progress, or the last one. Times are in seconds since the epoch."""

    started_at: float
    completed_at: float
    """When the last complete round ended. Before the first one, when it began."""
    in_progress: bool = True
    after: str = ""
    """The last check that was made. Checks are made in the order of their names."""
    findings: Counter[str] = attrs.field(factory=Counter)

    def totals(self, names: Iterable[str]) -> dict[str, int]:
        """Return the number of findings of each kind."""
        return {name: self.findings[name] for name in names}


def begin(last: Round | None, now: float) -> Round:
    """Return the round in progress, or else a new one."""
    if last is None:
        return Round(now, now)
    return last if last.in_progress else Round(now, last.completed_at)


def load() -> Round | None:
    """Return the round in progress, or the last one, or None before the first one."""
    item = state_table.get(_KEY)
    if item is None:
        return None
    return Round(
        started_at=float(item["started_at"]["N"]),
        completed_at=float(item["completed_at"]["N"]),
        in_progress=item["in_progress"]["BOOL"],
        after=item["after"]["S"],
        findings=Counter({name: int(value["N"]) for name, value in item["findings"]["M"].items()}),
    )


def save(current: Round) -> None:
    """Save the round."""
    item: dict[str, Any] = {
        **_KEY,
        "started_at": state_table.number(current.started_at),
        "completed_at": state_table.number(current.completed_at),
        "in_progress": {"BOOL": current.in_progress},
        "after": {"S": current.after},
        "findings": {"M": {name: state_table.number(total) for name, total in current.findings.items()}},
    }
    state_table.replace(item)
