"""Plays a byte stream into a port at the pace of the line, and disturbs it where told to.

Faults stand at byte positions of the stream, so that a test knows which frame they hit.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from wardlight_lab.serialport.nonin import FRAME_BYTES, FRAMES_A_SECOND
from wardlight_lab.serialport.pty_port import PtyPort

# A USB adapter hands over what came in 16 ms (FTDI's latency timer): at 75 frames a second, three
# frames at a time is as real as one, at a third of the cost.
FRAMES_AT_ONCE: Final = 3
BYTES_A_SECOND: Final = FRAME_BYTES * FRAMES_A_SECOND
LATE_S: Final = 1.0  # a player that is later than this does not hurry to make up for it


class Fault(Enum):
    """What can happen to a byte."""

    DROP = "drop"
    GARBLE = "garble"  # all its bits are turned
    INSERT = "insert"  # a byte of noise comes before it
    UNPLUG = "unplug"  # the adapter is pulled out before it, and plugged in again after a while


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A fault at a byte position of the stream, counted from 0.

    pause_s  for UNPLUG: how long the adapter stays out; the stream goes on where it was
    """

    position: int
    fault: Fault
    pause_s: float = 0.2


Piece = tuple[bytes, dict[str, str]]
Sent = Callable[[bytes, dict[str, str], bool], None]


class Player:
    """Plays pieces (packets) of a stream.

    pieces        the stream, in pieces with the values they tell
    bytes_a_second  pace of the stream, not of the line: 75 frames of 5 bytes
    speed         how much faster than real time it runs
    chunk         bytes handed over at once
    on_sent       told of each piece: its bytes, its values, and whether it was taken unharmed
    """

    def __init__(
        self,
        port: PtyPort,
        pieces: Iterable[Piece],
        *,
        bytes_a_second: float = BYTES_A_SECOND,
        speed: float = 1.0,
        chunk: int = FRAMES_AT_ONCE * FRAME_BYTES,
        disturbances: Iterable[Disturbance] = (),
        on_sent: Sent | None = None,
    ) -> None:
        self._port = port
        self._pieces = pieces
        self._rate = bytes_a_second * speed
        self._chunk = chunk
        self._disturbances = {each.position: each for each in disturbances}
        self._on_sent = on_sent
        self._due = 0.0
        self.position = 0

    def disturb(self, disturbance: Disturbance) -> None:
        """Add a fault; a position that has passed has no effect."""
        self._disturbances[disturbance.position] = disturbance

    async def play(self) -> None:
        """Play to the end of the stream, or until cancelled."""
        self._due = asyncio.get_running_loop().time()
        for raw, values in self._pieces:
            taken = [await self._play_chunk(chunk) for chunk in _cut(raw, self._chunk)]
            if self._on_sent is not None:
                self._on_sent(raw, values, all(taken))

    async def _play_chunk(self, chunk: bytes) -> bool:
        """Send one chunk at its time; False when any of it was disturbed or not taken."""
        start, self.position = self.position, self.position + len(chunk)
        faults = [self._disturbances.pop(at, None) for at in range(start, self.position)]
        unharmed = True
        buffer = bytearray()
        for byte, disturbance in zip(chunk, faults, strict=True):
            if disturbance is None:
                buffer.append(byte)
                continue
            unharmed = False
            if disturbance.fault is Fault.UNPLUG:
                self._write(buffer)
                await self._replug(disturbance.pause_s)
                buffer.clear()
            buffer += _disturbed(byte, disturbance.fault)
        taken = self._write(buffer)
        await self._wait(len(chunk))
        return unharmed and taken

    def _write(self, buffer: bytearray) -> bool:
        return self._port.write(bytes(buffer)) if buffer else True

    async def _replug(self, pause_s: float) -> None:
        self._port.unplug()
        await asyncio.sleep(pause_s)
        self._port.plug_in()

    async def _wait(self, count: int) -> None:
        now = asyncio.get_running_loop().time()
        self._due = max(self._due + count / self._rate, now - LATE_S)
        await asyncio.sleep(max(self._due - now, 0))


def _cut(raw: bytes, size: int) -> Iterator[bytes]:
    return (raw[at : at + size] for at in range(0, len(raw), size))


def _disturbed(byte: int, fault: Fault) -> bytes:
    match fault:
        case Fault.DROP:
            return b""
        case Fault.GARBLE:
            return bytes((byte ^ 0xFF,))
        case Fault.INSERT:
            return bytes((0xA5, byte))
        case Fault.UNPLUG:
            return bytes((byte,))
