"""What a collector says of blobs: ranges, receipts, refusals; its memory is bounded."""

import hashlib
import random
import tracemalloc
from collections import deque
from collections.abc import Callable

import msgspec
import pytest

from support.blob_desk import GATEWAY, THE_FILE, TOPIC, UNREADABLE, Desk
from support.waiting import let_run, wait_until
from wardlight_cloud.imaging.blob_intake import BlobIntake
from wardlight_cloud.ingest import blobs as ingest_blobs
from wardlight_cloud.ingest.blob_arrival import weight
from wardlight_cloud.ingest.blobs import Blobs
from wardlight_shared import blobs
from wardlight_shared.blobs import (
    GRAIN_BYTES,
    MAX_RANGES,
    BlobKind,
    BlobState,
    BlobStatus,
    Chunk,
    Offer,
    WorklistWanted,
)

SPOOL = 9
FILE = random.Random(3).randbytes(5 * GRAIN_BYTES + 17)


def offer_of(octets: bytes, item: int = 1, kind: BlobKind = BlobKind.INSTANCE) -> Offer:
    digest = hashlib.sha256(octets).digest()
    about: dict[str, str | int | bool | None] = {"calling_ae": "CT\x001", "conflict": False}
    return Offer(blobs.VERSION, SPOOL, item, digest, len(octets), kind, (1 << 63) - 1, about)


def chunk_of(octets: bytes, first: int, end: int) -> Chunk:
    return Chunk(blobs.VERSION, hashlib.sha256(octets).digest(), first, octets[first:end])


async def tell(desk: Desk, blobs_: Blobs, message: blobs.Up, answers: int = 1) -> list[BlobState]:
    """The answers to a message."""
    before = len(desk.said)
    blobs_.hear(TOPIC, blobs.encode(message))
    await wait_until(lambda: len(desk.said) >= before + answers)
    return desk.said[before:]


async def test_octets_become_an_object_an_entry_and_a_receipt() -> None:
    desk = Desk()
    async with desk.collecting() as collector:
        (state,) = await tell(desk, collector, offer_of(FILE))
        assert (state.status, state.ranges, state.spool) == (BlobStatus.WANTED, [], SPOOL)
        collector.hear(TOPIC, blobs.encode(chunk_of(FILE, 4 * GRAIN_BYTES, len(FILE))))
        (state,) = await tell(desk, collector, chunk_of(FILE, 0, 4 * GRAIN_BYTES))
    assert (state.status, state.items) == (BlobStatus.STORED, [1])
    assert desk.objects.objects == {offer_of(FILE).sha256: FILE}
    assert desk.objects.parts_put == 1, "what touches is one part"
    assert desk.uploads == [(offer_of(FILE).sha256, 1)]


async def test_half_a_second_makes_octets_durable_and_says_so() -> None:
    desk = Desk()
    async with desk.collecting() as collector:
        await tell(desk, collector, offer_of(FILE))
        (state,) = await tell(desk, collector, chunk_of(FILE, GRAIN_BYTES, 2 * GRAIN_BYTES))
        assert state.ranges == [(GRAIN_BYTES, 2 * GRAIN_BYTES)]
        assert await desk.objects.parts(state.sha256) == state.ranges


async def test_another_collector_goes_on_from_what_is_durable() -> None:
    desk = Desk()
    async with desk.collecting() as collector:
        await tell(desk, collector, offer_of(FILE))
        collector.hear(TOPIC, blobs.encode(chunk_of(FILE, 0, 2 * GRAIN_BYTES)))
        await tell(desk, collector, offer_of(FILE))  # an offer makes durable what has come
    async with desk.collecting() as collector:
        rest = chunk_of(FILE, 2 * GRAIN_BYTES, len(FILE))
        (state,) = await tell(desk, collector, rest)
        assert (state.status, state.spool) == (BlobStatus.WANTED, 0), "offer it first"
        (state,) = await tell(desk, collector, offer_of(FILE))
        assert state.ranges == [(0, 2 * GRAIN_BYTES)]
        (state,) = await tell(desk, collector, rest)
        assert state.status is BlobStatus.STORED


