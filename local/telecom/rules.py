"""What the backends of both services share: optional behaviours, ClientTokens, pagination, tags."""

import base64
import binascii
import copy
import functools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.core.resource_tagging import TaggedResource

from local.telecom import world
from local.telecom.behaviours import BEHAVIOURS, behaves
from local.telecom.clock import Clock
from local.telecom.errors import ModelledError
from local.telecom.options import Options

type Json = dict[str, Any]
type Operation[Backend] = Callable[[Backend, Json], Json]


@dataclass
class TagStore:
    """Tags of one resource: the written tags, those that a reader sees until `visible_at`, and all earlier ones."""

    written: dict[str, str] = field(default_factory=dict)
    _stale: dict[str, str] = field(default_factory=dict)
    _visible_at: float = 0.0
    _history: list[tuple[float, dict[str, str]]] = field(default_factory=list)

    @behaves("any.tags_lag")
    def write(self, tags: dict[str, str], now: float, lag: float) -> None:
        """Replace the tags. Readers see the previous tags for `lag` seconds."""
        self._stale, self._visible_at = self.read(now), now + lag
        self.written = dict(tags)
        if tags or self._history:
            self._history.append((now, self.written))

    def read(self, now: float) -> dict[str, str]:
        """Return the tags that are visible at `now`."""
        return dict(self.written if now >= self._visible_at else self._stale)

    def at(self, time: float) -> dict[str, str] | None:
        """Return the tags that were written at `time`. None if the resource had not had any by then."""
        return next((tags for written_at, tags in reversed(self._history) if written_at <= time), None)


def present(**members: Any) -> Json:
    """Return the members that have a value."""
    return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True)
class _Outcome:
    parameters: str
    expires_at: float
    result: Json | ModelledError


class Rules:
    """Mixin for a moto backend: one account in one Region."""

    arn_service: str
    token_mismatch: Callable[[str], ModelledError]
    next_token_error: Callable[[str], ModelledError]
    token_failure: str
    partition: str
    region_name: str
    account_id: str

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)  # type: ignore[call-arg]  # moto's BaseBackend
        self.world = world.current()
        self._serial = 0
        self._outcomes: dict[tuple[str, str], _Outcome] = {}
        self._deleted: list[tuple[float, str, TagStore]] = []

    @property
    def options(self) -> Options:
        """The options of this backend's world."""
        return self.world.options

    @property
    def clock(self) -> Clock:
        """The clock of this backend's world."""
        return self.world.clock

    def arn_of(self, resource: str) -> str:
        """Return the ARN of `type/id`."""
        return f"arn:{self.partition}:{self.arn_service}:{self.region_name}:{self.account_id}:{resource}"

    def next_serial(self) -> int:
        """Return the next number in the order of creation."""
        self._serial += 1
        return self._serial

    def enabled(self, behaviour: str) -> bool:
        """Return whether the behaviour is enabled."""
        if behaviour in self.options.on:
            return True
        return BEHAVIOURS[behaviour].default and behaviour not in self.options.off

    def reject_if(self, condition: object, error: ModelledError) -> None:
        """Raise `error` if the condition holds and the behaviour of the error is enabled."""
        if condition and self.enabled(error.behaviour.id):
            raise error

    @behaves("any.describe_lag")
    def visible(self, created: float) -> bool:
        """Return whether reads show a resource that was created at this time."""
        return self.clock.now() >= created + self.options.describe_lag_seconds

    def remember_deleted(self, arn: str, tags: TagStore, deleted_at: float) -> None:
        """Record that a resource no longer exists, because the tagging service can still show it."""
        self._deleted.append((deleted_at, arn, tags))

    @behaves("tagging.lag", "tagging.linger", "tagging.untagged")
    def indexed(self, existing: Iterable[tuple[str, TagStore]]) -> Iterator[TaggedResource]:
        """Yield what the tagging service shows of this backend. `existing` are the ARNs and tags of the resources."""
        now, linger = self.clock.now(), self.options.tag_index_linger_seconds
        deleted = {arn: tags for deleted_at, arn, tags in self._deleted if now < deleted_at + linger}
        for arn, store in (deleted | dict(existing)).items():
            tags = store.at(now - self.options.tag_index_lag_seconds)
            if tags is not None:
                kind = arn.split(":")[5].split("/")[0]
                yield TaggedResource(arn, tags, f"{self.arn_service}:{kind}", {"include_untagged": True})

    @behaves("any.token", "sms.token.failure", "connect.token.failure")
    def once(self, operation: str, parameters: Json, act: Callable[[], Json]) -> Json:
        """Return the result of `act`, or the recorded outcome if its ClientToken was used before."""
        token = parameters.get("ClientToken")
        if token is None or self.options.forget_tokens or not self.enabled("any.token"):
            return act()
        now, key = self.clock.now(), (operation, token)
        sent = json.dumps({name: value for name, value in parameters.items() if name != "ClientToken"}, sort_keys=True)
        known = self._outcomes.get(key)
        if known and now < known.expires_at:
            self.reject_if(sent != known.parameters, self.token_mismatch(token))
            if isinstance(known.result, ModelledError):
                raise known.result.with_traceback(None)
            return copy.deepcopy(known.result)
        expires_at = now + self.options.token_seconds
        try:
            result = act()
        except ModelledError as error:
            if error.pinned and self.enabled(self.token_failure):
                self._outcomes[key] = _Outcome(sent, expires_at, error)
            raise
        self._outcomes[key] = _Outcome(sent, expires_at, copy.deepcopy(result))
        return result

    def page[Item](
        self, items: Iterable[tuple[int, Item]], parameters: Json, default: int = 100
    ) -> tuple[list[Item], Json]:
        """Return a page of (serial, item) pairs in ascending order, and the NextToken member if there are more."""
        after = self._read_token(parameters.get("NextToken"))
        limit = parameters.get("MaxResults") or default
        rest = sorted((pair for pair in items if pair[0] > after), key=lambda pair: pair[0])
        page = [item for _, item in rest[:limit]]
        if len(rest) <= limit:
            return page, {}
        return page, {"NextToken": base64.b64encode(f"after:{rest[limit - 1][0]}".encode()).decode()}

    def _read_token(self, token: str | None) -> int:
        if token is None:
            return -1
        try:
            return int(base64.b64decode(token, validate=True).decode().removeprefix("after:"))
        except (binascii.Error, ValueError) as error:
            raise self.next_token_error(token) from error


def idempotent[Backend: Rules](operation: Operation[Backend]) -> Operation[Backend]:
    """Make a backend's operation honour ClientToken."""

    @functools.wraps(operation)
    def call(backend: Backend, parameters: Json) -> Json:
        return backend.once(operation.__name__, parameters, lambda: operation(backend, parameters))

    return call
