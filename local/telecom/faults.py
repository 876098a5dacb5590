"""Injected faults: what happens to the next calls of an operation."""

from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

Kind = Literal["throttle", "error", "hang", "reset", "lose_answer", "slow"]


@dataclass
class Fault:
    """A fault for the next `times` calls of the operation, after `after` calls that succeed.

    throttle, error: an error response in AWS's wire format, before execution or after it (`when`). Before it, the
    operation is not executed. hang: `seconds` of silence before or after execution (`when`), then the response. reset:
    the connection is reset before execution.
    lose_answer: the operation is executed, then the connection is closed without a response. slow: the connection is
    closed without a response, and the operation is executed `seconds` later, by the services' clock.
    """

    service: str  # boto3's client name
    operation: str
    kind: Kind
    times: int = 1
    after: int = 0
    code: str | None = None
    message: str | None = None
    reason: str | None = None
    members: dict[str, Any] | None = None  # further members of the error's shape, by name
    status: int | None = None
    seconds: float = 0.0
    when: Literal["before", "after"] = "before"

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """Return the fault that the JSON describes. Raises ValueError if it is invalid."""
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


def take(faults: list[Fault], service: str, operation: str) -> Fault | None:
    """Return the fault for this call, if any, and count it. The caller holds the server's lock."""
    for fault in faults:
        if (fault.service, fault.operation) != (service, operation):
            continue
        if fault.after > 0:
            fault.after -= 1
            continue
        fault.times -= 1
        if fault.times <= 0:
            faults.remove(fault)
        return fault
    return None
