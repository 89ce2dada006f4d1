"""Statistics of numbers that are counted, all of them exact until they are written.

In      how often each number was measured
Out     decimals; what no finite decimal says (a third, a root) is rounded half to even, two digits
        behind the finest number

Source  HL7 code system observation-statistics; percentiles by linear interpolation between ranks
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from itertools import accumulate
from typing import Final

SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/observation-statistics"
_EXACT_DIGITS: Final = 12
_MORE_DIGITS: Final = 2
_MOST_DIGITS: Final = 60
_WRITTEN: Final = Context(prec=_MOST_DIGITS, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Counted:
    """Numbers in their order and how often each stands; ``missing``: measured without a number."""

    numbers: tuple[Fraction, ...]
    counts: tuple[int, ...]
    missing: int
    finest: int  # digits behind the point of the finest number

    @property
    def count(self) -> int:
        """How many have a number."""
        return sum(self.counts)

    def moment(self, power: int) -> Fraction:
        """Sum of the powers of the distances from the mean."""
        mean = self.total / self.count
        pairs = zip(self.numbers, self.counts, strict=True)
        return sum(((number - mean) ** power * times for number, times in pairs), Fraction())

    @property
    def total(self) -> Fraction:
        """The sum."""
        pairs = zip(self.numbers, self.counts, strict=True)
        return sum((number * times for number, times in pairs), Fraction())

    def at(self, part: Fraction) -> Fraction:
        """The number below which that part of them lies."""
        place = part * (self.count - 1)
        low = place.numerator // place.denominator
        below, above = self._ranked(low), self._ranked(min(low + 1, self.count - 1))
        return below + (above - below) * (place - low)

    def _ranked(self, rank: int) -> Fraction:
        for number, reached in zip(self.numbers, accumulate(self.counts), strict=True):
            if rank < reached:
                return number
        return self.numbers[-1]


def counted(numbers: Mapping[Fraction, int], missing: int, finest: int) -> Counted:
    """Numbers put in order."""
    ordered = sorted(numbers)
    return Counted(tuple(ordered), tuple(numbers[each] for each in ordered), missing, finest)


def _variance(of: Counted) -> Fraction | None:
    return of.moment(2) / (of.count - 1) if of.count > 1 else None


def _deviation(of: Counted) -> Fraction | None:
    variance = _variance(of)
    return None if variance is None else _root(variance)


def _skew(of: Counted) -> Fraction | None:
    """Of the sample, adjusted (G1)."""
    n, spread = of.count, of.moment(2)
    if n < 3 or spread == 0:
        return None
    biased = (of.moment(3) / n) / _root((spread / n) ** 3)
    return biased * _root(Fraction(n * (n - 1))) / (n - 2)


def _kurtosis(of: Counted) -> Fraction | None:
    """Of the sample, adjusted, in excess of the normal one (G2)."""
    n, spread = of.count, of.moment(2)
    if n < 4 or spread == 0:
        return None
    excess = (of.moment(4) / n) / (spread / n) ** 2 - 3
    return Fraction(n - 1, (n - 2) * (n - 3)) * ((n + 1) * excess + 6)


def _root(number: Fraction) -> Fraction:
    context = Context(prec=50)
    quotient = context.divide(Decimal(number.numerator), Decimal(number.denominator))
    return Fraction(context.sqrt(quotient))


def _part(part: Fraction) -> Callable[[Counted], Fraction]:
    return lambda of: of.at(part)


STATISTICS: Final[Mapping[str, Callable[[Counted], Fraction | None]]] = {
    "average": lambda of: of.total / of.count,
    "maximum": lambda of: of.numbers[-1],
    "minimum": lambda of: of.numbers[0],
    "count": lambda of: Fraction(of.count),
    "total-count": lambda of: Fraction(of.count + of.missing),
    "median": _part(Fraction(1, 2)),
    "std-dev": _deviation,
    "sum": lambda of: of.total,
    "variance": _variance,
    "20-percent": _part(Fraction(1, 5)),
    "80-percent": _part(Fraction(4, 5)),
    "4-lower": _part(Fraction(1, 4)),
    "4-upper": _part(Fraction(3, 4)),
    "4-dev": lambda of: of.at(Fraction(3, 4)) - of.at(Fraction(1, 4)),
    "5-1": _part(Fraction(1, 5)),
    "5-2": _part(Fraction(2, 5)),
    "5-3": _part(Fraction(3, 5)),
    "5-4": _part(Fraction(4, 5)),
    "skew": _skew,
    "kurtosis": _kurtosis,
}
"""By code; None: too few numbers for it."""

COUNTS: Final = frozenset({"count", "total-count"})
"""Those that are also told of no number at all."""

ALSO_CALLED: Final = {"min": "minimum", "max": "maximum"}


def statistic(code: str, of: Counted) -> Decimal | None:
    """One statistic; None where there are too few numbers."""
    if code not in COUNTS and not of.count:
        return None
    found = STATISTICS[code](of)
    return None if found is None else written(found, of.finest)


def written(number: Fraction, finest: int) -> Decimal:
    """Exact where few digits say it, else rounded; to 60 digits, whatever the numbers are."""
    for digits in range(_EXACT_DIGITS + 1):
        scaled = number * 10**digits
        if scaled.denominator == 1:
            return _WRITTEN.scaleb(Decimal(scaled.numerator), -digits)
    quotient = _WRITTEN.divide(Decimal(number.numerator), Decimal(number.denominator))
    behind = finest + _MORE_DIGITS
    if quotient.adjusted() + behind >= _MOST_DIGITS - 1:  # all of its digits stand before that
        return quotient
    return quotient.quantize(Decimal(1).scaleb(-behind), context=_WRITTEN)
