"""An acknowledgement at work: removed in parts, so that no transaction grows with the backlog.

After an outage one ack may name millions of rows. As one transaction it would need a log of their
size, on a disk that may be full, and new records would wait for it.

A damaged row goes only as a whole (removal.py). So ranges that touch are one, and a part begins so
far before the end of the last one that a row across their border lies within it.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from wardlight_edge.outbox.packing import MOST_RECORDS
from wardlight_edge.outbox.ranges import RangeSet
from wardlight_edge.outbox.rows import Rows

PART_ROWS: Final = 1000


class Settlement:
    """What an ack names: (first, last) of committed seqs, and rejected seqs with their reasons."""

    def __init__(
        self, committed: Iterable[tuple[int, int]], rejected: Sequence[tuple[int, str]]
    ) -> None:
        self._spans = deque(RangeSet(committed))
        self._rejected = rejected
        self.removed = 0
        self.is_done = False

    def step(self, rows: Rows) -> int:
        """Remove the next part; raises without losing its place."""
        part, rest = self._next_part(rows)
        removed = rows.settle(part, self._rejected)
        self._rejected = ()
        self._spans = rest
        self.is_done = not rest
        return removed

    def drop(self) -> int:
        """The epoch is over: its seqs name other rows now."""
        self.is_done = True
        return 0

    def _next_part(self, rows: Rows) -> tuple[list[tuple[int, int]], deque[tuple[int, int]]]:
        """Split off spans of at most PART_ROWS seqs together, clipped to those in the file."""
        rest: deque[tuple[int, int]] = deque(
            (max(first, rows.lowest), min(last, rows.highest)) for first, last in self._spans
        )
        part: list[tuple[int, int]] = []
        room = PART_ROWS
        while rest and room:
            first, last = rest.popleft()
            if last < first or not rows.lowest:
                continue
            if last - first >= room:
                end = first + room
                rest.appendleft((max(first, end - MOST_RECORDS + 1), last))
                last = end - 1
            part.append((first, last))
            room -= last - first + 1
        return part, rest
