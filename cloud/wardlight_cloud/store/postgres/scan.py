"""Reads rows of spans in order and puts them together as Observations.

A scan covers one window of time, so that the server opens few partitions. Components of a panel
stand at the same (time, ord) and become one Observation.
"""

import json
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from wardlight_cloud.store.base import ObservationRow, Value
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.known import KnownFacts
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

# place, ord, time, commit, mantissa, flags, error, gateway, scale, absent, offset, clock
_READING: Final = struct.Struct(">iiqqqqiihhhh")
_DETAILED: Final = struct.Struct(">iiq")  # place, ord, time
_SERVER_EPOCH_US: Final = 946_684_800_000_000  # the server counts from 2000

Direction = Literal["forward", "backward"]
Position = tuple[int, int, int, int]
"""(position, time in us, anchor, ord) of an Observation in its search: what a cursor holds."""


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """A span with the commits whose rows count, and its place in commit order (else 0)."""

    span: Span
    position: int = 0
    first_seq: int = 0
    last_seq: int = SEQ_MAX


Detail = tuple[int | None, int | None, str | None, str | None]
"""Raw mantissa and scale, device time, context as JSON: what a reading has beyond its number."""


class Found(ObservationRow, gc=False):
    """An Observation on its way: id, gateway and stored_at follow when it is on the page.

    Its facts are those of its first component, its values those of all.
    """

    stretch: Stretch
    anchor: int
    ord: int
    gateway_id: int

    @property
    def key(self) -> ObservationKey:
        """What its id says."""
        return self.anchor, self.time_us, self.ord

    @property
    def position(self) -> Position:
        """Where it stands in the search."""
        return self.stretch.position, self.time_us, self.anchor, self.ord

    @property
    def is_panel(self) -> bool:
        """Whether it has components."""
        return self.anchor != self.stretch.span.series_id

    @property
    def has_details(self) -> bool:
        """Whether one of its components has said more than a number."""
        return self.device_time is not None or bool(self.context)


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
    """The first ``limit`` Observations after ``after`` within the window, complete and in order.

    Fewer only where the window holds no more.
    """
    found: list[Found] = []
    if not stretches:
        return found
    columns = _columns(stretches)
    while True:
        wanted = limit - len(found)
        most_rows = _rows_of(wanted, stretches)
        row = await connection.fetchrow(
            _SQL[f"scan_{direction}"], *columns, *window, int(NOT_CLINICAL),
            *_cursor(after, direction), wanted + 1, most_rows,
        )  # fmt: skip
        assert row is not None  # noqa: S101 - aggregates have one row
        packed = row["readings"] or b""
        part = _together(packed, stretches, _details(row))
        is_cut = len(packed) >= most_rows * _READING.size
        if is_cut:
            part.pop()  # it may lack components
        found += part[:wanted]
        if not is_cut or len(found) == limit:
            return found
        after = found[-1].position


def _columns(stretches: Sequence[Stretch]) -> tuple[str, ...]:
    """Arrays as the server reads them: the driver looks at each element of a list several times."""
    spans = [stretch.span for stretch in stretches]
    columns: tuple[list[int] | list[str], ...] = (
        [span.series_id for span in spans],
        [span.anchor for span in spans],
        [stretch.position for stretch in stretches],
        [stretch.first_seq for stretch in stretches],
        [stretch.last_seq for stretch in stretches],
        [_instant(span.lo) for span in spans],
        [_instant(span.hi) for span in spans],
    )
    return tuple(f"{{{','.join(map(str, column))}}}" for column in columns)


_instant: Final = lru_cache(maxsize=1024)(datetime.isoformat)


