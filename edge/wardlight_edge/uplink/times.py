"""UTC for the records of a batch: the line of their boot, bounded by the best anchor; pure.

The bound of every anchor grows alike with distance, so where one anchor is best at both ends of a
stretch it is best in between, and on either side of the anchor the bound only grows: a stretch
on which the line is straight and whose ends agree needs no look at its middle. This finds the same
times and the same rounded bounds as asking for each record, with some dozens of questions per
thousand.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from wardlight_edge.outbox.timeline import Timeline
from wardlight_shared.envelope import Clock
from wardlight_shared.records import Record
from wardlight_shared.timestamps import Anchor, ClockQuality

_STEPS: Final = (1, 2, 5)
# No anchor was ever had in that boot: the wall clock of then, without a bound.
_UNANCHORED: Final = Clock(int(ClockQuality.ESTIMATED), None)


class Times(msgspec.Struct, frozen=True):
    """UTC in ms of each record, the clocks, and each record's index in them (None = all 0)."""

    utc_ms: list[int]
    clocks: list[Clock]
    clock_of: list[int] | None


def times_of(records: Sequence[Record], anchors: Sequence[Anchor]) -> Times:
    """Times of records in the order given."""
    found = _Finder(records)
    by_boot: dict[int, list[int]] = {}
    for place, record in enumerate(records):
        by_boot.setdefault(record.boot, []).append(place)
    for boot, places in by_boot.items():
        places.sort(key=lambda place: records[place].mono_ms)
        found.enter(places, [anchor for anchor in anchors if anchor.boot == boot])
    return found.times()


def rounded_up(error_ms: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50 ...: few different bounds, none of them too small."""
    power = 1
    while True:
        for step in _STEPS:
            if error_ms <= step * power:
                return step * power
        power *= 10


class _Finder:
    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self._utc_ms = [0] * len(records)
        self._clock_of = [0] * len(records)
        self._clocks: dict[Clock, int] = {}

    def times(self) -> Times:
        clock_of = self._clock_of if len(self._clocks) > 1 else None
        return Times(self._utc_ms, list(self._clocks), clock_of)

    def enter(self, places: Sequence[int], anchors: Sequence[Anchor]) -> None:
        """Find the times at ``places``, which are in order of time and of one boot."""
        if not anchors:
            self._assign(places, [self._records[place].wall_ms for place in places], _UNANCHORED)
            return
        line = _Line(anchors)
        stretches = [places]
        while stretches:
            stretch = stretches.pop()
            if not self._enter_stretch(stretch, line):
                middle = len(stretch) // 2
                stretches += (stretch[:middle], stretch[middle:])

    def _enter_stretch(self, places: Sequence[int], line: "_Line") -> bool:
        """Enter a stretch whose ends agree; False = it must be cut."""
        first_ms = self._records[places[0]].mono_ms
        last_ms = self._records[places[-1]].mono_ms
        anchor = line.best(first_ms)
        clock = line.clock(first_ms, anchor)
        if len(places) > 1:
            if not line.time.is_straight(first_ms, last_ms) or line.best(last_ms) != anchor:
                return False
            if first_ms < anchor.mono_ms < last_ms or line.clock(last_ms, anchor) != clock:
                return False
        offset_ms = line.time.offset_ms(first_ms)
        self._assign(places, [self._records[place].mono_ms + offset_ms for place in places], clock)
        return True

    def _assign(self, places: Sequence[int], utc_ms: Sequence[int], clock: Clock) -> None:
        index = self._clocks.setdefault(clock, len(self._clocks))
        for place, utc in zip(places, utc_ms, strict=True):
            self._utc_ms[place] = utc
            self._clock_of[place] = index


class _Line:
    """The line of one boot, and how well the anchors vouch for it."""

    def __init__(self, anchors: Sequence[Anchor]) -> None:
        self.time = Timeline(anchors)
        self._anchors = anchors

    def best(self, mono_ms: int) -> Anchor:
        """The anchor with the smallest bound here, the last of equals."""
        return min(reversed(self._anchors), key=lambda one: self.time.bound_ms(mono_ms, one))

    def clock(self, mono_ms: int, anchor: Anchor) -> Clock:
        """Quality and rounded bound of the line here, by an anchor."""
        if anchor.error_ms is None:
            return Clock(int(anchor.quality), None)
        return Clock(int(anchor.quality), rounded_up(int(self.time.bound_ms(mono_ms, anchor))))
