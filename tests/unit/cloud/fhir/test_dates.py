"""FHIR search dates: prefixes and partial dates as half-open intervals (R4 3.1.1.4.5)."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from wardlight_cloud.fhir.dates import bounds
from wardlight_cloud.store.queries import TimeBound


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


LAST = datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026", [("ge", at(2026, 1, 1)), ("lt", at(2027, 1, 1))]),
        ("2026-12", [("ge", at(2026, 12, 1)), ("lt", at(2027, 1, 1))]),
        ("2024-02-29", [("ge", at(2024, 2, 29)), ("lt", at(2024, 3, 1))]),
        ("eq2026-01-31T08:00Z", [("ge", at(2026, 1, 31, 8)), ("lt", at(2026, 1, 31, 8, 1))]),
        ("ge2026-01-31", [("ge", at(2026, 1, 31))]),
        ("gt2026-01-31", [("ge", at(2026, 2, 1))]),
        ("le2026-01-31", [("lt", at(2026, 2, 1))]),
        ("lt2026-01-31", [("lt", at(2026, 1, 31))]),
        ("sa2026-01-31", [("ge", at(2026, 2, 1))]),
        ("eb2026-01-31", [("lt", at(2026, 1, 31))]),
        ("9999", [("ge", at(9999, 1, 1)), ("lt", LAST)]),
        ("le9999-12", [("lt", LAST)]),
        ("le9999-12-31", [("lt", LAST)]),
        ("gt9999-12-31", [("ge", LAST)]),
        ("lt9999-12-31T23:59:59Z", [("lt", at(9999, 12, 31, 23, 59, 59))]),
        ("le9999-12-31T23:59:59.9Z", [("lt", LAST)]),
        ("lt9999-12-31T23:59:59-14:00", [("lt", LAST)]),
        ("ge0001-01-01T00:00:00+14:00", [("ge", at(1, 1, 1))]),
        ("2016-12-31T23:59:60Z", [("ge", at(2016, 12, 31, 23, 59, 59)), ("lt", at(2017, 1, 1))]),
        ("lt9999-12-31T23:59:60Z", [("lt", at(9999, 12, 31, 23, 59, 59))]),
    ],
)
def test_prefix_and_precision(text: str, expected: list[tuple[str, datetime]]) -> None:
    assert [(bound.op, bound.instant) for bound in bounds(text)] == expected


def test_offset_is_kept() -> None:
    (bound,) = bounds("ge2026-01-31T08:00:00+05:30")
    assert bound == TimeBound(
        "ge", datetime(2026, 1, 31, 8, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    )


def test_fraction_covers_its_own_precision() -> None:
    low, high = bounds("2026-01-31T08:00:00.25Z")
    assert high.instant - low.instant == timedelta(milliseconds=10)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("yesterday", "is not a date"),
        ("2026-13", "calendar"),
        ("2026-02-30", "calendar"),
        ("0000", "calendar"),
        ("9999-12-32", "calendar"),
        ("2026-01-31T08:00:61Z", "calendar"),
        ("ge\u0662\u0660\u0662\u0666-01-01", "is not a date"),  # 2026 in Arabic-Indic digits
        ("ne2026", "ne is not supported"),
        ("ap2026", "ap is not supported"),
        ("2026-01-31T08", "is not a date"),
        ("", "is not a date"),
    ],
)
def test_what_is_not_a_date_says_so(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        bounds(text)
