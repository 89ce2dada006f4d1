"""Scan reports of an agent as readings: fixed, variable and grouped, of one person or several.

Out     Scan: readings with one person and one time, and the codes of what has no metric here
Errors  DecodeError: octets that do not fit the configuration, a handle it does not know, a unit
        that does not fit
Source  ISO/IEEE 11073-20601 A.11.5 (ScanReportInfo*)
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from wardlight_edge.devices._apdu.configuration import Configuration, Layout, Measured
from wardlight_edge.devices._apdu.events import EventReport
from wardlight_edge.devices._apdu.mder import Reader
from wardlight_edge.devices._apdu.readings import Counters, found_in
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceTime, Reading

CONFIG: Final = 0x0D1C
_FIXED: Final = frozenset({0x0D1D, 0x0D23, 0x0D29})
_VARIABLE: Final = frozenset({0x0D1E, 0x0D22, 0x0D28})
_GROUPED: Final = frozenset({0x0D24, 0x0D2A})
_PERSON_FIXED: Final = frozenset({0x0D1F, 0x0D26, 0x0D2C})
_PERSON_VARIABLE: Final = frozenset({0x0D20, 0x0D25, 0x0D2B})
_PERSON_GROUPED: Final = frozenset({0x0D27, 0x0D2D})
REPORTS: Final = _FIXED | _VARIABLE | _GROUPED | _PERSON_FIXED | _PERSON_VARIABLE | _PERSON_GROUPED


class Observed(msgspec.Struct, frozen=True):
    """Readings of one person at one time, and the octets they came from.

    age_ms  how long before the report they were measured, by the agent's counter; else 0
    """

    readings: tuple[Reading, ...]
    raw: bytes
    age_ms: int


class Scan(msgspec.Struct, frozen=True):
    """One scan report; ``ignored`` are MDC codes of what was measured too and has no metric."""

    observed: tuple[Observed, ...]
    ignored: tuple[str, ...]


_Moment = tuple[int | None, DeviceTime | None, int]
"""Person, time and age: what readings of one event share."""


class _Reported(NamedTuple):
    """One object in a report."""

    person: int | None
    raw: bytes
    target: Measured
    values: dict[int, bytes]


def scan_of(report: EventReport, configuration: Configuration, high_us: int | None = None) -> Scan:
    """Decode the information of one scan report.

    high_us  what the agent's counter in high resolution shows now; None = not known
    """
    counters = Counters(report.time, high_us)
    reader = Reader(report.information, "scan report")
    reader.take(4)  # data request id, number of the report
    grouped: dict[_Moment, list[tuple[Reading, bytes]]] = {}
    ignored: dict[str, None] = {}
    for each in _reported(report, reader, configuration):
        found = found_in(each.target, each.values, each.person, counters)
        ignored.update(dict.fromkeys(found.ignored))
        for reading in found.readings:
            key = (each.person, reading.time, found.age_ms)
            grouped.setdefault(key, []).append((reading, each.raw))
    reader.end()
    return Scan(tuple(_observed(found, key[-1]) for key, found in grouped.items()), tuple(ignored))


def _observed(found: list[tuple[Reading, bytes]], age_ms: int) -> Observed:
    raw = b"".join(dict.fromkeys(raw for _, raw in found))
    return Observed(tuple(reading for reading, _ in found), raw, age_ms)


def _reported(
    report: EventReport, reader: Reader, configuration: Configuration
) -> Iterator[_Reported]:
    if report.kind in _PERSON_FIXED | _PERSON_VARIABLE | _PERSON_GROUPED:
        for each in reader.items():
            person = each.u16()
            yield from _of_person(report, each, configuration, person)
    else:
        yield from _of_person(report, reader, configuration, None)


def _of_person(
    report: EventReport, reader: Reader, configuration: Configuration, person: int | None
) -> Iterator[_Reported]:
    scanner = report.handle
    if report.kind in _PERSON_GROUPED:  # a person has one group, not a list of them
        yield from _group(reader.octets(), configuration, scanner, person)
        return
    for each in reader.items():
        if report.kind in _GROUPED:
            yield from _group(each.octets(), configuration, scanner, person)
            continue
        handle = each.u16()
        target = _object(configuration, handle)
        if report.kind in _FIXED | _PERSON_FIXED:
            octets = each.octets()
            inner = Reader(octets, f"object {handle}")
            values = _laid_out(inner, target.layout)
            inner.end()
        else:
            values = each.attributes()
            octets = b"".join(values.values())
        yield _Reported(person, handle.to_bytes(2, "big") + octets, target, values)


def _object(configuration: Configuration, handle: int) -> Measured:
    found = configuration.objects.get(handle)
    if found is None:
        raise DecodeError(f"scan report: object {handle} is not in the configuration")
    return found


def _group(
    octets: bytes, configuration: Configuration, scanner: int, person: int | None
) -> Iterator[_Reported]:
    layouts = configuration.scanners.get(scanner)
    if not layouts:
        raise DecodeError(f"scan report: scanner {scanner} is not in the configuration")
    inner = Reader(octets, f"scanner {scanner}")
    for handle, layout in layouts:
        yield _Reported(person, octets, _object(configuration, handle), _laid_out(inner, layout))
    inner.end()


def _laid_out(reader: Reader, layout: Layout) -> dict[int, bytes]:
    return {attribute: reader.take(length) for attribute, length in layout}
