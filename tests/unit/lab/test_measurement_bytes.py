"""What each emulated device puts on the air, byte by byte.

The vectors are put together by hand from the characteristic definitions (GATT Specification
Supplement); test_encoding.py has the number formats they use.
"""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_lab.devices import blood_pressure_cuff as cuff
from wardlight_lab.devices import heart_rate_strap as strap
from wardlight_lab.devices import pulse_oximeter as oximeter
from wardlight_lab.devices import thermometer, weight_scale
from wardlight_lab.devices.encoding import Special
from wardlight_lab.devices.patient import BloodPressure

AT = datetime(2026, 3, 9, 7, 5, 59, tzinfo=UTC)
WALL = "ea07030907053b"


def test_blood_pressure_with_time_pulse_and_status() -> None:
    values = BloodPressure(Decimal(128), Decimal(84), Decimal(99), Decimal(72))
    # flags 0x16: time, pulse, status; 128 = 0x80, 84 = 0x54, 99 = 0x63, 72 = 0x48
    wire = cuff.encode(values, AT, status=cuff.IRREGULAR_PULSE)
    assert wire.hex() == "16" + "8000" + "5400" + "6300" + WALL + "4800" + "0400"


def test_blood_pressure_with_a_user_comes_before_the_status() -> None:
    values = BloodPressure(Decimal(110), Decimal(70), Decimal(83), Decimal(60))
    wire = cuff.encode(values, AT, user=2, status=cuff.MOVEMENT)
    assert wire.hex() == "1e" + "6e00" + "4600" + "5300" + WALL + "3c00" + "02" + "0100"


def test_a_failed_blood_pressure_is_three_nans() -> None:
    assert cuff.encode_failed(AT).hex() == "02" + "ff07" * 3 + WALL


def test_temperature_with_time_and_site() -> None:
    # flags 0x06; 36.5 = 365E-1; site 2 = body
    wire = thermometer.encode(Decimal("36.5"), AT, thermometer.Site.BODY)
    assert wire.hex() == "06" + "6d0100ff" + WALL + "02"


def test_temperature_in_fahrenheit_alone() -> None:
    wire = thermometer.encode(Decimal("97.7"), None, None, fahrenheit=True)
    assert wire.hex() == "01" + "d10300ff"  # 977 = 0x3D1


def test_temperature_that_is_not_there() -> None:
    assert thermometer.encode(Special.NRES, None, None).hex() == "00" + "00008000"


def test_weight_in_steps_of_five_grams() -> None:
    # 74.25 kg / 0.005 = 14850 = 0x3A02
    assert weight_scale.encode(Decimal("74.25"), AT).hex() == "02" + "023a" + WALL
    assert weight_scale.encode(Decimal("74.25"), AT, user=1).hex() == "06" + "023a" + WALL + "01"


def test_an_unsuccessful_weighing_is_all_ones() -> None:
    assert weight_scale.encode(None, AT).hex() == "02" + "ffff" + WALL


def test_a_weight_between_the_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple"):
        weight_scale.encode(Decimal("74.251"), AT)


def test_continuous_oximetry() -> None:
    # flags 0x1C; 97 = 0x61, 68 = 0x44; status bits 5 and 7 = 0x00A0; no sensor bits; 4.2 = 42E-1
    wire = oximeter.encode_continuous(Decimal(97), Decimal(68))
    assert wire.hex() == "1c" + "6100" + "4400" + "a000" + "000000" + "2af0"


def test_continuous_oximetry_without_a_finger() -> None:
    # measurement status bits 5 and 13 = 0x2020; sensor status bit 11 = 0x000800, 3 bytes
    wire = oximeter.encode_continuous(
        Special.NAN,
        Special.NAN,
        status=oximeter.ONGOING | oximeter.UNAVAILABLE,
        sensor=oximeter.SENSOR_OFF,
        amplitude=Special.NAN,
    )
    assert wire.hex() == "1c" + "ff07" + "ff07" + "2020" + "000800" + "ff07"


def test_spot_check() -> None:
    wire = oximeter.encode_spot(Decimal(94), Decimal(88), AT)
    assert wire.hex() == "03" + "5e00" + "5800" + WALL + "8000"


@pytest.mark.parametrize(
    ("bpm", "rr", "wire"),
    [
        (72, (853,), "16" + "48" + "5503"),  # flags: contact 0x06, RR 0x10; 853 = 0x0355
        (72, (), "06" + "48"),
        (61, (1003, 990), "16" + "3d" + "eb03" + "de03"),  # oldest first
        (300, (205,), "17" + "2c01" + "cd00"),  # above 255 the rate takes two bytes
    ],
)
def test_heart_rate(bpm: int, rr: tuple[int, ...], wire: str) -> None:
    assert strap.encode(strap.HeartRate(bpm, rr)).hex() == wire


def test_beats_are_told_in_the_second_in_which_they_end() -> None:
    # ends at 0.9, 1.8, 2.0 s: one in the first second, two in the second
    seconds = list(strap.measurements([922, 921, 205]))
    assert [each.rr for each in seconds] == [(922,), (921, 205)]
    assert seconds[0].bpm == 67  # 60 * 1024 / 922 = 66.6


def test_a_pause_gives_seconds_without_a_beat() -> None:
    seconds = list(strap.measurements([1024, 3072, 1024]))
    assert [each.rr for each in seconds] == [(1024,), (), (), (3072,), (1024,)]


@given(st.lists(st.integers(200, 6000), max_size=300))
def test_no_beat_is_left_out_or_told_twice(rr: list[int]) -> None:
    seconds = list(strap.measurements(rr))
    assert [each for second in seconds for each in second.rr] == rr
    assert all(len(second.rr) <= strap.MAX_RR for second in seconds)
