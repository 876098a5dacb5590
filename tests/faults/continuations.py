"""What follows the blow. Each is a function of the play and the request that was struck."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import attrs

from tests.faults.attempts import Attempt, Blow
from tests.faults.declarations import Properties
from tests.faults.play import Play, Sent

type Request = Literal["create", "update", "replace", "delete", "cleanup", "rollback"]
REQUESTS: tuple[Request, ...] = ("create", "update", "replace", "delete", "cleanup", "rollback")


@attrs.frozen
class Struck:
    """The request that the blow falls on, and what surrounds it."""

    request: Request
    sent: Sent
    first: Properties
    """What was declared before, or, in a Create, is declared now."""
    then: Properties
    """What the request declares."""
    blow: Blow | None
    calls: list[str]
    second: Blow | None = None
    """Falls on the next attempt, a retry or the request that follows; with `meanwhile`, on the one that runs on."""


# -- shared -----------------------------------------------------------------------------------------


def _hit(play: Play, struck: Struck) -> None:
    play.attempt(struck.sent, struck.blow, calls=struck.calls)


def _settle(play: Play, struck: Struck) -> None:
    """CloudFormation goes on from the answer that it got."""
    if struck.request == "create":
        play.created(struck.sent, struck.then)
    elif struck.request in {"update", "replace"}:
        play.updated(struck.sent, struck.first, struck.then)
    elif struck.request == "rollback":
        play.rolled_back(struck.sent, struck.then, struck.first)
    else:
        _settle_delete(play, struck)


def _settle_delete(play: Play, struck: Struck) -> None:
    physical_id = str(struck.sent.event["PhysicalResourceId"])
    verdict = play.verdict(struck.sent)
    if verdict is not None and verdict.succeeded:
        play.deleted(physical_id)
    else:
        play.findings.failed += 1
        play.delete(physical_id, struck.then)


def _follow(play: Play, struck: Struck) -> None:
    """What CloudFormation sends when it does not, or no longer, listen to the request."""
    if struck.request == "create":
        play.delete(play.invented(), struck.then, struck.second)
    elif struck.request in {"update", "replace"}:
        play.roll_back(struck.first, struck.then, struck.second)
    elif struck.request == "rollback":
        # ContinueUpdateRollback sends it again.
        play.roll_back(struck.then, struck.first, struck.second)
    else:
        play.delete(str(struck.sent.event["PhysicalResourceId"]), struck.then, struck.second)


def retries(play: Play, struck: Struck) -> None:
    """Lambda's retries, one and two minutes later, and the last resort."""
    _hit(play, struck)
    play.retries(struck.sent, struck.second)
    _settle(play, struck)


def last_resort(play: Play, struck: Struck) -> None:
    """Nothing but the last resort."""
    _hit(play, struck)
    play.advance(180)
    play.last_resort(struck.sent)
    _settle(play, struck)


def given_up(play: Play, struck: Struck) -> None:
    """Nothing runs again; CloudFormation gives the request up after an hour."""
    _hit(play, struck)
    play.advance(3600)
    if not _answered(play, struck):
        _follow(play, struck)


def cancelled(play: Play, struck: Struck) -> None:
    """CloudFormation cancels the request seconds later, and goes on; Lambda's retries come after that."""
    _hit(play, struck)
    play.advance(4)
    _follow(play, struck)
    play.look_for_losses()
    play.retries(struck.sent)


def ignored(play: Play, struck: Struck) -> None:
    """The retries come to an answer, which CloudFormation, having cancelled the request, does not hear."""
    _hit(play, struck)
    play.retries(struck.sent)
    _follow(play, struck)


def meanwhile(play: Play, struck: Struck) -> None:
    """CloudFormation cancels, and goes on, while the attempt still runs; then that runs on, to its end or its death."""
    running = _stopped(play, struck)
    _follow(play, attrs.evolve(struck, second=None))
    _resumed(play, struck, running)


def twin(play: Play, struck: Struck) -> None:
    """The same event is delivered again while the first delivery is under way."""
    running = _stopped(play, struck)
    play.attempt(struck.sent)
    _resumed(play, struck, running)
    _settle(play, struck)


def race(play: Play, struck: Struck) -> None:
    """Two deliveries at the same moment, nothing else."""
    both = [play.start(struck.sent, alone=False) for _ in range(2)]
    for running in both:
        play.noted(struck.sent, running.wait())
    play.retries(struck.sent)
    _settle(play, struck)


def _stopped(play: Play, struck: Struck) -> Attempt | None:
    """Let it run to the blow, which stops it; None if it ended before."""
    running = play.start(struck.sent, struck.blow, second=struck.second)
    end = play.noted(struck.sent, running.wait(), struck.blow)
    return running if end.how == "stopped" else None


def _resumed(play: Play, struck: Struck, running: Attempt | None) -> None:
    """Let what was stopped run on, and Lambda do what it does afterwards."""
    if running is not None:
        play.resumed = play.noted(struck.sent, running.resume())
    play.retries(struck.sent)


