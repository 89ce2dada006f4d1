"""Conversions: exact where they can be, else rounded to the device's own step."""

from decimal import Decimal
from fractions import Fraction

import pytest

from wardlight_edge.devices._units import (
    _CONVERSIONS,
    ConversionError,
    _divided_half_even,
    convert,
    is_permitted,
)

MMHG_PER_KPA = Fraction(10**12, 133_322_387_415)


CASES = [
    ("16.0", "kPa", "mm[Hg]", "120.0"),
    ("16", "kPa", "mm[Hg]", "120"),
    ("15.99", "kPa", "mm[Hg]", "119.93"),
    ("2E+1", "kPa", "mm[Hg]", "1.5E+2"),
    ("-1.0", "kPa", "mm[Hg]", "-7.5"),
    ("180.5", "[lb_av]", "kg", "81.873422785"),
    ("72500", "g", "kg", "72.500"),
    ("1.76", "m", "cm", "176"),
    ("1.760", "m", "cm", "176.0"),
    ("69.3", "[in_i]", "cm", "176.022"),
    ("98.6", "[degF]", "Cel", "37.00"),
    ("100", "[degF]", "Cel", "37.8"),
    ("1E+2", "[degF]", "Cel", "37.8"),
    ("1024", "s/1024", "ms", "1000.0000000"),
    ("0.8", "s", "ms", "8E+2"),
    ("5.5", "mmol/L", "mg/dL", "99.08580"),
    ("0.0055", "mol/L", "mg/dL", "99.08580"),
    ("0.0055", "mol/L", "mmol/L", "5.5"),
    ("0.00100", "kg/L", "mg/dL", "100"),
    ("0.001", "kg/L", "mg/dL", "1E+2"),
    ("7.5", "L/s", "L/min", "450"),
    ("450", "mL", "L", "0.450"),
    ("250", "uV", "mV", "0.250"),
    ("8042", "{steps}", "1", "8042"),
    ("2.5", "1", "{INR}", "2.5"),
]


@pytest.mark.parametrize(("value", "unit", "to", "expected"), CASES)
def test_conversion(value: str, unit: str, to: str, expected: str) -> None:
    assert str(convert(Decimal(value), unit, to)) == expected


def test_every_conversion_has_a_case() -> None:
    assert {(unit, to) for _, unit, to, _ in CASES} == set(_CONVERSIONS)


def test_the_same_unit_changes_nothing() -> None:
    assert str(convert(Decimal("97.0"), "%", "%")) == "97.0"


def test_kilopascal_is_the_nearest_tenth() -> None:
    for tenths in range(500):
        converted = convert(Decimal(tenths).scaleb(-1), "kPa", "mm[Hg]")
        assert abs(Fraction(converted) - Fraction(tenths, 10) * MMHG_PER_KPA) <= Fraction(1, 20)


def test_no_two_readings_of_a_cuff_become_one() -> None:
    converted = [convert(Decimal(tenths).scaleb(-1), "kPa", "mm[Hg]") for tenths in range(1, 500)]
    assert len(set(converted)) == len(converted)


def test_a_tie_goes_to_the_even_digit() -> None:
    """No factor of the table can give a tie, so the rule is checked by itself."""
    assert [_divided_half_even(number, 10) for number in (5, 15, 25, -5, -15)] == [0, 2, 2, 0, -2]


def test_an_unknown_conversion_is_refused() -> None:
    with pytest.raises(ConversionError, match="from % to kg"):
        convert(Decimal(1), "%", "kg")


def test_permitted_units_are_those_of_the_table() -> None:
    assert is_permitted("body_weight", "[lb_av]")
    assert is_permitted("body_weight", "kg")
    assert not is_permitted("systolic_bp", "kPa")


def test_carbon_dioxide_in_kilopascal_becomes_millimetres() -> None:
    """Note of the code table: a vital sign in kPa is outside the units of the FHIR profiles."""
    assert not is_permitted("etco2", "kPa")
    assert is_permitted("etco2", "mm[Hg]")
    # By hand: 5.1 * 7.50062 = 38.253162, at the step of a tenth of a kPa.
    assert str(convert(Decimal("5.1"), "kPa", "mm[Hg]")) == "38.3"
