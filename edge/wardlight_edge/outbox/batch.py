"""New rows on their way into the file: seqs given, places found, bodies sealed."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final

from wardlight_edge.outbox.base import NewRecord
from wardlight_edge.outbox.cipher import Cipher
from wardlight_edge.outbox.queues import Queue, Waiting, hour_of
from wardlight_shared.records import Lane

_BODY: Final = attrgetter("body")
_EVENT_ID: Final = attrgetter("event_id")
COLUMNS: Final = 6  # seq, queue, kind, hour, event_id, body
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


class _Run:
    """Rows in sequence that share lane, queue and hour; ``low`` <= receipt < ``high``."""

    __slots__ = ("first", "high", "hour", "lane", "last", "low", "newest_ms", "queue")

    def __init__(self, lane: Lane, queue: Queue, hour: int, seq: int) -> None:
        self.lane = lane
        self.queue = queue
        self.hour = hour
        self.low = self.high = 0
        self.first = self.last = seq
        self.newest_ms = 0


class Batch:
    """Rows for one transaction; ``enter`` tells the directory once they are committed."""

    def __init__(
        self, cipher: Cipher, waiting: Waiting, next_seq: int, now_ms: int, ids: EventIds
    ) -> None:
        self._cipher = cipher
        self._waiting = waiting
        self._now_ms = now_ms
        self._ids = ids
        self._runs: list[_Run] = []
        self.next_seq = next_seq
        self._first_seq = next_seq
        self.values: list[object] = []  # COLUMNS of each row, one after the other
        self.bytes = 0

    @property
    def rows(self) -> int:
        """Number of new rows."""
        return self.next_seq - self._first_seq

    def add(self, records: Sequence[NewRecord], boot: int, *, is_past: bool = False) -> list[int]:
        """Add records of one boot; return their seqs (old ones for ids already in the file).

        ``is_past``: records of an earlier time, never served as live.
        """
        seal, values = self._cipher.seal, self.values
        seqs: list[int] = []
        run: _Run | None = None
        queue = lane = 0
        for record in records:
            hidden = None
            seq = self.next_seq
            if record.event_id is not None:
                old = self._ids.seq(record.event_id)
                if old is not None:
                    seqs.append(old)
                    continue
                hidden = self._ids.give(record.event_id, seq)
            mono_ms, body = record.mono_ms, record.body
            if run is None or record.lane is not run.lane or not run.low <= mono_ms < run.high:
                run = self._start(record, boot, is_past=is_past)
                # sqlite3 and struct take plain ints several times faster than IntEnum members.
                queue, lane = int(run.queue), int(run.lane)
            sealed = seal(seq, lane, boot, mono_ms, record.wall_ms, body)
            values += (seq, queue, _kind(body), run.hour, hidden, sealed)
            self.bytes += len(sealed)
            seqs.append(seq)
            run.last = seq
            if mono_ms > run.newest_ms:
                run.newest_ms = mono_ms
            self.next_seq = seq + 1
        return seqs

    def enter(self, waiting: Waiting) -> None:
        """Tell the directory where the rows are."""
        for run in self._runs:
            waiting.added(run.queue, run.hour, run.first, run.last)
            if run.queue is Queue.LIVE:
                waiting.added_live(min(run.newest_ms, self._now_ms), run.first, run.last)

    def _start(self, record: NewRecord, boot: int, *, is_past: bool) -> _Run:
        lane, mono_ms = record.lane, record.mono_ms
        queue = self._waiting.queue_of(lane, mono_ms, self._now_ms)
        if is_past and queue is Queue.LIVE:
            queue = Queue.BACKFILL
        run = _Run(lane, queue, hour_of(boot, mono_ms), self.next_seq)
        run.low = mono_ms - mono_ms % _HOUR_MS
        run.high = run.low + _HOUR_MS
        fresh_from = self._now_ms - self._waiting.live_ms
        if run.low < fresh_from <= mono_ms:
            run.low = fresh_from
        elif mono_ms < fresh_from < run.high:
            run.high = fresh_from
        self._runs.append(run)
        return run


def _kind(body: bytes) -> int:
    """The tag of a body: MessagePack array header, then a small integer."""
    return body[1] if len(body) > 1 else 0
