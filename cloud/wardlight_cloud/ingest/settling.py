"""Stores a group of batches, come what may: committed, dead-lettered, or left to the gateway.

away   the database refuses or does not answer: try again for ever, nothing is acknowledged
data   it refuses the values: halve until the record is found; that record becomes a dead
       letter, but only when the store lately took others
stuck  it says that it is ready and yet refuses this group again and again: halve; a single
       record stays un-acknowledged, so the gateway keeps it and sends it later
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, NamedTuple

from wardlight_cloud.ingest.backoff import Backoff
from wardlight_cloud.ingest.grouping import Prepared
from wardlight_cloud.ingest.metrics import COMMIT_SECONDS, REFUSED, STORE_FAILURES
from wardlight_cloud.ingest.pipeline import open_part, refused, seqs_of
from wardlight_cloud.ingest.ports import CollectorStore
from wardlight_cloud.store.batch import IngestBatch, IngestResult
from wardlight_cloud.store.refusals import is_about_values
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_STUCK_AFTER: Final = 4  # refusals although the store says that it is ready
_EVIDENCE_S: Final = 300.0  # a store that took records so lately works: the record is to blame
_MOST_REFUSALS: Final = 200  # for one group; then what is left is put aside in one piece
_REASON: Final = "refused by the database"


class Settled(NamedTuple):
    """A batch that is committed, and what the store said."""

    prepared: Prepared
    result: IngestResult


class Refusal(Enum):
    """Why the store did not take a group."""

    DATA = "data"
    STUCK = "stuck"


class Settling:
    """The writer's side of the collector; one call at a time."""

    def __init__(
        self,
        store: CollectorStore,
        timeout_s: float,
        utc_ms: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._timeout_s = timeout_s
        self._utc_ms = utc_ms
        self._clock = clock
        self._took_s = float("-inf")
        self._refusals = 0

    async def settle(self, group: Sequence[Prepared]) -> list[Settled]:
        """Store a group in one transaction, or in as many as it takes; returns what committed."""
        self._refusals = 0
        return await self._settle(group)

    async def _settle(self, group: Sequence[Prepared]) -> list[Settled]:
        outcome = await self._ingested([prepared.batch for prepared in group])
        if not isinstance(outcome, Refusal):
            return [Settled(*pair) for pair in zip(group, outcome, strict=True)]
        self._refusals += 1
        if len(group) == 1:
            return await self._settle_alone(group[0], outcome)
        half = len(group) // 2
        return [*await self._settle(group[:half]), *await self._settle(group[half:])]

    async def _settle_alone(self, prepared: Prepared, refusal: Refusal) -> list[Settled]:
        batch, message, shard = prepared.batch, prepared.message, prepared.shard
        seqs = seqs_of(batch)
        if message is None or prepared.is_last_resort:
            return self._left(prepared, refusal)
        if len(seqs) > 1 and self._refusals <= _MOST_REFUSALS:
            half = len(seqs) // 2
            first = await self._settle_part(batch.gateway, message, shard, seqs[:half])
            return [*first, *await self._settle_part(batch.gateway, message, shard, seqs[half:])]
        if refusal is Refusal.DATA and self._clock() - self._took_s <= _EVIDENCE_S:
            letters = refused(batch, message, _REASON)
            return await self._settle([Prepared(letters, message, shard, is_last_resort=True)])
        return self._left(prepared, refusal)

    async def _settle_part(
        self, gateway: str, message: bytes, shard: int, seqs: list[int]
    ) -> list[Settled]:
        batches = open_part(gateway, message, self._utc_ms(), frozenset(seqs))
        parts = [Prepared(batch, message, shard) for batch in batches]
        return await self._settle(parts) if parts else []

    def _left(self, prepared: Prepared, refusal: Refusal) -> list[Settled]:
        batch = prepared.batch
        REFUSED.labels(f"store_{refusal.value}").inc()
        _log.error(
            "records left to the gateway: the database does not take them",
            extra={"gateway": batch.gateway, "epoch": batch.epoch, "records": len(seqs_of(batch))},
        )
        return []

    async def _ingested(self, batches: list[IngestBatch]) -> list[IngestResult] | Refusal:
        backoff = Backoff(0.1, 5.0)
        stuck = 0
        while True:
            try:
                return await self._ingest_once(batches)
            except Exception as error:  # noqa: BLE001 - what a store raises beside StorageError may come from one record, and must not stop the others
                if is_about_values(error):
                    _count(error, "data")
                    return Refusal.DATA
                _count(error, "away")
            wait_s = backoff.failed()
            await asyncio.sleep(wait_s)
            stuck += await self._says_ready()
            if stuck >= _STUCK_AFTER:
                return Refusal.STUCK

    async def _ingest_once(self, batches: list[IngestBatch]) -> list[IngestResult]:
        started_s = self._clock()
        async with asyncio.timeout(self._timeout_s):
            results = await self._store.ingest(batches)
        self._took_s = self._clock()
        COMMIT_SECONDS.observe(self._took_s - started_s)
        return results

    async def _says_ready(self) -> bool:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._store.is_ready()
        except (StorageError, TimeoutError):
            return False


def _count(error: Exception, kind: str) -> None:
    STORE_FAILURES.labels(kind).inc()
    # A StorageError names codes only; what else is raised may quote values, so its name must do.
    text = str(error) if isinstance(error, StorageError) else type(error).__name__
    _log.warning("group not stored", extra={"error": text, "kind": kind})
