"""Block bodies to columns: whole arrays at once, no Python object per sample.

In      BlockBody: groups of columns on one time axis each
Out     chunks (one per column) of times and mantissas, and what is constant in a chunk
Errors  EnvelopeError: nothing of that block was taken
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from wardlight_cloud.ingest.dictionary import SeriesDictionary
from wardlight_cloud.ingest.moments import (
    EARLIEST_MS,
    LATEST_MS,
    Moment,
    checked_ms,
    flags_of_bound,
)
from wardlight_shared.errors import EnvelopeError
from wardlight_shared.model import ABSENT_BY_CODE
from wardlight_shared.records import BlockBody, Column, Group

Int64s = NDArray[np.int64]
MAX_RECORD_ROWS: Final = 100_000  # a minute of 1 kHz and more; a block of the edge has hundreds
_DTYPES: Final = {width: np.dtype(f"<i{width}") for width in (1, 2, 4, 8)}
_INT64_LIMIT: Final = 1 << 63


@dataclass(slots=True)
class Chunk:
    """One column of one block; flag runs and absences are places inside the chunk."""

    number: int
    scale: int
    times_ms: Int64s
    mantissas: Int64s
    ascends: bool  # no two samples share a time
    absents: Sequence[tuple[int, int]]
    flags: Sequence[tuple[int, int, int]]
    ords: NDArray[np.int32] | None = None


@dataclass(slots=True)
class BlockRows:
    """Accumulates blocks; the lists hold one place per chunk."""

    dictionary: SeriesDictionary
    chunks: list[Chunk] = field(default_factory=list)
    series: list[int] = field(default_factory=list)
    clock: list[int] = field(default_factory=list)
    error_ms: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    record: list[int] = field(default_factory=list)
    rows: int = 0

    def __len__(self) -> int:
        return self.rows

    def add(self, record: int, body: BlockBody, moment: Moment) -> None:
        """Take one block as the record with place ``record`` in the batch."""
        rows = sum(group.count * len(group.columns) for group in body.groups)
        if not 0 < rows <= MAX_RECORD_ROWS:
            raise EnvelopeError(f"{rows} samples, 1 to {MAX_RECORD_ROWS} allowed", where="groups")
        chunks = [
            chunk
            for place, group in enumerate(body.groups)
            for chunk in self._group(group, moment, f"groups[{place}]")
        ]
        _count_repeats(chunks)
        bound = moment.bound(body.error_ms)
        # From here on nothing fails, so that an unfit block leaves nothing behind.
        self.chunks += chunks
        self.series += [self.dictionary.place(chunk.number) for chunk in chunks]
        self.clock += [moment.how(body.method)] * len(chunks)
        self.error_ms += [bound] * len(chunks)
        self.flags += [flags_of_bound(bound)] * len(chunks)
        self.record += [record] * len(chunks)
        self.rows += rows

    def _group(self, group: Group, moment: Moment, where: str) -> list[Chunk]:
        times_ms = _times(group, checked_ms(moment.time_ms + group.start_ms, where), where)
        ascends = bool((times_ms[1:] > times_ms[:-1]).all())
        chunks: list[Chunk] = []
        for place, column in enumerate(group.columns):
            inside = f"{where}.columns[{place}]"
            factor = self.dictionary.key(column.series).factor
            mantissas = _mantissas(column, group.count, factor, inside)
            absents, flags = column.absents or (), column.flags or ()
            if absents:
                _check_absents(absents, group.count, inside)
                mantissas[[sample for sample, _ in absents]] = 0
            if flags:
                _check_flags(flags, group.count, inside)
            chunks.append(
                Chunk(column.series, column.scale, times_ms, mantissas, ascends, absents, flags)
            )
        return chunks


def _deltas(octets: bytes, count: int, width: int, where: str) -> Int64s:
    dtype = _DTYPES.get(width)
    if dtype is None:
        raise EnvelopeError(f"width {width} is not 1, 2, 4 or 8", where=where)
    if len(octets) != count * width:
        raise EnvelopeError(f"{len(octets)} bytes, need {count * width}", where=where)
    return np.frombuffer(octets, dtype).astype(np.int64)


def _times(group: Group, base_ms: int, where: str) -> Int64s:
    """The time axis: base + tick_ms * running sum of (period + jitter)."""
    jitter = _deltas(group.jitter, group.count - 1 if group.jitter else 0, group.width, where)
    # The axis may wander far out and back: first in floats, which cannot wrap around.
    reach = (group.count - 1) * (group.period + (1 << 8 * group.width - 1)) * group.tick_ms
    if base_ms - reach < EARLIEST_MS or base_ms + reach > LATEST_MS:
        axis = base_ms + group.tick_ms * np.cumsum(group.period + jitter.astype(np.float64))
        last = base_ms + group.tick_ms * group.period * (group.count - 1)
        lowest, highest = (axis.min(), axis.max()) if len(jitter) else (base_ms, last)
        checked_ms(int(lowest), where)
        checked_ms(int(highest), where)
    if not len(jitter):
        step_ms = group.period * group.tick_ms
        return np.arange(group.count, dtype=np.int64) * step_ms + base_ms
    times = np.empty(group.count, np.int64)
    times[0] = base_ms
    times[1:] = (jitter + group.period) * group.tick_ms
    return times.cumsum()


def _mantissas(column: Column, count: int, factor: int, where: str) -> Int64s:
    """Running sum of the deltas times the series' factor; exact in int64, or an error."""
    deltas = _deltas(column.deltas, count - 1, column.width, f"{where}.deltas")
    values = np.empty(count, np.int64)
    values[0] = column.first
    values[1:] = deltas
    values = values.cumsum()
    reach = abs(column.first) + ((count - 1) << 8 * column.width - 1)
    if reach * factor >= _INT64_LIMIT:
        _check_exact(values, deltas, factor, where)
    if factor != 1:
        values *= factor
    return values


