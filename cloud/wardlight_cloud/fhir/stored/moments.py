"""Dates of FHIR as half-open intervals of microseconds since 1970.

A partial date covers its whole day, month or year; one without offset is in UTC.

Errors  ValueError, without the text
Source  R4 4.0.1 date, dateTime, instant; 3.1.1.4.5
"""

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Final

_PATTERN: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,12}))?)?"
    r"(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a count of days, without a zone
_US: Final = timedelta(microseconds=1)
_SECOND_US: Final = 1_000_000
_MINUTE_US: Final = 60 * _SECOND_US
_DAY_US: Final = 24 * 60 * _MINUTE_US
_EAST_US: Final = 14 * 60 * _MINUTE_US  # the day begins so much earlier there than in UTC
_LEAP_SECOND: Final = 60
_WHOLE_DAY: Final = len("2026-01-31")

Interval = tuple[Decimal, Decimal]


def interval(text: str) -> Interval:
    """The interval that a date covers."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError("not a date; write it as 2026-01-31 or 2026-01-31T08:00:00Z")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        first = datetime(int(year), int(month or 1), int(day or 1))  # noqa: DTZ001 - see above
        low = (first - _EPOCH) // _US
        if hour is None:
            return Decimal(low), Decimal(low + _length(first, month, day))
        low += _of_day(int(hour), int(minute), int(second or 0)) - _offset(offset)
    except (ValueError, OverflowError) as error:
        raise ValueError("not a date of the calendar") from error
    if second is None:
        return Decimal(low), Decimal(low + _MINUTE_US)
    digits = (fraction or "")[:6]
    low += int(digits.ljust(6, "0")) if digits else 0
    return Decimal(low), Decimal(low + 10 ** (6 - len(digits)))


def earliest(text: str) -> Decimal:
    """When a date begins, where it does so first."""
    low, _ = interval(text)
    return low - _EAST_US if len(text) <= _WHOLE_DAY else low


def is_before(text: str, other: str) -> bool:
    """Whether a date lies before another one, whatever they leave open.

    Where one of the two has no time of day, nobody can tell its zone: they compare as written.
    """
    length = min(len(text), len(other))
    if length <= _WHOLE_DAY:
        return text[:length] < other[:length]
    return interval(text)[1] <= interval(other)[0]


def at(moment: datetime) -> Decimal:
    """An instant."""
    return Decimal((moment.astimezone(UTC).replace(tzinfo=None) - _EPOCH) // _US)


def today() -> Decimal:
    """Since when it is today: what ``ap`` measures from, so that pages of one search agree."""
    return at(datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0))


def _length(first: datetime, month: str | None, day: str | None) -> int:
    if day is not None:
        return _DAY_US
    if month is not None:
        return monthrange(first.year, first.month)[1] * _DAY_US
    leap = first.year % 4 == 0 and (first.year % 100 != 0 or first.year % 400 == 0)
    return (365 + leap) * _DAY_US


def _of_day(hour: int, minute: int, second: int) -> int:
    if hour > 24 or minute > 59 or second > _LEAP_SECOND or (hour == 24 and (minute or second)):
        raise ValueError("not a time of day")
    return (hour * 60 + minute) * _MINUTE_US + min(second, 59) * _SECOND_US


def _offset(text: str | None) -> int:
    if text is None or text == "Z":
        return 0
    hours, minutes = int(text[1:3]), int(text[4:])
    if minutes > 59:
        raise ValueError("an hour has 60 minutes")
    zone = timezone(timedelta(hours=hours, minutes=minutes))
    ahead = zone.utcoffset(None) // _US
    return -ahead if text[0] == "-" else ahead
