"""ChangeStore: what commits brought, for whoever tells others of it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from wardlight_cloud.store.base import ObservationQuery
from wardlight_cloud.store.observation_rows import ObservationRow
from wardlight_cloud.store.postgres.commit_walk import walk
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.gathering import Position
from wardlight_cloud.store.postgres.known import KnownFacts
from wardlight_cloud.store.postgres.part import Database, Part
from wardlight_cloud.store.postgres.resource_reading import row_of
from wardlight_cloud.store.postgres.scan import finish
from wardlight_cloud.store.postgres.sealed import ObservationIds
from wardlight_cloud.store.postgres.spans import find_spans
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.resources import ResourceRow

_SQL: Final = statements("changes")
_EVERYTHING: Final = ObservationQuery(order="commit")


class ChangedPart(Part):
    """See ChangeStore."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._changed_ids = ObservationIds(database.observation_key)
        self._changed_facts = KnownFacts()

    @storage_call
    async def changed_resources(
        self, kinds: Sequence[str], *, after: int, upto: int, count: int
    ) -> tuple[tuple[ResourceRow, ...], int]:
        """See ChangeStore."""
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["changed_resources"], list(kinds), after, upto, count
            )
        reached = upto if len(rows) < count else rows[-1]["commit_seq"]
        return tuple(row_of(row) for row in rows), reached

    @storage_call
    async def changed_observations(
        self, *, after: int, upto: int, place: bytes | None, count: int
    ) -> tuple[tuple[ObservationRow, ...], bytes | None]:
        """See ChangeStore."""
        begin = None if place is None else msgspec.msgpack.decode(place, type=Position)
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["changed_anchors"], after, upto)
            if not rows:
                return (), None
            spans = await find_spans(connection, _EVERYTHING, [row["anchor"] for row in rows])
            found = await walk(
                connection, spans, commits=(after + 1, upto), after=begin, limit=count + 1
            )
            page = found[:count]
            await finish(connection, page, self._changed_ids, self._changed_facts)
        more = len(found) > count
        return tuple(page), msgspec.msgpack.encode(page[-1].position) if more else None
