"""A store in memory for tests of the collector's own logic; says no on demand.

It keeps the promises of store.base that ingest leans on: one call is one transaction, records are
known by ledger, origin and event id, and rejected ones are settled too. Real stores are proved
elsewhere.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from wardlight_cloud.store.batch import IngestBatch, IngestResult, LedgerState
from wardlight_shared.errors import StorageError

Key = tuple[str, int]


class MemoryStore:
    """IngestStore and LeaseStore of one test."""

    def __init__(self) -> None:
        self.stored: dict[Key, set[int]] = {}
        self.letters: dict[Key, dict[int, tuple[str, bytes]]] = {}
        self.rows = 0
        self.event_ids: set[bytes] = set()
        self.enabled: set[str] = set()
        self.hellos: list[tuple[str, int, int, str]] = []
        self.states: list[tuple[str, bool, str]] = []
        self.released_seqs: dict[Key, tuple[int, ...]] = {}
        self.watched: dict[str, datetime] = {}
        self.leases: dict[int, str] = {}
        self.holders: list[str] = []
        self.calls: list[list[IngestBatch]] = []
        self.is_away = False
        self.fault: Callable[[Sequence[IngestBatch]], None] = lambda batches: None
        self.waiting = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def ingest(self, batches: Sequence[IngestBatch]) -> list[IngestResult]:
        self._check()
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        self._check()
        self.fault(batches)
        self.calls.append(list(batches))
        return [self._ingest(batch) for batch in batches]

    def _ingest(self, batch: IngestBatch) -> IngestResult:
        key = batch.gateway, batch.epoch
        stored = self.stored.setdefault(key, set())
        letters = self.letters.setdefault(key, {})
        known = rows = 0
        for place, seq in enumerate(batch.seqs.tolist()):
            event_id = batch.event_ids[place]
            epoch, first = batch.origins.get(seq, (0, 0))
            firsts = self.stored.setdefault((batch.gateway, epoch), set()) if first else set()
            is_known = seq in stored or seq in letters or first in firsts
            firsts.add(first)
            if is_known or (event_id and event_id in self.event_ids):
                known += 1
            else:
                rows += int((batch.readings.record_of_row == place).sum())
            if event_id:
                self.event_ids.add(event_id)
            stored.add(seq)
        for letter in batch.rejected:
            letters.setdefault(letter.seq, (letter.reason, letter.body))
        self.rows += rows
        state = self._state(key)
        return IngestResult(state, len(self.calls), rows, 0, len(batch.quarantined), known)

    async def ledger(self, gateway: str, epoch: int) -> LedgerState:
        self._check()
        return self._state((gateway, epoch))

    def _state(self, key: Key) -> LedgerState:
        letters = self.letters.get(key, {})
        settled = sorted(self.stored.get(key, set()) | set(letters))
        upto = 0
        ranges: list[tuple[int, int]] = []
        for seq in settled:
            if seq == upto + 1:
                upto = seq
            elif ranges and ranges[-1][1] == seq - 1:
                ranges[-1] = ranges[-1][0], seq
            else:
                ranges.append((seq, seq))
        gone = self.released_seqs.get(key, ())
        rejected = tuple((seq, letters[seq][0]) for seq in sorted(letters) if seq not in gone)
        return LedgerState(*key, upto, tuple(ranges), rejected)

    async def note_hello(self, gateway: str, epoch: int, highest: int, software: str) -> None:
        self._check()
        self.hellos.append((gateway, epoch, highest, software))

    async def note_state(self, gateway: str, online: bool, software: str) -> None:
        self._check()
        self.states.append((gateway, online, software))

    async def is_enabled(self, gateway: str) -> bool:
        self._check()
        return gateway in self.enabled

    async def released(self, gateway: str, epoch: int) -> tuple[int, ...]:
        self._check()
        return self.released_seqs.get((gateway, epoch), ())

    async def live_until(self) -> Mapping[str, datetime]:
        self._check()
        return dict(self.watched)

    async def renew(self, holder: str, *, shards: int, ttl_s: float) -> frozenset[int]:
        self._check()
        self.holders.append(holder)
        for shard in range(shards):
            self.leases.setdefault(shard, holder)
        return frozenset(shard for shard, owner in self.leases.items() if owner == holder)

    async def release(self, holder: str) -> None:
        self._check()
        self.leases = {shard: owner for shard, owner in self.leases.items() if owner != holder}

    async def is_ready(self) -> bool:
        return not self.is_away

    def _check(self) -> None:
        if self.is_away:
            raise StorageError("database is away") from ConnectionError()
