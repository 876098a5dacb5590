"""One stack's history, step by step, as somebody else chooses the steps."""

from __future__ import annotations

import traceback
from typing import Any

import attrs

from tests.faults.attempts import Blow
from tests.faults.continuations import ALL, Request, Struck
from tests.faults.declarations import VARIANTS, Properties
from tests.faults.play import Findings, Play
from tests.faults.runs import Stage

_DAYS = 3 * 86_400.0
_OLDEST = 6 * 3600.0
"""Seconds for which Lambda keeps an event (Lambda Developer Guide, asynchronous invocation)."""


@attrs.frozen
class Step:
    """begin: `variant` and `environment`. A request: `blow` and `then`. retain, again and end take nothing more."""

    what: str
    variant: str = ""
    environment: str = "plain"
    blow: Blow | None = None
    then: str = "retries"
    index: int = 0


@attrs.frozen
class Told:
    """What is wrong so far, and what has happened; exists: whether CloudFormation has the resource."""

    findings: Findings
    story: list[str]
    exists: bool
    defect: str | None = None


class Histories:
    """Plays one after another; a new one begins with `begin`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._play: Play | None = None
        self._round = 0

    def step(self, step: Step) -> Told:
        """Take a step, and compare what is held with what CloudFormation has."""
        if step.what == "begin":
            self._play = self._stage.begin(VARIANTS[step.variant], environment=step.environment)
        play = self._play
        assert play is not None, "a history begins with `begin`"
        try:
            self._take(play, step)
            defect = None
        except Exception:  # noqa: BLE001 - told to whoever chose the step
            defect = traceback.format_exc()
        return Told(play.findings, play.story, play.known is not None, defect)

    def _take(self, play: Play, step: Step) -> None:
        play.advance(900)
        match step.what:
            case "begin":
                return
            case "create" | "update" | "replace" | "delete" as request:
                struck = self._struck(play, request, step.blow)
                ALL[step.then](play, struck)
                play.close()
            case "retain":
                # The resource leaves the template, its number stays; it is declared again days later.
                assert play.known is not None
                play.retained.add(play.known)
                play.known = play.declared = None
                play.advance(_DAYS)
            case "again":
                young = [sent for sent in play.sent if play.now - sent.issued_at < _OLDEST]
                if young:
                    play.attempt(young[step.index % len(young)])
            case "end":
                if play.known is not None:
                    play.delete(play.known, play.declared or {})
                play.check(last=True)
                return
        play.check()

    def _struck(self, play: Play, request: Request, blow: Blow | None) -> Struck:
        old = play.declared or {}
        new = self._declaration(play, request, old)
        if request == "create":
            return Struck(request, play.send("Create", new, may_buy=True), new, new, blow, [])
        if request == "delete":
            return Struck(request, play.send("Delete", old, physical_id=play.known), old, old, blow, [])
        sent = play.update(old, new, may_buy=request == "replace")
        return Struck(request, sent, old, new, blow, [])

    def _declaration(self, play: Play, request: Request, old: Properties) -> Properties:
        """What is declared next: one of two shapes, the other one where a replacement is wanted."""
        self._round += 1
        variant = play.variant
        shapes: list[Properties] = [variant.first(play.place), variant.replaced(play.place)]
        present = old.shape if isinstance(old, Shaped) else 0
        shape = present if request == "update" else 1 - present if request == "replace" else 0
        tags = [{"Key": "round", "Value": str(self._round)}]
        return Shaped(shapes[shape] | {"AllowReplacement": True, "Tags": tags}, shape)


class Shaped(dict[str, Any]):
    """Properties that know which of the shapes they are."""

    def __init__(self, properties: Properties, shape: int) -> None:
        super().__init__(properties)
        self.shape = shape
