"""What GATT characteristics have in common: dispatch, exact lengths, Date Time, numbers or reasons.

Errors  DecodeError: a length that the flags do not account for, an unknown characteristic
Source  Bluetooth GATT Specification Supplement (GSS), 2.2 conventions, 3.71 Date Time
"""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from struct import Struct
from typing import Final, TypeVar

from wardlight_shared.errors import DecodeError
from wardlight_shared.floats import sfloat_from_word
from wardlight_shared.model import Absent, DeviceTime, Flag

DATE_TIME_LENGTH: Final = 7
CLOCK_UNSET: Final = int(Flag.DEVICE_CLOCK_UNSET)
USER_UNKNOWN: Final = int(Flag.USER_UNKNOWN)
_DATE_TIME: Final = Struct("<HBBBBB")
_FIRST_DAYS: Final = {year: date(year, 1, 1).toordinal() for year in (1900, 2000)}
_LEAP_YEAR: Final = 2000  # stands in for an unknown year: 29 February exists in some year
_USER_UNKNOWN: Final = 255  # BLS 3.1.1.6, WSS 3.2.1.4

_T = TypeVar("_T")

Number = tuple[Decimal | Absent, Decimal | None, str | None]
"""``value``, ``raw_value`` and ``raw_unit`` of a Reading."""


def decode_value(
    table: Mapping[str, Callable[[bytes], _T]], characteristic: str, value: bytes
) -> _T:
    """Decode ``value`` with the function that ``table`` has for the characteristic."""
    function = table.get(characteristic)
    if function is None:
        raise DecodeError(f"{characteristic}: this decoder reads {', '.join(table)}")
    return function(value)


def check_length(characteristic: str, value: bytes, expected: int) -> None:
    """Raise DecodeError unless ``value`` has exactly the length its flags ask for."""
    if len(value) != expected:
        raise DecodeError(f"{characteristic}: {len(value)} bytes, its flags ask for {expected}")


def check_at_least(characteristic: str, value: bytes, least: int) -> None:
    """Raise DecodeError when ``value`` is shorter than its fixed part."""
    if len(value) < least:
        raise DecodeError(f"{characteristic}: {len(value)} bytes, need at least {least}")


def date_time(value: bytes, offset: int) -> tuple[DeviceTime | None, int]:
    """Return (device time, flags) of the Date Time field at ``offset``.

    Year, month or day 0 = not known: the time is kept as sent and DEVICE_CLOCK_UNSET is set. A
    field that no calendar has (month 13, hour 24, 30 February) gives None and the same flag: a
    true measurement must not be lost because the clock beside it is broken.
    """
    year, month, day, hour, minute, second = _DATE_TIME.unpack_from(value, offset)
    if hour > 23 or minute > 59 or second > 59 or not _is_day(year, month, day):
        return None, CLOCK_UNSET
    time = DeviceTime(year, month, day, hour, minute, second)
    return time, 0 if year and month and day else CLOCK_UNSET


@lru_cache(maxsize=1024)
def _is_day(year: int, month: int, day: int) -> bool:
    # GSS 3.71: year 1582 to 9999; 0 in a field means not known.
    if year > 9999 or 0 < year < 1582:
        return False
    try:
        date(year or _LEAP_YEAR, month or 1, day or 1)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1024)
def day_of(ordinal: int) -> tuple[int, int, int] | None:
    """Year, month and day of a proleptic Gregorian ordinal, None where no calendar has it."""
    try:
        day = date.fromordinal(ordinal)
    except (OverflowError, ValueError):
        return None
    return day.year, day.month, day.day


def seconds_time(
    stamp: int | None, shown: int | None, epoch_year: int
) -> tuple[DeviceTime | None, int]:
    """Return (device time, flags) of two counts of seconds since 1 January of ``epoch_year``.

    ``stamp`` is UTC, ``shown`` the wall clock on the display; None = not sent, 0 = not known. The
    offset is stated where both are and it is one that a time zone can have.
    """
    if stamp is None and shown is None:
        return None, 0
    seconds = shown or stamp
    if not seconds:
        return None, CLOCK_UNSET
    offset = 0 if not shown else _zone_offset(shown - stamp) if stamp else None
    days, second = divmod(seconds, 86_400)
    day = day_of(_FIRST_DAYS[epoch_year] + days)
    if day is None:
        return None, CLOCK_UNSET
    minutes, second = divmod(second, 60)
    hour, minute = divmod(minutes, 60)
    return DeviceTime(*day, hour, minute, second, offset), 0


def _zone_offset(seconds: int) -> int | None:
    """Minutes of a time zone, None for a difference that no zone has."""
    quarters, rest = divmod(seconds, 15 * 60)
    return quarters * 15 if not rest and -48 <= quarters <= 56 else None


def user_index(octet: int) -> tuple[int | None, int]:
    """Return (user index, flags) of a User ID field: 255 = the device does not know who it was."""
    return (None, USER_UNKNOWN) if octet == _USER_UNKNOWN else (octet, 0)


def number(value: Decimal | Absent, unit: str, reason: Absent | None = None) -> Number:
    """Return ``value`` as it is, or withheld for ``reason``: the number then stays as raw."""
    if reason is None or isinstance(value, Absent):
        return value, None, None
    return reason, value, unit


def nonzero(value: Decimal | Absent, unit: str) -> Number:
    """Return ``value``, 0 as NOT_MEASURED: for what is never 0 in a living patient."""
    return number(value, unit, None if value else Absent.NOT_MEASURED)


@lru_cache(maxsize=4096)
def sfloat_number(word: int, unit: str, reason: Absent | None = None) -> Number:
    """Decode one SFLOAT-Type word of a vital sign that is never 0, withheld for ``reason``."""
    value = sfloat_from_word(word)
    return nonzero(value, unit) if reason is None else number(value, unit, reason)
