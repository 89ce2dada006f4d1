"""The readings of events and blocks as one array per field: events first, then blocks.

The places of events therefore stay when samples of blocks are left out; details point to them.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from wardlight_cloud.ingest.blocks import BlockRows, Chunk
from wardlight_cloud.ingest.events import FUTURE, EventRows
from wardlight_cloud.store.batch import Quarantined, ReadingColumns
from wardlight_shared.model import CLOUD_ONLY, CODE_BY_ABSENT, Absent, Flag


def reading_columns(
    events: EventRows, blocks: BlockRows, future_ms: int
) -> tuple[ReadingColumns, list[Quarantined]]:
    """One array per field, and what lies beyond ``future_ms`` (UTC), which stands aside."""
    if not blocks.chunks:
        return _told(_event_columns(events), events), []
    columns = _block_columns(blocks)
    if events.series:
        columns = _joined(_event_columns(events), columns)
    columns = _told(columns, events)
    future = columns.time_us > future_ms * 1000
    if not future.any():
        return columns, []
    return _without(columns, future), _aside(columns, future)


def _told(columns: ReadingColumns, events: EventRows) -> ReadingColumns:
    """Without the flags that no gateway may set, and with those that contexts ask for."""
    np.bitwise_and(columns.flags, ~CLOUD_ONLY, out=columns.flags)
    for first, after, flag in events.statements:
        columns.flags[first:after] |= flag
        if flag & Flag.WITHDRAWN:
            columns.mantissa[first:after] = 0
            columns.absent[first:after] = CODE_BY_ABSENT[Absent.INVALID]
    return columns


def _event_columns(events: EventRows) -> ReadingColumns:
    counts = np.array(events.counts, np.int64)

    def spread(values: list[int], dtype: DTypeLike) -> NDArray[Any]:
        return np.repeat(np.array(values, dtype), counts)

    return ReadingColumns(
        series=np.array(events.series, np.int32),
        time_us=spread(events.time_ms, np.int64) * 1000,
        ord=np.array(events.ord, np.int32),
        mantissa=np.array(events.mantissa, np.int64),
        scale=np.array(events.scale, np.int16),
        absent=np.array(events.absent, np.int16),
        flags=np.array(events.flags, np.int64),
        clock=spread(events.clock, np.int16),
        error_ms=spread(events.error_ms, np.int32),
        record_of_row=spread(events.record, np.int32),
    )


def _block_columns(blocks: BlockRows) -> ReadingColumns:
    chunks = blocks.chunks
    counts = np.array([len(chunk.times_ms) for chunk in chunks], np.int64)

    def spread(values: list[int], dtype: DTypeLike) -> NDArray[Any]:
        return np.repeat(np.array(values, dtype), counts)

    columns = ReadingColumns(
        series=spread(blocks.series, np.int32),
        time_us=_end_to_end([chunk.times_ms for chunk in chunks]) * 1000,
        ord=np.zeros(len(blocks), np.int32),
        mantissa=_end_to_end([chunk.mantissas for chunk in chunks]),
        scale=spread([chunk.scale for chunk in chunks], np.int16),
        absent=np.zeros(len(blocks), np.int16),
        flags=spread(blocks.flags, np.int64),
        clock=spread(blocks.clock, np.int16),
        error_ms=spread(blocks.error_ms, np.int32),
        record_of_row=spread(blocks.record, np.int32),
    )
    first = 0
    for chunk in chunks:
        _write_exceptions(columns, chunk, first)
        first += len(chunk.times_ms)
    return columns


def _write_exceptions(columns: ReadingColumns, chunk: Chunk, first: int) -> None:
    """What only some samples of a chunk have: reasons, flag runs, repeats of one time."""
    for sample, code in chunk.absents:
        columns.absent[first + sample] = code
    for sample, samples, flags in chunk.flags:
        columns.flags[first + sample : first + sample + samples] |= flags
    if chunk.ords is not None:
        columns.ord[first : first + len(chunk.ords)] = chunk.ords


def _end_to_end(arrays: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)


def _joined(first: ReadingColumns, second: ReadingColumns) -> ReadingColumns:
    return ReadingColumns(
        *(
            np.concatenate((getattr(first, name), getattr(second, name)))
            for name in ReadingColumns.__dataclass_fields__
        )
    )


def _without(columns: ReadingColumns, left_out: NDArray[np.bool_]) -> ReadingColumns:
    names = ReadingColumns.__dataclass_fields__
    return ReadingColumns(*(getattr(columns, name)[~left_out] for name in names))


def _aside(columns: ReadingColumns, future: NDArray[np.bool_]) -> list[Quarantined]:
    """Rows that are kept aside; they come last among the rows, so that details keep their place."""
    names = (
        "series", "time_us", "ord", "mantissa", "scale", "absent", "flags", "clock", "error_ms",
    )  # fmt: skip
    picked = [getattr(columns, name)[future].tolist() for name in ("record_of_row", *names)]
    return [
        Quarantined(record, **dict(zip(names, values, strict=True)), reason=FUTURE)
        for record, *values in zip(*picked, strict=True)
    ]
