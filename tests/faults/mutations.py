"""What the provider would be without one of the three things that make a purchase exact.

Each is put into the child process alone, and takes away the effect, not the calls.
"""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Callable
from typing import Any

import attrs


def _without_ledger() -> None:
    """A ledger that agrees to everything and remembers nothing."""
    from telephony.lifecycle import ledger  # noqa: PLC0415 - in the child, after its environment is set

    empty: dict[str, Any] = dict.fromkeys((name for name in ("purchases", "protected_at")), None)
    empty["purchases"] = []
    replaced: dict[str, Callable[..., Any]] = {
        "history": lambda _: ledger.History(**empty),
        "refresh": lambda record: record,
        "unknown_purchases": lambda: iter(()),
        "open_purchase": lambda *_, **__: ledger.OpenResult.WRITTEN,
        "acquire_lease": lambda record, owner: attrs.evolve(record, lease_owner=owner, lease_until=float("inf")),
        "mark_bought": lambda record, physical_id: attrs.evolve(
            record, state=ledger.PurchaseState.BOUGHT, physical_id=physical_id
        ),
        "mark_ready": lambda record, physical_id: attrs.evolve(
            record, state=ledger.PurchaseState.READY, physical_id=physical_id
        ),
        "cancel": lambda record: attrs.evolve(record, canceled=True),
    }
    for name, function in vars(ledger).copy().items():
        ours = inspect.isfunction(function) and function.__module__ == ledger.__name__
        if ours and not name.startswith("_") and name not in {"resource_key", "with_lease"}:  # Which touch no table.
            setattr(ledger, name, replaced.pop(name, _yes))
    assert not replaced, f"gone from the ledger, so that this mutation has to follow: {sorted(replaced)}"


def _yes(*_: Any, **__: Any) -> bool:
    return True


def _without_token() -> None:
    """A ClientToken that is another one at each attempt."""
    from telephony.model.resource import Purchase  # noqa: PLC0415

    Purchase.token = lambda *_, **__: str(uuid.uuid4())  # type: ignore[method-assign]


def _without_tags() -> None:
    """No ownership tags, so that nothing is found by them."""
    from telephony.model.resource import Purchase  # noqa: PLC0415
    from telephony.model.tags import Owner  # noqa: PLC0415

    Purchase.ownership_tags = property(lambda _: {})  # type: ignore[assignment, method-assign]
    Purchase.matches = lambda *_: False  # type: ignore[method-assign]
    Owner.owns = lambda *_: False  # type: ignore[method-assign]


MUTATIONS: dict[str, Callable[[], None]] = {
    "ledger": _without_ledger,
    "token": _without_token,
    "tags": _without_tags,
}
SHOWN_IN = {"ledger": "plain", "token": "later", "tags": "forget"}
"""The environment in which each is what counts: the other two stay, but for what the services do to them."""
