"""Numpy columns: gathering, marks, ranges and the COPY stream against plain Python."""

import struct
from collections import defaultdict
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.store.batch import IngestBatch, ReadingColumns
from wardlight_cloud.store.postgres import copy_format
from wardlight_cloud.store.postgres.ledgers import gaps, runs, state, within
from wardlight_cloud.store.postgres.rows import (
    DAY_US,
    HOUR_US,
    Rows,
    Source,
    clinical,
    gather,
    marks,
    repeats,
    repeats_differ,
)
from wardlight_shared.model import NOT_CLINICAL

I16 = st.integers(-(1 << 15), (1 << 15) - 1)
I32 = st.integers(-(1 << 31), (1 << 31) - 1)
I64 = st.integers(-(1 << 63), (1 << 63) - 1)
PLACES = st.integers(0, 3)
# Few keys, so that they repeat; instants around the edges of hours and days.
TIMES = st.sampled_from([0, 1, HOUR_US - 1, HOUR_US, DAY_US - 1, DAY_US, DAY_US + 5 * HOUR_US])
FLAGS = st.sampled_from([0, 1, 1 << 7, 1 << 9, 1 << 30])

Row = tuple[int, ...]
rows_of_batch = st.lists(
    st.tuples(
        PLACES, TIMES, st.integers(0, 1), I64, I16, st.integers(0, 1), FLAGS, I16, I32, PLACES
    ),
    max_size=12,
)  # fmt: skip
TYPES = (
    np.int32, np.int64, np.int32, np.int64, np.int16, np.int16, np.int64, np.int16, np.int32,
    np.int32,
)  # fmt: skip


def _source(rows: list[Row], is_new: list[bool], gateway_id: int) -> Source:
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 10
    readings = ReadingColumns(
        *(np.array(column, kind) for column, kind in zip(columns, TYPES, strict=True))
    )
    batch = IngestBatch("gw", 1, 60, (), np.arange(1, 5), [None] * 4, readings)
    series_ids = np.array([40, 30, 20, 10], np.int32)
    return Source(batch, gateway_id, series_ids, np.array(is_new))


sources = st.lists(
    st.tuples(rows_of_batch, st.lists(st.booleans(), min_size=4, max_size=4)),
    min_size=1,
    max_size=3,
)


def _plain(chosen: list[tuple[list[Row], list[bool]]]) -> list[tuple[int, ...]]:
    """(series id, time, ord, mantissa, scale, absent, flags, batch, place) in the order wanted."""
    found = [
        (40 - 10 * row[0], *row[1:7], batch, place)
        for batch, (rows, is_new) in enumerate(chosen)
        for place, row in enumerate(rows)
        if is_new[row[9]]
    ]
    return sorted(found, key=lambda row: (*row[:3], *row[7:]))


