"""Numbers and fields are found exactly where their specification puts them."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.devices import (
    blood_pressure,
    health_thermometer,
    heart_rate,
    pulse_oximeter,
    weight_scale,
)
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Absent, Reading

WORDS = st.integers(0, 0xFFFF)
TIMES = st.binary(min_size=7, max_size=7)


def _sfloat(word: int) -> Fraction | None:
    """SFLOAT-Type by the rule as the standard words it; None = no number."""
    if word in {0x07FE, 0x07FF, 0x0800, 0x0801, 0x0802}:
        return None
    mantissa, exponent = word & 0xFFF, word >> 12
    mantissa -= 0x1000 if mantissa & 0x800 else 0
    exponent -= 0x10 if exponent & 0x8 else 0
    return mantissa * Fraction(10) ** exponent


def _number(reading: Reading) -> Fraction | None:
    return Fraction(reading.value) if isinstance(reading.value, Decimal) else None


def _nonzero(value: Fraction | None) -> Fraction | None:
    return value or None


@given(
    words=st.tuples(WORDS, WORDS, WORDS),
    time=st.none() | TIMES,
    pulse=st.none() | WORDS,
    user=st.none() | st.integers(0, 255),
    status=st.none() | WORDS,
    reserved=st.integers(0, 7),
)
def test_blood_pressure_fields_are_found(
    words: tuple[int, int, int],
    time: bytes | None,
    pulse: int | None,
    user: int | None,
    status: int | None,
    reserved: int,
) -> None:
    fields = (time, pulse, user, status)
    flags = reserved << 5 | sum(2 << place for place, each in enumerate(fields) if each is not None)
    value = bytes([flags]) + b"".join(word.to_bytes(2, "little") for word in words)
    value += time or b""
    value += b"" if pulse is None else pulse.to_bytes(2, "little")
    value += b"" if user is None else bytes([user])
    value += b"" if status is None else status.to_bytes(2, "little")
    readings = blood_pressure.decode("0x2A35", value)
    expected = [*words, *([] if pulse is None else [pulse])]
    assert [_number(reading) for reading in readings] == [_nonzero(_sfloat(w)) for w in expected]
    assert {reading.user for reading in readings} == {None if user == 255 else user}


@given(
    fields=st.integers(0, 31),
    words=st.tuples(WORDS, WORDS),
    rest=st.binary(min_size=15, max_size=15),
)
def test_continuous_oximetry_lengths(fields: int, words: tuple[int, int], rest: bytes) -> None:
    sizes = (4, 4, 2, 3, 2)
    length = sum(size for place, size in enumerate(sizes) if fields >> place & 1)
    head = bytes([fields]) + b"".join(word.to_bytes(2, "little") for word in words)
    readings = pulse_oximeter.decode("0x2A5F", head + rest[:length])
    assert len(readings) == 2 + bool(fields & 16)
    for other in range(16):
        if other != length:
            with pytest.raises(DecodeError):
                pulse_oximeter.decode("0x2A5F", head + rest[:other])


@given(mantissa=st.integers(-(1 << 23), (1 << 23) - 1), exponent=st.integers(-128, 127))
def test_temperature_is_exact(mantissa: int, exponent: int) -> None:
    value = b"\x00" + (mantissa & 0xFFFFFF).to_bytes(3, "little") + (exponent & 0xFF).to_bytes(1)
    (reading,) = health_thermometer.decode("0x2A1C", value)
    if exponent == 0 and mantissa & 0xFFFFFF in range(0x7FFFFE, 0x800003):
        assert isinstance(reading.value, Absent)
    else:
        assert isinstance(reading.value, Decimal)
        assert reading.value == Decimal((int(mantissa < 0), _digits(mantissa), exponent))
        assert reading.value.as_tuple().exponent == exponent


def _digits(mantissa: int) -> tuple[int, ...]:
    return tuple(int(digit) for digit in str(abs(mantissa)))


@given(rate=st.integers(1, 255), intervals=st.lists(st.integers(1, 0xFFFF), min_size=1, max_size=9))
def test_rr_intervals_are_exact_and_in_order(rate: int, intervals: list[int]) -> None:
    value = bytes([0x10, rate]) + b"".join(each.to_bytes(2, "little") for each in intervals)
    first, *rest = heart_rate.decode("0x2A37", value)
    assert first.value == rate
    assert [_number(reading) for reading in rest] == [Fraction(n * 1000, 1024) for n in intervals]
    assert [reading.raw_value for reading in rest] == intervals


@given(weight=st.integers(1, 0xFFFE), imperial=st.booleans())
def test_weight_is_exact(weight: int, imperial: bool) -> None:
    (reading,) = weight_scale.decode("0x2A9D", bytes([imperial]) + weight.to_bytes(2, "little"))
    step = Fraction(1, 100) if imperial else Fraction(5, 1000)
    assert _number(reading) == weight * step


@given(value=st.binary(max_size=12))
def test_an_intermediate_cuff_pressure_never_gives_a_reading(value: bytes) -> None:
    decoded: Any
    try:
        decoded = blood_pressure.decode("0x2A36", value)
    except DecodeError:
        return
    assert decoded == ()
