"""What a Viatom ring answers: live values, clock and files, one reply for each request. Pure.

Source  MackeyStingray/o2r, o2pkt.py (CRC by table), o2state.py, o2file.py
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

INFO, OPEN, READ, CLOSE, LIVE = 0x14, 0x03, 0x04, 0x05, 0x17
REFUSED: Final = 9
REQUEST, REPLY = 0xAA, 0x55
CRC_OF_BITS: Final = (0x07, 0x0E, 0x1C, 0x38, 0x70, 0xE0, 0xC7, 0x89)
HEAD: Final = 40
INTERVAL_S: Final = 4


@dataclass(slots=True)
class RingFiles:
    """The memory of one ring.

    shown      what its clock shows
    worn       saturation and pulse rate it measures now; None = no finger
    files      name to content
    block      octets of a file in one reply
    silent     that many requests stay without an answer
    numbers    an answer names its block; else all are block 0
    requests   every command it was sent, in order
    """

    shown: datetime
    worn: tuple[int, int] | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    block: int = 512
    silent: int = 0
    numbers: bool = True
    requests: list[int] = field(default_factory=list)
    _begun: bytes = b""
    _opened: bytes | None = None

    def disconnected(self) -> None:
        """A file closes with its link."""
        self._begun, self._opened = b"", None

    def record(self, begun: datetime, values: list[tuple[int, int]]) -> str:
        """Store a file of such values, one in four seconds; return its name."""
        name = begun.strftime("%Y%m%d%H%M%S")
        self.files[name] = file_of(begun, values)
        return name

    def written(self, octets: bytes) -> bytes | None:
        """Take a piece of a request; the reply when it is whole."""
        self._begun += octets
        request = self._begun
        if len(request) < 8 or len(request) < 8 + int.from_bytes(request[5:7], "little"):
            return None
        self._begun = b""
        self.requests.append(request[1])
        if self.silent > 0:
            self.silent -= 1
            return None
        if request[0] != REQUEST or crc(request[:-1]) != request[-1]:
            return reply(REFUSED, 0, b"")
        return self._answer(request[1], int.from_bytes(request[3:5], "little"), request[7:-1])

    def _answer(self, command: int, block: int, data: bytes) -> bytes:
        if command == LIVE:
            return reply(0, 0, _live(self.worn))
        if command == INFO:
            return reply(0, 0, self._info())
        if command == OPEN:
            self._opened = self.files.get(data[:-1].decode()) if data.endswith(b"\0") else None
            if self._opened is None:
                return reply(REFUSED, 0, b"")
            return reply(0, 0, len(self._opened).to_bytes(4, "little"))
        if command == READ and self._opened is not None:
            at = block * self.block
            return reply(0, block if self.numbers else 0, self._opened[at : at + self.block])
        self._opened = None
        return reply(0, 0, b"")

    def _info(self) -> bytes:
        clock = self.shown.strftime("%Y-%m-%d,%H:%M:%S")
        names = "".join(f"{name}," for name in self.files)
        text = f'{{"Region":"CE","Model":"1641","CurTIME":"{clock}","FileList":"{names}"}}'
        return text.encode() + b"\0\0"


def reply(result: int, block: int, data: bytes) -> bytes:
    """A reply of the ring."""
    head = bytes([REPLY, result, result ^ 0xFF]) + block.to_bytes(2, "little")
    body = head + len(data).to_bytes(2, "little") + data
    return body + bytes([crc(body)])


def file_of(begun: datetime, values: list[tuple[int, int]]) -> bytes:
    """A file of version 3: saturation and pulse rate, 0 for a value that is none."""
    size, duration = HEAD + 5 * len(values), INTERVAL_S * len(values)
    date = begun.year.to_bytes(2, "little") + bytes(
        [begun.month, begun.day, begun.hour, begun.minute, begun.second]
    )
    head = (3).to_bytes(2, "little") + date + size.to_bytes(4, "little")
    head += duration.to_bytes(2, "little")
    records = b"".join(bytes([spo2, pulse, 0, 1, 0]) for spo2, pulse in values)
    return head + bytes(HEAD - len(head)) + records


def crc(octets: bytes) -> int:
    """CRC-8 by the contribution of each bit, as o2r computes it."""
    found = 0
    for octet in octets:
        mixed, found = found ^ octet, 0
        for bit, contribution in enumerate(CRC_OF_BITS):
            found ^= contribution if mixed >> bit & 1 else 0
    return found


def _live(worn: tuple[int, int] | None) -> bytes:
    if worn is None:
        return bytes.fromhex("FFFFFF00000000600005000000")
    return bytes(worn) + bytes.fromhex("0000000000610092 0A0100")
