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
from wardlight_cloud.store.postgres.scan import Direction, Window, complete_panels, scan, width
from wardlight_cloud.store.postgres.sifting import Keep
from wardlight_cloud.store.postgres.spans import TICK, Span
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.postgres.windows import windows

_SQL: Final = statements("observations")
_GROWTH: Final = 8
_SIFTED_IN_ALL: Final = 200_000  # of one page, see by_time.py
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
    keep: Keep | None = None,
    is_descending: bool = False,
) -> list[Found]:
    """The first ``limit`` Observations with a commit within ``commits``, after a position.

    ``keep``: those that it takes. ``is_descending``: the latest commit first.
    """
    way = _Way(connection, "backward" if is_descending else "forward", keep, [0])
    found: list[Found] = []
    pending = _Pending()
    async for step in _steps(way, spans, commits, after, limit):
        is_assignment = step.rows == 0
        if not is_assignment:
            pending.add(step)
        if is_assignment or pending.has(limit):
            found += await way.of_commits(pending.stretches, after, limit - len(found))
            pending = _Pending()
        if is_assignment and len(found) < limit:
            found += await way.of_assignment(step, after, limit - len(found))
        if len(found) >= limit:
            return found
    return found + await way.of_commits(pending.stretches, after, limit - len(found))


class _Pending:
    """Steps that are read together, counted as they come: there may be as many as rows."""

    def __init__(self) -> None:
        self.stretches: list[Stretch] = []
        self._rows = 0
        self._width = 1

    def add(self, step: _Step) -> None:
        self.stretches += step.stretches
        self._rows += step.rows
        self._width = max(self._width, width(step.stretches))  # each has a position of its own

    def has(self, limit: int) -> bool:
        """Whether this is enough for so many Observations."""
        return self._rows >= limit * self._width


@dataclass(frozen=True, slots=True)
class _Way:
    """How a walk goes along the commits."""

    connection: Connection
    direction: Direction
    keep: Keep | None
    looked_at: list[int]  # how many Observations so far

    async def of_commits(
        self, stretches: Sequence[Stretch], after: Position | None, limit: int
    ) -> list[Found]:
        if not stretches:
            return []
        window = (
            min(stretch.span.lo for stretch in stretches),
            max(stretch.span.hi for stretch in stretches),
        )
        found, _ = await self._of_window(stretches, window, after, limit)
        return found

    async def of_assignment(self, step: _Step, after: Position | None, limit: int) -> list[Found]:
        found: list[Found] = []
        rows = limit * width(step.stretches)
        async for window in windows(self.connection, step.stretches, self.direction, rows):
            part, after = await self._of_window(step.stretches, window, after, limit - len(found))
            found += part
            if len(found) >= limit:
                break
        return found

    async def _of_window(
        self,
        stretches: Sequence[Stretch],
        window: Window,
        after: Position | None,
        limit: int,
    ) -> tuple[list[Found], Position | None]:
        """Up to ``limit`` of a window, and from where to go on."""
        found: list[Found] = []
        while len(found) < limit:
            wanted = limit - len(found)
            part = await scan(
                self.connection, stretches, window=window, direction=self.direction, after=after,
                limit=wanted,
            )  # fmt: skip
            self.looked_at[0] += len(part)
            if self.keep is not None and self.looked_at[0] > _SIFTED_IN_ALL:
                raise TimeoutError
            whole = await _at_their_last_commit(self.connection, part)
            found += whole if self.keep is None else filter(self.keep, whole)
            if len(part) < wanted:
                break
            after = part[-1].position
        return found, after


async def _at_their_last_commit(connection: Connection, part: Sequence[Found]) -> list[Found]:
    await complete_panels(connection, part)
    return [each for each in part if each.commit_seq == each.stretch.position]


async def _steps(
    way: _Way,
    spans: Sequence[Span],
    commits: tuple[int, int],
    after: Position | None,
    limit: int,
) -> AsyncIterator[_Step]:
    """Steps in the order of the walk, from the cursor's on; asks the database for few at a time."""
    first, last = commits
    is_forward = way.direction == "forward"
    if after is not None:
        first, last = (max(first, after[0]), last) if is_forward else (first, min(last, after[0]))
    size = limit * width([Stretch(span) for span in spans])
    while first <= last:
        brought, horizon = await _brought(way, spans, (first, last), size)
        reached = (first, horizon) if is_forward else (horizon, last)
        steps = [*_of_rows(brought)]
        steps += await _of_assignments(way.connection, spans, reached)
        for step in sorted(steps, key=lambda each: each.position, reverse=not is_forward):
            yield step
        # A commit that fills the whole answer is asked for again with a larger one.
        size = size if reached[0] <= reached[1] else size * _GROWTH
        if is_forward:
            first = max(first, horizon + 1)
        else:
            last = min(last, horizon - 1)


async def _brought(
    way: _Way, spans: Sequence[Span], commits: tuple[int, int], size: int
) -> tuple[list[_Brought], int]:
    """What commits brought, and the last commit of the walk of which the answer is whole."""
    is_forward = way.direction == "forward"
    end = "" if is_forward else "_backward"
    if len(spans) > _MANY:
        rows = await way.connection.fetch(_SQL[f"commits{end}"], size, *commits)
        spans_of = _by_series(spans)
        brought = [_Brought(span, row) for row in rows for span in spans_of[row["series_id"]]]
    else:
        rows = await way.connection.fetch(
            _SQL[f"commits_of_series{end}"],
            [span.series_id for span in spans],
            [span.assigned_seq for span in spans],
            size,
            *commits,
        )
        brought = [_Brought(spans[row["place"] - 1], row) for row in rows]
    if len(rows) < size:
        return brought, commits[1] if is_forward else commits[0]
    last = rows[-1]["commit_seq"]
    whole = [each for each in brought if each.row["commit_seq"] != last]
    return whole, last - 1 if is_forward else last + 1


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
