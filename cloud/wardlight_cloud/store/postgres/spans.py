"""Which series may answer a search, over which time, for which patient.

A span is one series inside one assignment: rows of the series at [lo, hi) belong to the patient.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from wardlight_cloud.store.base import ObservationQuery, TimeBound
from wardlight_cloud.store.observation_rows import Origin
from wardlight_cloud.store.observed import OBSERVED
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.statements import statements

_SQL: Final = statements("observations")
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
END: Final = datetime(9999, 12, 31, tzinfo=UTC)
TICK: Final = timedelta(microseconds=1)


class Span(msgspec.Struct, frozen=True, gc=False):
    """See the module. ``anchor``: the panel's series for a component, else the series itself."""

    series_id: int
    anchor: int
    metric: int
    unit: str
    raw_unit: str | None
    origin: Origin
    assigned_seq: int
    lo: datetime
    hi: datetime

    def cut(self, lo: datetime, hi: datetime) -> "Span":
        """The part within [lo, hi)."""
        if lo <= self.lo and self.hi <= hi:
            return self
        return replace(self, lo=max(self.lo, lo), hi=min(self.hi, hi))

    @property
    def is_empty(self) -> bool:
        """Whether no instant lies in it."""
        return self.lo >= self.hi


def interval(bounds: Iterable[TimeBound]) -> tuple[datetime, datetime]:
    """Comparisons as one half-open interval; the clock of the store ticks in microseconds."""
    lo, hi = BEGINNING, END
    for bound in bounds:
        match bound.op:
            case "ge":
                lo = max(lo, bound.instant)
            case "gt":
                lo = max(lo, _after(bound.instant))
            case "lt":
                hi = min(hi, bound.instant)
            case "le":
                hi = min(hi, _after(bound.instant))
    return lo, hi


def _after(instant: datetime) -> datetime:
    return instant + TICK if instant < END else END


async def find_spans(
    connection: Connection, query: ObservationQuery, anchors: Sequence[int] | None = None
) -> list[Span]:
    """Spans that may hold Observations of a query; ``anchors`` narrows to those series."""
    rows = await _assigned(connection, query, anchors)
    lo, hi = interval(query.times)
    spans = (_span(row) for row in rows)
    cut = (span.cut(lo, hi) for span in spans if _is_wanted(span, query))
    return [span for span in cut if not span.is_empty]


async def _assigned(
    connection: Connection, query: ObservationQuery, anchors: Sequence[int] | None
) -> list[Any]:
    if anchors is not None:
        return await connection.fetch(_SQL["spans_of_anchors"], list(anchors))
    if query.patients is not None:
        return await connection.fetch(_SQL["spans_of_patients"], list(query.patients))
    if query.devices is not None:
        return await connection.fetch(_SQL["spans_of_devices"], list(query.devices))
    return await connection.fetch(_SQL["spans"])


def _is_wanted(span: Span, query: ObservationQuery) -> bool:
    metric, observed = span.metric, span.origin.metric
    if metric not in OBSERVED or (metric, span.unit) in query.other_units:
        return False
    if query.patients is not None and span.origin.patient_id not in query.patients:
        return False
    if query.devices is not None and span.origin.device_id not in query.devices:
        return False
    if query.metrics is not None and observed not in query.metrics:
        return False
    components = query.component_metrics
    return components is None or observed in components or metric in components


# The same object for the same facts, so that whoever keeps something by it finds it fast.
_origin: Final = lru_cache(maxsize=1 << 14)(Origin)


def _span(row: Any) -> Span:
    return Span(
        series_id=row["series_id"],
        anchor=row["anchor"],
        metric=row["metric"],
        unit=row["unit"],
        raw_unit=row["raw_unit"],
        origin=_origin(
            row["observation_metric"],
            row["patient_id"],
            row["device_id"],
            row["user_index"],
            row["site"],
        ),
        assigned_seq=row["assigned_seq"],
        lo=row["valid_from"],
        hi=row["valid_to"] or END,
    )
