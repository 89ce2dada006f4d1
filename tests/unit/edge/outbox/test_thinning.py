"""A nearly full outbox: warned, thinned by the written policy, then refusing; and back again."""

from contextlib import suppress
from pathlib import Path

import pytest

from support.manual_clock import ManualClock
from support.outbox_records import body, record, settings, sqlite_outbox, waveform
from support.waiting import wait_until
from wardlight_edge.outbox.base import Choice, Level, NewRecord
from wardlight_edge.outbox.sqlite import SqliteOutbox
from wardlight_shared.errors import OutboxFull
from wardlight_shared.records import GapBody, Kind, Lane, Record, decode_body

MUCH = 1 << 30
QUOTA = 2 << 20


def open_outbox(path: Path, clock: ManualClock, quota_bytes: int = QUOTA) -> SqliteOutbox:
    return sqlite_outbox(path, clock, given=settings(quota_bytes=quota_bytes))


def bulk(clock: ManualClock, number: int) -> NewRecord:
    return NewRecord(Lane.BULK, None, clock.mono_ms(), clock.wall_ms(), body(number, 250))


def manifest(clock: ManualClock) -> NewRecord:
    """Kind 5 is a blob manifest: [5, ...]."""
    return NewRecord(Lane.BULK, None, clock.mono_ms(), clock.wall_ms(), b"\x92\x05\x01")


async def everything(outbox: SqliteOutbox) -> list[Record]:
    return [
        one
        for choice in Choice
        for one in await outbox.take(choice, max_records=MUCH, max_bytes=MUCH)
    ]


def gaps(records: list[Record]) -> list[GapBody]:
    bodies = [decode_body(one.body) for one in records if one.body[1] == Kind.GAP]
    return [one for one in bodies if isinstance(one, GapBody)]


def named(gap: GapBody) -> set[int]:
    return {seq for first, last in gap.seqs or [] for seq in range(first, last + 1)}


async def fill_to(outbox: SqliteOutbox, clock: ManualClock, level: Level) -> list[int]:
    """Append live records until the level is reached; returns their seqs."""
    seqs: list[int] = []
    with suppress(OutboxFull):
        while outbox.status().level is not level:
            record = NewRecord(Lane.LIVE, None, clock.mono_ms(), clock.wall_ms(), body(1, 250))
            seqs += await outbox.append([record] * 40)
    return seqs


async def test_levels_rise_and_fall(tmp_path: Path) -> None:
    clock = ManualClock()
    async with open_outbox(tmp_path / "outbox.db", clock) as outbox:
        assert outbox.status().level is Level.NORMAL
        await fill_to(outbox, clock, Level.WARN)
        await fill_to(outbox, clock, Level.THIN)
        await fill_to(outbox, clock, Level.FULL)
        with pytest.raises(OutboxFull):
            await outbox.append([bulk(clock, 1)] * 400)
        status = outbox.status()
        assert status.level is Level.FULL
        assert status.refused >= 400
        assert status.size_bytes <= QUOTA * 1.2
        await outbox.settle(upto=status.highest)
        assert outbox.status().level is Level.NORMAL


async def test_bulk_goes_first_then_waveforms_then_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    async with open_outbox(tmp_path / "outbox.db", clock) as outbox:
        kept = await outbox.append([waveform(clock, Lane.ALARM), manifest(clock)])
        waves = await outbox.append([waveform(clock) for _ in range(60)])
        clock.advance(1000)
        bulks = await outbox.append([bulk(clock, number) for number in range(600)])
        live = await fill_to(outbox, clock, Level.FULL)
        with pytest.raises(OutboxFull):
            await outbox.append([bulk(clock, 1)] * 400)
        records = await everything(outbox)
        thinned = outbox.status().thinned
    tombstones = [gap for gap in gaps(records) if gap.cause == "thinned"]
    gone = [seq for gap in tombstones for seq in sorted(named(gap))]
    held = {one.seq for one in records}
    assert set(gone) >= {*bulks, *waves}
    assert gone.index(waves[0]) > gone.index(bulks[-1])  # bulk first, oldest first
    assert gone[: len(bulks)] == bulks
    assert not held & set(gone)
    assert {*kept, *live} <= held
    assert thinned == len(gone) == sum(gap.count for gap in tombstones)
    assert tombstones[0].age_ms == 0
    assert all(gap.device is None for gap in tombstones)


async def test_thinning_stops_at_90_percent(tmp_path: Path) -> None:
    clock = ManualClock()
    async with open_outbox(tmp_path / "outbox.db", clock) as outbox:
        while not outbox.status().thinned:
            await outbox.append([bulk(clock, 1)] * 50)
            assert outbox.status().level is not Level.FULL
        await wait_until(lambda: outbox.status().level is not Level.THIN, what="thinned")
        status = outbox.status()
        assert 0 < status.thinned < status.records
        assert status.level is Level.WARN


async def test_records_in_flight_are_not_thinned(tmp_path: Path) -> None:
    clock = ManualClock()
    async with open_outbox(tmp_path / "outbox.db", clock) as outbox:
        await outbox.append([bulk(clock, number) for number in range(300)])
        taken = await outbox.take(Choice.BULK, max_records=100, max_bytes=MUCH)
        await fill_to(outbox, clock, Level.FULL)
        await outbox.give_back()
        held = {one.seq for one in await everything(outbox)}
        assert outbox.status().thinned == 200
    assert {one.seq for one in taken} <= held


async def test_a_tombstone_spans_what_it_stands_for(tmp_path: Path) -> None:
    clock = ManualClock(mono_ms=10_000_000)
    async with open_outbox(tmp_path / "outbox.db", clock) as outbox:
        await outbox.append([bulk(clock, 0)])
        clock.advance(70_000)
        [newest] = await outbox.append([bulk(clock, 1)])
        newest_mono_ms = clock.mono_ms()
        await fill_to(outbox, clock, Level.FULL)
        clock.advance(5_000_000)
        [tombstone] = [one for one in await everything(outbox) if one.body[1] == Kind.GAP]
    [gap] = gaps([tombstone])
    assert gap.seqs == [(1, newest)]
    assert (gap.count, gap.age_ms) == (2, 70_000)
    assert (tombstone.mono_ms, tombstone.boot) == (newest_mono_ms, 1)


async def test_the_disk_is_left_its_share(tmp_path: Path) -> None:
    """More is to stay free than the disk has: refused, though the quota is far away."""
    clock = ManualClock()
    given = settings(min_free_bytes=1 << 60)
    async with sqlite_outbox(tmp_path / "outbox.db", clock, given=given) as outbox:
        assert outbox.status().level is Level.FULL
        with pytest.raises(OutboxFull):
            await outbox.append([record(clock, 1)])


async def test_the_file_shrinks_after_the_backlog_is_gone(tmp_path: Path) -> None:
    clock = ManualClock()
    async with open_outbox(tmp_path / "outbox.db", clock, 64 << 20) as outbox:
        for _ in range(10):
            await outbox.append([waveform(clock, size=20_000) for _ in range(50)])
        large = outbox.status().size_bytes
        await outbox.settle(upto=outbox.status().highest)
        await wait_until(lambda: outbox.status().size_bytes < large / 1.7, what="shrunk")


async def test_the_reserve_is_held_beside_the_file(tmp_path: Path) -> None:
    given = settings(reserve_bytes=1 << 20)
    async with sqlite_outbox(tmp_path / "outbox.db", ManualClock(), given=given):
        assert (tmp_path / "outbox.db.reserve").stat().st_size == 1 << 20
