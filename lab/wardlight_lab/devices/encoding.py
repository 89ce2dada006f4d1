"""Encoders of the emulated devices: decimal numbers and wall clocks to GATT bytes (little endian).

Written from the specification and kept apart from the product's decoders on purpose: an error made
in both would otherwise prove itself right.

Source  ISO/IEEE 11073-20601:2014, F.8 (FLOAT-Type, SFLOAT-Type); Bluetooth GSS, 3.70 Date Time,
        3.71 Day Date Time; Current Time Service 1.1, 3.1
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Final


class Special(Enum):
    """Values that are no number, as (SFLOAT word, FLOAT mantissa)."""

    NAN = (0x07FF, 0x7FFFFF)
    NRES = (0x0800, 0x800000)
    POSITIVE_INFINITY = (0x07FE, 0x7FFFFE)
    NEGATIVE_INFINITY = (0x0802, 0x800002)
    RESERVED = (0x0801, 0x800001)


SFLOAT_RESERVED: Final = {word for word, _ in (each.value for each in Special)}
FLOAT_RESERVED: Final = {mantissa for _, mantissa in (each.value for each in Special)}


def u8(value: int) -> bytes:
    """One unsigned byte."""
    return value.to_bytes(1, "little")


def u16(value: int) -> bytes:
    """An unsigned 16-bit number."""
    return value.to_bytes(2, "little")


def u24(value: int) -> bytes:
    """An unsigned 24-bit number."""
    return value.to_bytes(3, "little")


def sfloat(value: Decimal | Special) -> bytes:
    """A 16-bit SFLOAT with the exponent the value is written with: 120 and 120.0 differ.

    Errors  ValueError: mantissa outside 12 bits, exponent outside 4, or a word with a special
            meaning
    """
    if isinstance(value, Special):
        return u16(value.value[0])
    mantissa, exponent = _parts(value)
    if not (-2048 <= mantissa <= 2047 and -8 <= exponent <= 7):
        raise ValueError(f"{value} does not fit an SFLOAT")
    word = (exponent & 0xF) << 12 | (mantissa & 0xFFF)
    if word in SFLOAT_RESERVED:
        raise ValueError(f"{value} would be read as a special value")
    return u16(word)


def float32(value: Decimal | Special) -> bytes:
    """A 32-bit FLOAT with the exponent the value is written with.

    Errors  ValueError: mantissa outside 24 bits, exponent outside 8, or a special mantissa
    """
    if isinstance(value, Special):
        return u24(value.value[1]) + b"\0"
    mantissa, exponent = _parts(value)
    if not (-(1 << 23) <= mantissa < 1 << 23 and -128 <= exponent <= 127):
        raise ValueError(f"{value} does not fit a FLOAT")
    if exponent == 0 and mantissa & 0xFFFFFF in FLOAT_RESERVED:
        raise ValueError(f"{value} would be read as a special value")
    return u24(mantissa & 0xFFFFFF) + u8(exponent & 0xFF)


def date_time(at: datetime) -> bytes:
    """Date Time, 7 bytes: the wall clock of `at` in its own zone."""
    return u16(at.year) + bytes((at.month, at.day, at.hour, at.minute, at.second))


def current_time(at: datetime, reasons: Iterable[int] = ()) -> bytes:
    """Current Time, 10 bytes: date time, day of week, 1/256 s, adjust reasons as bit numbers."""
    reason = sum(1 << bit for bit in reasons)
    fraction = at.microsecond * 256 // 1_000_000
    return date_time(at) + bytes((at.isoweekday(), fraction, reason))


def read_date_time(raw: bytes, zone: timezone) -> datetime:
    """The moment a Date Time names on a clock of this zone. Errors: ValueError."""
    if len(raw) < 7:
        raise ValueError(f"{len(raw)} bytes, a Date Time has 7")
    year = int.from_bytes(raw[:2], "little")
    return datetime(year, raw[2], raw[3], raw[4], raw[5], raw[6], tzinfo=zone)


def _parts(value: Decimal) -> tuple[int, int]:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is no number; use Special")  # noqa: TRY004 # a value, not a type
    mantissa = int("".join(map(str, digits)))
    return (-mantissa if sign else mantissa), exponent


class DeviceClock:
    """The clock of a device: a wall clock without a zone, which may be wrong.

    zone  the offset of the wall clock it is meant to show
    skew  how far it is ahead (negative: behind); setting the clock clears it
    """

    def __init__(self, zone: timezone = UTC, skew: timedelta = timedelta(0)) -> None:
        self.zone = zone
        self.skew = skew

    def now(self) -> datetime:
        """What the device shows, as an aware time in its zone."""
        return datetime.now(self.zone) + self.skew

    def set(self, raw: bytes) -> None:
        """Take a written Date Time or Current Time. Errors: ValueError."""
        self.skew = read_date_time(raw, self.zone) - datetime.now(self.zone)
