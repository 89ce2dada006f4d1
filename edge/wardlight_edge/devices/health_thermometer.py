"""Health Thermometer: Temperature Measurement 0x2A1C, Intermediate Temperature 0x2A1E.

In      one value, 5, 6, 12 or 13 bytes:
        flags u8 | temperature FLOAT-Type | [date time 7] | [type u8]
        flags b0 degrees Fahrenheit, b1 date time, b2 type; the others are reserved and ignored
Out     one Reading in Cel or [degF], exactly as sent; NaN, NRes and infinities are absent.
        metric body_temperature_{axillary,oral,rectal,tympanic} where the type says so, else
        body_temperature; ``site`` is the type's name, None for 0 and reserved types.
        0x2A1E: the same with Flag.ONGOING, the measurement is still settling
Errors  DecodeError: length that the flags do not account for
Source  Bluetooth HTS 1.0, 3.1 to 3.3; GSS Temperature Measurement, Temperature Type;
        IEEE 11073-20601 F.7
Vectors tests/vectors/health_thermometer.toml

A thermometer whose measurements carry no type may say it once in Temperature Type 0x2A1D:
``body_site`` reads it, ``at_site`` applies it (HTS 1.0, 3.2).
"""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final

import msgspec

from wardlight_edge.devices._gatt import (
    DATE_TIME_LENGTH,
    check_at_least,
    check_length,
    date_time,
    decode_value,
)
from wardlight_shared.floats import float_from_word
from wardlight_shared.model import Flag, Reading

SITE_CHARACTERISTIC: Final = "0x2A1D"
PROVISIONAL: Final = frozenset({"0x2A1E"})  # shown while the measurement settles, no result
_HEAD: Final = Struct("<BI")
_HAS_TIME: Final = 0b010
_HAS_TYPE: Final = 0b100
_UNITS: Final = ("Cel", "[degF]")  # by flags b0
_LENGTHS: Final = tuple(
    _HEAD.size + DATE_TIME_LENGTH * bool(flags & _HAS_TIME) + bool(flags & _HAS_TYPE)
    for flags in range(8)
)
_ONGOING: Final = int(Flag.ONGOING)

# GSS Temperature Type, values 1 to 9; 0 and 10 to 255 are reserved (some devices send 0).
_SITES: Final = (
    None,
    "armpit",
    "body",
    "ear",
    "finger",
    "gastrointestinal-tract",
    "mouth",
    "rectum",
    "toe",
    "tympanum",
)
_METRICS: Final[Mapping[str | None, str]] = {
    "armpit": "body_temperature_axillary",
    "ear": "body_temperature_tympanic",
    "mouth": "body_temperature_oral",
    "rectum": "body_temperature_rectal",
    "tympanum": "body_temperature_tympanic",
}
_METRIC: Final = "body_temperature"


def _measurement(value: bytes) -> tuple[Reading, ...]:
    return (_temperature("0x2A1C", value, 0),)


def _intermediate(value: bytes) -> tuple[Reading, ...]:
    return (_temperature("0x2A1E", value, _ONGOING),)


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    "0x2A1C": _measurement,
    "0x2A1E": _intermediate,
}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one value of a characteristic of CHARACTERISTICS."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def body_site(value: bytes) -> str | None:
    """Decode Temperature Type 0x2A1D (1 byte): the site's name, None for a reserved type."""
    check_length(SITE_CHARACTERISTIC, value, 1)
    return _site(value[0])


def at_site(readings: tuple[Reading, ...], site: str | None) -> tuple[Reading, ...]:
    """Give ``site`` to the readings that name none; those that do are left as they are."""
    return tuple(
        msgspec.structs.replace(reading, site=site, metric=_METRICS.get(site, _METRIC))
        if reading.site is None
        else reading
        for reading in readings
    )


def _temperature(name: str, value: bytes, status: int) -> Reading:
    check_at_least(name, value, _HEAD.size)
    flags, word = _HEAD.unpack_from(value)
    check_length(name, value, _LENGTHS[flags & 0b111])
    time, clock = date_time(value, _HEAD.size) if flags & _HAS_TIME else (None, 0)
    site = _site(value[-1]) if flags & _HAS_TYPE else None
    return Reading(
        _METRICS.get(site, _METRIC),
        float_from_word(word),
        _UNITS[flags & 1],
        time=time,
        flags=status | clock,
        site=site,
    )


def _site(code: int) -> str | None:
    return _SITES[code] if code < len(_SITES) else None
