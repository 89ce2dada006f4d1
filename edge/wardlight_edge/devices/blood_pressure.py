"""Blood Pressure: Measurement 0x2A35, Intermediate Cuff Pressure 0x2A36, both enhanced; records.

In      0x2A35, 0x2A36, one value of 7 to 19 bytes:
        flags u8 | systolic, diastolic, mean SFLOAT-Type | [date time 7] | [pulse SFLOAT-Type]
        | [user u8] | [status u16]
        flags b0 kPa, b1 date time, b2 pulse rate, b3 user, b4 status; the others are ignored
        0x2B34, 7 to 20 bytes: flags u8 | systolic, diastolic, mean | [time stamp u32] | [pulse]
        | [user] | [status] | [user-facing time u32]
        0x2B35, 3 to 16 bytes: the same with one pressure in the place of three
        flags also b5 user-facing time, b6 seconds count from 2000 and not from 1900
        0x2B36: a stored 0x2A35 or 0x2B34, see _blood_pressure_records.py, fetched by 0x2A52
Out     systolic_bp, diastolic_bp, mean_bp in mm[Hg] and, where sent, pulse_rate_nibp in /min.
        kPa is converted (see _units), the number as sent is in raw_value. Status bits are flags
        of every reading. User 255 is Flag.USER_UNKNOWN.
        A number of 0 is NOT_MEASURED: cuffs without a mean send 0 or NaN, and no cuff measures 0
        0x2A36, 0x2B35: (), checked but never stored: the pressure of the cuff, not of the patient
        The time stamp of 0x2B34 is UTC, the user-facing time is what the display shows: the time
        of a Reading is the latter with its offset from the former, or UTC alone. 0 = not known
Errors  DecodeError: length that the flags do not account for
Options racp_all = false: ask for all records as "from number 0"
Source  Bluetooth BLS 1.1, 3.1 to 3.7; GSS Blood Pressure Measurement, Enhanced Blood Pressure
        Measurement, Enhanced Intermediate Cuff Pressure; IEEE 11073-20601 F.8
Vectors tests/vectors/blood_pressure.toml
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Final

from wardlight_edge.devices import _racp
from wardlight_edge.devices._base import Options
from wardlight_edge.devices._blood_pressure_records import (
    RECORD,
    BloodPressureRecords,
    RecordSegments,
)
from wardlight_edge.devices._dialogue import Bookmarks, Dialogue
from wardlight_edge.devices._gatt import (
    DATE_TIME_LENGTH,
    Number,
    check_at_least,
    check_length,
    date_time,
    decode_value,
    seconds_time,
    sfloat_number,
    user_index,
)
from wardlight_edge.devices._stored_records import asks_all
from wardlight_edge.devices._units import convert
from wardlight_shared.errors import DecodeError
from wardlight_shared.floats import sfloat_from_word
from wardlight_shared.model import Absent, DeviceTime, Flag, Reading

_HEAD: Final = Struct("<BHHH")
_U16: Final = Struct("<H")
_IS_KPA, _HAS_TIME, _HAS_PULSE, _HAS_USER, _HAS_STATUS = (1 << bit for bit in range(5))
_LENGTHS: Final = tuple(
    _HEAD.size
    + DATE_TIME_LENGTH * bool(flags & _HAS_TIME)
    + 2 * bool(flags & _HAS_PULSE)
    + bool(flags & _HAS_USER)
    + 2 * bool(flags & _HAS_STATUS)
    for flags in range(32)
)
_HAS_USER_TIME: Final = 1 << 5
_IS_FROM_2000: Final = 1 << 6
_ENHANCED_FIELDS: Final = (
    (_HAS_TIME, 4), (_HAS_PULSE, 2), (_HAS_USER, 1), (_HAS_STATUS, 2), (_HAS_USER_TIME, 4),
)  # fmt: skip
_ENHANCED_TAILS: Final = tuple(
    sum(size for flag, size in _ENHANCED_FIELDS if flags & flag) for flags in range(64)
)
_U32: Final = Struct("<I")
_UNIT: Final = "mm[Hg]"
_RAW_UNIT: Final = "kPa"

# BLS 3.1.1.7 Measurement Status; b3-4 is a number: 1 above, 2 below the range, 3 reserved.
_STATUS: Final = (
    (0b000001, 0b000001, Flag.BODY_MOVEMENT),
    (0b000010, 0b000010, Flag.CUFF_LOOSE),
    (0b000100, 0b000100, Flag.IRREGULAR_PULSE),
    (0b011000, 0b001000, Flag.PULSE_ABOVE_RANGE),
    (0b011000, 0b010000, Flag.PULSE_BELOW_RANGE),
    (0b100000, 0b100000, Flag.IMPROPER_POSITION),
)


def _measurement(value: bytes) -> tuple[Reading, ...]:
    flags, systolic, diastolic, mean = _checked("0x2A35", value)
    time, user, pulse, status, at = None, None, None, 0, _HEAD.size
    if flags & _HAS_TIME:
        time, status = date_time(value, at)
        at += DATE_TIME_LENGTH
    if flags & _HAS_PULSE:
        pulse = sfloat_number(_U16.unpack_from(value, at)[0], "/min")
        at += 2
    if flags & _HAS_USER:
        user, unknown = user_index(value[at])
        status |= unknown
        at += 1
    if flags & _HAS_STATUS:
        status |= _status(_U16.unpack_from(value, at)[0])
    return _readings(flags, (systolic, diastolic, mean), pulse, time, status, user)


def _enhanced(value: bytes) -> tuple[Reading, ...]:
    check_at_least("0x2B34", value, _HEAD.size)
    flags, systolic, diastolic, mean = _HEAD.unpack_from(value)
    check_length("0x2B34", value, _enhanced_length(value))
    stamp, user, pulse, status, at = None, None, None, 0, _HEAD.size
    if flags & _HAS_TIME:
        stamp = _U32.unpack_from(value, at)[0]
        at += _U32.size
    if flags & _HAS_PULSE:
        pulse = sfloat_number(_U16.unpack_from(value, at)[0], "/min")
        at += 2
    if flags & _HAS_USER:
        user, status = user_index(value[at])
        at += 1
    if flags & _HAS_STATUS:
        status |= _status(_U16.unpack_from(value, at)[0])
        at += 2
    shown = _U32.unpack_from(value, at)[0] if flags & _HAS_USER_TIME else None
    time, unset = seconds_time(stamp, shown, 2000 if flags & _IS_FROM_2000 else 1900)
    return _readings(flags, (systolic, diastolic, mean), pulse, time, status | unset, user)


def _length(value: bytes) -> int:
    return _LENGTHS[value[0] & 0b11111]


def _enhanced_length(value: bytes) -> int:
    return _HEAD.size + _ENHANCED_TAILS[value[0] & 0b111111]


def _record(value: bytes) -> tuple[Reading, ...]:
    whole = RecordSegments(_RECORDED).take(value)
    if whole is None:
        raise DecodeError(f"{RECORD}: one segment of a record, it needs them all")
    return decode(*whole)


def _enhanced_intermediate(value: bytes) -> tuple[Reading, ...]:
    check_at_least("0x2B35", value, 3)
    check_length("0x2B35", value, 3 + _ENHANCED_TAILS[value[0] & 0b111111])
    return ()


def _intermediate(value: bytes) -> tuple[Reading, ...]:
    _checked("0x2A36", value)
    return ()


CONTROL_POINTS: Final = frozenset({_racp.CHANNEL})
_RECORDED: Final[Mapping[str, Callable[[bytes], int]]] = {
    "0x2A35": _length,
    "0x2B34": _enhanced_length,
}
CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    "0x2A35": _measurement,
    "0x2A36": _intermediate,
    "0x2B34": _enhanced,
    "0x2B35": _enhanced_intermediate,
    RECORD: _record,
    _racp.CHANNEL: _racp.no_readings,
}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one value of a characteristic of CHARACTERISTICS."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def dialogue(options: Options, bookmarks: Bookmarks) -> Dialogue:
    """Make the conversation that fetches the memory of one cuff."""
    return BloodPressureRecords(
        bookmarks, _RECORDED, decode, asks_all=asks_all("blood_pressure", options)
    )


def _checked(name: str, value: bytes) -> tuple[int, int, int, int]:
    """Return flags and the three pressure words of a value of the right length."""
    check_at_least(name, value, _HEAD.size)
    flags, systolic, diastolic, mean = _HEAD.unpack_from(value)
    check_length(name, value, _length(value))
    return flags, systolic, diastolic, mean


def _readings(
    flags: int,
    words: tuple[int, int, int],
    pulse: Number | None,
    time: DeviceTime | None,
    status: int,
    user: int | None,
) -> tuple[Reading, ...]:
    pressure = _number_from_kpa if flags & _IS_KPA else _number
    readings = [
        Reading(metric, number, _UNIT, raw, raw_unit, time, status, user)
        for metric, (number, raw, raw_unit) in (
            ("systolic_bp", pressure(words[0])),
            ("diastolic_bp", pressure(words[1])),
            ("mean_bp", pressure(words[2])),
        )
    ]
    if pulse is not None:
        rate, raw, raw_unit = pulse
        readings.append(Reading("pulse_rate_nibp", rate, "/min", raw, raw_unit, time, status, user))
    return tuple(readings)


def _number(word: int) -> Number:
    return sfloat_number(word, _UNIT)


@lru_cache(maxsize=4096)
def _number_from_kpa(word: int) -> Number:
    sent = sfloat_from_word(word)
    if isinstance(sent, Absent) or not sent:
        return sfloat_number(word, _RAW_UNIT)
    return convert(sent, _RAW_UNIT, _UNIT), sent, _RAW_UNIT


@lru_cache(maxsize=256)
def _status(word: int) -> int:
    return sum(int(flag) for mask, bits, flag in _STATUS if word & mask == bits)
