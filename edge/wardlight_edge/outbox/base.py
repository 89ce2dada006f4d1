"""What the rest of the edge knows of the outbox: the durable queue between devices and uplink.

Rules every implementation keeps (tests/contract/test_outbox.py runs one suite on all):

1. ``append`` resolves only after COMMIT with synchronous=FULL. Until then nothing was accepted.
2. A record leaves only by ``settle`` (the collector's database has committed it), by the written
   thinning policy (which first appends a gap record naming the seqs), or by ``forget`` (a rejected
   record whose release the collector confirmed).
3. ``take`` leases; a lease ends by ``settle``, ``give_back`` or a restart. Leases are memory only.
4. seq starts at 1, grows by 1 per record, is never reused; a new file has a new epoch.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final, Protocol

import msgspec

from wardlight_shared.envelope import SeriesEntry
from wardlight_shared.records import Lane, Record, SeriesKey
from wardlight_shared.timestamps import Anchor

LONGEST_BLOCK_MS: Final = 60_000
"""A stream is folded into blocks of at most this length."""


class NewRecord(msgspec.Struct, frozen=True):
    """A record to accept. ``event_id`` is 16 bytes for what a device may send again, else None.

    mono_ms  receipt on the monotonic clock (ms since boot)
    wall_ms  the wall clock at receipt, trusted or not (ms since 1970)
    body     from ``records.encode_body``; its series numbers come from ``series_number``
    """

    lane: Lane
    event_id: bytes | None
    mono_ms: int
    wall_ms: int
    body: bytes


class Choice(Enum):
    """Which waiting records ``take`` leases.

    ALARM     lane alarm, oldest first
    LIVE      lane live, received in this boot within the last ``live_age_ms`` and LONGEST_BLOCK_MS
              (the receipt of a block is that of its first sample), oldest first
    BACKFILL  all other alarm, live and backfill records: newest hour of receipt first, within an
              hour oldest first
    BULK      lane bulk, oldest first
    """

    ALARM = "alarm"
    LIVE = "live"
    BACKFILL = "backfill"
    BULK = "bulk"


class Level(Enum):
    """How full the outbox is, of its quota or of the free disk it must leave."""

    NORMAL = "normal"
    WARN = "warn"  # 80 %
    THIN = "thin"  # 95 %: bulk and waveforms go by policy, with a tombstone
    FULL = "full"  # 100 %: append raises OutboxFull


class OutboxStatus(msgspec.Struct, frozen=True):
    """Counters for the health record and the status page. Bytes are bytes on disk."""

    epoch: int
    boot: int
    records: int
    leased: int
    rejected: int
    lowest: int
    highest: int
    oldest_wall_ms: int | None
    size_bytes: int
    quota_bytes: int
    free_disk_bytes: int
    level: Level
    appended: int
    refused: int
    settled: int
    thinned: int
    salvaging: bool


class Outbox(Protocol):
    """The durable queue. All coroutines are safe to cancel: the operation then still completes."""

    @property
    def epoch(self) -> int:
        """Random 63-bit number of this file."""

    @property
    def boot(self) -> int:
        """Number of the running boot within this file, from 1."""

    def series_number(self, key: SeriesKey) -> int:
        """Number of a series; a new one is committed with the next ``append``. Never blocks."""

    async def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Accept records in one transaction, return their seqs after COMMIT.

        An ``event_id`` that is still in the outbox is not stored again: its old seq is returned.
        Raises OutboxFull (nothing of the call was stored) or StorageError.
        """

    async def take(self, choice: Choice, *, max_records: int, max_bytes: int) -> list[Record]:
        """Lease waiting records; bodies are opened (decrypted). [] = none waiting.

        ``max_bytes`` bounds the sum of bodies; a single larger record is returned alone.
        """

    async def give_back(self, seqs: Sequence[int] | None = None) -> None:
        """End leases without settling; None = all. Unknown seqs are ignored."""

    async def settle(
        self,
        *,
        upto: int,
        ranges: Sequence[tuple[int, int]] = (),
        rejected: Sequence[tuple[int, str]] = (),
        epoch: int | None = None,
    ) -> int:
        """Remove what the collector has committed; keep rejected records aside. Idempotent.

        ``rejected`` seqs may lie at or below ``upto``: they are kept until ``forget``.
        ``epoch``: the one that the seqs belong to, None = the present one; nothing is removed when
        it is over.
        Returns the number of records removed.
        """

    async def forget(self, seqs: Sequence[int]) -> int:
        """Drop rejected records whose release was confirmed. Idempotent."""

    def series(self, numbers: Sequence[int]) -> list[SeriesEntry]:
        """Dictionary entries for an envelope header."""

    async def renew_epoch(self, cause: str) -> None:
        """Begin a new epoch: every waiting record gets a new seq, in the background.

        For a file that was rolled back (restored card, a disk that lied about a flush): its next
        seqs would repeat numbers the collector already holds for other records. ``cause`` is a
        short name for the status record that tells the collector.
        """

    async def add_anchor(self, anchor: Anchor) -> None:
        """Keep a clock anchor of a boot (few per boot; the best ones stay)."""

    def anchors(self) -> list[Anchor]:
        """Clock anchors of all boots that still have records."""

    async def wait_for_records(self) -> None:
        """Return when a record was appended since the last call (coalesced)."""

    def status(self) -> OutboxStatus:
        """Counters; cheap, never blocks on the disk."""
