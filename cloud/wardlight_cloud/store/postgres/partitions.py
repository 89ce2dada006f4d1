"""Partitions for the days of readings, made before the ingest transaction and never inside it.

Attaching a partition in the ingest transaction would hold its lock until COMMIT; in a transaction
of its own it is over in milliseconds, and neither readers nor writers wait for it.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import numpy as np

from wardlight_cloud.store.batch import IngestBatch
from wardlight_cloud.store.postgres.connections import Connections
from wardlight_cloud.store.postgres.rows import DAY_US
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("partitions")
_EPOCH: Final = date(1970, 1, 1)
_AT_A_TIME: Final = 32  # days made in one transaction
_MOST: Final = 20_000  # days remembered


class Partitions:
    """Remembers which days (counted from 1970) have a partition."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._known: set[int] = set()

    def forget(self) -> None:
        """Make sure again: a partition may have been dropped, or the database be another one."""
        self._known = set()

    async def prepare(self, batches: Sequence[IngestBatch], now_us: int) -> None:
        """Make what ``batches`` need; days that no row may have are left out."""
        days = {
            day for batch in batches for day in np.unique(batch.readings.time_us // DAY_US).tolist()
        }
        await self.prepare_days(days, now_us)

    async def prepare_days(self, days: set[int], now_us: int) -> None:
        """Make what rows of these days (counted from 1970) need."""
        missing = sorted(day for day in days - self._known if 0 <= day <= now_us // DAY_US + 1)
        for start in range(0, len(missing), _AT_A_TIME):
            part = missing[start : start + _AT_A_TIME]
            async with self._connections.transaction() as connection:
                dates = [_EPOCH + timedelta(days=day) for day in part]
                await connection.fetchval(_SQL["prepare_days"], dates)
            if len(self._known) > _MOST:
                self.forget()
            self._known.update(part)

    async def prepare_coming(self, days_ahead: int) -> None:
        """Make today's partition and those of the coming days."""
        async with self._connections.transaction() as connection:
            await connection.fetchval(_SQL["prepare_coming_days"], days_ahead)
