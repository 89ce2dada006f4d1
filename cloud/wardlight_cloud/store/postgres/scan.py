"""Reads rows of spans in order and puts them together as Observations.

A scan covers one window of time, so that the server opens few partitions. Components of a panel
stand at the same (time, ord) and become one Observation.
"""

import json
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

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


class Detail(NamedTuple):
    """What a reading has to say beyond its number."""

    raw_mantissa: int | None
    raw_scale: int | None
    device_time: str | None
    context: str | None


class Found(msgspec.Struct, gc=False):
    """One Observation on its way: facts of its first component and the values of all."""

    stretch: Stretch
    key: ObservationKey
    commit_seq: int
    values: list[Value]
    gateway_id: int
    offset_min: int
    clock: int
    error_ms: int
    detail: Detail | None

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
        packed = b"" if row is None or row["readings"] is None else row["readings"]
        part = _together(packed, stretches, _details(row))
        is_cut = len(packed) >= most_rows * _READING.size
        if is_cut:
            part.pop()  # it may lack components
        found += part[:wanted]
        if not is_cut or len(found) == limit:
            return found
        after = found[-1].position


def _columns(stretches: Sequence[Stretch]) -> tuple[list[Any], ...]:
    spans = [stretch.span for stretch in stretches]
    return (
        [span.series_id for span in spans],
        [span.anchor for span in spans],
        [stretch.position for stretch in stretches],
        [stretch.first_seq for stretch in stretches],
        [stretch.last_seq for stretch in stretches],
        [span.lo for span in spans],
        [span.hi for span in spans],
    )


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
    if row is None or row["detailed"] is None:
        return {}
    columns = row["raw_mantissas"], row["raw_scales"], row["device_times"], row["contexts"]
    keys = _DETAILED.iter_unpack(row["detailed"])
    return dict(zip(keys, map(Detail._make, zip(*columns, strict=True)), strict=True))


def _together(
    packed: bytes,
    stretches: Sequence[Stretch],
    details: dict[tuple[int, int, int], Detail],
) -> list[Found]:
    """Rows as Observations; rows of one stand together."""
    gathered: list[Found] = []
    found: Found | None = None
    for row in _READING.iter_unpack(packed):
        place, ord_, time, seq, mantissa, flags, error_ms, gateway_id, *small = row
        scale, absent, offset_min, clock = small
        stretch = stretches[place - 1]
        span = stretch.span
        key = span.anchor, time + _SERVER_EPOCH_US, ord_
        value = Value(span.metric, mantissa, scale, absent, span.unit, flags)
        commit_seq = max(seq, span.assigned_seq)
        detail = details.get((place, ord_, time)) if details else None
        if found is None or found.key != key or found.stretch.position != stretch.position:
            found = Found(
                stretch, key, commit_seq, [value], gateway_id, offset_min, clock, error_ms, detail
            )
            gathered.append(found)
            continue
        found.values.append(value)
        found.commit_seq = max(found.commit_seq, commit_seq)
        if found.detail is None and detail is not None:
            # The component that has details speaks.
            found.gateway_id, found.offset_min, found.clock = gateway_id, offset_min, clock
            found.error_ms, found.detail = error_ms, detail
    return gathered


async def complete_panels(connection: Connection, found: Sequence[Found]) -> None:
    """Give panels all their components, also those that the search has not asked for."""
    panels = [each for each in found if each.is_panel]
    if not panels:
        return
    times = [instant_of(each.key[1]) for each in panels]
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
        number = row["metric"], row["mantissa"], row["scale"], row["absent"]
        panel.values.append(Value(*number, row["unit"], row["flags"]))
        panel.commit_seq = max(panel.commit_seq, row["commit_seq"])


async def observation_rows(
    connection: Connection, found: Sequence[Found], ids: ObservationIds, known: KnownFacts
) -> tuple[ObservationRow, ...]:
    """The contract's form."""
    names = ids.ids([each.key for each in found])
    stored_at = await known.stored_at(connection, {each.commit_seq for each in found})
    gateways = await known.gateways(connection, {each.gateway_id for each in found})
    return tuple(
        _row(each, name, gateways[each.gateway_id], stored_at[each.commit_seq])
        for each, name in zip(found, names, strict=True)
    )


_NOTHING_MORE: Final = Detail(None, None, None, None)


def _row(found: Found, observation_id: str, gateway: str, stored_at: datetime) -> ObservationRow:
    span, values, detail = found.stretch.span, found.values, found.detail or _NOTHING_MORE
    if len(values) > 1:
        values.sort(key=_metric)
    return ObservationRow(
        observation_id,
        span.origin,
        tuple(values),
        gateway,
        found.key[1],
        found.offset_min,
        found.clock,
        found.error_ms,
        detail.device_time,
        None if found.is_panel else _raw(detail, span.raw_unit),
        () if detail.context is None else _context(detail.context),
        found.commit_seq,
        stored_at,
    )


def _metric(value: Value) -> int:
    return value.metric


def _raw(detail: Detail, raw_unit: str | None) -> tuple[str, str] | None:
    if detail.raw_mantissa is None or detail.raw_scale is None or raw_unit is None:
        return None
    return format(decimal_from_parts(detail.raw_mantissa, detail.raw_scale), "f"), raw_unit


def _context(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in json.loads(text))
