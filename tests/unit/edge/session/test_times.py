"""When was it measured: each row of the table in sessions/times.py."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.sessions.times import (
    EPISODE_MS,
    STREAM_MS,
    Policy,
    Receipt,
    Timing,
    local_device_s,
    seconds_in_zone,
    skew_s,
    timing_of,
)
from wardlight_shared.model import DeviceTime, Flag, Reading
from wardlight_shared.records import TimeMethod
from wardlight_shared.timestamps import DeviceClock, device_seconds

NOON = DeviceTime(2026, 8, 1, 12, 0, 0)
NOON_S = device_seconds(NOON) or 0
# 2026-08-01T10:00:00Z is noon where the offset is 120 minutes.
RECEIPT = Receipt(mono_ms=7_000_000, wall_ms=1_785_578_400_000, offset_min=120)


def _time(
    time: DeviceTime | None,
    flags: int = 0,
    clock: DeviceClock | None = None,
    policy: Policy = Policy.DOUBTED,
    receipt: Receipt = RECEIPT,
) -> Timing:
    readings = (
        Reading("systolic_bp", Decimal(120), "mm[Hg]", time=time, flags=flags),
        Reading("diastolic_bp", Decimal(80), "mm[Hg]", time=time, flags=flags),
    )
    return timing_of(readings, receipt, clock, policy)


def test_the_local_clock_of_the_gateway() -> None:
    assert local_device_s(RECEIPT.wall_ms, RECEIPT.offset_min) == NOON_S


def test_without_device_time_it_is_the_receipt() -> None:
    timing = _time(None)
    assert (timing.method, timing.age_ms, timing.error_ms) == (TimeMethod.RECEIPT, 0, EPISODE_MS)
    assert timing.device_time is None
    assert not timing.flags


def test_of_a_stream_the_receipt_is_sharper() -> None:
    receipt = Receipt(1, RECEIPT.wall_ms, 120, is_stream=True)
    assert _time(None, receipt=receipt).error_ms == STREAM_MS


def test_a_stored_reading_without_time_has_no_honest_bound() -> None:
    timing = _time(None, int(Flag.FROM_STORAGE))
    assert timing.error_ms is None
    assert timing.flags == Flag.TIME_UNCERTAIN


def test_a_date_that_is_none_is_kept_as_sent() -> None:
    timing = _time(DeviceTime(0, 6, 15, 7, 30, 0))
    assert timing.method is TimeMethod.RECEIPT
    assert timing.device_time == "0000-06-15T07:30:00"
    assert timing.error_ms is None
    assert timing.flags == Flag.DEVICE_CLOCK_UNSET | Flag.TIME_UNCERTAIN


def test_a_clock_the_device_calls_unset_dates_nothing() -> None:
    clock = DeviceClock(NOON_S, RECEIPT.mono_ms)
    timing = _time(NOON, int(Flag.DEVICE_CLOCK_UNSET), clock)
    assert timing.method is TimeMethod.RECEIPT
    assert timing.flags & Flag.DEVICE_CLOCK_UNSET


def test_a_clock_that_was_read_dates_by_its_own_difference() -> None:
    """3 h 10 s behind; measured 90 s before the clock was read, that 2 s before the receipt."""
    clock = DeviceClock(NOON_S - 3 * 3600 - 10, RECEIPT.mono_ms - 2000)
    measured = DeviceTime(2026, 8, 1, 8, 58, 20)
    timing = _time(measured, clock=clock)
    assert timing.method is TimeMethod.DEVICE_CLOCK
    assert timing.age_ms == 92_000
    assert timing.error_ms == 2000 + 10  # two truncated stamps and 100 ppm of drift
    assert timing.skew_s == 3 * 3600 + 10 - 2
    assert timing.device_time == device_seconds(measured)
    assert timing.flags == 0


def test_old_memory_is_late() -> None:
    clock = DeviceClock(NOON_S, RECEIPT.mono_ms)
    timing = _time(DeviceTime(2026, 7, 29, 12, 0, 0), clock=clock)
    assert timing.age_ms == 3 * 86_400_000
    assert timing.flags == Flag.LATE


def test_a_far_clock_is_flagged_and_still_dates() -> None:
    clock = DeviceClock(0, RECEIPT.mono_ms)  # it shows 2000-01-01
    timing = _time(DeviceTime(1999, 12, 31, 23, 59, 0), clock=clock)
    assert timing.method is TimeMethod.DEVICE_CLOCK
    assert timing.age_ms == 60_000
    assert timing.flags == Flag.DEVICE_CLOCK_FAR


def test_a_stamp_ahead_of_its_own_clock_is_not_believed() -> None:
    """The battery was changed since: the clock started anew, the memory did not."""
    clock = DeviceClock(0, RECEIPT.mono_ms)
    timing = _time(NOON, clock=clock)
    assert timing.method is TimeMethod.RECEIPT
    assert timing.error_ms is None
    assert timing.flags == Flag.DEVICE_CLOCK_FAR | Flag.TIME_UNCERTAIN


def test_a_stamp_from_before_the_clock_was_set_has_no_bound() -> None:
    clock = DeviceClock(NOON_S, RECEIPT.mono_ms)
    timing = _time(DeviceTime(2010, 1, 1, 0, 4, 0), clock=clock)
    assert timing.method is TimeMethod.DEVICE_CLOCK
    assert timing.error_ms is None
    assert timing.flags == Flag.TIME_UNCERTAIN | Flag.LATE


def test_truncation_makes_no_reading_of_the_future() -> None:
    clock = DeviceClock(NOON_S, RECEIPT.mono_ms)
    assert _time(DeviceTime(2026, 8, 1, 12, 0, 1), clock=clock).age_ms == 0


def test_an_unread_clock_near_now_is_a_live_reading() -> None:
    timing = _time(DeviceTime(2026, 8, 1, 11, 58, 0))
    assert (timing.method, timing.age_ms, timing.error_ms) == (TimeMethod.RECEIPT, 0, EPISODE_MS)
    assert timing.flags == 0


def test_an_unread_clock_an_hour_away_has_no_bound() -> None:
    """Daylight saving, or memory: nobody can tell, so it is rather old than falsely fresh."""
    timing = _time(DeviceTime(2026, 8, 1, 11, 0, 0))
    assert timing.method is TimeMethod.DEVICE_ASSUMED
    assert timing.error_ms is None
    assert timing.flags == Flag.TIME_UNCERTAIN | Flag.LATE
    assert timing.offset_min == RECEIPT.offset_min


def test_an_unread_clock_days_away_is_flagged_far() -> None:
    timing = _time(DeviceTime(2017, 1, 1, 0, 10, 0))
    assert timing.flags == Flag.DEVICE_CLOCK_FAR | Flag.TIME_UNCERTAIN
    assert timing.method is TimeMethod.RECEIPT


def test_what_the_device_calls_stored_is_dated_by_its_wall_clock() -> None:
    timing = _time(DeviceTime(2026, 8, 1, 7, 0, 0), int(Flag.FROM_STORAGE))
    assert timing.method is TimeMethod.DEVICE_ASSUMED
    assert timing.age_ms == 5 * 3_600_000
    assert timing.flags == Flag.TIME_UNCERTAIN | Flag.LATE


def test_a_capture_is_dated_by_the_gateways_local_time_exactly() -> None:
    timing = _time(DeviceTime(2015, 6, 6, 16, 50, 27), policy=Policy.TRUSTED)
    assert timing.method is TimeMethod.DEVICE_ASSUMED
    measured_ms = RECEIPT.wall_ms - timing.age_ms
    assert measured_ms == 1_433_602_227_000  # 2015-06-06T14:50:27Z


def test_a_stated_zone_is_used_and_travels_as_text() -> None:
    time = DeviceTime(2026, 8, 1, 12, 0, 0, offset_min=-210)
    timing = _time(time, policy=Policy.TRUSTED)
    assert timing.device_time == "2026-08-01T12:00:00-03:30"
    assert timing.age_ms == -(120 + 210) * 60_000


@pytest.mark.parametrize("offset_min", [16 * 60, -15 * 60])
def test_a_stated_zone_that_no_place_has_counts_and_is_not_said_of_the_place(
    offset_min: int,
) -> None:
    """GATT time zone and daylight saving add up to 16 h at most; R4 shows 14 h."""
    timing = _time(DeviceTime(2026, 8, 1, 12, 0, 0, offset_min), policy=Policy.TRUSTED)
    assert timing.age_ms == (offset_min - 120) * 60_000
    assert timing.offset_min is None
    assert str(timing.device_time).startswith("2026-08-01T12:00:00")


@pytest.mark.parametrize("offset_min", [-300, 0, 120, 345])
def test_a_stamp_in_utc_is_compared_with_a_local_clock_in_its_zone(offset_min: int) -> None:
    """BPS 1.1: the time stamp is UTC; CTS 1.1: Current Time is local time."""
    receipt = Receipt(RECEIPT.mono_ms, RECEIPT.wall_ms, offset_min)
    clock = DeviceClock(local_device_s(receipt.wall_ms, offset_min), receipt.mono_ms)
    ten_minutes_ago = DeviceTime(2026, 8, 1, 9, 50, 0, offset_min=0)
    timing = _time(ten_minutes_ago, clock=clock, receipt=receipt)
    assert timing.method is TimeMethod.DEVICE_CLOCK
    assert timing.age_ms == 600_000
    assert timing.error_ms == 2000 + 60
    assert timing.flags == Flag.LATE


def test_a_stamp_in_utc_and_a_clock_that_shows_utc() -> None:
    clock = DeviceClock(NOON_S - 2 * 3600 - 20, RECEIPT.mono_ms)
    timing = _time(DeviceTime(2026, 8, 1, 9, 50, 0, offset_min=0), clock=clock)
    assert (timing.age_ms, timing.error_ms) == (580_000, 2000 + 58)


def test_a_stamp_from_before_daylight_saving_and_a_clock_that_followed_it() -> None:
    """Stored at 01:30 in winter (+60), read at noon in summer (+120): nine and a half hours."""
    clock = DeviceClock(NOON_S, RECEIPT.mono_ms)
    timing = _time(DeviceTime(2026, 8, 1, 1, 30, 0, offset_min=60), clock=clock)
    assert timing.age_ms == 9.5 * 3_600_000
    assert timing.error_ms is not None


def test_a_clock_in_another_zone_that_the_stamp_states() -> None:
    clock = DeviceClock(NOON_S - 5 * 3600, RECEIPT.mono_ms)  # in UTC-3
    timing = _time(DeviceTime(2026, 8, 1, 6, 50, 0, offset_min=-180), clock=clock)
    assert (timing.age_ms, timing.error_ms) == (600_000, 2000 + 60)


@pytest.mark.parametrize("wrong_s", [-3600, 1800, 451, -26 * 366 * 86_400])
def test_a_stamp_in_utc_and_a_clock_whose_zone_nobody_can_tell_have_no_bound(
    wrong_s: int,
) -> None:
    """Its clock is wrong, or its zone is another one: either would look like this."""
    clock = DeviceClock(NOON_S + wrong_s, RECEIPT.mono_ms)
    stamp = datetime(2026, 8, 1, 9, 50) + timedelta(seconds=wrong_s)  # noqa: DTZ001 - device
    time = DeviceTime(*stamp.timetuple()[:6], offset_min=0)
    timing = _time(time, clock=clock)
    assert timing.method is TimeMethod.DEVICE_CLOCK
    assert timing.age_ms == 600_000
    assert timing.error_ms is None
    assert timing.flags & Flag.TIME_UNCERTAIN


def test_a_stamp_with_a_zone_as_a_clock_of_the_gateway_shows_it() -> None:
    assert seconds_in_zone(NOON, 60) == NOON_S
    assert seconds_in_zone(DeviceTime(2026, 8, 1, 10, 0, 0, offset_min=0), 120) == NOON_S
    assert seconds_in_zone(DeviceTime(2026, 8, 1, 6, 30, 0, offset_min=-210), 120) == NOON_S
    assert seconds_in_zone(DeviceTime(0, 8, 1, 6, 30, 0), 120) is None


@given(
    st.integers(-10 * 366 * 86_400, 40 * 366 * 86_400),
    st.integers(0, 40 * 366 * 86_400),
    st.integers(0, 10**9),
    st.integers(-14 * 60, 14 * 60),
)
def test_a_clock_that_was_read_needs_neither_zone_nor_wall_clock(
    behind_s: int, device_s: int, later_ms: int, offset_min: int
) -> None:
    """Age is the same whatever the gateway thinks the time is."""
    clock = DeviceClock(device_s, 1000)
    stamp = DeviceTime(2026, 8, 1, 12, 0, 0)
    ages = set()
    for wall_ms in (0, RECEIPT.wall_ms + behind_s):
        receipt = Receipt(1000 + later_ms, wall_ms, offset_min)
        ages.add(_time(stamp, clock=clock, receipt=receipt).age_ms)
    assert len(ages) == 1


def test_skew_is_taken_at_the_moment_of_reading() -> None:
    clock = DeviceClock(NOON_S - 50, RECEIPT.mono_ms - 10_000)
    assert skew_s(clock, RECEIPT) == 40
