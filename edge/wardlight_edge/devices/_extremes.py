"""Many values a second to few: the median, and the lowest and the highest where they differ. Pure.

What Contec, Nonin and Berry lines do with the frames or packets of a second. A short fall within
a second is in the store, and in the minimum of its minute, though one value a second is. The
lowest and the highest are given out as the device showed them, with the number that stood beside.
"""

from collections.abc import Callable, Container, Sequence
from itertools import filterfalse
from typing import NamedTuple

from wardlight_edge.devices._base import Frame, Samples
from wardlight_shared.model import Reading

Columns = tuple[Sequence[int], Sequence[int]]
"""Two numbers of each frame of a second, as they were sent."""

NoValues = tuple[Container[int], Container[int]]
"""For each column the numbers that are none. All four as bytes take the least time."""


class Reduced(NamedTuple):
    """A second of two numbers.

    middle  the lower median of each number by itself: one that was shown; None without a value
    before  places at which one of them is lowest or highest and is not its median, in order, that
            lie before the median was shown
    after   those behind
    """

    middle: tuple[int | None, int | None]
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()


def frame(
    columns: Columns,
    none: NoValues,
    readings: Callable[[int, int], tuple[Reading, ...]],
    samples: tuple[Samples, ...],
) -> Frame:
    """Make the Frame of a second of one or more frames; ``readings`` are those of two numbers.

    A number without a value all second long is the last one that was sent.
    """
    first, second = columns[0][0], columns[1][0]
    if columns[0].count(first) == columns[1].count(second) == len(columns[0]):
        return Frame(readings(first, second), samples)
    found = reduced(columns, none)
    first, second = (
        column[-1] if number is None else number
        for number, column in zip(found.middle, columns, strict=True)
    )

    def shown(places: tuple[int, ...]) -> tuple[tuple[Reading, ...], ...]:
        return tuple(readings(columns[0][at], columns[1][at]) for at in places)

    return Frame(readings(first, second), samples, shown(found.before), shown(found.after))


def reduced(columns: Columns, none: NoValues) -> Reduced:
    """Reduce two columns of one length, at least 1."""
    first, first_ends = _middle_and_ends(columns[0], none[0])
    second, second_ends = _middle_and_ends(columns[1], none[1])
    places = {columns[0].index(number) for number in first_ends}
    places.update(columns[1].index(number) for number in second_ends)
    if not places:
        return Reduced((first, second))
    centre = _shown_at(columns, (first, second))
    ordered = sorted(places)
    before = tuple([place for place in ordered if place < centre])
    return Reduced((first, second), before, tuple(ordered[len(before) :]))


def _middle_and_ends(
    column: Sequence[int], none: Container[int]
) -> tuple[int | None, tuple[int, ...]]:
    """The lower median of what is a value, and the lowest and the highest that are not it."""
    if isinstance(column, bytes) and isinstance(none, bytes):
        values = sorted(column.translate(None, none))
    else:
        values = sorted(filterfalse(none.__contains__, column))
    if not values:
        return None, ()
    usual = values[(len(values) - 1) // 2]
    return usual, tuple([number for number in (values[0], values[-1]) if number != usual])


def _shown_at(columns: Columns, middle: tuple[int | None, int | None]) -> int:
    """Where the median was shown: both numbers of it, else the first that is a value."""
    (first, second), (one, other) = columns, middle
    if one is None or other is None:
        return second.index(other) if other is not None else first.index(one or 0)
    at = first.index(one)
    try:
        while second[at] != other:
            at = first.index(one, at + 1)
    except ValueError:
        return first.index(one)
    return at
