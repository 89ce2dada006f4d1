"""Objects in memory; the store refuses on request."""

import hashlib
import zlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wardlight_cloud.store.object_base import ObjectMissingError
from wardlight_cloud.store.object_names import joined
from wardlight_shared.errors import StorageError


class MemoryObjects:
    """Implements ObjectStore. ``fail_next``: so many calls are refused.

    ``unread``: so many readings of a whole object fail, each with ``then_fail`` calls after it.
    """

    def __init__(self) -> None:
        self.objects: dict[bytes, bytes] = {}
        self.arriving: dict[bytes, dict[tuple[int, int], bytes]] = {}
        self.fail_next = self.unread = self.then_fail = 0
        self.parts_put = 0
        self.confirmed: list[bytes] = []

    async def put(self, sha256: bytes, octets: bytes) -> None:
        self._refuse()
        self.objects[sha256] = octets

    async def put_file(self, sha256: bytes, file: Path) -> None:
        await self.put(sha256, file.read_bytes())  # noqa: ASYNC240 - a test's small file

    async def read(self, sha256: bytes, start: int = 0, end: int | None = None) -> bytes:
        self._refuse()
        if sha256 not in self.objects:
            raise ObjectMissingError("not there")
        return self.objects[sha256][start:end]

    async def stream(
        self, sha256: bytes, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        if self.unread:
            self.unread -= 1
            self.fail_next = self.then_fail
            raise StorageError("refused on request")
        yield await self.read(sha256, start, end)

    def local_path(self, sha256: bytes) -> Path | None:
        return None

    async def size(self, sha256: bytes) -> int | None:
        self._refuse()
        octets = self.objects.get(sha256)
        return None if octets is None else len(octets)

    async def durable_size(self, sha256: bytes) -> int | None:
        self.confirmed.append(sha256)
        return await self.size(sha256)

    async def is_cold(self, sha256: bytes) -> bool:
        return False

    async def stored_at(self, sha256: bytes) -> datetime | None:
        """Another time where it has other octets, as a file that was written to."""
        octets = self.objects.get(sha256)
        if octets is None:
            return None
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=zlib.crc32(octets))

    async def delete(self, sha256: bytes) -> None:
        self.objects.pop(sha256, None)

    async def hashes(self) -> AsyncIterator[tuple[bytes, int]]:
        for sha256 in sorted(self.objects):
            yield sha256, len(self.objects[sha256])

    async def put_part(self, sha256: bytes, offset: int, octets: bytes) -> None:
        self._refuse()
        self.parts_put += 1
        self.arriving.setdefault(sha256, {})[offset, offset + len(octets)] = octets

    async def parts(self, sha256: bytes) -> Sequence[tuple[int, int]]:
        self._refuse()
        return joined(self.arriving.get(sha256, {}))

    async def assemble(self, sha256: bytes, size: int) -> bool:
        self._refuse()
        whole = bytearray(size)
        parts = self.arriving.pop(sha256, {})
        for (first, _), octets in parts.items():
            whole[first : first + len(octets)] = octets
        is_right = joined(parts) == [(0, size)] and hashlib.sha256(whole).digest() == sha256
        if is_right:
            self.objects[sha256] = bytes(whole)
        return is_right

    async def drop_parts(self, sha256: bytes) -> None:
        self.arriving.pop(sha256, None)

    async def drop_stale_parts(self, older_than_s: float) -> int:
        return 0

    async def close(self) -> None:
        return

    def _refuse(self) -> None:
        if self.fail_next:
            self.fail_next -= 1
            raise StorageError("refused on request")
