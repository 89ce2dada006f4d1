"""Which shards this collector may speak for: renewed in time, given up at once when late.

The database's clock decides who holds a shard. This side counts from before the call on its
monotonic clock, so it stops before the database may give the shard to another collector.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from wardlight_cloud.ingest.metrics import SHARDS_HELD, STORE_FAILURES
from wardlight_cloud.store.base import LeaseStore
from wardlight_shared.errors import StorageError
from wardlight_shared.topics import SHARDS

_log = logging.getLogger(__name__)
_RENEWALS: Final = 3  # tries within one lifetime of a lease

Changed = Callable[[frozenset[int]], None]
"""Called with the shards now held, after each change."""


class Leases:
    """The shards held, and the loop that keeps them."""

    def __init__(
        self,
        store: LeaseStore,
        holder: str,
        ttl_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._holder = holder
        self._ttl_s = ttl_s
        self._clock = clock
        self._held: frozenset[int] = frozenset()
        self._announced: frozenset[int] = frozenset()
        self._until_s = float("-inf")

    def holds(self, shard: int) -> bool:
        """True while this collector may acknowledge for a shard."""
        return shard in self._held and self._clock() < self._until_s

    async def keep(self, changed: Changed) -> None:
        """Renew for ever."""
        pause_s = self._ttl_s / _RENEWALS
        while True:
            turn_s = self._clock()
            await self._turn(changed, pause_s)
            await asyncio.sleep(max(0.0, turn_s + pause_s - self._clock()))

    async def give_up(self) -> None:
        """Stop speaking for any shard and let others take them now."""
        self._held, self._until_s = frozenset(), float("-inf")
        SHARDS_HELD.set(0)
        try:
            async with asyncio.timeout(self._ttl_s):
                await self._store.release(self._holder)
        except (StorageError, TimeoutError) as error:
            _log.warning(
                "leases end by themselves", extra={"error": str(error) or "no answer in time"}
            )

    async def _turn(self, changed: Changed, timeout_s: float) -> None:
        asked_s = self._clock()
        try:
            async with asyncio.timeout(timeout_s):
                held = await self._store.renew(self._holder, shards=SHARDS, ttl_s=self._ttl_s)
            self._held, self._until_s = held, asked_s + self._ttl_s
        except (StorageError, TimeoutError) as error:
            STORE_FAILURES.labels("lease").inc()
            _log.warning("leases not renewed", extra={"error": str(error) or "no answer in time"})
        if self._clock() >= self._until_s:
            self._held = frozenset()
        if self._held != self._announced:
            self._announced = self._held
            SHARDS_HELD.set(len(self._held))
            _log.info("shards held", extra={"shards": len(self._held)})
            changed(self._held)