async def test_a_known_file_is_stored_at_once_with_a_row_for_each_item() -> None:
    desk = Desk()
    digest = offer_of(FILE).sha256
    async with desk.collecting() as collector:
        await tell(desk, collector, offer_of(FILE))
        await tell(desk, collector, chunk_of(FILE, 0, len(FILE)))
        for item in (2, 3, 3):
            (state,) = await tell(desk, collector, offer_of(FILE, item))
            assert (state.status, state.items) == (BlobStatus.STORED, [item])
    assert desk.uploads == [(digest, 1), (digest, 2), (digest, 3)]
    assert desk.objects.confirmed.count(digest) >= 3, "whoever has written it, it is durable"
    assert not desk.objects.arriving


async def test_a_damaged_object_counts_as_not_there_and_is_replaced() -> None:
    """Whatever is wrong with it, and whoever found it: what the gateway still has is wanted."""
    digest = offer_of(FILE).sha256
    for damaged in (FILE[:-1] + b"?", FILE[:-1], FILE + b"?", b"", FILE):
        desk = Desk()
        desk.indexed.add(digest)
        desk.objects.objects[digest] = damaged
        if damaged == FILE:  # a check found something, and nothing has ended that since
            desk.findings[digest] = "unreadable"
        async with desk.collecting() as collector:
            (state,) = await tell(desk, collector, offer_of(FILE))
            assert (state.status, state.ranges) == (BlobStatus.WANTED, [])
            assert digest in desk.findings, "an operator sees it until it is mended"
            collector.hear(TOPIC, blobs.encode(chunk_of(FILE, 0, GRAIN_BYTES)))
            (state,) = await tell(desk, collector, offer_of(FILE))
            assert (state.status, state.ranges) == (BlobStatus.WANTED, [(0, GRAIN_BYTES)])
            (state,) = await tell(desk, collector, chunk_of(FILE, GRAIN_BYTES, len(FILE)))
        assert (state.status, state.reason) == (BlobStatus.STORED, None)
        assert desk.objects.objects[digest] == FILE
        assert (desk.findings, desk.mended) == ({}, [digest])


async def test_an_object_that_was_missing_ends_its_finding_when_it_comes() -> None:
    desk = Desk()
    digest = offer_of(FILE).sha256
    desk.indexed.add(digest)
    desk.findings[digest] = "missing"
    async with desk.collecting() as collector:
        await tell(desk, collector, offer_of(FILE))
        (state,) = await tell(desk, collector, chunk_of(FILE, 0, len(FILE)))
    assert state.status is BlobStatus.STORED
    assert (desk.findings, desk.mended) == ({}, [digest])


async def test_an_object_that_is_whole_and_of_another_size_is_not_what_is_offered() -> None:
    desk = Desk()
    offer = msgspec.structs.replace(offer_of(FILE), size=len(FILE) - 1)
    desk.objects.objects[offer.sha256] = FILE
    async with desk.collecting() as collector:
        (state,) = await tell(desk, collector, offer)
    assert (state.status, state.reason) == (BlobStatus.REFUSED, "another size")
    assert desk.findings == {}


async def test_an_object_that_cannot_be_read_is_wanted_and_a_store_that_is_away_is_not() -> None:
    digest = offer_of(FILE).sha256
    for is_away, status in ((False, BlobStatus.WANTED), (True, BlobStatus.LATER)):
        desk = Desk()
        desk.objects.objects[digest] = FILE
        async with desk.collecting() as collector:
            desk.objects.unread, desk.objects.then_fail = 3, int(is_away)
            (state,) = await tell(desk, collector, offer_of(FILE))
        assert state.status is status
        assert desk.findings == ({} if is_away else {digest: "unreadable"})


