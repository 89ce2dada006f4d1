"""Device clocks: Current Time 0x2A2B, Date Time 0x2A08, Local Time Information 0x2A0F.

In      0x2A2B, 10 bytes: date time 7 | day of week u8 | 1/256 s u8 | adjust reason u8
        0x2A08, 7 bytes: year u16, month, day, hour, minute, second u8 (A&D and Roche have it in
        their own service instead of 0x2A2B)
        0x2A0F, 2 bytes: time zone s8 in 15 min (-128 unknown) | DST offset u8 (0, 2, 4, 8; 255
        unknown)
Out     CurrentTime; ``encode_current_time`` and ``encode_date_time`` make the bytes that set a
        clock. Read a clock before setting it: its skew dates what the device has stored
Errors  DecodeError: another length, a time zone or DST offset that the specification reserves
Source  Bluetooth CTS 1.1, 3.1 and 3.2; GSS Current Time, Day Date Time, Date Time, Time Zone
Vectors tests/vectors/current_time.toml
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from struct import Struct
from typing import Final

import msgspec

from wardlight_edge.devices._gatt import DATE_TIME_LENGTH, check_length, date_time, decode_value
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceTime

_CURRENT_TIME_LENGTH: Final = 10
_DATE_TIME: Final = Struct("<HBBBBB")
_LOCAL: Final = Struct("<bB")
_ZONE_STEP_MIN: Final = 15
_ZONE_UNKNOWN: Final = -128
_ZONES: Final = range(-48, 57)  # GSS Time Zone: UTC-12:00 to UTC+14:00
_DST_MIN: Final[Mapping[int, int | None]] = {0: 0, 2: 30, 4: 60, 8: 120, 255: None}

MANUAL_UPDATE: Final = 0b0001
"""Adjust reason: set by hand or by a client."""

EXTERNAL_UPDATE: Final = 0b0010
"""Adjust reason: set from an external time reference."""


class CurrentTime(msgspec.Struct, frozen=True):
    """What a device says of its clock; a field its characteristic does not have is None.

    time           wall clock as sent; None where its fields are no time of day or date
    is_set         False: the date is unknown or impossible
    day_of_week    1 = Monday to 7 = Sunday, None = not known
    fraction_256   1/256 seconds
    adjust_reason  bits, MANUAL_UPDATE and so on
    zone_min       offset of standard time from UTC in minutes
    dst_min        daylight saving in force, in minutes
    """

    time: DeviceTime | None = None
    is_set: bool = False
    day_of_week: int | None = None
    fraction_256: int | None = None
    adjust_reason: int | None = None
    zone_min: int | None = None
    dst_min: int | None = None


def _current_time(value: bytes) -> CurrentTime:
    check_length("0x2A2B", value, _CURRENT_TIME_LENGTH)
    time, unset = date_time(value, 0)
    day, fraction, reason = value[DATE_TIME_LENGTH:]
    return CurrentTime(time, not unset, day if 1 <= day <= 7 else None, fraction, reason)


def _date_time(value: bytes) -> CurrentTime:
    check_length("0x2A08", value, DATE_TIME_LENGTH)
    time, unset = date_time(value, 0)
    return CurrentTime(time, not unset)


def _local_time(value: bytes) -> CurrentTime:
    check_length("0x2A0F", value, _LOCAL.size)
    zone, dst = _LOCAL.unpack(value)
    if (zone not in _ZONES and zone != _ZONE_UNKNOWN) or dst not in _DST_MIN:
        raise DecodeError("0x2A0F: time zone or DST offset is a reserved value")
    zone_min = None if zone == _ZONE_UNKNOWN else zone * _ZONE_STEP_MIN
    return CurrentTime(zone_min=zone_min, dst_min=_DST_MIN[dst])


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], CurrentTime]]] = {
    "0x2A08": _date_time,
    "0x2A0F": _local_time,
    "0x2A2B": _current_time,
}


def decode(characteristic: str, value: bytes) -> CurrentTime:
    """Decode one value of a characteristic of CHARACTERISTICS."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def encode_date_time(moment: datetime) -> bytes:
    """Encode Date Time 0x2A08: the wall clock of an aware ``moment`` in its own zone, 7 bytes."""
    if moment.tzinfo is None:
        raise ValueError("naive datetime")
    date, time = moment.timetuple()[:3], (moment.hour, moment.minute, moment.second)
    return _DATE_TIME.pack(*date, *time)


def encode_current_time(moment: datetime, adjust_reason: int = EXTERNAL_UPDATE) -> bytes:
    """Encode Current Time 0x2A2B: the wall clock of an aware ``moment``, 10 bytes."""
    fraction = moment.microsecond * 256 // 1_000_000
    return encode_date_time(moment) + bytes((moment.isoweekday(), fraction, adjust_reason))


def encode(characteristic: str, moment: datetime) -> bytes:
    """Encode ``moment`` for the clock ``characteristic`` of a profile's ``set_clock``."""
    encoders = {"0x2A08": encode_date_time, "0x2A2B": encode_current_time}
    if characteristic not in encoders:
        raise ValueError(f"{characteristic}: not a clock that can be set")
    return encoders[characteristic](moment)
