"""Readings on their way into the table: columns of many batches in one, by numpy alone.

In      IngestBatch columns, series ids, a mask of the records to keep
Out     Rows, sorted as the table's key is, and what a commit leaves behind of each series
No row becomes a Python object, except those few that go aside.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wardlight_cloud.store.batch import IngestBatch
from wardlight_shared.model import NOT_CLINICAL

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
_EARLIEST_US: Final = 0  # 1970: before any device that we could know
_LATEST_AHEAD_US: Final = DAY_US  # ingest has put aside what lies in the future; this is the floor

BoolMask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the table ``reading``; one place per row in every array.

    batch    place of the row's batch in the call        place    the row's place in its columns
    """

    time_us: NDArray[np.int64]
    mantissa: NDArray[np.int64]
    flags: NDArray[np.int64]
    series_id: NDArray[np.int32]
    ord: NDArray[np.int32]
    error_ms: NDArray[np.int32]
    gateway_id: NDArray[np.int32]
    scale: NDArray[np.int16]
    absent: NDArray[np.int16]
    offset_min: NDArray[np.int16]
    clock: NDArray[np.int16]
    batch: NDArray[np.int32]
    place: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.time_us)

    def take(self, chosen: NDArray[Any]) -> "Rows":
        """The rows that a mask or an array of places chooses."""
        return Rows(*(getattr(self, field.name)[chosen] for field in fields(Rows)))


@dataclass(frozen=True, slots=True)
class Source:
    """One batch with what the store knows of it: ids and the records that are new."""

    batch: IngestBatch
    gateway_id: int
    series_ids: NDArray[np.int32]  # by place in batch.series
    is_new: BoolMask  # by place in batch.seqs


def gather(sources: Sequence[Source]) -> Rows:
    """All rows of new records, sorted by (series, time, ord); the earlier batch first on a tie."""
    parts = [_part(place, source) for place, source in enumerate(sources)]
    columns = [[getattr(part, field.name) for part in parts] for field in fields(Rows)]
    joined = Rows(
        *(column[0] if len(column) == 1 else np.concatenate(column) for column in columns)
    )
    return joined.take(np.lexsort((joined.ord, joined.time_us, joined.series_id)))


def _part(place: int, source: Source) -> Rows:
    readings = source.batch.readings
    count = len(readings)
    rows = Rows(
        time_us=readings.time_us,
        mantissa=readings.mantissa,
        flags=readings.flags,
        series_id=_by_place(source.series_ids, readings.series),
        ord=readings.ord,
        error_ms=readings.error_ms,
        gateway_id=np.full(count, source.gateway_id, np.int32),
        scale=readings.scale,
        absent=readings.absent,
        offset_min=source.batch.offsets_of_rows(),
        clock=readings.clock,
        batch=np.full(count, place, np.int32),
        place=np.arange(count, dtype=np.int32),
    )
    if source.is_new.all():
        return rows
    return rows.take(_by_place(source.is_new, readings.record_of_row))


def _by_place(values: NDArray[Any], places: NDArray[np.int32]) -> NDArray[Any]:
    """``values[places]``, also where there are neither values nor places."""
    return values[places] if len(places) else values[:0]


def out_of_range(rows: Rows, now_us: int) -> BoolMask:
    """Rows whose time no device could have meant; ingest lets none through, a bug might."""
    too_early = np.less(rows.time_us, _EARLIEST_US)
    too_late = np.greater(rows.time_us, now_us + _LATEST_AHEAD_US)
    return np.logical_or(too_early, too_late)


def repeats(rows: Rows) -> BoolMask:
    """Rows (sorted) whose key is that of the row before."""
    found = np.zeros(len(rows), np.bool_)
    found[1:] = (
        (rows.series_id[1:] == rows.series_id[:-1])
        & (rows.time_us[1:] == rows.time_us[:-1])
        & (rows.ord[1:] == rows.ord[:-1])
    )
    return found


def repeats_differ(rows: Rows, repeated: BoolMask) -> BoolMask:
    """Of the repeats, those whose value is not that of the first row with the key."""
    first = np.maximum.accumulate(np.where(repeated, 0, np.arange(len(rows))))
    differs: BoolMask = rows.mantissa != rows.mantissa[first]
    differs |= rows.scale != rows.scale[first]
    differs |= rows.absent != rows.absent[first]
    return differs & repeated


def clinical(rows: Rows) -> Rows:
    """Without what demo, test and calibration readings would add to curves and latest values."""
    is_clinical = (rows.flags & int(NOT_CLINICAL)) == 0
    return rows if is_clinical.all() else rows.take(is_clinical)


@dataclass(frozen=True, slots=True)
class Marks:
    """What a commit leaves behind of each series; made of sorted clinical rows.

    newest   the row with the greatest (time, ord) of each series
    days     (series, day since 1970, readings)
    hours    (series, hour in us, first time in us, last time in us, readings)
    """

    newest: Rows
    days: tuple[NDArray[Any], ...]
    hours: tuple[NDArray[Any], ...]


def marks(rows: Rows) -> Marks:
    """Group sorted rows by series, day and hour; needs at least one row."""
    day = rows.time_us // DAY_US
    hour = rows.time_us // HOUR_US
    new_series = _changes(rows.series_id)
    by_day = np.flatnonzero(new_series | _changes(day))
    by_hour = np.flatnonzero(new_series | _changes(hour))
    last_of_hour = _ends(by_hour, len(rows))
    return Marks(
        newest=rows.take(_ends(np.flatnonzero(new_series), len(rows))),
        days=(rows.series_id[by_day], day[by_day], np.diff(by_day, append=len(rows))),
        hours=(
            rows.series_id[by_hour],
            hour[by_hour] * HOUR_US,
            rows.time_us[by_hour],
            rows.time_us[last_of_hour],
            np.diff(by_hour, append=len(rows)),
        ),
    )


def _changes(values: NDArray[Any]) -> BoolMask:
    """True at each place whose value is not that of the place before, and at the first."""
    changed = np.ones(len(values), np.bool_)
    changed[1:] = values[1:] != values[:-1]
    return changed


def _ends(starts: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """The last place of each group that begins at ``starts``."""
    return np.append(starts[1:], count) - 1
