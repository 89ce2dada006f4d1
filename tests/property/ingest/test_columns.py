"""Columns against a plain reading of docs/wire-format.md, one sample at a time in Python."""

from itertools import accumulate

import hypothesis.strategies as st
from hypothesis import given

from support.envelopes import EPOCH, GATEWAY, NOW_MS, SERIES
from wardlight_cloud.ingest.pipeline import open_message
from wardlight_cloud.store.batch import IngestBatch
from wardlight_shared.envelope import Clock, SendHeader, SeriesEntry, seal
from wardlight_shared.model import Flag
from wardlight_shared.records import (
    BlockBody,
    Body,
    Column,
    EventBody,
    Group,
    Lane,
    Record,
    SeriesKey,
    TimeMethod,
    encode_body,
)

FACTORS = (1, 1, 9, 1_000_000)
KEYS = [
    SeriesEntry(number, SeriesKey(entry.key.device, entry.key.metric, factor=FACTORS[number]))
    for number, entry in enumerate(SERIES)
]
FUTURE_MS = 5 * 60 * 1000

Row = tuple[int, int, int, int, int, int, int, int, int, int]
"""seq, metric, time_us, ord, mantissa, scale, absent, flags, clock, error_ms"""


def signed(width: int, count: int) -> st.SearchStrategy[bytes]:
    limit = 1 << 8 * width - 1
    number = st.integers(-limit, limit - 1)
    small = st.integers(-3, 3)
    return st.lists(number | small, min_size=count, max_size=count).map(
        lambda numbers: b"".join(n.to_bytes(width, "little", signed=True) for n in numbers)
    )


@st.composite
def columns(draw: st.DrawFn, count: int) -> Column:
    width = draw(st.sampled_from([1, 2, 4]))
    samples = st.integers(0, count - 1)
    absents = draw(
        st.none()
        | st.lists(
            st.tuples(samples, st.integers(1, 12)), max_size=4, unique_by=lambda pair: pair[0]
        )
    )
    runs = samples.flatmap(
        lambda first: st.tuples(
            st.just(first), st.integers(0, count - first), st.integers(0, (1 << 31) - 1)
        )
    )
    return Column(
        series=draw(st.integers(0, 3)),
        scale=draw(st.integers(-128, 127)),
        first=draw(st.integers(-1000, 1000)),
        width=width,
        deltas=draw(signed(width, count - 1)),
        absents=absents,
        flags=draw(st.none() | st.lists(runs, max_size=3)),
    )


@st.composite
def groups(draw: st.DrawFn) -> Group:
    count = draw(st.integers(1, 12))
    return Group(
        start_ms=draw(st.integers(-5000, 5000)),
        tick_ms=draw(st.integers(1, 2000)),
        period=draw(st.integers(0, 300)),
        count=count,
        width=1,
        jitter=draw(st.just(b"") | signed(1, count - 1)),
        columns=draw(st.lists(columns(count), min_size=1, max_size=3)),
    )


@st.composite
def events(draw: st.DrawFn) -> EventBody:
    count = draw(st.integers(1, 5))

    def exactly(item: st.SearchStrategy[int]) -> st.SearchStrategy[list[int]]:
        return st.lists(item, min_size=count, max_size=count)

    return EventBody(
        age_ms=draw(st.integers(-400_000, 10_000_000)),
        method=draw(st.sampled_from(TimeMethod)),
        error_ms=draw(st.none() | st.integers(0, 1 << 33)),
        ord=draw(st.integers(0, 1 << 20)),
        device_time=None,
        skew_s=None,
        series=draw(exactly(st.integers(0, 3))),
        mantissas=draw(exactly(st.integers(-(1 << 63), (1 << 63) - 1))),
        scales=draw(exactly(st.integers(-128, 127))),
        absents=draw(st.none() | exactly(st.integers(0, 12))),
        flags=draw(st.none() | exactly(st.integers(0, (1 << 31) - 1))),
    )


def blocks() -> st.SearchStrategy[BlockBody]:
    return st.builds(
        BlockBody,
        method=st.just(TimeMethod.SAMPLE_COUNT),
        error_ms=st.none() | st.integers(0, 5000),
        groups=st.lists(groups(), min_size=1, max_size=3),
    )


def plain_ints(octets: bytes, width: int) -> list[int]:
    return [
        int.from_bytes(octets[place : place + width], "little", signed=True)
        for place in range(0, len(octets), width)
    ]