def _answered(play: Play, struck: Struck) -> bool:
    """If the answer came through before the blow, CloudFormation goes on from it."""
    if play.verdict(struck.sent) is None:
        return False
    _settle(play, struck)
    return True


# -- of a Create ----------------------------------------------------------------------------------


def answered(play: Play, struck: Struck) -> None:
    """The answer had been sent, so that CloudFormation can name what it deletes; the retries come after that."""
    _hit(play, struck)
    if not _answered(play, struck):
        raise AssertionError(f"{struck.blow} falls before the answer")
    if play.known is not None:
        play.delete(play.known, struck.then, struck.second)
        play.look_for_losses()
    play.retries(struck.sent)


def answered_meanwhile(play: Play, struck: Struck) -> None:
    """As `answered`, while the attempt has still something to do after its answer."""
    running = _stopped(play, struck)
    if not _answered(play, struck):
        raise AssertionError(f"{struck.blow} falls before the answer")
    if play.known is not None:
        play.delete(play.known, struck.then)
    _resumed(play, struck, running)


# -- of an Update ---------------------------------------------------------------------------------


def rolled_back(play: Play, struck: Struck) -> None:
    """The Update succeeds in the end, and is rolled back for another resource's sake, with the id it came to."""
    _hit(play, struck)
    play.retries(struck.sent, struck.second)
    verdict = play.verdict(struck.sent)
    if verdict is None or not verdict.succeeded:
        _settle(play, struck)
        return
    play.known, play.declared = verdict.physical_id, struck.then
    play.roll_back(struck.first, struck.then)


def deleted(play: Play, struck: Struck) -> None:
    """The stack is deleted without a rollback, by the id that CloudFormation has, after no answer came for an hour.

    DeleteStack is refused in UPDATE_IN_PROGRESS ("Stack ... cannot be deleted while in status UPDATE_IN_PROGRESS",
    aws-toolkit-azure-devops issue 317). Where rollback is disabled, another resource's failure does not end this one's
    Update ("A failure in one path doesn't affect other provisioning paths", CloudFormation User Guide, "Choose how to
    handle failures when provisioning resources"): it ends by its answer, or by its ServiceTimeout, after which the
    stack is UPDATE_FAILED and can be deleted. Lambda may deliver the event once more after that.
    """
    _hit(play, struck)
    play.advance(3600)
    _delete_old(play, struck)


def rollback_failed(play: Play, struck: Struck) -> None:
    """The Update is cancelled, and the rollback of another resource fails before this one's turn in it comes.

    From UPDATE_ROLLBACK_FAILED the stack can be deleted (CloudFormation User Guide, "Stack status codes"), by the id
    from before the Update, within seconds; Lambda's retries come after that.
    """
    _hit(play, struck)
    play.advance(10)
    _delete_old(play, struck)


def _delete_old(play: Play, struck: Struck) -> None:
    if _answered(play, struck):
        return
    assert play.known is not None
    play.delete(play.known, struck.first, struck.second)
    play.look_for_losses()
    play.retries(struck.sent)


Continuation = Callable[[Play, Struck], None]
ALL: Mapping[str, Continuation] = {
    "retries": retries,
    "last-resort": last_resort,
    "given-up": given_up,
    "cancelled": cancelled,
    "ignored": ignored,
    "meanwhile": meanwhile,
    "twin": twin,
    "race": race,
    "answered": answered,
    "answered-meanwhile": answered_meanwhile,
    "rolled-back": rolled_back,
    "deleted": deleted,
    "rollback-failed": rollback_failed,
}
_ANY = ("retries", "last-resort", "given-up", "cancelled", "ignored")
KILLED: Mapping[Request, tuple[str, ...]] = {
    "create": (*_ANY, "answered"),
    "update": (*_ANY, "rolled-back", "deleted", "rollback-failed"),
    "replace": (*_ANY, "rolled-back", "deleted", "rollback-failed"),
    "delete": _ANY,
    "cleanup": _ANY,
    "rollback": _ANY,
}
"""What may follow a death."""
STOPPED: Mapping[Request, tuple[str, ...]] = {
    "create": ("meanwhile", "twin", "answered-meanwhile"),
    "update": ("meanwhile", "twin"),
    "replace": ("meanwhile", "twin"),
    "delete": ("meanwhile", "twin"),
    "cleanup": ("meanwhile", "twin"),
    "rollback": ("meanwhile", "twin"),
}
"""What may happen while an attempt has not ended."""
AFTER_ANSWER = frozenset({"answered", "answered-meanwhile"})
"""Only where the blow falls after the answer."""
BEFORE_ANSWER = frozenset({"deleted", "rollback-failed"})
"""Only where it falls before the answer: CloudFormation would go on from that."""
SETTLED = frozenset({"ignored", "rolled-back"})
"""The retries come to an answer before anything else happens."""
