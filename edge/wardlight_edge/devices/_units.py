"""Unit conversion as a named pure step: only where a device's unit is not one the table permits.

A conversion is exact where the factor is a finite decimal. Where it is not (kPa), the result is
rounded half to even at the largest power of ten that is not coarser than the device's own step,
so two different numbers of a device never become one; the number as sent is kept beside it.

Errors  ConversionError: no conversion between the two units is known
Source  UCUM (units); SI Brochure 9, table 8 and the conventional millimetre of mercury,
        133.322387415 Pa (7.50062 mm[Hg] per kPa; UCUM's rounded 133.322 Pa differs by 3 parts
        in a million, below the resolution of any cuff); avoirdupois pound 0.45359237 kg, inch
        25.4 mm (international yard and pound, 1959); glucose 180.156 g/mol
"""

from collections.abc import Mapping
from decimal import Decimal
from math import gcd
from typing import Final

from wardlight_shared.codes import METRICS
from wardlight_shared.floats import decimal_from_parts, parts_from_decimal

# value in the second unit = (value in the first + offset) * numerator / denominator
_CONVERSIONS: Final[Mapping[tuple[str, str], tuple[int, int, int]]] = {
    ("kPa", "mm[Hg]"): (0, 10**12, 133_322_387_415),
    ("m", "cm"): (0, 100, 1),
    ("[in_i]", "cm"): (0, 254, 100),
    ("[lb_av]", "kg"): (0, 45_359_237, 100_000_000),
    ("g", "kg"): (0, 1, 1000),
    ("[degF]", "Cel"): (-32, 5, 9),
    ("s", "ms"): (0, 1000, 1),
    ("s/1024", "ms"): (0, 1000, 1024),
    ("mmol/L", "mg/dL"): (0, 180_156, 10_000),
    ("mol/L", "mg/dL"): (0, 180_156, 10),
    ("mol/L", "mmol/L"): (0, 1000, 1),
    ("kg/L", "mg/dL"): (0, 100_000, 1),
    ("mL", "L"): (0, 1, 1000),
    ("L/s", "L/min"): (0, 60, 1),
    ("uV", "mV"): (0, 1, 1000),
    ("{steps}", "1"): (0, 1, 1),
    ("1", "{INR}"): (0, 1, 1),
}


_CONVERTED: Final = frozenset({("etco2", "kPa")})
"""Units that a device may send and the table knows, but asks to have converted (its notes)."""


class ConversionError(Exception):
    """No conversion between two units is known."""

    def __init__(self, unit: str, to: str) -> None:
        super().__init__(f"no conversion from {unit} to {to}")


def is_permitted(metric: str, unit: str) -> bool:
    """Whether the code table takes this unit for the metric as it is."""
    row = METRICS[metric]
    return unit == row.unit or (unit in row.units_also and (metric, unit) not in _CONVERTED)


def convert(value: Decimal, unit: str, to: str) -> Decimal:
    """Return a finite ``value`` of ``unit`` in ``to``, exactly or rounded as the module says."""
    if unit == to:
        return value
    rule = _CONVERSIONS.get((unit, to))
    if rule is None:
        raise ConversionError(unit, to)
    offset, numerator, denominator = rule
    mantissa, exponent = _with_offset(value, offset)
    common = gcd(numerator, denominator)
    numerator, denominator = numerator // common, denominator // common
    while numerator % 10 == 0:  # a step of the decimal point, no digit that was measured
        numerator, exponent = numerator // 10, exponent + 1
    return _scaled(mantissa, exponent, numerator, denominator)


def _with_offset(value: Decimal, offset: int) -> tuple[int, int]:
    mantissa, exponent = parts_from_decimal(value)
    if offset and exponent > 0:
        mantissa, exponent = mantissa * 10**exponent, 0
    return mantissa + offset * 10**-exponent if offset else mantissa, exponent


def _scaled(mantissa: int, exponent: int, numerator: int, denominator: int) -> Decimal:
    places = _finite_places(denominator)
    if places is None:
        places = -_step_exponent(numerator, denominator)
    return decimal_from_parts(
        _divided_half_even(mantissa * numerator * 10 ** max(places, 0), denominator),
        exponent - max(places, 0),
    )


def _finite_places(denominator: int) -> int | None:
    """Decimal places of 1/denominator, None when it has no last one."""
    twos = fives = 0
    while denominator % 2 == 0:
        denominator, twos = denominator // 2, twos + 1
    while denominator % 5 == 0:
        denominator, fives = denominator // 5, fives + 1
    return max(twos, fives) if denominator == 1 else None


def _step_exponent(numerator: int, denominator: int) -> int:
    """Exponent of the largest power of ten (at most 1) that is not above numerator/denominator."""
    exponent = 0
    while numerator * 10**-exponent < denominator:
        exponent -= 1
    return exponent


def _divided_half_even(number: int, divisor: int) -> int:
    quotient, remainder = divmod(number, divisor)
    return quotient + (2 * remainder > divisor or (2 * remainder == divisor and quotient % 2 == 1))
