"""Bytes of the emulated devices, pinned by vectors that were calculated by hand.

SFLOAT: exponent in the high nibble (two's complement), mantissa in 12 bits (two's complement).
FLOAT: exponent in the top byte, mantissa in 24 bits. Both little endian on the wire.
Source: ISO/IEEE 11073-20601:2014, F.8, and the special words listed there.
"""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_lab.devices.encoding import (
    DeviceClock,
    Special,
    current_time,
    date_time,
    float32,
    read_date_time,
    sfloat,
)

AT = datetime(2026, 3, 9, 7, 5, 59, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ("120", "7800"),  # 120 = 0x078, exponent 0
        ("120.0", "b0f4"),  # 1200 = 0x4B0, exponent -1 = 0xF: word 0xF4B0
        ("36.4", "6cf1"),  # 364 = 0x16C, exponent -1: word 0xF16C
        ("-1", "ff0f"),  # -1 = 0xFFF, exponent 0
        ("0.1", "01f0"),  # 1, exponent -1
        ("1E+2", "0120"),  # 1, exponent 2
        ("0.00100", "64b0"),  # 100, exponent -5 = 0xB: 0xB064, exactly 100 mg/dL in kg/L
        ("4.2", "2af0"),  # 42 = 0x2A, exponent -1
    ],
)
def test_sfloat_keeps_the_precision_it_is_given(value: str, wire: str) -> None:
    assert sfloat(Decimal(value)).hex() == wire


@pytest.mark.parametrize(
    ("special", "short", "long"),
    [
        (Special.NAN, "ff07", "ffff7f00"),
        (Special.NRES, "0008", "00008000"),
        (Special.POSITIVE_INFINITY, "fe07", "feff7f00"),
        (Special.NEGATIVE_INFINITY, "0208", "02008000"),
        (Special.RESERVED, "0108", "01008000"),
    ],
)
def test_special_values_are_whole_words(special: Special, short: str, long: str) -> None:
    assert sfloat(special).hex() == short
    assert float32(special).hex() == long


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ("36.5", "6d0100ff"),  # 365 = 0x00016D, exponent -1 = 0xFF
        ("98.60", "842600fe"),  # 9860 = 0x002684, exponent -2 = 0xFE
        ("-5", "fbffff00"),  # -5 = 0xFFFFFB, exponent 0
        ("37", "25000000"),
    ],
)
def test_float_keeps_the_precision_it_is_given(value: str, wire: str) -> None:
    assert float32(Decimal(value)).hex() == wire


@pytest.mark.parametrize(
    "value", ["2047", "2046", "-2048", "-2047", "-2046", "20480", "1E+8", "NaN"]
)
def test_sfloat_refuses_what_would_be_read_as_something_else(value: str) -> None:
    with pytest.raises(ValueError, match=r"fit|special|number"):
        sfloat(Decimal(value))


@pytest.mark.parametrize("value", ["8388607", "-8388608", "8388608", "1E+200"])
def test_float_refuses_what_would_be_read_as_something_else(value: str) -> None:
    with pytest.raises(ValueError, match=r"fit|special"):
        float32(Decimal(value))


@given(st.integers(-2045, 2045), st.integers(-8, 7))
def test_sfloat_words_say_mantissa_and_exponent(mantissa: int, exponent: int) -> None:
    word = int.from_bytes(sfloat(Decimal(mantissa).scaleb(exponent)), "little")
    signed = (word & 0xFFF) - (0x1000 if word & 0x800 else 0)
    power = (word >> 12) - (0x10 if word & 0x8000 else 0)
    assert Decimal(signed).scaleb(power) == Decimal(mantissa).scaleb(exponent)


def test_date_time_is_the_wall_clock_of_its_zone() -> None:
    # 2026 = 0x07EA, little endian; the wall clock in UTC+2 shows 09:05:59
    assert date_time(AT).hex() == "ea07030907053b"
    assert date_time(AT.astimezone(timezone(timedelta(hours=2)))).hex() == "ea07030909053b"


def test_current_time_has_day_of_week_fraction_and_reason() -> None:
    half_past = AT + timedelta(milliseconds=500)  # 128/256 s
    assert current_time(half_past, reasons=[0, 2]).hex() == "ea07030907053b" + "01" + "80" + "05"
    assert current_time(AT + timedelta(days=6)).hex()[14:16] == "07"  # Sunday


def test_a_clock_that_is_wrong_shows_it_until_it_is_set() -> None:
    clock = DeviceClock(UTC, timedelta(days=-3650))
    assert clock.now() < datetime.now(UTC) - timedelta(days=3649)
    clock.set(date_time(datetime.now(UTC)))
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "raw", ["", "ea0703", "00000000000000", "ea070d0907053b", "ea07021e000000"]
)
def test_dates_that_do_not_exist_are_refused(raw: str) -> None:
    with pytest.raises(ValueError, match=r"Date Time|year|month|day"):
        read_date_time(bytes.fromhex(raw), UTC)
