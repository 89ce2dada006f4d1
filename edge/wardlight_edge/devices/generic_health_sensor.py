"""Generic Health Sensor: Live 0x2B8B and Stored Health Observations 0x2BDD.

In      0x2B8B: segmentation u8 | observation; 0x2BDD: segmentation u8 | record number u32 |
        observation; _ghs_observation has the layout of an observation
        segmentation b0 first, b1 last segment, b2-7 a counter that rolls over at 63; one
        observation may take several notifications, which the assembler joins
        0x2BF4, 0x2A52: answers of control points, see _ghs_records and _racp
Out     a Reading for each number whose MDC code the code table has, in a unit the table permits:
        oximetry, pressures, temperature, spirometry (fev1, fvc, pef), etco2, inr, glucose ...
        The number as sent is in raw_value where a conversion was made. Measurement status:
        invalid is INVALID, not available NOT_MEASURED, test and calibration flags, settings of
        the device nothing at all. Patient 255 is Flag.USER_UNKNOWN. Discrete values, strings and
        events are checked and give no Reading. ``dialogue`` has the sensor send, and fetches what
        it stored. A live sample array whose code is that of a waveform gives Samples; the assembler
        joins those shorter than a second. Profile: ``waveform``, and 0x2B8B under notify with a
        [stream]; option ``samples``: "signed" (also without it) or "unsigned"
Errors  DecodeError: a part of an observation, lengths that do not fit, a unit that does not fit
        the metric, samples that were stored (their time would be lost) or that _ghs_samples
        refuses, a lost segment
Source  Bluetooth GHSS 1.0, 3.2 and 3.3; ETS 1.0, 3.1; GSS Live Health Observations
Vectors tests/vectors/generic_health_sensor.toml
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from wardlight_edge.devices import _racp
from wardlight_edge.devices._base import Frame, Options
from wardlight_edge.devices._dialogue import Bookmarks, Dialogue
from wardlight_edge.devices._gatt import check_at_least, decode_value
from wardlight_edge.devices._ghs_observation import frame, readings
from wardlight_edge.devices._ghs_records import CONTROL, ObservationRecords, answer_of_control
from wardlight_edge.devices._ghs_waves import WaveJoin
from wardlight_edge.devices._options import check_options
from wardlight_shared.errors import ConfigError, DecodeError
from wardlight_shared.model import Reading

_LIVE: Final = "0x2B8B"
_STORED: Final = "0x2BDD"
_SAMPLES: Final = "samples"
_FIRST, _LAST = 0b01, 0b10
_WHOLE: Final = _FIRST | _LAST
_COUNTERS: Final = 64
_RECORD_BYTES: Final = 4
_MOST_RECORD: Final = (1 << 31) - 1  # what a record of the outbox can hold as a number
_MOST_BYTES: Final = 0xFFFF + 8


def _live_frame(value: bytes, *, is_signed: bool) -> Frame:
    if not value or value[0] & _WHOLE != _WHOLE:
        raise _not_whole(_LIVE, value)
    return frame(value, 1, _LIVE, None, is_signed=is_signed)


def _live(value: bytes) -> tuple[Reading, ...]:
    if not value or value[0] & _WHOLE != _WHOLE:
        raise _not_whole(_LIVE, value)
    return readings(value, 1, _LIVE, None)


def _stored(value: bytes) -> tuple[Reading, ...]:
    if not value or value[0] & _WHOLE != _WHOLE:
        raise _not_whole(_STORED, value)
    check_at_least(_STORED, value, 1 + _RECORD_BYTES)
    record = int.from_bytes(value[1 : 1 + _RECORD_BYTES], "little")
    known = record if record <= _MOST_RECORD else None
    found = frame(value, 1 + _RECORD_BYTES, _STORED, known)
    if found.samples:
        raise DecodeError(f"{_STORED}: samples of a stored waveform are not kept by this program")
    return found.readings


def _not_whole(name: str, value: bytes) -> DecodeError:
    what = (
        "one segment of an observation, it goes on in a further notification"
        if value
        else "no bytes"
    )
    return DecodeError(f"{name}: {what}")


CHARACTERISTICS: Final[Mapping[str, Callable[[bytes], tuple[Reading, ...]]]] = {
    _LIVE: _live,
    _STORED: _stored,
    CONTROL: answer_of_control,
    _racp.CHANNEL: _racp.no_readings,
}

CONTROL_POINTS: Final = frozenset({CONTROL, _racp.CHANNEL})
"""A profile that subscribes one of them has the sensor told to send."""


def decode(characteristic: str, value: bytes) -> tuple[Reading, ...]:
    """Decode one value of a characteristic of CHARACTERISTICS, all its segments joined."""
    return decode_value(CHARACTERISTICS, characteristic, value)


def decode_frame(characteristic: str, value: bytes) -> Frame:
    """Decode one value with its samples, which have a sign."""
    return _frame(characteristic, value)


def frame_decoder(options: Options) -> Callable[[str, bytes], Frame]:
    """Make what decodes values with samples as the options of a profile say."""
    return partial(_frame, is_signed=_is_signed(options))


def _frame(characteristic: str, value: bytes, *, is_signed: bool = True) -> Frame:
    if characteristic == _LIVE:
        return _live_frame(value, is_signed=is_signed)
    return Frame(decode(characteristic, value))


def _is_signed(options: Options) -> bool:
    check_options("generic_health_sensor", options, frozenset({_SAMPLES}))
    meant = options.get(_SAMPLES, "signed")
    if meant not in ("signed", "unsigned"):
        raise ConfigError(f'[options] {_SAMPLES}: must be "signed" or "unsigned"')
    return meant == "signed"


def dialogue(options: Options, bookmarks: Bookmarks) -> Dialogue:
    """Make the conversation with one sensor."""
    _is_signed(options)
    return ObservationRecords(bookmarks, decode, assembler)


def assembler() -> "ObservationAssembler":
    """Make the assembler of one link."""
    return ObservationAssembler()


class ObservationAssembler:
    """Joins the segments of an observation, and pieces of a waveform to whole seconds.

    Keeps at most one observation for each characteristic, and less than a second of each waveform.
    """

    def __init__(self) -> None:
        self._begun: dict[str, tuple[int, bytearray]] = {}
        self._waves = WaveJoin()

    def take(self, characteristic: str, segment: bytes) -> bytes | None:
        """Take one notification; return the observation as if it had come in one segment."""
        if characteristic not in {_LIVE, _STORED}:
            return segment
        check_at_least(characteristic, segment, 1)
        counter, begun = segment[0] >> 2, self._begun.pop(characteristic, None)
        if segment[0] & _FIRST:
            body = bytearray(segment[1:])
        elif begun is None or (begun[0] + 1) % _COUNTERS != counter:
            raise DecodeError(f"{characteristic}: segment {counter} does not follow, one was lost")
        else:
            body = begun[1] + segment[1:]
        if len(body) > _MOST_BYTES:
            raise DecodeError(f"{characteristic}: over {_MOST_BYTES} bytes in segments")
        if segment[0] & _LAST:
            whole = bytes((_WHOLE,)) + body
            return self._waves.take(whole) if characteristic == _LIVE else whole
        self._begun[characteristic] = counter, body
        return None
