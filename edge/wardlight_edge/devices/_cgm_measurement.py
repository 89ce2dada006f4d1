"""CGM Measurement 0x2AA7: the records of one notification.

In, Out, Errors  see cgm.py
Source           Bluetooth CGMS 1.0.2, 3.1; GSS CGM Measurement
"""

from decimal import Decimal
from functools import lru_cache
from operator import lshift
from struct import Struct
from typing import Final

import msgspec

from wardlight_edge.devices._e2e_crc import without_crc
from wardlight_edge.devices._gatt import number
from wardlight_shared.errors import DecodeError
from wardlight_shared.floats import sfloat_from_word
from wardlight_shared.model import Absent, DeviceTime, Flag, Reading

CHANNEL: Final = "0x2AA7"
_HEAD: Final = Struct("<BBHH")
_HAS_TREND, _HAS_QUALITY = 0b01, 0b10
# Flag bit, and how far its octet is shifted in the status of 24 bits; in the order they come.
_STATUS_OCTETS: Final = ((1 << 7, 0), (1 << 6, 8), (1 << 5, 16))


def _layout(flags: int) -> tuple[Struct, tuple[int, ...]]:
    """The fields of a record without its CRC, and how far its status octets are shifted."""
    shifts = tuple(shift for bit, shift in _STATUS_OCTETS if flags & bit)
    words = bool(flags & _HAS_TREND) + bool(flags & _HAS_QUALITY)
    return Struct(f"{_HEAD.format}{len(shifts)}B{words}H"), shifts


_LAYOUTS: Final = tuple(map(_layout, range(256)))

# GSS CGM Measurement, Sensor Status Annunciation; what is not listed says nothing of the number.
_STATUS_FLAGS: Final = {
    0: Flag.QUESTIONABLE,  # session stopped
    1: Flag.BATTERY_LOW,
    2: Flag.INVALID,  # sensor type incorrect for the device
    3: Flag.SENSOR_FAULT,  # sensor malfunction
    4: Flag.DEVICE_ALARM,  # device specific alert
    5: Flag.SENSOR_FAULT,  # general device fault
    8: Flag.TIME_UNCERTAIN,  # time synchronisation required
    11: Flag.QUESTIONABLE,  # calibration required
    12: Flag.INVALID,  # sensor temperature too high for a valid result
    13: Flag.INVALID,  # sensor temperature too low for a valid result
    16: Flag.DEVICE_ALARM,  # below the patient's low level
    17: Flag.DEVICE_ALARM,  # above the patient's high level
    18: Flag.DEVICE_ALARM,  # below the hypo level
    19: Flag.DEVICE_ALARM,  # above the hyper level
    20: Flag.DEVICE_ALARM,  # falls too fast
    21: Flag.DEVICE_ALARM,  # rises too fast
}
_TOO_LOW: Final = 1 << 22
_TOO_HIGH: Final = 1 << 23
_WITHHELD: Final = int(Flag.INVALID | Flag.SENSOR_FAULT)


class CgmRecord(msgspec.Struct, frozen=True):
    """One measurement; words are SFLOAT-Type.

    offset  minutes since the session began
    status  the three status octets, 0 where not sent
    """

    offset: int
    concentration: int
    status: int
    trend: int | None
    quality: int | None
    has_crc: bool


def records_in(value: bytes) -> list[bytes]:
    """Cut a notification into its records, each with its size octet first."""
    records = []
    at = 0
    while at < len(value):
        size = value[at]
        if size < _HEAD.size or at + size > len(value):
            raise DecodeError(f"{CHANNEL}: byte {at} is no size of a record")
        records.append(value[at : at + size])
        at += size
    if not records:
        raise DecodeError(f"{CHANNEL}: 0 bytes, need at least {_HEAD.size}")
    return records


def decode_record(value: bytes) -> CgmRecord:
    """Decode one record."""
    flags = value[1]
    layout, shifts = _LAYOUTS[flags]
    fields, has_crc = without_crc(CHANNEL, value, layout.size)
    _, _, concentration, offset, *more = layout.unpack(fields)
    quality = more.pop() if flags & _HAS_QUALITY else None
    trend = more.pop() if flags & _HAS_TREND else None
    status = sum(map(lshift, more, shifts))
    return CgmRecord(offset, concentration, status, trend, quality, has_crc)


def reading_of(record: CgmRecord, time: DeviceTime | None = None, more_flags: int = 0) -> Reading:
    """The reading of a record measured at ``time``."""
    flags = _flags(record.status)
    value = sfloat_from_word(record.concentration)
    reason = _reason(record.status, flags)
    if reason is None and isinstance(value, Decimal) and value <= 0:
        reason = Absent.NOT_MEASURED
    amount, raw, raw_unit = number(value, "mg/dL", reason)
    context = (*_said("trend-mg-dl-min", record.trend), *_said("quality-percent", record.quality))
    return Reading(
        "glucose_cgm",
        amount,
        "mg/dL",
        raw,
        raw_unit,
        time,
        flags | more_flags,
        record=record.offset,
        context=context,
    )


@lru_cache(maxsize=1024)
def _flags(status: int) -> int:
    flags = 0
    for bit, flag in _STATUS_FLAGS.items():
        if status >> bit & 1:
            flags |= int(flag)
    return flags


def _reason(status: int, flags: int) -> Absent | None:
    """Why the number is withheld, None when it is not."""
    if flags & _WITHHELD:
        return Absent.SENSOR_FAULT if flags & Flag.SENSOR_FAULT else Absent.INVALID
    if status & _TOO_HIGH:
        return Absent.OVER_RANGE
    return Absent.UNDER_RANGE if status & _TOO_LOW else None


@lru_cache(maxsize=4096)
def _said(name: str, word: int | None) -> tuple[tuple[str, str], ...]:
    value = None if word is None else sfloat_from_word(word)
    return ((name, f"{value:f}"),) if isinstance(value, Decimal) else ()
