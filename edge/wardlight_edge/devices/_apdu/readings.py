"""What one object of a scan report holds, as readings.

Out     Found: readings with one person and one time; SFLOAT and FLOAT specials are Absent. The
        measurement status of the object and of each value become flags; "invalid" and "not
        available" withhold the number. Numbers and objects that the code table has no metric for
        are told by their codes
        A date or base-offset time is the readings' time. A relative time stamp is an age on one of
        the agent's counters: that of 125 us, which the report itself shows, or that of 1 us (high
        resolution), which the agent's own attributes showed. Where it is not shown, or the stamp is
        ahead of it, DEVICE_CLOCK_UNSET says that nobody knows when it was
Errors  DecodeError: octets that do not fit, a unit that does not fit
Source  ISO/IEEE 11073-20601 6.3.3 (numeric), A.5 (numeric observed values), A.3.4
        (MeasurementStatus), A.2 (RelativeTime, HighResRelativeTime), 8.12 (time stamps)
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from wardlight_edge.devices._apdu.configuration import Measured
from wardlight_edge.devices._apdu.mder import (
    Reader,
    absolute_time,
    base_offset_time,
    high_resolution,
)
from wardlight_edge.devices._gatt import CLOCK_UNSET, Number, number
from wardlight_edge.devices._mdc import METRIC_AT_SITE, UNIT_BY_CODE, measured
from wardlight_edge.devices._units import ConversionError, is_permitted
from wardlight_shared.codes import METRICS
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Absent, DeviceTime, Flag, Reading

_STATUS: Final = 0x0947
_UNIT: Final = 0x0996
_DATE: Final = 0x0990
_BASE_OFFSET: Final = 0x0A82
_RELATIVE: Final = 0x0991
_HIGH_RESOLUTION: Final = 0x09E9
_US_PER_MS: Final = 1000
_MOST_AHEAD_US: Final = 8_000_000  # as far as the other counter may be
_UNITS: Final = 4 << 16  # partition of units; an attribute holds the term alone
_NO_COUNTER: Final = 0xFFFFFFFF
_TICKS_PER_MS: Final = 8
_AHEAD: Final = 0xFFFF0000  # a counter that wraps is not that old, its stamp is up to 8 s ahead
_LIVE_MS: Final = 60_000
_MOST_AGE_MS: Final = 1 << 32  # seven weeks; a counter of 32 bit begins anew before
_LAST_USER: Final = 254
_FLAGS: Final = (
    (0x8000, Flag.INVALID),
    (0x4000, Flag.QUESTIONABLE),
    (0x2000, Flag.UNAVAILABLE),
    (0x1000, Flag.CALIBRATING),
    (0x0800, Flag.TEST),
    (0x0400, Flag.DEMO),
    (0x0080, Flag.VALIDATED),
    (0x0040, Flag.EARLY),
    (0x0020, Flag.ONGOING),
)


class Counters(NamedTuple):
    """What the agent's counters showed when it reported.

    ticks    of 125 us
    high_us  of the counter in high resolution; None = not known
    """

    ticks: int
    high_us: int | None = None


class Found(msgspec.Struct, frozen=True):
    """What one object says.

    age_ms   how long before the report it was measured, by the agent's counter; 0 = not known
    ignored  MDC codes of what was measured too and has no metric here
    """

    readings: tuple[Reading, ...]
    age_ms: int
    ignored: tuple[str, ...]


class _When(NamedTuple):
    time: DeviceTime | None
    flags: int
    age_ms: int


class _Value(NamedTuple):
    """One number observed; ``unit`` is an MDC code, ``flags`` are those of its own status."""

    code: int
    unit: int | None
    number: Decimal | Absent
    flags: int


def found_in(
    target: Measured, values: Mapping[int, bytes], person: int | None, counters: Counters
) -> Found:
    """Readings of the attributes of one object."""
    when = _when(values, counters)
    flags = when.flags
    if _STATUS in values:
        flags |= _status(Reader(values[_STATUS], "status").u16())
    user = person if person is not None and person <= _LAST_USER else None
    if person is not None and user is None:
        flags |= int(Flag.USER_UNKNOWN)
    made: list[Reading] = []
    ignored: list[str] = []
    numbers = list(_numbers(target, values))
    for value in numbers:
        metric, site = METRIC_AT_SITE.get(value.code, (None, None))
        if metric is None:
            ignored.append(str(value.code))
        else:
            made.append(_reading(metric, site, value, when.time, flags, user))
    if not numbers and not target.is_numeric:
        ignored.append(str(target.code))
    return Found(tuple(made), when.age_ms, tuple(ignored))


def _reading(
    metric: str,
    site: str | None,
    value: _Value,
    time: DeviceTime | None,
    flags: int,
    user: int | None,
) -> Reading:
    unit = UNIT_BY_CODE.get(value.unit or 0)
    if unit is None:
        raise DecodeError(f"object of {metric}: a unit this gateway does not know")
    flags |= value.flags
    (shown, raw, raw_unit), kept = _converted(metric, value.number, unit, flags)
    return Reading(metric, shown, kept, raw, raw_unit, time, flags, user, site)


def _converted(metric: str, value: Decimal | Absent, unit: str, flags: int) -> tuple[Number, str]:
    kept = unit if is_permitted(metric, unit) else METRICS[metric].unit
    if isinstance(value, Absent):
        return (value, None, None), kept
    if flags & Flag.INVALID:
        return number(value, unit, Absent.INVALID), kept
    if flags & Flag.UNAVAILABLE:
        return number(value, unit, Absent.NOT_MEASURED), kept
    try:
        return measured(metric, value, unit)
    except ConversionError as error:
        raise DecodeError(f"object of {metric}: a unit that does not fit") from error


def _status(word: int) -> int:
    flags = 0
    for mask, flag in _FLAGS:
        flags |= int(flag) * bool(word & mask)
    return flags


def _when(values: Mapping[int, bytes], counters: Counters) -> _When:
    if _DATE in values:
        return _When(*absolute_time(values[_DATE]), 0)
    if _BASE_OFFSET in values:
        return _When(*base_offset_time(values[_BASE_OFFSET]), 0)
    if _RELATIVE in values:
        return _by_counter(Reader(values[_RELATIVE], "relative time").u32(), counters.ticks)
    if _HIGH_RESOLUTION in values:
        return _by_high_counter(high_resolution(values[_HIGH_RESOLUTION]), counters.high_us)
    return _When(None, 0, 0)


def _by_high_counter(stamp_us: int, counter_us: int | None) -> _When:
    if counter_us is None or stamp_us - counter_us > _MOST_AHEAD_US:
        return _When(None, CLOCK_UNSET, 0)
    return _aged(max(counter_us - stamp_us, 0) // _US_PER_MS)


def _by_counter(stamp: int, counter: int) -> _When:
    if _NO_COUNTER in (stamp, counter):
        return _When(None, CLOCK_UNSET, 0)
    ticks = (counter - stamp) & 0xFFFFFFFF
    return _aged(0 if ticks > _AHEAD else ticks // _TICKS_PER_MS)


def _aged(age_ms: int) -> _When:
    if age_ms > _MOST_AGE_MS:
        return _When(None, CLOCK_UNSET, 0)
    # What it kept may be from before its counter began anew: no bound is honest then.
    return _When(None, int(Flag.FROM_STORAGE) * (age_ms > _LIVE_MS), age_ms)


def _numbers(target: Measured, values: Mapping[int, bytes]) -> Iterator[_Value]:
    unit = target.unit
    if _UNIT in values:
        unit = _UNITS | Reader(values[_UNIT], "unit").u16()
    for attribute, octets in values.items():
        reader = Reader(octets, f"attribute {attribute:#06x}")
        match attribute:
            case 0x0A4C:
                yield _Value(target.code, unit, reader.sfloat(), 0)
            case 0x0A56:
                yield _Value(target.code, unit, reader.float(), 0)
            case 0x0950:
                yield _with_status(target, reader)
            case 0x094B:
                for each in reader.items():
                    yield _with_status(target, each)
            case 0x0A75 | 0x0A74:
                yield from _compound(target, reader, unit, is_short=attribute == 0x0A75)
            case _:
                continue
        reader.end()


def _with_status(target: Measured, reader: Reader) -> _Value:
    """A NuObsValue: metric id, status, unit, value."""
    code = target.code & 0xFFFF0000 | reader.u16()
    flags, unit = _status(reader.u16()), _UNITS | reader.u16()
    return _Value(code, unit, reader.float(), flags)


def _compound(
    target: Measured, reader: Reader, unit: int | None, *, is_short: bool
) -> Iterator[_Value]:
    for place, each in enumerate(reader.items()):
        value = each.sfloat() if is_short else each.float()
        if place >= len(target.parts):
            raise DecodeError("compound value: more numbers than the configuration names")
        yield _Value(target.parts[place], unit, value, 0)
