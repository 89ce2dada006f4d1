"""ChangeStore: what commits brought, for whoever tells others of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from wardlight_cloud.store.postgres.commit_walk import walk
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.gathering import Position
from wardlight_cloud.store.postgres.known import KnownFacts
from wardlight_cloud.store.postgres.left_readings import left_readings
from wardlight_cloud.store.postgres.part import Database, Part
from wardlight_cloud.store.postgres.resource_reading import row_of
from wardlight_cloud.store.postgres.scan import finish
from wardlight_cloud.store.postgres.sealed import ObservationIds
from wardlight_cloud.store.postgres.spans import find_spans
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_cloud.store.resources import ResourceRow
from wardlight_cloud.store.subscriptions import ObservationChange

_SQL: Final = statements("changes")
_EVERYTHING: Final = ObservationQuery(order="commit")


class _Left(msgspec.Struct, frozen=True):
    """A place among what left patients by a commit."""

    left: Position


@dataclass(frozen=True, slots=True)
class _Step:
    """Commits whose rows are walked along, or one of which patients lost Observations."""

    first: int
    last: int
    has_left: bool = False


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
    async def left_resources(
        self, versions: Sequence[ResourceRow]
    ) -> Mapping[tuple[int, int], ResourceRow]:
        """See ChangeStore."""
        if not versions:
            return {}
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["left_resources"],
                [each.key for each in versions],
                [each.commit_seq for each in versions],
            )
        return {(row["resource_key"], row["ended"]): row_of(row) for row in rows}

    @storage_call
    async def changed_observations(
        self, *, after: int, upto: int, place: bytes | None, count: int
    ) -> tuple[tuple[ObservationChange, ...], bytes | None]:
        """See ChangeStore."""
        return await self._page((after, upto), place, count)

    @storage_call
    async def left_observations(
        self, *, after: int, upto: int, place: bytes | None, count: int
    ) -> tuple[tuple[ObservationChange, ...], bytes | None]:
        """See ChangeStore."""
        return await self._page((after, upto), place, count, only_left=True)

    async def _page(
        self, commits: tuple[int, int], place: bytes | None, count: int, *, only_left: bool = False
    ) -> tuple[tuple[ObservationChange, ...], bytes | None]:
        begin = None if place is None else msgspec.msgpack.decode(place, type=Position | _Left)
        after, upto = commits
        found: list[ObservationChange] = []
        places: list[Position | _Left] = []
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(_SQL["left_commits"], after, upto)
            steps = _steps(after + 1, upto, [row["commit_seq"] for row in rows], begin)
            for step, behind in steps:
                if only_left and not step.has_left:
                    continue
                made, at = await self._of_step(connection, step, behind, count + 1 - len(found))
                found += made
                places += at
                if len(found) > count:
                    break
        more = len(found) > count
        return tuple(found[:count]), msgspec.msgpack.encode(places[count - 1]) if more else None

    async def _of_step(
        self, connection: Connection, step: _Step, behind: Position | None, limit: int
    ) -> tuple[list[ObservationChange], list[Position | _Left]]:
        if step.has_left:
            left = await left_readings(connection, step.first, after=behind, limit=limit)
            page = [each.found for each in left]
            await finish(connection, page, self._changed_ids, self._changed_facts)
            stored_at = await self._changed_facts.stored_at(connection, [step.first])
            changes = [
                ObservationChange(
                    each.found, step.first, stored_at[step.first], is_left=True, holder=each.holder
                )
                for each in left
            ]
            return changes, [_Left(each.position) for each in page]
        rows = await connection.fetch(_SQL["changed_anchors"], step.first - 1, step.last)
        if not rows:
            return [], []
        spans = await find_spans(connection, _EVERYTHING, [row["anchor"] for row in rows])
        page = await walk(
            connection, spans, commits=(step.first, step.last), after=behind, limit=limit
        )
        await finish(connection, page, self._changed_ids, self._changed_facts)
        changes = [ObservationChange(each, each.commit_seq, each.stored_at) for each in page]
        return changes, [each.position for each in page]


def _steps(
    first: int, last: int, lefts: Sequence[int], begin: Position | _Left | None
) -> Iterator[tuple[_Step, Position | None]]:
    """Steps in their order from ``begin`` on, each with the place behind which it goes on."""
    among = begin.left if isinstance(begin, _Left) else None
    behind = None if isinstance(begin, _Left) else begin
    for commit in lefts:
        place = among or behind
        if first < commit and (place is None or place[0] < commit):
            yield _Step(first, commit - 1), behind
            place = behind = None
        if place is None or (among is not None and among[0] == commit):
            yield _Step(commit, commit, has_left=True), among
            among = None
        first = commit
    yield _Step(first, last), behind
