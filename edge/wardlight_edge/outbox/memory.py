"""An outbox in memory: for tests of what stands around the outbox, and as the plain statement of
its rules. It passes the contract suite of the durable one and keeps no promise over a restart.
"""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

import msgspec

from wardlight_edge.clock import Clock
from wardlight_edge.outbox.anchors import keep_best
from wardlight_edge.outbox.base import LONGEST_BLOCK_MS, Choice, Level, NewRecord, OutboxStatus
from wardlight_shared.envelope import SeriesEntry
from wardlight_shared.errors import OutboxFull
from wardlight_shared.records import Lane, Record, SeriesKey
from wardlight_shared.timestamps import Anchor

_HOUR_MS = 3_600_000


class _Row(msgspec.Struct):
    record: Record
    queue: Choice  # LIVE rows are served as BACKFILL once they are old
    is_leased: bool = False

    @property
    def size(self) -> int:
        return len(self.record.body)


class MemoryOutbox:
    """Outbox in a dict; ``quota_bytes`` counts bodies."""

    def __init__(self, clock: Clock, *, live_age_ms: int, quota_bytes: int = 1 << 30) -> None:
        self._clock = clock
        self._live_ms = live_age_ms + LONGEST_BLOCK_MS
        self._quota_bytes = quota_bytes
        self._rows: dict[int, _Row] = {}
        self._rejected: dict[int, _Row] = {}
        self._entries: dict[int, SeriesEntry] = {}
        self._numbers: dict[SeriesKey, int] = {}
        self._anchors: list[Anchor] = []
        self._arrived = asyncio.Event()
        self._highest = self._appended = self._refused = self._settled = 0
        self.epoch = _new_epoch()
        self.boot = 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._rows.clear()

    def series_number(self, key: SeriesKey) -> int:
        """Number of a series."""
        number = self._numbers.setdefault(key, len(self._numbers) + 1)
        self._entries[number] = SeriesEntry(number, key)
        return number

    def series(self, numbers: Sequence[int]) -> list[SeriesEntry]:
        """Dictionary entries for an envelope header."""
        return [self._entries[number] for number in numbers if number in self._entries]

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Accept records."""
        known = {
            row.record.event_id: seq
            for rows in (self._rows, self._rejected)
            for seq, row in rows.items()
            if row.record.event_id is not None
        }
        new = [one for one in records if one.event_id is None or one.event_id not in known]
        used = sum(row.size for row in self._rows.values())
        if used + sum(len(record.body) for record in new) > self._quota_bytes:
            self._refused += len(records)
            raise OutboxFull("the outbox in memory is full")
        return [self._accept(record, known) for record in records]

    async def take(self, choice: Choice, *, max_records: int, max_bytes: int) -> list[Record]:
        """Lease waiting records."""
        taken: list[Record] = []
        for seq in self._order(choice):
            row = self._rows[seq]
            if taken and (len(taken) >= max_records or row.size > max_bytes):
                break
            row.is_leased = True
            max_bytes -= row.size
            taken.append(row.record)
        return taken

    async def give_back(self, seqs: Sequence[int] | None = None) -> None:
        """End leases without settling."""
        for seq in list(self._rows) if seqs is None else seqs:
            if seq in self._rows:
                self._rows[seq].is_leased = False

    async def settle(
        self,
        *,
        upto: int,
        ranges: Sequence[tuple[int, int]] = (),
        rejected: Sequence[tuple[int, str]] = (),
        epoch: int | None = None,
    ) -> int:
        """Remove what was committed, keep rejected records aside."""
        if epoch is not None and epoch != self.epoch:
            return 0
        for seq, _ in rejected:
            if seq in self._rows:
                self._rejected[seq] = self._rows.pop(seq)
        spans = [(1, upto), *ranges]
        gone = [seq for seq in self._rows if any(low <= seq <= high for low, high in spans)]
        for seq in gone:
            del self._rows[seq]
        self._settled += len(gone)
        return len(gone)

    async def forget(self, seqs: Sequence[int]) -> int:
        """Drop rejected records."""
        return sum(self._rejected.pop(seq, None) is not None for seq in set(seqs))

    async def renew_epoch(self, cause: str) -> None:
        """Begin a new epoch."""
        rows = [row for _, row in sorted({**self._rows, **self._rejected}.items())]
        self._rows, self._rejected = {}, {}
        self.epoch, self._highest = _new_epoch(), 0
        for row in rows:
            self._highest += 1
            record = msgspec.structs.replace(row.record, seq=self._highest)
            self._rows[self._highest] = _Row(record, row.queue)

    async def add_anchor(self, anchor: Anchor) -> None:
        """Keep a clock anchor of a boot."""
        same = [one for one in self._anchors if one.boot == anchor.boot]
        others = [one for one in self._anchors if one.boot != anchor.boot]
        self._anchors = others + keep_best([*same, anchor])

    def anchors(self) -> list[Anchor]:
        """Clock anchors."""
        return list(self._anchors)

    async def wait_for_records(self) -> None:
        """Return when records were appended since the last call."""
        await self._arrived.wait()
        self._arrived.clear()

    def status(self) -> OutboxStatus:
        """Counters."""
        size = sum(row.size for row in self._rows.values())
        lowest = min(self._rows, default=0)
        return OutboxStatus(
            epoch=self.epoch,
            boot=self.boot,
            records=len(self._rows),
            leased=sum(row.is_leased for row in self._rows.values()),
            rejected=len(self._rejected),
            lowest=lowest,
            highest=self._highest,
            oldest_wall_ms=self._rows[lowest].record.wall_ms if lowest else None,
            size_bytes=size,
            quota_bytes=self._quota_bytes,
            free_disk_bytes=0,
            level=_level(size / self._quota_bytes),
            appended=self._appended,
            refused=self._refused,
            settled=self._settled,
            thinned=0,
            salvaging=False,
        )

    def _accept(self, new: NewRecord, known: dict[bytes, int]) -> int:
        if new.event_id is not None and new.event_id in known:
            return known[new.event_id]
        self._highest += 1
        seq = self._highest
        fields = msgspec.structs.asdict(new)
        self._rows[seq] = _Row(Record(seq=seq, boot=self.boot, **fields), self._queue(new))
        if new.event_id is not None:
            known[new.event_id] = seq
        self._appended += 1
        self._arrived.set()
        return seq

    def _queue(self, new: NewRecord) -> Choice:
        queue = {
            Lane.ALARM: Choice.ALARM,
            Lane.LIVE: Choice.LIVE,
            Lane.BACKFILL: Choice.BACKFILL,
            Lane.BULK: Choice.BULK,
        }[new.lane]
        is_old = queue is Choice.LIVE and self._is_old(new.mono_ms)
        return Choice.BACKFILL if is_old else queue

    def _is_old(self, mono_ms: int) -> bool:
        return mono_ms < self._clock.mono_ms() - self._live_ms

    def _order(self, choice: Choice) -> Iterable[int]:
        free = [seq for seq, row in self._rows.items() if not row.is_leased]
        matching = [seq for seq in free if self._served_as(self._rows[seq]) is choice]
        if choice is not Choice.BACKFILL:
            return sorted(matching)
        return sorted(matching, key=lambda seq: (-self._hour(self._rows[seq]), seq))

    def _served_as(self, row: _Row) -> Choice:
        if row.queue is Choice.LIVE and self._is_old(row.record.mono_ms):
            return Choice.BACKFILL
        return row.queue

    def _hour(self, row: _Row) -> int:
        return row.record.mono_ms // _HOUR_MS


def _new_epoch() -> int:
    return secrets.randbelow((1 << 63) - 1) + 1


def _level(fullness: float) -> Level:
    if fullness >= 1.0:
        return Level.FULL
    if fullness >= 0.95:
        return Level.THIN
    return Level.WARN if fullness >= 0.80 else Level.NORMAL