@pytest.mark.parametrize("is_known", [False, True])
async def test_another_instance_than_was_announced_is_set_aside_and_never_committed(
    is_known: bool,
) -> None:
    """A gateway commits under the name it says: the receipt has to tell that it is none."""
    right: dict[str, str | int | bool | None] = {
        "sop_instance": THE_FILE.sop_uid + "\0",
        "sop_class": THE_FILE.sop_class,
    }
    rows: tuple[tuple[dict[str, str | int | bool | None], str | None], ...] = (
        ({**right, "sop_instance": "1.2.4"}, "set aside: other-instance"),
        ({**right, "sop_class": "1.2.840.10008.5.1.4.1.1.4"}, "set aside: other-class"),
        (right, None),
        ({}, None),
    )
    for about, reason in rows:
        desk = Desk()
        offer = msgspec.structs.replace(offer_of(FILE), about=about)
        if is_known:
            desk.objects.objects[offer.sha256] = FILE
            desk.indexed.add(offer.sha256)
        async with desk.collecting() as collector:
            (state,) = await tell(desk, collector, offer)
            if not is_known:
                (state,) = await tell(desk, collector, chunk_of(FILE, 0, len(FILE)))
        assert (state.status, state.reason) == (BlobStatus.STORED, reason)
        assert [each.reason for each in desk.aside] == ([reason[11:]] if reason else [])
        assert (offer.sha256, offer.item) in desk.uploads or reason is not None
        assert desk.uploads == [] or reason is None


async def test_a_wrong_hash_is_sent_anew_and_refused_the_third_time() -> None:
    desk = Desk()
    tampered = FILE[:-1] + bytes([FILE[-1] ^ 1])
    wrong = Chunk(blobs.VERSION, offer_of(FILE).sha256, 0, tampered)
    said = []
    async with desk.collecting() as collector:
        for _ in range(3):
            await tell(desk, collector, offer_of(FILE))
            said += await tell(desk, collector, wrong)
    assert [each.status for each in said] == [
        BlobStatus.WANTED, BlobStatus.WANTED, BlobStatus.REFUSED,
    ]  # fmt: skip
    assert said[0].ranges == []
    assert said[2].items == [1]
    assert not desk.objects.objects


@pytest.mark.parametrize(
    ("octets", "kind", "reason"),
    [
        (b"", BlobKind.INSTANCE, "empty"),
        (bytes((1 << 20) + 1), BlobKind.INSTANCE, "too large"),
        (bytes((1 << 20) + 1), BlobKind.STEP, "too large"),
    ],
)
async def test_what_cannot_be_taken_is_refused_before_it_is_sent(
    octets: bytes, kind: BlobKind, reason: str
) -> None:
    desk = Desk()
    async with desk.collecting() as collector:
        (state,) = await tell(desk, collector, offer_of(octets, kind=kind))
    assert (state.status, state.items, state.reason) == (BlobStatus.REFUSED, [1], reason)


async def test_an_image_offered_as_a_step_too_is_held_to_the_bound_of_steps() -> None:
    desk = Desk()
    large = bytes((1 << 20) + 1)
    offers = [offer_of(large), offer_of(large, 2, BlobKind.STEP)]
    intake = BlobIntake(desk.objects, desk, desk, desk, largest_bytes=1 << 22)
    state = await intake.answer("gw-one", offers)
    assert (state.status, state.items) == (BlobStatus.REFUSED, [1, 2])


async def test_what_is_no_dicom_file_is_kept_set_aside_and_receipted_with_the_reason() -> None:
    desk = Desk()
    junk = UNREADABLE * 100
    async with desk.collecting() as collector:
        await tell(desk, collector, offer_of(junk))
        (state,) = await tell(desk, collector, chunk_of(junk, 0, len(junk)))
        (again,) = await tell(desk, collector, offer_of(junk))
    assert state == again
    assert (state.status, state.reason) == (BlobStatus.STORED, "set aside: parse")
    (aside,) = desk.aside
    assert (aside.source.calling_ae, aside.source.gateway) == ("CT1", GATEWAY)
    assert list(desk.objects.objects.values()) == [junk]
    assert not desk.indexed


