"""The scenarios of the test plan: every fault point of the recorded requests with every follow-up that can differ.

Equivalent scenarios run once:

- A kill after the effect of one call and a kill before the next call leave the same state. A call that only reads
  changes no state, and neither does one that only reserves a call or keeps the progress of a request: it changes when
  something happens, not what. Every fault point is killed with the follow-up `retries`; the other follow-ups run once
  per state.
- A paused invocation continues with what it has read, so that a read counts as a change.
- If the retries send a response before the follow-up acts, the follow-up sees the same state after every fault point.
  Three points represent all.
- The steps of a request that waits in the queue make the calls of a request that does not. Every fault point of every
  step is killed with `retries`, every state with `canceled`, and paused until the message is delivered again. Other
  follow-ups run around the purchase or the release only. Only those calls fail that no other recording has:
  SendMessage, ChangeMessageVisibility, and those that keep the progress. Steps that make the same calls run once.
- Requests to which a number pending release matters have the follow-ups of `follow_ups.PENDING_AFTER_KILL` and
  `PENDING_DURING_PAUSE`. All states of a Create, a Delete and a due release of one variant have them; three points
  represent all in the others.
- What happens to the messages does not depend on the fault point: each of QUEUE_TROUBLES runs without a fault, with a
  kill after the purchase or the release, and with a cancel.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping

import attrs

from tests.faults import follow_ups
from tests.faults.declarations import STANDARD, VARIANTS, Variant
from tests.faults.delivery import QUEUE_TROUBLES
from tests.faults.follow_ups import REQUEST_KINDS, RequestKind
from tests.faults.invocation import NAMED_CALLS, FaultKind, InjectedFault
from tests.faults.mutations import REVEALED_BY
from tests.faults.scenario import RecordedRequest, Scenario, ScenarioResult
from tests.faults.simulation import SERVICE_BEHAVIORS

type FaultPoint = tuple[int, int, bool]
"""An invocation and a call, counted from 0, and whether the point is after the call's effect."""
type Calls = list[list[str]]
"""The calls of each invocation of a request."""
type Recordings = Mapping[RecordedRequest, Calls]
"""The calls of each request without a fault."""

STANDARD_CREATES: list[RecordedRequest] = [(variant, "create", "default") for variant in STANDARD]
SLICE: list[RecordedRequest] = [*STANDARD_CREATES, *((variant, "create", "contended") for variant in STANDARD)]
"""What `make test` interrupts: Creates that do not wait, and those that do."""
_WHOLE_INVOCATION = 9
"""More consecutive calls than an invocation repeats."""
_CALL_FAULTS: tuple[FaultKind, ...] = ("reset", "drop", "error", "throttle")
_READS = ("Get", "GET", "Query", "Scan", "Describe", "List", "Search")
_NAMED = {name: call for call, (name, _) in NAMED_CALLS.items()}
_CONCURRENT_RUNS = 3
_FRESH_SAMPLE = 5
_SECOND_FAULTS: Mapping[RequestKind, Mapping[str, int]] = {
    "create": {"retries": 1, "timed-out": 1},
    "replace": {"retries": 3},
}
"""Requests and follow-ups whose next invocation is killed too; one of how many fault points of that invocation."""


_SETTLING: list[RecordedRequest] = [
    ("sms-phone-number-configured", "create", "settled-late"),
    ("connect-phone-number", "create", "settled-late"),
    ("connect-phone-number", "update", "settled-late"),
]
"""Requests that wait for the service."""
_TAKING = ("sms-phone-number-recovered", "create")
"""Takes a number."""
_HOLDING = ("sms-phone-number-recovered", "delete")
"""Makes one pending release."""
_RELEASING = ("sms-phone-number-recovered", "due")
"""Releases one that is due. The requests that other variants and requests equal."""
_STEP_KINDS: tuple[RequestKind, ...] = ("create", "update", "replace", "delete")
_STEP_FOLLOW_UPS = ("canceled", "timed-out", "redriven")
_STEP_PAUSES = ("redelivered-while-running", "canceled-while-running")


def requests() -> list[RecordedRequest]:
    """Return everything to record: requests that do not wait, and requests that do."""
    found: list[RecordedRequest] = [
        (name, kind, "default")
        for kind in REQUEST_KINDS
        for name, variant in VARIANTS.items()
        if kind in (variant.requests or _requests(name, variant))
    ]
    return [*found, *_waiting_requests()]


def _requests(name: str, variant: Variant) -> set[str]:
    """Return the kinds of requests of a variant that does not name them."""
    replacements = {"replace", "cleanup", "rollback"} if variant.replace else set()
    return {"create", "update", "delete"} | (replacements if name in STANDARD else replacements & {"replace"})


