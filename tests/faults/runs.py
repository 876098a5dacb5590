"""One run: its name, and how it is played from the first request to the reckoning."""

from __future__ import annotations

import re
from typing import Any, Self, cast

import attrs

from tests.faults.attempts import Blow, End, warm
from tests.faults.continuations import ALL, Request, Struck
from tests.faults.declarations import PLAIN, VARIANTS, Place, Properties, Variant
from tests.faults.play import Findings, Play
from tests.faults.services import Services

_PLAYS_PER_WORLD = 40
"""After so many the services begin anew: what is looked for among everything is then found quickly."""


@attrs.frozen
class Run:
    """What is declared, which request the blow falls on, what follows, and in which environment.

    Its name says all of that: sms/create/kill+4/retries~kill-3@forget%token^fresh.
    """

    variant: str
    request: Request
    blow: Blow | None
    then: str
    second: Blow | None = None
    environment: str = "plain"
    mutation: str | None = None
    fresh: bool = False

    def __str__(self) -> str:
        second = f"~{self.second}" if self.second else ""
        environment = f"@{self.environment}" if self.environment != "plain" else ""
        mutation = f"%{self.mutation}" if self.mutation else ""
        fresh = "^fresh" if self.fresh else ""
        return f"{self.variant}/{self.request}/{self.blow or 'none'}/{self.then}{second}{environment}{mutation}{fresh}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what __str__ wrote."""
        found = re.fullmatch(
            r"([a-z-]+)/([a-z]+)/([^/]+)/([a-z-]+)(?:~([^@%^]+))?(?:@([a-z-]+))?(?:%([a-z]+))?(\^fresh)?", text
        )
        if found is None:
            raise ValueError(f"{text} names no run")
        return cls(
            found[1],
            cast("Request", found[2]),
            None if found[3] == "none" else Blow.read(found[3]),
            found[4],
            Blow.read(found[5]) if found[5] else None,
            found[6] or "plain",
            found[7],
            found[8] is not None,
        )


@attrs.frozen
class Result:
    """What came of a run. story: only where something is wrong, or where it was asked for."""

    run: str
    findings: Findings
    calls: list[str]
    """Of the attempt that was struck, by `service.Operation` or `answer`."""
    after: list[str]
    """Of the attempt that came next; if the first one was stopped, and ran on, all of its own."""
    story: list[str]
    defect: str | None = None
    """The harness itself failed."""


class Stage:
    """Plays runs, one after another, with one set of services."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._played = 0
        self._targets: list[str] = []
        self._recorded: dict[tuple[str, Request], list[str]] = {}

    def warm(self) -> None:
        """Let this process, which forks all attempts, have served a Create of each type."""
        plays = [self.begin(VARIANTS[name]) for name in PLAIN]
        warm(play.order(play.send("Create", play.variant.first(play.place), may_buy=True)) for play in plays)

    def recorded(self, variant: str, request: Request) -> list[str]:
        """The calls of a request that nothing befalls, in order."""
        key = (variant, request)
        if key not in self._recorded:
            result = self.play(Run(variant, request, None, "retries"))
            if result.findings.wrong or result.defect or result.findings.failed:
                raise AssertionError("\n".join([str(result), *result.story]))
            self._recorded[key] = result.calls
        return self._recorded[key]

    def begin(self, variant: Variant, **how: Any) -> Play:
        """A new stack."""
        if self._played % _PLAYS_PER_WORLD == 0:
            self._services.timeline.reset()
            self._targets = self._services.fresh()
        self._played += 1
        return Play(self._services, variant, targets=self._targets, number=self._played, **how)

    def play(self, run: Run, *, tell: bool = False) -> Result:
        """Play it, and reckon."""
        calls = []
        if run.blow is not None and run.blow.kind in {"error", "throttle"}:
            calls = self.recorded(run.variant, run.request)
        variant = VARIANTS[run.variant]
        play = self.begin(variant, environment=run.environment, mutation=run.mutation, fresh=run.fresh)
        before = 0
        try:
            struck = _prepared(play, variant, run, calls)
            before = len(play.ends)
            first_call = len(self._services.look(play.stack_id).calls) if run.blow is None else 0
            ALL[run.then](play, struck)
            play.check()
            if play.known is not None:
                play.advance(60)
                play.delete(play.known, play.declared or struck.then)
            play.check(last=True)
            ends = [end for _, end in play.ends[before:]]
            _check_struck(run, ends[0])
        except AssertionError as error:
            return Result(str(run), play.findings, [], [], play.story, str(error))
        finally:
            play.close()
        named = self._names(play, first_call, [call.name for call in ends[0].calls]) if run.blow is None else []
        then = play.resumed or (ends[1] if len(ends) > 1 else None)
        after = [call.name for call in then.calls] if then is not None else []
        story = play.story if tell or play.findings.wrong else []
        return Result(str(run), play.findings, named, after, story)

    def _names(self, play: Play, first: int, calls: list[str]) -> list[str]:
        """Calls as the services name them, but for turns; the answer goes elsewhere."""
        logged = iter(self._services.look(play.stack_id).calls[first:])
        named = [(name, None if name == "answer" else ".".join(next(logged)[:2])) for name in calls]
        return [name if served is None or name.startswith("turn.") else served for name, served in named]


def _check_struck(run: Run, first: End) -> None:
    """A signal that never fell shows nothing. Raise AssertionError."""
    deadly = {"kill": "killed", "stop": "stopped"}
    if run.blow is not None and run.blow.kind in deadly and first.how != deadly[run.blow.kind]:
        raise AssertionError(f"{run.blow} did not fall: the attempt {first.how} after {len(first.calls)} calls")


def _prepared(play: Play, variant: Variant, run: Run, calls: list[str]) -> Struck:
    """Everything up to the request that the blow falls on, and that request."""
    place: Place = play.place
    if run.request == "create":
        first = variant.first(place)
        sent = play.send("Create", first, may_buy=True)
        return Struck(run.request, sent, first, first, run.blow, calls, run.second)
    replaces = run.request in {"replace", "cleanup", "rollback"}
    first = (variant.replaceable if replaces and variant.replaceable else variant.first)(place)
    play.create(first)
    play.advance(600)
    old = str(play.known)
    if run.request == "delete":
        sent = play.send("Delete", first, physical_id=old)
        return Struck(run.request, sent, first, first, run.blow, calls, run.second)
    then: Properties = (variant.replaced if replaces else variant.changed)(place)
    sent = play.update(first, then, may_buy=replaces)
    if run.request in {"update", "replace"}:
        return Struck(run.request, sent, first, then, run.blow, calls, run.second)
    play.through(sent)
    verdict = play.verdict(sent)
    if verdict is None or not verdict.succeeded or verdict.physical_id == old:
        raise AssertionError(f"the replacement failed: {verdict}")
    play.known = verdict.physical_id
    if run.request == "rollback":
        return Struck(run.request, play.update(then, first), then, first, run.blow, calls, run.second)
    return Struck(run.request, play.send("Delete", first, physical_id=old), first, first, run.blow, calls, run.second)
