"""Nonin's own oximetry service: 3230, 3231 and WristOx2 3150 over Bluetooth LE.

In      one value of 0AAD7EA0-0D60-11E2-8E3C-0002A5D5C51B, once a second, 10 bytes or more, high
        bytes first: length u8 | status u8 | battery u8 0.1 V | pulse amplitude u16 0.01 % |
        counter u16 | SpO2 u8 | pulse rate u16
        status b1 weak signal, b2 SmartPoint passed, b3 searching for a pulse, b4 sensor on the
        finger, b5 battery low, b6 link encrypted; the others are ignored
Out     spo2 in %, pulse_rate_oximeter in /min, perfusion_index in %. SpO2 127 and pulse rate 511
        are NOT_MEASURED, SpO2 101 to 126 INVALID. Status bits are flags of every reading; off the
        finger all three are SENSOR_OFF (_oximetry), with the number kept in raw_value
Errors  DecodeError: a length that is not what the first byte says, or below 10
Source  Nonin 113142-000-02 rev. B (Bluetooth LE), as read by maurovm/swift-async_pulse_ox and
        andreasdri/nonin-3230-ble
Vectors tests/vectors/nonin_oximetry.toml
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final

from wardlight_edge.devices._gatt import (
    check_at_least,
    check_length,
    decode_value,
    nonzero,
    number,
)
from wardlight_edge.devices._oximetry import off_patient, pulse_rate, saturation
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import Flag, Reading

_VALUE: Final = "0AAD7EA0-0D60-11E2-8E3C-0002A5D5C51B"
_LAYOUT: Final = Struct(">BBBHHBH")
_SPO2_MISSING: Final = 127
_PULSE_MISSING: Final = 511
_ON_FINGER: Final = 1 << 4
_FLAGS: Final[Mapping[int, Flag]] = {
    1: Flag.LOW_PERFUSION,
    2: Flag.VALIDATED,
    3: Flag.OUT_OF_TRACK,
    5: Flag.BATTERY_LOW,
}


def _measurement(value: bytes) -> tuple[Reading, ...]:
    check_at_least(_VALUE, value, _LAYOUT.size)
    length, status, _, amplitude, _, spo2, pulse = _LAYOUT.unpack_from(value)
    check_length(_VALUE, value, length)
    flags = sum(int(flag) for bit, flag in _FLAGS.items() if status >> bit & 1)
    flags |= 0 if status & _ON_FINGER else int(Flag.SENSOR_OFF)
    reason = off_patient(flags)
    perfusion = decimal_from_parts(amplitude, -2)
    numbers = (
        ("spo2", saturation(spo2, _SPO2_MISSING, reason), "%"),
        ("pulse_rate_oximeter", pulse_rate(pulse, _PULSE_MISSING, reason), "/min"),
        (
            "perfusion_index",
            number(perfusion, "%", reason) if reason else nonzero(perfusion, "%"),
            "%",
        ),
    )
    return tuple(
        Reading(metric, found, unit, raw, raw_unit, flags=flags)
        for metric, (found, raw, raw_unit), unit in numbers
    )


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    _VALUE: _measurement
}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one value of a characteristic of CHARACTERISTICS."""
    return decode_value(CHARACTERISTICS, characteristic, value)
