"""What ingest hands to the store: one opened envelope as columns.

Arrays are numpy, one place per reading; ``record_of_row`` ties each row to its record, so that
the store can leave out records it already has without touching single rows in Python.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardlight_shared.records import Origin, SeriesKey


@dataclass(frozen=True, slots=True)
class ReadingColumns:
    """Rows of the table ``reading``; value = mantissa * 10**scale where absent == 0.

    series         place in ``IngestBatch.series``            int32
    time_us        corrected UTC, microseconds since 1970     int64
    ord            position in the event or record number     int32
    mantissa       int64; 0 where absent
    scale          int16
    absent         wire code of Absent, 0 = present           int16
    flags          OR of Flag                                 int64
    clock          ClockQuality | TimeMethod << 4             int16
    error_ms       bound of the time, -1 = no honest bound    int32
    record_of_row  place in ``IngestBatch.seqs``              int32
    """

    series: NDArray[np.int32]
    time_us: NDArray[np.int64]
    ord: NDArray[np.int32]
    mantissa: NDArray[np.int64]
    scale: NDArray[np.int16]
    absent: NDArray[np.int16]
    flags: NDArray[np.int64]
    clock: NDArray[np.int16]
    error_ms: NDArray[np.int32]
    record_of_row: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.series)


@dataclass(frozen=True, slots=True)
class Detail:
    """What only some readings of events have; tied to row ``row`` of the columns."""

    row: int
    raw_mantissa: int | None
    raw_scale: int | None
    device_time: str | None  # as sent, ISO text without zone
    skew_s: int | None
    context: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class WaveformRow:
    """One block of int16 samples (little endian)."""

    record: int
    series: int
    time_us: int
    rate_mhz: int
    scale: int
    origin: int
    samples: bytes
    error_ms: int


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One status change; ``device`` None = the gateway itself."""

    record: int
    time_us: int
    device: str | None
    name: str
    data: dict[str, str | int | bool | None]


@dataclass(frozen=True, slots=True)
class GapRow:
    """One named loss over [start, end]; ``seqs`` are records removed on purpose."""

    record: int
    start_us: int
    end_us: int
    device: str | None
    cause: str
    count: int
    seqs: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that will never be stored as it is: dead letter with its reason."""

    seq: int
    reason: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A reading kept aside and shown (future time, other value on the same key).

    ``flags``, ``clock``, ``error_ms`` and ``detail`` (whose ``row`` says nothing here) are what the
    row would have: a person may release it.
    """

    record: int
    series: int
    time_us: int
    ord: int
    mantissa: int
    scale: int
    absent: int
    reason: str
    flags: int = 0
    clock: int = 0
    error_ms: int = -1
    detail: Detail | None = None


@dataclass(frozen=True, slots=True)
class IngestBatch:
    """One envelope, validated. ``seqs`` ascend; ``event_ids`` are parallel (16 bytes or None).

    offsets  local offset from UTC in minutes by place in ``seqs``, of records that say their own;
             for the others it is ``offset_min``
    origins  by seq, of records whose outbox file was replaced since they were accepted: the (epoch,
             seq) of their first number, which counts as another name of the record. seq 0: it only
             tells of that epoch. The seqs of a gap are numbers of its origin's epoch.
    """

    gateway: str
    epoch: int
    offset_min: int
    series: tuple[SeriesKey, ...]
    seqs: NDArray[np.int64]
    event_ids: list[bytes | None]
    readings: ReadingColumns
    details: list[Detail] = field(default_factory=list)
    waveforms: list[WaveformRow] = field(default_factory=list)
    statuses: list[StatusRow] = field(default_factory=list)
    gaps: list[GapRow] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    origins: Mapping[int, Origin] = field(default_factory=dict)
    offsets: Mapping[int, int] = field(default_factory=dict)

    def offsets_of_rows(self) -> NDArray[np.int16]:
        """Local offset of each reading."""
        if not self.offsets:
            return np.full(len(self.readings), self.offset_min, np.int16)
        by_record = np.full(len(self.seqs), self.offset_min, np.int16)
        by_record[list(self.offsets)] = list(self.offsets.values())
        return by_record[self.readings.record_of_row]

    def epoch_of_gap(self, gap: GapRow) -> int:
        """The epoch whose numbers the seqs of a gap are."""
        origin = self.origins.get(int(self.seqs[gap.record]))
        return self.epoch if origin is None else origin[0]


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What the store has of one gateway and epoch: inclusive ranges, ascending, disjoint.

    ``settled`` = stored, finally rejected or removed on purpose. ``upto`` is the largest n with
    1..n settled; ``ranges`` are settled ranges above it. ``rejected``: seqs not yet released.
    """

    gateway: str
    epoch: int
    upto: int
    ranges: tuple[tuple[int, int], ...]
    rejected: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class IngestResult:
    """Outcome of one batch after COMMIT; counts are rows (readings) and records."""

    ledger: LedgerState
    commit_seq: int
    rows_stored: int
    rows_known: int  # same key, same value: already there
    rows_quarantined: int
    records_known: int  # seq or event id already in the ledger
