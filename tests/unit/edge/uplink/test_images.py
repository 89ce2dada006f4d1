"""Images on one connection: a spool that refuses, a file that is gone, worklists, what is told."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from support.manual_clock import ManualClock
from support.memory_broker import MemoryBroker
from support.recording_outbox import RecordingOutbox
from support.waiting import wait_until
from wardlight_edge.clock import SystemClock
from wardlight_edge.config import UplinkSettings
from wardlight_edge.spool.base import Dropped, Item, ItemState
from wardlight_edge.uplink import blob_delivery
from wardlight_edge.uplink.drops import Drops
from wardlight_edge.uplink.images import Images
from wardlight_edge.uplink.status import ImageState
from wardlight_shared import blobs, topics, worklist
from wardlight_shared.blobs import BlobKind, BlobState, BlobStatus, Chunk, Offer, WorklistWanted
from wardlight_shared.errors import StorageError
from wardlight_shared.records import GapBody
from wardlight_shared.worklist import WorklistEntry, WorklistPage

GATEWAY = "gw-images"
NOWHERE = Path("/nonexistent")
SETTINGS = UplinkSettings(
    host="-", ca_file=NOWHERE, cert_file=NOWHERE, key_file=NOWHERE, ack_timeout_s=0.2
)


class MemorySpool:
    """Implements SendingSpool. ``gone``: items whose files are not there; ``asked``: ASKED."""

    identity = 5

    def __init__(self, *files: bytes, kind: BlobKind = BlobKind.INSTANCE) -> None:
        self.kind = kind
        self.files = dict(enumerate(files, 1))
        self.settled: dict[int, tuple[ItemState, str | None]] = {}
        self.gone: set[int] = set()
        self.asked: set[int] = set()
        self.fail_next = 0
        self.pages: list[WorklistPage] = []
        self.given_up: list[Dropped] = []

    def waiting(
        self,
        *,
        after: int = 0,
        limit: int = 16,
        kind: BlobKind | None = None,
        state: ItemState = ItemState.WAITING,
    ) -> Sequence[Item]:
        if self.fail_next:
            self.fail_next -= 1
            raise StorageError("the disk refuses")
        found = [
            Item(number, self.kind, hashlib.sha256(octets).digest(), len(octets), 0, {}, state)
            for number, octets in self.files.items()
            if number > after
            and number not in self.settled
            and (number in self.asked) == (state is ItemState.ASKED)
        ]
        return found[:limit] if kind in (None, self.kind) else []

    def read(self, item: int, offset: int, length: int) -> bytes:
        if item in self.gone:
            raise StorageError("gone")
        return self.files[item][offset : offset + length]

    def settle(self, items: Sequence[int], state: ItemState, reason: str | None = None) -> None:
        for item in items:
            self.settled[item] = state, reason

    def dropped(self, limit: int = 100) -> Sequence[Dropped]:
        return self.given_up[:limit]

    def told(self, numbers: Sequence[int]) -> None:
        self.given_up = [each for each in self.given_up if each.number not in numbers]

    def revision(self) -> int:
        return self.pages[-1].upto if self.pages else 0

    def epoch(self) -> int | None:
        return self.pages[-1].epoch if self.pages else None

    def keep_worklist(self, page: WorklistPage) -> bool:
        self.pages.append(page)
        return page.since == 0 or page.epoch == self.pages[0].epoch


class World:
    """One gateway's images with a collector that answers as told."""

    def __init__(self, spool: MemorySpool) -> None:
        self.broker = MemoryBroker()
        self.broker.on_up = self._heard
        self.state = ImageState()
        self.images = Images(SETTINGS, GATEWAY, spool, SystemClock(), self.state)
        self.arrived: dict[bytes, bytearray] = {}
        self.offers: dict[bytes, Offer] = {}
        self.later = 0
        self.wanted: list[int] = []

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with self.broker.links(GATEWAY, b"")() as link:

            async def listen() -> None:
                while True:
                    await self.images.hear(await link.receive())

            tasks = [asyncio.create_task(each) for each in (self.images.on_link(link), listen())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    def send(self, page: WorklistPage) -> None:
        self.broker.send_down(topics.down(GATEWAY, topics.Down.WORKLIST), worklist.encode(page))

    def _heard(self, topic: str, payload: bytes) -> None:
        if not topics.parse(topic).is_blob:
            return
        message = blobs.decode_up(payload)
        if isinstance(message, WorklistWanted):
            self.wanted.append(message.revision)
            return
        if isinstance(message, Offer):
            self.offers[message.sha256] = message
        answer = self._answer(message)
        self.broker.send_down(topics.down(GATEWAY, topics.Down.RECEIPT), blobs.encode(answer))

    def _answer(self, message: Offer | Chunk) -> BlobState:
        offer = self.offers[message.sha256]
        state = BlobState(blobs.VERSION, offer.sha256, BlobStatus.WANTED, [], 5)
        if self.later:
            self.later -= 1
            return _with(state, BlobStatus.LATER, reason="the store is busy")
        octets = self.arrived.setdefault(offer.sha256, bytearray())
        if isinstance(message, Chunk) and message.offset == len(octets):
            octets += message.octets
        if hashlib.sha256(octets).digest() == offer.sha256:
            return _with(state, BlobStatus.STORED, items=[offer.item])
        ranges = [(0, len(octets))] if octets else []
        return BlobState(blobs.VERSION, offer.sha256, BlobStatus.WANTED, ranges, 5)


def _with(
    state: BlobState, status: BlobStatus, *, items: Sequence[int] = (), reason: str | None = None
) -> BlobState:
    return BlobState(state.version, state.sha256, status, [], state.spool, list(items), reason)


async def test_items_are_delivered_and_one_that_is_gone_holds_up_no_other() -> None:
    spool = MemorySpool(b"a" * 9000, b"b" * 9000, b"c" * 9000)
    spool.gone.add(1)
    world = World(spool)
    async with world.connected():
        await wait_until(lambda: len(spool.settled) == 2, what="the others are delivered")
        assert world.state.unreadable == 1
        spool.gone.clear()
    async with world.connected():
        await wait_until(lambda: 1 in spool.settled, what="tried on the next connection")
    assert {state for state, _ in spool.settled.values()} == {ItemState.DELIVERED}


async def test_what_the_collector_had_is_asked_about_and_never_read() -> None:
    """However much waits: here one that cannot be read, and 20 that the collector puts off."""
    spool = MemorySpool(*(b"%d" % number * 5000 for number in range(40)))
    spool.asked = {1, 40}
    spool.gone = {1, 40}
    world = World(spool)
    had = hashlib.sha256(spool.files[40]).digest()
    world.arrived[had] = bytearray(spool.files[40])
    async with world.connected():
        await wait_until(lambda: len(spool.settled) == 40)
    assert spool.settled[40] == (ItemState.DELIVERED, None)
    assert spool.settled.pop(1)[0] is ItemState.DAMAGED
    assert {state for state, _ in spool.settled.values()} == {ItemState.DELIVERED}
    assert world.state.unreadable == 0


async def test_an_event_of_a_step_is_not_overtaken_when_it_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A disk that refuses once: the events behind it wait until it gives the first one."""
    monkeypatch.setattr(blob_delivery, "_UNREADABLE_S", 1.0)
    monkeypatch.setattr(blob_delivery, "_LOOK_S", 0.05)
    spool = MemorySpool(b"create", b"set", b"end", kind=BlobKind.STEP)
    spool.gone.add(1)
    world = World(spool)
    async with world.connected():
        await wait_until(lambda: world.state.unreadable >= 2, what="it is tried again")
        assert spool.settled == {}
        spool.gone.clear()
        await wait_until(lambda: len(spool.settled) == 3)
    assert list(spool.settled) == [1, 2, 3]


async def test_what_comes_later_and_later_is_told_and_then_done() -> None:
    spool = MemorySpool(b"a" * 100)
    world = World(spool)
    world.later = 2
    async with world.connected():
        await wait_until(lambda: world.state.reason is not None)
        assert world.state.reason == "the cloud asks to wait (the store is busy)"
        await wait_until(lambda: bool(spool.settled))
        assert world.state.reason is None


async def test_a_spool_that_refuses_is_told_and_tried_again() -> None:
    spool = MemorySpool(b"a" * 100)
    spool.fail_next = 1
    world = World(spool)
    async with world.connected():
        await wait_until(lambda: world.state.reason == "the spool of images: the disk refuses")
        await wait_until(lambda: bool(spool.settled))


async def test_worklists_are_asked_for_page_by_page_and_anew_from_another_collector() -> None:
    spool = MemorySpool()
    world = World(spool)
    page = WorklistPage(worklist.VERSION, 0, 3, 5, 1, [WorklistEntry(1, 3, b"x")])
    async with world.connected():
        await wait_until(lambda: world.wanted == [0])
        world.send(page)
        await wait_until(lambda: world.wanted == [0, 3])
        world.send(WorklistPage(worklist.VERSION, 3, 5, 5, 1, []))
        await wait_until(lambda: len(spool.pages) == 2)
        world.images.ask_anew()
        await wait_until(lambda: world.wanted == [0, 3, 5])
        # A database that was restored: what it pushes continues another list.
        world.send(WorklistPage(worklist.VERSION, 5, 6, 6, 1, [], 9))
        await wait_until(lambda: world.wanted == [0, 3, 5, 6])


def test_octets_that_go_another_time_are_counted_over_connections() -> None:
    state = ImageState()
    for sha256, offset in ((b"a", 0), (b"a", 4096), (b"b", 0), (b"a", 4096), (b"a", 6144)):
        state.sent(sha256, offset, 4096)
    assert (state.octets, state.octets_again) == (5 * 4096, 4096 + 2048)
    for number in range(3000):
        state.sent(b"%d" % number, 0, 4096)
    assert len(state._sent_upto) < 2000


async def test_what_was_given_up_is_a_named_loss_and_told_once() -> None:
    """Also when the outbox refuses at first, and when the clock went back since the receipt."""
    spool, outbox, clock = MemorySpool(), RecordingOutbox(), ManualClock()
    spool.given_up = [
        Dropped(1, "image", clock.wall_ms() - 5_000),
        Dropped(2, "procedure step", clock.wall_ms() + 5_000),
    ]
    drops = Drops(spool, outbox, clock)
    outbox.is_full = True
    with pytest.raises(StorageError):
        await drops.tell()
    assert len(spool.given_up) == 2
    outbox.is_full = False
    assert [await drops.tell() for _ in range(2)] == [2, 0]
    assert outbox.bodies() == [
        GapBody("image-dropped", None, 1, 5_000),
        GapBody("step-dropped", None, 1, 0),
    ]
