"""The objects of an agent: what each handle measures and how its reports are laid out.

In      a ConfigReport (MDC_NOTI_CONFIG), or the number of a standard configuration
Out     Configuration: handle to Measured, scanner handle to its layout
Errors  DecodeError
Source  ISO/IEEE 11073-20601 A.11.5 (ConfigReport), 6.3 (object classes and attributes); standard
        configurations: 11073-10404 (0x0190), -10407 (0x02BC), -10415 (0x05DC)
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from wardlight_edge.devices._apdu.mder import Reader
from wardlight_shared.errors import DecodeError

NUMERIC: Final = 6
METRICS: Final = frozenset({5, NUMERIC, 9})  # enumeration, numeric, samples in real time
SCANNERS: Final = frozenset({18, 19})  # episodic, periodic
_TYPE: Final = 0x092F
_UNIT: Final = 0x0996
_VALUE_MAP: Final = 0x0A55
_ID_LIST: Final = 0x0A76
_SCAN_MAP: Final = 0x0A53
_MAX_OBJECTS: Final = 256

Layout = tuple[tuple[int, int], ...]
"""(attribute, length) of each value of a fixed report."""


class Measured(msgspec.Struct, frozen=True):
    """An object that is reported; only of a numeric one are values read.

    code        MDC code, ``partition << 16 | term``
    parts       codes of a compound's values, in the order sent; () = one value
    unit        MDC unit code, ``4 << 16 | dimension``; None = sent with each value
    layout      of a fixed report
    is_numeric  else an enumeration or samples
    """

    code: int
    parts: tuple[int, ...]
    unit: int | None
    layout: Layout
    is_numeric: bool = True


class Configuration(msgspec.Struct, frozen=True):
    """Every object of an agent that may be in a scan report."""

    number: int
    objects: dict[int, Measured]
    scanners: dict[int, tuple[tuple[int, Layout], ...]]


def configuration_of(octets: bytes) -> Configuration:
    """Parse a ConfigReport."""
    reader = Reader(octets, "ConfigReport")
    number = reader.u16()
    objects: dict[int, Measured] = {}
    scanners: dict[int, tuple[tuple[int, Layout], ...]] = {}
    for each in reader.items():
        kind, handle, attributes = each.u16(), each.u16(), each.attributes()
        if len(objects) + len(scanners) >= _MAX_OBJECTS:
            raise DecodeError(f"ConfigReport: over {_MAX_OBJECTS} objects")
        if kind in METRICS and _TYPE in attributes:
            objects[handle] = _measured(attributes, is_numeric=kind == NUMERIC)
        elif kind in SCANNERS:
            scanners[handle] = _scan_map(attributes.get(_SCAN_MAP, b""))
    reader.end()
    return Configuration(number, objects, scanners)


def _measured(attributes: Mapping[int, bytes], *, is_numeric: bool) -> Measured:
    kind = Reader(attributes[_TYPE], "type")
    partition, term = kind.u16(), kind.u16()
    kind.end()
    unit = Reader(attributes[_UNIT], "unit").u16() if _UNIT in attributes else None
    parts: list[int] = []
    if _ID_LIST in attributes:
        parts = [
            partition << 16 | each.u16() for each in Reader(attributes[_ID_LIST], "ids").items()
        ]
    layout = (
        _layout(Reader(attributes[_VALUE_MAP], "value map")) if _VALUE_MAP in attributes else ()
    )
    mdc_unit = None if unit is None else 4 << 16 | unit
    return Measured(partition << 16 | term, tuple(parts), mdc_unit, layout, is_numeric)


def _layout(reader: Reader) -> Layout:
    return tuple((each.u16(), each.u16()) for each in reader.items())


def _scan_map(octets: bytes) -> tuple[tuple[int, Layout], ...]:
    if not octets:
        return ()
    return tuple((each.u16(), _layout(each)) for each in Reader(octets, "scan map").items())


_BASIC: Final = 0x0A4C
_SIMPLE: Final = 0x0A56
_COMPOUND: Final = 0x0A75
_TIME: Final = (0x0990, 8)

STANDARD: Final[Mapping[int, Configuration]] = {
    0x0190: Configuration(
        0x0190,
        {
            1: Measured(150456, (), 262688, ((_BASIC, 2), _TIME)),
            10: Measured(149530, (), 264864, ((_BASIC, 2), _TIME)),
        },
        {},
    ),
    0x02BC: Configuration(
        0x02BC,
        {
            1: Measured(150020, (150021, 150022, 150023), 266016, ((_COMPOUND, 10), _TIME)),
            2: Measured(149546, (), 264864, ((_BASIC, 2), _TIME)),
        },
        {},
    ),
    0x05DC: Configuration(
        0x05DC,
        {
            1: Measured(188736, (), 263875, ((_SIMPLE, 4), _TIME)),
            2: Measured(188740, (), 263441, ((_SIMPLE, 4), _TIME)),
            3: Measured(188752, (), 264096, ((_SIMPLE, 4), _TIME)),
        },
        {},
    ),
}
"""Standard configurations by number: what agents that use them need not send."""
