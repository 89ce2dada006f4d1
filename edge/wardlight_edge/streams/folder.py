"""Readings of a stream, one by one, into blocks of up to a minute.

The folder keeps one unfinished block. It is told every moment and reads no clock; who owns it
asks ``due_ms`` and calls ``flush``. Numbers of one notification share a time axis. The intervals
of a heart rate notification (oldest first, the last one ending at the receipt) have their own.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from wardlight_edge.streams.axis import Axis, Cell, cell
from wardlight_shared.model import Reading
from wardlight_shared.profile import StreamSection
from wardlight_shared.records import BlockBody, SeriesKey, TimeMethod

SHORT_MS = 1000  # a block while someone watches or an alarm is near
ERROR_MS = 1000  # a notification waits for its connection event; some stacks hold several back
MOST_AXES = 8
INTERVALS = frozenset({"ppg_rr_interval"})
_PAUSE_MS = 5000
_PAUSE_PERIODS = 3

_Shape = tuple[tuple[SeriesKey, int], ...]
_Identity = tuple[str, str, int | None, str | None]


class Block(msgspec.Struct, frozen=True):
    """A finished block.

    mono_ms, wall_ms  receipt of its first sample
    end_mono_ms       receipt of its last sample
    samples           numbers in it, missing ones too
    """

    mono_ms: int
    wall_ms: int
    end_mono_ms: int
    samples: int
    body: BlockBody


class Folder:
    """Folds one device's stream; ``number`` gives the number of a series in the outbox."""

    def __init__(
        self, device: str, stream: StreamSection, number: Callable[[SeriesKey], int]
    ) -> None:
        self._device = device
        self._number = number
        self._tick_ms = stream.tick_ms
        self._period = max(stream.period_ms // stream.tick_ms, 1)
        self._longest_ms = stream.block_s * 1000
        self._pause_ms = max(_PAUSE_MS, _PAUSE_PERIODS * stream.period_ms)
        # At 1 Hz the first sample already fills a second: it goes at once.
        self._short_ms = max(SHORT_MS - stream.period_ms, 0)
        self._is_short = False
        self._axes: dict[_Shape, Axis] = {}
        self._known: dict[_Identity, tuple[SeriesKey, int]] = {}
        self._ends: dict[_Identity, int] = {}
        self._first: tuple[int, int] | None = None
        self._last_ms = 0

    @property
    def is_empty(self) -> bool:
        """True when no sample waits for its block's end."""
        return self._first is None

    @property
    def due_ms(self) -> int | None:
        """Receipt time at which the running block is to be flushed; None without one."""
        if self._first is None:
            return None
        return self._first[0] + (self._short_ms if self._is_short else self._longest_ms)

    def shorten(self, is_short: bool) -> None:
        """Make blocks of 1 s, or of the profile's length again; holds for the running block."""
        self._is_short = is_short

    def add(
        self, readings: Sequence[Reading], mono_ms: int, wall_ms: int, age_ms: int = 0
    ) -> list[Block]:
        """Take the readings of one notification; return the blocks this finishes.

        ``age_ms`` is how long before the receipt at ``mono_ms`` they were recorded.
        """
        done = self._closed_before(mono_ms)
        moment = mono_ms - age_ms
        together = [reading for reading in readings if reading.metric not in INTERVALS]
        intervals = [reading for reading in readings if reading.metric in INTERVALS]
        if together:
            done += self._add_sample(together, moment, mono_ms, wall_ms)
        for reading, end in zip(intervals, _interval_ends(intervals, moment), strict=True):
            done += self._add_sample([reading], end, mono_ms, wall_ms)
        self._last_ms = mono_ms
        return done

    def flush(self) -> list[Block]:
        """End the running block; [] without one."""
        if self._first is None:
            return []
        mono_ms, wall_ms = self._first
        groups = [axis.group(mono_ms, self._period, self._number) for axis in self._axes.values()]
        samples = sum(group.count * len(group.columns) for group in groups)
        body = BlockBody(TimeMethod.RECEIPT, ERROR_MS, groups)
        self._axes.clear()
        self._first = None
        return [Block(mono_ms, wall_ms, self._last_ms, samples, body)]

    def _closed_before(self, mono_ms: int) -> list[Block]:
        due = self.due_ms
        if due is not None and (mono_ms >= due or mono_ms - self._last_ms > self._pause_ms):
            return self.flush()
        return []

    def _add_sample(
        self, readings: Sequence[Reading], moment: int, mono_ms: int, wall_ms: int
    ) -> list[Block]:
        cells = [self._cell(reading) for reading in readings]
        shape = tuple((each.key, each.scale) for each in cells)
        axis = self._axes.get(shape)
        full = len(self._axes) >= MOST_AXES if axis is None else not axis.takes(cells)
        done = self.flush() if full else []
        if self._first is None:
            self._first = (mono_ms, wall_ms)
            self._last_ms = mono_ms
        moment = self._after_last(readings, moment)
        axis = self._axes.get(shape)
        if axis is None:
            axis = self._axes[shape] = Axis(cells, moment, self._tick_ms)
        axis.add(cells, moment)
        for reading in readings:
            self._ends[_identity(reading)] = axis.end_ms
        return done

    def _after_last(self, readings: Sequence[Reading], moment: int) -> int:
        """A moment later than any sample of these series so far, by at least a tick."""
        ends = (self._ends.get(_identity(reading)) for reading in readings)
        last = max((end for end in ends if end is not None), default=None)
        return moment if last is None else max(moment, last + self._tick_ms)

    def _cell(self, reading: Reading) -> Cell:
        identity = _identity(reading)
        made = cell(self._device, reading, self._known.get(identity))
        self._known[identity] = (made.key, made.scale)
        return made


def _identity(reading: Reading) -> _Identity:
    return reading.metric, reading.unit, reading.user, reading.site


def _interval_ends(intervals: Sequence[Reading], last_ms: int) -> list[int]:
    """When each interval ended: the last one at ``last_ms``, the others before it."""
    ends: list[int] = []
    end = Decimal(last_ms)
    for reading in reversed(intervals):
        ends.append(round(end))
        end -= reading.value if isinstance(reading.value, Decimal) else 0
    return ends[::-1]
