"""Measures each handler: cold start, warm Create, peak memory, and the duration of a Delete.

If valgrind is installed, cachegrind counts instructions: the count varies by less than 0.5 %, even on a busy machine.
Otherwise the CPU time of the process is measured.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import attrs

from benchmarks.artifacts import Artifact, without_bytecode
from benchmarks.container import VALGRIND, Container
from benchmarks.services import Services

_INTERVAL = 1.1
"""Seconds between events, so that no event waits for a rate-limit reservation. bulk.py measures that wait."""
_log = logging.getLogger(__name__)


@attrs.frozen
class Samples:
    """How many samples are taken, and whether instructions are counted."""

    instructions: bool = bool(VALGRIND)
    rounds: int = 2
    warm_events: int = 5
    memory_events: int = 20
    deletes: int = 9

    @property
    def unit(self) -> str:
        """The unit of Cost.cold and Cost.warm."""
        return "Minstr" if self.instructions else "CPU ms"


@attrs.frozen
class Cost:
    """The measurements of one handler."""

    cold: list[float] = attrs.field(factory=list)
    """Interpreter start, import and first Create, for each round."""
    warm: list[float] = attrs.field(factory=list)
    """Another Create, on new connections, for each round."""
    cold_cpu_ms: list[float] = attrs.field(factory=list)
    rss_mib: list[float] = attrs.field(factory=list)
    """Peak resident memory after Samples.memory_events Creates."""
    delete_seconds: list[float] = attrs.field(factory=list)
    """Duration of each Delete in a warm container, including requested sleeps."""


def measure(artifacts: Mapping[str, Artifact], services: Services, samples: Samples) -> dict[str, Cost]:
    """Measure every handler in each round, so that a disturbance of the machine affects all of them."""
    costs = {name: Cost() for name in artifacts}
    for number in range(samples.rounds):
        _log.info("Cold starts and warm Creates, round %d of %d", number + 1, samples.rounds)
        for name, artifact in artifacts.items():
            cold = cost_of(artifact, services, samples)
            total = cost_of(artifact, services, samples, warm_events=samples.warm_events)
            costs[name].cold.append(cold)
            costs[name].warm.append((total - cold) / samples.warm_events)
            costs[name].cold_cpu_ms.append(cost_of(artifact, services, Samples(instructions=False)))
    _log.info("Memory and Deletes")
    for name, artifact in artifacts.items():
        costs[name].rss_mib.append(_peak_mib(artifact, services, samples.memory_events))
        costs[name].delete_seconds.extend(_delete_seconds(artifact, services, samples.deletes))
    return costs


def cost_of(artifact: Artifact, services: Services, samples: Samples, *, warm_events: int = 0) -> float:
    """Measure a container from start to exit, with one Create and then warm_events more, in Samples.unit."""
    environment = services.environment(artifact)
    with Container(artifact, environment, count_instructions=samples.instructions) as container:
        _create(container, services)
        for _ in range(warm_events):
            time.sleep(_INTERVAL)
            services.close_connections()
            _create(container, services)
    return container.instructions / 1e6 if samples.instructions else container.cpu_seconds * 1000


def bytecode_ratios(artifact: Artifact, cost: Cost, services: Services, samples: Samples, copy: Path) -> list[float]:
    """Divide each cold start by the cold start of a copy without .pyc files."""
    bare = without_bytecode(artifact, copy)
    return [cold / cost_of(bare, services, samples) for cold in cost.cold]


def added_by_delete(cost: Cost, baseline: Cost) -> list[float]:
    """Subtract the duration of the baseline's Delete, which makes the two necessary calls and does nothing else."""
    return [seconds - median(baseline.delete_seconds) for seconds in cost.delete_seconds]


def ratios(values: list[float], base: list[float]) -> list[float]:
    """Divide round by round."""
    return [value / other for value, other in zip(values, base, strict=True)]


def _create(container: Container, services: Services, **fields: str) -> str:
    """Create a number in the container and return its physical ID."""
    request = services.event("Create", **fields)
    container.invoke(request)
    return str(services.response(request)["PhysicalResourceId"])


def _peak_mib(artifact: Artifact, services: Services, events: int) -> float:
    with Container(artifact, services.environment(artifact), record_sleep=True) as container:
        for _ in range(events):
            services.close_connections()
            _create(container, services)
    return container.peak_mib


def _delete_seconds(artifact: Artifact, services: Services, deletes: int) -> list[float]:
    """Measure Deletes in one container, without the first. Sleeps are recorded: crhelper sleeps for two minutes."""
    durations = []
    with Container(artifact, services.environment(artifact), record_sleep=True) as container:
        for _ in range(deletes + 1):
            physical_id = _create(container, services, stack="deleted")
            time.sleep(_INTERVAL)
            request = services.event("Delete", stack="deleted", physical_id=physical_id)
            duration = container.invoke(request)
            services.response(request)
            durations.append(duration.seconds + duration.slept)
    return durations[1:]
