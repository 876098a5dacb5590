"""The figures of build/bench-report.json: each with its value, its goal, and whether the goal is met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import attrs

from benchmarks import cost
from benchmarks.bulk import JITTER, PROVIDER, Strategies
from benchmarks.cost import Cost

_STRETCH, _CALLS = 1.10, 1.2


@attrs.frozen
class Figure:
    """One figure. The value and the goal of a bulk figure are maps."""

    value: Any
    goal: Any
    met: bool
    spread: Any
    """The lowest and the highest value of all rounds."""
    note: str = ""


def _at_most(goal: float, values: Sequence[float], note: str = "", *, valid: bool = True) -> Figure:
    value = median(values)
    return Figure(round(value, 4), goal, valid and value <= goal, _spread(values), note)


def _spread(values: Sequence[float]) -> list[float]:
    return [round(min(values), 4), round(max(values), 4)]


def of_costs(costs: Mapping[str, Cost], mib: float, bytecode_ratios: Sequence[float], unit: str) -> dict[str, Figure]:
    """Compare the provider with the other handlers."""
    provider, crhelper = costs["provider"], costs["crhelper"]
    colds = {
        f"cold_vs_{peer}{suffix}": _at_most(goal, cost.ratios(costs[name].cold, costs[peer].cold), unit)
        for suffix, name in {"": "provider", "_with_bundle": "provider_with_bundle"}.items()
        for peer, goal in {"naive": 0.42, "crhelper": 0.68, "cfnresponse": 0.78}.items()
    }
    return colds | {
        # A warm cost is the difference of two measurements. As CPU time on a busy machine, it can be negative.
        "warm_vs_crhelper": _at_most(
            0.12, cost.ratios(provider.warm, crhelper.warm), unit, valid=min(*provider.warm, *crhelper.warm) > 0
        ),
        "rss_vs_naive": _at_most(0.58, cost.ratios(provider.rss_mib, costs["naive"].rss_mib)),
        "delete_added_seconds": _at_most(0.1, cost.added_by_delete(provider, costs["raw_http"])),
        "artifact_mib": _at_most(20, [mib], "includes the SDK"),
        "bytecode_ratio": _at_most(0.70, bytecode_ratios),
    }


def of_bulk(bulk: Mapping[int, Strategies]) -> dict[str, Figure]:
    """For each count of Creates, compare the provider with the other retry strategies."""
    return {f"bulk_{count}": _of_strategies(strategies) for count, strategies in bulk.items()}


def _of_strategies(strategies: Strategies) -> Figure:
    provider, others = strategies[PROVIDER], {name: run for name, run in strategies.items() if name != PROVIDER}
    goal = {
        "failed": 0,
        "lambda_retries": 0,
        "stretch": _STRETCH,
        "calls_per_number": _CALLS,
        "billed_seconds_per_number": strategies[JITTER]["billed_seconds_per_number"],
    }
    return Figure(
        value=_rounded(provider) | {"others": {name: _rounded(run) for name, run in others.items()}},
        goal=goal,
        met=provider["failed_at_most"] == 0 and all(provider[name] <= limit for name, limit in goal.items()),
        spread={name: _spread(run["stretches"]) for name, run in strategies.items()},
        note="spread: of the stretch",
    )


def _rounded(run: Mapping[str, Any]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in run.items() if name not in {"failed_at_most", "stretches"}}
