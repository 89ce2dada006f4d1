"""Ingest batches for tests of the store, made by hand: no envelope, no encoder of ours."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from wardlight_cloud.store.batch import Detail, IngestBatch, ReadingColumns
from wardlight_shared.codes import METRICS
from wardlight_shared.records import SeriesKey

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
"""The day of the tests; the store takes any day that is not in the future."""

EPOCH = 7_000_000_001
GATEWAY = "gw-test"
DEVICE = "ble:00000000000A"
SECOND = timedelta(seconds=1)


def us(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def wire(metric: str) -> int:
    """Wire number of a metric."""
    return METRICS[metric].wire


@dataclass(frozen=True)
class One:
    """One reading: value = mantissa * 10**scale."""

    metric: str
    time: datetime
    mantissa: int
    scale: int = 0
    absent: int = 0
    flags: int = 0
    ord: int = 0
    device: str = DEVICE
    user: int | None = None
    unit: str | None = None
    raw_unit: str | None = None
    detail: Detail | None = None

    @property
    def key(self) -> SeriesKey:
        return SeriesKey(self.device, wire(self.metric), self.unit, self.user, None, self.raw_unit)


@dataclass(frozen=True)
class Rec:
    """One record: its seq, its readings and its event id."""

    seq: int
    readings: Sequence[One] = ()
    event_id: bytes | None = None


@dataclass
class BatchMaker:
    """Makes batches of one gateway and epoch."""

    gateway: str = GATEWAY
    epoch: int = EPOCH
    offset_min: int = 60
    clock: int = 3 | 1 << 4
    error_ms: int = 250
    extra: dict[str, object] = field(default_factory=dict)

    def __call__(self, *records: Rec, **extra: object) -> IngestBatch:
        rows = [(place, one) for place, rec in enumerate(records) for one in rec.readings]
        keys = list(dict.fromkeys(one.key for _, one in rows))
        more_keys = extra.pop("more_series", ())
        keys += [key for key in more_keys if key not in keys]  # type: ignore[attr-defined]
        details = [
            replace(one.detail, row=place)
            for place, (_, one) in enumerate(rows)
            if one.detail is not None
        ]
        batch = IngestBatch(
            gateway=self.gateway,
            epoch=self.epoch,
            offset_min=self.offset_min,
            series=tuple(keys),
            seqs=np.array([rec.seq for rec in records], np.int64),
            event_ids=[rec.event_id for rec in records],
            readings=ReadingColumns(
                series=np.array([keys.index(one.key) for _, one in rows], np.int32),
                time_us=np.array([us(one.time) for _, one in rows], np.int64),
                ord=np.array([one.ord for _, one in rows], np.int32),
                mantissa=np.array([one.mantissa for _, one in rows], np.int64),
                scale=np.array([one.scale for _, one in rows], np.int16),
                absent=np.array([one.absent for _, one in rows], np.int16),
                flags=np.array([one.flags for _, one in rows], np.int64),
                clock=np.full(len(rows), self.clock, np.int16),
                error_ms=np.full(len(rows), self.error_ms, np.int32),
                record_of_row=np.array([place for place, _ in rows], np.int32),
            ),
            details=details,
        )
        return replace(batch, **extra)  # type: ignore[arg-type]


def pulse(time: datetime, value: int, **more: object) -> One:
    """A pulse rate."""
    return One("pulse_rate_oximeter", time, value, **more)  # type: ignore[arg-type]


def cuff(time: datetime, systolic: int, diastolic: int, **more: object) -> tuple[One, One]:
    """Both pressures of one cuff reading."""
    return (
        One("systolic_bp", time, systolic, **more),  # type: ignore[arg-type]
        One("diastolic_bp", time, diastolic, **more),  # type: ignore[arg-type]
    )
