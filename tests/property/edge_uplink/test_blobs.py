"""Blobs over a link that loses, repeats and reorders, with collectors that forget."""

import hashlib
import heapq
import random
from dataclasses import dataclass, field

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.spool.base import Item, ItemState
from wardlight_edge.uplink.blobs import (
    ASKED_AT_A_TIME,
    OPEN_INSTANCES,
    PAUSED_INSTANCES,
    WINDOW,
    BlobSending,
    ChunkToSend,
)
from wardlight_shared import blobs
from wardlight_shared.blobs import (
    GRAIN_BYTES,
    BlobKind,
    BlobState,
    BlobStatus,
    Chunk,
    Offer,
    decode_state,
    decode_up,
)

SPOOL = 77
WAY_S = 0.05


@dataclass
class Collector:
    """By the book of docs/wire-format.md: keeps parts, forgets offers on request."""

    parts: dict[bytes, dict[int, bytes]] = field(default_factory=dict)
    offers: dict[bytes, dict[int, Offer]] = field(default_factory=dict)
    stored: dict[bytes, bytes] = field(default_factory=dict)
    receipts: list[tuple[int, BlobKind]] = field(default_factory=list)
    refuses: set[bytes] = field(default_factory=set)
    busy: int = 0

    def take(self, message: Offer | Chunk) -> BlobState:
        if isinstance(message, Offer):
            self.offers.setdefault(message.sha256, {})[message.item] = message
        elif message.sha256 in self.offers:
            self.parts.setdefault(message.sha256, {})[message.offset] = message.octets
        return self._state(message.sha256)

    def _state(self, sha256: bytes) -> BlobState:
        offers = self.offers.get(sha256)
        if offers is None:
            return BlobState(blobs.VERSION, sha256, BlobStatus.WANTED, self._ranges(sha256))
        if self.busy:
            self.busy -= 1
            return BlobState(blobs.VERSION, sha256, BlobStatus.LATER, [], SPOOL)
        items = sorted(offers)
        if sha256 in self.refuses:
            return BlobState(blobs.VERSION, sha256, BlobStatus.REFUSED, [], SPOOL, items, "no")
        size = next(iter(offers.values())).size
        ranges = self._ranges(sha256)
        if sha256 not in self.stored and ranges == ([(0, size)] if size else []):
            octets = bytearray(size)
            for offset, part in self.parts.get(sha256, {}).items():
                octets[offset : offset + len(part)] = part
            assert hashlib.sha256(octets).digest() == sha256
            self.stored[sha256] = bytes(octets)
        if sha256 in self.stored:
            self.receipts += [(each.item, each.kind) for each in offers.values()]
            return BlobState(blobs.VERSION, sha256, BlobStatus.STORED, [], SPOOL, items)
        return BlobState(blobs.VERSION, sha256, BlobStatus.WANTED, ranges, SPOOL)

    def _ranges(self, sha256: bytes) -> list[tuple[int, int]]:
        ranges: list[tuple[int, int]] = []
        for offset, part in sorted(self.parts.get(sha256, {}).items()):
            if ranges and offset <= ranges[-1][1]:
                ranges[-1] = ranges[-1][0], max(ranges[-1][1], offset + len(part))
            else:
                ranges.append((offset, offset + len(part)))
        return ranges


class Way:
    """Carries messages both ways in simulated time."""

    def __init__(self, seed: int, loss: float, repeat: float, spread_s: float) -> None:
        self.random = random.Random(seed)
        self.loss, self.repeat, self.spread_s = loss, repeat, spread_s
        self.now_s = 0.0
        self._on_way: list[tuple[float, int, bool, bytes]] = []
        self._count = 0

    def carry(self, message: bytes, *, up: bool) -> None:
        copies = 0 if self.random.random() < self.loss else 1
        copies += copies and self.random.random() < self.repeat
        for _ in range(copies):
            self._count += 1
            at_s = self.now_s + WAY_S + self.random.uniform(0, self.spread_s)
            heapq.heappush(self._on_way, (at_s, self._count, up, message))

    def next_s(self) -> float:
        return self._on_way[0][0] if self._on_way else float("inf")

    def arrived(self) -> tuple[bool, bytes]:
        self.now_s, _, up, message = heapq.heappop(self._on_way)
        return up, message

    def forget(self) -> None:
        """The connection broke: what was on its way is gone."""
        self._on_way.clear()


def made_items(sizes: list[int], steps: set[int]) -> tuple[list[Item], dict[int, bytes]]:
    items, files = [], {}
    for number, size in enumerate(sizes, 1):
        octets = random.Random(size).randbytes(size)
        kind = BlobKind.STEP if number in steps else BlobKind.INSTANCE
        octets += bytes([number]) if kind is BlobKind.STEP else b""
        files[number] = octets
        digest = hashlib.sha256(octets).digest()
        items.append(Item(number, kind, digest, len(octets), 0, {}))
    return items, files


