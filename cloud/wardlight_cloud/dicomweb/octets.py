"""Reads what segments name: from the page cache in place, from a disk in a thread, from S3.

The object store tells where an object is a file of this machine. What the page cache holds is read
without a thread in between (preadv2, RWF_NOWAIT), which is most of what a viewer asks for.
"""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from wardlight_cloud.store.object_base import ObjectStore
from wardlight_shared.errors import StorageError

PIECE: Final = 1 << 20
_READ_S: Final = 60.0
_NOT_AT_ONCE: Final = frozenset({errno.EAGAIN, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


@dataclass(frozen=True, slots=True)
class Slice:
    """Octets [start, end) of a stored object."""

    sha256: bytes
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


class _Descriptor:
    """An open file that is closed when nobody holds it any more."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


@dataclass(frozen=True, slots=True)
class Held:
    """Octets [start, end) of a file without a name, which is gone with the last who holds it."""

    descriptor: _Descriptor
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


Segment = bytes | Slice | Held


def held(path: Path) -> Held:
    """The octets of a file that nobody else needs; its name is gone. Raises StorageError."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        descriptor = _Descriptor(number)
        path.unlink()
        return Held(descriptor, 0, os.fstat(number).st_size)
    except OSError as error:
        raise StorageError(f"what was made cannot be read: errno {error.errno}") from error


def cut(segment: Segment, low: int, high: int) -> Segment:
    """The octets [low, high) of a segment."""
    if isinstance(segment, bytes):
        return segment[low:high]
    return replace(segment, start=segment.start + low, end=segment.start + high)


class Octets:
    """Octets of objects and of memory."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def joined(self, segments: Sequence[Segment]) -> bytes:
        """All of the segments in one; for small ones."""
        if len(segments) == 1 and isinstance(segments[0], bytes):
            return segments[0]
        return b"".join([piece async for piece in self.pieces(segments)])

    async def pieces(self, segments: Sequence[Segment]) -> AsyncIterator[bytes | bytearray]:
        """The segments in pieces of at most 1 MiB; raises StorageError."""
        for segment in segments:
            if isinstance(segment, bytes):
                yield segment
                continue
            if isinstance(segment, Held):
                number = segment.descriptor.number
                async for held_piece in _pieces(number, segment.start, segment.end):
                    yield held_piece
                continue
            path = self._objects.local_path(segment.sha256)
            descriptor = None if path is None else _opened(path)
            read = (
                self._objects.stream(segment.sha256, segment.start, segment.end)
                if descriptor is None
                else _file_pieces(descriptor, segment.start, segment.end)
            )
            async for piece in read:
                yield piece

    def local_path(self, sha256: bytes) -> Path | None:
        """As the object store's."""
        return self._objects.local_path(sha256)


def _opened(path: Path) -> int | None:
    """A descriptor; None: it was moved to the second place meanwhile, or is gone."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"an object cannot be opened: errno {error.errno}") from error


async def _file_pieces(descriptor: int, start: int, end: int) -> AsyncIterator[bytearray]:
    try:
        async for piece in _pieces(descriptor, start, end):
            yield piece
    finally:
        os.close(descriptor)


async def _pieces(descriptor: int, start: int, end: int) -> AsyncIterator[bytearray]:
    while start < end:
        piece = await _read(descriptor, start, min(PIECE, end - start))
        start += len(piece)
        yield piece


async def _read(descriptor: int, offset: int, size: int) -> bytearray:
    piece = bytearray(size)
    try:
        count = os.preadv(descriptor, [piece], offset, os.RWF_NOWAIT)
    except OSError as error:
        if error.errno not in _NOT_AT_ONCE:
            raise StorageError(f"an object cannot be read: errno {error.errno}") from error
        count = await _read_from_disk(descriptor, piece, offset)
    if count == 0:
        raise StorageError("an object is shorter than the index says")
    del piece[count:]
    return piece


async def _read_from_disk(descriptor: int, piece: bytearray, offset: int) -> int:
    # Not cancelled in the middle: the thread would go on to read a descriptor that is closed.
    reading = asyncio.ensure_future(asyncio.to_thread(os.preadv, descriptor, [piece], offset))
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        await asyncio.wait([reading], timeout=_READ_S)
        raise
    except OSError as error:
        raise StorageError(f"an object cannot be read: errno {error.errno}") from error
