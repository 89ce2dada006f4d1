"""Heart Rate: Heart Rate Measurement 0x2A37, with RR intervals.

In      one value of 2 bytes to the MTU:
        flags u8 | heart rate u8 or u16 | [energy expended u16 kJ] | [RR interval u16, 1/1024 s]*
        flags b0 heart rate is u16, b1-2 sensor contact (2 lost, 3 found, 0 and 1 unsupported),
        b3 energy, b4 RR intervals, oldest first
Out     heart_rate in /min, then one ppg_rr_interval in ms for each RR interval, exact
        (1/1024 s = 0.9765625 ms), with the count of 1/1024 s in raw_value.
        Contact lost flags every reading. A heart rate of 0 is NOT_MEASURED with the 0 kept raw:
        the service reserves no value, and straps send 0 while they find no beat; an RR interval
        of 0 likewise. Energy expended is no vital sign: it goes into the context, in kJ
Errors  DecodeError: length that the flags do not account for; a list cut at an interval (by a
        small MTU) is whole, one cut inside an interval is not
Source  Bluetooth HRS 1.0, 3.1; GSS Heart Rate Measurement
Vectors tests/vectors/heart_rate.toml
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from struct import Struct, unpack_from
from typing import Final

from wardlight_edge.devices._gatt import check_at_least, check_length, decode_value, nonzero
from wardlight_edge.devices._units import convert
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Absent, Flag, Reading

_U16: Final = Struct("<H")
_IS_U16: Final = 0b00001
_CONTACT: Final = 0b00110
_CONTACT_LOST: Final = 0b00100
_HAS_ENERGY: Final = 0b01000
_HAS_RR: Final = 0b10000
_FLAG_CONTACT_LOST: Final = int(Flag.CONTACT_LOST)
_RR_UNIT: Final = "s/1024"


def _measurement(value: bytes) -> tuple[Reading, ...]:
    check_at_least("0x2A37", value, 2)
    flags = value[0]
    intervals_at = 2 + (flags & _IS_U16) + 2 * bool(flags & _HAS_ENERGY)
    _check_intervals(value, flags, intervals_at)
    rate = _U16.unpack_from(value, 1)[0] if flags & _IS_U16 else value[1]
    status = _FLAG_CONTACT_LOST if flags & _CONTACT == _CONTACT_LOST else 0
    context: tuple[tuple[str, str], ...] = ()
    if flags & _HAS_ENERGY:
        context = (("energy-expended-kj", str(_U16.unpack_from(value, intervals_at - 2)[0])),)
    count = (len(value) - intervals_at) // 2
    words = unpack_from(f"<{count}H", value, intervals_at)
    number, raw, raw_unit = nonzero(Decimal(rate), "/min")
    heart_rate = Reading("heart_rate", number, "/min", raw, raw_unit, flags=status, context=context)
    return heart_rate, *[_rr_reading(word, status) for word in words]


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    "0x2A37": _measurement
}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one value of a characteristic of CHARACTERISTICS."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def _check_intervals(value: bytes, flags: int, start: int) -> None:
    if not flags & _HAS_RR:
        check_length("0x2A37", value, start)
        return
    check_at_least("0x2A37", value, start + 2)
    if (len(value) - start) % 2:
        raise DecodeError(f"0x2A37: {len(value)} bytes end inside an RR interval")


@lru_cache(maxsize=4096)
def _rr_reading(word: int, status: int) -> Reading:
    raw = Decimal(word)
    number = convert(raw, _RR_UNIT, "ms") if word else Absent.NOT_MEASURED
    return Reading("ppg_rr_interval", number, "ms", raw, _RR_UNIT, flags=status)