def plain_rows(seq: int, body: Body, time_ms: int, clock: Clock) -> list[Row]:
    """What the wire format says, without any library for numbers."""
    rows: list[Row] = []
    if isinstance(body, EventBody):
        bound = plain_bound(clock, body.error_ms)
        seen: dict[int, int] = {}
        for place, number in enumerate(body.series):
            absent = body.absents[place] if body.absents else 0
            flags = body.flags[place] if body.flags else 0
            flags |= Flag.TIME_UNCERTAIN if bound < 0 else 0
            flags |= Flag.LATE if body.age_ms > FUTURE_MS else 0
            mantissa = 0 if absent else body.mantissas[place]
            ord_ = body.ord + seen.get(number, 0)
            seen[number] = seen.get(number, 0) + 1
            how = clock.quality + 16 * body.method
            rows.append(
                (
                    seq, KEYS[number].key.metric, (time_ms - body.age_ms) * 1000, ord_, mantissa,
                    body.scales[place], absent, int(flags), how, bound,
                )
            )  # fmt: skip
    elif isinstance(body, BlockBody):
        met: dict[tuple[int, int], int] = {}
        for group in body.groups:
            jitter = plain_ints(group.jitter, 1) or [0] * (group.count - 1)
            ticks = [0, *accumulate(group.period + extra for extra in jitter)]
            for column in group.columns:
                raws = accumulate([column.first, *plain_ints(column.deltas, column.width)])
                for sample, raw in enumerate(raws):
                    moment = time_ms + group.start_ms + group.tick_ms * ticks[sample]
                    place = met[column.series, moment] = met.get((column.series, moment), -1) + 1
                    rows.append(plain_sample(seq, body, column, sample, raw, moment, place, clock))
    return rows


def plain_sample(
    seq: int, body: BlockBody, column: Column, sample: int, raw: int, moment: int, place: int,
    clock: Clock,
) -> Row:  # fmt: skip
    absent = dict(column.absents or []).get(sample, 0)
    bound = plain_bound(clock, body.error_ms)
    flags = int(Flag.TIME_UNCERTAIN) if bound < 0 else 0
    for first, samples, run in column.flags or []:
        flags |= run if first <= sample < first + samples else 0
    value = 0 if absent else raw * FACTORS[column.series]
    how = clock.quality + 16 * body.method
    metric = KEYS[column.series].key.metric
    return seq, metric, moment * 1000, place, value, column.scale, absent, flags, how, bound


def plain_bound(clock: Clock, error_ms: int | None) -> int:
    if clock.error_ms is None or error_ms is None or clock.error_ms + error_ms >= 1 << 31:
        return -1
    return clock.error_ms + error_ms


def stored_rows(batch: IngestBatch) -> list[Row]:
    columns = batch.readings
    return [
        (
            int(batch.seqs[columns.record_of_row[row]]),
            batch.series[columns.series[row]].metric,
            int(columns.time_us[row]),
            int(columns.ord[row]),
            int(columns.mantissa[row]),
            int(columns.scale[row]),
            int(columns.absent[row]),
            int(columns.flags[row]),
            int(columns.clock[row]),
            int(columns.error_ms[row]),
        )
        for row in range(len(columns))
    ]


def aside_rows(batch: IngestBatch) -> list[tuple[int, ...]]:
    return [
        (
            int(batch.seqs[row.record]), batch.series[row.series].metric, row.time_us, row.ord,
            row.mantissa, row.scale, row.absent,
        )
        for row in batch.quarantined
    ]  # fmt: skip


@given(
    bodies=st.lists(events() | blocks(), min_size=1, max_size=6),
    times=st.data(),
    clock=st.builds(Clock, st.integers(0, 3), st.none() | st.integers(0, 1 << 33)),
)
def test_every_sample_arrives_as_the_wire_format_says(
    bodies: list[Body], times: st.DataObject, clock: Clock
) -> None:
    """Values, times, ords, reasons, flags; readings from the future stand aside."""
    moments = times.draw(
        st.lists(
            st.integers(NOW_MS - 10**10, NOW_MS + 2 * FUTURE_MS),
            min_size=len(bodies),
            max_size=len(bodies),
        )
    )
    records = [
        Record(3 * place + 1, Lane.LIVE, None, 1, 0, 0, encode_body(body))
        for place, body in enumerate(bodies)
    ]
    message = seal(SendHeader(GATEWAY, EPOCH, 1, NOW_MS, 60, [clock]), KEYS, records, moments)
    expected = [
        row
        for entry, body, moment in zip(records, bodies, moments, strict=True)
        for row in plain_rows(entry.seq, body, moment, clock)
    ]
    batches = list(open_message(GATEWAY, message, NOW_MS))
    future_us = (NOW_MS + FUTURE_MS) * 1000
    assert sorted(row for batch in batches for row in stored_rows(batch)) == sorted(
        row for row in expected if row[2] <= future_us
    )
    assert sorted(row for batch in batches for row in aside_rows(batch)) == sorted(
        row[:7] for row in expected if row[2] > future_us
    )
    assert [seq for batch in batches for seq in batch.seqs] == [entry.seq for entry in records]
    assert not any(batch.rejected for batch in batches)
