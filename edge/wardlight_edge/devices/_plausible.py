"""Flag readings outside a profile's plausible range, and withhold what nothing can measure.

The range is the profile's ``plausible`` for the metric, else the code table's; both are in the
table's unit, and both ends belong to it. These are engineering guards, not clinical limits: what is
outside is flagged and goes on. What no body can have is no number whatever a device says of it: a
share over 100 %, and less than nothing of anything but warmth and voltage. Then the value is
INVALID and the number stays in raw_value. Nothing is ever dropped.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import msgspec

from wardlight_edge.devices._units import ConversionError, convert
from wardlight_shared.codes import METRICS
from wardlight_shared.model import Absent, Flag, Reading
from wardlight_shared.profile import Profile

_IMPLAUSIBLE: Final = int(Flag.IMPLAUSIBLE)
_Range = tuple[Decimal, Decimal]
_NO_RANGES: Final[Mapping[str, _Range]] = MappingProxyType({})
_SHARE: Final = "%"
_WHOLE: Final = 100
_MAY_BE_NEGATIVE: Final = frozenset({"Cel", "[degF]", "K", "mV", "uV"})


def flag_implausible(
    readings: tuple[Reading, ...], profile: Profile | None = None
) -> tuple[Reading, ...]:
    """Return the readings, those outside their plausible range with Flag.IMPLAUSIBLE.

    Without a profile the ranges are the code table's. What is impossible is withheld.
    """
    ranges = (
        _NO_RANGES
        if profile is None
        else {
            metric.name: _exact(*metric.plausible) for metric in profile.metrics if metric.plausible
        }
    )
    return tuple(_checked(reading, ranges) for reading in readings)


@lru_cache(maxsize=256)
def _exact(low: float, high: float) -> _Range:
    # str() of a float is the decimal the operator wrote; the float itself is not.
    return Decimal(str(low)), Decimal(str(high))


def _checked(reading: Reading, ranges: Mapping[str, _Range]) -> Reading:
    limits = ranges.get(reading.metric) or METRICS[reading.metric].plausible
    if limits is None or not isinstance(reading.value, Decimal):
        return reading
    if _is_within(reading.value, reading.unit, METRICS[reading.metric].unit, limits):
        return reading
    flags = reading.flags | _IMPLAUSIBLE
    if not _is_impossible(reading.value, reading.unit):
        return msgspec.structs.replace(reading, flags=flags)
    raw, unit = reading.raw_value, reading.raw_unit
    if raw is None:
        raw, unit = reading.value, reading.unit
    return msgspec.structs.replace(
        reading, value=Absent.INVALID, raw_value=raw, raw_unit=unit, flags=flags
    )


def _is_impossible(value: Decimal, unit: str) -> bool:
    if value < 0:
        return unit not in _MAY_BE_NEGATIVE
    return unit == _SHARE and value > _WHOLE


def _is_within(value: Decimal, unit: str, table_unit: str, limits: _Range) -> bool:
    try:
        in_table_unit = convert(value, unit, table_unit)
    except ConversionError:
        return True  # no judgement without a common unit
    return limits[0] <= in_table_unit <= limits[1]
