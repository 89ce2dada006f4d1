"""ResourceStore: search, reading, versions; resource_writing.py writes."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.named_people import refuse_several
from wardlight_cloud.store.postgres.part import Database, Part
from wardlight_cloud.store.postgres.resource_reading import (
    NO_COMMITS,
    commits_of,
    found,
    plan,
    row_of,
)
from wardlight_cloud.store.postgres.resource_search import Place, count
from wardlight_cloud.store.postgres.resource_writing import write
from wardlight_cloud.store.postgres.sealed import Cursors
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.resources import (
    Conflict,
    HistoryQuery,
    Patients,
    ResourceChange,
    ResourcePage,
    ResourceQuery,
    ResourceRow,
    Written,
)

_SQL: Final = statements("resources")
_Sealed = tuple[int, int, str | None]


class ResourcesPart(Part):
    """See ResourceStore."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._resource_cursors = Cursors(database.cursor_key)

    @storage_call
    async def write_resources(
        self, changes: Sequence[ResourceChange]
    ) -> tuple[Written, ...] | Conflict:
        """See ResourceStore."""
        return await write(self._connections, changes)

    @storage_call
    async def resources(self, query: ResourceQuery) -> ResourcePage:
        """See ResourceStore."""
        after = None
        if query.after is not None:
            sealed = self._resource_cursors.open(query.after, _search(query), _Sealed)
            low = None if sealed[2] is None else Decimal(sealed[2])
            after = Place(sealed[0], sealed[1], low)
        async with self._connections.transaction() as connection:
            await plan(connection)
            rows = await found(connection, query, after)
        page = rows[: query.count]
        is_more = len(rows) > query.count and bool(page)
        return ResourcePage(tuple(page), self.resource_cursor(query, page[-1]) if is_more else None)

    def resource_cursor(self, query: ResourceQuery, row: ResourceRow) -> bytes:
        """See ResourceStore."""
        low = None if row.sort_low is None else str(row.sort_low)
        return self._resource_cursors.seal((row.key, row.commit_seq, low), _search(query))

    @storage_call
    async def resource_count(self, query: ResourceQuery) -> int:
        """See ResourceStore."""
        async with self._connections.transaction() as connection:
            await plan(connection)
            await refuse_several(connection, query.conditions)
            commits = await commits_of(connection, query)
            if commits == NO_COMMITS:
                return 0
            made = count(query, commits)
            return int(await connection.fetchval(made.text, *made.arguments))

    @storage_call
    async def resource_owners(self, kind: str, *, since: int) -> tuple[int, tuple[UUID, ...]]:
        """See ResourceStore."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(_SQL["resource_owners"], kind, since)
        assert row is not None  # noqa: S101 - an aggregate has a row
        return row["newest"] or 0, tuple(row["patients"])

    @storage_call
    async def resources_by_id(
        self, kind: str, ids: Sequence[str], *, patients: Patients
    ) -> tuple[ResourceRow, ...]:
        """See ResourceStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["resources_by_id"], kind, list(ids), patients)
        return tuple(row_of(row) for row in rows)

    @storage_call
    async def resource_version(
        self, kind: str, resource_id: str, commit_seq: int, *, patients: Patients
    ) -> ResourceRow | None:
        """See ResourceStore."""
        async with self._connections.acquire() as connection:
            row = await connection.fetchrow(
                _SQL["resource_version"], kind, resource_id, commit_seq, patients
            )
        return None if row is None else row_of(row)

    @storage_call
    async def resource_history(self, query: HistoryQuery) -> ResourcePage:
        """See ResourceStore."""
        place: tuple[int | None, int | None] = (None, None)
        if query.after is not None:
            place = self._resource_cursors.open(query.after, _history(query), tuple[int, int])
        wanted: list[Any] = [list(query.kinds), query.patients, query.since, *place]
        wanted.append(query.count + 1)
        name = "history" if query.id is None else "history_of_one"
        wanted += [] if query.id is None else [query.id]
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL[name], *wanted)
        page = [row_of(row) for row in rows[: query.count]]
        following = None
        if len(rows) > query.count and page:
            last = page[-1].commit_seq, page[-1].key
            following = self._resource_cursors.seal(last, _history(query))
        return ResourcePage(tuple(page), following)

    @storage_call
    async def resource_history_count(self, query: HistoryQuery) -> int:
        """See ResourceStore."""
        async with self._connections.acquire() as connection:
            return int(
                await connection.fetchval(
                    _SQL["count_history"], list(query.kinds), query.patients, query.since, query.id
                )
            )

    @storage_call
    async def references_of(self, keys: Sequence[int], params: Sequence[str]) -> tuple[str, ...]:
        """See ResourceStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["references_of"], list(keys), list(params))
        return tuple(row["value"] for row in rows)


def _search(query: ResourceQuery) -> str:
    return f"resources {replace(query, count=0, after=None)!r}"


def _history(query: HistoryQuery) -> str:
    return f"history {query.kinds!r} {query.patients!r} {query.id!r} {query.since!r}"
