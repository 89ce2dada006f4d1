"""Values of date parameters as intervals of time: lists, and prefixes that leave a gap.

A value that is one interval is two comparisons (dates.py); this is for all the others.

Errors  ValueError says what is wrong with the text
Source  R4 4.0.1 3.1.1.4.5
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from wardlight_cloud.fhir.dates import bounds
from wardlight_cloud.store.queries import TimeBound

FIRST: Final = datetime.min.replace(tzinfo=UTC)
LAST: Final = datetime.max.replace(tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
Span = tuple[datetime, datetime]
"""From then on, until then."""


def spans(text: str) -> tuple[Span, ...]:
    """What one value covers."""
    prefix = text[:2]
    if prefix not in ("ne", "ap"):
        return (span_of(bounds(text)),)
    low, high = span_of(bounds("eq" + text[2:]))
    if prefix == "ne":
        return (FIRST, low), (high, LAST)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    gap = abs(today - (low + (high - low) / 2)) / 10
    return ((_moved(low, -gap), _moved(high, gap)),)


def together(found: Sequence[Span]) -> tuple[Span, ...]:
    """Spans that do not meet, in the order of time, which cover the same."""
    made: list[Span] = []
    for low, high in sorted(each for each in found if each[0] < each[1]):
        if made and low <= made[-1][1]:
            made[-1] = made[-1][0], max(made[-1][1], high)
        else:
            made.append((low, high))
    return tuple(made)


def bounds_of(span: Span) -> tuple[TimeBound, ...]:
    """The comparisons that say the same."""
    low = () if span[0] == FIRST else (TimeBound("ge", span[0]),)
    high = () if span[1] == LAST else (TimeBound("lt", span[1]),)
    return (*low, *high)


def us_of(moment: datetime) -> int:
    """Microseconds since 1970, as readings have them."""
    return (moment - _EPOCH) // _US


def span_of(found: Sequence[TimeBound]) -> Span:
    """What comparisons as ``bounds`` makes them cover together."""
    low = [each.instant for each in found if each.op == "ge"]
    high = [each.instant for each in found if each.op == "lt"]
    return max(low, default=FIRST), min(high, default=LAST)


def _moved(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return LAST if by > timedelta() else FIRST
