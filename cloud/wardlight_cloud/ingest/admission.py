"""Which gateways are let in: the register's answer, remembered for a few seconds."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from wardlight_cloud.ingest.backoff import Backoff
from wardlight_cloud.ingest.metrics import STORE_FAILURES
from wardlight_cloud.store.base import IngestStore
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_REMEMBERED_S: Final = 5.0  # a gateway that was switched off is heard this much longer at most
_MOST: Final = 100_000


class Admission:
    """Asks the register whether a gateway is enabled; waits while the database is away."""

    def __init__(self, store: IngestStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, tuple[float, bool]] = {}

    async def allows(self, gateway: str) -> bool:
        """False for a gateway that is unknown or switched off. Retries until there is an answer."""
        asked_s, allowed = self._known.get(gateway, (float("-inf"), False))
        if self._clock() - asked_s < _REMEMBERED_S:
            return allowed
        allowed = await self._asked(gateway)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[gateway] = (self._clock(), allowed)
        return allowed

    async def _asked(self, gateway: str) -> bool:
        backoff = Backoff(0.1, 5.0)
        while True:
            try:
                return await self._store.is_enabled(gateway)
            except StorageError as error:
                STORE_FAILURES.labels("register").inc()
                _log.warning("register did not answer", extra={"error": str(error)})
            await asyncio.sleep(backoff.failed())
