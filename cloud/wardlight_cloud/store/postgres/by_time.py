"""Observations in the order of their measured time."""

from collections.abc import Sequence

from msgspec.structs import replace

from wardlight_cloud.store.base import ObservationQuery
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.gathering import Found, Position, Stretch, instant_of
from wardlight_cloud.store.postgres.scan import (
    Direction,
    Window,
    complete_panels,
    scan,
    scan_assigned,
    width,
)
from wardlight_cloud.store.postgres.spans import BEGINNING, END, TICK, Span, interval
from wardlight_cloud.store.postgres.windows import NARROW, windows


def stretches_of(spans: Sequence[Span], commits: tuple[int, int]) -> list[Stretch]:
    """Spans, with the commits of rows that let an Observation's commit lie within ``commits``."""
    first, last = commits
    return [
        Stretch(span, first_seq=first if span.assigned_seq < first else 0, last_seq=last)
        for span in spans
        if span.assigned_seq <= last
    ]


def _direction(query: ObservationQuery) -> Direction:
    return "backward" if query.order == "newest" else "forward"


def _ahead(query: ObservationQuery, after: Position | None) -> Window:
    """The time that is left of a search behind its cursor."""
    lo, hi = interval(query.times)
    if after is None:
        return lo, hi
    moment = instant_of(after[1])
    return (
        (lo, min(hi, moment + TICK)) if _direction(query) == "backward" else (max(lo, moment), hi)
    )


def is_narrow(query: ObservationQuery, after: Position | None) -> bool:
    """Whether a search is for few days of somebody: no need to ask where in them the rows are."""
    if query.order == "commit" or query.stored or not (query.patients or query.devices):
        return False
    lo, hi = _ahead(query, after)
    return hi - lo <= NARROW


async def within(
    connection: Connection, query: ObservationQuery, after: Position | None, limit: int
) -> list[Found]:
    """Observations of a narrow search: spans and rows in one statement."""
    window = _ahead(query, after)
    if window[0] >= window[1]:
        return []
    direction = _direction(query)
    part, stretches, is_more = await scan_assigned(
        connection, query, window=window, direction=direction, after=after, limit=limit
    )
    if is_more:
        part += await scan(
            connection, stretches, window=window, direction=direction, after=part[-1].position,
            limit=limit - len(part),
        )  # fmt: skip
    return await completed(connection, query, part)


async def by_time(
    connection: Connection,
    query: ObservationQuery,
    spans: Sequence[Span],
    commits: tuple[int, int],
    after: Position | None,
    limit: int,
) -> list[Found]:
    """Observations of spans, window after window."""
    direction = _direction(query)
    stretches = stretches_of(spans, commits)
    if after is not None:
        stretches = _beyond(stretches, direction, after)
    found: list[Found] = []
    if not stretches:
        return found
    rows = limit * width(stretches)
    async for window in windows(connection, stretches, direction, rows):
        while len(found) < limit:
            wanted = limit - len(found)
            part = await scan(
                connection, stretches, window=window, direction=direction, after=after,
                limit=wanted,
            )  # fmt: skip
            found += await completed(connection, query, part)
            if len(part) < wanted:
                break
            after = part[-1].position
        if len(found) >= limit:
            break
    return found


def _beyond(stretches: Sequence[Stretch], direction: Direction, after: Position) -> list[Stretch]:
    """Cut away what lies before the cursor, so that windows begin there."""
    moment = instant_of(after[1])
    lo, hi = (BEGINNING, moment + TICK) if direction == "backward" else (moment, END)
    cut = [replace(stretch, span=stretch.span.cut(lo, hi)) for stretch in stretches]
    return [stretch for stretch in cut if not stretch.span.is_empty]


async def completed(
    connection: Connection, query: ObservationQuery, part: list[Found]
) -> list[Found]:
    """Panels with all components, where the search may have seen some of them only."""
    if query.component_metrics is None and not query.stored:
        return part
    await complete_panels(connection, part)
    if not query.stored:
        return part
    return [each for each in part if each.commit_seq <= each.stretch.last_seq]
