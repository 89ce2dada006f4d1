"""Contec CMS50 finger oximeters, both generations; the first is BCI's format, which others share.

In      60 frames a second:
        bci  19200 8O1 (CMS50D+, CMS50E up to 4.5): 5 bytes, b7 set on the first alone
             b0 strength, 0x10 finger out, 0x20 SpO2 drops, 0x40 beat | wave | b2 bar, 0x10 probe
             error, 0x20 searching, 0x40 pulse rate bit 7 | pulse rate bits 6-0 | SpO2
        v46  115200 8N1 (4.6 and newer): 9 bytes, b7 clear on the first alone: 01 | bit 7 of the
             seven that follow | strength | wave | bar | pulse rate | SpO2 | FF | FF
             b7 of strength or of the wave (second byte E1, E2) means: not valid. It sends after
             the command A1 (the profile's ``start``); other packets are passed over
Out     one Frame a second: median SpO2 in % and pulse rate in /min of the frames that are valid,
        what was shown lowest and highest where it differs (Frame.before, Frame.after; _extremes),
        the pleth as Samples (unit 1, 0 to 127). Without a valid frame SENSOR_OFF where the finger
        is out, SENSOR_FAULT after a probe error (_oximetry), else NOT_MEASURED. SpO2 0, 127 and
        over 100, pulse rate 0 and 255 are no values
Errors  none from bytes: damaged frames are counted; ConfigError: an option other than
        ``data_format`` "bci" or "v46"
Source  handbook of atbrask/CMS50Dplus (layout of the first), captures in a public flow controller
        script by headrotor and a public protocol notebook (the second)
Vectors tests/vectors/serial_contec.toml
"""

from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache, partial
from itertools import compress
from typing import Final

from wardlight_edge.devices._base import Frame, FramerCounts, Options, Samples
from wardlight_edge.devices._extremes import frame
from wardlight_edge.devices._oximetry import off_patient
from wardlight_edge.devices._sync_bit import HIGH, LOW, Second, Seconds, SyncBitFramer
from wardlight_shared.errors import ConfigError, DecodeError
from wardlight_shared.model import Absent, DeviceInfo, Flag, Reading

BCI: Final = "bci"
V46: Final = "v46"
_FRAMES_A_SECOND: Final = 60
_RATE_MHZ: Final = 60_000
_NO_SPO2: Final = bytes((0, *range(101, 256)))
_NO_PULSE: Final = bytes((0, 255))
_FINGER_OUT: Final = 0x10
_PROBE_ERROR: Final = 0x10
_SEARCHING: Final = 0x20
_PULSE_BIT_7: Final = 0x40
_LIVE: Final = rb"\x01"
_OFF: Final = int(Flag.SENSOR_OFF)

_LOW_BITS: Final = bytes(octet & 0x7F for octet in range(256))


def _without(mask: int) -> bytes:
    """Every octet that has none of these bits: what ``translate`` removes."""
    return bytes(octet for octet in range(256) if not octet & mask)


_NO_FINGER_OUT: Final = _without(_FINGER_OUT)
_NO_PROBE_ERROR: Final = _without(_PROBE_ERROR)
_NO_SEARCHING: Final = _without(_SEARCHING)
_NO_BIT_7: Final = _without(_PULSE_BIT_7)
_VALID: Final = _without(0b11)
_ALL_LOW: Final = _without(0b11000)
# Tables for ``translate``: 1 for what is valid, and bit 7 of a number that stands in another octet.
_NEITHER_OUT_NOR_ERROR: Final = bytes(
    not octet & (_FINGER_OUT | _PROBE_ERROR) for octet in range(256)
)
_IS_VALID: Final = bytes(not octet & 0b11 for octet in range(256))
_PULSE_IN_BAR: Final = bytes((octet & _PULSE_BIT_7) << 1 for octet in range(256))
_PULSE_IN_HIGH: Final = bytes((octet & 0x08) << 4 for octet in range(256))
_SPO2_IN_HIGH: Final = bytes((octet & 0x10) << 3 for octet in range(256))

_Columns = tuple[bytes, bytes, int]
"""SpO2 and pulse rate of the valid frames of a second, and the flags of all of them."""


