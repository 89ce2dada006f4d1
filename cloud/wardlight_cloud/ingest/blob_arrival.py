"""One blob of one gateway on its way in: octets gathered to parts, and answers.

Chunks are small on a slow link; as parts of their own they would cost a sync each. They are kept in
memory until there is 1 MiB, half a second has gone by, or nothing is missing. What is asked by an
offer is answered after the parts are durable, so that nothing is sent again that came.
"""

import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from wardlight_cloud.imaging.blob_intake import BlobIntake, later, wanted
from wardlight_cloud.imaging.blob_metrics import HELD_BYTES, OCTETS
from wardlight_shared.blobs import MAX_RANGES, BlobState, BlobStatus, Chunk, Offer, is_chunk_of
from wardlight_shared.errors import StorageError

FLUSH_BYTES: Final = 1024 * 1024
FLUSH_S: Final = 0.5
_IDLE_S: Final = 120.0
_ITEMS_MOST: Final = MAX_RANGES  # what one answer can name
_MESSAGE_BYTES: Final = 512  # objects, places in queues and tables
_ENTRY_BYTES: Final = 128  # a place in a table, and the number that may stand in it
Say = Callable[[BlobState], None]


class Memory:
    """Room for what arrivals hold: of all of them, and of those of one gateway."""

    def __init__(self, most: int, most_of_a_gateway: int) -> None:
        self._most = most
        self._most_of_a_gateway = most_of_a_gateway
        self._of_gateway: Counter[str] = Counter()
        self.held = 0

    def take(self, gateway: str, size: int) -> bool:
        """False when there is no room."""
        is_full = self.held + size > self._most
        if is_full or self._of_gateway[gateway] + size > self._most_of_a_gateway:
            return False
        self._change(gateway, size)
        return True

    def give_back(self, gateway: str, size: int) -> None:
        """It is durable, or dropped."""
        self._change(gateway, -size)

    def _change(self, gateway: str, size: int) -> None:
        self.held += size
        self._of_gateway[gateway] += size
        if not self._of_gateway[gateway]:
            del self._of_gateway[gateway]
        HELD_BYTES.set(self.held)


def weight(message: Offer | Chunk) -> int:
    """What a message takes of the memory while it is held, with all that is about it."""
    if isinstance(message, Chunk):
        return _MESSAGE_BYTES + len(message.octets)
    texts = (each for pair in message.about.items() for each in pair if isinstance(each, str))
    return _MESSAGE_BYTES + _ENTRY_BYTES * len(message.about) + sum(map(sys.getsizeof, texts))


