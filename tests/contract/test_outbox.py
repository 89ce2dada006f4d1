"""The outbox contract (outbox/base.py), run on every implementation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from support.manual_clock import ManualClock
from support.outbox_records import LIVE_AGE_MS, body, number_of, record, settings, sqlite_outbox
from support.waiting import let_run, wait_until
from wardlight_edge.outbox.base import LONGEST_BLOCK_MS, Choice, NewRecord, Outbox
from wardlight_edge.outbox.memory import MemoryOutbox
from wardlight_shared.errors import OutboxFull
from wardlight_shared.records import Lane, SeriesKey
from wardlight_shared.timestamps import Anchor, ClockQuality

HOUR_MS = 3_600_000
MUCH = 1 << 30


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(mono_ms=100 * HOUR_MS)


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def outbox(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[Outbox]:
    if request.param == "memory":
        async with MemoryOutbox(clock, live_age_ms=LIVE_AGE_MS) as memory:
            yield memory
    else:
        async with sqlite_outbox(tmp_path / "outbox.db", clock) as sqlite:
            yield sqlite


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def small_outbox(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[Outbox]:
    """One that holds about a megabyte."""
    if request.param == "memory":
        async with MemoryOutbox(clock, live_age_ms=LIVE_AGE_MS, quota_bytes=1 << 20) as memory:
            yield memory
    else:
        given = settings(quota_bytes=1 << 20)
        async with sqlite_outbox(tmp_path / "outbox.db", clock, given=given) as sqlite:
            yield sqlite


def large(clock: ManualClock) -> NewRecord:
    return NewRecord(Lane.LIVE, None, clock.mono_ms(), clock.wall_ms(), body(1, 250))


async def numbers(outbox: Outbox, choice: Choice, most: int = 1000) -> list[int]:
    return [number_of(one) for one in await outbox.take(choice, max_records=most, max_bytes=MUCH)]


async def test_seqs_start_at_one_and_grow_by_one(outbox: Outbox, clock: ManualClock) -> None:
    assert await outbox.append([record(clock, 1), record(clock, 2)]) == [1, 2]
    assert await outbox.append([record(clock, 3)]) == [3]
    assert await outbox.append([]) == []


async def test_seqs_are_not_reused_when_the_newest_is_gone(
    outbox: Outbox, clock: ManualClock
) -> None:
    await outbox.append([record(clock, 1)])
    await outbox.settle(upto=1)
    assert await outbox.append([record(clock, 2)]) == [2]
    assert outbox.status().highest == 2


async def test_a_taken_record_is_what_was_appended(outbox: Outbox, clock: ManualClock) -> None:
    new = record(clock, 7, Lane.ALARM, age_ms=1234, event="cuff 7")
    [seq] = await outbox.append([new])
    [taken] = await outbox.take(Choice.ALARM, max_records=1, max_bytes=MUCH)
    assert (taken.seq, taken.lane, taken.event_id) == (seq, Lane.ALARM, new.event_id)
    assert (taken.boot, taken.mono_ms, taken.wall_ms) == (outbox.boot, new.mono_ms, new.wall_ms)
    assert taken.body == new.body


async def test_taken_records_are_leased(outbox: Outbox, clock: ManualClock) -> None:
    await outbox.append([record(clock, number) for number in range(5)])
    assert await numbers(outbox, Choice.LIVE, 2) == [0, 1]
    assert outbox.status().leased == 2
    assert await numbers(outbox, Choice.LIVE) == [2, 3, 4]
    assert await numbers(outbox, Choice.LIVE) == []
    await outbox.give_back([2, 4, 99])
    assert await numbers(outbox, Choice.LIVE) == [1, 3]
    await outbox.give_back()
    assert outbox.status().leased == 0
    assert await numbers(outbox, Choice.LIVE) == [0, 1, 2, 3, 4]


async def test_lanes_are_served_apart(outbox: Outbox, clock: ManualClock) -> None:
    lanes = [Lane.BULK, Lane.LIVE, Lane.ALARM, Lane.BACKFILL, Lane.ALARM, Lane.LIVE]
    await outbox.append([record(clock, place, lane) for place, lane in enumerate(lanes)])
    assert await numbers(outbox, Choice.ALARM) == [2, 4]
    assert await numbers(outbox, Choice.LIVE) == [1, 5]
    assert await numbers(outbox, Choice.BACKFILL) == [3]
    assert await numbers(outbox, Choice.BULK) == [0]


async def test_old_alarms_stay_alarms(outbox: Outbox, clock: ManualClock) -> None:
    await outbox.append([record(clock, 1, Lane.ALARM, age_ms=50 * HOUR_MS)])
    assert await numbers(outbox, Choice.BACKFILL) == []
    assert await numbers(outbox, Choice.ALARM) == [1]


async def test_live_records_grow_old_into_backfill(outbox: Outbox, clock: ManualClock) -> None:
    await outbox.append([record(clock, 1), record(clock, 2)])
    clock.advance(LIVE_AGE_MS + LONGEST_BLOCK_MS - 2000)
    await outbox.append([record(clock, 3)])
    assert await numbers(outbox, Choice.LIVE, 1) == [1]
    assert await numbers(outbox, Choice.BACKFILL) == []
    clock.advance(5000)
    assert await numbers(outbox, Choice.BACKFILL) == [2]  # 1 is leased
    assert await numbers(outbox, Choice.LIVE) == [3]


async def test_a_live_record_given_back_when_old_goes_to_backfill(
    outbox: Outbox, clock: ManualClock
) -> None:
    await outbox.append([record(clock, 1), record(clock, 2)])
    assert await numbers(outbox, Choice.LIVE) == [1, 2]
    clock.advance(LIVE_AGE_MS + LONGEST_BLOCK_MS + 5000)
    assert await numbers(outbox, Choice.BACKFILL) == []
    await outbox.give_back()
    assert await numbers(outbox, Choice.LIVE) == []
    assert await numbers(outbox, Choice.BACKFILL) == [1, 2]


async def test_a_live_record_that_is_old_already_is_backfill(
    outbox: Outbox, clock: ManualClock
) -> None:
    await outbox.append([record(clock, 1, age_ms=2 * HOUR_MS), record(clock, 2)])
    assert await numbers(outbox, Choice.LIVE) == [2]
    assert await numbers(outbox, Choice.BACKFILL) == [1]


async def test_backfill_serves_the_newest_hour_first_and_it_oldest_first(
    outbox: Outbox, clock: ManualClock
) -> None:
    """Hours of receipt on the monotonic clock; the clock stands at a full hour."""
    ages = [3 * HOUR_MS, 2 * HOUR_MS, HOUR_MS - 1, HOUR_MS - 2, HOUR_MS - 3]
    lanes = [Lane.BACKFILL, Lane.LIVE, Lane.BACKFILL, Lane.LIVE, Lane.BACKFILL]
    await outbox.append(
        [
            record(clock, place, lane, age_ms=age)
            for place, (age, lane) in enumerate(zip(ages, lanes, strict=True))
        ]
    )
    assert await numbers(outbox, Choice.BACKFILL, 2) == [2, 3]
    await outbox.append([record(clock, 9, Lane.BACKFILL)])
    assert await numbers(outbox, Choice.BACKFILL) == [9, 4, 1, 0]


async def test_take_keeps_to_both_limits(outbox: Outbox, clock: ManualClock) -> None:
    await outbox.append([record(clock, number) for number in range(6)])
    size = len(body(0))
    for limits in (
        {"max_records": 2, "max_bytes": MUCH},
        {"max_records": 9, "max_bytes": 2 * size},
    ):
        assert len(await outbox.take(Choice.LIVE, **limits)) == 2
    assert len(await outbox.take(Choice.LIVE, max_records=9, max_bytes=1)) == 1  # alone


async def test_settle_removes_what_it_names_and_is_idempotent(
    outbox: Outbox, clock: ManualClock
) -> None:
    await outbox.append([record(clock, number) for number in range(1, 11)])
    assert await outbox.settle(upto=2, ranges=[(5, 6), (9, 9)]) == 5
    assert await outbox.settle(upto=2, ranges=[(5, 6), (9, 9)]) == 0
    assert await outbox.settle(upto=0) == 0
    status = outbox.status()
    assert (status.records, status.lowest, status.highest, status.settled) == (5, 3, 10, 5)
    assert await numbers(outbox, Choice.LIVE) == [3, 4, 7, 8, 10]


async def test_settle_ends_leases(outbox: Outbox, clock: ManualClock) -> None:
    await outbox.append([record(clock, number) for number in range(1, 5)])
    await numbers(outbox, Choice.LIVE)
    await outbox.settle(upto=2)
    assert outbox.status().leased == 2
    await outbox.give_back()
    assert await numbers(outbox, Choice.LIVE) == [3, 4]


async def test_rejected_records_are_kept_aside_until_forgotten(
    outbox: Outbox, clock: ManualClock
) -> None:
    await outbox.append([record(clock, number, event=f"e{number}") for number in range(1, 4)])
    assert await outbox.settle(upto=3, rejected=[(2, "bad value"), (77, "unknown")]) == 2
    status = outbox.status()
    assert (status.records, status.rejected, status.leased) == (0, 1, 0)
    assert await numbers(outbox, Choice.LIVE) == []
    assert await outbox.append([record(clock, 2, event="e2")]) == [2]  # still here
    assert await outbox.forget([2, 5]) == 1
    assert await outbox.forget([2]) == 0
    assert outbox.status().rejected == 0


async def test_an_event_still_in_the_outbox_is_not_stored_again(
    outbox: Outbox, clock: ManualClock
) -> None:
    twice = [record(clock, 1, event="a"), record(clock, 2), record(clock, 1, event="a")]
    assert await outbox.append(twice) == [1, 2, 1]
    assert await outbox.append([record(clock, 1, event="a"), record(clock, 3)]) == [1, 3]
    assert outbox.status().records == 3
    await outbox.settle(upto=1)
    assert await outbox.append([record(clock, 1, event="a")]) == [4]


async def test_a_refused_call_stores_nothing_of_it(
    small_outbox: Outbox, clock: ManualClock
) -> None:
    with pytest.raises(OutboxFull):
        await small_outbox.append([large(clock)] * 6000)
    status = small_outbox.status()
    assert (status.records, status.highest, status.refused) == (0, 0, 6000)
    assert await small_outbox.append([record(clock, 1)]) == [1]


async def test_a_full_outbox_still_knows_what_it_holds(
    small_outbox: Outbox, clock: ManualClock
) -> None:
    await small_outbox.append([record(clock, 0, event="cuff")])
    with suppress(OutboxFull):
        while True:
            await small_outbox.append([large(clock)] * 200)
    assert await small_outbox.append([record(clock, 0, event="cuff")]) == [1]
    await small_outbox.settle(upto=small_outbox.status().highest)
    assert await small_outbox.append([record(clock, 2)]) == [small_outbox.status().highest]


async def test_series_numbers_are_stable(outbox: Outbox) -> None:
    first, second = SeriesKey("ble:0", 1), SeriesKey("ble:0", 2, user=3)
    number = outbox.series_number(first)
    assert outbox.series_number(second) != number
    assert outbox.series_number(SeriesKey("ble:0", 1)) == number
    assert [one.key for one in outbox.series([number, 12345])] == [first]


async def test_anchors_are_kept_few_and_good(outbox: Outbox) -> None:
    for minute in range(100):
        anchor = Anchor(outbox.boot, minute * 60_000, minute, 50 + minute, ClockQuality.SERVER)
        await outbox.add_anchor(anchor)
    best = Anchor(outbox.boot, 3_000_000, 1, 5, ClockQuality.NTP)
    await outbox.add_anchor(best)
    anchors = outbox.anchors()
    assert best in anchors
    assert len(anchors) <= 32


async def test_waiting_for_records_is_coalesced(outbox: Outbox, clock: ManualClock) -> None:
    waiting = asyncio.create_task(outbox.wait_for_records())
    await outbox.append([record(clock, 1)])
    await outbox.append([record(clock, 2)])
    await asyncio.wait_for(waiting, 180)
    again = asyncio.create_task(outbox.wait_for_records())
    await let_run()
    if again.done():  # the second append may have come after the first wait had ended
        again = asyncio.create_task(outbox.wait_for_records())
    await outbox.append([record(clock, 3)])
    await asyncio.wait_for(again, 180)


async def test_a_cancelled_append_is_completed(outbox: Outbox, clock: ManualClock) -> None:
    task = asyncio.create_task(outbox.append([record(clock, 1)]))
    await let_run(1)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert await outbox.append([record(clock, 2)]) == [2]


async def test_renewing_the_epoch_keeps_every_record(outbox: Outbox, clock: ManualClock) -> None:
    """Waiting records come back, as backfill or alarm, under new seqs of the new epoch."""
    before = outbox.epoch
    number = outbox.series_number(SeriesKey("ble:0", 1))
    lanes = [Lane.ALARM, Lane.BACKFILL, Lane.BULK, Lane.LIVE]
    await outbox.append([record(clock, place, lane) for place, lane in enumerate(lanes)])
    await outbox.renew_epoch("rolled-back")
    assert outbox.epoch != before
    assert outbox.series_number(SeriesKey("ble:0", 1)) == number
    await wait_until(lambda: not outbox.status().salvaging, what="the old records")
    found: set[int] = set()
    for choice in Choice:
        for taken in await outbox.take(choice, max_records=100, max_bytes=MUCH):
            if b"outbox-replaced" not in taken.body:
                found.add(number_of(taken))
    assert found == {0, 1, 2, 3}
