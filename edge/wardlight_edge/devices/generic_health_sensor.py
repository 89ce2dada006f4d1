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
        it stored
Errors  DecodeError: a part of an observation, lengths that do not fit, a unit that does not fit
        the metric, samples of a waveform, a lost segment
Source  Bluetooth GHSS 1.0, 3.2 and 3.3; ETS 1.0, 3.1; GSS Live Health Observations
Vectors tests/vectors/generic_health_sensor.toml
"""

from collections.abc import Callable, Mapping
from typing import Final

from wardlight_edge.devices import _racp
from wardlight_edge.devices._base import Options
from wardlight_edge.devices._dialogue import Bookmarks, Dialogue
from wardlight_edge.devices._gatt import check_at_least, decode_value
from wardlight_edge.devices._ghs_observation import readings
from wardlight_edge.devices._ghs_records import CONTROL, ObservationRecords, answer_of_control
from wardlight_edge.devices._stored_records import no_options
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Reading

_LIVE: Final = "0x2B8B"
_STORED: Final = "0x2BDD"
_FIRST, _LAST = 0b01, 0b10
_WHOLE: Final = _FIRST | _LAST
_COUNTERS: Final = 64
_RECORD_BYTES: Final = 4
_MOST_RECORD: Final = (1 << 31) - 1  # what a record of the outbox can hold as a number
_MOST_BYTES: Final = 0xFFFF + 8


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
    return readings(value, 1 + _RECORD_BYTES, _STORED, known)


def _not_whole(name: str, value: bytes) -> DecodeError:
    what = "one segment of an observation, it needs them all" if value else "no bytes"
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


def dialogue(options: Options, bookmarks: Bookmarks) -> Dialogue:
    """Make the conversation with one sensor."""
    no_options(options)
    return ObservationRecords(bookmarks, decode, assembler)


def assembler() -> "ObservationAssembler":
    """Make the assembler of one link."""
    return ObservationAssembler()


class ObservationAssembler:
    """Joins the segments of an observation; keeps at most one for each characteristic."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[int, bytearray]] = {}

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
            return bytes((_WHOLE,)) + body
        self._begun[characteristic] = counter, body
        return None
