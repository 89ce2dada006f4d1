"""The object store that the settings name: a folder of this machine, or any S3.

Only this module uses obstore. On S3 an object is durable when the server has answered; one larger
than a piece goes up in parts and is not visible before the last of them.
Errors  StorageError, ObjectMissingError; ConfigError for an address that cannot be one
"""

import asyncio
import functools
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import obstore
from obstore import exceptions
from obstore.store import S3Store

from wardlight_cloud.config import ObjectPlace, Settings
from wardlight_cloud.store.object_base import ObjectMissingError, ObjectStore
from wardlight_cloud.store.object_folder import FolderObjects
from wardlight_cloud.store.object_names import (
    ARRIVING,
    OBJECTS,
    PIECE_BYTES,
    arriving_name,
    hash_of,
    joined,
    object_name,
    part_name,
    part_of,
    walk,
)
from wardlight_cloud.store.object_whole import is_whole
from wardlight_cloud.store.tiered_objects import TieredObjects
from wardlight_shared.errors import ConfigError, StorageError

_P = ParamSpec("_P")
_T = TypeVar("_T")
_S3: Final = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(/(?P<prefix>.*))?")
_LEAST_PART: Final = 8 * PIECE_BYTES
_PARTS_MOST: Final = 9000  # S3 takes 10,000
_AT_A_TIME: Final = 4
_PAGE: Final = 1000
_RETRIES: Final = 5
OBJECTS_FOLDER: Final = "objects"
COLD_FOLDER: Final = "objects-cold"


async def open_objects(settings: Settings) -> ObjectStore:
    """Open the object store of the settings; ``data_dir``/objects without any.

    A TieredObjects where the settings name a second place.
    """
    hot = await open_place(settings.objects, settings.data_dir / OBJECTS_FOLDER)
    if settings.objects.cold is None:
        return hot
    return TieredObjects(
        hot, await open_place(settings.objects.cold, settings.data_dir / COLD_FOLDER)
    )


async def open_place(place: ObjectPlace, folder: Path) -> ObjectStore:
    """Open the store at a place; ``folder`` where it names neither URL nor folder."""
    if place.url is None:
        return await FolderObjects(place.folder or folder).open()
    return BucketObjects(_bucket(place), timeout_s=place.timeout_s)


def _bucket(place: ObjectPlace) -> S3Store:
    match = _S3.fullmatch(place.url or "")
    if match is None:
        raise ConfigError("objects.url: write it as s3://bucket or s3://bucket/folder")
    keys = {
        name: value.get_secret_value()
        for name, value in (
            ("access_key_id", place.access_key),
            ("secret_access_key", place.secret_key),
        )
        if value is not None
    }
    endpoint = {} if place.endpoint is None else {"endpoint": place.endpoint}
    return S3Store(
        match["bucket"],
        prefix=match["prefix"] or None,
        region=place.region,
        virtual_hosted_style_request=False,
        client_options={
            "allow_http": place.allow_http,
            "timeout": timedelta(seconds=place.timeout_s),
            "connect_timeout": timedelta(seconds=min(place.timeout_s, 10.0)),
        },
        retry_config={
            "max_retries": _RETRIES,
            "retry_timeout": timedelta(seconds=place.timeout_s),
        },
        **keys,  # type: ignore[arg-type]
        **endpoint,  # type: ignore[arg-type]
    )


