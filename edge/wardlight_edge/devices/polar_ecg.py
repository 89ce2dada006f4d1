"""Polar H10: ECG of the measurement data service, heart rate beside it.

In      FB005C82-02E7-F387-1CAD-8ACD2D8DF0C8, a frame: type u8 (0 = ECG) | time of its last sample
        u64 ns since 2000 | frame type u8 (0 = raw) | samples of 3 octets, signed, in microvolt,
        130 a second. The assembler joins frames into whole seconds
        FB005C81-...: answers to start_ecg, F0 | op code | type | error u8 | ...
        0x2A37: see heart_rate
Out     frames give Samples of ecg_lead_i in uV and no Readings; a value beyond 16 bit begins a run
        of Samples with another origin, none is cut. Time that is missing between two frames shows
        as a break of the Samples
Errors  DecodeError: another measurement, a delta frame or one of types 1 to 14 (other firmware and
        other devices: their scaling differs), a sample cut short, a frame without one
Source  polarofficial/polar-ble-sdk, EcgData.kt and EcgDataTest.kt; its command to start the
        stream is ``start_ecg``
Vectors tests/vectors/polar_ecg.toml
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from struct import Struct
from typing import Final

from wardlight_edge.devices import heart_rate
from wardlight_edge.devices._asking import Asking
from wardlight_edge.devices._base import Frame, Options, Samples
from wardlight_edge.devices._dialogue import Bookmarks
from wardlight_edge.devices._gatt import check_at_least, decode_value
from wardlight_edge.devices._options import check_options
from wardlight_edge.devices._seconds import Seconds, first_of
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Reading

_CONTROL: Final = "FB005C81-02E7-F387-1CAD-8ACD2D8DF0C8"
_DATA: Final = "FB005C82-02E7-F387-1CAD-8ACD2D8DF0C8"
_HEAD: Final = Struct("<BQB")
_ECG: Final = 0
_RAW: Final = 0
_IS_DELTA: Final = 0x80
_RATE: Final = 130
_SAMPLE: Final = 3
_SECOND_NS: Final = 1_000_000_000
_MOST_LATE_NS: Final = 2 * _SECOND_NS // _RATE  # the strap's clock and ours differ by less
_SPAN: Final = 1 << 16
_ANSWER: Final = 0xF0
_START: Final = 0x02
_ALREADY_ON: Final = 6  # ERROR_ALREADY_IN_STATE

CONTROL_POINTS: Final = frozenset({_CONTROL})
"""A profile that subscribes it has the stream started."""


def start_ecg() -> bytes:
    """Ask for ECG at 130 Hz and 14 bit: settings 0 (rate) and 1 (resolution), one u16 each."""
    return bytes.fromhex("0200 00018200 01010E00")


def _no_readings(value: bytes) -> tuple[Reading, ...]:
    _samples(value)
    return ()


def _no_readings_of_control(value: bytes) -> tuple[Reading, ...]:
    _check_answer(value)
    return ()


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    _DATA: _no_readings,
    _CONTROL: _no_readings_of_control,
    "0x2A37": heart_rate.CHARACTERISTICS["0x2A37"],
}


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one value of a characteristic of CHARACTERISTICS; a frame has no Readings."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def decode_frame(characteristic: str, value: bytes) -> Frame:
    """Decode one value with its samples."""
    readings = decode(characteristic, value)
    return Frame(readings, tuple(_runs(_samples(value))) if characteristic == _DATA else ())


def dialogue(options: Options, bookmarks: Bookmarks) -> Asking:
    """Make the dialogue that starts the stream on each link."""
    del bookmarks
    check_options("polar_ecg", options)
    return Asking(_CONTROL, start_ecg(), reply=_check_answer)


def assembler() -> "EcgAssembler":
    """Make the assembler of one link."""
    return EcgAssembler()


class EcgAssembler:
    """Joins frames into whole seconds; less than one second is kept."""

    def __init__(self) -> None:
        self._seconds = Seconds(_RATE, _SAMPLE)
        self._last_ns: int | None = None

    def take(self, characteristic: str, segment: bytes) -> bytes | None:
        """Take one notification; return a frame of whole seconds."""
        if characteristic != _DATA:
            return segment
        samples = _samples(segment)
        _, end_ns, _ = _HEAD.unpack_from(segment)
        lasts_ns = len(samples) * _SECOND_NS // (_SAMPLE * _RATE)
        if self._last_ns is not None and abs(end_ns - self._last_ns - lasts_ns) > _MOST_LATE_NS:
            self._seconds.broken()
        self._last_ns = end_ns
        whole = self._seconds.add(samples)
        return None if whole is None else segment[: _HEAD.size] + whole


def _check_answer(value: bytes) -> None:
    check_at_least(_CONTROL, value, 4)
    head, request, measurement, error = value[:4]
    if head != _ANSWER:
        raise DecodeError(f"{_CONTROL}: no answer begins here")
    if (request, measurement) == (_START, _ECG) and error not in (0, _ALREADY_ON):
        raise DecodeError(f"{_CONTROL}: the strap does not start its ECG, error {error}")


def _samples(value: bytes) -> bytes:
    check_at_least(_DATA, value, _HEAD.size + _SAMPLE)
    measurement, _, frame = _HEAD.unpack_from(value)
    if measurement != _ECG:
        raise DecodeError(f"{_DATA}: measurement type {measurement} is not ECG")
    if frame != _RAW:
        kind = "delta frames" if frame & _IS_DELTA else f"frames of type {frame}"
        raise DecodeError(f"{_DATA}: {kind} are not decoded by this program")
    samples = value[_HEAD.size :]
    if len(samples) % _SAMPLE:
        raise DecodeError(f"{_DATA}: {len(samples)} bytes of samples, each has {_SAMPLE}")
    return samples


def _runs(octets: bytes) -> Iterator[Samples]:
    """Yield a run for each origin that 16-bit samples need; mostly one, with origin 0."""
    microvolts = [
        int.from_bytes(octets[at : at + _SAMPLE], "little", signed=True)
        for at in range(0, len(octets), _SAMPLE)
    ]
    first = first_of(len(microvolts), _RATE)
    for origin, group in groupby(microvolts, _origin):
        run = list(group)
        packed = b"".join((each - origin).to_bytes(2, "little", signed=True) for each in run)
        yield Samples("ecg_lead_i", "uV", _RATE * 1000, first, origin, packed)
        first += len(run)


def _origin(microvolt: int) -> int:
    return (microvolt + _SPAN // 2) // _SPAN * _SPAN
