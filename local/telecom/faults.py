"""Faults: what is made to happen to the next calls of an operation."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

Kind = Literal["throttle", "error", "hang", "reset", "lose_answer"]


@dataclass
class Fault:
    """What happens to the next `times` calls of the operation, once `after` of them have passed unharmed.

    throttle and error: an answer in AWS's wire format, without the effect. hang: `seconds` of silence before or after
    the effect (`when`), then the answer. reset: the connection is reset before the effect. lose_answer: the effect,
    then the connection is shut before any byte of the answer.
    """

    service: str  # boto3's client name
    operation: str
    kind: Kind
    times: int = 1
    after: int = 0
    code: str | None = None
    message: str | None = None
    reason: str | None = None
    members: dict[str, Any] | None = None  # further ones of the error's shape, by their names there
    status: int | None = None
    seconds: float = 0.0
    when: Literal["before", "after"] = "before"

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Return the fault that JSON describes; ValueError says what is wrong with it."""
        if values.get("kind") not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}")
        if values["kind"] == "error" and not values.get("code"):
            raise ValueError("an error needs a code")
        if values.get("when", "before") not in ("before", "after"):
            raise ValueError("when must be before or after")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(str(error)) from error


class Faults:
    """The faults that are still to come. A call takes at most one; not locked, the server does that."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Put a fault behind those that are there."""
        self._faults.append(fault)

    def take(self, service: str, operation: str) -> Fault | None:
        """Return the fault for this call, if there is one, and use it up."""
        for fault in self._faults:
            if (fault.service, fault.operation) != (service, operation):
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
            return fault
        return None

    def entries(self) -> list[dict[str, Any]]:
        """Return the faults as JSON can carry them."""
        return [asdict(fault) for fault in self._faults]

    def clear(self) -> None:
        """Let everything work again."""
        self._faults.clear()
