"""The object store in a folder of this machine.

obstore's LocalStore writes a temporary file and renames it, but syncs neither file nor folder: an
object that it has acknowledged is lost with the power. So files are written here: temporary file,
fsync, rename, fsync of every folder that got a new entry.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from wardlight_cloud.store.object_base import ObjectMissingError
from wardlight_cloud.store.object_files import (
    FolderFiles,
    named_at,
    objects_in,
    opened,
    read_span,
    remove,
    size_of,
)
from wardlight_cloud.store.object_names import PIECE_BYTES, joined
from wardlight_cloud.store.object_parts import FolderParts
from wardlight_shared.errors import StorageError

_T = TypeVar("_T")


class FolderObjects:
    """Implements ObjectStore on a folder; ``await open()`` first."""

    def __init__(self, folder: Path) -> None:
        self._files = FolderFiles(folder)
        self._parts = FolderParts(self._files)

    async def open(self) -> "FolderObjects":
        """Make the folder, and remove what a process that died has left half written."""
        await _in_thread("open", self._files.open)
        return self

    async def put(self, sha256: bytes, octets: bytes) -> None:
        """See ObjectStore."""
        target = self._files.path(sha256)
        await _in_thread("put", self._files.write, target, octets)

    async def put_file(self, sha256: bytes, file: Path) -> None:
        """See ObjectStore."""
        await _in_thread("put_file", self._files.take, self._files.path(sha256), file)

    async def read(self, sha256: bytes, start: int = 0, end: int | None = None) -> bytes:
        """See ObjectStore."""
        return await _in_thread("read", read_span, self._files.path(sha256), start, end)

    async def stream(
        self, sha256: bytes, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """See ObjectStore."""
        path = self._files.path(sha256)
        descriptor = await _in_thread("stream", opened, path)
        try:
            at = start
            while end is None or at < end:
                most = PIECE_BYTES if end is None else min(PIECE_BYTES, end - at)
                piece = await _in_thread("stream", os.pread, descriptor, most, at)
                if not piece:
                    return
                yield piece
                at += len(piece)
        finally:
            os.close(descriptor)

    def local_path(self, sha256: bytes) -> Path | None:
        """See ObjectStore."""
        path = self._files.path(sha256)
        return path if path.is_file() else None

    async def size(self, sha256: bytes) -> int | None:
        """See ObjectStore."""
        return await _in_thread("size", size_of, self._files.path(sha256))

    async def durable_size(self, sha256: bytes) -> int | None:
        """See ObjectStore."""
        return await _in_thread("durable_size", self._files.durable_size, self._files.path(sha256))

    async def is_cold(self, sha256: bytes) -> bool:
        """See ObjectStore; there is one place."""
        return False

    async def stored_at(self, sha256: bytes) -> datetime | None:
        """See ObjectStore; when the file got its name."""
        return await _in_thread("stored_at", named_at, self._files.path(sha256))

    async def delete(self, sha256: bytes) -> None:
        """See ObjectStore."""
        await _in_thread("delete", remove, self._files.path(sha256))

    async def hashes(self) -> AsyncIterator[tuple[bytes, int]]:
        """See ObjectStore; one folder of the second level at a time is in memory."""
        folders = await _in_thread("hashes", self._files.leaves)
        for folder in folders:
            for found in await _in_thread("hashes", objects_in, folder):
                yield found

    async def put_part(self, sha256: bytes, offset: int, octets: bytes) -> None:
        """See ObjectStore."""
        if octets:
            await _in_thread("put_part", self._parts.put, sha256, offset, octets)

    async def parts(self, sha256: bytes) -> Sequence[tuple[int, int]]:
        """See ObjectStore."""
        return joined(await _in_thread("parts", self._parts.arrived, sha256))

    async def assemble(self, sha256: bytes, size: int) -> bool:
        """See ObjectStore."""
        return await _in_thread("assemble", self._parts.assemble, sha256, size)

    async def drop_parts(self, sha256: bytes) -> None:
        """See ObjectStore."""
        await _in_thread("drop_parts", self._parts.drop, sha256)

    async def drop_stale_parts(self, older_than_s: float) -> int:
        """See ObjectStore."""
        return await _in_thread("drop_stale_parts", self._parts.drop_stale, older_than_s)

    async def close(self) -> None:
        """See ObjectStore."""

    async def __aenter__(self) -> "FolderObjects":
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _in_thread(action: str, work: Callable[..., _T], *arguments: Any) -> _T:
    """Run disk work beside the event loop, with its errors as StorageError."""
    try:
        return await asyncio.to_thread(work, *arguments)
    except FileNotFoundError as error:
        raise ObjectMissingError(f"{action}: there is no object of this hash") from error
    except OSError as error:
        raise StorageError(f"{action}: the object store refused ({error.strerror})") from error
