"""Curves of one series: raw points when they are few, else minutes or hours put together.

Buckets that changed since the last rebuild of rollups are read from the rows, so a curve is never
behind the table.
"""

from datetime import datetime, timedelta
from math import ceil, nan
from typing import Any, Final

from wardlight_cloud.store.base import TrendPoint
from wardlight_cloud.store.postgres.errors import storage_call
from wardlight_cloud.store.postgres.part import Part
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.model import NO_NUMBER, NOT_CLINICAL

_SQL: Final = statements("latest")
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_WIDTHS: Final = (1, 2, 3, 5, 10, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440)  # minutes
_DAY_MINUTES: Final = 1440


class TrendsPart(Part):
    """See ReadStore.trend."""

    @storage_call
    async def trend(
        self, series_id: int, *, start: datetime, end: datetime, max_points: int
    ) -> tuple[TrendPoint, ...]:
        """See ReadStore; times within [start, end), buckets that touch it."""
        if start >= end or max_points < 1:
            return ()
        flags, no_number = int(NOT_CLINICAL), int(NO_NUMBER)
        width = bucket_width(end - start, max_points)
        by = "points_by_minute" if width < _HOUR else "points_by_hour"
        async with self._connections.acquire() as connection:
            rows = await connection.fetch(
                _SQL["raw_points"], series_id, start, end, flags, max_points + 1, no_number
            )
            if len(rows) <= max_points:
                return tuple(_raw_point(row) for row in rows)
            rows = await connection.fetch(_SQL[by], series_id, start, end, flags, width, no_number)
        return tuple(_bucket(row) for row in rows)


def bucket_width(span: timedelta, max_points: int) -> timedelta:
    """The smallest round width of which at most ``max_points`` buckets touch ``span``."""
    minutes = ceil(span / _MINUTE / max(1, max_points - 1))
    for width in _WIDTHS:
        if width >= minutes:
            return width * _MINUTE
    return ceil(minutes / _DAY_MINUTES) * timedelta(days=1)


def _raw_point(row: Any) -> TrendPoint:
    if row["is_absent"]:
        return TrendPoint(row["time"], 0, nan, nan, nan, 1)
    value = row["value"]
    return TrendPoint(row["time"], 1, value, value, value, 0)


def _bucket(row: Any) -> TrendPoint:
    count = row["readings"]
    if count == 0:
        return TrendPoint(row["time"], 0, nan, nan, nan, row["absent"])
    mean = row["total"] / count
    return TrendPoint(row["time"], count, row["minimum"], row["maximum"], mean, row["absent"])
