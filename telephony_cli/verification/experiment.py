"""What an experiment is, and what it can use: numbers and other things of the run, which are released at its end."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import attrs

from telephony import clock
from telephony.aws import services
from telephony.data import data
from telephony.errors import HandlerError, HandlerErrorCode, ThrottledError
from telephony.lifecycle.invocation import Backoff
from telephony.model.sms_resource import api_tags
from telephony_cli.account import Patience
from telephony_cli.output import parse_price
from telephony_cli.verification import holdings
from telephony_cli.verification.holdings import Held

_NOT_ABOUT_THE_ASSUMPTION = frozenset(
    {HandlerErrorCode.ACCESS_DENIED, HandlerErrorCode.SERVICE_LIMIT_EXCEEDED, HandlerErrorCode.THROTTLING}
)


class TooExpensiveError(Exception):
    """A number has a higher price than was expected. Nothing else is purchased."""


@data
class Finding:
    """What an experiment observed. holds: None if that does not decide the assumption."""

    row: int
    holds: bool | None
    observed: str


@data
class Number:
    """A SIMULATOR number of the run."""

    physical_id: str
    arn: str
    requested_at: float
    price: Decimal | None


class Run:
    """One run. Everything that it creates has its name, in the call that creates it."""

    def __init__(self, target_arn: str | None, number_price: Decimal | None) -> None:
        self.name = f"{holdings.PREFIX}{secrets.token_hex(4)}"
        self.target_arn = target_arn
        self.numbers: list[Number] = []
        self.held: dict[str, Held] = {}
        """By physical ID."""
        self.unknown: list[str] = []
        """The calls, with what they name, that can have created something that is not in `held`."""
        self.claims = 0
        self.performed: list[Experiment] = []
        self.stopped = False
        """Whether no further experiment is performed."""
        self._number_price = number_price

    @property
    def tags(self) -> dict[str, str]:
        """The tags of everything that can have tags."""
        return {holdings.TAG: self.name}

    def number(self, position: int = 0) -> Number:
        """Return a SIMULATOR number. Experiments share them."""
        while len(self.numbers) <= position:
            self.request_number(f"number-{len(self.numbers)}")
        return self.numbers[position]

    def request_number(self, token: str) -> Number:
        """RequestPhoneNumber. Raises TooExpensiveError if the number costs more than expected."""
        if self.unknown_calls("RequestPhoneNumber"):
            # It counts as purchased, also if the ClientToken is not honored.
            cause = "No number was requested, because the result of an earlier request is unknown."
            raise HandlerError(HandlerErrorCode.NOT_STABILIZED, cause)
        requested_at = clock.now()
        with self._creates("RequestPhoneNumber", token):
            response = _accepted(
                services.once(services.SMS_VOICE).request_phone_number,
                IsoCountryCode="US",
                MessageType="TRANSACTIONAL",
                NumberCapabilities=["SMS"],
                NumberType="SIMULATOR",
                Tags=api_tags(self.tags),
                ClientToken=f"{self.name}-{token}",
            )
            price = parse_price(response)
            requested = Number(response["PhoneNumberId"], response["PhoneNumberArn"], requested_at, price)
            self._hold(holdings.number(response))
        known = next((each for each in self.numbers if each.physical_id == requested.physical_id), None)
        if known is not None:
            return known
        self.numbers.append(requested)
        if price is not None and self._number_price is not None and price > self._number_price:
            raise TooExpensiveError(f"A SIMULATOR number costs {price} USD per month, not {self._number_price} USD.")
        return requested

    def active_number(self, position: int = 0) -> Number:
        """Return a SIMULATOR number that is ACTIVE."""
        found = self.number(position)

        def is_active() -> bool:
            listed: Any = services.sms_voice().describe_phone_numbers(PhoneNumberIds=[found.physical_id])
            return bool(listed["PhoneNumbers"][0]["Status"] == "ACTIVE")

        require(is_active, 300, f"{found.physical_id} is not ACTIVE after five minutes.")
        return found

    def request_sender_id(self, name: str, country: str = holdings.SENDER_ID_COUNTRY) -> dict[str, Any]:
        """RequestSenderId, with a new ClientToken. Returns the response."""
        with self._creates("RequestSenderId", name):
            response = _accepted(
                services.once(services.SMS_VOICE).request_sender_id,
                SenderId=name,
                IsoCountryCode=country,
                Tags=api_tags(self.tags),
                ClientToken=str(uuid.uuid4()),
            )
            self._hold(holdings.sender_id(response))
        return dict(response)

    def create_pool(self, member: Number) -> str:
        """CreatePool. Returns the ID of the pool."""
        with self._creates("CreatePool", member.physical_id):
            response = _accepted(
                services.once(services.SMS_VOICE).create_pool,
                OriginationIdentity=member.physical_id,
                IsoCountryCode="US",
                MessageType="TRANSACTIONAL",
                Tags=api_tags(self.tags),
                ClientToken=str(uuid.uuid4()),
            )
            self._hold(holdings.pool(response))
        return str(response["PoolId"])

    def claim(self, number: str) -> str:
        """ClaimPhoneNumber, with a new ClientToken. Returns the ARN."""
        with self._creates("ClaimPhoneNumber", number):
            response = _accepted(
                services.once(services.CONNECT).claim_phone_number,
                TargetArn=self.target_arn or "",
                PhoneNumber=number,
                PhoneNumberDescription=self.name,
                Tags=self.tags,
                ClientToken=str(uuid.uuid4()),
            )
            arn = str(response["PhoneNumberArn"])
            self.claims += 1
            self._hold(holdings.connect_number(arn, number))
        return arn

    def create_change_set(self, **parameters: Any) -> tuple[str, str]:
        """CreateChangeSet. Returns the IDs of the stack and of the change set."""
        with self._creates("CreateChangeSet", parameters["StackName"]):
            response = _accepted(services.once(services.CLOUDFORMATION).create_change_set, **parameters)
            self._hold(holdings.stack(response["StackId"]))
        return response["StackId"], response["Id"]

    def release(self, physical_id: str) -> None:
        """Release something now. Raises HandlerError or UnknownOutcomeError if that fails: it stays in `held`."""
        self.held[physical_id].release()
        self.forget(physical_id)

    def forget(self, physical_id: str) -> None:
        """Something no longer exists."""
        del self.held[physical_id]

    @contextmanager
    def _creates(self, operation: str, name: str) -> Iterator[None]:
        call = f"{operation} ({name})"
        self.unknown.append(call)
        try:
            yield
        except HandlerError:
            self.unknown.remove(call)  # Nothing was created.
            raise
        self.unknown.remove(call)

    def unknown_calls(self, operation: str) -> int:
        """Return how many calls of an operation have an unknown result."""
        return sum(call.startswith(f"{operation} (") for call in self.unknown)

    def _hold(self, held: Held) -> None:
        self.held[held.physical_id] = held


@data
class Experiment:
    """A function that observes what decides rows of docs/unverified.md, and what it can cost at most."""

    rows: tuple[int, ...]
    perform: Callable[[Run], Iterator[Finding]]
    title: str
    numbers: int = 0
    """How many SIMULATOR numbers the run has at most after it, also if no assumption holds."""
    claims: int = 0
    """How many numbers of Amazon Connect it claims at most."""
    needs_target: bool = False
    """Only with --claim-connect-number."""
    cost: Decimal = attrs.field(default=Decimal(0))
    """In US dollars, besides the numbers."""


def experiment(*rows: int, **requirements: Any) -> Callable[[Callable[[Run], Iterator[Finding]]], Experiment]:
    """Make a function an experiment. The first line of its docstring says what it does."""

    def declare(perform: Callable[[Run], Iterator[Finding]]) -> Experiment:
        return Experiment(rows, perform, (perform.__doc__ or "").partition("\n")[0].rstrip("."), **requirements)

    return declare


def _accepted(call: Callable[..., Any], **parameters: Any) -> Any:
    """Make a call that creates something, and repeat it only if it was throttled."""
    patience, backoff = Patience(), Backoff()
    while True:
        try:
            return call(**parameters)
        except ThrottledError:
            if not patience.wait(backoff):
                raise


def waited(condition: Callable[[], bool], period: float) -> float | None:
    """Return after how many seconds a condition was met. None: not within the period."""
    since, backoff = clock.now(), Backoff()
    while not condition():
        seconds = next(backoff)
        if clock.now() + seconds > since + period:
            return None
        clock.sleep(seconds)
    return clock.now() - since


def require(condition: Callable[[], bool], period: float, problem: str) -> None:
    """Wait for a condition. Raises HandlerError if it is not met within the period."""
    if waited(condition, period) is None:
        raise HandlerError(HandlerErrorCode.NOT_STABILIZED, problem)


def refusal(call: Callable[[], object]) -> HandlerError | None:
    """Return the refusal of a call, or None. Raises one that says nothing about the assumption."""
    try:
        call()
    except HandlerError as refused:
        if refused.error_code in _NOT_ABOUT_THE_ASSUMPTION:
            raise
        return refused
    return None


def seconds_since(moment: float) -> str:
    """Return how long ago something was, for a text."""
    return f"{clock.now() - moment:.0f} s"
