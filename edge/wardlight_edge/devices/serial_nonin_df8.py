"""Nonin serial data format #8: wrist and finger oximeters (3150, 4100, Onyx II), once a second.

In      9600 8N1, 4 bytes a second: status | pulse rate bits 6-0 | SpO2 | second status
        status b7 always 1, b6 sensor disconnected, b5 out of track, b4 low and b3 marginal
        perfusion, b2 artefact, b1-0 pulse rate bits 8-7; b7 of the others is 0
        second status b5 SmartPoint passed, b3 sensor alarm (the finger is out), b0 battery low
Out     one Frame a second: spo2 in %, pulse_rate_oximeter in /min with the status as flags.
        SpO2 127 and pulse rate 511 are NOT_MEASURED; SpO2 101 to 126 is INVALID. With the sensor
        disconnected both are SENSOR_FAULT, after a sensor alarm SENSOR_OFF (_oximetry), with the
        number kept in raw_value
        There is no checksum: a frame counts when the next one begins right behind it
Errors  none from bytes: damaged frames are counted; ConfigError for any option
Source  Nonin 3150 and 4100 specifications, serial data format #8; the same fields in a public
        patient gateway for Android (Wrist Ox) and a public Python decoder (formats 2, 7, 8)
Vectors tests/vectors/serial_nonin_df8.toml
"""

import re
from functools import lru_cache
from struct import iter_unpack
from typing import Final

from wardlight_edge.devices import _nonin_values
from wardlight_edge.devices._base import Frame, FramerCounts, Options
from wardlight_edge.devices._options import check_options
from wardlight_edge.devices._oximetry import off_patient
from wardlight_edge.devices._sync_bit import HIGH, LOW, SyncBitFramer
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceInfo, Flag, Reading

_FRAME: Final = 4
_PIECE: Final = "4s"
_NEXT: Final = b"\x80"
_WHOLE: Final = re.compile(b"(?:%b%b{3})+" % (HIGH, LOW))
_STATUS_FLAGS: Final = (
    (0b0100_0000, Flag.SENSOR_FAULT),
    (0b0010_0000, Flag.OUT_OF_TRACK),
    (0b0001_0000, Flag.LOW_PERFUSION),
    (0b0000_1000, Flag.SIGNAL_POOR),
    (0b0000_0100, Flag.ARTIFACT),
)
_SECOND_FLAGS: Final = (
    (0b0010_0000, Flag.VALIDATED),
    (0b0000_1000, Flag.SENSOR_OFF),
    (0b0000_0001, Flag.BATTERY_LOW),
)


class NoninFormat8Framer:
    """Framing state of one line."""

    def __init__(self) -> None:
        self._line = SyncBitFramer(_FRAME, first=HIGH, rest=LOW, follows=HIGH)

    @property
    def counts(self) -> FramerCounts:
        """What was received so far."""
        return self._line.counts

    def feed(self, octets: bytes) -> tuple[Frame, ...]:
        """Take the next bytes of the line; return a Frame for each whole frame."""
        return tuple(
            [
                _frame(octets)
                for run in self._line.feed(octets)
                if isinstance(run, bytes)
                for (octets,) in iter_unpack(_PIECE, run)
            ]
        )


def framer(options: Options) -> NoninFormat8Framer:
    """Make the framer of one line."""
    check_options("serial_nonin_df8", options)
    return NoninFormat8Framer()


def is_whole(octets: bytes) -> bool:
    """Whether these are frames of this format, from the first byte to the last."""
    return _WHOLE.fullmatch(octets) is not None


def decode_bytes(octets: bytes, options: Options) -> tuple[tuple[Reading, ...], DeviceInfo]:
    """Decode a stretch of the line; its last frame needs nothing behind it."""
    line = framer(options)
    frames = line.feed(octets + _NEXT)
    if not frames:
        raise DecodeError(f"Nonin format 8: {len(octets)} bytes hold no whole frame")
    if line.counts.damaged:
        raise DecodeError(
            f"Nonin format 8: damaged at byte {line.counts.damaged_at}, "
            f"{line.counts.damaged} damaged frames, {line.counts.frames} whole"
        )
    readings = tuple(reading for frame in frames for reading in frame.readings)
    return readings, DeviceInfo(manufacturer="Nonin Medical")


@lru_cache(maxsize=4096)
def _frame(octets: bytes) -> Frame:
    status, pulse_low, spo2, second = octets
    flags = 0
    for octet, bits in ((status, _STATUS_FLAGS), (second, _SECOND_FLAGS)):
        for mask, flag in bits:
            flags |= int(flag) * bool(octet & mask)
    pulse = (status & 0b11) << 7 | pulse_low
    return Frame(_nonin_values.readings(flags, spo2, pulse, off_patient(flags)))
