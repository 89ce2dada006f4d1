"""Implausible readings are flagged, with both ends of the range inside."""

from decimal import Decimal

import pytest

from wardlight_edge.devices import flag_implausible
from wardlight_shared.model import Absent, Flag, Reading
from wardlight_shared.profile import DeviceSection, MetricSection, Profile

IMPLAUSIBLE = int(Flag.IMPLAUSIBLE)


def _profile(*metrics: MetricSection) -> Profile:
    return Profile(schema=1, decoder="x", device=DeviceSection("m", "d"), metrics=metrics)


TABLE_RANGES = _profile(MetricSection("body_temperature"), MetricSection("spo2"))


def _flags(reading: Reading, profile: Profile) -> int:
    (checked,) = flag_implausible((reading,), profile)
    return checked.flags


@pytest.mark.parametrize(
    ("value", "unit", "flag"),
    [
        ("25", "Cel", 0),
        ("45.0", "Cel", 0),
        ("24.9", "Cel", IMPLAUSIBLE),
        ("45.1", "Cel", IMPLAUSIBLE),
        ("77.0", "[degF]", 0),  # 25 Cel
        ("113.0", "[degF]", 0),  # 45 Cel
        ("36.6", "[degF]", IMPLAUSIBLE),  # degrees Celsius with the wrong flag
        ("98.6", "Cel", IMPLAUSIBLE),
    ],
)
def test_range_of_the_code_table(value: str, unit: str, flag: int) -> None:
    assert _flags(Reading("body_temperature", Decimal(value), unit), TABLE_RANGES) == flag


@pytest.mark.parametrize(("value", "flag"), [("35.1", 0), ("35.0", IMPLAUSIBLE)])
def test_range_of_the_profile_comes_first(value: str, flag: int) -> None:
    profile = _profile(MetricSection("body_temperature", plausible=(35.1, 42.0)))
    assert _flags(Reading("body_temperature", Decimal(value), "Cel"), profile) == flag


def test_other_flags_and_readings_are_kept() -> None:
    odd = Reading("spo2", Decimal(20), "%", flags=int(Flag.ONGOING))
    fine = Reading("spo2", Decimal(97), "%")
    flagged, same = flag_implausible((odd, fine), TABLE_RANGES)
    assert flagged.flags == int(Flag.ONGOING) | IMPLAUSIBLE
    assert flagged.value == Decimal(20)
    assert same is fine


def test_a_whole_is_possible_where_a_profile_expects_less() -> None:
    profile = _profile(MetricSection("spo2", plausible=(70, 99)))
    whole, more = flag_implausible(
        (Reading("spo2", Decimal(100), "%"), Reading("spo2", Decimal("100.1"), "%")), profile
    )
    assert (whole.value, whole.flags) == (Decimal(100), IMPLAUSIBLE)
    assert (more.value, more.raw_value) == (Absent.INVALID, Decimal("100.1"))


def test_a_missing_number_is_not_implausible() -> None:
    assert _flags(Reading("spo2", Absent.NOT_MEASURED, "%"), TABLE_RANGES) == 0


def test_a_metric_without_a_range_is_left_alone() -> None:
    assert _flags(Reading("pleth_waveform", Decimal(10**6), "1"), TABLE_RANGES) == 0


def test_a_unit_that_cannot_be_compared_is_left_alone() -> None:
    assert _flags(Reading("spo2", Decimal(10**6), "kPa"), TABLE_RANGES) == 0


@pytest.mark.parametrize(
    ("metric", "value", "unit"),
    [
        ("spo2", "100.1", "%"),
        ("spo2", "-0.1", "%"),
        ("systolic_bp", "-0.5", "mm[Hg]"),
        ("pulse_rate_oximeter", "-1", "/min"),
        ("body_weight", "-0.005", "kg"),
    ],
)
def test_what_no_body_can_have_is_withheld(metric: str, value: str, unit: str) -> None:
    (checked,) = flag_implausible((Reading(metric, Decimal(value), unit),))
    assert checked.value is Absent.INVALID
    assert (checked.raw_value, checked.raw_unit) == (Decimal(value), unit)
    assert checked.flags & IMPLAUSIBLE


def test_what_was_sent_stays_the_raw_number() -> None:
    sent = Reading("systolic_bp", Decimal("-7.5"), "mm[Hg]", Decimal("-1.0"), "kPa")
    (checked,) = flag_implausible((sent,))
    assert (checked.value, checked.raw_value, checked.raw_unit) == ("invalid", Decimal(-1), "kPa")


@pytest.mark.parametrize(
    ("metric", "value", "unit"),
    [
        ("body_temperature", "-1", "Cel"),
        ("heart_rate", "65535", "/min"),
        ("bmi", "6553.5", "kg/m2"),
    ],
)
def test_what_is_only_improbable_goes_on_with_its_flag(metric: str, value: str, unit: str) -> None:
    (checked,) = flag_implausible((Reading(metric, Decimal(value), unit),))
    assert checked.value == Decimal(value)
    assert checked.flags & IMPLAUSIBLE
