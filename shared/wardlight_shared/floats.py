"""IEEE 11073-20601 FLOAT-Type (32 bit) and SFLOAT-Type (16 bit) to exact Decimal, and back.

In      2 or 4 bytes, little endian as GATT sends them
Out     Decimal with the device's precision (120.0 and 120 differ), or Absent
Errors  DecodeError: another number of bytes; ValueError: a number that does not fit
Source  IEEE 11073-20601 annex F.7 (FLOAT-Type) and F.8 (SFLOAT-Type); the exponent and the
        mantissa are both in two's complement
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Absent

# F.8: whole 16-bit words; the same mantissas with a non-zero exponent are ordinary numbers.
_SFLOAT_SPECIAL = {
    0x07FF: Absent.NAN,
    0x0800: Absent.NRES,
    0x07FE: Absent.POSITIVE_INFINITY,
    0x0802: Absent.NEGATIVE_INFINITY,
    0x0801: Absent.RESERVED,
}
# F.7: whole 32-bit words (exponent 0).
_FLOAT_SPECIAL = {
    0x007FFFFF: Absent.NAN,
    0x00800000: Absent.NRES,
    0x007FFFFE: Absent.POSITIVE_INFINITY,
    0x00800002: Absent.NEGATIVE_INFINITY,
    0x00800001: Absent.RESERVED,
}
_SFLOAT_WORD = {absent: word for word, absent in _SFLOAT_SPECIAL.items()}
_FLOAT_WORD = {absent: word for word, absent in _FLOAT_SPECIAL.items()}


def decimal_from_parts(mantissa: int, exponent: int) -> Decimal:
    """Return ``mantissa * 10**exponent`` exactly, keeping the exponent as precision."""
    digits = tuple(map(int, str(abs(mantissa))))
    return Decimal((int(mantissa < 0), digits, exponent))


def parts_from_decimal(value: Decimal) -> tuple[int, int]:
    """Return (mantissa, exponent) of a finite Decimal with ``value == mantissa * 10**exponent``."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError("not a finite number")
    mantissa = int("".join(map(str, digits)))
    return (-mantissa if sign else mantissa), exponent


def _signed(word: int, bits: int) -> int:
    return word - (1 << bits) if word >> (bits - 1) else word


@lru_cache(maxsize=4096)
def sfloat_from_word(word: int) -> Decimal | Absent:
    """Decode one SFLOAT-Type given as an unsigned 16-bit word."""
    special = _SFLOAT_SPECIAL.get(word)
    if special is not None:
        return special
    return decimal_from_parts(_signed(word & 0x0FFF, 12), _signed(word >> 12, 4))


@lru_cache(maxsize=4096)
def float_from_word(word: int) -> Decimal | Absent:
    """Decode one FLOAT-Type given as an unsigned 32-bit word."""
    special = _FLOAT_SPECIAL.get(word)
    if special is not None:
        return special
    return decimal_from_parts(_signed(word & 0xFFFFFF, 24), _signed(word >> 24, 8))


def sfloat(octets: bytes) -> Decimal | Absent:
    """Decode an SFLOAT-Type from exactly 2 bytes, little endian."""
    if len(octets) != 2:
        raise DecodeError(f"SFLOAT-Type: {len(octets)} bytes, need 2")
    return sfloat_from_word(octets[0] | octets[1] << 8)


def float_type(octets: bytes) -> Decimal | Absent:
    """Decode a FLOAT-Type from exactly 4 bytes, little endian."""
    if len(octets) != 4:
        raise DecodeError(f"FLOAT-Type: {len(octets)} bytes, need 4")
    return float_from_word(int.from_bytes(octets, "little"))


def _special_word(words: Mapping[Absent, int], absent: Absent) -> int:
    if absent not in words:
        raise ValueError(f"IEEE 11073-20601 has no special value for {absent}")
    return words[absent]


def sfloat_bytes(value: Decimal | Absent) -> bytes:
    """Encode to 2 bytes; ValueError when the number does not fit exactly at its own precision."""
    if isinstance(value, Absent):
        return _special_word(_SFLOAT_WORD, value).to_bytes(2, "little")
    mantissa, exponent = parts_from_decimal(value)
    word = (exponent & 0xF) << 12 | (mantissa & 0xFFF)
    if not (-2048 <= mantissa <= 2047 and -8 <= exponent <= 7) or word in _SFLOAT_SPECIAL:
        raise ValueError("number does not fit an SFLOAT-Type at this precision")
    return word.to_bytes(2, "little")


def float_bytes(value: Decimal | Absent) -> bytes:
    """Encode to 4 bytes; ValueError when the number does not fit exactly at its own precision."""
    if isinstance(value, Absent):
        return _special_word(_FLOAT_WORD, value).to_bytes(4, "little")
    mantissa, exponent = parts_from_decimal(value)
    word = (exponent & 0xFF) << 24 | (mantissa & 0xFFFFFF)
    fits = -(1 << 23) <= mantissa < 1 << 23 and -128 <= exponent <= 127
    if not fits or word in _FLOAT_SPECIAL:
        raise ValueError("number does not fit a FLOAT-Type at this precision")
    return word.to_bytes(4, "little")
