"""Packed rows of a scan to Observations; components at one (time, ord) of a panel are one.

In      rows as the statements of observations.sql pack them, most significant byte first:
        time i64 (us since 2000) | commit i64 | mantissa i64 | ord i32 | what many rows share:
        place i32 | flags i64 | error i32 | gateway i32 | scale, absent, offset, clock i16
Out     Found, in the order of the rows
"""

import json
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from wardlight_cloud.store.observation_rows import Circumstances, Kind, ObservationRow, Origin
from wardlight_cloud.store.postgres.sealed import ObservationKey
from wardlight_cloud.store.postgres.spans import Span
from wardlight_shared.floats import decimal_from_parts

SEQ_MAX: Final = (1 << 63) - 1
READING: Final = struct.Struct(">qqqi28s")
_SHARED: Final = struct.Struct(">iqiihhhh")
_DETAILED: Final = struct.Struct(">iiq")  # place, ord, time
_SERVER_EPOCH_US: Final = 946_684_800_000_000  # the server counts from 2000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
# Until an Observation is known to be on the page.
_UNKNOWN: Final = Circumstances(Origin(0, UUID(int=0), UUID(int=0), None, None), (), "", 0, 0, -1)

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


def details_of(row: Any) -> dict[tuple[int, int, int], Detail]:
    """(place, ord, server time) to details."""
    if row["detailed"] is None:
        return {}
    columns = row["raw_mantissas"], row["raw_scales"], row["device_times"], row["contexts"]
    details = zip(*columns, strict=True)
    return dict(zip(_DETAILED.iter_unpack(row["detailed"]), details, strict=True))


def together(
    packed: bytes,
    stretches: Sequence[Stretch],
    details: dict[tuple[int, int, int], Detail],
) -> list[Found]:
    """Rows as Observations; rows of one stand together. One turn is worth microseconds a row."""
    rows = list(READING.iter_unpack(packed))
    shared_by = {text: _shared(text, stretches) for text in {row[-1] for row in rows}}
    gathered: list[Found] = []
    last: Position | None = None
    for time, seq, mantissa, ord_, text in rows:
        shared = shared_by[text]
        stretch = shared.stretch
        span = stretch.span
        if seq < span.assigned_seq:
            seq = span.assigned_seq
        position = stretch.position, time, span.anchor, ord_
        if position != last:
            last = position
            parts = None if span.anchor == span.series_id else [(shared.kind, mantissa)]
            found = Found(
                "", _UNKNOWN, (mantissa,), time + _SERVER_EPOCH_US, None, None, (), seq, _EPOCH,
                stretch, span.anchor, ord_, shared, parts,
            )  # fmt: skip
            gathered.append(found)
        else:
            found.commit_seq = max(found.commit_seq, seq)
            if found.parts is not None:
                found.parts.append((shared.kind, mantissa))
        if details and not found.has_details:
            _tell(found, shared, details.get((shared.place, ord_, time)))
    return gathered


def _shared(text: bytes, stretches: Sequence[Stretch]) -> Shared:
    place, flags, error_ms, gateway_id, scale, absent, offset_min, clock = _SHARED.unpack(text)
    stretch = stretches[place - 1]
    kind = Kind(stretch.span.metric, scale, absent, stretch.span.unit, flags)
    return Shared(stretch, place, kind, gateway_id, offset_min, clock, error_ms)


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
