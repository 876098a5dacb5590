"""World: the options, clock and backend state of one simulated environment.

Each HTTP server has its own world, so that servers in one process are isolated from each other and from moto's
`mock_aws`, which resets every backend of the process. Everything else uses the default world.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from moto.core.base_backend import AccountSpecificBackend, BackendDict

from local.telecom.clock import Clock
from local.telecom.options import Options
from local.telecom.rate import Rates


class World:
    """Options and clock can be replaced at any time; the services read them at every call."""

    def __init__(self, options: Options | None = None, clock: Clock | None = None) -> None:
        self.options = options or Options()
        self.clock = clock or Clock()
        self.rates = Rates()
        self.transactions: dict[str | None, float] = {}
        """When DynamoDB executed a transaction, by ClientRequestToken; in seconds of the world's clock."""
        self.tagging_pages: dict[str, tuple[float, list[dict[str, Any]]]] = {}
        """When each PaginationToken of GetResources was issued, and the resources that follow."""
        self._stores: dict[str, Any] = {}

    def store(self, shared: Any) -> Any:
        """Return this world's backends of the service whose process-wide BackendDict is `shared`."""
        if self is DEFAULT:
            return shared
        return self._stores.setdefault(shared.service_name, _OwnBackends(shared.backend, shared.service_name))

    def clear(self) -> None:
        """Delete all state of the services."""
        self._stores.clear()
        self.transactions.clear()
        self.tagging_pages.clear()
        self.rates = Rates()
        if self is DEFAULT:
            BackendDict.reset()


class _OwnBackends(BackendDict):  # type: ignore[misc]
    """Backends that moto does not reset."""

    def _create_account_specific_backend(self, account_id: str) -> None:
        if account_id not in list(self.keys()):
            self[account_id] = AccountSpecificBackend(
                self.service_name, account_id, self.backend, use_boto3_regions=True, additional_regions=None
            )


DEFAULT = World()
_CURRENT: ContextVar[World] = ContextVar("telecom_world", default=DEFAULT)


def current() -> World:
    """Return the world that serves this call."""
    return _CURRENT.get()


@contextmanager
def entered(world: World) -> Iterator[None]:
    """Make `world` serve the calls inside."""
    token = _CURRENT.set(world)
    try:
        yield
    finally:
        _CURRENT.reset(token)
