"""Flag readings outside a profile's plausible range; nothing is ever dropped or changed.

The range is the profile's ``plausible`` for the metric, else the code table's; both are in the
table's unit, and both ends belong to it. These are engineering guards, not clinical limits.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec

from wardlight_edge.devices._units import ConversionError, convert
from wardlight_shared.codes import METRICS
from wardlight_shared.model import Flag, Reading
from wardlight_shared.profile import Profile

_IMPLAUSIBLE: Final = int(Flag.IMPLAUSIBLE)
_Range = tuple[Decimal, Decimal]


def flag_implausible(readings: tuple[Reading, ...], profile: Profile) -> tuple[Reading, ...]:
    """Return the readings, those outside their plausible range with Flag.IMPLAUSIBLE."""
    ranges = {
        metric.name: _exact(*metric.plausible) for metric in profile.metrics if metric.plausible
    }
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
    return msgspec.structs.replace(reading, flags=reading.flags | _IMPLAUSIBLE)


def _is_within(value: Decimal, unit: str, table_unit: str, limits: _Range) -> bool:
    try:
        in_table_unit = convert(value, unit, table_unit)
    except ConversionError:
        return True  # no judgement without a common unit
    return limits[0] <= in_table_unit <= limits[1]
