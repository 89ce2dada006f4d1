"""The record of a scan to Observations; components at one (time, ord) of a panel are one.

In      columns as ``packed`` in observations.sql sends them: PostgreSQL's binary arrays of bigint,
        read in one go, since a driver looks at each element several times
Out     Found, in the order of the rows
"""

import json
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt

from wardlight_cloud.store.observation_rows import Circumstances, Kind, ObservationRow, Origin
from wardlight_cloud.store.postgres.sealed import ObservationKey
from wardlight_cloud.store.postgres.spans import Span
from wardlight_shared.floats import decimal_from_parts

SEQ_MAX: Final = (1 << 63) - 1
_ELEMENT: Final = np.dtype([("size", ">i4"), ("value", ">i8")])
_ARRAY_HEAD: Final = 20  # dimensions, flags, type, length, lower bound
_LOW: Final = (1 << 32) - 1
_SCALE_TO_CLOCK: Final = struct.Struct(">hhhh")
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
    """What many readings of a scan have in common, looked at for each of them."""

    stretch: Stretch
    owner: tuple[int, int]  # position and anchor; the same object for the same two
    assigned_seq: int
    is_component: bool
    kinds: tuple[Kind]
    gateway_id: int
    offset_min: int
    clock: int
    error_ms: int
    told: "Told"


Told = Mapping[tuple[int, int], Detail]
"""What a stretch has in details, by (server time, ord)."""


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


def us_of(moment: datetime) -> int:
    """Microseconds since 1970, exact."""
    return (moment - _EPOCH) // _US


def instant_of(us: int) -> datetime:
    """Undo ``us_of``."""
    return _EPOCH + us * _US


def together(record: Any, stretches: Sequence[Stretch]) -> list[Found]:
    """Rows as Observations; rows of one stand together. One turn is worth microseconds a row."""
    gathered: list[Found] = []
    if record["times"] is None:
        return gathered
    times, commits, mantissas = (_bigints(record[name]).tolist() for name in _OWN_COLUMNS)
    ords, places = _halves(record["ords_and_places"])
    alike = zip(places, *(_bigints(record[name]).tolist() for name in _ALIKE), strict=True)
    shared_of = _SharedFacts(stretches, _details_of(record)).__getitem__
    last_time = last_ord = -1
    last_owner = None
    rows = zip(times, commits, mantissas, ords, map(shared_of, alike), strict=True)
    for time, seq, mantissa, ord_, shared in rows:
        if seq < shared.assigned_seq:
            seq = shared.assigned_seq
        if time != last_time or shared.owner is not last_owner or ord_ != last_ord:
            last_time, last_owner, last_ord = time, shared.owner, ord_
            found = Found(
                "", _UNKNOWN, (mantissa,), time + _SERVER_EPOCH_US, None, None, (), seq, _EPOCH,
                shared.stretch, last_owner[1], ord_, shared,
                [(shared.kinds[0], mantissa)] if shared.is_component else None,
            )  # fmt: skip
            gathered.append(found)
        else:
            if seq > found.commit_seq:
                found.commit_seq = seq
            if found.parts is not None:
                found.parts.append((shared.kinds[0], mantissa))
        if shared.told and found.device_time is None and not found.context:
            _tell(found, shared, shared.told.get((time, ord_)))
    return gathered


class _SharedFacts(dict[tuple[int, ...], Shared]):
    """One object for the same facts, made when they are met for the first time."""

    def __init__(self, stretches: Sequence[Stretch], told: Mapping[int, Told]) -> None:
        super().__init__()
        self._stretches = stretches
        self._told = told
        self._owners: dict[tuple[int, int], tuple[int, int]] = {}

    def __missing__(self, key: tuple[int, ...]) -> Shared:
        place, flags, error_and_gateway, scale_to_clock = key
        stretch = self._stretches[place - 1]
        span = stretch.span
        owner = stretch.position, span.anchor
        text = scale_to_clock.to_bytes(8, "big", signed=True)
        scale, absent, offset_min, clock = _SCALE_TO_CLOCK.unpack(text)
        made = self[key] = Shared(
            stretch, self._owners.setdefault(owner, owner), span.assigned_seq,
            span.anchor != span.series_id, (Kind(span.metric, scale, absent, span.unit, flags),),
            error_and_gateway & _LOW, offset_min, clock, error_and_gateway >> 32,
            self._told.get(place, {}),
        )  # fmt: skip
        return made


def rows_in(record: Any) -> int:
    """How many rows a record holds."""
    return max(0, len(record["times"] or b"") - _ARRAY_HEAD) // _ELEMENT.itemsize


_OWN_COLUMNS: Final = ("times", "commits", "mantissas")
_ALIKE: Final = ("flags", "errors_and_gateways", "scales_and_clocks")


def _bigints(sent: bytes) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = np.frombuffer(sent, _ELEMENT, offset=_ARRAY_HEAD)["value"]
    return values


def _halves(sent: bytes) -> tuple[list[int], list[int]]:
    values = _bigints(sent)
    return (values >> 32).tolist(), (values & _LOW).tolist()


def _details_of(record: Any) -> dict[int, dict[tuple[int, int], Detail]]:
    """Details by the place of their stretch."""
    found: dict[int, dict[tuple[int, int], Detail]] = {}
    if record["detailed"] is None:
        return found
    ords, places = _halves(record["detailed"])
    times = _bigints(record["detailed_times"]).tolist()
    told = record["device_times"]
    nothing = [None] * len(told)
    columns = (record[name] or nothing for name in ("raw_mantissas", "raw_scales"))
    details = zip(*columns, told, record["contexts"] or nothing, strict=True)
    for place, key, detail in zip(places, zip(times, ords, strict=True), details, strict=True):
        found.setdefault(place, {})[key] = detail
    return found


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