def _check_exact(values: Int64s, deltas: Int64s, factor: int, where: str) -> None:
    """A sum wrapped where it differs in sign from both of its terms."""
    before, after = values[:-1], values[1:]
    wrapped = bool((((before ^ after) & (deltas ^ after)) < 0).any())
    lowest, highest = int(values.min()) * factor, int(values.max()) * factor
    if wrapped or lowest < -_INT64_LIMIT or highest >= _INT64_LIMIT:
        raise EnvelopeError("a mantissa is beyond 64 bits", where=where)


def _check_absents(absents: Sequence[tuple[int, int]], count: int, where: str) -> None:
    if max(sample for sample, _ in absents) >= count:
        raise EnvelopeError("points past the samples", where=f"{where}.absents")
    if len({sample for sample, _ in absents}) != len(absents):
        raise EnvelopeError("names a sample twice", where=f"{where}.absents")
    highest = max(code for _, code in absents)
    if highest >= len(ABSENT_BY_CODE):
        raise EnvelopeError(f"unknown reason {highest}", where=f"{where}.absents")


def _check_flags(flags: Sequence[tuple[int, int, int]], count: int, where: str) -> None:
    if any(first + samples > count for first, samples, _ in flags):
        raise EnvelopeError("a run goes past the samples", where=f"{where}.flags")


def _count_repeats(chunks: Sequence[Chunk]) -> None:
    """Number the samples of one series that share a time 0, 1, ..: two true values both count."""
    chunks_of: dict[int, list[Chunk]] = {}
    for chunk in chunks:
        chunks_of.setdefault(chunk.number, []).append(chunk)
    for same_series in chunks_of.values():
        if len(same_series) == 1 and same_series[0].ascends:
            continue
        ords = _repeats(np.concatenate([chunk.times_ms for chunk in same_series]))
        first = 0
        for chunk in same_series:
            chunk.ords = ords[first : first + len(chunk.times_ms)]
            first += len(chunk.times_ms)


def _repeats(times_ms: Int64s) -> NDArray[np.int32]:
    """For each place, how many earlier places hold the same time."""
    order = np.argsort(times_ms, kind="stable")
    arranged = times_ms[order]
    places = np.arange(len(arranged))
    starts = np.concatenate(([True], arranged[1:] != arranged[:-1]))
    run_start = np.maximum.accumulate(np.where(starts, places, 0))
    ords = np.empty(len(arranged), np.int32)
    ords[order] = places - run_start
    return ords
