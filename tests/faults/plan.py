"""Which runs there are: everything that a recording shows, struck in every way, and followed by all that tells more.

What makes two runs one and the same, so that only one is played:

- Nothing outside changes between the effect of one call and the beginning of the next, or by a call that only reads or
  only takes a turn in the account's rate. Deaths in between leave one *state*. Every point is struck with Lambda's
  retries all the same; what else can follow a death is played once for each state.
- An attempt that is stopped goes on with what it has read: for it a read counts, and only a turn does not.
- Where the retries come to an answer first, what follows meets the same end wherever the first attempt died: three
  points tell.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping

import attrs

from tests.faults.attempts import Blow, Kind
from tests.faults.continuations import AFTER_ANSWER, BEFORE_ANSWER, KILLED, REQUESTS, SETTLED, STOPPED, Request
from tests.faults.declarations import PLAIN, VARIANTS
from tests.faults.mutations import SHOWN_IN
from tests.faults.runs import Result, Run

type Point = tuple[int, bool]
"""A call, counted from 0, and whether its effect is past."""
type Recordings = Mapping[tuple[str, Request], list[str]]

STRANGE = ("forget", "late", "forget-late", "later")
_FOR_GOOD = 9
"""Calls: more than anybody repeats within one attempt."""
_WIRE: tuple[Kind, ...] = ("reset", "lose", "error", "throttle")
_READS = ("Get", "GET", "Query", "Scan", "Describe", "List", "Search")
_BUYS = ("RequestPhoneNumber", "RequestSenderId", "ClaimPhoneNumber", "ImportPhoneNumber")
_RACES = 3
_FRESH_EVERY = 5
_PAIRED: Mapping[Request, Mapping[str, int]] = {"create": {"retries": 1, "given-up": 1}, "replace": {"retries": 3}}
"""Requests of which a second attempt dies too: followed by what, and of how many second points one is struck."""


def requests() -> list[tuple[str, Request]]:
    """Everything that is recorded."""
    others = {"cleanup", "rollback"}
    return [
        (variant, request) for request in REQUESTS for variant in VARIANTS if variant in PLAIN or request not in others
    ]


# -- points -----------------------------------------------------------------------------------------


def points(calls: list[str]) -> list[Point]:
    """Before and after the effect of each call."""
    return [(call, after) for call in range(len(calls)) for after in (False, True)]


def states(calls: list[str]) -> list[Point]:
    """One for each state that a death can leave: before everything, and after each call that changes something."""
    changing = [call for call, name in enumerate(calls) if not _turn(name) and not _reads(name)]
    return [(0, False), *((call, True) for call in changing)]


def moments(calls: list[str]) -> list[Point]:
    """One point for each thing that a stopped attempt can know, and have done."""
    return [(0, False), *((call, True) for call, name in enumerate(calls) if not _turn(name))]


def _telling(calls: list[str]) -> list[Point]:
    """Three states: around the purchase, if there is one; else the first, the middle and the last."""
    found = states(calls)
    bought = [index for index, (call, after) in enumerate(found) if after and calls[call].endswith(_BUYS)]
    if bought:
        return found[bought[0] - 1 : bought[0] + 2]
    return [found[0], found[len(found) // 2], found[-1]]


def _turn(name: str) -> bool:
    return name.startswith("turn.")


def _reads(name: str) -> bool:
    return name.partition(".")[2].startswith(_READS)


def _possible(then: str, calls: list[str], point: Point) -> bool:
    call, after = point
    answer = calls.index("answer")
    answered = call > answer or (call == answer and after)
    return answered if then in AFTER_ANSWER else then not in BEFORE_ANSWER or not answered


# -- runs -------------------------------------------------------------------------------------------


def retried(recorded: Recordings) -> Iterator[Run]:
    """Death at every point, and Lambda's retries."""
    for (variant, request), calls in recorded.items():
        for call, after in points(calls):
            yield Run(variant, request, Blow("kill", call, after=after), "retries")


def killed(recorded: Recordings) -> Iterator[Run]:
    """Death in every state, and everything else that may follow."""
    for (variant, request), calls in recorded.items():
        for then in KILLED[request]:
            for point in _telling(calls) if then in SETTLED else states(calls):
                if then != "retries" and _possible(then, calls, point):
                    yield Run(variant, request, Blow("kill", point[0], after=point[1]), then)


def stopped(recorded: Recordings) -> Iterator[Run]:
    """Something else happens while the attempt is at that point."""
    for (variant, request), calls in recorded.items():
        for then in STOPPED[request]:
            for point in moments(calls):
                if _possible(then, calls, point):
                    yield Run(variant, request, Blow("stop", point[0], after=point[1]), then)