def _waiting_requests() -> list[RecordedRequest]:
    found: list[RecordedRequest] = [(name, kind, "contended") for kind in _STEP_KINDS for name in STANDARD]
    return [*found, *((name, "create", "throttled") for name in STANDARD), *_SETTLING]


def _is_sampled(request: RecordedRequest) -> bool:
    """Return whether three points represent all: the request, or an equal one, has every follow-up elsewhere."""
    return bool(VARIANTS[request[0]].pending) and request[:2] not in {_TAKING, _HOLDING, _RELEASING}


def _waits(request: RecordedRequest) -> bool:
    return request[2] != "default"


def fault_points(calls: Calls) -> list[FaultPoint]:
    """Return all fault points. An invocation that makes the same calls as an earlier one counts once."""
    steps = [step for step, names in enumerate(calls) if names not in calls[:step]]
    return [(step, call, after) for step in steps for call in range(len(calls[step])) for after in (False, True)]


def _name(calls: Calls, point: FaultPoint) -> str:
    return calls[point[0]][point[1]]


def states(calls: Calls) -> list[FaultPoint]:
    """Return one point per state that a kill can leave: before the first call, and after each call with an effect."""
    found = _pause_points(calls)
    return [each for each in found if not each[2] or not _operation(_name(calls, each)).startswith(_READS)]


def _operation(name: str) -> str:
    return name.partition(".")[2]


def _pause_points(calls: Calls) -> list[FaultPoint]:
    """Return one point per set of facts that a paused invocation has read or written."""
    points = (each for each in fault_points(calls) if each[2] and not _decides_nothing(_name(calls, each)))
    return [(0, 0, False), *points]


