"""Whether what a person reads of a unit says another one than its UCUM code.

``"unit": "mmol/L", "code": "mg/dL"`` is one of two values that are 18 times apart; which, nobody
can tell. Texts that are no unit anybody knows say nothing, and contradict nothing.

Source  UCUM 2.1 (codes; c/s print symbols); what vital signs are told in beside them
"""

import re
from fractions import Fraction
from typing import Final

from wardlight_cloud.fhir.stored.units import exactly_in_base_unit

_SPACE: Final = re.compile(r"\s+")
_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "/min": ("bpm", "beats/min", "beats/minute", "beats per minute", "brpm", "rpm", "breaths/min",
             "breaths/minute", "breaths per minute", "per minute", "1/minute"),
    "%": ("percent", "% saturation"),
    "mm[Hg]": ("mmhg", "mm hg", "mm of mercury"),
    "kPa": ("kpa", "kilopascal"),
    "Cel": ("c", "°c", "℃", "degc", "deg c", "celsius", "degrees celsius", "degree celsius"),
    "[degF]": ("f", "°f", "℉", "degf", "deg f", "fahrenheit", "degrees fahrenheit",
               "degree fahrenheit"),
    "kg": ("kg", "kgs", "kilogram", "kilograms"), "g": ("gram", "grams", "gm"),
    "mg/dL": ("mg/dl",), "mmol/L": ("mmol/l",),
    "[lb_av]": ("lb", "lbs", "pound", "pounds"), "[oz_av]": ("oz", "ounce", "ounces"),
    "[stone_av]": ("st", "stone", "stones"),
    "m": ("meter", "meters", "metre", "metres"),
    "cm": ("centimeter", "centimeters", "centimetre", "centimetres"),
    "[in_i]": ("in", "inch", "inches", '"'), "[ft_i]": ("ft", "foot", "feet"),
    "kg/m2": ("kg/m²", "kg/m^2"),
    "L": ("liter", "liters", "litre", "litres"),
}  # fmt: skip
_BY_WORD: Final = {word: code for code, words in _WORDS.items() for word in words}
_ONE: Final = Fraction(1)
_TWO: Final = Fraction(2)


def contradicts(text: str, code: str) -> bool:
    """Whether the text of a unit says another unit than the UCUM code."""
    said = _SPACE.sub(" ", text.strip())
    known = _BY_WORD.get(said.lower(), said)
    if said == code or known == code:
        return False
    meant, told = _scale(code), _scale(known)
    return None not in (meant, told) and meant != told


def _scale(code: str) -> tuple[Fraction, Fraction, str] | None:
    """Two points of a unit in its base unit, which no other unit has both of; None = not known."""
    if not code:
        return None
    one, two = exactly_in_base_unit(_ONE, code), exactly_in_base_unit(_TWO, code)
    return None if one is None or two is None else (one[0], two[0], one[1])
