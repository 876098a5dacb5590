"""Mutations of the provider: each removes one of the three mechanisms that make a purchase happen exactly once, or the
one that keeps a waiting request.

A mutation is applied in the child process only. It removes the mechanism's effect but not its calls.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable
from typing import Any

import attrs


def _without_ledger() -> None:
    """A ledger that accepts every write and stores nothing."""
    from telephony.lifecycle import ledger  # noqa: PLC0415 - reads the child's environment variables

    def written(record: Any, *_: object, **changes: Any) -> Any:
        return attrs.evolve(record, **changes)

    state = ledger.PurchaseState
    replaced: dict[str, Callable[..., Any]] = {
        "history": lambda _: ledger.History(purchases=[], updated_at=0, updated_by=""),
        "refresh": lambda record: record,
        "overdue": lambda _: [],
        "read_unfinished": lambda *_: None,
        "holders": lambda _: {},
        "open_purchase": lambda *_, **__: ledger.OpenResult.WRITTEN,
        "write": written,
        "close_open": lambda record: attrs.evolve(record, state=state.CLOSED),
        "write_holder": written,
        "start_release": lambda record, _: attrs.evolve(record, state=state.RELEASING, releasing_from=record.state),
        "restore": lambda _: True,
    }
    kept = {"resource_key", "with_lease", "write_with", "close_with"}  # no calls
    for name, function in vars(ledger).copy().items():
        ours = inspect.isfunction(function) and function.__module__ == ledger.__name__
        if ours and not name.startswith("_") and name not in kept:
            setattr(ledger, name, replaced.pop(name, lambda *_, **__: True))
    assert not replaced, f"the ledger no longer has these functions; update this mutation: {sorted(replaced)}"


def _without_token() -> None:
    """A new ClientToken for each attempt."""
    from telephony.model.resource import Purchase  # noqa: PLC0415

    Purchase.token = lambda *_, **__: str(uuid.uuid4())  # type: ignore[method-assign]


def _without_tags() -> None:
    """No ownership tags, so that the provider can't find a purchase by them."""
    from telephony.model.resource import Purchase  # noqa: PLC0415

    Purchase.ownership_tags = property(lambda _: {})  # type: ignore[assignment, method-assign]
    Purchase.matches = lambda *_: False  # type: ignore[method-assign]


def _without_message() -> None:
    """A continuation that lets Lambda delete the message of a request that has to wait again."""
    from telephony.handlers import continuation  # noqa: PLC0415

    handler = continuation.handler
    continuation.handler = lambda *arguments: handler(*arguments) | {"batchItemFailures": []}


MUTATIONS: dict[str, Callable[[], None]] = {
    "ledger": _without_ledger,
    "token": _without_token,
    "tags": _without_tags,
    "message": _without_message,
}
REVEALED_BY = {"ledger": "default", "token": "tags-very-late", "tags": "tokens-forgotten", "message": "early"}
"""The behavior under which the other mechanisms do not compensate for the missing one."""
