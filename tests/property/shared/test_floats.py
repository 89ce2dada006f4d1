"""FLOAT-Type against an independent rule, and back."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_shared.errors import DecodeError
from wardlight_shared.floats import (
    decimal_from_parts,
    float_bytes,
    float_type,
    parts_from_decimal,
    sfloat,
    sfloat_bytes,
)
from wardlight_shared.model import Absent

SPECIAL = {0x7FFFFF, 0x800000, 0x7FFFFE, 0x800002, 0x800001}


@given(mantissa=st.integers(0, 0xFFFFFF), exponent=st.integers(0, 0xFF))
def test_float_word_by_word(mantissa: int, exponent: int) -> None:
    octets = bytes([mantissa % 256, mantissa // 256 % 256, mantissa // 65536, exponent])
    value = float_type(octets)
    if exponent == 0 and mantissa in SPECIAL:
        assert isinstance(value, Absent)
    else:
        assert isinstance(value, Decimal)
        signed = mantissa - (1 << 24) * (mantissa >= 1 << 23)
        power = exponent - 256 * (exponent > 127)
        assert Fraction(value) == signed * Fraction(10) ** power
        assert value.as_tuple().exponent == power
    assert float_bytes(value) == octets


@given(mantissa=st.integers(-(10**18), 10**18), exponent=st.integers(-200, 200))
def test_parts_come_back(mantissa: int, exponent: int) -> None:
    assert parts_from_decimal(decimal_from_parts(mantissa, exponent)) == (mantissa, exponent)


@given(value=st.decimals(allow_nan=False, allow_infinity=False))
def test_what_is_encoded_is_what_was_said(value: Decimal) -> None:
    try:
        octets = float_bytes(value)
    except ValueError:
        return
    decoded = float_type(octets)
    assert decoded == value
    assert str(decoded) == str(value) or value == 0  # -0 has no word


@given(octets=st.binary(max_size=8))
def test_other_lengths_are_refused(octets: bytes) -> None:
    if len(octets) != 2:
        with pytest.raises(DecodeError):
            sfloat(octets)
    else:
        assert sfloat_bytes(sfloat(octets)) == octets
    if len(octets) != 4:
        with pytest.raises(DecodeError):
            float_type(octets)
