"""One observation of a Generic Health Sensor: numbers that the code table has become Readings.

In      class u8 | length u16 | flags u16 | [type u32 MDC] | [time 9] | [duration FLOAT-Type s]
        | [status u16] | [object id u32] | [patient u8] | [supplemental codes] | [derived from]
        | [has member] | [type-length-values] | value
        flags b0 to b9 say which of the ten are there
        value by class: 1 numeric: unit u16, FLOAT-Type; 2 discrete: u32; 3 string: length u16,
        text; 4 sample array: see _ghs_samples; 5 discrete events: count u8, u32 each; 6 state or
        event: size u8, three bit fields; 7 compound: count u8, then type u32, value class u8,
        value each; 8 type-length-values;
        255 bundle: count u8, observations that share the fields of the bundle
Out     Readings and Samples; nothing for what is no number, is a setting of the device, or has no
        metric. A waveform has no flags: what is invalid, not available or of a test has no Samples
Errors  DecodeError: lengths that do not fit, a unit that does not fit the metric, samples under the
        number of a patient (a waveform has no place for it, and must not pass for another's)
Source  Bluetooth GHSS 1.0, 3.2; ISO/IEEE 11073-10206 (observation classes)
"""

from decimal import Decimal
from functools import lru_cache
from struct import Struct
from typing import Final

import msgspec

from wardlight_edge.devices._base import Frame, Samples
from wardlight_edge.devices._gatt import user_index
from wardlight_edge.devices._ghs_fields import (
    MANUALLY_ENTERED,
    SETTING,
    Fields,
    elapsed_time,
    status_flags,
)
from wardlight_edge.devices._ghs_samples import runs, sample_array
from wardlight_edge.devices._mdc import (
    DIMENSIONS,
    METRIC_AT_SITE,
    UNIT_BY_CODE,
    WAVEFORM_BY_CODE,
    measured,
)
from wardlight_edge.devices._units import ConversionError
from wardlight_shared.errors import DecodeError
from wardlight_shared.floats import float_from_word
from wardlight_shared.model import NOT_CLINICAL, Absent, DeviceTime, Flag, Reading

_NUMERIC, _DISCRETE, _STRING, _SAMPLES, _EVENTS, _STATES, _COMPOUND, _VALUES = range(1, 9)
_BUNDLE: Final = 255
_HEAD: Final = Struct("<BHH")  # class, length, flags
_FLAGS_OCTETS: Final = 2  # the length counts from them on
_PART: Final = Struct("<IB")  # type, class
_NUMBER: Final = Struct("<HI")  # unit, FLOAT-Type
_TYPE, _TIME, _DURATION, _STATUS, _ID, _PATIENT = (1 << bit for bit in range(6))
_CODES: Final = {_TYPE: "I", _TIME: "BIHBb", _DURATION: "I", _STATUS: "H", _ID: "I", _PATIENT: "B"}
_FIXED: Final = sum(_CODES)
_VARIABLE: Final = 0b1111 << 6
_MOST_SUPPLEMENTAL: Final = 16  # a context text has at most 256 letters
_INVALID: Final = int(Flag.INVALID)
_WITHHELD: Final = _INVALID | int(Flag.UNAVAILABLE)
_NO_WAVEFORM: Final = _WITHHELD | int(NOT_CLINICAL)
_USER_UNKNOWN: Final = int(Flag.USER_UNKNOWN)


class _Shared(msgspec.Struct, frozen=True):
    """The fields that an observation has of its own or from its bundle."""

    type: int | None = None
    time: DeviceTime | None = None
    flags: int = 0
    user: int | None = None
    is_setting: bool = False
    context: tuple[tuple[str, str], ...] = ()


_ALONE: Final = _Shared()


class _Found:
    """What one value holds, as far as it is read."""

    __slots__ = ("is_signed", "readings", "record", "samples")

    def __init__(self, record: int | None, is_signed: bool) -> None:
        self.record = record
        self.is_signed = is_signed
        self.readings: list[Reading] = []
        self.samples: tuple[Samples, ...] = ()


def readings(octets: bytes, start: int, where: str, record: int | None) -> tuple[Reading, ...]:
    """Decode one whole observation for its readings alone; else as ``frame``."""
    return tuple(_found(octets, start, where, record, is_signed=True).readings)


def frame(
    octets: bytes, start: int, where: str, record: int | None, *, is_signed: bool = True
) -> Frame:
    """Decode one whole observation, from ``start`` to the end.

    is_signed  whether the samples of a waveform are integers with a sign
    """
    found = _found(octets, start, where, record, is_signed=is_signed)
    return Frame(tuple(found.readings), found.samples)


def _found(octets: bytes, start: int, where: str, record: int | None, *, is_signed: bool) -> _Found:
    fields, found = Fields(octets, where, start), _Found(record, is_signed)
    _observation(fields, _ALONE, found)
    fields.leave(len(octets))
    return found


