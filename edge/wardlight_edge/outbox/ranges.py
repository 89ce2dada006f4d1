"""A set of integers kept as disjoint inclusive ranges: leases, acknowledged seqs, losses.

Memory and time follow the number of ranges, not of integers; seqs come in runs.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence


class RangeSet:
    """Integers as ascending, disjoint, non-adjacent (first, last) ranges."""

    __slots__ = ("_firsts", "_lasts", "count")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self.count = 0
        for first, last in ranges:
            self.add(first, last)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def __len__(self) -> int:
        """Number of ranges; ``count`` is the number of integers."""
        return len(self._firsts)

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int):
            return False
        place = bisect_left(self._lasts, value)
        return place < len(self._firsts) and self._firsts[place] <= value

    def add(self, first: int, last: int) -> None:
        """Add every integer of [first, last]; nothing when last < first."""
        if last < first:
            return
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, self._lasts[high - 1])
        self._replace(low, high, ((first, last),))

    def add_all(self, ascending: Sequence[int]) -> None:
        """Add integers given in ascending order."""
        for first, last in runs(ascending):
            self.add(first, last)

    def remove(self, first: int, last: int) -> None:
        """Remove every integer of [first, last]; nothing when last < first."""
        if last < first:
            return
        low = bisect_left(self._lasts, first)
        high = bisect_right(self._firsts, last)
        if low >= high:
            return
        left = (self._firsts[low], first - 1)
        right = (last + 1, self._lasts[high - 1])
        self._replace(low, high, [pair for pair in (left, right) if pair[0] <= pair[1]])

    def overlaps(self, first: int, last: int) -> bool:
        """Whether any integer of [first, last], first <= last, is in the set."""
        place = bisect_left(self._lasts, first)
        return place < len(self._firsts) and self._firsts[place] <= last

    def covers(self, first: int, last: int) -> bool:
        """Whether every integer of [first, last], first <= last, is in the set."""
        place = bisect_left(self._lasts, first)
        return (
            place < len(self._firsts)
            and self._firsts[place] <= first
            and last <= self._lasts[place]
        )

    def clear(self) -> None:
        """Remove everything."""
        self._replace(0, len(self._firsts), ())

    def _replace(self, low: int, high: int, ranges: Sequence[tuple[int, int]]) -> None:
        gone = sum(self._lasts[low:high]) - sum(self._firsts[low:high]) + high - low
        self.count += sum(last - first + 1 for first, last in ranges) - gone
        self._firsts[low:high] = [first for first, _ in ranges]
        self._lasts[low:high] = [last for _, last in ranges]


def runs(ascending: Iterable[int]) -> list[tuple[int, int]]:
    """(first, last) of each run of consecutive integers, given in strictly ascending order."""
    found: list[tuple[int, int]] = []
    first = last = None
    for value in ascending:
        if last is not None and value == last + 1:
            last = value
            continue
        if first is not None and last is not None:
            found.append((first, last))
        first = last = value
    if first is not None and last is not None:
        found.append((first, last))
    return found
