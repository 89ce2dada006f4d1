"""Lines whose frames have no checksum, only a first byte that differs from all others in bit 7.

A frame counts when exactly its length lies between two first bytes, or its length and the rest of
a frame that lost its first byte. So a lost or added byte costs the frame it hit and no other, and
the last frame waits for what follows.

In      any bytes; frames of ``size`` bytes, the first of class ``first``, the others of ``rest``
Out     SyncBitFramer: runs of whole frames; Seconds: the runs of each second with their places.
        Damaged stretches take the places they would have filled; a second without a frame is left
        out
"""

import re
from typing import Final

import msgspec

from wardlight_edge.devices._base import FramerCounts

HIGH: Final = rb"[\x80-\xff]"
LOW: Final = rb"[\x00-\x7f]"


class SyncBitFramer:
    """Framing state of one line: fewer than two frames are kept between calls.

    first, rest  byte classes of a regular expression
    follows      the class of what may stand behind a frame
    """

    def __init__(self, size: int, *, first: bytes, rest: bytes, follows: bytes) -> None:
        self._size = size
        frame = b"%b%b{%d}" % (first, rest, size - 1)
        behind = b"%b|%b{%d}%b" % (follows, rest, size - 1, follows)
        self._pattern = re.compile(b"(?:%b)+(?=%b)" % (frame, behind), re.DOTALL)
        starts = re.compile(follows, re.DOTALL)
        self._is_start = bytes(bool(starts.match(bytes((octet,)))) for octet in range(256))
        self._kept = b""
        self._frames = 0
        self._damaged = 0
        self._skipped = 0
        self._skipped_in_row = 0
        self._passed = 0
        self._damaged_at: int | None = None

    @property
    def counts(self) -> FramerCounts:
        """What was received so far."""
        return FramerCounts(self._frames, self._damaged, self._skipped, self._damaged_at)

    def feed(self, octets: bytes) -> list[bytes | int]:
        """Take the next bytes; return runs of whole frames, and between them frames lost."""
        held = self._kept + octets
        found: list[bytes | int] = []
        at = 0
        for run in self._pattern.finditer(held):
            start, end = run.span()
            if start > at:
                self._skip(at, start - at, found)
            found.append(held[start:end])
            self._frames += (end - start) // self._size
            self._skipped_in_row = 0
            at = end
        last = held.translate(self._is_start).rfind(1, at)
        start = last if last >= 0 and len(held) - last < 2 * self._size else len(held)
        if start > at:
            self._skip(at, start - at, found)
        self._passed += start
        self._kept = held[start:]
        return found

    def _skip(self, at: int, octets: int, found: list[bytes | int]) -> None:
        if self._damaged_at is None:
            self._damaged_at = self._passed + at
        before = -(-self._skipped_in_row // self._size)
        self._skipped_in_row += octets
        self._skipped += octets
        lost = -(-self._skipped_in_row // self._size) - before
        if lost:
            self._damaged += lost
            found.append(lost)


class Second(msgspec.Struct, frozen=True):
    """What one second of a line brought: (place of its first frame, octets) of each run."""

    runs: tuple[tuple[int, bytes], ...]


class Seconds:
    """Sorts runs of frames into seconds of ``places`` frames; lost frames fill their places."""

    def __init__(self, size: int, places: int) -> None:
        self._size = size
        self._places = places
        self._runs: list[tuple[int, bytes]] = []
        self._open = bytearray()
        self._filled = 0

    def add(self, found: list[bytes | int]) -> list[Second]:
        """Take what ``SyncBitFramer.feed`` returned; return the seconds it completes."""
        done: list[Second] = []
        for each in found:
            if isinstance(each, int):
                self._lose(each, done)
            else:
                self._take(each, done)
        return done

    def _lose(self, places: int, done: list[Second]) -> None:
        self._end_run()
        while places:
            some = min(places, self._places - self._filled)
            self._filled += some
            places -= some
            self._close(done)

    def _take(self, run: bytes, done: list[Second]) -> None:
        at, size = 0, self._size
        while at < len(run):
            part = run[at : at + (self._places - self._filled) * size]
            self._open += part
            self._filled += len(part) // size
            at += len(part)
            self._close(done)

    def _end_run(self) -> None:
        if self._open:
            first = self._filled - len(self._open) // self._size
            self._runs.append((first, bytes(self._open)))
            self._open.clear()

    def _close(self, done: list[Second]) -> None:
        if self._filled < self._places:
            return
        self._end_run()
        if self._runs:
            done.append(Second(tuple(self._runs)))
            self._runs.clear()
        self._filled = 0
