"""Reads rows of spans in order, as Observations.

A scan covers one window of time, so that the server opens few partitions.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, Literal

from wardlight_cloud.store.observation_rows import Circumstances, Kind
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.gathering import (
    READING,
    SEQ_MAX,
    Found,
    Position,
    Shared,
    Stretch,
    details_of,
    instant_of,
    together,
)
from wardlight_cloud.store.postgres.known import KnownFacts
from wardlight_cloud.store.postgres.sealed import ObservationIds
from wardlight_cloud.store.postgres.spans import BEGINNING, END
from wardlight_cloud.store.postgres.statements import statements
from wardlight_shared.model import NOT_CLINICAL

_SQL: Final = statements("observations")
_INT_MAX: Final = (1 << 31) - 1

Direction = Literal["forward", "backward"]


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
        part = together(packed, stretches, details_of(row))
        is_cut = len(packed) >= most_rows * READING.size
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
