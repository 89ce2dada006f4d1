"""Observations that left a patient by a commit that shortened or removed an assignment.

They are those that were stored by then, in what the assignment lost, and are not the patient's
again by now. What stands aside for a later correction counts with it: the patient had been told of
the value before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from wardlight_cloud.store.observed import OBSERVED
from wardlight_cloud.store.postgres.connections import Connection
from wardlight_cloud.store.postgres.gathering import Found, Position, Stretch, us_of
from wardlight_cloud.store.postgres.scan import complete_panels, scan, width
from wardlight_cloud.store.postgres.sealed import ObservationKey
from wardlight_cloud.store.postgres.spans import ASSIGNED, TICK, Span, span_of
from wardlight_cloud.store.postgres.statements import statements
from wardlight_cloud.store.postgres.windows import windows

_SQL: Final = statements("changes")
_OBSERVED: Final = sorted(OBSERVED)


@dataclass(frozen=True, slots=True)
class Left:
    """An Observation of its former patient; ``holder``: whose it is now, None = nobody's."""

    found: Found
    holder: UUID | None


async def left_readings(
    connection: Connection, commit_seq: int, *, after: Position | None, limit: int
) -> list[Left]:
    """The first ``limit`` that left by this commit, after a position."""
    rows = await connection.fetch(_SQL["left_series"], commit_seq, _OBSERVED)
    spans = [span_of(*(row[name] for name in ASSIGNED)) for row in rows]
    left: list[Left] = []
    if not spans:
        return left
    corrected = await connection.fetch(
        _SQL["corrected_since"], [span.series_id for span in spans], commit_seq
    )
    stretches = [Stretch(span, commit_seq, 0, commit_seq) for span in spans]
    stretches += _around(spans, corrected, commit_seq)
    places = _keys(spans, corrected)
    async for window in windows(connection, stretches, "forward", limit * width(stretches)):
        while len(left) < limit:
            wanted = limit - len(left)
            part = await scan(
                connection, stretches, window=window, direction="forward", after=after,
                limit=wanted,
            )  # fmt: skip
            were = [each for each in part if each.commit_seq <= commit_seq or each.key in places]
            left += await _not_back(connection, were)
            if len(part) < wanted:
                break
            after = part[-1].position
        if len(left) >= limit:
            break
    await complete_panels(connection, [each.found for each in left])
    return left


def _around(spans: Sequence[Span], corrected: Sequence[Any], commit_seq: int) -> list[Stretch]:
    """Stretches of any commit over the times of what was corrected."""
    found = []
    for span in spans:
        times = [row["time"] for row in corrected if row["series_id"] == span.series_id]
        if times and not (cut := span.cut(min(times), max(times) + TICK)).is_empty:
            found.append(Stretch(cut, commit_seq))
    return found


def _keys(spans: Sequence[Span], corrected: Sequence[Any]) -> set[ObservationKey]:
    anchors = {span.series_id: span.anchor for span in spans}
    return {(anchors[row["series_id"]], us_of(row["time"]), row["ord"]) for row in corrected}


async def _not_back(connection: Connection, were: Sequence[Found]) -> list[Left]:
    if not were:
        return []
    rows = await connection.fetch(
        _SQL["holders"],
        [each.shared.stretch.span.series_id for each in were],
        [each.time for each in were],
    )
    holders = {row["place"] - 1: UUID(int=row["patient_id"].int) for row in rows}
    return [
        Left(each, holders.get(place))
        for place, each in enumerate(were)
        if holders.get(place) != each.shared.stretch.span.origin.patient_id
    ]
