"""Values of quantity parameters as exact intervals, in each unit that readings have.

``gt38``, ``38.0|http://unitsofmeasure.org|Cel``, ``5.4||mmol/L``. What is asked for in another unit
of the same kind is brought into the reading's, as fractions: 100.4 [degF] is 38 Cel, no more or
less. ``eq`` takes half a step of the last digit to either side, the upper end not included.

Errors  FhirError 400 with the parameter at fault
Source  R4 4.0.1 3.1.1.4.6 (quantity), 3.1.1.4.5 (prefixes); UCUM by stored/units.py
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from wardlight_cloud.fhir.outcome import invalid
from wardlight_cloud.fhir.remembered import remembered
from wardlight_cloud.fhir.stored.search_values import MOST_ALTERNATIVES, NUMBER, parts_of, plain
from wardlight_cloud.fhir.stored.units import exactly_in_base_unit
from wardlight_cloud.fhir.vocabulary import MEASURED, UCUM, unit_text
from wardlight_cloud.store.observation_sieve import Hull

UNITS: Final = tuple(sorted({unit for _, unit in MEASURED}))
"""Units of readings."""

_PREFIXES: Final = ("eq", "ne", "lt", "gt", "le", "ge", "sa", "eb", "ap")
_SAME: Final = {"sa": "gt", "eb": "lt"}  # a number is a point: what begins after it is greater
_HALF: Final = Fraction(1, 2)
_TENTH: Final = Fraction(1, 10)


@dataclass(frozen=True, slots=True)
class Interval:
    """Numbers between two ends; None = without an end."""

    low: Fraction | None = None
    high: Fraction | None = None
    has_low: bool = True
    has_high: bool = True

    def holds(self, number: Fraction) -> bool:
        """Whether a number is one of them."""
        if self.low is not None and (
            number < self.low or (number == self.low and not self.has_low)
        ):
            return False
        return self.high is None or number < self.high or (number == self.high and self.has_high)


@dataclass(frozen=True, slots=True)
class Quantities:
    """Intervals, any of which a number may lie in, by the unit of the reading."""

    of_unit: tuple[tuple[str, tuple[Interval, ...]], ...]

    def units(self) -> frozenset[str]:
        """Units in which a number can be meant."""
        return frozenset(unit for unit, _ in self.of_unit)

    def hull(self, unit: str) -> Hull:
        """Between what all of the intervals lie."""
        found = dict(self.of_unit)[unit]
        lows, highs = [each.low for each in found], [each.high for each in found]
        return (
            None if None in lows else min(each for each in lows if each is not None),
            None if None in highs else max(each for each in highs if each is not None),
        )


def quantities(name: str, values: Sequence[str]) -> Quantities:
    """What a parameter's values mean, in each unit."""
    if len(values) > MOST_ALTERNATIVES:
        raise invalid(name, f"has more than {MOST_ALTERNATIVES} values; ask in parts")
    found: dict[str, list[Interval]] = {}
    for value in values:
        for unit, intervals in _meant(name, value):
            found.setdefault(unit, []).extend(intervals)
    return Quantities(tuple((unit, tuple(each)) for unit, each in found.items()))


def _meant(name: str, value: str) -> Iterable[tuple[str, tuple[Interval, ...]]]:
    prefix, text = (value[:2], value[2:]) if value[:2] in _PREFIXES else ("eq", value)
    number, *unit = parts_of(text, "|", 2)
    if len(unit) == 1:
        raise invalid(name, "write it as number|system|code, number||unit or number")
    intervals = _intervals(name, _SAME.get(prefix, prefix), number)
    if not unit or not any(unit):
        return [(each, intervals) for each in UNITS]
    system, code = (plain(each) for each in unit)
    if system not in ("", UCUM):
        return ()
    return [
        (each, tuple(_shifted(interval, moved) for interval in intervals))
        for each in UNITS
        if (moved := _conversion(code, each) if system or code != unit_text(each) else _AS_IT_IS)
    ]


def _intervals(name: str, prefix: str, text: str) -> tuple[Interval, ...]:
    if NUMBER.fullmatch(text) is None:
        raise invalid(name, f"{text[:40]!r} is not a number")
    written = Decimal(text)
    number = Fraction(written)
    match prefix:
        case "lt":
            return (Interval(None, number, has_high=False),)
        case "le":
            return (Interval(None, number),)
        case "gt":
            return (Interval(number, None, has_low=False),)
        case "ge":
            return (Interval(number, None),)
        case "ap":
            around = abs(number) * _TENTH
            return (Interval(number - around, number + around),)
    half = _HALF * Fraction(10) ** int(written.as_tuple().exponent)
    low, high = number - half, number + half
    if prefix == "ne":
        return Interval(None, low, has_high=False), Interval(high, None)
    return (Interval(low, high, has_high=False),)


Conversion = tuple[Fraction, Fraction]
"""Factor and what is added: from the unit that is asked for into that of the reading."""


_AS_IT_IS: Final[Conversion] = (Fraction(1), Fraction(0))


@remembered(1024)
def _conversion(code: str, unit: str) -> Conversion | None:
    """None where neither is the other."""
    if code == unit:
        return _AS_IT_IS
    asked, own = _line(code), _line(unit)
    if asked is None or own is None or asked[2] != own[2]:
        return None
    return asked[0] / own[0], (asked[1] - own[1]) / own[0]


def _line(code: str) -> tuple[Fraction, Fraction, str] | None:
    """Factor, what is added, and the base unit."""
    zero, one = (exactly_in_base_unit(Fraction(number), code) for number in (0, 1))
    if zero is None or one is None:
        return None
    return one[0] - zero[0], zero[0], zero[1]


def _shifted(interval: Interval, by: Conversion) -> Interval:
    factor, added = by
    low = None if interval.low is None else interval.low * factor + added
    high = None if interval.high is None else interval.high * factor + added
    return Interval(low, high, interval.has_low, interval.has_high)
