"""What an event costs each handler: its start, an event in a warm container, its memory, and what a Delete adds.

Instructions are counted by cachegrind, where it is there: they repeat to half a percent on any busy machine. Without it
the processes' own CPU time stands in, and the spread shows what that is worth.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.artifacts import Artifact, without_bytecode
from benchmarks.container import VALGRIND, Container
from benchmarks.services import Services

_APART = 1.1
"""Seconds between two events: nobody waits for a turn in the account's rate, which is bulk.py's subject."""


@attrs.frozen
class Rounds:
    """How often everything is done, and whether instructions are counted or CPU time is taken."""

    instructions: bool = bool(VALGRIND)
    counted: int = 2
    timed: int = 3
    warm_events: int = 5
    memory_events: int = 20
    deletes: int = 9

    @property
    def unit(self) -> str:
        """Of what is counted."""
        return "Minstr" if self.instructions else "CPU ms"


@attrs.frozen
class Cost:
    """One handler's; a value for each round, so that ratios can be taken inside a round."""

    cold: Sequence[float]
    """Interpreter, import and first Create, in Rounds.unit."""
    warm: Sequence[float]
    """One more Create, on connections of its own, in Rounds.unit."""
    cold_cpu_ms: Sequence[float]
    rss_mib: Sequence[float]
    """Peak resident memory after memory_events Creates."""
    delete_seconds: Sequence[float]
    """What a Delete takes in a warm container, sleeps that were asked for included."""


def measure(
    artifacts: Mapping[str, Artifact], services: Services, rounds: Rounds, tell: Callable[[str], None]
) -> dict[str, Cost]:
    """Every handler once a round, so that what disturbs a round disturbs all."""
    measured: dict[str, dict[str, list[float]]] = {
        name: {"cold": [], "warm": [], "cold_cpu_ms": [], "rss_mib": []} for name in artifacts
    }
    for number in range(rounds.counted if rounds.instructions else rounds.timed):
        tell(f"start and warm event, round {number + 1}")
        for name, artifact in artifacts.items():
            cold = cost_of(artifact, services, rounds, events=1)
            more = cost_of(artifact, services, rounds, events=1 + rounds.warm_events)
            measured[name]["cold"].append(cold)
            measured[name]["warm"].append((more - cold) / rounds.warm_events)
    for number in range(rounds.timed):
        tell(f"CPU and memory, round {number + 1}")
        for name, artifact in artifacts.items():
            with Container(artifact, services.environment(artifact)) as container:
                _create(container, services)
            measured[name]["cold_cpu_ms"].append(container.cpu_seconds * 1000)
        if number:
            continue
        for name, artifact in artifacts.items():
            # Sleeps are recorded: a turn in the rate costs no memory, only time.
            with Container(artifact, services.environment(artifact), "record-sleep") as container:
                for _ in range(rounds.memory_events):
                    services.hang_up()
                    _create(container, services)
            measured[name]["rss_mib"].append(container.peak_mib)
    tell("Deletes")
    deletes = {name: _deletes(artifact, services, rounds.deletes) for name, artifact in artifacts.items()}
    return {name: Cost(**found, delete_seconds=deletes[name]) for name, found in measured.items()}


def cost_of(artifact: Artifact, services: Services, rounds: Rounds, *, events: int) -> float:
    """The whole process of a container that works on so many Creates, in rounds.unit."""
    with Container(artifact, services.environment(artifact), counted=rounds.instructions) as container:
        for number in range(events):
            if number:
                time.sleep(_APART)
                services.hang_up()
            _create(container, services)
    return container.instructions / 1e6 if rounds.instructions else container.cpu_seconds * 1000


def bytecode(artifact: Artifact, services: Services, rounds: Rounds, directory: Path) -> list[float]:
    """The start of the artifact, over the same with its .pyc removed; a value for each round."""
    bare = without_bytecode(artifact, directory)
    return [
        cost_of(artifact, services, rounds, events=1) / cost_of(bare, services, rounds, events=1)
        for _ in range(rounds.counted)
    ]


def recompiled(artifact: Artifact, services: Services) -> int:
    """How many of the artifact's files were compiled when it started, for want of bytecode that counts."""
    with Container(artifact, services.environment(artifact), "count-compiled") as container:
        sent = services.event("Create")
        return container.send(sent).compiled


def added_by_delete(cost: Cost, floor: Cost) -> list[float]:
    """What a Delete takes beyond the service's own time, which is what the floor's takes: two calls, nothing else."""
    service = statistics.median(floor.delete_seconds)
    return [seconds - service for seconds in cost.delete_seconds]


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Round by round."""
    return [one / other for one, other in zip(over, under, strict=True)]


def _create(container: Container, services: Services) -> dict[str, Any]:
    sent = services.event("Create")
    container.send(sent)
    return services.answer(sent)


def _deletes(artifact: Artifact, services: Services, times: int) -> list[float]:
    """Seconds of each. Sleeps are recorded, not slept: one of the peers asks for two minutes."""
    found = []
    with Container(artifact, services.environment(artifact), "record-sleep") as container:
        for _ in range(times + 1):
            created = services.event("Create", stack="deleted")
            container.send(created)
            physical_id = services.answer(created)["PhysicalResourceId"]
            time.sleep(_APART)
            deleted = services.event("Delete", stack="deleted", physical_id=physical_id)
            ran = container.send(deleted)
            services.answer(deleted)
            found.append(ran.seconds + ran.slept)
    return found[1:]
