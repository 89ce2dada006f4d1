"""Viatom and Wellue O2Ring, Checkme O2: live values, and the files they store.

In      0734594A-A8E7-4B1A-A6B1-CD5243059A57, a reply: 55 | result u8 | its complement | block u16
        | length u16 | data | CRC-8 (polynomial 07) of all before. The assembler joins the
        notifications of a reply. The data of ``live_request`` are 13 octets: SpO2, pulse rate,
        5 unused, battery %, charging, motion, signal strength, finger, 1 unused
        "vld-file", a stored file of version 3: header of 40 octets (version u16 | year u16, month,
        day, hour, minute, second | size u32 | duration u16 s | ...) and records of 5: SpO2, pulse
        rate, invalid, motion, vibration; one in 2 or 4 s
Out     spo2 in % and pulse_rate_oximeter in /min. Without a finger SENSOR_OFF; SpO2 255, 127 and
        pulse rate 255, 511 are NOT_MEASURED, SpO2 over 100 INVALID. Live: battery, motion and
        strength are context, for what they count is not documented. Stored: each record with its
        time and FROM_STORAGE; a record that is marked invalid is INVALID
        (): a reply to another request
Errors  DecodeError: no reply, a wrong CRC, the ring refused; a file of another version, with half
        a record, or whose duration does not fit the number of its records
Source  MackeyStingray/o2r (o2pkt.py, o2state.py, o2file.py): frames and recorded live data
Vectors tests/vectors/viatom_o2.toml
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from struct import Struct
from typing import Final

from wardlight_edge.devices._asking import Asking, check_no_options
from wardlight_edge.devices._base import Options
from wardlight_edge.devices._dialogue import Bookmarks
from wardlight_edge.devices._gatt import check_at_least, check_length, date_time, decode_value
from wardlight_edge.devices._oximetry import pulse_rate, saturation
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Absent, DeviceTime, Flag, Reading

_WRITE: Final = "8B00ACE7-EB0B-49B0-BBE9-9AEE0A26E1A3"
_REPLY: Final = "0734594A-A8E7-4B1A-A6B1-CD5243059A57"
_FILE: Final = "vld-file"
_HEAD: Final = Struct("<BBBHH")
_REQUEST, _IS_REPLY = 0xAA, 0x55
_READ_LIVE: Final = 0x17
_LIVE: Final = Struct("<BB5xBBBBBx")
_MOST_DATA: Final = 4096
_MISSING: Final = 255
_FILE_HEAD: Final = Struct("<H7xIH")
_FILE_HEAD_BYTES: Final = 40
_FILE_TIME_AT: Final = 2
_RECORD: Final = Struct("<BBBBB")
_INTERVALS_S: Final = (2, 4)
_MOST_FILE: Final = 1 << 20
_VERSION: Final = 3
_ASK_EVERY_MS: Final = 2000  # as o2r does

CONTROL_POINTS: Final = frozenset({_REPLY})
"""A profile that subscribes it has the ring asked for its live values."""


def live_request() -> bytes:
    """Ask for the live values; the ring answers at once, and only when asked."""
    head = _HEAD.pack(_REQUEST, _READ_LIVE, _READ_LIVE ^ 0xFF, 0, 0)
    return head + bytes((crc8(head),))


def crc8(octets: bytes) -> int:
    """CRC-8 with polynomial 07 and initial value 0."""
    crc = 0
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc


def _reply(value: bytes) -> tuple[Reading, ...]:
    check_at_least(_REPLY, value, _HEAD.size + 1)
    start, result, complement, _, length = _HEAD.unpack_from(value)
    if start != _IS_REPLY or result ^ complement != 0xFF:
        raise DecodeError(f"{_REPLY}: no reply begins here")
    check_length(_REPLY, value, _HEAD.size + length + 1)
    if crc8(value[:-1]) != value[-1]:
        raise DecodeError(f"{_REPLY}: wrong CRC")
    if result:
        raise DecodeError(f"{_REPLY}: the ring refused with code {result}")
    return _live(value[_HEAD.size : -1]) if length == _LIVE.size else ()


def _live(data: bytes) -> tuple[Reading, ...]:
    spo2, pulse, battery, charging, motion, strength, finger = _LIVE.unpack(data)
    is_off = not finger
    context = (
        ("battery-percent", str(battery)),
        ("charging", "yes" if charging else "no"),
        ("motion", str(motion)),
        ("signal-strength", str(strength)),
    )
    flags = int(Flag.SENSOR_OFF) if is_off else 0
    return _pair(spo2, pulse, Absent.SENSOR_OFF if is_off else None, None, flags, context)


def _file(value: bytes) -> tuple[Reading, ...]:
    check_at_least(_FILE, value, _FILE_HEAD_BYTES)
    if len(value) > _MOST_FILE:
        raise DecodeError(f"{_FILE}: {len(value)} bytes, at most {_MOST_FILE}")
    version, _, duration_s = _FILE_HEAD.unpack_from(value)
    if version != _VERSION:
        raise DecodeError(f"{_FILE}: version {version}, this program reads version {_VERSION}")
    count, rest = divmod(len(value) - _FILE_HEAD_BYTES, _RECORD.size)
    if rest:
        raise DecodeError(f"{_FILE}: ends inside record {count + 1}")
    interval_s = next((each for each in _INTERVALS_S if each * count == duration_s), None)
    if interval_s is None:
        raise DecodeError(f"{_FILE}: {count} records do not fit a duration of {duration_s} s")
    return tuple(_records(value, interval_s))


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    _REPLY: _reply,
    _FILE: _file,
}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one whole reply or file."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def dialogue(options: Options, bookmarks: Bookmarks) -> Asking:
    """Make the dialogue that asks for the live values."""
    del bookmarks
    check_no_options("viatom_o2", options)
    return Asking(_WRITE, live_request(), every_ms=_ASK_EVERY_MS)


def assembler() -> "ReplyAssembler":
    """Make the assembler of one link."""
    return ReplyAssembler()


class ReplyAssembler:
    """Joins the notifications of one reply."""

    def __init__(self) -> None:
        self._begun = b""

    def take(self, characteristic: str, segment: bytes) -> bytes | None:
        """Take one notification; return the whole reply."""
        if characteristic != _REPLY:
            return segment
        octets, self._begun = self._begun + segment, b""
        if len(octets) >= _HEAD.size:
            start, result, complement, _, length = _HEAD.unpack_from(octets)
            if start != _IS_REPLY or result ^ complement != 0xFF or length > _MOST_DATA:
                raise DecodeError(f"{_REPLY}: no reply begins here")
            if len(octets) >= _HEAD.size + length + 1:
                return octets
        self._begun = octets
        return None


def _records(value: bytes, interval_s: int) -> Iterator[Reading]:
    begun, flags = date_time(value, _FILE_TIME_AT)
    flags |= int(Flag.FROM_STORAGE)
    for number, at in enumerate(range(_FILE_HEAD_BYTES, len(value), _RECORD.size)):
        spo2, pulse, invalid, _, _ = _RECORD.unpack_from(value, at)
        reason = Absent.INVALID if invalid else None
        time = None if begun is None else _later(begun, number * interval_s)
        yield from _pair(spo2, pulse, reason, time, flags, ())


def _later(begun: DeviceTime, seconds: int) -> DeviceTime:
    if not begun.year or not begun.month or not begun.day:
        return begun
    start = datetime(begun.year, begun.month, begun.day, begun.hour, begun.minute, begun.second)  # noqa: DTZ001 - device wall clock
    try:
        moment = start + timedelta(seconds=seconds)
    except OverflowError:
        return begun
    day = (moment.year, moment.month, moment.day)
    return DeviceTime(*day, moment.hour, moment.minute, moment.second)


def _pair(
    spo2: int,
    pulse: int,
    reason: Absent | None,
    time: DeviceTime | None,
    flags: int,
    context: tuple[tuple[str, str], ...],
) -> tuple[Reading, ...]:
    numbers = (
        ("spo2", saturation(127 if spo2 == _MISSING else spo2, 127, reason), "%"),
        ("pulse_rate_oximeter", pulse_rate(pulse, _MISSING, reason), "/min"),
    )
    return tuple(
        Reading(metric, number, unit, raw, raw_unit, time, flags, context=context)
        for metric, (number, raw, raw_unit), unit in numbers
    )
