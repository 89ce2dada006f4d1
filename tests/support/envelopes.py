"""Envelopes for tests of ingest: a gateway's records, sealed as a gateway seals them."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from wardlight_cloud.store.batch import IngestBatch
from wardlight_shared.codes import METRICS
from wardlight_shared.envelope import Clock, SendHeader, SeriesEntry, seal
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

GATEWAY = "gw-test-1"
EPOCH = 7_001
NOW_MS = 1_790_000_000_000
DEVICE = "ble:0A1B2C3D4E5F"
CLOCK = Clock(3, 20)
SERIES = [
    SeriesEntry(number, SeriesKey(DEVICE, METRICS[name].wire))
    for number, name in enumerate(("spo2", "pulse_rate_oximeter", "systolic_bp", "diastolic_bp"))
]


def event(
    values: dict[int, str],
    *,
    age_ms: int = 0,
    error_ms: int | None = 1000,
    ord_: int = 0,
    method: TimeMethod = TimeMethod.RECEIPT,
) -> EventBody:
    """An event of series number to value; values in the precision in which they are written."""
    parts = [Decimal(value).as_tuple() for value in values.values()]
    mantissas = [int("".join(map(str, part.digits))) * (-1 if part.sign else 1) for part in parts]
    return EventBody(
        age_ms=age_ms,
        method=method,
        error_ms=error_ms,
        ord=ord_,
        device_time=None,
        skew_s=None,
        series=list(values),
        mantissas=mantissas,
        scales=[int(part.exponent) for part in parts],
    )


def block(
    samples: Sequence[int],
    *,
    series: int = 0,
    period_ms: int = 1000,
    absents: list[tuple[int, int]] | None = None,
) -> BlockBody:
    """One column of whole numbers at a steady rate."""
    steps = [after - before for before, after in pairwise(samples)]
    deltas = b"".join(step.to_bytes(2, "little", signed=True) for step in steps)
    column = Column(series, 0, samples[0], 2, deltas, absents)
    group = Group(0, 1, period_ms, len(samples), 1, b"", [column])
    return BlockBody(TimeMethod.SAMPLE_COUNT, 10, [group])


def record(seq: int, body: Body, event_id: bytes | None = None, lane: Lane = Lane.LIVE) -> Record:
    """An outbox row."""
    return Record(seq, lane, event_id, 1, 0, 0, encode_body(body))


def sealed(
    records: Sequence[Record],
    *,
    gateway: str = GATEWAY,
    epoch: int = EPOCH,
    times_ms: Sequence[int] | None = None,
    series: Sequence[SeriesEntry] = SERIES,
    clock: Clock = CLOCK,
) -> bytes:
    """One message; without ``times_ms`` all records were received a second ago."""
    times_ms = [NOW_MS - 1000] * len(records) if times_ms is None else times_ms
    header = SendHeader(gateway, epoch, 1, NOW_MS, 60, [clock])
    return seal(header, series, records, times_ms)


def values(batch: IngestBatch) -> list[tuple[int, int, Decimal | int]]:
    """(series number's wire metric, UTC ms, value or minus the code of absence) per row."""
    columns = batch.readings
    found: list[tuple[int, int, Decimal | int]] = []
    for place in range(len(columns)):
        absent = int(columns.absent[place])
        number = Decimal(int(columns.mantissa[place])).scaleb(int(columns.scale[place]))
        metric = batch.series[int(columns.series[place])].metric
        found.append((metric, int(columns.time_us[place]) // 1000, -absent if absent else number))
    return found