async def test_steps_are_entered_and_leave_no_object() -> None:
    desk = Desk()
    step = b"an event of a step"
    said = offer_of(step, kind=BlobKind.STEP)
    async with desk.collecting() as collector:
        await tell(desk, collector, said)
        (state,) = await tell(desk, collector, chunk_of(step, 0, len(step)))
    assert state.status is BlobStatus.STORED
    assert desk.steps == [(1, step)]
    assert not desk.objects.objects


def _objects_fail(desk: Desk) -> None:
    desk.objects.fail_next = 1


def _index_fails(desk: Desk) -> None:
    desk.index_fails = 1


@pytest.mark.parametrize("fail", [_objects_fail, _index_fails])
async def test_a_store_that_is_away_is_told_as_later_and_nothing_is_lost(
    fail: Callable[[Desk], None],
) -> None:
    desk = Desk()
    async with desk.collecting() as collector:
        await tell(desk, collector, offer_of(FILE))
        fail(desk)
        (state,) = await tell(desk, collector, chunk_of(FILE, 0, len(FILE)))
        assert state.status is BlobStatus.LATER
        (state,) = await tell(desk, collector, offer_of(FILE))
        if state.status is BlobStatus.WANTED:
            (state,) = await tell(desk, collector, chunk_of(FILE, 0, len(FILE)))
        assert state.status is BlobStatus.STORED


async def test_only_held_shards_and_enabled_gateways_are_answered() -> None:
    desk = Desk()
    async with desk.collecting() as collector:
        desk.hold = False
        collector.hear(TOPIC, blobs.encode(offer_of(FILE)))
        await let_run()
        desk.hold, desk.allow = True, False
        collector.hear(TOPIC, blobs.encode(offer_of(FILE)))
        collector.hear(TOPIC, blobs.encode(chunk_of(FILE, 0, len(FILE))))
        await let_run()
        assert desk.said == []
        desk.allow = True
        await tell(desk, collector, offer_of(FILE))
    assert collector.held_bytes == 0


async def test_unreadable_messages_and_octets_beyond_the_end_do_no_harm() -> None:
    desk = Desk()
    async with desk.collecting() as collector:
        for junk in (b"", b"\x93\xa5offer", b"\xff" * 100, bytes(blobs.MAX_BYTES + 1)):
            collector.hear(TOPIC, junk)
        await tell(desk, collector, offer_of(FILE))
        beyond = Chunk(blobs.VERSION, offer_of(FILE).sha256, 5 * GRAIN_BYTES, b"x" * 100)
        collector.hear(TOPIC, blobs.encode(beyond))
        (state,) = await tell(desk, collector, chunk_of(FILE, 0, len(FILE)))
    assert state.status is BlobStatus.STORED


async def test_memory_is_bounded_and_blobs_are_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest_blobs, "_MOST_BYTES", 4 * GRAIN_BYTES)
    monkeypatch.setattr(ingest_blobs, "_MOST_ARRIVALS_OF_A_GATEWAY", 2)
    desk = Desk()
    files = [random.Random(n).randbytes(4 * GRAIN_BYTES) for n in range(3)]
    async with desk.collecting() as collector:
        for number, octets in enumerate(files[:2]):
            await tell(desk, collector, offer_of(octets, number))
        (state,) = await tell(desk, collector, offer_of(files[2], 2))
        assert state.status is BlobStatus.LATER
        offers = collector.held_bytes
        for octets in files[:2]:
            for place in range(2):
                first = place * GRAIN_BYTES
                collector.hear(TOPIC, blobs.encode(chunk_of(octets, first, first + GRAIN_BYTES)))
        assert 3 * GRAIN_BYTES <= collector.held_bytes <= 4 * GRAIN_BYTES
        await wait_until(lambda: collector.held_bytes == offers, what="all of it is durable")
    assert collector.held_bytes == 0


