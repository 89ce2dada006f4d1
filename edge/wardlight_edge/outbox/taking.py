"""One ``take`` at work: rows found by scans, opened, until one of its limits is reached."""

from collections.abc import Sequence
from typing import Final

from wardlight_edge.outbox.cipher import ID_BYTES, Cipher, DamagedRow
from wardlight_edge.outbox.database import Database, Row
from wardlight_edge.outbox.origin import unframed
from wardlight_edge.outbox.packing import MOST_RECORDS
from wardlight_edge.outbox.queues import Queue, Scan
from wardlight_edge.outbox.ranges import RangeSet
from wardlight_shared.errors import OutboxCorrupt
from wardlight_shared.records import Lane, Record

# A row that begins before the first seq may reach beyond it; 32 = MOST_RECORDS.
_SELECT: Final = (
    "SELECT seq, kind >> 4, queue, event_id, body FROM record"
    " WHERE seq > ?1 - 32 AND seq + (kind >> 4) > ?1 AND seq <= ?2 AND "
)
_IN_HOUR: Final = _SELECT + "hour = ?3 AND queue IN (?4, ?5) ORDER BY seq"
# Literal numbers, so that SQLite uses the partial index for alarms.
_IN_QUEUE: Final = {
    Queue.ALARM: _SELECT + "queue = 0 ORDER BY seq",
    Queue.LIVE: _SELECT + "queue = 1 ORDER BY seq",
    Queue.BULK: _SELECT + "queue = 3 ORDER BY seq",
}
_LANES: Final = tuple(Lane)


class Taking:
    """Collects records; ``damaged``: (first, last) of rows that fail their authentication.

    ``last`` is what such a row says: nothing vouches for it.
    """

    def __init__(
        self,
        database: Database,
        cipher: Cipher,
        leased: RangeSet,
        *,
        max_records: int,
        max_bytes: int,
    ) -> None:
        self._database = database
        self._cipher = cipher
        self._leased = leased
        self._max_records = max_records
        self._room = max_bytes
        self.records: list[Record] = []
        self.damaged: list[tuple[int, int]] = []
        self.is_full = False

    def run(self, scans: Sequence[Scan]) -> None:
        """Take from scans of one hour or queue, in order of seq, and move their cursors on."""
        after, last = min(scan.after for scan in scans), max(scan.last for scan in scans)
        before = len(self.records)
        reached = self._collect(scans, after, last)
        for scan in scans:
            scan.taken(min(reached, scan.last))
        self._leased.add_all([record.seq for record in self.records[before:]])

    def _collect(self, scans: Sequence[Scan], after: int, last: int) -> int:
        """Add records; return the seq up to which every one was looked at."""
        bounds = {int(scan.queue): (scan.after, scan.last) for scan in scans}
        leased = self._leased if self._leased.overlaps(after + 1, last) else RangeSet()
        free = 0
        for row in self._database.stream(*_query(scans, after, last)):
            first, more, queue, _, _ = row
            if first < free or not 0 <= more < MOST_RECORDS:
                raise OutboxCorrupt(f"{self._database.path}: row {first} cannot be where it is")
            free = first + more + 1
            low, high = bounds[queue]
            begin, end = max(first, low + 1), min(first + more, high)
            if begin > end or leased.covers(begin, end):
                continue
            stopped = self._add(row, begin, end, leased)
            if self.is_full:
                return stopped - 1
        return last

    def _add(self, row: Row, begin: int, end: int, leased: RangeSet) -> int:
        """Add the records of a row from ``begin`` to ``end``; return where it stopped."""
        first, more, _, hidden, sealed = row
        if self._would_overflow(0):
            self.is_full = True
            return begin
        try:
            held = self._cipher.open(first, sealed)
            event_id = None if hidden is None else self._shown(hidden)
        except DamagedRow:
            self.damaged.append((first, first + more))
            return end + 1
        if len(held.records) != more + 1:
            raise OutboxCorrupt(f"{self._database.path}: row {first} is not as long as it says")
        lane, boot = _LANES[held.lane], held.boot
        for seq, (mono_ms, wall_ms, framed) in enumerate(held.records, first):
            if not begin <= seq <= end or seq in leased:
                continue
            if self._would_overflow(len(framed)):
                self.is_full = True
                return seq
            body, origin = unframed(framed)
            self.records.append(Record(seq, lane, event_id, boot, mono_ms, wall_ms, body, origin))
            self._room -= len(body)
        return end + 1

    def _would_overflow(self, size: int) -> bool:
        """Whether a further record goes over a limit; the first never does."""
        count = len(self.records)
        return count > 0 and (count >= self._max_records or size > self._room)

    def _shown(self, hidden: bytes) -> bytes:
        if len(hidden) != ID_BYTES:
            raise DamagedRow("an event id of another length")
        return self._cipher.show_ids([hidden])[0]


def _query(scans: Sequence[Scan], after: int, last: int) -> tuple[str, Row]:
    hour = scans[0].hour
    if hour is None:
        return _IN_QUEUE[scans[0].queue], (after, last)
    return _IN_HOUR, (after, last, hour, int(scans[0].queue), int(scans[-1].queue))