class ContecFramer:
    """Framing state of one line of either generation."""

    def __init__(self, data_format: str, frames_a_report: int = _FRAMES_A_SECOND) -> None:
        self._is_bci = data_format == BCI
        self._size = 5 if self._is_bci else 9
        self._wave_at = 1 if self._is_bci else 3
        self._line = (
            SyncBitFramer(5, first=HIGH, rest=LOW, follows=HIGH)
            if self._is_bci
            else SyncBitFramer(9, first=_LIVE, rest=HIGH, follows=LOW)
        )
        self._seconds = Seconds(self._size, frames_a_report)

    @property
    def counts(self) -> FramerCounts:
        """What was received so far."""
        return self._line.counts

    def feed(self, octets: bytes) -> tuple[Frame, ...]:
        """Take the next bytes of the line; return a Frame for each second they complete."""
        seconds = self._seconds.add(self._line.feed(octets))
        return tuple(self._report(second) for second in seconds)

    def _report(self, second: Second) -> Frame:
        octets = b"".join(run for _, run in second.runs)
        spo2, pulse, flags = _bci(octets) if self._is_bci else _v46(octets)
        samples = tuple(self._samples(second))
        if not spo2:
            reason = off_patient(flags) or Absent.NOT_MEASURED
            return Frame(_readings(flags, 0, 0, reason), samples)
        columns, none = (spo2, pulse), (_NO_SPO2, _NO_PULSE)
        return frame(columns, none, partial(_readings, flags), samples)

    def _samples(self, second: Second) -> Iterator[Samples]:
        for first, run in second.runs:
            samples = bytearray(2 * len(run) // self._size)
            samples[0::2] = run[self._wave_at :: self._size].translate(_LOW_BITS)
            yield Samples("pleth_waveform", "1", _RATE_MHZ, first, 0, bytes(samples))


def framer(options: Options) -> ContecFramer:
    """Make the framer of one line; ``data_format`` is "bci" (default) or "v46"."""
    return ContecFramer(_format(options) or BCI)


def decode_bytes(octets: bytes, options: Options) -> tuple[tuple[Reading, ...], DeviceInfo]:
    """Decode a stretch of a line frame by frame, in the format given or in the one that fits."""
    chosen = _format(options)
    formats = (chosen,) if chosen else (BCI, V46)
    fits = [_frames(octets, each) for each in formats]
    frames, counts = max(fits, key=lambda fit: (fit[1].frames, -fit[1].damaged))
    if not frames:
        raise DecodeError(f"Contec: {len(octets)} bytes hold no whole frame")
    if counts.damaged:
        raise DecodeError(
            f"Contec: damaged at byte {counts.damaged_at}, {counts.damaged} damaged frames, "
            f"{counts.frames} whole"
        )
    readings = tuple(reading for frame in frames for reading in frame.readings)
    return readings, DeviceInfo(manufacturer="Contec")


def _frames(octets: bytes, data_format: str) -> tuple[tuple[Frame, ...], FramerCounts]:
    line = ContecFramer(data_format, 1)
    frames = line.feed(octets + (b"\x80" if data_format == BCI else b"\x00"))
    return frames, line.counts


def _format(options: Options) -> str | None:
    chosen = options.get("data_format")
    if set(options) - {"data_format"} or chosen not in (None, BCI, V46):
        raise ConfigError(f"serial_contec: the one option is data_format, {BCI!r} or {V46!r}")
    return None if chosen is None else str(chosen)


def _bci(octets: bytes) -> _Columns:
    statuses, bars, pulse, spo2 = octets[0::5], octets[2::5], octets[3::5], octets[4::5]
    is_out = bool(statuses.translate(None, _NO_FINGER_OUT))
    is_faulty = bool(bars.translate(None, _NO_PROBE_ERROR))
    flags = int(Flag.SIGNAL_POOR) * bool(bars.translate(None, _NO_SEARCHING))
    flags |= _OFF * is_out | int(Flag.SENSOR_FAULT) * is_faulty
    if bars.translate(None, _NO_BIT_7):
        pulse = _or(pulse, bars.translate(_PULSE_IN_BAR))
    if not is_out and not is_faulty:
        return spo2, pulse, flags
    valid = _or(statuses, bars).translate(_NEITHER_OUT_NOR_ERROR)  # it is one bit in both
    return bytes(compress(spo2, valid)), bytes(compress(pulse, valid)), flags


def _or(column: bytes, other: bytes) -> bytes:
    """The bits of both columns, all octets at once."""
    return (int.from_bytes(column) | int.from_bytes(other)).to_bytes(len(column))


def _v46(octets: bytes) -> _Columns:
    """The second byte holds bit 7 of byte 2 (b0) to byte 8 (b6)."""
    highs = octets[1::9]
    pulse, spo2 = octets[5::9].translate(_LOW_BITS), octets[6::9].translate(_LOW_BITS)
    if highs.translate(None, _ALL_LOW):
        pulse = _or(pulse, highs.translate(_PULSE_IN_HIGH))
        spo2 = _or(spo2, highs.translate(_SPO2_IN_HIGH))
    if not highs.translate(None, _VALID):
        return spo2, pulse, 0
    valid = highs.translate(_IS_VALID)
    return bytes(compress(spo2, valid)), bytes(compress(pulse, valid)), _OFF


@lru_cache(maxsize=4096)
def _readings(
    flags: int, spo2: int, pulse: int, none: Absent = Absent.NOT_MEASURED
) -> tuple[Reading, ...]:
    saturation = none if spo2 in _NO_SPO2 else Decimal(spo2)
    rate = none if pulse in _NO_PULSE else Decimal(pulse)
    return (
        Reading("spo2", saturation, "%", flags=flags),
        Reading("pulse_rate_oximeter", rate, "/min", flags=flags),
    )
