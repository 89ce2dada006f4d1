"""HL7 date and time (DTM, TS) as the sender's wall clock.

In      YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+-ZZZZ]; TS: its first component
Out     (DeviceTime, flags); the fraction of a second is left out. Without a time of day, or with a
        date no calendar has, there is no time: a true measurement must not be lost for it
        Without a zone, ``zone`` holds (that of MSH-7), if any
Errors  Hl7Error: letters, a zone that is none
Source  HL7 v2.6, 2.A.22 DTM; 2.14.9.7 MSH-7 (its zone is the default of the message)
"""

import re
from datetime import datetime
from typing import Final

from wardlight_edge.devices._gatt import CLOCK_UNSET
from wardlight_edge.devices._hl7.errors import Hl7Error
from wardlight_shared.model import DeviceTime

_DTM: Final = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d\d)(?:(?P<day>\d\d)(?:(?P<hour>\d\d)(?:(?P<minute>\d\d)"
    r"(?:(?P<second>\d\d)(?:\.\d{1,6})?)?)?)?)?)?(?P<zone>[+-]\d{4})?\Z",
    re.ASCII,
)
_LONGEST: Final = 32


def zone_of(text: str, where: str) -> int | None:
    """The zone a time states, in minutes; None = it states none."""
    found = _DTM.match(text[:_LONGEST]) if text else None
    return _offset(found["zone"], where) if found and found["zone"] else None


def device_time(text: str, where: str, zone: int | None) -> tuple[DeviceTime | None, int]:
    """Return (device time, flags) of a field that is not empty."""
    found = _DTM.match(text[:_LONGEST])
    if found is None:
        raise Hl7Error(102, where, "not a date and time")
    offset = zone if found["zone"] is None else _offset(found["zone"], where)
    if found["minute"] is None:
        return None, CLOCK_UNSET
    year, month, day, hour, minute = (
        int(found[name]) for name in ("year", "month", "day", "hour", "minute")
    )
    second = int(found["second"] or 0)
    try:
        datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - a check of ranges
    except ValueError:
        return None, CLOCK_UNSET
    return DeviceTime(year, month, day, hour, minute, second, offset), 0


def _offset(zone: str, where: str) -> int:
    hours, minutes = int(zone[1:3]), int(zone[3:])
    if hours > 14 or minutes > 59:
        raise Hl7Error(102, where, "a zone that is none")
    return (-1 if zone[0] == "-" else 1) * (60 * hours + minutes)
