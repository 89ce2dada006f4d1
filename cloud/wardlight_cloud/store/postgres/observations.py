"""Search of Observations: spans first, then rows in windows of time or along the commits."""

import dataclasses
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from wardlight_cloud.store.base import ObservationPage, ObservationQuery, TimeBound
from wardlight_cloud.store.postgres.by_time import (
    by_time,
    completed,
    is_narrow,
    stretches_of,
    within,
)
from wardlight_cloud.store.postgres.commit_walk import ALL_COMMITS, walk
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.counting import count
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.gathering import Found, Position, instant_of
from wardlight_cloud.store.postgres.known import KnownFacts
from wardlight_cloud.store.postgres.part import Database, Part
from wardlight_cloud.store.postgres.scan import (
    finish,
    scan,
)
from wardlight_cloud.store.postgres.sealed import Cursors, ObservationIds, ObservationKey
from wardlight_cloud.store.postgres.spans import (
    TICK,
    find_spans,
    interval,
)
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("observations")
_NOTHING: Final = ObservationPage((), None)


class ObservationsPart(Part):
    """See ReadStore.observations."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._ids = ObservationIds(database.observation_key)
        self._cursors = Cursors(database.cursor_key)
        self._known = KnownFacts()

    @storage_call
    async def observations(self, query: ObservationQuery) -> ObservationPage:
        """See ReadStore; ValueError for a cursor that is not one of this search."""
        after = None
        if query.after is not None:
            after = self._cursors.open(query.after, _search(query), Position)
        if _names_nothing(query):
            return _NOTHING
        async with self._connections.acquire() as connection:
            commits = await _commit_bounds(connection, query.stored)
            if commits[0] > commits[1]:
                return _NOTHING
            found = await self._found(connection, query, commits, after)
            page = found[: query.count]
            await finish(connection, page, self._ids, self._known)
        is_more = len(found) > query.count and bool(page)
        following = self._cursors.seal(page[-1].position, _search(query)) if is_more else None
        return ObservationPage(tuple(page), following)

    @storage_call
    async def observation_count(self, query: ObservationQuery) -> int:
        """See ReadStore."""
        if _names_nothing(query):
            return 0
        async with self._connections.acquire() as connection:
            commits = await _commit_bounds(connection, query.stored)
            if commits[0] > commits[1]:
                return 0
            if query.ids is None:
                return await count(connection, query, commits)
            few = dataclasses.replace(query, count=len(query.ids))
            return len(await self._found(connection, few, commits, None))

    async def _found(
        self,
        connection: Connection,
        query: ObservationQuery,
        commits: tuple[int, int],
        after: Position | None,
    ) -> list[Found]:
        """One more than the page holds, when there are more."""
        limit = query.count + 1
        if query.ids is not None:
            keys = [self._ids.key(text) for text in query.ids]
            wanted = [key for key in keys if key is not None]
            return await _by_keys(connection, query, wanted, commits, after, limit)
        if is_narrow(query, after):
            return await within(connection, query, after, limit)
        spans = await find_spans(connection, query)
        if query.order == "commit":
            return await walk(connection, spans, commits=commits, after=after, limit=limit)
        return await by_time(connection, query, spans, commits, after, limit)


def _names_nothing(query: ObservationQuery) -> bool:
    return () in (
        query.patients, query.devices, query.metrics, query.component_metrics, query.ids
    )  # fmt: skip


def _search(query: ObservationQuery) -> str:
    """What a cursor belongs to: all of a query but its page."""
    return msgspec.json.encode(dataclasses.replace(query, after=None, count=0)).decode()


async def _commit_bounds(connection: Connection, bounds: Sequence[TimeBound]) -> tuple[int, int]:
    """The commits of a search on stored_at; stored_at grows with them."""
    if not bounds:
        return ALL_COMMITS
    lo, hi = interval(bounds)
    row = await connection.fetchrow(_SQL["commits_between"], lo, hi - TICK)
    if row is None or row["first"] is None or row["last"] is None:
        return 1, 0
    return row["first"], row["last"]


async def _by_keys(
    connection: Connection,
    query: ObservationQuery,
    keys: Sequence[ObservationKey],
    commits: tuple[int, int],
    after: Position | None,
    limit: int,
) -> list[Found]:
    """All that the search asks for by id, in its order; ids are few."""
    if not keys:
        return []
    spans = await find_spans(connection, query, sorted({anchor for anchor, _, _ in keys}))
    times = sorted({time_us for _, time_us, _ in keys})
    cut = [
        span.cut(instant_of(time_us), instant_of(time_us) + TICK)
        for span in spans
        for anchor, time_us in sorted({(anchor, time_us) for anchor, time_us, _ in keys})
        if span.anchor == anchor
    ]
    stretches = stretches_of([span for span in cut if not span.is_empty], commits)
    window = instant_of(times[0]), instant_of(times[-1]) + TICK
    wanted = set(keys)
    found: list[Found] = []
    position: Position | None = None
    while True:
        size = len(keys) + limit
        part = await scan(
            connection, stretches, window=window, direction="forward", after=position, limit=size
        )
        found += await completed(connection, query, [each for each in part if each.key in wanted])
        if len(part) < size:
            break
        position = part[-1].position
    return _ordered(found, query, after)[:limit]


def _ordered(
    found: Sequence[Found], query: ObservationQuery, after: Position | None
) -> list[Found]:
    if query.order == "commit":
        for each in found:
            each.stretch = replace(each.stretch, position=each.commit_seq)
    is_backward = query.order == "newest"
    ordered = sorted(found, key=lambda each: each.position, reverse=is_backward)
    if after is None:
        return ordered
    return [
        each
        for each in ordered
        if (each.position < after if is_backward else each.position > after)
    ]