def _representatives(kind: RequestKind, calls: Calls) -> list[FaultPoint]:
    """Return three states: around the purchase, or the first, the middle and the last one."""
    found = states(calls)
    other = ("dynamodb.", "response", "sqs.")
    writes = [index for index, each in enumerate(found) if each[2] and not _name(calls, each).startswith(other)]
    if kind in {"create", "replace"} and writes:  # The purchase is the first write to a telecom service.
        return found[writes[0] - 1 : writes[0] + 2]
    return [found[0], found[len(found) // 2], found[-1]]


def _decides_nothing(name: str) -> bool:
    return name.startswith(("reservation.", "progress.", "resourcegroupstaggingapi."))


def _possible(follow_up: str, calls: Calls, point: FaultPoint) -> bool:
    if follow_up == "fails" and any(name.endswith(".UntagResource") for name in calls[0][: point[1]]):
        return False  # The request has failed before.
    responded = "response" in calls[-1] and point >= (len(calls) - 1, calls[-1].index("response"), True)
    return follow_up not in (follow_ups.NEEDS_NO_RESPONSE if responded else follow_ups.NEEDS_RESPONSE)


def _scenario(request: RecordedRequest, fault: InjectedFault | None, follow_up: str) -> Scenario:
    variant, kind, behavior = request
    return Scenario(variant, kind, fault, follow_up, behavior=behavior)


def retried(recordings: Recordings) -> Iterator[Scenario]:
    for request, calls in recordings.items():
        for point in fault_points(calls):
            yield _scenario(request, _at(point, "kill"), "retries")


def killed(recordings: Recordings) -> Iterator[Scenario]:
    """Kill in every state, then each other follow-up."""
    for request, calls in recordings.items():
        variant, kind, _ = request
        after_kill = follow_ups.PENDING_AFTER_KILL if VARIANTS[variant].pending else follow_ups.AFTER_KILL
        sampled = _is_sampled(request)
        for follow_up in _STEP_FOLLOW_UPS if _waits(request) else after_kill[kind]:
            if follow_up in follow_ups.NEEDS_NAME and not VARIANTS[variant].named:
                continue
            if follow_up in {"retries", *(() if _waits(request) else follow_ups.NEEDS_MESSAGE)}:
                continue
            alike = sampled or follow_up in follow_ups.RETRIED_FIRST or (_waits(request) and follow_up != "canceled")
            for point in _representatives(kind, calls) if alike else states(calls):
                if _possible(follow_up, calls, point):
                    yield _scenario(request, _at(point, "kill"), follow_up)


def paused(recordings: Recordings) -> Iterator[Scenario]:
    """Pause, and run each follow-up in the meantime."""
    for request, calls in recordings.items():
        during = follow_ups.PENDING_DURING_PAUSE if VARIANTS[request[0]].pending else follow_ups.DURING_PAUSE
        for follow_up in _STEP_PAUSES if _waits(request) else during[request[1]]:
            some = _is_sampled(request) or (_waits(request) and follow_up != "redelivered-while-running")
            for point in _representatives(request[1], calls) if some else _pause_points(calls):
                if _possible(follow_up, calls, point):
                    yield _scenario(request, _at(point, "pause"), follow_up)


def failed_calls(recordings: Recordings) -> Iterator[Scenario]:
    """Fail every call in every way, once or for the whole invocation. Some fail in one way only."""
    for request, calls in recordings.items():
        if VARIANTS[request[0]].pending and request[:2] != _TAKING:
            continue
        for step, call, _ in fault_points(calls)[::2]:
            name = calls[step][call]
            if _waits(request) and not (name.startswith(("sqs.", "progress.")) and request[2] == "contended"):
                continue
            for index, fault_kind in enumerate(_CALL_FAULTS):
                if name.startswith("reservation.") and index != call % len(_CALL_FAULTS):
                    continue
                permanent = (call + index) % 2 == 1
                times = _WHOLE_INVOCATION if permanent else 1
                fault = InjectedFault(fault_kind, call, after=fault_kind == "drop", times=times, step=step)
                yield _scenario(request, fault, "canceled" if permanent and call % 3 == 0 else "retries")


def queue_troubles(recordings: Recordings) -> Iterator[Scenario]:
    """Let something happen to the messages: without a fault, with a kill after the decisive call, and in a cancel."""
    for variant, kind, behavior in recordings:
        if behavior != "contended":
            continue
        decisive = InjectedFault("kill", _NAMED["release" if kind == "delete" else "purchase"], after=True)
        for trouble in QUEUE_TROUBLES:
            for fault in [None] if kind == "update" else [None, decisive]:
                yield Scenario(variant, kind, fault, "retries", behavior=trouble)
            yield Scenario(variant, kind, None, "canceled", behavior=trouble)


def unusual_services(recordings: Recordings) -> Iterator[Scenario]:
    """Fault the states around a purchase while the services forget tokens or show tags late."""
    for (variant, kind, recorded), calls in recordings.items():
        if variant not in STANDARD or kind not in {"create", "replace"} or recorded != "default":
            continue
        excluded = follow_ups.RETRIED_FIRST | follow_ups.NEEDS_RESPONSE | follow_ups.NEEDS_MESSAGE
        possible = [name for name in follow_ups.AFTER_KILL[kind] if name not in excluded]
        for behavior in SERVICE_BEHAVIORS:
            if behavior in {"default", "settled-late"}:
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
    calls = recordings[variant, kind, "default"]
    point = (fault.step, fault.call, fault.after)
    interesting = kind in _SECOND_FAULTS and point in _representatives(kind, calls)
    if follow_up == "canceled-while-running" and interesting:
        points = [each for each in states([result.next_calls]) if each[1] > fault.call]
    elif fault.kind == "kill" and follow_up in _SECOND_FAULTS.get(kind, ()) and point in states(calls):
        step = _SECOND_FAULTS[kind][follow_up]
        points = states([result.next_calls])[states(calls).index(point) % step :: step]
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
    return InjectedFault(kind, point[1], after=point[2], step=point[0])


def full(recordings: Recordings) -> list[Scenario]:
    """Return everything but the second faults: the most important scenarios first, shuffled within each group."""
    # The interleaving of concurrent invocations is random.
    requests = [request for request in recordings if request[1] != "due"]
    concurrent = [_scenario(request, None, "concurrent") for request in requests for _ in range(_CONCURRENT_RUNS)]
    groups: list[Iterable[Scenario]] = [
        [*retried(recordings), *killed(recordings), *paused(recordings)],
        [*fresh(recordings), *concurrent, *unusual_services(recordings), *queue_troubles(recordings)],
        failed_calls(recordings),
    ]
    return [scenario for group in groups for scenario in sorted(group, key=_shuffled)]


def _shuffled(scenario: Scenario) -> int:
    return zlib.crc32(str(scenario).encode())


def short(creates: Recordings) -> list[Scenario]:
    """Return what `make test` runs of the standard Creates: the most important follow-ups."""
    plain = {request: calls for request, calls in creates.items() if not _waits(request)}
    return [
        *retried(creates),
        *(scenario for scenario in killed(plain) if scenario.follow_up in {"canceled", "timed-out"}),
        *(scenario for scenario in paused(plain) if scenario.follow_up == "canceled-while-running"),
    ]


def short_troubles() -> list[Scenario]:
    """Return what `make test` lets happen to the queue, during a Create that is killed after its purchase."""
    fault = InjectedFault("kill", _NAMED["purchase"], after=True)
    return [Scenario("sms-phone-number", "create", fault, "retries", behavior=trouble) for trouble in QUEUE_TROUBLES]
