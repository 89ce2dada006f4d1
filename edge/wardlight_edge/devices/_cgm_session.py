"""What a continuous glucose monitor says of its session, beside its measurements.

In      0x2AA8 feature, 6 bytes: features u24 | type and location u8 | CRC, 0xFFFF where the device
        supports none
        0x2AAA session start, 9 bytes: date time 7 | time zone s8 | DST u8
        0x2AAB run time, 2 bytes: hours u16
        0x2AA9 status, 5 bytes: offset u16 min | status u24
        0x2AAC control point: op code u8 | operand; read only, "get interval" is all that is asked
        all but the first may have a CRC behind them
Errors  DecodeError: another length, a wrong CRC
Source  Bluetooth CGMS 1.0.2, 3.2 to 3.8; GSS Time Zone, DST Offset
"""

from struct import Struct
from typing import Final

import msgspec

from wardlight_edge.devices._e2e_crc import crc16, with_crc, without_crc
from wardlight_edge.devices._gatt import DATE_TIME_LENGTH, check_length, date_time
from wardlight_edge.devices.current_time import decode as decode_clock
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceTime

FEATURE: Final = "0x2AA8"
STATUS: Final = "0x2AA9"
START: Final = "0x2AAA"
RUN_TIME: Final = "0x2AAB"
OPERATIONS: Final = "0x2AAC"

_FEATURE_LENGTH: Final = 6
_HAS_CRC: Final = 1 << 12
_NO_CRC: Final = 0xFFFF
_START_LENGTH: Final = 9
_STATUS: Final = Struct("<HBH")
_U16: Final = Struct("<H")
_GET_INTERVAL: Final = 0x02
_INTERVAL: Final = 0x03
# CGMS 3.8.2: op codes of answers and the octets of their operands.
_ANSWERS: Final = {0x03: 1, 0x06: 10, 0x09: 2, 0x0C: 2, 0x0F: 2, 0x12: 2, 0x15: 2, 0x18: 2, 0x1C: 2}
_INTERVALS: Final = range(1, 255)  # 0 = no periodic measurement, 255 = as fast as it can


class Start(msgspec.Struct, frozen=True):
    """When a session began. ``time`` None: nobody has told the device."""

    octets: bytes
    time: DeviceTime | None


def decode_feature(value: bytes) -> bool:
    """Whether the device puts a CRC behind its values."""
    check_length(FEATURE, value, _FEATURE_LENGTH)
    has_crc = bool(int.from_bytes(value[:3], "little") & _HAS_CRC)
    crc = int.from_bytes(value[4:], "little")
    if crc != (crc16(value[:4]) if has_crc else _NO_CRC):
        raise DecodeError(f"{FEATURE}: wrong E2E-CRC")
    return has_crc


def decode_start(value: bytes) -> Start:
    """When the session began, with the zone of that time where it is known."""
    octets, _ = without_crc(START, value, _START_LENGTH)
    time, unset = date_time(octets, 0)
    if time is None or unset:
        return Start(octets, None)
    zone = decode_clock("0x2A0F", octets[DATE_TIME_LENGTH:])
    if zone.zone_min is None or zone.dst_min is None:
        return Start(octets, time)
    return Start(octets, msgspec.structs.replace(time, offset_min=zone.zone_min + zone.dst_min))


def decode_run_time(value: bytes) -> int:
    """How long a sensor is meant to run, in hours."""
    octets, _ = without_crc(RUN_TIME, value, _U16.size)
    return int(_U16.unpack(octets)[0])


def decode_status(value: bytes) -> int:
    """How long the session has run now, in minutes."""
    octets, _ = without_crc(STATUS, value, _STATUS.size)
    return int(_STATUS.unpack(octets)[0])


def decode_operation(value: bytes) -> int | None:
    """The minutes between two measurements, where that is what is answered and they are fixed."""
    operand = _ANSWERS.get(value[0]) if value else None
    if operand is None:
        raise DecodeError(f"{OPERATIONS}: {len(value)} bytes are no answer of a control point")
    octets, _ = without_crc(OPERATIONS, value, 1 + operand)
    is_interval = octets[0] == _INTERVAL and octets[1] in _INTERVALS
    return octets[1] if is_interval else None


def get_interval(has_crc: bool) -> bytes:
    """Ask for the minutes between two measurements."""
    request = bytes([_GET_INTERVAL])
    return with_crc(request) if has_crc else request
