"""IngestStore: what the collector writes through."""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from wardlight_cloud.store.batch import IngestBatch, IngestResult, LedgerState
from wardlight_cloud.store.postgres.bulk_load import BulkLoad, Copy, Unnest
from wardlight_cloud.store.postgres.dictionary import Dictionary, gateway_ids
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.ledgers import inclusive, state
from wardlight_cloud.store.postgres.part import Database, Part
from wardlight_cloud.store.postgres.partitions import Partitions
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.postgres.transaction import IngestTransaction
from wardlight_shared.envelope import MAX_SEQ

_log = logging.getLogger(__name__)
_SQL: Final = statements("gateways")
_TRIES: Final = 4
_TRY_AGAIN: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
_LOST: Final = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError)


class IngestPart(Part):
    """See IngestStore."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._dictionary = Dictionary(database.connections)
        self._partitions = Partitions(database.connections)
        self._bulk_load: BulkLoad = Copy if database.engine.server.takes_copy else Unnest

    @storage_call
    async def ingest(self, batches: Sequence[IngestBatch]) -> list[IngestResult]:
        """See IngestStore."""
        if not batches:
            return []
        careful = False
        for attempt in range(1, _TRIES + 1):
            try:
                return await self._ingest(batches, careful=careful)
            except asyncpg.UniqueViolationError:
                careful = True
                reason = "taken key"
            except asyncpg.CheckViolationError:
                self._partitions.forget()
                reason = "no partition"
            except _TRY_AGAIN:
                reason = "conflict"
            except _LOST:
                self._dictionary.forget()
                self._partitions.forget()
                raise
            _log.info("ingest runs again", extra={"reason": reason, "attempt": attempt})
        return await self._ingest(batches, careful=True)

    async def _ingest(self, batches: Sequence[IngestBatch], *, careful: bool) -> list[IngestResult]:
        now_us = time.time_ns() // 1000
        await self._dictionary.learn(batches)
        await self._partitions.prepare(batches, now_us)
        async with self._connections.transaction() as connection:
            transaction = IngestTransaction(
                connection, self._dictionary, self._bulk_load, now_us=now_us, careful=careful
            )
            return await transaction.run(batches)

    @storage_call
    async def ledger(self, gateway: str, epoch: int) -> LedgerState:
        """See IngestStore."""
        async with self._connections.transaction() as connection:
            row = await connection.fetchrow(_SQL["ledger"], gateway, epoch)
            if row is None:
                return LedgerState(gateway, epoch, 0, (), ())
            rejected = await connection.fetch(_SQL["rejected"], gateway, epoch)
        pairs = [(each["seq"], each["reason"]) for each in rejected]
        return state(gateway, epoch, inclusive(row["settled"]), pairs)

    @storage_call
    async def note_hello(self, gateway: str, epoch: int, highest: int, software: str) -> None:
        """See IngestStore."""
        async with self._connections.transaction() as connection:
            gateway_id = (await gateway_ids(connection, [gateway]))[gateway]
            await connection.execute(_SQL["note_software"], gateway_id, software)
            await connection.execute(_SQL["note_highest"], gateway_id, epoch, min(highest, MAX_SEQ))

    @storage_call
    async def note_state(self, gateway: str, online: bool, software: str) -> None:
        """See IngestStore."""
        async with self._connections.transaction() as connection:
            gateway_id = (await gateway_ids(connection, [gateway]))[gateway]
            await connection.execute(_SQL["note_state"], gateway_id, online, software)

    @storage_call
    async def is_enabled(self, gateway: str) -> bool:
        """See IngestStore."""
        async with self._connections.acquire() as connection:
            return bool(await connection.fetchval(_SQL["is_enabled"], gateway))

    @storage_call
    async def released(self, gateway: str, epoch: int) -> tuple[int, ...]:
        """See IngestStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["released"], gateway, epoch)
        return tuple(row["seq"] for row in rows)

    @storage_call
    async def live_until(self) -> Mapping[str, datetime]:
        """See IngestStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["live_until"])
        return {row["gateway"]: row["until"] for row in rows}
