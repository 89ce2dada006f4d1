"""Lanes: at a limit, near it, in another unit, and what is no vital sign."""

from decimal import Decimal

import pytest

from wardlight_edge.sessions.limits import AlarmLimits
from wardlight_shared.model import Absent, Flag, Reading
from wardlight_shared.profile import parse

PROFILE = parse(
    """
schema = 1
decoder = "x"
device = { manufacturer = "m", model = "m" }
[[metric]]
name = "spo2"
alarm_low = 88
[[metric]]
name = "body_temperature"
alarm_low = 35.1
alarm_high = 38.5
[[metric]]
name = "heart_rate"
""",
    source="limits.toml",
)
LIMITS = AlarmLimits(PROFILE)


@pytest.mark.parametrize(
    ("metric", "value", "unit", "is_alarm", "is_near"),
    [
        ("spo2", "88", "%", True, True),
        ("spo2", "88.1", "%", False, True),
        ("spo2", "90.5", "%", False, True),
        ("spo2", "90.6", "%", False, False),
        ("spo2", "100", "%", False, False),
        ("body_temperature", "38.5", "Cel", True, True),
        ("body_temperature", "38.4", "Cel", False, True),
        ("body_temperature", "101.3", "[degF]", True, True),
        ("body_temperature", "98.6", "[degF]", False, False),
        ("heart_rate", "250", "/min", False, False),
    ],
)
def test_limits(metric: str, value: str, unit: str, is_alarm: bool, is_near: bool) -> None:
    reading = Reading(metric, Decimal(value), unit)
    assert LIMITS.is_alarm([reading]) is is_alarm
    assert LIMITS.is_near([reading]) is is_near


def test_a_missing_number_reaches_no_limit() -> None:
    assert not LIMITS.is_alarm([Reading("spo2", Absent.SENSOR_OFF, "%")])


@pytest.mark.parametrize(
    ("metric", "absent", "is_reached"),
    [
        ("spo2", Absent.UNDER_RANGE, True),
        ("spo2", Absent.NEGATIVE_INFINITY, True),
        ("spo2", Absent.OVER_RANGE, False),  # no limit on that side
        ("body_temperature", Absent.OVER_RANGE, True),
        ("body_temperature", Absent.POSITIVE_INFINITY, True),
        ("body_temperature", Absent.UNDER_RANGE, True),
        ("body_temperature", Absent.NAN, False),
        ("heart_rate", Absent.OVER_RANGE, False),
    ],
)
def test_beyond_what_the_device_can_show_is_beyond_a_limit(
    metric: str, absent: Absent, is_reached: bool
) -> None:
    """HI and LO are the worst values a glucose meter has."""
    reading = Reading(metric, absent, "x")
    assert LIMITS.is_alarm([reading]) is is_reached
    assert LIMITS.is_near([reading]) is is_reached


def test_a_demonstration_of_low_raises_no_alarm() -> None:
    low = Reading("spo2", Absent.UNDER_RANGE, "%", flags=int(Flag.TEST))
    assert not LIMITS.is_alarm([low])


def test_a_demonstration_raises_no_alarm() -> None:
    assert not LIMITS.is_alarm([Reading("spo2", Decimal(70), "%", flags=int(Flag.DEMO))])


def test_the_devices_own_alarm_counts() -> None:
    assert LIMITS.is_alarm(
        [Reading("heart_rate", Decimal(70), "/min", flags=int(Flag.DEVICE_ALARM))]
    )


def test_an_alarm_that_is_tried_out_is_none() -> None:
    tried = int(Flag.DEVICE_ALARM | Flag.TEST)
    assert not LIMITS.is_alarm([Reading("heart_rate", Decimal(70), "/min", flags=tried)])


def test_an_unknown_unit_is_not_judged() -> None:
    assert not LIMITS.is_alarm([Reading("spo2", Decimal(1), "kPa")])