def _observation(fields: Fields, shared: _Shared, found: _Found) -> None:
    """Add what one observation holds; ``shared`` is not _ALONE in a bundle."""
    kind, length, present = fields.read(_HEAD)
    if length < _FLAGS_OCTETS:
        raise DecodeError(f"{fields.where}: a length of {length}, its flags alone have 2")
    outer = fields.enter(length - _FLAGS_OCTETS)
    own = _own(fields, present, shared) if present else shared
    if kind == _BUNDLE:
        if shared is not _ALONE:
            raise DecodeError(f"{fields.where}: a bundle in a bundle")
        own = _Shared() if own is _ALONE else own
        for _ in range(fields.u8()):
            _observation(fields, own, found)
    elif kind == _COMPOUND:
        for _ in range(fields.u8()):
            code, kind = fields.read(_PART)
            _value(fields, kind, code, own, found)
    else:
        _value(fields, kind, own.type, own, found)
    fields.leave(outer)


def _own(fields: Fields, present: int, shared: _Shared) -> _Shared:
    """Read the optional fields that are ``present``; what is not there is the bundle's."""
    code, time, flags, user = shared.type, shared.time, shared.flags, shared.user
    is_setting, context = shared.is_setting, shared.context
    numbers, at = fields.read(_fixed(present & _FIXED)), 0
    if present & _TYPE:
        code, at = numbers[0], 1
    if present & _TIME:
        time, unset = elapsed_time(*numbers[at : at + 5])
        flags, at = flags | unset, at + 5
    if present & _DURATION:
        duration, at = float_from_word(numbers[at]), at + 1
        if isinstance(duration, Decimal):
            context += (("measurement-duration-s", f"{duration:f}"),)
    if present & _STATUS:
        status, at = numbers[at], at + 1
        flags |= status_flags(status)
        is_setting = is_setting or bool(status & SETTING)
        context += (("manually-entered", "yes"),) if status & MANUALLY_ENTERED else ()
    if present & _PATIENT:
        user, unknown = user_index(numbers[-1])
        flags |= unknown
    if present & _VARIABLE:
        context = _variable(fields, present, context)
    return _Shared(code, time, flags, user, is_setting, context)


@lru_cache(maxsize=64)
def _fixed(present: int) -> Struct:
    """The fields of a fixed length that these flags tell of."""
    return Struct("<" + "".join(code for flag, code in _CODES.items() if present & flag))


def _variable(
    fields: Fields, present: int, context: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Read the fields of which each has a length of its own; return ``context`` with theirs."""
    if present & 1 << 6:
        context += _supplemental(fields.codes())
    for bit in (7, 8):
        if present & 1 << bit:
            fields.codes()
    if present & 1 << 9:
        fields.skip_values_with_type()
    return context


@lru_cache(maxsize=256)
def _supplemental(codes: tuple[int, ...]) -> tuple[tuple[str, str]]:
    return (("supplemental-mdc", " ".join(map(str, codes[:_MOST_SUPPLEMENTAL]))),)


def _value(fields: Fields, kind: int, code: int | None, shared: _Shared, found: _Found) -> None:
    if kind == _NUMERIC:
        _numeric(fields, code, shared, found)
    elif kind == _DISCRETE:
        fields.take(4)
    elif kind == _STRING:
        fields.take(fields.u16())
    elif kind == _EVENTS:
        fields.codes()
    elif kind == _STATES:
        fields.take(3 * fields.u8())
    elif kind == _VALUES:
        fields.skip_values_with_type()
    elif kind == _SAMPLES:
        _samples(fields, code, shared, found)
    else:
        raise DecodeError(f"{fields.where}: observation class {kind} is reserved")


def _samples(fields: Fields, code: int | None, shared: _Shared, found: _Found) -> None:
    array, metric = sample_array(fields), WAVEFORM_BY_CODE.get(code or 0)
    if metric is None or shared.is_setting or shared.flags & _NO_WAVEFORM:
        return
    if shared.user is not None or shared.flags & _USER_UNKNOWN:
        raise DecodeError(f"{fields.where}: samples of {metric} under the number of a patient")
    found.samples += runs(array, metric, fields.where, is_signed=found.is_signed)


def _numeric(fields: Fields, code: int | None, shared: _Shared, found: _Found) -> None:
    unit, word = fields.read(_NUMBER)
    known = METRIC_AT_SITE.get(code or 0)
    if known is None or shared.is_setting:
        return
    metric, site = known
    flags = shared.flags
    try:
        number, raw, raw_unit, kept = _number(metric, word, unit, flags & _WITHHELD)
    except ConversionError as error:
        raise DecodeError(f"{fields.where}: unit {unit} does not fit {metric}") from error
    found.readings.append(
        Reading(
            metric, number, kept, raw, raw_unit, shared.time, flags, shared.user,
            site, found.record, shared.context,
        )
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _number(
    metric: str, word: int, unit_term: int, withheld: int
) -> tuple[Decimal | Absent, Decimal | None, str | None, str]:
    """Return value, raw value and raw unit, and the unit of the value, of a FLOAT-Type word."""
    unit = UNIT_BY_CODE.get(DIMENSIONS | unit_term)
    value = float_from_word(word)
    sent = value if isinstance(value, Decimal) else Decimal(0)
    (number, raw, raw_unit), kept = measured(metric, sent, unit or "")
    if isinstance(value, Absent):
        return value, None, None, kept
    if withheld:
        reason = Absent.INVALID if withheld & _INVALID else Absent.NOT_MEASURED
        return reason, value, unit, kept
    return number, raw, raw_unit, kept
