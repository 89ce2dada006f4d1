"""Asks the collector for the worklist and keeps what it sends: modalities ask with the WAN down.

Asked on each connection, after each page that is not the last or does not continue what is held,
and every minute.
"""

import asyncio
import contextlib
from typing import Final

from wardlight_edge.spool.base import SendingSpool
from wardlight_edge.uplink.blob_delivery import Channel
from wardlight_shared import blobs, worklist
from wardlight_shared.blobs import WorklistWanted

_EVERY_S: Final = 60.0


class WorklistAsking:
    """The worklist of one spool on one connection."""

    def __init__(self, channel: Channel, spool: SendingSpool) -> None:
        self._channel = channel
        self._spool = spool
        self._more = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled, or TransportError from the channel."""
        while True:
            self._more.clear()
            wanted = await asyncio.to_thread(self._wanted)
            self._channel.send(blobs.encode(wanted), None, lambda: None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_S):
                    await self._more.wait()

    async def hear(self, message: bytes) -> None:
        """Keep a page; EnvelopeError when it cannot be read."""
        page = worklist.decode(message)
        is_kept = await asyncio.to_thread(self._spool.keep_worklist, page)
        if page.upto < page.newest or not is_kept:
            self._more.set()

    def _wanted(self) -> WorklistWanted:
        epoch = self._spool.epoch()
        if epoch is None:  # whose revisions they are is not known: the whole list
            return WorklistWanted(blobs.VERSION, 0)
        return WorklistWanted(blobs.VERSION, self._spool.revision(), epoch)

    def ask_anew(self) -> None:
        """Another collector took over."""
        self._more.set()
