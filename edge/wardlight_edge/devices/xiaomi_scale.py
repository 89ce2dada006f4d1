"""Xiaomi Mi scales: advertisements of the Smart Scale and the Body Composition Scale.

In      service-data:0x181D (Smart Scale, v1), 10 bytes: flags u8 | weight u16 | date time 7
        flags b0 pound, b4 jin, b5 stabilised, b6 object and no person, b7 weight removed
        service-data:0x181B (Body Composition Scale, v2), 13 bytes: unit u8 | flags u8 | date time
        7 | impedance u16 ohm | weight u16; unit b0 pound, b2 object; flags b1 impedance
        measured, b5 stabilised, b6 jin, b7 weight removed
        weight in 0.005 kg, 0.01 lb or 0.01 jin
Out     body_weight in kg or [lb_av]; a jin is 0.5 kg, the number as sent is then in raw_value.
        The impedance is context. (): not stabilised, already removed, an object, nothing on it.
        The receiver gives a weighing once, when its weight first stands: an impedance that is
        measured after that is not waited for, for the person may leave
Errors  DecodeError: another length, two units at once; ConfigError: an option
Source  layout and bits as read by Bluetooth-Devices/xiaomi-ble (src/xiaomi_ble/parser.py) and
        theengs/decoder (XMTZC04HM, XMTZC05HM)
Vectors tests/vectors/xiaomi_scale.toml
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from struct import Struct
from typing import Final

from wardlight_edge.devices._adverts import digest
from wardlight_edge.devices._base import NO_OPTIONS, Options
from wardlight_edge.devices._gatt import check_length, date_time, decode_value
from wardlight_edge.devices._options import check_options
from wardlight_shared.errors import DecodeError
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import Flag, Reading

_V1: Final = "service-data:0x181D"
_V2: Final = "service-data:0x181B"
_V1_HEAD: Final = Struct("<BH7x")
_V2_HEAD: Final = Struct("<BB7xHH")
_POUND, _JIN_V1, _STABLE, _JIN_V2, _OBJECT_V1, _REMOVED = 0x01, 0x10, 0x20, 0x40, 0x40, 0x80
_OBJECT_V2: Final = 0x04
_HAS_IMPEDANCE: Final = 0x02
_MOST_OHM: Final = 3000  # what a body can have; the scale sends 65533 and more for "none"

_Weighing = tuple[Reading, ...]


def _smart_scale(value: bytes) -> _Weighing:
    check_length(_V1, value, _V1_HEAD.size)
    flags, weight = _V1_HEAD.unpack(value)
    number = _number(_V1, weight, is_pound=flags & _POUND, is_jin=flags & _JIN_V1)
    if not _stands(flags) or flags & _OBJECT_V1 or not weight:
        return ()
    return _reading(number, value, 3, ())


def _body_composition_scale(value: bytes) -> _Weighing:
    check_length(_V2, value, _V2_HEAD.size)
    unit, flags, impedance, weight = _V2_HEAD.unpack(value)
    number = _number(_V2, weight, is_pound=unit & _POUND, is_jin=flags & _JIN_V2)
    if not _stands(flags) or unit & _OBJECT_V2 or not weight:
        return ()
    is_measured = flags & _HAS_IMPEDANCE and 0 < impedance <= _MOST_OHM
    return _reading(number, value, 2, (("impedance-ohm", str(impedance)),) if is_measured else ())


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], _Weighing]]] = {
    _V1: _smart_scale,
    _V2: _body_composition_scale,
}

ADVERTS: Final = frozenset(CHARACTERISTICS)


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one advertisement."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def receiver(
    address: bytes, key: bytes | None, memory: bytes = b"", options: Options = NO_OPTIONS
) -> "XiaomiScaleReceiver":
    """Make the receiver of one scale; nothing it sends is encrypted."""
    del address, key
    check_options("xiaomi_scale", options)
    return XiaomiScaleReceiver(memory)


class XiaomiScaleReceiver:
    """What was heard of one scale: it repeats a weighing for minutes.

    Its memory is the digest of the last weighing, after a byte that says whether it had a time.
    """

    is_unique = False

    def __init__(self, memory: bytes = b"") -> None:
        self.memory = memory

    def take(self, kind: str, payload: bytes) -> tuple[Reading, ...]:
        """Decode one advertisement; () for a weighing that was already given."""
        readings = decode(kind, payload)
        if not readings:
            return ()
        (reading,) = readings
        is_dated = reading.time is not None and not reading.flags & Flag.DEVICE_CLOCK_UNSET
        number = f"{reading.value} {reading.unit} {reading.time}".encode()
        weighing = bytes((is_dated,)) + digest(number)
        if weighing == self.memory:
            return ()
        self.memory = weighing
        return readings

    def rested(self) -> None:
        """Forget a weighing without a time: the next one may have the same weight."""
        if self.memory[:1] != b"\x01":
            self.memory = b""


def _stands(flags: int) -> bool:
    return bool(flags & _STABLE) and not flags & _REMOVED


def _number(
    name: str, weight: int, *, is_pound: int, is_jin: int
) -> tuple[Decimal, str, Decimal | None, str | None]:
    """Return value, unit, raw value and raw unit."""
    if is_pound and is_jin:
        raise DecodeError(f"{name}: its flags name two units")
    if is_pound:
        return decimal_from_parts(weight, -2), "[lb_av]", None, None
    kilograms = decimal_from_parts(weight * 5, -3)
    if is_jin:
        return kilograms, "kg", decimal_from_parts(weight, -2), "{jin}"
    return kilograms, "kg", None, None


def _reading(
    number: tuple[Decimal, str, Decimal | None, str | None],
    value: bytes,
    time_at: int,
    context: tuple[tuple[str, str], ...],
) -> tuple[Reading, ...]:
    weight, unit, raw, raw_unit = number
    time, flags = date_time(value, time_at)
    return (Reading("body_weight", weight, unit, raw, raw_unit, time, flags, context=context),)
