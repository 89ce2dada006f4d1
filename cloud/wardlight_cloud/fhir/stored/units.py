"""UCUM units that searches convert between, each to the base unit of its kind.

Only what vital signs, laboratory values of home monitoring and doses are told in; a quantity in
another unit is found by that unit.

Source  UCUM 2.1 (ucum-essence); kept equal to pint's reading of UCUM by a test
"""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final

UCUM: Final = "http://unitsofmeasure.org"

_ANNOTATION: Final = re.compile(r"\{[^{}]*\}")
_LINEAR: Final[dict[str, tuple[str, str]]] = {
    "kg": ("g", "1000"), "g": ("g", "1"), "mg": ("g", "0.001"), "ug": ("g", "0.000001"),
    "ng": ("g", "0.000000001"), "[lb_av]": ("g", "453.59237"), "[oz_av]": ("g", "28.349523125"),
    "[stone_av]": ("g", "6350.29318"),
    "m": ("m", "1"), "cm": ("m", "0.01"), "mm": ("m", "0.001"), "km": ("m", "1000"),
    "[in_i]": ("m", "0.0254"), "[ft_i]": ("m", "0.3048"),
    "s": ("s", "1"), "ms": ("s", "0.001"), "min": ("s", "60"), "h": ("s", "3600"),
    "d": ("s", "86400"), "wk": ("s", "604800"),
    "mm[Hg]": ("Pa", "133.322"), "Pa": ("Pa", "1"), "hPa": ("Pa", "100"), "kPa": ("Pa", "1000"),
    "cm[H2O]": ("Pa", "98.0665"),
    "/min": ("/min", "1"), "1/min": ("/min", "1"), "/s": ("/min", "60"), "Hz": ("/min", "60"),
    "%": ("1", "0.01"), "1": ("1", "1"), "": ("1", "1"),
    "L": ("L", "1"), "l": ("L", "1"), "dL": ("L", "0.1"), "mL": ("L", "0.001"),
    "uL": ("L", "0.000001"),
    "mL/min": ("L/min", "0.001"), "L/min": ("L/min", "1"), "L/s": ("L/min", "60"),
    "g/L": ("g/L", "1"), "g/dL": ("g/L", "10"), "mg/dL": ("g/L", "0.01"), "mg/L": ("g/L", "0.001"),
    "ug/mL": ("g/L", "0.001"), "ng/mL": ("g/L", "0.000001"),
    "mol/L": ("mol/L", "1"), "mmol/L": ("mol/L", "0.001"), "umol/L": ("mol/L", "0.000001"),
    "kg/m2": ("kg/m2", "1"), "mV": ("V", "0.001"), "uV": ("V", "0.000001"), "V": ("V", "1"),
    "kcal": ("J", "4184"), "J": ("J", "1"), "kJ": ("J", "1000"),
}  # fmt: skip
_TEMPERATURES: Final = {
    "K": (Decimal(1), Decimal(1), Decimal(0)),
    "Cel": (Decimal(1), Decimal(1), Decimal("273.15")),
    "[degF]": (Decimal(5), Decimal(9), Decimal("459.67")),
}


def exactly_in_base_unit(value: Fraction, code: str) -> tuple[Fraction, str] | None:
    """The same without any rounding."""
    plain = _ANNOTATION.sub("", code)
    if plain in _LINEAR:
        base, factor = _LINEAR[plain]
        return value * Fraction(factor), base
    if plain in _TEMPERATURES:
        times, by, offset = (Fraction(each) for each in _TEMPERATURES[plain])
        return (value + offset) * times / by, "K"
    return None


def in_base_unit(value: Decimal, code: str) -> tuple[Decimal, str] | None:
    """A value in the base unit of a UCUM code; None when the code is not in the table."""
    plain = _ANNOTATION.sub("", code)
    if plain in _LINEAR:
        base, factor = _LINEAR[plain]
        return value * Decimal(factor), base
    if plain in ("K", "Cel"):
        return value + _TEMPERATURES[plain][2], "K"
    if plain == "[degF]":
        times, by, offset = _TEMPERATURES[plain]
        return (value + offset) * times / by, "K"
    return None
