"""Which runs there are: everything that a recording shows, struck in every way, and followed by everything possible."""

from __future__ import annotations

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
    return [(variant, request) for request in REQUESTS for variant in VARIANTS]


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
    """Once a run has shown what the attempt after the first calls: that one dies too, at every point."""
    first = Run.read(result.run)
    if first.second is not None or first.variant not in PLAIN or first.request != "create" or first.blow is None:
        return
    if first.blow.kind != "kill" or first.environment not in {"plain", "forget"} or first.mutation or first.fresh:
        return
    if first.then not in {"retries", "given-up"}:
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
    """Everything, the most telling first; a limit of time cuts the end off."""
    buying = {key: calls for key, calls in recorded.items() if key[1] in {"create", "replace"}}
    runs = [*killed(recorded), *stopped(recorded), *fresh(killed(recorded))]
    for _ in range(_RACES):
        runs += raced("plain")
    runs += broken(recorded)
    for environment in ("forget", "late", "forget-late", "later"):
        runs += [*killed(buying, environment), *raced(environment)]
        runs += [run for run in stopped(buying, environment) if run.then != "twin" or environment in {"late", "later"}]
    runs += broken({key: calls for key, calls in buying.items() if key[0] in PLAIN}, "forget")
    return runs


def part(recorded: Recordings) -> list[Run]:
    """What `make test` runs: plain Creates at every point, with retries, with a Delete without, and with one beside."""
    wanted = {"retries", "cancelled", "given-up", "meanwhile"}
    creates = {key: calls for key, calls in recorded.items() if key[0] in PLAIN and key[1] == "create"}
    return [run for run in (*killed(creates), *stopped(creates)) if run.then in wanted]
