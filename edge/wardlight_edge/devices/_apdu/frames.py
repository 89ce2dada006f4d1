"""APDUs of ISO/IEEE 11073-20601 on a byte stream, and the data APDU inside a presentation one.

In      choice u16 | length u16 | that many octets
Out     Apdu; Data for a presentation APDU: invoke id, choice (event report, get, set, ...), body
Bounds  MAX_APDU octets; a choice that is none, or a longer one, ends the link: there is nothing to
        find the next one by
Errors  DecodeError
Source  ISO/IEEE 11073-20601 A.8 (ApduType), A.9 (PrstApdu, DATA-apdu), 8.4.1 (largest APDU)
"""

from enum import IntEnum
from typing import Final

import msgspec

from wardlight_edge.devices._apdu.mder import Reader, item, u16
from wardlight_edge.devices._base import FramerCounts
from wardlight_shared.errors import DecodeError

MAX_APDU: Final = 64_512


class Choice(IntEnum):
    """ApduType."""

    AARQ = 0xE200
    AARE = 0xE300
    RLRQ = 0xE400
    RLRE = 0xE500
    ABRT = 0xE600
    PRST = 0xE700


class Message(IntEnum):
    """The choice of a DATA-apdu."""

    EVENT = 0x0100
    CONFIRMED_EVENT = 0x0101
    GET = 0x0103
    SET = 0x0104
    CONFIRMED_SET = 0x0105
    ACTION = 0x0106
    CONFIRMED_ACTION = 0x0107
    EVENT_DONE = 0x0201
    GOT = 0x0203
    SET_DONE = 0x0205
    ACTION_DONE = 0x0207
    ERROR = 0x0300
    REJECT = 0x0400


_CHOICES: Final = frozenset(map(int, Choice))
_MESSAGES: Final = frozenset(map(int, Message))


class Apdu(msgspec.Struct, frozen=True):
    """One APDU: its choice and what follows the length."""

    choice: Choice
    body: bytes


class Data(msgspec.Struct, frozen=True):
    """What a presentation APDU carries."""

    invoke_id: int
    message: Message
    body: bytes


class ApduFramer:
    """Framing state of one link: at most one APDU is kept."""

    def __init__(self) -> None:
        self._kept = b""
        self._frames = 0
        self.lost: str | None = None
        """Why nothing more can be read from this link."""

    @property
    def counts(self) -> FramerCounts:
        """What was received so far."""
        return FramerCounts(self._frames, int(self.lost is not None), 0)

    def feed(self, octets: bytes) -> tuple[Apdu, ...]:
        """Take the next bytes; return the APDUs they complete."""
        held = self._kept + octets if self.lost is None else b""
        done: list[Apdu] = []
        at = 0
        while len(held) - at >= 4 and self.lost is None:
            choice = int.from_bytes(held[at : at + 2], "big")
            length = int.from_bytes(held[at + 2 : at + 4], "big")
            if choice not in _CHOICES:
                self.lost = f"APDU: a choice that is none, {choice:#06x}"
            elif length + 4 > MAX_APDU:
                self.lost = f"APDU: {length + 4} bytes, at most {MAX_APDU}"
            elif len(held) - at - 4 < length:
                break
            else:
                done.append(Apdu(Choice(choice), held[at + 4 : at + 4 + length]))
                at += 4 + length
        self._frames += len(done)
        self._kept = b"" if self.lost else held[at:]
        return tuple(done)


def encode(choice: Choice, body: bytes) -> bytes:
    """One APDU."""
    return u16(choice) + item(body)


def data_of(apdu: Apdu) -> Data:
    """What a presentation APDU carries."""
    outer = Reader(apdu.body, "presentation APDU")
    reader = outer.part()
    outer.end()
    invoke_id, message = reader.u16(), reader.u16()
    if message not in _MESSAGES:
        raise DecodeError(f"DATA-apdu: a choice that is none, {message:#06x}")
    body = reader.octets()
    reader.end()
    return Data(invoke_id, Message(message), body)


def encode_data(data: Data) -> bytes:
    """A presentation APDU."""
    inner = u16(data.invoke_id, data.message) + item(data.body)
    return encode(Choice.PRST, item(inner))
