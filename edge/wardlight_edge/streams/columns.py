"""Integers in few bytes: the columns and time axes of records.BlockBody. Pure and exact.

A column is its first number and the differences to the one before, in the least width that holds
them all; a missing number repeats the one before, so it costs no wider difference.

Errors  OverflowError: a difference over 63 bits (``fits`` tells beforehand)
Source  docs/wire-format.md, block
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from wardlight_shared.model import CODE_BY_ABSENT, Absent
from wardlight_shared.records import Column

_WIDTHS = (1, 2, 4, 8)
_LIMIT = 1 << 63


def fits(number: int) -> bool:
    """Whether a number has a place in a block: signed 64 bit."""
    return -_LIMIT <= number < _LIMIT


def packed(numbers: Sequence[int]) -> tuple[int, bytes]:
    """Return (width, signed little-endian numbers of that width); width 1 for none."""
    least = max((number.bit_length() for number in _magnitudes(numbers)), default=0) // 8 + 1
    width = next((width for width in _WIDTHS if width >= least), None)
    if width is None:
        raise OverflowError("a difference of more than 63 bits")
    return width, b"".join(number.to_bytes(width, "little", signed=True) for number in numbers)


def _magnitudes(numbers: Iterable[int]) -> Iterable[int]:
    # -128 needs no more bits than 127: two's complement.
    return (number if number >= 0 else ~number for number in numbers)


def differences(numbers: Sequence[int]) -> list[int]:
    """Each number less the one before it; one place fewer than ``numbers``."""
    return [later - earlier for earlier, later in pairwise(numbers)]


def column(
    series: int, scale: int, mantissas: Sequence[int | Absent], flags: Sequence[int]
) -> Column:
    """Encode one or more samples of a series; the two sequences are parallel."""
    numbers = _repeating(mantissas)
    width, deltas = packed(differences(numbers))
    absents = [
        (place, CODE_BY_ABSENT[mantissa])
        for place, mantissa in enumerate(mantissas)
        if isinstance(mantissa, Absent)
    ]
    return Column(series, scale, numbers[0], width, deltas, absents or None, runs(flags) or None)


def _repeating(mantissas: Sequence[int | Absent]) -> list[int]:
    previous = 0
    numbers: list[int] = []
    for mantissa in mantissas:
        previous = previous if isinstance(mantissa, Absent) else mantissa
        numbers.append(previous)
    return numbers


def runs(flags: Sequence[int]) -> list[tuple[int, int, int]]:
    """(first sample, samples, flags) of each run of equal flags that are not 0."""
    found: list[tuple[int, int, int]] = []
    start = 0
    for place in range(1, len(flags) + 1):
        if place == len(flags) or flags[place] != flags[start]:
            if flags[start]:
                found.append((start, place - start, flags[start]))
            start = place
    return found


def jitter(ticks: Sequence[int], period: int) -> tuple[int, bytes]:
    """(width, bytes) of how far each tick misses its place ``period`` after the one before.

    No bytes at all when every sample is where it should be.
    """
    missed = [step - period for step in differences(ticks)]
    return packed(missed) if any(missed) else (1, b"")
