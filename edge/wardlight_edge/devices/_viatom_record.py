"""A file that a Viatom ring stores, and the numbers of a ring: saturation and pulse rate.

In      a file of version 3: header of 40 octets (version u16 | year u16, month, day, hour, minute,
        second | size u32 | duration u16 s | ...) and records of 5: SpO2, pulse rate, invalid,
        motion, vibration; one in 4 s, or each twice in 2 s and counted once in the size
Out     FileRecord: spo2 in % and pulse_rate_oximeter in /min with their time and FROM_STORAGE; 255
        is NOT_MEASURED, SpO2 over 100 INVALID, a record that is marked invalid INVALID
Errors  DecodeError: a file of another version, with half a record, or whose duration or size does
        not fit the number of its records
Source  MackeyStingray/o2r, o2file.py; OSCAR, viatom_loader.cpp (what the size counts)
"""

from datetime import datetime, timedelta
from struct import Struct
from typing import Final

import msgspec

from wardlight_edge.devices._gatt import check_at_least, date_time
from wardlight_edge.devices._oximetry import pulse_rate, saturation
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Absent, DeviceTime, Flag, Reading

FILE: Final = "vld-file"
MOST_FILE: Final = 1 << 20
_MISSING: Final = 255
_HEAD: Final = Struct("<H7xIH")
_HEAD_BYTES: Final = 40
_TIME_AT: Final = 2
_RECORD: Final = Struct("<BBBBB")
_INTERVALS_S: Final = (2, 4)
_VERSION: Final = 3


class FileRecord(msgspec.Struct, frozen=True):
    """What the ring stored of one moment, and its octets."""

    readings: tuple[Reading, ...]
    octets: bytes


def records_of(value: bytes) -> tuple[FileRecord, ...]:
    """Decode a whole file."""
    check_at_least(FILE, value, _HEAD_BYTES)
    if len(value) > MOST_FILE:
        raise DecodeError(f"{FILE}: {len(value)} bytes, at most {MOST_FILE}")
    version, size, duration_s = _HEAD.unpack_from(value)
    if version != _VERSION:
        raise DecodeError(f"{FILE}: version {version}, this program reads version {_VERSION}")
    count, rest = divmod(len(value) - _HEAD_BYTES, _RECORD.size)
    if rest:
        raise DecodeError(f"{FILE}: ends inside record {count + 1}")
    interval_s = next((each for each in _INTERVALS_S if each * count == duration_s), None)
    if interval_s is None:
        raise DecodeError(f"{FILE}: {count} records do not fit a duration of {duration_s} s")
    counted = count // 2 if interval_s == _INTERVALS_S[0] else count
    if size not in {len(value), _HEAD_BYTES + counted * _RECORD.size}:
        raise DecodeError(f"{FILE}: {len(value)} bytes, its head says {size}")
    begun, flags = date_time(value, _TIME_AT)
    flags |= int(Flag.FROM_STORAGE)
    return tuple(
        _record(value[at : at + _RECORD.size], _later(begun, number * interval_s), flags)
        for number, at in enumerate(range(_HEAD_BYTES, len(value), _RECORD.size))
    )


def pair(
    spo2: int,
    pulse: int,
    reason: Absent | None,
    time: DeviceTime | None,
    flags: int,
    context: tuple[tuple[str, str], ...],
) -> tuple[Reading, ...]:
    """The two numbers of a ring, withheld for ``reason``."""
    numbers = (
        ("spo2", saturation(127 if spo2 == _MISSING else spo2, 127, reason), "%"),
        ("pulse_rate_oximeter", pulse_rate(pulse, _MISSING, reason), "/min"),
    )
    return tuple(
        Reading(metric, number, unit, raw, raw_unit, time, flags, context=context)
        for metric, (number, raw, raw_unit), unit in numbers
    )


def _record(octets: bytes, time: DeviceTime | None, flags: int) -> FileRecord:
    spo2, pulse, invalid, _, _ = _RECORD.unpack(octets)
    reason = Absent.INVALID if invalid else None
    return FileRecord(pair(spo2, pulse, reason, time, flags, ()), octets)


def _later(begun: DeviceTime | None, seconds: int) -> DeviceTime | None:
    if begun is None or not begun.year or not begun.month or not begun.day:
        return begun
    start = datetime(begun.year, begun.month, begun.day, begun.hour, begun.minute, begun.second)  # noqa: DTZ001 - device wall clock
    try:
        moment = start + timedelta(seconds=seconds)
    except OverflowError:
        return begun
    day = (moment.year, moment.month, moment.day)
    return DeviceTime(*day, moment.hour, moment.minute, moment.second)
