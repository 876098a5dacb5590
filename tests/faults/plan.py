"""The scenarios of the test plan: every fault point of the recorded requests with every follow-up that can differ.

Equivalent scenarios run once:

- A kill after the effect of one call and a kill before the next call leave the same state. A call that only reads or
  only makes a reservation changes no state. Every fault point is killed with the follow-up `retries`; the other
  follow-ups run once per state.
- A paused invocation continues with what it has read, so that a read counts as a change. A reservation does not.
- If the retries send a response before the follow-up acts, the follow-up sees the same state after every fault point.
  Three points represent all.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping

import attrs

from tests.faults import follow_ups
from tests.faults.declarations import STANDARD, VARIANTS
from tests.faults.follow_ups import REQUEST_KINDS, RequestKind
from tests.faults.invocation import FaultKind, InjectedFault
from tests.faults.mutations import REVEALED_BY
from tests.faults.scenario import Scenario, ScenarioResult
from tests.faults.simulation import SERVICE_BEHAVIORS

type FaultPoint = tuple[int, bool]
"""A call, counted from 0, and whether the point is after its effect."""
type Recordings = Mapping[tuple[str, RequestKind], list[str]]
"""The calls of each request without a fault, by variant and kind of request."""

STANDARD_CREATES: list[tuple[str, RequestKind]] = [(variant, "create") for variant in STANDARD]
_WHOLE_INVOCATION = 9
"""More consecutive calls than an invocation repeats."""
_CALL_FAULTS: tuple[FaultKind, ...] = ("reset", "drop", "error", "throttle")
_READS = ("Get", "GET", "Query", "Scan", "Describe", "List", "Search")
_CONCURRENT_RUNS = 3
_FRESH_SAMPLE = 5
_SECOND_FAULTS: Mapping[RequestKind, Mapping[str, int]] = {
    "create": {"retries": 1, "timed-out": 1},
    "replace": {"retries": 3},
}
"""Requests and follow-ups whose next invocation is killed too; one of how many fault points of that invocation."""


def requests() -> list[tuple[str, RequestKind]]:
    """Return everything to record, as variant and kind of request."""
    return [
        (name, kind)
        for kind in REQUEST_KINDS
        for name, variant in VARIANTS.items()
        if name in STANDARD or kind not in {"cleanup", "rollback"}
        if variant.replace or kind not in {"replace", "cleanup", "rollback"}
    ]


def fault_points(calls: list[str]) -> list[FaultPoint]:
    return [(call, after) for call in range(len(calls)) for after in (False, True)]


def states(calls: list[str]) -> list[FaultPoint]:
    """Return one point per state that a kill can leave: before the first call, and after each call with an effect."""
    reads = [name.partition(".")[2].startswith(_READS) for name in calls]
    return [(call, after) for call, after in _pause_points(calls) if not after or not reads[call]]


def _pause_points(calls: list[str]) -> list[FaultPoint]:
    """Return one point per set of facts that a paused invocation has read or written."""
    return [(0, False), *((call, True) for call, name in enumerate(calls) if not _reserves(name))]


def _representatives(kind: RequestKind, calls: list[str]) -> list[FaultPoint]:
    """Return three states: around the purchase, or the first, the middle and the last one."""
    found = states(calls)
    other = ("dynamodb.", "response")
    writes = [index for index, (call, after) in enumerate(found) if after and not calls[call].startswith(other)]
    if kind in {"create", "replace"} and writes:  # The purchase is the first write to a telecom service.
        return found[writes[0] - 1 : writes[0] + 2]
    return [found[0], found[len(found) // 2], found[-1]]


def _reserves(name: str) -> bool:
    return name.startswith("reservation.")


def _possible(follow_up: str, calls: list[str], point: FaultPoint) -> bool:
    responded = point >= (calls.index("response"), True)
    return follow_up not in (follow_ups.NEEDS_NO_RESPONSE if responded else follow_ups.NEEDS_RESPONSE)


def retried(recordings: Recordings) -> Iterator[Scenario]:
    for (variant, kind), calls in recordings.items():
        for point in fault_points(calls):
            yield Scenario(variant, kind, _at(point, "kill"), "retries")


def killed(recordings: Recordings) -> Iterator[Scenario]:
    """Kill in every state, then each other follow-up."""
    for (variant, kind), calls in recordings.items():
        for follow_up in follow_ups.AFTER_KILL[kind]:
            if follow_up in follow_ups.NEEDS_NAME and not VARIANTS[variant].named:
                continue
            for point in _representatives(kind, calls) if follow_up in follow_ups.RETRIED_FIRST else states(calls):
                if follow_up != "retries" and _possible(follow_up, calls, point):
                    yield Scenario(variant, kind, _at(point, "kill"), follow_up)


def paused(recordings: Recordings) -> Iterator[Scenario]:
    """Pause, and run each follow-up in the meantime."""
    for (variant, kind), calls in recordings.items():
        for follow_up in follow_ups.DURING_PAUSE[kind]:
            for point in _pause_points(calls):
                if _possible(follow_up, calls, point):
                    yield Scenario(variant, kind, _at(point, "pause"), follow_up)


def failed_calls(recordings: Recordings) -> Iterator[Scenario]:
    """Fail every call in every way, once or for the whole invocation. A reservation fails in one way only."""
    for (variant, kind), calls in recordings.items():
        for call, name in enumerate(calls):
            for index, fault_kind in enumerate(_CALL_FAULTS):
                if _reserves(name) and index != call % len(_CALL_FAULTS):
                    continue
                permanent = (call + index) % 2 == 1
                times = _WHOLE_INVOCATION if permanent else 1
                fault = InjectedFault(fault_kind, call, after=fault_kind == "drop", times=times)
                yield Scenario(variant, kind, fault, "canceled" if permanent and call % 3 == 0 else "retries")


def unusual_services(recordings: Recordings) -> Iterator[Scenario]:
    """Fault the states around a purchase while the services forget tokens or show tags late."""
    for (variant, kind), calls in recordings.items():
        if variant not in STANDARD or kind not in {"create", "replace"}:
            continue
        excluded = follow_ups.RETRIED_FIRST | follow_ups.NEEDS_RESPONSE
        possible = [name for name in follow_ups.AFTER_KILL[kind] if name not in excluded]
        for behavior in SERVICE_BEHAVIORS:
            if behavior == "default":
                continue
            yield Scenario(variant, kind, None, "concurrent", behavior=behavior)
            for point in _representatives(kind, calls):
                for follow_up in possible:
                    yield Scenario(variant, kind, _at(point, "kill"), follow_up, behavior=behavior)
                pause = _at(point, "pause")
                yield Scenario(variant, kind, pause, "canceled-while-running", behavior=behavior)
                # Without its token, an invocation that is paused for longer than its lease purchases again.
                if not behavior.startswith("tokens-forgotten"):
                    yield Scenario(variant, kind, pause, "redelivered-while-running", behavior=behavior)


def second_faults(result: ScenarioResult, recordings: Recordings) -> Iterator[Scenario]:
    """Kill the invocation that followed the first fault too, in the states that it can leave.

    With timed-out that is the following Delete, with canceled-while-running the resumed invocation, otherwise Lambda's
    first retry.
    """
    first = Scenario.parse(result.name)
    variant, kind, follow_up, fault = first.variant, first.request, first.follow_up, first.fault
    if variant not in STANDARD or fault is None or first != Scenario(variant, kind, fault, follow_up):
        return
    calls = recordings[variant, kind]
    point = (fault.call, fault.after)
    interesting = kind in _SECOND_FAULTS and point in _representatives(kind, calls)
    if follow_up == "canceled-while-running" and interesting:
        points = [(call, after) for call, after in states(result.next_calls) if call > fault.call]
    elif fault.kind == "kill" and follow_up in _SECOND_FAULTS.get(kind, ()) and point in states(calls):
        step = _SECOND_FAULTS[kind][follow_up]
        points = states(result.next_calls)[states(calls).index(point) % step :: step]
    else:
        return
    for second in points:
        yield attrs.evolve(first, second_fault=_at(second, "kill"))


def fresh(recordings: Recordings) -> Iterator[Scenario]:
    """Run a sample of the kills with a new interpreter per invocation."""
    for scenario in list(retried({key: recordings[key] for key in STANDARD_CREATES}))[::_FRESH_SAMPLE]:
        yield attrs.evolve(scenario, fresh=True)


def mutated(mutation: str) -> list[Scenario]:
    """Return Creates of each type with a mutated provider and without a fault, which record its calls."""
    behavior = REVEALED_BY[mutation]
    return [Scenario(name, "create", None, "retries", behavior=behavior, mutation=mutation) for name in STANDARD]


def mutated_kills(recorded: ScenarioResult) -> list[Scenario]:
    """Kill a mutated provider in every state."""
    scenario = Scenario.parse(recorded.name)
    return [
        attrs.evolve(scenario, fault=_at(point, "kill"), follow_up=follow_up)
        for point in states(recorded.calls)
        for follow_up in ("retries", "canceled")
    ]


def _at(point: FaultPoint, kind: FaultKind) -> InjectedFault:
    return InjectedFault(kind, point[0], after=point[1])


def full(recordings: Recordings) -> list[Scenario]:
    """Return everything but the second faults: the most important scenarios first, shuffled within each group."""
    # The interleaving of concurrent invocations is random.
    concurrent = [Scenario(*key, None, "concurrent") for key in recordings for _ in range(_CONCURRENT_RUNS)]
    groups: list[Iterable[Scenario]] = [
        [*retried(recordings), *killed(recordings), *paused(recordings)],
        [*fresh(recordings), *concurrent, *unusual_services(recordings)],
        failed_calls(recordings),
    ]
    return [scenario for group in groups for scenario in sorted(group, key=_shuffled)]


def _shuffled(scenario: Scenario) -> int:
    return zlib.crc32(str(scenario).encode())


def short(creates: Recordings) -> list[Scenario]:
    """Return what `make test` runs of the standard Creates: the most important follow-ups."""
    return [
        *retried(creates),
        *(scenario for scenario in killed(creates) if scenario.follow_up in {"canceled", "timed-out"}),
        *(scenario for scenario in paused(creates) if scenario.follow_up == "canceled-while-running"),
    ]
