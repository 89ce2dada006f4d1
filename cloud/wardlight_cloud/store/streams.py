"""Blocks of waveforms and averages of readings: the part of the store's Protocol that reads them.

Each is one patient's: a block or an interval that lies in the time of two is nobody's here.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from wardlight_cloud.store.resources import Patients

Width = Literal["1m", "1h"]
"""Over which time readings are averaged."""


@dataclass(frozen=True, slots=True)
class StreamQuery:
    """The latest first. None = not asked for; ``reach``: whose may be seen (None = all).

    ``keys``: these alone; ``after``: the key of the last one of the page before. Keys are opaque.
    ``changed_from``, ``changed_to``: stored in [from, to); averages have no such time.
    """

    reach: Patients
    devices: tuple[UUID, ...] | None = None
    metrics: tuple[int, ...] | None = None
    start: datetime | None = None
    end: datetime | None = None
    keys: tuple[str, ...] | None = None
    changed_from: datetime | None = None
    changed_to: datetime | None = None
    after: str | None = None
    count: int = 50


@dataclass(frozen=True, slots=True)
class WaveformBlock:
    """int16 samples, little endian: value = (origin + sample) * 10**scale in ``unit``."""

    key: str
    patient_id: UUID
    device_id: UUID
    gateway: str
    metric: int
    unit: str
    time: datetime
    end: datetime
    rate_mhz: int
    origin: int
    scale: int
    samples: bytes
    error_ms: int
    commit_seq: int
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class Average:
    """Readings of a series over [time, end). ``parts``: ids of Observations, of hours: keys of
    their minutes; the first of them. ``diastolic``: mean of the other side, where the series is the
    first side of a pressure."""

    key: str
    patient_id: UUID
    device_id: UUID
    metric: int
    unit: str
    time: datetime
    end: datetime
    readings: int
    absent: int
    mean: float
    minimum: float
    maximum: float
    parts: tuple[str, ...]
    diastolic: float | None


class StreamStore(Protocol):
    """Every coroutine raises StorageError."""

    async def waveforms(self, query: StreamQuery) -> tuple[WaveformBlock, ...]:
        """Up to ``count`` blocks that begin in [start, end); ValueError for a strange ``after``."""

    async def averages(self, query: StreamQuery, width: Width) -> tuple[Average, ...]:
        """Up to ``count`` intervals with a number, that begin in [start, end)."""
