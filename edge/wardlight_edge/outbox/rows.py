"""The records of one outbox file: accept, lease, settle. Synchronous; the writer's thread only.

Memory (next seq, leases, directory, counts) follows the file and changes only after COMMIT.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from wardlight_edge.outbox.base import Choice, NewRecord
from wardlight_edge.outbox.batch import Batch, EventIds, body_bytes, has_event
from wardlight_edge.outbox.cipher import OVERHEAD, Cipher, DamagedRow
from wardlight_edge.outbox.database import Database
from wardlight_edge.outbox.dictionary import Dictionary
from wardlight_edge.outbox.loading import load_live, load_rows
from wardlight_edge.outbox.packing import MOST_RECORDS
from wardlight_edge.outbox.queues import Waiting
from wardlight_edge.outbox.ranges import RangeSet
from wardlight_edge.outbox.removal import Removal
from wardlight_edge.outbox.taking import Taking
from wardlight_shared.errors import OutboxFull, StorageError
from wardlight_shared.records import Record

_IDS_PER_SEARCH: Final = 256


class Rows:
    """Accepts, leases and settles records of one open file."""

    def __init__(
        self, database: Database, cipher: Cipher, dictionary: Dictionary, waiting: Waiting
    ) -> None:
        self._database = database
        self._cipher = cipher
        self._dictionary = dictionary
        self._waiting = waiting
        self._removal = Removal(database, cipher)
        self.leased = RangeSet()
        self.records = 0
        self.rejected = 0
        self.next_seq = 1
        self.lowest = 0  # as the file says; 0 = nothing waits
        self.oldest_wall_ms: int | None = None
        self.appended_bytes = 0  # of the last ``append``

    @property
    def highest(self) -> int:
        """The newest seq ever given, 0 = none."""
        return self.next_seq - 1

    def load(self, boot: int, now_ms: int) -> None:
        """Read counts and build the directory: one scan over the file."""
        highest = int(self._database.value("SELECT value FROM meta WHERE name = 'highest'") or 0)
        self.records, newest = load_rows(self._database, self._waiting)
        self.next_seq = max(highest, newest) + 1
        self.rejected = int(self._database.value("SELECT count(*) FROM rejected"))
        load_live(self._database, self._cipher, self._waiting, boot, now_ms)
        self._find_lowest()

    def append(
        self,
        calls: Sequence[Sequence[NewRecord]],
        *,
        boot: int,
        now_ms: int,
        room_bytes: int,
    ) -> list[list[int] | OutboxFull]:
        """Accept calls in one transaction; a call that does not fit is refused as a whole."""
        self.appended_bytes = 0
        events = [call for call in calls if has_event(call)]
        ids = self.event_ids(record.event_id for call in events for record in call)
        batch = self.batch(now_ms, ids)
        results: list[list[int] | OutboxFull] = []
        for records in calls:
            need = body_bytes(records) + OVERHEAD * len(records)
            if need > room_bytes and not ids.know_all(record.event_id for record in records):
                results.append(OutboxFull(f"{need} bytes do not fit {max(0, room_bytes)}"))
                continue
            before = batch.bytes
            results.append(batch.add(records, boot))
            room_bytes -= batch.bytes - before
        self._commit(batch)
        self.appended_bytes = batch.bytes
        return results

    def batch(self, now_ms: int, ids: EventIds | None = None) -> Batch:
        """An empty batch of new rows."""
        return Batch(self._waiting, self.next_seq, now_ms, ids or EventIds({}, {}))

    def event_ids(self, event_ids: Iterable[bytes | None]) -> EventIds:
        """Hide ids and look up those still in the file."""
        wanted = sorted({one for one in event_ids if one is not None})
        if not wanted:
            return EventIds({}, {})
        hidden = self._cipher.hide_ids(wanted)
        known: dict[bytes, int] = {}
        for table in ("record", "rejected") if self.rejected else ("record",):
            known.update(self._find_events(table, hidden))
        return EventIds(dict(zip(wanted, hidden, strict=True)), known)

    def _find_events(self, table: str, hidden: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
        """(hidden id, seq) of those that the table holds."""
        for at in range(0, len(hidden), _IDS_PER_SEARCH):
            part = [bytearray(one) for one in hidden[at : at + _IDS_PER_SEARCH]]
            # Filled up to a power of two, so that few statements are prepared, once each.
            part += part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))
            marks = ",".join("?" * len(part))
            sql = f"SELECT event_id, seq FROM {table} WHERE event_id IN ({marks})"  # noqa: S608 - two fixed names and marks
            yield from self._database.rows(sql, part)

    def _commit(self, batch: Batch) -> None:
        if batch.new:
            with self._database.transaction():
                series = self.write(batch)
            self.committed(batch, series)

    def reach(self, seq: int) -> int:
        """The last number that the row at ``seq`` can hold, whatever it says of itself."""
        following = self._database.value("SELECT min(seq) FROM record WHERE seq > ?", (seq,))
        end = self.next_seq if following is None else int(following)
        return min(end - 1, seq + MOST_RECORDS - 1)

    def exchange(self, spans: Sequence[tuple[int, int]], batch: Batch) -> int:
        """Delete records and store a batch in one transaction; return how many were deleted."""
        with self._database.transaction():
            removed = self._delete(spans)
            series = self.write(batch)
        self.committed(batch, series)
        self._removed(removed, spans)
        return removed

    def bury(self, damaged: Sequence[tuple[int, int]], batch: Batch) -> int:
        """Delete damaged rows and store a batch that names them; return how many records went.

        ``damaged``: as ``take`` returned them.
        """
        removed = sum(last - first + 1 for first, last in damaged)
        with self._database.transaction():
            for first, _ in damaged:
                self._removal.delete_row(first)
            series = self.write(batch)
        self.committed(batch, series)
        self._removed(removed, damaged)
        return removed

    def _delete(self, spans: Iterable[tuple[int, int]]) -> int:
        return sum(self._removal.delete(*span, highest=self.highest) for span in spans)

    def write(self, batch: Batch) -> int:
        """Insert a batch (inside a transaction); give the result to ``committed`` after COMMIT."""
        series = self._dictionary.write_new(self._database, self._cipher)
        batch.write(self._database, self._cipher)
        return series

    def committed(self, batch: Batch, series: int) -> None:
        """COMMIT succeeded: memory follows."""
        self._dictionary.written(series)
        batch.enter(self._waiting)
        self.next_seq = batch.next_seq
        self.records += batch.new
        if not self.lowest and batch.runs:
            # Nothing is read: what was committed is not to fail any more.
            self.lowest = batch.runs[0].first
            self.oldest_wall_ms = batch.runs[0].records[0].wall_ms

    def take(
        self, choice: Choice, *, now_ms: int, max_records: int, max_bytes: int
    ) -> tuple[list[Record], list[tuple[int, int]]]:
        """Lease records; return them, and (first, last) of rows that fail their authentication.

        A damaged row ends where it says, but before the next one.
        """
        taking = Taking(
            self._database,
            self._cipher,
            self.leased,
            max_records=max_records,
            max_bytes=max_bytes,
        )
        try:
            for scans in self._waiting.groups(choice, now_ms):
                taking.run(scans)
                if taking.is_full:
                    break
        except StorageError:
            self._waiting.rewind(0)  # rows passed over but not handed out wait again
            raise
        damaged = [(first, min(last, self.reach(first))) for first, last in taking.damaged]
        return taking.records, damaged

    def give_back(self, seqs: Sequence[int] | None) -> None:
        """End leases."""
        if seqs is None:
            seqs = [first for first, _ in self.leased]
            self.leased.clear()
        else:
            for seq in seqs:
                self.leased.remove(seq, seq)
        if seqs:
            self._waiting.rewind(min(seqs))

    def settle(self, spans: Sequence[tuple[int, int]], rejected: Sequence[tuple[int, str]]) -> int:
        """Move rejected rows aside, then remove committed ones; return how many were removed."""
        if not self.lowest or not (spans or rejected):
            return 0
        with self._database.unsynced(), self._database.transaction():
            moved = sum(
                self._removal.reject(seq, reason, highest=self.highest) for seq, reason in rejected
            )
            removed = self._delete(spans)
            if moved or removed:
                self._removal.keep_highest(self.highest)
        self._removed(moved + removed, [*spans, *((seq, seq) for seq, _ in rejected)])
        self.rejected += moved
        return removed

    def _removed(self, count: int, spans: Iterable[tuple[int, int]]) -> None:
        """COMMIT of a removal succeeded: memory follows."""
        for first, last in spans:
            self.leased.remove(first, last)
        if count:
            self._find_lowest()
            # A damaged row perhaps says of itself another number than it counted for.
            self.records = max(1, self.records - count) if self.lowest else 0
            self._waiting.prune(self.lowest or self.next_seq)

    def forget(self, seqs: Sequence[int]) -> int:
        """Drop rejected rows."""
        with self._database.unsynced(), self._database.transaction():
            gone = sum(
                self._database.execute("DELETE FROM rejected WHERE seq = ?", (seq,)) for seq in seqs
            )
        self.rejected -= gone
        return gone

    def _find_lowest(self) -> None:
        rows = self._database.rows("SELECT seq, body FROM record ORDER BY seq LIMIT 1")
        if not rows:
            self.lowest, self.oldest_wall_ms = 0, None
        elif rows[0][0] != self.lowest:
            self.lowest = rows[0][0]
            try:
                self.oldest_wall_ms = self._cipher.open(*rows[0]).records[0][1]
            except DamagedRow:
                self.oldest_wall_ms = None  # reported when it is taken