def on_wire(message: Offer | ChunkToSend, files: dict[int, bytes]) -> Offer | Chunk:
    """The message with its octets."""
    if isinstance(message, Offer):
        return message
    octets = files[message.item][message.offset : message.offset + message.length]
    return Chunk(blobs.VERSION, message.sha256, message.offset, octets)


def deliver(
    items: list[Item], files: dict[int, bytes], way: Way, collector: Collector, forget_every: int
) -> dict[int, ItemState]:
    """Run the machine to the end; returns what was settled."""
    settled: dict[int, ItemState] = {}
    sending = BlobSending(SPOOL, ack_timeout_s=1.0, longest_s=8.0, random_numbers=way.random)
    events = 0
    while len(settled) < len(items):
        waiting = [item for item in items if item.item not in settled]
        for kind in BlobKind:
            sending.take(item for item in waiting if item.kind is kind)
        while message := sending.next(way.now_s, GRAIN_BYTES * way.random.choice((1, 2, 5))):
            way.carry(blobs.encode(on_wire(message, files)), up=True)
        deadline_s = sending.next_deadline_s()
        assert deadline_s is not None
        if way.next_s() > deadline_s:
            way.now_s = max(way.now_s, deadline_s) + 1e-6
            continue
        up, octets = way.arrived()
        events += 1
        assert events < 20_000, "does not end"
        if forget_every and events % forget_every == 0 and events < 20 * forget_every:
            collector.offers.clear()  # another collector takes over
        if up:
            heard = decode_up(octets)
            assert isinstance(heard, Offer | Chunk)
            way.carry(blobs.encode(collector.take(heard)), up=False)
            continue
        said = sending.hear(decode_state(octets), way.now_s)
        if said is not None:
            for item in said.items:
                assert item not in settled
                settled[item] = said.state
    return settled


@given(
    sizes=st.lists(st.integers(0, 9 * GRAIN_BYTES), min_size=1, max_size=24),
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.1, 0.4]),
    repeat=st.sampled_from([0.0, 0.3]),
    spread_s=st.sampled_from([0.0, 0.5]),
    forget_every=st.sampled_from([0, 7, 50]),
    busy=st.integers(0, 5),
    data=st.data(),
)
def test_every_item_is_settled_once_and_steps_in_order(
    sizes: list[int],
    seed: int,
    loss: float,
    repeat: float,
    spread_s: float,
    forget_every: int,
    busy: int,
    data: st.DataObject,
) -> None:
    steps = data.draw(st.sets(st.integers(1, len(sizes)), max_size=5))
    items, files = made_items(sizes, steps)
    refused = data.draw(st.sets(st.sampled_from(range(1, len(sizes) + 1)), max_size=2))
    way = Way(seed, loss, repeat, spread_s)
    collector = Collector(busy=busy, refuses={items[n - 1].sha256 for n in refused})
    settled = deliver(items, files, way, collector, forget_every)
    for item in items:
        is_refused = item.sha256 in collector.refuses
        assert settled[item.item] is (ItemState.REFUSED if is_refused else ItemState.DELIVERED)
        assert is_refused or collector.stored[item.sha256] == files[item.item]
    firsts: list[int] = []
    for number, kind in collector.receipts:
        if kind is BlobKind.STEP and number not in firsts:
            firsts.append(number)
    assert firsts == sorted(firsts)


def items_of(*sizes: int) -> list[Item]:
    return made_items(list(sizes), set())[0]


def sending_of(items: list[Item]) -> BlobSending:
    sending = BlobSending(SPOOL, ack_timeout_s=1.0, longest_s=8.0)
    sending.take(items)
    return sending


def offers_of(sending: BlobSending, now_s: float) -> list[int]:
    """Offers said now; chunks are not wanted."""
    numbers = []
    while message := sending.next(now_s, 0):
        assert isinstance(message, Offer)
        numbers.append(message.item)
    return numbers


def wanted(item: Item, *ranges: tuple[int, int], spool: int = SPOOL) -> BlobState:
    return BlobState(blobs.VERSION, item.sha256, BlobStatus.WANTED, list(ranges), spool)


def chunks_of(sending: BlobSending, now_s: float, most: int = GRAIN_BYTES) -> list[tuple[int, int]]:
    spans = []
    while message := sending.next(now_s, most):
        assert isinstance(message, ChunkToSend)
        spans.append((message.offset, message.length))
    return spans


