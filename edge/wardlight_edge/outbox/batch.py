"""New rows on their way into the file: seqs given, places found, bodies sealed.

What neighbours share is worked out once for all of them: see Run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count, groupby, repeat
from operator import attrgetter
from typing import Final

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.cipher import OVERHEAD, Cipher
from wardlight_edge.outbox.database import Database
from wardlight_edge.outbox.queues import Queue, Waiting, hour_of
from wardlight_shared.records import Lane

_BODY: Final = attrgetter("body")
_EVENT_ID: Final = attrgetter("event_id")
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
    """Rows with consecutive seqs of one boot, lane, queue and hour, all or none with an event id.

    low, high  low <= receipt < high: a record outside has another hour or queue
    hidden     event ids as they stand in the file
    """

    __slots__ = ("boot", "first", "hidden", "high", "hour", "lane", "low", "queue", "records")

    def __init__(self, lane: Lane, queue: Queue, boot: int, hour: int, first: int) -> None:
        self.lane = lane
        self.queue = queue
        self.boot = boot
        self.hour = hour
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
        return max(record.mono_ms for record in self.records)

    def values(self, cipher: Cipher) -> Iterator[object]:
        """Seal the rows; their columns, one row after the other."""
        sealed = cipher.seal_run(self.first, int(self.lane), self.boot, self.records)
        kinds = map(_kind, map(_BODY, self.records))
        # A plain int: sqlite3 takes it several times faster than a member of IntEnum.
        columns = [count(self.first), repeat(int(self.queue)), kinds, repeat(self.hour), sealed]
        if self.hidden:
            columns.append(map(bytearray, self.hidden))
        return chain.from_iterable(zip(*columns, strict=False))


class Batch:
    """Rows for one transaction; ``enter`` tells the directory once they are committed."""

    def __init__(self, waiting: Waiting, next_seq: int, now_ms: int, ids: EventIds) -> None:
        self._waiting = waiting
        self._now_ms = now_ms
        self._ids = ids
        self._adding_for = (0, False)
        self._first_seq = next_seq
        self.next_seq = next_seq
        self.runs: list[Run] = []
        self.bytes = 0

    @property
    def rows(self) -> int:
        """Number of new rows."""
        return self.next_seq - self._first_seq

    def add(self, records: Sequence[NewRecord], boot: int, *, is_past: bool = False) -> list[int]:
        """Add records of one boot; return their seqs (old ones for ids already in the file).

        ``is_past``: records of an earlier time, never served as live.
        """
        run = self.runs[-1] if self._adding_for == (boot, is_past) else None
        self._adding_for = (boot, is_past)
        seqs: list[int] = []
        seq = self.next_seq
        for record in records:
            hidden = None
            if record.event_id is not None:
                old = self._ids.seq(record.event_id)
                if old is not None:
                    seqs.append(old)
                    continue
                hidden = self._ids.give(record.event_id, seq)
            if (
                run is None
                or record.lane is not run.lane
                or not run.low <= record.mono_ms < run.high
                or (hidden is None) is bool(run.hidden)
            ):
                run = self._start(record, boot, seq, is_past=is_past)
            run.records.append(record)
            if hidden is not None:
                run.hidden.append(hidden)
            self.bytes += len(record.body) + OVERHEAD
            seqs.append(seq)
            seq += 1
        self.next_seq = seq
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

    def _start(self, record: NewRecord, boot: int, seq: int, *, is_past: bool) -> Run:
        lane, mono_ms = record.lane, record.mono_ms
        queue = self._waiting.queue_of(lane, mono_ms, self._now_ms)
        if is_past and queue is Queue.LIVE:
            queue = Queue.BACKFILL
        run = Run(lane, queue, boot, hour_of(boot, mono_ms), seq)
        run.low = mono_ms - mono_ms % _HOUR_MS
        run.high = run.low + _HOUR_MS
        fresh_from = self._now_ms - self._waiting.live_ms
        if run.low < fresh_from <= mono_ms:
            run.low = fresh_from
        elif mono_ms < fresh_from < run.high:
            run.high = fresh_from
        self.runs.append(run)
        return run


def _kind(body: bytes) -> int:
    """The tag of a body: MessagePack array header, then a small integer."""
    return body[1] if len(body) > 1 else 0
