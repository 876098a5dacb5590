"""The figures of build/bench-report.json: what was measured, the goal, and whether it is met."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from benchmarks import cost
from benchmarks.budget import Calls
from benchmarks.cost import Cost

BULK = (25, 100, 400)
_STRETCH, _CALLS = 1.10, 1.2


@attrs.frozen
class Figure:
    """One number, or for the bulk and the calls a map of them."""

    value: Any
    goal: Any
    met: bool
    spread: Any
    """Lowest and highest of the rounds."""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """As the report has it."""
        return attrs.asdict(self)


def _at_most(goal: float, values: Sequence[float], note: str = "") -> Figure:
    value = statistics.median(values)
    return Figure(round(value, 4), goal, value <= goal, [round(min(values), 4), round(max(values), 4)], note)


def of_costs(costs: Mapping[str, Cost], unit: str) -> dict[str, Figure]:
    """Every ratio is taken inside a round."""
    ours = costs["ours"]
    warm = _at_most(0.12, cost.ratios(ours.warm, costs["crhelper"].warm), unit)
    # It is a difference of two measurements: of CPU times, on a busy machine, it may come out below nothing.
    noiseless = min(*ours.warm, *costs["crhelper"].warm) > 0

    colds = {
        f"cold_vs_{peer}{suffix}": _at_most(goal, cost.ratios(costs[name].cold, costs[peer].cold), unit)
        # With the bundle: the same, but that it loads all the roots, as the peers do.
        for suffix, name in {"": "ours", "_with_bundle": "ours_with_bundle"}.items()
        for peer, goal in {"naive": 0.42, "crhelper": 0.68, "cfnresponse": 0.78}.items()
    }
    return colds | {
        "warm_vs_crhelper": attrs.evolve(warm, met=warm.met and noiseless),
        "rss_vs_naive": _at_most(0.52, cost.ratios(ours.rss_mib, costs["naive"].rss_mib)),
        "delete_added_seconds": _at_most(0.1, cost.added_by_delete(ours, costs["floor"])),
    }


def of_artifact(mib: float, bytecode: Sequence[float], recompiled: int) -> dict[str, Figure]:
    """The artifact's size, and what its bytecode saves."""
    ratio = _at_most(0.70, bytecode, f"{recompiled} files recompiled")
    return {
        "artifact_mib": _at_most(20, [mib], "the SDK is in it"),
        "bytecode_ratio": attrs.evolve(ratio, met=ratio.met and recompiled == 0),
    }


def of_bulk(storms: Mapping[int, Mapping[str, Any]]) -> dict[str, Figure]:
    """For each count, ours beside the others of the same run."""
    return {f"bulk_{count}": _bulk(storm) for count, storm in storms.items()}


def _bulk(storm: Mapping[str, Any]) -> Figure:
    ours, jitter = storm["ours"], storm["full jitter, 5 s"]
    billed = jitter["billed_seconds_per_number"]
    met = (
        ours["failed_at_most"] == 0
        and ours["lambda_retries"] == 0
        and ours["stretch"] <= _STRETCH
        and ours["calls_per_number"] <= _CALLS
        and ours["billed_seconds_per_number"] <= billed
    )
    return Figure(
        value=_rounded(ours) | {"others": {name: _rounded(other) for name, other in storm.items() if name != "ours"}},
        goal={
            "failed": 0,
            "stretch": _STRETCH,
            "calls_per_number": _CALLS,
            "billed_seconds_per_number": round(billed, 2),
        },
        met=met,
        spread={
            name: [round(min(run["stretches"]), 4), round(max(run["stretches"]), 4)] for name, run in storm.items()
        },
        note="spread: of the stretch",
    )


def _rounded(run: Mapping[str, Any]) -> dict[str, float]:
    keys = ("created", "failed", "stretch", "calls_per_number", "billed_seconds_per_number", "lambda_retries")
    return {key: round(run[key], 4) for key in keys}


def of_calls(lives: Mapping[str, Mapping[str, Calls]]) -> Figure:
    """Exact: the budget, or not."""
    every = [calls for life in lives.values() for calls in life.values()]
    return Figure(
        value={
            type_name: {
                name: {**calls.telecom, **calls.dynamodb, "answers": calls.answers} for name, calls in life.items()
            }
            for type_name, life in lives.items()
        },
        goal={type_name: {name: calls.allowed for name, calls in life.items()} for type_name, life in lives.items()},
        met=all(calls.met for calls in every),
        spread=None,
        note="goal: calls of the telecom services",
    )