class Arrival:
    """``hear`` messages while ``run`` runs; it ends after the receipt, a refusal or a failure."""

    def __init__(self, gateway: str, intake: BlobIntake, memory: Memory, say: Say) -> None:
        self._gateway = gateway
        self._intake = intake
        self._memory = memory
        self._say = say
        self._heard: deque[Offer | Chunk] = deque()
        self._wake = asyncio.Event()
        self._offers: dict[int, Offer] = {}
        self._ranges: list[tuple[int, int]] = []
        self._pending: dict[int, Chunk] = {}
        self._pending_bytes = 0
        self._flush_at_s = float("inf")

    def hear(self, message: Offer | Chunk) -> bool:
        """Keep a message for ``run``; False when there is no room for it."""
        if isinstance(message, Offer):
            if message in self._heard:
                return True
            offers = sum(isinstance(each, Offer) for each in self._heard) + len(self._offers)
            if offers >= _ITEMS_MOST and message.item not in self._offers:
                return False
        if not self._memory.take(self._gateway, weight(message)):
            return False
        self._heard.append(message)
        self._wake.set()
        return True

    async def run(self) -> None:
        """Until there is nothing more to do for this blob."""
        try:
            while await self._turn():
                pass
        except StorageError:
            offer = next(iter(self._offers.values()), None)
            if offer is not None:
                self._say(later(offer, "the store is busy"))
        finally:
            self.drop()

    async def _turn(self) -> bool:
        """Take what was heard; False when this arrival is over."""
        if not self._heard and not await self._woken():
            return False
        asked = False
        while self._heard:
            message = self._heard.popleft()
            if isinstance(message, Chunk):
                self._keep(message)
            else:
                asked = self._note(message) or asked
        is_whole = self._is_whole()
        if asked or is_whole:
            await self._flush()
            return await self._answer()
        if self._pending_bytes >= FLUSH_BYTES or time.monotonic() >= self._flush_at_s:
            await self._flush()
            self._say(wanted(self._offer, self._ranges))
        return True

    async def _woken(self) -> bool:
        self._wake.clear()
        until_s = self._flush_at_s - time.monotonic() if self._pending else _IDLE_S
        try:
            async with asyncio.timeout(max(0.0, until_s)):
                await self._wake.wait()
        except TimeoutError:
            return bool(self._pending)
        return True

    @property
    def _offer(self) -> Offer:
        return next(iter(self._offers.values()))

    def _note(self, offer: Offer) -> bool:
        """True where an answer is due."""
        if self._offers and (offer.spool != self._offer.spool or offer.size != self._offer.size):
            # A gateway whose spool was replaced, or one that lies: the newest word counts.
            self._drop_offers()
        before = self._offers.get(offer.item)
        self._offers[offer.item] = offer
        if before is not None:
            self._give_back(before)
        return True

    def _keep(self, chunk: Chunk) -> None:
        before = self._pending.get(chunk.offset)
        is_less = before is not None and len(before.octets) >= len(chunk.octets)
        if is_less or not self._offers or not is_chunk_of(chunk, self._offer):
            OCTETS.labels("refused").inc(len(chunk.octets))
            self._give_back(chunk)
            return
        if not self._pending:
            self._flush_at_s = time.monotonic() + FLUSH_S
        self._pending[chunk.offset] = chunk
        self._pending_bytes += len(chunk.octets)
        if before is not None:
            self._pending_bytes -= len(before.octets)
            self._give_back(before)

    def _is_whole(self) -> bool:
        if not self._pending or not self._offers:
            return False
        spans = [(each.offset, each.offset + len(each.octets)) for each in self._pending.values()]
        return joined([*self._ranges, *spans]) == [(0, self._offer.size)]

    async def _flush(self) -> None:
        """Make parts of what is in memory, one for each run of octets that touch."""
        if not self._pending:
            return
        for offset, octets in _runs(self._pending):
            await self._intake.put(self._offer, offset, octets)
            OCTETS.labels("kept").inc(len(octets))
            self._ranges = joined([*self._ranges, (offset, offset + len(octets))])
        self._drop_pending()

    async def _answer(self) -> bool:
        offers = list(self._offers.values())
        state = await self._intake.answer(self._gateway, offers)
        self._ranges = list(state.ranges)
        self._say(state)
        # An item that was offered meanwhile has its answer to come.
        return state.status is BlobStatus.WANTED or bool(self._heard)

    def _drop_pending(self) -> None:
        self._give_back(*self._pending.values())
        self._pending.clear()
        self._pending_bytes = 0
        self._flush_at_s = float("inf")

    def _drop_offers(self) -> None:
        self._give_back(*self._offers.values())
        self._offers.clear()

    def drop(self) -> None:
        """Forget what is in memory."""
        self._drop_pending()
        self._drop_offers()
        self._give_back(*self._heard)
        self._heard.clear()

    def _give_back(self, *messages: Offer | Chunk) -> None:
        self._memory.give_back(self._gateway, sum(map(weight, messages)))


def joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges ascending, joined where they touch or overlap."""
    found: list[tuple[int, int]] = []
    for first, end in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((first, end))
    return found


def _runs(pending: dict[int, Chunk]) -> list[tuple[int, bytes]]:
    runs: list[tuple[int, list[bytes]]] = []
    end = -1
    for offset, chunk in sorted(pending.items()):
        if offset == end:
            runs[-1][1].append(chunk.octets)
        else:
            runs.append((offset, [chunk.octets]))
        end = offset + len(chunk.octets)
    return [(offset, b"".join(pieces)) for offset, pieces in runs]
