"""A gateway is updated: its file of schema 1, where every record has a row of its own, goes on.

tests/vectors/outbox_schema_1.db.gz was written by the last program that knew schema 1 (revision
22ade7d, key 00 01 .. 1f): 46 records given; 1 to 4 and 10 to 12 settled, 35 rejected; 31 to 40
device events, 41 to 43 alarms, 44 a waveform in the bulk lane that needs overflow pages, 45 and 46
live; one clock anchor, one series.
"""

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from support.manual_clock import ManualClock
from support.outbox_records import number_of, record, sqlite_outbox
from support.tree import ROOT
from support.waiting import wait_until
from wardlight_edge.outbox.base import Choice, Outbox
from wardlight_shared.records import Kind, Lane, Record

MUCH = 1 << 30
EPOCH = 7486077305340382975
KEPT = [*range(5, 10), *range(13, 35), *range(36, 47)]
PAGE = 4096


def old_file(folder: Path) -> Path:
    path = folder / "outbox.db"
    vector = ROOT / "tests" / "vectors" / "outbox_schema_1.db.gz"
    path.write_bytes(gzip.decompress(vector.read_bytes()))
    return path


def schema_of(path: Path) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()[0]


async def taken(outbox: Outbox) -> list[Record]:
    found = [
        one
        for choice in Choice
        for one in await outbox.take(choice, max_records=MUCH, max_bytes=MUCH)
    ]
    return sorted(found, key=lambda one: one.seq)


def numbers(records: list[Record]) -> list[int]:
    """Of the waveform its seq, which is what its number would be."""
    return [one.seq if one.body[1] == Kind.WAVEFORM else number_of(one) for one in records]


async def test_everything_is_there_and_goes_on(tmp_path: Path) -> None:
    clock, path = ManualClock(), old_file(tmp_path)
    assert schema_of(path) == 1
    async with sqlite_outbox(path, clock) as outbox:
        status = outbox.status()
        assert (outbox.epoch, outbox.boot) == (EPOCH, 1)
        assert (status.records, status.rejected, status.lowest, status.highest) == (38, 1, 5, 46)
        records = await taken(outbox)
        assert [one.seq for one in records] == numbers(records) == KEPT
        assert [one.seq for one in records if one.lane is Lane.ALARM] == [41, 42, 43]
        assert [one.seq for one in records if one.event_id] == [*range(31, 35), *range(36, 41)]
        assert len(outbox.anchors()) == 1
        assert len(outbox.series([1])) == 1
        await outbox.give_back()
        again = [record(clock, number, event=f"event {number}") for number in (34, 35)]
        assert await outbox.append([*again, *(record(clock, n) for n in range(47, 87))]) == [
            34,
            35,
            *range(47, 87),
        ]
        await outbox.settle(upto=33, ranges=[(50, 60)])
    assert schema_of(path) == 2
    async with sqlite_outbox(path, clock) as outbox:
        assert outbox.epoch == EPOCH
        assert numbers(await taken(outbox)) == [34, *range(36, 50), *range(61, 87)]


@pytest.mark.parametrize("page", [0, 1, 2, 3])
async def test_a_damaged_one_is_salvaged(tmp_path: Path, page: int) -> None:
    """The first pages hold the tables' names, the page map, `meta`: rows stand behind them."""
    clock, path = ManualClock(), old_file(tmp_path)
    with path.open("r+b") as file:
        file.seek(page * PAGE)
        file.write(b"\xa5" * PAGE)
    async with sqlite_outbox(path, clock) as outbox:
        assert outbox.epoch != EPOCH
        await wait_until(lambda: not outbox.status().salvaging, what="salvage has ended")
        records = [one for one in await taken(outbox) if one.origin and one.origin[1]]
        origins = [one.origin for one in records]
        assert origins == [(EPOCH, seq) for seq in [*KEPT, 35]]
