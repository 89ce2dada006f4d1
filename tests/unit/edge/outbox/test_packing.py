"""Which records share a row: like ones, in order, and no more than fit on a page of the file."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.manual_clock import ManualClock
from support.outbox_records import sqlite_outbox
from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.packing import MOST_RECORDS, Held, cut, kind_of, read, written
from wardlight_shared.records import Kind, Lane

PAGE = 4096
NONCE_AND_TAG = 28
FITS_A_LEAF = PAGE - 35 - 25  # payload without overflow (fileformat2 1.6), less the other columns

bodies = st.tuples(st.sampled_from(Kind), st.one_of(st.integers(0, 300), st.integers(0, 5000))).map(
    lambda made: bytes([0x92, made[0]]) + bytes(made[1])
)
int64 = st.integers(-(1 << 63), (1 << 63) - 1)


def new(body: bytes) -> NewRecord:
    return NewRecord(Lane.LIVE, None, 1, 2, body)


@given(st.lists(bodies, max_size=100))
@example([bytes([0x92, 2])] * 100)
def test_like_records_share_a_row_that_fits_a_page(given_bodies: list[bytes]) -> None:
    records = [new(body) for body in given_bodies]
    rows = list(cut(records))
    assert [record for _, row in rows for record in row] == records
    for kind, row in rows:
        assert {kind_of(record.body) for record in row} == {kind & 15}
        assert (kind >> 4) + 1 == len(row) <= MOST_RECORDS
        if len(row) > 1:
            assert len(written(1, 1, row)) + NONCE_AND_TAG <= FITS_A_LEAF


def test_rows_are_filled() -> None:
    rows = [len(row) for _, row in cut([new(bytes([0x92, 2]) + bytes(210))] * 100)]
    assert rows == [17, 17, 17, 17, 17, 15]
    assert [len(row) for _, row in cut([new(bytes([0x92, 4]))] * 70)] == [32, 32, 6]


@given(st.integers(0, 3), st.lists(st.tuples(int64, int64, st.binary(max_size=90)), min_size=1))
def test_what_was_written_is_read(lane: int, held: list[tuple[int, int, bytes]]) -> None:
    held = held[:MOST_RECORDS]
    content = written(lane, 9, [NewRecord(Lane(lane), None, *one) for one in held])
    assert read(content) == Held(lane, 9, held)


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        held = read(content)
    except ValueError:
        return
    assert sum(len(body) for _, _, body in held.records) < len(content)


async def test_a_shared_row_stands_on_one_page(tmp_path: Path) -> None:
    """So a damaged page takes no rows but its own."""
    clock, path, noise = ManualClock(), tmp_path / "outbox.db", random.Random(3)
    async with sqlite_outbox(path, clock) as outbox:
        for _ in range(40):
            size = noise.choice([0, 40, 210, 900])
            body = bytes([0x92, Kind.BLOCK]) + bytes(size)
            moment = clock.mono_ms(), clock.wall_ms()
            await outbox.append([NewRecord(Lane.LIVE, None, *moment, body)] * noise.randrange(90))
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT body FROM record WHERE kind >= 16").fetchall()
    assert len(rows) > 40
    content = path.read_bytes()
    for (sealed,) in rows:
        place = content.index(sealed)
        assert place // PAGE == (place + len(sealed) - 1) // PAGE


@pytest.mark.parametrize("content", [b"", b"\x01", b"\x81\x00\x00\x00\x01\x02", b"\x81" + bytes(5)])
def test_short_content_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"row|unpack"):
        read(content)
