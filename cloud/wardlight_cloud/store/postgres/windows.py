"""Which days to look at next: so that a scan opens the partitions that have rows, and few others.

The table series_day says on which days a series has clinical readings. It only advises: a window
may hold fewer rows than hoped for (then the next one follows), and never hides a row, since
windows adjoin one another from one end of the search to the other.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.gathering import Stretch
from wardlight_cloud.store.postgres.scan import Direction, Window
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("observations")
NARROW: Final = timedelta(days=3)  # cheaper to look at than to ask about
_FEW_DAYS: Final = 4
_GROWTH: Final = 4


async def windows(
    connection: Connection,
    stretches: Sequence[Stretch],
    direction: Direction,
    rows: int,
    most: int | None = None,
) -> AsyncIterator[Window]:
    """Adjoining windows over all stretches, the next one likely to hold ``rows`` rows or more.

    Each is larger than the one before, up to ``most`` rows.
    """
    lo = min(stretch.span.lo for stretch in stretches)
    hi = max(stretch.span.hi for stretch in stretches)
    series = sorted({stretch.span.series_id for stretch in stretches})
    while lo < hi:
        edge = lo if direction == "backward" else hi
        if hi - lo > NARROW:
            edge = await _edge(connection, series, direction, (lo, hi), rows)
        if direction == "backward":
            yield edge, hi
            hi = edge
        else:
            yield lo, edge
            lo = edge
        rows = rows * _GROWTH if most is None else min(rows * _GROWTH, max(rows, most))


async def _edge(
    connection: Connection, series: Sequence[int], direction: Direction, within: Window, rows: int
) -> datetime:
    """The far edge of the next window: behind the day on which ``rows`` rows are reached."""
    for most_days in (_FEW_DAYS, max(rows, _FEW_DAYS)):
        days = await connection.fetch(
            _SQL[f"days_{direction}"], series, within[0].date(), within[1].date(), most_days
        )
        day = _day_reached(days, within[1 if direction == "backward" else 0].date(), rows)
        if day is not None:
            return _edge_of(day, direction, within)
    return within[0] if direction == "backward" else within[1]


def _day_reached(days: Sequence[Any], cut_day: date, rows: int) -> date | None:
    """The day on which the sum reaches ``rows``; the near edge may cut its day, which counts 0."""
    total = 0
    for row in days:
        total += row["readings"] if row["day"] != cut_day else 0
        if total >= rows:
            reached: date = row["day"]
            return reached
    return None


def _edge_of(day: date, direction: Direction, within: Window) -> datetime:
    start = datetime.combine(day, time(), UTC)
    return max(within[0], start) if direction == "backward" else min(within[1], start + _DAY)


_DAY: Final = timedelta(days=1)
