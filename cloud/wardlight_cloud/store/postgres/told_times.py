"""ToldTimeStore: what devices said of when, beside their readings."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Database, Part
from wardlight_cloud.store.postgres.sealed import ObservationIds
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("told_times")


class ToldTimesPart(Part):
    """See ToldTimeStore."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._told_ids = ObservationIds(database.observation_key)

    @storage_call
    async def observations_told(
        self, devices: Sequence[UUID], metrics: Sequence[int], device_times: Sequence[str]
    ) -> tuple[str, ...]:
        """See ToldTimeStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["told"], list(devices), list(metrics), list(device_times)
            )
        keys = [(row["anchor"], row["time_us"], row["ord"]) for row in rows]
        return tuple(self._told_ids.ids(keys)) if keys else ()
