"""Bounds of numbers as bounds of mantissas, for each scale that readings commonly have.

The server then compares whole numbers: exact, and as fast as any other column.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor
from typing import Final

from wardlight_cloud.store.observation_sieve import Hull
from wardlight_cloud.store.postgres.gathering import Stretch

_SCALES: Final = range(-12, 7)  # ``bounded`` in observations.sql counts on these
_LEAST: Final = -(1 << 63)
_MOST: Final = (1 << 63) - 1


def bounded(
    stretches: Sequence[Stretch], numbers: Mapping[tuple[int, str], Hull]
) -> tuple[list[int], list[int]]:
    """Least and greatest mantissas, for each stretch those of all scales."""
    lows: list[int] = []
    highs: list[int] = []
    for stretch in stretches:
        low, high = _mantissas(*numbers[stretch.span.metric, stretch.span.unit])
        lows += low
        highs += high
    return lows, highs


@lru_cache(maxsize=256)
def _mantissas(
    low: Fraction | None, high: Fraction | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    steps = [Fraction(10) ** scale for scale in _SCALES]
    return (
        tuple(_LEAST if low is None else _within(ceil(low / step)) for step in steps),
        tuple(_MOST if high is None else _within(floor(high / step)) for step in steps),
    )


def _within(mantissa: int) -> int:
    return max(_LEAST, min(_MOST, mantissa))
