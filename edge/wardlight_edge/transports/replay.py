"""A capture played as if its device were here. Implements Transport.

speed > 0  at that pace, with the moments of the replay as receipt times
speed 0    as fast as it is accepted; receipt is now, and each line's ``age_ms`` places it so that
           the capture ends where the replay began
Position   kept beside the outbox, written after the records of its lines were accepted. A kill
           between the two plays some lines again: readings with a device time have event ids and
           are stored once; a stream repeats at most the lines since its last block.
End        LinkState.ENDED; a finished capture stays finished until its file changes
"""

import asyncio
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from wardlight_edge.transports.base import (
    LinkChange,
    LinkState,
    Moments,
    Octets,
    Receiver,
    Unreadable,
)
from wardlight_edge.transports.captures import MAX_LINE, CaptureLine, is_for, parse
from wardlight_shared.errors import DecodeError

RETRY_S: Final = 5.0
LINES_AT_ONCE: Final = 256
_logger = logging.getLogger(__name__)


class Position(msgspec.Struct, frozen=True):
    """How far a capture was accepted: ``lines`` of the file with this size and time of change."""

    lines: int
    size: int
    changed_ns: int


class ReplayTransport:
    """Plays one capture.

    state_file  where the position is kept
    """

    def __init__(
        self, identity: str, file: Path, speed: float, state_file: Path, moments: Moments
    ) -> None:
        self._identity = identity
        self._file = file
        self._speed = speed
        self._state_file = state_file
        self._moments = moments
        self._position = Position(0, 0, 0)

    def accepted(self, token: int) -> None:
        """Lines up to ``token`` are in the outbox."""
        if token > self._position.lines:
            self._position = msgspec.structs.replace(self._position, lines=token)
            _write(self._state_file, self._position)

    async def run(self, receiver: Receiver) -> None:
        """Play to the end of the capture, then return."""
        while True:
            try:
                await self._play(receiver)
            except OSError as error:
                reason = f"capture {self._file} cannot be read: {error.strerror}"
                self._say(receiver, LinkState.ABSENT, reason)
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _play(self, receiver: Receiver) -> None:
        self._position = await asyncio.to_thread(_position, self._state_file, self._file)
        last_ms = await asyncio.to_thread(_last_ms, self._file) if self._speed == 0 else 0
        skip = self._position.lines
        self._say(receiver, LinkState.CONNECTED)
        pace = _Pace(self._moments, self._speed, last_ms)
        number, played = 0, 0
        with self._file.open("rb") as stream:
            while lines := await asyncio.to_thread(_some_lines, stream):
                for line in lines:
                    number += 1
                    if number > skip:
                        played += await self._play_line(line, number, pace, receiver)
        # Of a capture that was played before, nothing is left to play.
        nothing = None if played or skip else self._nothing(number)
        self._say(receiver, LinkState.ENDED, nothing)
        about = {"device": self._identity, "lines": number, "played": played}
        _logger.log(logging.WARNING if nothing else logging.INFO, "replay ended", extra=about)

    def _nothing(self, lines: int) -> str:
        if not lines:
            return f"capture {self._file} is empty"
        return f"none of the {lines} lines of {self._file} is a reading for {self._identity}"

    async def _play_line(
        self, octets: bytes, number: int, pace: "_Pace", receiver: Receiver
    ) -> int:
        try:
            line = parse(octets)
        except DecodeError as error:
            mono_ms = self._moments.mono_ms()
            await receiver.deliver(Unreadable(octets[:MAX_LINE], str(error), mono_ms, number))
            return 0
        if line is None or not is_for(line, self._identity):
            return 0
        age_ms = await pace.wait(line)
        await receiver.wait_until_accepting()
        mono_ms, wall_ms = self._moments.mono_ms(), self._moments.wall_ms()
        arrival = Octets(line.channel, line.octets, mono_ms, wall_ms, False, age_ms, number)
        await receiver.deliver(arrival)
        return 1

    def _say(self, receiver: Receiver, state: LinkState, reason: str | None = None) -> None:
        receiver.offer(LinkChange(state, self._moments.mono_ms(), reason))


class _Pace:
    """When each line is due; the first line played is due at once."""

    def __init__(self, moments: Moments, speed: float, last_ms: int) -> None:
        self._moments = moments
        self._speed = speed
        self._last_ms = last_ms
        self._began_ms = moments.mono_ms()
        self._first_ms: int | None = None

    async def wait(self, line: CaptureLine) -> int:
        """Return at the moment of a line: its age, 0 unless it is played without pace."""
        if self._speed == 0:
            since_start = self._moments.mono_ms() - self._began_ms
            return max(self._last_ms - line.at_ms, 0) + since_start
        if self._first_ms is None:
            self._first_ms = line.at_ms
        due_ms = self._began_ms + (line.at_ms - self._first_ms) / self._speed
        await asyncio.sleep(max(due_ms - self._moments.mono_ms(), 0) / 1000)
        return 0


def _some_lines(stream: BinaryIO) -> list[bytes]:
    lines: list[bytes] = []
    for line in _bounded_lines(stream):
        lines.append(line)
        if len(lines) == LINES_AT_ONCE:
            break
    return lines


def _bounded_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines; of one that is too long only the first MAX_LINE + 1 bytes are kept."""
    while line := stream.readline(MAX_LINE + 1):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE)
        yield line


def _last_ms(file: Path) -> int:
    """Time of the last readable line."""
    last = 0
    with file.open("rb") as stream:
        for octets in _bounded_lines(stream):
            try:
                line = parse(octets)
            except DecodeError:
                continue
            last = last if line is None else line.at_ms
    return last


def _position(state_file: Path, file: Path) -> Position:
    """The kept position when the file is still the same, else its start."""
    found = file.stat()
    start = Position(0, found.st_size, found.st_mtime_ns)
    try:
        kept = msgspec.json.decode(state_file.read_bytes(), type=Position)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return start
    is_same = (kept.size, kept.changed_ns) == (start.size, start.changed_ns)
    return kept if is_same else start


def _write(state_file: Path, position: Position) -> None:
    state_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = state_file.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(msgspec.json.encode(position))
    fresh.replace(state_file)