def test_a_known_file_costs_no_octets() -> None:
    (item,) = items_of(90_000)
    sending = sending_of([item])
    assert offers_of(sending, 0) == [1]
    receipt = BlobState(blobs.VERSION, item.sha256, BlobStatus.STORED, [], SPOOL, [1])
    said = sending.hear(receipt, 0.1)
    assert said is not None
    assert (said.items, said.state) == ([1], ItemState.DELIVERED)
    assert sending.next(0.2, GRAIN_BYTES) is None
    assert len(sending) == 0


def asked_items(*sizes: int) -> list[Item]:
    return [msgspec.structs.replace(each, state=ItemState.ASKED) for each in items_of(*sizes)]


def test_what_the_collector_had_is_lost_when_it_wants_octets_twice() -> None:
    """An answer of before the question, which a slow collector gives, is no word on now."""
    (item,) = asked_items(90_000)
    sending = sending_of([item])
    assert offers_of(sending, 0) == [1]
    assert sending.hear(wanted(item), 0.1) is None
    assert sending.hear(wanted(item), 0.1) is None, "the same answer again"
    assert sending.next(0.2, GRAIN_BYTES) is None, "there is no file"
    deadline_s = sending.next_deadline_s()
    assert deadline_s is not None
    assert offers_of(sending, deadline_s) == [1]
    said = sending.hear(wanted(item), deadline_s)
    assert said is not None
    assert (said.items, said.state) == ([1], ItemState.DAMAGED)
    assert len(sending) == 0


def test_what_the_collector_has_still_is_delivered_once_more() -> None:
    (item,) = asked_items(90_000)
    sending = sending_of([item])
    offers_of(sending, 0)
    sending.hear(wanted(item), 0.1)
    deadline_s = sending.next_deadline_s()
    assert deadline_s is not None
    assert offers_of(sending, deadline_s) == [1]
    receipt = BlobState(blobs.VERSION, item.sha256, BlobStatus.STORED, [], SPOOL, [1])
    said = sending.hear(receipt, deadline_s)
    assert said is not None
    assert said.state is ItemState.DELIVERED


def test_a_file_that_comes_again_is_sent_though_the_collector_is_asked_about_it() -> None:
    (asked,) = asked_items(GRAIN_BYTES)
    again = msgspec.structs.replace(asked, item=2, state=ItemState.WAITING)
    sending = sending_of([asked])
    offers_of(sending, 0)
    sending.take([again])
    assert offers_of(sending, 0.1) == [2]
    assert sending.hear(wanted(asked), 0.2) is None
    chunk = sending.next(0.3, GRAIN_BYTES)
    assert isinstance(chunk, ChunkToSend)
    assert chunk.item == 2
    receipt = BlobState(blobs.VERSION, asked.sha256, BlobStatus.STORED, [], SPOOL, [1, 2])
    said = sending.hear(receipt, 0.4)
    assert said is not None
    assert said.items == [2]


def test_questions_take_no_room_from_images_nor_images_from_them() -> None:
    sending = sending_of(items_of(*range(100, 100 + OPEN_INSTANCES)))
    assert sending.room(BlobKind.INSTANCE) == 0
    asked = asked_items(*range(1000, 1000 + OPEN_INSTANCES + 50))[OPEN_INSTANCES:]
    sending.take(asked)
    assert sending.room_to_ask() == 0
    assert len(sending) == OPEN_INSTANCES + ASKED_AT_A_TIME
    assert sending_of(asked).room(BlobKind.INSTANCE) == OPEN_INSTANCES


def test_only_what_is_missing_is_sent_and_silence_is_answered_by_asking() -> None:
    (item,) = items_of(6 * GRAIN_BYTES + 5)
    sending = sending_of([item])
    offers_of(sending, 0)
    sending.hear(wanted(item, (0, GRAIN_BYTES), (3 * GRAIN_BYTES, 5 * GRAIN_BYTES)), 0.1)
    spans = chunks_of(sending, 0.2, 2 * GRAIN_BYTES)
    assert spans == [(GRAIN_BYTES, 2 * GRAIN_BYTES), (5 * GRAIN_BYTES, GRAIN_BYTES + 5)]
    assert chunks_of(sending, 1.1) == []
    assert offers_of(sending, 1.3) == [1], "it asks, and sends no octets again"
    sending.hear(wanted(item, (0, 5 * GRAIN_BYTES)), 1.4)
    assert chunks_of(sending, 1.5, 2 * GRAIN_BYTES) == [(5 * GRAIN_BYTES, GRAIN_BYTES + 5)]


