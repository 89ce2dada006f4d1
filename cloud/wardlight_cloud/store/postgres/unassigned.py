"""UnassignedStore: readings that are no patient's."""

from datetime import date
from typing import Final

from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.unassigned import UnassignedDay
from wardlight_shared.model import NOT_CLINICAL

_SQL: Final = statements("register")


class UnassignedPart(Part):
    """See UnassignedStore."""

    @storage_call
    async def unassigned(self, *, since: date, count: int = 500) -> tuple[UnassignedDay, ...]:
        """See UnassignedStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["unassigned"], since, int(NOT_CLINICAL), count)
        return tuple(
            UnassignedDay(
                row["identity"], row["user_index"], row["day"], row["readings"],
                row["first_time"], row["last_time"],
            )
            for row in rows
        )  # fmt: skip
