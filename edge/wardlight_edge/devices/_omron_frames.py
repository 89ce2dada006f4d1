"""Frames of Omron's memory protocol: begin, read, end. There is no frame here that writes.

In      a reply, in pieces of up to 16 octets on four characteristics, the first piece on the first:
        length u8 | kind u16 | address u16 | size u8 | data | result u8 | xor of all before;
        high bytes first. What follows the length in the last piece is not part of it
        a reply of the unlock characteristic: op code u8, b7 set | result u8 | ...
Out     Reply; the requests as octets
Errors  DecodeError: a piece of nothing, a length that no reply has, a wrong checksum
Source  userx14/omblepy, README.md (frames) and omblepy.py; its issues 40 (results of unlocking)
        and 57 (a recorded conversation)
"""

from collections.abc import Sequence
from functools import reduce
from operator import xor
from struct import Struct
from typing import Final

import msgspec

from wardlight_edge.devices._dialogue import KEY_OCTETS
from wardlight_shared.errors import DecodeError

UNLOCK: Final = "B305B680-AEE7-11E1-A730-0002A5D5C51B"
TO_CUFF: Final = "DB5B55E0-AEE7-11E1-965E-0002A5D5C51B"
FROM_CUFF: Final[Sequence[str]] = (
    "49123040-AEE8-11E1-A74D-0002A5D5C51B",
    "4D0BF320-AEE8-11E1-A0D9-0002A5D5C51B",
    "5128CE60-AEE8-11E1-B84B-0002A5D5C51B",
    "560F1420-AEE8-11E1-8184-0002A5D5C51B",
)

BEGUN, GIVEN, ENDED = 0x8000, 0x8100, 0x8F00
_BEGIN: Final = bytes.fromhex("0800000000100018")
_END: Final = bytes.fromhex("080F000000000007")
_READ: Final = Struct(">BHHBB")
_HEAD: Final = Struct(">BHHB")
_READ_KIND: Final = 0x0100
_PIECE: Final = 16
_LEAST: Final = 8
_MOST: Final = len(FROM_CUFF) * _PIECE
_GIVE_KEY, _USE_KEY, _TAKE_KEY = 0, 1, 2
_IS_ANSWER: Final = 0x80


class Reply(msgspec.Struct, frozen=True):
    """One whole reply.

    data    what was asked for; shorter than that where the cuff has nothing there
    result  0 = done
    """

    kind: int
    address: int
    data: bytes
    result: int


def begin() -> bytes:
    """Open the memory for reading."""
    return _BEGIN


def read(address: int, size: int) -> bytes:
    """Read ``size`` octets of memory."""
    head = _READ.pack(_READ.size + 1, _READ_KIND, address, size, 0)
    return head + bytes([reduce(xor, head)])


def end() -> bytes:
    """Close the memory."""
    return _END


def use_key(key: bytes) -> bytes:
    """Unlock the cuff with a key it knows."""
    return bytes([_USE_KEY]) + key


def take_key() -> bytes:
    """Ask the cuff to learn a key; it does while its display blinks -P-."""
    return bytes([_TAKE_KEY]) + bytes(KEY_OCTETS)


def give_key(key: bytes) -> bytes:
    """The key to learn."""
    return bytes([_GIVE_KEY]) + key


def result_of(answer: bytes, request: bytes) -> int | None:
    """Result of what was written to UNLOCK, 0 = done; None: an answer to something else."""
    if len(answer) < 2 or answer[0] != request[0] | _IS_ANSWER:
        return None
    return answer[1]


class Joiner:
    """Joins the pieces of a reply; keeps one at most."""

    def __init__(self) -> None:
        self._pieces: list[bytes | None] = [None] * len(FROM_CUFF)

    def take(self, channel: str, piece: bytes) -> Reply | None:
        """Take one piece; return the reply it completes."""
        place = FROM_CUFF.index(channel)
        if place == 0:
            self._pieces = [None] * len(FROM_CUFF)
        self._pieces[place] = piece
        first = self._pieces[0]
        if first is None:
            return None
        if not first or not _LEAST <= first[0] <= _MOST:
            self._pieces[0] = None
            raise DecodeError(f"{channel}: no reply begins here")
        needed = self._pieces[: -(-first[0] // _PIECE)]
        if any(each is None for each in needed):
            return None
        self._pieces = [None] * len(FROM_CUFF)
        return _reply(channel, b"".join(each for each in needed if each), first[0])


def _reply(channel: str, octets: bytes, length: int) -> Reply:
    if len(octets) < length:
        raise DecodeError(f"{channel}: a reply of {length} bytes came with {len(octets)}")
    if reduce(xor, octets[:length]):
        raise DecodeError(f"{channel}: wrong checksum")
    _, kind, address, size = _HEAD.unpack_from(octets)
    body = octets[_HEAD.size : length - 2]
    if kind != GIVEN:
        # Of these the size says nothing, and the result stands where data would begin.
        return Reply(kind, address, body, octets[_HEAD.size])
    if len(body) not in (0, size):
        raise DecodeError(f"{channel}: {len(body)} bytes of memory, the reply says {size}")
    return Reply(kind, address, body, octets[length - 2])
