"""Glucose meter: Glucose Measurement 0x2A18 and its context 0x2A34, fetched by 0x2A52.

In      0x2A18, 10 to 17 bytes: flags u8 | sequence u16 | base time 7 | [offset s16 min]
        | [SFLOAT-Type, type low nibble, sample location high nibble] | [status u16]
        flags b0 offset, b1 concentration, b2 mol/L (else kg/L), b3 status, b4 context follows
        0x2A34: see _glucose_context.py; 0x2A52: see _racp.py
Out     one reading with record = sequence number and time = base time + offset: in mg/dL, or in
        mmol/L where the device counts moles and the table has that; the number as sent is kept.
        Venous and arterial samples are "undetermined" ones that name the sample in their context.
        Without a concentration the status says why: OVER_RANGE (HI), UNDER_RANGE (LO), else
        NOT_MEASURED. Withheld, the number kept: HI and LO, a fault of strip, sample, temperature
        or device (INVALID), a ketone record of a model that marks them (INVALID; quirks.toml).
        Control solution has Flag.TEST.
        0x2A34 and 0x2A52 by themselves have no readings; ``dialogue`` joins context and record
Errors  DecodeError: length that the flags do not account for
Options racp_all = false: ask for everything as "from number 0" (Contour)
Source  Bluetooth GLS 1.0.1, 3.1 to 3.4; GLP 1.0.1; GSS Glucose Measurement
Vectors tests/vectors/glucose.toml
"""

from collections.abc import Callable, Mapping
from typing import Final

from wardlight_edge.devices import _racp
from wardlight_edge.devices._base import Options
from wardlight_edge.devices._dialogue import Bookmarks, Dialogue
from wardlight_edge.devices._gatt import decode_value
from wardlight_edge.devices._glucose_context import decode_context
from wardlight_edge.devices._glucose_measurement import decode_measurement, readings_of
from wardlight_edge.devices._glucose_records import GlucoseRecords
from wardlight_edge.devices._stored_records import asks_all
from wardlight_shared.model import Reading

CONTROL_POINTS: Final = frozenset({_racp.CHANNEL})


def _measurement(value: bytes) -> tuple[Reading, ...]:
    return readings_of(decode_measurement(value))


def _context(value: bytes) -> tuple[Reading, ...]:
    decode_context(value)
    return ()


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    "0x2A18": _measurement,
    "0x2A34": _context,
    _racp.CHANNEL: _racp.no_readings,
}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one value of a characteristic of CHARACTERISTICS."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def dialogue(options: Options, bookmarks: Bookmarks) -> Dialogue:
    """Make the conversation that fetches the memory of one meter."""
    return GlucoseRecords(bookmarks, asks_all=asks_all("glucose", options))
