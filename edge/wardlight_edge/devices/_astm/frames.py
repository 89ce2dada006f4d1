"""ASTM E1381 frames: a number, text, and a checksum.

In      STX | frame number 0-7 | text | ETB or ETX | checksum, 2 hex digits | CR LF
        ETX ends a message's record, ETB a frame that others follow; the checksum is the sum of all
        from the number to ETB or ETX, modulo 256
Out     Frame
Errors  DecodeError: wrong checksum, number or end, text over MAX_TEXT
Source  ASTM E1381-02 (CLSI LIS01-A2) 6.3
"""

from typing import Final

import msgspec

from wardlight_shared.errors import DecodeError

STX: Final = 0x02
ETX: Final = 0x03
EOT: Final = 0x04
ENQ: Final = 0x05
ACK: Final = 0x06
LF: Final = 0x0A
CR: Final = 0x0D
NAK: Final = 0x15
ETB: Final = 0x17
MAX_TEXT: Final = 64_000  # LIS01-A2 6.3.1.2; E1381-95 allows 240
OUTGOING_TEXT: Final = 240  # what every receiver takes
_TAIL: Final = 5  # ETB or ETX, two digits, CR, LF
_LEAST: Final = 2 + _TAIL


class Frame(msgspec.Struct, frozen=True):
    """One frame. ``is_last``: ended by ETX."""

    number: int
    text: bytes
    is_last: bool


def checksum(octets: bytes) -> bytes:
    """Two capital hex digits."""
    return b"%02X" % (sum(octets) & 0xFF)


def decode_frame(octets: bytes) -> Frame:
    """Decode one frame, from STX to LF."""
    if len(octets) < _LEAST or octets[0] != STX or octets[-2:] != b"\r\n":
        raise DecodeError(f"ASTM frame: {len(octets)} bytes that do not end as a frame ends")
    if len(octets) > MAX_TEXT + _LEAST:
        raise DecodeError(f"ASTM frame: {len(octets)} bytes, its text has at most {MAX_TEXT}")
    body, said = octets[1:-4], octets[-4:-2]
    if body[-1] not in (ETB, ETX):
        raise DecodeError("ASTM frame: no ETB or ETX before its checksum")
    if checksum(body) != said.upper():
        raise DecodeError("ASTM frame: wrong checksum")
    number = body[0] - ord("0")
    if number not in range(8):
        raise DecodeError("ASTM frame: a number that is not 0 to 7")
    return Frame(number, body[1:-1], body[-1] == ETX)


def encode_frame(frame: Frame) -> bytes:
    """Encode one frame."""
    body = b"%d" % frame.number + frame.text + bytes((ETX if frame.is_last else ETB,))
    return bytes((STX,)) + body + checksum(body) + b"\r\n"


def frames_of(records: tuple[bytes, ...]) -> tuple[Frame, ...]:
    """A message to send: every record begins a frame, a long one takes several."""
    frames: list[Frame] = []
    for record in records:
        text = record + b"\r"
        for at in range(0, len(text), OUTGOING_TEXT):
            number = (len(frames) + 1) % 8
            part = text[at : at + OUTGOING_TEXT]
            frames.append(Frame(number, part, at + OUTGOING_TEXT >= len(text)))
    return tuple(frames)
