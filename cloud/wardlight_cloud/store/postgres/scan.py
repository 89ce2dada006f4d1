"""Reads rows of spans in order, as Observations.

A scan covers one window of time, so that the server opens few partitions.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal
from uuid import UUID

from wardlight_cloud.store.observation_rows import Circumstances, Kind
from wardlight_cloud.store.observation_sieve import Marks
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.gathering import (
    SEQ_MAX,
    Found,
    Position,
    Shared,
    Stretch,
    instant_of,
    rows_in,
    together,
)
from wardlight_cloud.store.postgres.known import KnownFacts
from wardlight_cloud.store.postgres.sealed import ObservationIds
from wardlight_cloud.store.postgres.spans import ASSIGNED, BEGINNING, END, facts, span_of
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.queries import ObservationQuery
from wardlight_shared.model import NOT_CLINICAL

_SQL: Final = statements("observations")
_INT_MAX: Final = (1 << 31) - 1

Direction = Literal["forward", "backward"]
Window = tuple[datetime, datetime]


def width(stretches: Sequence[Stretch]) -> int:
    """The most rows that one Observation can have here.

    One of each series: a series may have many stretches, of which each is another time.
    """
    series = {(each.position, each.span.anchor, each.span.series_id) for each in stretches}
    counts = Counter((position, anchor) for position, anchor, _ in series)
    return max(counts.values(), default=1)


async def scan(
    connection: Connection,
    stretches: Sequence[Stretch],
    *,
    window: Window,
    direction: Direction,
    after: Position | None,
    limit: int,
    bounds: tuple[list[int], list[int]] | None = None,
    marks: Marks | None = None,
) -> list[Found]:
    """The first ``limit`` Observations after ``after`` within the window, complete and in order.

    Fewer only where the window holds no more. ``bounds``: of mantissas, see numbers_between.py;
    then Observations with such a number, and panels with their components that are such. ``marks``:
    the same of what has one of them.
    """
    found: list[Found] = []
    if not stretches:
        return found
    columns = _columns(stretches)
    name, chosen = f"scan_{direction}", ()  # type: tuple[str, Sequence[Any]]
    if bounds is not None:
        name, chosen = f"scan_bounded_{direction}", bounds
    elif marks is not None:
        name, chosen = f"scan_marked_{direction}", (marks.flags, marks.absents)
    while True:
        record = await _record(
            connection, name, columns, window, direction, after, limit - len(found), chosen
        )
        part, is_cut = _part(record, stretches)
        found += part[: limit - len(found)]
        if not is_cut or len(found) == limit:
            return found
        after = found[-1].position


async def scan_assigned(
    connection: Connection,
    query: ObservationQuery,
    *,
    window: Window,
    direction: Direction,
    after: Position | None,
    limit: int,
) -> tuple[list[Found], list[Stretch], bool, int]:
    """The same for the patients, or else devices, of a query, whose spans come with the rows.

    Returns Observations, stretches, whether the window may hold more than the Observations
    given (then ``scan`` goes on behind the last of them), and ``others_seq`` of ObservationPage.
    """
    of = "devices" if query.patients is None else "patients"
    record = await _record(
        connection, f"scan_{of}_{direction}", facts(query), window, direction, after, limit
    )
    others_seq = record["others_seq"] or 0
    if record["series_id"] is None:
        return [], [], False, others_seq
    spans = zip(*(record[name] for name in ASSIGNED), strict=True)
    stretches = [Stretch(span_of(*span)) for span in spans]
    part, is_cut = _part(record, stretches)
    return part[:limit], stretches, is_cut and len(part) < limit, others_seq


async def _record(
    connection: Connection,
    statement: str,
    of: Sequence[Any],
    window: Window,
    direction: Direction,
    after: Position | None,
    limit: int,
    chosen: Sequence[Any] = (),
) -> Any:
    return await connection.fetchrow(
        _SQL[statement], *of, *window, int(NOT_CLINICAL), *_cursor(after, direction), limit + 1,
        *chosen,
    )  # fmt: skip


def _part(record: Any, stretches: Sequence[Stretch]) -> tuple[list[Found], bool]:
    """Complete Observations of a record, and whether its rows were cut off."""
    found = together(record, stretches)
    is_cut = bool(found) and rows_in(record) >= record["most_rows"]
    if is_cut:
        found.pop()  # it may lack components
    return found, is_cut


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


def _cursor(after: Position | None, direction: Direction) -> tuple[int, datetime, int, int]:
    if after is not None:
        position, time_us, anchor, ord_ = after
        return position, instant_of(time_us), anchor, ord_
    return (-1, BEGINNING, -1, -1) if direction == "forward" else (SEQ_MAX, END, _INT_MAX, _INT_MAX)


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
    names = ids.ids([(each.anchor, each.time_us, each.ord) for each in page])
    stored_at = await known.stored_at(connection, {each.commit_seq for each in page})
    common = {each.shared for each in page}
    gateways = await known.gateways(connection, {each.gateway_id for each in common})
    devices = await known.devices(
        connection, {each.stretch.span.origin.device_id for each in common}
    )
    made: dict[tuple[Shared, tuple[Kind, ...]], tuple[Circumstances, list[int] | None]] = {}
    for each, name in zip(page, names, strict=True):
        each.observation_id = name
        each.stored_at = stored_at[each.commit_seq]
        kinds, shared = each.shared.kinds, each.shared
        if each.parts is not None:
            kinds, each.mantissas = zip(*each.parts, strict=True)
        about = made.get((shared, kinds))
        if about is None:
            about = made[shared, kinds] = _circumstances(shared, kinds, gateways, devices)
        each.circumstances, order = about
        if order is not None:
            each.mantissas = tuple([each.mantissas[place] for place in order])


def _circumstances(
    shared: Shared,
    kinds: tuple[Kind, ...],
    gateways: Mapping[int, str],
    devices: Mapping[UUID, str],
) -> tuple[Circumstances, list[int] | None]:
    """With kinds by metric, and how to bring digits into that order; None = they are."""
    order = sorted(range(len(kinds)), key=lambda place: kinds[place].metric)
    origin = shared.stretch.span.origin
    about = Circumstances(
        origin, tuple([kinds[place] for place in order]),
        gateways[shared.gateway_id], shared.offset_min, shared.clock, shared.error_ms,
        devices[origin.device_id],
    )  # fmt: skip
    return about, None if order == sorted(order) else order
