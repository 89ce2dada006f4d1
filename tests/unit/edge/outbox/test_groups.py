"""Calls committed together, where a device repeats an event that still waits.

A call may bring nothing new. What follows it must stand in a row of its own boot and time, also
during a salvage, whose rows are of many boots.
"""

import asyncio
from pathlib import Path

from support.manual_clock import ManualClock
from support.outbox_engine import everything, numbered, opened_engine
from support.outbox_records import record, sqlite_outbox

HOUR_MS = 3_600_000


async def test_a_repeated_event_and_a_stream_block_are_committed_together(tmp_path: Path) -> None:
    clock = ManualClock()
    async with sqlite_outbox(tmp_path / "outbox.db", clock) as outbox:
        cuff = record(clock, 1, event="cuff 7")
        assert await outbox.append([cuff]) == [1]
        calls = outbox.append([cuff]), outbox.append([record(clock, 2)])
        assert [*await asyncio.gather(*calls)] == [[1], [2]]
        assert outbox.status().records == 2


def test_a_group_may_begin_with_a_call_that_brings_nothing_new(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    cuff = record(clock, 1, event="cuff 7")
    assert outbox.append([[], [cuff]]) == [[], [1]]
    assert outbox.append([[cuff], [record(clock, 2)], [], [cuff], [record(clock, 3)]]) == [
        [1],
        [2],
        [],
        [1],
        [3],
    ]
    assert sorted(numbered(everything(outbox))) == [1, 2, 3]
    outbox.close()


def test_a_salvage_goes_on_where_an_old_file_begins_with_a_known_event(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    cuff = record(clock, 1, event="cuff 7")
    outbox.append([[cuff]])
    outbox.append([[record(clock, 2)]])
    outbox.renew_epoch("rolled-back")
    assert outbox.append([[cuff]]) == [[1]]  # the device repeats it before the salvage
    while outbox.rest():
        pass
    assert not outbox.status().salvaging
    assert sorted(numbered(everything(outbox))) == [1, 2]
    outbox.close()


def test_a_salvage_goes_on_after_a_second_damage(tmp_path: Path) -> None:
    """No device repeats anything: the first file and the second both hold the event."""
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    outbox.append([[record(clock, 1, event="cuff 7")]])
    outbox.append([[record(clock, 2)]])
    outbox.renew_epoch("corrupt")
    outbox.rest()
    clock.advance(1000)
    outbox.renew_epoch("corrupt")
    while outbox.rest():
        pass
    assert not outbox.status().salvaging
    held = [one for one in everything(outbox) if one.event_id is not None]
    assert len(held) == 1
    outbox.close()


def test_a_known_event_between_two_boots_leaves_every_record_its_boot(tmp_path: Path) -> None:
    """Both boots received in the same hour of their own clocks, as after a power cut."""
    clock, path = ManualClock(mono_ms=100_000), tmp_path / "outbox.db"
    outbox = opened_engine(path, clock)
    outbox.append([[record(clock, 1)]])
    outbox.close()
    clock.advance(24 * HOUR_MS)
    clock.reboot("boot-2", mono_ms=105_000)
    outbox = opened_engine(path, clock)
    cuff = record(clock, 2, event="cuff 7")
    outbox.append([[cuff]])
    outbox.append([[record(clock, 3)]])
    outbox.renew_epoch("corrupt")
    outbox.append([[cuff]])
    while outbox.rest():
        pass
    held = numbered(everything(outbox))
    assert {number: one.boot for number, one in held.items()} == {1: 1, 2: 2, 3: 2}
    assert held[1].mono_ms == 100_000
    assert held[3].mono_ms == 105_000
    outbox.close()


def test_records_of_an_earlier_time_share_no_run_with_those_of_now(tmp_path: Path) -> None:
    """A salvage stores what it accepts again and what it tells of it in one batch."""
    clock = ManualClock()
    outbox = opened_engine(tmp_path / "outbox.db", clock)
    current = outbox._current
    assert current is not None
    batch = current.rows.batch(clock.mono_ms())
    for boot, is_past in ((1, True), (1, False), (2, False), (2, True)):
        batch.add([record(clock, 1)], boot, is_past=is_past)
        batch.add([], boot, is_past=not is_past)
        batch.add([record(clock, 2)], boot, is_past=is_past)
    assert [(run.boot, run.is_past, len(run.records)) for run in batch.runs] == [
        (1, True, 2),
        (1, False, 2),
        (2, False, 2),
        (2, True, 2),
    ]
    outbox.close()
