"""From the monotonic clock of a boot to UTC by one line that is never drawn anew; pure.

A record may be sent hours after another of its series, or sent again, and better anchors come in
between. Were each record timed by the best anchor of the moment, two blocks of a series could be
moved onto each other, and two true samples would share a key. So one line serves the whole boot,
whenever a record is sent: it follows the first anchor, and turns towards a later one only where
that one knows better (``wants_turn``), from its moment on. Upwards it turns at once; downwards it
leans by a thousandth until it is there, so that what was apart stays apart.

What the line is off from the best anchor goes into the error bound (uplink/times.py).

Guarantee  samples of a series, each block moved as a whole by the line at its record's moment, keep
           their order and never share a millisecond where the gap between two blocks is more
           than a thousandth of the time from start to start, plus 1 ms
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from wardlight_shared.timestamps import Anchor, drift_ms

LEAN: Final = 1000  # ms of the monotonic clock for each ms that the line comes down
LEAST_TURN_MS: Final = 100  # a crystal needs a quarter of an hour for it, at the worst


class Timeline:
    """The line of ONE boot; needs at least one anchor of it."""

    def __init__(self, anchors: Sequence[Anchor]) -> None:
        first, *later = turns_of(anchors)
        self._starts = [first.mono_ms]
        self._offsets = [(_offset(first), _offset(first))]
        for turn in later:
            here = self.offset_ms(turn.mono_ms)
            self._starts.append(turn.mono_ms)
            self._offsets.append((max(here, _offset(turn)), _offset(turn)))

    def offset_ms(self, mono_ms: int) -> int:
        """UTC minus monotonic clock at a moment."""
        place = max(bisect_right(self._starts, mono_ms) - 1, 0)
        begin, end = self._offsets[place]
        leaned = max(mono_ms - self._starts[place], 0) // LEAN
        return max(begin - leaned, end)

    def is_straight(self, first_ms: int, last_ms: int) -> bool:
        """Whether the offset is the same everywhere between two moments."""
        one_piece = bisect_right(self._starts, last_ms) <= max(
            bisect_right(self._starts, first_ms), 1
        )
        return one_piece and self.offset_ms(first_ms) == self.offset_ms(last_ms)

    def bound_ms(self, mono_ms: int, anchor: Anchor) -> float:
        """How far the line can be off at a moment, as an anchor sees it; inf = no bound."""
        if anchor.error_ms is None:
            return float("inf")
        off = abs(self.offset_ms(mono_ms) - _offset(anchor))
        return anchor.error_ms + drift_ms(mono_ms - anchor.mono_ms) + off


def turns_of(anchors: Sequence[Anchor]) -> list[Anchor]:
    """The turns in order; without a mark (anchors of an earlier program) the earliest anchor."""
    turns = [one for one in anchors if one.is_turn]
    return sorted(turns, key=_moment) if turns else [min(anchors, key=_moment)]


def wants_turn(anchors: Sequence[Anchor], new: Anchor) -> bool:
    """Whether the line is to turn at a new anchor: at the first one, or where that knows better."""
    if not anchors:
        return True
    line = Timeline(anchors)
    if turns_of(anchors)[-1].mono_ms >= new.mono_ms:
        return False  # what lies before the last turn has been used
    if abs(line.offset_ms(new.mono_ms) - _offset(new)) < LEAST_TURN_MS or new.error_ms is None:
        return False
    return new.error_ms < min(line.bound_ms(new.mono_ms, one) for one in anchors)


def _moment(anchor: Anchor) -> int:
    return anchor.mono_ms


def _offset(anchor: Anchor) -> int:
    return anchor.utc_ms - anchor.mono_ms
