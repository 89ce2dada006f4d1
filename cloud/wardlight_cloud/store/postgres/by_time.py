"""Observations in the order of their measured time."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.gathering import Found, Position, Stretch, instant_of
from wardlight_cloud.store.postgres.numbers_between import bounded
from wardlight_cloud.store.postgres.scan import (
    Direction,
    Window,
    complete_panels,
    scan,
    scan_assigned,
    width,
)
from wardlight_cloud.store.postgres.sifting import Keep
from wardlight_cloud.store.postgres.spans import BEGINNING, END, TICK, Span, interval
from wardlight_cloud.store.postgres.windows import NARROW, windows
from wardlight_cloud.store.queries import ObservationQuery

_SIFTED_MOST: Final = 4000  # Observations of one statement of which few may be taken
_GROWTH: Final = 4
_SIFTED_IN_ALL: Final = 200_000  # of one page; whoever asks for more is told to ask for less
_SIFTED_WINDOW: Final = 16_000  # rows of a window that is read in several statements
_BOUNDED_ROWS: Final = 20_000  # of a window: most of them stay where they lie
_MARKED_WINDOWS: Final = 1000  # of one page: some twenty million rows


def stretches_of(spans: Sequence[Span], commits: tuple[int, int]) -> list[Stretch]:
    """Spans, with the commits of rows that let an Observation's commit lie within ``commits``."""
    first, last = commits
    return [
        Stretch(span, first_seq=first if span.assigned_seq < first else 0, last_seq=last)
        for span in spans
        if span.assigned_seq <= last
    ]


def direction_of(query: ObservationQuery) -> Direction:
    """Which way along the time a search goes."""
    return "backward" if query.order == "newest" else "forward"


def ahead(query: ObservationQuery, after: Position | None) -> Window:
    """The time that is left of a search behind its cursor."""
    lo, hi = interval(query.times)
    if after is None:
        return lo, hi
    moment = instant_of(after[1])
    return (
        (lo, min(hi, moment + TICK)) if direction_of(query) == "backward" else (max(lo, moment), hi)
    )


def is_narrow(query: ObservationQuery, after: Position | None) -> bool:
    """Whether a search is for few days of somebody: no need to ask where in them the rows are."""
    if query.is_by_commit or query.stored or query.is_sifted:
        return False
    if not (query.patients or query.devices):
        return False
    lo, hi = ahead(query, after)
    return hi - lo <= NARROW


async def within(
    connection: Connection, query: ObservationQuery, after: Position | None, limit: int
) -> tuple[list[Found], int | None]:
    """Observations of a narrow search, and ``others_seq``: all in one statement."""
    window = ahead(query, after)
    if window[0] >= window[1]:
        return [], None
    direction = direction_of(query)
    part, stretches, is_more, others_seq = await scan_assigned(
        connection, query, window=window, direction=direction, after=after, limit=limit
    )
    if is_more:
        part += await scan(
            connection, stretches, window=window, direction=direction, after=part[-1].position,
            limit=limit - len(part),
        )  # fmt: skip
    return await completed(connection, query, part), others_seq


async def by_time(
    connection: Connection,
    query: ObservationQuery,
    spans: Sequence[Span],
    commits: tuple[int, int],
    after: Position | None,
    limit: int,
    keep: Keep | None = None,
) -> list[Found]:
    """Observations of spans, window after window; with ``keep`` those that it takes."""
    direction = direction_of(query)
    numbers = None if query.sieve is None else query.sieve.numbers
    if numbers is not None:
        spans = [span for span in spans if (span.metric, span.unit) in numbers]
    stretches = stretches_of(spans, commits)
    if after is not None:
        stretches = _beyond(stretches, direction, after)
    found: list[Found] = []
    if not stretches:
        return found
    bounds = None if numbers is None else bounded(stretches, numbers)
    marks = None if query.sieve is None or bounds is not None else query.sieve.marks
    is_chosen = bounds is not None or marks is not None
    rows, at_once = limit * width(stretches), 1
    if is_chosen:
        rows = max(rows, _BOUNDED_ROWS)
    most = None if keep is None or is_chosen else _SIFTED_WINDOW
    looked_at = passed = 0
    async for window in windows(connection, stretches, direction, rows, most):
        passed += 1
        if marks is not None and passed > _MARKED_WINDOWS:
            raise TimeoutError
        while len(found) < limit:
            wanted = max(limit - len(found), at_once)
            if keep is not None:
                at_once = min(_GROWTH * wanted, _SIFTED_MOST)
            part = await scan(
                connection, stretches, window=window, direction=direction, after=after,
                limit=wanted, bounds=bounds, marks=marks,
            )  # fmt: skip
            looked_at += len(part)
            if keep is not None and looked_at > _SIFTED_IN_ALL:
                raise TimeoutError
            whole = await completed(connection, query, part)
            found += whole if keep is None else filter(keep, whole)
            if len(part) < wanted:
                break
            after = part[-1].position
        if len(found) >= limit:
            break
    return found[:limit]


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
    if query.component_metrics is None and not query.stored and not query.is_sifted:
        return part
    await complete_panels(connection, part)
    if not query.stored:
        return part
    return [each for each in part if each.commit_seq <= each.stretch.last_seq]
