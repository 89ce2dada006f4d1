"""One slot of an Omron cuff's memory, and its clock.

In      a slot of 14 octets, high bytes first: diastolic u8 | systolic u8, less 25 | year u8 |
        pulse u8 | date u16 | time u16 | 6 not read. Of 16, low bytes first: systolic u8, less 25 |
        diastolic u8 | pulse u8 | year u8 | date u16 | time u16 | 8 not read
        year: b0-5 since 2000. date: b15 body movement, b14 irregular pulse, b10-13 month,
        b5-9 day, b0-4 hour. time: b6-11 minute, b0-5 second, up to 63
        the clock: see Layout
Out     systolic_bp, diastolic_bp in mm[Hg], pulse_rate_nibp in /min, FROM_STORAGE, with the user's
        number where the model has two. A pressure or pulse of 0 is NOT_MEASURED. A date that no
        calendar has is DEVICE_CLOCK_UNSET. Where sources disagree on the two bits of the date, one
        of them makes the readings QUESTIONABLE
        (): a slot never written, all FF or all 0
Errors  DecodeError: another length; a systolic pressure over 250, more than these cuffs can hold
Source  userx14/omblepy, deviceSpecific/; eigger/hass-omron, record_parsers.py and its issue 74
"""

from decimal import Decimal
from functools import lru_cache
from struct import Struct
from typing import Final

from wardlight_edge.devices._gatt import Number, date_time, nonzero
from wardlight_edge.devices._omron_models import Layout
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceTime, Flag, Reading

_BIG: Final = Struct(">BBBBHH")
_LITTLE: Final = Struct("<BBBBHH")
_DATE_TIME: Final = Struct("<HBBBBB")
_UNIT: Final = "mm[Hg]"
_LEAST_SYSTOLIC: Final = 25
_MOST_SYSTOLIC: Final = 0xE1
_CENTURY: Final = 2000
_MOVED, _IRREGULAR = 1 << 15, 1 << 14
_STORED: Final = int(Flag.FROM_STORAGE)
_QUESTIONABLE: Final = int(Flag.QUESTIONABLE)


def readings_of(octets: bytes, layout: Layout, where: str, user: int | None) -> tuple[Reading, ...]:
    """Decode one slot."""
    if len(octets) != layout.record:
        raise DecodeError(f"{where}: {len(octets)} bytes, a slot has {layout.record}")
    if is_empty(octets):
        return ()
    if layout.record == _BIG.size + 6:
        diastolic, systolic, year, pulse, date, time = _BIG.unpack_from(octets)
    else:
        systolic, diastolic, pulse, year, date, time = _LITTLE.unpack_from(octets)
    if systolic > _MOST_SYSTOLIC:
        raise DecodeError(f"{where}: systolic code {systolic}, the most is {_MOST_SYSTOLIC}")
    at, unset = _moment(year & 0x3F, date, time)
    flags = _STORED | unset | _flags(date, layout)
    numbers = (
        ("systolic_bp", _number(systolic + _LEAST_SYSTOLIC, _UNIT), _UNIT),
        ("diastolic_bp", _number(diastolic, _UNIT), _UNIT),
        ("pulse_rate_nibp", _number(pulse, "/min"), "/min"),
    )
    return tuple(
        Reading(metric, number, unit, raw, raw_unit, at, flags, user)
        for metric, (number, raw, raw_unit), unit in numbers
    )


def is_empty(octets: bytes) -> bool:
    """Whether nothing was ever written here: erased memory, or cleared to zeros."""
    return not octets.strip(b"\xff") or not any(octets)


def clock_of(octets: bytes, layout: Layout) -> DeviceTime | None:
    """The device's clock; None where it is not set, or what was read is no clock."""
    if len(octets) != layout.clock[1]:
        return None
    if sum(octets[: layout.summed]) & 0xFF != octets[layout.sum_at]:
        return None
    fields = octets[layout.fields_at : layout.fields_at + 6]
    if layout.is_mixed:
        month, year, hour, day, second, minute = fields
    else:
        year, month, day, hour, minute, second = fields
    shown = _DATE_TIME.pack(_CENTURY + year, month, day, hour, minute, min(second, 59))
    time, unset = date_time(shown, 0)
    return None if unset else time


@lru_cache(maxsize=1024)
def _number(value: int, unit: str) -> Number:
    return nonzero(Decimal(value), unit)


def _moment(year: int, date: int, time: int) -> tuple[DeviceTime | None, int]:
    month, day, hour = date >> 10 & 0xF, date >> 5 & 0x1F, date & 0x1F
    minute, second = time >> 6 & 0x3F, min(time & 0x3F, 59)
    return date_time(_DATE_TIME.pack(_CENTURY + year, month, day, hour, minute, second), 0)


def _flags(date: int, layout: Layout) -> int:
    if not layout.tells_motion:
        return _QUESTIONABLE * bool(date & (_MOVED | _IRREGULAR))
    moved = int(Flag.BODY_MOVEMENT) * bool(date & _MOVED)
    return moved | int(Flag.IRREGULAR_PULSE) * bool(date & _IRREGULAR)
