"""Frames of Viatom's rings: requests, replies in pieces, and what the ring says of itself.

In      a reply: 55 | result u8 | its complement | block u16 | length u16 | data | CRC-8 (polynomial
        07) of all before; low bytes first. It does not say which request it answers
        the data of INFO are JSON, maybe with NULs behind it: CurTIME "2018-12-19,10:40:18" the
        ring's clock, FileList "20180517151431,20180803143622," the files it has
Out     Reply, Info; requests as writes of at most 20 octets, for the ring keeps the smallest MTU
Errors  DecodeError: no reply, a wrong CRC, a refusal; an INFO that is none
Source  MackeyStingray/o2r, o2pkt.py, o2bt.py and defines.py; ilyakruchinin/SomnoTrace, its page on
        the protocol (worked frames, block echo, names of files)
"""

import re
from struct import Struct
from typing import Final

import msgspec

from wardlight_edge.devices._gatt import check_at_least, check_length, date_time
from wardlight_shared.errors import DecodeError
from wardlight_shared.model import DeviceTime

WRITE: Final = "8B00ACE7-EB0B-49B0-BBE9-9AEE0A26E1A3"
REPLY: Final = "0734594A-A8E7-4B1A-A6B1-CD5243059A57"
LIVE_OCTETS: Final = 13
_OPEN, _READ, _CLOSE, _INFO, _LIVE = 0x03, 0x04, 0x05, 0x14, 0x17
_HEAD: Final = Struct("<BBBHH")
_REQUEST, _IS_REPLY = 0xAA, 0x55
_MOST_DATA: Final = 4096
_PIECE: Final = 20
_MOST_FILES: Final = 64
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,30}")
_CLOCK: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2}),(\d{2}):(\d{2}):(\d{2})")
_DATE_TIME: Final = Struct("<HBBBBB")


class Reply(msgspec.Struct, frozen=True):
    """One whole reply; ``result`` 0 = done."""

    result: int
    block: int
    data: bytes


class Info(msgspec.Struct, frozen=True):
    """What the ring says of itself; ``clock`` None = not set, or not said."""

    clock: DeviceTime | None
    files: tuple[str, ...]


class _Told(msgspec.Struct, frozen=True):
    CurTIME: str = ""
    FileList: str = ""


_decode_told = msgspec.json.Decoder(_Told).decode


def ask_live() -> bytes:
    """Ask for the live values; the ring answers at once, and only when asked."""
    return _request(_LIVE)


def ask_info() -> bytes:
    """Ask for clock and files."""
    return _request(_INFO)


def open_file(name: str) -> bytes:
    """Open a file for reading; a name without its NUL is refused."""
    return _request(_OPEN, data=name.encode("ascii") + b"\0")


def read_block(block: int) -> bytes:
    """Read a block of the open file, from 0."""
    return _request(_READ, block)


def close_file() -> bytes:
    """Close the open file."""
    return _request(_CLOSE)


def pieces(request: bytes) -> tuple[bytes, ...]:
    """A request as it is written."""
    return tuple(request[at : at + _PIECE] for at in range(0, len(request), _PIECE))


def reply_of(value: bytes) -> Reply:
    """Decode a whole reply."""
    check_at_least(REPLY, value, _HEAD.size + 1)
    start, result, complement, block, length = _HEAD.unpack_from(value)
    if start != _IS_REPLY or result ^ complement != 0xFF:
        raise DecodeError(f"{REPLY}: no reply begins here")
    check_length(REPLY, value, _HEAD.size + length + 1)
    if crc8(value[:-1]) != value[-1]:
        raise DecodeError(f"{REPLY}: wrong CRC")
    return Reply(result, block, value[_HEAD.size : -1])


def info_of(data: bytes) -> Info:
    """Decode the data of INFO; a name of a file that none can have is left out."""
    try:
        told = _decode_told(data.rstrip(b" \t\r\n\0"))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DecodeError(
            f"{REPLY}: {len(data)} bytes of INFO are no JSON that it can be"
        ) from error
    names = (each.strip() for each in told.FileList.strip("[]").split(","))
    files = tuple(dict.fromkeys(each for each in names if _NAME.fullmatch(each)))
    return Info(_clock(told.CurTIME), files[-_MOST_FILES:])


def crc8(octets: bytes) -> int:
    """CRC-8 with polynomial 07 and initial value 0."""
    crc = 0
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc


class ReplyAssembler:
    """Joins the notifications of one reply."""

    def __init__(self) -> None:
        self._begun = b""

    def take(self, characteristic: str, segment: bytes) -> bytes | None:
        """Take one notification; return the whole reply."""
        if characteristic != REPLY:
            return segment
        octets, self._begun = self._begun + segment, b""
        if len(octets) >= _HEAD.size:
            start, result, complement, _, length = _HEAD.unpack_from(octets)
            if start != _IS_REPLY or result ^ complement != 0xFF or length > _MOST_DATA:
                raise DecodeError(f"{REPLY}: no reply begins here")
            if len(octets) >= _HEAD.size + length + 1:
                return octets
        self._begun = octets
        return None


def _request(command: int, block: int = 0, data: bytes = b"") -> bytes:
    head = _HEAD.pack(_REQUEST, command, command ^ 0xFF, block, len(data))
    return head + data + bytes((crc8(head + data),))


def _clock(text: str) -> DeviceTime | None:
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        return None
    time, unset = date_time(_DATE_TIME.pack(*(int(each) for each in found.groups())), 0)
    return None if unset else time
