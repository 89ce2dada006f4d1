"""What an envelope brings beside readings, as columns for its statements. Pure.

Each function takes the records of a call and gives the arguments of one statement of ingest.sql, in
its order; None = there is nothing to write. Only new records count.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Protocol, TypeVar

import numpy as np

from wardlight_cloud.store.batch import Detail, WaveformRow
from wardlight_cloud.store.postgres.dictionary import Dictionary
from wardlight_cloud.store.postgres.rows import Rows
from wardlight_cloud.store.postgres.sources import Records
from wardlight_shared.envelope import MAX_SEQ

Columns = list[list[object]]


class _OfRecord(Protocol):
    @property
    def record(self) -> int: ...


_RowT = TypeVar("_RowT", bound=_OfRecord)

OTHER_VALUE: Final = "other-value"
OUT_OF_RANGE: Final = "time-out-of-range"
OTHER_WAVEFORM: Final = "other-waveform"

DroppedRow = tuple[int, int]
"""(batch, place): a row that was not stored."""


@dataclass(frozen=True, slots=True)
class Aside:
    """One line of the table quarantine. ``event_id``: of a record that left nothing else."""

    batch: int
    record: int
    series_id: int
    time_us: int
    ord: int
    mantissa: int
    scale: int
    absent: int
    reason: str
    flags: int
    error_ms: int
    offset_min: int
    clock: int
    detail: str | None  # JSON object
    body: bytes | None = None
    event_id: bytes | None = None


def dead_letters(records: Sequence[Records]) -> Columns | None:
    """Arguments of add_dead_letters."""
    return _columns(
        (each.gateway_id, each.batch.epoch, letter.seq, letter.reason, letter.body)
        for each in records
        for letter in each.rejected
    )


def gaps(records: Sequence[Records]) -> Columns | None:
    """Arguments of add_gaps."""
    return _columns(
        (
            each.gateway_id, each.batch.epoch, int(each.batch.seqs[gap.record]), gap.start_us,
            gap.end_us, gap.device, gap.cause, gap.count, bool(gap.seqs),
        )
        for each, gap in _new(records, lambda records: records.batch.gaps)
    )  # fmt: skip


def removals(records: Sequence[Records]) -> Columns | None:
    """Arguments of add_removals."""
    return _columns(
        (each.gateway_id, each.batch.epoch_of_gap(gap), gap.cause, first, min(last, MAX_SEQ))
        for each, gap in _new(records, lambda records: records.batch.gaps)
        for first, last in gap.seqs
        if first <= MAX_SEQ
    )


def statuses(records: Sequence[Records], dictionary: Dictionary) -> Columns | None:
    """Arguments of add_statuses."""
    return _columns(
        (
            each.gateway_id, each.batch.epoch, int(each.batch.seqs[row.record]), row.time_us,
            None if row.device is None else dictionary.device_id(each.batch.gateway, row.device),
            row.name, json.dumps(row.data),
        )
        for each, row in _new(records, lambda records: records.batch.statuses)
    )  # fmt: skip


def told(records: Sequence[Records], dictionary: Dictionary) -> Columns | None:
    """Arguments of tell_devices: the newest status of each device and name."""
    newest: dict[tuple[object, str], tuple[str, int]] = {}
    for each, row in _new(records, lambda records: records.batch.statuses):
        if row.device is None:
            continue
        key = dictionary.device_id(each.batch.gateway, row.device), row.name
        if key not in newest or newest[key][1] < row.time_us:
            newest[key] = json.dumps(row.data), row.time_us
    return _columns((*key, *value) for key, value in newest.items())


def given_aside(records: Sequence[Records], dictionary: Dictionary) -> Iterator[Aside]:
    """What ingest itself has put in quarantine."""
    for place, each in enumerate(records):
        if not each.batch.quarantined:
            continue
        series_ids = dictionary.series_ids(each.batch).tolist()
        for row in each.batch.quarantined:
            if each.is_new[row.record]:
                yield Aside(
                    place, row.record, series_ids[row.series], row.time_us, row.ord,
                    row.mantissa, row.scale, row.absent, row.reason, row.flags, row.error_ms,
                    each.batch.offsets.get(row.record, each.batch.offset_min), row.clock,
                    _detail_json(row.detail),
                )  # fmt: skip


def rows_aside(rows: Rows, records: Sequence[Records], reason: str) -> list[Aside]:
    """Rows that go to quarantine; they are few, so they may become objects."""
    details = {
        (batch, detail.row): detail
        for batch in set(rows.batch.tolist())
        for detail in records[batch].batch.details
    }
    return [
        Aside(
            batch=int(rows.batch[i]),
            record=int(
                records[rows.batch[i]].batch.readings.record_of_row[rows.place[i]],
            ),
            series_id=int(rows.series_id[i]),
            time_us=int(rows.time_us[i]),
            ord=int(rows.ord[i]),
            mantissa=int(rows.mantissa[i]),
            scale=int(rows.scale[i]),
            absent=int(rows.absent[i]),
            reason=reason,
            flags=int(rows.flags[i]),
            error_ms=int(rows.error_ms[i]),
            offset_min=int(rows.offset_min[i]),
            clock=int(rows.clock[i]),
            detail=_detail_json(details.get((int(rows.batch[i]), int(rows.place[i])))),
        )
        for i in range(len(rows))
    ]


def _detail_json(detail: Detail | None) -> str | None:
    if detail is None:
        return None
    return json.dumps({name: value for name, value in asdict(detail).items() if name != "row"})


def quarantine(lines: Iterable[Aside], records: Sequence[Records]) -> Columns | None:
    """Arguments of add_quarantined."""
    return _columns(
        (
            records[line.batch].gateway_id, records[line.batch].batch.epoch,
            int(records[line.batch].batch.seqs[line.record]), line.series_id, line.time_us,
            line.ord, line.mantissa, line.scale, line.absent, line.reason, line.body,
            line.event_id, line.flags, line.error_ms, line.offset_min, line.clock, line.detail,
        )
        for line in lines
    )  # fmt: skip


def details(
    records: Sequence[Records], dictionary: Dictionary, dropped: frozenset[DroppedRow]
) -> Columns | None:
    """Arguments of add_details: of rows that were stored."""
    return _columns(_details(records, dictionary, dropped))


def _details(
    records: Sequence[Records], dictionary: Dictionary, dropped: frozenset[DroppedRow]
) -> Iterator[tuple[object, ...]]:
    for place, each in enumerate(records):
        if not each.batch.details:
            continue
        readings = each.batch.readings
        rows = np.array([detail.row for detail in each.batch.details], np.int64)
        is_new = each.is_new[readings.record_of_row[rows]].tolist()
        series_ids = dictionary.series_ids(each.batch)[readings.series[rows]].tolist()
        times, ords = readings.time_us[rows].tolist(), readings.ord[rows].tolist()
        keys = zip(series_ids, times, ords, strict=True)
        for detail, new, key in zip(each.batch.details, is_new, keys, strict=True):
            if new and (place, detail.row) not in dropped:
                context = json.dumps(detail.context) if detail.context else None
                yield (
                    *key, detail.raw_scale, detail.raw_mantissa, detail.skew_s,
                    detail.device_time, context,
                )  # fmt: skip


Block = tuple[int, WaveformRow, int]
"""(batch, row, series id) of one waveform block."""


def waveforms(
    records: Sequence[Records], dictionary: Dictionary
) -> tuple[list[Block], list[Aside]]:
    """Blocks to store, and blocks on the key of one of them that are not the same."""
    kept: dict[tuple[int, int], Block] = {}
    others: list[Aside] = []
    for place, each in enumerate(records):
        for row in each.batch.waveforms:
            if not each.is_new[row.record]:
                continue
            series_id = int(dictionary.series_ids(each.batch)[row.series])
            _, first, _ = kept.setdefault((series_id, row.time_us), (place, row, series_id))
            if _value(first) != _value(row):
                others.append(waveform_aside(place, row, series_id))
    return list(kept.values()), others


def waveform_columns(blocks: Sequence[Block], records: Sequence[Records]) -> Columns:
    """Arguments of add_waveforms, without the commit."""
    rows = [
        (
            series_id, row.time_us, row.rate_mhz, row.origin, records[batch].gateway_id,
            row.error_ms, row.scale, row.samples,
        )
        for batch, row, series_id in blocks
    ]  # fmt: skip
    return _columns(rows) or []


def waveform_aside(batch: int, row: WaveformRow, series_id: int) -> Aside:
    """A block on the key of another one."""
    return Aside(
        batch, row.record, series_id, row.time_us, 0, row.origin, row.scale, 0, OTHER_WAVEFORM,
        0, row.error_ms, 0, 0, json.dumps({"rate_mhz": row.rate_mhz}), row.samples,
    )  # fmt: skip


def _value(row: WaveformRow) -> tuple[int, int, int, bytes]:
    """What makes two blocks the same."""
    return row.rate_mhz, row.origin, row.scale, row.samples


def _new(
    records: Sequence[Records], rows_of: Callable[[Records], Sequence[_RowT]]
) -> Iterator[tuple[Records, _RowT]]:
    for each in records:
        for row in rows_of(each):
            if each.is_new[row.record]:
                yield each, row


def _columns(rows: Iterable[tuple[object, ...]]) -> Columns | None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or None
