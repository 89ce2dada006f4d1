"""Delivers the items of the spool over one connection: the blob protocol with disk and clock.

Everything that touches the disk is done in a thread. Settlements are durable before more items are
taken from the spool.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from wardlight_edge.clock import Clock
from wardlight_edge.config import UplinkSettings
from wardlight_edge.spool.base import Item, ItemState, SendingSpool
from wardlight_edge.uplink.blob_pace import BlobPace
from wardlight_edge.uplink.blobs import BlobSending, ChunkToSend, Settlement
from wardlight_edge.uplink.status import ImageState
from wardlight_shared import blobs
from wardlight_shared.blobs import BlobKind, BlobState, Chunk, Offer
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_LOOK_S: Final = 1.0
_UNREADABLE_S: Final = 30.0
_LATER_S: Final = 300.0
_PAGES: Final = 64


class Channel(Protocol):
    """The way of blobs over one connection; answers come to ``Delivery.hear``."""

    parts: int
    """Chunks that may be on their way at a time for the sake of the link."""

    def send(self, message: bytes, offer: bytes | None, taken: Callable[[], None]) -> None:
        """Hand a message over; never blocks. ``taken`` is called once the far side has it.

        ``offer``: the offer that a chunk belongs to, for ways that keep no state between messages.
        """


class Delivery:
    """The spool's items on one connection."""

    def __init__(
        self,
        channel: Channel,
        settings: UplinkSettings,
        spool: SendingSpool,
        clock: Clock,
        state: ImageState,
    ) -> None:
        self._channel = channel
        self._spool = spool
        self._clock = clock
        self._state = state
        self._pace = BlobPace(channel.parts)
        self._sending = BlobSending(
            spool.identity, ack_timeout_s=settings.ack_timeout_s, longest_s=settings.resend_max_s
        )
        self._upto = 0
        self._asked_upto = 0
        self._has_steps = False
        self._has_asked = False
        self._offers: dict[int, bytes] = {}
        self._not_before_s: dict[int, float] = {}
        self._looked_s = float("-inf")
        self._wake = asyncio.Event()
        self._heard: asyncio.Queue[BlobState] = asyncio.Queue(256)

    async def run(self) -> None:
        """Until cancelled, or TransportError from the channel."""
        while True:
            self._wake.clear()
            await self._settle_heard()
            await self._look()
            while await self._send_one():
                if not self._heard.empty():
                    await self._settle_heard()
            self._state.open_items = len(self._sending)
            await self._wait()

    def hear(self, state: BlobState) -> None:
        """Take an answer; the newest of too many is dropped, and asked for again."""
        with contextlib.suppress(asyncio.QueueFull):
            self._heard.put_nowait(state)
        self._wake.set()

    def ask_anew(self) -> None:
        """A collector took over: what it has must be asked for."""
        self._sending.ask_anew()
        self._wake.set()

    async def _settle_heard(self) -> None:
        while not self._heard.empty():
            said = self._sending.hear(self._heard.get_nowait(), self._now_s())
            if said is not None:
                await self._settle(said)

    async def _settle(self, said: Settlement) -> None:
        await asyncio.to_thread(self._spool.settle, said.items, said.state, said.reason)
        if said.state is ItemState.REFUSED:
            self._state.refused += len(said.items)
            _log.error("the collector refuses images", extra={"items": said.items})
        elif said.state is ItemState.DAMAGED:
            _log.error("the collector has lost images", extra={"items": said.items})
        elif said.reason is not None:
            self._state.set_aside += len(said.items)
            extra = {"items": said.items, "reason": said.reason}
            _log.error("the collector keeps images that nobody sees", extra=extra)
        else:
            self._state.delivered += len(said.items)
        for item in said.items:
            self._offers.pop(item, None)

    async def _look(self) -> None:
        """Take more items. Now and then from the start: an operator may have put one back."""
        now_s = self._now_s()
        is_due = now_s - self._looked_s >= _LOOK_S
        self._put_off(self._sending.overflow(), _LATER_S)
        if is_due or self._has_steps:
            await self._take_step()
        if is_due or self._has_asked:
            await self._take_asked()
        if is_due or self._upto:
            await self._take_instances()
        if is_due:
            self._looked_s = now_s

    async def _take_step(self) -> None:
        """The oldest event of a procedure step, and none over the head of one that waits."""
        if self._sending.room(BlobKind.STEP) <= 0:
            return
        items = await asyncio.to_thread(self._spool.waiting, limit=1, kind=BlobKind.STEP)
        ready = [each for each in items if self._is_ready(each)]
        self._sending.take(ready)
        self._has_steps = bool(ready)

    async def _take_asked(self) -> None:
        """What a modality waits for an answer about, however much waits to be delivered."""
        room = self._sending.room_to_ask()
        if room <= 0:
            return
        items = await asyncio.to_thread(
            self._spool.waiting, after=self._asked_upto, limit=room, state=ItemState.ASKED
        )
        self._sending.take(filter(self._is_ready, items))
        self._asked_upto = items[-1].item if items else 0
        self._has_asked = bool(items)

    async def _take_instances(self) -> None:
        for _ in range(_PAGES):
            room = self._sending.room(BlobKind.INSTANCE)
            if room <= 0:
                return
            items = await asyncio.to_thread(
                self._spool.waiting, after=self._upto, limit=room, kind=BlobKind.INSTANCE
            )
            self._sending.take(filter(self._is_ready, items))
            self._upto = items[-1].item if items else 0
            if not items:
                return

    async def _send_one(self) -> bool:
        chunk_bytes = self._pace.chunk_bytes if self._pace.room_bytes else 0
        message = self._sending.next(self._now_s(), chunk_bytes)
        if isinstance(message, Offer):
            self._send_offer(message)
        elif message is not None:
            await self._send_chunk(message)
        return message is not None

    def _send_offer(self, offer: Offer) -> None:
        encoded = self._offers[offer.item] = blobs.encode(offer)
        self._channel.send(encoded, None, lambda: None)
        self._state.offers += 1
        self._state.sent_bytes += len(encoded)

    async def _send_chunk(self, chunk: ChunkToSend) -> None:
        try:
            octets = await asyncio.to_thread(
                self._spool.read, chunk.item, chunk.offset, chunk.length
            )
        except StorageError:
            _log.error("an image cannot be read from the spool", extra={"item": chunk.item})
            self._state.unreadable += 1
            self._sending.drop(chunk.item)
            self._put_off([chunk.item], _UNREADABLE_S)
            return
        message = blobs.encode(Chunk(blobs.VERSION, chunk.sha256, chunk.offset, octets))
        sent_s, mark, size = self._now_s(), self._pace.sent(len(message)), len(message)

        def taken() -> None:
            self._pace.taken(size, self._now_s() - sent_s, mark)
            self._state.rate = self._pace.rate
            self._wake.set()

        self._channel.send(message, self._offers.get(chunk.item), taken)
        self._state.sent_bytes += size
        self._state.sent(chunk.sha256, chunk.offset, chunk.length)

    def _put_off(self, items: Iterable[int], pause_s: float) -> None:
        """Tried again after a pause: what this disk does not give now, or the cloud does not take.

        Other images go on meanwhile; the events of procedure steps that follow wait for it. One
        that is damaged for good the spool has marked, and does not give out again.
        """
        for item in items:
            self._not_before_s[item] = self._now_s() + pause_s
            self._offers.pop(item, None)

    def _is_ready(self, item: Item) -> bool:
        if self._not_before_s.get(item.item, 0.0) > self._now_s():
            return False
        self._not_before_s.pop(item.item, None)
        return True

    async def _wait(self) -> None:
        deadline_s = self._sending.next_deadline_s()
        pause_s = _LOOK_S
        if deadline_s is not None:
            pause_s = min(pause_s, max(0.01, deadline_s - self._now_s()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._wake.wait()

    def _now_s(self) -> float:
        return self._clock.mono_ms() / 1000
