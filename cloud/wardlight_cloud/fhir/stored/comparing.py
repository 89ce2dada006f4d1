"""Whether an interval compares as a search asks: what resources_search.sql does, of one value.

Source  R4 4.0.1 3.1.1.4.1 (prefixes)
"""

from decimal import Decimal
from typing import Final

from wardlight_cloud.store.resources import RangeMatch, RangeValue

_OPEN: Final = Decimal("Infinity")


def compares(match: RangeMatch, value: RangeValue) -> bool:
    """As range_eq and its like; an end that is not there lies beyond all that is asked for."""
    if match.unit != value.unit:
        return False
    low = -_OPEN if value.low is None else value.low
    high = _OPEN if value.high is None else value.high
    match match.op:
        case "eq":
            return match.low <= low and high <= match.high
        case "ne":
            return low < match.low or high > match.high
        case "lt":
            return low < match.low
        case "gt":
            return high > match.high
        case "le":
            return low <= match.high and (low < match.low or high <= match.high)
        case "ge":
            return high >= match.low and (high > match.high or low >= match.low)
        case "sa":
            return low >= match.high
        case "eb":
            return high <= match.low
    return low < match.high and high > match.low
