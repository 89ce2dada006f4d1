"""Pulse Oximeter: PLX Spot-Check Measurement 0x2A5E, PLX Continuous Measurement 0x2A5F.

In      spot, 5 to 19 bytes: flags u8 | SpO2, pulse rate SFLOAT-Type | [date time 7]
        | [measurement status u16] | [device and sensor status u24] | [pulse amplitude SFLOAT-Type]
        flags b0 date time, b1 measurement status, b2 sensor status, b3 amplitude, b4 device clock
        not set
        continuous, 5 to 20 bytes: flags u8 | SpO2, pulse rate | [fast SpO2, pulse rate]
        | [slow SpO2, pulse rate] | [measurement status] | [sensor status] | [amplitude]
        flags b0 fast, b1 slow, b2 measurement status, b3 sensor status, b4 amplitude
        0x2A52: see _racp.py
Out     spo2 in %, pulse_rate_oximeter in /min and, where sent, perfusion_index in %; the fast and
        slow pairs are other averagings of the same two numbers and are left out.
        Status bits are flags. "Invalid measurement" makes every number INVALID, a sensor that is
        off, displaced, disconnected, unknown or broken SENSOR_OFF or SENSOR_FAULT (_oximetry),
        "measurement unavailable" NOT_MEASURED, each with the number kept in raw_value; 0 is
        NOT_MEASURED
        0x2A52 has no readings; ``dialogue`` asks for stored spot checks
Errors  DecodeError: length that the flags do not account for
Source  Bluetooth PLXS 1.0.1, 3.1 to 3.5; GSS PLX Spot-Check and Continuous Measurement
Vectors tests/vectors/pulse_oximeter.toml
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Final

from wardlight_edge.devices import _racp
from wardlight_edge.devices._base import Options
from wardlight_edge.devices._dialogue import Bookmarks, Dialogue
from wardlight_edge.devices._gatt import (
    CLOCK_UNSET,
    DATE_TIME_LENGTH,
    check_at_least,
    check_length,
    date_time,
    decode_value,
    sfloat_number,
)
from wardlight_edge.devices._options import check_options
from wardlight_edge.devices._oximetry import off_patient
from wardlight_edge.devices._spot_checks import SpotChecks
from wardlight_shared.model import Absent, DeviceTime, Flag, Reading

CONTROL_POINTS: Final = frozenset({_racp.CHANNEL})

_HEAD: Final = Struct("<BHH")
_U16: Final = Struct("<H")
_PAIR_LENGTH: Final = 4
_SENSOR_LENGTH: Final = 3

# The three last fields are the same in both characteristics; spot flags are one bit lower.
_HAS_STATUS, _HAS_SENSOR, _HAS_AMPLITUDE = 0b001, 0b010, 0b100
_SPOT_HAS_TIME: Final = 0b00001
_SPOT_CLOCK_UNSET: Final = 0b10000
_HAS_FAST: Final = 0b01
_HAS_SLOW: Final = 0b10


def _tail_length(fields: int) -> int:
    status, amplitude = 2 * bool(fields & _HAS_STATUS), 2 * bool(fields & _HAS_AMPLITUDE)
    return status + _SENSOR_LENGTH * bool(fields & _HAS_SENSOR) + amplitude


_SPOT_LENGTHS: Final = tuple(
    _HEAD.size + DATE_TIME_LENGTH * (flags & 1) + _tail_length(flags >> 1) for flags in range(16)
)
_CONTINUOUS_LENGTHS: Final = tuple(
    _HEAD.size
    + _PAIR_LENGTH * (bool(flags & _HAS_FAST) + bool(flags & _HAS_SLOW))
    + _tail_length(flags >> 2)
    for flags in range(32)
)

# PLXS 3.1.1.5 Measurement Status; bits 0 to 4 are reserved.
_STATUS_FLAGS: Final = {
    5: Flag.ONGOING,
    6: Flag.EARLY,
    7: Flag.VALIDATED,
    8: Flag.FULLY_QUALIFIED,
    9: Flag.FROM_STORAGE,
    10: Flag.DEMO,
    11: Flag.TEST,
    12: Flag.CALIBRATING,
    13: Flag.UNAVAILABLE,
    14: Flag.QUESTIONABLE,
    15: Flag.INVALID,
}
# PLXS 3.1.1.6 Device and Sensor Status; bit 0 (extended display update) says nothing of the
# number, bits 16 to 23 are reserved. SENSOR_OFF = not on the user; SENSOR_FAULT = missing,
# unknown or broken.
_SENSOR_FLAGS: Final = {
    1: Flag.SENSOR_FAULT,  # equipment malfunction
    2: Flag.SIGNAL_POOR,  # signal processing irregularity
    3: Flag.SIGNAL_POOR,  # inadequate signal
    4: Flag.SIGNAL_POOR,  # poor signal
    5: Flag.LOW_PERFUSION,
    6: Flag.SIGNAL_POOR,  # erratic signal
    7: Flag.SIGNAL_POOR,  # non-pulsatile signal
    8: Flag.QUESTIONABLE,  # questionable pulse
    9: Flag.ONGOING,  # signal analysis ongoing
    10: Flag.SIGNAL_POOR,  # sensor interference
    11: Flag.SENSOR_OFF,  # sensor unconnected to user
    12: Flag.SENSOR_FAULT,  # unknown sensor connected
    13: Flag.SENSOR_OFF,  # sensor displaced
    14: Flag.SENSOR_FAULT,  # sensor malfunctioning
    15: Flag.SENSOR_FAULT,  # sensor disconnected
}
_UNAVAILABLE: Final = int(Flag.UNAVAILABLE)
_INVALID: Final = int(Flag.INVALID)


def _spot_check(value: bytes) -> tuple[Reading, ...]:
    flags, spo2, pulse = _head("0x2A5E", value)
    check_length("0x2A5E", value, _SPOT_LENGTHS[flags & 0b1111])
    time, status, at = None, 0, _HEAD.size
    if flags & _SPOT_HAS_TIME:
        time, status = date_time(value, at)
        at += DATE_TIME_LENGTH
    if flags & _SPOT_CLOCK_UNSET:
        status |= CLOCK_UNSET
    return _readings(value, at, flags >> 1, (spo2, pulse), time, status)


def _continuous(value: bytes) -> tuple[Reading, ...]:
    flags, spo2, pulse = _head("0x2A5F", value)
    check_length("0x2A5F", value, _CONTINUOUS_LENGTHS[flags & 0b11111])
    pairs = bool(flags & _HAS_FAST) + bool(flags & _HAS_SLOW)
    return _readings(value, _HEAD.size + _PAIR_LENGTH * pairs, flags >> 2, (spo2, pulse), None, 0)


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    "0x2A5E": _spot_check,
    "0x2A5F": _continuous,
    _racp.CHANNEL: _racp.no_readings,
}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one value of a characteristic of CHARACTERISTICS."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def dialogue(options: Options, bookmarks: Bookmarks) -> Dialogue:
    """Make the conversation that fetches the memory of one oximeter."""
    check_options("pulse_oximeter", options)
    return SpotChecks(bookmarks, decode)


def _head(name: str, value: bytes) -> tuple[int, int, int]:
    check_at_least(name, value, _HEAD.size)
    flags, spo2, pulse = _HEAD.unpack_from(value)
    return flags, spo2, pulse


def _readings(
    value: bytes,
    at: int,
    fields: int,
    words: tuple[int, int],
    time: DeviceTime | None,
    status: int,
) -> tuple[Reading, ...]:
    """Build the readings; the last three fields start at ``at``, ``fields`` says which exist."""
    if fields & _HAS_STATUS:
        status |= _measurement_status(_U16.unpack_from(value, at)[0])
        at += 2
    if fields & _HAS_SENSOR:
        status |= _sensor_status(value[at] | value[at + 1] << 8)
        at += _SENSOR_LENGTH
    numbers = [("spo2", words[0], "%"), ("pulse_rate_oximeter", words[1], "/min")]
    if fields & _HAS_AMPLITUDE:
        numbers.append(("perfusion_index", _U16.unpack_from(value, at)[0], "%"))
    reason = _reason(status)
    readings = []
    for metric, word, unit in numbers:
        number, raw, raw_unit = sfloat_number(word, unit, reason)
        readings.append(Reading(metric, number, unit, raw, raw_unit, time, status))
    return tuple(readings)


def _reason(status: int) -> Absent | None:
    """Why the numbers of a value are withheld, None when they are not."""
    if status & _INVALID:
        return Absent.INVALID
    return off_patient(status) or (Absent.NOT_MEASURED if status & _UNAVAILABLE else None)


@lru_cache(maxsize=1024)
def _measurement_status(word: int) -> int:
    return _flags(word, _STATUS_FLAGS)


@lru_cache(maxsize=1024)
def _sensor_status(word: int) -> int:
    return _flags(word, _SENSOR_FLAGS)


def _flags(word: int, table: Mapping[int, Flag]) -> int:
    flags = 0
    for bit, flag in table.items():
        if word >> bit & 1:
            flags |= int(flag)
    return flags
