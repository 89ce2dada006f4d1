"""Glucose Measurement 0x2A18: one record of a meter.

In, Out, Errors  see glucose.py
Source           Bluetooth GLS 1.0.1, 3.1; GSS Glucose Measurement
"""

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Final

import msgspec

from wardlight_edge.devices._gatt import (
    Number,
    check_at_least,
    check_length,
    date_time,
    number,
)
from wardlight_edge.devices._glucose_context import FASTING, KETONE, MEAL, Context
from wardlight_edge.devices._shifted_time import shifted
from wardlight_edge.devices._units import convert, is_permitted
from wardlight_shared.floats import sfloat_from_word
from wardlight_shared.model import Absent, DeviceTime, Flag, Reading

_HEAD: Final = Struct("<BH")
_TIME_AT: Final = 3
_BASE_LENGTH: Final = 10
_OFFSET: Final = Struct("<h")
_SAMPLE: Final = Struct("<HB")
_STATUS: Final = Struct("<H")
_HAS_OFFSET, _HAS_CONCENTRATION, _IS_MOLES, _HAS_STATUS, _CONTEXT_FOLLOWS = (
    1 << bit for bit in range(5)
)
_LENGTHS: Final = tuple(
    _BASE_LENGTH
    + _OFFSET.size * bool(flags & _HAS_OFFSET)
    + _SAMPLE.size * bool(flags & _HAS_CONCENTRATION)
    + _STATUS.size * bool(flags & _HAS_STATUS)
    for flags in range(16)
)
_NO_OFFSET: Final = frozenset({0x7FFF, -0x8000})  # GSS: overrun, underrun

_UNKNOWN_BLOOD: Final = "glucose_undetermined_whole_blood"
_CONTROL_TYPE: Final = 10
_CONTROL_LOCATION: Final = 4
# GSS Glucose Measurement, Type: metric, and what the metric does not say of the sample.
_TYPES: Final[Mapping[int, tuple[str, str | None]]] = {
    1: ("glucose_capillary_whole_blood", None),
    2: ("glucose_capillary_plasma", None),
    3: (_UNKNOWN_BLOOD, "venous-whole-blood"),
    4: ("glucose_undetermined_plasma", "venous-plasma"),
    5: (_UNKNOWN_BLOOD, "arterial-whole-blood"),
    6: ("glucose_undetermined_plasma", "arterial-plasma"),
    7: (_UNKNOWN_BLOOD, None),
    8: ("glucose_undetermined_plasma", None),
    9: ("glucose_cgm", None),  # interstitial fluid
    _CONTROL_TYPE: (_UNKNOWN_BLOOD, "control-solution"),
}
_SITES: Final = {1: "finger", 2: "alternate-site", 3: "earlobe"}

# GSS Glucose Measurement, Sensor Status Annunciation; bits 12 to 15 are reserved.
_STATUS_FLAGS: Final = {
    0: Flag.BATTERY_LOW,
    1: Flag.SENSOR_FAULT,  # malfunction or fault at the time of measurement
    2: Flag.INVALID,  # sample size insufficient
    3: Flag.INVALID,  # strip insertion error
    4: Flag.INVALID,  # strip type incorrect
    7: Flag.INVALID,  # temperature too high for a valid result
    8: Flag.INVALID,  # temperature too low for a valid result
    9: Flag.INVALID,  # read interrupted: strip pulled too soon
    10: Flag.SENSOR_FAULT,  # general device fault
    11: Flag.TIME_UNCERTAIN,  # time fault
}
_TOO_HIGH: Final = 1 << 5
_TOO_LOW: Final = 1 << 6
_WITHHELD: Final = int(Flag.INVALID | Flag.SENSOR_FAULT)


class Measurement(msgspec.Struct, frozen=True):
    """One record, before its context is known.

    place  bits of status that say on which side of the device's range the value is
    """

    sequence: int
    awaits_context: bool
    time: DeviceTime | None
    flags: int
    place: int
    concentration: tuple[int, int, bool] | None
    """SFLOAT-Type word, type and location octet, whether it counts moles."""


