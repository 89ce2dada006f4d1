"""Files of a STOW request as they arrive: on the disk, hashed on the way, within limits.

A file is written in pieces by a thread; its name is ours and says nothing. What is not handed on
is removed.
Errors  TooLarge; StorageError when the disk refuses
"""

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import mkstemp
from typing import Final

from wardlight_cloud.dicomweb.storing import Arrived
from wardlight_cloud.store.object_room import check_room
from wardlight_shared.errors import StorageError

_PIECE: Final = 1 << 20
_CLOSED: Final = -1


class TooLarge(Exception):
    """A part is larger than a file may be."""


class ArrivingFile:
    """One part: ``write`` what comes, then ``finish``, or ``drop`` it.

    There is a file once there is a piece to write, or all of it.
    """

    def __init__(self, folder: Path, *, largest_bytes: int) -> None:
        self._folder = folder
        self._largest_bytes = largest_bytes
        self._waiting = bytearray()
        self._hash = hashlib.sha256()
        self._size = 0
        self._descriptor = _CLOSED
        self._path: Path | None = None

    async def write(self, octets: bytes) -> None:
        """Take octets; on the disk once there are enough of them."""
        self._size += len(octets)
        if self._size > self._largest_bytes:
            raise TooLarge
        self._waiting += octets
        if len(self._waiting) >= _PIECE:
            waiting, self._waiting = self._waiting, bytearray()
            await self._in_thread(self._put, waiting)

    async def finish(self) -> Arrived:
        """The whole file; whoever takes it makes it durable."""
        await self._in_thread(self._end, self._waiting)
        if self._path is None:
            raise StorageError("a file was not made")
        return Arrived(self._path, self._hash.digest(), self._size)

    def drop(self) -> None:
        """Remove the file, if there is one."""
        self._close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    async def _in_thread(self, call: Callable[[bytearray], None], octets: bytearray) -> None:
        task = asyncio.ensure_future(asyncio.to_thread(call, octets))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])  # it writes to a descriptor that is closed next
            raise
        except OSError as error:
            raise StorageError(f"a file cannot be written: errno {error.errno}") from error

    def _put(self, octets: bytearray) -> None:
        if self._path is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_room(self._folder, len(octets))
            self._descriptor, name = mkstemp(prefix="stow-", dir=self._folder)
            self._path = Path(name)
        self._hash.update(octets)
        view = memoryview(octets)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def _end(self, octets: bytearray) -> None:
        self._put(octets)
        self._close()

    def _close(self) -> None:
        if self._descriptor != _CLOSED:
            os.close(self._descriptor)
            self._descriptor = _CLOSED


def sweep(folder: Path, *, older_than: float) -> int:
    """Remove what ended processes left behind, last changed before a time; returns how many."""
    count = 0
    for file in folder.glob("*-*") if folder.is_dir() else ():
        if file.is_file() and file.stat().st_mtime < older_than:
            file.unlink(missing_ok=True)
            count += 1
    return count
