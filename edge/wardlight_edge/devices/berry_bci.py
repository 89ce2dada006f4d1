"""Berry oximeters (BM1000, BM100): the BCI stream over their transparent UART.

In      49535343-1E4D-4BD9-BA61-23C647249616, frames of 5 octets, 100 a second, several to a
        notification and cut anywhere; bit 7 is set in the first octet of a frame alone
        1: b3-0 signal strength, b4 no signal, b5 probe unplugged, b6 beat; 2: pleth, 7 bit;
        3: b3-0 bar, b4 no finger, b5 searching, b6 pulse rate bit 7; 4: pulse rate bits 6-0;
        5: SpO2. The assembler joins whole seconds
Out     median spo2 in % and pulse_rate_oximeter in /min of the frames of a value that have a probe
        and see a finger, what was shown lowest and highest where it differs (Frame.before,
        Frame.after; _extremes), with the status of all its frames as flags; the pleth as Samples.
        SpO2 127 and pulse rate 255 are NOT_MEASURED, SpO2 over 100 is INVALID: neither counts.
        Without such a frame both are SENSOR_OFF or, without a probe, SENSOR_FAULT (_oximetry)
Errors  DecodeError: no whole frames, an octet of another place in a frame
Source  BCI Protocol V1.2 (zh2x/BCI_Protocol); adafruit/
        Adafruit_CircuitPython_BLE_BerryMed_Pulse_Oximeter
Vectors tests/vectors/berry_bci.toml
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from struct import iter_unpack
from typing import Final

from wardlight_edge.devices._base import Frame, Samples
from wardlight_edge.devices._extremes import frame
from wardlight_edge.devices._gatt import decode_value
from wardlight_edge.devices._oximetry import off_patient, pulse_rate, saturation
from wardlight_edge.devices._seconds import Seconds, first_of
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Absent, Flag, Reading

_STREAM: Final = "49535343-1E4D-4BD9-BA61-23C647249616"
_FRAME: Final = 5
_RATE: Final = 100
_SYNC: Final = 0x80
_UNPLUGGED: Final = 0x20
_NO_FINGER: Final = 0x10
_PULSE_BIT_7: Final = 0x40
_SPO2_MISSING: Final = 127
_PULSE_MISSING: Final = 255
_NO_VALUES: Final = (bytes((0, *range(101, 128))), bytes((0, _PULSE_MISSING)))

# (octet of the frame, bit, flag)
_STATUS: Final = (
    (0, 0x10, Flag.SIGNAL_POOR),
    (0, _UNPLUGGED, Flag.SENSOR_FAULT),
    (2, _NO_FINGER, Flag.SENSOR_OFF),
    (2, 0x20, Flag.OUT_OF_TRACK),
)


def _frame(value: bytes) -> Frame:
    _check(value)
    flags = 0
    for place, bit, flag in _STATUS:
        if any(octet & bit for octet in value[place::_FRAME]):
            flags |= int(flag)
    sent = [
        (spo2, (bar & _PULSE_BIT_7) << 1 | low, strength & _UNPLUGGED or bar & _NO_FINGER)
        for strength, _, bar, low, spo2 in iter_unpack("5B", value)
    ]
    columns = (
        bytes(spo2 for spo2, _, is_off in sent if not is_off),
        bytes(pulse for _, pulse, is_off in sent if not is_off),
    )
    if not columns[0]:
        spo2, pulse, _ = sent[-1]
        return Frame(_numbers(spo2, pulse, flags, off_patient(flags)), (_pleth(value),))
    return frame(columns, _NO_VALUES, partial(_numbers, flags=flags), (_pleth(value),))


@lru_cache(maxsize=1024)
def _numbers(
    spo2: int, pulse: int, flags: int, reason: Absent | None = None
) -> tuple[Reading, ...]:
    found = (
        ("spo2", saturation(spo2, _SPO2_MISSING, reason), "%"),
        ("pulse_rate_oximeter", pulse_rate(pulse, _PULSE_MISSING, reason), "/min"),
    )
    return tuple(
        Reading(metric, number, unit, raw, raw_unit, flags=flags)
        for metric, (number, raw, raw_unit), unit in found
    )


def _pleth(value: bytes) -> Samples:
    pleth = value[1::_FRAME]
    octets = bytes(octet for sample in pleth for octet in (sample, 0))
    return Samples("pleth_waveform", "1", _RATE * 1000, first_of(len(pleth), _RATE), 0, octets)


def _readings(value: bytes) -> tuple[Reading, ...]:
    return _frame(value).readings


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {_STREAM: _readings}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode whole frames, at least one: their median."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def decode_frame(characteristic: str, value: bytes) -> Frame:
    """Decode whole frames with their pleth; those of a second are reduced."""
    return decode_value({_STREAM: _frame}, characteristic, value)


def assembler() -> "BciAssembler":
    """Make the assembler of one link."""
    return BciAssembler()


class BciAssembler:
    """Finds frames in the stream and joins whole seconds of them."""

    def __init__(self) -> None:
        self._seconds = Seconds(_RATE, _FRAME)
        self._part = b""

    def take(self, characteristic: str, segment: bytes) -> bytes | None:
        """Take one notification; return the frames of whole seconds.

        Octets that fit no frame are skipped up to the next one that begins a frame, and show as a
        break of the waveform: at 100 frames a second they are no reason to stop.
        """
        if characteristic != _STREAM:
            return segment
        octets, at, frames = self._part + segment, 0, bytearray()
        while len(octets) - at >= _FRAME:
            if _is_frame(octets[at : at + _FRAME]):
                frames += octets[at : at + _FRAME]
                at += _FRAME
            else:
                frames.clear()
                self._seconds.broken()
                at += 1
        self._part = octets[at:]
        return self._seconds.add(bytes(frames))


def _is_frame(octets: bytes) -> bool:
    return octets[0] >= _SYNC and all(octet < _SYNC for octet in octets[1:])


def _check(value: bytes) -> None:
    if not value or len(value) % _FRAME:
        raise DecodeError(f"{_STREAM}: {len(value)} bytes, a frame has {_FRAME}")
    for at in range(0, len(value), _FRAME):
        if not _is_frame(value[at : at + _FRAME]):
            raise DecodeError(f"{_STREAM}: no frame begins at byte {at}")