def _rows_of(count: int, stretches: Sequence[Stretch]) -> int:
    """Rows that ``count`` Observations have, if all are as frequent; more than the widest has."""
    observed = len({(stretch.position, stretch.span.anchor) for stretch in stretches})
    return max(-(-(count + 1) * len(stretches) // observed), width(stretches) + 1)


def _cursor(after: Position | None, direction: Direction) -> tuple[int, datetime, int, int]:
    if after is not None:
        position, time_us, anchor, ord_ = after
        return position, instant_of(time_us), anchor, ord_
    return (-1, BEGINNING, -1, -1) if direction == "forward" else (SEQ_MAX, END, _INT_MAX, _INT_MAX)


def _details(row: Any) -> dict[tuple[int, int, int], Detail]:
    """(place, ord, server time) to details."""
    if row["detailed"] is None:
        return {}
    columns = row["raw_mantissas"], row["raw_scales"], row["device_times"], row["contexts"]
    details = zip(*columns, strict=True)
    return dict(zip(_DETAILED.iter_unpack(row["detailed"]), details, strict=True))


def _together(
    packed: bytes,
    stretches: Sequence[Stretch],
    details: dict[tuple[int, int, int], Detail],
) -> list[Found]:
    """Rows as Observations; rows of one stand together. One turn is worth microseconds a row."""
    gathered: list[Found] = []
    found: Found | None = None
    last: tuple[int, int, int, int] | None = None
    for (
        place, ord_, time, seq, mantissa, flags, error_ms, gateway_id, scale, absent, offset_min,
        clock,
    ) in _READING.iter_unpack(packed):  # fmt: skip
        stretch = stretches[place - 1]
        span = stretch.span
        value = Value(span.metric, mantissa, scale, absent, span.unit, flags)
        if seq < span.assigned_seq:
            seq = span.assigned_seq
        position = stretch.position, time, span.anchor, ord_
        if found is None or position != last:
            last = position
            found = Found(
                "", span.origin, [value], "", time + _SERVER_EPOCH_US, offset_min, clock, error_ms,
                None, None, (), seq, _EPOCH, stretch, span.anchor, ord_, gateway_id,
            )  # fmt: skip
            gathered.append(found)
        else:
            found.values.append(value)
            if seq > found.commit_seq:
                found.commit_seq = seq
        if details:
            detail = details.get((place, ord_, time))
            if detail is not None and not found.has_details:
                _tell(found, detail, span)
                found.offset_min, found.clock, found.error_ms = offset_min, clock, error_ms
                found.gateway_id = gateway_id
    return gathered


def _tell(found: Found, detail: Detail, span: Span) -> None:
    """The component that has details speaks for all."""
    raw_mantissa, raw_scale, found.device_time, context = detail
    if context is not None:
        found.context = tuple((name, value) for name, value in json.loads(context))
    if found.is_panel or span.raw_unit is None:
        return
    if raw_mantissa is not None and raw_scale is not None:
        number = format(decimal_from_parts(raw_mantissa, raw_scale), "f")
        found.raw = number, span.raw_unit


async def complete_panels(connection: Connection, found: Sequence[Found]) -> None:
    """Give panels all their components, also those that the search has not asked for."""
    panels = [each for each in found if each.is_panel]
    if not panels:
        return
    times = [each.time for each in panels]
    rows = await connection.fetch(
        _SQL["components"],
        [each.anchor for each in panels],
        times,
        [each.ord for each in panels],
        min(times),
        max(times),
        int(NOT_CLINICAL),
    )
    for panel in panels:
        panel.values = []
    for row in rows:
        panel = panels[row["place"] - 1]
        number = row["metric"], row["mantissa"], row["scale"], row["absent"]
        panel.values.append(Value(*number, row["unit"], row["flags"]))
        panel.commit_seq = max(panel.commit_seq, row["commit_seq"])


async def finish(
    connection: Connection, page: Sequence[Found], ids: ObservationIds, known: KnownFacts
) -> None:
    """Give the Observations of a page what all of them need and few scans know."""
    names = ids.ids([(each.anchor, each.time_us, each.ord) for each in page])
    stored_at = await known.stored_at(connection, {each.commit_seq for each in page})
    gateways = await known.gateways(connection, {each.gateway_id for each in page})
    for each, name in zip(page, names, strict=True):
        each.observation_id = name
        each.stored_at = stored_at[each.commit_seq]
        each.gateway = gateways[each.gateway_id]
        if len(each.values) > 1:
            each.values.sort(key=_metric)


def _metric(value: Value) -> int:
    return value.metric
