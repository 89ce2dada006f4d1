"""Statistics are written of any numbers that a resource may hold."""

from collections import Counter
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlight_cloud.fhir.operations.statistics import STATISTICS, counted, statistic, written

NUMBERS = st.builds(
    lambda sign, digits, exponent: Decimal((sign, digits, exponent)),
    st.sampled_from([0, 1]),
    st.lists(st.integers(0, 9), min_size=1, max_size=40).map(tuple),
    st.integers(-100, 60),
)


def _finest(numbers: list[Decimal]) -> int:
    return max(max(0, -int(each.as_tuple().exponent)) for each in numbers)


@given(st.lists(NUMBERS, min_size=1, max_size=6))
def test_any_numbers_have_statistics(numbers: list[Decimal]) -> None:
    of = counted(Counter(map(Fraction, numbers)), 0, _finest(numbers))
    for code in STATISTICS:
        told = statistic(code, of)
        if told is None:
            continue
        exact = STATISTICS[code](of)
        assert exact is not None and told.is_finite()
        step = Fraction(10) ** -(of.finest + 2)
        assert abs(Fraction(told) - exact) <= max(step, abs(exact) * Fraction(10) ** -59)


@pytest.mark.parametrize(
    ("number", "finest", "told"),
    [
        (Fraction(1, 3), 1, "0.333"),
        (Fraction(73, 2), 0, "36.5"),
        (Fraction(10) ** 100 / 3, 0, "3." + "3" * 59 + "E+99"),
        (Fraction(1, 3 * 10**99), 100, "3.33E-100"),
        (Fraction(1, 3), 100, "0." + "3" * 60),
        (Fraction(12345678901234567890123456789012345), 0, "12345678901234567890123456789012345"),
    ],
)
def test_as_many_digits_as_are_meant(number: Fraction, finest: int, told: str) -> None:
    assert str(written(number, finest)) == told
