"""Reads rows of spans in order and puts them together as Observations.

A scan covers one window of time, so that the server opens few partitions. Components of a panel
stand at the same (time, ord) and become one Observation.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from wardlight_cloud.store.observation_rows import Circumstances, Kind, ObservationRow, Origin
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

# time, commit, mantissa, ord, and what many readings share: place, flags, error, gateway, scale,
# absent, offset, clock
_READING: Final = struct.Struct(">qqqi28s")
_SHARED: Final = struct.Struct(">iqiihhhh")
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


class Shared(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What many readings of a scan have in common; ``place`` is that of their stretch."""

    stretch: Stretch
    place: int
    kind: Kind
    gateway_id: int
    offset_min: int
    clock: int
    error_ms: int


class Found(ObservationRow, gc=False):
    """An Observation on its way: id, circumstances and stored_at follow when it is on the page.

    ``parts`` are the components of a panel. ``shared`` is that of its first reading, or of the
    one that has details.
    """

    stretch: Stretch
    anchor: int
    ord: int
    shared: Shared
    parts: list[tuple[Kind, int]] | None

    @property
    def key(self) -> ObservationKey:
        """What its id says."""
        return self.anchor, self.time_us, self.ord

    @property
    def position(self) -> Position:
        """Where it stands in the search."""
        return self.stretch.position, self.time_us, self.anchor, self.ord

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
    rows = list(_READING.iter_unpack(packed))
    shared_by = {text: _shared(text, stretches) for text in {row[-1] for row in rows}}
    gathered: list[Found] = []
    panels: dict[Position, Found] = {}
    for time, seq, mantissa, ord_, text in rows:
        shared = shared_by[text]
        stretch = shared.stretch
        span = stretch.span
        if seq < span.assigned_seq:
            seq = span.assigned_seq
        parts = None
        if span.anchor != span.series_id:
            position = stretch.position, time, span.anchor, ord_
            if position in panels:
                found = panels[position]
                _join(found, shared, mantissa, seq)
                if details and not found.has_details:
                    _tell(found, shared, details.get((shared.place, ord_, time)))
                continue
            parts = [(shared.kind, mantissa)]
        found = Found(
            "", _UNKNOWN, (mantissa,), time + _SERVER_EPOCH_US, None, None, (), seq, _EPOCH,
            stretch, span.anchor, ord_, shared, parts,
        )  # fmt: skip
        gathered.append(found)
        if parts is not None:
            panels[position] = found
        if details:
            _tell(found, shared, details.get((shared.place, ord_, time)))
    return gathered


def _shared(text: bytes, stretches: Sequence[Stretch]) -> Shared:
    place, flags, error_ms, gateway_id, scale, absent, offset_min, clock = _SHARED.unpack(text)
    stretch = stretches[place - 1]
    kind = Kind(stretch.span.metric, scale, absent, stretch.span.unit, flags)
    return Shared(stretch, place, kind, gateway_id, offset_min, clock, error_ms)


def _join(panel: Found, shared: Shared, mantissa: int, seq: int) -> None:
    """One more component."""
    assert panel.parts is not None  # noqa: S101 - it is a panel
    panel.parts.append((shared.kind, mantissa))
    panel.commit_seq = max(panel.commit_seq, seq)


def _tell(found: Found, shared: Shared, detail: Detail | None) -> None:
    """The component that has details speaks for all."""
    if detail is None:
        return
    raw_mantissa, raw_scale, found.device_time, context = detail
    found.shared = shared
    if context is not None:
        found.context = tuple((name, value) for name, value in json.loads(context))
    raw_unit = shared.stretch.span.raw_unit
    if found.parts is not None or raw_unit is None:
        return
    if raw_mantissa is not None and raw_scale is not None:
        number = format(decimal_from_parts(raw_mantissa, raw_scale), "f")
        found.raw = number, raw_unit


async def complete_panels(connection: Connection, found: Sequence[Found]) -> None:
    """Give panels all their components, also those that the search has not asked for."""
    panels = [each for each in found if each.parts is not None]
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
    parts: list[list[tuple[Kind, int]]] = [[] for _ in panels]
    for row in rows:
        panel = panels[row["place"] - 1]
        kind = Kind(row["metric"], row["scale"], row["absent"], row["unit"], row["flags"])
        parts[row["place"] - 1].append((kind, row["mantissa"]))
        panel.commit_seq = max(panel.commit_seq, row["commit_seq"])
    for panel, all_parts in zip(panels, parts, strict=True):
        panel.parts = all_parts


async def finish(
    connection: Connection, page: Sequence[Found], ids: ObservationIds, known: KnownFacts
) -> None:
    """Give the Observations of a page what all of them need and few scans know."""
    names = ids.ids([each.key for each in page])
    stored_at = await known.stored_at(connection, {each.commit_seq for each in page})
    everything_shared = {each.shared for each in page}
    gateways = await known.gateways(connection, {each.gateway_id for each in everything_shared})
    alone = {each: _circumstances(each, (each.kind,), gateways) for each in everything_shared}
    for each, name in zip(page, names, strict=True):
        each.observation_id = name
        each.stored_at = stored_at[each.commit_seq]
        if each.parts is None:
            each.circumstances = alone[each.shared]
        else:
            kinds, each.mantissas = zip(*sorted(each.parts, key=_metric), strict=True)
            each.circumstances = _circumstances(each.shared, kinds, gateways)


def _metric(part: tuple[Kind, int]) -> int:
    return part[0].metric


def _circumstances(
    shared: Shared, kinds: tuple[Kind, ...], gateways: Mapping[int, str]
) -> Circumstances:
    return _interned(
        shared.stretch.span.origin, kinds, gateways[shared.gateway_id], shared.offset_min,
        shared.clock, shared.error_ms,
    )  # fmt: skip


_interned: Final = lru_cache(maxsize=1 << 14)(Circumstances)
_UNKNOWN: Final = Circumstances(Origin(0, UUID(int=0), UUID(int=0), None, None), (), "", 0, 0, -1)
