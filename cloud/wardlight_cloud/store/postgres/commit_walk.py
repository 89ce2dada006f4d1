"""Observations in commit order: what each commit, and each assignment, has made visible.

The commit of an Observation is the greatest of its rows' commits and of its assignment's: giving a
device to a patient makes all its rows in the interval new. So the walk meets two kinds of steps:

    commit      rows that a commit brought to a span; series_commit says over which time
    assignment  rows of a span that were there before it was assigned, all at the assignment's seq

A panel whose components came in different commits is shown once, at the last of them.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.gathering import SEQ_MAX, Found, Position, Stretch
from wardlight_cloud.store.postgres.scan import complete_panels, scan, width
from wardlight_cloud.store.postgres.spans import TICK, Span
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.postgres.windows import windows

_SQL: Final = statements("observations")
_GROWTH: Final = 8
_MANY: Final = 500  # spans; looking at all commits is cheaper than at each series


@dataclass(frozen=True, slots=True)
class _Step:
    """Stretches at one position of commit order; ``rows`` 0 = of unknown size (an assignment)."""

    position: int
    stretches: tuple[Stretch, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class _Brought:
    """A row of series_commit and a span of its series."""

    span: Span
    row: Any

    def during(self) -> Span:
        """The span, cut to the time over which the commit brought rows."""
        return self.span.cut(self.row["first_time"], self.row["last_time"] + TICK)


async def walk(
    connection: Connection,
    spans: Sequence[Span],
    *,
    commits: tuple[int, int],
    after: Position | None,
    limit: int,
) -> list[Found]:
    """The first ``limit`` Observations with a commit within ``commits``, after a position."""
    found: list[Found] = []
    pending: list[_Step] = []
    async for step in _steps(connection, spans, commits, after, limit):
        is_assignment = step.rows == 0
        if not is_assignment:
            pending.append(step)
        if is_assignment or sum(each.rows for each in pending) >= limit * _width(pending):
            found += await _of_commits(connection, pending, after, limit - len(found))
            pending = []
        if is_assignment and len(found) < limit:
            found += await _of_assignment(connection, step, after, limit - len(found))
        if len(found) >= limit:
            return found
    return found + await _of_commits(connection, pending, after, limit - len(found))


async def _of_commits(
    connection: Connection, steps: Sequence[_Step], after: Position | None, limit: int
) -> list[Found]:
    stretches = [stretch for step in steps for stretch in step.stretches]
    found: list[Found] = []
    while stretches and len(found) < limit:
        window = (
            min(stretch.span.lo for stretch in stretches),
            max(stretch.span.hi for stretch in stretches),
        )
        wanted = limit - len(found)
        part = await scan(
            connection, stretches, window=window, direction="forward", after=after, limit=wanted
        )
        found += await _at_their_last_commit(connection, part)
        if len(part) < wanted:
            break
        after = part[-1].position
    return found


async def _of_assignment(
    connection: Connection, step: _Step, after: Position | None, limit: int
) -> list[Found]:
    found: list[Found] = []
    rows = limit * width(step.stretches)
    async for window in windows(connection, step.stretches, "forward", rows):
        wanted = limit - len(found)
        while wanted > 0:
            part = await scan(
                connection, step.stretches, window=window, direction="forward", after=after,
                limit=wanted,
            )  # fmt: skip
            found += await _at_their_last_commit(connection, part)
            if len(part) < wanted:
                break
            after, wanted = part[-1].position, limit - len(found)
        if wanted <= 0:
            break
    return found


async def _at_their_last_commit(connection: Connection, part: Sequence[Found]) -> list[Found]:
    await complete_panels(connection, part)
    return [each for each in part if each.commit_seq == each.stretch.position]


def _width(steps: Sequence[_Step]) -> int:
    return width([stretch for step in steps for stretch in step.stretches])


async def _steps(
    connection: Connection,
    spans: Sequence[Span],
    commits: tuple[int, int],
    after: Position | None,
    limit: int,
) -> AsyncIterator[_Step]:
    """Steps in commit order, from the cursor's on; asks the database for some at a time."""
    first, last = commits
    if after is not None:
        first = max(first, after[0])
    size = limit * width([Stretch(span) for span in spans])
    while first <= last:
        brought, horizon = await _brought(connection, spans, (first, last), size)
        steps = [*_of_rows(brought)]
        steps += await _of_assignments(connection, spans, (first, horizon))
        for step in sorted(steps, key=lambda each: each.position):
            yield step
        # A commit that fills the whole answer is asked for again with a larger one.
        size = size if horizon >= first else size * _GROWTH
        first = max(first, horizon + 1)


async def _brought(
    connection: Connection, spans: Sequence[Span], commits: tuple[int, int], size: int
) -> tuple[list[_Brought], int]:
    """What commits brought, and the last commit of which the answer is whole."""
    if len(spans) > _MANY:
        rows = await connection.fetch(_SQL["commits"], size, *commits)
        spans_of = _by_series(spans)
        brought = [_Brought(span, row) for row in rows for span in spans_of[row["series_id"]]]
    else:
        rows = await connection.fetch(
            _SQL["commits_of_series"],
            [span.series_id for span in spans],
            [span.assigned_seq for span in spans],
            size,
            *commits,
        )
        brought = [_Brought(spans[row["place"] - 1], row) for row in rows]
    if len(rows) < size:
        return brought, commits[1]
    horizon = rows[-1]["commit_seq"] - 1
    return [each for each in brought if each.row["commit_seq"] <= horizon], horizon


def _by_series(spans: Sequence[Span]) -> dict[int, list[Span]]:
    found: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        found[span.series_id].append(span)
    return found


def _of_rows(brought: Sequence[_Brought]) -> Iterator[_Step]:
    for position, group in groupby(brought, key=lambda each: each.row["commit_seq"]):
        parts = list(group)
        stretches = tuple(
            Stretch(span, position, position, position)
            for part in parts
            if part.row["commit_seq"] > part.span.assigned_seq
            and not (span := part.during()).is_empty
        )
        if stretches:
            yield _Step(position, stretches, sum(part.row["readings"] for part in parts))


async def _of_assignments(
    connection: Connection, spans: Sequence[Span], commits: tuple[int, int]
) -> list[_Step]:
    """Assignments made by these commits, of series that had rows by then: most have none."""
    first, last = commits
    assigned = [span for span in spans if first <= span.assigned_seq <= last]
    if not assigned:
        return []
    rows = await connection.fetch(
        _SQL["stored_before"],
        [span.series_id for span in assigned],
        [span.assigned_seq for span in assigned],
    )
    held = sorted((assigned[row["place"] - 1] for row in rows), key=lambda span: span.assigned_seq)
    return [
        _Step(position, tuple(Stretch(span, position, 0, position) for span in group), 0)
        for position, group in groupby(held, key=lambda span: span.assigned_seq)
    ]


ALL_COMMITS: Final = (0, SEQ_MAX)