def _tuples(rows: Rows) -> list[tuple[int, ...]]:
    columns = (
        rows.series_id, rows.time_us, rows.ord, rows.mantissa, rows.scale, rows.absent, rows.flags,
        rows.batch, rows.place,
    )  # fmt: skip
    return [tuple(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _gathered(chosen: list[tuple[list[Row], list[bool]]]) -> Rows:
    return gather([_source(rows, is_new, 7 + place) for place, (rows, is_new) in enumerate(chosen)])


@given(sources)
def test_gathering_keeps_new_rows_in_key_order(
    chosen: list[tuple[list[Row], list[bool]]],
) -> None:
    rows = _gathered(chosen)
    assert _tuples(rows) == _plain(chosen)
    assert rows.gateway_id.tolist() == [7 + batch for batch in rows.batch.tolist()]
    assert set(rows.offset_min.tolist()) <= {60}


@given(sources)
def test_the_first_row_of_a_key_stands(chosen: list[tuple[list[Row], list[bool]]]) -> None:
    rows = _gathered(chosen)
    repeated = repeats(rows)
    differs = repeats_differ(rows, repeated)
    first: dict[tuple[int, ...], tuple[int, ...]] = {}
    for place, row in enumerate(_tuples(rows)):
        value = row[3:6]
        assert bool(repeated[place]) == (row[:3] in first)
        assert bool(differs[place]) == (first.setdefault(row[:3], value) != value)


@given(sources)
def test_marks_tell_newest_days_and_hours(chosen: list[tuple[list[Row], list[bool]]]) -> None:
    rows = clinical(_gathered(chosen))
    plain = [row for row in _plain(chosen) if not row[6] & NOT_CLINICAL]
    assert _tuples(rows) == plain
    if not plain:
        return
    made = marks(rows)
    newest: dict[int, tuple[int, ...]] = {}
    days: dict[tuple[int, int], int] = defaultdict(int)
    hours: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in plain:
        newest[row[0]] = row
        days[row[0], row[1] // DAY_US] += 1
        hours[row[0], row[1] // HOUR_US * HOUR_US].append(row[1])
    assert _tuples(made.newest) == list(newest.values())
    assert list(zip(*(c.tolist() for c in made.days), strict=True)) == [
        (*key, count) for key, count in days.items()
    ]
    assert list(zip(*(c.tolist() for c in made.hours), strict=True)) == [
        (*key, times[0], times[-1], len(times)) for key, times in hours.items()
    ]


@given(sources, I64)
def test_the_copy_stream_holds_what_was_given(
    chosen: list[tuple[list[Row], list[bool]]], commit_seq: int
) -> None:
    """Read back by hand from PostgreSQL's description of the format."""
    rows = _gathered(chosen)
    stream = copy_format.encode(copy_format.table_of(rows), commit_seq)
    assert stream[:11] == b"PGCOPY\n\xff\r\n\0"
    assert stream[11:19] == bytes(8)
    at, found = 19, []
    while (count := struct.unpack_from(">h", stream, at)[0]) != -1:
        at += 2
        fields = []
        for _ in range(count):
            (size,) = struct.unpack_from(">i", stream, at)
            fields.append(int.from_bytes(stream[at + 4 : at + 4 + size], "big", signed=True))
            at += 4 + size
        found.append(tuple(fields))
    assert at + 2 == len(stream)
    since_2000 = 946_684_800_000_000
    columns = (
        rows.time_us - since_2000, np.full(len(rows), commit_seq), rows.mantissa, rows.flags,
        rows.series_id, rows.ord, rows.error_ms, rows.gateway_id, rows.scale, rows.absent,
        rows.offset_min, rows.clock,
    )  # fmt: skip
    assert found == list(zip(*(column.tolist() for column in columns), strict=True))


SEQS = st.sets(st.integers(1, 40)).map(sorted)


def _numbers(ranges: list[tuple[int, int]]) -> list[int]:
    return [number for first, last in ranges for number in range(first, last + 1)]


@given(SEQS)
def test_runs_are_the_numbers_again(seqs: list[int]) -> None:
    ranges = runs(np.array(seqs, np.int64))
    assert _numbers(ranges) == seqs
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(ranges))


@given(SEQS, SEQS)
def test_within_is_membership(seqs: list[int], others: list[int]) -> None:
    ranges = runs(np.array(others, np.int64))
    found = within(np.array(seqs, np.int64), ranges)
    assert found.tolist() == [seq in others for seq in seqs]


@given(SEQS, st.integers(0, 45))
def test_states_and_gaps_cover_everything_once(seqs: list[int], highest: int) -> None:
    ranges = runs(np.array(seqs, np.int64))
    told = state("gw", 1, ranges, ())
    assert list(range(1, told.upto + 1)) + _numbers(list(told.ranges)) == seqs
    assert told.upto + 1 not in seqs
    missing = _numbers(list(gaps(ranges, highest)))
    assert missing == [seq for seq in range(1, highest + 1) if seq not in seqs]
