"""Numbers on their way to statistics: counted by unit, those of one kind in one unit."""

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

from wardlight_cloud.fhir.operations.statistics import Counted, counted
from wardlight_cloud.fhir.stored.units import exactly_in_base_unit


@dataclass(slots=True)
class Numbers:
    """Numbers of one unit while they are counted; ``finest``: digits behind the point."""

    counts: Counter[Fraction] = field(default_factory=Counter)
    missing: int = 0
    finest: int = 0

    def add(self, number: Fraction, digits: int, times: int) -> None:
        """So often this number, written with so many digits."""
        self.counts[number] += times
        self.finest = max(self.finest, digits)

    def counted(self) -> Counted:
        """All of them, in order."""
        return counted(self.counts, self.missing, self.finest)


def count(
    found: dict[str, Numbers], unit: str, number: Fraction | None, digits: int, times: int = 1
) -> None:
    """Under the unit that is there already, where this one is of its kind."""
    into = alike(found, unit)
    numbers = found.setdefault(into, Numbers())
    if number is None:
        numbers.missing += times
    else:
        numbers.add(_moved(number, unit, into), digits if unit == into else 0, times)


def alike(found: dict[str, Numbers], unit: str) -> str:
    """The unit under which numbers of this one are counted."""
    if unit in found or not found:
        return unit
    if not unit:  # nothing was measured: it says no unit
        return next(iter(found))
    base = exactly_in_base_unit(Fraction(1), unit)
    for known in found:
        other = exactly_in_base_unit(Fraction(1), known)
        if base is not None and other is not None and base[1] == other[1]:
            return known
    return unit


def _moved(number: Fraction, unit: str, into: str) -> Fraction:
    if unit == into:
        return number
    here = exactly_in_base_unit(number, unit)
    zero, step = (exactly_in_base_unit(Fraction(each), into) for each in (0, 1))
    assert here is not None and zero is not None and step is not None  # noqa: S101 - see alike
    return (here[0] - zero[0]) / (step[0] - zero[0])
