"""One time axis and the columns on it while they grow: the samples of one group of a block."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

from wardlight_edge.streams.columns import column, fits, jitter
from wardlight_shared.codes import METRICS
from wardlight_shared.floats import parts_from_decimal
from wardlight_shared.model import Absent, Reading
from wardlight_shared.records import Group, SeriesKey

MOST_SAMPLES = 20_000  # records.Group.count


class Cell(NamedTuple):
    """One number of one sample: its series, its scale, and the mantissa or why there is none."""

    key: SeriesKey
    scale: int
    mantissa: int | Absent
    flags: int


def cell(device: str, reading: Reading, known: tuple[SeriesKey, int] | None = None) -> Cell:
    """Put a reading into the terms of a block.

    Where a decoder converted whole raw numbers by an exact factor, the raw ones are kept and the
    factor moves into the key (RR intervals: 2 bytes instead of 5). A missing number has neither
    scale nor factor of its own: it takes the ``known`` ones of its series.
    """
    if isinstance(reading.value, Absent):
        key, scale = known or (series_key(device, reading), 0)
        return Cell(key, scale, reading.value, reading.flags)
    mantissa, scale = parts_from_decimal(reading.value)
    raw = _whole(reading.raw_value)
    if raw and mantissa % raw == 0 and 0 < mantissa // raw < 1 << 40:
        key = series_key(device, reading, factor=mantissa // raw)
        return Cell(key, scale, raw, reading.flags)
    return Cell(series_key(device, reading), scale, mantissa, reading.flags)


def series_key(device: str, reading: Reading, factor: int = 1) -> SeriesKey:
    """The series a reading belongs to; ``factor`` only for raw mantissas of a block."""
    row = METRICS[reading.metric]
    return SeriesKey(
        device=device,
        metric=row.wire,
        unit=None if reading.unit == row.unit else reading.unit,
        user=reading.user,
        site=reading.site,
        raw_unit=None if reading.raw_unit == reading.unit else reading.raw_unit,
        factor=factor,
    )


def _whole(raw: Decimal | None) -> int | None:
    if raw is None:
        return None
    mantissa, exponent = parts_from_decimal(raw)
    return mantissa if exponent == 0 else None


class Axis:
    """The samples of one set of series. Ticks rise strictly: no two samples share a moment."""

    def __init__(self, cells: Sequence[Cell], moment_ms: int, tick_ms: int) -> None:
        self._start_ms = moment_ms
        self._tick_ms = tick_ms
        self._series = [(each.key, each.scale) for each in cells]
        self._mantissas: list[list[int | Absent]] = [[] for _ in cells]
        self._flags: list[list[int]] = [[] for _ in cells]
        self._last = [0 for _ in cells]
        self._ticks: list[int] = []

    def __len__(self) -> int:
        return len(self._ticks)

    @property
    def end_ms(self) -> int:
        """Moment of the last sample, on the grid of ticks."""
        return self._start_ms + self._ticks[-1] * self._tick_ms

    def takes(self, cells: Sequence[Cell]) -> bool:
        """Whether there is room for one more sample of these numbers."""
        if len(self._ticks) >= MOST_SAMPLES:
            return False
        return all(
            isinstance(each.mantissa, Absent) or fits(each.mantissa - last)
            for each, last in zip(cells, self._last, strict=True)
        )

    def add(self, cells: Sequence[Cell], moment_ms: int) -> None:
        """Append one sample; a moment not after the last one moves to the next tick."""
        tick = (moment_ms - self._start_ms + self._tick_ms // 2) // self._tick_ms
        self._ticks.append(max(tick, self._ticks[-1] + 1) if self._ticks else 0)
        for place, each in enumerate(cells):
            self._mantissas[place].append(each.mantissa)
            self._flags[place].append(each.flags)
            if not isinstance(each.mantissa, Absent):
                self._last[place] = each.mantissa

    def group(self, record_ms: int, period: int, number: Callable[[SeriesKey], int]) -> Group:
        """Encode; ``record_ms`` is the time of the record, ``period`` in ticks."""
        width, misses = jitter(self._ticks, period)
        columns = [
            column(number(key), scale, mantissas, flags)
            for (key, scale), mantissas, flags in zip(
                self._series, self._mantissas, self._flags, strict=True
            )
        ]
        start_ms = self._start_ms - record_ms
        return Group(start_ms, self._tick_ms, period, len(self), width, misses, columns)