def _object_call(
    method: Callable[_P, Coroutine[Any, Any, _T]],
) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Raise the errors of the contract for those of the library."""

    @functools.wraps(method)
    async def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await method(*args, **kwargs)
        except (FileNotFoundError, exceptions.NotFoundError):
            raise ObjectMissingError(f"{method.__name__}: there is no such object") from None
        except (exceptions.BaseError, OSError, TimeoutError) as error:
            raise _refused(method.__name__, error) from None

    return call


def _refused(action: str, error: Exception) -> StorageError:
    # The library's texts quote the request with its signature.
    return StorageError(f"{action}: the object store refused or is away ({type(error).__name__})")


class BucketObjects:
    """Implements ObjectStore on a bucket."""

    def __init__(self, bucket: S3Store, *, timeout_s: float) -> None:
        self._bucket = bucket
        self._timeout_s = timeout_s

    @_object_call
    async def put(self, sha256: bytes, octets: bytes) -> None:
        """See ObjectStore."""
        await obstore.put_async(self._bucket, object_name(sha256), octets, **_parts(len(octets)))

    @_object_call
    async def put_file(self, sha256: bytes, file: Path) -> None:
        """See ObjectStore; the file is removed when the object is there."""
        size = (await asyncio.to_thread(file.stat)).st_size
        await obstore.put_async(self._bucket, object_name(sha256), file, **_parts(size))
        await asyncio.to_thread(file.unlink)

    @_object_call
    async def read(self, sha256: bytes, start: int = 0, end: int | None = None) -> bytes:
        """See ObjectStore."""
        name = object_name(sha256)
        size = (await obstore.head_async(self._bucket, name))["size"]
        last = size if end is None else min(end, size)
        if start >= last:
            return b""
        found = await obstore.get_range_async(self._bucket, name, start=start, end=last)
        return found.to_bytes()

    async def stream(
        self, sha256: bytes, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """See ObjectStore."""
        size = await self.size(sha256)
        if size is None:
            raise ObjectMissingError("stream: there is no such object")
        last = size if end is None else min(end, size)
        if start >= last:
            return
        try:
            options: Any = {"range": (start, last)}
            found = await obstore.get_async(self._bucket, object_name(sha256), options=options)
            async for piece in found.stream(min_chunk_size=PIECE_BYTES // 2):
                view = memoryview(piece)
                for place in range(0, len(view), PIECE_BYTES):
                    yield bytes(view[place : place + PIECE_BYTES])
        except (exceptions.BaseError, OSError) as error:
            raise _refused("stream", error) from None

    def local_path(self, sha256: bytes) -> Path | None:
        """See ObjectStore."""
        return None

    @_object_call
    async def size(self, sha256: bytes) -> int | None:
        """See ObjectStore."""
        try:
            found = await obstore.head_async(self._bucket, object_name(sha256))
        except (FileNotFoundError, exceptions.NotFoundError):
            return None
        return int(found["size"])

    async def durable_size(self, sha256: bytes) -> int | None:
        """See ObjectStore; what S3 shows is durable."""
        return await self.size(sha256)

    async def is_cold(self, sha256: bytes) -> bool:
        """See ObjectStore; there is one place."""
        return False

    @_object_call
    async def stored_at(self, sha256: bytes) -> datetime | None:
        """See ObjectStore."""
        try:
            found = await obstore.head_async(self._bucket, object_name(sha256))
        except (FileNotFoundError, exceptions.NotFoundError):
            return None
        return found["last_modified"]

    @_object_call
    async def delete(self, sha256: bytes) -> None:
        """See ObjectStore."""
        await self._forget(object_name(sha256))

    async def hashes(self) -> AsyncIterator[tuple[bytes, int]]:
        """See ObjectStore; S3 lists in the order of names."""
        try:
            async for page in obstore.list(self._bucket, OBJECTS, chunk_size=_PAGE):
                for each in page:
                    sha256 = hash_of(each["path"].rpartition("/")[2])
                    if sha256 is not None:
                        yield sha256, int(each["size"])
        except (exceptions.BaseError, OSError) as error:
            raise _refused("hashes", error) from None

    @_object_call
    async def put_part(self, sha256: bytes, offset: int, octets: bytes) -> None:
        """See ObjectStore."""
        if octets:
            name = f"{arriving_name(sha256)}/{part_name(offset, offset + len(octets))}"
            await obstore.put_async(self._bucket, name, octets, use_multipart=False)

    @_object_call
    async def parts(self, sha256: bytes) -> Sequence[tuple[int, int]]:
        """See ObjectStore."""
        return joined(await self._arrived(sha256))

    @_object_call
    async def assemble(self, sha256: bytes, size: int) -> bool:
        """See ObjectStore; the last part of an upload is only sent when the hash is right."""
        arrived = await self._arrived(sha256)
        steps = walk(arrived, size)
        is_right = steps is not None and await self._concatenate(sha256, steps, size)
        if not is_right:  # another process may have been quicker
            is_right = await is_whole(self, sha256)
        await self._drop(sha256, arrived)
        return is_right

    @_object_call
    async def drop_parts(self, sha256: bytes) -> None:
        """See ObjectStore."""
        await self._drop(sha256, await self._arrived(sha256))

    @_object_call
    async def drop_stale_parts(self, older_than_s: float) -> int:
        """See ObjectStore."""
        oldest = datetime.now(UTC) - timedelta(seconds=older_than_s)
        names: dict[bytes, list[str]] = {}
        fresh: set[bytes] = set()
        async for page in obstore.list(self._bucket, ARRIVING, chunk_size=_PAGE):
            for each in page:
                folder, _, last = each["path"].rpartition("/")
                sha256 = hash_of(folder.rpartition("/")[2])
                if sha256 is None or part_of(last) is None:
                    continue
                names.setdefault(sha256, []).append(each["path"])
                if each["last_modified"] >= oldest:
                    fresh.add(sha256)
        stale = names.keys() - fresh
        for sha256 in stale:
            for name in names[sha256]:
                await self._forget(name)
        return len(stale)

    async def close(self) -> None:
        """See ObjectStore; the library ends its connections by itself."""

    async def _concatenate(
        self, sha256: bytes, steps: Sequence[tuple[tuple[int, int], int]], size: int
    ) -> bool:
        digest = hashlib.sha256()

        async def checked() -> AsyncIterator[bytes]:
            async for piece in self._pieces(sha256, steps):
                digest.update(piece)
                yield piece
            if digest.digest() != sha256:
                raise _WrongHashError

        try:
            if size <= _LEAST_PART:
                octets = b"".join([piece async for piece in checked()])
                await obstore.put_async(
                    self._bucket, object_name(sha256), octets, use_multipart=False
                )
            else:
                await obstore.put_async(
                    self._bucket, object_name(sha256), checked(), **_parts(size)
                )
        except _WrongHashError:
            return False
        except exceptions.BaseError:
            if digest.digest() != sha256:  # the library gives its own error for ours
                return False
            raise
        return True

    async def _pieces(
        self, sha256: bytes, steps: Sequence[tuple[tuple[int, int], int]]
    ) -> AsyncIterator[bytes]:
        for part, skipped in steps:
            name = f"{arriving_name(sha256)}/{part_name(*part)}"
            for start in range(skipped, part[1] - part[0], PIECE_BYTES):
                end = min(start + PIECE_BYTES, part[1] - part[0])
                found = await obstore.get_range_async(self._bucket, name, start=start, end=end)
                yield found.to_bytes()

    async def _arrived(self, sha256: bytes) -> list[tuple[int, int]]:
        listing = obstore.list(self._bucket, arriving_name(sha256), chunk_size=_PAGE)
        found = []
        async for page in listing:
            for each in page:
                part = part_of(each["path"].rpartition("/")[2])
                if part is not None:
                    found.append(part)
        return found

    async def _drop(self, sha256: bytes, arrived: Sequence[tuple[int, int]]) -> None:
        names = [f"{arriving_name(sha256)}/{part_name(*part)}" for part in arrived]
        for name in names:
            await self._forget(name)

    async def _forget(self, name: str) -> None:
        try:
            await obstore.delete_async(self._bucket, name)
        except (FileNotFoundError, exceptions.NotFoundError):
            return


class _WrongHashError(Exception):
    """The parts are those of something else."""


def _parts(size: int) -> Any:
    """How an object of this size is cut for its upload."""
    piece = max(_LEAST_PART, -(-size // _PARTS_MOST))
    return {"chunk_size": piece, "max_concurrency": _AT_A_TIME, "use_multipart": size > piece}
