"""OBX-5 as a number or the reason there is none.

In      NM; SN; a number as ST, TX or FT; CWE, CE, IS and others hold no number
Out     (Decimal, None), or (None or the number as raw, Absent)
        Numbers that monitors send for "no value" are NOT_MEASURED
Errors  Hl7Error: text where a number must be, a range, a ratio
Source  HL7 v2.6, 2.A.47 NM, 2.A.70 SN; messages of Northern (-100), Creative (-999, -99.9) and
        Mindray monitors (8388607, 32767) in public repositories
"""

from decimal import Decimal
from typing import Final

from wardlight_edge.devices._hl7.errors import Hl7Error
from wardlight_edge.devices._number_text import absent_of, decimal_of, is_blank
from wardlight_shared.model import Absent

Value = tuple[Decimal | None, Absent | None]

_NONE_BY_NUMBER: Final = frozenset(
    {
        Decimal("-99.9"),
        Decimal("-999.9"),
        *map(Decimal, (-100, -999, -9999, -32767, -32768, -8388608)),
        *map(Decimal, (32767, 65535, 8388607, 8388608, 2147483647)),
    }
)
_COMPARATORS: Final = {
    "": None,
    "=": None,
    ">": Absent.OVER_RANGE,
    ">=": Absent.OVER_RANGE,
    "<": Absent.UNDER_RANGE,
    "<=": Absent.UNDER_RANGE,
    "<>": Absent.INVALID,
}
_NUMERIC_TYPES: Final = frozenset({"NM", "ST", "TX", "FT", ""})


def value_of(kind: str, parts: list[str], where: str) -> Value:
    """The value of one repetition of OBX-5, given as its components."""
    if kind == "SN":
        return _structured([*parts, "", "", ""][:4], where)
    if kind not in _NUMERIC_TYPES:
        raise Hl7Error(102, where, "a type that holds no number")
    text = parts[0] if parts else ""
    if any(parts[1:]):
        raise Hl7Error(102, where, "components where one number must be")
    absent = absent_of(text)
    if absent is not None and (kind != "NM" or is_blank(text)):
        return None, absent
    return _sentinel(_number(text, where))


def _structured(parts: list[str], where: str) -> Value:
    comparator, first, separator, second = parts
    if comparator not in _COMPARATORS:
        raise Hl7Error(103, where, "a comparator that is none")
    if separator or second:
        raise Hl7Error(102, where, "a range or a ratio where one number must be")
    if not first:
        return None, Absent.NOT_MEASURED
    value, absent = _sentinel(_number(first, where))
    return value, absent or _COMPARATORS[comparator]


def _number(text: str, where: str) -> Decimal:
    value = decimal_of(text)
    if value is None:
        raise Hl7Error(102, where, "not a number")
    return value


def _sentinel(value: Decimal) -> Value:
    return (None, Absent.NOT_MEASURED) if value in _NONE_BY_NUMBER else (value, None)
