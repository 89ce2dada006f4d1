"""The conversation with a Generic Health Sensor: it is told to send, and asked for what it stored.

In      0x2BF4, an answer of the control point: 80 done, 81 busy, else an error
        0x2BDD, segments of stored observations; 0x2A52, see _racp
Out     live observations are no part of it, the decoder reads them. A stored observation is an
        event named by its whole value, with FROM_STORAGE; it is known again by it, for all of them
        are asked for each time. The link stays: the sensor goes on with what it measures
Source  Bluetooth GHSS 1.0, 3.4 (GHS Control Point: 1 start, 2 stop) and 3.6; answers as in
        philips-labs/BLE-GHS-Client and -Server-Simulator
"""

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from wardlight_edge.devices._base import Assembler
from wardlight_edge.devices._dialogue import (
    Bookmark,
    Bookmarks,
    Done,
    Fetched,
    Steps,
    Trouble,
    Write,
)
from wardlight_edge.devices._gatt import check_at_least
from wardlight_edge.devices._stored_records import ONLY, StoredRecords, mark_of
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import Flag, Reading

CONTROL: Final = "0x2BF4"
STORED: Final = "0x2BDD"
START: Final = b"\x01"
DONE, BUSY = 0x80, 0x81
_FROM_STORAGE: Final = int(Flag.FROM_STORAGE)


class _Decode(Protocol):
    def __call__(self, characteristic: str, value: bytes) -> tuple[Reading, ...]: ...


class ObservationRecords(StoredRecords):
    """Implements Dialogue for one sensor.

    decode     a whole observation into readings; may raise DecodeError
    assembler  makes the assembler of one link
    """

    def __init__(
        self, bookmarks: Bookmarks, decode: _Decode, assembler: Callable[[], Assembler]
    ) -> None:
        channels = frozenset({STORED, CONTROL})
        kept = bookmarks.get(ONLY, Bookmark())
        super().__init__(kept, channels, frozenset({STORED}), numbered=False)
        self._decode = decode
        self._make = assembler
        self._segments = assembler()

    def begin(self, now_ms: int) -> Steps:
        """Let it send, and ask for what it stored."""
        self._segments = self._make()
        return (Write(CONTROL, START), *_staying(super().begin(now_ms)))

    def value(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        """A stored observation, or the answer of a control point."""
        return _staying(super().value(channel, octets, now_ms))

    def refused(self, channel: str, code: int | None, now_ms: int) -> Steps:
        """A sensor that lacks one of them sends by itself, or stores nothing."""
        if code is not None:
            told = f"{CONTROL}: the sensor refuses to send (ATT error {code:#04x})"
            steps = super().refused(channel, code, now_ms)
            return (Trouble(told),) if channel == CONTROL else _staying(steps)
        if channel != CONTROL:
            self._transfer.link_lost()
        return ()

    def tick(self, now_ms: int) -> Steps:
        """The sensor may have fallen silent."""
        return _staying(super().tick(now_ms))

    def take(self, channel: str, octets: bytes, now_ms: int) -> Steps:
        """A segment of an observation, or an answer. May raise DecodeError."""
        if channel == CONTROL:
            return _answered(octets)
        self._transfer.heard(now_ms)
        whole = self._segments.take(channel, octets)
        if whole is None:
            return ()
        try:
            readings = self._decode(channel, whole)
        except DecodeError as error:
            return self._spoilt(None, whole, str(error), now_ms)
        if not self._transfer.received(None, mark_of(whole), now_ms) or not readings:
            return ()
        return (Fetched(tuple(map(_stored, readings)), whole),)


def answer_of_control(value: bytes) -> tuple[()]:
    """Decode an answer of the control point for whoever wants its readings: it has none."""
    check_at_least(CONTROL, value, 1)
    if value[0] != DONE:
        why = "is busy" if value[0] == BUSY else f"answers with code {value[0]:#04x}"
        raise DecodeError(f"{CONTROL}: the sensor {why}")
    return ()


def _answered(octets: bytes) -> Steps:
    try:
        return answer_of_control(octets)
    except DecodeError as error:
        return (Trouble(str(error)),)


def _staying(steps: Steps) -> Steps:
    return tuple(step for step in steps if not isinstance(step, Done))


def _stored(reading: Reading) -> Reading:
    return msgspec.structs.replace(reading, flags=reading.flags | _FROM_STORAGE)
