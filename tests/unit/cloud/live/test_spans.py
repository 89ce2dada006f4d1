"""A trend of a device that changed hands shows each holder their own readings only."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from wardlight_cloud.live.spans import spans
from wardlight_cloud.store.base import Assignment, LatestRow, TrendPoint

ANNA, BERT, DEVICE = UUID(int=1), UUID(int=2), UUID(int=3)
START = datetime(2026, 3, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hours: float) -> datetime:
    return START + hours * HOUR


def row(patient: UUID, user: int | None = None) -> LatestRow:
    return LatestRow(patient, 1, DEVICE, 4, "%", user, START, START, 97, 0, 0, 0, 250, 1)


def held(patient: UUID, since: float, until: float | None, user: int | None = None) -> Assignment:
    end = None if until is None else at(until)
    return Assignment(UUID(int=99), DEVICE, user, patient, at(since), end)


def point(hours: float, count: int = 1) -> TrendPoint:
    return TrendPoint(at(hours), count, 1.0, 2.0, 1.5, 0)


def test_spans_are_the_own_assignments_inside_the_asked_time() -> None:
    owners = [held(ANNA, 8, None), held(BERT, 4, 8), held(ANNA, -9, 4)]
    found = [(s.start, s.end) for s in spans(row(ANNA), owners, at(1), at(10))]
    assert found == [(at(1), at(4)), (at(8), at(10))]
    (of_bert,) = spans(row(BERT), owners, at(1), at(10))
    assert (of_bert.start, of_bert.end) == (at(4), at(8))


def test_another_user_s_assignment_of_the_device_does_not_count() -> None:
    owners = [held(ANNA, 0, None, user=1), held(BERT, 0, None, user=2)]
    assert not list(spans(row(ANNA, user=2), owners, at(0), at(5)))
    assert list(spans(row(ANNA, user=1), owners, at(0), at(5)))


@pytest.mark.parametrize("count", [1, 60])
def test_buckets_over_an_end_are_left_out(count: int) -> None:
    """A bucket is named by its beginning: one before the start, and the last, hold others' rows."""
    (span,) = spans(row(ANNA), [held(ANNA, 1.5, 3.5)], at(0), at(10))
    points = [point(1, count), point(2, count), point(3, count)]
    kept = [p.time for p in span.own(points)]
    assert kept == ([at(2)] if count > 1 else [at(2), at(3)])


def test_ends_of_the_request_cut_nothing_off() -> None:
    (span,) = spans(row(ANNA), [held(ANNA, -5, None)], at(0.5), at(3))
    points = [point(0, 60), point(1, 60)]
    assert list(span.own(points)) == points
