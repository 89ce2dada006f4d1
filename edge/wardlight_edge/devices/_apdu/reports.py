"""Scan reports of an agent as readings: fixed, variable and grouped, of one person or several.

Out     Observed: readings with one person and one time
        SFLOAT and FLOAT specials are Absent; measurement status becomes flags, "invalid" withholds
        the number. A metric or unit that is none of the code table's is passed over
Errors  DecodeError: octets that do not fit the configuration, a handle it does not know, a unit
        that does not fit
Source  ISO/IEEE 11073-20601 A.11.5 (ScanReportInfo*), A.5 (numeric observed values), A.3.4
        (MeasurementStatus)
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from wardlight_edge.devices._apdu.configuration import Configuration, Layout, Measured
from wardlight_edge.devices._apdu.mder import Reader, absolute_time
from wardlight_edge.devices._gatt import Number, number
from wardlight_edge.devices._mdc import BY_CODE, UNIT_BY_CODE, measured
from wardlight_edge.devices._units import ConversionError, is_permitted
from wardlight_shared.codes import METRICS
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Absent, DeviceTime, Flag, Reading

CONFIG: Final = 0x0D1C
_FIXED: Final = frozenset({0x0D1D, 0x0D23, 0x0D29})
_VARIABLE: Final = frozenset({0x0D1E, 0x0D22, 0x0D28})
_GROUPED: Final = frozenset({0x0D24, 0x0D2A})
_PERSON_FIXED: Final = frozenset({0x0D1F, 0x0D26, 0x0D2C})
_PERSON_VARIABLE: Final = frozenset({0x0D20, 0x0D25, 0x0D2B})
_PERSON_GROUPED: Final = frozenset({0x0D27, 0x0D2D})
REPORTS: Final = _FIXED | _VARIABLE | _GROUPED | _PERSON_FIXED | _PERSON_VARIABLE | _PERSON_GROUPED
_COMPOUND_BASIC: Final = 0x0A75
_TIME: Final = 0x0990
_STATUS: Final = 0x0947
_UNIT: Final = 0x0996
_NO_PERSON: Final = 0xFFFF
_LAST_USER: Final = 254
_FLAGS: Final = (
    (0x8000, Flag.INVALID),
    (0x4000, Flag.QUESTIONABLE),
    (0x2000, Flag.UNAVAILABLE),
    (0x1000, Flag.CALIBRATING),
    (0x0800, Flag.TEST),
    (0x0400, Flag.DEMO),
    (0x0080, Flag.VALIDATED),
    (0x0040, Flag.EARLY),
    (0x0020, Flag.ONGOING),
)
_WITHHOLDING: Final = int(Flag.INVALID | Flag.UNAVAILABLE)


class Observed(msgspec.Struct, frozen=True):
    """Readings of one person at one time, and the octets they came from."""

    readings: tuple[Reading, ...]
    raw: bytes


def observations(
    kind: int, octets: bytes, configuration: Configuration, scanner: int
) -> tuple[Observed, ...]:
    """Decode the information of one scan report; ``scanner`` is the handle that sent it."""
    reader = Reader(octets, "scan report")
    reader.take(4)  # data request id, number of the report
    grouped: dict[tuple[object, ...], list[tuple[Reading, bytes]]] = {}
    for person, raw, found in _values(kind, reader, configuration, scanner):
        for reading in found:
            key = (person, reading.time)
            grouped.setdefault(key, []).append((reading, raw))
    reader.end()
    return tuple(
        Observed(
            tuple(reading for reading, _ in found), b"".join(dict.fromkeys(raw for _, raw in found))
        )
        for found in grouped.values()
    )


def _values(
    kind: int, reader: Reader, configuration: Configuration, scanner: int
) -> Iterator[tuple[int | None, bytes, list[Reading]]]:
    """(person, octets, readings) of each object in a report."""
    if kind in _PERSON_FIXED | _PERSON_VARIABLE | _PERSON_GROUPED:
        for each in reader.items():
            person = each.u16()
            yield from _persons_values(kind, each, configuration, scanner, person)
    else:
        yield from _persons_values(kind, reader, configuration, scanner, None)


def _persons_values(
    kind: int, reader: Reader, configuration: Configuration, scanner: int, person: int | None
) -> Iterator[tuple[int | None, bytes, list[Reading]]]:
    if kind in _PERSON_GROUPED:  # a person has one group, not a list of them
        yield from _group(reader.octets(), configuration, scanner, person)
        return
    for each in reader.items():
        if kind in _GROUPED:
            yield from _group(each.octets(), configuration, scanner, person)
        else:
            handle = each.u16()
            target = _object(configuration, handle)
            if kind in _FIXED | _PERSON_FIXED:
                octets = each.octets()
                inner = Reader(octets, f"object {handle}")
                values = _laid_out(inner, target.layout)
                inner.end()
            else:
                values = each.attributes()
                octets = b"".join(values.values())
            yield person, handle.to_bytes(2, "big") + octets, _readings(target, values, person)


def _object(configuration: Configuration, handle: int) -> Measured:
    found = configuration.objects.get(handle)
    if found is None:
        raise DecodeError(f"scan report: object {handle} is not in the configuration")
    return found


def _group(
    octets: bytes, configuration: Configuration, scanner: int, person: int | None
) -> Iterator[tuple[int | None, bytes, list[Reading]]]:
    layouts = configuration.scanners.get(scanner)
    if not layouts:
        raise DecodeError(f"scan report: scanner {scanner} is not in the configuration")
    inner = Reader(octets, f"scanner {scanner}")
    for handle, layout in layouts:
        values = _laid_out(inner, layout)
        yield person, octets, _readings(_object(configuration, handle), values, person)
    inner.end()


def _laid_out(reader: Reader, layout: Layout) -> dict[int, bytes]:
    return {attribute: reader.take(length) for attribute, length in layout}


def _readings(target: Measured, values: Mapping[int, bytes], person: int | None) -> list[Reading]:
    time, flags = _when(values)
    if _STATUS in values:
        status = Reader(values[_STATUS], "status").u16()
        for mask, flag in _FLAGS:
            flags |= int(flag) * bool(status & mask)
    user = person if person is not None and person <= _LAST_USER else None
    if person is not None and user is None:
        flags |= int(Flag.USER_UNKNOWN)
    made: list[Reading] = []
    for code, unit, value in _numbers(target, values):
        metric, ucum = BY_CODE.get(code), UNIT_BY_CODE.get(unit or 0)
        if metric is None:
            continue
        if ucum is None:
            raise DecodeError(f"object of {metric}: a unit this gateway does not know")
        number_, kept = _converted(metric, value, ucum, flags)
        made.append(Reading(metric, number_[0], kept, number_[1], number_[2], time, flags, user))
    return made


def _when(values: Mapping[int, bytes]) -> tuple[DeviceTime | None, int]:
    return absolute_time(values[_TIME]) if _TIME in values else (None, 0)


def _numbers(
    target: Measured, values: Mapping[int, bytes]
) -> Iterator[tuple[int, int | None, Decimal | Absent]]:
    """(code, unit, value) of each number observed."""
    unit = target.unit
    if _UNIT in values:
        unit = 4 << 16 | Reader(values[_UNIT], "unit").u16()
    for attribute, octets in values.items():
        reader = Reader(octets, f"attribute {attribute:#06x}")
        match attribute:
            case 0x0A4C:
                yield target.code, unit, reader.sfloat()
            case 0x0A56:
                yield target.code, unit, reader.float()
            case 0x0950:  # metric id, status, unit, value
                term, _, dimension = reader.u16(), reader.u16(), reader.u16()
                code = target.code & 0xFFFF0000 | term
                yield code, 4 << 16 | dimension, reader.float()
            case 0x0A75 | 0x0A74:
                yield from _compound(target, reader, unit, attribute)
            case _:
                continue
        reader.end()


def _compound(
    target: Measured, reader: Reader, unit: int | None, attribute: int
) -> Iterator[tuple[int, int | None, Decimal | Absent]]:
    items = list(target.parts)
    for place, each in enumerate(reader.items()):
        value = each.sfloat() if attribute == _COMPOUND_BASIC else each.float()
        if place >= len(items):
            raise DecodeError("compound value: more numbers than the configuration names")
        yield items[place], unit, value


def _converted(metric: str, value: Decimal | Absent, unit: str, flags: int) -> tuple[Number, str]:
    row = METRICS[metric]
    kept = unit if is_permitted(metric, unit) else row.unit
    if isinstance(value, Absent):
        return (value, None, None), kept
    if flags & _WITHHOLDING:
        return number(value, unit, Absent.INVALID), kept
    try:
        return measured(metric, value, unit)
    except ConversionError as error:
        raise DecodeError(f"object of {metric}: a unit that does not fit") from error
