"""Many values a second to few: the median, and the lowest and the highest where they differ. Pure.

A short fall within a second is in the store, and in the minimum of its minute, though one value a
second is. What is given out was shown by the device as it stands: the pairs are never mixed.
"""

from collections.abc import Sequence

Pair = tuple[int, int]


def median(values: Sequence[int]) -> int:
    """The lower median: one that was shown. ``values``: at least one."""
    return sorted(values)[(len(values) - 1) // 2]


def extremes(shown: Sequence[Pair], middle: Pair) -> tuple[list[Pair], list[Pair]]:
    """The pairs in which a number is the lowest or highest, and is not the one of ``middle``.

    In order; the first list holds those before the first number of ``middle`` was shown.
    """
    places: set[int] = set()
    for numbers, usual in zip(zip(*shown, strict=True), middle, strict=False):
        found = {min(numbers), max(numbers)} - {usual}
        places |= {numbers.index(extreme) for extreme in found}
    centre = next((at for at, pair in enumerate(shown) if pair[0] == middle[0]), 0)
    before = [shown[at] for at in sorted(places) if at < centre]
    return before, [shown[at] for at in sorted(places) if at >= centre]
