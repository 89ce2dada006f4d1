"""Continuous glucose monitor: CGM Measurement 0x2AA7 and its session, fetched by 0x2A52.

In      0x2AA7: one or more records, each: size u8 | flags u8 | concentration SFLOAT-Type mg/dL
        | offset u16 min | [status u8] | [calibration and temperature u8] | [warning u8]
        | [trend SFLOAT-Type mg/dL/min] | [quality SFLOAT-Type %] | [CRC u16]
        flags b0 trend, b1 quality, b5 warning, b6 calibration and temperature, b7 status; the size
        says whether there is a CRC
        0x2AA8 to 0x2AAC: see _cgm_session.py; 0x2A52: see _racp.py
Out     glucose_cgm in mg/dL for each record, with record = offset; trend and quality are context.
        Withheld, the number kept: what the sensor cannot measure (OVER_RANGE, UNDER_RANGE), a
        fault (SENSOR_FAULT), a wrong sensor or temperature (INVALID); 0 is NOT_MEASURED. Alerts
        of the device are Flag.DEVICE_ALARM, calibration due is QUESTIONABLE.
        The time of a record needs the start of its session: ``dialogue`` has it. The rest of the
        characteristics have no readings. The session itself is never started or changed
Errors  DecodeError: length that size and flags do not account for, a wrong CRC
Options racp_all = false: ask for everything as "from minute 0"
Source  Bluetooth CGMS 1.0.2, 3.1 to 3.11; CGMP 1.0.2; GSS CGM Measurement
Vectors tests/vectors/cgm.toml
"""

from collections.abc import Callable, Mapping
from typing import Final

from wardlight_edge.devices import _cgm_session, _racp
from wardlight_edge.devices._base import Options
from wardlight_edge.devices._cgm_measurement import CHANNEL, decode_record, reading_of, records_in
from wardlight_edge.devices._cgm_records import CgmRecords
from wardlight_edge.devices._dialogue import Bookmarks, Dialogue
from wardlight_edge.devices._gatt import decode_value
from wardlight_edge.devices._stored_records import asks_all
from wardlight_shared.model import Reading

CONTROL_POINTS: Final = frozenset({_racp.CHANNEL})


def _measurement(value: bytes) -> tuple[Reading, ...]:
    return tuple(reading_of(decode_record(record)) for record in records_in(value))


def _without_readings(decode_part: Callable[[bytes], object]) -> Callable[[bytes], tuple[()]]:
    def decode_it(value: bytes) -> tuple[()]:
        decode_part(value)
        return ()

    return decode_it


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    CHANNEL: _measurement,
    _cgm_session.FEATURE: _without_readings(_cgm_session.decode_feature),
    _cgm_session.STATUS: _without_readings(_cgm_session.decode_status),
    _cgm_session.START: _without_readings(_cgm_session.decode_start),
    _cgm_session.RUN_TIME: _without_readings(_cgm_session.decode_run_time),
    _cgm_session.OPERATIONS: _without_readings(_cgm_session.decode_operation),
    _racp.CHANNEL: _racp.no_readings,
}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one value of a characteristic of CHARACTERISTICS."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def dialogue(options: Options, bookmarks: Bookmarks) -> Dialogue:
    """Make the conversation that fetches the records of one monitor."""
    return CgmRecords(bookmarks, asks_all=asks_all("cgm", options))
