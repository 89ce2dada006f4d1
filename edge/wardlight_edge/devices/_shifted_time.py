"""A device's wall clock some minutes on: base time and time offset as one time. Pure."""

from datetime import datetime, timedelta

from wardlight_shared.model import DeviceTime


def shifted(time: DeviceTime, minutes: int) -> DeviceTime | None:
    """Return ``time`` moved by ``minutes``; None where it has no full date or leaves the calendar.

    The zone stays: a wall clock is moved, not an instant.
    """
    if not (time.year and time.month and time.day):
        return None
    try:
        moment = datetime(  # noqa: DTZ001 - a wall clock
            time.year, time.month, time.day, time.hour, time.minute, time.second
        ) + timedelta(minutes=minutes)
    except (OverflowError, ValueError):
        return None
    day, clock = (moment.year, moment.month, moment.day), (moment.hour, moment.minute)
    return DeviceTime(*day, *clock, moment.second, time.offset_min)