def decode_measurement(value: bytes) -> Measurement:
    """Decode one value of 0x2A18."""
    check_at_least("0x2A18", value, _BASE_LENGTH)
    flags, sequence = _HEAD.unpack_from(value)
    check_length("0x2A18", value, _LENGTHS[flags & 0b1111])
    time, status, at = *date_time(value, _TIME_AT), _BASE_LENGTH
    if flags & _HAS_OFFSET:
        time, uncertain = _with_offset(time, _OFFSET.unpack_from(value, at)[0])
        status |= uncertain
        at += _OFFSET.size
    concentration = None
    if flags & _HAS_CONCENTRATION:
        concentration = (*_SAMPLE.unpack_from(value, at), bool(flags & _IS_MOLES))
        at += _SAMPLE.size
    word = _STATUS.unpack_from(value, at)[0] if flags & _HAS_STATUS else 0
    awaits = bool(flags & _CONTEXT_FOLLOWS)
    return Measurement(sequence, awaits, time, status | _flags(word), word, concentration)


def readings_of(
    measurement: Measurement, context: Context | None = None, more_flags: int = 0
) -> tuple[Reading, ...]:
    """The reading of a record with what is known beside it."""
    pairs = () if context is None else context.pairs
    said = dict(pairs)
    word, sample, is_moles = measurement.concentration or (None, 0, False)
    kind, location = sample & 0xF, sample >> 4
    metric, specimen = _TYPES.get(kind, (_UNKNOWN_BLOOD, None))
    flags = measurement.flags | more_flags
    if kind == _CONTROL_TYPE or location == _CONTROL_LOCATION:
        flags |= int(Flag.TEST)
    reason = Absent.INVALID if said.get(MEAL) == KETONE else _reason(measurement)
    if metric == "glucose_capillary_whole_blood" and said.get(MEAL) == FASTING and not is_moles:
        metric = "glucose_fasting_capillary"
    unit = "mmol/L" if is_moles and is_permitted(metric, "mmol/L") else "mg/dL"
    amount, raw, raw_unit = (
        (reason or Absent.NOT_MEASURED, None, None)
        if word is None
        else _concentration(word, "mol/L" if is_moles else "kg/L", unit, reason)
    )
    if specimen is not None:
        pairs = (("sample", specimen), *pairs)
    return (
        Reading(
            metric,
            amount,
            unit,
            raw,
            raw_unit,
            measurement.time,
            flags,
            site=_SITES.get(location),
            record=measurement.sequence,
            context=pairs,
        ),
    )


def _with_offset(time: DeviceTime | None, minutes: int) -> tuple[DeviceTime | None, int]:
    """Base time and offset as one time; where there is none, the base time and a flag."""
    if time is None or minutes == 0:
        return time, 0
    moved = None if minutes in _NO_OFFSET else shifted(time, minutes)
    return (time, int(Flag.TIME_UNCERTAIN)) if moved is None else (moved, 0)


@lru_cache(maxsize=1024)
def _flags(word: int) -> int:
    flags = 0
    for bit, flag in _STATUS_FLAGS.items():
        if word >> bit & 1:
            flags |= int(flag)
    return flags


def _reason(measurement: Measurement) -> Absent | None:
    """Why the number is withheld, None when it is not."""
    if measurement.flags & _WITHHELD:
        return Absent.INVALID
    if measurement.place & _TOO_HIGH:
        return Absent.OVER_RANGE
    return Absent.UNDER_RANGE if measurement.place & _TOO_LOW else None


@lru_cache(maxsize=4096)
def _concentration(word: int, unit: str, to: str, reason: Absent | None) -> Number:
    value = sfloat_from_word(word)
    if isinstance(value, Absent):
        return number(value, unit)
    if reason is None and value > 0:
        return convert(value, unit, to), value, unit
    return number(value, unit, reason or Absent.NOT_MEASURED)
