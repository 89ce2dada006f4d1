"""The memory of an Omron cuff and its lock: what it answers to a frame. Pure.

Only what a phone or a gateway may do is here; a frame that writes is remembered in ``written``,
so that a test can say that none came.

Source  userx14/omblepy, README.md and omblepy.py; its issue 57, a recorded conversation
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

LOCK: Final = "b305b680-aee7-11e1-a730-0002a5d5c51b"
COMMANDS: Final = "db5b55e0-aee7-11e1-965e-0002a5d5c51b"
CHANNELS: Final = (
    "49123040-aee8-11e1-a74d-0002a5d5c51b",
    "4d0bf320-aee8-11e1-a0d9-0002a5d5c51b",
    "5128ce60-aee8-11e1-b84b-0002a5d5c51b",
    "560f1420-aee8-11e1-8184-0002a5d5c51b",
)
SIZE: Final = 0x1000
PIECE: Final = 16
ERASED: Final = 0xFF
BIG_RECORD: Final = 14  # high bytes first; the other has 16, low bytes first
DONE, WRONG_KEY = 0, 1
OPENED: Final = bytes.fromhex("18 8000 0000 10 0000940413110207785A00FFFF954D00 E5")

Sent = tuple[str, bytes]
"""Characteristic and octets of a notification."""


@dataclass(frozen=True, slots=True)
class Map:
    """Where a model keeps what."""

    users: tuple[int, ...]
    slots: int
    record: int
    counters: int
    clock: int


HEM_7322T: Final = Map((0x02AC, 0x0824), 100, 14, 0x0260, 0x0274)
HEM_7361T: Final = Map((0x0098, 0x06D8), 100, 16, 0x0010, 0x003C)


@dataclass(slots=True)
class CuffMemory:
    """One cuff.

    is_pairing  its display blinks -P-: it learns a key
    silent      that many reads stay without an answer
    reads       (address, size) of every read, in order
    written     frames that would have changed the memory
    """

    map: Map
    is_pairing: bool = False
    silent: int = 0
    reads: list[tuple[int, int]] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    _octets: bytearray = field(default_factory=lambda: bytearray([ERASED]) * SIZE)
    _key: bytes | None = None
    _is_open: bool = False
    _is_begun: bool = False
    _next: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next = [0] * len(self.map.users)
        self._count()

    def disconnected(self) -> None:
        """A lock closes with its link."""
        self._is_open = self._is_begun = False

    def store(self, user: int, systolic: int, diastolic: int, pulse: int, at: datetime) -> bytes:
        """Keep a measurement of a user, from 0; return its slot."""
        octets = record(self.map.record, systolic, diastolic, pulse, at)
        slot = self._next[user] % self.map.slots
        self._put(self.map.users[user] + slot * self.map.record, octets)
        self._next[user] += 1
        self._count()
        return octets

    def show(self, at: datetime) -> None:
        """What the clock shows."""
        year = at.year - 2000
        if self.map.record == BIG_RECORD:
            head = bytes([8, 0xC8, at.month, year, at.hour, at.day, at.second, at.minute])
            self._put(self.map.clock, head + bytes([0x85, sum(head) & 0xFF]))
        else:
            date = bytes([year, at.month, at.day, at.hour, at.minute, at.second])
            head = bytes.fromhex("C6A4010000000000") + date
            self._put(self.map.clock, head + bytes([sum(head) & 0xFF, 0]))

    def written_to_lock(self, value: bytes) -> list[Sent]:
        """The answer of the lock."""
        op, body = value[0], value[1:]
        if op == 2:
            return [_from_lock(op, DONE if self.is_pairing else WRONG_KEY)]
        if op == 0 and self.is_pairing:
            self._key, self.is_pairing, self._is_open = body, False, True
            return [_from_lock(op, DONE)]
        self._is_open = op == 1 and body == self._key
        return [_from_lock(op, DONE if self._is_open else WRONG_KEY)]

    def commanded(self, frame: bytes) -> list[Sent]:
        """The reply to a frame; none while the lock is closed."""
        kind, address, size = frame[1:3], int.from_bytes(frame[3:5], "big"), frame[5]
        if not self._is_open or _xor(frame):
            return []
        if kind == b"\x00\x00":
            self._is_begun = True
            return _pieces(OPENED)
        if kind == b"\x0f\x00":
            self._is_begun = False
            return _pieces(_closed(b"\x8f\x00" + bytes(4)))
        if kind != b"\x01\x00":
            self.written.append(frame)
            return []
        self.reads.append((address, size))
        if self.silent > 0 or not self._is_begun:
            self.silent = max(self.silent - 1, 0)
            return []
        data = self.octets(address, size)
        return _pieces(_closed(b"\x81\x00" + frame[3:6] + data + b"\0"))

    def octets(self, address: int, size: int) -> bytes:
        """What the memory holds."""
        return bytes(self._octets[address : address + size])

    def _count(self) -> None:
        for user, place in enumerate(self._next):
            cursor = 0x4000 | place % self.map.slots if place else 0x8000
            octets = cursor.to_bytes(2, "big" if self.map.record == BIG_RECORD else "little")
            self._put(self.map.counters + 2 * user, octets)

    def _put(self, address: int, octets: bytes) -> None:
        self._octets[address : address + len(octets)] = octets


def record(size: int, systolic: int, diastolic: int, pulse: int, at: datetime) -> bytes:
    """A slot of ``size`` octets: no movement, a regular pulse, the cuff well fitted."""
    date = at.month << 10 | at.day << 5 | at.hour
    time = 1 << 12 | at.minute << 6 | at.second
    pressures = bytes([diastolic, systolic - 25])
    if size == BIG_RECORD:
        words = date.to_bytes(2, "big") + time.to_bytes(2, "big")
        return pressures + bytes([at.year - 2000, pulse]) + words + bytes(6)
    words = date.to_bytes(2, "little") + time.to_bytes(2, "little")
    return pressures[::-1] + bytes([pulse, at.year - 2000]) + words + bytes(8)


def _from_lock(op: int, result: int) -> Sent:
    return LOCK, bytes([0x80 | op, result]) + bytes(15)


def _closed(body: bytes) -> bytes:
    head = bytes([len(body) + 2]) + body
    return head + bytes([_xor(head)])


def _pieces(frame: bytes) -> list[Sent]:
    padded = frame + bytes(-len(frame) % PIECE)
    places = range(0, len(padded), PIECE)
    cut = (padded[at : at + PIECE] for at in places)
    return list(zip(CHANNELS, cut, strict=False))


def _xor(octets: bytes) -> int:
    found = 0
    for octet in octets:
        found ^= octet
    return found
