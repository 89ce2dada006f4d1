"""Readings as they stand in a capture, for devices whose own protocol is not recorded.

In      characteristic "readings": JSON, one object or an array of them:
        {"metric": name of the code table, "value": "5.40", "unit": UCUM code,
        "time": "2015-06-06T16:50:27" with or without an offset, "absent": reason,
        "user": 0 to 254, "record": number, "site": text}
        value or absent is required, exactly one; a value is a string or a number, digit for digit
Out     Readings; a unit that the table does not permit is converted, the number as captured kept
Errors  DecodeError: anything else; an unknown key, metric, unit or time, a number out of range
Source  the code table; numbers must fit records.EventBody (63-bit mantissa, 8-bit scale)
Vectors tests/vectors/replayed_readings.toml
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from wardlight_edge.devices._gatt import decode_value
from wardlight_edge.devices._units import ConversionError, convert, is_permitted
from wardlight_shared.codes import METRICS
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Absent, DeviceTime, Reading

_MAX_BYTES: Final = 64 * 1024
_MAX_DIGITS: Final = 18  # 10**18 - 1 fits a signed 64-bit mantissa
_SCALES: Final = range(-128, 128)
_ZERO: Final = Decimal(0)  # stands in for a missing number while its unit is checked
_Number = Annotated[int, Meta(ge=0, lt=1 << 31)]


class _Captured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    metric: str
    unit: str
    value: Decimal | None = None
    absent: Absent | None = None
    time: datetime | None = None
    user: Annotated[int, Meta(ge=0, le=254)] | None = None
    record: _Number | None = None
    site: Annotated[str, Meta(max_length=64)] | None = None


_decoder: Final[msgspec.json.Decoder[_Captured | list[_Captured]]] = msgspec.json.Decoder(
    _Captured | list[_Captured]
)


def _readings(value: bytes) -> tuple[Reading, ...]:
    if len(value) > _MAX_BYTES:
        raise DecodeError(f"readings: {len(value)} bytes, at most {_MAX_BYTES}")
    try:
        captured = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _, _, where = str(error).rpartition(" - at ")  # the rest may quote what the file holds
        raise DecodeError(f"readings: not of the described form, at {where}") from error
    several = captured if isinstance(captured, list) else [captured]
    return tuple(_reading(place, one) for place, one in enumerate(several))


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    "readings": _readings
}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one value of a characteristic of CHARACTERISTICS."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def _reading(place: int, captured: _Captured) -> Reading:
    if captured.metric not in METRICS:
        raise DecodeError(f"readings: [{place}] metric is not in the code table")
    value, unit, raw, raw_unit = _in_permitted_unit(place, captured, _number(place, captured))
    return Reading(
        captured.metric,
        value,
        unit,
        raw,
        raw_unit,
        time=None if captured.time is None else _device_time(captured.time),
        user=captured.user,
        record=captured.record,
        site=captured.site,
    )


def _number(place: int, captured: _Captured) -> Decimal | Absent:
    number = captured.absent if captured.value is None else captured.value
    if number is None or (captured.value is not None and captured.absent is not None):
        raise DecodeError(f"readings: [{place}] needs either value or absent")
    return _fitting(place, number) if isinstance(number, Decimal) else number


def _fitting(place: int, number: Decimal) -> Decimal:
    digits, exponent = number.as_tuple()[1:]
    if len(digits) > _MAX_DIGITS or exponent not in _SCALES:  # exponent of NaN is a letter
        raise DecodeError(f"readings: [{place}] value is not a number that a record can hold")
    return number


def _in_permitted_unit(
    place: int, captured: _Captured, value: Decimal | Absent
) -> tuple[Decimal | Absent, str, Decimal | None, str | None]:
    if is_permitted(captured.metric, captured.unit):
        return value, captured.unit, None, None
    unit = METRICS[captured.metric].unit
    try:
        converted = convert(value if isinstance(value, Decimal) else _ZERO, captured.unit, unit)
    except ConversionError as error:
        raise DecodeError(f"readings: [{place}] unit does not fit the metric") from error
    if isinstance(value, Decimal):
        return _fitting(place, converted), unit, value, captured.unit
    return value, unit, None, None


def _device_time(time: datetime) -> DeviceTime:
    offset = time.utcoffset()
    minutes = None if offset is None else round(offset.total_seconds() / 60)
    return DeviceTime(time.year, time.month, time.day, time.hour, time.minute, time.second, minutes)
