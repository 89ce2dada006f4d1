"""Body Composition: Body Composition Measurement 0x2A9C, and Weight Measurement 0x2A9D beside it.

In      0x2A9D, 0x2A9F, 0x2A99: see weight_scale; scales with 0x181B send the weight there
        0x2A9C, one value of 4 to 30 bytes:
        flags u16 | body fat u16 | [date time 7] | [user u8] | [basal metabolism u16 kJ]
        | [muscle u16 0.1 %] | [muscle, fat free, soft lean, water mass u16 each]
        | [impedance u16 0.1 ohm] | [weight u16] | [height u16]
        flags b0 pound and inch, b1 date time, b2 user, b3 to b11 the others in that order,
        b12 one of several packets; the rest are ignored
        body fat in 0.1 %, masses in 0.005 kg or 0.01 lb, height in 0.001 m or 0.1 inch
Out     body_fat in % and, where sent, body_weight in kg or [lb_av], body_height in cm or [in_i].
        The others are no metric of the code table: they are context of body_fat, in their own unit
        and left out when 0. Body fat 0xFFFF: it is UNSUCCESSFUL and the rest means nothing.
        A number of 0 is NOT_MEASURED; () when every number is 0: a placeholder that scales keep
        in the memory of a user. User 255 is Flag.USER_UNKNOWN. Of a value in two packets each is
        decoded by itself, the second without time and user; ``consent_dialogue`` joins them
Errors  DecodeError: length that the flags do not account for
Source  Bluetooth BCS 1.0, 3.2; GSS Body Composition Measurement
Vectors tests/vectors/body_composition.toml
"""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from operator import call
from struct import Struct
from typing import Final, NamedTuple

from wardlight_edge.devices import weight_scale
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
from wardlight_edge.devices._weighing import UNSUCCESSFUL, mass, scaled_mass, size
from wardlight_shared.floats import decimal_from_parts
from wardlight_shared.model import Absent, DeviceTime, Reading

_HEAD: Final = Struct("<HH")
_IS_IMPERIAL, _HAS_TIME, _HAS_USER = 0b001, 0b010, 0b100
_IS_PART: Final = 1 << 12
_SEVERAL_PACKETS: Final = (("several-packets", "yes"),)
_FIRST_NUMBER: Final = 3  # bit of the first of nine u16 fields

# The nine fields from b3 on: seven of context, then weight and height, which are metrics. A mass is
# in the unit of b0.
_PLAIN: Final[Mapping[str, tuple[str, int]]] = {
    "metabolism": ("basal-metabolism-kj", 0),
    "muscle": ("muscle-percent", -1),
    "impedance": ("impedance-ohm", -1),
}
_MASSES: Final[Mapping[str, str]] = {
    "muscle_mass": "muscle-mass",
    "fat_free": "fat-free-mass",
    "soft_lean": "soft-lean-mass",
    "water": "body-water-mass",
}
_CONTEXT: Final = (
    "metabolism", "muscle", "muscle_mass", "fat_free", "soft_lean", "water", "impedance",
)  # fmt: skip
_HAS_WEIGHT, _HAS_HEIGHT = 1 << 10, 1 << 11


_Statement = Callable[[int], tuple[str, str] | None]
"""Name and text of a field by its word; None for one without a value."""


class _Layout(NamedTuple):
    """What the flags tell of a value.

    octets   its length
    at       where its u16 fields begin
    words    how they are packed: those of context first
    context  what gives the statement of each of these
    weight   place of the weight among them, None without one
    height   place of the height
    """

    octets: int
    at: int
    words: Struct
    context: tuple[_Statement, ...]
    weight: int | None
    height: int | None


def _measurement(value: bytes) -> tuple[Reading, ...]:
    check_at_least("0x2A9C", value, _HEAD.size)
    flags, fat = _HEAD.unpack_from(value)
    layout = _layout(flags)
    check_length("0x2A9C", value, layout.octets)
    time, status = date_time(value, _HEAD.size) if flags & _HAS_TIME else (None, 0)
    user, unknown = user_index(value[layout.at - 1]) if flags & _HAS_USER else (None, 0)
    status |= unknown
    if fat == UNSUCCESSFUL:
        return (Reading("body_fat", Absent.UNSUCCESSFUL, "%", time=time, flags=status, user=user),)
    words = layout.words.unpack_from(value, layout.at)
    if not fat and not any(words[: layout.height]):
        return ()
    return _readings(flags, fat, layout, words, time, status, user)


CONTROL_POINTS: Final = frozenset({CONTROL_POINT})
_MEASUREMENTS: Final = frozenset({"0x2A9C", "0x2A9D"})
CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    "0x2A9C": _measurement,
    **weight_scale.CHARACTERISTICS,
}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one value of a characteristic of CHARACTERISTICS."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def consent_dialogue(options: Options, consents: tuple[Consent, ...]) -> Dialogue:
    """Make the conversation with a scale that gives a user's values after consent."""
    check_options("body_composition", options)
    return UserConsents(decode, _MEASUREMENTS, consents)


def _readings(
    flags: int,
    fat: int,
    layout: _Layout,
    words: tuple[int, ...],
    time: DeviceTime | None,
    status: int,
    user: int | None,
) -> tuple[Reading, ...]:
    imperial = flags & _IS_IMPERIAL
    number, raw, raw_unit = _fat(fat)
    # map and filter ask and leave out in one go: seven fields cost as much as the rest otherwise.
    context = tuple(filter(None, map(call, layout.context, words)))
    if flags & _IS_PART:
        context = _SEVERAL_PACKETS + context
    readings = [
        Reading("body_fat", number, "%", raw, raw_unit, time, status, user, None, None, context)
    ]
    if layout.weight is not None:
        number, raw, raw_unit = mass(words[layout.weight], imperial)
        unit = "[lb_av]" if imperial else "kg"
        readings.append(Reading("body_weight", number, unit, raw, raw_unit, time, status, user))
    if layout.height is not None:
        number, unit, raw, raw_unit = size(words[layout.height], imperial)
        readings.append(Reading("body_height", number, unit, raw, raw_unit, time, status, user))
    return tuple(readings)


@lru_cache(maxsize=4096)
def _fat(word: int) -> Number:
    return nonzero(decimal_from_parts(word, -1), "%")


@lru_cache(maxsize=1024)
def _layout(flags: int) -> _Layout:
    context = tuple(
        _statement(field, flags & _IS_IMPERIAL)
        for bit, field in enumerate(_CONTEXT, _FIRST_NUMBER)
        if flags >> bit & 1
    )
    count = len(context)
    weight = count if flags & _HAS_WEIGHT else None
    count += bool(flags & _HAS_WEIGHT)
    height = count if flags & _HAS_HEIGHT else None
    words = Struct(f"<{count + bool(flags & _HAS_HEIGHT)}H")
    at = _HEAD.size + DATE_TIME_LENGTH * bool(flags & _HAS_TIME) + bool(flags & _HAS_USER)
    return _Layout(at + words.size, at, words, context, weight, height)


@cache
def _statement(field: str, imperial: int) -> _Statement:
    @lru_cache(maxsize=4096)
    def statement(word: int) -> tuple[str, str] | None:
        if not word or word == UNSUCCESSFUL:
            return None
        if field in _MASSES:
            unit = "lb" if imperial else "kg"
            return f"{_MASSES[field]}-{unit}", f"{scaled_mass(word, imperial):f}"
        name, exponent = _PLAIN[field]
        return name, f"{decimal_from_parts(word, exponent):f}"

    return statement
