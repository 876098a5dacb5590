"""The figures of build/bench-report.json: each with its value, its goal, and whether the goal is met."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import attrs

from benchmarks import bulk, cost, sweep
from benchmarks.cost import Cost
from benchmarks.provider import Result


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


def of_bulk(results: Mapping[str, Sequence[Result]]) -> dict[str, Figure]:
    """Compare each simulation with its goal. All its seeds must meet the goal; the value is that of the slowest."""
    return {name: _of_results(runs, _BULK_GOALS[name](runs[0])) for name, runs in results.items()}


def _of_results(results: Sequence[Result], goal: Mapping[str, Any]) -> Figure:
    member, description = ("seconds", "longest run") if "runs" in results[0] else ("last_answer_seconds", "last answer")
    times = [result[member] for result in results]
    return Figure(
        value=_rounded(results[times.index(max(times))]),
        goal=goal,
        met=all(_meets(result, goal) for result in results),
        spread=_spread(times),
        note=f"spread: of the {description}, in seconds",
    )


def _creates(result: Result, calls: float = 1, billed: float = 5) -> Mapping[str, Any]:
    bounds = {"calls_per_number": round(_CALLS * calls, 4), "billed_seconds_per_number": billed}
    return {**_NOTHING_LOST, "held": result["count"], "within": True, **bounds}


def _configured(result: Result) -> Mapping[str, Any]:
    budgets = {"sms": bulk.CONFIGURED_CREATE, "connect": bulk.CLAIM}
    return {name: _creates(result[name], sum(budget.values()), 12) for name, budget in budgets.items()}


_SWEEP: Mapping[str, Any] = {
    "calls_per_100_numbers": 3,
    "cloudformation_calls_per_stack": 1,
    "found": 0,
    "seconds": sweep.TIMEOUT,
    # A leaked number takes some calls of its own.
    "with_leaks": {"all_found": True, "seconds": sweep.TIMEOUT},
}
_CALLS = 1.2
"""Calls per number, of those that a request needs without errors."""
_NOTHING_LOST: Mapping[str, Any] = {"failed": 0, "alarms": 0, "lambda_retries": 0, "dead_letters": 0}
_BULK_GOALS: Mapping[str, Callable[[Result], Mapping[str, Any]]] = {
    "bulk_400_concurrency_10": _creates,
    "bulk_100_configured": _configured,
    "bulk_2000": _creates,
    "delete_100_slow": lambda _: {**_NOTHING_LOST, "held": 0},
    # The calls fill the time completely, so each late delivery can cost a request its place: 1 % of two deliveries.
    "delete_200_slow": lambda result: {
        "alarms": 0,
        "explained": True,
        "last_refused_seconds": 60,
        "failed_later": 0.02 * result["count"],
        "again": {**_NOTHING_LOST, "held": 0},
    },
    "sweep_10000": lambda _: {**_SWEEP, "without_tagging_service": _SWEEP},
}


def _meets(value: Mapping[str, Any], goal: Mapping[str, Any]) -> bool:
    """Return whether each member of the goal is met: a number is an upper limit, and `held` is exact."""
    return goal.keys() <= value.keys() and all(
        _meets(value[name], wanted)
        if isinstance(wanted, Mapping)
        else value[name] == wanted
        if name == "held" or isinstance(wanted, bool)
        else value[name] <= wanted
        for name, wanted in goal.items()
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(member) for name, member in value.items()}
    return round(value, 4) if isinstance(value, float) else value
