"""Reads rows of spans in order and puts them together as Observations.

A scan covers one window of time, so that the server opens few partitions. Components of a panel
stand at the same (time, ord) and become one Observation.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from wardlight_cloud.store.base import ObservationRow, Value
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.sealed import ObservationIds, ObservationKey
from wardlight_cloud.store.postgres.spans import BEGINNING, END, Span
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import NOT_CLINICAL

_SQL: Final = statements("observations")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_INT_MAX: Final = (1 << 31) - 1
SEQ_MAX: Final = (1 << 63) - 1

Direction = Literal["forward", "backward"]
Position = tuple[int, int, int, int]
"""(position, time in us, anchor, ord) of an Observation in its search: what a cursor holds."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A span with the commits whose rows count, and its place in commit order (else 0)."""

    span: Span
    position: int = 0
    first_seq: int = 0
    last_seq: int = SEQ_MAX


@dataclass(slots=True)
class Found:
    """One Observation on its way: the row of its first component and the values of all."""

    stretch: Stretch
    row: Any
    key: ObservationKey
    commit_seq: int
    stored_at: datetime
    values: list[Value] = field(default_factory=list)

    @property
    def position(self) -> Position:
        """Where it stands in the search."""
        anchor, time_us, ord_ = self.key
        return self.stretch.position, time_us, anchor, ord_

    @property
    def is_panel(self) -> bool:
        """Whether it has components."""
        return self.stretch.span.anchor != self.stretch.span.series_id


def us_of(moment: datetime) -> int:
    """Microseconds since 1970, exact."""
    return (moment - _EPOCH) // _US


def instant_of(us: int) -> datetime:
    """Undo ``us_of``."""
    return _EPOCH + us * _US


def width(stretches: Sequence[Stretch]) -> int:
    """The most rows that one Observation can have here."""
    counts: dict[tuple[int, int], int] = {}
    for stretch in stretches:
        key = stretch.position, stretch.span.anchor
        counts[key] = counts.get(key, 0) + 1
    return max(counts.values(), default=1)


async def scan(
    connection: Connection,
    stretches: Sequence[Stretch],
    *,
    window: tuple[datetime, datetime],
    direction: Direction,
    after: Position | None,
    limit: int,
) -> list[Found]:
    """The first ``limit`` Observations after ``after`` within the window, complete and in order."""
    if not stretches:
        return []
    rows_limit = (limit + 1) * width(stretches)
    spans = [stretch.span for stretch in stretches]
    rows = await connection.fetch(
        _SQL[f"scan_{direction}"],
        [span.series_id for span in spans],
        [span.anchor for span in spans],
        [span.assigned_seq for span in spans],
        [stretch.position for stretch in stretches],
        [stretch.first_seq for stretch in stretches],
        [stretch.last_seq for stretch in stretches],
        [span.lo for span in spans],
        [span.hi for span in spans],
        *window,
        int(NOT_CLINICAL),
        *_cursor(after, direction),
        limit + 1,
        rows_limit,
    )
    # A last one may lack components beyond the limit; it is always beyond the page, too.
    return list(_together(rows, stretches))[:limit]


def _cursor(after: Position | None, direction: Direction) -> tuple[int, datetime, int, int]:
    if after is not None:
        position, time_us, anchor, ord_ = after
        return position, instant_of(time_us), anchor, ord_
    return (-1, BEGINNING, -1, -1) if direction == "forward" else (SEQ_MAX, END, _INT_MAX, _INT_MAX)


def _together(rows: Sequence[Any], stretches: Sequence[Stretch]) -> Iterator[Found]:
    found: Found | None = None
    for row in rows:
        stretch = stretches[row["place"] - 1]
        key = stretch.span.anchor, us_of(row["time"]), row["ord"]
        if found is None or found.key != key or found.stretch.position != stretch.position:
            if found is not None:
                yield found
            found = Found(stretch, row, key, row["commit_seq"], row["stored_at"])
        else:
            _join(found, row)
        found.values.append(_value(row, stretch.span.metric, stretch.span.unit))
    if found is not None:
        yield found


def _join(found: Found, row: Any) -> None:
    """Take in another component: the last commit counts, and the row that has details speaks."""
    if row["commit_seq"] > found.commit_seq:
        found.commit_seq, found.stored_at = row["commit_seq"], row["stored_at"]
    if found.row["device_time"] is None and found.row["context"] is None:
        found.row = row


def _value(row: Any, metric: int, unit: str) -> Value:
    return Value(metric, row["mantissa"], row["scale"], row["absent"], unit, row["flags"])


async def complete_panels(connection: Connection, found: Sequence[Found]) -> None:
    """Give panels all their components, also those that the search has not asked for."""
    panels = [each for each in found if each.is_panel]
    if not panels:
        return
    times = [each.row["time"] for each in panels]
    rows = await connection.fetch(
        _SQL["components"],
        [each.key[0] for each in panels],
        times,
        [each.key[2] for each in panels],
        min(times),
        max(times),
        int(NOT_CLINICAL),
    )
    for panel in panels:
        panel.values = []
    for row in rows:
        panel = panels[row["place"] - 1]
        panel.values.append(_value(row, row["metric"], row["unit"]))
        panel.commit_seq = max(panel.commit_seq, row["commit_seq"])
    await _refresh_stored_at(connection, panels)


async def _refresh_stored_at(connection: Connection, panels: Sequence[Found]) -> None:
    newer = [each for each in panels if each.commit_seq != each.row["commit_seq"]]
    if newer:
        seqs = [each.commit_seq for each in newer]
        stored = {
            row["commit_seq"]: row["stored_at"]
            for row in await connection.fetch(_SQL["stored_at"], seqs)
        }
        for each in newer:
            each.stored_at = stored[each.commit_seq]


def observation_rows(found: Sequence[Found], ids: ObservationIds) -> tuple[ObservationRow, ...]:
    """The contract's form."""
    names = ids.ids([each.key for each in found])
    return tuple(_row(each, name) for each, name in zip(found, names, strict=True))


def _row(found: Found, observation_id: str) -> ObservationRow:
    span, row = found.stretch.span, found.row
    values = found.values
    if len(values) > 1:
        values.sort(key=lambda value: value.metric)
    return ObservationRow(
        observation_id=observation_id,
        metric=span.observation_metric,
        values=tuple(values),
        patient_id=span.patient_id,
        device_id=span.device_id,
        gateway=row["gateway"],
        user=span.user,
        site=span.site,
        time=row["time"],
        offset_min=row["offset_min"],
        clock=row["clock"],
        error_ms=row["error_ms"],
        device_time=row["device_time"],
        raw=None if found.is_panel else _raw(row, span.raw_unit),
        context=_context(row["context"]),
        commit_seq=found.commit_seq,
        stored_at=found.stored_at,
    )


def _raw(row: Any, raw_unit: str | None) -> tuple[str, str] | None:
    if row["raw_mantissa"] is None or raw_unit is None:
        return None
    return format(decimal_from_parts(row["raw_mantissa"], row["raw_scale"]), "f"), raw_unit


def _context(text: str | None) -> tuple[tuple[str, str], ...]:
    return () if text is None else tuple((name, value) for name, value in json.loads(text))
