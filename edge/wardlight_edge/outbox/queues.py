"""Which rows wait where: the directory that lets ``take`` find its rows without an index.

A row belongs for ever to the queue that ``queue_of`` gives it when it is accepted. Rows of the
live queue grow old: then they are served as backfill. Per queue and hour of
receipt the directory knows the first and the last seq and up to where rows were taken; it is
rebuilt from one scan at start. An index would do the same for one more page write per commit,
which a memory card pays for in wear.

Pure: no clock, no I/O. Used by one thread only.
"""

from collections import deque
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

from wardlight_edge.outbox.base import LONGEST_BLOCK_MS, Choice
from wardlight_shared.records import Lane

_HOUR_MS: Final = 3_600_000
_HOURS_PER_BOOT: Final = 1 << 20
_MARK_MS: Final = 1000  # live rows are told old to this precision


class Queue(IntEnum):
    """Queue of a row; the number stands in the file."""

    ALARM = 0
    LIVE = 1
    BACKFILL = 2
    BULK = 3


QUEUE_BY_LANE: Final = {lane: Queue(int(lane)) for lane in Lane}


def hour_of(boot: int, mono_ms: int) -> int:
    """Hour of receipt as one number that grows over all boots."""
    return boot * _HOURS_PER_BOOT + max(0, mono_ms) // _HOUR_MS


class Moment(msgspec.Struct, frozen=True):
    """Now, on the clocks of the running boot."""

    boot: int
    mono_ms: int
    wall_ms: int


class Segment:
    """Rows of one queue and hour: seqs within [first, last]; those <= cursor were taken."""

    __slots__ = ("cursor", "first", "hour", "last", "queue")

    def __init__(self, queue: Queue, hour: int | None, seq: int) -> None:
        self.queue = queue
        self.hour = hour
        self.first = self.last = seq
        self.cursor = seq - 1

    def include(self, first: int, last: int) -> None:
        """Widen to hold seqs; a seq below the cursor moves the cursor back."""
        self.first = min(self.first, first)
        self.last = max(self.last, last)
        self.cursor = min(self.cursor, first - 1)


class Scan:
    """Rows to look at next: queue, hour (None = any) and seqs in (after, last]."""

    __slots__ = ("_segment", "after", "hour", "last", "queue")

    def __init__(self, segment: Segment, after: int, last: int) -> None:
        self._segment = segment
        self.queue = segment.queue
        self.hour = segment.hour
        self.after = after
        self.last = last

    def taken(self, seq: int) -> None:
        """Every row up to ``seq`` was taken or need not be looked at again."""
        self._segment.cursor = max(self._segment.cursor, seq)


class _Mark:
    """Rows of the live queue that were received within about a second."""

    __slots__ = ("first", "last", "newest_ms", "oldest_ms")

    def __init__(self, mono_ms: int, first: int, last: int) -> None:
        self.oldest_ms = self.newest_ms = mono_ms
        self.first = first
        self.last = last


class Waiting:
    """The directory. ``live_ms`` = how long a row of the live queue is served first."""

    def __init__(self, live_age_ms: int) -> None:
        self.live_ms = live_age_ms + LONGEST_BLOCK_MS
        self._alarm: Segment | None = None
        self._live: Segment | None = None
        self._bulk: Segment | None = None
        self._hours: dict[tuple[int, Queue], Segment] = {}
        self._marks: deque[_Mark] = deque()

    def queue_of(self, lane: Lane, mono_ms: int, now_ms: int) -> Queue:
        """Queue for a row accepted now; a live one that is old already goes to backfill."""
        if lane is Lane.LIVE and mono_ms < now_ms - self.live_ms:
            return Queue.BACKFILL
        return QUEUE_BY_LANE[lane]

    def added(self, queue: Queue, hour: int, first: int, last: int) -> None:
        """Enter rows of one queue and hour with seqs within [first, last]."""
        if queue is Queue.ALARM:
            self._alarm = _widened(self._alarm, queue, None, first, last)
        elif queue is Queue.BULK:
            self._bulk = _widened(self._bulk, queue, None, first, last)
        else:
            key = (hour, queue)
            self._hours[key] = _widened(self._hours.get(key), queue, hour, first, last)

    def added_live(self, mono_ms: int, first: int, last: int) -> None:
        """Rows of the live queue received up to ``mono_ms`` in this boot (beside ``added``)."""
        self._live = _widened(self._live, Queue.LIVE, None, first, last)
        if self._marks and mono_ms < self._marks[-1].oldest_ms + _MARK_MS:
            mark = self._marks[-1]
            mark.newest_ms, mark.last = max(mark.newest_ms, mono_ms), last
        else:
            self._marks.append(_Mark(mono_ms, first, last))

    def groups(self, choice: Choice, now_ms: int) -> Iterator[list[Scan]]:
        """Scans to serve ``choice``, in order; the scans of one list are merged by seq."""
        self._grow_old(now_ms)
        if choice is Choice.BACKFILL:
            yield from self._backfill()
            return
        segment = {Choice.ALARM: self._alarm, Choice.LIVE: self._live, Choice.BULK: self._bulk}[
            choice
        ]
        if segment is not None and segment.cursor < segment.last:
            yield [Scan(segment, segment.cursor, segment.last)]

    def may_wait(self, choice: Choice) -> bool:
        """False = surely no row for ``choice``; True = a look at the file decides."""
        if choice is Choice.BACKFILL:
            # A copy of the list, because any thread may ask.
            return any(segment.cursor < segment.last for segment in list(self._hours.values()))
        segment = {Choice.ALARM: self._alarm, Choice.LIVE: self._live, Choice.BULK: self._bulk}[
            choice
        ]
        return segment is not None and segment.cursor < segment.last

    def rewind(self, seq: int) -> None:
        """Rows from ``seq`` on wait again; who takes must skip those still leased."""
        for segment in self._segments():
            if segment.first <= segment.cursor and segment.cursor >= seq:
                segment.cursor = max(seq, segment.first) - 1

    def prune(self, lowest: int) -> None:
        """Forget segments that lie wholly below ``lowest``, the lowest seq still in the file."""
        for key in [key for key, segment in self._hours.items() if segment.last < lowest]:
            del self._hours[key]

    def _segments(self) -> Iterator[Segment]:
        yield from self._hours.values()
        for segment in (self._alarm, self._live, self._bulk):
            if segment is not None:
                yield segment

    def _grow_old(self, now_ms: int) -> None:
        while self._marks and self._marks[0].newest_ms < now_ms - self.live_ms:
            self._marks.popleft()
        if not self._marks:
            self._live = None
        elif self._live is not None:
            self._live.first = max(self._live.first, self._marks[0].first)
            self._live.cursor = max(self._live.cursor, self._live.first - 1)

    def _backfill(self) -> Iterator[list[Scan]]:
        for hour in sorted({hour for hour, _ in self._hours}, reverse=True):
            scans: list[Scan] = []
            for queue in (Queue.LIVE, Queue.BACKFILL):
                segment = self._hours.get((hour, queue))
                if segment is None:
                    continue
                last = segment.last
                if queue is Queue.LIVE and self._marks:
                    last = min(last, self._marks[0].first - 1)
                if segment.cursor < last:
                    scans.append(Scan(segment, segment.cursor, last))
            if scans:
                yield scans


def _widened(
    segment: Segment | None, queue: Queue, hour: int | None, first: int, last: int
) -> Segment:
    if segment is None:
        segment = Segment(queue, hour, first)
    segment.include(first, last)
    return segment
