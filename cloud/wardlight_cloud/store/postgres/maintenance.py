"""MaintenanceStore: leadership, rollups, partitions, retention of event ids."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.errors import storage_call, storage_errors
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.partitions import Partitions
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.model import NO_NUMBER, NOT_CLINICAL

_SQL: Final = statements("maintenance")
_HOUR: Final = timedelta(hours=1)

Progress = tuple[int, int, datetime]
"""(commit, series, hour): up to here rollups are what the rows say."""


class MaintenancePart(Part):
    """See MaintenanceStore."""

    @asynccontextmanager
    async def leadership(self, name: str) -> AsyncIterator[bool]:
        """See MaintenanceStore."""
        async with AsyncExitStack() as stack:
            with storage_errors("leadership"):
                lock = self._connections.session_lock(f"leader:{name}")
                is_leader = await stack.enter_async_context(lock)
            yield is_leader

    @storage_call
    async def refresh_rollups(self, *, limit: int) -> int:
        """See MaintenanceStore; a bucket is an hour of a series, with its minutes."""
        if self._database.engine.has_own_rollups:
            async with self._connections.transaction() as connection:
                return await _rebuild(connection, limit)
        async with self._connections.acquire() as connection:
            return await _refresh(connection, limit)

    @storage_call
    async def prepare_partitions(self, *, days_ahead: int) -> None:
        """See MaintenanceStore."""
        await Partitions(self._connections).prepare_coming(days_ahead)

    @storage_call
    async def forget_event_ids(self, *, older_than: datetime) -> int:
        """See MaintenanceStore."""
        async with self._connections.acquire() as connection:
            status = await connection.execute(_SQL["forget_event_ids"], older_than)
        return int(status.rpartition(" ")[2])


async def _rebuild(connection: Connection, limit: int) -> int:
    progress = await connection.fetchrow(_SQL["lock_progress"])
    due = await connection.fetch(_SQL["due_buckets"], *(progress or ()), limit)
    if not due:
        return 0
    buckets = _merged(due)
    keys = list(buckets)
    spans = list(buckets.values())
    await connection.execute(
        _SQL["rebuild_minutes"],
        [series_id for series_id, _ in keys],
        [first for first, _ in spans],
        [last for _, last in spans],
        int(NOT_CLINICAL),
        min(hour for _, hour in keys),
        max(hour for _, hour in keys) + _HOUR,
        int(NO_NUMBER),
    )
    await connection.execute(
        _SQL["rebuild_hours"], [series_id for series_id, _ in keys], [hour for _, hour in keys]
    )
    await connection.execute(_SQL["move_progress"], *_progress(due))
    return len(buckets)


async def _refresh(connection: Connection, limit: int) -> int:
    """Continuous aggregates rebuild what TimescaleDB knows to have changed inside a window.

    Not in a transaction: the server refuses that. A refresh that is repeated changes nothing.
    """
    progress = await connection.fetchrow(_SQL["progress"])
    due = await connection.fetch(_SQL["due_buckets"], *(progress or ()), limit)
    if not due:
        return 0
    buckets = _merged(due)
    window = min(hour for _, hour in buckets), max(hour for _, hour in buckets) + _HOUR
    await connection.execute(_SQL["refresh_minutes"], *window)
    await connection.execute(_SQL["refresh_hours"], *window)
    await connection.execute(_SQL["move_progress"], *_progress(due))
    return len(buckets)


def _merged(due: Sequence[Any]) -> dict[tuple[int, datetime], tuple[datetime, datetime]]:
    """(series, hour) -> first and last changed time; a bucket may be due more than once."""
    found: dict[tuple[int, datetime], tuple[datetime, datetime]] = {}
    for row in due:
        key = row["series_id"], row["bucket"]
        first, last = found.get(key, (row["first_time"], row["last_time"]))
        found[key] = min(first, row["first_time"]), max(last, row["last_time"])
    return found


def _progress(due: Sequence[Any]) -> Progress:
    last = due[-1]
    return last["commit_seq"], last["series_id"], last["bucket"]