def broken(recorded: Recordings) -> Iterator[Run]:
    """Every call is lost, refused or throttled: once, or for as long as the attempt lasts. A turn: in one way."""
    for (variant, request), calls in recorded.items():
        for call, name in enumerate(calls):
            for index, kind in enumerate(_WIRE):
                if _turn(name) and index != call % len(_WIRE):
                    continue
                for_good = (call + index) % 2 == 1
                blow = Blow(kind, call, after=kind == "lose", times=_FOR_GOOD if for_good else 1)
                then = "cancelled" if for_good and call % 3 == 0 else "retries"
                yield Run(variant, request, blow, then)


def strange(recorded: Recordings) -> Iterator[Run]:
    """Around a purchase, from services that have forgotten its token, or show its tags late."""
    for (variant, request), calls in recorded.items():
        if variant not in PLAIN or request not in {"create", "replace"}:
            continue
        followed = [then for then in KILLED[request] if then not in SETTLED | AFTER_ANSWER]
        for environment in STRANGE:
            yield Run(variant, request, None, "race", environment=environment)
            for call, after in _telling(calls):
                for then in followed:
                    yield Run(variant, request, Blow("kill", call, after=after), then, environment=environment)
                for then in ("meanwhile", "twin"):
                    run = Run(variant, request, Blow("stop", call, after=after), then, environment=environment)
                    if _fair(run):
                        yield run


def raced(recorded: Recordings) -> Iterator[Run]:
    """Both deliveries at the same moment; what meets what is left to chance."""
    for variant, request in recorded:
        yield from [Run(variant, request, None, "race")] * _RACES


def second(result: Result, recorded: Recordings) -> Iterator[Run]:
    """Once a run has shown what comes after the first blow: that dies too, in the states it can leave.

    With given-up it is the Delete that follows, with meanwhile the attempt that was stopped and runs on, else Lambda's
    first retry.
    """
    first = Run.read(result.run)
    if first.variant not in PLAIN or first.blow is None:
        return
    if first != Run(first.variant, first.request, first.blow, first.then):
        return  # It is a second one itself, or strange.
    calls = recorded[first.variant, first.request]
    point = (first.blow.call, first.blow.after)
    if first.then == "meanwhile" and first.request in _PAIRED and point in _telling(calls):
        blows = [(call, after) for call, after in states(result.after) if call > first.blow.call]
    elif first.blow.kind == "kill" and first.then in _PAIRED.get(first.request, ()) and point in states(calls):
        every = _PAIRED[first.request][first.then]
        blows = states(result.after)[states(calls).index(point) % every :: every]
    else:
        return
    for call, after in blows:
        yield Run(first.variant, first.request, first.blow, first.then, Blow("kill", call, after=after))


def fresh(recorded: Recordings) -> Iterator[Run]:
    """A sample, each attempt in an interpreter of its own."""
    plain = [run for run in retried(recorded) if run.variant in PLAIN and run.request == "create"]
    for run in plain[::_FRESH_EVERY]:
        yield Run(run.variant, run.request, run.blow, run.then, fresh=True)


def unharmed(mutation: str) -> list[Run]:
    """Plain Creates by a provider that lacks something: they show what it calls."""
    return [
        Run(variant, "create", None, "retries", environment=SHOWN_IN[mutation], mutation=mutation) for variant in PLAIN
    ]


def mutated(shown: Result) -> list[Run]:
    """Its death in every state."""
    run = Run.read(shown.run)
    return [
        attrs.evolve(run, blow=Blow("kill", call, after=after), then=then)
        for call, after in states(shown.calls)
        for then in ("retries", "cancelled")
    ]


def whole(recorded: Recordings) -> list[Run]:
    """Everything but `second`, the most telling first, mixed within a round."""
    rounds: list[Iterable[Run]] = [
        [*retried(recorded), *killed(recorded), *stopped(recorded)],
        [*fresh(recorded), *raced(recorded), *strange(recorded)],
        broken(recorded),
    ]
    return [run for runs in rounds for run in sorted(runs, key=_mixed)]


def _mixed(run: Run) -> int:
    return zlib.crc32(str(run).encode())


def _fair(run: Run) -> bool:
    """A twin needs its token: an attempt that was frozen for longer than its lease, would buy."""
    return run.then != "twin" or run.environment in {"late", "later"}


def part(recorded: Recordings) -> list[Run]:
    """What `make test` runs: plain Creates at every point, with retries, with a Delete without, and with one beside."""
    creates = {key: calls for key, calls in recorded.items() if key[0] in PLAIN and key[1] == "create"}
    deleted = [run for run in killed(creates) if run.then in {"cancelled", "given-up"}]
    return [*retried(creates), *deleted, *(run for run in stopped(creates) if run.then == "meanwhile")]
