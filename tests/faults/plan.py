"""Which runs there are: everything that a recording shows, struck in every way, and followed by everything possible."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping

from tests.faults.attempts import Blow, Kind
from tests.faults.continuations import AFTER_ANSWER, KILLED, REQUESTS, STOPPED, Request
from tests.faults.declarations import VARIANTS
from tests.faults.runs import Result, Run

type Recordings = Mapping[tuple[str, Request], list[str]]

PLAIN = ("sms", "sender", "connect")
"""One of each type; the others are the same types with more declared."""
_FOR_GOOD = 9
"""Calls: more than anybody repeats within one attempt."""
_WIRE: tuple[Kind, ...] = ("reset", "lose", "error", "throttle")
_RACES = 10
_FRESH_EVERY = 4


def requests() -> list[tuple[str, Request]]:
    """Everything that is recorded."""
    others = {"cleanup", "rollback"}
    return [
        (variant, request) for request in REQUESTS for variant in VARIANTS if variant in PLAIN or request not in others
    ]


def points(calls: list[str]) -> Iterator[tuple[int, bool]]:
    """Before and after the effect of each call."""
    for call in range(len(calls)):
        yield call, False
        yield call, True


def _possible(then: str, calls: list[str], call: int, *, after: bool) -> bool:
    answer = calls.index("answer")
    return then not in AFTER_ANSWER or call > answer or (call == answer and after)


def killed(recorded: Recordings, environment: str = "plain") -> Iterator[Run]:
    """Death at every point, and everything that may follow."""
    for (variant, request), calls in recorded.items():
        for call, after in points(calls):
            for then in KILLED[request]:
                if _possible(then, calls, call, after=after):
                    yield Run(variant, request, Blow("kill", call, after=after), then, environment=environment)


def stopped(recorded: Recordings, environment: str = "plain") -> Iterator[Run]:
    """Something else happens while the attempt is at that point."""
    for (variant, request), calls in recorded.items():
        for call, after in points(calls):
            for then in STOPPED[request]:
                if _possible(then, calls, call, after=after):
                    yield Run(variant, request, Blow("stop", call, after=after), then, environment=environment)


def broken(recorded: Recordings, environment: str = "plain") -> Iterator[Run]:
    """Every call is lost, refused or throttled, once and for as long as the attempt lasts."""
    for (variant, request), calls in recorded.items():
        for call in range(len(calls)):
            for kind in _WIRE:
                for times in (1, _FOR_GOOD):
                    blow = Blow(kind, call, after=kind == "lose", times=times)
                    for then in ("retries", "cancelled"):
                        yield Run(variant, request, blow, then, environment=environment)


def raced(environment: str) -> Iterator[Run]:
    """Both deliveries at the same moment; what meets what is left to chance."""
    for variant, request in requests():
        yield Run(variant, request, None, "race", environment=environment)


def second(result: Result) -> Iterator[Run]:
    """Once a run has shown what the attempt after the first calls: that one dies too, at every point.

    With given-up it is the Delete that follows; else Lambda's first retry.
    """
    first = Run.read(result.run)
    if first.second is not None or first.variant not in PLAIN or first.request != "create" or first.blow is None:
        return
    if first.blow.kind != "kill" or first.environment != "plain" or first.mutation or first.fresh:
        return
    if first.then not in {"retries", "given-up"} or not _first(first):
        return
    for call, after in points(result.after):
        blow = Blow("kill", call, after=after)
        yield Run(first.variant, first.request, first.blow, first.then, blow, first.environment)


def fresh(runs: Iterable[Run]) -> Iterator[Run]:
    """A sample, each attempt in an interpreter of its own."""
    plain = [run for run in runs if run.variant in PLAIN and run.request == "create" and run.then == "retries"]
    for run in plain[::_FRESH_EVERY]:
        yield Run(run.variant, run.request, run.blow, run.then, fresh=True)


def whole(recorded: Recordings) -> list[Run]:
    """Everything, the most telling first, mixed within a round; a limit of time cuts the end off.

    Nothing outside changes between the effect of one call and the beginning of the next, so that of the two points
    there the first round strikes both with retries, and only one with everything else; a late round strikes the other.
    """
    kills, stops, breaks = list(killed(recorded)), list(stopped(recorded)), list(broken(recorded))
    buying = {key: calls for key, calls in recorded.items() if key[1] in {"create", "replace"} and key[0] in PLAIN}
    strange: list[Run] = []
    for environment in ("forget", "late", "forget-late", "later"):
        strange += [run for run in killed(buying, environment) if _first(run) and run.then != "answered"]
        strange += [run for run in stopped(buying, environment) if _first(run) and _fair(run)]
        strange += raced(environment)
    rounds = [
        [run for run in (*kills, *stops) if _first(run) or run.then == "retries"],
        [*fresh(kills), *raced("plain"), *strange],
        [run for run in breaks if run.then == "retries" and run.variant in PLAIN],
        [run for run in breaks if run.then != "retries" or run.variant not in PLAIN],
        [run for run in (*kills, *stops) if not _first(run) and run.then != "retries"],
        [run for _ in range(_RACES) for run in raced("plain")],
        list(broken(buying, "forget")),
    ]
    return [run for runs in rounds for run in sorted(runs, key=_mixed)]


def _mixed(run: Run) -> int:
    return zlib.crc32(str(run).encode())


def _first(run: Run) -> bool:
    """Whether it strikes after an effect, or before everything."""
    return run.blow is not None and (run.blow.after or run.blow.call == 0)


def _fair(run: Run) -> bool:
    """A twin needs its token: an attempt that was frozen for longer than its lease, would buy."""
    return run.then != "twin" or run.environment in {"late", "later"}


def part(recorded: Recordings) -> list[Run]:
    """What `make test` runs: plain Creates at every point, with retries, with a Delete without, and with one beside."""
    creates = {key: calls for key, calls in recorded.items() if key[0] in PLAIN and key[1] == "create"}
    kills = [run for run in killed(creates) if run.then == "retries" or run.then == _given_up(run)]
    return [*kills, *(run for run in stopped(creates) if run.then == "meanwhile")]


def _given_up(run: Run) -> str:
    return "cancelled" if _first(run) else "given-up"
