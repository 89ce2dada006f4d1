"""Weight Scale: Weight Measurement 0x2A9D.

In      one value of 3 to 15 bytes:
        flags u8 | weight u16 | [date time 7] | [user u8] | [BMI u16, height u16]
        flags b0 pound and inch, b1 date time, b2 user, b3 BMI and height; the others are ignored
        weight in 0.005 kg or 0.01 lb, BMI in 0.1 kg/m2, height in 0.001 m or 0.1 inch
        0x2A9F and 0x2A99 of a scale that asks for consent: see _user_data.py
Out     body_weight in kg or [lb_av] and, where sent, bmi in kg/m2 and body_height in cm (metres
        converted, raw kept) or [in_i]. Weight 0xFFFF is UNSUCCESSFUL, 0 NOT_MEASURED. User 255
        is Flag.USER_UNKNOWN. BMI or height 0 (no user data in the scale) is NOT_MEASURED.
        0x2A9F and 0x2A99 have no readings; ``consent_dialogue`` asks for the values of users
Errors  DecodeError: length that the flags do not account for
Source  Bluetooth WSS 1.0.1, 3.2; GSS Weight Measurement
Vectors tests/vectors/weight_scale.toml
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Final

from wardlight_edge.devices import _user_consent
from wardlight_edge.devices._base import Options
from wardlight_edge.devices._dialogue import Dialogue
from wardlight_edge.devices._gatt import (
    DATE_TIME_LENGTH,
    Number,
    check_at_least,
    check_length,
    date_time,
    decode_value,
    nonzero,
    user_index,
)
from wardlight_edge.devices._options import check_options
from wardlight_edge.devices._user_consent import UserConsents
from wardlight_edge.devices._user_data import CONTROL_POINT, Consent
from wardlight_edge.devices._weighing import mass, size
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import Reading

_HEAD: Final = Struct("<BH")
_SIZE: Final = Struct("<HH")
_IS_IMPERIAL, _HAS_TIME, _HAS_USER, _HAS_SIZE = (1 << bit for bit in range(4))
_LENGTHS: Final = tuple(
    _HEAD.size
    + DATE_TIME_LENGTH * bool(flags & _HAS_TIME)
    + bool(flags & _HAS_USER)
    + _SIZE.size * bool(flags & _HAS_SIZE)
    for flags in range(16)
)


def _measurement(value: bytes) -> tuple[Reading, ...]:
    check_at_least("0x2A9D", value, _HEAD.size)
    flags, weight = _HEAD.unpack_from(value)
    check_length("0x2A9D", value, _LENGTHS[flags & 0b1111])
    time, user, status, at = None, None, 0, _HEAD.size
    if flags & _HAS_TIME:
        time, status = date_time(value, at)
        at += DATE_TIME_LENGTH
    if flags & _HAS_USER:
        user, unknown = user_index(value[at])
        status |= unknown
        at += 1
    imperial = flags & _IS_IMPERIAL
    unit = "[lb_av]" if imperial else "kg"
    weighed, raw, raw_unit = mass(weight, imperial)
    mass_reading = Reading("body_weight", weighed, unit, raw, raw_unit, time, status, user)
    if not flags & _HAS_SIZE:
        return (mass_reading,)
    bmi, height = _SIZE.unpack_from(value, at)
    ratio, raw, raw_unit = _bmi(bmi)
    length, length_unit, length_raw, length_raw_unit = size(height, imperial)
    return (
        mass_reading,
        Reading("bmi", ratio, "kg/m2", raw, raw_unit, time, status, user),
        Reading(
            "body_height", length, length_unit, length_raw, length_raw_unit, time, status, user
        ),
    )


CONTROL_POINTS: Final = frozenset({CONTROL_POINT})
_MEASUREMENTS: Final = frozenset({"0x2A9D"})
CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    "0x2A9D": _measurement,
    **_user_consent.CHARACTERISTICS,
}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one value of a characteristic of CHARACTERISTICS."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def consent_dialogue(options: Options, consents: tuple[Consent, ...]) -> Dialogue:
    """Make the conversation with a scale that gives a user's values after consent."""
    check_options("weight_scale", options)
    return UserConsents(decode, _MEASUREMENTS, consents)


@lru_cache(maxsize=4096)
def _bmi(word: int) -> Number:
    return nonzero(decimal_from_parts(word, -1), "kg/m2")
