"""What a person gave up of the spool becomes records for the cloud: a named loss each.

It goes with the gateway's other records: kept in the outbox, delivered once the link is there. A
kill between the two files tells it twice.

Errors  none leaves ``run``: a disk that refuses is tried again
"""

import asyncio
import logging
from typing import Final

from wardlight_edge.clock import Clock
from wardlight_edge.outbox.base import NewRecord, Outbox
from wardlight_edge.spool.base import Dropped, SendingSpool
from wardlight_shared.errors import StorageError
from wardlight_shared.records import GapBody, Lane, encode_body

_log = logging.getLogger(__name__)
_LOOK_S: Final = 10.0
_MOST_AGE_MS: Final = (1 << 53) - 1
_CAUSES: Final = {"image": "image-dropped", "procedure step": "step-dropped"}


class Drops:
    """The losses of one spool."""

    def __init__(self, spool: SendingSpool, outbox: Outbox, clock: Clock) -> None:
        self._spool = spool
        self._outbox = outbox
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                while await self.tell():
                    pass
            except StorageError as error:
                _log.warning("a loss of images is not told yet", extra={"why": str(error)})
            await asyncio.sleep(_LOOK_S)

    async def tell(self) -> int:
        """Some of them; how many there were. StorageError of spool or outbox."""
        found = await asyncio.to_thread(self._spool.dropped)
        if found:
            await self._outbox.append([self._record(each) for each in found])
            await asyncio.to_thread(self._spool.told, [each.number for each in found])
        return len(found)

    def _record(self, dropped: Dropped) -> NewRecord:
        now_ms = self._clock.wall_ms()
        age_ms = min(max(0, now_ms - dropped.received_ms), _MOST_AGE_MS)
        body = GapBody(_CAUSES.get(dropped.kind, "image-dropped"), None, 1, age_ms)
        return NewRecord(Lane.LIVE, None, self._clock.mono_ms(), now_ms, encode_body(body))
