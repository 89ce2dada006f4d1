"""Which envelopes are committed together, and which never get that far."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from support.envelopes import GATEWAY, NOW_MS, block, event, record, sealed
from support.ingest_memory import MemoryStore
from support.waiting import wait_until
from wardlight_cloud.config import CollectorSettings
from wardlight_cloud.ingest import grouping
from wardlight_cloud.ingest.admission import Admission
from wardlight_cloud.ingest.batches import MAX_BATCH_ROWS
from wardlight_cloud.ingest.grouping import Grouping, Prepared
from wardlight_cloud.ingest.intake import Intake
from wardlight_cloud.ingest.leases import Leases
from wardlight_cloud.ingest.pipeline import UNREADABLE_EPOCH, open_message
from wardlight_shared import topics
from wardlight_shared.envelope import VERSION, expand
from wardlight_shared.records import Lane


class Bench:
    """A grouping with all it needs, holding every shard."""

    def __init__(self, **changes: int) -> None:
        values = {"group_max": 4, "group_linger_ms": 0, **changes}
        self.settings = CollectorSettings.model_validate(values)
        self.store = MemoryStore()
        self.store.enabled = {GATEWAY}
        self.intake = Intake(1000)
        self.leases = Leases(self.store, "collector-1", 60.0)
        self.rooms = 0
        self.grouping = Grouping(
            self.settings, self.intake, self.leases, Admission(self.store),
            lambda: NOW_MS, self.made_room,
        )  # fmt: skip

    def made_room(self) -> None:
        self.rooms += 1

    async def hold_shards(self) -> None:
        keeping = asyncio.create_task(self.leases.keep(lambda shards: None))
        await wait_until(lambda: self.leases.holds(0))
        keeping.cancel()
        await asyncio.wait([keeping])

    def offer(self, message: bytes, lane: Lane = Lane.LIVE, gateway: str = GATEWAY) -> None:
        topic = topics.parse(topics.up(gateway, lane))
        assert self.intake.offer(topic, lane, message)

    async def next_group(self) -> list[Prepared]:
        return await asyncio.wait_for(self.grouping.next_group(), 180)


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    await made.hold_shards()
    return made


def live(seq: int) -> bytes:
    return sealed([record(seq, event({0: "97"}))])


def large(seqs: list[int]) -> bytes:
    """A message of blocks, two of which fill a group."""
    samples = block([97] * (3 * MAX_BATCH_ROWS // 5), period_ms=1)
    return sealed([record(seq, samples) for seq in seqs])


def seqs(group: list[Prepared]) -> list[int]:
    return [seq for prepared in group for seq in prepared.batch.seqs.tolist()]


async def test_what_waits_is_taken_together_up_to_the_limit(bench: Bench) -> None:
    for seq in range(1, 7):
        bench.offer(live(seq))
    assert seqs(await bench.next_group()) == [1, 2, 3, 4]
    assert seqs(await bench.next_group()) == [5, 6]
    assert bench.rooms == 6


async def test_a_lone_envelope_waits_no_longer_than_the_linger() -> None:
    bench = Bench(group_linger_ms=1000)
    await bench.hold_shards()
    waiting = asyncio.create_task(bench.next_group())
    bench.offer(live(1))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.05, bench.offer, live(2))
    assert seqs(await waiting) == [1, 2]


async def test_a_group_is_bounded_in_rows(bench: Bench) -> None:
    """A message with many samples comes in parts, and live readings go before the next part."""
    bench.offer(large([1, 2, 3, 4, 5]), Lane.BACKFILL)
    first = await bench.next_group()
    assert seqs(first) == [1, 2]
    assert sum(len(each.batch.readings) for each in first) >= MAX_BATCH_ROWS
    assert seqs(await bench.next_group()) == [3, 4]
    bench.offer(live(77))
    assert seqs(await bench.next_group()) == [77, 5]


async def test_live_does_not_wait_for_the_end_of_a_large_message(bench: Bench) -> None:
    bench.offer(large([1, 2, 3, 4, 5, 6]), Lane.BACKFILL)
    assert seqs(await bench.next_group()) == [1, 2]
    bench.offer(live(77))
    assert seqs(await bench.next_group()) == [77, 3, 4]
    assert seqs(await bench.next_group()) == [5, 6]
    assert bench.rooms == 2


async def test_no_flood_of_live_keeps_a_large_message_from_going_on(bench: Bench) -> None:
    bench.offer(large([1, 2, 3, 4, 5, 6]), Lane.BACKFILL)
    assert seqs(await bench.next_group()) == [1, 2]
    bench.offer(large([71, 72, 73, 74]))
    for seq in range(81, 90):
        bench.offer(live(seq))
    assert seqs(await bench.next_group()) == [71, 72, 3, 4]
    assert seqs(await bench.next_group()) == [73, 74, 5, 6]
    assert seqs(await bench.next_group()) == [81, 82, 83, 84]


async def test_nothing_is_left_behind_of_what_went_first(bench: Bench) -> None:
    bench.offer(large([1, 2, 3]), Lane.BACKFILL)
    assert seqs(await bench.next_group()) == [1, 2]
    bench.offer(large([71, 72, 73]))
    taken: list[int] = []
    while len(taken) < 4:
        taken += seqs(await bench.next_group())
    assert sorted(taken) == [3, 71, 72, 73]


async def test_gateways_that_are_not_enabled_go_no_further(bench: Bench) -> None:
    bench.offer(live(1), gateway="gw-unknown")
    bench.offer(live(2))
    assert seqs(await bench.next_group()) == [2]


async def test_the_register_is_waited_for(bench: Bench) -> None:
    bench.store.is_away = True
    bench.offer(live(1))
    waiting = asyncio.create_task(bench.next_group())
    asyncio.get_running_loop().call_later(0.15, setattr, bench.store, "is_away", False)
    assert seqs(await waiting) == [1]


async def test_shards_that_are_not_held_go_no_further(bench: Bench) -> None:
    bench.offer(live(1))
    await bench.leases.give_up()
    waiting = asyncio.create_task(bench.grouping.next_group())
    await wait_until(lambda: bench.rooms == 1)
    assert not waiting.done()
    waiting.cancel()


async def test_unreadable_messages_become_letters_within_a_budget(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "_LETTERS_PER_HOUR", 2)
    fresh = Bench(group_max=20)
    await fresh.hold_shards()
    for number in range(5):
        fresh.offer(b"junk %d" % number)
    fresh.offer(live(1))
    group = await fresh.next_group()
    letters = [each for each in group if each.message is None]
    assert [each.batch.epoch for each in letters] == [UNREADABLE_EPOCH] * 2
    assert {letter.batch.rejected[0].body for letter in letters} == {b"junk 0", b"junk 1"}
    assert seqs(group) == [1]


async def test_a_newer_version_leaves_no_trace_but_a_count(bench: Bench) -> None:
    parts = msgspec.msgpack.decode(expand(live(1)))
    bench.offer(msgspec.msgpack.encode([VERSION + 1, *parts[1:]]))
    bench.offer(live(2))
    group = await bench.next_group()
    assert seqs(group) == [2]
    assert len(group) == 1


async def test_bytes_that_find_a_defect_of_ours_do_not_stop_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def defective(gateway: str, message: bytes, now_ms: int) -> object:
        if message == b"the one":
            raise KeyError("97 is a value")
        return open_message(gateway, message, now_ms)

    monkeypatch.setattr(grouping, "open_message", defective)
    bench.offer(b"the one")
    bench.offer(live(2))
    group = await bench.next_group()
    assert group[0].batch.rejected[0].reason == "not opened: KeyError"
    assert seqs(group) == [2]
    assert "is a value" not in caplog.text


async def test_cancelling_while_waiting_is_clean(bench: Bench) -> None:
    waiting = asyncio.create_task(bench.grouping.next_group())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    bench.offer(live(1))
    assert seqs(await bench.next_group()) == [1]


def test_the_budget_begins_anew_each_hour() -> None:
    now_s = 0.0
    clock: Callable[[], float] = lambda: now_s  # noqa: E731 - reads the variable below
    budget = grouping._HourlyBudget(1, clock)
    assert [budget.spend("a"), budget.spend("a"), budget.spend("b")] == [True, False, True]
    now_s = 3600.0
    assert budget.spend("a")
