"""Two places of objects as one store: new ones go to the first, reading looks in both.

An object that was moved is read where it is now; while it is being moved it is in both.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path

from wardlight_cloud.store.object_base import ObjectMissingError, ObjectStore
from wardlight_cloud.store.object_whole import is_whole
from wardlight_shared.errors import StorageError


class TieredObjects:
    """Implements ObjectStore on ``hot`` and ``cold``."""

    def __init__(self, hot: ObjectStore, cold: ObjectStore) -> None:
        self.hot = hot
        self.cold = cold

    async def put(self, sha256: bytes, octets: bytes) -> None:
        """See ObjectStore."""
        if not await self._is_whole_in_cold(sha256):
            await self.hot.put(sha256, octets)

    async def put_file(self, sha256: bytes, file: Path) -> None:
        """See ObjectStore."""
        if await self._is_whole_in_cold(sha256):
            await asyncio.to_thread(file.unlink)
        else:
            await self.hot.put_file(sha256, file)

    async def read(self, sha256: bytes, start: int = 0, end: int | None = None) -> bytes:
        """See ObjectStore."""
        try:
            return await self.hot.read(sha256, start, end)
        except ObjectMissingError:
            return await self.cold.read(sha256, start, end)

    async def stream(
        self, sha256: bytes, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """See ObjectStore; an object that is moved meanwhile goes on from where it is now."""
        at = start
        try:
            async for piece in self.hot.stream(sha256, start, end):
                at += len(piece)
                yield piece
        except ObjectMissingError:
            async for piece in self.cold.stream(sha256, at, end):
                yield piece

    def local_path(self, sha256: bytes) -> Path | None:
        """See ObjectStore."""
        return self.hot.local_path(sha256) or self.cold.local_path(sha256)

    async def size(self, sha256: bytes) -> int | None:
        """See ObjectStore."""
        size = await self.hot.size(sha256)
        return size if size is not None else await self.cold.size(sha256)

    async def durable_size(self, sha256: bytes) -> int | None:
        """See ObjectStore."""
        size = await self.hot.durable_size(sha256)
        return size if size is not None else await self.cold.durable_size(sha256)

    async def stored_at(self, sha256: bytes) -> datetime | None:
        """See ObjectStore."""
        return await self.hot.stored_at(sha256) or await self.cold.stored_at(sha256)

    async def delete(self, sha256: bytes) -> None:
        """See ObjectStore."""
        await self.hot.delete(sha256)
        await self.cold.delete(sha256)

    async def hashes(self) -> AsyncIterator[tuple[bytes, int]]:
        """See ObjectStore; both in one order, each object once."""
        cold = aiter(self.cold.hashes())
        waiting = await anext(cold, None)
        async for each in self.hot.hashes():
            while waiting is not None and waiting[0] < each[0]:
                yield waiting
                waiting = await anext(cold, None)
            if waiting is not None and waiting[0] == each[0]:
                waiting = await anext(cold, None)
            yield each
        while waiting is not None:
            yield waiting
            waiting = await anext(cold, None)

    async def put_part(self, sha256: bytes, offset: int, octets: bytes) -> None:
        """See ObjectStore."""
        await self.hot.put_part(sha256, offset, octets)

    async def parts(self, sha256: bytes) -> Sequence[tuple[int, int]]:
        """See ObjectStore."""
        return await self.hot.parts(sha256)

    async def assemble(self, sha256: bytes, size: int) -> bool:
        """See ObjectStore."""
        if await self._is_whole_in_cold(sha256):
            await self.hot.drop_parts(sha256)
            return True
        return await self.hot.assemble(sha256, size)

    async def drop_parts(self, sha256: bytes) -> None:
        """See ObjectStore."""
        await self.hot.drop_parts(sha256)

    async def drop_stale_parts(self, older_than_s: float) -> int:
        """See ObjectStore."""
        return await self.hot.drop_stale_parts(older_than_s)

    async def close(self) -> None:
        """See ObjectStore."""
        await self.hot.close()
        await self.cold.close()

    async def _is_whole_in_cold(self, sha256: bytes) -> bool:
        """Whether an object is only in the second place, as it should be.

        What is damaged there, or cannot be read, comes to the first place anew, where reading looks
        first; the next move puts it in order.
        """
        try:
            return await self.hot.size(sha256) is None and await is_whole(self.cold, sha256)
        except StorageError:
            return False

    async def is_cold(self, sha256: bytes) -> bool:
        """See ObjectStore."""
        return await self.hot.size(sha256) is None and await self.cold.size(sha256) is not None

    async def copy_to_cold(self, sha256: bytes) -> bool:
        """Copy an object; nothing is removed. False: it is not as it was stored, nothing is done.

        ObjectMissingError: it is not in the first place.
        """
        digest = hashlib.sha256()
        with tempfile.TemporaryDirectory(prefix="wardlight-moved-") as folder:
            file = Path(folder) / "object"
            with file.open("wb") as copy:
                async for piece in self.hot.stream(sha256):
                    digest.update(piece)
                    await asyncio.to_thread(copy.write, piece)
            is_right = digest.digest() == sha256
            if is_right:
                await self.cold.put_file(sha256, file)
        return is_right
