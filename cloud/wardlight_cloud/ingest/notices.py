"""What a gateway is told unasked: that somebody watches, and which dead letters are released.

Both are polled from the store and said again with each hello, so a lost message does no harm.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final

from wardlight_cloud.ingest.acks import receipts
from wardlight_cloud.ingest.leases import Leases
from wardlight_cloud.ingest.metrics import STORE_FAILURES
from wardlight_cloud.ingest.ports import CollectorStore, Publish
from wardlight_cloud.store.batch import LedgerState
from wardlight_shared import control, topics
from wardlight_shared.control import GatewayConfig
from wardlight_shared.errors import StorageError
from wardlight_shared.timestamps import utc_ms_from_datetime
from wardlight_shared.topics import Down

_log = logging.getLogger(__name__)
_WATCH_EVERY_S: Final = 1.0
_RELEASE_EVERY_S: Final = 10.0
_MOST_EPOCHS: Final = 10_000


class Notices:
    """Publishes configurations and receipts for gateways of held shards."""

    def __init__(
        self, store: CollectorStore, publish: Publish, leases: Leases, timeout_s: float
    ) -> None:
        self._store = store
        self._publish = publish
        self._leases = leases
        self._timeout_s = timeout_s
        self._watched: Mapping[str, datetime] = {}
        self._told_watched: dict[str, datetime] = {}
        self._told_released: dict[tuple[str, int], tuple[int, ...]] = {}

    async def greet(self, gateway: str, epoch: int, state: LedgerState) -> None:
        """Say all again to a gateway that has just said hello."""
        self.expect_release(state)
        self._told_released.pop((gateway, epoch), None)
        await self._tell_released(gateway, epoch)
        self._told_watched.pop(gateway, None)
        self._tell_watched(gateway)

    def expect_release(self, state: LedgerState) -> None:
        """An epoch with dead letters: look whether an operator releases them."""
        if state.rejected and len(self._told_released) < _MOST_EPOCHS:
            self._told_released.setdefault((state.gateway, state.epoch), ())

    async def watch(self) -> None:
        """Tell gateways, for ever, until when somebody watches."""
        await self._poll(_WATCH_EVERY_S, self._tell_all_watched)

    async def release(self) -> None:
        """Tell gateways, for ever, which of their dead letters were released."""
        await self._poll(_RELEASE_EVERY_S, self._tell_all_released)

    async def _poll(self, every_s: float, turn: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await turn()
            except (StorageError, TimeoutError) as error:
                STORE_FAILURES.labels("notices").inc()
                _log.warning("notices not read", extra={"error": str(error) or "no answer in time"})
            await asyncio.sleep(every_s)

    async def _tell_all_watched(self) -> None:
        self._watched = await self._store.live_until()
        for gateway in [name for name in self._told_watched if name not in self._watched]:
            del self._told_watched[gateway]
        for gateway in self._watched:
            self._tell_watched(gateway)

    def _tell_watched(self, gateway: str) -> None:
        until = self._watched.get(gateway)
        known = self._told_watched.get(gateway)
        if until is None or until == known or not self._holds(gateway):
            return
        config = GatewayConfig(control.VERSION, utc_ms_from_datetime(until))
        if self._publish(topics.down(gateway, Down.CONFIG), control.encode(config)):
            self._told_watched[gateway] = until

    async def _tell_all_released(self) -> None:
        for gateway, epoch in list(self._told_released):
            if self._holds(gateway):
                await self._tell_released(gateway, epoch)

    async def _tell_released(self, gateway: str, epoch: int) -> None:
        released = await self._store.released(gateway, epoch)
        if released == self._told_released.get((gateway, epoch), ()):
            return
        topic = topics.down(gateway, Down.RECEIPT)
        sent = [self._publish(topic, control.encode(each)) for each in receipts(epoch, released)]
        if all(sent):
            self._told_released[gateway, epoch] = released

    def _holds(self, gateway: str) -> bool:
        return self._leases.holds(topics.shard_of(gateway))
