"""When a series belonged to a patient, so that a trend shows no other holder's readings."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from wardlight_cloud.store.base import Assignment, LatestRow, TrendPoint


@dataclass(frozen=True, slots=True)
class Span:
    """[start, end) of a trend; whether the assignment, not the request, made either end."""

    start: datetime
    end: datetime
    is_start_cut: bool
    is_end_cut: bool

    def own(self, points: Sequence[TrendPoint]) -> Sequence[TrendPoint]:
        """The points without the buckets that reach over an end into another assignment."""
        if self.is_start_cut:
            points = [point for point in points if point.time >= self.start]
        is_bucketed = any(point.count + point.absent > 1 for point in points)
        return points[:-1] if self.is_end_cut and is_bucketed else points


def spans(
    row: LatestRow, assignments: Iterable[Assignment], start: datetime, end: datetime
) -> Iterator[Span]:
    """Where [start, end) meets the assignments of this series to its patient, ascending."""
    held = [
        each
        for each in assignments
        if each.patient_id == row.patient_id and each.user in (None, row.user)
    ]
    for each in sorted(held, key=lambda assignment: assignment.valid_from):
        until = end if each.valid_to is None else min(end, each.valid_to)
        since = max(start, each.valid_from)
        if since < until:
            yield Span(since, until, since > start, until < end)
