"""Search of Observations: spans first, then rows in windows of time or along the commits."""

import dataclasses
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from wardlight_cloud.store.observation_rows import ObservationRow
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
from wardlight_cloud.store.postgres.sifting import Keep, keep_of
from wardlight_cloud.store.postgres.spans import (
    TICK,
    find_spans,
    interval,
)
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.queries import ObservationPage, ObservationQuery, TimeBound

_SQL: Final = statements("observations")
_NOTHING: Final = ObservationPage((), None)
_COUNTED_AT_ONCE: Final = 2000


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
        after = self._place_after(query)
        if names_nothing(query):
            return _NOTHING
        async with self._connections.acquire() as connection:
            bounds = await _bounds_of(connection, query)
            if bounds.is_empty:
                return _NOTHING
            found, others_seq = await self._found(connection, query, bounds, after)
            page = found[: query.count]
            await finish(connection, page, self._ids, self._known)
        is_more = len(found) > query.count and bool(page)
        following = self._cursors.seal(page[-1].position, search_of(query)) if is_more else None
        return ObservationPage(tuple(page), following, others_seq)

    def observation_cursor(self, query: ObservationQuery, row: ObservationRow) -> bytes:
        """See ReadStore."""
        assert isinstance(row, Found)  # noqa: S101 - pages of this store hold no others
        return self._cursors.seal(row.position, search_of(query))

    @storage_call
    async def observation_count(self, query: ObservationQuery) -> int:
        """See ReadStore."""
        if names_nothing(query):
            return 0
        async with self._connections.acquire() as connection:
            bounds = await _bounds_of(connection, query)
            if bounds.is_empty:
                return 0
            if query.ids is None and not query.is_sifted:
                return await count(connection, query, bounds.commits)
            return await self._counted(connection, query, bounds)

    async def _counted(
        self, connection: Connection, query: ObservationQuery, bounds: "_Bounds"
    ) -> int:
        """Those that a search finds one by one."""
        size = _COUNTED_AT_ONCE if query.ids is None else len(query.ids)
        query = dataclasses.replace(query, order="oldest", count=size)
        total, after = 0, None
        while True:
            found, _ = await self._found(connection, query, bounds, after)
            total += len(found)
            if len(found) <= size:
                return total
            after = found[-1].position

    def _place_after(self, query: ObservationQuery) -> Position | None:
        """Behind which the page begins. ValueError: see ``observations``."""
        if query.after is None:
            return None
        after: Position = self._cursors.open(query.after, search_of(query), Position)
        return after

    async def _found(
        self,
        connection: Connection,
        query: ObservationQuery,
        bounds: "_Bounds",
        after: Position | None,
    ) -> tuple[list[Found], int | None]:
        """One more than the page holds, when there are more; and ``others_seq`` of the page."""
        limit = query.count + 1
        keep = keep_of(query, bounds.alternatives, self._ids)
        if query.ids is not None:
            keys = [self._ids.key(text) for text in query.ids]
            wanted = [key for key in keys if key is not None]
            return await _by_keys(connection, query, wanted, bounds, after, limit, keep), None
        if is_narrow(query, after):
            return await within(connection, query, after, limit)
        spans = await find_spans(connection, query)
        if query.is_by_commit:
            return await walk(
                connection, spans, commits=bounds.commits, after=after, limit=limit, keep=keep,
                is_descending=query.order == "latest",
            ), None  # fmt: skip
        return await by_time(connection, query, spans, bounds.commits, after, limit, keep), None


def names_nothing(query: ObservationQuery) -> bool:
    """Whether no row can be what is asked for."""
    return () in (
        query.patients, query.devices, query.metrics, query.component_metrics, query.ids
    )  # fmt: skip


def search_of(query: ObservationQuery) -> str:
    """What a cursor belongs to: all of a query but its page."""
    plain = dataclasses.replace(query, after=None, count=0, sieve=None)
    name = "" if query.sieve is None else query.sieve.name
    return msgspec.json.encode(plain).decode() + name


@dataclasses.dataclass(frozen=True, slots=True)
class _Bounds:
    """Commits that a search is about; ``alternatives``: those of ``stored_any``."""

    commits: tuple[int, int]
    alternatives: tuple[tuple[int, int], ...] = ()

    @property
    def is_empty(self) -> bool:
        return self.commits[0] > self.commits[1]


async def _bounds_of(connection: Connection, query: ObservationQuery) -> _Bounds:
    first, last = await _commit_bounds(connection, query.stored)
    if not query.stored_any:
        return _Bounds((first, last))
    found = [await _commit_bounds(connection, each) for each in query.stored_any]
    some = tuple(each for each in found if each[0] <= each[1])
    if not some:
        return _Bounds((1, 0))
    hull = max(first, min(lo for lo, _ in some)), min(last, max(hi for _, hi in some))
    return _Bounds(hull, some)


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
    bounds: _Bounds,
    after: Position | None,
    limit: int,
    keep: Keep | None,
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
    stretches = stretches_of([span for span in cut if not span.is_empty], bounds.commits)
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
    kept = found if keep is None else [each for each in found if keep(each)]
    return _ordered(kept, query, after)[:limit]


def _ordered(
    found: Sequence[Found], query: ObservationQuery, after: Position | None
) -> list[Found]:
    if query.is_by_commit:
        for each in found:
            each.stretch = replace(each.stretch, position=each.commit_seq)
    is_backward = query.order in ("newest", "latest")
    ordered = sorted(found, key=lambda each: each.position, reverse=is_backward)
    if after is None:
        return ordered
    return [
        each
        for each in ordered
        if (each.position < after if is_backward else each.position > after)
    ]
