"""The time stamp of a health observation against the calendar of the standard library."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from wardlight_edge.devices._ghs_fields import elapsed_time
from wardlight_shared.model import DeviceTime, Flag

# ETS 1.0, 3.1: b0 ticks, b1 UTC, b2-3 resolution, b4 zone known, b5 current time line.
MICROSECONDS = (1_000_000, 100_000, 1000, 100)
UNSET = (None, int(Flag.DEVICE_CLOCK_UNSET))


def _told(flags: int, count: int, zone: int) -> tuple[DeviceTime | None, int]:
    return elapsed_time(flags, count & 0xFFFF_FFFF, count >> 32, 6, zone)


@given(flags=st.integers(0, 255), count=st.integers(0, (1 << 48) - 1), zone=st.integers(-128, 127))
def test_a_count_is_a_time_of_day_or_the_clock_is_not_set(
    flags: int, count: int, zone: int
) -> None:
    if flags & 1 or not flags & 0b100000 or not count:
        assert _told(flags, count, zone) == UNSET
        return
    minutes = zone * 15 if flags & 0b10000 and -48 <= zone <= 56 else None
    try:
        moment = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(
            microseconds=count * MICROSECONDS[flags >> 2 & 3]
        )
        if flags & 0b10:
            minutes = minutes or 0
            moment = moment.astimezone(timezone(timedelta(minutes=minutes)))
    except OverflowError:
        assert _told(flags, count, zone) == UNSET
        return
    day = (moment.year, moment.month, moment.day)
    shown = DeviceTime(*day, moment.hour, moment.minute, moment.second, minutes)
    assert _told(flags, count, zone) == (shown, 0)
