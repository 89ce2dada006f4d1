"""FHIR search dates: prefix and partial date to comparisons with instants.

A value without offset is taken as UTC (R4 3.1.1.4.5 leaves it to the server; docs/fhir.md says
so). A partial date covers its whole day, month or year; a leap second is the one before it, as
where resources are written (stored/moments.py).
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from wardlight_cloud.store.queries import TimeBound

_PATTERN: Final = re.compile(
    r"(eq|ne|lt|le|gt|ge|sa|eb|ap)?"
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?"
    r"(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)

_MINUTES_MAX: Final = 59
_LEAP_SECOND: Final = 60


def bounds(text: str) -> tuple[TimeBound, ...]:
    """Comparisons that all must hold; ValueError says what is wrong with the text."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a date; use for instance ge2026-01-31T08:00:00Z")
    start, end = _interval(match)
    match match.group(1) or "eq":
        case "eq":
            return TimeBound("ge", start), TimeBound("lt", end)
        case "lt" | "eb":
            return (TimeBound("lt", start),)
        case "le":
            return (TimeBound("lt", end),)
        case "gt" | "sa":
            return (TimeBound("ge", end),)
        case "ge":
            return (TimeBound("ge", start),)
        case prefix:
            raise ValueError(f"the prefix {prefix} is not supported; use eq, lt, le, gt or ge")


def _interval(match: re.Match[str]) -> tuple[datetime, datetime]:
    """The half-open interval in UTC that the text covers, within the calendar."""
    year, month, day, hour, minute, second, fraction, offset = match.groups()[1:]
    micros = int((fraction or "0")[:6].ljust(6, "0"))
    try:
        zone = _zone(offset)
        start = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0),
            _second(second), micros, tzinfo=zone,
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(f"{match.group()[:40]!r} is not a date of the calendar") from error
    try:
        end = _end(start, month, day, hour, second, fraction)
    except (ValueError, OverflowError):  # nothing is later
        return _utc(start), _LAST
    return _utc(start), _utc(end)


def _second(text: str | None) -> int:
    second = int(text or 0)
    return second - 1 if second == _LEAP_SECOND else second


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return _FIRST if moment.year == _FIRST.year else _LAST


def _zone(offset: str | None) -> timezone:
    if offset is None or offset == "Z":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[4:])
    if minutes > _MINUTES_MAX:
        raise ValueError("an hour has 60 minutes")
    ahead = timedelta(hours=hours, minutes=minutes)
    return timezone(-ahead if offset[0] == "-" else ahead)


def _end(
    start: datetime,
    month: str | None,
    day: str | None,
    hour: str | None,
    second: str | None,
    fraction: str | None,
) -> datetime:
    if fraction is not None:
        return start + timedelta(microseconds=10 ** max(0, 6 - len(fraction)))
    if second is not None:
        return start + timedelta(seconds=1)
    if hour is not None:
        return start + timedelta(minutes=1)
    if day is not None:
        return start + timedelta(days=1)
    if month is not None:
        year, next_month = divmod(start.year * 12 + start.month, 12)
        return start.replace(year=year, month=next_month + 1)
    return start.replace(year=start.year + 1)
