"""What is wrong with an object: all of it is read and its hash compared.

Errors  StorageError: the store is away, so nothing can be said
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from wardlight_cloud.store.image_keeping import FindingKind
from wardlight_cloud.store.object_base import ObjectMissingError, ObjectStore
from wardlight_shared.errors import StorageError

_READS: Final = 3
_AGAIN_S: Final = 2.0
Pause = Callable[[float], Awaitable[None]]
Pieces = Callable[[bytes], AsyncIterator[bytes]]


async def judged(
    objects: ObjectStore, sha256: bytes, *, pieces: Pieces | None = None, pause: Pause
) -> FindingKind | None:
    """What is wrong with an object; None = nothing. ``pieces``: how it is read, if not at once."""
    pieces = pieces or objects.stream
    for _ in range(_READS - 1):
        found = await _read(objects, sha256, pieces)
        if found != "unreadable":
            return found
        await pause(_AGAIN_S)  # what is read a moment later was never damaged
    return await _read(objects, sha256, pieces)


async def _read(objects: ObjectStore, sha256: bytes, pieces: Pieces) -> FindingKind | None:
    digest = hashlib.sha256()
    try:
        async for piece in pieces(sha256):
            await asyncio.to_thread(digest.update, piece)
    except ObjectMissingError:
        return "missing"
    except StorageError:
        # A store that is away says this of every object: only one that is there is unreadable.
        if await objects.size(sha256) is None:
            return "missing"
        return "unreadable"
    return None if digest.digest() == sha256 else "differs"
