"""Upper layer PDUs: octets of a connection in, PDUs and their fragments out; no I/O.

In      octets as a socket gives them, cut anywhere
Out     (type, body) for each whole PDU; Fragment for each presentation data value of a P-DATA-TF
Errors  PduError with the reason that an A-ABORT gives for it: a PDU over the limit at its first six
        octets, whatever length it claims

``body`` and ``octets`` are views of one buffer, good until the next octets are received.

Source  DICOM PS3.8, 9.3 and annex E
"""

from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from wardlight_shared.errors import TransportError

HEAD_BYTES: Final = 6
_HEAD: Final = Struct(">BxI")
_VALUE: Final = Struct(">IBB")
_ROOM_BYTES: Final = 64 * 1024
_IS_COMMAND: Final = 0x01  # annex E.2: message control header
_IS_LAST: Final = 0x02


class PduType(IntEnum):
    """9.3.1: the first octet of a PDU."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class AbortReason(IntEnum):
    """9.3.8: why the provider aborts."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


class PduError(TransportError):
    """The peer sent what the upper layer protocol does not allow."""

    def __init__(self, message: str, reason: AbortReason) -> None:
        super().__init__(message)
        self.reason = reason


class Fragment(NamedTuple):
    """One presentation data value. A tuple: one is made for each of a study's many thousands."""

    context_id: int
    is_command: bool
    is_last: bool
    octets: memoryview


class PduReader:
    """Finds PDUs in a stream: receive into ``room()``, say how much to ``received``, ``take``.

    limit  largest body; what is announced as maximum length
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = memoryview(bytearray(limit + HEAD_BYTES + _ROOM_BYTES))
        self._start = 0
        self._end = 0

    @property
    def has_begun(self) -> bool:
        """Whether there are octets of a PDU that is not taken yet."""
        return self._end > self._start

    def room(self) -> memoryview:
        """Where the next octets go; never empty while PDUs are taken as they are there."""
        if self._start == self._end:
            self._start = self._end = 0
        elif len(self._buffer) - self._end < _ROOM_BYTES:
            left = self._end - self._start
            self._buffer[:left] = bytes(self._buffer[self._start : self._end])
            self._start, self._end = 0, left
        return self._buffer[self._end :]

    def received(self, count: int) -> None:
        """This many octets are in the room."""
        self._end += count

    def take(self) -> tuple[int, memoryview] | None:
        """Type and body of the next PDU; None = it is not whole yet."""
        body = self._start + HEAD_BYTES
        if self._end < body:
            return None
        kind, length = _HEAD.unpack_from(self._buffer, self._start)
        if not 1 <= kind <= PduType.ABORT:
            raise PduError(f"type {kind} is no PDU", AbortReason.UNRECOGNIZED_PDU)
        if length > self._limit:
            raise PduError(
                f"PDU of {length} octets, at most {self._limit}", AbortReason.INVALID_PARAMETER
            )
        end = body + length
        if self._end < end:
            return None
        self._start = end
        return kind, self._buffer[body:end]


def fragments(body: memoryview) -> Iterator[Fragment]:
    """The presentation data values of a P-DATA-TF, of any length, odd or zero."""
    at, end = 0, len(body)
    if not end:
        raise PduError("a P-DATA-TF without a value", AbortReason.INVALID_PARAMETER)
    while at < end:
        if end - at < _VALUE.size:
            raise PduError("a presentation data value is cut", AbortReason.INVALID_PARAMETER)
        length, context_id, control = _VALUE.unpack_from(body, at)
        stop = at + 4 + length  # the length counts what follows it
        if length < 2 or stop > end:
            raise PduError(f"a value of {length} octets", AbortReason.INVALID_PARAMETER)
        octets = body[at + _VALUE.size : stop]
        yield Fragment(context_id, bool(control & _IS_COMMAND), bool(control & _IS_LAST), octets)
        at = stop


def data_pdus(
    context_id: int, octets: bytes, limit: int, *, is_command: bool, is_last: bool = True
) -> Iterator[bytes]:
    """Octets of a command set or data set as P-DATA-TF PDUs of at most ``limit``.

    is_last  nothing more of it follows
    """
    step = max(2, limit - _VALUE.size) & ~1  # annex E.1: fragments of a data set are even
    for at in range(0, max(1, len(octets)), step):
        part = octets[at : at + step]
        is_end = is_last and at + step >= len(octets)
        control = _IS_COMMAND * is_command | _IS_LAST * is_end
        value = _VALUE.pack(len(part) + 2, context_id, control) + part
        yield _HEAD.pack(PduType.DATA, len(value)) + value


def abort_pdu(reason: AbortReason) -> bytes:
    """A-ABORT of the service provider."""
    return _HEAD.pack(PduType.ABORT, 4) + bytes((0, 0, 2, reason))


def user_abort_pdu() -> bytes:
    """A-ABORT of the service user: the gateway itself has to end."""
    return _HEAD.pack(PduType.ABORT, 4) + bytes(4)


def release_response_pdu() -> bytes:
    """A-RELEASE-RP."""
    return _HEAD.pack(PduType.RELEASE_RP, 4) + bytes(4)
