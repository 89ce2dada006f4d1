"""Glucose Measurement Context 0x2A34: what stands beside a glucose record, as context pairs.

In      flags u8 | sequence u16 | [extended flags u8] | [carbohydrate u8, SFLOAT-Type kg]
        | [meal u8] | [tester low nibble, health high nibble] | [exercise s u16, % u8]
        | [medication u8, SFLOAT-Type] | [HbA1c SFLOAT-Type %]
        flags b0 carbohydrate, b1 meal, b2 tester and health, b3 exercise, b4 medication, b5
        medication in litres (else kg), b6 HbA1c, b7 extended flags
Out     Context: the sequence number of its record, and pairs with the names of docs/glossary.md;
        ``meals``: numbers of a meal that the device's model gives a meaning (quirks.toml)
Errors  DecodeError: length that the flags do not account for
Source  Bluetooth GLS 1.0.1, 3.2; GSS Glucose Measurement Context
"""

from collections.abc import Mapping
from decimal import Decimal
from struct import Struct
from types import MappingProxyType
from typing import Final

import msgspec

from wardlight_edge.devices._gatt import check_at_least, check_length
from wardlight_shared.floats import sfloat_from_word

FASTING: Final = "fasting"
KETONE: Final = "ketone"
MEAL: Final = "meal"

_HEAD: Final = Struct("<BH")
_AMOUNT: Final = Struct("<BH")
_EXERCISE: Final = Struct("<HB")
_U16: Final = Struct("<H")
_CARBOHYDRATE, _MEAL, _TESTER, _EXERCISED, _MEDICATION, _LITRES, _HBA1C, _EXTENDED = (
    1 << bit for bit in range(8)
)
_SIZES: Final = (
    (_CARBOHYDRATE, _AMOUNT.size),
    (_MEAL, 1),
    (_TESTER, 1),
    (_EXERCISED, _EXERCISE.size),
    (_MEDICATION, _AMOUNT.size),
    (_HBA1C, _U16.size),
    (_EXTENDED, 1),
)
_OVERRUN: Final = 0xFFFF  # exercise of 65535 s or more

# GSS Glucose Measurement Context: a value that is not listed says nothing.
_CARBOHYDRATES: Final = {
    1: "breakfast",
    2: "lunch",
    3: "dinner",
    4: "snack",
    5: "drink",
    6: "supper",
    7: "brunch",
}
_MEALS: Final = {
    1: "before-meal",
    2: "after-meal",
    3: FASTING,
    4: "casual",
    5: "bedtime",
}
_TESTERS: Final = {1: "self", 2: "health-care-professional", 3: "laboratory"}
_HEALTH: Final = {
    1: "minor-health-issues",
    2: "major-health-issues",
    3: "during-menses",
    4: "under-stress",
    5: "no-health-issues",
}
_MEDICATIONS: Final = {
    1: "rapid-acting-insulin",
    2: "short-acting-insulin",
    3: "intermediate-acting-insulin",
    4: "long-acting-insulin",
    5: "pre-mixed-insulin",
}


class Context(msgspec.Struct, frozen=True):
    """What was said of one record."""

    sequence: int
    pairs: tuple[tuple[str, str], ...]


NO_MEALS: Final[Mapping[int, str]] = MappingProxyType({})


def decode_context(value: bytes, meals: Mapping[int, str] = NO_MEALS) -> Context:
    """Decode one value of 0x2A34."""
    check_at_least("0x2A34", value, _HEAD.size)
    flags, sequence = _HEAD.unpack_from(value)
    length = _HEAD.size + sum(size for bit, size in _SIZES if flags & bit)
    check_length("0x2A34", value, length)
    at = _HEAD.size + bool(flags & _EXTENDED)
    pairs: list[tuple[str, str]] = []
    for bit, size in _SIZES:
        if flags & bit and bit != _EXTENDED:
            field = value[at : at + size]
            pairs += _FIELDS[bit](field, bool(flags & _LITRES))
            if bit == _MEAL:
                pairs += _named(MEAL, meals, field[0])
            at += size
    return Context(sequence, tuple(pairs))


_Pairs = list[tuple[str, str]]


def _named(name: str, names: Mapping[int, str], number: int) -> _Pairs:
    return [(name, names[number])] if number in names else []


def _amount(name: str, word: int, places: int = 0) -> _Pairs:
    """An amount with its decimal point ``places`` to the right: kilograms in grams are 3."""
    amount = sfloat_from_word(word)
    return [(name, f"{amount.scaleb(places):f}")] if isinstance(amount, Decimal) else []


def _carbohydrate(field: bytes, is_litres: bool) -> _Pairs:
    del is_litres
    kind, word = _AMOUNT.unpack(field)
    return _named("carbohydrate", _CARBOHYDRATES, kind) + _amount("carbohydrate-g", word, 3)


def _meal(field: bytes, is_litres: bool) -> _Pairs:
    del is_litres
    return _named(MEAL, _MEALS, field[0])


def _tester(field: bytes, is_litres: bool) -> _Pairs:
    del is_litres
    return _named("tester", _TESTERS, field[0] & 0xF) + _named("health", _HEALTH, field[0] >> 4)


def _exercise(field: bytes, is_litres: bool) -> _Pairs:
    del is_litres
    seconds, percent = _EXERCISE.unpack(field)
    duration = [] if seconds == _OVERRUN else [("exercise-s", str(seconds))]
    return [*duration, ("exercise-percent", str(percent))]


def _medication(field: bytes, is_litres: bool) -> _Pairs:
    kind, word = _AMOUNT.unpack(field)
    name, places = ("medication-ml", 3) if is_litres else ("medication-mg", 6)
    return _named("medication", _MEDICATIONS, kind) + _amount(name, word, places)


def _hba1c(field: bytes, is_litres: bool) -> _Pairs:
    del is_litres
    return _amount("hba1c-percent", _U16.unpack(field)[0])


_FIELDS: Final = {
    _CARBOHYDRATE: _carbohydrate,
    _MEAL: _meal,
    _TESTER: _tester,
    _EXERCISED: _exercise,
    _MEDICATION: _medication,
    _HBA1C: _hba1c,
}