async def test_a_gateway_gets_its_share_of_the_memory_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest_blobs, "_MOST_BYTES_OF_A_GATEWAY", 2 * GRAIN_BYTES)
    desk = Desk()
    async with desk.collecting() as collector:
        await tell(desk, collector, offer_of(FILE))
        for first in (0, GRAIN_BYTES, 2 * GRAIN_BYTES):
            collector.hear(TOPIC, blobs.encode(chunk_of(FILE, first, first + GRAIN_BYTES)))
        assert collector.held_bytes <= 2 * GRAIN_BYTES
        await wait_until(lambda: len(desk.said) == 2)
        assert desk.said[-1].ranges == [(0, GRAIN_BYTES)]


async def test_octets_that_are_no_whole_grains_are_not_held() -> None:
    """Many of them would be many objects in memory and many files in the store."""
    desk = Desk()
    async with desk.collecting() as collector:
        await tell(desk, collector, offer_of(FILE))
        held = collector.held_bytes
        for first in range(0, 5 * GRAIN_BYTES, GRAIN_BYTES):
            collector.hear(TOPIC, blobs.encode(chunk_of(FILE, first, first + 1)))
            collector.hear(TOPIC, blobs.encode(chunk_of(FILE, first, first + GRAIN_BYTES - 1)))
        await wait_until(lambda: collector.held_bytes == held, what="they are dropped")
        (state,) = await tell(desk, collector, offer_of(FILE))
        assert state.ranges == []
        (state,) = await tell(desk, collector, chunk_of(FILE, 5 * GRAIN_BYTES, len(FILE)))
        assert state.ranges == [(5 * GRAIN_BYTES, len(FILE))], "the last one is shorter"


async def test_messages_count_with_what_is_about_them() -> None:
    """Measured: what a thousand of them take, held as the collector holds them."""
    small = [chunk_of(FILE, 0, 1) for _ in range(1000)]
    texts = {f"{n:0256}": "\U0001f600" + "x" * 250 for n in range(32)}
    large = [msgspec.structs.replace(offer_of(FILE, n), about=dict(texts)) for n in range(100)]
    for messages in (small, large):
        encoded = [blobs.encode(each) for each in messages]
        tracemalloc.start()
        held = deque(map(blobs.decode_up, encoded))
        table = dict(enumerate(held))
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert taken <= sum(map(weight, messages))
        assert len(table) == len(messages)


async def test_offers_of_a_blob_are_bounded_and_the_rest_is_told_to_wait() -> None:
    desk = Desk()
    async with desk.collecting() as collector:
        for item in range(MAX_RANGES + 3):
            collector.hear(TOPIC, blobs.encode(offer_of(FILE, item)))
        later = [each for each in desk.said if each.status is BlobStatus.LATER]
        assert len(later) == 3
        await wait_until(lambda: desk.said[-1].status is BlobStatus.WANTED)
        (state,) = await tell(desk, collector, chunk_of(FILE, 0, len(FILE)))
        assert (state.status, len(state.items)) == (BlobStatus.STORED, MAX_RANGES)


async def test_a_defect_costs_one_blob_an_answer_and_no_collector() -> None:
    desk = Desk()
    desk.defect = True
    async with desk.collecting() as collector:
        await tell(desk, collector, offer_of(FILE))
        collector.hear(TOPIC, blobs.encode(chunk_of(FILE, 0, len(FILE))))
        await let_run()
        desk.defect = False
        (state,) = await tell(desk, collector, offer_of(FILE))
    assert state.status is BlobStatus.STORED


async def test_worklists_are_somebody_elses() -> None:
    desk = Desk()
    async with desk.collecting() as collector:
        collector.hear(TOPIC, blobs.encode(WorklistWanted(blobs.VERSION, 41)))
    assert desk.revisions == [41]
