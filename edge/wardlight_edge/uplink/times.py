"""UTC for the records of a batch, by the best anchor of each; pure.

The bound of every anchor grows alike with distance, so where one anchor is best at both ends of a
stretch it is best in between, and on either side of the anchor the bound only grows: a stretch
whose ends agree needs no look at its middle. This finds the same times and the same rounded
bounds as asking ``resolve`` for each record, with some dozens of questions per thousand.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from wardlight_shared.envelope import Clock
from wardlight_shared.records import Record
from wardlight_shared.timestamps import Anchor, ClockQuality, Resolved, resolve

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
        stretches = [places]
        while stretches:
            stretch = stretches.pop()
            if not self._enter_stretch(stretch, anchors):
                middle = len(stretch) // 2
                stretches += (stretch[:middle], stretch[middle:])

    def _enter_stretch(self, places: Sequence[int], anchors: Sequence[Anchor]) -> bool:
        """Enter a stretch whose ends agree; False = it must be cut."""
        first_ms = self._records[places[0]].mono_ms
        last_ms = self._records[places[-1]].mono_ms
        anchor = _best(first_ms, anchors)
        if len(places) > 1 and _best(last_ms, anchors) != anchor:
            return False
        clock = _clock(_resolved(first_ms, anchor))
        is_one_sided = not first_ms < anchor.mono_ms < last_ms
        if not is_one_sided or _clock(_resolved(last_ms, anchor)) != clock:
            return False
        offset_ms = anchor.utc_ms - anchor.mono_ms
        self._assign(places, [self._records[place].mono_ms + offset_ms for place in places], clock)
        return True

    def _assign(self, places: Sequence[int], utc_ms: Sequence[int], clock: Clock) -> None:
        index = self._clocks.setdefault(clock, len(self._clocks))
        for place, utc in zip(places, utc_ms, strict=True):
            self._utc_ms[place] = utc
            self._clock_of[place] = index


def _best(mono_ms: int, anchors: Sequence[Anchor]) -> Anchor:
    """The anchor that ``resolve`` would use: the smallest bound here, the last of equals."""

    def bound(anchor: Anchor) -> float:
        error_ms = _resolved(mono_ms, anchor).error_ms
        return float("inf") if error_ms is None else error_ms

    return min(reversed(anchors), key=bound)


def _resolved(mono_ms: int, anchor: Anchor) -> Resolved:
    found = resolve(anchor.boot, mono_ms, (anchor,))
    if found is None:
        raise AssertionError("an anchor resolves moments of its own boot")
    return found


def _clock(found: Resolved) -> Clock:
    error_ms = None if found.error_ms is None else rounded_up(found.error_ms)
    return Clock(int(found.quality), error_ms)
