"""What the backends of both services share: rules that can be switched, ClientTokens, pages, tags."""

import base64
import binascii
import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from local.telecom import world
from local.telecom.behaviours import BEHAVIOURS, behaves
from local.telecom.clock import Clock
from local.telecom.errors import ModelledError
from local.telecom.options import Options

type Answer = dict[str, Any]


@dataclass
class TagStore:
    """Tags of one resource: what was written, and what a reader still sees until `visible_at`."""

    written: dict[str, str] = field(default_factory=dict)
    _stale: dict[str, str] = field(default_factory=dict)
    _visible_at: float = 0.0

    @behaves("any.tags_lag")
    def write(self, tags: dict[str, str], now: float, lag: float) -> None:
        """Replace the tags; readers see the former ones for another `lag` seconds."""
        self._stale, self._visible_at = self.read(now), now + lag
        self.written = dict(tags)

    def read(self, now: float) -> dict[str, str]:
        """Return the tags that can be seen now."""
        return dict(self.written if now >= self._visible_at else self._stale)


@dataclass(frozen=True)
class _Remembered:
    parameters: str
    until: float
    outcome: Answer | ModelledError


class Rules:
    """Mixed into a moto backend; `start` belongs in its `__init__`."""

    token_mismatch: Callable[[str], ModelledError]
    next_token_error: Callable[[str], ModelledError]
    token_failure: str

    def start(self) -> None:
        """Begin with nothing held."""
        self.world = world.current()
        self._serial = 0
        self._outcomes: dict[tuple[str, str], _Remembered] = {}

    @property
    def options(self) -> Options:
        """The switches of this backend's world."""
        return self.world.options

    @property
    def clock(self) -> Clock:
        """The clock of this backend's world."""
        return self.world.clock

    def serial(self) -> int:
        """Return the next number in the order of creation."""
        self._serial += 1
        return self._serial

    def applies(self, behaviour: str) -> bool:
        """Tell whether the behaviour is switched on."""
        if behaviour in self.options.on:
            return True
        return BEHAVIOURS[behaviour].default and behaviour not in self.options.off

    def refuse(self, condition: object, error: ModelledError) -> None:
        """Raise `error` if the condition holds and the behaviour that the error follows is on."""
        if condition and self.applies(error.behaviour.id):
            raise error

    @behaves("any.token", "sms.token.failure", "connect.token.failure")
    def once(self, operation: str, parameters: Answer, act: Callable[[], Answer]) -> Answer:
        """Do `act`, unless its ClientToken has been seen: then answer, or fail, as the first time."""
        token = parameters.get("ClientToken")
        if token is None or self.options.forget_tokens or not self.applies("any.token"):
            return act()
        now, key = self.clock.now(), (operation, token)
        rest = json.dumps({name: value for name, value in parameters.items() if name != "ClientToken"}, sort_keys=True)
        known = self._outcomes.get(key)
        if known and now < known.until:
            mismatch = self.token_mismatch(token)
            self.refuse(rest != known.parameters, mismatch)
            if isinstance(known.outcome, ModelledError):
                raise known.outcome.with_traceback(None)
            return copy.deepcopy(known.outcome)
        outcome: Answer | ModelledError
        try:
            outcome = act()
        except ModelledError as error:
            if error.pinned and self.applies(self.token_failure):
                self._outcomes[key] = _Remembered(rest, now + self.options.token_seconds, error)
            raise
        self._outcomes[key] = _Remembered(rest, now + self.options.token_seconds, copy.deepcopy(outcome))
        return outcome

    def page[Item](
        self, items: Iterable[tuple[int, Item]], parameters: Answer, default: int
    ) -> tuple[list[Item], str | None]:
        """Return a page of (serial, item) pairs in ascending order, and the token of the next one."""
        after = self._read_token(parameters.get("NextToken"))
        limit = parameters.get("MaxResults") or default
        rest = [(serial, item) for serial, item in items if serial > after]
        page = rest[:limit]
        token = base64.b64encode(f"after:{page[-1][0]}".encode()).decode() if len(rest) > limit else None
        return [item for _, item in page], token

    def _read_token(self, token: str | None) -> int:
        if token is None:
            return -1
        try:
            return int(base64.b64decode(token, validate=True).decode().removeprefix("after:"))
        except (binascii.Error, ValueError) as error:
            raise self.next_token_error(token) from error
