"""New records on their way into the file: seqs given, places found, rows cut and sealed.

What neighbours share is worked out once for all of them: see Run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import Final

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.cipher import OVERHEAD, Cipher
from wardlight_edge.outbox.database import Database
from wardlight_edge.outbox.packing import cut, kind_of
from wardlight_edge.outbox.queues import Queue, Waiting, hour_of
from wardlight_shared.records import Lane

_BODY: Final = attrgetter("body")
_EVENT_ID: Final = attrgetter("event_id")
_MONO_MS: Final = attrgetter("mono_ms")
_INSERT: Final = {
    False: "INSERT INTO record (seq, queue, kind, hour, body) VALUES ",
    True: "INSERT INTO record (seq, queue, kind, hour, body, event_id) VALUES ",
}
_HOUR_MS: Final = 3_600_000


def body_bytes(records: Sequence[NewRecord]) -> int:
    """Bytes of all bodies."""
    return sum(map(len, map(_BODY, records)))


def has_event(records: Sequence[NewRecord]) -> bool:
    """Whether any record is an event that its device may send again."""
    return any(map(_EVENT_ID, records))


class EventIds:
    """Event ids of a transaction: their hidden form, and the seq of those already in the file."""

    def __init__(self, hidden: Mapping[bytes, bytes], known: dict[bytes, int]) -> None:
        self._hidden = hidden
        self._known = known

    def know_all(self, event_ids: Iterable[bytes | None]) -> bool:
        """Whether every record is in the file already."""
        return all(one is not None and self._hidden[one] in self._known for one in event_ids)

    def seq(self, event_id: bytes) -> int | None:
        """Seq of the record with this id, None = new."""
        return self._known.get(self._hidden[event_id])

    def give(self, event_id: bytes, seq: int) -> bytes:
        """Note the seq of a new id; return its hidden form."""
        hidden = self._hidden[event_id]
        self._known[hidden] = seq
        return hidden


class Run:
    """Records with consecutive seqs of one boot, lane, queue and hour; all or none with event id.

    is_past    they were never to be served as live
    low, high  low <= receipt < high: a record outside has another hour or queue
    hidden     event ids as they stand in the file
    """

    __slots__ = (
        "boot", "first", "hidden", "high", "hour", "is_past", "lane", "low", "queue", "records",
    )  # fmt: skip

    def __init__(
        self, lane: Lane, queue: Queue, boot: int, hour: int, first: int, *, is_past: bool
    ) -> None:
        self.lane = lane
        self.queue = queue
        self.boot = boot
        self.hour = hour
        self.is_past = is_past
        self.first = first
        self.low = self.high = 0
        self.records: list[NewRecord] = []
        self.hidden: list[bytes] = []

    @property
    def last(self) -> int:
        """The newest seq."""
        return self.first + len(self.records) - 1

    @property
    def newest_ms(self) -> int:
        """The latest receipt."""
        newest: int = max(map(_MONO_MS, self.records))
        return newest

    def takes(self, record: NewRecord, boot: int, *, is_past: bool) -> bool:
        """Whether a record of this boot may follow."""
        return (
            boot == self.boot
            and is_past is self.is_past
            and record.lane is self.lane
            and self.low <= record.mono_ms < self.high
            and (not self.records or bool(self.hidden) is (record.event_id is not None))
        )

    def count_of(self, records: Sequence[NewRecord]) -> int:
        """How many of these may follow; the first does, and none of them has an event id."""
        lane, low, high = self.lane, self.low, self.high
        for place, record in enumerate(records):
            if not low <= record.mono_ms < high or record.lane is not lane:
                return place
        return len(records)

    def values(self, cipher: Cipher) -> Iterator[object]:
        """Seal the rows; their columns, one row after the other."""
        lane, boot, hour = int(self.lane), self.boot, self.hour
        # A plain int: sqlite3 takes it several times faster than a member of IntEnum.
        queue = int(self.queue)
        seq = self.first
        if self.hidden:
            for record, hidden in zip(self.records, self.hidden, strict=True):
                sealed = cipher.seal(seq, lane, boot, [record])
                yield from (seq, queue, kind_of(record.body), hour, sealed, bytearray(hidden))
                seq += 1
            return
        for kind, records in cut(self.records):
            yield from (seq, queue, kind, hour, cipher.seal(seq, lane, boot, records))
            seq += len(records)


class Batch:
    """Records for one transaction; ``enter`` tells the directory once they are committed."""

    def __init__(self, waiting: Waiting, next_seq: int, now_ms: int, ids: EventIds) -> None:
        self._waiting = waiting
        self._now_ms = now_ms
        self._ids = ids
        self._first_seq = next_seq
        self.next_seq = next_seq
        self.runs: list[Run] = []
        self.bytes = 0

    @property
    def new(self) -> int:
        """Number of new records."""
        return self.next_seq - self._first_seq

    def add(self, records: Sequence[NewRecord], boot: int, *, is_past: bool = False) -> list[int]:
        """Add records of one boot; return their seqs (old ones for ids already in the file).

        ``is_past``: records of an earlier time, never served as live.
        """
        if has_event(records):
            return self._add_each(records, boot, is_past=is_past)
        return self._add_runs(records, boot, is_past=is_past)

    def _add_runs(self, records: Sequence[NewRecord], boot: int, *, is_past: bool) -> list[int]:
        """Records without event ids, as many at once as follow one another."""
        first = self.next_seq
        while records:
            run = self._run_for(records[0], boot, is_past=is_past)
            many = run.count_of(records)
            run.records += records[:many]
            self.next_seq += many
            self.bytes += body_bytes(records[:many]) + OVERHEAD * many
            records = records[many:]
        return list(range(first, self.next_seq))

    def _add_each(self, records: Sequence[NewRecord], boot: int, *, is_past: bool) -> list[int]:
        seqs: list[int] = []
        for record in records:
            hidden = None
            if record.event_id is not None:
                old = self._ids.seq(record.event_id)
                if old is not None:
                    seqs.append(old)
                    continue
                hidden = self._ids.give(record.event_id, self.next_seq)
            run = self._run_for(record, boot, is_past=is_past)
            run.records.append(record)
            if hidden is not None:
                run.hidden.append(hidden)
            self.bytes += len(record.body) + OVERHEAD
            seqs.append(self.next_seq)
            self.next_seq += 1
        return seqs

    def write(self, database: Database, cipher: Cipher) -> None:
        """Seal and insert the rows (inside a transaction)."""
        for has_id, runs in groupby(self.runs, key=lambda run: bool(run.hidden)):
            values = list(chain.from_iterable(run.values(cipher) for run in runs))
            database.insert_flat(_INSERT[has_id], 5 + has_id, values)

    def enter(self, waiting: Waiting) -> None:
        """Tell the directory where the rows are."""
        for run in self.runs:
            waiting.added(run.queue, run.hour, run.first, run.last)
            if run.queue is Queue.LIVE:
                waiting.added_live(min(run.newest_ms, self._now_ms), run.first, run.last)

    def _run_for(self, record: NewRecord, boot: int, *, is_past: bool) -> Run:
        """The last run if the record may follow in it, else a new one."""
        if self.runs and self.runs[-1].takes(record, boot, is_past=is_past):
            return self.runs[-1]
        return self._start(record, boot, is_past=is_past)

    def _start(self, record: NewRecord, boot: int, *, is_past: bool) -> Run:
        lane, mono_ms = record.lane, record.mono_ms
        queue = self._waiting.queue_of(lane, mono_ms, self._now_ms)
        if is_past and queue is Queue.LIVE:
            queue = Queue.BACKFILL
        run = Run(lane, queue, boot, hour_of(boot, mono_ms), self.next_seq, is_past=is_past)
        run.low = mono_ms - mono_ms % _HOUR_MS
        run.high = run.low + _HOUR_MS
        fresh_from = self._now_ms - self._waiting.live_ms
        if run.low < fresh_from <= mono_ms:
            run.low = fresh_from
        elif mono_ms < fresh_from < run.high:
            run.high = fresh_from
        self.runs.append(run)
        return run