def test_window_bounds_what_is_unanswered_over_all_blobs() -> None:
    items = items_of(20 * GRAIN_BYTES, 30 * GRAIN_BYTES)
    sending = sending_of(items)
    offers_of(sending, 0)
    for item in items:
        sending.hear(wanted(item), 0.1)
    assert len(chunks_of(sending, 0.2)) == WINDOW
    sending.hear(wanted(items[0], (0, 3 * GRAIN_BYTES)), 0.3)
    assert len(chunks_of(sending, 0.4)) == 3


def test_parts_that_were_dropped_are_sent_anew() -> None:
    (item,) = items_of(2 * GRAIN_BYTES)
    sending = sending_of([item])
    offers_of(sending, 0)
    sending.hear(wanted(item), 0.1)
    assert len(chunks_of(sending, 0.2)) == 2
    sending.hear(wanted(item, (0, 2 * GRAIN_BYTES)), 0.3)
    assert chunks_of(sending, 0.4) == []
    sending.hear(wanted(item), 0.5)  # the hash was wrong
    assert len(chunks_of(sending, 0.6)) == 2


def test_a_collector_without_the_offer_gets_it_once() -> None:
    (item,) = items_of(5 * GRAIN_BYTES)
    sending = sending_of([item])
    offers_of(sending, 0)
    sending.hear(wanted(item), 0.1)
    assert len(chunks_of(sending, 0.2)) == 5
    for _ in range(5):
        sending.hear(wanted(item, spool=0), 0.3)
    assert offers_of(sending, 0.4) == [1]


def test_a_receipt_of_another_spool_settles_nothing() -> None:
    (item,) = items_of(100)
    sending = sending_of([item])
    offers_of(sending, 0)
    receipt = BlobState(blobs.VERSION, item.sha256, BlobStatus.STORED, [], SPOOL + 1, [1])
    assert sending.hear(receipt, 0.1) is None
    assert len(sending) == 1


def test_a_step_waits_for_the_one_before_and_goes_before_instances() -> None:
    items, _ = made_items([8 * GRAIN_BYTES, 10, 10], {2, 3})
    sending = sending_of(items)
    assert offers_of(sending, 0) == [2, 1]
    sending.hear(wanted(items[0]), 0.1)
    sending.hear(wanted(items[1]), 0.1)
    first = sending.next(0.2, GRAIN_BYTES)
    assert isinstance(first, ChunkToSend)
    assert first.item == 2
    done = BlobState(blobs.VERSION, items[1].sha256, BlobStatus.STORED, [], SPOOL, [2])
    sending.hear(done, 0.3)
    sending.take(items[2:])
    assert offers_of(sending, 0.4)[0] == 3


def test_later_is_asked_again_with_growing_pauses() -> None:
    (item,) = items_of(100)
    sending = sending_of([item])
    offers_of(sending, 0)
    now_s, pauses = 0.0, []
    for _ in range(5):
        sending.hear(BlobState(blobs.VERSION, item.sha256, BlobStatus.LATER, [], SPOOL), now_s)
        assert offers_of(sending, now_s) == []
        deadline_s = sending.next_deadline_s()
        assert deadline_s is not None
        pauses.append(deadline_s - now_s)
        now_s = deadline_s
        assert offers_of(sending, now_s) == [1]
    assert pauses[0] < pauses[1] < pauses[2]
    assert pauses[-1] <= 8 * 1.2


def later(item: Item) -> BlobState:
    return BlobState(blobs.VERSION, item.sha256, BlobStatus.LATER, [], SPOOL)


def test_what_is_wanted_later_takes_no_room_from_other_images() -> None:
    items = items_of(*range(1000, 1000 + 300))
    sending = sending_of([])
    put_off: list[int] = []
    for now_s in range(40):
        taken = [item for item in items if item.item not in put_off]
        sending.take(taken)
        asked = [number for number in offers_of(sending, now_s) if number < 290]
        for number in asked:
            sending.hear(later(items[number - 1]), now_s)
        put_off += sending.overflow()
        assert len(sending) <= OPEN_INSTANCES + PAUSED_INSTANCES + OPEN_INSTANCES
    assert sending.room(BlobKind.INSTANCE) == OPEN_INSTANCES - 11, "only the good ones count"
    assert len(sending) == PAUSED_INSTANCES + 11
    sending.hear(wanted(items[299]), 40)
    said = iter(lambda: sending.next(40, GRAIN_BYTES), None)
    assert [each.item for each in said if isinstance(each, ChunkToSend)] == [300]


def test_a_step_that_is_wanted_later_is_waited_for() -> None:
    items, _ = made_items([10, 10], {1, 2})
    sending = sending_of(items)
    assert offers_of(sending, 0) == [1]
    sending.hear(later(items[0]), 0)
    assert sending.room(BlobKind.STEP) == 0
    assert sending.overflow() == []
