"""Which series may answer a search, over which time, for which patient.

A span is one series inside one assignment: rows of the series at [lo, hi) belong to the patient.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from wardlight_cloud.store.observation_rows import Origin
from wardlight_cloud.store.observed import OBSERVED
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.queries import ObservationQuery, TimeBound

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
    return lo, max(hi, BEGINNING)  # a tick before the year 1 would be no moment


def _after(instant: datetime) -> datetime:
    return instant + TICK if instant < END else END


def facts(
    query: ObservationQuery, anchors: Sequence[int] | None = None
) -> tuple[Sequence[Any] | None, ...]:
    """What ``wanted`` in observations.sql asks for; ``anchors`` narrows to those series."""
    return (
        query.patients,
        query.devices,
        _OBSERVED,
        query.metrics,
        query.component_metrics,
        [f"{metric} {unit}" for metric, unit in query.other_units] or None,
        anchors,
    )


_OBSERVED: Final = sorted(OBSERVED)


async def find_spans(
    connection: Connection, query: ObservationQuery, anchors: Sequence[int] | None = None
) -> list[Span]:
    """Spans that may hold Observations of a query; ``anchors`` narrows to those series."""
    rows = await connection.fetch(_SQL[_statement(query, anchors)], *facts(query, anchors))
    lo, hi = interval(query.times)
    cut = (span_of(*(row[name] for name in ASSIGNED)).cut(lo, hi) for row in rows)
    return [span for span in cut if not span.is_empty]


def _statement(query: ObservationQuery, anchors: Sequence[int] | None) -> str:
    if anchors is not None:
        return "spans_of_anchors"
    if query.patients is not None:
        return "spans_of_patients"
    return "spans" if query.devices is None else "spans_of_devices"


# The same object for the same facts, so that whoever keeps something by it finds it fast.
_origin: Final = lru_cache(maxsize=1 << 14)(Origin)


ASSIGNED: Final = (
    "patient_id", "device_id", "valid_from", "valid_to", "assigned_seq", "series_id", "anchor",
    "metric", "observation_metric", "unit", "user_index", "site", "raw_unit",
)  # fmt: skip
"""Columns of assigned_series."""


def span_of(
    patient_id: UUID,
    device_id: UUID,
    valid_from: datetime,
    valid_to: datetime | None,
    assigned_seq: int,
    series_id: int,
    anchor: int,
    metric: int,
    observation_metric: int,
    unit: str,
    user_index: int | None,
    site: str | None,
    raw_unit: str | None,
) -> Span:
    """A span of the columns ASSIGNED."""
    origin = _origin(observation_metric, patient_id, device_id, user_index, site)
    return Span(
        series_id, anchor, metric, unit, raw_unit, origin, assigned_seq, valid_from, valid_to or END
    )
