"""One ``take`` at work: rows found by scans, opened, until one of its limits is reached."""

from collections.abc import Sequence
from typing import Final

from wardlight_edge.outbox.cipher import ID_BYTES, OVERHEAD, Cipher, DamagedRow
from wardlight_edge.outbox.database import Database, Row
from wardlight_edge.outbox.origin import unframed
from wardlight_edge.outbox.queues import Queue, Scan
from wardlight_edge.outbox.ranges import RangeSet
from wardlight_shared.records import Lane, Record

_SELECT: Final = "SELECT seq, queue, event_id, body FROM record WHERE "
_IN_HOUR: Final = _SELECT + "seq > ? AND seq <= ? AND hour = ? AND queue IN (?, ?) ORDER BY seq"
# Literal numbers, so that SQLite uses the partial index for alarms.
_IN_QUEUE: Final = {
    Queue.ALARM: _SELECT + "queue = 0 AND seq > ? AND seq <= ? ORDER BY seq",
    Queue.LIVE: _SELECT + "queue = 1 AND seq > ? AND seq <= ? ORDER BY seq",
    Queue.BULK: _SELECT + "queue = 3 AND seq > ? AND seq <= ? ORDER BY seq",
}
_LANES: Final = tuple(Lane)


class Taking:
    """Collects records; ``damaged`` are the seqs of rows that fail their authentication."""

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
        self.damaged: list[int] = []
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
        """Add rows; return the seq up to which every row was looked at."""
        bounds = {int(scan.queue): (scan.after, scan.last) for scan in scans}
        leased = self._leased if self._leased.overlaps(after + 1, last) else ()
        reached = after
        for chunk in self._database.chunks(*_query(scans, after, last)):
            for seq, queue, hidden, sealed in chunk:
                low, high = bounds[queue]
                if low < seq <= high and seq not in leased:
                    if self._would_overflow(len(sealed) - OVERHEAD):
                        self.is_full = True
                        return reached
                    self._add(seq, hidden, sealed)
                reached = seq
        return last

    def _would_overflow(self, size: int) -> bool:
        """Whether a further row goes over a limit; the first never does."""
        count = len(self.records)
        return count > 0 and (count >= self._max_records or size > self._room)

    def _add(self, seq: int, hidden: bytes | None, sealed: bytes) -> None:
        try:
            lane, boot, mono_ms, wall_ms, body = self._cipher.open(seq, sealed)
            event_id = None if hidden is None else self._shown(hidden)
        except DamagedRow:
            self.damaged.append(seq)
            return
        body, origin = unframed(body)
        self.records.append(
            Record(seq, _LANES[lane], event_id, boot, mono_ms, wall_ms, body, origin)
        )
        self._room -= len(body)

    def _shown(self, hidden: bytes) -> bytes:
        if len(hidden) != ID_BYTES:
            raise DamagedRow("an event id of another length")
        return self._cipher.show_ids([hidden])[0]


def _query(scans: Sequence[Scan], after: int, last: int) -> tuple[str, Row]:
    hour = scans[0].hour
    if hour is None:
        return _IN_QUEUE[scans[0].queue], (after, last)
    return _IN_HOUR, (after, last, hour, int(scans[0].queue), int(scans[-1].queue))
