"""Rows ready to be stored: what can be made before the commit lock is made before it."""

from datetime import datetime
from typing import Any, Final

from numpy.typing import NDArray

from wardlight_cloud.store.postgres.bulk_load import BulkLoad
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.rows import Rows, clinical, marks
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("ingest")


class ReadyRows:
    """Rows and what they leave behind, made before the commit lock."""

    def __init__(self, rows: Rows, bulk_load: BulkLoad) -> None:
        self._load = bulk_load(rows) if len(rows) else None
        vitals = clinical(rows)
        self._marks = _mark_columns(vitals) if len(vitals) else None

    async def store(
        self, connection: Connection, commit_seq: int, stored_at: datetime
    ) -> list[int]:
        """Write them under the commit lock; returns their series that have corrected places."""
        if self._load is not None:
            await self._load.send(connection, commit_seq)
        if self._marks is None:
            return []
        rows = await connection.fetch(_SQL["mark_series"], commit_seq, stored_at, *self._marks)
        return [row["series_id"] for row in rows]


def _mark_columns(vitals: Rows) -> list[list[Any]]:
    """Arguments of mark_series after the commit."""
    made = marks(vitals)
    newest = made.newest
    columns: tuple[NDArray[Any], ...] = (
        newest.series_id, newest.time_us, newest.mantissa, newest.flags, newest.ord,
        newest.error_ms, newest.scale, newest.absent, *made.days, *made.hours,
    )  # fmt: skip
    return [column.tolist() for column in columns]
