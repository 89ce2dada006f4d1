"""Mass and height as the two services of scales send them.

Source  Bluetooth WSS 1.0.1, 3.2.1; BCS 1.0, 3.2.1; GSS Weight Measurement, Body Composition
        Measurement: 0.005 kg or 0.01 lb, 0.001 m or 0.1 inch
"""

from decimal import Decimal
from functools import lru_cache
from typing import Final

from wardlight_edge.devices._gatt import Number, nonzero
from wardlight_edge.devices._units import convert
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import Absent

UNSUCCESSFUL: Final = 0xFFFF
"""Weight (WSS 3.2.1.2) or body fat (BCS 3.2.1.2) that the scale could not measure."""


def scaled_mass(word: int, imperial: int) -> Decimal:
    """Mass in [lb_av] when imperial, else in kg."""
    return decimal_from_parts(word, -2) if imperial else decimal_from_parts(word * 5, -3)


@lru_cache(maxsize=4096)
def mass(word: int, imperial: int) -> Number:
    """Weight of a person in [lb_av] or kg: 0xFFFF is UNSUCCESSFUL, 0 NOT_MEASURED."""
    if word == UNSUCCESSFUL:
        return Absent.UNSUCCESSFUL, None, None
    return nonzero(scaled_mass(word, imperial), "[lb_av]" if imperial else "kg")


@lru_cache(maxsize=4096)
def size(word: int, imperial: int) -> tuple[Decimal | Absent, str, Decimal | None, str | None]:
    """Height of a person, its unit, raw value and raw unit; 0 is NOT_MEASURED."""
    if imperial:
        inches, raw, raw_unit = nonzero(decimal_from_parts(word, -1), "[in_i]")
        return inches, "[in_i]", raw, raw_unit
    metres = decimal_from_parts(word, -3)
    return convert(metres, "m", "cm") if word else Absent.NOT_MEASURED, "cm", metres, "m"
