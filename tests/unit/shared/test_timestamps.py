"""Time rules with numbers worked out by hand."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from wardlight_shared.model import DeviceTime
from wardlight_shared.timestamps import (
    Anchor,
    ClockQuality,
    DeviceClock,
    Resolved,
    age_on_device_clock,
    anchor_from_server,
    datetime_from_utc_ms,
    device_isoformat,
    device_seconds,
    drift_ms,
    is_future,
    resolve,
    utc_ms_from_datetime,
)


def test_utc_ms_both_ways() -> None:
    moment = datetime(2024, 6, 15, 15, 17, 27, 250_000, tzinfo=UTC)
    assert utc_ms_from_datetime(moment) == 1_718_464_647_250
    assert datetime_from_utc_ms(1_718_464_647_250) == moment


def test_a_zone_changes_nothing() -> None:
    berlin = timezone(timedelta(hours=2))
    assert utc_ms_from_datetime(datetime(1970, 1, 1, 2, tzinfo=berlin)) == 0


def test_before_1970_rounds_down() -> None:
    assert utc_ms_from_datetime(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        utc_ms_from_datetime(datetime(2024, 6, 15))  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        (DeviceTime(2000, 1, 1, 0, 0, 0), 0),
        (DeviceTime(2000, 3, 1, 0, 0, 1), 60 * 86_400 + 1),  # 2000 has a 29 February
        (DeviceTime(1999, 12, 31, 23, 59, 59), -1),
        (DeviceTime(0, 1, 1, 0, 0, 0), None),
        (DeviceTime(2024, 0, 1, 0, 0, 0), None),
        (DeviceTime(2024, 2, 30, 0, 0, 0), None),
        (DeviceTime(2024, 2, 28, 24, 0, 0), None),
    ],
)
def test_device_seconds(time: DeviceTime, seconds: int | None) -> None:
    assert device_seconds(time) == seconds
    if seconds is not None:
        assert device_isoformat(seconds) == time.isoformat()


def test_age_needs_no_wall_clock() -> None:
    # At 100 s of ours the device showed 5000 s; it stamped 4000 s; we received it at 160 s:
    # 1000 s before its clock was read, and 60 s more. Drift: 100 ppm of 1060 s = 106 ms.
    clock = DeviceClock(device_s=5000, mono_ms=100_000)
    assert age_on_device_clock(4000, clock, 160_000) == (1_060_000, 2106)


@pytest.mark.parametrize(
    ("interval", "drift"), [(0, 0), (1, 1), (10_000, 1), (10_001, 2), (-10_001, 2)]
)
def test_drift_is_rounded_up(interval: int, drift: int) -> None:
    assert drift_ms(interval) == drift


NTP = Anchor(1, 1_000_000, 1_700_000_000_000, 10, ClockQuality.NTP)
GUESS = Anchor(1, 1_000_000, 1_690_000_000_000, None, ClockQuality.ESTIMATED)
OTHER_BOOT = Anchor(2, 1_000_000, 1_800_000_000_000, 0, ClockQuality.NTP)


def test_resolve_adds_drift_over_the_distance() -> None:
    assert resolve(1, 0, [NTP]) == Resolved(1_699_999_000_000, 110, ClockQuality.NTP)
    assert resolve(1, 2_000_000, [NTP]) == Resolved(1_700_001_000_000, 110, ClockQuality.NTP)


def test_resolve_takes_the_smallest_bound_of_the_boot() -> None:
    late = Anchor(1, 9_000_000, 1_700_008_000_500, 50, ClockQuality.SERVER)
    anchors = [GUESS, NTP, OTHER_BOOT, late]
    near_first, near_late = resolve(1, 1_000_000, anchors), resolve(1, 9_000_000, anchors)
    assert near_first is not None
    assert near_late is not None
    assert (near_first.quality, near_late.quality) == (ClockQuality.NTP, ClockQuality.SERVER)


def test_resolve_prefers_any_bound_to_none() -> None:
    for anchors in ([GUESS, NTP], [NTP, GUESS]):
        resolved = resolve(1, 1_000_000, anchors)
        assert resolved is not None
        assert resolved.error_ms == 10


def test_resolve_without_an_anchor_of_the_boot() -> None:
    assert resolve(3, 0, [NTP, OTHER_BOOT]) is None
    assert resolve(1, 0, []) is None


def test_a_guess_has_no_bound() -> None:
    assert resolve(1, 1_000_000, [GUESS]) == Resolved(
        1_690_000_000_000, None, ClockQuality.ESTIMATED
    )


def test_server_time_belongs_to_the_middle_of_the_trip() -> None:
    assert anchor_from_server(1, 1000, 1101, 5_000_000) == Anchor(
        1, 1101, 5_000_051, 51, ClockQuality.SERVER
    )


def test_an_answer_before_its_question_is_no_anchor() -> None:
    assert anchor_from_server(1, 1000, 999, 5_000_000) is None


@pytest.mark.parametrize(("measured", "future"), [(300_000, False), (300_001, True), (-1, False)])
def test_future_begins_after_five_minutes(measured: int, future: bool) -> None:
    assert is_future(measured, 0) is future
