"""ExportStore: rows of exports, and the resources that they read."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from wardlight_cloud.store.exports import (
    Commits,
    Export,
    ExportLimits,
    ExportOwner,
    ExportState,
    Lines,
    NewExport,
    Refused,
)
from wardlight_cloud.store.observation_texts import Form
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.errors import storage_call, storage_errors
from wardlight_cloud.store.postgres.exports_readings import lines_of_readings
from wardlight_cloud.store.postgres.gathering import Found
from wardlight_cloud.store.postgres.observations import ObservationsPart, names_nothing
from wardlight_cloud.store.postgres.resource_reading import row_of
from wardlight_cloud.store.postgres.scan import finish
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_cloud.store.resources import Patients, ResourceRow

_SQL: Final = statements("exports")


class ExportsPart(ObservationsPart):
    """See ExportStore."""

    @storage_call
    async def start_export(self, new: NewExport, limits: ExportLimits) -> Export | Refused:
        """See ExportStore."""
        owner = new.owner
        async with self._connections.transaction() as connection:
            await connection.fetch(_SQL["lock_exports"])
            running = await connection.fetchrow(
                _SQL["running_exports"], owner.client, owner.login, owner.patient
            )
            if running is not None and running["own"] >= limits.for_one:
                return Refused.FOR_ONE
            if running is not None and running["in_all"] >= limits.in_all:
                return Refused.IN_ALL
            if await connection.fetchval(_SQL["held_octets"]) >= limits.octets:
                return Refused.OCTETS
            bounds = await connection.fetchrow(_SQL["bounds_of_export"], new.since, new.until)
            assert bounds is not None  # noqa: S101 - one row, whatever there is
            row = await connection.fetchrow(
                _SQL["add_export"], uuid4(), bounds["transaction_time"], bounds["commit_seq"],
                bounds["since_seq"], owner.client, owner.login, owner.patient, new.request,
                new.plan,
            )  # fmt: skip
        return _export(row)

    @storage_call
    async def export(self, export_id: UUID) -> Export | None:
        """See ExportStore."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(_SQL["export"], export_id)
        return None if row is None else _export(row)

    @storage_call
    async def end_export(self, export_id: UUID) -> bool:
        """See ExportStore."""
        async with self._connections.acquire() as connection:
            return await connection.fetchval(_SQL["end_export"], export_id) is not None

    @storage_call
    async def has_claimable_export(self) -> bool:
        """See ExportStore."""
        async with self._connections.acquire() as connection:
            return bool(await connection.fetchval(_SQL["has_claimable"]))

    @storage_call
    async def claim_export(self, holder: str, *, lease_s: float) -> Export | None:
        """See ExportStore."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(_SQL["claim_export"], holder, lease_s)
        return None if row is None else _export(row)

    @storage_call
    async def save_export(
        self, export_id: UUID, holder: str, progress: bytes, octets: int, *, lease_s: float
    ) -> bool:
        """See ExportStore."""
        async with self._connections.acquire() as connection:
            saved = await connection.fetchval(
                _SQL["save_export"], export_id, holder, progress, octets, lease_s
            )
        return saved is not None

    @storage_call
    async def finish_export(
        self, export_id: UUID, holder: str, progress: bytes, octets: int
    ) -> bool:
        """See ExportStore."""
        return await self._settle(export_id, holder, progress, octets, ExportState.DONE, None)

    @storage_call
    async def fail_export(self, export_id: UUID, holder: str, problem: str) -> None:
        """See ExportStore."""
        await self._settle(export_id, holder, None, None, ExportState.FAILED, problem)

    @storage_call
    async def leave_exports(self, holder: str) -> None:
        """See ExportStore."""
        async with self._connections.acquire() as connection:
            await connection.execute(_SQL["leave_exports"], holder)

    @storage_call
    async def outdated_exports(self, *, hours: float) -> Sequence[UUID]:
        """See ExportStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["outdated_exports"], hours)
        return [row["export_id"] for row in rows]

    @storage_call
    async def live_exports(self) -> frozenset[UUID]:
        """See ExportStore."""
        async with self._connections.acquire() as connection:
            return frozenset(
                row["export_id"] for row in await connection.fetch(_SQL["live_exports"])
            )

    @storage_call
    async def export_octets(self) -> int:
        """See ExportStore."""
        async with self._connections.acquire() as connection:
            return int(await connection.fetchval(_SQL["held_octets"]))

    @storage_call
    async def exported_resources(
        self,
        kind: str,
        commits: Commits,
        *,
        patients: Patients,
        is_of_patients: bool,
        after: int,
        count: int,
    ) -> Sequence[ResourceRow]:
        """See ExportStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["exported_resources"], kind, commits.after, commits.last, after, patients,
                is_of_patients, count,
            )  # fmt: skip
        return [row_of(row) for row in rows]

    async def exported_readings(
        self, query: ObservationQuery, commits: Commits, form: Form, *, place: bytes | None
    ) -> AsyncGenerator[Lines, None]:
        """See ExportStore."""
        if names_nothing(query) or commits.after >= commits.last:
            return
        with storage_errors("exported_readings"):
            parts = lines_of_readings(self._connections, self._done, query, commits, form, place)
            async with contextlib.aclosing(parts):
                async for lines in parts:
                    yield lines

    async def _done(self, connection: Connection, found: Sequence[Found]) -> None:
        await finish(connection, found, self._ids, self._known)

    async def _settle(
        self,
        export_id: UUID,
        holder: str,
        progress: bytes | None,
        octets: int | None,
        state: ExportState,
        problem: str | None,
    ) -> bool:
        async with self._connections.acquire() as connection:
            settled = await connection.fetchval(
                _SQL["settle_export"], export_id, holder, progress, octets, state.value, problem
            )
        return settled is not None


def _export(row: Any) -> Export:
    return Export(
        row["export_id"], ExportOwner(row["client"], row["login"], row["patient_id"]),
        ExportState(row["state"]), row["asked_at"], row["ended_at"], row["transaction_time"],
        row["since_seq"], row["commit_seq"], row["attempt"], row["request"], row["plan"],
        row["progress"], row["problem"],
    )  # fmt: skip
