"""The door to the outbox: a record passes it once it is on the disk, however long that takes.

While the outbox refuses (quota or disk used up, or its file in trouble) the records of one batch
wait here and the inbox behind them fills: a device that keeps its readings is left alone, a stream
loses what finds no room, counted by the inbox.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from wardlight_edge.outbox.base import Level, NewRecord
from wardlight_edge.sessions.board import DeviceEntry
from wardlight_edge.sessions.gateway import Gateway
from wardlight_shared.errors import OutboxFull, StorageError

_logger = logging.getLogger(__name__)


class Acceptance:
    """Appends one device's records in order.

    refusing  called when the outbox begins to refuse
    """

    def __init__(
        self, gateway: Gateway, entry: DeviceEntry, refusing: Callable[[], None] | None = None
    ) -> None:
        self._gateway = gateway
        self._outbox = gateway.outbox
        self._entry = entry
        self._refusing = refusing
        self.trouble: tuple[str, str] | None = None
        """State and reason while the outbox refuses."""

    def is_full(self) -> bool:
        """Whether nothing can be accepted now."""
        return self.trouble is not None or self._outbox.status().level is Level.FULL

    async def append(self, records: Sequence[NewRecord]) -> None:
        """Return when every record is committed; tries again for as long as it takes."""
        while True:
            try:
                await self._outbox.append(records)
            except StorageError as error:
                self._refused(error)
                await asyncio.sleep(self._gateway.retry_s)
            else:
                self.trouble = None
                self._entry.count("records", len(records))
                return

    def _refused(self, error: StorageError) -> None:
        self._entry.count("refused")
        is_new = self.trouble is None
        state = "outbox-full" if isinstance(error, OutboxFull) else "storage-error"
        if is_new:
            _logger.error(
                "outbox refused", extra={"device": self._entry.identity, "error": str(error)}
            )
        reason = f"the outbox refuses new records: {error}"
        self.trouble = (state, reason)
        self._entry.set_state(state, reason, self._gateway.clock.wall_ms())
        if is_new and self._refusing is not None:
            self._refusing()
