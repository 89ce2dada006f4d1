"""Rows of searches of stored resources, one more than a page holds where there are more."""

from datetime import UTC
from typing import Any, Final

from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.named_people import refuse_several
from wardlight_cloud.store.postgres.resource_search import (
    Place,
    Statement,
    search,
    search_without_range,
)
from wardlight_cloud.store.postgres.spans import TICK, interval
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.resources import ResourceQuery, ResourceRow

_OBSERVATIONS: Final = statements("observations")
_IMAGES: Final = statements("images_search")
NO_COMMITS: Final = (1, 0)


async def plan(connection: Connection) -> None:
    """Until the transaction ends: plans for what is looked for, and with all kinds of indexes.

    Sessions plan for partitions of readings, once for all.
    """
    await connection.fetch(_IMAGES["plan_for_search"])


async def found(
    connection: Connection, query: ResourceQuery, after: Place | None
) -> list[ResourceRow]:
    """One more than the page holds, when there are more. SeveralPeople as the Protocol says."""
    await refuse_several(connection, query.conditions)
    commits = await commits_of(connection, query)
    if commits == NO_COMMITS:
        return []
    limit = query.count + 1
    is_by_range = query.sort not in ("", "_lastUpdated")
    rows: list[ResourceRow] = []
    if not (is_by_range and after is not None and after.low is None):
        rows = await _fetched(connection, search(query, commits, after, limit))
        after = None
    if is_by_range and len(rows) < limit:
        key = -1 if after is None else after.key
        rest = search_without_range(query, commits, key, limit - len(rows))
        rows += await _fetched(connection, rest)
    return rows


async def _fetched(connection: Connection, made: Statement) -> list[ResourceRow]:
    return [row_of(row) for row in await connection.fetch(made.text, *made.arguments)]


async def commits_of(connection: Connection, query: ResourceQuery) -> tuple[int, int] | None:
    """The commits of a search on stored_at, which grows with them; None = all."""
    if not query.stored:
        return None
    lo, hi = interval(query.stored)
    row = await connection.fetchrow(_OBSERVATIONS["commits_between"], lo, hi - TICK)
    if row is None or row["first"] is None or row["last"] is None or row["first"] > row["last"]:
        return NO_COMMITS
    return row["first"], row["last"]


def row_of(row: Any) -> ResourceRow:
    """A row of a statement that names the columns of a resource."""
    return ResourceRow(
        row["resource_key"], row["kind"], row["id"], row["commit_seq"],
        row["stored_at"].astimezone(UTC), row["body"], tuple(row["patients"]), row["is_new"],
        row.get("low"),
    )  # fmt: skip
